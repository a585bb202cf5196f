"""Rows of a prior among those of a factor: evidence and criteria of the data alone, beside dense matrices."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import multivariate_normal

from hiertl_dist.algebra import ARD, BayesianRidge, RFactor, Ridge, solve_all
from hiertl_dist.algebra.deviation import Deviation
from hiertl_dist.algebra.errors import ConvergenceError
from hiertl_dist.algebra.evidence import spectrum_of
from hiertl_dist.algebra.lasso_path import information_criteria, lasso_path
from hiertl_dist.algebra.problem import problem_of
from hiertl_dist.algebra.ridge_grid import ridge_grid
from hiertl_dist.errors import InputError

ROWS, COLUMNS = 40, 6
RNG = np.random.default_rng(7)
A = RNG.normal(size=(ROWS, COLUMNS)) @ np.diag(np.geomspace(1.0, 0.02, COLUMNS))
TRUTH = RNG.normal(size=COLUMNS)
B = A @ TRUTH + 0.3 * RNG.normal(size=ROWS)
PROBES = {"few": 0.4 * RNG.normal(size=(3, COLUMNS)), "many": 0.2 * RNG.normal(size=(15, COLUMNS))}
FREE = np.column_stack([np.repeat([1.0, 0.0], ROWS // 2), np.ones(ROWS)])


def stacked(a, b, probes):
    """The factor of data and rows of a prior, and these rows as they are merged."""
    deviation = Deviation(np.zeros(a.shape[1]), np.ones(a.shape[1]), probes)
    return deviation.scaled(RFactor.of(a, b)), deviation.held()


def dense_log_evidence(a, b, probes, alpha, noise):
    """log N(b; 0, noise² (I + A (alpha I + PᵀP)⁻¹ Aᵀ)), rows × rows."""
    precision = alpha * np.eye(a.shape[1]) + probes.T @ probes
    spread = noise**2 * (np.eye(len(b)) + a @ np.linalg.solve(precision, a.T))
    return float(multivariate_normal(np.zeros(len(b)), spread).logpdf(b))


def best_noise(a, b, probes, alpha):
    """noise² = E / N."""
    precision = alpha * np.eye(a.shape[1]) + probes.T @ probes
    x = np.linalg.solve(a.T @ a + precision, a.T @ b)
    return math.sqrt((np.sum((a @ x - b) ** 2) + x @ precision @ x) / len(b))


def dense_alpha(a, b, probes):
    """The alpha of the largest evidence, and if none at all has within 0.1 of it, the largest alpha that has, too."""

    def evidence(log_alpha):
        alpha = math.exp(log_alpha)
        return dense_log_evidence(a, b, probes, alpha, best_noise(a, b, probes, alpha))

    grid = np.linspace(-18.0, 14.0, 129)
    values = np.array([evidence(x) for x in grid])
    peak = grid[np.argmax(values)]
    best = minimize_scalar(
        lambda x: -evidence(x), bounds=(peak - 0.3, peak + 0.3), method="bounded", options={"xatol": 1e-9}
    )
    if values[0] < -best.fun - 0.1:
        return math.exp(best.x), False
    last = np.flatnonzero(values >= -best.fun - 0.1)[-1]
    return math.exp(brentq(lambda x: evidence(x) + best.fun + 0.1, grid[last], grid[last + 1])), True


@pytest.mark.parametrize("which", PROBES)
def test_evidence_is_that_of_the_data_with_the_rows_in_the_prior(which):
    probes = PROBES[which]
    summary, held = stacked(A, B, probes)
    (found,) = solve_all(summary, [BayesianRidge()], held=held)
    chosen = found.hyperparameters
    alpha, noise = chosen["alpha"], chosen["noise"]
    assert chosen["log_evidence"] == pytest.approx(dense_log_evidence(A, B, probes, alpha, noise), rel=1e-9)
    # the noise, and alpha with the noise that is best with it, are at a maximum
    assert noise == pytest.approx(best_noise(A, B, probes, alpha), rel=1e-9)
    assert max(dense_log_evidence(A, B, probes, alpha, noise * f) for f in (0.99, 1.01)) < chosen["log_evidence"]

    expected, flat = dense_alpha(A, B, probes)
    assert flat == (which == "many")
    assert math.log(alpha) == pytest.approx(math.log(expected), abs=1e-5)
    assert any("prior enough" in note for note in found.notes) == flat
    inverse = np.linalg.inv(A.T @ A + probes.T @ probes + alpha * np.eye(COLUMNS))
    assert chosen["effective_parameters"] == pytest.approx(np.trace(inverse @ A.T @ A), rel=1e-7)
    np.testing.assert_allclose(found.coefficients, inverse @ (A.T @ B), rtol=1e-7)
    # as data the same rows would have another evidence
    counted = solve_all(summary, [BayesianRidge()])[0].hyperparameters
    assert abs(counted["log_evidence"] - chosen["log_evidence"]) > 0.5


@pytest.mark.parametrize("which", PROBES)
def test_slope_of_the_evidence_by_finite_differences(which):
    summary, held = stacked(A, B, PROBES[which])
    problem = problem_of(summary, None, held)
    assert problem.counted() == ROWS
    spectrum = spectrum_of(problem, problem.factor, np.ones(COLUMNS))
    for alpha in np.geomspace(1e-6, 1e3, 10):
        step = 1e-4
        low, high = spectrum.log_evidence(alpha * np.exp([-step, step]))
        assert spectrum.rise(np.array([alpha]))[0] == pytest.approx((high - low) / step, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(("which", "weight"), [("few", 0.7), ("many", 0.7), ("many", 5.0)])
def test_deviations_have_a_mean_and_spreads(which, weight):
    probes, mean, spread = PROBES[which], np.linspace(-0.5, 0.4, COLUMNS), np.geomspace(1.0, 0.05, COLUMNS)
    deviation = Deviation(mean, spread, probes, weight)
    (found,) = solve_all(deviation.scaled(RFactor.of(A, B)), [BayesianRidge()], held=deviation.held())
    alpha, noise = found.hyperparameters["alpha"], found.hyperparameters["noise"]
    expected, flat = dense_alpha(A * spread, B - A @ mean, weight * probes * spread)
    assert flat == (weight == 5.0)
    assert math.log(alpha) == pytest.approx(math.log(expected), abs=1e-5)
    precision = alpha * np.diag(spread**-2.0) + weight**2 * probes.T @ probes
    wide = noise**2 * (np.eye(ROWS) + A @ np.linalg.solve(precision, A.T))
    expected = multivariate_normal(A @ mean, wide).logpdf(B)
    assert found.hyperparameters["log_evidence"] == pytest.approx(expected, rel=1e-9)
    inside = np.linalg.inv(A.T @ A + precision)
    np.testing.assert_allclose(
        deviation.solution(found).coefficients, mean + inside @ (A.T @ (B - A @ mean)), rtol=1e-7
    )


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(("rows", "which"), [(ROWS, "many"), (ROWS, "few"), (3, "few")])
def test_what_neither_data_nor_prior_tell_is_held_by_alpha(rows, which, exact):
    """A column that is there twice, in both: predictions are those of the column once, and shared."""
    a, probes = A[:rows], PROBES[which]
    b = (
        a @ np.linalg.svd(probes)[2][-1] if exact else (A @ (30.0 * TRUTH))[:rows] if rows < ROWS else B
    )  # of few probes what they don't see
    twice, held_twice = (np.column_stack([x, x[:, 0]]) for x in (a, probes))
    summary, held = stacked(twice, b, held_twice)
    (found,) = solve_all(summary, [BayesianRidge()], held=held)
    alpha = found.hyperparameters["alpha"]
    # (c, c') of one column of prior variance 1/alpha each: their sum has 2/alpha
    scale = np.array([np.sqrt(2.0)] + [1.0] * (COLUMNS - 1))
    once = np.vstack([a * scale, probes * scale, np.sqrt(alpha) * np.eye(COLUMNS)])
    x = np.linalg.lstsq(once, np.concatenate([b, np.zeros(len(once) - rows)]), rcond=1e-16)[0] * scale
    np.testing.assert_allclose(twice @ found.coefficients, a @ x, atol=1e-8)
    assert np.abs(found.coefficients).max() < (5.0 if rows == ROWS else 60.0)
    np.testing.assert_allclose(found.coefficients[[0, -1]], x[0] / 2.0, atol=1e-6)
    assert any("prior enough" in note for note in found.notes) == (which == "many")
    assert not any("gradient" in note for note in found.notes)
    if exact and which == "few" and rows == ROWS:
        few = "alpha is held at .*, the smallest that holds what is neither in the data nor in the probes"
        assert any(re.match(few, note) for note in found.notes)
        assert alpha == pytest.approx(np.finfo(float).eps * np.linalg.norm(np.vstack([twice, held_twice]), 2) ** 2)


def test_evidence_that_no_alpha_changes_takes_no_more_than_the_prior_has():
    """Strong probes leave nothing to tell: alpha stays finite, and so do the coefficients' errors."""
    summary, held = stacked(A, B, 1500.0 * PROBES["many"])
    (found,) = solve_all(summary, [BayesianRidge()], held=held)
    largest = np.linalg.norm(1500.0 * PROBES["many"], 2) ** 2
    assert found.hyperparameters["alpha"] == pytest.approx(largest)
    assert "the probes are prior enough: the log evidence is the same within 0.1 without alpha" in found.notes[0]


