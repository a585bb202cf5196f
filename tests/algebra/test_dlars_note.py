"""What the compatibility note says of dlars, on numbers: its documented behaviour, made of `lars_path`, beside ours."""

from __future__ import annotations

import numpy as np
import pytest

from hiertl_dist.algebra import Lasso, RFactor
from hiertl_dist.algebra.lasso_path import LassoPath, lasso_path
from hiertl_dist.algebra.solve import solve

LAM = 2e-3


def objective(A: np.ndarray, b: np.ndarray, c: np.ndarray, lam: float) -> float:
    """As dlars states it: (1/2N) ‖A c − b‖² + λ‖c‖₁, N being all rows."""
    return float(np.sum((A @ c - b) ** 2) / (2 * len(b)) + lam * np.abs(c).sum())


def knots(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Every knot of the path (k, n), down to the least-squares solution."""
    from sklearn.linear_model import lars_path

    return lars_path(A, b, method="lasso", Gram=None, max_iter=10_000)[2].T


def dlars(A: np.ndarray, b: np.ndarray, lam: float, *, normalize: bool, centre: bool = True) -> np.ndarray:
    """Its answer as documented: centred and scaled if normalised, the knot after the one with the least objective.

    The intercept that centring implies is not returned, as there. `centre=False` tells one effect from the other.
    """
    scale = np.ones(A.shape[1])
    if normalize:
        if centre:
            A, b = A - A.mean(axis=0), b - b.mean()
        scale = np.linalg.norm(A, axis=0)
        A = A / scale
    path = knots(A, b)
    values = [objective(A, b, c, lam) for c in path]
    best = next(i for i in range(len(path)) if i + 1 == len(path) or values[i + 1] > values[i] + 1e-10)
    return path[min(best + 1, len(path) - 1)] / scale


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    """Rows as a fit has them: forces, whose columns average to zero, and a few energies, whose columns do not."""
    rng = np.random.default_rng(4)
    forces, energies = rng.normal(size=(360, 25)), 4.0 + rng.normal(size=(40, 25))
    A = np.vstack([forces, energies]) @ (np.eye(25) + 0.5 * rng.normal(size=(25, 25)) / 5)
    truth = rng.normal(size=25) * (rng.random(25) < 0.4)
    return A, A @ truth + 0.5 * rng.normal(size=400)


def ours(rows: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return solve(RFactor.of(*rows), Lasso(LAM, normalize=True)).coefficients


def relative(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def test_the_knot_after_the_best_is_neither_optimal_nor_at_lambda(rows: tuple[np.ndarray, np.ndarray]) -> None:
    A, b = rows
    norms = np.linalg.norm(A, axis=0)
    exact = ours(rows)
    found = dlars(A, b, LAM, normalize=True, centre=False)
    assert objective(A / norms, b, exact * norms, LAM) < objective(A / norms, b, found * norms, LAM)
    # it is exact for another λ, a smaller one, so that more is kept
    path = lasso_path(RFactor.of(A, b), lam_min=1e-7, normalize=True)
    nearest = int(np.argmin(np.linalg.norm(path.coefficients - found, axis=1)))
    np.testing.assert_allclose(path.coefficients[nearest], found, atol=1e-10)
    assert path.lams[nearest] < LAM
    assert np.count_nonzero(found) >= np.count_nonzero(exact)
    assert 1e-4 < relative(found, exact) < 0.1
    # ours at the λ of that knot is the same answer
    np.testing.assert_allclose(path.at(float(path.lams[nearest])), found, atol=1e-10)


def test_where_the_best_knot_is_on_the_exact_path(rows: tuple[np.ndarray, np.ndarray]) -> None:
    """The knot with the least objective is next to λ, the one returned is one further down: `knot_after` finds it."""
    A, b = rows
    path = lasso_path(RFactor.of(A, b), lam_min=1e-7, normalize=True)
    np.testing.assert_allclose(
        path.coefficients[knot_after(path, A, b, LAM)], dlars(A, b, LAM, normalize=True, centre=False), atol=1e-10
    )


def knot_after(path: LassoPath, A: np.ndarray, b: np.ndarray, lam: float) -> int:
    """The index of dlars' knot on our path, as the note tells a user to find it."""
    norms = np.linalg.norm(A, axis=0)
    values = path.residual_norm2 / (2 * len(b)) + lam * np.abs(path.coefficients * norms).sum(axis=1)
    return int(np.argmin(values)) + 1


def test_centring_changes_the_answer_and_loses_an_intercept(rows: tuple[np.ndarray, np.ndarray]) -> None:
    A, b = rows
    plain, centred = dlars(A, b, LAM, normalize=True, centre=False), dlars(A, b, LAM, normalize=True)
    assert relative(centred, plain) > 1e-3
    # what it leaves out is a constant in every row, forces too, which a model has no place for
    intercept = float(np.mean(b - A @ centred))
    assert abs(intercept) > 1e-3
    assert abs(float(np.mean(A @ centred + intercept - b))) < 1e-12
    # without an intercept the centred answer fits the rows worse than with it
    assert np.sum((A @ centred - b) ** 2) > np.sum((A @ centred + intercept - b) ** 2)


def test_ours_never_centres(rows: tuple[np.ndarray, np.ndarray]) -> None:
    A, b = rows
    norms = np.linalg.norm(A, axis=0)
    s = (A / norms).T @ (b - A @ ours(rows)) / (LAM * len(b))
    assert np.abs(s).max() == pytest.approx(1.0, abs=1e-8)


def test_without_normalisation_only_the_knot_differs(rows: tuple[np.ndarray, np.ndarray]) -> None:
    A, b = rows
    lam = 0.05
    exact = solve(RFactor.of(A, b), Lasso(lam)).coefficients
    found = dlars(A, b, lam, normalize=False)
    path = lasso_path(RFactor.of(A, b), lam_min=1e-5)
    assert np.linalg.norm(path.coefficients - found, axis=1).min() < 1e-9
    assert relative(found, exact) > 1e-4


def test_weights_multiply_rows_and_leave_n_alone(rows: tuple[np.ndarray, np.ndarray]) -> None:
    """dlars multiplies rows and target by the weights and divides by the rows it has: `scale` with `n_counted`."""
    A, b = rows
    w = np.r_[np.ones(360), 0.3 * np.ones(40)]
    weighted = RFactor.of(A[:360], b[:360]).merge(RFactor.of(A[360:], b[360:]).scale(0.3))
    path = lasso_path(weighted, 400.0, lam_min=1e-7, normalize=True)
    found = dlars(A * w[:, None], b * w, LAM, normalize=True, centre=False)
    assert np.linalg.norm(path.coefficients - found, axis=1).min() < 1e-9
