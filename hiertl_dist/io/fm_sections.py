"""The lines of an ``fm_setup.in``, sorted into keywords, tables and lists; their meaning is found elsewhere.

As in chimes_lsq, ``!`` and ``##`` start a comment, a value stands on the next line that is not empty, and
nothing counts after ``# ENDFILE #``. Unlike there, nothing is passed over in silence: a keyword that is not known
is kept for a note, or is an error where it looks like one that is; so is a line that belongs to nothing.
"""

from __future__ import annotations

import difflib
import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from ..errors import InputError
from ..text.words import finite_number, ordinal, shown, whole_number

VALUES: Final = (
    "TRJFILE", "WRAPTRJ", "NFRAMES", "NLAYERS", "FITCOUL", "CNSCOUL", "FITSTRS", "FITENER", "FITEATM",
    "FITPOVR", "PAIRTYP", "CHBTYPE", "CHEBYFIX", "SPLITFI", "HIERARC", "SKPFRMS", "USENEIG", "FCUTTYP",
    "NATMTYP",
)  # fmt: skip
"""Keywords with a value on the next line."""

TABLES: Final = ("TYPEIDX", "PAIRIDX")
MOST: Final = 10**9
"""The largest number that a count may have; a damaged one must not take all the time and memory there is."""

ALIKE: Final = 0.75
"""A keyword that has so much in common with a known one is that one misspelt."""

LOOSE: Final = re.compile(r"#+ ?([A-Z0-9_]{4,12}) ?#*")
"""A comment that may be meant as a keyword."""

TRUE: Final = ("true", "True", "TRUE", "T", "t")
FALSE: Final = ("false", "False", "FALSE", "F", "f")
BODIES: Final = {"1B": 1, "2B": 2, "3B": 3, "4B": 4}


@dataclass(frozen=True)
class Line:
    """The words of a line without its comment, and where it stands."""

    number: int
    words: tuple[str, ...]

    @property
    def keyword(self) -> str | None:
        """``KEY`` of ``# KEY # …``."""
        w = self.words
        return w[1] if len(w) >= 3 and w[0] == "#" and w[2] == "#" else None

    @property
    def opens(self) -> bool:
        """Whether a keyword, a table or a list begins here."""
        return self.words[0].startswith("#") or self.words[0] in ("EXCLUDE", "SPECIAL", "CHARGE")

    def __str__(self) -> str:
        return " ".join(self.words)


@dataclass
class Sections:
    """What an input file says, by keyword.

    Attributes
    ----------
    path : Path
        The file, for messages.
    values : dict from str to Line
        The value line of each keyword.
    type_rows, pair_rows : list of Line
        Rows of the TYPEIDX and PAIRIDX tables.
    pair_header : Line or None
        The line above the PAIRIDX table.
    exclude : dict from int to tuple (Line, list of Line)
        By body, the line that opens the list, and its rows.
    special : dict from (int, str) to tuple (Line, list of Line)
        By body and ``S_MINIM`` or ``S_MAXIM``, the line that opens the list, and its rows.
    charge_constraints : Line or None
        The line that opens them.
    unknown : list of tuple (str, Line, list of Line)
        Keywords that chimes_lsq may know and this package does not, each with its rows.
    """

    path: Path
    values: dict[str, Line] = field(default_factory=dict)
    type_rows: list[Line] = field(default_factory=list)
    pair_rows: list[Line] = field(default_factory=list)
    pair_header: Line | None = None
    exclude: dict[int, tuple[Line, list[Line]]] = field(default_factory=dict)
    special: dict[tuple[int, str], tuple[Line, list[Line]]] = field(default_factory=dict)
    charge_constraints: Line | None = None
    unknown: list[tuple[str, Line, list[Line]]] = field(default_factory=list)

    def fail(self, text: str, line: Line | None = None) -> NoReturn:
        """Raise InputError naming the file and the line."""
        raise InputError(f"{self.path}{f', line {line.number}' if line else ''}: {text}")

    def need(self, key: str) -> Line:
        """The value of a keyword that must be there."""
        if key not in self.values:
            self.fail(f"expected the keyword # {key} #, found none")
        return self.values[key]

    def integer(self, line: Line, index: int, what: str, least: int = 0) -> int:
        """A whole number of at least ``least``."""
        word = line.words[index] if index < len(line.words) else None
        value = whole_number(word or "")
        if value is None or value < least:
            text = "nothing" if word is None else shown(word)
            self.fail(f"expected {what}, a whole number ≥ {least}, found {text}", line)
        if value > MOST:
            self.fail(f"expected {what}, a whole number up to {MOST}, found {shown(word)}", line)
        return value

    def real(self, line: Line, index: int, what: str) -> float:
        """A finite number."""
        word = line.words[index] if index < len(line.words) else None
        value = finite_number(word or "")
        if value is None:
            self.fail(f"expected {what}, a number, found {'nothing' if word is None else shown(word)}", line)
        return value

    def flag(self, key: str) -> bool:
        """A true/false keyword, false where it is absent."""
        if key not in self.values:
            return False
        line = self.values[key]
        if line.words[0] not in TRUE + FALSE:
            self.fail(f"{key}: expected true or false, found {shown(line.words[0])}", line)
        return line.words[0] in TRUE


