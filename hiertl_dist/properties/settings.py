"""Which properties of crystals are computed, and in cells of what size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ..errors import InputError
from ..text.display import Shown

PROPERTIES: Final = ("eos", "elastic", "vacancy", "surface", "phonons")
"""Equation of state, elastic constants, vacancy and surface energies, phonons; in the order of computing."""

NEEDS_PHONOPY: Final = 'phonons need phonopy: pip install "hiertl-dist[phonons]"'


@dataclass(frozen=True, repr=False)
class PropertySettings(Shown):
    """What :func:`~hiertl_dist.crystal_properties` computes.

    Attributes
    ----------
    properties : tuple of str or None
        Some of ``"eos"``, ``"elastic"``, ``"vacancy"``, ``"surface"`` and ``"phonons"``; ``None``: all, but vacancies
        of crystals of one element alone, and phonons where phonopy is installed.
    surfaces : tuple of tuple of int
        Miller indices; none: 100, 110 and 111 of a cubic cell, 100, 010 and 001 of another.
    vacancy_length : float
        Å, how far faces of the cell with a vacancy are apart at least.
    thickness : float
        Å, of slabs at least.
    vacuum : float
        Å, on either side of a slab.
    strain : float
        Of the deformations that give elastic constants.
    phonon_length : float or None
        Å, how far faces of the supercell of phonons are apart at least; ``None``: twice the largest outer cutoff of a
        :class:`~hiertl_dist.Calculator`'s model, 12 of other calculators.
    displacement : float
        Å, by which atoms are moved there.
    mesh : float
        Å, of the q points of the density of states: 2π over this is about their distance.

    Raises
    ------
    InputError
        A property that there is not, or a number that can't be.
    """

    properties: tuple[str, ...] | None = None
    surfaces: tuple[tuple[int, int, int], ...] = ()
    vacancy_length: float = 10.0
    thickness: float = 12.0
    vacuum: float = 10.0
    strain: float = 2e-3
    phonon_length: float | None = None
    displacement: float = 0.01
    mesh: float = 40.0

    def __post_init__(self) -> None:
        chosen = PROPERTIES if self.properties is None else self.properties
        unknown = [p for p in chosen if p not in PROPERTIES]
        if unknown or not chosen:
            found = ", ".join(map(str, unknown)) or "none"
            raise InputError(f"properties: expected some of {', '.join(PROPERTIES)}, found {found}")
        for name in ("vacancy_length", "thickness", "vacuum", "strain", "displacement", "mesh"):
            _require_positive(name, getattr(self, name))
        if self.phonon_length is not None:
            _require_positive("phonon_length", self.phonon_length)
        for index in self.surfaces:
            if len(index) != 3 or not any(index):
                raise InputError(f"surface: expected three Miller indices that are not all zero, found {index}")


def _require_positive(name: str, value: Any) -> None:
    number = isinstance(value, float | int) and not isinstance(value, bool)
    if not (number and 0.0 < value < float("inf")):
        raise InputError(f"{name}: expected a number above 0, found {value!r}")
