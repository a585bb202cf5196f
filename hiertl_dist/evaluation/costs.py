"""What evaluating a model costs before it is done: CPU seconds from neighbour counts; see also ``row_costs.py``."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import InputError
from ..frames.frame import working_on
from .compiled_basis import compile_recipe
from .frame_rows import UNIFORM, check_elements, scan_frame
from .kernels.edges import padded
from .kernels.moments import moment_layout
from .kernels.simd import LANES, TILE
from .row_costs import FrameCounts, mean_neighbours, search_turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from ..model.basis import Basis
    from .compiled_basis import Recipe
    from .frame_rows import FrameScan
    from .kernels.clusters import Family

EVALUATION_NANOSECONDS: Final[dict[str, float]] = {
    "frame": 6.4e4, "found": 8.8, "neighbour": 15.0, "look": 1.1e4, "range": 2.1, "pair": 84.0, "pair batch": 3.8,
    "family": 5.9e3, "edge": 0.16, "around": 0.65, "centre pair": 170.0, "role": 72.0, "multiply": 0.03,
    "meeting": 2.4, "multiply 4": 0.015, "dot": 0.039,
}  # fmt: skip
"""As ``row_costs.NANOSECONDS``, of evaluations, on the same processor and in the same way: 441 models on frames of 2 to
686 atoms, all of them made or chosen by ``benchmarks/cost_model.py``."""


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
    counts = FrameCounts.of(frame, scan, recipe.elements)
    atoms = counts.atoms[0]
    found = search_turns(counts, recipe).items()
    turns = defaultdict(float, {loop: float(np.broadcast_to(number, 1)[0]) for loop, number in found})
    turns["look"] = float(_looks(recipe, atoms))
    turns["range"] = turns["neighbour"] * turns["look"]
    mean, n = mean_neighbours(counts, recipe, recipe.pair_fn)[0], int(recipe.pair_order.max(initial=0)) + 1
    for a, b in np.argwhere(mean > 0):
        each = 0.5 * mean[a, b]
        turns["pair"] += atoms[a] * each
        turns["pair batch"] += atoms[a] * max(min(1.0, each), (each + 0.45 * LANES) / LANES) * n
    for family in recipe.families:
        for loop, number in _cluster_turns(family, counts, recipe).items():
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


def _cluster_turns(family: Family, counts: FrameCounts, recipe: Recipe) -> dict[str, float]:
    """What ``cluster_energy`` takes for one family, in one frame."""
    n, body = family.n, family.body
    xs, _, _, _, sets = moment_layout(body, n)
    overlap = _overlap_at(counts, recipe.mean_cutoff(family))
    atoms, mean = counts.atoms[0], mean_neighbours(counts, recipe, family.fn)[0]
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


def _overlap_at(counts: FrameCounts, cutoff: float) -> float:
    """The overlap of neighbours at a cutoff (Å): as scanned, or between the cutoffs that were."""
    if not counts.overlap:
        return UNIFORM
    known = sorted(counts.overlap)
    return float(np.interp(cutoff, known, [counts.overlap[c] for c in known]))


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
