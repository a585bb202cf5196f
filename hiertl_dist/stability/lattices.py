"""Ideal lattices of a model: the volumes that it gives them, mixtures on them, equations of state."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..errors import HiertlError
from ..io.labelled_atoms import frame_from_ase
from ..model.walls import known_contacts
from ..probes.lattice_volumes import lattice_energy, lattice_minima, minima_of
from ..probes.lattices import ideal_lattice
from ..units import EV
from .check_rows import LATTICE_NAMES, CheckRow, judged, unchecked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..evaluation.energies import Model
    from .check_rows import CheckSettings

SITES: Final = {"bcc": 54, "fcc": 32, "hcp": 48, "diamond": 64}
"""Atoms of the cells: 3 × 3 × 3 of two atoms, 2 × 2 × 2 of four, 3 × 2 × 2 of four, 2 × 2 × 2 of eight."""

FARTHEST: Final = 1.8
"""Times the closest contact that is known: up to there it is looked for. In hot metals nearest neighbours are 1.2 to
1.3 times as far apart, in carbon 1.5; at lower densities than that most models know nothing and have any minima."""

VOLUMES: Final = np.linspace(0.85, 1.15, 31)
"""Of an equation of state, in units of the volume of lowest energy; the bulk modulus is of the middle third."""

ORDERED: Final = "mixing, ordered"
"""What the rows of ordered arrangements are called."""

GPA: Final = 160.21766208
"""GPa per eV/Å³."""


class Lattice(NamedTuple):
    """An ideal lattice of one element at the volume that the model gives it.

    The volume in Å³/atom, the energy in eV/atom, the distance of nearest neighbours in Å; ``lower``: that at a lower
    minimum of less density, if there is one.
    """

    name: str
    volume: float
    energy: float
    nearest: float
    lower: float | None = None


def energy_of(model: Model, atoms: Any, threads: int = 1) -> float:
    """The energy of all atoms of a cell, eV."""
    (evaluation,) = model.evaluate(
        frame_from_ase(atoms, origin=f"cell {atoms.get_chemical_formula()}"), threads=threads
    )
    return float(evaluation.energy / EV)


def nearest_allowed(model: Model) -> dict[str, float]:
    """Å by pair, how near atoms are known to come (:func:`known_contacts`), else where the wall begins."""
    wall = model.parameters.penalty.distance
    return {p.name: p.rmin + wall for p in model.parameters.basis.pairs} | known_contacts(model.parameters)


def relaxed_lattices(model: Model, element: str) -> dict[str, Lattice]:
    """The lattices that bind an element, by name: those with a minimum of the energy between the distances looked at.

    Of several minima the densest: models whose data hold no thin matter often have lower ones at densities that they
    know nothing of.
    """
    pair = model.parameters.basis.pair(element, element)
    low = nearest_allowed(model)[pair.name]
    lattices = {}
    for name in LATTICE_NAMES:
        minima = lattice_minima(model, element, name, low, min(FARTHEST * low, pair.rmax))
        if minima:
            densest, lowest = minima[0], min(minima)
            lower = lowest.nearest if lowest.energy < densest.energy else None
            lattices[name] = Lattice(name, densest.volume, densest.energy / EV, densest.nearest, lower)
    return lattices


def common_lattice(by_element: Mapping[str, Mapping[str, Lattice]], wanted: str) -> str | None:
    """The lattice of mixtures: the one wanted, or the lowest of those that bind all elements; None: none does."""
    names = LATTICE_NAMES if wanted == "auto" else (wanted,)
    shared = [n for n in names if all(n in lattices for lattices in by_element.values())]
    return min(shared, key=lambda n: sum(lattices[n].energy for lattices in by_element.values()), default=None)


def ideal_cell(lattice: str, species: Sequence[str], volume: float) -> Any:
    """A cell of :data:`SITES` (ase.Atoms) of some species, site by site, of a volume in Å³/atom."""
    from ase import Atoms

    cell, positions = ideal_lattice(lattice, volume, SITES[lattice])
    return Atoms(list(species), positions, cell=cell, pbc=True)


def arranged(elements: Sequence[str], sites: int, number: int, seed: int) -> list[str]:
    """Species of some sites: an ordered arrangement, then random ones, of equal numbers and of random ones by turns."""
    order = [elements[i % len(elements)] for i in range(sites)]
    if number == 0:
        return order
    rng = np.random.default_rng([seed, number, len(elements), *map(ord, "".join(elements))])
    if number % 2 == 0:
        order = [
            *elements,
            *(str(e) for e in rng.choice(list(elements), sites - len(elements), p=_shares(rng, elements))),
        ]
    return [str(e) for e in rng.permutation(order)]


def _shares(rng: np.random.Generator, elements: Sequence[str]) -> NDArray[np.float64]:
    return rng.dirichlet(np.ones(len(elements)))


def mixed_volume(species: Sequence[str], lattices: Mapping[str, Lattice]) -> float:
    """Å³/atom by Vegard's rule for volumes: the mean of the elements' own."""
    return float(np.mean([lattices[e].volume for e in species]))


def mixing_rows(model: Model, name: str, lattices: Mapping[str, Lattice], settings: CheckSettings) -> list[CheckRow]:
    """Two rows for each set of two to four elements: an ordered arrangement, and the farthest off of random ones."""
    elements = sorted(lattices)
    sets = [s for size in range(2, min(4, len(elements)) + 1) for s in combinations(elements, size)]
    shuffled = range(1, settings.arrangements + 1)
    random = [_mixing_row(model, name, s, lattices, "mixing", shuffled, settings.mixing, settings) for s in sets]
    ordered = [_mixing_row(model, name, s, lattices, ORDERED, range(1), settings.ordered, settings) for s in sets]
    return [*random, *ordered]


def _mixing_row(
    model: Model, name: str, elements: Sequence[str], lattices: Mapping[str, Lattice], what: str, numbers: range,
    limit: float, settings: CheckSettings,
) -> CheckRow:  # fmt: skip
    sites, named = SITES[name], "-".join(elements)
    differences = []
    try:
        for number in numbers:
            species = arranged(elements, sites, number, settings.seed)
            atoms = ideal_cell(name, species, mixed_volume(species, lattices))
            linear = float(np.mean([lattices[e].energy for e in species]))
            energy = energy_of(model, atoms, settings.threads) / sites
            differences.append((energy - linear, atoms.get_chemical_formula()))
    except HiertlError as error:
        return unchecked(what, named, str(error))
    worst, formula = max(differences, key=lambda d: abs(d[0]))
    far = f"{name} {formula}: {worst:+.3f} eV/atom from linear mixing"
    if what == ORDERED:  # with sign and composition always: only these tell a real compound from a fault
        real = "; compare with the compound's energy of formation" if abs(worst) > settings.mixing else ""
        return judged(what, named, abs(worst), "eV/atom", ("at most", limit), far + real)
    reason = "" if abs(worst) <= limit else far
    return judged(what, named, abs(worst), "eV/atom", ("at most", limit), reason)


def equation_row(model: Model, element: str, lattice: Lattice) -> CheckRow:
    """Whether energy against volume has one minimum, from which it rises to both ends; value: the bulk modulus."""
    from ase.eos import EquationOfState

    volumes, middle = lattice.volume * VOLUMES, np.abs(VOLUMES - 1.0) < 0.051
    energies = np.array([lattice_energy(model, element, lattice.name, float(v)) / EV for v in volumes])
    minima = minima_of(energies)
    try:
        modulus = GPA * float(EquationOfState(volumes[middle], energies[middle], eos="birchmurnaghan").fit()[2])
    except (ValueError, RuntimeError):  # no curve of that form goes through them
        modulus = float("nan")
    faults = []
    if len(minima) != 1:
        where = ", ".join(f"{VOLUMES[i]:.2f}" for i in minima) or "none"
        faults.append(f"minima at volumes of {where} of {lattice.volume:.3f} Å³/atom: expected one")
    for end, side in ((0, "compressed"), (-1, "expanded")):
        if energies[end] <= lattice.energy:
            faults.append(f"{side} to {VOLUMES[end]:.2f} of the volume, the energy is lower than at the minimum")
    if not np.isfinite(modulus) or modulus <= 0.0:
        faults.append("no bulk modulus above 0")
    verdict = "fail" if faults else "pass"
    limit = "above 0, one minimum"
    reason = f"{lattice.name}: {'; '.join(faults)}" if faults else ""
    return CheckRow("equation of state", element, modulus, "GPa", limit, verdict, reason)  # type: ignore[arg-type]
