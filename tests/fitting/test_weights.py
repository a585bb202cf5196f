"""Automatic weights: their formula from dense rows, on both roads; what they do not depend on; what they say."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis
from view_oracle import COUNTS, dense, least_squares

from hiertl_dist import FitSettings, fit_block, solve, summarise, view
from hiertl_dist.errors import InputError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting import weights
from hiertl_dist.fitting.weights import AUTO, FIRST_RIDGE, SHARE, SMALLEST

SERIAL = SerialExecutor()
BASIS = small_basis(orders=(4, 3, 0))
TRUTH = random_parameters(BASIS, seed=5)
RNG = np.random.default_rng(0)
FRAMES = [
    replace(
        f, energy=f.energy + 2 * RNG.normal() - 300 * len(f), forces=f.forces + RNG.normal(size=f.forces.shape),
        stress=f.stress + 0.02 * RNG.normal(size=6),
    )
    for f in labelled(random_frames({"C": 20, "N": 8}, atoms=9), TRUTH)
]  # fmt: skip
RIDGE = {"kind": "ridge", "alpha": 0.1}


def formula(frames, objective="lsq"):
    """The documented formula, from dense rows: labels' spreads, one ridge, its residuals per degree of freedom."""
    rows = dense(frames, BASIS, ["C"])
    kinds = np.array([row.person_kind for row in rows.labels])
    counts = np.array([COUNTS[objective][row.kind] for row in rows.labels], float)
    atoms = np.array([float(row.atoms) for row in rows.labels])
    target = rows.target.copy()
    energies = kinds == "energy"
    spreads, rank = {}, {}
    for kind in dict.fromkeys(kinds):
        own = kinds == kind
        b = target[own]
        rank[kind] = 0
        if kind == "energy":
            a = atoms[own]
            b = b - a * (a @ b) / (a @ a)
            rank[kind] = 1
        n = counts[own].sum() * (own.sum() - rank[kind]) / own.sum()
        spreads[kind] = np.sqrt(np.sum(counts[own] * b**2) / n)
    target[energies] += 300 * atoms[energies]
    first = np.array([spreads["force"] / spreads[k] for k in kinds]) * np.sqrt(counts)
    A = first[:, None] * rows.matrix
    c = least_squares(A, first * target, FIRST_RIDGE, rows.columns)
    penalties = np.diag([FIRST_RIDGE if col.powers else 0.0 for col in rows.columns])
    leverage = np.einsum("ij,jk,ik->i", A, np.linalg.inv(A.T @ A + penalties), A)
    left = (rows.matrix @ c - target) ** 2
    residuals = {}
    for kind in spreads:
        own = kinds == kind
        n, total = own.sum(), counts[own].sum()
        freedom = total - leverage[own].sum() * total / n
        error = np.sqrt(np.sum(counts[own] * left[own]) / max(freedom, 0.1 * total))
        residuals[kind] = max(error, SMALLEST * spreads[kind])
    n_force = (kinds == "force").sum()
    return {k: residuals["force"] / e * (n_force / (kinds == k).sum()) ** SHARE for k, e in residuals.items()}


@pytest.mark.parametrize("objective", ["lsq", "plain"])
def test_the_formula(objective, monkeypatch):
    monkeypatch.setattr(weights, "MANY", 1e9)  # degrees of freedom are counted for forces too
    expected = formula([f for f in FRAMES if f.elements == {"C"}], objective)
    fit = fit_block(FRAMES, BASIS, "C", settings=FitSettings(RIDGE, objective=objective), executor=SERIAL)
    assert fit.solution.weights == pytest.approx(expected, rel=1e-5)
    summaries = summarise(FRAMES, BASIS, folds=3, executor=SERIAL)
    found = view(summaries, blocks=["C"], objective=objective)
    assert found.weights == pytest.approx(expected, rel=1e-5)
    solution = solve(found, RIDGE)
    np.testing.assert_allclose(
        solution.parameters.coefficients, fit.solution.parameters.coefficients, rtol=1e-6, atol=1e-9
    )
    for notes in (fit.solution.notes, solution.notes):
        (line,) = (n for n in notes if n.startswith("automatic weights: "))
        for kind, weight in expected.items():
            assert float(re.search(rf"{kind} ([\d.e+-]+) \(", line)[1]) == pytest.approx(weight, rel=1e-3)


