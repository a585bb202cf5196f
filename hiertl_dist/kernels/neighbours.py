"""Neighbour lists through vesin, put into one fixed order so that sums are the same bits everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import vesin

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Neighbours(NamedTuple):
    """Directed neighbours of every atom, periodic images in their own right; a tuple, which numba can take.

    Attributes
    ----------
    start : (n + 1,) neighbours of atom i are start[i]:start[i + 1].
    atom : (N,) index of the neighbour in the cell.
    vec : (N, 3) Å from the centre to the neighbour.
    dist : (N,) Å.
    half : (N,) true for exactly one of the two directions of each pair.
    reverse : (N,) index of the other direction.
    code : (N,) the cell that the neighbour is in as one number, |code| ≤ cells // 2, with every atom of the centre's
        cell moved into it; the code of a sum of two shifts is the sum of their codes.
    cells : number of possible codes.
    """

    start: NDArray[np.int64]
    atom: NDArray[np.int64]
    vec: NDArray[np.float64]
    dist: NDArray[np.float64]
    half: NDArray[np.bool_]
    reverse: NDArray[np.int64]
    code: NDArray[np.int64]
    cells: int

    @property
    def centre(self) -> NDArray[np.int64]:
        """(N,) index of the centre of each directed pair."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))


def find_neighbours(
    positions: NDArray[np.float64], cell: NDArray[np.float64] | None, cutoff: float,
    codes: NDArray[np.int64] | None = None, reach: NDArray[np.float64] | None = None,
) -> Neighbours:  # fmt: skip
    """Neighbours within ``cutoff`` (Å), sorted by centre, neighbour and cell.

    ``cell`` ``None`` means an isolated molecule. With ``codes`` (n,) and ``reach`` (kinds, kinds) Å, only pairs within
    the reach of their kinds; atoms of a negative code have no neighbours and are none.

    Raises ValueError for a molecule that is more than 1e5 Å across, on which vesin's cell list divides by zero and
    takes the process with it.
    """
    n = len(positions)
    periodic = cell is not None
    if not periodic and (extent := float(np.ptp(positions, axis=0).max())) > 1e5:
        raise ValueError(f"expected a molecule of at most 1e5 Å, found one {extent:.3g} Å across")
    chosen = np.arange(n) if codes is None else np.flatnonzero(codes >= 0)
    if cutoff <= 0.0 or len(chosen) == 0:
        none = np.empty(0, np.int64)
        start = np.zeros(n + 1, np.int64)
        return Neighbours(start, none, np.empty((0, 3)), np.empty(0), np.empty(0, bool), none, none, 1)
    # each pair once, and then both directions: half the work of a list of both
    listing = vesin.NeighborList(cutoff=cutoff, full_list=False, n_threads=1)
    box = cell if cell is not None else np.zeros((3, 3))
    i, j, shift, vec = listing.compute(
        points=np.ascontiguousarray(positions[chosen], np.float64), box=np.ascontiguousarray(box, np.float64),
        periodic=periodic, quantities="ijSD",
    )  # fmt: skip
    i, j, vec = chosen[i], chosen[j], np.asarray(vec, np.float64)
    dist = np.sqrt(np.einsum("ij,ij->i", vec, vec))
    if codes is not None and reach is not None:
        kept = np.flatnonzero(dist < reach[codes[i], codes[j]])
        i, j, shift, vec, dist = i[kept], j[kept], shift[kept], vec[kept], dist[kept]
    code, cells = _codes(i, j, shift.astype(np.int64), positions, cell)
    i, j, code = np.concatenate([i, j]), np.concatenate([j, i]), np.concatenate([code, -code])
    order = np.argsort((i * n + j) * cells + code)
    i, j, code = i[order], j[order], code[order]
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    start = np.searchsorted(i, np.arange(n + 1)).astype(np.int64)
    return Neighbours(
        start, j, np.concatenate([vec, -vec])[order], np.concatenate([dist, dist])[order],
        (j > i) | ((j == i) & (code > 0)), place[(order + len(dist)) % max(len(order), 1)], code, cells,
    )  # fmt: skip


def _codes(
    i: NDArray[np.int64], j: NDArray[np.int64], shift: NDArray[np.int64], positions: NDArray[np.float64],
    cell: NDArray[np.float64] | None,
) -> tuple[NDArray[np.int64], int]:  # fmt: skip
    """See :class:`Neighbours`: atoms are moved into one cell first, so that positions far from it cost nothing."""
    if cell is None or len(shift) == 0:
        return np.zeros(len(shift), np.int64), 1
    home = np.floor(np.linalg.solve(cell.T, positions.T).T).astype(np.int64)
    inside = shift + home[j] - home[i]
    # a shift, and the sum of two, is a number whose three digits have these bases
    x, y, z = (4 * int(most) + 1 for most in np.abs(inside).max(axis=0))
    return inside @ np.array([y * z, z, 1]), x * y * z
