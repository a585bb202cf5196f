"""A page as HTML: one file without anything from elsewhere, for screens of all widths and for paper.

Every text is escaped. The file's own policy lets a browser load nothing, and run no script but the one below.
"""

from __future__ import annotations

import base64
import hashlib
import math
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..text.display import cell_text
from .pieces import Figure, Table, Text

if TYPE_CHECKING:
    from .pieces import Page, Piece, Section

LONG: Final = 24
"""Rows from which on a table scrolls."""

MOST_ROWS: Final = 2000
"""Of a table on the page; files of tables have all."""

WORD: Final = 26
"""Letters of a cell that is not broken into lines."""

STYLE: Final = """
:root { color-scheme: light; --line: #c9ced6; --soft: #f3f5f8; --ink: #1c2733; --link: #0b5394; --bad: #8a1c12; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; color: var(--ink); background: #fff;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 .6rem; border-bottom: 2px solid var(--line); }
a { color: var(--link); }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: .6rem .8rem; margin: 1rem 0; list-style: none;
  background: var(--soft); border-radius: .3rem; }
p { max-width: 48rem; overflow-wrap: anywhere; margin: .6rem 0; }
p.note, p.warning, p.absent { padding: .4rem .8rem; border-left: .3rem solid var(--line); background: var(--soft); }
p.warning { border-color: var(--bad); background: #fdf0ee; }
p.absent { font-style: italic; border-left-style: dashed; }
.tone { font-weight: 700; }
figure { margin: 1.2rem 0; }
figcaption, caption { text-align: left; font-size: .92rem; color: #3b4856; padding: .3rem 0; max-width: 48rem; }
figure img { max-width: 100%; height: auto; display: block; }
.scroll { overflow-x: auto; }
.table { margin: 1.2rem 0; }
.long { max-height: 36rem; overflow-y: auto; border-bottom: 1px solid var(--line); }
.scroll:focus-visible, button:focus-visible { outline: 3px solid var(--link); }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { background: var(--soft); position: sticky; top: 0; border-bottom: 2px solid var(--line);
  vertical-align: bottom; }
td.number, th.number { text-align: right; }
td.number, td.word { white-space: nowrap; }
td.text { overflow-wrap: break-word; min-width: 13rem; max-width: 34rem; }
tr.marked td { background: #fff6d6; font-weight: 600; }
table.sorts thead th { cursor: pointer; padding-right: 1.25rem; }
th button { all: unset; position: absolute; right: .3rem; bottom: .25rem; cursor: pointer; color: #5b6876; }
th button::after { content: "\\2195"; }
th[aria-sort=ascending] button::after { content: "\\2191"; }
th[aria-sort=descending] button::after { content: "\\2193"; }
summary { cursor: pointer; font-size: .92rem; }
footer { margin-top: 3rem; padding-top: .6rem; border-top: 2px solid var(--line); font-size: .85rem; color: #3b4856; }
@media (max-width: 40rem) {
  body { padding: .6rem; } th, td { padding: .2rem .4rem; } figure img { max-width: none; width: 42rem; }
  td.text { min-width: 8rem; max-width: 15rem; overflow-wrap: anywhere; }
}
@page { margin: 12mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 9.5pt; } nav, th button, .screen, details { display: none; }
  a { color: inherit; } .scroll, .long { overflow: visible; max-height: none; } thead th { position: static; }
  table { font-size: 6.5pt; } th, td { padding: .1rem .25rem; } td.text { min-width: 0;
  overflow-wrap: anywhere; } tr, figure, p { break-inside: avoid; } h2, caption { break-after: avoid; }
  figure img { max-height: 22cm; } tr.marked td { font-style: italic; }
}
"""

SCRIPT: Final = """
"use strict";
for (const table of document.querySelectorAll("table.sorts")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  if (body.rows.length < 2) continue;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", "sort by " + head.textContent);
    head.append(button);
    head.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending", key = row => row.cells[column].dataset.value;
      const isNumber = heads[column].classList.contains("number");
      const compare = (a, b) => {
        const x = key(a), y = key(b);
        if (x === "" || y === "") return (x === "") - (y === "");  // what is not there stands last, either way
        const order = isNumber ? Number(x) - Number(y) : x.localeCompare(y, "en", { numeric: true });
        return down ? -order : order;
      };
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...[...body.rows].sort(compare));
    });
  });
}
"""


