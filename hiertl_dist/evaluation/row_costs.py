"""What a tile costs before it is made: CPU seconds from neighbour counts, of many frames at once; structural nonzeros.

The counts follow the loops of ``kernels/``; what one turn of each costs was fitted to measured times
(``benchmarks/cost_model.py``). Seconds on another machine differ by one common factor, and shares between tiles hardly.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..frames.rows import frame_rows
from .kernels.edges import padded
from .kernels.moments import moment_layout
from .kernels.neighbours import across
from .kernels.simd import LANES, TILE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from .compiled_basis import Recipe
    from .frame_rows import FrameScan

NANOSECONDS: Final[dict[str, float]] = {
    "frame": 2.4e4, "family": 1.1e4, "found": 6.3, "neighbour": 39.0, "edge": 1.0, "around": 3.8, "pair": 9.1,
    "pair term": 0.59, "product": 0.12, "other": 16.0, "meeting": 0.42, "multiply": 0.019, "moment": 2.1,
    "orbit term": 0.6, "column": 1.9, "stress column": 1.4, "entry": 0.26,
}  # fmt: skip
"""Of one turn of each loop, on one core of an AMD EPYC (Zen 5): non-negative least squares of the relative errors of
the 119 frames of ``benchmarks/cost_model.py``, which refits them to its own run, and, with a weight of 1e-4 of theirs,
of the distance from what each was before the loops were made faster, by how much they were."""


@dataclass(frozen=True, eq=False)
class FrameCounts:
    """What costs follow from, of n frames with the same elements.

    Attributes
    ----------
    elements : tuple of str
        Those of the basis, in its order.
    atoms : ndarray of int, shape (n, elements)
        Atoms of each element.
    pairs : mapping from (int, int, float) to ndarray of int, shape (n,)
        Pairs of atoms by codes of their elements and an edge's outer cutoff in Å: those within it.
    overlap : mapping from float to float
        By cutoff in Å, the share of an atom's neighbours that one of its neighbours has too.
    rows : ndarray of int, shape (n, 3)
        Number of rows of forces, stresses and energies.
    pbc : ndarray of bool, shape (n, 3)
        Along which lattice vectors each repeats.
    measure : ndarray of shape (n,)
        Volume of a cell, area of a slab's, length of a wire's in Å; nothing of a molecule.
    extent : ndarray of shape (n, 3)
        Å: width along each direction in which a frame does not repeat.
    """

    elements: tuple[str, ...]
    atoms: NDArray[np.int64]
    pairs: Mapping[tuple[int, int, float], NDArray[np.int64]]
    overlap: Mapping[float, float]
    rows: NDArray[np.int64]
    pbc: NDArray[np.bool_]
    measure: NDArray[np.float64]
    extent: NDArray[np.float64]

    @classmethod
    def of(cls, frame: Frame, scan: FrameScan, elements: tuple[str, ...]) -> FrameCounts:
        """Of one frame, whose pairs are those of its scan."""
        measure, extent = frame_shape(frame)
        forces, stress, energy = frame_rows(frame)
        return cls(
            elements, np.array([[frame.species.count(e) for e in elements]], np.int64),
            {key: np.array([number]) for key, number in scan.pairs.items()}, scan.overlap,
            np.array([[3 * len(frame) * forces, len(stress), energy]], np.int64), np.array([frame.pbc]),
            np.array([measure]), extent[np.newaxis],
        )  # fmt: skip

    def pairs_within(self, a: int, b: int, cutoff: float) -> NDArray[np.int64] | int:
        """(n,) pairs of two elements, in any order, within one of the cutoffs."""
        return self.pairs.get((min(a, b), max(a, b), cutoff), 0)


def frame_shape(frame: Frame) -> tuple[float, NDArray[np.float64]]:
    """A frame's ``measure`` and ``extent`` (3,), see :class:`FrameCounts`."""
    extent = np.zeros(3)
    if frame.cell is None or frame.pbc is None:  # the second for type checkers
        return 1.0, extent
    if not frame.periodic:
        extent[np.logical_not(frame.pbc)] = np.ptp(frame.positions @ across(frame.cell, frame.pbc).T, axis=0)
    return float(np.prod(np.linalg.svd(frame.repeats, compute_uv=False))), extent


