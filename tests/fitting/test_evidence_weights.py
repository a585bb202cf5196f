"""Weights by evidence: the maximum over dense rows, on both roads; known noises; what is said and what is refused."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from synthetic import labelled, random_frames, random_parameters, small_basis
from view_oracle import COUNTS, dense

from hiertl_dist import FitSettings, cross_validate, fit_block, posterior, solve, summarise, view
from hiertl_dist.algebra.errors import ConvergenceError
from hiertl_dist.errors import InputError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting import evidence_weights
from hiertl_dist.model_selection.search_settings import SearchSettings
from hiertl_dist.model_selection.search_stages import search

SERIAL = SerialExecutor()
BASIS = small_basis(orders=(4, 3, 0))
TRUTH = random_parameters(BASIS, seed=5)
NOISE = {"force": 1.0, "stress": 0.02, "energy": 2.0}
RIDGE = {"kind": "ridge", "alpha": 0.1}
BAYES = {"kind": "bayesian_ridge"}


def noisy(frames, seed=0):
    """Labels of the truth with the noise of each kind; off-diagonal stresses as the objective ``lsq`` takes them."""
    rng = np.random.default_rng(seed)
    spread = NOISE["stress"] * np.array([1, 1, 1, *[0.5**0.5] * 3])
    return [
        replace(
            f, energy=f.energy + NOISE["energy"] * rng.normal() - 300 * len(f),
            forces=f.forces + NOISE["force"] * rng.normal(size=f.forces.shape),
            stress=f.stress + spread * rng.normal(size=6),
        )
        for f in labelled(frames, TRUTH)
    ]  # fmt: skip


FRAMES = noisy(random_frames({"C": 40, "N": 8}, atoms=9))


def dense_weights(frames, alpha, guesses, objective="lsq"):
    """Noise of each kind at the largest evidence of the rows, one-body terms projected out; ridge with ``alpha``."""
    rows = dense(frames, BASIS, ["C"])
    kinds = np.array([row.person_kind for row in rows.labels])
    counts = np.sqrt([COUNTS[objective][row.kind] for row in rows.labels])
    penalised = np.array([bool(c.powers) for c in rows.columns])
    A, b = counts[:, None] * rows.matrix[:, penalised], counts * rows.target
    free = counts[:, None] * rows.matrix[:, ~penalised]
    u, s, _ = np.linalg.svd(free[kinds == "energy"])
    left = u[:, np.count_nonzero(s > 1e-9 * s[0]) :].T
    parts = {k: (A[kinds == k], b[kinds == k]) for k in ("force", "stress")}
    parts["energy"] = (left @ A[kinds == "energy"], left @ b[kinds == "energy"])

    def fall(x):
        sigma = dict(zip(parts, np.exp(x), strict=True))
        precision = alpha / sigma["force"] ** 2
        h = precision * np.eye(A.shape[1]) + sum(a.T @ a / sigma[k] ** 2 for k, (a, _) in parts.items())
        c = np.linalg.solve(h, sum(a.T @ t / sigma[k] ** 2 for k, (a, t) in parts.items()))
        energy = precision * c @ c + sum(np.sum((a @ c - t) ** 2) / sigma[k] ** 2 for k, (a, t) in parts.items())
        size = sum(2 * len(t) * math.log(sigma[k]) for k, (_, t) in parts.items()) - A.shape[1] * math.log(precision)
        prior = sum(2 * math.log(sigma[k]) + (guesses[k] / sigma[k]) ** 2 for k in parts)
        return 0.5 * (np.linalg.slogdet(h)[1] + energy + size + prior)

    best = minimize(fall, np.log(list(guesses.values())), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8})
    sigma = dict(zip(parts, np.exp(best.x), strict=True))
    return {k: sigma["force"] / s for k, s in sigma.items()}


@pytest.mark.parametrize("objective", ["lsq", "plain"])
def test_the_largest_evidence_of_dense_rows(objective):
    own = [f for f in FRAMES if f.elements == {"C"}]
    settings = FitSettings(RIDGE, weights="evidence", objective=objective)
    fit = fit_block(FRAMES, BASIS, "C", settings=settings, executor=SERIAL).solution
    summaries = summarise(FRAMES, BASIS, folds=3, executor=SERIAL)
    automatic = view(summaries, blocks=["C"], objective=objective).automatic
    guesses = {k: automatic.residuals[k] for k in ("force", "stress", "energy")}
    assert fit.weights == pytest.approx(dense_weights(own, 0.1, guesses, objective), rel=1e-3)
    chosen = view(summaries, blocks=["C"], objective=objective, weights="evidence", regulariser=RIDGE)
    assert chosen.weights == pytest.approx(fit.weights, rel=1e-4)
    solution = solve(chosen, RIDGE)
    np.testing.assert_allclose(solution.parameters.coefficients, fit.parameters.coefficients, rtol=1e-4, atol=1e-6)
    assert solution.hyperparameters["log_evidence_of_kinds"] < 0.0
    for kind, noise in NOISE.items():
        if objective == "lsq" or kind != "stress":
            assert solution.hyperparameters[f"noise_{kind}"] == pytest.approx(noise, rel=0.35)
    (line,) = (n for n in solution.notes if n.startswith("weights by evidence: "))
    for kind, weight in fit.weights.items():
        assert float(re.search(rf"{kind} ([\d.e+-]+) \(", line)[1]) == pytest.approx(weight, rel=1e-3)
    assert "noise ± " in line
    assert posterior(chosen, solution).solution is solution


def test_bayesian_ridge_has_the_alpha_and_noise_of_all_kinds_together():
    summaries = summarise(FRAMES, BASIS, folds=3, executor=SERIAL)
    chosen = view(summaries, blocks=["C"], weights="evidence")
    solution = solve(chosen, BAYES)
    assert solution.hyperparameters["noise"] == pytest.approx(solution.hyperparameters["noise_force"], rel=2e-3)
    assert not any("are those of the regulariser" in n for n in solution.notes)
    (other,) = (n for n in solve(chosen, RIDGE).notes if "are those of the regulariser" in n)
    assert "'bayesian_ridge'" in other
    assert "'ridge'" in other
    # a frozen block and columns left out go through views as they do with automatic weights
    cn = noisy(random_frames({"C": 12, "N": 12, "CN": 20}, atoms=9), 3)
    summaries = summarise(cn, BASIS, folds=2, executor=SERIAL)
    lower = [solve(view(summaries, blocks=[b]), RIDGE).parameters for b in ("C", "N")]
    upper = view(summaries, blocks=["CN"], frozen=lower, weights="evidence", regulariser=RIDGE)
    assert upper.weights["stress"] > 10 * upper.weights["force"] == 10.0
    (cross,) = cross_validate(upper, RIDGE)
    assert cross.errors is not None


def test_kinds_that_tell_little_or_nothing():
    one = [*(f.without_labels(energy=True, stress=True) for f in FRAMES[1:40]), FRAMES[0].without_labels(stress=True)]
    settings = FitSettings(RIDGE, weights="evidence")
    solution = fit_block(one, BASIS, "C", settings=settings, executor=SERIAL).solution
    assert solution.weights == {"force": 1.0, "energy": 1.0}
    assert any("energy: there is one label only" in n for n in solution.notes)
    few = [f if i < 4 else f.without_labels(energy=True) for i, f in enumerate(FRAMES[:40])]
    solution = fit_block(few, BASIS, "C", settings=settings, executor=SERIAL).solution
    (note,) = (n for n in solution.notes if "tell little of the noise" in n)
    assert re.search(r"energy: the fit leaves [\d.]+ degrees of freedom of 4 rows", note)
    assert 0.01 < solution.weights["energy"] < 10.0
    forces = [f.without_labels(energy=True, stress=True) for f in FRAMES]
    solution = fit_block(forces, BASIS, "C", settings=settings, executor=SERIAL).solution
    assert solution.weights == {"force": 1.0}
    assert solution.hyperparameters["noise_force"] == pytest.approx(NOISE["force"], rel=0.1)
    exact = labelled(random_frames({"C": 20}, atoms=9), TRUTH)
    settings = FitSettings({"kind": "ridge", "alpha": 1e-12}, weights="evidence")
    solution = fit_block(exact, BASIS, "C", settings=settings, executor=SERIAL).solution
    assert all(0.0 < w < 1e5 for w in solution.weights.values())
    assert sum("look like labels that a model of this form made" in n for n in solution.notes) == 3
    same = [replace(f, energy=-1234.5 * len(f), forces=np.zeros_like(f.forces), stress=np.zeros(6)) for f in FRAMES]
    solution = fit_block(same, BASIS, "C", settings=FitSettings(RIDGE, weights="evidence"), executor=SERIAL).solution
    assert set(solution.weights.values()) == {1.0}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"regulariser": {"kind": "lasso", "lam": 0.1}}, 'weights: "evidence" needs .* found kind "lasso"'),
        ({}, 'found kind "none": take one of these, or automatic weights'),
        ({"regulariser": {"kind": "ard"}}, 'with one variance, kind "ridge" or "bayesian_ridge"; found kind "ard"'),
        ({"regulariser": {**BAYES, "normalize": True}}, "normalize = true divides columns by their weighted lengths"),
        ({"regulariser": {**RIDGE, "penalise_one_body": True}}, "takes energies of free atoms as not penalised"),
        ({"regulariser": RIDGE, "method": "auto"}, "needs triangular factors, method \"rfactor\"; found method 'auto'"),
    ],
)
def test_what_is_refused(settings, said):
    with pytest.raises(InputError, match=said):
        FitSettings(weights="evidence", **settings)


def test_a_search_compares_them_with_others(monkeypatch):
    frames = noisy(random_frames({"C": 20}, atoms=9, groups=tuple("abcde")))
    basis = small_basis(orders=(3, 2, 0), elements=("C",))
    grid = {
        "regulariser": [{"kind": "ridge", "alpha": [0.1, 10.0]}, BAYES],
        "weights": ["auto", "evidence", {"force": 1}],
    }
    settings = SearchSettings.from_dict({"folds": {"count": 2}, "grid": grid})
    (stage,) = search(frames, basis, settings=settings, executor=SERIAL).stages
    tried = stage.selection.candidates
    assert [c.choice.weights for c in tried].count("evidence") == 3
    assert not any(c.failed for c in tried)
    assert len({c.score for c in tried}) == 9
    lasso = SearchSettings.from_dict({"grid": {**grid, "regulariser": [RIDGE, {"kind": "lasso", "lam": 0.1}]}})
    with pytest.raises(InputError, match=r'search\.grid\.weights: "evidence" needs a regulariser'):
        search(frames, basis, settings=lasso, executor=SERIAL)

    def fail(*_):
        raise ConvergenceError("noise by evidence: no maximum", 1.0)

    monkeypatch.setattr(evidence_weights, "noise_evidence", fail)
    (stage,) = search(frames, basis, settings=settings, executor=SERIAL).stages
    refused = [c for c in stage.selection.candidates if c.failed]
    assert [c.choice.weights for c in refused] == ["evidence"] * 3
    assert all(c.failed == "ConvergenceError: noise by evidence: no maximum" for c in refused)
