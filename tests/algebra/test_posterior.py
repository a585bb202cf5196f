"""The posterior against dense algebra, exact rational numbers and its own identities."""

from __future__ import annotations

import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiertl_dist.algebra import Gram, NoRegularisation, RFactor, Ridge, UnsafeGram
from hiertl_dist.algebra.posterior import ROWS_AT_ONCE, Posterior, posterior
from hiertl_dist.algebra.solve import solve

EPS = float(np.finfo(float).eps)


def problem(m: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, m, n])
    A = rng.normal(size=(m, n)) * 10.0 ** rng.uniform(-3, 3, size=n)
    return A, A @ (rng.normal(size=n) / np.linalg.norm(A, axis=0)) + 0.1 * rng.normal(size=m)


def dense_covariance(A: np.ndarray, alphas: np.ndarray | float, noise: float) -> np.ndarray:
    """noise² (AᵀA + D)⁻¹ by the textbook, on columns of length 1."""
    s = np.linalg.norm(A, axis=0)
    P = (A / s).T @ (A / s) + np.diag(np.broadcast_to(alphas, s.shape) / s**2)
    return noise**2 * np.linalg.inv(P) / s / s[:, np.newaxis]


def exact_inverse(P: list[list[Fraction]]) -> list[list[Fraction]]:
    """Gauss-Jordan in rational numbers."""
    n = len(P)
    system = [row + [Fraction(int(i == j)) for j in range(n)] for i, row in enumerate(P)]
    for i in range(n):
        system[i] = [x / system[i][i] for x in system[i]]
        for j in range(n):
            if j != i:
                system[j] = [x - system[j][i] * y for x, y in zip(system[j], system[i], strict=True)]
    return [row[n:] for row in system]


def exact_determinant(M: list[list[Fraction]]) -> Fraction:
    rows, product = [list(row) for row in M], Fraction(1)
    for i in range(len(rows)):
        product *= rows[i][i]
        for j in range(i + 1, len(rows)):
            ratio = rows[j][i] / rows[i][i]
            rows[j] = [x - ratio * y for x, y in zip(rows[j], rows[i], strict=True)]
    return product


def test_against_dense_algebra() -> None:
    A, b = problem(60, 9)
    alphas = np.array([0.0, 1e-3, 2.0, 0.0, 5.0, 1e4, 0.0, 1e-9, 1.0])
    summary = RFactor.of(A, b)
    c = np.linalg.lstsq(np.vstack([A, np.diag(np.sqrt(alphas))]), np.append(b, np.zeros(9)), rcond=None)[0]
    found = posterior(summary, penalties=alphas, coefficients=c)
    hat = A @ np.linalg.solve(A.T @ A + np.diag(alphas), A.T)
    dof = np.trace(hat)
    noise = np.linalg.norm(A @ c - b) / np.sqrt(60 - dof)
    assert found.degrees_of_freedom == pytest.approx(dof, rel=1e-9)
    assert dof < 8.99
    assert found.noise == pytest.approx(noise, rel=1e-9)
    truth = dense_covariance(A, alphas, noise)
    s = np.sqrt(np.diagonal(truth))
    np.testing.assert_allclose(found.covariance() / s / s[:, None], truth / s / s[:, None], atol=1e-9)
    np.testing.assert_allclose(found.standard_deviations(), s, rtol=1e-9)
    new = problem(14, 9, seed=1)[0]
    np.testing.assert_allclose(found.variance(new), np.diagonal(new @ truth @ new.T), rtol=1e-8)
    np.testing.assert_allclose(found.covariance_of(new), new @ truth @ new.T, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.leverage(A), np.diagonal(hat), rtol=1e-8)
    assert found.notes == ()
    assert found.columns.tolist() == list(range(9))


@pytest.mark.parametrize("m", [1, 3, 4, 5, 9, 40])
def test_gain_and_update_in_both_forms(m: int) -> None:
    """Few rows (2 m ≤ k) go one way, many another; both are the difference of two log-determinants."""
    n = 8
    A, b = problem(30, n)
    found = posterior(RFactor.of(A, b), penalties=1e-2, noise=1.0)
    new = problem(m, n, seed=2)[0]
    P = A.T @ A + 1e-2 * np.eye(n)
    s = np.sqrt(np.diagonal(P))
    before = np.linalg.slogdet(P / s / s[:, None])[1]
    after = np.linalg.slogdet((P + new.T @ new) / s / s[:, None])[1]
    assert found.gain(new) == pytest.approx(after - before, rel=1e-9)
    assert found._gain_of_few(new) == pytest.approx(found._gain_of_many(new), rel=1e-11)
    assert found.gain(new) == (found._gain_of_few(new) if m <= 4 else found._gain_of_many(new))
    updated = found.updated(new)
    direct = dense_covariance(np.vstack([A, new]), 1e-2, 1.0)
    d = np.sqrt(np.diagonal(direct))
    np.testing.assert_allclose(updated.covariance() / d / d[:, None], direct / d / d[:, None], atol=1e-8)
    assert (updated.noise, updated.degrees_of_freedom) == (found.noise, found.degrees_of_freedom)
    assert (np.diagonal(updated.triangle) > 0).all()


