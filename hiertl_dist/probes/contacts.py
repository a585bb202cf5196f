"""How close atoms of a probe may come, and how far a frame is stretched where they are closer."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..errors import FrameError, InputError
from ..evaluation.compiled_basis import compile_recipe
from ..evaluation.contacts import MARGIN
from ..evaluation.kernels.neighbours import Neighbours, find_neighbours
from ..frames.type_names import cluster_name, split_symbols
from ..text.words import count_text
from .structures import scaled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from ..model.basis import Basis

REACH: Final = 4.0
"""Å: how far contacts of a probe are looked for, or to the largest limit if that is longer."""

FARTHEST: Final = 12.0
"""Å: an atom without a neighbour within this is alone."""

MOST_STRETCH: Final = 1.05
"""By how much lengths of a probe are stretched at most to keep atoms apart; a probe that needs more is dropped."""


def neighbours_of(frame: Frame, reach: float) -> Neighbours:
    """All pairs of atoms within a distance (Å); FrameError, which names the frame, where they can't be looked for."""
    try:
        return find_neighbours(frame.positions, frame.cell, reach, pbc=frame.pbc or (True, True, True))
    except (ValueError, RuntimeError) as error:
        raise FrameError(f"{frame.origin}: {error}") from error


def nearest_distances(frame: Frame) -> NDArray[np.float64]:
    """(n,) distance of each atom from its nearest neighbour, Å; infinite where there is none within ``FARTHEST``."""
    reach = 3.0
    while True:
        near = neighbours_of(frame, reach)
        has = np.diff(near.start) > 0
        if has.all() or reach >= FARTHEST:
            nearest = np.full(len(frame), np.inf)
            nearest[has] = np.minimum.reduceat(near.dist, near.start[:-1][has]) if has.any() else nearest[has]
            return nearest
        reach = min(1.6 * reach, FARTHEST)


def closest_contacts(frame: Frame, reach: float = REACH) -> dict[str, float]:
    """The shortest distance of each pair of elements, Å, by name; pairs beyond the reach are left out."""
    near = neighbours_of(frame, reach)
    names = sorted(frame.elements)
    number = {e: i for i, e in enumerate(names)}
    codes = np.array([number[s] for s in frame.species])
    i, j = codes[near.centre], codes[near.atom]
    shortest = np.full((len(names), len(names)), np.inf)
    np.minimum.at(shortest, (np.minimum(i, j), np.maximum(i, j)), near.dist)
    return {
        cluster_name((names[a], names[b])): float(shortest[a, b]) for a, b in np.argwhere(np.isfinite(shortest))
    }  # fmt: skip


def widest(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Of each pair the shortest distance of all parts."""
    shortest: dict[str, float] = {}
    for part in parts:
        shortest |= {pair: min(r, shortest.get(pair, r)) for pair, r in part.items()}
    return shortest


def shortest_fitted(coverage: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """The shortest distances that a model was fitted to, as ``shortest`` of what makes probes.

    Parameters
    ----------
    coverage : Mapping from str to tuple (float, float)
        Shortest and longest distance, Å, by ``"block:pair"``, such as ``Model.coverage``.

    Returns
    -------
    dict from str to float
        Å by pair: of one element from its own block, of two from any block.
    """
    shortest: dict[str, float] = {}
    for key, (low, _) in sorted(coverage.items()):
        block, _, pair = key.partition(":")
        if set(split_symbols(pair)) == set(split_symbols(block)) or len(set(split_symbols(pair))) > 1:
            shortest[pair] = min(low, shortest.get(pair, low))
    return shortest


def contact_limits(
    elements: Sequence[str], shortest: Mapping[str, float], basis: Basis | None = None
) -> dict[str, float]:
    """How close two atoms of each pair of elements may be.

    Parameters
    ----------
    elements : sequence of str
        The elements.
    shortest : Mapping from str to float
        Å, the shortest known distance by pair, ``{"MoMo": 2.1}``. That of two elements, where it is not given, is the
        mean of theirs.
    basis : Basis, optional
        Whose inner cutoffs no pair may be within.

    Returns
    -------
    dict from str to float
        Å by pair; pairs of which nothing is known are left out.

    Raises
    ------
    InputError
        The basis lacks an element.
    """
    if basis is not None and (lacking := [e for e in elements if e not in basis.elements]):
        raise InputError(f"probes: expected a basis of {', '.join(elements)}, found none of {', '.join(lacking)} in it")
    recipe = None if basis is None else compile_recipe(basis.restricted(elements))
    limits = {}
    for a, b in itertools.combinations_with_replacement(sorted(elements), 2):
        pair, limit = cluster_name((a, b)), 0.0
        if recipe is not None and (inner := recipe.inner[recipe.elements.index(a), recipe.elements.index(b)]) > 0.0:
            limit = float(inner) + MARGIN
        own = [shortest.get(cluster_name((e, e))) for e in (a, b)]
        mixed = 0.5 * (own[0] + own[1]) if own[0] is not None and own[1] is not None else 0.0
        if (limit := max(limit, shortest.get(pair, mixed))) > 0.0:
            limits[pair] = limit
    return limits


def needed_stretch(frame: Frame, limits: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """By what lengths must be multiplied at least so that no pair is closer than its limit, and the contacts now."""
    closest = closest_contacts(frame, max([REACH, *limits.values()]))
    ratios = [limits.get(pair, 0.0) / r if r > 0.0 else np.inf for pair, r in closest.items()]
    return max([1.0, *ratios]), closest


class Apart(NamedTuple):
    """A frame whose atoms are far enough apart, by what its lengths were multiplied for it, and its contacts in Å."""

    frame: Frame
    stretch: float
    closest: Mapping[str, float]


def kept_apart(frame: Frame, limits: Mapping[str, float]) -> Apart | None:
    """The frame, stretched where atoms are too close; None where it would take more than ``MOST_STRETCH``."""
    stretch, closest = needed_stretch(frame, limits)
    if stretch <= 1.0:
        return Apart(frame, 1.0, closest)
    if stretch > MOST_STRETCH:
        return None
    # beyond the last digit, so that the pair at fault is not below its limit again
    stretch *= 1.0 + 1e-12
    wider = scaled(frame, stretch, origin=frame.origin)
    return Apart(wider, stretch, closest_contacts(wider))


def stretch_notes(stretches: Iterable[float]) -> list[str]:
    """What is to be said of probes that were stretched."""
    more = [stretch for stretch in stretches if stretch > 1.0]
    if not more:
        return []
    return [f"{count_text(len(more), 'probe')} stretched by up to {100 * (max(more) - 1):.2f} % to keep atoms apart"]
