"""Solvers that end after a fixed amount of work: none, truncated SVD, ridge."""

from __future__ import annotations

import math

import numpy as np

from hiertl_dist.algebra.factor import Answer, Factor, equilibrated, guarded_cholesky, refine
from hiertl_dist.algebra.gram import Gram
from hiertl_dist.algebra.lapack import (
    Matrix,
    RowSpace,
    Vector,
    column_norms,
    pivoted_qr,
    solve_triangular,
    stack_below,
    triangular_condition,
)


def least_squares(factor: Factor, tolerance: float) -> Answer:
    """The least-squares solution, the shortest one (Euclidean, unscaled x) where columns are dependent.

    Rank is decided on columns of length 1: by pivoted QR, |R_jj| > tolerance |R_00|, and by the condition
    estimate alone where that leaves no doubt. The shortest solution comes from a complete orthogonal
    decomposition (as in LAPACK's dgelsy), so it doesn't depend on which of the dependent columns comes first.
    """
    p, n = factor.R.shape
    scaled, lengths = equilibrated(factor.R)
    if p == n:
        condition = triangular_condition(scaled)
        # cond_2 ≤ n cond_1, and the estimate of cond_1 may be ten times too small.
        if 10 * n * tolerance * condition < 1.0:
            return Answer(solve_triangular(scaled, factor.z) / lengths, n, condition)
    r, pivots, rotated = pivoted_qr(scaled, factor.z)
    diagonal = np.abs(np.diagonal(r))
    # Pivoting makes the diagonal fall, up to rounding.
    rank = int(np.count_nonzero(diagonal > tolerance * diagonal[0]))
    kept = np.asfortranarray(r[:rank] * lengths[pivots])
    space = RowSpace(kept)
    x = space.least_norm(rotated[:rank])
    # Scaling back may cost digits where lengths differ by many orders: one step of refinement returns them.
    x += space.least_norm(rotated[:rank] - kept @ x)
    coefficients = np.empty(n)
    coefficients[pivots] = x
    return Answer(coefficients, rank, triangular_condition(np.asfortranarray(r[:rank, :rank])))


def truncated_svd(factor: Factor, tolerance: float, decomposition: tuple[Matrix, Vector, Matrix]) -> Answer:
    """V_k S_k⁻¹ U_kᵀ z over the singular values s > tolerance × s_0 of R, which are those of A.

    Parameters
    ----------
    factor : Factor
        R (p, n) and z (p,).
    tolerance : float
        Smallest singular value that is kept, relative to the largest.
    decomposition : tuple of ndarray
        The thin (U, s, Vᵀ) of R.

    Returns
    -------
    Answer
        With the singular values kept as its rank.
    """
    u, s, vt = decomposition
    rank = int(np.count_nonzero(s > tolerance * s[0]))
    coefficients = vt[:rank].T @ ((u[:, :rank].T @ factor.z) / s[:rank])
    return Answer(np.asarray(coefficients), rank, float(s[0] / s[rank - 1]))


def ridge(factor: Factor, alpha: float) -> Answer:
    """QR of R stacked on √alpha I, then refinement on the gradient Rᵀ(z − R c) − alpha c.

    Two squares are needed beside R: what becomes the triangle, and the penalty's rows.
    """
    n = factor.R.shape[1]
    u = on_penalty_rows(factor, alpha)
    # The target's column becomes a unit vector: a triangle (n + 1, n + 1) that solves as its leading part does.
    start = np.append(u[:n, n], 0.0)
    u[:n, n], u[n, n] = 0.0, 1.0

    def slope(c: Vector) -> Vector:
        return np.append(factor.gradient(c[:n]) - alpha * c[:n], 0.0)

    coefficients = refine(slope, u, solve_triangular(u, start))[:n]
    u /= column_norms(u)
    return Answer(coefficients, n, triangular_condition(u))


def on_penalty_rows(factor: Factor, alpha: float) -> Matrix:
    """The triangle (n + 1, n + 1) of [R | z] stacked on [√alpha I | 0]."""
    p, n = factor.R.shape
    # Zero rows make a trapezoid a triangle, so few rows need no case of their own.
    above = np.zeros((n + 1, n + 1), order="F")
    above[:p, :n], above[:p, n] = factor.R, factor.z
    penalty = np.zeros((n, n + 1), order="F")
    penalty[np.diag_indices(n)] = math.sqrt(alpha)
    return stack_below(above, penalty, trapezoid=n, overwrite=True)


def ridge_of_gram(summary: Gram, alpha: float | Vector) -> Answer:
    """Cholesky of AᵀA + diag(alpha), one number or (n,); raises UnsafeGram where that can't be trusted."""
    u, condition = guarded_cholesky(summary, alpha)

    def slope(c: Vector) -> Vector:
        return summary.gradient(c) - alpha * c

    return Answer(refine(slope, u, np.zeros(summary.n_columns)), summary.n_columns, condition)
