"""Phonons of a crystal by phonopy and any ASE calculator: bands along ASE's standard path, density of states.

Needs phonopy (``pip install "hiertl-dist[phonons]"``), which is imported when phonons are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError
from ..text.display import Shown
from .crystals import repeats
from .settings import NEEDS_PHONOPY

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGINARY: Final = 0.05
"""THz: a mode with −ω² above the square of this is called imaginary; nearer to zero it may be noise of forces."""

SYMMETRY: Final = 1e-3
"""Å, by which positions and cell may differ from a symmetry that a relaxed crystal is taken to have."""

PATH_POINTS: Final = 20
"""q points for each Å⁻¹ (with 2π) of a path."""


def need_phonopy() -> None:
    """Raise ModuleNotFoundError, saying what to install, unless phonopy is there; before anything is computed."""
    try:
        import phonopy  # noqa: F401
    except ImportError as error:
        raise ModuleNotFoundError(f"{NEEDS_PHONOPY} ({error})", name="phonopy") from error


@dataclass(frozen=True, eq=False, repr=False)
class Phonons(Shown):
    """Frequencies of a crystal's harmonic vibrations in THz; imaginary ones are negative.

    Attributes
    ----------
    path : str
        The special points of the path, such as ``"GXWK,UX"``.
    distances : ndarray of shape (n,)
        1/Å (with 2π), along the path.
    q_points : ndarray of shape (n, 3)
        In units of the reciprocal primitive cell.
    bands : ndarray of shape (n, modes)
        THz, at these points in ascending order.
    labels : tuple of (float, str)
        Places of special points on the path, and their names.
    dos_frequencies : ndarray of shape (m,)
        THz.
    dos : ndarray of shape (m,)
        Modes of the primitive cell per THz; of a mesh of q points.
    lowest : float
        THz, of path and mesh.
    lowest_at : tuple of float
        The q point of this frequency.
    repeated : tuple of int
        Primitive cells of the supercell in each direction.
    atoms : int
        Of the primitive cell.
    cells : int
        Supercells whose forces were calculated.
    """

    path: str
    distances: NDArray[np.float64]
    q_points: NDArray[np.float64]
    bands: NDArray[np.float64]
    labels: tuple[tuple[float, str], ...]
    dos_frequencies: NDArray[np.float64]
    dos: NDArray[np.float64]
    lowest: float
    lowest_at: tuple[float, float, float]
    repeated: tuple[int, int, int]
    atoms: int
    cells: int

    @property
    def highest(self) -> float:
        """THz, of the path."""
        return float(self.bands.max())

    @property
    def imaginary(self) -> bool:
        """Whether a mode is imaginary by more than noise (0.05 THz): the crystal is no minimum."""
        return self.lowest < -IMAGINARY


# long: its parameters are documented
def phonons(crystal: Any, length: float = 12.0, displacement: float = 0.01, mesh: float = 40.0) -> Phonons:
    """Phonons from forces on displaced atoms of a supercell, by phonopy.

    Togo, J. Phys. Soc. Jpn. 92, 012001 (2023). The symmetric primitive cell of the crystal (spglib, within 1e-3 Å) is
    repeated; force constants are made symmetric, so that acoustic modes end at zero. The path is ASE's
    (``cell.bandpath``): Setyawan and Curtarolo, Comput. Mater. Sci. 49, 299 (2010). Nothing is added for the long-range
    dipoles of ions.

    Parameters
    ----------
    crystal : ase.Atoms
        A relaxed crystal with a calculator.
    length : float, default 12.0
        Å, how far faces of the supercell are apart at least. Forces that reach farther than half of it are folded back.
    displacement : float, default 0.01
        Å, by which atoms are moved.
    mesh : float, default 40.0
        Å, of the q points of the density of states: 2π over this is about their distance.

    Returns
    -------
    Phonons
        Bands and density of states.

    Raises
    ------
    ModuleNotFoundError
        phonopy is not installed.
    InputError
        No symmetry of the crystal is found, or a frequency is no number.
    """
    need_phonopy()
    from ase import Atoms
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    primitive = _primitive(crystal)
    repeated = repeats(primitive.cell, length)
    unit = PhonopyAtoms(
        symbols=primitive.get_chemical_symbols(), cell=primitive.cell[:],
        scaled_positions=primitive.get_scaled_positions(), masses=primitive.get_masses(),
    )  # fmt: skip
    made = Phonopy(unit, supercell_matrix=np.diag(repeated), primitive_matrix=np.eye(3))
    made.generate_displacements(distance=displacement)
    forces = []
    for cell in made.supercells_with_displacements:
        atoms = Atoms(cell.symbols, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True)
        atoms.calc = crystal.calc
        forces.append(atoms.get_forces())
    made.forces = forces
    made.produce_force_constants()
    made.symmetrize_force_constants()
    path = primitive.cell.bandpath(density=PATH_POINTS)
    along, places, names = path.get_linear_kpoint_axis()
    bands = np.sort(made.run_qpoints(path.kpts).frequencies, axis=1)
    grid = made.run_mesh(mesh)
    if not (np.isfinite(bands).all() and np.isfinite(grid.frequencies).all()):
        raise InputError(
            f"{crystal.get_chemical_formula()}: expected phonon frequencies, found some that are no numbers"
        )
    density = made.run_total_dos()
    q_points = np.concatenate([path.kpts, grid.qpoints])
    least = np.concatenate([bands.min(axis=1), grid.frequencies.min(axis=1)])
    at = int(np.argmin(least))
    x, y, z = map(float, q_points[at])
    return Phonons(
        path.path, np.asarray(along), np.asarray(path.kpts), bands,
        tuple((float(d), str(n)) for d, n in zip(places, names, strict=True)),
        np.asarray(density.frequency_points), np.asarray(density.dos), float(least[at]), (x, y, z), repeated,
        len(primitive), len(forces),
    )  # fmt: skip


def _primitive(crystal: Any) -> Any:
    """The primitive cell (ase.Atoms) with the symmetry of the crystal; masses of elements, or the crystal's own."""
    import spglib
    from ase import Atoms

    given = (crystal.cell[:], crystal.get_scaled_positions(), crystal.numbers)
    found = spglib.standardize_cell(given, to_primitive=True, symprec=SYMMETRY)
    if found is None:
        raise InputError(f"{crystal.get_chemical_formula()}: spglib finds no symmetry within {SYMMETRY:g} Å")
    cell, scaled, numbers = found
    primitive = Atoms(numbers=numbers, cell=cell, scaled_positions=scaled, pbc=True)
    masses: dict[int, set[float]] = {}
    for number, mass in zip(crystal.numbers.tolist(), crystal.get_masses().tolist(), strict=True):
        masses.setdefault(number, set()).add(mass)
    if mixed := [n for n, own in masses.items() if len(own) > 1]:
        raise InputError(
            f"{crystal.get_chemical_formula()}: atoms of one element ({mixed[0]}) have masses that differ; phonons "
            "take one mass of each element"
        )
    primitive.set_masses([next(iter(masses[n])) for n in primitive.numbers.tolist()])
    return primitive
