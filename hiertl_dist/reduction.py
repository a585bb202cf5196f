"""``reduce_rows``: the design rows of a fit, from a store or made on the fly, become one summary per group.

A leaf is a run of consecutive segments. Its rows are sorted by group into column-major buffers that are
factorised once each; above the leaves stands the executor's fixed binary tree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial, reduce
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .algebra import Gram, RFactor, Summary
from .assembly import block_array, frozen_rows, offset_array
from .basis import split_symbols
from .blocks import Columns, blocks_of, columns_of
from .cards import summaries_card
from .display import Shown
from .one_body import EnergyTerms, labels_above_zero, one_body_values, without_one_body
from .planning import PROCESS_BYTES, check_resources
from .recipe import compile_recipe
from .rows import SUMMARY_KINDS, Group, kind_codes
from .tiles import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from .algebra.collect import Piece
    from .basis import Basis
    from .executors.base import Executor
    from .folds import Folds
    from .parameters import Parameters
    from .planning import Plan, Segment
    from .store import DesignStore
    from .tiles import InnerPolicy

LEAF_ROWS: Final = 6
"""A leaf of this many times as many rows as columns is large enough: more would not be cheaper."""

LEAVES: Final = 8
"""Where there are too few rows for so many leaves of that size, leaves are smaller (but never have fewer rows than
columns), so that workers can share them: with as many rows as columns a reduction takes about 5 % more CPU time."""

LEAF_BYTES: Final = 2**30
"""A leaf of at least as many rows as columns is closed before its buffer exceeds this."""

QR_RATE: Final = 5e10
"""Floating-point operations per second of a QR on one core, roughly: to weigh leaves whose rows are made on the fly."""

SOLVE_SQUARES: Final = {
    "none": 4.5, "ridge": 4.5, "lasso": 7.0, "elastic_net": 8.5, "adaptive_lasso": 8.5, "svd": 9.5,
    "bayesian_ridge": 11.0, "ard": 12.0,
}  # fmt: skip
"""Squares of the width that combining and solving need; 3.1 (4.1 where columns depend on others), 4.1, 6.0, 7.0, 6.9
with nearly all columns active, 9.0, 10.1 and 10.1 were measured, the summary of one large group included."""

SUMMARIES: Final[dict[str, type[Summary]]] = {"rfactor": RFactor, "gram": Gram}


@dataclass(frozen=True, eq=False)
class RowSource:
    """Where the rows of a fit come from: blocks of a store, or the kernels (``store`` is ``None``).

    Attributes
    ----------
    blocks : whose columns are fitted, in order; frozen : models whose predictions are further targets.
    present : (element set, block) pairs that have a tile; elsewhere a block's columns are zero.
    compact : columns of blocks without a tile are not zero but left out, so that each element set has its own.
    energies : what is taken off the labels, and directions of one-body energies that are fitted beside the blocks:
        their columns come after those of the blocks.
    """

    basis: Basis
    policy: InnerPolicy
    blocks: tuple[str, ...]
    frozen: tuple[Parameters, ...]
    store: DesignStore | None
    present: frozenset[tuple[str, str]]
    compact: bool = False
    energies: EnergyTerms = field(default_factory=EnergyTerms)

    @property
    def others(self) -> int:
        """Columns and targets that are not of the blocks."""
        return self.energies.open.count + 1 + len(self.frozen)

    @property
    def width(self) -> int:
        return sum(b.n_columns for b in blocks_of(self.basis, self.blocks)) + self.others

    def width_of(self, elements: str) -> int:
        """Columns and targets of the rows of frames of an element set."""
        if not self.compact:
            return self.width
        own = [b.n_columns for b in blocks_of(self.basis, self.blocks) if (elements, b.name) in self.present]
        return sum(own) + self.others

    def _starts(self, segment: Segment) -> Iterator[tuple[int, str]]:
        """First column of each block that a segment has a tile of."""
        start = 0
        for block in blocks_of(self.basis, self.blocks):
            there = (segment.elements, block.name) in self.present
            if there:
                yield start, block.name
            start += block.n_columns * (there or not self.compact)

    def pieces(self, segments: Sequence[Segment]) -> Iterator[list[Piece]]:
        """[A | b, offsets] of each segment as (first column, rows); columns of blocks without a tile are left out.

        Energies are those above ``energies.zeros``.
        """
        places = [(array, s.key) for s in segments for _, array in self._arrays(s)]
        kept = iter(()) if self.store is None else self.store.read_ahead(places)
        for segment in segments:
            if self.store is not None:
                found = [(first, next(kept)) for first, _ in self._arrays(segment)]
            else:
                found = list(self._made(segment))
            place = self.width_of(segment.elements) - self.others
            yield [*found, (place, labels_above_zero(segment.frames, self.energies))]

    def _arrays(self, segment: Segment) -> Iterator[tuple[int, str]]:
        """First column and array of each piece of a segment that a store has."""
        for start, name in self._starts(segment):
            yield start, block_array(name)
        for i, model in enumerate(self.frozen, self.width_of(segment.elements) - len(self.frozen)):
            yield i, offset_array(model)

    def _made(self, segment: Segment) -> Iterator[Piece]:
        """The same pieces from the kernels."""
        for place, (start, name) in enumerate(self._starts(segment)):
            recipe = compile_recipe(self.basis, (name,))
            # copied before the next segment's are made
            yield start, rows_of(segment.frames, recipe, self.policy, kept=str(place))
        for i, model in enumerate(self.frozen, self.width_of(segment.elements) - len(self.frozen)):
            yield i, frozen_rows(segment.frames, model, self.policy)[:, np.newaxis]


@dataclass(frozen=True, eq=False, repr=False)
class Summaries(Shown, card=summaries_card):
    """One summary per group of rows, with what their columns mean: all that fits need to know of the data.

    Attributes
    ----------
    groups : summary of [A | b, offsets] of each group, unweighted; those of a group with a composition have the columns
        of the blocks of its elements only, see :meth:`blocks_in`.
    basis, blocks : what the columns are; frozen : the models whose predictions are the further targets.
    folds : how frames were shared out for cross-validation, if they were.
    ranges : per element set, shortest and longest distance (Å) of each ``"block:pair"``.
    notes : what a user of the frames must know, such as pairs inside an inner cutoff.
    energies : what was taken off the labels (``zeros``), and the one-body energies whose columns come after those of
        the blocks (``open``).
    """

    groups: Mapping[Group, Summary]
    basis: Basis
    blocks: tuple[str, ...]
    frozen: tuple[Parameters, ...] = ()
    folds: Folds | None = None
    ranges: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    energies: EnergyTerms = field(default_factory=EnergyTerms)

    @cached_property
    def columns(self) -> Columns:
        return Columns((*columns_of(self.basis, self.blocks), *self.energies.open.columns), self.basis.elements)

    def blocks_in(self, group: Group) -> tuple[str, ...]:
        """The blocks whose columns a group's summary has."""
        elements = group.elements
        return tuple(b for b in self.blocks if not elements or set(split_symbols(b)) <= elements)

    def rows(self, group: Group) -> int:
        """Number of rows of a group; a store knows it without reading the group."""
        known = getattr(self.groups, "rows", None)
        return int(self.groups[group].rows if known is None else known(group))

    @cached_property
    def starts(self) -> Mapping[str, range]:
        """By block, the indices of its columns in :attr:`columns`."""
        found, start = {}, 0
        for block in blocks_of(self.basis, self.blocks):
            found[block.name] = range(start, start + block.n_columns)
            start += block.n_columns
        return found

    def offset(self, group: Group) -> Summary:
        """A group's summary with b − Σ offsets as its only target."""
        found = self.groups[group]
        return found.offset([1.0] + [-1.0] * (found.n_targets - 1))

    def combined(self, weights: Mapping[Group, float]) -> Summary:
        """All groups as one summary, weighted; weights multiply rows, so the objective holds their squares."""
        used = [g for g, w in weights.items() if w > 0.0]
        if not used:
            raise ValueError("no group of rows has a weight above zero")
        # small groups first: rows are put below rows for nothing, and below a triangle all at once
        used.sort(key=lambda g: self.groups[g].rows)
        return reduce(lambda total, other: total.merge(other), (self.offset(g).scale(weights[g]) for g in used))


