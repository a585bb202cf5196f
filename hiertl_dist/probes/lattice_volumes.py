"""``lattice_volumes``: what volume a model gives an element, for elements that have a model and no frames."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..errors import InputError
from ..frames.element_set import ElementSet
from ..frames.frame import Frame
from ..frames.type_names import cluster_name
from ..model.blocks import blocks_of
from .contacts import shortest_fitted, widest
from .lattices import DEFAULT_LATTICES, LATTICES, ideal_lattice, neighbour_distance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ..evaluation.energies import Model

POINTS: Final = 60
"""Distances of neighbours at which energies are looked at before a minimum is refined."""

FARTHEST_SHARE: Final = 0.8
"""Of the outer cutoff: neighbours farther away than this make no crystal."""


class Minimum(NamedTuple):
    """A minimum of a lattice's energy.

    Energy (kcal/mol) and volume (Å³) an atom, and the distance (Å) of nearest neighbours.
    """

    energy: float
    volume: float
    nearest: float


def lattice_volumes(
    model: Model, elements: Iterable[str] | None = None, lattices: Sequence[str] = DEFAULT_LATTICES
) -> dict[str, float]:
    """The volume an atom at which a model's energy of an ideal lattice has its minimum, of the lowest lattice.

    Parameters
    ----------
    model : Model
        A model of the elements, such as a frozen block.
    elements : iterable of str, optional
        Of its elements; default: all.
    lattices : sequence of str, default ("bcc", "fcc", "hcp")
        Of these and ``"diamond"``.

    Returns
    -------
    dict from str to float
        Å³ an atom, by element.

    Raises
    ------
    InputError
        A lattice that there is not; or between the shortest distance that was fitted, or the inner cutoff, and 0.8 of
        the outer cutoff no energy has a minimum.
    """
    if unknown := [name for name in lattices if name not in LATTICES]:
        raise InputError(f"lattice_volumes: expected lattices of {', '.join(LATTICES)}, found {', '.join(unknown)}")
    volumes = {}
    for element in sorted(model.elements if elements is None else elements):
        minima = [m for lattice in lattices if (m := _minimum(model, element, lattice)) is not None]
        if not minima:
            raise InputError(
                f"lattice_volumes: {model.parameters.source}: no energy of {', '.join(lattices)} lattices of {element} "
                "has a minimum at distances that were fitted: give the volume, as in volumes={'" + element + "': 16.0}"
            )
        volumes[element] = min(minima).volume
    return volumes


def known_of_models(
    models: Sequence[Model], elements: Iterable[str], given: Mapping[str, float] | None = None
) -> tuple[dict[str, float], dict[str, float], list[str]]:
    """What models say of single elements that have no frames.

    Parameters
    ----------
    models : sequence of Model
        Models of lower blocks.
    elements : iterable of str
        The elements without frames.
    given : Mapping from str to float, optional
        Volumes that are known, Å³ an atom by element; these models are not asked for.

    Returns
    -------
    volumes : dict from str to float
        Those given, and those of the lowest lattices, Å³ an atom by element.
    shortest : dict from str to float
        Shortest distances that the models were fitted on, Å by pair.
    notes : list of str
        Which volumes are a model's.

    Raises
    ------
    InputError
        As of :func:`lattice_volumes`.
    """
    volumes, shortest, notes = dict(given or {}), dict[str, float](), list[str]()
    for model in models:
        own = {b.name for b in blocks_of(model.parameters.basis)}
        for e in sorted(elements):
            if ElementSet.of([e]) not in own:
                continue
            fitted, pair = shortest_fitted(model.coverage), cluster_name((e, e))
            shortest = widest([shortest, {pair: fitted[pair]} if pair in fitted else {}])
            if e not in volumes:
                volumes |= lattice_volumes(model, [e])
                notes.append(f"{e}: the volume is that of the lowest lattice of {model.parameters.source}")
    return volumes, shortest, notes


def _minimum(model: Model, element: str, lattice: str) -> Minimum | None:
    """A lattice's lowest minimum within the range fitted."""
    pair = cluster_name((element, element))
    pairs = [p for p in model.parameters.basis.pairs if p.name == pair]
    if not pairs:
        return None
    low = max(pairs[0].rmin, model.coverage.get(f"{element}:{pair}", (0.0, 0.0))[0], 0.5)
    return min(lattice_minima(model, element, lattice, low, FARTHEST_SHARE * pairs[0].rmax), default=None)


def lattice_minima(model: Model, element: str, lattice: str, low: float, high: float) -> list[Minimum]:
    """The minima of a lattice's energy.

    Parameters
    ----------
    model : Model
        A model of the element.
    element : str
        On all sites.
    lattice : str
        One of :data:`~hiertl_dist.probes.lattices.LATTICES`.
    low, high : float
        Å, the distances of nearest neighbours between which they are looked for.

    Returns
    -------
    list of Minimum
        The densest first.
    """
    from scipy.optimize import minimize_scalar

    unit = neighbour_distance(lattice, 1.0)
    energy = partial(_energy, model, element, lattice, unit)
    distances = np.linspace(low, high, POINTS)
    energies = np.array([energy(r) for r in distances]) if low < high else np.empty(0)
    minima = []
    for i in minima_of(energies):
        bounds = (distances[i - 1], distances[i + 1])
        done = minimize_scalar(energy, bounds=bounds, method="bounded", options={"xatol": 1e-5})
        minima.append(Minimum(float(done.fun), (float(done.x) / unit) ** 3, float(done.x)))
    return minima


def minima_of(energies: NDArray[np.float64]) -> NDArray[np.intp]:
    """Where energies along a line are lower than at both neighbours."""
    inner = energies[1:-1]
    return 1 + np.flatnonzero((inner < energies[:-2]) & (inner < energies[2:]))


def lattice_energy(model: Model, element: str, lattice: str, volume: float) -> float:
    """kcal/mol an atom of a lattice of so many Å³ an atom; infinite where it is no number."""
    cell, positions = ideal_lattice(lattice, volume, 1)
    (evaluation,) = model.evaluate(Frame((element,) * len(positions), positions, cell, origin=lattice))
    return evaluation.energy / len(positions) if math.isfinite(evaluation.energy) else math.inf


def _energy(model: Model, element: str, lattice: str, unit: float, distance: float) -> float:
    """kcal/mol an atom of a lattice whose neighbours have a distance; ``unit`` is theirs at 1 Å³ an atom."""
    return lattice_energy(model, element, lattice, (distance / unit) ** 3)
