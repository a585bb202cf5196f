"""What an assembly consists of: parts of segments, the tiles that hold them, and the items that workers are given."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .planning import Plan, chunk_rows
from .store_layout import LABEL_ARRAYS, TileSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ..model.parameters import Parameters
    from .segments import Segment

SMALL_SECONDS: Final = 0.25
"""A part of a segment that is expected to take less is not worth an item of its own: dask spends 7 to 20 ms on each."""

Part = str | int
"""What an item makes of a segment: the rows of a block (its name), the labels, or what a frozen model (its index)
predicts."""

LABELS: Final = "labels"

FROZEN_SECONDS: Final = 1e-4
"""Of evaluating an atom, roughly: that of C takes 24 ms for 216 (``benchmarks/evaluation.py``)."""


@dataclass(frozen=True, eq=False)
class Work:
    """One item: some parts of a segment. ``numbers``, (frames, 2): of each frame and of its group in the store."""

    segment: Segment
    parts: tuple[Part, ...]
    seconds: float
    numbers: NDArray[np.int32]

    @property
    def label(self) -> str:
        """What it is, for messages."""
        return f"tile {self.segment.key[:12]} of {', '.join(map(_part_name, self.parts))} ({self.segment.label})"


def _part_name(part: Part) -> str:
    if isinstance(part, int):
        return f"frozen contribution {part}"
    return part if part == LABELS else f"block {part}"


def offset_array(frozen: Parameters) -> str:
    """Name of the array that holds what a frozen model predicts for each row."""
    return f"offsets/{frozen.digest[:24]}"


def block_array(block: str) -> str:
    """Name of the array that holds a block's design rows."""
    return f"blocks/{block}"


def chunk_rows_of(specs: Sequence[TileSpec]) -> dict[str, int]:
    """By array, the rows of a chunk."""
    most: dict[tuple[str, int], int] = defaultdict(int)
    for spec in specs:
        most[spec.array, spec.columns] = max(most[spec.array, spec.columns], spec.rows)
    return {array: chunk_rows(rows, columns) for (array, columns), rows in most.items()}


def label_of(work: Work) -> str:
    """What an item is, for messages."""
    return work.label


def kind_of(work: Work) -> str:
    """The blocks whose rows an item makes, else what it makes instead."""
    blocks = [p for p in work.parts if isinstance(p, str) and p != LABELS]
    return " ".join(sorted(blocks)) or (LABELS if LABELS in work.parts else "frozen")


@dataclass(frozen=True, eq=False)
class SegmentPart:
    """A part of a segment, the tiles that hold it, and its expected CPU seconds."""

    segment: Segment
    part: Part
    specs: tuple[TileSpec, ...]
    seconds: float


def parts_of(plan: Plan, frozen: Sequence[Parameters]) -> Iterator[SegmentPart]:
    """Everything that a complete store holds of a plan."""
    for t in plan.tiles:
        spec = TileSpec(block_array(t.block), t.segment.key, t.segment.rows, t.columns)
        yield SegmentPart(t.segment, t.block, (spec,), t.seconds)
    for s in plan.segments:
        yield SegmentPart(s, LABELS, tuple(TileSpec(f"labels/{a}", s.key, s.rows, 1) for a in LABEL_ARRAYS), 0.0)
        for i, model in enumerate(frozen):
            spec = TileSpec(offset_array(model), s.key, s.rows, 1)
            yield SegmentPart(s, i, (spec,), FROZEN_SECONDS * int(s.frames.facts.n_atoms.sum()))


def numbers_of(plan: Plan, numbers: NDArray[np.int32]) -> dict[str, NDArray[np.int32]]:
    """By segment, the numbers of its frames in the store."""
    starts = np.cumsum([0, *(len(s.frames) for s in plan.segments)])
    return {s.key: numbers[first : first + len(s.frames)] for s, first in zip(plan.segments, starts, strict=False)}


def items_of(
    parts: Sequence[SegmentPart], layout: dict[str, Any], frames: Mapping[str, NDArray[np.int32]]
) -> list[Work]:
    """The items of some parts: each by itself, but for small ones, which go with the longest of their segment."""
    groups = {name: i for i, name in enumerate(layout["groups"])}
    by_segment: dict[str, list[SegmentPart]] = defaultdict(list)
    for part in parts:
        by_segment[part.segment.key].append(part)
    items = []
    for of_segment in by_segment.values():
        segment = of_segment[0].segment
        facts = segment.frames.facts
        names = np.array([groups.get(name, -1) for name in facts.group_names], np.int32)
        numbers = np.stack([frames[segment.key], names[facts.group]], axis=1)
        longest, *others = sorted(of_segment, key=lambda p: -p.seconds)
        alone = [[p] for p in others if p.seconds >= SMALL_SECONDS]
        small = [p for p in others if p.seconds < SMALL_SECONDS]
        together, load = [[longest]], 0.0
        for part in small:
            # no more with one than what would be worth an item of its own
            load = load + part.seconds
            if load > SMALL_SECONDS:
                together.append([])
                load = part.seconds
            together[-1].append(part)
        for item_parts in (*together, *alone):
            items.append(Work(segment, tuple(p.part for p in item_parts), sum(p.seconds for p in item_parts), numbers))
    return items
