"""A figure of what blocks were fitted on, and what they are used on: distances by block and pair, clusters by type.

Needs matplotlib, as :mod:`.figures`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .figures import COLOURS, GREY, add_legend, figure_files, new_figure, save_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..evaluation.coverage import Coverage
    from ..evaluation.type_coverage import TypeCoverage

MOST_ROWS: Final = 40
"""Rows of a panel; of more, those that are used beyond what was fitted come first, and the title says how many not."""

ROW: Final = 0.22
"""Height of a row, inches."""


def coverage_path(parity: str | Path) -> Path:
    """Where the figure goes that stands beside one of parity: ``p.png`` → ``p_coverage.png``."""
    first = figure_files(parity)[0]
    return first.with_name(f"{first.stem}_coverage{first.suffix}")


def evaluation_figures(parity: str | Path) -> tuple[Path, ...]:
    """The files of both figures."""
    return (*figure_files(parity), *figure_files(coverage_path(parity)))


def plot_coverage(path: str | Path, rows: Sequence[Coverage], types: Sequence[TypeCoverage]) -> tuple[Path, ...]:
    """Write :func:`coverage_figure` as a PNG and a PDF; returns their paths. Raises ImportError without matplotlib."""
    return save_figure(coverage_figure(rows, types), path)


def coverage_figure(rows: Sequence[Coverage], types: Sequence[TypeCoverage]) -> Any:
    """Bars of the fitted distances with lines of the used ones, and clusters fitted on and met, side by side.

    Parameters
    ----------
    rows : sequence of Coverage
        Of blocks and pairs.
    types : sequence of TypeCoverage
        Of types of clusters.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each of the two that has rows.
    """
    chosen = sorted(rows, key=lambda c: not c.outside)[:MOST_ROWS]
    kinds = sorted(types, key=lambda t: not t.remark)[:MOST_ROWS]
    panels = [bool(chosen), bool(kinds)]
    figure = new_figure(4.6 * max(sum(panels), 1), 1.4 + ROW * max(len(chosen), len(kinds), 4))
    axes = iter(figure.subplots(1, max(sum(panels), 1), squeeze=False).ravel())
    handles: dict[str, Any] = {}
    if chosen:
        handles |= _draw_distances(next(axes), chosen, len(rows))
    if kinds:
        handles |= _draw_types(next(axes), kinds, len(types))
    add_legend(figure, handles)
    return figure


def _draw_distances(ax: Any, rows: Sequence[Coverage], number: int) -> dict[str, Any]:
    handles = {}
    for y, row in enumerate(rows):
        handles["fitted on"] = ax.barh(y, row.fitted[1] - row.fitted[0], left=row.fitted[0], height=0.7, color=GREY)
        label, colour = ("used beyond", COLOURS[1]) if row.outside else ("used inside", COLOURS[0])
        (handles[label],) = ax.plot(row.used, (y, y), color=colour, linewidth=2.0, marker="|")
    _name_rows(ax, [f"{c.block}: {c.pair}" for c in rows], "distance, Å", number)
    return handles


def _draw_types(ax: Any, types: Sequence[TypeCoverage], number: int) -> dict[str, Any]:
    handles = {}
    for y, kind in enumerate(types):
        if kind.fitted is not None:
            handles["fitted on"] = ax.barh(y, kind.fitted[1], height=0.7, color=GREY)
        label, colour = ("met, without data", COLOURS[1]) if kind.remark else ("met", COLOURS[0])
        (handles[label],) = ax.plot(kind.met[1], y, color=colour, marker="o", linestyle="none")
    ax.set_xscale("symlog", linthresh=1.0)
    ax.set_xlim(left=0.0)
    _name_rows(ax, [t.name for t in types], "clusters", number)
    return handles


def _name_rows(ax: Any, names: Sequence[str], quantity: str, number: int) -> None:
    ax.set_yticks(range(len(names)), names, fontsize="small")
    ax.invert_yaxis()
    ax.set_xlabel(quantity)
    if number > len(names):
        ax.set_title(f"{len(names)} of {number}", fontsize="small")
