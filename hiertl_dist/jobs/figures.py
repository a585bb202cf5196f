"""Figures: parity of model and labels, and what all figures share — colours, a legend that fits, a PDF beside a PNG.

Needs matplotlib (``pip install "hiertl-dist[plot]"``), which is imported when a figure is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError
from ..fitting.mean_model import QUANTITIES
from ..text.display import number_text
from .error_tables import names_and_codes
from .report import unit_of
from .samples import Points, share_of, spread_evenly

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..fitting.mean_model import Kind
    from .error_tables import Errors
    from .evaluated import EvaluatedFrames

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""That colour-blind people tell apart: those of Okabe and Ito, https://jfly.uni-koeln.de/color (2008), but black and
yellow."""

GREY: Final = "#999999"
MARKERS: Final = ("o", "^", "s", "D")

MANY: Final = 2000
"""Points of a panel above which it shows their density: they would lie on one another."""

BINS: Final = 150
MOST_RINGS: Final = 500
"""Rings about points of frames that are out of range; more would hide what is below them."""

DPI: Final = 150


def need_matplotlib() -> None:
    """Raise ModuleNotFoundError, saying what to install, unless matplotlib is there; before anything is computed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ModuleNotFoundError(
            f'figures need matplotlib: pip install "hiertl-dist[plot]" ({error})', name="matplotlib"
        ) from error


def refuse_format(path: str | Path, option: str) -> None:
    """Raise InputError for the ending of a figure that matplotlib does not write, naming the option.

    Before anything is computed. Raises ModuleNotFoundError without matplotlib.
    """
    need_matplotlib()
    from matplotlib.backend_bases import FigureCanvasBase

    known = sorted(FigureCanvasBase.get_supported_filetypes())
    ending = figure_files(path)[0].suffix.removeprefix(".")
    if ending.lower() not in known:
        raise InputError(
            f"{option} {path}: expected a name with one of the endings {', '.join(known)}, found {ending!r}; a name "
            "without a dot becomes a .png"
        )


def new_figure(width: float, height: float) -> Any:
    """An empty figure of so many inches that needs no display."""
    need_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def figure_files(path: str | Path) -> tuple[Path, ...]:
    """The files of a figure: ``.png`` where its name has no ending, and a PDF beside it."""
    first = Path(path) if Path(path).suffix else Path(path).with_suffix(".png")
    return tuple(dict.fromkeys((first, first.with_suffix(".pdf"))))


def save_figure(figure: Any, path: str | Path) -> tuple[Path, ...]:
    """Write a figure as :func:`figure_files` names it; returns the paths."""
    import matplotlib

    paths = figure_files(path)
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    # the same figure is the same file
    metadata = {".png": {"Software": None}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        for name in paths:
            figure.savefig(name, dpi=DPI, metadata=metadata.get(name.suffix.lower()))
            figure.set_layout_engine("none")  # what was laid out for one file, half of the work, holds for the next
    return paths


def add_legend(figure: Any, handles: Mapping[str, Any]) -> None:
    """A legend below all panels, in as many columns as the figure is wide enough for."""
    if not handles:
        return
    for columns in range(min(len(handles), 8), 0, -1):
        legend = figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=columns, fontsize="small"
        )
        figure.draw_without_rendering()
        if columns == 1 or legend.get_window_extent().width <= 0.98 * figure.bbox.width:
            return
        legend.remove()


# ---- parity


@dataclass(frozen=True, eq=False)
class PanelPoints:
    """Labels and what the model says, of one kind of label in one panel, in the units of the figure.

    Attributes
    ----------
    labels, values : ndarray of shape (n,)
        Labels, and what the model says.
    names : tuple of str
        Compositions.
    of : ndarray of int64, shape (n,)
        Of each label, an index into ``names``.
    ringed : ndarray of bool, shape (n,)
        Whether its frame is out of range.
    """

    labels: NDArray[np.float64]
    values: NDArray[np.float64]
    names: tuple[str, ...]
    of: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    ringed: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))


_NOTHING: Final = np.empty(0)


def plot_parity(path: str | Path, sets: Mapping[str, EvaluatedFrames], units: str = "kcal") -> tuple[Path, ...]:
    """Write :func:`parity_figure` as a PNG and a PDF; returns their paths. Raises ImportError without matplotlib."""
    return save_figure(parity_figure(sets, units), path)


def parity_figure(sets: Mapping[str, EvaluatedFrames], units: str = "kcal") -> Any:
    """Parity of forces, energies and stresses: a row of panels each, a column for each set of frames.

    The panels of a row have the same axes, so that sets and models are compared at sight; each says its number of
    labels, RMSE and mean absolute error. A row with many labels shows their density, in logarithmic colours; otherwise
    colours and markers are compositions. Energies are relative to the mean label of each composition, whose offsets
    would hide the errors. Labels of frames that are out of range are ringed, as long as these are few. Of very many
    labels a sample is drawn, which its panel says.

    Parameters
    ----------
    sets : mapping from str to EvaluatedFrames
        By title of a column, frames and what a model says of them, evaluated with points.
    units : {"kcal", "eV"}, default "kcal"
        Units of energies.

    Returns
    -------
    matplotlib.figure.Figure
        Not yet written.
    """
    points = {(k, s): points_of(k, sets[s], units) for k in QUANTITIES for s in sets}
    kinds = [k for k in QUANTITIES if any(len(points[k, name].labels) for name in sets)] or ["force"]
    names = sorted({n for p in points.values() for n in p.names}, key=lambda c: (len(c), c))
    looks = [(c, m) for m, c in product(MARKERS, COLOURS)]
    styles = dict(zip(names, looks, strict=False)) if len(names) <= len(looks) else {}
    errors = [evaluated.whole for evaluated in sets.values()]
    figure = new_figure(3.6 * len(sets) + 0.7, 3.6 * len(kinds) + 0.5)
    axes = figure.subplots(len(kinds), len(sets), squeeze=False, sharex="row", sharey="row")
    handles: dict[str, Any] = {}
    for row, kind in zip(axes, kinds, strict=True):
        drawn = [points[kind, name] for name in sets]
        if any(len(p.labels) > MANY for p in drawn):
            _draw_density(figure, row, drawn)
        else:
            for ax, panel in zip(row, drawn, strict=True):
                handles |= _draw_points(ax, panel, styles)
        for ax, panel, table in zip(row, drawn, errors, strict=True):
            handles |= _draw_rings(ax, panel)
            _say(ax, kind, table, units, len(panel.labels))
        _same_axes(row, drawn)
        what = "energy − mean" if kind == "energy" else kind
        unit = unit_of(kind, units)[0]
        for ax in row:
            ax.set_xlabel(f"reference {what}, {unit}")
        row[0].set_ylabel(f"model {what}, {unit}")
    for ax, name in zip(axes[0], sets, strict=True):
        ax.set_title(name)
    # compositions in order, then what is not one
    add_legend(figure, {n: handles[n] for n in (*(n for n in names if n in handles), *(set(handles) - set(names)))})
    return figure


def points_of(kind: Kind, evaluated: EvaluatedFrames, units: str) -> PanelPoints:
    """Labels of a kind and what the model says of them, in ``"kcal"`` or ``"eV"``; energies less their means."""
    found = _energies(evaluated) if kind == "energy" else evaluated.points[kind]
    if not len(found.labels):
        return PanelPoints(_NOTHING, _NOTHING, ())
    factor, facts = unit_of(kind, units)[1], evaluated.frames.facts
    names, codes = names_and_codes(facts.compositions, facts.formula)
    present, of = np.unique(codes[found.frames], return_inverse=True)
    return PanelPoints(
        found.labels * factor, found.values * factor, tuple(names[k] for k in present.tolist()), of,
        evaluated.is_flagged[found.frames],
    )  # fmt: skip


def _energies(evaluated: EvaluatedFrames) -> Points:
    """Energies per atom less the mean label of their composition."""
    facts = evaluated.frames.facts
    frames = np.flatnonzero(facts.has_energy)
    of = names_and_codes(facts.compositions, facts.formula)[1][frames]
    n_atoms = facts.n_atoms[frames]
    labels = facts.energies[frames] / n_atoms
    means = (np.bincount(of, labels) / np.maximum(np.bincount(of), 1))[of]
    chosen = spread_evenly(0, len(frames), share_of(len(frames)))
    values = evaluated.energies[frames] / n_atoms - means
    return Points((labels - means)[chosen], values[chosen], frames[chosen].astype(np.int32))


def _limits(drawn: Sequence[PanelPoints]) -> tuple[float, float]:
    """The range of all labels and values, with a margin; of nothing, 0 to 1."""
    numbers = np.concatenate([np.empty(0), *(x for p in drawn for x in (p.labels, p.values))])
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return 0.0, 1.0
    low, high = float(numbers.min()), float(numbers.max())
    margin = 0.04 * (high - low) or 0.5 * abs(high) or 0.5
    return low - margin, high + margin


def _same_axes(row: Sequence[Any], drawn: Sequence[PanelPoints]) -> None:
    limits = _limits(drawn)
    for ax in row:
        ax.set(xlim=limits, ylim=limits)
        ax.plot(limits, limits, lw=0.8, color="k", zorder=0)
        ax.set_aspect("equal")
        ax.tick_params(labelleft=True)
        ax.locator_params(nbins=4)


def _draw_points(ax: Any, points: PanelPoints, styles: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Points by composition; with more compositions than there are styles, of one colour, and no legend."""
    from matplotlib.lines import Line2D

    handles = {}
    for i, name in enumerate(points.names):
        of_composition = points.of == i
        colour, marker = styles.get(name, (COLOURS[0], "o"))
        ax.plot(
            points.labels[of_composition], points.values[of_composition], marker, ms=3.5, mew=0, alpha=0.6,
            color=colour, rasterized=len(points.labels) > 500,
        )  # fmt: skip
        if name in styles:
            handles[name] = Line2D([], [], ls="", marker=marker, color=colour, ms=6)
    return handles


