"""A basis turned into the arrays that the kernels take: edge tables, families, roles, orbit maps.

Cluster types of one body order whose edges agree share a family, so that the edge functions around an atom are
computed once for all of them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from ..model.basis import Basis, ClusterType, Cutoff, Edge, Pair, edges_of
from ..model.blocks import blocks_of, orbits, pattern_of
from .kernels import edges as kinds
from .kernels.clusters import Family
from .kernels.edges import padded
from .kernels.moments import moment_layout
from .kernels.simd import LANES, TILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..frames.frame import Frame

TRANSFORM_CODES: Final = {"MORSE": kinds.MORSE, "INVRSE_R": kinds.INVERSE, "DEFAULT": kinds.IDENTITY}
CUTOFF_CODES: Final = {"CUBIC": kinds.CUBIC, "TERSOFF": kinds.TERSOFF}


@dataclass(frozen=True, eq=False)
class Recipe:
    """Everything the kernels need for the columns of some blocks of a basis.

    Attributes
    ----------
    elements : tuple of str
        Symbols; an atom's code is its index here, −1 for others.
    edges : ndarray of shape (edges, 8)
        The edge table.
    pair_fn, pair_order, pair_first : ndarray of int, shape (elements, elements)
        Two-body edge, number of columns and first column.
    one_body : ndarray of int, shape (elements,)
        Column of each element's one-body term, or −1.
    families : tuple of Family
        Many-body types that are computed together.
    maps : tuple of ndarray of int, shape (roles, sets, n)
        Per family, the column of each set of powers within its type, the pair's own power last, and the number of
        columns where there is none.
    inner : ndarray of shape (elements, elements)
        The largest inner cutoff, Å, that any active edge of the two elements has.
    outer : ndarray of shape (elements, elements)
        The largest outer cutoff, Å; 0 where no edge joins them.
    n_columns : int
        Number of columns.
    idle : tuple of tuple (int, int)
        First and number of the columns of types that are never active, see :func:`never_active`: they are zero.
    """

    elements: tuple[str, ...]
    edges: NDArray[np.float64]
    pair_fn: NDArray[np.int64]
    pair_order: NDArray[np.int64]
    pair_first: NDArray[np.int64]
    one_body: NDArray[np.int64]
    families: tuple[Family, ...]
    maps: tuple[NDArray[np.int32], ...]
    inner: NDArray[np.float64]
    outer: NDArray[np.float64]
    n_columns: int
    idle: tuple[tuple[int, int], ...] = ()

    @cached_property
    def reach(self) -> float:
        """Å: how far neighbours are needed."""
        return float(self.outer.max(initial=0.0))

    @cached_property
    def has_pairs(self) -> bool:
        """Whether there are two-body columns."""
        return bool((self.pair_fn >= 0).any())

    @cached_property
    def joined(self) -> NDArray[np.int64]:
        """(elements + 1,) the code of each element that some edge joins, −1 for others, and for code −1."""
        return np.append(np.where(self.outer.any(axis=1), np.arange(len(self.elements)), -1), -1)

    @cached_property
    def _known(self) -> dict[str, int]:
        return {e: c for c, e in enumerate(self.elements)}

    @property
    def cutoffs(self) -> set[tuple[int, int, float]]:
        """(codes of two elements, the smaller first, outer cutoff in Å) of every edge."""
        tables = (self.pair_fn, *(family.fn for family in self.families))
        return {
            (int(a), int(b), float(self.edges[fn[a, b], 3])) for fn in tables for a, b in np.argwhere(np.triu(fn >= 0))
        }

    def mean_cutoff(self, family: Family) -> float:
        """Å: mean outer cutoff of a family's edges."""
        return float(self.edges[family.fn[family.fn >= 0], 3].mean())

    def tensors(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Per family, the coefficients (n_columns,) as ``cluster_energy`` takes them."""
        return tuple(_tensor(family, cols, values) for family, cols in zip(self.families, self.maps, strict=True))

    def codes(self, frame: Frame) -> NDArray[np.int64]:
        """(n,) element code of each atom."""
        known = self._known
        return np.array([known.get(s, -1) for s in frame.species], np.int64)


def edge_row(pair: Pair, rmin: float, rmax: float, cutoff: Cutoff) -> tuple[float, ...]:
    """One row of the edge table: s = (x − x_avg) / x_diff maps [rmin, rmax] onto [−1, 1]."""
    lam = pair.morse_lambda or 1.0

    def x(r: float) -> float:
        if pair.transform == "MORSE":
            return float(np.exp(-r / lam))
        return 1.0 / r if pair.transform == "INVRSE_R" else r

    low, high = x(rmin), x(rmax)
    return (
        float(TRANSFORM_CODES[pair.transform]), lam, rmin, rmax, float(CUTOFF_CODES[cutoff.kind]), cutoff.fraction,
        0.5 * (low + high), 0.5 * abs(low - high),
    )  # fmt: skip


class _EdgeTable:
    """Collects distinct edges and numbers them."""

    def __init__(self, basis: Basis) -> None:
        self.basis = basis
        self.rows: dict[tuple[float, ...], int] = {}

    def number(self, edge: Edge) -> int:
        pair = self.basis.pair(*edge.elements)
        row = edge_row(pair, edge.rmin, edge.rmax, self.basis.cutoff)
        return self.rows.setdefault(row, len(self.rows))


def never_active(kind: ClusterType) -> bool:
    """Whether a cluster type has an edge with rmin = rmax, as chimes_lsq's users switch a pair off.

    No distance lies between such cutoffs, so that the type contributes nothing, its wall included. chimes_calculator
    does the same from rmax on; below, where it divides zero by zero, nothing is what stands to reason.
    """
    return any(edge.rmin >= edge.rmax for edge in kind.edges)


@lru_cache(maxsize=64)
def compile_recipe(basis: Basis, names: tuple[str, ...] | None = None) -> Recipe:
    """The recipe of the blocks named (default: all); columns as :func:`~hiertl_dist.columns_of` has them."""
    table = _EdgeTable(basis)
    code = {e: c for c, e in enumerate(basis.elements)}
    size = len(code)
    pair_fn = np.full((size, size), -1, np.int64)
    pair_order, pair_first = np.zeros((size, size), np.int64), np.zeros((size, size), np.int64)
    one_body = np.full(size, -1, np.int64)
    inner, outer = np.zeros((size, size)), np.zeros((size, size))
    many: list[tuple[ClusterType, slice]] = []
    idle: list[tuple[int, int]] = []
    start = 0
    for block in blocks_of(basis, names):
        for kind, span in block.spans():
            place = slice(start + span.start, start + span.stop)
            if never_active(kind):
                idle.append((place.start, place.stop - place.start))
                continue
            if kind.body == 1:
                one_body[code[kind.elements[0]]] = place.start
            elif kind.body == 2:
                a, b = (code[e] for e in kind.elements)
                for x, y in ((a, b), (b, a)):
                    pair_fn[x, y] = table.number(kind.edges[0])
                    pair_order[x, y], pair_first[x, y] = kind.order, place.start
            else:
                many.append((kind, place))
            for edge in kind.edges:
                a, b = (code[e] for e in edge.elements)
                inner[[a, b], [b, a]] = np.maximum(inner[a, b], edge.rmin)
                outer[[a, b], [b, a]] = np.maximum(outer[a, b], edge.rmax)
        start += block.n_columns
    families = [_family(group, code, table) for group in _families(many)]
    edges = np.array(list(table.rows), np.float64).reshape(-1, 8)
    return Recipe(
        basis.elements, edges, pair_fn, pair_order, pair_first, one_body, tuple(f for f, _ in families),
        tuple(m for _, m in families), inner, outer, start, tuple(idle),
    )  # fmt: skip


def _families(many: Sequence[tuple[ClusterType, slice]]) -> list[list[tuple[ClusterType, slice]]]:
    """Group types that can share edge functions: same body and order, no two cutoffs for one pair."""
    groups: list[tuple[tuple[int, int], dict[tuple[str, ...], Edge], list[tuple[ClusterType, slice]]]] = []
    for kind, place in many:
        edges = {e.elements: e for e in kind.edges}
        for key, shared, members in groups:
            if key == (kind.body, kind.order) and all(shared.get(p, e) == e for p, e in edges.items()):
                shared.update(edges)
                members.append((kind, place))
                break
        else:
            groups.append(((kind.body, kind.order), dict(edges), [(kind, place)]))
    return [members for _, _, members in groups]


def _family(
    members: Sequence[tuple[ClusterType, slice]], code: dict[str, int], table: _EdgeTable
) -> tuple[Family, NDArray[np.int32]]:
    body, n, size = members[0][0].body, members[0][0].order, len(code)
    fn = np.full((size, size), -1, np.int64)
    role = np.full((len(members), size, size), -1, np.int64)
    others: list[tuple[int, int]] = []
    types: list[int] = []
    cols: list[NDArray[np.int32]] = []
    for t, (kind, _) in enumerate(members):
        for edge in kind.edges:
            a, b = (code[e] for e in edge.elements)
            fn[a, b] = fn[b, a] = table.number(edge)
        for ei, ej in set(itertools.permutations(kind.elements, 2)):
            rest = list(kind.elements)
            rest.remove(ei)
            rest.remove(ej)
            role[t, code[ei], code[ej]] = len(cols)
            others.append((code[rest[0]], code[rest[-1]]))
            types.append(t)
            cols.append(_orbit_map(kind, (ei, ej, *rest)))
    count = np.array([p.stop - p.start for _, p in members], np.int64)
    maps = [
        _terms(body, n, c, int(count[t]), alike=body == 4 and rest[0] == rest[1])
        for c, rest, t in zip(cols, others, types, strict=True)
    ]  # by role and variant
    begin = np.cumsum([0] + [m.size for pair in maps for m in pair])[:-1].reshape(-1, 2)
    family = Family(
        body, n, fn, role, np.array(others, np.int64), np.concatenate([m.ravel() for pair in maps for m in pair]),
        begin.astype(np.int64), np.array([pair[0].shape[1] for pair in maps], np.int64),
        _twins(n) if body == 4 else np.zeros(0, np.int32), np.array([p.start for _, p in members], np.int64), count,
    )  # fmt: skip
    return family, np.ascontiguousarray(cols)


def _tensor(family: Family, maps: NDArray[np.int32], values: NDArray[np.float64]) -> NDArray[np.float64]:
    n, sets = family.n, moment_layout(family.body, family.n)[4]
    tensor = np.zeros((len(maps), 2, padded(n, TILE), sets))
    for r, cols in enumerate(maps):
        t = int(np.argwhere(family.role == r)[0][0])
        coefficients = np.append(values[family.first[t] : family.first[t] + family.columns[t]], 0.0)[cols]
        for v, places in enumerate(_places(family.body, n)):
            tensor[r, v, :n, places] = coefficients
    return tensor


def _places(body: int, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(sets,) where the kernels keep the moment of each set of powers, by variant; see ``moment_layout``."""
    _, row, _, width, _ = moment_layout(body, n)
    if body == 3:
        b, c = np.indices((n, n)).reshape(2, -1)
        return b * width + c, b * width + c
    b, d, f, c, e = np.indices((n,) * 5).reshape(5, -1)
    return (b * n + d) * width + f * row + c * n + e, (c * n + e) * width + f * row + b * n + d


def _twins(n: int) -> NDArray[np.int32]:
    """Pairs of moments, in lanes, that differ by an exchange of k and l, as one list."""
    b, d, _, c, e = np.indices((n,) * 5).reshape(5, -1)
    lower = b * n + d < c * n + e
    first, second = _places(4, n)
    return (LANES * np.stack([first, second], 1)[lower]).astype(np.int32).ravel()


def _terms(body: int, n: int, cols: NDArray[np.int32], count: int, *, alike: bool) -> list[NDArray[np.int32]]:
    """By variant, (columns, terms, 2): the moments and powers of the pair whose products are a column's derivative.

    Where k and l are alike, only one of two twins is a term. Columns with fewer terms are filled with a moment that is
    zero.
    """
    sets, power = np.nonzero(cols < count)
    if alike:
        b, d, _, c, e = np.indices((n,) * 5).reshape(5, -1)[:, sets]
        kept = b * n + d <= c * n + e
        sets, power = sets[kept], power[kept]
    column = cols[sets, power]
    order = np.argsort(column, kind="stable")
    sets, power, column = sets[order], power[order], column[order]
    sizes = np.bincount(column, minlength=count)
    rank = np.arange(len(column)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    by_variant = []
    for places in _places(body, n):
        terms = np.zeros((count, sizes.max(), 2), np.int32)
        terms[:, :, 0] = LANES * moment_layout(body, n)[4]
        terms[column, rank, 0] = LANES * places[sets]
        terms[column, rank, 1] = 2 * LANES * power
        by_variant.append(terms)
    return by_variant


def _orbit_map(kind: ClusterType, atoms: tuple[str, ...]) -> NDArray[np.int32]:
    """(sets, n) column of each set of powers with the atoms in the order i j k (l), the pair's power last.

    The sets run over the edges ik jk, or ik jk kl il jl, last fastest: the order of the kernels' moments.
    Any assignment of the atoms to the type's slots gives the same map, because orbits are closed under
    permutations of like atoms. Sets that are not allowed map to the spare column after the last.
    """
    type_orbits = orbits(pattern_of(kind.elements), kind.order)
    slots, free = [], list(range(kind.body))
    for atom in atoms:
        slot = next(s for s in free if kind.elements[s] == atom)
        free.remove(slot)
        slots.append(slot)
    number = {pair: e for e, pair in enumerate(edges_of(kind.body))}
    wanted = [(0, 2), (1, 2), (0, 1)] if kind.body == 3 else [(0, 2), (1, 2), (2, 3), (0, 3), (1, 3), (0, 1)]
    axes = [number[tuple(sorted((slots[a], slots[b])))] for a, b in wanted]  # type: ignore[index]
    turned = np.transpose(type_orbits.column, axes).reshape(-1, kind.order)
    return np.where(turned < 0, np.int32(len(type_orbits.powers)), turned).astype(np.int32)
