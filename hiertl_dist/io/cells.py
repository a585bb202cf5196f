"""Lattice vectors and periodicity, as files and ASE state them, in the terms of a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ..frames.frame import SINGULAR

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Periodicity = tuple[bool, bool, bool]

CELL_DROPPED: Final = "the lattice was dropped: pbc says that it repeats in no direction, so it is an isolated molecule"
CELL_ZERO: Final = "a lattice of zeros: an isolated molecule"
CELL_COMPLETED: Final = (
    "a lattice vector along which nothing repeats was zero or in the plane of the others; a unit vector normal to them "
    "stands for it"
)
STRESS_DROPPED: Final = (
    "the stress was dropped: only what repeats in three directions has one, not an isolated molecule, a slab or a wire"
)

BOOLEANS: Final = {
    "t": True, "true": True, ".true.": True, "1": True, "f": False, "false": False, ".false.": False, "0": False
}  # fmt: skip
"""Spellings of true and false, in lower case."""


def settled_cell(
    lattice: NDArray[np.float64] | None, stated: Periodicity | None, error: Callable[[str], Exception]
) -> tuple[NDArray[np.float64] | None, Periodicity, tuple[str, ...], tuple[str, ...]]:
    """The cell of a frame from what its source says.

    Without a statement, what has a lattice repeats along all of it and what has none, or one of zeros, is an isolated
    molecule. The vectors along which nothing repeats only have to make the cell nonsingular; where they do not (ASE
    leaves them zero), unit vectors normal to the others stand for them, as in ASE's ``complete_cell``.

    Parameters
    ----------
    lattice : ndarray of shape (3, 3) or None
        The lattice vectors, Å, as rows; ``None`` where the source has none.
    stated : tuple of bool or None
        The periodicity, if the source states it.
    error : callable
        Makes the exception to raise of its text, where they contradict each other or the cell is singular.

    Returns
    -------
    cell : ndarray of shape (3, 3) or None
        The lattice vectors, Å, as rows; ``None`` for an isolated molecule.
    pbc : tuple of bool
        Along which of them the frame repeats.
    notes, doubts : tuple of str
        What was made of the cell, and what may not have been meant.
    """
    empty = lattice is None or not lattice.any()
    if empty and stated is not None and any(stated):
        lattice_text = "there is no Lattice" if lattice is None else "the Lattice is zero"
        raise error(f"pbc says periodic, {_flags(stated)}, but {lattice_text}")
    if lattice is None or empty:
        return None, (False, False, False), () if lattice is None or stated is not None else (CELL_ZERO,), ()
    pbc = (True, True, True) if stated is None else stated
    if all(pbc):
        return lattice, pbc, (), ()
    if not np.isfinite(lattice).all():
        raise error(f"expected lattice vectors that are finite, found {lattice.tolist()}")
    if not any(pbc):
        return None, pbc, (), (CELL_DROPPED,) if _independent(lattice) else ()
    keep = np.array(pbc)
    if not _independent(lattice[keep]):
        raise error(
            f"singular cell: pbc is {_flags(pbc)}, and the vectors along which it repeats are {lattice[keep].tolist()}"
        )
    if _independent(lattice):
        return lattice, pbc, (), ()
    for k in range(3):
        # what helps is kept, so that a wire keeps the one vector beside it that it has
        if not keep[k] and _independent(lattice[keep | (np.arange(3) == k)]):
            keep[k] = True
    return with_normals(lattice, keep), pbc, (CELL_COMPLETED,), ()


def with_normals(cell: NDArray[np.float64], keep: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The cell (3, 3) with unit vectors in place of those that are not kept.

    They are normal to the vectors that are kept and to each other.
    """
    cell = np.array(cell, float)
    for k in np.flatnonzero(~keep):
        kept = cell[keep]
        if len(kept) == 1:
            # away from the vector that is there, whatever its direction
            other = np.eye(3)[np.argmin(np.abs(kept[0]))]
            normal = np.cross(kept[0], other)
        else:
            normal = np.cross(cell[k - 2], cell[k - 1])
        cell[k] = normal / np.linalg.norm(normal)
        keep = keep | (np.arange(3) == k)
    return cell


def _independent(vectors: NDArray[np.float64]) -> bool:
    """Whether vectors span a length, an area or a volume that is more than rounding."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    if not largest.all():
        return False
    scaled = vectors / largest
    gram = float(np.linalg.det(scaled @ scaled.T))
    return gram > (SINGULAR * float(np.prod(np.linalg.norm(scaled, axis=1)))) ** 2


def _flags(pbc: Periodicity) -> str:
    return " ".join("T" if p else "F" for p in pbc)
