"""What a row of a design matrix is: its kind, the order of rows in a frame, and how rows are grouped.

The order is fixed: forces atom by atom (x y z), then the stress components (xx yy zz xy xz yz) that
the frame has, then one energy row. Rows carry no weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from .type_names import elements_of_composition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .frame import Frame

STRESS_COMPONENTS: Final = ("xx", "yy", "zz", "xy", "xz", "yz")
STRESS_AXES: Final = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))

KINDS: Final = ("force", "stress", "energy")
"""The kinds of rows that a person names."""

SUMMARY_KINDS: Final = ("force", "stress_diagonal", "stress_off_diagonal", "energy")
"""The kinds that keep a summary of their own: chimes_lsq counts off-diagonal stresses twice, so they
must be separable after the pass. The index into this tuple is the code stored with each row."""


POOLED: Final = "(pooled)"
"""The source of rows of all frames whose groups share a summary: see :mod:`hiertl_dist.frames.pooling`."""


class Row(NamedTuple):
    """Label of one row: ``(frame, kind, atom or -1, component)``."""

    frame: int
    kind: str
    atom: int
    component: int


class Group(NamedTuple):
    """A named subset of rows that keeps its own summary: data source × row kind.

    The source is a frame's group, or :data:`POOLED` for all whose groups nothing distinguishes.
    A summary store keeps more apart. Then ``composition`` is that of the frames (``C75N25``), ``fold`` the part of the
    data for cross-validation that they belong to, and, for energy rows, ``atoms`` the number of atoms of each frame, by
    which errors per atom are exact. Where rows have weights of their own, ``weighed`` are the same rows multiplied by
    them, those of weight 0 left out.
    """

    source: str
    kind: str
    composition: str = ""
    fold: int = -1
    atoms: int = 0
    weighed: bool = False

    @property
    def plain(self) -> Group:
        """The group of the same rows as they are, without weights of their own."""
        return self._replace(weighed=False)

    def as_list(self) -> list[str | int | bool]:
        """As JSON has it; what it was before there were weights of rows, where there are none."""
        return list(self) if self.weighed else list(self[:5])

    @property
    def name(self) -> str:
        """Source and kind, ``C/energy``."""
        return f"{self.source}/{self.kind}"

    @property
    def elements(self) -> frozenset[str]:
        """The elements of its frames; empty where compositions are not kept apart."""
        return elements_of_composition(self.composition)


@dataclass(frozen=True)
class Objective:
    """How often each kind of row counts before the user's weights.

    ``lsq`` is chimes_lsq's counting: it writes nine stress rows (off-diagonal ones twice) and the
    energy row three times. ``plain`` counts every row once.
    """

    name: str
    counts: tuple[int, int, int, int]

    def count(self, kind: str) -> int:
        """How often a row of this kind counts."""
        return self.counts[SUMMARY_KINDS.index(kind)]


OBJECTIVES: Final = {
    "lsq": Objective("lsq", (1, 1, 2, 3)),
    "plain": Objective("plain", (1, 1, 1, 1)),
}


def person_kind(summary_kind: str) -> str:
    """The kind that a person names for a kind of :data:`SUMMARY_KINDS`."""
    return "stress" if summary_kind.startswith("stress") else summary_kind


def frame_rows(frame: Frame) -> tuple[bool, NDArray[np.intp], bool]:
    """Which rows a frame has: forces or not, the stress components, energy or not."""
    stress = np.flatnonzero(np.isfinite(frame.stress)) if frame.stress is not None else np.empty(0, np.intp)
    return frame.forces is not None, stress, frame.energy is not None


def n_rows(frame: Frame) -> int:
    """Number of rows of one frame."""
    forces, stress, energy = frame_rows(frame)
    return 3 * len(frame) * forces + len(stress) + energy


def row_labels(frame: Frame, index: int) -> list[Row]:
    """Labels of one frame's rows, ``index`` being its number in the data set."""
    forces, stress, energy = frame_rows(frame)
    labels = [Row(index, "force", a, c) for a in range(len(frame)) for c in range(3)] if forces else []
    labels += [Row(index, "stress", -1, int(c)) for c in stress]
    if energy:
        labels.append(Row(index, "energy", -1, 0))
    return labels


def row_targets(frame: Frame) -> NDArray[np.float64]:
    """Labels of one frame in row order, (rows,): kcal/mol/Å, kcal/mol/Å³, kcal/mol."""
    forces, stress, energy = frame_rows(frame)
    parts: list[NDArray[np.float64]] = []
    if forces:
        assert frame.forces is not None
        parts.append(frame.forces.ravel())
    if len(stress):
        assert frame.stress is not None
        parts.append(frame.stress[stress])
    if energy:
        assert frame.energy is not None
        parts.append(np.array([frame.energy]))
    return np.concatenate(parts) if parts else np.empty(0)


def select_rows(
    frame: Frame, forces: NDArray[np.float64], stress: NDArray[np.float64], energy: float
) -> NDArray[np.float64]:
    """Put predictions (n,3), (6,), scalar into the row order of ``frame``, dropping what it has no label for."""
    has_forces, components, has_energy = frame_rows(frame)
    parts = [forces.ravel()] if has_forces else []
    if len(components):
        parts.append(stress[components])
    if has_energy:
        parts.append(np.array([energy]))
    return np.concatenate(parts) if parts else np.empty(0)


def kind_codes(frame: Frame) -> NDArray[np.int8]:
    """Code of each row's kind, an index into :data:`SUMMARY_KINDS`, in row order, (rows,)."""
    forces, stress, energy = frame_rows(frame)
    codes = [0] * (3 * len(frame) * forces) + [1 if c < 3 else 2 for c in stress] + [3] * energy
    return np.array(codes, np.int8)


def kind_counts(frame: Frame) -> tuple[int, int, int, int]:
    """Number of rows of each of :data:`SUMMARY_KINDS`."""
    forces, stress, energy = frame_rows(frame)
    diagonal = int(np.count_nonzero(stress < 3))
    return 3 * len(frame) * forces, diagonal, len(stress) - diagonal, int(energy)


def atom_numbers(frame: Frame) -> NDArray[np.int32]:
    """Atom of each row, −1 for stress and energy rows, in row order, (rows,)."""
    forces, stress, energy = frame_rows(frame)
    atoms = np.repeat(np.arange(len(frame)), 3) if forces else np.empty(0, np.int64)
    return np.concatenate([atoms, np.full(len(stress) + energy, -1)]).astype(np.int32)


def summary_group_counts(frames: Sequence[Frame]) -> dict[Group, int]:
    """Number of rows per group, groups in order of first appearance."""
    counts: dict[Group, int] = {}
    for frame in frames:
        for code, number in zip(*np.unique(kind_codes(frame), return_counts=True), strict=True):
            group = Group(frame.group, SUMMARY_KINDS[int(code)])
            counts[group] = counts.get(group, 0) + int(number)
    return counts
