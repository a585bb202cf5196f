"""Blocks and columns: the basis functions of each element set, in a documented order.

Within a block: two-, three-, four-body types in chimes_lsq's order, powers in the order in which its
loops meet them, then the one-body column. A column stands for one orbit of powers under permutations
of atoms of the same element; its basis function is the sum over the distinct permuted sets.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import UnknownBlockError
from ..frames.element_set import ElementSet
from ..text.cards import block_card
from ..text.display import Shown
from .basis import Basis, ClusterType, Elements, edges_of, type_rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray


class Column(NamedTuple):
    """Label of one column of a design matrix: which basis function it is (docs/theory.md, section 2).

    Attributes
    ----------
    block : str
        Name of the block.
    elements : tuple of str
        The elements of the cluster, sorted.
    powers : tuple of int
        The lexicographically smallest powers of the column's orbit, in the edge order 01 02 12 or 01 02 03 12 13 23 of
        the sorted atoms; a one-body column has none.
    """

    block: str
    elements: Elements
    powers: tuple[int, ...]


class Columns(tuple[Column, ...]):
    """A tuple of :class:`Column` that remembers the order of the elements in the basis."""

    elements: Elements

    def __new__(cls, columns: Iterable[Column], elements: Sequence[str]) -> Columns:
        """The labels as a tuple that knows the elements of their basis."""
        self = super().__new__(cls, columns)
        self.elements = tuple(elements)
        return self

    def __reduce__(self) -> tuple[type[Columns], tuple[tuple[Column, ...], Elements]]:
        return Columns, (tuple(self), self.elements)


@dataclass(frozen=True)
class Orbits:
    """The orbits of a many-body cluster type.

    Attributes
    ----------
    powers : ndarray of int, of shape (columns, edges)
        Smallest powers of each orbit, in column order.
    column : ndarray of int, with an axis of length order for each edge
        The column of each raw set of powers; −1 where a set is not allowed.
    """

    powers: NDArray[np.int64]
    column: NDArray[np.int32]


def pattern_of(elements: Elements) -> tuple[int, ...]:
    """Which atoms of a sorted cluster share an element: ``C C N`` → ``(0, 0, 1)``."""
    return tuple(sorted(set(elements)).index(e) for e in elements)


@lru_cache(maxsize=64)
def orbits(pattern: tuple[int, ...], order: int) -> Orbits:
    """Orbits of the powers 0…order−1 on the edges of a 3- or 4-body cluster.

    Allowed are the sets in which every atom touches an edge of nonzero power; atom permutations within
    an element induce edge permutations. Loops run with the last edge fastest, so the first set met
    of an orbit is its lexicographically smallest.
    """
    body = len(pattern)
    edges = edges_of(body)
    raw = np.indices((order,) * len(edges)).reshape(len(edges), -1).T
    touched = np.ones(len(raw), bool)
    for atom in range(body):
        touched &= raw[:, [e for e, ab in enumerate(edges) if atom in ab]].any(axis=1)
    place = order ** np.arange(len(edges) - 1, -1, -1)
    smallest = raw @ place
    for permutation in itertools.permutations(range(body)):
        if all(pattern[permutation[a]] == pattern[a] for a in range(body)):
            moved = [edges.index(tuple(sorted((permutation[a], permutation[b])))) for a, b in edges]  # type: ignore[arg-type]
            smallest = np.minimum(smallest, raw[:, moved] @ place)
    codes = np.unique(smallest[touched])
    column = np.full(len(raw), -1, np.int32)
    column[touched] = np.searchsorted(codes, smallest[touched])
    column = column.reshape((order,) * len(edges))
    column.setflags(write=False)
    return Orbits(raw[codes], column)


def type_powers(kind: ClusterType) -> list[tuple[int, ...]]:
    """Powers of each column of a cluster type, in column order."""
    if kind.body == 1:
        return [()]
    if kind.body == 2:
        return [(a,) for a in range(1, kind.order + 1)]
    return [tuple(int(p) for p in row) for row in orbits(pattern_of(kind.elements), kind.order).powers]


def n_type_columns(kind: ClusterType) -> int:
    """Number of columns of a cluster type."""
    if kind.body <= 2:
        return kind.order
    return len(orbits(pattern_of(kind.elements), kind.order).powers)


@dataclass(frozen=True, repr=False)
class Block(Shown, card=block_card):
    """An element set and the cluster types whose elements are exactly that set (docs/theory.md, section 4).

    Attributes
    ----------
    elements : tuple of str
        The elements, sorted, each once.
    types : tuple of ClusterType
        The cluster types, in the order of the basis.
    """

    elements: Elements
    types: tuple[ClusterType, ...]

    @property
    def name(self) -> ElementSet:
        """Name of the block: its elements, such as ``CN`` or ``C1-N``."""
        return ElementSet.of(self.elements)

    @property
    def n_columns(self) -> int:
        """Number of columns of all its types."""
        return sum(n_type_columns(t) for t in self.types)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, type by type."""
        name = self.name
        return tuple(Column(name, t.elements, p) for t in self.types for p in type_powers(t))

    def spans(self) -> Iterator[tuple[ClusterType, slice]]:
        """Which of the block's columns belong to which type.

        Yields
        ------
        (ClusterType, slice)
            Each type with the slice of the block's columns that it fills.
        """
        start = 0
        for kind in self.types:
            stop = start + n_type_columns(kind)
            yield kind, slice(start, stop)
            start = stop


