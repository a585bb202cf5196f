"""Bayesian ridge and ARD beside scikit-learn on all rows, and beside the evidence from the covariance of the rows."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from hiertl_dist.algebra import (
    ARD,
    BayesianRidge,
    ConvergenceError,
    Gram,
    LinearSolution,
    RFactor,
    Ridge,
    Summary,
    UnsafeGram,
)
from hiertl_dist.algebra.automatic_relevance import _point, _Rows
from hiertl_dist.algebra.factor import Factor
from hiertl_dist.algebra.solve import solve

KINDS = [RFactor, Gram]


def made(
    m: int, n: int, noise: float = 0.3, *, nonzero: int | None = None, condition: float = 1.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng([m, n, seed])
    left, right = (np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(2))
    A = rng.normal(size=(m, n)) @ (left * np.geomspace(1.0, 1.0 / condition, n)) @ right
    c = rng.normal(size=n)
    if nonzero is not None:
        c[rng.permutation(n)[nonzero:]] = 0.0
    return A, A @ c + noise * rng.normal(size=m), c


def log_evidence(A: np.ndarray, b: np.ndarray, penalties: np.ndarray, noise: float) -> float:
    """log N(b; 0, noise² (I + A diag(1/penalties) Aᵀ)), m × m."""
    spread = noise**2 * (np.eye(len(b)) + (A / penalties) @ A.T)
    return float(multivariate_normal(np.zeros(len(b)), spread).logpdf(b))


def tree(kind: type[Summary], A: np.ndarray, b: np.ndarray) -> Summary:
    third = len(b) // 3
    first, middle, last = (kind.of(A[i], b[i]) for i in (slice(third), slice(third, 2 * third), slice(2 * third, None)))
    return first.merge(middle.merge(last))


def sklearn_ard(A: np.ndarray, b: np.ndarray) -> object:
    from sklearn.linear_model import ARDRegression

    none = dict.fromkeys(("alpha_1", "alpha_2", "lambda_1", "lambda_2"), 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it divides by c² = 0 on the way
        return ARDRegression(**none, tol=1e-10, max_iter=5000, threshold_lambda=1e10, fit_intercept=False).fit(A, b)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("m", "n", "condition"), [(200, 20, 1.0), (60, 25, 10.0), (400, 8, 100.0)])
def test_bayesian_ridge_is_scikit_learns_on_all_rows(kind: type[Summary], m: int, n: int, condition: float) -> None:
    from sklearn.linear_model import BayesianRidge as Reference

    A, b, _ = made(m, n, condition=condition)
    none = dict.fromkeys(("alpha_1", "alpha_2", "lambda_1", "lambda_2"), 0.0)
    truth = Reference(**none, tol=1e-13, max_iter=100_000, fit_intercept=False, compute_score=True).fit(A, b)
    found = solve(tree(kind, A, b), BayesianRidge(tolerance=1e-10))
    chosen = found.hyperparameters
    assert chosen["alpha"] == pytest.approx(truth.lambda_ / truth.alpha_, rel=1e-6)
    assert chosen["noise"] == pytest.approx(truth.alpha_**-0.5, rel=1e-7)
    assert chosen["log_evidence"] == pytest.approx(truth.scores_[-1], rel=1e-9)
    np.testing.assert_allclose(found.coefficients, truth.coef_, rtol=1e-6, atol=1e-9)
    # which is not what it finds when the factor's rows are given to it
    r = np.linalg.qr(np.column_stack([A, b]), mode="r")[:n]
    wrong = Reference(**none, fit_intercept=False).fit(r[:, :n], r[:, n])
    assert abs(wrong.alpha_**-0.5 / chosen["noise"] - 1.0) > 0.1


@pytest.mark.parametrize(("m", "n"), [(30, 6), (20, 24), (20, 20)])
def test_bayesian_ridge_has_the_largest_evidence_there_is(m: int, n: int) -> None:
    A, b, _ = made(m, n, noise=1.0, condition=30.0)
    found = solve(RFactor.of(A, b), BayesianRidge())
    chosen = found.hyperparameters
    assert found.penalties is not None
    value = log_evidence(A, b, found.penalties, chosen["noise"])
    assert chosen["log_evidence"] == pytest.approx(value, rel=1e-9)

    def negative(x: np.ndarray) -> float:
        return -log_evidence(A, b, np.full(n, math.exp(x[0])), math.exp(x[1]))

    best = min(
        (minimize(negative, [a, s], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-11})
         for a in (-3.0, 2.0) for s in (-1.0, 1.0)),
        key=lambda r: r.fun,
    )  # fmt: skip
    assert value == pytest.approx(-best.fun, abs=1e-7)
    assert math.log(chosen["alpha"]) == pytest.approx(best.x[0], abs=1e-3)
    assert math.log(chosen["noise"]) == pytest.approx(best.x[1], abs=1e-3)


@pytest.mark.parametrize("normalize", [False, True])
def test_bayesian_ridge_is_a_fixed_point_and_a_ridge(normalize: bool) -> None:
    A, b, _ = made(300, 30, condition=1e8)
    A *= np.logspace(0, -3, 30)
    summary = RFactor.of(A, b)
    found = solve(summary, BayesianRidge(tolerance=1e-9, normalize=normalize))
    alpha, noise, gamma = (found.hyperparameters[k] for k in ("alpha", "noise", "effective_parameters"))
    lengths = np.linalg.norm(A, axis=0) if normalize else np.ones(30)
    np.testing.assert_allclose(found.penalties, alpha * lengths**2, rtol=1e-12)
    scaled = found.coefficients * lengths
    assert noise**2 == pytest.approx(found.residual_norm2 / (300 - gamma), rel=1e-6)
    assert alpha == pytest.approx(gamma * noise**2 / (scaled @ scaled), rel=1e-6)
    s = np.linalg.svd(A / lengths, compute_uv=False)
    assert gamma == pytest.approx(np.sum(s**2 / (s**2 + alpha)), rel=1e-9)
    again = solve(RFactor.of(A / lengths, b), Ridge(alpha)).coefficients
    np.testing.assert_allclose(scaled, again, rtol=1e-6, atol=1e-9 * np.linalg.norm(again))
    assert found.gradient_norm is not None
    assert found.gradient_norm < 1e-10
    assert found.rank == 30


@pytest.mark.parametrize("regulariser", [BayesianRidge(), ARD()])
def test_the_rows_that_are_counted_matter(regulariser: BayesianRidge | ARD) -> None:
    """Each row given twice is a row of weight √2 that counts twice."""
    A, b, _ = made(60, 8)
    twice = solve(RFactor.of(np.vstack([A, A]), np.concatenate([b, b])), regulariser)
    heavy = RFactor.of(A, b).scale(math.sqrt(2.0))
    weighted = solve(heavy, regulariser, n_counted=120)
    np.testing.assert_allclose(weighted.coefficients, twice.coefficients, rtol=1e-8, atol=1e-12)
    assert weighted.hyperparameters == pytest.approx(twice.hyperparameters, rel=1e-7)
    taken_for_60 = solve(heavy, regulariser)
    assert taken_for_60.hyperparameters["noise"] > 1.3 * twice.hyperparameters["noise"]
    with pytest.raises(ValueError, match=r"n_counted: expected at least the 8 independent rows .* found 7"):
        solve(RFactor.of(A, b), regulariser, n_counted=7)
    with pytest.raises(ValueError, match="n_counted: expected a finite number"):
        solve(RFactor.of(A, b), regulariser, n_counted=math.nan)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("m", "n", "nonzero", "noise"), [(200, 20, 6, 0.1), (400, 60, 10, 0.5), (100, 60, 8, 0.1)])
def test_ard_is_scikit_learns_on_all_rows(kind: type[Summary], m: int, n: int, nonzero: int, noise: float) -> None:
    A, b, truth = made(m, n, noise, nonzero=nonzero)
    found = solve(tree(kind, A, b), ARD())
    reference = sklearn_ard(A, b)
    assert np.all(found.coefficients[truth != 0.0] != 0.0)
    assert found.nonzeros < n
    assert found.hyperparameters["noise"] == pytest.approx(reference.alpha_**-0.5, rel=1e-5)
    np.testing.assert_allclose(found.coefficients, reference.coef_, atol=1e-5)
    assert found.penalties is not None
    kept = np.isfinite(found.penalties)
    np.testing.assert_array_equal(kept, found.coefficients != 0.0)
    np.testing.assert_allclose(found.penalties[kept], (reference.lambda_ / reference.alpha_)[kept], rtol=1e-2)
    assert "taken out by evidence" in found.notes[0]


def require_maximum(A: np.ndarray, b: np.ndarray, found: LinearSolution, prune: float = 1e8) -> None:
    """The evidence said is that of the rows' covariance, and no single penalty, nor the noise, can raise it."""
    assert found.penalties is not None
    noise, penalties = found.hyperparameters["noise"], found.penalties
    value = log_evidence(A, b, penalties, noise)
    assert found.hyperparameters["log_evidence"] == pytest.approx(value, rel=1e-8, abs=1e-7)
    assert max(log_evidence(A, b, penalties, noise * f) for f in (0.98, 1.02)) < value
    for j, length in enumerate(np.linalg.norm(A, axis=0)):
        for trial in (*(penalties[j] * np.array([0.5, 0.98, 1.02, 2.0])), *(length**2 * np.logspace(-7, 7, 15))):
            if trial < prune * length**2:
                other = penalties.copy()
                other[j] = trial
                assert log_evidence(A, b, other, noise) < value + 1e-5, (j, trial)
        without = penalties.copy()
        without[j] = math.inf
        assert log_evidence(A, b, without, noise) < value + 1e-5


