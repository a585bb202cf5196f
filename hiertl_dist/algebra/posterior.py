"""``Posterior``: how well the rows of a fit determine its coefficients, and hence its predictions.

For Gaussian errors of the rows and a Gaussian prior that the penalties stand for, the coefficients given the rows
are Gaussian, with precision (AᵀA + diag(penalties)) / noise² (MacKay, Neural Computation 4, 415 (1992)). Only a
triangle T with TᵀT = AᵀA + diag(penalties) is ever formed, by QR (Golub & Van Loan, Matrix Computations, 4th ed.,
5.3 and 6.1), so variances keep the digits that normal equations would lose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hiertl_dist.algebra.factor import equilibrated, factor_of_rows
from hiertl_dist.algebra.lapack import (
    Matrix,
    Vector,
    inverse_product,
    inverse_triangle,
    pivoted_qr,
    solve_triangular_many,
    stack_below,
    symmetric_product,
    triangular_condition,
)
from hiertl_dist.algebra.rfactor import RFactor
from hiertl_dist.algebra.summary import Columns, column_index, locked, require_finite
from hiertl_dist.errors import InputError

#: Rows whose T⁻ᵀa are held at once where only their lengths are asked for.
ROWS_AT_ONCE = 1024
#: Dependent columns that an error names.
_MOST_NAMED = 5
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Posterior:
    """The Gaussian of the coefficients of a fit: precision TᵀT / noise² on the columns that may move.

    Rows that are asked about are (m, n), in the units of the fit's rows at weight 1 unless said otherwise. What they
    hold in columns that can't move adds nothing: a posterior can't know the variance of what the fit left out.

    Attributes
    ----------
    triangle : ndarray of shape (k, k)
        T, upper, with a positive diagonal; read-only.
    columns : ndarray of int, shape (k,)
        Which coefficients may move; the others are known without doubt here.
    n : int
        Coefficients, moving or not.
    noise : float
        Standard deviation of the target of a row of weight 1, in the units of the rows' target.
    degrees_of_freedom : float
        Trace of the hat matrix of the fit, between 0 and k.
    notes : tuple of str
        What the reader of a report should know.
    """

    triangle: Matrix
    columns: npt.NDArray[np.intp]
    n: int
    noise: float
    degrees_of_freedom: float
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        index = column_index(self.columns, self.n)
        k = len(index)
        if self.triangle.shape != (k, k):
            raise ValueError(f"triangle: expected shape ({k}, {k}), one row per column, found {self.triangle.shape}")
        require_finite(self.triangle, "triangle")
        small = np.flatnonzero(~(np.diagonal(self.triangle) > 0.0))
        if len(small):
            entry = self.triangle[small[0], small[0]]
            raise ValueError(f"triangle: expected a positive diagonal, found {entry} for column {index[small[0]]}")
        object.__setattr__(self, "noise", _checked_noise(self.noise))
        object.__setattr__(self, "triangle", locked(np.asfortranarray(self.triangle)))
        object.__setattr__(self, "columns", index)
        index.flags.writeable = False

    def covariance(self) -> Matrix:
        """Covariance of the coefficients (n, n), noise² (TᵀT)⁻¹; zero for columns that can't move."""
        inner = inverse_product(self.triangle)
        inner *= self.noise**2
        if len(self.columns) == self.n:
            return inner
        full = np.zeros((self.n, self.n))
        full[np.ix_(self.columns, self.columns)] = inner
        return full

    def standard_deviations(self) -> Vector:
        """Standard deviation of each coefficient (n,), zero for columns that can't move."""
        inverse = inverse_triangle(self.triangle)
        deviations = np.zeros(self.n)
        deviations[self.columns] = self.noise * np.sqrt(np.vecdot(inverse, inverse))
        return deviations

    def leverage(self, rows: npt.ArrayLike) -> Vector:
        """‖T⁻ᵀa‖² of each row a of ``rows`` (m, n), shape (m,), without units.

        For a row of the fit (with its weight) it is in 0 … 1, and the sum over all of them is
        ``degrees_of_freedom``. For a new row it is how far the row lies outside of what the fit has seen: above
        about 1, one observation of it would say more than the whole fit does.
        """
        matrix = self._checked(rows)
        leverages = np.empty(len(matrix))
        for start in range(0, len(matrix), ROWS_AT_ONCE):
            leverages[start : start + ROWS_AT_ONCE] = self._lengths2(matrix[start : start + ROWS_AT_ONCE])
        return leverages

    def variance(self, rows: npt.ArrayLike) -> Vector:
        """Variance of the prediction a·c for each row of ``rows`` (m, n) at weight 1, shape (m,).

        noise² × ``leverage``: what the coefficients' uncertainty alone contributes. To be compared with the error
        of an observation of weight w, add that observation's own noise² / w².
        """
        return self.noise**2 * self.leverage(rows)

    def covariance_of(self, rows: npt.ArrayLike) -> Matrix:
        """Covariance of the predictions for ``rows`` (m, n), shape (m, m); its diagonal is ``variance``."""
        return self.noise**2 * symmetric_product(self._whitened(self._checked(rows)))

    def gain(self, rows: npt.ArrayLike) -> float:
        """logdet(I + A (TᵀT)⁻¹ Aᵀ) for the weighted rows A = ``rows`` (m, n): twice the information in nats.

        It is by how much the logarithm of det(TᵀT) would grow if the rows were observed, whatever the targets
        turn out to be (Fedorov, Theory of Optimal Experiments, 1972; MacKay 1992). Costs m k² for m ≤ k/2, else
        2 m k². Rounding is about 2e-16 times the condition number of T.
        """
        matrix = self._checked(rows)
        m, k = len(matrix), len(self.columns)
        if m == 0 or k == 0:
            return 0.0
        if 2 * m <= k:
            return self._gain_of_few(matrix)
        return self._gain_of_many(matrix)

    def updated(self, rows: npt.ArrayLike) -> Posterior:
        """The posterior after the weighted rows A = ``rows`` (m, n) too: T'ᵀT' = TᵀT + AᵀA, by QR.

        ``noise`` and ``degrees_of_freedom`` stay those of the fit: targets of the new rows are not known yet.
        """
        return replace(self, triangle=self._stacked(self._checked(rows)))

    def sample(self, count: int, seed: int, coefficients: npt.ArrayLike) -> Matrix:
        """Draws (count, n) of the coefficients around ``coefficients`` (n,); the same ``seed`` gives the same draws.

        Columns that can't move keep their coefficient. The first draws don't depend on ``count``, up to rounding.
        """
        if count < 0:
            raise InputError(f"count: expected ≥ 0, found {count}")
        center = np.asarray(coefficients, dtype=np.float64)
        if center.shape != (self.n,):
            raise ValueError(f"coefficients: expected shape ({self.n},), found {center.shape}")
        normal = np.random.default_rng(seed).standard_normal((count, len(self.columns)))
        draws = np.tile(center, (count, 1))
        draws[:, self.columns] += self.noise * solve_triangular_many(self.triangle, normal.T, overwrite=True).T
        return draws

    def _checked(self, rows: npt.ArrayLike) -> Matrix:
        matrix = np.asarray(rows, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != self.n:
            raise ValueError(f"rows: expected shape (m, {self.n}), found {matrix.shape}")
        require_finite(matrix, "rows")
        return matrix

    def _whitened(self, rows: Matrix) -> Matrix:
        """T⁻ᵀaᵀ of every row, shape (k, m)."""
        moving = np.take(rows, self.columns, axis=1)
        return solve_triangular_many(self.triangle, moving.T, transposed=True, overwrite=True)

    def _lengths2(self, rows: Matrix) -> Vector:
        white = self._whitened(rows).T
        return np.asarray(np.vecdot(white, white))

    def _stacked(self, rows: Matrix) -> Matrix:
        """The triangle of T on top of ``rows``; the diagonal stays positive."""
        below = np.asfortranarray(np.take(rows, self.columns, axis=1))
        merged = stack_below(np.array(self.triangle, order="F"), below, trapezoid=0, overwrite=True)
        return _upright(merged)

    def _gain_of_few(self, rows: Matrix) -> float:
        """QR of I on top of T⁻ᵀAᵀ: Cholesky of I plus its square would break down where leverages reach 1e16."""
        triangle = stack_below(np.eye(len(rows), order="F"), self._whitened(rows), trapezoid=0, overwrite=True)
        # rounding alone could make the gain of rows that say nothing new negative
        return max(0.0, 2.0 * float(np.log(np.abs(np.diagonal(triangle))).sum()))

    def _gain_of_many(self, rows: Matrix) -> float:
        """logdet(TᵀT + AᵀA) − logdet(TᵀT), factor by factor: neither needs to be a number that floats hold."""
        ratio = np.diagonal(self._stacked(rows)) / np.diagonal(self.triangle)
        return max(0.0, 2.0 * float(np.log(ratio).sum()))


def posterior(
    summary: RFactor,
    *,
    penalties: npt.ArrayLike = 0.0,
    active: Columns | None = None,
    n_counted: float | None = None,
    noise: float | None = None,
    coefficients: npt.ArrayLike | None = None,
) -> Posterior:
    """The posterior of the coefficients of a fit to target 0 of a summary.

    A column that is zero (or less than the rounding of the largest) and has no penalty is held too, with a note: the
    rows say nothing about it, so its variance would be infinite. Give it a penalty to have a finite one.

    Parameters
    ----------
    summary : RFactor
        Of the weighted rows of the fit.
    penalties : float or array_like of shape (n,), default 0
        What the fit added to the squared residual per squared coefficient: ridge's alpha, or ARD's noise² times each
        precision; inf holds a column at its value.
    active : sequence of int or mask of shape (n,), optional
        The columns that may move; all by default. For a LASSO, its nonzero columns without penalties: that answers how
        well the rows determine the coefficients that were kept. It leaves out that the choice of columns is uncertain
        itself, and that the LASSO shrinks; real errors are larger.
    n_counted : float, optional
        N, by default the rows of the summary; give the rows of the data where some of them have no weight.
    noise : float, optional
        Standard deviation of a row of weight 1; by default √(‖A c − b‖² / (N − dof)), dof = ‖R T⁻¹‖_F² being the trace
        of the hat matrix.
    coefficients : array_like of shape (n,), optional
        The fit's c, needed for the noise where that is not given.

    Returns
    -------
    Posterior
        That of the coefficients.

    Raises
    ------
    TypeError
        A summary that is not an ``RFactor``.
    ValueError
        N ≤ dof, no way to the noise (neither it nor coefficients given), or arguments that don't fit.
    LinAlgError
        Columns that depend on others and have too small a penalty; the message names them.
    """
    if not isinstance(summary, RFactor):
        raise TypeError(f"expected an RFactor, which keeps the conditioning, found {type(summary).__name__}")
    n = summary.n_columns
    alphas = _checked_penalties(penalties, n)
    columns, notes = _moving(summary, alphas, active)
    r = factor_of_rows(summary.columns(columns)).R
    triangle = _penalised(r, alphas[columns])
    _require_independent(triangle, alphas[columns], columns, max(summary.rows, n) * _EPS)
    dof = _degrees_of_freedom(r, triangle, alphas[columns])
    sigma = _noise_of(summary, coefficients, dof, n_counted) if noise is None else noise
    return Posterior(_upright(triangle), columns, n, sigma, dof, notes)


def _checked_penalties(penalties: npt.ArrayLike, n: int) -> Vector:
    values = np.asarray(penalties, dtype=np.float64)
    if values.shape not in ((), (n,)):
        raise ValueError(f"penalties: expected one number or shape ({n},), found {values.shape}")
    alphas = np.array(np.broadcast_to(values, (n,)))
    bad = np.flatnonzero(~(alphas >= 0.0))
    if len(bad):
        raise ValueError(f"penalties: expected numbers ≥ 0, found {alphas[bad[0]]} for column {bad[0]}")
    return alphas


def _moving(summary: RFactor, alphas: Vector, active: Columns | None) -> tuple[npt.NDArray[np.intp], tuple[str, ...]]:
    """(the columns that may move, rising; notes about those that were asked for and can't)."""
    n = summary.n_columns
    asked = np.ones(n, dtype=np.bool_) if active is None else np.zeros(n, dtype=np.bool_)
    if active is not None:
        asked[column_index(active, n)] = True
    norms = summary.column_norms()
    # as in `solve`: what is lost in the rounding of the largest column is zero too
    zero = (norms <= _EPS * norms.max(initial=0.0)) & (alphas == 0.0) & asked
    notes: tuple[str, ...] = ()
    if zero.any():
        notes = (
            f"{np.count_nonzero(zero)} of {n} columns are zero in every row, or less than the rounding of the "
            f"largest, and have no penalty: their variance is unknown and counts as 0 ({_named(np.flatnonzero(zero))})",
        )
    return np.flatnonzero(asked & ~zero & (alphas < math.inf)), notes


def _penalised(r: Matrix, alphas: Vector) -> Matrix:
    """T (k, k) of ``r`` (p, k) on top of √penalties: QR of stacked triangles."""
    p, k = r.shape
    above = np.zeros((k, k), order="F")
    above[:p] = r
    if not alphas.any():
        return above
    penalty = np.zeros((k, k), order="F")
    penalty[np.diag_indices(k)] = np.sqrt(alphas)
    return stack_below(above, penalty, trapezoid=k, overwrite=True)


def _require_independent(triangle: Matrix, alphas: Vector, columns: npt.NDArray[np.intp], tolerance: float) -> None:
    """Raise LinAlgError unless T is regular, with ``tolerance`` on columns of length 1 as in ``least_squares``.

    Two cheap bounds leave a pivoted QR to the doubtful cases: TᵀT ≥ diag(penalties), and the condition estimate.
    """
    k = len(columns)
    scaled, lengths = equilibrated(triangle)
    if k == 0 or math.sqrt((alphas / lengths**2).min()) > tolerance:
        return
    if 10 * k * tolerance * triangular_condition(scaled) < 1.0:
        return
    r, pivots, _ = pivoted_qr(scaled, np.zeros(k))
    diagonal = np.abs(np.diagonal(r))
    dependent = columns[np.sort(pivots[diagonal <= tolerance * diagonal[0]])]
    if len(dependent):
        raise np.linalg.LinAlgError(
            f"{len(dependent)} of {k} columns depend on the others, so their variance is not determined: "
            f"{_named(dependent)}; add a (larger) penalty, as ridge does, or leave them out of active"
        )


def _degrees_of_freedom(r: Matrix, triangle: Matrix, alphas: Vector) -> float:
    """Trace of the hat matrix, ‖R T⁻¹‖_F²."""
    if not alphas.any():
        return float(len(alphas))
    hat = solve_triangular_many(triangle, np.array(r.T, order="F"), transposed=True, overwrite=True)
    return float(np.vdot(hat, hat))


def _noise_of(summary: RFactor, coefficients: npt.ArrayLike | None, dof: float, n_counted: float | None) -> float:
    if coefficients is None:
        raise InputError("noise: expected a number, or the coefficients of the fit to estimate it from; found neither")
    counted = float(summary.rows if n_counted is None else n_counted)
    if not (math.isfinite(counted) and counted > 0):
        raise ValueError(f"n_counted: expected a finite number > 0, found {counted}")
    if counted <= dof:
        raise ValueError(
            f"noise can't be estimated from {counted:g} rows: the fit has {dof:.6g} degrees of freedom; "
            "use fewer columns, larger penalties, or say what the noise is"
        )
    return math.sqrt(summary.residual_norm2(coefficients) / (counted - dof))


def _checked_noise(noise: float) -> float:
    if not (math.isfinite(noise) and noise >= 0.0):
        raise InputError(f"noise: expected a finite number ≥ 0, found {noise}")
    return float(noise)


def _upright(triangle: Matrix) -> Matrix:
    """``triangle`` with rows of negative diagonal turned round, in place: then it is the only one with its TᵀT."""
    triangle *= np.where(np.diagonal(triangle) < 0.0, -1.0, 1.0)[:, np.newaxis]
    return triangle


def _named(columns: npt.NDArray[np.intp]) -> str:
    more = len(columns) - _MOST_NAMED
    text = ", ".join(str(column) for column in columns[:_MOST_NAMED])
    return f"column {text}" if len(columns) == 1 else f"columns {text}" + (f" and {more} more" if more > 0 else "")
