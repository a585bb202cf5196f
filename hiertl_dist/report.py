"""Errors of a model on labelled frames: per kind of row and composition, worst frames, tables and parity plots."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .rows import STRESS_COMPONENTS
from .units import EV, KCAL_PER_A3_IN_GPA

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from .evaluation import Coverage, Evaluation
    from .frames import Frame

FORCE_UNITS: Final = {"kcal": ("kcal/mol/Å", 1.0), "eV": ("eV/Å", 1.0 / EV)}
ENERGY_UNITS: Final = {"kcal": ("kcal/mol/atom", 1.0), "eV": ("eV/atom", 1.0 / EV)}


@dataclass(frozen=True)
class Errors:
    """RMSE over some frames; NaN where no frame has the label.

    Attributes
    ----------
    frames, atoms : how many; force_rms : of the labels, kcal/mol/Å.
    force : kcal/mol/Å over components; energy : kcal/mol/atom; stress : GPa over the components present.
    out_of_range : frames with a distance that the model was not fitted on.
    """

    frames: int
    atoms: int
    force: float
    force_rms: float
    energy: float
    stress: float
    out_of_range: int


@dataclass(frozen=True)
class FrameResidual:
    """One frame's errors, in the units of :class:`Errors`, and what is out of range in it."""

    index: int
    origin: str
    group: str
    composition: str
    force: float
    energy: float
    stress: float
    out_of_range: tuple[str, ...]


def _rms(values: Iterable[NDArray[np.float64]]) -> float:
    joined = np.concatenate([np.empty(0), *(np.ravel(v) for v in values)])
    joined = joined[np.isfinite(joined)]
    return float(np.sqrt(np.mean(joined**2))) if len(joined) else float("nan")


def _differences(frame: Frame, found: Evaluation) -> dict[str, NDArray[np.float64]]:
    parts: dict[str, NDArray[np.float64]] = {}
    if frame.forces is not None:
        parts["force"] = found.forces - frame.forces
        parts["force_rms"] = frame.forces
    if frame.energy is not None:
        parts["energy"] = np.array([(found.energy - frame.energy) / len(frame)])
    if frame.stress is not None:
        parts["stress"] = (found.stress - frame.stress) * KCAL_PER_A3_IN_GPA
    return parts


def errors_of(frames: Sequence[Frame], found: Sequence[Evaluation]) -> Errors:
    """Errors pooled over some frames."""
    parts = [_differences(f, e) for f, e in zip(frames, found, strict=True)]
    pooled = {k: _rms(p[k] for p in parts if k in p) for k in ("force", "force_rms", "energy", "stress")}
    return Errors(
        len(frames), sum(len(f) for f in frames), pooled["force"], pooled["force_rms"], pooled["energy"],
        pooled["stress"], sum(1 for e in found if e.out_of_range),
    )  # fmt: skip


def errors_by_composition(frames: Sequence[Frame], found: Sequence[Evaluation]) -> dict[str, Errors]:
    """Errors per composition, and of all frames under ``"all"``."""
    parts: dict[str, list[int]] = defaultdict(list)
    for i, frame in enumerate(frames):
        parts[frame.composition].append(i)
    table = {
        name: errors_of([frames[i] for i in own], [found[i] for i in own])
        for name, own in sorted(parts.items(), key=lambda item: (len(item[0]), item[0]))
    }
    return table | ({"all": errors_of(frames, found)} if len(table) > 1 else {})


def frame_errors(frames: Sequence[Frame], found: Sequence[Evaluation]) -> list[FrameResidual]:
    """Errors of each frame."""
    listed = []
    for i, (frame, evaluation) in enumerate(zip(frames, found, strict=True)):
        parts = _differences(frame, evaluation)
        force, energy, stress = (_rms([parts[k]] if k in parts else []) for k in ("force", "energy", "stress"))
        flags = tuple(str(p) for p in evaluation.out_of_range)
        listed.append(FrameResidual(i, frame.origin, frame.group, frame.composition, force, energy, stress, flags))
    return listed


