"""``lattice_volumes``: what volume a model gives an element, for elements that have a model and no frames."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import InputError
from ..frames.element_set import ElementSet
from ..frames.frame import Frame
from ..frames.type_names import cluster_name
from ..model.blocks import blocks_of
from .contacts import nearest_distances, shortest_fitted, widest
from .lattices import DEFAULT_LATTICES, LATTICES, ideal_lattice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..evaluation.energies import Model

POINTS: Final = 60
"""Distances of neighbours at which energies are looked at before a minimum is refined."""

FARTHEST_SHARE: Final = 0.8
"""Of the outer cutoff: neighbours farther away than this make no crystal."""


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
        volumes[element] = min(minima)[1]
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


def _minimum(model: Model, element: str, lattice: str) -> tuple[float, float] | None:
    """Energy an atom and volume an atom, kcal/mol and Å³, at a lattice's lowest minimum within the range fitted."""
    from scipy.optimize import minimize_scalar

    pair = cluster_name((element, element))
    pairs = [p for p in model.parameters.basis.pairs if p.name == pair]
    if not pairs:
        return None
    low = max(pairs[0].rmin, model.coverage.get(f"{element}:{pair}", (0.0, 0.0))[0], 0.5)
    high = FARTHEST_SHARE * pairs[0].rmax
    cell, positions = ideal_lattice(lattice, 1.0, 1)
    unit = float(nearest_distances(Frame((element,) * len(positions), positions, cell))[0])
    energy = partial(_energy, model, element, lattice, unit)
    distances = np.linspace(low, high, POINTS)
    energies = np.array([energy(r) for r in distances]) if low < high else np.empty(0)
    inner = [i for i in range(1, len(energies) - 1) if energies[i] < min(energies[i - 1], energies[i + 1])]
    if not inner:
        return None
    best = min(inner, key=lambda i: (energies[i], i))
    r = minimize_scalar(energy, bounds=(distances[best - 1], distances[best + 1]), method="bounded").x
    return float(energy(r)), (float(r) / unit) ** 3


def _energy(model: Model, element: str, lattice: str, unit: float, distance: float) -> float:
    """kcal/mol an atom of a lattice whose neighbours have a distance; ``unit`` is theirs at 1 Å³ an atom."""
    cell, positions = ideal_lattice(lattice, (distance / unit) ** 3, 1)
    (found,) = model.evaluate(Frame((element,) * len(positions), positions, cell, origin=lattice))
    return found.energy / len(positions) if math.isfinite(found.energy) else math.inf
