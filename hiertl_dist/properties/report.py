"""What was computed of a crystal, as a table for people and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..text.display import Card, Shown, number_text, table_text
from .crystals import ElasticModuli, elastic_moduli

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from .crystals import EquationOfState
    from .phonons import Phonons

JOULES: Final = 16.02176634
"""J/m² of 1 eV/Å²."""

CUBIC_WITHIN: Final = 0.02
"""Of the largest elastic constant: closer to those of a cubic crystal, three of them are shown."""

SMALL: Final = 0.005
"""Of the largest elastic constant: smaller ones are not in the table for people."""


class PropertyRow(NamedTuple):
    """A line of the table."""

    what: str
    value: float
    unit: str


def index_text(index: tuple[int, int, int]) -> str:
    """Miller indices: ``110``, ``1,-1,0``."""
    return "".join(map(str, index)) if all(0 <= i < 10 for i in index) else ",".join(map(str, index))


def properties_card(found: Any) -> Card:
    """What a repr and a notebook show of the properties of a crystal: the first rows, and what failed."""
    rows = tuple((r.what, r.value, r.unit) for r in found.rows()[:10])
    facts = [("not computed", ", ".join(found.failed))] if found.failed else []
    return Card(f"CrystalProperties of {found.name}", tuple(facts), ("property", "value", "unit"), rows)


@dataclass(frozen=True, eq=False, repr=False)
class CrystalProperties(Shown, card=properties_card):
    """What :func:`~hiertl_dist.crystal_properties` found.

    Attributes
    ----------
    name, formula : str
        How the crystal is called, and its atoms.
    crystal : ase.Atoms or None
        The relaxed crystal.
    energy : float
        eV/atom.
    eos : EquationOfState or None
        Birch–Murnaghan's.
    elastic : ndarray of shape (6, 6) or None
        GPa, along the axes of the cell as it lies; Voigt's order xx yy zz yz xz xy.
    vacancies : Mapping from str to float
        eV, by element.
    surfaces : Mapping from tuple of int to float
        eV/Å² by Miller indices of the cell.
    phonons : Phonons or None
        Bands and density of states.
    failed : Mapping from str to str
        What was asked for and could not be computed, and why.
    out_of_range : Mapping from str to Mapping from str to int
        By property the number of calculations with atoms at distances that no block was fitted on, by pair and side.
    notes : tuple of str
        What was left out, and what is to be known of the numbers.
    """

    name: str
    formula: str
    crystal: Any
    energy: float
    eos: EquationOfState | None
    elastic: NDArray[np.float64] | None
    vacancies: Mapping[str, float]
    surfaces: Mapping[tuple[int, int, int], float]
    phonons: Phonons | None
    failed: Mapping[str, str]
    out_of_range: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...]

    @property
    def moduli(self) -> ElasticModuli | None:
        """Of the elastic constants, if there are some."""
        return None if self.elastic is None else elastic_moduli(self.elastic)

    def rows(self) -> list[PropertyRow]:
        """The table for people.

        Returns
        -------
        list of PropertyRow
            In the order of computing.
        """
        return [*self._crystal_rows(), *self._elastic_rows(), *self._defect_rows(), *self._phonon_rows()]

    def _crystal_rows(self) -> Iterator[PropertyRow]:
        if self.crystal is not None:
            yield PropertyRow("volume", self.crystal.cell.volume / len(self.crystal), "Å³/atom")
            yield PropertyRow("energy", self.energy, "eV/atom")
        if self.eos is not None:
            yield PropertyRow("bulk modulus (equation of state)", self.eos.bulk_modulus, "GPa")
            yield PropertyRow("its derivative by pressure", self.eos.pressure_derivative, "")

    def _elastic_rows(self) -> Iterator[PropertyRow]:
        if self.elastic is None or self.moduli is None:
            return
        for name, value in _shown_constants(self.elastic):
            yield PropertyRow(name, value, "GPa")
        yield PropertyRow("lowest eigenvalue of C", self.moduli.softest, "GPa")
        for name, value in zip(("bulk", "shear", "Young's"), self.moduli[:3], strict=True):
            yield PropertyRow(f"{name} modulus (Hill)", value, "GPa")
        yield PropertyRow("Poisson's ratio (Hill)", self.moduli.poisson, "")

    def _defect_rows(self) -> Iterator[PropertyRow]:
        for element, energy in self.vacancies.items():
            yield PropertyRow(f"vacancy of {element}", energy, "eV")
        for index, energy in self.surfaces.items():
            yield PropertyRow(f"surface {index_text(index)}", JOULES * energy, "J/m²")

    def _phonon_rows(self) -> Iterator[PropertyRow]:
        if self.phonons is not None:
            yield PropertyRow("highest phonon", self.phonons.highest, "THz")
            yield PropertyRow("lowest phonon (imaginary: below 0)", self.phonons.lowest, "THz")

    def text(self) -> str:
        """For people: a table with units, what is out of range, what could not be computed, notes.

        Returns
        -------
        str
            Several lines.
        """
        head = f"{self.name}, {self.formula}"
        if self.crystal is not None:
            lengths, angles = self.crystal.cell.lengths(), self.crystal.cell.angles()
            head += f": {' '.join(f'{x:.4f}' for x in lengths)} Å, {' '.join(f'{x:.2f}' for x in angles)}°"
        lines = [head]
        if rows := self.rows():
            lines.append(
                table_text(["property", "value", "unit"], [[r.what, number_text(r.value), r.unit] for r in rows])
            )
        for name, counts in self.out_of_range.items():
            listed = ", ".join(f"{pair} in {n}" for pair, n in counts.items())
            lines.append(f"WARNING: {name}: calculations with distances that no block was fitted on: {listed}")
        lines += [f"NOT COMPUTED: {name}: {reason}" for name, reason in self.failed.items()]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def as_dict(self) -> dict[str, Any]:
        """For JSON: units stand in the names of keys; null is what was not computed.

        Returns
        -------
        dict from str to object
            Cell, equation of state, elastic constants, vacancies, surfaces, phonons, what failed and why.
        """
        crystal, eos, modes = self.crystal, self.eos, self.phonons
        return {
            "name": self.name,
            "formula": self.formula,
            "cell_A": None if crystal is None else crystal.cell[:].tolist(),
            "volume_A3_per_atom": None if crystal is None else float(crystal.cell.volume / len(crystal)),
            "energy_eV_per_atom": None if crystal is None else self.energy,
            "eos": None if eos is None else {
                "volume_A3_per_atom": eos.volume, "energy_eV_per_atom": eos.energy,
                "bulk_modulus_GPa": eos.bulk_modulus,
                "pressure_derivative": eos.pressure_derivative, "largest_error_eV_per_atom": eos.error,
                "volumes_A3_per_atom": eos.volumes.tolist(), "energies_eV_per_atom": eos.energies.tolist(),
            },
            "elastic_constants_GPa": None if self.elastic is None else self.elastic.tolist(),
            "moduli": None if self.moduli is None else {
                name if name == "poisson" else f"{name}_GPa": None if np.isnan(value) else value
                for name, value in self.moduli._asdict().items()
            },
            "vacancies_eV": dict(self.vacancies),
            "surfaces_J_per_m2": {index_text(index): JOULES * e for index, e in self.surfaces.items()},
            "phonons": None if modes is None else {
                "path": modes.path, "labels": [list(one) for one in modes.labels],
                "distances_per_A": modes.distances.tolist(), "bands_THz": modes.bands.tolist(),
                "dos_frequencies_THz": modes.dos_frequencies.tolist(), "dos_per_THz": modes.dos.tolist(),
                "lowest_THz": modes.lowest, "lowest_at": list(modes.lowest_at), "imaginary": modes.imaginary,
                "supercell": list(modes.repeated), "atoms": modes.atoms, "cells": modes.cells,
            },
            "not_computed": dict(self.failed),
            "out_of_range": {name: dict(counts) for name, counts in self.out_of_range.items()},
            "notes": list(self.notes),
        }  # fmt: skip


def _shown_constants(constants: NDArray[np.float64]) -> Iterator[tuple[str, float]]:
    """Three of a cubic crystal; otherwise those that are not small."""
    largest = float(np.abs(constants).max())
    diagonal, mixed = np.diag(constants), constants[[0, 0, 1], [1, 2, 2]]
    means = (float(diagonal[:3].mean()), float(mixed.mean()), float(diagonal[3:].mean()))
    cubic = np.diag(np.repeat([means[0], means[2]], 3))
    cubic[:3, :3] += means[1] * (1.0 - np.eye(3))
    if np.abs(constants - cubic).max() < CUBIC_WITHIN * largest:
        yield from zip(("C11", "C12", "C44"), means, strict=True)
        return
    for i in range(6):
        for j in range(i, 6):
            if abs(constants[i, j]) >= SMALL * largest:
                yield f"C{i + 1}{j + 1}", float(constants[i, j])