def blocks_of(basis: Basis, names: Iterable[str] | None = None) -> tuple[Block, ...]:
    """The blocks of a basis, or those of them that are named (docs/theory.md, section 4).

    Parameters
    ----------
    basis : Basis
        Where the cluster types come from.
    names : iterable of str, or str, optional
        Names of blocks, their elements in any order; default: every block.

    Returns
    -------
    tuple of Block
        Smaller element sets first, then in the order of the basis's elements, whatever the order of ``names``.

    Raises
    ------
    UnknownBlockError
        The basis has no block of a name.
    BasisError
        A name that no names of elements make, or has one of them twice.

    Examples
    --------
    >>> [block.name for block in blocks_of(basis)]  # of a basis of the elements C and N
    ['C', 'N', 'CN']
    """
    types: dict[ElementSet, list[ClusterType]] = {}
    for kind in basis.types:
        types.setdefault(kind.block, []).append(kind)
    blocks = {}
    for size in range(1, 5):
        for combination in itertools.combinations(basis.elements, size):
            name = ElementSet.of(combination)
            if name in types:
                blocks[name] = Block(tuple(sorted(combination)), tuple(types[name]))
    if names is None:
        return tuple(blocks.values())
    wanted = [ElementSet.parse(n) for n in ([names] if isinstance(names, str) else names)]
    for name in wanted:
        if name not in blocks:
            raise UnknownBlockError(f"no block {name!r}; the basis has {', '.join(blocks)}")
    return tuple(block for name, block in blocks.items() if name in wanted)


def sets_used(present: Iterable[ElementSet], blocks: Iterable[ElementSet], fewer: bool) -> frozenset[ElementSet]:
    """The element sets whose frames a fit of some blocks uses, of those that there are.

    Those of exactly all its elements; with ``fewer`` (``include_fewer``) also those of fewer that have all elements of
    one of the blocks: frames without a free column would only be counted.
    """
    free = tuple(blocks)
    whole = ElementSet.union(free)
    return frozenset(
        s for s in present
        if s == whole or (fewer and s.is_proper_subset(whole) and any(b.is_subset(s) for b in free))
    )  # fmt: skip


def columns_of(basis: Basis, names: Iterable[str] | None = None) -> Columns:
    """The columns of blocks, in the order of a design matrix.

    Parameters
    ----------
    basis : Basis
        Where the blocks come from.
    names : iterable of str, or str, optional
        Names of blocks, as for :func:`blocks_of`; default: every block.

    Returns
    -------
    tuple of Column
        Block by block in the order of :func:`blocks_of`. It remembers the basis's order of elements (``.elements``),
        which :func:`lsq_order` needs.

    Raises
    ------
    UnknownBlockError, BasisError
        As :func:`blocks_of` raises them.
    """
    return Columns((c for block in blocks_of(basis, names) for c in block.columns), basis.elements)


def lsq_order(columns: Sequence[Column], elements: Sequence[str] | None = None) -> NDArray[np.intp]:
    """Indices that put columns into chimes_lsq's order: ``matrix[:, lsq_order(columns)]``.

    Two-body (like pairs in input order, then unlike), three-body, four-body, then one-body columns.

    Parameters
    ----------
    columns : sequence of Column
        As :func:`columns_of` or ``design_rows`` give them.
    elements : sequence of str, optional
        Order of the elements in the input; default: the one that ``columns`` remembers, else the order of first
        appearance.

    Returns
    -------
    ndarray of int, of shape (columns,)
        The number of the column that comes first in chimes_lsq's order, then of the second, and so on.
    """
    if elements is None:
        elements = getattr(columns, "elements", None) or tuple(dict.fromkeys(e for c in columns for e in c[1]))
    order = list(elements)
    ranks = [type_rank(c[1], order) for c in columns]
    return np.array(sorted(range(len(columns)), key=ranks.__getitem__), np.intp)
