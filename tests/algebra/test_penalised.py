"""Elastic net and adaptive LASSO: optimality checked on the rows, scikit-learn where that converges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiertl_dist.algebra import ConvergenceError, RFactor
from hiertl_dist.algebra.direct import ridge
from hiertl_dist.algebra.factor import Factor, factor_of_rows
from hiertl_dist.algebra.lasso import lasso
from hiertl_dist.algebra.lasso_path import lasso_path
from hiertl_dist.algebra.penalised import adaptive_factors, adaptive_lasso, elastic_net


def problem(m: int, n: int, condition: float = 10.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, m, n])
    mixed = rng.normal(size=(n, n)) * np.geomspace(1.0, 1.0 / condition, n)[:, np.newaxis]
    A = rng.normal(size=(m, n)) @ mixed
    return A, A @ (rng.normal(size=n) * (rng.random(n) < 0.5)) + 0.1 * rng.normal(size=m)


def factor_of(A: np.ndarray, b: np.ndarray) -> Factor:
    return factor_of_rows(RFactor.of(A, b))


def gap_on_rows(A: np.ndarray, b: np.ndarray, penalty: np.ndarray | float, c: np.ndarray, mu2: float = 0.0) -> float:
    """Largest violation of optimality relative to the penalty (scalar or (n,)), from the rows."""
    mu = np.broadcast_to(penalty, c.shape)
    s = A.T @ (b - A @ c) - mu2 * c
    return float(np.max(np.where(c != 0, np.abs(s - mu * np.sign(c)), np.maximum(np.abs(s) - mu, 0)) / mu))


@pytest.mark.parametrize(("lam", "ratio"), [(1e-1, 0.5), (1e-2, 0.9), (1e-3, 0.1)])
def test_elastic_net_agrees_with_coordinate_descent(lam: float, ratio: float) -> None:
    from sklearn.linear_model import ElasticNet

    A, b = problem(80, 15)
    answer = elastic_net(factor_of(A, b), 80 * lam * ratio, 80 * lam * (1 - ratio))
    fitted = ElasticNet(alpha=lam, l1_ratio=ratio, fit_intercept=False, tol=1e-14, max_iter=1_000_000).fit(A, b)
    np.testing.assert_allclose(answer.coefficients, fitted.coef_, atol=1e-9)
    assert answer.kkt_gap is not None
    assert answer.kkt_gap <= 1e-8
    assert answer.rank == np.count_nonzero(fitted.coef_)
    assert answer.notes == ()


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    m=st.integers(1, 25), n=st.integers(1, 12), seed=st.integers(0, 9),
    fraction=st.sampled_from([1e-4, 1e-2, 0.3, 2.0]), mu2=st.sampled_from([0.0, 1e-8, 1e-2, 10.0]),
    condition=st.sampled_from([10.0, 1e6]),
)  # fmt: skip
def test_elastic_net_is_optimal_for_every_shape(
    m: int, n: int, seed: int, fraction: float, mu2: float, condition: float
) -> None:
    A, b = problem(m, n, condition, seed)
    mu1 = fraction * float(np.abs(A.T @ b).max())
    answer = elastic_net(factor_of(A, b), mu1, mu2)
    assert gap_on_rows(A, b, mu1, answer.coefficients, mu2) < 1e-7
    if fraction > 1.0:
        assert answer.rank == 0


def test_elastic_net_at_its_ends() -> None:
    factor = factor_of(*problem(60, 12, 1e3))
    plain, same = lasso(factor, 0.5), elastic_net(factor, 0.5, 0.0)
    assert plain.coefficients.tobytes() == same.coefficients.tobytes()
    nearly = elastic_net(factor, 1e-7, 3.0)
    np.testing.assert_allclose(nearly.coefficients, ridge(factor, 3.0).coefficients, atol=1e-7)


def test_elastic_net_keeps_repeated_columns_together() -> None:
    """Zou and Hastie's grouping effect: equal columns get equal coefficients, however small mu2 is."""
    A, b = problem(60, 6)
    wide = np.hstack([A, A])
    c = elastic_net(factor_of(wide, b), 0.5, 1e-3).coefficients
    np.testing.assert_allclose(c[:6], c[6:], rtol=1e-6, atol=1e-9)