def tile_seconds(frame: Frame, scan: FrameScan, recipe: Recipe) -> float:
    """Estimated CPU seconds of one frame's rows."""
    return float(row_seconds(FrameCounts.of(frame, scan, recipe.elements), recipe)[0])


def count_turns(frame: Frame, scan: FrameScan, recipe: Recipe) -> dict[str, float]:
    """How often the loops behind one frame's rows turn, by the names in :data:`NANOSECONDS`."""
    turns = row_turns(FrameCounts.of(frame, scan, recipe.elements), recipe)
    return {loop: float(np.broadcast_to(number, 1)[0]) for loop, number in turns.items()}


def row_seconds(counts: FrameCounts, recipe: Recipe) -> NDArray[np.float64]:
    """(n,) estimated CPU seconds of the rows of each frame."""
    seconds = np.zeros(len(counts.atoms))
    for loop, turns in row_turns(counts, recipe).items():
        seconds += 1e-9 * NANOSECONDS[loop] * turns
    return seconds


def row_turns(counts: FrameCounts, recipe: Recipe) -> dict[str, NDArray[np.float64]]:
    """By the names in :data:`NANOSECONDS`, (n,) or () how often the loops behind the rows of each frame turn."""
    turns = search_turns(counts, recipe)
    for a, b in np.argwhere(np.triu(recipe.pair_fn >= 0)).tolist():
        pairs = counts.pairs_within(a, b, float(recipe.edges[recipe.pair_fn[a, b], 3]))
        turns["pair term"] = turns["pair term"] + 2.0 * pairs * int(recipe.pair_order.max() + 1)
    for number in range(len(recipe.families)):
        for loop, more in _family_turns(counts, recipe, number).items():
            turns[loop] = turns[loop] + more
    turns["entry"] = counts.rows.sum(axis=1) * float(recipe.n_columns)
    return turns


def search_turns(counts: FrameCounts, recipe: Recipe) -> defaultdict[str, NDArray[np.float64]]:
    """What finding the neighbours of each frame takes."""
    turns: defaultdict[str, NDArray[np.float64]] = defaultdict(lambda: np.array(0.0))
    turns["frame"] = np.array(1.0)
    for a, b in np.argwhere(np.triu(recipe.outer) > 0).tolist():
        turns["neighbour"] = turns["neighbour"] + 2.0 * counts.pairs_within(a, b, float(recipe.outer[a, b]))
    # the search finds all pairs within the longest cutoff, joined or not
    searched = counts.atoms[:, recipe.outer.any(axis=1)].sum(axis=1).astype(np.float64)
    turns["found"] = searched * np.maximum(searched * _share_within(counts, recipe.reach), 1.0)
    return turns


def _share_within(counts: FrameCounts, reach: float) -> NDArray[np.float64]:
    """Neighbours within ``reach`` of an atom, for each atom of the frame: those that vesin finds. All in a molecule."""
    sphere = 4.0 / 3.0 * np.pi * reach**3
    # of what is thinner than the sphere, a disc or a rod lies within it
    widths = np.where(counts.pbc, 1.0, np.maximum(counts.extent, 4.0 / 3.0 * reach))
    return np.where(counts.pbc.any(axis=1), sphere / (counts.measure * widths.prod(axis=1)), 1.0)