def _draw_density(figure: Any, row: Sequence[Any], drawn: Sequence[PanelPoints]) -> None:
    """Labels per cell of a grid that the panels of a row share, with the colours of one scale."""
    from matplotlib.colors import LogNorm

    edges = np.linspace(*_limits(drawn), BINS + 1)
    counts = [np.histogram2d(p.labels, p.values, (edges, edges))[0] for p in drawn]
    norm = LogNorm(1, max(2.0, *(float(c.max()) for c in counts)))
    for ax, count in zip(row, counts, strict=True):
        shown = np.ma.masked_equal(count.T, 0)
        mesh = ax.pcolormesh(edges, edges, shown, norm=norm, cmap="viridis", rasterized=True)
    bar = figure.colorbar(mesh, ax=list(row), label="labels in a cell", fraction=0.03, pad=0.01)
    label_counts(bar, max(float(c.max()) for c in counts))


def label_counts(bar: Any, most: float) -> None:
    """Whole numbers beside a logarithmic scale of counts: powers of ten, and of few counts those between them."""
    steps = (1, 2, 5) if most < 100 else (1,)
    powers = range(int(np.log10(max(most, 2.0))) + 1)
    bar.set_ticks([s * 10**p for p in powers for s in steps if s * 10**p <= max(most, 2.0)])
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.ax.yaxis.set_minor_formatter("")


def _draw_rings(ax: Any, points: PanelPoints) -> dict[str, Any]:
    count = int(points.ringed.sum())
    if not 0 < count <= MOST_RINGS:
        return {}
    x, y = points.labels[points.ringed], points.values[points.ringed]
    (line,) = ax.plot(x, y, "o", ms=6, mfc="none", mec="k", mew=0.6)
    return {"frame out of range": line}


def _say(ax: Any, kind: Kind, errors: Errors, units: str, drawn: int) -> None:
    """Number and error in the corner of a panel that parity leaves empty, and how many labels are drawn if not all."""
    unit, factor = unit_of(kind, units)
    of_kind = errors.of(kind)
    text = "no labels"
    if of_kind.labels:
        text = (
            f"RMSE {number_text(of_kind.rmse * factor)} {unit}\nMAE {number_text(of_kind.mae * factor)}\n"
            f"N = {of_kind.labels}"
        )
        if drawn < of_kind.labels:
            text += f", {drawn} drawn"
        if errors.out_of_range:
            text += f"\n{errors.out_of_range} of {errors.frames} frames out of range"
    box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5}
    ax.text(0.03, 0.97, text, transform=ax.transAxes, va="top", ha="left", fontsize="small", bbox=box)
