"""A figure of properties: equations of state, phonon bands and densities of states; a row for each crystal."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..jobs.figures import COLOURS, GREY, new_figure, save_figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .crystals import EquationOfState
    from .phonons import Phonons
    from .report import CrystalProperties

GREEK = {"G": "Γ"}


def plot_properties(path: str | Path, found: Sequence[CrystalProperties]) -> tuple[Path, ...]:
    """Write :func:`properties_figure` as a PNG and a PDF; returns their paths."""
    return save_figure(properties_figure(found), path)


def properties_figure(found: Sequence[CrystalProperties]) -> Any:
    """A row for each crystal: energy against volume; phonon bands and their density of states, if there are some.

    Parameters
    ----------
    found : sequence of CrystalProperties
        At least one; a panel of what could not be computed says so.

    Returns
    -------
    matplotlib.figure.Figure
        Not yet written.
    """
    modes = any(one.phonons is not None for one in found)
    widths = [3.6, 4.6, 1.4] if modes else [3.6]
    figure = new_figure(sum(widths) + 0.6, 3.2 * len(found) + 0.2)
    axes = figure.subplots(len(found), len(widths), squeeze=False, gridspec_kw={"width_ratios": widths})
    for row, one in zip(axes, found, strict=True):
        row[0].set_title(one.name, fontsize="medium", pad=12.0)
        if one.eos is None:
            _say_nothing(row[0], "no equation of state")
        else:
            _draw_equation(row[0], one.eos)
        if modes and one.phonons is None:
            _say_nothing(row[1], "no phonons")
            row[2].set_axis_off()
        elif one.phonons is not None:
            _draw_bands(row[1], one.phonons)
            _draw_density(row[2], row[1], one.phonons)
    return figure


def _say_nothing(ax: Any, text: str) -> None:
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY)


def _draw_equation(ax: Any, eos: EquationOfState) -> None:
    """Energies in meV above the lowest of the curve."""
    volumes = np.linspace(eos.volumes[0], eos.volumes[-1], 200)
    ax.plot(volumes, 1000.0 * (eos.energy_at(volumes) - eos.energy), color=COLOURS[0], lw=1.2)
    ax.plot(eos.volumes, 1000.0 * (eos.energies - eos.energy), "o", ms=4, color=COLOURS[1])
    ax.set(xlabel="volume, Å³/atom", ylabel=f"energy − ({eos.energy:.4f} eV), meV/atom")
    text = f"V₀ {eos.volume:.3f} Å³/atom\nB {eos.bulk_modulus:.1f} GPa"
    ax.text(0.5, 0.95, text, transform=ax.transAxes, ha="center", va="top", fontsize="small")


def _draw_bands(ax: Any, modes: Phonons) -> None:
    """Bands, broken where the path is; imaginary frequencies below zero."""
    places = [place for place, _ in modes.labels]
    # where two special points share a place the path jumps
    jumps = [a for a, b in pairwise(places) if b - a < 1e-9]
    cuts = [int(np.flatnonzero(np.abs(modes.distances - at) < 1e-9)[0]) + 1 for at in jumps]
    for part in np.split(np.arange(len(modes.distances)), cuts):
        ax.plot(modes.distances[part], modes.bands[part], color=COLOURS[0], lw=1.0)
    names: dict[float, str] = {}
    for place, name in modes.labels:
        known = next((p for p in names if abs(p - place) < 1e-9), None)
        shown = GREEK.get(name, name)
        if known is None:
            names[place] = shown
        else:
            names[known] += f"|{shown}"
    ax.set_xticks(list(names), list(names.values()))
    for place in names:
        ax.axvline(place, color=GREY, lw=0.5)
    ax.axhline(0.0, color="k", lw=0.5)
    ax.set(xlim=(modes.distances[0], modes.distances[-1]), ylabel="frequency, THz (imaginary: below 0)")


def _draw_density(ax: Any, bands: Any, modes: Phonons) -> None:
    ax.sharey(bands)
    ax.plot(modes.dos, modes.dos_frequencies, color=COLOURS[0], lw=1.0)
    ax.fill_betweenx(modes.dos_frequencies, modes.dos, color=COLOURS[0], alpha=0.2, lw=0)
    ax.axhline(0.0, color="k", lw=0.5)
    ax.set(xlabel="modes/THz", xlim=(0.0, None))
    ax.tick_params(labelleft=False)