def mean_neighbours(counts: FrameCounts, recipe: Recipe, fn: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n, elements, elements) neighbours, of the second element, of an atom of the first, by the edges of ``fn``."""
    size = len(counts.elements)
    mean = np.zeros((len(counts.atoms), size, size))
    for a, b in np.argwhere(np.triu(fn >= 0)).tolist():
        pairs = (2.0 if a == b else 1.0) * counts.pairs_within(a, b, float(recipe.edges[fn[a, b], 3]))
        for x, y in ((a, b), (b, a)):
            mean[:, x, y] = pairs / np.maximum(counts.atoms[:, x], 1)
    return mean


class _Roles(NamedTuple):
    """The pairs of elements that a family joins, in both directions, and what they are in each of its types.

    ``a``, ``b`` (pairs,) are the elements of the pairs; of each role ``of`` (roles,) is the pair, ``c`` and ``d`` are
    the elements of the other atoms, ``columns`` and ``terms`` how many there are.
    """

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    of: NDArray[np.int64]
    c: NDArray[np.int64]
    d: NDArray[np.int64]
    columns: NDArray[np.int64]
    terms: NDArray[np.int64]


@lru_cache(maxsize=256)
def _roles(recipe: Recipe) -> tuple[_Roles, ...]:
    """Of each family."""
    found = []
    for family in recipe.families:
        pairs = np.argwhere(family.fn >= 0)
        of, t = np.nonzero(family.role[:, pairs[:, 0], pairs[:, 1]].T >= 0)
        role = family.role[t, pairs[of, 0], pairs[of, 1]]
        found.append(
            _Roles(
                pairs[:, 0], pairs[:, 1], of, family.others[role, 0], family.others[role, 1], family.columns[t],
                family.columns[t] * family.length[role],
            )
        )  # fmt: skip
    return tuple(found)


def _family_turns(counts: FrameCounts, recipe: Recipe, number: int) -> dict[str, NDArray[np.float64]]:
    """What one family takes in each frame, (n,)."""
    family, roles = recipe.families[number], _roles(recipe)[number]
    n, body = family.n, family.body
    xs, _, _, _, sets = moment_layout(body, n)
    overlap = counts.overlap.get(recipe.mean_cutoff(family), 0.0)
    atoms, mean = counts.atoms, mean_neighbours(counts, recipe, family.fn)
    around = mean.sum(axis=2)
    forces = counts.rows[:, 0] > 0
    once = (counts.rows[:, 1] > 0) | (counts.rows[:, 2] > 0)
    turns = {
        "family": np.array(1.0),
        "edge": (atoms * around).sum(axis=1) * padded(n, LANES), "around": (atoms * around**2).sum(axis=1),
    }  # fmt: skip
    # both directions of a pair have force rows, and one of them the others
    each = mean[:, roles.a, roles.b] * np.where(forces, 1.0, 0.5)[:, np.newaxis]
    directed = atoms[:, roles.a] * each
    turns["pair"] = directed.sum(axis=1)
    filled = np.maximum(np.minimum(1.0, each), (each + 0.45 * LANES) / LANES)
    batches = (atoms[:, roles.a] * np.where(each > 0.0, filled, 0.0))[:, roles.of]
    # of the two other atoms, the element that has fewer comes first
    fewer = atoms[:, roles.d] < atoms[:, roles.c]
    to_c, to_d = mean[:, roles.a[roles.of], roles.c], mean[:, roles.a[roles.of], roles.d]
    common = directed[:, roles.of] * overlap * np.where(fewer, to_d, to_c)
    if body == 3:
        turns["multiply"] = common.sum(axis=1) * sets
    else:
        both = overlap * np.where(fewer, to_c, to_d) * np.where(roles.c == roles.d, 0.5, 1.0)
        meeting = (common * both).sum(axis=1)
        turns["product"] = (directed * around[:, roles.a]).sum(axis=1) * overlap * xs
        turns["meeting"], turns["other"] = meeting, common.sum(axis=1)
        turns["multiply"] = overlap * meeting * padded(n, TILE) * xs + turns["other"] * sets
    turns["moment"] = batches.sum(axis=1) * sets
    turns["orbit term"], turns["column"] = batches @ roles.terms, batches @ roles.columns
    turns["stress column"] = turns["column"] * np.where(once, 0.6, 0.0)
    return turns


def structural_nonzeros(counts: FrameCounts, recipe: Recipe) -> NDArray[np.int64]:
    """(n,) entries of each frame's rows that its composition does not force to be zero: an upper bound of nonzeros."""
    present = set(np.flatnonzero(counts.atoms[0]).tolist())
    per_element = np.zeros(len(recipe.elements), np.int64)
    clusters = 0
    for a, b in np.argwhere(np.triu(recipe.pair_fn >= 0)).tolist():
        if {a, b} <= present:
            per_element[list({a, b})] += recipe.pair_order[a, b]
            clusters += int(recipe.pair_order[a, b])
    for family in recipe.families:
        for t, count in enumerate(family.columns.tolist()):
            members = set(np.argwhere(family.role[t] >= 0).ravel().tolist())
            if members <= present:
                per_element[list(members)] += count
                clusters += count
    ones = sum(1 for e in present if recipe.one_body[e] >= 0)
    forces, stresses, energies = counts.rows.T
    by_forces: NDArray[np.int64] = 3 * (counts.atoms @ per_element) * (forces > 0)
    by_others: NDArray[np.int64] = clusters * stresses + (clusters + ones) * energies
    return by_forces + by_others
