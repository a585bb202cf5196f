"""Least squares, truncated SVD and ridge from summaries, and the refusals of the normal equations."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest

from hiertl_dist.algebra import (
    ARD,
    GRAM_CONDITION_LIMIT,
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
from hiertl_dist.algebra.solve import solve

KINDS = [RFactor, Gram]


def with_condition(m: int, n: int, condition: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(A, b) with singular values 1 … 1/condition that no scaling of columns can hide, and a residual."""
    rng = np.random.default_rng([seed, m, n])
    u = np.linalg.qr(rng.normal(size=(m, min(m, n))))[0]
    v = np.linalg.qr(rng.normal(size=(n, min(m, n))))[0]
    A = (u * np.geomspace(1.0, 1.0 / condition, min(m, n))) @ v.T
    return A, A @ rng.normal(size=n) + 1e-3 * rng.normal(size=m)


def exact_least_squares(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The least-squares solution of these very floats, by normal equations in rational numbers."""
    rows = [[Fraction(x) for x in row] for row in A.tolist()]
    target = [Fraction(x) for x in b.tolist()]
    n = A.shape[1]
    system = [
        [sum(r[i] * r[j] for r in rows) for j in range(n)] + [sum(r[i] * t for r, t in zip(rows, target, strict=True))]
        for i in range(n)
    ]
    for i in range(n):
        for j in range(i + 1, n):
            ratio = system[j][i] / system[i][i]
            system[j] = [x - ratio * y for x, y in zip(system[j], system[i], strict=True)]
    c = [Fraction(0)] * n
    for i in reversed(range(n)):
        c[i] = (system[i][n] - sum(system[i][j] * c[j] for j in range(i + 1, n))) / system[i][i]
    return np.array([float(x) for x in c])


@pytest.mark.parametrize("n", [9, 11, 13])
def test_rfactor_is_as_accurate_as_the_condition_allows(n: int) -> None:
    """Vandermonde matrices, condition 3e5 … 1e9 on columns of length 1, built by a tree of merges."""
    A = np.vander(np.linspace(-1.0, 1.0, 40), n, increasing=True) @ np.tril(np.ones((n, n)))
    A = A * np.logspace(0, -4, n)
    b = A @ np.linspace(1.0, 2.0, n)
    truth = exact_least_squares(A, b)
    quarters = [RFactor.of(A[i::4], b[i::4]) for i in range(4)]
    tree = quarters[0].merge(quarters[1]).merge(quarters[2].merge(quarters[3]))
    solution = solve(tree, NoRegularisation())
    condition = np.linalg.cond(A / np.linalg.norm(A, axis=0))
    scale = np.linalg.norm(A, axis=0)
    error = np.linalg.norm((solution.coefficients - truth) * scale) / np.linalg.norm(truth * scale)
    assert solution.rank == n
    assert error < 50 * np.finfo(float).eps * condition
    assert condition / n < solution.condition < condition * n


@pytest.mark.parametrize("condition", [1e8, 1e10, 1e12])
def test_gram_refuses_where_rfactor_solves(condition: float) -> None:
    A, _ = with_condition(60, 12, condition)
    c = np.linspace(-1.0, 1.0, 12)
    b = A @ c
    found = solve(RFactor.of(A, b), NoRegularisation())
    assert np.linalg.norm(found.coefficients - c) < 1e3 * np.finfo(float).eps * condition
    with pytest.raises(UnsafeGram, match=r'condition number .* 1e\+06.*method = "rfactor" or "auto"') as refusal:
        solve(Gram.of(A, b), NoRegularisation())
    assert refusal.value.condition > GRAM_CONDITION_LIMIT
    again = pickle.loads(pickle.dumps(refusal.value))
    assert (str(again), again.condition) == (str(refusal.value), refusal.value.condition)


def test_gram_names_its_estimate() -> None:
    A, b = with_condition(60, 12, 3e7)
    with pytest.raises(UnsafeGram) as refusal:
        solve(Gram.of(A, b), NoRegularisation())
    assert 3e6 < refusal.value.condition < 3e8
    assert f"estimated at {refusal.value.condition:.2g}" in str(refusal.value)


@pytest.mark.parametrize("regulariser", [NoRegularisation(), TruncatedSVD(1e-3)])
def test_gram_of_few_rows_is_refused(regulariser: NoRegularisation | TruncatedSVD) -> None:
    A, b = with_condition(4, 9, 10.0)
    with pytest.raises(UnsafeGram):
        solve(Gram.of(A, b), regulariser)


def test_regularisation_makes_a_gram_safe() -> None:
    A, b = with_condition(60, 12, 1e12)
    np.testing.assert_allclose(
        solve(Gram.of(A, b), Ridge(1e-4)).coefficients,
        solve(RFactor.of(A, b), Ridge(1e-4)).coefficients,
        rtol=1e-9,
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(50, 8), (8, 8), (5, 8), (1, 8), (9, 8)])
def test_ridge(kind: type[Summary], shape: tuple[int, int]) -> None:
    A, b = with_condition(*shape, condition=100.0)
    solution = solve(kind.of(A, b), Ridge(0.01))
    expected = np.linalg.solve(A.T @ A + 0.01 * np.eye(8), A.T @ b)
    np.testing.assert_allclose(solution.coefficients, expected, rtol=1e-9, atol=1e-13)
    residual = A @ expected - b
    assert solution.residual_norm2 == pytest.approx(residual @ residual, rel=1e-9, abs=1e-14)
    assert solution.method == kind.kind
    assert solution.notes == ()


@pytest.mark.parametrize("alpha", [1e-16, 1e-14, 1e-8, 1e-2])
@pytest.mark.parametrize("n", [30, 300])
def test_ridge_meets_its_gradient_criterion(n: int, alpha: float) -> None:
    """Condition of the regularised factor up to 1e8, on the rows themselves rather than on the factor."""
    A, b = with_condition(3 * n, n, 1e9)
    c = solve(RFactor.of(A, b), Ridge(alpha)).coefficients
    gradient = A.T @ (b - A @ c) - alpha * c
    assert np.linalg.norm(gradient) <= 1e-10 * np.linalg.norm(A.T @ b)


def test_ridge_says_when_it_misses_the_criterion() -> None:
    rng = np.random.default_rng(0)
    A, _ = with_condition(30, 10, 1e13)
    solution = solve(RFactor.of(A, rng.normal(size=30)), Ridge(1e-26))
    assert solution.gradient_norm is not None
    assert solution.gradient_norm > 1e-10
    assert "relative gradient" in solution.notes[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tolerance", [1e-5, 0.03, 0.3])
def test_truncated_svd(kind: type[Summary], tolerance: float) -> None:
    A, b = with_condition(40, 10, 1e3)
    solution = solve(kind.of(A, b), TruncatedSVD(tolerance))
    expected, _, rank, s = np.linalg.lstsq(A, b, rcond=tolerance)
    np.testing.assert_allclose(solution.coefficients, expected, rtol=1e-8)
    assert solution.rank == rank
    assert solution.condition == pytest.approx(s[0] / s[rank - 1], rel=1e-6)


def shortest_solution(A: np.ndarray, b: np.ndarray, null: list[list[Fraction]], kept: list[int]) -> np.ndarray:
    """The shortest of the least-squares solutions, in rational numbers: one of the columns ``kept``, less what lies
    along the ``null`` vectors, which are orthogonal to one another."""
    c = [Fraction(0)] * A.shape[1]
    for place, value in zip(kept, exact_least_squares(A[:, kept], b).tolist(), strict=True):
        c[place] = Fraction(value)
    for vector in null:
        along = sum(v * x for v, x in zip(vector, c, strict=True)) / sum(v * v for v in vector)
        c = [x - along * v for v, x in zip(vector, c, strict=True)]
    return np.array([float(x) for x in c])


@pytest.mark.parametrize("lengths", [np.ones(9), np.logspace(0, -5, 9)])
def test_dependent_columns_get_the_shortest_solution(lengths: np.ndarray) -> None:
    """To the rounding that the condition of the columns allows, whatever the order of sums in this machine's BLAS.

    A bound on each coefficient relative to itself would fail: the smallest is 3e-7 of the largest, and the rounding of
    the columns by the last digit changes it by 1e-8.
    """
    rng = np.random.default_rng(3)
    A = rng.normal(size=(30, 9))
    A[:, 4] = A[:, 1]
    A[:, 7] = A[:, 0] - 2.0 * A[:, 2]
    A *= lengths
    b = rng.normal(size=30)
    inverse = [1 / Fraction(x) for x in lengths.tolist()]
    null = [[Fraction(0)] * 9 for _ in range(2)]
    null[0][1], null[0][4] = inverse[1], -inverse[4]
    null[1][0], null[1][2], null[1][7] = inverse[0], -2 * inverse[2], -inverse[7]
    truth = shortest_solution(A, b, null, [0, 1, 2, 3, 5, 6, 8])
    singular = np.linalg.svd(A, compute_uv=False)
    bound = len(b) * np.finfo(float).eps * singular[0] / singular[6]
    order = rng.permutation(9)
    for columns in (np.arange(9), order):
        found = solve(RFactor.of(A[:, columns], b), NoRegularisation())
        assert found.rank == 7
        assert "2 of 9 columns depend on others" in found.notes[0]
        error = found.coefficients - truth[columns]
        assert np.linalg.norm(error) < bound * np.linalg.norm(truth)
        # short columns have long coefficients, beside which the others would not show
        assert np.linalg.norm(error * lengths[columns]) < bound * np.linalg.norm(truth * lengths)
        assert found.gradient_norm is not None
        assert found.gradient_norm < 1e-12


@pytest.mark.parametrize("m", [1, 4, 7, 8])
def test_fewer_rows_than_columns_fit_exactly_with_the_shortest_solution(m: int) -> None:
    rng = np.random.default_rng(m)
    A, b = rng.normal(size=(m, 8)), rng.normal(size=m)
    for regulariser in (NoRegularisation(), TruncatedSVD(1e-12)):
        solution = solve(RFactor.of(A, b), regulariser)
        assert solution.rank == m
        np.testing.assert_allclose(solution.coefficients, np.linalg.pinv(A) @ b, atol=1e-11)
        assert solution.residual_norm2 < 1e-20


def test_tolerance_decides_the_rank() -> None:
    rng = np.random.default_rng(5)
    A = rng.normal(size=(30, 6))
    A[:, 5] = A[:, 0] + 1e-6 * rng.normal(size=30)
    summary = RFactor.of(A, rng.normal(size=30))
    default = solve(summary, NoRegularisation())
    assert default.rank == 6
    assert default.hyperparameters == {"tolerance": 30 * np.finfo(float).eps}
    stated = solve(summary, NoRegularisation(tolerance=1e-4))
    assert stated.rank == 5
    assert stated.hyperparameters == {"tolerance": 1e-4}
    assert "1 of 6 columns depend on others, to a relative tolerance of 1.0e-04" in stated.notes[0]
    truncated = solve(summary, TruncatedSVD(1e-4))
    assert truncated.hyperparameters == {"tolerance": 1e-4}
    assert truncated.notes == ("5 of 6 singular values exceed 1.0e-04 of the largest; the others count as zero",)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("regulariser", [NoRegularisation(), TruncatedSVD(1e-9), Ridge(0.1)])
def test_zero_columns_get_zero(kind: type[Summary], regulariser: NoRegularisation) -> None:
    A, b = with_condition(20, 5, 10.0)
    wide = np.insert(A, [0, 3], 0.0, axis=1)
    solution = solve(kind.of(wide, b), regulariser)
    np.testing.assert_array_equal(solution.coefficients[[0, 4]], 0.0)
    np.testing.assert_allclose(
        np.delete(solution.coefficients, [0, 4]), solve(kind.of(A, b), regulariser).coefficients, rtol=1e-9
    )
    assert (solution.rank, solution.nonzeros) == (5, 5)
    assert solution.notes == (
        "2 of 7 columns are zero in every row, or less than the rounding of the largest: their coefficients are 0",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_fit(kind: type[Summary]) -> None:
    for summary in (kind.of(np.zeros((4, 3)), np.ones(4)), kind.of(np.zeros((0, 3)), np.zeros(0))):
        solution = solve(summary, Ridge(1.0))
        np.testing.assert_array_equal(solution.coefficients, np.zeros(3))
        assert solution.rank == 0
    assert solve(kind.of(np.zeros((4, 0)), np.ones(4)), NoRegularisation()).residual_norm2 == pytest.approx(4)


@pytest.mark.parametrize("kind", KINDS)
def test_other_targets_take_no_part(kind: type[Summary]) -> None:
    A, b = with_condition(20, 5, 10.0)
    more = np.column_stack([b, np.cos(b), b**2])
    np.testing.assert_allclose(
        solve(kind.of(A, more), NoRegularisation()).coefficients,
        solve(kind.of(A, b), NoRegularisation()).coefficients,
        rtol=1e-10,
    )


def objective(
    A: np.ndarray, b: np.ndarray, c: np.ndarray, counted: float, l1: np.ndarray | float, l2: np.ndarray | float
) -> float:
    """(1/2N) ‖A c − b‖² + Σ l1 |c| + ½ Σ l2 c²."""
    r = A @ c - b
    return float(r @ r / (2 * counted) + np.sum(l1 * np.abs(c)) + 0.5 * np.sum(l2 * c**2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("counted", [None, 100.0])
def test_elastic_net_and_adaptive_lasso_minimise_what_they_say(
    kind: type[Summary], normalize: bool, counted: float | None
) -> None:
    """Their objectives, written down with N, the columns' lengths and the weights, against moves in each column."""
    A, b = with_condition(50, 8, 10.0)
    A = A * np.logspace(0, 1, 8)
    lengths = np.linalg.norm(A, axis=0) if normalize else np.ones(8)
    N = 50.0 if counted is None else counted
    first = np.linalg.solve((A / lengths).T @ (A / lengths) + 0.2 * np.eye(8), (A / lengths).T @ b)
    lam, ratio = 2e-3, 0.7
    zeros = np.zeros(8)
    weighted = lengths / np.abs(first) ** 1.5
    cases: list[tuple[Regulariser, np.ndarray, np.ndarray]] = [
        (Lasso(lam, normalize), lam * lengths, zeros),
        (ElasticNet(lam, ratio, normalize), lam * ratio * lengths, lam * (1 - ratio) * lengths**2),
        (AdaptiveLasso(1e-3 * lam, 0.2, 1.5, normalize), 1e-3 * lam * weighted, zeros),
    ]
    for regulariser, l1, l2 in cases:
        summary = kind.of(np.insert(A, 3, 0.0, axis=1), b)
        found = solve(summary, regulariser, counted)
        assert found.kkt_gap is not None
        assert found.kkt_gap < 1e-7
        assert found.coefficients[3] == 0.0
        c = np.delete(found.coefficients, 3)
        assert 0 < found.nonzeros < 8
        assert found.rank == np.linalg.matrix_rank(A)
        assert (found.gradient_norm, found.penalties, found.hyperparameters) == (None, None, {})
        best = objective(A, b, c, N, l1, l2)
        for j in range(8):
            for step in (1e-4, -1e-4, 1e-2, -1e-2, -c[j]):
                moved = c.copy()
                moved[j] += step / lengths[j]
                assert objective(A, b, moved, N, l1, l2) >= best - 1e-14
        r = A.T @ (b - A @ c) / N - l2 * c
        np.testing.assert_allclose(r[c != 0.0], (l1 * np.sign(c))[c != 0.0], rtol=1e-6)


@pytest.mark.parametrize("regulariser", [Lasso(1e-3), ElasticNet(1e-3, 0.5), AdaptiveLasso(1e-3, 0.1)])
def test_penalised_solvers_refuse_counts_and_solve_nothing(regulariser: Regulariser) -> None:
    A, b = with_condition(20, 5, 10.0)
    with pytest.raises(ValueError, match="n_counted: expected a finite number > 0, found -1"):
        solve(RFactor.of(A, b), regulariser, n_counted=-1)
    nothing = solve(RFactor.of(np.zeros((4, 3)), np.ones(4)), regulariser)
    assert (nothing.kkt_gap, nothing.nonzeros) == (0.0, 0)


@pytest.mark.parametrize(
    ("regulariser", "expected"),
    [(Ridge(0.3), [0.3, 0.3, 0.3]), (NoRegularisation(), None), (TruncatedSVD(1e-9), None), (Lasso(1e-3), None)],
)
def test_penalties_are_what_is_added_to_the_diagonal(regulariser: Regulariser, expected: list[float] | None) -> None:
    rng = np.random.default_rng(0)
    A = np.column_stack([rng.normal(size=(20, 2)), np.zeros(20)])
    found = solve(RFactor.of(A, rng.normal(size=20)), regulariser).penalties
    if expected is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, expected)
        assert not found.flags.writeable


