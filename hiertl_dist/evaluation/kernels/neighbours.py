"""Neighbour lists in one fixed order, so that sums are the same bits everywhere.

Those of small frames come from :func:`~.images.image_pairs`, those of others from vesin; both roads make the same bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import vesin

from .images import COINCIDE, ELSEWHERE, INSIDE, image_pairs
from .scratch import scratch_buffer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Neighbours(NamedTuple):
    """Directed neighbours of every atom, periodic images in their own right; a tuple, which numba can take.

    Attributes
    ----------
    start : ndarray of int, shape (n + 1,)
        Neighbours of atom i are start[i]:start[i + 1].
    atom : ndarray of int, shape (N,)
        Index of the neighbour in the cell.
    vec : ndarray of shape (N, 3)
        From the centre to the neighbour, Å.
    dist : ndarray of shape (N,)
        Its length, Å.
    half : ndarray of bool, shape (N,)
        True for exactly one of the two directions of each pair.
    reverse : ndarray of int, shape (N,)
        Index of the other direction.
    code : ndarray of int, shape (N,)
        The cell that the neighbour is in as one number, |code| ≤ cells // 2, with every atom of the centre's cell moved
        into it; the code of a sum of two shifts is the sum of their codes.
    cells : int
        Number of possible codes.
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


WIDEST: Final = 1e5
"""Å that a molecule, or a slab across its plane, may measure: beyond, an atom has gone astray."""

MOST_BINS: Final = 1e5
"""Into how many bins vesin sorts atoms at most."""

FARTHEST: Final = 1e8
"""How many cells away an atom may be: vesin counts them in 32 bits, and its distances have lost half their digits."""


class Marked(NamedTuple):
    """Neighbours, and what was seen of them on the way.

    Attributes
    ----------
    near : Neighbours
        All of them.
    inside : bool
        Whether a pair is inside its inner cutoff.
    coincide : bool
        Whether two atoms are at the same place.
    """

    near: Neighbours
    inside: bool
    coincide: bool


ONE_KIND: Final = np.full((1, 1), np.inf)
EVERYWHERE: Final = (True, True, True)


def find_neighbours(
    positions: NDArray[np.float64], cell: NDArray[np.float64] | None, cutoff: float,
    codes: NDArray[np.int64] | None = None, reach: NDArray[np.float64] | None = None, *,
    pbc: tuple[bool, bool, bool] = EVERYWHERE,
) -> Neighbours:  # fmt: skip
    """Neighbours within ``cutoff`` (Å), sorted by centre, neighbour and cell.

    ``cell`` ``None`` means an isolated molecule. A cell repeats along the vectors for which ``pbc`` is true, and its
    other vectors mean nothing. With ``codes`` (n,) and ``reach`` (kinds, kinds) Å, only pairs within the reach of their
    kinds; atoms of a negative code have no neighbours and are none.

    Raises ValueError, which names atoms from 0, where these are so far apart, or a cell is so long and thin, that
    vesin's cell list would divide by zero and take the process with it.
    """
    return mark_neighbours(positions, cell, cutoff, codes, reach, pbc=pbc).near


def mark_neighbours(
    positions: NDArray[np.float64], cell: NDArray[np.float64] | None, cutoff: float,
    codes: NDArray[np.int64] | None = None, reach: NDArray[np.float64] | None = None,
    inner: NDArray[np.float64] | None = None, *, pbc: tuple[bool, bool, bool] = EVERYWHERE,
) -> Marked:  # fmt: skip
    """As :func:`find_neighbours`, and whether a pair of two kinds is within ``inner`` (kinds, kinds) Å, or at 0 Å."""
    kinds, far = codes, reach
    if kinds is None or far is None:
        kinds, far = np.zeros(len(positions), np.int64) if codes is None else np.minimum(codes, 0), ONE_KIND
    near = np.zeros_like(far) if inner is None else inner
    box, repeats = (np.eye(3), (False, False, False)) if cell is None else (np.array(cell, np.float64, order="C"), pbc)
    with scratch_buffer() as scratch:
        # copies: for arrays that are read-only, or lie otherwise, it would be compiled anew
        places = np.array(positions, np.float64, order="C")
        marks, *found = image_pairs(places, box, np.array(repeats), kinds, far, near, float(cutoff), scratch)
    if marks != ELSEWHERE:
        return Marked(Neighbours(*found), bool(marks & INSIDE), bool(marks & COINCIDE))
    listed = list_neighbours(positions, cell, cutoff, codes, reach, pbc=pbc)
    i, j = kinds[listed.centre], kinds[listed.atom]
    closest = float(listed.dist.min(initial=np.inf))
    return Marked(listed, bool((listed.dist < near[i, j]).any()), closest <= 0.0)


def list_neighbours(
    positions: NDArray[np.float64], cell: NDArray[np.float64] | None, cutoff: float,
    codes: NDArray[np.int64] | None = None, reach: NDArray[np.float64] | None = None, *,
    pbc: tuple[bool, bool, bool] = EVERYWHERE,
) -> Neighbours:  # fmt: skip
    """As :func:`find_neighbours`, through vesin whatever the frame."""
    n = len(positions)
    chosen = np.arange(n) if codes is None else np.flatnonzero(codes >= 0)
    if cutoff <= 0.0 or len(chosen) == 0:
        none = np.empty(0, np.int64)
        start = np.zeros(n + 1, np.int64)
        return Neighbours(start, none, np.empty((0, 3)), np.empty(0), np.empty(0, bool), none, none, 1)
    box = closed_cell(positions, cell, pbc, cutoff)
    _check_bins(positions, box, cutoff)
    # each pair once, and then both directions: half the work of a list of both
    listing = vesin.NeighborList(cutoff=cutoff, full_list=False, n_threads=1)
    i, j, shift, vec = listing.compute(
        points=np.ascontiguousarray(positions[chosen], np.float64),
        box=np.zeros((3, 3)) if box is None else np.ascontiguousarray(box, np.float64),
        periodic=box is not None, quantities="ijSD",
    )  # fmt: skip
    i, j, vec = chosen[i], chosen[j], np.asarray(vec, np.float64)
    x, y, z = vec.T
    # in the order in which scan.py and images.py add: one of numpy's own choice is another on other processors
    dist = np.sqrt(x * x + z * z + y * y)
    if codes is not None and reach is not None:
        kept = np.flatnonzero(dist < reach[codes[i], codes[j]])
        i, j, shift, vec, dist = i[kept], j[kept], shift[kept], vec[kept], dist[kept]
    code, cells = _codes(i, j, shift.astype(np.int64), positions, box, pbc)
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


