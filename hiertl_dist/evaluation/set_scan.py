"""One look at frames with the same elements, by ``kernels/scan.py``; see ``chunk_scan.py``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..model.basis import cluster_name
from ..model.blocks import blocks_of
from .compiled_basis import compile_recipe
from .frame_rows import frame_neighbours, neighbour_overlap
from .kernels import scan as kernel
from .kernels.scan import ODD, Seen, scan_contacts
from .row_costs import FrameCounts, frame_shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ..frames.element_set import ElementSet
    from ..frames.frame import Frame
    from ..frames.frame_table import FrameTable
    from ..model.basis import Basis
    from .compiled_basis import Recipe
    from .kernels.neighbours import Neighbours

NEARLY: Final = 1e-9
"""Å beyond an inner cutoff within which a pair is looked at twice: last digits of distances are the processor's."""

SAMPLED: Final = 16
"""Of so many frames with the same elements the common neighbours are counted in one, or of more: see ``SAMPLES``."""

SAMPLES: Final = 4
"""But not in many more frames than this; of each, four atoms count."""

Closest = tuple[float, str, tuple[int, int]]
"""A shortest distance in Å, the frame and its two atoms, numbered from 0."""


class Wanted(NamedTuple):
    """What is looked for in frames with the same elements.

    Attributes
    ----------
    elements : ElementSet
        Those of the frames.
    basis : Basis
        Whose edges count.
    order : tuple of str
        The elements as they are numbered here: as in the basis, and then others.
    codes : tuple of int
        Of each of them in the basis; −1 of others.
    blocks : dict from ElementSet to Recipe
        Of the blocks that these frames have all elements of.
    frozen : dict from str to Recipe
        Of the same blocks of frozen models.
    reach : float
        How far one looks, Å.
    pair : ndarray of int, shape (elements, elements)
        Number of each pair.
    inner : ndarray of shape (pairs,)
        The largest inner cutoff of each, Å.
    first : ndarray of int, shape (pairs + 1,)
        Where the cutoffs of each begin.
    cutoffs : ndarray of shape (cutoffs,)
        Å, rising within each pair.
    limits : ndarray of shape (cutoffs,)
        The least squares whose roots are not less, Å².
    """

    elements: ElementSet
    basis: Basis
    order: tuple[str, ...]
    codes: tuple[int, ...]
    blocks: dict[ElementSet, Recipe]
    frozen: dict[str, Recipe]
    reach: float
    pair: NDArray[np.int64]
    inner: NDArray[np.float64]
    first: NDArray[np.int64]
    cutoffs: NDArray[np.float64]
    limits: NDArray[np.float64]

    @property
    def recipe(self) -> Recipe:
        """Of all of the blocks: only few frames need it."""
        return compile_recipe(self.basis, tuple(self.blocks))

    def without_cutoffs(self, reach: float) -> Wanted:
        """The same within another reach, where nothing but the shortest distances is looked for."""
        nothing = np.empty(0)
        return self._replace(reach=reach, first=np.zeros_like(self.first), cutoffs=nothing, limits=nothing)

    def known_pairs(self) -> Iterator[tuple[str, int, int, int]]:
        """(name, codes of both elements, number) of each pair of elements that the basis has."""
        for x, a in enumerate(self.codes):
            for y, b in enumerate(self.codes[x:], x):
                if min(a, b) >= 0:
                    yield cluster_name((self.order[x], self.order[y])), a, b, int(self.pair[x, y])

    def column(self, pair: int, cutoff: float) -> int:
        """Where the cutoff of a pair is among all."""
        begin, end = self.first[pair : pair + 2].tolist()
        return int(begin + np.searchsorted(self.cutoffs[begin:end], cutoff))