def test_too_few_steps_to_the_largest_alpha_are_an_error():
    summary, held = stacked(A, A @ TRUTH, PROBES["many"])
    with pytest.raises(ConvergenceError, match=r"largest alpha that loses 0\.1 of the log evidence"):
        solve_all(summary, [BayesianRidge(max_iter=1, tolerance=1e-12)], held=held)


def test_without_rows_of_a_prior_nothing_changes():
    summary = RFactor.of(A, B)
    (plain,) = solve_all(summary, [BayesianRidge()])
    (none,) = solve_all(summary, [BayesianRidge()], held=np.zeros((0, COLUMNS)))
    for key, value in plain.hyperparameters.items():
        assert none.hyperparameters[key] == pytest.approx(value, rel=1e-9)


def test_columns_without_a_penalty_are_set_apart():
    probes = np.column_stack([np.zeros((15, 2)), PROBES["many"]])
    summary, held = stacked(np.column_stack([FREE, A]), B + FREE @ [3.0, -200.0], probes)
    (found,) = solve_all(summary, [BayesianRidge()], float(ROWS), [0, 1], held=held)
    # what is orthogonal to them has two rows less, and their prior is flat
    left = np.linalg.qr(FREE, mode="complete")[0][:, 2:]
    alpha, noise = found.hyperparameters["alpha"], found.hyperparameters["noise"]
    expected = dense_log_evidence(left.T @ A, left.T @ B, PROBES["many"], alpha, noise)
    assert found.hyperparameters["log_evidence"] == pytest.approx(expected, rel=1e-9)
    probes[0, 1] = 1.0
    summary, held = stacked(np.column_stack([FREE, A]), B, probes)
    with pytest.raises(ValueError, match="expected zeros in the columns that are not penalised"):
        solve_all(summary, [BayesianRidge()], float(ROWS), [0, 1], held=held)