@pytest.mark.parametrize(
    ("m", "n", "nonzero", "condition", "noise"),
    [
        (40, 10, 4, 1.0, 0.3),
        (40, 12, 6, 1e3, 0.05),
        (30, 12, 12, 10.0, 1.0),
        (50, 15, 5, 1e8, 0.1),
        (25, 30, 3, 30.0, 0.5),
    ],
)
def test_ard_is_at_a_maximum_that_no_column_can_raise(
    m: int, n: int, nonzero: int, condition: float, noise: float
) -> None:
    A, b, _ = made(m, n, noise, nonzero=nonzero, condition=condition)
    A *= np.logspace(0, 2, n)
    found = solve(RFactor.of(A, b), ARD())
    require_maximum(A, b, found)
    assert found.penalties is not None
    kept = np.isfinite(found.penalties)
    inverse = np.linalg.inv(A[:, kept].T @ A[:, kept] + np.diag(found.penalties[kept]))
    np.testing.assert_allclose(found.coefficients[kept], inverse @ A[:, kept].T @ b, rtol=1e-5)
    gamma = np.sum(1.0 - found.penalties[kept] * np.diagonal(inverse))
    assert found.hyperparameters["effective_parameters"] == pytest.approx(gamma, rel=1e-5)
    assert (found.rank, found.nonzeros) == (min(m, n), kept.sum())
    assert found.gradient_norm is not None
    assert found.gradient_norm < 1e-10