def cut_leaves(segments: Sequence[Segment], width: int, parts: int = 1) -> list[tuple[Segment, ...]]:
    """Runs of consecutive segments that are factorised together; fixed by segments and width alone.

    ``parts`` is the number of groups that share most of the rows, each of which has a factor of its own.
    """
    total = sum(s.rows for s in segments)
    enough = max(width, min(LEAF_ROWS * width * parts, total // LEAVES))
    leaves: list[list[Segment]] = []
    rows = 0
    for segment in segments:
        full = rows >= enough or (rows >= width and (rows + segment.rows) * width * 8 > LEAF_BYTES)
        if not leaves or full:
            leaves.append([])
            rows = 0
        leaves[-1].append(segment)
        rows += segment.rows
    if len(leaves) > 1 and rows < width:
        rest = leaves.pop()
        leaves[-1] += rest
    return [tuple(leaf) for leaf in leaves]


def leaf_bytes(leaves: Sequence[Sequence[Segment]], width: int, method: str = "rfactor") -> int:
    """Peak bytes of a worker that reduces: a leaf's buffers, its widest tile, two triangles and their merge; for
    ``"gram"`` no buffers, but a square for each group of rows in both of two values and in their merge."""
    tile = max((s.rows for leaf in leaves for s in leaf), default=0)
    if method == "gram":
        groups = len({g for leaf in leaves for s in leaf for g, _ in s.groups})
        return PROCESS_BYTES + 8 * width * (2 * tile + 3 * groups * width)
    buffers = max((sum(s.rows for s in leaf) for leaf in leaves), default=0)
    return PROCESS_BYTES + 8 * width * (buffers + 2 * tile + 3 * min(width, buffers))


def solve_bytes(width: int, regulariser: str | None = None) -> int:
    """Peak bytes of the worker that combines and solves, by kind of regulariser; where it is not said, the most."""
    squares = max(SOLVE_SQUARES.values()) if regulariser is None else SOLVE_SQUARES[regulariser]
    return PROCESS_BYTES + int(8 * squares * width**2)


def reduce_rows(
    plan: Plan,
    blocks: Sequence[str],
    *,
    store: DesignStore | None,
    frozen: Sequence[Parameters] = (),
    method: str = "rfactor",
    executor: Executor,
    memory: int | None = None,
    regulariser: str | None = None,
    energies: EnergyTerms | None = None,
) -> Summaries:
    """Reduce the rows of a plan in the columns of some blocks to one summary per group.

    Parameters
    ----------
    store : where :func:`~hiertl_dist.assembly.assemble` put the rows; ``None`` makes them on the fly.
    frozen : models whose predictions become further targets.
    method : ``"rfactor"`` (TSQR) or ``"gram"`` (normal equations).
    regulariser : kind of the solve that follows, whose memory is checked beforehand; ``None``: any.
    energies : how one-body energies are treated; default: labels lose those of the frozen models.

    Raises
    ------
    TaskFailed
        Naming the leaf; ResourceError if a leaf does not fit in memory.
    """
    names = tuple(b.name for b in blocks_of(plan.basis, blocks))
    energies = EnergyTerms(one_body_values(frozen)) if energies is None else energies
    frozen = without_one_body(frozen)
    source = RowSource(
        plan.basis, plan.policy, names, tuple(frozen), store,
        frozenset((t.segment.elements, t.block) for t in plan.tiles), energies=energies,
    )  # fmt: skip
    leaves = cut_leaves(plan.segments, source.width)
    if not leaves:
        raise ValueError(f"no rows to fit blocks {', '.join(names)} on")
    memory = executor.memory() if memory is None else memory
    workers = min(executor.workers, len(leaves))
    reducing, solving = leaf_bytes(leaves, source.width, method), solve_bytes(source.width, regulariser)
    check_resources(reducing, f"reduction of {source.width} columns", memory=memory, workers=workers)
    check_resources(solving, f"solve of {source.width} columns", memory=memory, workers=1)
    leaf = partial(_leaf, source=source, kind=method)
    cost = leaf_cost(plan, source)
    groups = executor.reduce(leaf, merge_groups, leaves, label=leaf_label, what=f"reduce {'+'.join(names)}", cost=cost)
    return Summaries(groups, plan.basis, names, tuple(frozen), energies=source.energies)


def leaf_cost(plan: Plan, source: RowSource) -> Callable[[Sequence[Segment]], float]:
    """What weighs a leaf: CPU seconds of its QR, roughly, and of its rows where they are made on the fly."""
    seconds = _row_seconds(plan, source.blocks) if source.store is None else {}

    def cost(leaf: Sequence[Segment]) -> float:
        flops = sum(2.0 * source.width_of(s.elements) ** 2 * s.rows for s in leaf)
        return flops / QR_RATE + sum(seconds.get(s.key, 0.0) for s in leaf)

    return cost


def _row_seconds(plan: Plan, blocks: Collection[str]) -> dict[str, float]:
    """Estimated CPU seconds of the rows of each segment, by its key."""
    found: dict[str, float] = {}
    for tile in plan.tiles:
        if tile.block in blocks:
            found[tile.segment.key] = found.get(tile.segment.key, 0.0) + tile.seconds
    return found


def leaf_label(leaf: Sequence[Segment]) -> str:
    return f"leaf of {len(leaf)} tiles ({leaf[0].label} …)" if leaf else "merge"


def _leaf(segments: Sequence[Segment], *, source: RowSource, kind: str) -> dict[Group, Summary]:
    totals: dict[Group, int] = {}
    for segment in segments:
        for group, count in segment.groups:
            totals[group] = totals.get(group, 0) + count
    collectors = {
        g: SUMMARIES[kind].collector(count, source.width, 1 + len(source.frozen)) for g, count in totals.items()
    }
    for segment, pieces in zip(segments, source.pieces(segments), strict=True):
        for group, chosen in group_rows(segment).items():
            collectors[group].add(pieces, chosen)
    # each buffer is let go as soon as it is reduced
    return {group: collectors.pop(group).finish() for group in totals}


def group_rows(segment: Segment) -> dict[Group, NDArray[np.intp]]:
    """Indices of the rows of each group within a segment."""
    codes = np.concatenate([kind_codes(f) for f in segment.frames])
    sources = np.concatenate(
        [np.full(len(kind_codes(f)), i) for i, f in enumerate(segment.frames)]
    )
    names = np.array([f.group for f in segment.frames], dtype=object)[sources]
    return {g: np.flatnonzero((codes == SUMMARY_KINDS.index(g.kind)) & (names == g.source)) for g, _ in segment.groups}


def merge_groups(a: Mapping[Group, Any], b: Mapping[Group, Any]) -> dict[Group, Any]:
    """What two leaves have of each group, merged where both have some."""
    merged = dict(a)
    for group, value in b.items():
        merged[group] = merged[group].merge(value) if group in merged else value
    return merged
