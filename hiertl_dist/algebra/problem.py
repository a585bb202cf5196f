"""``Problem``: one summary made ready to be solved, with what several regularisers share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hiertl_dist.algebra.factor import Factor, equilibrated, factor_of_gram, factor_of_rows
from hiertl_dist.algebra.gram import Gram
from hiertl_dist.algebra.lapack import Matrix, Vector, column_norms, pivoted_qr, svd
from hiertl_dist.algebra.rfactor import RFactor
from hiertl_dist.algebra.summary import Summary

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Problem:
    """Minimise ‖A c − b‖² over the columns that hold anything, b being target 0.

    Attributes
    ----------
    summary : Summary
        All columns.
    live : Summary
        The columns that ``alive`` marks; the others are zero, or less than the rounding of the largest, and get
        coefficient 0.
    alive : ndarray of bool, shape (n,)
        Which columns hold anything.
    lengths : ndarray of shape (live columns,)
        Euclidean lengths of the live columns.
    n_counted : float
        N, the rows that the caller counts.
    held : ndarray of shape (k, live columns) or None
        Rows of a prior, with target 0, that are among those of the summary and are no data; N is without them.
    """

    summary: Summary
    live: Summary
    alive: npt.NDArray[np.bool_]
    lengths: Vector
    n_counted: float
    held: Matrix | None = None

    @property
    def dead(self) -> int:
        """How many columns are left out because they hold nothing."""
        return int(np.count_nonzero(~self.alive))

    @cached_property
    def factor(self) -> Factor:
        """R and z of the live columns; raises UnsafeGram as ``factor_of_gram``."""
        if isinstance(self.live, RFactor):
            return factor_of_rows(self.live)
        if isinstance(self.live, Gram):
            return factor_of_gram(self.live)
        raise TypeError(f"expected an RFactor or a Gram, found {type(self.live).__name__}")

    @cached_property
    def svd(self) -> tuple[Matrix, Vector, Matrix]:
        """Thin (U, s, Vᵀ) of R."""
        return svd(self.factor.R)

    @cached_property
    def outside(self) -> float:
        """What no coefficients can reduce: ‖A c − b‖² − ‖R c − z‖².

        Exact for an ``RFactor``; for a ``Gram`` a difference of large numbers, good to about 1e-15 ‖b‖².
        """
        if isinstance(self.live, RFactor):
            # with one target the factor is a triangle as soon as anything can be outside
            one = self.live if self.live.n_targets == 1 else self.live.offset(np.eye(self.live.n_targets)[0])
            n = one.n_columns
            return float(one.r[n, n] ** 2) if one.is_triangle else 0.0
        return max(0.0, self.live.target_norm2() - float(self.factor.z @ self.factor.z))

    @cached_property
    def rank(self) -> int:
        """Independent columns, to max(rows, n) × 2.2e-16 of columns of length 1, whatever a penalty does about others.

        A triangle that has no small number on its diagonal is taken for regular, the others go through a pivoted QR. Of
        a ``Gram`` singular values below 1e-8 can't be told from zero.
        """
        n = self.live.n_columns
        tolerance = max(self.live.rows, n) * _EPS
        if isinstance(self.live, Gram):
            scaled = self.live.g[:n, :n] / self.lengths / self.lengths[:, np.newaxis]
            values = np.linalg.eigvalsh(scaled)
            return int(np.count_nonzero(values > n * _EPS * values.max(initial=0.0)))
        r = self.factor.R
        if len(r) == n and (np.abs(np.diagonal(r)) > tolerance * column_norms(r)).all():
            return n
        pivoted, _, _ = pivoted_qr(equilibrated(r)[0], np.zeros(len(r)))
        diagonal = np.abs(np.diagonal(pivoted))
        return int(np.count_nonzero(diagonal > tolerance * diagonal[:1]))

    def counted(self) -> float:
        """``n_counted``; ValueError where it is not a finite number > 0."""
        if not (math.isfinite(self.n_counted) and self.n_counted > 0):
            raise ValueError(f"n_counted: expected a finite number > 0, found {self.n_counted}")
        return self.n_counted

    def spread(self, values: npt.ArrayLike, rest: float) -> Vector:
        """``values`` of the live columns and ``rest`` for the others, shape (n,)."""
        whole = np.full(self.summary.n_columns, rest)
        whole[self.alive] = values
        return whole


def problem_of(summary: Summary, n_counted: float | None = None, held: Matrix | None = None) -> Problem:
    """The problem of ``summary``; N is its number of rows, less those ``held``, unless ``n_counted`` says otherwise."""
    counted = float(data_rows(summary, held) if n_counted is None else n_counted)
    lengths = summary.column_norms()
    # what is lost in the rounding of the largest column is zero too: scaled to length 1 it would count as much as any
    alive = lengths > _EPS * lengths.max(initial=0.0)
    live = summary if alive.all() else summary.columns(alive)
    # of what is solved: recombined columns have lengths that differ in the last digits
    own = None if held is None or len(held) == 0 else held[:, alive]
    return Problem(summary, live, alive, lengths if live is summary else live.column_norms(), counted, own)


def data_rows(summary: Summary, held: Matrix | None) -> int:
    """The rows of a summary that are data: all but those of a prior that are among them."""
    return summary.rows - (0 if held is None else len(held))


def others_of(held: Matrix | None, free: npt.NDArray[np.intp], others: npt.NDArray[np.intp]) -> Matrix | None:
    """Rows of a prior in the columns ``others``, where those ``free`` are set apart.

    Raises ValueError where they are not zero in these: a prior that ties the two together can't be set apart.
    """
    if held is None:
        return None
    if held[:, free].any():
        raise ValueError(f"held: expected zeros in the columns that are not penalised, {free.tolist()}, found others")
    return held[:, others]
