"""Isolated atoms in a data set: frames of one atom whose labels are the energies of free atoms.

Data sets carry them by custom, as frames whose ``config_type`` is ``isolated_atom`` (QUIP, GAP) or ``IsolatedAtom``
(MACE). Held fast, their energies give the exact limit of atoms that are far apart (Batatia et al., arXiv:2205.06643).
What counts is the geometry and not the name, for a crystal of one atom a cell is a frame of one atom too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..units import EV
from .distances import REACH, near_distances

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ..frames.frame_table import FrameTable

SAME: Final = 1e-3 * EV
"""kcal/mol: energies of one element's isolated atoms that differ by less are the same (1 meV)."""

NAMED: Final = re.compile(r"(isolated|free)[-_ ]?atom", re.I)
"""Groups that are called isolated atoms."""

NAMED_FRAMES: Final = 5
"""How many frames a note names."""


@dataclass(frozen=True)
class IsolatedAtom:
    """A frame of one atom, far from any other and from its own images.

    They are not within :data:`~hiertl_dist.suggestion.distances.REACH`.

    Attributes
    ----------
    element : str
        Its symbol.
    energy : float
        Its label, kcal/mol.
    origin : str
        Where the frame is from.
    """

    element: str
    energy: float
    origin: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON; energy in kcal/mol."""
        return {"element": self.element, "energy": self.energy, "origin": self.origin}


class Origins(NamedTuple):
    """Where some frames are from: how many they are, and the first of them."""

    number: int = 0
    first: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: Sequence[str]) -> Origins:
        """All of some."""
        return cls(len(texts), tuple(texts[:NAMED_FRAMES]))

    def plus(self, later: Origins) -> Origins:
        """These, and then others."""
        return Origins(self.number + later.number, (self.first + later.first)[:NAMED_FRAMES])

    def __str__(self) -> str:
        return "; ".join(self.first) + " …" * (self.number > len(self.first))


@dataclass(frozen=True, eq=False)
class IsolatedLook:
    """The isolated atoms among some frames.

    Attributes
    ----------
    atoms : tuple of IsolatedAtom
        Those that have an energy.
    numbers : tuple of ndarray of int
        Numbers of the frames that are isolated atoms, with an energy or without, in parts.
    bare : Origins
        Those without.
    crowded : Origins
        Frames that are called isolated atoms and are none.
    """

    atoms: tuple[IsolatedAtom, ...]
    numbers: tuple[NDArray[np.int64], ...]
    bare: Origins
    crowded: Origins

    def plus(self, later: IsolatedLook) -> IsolatedLook:
        """Of these frames, and then of others."""
        return IsolatedLook(
            self.atoms + later.atoms, self.numbers + later.numbers, self.bare.plus(later.bare),
            self.crowded.plus(later.crowded),
        )  # fmt: skip

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not taken for an isolated atom with an energy."""
        return tuple(
            f"{origins.number} frames{why}: {origins}"
            for origins, why in (
                (self.bare, " are isolated atoms without an energy"),
                (self.crowded, f" are called isolated atoms, but have neighbours or images within {REACH:g} Å, and are "
                               "not taken for such"),
            ) if origins.number
        )  # fmt: skip


def look_for_isolated(table: FrameTable, start: int) -> IsolatedLook:
    """The isolated atoms among some frames, of which the first has a number.

    An isolated atom is a frame of one atom that meets no other, nor an image of itself, within the reach.
    """
    single = np.flatnonzero(table.n_atoms == 1).tolist()
    alone = np.array([i for i in single if not near_distances(table.frame(i), REACH)], np.int64)
    lacking = np.isnan(table.energies)
    named = np.array([NAMED.search(name) is not None for name in table.group_names], np.bool_)[table.groups]
    named[alone] = False
    atoms = [
        IsolatedAtom(table.names[table.types[table.starts[i]]], float(table.energies[i]), table.origin(i))
        for i in alone[~lacking[alone]].tolist()
    ]
    crowded = [
        f"{table.origin(i)} (group {table.group_names[table.groups[i]]}, {table.n_atoms[i]} atoms)"
        for i in np.flatnonzero(named).tolist()
    ]
    bare = [table.origin(i) for i in alone[lacking[alone]].tolist()]
    return IsolatedLook(tuple(atoms), (alone + start,) if len(alone) else (), Origins.of(bare), Origins.of(crowded))


def agreed_energies(atoms: Sequence[IsolatedAtom]) -> dict[str, float]:
    """kcal/mol by element; elements whose isolated atoms differ are left out, for nobody says which one is meant."""
    return {e: own[0].energy for e, own in _by_element(atoms).items() if not _differ(own)}


def disagreements(atoms: Sequence[IsolatedAtom], unit: str, one: float) -> tuple[str, ...]:
    """A sentence for each element whose isolated atoms have different energies, in units of ``one`` kcal/mol."""
    return tuple(
        f"{len(own)} isolated atoms of {e} have different energies: "
        + "; ".join(f"{a.energy / one:.10g} {unit} ({a.origin})" for a in own[:5]) + " …" * (len(own) > 5)
        + ": which one is meant is not guessed"
        for e, own in _by_element(atoms).items() if _differ(own)
    )  # fmt: skip


def _by_element(atoms: Iterable[IsolatedAtom]) -> dict[str, list[IsolatedAtom]]:
    by_element: dict[str, list[IsolatedAtom]] = defaultdict(list)
    for atom in atoms:
        by_element[atom.element].append(atom)
    return by_element


def _differ(own: Sequence[IsolatedAtom]) -> bool:
    energies = [a.energy for a in own]
    return max(energies) - min(energies) > SAME
