"""Committees: members equal direct fits to their rows, and the deviations are the textbook's."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from synthetic import random_frame, random_parameters, small_basis
from view_oracle import dense, frames_of, least_squares
from view_oracle import plain_view as view

from hiertl_dist import Frame, Model
from hiertl_dist.algebra import BayesianRidge, Lasso, RFactor, Ridge
from hiertl_dist.algebra.solve import solve as solve_linear
from hiertl_dist.errors import FrameError, InnerCutoffError, InputError
from hiertl_dist.executors import SerialExecutor, TaskFailed
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.frames.frame_sequence import sequence_of
from hiertl_dist.frames.row_weights import RowWeights
from hiertl_dist.model.parameters import Penalty, merge_parameters
from hiertl_dist.uncertainty.committee import MEMBERS, committee, multiplicities

SERIAL = SerialExecutor()
BASIS = small_basis((4, 3, 2))
FOLDS = 4
ALPHA = 0.05
C, N = (random_parameters(BASIS, 3).restricted({b}) for b in ("C", "N"))
WEIGHTS = {"energy": 0.5, "stress": 20.0, "solid": 1.5}
FRAMES = [f for i in range(6) for f in frames_of({"C": 2, "N": 1, "CN": 3}, group=f"run{i}" if i else "solid", seed=i)]
ALL = dense(FRAMES, BASIS, folds=FOLDS)
NEW = [random_frame(("C", "N"), (98, i), 9, "new") for i in range(2)]


@pytest.fixture(scope="module")
def summaries():
    return summarise(FRAMES, BASIS, folds=FOLDS, executor=SERIAL)


@pytest.fixture(scope="module")
def chosen(summaries):
    return view(summaries, blocks=["CN"], frozen=[C, N], weights=WEIGHTS)


def direct(times):
    """(columns of CN,) the ridge fit to dense rows that are there so many times, and these rows."""
    kept = np.flatnonzero([c.block == "CN" for c in ALL.columns])
    repeated = np.repeat(np.arange(len(ALL.labels)), times * ALL.used(elements=["CN"]))
    factors = ALL.factors(WEIGHTS)[repeated]
    target = (ALL.target - ALL.matrix @ ALL.values([C, N]))[repeated]
    A = factors[:, None] * ALL.matrix[repeated][:, kept]
    return least_squares(A, factors * target, ALPHA), A, factors * target


def values(parameters, columns):
    found = parameters.as_dict()
    return np.array([found[c] for c in columns])


def flat(found):
    return np.concatenate([found.forces.ravel(), found.stress, [found.energy]])


def test_members_of_folds_are_the_fits_without_them(chosen):
    found = committee(chosen, Ridge(ALPHA))
    assert len(found.members) == FOLDS
    for fold, member in enumerate(found.members):
        expected, A, _ = direct(~ALL.used(fold=[fold]))
        apart = A @ (values(member, chosen.columns) - expected)
        assert np.linalg.norm(apart) <= 1e-9 * np.linalg.norm(A @ expected)
        assert f"without fold {fold}" in member.source
        assert set(member.coverage) == {"CN:CC", "CN:CN", "CN:NN"}


def test_a_row_that_is_drawn_twice_counts_twice(chosen):
    found = committee(chosen, Ridge(ALPHA), kind="bootstrap", members=3, seed=4)
    drawn = multiplicities(chosen, 3, 4)
    for member, own in zip(found.members, drawn, strict=True):
        by_cell = {cell[1:]: m for cell, m in own.items()}
        times = np.array([by_cell.get((r.source, r.composition, r.fold), 0) for r in ALL.labels])
        expected, A, _ = direct(times)
        apart = A @ (values(member, chosen.columns) - expected)
        assert np.linalg.norm(apart) <= 1e-9 * np.linalg.norm(A @ expected)


def test_n_of_a_lasso_counts_what_is_drawn(chosen):
    lam = Lasso(3e-3, normalize=True)
    found = committee(chosen, lam, kind="bootstrap", members=2, seed=4)
    member, own = found.members[1], multiplicities(chosen, 2, 4)[1]
    by_cell = {cell[1:]: m for cell, m in own.items()}
    times = np.array([by_cell.get((r.source, r.composition, r.fold), 0) for r in ALL.labels])
    counts = np.array([{"stress_off_diagonal": 2, "energy": 3}.get(r.kind, 1) for r in ALL.labels])
    counted = (counts * times * ALL.used(elements=["CN"])).sum()
    _, A, b = direct(times)
    expected = solve_linear(RFactor.of(A, b), lam, float(counted)).coefficients
    got = values(member, chosen.columns)
    np.testing.assert_array_equal(got != 0, expected != 0)
    np.testing.assert_allclose(A @ got, A @ expected, atol=1e-6)


def test_evidence_of_what_is_drawn_counts_rows_that_are_fitted(summaries):
    """Rows of weight 0 count as little as those of a group of weight 0."""
    frames = sequence_of(FRAMES)
    energy = RowWeights(energy="0 if group == 'solid' else 1")
    weighed = summarise(frames, BASIS, folds=FOLDS, row_weights=energy, executor=SERIAL)
    of_groups = {"solid/energy": 0.0, "stress": 20.0}
    found = [
        committee(view(kept, blocks=["CN"], frozen=[C, N], weights=w), BayesianRidge(), kind="bootstrap", members=2)
        for kept, w in ((weighed, {"stress": 20.0}), (summaries, of_groups))
    ]
    for one, other in zip(*(f.members for f in found), strict=True):
        np.testing.assert_allclose(one.coefficients, other.coefficients, rtol=1e-7, atol=1e-7)


def test_what_is_drawn(summaries, chosen):
    drawn = multiplicities(chosen, 200, 0)
    cells = {(r.source, r.composition, r.fold) for r in ALL.labels if r.elements == "CN"}
    totals = Counter()
    for own in drawn:
        assert {c[1:] for c in own} == cells
        assert sum(own.values()) == len(cells)
        totals.update(own)
    assert 0.7 * 200 < min(totals.values()) <= max(totals.values()) < 1.3 * 200
    # each element set keeps as many as it has
    for own in multiplicities(view(summaries), 5, 1):
        for elements in ("C", "N", "CN"):
            there = {(r.source, r.composition, r.fold) for r in ALL.labels if r.elements == elements}
            assert sum(m for c, m in own.items() if c.elements == elements) == len(there)
    assert multiplicities(chosen, 3, 1) == multiplicities(chosen, 3, 1) != multiplicities(chosen, 3, 2)
    # what has no weight is not drawn
    light = view(summaries, blocks=["CN"], weights={"solid": 0.0})
    assert all(c.source != "solid" for c in multiplicities(light, 1, 0)[0])


@pytest.mark.parametrize("kind", ["folds", "bootstrap"])
def test_mean_and_deviation_of_the_members_own_evaluations(chosen, kind):
    members = {"members": 5} if kind == "bootstrap" else {}
    found = committee(chosen, Ridge(ALPHA), kind=kind, penalty=Penalty(5e3, 0.2), **members)
    assert {m.penalty for m in found.members} == {Penalty(5e3, 0.2)}
    bare = [f.without_labels(energy=True, forces=True, stress=True) for f in NEW]
    said = found.evaluate(bare)
    models = [Model(merge_parameters([m, C, N], penalty=Penalty())) for m in found.members]
    for i, frame in enumerate(NEW):
        each = np.array([flat(m.evaluate(frame)[0]) for m in models])
        spread = each - each.mean(axis=0)
        if kind == "folds":
            expected = np.sqrt((FOLDS - 1) / FOLDS * (spread**2).sum(axis=0))
        else:
            expected = each.std(axis=0, ddof=1)
        np.testing.assert_allclose(flat(said[i].mean), each.mean(axis=0), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(flat(said[i].deviation), expected, rtol=1e-6, atol=1e-12)
        assert said[i].origin == frame.origin


def test_deviations_are_standard_errors():
    """Of a mean, the one-body energy: both kinds give what statistics says of it."""
    rng = np.random.default_rng(0)
    basis = small_basis((1, 0, 0), elements=("C",))
    sigma, runs = 2.0, 24
    frames = []
    for i in range(runs):
        energy = 7.0 + sigma * rng.normal()
        place = np.full((1, 3), 0.1 * i)
        frames.append(Frame(("C",), place, np.eye(3) * 30, energy=energy, group=f"run{i}", origin=str(i)))
    summaries = summarise(frames, basis, folds=runs, executor=SERIAL)
    energies = np.array([f.energy for f in frames])
    expected = energies.std(ddof=1) / runs**0.5
    jackknife = committee(view(summaries), Ridge(1e-10)).evaluate(frames[0])[0].deviation
    assert jackknife.energy == pytest.approx(expected, rel=1e-6)
    bootstrap = committee(view(summaries), Ridge(1e-10), kind="bootstrap", members=400).evaluate(frames[0])[0].deviation
    assert bootstrap.energy == pytest.approx(expected * ((runs - 1) / runs) ** 0.5, rel=0.1)


def test_workers_change_nothing(chosen, two_processes):
    one = committee(chosen, Ridge(ALPHA), kind="bootstrap", members=2)
    other = committee(chosen, Ridge(ALPHA), kind="bootstrap", members=2, executor=two_processes)
    said = other.evaluate(NEW, executor=two_processes)
    for a, b in zip(one.members, other.members, strict=True):
        np.testing.assert_array_equal(a.coefficients, b.coefficients)
    for a, b in zip(one.evaluate(NEW), said, strict=True):
        np.testing.assert_array_equal(flat(a.deviation), flat(b.deviation))


def test_refusals(summaries, chosen):
    with pytest.raises(InputError, match="jackknife"):
        committee(chosen, Ridge(ALPHA), kind="jackknife")
    with pytest.raises(InputError, match="members"):
        committee(chosen, Ridge(ALPHA), members=3)
    with pytest.raises(InputError, match="at least two members, found 1"):
        committee(chosen, Ridge(ALPHA), kind="bootstrap", members=1)
    with pytest.raises(InputError, match="two folds"):
        committee(view(summaries, blocks=["CN"], folds=[1]), Ridge(ALPHA))
    fold = next(r.fold for r in ALL.labels if r.source == "solid" and r.elements == "C")
    lone = view(summaries, blocks=["C"], folds=[fold], without=["run*"])
    with pytest.raises(InputError, match="at least two of the same elements, found C with one each"):
        committee(lone, Ridge(ALPHA), kind="bootstrap")
    found = committee(chosen, Ridge(ALPHA), kind="bootstrap", members=2)
    assert MEMBERS >= 20
    stranger = Frame(("O",), np.zeros((1, 3)), origin="stranger")
    with pytest.raises(FrameError, match="stranger"):
        found.evaluate(stranger)
    close = Frame(("C", "N"), np.array([[0.0, 0, 0], [0.5, 0, 0]]), origin="close")
    assert np.isnan(found.evaluate(close)[0].deviation.stress).all()
    with pytest.raises(InnerCutoffError, match="close"):
        found.evaluate(close, policy="refuse")
    with pytest.raises(TaskFailed, match=re.escape("close")):
        found.evaluate(close, policy="refuse", executor=SERIAL)
    with pytest.raises(ValueError, match="skip_frame"):
        found.evaluate(close, policy="skip_frame")


def test_what_cannot_be_redrawn_is_noted(summaries):
    both = view(summaries, without=["run*"])
    cells = {(r.elements, r.composition, r.fold) for r in ALL.labels if r.source == "solid"}
    alone = [e for e, n in Counter(e for e, _, _ in cells).items() if n == 1]
    assert "N" in alone
    found = committee(both, Ridge(ALPHA), kind="bootstrap", members=2)
    assert len(found.notes) == len(alone)
    assert all("in every member" in note for note in found.notes)
    assert not committee(view(summaries), Ridge(ALPHA), kind="bootstrap", members=2).notes
