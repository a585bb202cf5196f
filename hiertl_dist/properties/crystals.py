"""Properties of a crystal by any ASE calculator: cells and ions are relaxed, energies in eV, lengths in Å."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..errors import InputError
from ..stability.lattices import GPA
from ..text.display import Shown
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

LARGE: Final = 60
"""Atoms of a cell above which a relaxation keeps no matrix of second derivatives, whose eigenvalues take long."""

STRETCH: Final = 0.06
"""Of an equation of state: volumes from 1 − this to 1 + this, in units of the relaxed one."""

POINTS: Final = 9
"""Volumes of an equation of state."""

STRAIN: Final = 2e-3
"""Of elastic constants."""


def _relaxed(atoms: Any, *, cell: bool = False) -> Any:
    """Relaxed in place; an error where it does not get there."""
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS, LBFGS

    limit = CELL_FORCE if cell else FORCE
    method = BFGS if len(atoms) <= LARGE else LBFGS
    optimiser = method(FrechetCellFilter(atoms) if cell else atoms, logfile=None)
    try:
        relaxed = optimiser.run(fmax=limit, steps=STEPS)
    except np.linalg.LinAlgError:  # forces that are no numbers
        relaxed = False
    if not relaxed:
        what = "cell and ions" if cell else "ions"
        raise InputError(
            f"{atoms.get_chemical_formula()}: {what} are not relaxed after {STEPS} steps (above {limit:g} eV/Å): "
            "expected a crystal near a minimum of the energy"
        )
    return atoms


def relaxed_crystal(atoms: Any) -> Any:
    """A copy of a crystal whose cell and ions are relaxed.

    Parameters
    ----------
    atoms : ase.Atoms
        A crystal, periodic in three directions, with a calculator that has stresses.

    Returns
    -------
    ase.Atoms
        With the same calculator; the largest force is below 1e-4 eV/Å, that on the cell among them.

    Raises
    ------
    InputError
        It is no crystal, or does not get there in 500 steps.
    """
    if not all(atoms.pbc) or atoms.cell.volume <= 0.0:
        raise InputError(f"{atoms.get_chemical_formula()}: expected a crystal, found pbc {atoms.pbc.tolist()}")
    copy = atoms.copy()
    copy.calc = atoms.calc
    return _relaxed(copy, cell=True)


@dataclass(frozen=True, eq=False, repr=False)
class EquationOfState(Shown):
    """Energy of a crystal against its volume.

    Attributes
    ----------
    volume : float
        Å³/atom, of the lowest energy.
    energy : float
        eV/atom, there.
    bulk_modulus : float
        GPa, there.
    pressure_derivative : float
        Of the bulk modulus, dB/dP.
    volumes : ndarray of shape (n,)
        Å³/atom, at which energies were calculated.
    energies : ndarray of shape (n,)
        eV/atom.
    error : float
        eV/atom, the largest difference between the curve and the energies.
    """

    volume: float
    energy: float
    bulk_modulus: float
    pressure_derivative: float
    volumes: NDArray[np.float64]
    energies: NDArray[np.float64]
    error: float

    def energy_at(self, volumes: NDArray[np.float64]) -> NDArray[np.float64]:
        """The curve: Birch, Phys. Rev. 71, 809 (1947), of third order.

        Parameters
        ----------
        volumes : ndarray
            Å³/atom.

        Returns
        -------
        ndarray
            eV/atom.
        """
        strain = (self.volume / np.asarray(volumes)) ** (2.0 / 3.0) - 1.0
        factor = 9.0 * self.volume * self.bulk_modulus / (16.0 * GPA)
        curve: NDArray[np.float64] = self.energy + factor * (
            strain**3 * self.pressure_derivative + strain**2 * (2.0 - 4.0 * strain)
        )
        return curve


def equation_of_state(crystal: Any) -> EquationOfState:
    """Birch–Murnaghan's equation (ase.eos) through energies at nine volumes within 6 % of the relaxed one.

    Ions are relaxed at each volume, the cell keeps its shape.

    Parameters
    ----------
    crystal : ase.Atoms
        A relaxed crystal with a calculator.

    Returns
    -------
    EquationOfState
        Its minimum lies between the volumes.

    Raises
    ------
    InputError
        The energies have no minimum between the volumes, or ions do not relax.
    """
    from ase.eos import EquationOfState as Curve

    volumes, energies = [], []
    for factor in np.linspace(1.0 - STRETCH, 1.0 + STRETCH, POINTS):
        atoms = crystal.copy()
        atoms.set_cell(crystal.cell * factor ** (1.0 / 3.0), scale_atoms=True)
        atoms.calc = crystal.calc
        volumes.append(atoms.cell.volume / len(atoms))
        energies.append(_relaxed(atoms).get_potential_energy() / len(atoms))
    lowest, inside = int(np.argmin(energies)), f"between {volumes[0]:.3f} and {volumes[-1]:.3f} Å³/atom"
    what = f"{crystal.get_chemical_formula()}: the equation of state has no minimum {inside}"
    if lowest in (0, POINTS - 1) or not np.isfinite(energies).all():
        raise InputError(f"{what}: the lowest energy is at {volumes[lowest]:.3f}")
    curve = Curve(volumes, energies, eos="birchmurnaghan")
    try:
        volume, energy, modulus = curve.fit()
    except RuntimeError as error:
        raise InputError(f"{what} that a curve could be fitted to: {error}") from error
    if not volumes[0] < volume < volumes[-1] or not modulus > 0.0:
        raise InputError(f"{what} (found {volume:.3f})")
    at, found = np.array(volumes), np.array(energies)
    done = EquationOfState(
        float(volume), float(energy), float(modulus * GPA), float(curve.eos_parameters[2]), at, found, 0.0
    )
    return replace(done, error=float(np.abs(done.energy_at(at) - found).max()))


def elastic_constants(crystal: Any, strain: float = STRAIN) -> NDArray[np.float64]:
    """C_ij = [σ_i(+ε_j) − σ_i(−ε_j)] / 2ε, ions relaxed, made symmetric.

    Nye, Physical Properties of Crystals (1957), chapter VIII; ε_j of a shear is twice the entry of the strain tensor.

    Parameters
    ----------
    crystal : ase.Atoms
        A relaxed crystal with a calculator that has stresses.
    strain : float, default 0.002
        Of each deformation, there and back.

    Returns
    -------
    ndarray of shape (6, 6)
        GPa, along the axes of the cell as it lies; Voigt's order xx yy zz yz xz xy.

    Raises
    ------
    InputError
        Ions do not relax.
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


