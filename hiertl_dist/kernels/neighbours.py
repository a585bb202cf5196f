"""Neighbour lists through vesin, put into one fixed order so that sums are the same bits everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import vesin

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Directed neighbours of every atom, periodic images in their own right.

    Attributes
    ----------
    start : (n + 1,) neighbours of atom i are start[i]:start[i + 1].
    atom : (N,) index of the neighbour in the cell.
    vec : (N, 3) Å from the centre to the neighbour.
    dist : (N,) Å.
    half : (N,) true for exactly one of the two directions of each pair.
    """

    start: NDArray[np.int64]
    atom: NDArray[np.int64]
    vec: NDArray[np.float64]
    dist: NDArray[np.float64]
    half: NDArray[np.bool_]

    @property
    def centre(self) -> NDArray[np.int64]:
        """(N,) index of the centre of each directed pair."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))


def find_neighbours(
    positions: NDArray[np.float64], cell: NDArray[np.float64] | None, cutoff: float
) -> Neighbours:
    """Neighbours within ``cutoff`` (Å), sorted by centre, neighbour and lattice shift.

    ``cell`` ``None`` means an isolated molecule. Raises ValueError for one that is more than 1e5 Å across, on which
    vesin's cell list divides by zero and takes the process with it.
    """
    n = len(positions)
    periodic = cell is not None
    if not periodic and (extent := float(np.ptp(positions, axis=0).max())) > 1e5:
        raise ValueError(f"expected a molecule of at most 1e5 Å, found one {extent:.3g} Å across")
    if cutoff <= 0.0:
        none = np.empty(0, np.int64)
        return Neighbours(np.zeros(n + 1, np.int64), none, np.empty((0, 3)), np.empty(0), np.empty(0, bool))
    listing = vesin.NeighborList(cutoff=cutoff, full_list=True, n_threads=1)
    box = cell if cell is not None else np.zeros((3, 3))
    i, j, shift, vec = listing.compute(
        points=np.ascontiguousarray(positions, np.float64), box=np.ascontiguousarray(box, np.float64),
        periodic=periodic, quantities="ijSD",
    )  # fmt: skip
    i, j, shift = i.astype(np.int64), j.astype(np.int64), shift.astype(np.int64)
    order = np.lexsort((shift[:, 2], shift[:, 1], shift[:, 0], j, i))
    i, j, shift, vec = i[order], j[order], shift[order], np.ascontiguousarray(vec[order], np.float64)
    sign = np.where(shift[:, 0] != 0, shift[:, 0], np.where(shift[:, 1] != 0, shift[:, 1], shift[:, 2]))
    half = (j > i) | ((j == i) & (sign > 0))
    dist = np.sqrt(np.einsum("ij,ij->i", vec, vec))
    start = np.searchsorted(i, np.arange(n + 1)).astype(np.int64)
    return Neighbours(start, j, vec, dist, half)
