"""Ridge for many alphas from one singular value decomposition, and generalised cross-validation to choose one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hiertl_dist.algebra.factor import Factor
from hiertl_dist.algebra.lapack import Matrix, Vector
from hiertl_dist.algebra.problem import Problem, others_of, problem_of
from hiertl_dist.algebra.rfactor import RFactor
from hiertl_dist.algebra.summary import Columns, Summary, column_index, locked
from hiertl_dist.algebra.unpenalised import set_apart
from hiertl_dist.errors import InputError


@dataclass(frozen=True, eq=False)
class RidgeGrid:
    """Ridge solutions for many alphas, in the order that they were given in.

    Attributes
    ----------
    alphas : ndarray of shape (k,)
        The penalties.
    coefficients : ndarray of shape (k, n)
        Those of min ‖A c − b‖² + alpha ‖c‖²; 0 for columns that are zero.
    residual_norm2 : ndarray of shape (k,)
        ‖A c − b‖² over all (weighted) rows, without the penalty and the rows of a prior.
    degrees_of_freedom : ndarray of shape (k,)
        tr (AᵀA + PᵀP + alpha I)⁻¹AᵀA, P being the rows of a prior, and 1 for each unpenalised column: without P that is
        Σ s²/(s² + alpha) over the singular values s of A.
    gcv : ndarray of shape (k,)
        N ‖A c − b‖² / (N − degrees of freedom)²; inf where N does not exceed them.
    condition : ndarray of shape (k,)
        Exact cond_2 of A stacked on √alpha I, columns not scaled.
    n_counted : float
        N, the rows that the caller counts.
    """

    alphas: Vector
    coefficients: Matrix
    residual_norm2: Vector
    degrees_of_freedom: Vector
    gcv: Vector
    condition: Vector
    n_counted: float

    @property
    def best(self) -> int:
        """The index of the smallest GCV; the largest alpha of several. ValueError where none is finite."""
        if not np.isfinite(self.gcv).any():
            raise ValueError(
                f"GCV: expected more rows counted than degrees of freedom, found n_counted = {self.n_counted:g} "
                f"and {self.degrees_of_freedom.min():g} degrees of freedom or more"
            )
        lowest = np.flatnonzero(self.gcv == self.gcv.min())
        return int(lowest[np.argmax(self.alphas[lowest])])


def ridge_grid(
    summary: Summary, alphas: npt.ArrayLike, n_counted: float | None = None, unpenalised: Columns = (), *,
    held: Matrix | None = None,
) -> RidgeGrid:  # fmt: skip
    """Minimise ‖A c − b‖² + alpha ‖c‖² for many alphas, b being target 0 of a summary.

    One SVD of R serves all. GCV is that of Golub, Heath and Wahba, Technometrics 21, 215 (1979); its residual includes
    what is outside the range of A. A ``Gram`` goes through its guarded Cholesky factor, with all columns penalised.

    Parameters
    ----------
    summary : Summary
        Of the rows [A | T].
    alphas : array_like of shape (k,)
        The penalties.
    n_counted : float, optional
        N, by default the rows of the summary.
    unpenalised : sequence of int or mask of shape (n,), optional
        Columns of an ``RFactor`` that are set apart as in ``solve``; each independent one takes a degree of freedom.
    held : ndarray of shape (k, n), optional
        Rows of a prior among those of an ``RFactor``, as in ``solve_all``: they are in the minimum, and neither in the
        residual nor in N nor in the degrees of freedom.

    Returns
    -------
    RidgeGrid
        The solutions.

    Raises
    ------
    ValueError
        Alphas that are not finite numbers > 0, or an ``n_counted`` that isn't one.
    UnsafeGram
        A ``Gram`` that can't be trusted without a penalty.
    TypeError
        Columns of a ``Gram`` that are to be unpenalised.
    """
    grid = np.array(alphas, dtype=np.float64)
    if grid.ndim != 1 or not np.all(np.isfinite(grid) & (grid > 0.0)):
        raise InputError(f"alphas: expected a list of finite numbers > 0, found {alphas!r}")
    free = column_index(unpenalised, summary.n_columns)
    if len(free) == 0:
        return _grid_of(problem_of(summary, n_counted, held), grid)
    if not isinstance(summary, RFactor):
        raise TypeError(f"expected an RFactor where columns are unpenalised, found {type(summary).__name__}")
    apart = set_apart(summary, free)
    counted = problem_of(summary, n_counted, held).counted()
    own = others_of(held, apart.free, apart.others)
    penalised = _grid_of(problem_of(apart.rest, counted, own), grid, apart.rank)
    return replace(penalised, coefficients=locked(apart.joined(penalised.coefficients)))


def _grid_of(problem: Problem, grid: Vector, taken: int = 0) -> RidgeGrid:
    """The grid of a problem, ``taken`` degrees of freedom of whose rows are gone already."""
    summary, counted = problem.summary, problem.counted()
    k, n = len(grid), summary.n_columns
    if problem.live.n_columns == 0 or k == 0:
        norm2, left = np.full(k, summary.target_norm2()), counted - taken
        gcv = counted * norm2 / left**2 if left > 0.0 else np.full(k, np.inf)
        return _grid(grid, np.zeros((k, n)), norm2, np.full(k, float(taken)), gcv, np.ones(k), counted)
    factor, decomposition = problem.factor, problem.svd
    solutions = ridge_solutions(factor, decomposition, grid)
    coefficients = np.zeros((k, n))
    coefficients[:, problem.alive] = solutions
    residual = factor.z[:, np.newaxis] - factor.R @ solutions.T
    norm2 = np.vecdot(residual.T, residual.T) + problem.outside
    s2 = decomposition[1] ** 2
    kept = grid[:, np.newaxis] / (s2 + grid[:, np.newaxis])
    freedom = np.sum(s2 / (s2 + grid[:, np.newaxis]), axis=1) + taken
    # N − Σ s²/(s² + alpha) without the cancellation where alpha is small and N = p
    left_over = (counted - taken - len(s2)) + kept.sum(axis=1)
    if problem.held is not None:
        along = np.square(problem.held @ decomposition[2].T).sum(axis=0)
        of_prior = np.sum(np.minimum(along, s2) / (s2 + grid[:, np.newaxis]), axis=1)
        freedom, left_over = freedom - of_prior, left_over + of_prior
        # a difference, which may be less than the rounding of its terms
        norm2 = np.maximum(norm2 - np.square(problem.held @ solutions.T).sum(axis=0), 0.0)
    with np.errstate(divide="ignore", over="ignore"):
        gcv = np.where(left_over > 0.0, counted * norm2 / left_over**2, np.inf)
    return _grid(grid, coefficients, norm2, freedom, gcv, ridge_conditions(factor, s2, grid), counted)


def _grid(alphas: Vector, c: Matrix, norm2: Vector, df: Vector, gcv: Vector, condition: Vector, n: float) -> RidgeGrid:
    return RidgeGrid(locked(alphas), locked(c), locked(norm2), locked(df), locked(gcv), locked(condition), n)


def ridge_solutions(factor: Factor, decomposition: tuple[Matrix, Vector, Matrix], alphas: Vector) -> Matrix:
    """Coefficients for many alphas: V s/(s² + alpha) Uᵀz.

    Refinement on the gradient, as after a QR, was tried: at conditions to 1e12 it finds nothing left to improve.

    Parameters
    ----------
    factor : Factor
        R (p, n) and z (p,).
    decomposition : tuple of ndarray
        The thin SVD (U, s, Vᵀ) of R.
    alphas : ndarray of shape (k,)
        The penalties.

    Returns
    -------
    ndarray of shape (k, n)
        The coefficients of each.
    """
    u, s, vt = decomposition
    filtered = s * (u.T @ factor.z) / (s**2 + alphas[:, np.newaxis])
    return np.asarray(filtered @ vt)


def ridge_conditions(factor: Factor, s2: Vector, alphas: Vector) -> Vector:
    """cond_2 (k,) of R stacked on √alpha I, from the squared singular values of R, falling."""
    smallest = s2[-1] if len(s2) == factor.R.shape[1] else 0.0
    return np.asarray(np.sqrt((s2[0] + alphas) / (smallest + alphas)))