class ElasticModuli(NamedTuple):
    """What a polycrystal of grains of all directions has, the mean of Voigt's and Reuss's bounds; and stability.

    Hill, Proc. Phys. Soc. A 65, 349 (1952).

    Attributes
    ----------
    bulk, shear, young : float
        GPa; NaN where the crystal is not stable.
    poisson : float
        Poisson's ratio; NaN where the crystal is not stable.
    softest : float
        GPa, the lowest eigenvalue of the elastic constants; below 0 the crystal deforms of itself (Born's criterion).
    """

    bulk: float
    shear: float
    young: float
    poisson: float
    softest: float


def elastic_moduli(constants: NDArray[np.float64]) -> ElasticModuli:
    """Moduli of elastic constants.

    Parameters
    ----------
    constants : ndarray of shape (6, 6)
        GPa, as of :func:`elastic_constants`.

    Returns
    -------
    ElasticModuli
        After Voigt, Reuss and Hill.
    """
    softest = float(np.linalg.eigvalsh(constants)[0])
    if not softest > 0.0:
        return ElasticModuli(float("nan"), float("nan"), float("nan"), float("nan"), softest)
    c, s = constants, np.asarray(np.linalg.inv(constants), np.float64)

    def parts(x: NDArray[np.float64]) -> tuple[float, float, float]:
        return float(np.trace(x[:3, :3])), float(x[0, 1] + x[0, 2] + x[1, 2]), float(np.trace(x[3:, 3:]))

    (direct, mixed, sheared), (soft, soft_mixed, soft_sheared) = parts(c), parts(s)
    bulk = 0.5 * ((direct + 2.0 * mixed) / 9.0 + 1.0 / (soft + 2.0 * soft_mixed))
    shear = 0.5 * ((direct - mixed + 3.0 * sheared) / 15.0 + 15.0 / (4.0 * (soft - soft_mixed) + 3.0 * soft_sheared))
    young = 9.0 * bulk * shear / (3.0 * bulk + shear)
    return ElasticModuli(bulk, shear, young, young / (2.0 * shear) - 1.0, softest)


def repeats(cell: Any, length: float) -> tuple[int, int, int]:
    """How often a cell is repeated until its faces are so far apart, Å."""
    heights = cell.volume / np.linalg.norm(np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1)
    a, b, c = (int(np.ceil(length / h - 1e-9)) for h in heights)
    return a, b, c


def supercell(crystal: Any, length: float) -> Any:
    """Repeated until faces of the cell are so far apart, Å."""
    atoms = crystal.repeat(repeats(crystal.cell, length))
    atoms.calc = crystal.calc
    return atoms


def vacancy_energies(crystal: Any, length: float = 10.0) -> dict[str, float]:
    """E(N − 1) − (N − 1)/N E(N) at the volume of the crystal, ions relaxed; of a crystal of one element.

    Parameters
    ----------
    crystal : ase.Atoms
        A relaxed crystal with a calculator. Its first atom is taken out: sites should be alike.
    length : float, default 10.0
        Å, how far faces of the supercell are apart at least.

    Returns
    -------
    dict from str to float
        eV, by element.

    Raises
    ------
    InputError
        The crystal has several elements, or ions do not relax.
    """
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
    """(E of a slab − N e of the crystal) / 2A, ions relaxed.

    Parameters
    ----------
    crystal : ase.Atoms
        A relaxed crystal with a calculator.
    indices : sequence of tuple of int
        Miller indices of the crystal's cell.
    thickness : float, default 12.0
        Å, of the slab at least.
    vacuum : float, default 10.0
        Å, on either side.

    Returns
    -------
    dict from tuple of int to float
        eV/Å² (1 eV/Å² = 16.02 J/m²), by Miller indices.

    Raises
    ------
    InputError
        Miller indices that are none, or ions do not relax.
    """
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
