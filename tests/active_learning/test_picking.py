"""Which frames are picked: leverages of a whole model, greedy selection, clusters, shares."""

from __future__ import annotations

import numpy as np
import pytest
from job_files import job_frames
from synthetic import random_frames, small_basis

from hiertl_dist import FitSettings, fit_hierarchy, hierarchy_posterior, predict, types_without_coefficients
from hiertl_dist.active_learning.judging import judge
from hiertl_dist.active_learning.picking import by_species, clusters_of, pick_frames
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting.settings import HierarchyOptions
from hiertl_dist.jobs.cycle_settings import CycleSettings, CycleState
from hiertl_dist.uncertainty.whole_selection import WholeRows, select_of_whole

ORDERS = (3, 2, 2)


@pytest.fixture(scope="module")
def given():
    """A hierarchy of C, N and CN with what it leaves open."""
    frames, _ = job_frames()
    settings = FitSettings({"kind": "ridge", "alpha": 0.1}, {"force": 1.0, "energy": 0.5, "stress": 10.0})
    fit = fit_hierarchy(frames, small_basis(ORDERS), options=HierarchyOptions(settings), executor=SerialExecutor())
    return frames, hierarchy_posterior(fit)


@pytest.fixture(scope="module")
def pool():
    """Frames of every set, without labels."""
    frames = random_frames({"C": 3, "N": 3, "CN": 4}, seed=5)
    return [f.without_labels(energy=True, forces=True, stress=True) for f in frames]


def test_leverages_are_those_of_predictions(given, pool):
    _, posterior = given
    rows = WholeRows(posterior)
    for frame, told in zip(pool, predict(pool, posterior), strict=True):
        own = rows.linear.leverage(rows.rows(frame))
        assert own.sum() == pytest.approx(told.leverage_sum, rel=1e-9)
        assert own.max() == pytest.approx(told.leverage_max, rel=1e-9)


def test_the_greedy_choice_is_that_of_determinants(given, pool):
    _, posterior = given
    rows = WholeRows(posterior)
    triangle = rows.linear.triangle
    precision = triangle.T @ triangle
    first = pool[4]
    precision = precision + rows.rows(first).T @ rows.rows(first)
    left, expected = [i for i in range(len(pool)) if i != 4], []
    for _ in range(3):
        gains = {}
        for i in left:
            own = rows.rows(pool[i])
            gains[i] = np.linalg.slogdet(precision + own.T @ own)[1] - np.linalg.slogdet(precision)[1]
        best = max(gains, key=gains.get)
        own = rows.rows(pool[best])
        expected.append((best, gains[best], np.trace(own @ np.linalg.solve(precision, own.T))))
        precision = precision + own.T @ own
        left.remove(best)
    others = [f for i, f in enumerate(pool) if i != 4]
    picks = select_of_whole(others, 3, posterior, taken=[first])
    place = [i for i in range(len(pool)) if i != 4]
    assert [place[p.index] for p in picks] == [e[0] for e in expected]
    np.testing.assert_allclose([p.gain for p in picks], [e[1] for e in expected], rtol=1e-8)
    np.testing.assert_allclose([p.leverage for p in picks], [e[2] for e in expected], rtol=1e-8)
    enough = select_of_whole(others, 3, posterior, taken=[first], least=picks[1].leverage)
    assert [p.index for p in enough] == [p.index for p in picks][: len(enough)]
    assert 1 <= len(enough) <= 2
    gains = {i: rows.linear.gain(rows.rows(f)) for i, f in enumerate(pool)}
    assert select_of_whole(pool, 2, posterior, gains=gains) == select_of_whole(pool, 2, posterior)


def settings_of(picks, least=0.0, **shares):
    return CycleSettings((CycleState((300.0,)),), picks=picks, least=least, shares=shares, every=50)


def picked(given, pool, settings, known=()):
    _, posterior = given
    judged = judge(pool, posterior, SerialExecutor())
    return judged, pick_frames(pool, judged, posterior, settings, 0, known, SerialExecutor())


def test_shares_and_frames_that_are_known(given, pool):
    twice = [*pool, pool[0]]
    judged, picks = picked(given, twice, settings_of(6, leverage=0.5, clusters=0.5), {pool[1].configuration})
    assert len(picks) == len({p.index for p in picks}) == 6
    assert [p.by for p in picks] == ["leverage"] * 3 + ["clusters"] * 3
    assert not {1, len(pool)} & {p.index for p in picks}
    told = picks[0].as_dict(twice[picks[0].index], judged[picks[0].index])
    assert set(told) == {"frame", "by", "why", "sigma", "total", "leverage", "highest_leverage"}
    _, fewer = picked(given, pool, settings_of(6, least=1e9, leverage=0.5, clusters=0.5))
    assert fewer == []
    _, drawn = picked(given, pool, settings_of(4, least=1e9, random=1.0))
    assert [p.by for p in drawn] == ["random"] * 4
    _, half = picked(given, pool, settings_of(4, random=0.5))
    assert len(half) == 2


def test_a_frame_that_was_labelled_with_its_atoms_by_species_is_known(given, pool):
    mixed = next(i for i, f in enumerate(pool) if list(f.species) != sorted(f.species))
    other = by_species(pool[mixed])
    assert other.configuration != pool[mixed].configuration
    _, drawn = picked(given, [*pool, other], settings_of(len(pool) + 1, random=1.0), {other.configuration})
    assert {p.index for p in drawn} == {*range(len(pool))} - {mixed}


def test_new_distances_come_first(given, pool):
    _, picks = picked(given, pool, settings_of(4, distances=0.5, leverage=0.5))
    by = [p.by for p in picks]
    assert by == sorted(by)  # distances before leverage
    assert len(picks) == 4
    assert all("not fitted: " in p.why for p in picks if p.by == "distances")


def test_types_without_coefficients_are_not_judged_and_may_be_picked(pool):
    frames = [f for f in job_frames()[0] if len(f.elements) == 1]
    settings = FitSettings({"kind": "ridge", "alpha": 0.1})
    fit = fit_hierarchy(frames, small_basis(ORDERS), options=HierarchyOptions(settings), executor=SerialExecutor())
    posterior = hierarchy_posterior(fit)
    assert types_without_coefficients(fit.model.parameters)
    judged = judge(pool, posterior, SerialExecutor())
    assert [bool(j.missing) for j in judged] == [len(f.elements) == 2 for f in pool]
    picks = pick_frames(
        pool, judged, posterior, settings_of(3, distances=0.4, leverage=0.6), 0, (), SerialExecutor()
    )  # fmt: skip
    assert len(pool[picks[0].index].elements) == 2
    assert "CN" in picks[0].why
    assert [p.by for p in picks] == ["distances", "leverage", "leverage"]
    assert all(len(pool[p.index].elements) == 1 for p in picks[1:])


def test_clusters_are_those_that_lie_apart():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0, 5.0], [9.0, 0.0, 5.0], [0.0, 9.0, 5.0]])
    points = [c + 0.1 * rng.normal(size=3) * [1, 1, 0] for c in centres for _ in range(4)]
    labels = clusters_of(points, 3)
    assert [len(set(labels[i : i + 4].tolist())) for i in (0, 4, 8)] == [1, 1, 1]
    assert len(set(labels.tolist())) == 3
    assert clusters_of(points[:1], 4).tolist() == [1]
    assert set(clusters_of([np.ones(3)] * 5, 4).tolist()) == {1}
