"""Rows of a prior among those of a factor: evidence and criteria of the data alone, beside dense matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal

from hiertl_dist.algebra import ARD, BayesianRidge, RFactor, Ridge, solve_all
from hiertl_dist.algebra.deviation import Deviation
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

    def worse(log_alpha):
        return -dense_log_evidence(A, B, probes, math.exp(log_alpha), best_noise(A, B, probes, math.exp(log_alpha)))

    grid = np.linspace(-9.0, 9.0, 73)
    start = grid[np.argmin([worse(x) for x in grid])]
    dense = minimize_scalar(worse, bounds=(start - 1.0, start + 1.0), method="bounded", options={"xatol": 1e-8})
    assert -dense.fun <= chosen["log_evidence"] + 1e-9
    if grid[0] < start < grid[-1]:
        assert math.log(alpha) == pytest.approx(dense.x, abs=1e-3)
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
