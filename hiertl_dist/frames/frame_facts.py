"""``FrameFacts``: what is known of many frames without their atoms, some twenty bytes for each.

Who plans, shares out, chooses and counts frames asks these, and makes or reads no frame for it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from .element_set import ElementSet
from .rows import SUMMARY_KINDS, Group
from .type_names import composition_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from .frame import Frame

ENERGY: Final = 1
FORCES: Final = 2
"""Bits of ``FrameFacts.labels``; bit 2 + k is set where the stress has component k."""

STRESS: Final = 4

ALL_STRESSES: Final = sum(STRESS << c for c in range(6))


class Formula(NamedTuple):
    """How many atoms of each type a frame has, the types in the order of their names: ``(("C", 24), ("N", 8))``."""

    counts: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, species: Iterable[str]) -> Formula:
        """That of the types of some atoms."""
        return cls(tuple(sorted(Counter(species).items())))

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return sum(n for _, n in self.counts)

    @property
    def element_set(self) -> ElementSet:
        """The set of types that occur."""
        return ElementSet.of(name for name, _ in self.counts)

    @property
    def composition(self) -> str:
        """Atomic percentages, as ``Frame.composition``."""
        atoms = self.n_atoms
        return composition_name({name: round(100 * n / atoms) for name, n in self.counts})


class Formulas(tuple[Formula, ...]):
    """Formulas with what frames ask of them, found once for all parts of a data set that share them."""

    @cached_property
    def set_names(self) -> tuple[ElementSet, ...]:
        """The sets of elements, each once."""
        return tuple(dict.fromkeys(f.element_set for f in self))

    @cached_property
    def sets(self) -> NDArray[np.int32]:
        """Of each formula, an index into ``set_names``."""
        number = {s: i for i, s in enumerate(self.set_names)}
        return np.array([number[f.element_set] for f in self], np.int32)

    @cached_property
    def n_atoms(self) -> NDArray[np.int32]:
        """Atoms of each formula."""
        return np.array([f.n_atoms for f in self], np.int32)

    @cached_property
    def compositions(self) -> tuple[str, ...]:
        """The composition of each formula."""
        return tuple(f.composition for f in self)


def counts_in(formulas: Sequence[Formula], elements: Sequence[str]) -> NDArray[np.float64]:
    """(formulas, elements) atoms of each type in each formula."""
    table = [[dict(f.counts).get(e, 0) for e in elements] for f in formulas]
    return np.array(table, np.float64).reshape(len(formulas), len(elements))


_BITS: Final = np.arange(256)[:, np.newaxis] >> np.arange(8) & 1
_ROWS: Final = np.stack(
    [np.zeros(256, np.int64), _BITS[:, 2:5].sum(axis=1), _BITS[:, 5:8].sum(axis=1), _BITS[:, 0]], axis=1
)
"""(256, 4) rows but for those of forces, by the bits of labels and by kind."""


@dataclass(frozen=True, eq=False)
class FrameFacts:
    """Facts of n frames; texts stand once, and frames have their numbers.

    Attributes
    ----------
    formulas : Formulas
        Those that occur, and perhaps others.
    formula : ndarray of int32, shape (n,)
        Of each frame, an index into ``formulas``.
    group_names : tuple of str
        Names of groups that occur, and perhaps others.
    group : ndarray of int32, shape (n,)
        Of each frame, an index into ``group_names``.
    labels : ndarray of uint8, shape (n,)
        Which labels there are: bit 0 an energy, bit 1 forces, bits 2 to 7 stress components xx yy zz xy xz yz.
    energies : ndarray of shape (n,)
        kcal/mol, NaN of a frame without.
    """

    formulas: Formulas
    formula: NDArray[np.int32]
    group_names: tuple[str, ...]
    group: NDArray[np.int32]
    labels: NDArray[np.uint8]
    energies: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.formula)

    @property
    def nbytes(self) -> int:
        """Bytes of the columns."""
        return self.formula.nbytes + self.group.nbytes + self.labels.nbytes + self.energies.nbytes

    def take(self, indices: NDArray[np.integer] | slice) -> FrameFacts:
        """The facts of some of the frames."""
        return replace(
            self, formula=self.formula[indices], group=self.group[indices], labels=self.labels[indices],
            energies=self.energies[indices],
        )  # fmt: skip

    @property
    def set_names(self) -> tuple[ElementSet, ...]:
        """The sets of elements of ``formulas``, each once."""
        return self.formulas.set_names

    @property
    def sets(self) -> NDArray[np.int32]:
        """(n,) of each frame, an index into ``set_names``."""
        return self.formulas.sets[self.formula]

    @property
    def n_atoms(self) -> NDArray[np.int32]:
        """(n,) atoms of each frame."""
        return self.formulas.n_atoms[self.formula]

    @property
    def has_energy(self) -> NDArray[np.bool_]:
        """(n,) which frames have an energy."""
        has: NDArray[np.bool_] = (self.labels & ENERGY) != 0
        return has

    @property
    def has_forces(self) -> NDArray[np.bool_]:
        """(n,) which frames have forces."""
        has: NDArray[np.bool_] = (self.labels & FORCES) != 0
        return has

    @property
    def rows_of_kinds(self) -> NDArray[np.int64]:
        """(n, 4) rows of each frame by :data:`~hiertl_dist.frames.rows.SUMMARY_KINDS`."""
        rows = _ROWS[self.labels]
        rows[:, 0] = 3 * np.where(self.has_forces, self.n_atoms, 0)
        return rows

    @property
    def n_rows(self) -> NDArray[np.int64]:
        """(n,) rows of each frame: its labels as numbers."""
        n: NDArray[np.int64] = _ROWS.sum(axis=1)[self.labels] + 3 * np.where(self.has_forces, self.n_atoms, 0)
        return n

    def element_sets(self, chosen: NDArray[np.bool_] | None = None) -> set[ElementSet]:
        """The sets of elements that occur in these frames, or in some of them."""
        codes = self.sets if chosen is None else self.sets[chosen]
        return {self.set_names[c] for c in np.unique(codes).tolist()}

    def groups(self, chosen: NDArray[np.bool_] | None = None) -> list[str]:
        """The groups that occur in these frames, or in some of them, in order of first appearance."""
        codes = self.group if chosen is None else self.group[chosen]
        present, first = np.unique(codes, return_index=True)
        return [self.group_names[c] for c in present[np.argsort(first)].tolist()]

    def of_sets(self, sets: Collection[str]) -> NDArray[np.bool_]:
        """(n,) which frames have exactly the elements of one of some sets."""
        wanted = np.array([s in sets for s in self.set_names], np.bool_)
        return wanted[self.sets]

    def elements(self, chosen: NDArray[np.bool_] | None = None) -> tuple[str, ...]:
        """Every type of atoms that occurs in these frames, or in some of them, sorted."""
        return tuple(sorted(ElementSet.union(self.element_sets(chosen)).elements))

    def counts(self, elements: Sequence[str]) -> NDArray[np.float64]:
        """(n, elements) atoms of each type in each frame."""
        return counts_in(self.formulas, elements)[self.formula]

    def mean_energies(self) -> tuple[tuple[Formula, ...], NDArray[np.int64], NDArray[np.float64]]:
        """Energies by formula.

        Returns
        -------
        formulas : tuple of Formula
            Those of frames with an energy, sorted.
        frames : ndarray of int, shape (formulas,)
            How many frames with an energy have each.
        means : ndarray of shape (formulas,)
            Mean energy of these, kcal/mol.
        """
        labelled = self.has_energy
        number = np.bincount(self.formula[labelled], minlength=len(self.formulas))
        total = np.bincount(self.formula[labelled], self.energies[labelled], len(self.formulas))
        present = sorted(np.flatnonzero(number).tolist(), key=lambda i: self.formulas[i])
        formulas = tuple(self.formulas[i] for i in present)
        return formulas, number[present], total[present] / number[present]

    def group_counts(self) -> dict[Group, int]:
        """Number of rows of each group of sources and kinds."""
        counts: dict[Group, int] = {}
        rows = self.rows_of_kinds
        for k, kind in enumerate(SUMMARY_KINDS):
            numbers = np.bincount(self.group, weights=rows[:, k], minlength=len(self.group_names))
            counts |= {Group(name, kind): int(n) for name, n in zip(self.group_names, numbers, strict=True) if n}
        return counts

    @property
    def compositions(self) -> tuple[str, ...]:
        """The composition of each of ``formulas``."""
        return self.formulas.compositions


def joined_facts(parts: Sequence[FrameFacts]) -> FrameFacts:
    """The facts of the frames of all parts, one after the other."""
    formulas: dict[Formula, int] = {}
    groups: dict[str, int] = {}
    formula, group = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    for part in parts:
        formula.append(np.array([formulas.setdefault(f, len(formulas)) for f in part.formulas], np.int32)[part.formula])
        group.append(np.array([groups.setdefault(g, len(groups)) for g in part.group_names], np.int32)[part.group])
    return FrameFacts(
        Formulas(formulas), np.concatenate(formula), tuple(groups), np.concatenate(group),
        np.concatenate([np.empty(0, np.uint8), *(p.labels for p in parts)]),
        np.concatenate([np.empty(0), *(p.energies for p in parts)]),
    )  # fmt: skip


def label_bits(frame: Frame) -> int:
    """What :attr:`FrameFacts.labels` has of a frame."""
    bits = ENERGY * (frame.energy is not None) + FORCES * (frame.forces is not None)
    if frame.stress is not None:
        components = frame.stress.tolist()
        # most have all: asking numpy for which takes longer than all else
        bits += ALL_STRESSES if math.isfinite(sum(components)) else sum(
            STRESS << c for c, value in enumerate(components) if math.isfinite(value)
        )  # fmt: skip
    return int(bits)


def facts_of(frames: Sequence[Frame]) -> FrameFacts:
    """The facts of some frames."""
    formulas: dict[Formula, int] = {}
    known: dict[tuple[str, ...], int] = {}
    groups: dict[str, int] = {}
    formula = np.empty(len(frames), np.int32)
    group = np.empty(len(frames), np.int32)
    labels = np.empty(len(frames), np.uint8)
    energies = np.full(len(frames), np.nan)
    species: tuple[str, ...] = ()
    number = -1
    for i, frame in enumerate(frames):
        if frame.species is not species:  # frames of a trajectory mostly have one tuple, whose hash takes a while
            species = frame.species
            if species not in known:
                known[species] = formulas.setdefault(Formula.of(species), len(formulas))
            number = known[species]
        formula[i] = number
        group[i] = groups.setdefault(frame.group, len(groups))
        labels[i] = label_bits(frame)
        if frame.energy is not None:
            energies[i] = frame.energy
    return FrameFacts(Formulas(formulas), formula, tuple(groups), group, labels, energies)
