"""Crystals to begin with: a lattice and its elements, at the volume that a model gives them; frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..errors import HiertlError, InputError
from ..model.walls import known_contacts
from ..probes.lattice_volumes import FARTHEST_SHARE, minima_of
from ..stability.lattices import energy_of, nearest_allowed
from ..text.words import finite_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..evaluation.energies import Model
    from ..frames.frame import Frame

CUBIC: Final = ("sc", "fcc", "bcc", "diamond", "zincblende", "rocksalt", "cesiumchloride", "fluorite")
LATTICES: Final = (*CUBIC, "hcp", "wurtzite")
"""Those of ``ase.build.bulk`` that one length settles; cubic ones as their cubic cells."""

POINTS: Final = 60
"""Lattice constants that are looked at."""

FARTHEST: Final = 1.8
"""Times the closest contact that is known: up to there neighbours of a crystal are looked for."""


class NamedCrystal(NamedTuple):
    """A crystal as it is named on the command line: ``rocksalt:NaCl:5.6``.

    Attributes
    ----------
    lattice, formula : str
        One of :data:`LATTICES`, and what ``ase.build.bulk`` puts there.
    constant : float or None
        Å, the lattice constant a to begin with; ``None``: that of a minimum of the model's energy.
    """

    lattice: str
    formula: str
    constant: float | None

    @property
    def name(self) -> str:
        """Lattice and formula, as they were given."""
        return f"{self.lattice}:{self.formula}"


def named_crystal(text: str) -> NamedCrystal:
    """What ``LATTICE:FORMULA`` or ``LATTICE:FORMULA:A`` names. Raises InputError for other texts."""
    lattice, _, rest = text.partition(":")
    formula, _, number = rest.partition(":")
    constant = finite_number(number) if number else None
    if lattice not in LATTICES or not formula or (number and (constant is None or constant <= 0.0)):
        raise InputError(
            f"structure: expected LATTICE:FORMULA such as bcc:W, or with a lattice constant in Å, bcc:W:3.17, with one "
            f"of the lattices {', '.join(LATTICES)}; found {text!r}"
        )
    return NamedCrystal(lattice, formula, constant)


def built_crystal(asked: NamedCrystal, constant: float) -> Any:
    """The crystal (ase.Atoms) with a lattice constant in Å. Raises InputError where ASE makes none of this formula."""
    from ase.build import bulk

    try:
        made = bulk(asked.formula, asked.lattice, a=constant, cubic=asked.lattice in CUBIC)
    except (ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"structure {asked.name}: ASE makes no such crystal: {error!r}") from error
    made.set_initial_magnetic_moments(None)
    return made


def starting_crystal(asked: NamedCrystal, model: Model) -> tuple[Any, list[str]]:
    """A crystal to begin a relaxation with.

    Where no lattice constant is given, the one of the densest minimum of the model's energy between the closest known
    contacts and 1.8 times these (or, where none are known, 0.8 of the outer cutoff): models whose data hold no thin
    matter often have lower ones at densities that they know nothing of.

    Parameters
    ----------
    asked : NamedCrystal
        Lattice and elements.
    model : Model
        Of these elements.

    Returns
    -------
    atoms : ase.Atoms
        Without a calculator.
    notes : list of str
        What was taken, and what was passed over.

    Raises
    ------
    InputError
        There is no such crystal, the model has no such elements, or no minimum.
    """
    atoms = built_crystal(asked, asked.constant or 1.0)
    require_elements(model, [atoms], asked.name)
    if asked.constant is not None:
        return atoms, []
    low, high = _range(atoms, model)
    constants = np.linspace(low, high, POINTS)
    energies = np.array([_energy(model, asked, a) for a in constants]) if low < high else np.empty(0)
    found = minima_of(energies)
    if not len(found):
        raise InputError(
            f"structure {asked.name}: the energy has no minimum at lattice constants of {low:.3f} to {high:.3f} Å; a "
            f"constant to begin with can be given, as in {asked.name}:{0.5 * (low + high):.2f}"
        )
    densest, lowest = found[0], min(found, key=lambda i: energies[i])
    notes = [f"{asked.name}: relaxed from a = {constants[densest]:.3f} Å, the densest minimum of the energy"]
    if energies[lowest] < energies[densest]:
        notes.append(f"{asked.name}: there is a lower minimum at a = {constants[lowest]:.3f} Å, which was passed over")
    return built_crystal(asked, float(constants[densest])), notes


def _energy(model: Model, asked: NamedCrystal, constant: float) -> float:
    """The energy of the cell in eV; infinite where the model refuses it."""
    try:
        energy = energy_of(model, built_crystal(asked, constant))
    except HiertlError:
        return float("inf")
    return energy if np.isfinite(energy) else float("inf")


def _range(atoms: Any, model: Model) -> tuple[float, float]:
    """Lattice constants, Å, of a crystal with the constant 1 Å: no pair closer than known, none too far for a bond."""
    from ase.neighborlist import neighbor_list

    first, second, apart = neighbor_list("ijd", atoms, 1.5)
    symbols, allowed = atoms.get_chemical_symbols(), nearest_allowed(model)
    nearest: dict[str, float] = {}
    reach: dict[str, float] = {}
    for i, j, r in zip(first.tolist(), second.tolist(), apart.tolist(), strict=True):
        pair = model.parameters.basis.pair(symbols[i], symbols[j])
        nearest[pair.name] = min(r, nearest.get(pair.name, r))
        reach[pair.name] = pair.rmax
    low = max(allowed[name] / r for name, r in nearest.items())
    closest = min(nearest, key=lambda name: nearest[name])
    outer = reach[closest] / nearest[closest]
    return low, min(FARTHEST * low, outer) if closest in known_contacts(model.parameters) else FARTHEST_SHARE * outer


def require_elements(model: Model, crystals: Sequence[Any], what: str) -> None:
    """Raise InputError for atoms (ase.Atoms) that a model does not have."""
    others = sorted({s for atoms in crystals for s in atoms.get_chemical_symbols()} - set(model.elements))
    if others:
        raise InputError(f"{what}: the model has {', '.join(model.elements)}, found {', '.join(others)}")


def crystal_of_frame(frame: Frame) -> Any:
    """The atoms of a frame (ase.Atoms), without labels. Raises InputError for one that is no crystal."""
    from ase import Atoms

    if frame.cell is None or not frame.periodic:
        raise InputError(f"{frame.origin}: expected a crystal, periodic in three directions")
    return Atoms(list(frame.species), frame.positions, cell=frame.cell, pbc=True)
