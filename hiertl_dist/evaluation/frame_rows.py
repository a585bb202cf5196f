"""Tiles: the design rows of some frames for one block, and what is looked up in a frame before that.

``fill_rows`` is where kernels meet frames; everything that makes rows goes through it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, get_args

import numpy as np

from ..errors import FrameError, InnerCutoffError, InputError
from ..frames.frame import Frame, working_on
from ..frames.frame_sequence import FrameSequence
from ..frames.rows import frame_rows, n_rows
from ..model.basis import cluster_name
from .kernels.clusters import cluster_rows
from .kernels.neighbours import Marked, Neighbours, mark_neighbours
from .kernels.pairs import pair_rows
from .kernels.scratch import kept_array, scratch_buffer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from .compiled_basis import Recipe

InnerPolicy = Literal["refuse", "skip_frame", "lsq", "damp"]
"""What happens to a frame with a pair inside an inner cutoff: refused; left out; two-body terms left out and
many-body ones damped, as chimes_lsq does; all damped, as chimes_calculator does."""

INNER_POLICIES: Final[tuple[str, ...]] = get_args(InnerPolicy)


@dataclass(frozen=True)
class InnerPair:
    """Two atoms (numbered from 0) closer than an inner cutoff (Å) of their elements, in the basis or a frozen model."""

    frame: str
    atoms: tuple[int, int]
    elements: tuple[str, str]
    distance: float
    inner: float
    source: str = ""

    def __str__(self) -> str:
        (a, b), (x, y) = self.atoms, self.elements
        return (
            f"{self.frame}: atoms {a} ({x}) and {b} ({y}) are {self.distance:.4f} Å apart, inside the inner cutoff "
            f"of {self.inner:.4f} Å{' of ' + self.source if self.source else ''}"
        )


@dataclass(frozen=True)
class FrameScan:
    """What one look at a frame's neighbours tells.

    Attributes
    ----------
    inside : tuple of InnerPair
        Pairs inside an inner cutoff, of the recipe or of a frozen model.
    ranges : dict from str to tuple (float, float)
        Per ``"block:pair"``, shortest and longest distance (Å) that the block's own edges join.
    pairs : dict from (int, int, float) to int
        Number of pairs of atoms by codes of their elements and an edge's outer cutoff in Å: those within it.
    overlap : dict from float to float
        Per family, the share of an atom's neighbours that one of its neighbours has too, from a few atoms.
    closest : dict from str to tuple (float, (int, int))
        Per pair of elements, the shortest distance (Å) within reach and the two atoms, numbered from 0.
    """

    inside: tuple[InnerPair, ...]
    ranges: dict[str, tuple[float, float]]
    pairs: dict[tuple[int, int, float], int]
    overlap: dict[float, float]
    closest: dict[str, tuple[float, tuple[int, int]]] = field(default_factory=dict)


def scan_frame(
    frame: Frame, recipe: Recipe, blocks: Mapping[str, Recipe] | None = None, frozen: Mapping[str, Recipe] | None = None
) -> FrameScan:
    """Find a frame's contacts: for the cost of a few frames. Of many, ``chunk_scan.py`` tells the same sooner.

    Parameters
    ----------
    frame : Frame
        The frame.
    recipe : Recipe
        Whose edges count.
    blocks : mapping from str to Recipe, optional
        Recipes of single blocks by name, whose ranges are wanted.
    frozen : mapping from str to Recipe, optional
        Recipes of frozen models by their source, whose inner cutoffs count too.

    Returns
    -------
    FrameScan
        Contacts, ranges and numbers of pairs.

    Raises
    ------
    FrameError
        Atoms are on top of one another.
    """
    frozen = frozen or {}
    near = frame_neighbours(frame, recipe, max((float(r.inner.max(initial=0.0)) for r in frozen.values()), default=0.0))
    joined = {id(r): joined_pairs(frame, r, near) for r in {recipe, *(blocks or {}).values()}}
    cutoffs = {recipe.mean_cutoff(family) for family in recipe.families}
    ranges = {name: joined[id(r)] for name, r in (blocks or {}).items()}
    return FrameScan(
        inner_pairs(frame, recipe, frozen, near), _ranges(ranges, near), _count_pairs(recipe, joined[id(recipe)], near),
        {cutoff: neighbour_overlap(near, cutoff) for cutoff in cutoffs}, _closest(frame, recipe, near),
    )  # fmt: skip


def _closest(frame: Frame, recipe: Recipe, near: Neighbours) -> dict[str, tuple[float, tuple[int, int]]]:
    codes, size = recipe.codes(frame), len(recipe.elements)
    i, j = codes[near.centre], codes[near.atom]
    known = np.flatnonzero(near.half & (i >= 0) & (j >= 0))
    pair, dist = (np.minimum(i, j) * size + np.maximum(i, j))[known], near.dist[known]
    shortest = np.full(size * size, np.inf)
    np.minimum.at(shortest, pair, dist)
    hits = known[dist == shortest[pair]]
    # of equal distances, the first
    pairs, first = np.unique((np.minimum(i, j) * size + np.maximum(i, j))[hits], return_index=True)
    return {
        cluster_name((recipe.elements[p // size], recipe.elements[p % size])): (
            float(near.dist[a]), (int(near.centre[a]), int(near.atom[a]))
        )
        for p, a in zip(pairs.tolist(), hits[first].tolist(), strict=True)
    }  # fmt: skip


def _count_pairs(
    recipe: Recipe, joined: Mapping[str, NDArray[np.intp]], near: Neighbours
) -> dict[tuple[int, int, float], int]:
    counts = {}
    for a, b, cutoff in recipe.cutoffs:
        name = cluster_name((recipe.elements[a], recipe.elements[b]))
        counts[a, b, cutoff] = int(np.count_nonzero(near.dist[joined.get(name, [])] < cutoff))
    return counts


SAMPLE: Final = 4
"""Atoms of a frame whose neighbours are looked at for the overlap."""

UNIFORM: Final = 15.0 / 32.0
"""The overlap at uniform density: the lens of two equal spheres at a distance of x radii is 1 − 3x/4 + x³/16 of one,
averaged over 3x² dx."""


def neighbour_overlap(near: Neighbours, cutoff: float) -> float:
    """Share of the neighbours within a cutoff that one of them has within the same cutoff."""
    joined = among = 0
    last = len(near.start) - 2
    for i in {last * k // max(SAMPLE - 1, 1) for k in range(SAMPLE)}:
        neighbours = slice(near.start[i], near.start[i + 1])
        around = near.vec[neighbours][near.dist[neighbours] < cutoff]
        around = around[:: max(1, len(around) // 100)]
        inner = around @ around.T
        squares = np.diagonal(inner)
        joined += int(np.count_nonzero(squares[:, np.newaxis] + squares - 2.0 * inner < cutoff**2)) - len(around)
        among += len(around) * (len(around) - 1)
    return joined / among if among else UNIFORM


def block_ranges(frame: Frame, blocks: Mapping[str, Recipe], near: Neighbours) -> dict[str, tuple[float, float]]:
    """Per ``"block:pair"``, shortest and longest distance (Å) that the edges of each block join."""
    return _ranges({block: joined_pairs(frame, recipe, near) for block, recipe in blocks.items()}, near)


def _ranges(blocks: Mapping[str, Mapping[str, NDArray[np.intp]]], near: Neighbours) -> dict[str, tuple[float, float]]:
    return {
        f"{block}:{pair}": (float(near.dist[p].min()), float(near.dist[p].max()))
        for block, joined in blocks.items()
        for pair, p in joined.items()
    }


def widest_ranges(parts: Iterable[Mapping[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    """The range that holds all ranges of a name."""
    widest: dict[str, tuple[float, float]] = {}
    for part in parts:
        for name, (low, high) in part.items():
            before = widest.get(name, (low, high))
            widest[name] = (min(low, before[0]), max(high, before[1]))
    return widest


def check_elements(frames: Iterable[Frame], elements: Sequence[str]) -> None:
    """Raise FrameError, naming the frame, if one has an element that is not among these."""
    if isinstance(frames, FrameSequence):
        known = set(elements)
        strange = np.array([not own.elements <= known for own in frames.facts.set_names], np.bool_)
        frames = frames.take(np.flatnonzero(strange[frames.facts.sets])[:1])
    for frame in frames:
        if unknown := frame.elements - set(elements):
            raise FrameError(
                f"{frame.origin}: {', '.join(sorted(unknown))} not among the elements {tuple(elements)}; give a basis "
                "that has all, or leave such frames out: in Python frames.where(elements=…) chooses some, on a command "
                "line each set of elements can have a file, or a data set, of its own"
            )


def check_policy(policy: str) -> None:
    """Raise ValueError unless ``policy`` is one of :data:`InnerPolicy`."""
    if policy not in INNER_POLICIES:
        raise InputError(f"policy for pairs inside an inner cutoff: expected one of {INNER_POLICIES}, found {policy!r}")


def answerable(
    frames: Sequence[Frame] | Frame, policy: str, verb: str, elements: Iterable[str] | None = None
) -> list[Frame]:
    """The frames that a model is asked about, each of which gets an answer.

    Raises ValueError for a policy that would leave one out, FrameError for one with other ``elements``.
    """
    check_policy(policy)
    if policy == "skip_frame":
        raise InputError(f"{verb}: policy skip_frame would leave a frame without an answer; damp, lsq or refuse")
    listed = [frames] if isinstance(frames, Frame) else list(frames)
    if elements is not None:
        check_elements(listed, sorted(elements))
    return listed


def pairs_inside(frame: Frame, recipe: Recipe, near: Neighbours) -> list[InnerPair]:
    """The pairs of a frame that lie inside an inner cutoff, each once."""
    codes = recipe.codes(frame)
    i, j = near.centre, near.atom
    known = (codes[i] >= 0) & (codes[j] >= 0) & near.half
    known &= near.dist < np.where(known, recipe.inner[codes[i], codes[j]], 0.0)
    return [
        InnerPair(
            frame.origin, (int(i[a]), int(j[a])), (frame.species[i[a]], frame.species[j[a]]), float(near.dist[a]),
            float(recipe.inner[codes[i[a]], codes[j[a]]]),
        )
        for a in np.flatnonzero(known)
    ]  # fmt: skip


def inner_pairs(frame: Frame, recipe: Recipe, frozen: Mapping[str, Recipe], near: Neighbours) -> tuple[InnerPair, ...]:
    """The pairs inside an inner cutoff of the recipe, and then those inside one of a frozen model's alone."""
    inside = {(p.atoms, p.distance): p for p in pairs_inside(frame, recipe, near)}
    for source, other in frozen.items():
        for pair in pairs_inside(frame, other, near):
            inside.setdefault((pair.atoms, pair.distance), replace(pair, source=source))
    return tuple(inside.values())


