"""What a tile, or evaluating a model, costs before it is done: CPU seconds from neighbour counts; structural nonzeros.

The counts follow the loops of ``kernels/``; what one turn of each costs was fitted to measured times
(``benchmarks/cost_model.py``). Seconds on another machine differ by one common factor, and shares between tiles hardly.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import InputError
from ..frames.frame import working_on
from ..frames.rows import frame_rows, n_rows
from .compiled_basis import compile_recipe
from .frame_rows import UNIFORM, check_elements, scan_frame
from .kernels.edges import padded
from .kernels.moments import moment_layout
from .kernels.neighbours import across
from .kernels.simd import LANES, TILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from ..model.basis import Basis
    from .compiled_basis import Recipe
    from .frame_rows import FrameScan
    from .kernels.clusters import Family

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
    atoms = _atoms(frame, recipe)
    turns = _search_turns(frame, scan, recipe, atoms)
    for a, b in np.argwhere(np.triu(recipe.pair_fn >= 0)):
        pairs = scan.pairs.get((int(a), int(b), float(recipe.edges[recipe.pair_fn[a, b], 3])), 0)
        turns["pair term"] += 2.0 * pairs * int(recipe.pair_order.max() + 1)
    for family in recipe.families:
        for loop, number in _family_turns(family, frame, scan, recipe, atoms).items():
            turns[loop] += number
    turns["entry"] = float(n_rows(frame) * recipe.n_columns)
    return turns


def _atoms(frame: Frame, recipe: Recipe) -> NDArray[np.int64]:
    """(elements,) atoms of each of the recipe's elements."""
    codes = recipe.codes(frame)
    return np.array([np.count_nonzero(codes == e) for e in range(len(recipe.elements))], np.int64)


def _search_turns(frame: Frame, scan: FrameScan, recipe: Recipe, atoms: NDArray[np.int64]) -> defaultdict[str, float]:
    """What finding a frame's neighbours takes."""
    turns = defaultdict(float, {"frame": 1.0})
    longest = {(a, b): float(recipe.outer[a, b]) for a, b in np.argwhere(np.triu(recipe.outer) > 0)}
    turns["neighbour"] = 2.0 * sum(scan.pairs.get((a, b, r), 0) for (a, b), r in longest.items())
    # the search finds all pairs within the longest cutoff, joined or not
    searched = float(atoms[recipe.outer.any(axis=1)].sum())
    turns["found"] = searched * max(searched * _share_within(frame, recipe.reach), 1.0)
    return turns


def _share_within(frame: Frame, reach: float) -> float:
    """Neighbours within ``reach`` of an atom, for each atom of the frame: those that vesin finds. All in a molecule."""
    if frame.cell is None or frame.pbc is None:  # the second for type checkers
        return 1.0
    sphere = 4.0 / 3.0 * np.pi * reach**3
    if frame.periodic:
        return sphere / frame.volume
    measure = float(np.prod(np.linalg.svd(frame.repeats, compute_uv=False)))
    # of what is thinner than the sphere, a disc or a rod lies within it
    widths = np.maximum(np.ptp(frame.positions @ across(frame.cell, frame.pbc).T, axis=0), 4.0 / 3.0 * reach)
    return float(sphere / (measure * np.prod(widths)))