def table_text(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table for people: first column left, numbers right, NaN as a dash; a title may have several lines."""

    def cell(value: Any) -> str:
        if isinstance(value, float):
            return "–" if np.isnan(value) else f"{value:.3f}"
        return f"{value:,}".replace(",", " ") if isinstance(value, int) else str(value)

    tall = max(h.count("\n") for h in header)
    titles = [("\n" * (tall - h.count("\n")) + h).split("\n") for h in header]
    heads = [[title[line] for title in titles] for line in range(tall + 1)]
    cells = [*heads, *([cell(v) for v in row] for row in rows)]
    widths = [max(len(r[c]) for r in cells) for c in range(len(header))]
    lines = [
        "  ".join(v.ljust(w) if c == 0 else v.rjust(w) for c, (v, w) in enumerate(zip(r, widths, strict=True))).rstrip()
        for r in cells
    ]
    return "\n".join([*lines[: tall + 1], "─" * max(map(len, lines)), *lines[tall + 1 :]])


def errors_text(tables: Mapping[str, Mapping[str, Errors]], units: str = "kcal") -> str:
    """Errors per composition, those of several models beside one another."""
    force_unit, force = FORCE_UNITS[units]
    energy_unit, energy = ENERGY_UNITS[units]
    header = ["composition", "frames", "reference\nforce"]
    for quantity in ("force", "energy", "stress"):
        header += [f"{quantity}\n{name}" if name else quantity for name in tables]
    rows = []
    for key in dict.fromkeys(k for t in tables.values() for k in t):
        own = [t[key] for t in tables.values() if key in t]
        row: list[Any] = [key, own[0].frames, own[0].force_rms * force]
        row += [e.force * force for e in own] + [e.energy * energy for e in own] + [e.stress for e in own]
        rows.append(row)
    units_text = f"forces in {force_unit}, energies in {energy_unit}, stresses in GPa"
    return f"{table_text(header, rows)}\nRMSE (reference: RMS of the labels); {units_text}"


def warnings_text(
    listed: Sequence[FrameResidual], units: str = "kcal", most: int = 10, known: Collection[str] | None = None
) -> str:
    """The frames that are out of range, worst force error first, beside the median of those that are not.

    ``known`` holds the ``"block:pair"`` whose fitted range is known.
    """
    unit, factor = FORCE_UNITS[units]
    flagged = sorted((f for f in listed if f.out_of_range), key=lambda f: -np.nan_to_num(f.force))
    if not flagged:
        if not known:
            return "the files do not say which distances they were fitted on: nothing is known of what is out of range"
        return f"every distance lies inside the ranges that are known, those of {', '.join(sorted(known))}"
    inside = [f.force for f in listed if not f.out_of_range and np.isfinite(f.force)]
    median = f"{np.median(inside) * factor:.2f}" if inside else "–"
    lines = [
        f"{len(flagged)} of {len(listed)} frames have distances that the model was not fitted on "
        f"(median force error of the others {median} {unit}):"
    ]
    for f in flagged[:most]:
        error = f"{f.force * factor:.2f}" if np.isfinite(f.force) else "–"
        lines.append(f"  {error:>8} {unit}  {f.group}, {f.origin}: {'; '.join(f.out_of_range)}")
    if len(flagged) > most:
        lines.append(f"  … and {len(flagged) - most} more")
    return "\n".join(lines)


def coverage_text(listed: Sequence[Coverage]) -> str:
    """Per block and pair of elements, the distances fitted on and used on; pairs used beyond are marked."""
    rows = [
        [f"{c.block}: {c.pair}", f"{c.fitted[0]:.3f}–{c.fitted[1]:.3f}", f"{c.used[0]:.3f}–{c.used[1]:.3f}", c.frames,
         c.beyond, "<< shorter" if c.used[0] < c.fitted[0] else ("<< longer" if c.beyond else "")]
        for c in listed
    ]  # fmt: skip
    return table_text(["block: pair", "fitted on, Å", "used on, Å", "frames", "beyond", ""], rows)


Points = dict[tuple[int, str], list[tuple["NDArray[np.float64]", "NDArray[np.float64]"]]]


def plot_parity(
    path: str | Path, sets: Mapping[str, tuple[Sequence[Frame], Sequence[Evaluation]]], units: str = "kcal"
) -> None:
    """Parity plots of forces, energies and stresses, one column of panels per set of frames, as a PNG.

    Energies are relative to the mean reference of each composition, whose offsets would hide the errors. Frames that
    are out of range are ringed. Needs matplotlib (``pip install "hiertl-dist[plot]"``); raises ImportError without.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * len(sets), 12.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, len(sets), squeeze=False)
    names = sorted({f.composition for frames, _ in sets.values() for f in frames}, key=lambda c: (len(c), c))
    colours = {c: f"C{i % 10}" for i, c in enumerate(names)}
    titles = (f"force, {FORCE_UNITS[units][0]}", f"energy − mean, {ENERGY_UNITS[units][0]}", "stress, GPa")
    for column, (name, (frames, found)) in enumerate(sets.items()):
        points, ringed = _parity_points(frames, found, units)
        for (row, key), pairs in sorted(points.items(), key=lambda item: (item[0][0], names.index(item[0][1]))):
            x, y = (np.concatenate([p[i] for p in pairs]) for i in (0, 1))
            axes[row, column].plot(x, y, ".", ms=3 if row else 1.5, alpha=0.6, color=colours[key], label=key)
        for (row, _), pairs in ringed.items():
            x, y = (np.concatenate([p[i] for p in pairs]) for i in (0, 1))
            label = "out of range" if row == 0 else None
            axes[row, column].plot(x, y, "o", ms=3 if row == 0 else 6, mfc="none", mec="k", mew=0.5, label=label)
        for row, quantity in enumerate(titles):
            ax = axes[row, column]
            low, high = min(ax.get_xlim()[0], ax.get_ylim()[0]), max(ax.get_xlim()[1], ax.get_ylim()[1])
            ax.set(xlim=(low, high), ylim=(low, high), xlabel=f"reference {quantity}", ylabel=f"model {quantity}")
            ax.plot((low, high), (low, high), lw=0.8, color="k", zorder=0)
            ax.set_aspect("equal")
        axes[0, column].set_title(name)
        labelled = next((ax for ax in axes[:, column] if ax.get_legend_handles_labels()[0]), None)
        if labelled is not None:
            for handle in labelled.legend(fontsize="small", loc="upper left").legend_handles:
                handle.set_markersize(6)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _parity_points(frames: Sequence[Frame], found: Sequence[Evaluation], units: str) -> tuple[Points, Points]:
    """(row of panels, composition) → pairs of reference and model values; and those of frames out of range."""
    force, energy = FORCE_UNITS[units][1], ENERGY_UNITS[units][1]
    energies: dict[str, list[float]] = defaultdict(list)
    for frame in frames:
        if frame.energy is not None:
            energies[frame.composition].append(frame.energy / len(frame))
    points: Points = defaultdict(list)
    ringed: Points = defaultdict(list)
    for frame, e in zip(frames, found, strict=True):
        key = frame.composition
        own: list[tuple[int, NDArray[np.float64], NDArray[np.float64]]] = []
        if frame.forces is not None:
            own.append((0, frame.forces.ravel() * force, e.forces.ravel() * force))
        if frame.energy is not None:
            values = np.array([frame.energy, e.energy]) / len(frame) - np.mean(energies[key])
            own.append((1, values[:1] * energy, values[1:] * energy))
        if frame.stress is not None:
            own.append((2, frame.stress * KCAL_PER_A3_IN_GPA, e.stress * KCAL_PER_A3_IN_GPA))
        for row, x, y in own:
            points[row, key].append((x, y))
            if e.out_of_range:
                ringed[row, ""].append((x, y))
    return points, ringed


def predictions(frames: Sequence[Frame], found: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Per frame what the model says, for JSON: energy (kcal/mol), stress (kcal/mol/Å³), errors, flags."""
    return [
        {
            "index": f.index, "origin": f.origin, "group": f.group, "energy": e.energy,
            "stress": dict(zip(STRESS_COMPONENTS, e.stress.tolist(), strict=True)), "force_rmse": f.force,
            "energy_error_per_atom": f.energy, "stress_rmse_gpa": f.stress, "out_of_range": list(f.out_of_range),
        }
        for f, e in zip(frame_errors(frames, found), found, strict=True)
    ]  # fmt: skip
