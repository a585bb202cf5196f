"""``Deviation``: a least-squares problem whose penalties act on the distance from given coefficients.

With c = m + D x, a penalty on x pulls c to m, the harder the smaller D is: a Gaussian prior of mean m and covariance in
proportion to D². Rows A_p with the target "no deviation", A_p c = A_p m, hold predictions to those of m. All of it is
one multiplication of a summary from the right and one merge: no row of the data is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hiertl_dist.algebra.gram import Gram
from hiertl_dist.algebra.lapack import qr_triangle
from hiertl_dist.algebra.rfactor import RFactor
from hiertl_dist.algebra.summary import Summary

if TYPE_CHECKING:
    from hiertl_dist.algebra.lapack import Matrix, Vector
    from hiertl_dist.algebra.solve import LinearSolution

Kind = TypeVar("Kind", bound=Summary)


@dataclass(frozen=True, eq=False)
class Deviation:
    """What coefficients are drawn to, and how hard.

    Attributes
    ----------
    mean : ndarray of shape (n,)
        m.
    scale : ndarray of shape (n,)
        Diagonal of D, > 0: the standard deviation of a coefficient in units of 1/√alpha.
    rows : ndarray of shape (k, n) or None, default None
        A factor of the rows A_p on which predictions are held to those of m.
    weight : float, default 1
        Multiplies these rows: many deviations may share them.
    """

    mean: Vector
    scale: Vector
    rows: Matrix | None = None
    weight: float = 1.0

    @property
    def weighted(self) -> Matrix | None:
        """The rows A_p times their weight."""
        return None if self.rows is None else self.weight * self.rows

    def of_columns(self, columns: slice | np.ndarray) -> Deviation:
        """The same of some columns."""
        rows = None if self.rows is None else self.rows[:, columns]
        return Deviation(self.mean[columns], self.scale[columns], rows, self.weight)

    def shifted(self, summary: Kind) -> Kind:
        """[A | b − A m], with the rows [A_p | 0] below.

        Parameters
        ----------
        summary : Summary
            Of [A | b], one target.

        Returns
        -------
        Summary
            Of the same kind.

        Raises
        ------
        TypeError
            Rows are to be merged into something else than an ``RFactor``.
        """
        return self._taken(summary, np.ones_like(self.scale))

    def scaled(self, summary: Kind) -> Kind:
        """[A D | b − A m], with the rows [A_p D | 0] below; see :meth:`shifted`."""
        return self._taken(summary, self.scale)

    def _taken(self, summary: Kind, scale: Vector) -> Kind:
        n = summary.n_columns
        if isinstance(summary, Gram):
            if self.rows is not None:
                raise TypeError("rows of a prior need a triangular factor, found normal equations")
            change = np.diag([*scale, 1.0])
            change[:n, n] = -self.mean
            return replace(summary, g=change.T @ summary.g @ change)
        if not isinstance(summary, RFactor):
            raise TypeError(f"expected an RFactor or a Gram, found {type(summary).__name__}")
        r = np.array(summary.r, order="F")
        r[:, n] -= r[:, :n] @ self.mean
        r[:, :n] *= scale
        shifted = replace(summary, r=r)
        whole = self._below(scale)
        return shifted if whole is None else shifted.merge(RFactor(whole, len(whole)))

    def held(self) -> Matrix | None:
        """The rows A_p D as :meth:`scaled` merges and counts them, (k, n); None without any."""
        whole = self._below(self.scale)
        return None if whole is None else whole[:, :-1]

    def _below(self, scale: Vector) -> Matrix | None:
        """The rows [A_p scale | 0], or a triangle of them."""
        if self.rows is None or len(self.rows) == 0:
            return None
        n = self.rows.shape[1]
        below = np.zeros((len(self.rows), n + 1), order="F")
        np.multiply(self.rows, self.weight, out=below[:, :n])
        below[:, :n] *= scale
        return qr_triangle(below) if len(below) > n else below

    def solution(self, answer: LinearSolution) -> LinearSolution:
        """The answer x to the problem of :meth:`scaled` as one of the coefficients c = m + D x."""
        coefficients = self.mean + self.scale * answer.coefficients
        penalties = None if answer.penalties is None else answer.penalties / self.scale**2
        return replace(
            answer, coefficients=coefficients, penalties=penalties, nonzeros=int(np.count_nonzero(coefficients))
        )
