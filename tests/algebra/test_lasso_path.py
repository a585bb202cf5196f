"""The LASSO path: optimal at and between its knots, and what is read off it, against the rows and slow solvers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiertl_dist.algebra import ConvergenceError, Gram, Lasso, RFactor
from hiertl_dist.algebra import lasso_path as path_module
from hiertl_dist.algebra.lars import Knots, ended, library_knots, segment_gaps, walked_knots, without_remains
from hiertl_dist.algebra.lasso_path import LassoPath, information_criteria, lasso_path
from hiertl_dist.algebra.solve import solve


def problem(m: int, n: int, condition: float = 10.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, m, n])
    mixed = rng.normal(size=(n, n)) * np.geomspace(1.0, 1.0 / condition, n)[:, np.newaxis]
    A = rng.normal(size=(m, n)) @ mixed
    return A, A @ (rng.normal(size=n) * (rng.random(n) < 0.5)) + 0.1 * rng.normal(size=m)


def gap_on_rows(A: np.ndarray, b: np.ndarray, penalty: np.ndarray | float, c: np.ndarray, mu2: float = 0.0) -> float:
    """Largest violation of optimality relative to the penalty (scalar or (n,)), from the rows."""
    mu = np.broadcast_to(penalty, c.shape)
    s = A.T @ (b - A @ c) - mu2 * c
    return float(np.max(np.where(c != 0, np.abs(s - mu * np.sign(c)), np.maximum(np.abs(s) - mu, 0)) / mu))


def largest(A: np.ndarray, b: np.ndarray) -> float:
    """The smallest λ at which all is zero."""
    return float(np.abs(A.T @ b).max()) / len(A)


def between(path: LassoPath, count: int, seed: int = 0) -> np.ndarray:
    """Some λ spread over the path, none a knot."""
    return np.exp(np.random.default_rng(seed).uniform(np.log(path.exact_to), np.log(path.lams[0]), count))


@pytest.mark.parametrize(("m", "n", "condition"), [(80, 15, 10.0), (200, 60, 1e3), (25, 40, 10.0), (200, 60, 1e9)])
@pytest.mark.parametrize("normalize", [False, True])
def test_is_optimal_at_knots_and_between(m: int, n: int, condition: float, normalize: bool) -> None:
    A, b = problem(m, n, condition)
    norms = np.linalg.norm(A, axis=0) if normalize else np.ones(n)
    lam_min = 1e-4 * largest(A / norms, b)
    path = lasso_path(RFactor.of(A, b), lam_min=lam_min, normalize=normalize)
    assert path.exact_to == lam_min
    assert path.lams[0] == pytest.approx(largest(A / norms, b))
    assert (np.diff(path.lams) < 0).all()
    assert path.gaps.max() < 1e-9
    for lam, c in zip(path.lams, path.coefficients, strict=True):
        assert gap_on_rows(A, b, lam * m * norms, c) < 1e-8
    for lam in between(path, 30):
        assert gap_on_rows(A, b, lam * m * norms, path.at(lam)) < 1e-8
    np.testing.assert_allclose(path.residual_norm2, np.sum((A @ path.coefficients.T - b[:, None]) ** 2, axis=0))
    np.testing.assert_array_equal(path.nonzeros, np.count_nonzero(path.coefficients, axis=1))


@pytest.mark.parametrize("normalize", [False, True])
def test_agrees_with_the_exact_lasso_between_knots(normalize: bool) -> None:
    A, b = problem(150, 30, 1e3)
    summary = RFactor.of(A, b)
    path = lasso_path(summary, 75.0, lam_min=1e-5, normalize=normalize)
    for lam in [*between(path, 5), path.exact_to]:
        expected = solve(summary, Lasso(float(lam), normalize), 75.0).coefficients
        np.testing.assert_allclose(A @ path.at(float(lam)), A @ expected, atol=1e-8)
        np.testing.assert_array_equal(path.at(float(lam)) != 0.0, expected != 0.0)


def test_knots_are_those_of_full_rows() -> None:
    """scikit-learn on the rows of a well-conditioned problem; its alpha counts rows, as λ does."""
    from sklearn.linear_model import lars_path

    A, b = problem(120, 12)
    path = lasso_path(RFactor.of(A, b), lam_min=1e-3)
    alphas, _, coefficients = lars_path(A, b, alpha_min=1e-3, method="lasso", Gram=None)
    np.testing.assert_allclose(path.lams, alphas, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(path.coefficients, coefficients.T, atol=1e-8)


@settings(deadline=None, derandomize=True)
@given(
    m=st.integers(1, 25),
    n=st.integers(1, 12),
    seed=st.integers(0, 20),
    fraction=st.sampled_from([1e-6, 1e-3, 0.3, 0.99, 1.0, 2.0]),
    normalize=st.booleans(),
    condition=st.sampled_from([1.0, 1e4]),
    l2=st.sampled_from([0.0, 1e-3]),
    weighted=st.booleans(),
)
def test_every_shape(
    m: int, n: int, seed: int, fraction: float, normalize: bool, condition: float, l2: float, weighted: bool
) -> None:
    A, b = problem(m, n, condition, seed)
    norms = np.linalg.norm(A, axis=0) if normalize else np.ones(n)
    w = np.exp(np.random.default_rng(seed).normal(size=n)) if weighted else np.ones(n)
    top = largest(A / norms / w, b)
    path = lasso_path(
        RFactor.of(A, b), lam_min=fraction * top, normalize=normalize, weights=w if weighted else None, l2=l2
    )
    for lam in [*path.lams, *between(path, 10, seed).clip(path.exact_to)]:
        y = path.at(lam) * norms
        # what the rounding of the triangle may contribute
        lengths = np.linalg.norm(A / norms, axis=0)
        rounding = 1e-14 * lengths.max() * (np.linalg.norm(b) + lengths @ np.abs(y)) / (lam * m * w.min())
        assert gap_on_rows(A / norms, b, lam * m * w, y, l2 * m) < 1e-6 + rounding
    np.testing.assert_array_equal(path.at(1.01 * top), 0.0)
    if fraction > 1.0:
        assert len(path.lams) == 1
    elif fraction < 1.0:
        assert path.exact_to == fraction * top


@pytest.mark.parametrize("condition", [1e3, 1e9])
@pytest.mark.parametrize("start", [0, 7])
def test_the_walk_alone_finds_the_path(condition: float, start: int) -> None:
    A, b = problem(200, 60, condition)
    mu_min = 1e-6 * float(np.abs(A.T @ b).max())
    whole = library_knots(A, b, mu_min)
    walk = walked_knots(A, b, float(whole.mus[start]), whole.y[start], mu_min)
    np.testing.assert_allclose(walk.mus, whole.mus[start + 1 :], rtol=1e-7)
    joined = Knots(np.r_[whole.mus[start], walk.mus], np.vstack([whole.y[start], walk.y]))
    assert max(part.max() for part in segment_gaps(A, b, joined)) < 1e-8


def test_goes_on_where_scikit_learn_goes_astray() -> None:
    """Two columns that differ by 1e-9 of their length: scikit-learn drops one, says so, and mixes up the others."""
    A, b = problem(60, 10)
    rng = np.random.default_rng(8)
    wide = np.hstack([A, A + 1e-9 * rng.normal(size=A.shape)])
    X = RFactor.of(wide, b)
    lam_min = 1e-6 * largest(wide, b)
    library = library_knots(np.asfortranarray(X.r[:20, :20]), X.r[:20, 20], lam_min * 60)
    assert max(part.max() for part in segment_gaps(wide, b, library)) > 1e-3
    path = lasso_path(X, lam_min=lam_min)
    for lam in [*path.lams, *between(path, 30)]:
        assert gap_on_rows(wide, b, lam * 60, path.at(lam)) < 1e-6


def test_repeated_columns() -> None:
    A, b = problem(60, 10)
    wide = np.hstack([A, A[:, :4]])
    path = lasso_path(RFactor.of(wide, b), lam_min=1e-4)
    alone = lasso_path(RFactor.of(A, b), lam_min=1e-4)
    for lam in between(path, 20):
        assert gap_on_rows(wide, b, lam * 60, path.at(lam)) < 1e-8
        # the fit, unlike the coefficients, is unique
        np.testing.assert_allclose(wide @ path.at(lam), A @ alone.at(lam), atol=1e-8)


@pytest.mark.parametrize("seed", [1, 116, 127, 182])
def test_the_walk_takes_back_columns_that_depended_on_one_that_left(seed: int) -> None:
    """Half sums and differences of columns are tied with both while these are active, and free when one has left."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(20, 6)) @ rng.normal(size=(6, 6))
    X = np.asfortranarray(np.hstack([A, (A[:, :3] + A[:, 3:]) / 2, (A[:, :3] - A[:, 3:]) / 2]))
    z = rng.normal(size=20)
    mu = float(np.abs(X.T @ z).max())
    walk = walked_knots(X, z, mu, np.zeros(12), 1e-4 * mu)
    joined = Knots(np.r_[mu, walk.mus], np.vstack([np.zeros(12), walk.y]))
    assert walk.mus[-1] == 1e-4 * mu
    assert max(part.max() for part in segment_gaps(X, z, joined)) < 1e-8


