"""One look at all frames of a data set, by whoever works: what takes their atoms, as sums and a few numbers a frame.

Frames are looked at in runs of some thousand atoms. Parts are joined in order, in a tree that follows from the frames
alone, so the calling process holds no more than it hands back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..evaluation.chunk_scan import by_elements
from ..evaluation.contacts import chunks_of, frames_label
from ..executors.serial import InlineExecutor
from ..units import EV, KCAL_PER_A3_IN_GPA
from .distances import (
    SAMPLE,
    Contacts,
    PairCounts,
    added_counts,
    closest_contacts,
    closest_of,
    count_pairs,
    sample_numbers,
    thinnest_cells,
)
from .isolated_atoms import IsolatedLook, look_for_isolated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..executors.base import Executor
    from ..frames.element_set import ElementSet
    from ..frames.frame_sequence import FrameSequence
    from ..frames.frame_table import FrameTable
    from ..model.basis import Elements

SMALLEST_FORCE: Final = 1e-3 * EV
SMALLEST_STRESS: Final = 1e-3 / KCAL_PER_A3_IN_GPA
"""kcal/mol/Å and kcal/mol/Å³ (1 meV/Å, 1 MPa): labels below these are zero by symmetry and determine nothing."""


class Sums(NamedTuple):
    """Of labels of one kind: frames that have them, numbers, the sum of their squares and the largest in size."""

    frames: int = 0
    rows: int = 0
    squares: float = 0.0
    largest: float = 0.0

    @classmethod
    def of(cls, frames: int, values: NDArray[np.float64]) -> Sums:
        """Of the finite ones of some numbers."""
        finite = values[np.isfinite(values)]
        return cls(frames, len(finite), float(finite @ finite), float(np.abs(finite).max(initial=0.0)))

    def plus(self, other: Sums) -> Sums:
        """Of both."""
        sums = (self.frames + other.frames, self.rows + other.rows, self.squares + other.squares)
        return Sums(*sums, max(self.largest, other.largest))

    @property
    def rms(self) -> float:
        """Root mean square."""
        return float(np.sqrt(self.squares / self.rows))


@dataclass(frozen=True, eq=False)
class FrameLook:
    """What one look at n frames tells.

    Attributes
    ----------
    closest : dict from tuple of str to Contact
        By pair of elements, the closest contact; of a part of the frames, as far as it is closer than known ones.
    forces, stresses : Sums
        Of their components, in kcal/mol/Å and GPa.
    telling : dict from ElementSet to int
        By element set of frames, labels that can tell something: those that are not zero by symmetry.
    crystals, slabs, molecules : int
        Frames that repeat in three directions, in fewer, in none.
    thinnest : tuple of ndarray
        Å, distance of the nearest two faces of each cell of a repeating frame, in parts.
    isolated : IsolatedLook
        Which frames are an isolated atom.
    """

    closest: Contacts
    forces: Sums
    stresses: Sums
    telling: Mapping[ElementSet, int]
    crystals: int
    slabs: int
    molecules: int
    thinnest: tuple[NDArray[np.float64], ...]
    isolated: IsolatedLook


class Looked(NamedTuple):
    """Pairs that were counted in some frames of each element set, and the look at all frames."""

    counted: Mapping[Elements, PairCounts]
    all: FrameLook


def look_at_frames(frames: FrameSequence, executor: Executor | None) -> Looked:
    """Look at all frames, of which there is one at least; pairs are counted in some of each element set.

    Raises FrameError, or the TaskFailed of an executor, where a frame can't be looked at, naming it.
    """
    runner = InlineExecutor() if executor is None else executor
    sample = chunks_of(frames.take(sample_numbers(frames.facts, SAMPLE)))
    counted = runner.reduce(_count, added_counts, sample, label=frames_label, what="count pairs")
    chunks = chunks_of(frames)
    numbered = list(zip(np.cumsum([0, *map(len, chunks)]).tolist(), chunks, strict=False))
    known = {pair: own.closest for pair, own in counted.items()}
    look = runner.reduce(partial(_look, known=known), _joined, numbered, label=_label, what="look at frames")
    return Looked(counted, replace(look, closest=closest_of(known, look.closest)))


def informative(table: FrameTable) -> NDArray[np.int64]:
    """(n,) how many labels of each frame can tell something: those that are not zero by symmetry."""
    of_atoms = (np.abs(table.forces) > SMALLEST_FORCE).sum(axis=1)
    stresses = (np.abs(table.stresses) > SMALLEST_STRESS).sum(axis=1)
    telling: NDArray[np.int64] = np.add.reduceat(of_atoms, table.starts[:-1]) + stresses
    return telling + np.isfinite(table.energies)


def _label(item: tuple[int, FrameSequence]) -> str:
    return frames_label(item[1])


def _count(frames: FrameSequence) -> dict[Elements, PairCounts]:
    return count_pairs(frames.table())


def _look(item: tuple[int, FrameSequence], known: Contacts) -> FrameLook:
    start, frames = item
    table = frames.table()
    parts = list(by_elements(table))
    telling = informative(table)
    repeats = table.pbc.sum(axis=1)
    has_stress = np.isfinite(table.stresses).any(axis=1)
    closest = closest_contacts(table, parts, known)
    thinnest = thinnest_cells(table)
    return FrameLook(
        closest, Sums.of(int(table.has_forces.sum()), table.forces.ravel()),
        Sums.of(int(has_stress.sum()), KCAL_PER_A3_IN_GPA * table.stresses.ravel()),
        {elements: int(telling[members].sum()) for elements, members in parts},
        int((repeats == 3).sum()), int(((repeats > 0) & (repeats < 3)).sum()), int((repeats == 0).sum()),
        (thinnest[np.isfinite(thinnest)],), look_for_isolated(table, start),
    )  # fmt: skip


def _joined(one: FrameLook, other: FrameLook) -> FrameLook:
    sets = dict.fromkeys([*one.telling, *other.telling])
    return FrameLook(
        closest_of(one.closest, other.closest), one.forces.plus(other.forces), one.stresses.plus(other.stresses),
        {s: one.telling.get(s, 0) + other.telling.get(s, 0) for s in sets}, one.crystals + other.crystals,
        one.slabs + other.slabs, one.molecules + other.molecules, (*one.thinnest, *other.thinnest),
        one.isolated.plus(other.isolated),
    )  # fmt: skip
