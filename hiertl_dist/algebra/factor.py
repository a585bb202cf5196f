"""The one form that solvers work on: R (p, n) and z (p,), p ≤ n, with ‖Ax − b‖² = ‖Rx − z‖² + const."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hiertl_dist.algebra.errors import UnsafeGram
from hiertl_dist.algebra.gram import Gram
from hiertl_dist.algebra.lapack import (
    Matrix,
    Vector,
    cholesky,
    column_norms,
    definite_condition,
    qr_triangle,
    solve_triangular,
    triangular_condition,
)
from hiertl_dist.algebra.rfactor import RFactor

#: Largest estimated condition number of the (regularised, column-equilibrated) design matrix at which normal
#: equations are used. They carry its square: the solution has lost 12 digits here and is wrong, silently,
#: from about 1e7 on.
GRAM_CONDITION_LIMIT = 1e6

_REFINEMENTS = 4


@dataclass(frozen=True, eq=False)
class Factor:
    """The triangle and the target of a least-squares problem, p = min(rows, n).

    Attributes
    ----------
    R : ndarray of shape (p, n)
        Upper trapezoidal.
    z : ndarray of shape (p,)
        Its target.
    """

    R: Matrix
    z: Vector

    def gradient(self, c: Vector) -> Vector:
        """Minus the gradient of ½‖R c − z‖², Rᵀ(z − R c), shape (n,), for coefficients (n,)."""
        return np.asarray(self.R.T @ (self.z - self.R @ c))


@dataclass(frozen=True, eq=False)
class Answer:
    """What a solver found: a ``LinearSolution`` without what can be told from the summary alone.

    Attributes
    ----------
    coefficients : ndarray of shape (n,)
        The answer.
    rank : int
        Columns or singular values that it has.
    condition : float
        Condition number of what was inverted.
    kkt_gap : float or None
        Largest violation of the optimality conditions, relative to the penalty, where there are any.
    notes : tuple of str
        What the reader of a report should know.
    """

    coefficients: Vector
    rank: int
    condition: float
    kkt_gap: float | None = None
    notes: tuple[str, ...] = ()


def factor_of_rows(summary: RFactor) -> Factor:
    """The factor of target 0; a few rows kept as rows are made a trapezoid first."""
    n = summary.n_columns
    r = summary.r[:, : n + 1]
    if not summary.is_triangle:
        r = qr_triangle(np.array(r, order="F"), overwrite=True)
    return Factor(r[:n, :n], r[:n, n])


def factor_of_gram(summary: Gram) -> Factor:
    """The Cholesky factor as R, z = R⁻ᵀ Aᵀb; raises UnsafeGram as ``guarded_cholesky``."""
    u, _ = guarded_cholesky(summary, 0.0)
    n = summary.n_columns
    return Factor(u, solve_triangular(u, summary.g[:n, n], transposed=True))


def guarded_cholesky(summary: Gram, alpha: float | Vector) -> tuple[Matrix, float]:
    """(U, condition) with UᵀU = AᵀA + diag(alpha); condition is √cond_1 of it with its diagonal scaled to 1.

    Raises UnsafeGram where that estimate (dpocon) exceeds GRAM_CONDITION_LIMIT or Cholesky breaks down.
    """
    n = summary.n_columns
    g = np.array(summary.g[:n, :n], order="F")
    g[np.diag_indices(n)] += alpha
    lengths = np.sqrt(np.diagonal(g))
    scaled = g / lengths / lengths[:, np.newaxis]
    u = cholesky(scaled)
    condition = math.inf if u is None else math.sqrt(definite_condition(scaled, u))
    if u is None or condition > GRAM_CONDITION_LIMIT:
        beyond = float(np.finfo(np.float64).eps) ** -0.5
        estimate = f"estimated at {condition:.2g}" if u is not None else f"beyond {beyond:.1g} (Cholesky breaks down)"
        raise UnsafeGram(
            f"normal equations can't be trusted: the condition number of the regularised, "
            f"column-equilibrated design matrix is {estimate}, the limit is {GRAM_CONDITION_LIMIT:.0e}; "
            f'reduce the rows with method = "rfactor" or "auto", or regularise more strongly',
            condition,
        )
    return u * lengths, condition


def equilibrated(a: Matrix) -> tuple[Matrix, Vector]:
    """(``a`` with columns of length 1, their lengths); zero columns stay zero and count as 1."""
    lengths = column_norms(a)
    lengths[lengths == 0.0] = 1.0
    return np.asfortranarray(a / lengths), lengths


def equilibrated_condition(u: Matrix) -> float:
    """Estimate of cond_1 of a square triangle with its columns scaled to length 1."""
    return triangular_condition(equilibrated(u)[0])


def refine(gradient: Callable[[Vector], Vector], u: Matrix, c: Vector) -> Vector:
    """Coefficients after corrected semi-normal steps UᵀU d = gradient(c).

    Steps are taken for as long as they shrink the gradient. Björck, Linear Algebra Appl. 88/89, 31 (1987): one step
    gives what a stored Q would have given.

    Parameters
    ----------
    gradient : callable
        ``gradient(c)``, shape (n,), zero at the minimum.
    u : ndarray of shape (n, n)
        The triangle U.
    c : ndarray of shape (n,)
        Where to start.

    Returns
    -------
    ndarray of shape (n,)
        The best coefficients found.
    """
    slope = gradient(c)
    for _ in range(_REFINEMENTS):
        better = c + solve_triangular(u, solve_triangular(u, slope, transposed=True))
        new_slope = gradient(better)
        if not np.linalg.norm(new_slope) < np.linalg.norm(slope):
            break
        c, slope = better, new_slope
    return c