def _mean_neighbours(
    fn: NDArray[np.int64], scan: FrameScan, recipe: Recipe, atoms: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(elements, elements) neighbours, of the second element, of an atom of the first, by the edges of ``fn``."""
    mean = np.zeros((len(atoms), len(atoms)))
    for a, b in np.argwhere(fn >= 0):
        pairs = scan.pairs.get((min(a, b), max(a, b), float(recipe.edges[fn[a, b], 3])), 0)
        mean[a, b] = (2.0 if a == b else 1.0) * pairs / max(int(atoms[a]), 1)
    return mean


def _family_turns(
    family: Family, frame: Frame, scan: FrameScan, recipe: Recipe, atoms: NDArray[np.int64]
) -> dict[str, float]:
    n = family.n
    xs, _, _, _, sets = moment_layout(family.body, n)
    overlap = scan.overlap.get(recipe.mean_cutoff(family), 0.0)
    mean = _mean_neighbours(family.fn, scan, recipe, atoms)
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


EVALUATION_NANOSECONDS: Final[dict[str, float]] = {
    "frame": 3.64e5, "found": 68.4, "neighbour": 94.4, "look": 1.47e4, "range": 3.52, "pair": 192.0, "pair batch": 32.4,
    "family": 3.0e4, "edge": 0.392, "around": 0.93, "centre pair": 475.0, "role": 103.0, "multiply": 0.0439,
    "meeting": 3.35, "multiply 4": 0.0289, "dot": 0.0989,
}  # fmt: skip
"""As :data:`NANOSECONDS`, of evaluations, on the same processor: 408 models on frames of 2 to 686 atoms, all of them
made or chosen by ``benchmarks/cost_model.py``."""


def evaluation_seconds(frame: Frame, scan: FrameScan, recipe: Recipe) -> float:
    """Estimated CPU seconds of :meth:`~hiertl_dist.Model.evaluate` on one frame, in one thread.

    Parameters
    ----------
    frame : Frame
        The frame.
    scan : FrameScan
        That of the frame, by this recipe or by one of the same elements that has all of its edges.
    recipe : Recipe
        That of all blocks of the model.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    ValueError
        The scan lacks an edge of the recipe.
    """
    turns = evaluation_turns(frame, scan, recipe)
    return float(1e-9 * sum(EVALUATION_NANOSECONDS[loop] * number for loop, number in turns.items()))


def evaluation_turns(frame: Frame, scan: FrameScan, recipe: Recipe) -> dict[str, float]:
    """How often the loops behind an evaluation turn, by the names in :data:`EVALUATION_NANOSECONDS`.

    Raises ValueError as :func:`evaluation_seconds` does.
    """
    if missing := recipe.cutoffs - set(scan.pairs):
        a, b, cutoff = min(missing)
        raise ValueError(
            f"{frame.origin}: expected a scan with all edges of the recipe, found none of {recipe.elements[a]} and "
            f"{recipe.elements[b]} up to {cutoff} Å"
        )
    atoms = _atoms(frame, recipe)
    turns = _search_turns(frame, scan, recipe, atoms)
    turns["look"] = float(_looks(recipe, atoms))
    turns["range"] = turns["neighbour"] * turns["look"]
    mean, n = _mean_neighbours(recipe.pair_fn, scan, recipe, atoms), int(recipe.pair_order.max(initial=0)) + 1
    for a, b in np.argwhere(mean > 0):
        each = 0.5 * mean[a, b]
        turns["pair"] += atoms[a] * each
        turns["pair batch"] += atoms[a] * max(min(1.0, each), (each + 0.45 * LANES) / LANES) * n
    for family in recipe.families:
        for loop, number in _cluster_turns(family, scan, recipe, atoms).items():
            turns[loop] += number
    return turns


def _looks(recipe: Recipe, atoms: NDArray[np.int64]) -> int:
    """How often all neighbours are looked at to compare the distances of each block with those it was fitted on."""
    reach: dict[frozenset[int], dict[tuple[int, int], float]] = defaultdict(dict)
    for fn, role in [(recipe.pair_fn, None), *((f.fn, r) for f in recipe.families for r in f.role)]:
        joined = [(int(a), int(b)) for a, b in np.argwhere(np.triu((fn if role is None else role) >= 0))]
        for pairs in [joined] if role is not None else [[pair] for pair in joined]:
            block = reach[frozenset(e for pair in pairs for e in pair)]
            for pair in pairs:
                block[pair] = max(block.get(pair, 0.0), float(recipe.edges[fn[pair], 3]))
    blocks = [block for members, block in reach.items() if all(atoms[e] for e in members)]
    # each block once, and for each pair of elements the block that reaches farthest
    widest: dict[tuple[int, int], tuple[float, int]] = {}
    for block in blocks:
        for pair, far in block.items():
            widest[pair] = max(widest.get(pair, (0.0, 0)), (far, -len(block)))
    return sum(1 + len(block) for block in blocks) + sum(1 - minus for _, minus in widest.values())


def _cluster_turns(family: Family, scan: FrameScan, recipe: Recipe, atoms: NDArray[np.int64]) -> dict[str, float]:
    """What ``cluster_energy`` takes for one family."""
    n, body = family.n, family.body
    xs, _, _, _, sets = moment_layout(body, n)
    overlap = _overlap_at(scan, recipe.mean_cutoff(family))
    mean = _mean_neighbours(family.fn, scan, recipe, atoms)
    around = mean.sum(axis=1)
    turns = defaultdict(float, {"family": 1.0, "edge": float(atoms @ around) * n})
    turns["around"] = float(atoms @ around**2)
    for a, b in np.argwhere(mean > 0):
        # of two directions of a pair, one
        half = 0.5 * float(atoms[a] * mean[a, b])
        turns["centre pair"] += half
        for t in np.flatnonzero(family.role[:, a, b] >= 0):
            k, l = sorted(family.others[family.role[t, a, b]], key=lambda e: atoms[e])  # noqa: E741
            common_k, common_l = overlap * mean[a, k], overlap * mean[a, l]
            if min(common_k, common_l) <= 0.0:
                continue
            turns["role"] += half
            turns["dot"] += half * padded(n, TILE) * sets
            turns["multiply"] += half * common_k * sets
            if body == 4:
                meeting = half * common_k * common_l * (0.5 if k == l else 1.0)
                turns["meeting"] += meeting
                turns["multiply 4"] += meeting * overlap * padded(n, TILE) * xs
    return turns


def _overlap_at(scan: FrameScan, cutoff: float) -> float:
    """The overlap of neighbours at a cutoff (Å): as scanned, or between the cutoffs that were."""
    if not scan.overlap:
        return UNIFORM
    known = sorted(scan.overlap)
    return float(np.interp(cutoff, known, [scan.overlap[c] for c in known]))


@dataclass(frozen=True, eq=False)
class ScannedFrames:
    """Frames and the scans of a basis, for the cost of that basis and of any that is reduced from it.

    Attributes
    ----------
    elements : tuple of str
        Those of the basis, in its order.
    frames : tuple of Frame
        The frames.
    scans : tuple of FrameScan
        One for each frame.
    """

    elements: tuple[str, ...]
    frames: tuple[Frame, ...]
    scans: tuple[FrameScan, ...]


def scan_some(frames: Sequence[Frame], basis: Basis, most: int = 20) -> ScannedFrames:
    """Scan at most so many frames, evenly spread over all.

    Raises
    ------
    FrameError
        An element that is not the basis's, or atoms on top of one another.
    ValueError
        No frame.
    """
    if not frames or most < 1:
        raise InputError(f"expected at least one frame to scan, found {min(len(frames), most)}")
    some = tuple(frames[:: -(-len(frames) // most)])
    check_elements(some, basis.elements)
    recipe = compile_recipe(basis)
    scans = []
    for frame in some:
        with working_on(frame):
            scans.append(scan_frame(frame, recipe))
    return ScannedFrames(basis.elements, some, tuple(scans))


def model_cost(basis: Basis, frames: Sequence[Frame] | ScannedFrames) -> float:
    """Estimated CPU seconds per atom of evaluating a model with this basis: the mean over the atoms of some frames.

    It rises with orders and cluster types as the kernels' work does. A two-body order below that of another pair saves
    nothing. Many-body types share work where their orders are equal and their cutoffs agree, so a lower order of one of
    them alone, or one of several with cutoffs of their own left out, may cost more.

    Parameters
    ----------
    basis : Basis
        That of the model.
    frames : sequence of Frame, or ScannedFrames
        At most 20 of them are scanned; or what :func:`scan_some` made with this basis, or with one that this one is
        reduced from (types with lower orders, types left out), so that many bases cost one scan.

    Returns
    -------
    float
        Seconds per atom.

    Raises
    ------
    FrameError
        An element that is not the basis's, or atoms on top of one another.
    ValueError
        No frame; a scan that was made with other elements or lacks an edge of the basis.
    """
    scanned = frames if isinstance(frames, ScannedFrames) else scan_some(frames, basis)
    if scanned.elements != basis.elements:
        raise InputError(f"expected frames scanned with the elements {basis.elements}, found {scanned.elements}")
    recipe = compile_recipe(basis)
    seconds = [evaluation_seconds(f, s, recipe) for f, s in zip(scanned.frames, scanned.scans, strict=True)]
    return sum(seconds) / sum(len(f) for f in scanned.frames)


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
