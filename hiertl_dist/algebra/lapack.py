"""Checked LAPACK and BLAS calls: the only module of the package that sees an `info` code.

Every function takes and returns float64 arrays. Matrices come back column-major, as LAPACK wants them.
All are deterministic: the same input gives the same bits when the caller keeps the number of BLAS threads.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.linalg import blas, lapack

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

#: Columns per panel of the blocked QR routines; 64 to 128 is flat on the machines tried.
PANEL = 64


def _check(routine: str, info: int) -> None:
    if info < 0:
        raise ValueError(f"LAPACK {routine}: argument {-info} is illegal")
    if info > 0:
        raise np.linalg.LinAlgError(f"LAPACK {routine} failed with info = {info}")


def zero_lower(a: Matrix) -> Matrix:
    """Zero what lies below the diagonal of `a` (m, n), in place."""
    for column in range(min(a.shape)):
        a[column + 1 :, column] = 0.0
    return a


def qr_triangle(a: Matrix, *, overwrite: bool = False) -> Matrix:
    """R of `a` = QR, shape (min(m, n), n); signs as Householder reflections leave them (dgeqrt).

    `overwrite` lets a column-major `a` be destroyed instead of copied.
    """
    m, n = a.shape
    k = min(m, n)
    if k == 0:
        return np.zeros((k, n), order="F")
    factored, _, info = lapack.dgeqrt(min(PANEL, k), a, overwrite_a=overwrite)
    _check("dgeqrt", info)
    return zero_lower(np.array(factored[:k], order="F"))


def stack_below(triangle: Matrix, below: Matrix, *, trapezoid: int) -> Matrix:
    """R (n, n) of `triangle` (n, n) stacked on `below` (m, n); neither is changed (dtpqrt).

    The last `trapezoid` rows of `below` are known to be upper trapezoidal: m for a triangle, 0 for general
    rows.
    """
    n = triangle.shape[1]
    if n == 0 or len(below) == 0:
        return np.array(triangle, order="F")
    merged, _, _, info = lapack.dtpqrt(trapezoid, min(PANEL, n), triangle, below)
    _check("dtpqrt", info)
    return zero_lower(np.asfortranarray(merged))


def solve_triangular(u: Matrix, b: Vector, *, transposed: bool = False) -> Vector:
    """x with U x = b, or Uᵀ x = b; an exactly zero diagonal entry raises LinAlgError (dtrtrs)."""
    if len(b) == 0:
        return np.zeros(0)
    x, info = lapack.dtrtrs(u, b[:, np.newaxis], trans=int(transposed))
    if info > 0:
        raise np.linalg.LinAlgError(f"triangular matrix is singular: diagonal entry {info - 1} is zero")
    _check("dtrtrs", info)
    return np.asarray(x[:, 0])


def triangular_condition(u: Matrix) -> float:
    """Estimate (from below, seldom by more than 10) of cond_1 of an upper triangle; may be inf (dtrcon)."""
    if u.shape[0] == 0:
        return 1.0
    rcond, info = lapack.dtrcon(u)
    _check("dtrcon", info)
    return 1.0 / float(rcond) if rcond > 0.0 else math.inf


def cholesky(g: Matrix) -> tuple[Matrix | None, float]:
    """U with UᵀU = `g`, and the estimate of cond_1(`g`); (None, inf) where `g` is not positive definite.

    The caller decides what that means (dpotrf, dpocon).
    """
    if g.shape[0] == 0:
        return np.zeros((0, 0), order="F"), 1.0
    u, info = lapack.dpotrf(g, lower=0, clean=1)
    if info > 0:
        return None, math.inf
    _check("dpotrf", info)
    rcond, info = lapack.dpocon(u, np.linalg.norm(g, 1), uplo="U")
    _check("dpocon", info)
    return np.asarray(u), (1.0 / float(rcond) if rcond > 0.0 else math.inf)


def pivoted_qr(a: Matrix, b: Vector) -> tuple[Matrix, npt.NDArray[np.intp], Vector]:
    """(R, p, Qᵀb) of a[:, p] = QR with falling |R_jj| (dgeqp3, dormqr); R is (min(m, n), n)."""
    m, n = a.shape
    k = min(m, n)
    lwork = 2 * n + (n + 1) * PANEL
    factored, pivots, tau, _, info = lapack.dgeqp3(a, lwork=lwork)
    _check("dgeqp3", info)
    rotated, _, info = lapack.dormqr("L", "T", factored[:, :k], tau, b[:, np.newaxis], PANEL)
    _check("dormqr", info)
    return np.triu(factored[:k]), np.asarray(pivots - 1, dtype=np.intp), np.asarray(rotated[:k, 0])


class RowSpace:
    """The trapezoid `a` (r, n), r ≤ n, of full row rank as [T 0] Z with orthogonal Z (dtzrzf)."""

    def __init__(self, a: Matrix) -> None:
        self.rank, self.columns = a.shape
        self._wide = self.rank < self.columns
        if self._wide:
            factored, self._tau, info = lapack.dtzrzf(a, lwork=max(1, self.rank) * PANEL)
            _check("dtzrzf", info)
            self._factored = factored
            self.triangle: Matrix = np.triu(factored[:, : self.rank])
        else:
            self.triangle = a

    def least_norm(self, b: Vector) -> Vector:
        """The shortest x (n,) with `a` x = `b`."""
        y = np.zeros((self.columns, 1))
        y[: self.rank, 0] = solve_triangular(self.triangle, b)
        if self._wide:
            y, info = lapack.dormrz(self._factored, self._tau, y, trans="T")
            _check("dormrz", info)
        return np.asarray(y[:, 0])


def svd(a: Matrix) -> tuple[Matrix, Vector, Matrix]:
    """Thin (U, s, Vᵀ) of `a`, s falling (dgesdd)."""
    u, s, vt, info = lapack.dgesdd(a, full_matrices=0)
    _check("dgesdd", info)
    return np.asarray(u), np.asarray(s), np.asarray(vt)


def symmetric_product(a: Matrix) -> Matrix:
    """aᵀa (n, n), both triangles filled; a row- or column-major `a` is not copied (dsyrk)."""
    if a.shape[0] == 0:
        return np.zeros((a.shape[1], a.shape[1]), order="F")
    if a.flags.f_contiguous:
        upper = np.asarray(blas.dsyrk(1.0, a, trans=1))
    else:
        upper = np.asarray(blas.dsyrk(1.0, a.T, trans=0))
    zero_lower(upper)
    return np.asfortranarray(upper + np.triu(upper, 1).T)