def joined_pairs(frame: Frame, recipe: Recipe, near: Neighbours) -> dict[str, NDArray[np.intp]]:
    """Indices into ``near`` of the neighbours that an edge of the recipe joins, each pair once, by pair of elements."""
    codes = recipe.codes(frame)
    i, j = codes[near.centre], codes[near.atom]
    use = near.half & (i >= 0) & (j >= 0)
    use &= near.dist < np.where(use, recipe.outer[i, j], 0.0)
    by_pair = {}
    for a, b in np.argwhere(np.triu(recipe.outer) > 0):
        pairs = np.flatnonzero(use & (((i == a) & (j == b)) | ((i == b) & (j == a))))
        if len(pairs):
            by_pair[cluster_name((recipe.elements[a], recipe.elements[b]))] = pairs
    return by_pair


def frame_neighbours(
    frame: Frame, recipe: Recipe, least: float | None = None, *, within: float | None = None
) -> Neighbours:
    """The pairs of atoms that some edge of the recipe joins.

    With ``least`` (Å) all pairs, up to the longest of both, and with ``within`` (Å) all up to that. Raises FrameError
    for atoms on top of one another, or too far apart, or a cell that is too long and thin.
    """
    if within is None and least is None:
        return joined_neighbours(frame, recipe, recipe.codes(frame)).near
    return marked_neighbours(frame, max(recipe.reach, least or 0.0) if within is None else within).near


