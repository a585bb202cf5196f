"""Clusters that occur in frames: how many of each type there are within the cutoffs of a model."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from ..frames.frame import working_on
from ..frames.type_names import Elements, cluster_name
from .frame_rows import marked_neighbours
from .kernels.counting import count_clusters

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from ..model.basis import Basis

MOST_COUNTED: Final = 100
"""Frames, at most, in which every type is counted: counting in all would cost as much as the rows of small frames.
Of more the numbers are scaled. Types of which it matters whether there is any are looked for in all."""

Reaches = dict[tuple[int, Elements], float]
TypeCounts = dict[str, tuple[int, int]]
"""By the name of a type of cluster, in how many frames it occurs, and how often."""


def edge_reaches(bases: Sequence[Basis], clusters: Collection[Elements]) -> Reaches:
    """How far each edge of some clusters, of which bases may lack the type, reaches in Å, by number of atoms and pair.

    As far as that of any type of as many atoms with this edge; where there is none, as the longest edge of any such
    type. A pair that is stated with rmin = rmax is switched off: 0.
    """
    known: Reaches = {}
    longest: dict[int, float] = defaultdict(float)
    for kind in (t for basis in bases for t in basis.types if t.body > 1):
        for own in kind.edges:
            key = kind.body, own.elements
            known[key] = max(known.get(key, 0.0), own.rmax)
            longest[kind.body] = max(longest[kind.body], own.rmax)
    pairs = {p.elements: p for basis in bases for p in basis.pairs}
    reaches: Reaches = {}
    for cluster in clusters:
        body = len(cluster)
        for edge in set(itertools.combinations(cluster, 2)):
            pair = pairs.get(edge)
            if pair is not None and pair.rmin >= pair.rmax:
                reaches[body, edge] = 0.0
            elif pair is not None and body == 2:
                reaches[body, edge] = pair.rmax
            else:
                reaches[body, edge] = known.get((body, edge), longest[body])
    return reaches


def count_types(
    frames: Iterable[Frame], clusters: Collection[Elements], reaches: Mapping[tuple[int, Elements], float]
) -> TypeCounts:
    """By name of each of some clusters, how many frames have it, and how often it occurs in all of them."""
    counts: TypeCounts = {}
    for frame in frames:
        for cluster, number in count_in(frame, clusters, reaches).items():
            had, total = counts.get(name := cluster_name(cluster), (0, 0))
            counts[name] = had + 1, total + number
    return counts


def joined_counts(parts: Iterable[Mapping[str, tuple[int, int]]]) -> TypeCounts:
    """What :func:`count_types` would say of the frames of all parts."""
    counts: TypeCounts = {}
    for part in parts:
        for name, (had, number) in part.items():
            before = counts.get(name, (0, 0))
            counts[name] = before[0] + had, before[1] + number
    return counts


def count_in(frame: Frame, clusters: Iterable[Elements], reaches: Mapping[tuple[int, Elements], float]) -> dict[
    Elements, int
]:  # fmt: skip
    """How often each of some clusters occurs in a frame; those that don't are left out.

    Parameters
    ----------
    frame : Frame
        The frame.
    clusters : iterable of tuple of str
        Sorted elements of two, three or four atoms.
    reaches : mapping from (int, tuple of str) to float
        By number of atoms and pair of elements, Å that atoms of such a cluster are apart at most.

    Returns
    -------
    dict from tuple of str to int
        Of the periodic frame, per cell.

    Raises
    ------
    FrameError
        Atoms on top of one another, or too far apart.
    """
    wanted = [c for c in clusters if frame.elements.issuperset(c)]
    if not wanted:
        return {}
    elements = sorted({e for c in wanted for e in c})
    code = {e: k for k, e in enumerate(elements)}
    lengths = {b: _lengths(elements, b, reaches) for b in sorted({len(c) for c in wanted})}
    longest = np.max(list(lengths.values()), axis=0)
    if not longest.any():
        return {}
    # atoms of elements that no edge joins are no neighbours of anything
    codes = np.array([code.get(s, -1) for s in frame.species], np.int64)
    codes[~np.append(longest.any(axis=1), False)[codes]] = -1
    with working_on(frame):
        near = marked_neighbours(frame, float(longest.max()), codes, longest).near
    found: dict[Elements, int] = {}
    for body, reach in lengths.items():
        size = len(elements)
        counts = np.zeros(size**body, np.int64)
        count_clusters(codes, near.start, near.atom, near.vec, reach**2, body, counts)
        number: dict[Elements, int] = defaultdict(int)
        for place in np.flatnonzero(counts).tolist():
            members = tuple(sorted(elements[k] for k in np.unravel_index(place, (size,) * body)))
            number[members] += int(counts[place])
        found |= {c: n // c.count(min(c)) for c in wanted if len(c) == body and (n := number[c])}
    return found


def _lengths(
    elements: Sequence[str], body: int, reaches: Mapping[tuple[int, Elements], float]
) -> NDArray[np.float64]:  # fmt: skip
    return np.array([[reaches.get((body, (min(a, b), max(a, b))), 0.0) for b in elements] for a in elements])
