"""Pairs of atoms pushed together in a crystal: whether the model, its wall included, keeps them apart when hot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import HiertlError
from ..model.walls import BARRIER, DIP, barrier_of
from ..units import EV
from .check_rows import CheckRow, judged, unchecked
from .lattices import energy_of, ideal_cell, mixed_volume, nearest_allowed, sites_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..evaluation.energies import Model
    from .check_rows import CheckSettings
    from .lattices import Lattice

POINTS: Final = 40
"""Distances of the two atoms at which the energy is looked at."""

BEGINNING: Final = 0.5
"""The atoms are pushed together to this fraction of the distance where the wall begins."""


def pushed_row(
    model: Model, name: str, pair: tuple[str, str], lattices: Mapping[str, Lattice], settings: CheckSettings
) -> CheckRow:
    """The energy that nearest neighbours on the ideal lattice need to get past one another, the rest of it fixed.

    The way leads from their sites to half the distance where the wall begins. What counts is the highest energy before
    the first place from which the energy falls by more than kT at 3000 K, a hole, or on the whole way.
    """
    named, source = "-".join(pair), model.parameters
    try:
        where = source.basis.pair(*pair)
    except HiertlError as error:
        return unchecked("pushed together", named, str(error))
    begin = where.rmin + source.penalty.distance
    species = [pair[i % 2] for i in range(sites_of(name))]
    atoms = ideal_cell(name, species, mixed_volume(species, lattices))
    i, j, towards = _neighbours(atoms, pair)
    apart = float(np.linalg.norm(towards))
    distances = np.linspace(apart, min(BEGINNING * begin, 0.5 * apart), POINTS)
    try:
        energies = _pushed(model, atoms, (i, j), towards / apart, distances, settings.threads)
    except HiertlError as error:
        return unchecked("pushed together", named, str(error))
    highest, hole = barrier_of(EV * energies)
    risen = highest / EV
    reason = ""
    if risen < BARRIER / EV:
        known = nearest_allowed(model)[where.name]
        ends = f"the wall begins at {begin:.2f} Å, {known:.2f} Å is the closest that is known"
        if hole is None:
            reason = f"the highest energy on the way to {distances[-1]:.2f} Å; {ends}"
        else:
            reason = f"below {distances[hole]:.2f} Å the energy falls by more than {DIP / EV:.2f} eV, a hole; {ends}"
    return judged("pushed together", named, risen, "eV", ("at least", BARRIER / EV), reason)


def _neighbours(atoms: Any, pair: tuple[str, str]) -> tuple[int, int, NDArray[np.float64]]:
    """Two nearest neighbours of these elements, and the vector from one to the other, (3,) Å."""
    symbols = np.array(atoms.get_chemical_symbols())
    first = int(np.flatnonzero(symbols == pair[0])[0])
    others = np.array([k for k in np.flatnonzero(symbols == pair[1]) if k != first])
    vectors = atoms.get_distances(first, others, mic=True, vector=True)
    best = int(np.argmin(np.linalg.norm(vectors, axis=1)))
    return first, int(others[best]), vectors[best]


def _pushed(
    model: Model, atoms: Any, pair: tuple[int, int], along: NDArray[np.float64], distances: Sequence[float] | Any,
    threads: int,
) -> NDArray[np.float64]:  # fmt: skip
    """(distances,) eV by which the energy is above that at the first distance."""
    i, j = pair
    start, apart, energies = atoms.get_positions(), distances[0], []
    for distance in distances:
        moved = start.copy()
        moved[i] += 0.5 * (apart - distance) * along
        moved[j] -= 0.5 * (apart - distance) * along
        atoms.set_positions(moved)
        energies.append(energy_of(model, atoms, threads))
    return np.array(energies) - energies[0]
