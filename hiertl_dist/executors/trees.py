"""The shape of a reduction: a binary tree that depends on the number of items only, so that sums have the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, order=True)
class Node:
    """Items lo up to but not including hi of a reduction: a leaf of one item, or a merge of two halves."""

    lo: int
    hi: int

    @property
    def is_leaf(self) -> bool:
        """Whether it is one item."""
        return self.hi - self.lo == 1

    @property
    def children(self) -> tuple[Node, Node]:
        """Left and right; the left one has the largest power of two of items that leaves the right one any."""
        mid = self.lo + (1 << ((self.hi - self.lo - 1).bit_length() - 1))
        return Node(self.lo, mid), Node(mid, self.hi)


NOWHERE: Final = Node(0, 0)


def tree(n: int, first: int = 0) -> Iterator[Node]:
    """Every node of the reduction of n items, numbered from ``first``, children before parents, left before right.

    It depends on n only. Walked in this order with a stack, no more than log2(n) + 2 values are held at a time.
    """
    stack = [(Node(first, first + n), False)] if n > 0 else []
    while stack:
        node, opened = stack.pop()
        if opened or node.is_leaf:
            yield node
        else:
            left, right = node.children
            stack += [(node, True), (right, False), (left, False)]
