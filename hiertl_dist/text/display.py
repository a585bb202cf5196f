"""How things look to a person: digits of a number, tables, and short reprs, as text and in a notebook as HTML."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from html import escape
from typing import Any, ClassVar, Final

import numpy as np

DIGITS: Final = 4
"""Significant digits of a number in a table."""

MOST_LINES: Final = 20
"""Of a repr."""

WIDTH: Final = 120
"""Characters of a line of a repr."""

MOST_HTML_ROWS: Final = 60
"""Of a table in a notebook, where there is more room."""


def number_text(value: float) -> str:
    """A number to four significant digits, whatever its size: ``0.01234``, ``12.34``, ``123456``, ``1.235e+06``.

    NaN, which stands for what is not there, is a dash. A zero is ``0``: what is merely small never looks like one.
    """
    if math.isnan(value):
        return "–"
    if value == 0.0 or math.isinf(value):
        return f"{value + 0.0:g}"
    # of the rounded number: 9.9996 is 10.00
    exponent = int(f"{value:.{DIGITS - 1}e}".partition("e")[2])
    if not -DIGITS <= exponent < DIGITS + 2:
        return f"{value:.{DIGITS - 1}e}"
    return f"{value:.{max(0, DIGITS - 1 - exponent)}f}"


def cell_text(value: Any) -> str:
    """What a cell of a table says: numbers as :func:`number_text`, integers with spaces between thousands."""
    if isinstance(value, float | np.floating):
        return number_text(float(value))
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{int(value):,}".replace(",", " ")
    return str(value)


def table_text(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table for people: first column left, numbers right, NaN as a dash; a title may have several lines."""
    tall = max(h.count("\n") for h in header)
    titles = [("\n" * (tall - h.count("\n")) + h).split("\n") for h in header]
    heads = [[title[line] for title in titles] for line in range(tall + 1)]
    cells = [*heads, *([cell_text(v) for v in row] for row in rows)]
    widths = [max(len(r[c]) for r in cells) for c in range(len(header))]
    lines = [
        "  ".join(v.ljust(w) if c == 0 else v.rjust(w) for c, (v, w) in enumerate(zip(r, widths, strict=True))).rstrip()
        for r in cells
    ]
    return "\n".join([*lines[: tall + 1], "─" * max(map(len, lines)), *lines[tall + 1 :]])


def cut(text: str, width: int = WIDTH) -> str:
    """One line of at most so many characters; an ellipsis says that there was more."""
    line = " ".join(text.split("\n"))
    return line if len(line) <= width else line[: width - 1] + "…"


def listed(names: Sequence[object], most: int = 8) -> str:
    """Some names in one line, and how many more there are."""
    shown = ", ".join(str(n) for n in names[:most])
    return f"{shown}, … and {len(names) - most} more" if len(names) > most else shown or "none"


@dataclass(frozen=True)
class Card:
    """What a person wants to know of a thing at a glance.

    Attributes
    ----------
    title : str
        One line.
    facts : tuple of tuple (str, str)
        (name, what it is), a line each.
    header : tuple of str
        Names of the columns of a table, if there is something to list.
    rows : tuple of tuple
        The cells of the table.
    """

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()

    def text(self) -> str:
        """At most :data:`MOST_LINES` lines of at most :data:`WIDTH` characters."""
        lines = [self.title, *(f"  {name}: {value}" for name, value in self.facts)]
        if len(lines) > MOST_LINES:
            lines = [*lines[: MOST_LINES - 1], f"  … and {len(lines) - MOST_LINES + 1} more"]
        heads = max((h.count("\n") for h in self.header), default=0) + 2
        rows_left = MOST_LINES - len(lines) - heads
        if self.rows and rows_left > 0:
            shown = self.rows if len(self.rows) <= rows_left else self.rows[: rows_left - 1]
            more = len(self.rows) - len(shown)
            lines += table_text(self.header, shown).split("\n")
            lines += [f"… and {more} more"] if more else []
        return "\n".join(cut(line) for line in lines)

    def html(self) -> str:
        """A table for a notebook."""
        parts = [f"<p><b>{escape(self.title)}</b></p>"]
        if self.facts:
            rows = "".join(
                f'<tr><th style="text-align: left">{escape(name)}</th>'
                f'<td style="text-align: left">{escape(value)}</td></tr>'
                for name, value in self.facts
            )
            parts.append(f"<table><tbody>{rows}</tbody></table>")
        if self.rows:
            head = "".join(f"<th>{escape(h).replace(chr(10), '<br>')}</th>" for h in self.header)
            shown = self.rows[:MOST_HTML_ROWS]
            body = "".join("<tr>" + "".join(f"<td>{escape(cell_text(v))}</td>" for v in row) + "</tr>" for row in shown)
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
            if len(self.rows) > len(shown):
                parts.append(f"<p>… and {len(self.rows) - len(shown)} more</p>")
        return "<div>" + "".join(parts) + "</div>"


class Shown:
    """What has a repr of at most 20 lines, and a table in a notebook; a dataclass that is one says ``repr=False``.

    ``class Plan(Shown, card=plan_card)`` shows what :mod:`hiertl_dist.text.cards` says of a plan. Without a card
    fields are
    shown, in one line where they fit.
    """

    __slots__ = ()
    _card_of: ClassVar[Callable[[Any], Card]]

    def __init_subclass__(cls, *, card: Callable[[Any], Card] | None = None, **more: Any) -> None:
        super().__init_subclass__(**more)
        if card is not None:
            cls._card_of = staticmethod(card)

    def __repr__(self) -> str:
        return type(self)._card_of(self).text()

    def _repr_html_(self) -> str:
        return type(self)._card_of(self).html()


def fields_card(value: Any) -> Card:
    """The fields of a dataclass, in one line where they fit."""
    name, line, facts = _fields(value)
    return Card(line) if len(line) <= WIDTH else Card(name, facts)


def _fields(value: Any) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    name = type(value).__name__
    facts = tuple((f.name, brief(getattr(value, f.name))) for f in fields(value) if f.repr)
    return name, f"{name}({', '.join(f'{k}={v}' for k, v in facts)})", facts


Shown._card_of = staticmethod(fields_card)


class _Brief(reprlib.Repr):
    """Values in half a line: containers cut short, an array by its shape, what is :class:`Shown` by its title."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 4, 80, 80
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 6

    def repr1(self, x: Any, level: int) -> str:
        if isinstance(x, np.ndarray):
            return f"<array {' × '.join(map(str, x.shape)) or 'of no dimension'}>"
        if isinstance(x, Shown):
            plain = type(x)._card_of is fields_card
            return cut(_fields(x)[1] if plain else type(x)._card_of(x).title)
        if is_dataclass(x) and not isinstance(x, type):
            # its own repr has whole arrays in it
            attributes = ", ".join(f"{f.name}={self.repr1(getattr(x, f.name), level - 1)}" for f in fields(x) if f.repr)
            return cut(f"{type(x).__name__}({attributes})", self.maxother)
        if isinstance(x, Mapping) and not isinstance(x, dict):
            x = dict(x)
        return super().repr1(x, level)


def brief(value: Any) -> str:
    """A value in one line, cut short."""
    return cut(_Brief().repr(value))


def regulariser_text(table: Mapping[str, Any]) -> str:
    """A regulariser in a few words: ``ridge alpha 0.01``."""
    numbers = " ".join(
        f"{k} {v:g}" if isinstance(v, float | int) and not isinstance(v, bool) else k
        for k, v in table.items() if k != "kind" and v is not None and v is not False
    )  # fmt: skip
    return f"{table['kind']} {numbers}".strip()