def test_elastic_net_that_misses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gap is that of the rows given, not of what was made of them."""
    from hiertl_dist.algebra import penalised

    stacked = penalised.stacked_on_identity
    monkeypatch.setattr(penalised, "stacked_on_identity", lambda factor, mu2: stacked(factor, 1.01 * mu2))
    with pytest.raises(ConvergenceError, match="expected a violation of optimality") as failure:
        elastic_net(factor_of(*problem(60, 12)), 0.5, 5.0)
    assert failure.value.gap > 1e-4


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    m=st.integers(1, 25), n=st.integers(1, 12), seed=st.integers(0, 9), gamma=st.sampled_from([0.5, 1.0, 2.0]),
    fraction=st.sampled_from([1e-3, 0.1, 0.9, 2.0]), alpha=st.sampled_from([1e-3, 1.0]),
)  # fmt: skip
def test_adaptive_lasso_is_optimal_for_every_shape(
    m: int, n: int, seed: int, gamma: float, fraction: float, alpha: float
) -> None:
    A, b = problem(m, n, 100.0, seed)
    p = np.linalg.solve(A.T @ A + alpha * np.eye(n), A.T @ b)
    factors = np.abs(p) ** gamma
    mu = fraction * float(np.abs(factors * (A.T @ b)).max())
    answer = adaptive_lasso(factor_of(A, b), mu, alpha, gamma)
    assert gap_on_rows(A, b, mu / factors, answer.coefficients) < 1e-6
    assert answer.rank == np.count_nonzero(answer.coefficients)
    assert answer.kkt_gap is not None
    assert answer.kkt_gap <= 1e-7
    if fraction > 1.0:
        assert answer.rank == 0


def test_adaptive_lasso_leaves_out_what_the_first_step_leaves_out() -> None:
    A, b = problem(60, 6)
    # orthogonal to all else and to the target
    basis = np.linalg.qr(np.column_stack([A, b, np.random.default_rng(1).normal(size=60)]))[0]
    factor = factor_of(np.column_stack([A, basis[:, -1]]), b)
    exact = Factor(factor.R.copy(order="F"), factor.z.copy())
    exact.R[:6, 6] = 0.0
    exact.z[6] = 0.0
    answer = adaptive_lasso(exact, 1e-8, 1e-2, 1.0)
    assert ridge(exact, 1e-2).coefficients[6] == 0.0
    assert answer.coefficients[6] == 0.0
    assert np.count_nonzero(answer.coefficients) == 6


def test_adaptive_lasso_underflow_is_zero_and_overflow_is_refused() -> None:
    A, b = problem(40, 4)
    small = adaptive_lasso(factor_of(A, 1e-3 * b), 1.0, 1.0, 300.0)
    np.testing.assert_array_equal(small.coefficients, 0.0)
    assert small.kkt_gap == 0.0
    with pytest.raises(ValueError, match=r"gamma: .* of column \d is not finite"):
        adaptive_lasso(factor_of(A, 1e3 * b), 1.0, 1.0, 300.0)


def test_adaptive_lasso_is_less_biased_and_finds_the_true_columns() -> None:
    rng = np.random.default_rng(5)
    A = rng.normal(size=(300, 20))
    truth = np.zeros(20)
    truth[[1, 4, 9]] = 3.0, -2.0, 1.5
    factor = factor_of(A, A @ truth + rng.normal(size=300))
    adaptive = adaptive_lasso(factor, 30.0, 1e-3, 1.0).coefficients
    plain = lasso(factor, 30.0).coefficients
    assert set(np.flatnonzero(adaptive)) == {1, 4, 9}
    assert np.linalg.norm(adaptive - truth) < np.linalg.norm(plain - truth)


def test_the_paths_end_where_the_solvers_are() -> None:
    A, b = problem(90, 20, 1e3)
    summary, factor = RFactor.of(A, b), factor_of(A, b)
    net = lasso_path(summary, lam_min=1e-3, l2=2e-3)
    np.testing.assert_allclose(net.at(5e-3), elastic_net(factor, 90 * 5e-3, 90 * 2e-3).coefficients, atol=1e-9)
    with np.errstate(divide="ignore"):
        adaptive = lasso_path(summary, lam_min=1e-3, weights=1.0 / adaptive_factors(factor, 0.1, 1.0))
    expected = adaptive_lasso(factor, 90 * 5e-3, 0.1, 1.0).coefficients
    np.testing.assert_allclose(A @ adaptive.at(5e-3), A @ expected, atol=1e-8)