@pytest.mark.parametrize("alpha", [1e-16, 1e-19])
def test_ill_conditioned_against_rational_numbers(alpha: float) -> None:
    """Condition 1e10 and a ridge: T is as ill-conditioned as 1e8 or 3e9, normal equations as its square."""
    n, m = 8, 14
    rng = np.random.default_rng(5)
    u, v = np.linalg.qr(rng.normal(size=(m, n)))[0], np.linalg.qr(rng.normal(size=(n, n)))[0]
    A = (u * np.geomspace(1.0, 1e-10, n)) @ v.T
    new = rng.normal(size=(3, n))
    found = posterior(RFactor.of(A, A @ np.ones(n)), penalties=alpha, noise=2.0)
    exact = [[Fraction(x) for x in row] for row in A.tolist()]
    P = [[sum(r[i] * r[j] for r in exact) for j in range(n)] for i in range(n)]
    for i in range(n):
        P[i][i] += Fraction(alpha)
    inverse = exact_inverse(P)
    truth = np.array([[float(4 * x) for x in row] for row in inverse])
    condition = 1.0 / math.sqrt(alpha + 1e-20)
    bound = 10 * n * EPS * condition
    assert bound < 0.1
    np.testing.assert_allclose(found.covariance(), truth, atol=bound * np.abs(truth).max(), rtol=0)
    np.testing.assert_allclose(found.standard_deviations() ** 2, np.diagonal(truth), rtol=bound)
    exact_new = [[Fraction(x) for x in row] for row in new.tolist()]
    crossed = [
        [
            sum(p[i] * inverse[i][j] * q[j] for i in range(n) for j in range(n)) + Fraction(int(k == l))
            for l, q in enumerate(exact_new)  # noqa: E741
        ]
        for k, p in enumerate(exact_new)
    ]
    variances = [float(4 * (crossed[k][k] - 1)) for k in range(3)]
    np.testing.assert_allclose(found.variance(new), variances, rtol=bound)
    growth = exact_determinant(crossed)
    logdet = math.log(growth.numerator) - math.log(growth.denominator)
    for gain in (found._gain_of_few(new), found._gain_of_many(new)):
        assert gain == pytest.approx(logdet, abs=10 * bound)
    trace = sum(inverse[i][j] * (P[j][i] - (Fraction(alpha) if i == j else 0)) for i in range(n) for j in range(n))
    assert found.degrees_of_freedom == pytest.approx(float(trace), abs=bound)
    # what this test is for: normal equations refuse the same problem
    with pytest.raises(UnsafeGram):
        solve(Gram.of(A, A @ np.ones(n)), Ridge(alpha))


def random_posterior(m: int, n: int, seed: int, zeros: bool) -> tuple[np.ndarray, Posterior]:
    A, b = problem(m, n, seed)
    rng = np.random.default_rng(seed)
    alphas = 10.0 ** rng.uniform(-4, 2, size=n)
    if zeros and m >= 2 * n:
        alphas[rng.random(n) < 0.3] = 0.0
    return A, posterior(RFactor.of(A, b), penalties=alphas, noise=0.3)


shapes = st.tuples(st.integers(1, 40), st.integers(1, 9), st.integers(0, 10**6), st.booleans())


