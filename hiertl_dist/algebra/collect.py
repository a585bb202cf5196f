"""Rows of one group, put together from pieces of tiles, on their way to one summary.

A tile's rows come row-major, a block of columns at a time; a QR wants them column-major, a product wants a few of
them at a time. The copy between is made once, in portions that stay in the cache.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from hiertl_dist.algebra.lapack import Matrix

S = TypeVar("S")

Piece = tuple[int, Matrix]
"""Rows (m, k) of a tile, and the column that their first one is of [A | T]."""

#: Runs of consecutive rows are copied as such where they have this many rows on average.
SHORTEST_RUN = 16


class Collector(ABC, Generic[S]):
    """Takes rows of [A | T] in as many steps as one likes, for their summary.

    Parameters
    ----------
    rows : int
        Rows that will come, all steps together.
    width : int
        Numbers of a row, n + t.
    n_targets : int
        How many of them are targets, t.
    """

    def __init__(self, rows: int, width: int, n_targets: int) -> None:
        self.rows, self.width, self.n_targets = rows, width, n_targets
        self.filled = 0

    def add(self, pieces: Sequence[Piece], chosen: npt.NDArray[np.intp]) -> None:
        """Take some rows of a tile.

        Parameters
        ----------
        pieces : sequence of tuple (int, ndarray of shape (m, k))
            Rows of the tile, each piece with the column of [A | T] at which it begins. Columns that no piece has are
            zero.
        chosen : ndarray of int
            The rows to be taken, increasing.

        Raises
        ------
        ValueError
            More rows than announced, or a piece that does not fit.
        """
        if self.filled + len(chosen) > self.rows:
            raise ValueError(f"expected {self.rows} rows, found {self.filled + len(chosen)}")
        for first, piece in pieces:
            if first < 0 or first + piece.shape[1] > self.width:
                raise ValueError(f"expected columns in 0 … {self.width - 1}, found {first} … {first + piece.shape[1]}")
        for run in _runs(chosen):
            start = 0
            while start < len(run):
                out = self._next_rows(len(run) - start)
                _place(out, pieces, run[start : start + len(out)])
                start += len(out)
                self.filled += len(out)

    def finish(self) -> S:
        """The summary of all rows; the collector is of no use afterwards. ValueError where rows are missing."""
        if self.filled != self.rows:
            raise ValueError(f"expected {self.rows} rows, found {self.filled}")
        return self._finish()

    @abstractmethod
    def _next_rows(self, most: int) -> Matrix:
        """Where the next rows go: at least one, at most ``most``, as many as are well copied at once."""

    @abstractmethod
    def _finish(self) -> S:
        """The summary of all rows."""


def _runs(chosen: npt.NDArray[np.intp]) -> Iterator[range | npt.NDArray[np.intp]]:
    """``chosen`` as runs of consecutive indices, where these are long: copying them needs no second copy."""
    breaks = np.flatnonzero(np.diff(chosen) != 1) + 1
    if (len(breaks) + 1) * SHORTEST_RUN > len(chosen):
        yield chosen
        return
    for start, stop in zip([0, *breaks], [*breaks, len(chosen)], strict=True):
        yield range(int(chosen[start]), int(chosen[stop - 1]) + 1)


def _place(out: Matrix, pieces: Sequence[Piece], rows: range | npt.NDArray[np.intp]) -> None:
    index = slice(rows.start, rows.stop) if isinstance(rows, range) else rows
    column = 0
    for first, piece in sorted(pieces, key=lambda p: p[0]):
        out[:, column:first] = 0.0
        column = first + piece.shape[1]
        out[:, first:column] = piece[index]
    out[:, column:] = 0.0
