"""``report_page``: a report of a folder of results as one HTML page, and its tables as files."""

from __future__ import annotations

import itertools
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..files.paths import replacing
from ..jobs.report import units_in_words
from ..text.words import count_text
from .error_sections import coverage_section, error_section, frame_section, parity_section
from .findings import as_written
from .html_page import html_text
from .model_sections import coefficient_section, curve_section, uncertainty_section
from .pieces import Page, Table, Text
from .run_sections import card_section, note_section, plan_section
from .search_section import search_section
from .table_files import write_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .findings import Findings
    from .pieces import Piece, Section

NO_MATPLOTLIB: Final = 'figures need matplotlib, which is not there: pip install "hiertl-dist[plot]"'


def report_page(findings: Findings, *, title: str | None = None, draw: bool | None = None) -> Page:
    """What a report says.

    Parameters
    ----------
    findings : Findings
        What is known.
    title : str, optional
        Default: a title with the elements of the model.
    draw : bool, optional
        Whether there are figures; default: if matplotlib is there. What is left out is said.

    Returns
    -------
    Page
        Its sections; each says what is not there.

    Raises
    ------
    StoreError
        A file of the results is not as it was written.
    """
    with as_written(findings.source):
        return _page(findings, title, draw)


def _page(findings: Findings, title: str | None, draw: bool | None) -> Page:
    drawn = find_spec("matplotlib") is not None if draw is None else draw
    sections = [
        card_section(findings), plan_section(findings), error_section(findings, draw=drawn),
        parity_section(findings, draw=drawn), coverage_section(findings), frame_section(findings),
        coefficient_section(findings, draw=drawn), curve_section(findings, draw=drawn), uncertainty_section(findings),
        search_section(findings, draw=drawn),
    ]  # fmt: skip
    absent = () if drawn else ("there are no figures, as was asked for" if draw is False else NO_MATPLOTLIB,)
    sections.append(note_section(findings, absent))
    sections = _with_names_apart(sections)
    chosen = title or f"Report of {findings.source}"
    page = Page(chosen, (), tuple(sections))
    return Page(chosen, tuple(_summary(findings, page, absent)), tuple(sections))


def _with_names_apart(sections: Sequence[Section]) -> list[Section]:
    """Sections whose tables have names that differ, by more than case, for they are names of files."""
    taken: set[str] = set()

    def named(piece: Piece) -> Piece:
        if not isinstance(piece, Table):
            return piece
        names = (piece.name if n == 1 else f"{piece.name}_{n}" for n in itertools.count(1))
        name = next(n for n in names if n.lower() not in taken)
        taken.add(name.lower())
        return replace(piece, name=name)

    return [replace(s, pieces=tuple(map(named, s.pieces))) for s in sections]


def _summary(findings: Findings, page: Page, absent: tuple[str, ...]) -> list[Piece]:
    pieces: list[Piece] = [
        Text(f"A ChIMES model, read from {findings.source}. Units: {units_in_words(findings.units)}.")
    ]
    if warned := len(page.texts("warning")):
        pieces.append(Text(f"{count_text(warned, 'warning')} below, in the sections that they concern.", "warning"))
    return pieces + [Text(text, "note") for text in absent]


def write_report(page: Page, path: Path, tables: Path | None = None) -> list[Path]:
    """Write a page, and its tables if a folder for them is given; returns the paths of all files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as stream:
        stream.write(html_text(page).encode())
    return [path, *(() if tables is None else write_tables(tables, page.tables))]
