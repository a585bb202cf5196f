"""The comment line of an extended XYZ frame: ``key=value`` pairs among ordinary words, as ASE writes and reads them.

A value may be quoted (``"…"``, ``'…'``), in brackets (``{…}``, ``[…]``, one level nested) or bare, with or without
blanks around ``=``. What has no ``=`` is an ordinary word and means nothing. ``key=`` before another ``key=`` or the
end of the line has an empty value (ASE writes an empty string so). Numbers or booleans that follow a bare value of a
key that holds a list belong to it: ``pbc=T T F``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..frames.labels import WORD, likeness
from ..text.words import shown
from .cells import BOOLEANS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?", re.ASCII)
USUAL: Final = re.compile(r"""\s*([^\s="'{}\[\],]+)=(?:"([^"\\]*)"|([^\s"'{}\[\]=][^\s=]*))(?=\s|$)""")
"""``key="value"`` or ``key=value`` without anything odd in it, which is nearly all there is."""

WHITE: Final = re.compile(r"[\s,]*")
BARE: Final = re.compile(r"[^\s=]+")
QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"' r"|'([^']*)'")
BRACKETED: Final = re.compile(r"\{([^{}]*)\}|(\[(?:[^\[\]]|\[[^\[\]]*\])*\])")
EQUALS: Final = re.compile(r"\s*=")
NEXT_KEY: Final = re.compile(r"""(?:[A-Za-z_][\w.:-]*|"[^"]*")\s*=(?!=)""")
ESCAPED: Final = re.compile(r"\\(.)")
LISTS: Final = frozenset({"Lattice", "pbc", "stress", "virial"})
"""Keys whose values are lists, by their usual names."""

NAMES: Final = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}
"""Keys that are found in any case."""


@dataclass
class Comment:
    """What stands in a comment line.

    Attributes
    ----------
    values : dict from str to str
        The text of each key's value; the last one of a key that is given more than once.
    differing : dict from str to list of str
        Of keys that are given with different values, all of them.
    after : dict from str to str
        The word that follows the bare value of a key, where one does.
    words : list of str
        Names of look-alikes of a label among the words: those that a number follows, ``energy -1``, ``energy:-1``.
    """

    values: dict[str, str] = field(default_factory=dict)
    differing: dict[str, list[str]] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def enter(self, key: str, value: str) -> str:
        """Keep a value; the key's name is given back."""
        key = NAMES.get(key.lower(), key)
        if (before := self.values.get(key, value)) != value:
            self.differing.setdefault(key, [before]).append(value)
        self.values[key] = value
        return key


def parse_comment(line: str, lists: Collection[str], error: Callable[[str], Exception]) -> Comment:
    """Take a comment line apart.

    Parameters
    ----------
    line : str
        The line.
    lists : collection of str
        Keys whose values are lists of numbers or booleans.
    error : callable
        Makes the exception to raise of its text, where a quote or a bracket after ``=`` is not closed.

    Returns
    -------
    Comment
        Keys, values and words.
    """
    comment = Comment()
    at, end = 0, len(line)
    bare_key = alike = ""
    while at < end:
        usual = USUAL.match(line, at)
        if usual is not None:
            key, quoted, bare = usual.groups()
            key = comment.enter(key, bare if quoted is None else quoted)
            bare_key, alike = key if quoted is None else "", ""
            at = usual.end()
            continue
        at = _blanks(line, at)
        if at >= end:
            break
        word, after = _word(line, at)
        if equals := EQUALS.match(line, after):
            value, bare_value, at = _value(line, equals.end(), error)
            key = comment.enter(word, value)
            bare_key, alike = key if bare_value else "", ""
            continue
        at = after
        bare_key = _after_value(comment, bare_key, word, lists)
        name, _, value = word.strip(",;").partition(":")
        if alike and NUMBER.fullmatch(word.strip(",;")):
            comment.words.append(alike + WORD)
        elif NUMBER.fullmatch(value) and likeness(name):  # energy:-1.5
            comment.words.append(name + WORD)
        elif word.strip(",;:").lower() in NAMES and _number_follows(line, at):
            raise error(f"expected key=value pairs, found {shown(word)} without '=' before a number")
        alike = word.strip(",;:") if likeness(word) else ""
    return comment


def _blanks(line: str, at: int) -> int:
    match = WHITE.match(line, at)
    return match.end() if match else at


def _number_follows(line: str, at: int) -> bool:
    return NUMBER.match(line, _blanks(line, at)) is not None


def _after_value(comment: Comment, key: str, word: str, lists: Collection[str]) -> str:
    """Let a list go on with a word after it; the key is given back as long as it can."""
    if not key:
        return ""
    if key in lists and (NUMBER.fullmatch(word.strip(",")) or word.strip(",").lower() in BOOLEANS):
        comment.values[key] += f" {word}"
        return key
    comment.after.setdefault(key, word)
    return ""


def _word(line: str, at: int) -> tuple[str, int]:
    """A word, which may be quoted or in brackets as a whole, and where it ends."""
    for form in (QUOTED, BRACKETED):
        match = form.match(line, at)
        if match is not None and re.match(r"[\s=,]|$", line[match.end() : match.end() + 1]):
            return _inside(match), match.end()
    if line[at] == "=":  # a line drawn with =, before any key
        at = at + len(line[at:]) - len(line[at:].lstrip("="))
    match = BARE.match(line, at)
    return ("", at) if match is None else (match[0], match.end())


def _inside(match: re.Match[str]) -> str:
    text = next((g for g in match.groups() if g is not None), "")
    return ESCAPED.sub(r"\1", text) if match[0][0] == '"' else text


def _value(line: str, at: int, error: Callable[[str], Exception]) -> tuple[str, bool, int]:
    """The value after ``=``: its text, whether it is a bare word, where it ends."""
    start = at
    while at < len(line) and line[at].isspace():
        at += 1
    if at == len(line) or (at > start and NEXT_KEY.match(line, at)):
        return "", False, at
    if line[at] in "\"'{[":
        match = (QUOTED if line[at] in "\"'" else BRACKETED).match(line, at)
        if match is None:
            raise error(f"expected key=value pairs, found {shown(line[at:].strip())}, which is not closed")
        after = line[match.end() : match.end() + 1]
        if after and not after.isspace() and after != ",":
            raise error(f"expected key=value pairs, found {shown(line[at : match.end() + 20].strip())}")
        return _inside(match), False, match.end()
    end = at
    while end < len(line) and not line[end].isspace():
        end += 1
    return line[at:end], True, end