def test_columns_of_length_one():
    summary, held = stacked(A, B, PROBES["few"])
    (found,) = solve_all(summary, [BayesianRidge(normalize=True)], held=held)
    lengths = np.sqrt(np.sum(A**2, axis=0) + np.sum(PROBES["few"] ** 2, axis=0))
    chosen = found.hyperparameters
    expected = dense_log_evidence(A / lengths, B, PROBES["few"] / lengths, chosen["alpha"], chosen["noise"])
    assert chosen["log_evidence"] == pytest.approx(expected, rel=1e-9)


def test_fewer_data_than_columns_and_columns_that_only_the_prior_has():
    few = A[:4].copy()
    few[:, 2] = 0.0
    b = few @ (10.0 * TRUTH)
    summary, held = stacked(few, b, PROBES["many"])
    (found,) = solve_all(summary, [BayesianRidge()], held=held)
    chosen = found.hyperparameters
    expected = dense_log_evidence(few, b, PROBES["many"], chosen["alpha"], chosen["noise"])
    assert chosen["log_evidence"] == pytest.approx(expected, rel=1e-8)
    assert 0.0 <= chosen["effective_parameters"] <= 4.0


def test_ard_says_why_not():
    summary, held = stacked(A, B, PROBES["few"])
    with pytest.raises(InputError, match="bayesian_ridge, whose evidence has these rows in it"):
        solve_all(summary, [ARD()], held=held)
    assert solve_all(summary, [Ridge(1.0)], held=held)[0].rank == COLUMNS