@settings(deadline=None, max_examples=30)
@given(shapes, st.lists(st.integers(0, 12), min_size=1, max_size=4))
def test_gains_of_parts_add_up(shape: tuple[int, int, int, bool], sizes: list[int]) -> None:
    _, found = random_posterior(*shape)
    n = found.n
    blocks = [problem(m, n, seed=i + 1)[0] if m else np.zeros((0, n)) for i, m in enumerate(sizes)]
    step, total = found, 0.0
    for block in blocks:
        gain = step.gain(block)
        assert 0.0 <= gain <= found.gain(block) * (1 + 1e-9) + 1e-9
        total += gain
        step = step.updated(block)
    assert total == pytest.approx(found.gain(np.vstack(blocks)), rel=1e-8, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(shapes)
def test_leverage_of_the_fit_sums_to_its_degrees_of_freedom(shape: tuple[int, int, int, bool]) -> None:
    A, found = random_posterior(*shape)
    leverages = found.leverage(A)
    assert leverages.sum() == pytest.approx(found.degrees_of_freedom, rel=1e-8)
    assert ((leverages >= 0.0) & (leverages <= 1.0 + 1e-9)).all()
    np.testing.assert_allclose(found.variance(A), np.diagonal(found.covariance_of(A)), rtol=1e-10)
    np.testing.assert_allclose(found.covariance_of(np.eye(found.n)), found.covariance(), rtol=1e-7, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(shapes, st.floats(0.01, 100.0))
def test_units_of_columns_and_target_cancel(shape: tuple[int, int, int, bool], unit: float) -> None:
    m, n, seed, _ = shape
    A, b = problem(m + n + 1, n, seed)
    scale = 10.0 ** np.random.default_rng(seed).uniform(-3, 3, size=n)
    c = np.linalg.lstsq(A, b, rcond=None)[0]
    alphas = np.full(n, 0.1)
    one = posterior(RFactor.of(A, b), penalties=alphas, coefficients=c)
    other = posterior(RFactor.of(A * scale, unit * b), penalties=alphas * scale**2, coefficients=unit * c / scale)
    assert other.noise == pytest.approx(unit * one.noise, rel=1e-8)
    np.testing.assert_allclose(other.leverage(A * scale), one.leverage(A), rtol=1e-8)
    np.testing.assert_allclose(other.standard_deviations() * scale, unit * one.standard_deviations(), rtol=1e-8)
    assert other.gain(A[:3] * scale) == pytest.approx(one.gain(A[:3]), rel=1e-8)


def test_only_active_columns_move() -> None:
    A, b = problem(40, 6)
    kept = [1, 4, 5]
    some = posterior(RFactor.of(A, b), active=np.array(kept[::-1]), noise=0.5)
    alone = posterior(RFactor.of(A[:, kept], b), noise=0.5)
    mask = posterior(RFactor.of(A, b), active=np.isin(np.arange(6), kept), noise=0.5)
    infinite = posterior(RFactor.of(A, b), penalties=np.where(np.isin(np.arange(6), kept), 0.0, np.inf), noise=0.5)
    for found in (some, mask, infinite):
        assert found.columns.tolist() == kept
        full = np.zeros((6, 6))
        full[np.ix_(kept, kept)] = alone.covariance()
        np.testing.assert_allclose(found.covariance(), full, rtol=1e-10)
        np.testing.assert_allclose(found.standard_deviations()[kept], alone.standard_deviations(), rtol=1e-12)
        np.testing.assert_allclose(found.variance(A), alone.variance(A[:, kept]), rtol=1e-10)
        assert found.gain(A) == pytest.approx(alone.gain(A[:, kept]), rel=1e-10)
    assert some.degrees_of_freedom == 3.0
    assert not some.variance(np.eye(6)[[0, 2, 3]]).any()


def test_what_cannot_move_is_certain() -> None:
    A, b = problem(12, 3)
    summary = RFactor.of(A, b)
    for held in (posterior(summary, active=[], noise=1.0), posterior(summary, penalties=np.inf, noise=1.0)):
        assert held.degrees_of_freedom == 0.0
        assert not held.covariance().any()
        assert not held.covariance_of(A).any()
        assert held.gain(A) == 0.0
        assert held.updated(A).triangle.shape == (0, 0)
        np.testing.assert_array_equal(held.sample(2, 0, [1.0, 2.0, 3.0]), [[1.0, 2.0, 3.0]] * 2)


def test_columns_that_no_row_touches() -> None:
    """Without a penalty they are held and named; with one they have the penalty's variance."""
    A, b = problem(30, 5)
    A[:, [1, 3]] = 0.0
    A[2, 3] = 1e-18 * np.abs(A).max()
    held = posterior(RFactor.of(A, b), noise=0.5)
    assert held.columns.tolist() == [0, 2, 4]
    assert len(held.notes) == 1
    assert "2 of 5 columns are zero in every row" in held.notes[0]
    assert "(columns 1, 3)" in held.notes[0]
    free = posterior(RFactor.of(A, b), penalties=[0.0, 4.0, 0.0, 0.25, 0.0], noise=0.5)
    assert free.notes == ()
    np.testing.assert_allclose(free.standard_deviations()[[1, 3]], [0.25, 1.0], rtol=1e-12)
    # a column that was not asked for is no news
    assert posterior(RFactor.of(A, b), active=[0, 2], noise=0.5).notes == ()


def test_few_rows_need_a_penalty() -> None:
    A, b = problem(4, 7)
    with pytest.raises(np.linalg.LinAlgError, match=r"3 of 7 columns depend on the others.*add a \(larger\) penalty"):
        posterior(RFactor.of(A, b), noise=1.0)
    found = posterior(RFactor.of(A, b), penalties=1e-2, noise=1.0)
    assert found.degrees_of_freedom < 4.0
    truth = np.linalg.inv(A.T @ A + 1e-2 * np.eye(7))
    np.testing.assert_allclose(found.covariance(), truth, rtol=1e-6, atol=1e-6)


def test_dependent_columns_are_named() -> None:
    A, b = problem(40, 6)
    A[:, 4] = A[:, 0] - 3.0 * A[:, 2]
    with pytest.raises(np.linalg.LinAlgError, match=r"1 of 6 columns depend on the others.*: column [024];"):
        posterior(RFactor.of(A, b), noise=1.0)
    for column in (0, 2, 4):
        free = np.zeros(6)
        free[column] = 1e-3 * np.linalg.norm(A[:, column]) ** 2
        assert len(posterior(RFactor.of(A, b), penalties=free, noise=1.0).columns) == 6
    free[:] = 0.0
    free[1] = 1.0
    with pytest.raises(np.linalg.LinAlgError, match=r"column [024];"):
        posterior(RFactor.of(A, b), penalties=free, noise=1.0)
    # a penalty that rounding swallows is none
    with pytest.raises(np.linalg.LinAlgError, match="larger"):
        posterior(RFactor.of(A, b), penalties=1e-40, noise=1.0)
    A = np.tile(A[:, :1], (1, 9))
    with pytest.raises(np.linalg.LinAlgError, match=r"columns \d, \d, \d, \d, \d and 3 more;"):
        posterior(RFactor.of(A, b), noise=1.0)


def test_hardly_independent_columns_pass() -> None:
    """Condition 5e12 is in doubt for the estimate, and settled by pivoting: nothing depends on anything."""
    rng = np.random.default_rng(3)
    u, v = np.linalg.qr(rng.normal(size=(50, 6)))[0], np.linalg.qr(rng.normal(size=(6, 6)))[0]
    A = (u * np.geomspace(1.0, 2e-13, 6)) @ v.T
    assert len(posterior(RFactor.of(A, A @ np.ones(6)), noise=1.0).columns) == 6


def test_noise_counts_what_the_caller_counts() -> None:
    A, b = problem(25, 4)
    summary = RFactor.of(A, b)
    c = solve(summary, NoRegularisation()).coefficients
    rss = float(np.sum((A @ c - b) ** 2))
    assert posterior(summary, coefficients=c).noise == pytest.approx(math.sqrt(rss / 21))
    assert posterior(summary, coefficients=c, n_counted=100).noise == pytest.approx(math.sqrt(rss / 96))
    assert posterior(summary, coefficients=c, noise=7.0).noise == 7.0
    # offsets beside the target change nothing: target 0 is b
    offsets = RFactor.of_buffer(np.column_stack([A, b, np.ones(25)]), 2)
    assert posterior(offsets, coefficients=c).noise == pytest.approx(math.sqrt(rss / 21))
    with pytest.raises(ValueError, match="from 4 rows: the fit has 4 degrees of freedom"):
        posterior(summary, coefficients=c, n_counted=4)
    few = RFactor.of(A[:3], b[:3])
    assert posterior(few, penalties=1.0, coefficients=np.zeros(4)).noise > 0.0


def test_rows_go_in_portions_and_are_left_alone() -> None:
    A, b = problem(30, 3)
    found = posterior(RFactor.of(A, b), noise=2.0)
    rows = problem(2 * ROWS_AT_ONCE + 7, 3, seed=9)[0]
    copy = rows.copy()
    cov = found.covariance()
    np.testing.assert_allclose(found.variance(rows), np.einsum("ij,jk,ik->i", rows, cov, rows), rtol=1e-9)
    np.testing.assert_array_equal(found.leverage(np.asfortranarray(rows)), found.leverage(rows))
    before = found.triangle.copy()
    for call in (found.gain, found.updated, found.covariance_of, found._gain_of_few):
        call(rows[:2])
        call(np.asfortranarray(rows[:2]))
    found.standard_deviations()
    found.sample(3, 0, np.zeros(3))
    np.testing.assert_array_equal(rows, copy)
    np.testing.assert_array_equal(found.triangle, before)
    assert found.leverage(np.zeros((0, 3))).shape == (0,)
    assert found.covariance_of(np.zeros((0, 3))).shape == (0, 0)
    assert found.gain(np.zeros((0, 3))) == 0.0
    np.testing.assert_array_equal(found.updated(np.zeros((0, 3))).triangle, before)


def test_huge_and_tiny_gains() -> None:
    """A column that no row touched with a penalty of 1e-20: leverage 1e20, gain log(1 + 1e20) in both forms."""
    found = posterior(RFactor.of(np.diag([1.0, 1.0, 1.0, 0.0]), np.ones(4)), penalties=[0, 0, 0, 1e-20], noise=1.0)
    row = np.array([[0.0, 0.0, 0.0, 1.0]])
    truth = math.log1p(1e20)
    assert found._gain_of_few(row) == pytest.approx(truth, rel=1e-12)
    assert found._gain_of_many(row) == pytest.approx(truth, rel=1e-12)
    twice = np.vstack([row, row])
    # rounding is that of the condition number of T, 1e10
    assert found._gain_of_few(twice) == pytest.approx(math.log1p(2e20), abs=1e-5)
    assert found._gain_of_many(twice) == pytest.approx(math.log1p(2e20), abs=1e-5)
    assert 0.0 <= found.gain(1e-20 * np.eye(4)[:1]) < 1e-12


def test_a_posterior_is_a_noun() -> None:
    A, b = problem(30, 4)
    found = posterior(RFactor.of(A, b), noise=1.0)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.covariance(), found.covariance())
    with pytest.raises(ValueError, match="read-only"):
        found.triangle[0, 0] = 3.0
    with pytest.raises(ValueError, match="read-only"):
        found.columns[0] = 3


def test_arguments_that_do_not_fit() -> None:
    A, b = problem(30, 4)
    summary = RFactor.of(A, b)
    found = posterior(summary, noise=1.0)
    with pytest.raises(ValueError, match="found neither"):
        posterior(summary)
    with pytest.raises(TypeError, match=r"expected an RFactor.*found Gram"):
        posterior(Gram.of(A, b), noise=1.0)
    for bad in (-1.0, math.nan, [0.0, 1.0, math.nan, 0.0]):
        with pytest.raises(ValueError, match="penalties: expected numbers ≥ 0, found"):
            posterior(summary, penalties=bad, noise=1.0)
    with pytest.raises(ValueError, match=r"penalties: expected one number or shape \(4,\), found \(3,\)"):
        posterior(summary, penalties=[1.0, 1.0, 1.0], noise=1.0)
    for noise in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="noise: expected a finite number ≥ 0"):
            posterior(summary, noise=noise)
    with pytest.raises(ValueError, match="n_counted: expected a finite number > 0, found nan"):
        posterior(summary, coefficients=np.zeros(4), n_counted=math.nan)
    with pytest.raises(ValueError, match="columns: expected indices in 0 … 3"):
        posterior(summary, active=[4], noise=1.0)
    with pytest.raises(ValueError, match=r"coefficients: expected shape \(4,\)"):
        posterior(summary, coefficients=np.zeros(3))
    with pytest.raises(ValueError, match=r"rows: expected shape \(m, 4\), found \(4,\)"):
        found.variance(A[0])
    with pytest.raises(ValueError, match="rows: expected finite numbers, found nan in row 1, column 2"):
        found.gain(np.where(np.arange(8).reshape(2, 4) == 6, np.nan, 0.0))
    with pytest.raises(ValueError, match=r"coefficients: expected shape \(4,\)"):
        found.sample(2, 0, np.zeros(3))
    with pytest.raises(ValueError, match="count: expected ≥ 0"):
        found.sample(-1, 0, np.zeros(4))
    with pytest.raises(ValueError, match=r"triangle: expected shape \(2, 2\)"):
        Posterior(np.eye(3), np.array([0, 2]), 3, 1.0, 2.0)
    with pytest.raises(ValueError, match=r"triangle: expected a positive diagonal, found -1.0 for column 2"):
        Posterior(np.diag([1.0, -1.0]), np.array([0, 2]), 3, 1.0, 2.0)
