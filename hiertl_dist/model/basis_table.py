"""Reading of the ``[basis]`` table of an input file: every key and every name in it must mean something."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from ..errors import BasisError
from ..frames.element_set import ElementSet
from ..frames.type_names import SYMBOL
from ..text.problems import Problems, require_known
from ..text.table_keys import BASIS, MANY_BODY, OF_BLOCK, PAIR, TYPE
from ..text.words import shown
from ..units import EV
from .cluster_types import (
    ClusterType,
    Cutoff,
    Edge,
    Elements,
    Pair,
    check_cutoffs,
    check_lambda,
    check_number,
    check_order,
    check_transform,
    cluster_name,
    element_faults,
    energy_faults,
    mass_faults,
    split_symbols,
    type_faults,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Parts = tuple[
    Elements, tuple[Pair, ...], tuple[ClusterType, ...], Cutoff, tuple[tuple[str, float], ...], dict[str, float]
]
"""Elements, pairs, cluster types, cutoff function, given energies and masses of a table."""
BODY_KEYS: Final = {3: "three_body", 4: "four_body"}
MISSING: Final = object()


def read_table(
    table: Mapping[str, Any],
) -> Parts:
    """Elements, pairs, cluster types, cutoff function, given energies, masses of a table; see ``Basis.from_dict``.

    Raises
    ------
    BasisError
        Naming the key, what was expected and what was found.
    """
    return _Reader(table).read()


def _get(table: Mapping[str, Any], key: str, kind: type, where: str, default: Any = MISSING) -> Any:
    value = table.get(key, default)
    if value is MISSING:
        raise BasisError(f"{where}.{key}: missing")
    if kind is float:
        return _number(value, f"{where}.{key}", "a number")
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BasisError(f"{where}.{key}: expected {kind.__name__}, found {shown(value)}")
    return value


def given_energies(table: Mapping[str, Any], where: str) -> tuple[tuple[str, float], ...]:
    """(element, energy in kcal/mol) of a table of energies by element and their ``unit``, eV where none is named."""
    problems = Problems(BasisError)
    unit = table.get("unit", "eV")
    if unit not in ("eV", "kcal"):
        problems.add(f"{where}.unit: expected 'eV' or 'kcal' (kcal/mol), found {shown(unit)}")
    factor = EV if unit == "eV" else 1.0
    numbers = _numbers({e: x for e, x in table.items() if e != "unit"}, where, problems)
    problems.settle(BasisError)
    return tuple((e, factor * x) for e, x in numbers.items())


def _numbers(table: Mapping[str, Any], where: str, problems: Problems) -> dict[str, float]:
    """Those values of a table that are numbers; the others are problems."""
    numbers: dict[str, float] = {}
    for name, value in table.items():
        with problems.noting():
            numbers[name] = _number(value, f"{where}.{name}", "a number")
    return numbers


def _number(value: Any, where: str, expected: str) -> float:
    """A finite number; an integer may be too large for one."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    raise BasisError(f"{where}: expected {expected}, found {shown(value)}")