def test_penalties_of_columns_that_hold_nothing() -> None:
    """One alpha for all is their prior too; otherwise they are held at zero."""
    A, b = with_condition(40, 4, 3.0)
    wide = RFactor.of(np.insert(A, 1, 0.0, axis=1), b)
    plain = solve(wide, BayesianRidge())
    np.testing.assert_array_equal(plain.penalties, np.full(5, plain.hyperparameters["alpha"]))
    for regulariser in (BayesianRidge(normalize=True), ARD()):
        found = solve(wide, regulariser)
        assert found.penalties is not None
        assert np.isinf(found.penalties[1])
        assert np.isfinite(found.penalties[0])


@pytest.mark.parametrize("regulariser", [NoRegularisation(), Ridge(0.1), BayesianRidge(), ARD()])
def test_a_solution_can_be_sent(regulariser: Regulariser) -> None:
    A, b = with_condition(40, 4, 3.0)
    found = solve(RFactor.of(A, b), regulariser)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.coefficients, found.coefficients)
    assert again.hyperparameters == found.hyperparameters


def test_what_is_no_regulariser_or_summary() -> None:
    A, b = with_condition(40, 4, 3.0)
    with pytest.raises(TypeError, match="expected a regulariser, found str"):
        solve(RFactor.of(A, b), "ridge")  # type: ignore[arg-type]