def test_ard_on_ill_conditioned_columns() -> None:
    A, b, c = made(400, 120, 0.05, nonzero=12, condition=1e10)
    found = solve(RFactor.of(A, b), ARD())
    assert found.hyperparameters["noise"] == pytest.approx(0.05, rel=0.1)
    ridge = solve(RFactor.of(A, b), BayesianRidge())
    assert found.hyperparameters["log_evidence"] > ridge.hyperparameters["log_evidence"]
    assert np.linalg.norm(A @ (found.coefficients - c)) < 0.05 * math.sqrt(60.0)
    assert found.condition < 1e6


def test_ard_with_columns_alike() -> None:
    """Of two that are the same the prior variances add up, so that their sum of coefficients is known, not each."""
    A, b, _ = made(100, 6)
    twin = np.column_stack([A, A[:, 2], A[:, 4] + 1e-9 * A[:, 0], np.zeros(100)])
    found = solve(RFactor.of(twin, b), ARD())
    alone = solve(RFactor.of(A, b), ARD())
    assert found.hyperparameters == pytest.approx(alone.hyperparameters, rel=1e-4)
    together = found.coefficients[:6].copy()
    together[[2, 4]] += found.coefficients[[6, 7]]
    np.testing.assert_allclose(together, alone.coefficients, rtol=1e-4, atol=1e-6)
    assert found.penalties is not None
    assert np.isinf(found.penalties[8])
    assert any("1 of 9 columns are zero" in note for note in found.notes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("regulariser", [BayesianRidge(), BayesianRidge(normalize=True), ARD()])
def test_noise_alone_and_no_target(kind: type[Summary], regulariser: BayesianRidge | ARD) -> None:
    A, _, _ = made(60, 5)
    noise = np.random.default_rng(1).normal(size=60)
    noise -= A @ np.linalg.lstsq(A, noise)[0]
    found = solve(kind.of(A, noise), regulariser)
    np.testing.assert_array_equal(found.coefficients, 0.0)
    expected = log_evidence(A, noise, np.full(5, np.inf), math.sqrt(noise @ noise / 60))
    assert found.hyperparameters["log_evidence"] == pytest.approx(expected)
    assert found.notes == ("the evidence is largest with all coefficients zero",)
    assert found.hyperparameters["effective_parameters"] == 0.0
    zero = solve(kind.of(A, np.zeros(60)), regulariser)
    np.testing.assert_array_equal(zero.coefficients, 0.0)
    assert zero.notes == ("the target is zero",)
    assert zero.hyperparameters["noise"] == 0.0
    for columns in (0, 3):
        empty = solve(kind.of(np.zeros((4, columns)), np.ones(4)), regulariser)
        assert empty.hyperparameters["noise"] == pytest.approx(1.0)
        np.testing.assert_array_equal(empty.coefficients, np.zeros(columns))


@pytest.mark.parametrize("condition", [1.0, 1e6, 1e14])
@pytest.mark.parametrize("regulariser", [BayesianRidge(), ARD()])
def test_without_noise_it_is_at_the_rounding_of_the_rows(regulariser: BayesianRidge | ARD, condition: float) -> None:
    A, b, _ = made(200, 30, 0.0, condition=condition)
    found = solve(RFactor.of(A, b), regulariser)
    assert found.hyperparameters["noise"] < 1e-11
    assert np.linalg.norm(A @ found.coefficients - b) < 1e-11 * np.linalg.norm(b)
    assert np.isfinite(found.hyperparameters["log_evidence"])


def test_columns_that_depend_on_others_do_not_count_as_rows() -> None:
    A, b, _ = made(60, 6)
    wide = np.column_stack([A, A @ np.random.default_rng(0).normal(size=(6, 5))])
    found = solve(RFactor.of(wide, b), BayesianRidge(), n_counted=10)
    assert found.hyperparameters["effective_parameters"] < 6.0
    with pytest.raises(ValueError, match="at least the 6 independent rows"):
        solve(RFactor.of(wide, b), BayesianRidge(), n_counted=5)


def test_unknown_noise_is_said() -> None:
    A, b, _ = made(20, 40, 0.1)
    found = solve(RFactor.of(A, b), ARD())
    assert found.hyperparameters["effective_parameters"] > 18.0
    assert any("don't tell the noise" in note for note in found.notes)


def test_ard_does_not_start_where_the_noise_is_explained_too() -> None:
    """Bayesian ridge explains these 40 rows with 40 effective parameters and no noise; ARD need not end there."""
    A, b, c = made(40, 60, 0.05, nonzero=5)
    ridge = solve(RFactor.of(A, b), BayesianRidge())
    assert ridge.hyperparameters["effective_parameters"] > 39.0
    found = solve(RFactor.of(A, b), ARD())
    assert found.hyperparameters["effective_parameters"] < 30.0
    assert 0.01 < found.hyperparameters["noise"] < 0.1
    assert np.linalg.norm(found.coefficients - c) < 0.2
    require_maximum(A, b, found)


def test_closed_forms_of_a_single_penalty() -> None:
    """What `alone` and `entrants` promise for a column, against the evidence with that penalty."""
    A, b, _ = made(60, 8, 0.5, nonzero=4, condition=3.0)
    A = A / np.linalg.norm(A, axis=0)
    r = np.linalg.qr(np.column_stack([A, b]), mode="r")
    rows = _Rows(Factor(r[:8, :8], r[:8, 8]), float(r[8, 8] ** 2), 60.0, 1e-28, 1e8)
    active, x = np.array([0, 2, 3, 5, 6]), np.array([-3.0, 1.0, 12.0, -9.0, 0.5])
    point = _point(rows, active, x)
    best, gain = point.alone()
    assert np.isinf(best).any()
    assert np.isfinite(best).any()
    for i in range(5):
        moved = x.copy()
        moved[i] = min(best[i], 40.0)
        assert _point(rows, active, moved).log_evidence - point.log_evidence == pytest.approx(gain[i], rel=1e-6)
    columns, start = point.entrants()
    assert len(columns)
    gains = []
    for j, own in zip(columns, start, strict=True):
        order = np.argsort([*active, j])
        more = _point(rows, np.append(active, j)[order], np.append(x, own)[order])
        gains.append(more.log_evidence - point.log_evidence)
        assert more.rise[np.flatnonzero(more.active == j)[0]] == pytest.approx(0.0, abs=1e-8)
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] > 0.0


