"""What a tile costs before it is computed: CPU seconds from neighbour counts, and its structural nonzeros.

The counts follow the loops of ``kernels/``; what one turn of each costs was fitted to measured times
(``benchmarks/cost_model.py``). Seconds on another machine differ by one common factor, and shares between tiles hardly.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from .kernels.edges import padded
from .kernels.moments import moment_layout
from .kernels.simd import LANES, TILE
from .rows import frame_rows, n_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frames import Frame
    from .kernels.clusters import Family
    from .recipe import Recipe
    from .tiles import FrameScan

NANOSECONDS: Final[dict[str, float]] = {
    "frame": 1.4e5, "family": 1.3e5, "found": 114.0, "neighbour": 236.0, "edge": 11.2, "around": 5.4, "pair": 35.0,
    "pair term": 1.1, "product": 0.21, "other": 38.0, "meeting": 0.78, "multiply": 0.023, "moment": 3.7,
    "orbit term": 1.09, "column": 2.8, "stress column": 2.3, "entry": 1.6,
}  # fmt: skip
"""Of one turn of each loop, on one core of an Intel Xeon with AVX-512 at 2.3 GHz: non-negative least squares of the
relative errors of 175 frames of 2 to 1024 atoms: the sets of ``benchmarks/cost_model.py``, which refits them to its own
run, and crystals of one to four elements with two- to four-body bases of other orders and cutoffs."""


def tile_seconds(frame: Frame, scan: FrameScan, recipe: Recipe) -> float:
    """Estimated CPU seconds of one frame's rows."""
    return 1e-9 * sum(NANOSECONDS[loop] * turns for loop, turns in count_turns(frame, scan, recipe).items())


def count_turns(frame: Frame, scan: FrameScan, recipe: Recipe) -> dict[str, float]:
    """How often the loops behind one frame's rows turn, by the names in :data:`NANOSECONDS`."""
    codes = recipe.codes(frame)
    atoms = np.array([np.count_nonzero(codes == e) for e in range(len(recipe.elements))], np.int64)
    turns = defaultdict(float, {"frame": 1.0})
    longest = {(a, b): float(recipe.outer[a, b]) for a, b in np.argwhere(np.triu(recipe.outer) > 0)}
    turns["neighbour"] = 2.0 * sum(scan.pairs.get((a, b, r), 0) for (a, b), r in longest.items())
    # the search finds all pairs within the longest cutoff, joined or not
    searched = float(atoms[recipe.outer.any(axis=1)].sum())
    within = 4.0 / 3.0 * np.pi * recipe.reach**3 / frame.volume if frame.cell is not None else 1.0
    turns["found"] = searched * max(searched * within, 1.0)
    for a, b in np.argwhere(np.triu(recipe.pair_fn >= 0)):
        pairs = scan.pairs.get((int(a), int(b), float(recipe.edges[recipe.pair_fn[a, b], 3])), 0)
        turns["pair term"] += 2.0 * pairs * int(recipe.pair_order.max() + 1)
    for family in recipe.families:
        for loop, number in _family_turns(family, frame, scan, recipe, atoms).items():
            turns[loop] += number
    turns["entry"] = float(n_rows(frame) * recipe.n_columns)
    return turns


def _family_turns(
    family: Family, frame: Frame, scan: FrameScan, recipe: Recipe, atoms: NDArray[np.int64]
) -> dict[str, float]:
    n, kinds = family.n, len(atoms)
    xs, _, _, _, sets = moment_layout(family.body, n)
    overlap = scan.overlap.get(recipe.mean_cutoff(family), 0.0)
    # neighbours of an atom of one element that have another
    mean = np.zeros((kinds, kinds))
    for a, b in np.argwhere(family.fn >= 0):
        pairs = scan.pairs.get((min(a, b), max(a, b), float(recipe.edges[family.fn[a, b], 3])), 0)
        mean[a, b] = (2.0 if a == b else 1.0) * pairs / max(int(atoms[a]), 1)
    around = mean.sum(axis=1)
    forces, stress, energy = frame_rows(frame)
    once = len(stress) > 0 or energy
    turns = defaultdict(float, {"family": 1.0})
    turns["edge"] = float(atoms @ around) * padded(n, LANES)
    turns["around"] = float(atoms @ around**2)
    for a, b in np.argwhere(mean > 0):
        # both directions of a pair have force rows, and one of them the others
        directed = float(atoms[a] * mean[a, b]) * (1.0 if forces else 0.5)
        turns["pair"] += directed
        if family.body == 4:
            turns["product"] += directed * overlap * around[a] * xs
        each = mean[a, b] * (1.0 if forces else 0.5)
        batches = atoms[a] * max(min(1.0, each), (each + 0.45 * LANES) / LANES)
        for t in np.flatnonzero(family.role[:, a, b] >= 0):
            role = family.role[t, a, b]
            k, l = sorted(family.others[role], key=lambda e: atoms[e])  # noqa: E741
            common_k, common_l = overlap * mean[a, k], overlap * mean[a, l]
            if family.body == 3:
                turns["multiply"] += directed * common_k * sets
            else:
                both = overlap * common_l * (0.5 if k == l else 1.0)
                turns["meeting"] += directed * common_k * common_l * (0.5 if k == l else 1.0)
                turns["multiply"] += directed * common_k * (both * padded(n, TILE) * xs + sets)
                turns["other"] += directed * common_k
            turns["moment"] += batches * sets
            turns["orbit term"] += batches * int(family.columns[t] * family.length[role])
            turns["column"] += batches * int(family.columns[t])
            turns["stress column"] += batches * int(family.columns[t]) * (0.6 if once else 0.0)
    return turns


def structural_nonzeros(frame: Frame, recipe: Recipe) -> int:
    """Entries of a frame's rows that its composition does not force to be zero: an upper bound of the nonzeros."""
    codes = recipe.codes(frame)
    present = set(codes.tolist())
    per_element = np.zeros(len(recipe.elements), np.int64)
    clusters = 0
    for a, b in np.argwhere(np.triu(recipe.pair_fn >= 0)):
        if {a, b} <= present:
            per_element[list({a, b})] += recipe.pair_order[a, b]
            clusters += int(recipe.pair_order[a, b])
    for family in recipe.families:
        for t, count in enumerate(family.columns):
            members = {int(e) for e in np.argwhere(family.role[t] >= 0).ravel()}
            if members <= present:
                per_element[list(members)] += count
                clusters += int(count)
    forces, stress, energy = frame_rows(frame)
    ones = sum(1 for e in present if e >= 0 and recipe.one_body[e] >= 0)
    known = codes[codes >= 0]
    return int(3 * per_element[known].sum() * forces + clusters * len(stress) + (clusters + ones) * energy)
