"""Columns that no penalty acts on, set apart from the others: what is left is a smaller problem that any solver takes.

With A = [F | P], F unpenalised, and the QR of [F | P | b]

    [R₁₁ R₁₂ z₁]
    [ 0  R₂₂ z₂]

the penalised coefficients minimise ‖R₂₂ p − z₂‖² plus their penalty, whatever that is, and f = R₁₁⁻¹(z₁ − R₁₂ p)
(partitioned regression, Frisch and Waugh, Econometrica 1, 387 (1933)). Adding F x to b changes f by x and p by nothing.
Where columns of F depend on one another f is the shortest of all that fit as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hiertl_dist.algebra.lapack import Matrix, Vector, column_norms, qr_triangle, solve_triangular_many, svd
from hiertl_dist.algebra.rfactor import RFactor
from hiertl_dist.algebra.summary import column_index

_EPS = float(np.finfo(np.float64).eps)

#: What is left of a column, relative to its length, when it counts as explained by the columns set apart.
_NOTHING = 64 * _EPS


@dataclass(frozen=True, eq=False)
class Apart:
    """A summary in two, as the text of this module says.

    Attributes
    ----------
    rest : RFactor
        R₂₂ and z₂; its rows are those of the summary less the ``rank`` of F.
    free : ndarray of int, shape (f,)
        The columns of F among those of the summary.
    others : ndarray of int, shape (p,)
        The columns of P among those of the summary.
    span : ndarray of shape (f, q)
        Orthonormal directions of F that the rows determine.
    undetermined : ndarray of shape (f, f − q)
        Those that they say nothing about, orthonormal to each other and to ``span``.
    triangle : ndarray of shape (q, q)
        R₁₁ of F @ ``span``.
    coupling : ndarray of shape (q, p)
        R₁₂.
    target : ndarray of shape (q,)
        z₁.
    """

    rest: RFactor
    free: npt.NDArray[np.intp]
    others: npt.NDArray[np.intp]
    span: Matrix
    undetermined: Matrix
    triangle: Matrix
    coupling: Matrix
    target: Vector

    @property
    def rank(self) -> int:
        """q, the number of independent columns of F."""
        return int(self.span.shape[1])

    def joined(self, penalised: Matrix) -> Matrix:
        """All coefficients (k, n) from those of P, (k, p)."""
        coefficients = np.zeros((len(penalised), len(self.free) + len(self.others)))
        coefficients[:, self.others] = penalised
        left = np.asfortranarray(self.target[:, np.newaxis] - self.coupling @ penalised.T)
        coefficients[:, self.free] = (self.span @ solve_triangular_many(self.triangle, left)).T
        return coefficients

    def spread(self, penalised: npt.ArrayLike, free: float) -> Vector:
        """One number for each column, shape (n,): ``penalised`` (p,) at the columns of P, ``free`` at those of F."""
        values = np.full(len(self.free) + len(self.others), free)
        values[self.others] = penalised
        return values


def set_apart(summary: RFactor, columns: Sequence[int] | npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Apart:
    """Set some columns of a summary apart, as indices or a mask (n,); its target is b, target 0."""
    n = summary.n_columns
    free = column_index(columns, n)
    others = np.setdiff1d(np.arange(n), free)
    span, undetermined = determined(summary.r[:, free], summary.rows)
    q, p = span.shape[1], len(others)
    both = np.empty((len(summary.r), q + p + 1), order="F")
    both[:, :q] = summary.r[:, free] @ span
    both[:, q : q + p] = summary.r[:, others]
    both[:, -1] = summary.r[:, n]
    before = column_norms(both[:, q : q + p])
    r = qr_triangle(both, overwrite=True)
    del both  # squares of memory, as r would be if views of it were kept
    rows = summary.rows - q
    rest = np.array(r[q:, q:], order="F")
    # what rounding left of a column that F explains is no information
    rest[:, :p][:, column_norms(rest[:, :p]) <= _NOTHING * before] = 0.0
    if len(rest) > (size := min(rows, p + 1)):  # a summary with more targets keeps more rows than one target needs
        rest = rest[:size]
    triangle = np.array(r[:q, :q], order="F")
    coupling, target = np.array(r[:q, q : q + p], order="F"), r[:q, -1].copy()
    return Apart(RFactor(rest, rows), free, others, span, undetermined, triangle, coupling, target)


def determined(columns: Matrix, rows: int) -> tuple[Matrix, Matrix]:
    """Orthonormal directions in which columns say something, and those in which not.

    A direction says nothing where its singular value is at most max(rows, f) × 2.2e-16 of the largest.

    Parameters
    ----------
    columns : ndarray of shape (k, f)
        The triangle, or rows, of the columns.
    rows : int
        Rows that they stand for.

    Returns
    -------
    span : ndarray of shape (f, q)
        Directions in which they say something.
    undetermined : ndarray of shape (f, f − q)
        The others.
    """
    f = columns.shape[1]
    if f == 0 or not columns.any():
        return np.zeros((f, 0)), np.eye(f)
    # padded, so that the thin decomposition has all directions
    padded = np.zeros((max(len(columns), f), f), order="F")
    padded[: len(columns)] = columns
    _, s, vt = svd(padded)
    q = int(np.count_nonzero(s > max(rows, f) * _EPS * s[0]))
    return np.array(vt[:q].T), np.array(vt[q:].T)
