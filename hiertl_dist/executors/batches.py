"""What a verb works through: a batch of items, or several of several callers side by side, each with its own call."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from hiertl_dist.executors.trees import Node
from hiertl_dist.files.store_use import carried
from hiertl_dist.text.display import listed

Call = Callable[..., Any]
Label = Callable[[Any], str]
Cost = Callable[[Any], float]
Ready = Callable[[int, Any], None]

MOST_NAMED: Final = 4
"""Batches that a message names."""


def equal_cost(item: Any) -> float:
    """What every item costs where nothing is known of it."""
    return 0.0


def item_name(item: Any, label: Label) -> str:
    """The label of an item."""
    try:
        return label(item)
    except Exception:  # a bad label must not hide the failure that it was to name
        return repr(item)[:200]


@dataclass(frozen=True, eq=False)
class Batch:
    """Items, and what is called with each of them.

    Attributes
    ----------
    call : callable
        Takes an item.
    items : Sequence
        In order.
    what : str
        What is done, for messages and progress.
    label : callable
        Names an item where it fails.
    cost : callable
        What an item is expected to take, in any unit.
    kind : callable, optional
        The kind of an item, where a scheduler shows its tasks.
    merge : callable, optional
        Of a reduction: takes two values.
    nbytes, kept : int
        Bytes that a worker needs for a call, and of these those of the values that stay with it: as much of several
        batches is done at a time as memory has room for (:mod:`~hiertl_dist.executors.side_by_side`).
    most : int, optional
        How many calls may be made at a time.
    """

    call: Call
    items: Sequence[Any]
    what: str = "tasks"
    label: Label = str
    cost: Cost = equal_cost
    kind: Label | None = None
    merge: Call | None = None
    nbytes: int = 0
    kept: int = 0
    most: int | None = None

    def name(self, item: Any) -> str:
        """An item's, for messages."""
        return item_name(item, self.label)

    def costs(self) -> list[float]:
        """What each item costs. Raises ValueError where that is no finite number ≥ 0."""
        costs = [float(self.cost(item)) for item in self.items]
        for item, value in zip(self.items, costs, strict=True):
            if not 0.0 <= value < math.inf:
                raise ValueError(f"cost of {self.name(item)}: expected a finite number ≥ 0, found {value}")
        return costs

    def carried(self) -> Batch:
        """The same for workers, who use stores as this process does."""
        merge = None if self.merge is None else carried(self.merge)
        return replace(self, call=carried(self.call), merge=merge)


@dataclass(frozen=True, eq=False)
class Batches:
    """Batches that are worked through together; their items are numbered one batch after the other.

    Attributes
    ----------
    each : tuple of Batch
        None of them empty.
    """

    each: tuple[Batch, ...]

    @cached_property
    def roots(self) -> list[Node]:
        """The items of each batch."""
        roots: list[Node] = []
        for batch in self.each:
            first = roots[-1].hi if roots else 0
            roots.append(Node(first, first + len(batch.items)))
        return roots

    @cached_property
    def items(self) -> list[Any]:
        """Of all batches."""
        return [item for batch in self.each for item in batch.items]

    @cached_property
    def owners(self) -> list[int]:
        """The number of the batch of each item."""
        return [number for number, batch in enumerate(self.each) for _ in batch.items]

    @cached_property
    def costs(self) -> list[float]:
        """Of all items. Raises ValueError where one is no finite number ≥ 0."""
        return [cost for batch in self.each for cost in batch.costs()]

    @property
    def most(self) -> int | None:
        """How many calls may be made at a time: what the most cautious of them allows."""
        return min((batch.most for batch in self.each if batch.most is not None), default=None)

    @property
    def what(self) -> str:
        """What is done in all of them; what they begin with alike, such as ``reduce``, once."""
        whats = list(dict.fromkeys(batch.what for batch in self.each))
        if len(whats) == 1:
            return whats[0]
        verb = whats[0].split(" ")[0]
        if all(what.startswith(f"{verb} ") for what in whats):
            return f"{verb} {listed([what.removeprefix(f'{verb} ') for what in whats], MOST_NAMED)}"
        return listed(whats, MOST_NAMED)

    def how_far(self, done: int) -> str:
        """In words, with so many of all calls made: one for each item, and one for each merge of two values."""
        merges = sum(len(batch.items) - 1 for batch in self.each if batch.merge is not None)
        return f"{self.what}: {done} of {len(self.items) + merges} done"

    def batch_of(self, node: Node) -> Batch:
        """The batch that a node is of."""
        return self.each[self.owners[node.lo]]

    def name(self, node: Node) -> str:
        """The name of an item, or of a merge of several."""
        label = self.batch_of(node).name
        first = label(self.items[node.lo])
        return first if node.is_leaf else f"merge of {first} to {label(self.items[node.hi - 1])}"

    def in_turn(self) -> list[int]:
        """The items, those of batches with the longest ones first: at the end short ones are left to share out."""
        longest = [max(self.costs[root.lo : root.hi]) for root in self.roots]
        order = sorted(range(len(self.each)), key=lambda number: (-longest[number], number))
        return [i for number in order for i in range(self.roots[number].lo, self.roots[number].hi)]
