"""Reading of the ``[basis]`` table of an input file: every key and every name in it must mean something."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from .cluster_types import ClusterType, Cutoff, Edge, Elements, Pair, check_number, cluster_name, split_symbols
from .errors import BasisError, Problems, unknown_keys_message
from .type_names import SYMBOL
from .units import EV
from .words import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS: Final = (
    "elements", "orders", "transform", "cutoff", "pairs", "three_body", "four_body", "blocks", "types", "one_body",
    "exclude", "energies", "masses",
)  # fmt: skip
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


def _known(table: Any, keys: tuple[str, ...], where: str) -> None:
    if not isinstance(table, dict):
        raise BasisError(f"{where}: expected a table, found {shown(table)}")
    if unknown := set(table) - set(keys):
        raise BasisError(f"{where}: {unknown_keys_message(unknown, sorted(keys))}")


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
    unit = table.get("unit", "eV")
    if unit not in ("eV", "kcal"):
        raise BasisError(f"{where}.unit: expected 'eV' or 'kcal' (kcal/mol), found {unit!r}")
    factor = EV if unit == "eV" else 1.0
    return tuple((e, factor * _number(x, f"{where}.{e}", "a number")) for e, x in table.items() if e != "unit")


def _number(value: Any, where: str, expected: str) -> float:
    """A finite number; an integer may be too large for one."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    raise BasisError(f"{where}: expected {expected}, found {shown(value)}")


