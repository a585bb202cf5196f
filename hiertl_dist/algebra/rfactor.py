"""``RFactor``: the triangular factor of [A | T], which loses nothing of the rows' conditioning (TSQR).

Demmel, Grigori, Hoemmen, Langou, SIAM J. Sci. Comput. 34, A206 (2012): the factor of stacked rows is the
factor of their stacked factors, so a tree of small QRs is one QR of everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from hiertl_dist.algebra.collect import Collector
from hiertl_dist.algebra.lapack import Matrix, Vector, column_norms, qr_triangle, stack_below
from hiertl_dist.algebra.summary import Summary, buffer_of, checked_weight, locked, require_finite, saved

#: Rows that are turned from row- to column-major at once; 64 to 650 are equally fast.
ROWS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class RFactor(Summary):
    """The triangular factor of [A | T].

    Upper triangular where rows ≥ n + t; with fewer rows it is just those rows, which is smaller and exact.

    Attributes
    ----------
    r : ndarray of shape (k, n + t)
        The factor, k = min(rows, n + t), with rᵀr = [A | T]ᵀ[A | T]. The signs of its rows mean nothing.
    rows : int
        Rows that it stands for, m.
    n_targets : int
        Targets, t.
    """

    r: Matrix
    rows: int
    n_targets: int = 1

    kind: ClassVar[str] = "rfactor"

    def __post_init__(self) -> None:
        if self.r.ndim != 2 or self.r.shape[0] != min(self.rows, self.r.shape[1]):
            raise ValueError(
                f"r: expected shape (min(rows, n + t), n + t) with rows = {self.rows}, found {self.r.shape}"
            )
        self._require_sizes()
        require_finite(self.r, "r")
        object.__setattr__(self, "r", locked(self.r))

    @property
    def width(self) -> int:
        """Columns and targets together, n + t."""
        return int(self.r.shape[1])

    @property
    def is_triangle(self) -> bool:
        """Whether ``r`` is a triangle rather than the rows themselves."""
        return self.rows >= self.width

    @classmethod
    def of_buffer(cls, buffer: Matrix, n_targets: int = 1, *, overwrite: bool = False) -> Self:
        """One QR of the buffer (m, n + t); see ``Summary.of_buffer``. m ≥ 6 (n + t) is economical."""
        rows = buffer_of(buffer, n_targets)
        return cls(_reduced(rows, overwrite=overwrite), len(rows), n_targets)

    @classmethod
    def collector(cls, rows: int, width: int, n_targets: int = 1) -> Collector[RFactor]:
        """See ``Summary.collector``; all rows wait in one column-major buffer for one QR."""
        return _RowBuffer(rows, width, n_targets)

    def merge(self, other: Summary) -> Self:
        """QR of the two factors on top of each other; see ``Summary.merge``."""
        self._require_mergeable(other)
        assert isinstance(other, RFactor)
        top, below = (other, self) if other.is_triangle and not self.is_triangle else (self, other)
        if top.is_triangle:
            merged = stack_below(top.r, below.r, trapezoid=self.width if below.is_triangle else 0)
        else:
            merged = _reduced(np.asfortranarray(np.vstack([self.r, other.r])), overwrite=True)
        return type(self)(merged, self.rows + other.rows, self.n_targets)

    def scale(self, weight: float) -> Self:
        """``r`` times weight; see ``Summary.scale``."""
        return type(self)(self.r * checked_weight(weight), self.rows, self.n_targets)

    def _recombine(self, keep: npt.NDArray[np.intp], targets: Matrix) -> Self:
        k, width = len(keep), len(keep) + targets.shape[1]
        # Leading columns that stay where they were are triangular already: only what follows needs a QR.
        moved = np.flatnonzero(keep != np.arange(k))
        done = 0 if not self.is_triangle else int(moved[0]) if len(moved) else k
        rest = np.empty((len(self.r), width - done), order="F")
        rest[:, : k - done] = self.r[:, keep[done:]]
        rest[:, k - done :] = self.r @ targets
        if done == 0:
            return type(self)(_reduced(rest, overwrite=True), self.rows, targets.shape[1])
        triangle = np.zeros((width, width), order="F")
        triangle[:done, :done] = self.r[:done, :done]
        triangle[:done, done:] = rest[:done]
        triangle[done:, done:] = qr_triangle(np.array(rest[done:], order="F"), overwrite=True)
        return type(self)(triangle, self.rows, targets.shape[1])

    def column_norms(self) -> Vector:
        """As ``Summary.column_norms``, shape (n,)."""
        return column_norms(self.r[:, : self.n_columns])

    def gradient(self, c: npt.ArrayLike) -> Vector:
        """As ``Summary.gradient``, shape (n,); the residual is formed first, so nothing is squared."""
        return np.asarray(self.r[:, : self.n_columns].T @ self._residual(c))

    def residual_norm2(self, c: npt.ArrayLike) -> float:
        """As ``Summary.residual_norm2``."""
        residual = self._residual(c)
        return float(residual @ residual)

    def _residual(self, c: npt.ArrayLike) -> Vector:
        n = self.n_columns
        return np.asarray(self.r[:, n] - self.r[:, :n] @ self._coefficients(c))

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays "r", "rows" and "n_targets": as ``Summary.to_arrays``."""
        return {"r": self.r, "rows": np.asarray(self.rows), "n_targets": np.asarray(self.n_targets)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.ArrayLike]) -> Self:
        """As ``Summary.from_arrays``; also refuses a factor that should be a triangle and is not."""
        r, rows, n_targets = saved(arrays, "r")
        factor = cls(r, rows, n_targets)
        if factor.is_triangle and np.tril(r, -1).any():
            raise ValueError(f"r: expected an upper triangle (rows = {rows}), found entries below it")
        return factor


class _RowBuffer(Collector[RFactor]):
    """A column-major buffer, filled with portions of rows that are short enough to be turned in the cache."""

    def __init__(self, rows: int, width: int, n_targets: int) -> None:
        super().__init__(rows, width, n_targets)
        self._buffer = np.empty((rows, width), order="F")

    def _next_rows(self, most: int) -> Matrix:
        return self._buffer[self.filled : self.filled + min(most, ROWS_AT_ONCE)]

    def _finish(self) -> RFactor:
        buffer = self._buffer
        del self._buffer
        return RFactor.of_buffer(buffer, self.n_targets, overwrite=True)


def _reduced(a: Matrix, *, overwrite: bool = False) -> Matrix:
    """``a`` itself where it has fewer rows than columns, else its triangle; ``overwrite`` gives ``a`` away."""
    if a.shape[0] >= a.shape[1]:
        return qr_triangle(a, overwrite=overwrite)
    return a if overwrite and a.flags.f_contiguous else np.array(a, order="F")