def test_gram_and_the_units_of_labels():
    plain = fit_block(FRAMES, BASIS, "C", settings=FitSettings(RIDGE), executor=SERIAL).solution
    gram = fit_block(FRAMES, BASIS, "C", settings=FitSettings(RIDGE, method="gram"), executor=SERIAL).solution
    # normal equations don't tell how many degrees of freedom the few energies took
    assert gram.weights == pytest.approx(plain.weights, rel=0.3)
    assert plain.weights["force"] == 1.0


def test_weights_that_are_named_stay_as_they_are_and_say_what_they_do():
    settings = FitSettings(RIDGE, weights={"energy": 0.5, "stress": 20.0})
    solution = fit_block(FRAMES, BASIS, "C", settings=settings, executor=SERIAL).solution
    assert solution.weights == {"energy": 0.5, "stress": 20.0}
    assert not any("automatic" in n for n in solution.notes)
    (line,) = (n for n in solution.notes if "shares of the sum of squares" in n)
    shares = [float(x) for x in re.findall(r"([\d.e+-]+) %", line)]
    assert sum(shares) == pytest.approx(100, abs=2)
    with pytest.raises(InputError, match='weights: expected a table of numbers, "auto" or "evidence", found \'best\''):
        FitSettings(weights="best")


def test_kinds_that_say_nothing_of_their_weight():
    forces = [f.without_labels(energy=True, stress=True) for f in FRAMES]
    solution = fit_block(forces, BASIS, "C", settings=FitSettings(RIDGE), executor=SERIAL).solution
    assert solution.weights == {"force": 1.0}
    one = [*(f.without_labels(energy=True, stress=True) for f in FRAMES[1:]), FRAMES[0].without_labels(stress=True)]
    solution = fit_block(one, BASIS, "C", settings=FitSettings(RIDGE), executor=SERIAL).solution
    assert solution.weights == {"force": 1.0, "energy": 1.0}
    said = "energy: there is one label only; that says nothing of the weight of this kind, and weight 1 was taken"
    assert any(said in n for n in solution.notes)
    energies = [f.without_labels(forces=True) for f in FRAMES]
    solution = fit_block(energies, BASIS, "C", settings=FitSettings(RIDGE), executor=SERIAL).solution
    assert solution.weights["stress"] == 1.0  # the kind with most rows


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("energy", lambda f: {"energy": -1234.5678901 * len(f)}, "all 20 labels are equal once the energies of free"),
        ("stress", lambda f: {"stress": np.zeros(6)}, "all 120 labels are zero"),
        ("force", lambda f: {"forces": np.full_like(f.forces, 1e-13)}, "labels are zero"),
    ],
)
@pytest.mark.parametrize("method", ["rfactor", "gram"])
def test_equal_labels_take_weight_one_and_it_is_said(kind, change, said, method):
    """Also where they are so but for rounding, whose inverse would be a weight of 1e15; others keep theirs."""
    other = random_frames({"C": 10}, seed=1, atoms=12) + random_frames({"C": 10}, seed=2, atoms=9)
    frames = [replace(f, **change(f)) for f in labelled(other, TRUTH)]
    solution = fit_block(frames, BASIS, "C", settings=FitSettings(RIDGE, method=method), executor=SERIAL).solution
    assert solution.weights[kind] == 1.0
    assert len({w for k, w in solution.weights.items() if k != kind}) == 2
    assert all(1e-3 < w < 1e5 for w in solution.weights.values())
    (note,) = (n for n in solution.notes if "weight 1 was taken" in n)
    assert f"{kind}: " in note
    assert said in note


def test_labels_without_errors_have_finite_weights():
    exact = labelled(random_frames({"C": 20}, atoms=9), TRUTH)
    solution = fit_block(exact, BASIS, "C", settings=FitSettings(), executor=SERIAL).solution
    assert all(0.0 < w < 1e4 for w in solution.weights.values())
    np.testing.assert_allclose(solution.parameters.coefficients, TRUTH.restricted({"C"}).coefficients, atol=1e-5)


def test_views_that_differ_in_weights_have_the_same_columns():
    summaries = summarise(FRAMES, BASIS, folds=3, executor=SERIAL)
    views = [view(summaries, blocks=["C"], weights=w) for w in (AUTO, {}, {"energy": 0.0})]
    assert len({tuple(v.columns) for v in views}) == 1
