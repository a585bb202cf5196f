"""The lines of a ChIMES parameter file: comments cut off, words checked, other text passed over and noted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NoReturn

from ..files.paths import require_file
from ..text.words import finite_number, ordinal, shown, whole_number
from .params_checksum import checksum_fault
from .params_sections import KEYWORD_LIKE, NOTE, WRITTEN_BY, Note, Sections

if TYPE_CHECKING:
    from pathlib import Path

MOST_LISTED: Final = 5
"""Lines that were passed over, of which a note shows the text."""

KNOWN_SWITCH: Final = re.compile(r"(?i:(USE|FIT)(COUL|POVR)|USE[34]BCH|EXCLD?[12]B)")
"""Switches that mean something; misspelt ones are not passed over, even if they are off."""


class ParameterLines:
    """Walks over the lines of a file once.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    line : int
        Number of the line that was read last, from 1.
    text : str
        Its words with single blanks.
    pushed_back : bool
        Whether that line is to be read again.
    sections : Sections
        What the file says; ``fail`` names file and line.
    seen : dict from str to int
        The line of each keyword.
    passed_over : list of tuple (int, str)
        Lines of other text, with their numbers.
    listed : tuple (int, int, str) or None
        The list that was read last: the line that announces it, of how many, what they are.
    """

    def __init__(self, path: Path) -> None:
        file = require_file(path, "parameter file")
        self.lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        self.line = 0
        self.text = ""
        self.pushed_back = False
        self.sections = Sections(str(path), checksum_fault=checksum_fault(self.lines, file.name))
        self.seen: dict[str, int] = {}
        self.passed_over: list[tuple[int, str]] = []
        self.listed: tuple[int, int, str] | None = None

    def _advance(self) -> bool:
        """Go to the next line that is not blank once comments are removed; False at the end of the file."""
        if self.pushed_back:
            self.pushed_back = False
            return True
        while self.line < len(self.lines):
            raw = self.lines[self.line]
            self.line += 1
            # Published files have a comment mark before this line, and chimes_calculator reads it anyway.
            header = " ".join(raw.lstrip("! \t").split())
            if header.startswith(("# PAIRIDX #", "# TYPEIDX #")):
                self.text = header
                return True
            if raw.startswith(WRITTEN_BY):
                self.sections.complete = True
            if raw.startswith(NOTE):
                word, *rest = raw[len(NOTE) :].split() or [""]
                self.sections.notes.setdefault(word, []).append(Note(self.line, rest))
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
        self.sections.fail(self.line, expected, found)

    def _truncated(self, what: str) -> NoReturn:
        self.sections.fail(len(self.lines), what, "the end of the file: it is truncated")

    def _once(self, keyword: str) -> None:
        if keyword in self.seen:
            self._fail(f"one line '{keyword}' (there is one on line {self.seen[keyword]})", "another")
        self.seen[keyword] = self.line

    def _integer(self, word: str, what: str) -> int:
        value = whole_number(word)
        if value is None:
            self._fail(f"{what}, an integer", shown(word))
        return value

    def _real(self, word: str, what: str) -> float:
        value = finite_number(word)
        if value is None:
            self._fail(f"{what}, a finite number", shown(word))
        return value

    def _size(self, words: list[str], sizes: tuple[int, ...], what: str) -> None:
        if len(words) not in sizes:
            wanted = " or ".join(map(str, sizes))
            self._fail(f"{wanted} columns ({what})", f"{len(words)} in {shown(' '.join(words))}")

    def _pass_over(self) -> None:
        """Leave a line out that means nothing to the other programs either; refuse what may have been meant."""
        words = self.text.split()
        numbers = words[0][0] in "0123456789" or any(finite_number(w) is not None for w in (words[0], words[-1]))
        row = bool(self.seen) and numbers
        if row and self.listed is not None:
            line, count, what = self.listed
            reason = f"line {line} announces {count} {what}, {ordinal(count + 1)} row follows"
            self._fail(f"a keyword: {reason}", shown(self.text))
        harmless = len(words) == 2 and words[1].lower() == "false" and not KNOWN_SWITCH.match(words[0])
        if row or (KEYWORD_LIKE.search(self.text) and not harmless):
            self._fail("a keyword of a ChIMES parameter file", shown(self.text))
        self.passed_over.append((self.line, self.text))

    def _note_passed_over(self) -> None:
        if self.passed_over:
            named = [f"line {line} {shown(text)}" for line, text in self.passed_over[:MOST_LISTED]]
            more = [f"{len(self.passed_over) - MOST_LISTED} more"] if len(self.passed_over) > MOST_LISTED else []
            self.sections.remarks.append(
                f"{self.sections.path}: passed over lines that are none of a parameter file: {', '.join(named + more)}"
            )
