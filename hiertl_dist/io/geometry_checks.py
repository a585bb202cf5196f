"""Whether a frame's geometry can be meant: positions within reach, no two atoms in one place, a cell of some size."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from .cells import with_normals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from .cells import Periodicity

COINCIDING: Final = 0.01
"""Å: two atoms closer than this are one atom written twice."""

FARTHEST: Final = 1e6
"""Å: a coordinate beyond this is not a position (columns run together, a lost decimal point)."""


class Fault(NamedTuple):
    """What is wrong with a geometry: the atoms at fault, from 0 (none: it is the cell), and what was found."""

    atoms: tuple[int, ...]
    text: str


def geometry_fault(frame: Frame) -> Fault | None:
    """What cannot be meant of a frame's positions and cell; None where all is well."""
    far = np.abs(frame.positions).max(axis=1) > FARTHEST
    if far.any():
        k = int(np.argmax(far))
        return Fault((k,), f"expected positions within {FARTHEST:.0e} Å, found {frame.positions[k].tolist()}")
    if frame.cell is not None and frame.pbc is not None:
        repeats = np.array(frame.pbc)
        # a cell whose inverse overflows has none
        thickness = float(np.nan_to_num(_spacings(_with_normals_to(frame.cell, repeats))[repeats]).min())
        if thickness < 2 * COINCIDING:
            return Fault((), f"singular cell: it is {thickness:.3g} Å thick, so atoms coincide with their own images")
    pair = coinciding_atoms(frame.positions, frame.cell, frame.pbc)
    if pair is not None:
        i, j, distance = pair
        images = "" if frame.cell is None else ", periodic images included"
        return Fault((i, j), f"coincide: {distance:.3g} Å apart{images}")
    return None


def _with_normals_to(cell: NDArray[np.float64], repeats: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Nothing depends on the vectors along which nothing repeats; normal to the others they are of no trouble."""
    return cell if repeats.all() else with_normals(cell, repeats)


def _spacings(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances between opposite faces of a cell, (3,) Å."""
    with np.errstate(over="ignore", invalid="ignore"):  # of a cell as thin as that
        distances: NDArray[np.float64] = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    return distances


def coinciding_atoms(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64] | None,
    pbc: Periodicity | None = None,
    closer: float = COINCIDING,
) -> tuple[int, int, float] | None:
    """The first pair of atoms that are too close, if there is one.

    Atoms are dropped into bins at least 2 × ``closer`` wide, on grids shifted by half a bin along each axis: of two
    atoms that close, at least one grid of the eight has both in one bin. That is linear in the number of atoms; a
    neighbour list with so short a cutoff spends its time on empty cells.

    Parameters
    ----------
    positions : ndarray of shape (n, 3)
        Where the atoms are, Å.
    cell : ndarray of shape (3, 3) or None
        The lattice vectors, Å, as rows.
    pbc : tuple of bool, optional
        Along which of them there are images; default: along all of the cell.
    closer : float, default COINCIDING
        The distance, Å, below which atoms are too close.

    Returns
    -------
    tuple (int, int, float) or None
        Both atoms, numbered from 0, and their distance in Å.
    """
    if len(positions) < 2:
        return None
    if cell is None:
        repeats = np.zeros(3, bool)
        scaled = (positions - positions.min(axis=0)) / (2 * closer)
        bins = np.ones(3)
    else:
        repeats = np.array([True, True, True] if pbc is None else pbc)
        cell = _with_normals_to(cell, repeats)
        fractions = positions @ np.linalg.inv(cell)
        bins = _spacings(cell) / (2 * closer)
        bins = np.where(repeats, np.floor(bins), bins)
        scaled = (fractions - np.where(repeats, np.floor(fractions), fractions.min(axis=0))) * bins
    grids = [np.floor(scaled), np.floor(scaled + 0.5)]
    if repeats.any():
        grids = [np.where(repeats, grid % np.where(repeats, bins, 1.0), grid) for grid in grids]
    hashed = np.array(grids).astype(np.int64) * np.array([1, 1_000_003, 998_244_353_111])
    keys = np.array(
        [hashed[a, :, 0] + hashed[b, :, 1] + hashed[c, :, 2] for a, b, c in itertools.product((0, 1), repeat=3)]
    )
    if not (np.diff(np.sort(keys, axis=1), axis=1) == 0).any():
        return None
    return _closest_in_bins(positions, cell, repeats, keys, closer)


def _closest_in_bins(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64] | None,
    repeats: NDArray[np.bool_],
    keys: NDArray[np.int64],
    closer: float,
) -> tuple[int, int, float] | None:
    pairs: list[tuple[int, int, float]] = []
    for key in keys:
        order = np.argsort(key, kind="stable")
        edges = np.flatnonzero(np.diff(key[order])) + 1
        for members in np.split(order, edges):
            for i, j in itertools.combinations(members.tolist(), 2):
                delta = positions[j] - positions[i]
                if cell is not None:
                    fraction = delta @ np.linalg.inv(cell)
                    delta = (fraction - np.where(repeats, np.round(fraction), 0.0)) @ cell
                distance = float(np.linalg.norm(delta))
                if distance < closer:
                    pairs.append((i, j, distance))
                    break
    return min(pairs, default=None)
