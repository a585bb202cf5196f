"""Checked LAPACK and BLAS calls: with ``packed`` the only module of the package that sees an ``info`` code.

Every function takes and returns float64 arrays. Matrices come back column-major, as LAPACK wants them.
All are deterministic: the same input gives the same bits when the caller keeps the number of BLAS threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.linalg import blas, lapack

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

#: Columns per panel of the blocked routines that have little to gain from a better choice.
PANEL = 64


def _check(routine: str, info: int) -> None:
    if info < 0:
        raise ValueError(f"LAPACK {routine}: argument {-info} is illegal")
    if info > 0:
        raise np.linalg.LinAlgError(f"LAPACK {routine} failed with info = {info}")


def qr_panel(n: int) -> int:
    """Columns per panel of dgeqrt: what was fastest for n = 487, 1 000 and 3 747, and flat around it."""
    return 64 if n < 800 else 96 if n < 2000 else 192


def stack_panel(n: int) -> int:
    """Columns per panel of dtpqrt, whose panels are not recursive: narrower ones are faster."""
    return 32 if n < 2000 else 64


def zero_lower(a: Matrix) -> Matrix:
    """Zero what lies below the diagonal of ``a`` (m, n), in place."""
    for column in range(min(a.shape)):
        a[column + 1 :, column] = 0.0
    return a


def qr_triangle(a: Matrix, *, overwrite: bool = False) -> Matrix:
    """R of a = QR, with signs as Householder reflections leave them (dgeqrt).

    Parameters
    ----------
    a : ndarray of shape (m, n)
        Any matrix.
    overwrite : bool, default False
        Let a column-major ``a`` be destroyed instead of copied.

    Returns
    -------
    ndarray of shape (min(m, n), n)
        Upper triangular or trapezoidal.
    """
    m, n = a.shape
    k = min(m, n)
    if k == 0:
        return np.zeros((k, n), order="F")
    factored, _, info = lapack.dgeqrt(min(qr_panel(n), k), a, overwrite_a=overwrite)
    _check("dgeqrt", info)
    return zero_lower(np.array(factored[:k], order="F"))


def stack_below(triangle: Matrix, below: Matrix, *, trapezoid: int, overwrite: bool = False) -> Matrix:
    """R of a triangle stacked on other rows (dtpqrt).

    Parameters
    ----------
    triangle : ndarray of shape (n, n)
        Zero below its diagonal.
    below : ndarray of shape (m, n)
        The other rows.
    trapezoid : int
        How many of the last rows of ``below`` are known to be upper trapezoidal: m for a triangle, 0 for general rows.
    overwrite : bool, default False
        Let both, where column-major, be destroyed instead of copied; the first becomes R.

    Returns
    -------
    ndarray of shape (n, n)
        Upper triangular.
    """
    n = triangle.shape[1]
    if n == 0 or len(below) == 0:
        return triangle if overwrite else np.array(triangle, order="F")
    merged, _, _, info = lapack.dtpqrt(
        trapezoid, min(stack_panel(n), n), triangle, below, overwrite_a=overwrite, overwrite_b=overwrite
    )
    _check("dtpqrt", info)
    return np.asfortranarray(merged)


def solve_triangular(u: Matrix, b: Vector, *, transposed: bool = False) -> Vector:
    """The x (n,) with U x = b, or Uᵀ x = b; an exactly zero diagonal entry raises LinAlgError (dtrtrs)."""
    if len(b) == 0:
        return np.zeros(0)
    x, info = lapack.dtrtrs(u, b[:, np.newaxis], trans=int(transposed))
    if info > 0:
        raise np.linalg.LinAlgError(f"triangular matrix is singular: diagonal entry {info - 1} is zero")
    _check("dtrtrs", info)
    return np.asarray(x[:, 0])


def solve_triangular_many(u: Matrix, b: Matrix, *, transposed: bool = False, overwrite: bool = False) -> Matrix:
    """X (k, m) with U X = b, or Uᵀ X = b (dtrtrs).

    Parameters
    ----------
    u : ndarray of shape (k, k)
        Upper triangular.
    b : ndarray of shape (k, m)
        Right sides, one in each column.
    transposed : bool, default False
        Solve with Uᵀ.
    overwrite : bool, default False
        Let a column-major ``b`` be destroyed instead of copied.

    Returns
    -------
    ndarray of shape (k, m)
        The solutions.

    Raises
    ------
    LinAlgError
        A diagonal entry of U is exactly zero.
    """
    if b.size == 0:
        return np.zeros(b.shape, order="F")
    x, info = lapack.dtrtrs(u, b, trans=int(transposed), overwrite_b=overwrite)
    if info > 0:
        raise np.linalg.LinAlgError(f"triangular matrix is singular: diagonal entry {info - 1} is zero")
    _check("dtrtrs", info)
    return np.asarray(x)


def inverse_triangle(u: Matrix) -> Matrix:
    """U⁻¹ (n, n), an upper triangle too; an exactly zero diagonal entry raises LinAlgError (dtrtri)."""
    if u.shape[0] == 0:
        return np.zeros((0, 0), order="F")
    inverse, info = lapack.dtrtri(u)
    if info > 0:
        raise np.linalg.LinAlgError(f"triangular matrix is singular: diagonal entry {info - 1} is zero")
    _check("dtrtri", info)
    return np.asarray(inverse)


def inverse_product(u: Matrix) -> Matrix:
    """(UᵀU)⁻¹ (k, k) of an upper triangle without zeros on its diagonal, both triangles filled (dpotri).

    The product UᵀU is never formed: this is U⁻¹U⁻ᵀ.
    """
    if u.shape[0] == 0:
        return np.zeros((0, 0), order="F")
    inverse, info = lapack.dpotri(u, lower=0)
    if info > 0:
        raise np.linalg.LinAlgError(f"triangular matrix is singular: diagonal entry {info - 1} is zero")
    _check("dpotri", info)
    return mirror_upper(np.asarray(inverse))


def triangular_condition(u: Matrix) -> float:
    """Estimate (from below, seldom by more than 10) of cond_1 of an upper triangle; may be inf."""
    n = u.shape[0]
    if n == 0:
        return 1.0
    if not np.diagonal(u).all():
        return math.inf
    below = _inverse_norm(n, lambda b: solve_triangular(u, b), lambda b: solve_triangular(u, b, transposed=True))
    return max(1.0, float(lapack.dlantr("1", u, uplo="U")) * below)


def _inverse_norm(n: int, solve: Callable[[Vector], Vector], transposed: Callable[[Vector], Vector]) -> float:
    """Estimate of ‖A⁻¹‖₁ of a matrix (n, n) that these solve with: Higham, ACM Trans. Math. Softw. 14, 381 (1988).

    LAPACK's own estimators (dtrcon, dpocon) are not used: they add up with dasum, which in OpenBLAS adds in another
    order where its argument lies otherwise in memory, so that last digits differ from run to run.
    """
    from scipy.sparse.linalg import LinearOperator, onenormest  # it takes long to load, and workers solve nothing

    alternating = np.array([1.0 + i / max(n - 1, 1) for i in range(n)])
    alternating[1::2] *= -1.0
    with np.errstate(over="ignore", invalid="ignore"):
        ends = [solve(np.full(n, 1.0 / n)), solve(alternating) * (2.0 / (3.0 * n))]
        least = max(float(np.abs(x).sum()) for x in ends)
        if not math.isfinite(least):
            return math.inf
        estimate = onenormest(LinearOperator((n, n), matvec=solve, rmatvec=transposed, dtype=np.float64), t=1)
    return max(least, float(estimate)) if math.isfinite(estimate) else math.inf


def cholesky(g: Matrix) -> Matrix | None:
    """U (n, n) with UᵀU = g; None where g is not positive definite. The caller decides what that means (dpotrf)."""
    if g.shape[0] == 0:
        return np.zeros((0, 0), order="F")
    u, info = lapack.dpotrf(g, lower=0, clean=1)
    if info > 0:
        return None
    _check("dpotrf", info)
    return np.asarray(u)


def definite_condition(g: Matrix, u: Matrix) -> float:
    """Estimate of cond_1 of ``g`` = UᵀU, as ``triangular_condition``."""
    n = g.shape[0]
    if n == 0:
        return 1.0
    if not np.diagonal(u).all():
        return math.inf

    def solve(b: Vector) -> Vector:
        return solve_triangular(u, solve_triangular(u, b, transposed=True))

    return max(1.0, float(np.linalg.norm(g, 1)) * _inverse_norm(n, solve, solve))


def solve_definite(g: Matrix, b: Vector) -> Vector | None:
    """The x (n,) with g x = b; None where g is not positive definite (dposv). g is column-major and destroyed."""
    if len(b) == 0:
        return np.zeros(0)
    _, x, info = lapack.dposv(g, b[:, np.newaxis], overwrite_a=True)
    if info > 0:
        return None
    _check("dposv", info)
    return np.asarray(x[:, 0])


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
    """A trapezoid of full row rank as [T 0] Z with orthogonal Z (dtzrzf).

    Parameters
    ----------
    a : ndarray of shape (r, n)
        Upper trapezoidal, r ≤ n.
    """

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
        """The shortest x (n,) with a x = b, for ``b`` (r,)."""
        y = np.zeros((self.columns, 1))
        y[: self.rank, 0] = solve_triangular(self.triangle, b)
        if self._wide:
            y, info = lapack.dormrz(self._factored, self._tau, y, trans="T")
            _check("dormrz", info)
        return np.asarray(y[:, 0])


def svd(a: Matrix) -> tuple[Matrix, Vector, Matrix]:
    """Thin (U, s, Vᵀ) of ``a``, s falling (dgesdd)."""
    u, s, vt, info = lapack.dgesdd(a, full_matrices=0)
    _check("dgesdd", info)
    return np.asarray(u), np.asarray(s), np.asarray(vt)


def add_symmetric_product(total: Matrix, rows: Matrix) -> Matrix:
    """Add rowsᵀrows to a matrix, in the upper triangle and in place (dsyrk).

    Parameters
    ----------
    total : ndarray of shape (n, n)
        Column-major; only its upper triangle is read and written.
    rows : ndarray of shape (m, n)
        Contiguous ones, row- or column-major, are not copied.

    Returns
    -------
    ndarray of shape (n, n)
        ``total`` itself.
    """
    if rows.size == 0:
        return total
    a, transposed = (rows, 1) if rows.flags.f_contiguous else (rows.T, 0)
    return np.asarray(blas.dsyrk(1.0, a, beta=1.0, c=total, trans=transposed, overwrite_c=1))


def mirror_upper(a: Matrix) -> Matrix:
    """Fill what lies below the diagonal of ``a`` (n, n) with what lies above it, in place."""
    n = len(a)
    for start in range(0, n, PANEL):
        stop = min(start + PANEL, n)
        a[start:stop, :start] = a[:start, start:stop].T
        corner = a[start:stop, start:stop]
        corner[:] = np.triu(corner) + np.triu(corner, 1).T
    return a


def symmetric_product(rows: Matrix) -> Matrix:
    """rowsᵀrows (n, n), both triangles filled; contiguous rows are not copied."""
    n = rows.shape[1]
    return mirror_upper(add_symmetric_product(np.zeros((n, n), order="F"), rows))


def column_norms(a: Matrix) -> Vector:
    """Euclidean lengths of the columns of a column-major ``a`` (m, n), shape (n,), without a second matrix."""
    return np.asarray(np.sqrt(np.vecdot(a.T, a.T)))
