"""Reading ChIMES parameter files, full and reduced, into ``Parameters``.

The text is taken apart by :mod:`.params_scan`; here it is checked against itself, and powers are brought
from the atoms' order in the file to the sorted atoms of a :class:`~hiertl_dist.Column`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import BasisError, ParameterFileError
from ..model.basis import Basis, ClusterType, Edge, Elements, Pair, cluster_name, edges_of, split_symbols
from ..model.blocks import columns_of, orbits, pattern_of
from ..model.parameters import Parameters, Penalty
from ..model.undetermined import undetermined_text
from ..model.without_data import WAYS
from ..text.words import finite_number, shown, whole_number
from .masses import own_masses
from .params_scan import scan
from .params_sections import COUNT_OF_BODY, edge_map

if TYPE_CHECKING:
    from pathlib import Path

    from .params_sections import Row, Section, Sections

Values = dict[tuple[Elements, tuple[int, ...]], float]

NOTES: Final = ("ORDERS:", "EXCLUDED:", "COVERAGE:", "UNDETERMINED_ENERGIES:", "WITHOUT_DATA:", "FITTED_ON:")
RENAMED: Final = {"UNTOLD:": "UNDETERMINED_ENERGIES:"}
"""What such comments were called before, in files that are read still."""


def read_parameters(path: str | Path) -> Parameters:
    """Read a ChIMES parameter file (``params.txt``, ``*.reduced``, or one that this package wrote).

    Coefficients are in kcal/mol, distances in Å. What the file leaves out is zero; a cluster type is part of
    the basis if the file has a section for it that is not marked ``EXCLUDED:``, and a one-body type if it has
    an energy offset. Each type has the order of the PAIRTYP line, unless one of this package's own comments
    says otherwise. Many-body edges have the cutoffs of their pair where no SPECIAL line sets them.

    Raises
    ------
    ParameterFileError
        The file is truncated, malformed, contradicts itself, or has charges or overbonding; file and line,
        what was expected and what was found are named; or its lines are not those whose checksum it has.
    OSError
        The file cannot be read.
    """
    sections = scan(path)
    parameters = _Builder(sections).parameters()
    if sections.checksum_fault:  # after what is wrong with a line, which says more
        raise ParameterFileError(f"{sections.path}: {sections.checksum_fault}")
    return parameters


class _Builder:
    """Turns the sections of one file into a basis and its coefficients."""

    def __init__(self, sections: Sections) -> None:
        self.sections = sections
        self.values: Values = {}
        self.orders: dict[Elements, tuple[int, int]] = {}
        self.left_out: dict[Elements, int] = {}
        self.coverage: dict[str, tuple[float, float]] = {}
        self.undetermined: list[dict[str, float]] = []
        self.without_data: dict[str, str] = {}
        self.fitted_on: dict[str, tuple[int, int]] = {}

    def parameters(self) -> Parameters:
        pairs = self._pairs()
        self._notes(pairs)
        self._check_counts()
        types = [*self._one_body(), *self._two_body(pairs), *self._many_body(pairs)]
        if unknown := set(self.orders) - {t.elements for t in types}:
            name = sorted(unknown)[0]
            self.sections.fail(self.orders[name][0], "ORDERS of types that the file has", cluster_name(name))
        basis = self._basis(pairs, types)
        columns = columns_of(basis)
        coefficients = np.array([self.values.get((c.elements, c.powers), 0.0) for c in columns], np.float64)
        wall, remarks = Penalty(**self.sections.penalty), tuple(self.sections.remarks)
        if self.undetermined:
            remarks += (f"{self.sections.path}: {undetermined_text(self.undetermined)}",)
        return Parameters(
            basis, coefficients, wall, self.coverage, self.sections.path, remarks, tuple(self.undetermined),
            self.without_data, self.fitted_on,
        )  # fmt: skip

    def _basis(self, pairs: dict[Elements, Pair], types: list[ClusterType]) -> Basis:
        try:
            masses = own_masses(self.sections.masses)
            elements, kinds = tuple(self.sections.elements), tuple(types)
            return Basis(elements, tuple(pairs.values()), kinds, self.sections.cutoff, masses=masses)
        except BasisError as error:
            raise ParameterFileError(f"{self.sections.path}: {error}") from error

    # -- header -----------------------------------------------------------------------------------

    def _pairs(self) -> dict[Elements, Pair]:
        pairs: dict[Elements, Pair] = {}
        for row in self.sections.pairs:
            elements = tuple(sorted(row.atoms))
            if not set(elements) <= set(self.sections.elements) or elements in pairs:
                self.sections.fail(
                    row.line, f"each pair of {' '.join(self.sections.elements)} once", " ".join(row.atoms)
                )
            try:
                pairs[elements] = Pair(elements, row.rmin, row.rmax, row.transform, row.morse_lambda)
            except BasisError as error:
                raise ParameterFileError(f"{self.sections.path}, line {row.line}: {error}") from error
        return pairs

    def _notes(self, pairs: dict[Elements, Pair]) -> None:
        for name, notes in self.sections.notes.items():
            keyword = RENAMED.get(name, name)
            if keyword not in NOTES:
                self.sections.fail(notes[0].line, f"a comment of {', '.join(NOTES)}", repr(name))
            for line, words in notes:
                if keyword == "EXCLUDED:":
                    self.left_out.update((self._cluster(line, w), line) for w in words)
                elif keyword == "ORDERS:":
                    self._note_orders(line, words)
                elif keyword == "UNDETERMINED_ENERGIES:":
                    self._note_undetermined(line, words)
                elif keyword == "WITHOUT_DATA:":
                    self._note_without_data(line, words)
                elif keyword == "FITTED_ON:":
                    self._note_fitted_on(line, words)
                else:
                    self._note_coverage(line, words, pairs)
        elements = self.sections.elements
        for body, named in ((1, [(e,) for e in elements]), (2, [p.atoms for p in self.sections.pairs])):
            for index, line in self.sections.excluded[body].items():
                if not 0 <= index < len(named):
                    self.sections.fail(line, f"{body}-body types of 0 … {len(named) - 1}", index)
                self.left_out[tuple(sorted(named[index]))] = line

    def _note_orders(self, line: int, words: list[str]) -> None:
        orders = [whole_number(w) for w in words[1::2]]
        if len(words) % 2 or None in orders:
            self.sections.fail(line, "ORDERS: names of cluster types, each with its order", " ".join(words))
        for name, order in zip(words[::2], orders, strict=True):
            elements = self._cluster(line, name)
            largest = self.sections.orders[len(elements) - 2] if 2 <= len(elements) <= 4 else 0
            if order is None or not 1 <= order <= largest:
                self.sections.fail(line, f"an order of 1 to {largest} (as PAIRTYP has it) for {name}", order)
            self.orders[elements] = (line, order)

    def _note_coverage(self, line: int, words: list[str], pairs: dict[Elements, Pair]) -> None:
        low, high = map(finite_number, words[2:4]) if len(words) == 4 else (None, None)
        if low is None or high is None:
            self.sections.fail(line, "COVERAGE: block, pair and two distances in Å", " ".join(words))
        elements, members = self._cluster(line, words[1]), self._cluster(line, words[0])
        if elements not in pairs:
            self.sections.fail(line, "COVERAGE: block, pair and two distances in Å", " ".join(words))
        self.coverage[f"{cluster_name(members)}:{cluster_name(elements)}"] = (low, high)

    def _note_undetermined(self, line: int, words: list[str]) -> None:
        named, amounts = words[::2], [finite_number(w) for w in words[1::2]]
        known = set(named) <= set(self.sections.elements) and len(set(named)) == len(named)
        if len(words) % 2 or None in amounts or not known or not any(amounts):
            wanted = "UNDETERMINED_ENERGIES: elements of the file, each once with a number, which are not all zero"
            self.sections.fail(line, wanted, " ".join(words))
        self.undetermined.append({e: x for e, x in zip(named, amounts, strict=True) if x is not None})

    def _note_without_data(self, line: int, words: list[str]) -> None:
        members = [self._cluster(line, w) for w in words[1:]]
        if len(words) < 2 or words[0] not in WAYS or not all(2 <= len(m) <= 4 for m in members):
            wanted = f"WITHOUT_DATA: {' or '.join(WAYS)}, and names of clusters of 2 to 4 elements of the file"
            self.sections.fail(line, wanted, " ".join(words))
        self.without_data.update((cluster_name(m), words[0]) for m in members)

    def _note_fitted_on(self, line: int, words: list[str]) -> None:
        numbers = [(whole_number(a), whole_number(b)) for a, b in zip(words[1::3], words[2::3], strict=False)]
        if len(words) % 3 or any(n is None or n < 0 for pair in numbers for n in pair):
            wanted = "FITTED_ON: names of cluster types, each with its numbers of frames and of clusters"
            self.sections.fail(line, wanted, " ".join(words))
        for name, (frames, clusters) in zip(words[::3], numbers, strict=True):
            self.fitted_on[cluster_name(self._cluster(line, name))] = frames or 0, clusters or 0

    def _cluster(self, line: int, name: str) -> Elements:
        try:
            elements = split_symbols(name)
        except BasisError:
            elements = ()
        if not elements or not set(elements) <= set(self.sections.elements):
            self.sections.fail(line, f"a cluster of {' '.join(self.sections.elements)}", shown(name))
        return elements

    def _check_counts(self) -> None:
        """The other programs index the types by the declared number, and read bodies by the switches."""
        for special in self.sections.specials:
            if special.elements is not None and not set(special.elements) <= set(self.sections.elements):
                wanted = f"the cutoffs of a cluster of {' '.join(self.sections.elements)}"
                self.sections.fail(special.line, wanted, " ".join(special.elements))
        for body in (3, 4):
            sections = self.sections.types[body]
            line, count = self.sections.counts.get(COUNT_OF_BODY[body], (0, len(sections)))
            if count != len(sections) and self.sections.orders[body - 2] > 0:
                self.sections.fail(line, f"'{COUNT_OF_BODY[body]} {len(sections)}', as there are sections", count)
            present = [s for s in sections if not s.excluded]
            if present and not self.sections.switches.get(body, True):
                wanted = f"no {body}-body parameters, as USE{body}BCH is false"
                self.sections.fail(present[0].line, wanted, " ".join(present[0].atoms))

    # -- types ------------------------------------------------------------------------------------

    def _one_body(self) -> list[ClusterType]:
        types = []
        for index, row in sorted(self.sections.offsets.items()):
            elements = (self.sections.elements[index],)
            if elements in self.left_out:
                self._only_zeros(elements, [row])
            else:
                types.append(ClusterType(elements, 1, ()))
                self.values[elements, ()] = row.value
        return types

    def _two_body(self, pairs: dict[Elements, Pair]) -> list[ClusterType]:
        types: dict[Elements, ClusterType] = {}
        for section in self.sections.types[2]:
            elements = tuple(sorted(section.atoms))
            order = self._order(elements)
            if elements in types:
                self.sections.fail(section.line, f"one section for the pair {cluster_name(elements)}", "another")
            if elements in self.left_out:
                self._only_zeros(elements, section.rows)
                continue
            limit = self.sections.orders[0]
            for row in section.rows:
                if not 0 <= row.powers[0] < limit:
                    wanted = f"an index of 0 … {limit - 1} (PAIRTYP has {limit} two-body orders)"
                    self.sections.fail(row.line, wanted, row.powers[0])
                if row.powers[0] < order:
                    self._store(elements, (row.powers[0] + 1,), row)
                else:
                    self._only_zeros(elements, [row])
            if missing := sorted(set(range(limit)) - {row.powers[0] for row in section.rows}):
                wanted = f"{limit} rows of the pair {cluster_name(elements)}, as PAIRTYP has orders"
                lost = f"none of index {', '.join(map(str, missing))}"
                self.sections.doubt(section.line, wanted, lost, "they were taken to be zero, as of a reduced file")
            if order:
                pair = pairs[elements]
                types[elements] = ClusterType(elements, order, (Edge(elements, pair.rmin, pair.rmax),))
        return list(types.values())

    def _many_body(self, pairs: dict[Elements, Pair]) -> list[ClusterType]:
        types: dict[Elements, ClusterType] = {}
        seen: set[Elements] = set()
        for section in (*self.sections.types[3], *self.sections.types[4]):
            elements = tuple(sorted(section.atoms))
            if elements in seen or not set(elements) <= set(self.sections.elements):
                wanted = f"each cluster of {' '.join(self.sections.elements)} once"
                self.sections.fail(section.line, wanted, " ".join(section.atoms))
            seen.add(elements)
            if section.excluded:
                continue
            if elements in self.left_out:
                wanted = f"{cluster_name(elements)} to be EXCLUDED:, as line {self.left_out[elements]} says"
                self.sections.fail(section.line, wanted, "parameters")
            order = self._order(elements)
            self._rows(section, elements, order)
            if order:
                types[elements] = self._type(section, elements, order, pairs)
        return list(types.values())

    def _type(self, section: Section, elements: Elements, order: int, pairs: dict[Elements, Pair]) -> ClusterType:
        cutoffs = self._cutoffs(elements, pairs)
        try:
            return ClusterType(elements, order, tuple(Edge(e, *cutoffs[e]) for e in sorted(cutoffs)))
        except BasisError as error:
            raise ParameterFileError(f"{self.sections.path}, line {section.line}: {error}") from error

    def _cutoffs(self, elements: Elements, pairs: dict[Elements, Pair]) -> dict[Elements, tuple[float, float]]:
        edges = sorted({(elements[a], elements[b]) for a, b in edges_of(len(elements))})
        sides = {e: {"rmin": pairs[e].rmin, "rmax": pairs[e].rmax} for e in edges}
        given: dict[str, int] = {}
        for special in self.sections.specials:
            if special.body != len(elements) or special.elements not in (None, elements):
                continue
            for edge in edges:
                value = special.values.get(edge, special.everywhere)
                if special.side in given and sides[edge][special.side] != value:
                    self.sections.fail(
                        special.line,
                        f"the cutoffs of {cluster_name(elements)} as on line {given[special.side]}, "
                        f"{sides[edge][special.side]} for {cluster_name(edge)}",
                        value,
                    )
                sides[edge][special.side] = value
            given[special.side] = special.line
        return {e: (sides[e]["rmin"], sides[e]["rmax"]) for e in edges}

    def _order(self, elements: Elements) -> int:
        return self.orders.get(elements, (0, self.sections.orders[len(elements) - 2]))[1]

    # -- coefficients -----------------------------------------------------------------------------

    def _rows(self, section: Section, elements: Elements, order: int) -> None:
        """Bring each row to the sorted atoms and its orbit."""
        moved = edge_map(sorted(range(len(section.atoms)), key=section.atoms.__getitem__))
        table = orbits(pattern_of(elements), order) if order else None
        for row in section.rows:
            if table is None or not all(0 <= p < order for p in row.powers):
                self.sections.fail(
                    row.line,
                    f"powers of 0 … {order - 1} for {cluster_name(elements)} (its order is {order})",
                    " ".join(map(str, row.powers)),
                )
            column = int(table.column[tuple(row.powers[e] for e in moved)])
            if column >= 0:
                self._store(elements, tuple(int(p) for p in table.powers[column]), row)
            elif row.value != 0.0:
                self.sections.fail(
                    row.line,
                    f"powers of {' '.join(section.atoms)} that touch every atom, or the value 0",
                    f"{' '.join(map(str, row.powers))} with {row.value!r}",
                )

    def _store(self, elements: Elements, powers: tuple[int, ...], row: Row) -> None:
        before = self.values.setdefault((elements, powers), row.value)
        if before != row.value:
            self.sections.fail(
                row.line,
                f"the value {before!r} of an equivalent row before it ({cluster_name(elements)}, powers "
                f"{' '.join(map(str, powers))} of the sorted atoms)",
                repr(row.value),
            )

    def _only_zeros(self, elements: Elements, rows: list[Row]) -> None:
        for row in rows:
            if row.value != 0.0:
                wanted = f"zero, as {cluster_name(elements)} is marked as left out or of a lower order"
                self.sections.fail(row.line, wanted, repr(row.value))
