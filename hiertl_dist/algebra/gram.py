"""``Gram``: the normal equations [A | T]ᵀ[A | T]; half of ``RFactor``'s arithmetic, the condition number squared.

Right where the problem is well conditioned or well regularised; ``solve`` checks, and refuses otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from hiertl_dist.algebra.collect import Collector
from hiertl_dist.algebra.lapack import Matrix, Vector, add_symmetric_product, mirror_upper, symmetric_product
from hiertl_dist.algebra.summary import Summary, buffer_of, checked_weight, locked, require_finite, saved

#: Rows that are multiplied at once: dsyrk is as fast with these as with any number, and they stay in the cache.
BLOCK_ROWS = 192


@dataclass(frozen=True, eq=False)
class Gram(Summary):
    """The normal equations of [A | T].

    Attributes
    ----------
    g : ndarray of shape (n + t, n + t)
        [A | T]ᵀ[A | T], symmetric, both triangles filled; in the squared units of the rows.
    rows : int
        Rows that were added up, m.
    n_targets : int
        Targets, t.
    """

    g: Matrix
    rows: int
    n_targets: int = 1

    kind: ClassVar[str] = "gram"

    def __post_init__(self) -> None:
        if self.g.ndim != 2 or self.g.shape[0] != self.g.shape[1]:
            raise ValueError(f"g: expected a square matrix (n + t, n + t), found shape {self.g.shape}")
        self._require_sizes()
        require_finite(self.g, "g")
        object.__setattr__(self, "g", locked(self.g))

    @property
    def width(self) -> int:
        """Columns and targets together, n + t."""
        return int(self.g.shape[1])

    @classmethod
    def of_buffer(cls, buffer: Matrix, n_targets: int = 1, *, overwrite: bool = False) -> Self:
        """The summary of a filled buffer, by one rank-m update: as ``Summary.of_buffer``.

        The buffer is only read, row- or column-major alike.
        """
        rows = buffer_of(buffer, n_targets)
        return cls(symmetric_product(rows), len(rows), n_targets)

    @classmethod
    def collector(cls, rows: int, width: int, n_targets: int = 1) -> Collector[Gram]:
        """As ``Summary.collector``; rows are added up as they come, and no buffer of all of them is needed."""
        return _GramCollector(rows, width, n_targets)

    def merge(self, other: Summary) -> Self:
        """The sum of two matrices: as ``Summary.merge``."""
        self._require_mergeable(other)
        assert isinstance(other, Gram)
        return type(self)(self.g + other.g, self.rows + other.rows, self.n_targets)

    def scale(self, weight: float) -> Self:
        """The summary with its matrix times weight²: as ``Summary.scale``."""
        return type(self)(self.g * checked_weight(weight) ** 2, self.rows, self.n_targets)

    def _recombine(self, keep: npt.NDArray[np.intp], targets: Matrix) -> Self:
        k = len(keep)
        mixed = np.empty((k + targets.shape[1], k + targets.shape[1]), order="F")
        image = self.g @ targets
        leading = np.array_equal(keep, np.arange(k))
        mixed[:k, :k] = self.g[:k, :k] if leading else self.g[np.ix_(keep, keep)]
        mixed[:k, k:] = image[keep]
        mixed[k:, :k] = image[keep].T
        corner = targets.T @ image
        mixed[k:, k:] = (corner + corner.T) / 2
        return type(self)(mixed, self.rows, targets.shape[1])

    def column_norms(self) -> Vector:
        """As ``Summary.column_norms``, shape (n,)."""
        return np.asarray(np.sqrt(np.diagonal(self.g)[: self.n_columns]))

    def gradient(self, c: npt.ArrayLike) -> Vector:
        """As ``Summary.gradient``, shape (n,)."""
        n = self.n_columns
        return np.asarray(self.g[:n, n] - self.g[:n, :n] @ self._coefficients(c))

    def residual_norm2(self, c: npt.ArrayLike) -> float:
        """As ``Summary.residual_norm2``; a difference of large numbers, good to about 1e-15 ‖b‖², ≥ 0."""
        n = self.n_columns
        signed = np.zeros(n + 1)
        signed[:n] = self._coefficients(c)
        signed[n] = -1.0
        return max(0.0, float(signed @ (self.g[: n + 1, : n + 1] @ signed)))

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays "g", "rows" and "n_targets": as ``Summary.to_arrays``."""
        return {"g": self.g, "rows": np.asarray(self.rows), "n_targets": np.asarray(self.n_targets)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.ArrayLike]) -> Self:
        """As ``Summary.from_arrays``; also refuses a matrix that is not symmetric."""
        g, rows, n_targets = saved(arrays, "g")
        if g.shape == g.T.shape and not np.array_equal(g, g.T):
            raise ValueError("g: expected a symmetric matrix, found different triangles")
        return cls(g, rows, n_targets)


class _GramCollector(Collector[Gram]):
    """Puts [A | T] together a block at a time and adds its product up."""

    def __init__(self, rows: int, width: int, n_targets: int) -> None:
        super().__init__(rows, width, n_targets)
        self._total = np.zeros((width, width), order="F")
        self._block = np.empty((min(BLOCK_ROWS, rows), width))
        self._multiplied = 0

    def _next_rows(self, most: int) -> Matrix:
        if self.filled - self._multiplied == len(self._block):
            self._multiply()
        start = self.filled - self._multiplied
        return self._block[start : start + most]

    def _multiply(self) -> None:
        block = self._block[: self.filled - self._multiplied]
        self._total = add_symmetric_product(self._total, block)
        # What is not finite in a block reaches the diagonal, and the block is still there to name it in.
        if not np.isfinite(np.diagonal(self._total)).all():
            require_finite(block, f"rows [A | T], counted from row {self._multiplied}")
        self._multiplied = self.filled

    def _finish(self) -> Gram:
        self._multiply()
        return Gram(mirror_upper(self._total), self.rows, self.n_targets)
