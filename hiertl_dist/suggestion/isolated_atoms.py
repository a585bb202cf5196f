"""Isolated atoms in a data set: frames of one atom whose labels are the energies of free atoms.

Data sets carry them by custom, as frames whose ``config_type`` is ``isolated_atom`` (QUIP, GAP) or ``IsolatedAtom``
(MACE). Held fast, their energies give the exact limit of atoms that are far apart (Batatia et al., arXiv:2205.06643).
What counts is the geometry and not the name, for a crystal of one atom a cell is a frame of one atom too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..units import EV
from .distances import REACH, near_distances

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..frames.frame import Frame

SAME: Final = 1e-3 * EV
"""kcal/mol: energies of one element's isolated atoms that differ by less are the same (1 meV)."""

NAMED: Final = re.compile(r"(isolated|free)[-_ ]?atom", re.I)
"""Groups that are called isolated atoms."""


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


def is_isolated(frame: Frame) -> bool:
    """Whether a frame is one atom that meets no other, nor an image of itself, within the reach."""
    return len(frame) == 1 and not near_distances(frame, REACH)


def isolated_atoms(frames: Iterable[Frame]) -> tuple[tuple[IsolatedAtom, ...], tuple[str, ...]]:
    """The isolated atoms of a data set that have an energy, elements sorted, and what is to be said of others.

    Raises
    ------
    FrameError
        A cell without volume, naming the frame.
    """
    atoms: list[IsolatedAtom] = []
    bare: list[str] = []
    crowded: list[str] = []
    for frame in frames:
        if is_isolated(frame):
            if frame.energy is None:
                bare.append(frame.origin)
            else:
                atoms.append(IsolatedAtom(frame.species[0], frame.energy, frame.origin))
        elif NAMED.search(frame.group):
            crowded.append(f"{frame.origin} (group {frame.group}, {len(frame)} atoms)")
    notes = [
        f"{len(origins)} frames{why}: {'; '.join(origins[:5])}{' …' * (len(origins) > 5)}"
        for origins, why in (
            (bare, " are isolated atoms without an energy"),
            (crowded, f" are called isolated atoms, but have neighbours or images within {REACH:g} Å, and are not "
                      "taken for such"),
        ) if origins
    ]  # fmt: skip
    return tuple(sorted(atoms, key=lambda a: a.element)), tuple(notes)


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
