"""Many ridges from one SVD: the same predictions as one by one, degrees of freedom and GCV by their definitions."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from hiertl_dist.algebra import (
    BayesianRidge,
    Gram,
    Lasso,
    NoRegularisation,
    Regulariser,
    RFactor,
    Ridge,
    Summary,
    TruncatedSVD,
    UnsafeGram,
)
from hiertl_dist.algebra.ridge_grid import ridge_grid
from hiertl_dist.algebra.solve import solve, solve_all

KINDS = [RFactor, Gram]
SHAPES = [(60, 12), (12, 12), (7, 12), (1, 3), (13, 12)]
EPS = float(np.finfo(float).eps)


def rows_of(
    m: int, n: int, condition: float, noise: float, lengths: np.ndarray | float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([m, n])
    u = np.linalg.qr(rng.normal(size=(m, min(m, n))))[0]
    v = np.linalg.qr(rng.normal(size=(n, min(m, n))))[0]
    A = (u * np.geomspace(1.0, 1.0 / condition, min(m, n))) @ v.T * lengths
    b = A @ rng.normal(size=n)
    return A, b + noise * np.linalg.norm(b) / np.sqrt(m) * rng.normal(size=m)


@pytest.mark.parametrize("lengths", [1.0, np.logspace(0, -6, 40)], ids=["alike", "1e6 apart"])
@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.3])
@pytest.mark.parametrize("condition", [1e1, 1e6, 1e12])
def test_predictions_are_those_of_one_ridge_at_a_time(
    condition: float, noise: float, lengths: np.ndarray | float
) -> None:
    """To 1e-10, and where alpha is so small that rounding of A alone moves predictions more, to that."""
    A, b = rows_of(200, 40, condition, noise, lengths)
    summary = RFactor.of(A[:90], b[:90]).merge(RFactor.of(A[90:], b[90:]))
    alphas = 10.0 ** np.arange(-26, 5, 2)
    grid = ridge_grid(summary, alphas)
    largest = np.linalg.norm(A, 2)
    for alpha, c in zip(alphas, grid.coefficients, strict=True):
        one = solve(summary, Ridge(alpha)).coefficients
        away = np.linalg.norm(A @ (c - one)) / np.linalg.norm(b)
        lost = EPS * largest / np.sqrt(alpha) * np.linalg.norm(b - A @ one) / np.linalg.norm(b)
        assert away <= max(1e-10, lost), alpha
        if np.sqrt(alpha) >= 1e-6 * largest:
            assert away <= 1e-10


@pytest.mark.parametrize(
    ("kind", "shape"),
    [*((RFactor, shape) for shape in SHAPES), (Gram, (60, 12)), (Gram, (13, 12))],
)
def test_every_field_by_its_definition(kind: type[Summary], shape: tuple[int, int]) -> None:
    A, b = rows_of(*shape, condition=30.0, noise=0.2)
    alphas = np.array([3.0, 1e-3, 0.05])
    grid = ridge_grid(kind.of(A, np.column_stack([b, np.sin(b)])), alphas)
    m, n = shape
    for i, alpha in enumerate(alphas):
        hat = A @ np.linalg.solve(A.T @ A + alpha * np.eye(n), A.T)
        residual = b - hat @ b
        df = np.trace(hat)
        assert grid.residual_norm2[i] == pytest.approx(residual @ residual, rel=1e-8, abs=1e-13)
        assert grid.degrees_of_freedom[i] == pytest.approx(df, rel=1e-10)
        assert grid.gcv[i] == pytest.approx(m * (residual @ residual) / np.trace(np.eye(m) - hat) ** 2, rel=1e-7)
        stacked = np.vstack([A, np.sqrt(alpha) * np.eye(n)])
        assert grid.condition[i] == pytest.approx(np.linalg.cond(stacked), rel=1e-9)
        np.testing.assert_allclose(
            grid.coefficients[i], np.linalg.solve(A.T @ A + alpha * np.eye(n), A.T @ b), rtol=1e-8, atol=1e-12
        )
    assert grid.best == int(np.argmin(grid.gcv))
    assert not grid.coefficients.flags.writeable


def test_gcv_chooses_near_the_best_prediction() -> None:
    """Noise in all directions, signal in few: neither end of the grid."""
    A, _ = rows_of(150, 40, 1e5, 0.0)
    truth = np.linalg.svd(A)[2][:8].T @ np.ones(8)
    b = A @ truth + 0.01 * np.random.default_rng(2).normal(size=150)
    alphas = np.geomspace(1e-12, 1e3, 61)
    grid = ridge_grid(RFactor.of(A, b), alphas)
    off = np.linalg.norm(A @ (grid.coefficients - truth).T, axis=0)
    assert 0 < grid.best < 60
    assert off[grid.best] < 1.3 * off.min()
    assert off[grid.best] < 0.7 * min(off[0], off[-1])


def test_rows_that_the_caller_counts() -> None:
    A, b = rows_of(60, 12, 30.0, 0.2)
    twice = ridge_grid(RFactor.of(A, b), [0.1], n_counted=120)
    df, norm2 = twice.degrees_of_freedom[0], twice.residual_norm2[0]
    assert twice.gcv[0] == pytest.approx(120 * norm2 / (120 - df) ** 2)
    few = ridge_grid(RFactor.of(A, b), [1e-9, 1e3], n_counted=5)
    assert np.isinf(few.gcv[0])
    assert few.best == 1
    with pytest.raises(ValueError, match=r"GCV: .* n_counted = 5 "):
        assert ridge_grid(RFactor.of(A, b), [1e-9], n_counted=5).best


def test_columns_without_rows_get_zero() -> None:
    A, b = rows_of(20, 5, 10.0, 0.1)
    wide = np.insert(A, [0, 3], 0.0, axis=1)
    grid = ridge_grid(RFactor.of(wide, b), [0.1, 1.0])
    np.testing.assert_array_equal(grid.coefficients[:, [0, 4]], 0.0)
    alone = ridge_grid(RFactor.of(A, b), [0.1, 1.0])
    np.testing.assert_allclose(np.delete(grid.coefficients, [0, 4], axis=1), alone.coefficients, rtol=1e-10)
    np.testing.assert_allclose(grid.gcv, alone.gcv, rtol=1e-10)
    nothing = ridge_grid(RFactor.of(np.zeros((4, 3)), np.ones(4)), [1.0])
    assert (nothing.residual_norm2[0], nothing.degrees_of_freedom[0], nothing.gcv[0]) == (4.0, 0.0, 1.0)
    assert ridge_grid(RFactor.of(A, b), []).coefficients.shape == (0, 5)


@pytest.mark.parametrize("alphas", [[0.0], [-1.0], [np.nan], [np.inf], 1.0, [[1.0]]])
def test_refuses_alphas(alphas: object) -> None:
    with pytest.raises(ValueError, match="alphas: expected a list of finite numbers > 0"):
        ridge_grid(RFactor.of(np.eye(3), np.ones(3)), alphas)


def test_refuses_counts_and_grams() -> None:
    A, b = rows_of(60, 12, 1e9, 0.0)
    with pytest.raises(ValueError, match="n_counted"):
        ridge_grid(RFactor.of(A, b), [1.0], n_counted=0)
    with pytest.raises(UnsafeGram):
        ridge_grid(Gram.of(A, b), [1.0])


def mixed(count: int) -> list[Regulariser]:
    ridges: list[Regulariser] = [Ridge(a) for a in np.geomspace(1e-9, 10.0, count)]
    return [NoRegularisation(), *ridges[: count // 2], Lasso(1e-4), TruncatedSVD(1e-5), *ridges[count // 2 :]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [2, 20])
def test_solve_all_is_solve_for_each(kind: type[Summary], count: int) -> None:
    A, b = rows_of(80, 14, 1e4, 0.05)
    summary = kind.of(np.insert(A, 2, 0.0, axis=1), b)
    regularisers = mixed(count)
    found = solve_all(summary, regularisers)
    assert len(found) == len(regularisers)
    for regulariser, together in zip(regularisers, found, strict=True):
        alone = solve(summary, regulariser)
        scale = np.linalg.norm(alone.coefficients)
        np.testing.assert_allclose(together.coefficients, alone.coefficients, rtol=1e-9, atol=1e-10 * scale)
        assert (together.rank, together.nonzeros, together.method, together.notes) == (
            alone.rank, alone.nonzeros, alone.method, alone.notes,
        )  # fmt: skip
        assert together.residual_norm2 == pytest.approx(alone.residual_norm2, rel=1e-10)
        assert together.hyperparameters == alone.hyperparameters
        if isinstance(regulariser, Ridge):
            np.testing.assert_array_equal(together.penalties, np.full(15, regulariser.alpha))
            assert together.gradient_norm is not None
            assert together.gradient_norm < 1e-10


def test_solve_all_decomposes_once_where_that_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[solve.__module__]  # the package's attribute of that name is the function
    calls: list[float] = []
    original = module.ridge
    monkeypatch.setattr(module, "ridge", lambda factor, alpha: calls.append(alpha) or original(factor, alpha))
    A, b = rows_of(80, 14, 1e4, 0.05)
    summary = RFactor.of(A, b)
    ridges = [Ridge(a) for a in np.geomspace(1e-6, 1.0, 7)]
    solve_all(summary, ridges)
    assert len(calls) == 7
    for more in ([Ridge(2.0)], [TruncatedSVD(1e-3)], [BayesianRidge()]):
        calls.clear()
        solutions = solve_all(summary, [*ridges, *more])
        assert calls == []
        s = np.linalg.svd(A, compute_uv=False)
        exact = np.sqrt((s[0] ** 2 + 1e-6) / (s[-1] ** 2 + 1e-6))
        assert solutions[0].condition == pytest.approx(exact, rel=1e-9)


def test_solve_all_lets_each_ridge_of_a_gram_be_safe_or_not() -> None:
    A, b = rows_of(60, 12, 1e12, 0.0)
    found = solve_all(Gram.of(A, b), [Ridge(a) for a in np.geomspace(1e-4, 1.0, 20)])
    expected = solve(RFactor.of(A, b), Ridge(1e-4)).coefficients
    np.testing.assert_allclose(found[0].coefficients, expected, rtol=1e-9)
    with pytest.raises(UnsafeGram):
        solve_all(Gram.of(A, b), [Ridge(1e-4), NoRegularisation()])