def joined_neighbours(frame: Frame, recipe: Recipe, codes: NDArray[np.int64]) -> Marked:
    """The pairs of atoms that some edge of the recipe joins, and whether some are inside its inner cutoffs.

    ``codes`` are the recipe's of the frame. Raises FrameError as :func:`frame_neighbours` does.
    """
    return marked_neighbours(frame, recipe.reach, recipe.joined[codes], recipe.outer, recipe.inner)


def marked_neighbours(frame: Frame, reach: float, *kinds: NDArray[Any]) -> Marked:
    """As ``mark_neighbours`` of a frame. Raises FrameError, which names it, as :func:`frame_neighbours` does."""
    try:
        found = mark_neighbours(frame.positions, frame.cell, reach, *kinds, pbc=frame.pbc or (True, True, True))
    except (ValueError, RuntimeError) as error:
        raise FrameError(f"{frame.origin}: {error}") from error
    if found.coincide:
        near = found.near
        a = int(near.dist.argmin())
        pair = " and ".join(f"{i} ({frame.species[i]})" for i in (near.centre[a], near.atom[a]))
        raise FrameError(f"{frame.origin}: atoms {pair} coincide")
    return found


def fill_rows(frame: Frame, recipe: Recipe, out: NDArray[np.float64], policy: InnerPolicy = "refuse") -> None:
    """Write a frame's design rows, unweighted, in the order of :mod:`hiertl_dist.frames.rows`.

    Parameters
    ----------
    frame : Frame
        The frame.
    recipe : Recipe
        What the columns are.
    out : ndarray of shape (n_rows(frame), recipe.n_columns)
        Overwritten, with forces (kcal/mol/Å), stresses (kcal/mol/Å³) and energies (kcal/mol) per unit of each
        coefficient.
    policy : {"refuse", "damp", "lsq"}, default "refuse"
        What becomes of pairs inside an inner cutoff; ``skip_frame`` is the caller's business and refused here too.

    Raises
    ------
    InnerCutoffError
        A pair lies inside an inner cutoff and the policy does not say how to go on.
    """
    if out.shape != (n_rows(frame), recipe.n_columns):
        raise ValueError(f"{frame.origin}: expected rows of shape {(n_rows(frame), recipe.n_columns)}, got {out.shape}")
    if out.dtype != np.float64:
        raise ValueError(f"{frame.origin}: expected an array of float64, got {out.dtype}")
    codes = recipe.codes(frame)
    found = joined_neighbours(frame, recipe, codes)
    if found.inside and policy not in ("lsq", "damp"):
        raise_inside(frame, recipe, found.near, policy)
    write_rows(frame, recipe, codes, found.near, out, policy)


