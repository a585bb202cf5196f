"""Text of a ChIMES parameter file → its sections, with line numbers. Knows the grammar and nothing of bases.

The keywords that chimes_calculator and chimes_md know are accepted in any order; a line that is none of
them is refused, because a keyword that is silently skipped would be a different model.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from ..basis import Cutoff, Elements, edges_of, split_symbols
from ..errors import BasisError
from ..paths import require_file
from .params_sections import (
    NOTE,
    SECTION_OF_BODY,
    TRANSFORM_OF,
    Note,
    PairRow,
    Row,
    Section,
    Sections,
    Special,
)

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST: Final = 10**7
"""Sets of powers in a cluster type; a damaged header must not take all the memory there is."""


def scan(path: str | Path) -> Sections:
    """Read the sections of a parameter file. Raises ParameterFileError naming the line that is malformed."""
    return _Scanner(Path(path)).run()


class _Scanner:
    """Walks over the lines once; each keyword has the method that reads what follows it."""

    def __init__(self, path: Path) -> None:
        self.lines = require_file(path, "parameter file").read_text(encoding="utf-8", errors="replace").splitlines()
        self.line = 0
        self.text = ""
        self.held = False
        self.out = Sections(str(path))
        self.seen: dict[str, int] = {}
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
                    method(keyword, self.text[len(keyword) :].split())
                    break
            else:
                self._fail("a keyword of a ChIMES parameter file", repr(self.text))
        self._truncated("ENDFILE")

    def _complete(self) -> Sections:
        for keyword in ("PAIRTYP:", "# TYPEIDX #", "# PAIRIDX #"):
            if keyword not in self.seen:
                self._fail(f"a line '{keyword}' before ENDFILE", "none")
        return self.out

    # -- lines ------------------------------------------------------------------------------------

    def _advance(self) -> bool:
        """Go to the next line that is not blank once comments are removed; False at the end of the file."""
        if self.held:
            self.held = False
            return True
        while self.line < len(self.lines):
            raw = self.lines[self.line]
            self.line += 1
            # Published files have a comment mark before this line, and chimes_calculator reads it anyway.
            header = " ".join(raw.lstrip("! \t").split())
            if header.startswith(("# PAIRIDX #", "# TYPEIDX #")):
                self.text = header
                return True
            if raw.startswith(NOTE):
                word, *rest = raw[len(NOTE) :].split() or [""]
                self.out.notes.setdefault(word, []).append(Note(self.line, rest))
            self.text = " ".join(raw.split("!")[0].split("##")[0].split())
            if self.text:
                return True
        self.text = ""
        return False

    def _row(self, what: str) -> list[str]:
        if not self._advance():
            self._truncated(what)
        return self.text.split()

    def _fail(self, expected: str, found: object) -> NoReturn:
        self.out.fail(self.line, expected, found)

    def _truncated(self, what: str) -> NoReturn:
        self.out.fail(len(self.lines), what, "the end of the file: it is truncated")

    def _once(self, keyword: str) -> None:
        if keyword in self.seen:
            self._fail(f"one line '{keyword}' (there is one on line {self.seen[keyword]})", "another")
        self.seen[keyword] = self.line

    def _integer(self, word: str, what: str) -> int:
        if not re.fullmatch(r"[+-]?\d+", word):
            self._fail(f"{what}, an integer", repr(word))
        return int(word)

    def _real(self, word: str, what: str) -> float:
        try:
            value = float(word)
        except ValueError:
            self._fail(f"{what}, a number", repr(word))
        if not math.isfinite(value):
            self._fail(f"{what}, a finite number", repr(word))
        return value

    def _size(self, words: list[str], sizes: tuple[int, ...], what: str) -> None:
        if len(words) not in sizes:
            wanted = " or ".join(map(str, sizes))
            self._fail(f"{wanted} columns ({what})", f"{len(words)} in {' '.join(words)!r}")

    # -- header -----------------------------------------------------------------------------------

    def _refused_if_true(self, keyword: str, words: list[str]) -> None:
        if words != ["false"]:
            what = "charges" if "COUL" in keyword else "overbonding"
            self._fail(f"'{keyword} false' ({what}: this package has no such term)", repr(self.text))

    def _switch(self, keyword: str, words: list[str]) -> None:
        if words not in (["true"], ["false"]):
            self._fail(f"'{keyword}' true or false", repr(self.text))
        self.out.switches[int(keyword[3])] = words == ["true"]

    def _excluded(self, keyword: str, words: list[str]) -> None:
        body = int(keyword[-3])
        if words != ["false"]:
            found = (self._integer(w, f"the index of a {body}-body type that is left out") for w in words)
            self.out.excluded[body].update((index, self.line) for index in found)

    def _title(self, keyword: str, words: list[str]) -> None:
        """A heading; it says nothing."""

    def _orders(self, keyword: str, words: list[str]) -> None:
        if words[:1] != ["CHEBYSHEV"]:
            self._fail("PAIRTYP: CHEBYSHEV", repr(self.text))
        numbers = words[1:]
        start = next((i for i, w in enumerate(numbers) if w.startswith("-")), min(len(numbers), 3))
        orders = [self._integer(w, "a number of orders") for w in numbers[:start]]
        span = [self._real(w, "the range of the polynomials") for w in numbers[start:]]
        if not 1 <= len(orders) <= 3:
            self._fail("1 to 3 numbers of orders (two-, three-, four-body)", repr(self.text))
        if span not in ([], [-1.0, 1.0]):
            self._fail("the range -1 1 (no other has a meaning)", " ".join(numbers[start:]))
        two, three, four = [*orders, 0, 0][:3]
        if two > LARGEST or three**3 > LARGEST or four**6 > LARGEST:
            self._fail(f"orders n2, n3, n4 with n2, n3³ and n4⁶ up to {LARGEST}", " ".join(numbers[:start]))
        self.out.orders = (two, three, four)

    def _count(self, keyword: str, words: list[str]) -> None:
        self._size(words, (1,), f"'{keyword} n'")
        count = self._integer(words[0], f"the number of '{keyword}'")
        self.out.counts[keyword] = (self.line, count)

    def _declared(self, keyword: str) -> int:
        if keyword not in self.out.counts:
            self._fail(f"'{keyword} n' before this line", "none")
        return self.out.counts[keyword][1]

    def _elements(self, keyword: str, words: list[str]) -> None:
        for index in range(self._declared("ATOM TYPES:")):
            row = self._row(f"the atom type {index}")
            self._size(row, (4,), "index, symbol, charge, mass")
            if self._integer(row[0], "the index of an atom type") != index:
                self._fail(f"the atom type {index}", row[0])
            if self._real(row[2], "a charge") != 0.0:
                self._fail(f"no charge on {row[1]} (this package has no Coulomb term)", row[2])
            self._real(row[3], "a mass")
            self.out.elements.append(row[1])

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
                self._fail(f"λ of the Morse transform in column {at + 2}", repr(self.text))
            self.out.pairs.append(PairRow(
                self.line, (row[1], row[2]), self._real(row[3], "S_MINIM"), self._real(row[4], "S_MAXIM"),
                transform, self._real(row[at + 1], "MORSE_LAMBDA") if transform == "MORSE" else None,
            ))  # fmt: skip

    def _cutoff(self, keyword: str, words: list[str]) -> None:
        try:
            self.out.cutoff = Cutoff.parse(" ".join(words))
        except BasisError as error:
            self._fail("FCUT TYPE: CUBIC, or TERSOFF with a fraction in (0, 1]", f"{self.text!r} ({error})")

    def _penalty(self, keyword: str, words: list[str]) -> None:
        self._size(words, (1,), f"'{keyword} value'")
        key = "distance" if "DIST" in keyword else "scale"
        self.out.penalty[key] = self._real(words[0], f"the {key} of the penalty")

    def _cubic_scaling(self, keyword: str, words: list[str]) -> None:
        if len(words) != 1 or self._real(words[0], "the cubic scaling") != 1.0:
            self._fail(f"'{keyword} 1' (only old versions of chimes_md knew another)", repr(self.text))

    # -- cutoffs of cluster types -----------------------------------------------------------------

    def _special(self, keyword: str, words: list[str]) -> None:
        head = re.fullmatch(r"SPECIAL ([34])B S_(MAXIM|MINIM): (ALL|SPECIFIC) (\S+)", self.text)
        if head is None:
            self._fail("'SPECIAL 3B|4B S_MAXIM:|S_MINIM: ALL x|SPECIFIC n'", repr(self.text))
        self._once(self.text.split(":")[0])
        body, side = int(head[1]), "rmax" if head[2] == "MAXIM" else "rmin"
        if head[3] == "ALL":
            value = self._real(head[4], "a cutoff in Å")
            self.out.specials.append(Special(self.line, body, side, None, {}, value))
            return
        for _ in range(self._integer(head[4], "the number of cluster types")):
            self._specific(body, side, self._row(f"the cutoffs of a {body}-body type"))

    def _specific(self, body: int, side: str, row: list[str]) -> None:
        edges = len(edges_of(body))
        self._size(row, (1 + 2 * edges,), f"cluster, {edges} pairs, {edges} cutoffs")
        symbols = [self._symbols(name, 2) for name in row[1 : 1 + edges]]
        flat = sorted(s for pair in symbols for s in pair)
        # Every atom is on body−1 edges, so the symbols on the edges are body−1 copies of the atoms.
        elements = tuple(flat[:: body - 1])
        expected = sorted(tuple(sorted((elements[a], elements[b]))) for a, b in edges_of(body))
        if sorted(symbols) != expected or sorted(self._symbols(row[0], 2 * edges)) != flat:
            self._fail(f"the {edges} pairs of one {body}-body cluster", " ".join(row[: 1 + edges]))
        values: dict[Elements, float] = {}
        for name, pair, word in zip(row[1:], symbols, row[1 + edges :], strict=False):
            value = self._real(word, f"the cutoff of {name} in Å")
            if values.setdefault(pair, value) != value:
                self._fail(f"one cutoff for the {name} edges of {row[0]}, {values[pair]}", word)
        self.out.specials.append(Special(self.line, body, side, elements, values, math.nan))

    def _symbols(self, name: str, count: int) -> Elements:
        try:
            found = split_symbols(name)
        except BasisError:
            found = ()
        if len(found) != count:
            self._fail(f"{count} element symbols", repr(name))
        return found

    # -- parameters -------------------------------------------------------------------------------

    def _two_body(self, keyword: str, words: list[str]) -> None:
        self._size(words, (3,), "'PAIRTYPE PARAMS: index symbol symbol'")
        index, start = self._integer(words[0], "the index of an atom pair"), self.line
        if not 0 <= index < len(self.out.pairs) or sorted(self.out.pairs[index].atoms) != sorted(words[1:]):
            known = ", ".join(f"{i} {' '.join(p.atoms)}" for i, p in enumerate(self.out.pairs))
            self._fail(f"a pair of the header ({known})", " ".join(words))
        rows = []
        while True:
            if not self._advance():
                self._truncated(f"the parameters of the pair {' '.join(words[1:])}")
            if not re.match(r"[+-]?\d", self.text):
                self.held = True
                break
            row = self.text.split()
            self._size(row, (2,), "index, parameter")
            power = self._integer(row[0], "the index of a two-body parameter")
            rows.append(Row(self.line, (power,), self._real(row[1], "a parameter")))
        self.out.types[2].append(Section(start, tuple(words[1:]), False, rows))

    def _cluster(self, keyword: str, words: list[str]) -> None:
        body = next(b for b, k in SECTION_OF_BODY.items() if k == keyword)
        start, edges = self.line, edges_of(body)
        row = self._row(f"'INDEX: i ATOMS: …' after '{keyword}'")
        if len(row) != 3 + body or row[0] != "INDEX:" or row[2] != "ATOMS:":
            self._fail(f"'INDEX: i ATOMS:' and {body} symbols", repr(self.text))
        atoms = tuple(row[3:])
        row = self._row(f"'PAIRS: …' of the cluster {' '.join(atoms)}")
        pairs, rest = row[1 : 1 + len(edges)], row[1 + len(edges) :]
        if row[0] != "PAIRS:" or not rest:
            self._fail(f"'PAIRS:', {len(edges)} pairs, and EXCLUDED: or UNIQUE: u TOTAL: n", repr(self.text))
        for name, (a, b) in zip(pairs, edges, strict=True):
            if name not in (atoms[a] + atoms[b], atoms[b] + atoms[a]):
                self._fail(f"{atoms[a] + atoms[b]} as the pair {a + 1}-{b + 1} of {' '.join(atoms)}", name)
        if rest[0] == "EXCLUDED:":
            self.out.types[body].append(Section(start, atoms, True, []))
            return
        if len(rest) != 4 or rest[0] != "UNIQUE:" or rest[2] != "TOTAL:":
            self._fail("'UNIQUE: u TOTAL: n' or 'EXCLUDED:' after the pairs", " ".join(rest))
        self._integer(rest[1], "the number of unique parameters (−1: unknown)")
        total = self._integer(rest[3], "the number of rows")
        self.out.types[body].append(Section(start, atoms, False, self._cluster_rows(body, atoms, total)))

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
        self.held = more
        return rows

    def _maps(self, keyword: str, words: list[str]) -> None:
        """Which type each order of atoms belongs to: it follows from the types; only its form is checked."""
        self._size(words, (1,), f"'{keyword} n'")
        for _ in range(self._integer(words[0], "the number of lines")):
            row = self._row(f"a line of '{keyword}'")
            self._size(row, (2,), "index, cluster")
            self._integer(row[0], "the index of a cluster type")

    def _offsets(self, keyword: str, words: list[str]) -> None:
        self._size(words, (1,), f"'{keyword} n'")
        if (count := self._integer(words[0], "the number of offsets")) != len(self.out.elements):
            self._fail(f"{len(self.out.elements)} energy offsets, one for each atom type", count)
        for _ in range(count):
            row = self._row("an energy offset")
            if len(row) != 4 or row[:2] != ["ENERGY", "OFFSET"]:
                self._fail("'ENERGY OFFSET index value'", repr(self.text))
            index = self._integer(row[2], "the index of an atom type, from 1") - 1
            if not 0 <= index < count or index in self.out.offsets:
                self._fail(f"each index of 1 … {count} once", row[2])
            self.out.offsets[index] = Row(self.line, (), self._real(row[3], "an energy in kcal/mol"))