def test_what_does_not_converge_says_what_is_left() -> None:
    A, b, _ = made(200, 60, nonzero=10)
    with pytest.raises(ConvergenceError, match=r"ARD: .* change of log penalty .* 7 steps, found .* of 60") as error:
        solve(RFactor.of(A, b), ARD(max_iter=7))
    assert error.value.gap > 1e-6
    with pytest.raises(ConvergenceError, match="Bayesian ridge: expected alpha to within 1e-12 in 1 steps"):
        solve(RFactor.of(A, b), BayesianRidge(tolerance=1e-12, max_iter=1))


@pytest.mark.parametrize("regulariser", [BayesianRidge(), ARD()])
def test_a_gram_that_cannot_be_trusted_is_refused(regulariser: BayesianRidge | ARD) -> None:
    A, b, _ = made(60, 12, condition=1e9)
    with pytest.raises(UnsafeGram):
        solve(Gram.of(A, b), regulariser)


@pytest.mark.parametrize("regulariser", [BayesianRidge(), ARD()])
def test_other_targets_take_no_part(regulariser: BayesianRidge | ARD) -> None:
    for m in (40, 7):
        A, b, _ = made(m, 6)
        several = solve(RFactor.of(A, np.column_stack([b, np.cos(b), b**2])), regulariser)
        one = solve(RFactor.of(A, b), regulariser)
        assert several.hyperparameters == pytest.approx(one.hyperparameters, rel=1e-6)
        np.testing.assert_allclose(several.coefficients, one.coefficients, rtol=1e-5, atol=1e-9)


def test_prune_is_in_columns_of_length_one() -> None:
    A, b, _ = made(200, 10)
    strict = solve(RFactor.of(A, b), ARD(prune=1e-2))
    assert strict.penalties is not None
    kept = np.isfinite(strict.penalties)
    assert 0 < kept.sum() < 10
    assert np.all((strict.penalties / np.sum(A**2, axis=0))[kept] <= 1e-2)
    scaled = solve(RFactor.of(A * 1e5, b), ARD(prune=1e-2))
    np.testing.assert_array_equal(scaled.coefficients != 0.0, kept)
