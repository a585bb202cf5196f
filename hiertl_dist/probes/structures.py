"""Frames that are scaled and repeated; labels, which are of the frame as it was, are left out."""

from __future__ import annotations

import numpy as np

from ..frames.frame import Frame


def scaled(
    frame: Frame, scale: float, *, origin: str, species: tuple[str, ...] | None = None, group: str | None = None
) -> Frame:
    """Positions and cell of a frame with all lengths multiplied; perhaps other species and another group."""
    cell = None if frame.cell is None else scale * frame.cell
    return Frame(
        frame.species if species is None else species, scale * frame.positions, cell,
        group=frame.group if group is None else group, origin=origin, pbc=frame.pbc,
    )  # fmt: skip


def repeated(frame: Frame, atoms: int) -> Frame:
    """A frame of at least so many atoms: repeated along the lattice vector that is shortest, again and again."""
    cell, pbc = frame.cell, frame.pbc
    if cell is None or pbc is None:
        return frame
    times = np.ones(3, np.int64)
    lengths = np.where(pbc, np.linalg.norm(cell, axis=1), np.inf)
    while len(frame) * times.prod() < atoms:
        times[np.argmin(lengths * times)] += 1
    shifts = np.stack(np.meshgrid(*map(np.arange, times), indexing="ij"), axis=-1).reshape(-1, 3) @ cell
    positions = (shifts[:, np.newaxis] + frame.positions).reshape(-1, 3)
    return Frame(
        frame.species * len(shifts), positions, times[:, np.newaxis] * cell, group=frame.group, origin=frame.origin,
        pbc=pbc,
    )  # fmt: skip