@pytest.mark.parametrize("columns", [2, 4])
def test_the_walk_ends_where_active_columns_are_dependent(columns: int) -> None:
    """There is no one way on from there; what follows is refused, not made up."""
    X = np.ones((3, columns), order="F")
    walk = walked_knots(X, np.ones(3), 1.0, np.full(columns, 0.5), 0.1)
    assert walk.mus.shape == (0,)
    assert walk.y.shape == (0, columns)


def test_remains_of_a_column_that_left_are_zero() -> None:
    y = np.array([[1.0, 2.0], [1e-17, 1e-6], [6e-18, 3.0], [0.0, 4.0]])
    np.testing.assert_array_equal(without_remains(y), [[1.0, 2.0], [0.0, 1e-6], [0.0, 3.0], [0.0, 4.0]])


def test_a_path_that_cannot_be_repaired_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    A, b = problem(100, 20)
    summary = RFactor.of(A, b)
    right = lasso_path(summary, lam_min=1e-4)

    def astray(X: np.ndarray, z: np.ndarray, mu_min: float) -> Knots:
        found = library_knots(X, z, mu_min)
        found.y[9:] *= 1.001
        return found

    monkeypatch.setattr(path_module, "library_knots", astray)
    repaired = lasso_path(summary, lam_min=1e-4)
    np.testing.assert_allclose(repaired.coefficients, right.coefficients, atol=1e-10)
    nothing = Knots(np.zeros(0), np.zeros((0, 20)))
    monkeypatch.setattr(path_module, "walked_knots", lambda *args: nothing)
    with pytest.raises(ConvergenceError, match=f"exact down to {right.lams[8]:.6g} only") as failure:
        lasso_path(summary, lam_min=1e-4)
    assert failure.value.gap > 1e-6
    part = lasso_path(summary, lam_min=1e-4, partial=True)
    assert part.exact_to == pytest.approx(right.lams[8])
    assert len(part.lams) == 9 == len(part.gaps)
    with pytest.raises(ValueError, match="where the path ends"):
        part.at(1e-4)


