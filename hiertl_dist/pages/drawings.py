"""Figures of a page, drawn by matplotlib into SVG.

Needs matplotlib (``pip install "hiertl-dist[plot]"``), as :mod:`~hiertl_dist.jobs.figures`.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..fitting.mean_model import QUANTITIES
from ..jobs.figures import COLOURS, GREY, MARKERS, add_legend, label_counts, new_figure
from ..jobs.report import unit_of
from ..text.display import number_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..fitting.mean_model import Kind
    from .curves import Curve
    from .findings import ErrorsOf

MOST_BARS: Final = 20
"""Of a figure of errors by group; of more groups, those with the largest errors."""

MOST_ACROSS: Final = 3


def svg_bytes(figure: Any) -> bytes:
    """A figure as SVG, the same bytes whenever it is drawn."""
    import matplotlib

    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "hiertl-dist"}), warnings.catch_warnings():
        # names of groups may have letters that the font lacks; tables have them
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, dpi=150)
    return stream.getvalue()


def plain_label(text: str, most: int = 40) -> str:
    """A name as it is, for matplotlib takes dollars for formulas; a long one is cut."""
    text = "".join(c if c.isprintable() else "�" for c in text)
    return (text if len(text) <= most else text[: most - 1] + "…").replace("$", r"\$")


# ---- errors


def bars(tables: Mapping[str, Mapping[str, ErrorsOf]], names: Sequence[str], units: str) -> bytes:
    """RMSE by name, a panel for each kind of label, a colour for each column of errors.

    Parameters
    ----------
    tables : mapping from str to mapping from str to ErrorsOf
        By model and set, errors by name.
    names : sequence of str
        What is drawn, from top to bottom.
    units : {"kcal", "eV"}
        Units of energies.

    Returns
    -------
    bytes
        SVG.
    """
    kinds = [k for k in QUANTITIES if any(e.of(k).labels for t in tables.values() for e in t.values())]
    # a group is in one set as a rule: bars stand side by side that are there
    beside = {name: [label for label, table in tables.items() if name in table] for name in names}
    most = max(map(len, beside.values()))
    figure = new_figure(3.1 * len(kinds) + 1.0, 1.3 + len(names) * max(0.24, 0.12 * most))
    axes = figure.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
    thick = 0.8 / most
    handles: dict[str, Any] = {}
    for ax, kind in zip(axes, kinds, strict=True):
        unit, factor = unit_of(kind, units)
        for k, (label, table) in enumerate(tables.items()):
            places = [i for i, name in enumerate(names) if name in table and table[name].of(kind).labels]
            widths = [table[names[i]].of(kind).rmse * factor for i in places]
            at = [
                i + thick * (beside[names[i]].index(label) - 0.5 * (len(beside[names[i]]) - 1)) for i in places
            ]  # fmt: skip
            colour = COLOURS[k % len(COLOURS)]
            handles[plain_label(label)] = ax.barh(at, widths, height=thick, color=colour)
        ax.set_xlabel(f"RMSE of {kind}, {unit}")
        ax.grid(axis="x", lw=0.4)
        ax.set_axisbelow(True)
        ax.locator_params(axis="x", nbins=4)
    axes[0].set_yticks(range(len(names)), [plain_label(n) for n in names], fontsize="small")
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    add_legend(figure, handles)
    return svg_bytes(figure)


def parity(columns: Mapping[str, Mapping[str, Any]], kind: Kind, units: str) -> bytes:
    """Labels counted in cells by label and by what the model says, a panel for each set, on the same axes."""
    from matplotlib.colors import LogNorm

    unit, factor = unit_of(kind, units)
    shown = {name: own[kind] for name, own in columns.items() if kind in own}
    low = min(own["range"][0] for own in shown.values()) * factor
    high = max(own["range"][1] for own in shown.values()) * factor
    across = 2 if len(shown) == 4 else min(len(shown), MOST_ACROSS)
    down = -(-len(shown) // across)
    figure = new_figure(3.3 * across + 0.9, 3.4 * down)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    most = max(n for own in shown.values() for *_, n in own["cells"])
    norm = LogNorm(1, max(2.0, most))
    for ax in axes[len(shown) :]:
        ax.remove()
    for ax, (name, own) in zip(axes, shown.items(), strict=False):
        counts = np.zeros((own["cells_a_side"],) * 2)
        for i, j, n in own["cells"]:
            counts[j, i] = n
        edges = np.linspace(own["range"][0], own["range"][1], own["cells_a_side"] + 1) * factor
        mesh = ax.pcolormesh(
            edges, edges, np.ma.masked_equal(counts, 0), norm=norm, cmap="viridis", rasterized=True
        )  # fmt: skip
        ax.plot((low, high), (low, high), lw=0.7, color=COLOURS[1])
        ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        ax.set_title(plain_label(name), fontsize="medium")
        ax.set_xlabel(f"label, {unit}")
        ax.locator_params(nbins=4)
    for ax in axes[: len(shown) : across]:
        ax.set_ylabel(f"model, {unit}")
    bar = figure.colorbar(mesh, ax=list(axes[: len(shown)]), label="labels in a cell", fraction=0.03, pad=0.02)
    label_counts(bar, most)
    return svg_bytes(figure)


def residuals(columns: Mapping[str, Mapping[str, Any]], kinds: Sequence[Kind], units: str) -> bytes:
    """Shares of errors in bins, a panel for each kind of label, a line for each set."""
    figure = new_figure(3.3 * len(kinds) + 0.4, 3.2)
    axes = figure.subplots(1, len(kinds), squeeze=False)[0]
    handles: dict[str, Any] = {}
    for ax, kind in zip(axes, kinds, strict=True):
        unit, factor = unit_of(kind, units)
        for k, (name, table) in enumerate((n, t[kind]) for n, t in columns.items() if kind in t):
            edges = np.linspace(table["range"][0], table["range"][1], len(table["counts"]) + 1) * factor
            shares = np.array(table["counts"]) / table["counted"]
            style = ("-", "--", ":", "-.")[k // len(COLOURS) % 4]
            handles[plain_label(name)] = ax.stairs(shares, edges, color=COLOURS[k % len(COLOURS)], ls=style)
        ax.axvline(0.0, lw=0.6, color=GREY)
        ax.set_yscale("log")
        ax.set_xlabel(f"error of {kind}, {unit}")
        ax.locator_params(axis="x", nbins=5)
    axes[0].set_ylabel("share of labels in a bin")
    add_legend(figure, handles)
    return svg_bytes(figure)


# ---- the model


def coefficients(rows: Sequence[tuple[str, int, int, float]]) -> bytes:
    """Root mean square coefficients by degree, a panel for each body, a line for each type.

    Parameters
    ----------
    rows : sequence of (str, int, int, float)
        Type, body, degree, and root mean square of its coefficients, kcal/mol.

    Returns
    -------
    bytes
        SVG.
    """
    bodies = sorted({body for _, body, _, _ in rows})
    figure = new_figure(3.4 * len(bodies) + 0.4, 3.4)
    axes = figure.subplots(1, len(bodies), squeeze=False)[0]
    for ax, body in zip(axes, bodies, strict=True):
        names = list(dict.fromkeys(name for name, b, _, _ in rows if b == body))
        for k, name in enumerate(names):
            points = [(degree, size) for n, _, degree, size in rows if n == name and size > 0.0]
            if points:
                colour, mark = COLOURS[k % len(COLOURS)], MARKERS[k // len(COLOURS) % len(MARKERS)]
                ax.plot(*zip(*points, strict=True), marker=mark, ms=4, lw=1.0, color=colour, label=plain_label(name))
        ax.set_yscale("log")
        ax.set(title=f"{body}-body", xlabel="degree, the sum of the powers")
        ax.xaxis.get_major_locator().set_params(integer=True)
        if 0 < len(names) <= 12:
            ax.legend(fontsize="x-small", ncols=1 + len(names) // 7)
    axes[0].set_ylabel("RMS coefficient, kcal/mol")
    return svg_bytes(figure)


def pair_curves(curves: Sequence[Curve], units: str) -> bytes:
    """Energy and force of each pair, the distances that were fitted shaded."""
    energy_unit, force_unit = ("eV", "eV/Å") if units == "eV" else ("kcal/mol", "kcal/mol/Å")
    factor = unit_of("force", units)[1]
    figure = new_figure(8.0, 2.7 * len(curves) + 0.4)
    axes = figure.subplots(len(curves), 2, squeeze=False, sharex="row")
    handles: dict[str, Any] = {}
    for row, curve in zip(axes, curves, strict=True):
        first = curve.distances[0] if curve.fitted is None else curve.fitted[0] - 0.1
        inside = (curve.distances >= first) & (curve.distances <= curve.rmax)
        for ax, values, what in zip(
            row, (curve.energies * factor, curve.forces * factor), (f"energy, {energy_unit}", f"force, {force_unit}"),
            strict=True,
        ):  # fmt: skip
            low, high = float(values[inside].min(initial=0.0)), float(values[inside].max(initial=0.0))
            margin = 0.08 * (high - low) or 1.0
            if curve.fitted is not None:
                handles["distances that were fitted"] = ax.axvspan(*curve.fitted, color="#dbe7f3", lw=0)
            handles["inner cutoff"] = ax.axvline(curve.rmin, lw=0.9, ls=":", color=COLOURS[1])
            ax.axhline(0.0, lw=0.6, color=GREY)
            (handles["the two-body term, with its wall"],) = ax.plot(curve.distances, values, color=COLOURS[0], lw=1.4)
            ax.set(ylim=(low - margin, high + margin), ylabel=what)
        row[0].set_title(plain_label(curve.name), fontsize="medium", loc="left")
    for ax in axes[-1]:
        ax.set_xlabel("distance, Å")
    add_legend(figure, handles)
    return svg_bytes(figure)


def alt_errors(tables: Mapping[str, Mapping[str, ErrorsOf]], kind: Kind, units: str) -> str:
    """The range of errors of a kind of label in words."""
    unit, factor = unit_of(kind, units)
    known = [e.of(kind).rmse * factor for t in tables.values() for e in t.values() if e.of(kind).labels]
    return f"{kind} {number_text(min(known))} to {number_text(max(known))} {unit}" if known else f"{kind}: no labels"