def raise_inside(frame: Frame, recipe: Recipe, near: Neighbours, policy: str) -> NoReturn:
    """Raise InnerCutoffError for a frame that has pairs inside an inner cutoff."""
    inside = pairs_inside(frame, recipe, near)
    raise InnerCutoffError(f"{inside[0]} ({len(inside)} such pairs; policy {policy!r})")


def write_rows(
    frame: Frame, recipe: Recipe, codes: NDArray[np.int64], near: Neighbours, out: NDArray[np.float64],
    policy: InnerPolicy,
) -> None:  # fmt: skip
    """What :func:`fill_rows` writes, of a frame whose codes and neighbours are known."""
    has_forces, components, has_energy = frame_rows(frame)
    frow = 0 if has_forces else -1
    first_stress = 3 * len(frame) * has_forces
    srow = np.full(6, -1, np.int64)
    srow[components] = first_stress + np.arange(len(components))
    erow = len(out) - 1 if has_energy else -1
    rest = (recipe.edges, frame.volume, frow, srow, erow, out)
    if recipe.has_pairs:
        with scratch_buffer() as scratch:
            pair_rows(
                codes, near, recipe.pair_fn, recipe.pair_order, recipe.pair_first, policy != "lsq", *rest, scratch
            )
    for family in recipe.families:
        with scratch_buffer() as scratch:
            cluster_rows(codes, near, family, *rest, scratch)
    for first, number in recipe.idle:
        out[:, first : first + number] = 0.0
    for element, column in enumerate(recipe.one_body):
        if column >= 0:
            out[:, column] = 0.0
            if has_energy:
                out[erow, column] = np.count_nonzero(codes == element)


def rows_of(
    frames: Sequence[Frame], recipe: Recipe, policy: InnerPolicy = "refuse", *, kept: str = ""
) -> NDArray[np.float64]:
    """Design rows of some frames, (rows, columns), one after the other.

    With a name in ``kept`` they are good until this thread's next call with that name, see ``kept_array``.
    """
    counts = [n_rows(f) for f in frames]
    shape = sum(counts), recipe.n_columns
    out = kept_array(f"rows {kept}", shape[0] * shape[1]).reshape(shape) if kept else np.empty(shape)
    start = 0
    for frame, count in zip(frames, counts, strict=True):
        with working_on(frame):
            fill_rows(frame, recipe, out[start : start + count], policy)
        start += count
    return out


def has_pair_inside(frame: Frame, recipe: Recipe) -> bool:
    """Whether a pair of a frame lies inside an inner cutoff. Raises FrameError as :func:`frame_neighbours` does."""
    return joined_neighbours(frame, recipe, recipe.codes(frame)).inside


def skipped_frames(frames: Sequence[Frame], recipe: Recipe) -> frozenset[int]:
    """Indices of the frames that have a pair inside an inner cutoff: those that ``skip_frame`` leaves out."""
    skipped = []
    for i, frame in enumerate(frames):
        with working_on(frame):
            if has_pair_inside(frame, recipe):
                skipped.append(i)
    return frozenset(skipped)