def clean_lines(path: Path) -> list[Line]:
    """Lines that have words left after their comments are cut off (``!`` and ``##``).

    Raises InputError when the file is not text, OSError when it cannot be opened.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file: {error}") from error
    lines = []
    for number, raw in enumerate(text.splitlines(), start=1):
        words = raw.split("!", 1)[0].split("##", 1)[0].split()
        if words:
            lines.append(Line(number, tuple(words)))
    return lines


def read_sections(path: Path) -> Sections:
    """Sort the lines of an input file.

    Raises
    ------
    InputError
        Naming the file and the line: an unknown or repeated keyword, a missing value or row, a line
        that belongs to nothing, no ``# ENDFILE #``.
    """
    sections = Sections(path)
    lines = clean_lines(path)
    end = next((k for k, line in enumerate(lines) if line.keyword == "ENDFILE"), None)
    if end is None:
        sections.fail("expected # ENDFILE #, found the end of the file")
    lines = lines[:end]
    n_types = _count_types(sections, lines)
    counts = {"TYPEIDX": n_types, "PAIRIDX": n_types * (n_types + 1) // 2}
    at, n = 0, -1
    while at < len(lines):
        line = lines[at]
        if line.keyword in (*VALUES, *TABLES):
            n = counts.get(line.keyword, 1)
            _keyword(sections, line, _rows(sections, lines, at, n))
        elif line.words[0].startswith("#"):
            n = _unknown(sections, lines, at)
        elif line.words[0] in ("EXCLUDE", "SPECIAL"):
            n = _list_length(sections, line)
            _list(sections, line, _rows(sections, lines, at, n))
        elif line.words[:2] == ("CHARGE", "CONSTRAINTS:"):
            n = counts["PAIRIDX"] - 1
            _rows(sections, lines, at, n)
            sections.charge_constraints = line
        else:
            _belongs_to_nothing(sections, lines, at, n)
        at += 1 + n
    return sections


def _belongs_to_nothing(sections: Sections, lines: list[Line], at: int, n: int) -> NoReturn:
    """A line where a keyword should stand: one row too many of the ``n`` that the list above it has, as a rule."""
    line = lines[at]
    if n < 1:
        sections.fail(f"expected a keyword such as # NFRAMES #, found {shown(str(line))}", line)
    opening = lines[at - n - 1]
    sections.fail(
        f"expected a keyword: line {opening.number} announces {n} {_rows_of(opening, n)}, {ordinal(n + 1)} row "
        f"follows: {shown(str(line))} (below {shown(str(opening))})",
        line,
    )


def _rows_of(opening: Line, n: int) -> str:
    if opening.words[0] in ("EXCLUDE", "SPECIAL"):
        return "types" if n > 1 else "type"
    return {"TYPEIDX": "types (NATMTYP)", "PAIRIDX": "pairs (of NATMTYP types)"}.get(
        opening.keyword or "", "rows" if n > 1 else "row"
    )


def _count_types(sections: Sections, lines: list[Line]) -> int:
    # Needed first: it gives the number of rows of the tables, which may stand above it.
    for line, value in itertools.pairwise(lines):
        if line.keyword == "NATMTYP":
            return sections.integer(value, 0, "NATMTYP", least=1)
    sections.fail("expected the keyword # NATMTYP #, found none")


def _rows(sections: Sections, lines: list[Line], at: int, n: int) -> list[Line]:
    rows = lines[at + 1 : at + 1 + n]
    have = next((k for k, row in enumerate(rows) if row.opens), len(rows))
    if have < n:
        what = "a value" if n == 1 else f"{n} rows"
        sections.fail(f"expected {what} below {shown(str(lines[at]))}, found {have or 'none'}", lines[at])
    return rows


def _keyword(sections: Sections, line: Line, rows: list[Line]) -> None:
    key = line.keyword
    assert key is not None
    if key == "TYPEIDX":
        _once(sections, bool(sections.type_rows), line)
        sections.type_rows = rows
    elif key == "PAIRIDX":
        _once(sections, bool(sections.pair_rows), line)
        sections.pair_rows, sections.pair_header = rows, line
    else:
        _once(sections, key in sections.values, line)
        sections.values[key] = rows[0]


def _once(sections: Sections, given: bool, line: Line) -> None:
    if given:
        sections.fail(f"given twice: {shown(str(line))}", line)


def _unknown(sections: Sections, lines: list[Line], at: int) -> int:
    """A comment, or a keyword that is not known here; the number of rows that belong to it."""
    line = lines[at]
    known = (*VALUES, *TABLES)
    # chimes_lsq reads only "# KEY #", with blanks; a slip of the pen must not become a comment.
    if line.keyword is None and any(word.strip("#") in (*known, "ENDFILE") for word in line.words):
        sections.fail(f"expected '# KEYWORD #' with blanks around the word, found {shown(str(line))}", line)
    loose = LOOSE.fullmatch(str(line))
    key = line.keyword or (loose[1] if loose else "")
    rows = list(itertools.takewhile(lambda row: not row.opens, lines[at + 1 :])) if key else []
    if not (line.keyword or rows):
        return 0
    if close := difflib.get_close_matches(key.upper(), known, 1, ALIKE):
        sections.fail(f"unknown keyword # {key} #; did you mean # {close[0]} #?", line)
    sections.unknown.append((key, line, rows))
    return len(rows)


def _list_length(sections: Sections, line: Line) -> int:
    w = line.words
    if w[0] == "EXCLUDE":
        if len(w) < 4 or w[1] not in BODIES or w[2] != "INTERACTION:":
            sections.fail(f"expected 'EXCLUDE 1B|2B|3B|4B INTERACTION: n', found {shown(str(line))}", line)
        return sections.integer(line, 3, "the number of excluded types")
    if (
        len(w) < 5
        or w[1] not in ("3B", "4B")
        or w[2] not in ("S_MINIM:", "S_MAXIM:")
        or w[3] not in ("ALL", "SPECIFIC")
    ):
        sections.fail(
            f"expected 'SPECIAL 3B|4B S_MINIM:|S_MAXIM: ALL value' or '… SPECIFIC n', found {shown(str(line))}",
            line,
        )
    return 0 if w[3] == "ALL" else sections.integer(line, 4, "the number of special types")


def _list(sections: Sections, line: Line, rows: list[Line]) -> None:
    body = BODIES[line.words[1]]
    if line.words[0] == "EXCLUDE":
        _once(sections, body in sections.exclude, line)
        sections.exclude[body] = (line, rows)
    else:
        key = (body, line.words[2].rstrip(":"))
        _once(sections, key in sections.special, line)
        sections.special[key] = (line, rows)
