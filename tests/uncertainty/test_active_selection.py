"""Selection of frames against greedy search over dense matrices, and leverages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import random_frame, small_basis
from view_oracle import dense, frames_of
from view_oracle import plain_view as view

from hiertl_dist import Frame, design_rows
from hiertl_dist.algebra import Lasso, Ridge
from hiertl_dist.errors import FrameError, InnerCutoffError, InputError, MissingTypesError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.frames.rows import SUMMARY_KINDS, kind_codes
from hiertl_dist.uncertainty.active_selection import leverage, select
from hiertl_dist.uncertainty.predictive import posterior, predict

SERIAL = SerialExecutor()
BASIS = small_basis((4, 3, 2))
ALPHA = 0.5
WEIGHTS = {"force": 0.7, "stress": 15.0, "energy": 0.3}
COUNTS = {"force": 1, "stress_diagonal": 1, "stress_off_diagonal": 2, "energy": 3}
FITTED = frames_of({"C": 3, "CN": 5})
POOL = [random_frame(("C", "N"), (50, i), 8 + i % 3) for i in range(12)]
POOL.append(replace(POOL[2], origin="the same again"))
BARE = [f.without_labels(energy=True, forces=True, stress=True) for f in POOL]


def rows_of(frame, weights=WEIGHTS, objective="lsq", blocks=("CN",)):
    names = [SUMMARY_KINDS[c] for c in kind_codes(frame)]
    w = [weights.get(k.split("_")[0], 1.0) * (COUNTS[k] ** 0.5 if objective == "lsq" else 1.0) for k in names]
    return np.array(w)[:, None] * design_rows(frame, BASIS, blocks).matrix


def brute(P, candidates, count, **how):
    """Greedy by determinants of dense precision matrices; the earlier of equal ones."""
    picks, P = [], P.copy()
    for _ in range(count):
        gains = {
            i: np.linalg.slogdet(P + rows_of(POOL[i], **how).T @ rows_of(POOL[i], **how))[1] - np.linalg.slogdet(P)[1]
            for i in candidates if i not in [p[0] for p in picks]
        }  # fmt: skip
        best = next(i for i, g in gains.items() if g > max(gains.values()) - 1e-7)
        A = rows_of(POOL[best], **how)
        picks.append((best, gains[best], np.trace(A @ np.linalg.solve(P, A.T))))
        P += A.T @ A
    return picks


def check(found, expected):
    assert [p.index for p in found] == [i for i, _, _ in expected]
    np.testing.assert_allclose([p.gain for p in found], [g for _, g, _ in expected], rtol=1e-6)
    np.testing.assert_allclose([p.leverage for p in found], [v for _, _, v in expected], rtol=1e-6)
    assert [p.origin for p in found] == [POOL[p.index].origin for p in found]


@pytest.fixture(scope="module")
def summaries():
    return summarise(FITTED, BASIS, folds=2, executor=SERIAL)


@pytest.fixture(scope="module")
def fitted(summaries):
    return posterior(view(summaries, blocks=["CN"], weights=WEIGHTS), Ridge(ALPHA))


def precision(weights=WEIGHTS):
    rows = dense(FITTED, BASIS, ["CN"])
    A = (rows.factors(weights)[:, None] * rows.matrix)[rows.used(elements=["CN"])]
    return A.T @ A + ALPHA * np.eye(A.shape[1])


def test_from_a_fit_it_is_greedy_search(fitted):
    check(select(BARE, 6, fitted), brute(precision(), range(len(POOL)), 6))


def test_rows_of_the_pool_may_have_weights_of_their_own(fitted):
    weights = {"stress": 0.0, "energy": 0.0, POOL[1].composition: 3.0}
    times = np.array([3.0 if f.composition == POOL[1].composition else 1.0 for f in POOL])
    gains = []
    for frame, t in zip(POOL, times, strict=True):
        A = t * rows_of(frame, {"stress": 0.0, "energy": 0.0})
        gains.append(np.linalg.slogdet(precision() + A.T @ A)[1] - np.linalg.slogdet(precision())[1])
    found = select(BARE, 1, fitted, weights=weights)[0]
    assert found.index == int(np.argmax(gains))
    assert found.gain == pytest.approx(max(gains), rel=1e-6)
    assert found.gain != pytest.approx(select(BARE, 1, fitted)[0].gain, rel=0.01)


@pytest.mark.parametrize("objective", ["lsq", "plain"])
@pytest.mark.parametrize("weights", [WEIGHTS, {"force": 0.0, "energy": 2.0}], ids=["weighted", "no forces"])
def test_from_nothing_it_is_greedy_search(weights, objective):
    n = rows_of(POOL[0]).shape[1]
    found = select(BARE, 5, BASIS, alpha=ALPHA, blocks=["CN"], weights=weights, objective=objective)
    check(found, brute(ALPHA * np.eye(n), range(len(POOL)), 5, weights=weights, objective=objective))


def test_labels_do_not_matter_nor_do_workers_or_memory(fitted, two_processes):
    expected = select(BARE, 4, fitted)
    assert select(POOL, 4, fitted) == expected
    assert select(POOL, 4, fitted, memory=0) == expected
    assert select(POOL, 4, fitted, executor=two_processes) == expected
    assert leverage(POOL[:3], fitted, executor=two_processes) == leverage(POOL[:3], fitted)


def test_all_blocks_of_a_basis_are_the_default():
    found = select(POOL, 2, BASIS, alpha=ALPHA)
    n = rows_of(POOL[0], blocks=None).shape[1]
    expected = brute(ALPHA * np.eye(n), range(len(POOL)), 2, weights={}, blocks=None)
    check(found, expected)


def test_frames_with_pairs_inside(fitted):
    positions = POOL[0].positions.copy()
    positions[1] = positions[0] + np.array([0.0, 0.0, 0.6])
    pool = [replace(BARE[0], positions=positions, origin="close"), *BARE[1:5]]
    with pytest.raises(InnerCutoffError, match="close"):
        select(pool, 2, fitted)
    assert "close" in [p.origin for p in select(pool, 5, fitted, policy="damp")]
    assert [p.index for p in select(pool, 4, fitted, policy="skip_frame")] == [
        1 + p.index for p in select(pool[1:], 4, fitted)
    ]
    with pytest.raises(InputError, match="found 5"):
        select(pool, 5, fitted, policy="skip_frame")
    with pytest.raises(ValueError, match="expected one of"):
        select(pool, 1, fitted, policy="ignore")


def test_refusals(fitted):
    assert select(BARE, 0, fitted) == []
    with pytest.raises(InputError, match="found 14"):
        select(BARE, 14, fitted)
    with pytest.raises(InputError, match="alpha"):
        select(BARE, 2, BASIS)
    with pytest.raises(InputError, match="those of the posterior"):
        select(BARE, 2, fitted, alpha=1.0)
    with pytest.raises(InputError, match="those of the posterior"):
        select(BARE, 2, fitted, objective="plain")
    with pytest.raises(ValueError, match="names no kind"):
        select(BARE, 2, fitted, weights={"forces": 2.0})
    with pytest.raises(ValueError, match="names no kind"):
        select(BARE, 2, BASIS, alpha=1.0, weights={"forces": 2.0})
    with pytest.raises(InputError, match="no kind of rows"):
        select(BARE, 2, BASIS, alpha=1.0, weights=dict.fromkeys(("force", "stress", "energy"), 0.0))
    stranger = Frame(("O",), np.zeros((1, 3)), origin="stranger")
    with pytest.raises(FrameError, match="stranger"):
        select([stranger], 1, fitted)
    with pytest.raises(FrameError, match="stranger"):
        leverage(stranger, fitted)
    with pytest.raises(ValueError, match="skip_frame"):
        leverage(POOL[0], fitted, policy="skip_frame")


def test_leverages_of_rows(fitted):
    inverse = np.linalg.inv(precision())
    for frame, found in zip(POOL, leverage(BARE, fitted), strict=True):
        A = rows_of(frame)
        expected = np.einsum("ij,jk,ik->i", A, inverse, A)
        assert found.highest == pytest.approx(expected.max(), rel=1e-7)
        assert found.mean == pytest.approx(expected.mean(), rel=1e-7)
        kind = SUMMARY_KINDS[kind_codes(frame)[expected.argmax()]]
        assert found.kind == kind.split("_")[0]
    with pytest.raises(MissingTypesError, match="CC, NN"):
        predict(POOL[0], fitted)
    said = predict(POOL[0], fitted, missing="zero")[0]
    first = leverage(POOL[0], fitted)[0]
    assert first.highest == pytest.approx(said.leverage_max, rel=1e-12)
    assert first.mean * len(rows_of(POOL[0])) == pytest.approx(said.leverage_sum, rel=1e-12)


def test_all_leverages_of_a_fit_are_its_degrees_of_freedom(summaries, fitted):
    own = [f for f in FITTED if f.elements == {"C", "N"}]
    found = leverage(own, fitted)
    assert max(v.highest for v in found) < 1.0
    total = sum(v.mean * len(rows_of(f)) for f, v in zip(own, found, strict=True))
    assert total == pytest.approx(fitted.linear.degrees_of_freedom, rel=1e-8)
    # what a LASSO left out counts for nothing
    sparse = posterior(view(summaries, blocks=["CN"], weights=WEIGHTS), Lasso(0.05, normalize=True))
    assert sparse.linear.degrees_of_freedom < fitted.linear.degrees_of_freedom
    assert leverage(own[0], sparse)[0].mean < leverage(own[0], fitted)[0].mean
