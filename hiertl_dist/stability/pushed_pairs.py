"""Pairs and triplets pushed together in a crystal: whether the model, its wall included, keeps atoms apart when hot."""

from __future__ import annotations

from itertools import combinations, combinations_with_replacement, permutations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import HiertlError
from ..frames.type_names import cluster_name
from ..model.walls import BARRIER, DIP, Pushed, barrier_of, holding_wall, known_contacts
from ..units import EV
from .check_rows import CheckRow, judged, unchecked
from .lattices import SITES, energy_of, ideal_cell, mixed_volume, nearest_allowed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..evaluation.energies import Model
    from .check_rows import CheckSettings
    from .lattices import Lattice

WHAT: Final = "pushed together"

POINTS: Final = {2: 40, 3: 20}
"""Places at which the energy of two and of three atoms is looked at."""

BEGINNING: Final = 0.5
"""The atoms are pushed together until their shortest distance is this fraction of where its wall begins."""

NEIGHBOURS: Final = 1.05
"""In units of the distance of nearest neighbours: so far away atoms count as such."""


def pushed_rows(
    model: Model, name: str, lattices: Mapping[str, Lattice], settings: CheckSettings
) -> tuple[list[CheckRow], list[str]]:
    """The energy that neighbours on the ideal lattice need to get past one another, the rest of it fixed.

    Two nearest neighbours, and three atoms of which one is a nearest neighbour of the others, go to their centroid
    until the shortest distance is half of where its wall begins. What counts is the highest energy before the first
    place from which the energy falls by more than kT at 3000 K, a hole, or on the whole way; above the lowest energy
    at distances that are known from fitted frames, for atoms may well be bound there: two N on a lattice make N₂.
    Three atoms are looked at where the model has three-body terms.

    Parameters
    ----------
    model : Model
        With its wall.
    name : str
        Of the lattice.
    lattices : mapping from str to Lattice
        That of each element.
    settings : CheckSettings
        How many threads.

    Returns
    -------
    rows : list of CheckRow
        One for each pair and triplet of elements.
    notes : list of str
        Which wall would keep all of them apart, where some fail.
    """
    elements, bodies = sorted(lattices), {t.body for t in model.parameters.basis.types}
    rows: list[CheckRow] = []
    seen: list[Pushed] = []
    for body in (2, 3) if 3 in bodies else (2,):
        for cluster in combinations_with_replacement(elements, body):
            try:
                pushed = [_pushed(model, name, order, lattices, settings) for order in _orders(cluster)]
            except HiertlError as error:
                rows.append(unchecked(WHAT, "-".join(cluster), str(error)))
            else:
                rows.append(_row(model, cluster, pushed))
                seen += pushed
    return rows, _wall_notes(model, seen) if any(r.verdict == "fail" for r in rows) else []


def _orders(cluster: Sequence[str]) -> list[tuple[str, ...]]:
    """The ways in which elements are on the places of two or three atoms, the first of which is near to the others."""
    if len(cluster) == 2:
        return [tuple(cluster)]
    return [order for order in sorted(set(permutations(cluster))) if order[1] <= order[2]]


def _pushed(
    model: Model, name: str, order: Sequence[str], lattices: Mapping[str, Lattice], settings: CheckSettings
) -> Pushed:
    """Energies of a cell in which atoms of some elements go to their centroid."""
    parameters = model.parameters
    wall, edges = parameters.penalty, list(combinations(range(len(order)), 2))
    inner = np.array([parameters.basis.pair(order[a], order[b]).rmin for a, b in edges])
    species = [order[i % len(order)] for i in range(SITES[name])]
    atoms = ideal_cell(name, species, mixed_volume(species, lattices))
    places, offsets = _neighbours(atoms, len(order))
    symbols = np.array(atoms.get_chemical_symbols(), object)
    symbols[places] = order
    atoms.set_chemical_symbols(symbols.tolist())
    apart = np.array([np.linalg.norm(offsets[a] - offsets[b]) for a, b in edges])
    nearest = float(apart.min())
    last = BEGINNING * min(nearest, float((inner + wall.distance).min())) / nearest
    shares = np.linspace(1.0, last, POINTS[len(order)])
    start, energies = atoms.get_positions(), []
    for share in shares:
        moved = start.copy()
        moved[places] += (share - 1.0) * (offsets - offsets.mean(axis=0))
        atoms.set_positions(moved)
        energies.append(EV * energy_of(model, atoms, settings.threads))
    distances = shares[:, np.newaxis] * apart
    walls = wall.scale * (np.maximum(inner + wall.distance - distances, 0.0) ** 3).sum(axis=1)
    known = known_contacts(parameters)
    closest = np.array([known.get(cluster_name((order[a], order[b])), np.inf) for a, b in edges])
    fitted = int((distances >= closest).all(axis=1).sum())
    first = int(np.argmin(energies[:fitted])) if fitted else 0
    return Pushed("-".join(order), inner, distances[first:], (np.array(energies) - walls)[first:])