def html_text(page: Page) -> str:
    """The page as HTML.

    Parameters
    ----------
    page : Page
        What it says.

    Returns
    -------
    str
        A whole document, UTF-8.
    """
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(STYLE)}'; script-src '{_hash(SCRIPT)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    links = "".join(f'<li><a href="#{escape(s.name)}">{escape(s.title)}</a></li>' for s in page.sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(page.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(page.title)}</h1></header>\n<main>\n{_pieces(page.summary)}"
        f'<nav aria-label="sections"><ul>{links}</ul></nav>\n'
        f"{''.join(map(_section, page.sections))}</main>\n"
        "<footer>Written by hiertl-dist report. This file loads nothing from elsewhere. Titles of columns sort tables; "
        "numbers are rounded to four digits, and those in the CSV files (--tables) are whole.</footer>\n"
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _hash(text: str) -> str:
    """As a policy names a text between tags."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _section(section: Section) -> str:
    name = escape(section.name)
    title = f'<h2 id="{name}">{escape(section.title)}</h2>'
    return f'<section aria-labelledby="{name}">\n{title}\n{_pieces(section.pieces)}</section>\n'


def _pieces(pieces: tuple[Piece, ...]) -> str:
    return "".join(map(_piece, pieces))


def _piece(piece: Piece) -> str:
    if isinstance(piece, Text):
        word = {"warning": "Warning: ", "absent": "Not here: ", "note": "", "plain": ""}[piece.tone]
        mark = f'<span class="tone">{word}</span>' if word else ""
        return f'<p class="{piece.tone}">{mark}{escape(piece.text)}</p>\n'
    if isinstance(piece, Figure):
        source = base64.b64encode(piece.svg).decode()
        return (
            f'<figure><div class="scroll" tabindex="0"><img src="data:image/svg+xml;base64,{source}" '
            f'alt="{escape(piece.alt)}"></div>\n<figcaption>{escape(piece.caption)}</figcaption></figure>\n'
        )
    return _table(piece)


def _table(table: Table) -> str:
    kinds = [_column_kind(table, k) for k in range(len(table.header))]
    heads = "".join(
        f'<th scope="col" class="{kind}">{escape(title)}</th>' for title, kind in zip(table.header, kinds, strict=True)
    )
    rows = "".join(
        f'<tr class="marked">{_cells(row, kinds)}</tr>\n' if i in table.marked else f"<tr>{_cells(row, kinds)}</tr>\n"
        for i, row in enumerate(table.rows[:MOST_ROWS])
    )
    more = len(table.rows) - MOST_ROWS
    left_out = f" The first {MOST_ROWS} of {len(table.rows)} rows; the files of --tables have all." if more > 0 else ""
    caption = escape(table.caption + left_out)
    long, sorts = " long" if len(table.rows) > LONG else "", ' class="sorts"' if table.sorts else ""
    size = f'<span class="screen"> ({len(table.rows)} rows; it scrolls)</span>' if long else ""
    written = (
        f'<div class="scroll table{long}" role="region" tabindex="0" aria-label="{caption}">'
        f'<table id="table-{escape(table.name)}"{sorts}><caption>{caption}{size}</caption>'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )
    return f"<details><summary>{caption}</summary>{written}</details>\n" if table.folded else written


def _column_kind(table: Table, column: int) -> str:
    """Numbers, words that stay in one line, or texts that need not."""
    if is_number_column(table, column):
        return "number"
    return "word" if all(len(cell_text(row[column])) <= WORD for row in table.rows) else "text"


def is_number(value: Any) -> bool:
    """Whether a cell is one."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def is_number_column(table: Table, column: int) -> bool:
    """Whether all cells of a column are numbers."""
    return bool(table.rows) and all(is_number(row[column]) for row in table.rows)


def _cells(row: tuple[Any, ...], kinds: list[str]) -> str:
    return "".join(
        f'<td class="{kind}" data-value="{escape(sort_value(value))}">{escape(cell_text(value))}</td>'
        for value, kind in zip(row, kinds, strict=True)
    )


def sort_value(value: Any) -> str:
    """By what a cell is sorted, and what it holds in full: all digits; nothing of what is not there."""
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else repr(float(value))
    return str(value)
