"""Properties of a crystal by any ASE calculator: cells and ions are relaxed, energies in eV, lengths in Å."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError
from ..stability.lattices import GPA
from ..text.words import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FORCE: Final = 1e-3
"""eV/Å, the largest force that is left on an ion that was relaxed."""

CELL_FORCE: Final = 1e-4
"""eV/Å, the same where the cell is relaxed, too."""

STEPS: Final = 500
"""Of a relaxation."""

STRETCH: Final = 0.06
"""Of an equation of state: volumes from 1 − this to 1 + this, in units of the relaxed one."""

POINTS: Final = 9
"""Volumes of an equation of state."""

STRAIN: Final = 2e-3
"""Of elastic constants."""


def _relaxed(atoms: Any, *, cell: bool = False) -> Any:
    """Relaxed in place; an error where it does not get there."""
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    limit = CELL_FORCE if cell else FORCE
    optimiser = BFGS(FrechetCellFilter(atoms) if cell else atoms, logfile=None)
    if not optimiser.run(fmax=limit, steps=STEPS):
        what = "cell and ions" if cell else "ions"
        raise InputError(
            f"{atoms.get_chemical_formula()}: {what} are not relaxed after {STEPS} steps (above {limit:g} eV/Å): "
            "expected a crystal near a minimum of the energy"
        )
    return atoms


def relaxed_crystal(atoms: Any) -> Any:
    """A copy whose cell and ions are relaxed."""
    if not all(atoms.pbc) or atoms.cell.volume <= 0.0:
        raise InputError(f"{atoms.get_chemical_formula()}: expected a crystal, found pbc {atoms.pbc.tolist()}")
    copy = atoms.copy()
    copy.calc = atoms.calc
    return _relaxed(copy, cell=True)


@dataclass(frozen=True)
class EquationOfState:
    """Energy against volume: Å³/atom, eV/atom, GPa."""

    volume: float
    energy: float
    bulk_modulus: float


def equation_of_state(crystal: Any) -> EquationOfState:
    """Birch–Murnaghan's equation (ase.eos) through energies at volumes around the relaxed one, ions relaxed."""
    from ase.eos import EquationOfState as Curve

    volumes, energies = [], []
    for factor in np.linspace(1.0 - STRETCH, 1.0 + STRETCH, POINTS):
        atoms = crystal.copy()
        atoms.set_cell(crystal.cell * factor ** (1.0 / 3.0), scale_atoms=True)
        atoms.calc = crystal.calc
        volumes.append(atoms.cell.volume / len(atoms))
        energies.append(_relaxed(atoms).get_potential_energy() / len(atoms))
    volume, energy, modulus = Curve(volumes, energies, eos="birchmurnaghan").fit()
    if not volumes[0] < volume < volumes[-1] or not modulus > 0.0:
        raise InputError(
            f"{crystal.get_chemical_formula()}: the equation of state has no minimum between {volumes[0]:.3f} and "
            f"{volumes[-1]:.3f} Å³/atom (found {volume:.3f})"
        )
    return EquationOfState(float(volume), float(energy), float(modulus * GPA))


def elastic_constants(crystal: Any, strain: float = STRAIN) -> NDArray[np.float64]:
    """(6, 6), GPa: C_ij = [σ_i(+ε_j) − σ_i(−ε_j)] / 2ε, ions relaxed, made symmetric; Voigt's order xx yy zz yz xz xy.

    Nye, Physical Properties of Crystals (1957), chapter VIII; ε_j of a shear is twice the entry of the strain tensor.
    """
    voigt = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    constants = np.zeros((6, 6))
    for column, (a, b) in enumerate(voigt):
        for sign in (1.0, -1.0):
            tensor = np.zeros((3, 3))
            tensor[a, b] += sign * strain / 2.0
            tensor[b, a] += sign * strain / 2.0
            atoms = crystal.copy()
            atoms.set_cell(crystal.cell @ (np.eye(3) + tensor), scale_atoms=True)
            atoms.calc = crystal.calc
            constants[:, column] += sign * _relaxed(atoms).get_stress() / (2.0 * strain)
    symmetric: NDArray[np.float64] = GPA * 0.5 * (constants + constants.T)
    return symmetric


def supercell(crystal: Any, length: float) -> Any:
    """Repeated until faces of the cell are so far apart, Å."""
    heights = crystal.cell.volume / np.linalg.norm(np.cross(crystal.cell[[1, 2, 0]], crystal.cell[[2, 0, 1]]), axis=1)
    atoms = crystal.repeat([int(np.ceil(length / h - 1e-9)) for h in heights])
    atoms.calc = crystal.calc
    return atoms


def vacancy_energies(crystal: Any, length: float = 10.0) -> dict[str, float]:
    """By element in eV, E(N − 1) − (N − 1)/N E(N) at the volume of the crystal, ions relaxed; one element only."""
    elements = sorted(set(crystal.get_chemical_symbols()))
    if len(elements) > 1:
        raise InputError(
            f"vacancy: {crystal.get_chemical_formula()} has several elements, whose vacancies have energies that hang "
            "on what the removed atom goes to; expected one element"
        )
    whole = supercell(crystal, length)
    energy, n = whole.get_potential_energy(), len(whole)
    del whole[0]
    left: float = _relaxed(whole).get_potential_energy()
    return {elements[0]: left - (n - 1) / n * energy}


def surface_energies(
    crystal: Any, indices: Sequence[tuple[int, int, int]], thickness: float = 12.0, vacuum: float = 10.0
) -> dict[tuple[int, int, int], float]:
    """By Miller indices of the crystal's cell, eV/Å²: (E of a slab − N e of the crystal) / 2A, ions relaxed."""
    from ase.build import surface

    own = crystal.get_potential_energy() / len(crystal)
    energies = {}
    for index in indices:
        if len(index) != 3 or not any(index):
            raise InputError(f"surface: expected three Miller indices that are not all zero, found {shown(index)}")
        one = surface(crystal, index, 1, periodic=True)
        layers = int(np.ceil(thickness / one.cell.volume * np.linalg.norm(np.cross(*one.cell[:2]))))
        slab = surface(crystal, index, layers, vacuum=vacuum, periodic=True)
        slab.calc = crystal.calc
        area = float(np.linalg.norm(np.cross(slab.cell[0], slab.cell[1])))
        energies[index] = float((_relaxed(slab).get_potential_energy() - len(slab) * own) / (2.0 * area))
    return energies