def _neighbours(atoms: Any, number: int) -> tuple[list[int], NDArray[np.float64]]:
    """Two or three neighbours, the first of which is near to the others, and where they are from it, (number, 3) Å."""
    vectors = atoms.get_distances(0, range(len(atoms)), mic=True, vector=True)
    distances = np.linalg.norm(vectors, axis=1)
    distances[0] = np.inf
    near = np.flatnonzero(distances < NEIGHBOURS * distances.min())
    first = near[0]
    others = sorted(near[1:], key=lambda k: round(float(np.linalg.norm(vectors[k] - vectors[first])), 6))
    places = [0, int(first), *map(int, others[: number - 2])]
    return places, np.array([np.zeros(3), *(vectors[k] for k in places[1:])])


def _row(model: Model, cluster: Sequence[str], pushed: Sequence[Pushed]) -> CheckRow:
    """The row of some elements: the lowest of the ways in which they are pushed together."""
    wall = model.parameters.penalty
    barriers = [barrier_of(p.with_wall(wall)) for p in pushed]
    worst = min(range(len(pushed)), key=lambda i: barriers[i][0])
    (highest, hole), one = barriers[worst], pushed[worst]
    reason = "" if highest >= BARRIER else _reason(model, one, hole)
    return judged(WHAT, "-".join(cluster), highest / EV, "eV", ("at least", BARRIER / EV), reason)


def _reason(model: Model, one: Pushed, hole: int | None) -> str:
    """Where atoms get past one another, and whether the fitted frames know of that place."""
    wall, known = model.parameters.penalty, nearest_allowed(model)
    names = [cluster_name(pair) for pair in combinations(one.name.split("-"), 2)]
    begin = one.inner + wall.distance
    closest = np.array([known[n] for n in names])

    def shown(distances: NDArray[np.float64]) -> str:
        return ", ".join(dict.fromkeys(f"{n} {d:.2f}" for n, d in zip(names, distances, strict=True)))

    ends = f"walls begin at {shown(begin)} Å, the closest that are known are {shown(closest)} Å"
    if hole is None:
        return f"the highest energy on the way to {shown(one.distances[-1])} Å; {ends}"
    there = f"below {shown(one.distances[hole])} Å the energy falls by more than {DIP / EV:.2f} eV, a hole; {ends}"
    if (one.distances[hole] >= closest).all():
        there += (
            ": the hole begins at distances that fitted frames have, so no wall is to blame; give frames of these "
            "elements with near atoms, more probes, lower orders of many-body terms or a stronger decay"
        )
    return there


def _wall_notes(model: Model, pushed: Sequence[Pushed]) -> list[str]:
    """Which wall would keep all pairs and triplets apart without acting on a known contact."""
    known = nearest_allowed(model)
    pairs = [(known[p.name], p.rmin) for p in model.parameters.basis.pairs]
    better = holding_wall(pushed, pairs, model.parameters.penalty) if model.coverage else None
    if better is not None:
        numbers = f"{better.scale:g} {better.distance:g}"
        return [
            f"a wall of {better.scale:g} kcal/mol/Å³ from {better.distance:g} Å above rmin on, which acts on no known "
            f"contact, would keep these pairs and triplets apart: hiertl-dist merge MODEL --penalty {numbers}, or "
            "penalty in [fit]"
        ]
    what = "is known to act on no contact" if not model.coverage else "acts on no known contact keeps all of them apart"
    return [
        f"pairs or triplets get past one another, and no wall that {what}: give frames with nearer atoms, more probes, "
        "lower orders of many-body terms or a stronger decay"
    ]
