"""The LASSO exactly at λ: optimality checked on the rows, coordinate descent where that converges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso as CoordinateDescent

from hiertl_dist.algebra import ConvergenceError, Gram, Lasso, RFactor, Summary
from hiertl_dist.algebra import lasso as lasso_module
from hiertl_dist.algebra.solve import solve

KINDS = [RFactor, Gram]


def problem(m: int, n: int, condition: float = 10.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, m, n])
    mixed = rng.normal(size=(n, n)) * np.geomspace(1.0, 1.0 / condition, n)[:, np.newaxis]
    A = rng.normal(size=(m, n)) @ mixed
    return A, A @ (rng.normal(size=n) * (rng.random(n) < 0.5)) + 0.1 * rng.normal(size=m)


def gap_on_rows(A: np.ndarray, b: np.ndarray, penalty: np.ndarray | float, c: np.ndarray) -> float:
    """Largest violation of optimality relative to the penalty (scalar or (n,)), from the rows."""
    mu = np.broadcast_to(penalty, c.shape)
    s = A.T @ (b - A @ c)
    return float(np.max(np.where(c != 0, np.abs(s - mu * np.sign(c)), np.maximum(np.abs(s) - mu, 0)) / mu))


def coordinate_descent(A: np.ndarray, b: np.ndarray, lam: float) -> np.ndarray:
    return CoordinateDescent(alpha=lam, fit_intercept=False, tol=1e-14, max_iter=1_000_000).fit(A, b).coef_


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lam", [1e-1, 1e-2, 1e-4])
def test_agrees_with_coordinate_descent(kind: type[Summary], lam: float) -> None:
    A, b = problem(80, 15)
    solution = solve(kind.of(A, b), Lasso(lam))
    np.testing.assert_allclose(solution.coefficients, coordinate_descent(A, b, lam), atol=1e-8)
    assert solution.kkt_gap is not None
    assert solution.kkt_gap <= 1e-8
    assert solution.nonzeros == np.count_nonzero(solution.coefficients)
    assert solution.rank == np.linalg.matrix_rank(A)
    assert solution.gradient_norm is None
    assert gap_on_rows(A, b, lam * 80, solution.coefficients) < 1e-8


@pytest.mark.parametrize("condition", [1e3, 1e6, 1e9])
@pytest.mark.parametrize("lam", [1e-3, 1e-5, 1e-6])
def test_is_exact_at_lambda_on_ill_conditioned_rows(condition: float, lam: float) -> None:
    A, b = problem(200, 60, condition)
    solution = solve(RFactor.of(A, b), Lasso(lam))
    assert 0 < solution.nonzeros <= 60
    assert gap_on_rows(A, b, lam * 200, solution.coefficients) < 1e-7


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    m=st.integers(1, 25),
    n=st.integers(1, 12),
    seed=st.integers(0, 5),
    fraction=st.sampled_from([1e-5, 1e-2, 0.3, 0.99, 1.0, 2.0]),
    normalize=st.booleans(),
)
def test_is_optimal_for_every_shape(m: int, n: int, seed: int, fraction: float, normalize: bool) -> None:
    A, b = problem(m, n, 100.0, seed)
    norms = np.linalg.norm(A, axis=0) if normalize else np.ones(n)
    mu = fraction * float(np.abs((A / norms).T @ b).max())
    solution = solve(RFactor.of(A, b), Lasso(mu / m, normalize))
    assert gap_on_rows(A, b, mu * norms, solution.coefficients) < 1e-7
    if fraction > 1.0:
        assert solution.nonzeros == 0


@pytest.mark.parametrize("kind", KINDS)
def test_normalize_scales_columns_and_never_centres(kind: type[Summary]) -> None:
    A, b = problem(60, 10)
    A, b = A * np.logspace(0, -2, 10) + 0.5, b + 3.0
    norms = np.linalg.norm(A, axis=0)
    solution = solve(kind.of(A, b), Lasso(1e-3, normalize=True))
    expected = solve(kind.of(A / norms, b), Lasso(1e-3)).coefficients / norms
    np.testing.assert_allclose(solution.coefficients, expected, rtol=1e-7, atol=1e-12)
    assert gap_on_rows(A, b, 1e-3 * 60 * norms, solution.coefficients) < 1e-7


def test_weights_scale_the_norms_too() -> None:
    (A, a), (B, b) = problem(40, 8), problem(30, 8, seed=1)
    weighted = RFactor.of(A, a).scale(5.0).merge(RFactor.of(B, b).scale(0.1))
    rows, target = np.vstack([5 * A, B / 10]), np.concatenate([5 * a, b / 10])
    norms = np.linalg.norm(rows, axis=0)
    solution = solve(weighted, Lasso(1e-3, normalize=True), n_counted=70)
    assert gap_on_rows(rows, target, 1e-3 * 70 * norms, solution.coefficients) < 1e-8


def test_n_counted_is_the_objectives_n() -> None:
    A, b = problem(50, 8)
    summary = RFactor.of(A, b)
    np.testing.assert_allclose(
        solve(summary, Lasso(1e-2), n_counted=100).coefficients,
        solve(summary, Lasso(2e-2)).coefficients,
        rtol=1e-12,
    )
    for bad in (0, -1, np.nan):
        with pytest.raises(ValueError, match="n_counted"):
            solve(summary, Lasso(1e-2), n_counted=bad)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalize", [False, True])
def test_large_lambda_and_zero_columns_give_zeros(kind: type[Summary], normalize: bool) -> None:
    A, b = problem(30, 6)
    A[:, 2] = 0.0
    everything_off = solve(kind.of(A, b), Lasso(1e6, normalize))
    np.testing.assert_array_equal(everything_off.coefficients, 0.0)
    assert everything_off.residual_norm2 == pytest.approx(b @ b)
    assert solve(kind.of(A, b), Lasso(1e-6, normalize)).coefficients[2] == 0.0
    assert solve(kind.of(np.zeros((3, 2)), np.ones(3)), Lasso(1.0, normalize)).kkt_gap == 0.0


def test_repeated_and_nearly_repeated_columns() -> None:
    A, b = problem(60, 10)
    rng = np.random.default_rng(8)
    wide = np.hstack([A, A[:, :5], A + 1e-9 * rng.normal(size=A.shape)])
    solution = solve(RFactor.of(wide, b), Lasso(1e-4))
    assert gap_on_rows(wide, b, 1e-4 * 60, solution.coefficients) < 1e-7
    # The fit, unlike the coefficients, is unique.
    np.testing.assert_allclose(wide @ solution.coefficients, A @ coordinate_descent(A, b, 1e-4), atol=1e-6)


@pytest.mark.parametrize("start", ["zero", "wrong signs", "everything active", "repeated active"])
def test_arrives_from_anywhere(monkeypatch: pytest.MonkeyPatch, start: str) -> None:
    """Proximal points are only a start: with none, or a bad one, the active-set search still ends at the optimum."""
    A, b = problem(40, 12, 1e3)
    A = np.hstack([A, A[:, :3]])
    starts = {
        "zero": np.zeros(15),
        "wrong signs": -np.sign(A.T @ b),
        "everything active": np.ones(15),
        "repeated active": np.r_[np.ones(3), np.zeros(9), np.ones(3)],
    }
    monkeypatch.setattr(lasso_module, "near_optimum", lambda R, z, mu: starts[start])
    solution = solve(RFactor.of(A, b), Lasso(1e-4))
    assert gap_on_rows(A, b, 1e-4 * 40, solution.coefficients) < 1e-8


def test_a_missed_optimum_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasso_module._ActiveSet, "run", lambda self: None)
    monkeypatch.setattr(lasso_module, "near_optimum", lambda R, z, mu: np.zeros(6))
    A, b = problem(30, 6)
    with pytest.raises(ConvergenceError, match="expected a violation of optimality of at most 1e-08") as failure:
        solve(RFactor.of(A, b), Lasso(1e-3))
    assert failure.value.gap > 1.0


def test_a_lambda_below_rounding_is_said() -> None:
    A, b = problem(60, 10, 1e3)
    solution = solve(RFactor.of(A, b), Lasso(1e-10))
    assert solution.kkt_gap is not None
    assert 1e-8 < solution.kkt_gap < 1e-2
    assert "rounding limits" in solution.notes[-1]


def test_same_bits_twice() -> None:
    A, b = problem(100, 40, 1e6)
    first, second = (solve(RFactor.of(A, b), Lasso(1e-6, True)).coefficients.tobytes() for _ in range(2))
    assert first == second