@pytest.mark.parametrize("spoil", ["missing knot", "wrong sign", "wrong coefficient", "wrong lam"])
def test_the_check_sees_what_is_wrong(spoil: str) -> None:
    A, b = problem(80, 15)
    good = library_knots(A, b, 1e-3)
    mus, y = good.mus.copy(), good.y.copy()
    if spoil == "missing knot":
        mus, y = np.delete(mus, 7), np.delete(y, 7, axis=0)
    elif spoil == "wrong sign":
        y[7, np.flatnonzero(y[7])[0]] *= -1
    elif spoil == "wrong coefficient":
        y[7, np.flatnonzero(y[7])[0]] *= 1.0001
    else:
        mus[7] *= 1.0001
    assert max(part.max() for part in segment_gaps(A, b, good)) < 1e-9
    assert segment_gaps(A, b, Knots(mus, y))[1][6:8].max() > 1e-6


def test_checks_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    A, b = problem(80, 15)
    knots = library_knots(A, b, 1e-3)
    whole = segment_gaps(A, b, knots)
    monkeypatch.setattr("hiertl_dist.algebra.lars.PORTION", 3)
    for found, expected in zip(segment_gaps(A, b, knots), whole, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_ends_exactly_at_lam_min() -> None:
    knots = Knots(np.array([4.0, 2.0, 1.0]), np.array([[0.0], [2.0], [4.0]]))
    assert ended(knots, 1.0) is knots
    assert ended(knots, 0.5) is knots
    cut = ended(knots, 1.5)
    np.testing.assert_array_equal(cut.mus, [4.0, 2.0, 1.5])
    np.testing.assert_array_equal(cut.y[:, 0], [0.0, 2.0, 3.0])


def test_at_is_linear_between_knots_and_refuses_what_is_below() -> None:
    A, b = problem(80, 10)
    path = lasso_path(RFactor.of(A, b), lam_min=1e-2)
    for i, lam in enumerate(path.lams):
        np.testing.assert_allclose(path.at(float(lam)), path.coefficients[i], rtol=0, atol=1e-15)
    np.testing.assert_allclose(path.at(path.lams[4:6].mean()), path.coefficients[4:6].mean(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(path.at(2 * path.lams[0]), 0.0)
    for bad in (0.99e-2, 0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="where the path ends"):
            path.at(bad)


def test_information_criteria_are_the_normal_likelihoods() -> None:
    """−2 log likelihood at the most likely noise, less its constant, with twice and log N times the parameters."""
    A, b = problem(70, 10)
    path = lasso_path(RFactor.of(A, b), 999.0, lam_min=1e-4)
    from scipy.stats import norm

    for i, c in enumerate(path.coefficients):
        residual = b - A @ c
        likelihood = norm.logpdf(residual, scale=np.sqrt(np.mean(residual**2))).sum()
        constant = 70 * (np.log(2 * np.pi) + 1)
        assert path.aic[i] + constant == pytest.approx(-2 * likelihood + 2 * np.count_nonzero(c))
        assert path.bic[i] + constant == pytest.approx(-2 * likelihood + np.log(70) * np.count_nonzero(c))
    assert path.best("bic") == int(np.argmin(path.bic))
    assert path.best("aic") == int(np.argmin(path.aic))
    assert path.nonzeros[path.best("bic")] <= path.nonzeros[path.best("aic")]
    with pytest.raises(ValueError, match="criterion"):
        path.best("cp")  # type: ignore[arg-type]


def test_information_criteria_at_the_edges() -> None:
    aic, bic = information_criteria([1.0, 0.0, 1.0], [2, 2, 5], 5)
    assert aic[0] == pytest.approx(5 * np.log(0.2) + 4)
    assert bic[0] == pytest.approx(5 * np.log(0.2) + 2 * np.log(5))
    assert aic[1] == bic[1] == -np.inf
    assert aic[2] == bic[2] == np.inf
    with pytest.raises(ValueError, match="rows"):
        information_criteria(1.0, 1.0, 0)
    with pytest.raises(ValueError, match="numbers ≥ 0"):
        information_criteria(-1.0, 1.0, 10)


def test_bic_finds_the_true_columns() -> None:
    rng = np.random.default_rng(3)
    A = rng.normal(size=(400, 30))
    truth = np.zeros(30)
    truth[[2, 11, 17]] = 5.0, -4.0, 3.0
    path = lasso_path(RFactor.of(A, A @ truth + 0.5 * rng.normal(size=400)), lam_min=1e-4)
    best = path.coefficients[path.best("bic")]
    assert {2, 11, 17} <= set(np.flatnonzero(best))
    assert path.nonzeros[path.best("bic")] <= 8


def test_degrees_of_freedom_of_the_elastic_net_are_its_divergence() -> None:
    """df = Σ ∂(A c)_i / ∂b_i / 1, by central differences (Stein)."""
    A, b = problem(25, 6)
    l2, lam = 0.05, 0.3
    path = lasso_path(RFactor.of(A, b), lam_min=lam, l2=l2)
    h, found = 1e-5, 0.0
    for i in range(25):
        ends = []
        for sign in (1, -1):
            moved = b.copy()
            moved[i] += sign * h
            ends.append(A[i] @ lasso_path(RFactor.of(A, moved), lam_min=lam, l2=l2).at(lam))
        found += (ends[0] - ends[1]) / (2 * h)
    assert path.degrees_of_freedom[-1] == pytest.approx(found, rel=1e-5)
    assert path.degrees_of_freedom[-1] < path.nonzeros[-1]


def test_zero_columns_infinite_weights_and_no_target() -> None:
    A, b = problem(40, 8)
    A[:, 2] = 0.0
    path = lasso_path(RFactor.of(A, b), lam_min=1e-4)
    np.testing.assert_array_equal(path.coefficients[:, 2], 0.0)
    kept = np.delete(np.arange(8), 2)
    np.testing.assert_allclose(
        path.coefficients[:, kept], lasso_path(RFactor.of(A[:, kept], b), lam_min=1e-4).coefficients, atol=1e-12
    )
    weights = np.ones(8)
    weights[5] = np.inf
    without = lasso_path(RFactor.of(A, b), lam_min=1e-4, weights=weights)
    np.testing.assert_array_equal(without.coefficients[:, 5], 0.0)
    none = lasso_path(RFactor.of(A, np.zeros(40)), lam_min=1e-4)
    assert len(none.lams) == 1
    np.testing.assert_array_equal(none.at(1e-3), 0.0)
    np.testing.assert_array_equal(lasso_path(RFactor.of(np.zeros((9, 2)), np.ones(9)), lam_min=1.0).at(2.0), 0.0)


def test_columns_of_very_different_lengths() -> None:
    """scikit-learn would drop columns shorter than 1e-7."""
    A, b = problem(60, 8)
    A = A * np.logspace(0, -7, 8)
    path = lasso_path(RFactor.of(A, b), lam_min=1e-9 * largest(A, b))
    assert path.nonzeros[-1] >= 7
    for lam in between(path, 10):
        assert gap_on_rows(A, b, lam * 60, path.at(lam)) < 1e-6


def test_three_hundred_columns_take_seconds_and_the_same_bits() -> None:
    import time

    A, b = problem(1000, 300, 1e6)
    summary = RFactor.of(A, b)
    began = time.process_time()
    path = lasso_path(summary, lam_min=1e-6 * largest(A, b))
    assert time.process_time() - began < 5.0
    assert len(path.lams) > 300
    again = lasso_path(summary, lam_min=1e-6 * largest(A, b))
    assert path.coefficients.tobytes() == again.coefficients.tobytes()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lam_min": 0.0}, "lam_min"),
        ({"lam_min": np.inf}, "lam_min"),
        ({"lam_min": 1.0, "n_counted": 0.0}, "n_counted"),
        ({"lam_min": 1.0, "l2": -1.0}, "l2"),
        ({"lam_min": 1.0, "weights": [1.0, 2.0]}, "weights: expected one for each of the 3 columns"),
        ({"lam_min": 1.0, "weights": [1.0, 0.0, 2.0]}, "found 0.0 for column 1"),
        ({"lam_min": 1.0, "weights": [1.0, 1.0, np.nan]}, "column 2"),
    ],
)
def test_bad_numbers_are_refused(given: dict[str, object], message: str) -> None:
    A, b = problem(20, 3)
    with pytest.raises(ValueError, match=message):
        lasso_path(RFactor.of(A, b), **given)  # type: ignore[arg-type]


def test_a_gram_is_refused() -> None:
    with pytest.raises(TypeError, match="expected an RFactor, found Gram"):
        lasso_path(Gram.of(*problem(20, 3)), lam_min=1.0)  # type: ignore[arg-type]