class _Reader:
    """One ``[basis]`` table and its parts by sorted elements; what is wrong is kept until all of it can be told."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.problems = Problems(BasisError)
        with self.problems.noting():
            require_known(table, BASIS, "basis", BasisError)
        self.table: Mapping[str, Any] = table if isinstance(table, dict) else {}
        self.elements: Elements = ()
        with self.problems.noting():
            given = _get(self.table, "elements", list, "basis")
            if not all(isinstance(e, str) for e in given):
                raise BasisError(f"basis.elements: expected symbols, found {shown(given)}")
            self.elements = tuple(given)
            self._add(element_faults(self.elements))
        self.transform: str | None = None
        with self.problems.noting():
            self.transform = self._transform(_get(self.table, "transform", str, "basis", "MORSE"), "basis.transform")
        pairs = self._named("pairs", (2,), MISSING)
        read_pairs = {k: self._pair(k, entry) for k, entry in pairs.items()}
        self.pairs = {k: pair for k, pair in read_pairs.items() if pair is not None}
        listed = self.table.get("pairs")
        self.reported = set(read_pairs)
        # a name that means no pair may be meant for one that is missing
        self.wrong_names = not isinstance(listed, dict) or len(read_pairs) < len(listed)
        self.types = self._tables("types", TYPE)
        self.blocks: dict[ElementSet, Any] = {}
        for key, entry in self._tables("blocks", OF_BLOCK).items():
            name = ElementSet.of(key)
            if len(name.elements) != len(key):
                self.problems.add(f"basis.blocks.{cluster_name(key)}: a block is a set of elements, each once")
            else:
                self.blocks[name] = entry
        for body in (3, 4):
            where = f"basis.{BODY_KEYS[body]}"
            with self.problems.noting():
                require_known(_get(self.table, BODY_KEYS[body], dict, "basis", {}), MANY_BODY, where, BasisError)
        self._check_orders()

    def read(self) -> Parts:
        excluded: set[Elements] = set()
        with self.problems.noting():
            excluded = self._excluded()
        types: list[ClusterType] = []
        with self.problems.noting():
            self._read_types(excluded, types)
        cutoff = Cutoff()
        with self.problems.noting():
            cutoff = self._cutoff_function()
        energies: tuple[tuple[str, float], ...] = ()
        with self.problems.noting():
            table = _get(self.table, "energies", dict, "basis", {})
            with self.problems.noting():
                energies = given_energies(table, "basis.energies")
            if self.elements:
                ones = [e for e in self._one_body() if (e,) not in excluded]
                self._add(energy_faults((e for e in table if e != "unit"), ones))
        masses: dict[str, float] = {}
        with self.problems.noting():
            given = _get(self.table, "masses", dict, "basis", {})
            masses = _numbers(given, "basis.masses", self.problems)
            known = self.elements or tuple(given)
            self._add(mass_faults({name: masses.get(name, 1.0) for name in given}, known))
        self.problems.settle(BasisError)
        return self.elements, tuple(self.pairs.values()), tuple(types), cutoff, energies, masses

    def _add(self, faults: Iterable[str]) -> None:
        for text in faults:
            self.problems.add(f"basis.{text}")

    def _cutoff_function(self) -> Cutoff:
        text = _get(self.table, "cutoff", str, "basis", "CUBIC")
        try:
            return Cutoff.parse(text)
        except BasisError as error:
            raise BasisError(f"basis.cutoff: {error}") from error

    def _tables(self, what: str, keys: tuple[str, ...]) -> dict[Elements, Mapping[str, Any]]:
        """A table of tables by sorted elements, whatever else is wrong with these."""
        tables: dict[Elements, Mapping[str, Any]] = {}
        for key, entry in self._named(what, (1, 2, 3, 4), {}).items():
            with self.problems.noting():
                known = () if what == "types" and len(key) == 1 else keys
                require_known(entry, known, f"basis.{what}.{cluster_name(key)}", BasisError)
            tables[key] = entry if isinstance(entry, dict) else {}
        return tables

    def _transform(self, given: Any, where: str) -> str:
        transform = "DEFAULT" if given == "NONE" else given
        check_transform(where, transform)
        return str(transform)

    def _read_types(self, excluded: set[Elements], types: list[ClusterType]) -> None:
        for body in filter(self._may_have, (1, 2, 3, 4)):
            check_number(len(self.elements), body)
            for combination in itertools.combinations_with_replacement(self.elements, body):
                key = tuple(sorted(combination))
                with self.problems.noting():
                    kind = None if key in excluded else self._type(key)
                    if kind is not None:
                        types.append(kind)

    def _may_have(self, body: int) -> bool:
        """Whether there may be a type of a body; many elements make too many clusters to ask them all."""
        orders = [self.table.get("orders"), *(entry.get("orders", [0, 0, 0]) for entry in self.blocks.values())]
        none = all(isinstance(o, list) and len(o) == 3 and o[body - 2] == 0 for o in orders)
        return body <= 2 or not none or any(len(key) == body for key in self.types)

    def _named(self, what: str, bodies: tuple[int, ...], default: Any) -> dict[Elements, Any]:
        """A table of clusters by sorted elements; names that mean none, or mean one twice, are refused."""
        named: dict[Elements, Any] = {}
        given: Mapping[str, Any] = {}
        with self.problems.noting():
            given = _get(self.table, what, dict, "basis", default)
        for name, entry in given.items():
            with self.problems.noting():
                key = self._cluster(name, bodies, f"basis.{what}.{name[:60]}")
                if key in named:
                    raise BasisError(f"basis.{what}: {cluster_name(key)} is given twice, the second time as {name!r}")
                named[key] = entry
        return named

    def _cluster(self, name: Any, bodies: tuple[int, ...], where: str) -> Elements:
        if not isinstance(name, str):
            raise BasisError(f"{where}: expected element symbols, found {shown(name)}")
        try:
            key = split_symbols(name)
        except BasisError as error:
            raise BasisError(f"{where}: {error}") from error
        # where the elements are missing, that is told by itself
        if len(key) not in bodies or (self.elements and not set(key) <= set(self.elements)):
            odd = [e for e in self.elements if not SYMBOL.fullmatch(e)]
            hint = f"; names that are no symbols have hyphens between them: '{odd[0]}-{odd[0]}'" if odd else ""
            raise BasisError(
                f"{where}: expected {' or '.join(map(str, bodies))} of the elements"
                f"{' ' * bool(self.elements)}{', '.join(self.elements)}{hint}"
            )
        return key

    def _excluded(self) -> set[Elements]:
        excluded = set()
        for name in _get(self.table, "exclude", list, "basis", []):
            with self.problems.noting():
                excluded.add(self._cluster(name, (1, 2, 3, 4), "basis.exclude"))
        return excluded

    def _pair(self, key: Elements, entry: Any) -> Pair | None:
        """A pair; None where its cutoffs are wrong. What is wrong is noted."""
        where = f"basis.pairs.{cluster_name(key)}"
        with self.problems.noting():
            require_known(entry, PAIR, where, BasisError)
        if not isinstance(entry, dict):
            return None
        transform = self.transform
        if "transform" in entry:
            transform = None
            with self.problems.noting():
                transform = self._transform(entry["transform"], f"{where}.transform")
        numbers: dict[str, float] = {}
        for name in ("rmin", "rmax", *("lambda",) * ("lambda" in entry or transform == "MORSE")):
            with self.problems.noting():
                numbers[name] = _get(entry, name, float, where)
        if "lambda" in numbers and transform in ("MORSE", None):
            with self.problems.noting():
                lam = numbers.pop("lambda")
                check_lambda(f"{where}.lambda", lam)
                numbers["lambda"] = lam
        if "rmin" not in numbers or "rmax" not in numbers:
            return None
        with self.problems.noting():
            check_cutoffs(where, numbers["rmin"], numbers["rmax"])
            if transform is not None and ("lambda" in numbers or transform != "MORSE"):
                return Pair(key, numbers["rmin"], numbers["rmax"], transform, numbers.get("lambda"))
            return Pair(key, numbers["rmin"], numbers["rmax"], "DEFAULT")  # for types to be judged by its cutoffs
        return None

    def _check_orders(self) -> None:
        """Note each list of orders that is none, whether a type is made of it or not."""
        tables = [("basis.orders", self.table)]
        tables += [(f"basis.blocks.{name}.orders", entry) for name, entry in self.blocks.items()]
        for where, table in tables:
            orders = table.get("orders", [0, 0, 0])
            if not _are_orders(orders):
                self.problems.add(
                    f"{where}: expected three integers ≥ 0 (two-, three-, four-body), found {shown(orders)}"
                )

    def _order(self, key: Elements) -> int | None:
        """The order of a type; None where it is wrong, which has been told."""
        body = len(key)
        if body == 1:
            return int(key[0] in self._one_body())
        entry, block = self.types.get(key, {}), ElementSet.of(key)
        in_block = "orders" in self.blocks.get(block, {})
        table = self.blocks[block] if in_block else self.table
        if "orders" not in table:
            raise BasisError("basis.orders: missing")
        orders = table["orders"]
        where = f"basis.blocks.{block}.orders" if in_block else "basis.orders"
        order = orders[body - 2] if _are_orders(orders) else None
        if "order" in entry:
            where = f"basis.types.{cluster_name(key)}.order"
            order = int(_get(entry, "order", int, f"basis.types.{cluster_name(key)}"))
        # a many-body order of 1 has the power 0 alone, and that is in no column
        if order is not None and order != 0 and not (body > 2 and order == 1):
            check_order(where, body, order)
        return order

    def _one_body(self) -> Elements:
        value = self.table.get("one_body", True)
        if isinstance(value, bool):
            return self.elements if value else ()
        if not isinstance(value, list) or any(e not in self.elements for e in value):
            raise BasisError(f"basis.one_body: expected true, false or a list of elements, found {shown(value)}")
        return tuple(value)

    def _type(self, key: Elements) -> ClusterType | None:
        """A type, if there is one of these elements; what is wrong with it is noted."""
        order: int | None = None
        with self.problems.noting():
            order = self._order(key)
        if order == 0 or (len(key) > 2 and order == 1):
            return None
        edges: dict[Elements, Edge] = {}
        wanted = sorted({tuple(sorted(p)) for p in itertools.combinations(key, 2)})
        places: dict[Elements, str] = {}
        for edge in wanted:
            with self.problems.noting():
                if (edge_and_place := self._edge(key, edge)) is not None:
                    edges[edge], places[edge] = edge_and_place
        if order is None or len(edges) < len(wanted):
            return None
        kind = ClusterType(key, order, tuple(edges.values()))
        for faulty, text in type_faults(kind, self.pairs):
            self.problems.add(f"{places[faulty.elements]}: {text}")
        return kind

    def _edge(self, key: Elements, edge: Elements) -> tuple[Edge, str] | None:
        """An edge of a type and where its inner cutoff is given; None where its pair is wrong, which has been told."""
        cutoffs, places = [], []
        for side in ("rmin", "rmax"):
            with self.problems.noting():
                value, place = self._cutoff(side, key, edge)
                if value is not None:
                    cutoffs.append(value)
                    places.append(place)
        if edge not in self.pairs:
            if self.wrong_names or edge in self.reported:
                return None
            raise BasisError(f"basis.pairs.{cluster_name(edge)}: missing")
        if len(cutoffs) < 2:
            return None
        check_cutoffs(f"{places[0]}, {places[1]}, edge {cluster_name(edge)}", *cutoffs)
        return Edge(edge, *cutoffs), places[0]

    def _cutoff(self, side: str, key: Elements, edge: Elements) -> tuple[float | None, str]:
        """The type's own cutoff of an edge, else that of all types of its size, else the pair's; and its place."""
        body = len(key)
        joined = {tuple(sorted(p)) for p in itertools.combinations(key, 2)}
        places = [(self.types.get(key, {}), f"basis.types.{cluster_name(key)}.{side}", joined)]
        if body > 2:
            every = {tuple(sorted(p)) for p in itertools.combinations_with_replacement(self.elements, 2)}
            places.append((self.table.get(BODY_KEYS[body], {}), f"basis.{BODY_KEYS[body]}.{side}", every))
        for table, where, pairs in places:
            value = table.get(side) if isinstance(table, dict) else None  # told already
            if isinstance(value, dict):
                value = self._by_pair(value, pairs, where).get(edge)
            if value is not None:
                return _number(value, where, "a number or a table by pair"), where
        pair = self.pairs.get(edge)
        return None if pair is None else float(getattr(pair, side)), f"basis.pairs.{cluster_name(edge)}.{side}"

    def _by_pair(self, table: Mapping[str, Any], pairs: set[Elements], where: str) -> dict[Elements, Any]:
        by_pair: dict[Elements, Any] = {}
        for name, value in table.items():
            with self.problems.noting():
                pair = self._cluster(name, (2,), where)
                if self.elements and pair not in pairs:
                    raise BasisError(f"{where}: {cluster_name(pair)} is no edge of this type")
                by_pair[pair] = value
        return by_pair


def _are_orders(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(o) is int and o >= 0 for o in value)