@pytest.mark.parametrize("free", [False, True])
def test_generalised_cross_validation_is_of_the_data(free):
    probes = PROBES["many"]
    a = np.column_stack([FREE, A]) if free else A
    p = np.column_stack([np.zeros((15, 2)), probes]) if free else probes
    summary, held = stacked(a, B, p)
    alphas = [1e-4, 0.1, 30.0]
    grid = ridge_grid(summary, alphas, unpenalised=[0, 1] if free else (), held=held)
    assert grid.n_counted == ROWS
    for i, alpha in enumerate(alphas):
        penalty = alpha * np.diag([0.0] * (a.shape[1] - COLUMNS) + [1.0] * COLUMNS)
        hat = a @ np.linalg.solve(a.T @ a + p.T @ p + penalty, a.T)
        left = float(np.sum((B - hat @ B) ** 2))
        assert grid.residual_norm2[i] == pytest.approx(left, rel=1e-8)
        assert grid.degrees_of_freedom[i] == pytest.approx(np.trace(hat), rel=1e-8)
        assert grid.gcv[i] == pytest.approx(ROWS * left / (ROWS - np.trace(hat)) ** 2, rel=1e-8)


def test_residuals_below_the_rounding_of_a_difference_are_not_negative():
    """Exact data that outweigh the probes by far: of ‖A c − b‖² + ‖P c‖² − ‖P c‖² rounding is left."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        a = 1e9 * rng.normal(size=(COLUMNS, COLUMNS))
        summary, held = stacked(a, a @ TRUTH, rng.normal(size=(15, COLUMNS)))
        grid = ridge_grid(summary, [1e-3, 1.0], held=held)
        assert (grid.residual_norm2 >= 0.0).all()
        assert (grid.gcv >= 0.0).all()


@pytest.mark.parametrize(("free", "l2"), [(False, 0.0), (True, 0.0), (False, 1e-3)])
def test_criteria_of_a_path_are_of_the_data(free, l2):
    probes = PROBES["few"]
    a = np.column_stack([FREE, A]) if free else A
    p = np.column_stack([np.zeros((3, 2)), probes]) if free else probes
    summary, held = stacked(a, B, p)
    options = {"lam_min": 1e-3, "l2": l2, "unpenalised": [0, 1] if free else ()}
    path = lasso_path(summary, held=held, **options)
    assert path.rows == ROWS
    first = a.shape[1] - COLUMNS
    for c, residual, freedom in zip(path.coefficients, path.residual_norm2, path.degrees_of_freedom, strict=True):
        assert residual == pytest.approx(np.sum((a @ c - B) ** 2), rel=1e-8)
        active = np.flatnonzero((c != 0.0) | (np.arange(len(c)) < first))
        penalty = l2 * ROWS * np.diag((active >= first).astype(float))
        inside = a[:, active].T @ a[:, active] + p[:, active].T @ p[:, active] + penalty
        expected = np.trace(np.linalg.solve(inside, a[:, active].T @ a[:, active]))
        assert freedom == pytest.approx(expected, rel=1e-7, abs=1e-9)
    np.testing.assert_allclose(path.bic, information_criteria(path.residual_norm2, path.degrees_of_freedom, ROWS)[1])
    # the trace is the divergence of what is fitted, by finite differences (Stein)
    lam = float(np.sqrt(path.lams[-1] * path.lams[-2]))
    divergence, step = 0.0, 1e-5
    for i in range(ROWS):
        moved = []
        for sign in (-1.0, 1.0):
            b = B.copy()
            b[i] += sign * step
            one, rows = stacked(a, b, p)
            moved.append(a[i] @ lasso_path(one, held=rows, **options).at(lam))
        divergence += (moved[1] - moved[0]) / (2.0 * step)
    assert divergence == pytest.approx(path.degrees_of_freedom[-1], rel=1e-4)
