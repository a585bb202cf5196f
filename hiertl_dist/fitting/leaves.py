"""Leaves of a reduction: runs of consecutive segments whose rows, sorted by group, are factorised at once.

What the groups are is all that reductions differ in: see :func:`grouped_rows`. Above the leaves stands the executor's
fixed binary tree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..algebra import Gram, RFactor, Summary
from ..algebra.gram import BLOCK_ROWS
from ..design_matrix.assembly import frozen_rows
from ..design_matrix.assembly_items import block_array, offset_array
from ..design_matrix.fit_costs import reduction_seconds
from ..design_matrix.kept_summaries import bytes_of_summaries, group_sizes
from ..design_matrix.resources import process_bytes
from ..design_matrix.segments import grouped_rows
from ..evaluation.compiled_basis import compile_recipe
from ..evaluation.frame_rows import rows_of
from ..evaluation.kernels.scratch import forget_arrays
from ..model.blocks import blocks_of
from ..model.one_body import EnergyTerms, labels_above_zero

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ..algebra.collect import Piece
    from ..design_matrix.planning import Need, Plan
    from ..design_matrix.segments import Segment
    from ..design_matrix.store import DesignStore
    from ..evaluation.frame_rows import InnerPolicy
    from ..executors.base import Executor
    from ..frames.element_set import ElementSet
    from ..frames.rows import Group
    from ..model.basis import Basis
    from ..model.parameters import Parameters

LEAF_ROWS: Final = 6
"""A leaf of this many times as many rows as columns is large enough: more would not be cheaper."""

LEAVES: Final = 8
"""Where there are too few rows for so many leaves of that size, leaves are smaller (but never have fewer rows than
columns), so that workers can share them: with as many rows as columns a reduction takes about 5 % more CPU time."""

LEAF_BYTES: Final = 2**30
"""A leaf of at least as many rows as columns is closed before its buffer exceeds this."""

PORTION: Final = 256
"""Rows whose squares are summed at once: they stay in the cache."""

SUMMARIES: Final[dict[str, type[Summary]]] = {"rfactor": RFactor, "gram": Gram}


@dataclass(frozen=True, eq=False)
class RowSource:
    """Where the rows of a fit come from: blocks of a store, or the kernels.

    Attributes
    ----------
    basis : Basis
        All blocks.
    policy : {"refuse", "skip_frame", "lsq", "damp"}
        For pairs inside an inner cutoff.
    blocks : tuple of str
        Names of those whose columns are fitted, in order.
    frozen : tuple of Parameters
        Models whose predictions are further targets.
    store : DesignStore or None
        Where rows are read from; ``None``: the kernels make them.
    present : frozenset of tuple (str, str)
        (element set, block) pairs that have a tile; elsewhere a block's columns are zero.
    compact : bool
        Columns of blocks without a tile are not zero but left out, so that each element set has its own.
    energies : EnergyTerms
        What is taken off the labels, and directions of one-body energies that are fitted beside the blocks: their
        columns come after those of the blocks.
    make_offsets : bool
        Whether what frozen models predict is made by the kernels also where there is a store, which lacks it.
    """

    basis: Basis
    policy: InnerPolicy
    blocks: tuple[ElementSet, ...]
    frozen: tuple[Parameters, ...]
    store: DesignStore | None
    present: frozenset[Need]
    compact: bool = False
    energies: EnergyTerms = field(default_factory=EnergyTerms)
    make_offsets: bool = False

    @property
    def others(self) -> int:
        """Columns and targets that are not of the blocks."""
        return self.energies.open.count + 1 + len(self.frozen)

    @property
    def width(self) -> int:
        """Columns and targets of the rows of a frame that has all blocks."""
        return sum(b.n_columns for b in blocks_of(self.basis, self.blocks)) + self.others

    def width_of(self, elements: ElementSet) -> int:
        """Columns and targets of the rows of frames of an element set."""
        if not self.compact:
            return self.width
        widths = [b.n_columns for b in blocks_of(self.basis, self.blocks) if (elements, b.name) in self.present]
        return sum(widths) + self.others

    def _starts(self, segment: Segment) -> Iterator[tuple[int, str]]:
        """First column of each block that a segment has a tile of."""
        start = 0
        for block in blocks_of(self.basis, self.blocks):
            has_tile = (segment.elements, block.name) in self.present
            if has_tile:
                yield start, block.name
            start += block.n_columns * (has_tile or not self.compact)

    def pieces(self, segments: Sequence[Segment]) -> Iterator[list[Piece]]:
        """[A | b, offsets] of each segment as (first column, rows); columns of blocks without a tile are left out.

        Energies are those above ``energies.zeros``.
        """
        places = [(array, s.key) for s in segments for _, array in self._arrays(s)]
        kept = iter(()) if self.store is None else self.store.read_ahead(places)
        for segment in (s.loaded() for s in segments):
            if self.store is not None:
                pieces = [(first, next(kept)) for first, _ in self._arrays(segment)]
                pieces += self._offsets(segment) if self.make_offsets else []
            else:
                pieces = list(self._made(segment))
            place = self.width_of(segment.elements) - self.others
            yield [*pieces, (place, labels_above_zero(segment.frames, self.energies))]

    def _arrays(self, segment: Segment) -> Iterator[tuple[int, str]]:
        """First column and array of each piece of a segment that a store has."""
        for start, name in self._starts(segment):
            yield start, block_array(name)
        if not self.make_offsets:
            for i, model in enumerate(self.frozen, self.width_of(segment.elements) - len(self.frozen)):
                yield i, offset_array(model)

    def _made(self, segment: Segment) -> Iterator[Piece]:
        """The same pieces from the kernels."""
        for place, (start, name) in enumerate(self._starts(segment)):
            recipe = compile_recipe(self.basis, (name,))
            # copied before the next segment's are made
            yield start, rows_of(segment.frames, recipe, self.policy, kept=str(place))
        yield from self._offsets(segment)

    def _offsets(self, segment: Segment) -> Iterator[Piece]:
        """What frozen models predict, from the kernels."""
        for i, model in enumerate(self.frozen, self.width_of(segment.elements) - len(self.frozen)):
            yield i, frozen_rows(segment.frames, model, self.policy)[:, np.newaxis]


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
    """Peak bytes of a leaf's reduction beside those of its process: its buffers, its widest tile, and a triangle.

    For ``"gram"`` no buffers, but a square for each group of rows. Rows with weights of their own are there twice.
    """
    times = 1 + any(s.row_weights is not None for leaf in leaves for s in leaf)
    tile = times * max((s.rows for leaf in leaves for s in leaf), default=0)
    if method == "gram":
        groups = times * max((len({g for s in leaf for g, _ in s.groups}) for leaf in leaves), default=0)
        return 8 * width * (tile + BLOCK_ROWS + groups * width)
    buffers = times * max((sum(s.rows for s in leaf) for leaf in leaves), default=0)
    return 8 * width * (buffers + tile + min(width, buffers))


@dataclass(frozen=True, eq=False)
class Cut:
    """Leaves of segments with the same columns, and what their reduction needs.

    Attributes
    ----------
    leaves : list of tuple of Segment
        See :func:`cut_leaves`.
    width : int
        Columns and targets.
    sizes : tuple of int
        Rows of each group.
    method : {"rfactor", "gram"}
        The kind of summaries.
    """

    leaves: list[tuple[Segment, ...]]
    width: int
    sizes: tuple[int, ...]
    method: str

    @property
    def nbytes(self) -> int:
        """Of a leaf, see :func:`leaf_bytes`."""
        return leaf_bytes(self.leaves, self.width, self.method)

    def values(self, number: int) -> int:
        """Bytes, at most, of so many values of the reduction, each of other rows."""
        if self.method == "gram":
            return number * bytes_of_summaries(self.sizes, self.width, self.method)
        return sum(8 * self.width * min(rows, number * self.width) for rows in self.sizes)

    @property
    def largest(self) -> int:
        """Bytes of the summary of the largest group."""
        return bytes_of_summaries([max(self.sizes)], self.width, self.method)


def cut_of(segments: Sequence[Segment], width: int, method: str = "rfactor") -> Cut:
    """The leaves of a pass over some segments, which have so many columns and targets."""
    sizes = group_sizes(segments)
    # of a fit one, whatever its groups, so that these do not move its bits
    parts = 1 if segments[0].folds is None else max(1, sum(n >= width for g, n in sizes.items() if not g.weighed))
    return Cut(cut_leaves(segments, width, parts), width, tuple(sizes.values()), method)


def peak_bytes(cuts: Sequence[Cut], executor: Executor, ranges: int = 0) -> int:
    """Peak bytes of a worker of a pass: in a leaf, or in a merge, while other values wait.

    Parameters
    ----------
    cuts : sequence of Cut
        The leaves of the pass.
    executor : Executor
        Who works.
    ranges : int, default 0
        Merges above a leaf within a range, where ranges of leaves are kept: values of so many wait, too.

    Returns
    -------
    int
        Of one that has all of the largest.
    """
    leaves = sum(len(c.leaves) for c in cuts)
    waiting = min(executor.waiting(-(-leaves // 2**ranges)) + ranges, max(1, leaves).bit_length() + 1)
    leaf = max(c.nbytes for c in cuts) + sum(c.values(waiting) for c in cuts)
    merge = 0
    if leaves > 1:  # of two values, or the last that waits and a new one, and what they are merged in; one is copied
        values = sum(c.values(max(2, waiting + 1)) + c.values(1) for c in cuts)
        merge = values + max(c.largest * (c.method == "rfactor") for c in cuts) + _kept_tile(cuts)
    return process_bytes() + executor.overhead + max(leaf, merge)


def _kept_tile(cuts: Sequence[Cut]) -> int:
    """Bytes of the rows that are kept from leaf to leaf, see ``kept_array``."""
    return max(8 * c.width * max(s.rows for leaf in c.leaves for s in leaf) for c in cuts)


def leaf_cost(plan: Plan, source: RowSource) -> Callable[[Sequence[Segment]], float]:
    """What weighs a leaf: CPU seconds of its reduction, roughly, and of its rows where they are made on the fly."""
    seconds = _row_seconds(plan, source.blocks) if source.store is None else {}

    def cost(leaf: Sequence[Segment]) -> float:
        return sum(reduction_seconds(s.rows, source.width_of(s.elements)) + seconds.get(s.first, 0.0) for s in leaf)

    return cost


def _row_seconds(plan: Plan, blocks: Collection[str]) -> dict[int, float]:
    """Estimated CPU seconds of the rows of each segment, by its first frame."""
    seconds: dict[int, float] = {}
    for tile in plan.tiles:
        if tile.block in blocks:
            seconds[tile.segment.first] = seconds.get(tile.segment.first, 0.0) + tile.seconds
    return seconds


def leaf_label(leaf: Sequence[Segment]) -> str:
    """A leaf for messages; without segments it is a merge."""
    return f"leaf of {len(leaf)} tiles ({leaf[0].label} …)" if leaf else "merge"


@dataclass(frozen=True, eq=False)
class Reduced:
    """A summary of [A | b, offsets], and the sum of squares of each of its columns, (width,), added up from rows."""

    summary: Summary
    squares: NDArray[np.float64]

    def merge(self, other: Reduced) -> Reduced:
        """Of the rows of both."""
        return Reduced(self.summary.merge(other.summary), self.squares + other.squares)


def factor_in(reduced: Reduced) -> RFactor:
    """The triangular factor that was made of a group."""
    if not isinstance(reduced.summary, RFactor):
        raise TypeError(f"expected a triangular factor (method rfactor), found {reduced.summary.kind}")
    return reduced.summary


def reduce_leaf(segments: Sequence[Segment], *, source: RowSource, method: str = "rfactor") -> dict[Group, Reduced]:
    """The rows of some segments of one element set (of any, where the source is not compact), one summary a group.

    Parameters
    ----------
    segments : sequence of Segment
        Their frames. Where these have folds, squares of columns are added up too.
    source : RowSource
        Where the rows come from.
    method : {"rfactor", "gram"}, default "rfactor"
        The kind of summary.

    Returns
    -------
    dict from Group to Reduced
        What each group's rows came to; where rows have weights, also multiplied by them (``weighed``).
    """
    if source.store is not None:  # rows of a pass before that made them
        forget_arrays()
    if any(s.row_weights is not None for s in segments):  # they follow from frames, which are read once
        segments = [s.loaded() for s in segments]
    chosen = [grouped_rows(segment) for segment in segments]
    weighed = [_weighed_rows(*both) for both in zip(segments, chosen, strict=True)]
    squared = segments[0].folds is not None
    totals: dict[Group, int] = {}
    for indices, own in zip(chosen, weighed, strict=True):
        for group, count in [*((g, len(x)) for g, x in indices.items()), *((g, len(x)) for g, (x, _) in own.items())]:
            totals[group] = totals.get(group, 0) + count
    width = source.width_of(segments[0].elements)
    targets = 1 + len(source.frozen)
    collectors = {g: SUMMARIES[method].collector(count, width, targets) for g, count in totals.items()}
    squares = {g: np.zeros(width if squared else 0) for g in totals}
    for indices, own, pieces in zip(chosen, weighed, source.pieces(segments), strict=True):
        for group, index in indices.items():
            collectors[group].add(pieces, index)
            if squared:
                _add_squares(squares[group], pieces, index)
        for group, (index, factors) in own.items():
            scaled = [(first, piece[index] * factors[:, np.newaxis]) for first, piece in pieces]
            every = np.arange(len(index))
            collectors[group].add(scaled, every)
            if squared:
                _add_squares(squares[group], scaled, every)
    # each buffer is let go as soon as it is reduced
    return {group: Reduced(collectors.pop(group).finish(), squares[group]) for group in totals}


def _weighed_rows(
    segment: Segment, indices: Mapping[Group, NDArray[np.intp]]
) -> dict[Group, tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """The rows of each group that have a weight above 0, and these weights; nothing of a segment without any."""
    if segment.row_weights is None:
        return {}
    weights = segment.row_weights.of(segment.frames)
    own = {g._replace(weighed=True): index[weights[index] > 0.0] for g, index in indices.items()}
    return {g: (index, weights[index]) for g, index in own.items() if len(index)}


def _add_squares(total: NDArray[np.float64], pieces: Sequence[Piece], index: NDArray[np.intp]) -> None:
    for first, piece in pieces:
        columns = slice(first, first + piece.shape[1])
        for start in range(0, len(index), PORTION):
            rows = piece[index[start : start + PORTION]]
            total[columns] += np.einsum("ij,ij->j", rows, rows)


def merge_groups(a: Mapping[Group, Any], b: Mapping[Group, Any]) -> dict[Group, Any]:
    """What two leaves have of each group, merged where both have some."""
    merged = dict(a)
    for group, value in b.items():
        merged[group] = merged[group].merge(value) if group in merged else value
    return merged