def across(cell: NDArray[np.float64], pbc: tuple[bool, bool, bool]) -> NDArray[np.float64]:
    """(directions without images, 3) unit vectors, orthogonal to the vectors along which a cell repeats."""
    repeats = np.flatnonzero(pbc)
    return np.linalg.svd(np.asarray(cell, np.float64)[repeats])[2][len(repeats) :]


def closed_cell(
    positions: NDArray[np.float64], cell: NDArray[np.float64] | None, pbc: tuple[bool, bool, bool], cutoff: float
) -> NDArray[np.float64] | None:
    """The cell of a crystal that has the same neighbours within ``cutoff`` (Å), (3, 3); ``None`` for a molecule.

    What a slab or a wire does not repeat along is replaced by a vacuum, at right angles, that no pair reaches across.
    vesin's own mixed periodicity finds the same pairs, but compares each bin with all others along such a direction:
    a minute for a wire with an atom a thousand Å away.
    """
    if cell is None or all(pbc):
        return cell
    axes = across(cell, pbc)
    box = np.array(cell, np.float64)
    # with three cutoffs of vacuum, images are not even in neighbouring bins
    _check_width(positions, axes, "a slab or wire")
    lengths = np.ptp(positions @ axes.T, axis=0) + 3.0 * cutoff
    box[np.flatnonzero(np.logical_not(pbc))] = lengths[:, np.newaxis] * axes
    return box


def _check_width(positions: NDArray[np.float64], axes: NDArray[np.float64], what: str) -> None:
    """Raise ValueError for atoms more than ``WIDEST`` apart along one of some axes, (n, 3)."""
    along = positions @ axes.T
    extents = np.ptp(along, axis=0)
    if (extent := float(extents.max())) > WIDEST:
        most = int(extents.argmax())
        ends = sorted((int(along[:, most].argmin()), int(along[:, most].argmax())))
        raise ValueError(
            f"expected {what} of at most 1e5 Å, found one {extent:.3g} Å across, from atom {ends[0]} to atom {ends[1]}"
        )


def _check_bins(positions: NDArray[np.float64], box: NDArray[np.float64] | None, cutoff: float) -> None:
    """Raise ValueError where vesin, which shares out no more than ``MOST_BINS`` in proportion, gets to none."""
    if box is None:
        _check_width(positions, np.eye(3), "a molecule")
        widths = [max(1.01 * float(w), 1.0) for w in np.ptp(positions, axis=0)]
    else:
        a, b, c = np.asarray(box, np.float64).tolist()
        normals = [_cross(b, c), _cross(c, a), _cross(a, b)]
        volume = abs(sum(x * y for x, y in zip(a, normals[0], strict=True)))
        widths = [volume / math.hypot(*normal) for normal in normals]
    x, y, z = (max(float(math.floor(w / cutoff)), 1.0) for w in widths)
    if x * y * z <= MOST_BINS:
        return
    # in vesin's own words, to the last bit
    z_bins = math.floor(float(np.cbrt(MOST_BINS / (x / y * (y / z) * (y / z)))))
    y_bins = math.floor(y / z * z_bins)
    shown = " × ".join(f"{w:.4g}" for w in widths)
    if min(z_bins, y_bins, math.floor(x / y * y_bins)) < 1:
        raise ValueError(
            f"expected a cell, or the atoms of a molecule, of similar width in all directions, found {shown} Å: too "
            f"long and thin to search for neighbours within {cutoff:.3g} Å"
        )


def _cross(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _codes(
    i: NDArray[np.int64], j: NDArray[np.int64], shift: NDArray[np.int64], positions: NDArray[np.float64],
    cell: NDArray[np.float64] | None, pbc: tuple[bool, bool, bool],
) -> tuple[NDArray[np.int64], int]:  # fmt: skip
    """See :class:`Neighbours`: atoms are moved into one cell first, so that positions far from it cost nothing."""
    if cell is None:
        return np.zeros(len(shift), np.int64), 1
    away = np.floor(np.linalg.solve(cell.T, positions.T).T)
    if not np.abs(away).max() <= FARTHEST:
        atom = int(np.abs(away).max(axis=1).argmax())
        raise ValueError(
            f"expected atoms within 1e8 cells of the first, found atom {atom} {np.abs(away[atom]).max():.3g} cells away"
        )
    if len(shift) == 0:
        return np.zeros(0, np.int64), 1
    home = away.astype(np.int64)
    if not all(pbc):
        home[:, np.logical_not(pbc)] = 0
    inside = shift + home[j] - home[i]
    # a shift, and the sum of two, is a number whose three digits have these bases
    x, y, z = (4 * int(most) + 1 for most in np.abs(inside).max(axis=0))
    return inside @ np.array([y * z, z, 1]), x * y * z
