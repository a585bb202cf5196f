"""Columns that no penalty acts on: the answers are those of the whole problem written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from hiertl_dist.algebra import (
    ARD,
    AdaptiveLasso,
    BayesianRidge,
    ElasticNet,
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
from hiertl_dist.algebra.lasso_path import lasso_path
from hiertl_dist.algebra.ridge_grid import ridge_grid
from hiertl_dist.algebra.solve import solve, solve_all
from hiertl_dist.algebra.unpenalised import determined, set_apart

FREE = [2, 5]
EVERY = [
    NoRegularisation(), TruncatedSVD(1e-3), Ridge(0.3), Lasso(0.01), ElasticNet(0.01, 0.4), AdaptiveLasso(0.01, 0.1),
    BayesianRidge(), BayesianRidge(normalize=True), ARD(), Lasso(0.01, normalize=True),
]  # fmt: skip


def made(rows: int = 60, n: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(rows, n))
    A[:, FREE] = rng.integers(1, 9, size=(rows, 2))  # counts of atoms
    A[: rows // 2, FREE] = 0.0  # rows of forces
    return A, A @ rng.normal(size=n) + 0.3 * rng.normal(size=rows)


def pooled(kind: type[Summary], A: np.ndarray, b: np.ndarray) -> Summary:
    half = len(A) // 2
    return kind.of(A[:half], b[:half]).merge(kind.of(A[half:], b[half:]))


@pytest.mark.parametrize("kind", [RFactor, Gram])
def test_ridge_is_the_minimum_with_a_penalty_on_the_others_alone(kind: type[Summary]) -> None:
    A, b = made()
    found = solve(pooled(kind, A, b), Ridge(0.3), unpenalised=FREE)
    penalties = np.where(np.isin(np.arange(8), FREE), 0.0, 0.3)
    np.testing.assert_allclose(found.coefficients, np.linalg.solve(A.T @ A + np.diag(penalties), A.T @ b), rtol=1e-9)
    np.testing.assert_array_equal(found.penalties, penalties)
    assert found.residual_norm2 == pytest.approx(np.sum((A @ found.coefficients - b) ** 2))
    assert (found.rank, found.method, found.undetermined.shape) == (8, kind.kind, (2, 0))


@pytest.mark.parametrize("regulariser", [Lasso(0.05), ElasticNet(0.05, 0.4)])
@pytest.mark.parametrize("kind", [RFactor, Gram])
def test_lasso_and_elastic_net_minimise_their_objective(kind: type[Summary], regulariser: Regulariser) -> None:
    A, b = made()
    found = solve(pooled(kind, A, b), regulariser, unpenalised=FREE)
    others = np.setdiff1d(np.arange(8), FREE)
    ratio = getattr(regulariser, "l1_ratio", 1.0)

    def objective(c: np.ndarray) -> float:
        fit = np.sum((A @ c - b) ** 2) / (2 * len(A))
        p = c[others]
        return float(fit + 0.05 * (ratio * np.abs(p).sum() + 0.5 * (1 - ratio) * p @ p))

    best = objective(found.coefficients)
    assert found.kkt_gap is not None
    assert found.kkt_gap < 1e-6
    rng = np.random.default_rng(1)
    for size in (1e-4, 1e-2, 1.0):
        assert all(objective(found.coefficients + size * rng.normal(size=8)) >= best - 1e-12 for _ in range(50))
    start = minimize(objective, found.coefficients, method="Nelder-Mead")
    assert start.fun >= best - 1e-9


@pytest.mark.parametrize("regulariser", EVERY, ids=lambda r: type(r).__name__)
@pytest.mark.parametrize("kind", [RFactor, Gram])
def test_what_is_added_in_unpenalised_columns_changes_no_other(kind: type[Summary], regulariser: Regulariser) -> None:
    A, b = made()
    shift = np.array([-300.0, 700.0])
    one = solve(pooled(kind, A, b), regulariser, unpenalised=FREE)
    other = solve(pooled(kind, A, b + A[:, FREE] @ shift), regulariser, unpenalised=FREE)
    others = np.setdiff1d(np.arange(8), FREE)
    np.testing.assert_allclose(other.coefficients[others], one.coefficients[others], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(other.coefficients[FREE], one.coefficients[FREE] + shift, rtol=1e-7, atol=1e-6)
    assert other.rank == one.rank


def test_penalise_one_body_is_the_plain_problem() -> None:
    A, b = made()
    summary = RFactor.of(A, b)
    for regulariser, plain in (
        (Ridge(0.3, penalise_one_body=True), Ridge(0.3)),
        (Lasso(0.01, penalise_one_body=True), Lasso(0.01)),
        (BayesianRidge(penalise_one_body=True), BayesianRidge()),
    ):
        found = solve(summary, regulariser, unpenalised=FREE)
        np.testing.assert_array_equal(found.coefficients, solve(summary, plain).coefficients)
        assert found.undetermined.shape == (2, 0)


def test_solve_all_gives_the_answers_of_solve() -> None:
    A, b = made()
    summary = RFactor.of(A, b)
    mixed = [*EVERY, Ridge(0.3, penalise_one_body=True), *(Ridge(a) for a in np.geomspace(1e-3, 10, 12))]
    for one, regulariser in zip(solve_all(summary, mixed, 50.0, FREE), mixed, strict=True):
        alone = solve(summary, regulariser, 50.0, FREE)
        np.testing.assert_allclose(one.coefficients, alone.coefficients, rtol=1e-8, atol=1e-10)
        assert one.rank == alone.rank


def test_dependent_unpenalised_columns_take_the_shortest_and_say_so() -> None:
    A, b = made()
    A[:, 5] = 3 * A[:, 2]
    for regulariser in (NoRegularisation(), Ridge(0.3), Lasso(0.01), ARD()):
        found = solve(RFactor.of(A, b), regulariser, unpenalised=FREE)
        assert found.undetermined.shape == (2, 1)
        np.testing.assert_allclose(abs(found.undetermined[:, 0]), np.array([3.0, 1.0]) / np.sqrt(10.0), rtol=1e-9)
        assert found.coefficients[FREE] @ found.undetermined[:, 0] == pytest.approx(0.0, abs=1e-9)
        single = solve(RFactor.of(np.delete(A, 5, axis=1), b), regulariser, unpenalised=[2])
        others = np.setdiff1d(np.arange(8), FREE)
        np.testing.assert_allclose(found.coefficients[others], np.delete(single.coefficients, 2), atol=1e-9)
    with pytest.raises(UnsafeGram):
        solve(Gram.of(A, b), Ridge(0.3), unpenalised=FREE)


@pytest.mark.parametrize("kind", [RFactor, Gram])
@pytest.mark.parametrize("regulariser", [NoRegularisation(), Ridge(0.3), BayesianRidge(), Lasso(0.01)])
def test_zero_unpenalised_columns_get_zero_and_are_undetermined(kind: type[Summary], regulariser: Regulariser) -> None:
    A, b = made()
    A[:, FREE] = 0.0
    found = solve(pooled(kind, A, b), regulariser, unpenalised=FREE)
    np.testing.assert_array_equal(found.coefficients[FREE], 0.0)
    np.testing.assert_allclose(found.undetermined @ found.undetermined.T, np.eye(2), atol=1e-12)
    assert found.rank == 6


def test_evidence_counts_the_rows_that_are_left() -> None:
    """The evidence of rows that are orthogonal to the unpenalised columns, and noise by the rows that these leave."""
    A, b = made(rows=200)
    q, _ = np.linalg.qr(A[:, FREE], mode="complete")
    rest = q[:, 2:].T
    others = np.setdiff1d(np.arange(8), FREE)
    found = solve(RFactor.of(A, b), BayesianRidge(), unpenalised=FREE)
    expected = solve(RFactor.of(rest @ A[:, others], rest @ b), BayesianRidge())
    for key in ("alpha", "noise", "log_evidence"):
        assert found.hyperparameters[key] == pytest.approx(expected.hyperparameters[key], rel=1e-6)
    taken = found.hyperparameters["effective_parameters"]
    assert taken == pytest.approx(expected.hyperparameters["effective_parameters"] + 2, rel=1e-6)


def test_grid_and_path_agree_with_single_solves() -> None:
    A, b = made()
    summary = RFactor.of(A, b)
    grid = ridge_grid(summary, [1e-2, 1.0], unpenalised=FREE)
    for i, alpha in enumerate((1e-2, 1.0)):
        found = solve(summary, Ridge(alpha), unpenalised=FREE)
        np.testing.assert_allclose(grid.coefficients[i], found.coefficients, rtol=1e-9)
        hat = A @ np.linalg.solve(A.T @ A + np.diag(found.penalties), A.T)
        assert grid.degrees_of_freedom[i] == pytest.approx(np.trace(hat))
        left = len(A) - np.trace(hat)
        assert grid.gcv[i] == pytest.approx(len(A) * found.residual_norm2 / left**2)
    path = lasso_path(summary, lam_min=1e-3, unpenalised=FREE)
    for lam in (1e3, 0.05, 1e-3):
        expected = solve(summary, Lasso(lam), unpenalised=FREE)
        np.testing.assert_allclose(path.at(lam), expected.coefficients, atol=1e-8)
    np.testing.assert_allclose(path.residual_norm2[-1], np.sum((A @ path.coefficients[-1] - b) ** 2))
    assert path.degrees_of_freedom[0] == 2


@given(
    rows=st.integers(1, 14), n=st.integers(1, 7), free=st.integers(0, 4), targets=st.integers(1, 3),
    seed=st.integers(0, 10**6),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_parts_of_any_shape_reproduce_least_squares(rows: int, n: int, free: int, targets: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    A, T = rng.normal(size=(rows, n)), rng.normal(size=(rows, targets))
    chosen = rng.permutation(n)[: min(free, n)]
    summary = RFactor.of(A, T)
    apart = set_apart(summary, chosen)
    assert apart.rank == min(rows, len(chosen))
    p = rng.normal(size=(1, n - len(chosen)))
    c = apart.joined(p)[0]
    np.testing.assert_array_equal(np.delete(c, chosen), p[0])
    # the best of the unpenalised coefficients, the others given
    residual = A @ c - T[:, 0]
    np.testing.assert_allclose(A[:, chosen].T @ residual, 0.0, atol=1e-8 * max(1.0, np.abs(c).max()))
    assert apart.rest.residual_norm2(p[0]) == pytest.approx(residual @ residual, rel=1e-8, abs=1e-12)


def test_determined_directions_of_counts() -> None:
    told, silent = determined(np.array([[3.0, 1.0], [6.0, 2.0]]), 2)
    assert (told.shape, silent.shape) == ((2, 1), (2, 1))
    told, silent = determined(np.zeros((0, 2)), 0)
    assert (told.shape, silent.shape) == ((2, 0), (2, 2))
