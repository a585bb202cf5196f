"""Text of a ChIMES parameter file → its sections, with line numbers. Knows the grammar and nothing of bases.

The keywords that chimes_calculator and chimes_md know are accepted in any order. Lines of other text, which those
programs pass over (captured output of a launcher, a stray ``False``), are passed over and noted; a line that looks like
a keyword or a row of the format is refused, because skipping it would be a different model.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BasisError
from ..frames.type_names import name_fault
from ..model.basis import Cutoff, Elements, edges_of
from ..model.cluster_types import MOST_ORDERS
from ..text.words import shown
from .params_lines import ParameterLines
from .params_sections import SECTION_OF_BODY, TRANSFORM_OF, PairRow, Row, Section, Sections, Special

if TYPE_CHECKING:
    from collections.abc import Callable


def scan(path: str | Path) -> Sections:
    """Read the sections of a parameter file. Raises ParameterFileError naming the line that is malformed."""
    return _Scanner(Path(path)).run()


class _Scanner(ParameterLines):
    """Walks over the lines once; each keyword has the method that reads what follows it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        # rows of SPECIFIC cutoffs wait for the names of the atom types, which may come later
        self.specific: list[tuple[int, int, str, list[str]]] = []
        self.keywords: dict[str, Callable[[str, list[str]], None]] = {
            "USECOUL:": self._refused_if_true, "FITCOUL:": self._refused_if_true,
            "USEPOVR:": self._refused_if_true, "FITPOVR:": self._refused_if_true,
            "USE3BCH:": self._switch, "USE4BCH:": self._switch,
            "EXCL1B:": self._excluded, "EXCLD1B:": self._excluded,
            "EXCL2B:": self._excluded, "EXCLD2B:": self._excluded,
            "PAIRTYP:": self._orders, "ATOM TYPES:": self._count, "ATOM PAIRS:": self._count,
            "# TYPEIDX #": self._elements, "# PAIRIDX #": self._pairs, "FCUT TYPE:": self._cutoff,
            "PAIR CHEBYSHEV PENALTY DIST:": self._penalty, "PAIR CHEBYSHEV PENALTY SCALING:": self._penalty,
            "PAIR CHEBYSHEV CUBIC SCALING:": self._cubic_scaling, "SPECIAL": self._special,
            "ATOM PAIR TRIPLETS:": self._count, "ATOM PAIR QUADRUPLETS:": self._count,
            "PAIR CHEBYSHEV PARAMS": self._title, "TRIPLET CHEBYSHEV PARAMS": self._title,
            "QUADRUPLET CHEBYSHEV PARAMS": self._title, "PAIRTYPE PARAMS:": self._two_body,
            "TRIPLETTYPE PARAMS:": self._cluster, "QUADRUPLETYPE PARAMS:": self._cluster,
            "PAIRMAPS:": self._maps, "TRIPMAPS:": self._maps, "QUADMAPS:": self._maps,
            "NO ENERGY OFFSETS:": self._offsets,
        }  # fmt: skip

    def run(self) -> Sections:
        while self._advance():
            if self.text.startswith("ENDFILE"):
                return self._complete()
            for keyword, method in self.keywords.items():
                if self.text.startswith(keyword):
                    if keyword not in ("SPECIAL", "PAIRTYPE PARAMS:", *SECTION_OF_BODY.values()):
                        self._once(keyword)
                    self.listed = None
                    method(keyword, self.text[len(keyword) :].split())
                    break
            else:
                self._pass_over()
        if self.passed_over and not self.seen:
            self.line = 1
            wanted = "a ChIMES parameter file, with lines such as 'PAIRTYP: …'"
            self._fail(wanted, f"{shown(self.lines[0])} and no such line")
        self._truncated("ENDFILE")

    def _complete(self) -> Sections:
        for keyword in ("PAIRTYP:", "# TYPEIDX #", "# PAIRIDX #"):
            if keyword not in self.seen:
                self._fail(f"a line '{keyword}' before ENDFILE", "none")
        if "FCUT TYPE:" not in self.seen:
            self.sections.doubt(self.line, "a line 'FCUT TYPE: …'", "none", "CUBIC was taken, ChIMES' default")
        for line, body, side, row in self.specific:
            self.line = line
            self._specific(body, side, row)
        self._note_passed_over()
        return self.sections

    # -- header -----------------------------------------------------------------------------------

    def _refused_if_true(self, keyword: str, words: list[str]) -> None:
        if words != ["false"]:
            what = "charges" if "COUL" in keyword else "overbonding"
            self._fail(f"'{keyword} false' ({what}: this package has no such term)", shown(self.text))

    def _switch(self, keyword: str, words: list[str]) -> None:
        if words not in (["true"], ["false"]):
            self._fail(f"'{keyword}' true or false", shown(self.text))
        self.sections.switches[int(keyword[3])] = words == ["true"]

    def _excluded(self, keyword: str, words: list[str]) -> None:
        body = int(keyword[-3])
        if words != ["false"]:
            indices = (self._integer(w, f"the index of a {body}-body type that is left out") for w in words)
            self.sections.excluded[body].update((index, self.line) for index in indices)

    def _title(self, keyword: str, words: list[str]) -> None:
        """A heading; it says nothing."""

    def _orders(self, keyword: str, words: list[str]) -> None:
        if words[:1] != ["CHEBYSHEV"]:
            self._fail("PAIRTYP: CHEBYSHEV", shown(self.text))
        numbers = words[1:]
        start = next((i for i, w in enumerate(numbers) if w.startswith("-")), min(len(numbers), 3))
        orders = [self._integer(w, "a number of orders") for w in numbers[:start]]
        span = [self._real(w, "the range of the polynomials") for w in numbers[start:]]
        if not 1 <= len(orders) <= 3:
            self._fail("1 to 3 numbers of orders (two-, three-, four-body)", shown(self.text))
        if span not in ([], [-1.0, 1.0]):
            self._fail("the range -1 1 (no other has a meaning)", " ".join(numbers[start:]))
        two, three, four = [*orders, 0, 0][:3]
        most = tuple(MOST_ORDERS[body] for body in (2, 3, 4))
        if any(order > limit for order, limit in zip((two, three, four), most, strict=True)):
            self._fail(f"orders n2, n3, n4 up to {most[0]}, {most[1]} and {most[2]}", " ".join(numbers[:start]))
        self.sections.orders = (two, three, four)

    def _count(self, keyword: str, words: list[str]) -> None:
        self._size(words, (1,), f"'{keyword} n'")
        count = self._integer(words[0], f"the number of '{keyword}'")
        self.sections.counts[keyword] = (self.line, count)

    def _declared(self, keyword: str) -> int:
        if keyword not in self.sections.counts:
            self._fail(f"'{keyword} n' before this line", "none")
        return self.sections.counts[keyword][1]

    def _elements(self, keyword: str, words: list[str]) -> None:
        for index in range(self._declared("ATOM TYPES:")):
            row = self._row(f"the atom type {index}")
            self._size(row, (4,), "index, symbol, charge, mass")
            if self._integer(row[0], "the index of an atom type") != index:
                self._fail(f"the atom type {index}", row[0])
            if self._real(row[2], "a charge") != 0.0:
                self._fail(f"no charge on {row[1]} (this package has no Coulomb term)", row[2])
            if fault := name_fault(row[1]):
                self._fail("a chemical symbol or the name of a type of atoms", f"{shown(row[1])}: {fault}")
            self.sections.masses[row[1]] = self._real(row[3], "a mass")
            self.sections.elements.append(row[1])
        self.listed = (*self.sections.counts["ATOM TYPES:"], "atom types")

    def _pairs(self, keyword: str, words: list[str]) -> None:
        names = re.findall(r"# (\w+) #", self.text)
        delta = ["S_DELTA"] if "S_DELTA" in names else []
        wanted = ["S_MINIM", "S_MAXIM", *delta, "CHBDIST", "MORSE_LAMBDA"]
        if names[3:] not in (wanted, wanted[:-1]):
            self._fail("columns S_MINIM S_MAXIM [S_DELTA] CHBDIST MORSE_LAMBDA", " ".join(names[3:]))
        at = 3 + wanted.index("CHBDIST")
        for index in range(self._declared("ATOM PAIRS:")):
            row = self._row(f"the atom pair {index}")
            self._size(row, (at + 1, at + 2), f"index, two symbols, {', '.join(wanted)}")
            if self._integer(row[0], "the index of an atom pair") != index:
                self._fail(f"the atom pair {index}", row[0])
            if row[at] not in TRANSFORM_OF:
                self._fail(f"a transform of {', '.join(TRANSFORM_OF)}", row[at])
            transform = TRANSFORM_OF[row[at]]
            if transform == "MORSE" and len(row) == at + 1:
                self._fail(f"λ of the Morse transform in column {at + 2}", shown(self.text))
            self.sections.pairs.append(PairRow(
                self.line, (row[1], row[2]), self._real(row[3], "S_MINIM"), self._real(row[4], "S_MAXIM"),
                transform, self._real(row[at + 1], "MORSE_LAMBDA") if transform == "MORSE" else None,
            ))  # fmt: skip
        self.listed = (*self.sections.counts["ATOM PAIRS:"], "pairs")

    def _cutoff(self, keyword: str, words: list[str]) -> None:
        try:
            self.sections.cutoff = Cutoff.parse(" ".join(words))
        except BasisError as error:
            self._fail("FCUT TYPE: CUBIC, or TERSOFF with a fraction in (0, 1]", f"{self.text!r} ({error})")

    def _penalty(self, keyword: str, words: list[str]) -> None:
        self._size(words, (1,), f"'{keyword} value'")
        key = "distance" if "DIST" in keyword else "scale"
        self.sections.penalty[key] = self._real(words[0], f"the {key} of the penalty")

    def _cubic_scaling(self, keyword: str, words: list[str]) -> None:
        if len(words) != 1 or self._real(words[0], "the cubic scaling") != 1.0:
            self._fail(f"'{keyword} 1' (only old versions of chimes_md knew another)", shown(self.text))

    # -- cutoffs of cluster types -----------------------------------------------------------------

    def _special(self, keyword: str, words: list[str]) -> None:
        head = re.fullmatch(r"SPECIAL ([34])B S_(MAXIM|MINIM): (ALL|SPECIFIC) (\S+)", self.text)
        if head is None:
            self._fail("'SPECIAL 3B|4B S_MAXIM:|S_MINIM: ALL x|SPECIFIC n'", shown(self.text))
        self._once(self.text.split(":")[0])
        body, side = int(head[1]), "rmax" if head[2] == "MAXIM" else "rmin"
        if head[3] == "ALL":
            value = self._real(head[4], "a cutoff in Å")
            self.sections.specials.append(Special(self.line, body, side, None, {}, value))
            return
        announced, count = self.line, self._integer(head[4], "the number of cluster types")
        for _ in range(count):
            row = self._row(f"the cutoffs of a {body}-body type")
            edges = len(edges_of(body))
            self._size(row, (1 + 2 * edges,), f"cluster, {edges} pairs, {edges} cutoffs")
            self.specific.append((self.line, body, side, row))
        self.listed = (announced, count, f"{body}-body types")

    def _specific(self, body: int, side: str, row: list[str]) -> None:
        edges = len(edges_of(body))
        names, numbers = row[1 : 1 + edges], row[1 + edges :]
        pairs = [self._pair_named(name) for name in names]
        flat = sorted(s for pair in pairs for s in pair)
        # Every atom is on body−1 edges, so the symbols on the edges are body−1 copies of the atoms.
        elements = tuple(flat[:: body - 1])
        expected = sorted(tuple(sorted((elements[a], elements[b]))) for a, b in edges_of(body))
        if sorted(pairs) != expected or sorted(row[0]) != sorted("".join(names)):
            self._fail(f"the {edges} pairs of one {body}-body cluster", " ".join(row[: 1 + edges]))
        values: dict[Elements, float] = {}
        for name, pair, word in zip(names, pairs, numbers, strict=True):
            value = self._real(word, f"the cutoff of {name} in Å")
            if values.setdefault(pair, value) != value:
                self._fail(f"one cutoff for the {name} edges of {row[0]}, {values[pair]}", word)
        self.sections.specials.append(Special(self.line, body, side, elements, values, math.nan))

    def _pair_named(self, name: str) -> Elements:
        """The pair of atom types whose names run together make this one, in either order."""
        known = {tuple(sorted((a, b))) for a in self.sections.elements for b in self.sections.elements if a + b == name}
        if len(known) != 1:
            wanted = f"a pair of {' '.join(self.sections.elements)}"
            meant = ", which may be " + " or ".join(sorted("-".join(pair) for pair in known)) if known else ""
            self._fail(wanted, f"{shown(name)}{meant}")
        (pair,) = known
        return pair

    # -- parameters -------------------------------------------------------------------------------

    def _two_body(self, keyword: str, words: list[str]) -> None:
        if "TABULATED" in words[3:]:
            self._fail(f"'{keyword}' index and two symbols (tabulated pairs are not supported)", shown(self.text))
        self._size(words, (3,), "'PAIRTYPE PARAMS: index symbol symbol'")
        index, start = self._integer(words[0], "the index of an atom pair"), self.line
        if not 0 <= index < len(self.sections.pairs) or sorted(self.sections.pairs[index].atoms) != sorted(words[1:]):
            known = ", ".join(f"{i} {' '.join(p.atoms)}" for i, p in enumerate(self.sections.pairs))
            self._fail(f"a pair of the header ({known})", " ".join(words))
        rows = []
        while True:
            if not self._advance():
                self._truncated(f"the parameters of the pair {' '.join(words[1:])}")
            if not re.match(r"[+-]?\d", self.text):
                self.pushed_back = True
                break
            row = self.text.split()
            self._size(row, (2,), "index, parameter")
            power = self._integer(row[0], "the index of a two-body parameter")
            rows.append(Row(self.line, (power,), self._real(row[1], "a parameter")))
        self.sections.types[2].append(Section(start, tuple(words[1:]), False, rows))

    def _cluster(self, keyword: str, words: list[str]) -> None:
        body = next(b for b, k in SECTION_OF_BODY.items() if k == keyword)
        start, edges = self.line, edges_of(body)
        row = self._row(f"'INDEX: i ATOMS: …' after '{keyword}'")
        if len(row) != 3 + body or row[0] != "INDEX:" or not re.fullmatch(r"[A-Z]+:", row[2]):
            self._fail(f"'INDEX: i ATOMS:' and {body} symbols", shown(self.text))
        if row[2] != "ATOMS:":
            self.sections.remarks.append(f"{self.sections.path}, line {self.line}: {row[2]!r} stands for 'ATOMS:'")
        atoms = tuple(row[3:])
        row = self._row(f"'PAIRS: …' of the cluster {' '.join(atoms)}")
        pairs, rest = row[1 : 1 + len(edges)], row[1 + len(edges) :]
        if row[0] != "PAIRS:" or not rest:
            self._fail(f"'PAIRS:', {len(edges)} pairs, and EXCLUDED: or UNIQUE: u TOTAL: n", shown(self.text))
        for name, (a, b) in zip(pairs, edges, strict=True):
            if name not in (atoms[a] + atoms[b], atoms[b] + atoms[a]):
                self._fail(f"{atoms[a] + atoms[b]} as the pair {a + 1}-{b + 1} of {' '.join(atoms)}", name)
        if rest[0] == "EXCLUDED:":
            self.sections.types[body].append(Section(start, atoms, True, []))
            return
        if len(rest) != 4 or rest[0] != "UNIQUE:" or rest[2] != "TOTAL:":
            self._fail("'UNIQUE: u TOTAL: n' or 'EXCLUDED:' after the pairs", " ".join(rest))
        self._integer(rest[1], "the number of unique parameters (−1: unknown)")
        total = self._integer(rest[3], "the number of rows")
        self.sections.types[body].append(Section(start, atoms, False, self._cluster_rows(body, atoms, total)))

    def _cluster_rows(self, body: int, atoms: tuple[str, ...], total: int) -> list[Row]:
        edges, rows = len(edges_of(body)), []
        for count in range(total):
            what = f"row {count + 1} of {total} of the cluster {' '.join(atoms)}"
            row = self._row(what)
            while row[0] == "index" or row[0].startswith("---"):
                row = self._row(what)
            columns = f"{what}: index, {edges} powers, equiv index, param index, parameter"
            self._size(row, (4 + edges,), columns)
            powers = tuple(self._integer(w, "a power") for w in row[1 : 1 + edges])
            rows.append(Row(self.line, powers, self._real(row[-1], "a parameter")))
        while (more := self._advance()) and re.match(r"index |---", self.text):
            pass
        if re.match(r"[+-]?\d", self.text):
            self._fail(f"{total} rows (TOTAL) for the cluster {' '.join(atoms)}", "another row")
        self.pushed_back = more
        return rows

    def _maps(self, keyword: str, words: list[str]) -> None:
        """Which type each order of atoms belongs to: it follows from the types; only its form is checked."""
        self._size(words, (1,), f"'{keyword} n'")
        announced, count = self.line, self._integer(words[0], "the number of lines")
        for _ in range(count):
            row = self._row(f"a line of '{keyword}'")
            self._size(row, (2,), "index, cluster")
            self._integer(row[0], "the index of a cluster type")
        self.listed = (announced, count, "lines")

    def _offsets(self, keyword: str, words: list[str]) -> None:
        self._size(words, (1,), f"'{keyword} n'")
        count = self._integer(words[0], "the number of offsets")
        if count not in (0, len(self.sections.elements)):  # 0: none is stated, as where there is no such section
            self._fail(f"{len(self.sections.elements)} energy offsets, one for each atom type, or 0 for none", count)
        announced = self.line
        for _ in range(count):
            row = self._row("an energy offset")
            if len(row) != 4 or row[:2] != ["ENERGY", "OFFSET"]:
                self._fail("'ENERGY OFFSET index value'", shown(self.text))
            index = self._integer(row[2], "the index of an atom type, from 1") - 1
            if not 0 <= index < count or index in self.sections.offsets:
                self._fail(f"each index of 1 … {count} once", row[2])
            self.sections.offsets[index] = Row(self.line, (), self._real(row[3], "an energy in kcal/mol"))
        self.listed = (announced, count, "energy offsets")