class _Reader:
    """One ``[basis]`` table and its parts by sorted elements; what is wrong is kept until all of it can be told."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.problems = Problems()
        with self.problems.noting():
            _known(table, KEYS, "basis")
        self.table: Mapping[str, Any] = table if isinstance(table, dict) else {}
        self.elements: Elements = ()
        with self.problems.noting():
            given = _get(self.table, "elements", list, "basis")
            if not all(isinstance(e, str) for e in given):
                raise BasisError(f"basis.elements: expected symbols, found {shown(given)}")
            self.elements = tuple(given)
        if not self.elements:
            self.problems.settle(BasisError)  # nothing else can be judged without them
        pairs = self._named("pairs", (2,), MISSING)
        self.pairs: dict[Elements, Pair] = {}
        for k, own in pairs.items():
            with self.problems.noting():
                self.pairs[k] = self._pair(k, own)
        self.wrong_pairs = "pairs" not in self.table or set(pairs) - set(self.pairs)
        self.types = self._named("types", (1, 2, 3, 4), {})
        self.blocks: dict[Elements, Any] = {}
        for key, own in self._named("blocks", (1, 2, 3, 4), {}).items():
            with self.problems.noting():
                if len(set(key)) != len(key):
                    raise BasisError(f"basis.blocks.{cluster_name(key)}: a block is a set of elements, each once")
                _known(own, ("orders",), f"basis.blocks.{cluster_name(key)}")
                self.blocks[key] = own
        for body in (3, 4):
            with self.problems.noting():
                _known(_get(table, BODY_KEYS[body], dict, "basis", {}), ("rmin", "rmax"), f"basis.{BODY_KEYS[body]}")

    def read(self) -> Parts:
        excluded: set[Elements] = set()
        with self.problems.noting():
            excluded = self._excluded()
        types: list[ClusterType] = []
        with self.problems.noting():
            self._read_types(excluded, types)
        cutoff = Cutoff()
        with self.problems.noting():
            cutoff = Cutoff.parse(_get(self.table, "cutoff", str, "basis", "CUBIC"))
        energies: tuple[tuple[str, float], ...] = ()
        with self.problems.noting():
            energies = given_energies(_get(self.table, "energies", dict, "basis", {}), "basis.energies")
        masses: dict[str, float] = {}
        with self.problems.noting():
            given = _get(self.table, "masses", dict, "basis", {})
            masses = {name: _number(mass, f"basis.masses.{name}", "a number") for name, mass in given.items()}
        self.problems.settle(BasisError)
        return self.elements, tuple(self.pairs.values()), tuple(types), cutoff, energies, masses

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
        orders = [self.table.get("orders"), *(own.get("orders", [0, 0, 0]) for own in self.blocks.values())]
        none = all(isinstance(o, list) and len(o) == 3 and o[body - 2] == 0 for o in orders)
        return body <= 2 or not none or any(len(key) == body for key in self.types)

    def _named(self, what: str, bodies: tuple[int, ...], default: Any) -> dict[Elements, Any]:
        """A table of clusters by sorted elements; names that mean none, or mean one twice, are refused."""
        found: dict[Elements, Any] = {}
        given: Mapping[str, Any] = {}
        with self.problems.noting():
            given = _get(self.table, what, dict, "basis", default)
        for name, own in given.items():
            with self.problems.noting():
                key = self._cluster(name, bodies, f"basis.{what}.{name[:60]}")
                if key in found:
                    raise BasisError(f"basis.{what}: {cluster_name(key)} is given twice, the second time as {name!r}")
                found[key] = own
        return found

    def _cluster(self, name: Any, bodies: tuple[int, ...], where: str) -> Elements:
        if not isinstance(name, str):
            raise BasisError(f"{where}: expected element symbols, found {shown(name)}")
        key = split_symbols(name)
        if len(key) not in bodies or not set(key) <= set(self.elements):
            odd = [e for e in self.elements if not SYMBOL.fullmatch(e)]
            hint = f"; names that are no symbols have hyphens between them: '{odd[0]}-{odd[0]}'" if odd else ""
            raise BasisError(
                f"{where}: expected {' or '.join(map(str, bodies))} of the elements {', '.join(self.elements)}{hint}"
            )
        return key

    def _excluded(self) -> set[Elements]:
        names = _get(self.table, "exclude", list, "basis", [])
        return {self._cluster(name, (1, 2, 3, 4), "basis.exclude") for name in names}

    def _pair(self, key: Elements, own: Any) -> Pair:
        where = f"basis.pairs.{cluster_name(key)}"
        _known(own, ("rmin", "rmax", "lambda", "transform"), where)
        transform = own.get("transform", _get(self.table, "transform", str, "basis", "MORSE"))
        transform = "DEFAULT" if transform == "NONE" else transform
        lam = _get(own, "lambda", float, where) if transform == "MORSE" else None
        return Pair(key, _get(own, "rmin", float, where), _get(own, "rmax", float, where), transform, lam)

    def _order(self, key: Elements) -> int:
        body = len(key)
        if body == 1:
            return int(key[0] in self._one_body())
        block = self.blocks.get(tuple(sorted(set(key))), {})
        orders = _get(block if "orders" in block else self.table, "orders", list, "basis")
        if len(orders) != 3 or not all(isinstance(o, int) and not isinstance(o, bool) and o >= 0 for o in orders):
            raise BasisError(
                f"basis.orders: expected three integers ≥ 0 (two-, three-, four-body), found {shown(orders)}"
            )
        own = self.types.get(key, {})
        return int(_get(own, "order", int, f"basis.types.{cluster_name(key)}", orders[body - 2]))

    def _one_body(self) -> Elements:
        value = self.table.get("one_body", True)
        if isinstance(value, bool):
            return self.elements if value else ()
        if not isinstance(value, list) or any(e not in self.elements for e in value):
            raise BasisError(f"basis.one_body: expected true, false or a list of elements, found {shown(value)}")
        return tuple(value)

    def _type(self, key: Elements) -> ClusterType | None:
        body, where = len(key), f"basis.types.{cluster_name(key)}"
        own = self.types.get(key, {})
        _known(own, () if body == 1 else ("order", "rmin", "rmax"), where)
        order = self._order(key)
        # a many-body order of 1 has the power 0 alone, and that is in no column
        if order == 0 or (body > 2 and order == 1):
            return None
        edges = []
        for edge in sorted({tuple(sorted(p)) for p in itertools.combinations(key, 2)}):
            if edge not in self.pairs:
                if self.wrong_pairs:  # told already
                    return None
                raise BasisError(f"basis.pairs.{cluster_name(edge)}: missing")
            edges.append(Edge(edge, *(self._cutoff(side, key, edge) for side in ("rmin", "rmax"))))
        return ClusterType(key, order, tuple(edges))

    def _cutoff(self, side: str, key: Elements, edge: Elements) -> float:
        """The type's own cutoff of an edge, else that of all types of its size, else the pair's."""
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
                return _number(value, where, "a number or a table by pair")
        return float(getattr(self.pairs[edge], side))

    def _by_pair(self, table: Mapping[str, Any], pairs: set[Elements], where: str) -> dict[Elements, Any]:
        found = {self._cluster(name, (2,), where): value for name, value in table.items()}
        for pair in found:
            if pair not in pairs:
                raise BasisError(f"{where}: {cluster_name(pair)} is no edge of this type")
        return found