def wanted_in(elements: ElementSet, basis: Basis, names: Sequence[str], frozen: Sequence[tuple[str, Basis]]) -> Wanted:
    """What is looked for in frames of these elements, for some blocks of a basis and for frozen models."""
    present = tuple(b.name for b in blocks_of(basis, names) if b.name.is_subset(elements))
    blocks = {name: compile_recipe(basis, (name,)) for name in present}
    models = {
        source: compile_recipe(other, tuple(b.name for b in blocks_of(other) if b.name.is_subset(elements)))
        for source, other in frozen
    }
    code = {e: c for c, e in enumerate(basis.elements)}
    order = tuple(sorted(elements.elements, key=lambda e: (code.get(e, len(code)), e)))
    pairs = [(a, b) for i, a in enumerate(order) for b in order[i:]]
    pair = np.zeros((len(order), len(order)), np.int64)
    for number, (x, y) in enumerate(zip(*np.triu_indices(len(order)), strict=True)):
        pair[x, y] = pair[y, x] = number
    inner, by_pair = np.zeros(len(pairs)), [set[float]() for _ in pairs]
    for recipe in (*blocks.values(), *models.values()):
        own = {e: c for c, e in enumerate(recipe.elements)}
        for number, (a, b) in enumerate(pairs):
            if a in own and b in own:
                inner[number] = max(inner[number], recipe.inner[own[a], own[b]])
    for recipe in blocks.values():
        for i, j, cutoff in recipe.cutoffs:
            by_pair[pairs.index((basis.elements[i], basis.elements[j]))].add(cutoff)
    cutoffs = [c for own in by_pair for c in sorted(own)]
    reaches = [*(r.reach for r in blocks.values()), *(float(r.inner.max(initial=0.0)) for r in models.values())]
    return Wanted(
        elements, basis, order, tuple(code.get(e, -1) for e in order), blocks, models,
        max(reaches, default=0.0), pair, inner, np.cumsum([0, *map(len, by_pair)]), np.array(cutoffs, np.float64),
        np.array([_square_limit(c) for c in cutoffs], np.float64),
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _square_limit(cutoff: float) -> float:
    """The least number whose square root is not less than a cutoff: then squares compare as their roots would."""
    square = cutoff * cutoff
    while math.sqrt(square) >= cutoff:
        square = math.nextafter(square, 0.0)
    while math.sqrt(square) < cutoff:
        square = math.nextafter(square, math.inf)
    return square


@dataclass(frozen=True, eq=False)
class SetScan:
    """What was seen in m frames with the same elements: ``members`` of a table."""

    wanted: Wanted
    members: NDArray[np.int64]
    seen: Seen

    @cached_property
    def doubtful(self) -> list[int]:
        """Which of the frames are for a list of neighbours: odd ones, and those with a pair about inside a cutoff."""
        near = (self.seen.shortest < self.wanted.inner + NEARLY).any(axis=1)
        return np.flatnonzero(near | (self.seen.flag == ODD)).tolist()

    def enter(self, row: int, frame: Frame, near: Neighbours) -> None:
        """Enter what a list of neighbours within the same reach tells of an odd frame, of which nothing was seen."""
        wanted, seen = self.wanted, self.seen
        code = np.array([wanted.order.index(e) for e in frame.species])
        pair = np.where(near.half, wanted.pair[code[near.centre], code[near.atom]], -1)
        for p in range(len(wanted.inner)):
            own = np.flatnonzero(pair == p)
            seen.shortest[row, p] = near.dist[own].min(initial=np.inf)
            if len(own):
                first = own[near.dist[own].argmin()]
                seen.atoms[row, p] = near.centre[first], near.atom[first]
            for c in range(wanted.first[p], wanted.first[p + 1]):
                within = near.dist[own][near.dist[own] < wanted.cutoffs[c]]
                seen.within[row, c], seen.longest[row, c] = len(within), within.max(initial=0.0)
        seen.measure[row], seen.extent[row] = frame_shape(frame)

    def ranges(self, kept: NDArray[np.bool_]) -> dict[str, tuple[float, float]]:
        """Per ``"block:pair"``, shortest and longest distance (Å) in some of the frames that the block's edges join."""
        found = {}
        for block, recipe in self.wanted.blocks.items():
            for name, a, b, p in self.wanted.known_pairs():
                if recipe.outer[a, b] > 0.0:
                    c = self.wanted.column(p, float(recipe.outer[a, b]))
                    some = kept & (self.seen.within[:, c] > 0)
                    if some.any():
                        low, high = self.seen.shortest[some, p].min(), self.seen.longest[some, c].max()
                        found[f"{block}:{name}"] = float(low), float(high)
        return found

    def closest(self, table: FrameTable) -> dict[str, Closest]:
        """Per pair of elements, the shortest distance within reach; of equal ones that of the first frame."""
        found = {}
        for name, _, _, p in self.wanted.known_pairs():
            row = int(self.seen.shortest[:, p].argmin())
            if np.isfinite(self.seen.shortest[row, p]):
                a, b = self.seen.atoms[row, p].tolist()
                found[name] = float(self.seen.shortest[row, p]), table.origin(int(self.members[row])), (a, b)
        return found

    def counts(self, table: FrameTable, blocks: Sequence[ElementSet]) -> FrameCounts:
        """What the costs of rows of some blocks follow from."""
        wanted, members = self.wanted, self.members
        recipes = [wanted.blocks[b] for b in blocks]
        sizes = table.n_atoms[members].astype(np.int64)
        atoms = {e: table.type_counts[members, k] for k, e in enumerate(table.names) if e in wanted.order}
        elements = wanted.basis.elements
        pairs = {}
        for _, a, b, p in wanted.known_pairs():
            for c in range(wanted.first[p], wanted.first[p + 1]):
                pairs[a, b, float(wanted.cutoffs[c])] = self.seen.within[:, c]
        stresses = np.isfinite(table.stresses[members]).sum(axis=1)
        rows = [3 * sizes * table.has_forces[members], stresses, np.isfinite(table.energies[members])]
        none = np.zeros(len(members), np.int64)
        return FrameCounts(
            elements, np.stack([atoms.get(e, none) for e in elements], axis=1), pairs, self._overlap(table, recipes),
            np.stack(rows, axis=1).astype(np.int64), table.pbc[members], self.seen.measure, self.seen.extent,
        )  # fmt: skip

    def _overlap(self, table: FrameTable, recipes: Sequence[Recipe]) -> dict[float, float]:
        """The share of neighbours that two atoms have in common, by cutoff (Å): the mean over some of the frames."""
        cutoffs = sorted({r.mean_cutoff(f) for r in recipes for f in r.families})
        if not cutoffs:
            return {}
        shares = []
        step = max(SAMPLED, len(self.members) // SAMPLES)
        for index in self.members[::step].tolist():
            frame = table.frame(index)
            near = frame_neighbours(frame, recipes[0], within=cutoffs[-1])
            shares.append([neighbour_overlap(near, c) for c in cutoffs])
        return dict(zip(cutoffs, np.mean(shares, axis=0).tolist(), strict=True))


def look_at(table: FrameTable, members: NDArray[np.int64], wanted: Wanted) -> SetScan:
    """Look at frames of a table that have the elements of what is wanted."""
    seen = Seen.nothing(len(members), len(wanted.inner), len(wanted.cutoffs))
    if wanted.reach > 0.0:
        code = np.zeros(len(table.names), np.int64)
        for number, element in enumerate(wanted.order):
            code[table.names.index(element)] = number
        scan_contacts(
            table.starts, code[table.types], _whole(table.positions), _whole(table.cells), _whole(table.pbc),
            members, wanted.reach, wanted.pair, wanted.first, wanted.limits, kernel.FEW, seen,
        )  # fmt: skip
    return SetScan(wanted, members, seen)


def _whole(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """An array of the one kind that the kernel is compiled for: read-only ones, or parts, would be others."""
    return np.require(array, requirements=["C", "W"])
