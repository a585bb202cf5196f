"""``Basis``: which clusters a model sees, how far, and with how many Chebyshev polynomials.

One naming for Python and TOML: :meth:`Basis.from_dict` takes what the ``[basis]`` table of an input
file holds, :meth:`Basis.to_dict` gives it back, complete.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import tomllib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .errors import BasisError
from .units import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TRANSFORMS: Final = ("MORSE", "INVRSE_R", "DEFAULT")
BODY_NAMES: Final = {1: "one_body", 2: "two_body", 3: "three_body", 4: "four_body"}

Elements = tuple[str, ...]
"""Element symbols of a cluster or a block, sorted."""


def split_symbols(name: str) -> Elements:
    """``"CCN"`` or ``"C-C-N"`` → ``("C", "C", "N")``, sorted. Raises BasisError on anything else."""
    symbols = re.findall(r"[A-Z][a-z]?", name)
    if not symbols or "".join(symbols) != name.replace("-", ""):
        raise BasisError(f"expected element symbols such as 'CN' or 'MoNb', found {name!r}")
    return tuple(sorted(symbols))


def cluster_name(elements: Iterable[str]) -> str:
    """Symbols of a cluster run together, sorted: ``CCN``."""
    return "".join(sorted(elements))


def edges_of(body: int) -> list[tuple[int, int]]:
    """Edges of a cluster in ChIMES order: 01 02 12 and 01 02 03 12 13 23."""
    return list(itertools.combinations(range(body), 2))


@dataclass(frozen=True)
class Cutoff:
    """The smooth cutoff factor of an edge: ``CUBIC`` (1 − r/rmax)³, or ``TERSOFF``, 1 below rmax (1 − fraction)."""

    kind: str = "CUBIC"
    fraction: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("CUBIC", "TERSOFF"):
            raise BasisError(f"cutoff function: expected CUBIC or TERSOFF, found {self.kind!r}")
        if self.kind == "TERSOFF" and not 0.0 < self.fraction <= 1.0:
            raise BasisError(f"TERSOFF: expected a fraction in (0, 1], found {self.fraction}")

    @classmethod
    def parse(cls, text: str) -> Cutoff:
        """From ``"CUBIC"`` or ``"TERSOFF 0.75"``."""
        words = text.split()
        try:
            if len(words) == 1 and words[0] == "CUBIC":
                return cls()
            if len(words) == 2 and words[0] == "TERSOFF":
                return cls("TERSOFF", float(words[1]))
        except ValueError as error:
            if isinstance(error, BasisError):
                raise
        raise BasisError(f"cutoff function: expected 'CUBIC' or 'TERSOFF fraction', found {text!r}")

    def __str__(self) -> str:
        return self.kind if self.kind == "CUBIC" else f"TERSOFF {self.fraction!r}"


@dataclass(frozen=True)
class Pair:
    """A pair of elements: inner and outer cutoff (Å) of the two-body term, transform and its λ (Å, MORSE only)."""

    elements: Elements
    rmin: float
    rmax: float
    transform: str = "MORSE"
    morse_lambda: float | None = None

    def __post_init__(self) -> None:
        check_cutoffs(self.name, self.rmin, self.rmax)
        if self.transform not in TRANSFORMS:
            raise BasisError(f"pair {self.name}: expected a transform of {TRANSFORMS}, found {self.transform!r}")
        if self.transform == "MORSE" and not (self.morse_lambda is not None and self.morse_lambda > 0):
            raise BasisError(f"pair {self.name}: MORSE needs lambda > 0, found {self.morse_lambda}")
        if self.transform != "MORSE" and self.morse_lambda is not None:
            object.__setattr__(self, "morse_lambda", None)

    @property
    def name(self) -> str:
        return cluster_name(self.elements)


def check_cutoffs(name: str, rmin: float, rmax: float) -> None:
    """Raise BasisError unless 0 ≤ rmin < rmax < ∞."""
    if not (0.0 <= rmin < rmax < float("inf")):
        raise BasisError(f"{name}: expected 0 ≤ rmin < rmax, found rmin {rmin}, rmax {rmax}")


@dataclass(frozen=True)
class Edge:
    """Cutoffs (Å) that a cluster type uses for its edges between two elements."""

    elements: Elements
    rmin: float
    rmax: float

    @property
    def name(self) -> str:
        return cluster_name(self.elements)


@dataclass(frozen=True)
class ClusterType:
    """A multiset of 1 to 4 elements, its number of Chebyshev orders, and its own cutoffs per pair of elements.

    ``order`` counts as in PAIRTYP: two-body powers run 1…order, many-body ones 0…order−1.
    """

    elements: Elements
    order: int
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        if self.elements != tuple(sorted(self.elements)) or not 1 <= len(self.elements) <= 4:
            raise BasisError(f"cluster type: expected 1 to 4 sorted elements, found {self.elements}")
        least, most = {1: (1, 1), 2: (1, None)}.get(self.body, (2, None))
        if self.order < least or (most is not None and self.order > most):
            raise BasisError(
                f"{self.name}: expected an order of {'exactly' if most else 'at least'} {least}, found {self.order}"
            )
        wanted = sorted({tuple(sorted(p)) for p in itertools.combinations(self.elements, 2)})
        if [e.elements for e in self.edges] != wanted:
            raise BasisError(
                f"{self.name}: expected cutoffs for {wanted}, found {[e.elements for e in self.edges]}"
            )
        for edge in self.edges:
            check_cutoffs(f"{self.name}, edge {edge.name}", edge.rmin, edge.rmax)

    @property
    def body(self) -> int:
        return len(self.elements)

    @property
    def name(self) -> str:
        return "".join(self.elements)

    @property
    def block(self) -> str:
        """Name of the block that the type belongs to: its set of elements."""
        return cluster_name(set(self.elements))

    def edge(self, a: str, b: str) -> Edge:
        """The cutoffs between two of its elements."""
        key = tuple(sorted((a, b)))
        return next(e for e in self.edges if e.elements == key)


def type_rank(elements: Elements, order: Sequence[str]) -> tuple[int, ...]:
    """Sort key of a cluster type in chimes_lsq's order: 2, 3, 4, then 1 body; like pairs before unlike ones;
    many-body types as loops over the elements in input order meet them first."""
    index = sorted(order.index(e) for e in elements)
    body = {2: 0, 3: 1, 4: 2, 1: 3}[len(elements)]
    unlike = (int(index[0] != index[1]),) if len(elements) == 2 else ()
    return (body, *unlike, *index)


@dataclass(frozen=True)
class Basis:
    """What a ChIMES model is linear in.

    Attributes
    ----------
    elements : in the order of the input (it fixes the order of cluster types and columns).
    pairs : one :class:`Pair` for each pair of elements that a cluster type joins.
    types : the :class:`ClusterType` that the model has, in chimes_lsq's order.
    cutoff : the cutoff factor of every edge.
    """

    elements: Elements
    pairs: tuple[Pair, ...]
    types: tuple[ClusterType, ...]
    cutoff: Cutoff = Cutoff()

    def __post_init__(self) -> None:
        if len(set(self.elements)) != len(self.elements) or not self.elements:
            raise BasisError(f"elements: expected distinct symbols, found {self.elements}")
        for element in self.elements:
            if element not in SYMBOLS:
                raise BasisError(f"elements: {element!r} is not a chemical symbol")
        wanted = {tuple(sorted(p)) for p in itertools.combinations_with_replacement(self.elements, 2)}
        found = {p.elements for p in self.pairs}
        if missing := {e.elements for t in self.types for e in t.edges} - found:
            raise BasisError(f"pairs: missing {', '.join(sorted(map(cluster_name, missing)))}")
        if extra := found - wanted:
            raise BasisError(f"pairs: {', '.join(sorted(map(cluster_name, extra)))} not among the elements")
        for kind in self.types:
            if unknown := set(kind.elements) - set(self.elements):
                raise BasisError(f"type {kind.name}: {sorted(unknown)} not among the elements {self.elements}")
        names = [t.elements for t in self.types]
        if len(set(names)) != len(names):
            raise BasisError(f"cluster types given twice: {sorted({cluster_name(n) for n in names if names.count(n) > 1})}")
        object.__setattr__(self, "pairs", tuple(sorted(self.pairs, key=lambda p: type_rank(p.elements, self.elements))))
        object.__setattr__(self, "types", tuple(sorted(self.types, key=lambda t: type_rank(t.elements, self.elements))))

    @classmethod
    def from_toml(cls, path: str | Path) -> Basis:
        """Read the ``[basis]`` table of a TOML file. Raises BasisError naming the file and the key."""
        try:
            with Path(path).open("rb") as stream:
                table = tomllib.load(stream)
        except tomllib.TOMLDecodeError as error:
            raise BasisError(f"{path}: not valid TOML: {error}") from error
        if "basis" not in table:
            raise BasisError(f"{path}: expected a [basis] table, found {sorted(table)}")
        try:
            return cls.from_dict(table["basis"])
        except BasisError as error:
            raise BasisError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Basis:
        """Build a basis from the content of a ``[basis]`` table.

        Keys: ``elements``; ``orders`` [n2, n3, n4] as PAIRTYP has them; ``transform``; ``cutoff``;
        ``pairs.XY`` with ``rmin``, ``rmax``, ``lambda``; and optional ``three_body``/``four_body`` with
        ``rmin``/``rmax``; ``blocks.XY.orders``; ``types.XYZ`` with ``order``, ``rmin``, ``rmax`` (a number,
        or a table by pair); ``one_body``; ``exclude``. Many-body cutoffs default to those of the pair.
        """
        from_table = _Reader(dict(table))
        return from_table.basis()

    def to_dict(self) -> dict[str, Any]:
        """The whole basis as a ``[basis]`` table that :meth:`from_dict` reads back to an equal one."""
        pairs = {
            p.name: {"rmin": p.rmin, "rmax": p.rmax, "transform": p.transform}
            | ({} if p.morse_lambda is None else {"lambda": p.morse_lambda})
            for p in self.pairs
        }
        types = {
            t.name: {
                "order": t.order,
                "rmin": {e.name: e.rmin for e in t.edges},
                "rmax": {e.name: e.rmax for e in t.edges},
            }
            for t in self.types
            if t.body > 1
        }
        ones = [t.name for t in self.types if t.body == 1]
        return {
            "elements": list(self.elements), "cutoff": str(self.cutoff), "orders": [0, 0, 0],
            "pairs": pairs, "types": types, "one_body": ones,
        }  # fmt: skip

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content; equal bases have equal digests, whatever file they came from."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    @property
    def reach(self) -> float:
        """The largest outer cutoff in Å: how far neighbours are needed. 0 with one-body types alone."""
        return max((e.rmax for t in self.types for e in t.edges), default=0.0)

    def pair(self, a: str, b: str) -> Pair:
        """The pair of two elements."""
        key = tuple(sorted((a, b)))
        return next(p for p in self.pairs if p.elements == key)

    def type_named(self, elements: Iterable[str]) -> ClusterType | None:
        """The cluster type of these elements, or ``None``."""
        key = tuple(sorted(elements))
        return next((t for t in self.types if t.elements == key), None)

    def with_types(self, types: Iterable[ClusterType]) -> Basis:
        """The same elements, pairs and cutoff function with other cluster types."""
        return replace(self, types=tuple(types))

    def restricted(self, elements: Iterable[str]) -> Basis:
        """The part that involves only these elements."""
        keep = [e for e in self.elements if e in set(elements)]
        return Basis(
            tuple(keep),
            tuple(p for p in self.pairs if set(p.elements) <= set(keep)),
            tuple(t for t in self.types if set(t.elements) <= set(keep)),
            self.cutoff,
        )


class _Reader:
    """Reads one ``[basis]`` table; every key that it does not know is an error."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.table = table
        known = {"elements", "orders", "transform", "cutoff", "pairs", "three_body", "four_body", "blocks",
                 "types", "one_body", "exclude"}  # fmt: skip
        if unknown := set(table) - known:
            raise BasisError(f"basis: unknown keys {sorted(unknown)}; known are {sorted(known)}")

    def basis(self) -> Basis:
        elements = tuple(_get(self.table, "elements", list, "basis"))
        pairs = [self._pair(p) for p in itertools.combinations_with_replacement(elements, 2)]
        by_key = {p.elements: p for p in pairs}
        for name in _get(self.table, "pairs", dict, "basis"):
            if split_symbols(name) not in by_key:
                raise BasisError(f"basis.pairs.{name}: not a pair of the elements {elements}")
        given = {split_symbols(k): (k, v) for k, v in _get(self.table, "types", dict, "basis", {}).items()}
        excluded = {split_symbols(name) for name in _get(self.table, "exclude", list, "basis", [])}
        types = []
        for body in (1, 2, 3, 4):
            for combination in itertools.combinations_with_replacement(elements, body):
                key = tuple(sorted(combination))
                name, own = given.pop(key, (cluster_name(key), {}))
                kind = self._type(key, name, own, by_key)
                if kind is not None and key not in excluded:
                    types.append(kind)
        if given:
            raise BasisError(f"basis.types: {[k for k, _ in given.values()]} are not clusters of {elements}")
        cutoff = Cutoff.parse(_get(self.table, "cutoff", str, "basis", "CUBIC"))
        return Basis(elements, tuple(pairs), tuple(types), cutoff)

    def _pair(self, key: tuple[str, str]) -> Pair:
        tables = {split_symbols(k): v for k, v in _get(self.table, "pairs", dict, "basis").items()}
        elements = tuple(sorted(key))
        where = f"basis.pairs.{cluster_name(key)}"
        if elements not in tables:
            raise BasisError(f"{where}: missing")
        own = tables[elements]
        if unknown := set(own) - {"rmin", "rmax", "lambda", "transform"}:
            raise BasisError(f"{where}: unknown keys {sorted(unknown)}")
        transform = own.get("transform", self.table.get("transform", "MORSE"))
        transform = "DEFAULT" if transform == "NONE" else transform
        lam = _get(own, "lambda", float, where) if transform == "MORSE" else None
        return Pair(elements, _get(own, "rmin", float, where), _get(own, "rmax", float, where), transform, lam)

    def _order(self, key: Elements, name: str, own: Mapping[str, Any]) -> int:
        where = f"basis.types.{name}"
        body = len(key)
        if body == 1:
            ones = self.table.get("one_body", True)
            return int(ones if isinstance(ones, bool) else key[0] in ones)
        block = {split_symbols(k): v for k, v in _get(self.table, "blocks", dict, "basis", {}).items()}
        orders = block.get(tuple(sorted(set(key))), {}).get("orders", _get(self.table, "orders", list, "basis"))
        if len(orders) != 3 or not all(isinstance(o, int) and not isinstance(o, bool) and o >= 0 for o in orders):
            raise BasisError(f"basis.orders: expected three integers ≥ 0 (two-, three-, four-body), found {orders}")
        return int(_get(own, "order", int, where, orders[body - 2]))

    def _type(
        self, key: Elements, name: str, own: Mapping[str, Any], pairs: Mapping[Elements, Pair]
    ) -> ClusterType | None:
        body = len(key)
        where = f"basis.types.{name}"
        if unknown := set(own) - {"order", "rmin", "rmax"}:
            raise BasisError(f"{where}: unknown keys {sorted(unknown)}")
        order = self._order(key, name, own)
        if order == 0 or (body > 2 and order == 1):
            return None
        general = _get(self.table, BODY_NAMES[body], dict, "basis", {}) if body > 2 else {}
        if unknown := set(general) - {"rmin", "rmax"}:
            raise BasisError(f"basis.{BODY_NAMES[body]}: unknown keys {sorted(unknown)}")
        edges = []
        for edge in sorted({tuple(sorted(p)) for p in itertools.combinations(key, 2)}):
            pair = pairs[edge]
            rmin, rmax = (
                _cutoff_value(own.get(side, general.get(side)), edge, getattr(pair, side), f"{where}.{side}")
                for side in ("rmin", "rmax")
            )
            edges.append(Edge(edge, rmin, rmax))
        return ClusterType(key, order, tuple(edges))


_MISSING: Final = object()


def _get(table: Mapping[str, Any], key: str, kind: type, where: str, default: Any = _MISSING) -> Any:
    value = table.get(key, default)
    if value is _MISSING:
        raise BasisError(f"{where}.{key}: missing")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BasisError(f"{where}.{key}: expected {kind.__name__}, found {value!r}")
    return value


def _cutoff_value(given: Any, edge: Elements, default: float, where: str) -> float:
    if isinstance(given, dict):
        named = {split_symbols(k): v for k, v in given.items()}
        given = named.get(edge)
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise BasisError(f"{where}: expected a number or a table by pair, found {given!r}")
    return float(given)
