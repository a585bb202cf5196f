"""What transfer is worth: mixtures that a model has seen few frames of, or none, with the priors of cross blocks.

Whole models of Mo, Nb, Ta, W from unary and binary frames: whether they can be used, what they cost; learning curves of
mixtures left out (each alloy, C/N by trajectories, W–Be by groups) with the prior's mean zero, mixed and chosen by
the data; errors of C/N against composition; columns and memory of eight elements.
With ``--out`` the learning curves are drawn there too, ``transfer.svg``, which the README shows.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import bench
import numpy as np
import transfer_curves as curves
import transfer_models as models
from bench import Benchmark, Options, tell
from measure import MB, figure, table
from threadpoolctl import threadpool_limits
from transfer_fits import ALPHA, UNITS, WAYS

from hiertl_dist.executors import executor
from hiertl_dist.jobs.figures import COLOURS, MARKERS, add_legend, new_figure

SYSTEMS: Final = {"alloys": "monbtaw", "cn": "", "wbe": "wbe"}
"""Learning curves, and what of the data they need; nothing: what the package ships."""

TITLES: Final = {"alloys": "a binary of Mo, Nb, Ta, W", "cn": "C/N, PBE-D2", "wbe": "W–Be, groups left out"}
SHOWN: Final = ("zero", "mixed", "auto")
NAMES: Final = {"force": "forces", "energy": "energies"}


def run(options: Options) -> dict[str, Any]:
    """Every part whose data are there."""
    absent: dict[str, str] = {}
    found: dict[str, Any] = {"curves": {}, "absent": absent}
    with threadpool_limits(1), executor("serial") as runner:
        for name, below in SYSTEMS.items():
            if below and (why := options.missing(below)):
                absent[name] = why
                continue
            tell(f"  learning curves: {name}")
            found["curves"][name] = getattr(curves, name)(options, runner)["rows"]
        found["compositions"] = curves.compositions(options, runner)["rows"]
        if why := options.missing("monbtaw"):
            absent |= {"whole models": why, "costs": why}
        else:
            tell("  whole models")
            found["quality"] = models.quality(options, runner)
            found["costs"] = models.costs(options)
        tell("  eight elements")
        found["eight"] = models.eight_elements(options)
    return found


# ---- learning curves
def mean_of(values: Sequence[float]) -> float:
    """The geometric mean: errors of systems differ by factors."""
    return float(np.exp(np.mean(np.log(values))))


def spread_of(values: Sequence[float]) -> float:
    """Standard error of the logarithm of a geometric mean, i.e. its relative error; NaN of one value."""
    return float(np.std(np.log(values), ddof=1) / len(values) ** 0.5) if len(values) > 1 else float("nan")


def paired_spread(rows: Sequence[Mapping[str, Any]], own: Sequence[float], kind: str, alpha: float) -> float:
    """As :func:`spread_of`, after what a draw has in common at all numbers of frames and all priors is taken off."""
    draws: dict[Any, list[float]] = {}
    for r in rows:
        if r["way"] in SHOWN and r["alpha"] in (None, alpha) and kind in r:
            draws.setdefault((r["case"], r["draw"]), []).append(r[kind])
    return spread_of([e / mean_of(all_of) for e, all_of in zip(own, draws.values(), strict=True)])


def by_way(rows: Sequence[Mapping[str, Any]], count: int, kind: str, alpha: float) -> dict[str, list[float]]:
    """Errors of all draws by prior, in the same order, with so many frames; without any, ``auto`` is mixed."""
    own = [r for r in rows if r["frames"] == count and r["alpha"] in (None, alpha) and kind in r]
    found = {way: [r[kind] for r in own if r["way"] == way] for way in dict.fromkeys(r["way"] for r in own)}
    return found | ({"auto": found["mixed"]} if count == 0 and "mixed" in found else {})


def against_better(errors: Mapping[str, Sequence[float]]) -> tuple[str, float, float]:
    """The better of zero and mixed, the ratio of auto's error to its, and the ratio's standard error, from pairs."""
    better = min(("zero", "mixed"), key=lambda way: mean_of(errors[way]))
    ratios = [a / b for a, b in zip(errors["auto"], errors[better], strict=True)]
    return better, mean_of(ratios), spread_of(ratios)


def curve_table(rows: Sequence[Mapping[str, Any]], alpha: float = ALPHA) -> str:
    """Errors against the number of frames, and auto beside the better of the other two."""
    ways = [w for w in WAYS if any(r["way"] == w for r in rows)]
    lines = []
    for count in sorted({r["frames"] for r in rows}):
        line: list[Any] = [count]
        for kind in ("force", "energy"):
            errors = by_way(rows, count, kind, alpha)
            line += [figure(mean_of(errors[w])) if errors.get(w) else None for w in ways]
            better, ratio, spread = against_better(errors)
            line.append(f"{ratio:.2f} ± {spread:.2f} × {better}")
        own = [r for r in rows if r["frames"] == count and r["way"] == "auto" and r["alpha"] == alpha]
        line.append(f"{sum(r['mean'] == 'mixed' for r in own)} of {len(own)}" if own else None)
        lines.append(line)
    head = [
        f"{w}, {UNITS[kind]}" if w in ways else "auto / better" for kind in ("force", "energy") for w in [*ways, ""]
    ]
    return table(["frames", *head, "mixed chosen"], lines)


def sweep_table(rows: Sequence[Mapping[str, Any]], kind: str) -> str:
    """Errors by prior and ridge strength over those of ``auto`` with the usual strength: geometric means."""
    counts = sorted({r["frames"] for r in rows if r["frames"]})
    alphas = sorted({r["alpha"] for r in rows if r["alpha"] is not None})
    ways = list(dict.fromkeys(r["way"] for r in rows if r["frames"]))
    reference = {c: mean_of(by_way(rows, c, kind, ALPHA)["auto"]) for c in counts}
    lines = [
        [way, *(figure(mean_of([mean_of(by_way(rows, c, kind, a)[way]) / reference[c] for c in counts]))
                for a in alphas)]
        for way in ways
    ]  # fmt: skip
    return table(["prior", *(f"α = {a:g}" for a in alphas)], lines)


def _curves_text(record: Mapping[str, Any]) -> list[str]:
    parts = []
    for name, rows in record["curves"].items():
        draws = len({(r["case"], r["draw"]) for r in rows})
        parts.append(
            f"**{TITLES[name]}**: mean absolute errors on mixtures that are not fitted, geometric means of {draws} "
            f"draws; α = {ALPHA:g}; auto over the better of zero and mixed, ± the ratio's standard error"
        )
        parts.append(curve_table(rows))
        for kind in ("force", "energy"):
            parts.append(f"{TITLES[name]}, {NAMES[kind]}: errors over those of auto at α = {ALPHA:g}, of all curves")
            parts.append(sweep_table(rows, kind))
    return parts


# ---- the other parts
def _compositions_text(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    percents = sorted({r["percent"] for r in rows})
    parts = []
    for kind in ("force", "energy"):
        lines = []
        for name in dict.fromkeys(r["model"] for r in rows):
            own = [[r[kind] for r in rows if r["model"] == name and r["percent"] == p] for p in percents]
            lines.append([name, *(f"{np.mean(v):.3g} ± {np.std(v) / len(v) ** 0.5:.2g}" for v in own)])
        parts.append(f"C/N, {NAMES[kind]} on trajectories left out, {UNITS[kind]}, by share of N:")
        parts.append(table(["model", *(f"{p} %" for p in percents)], lines))
    return parts


def _quality_text(quality: Mapping[str, Any]) -> list[str]:
    parts = []
    for kind in ("force", "energy"):
        lines = [[r["name"], *(figure(r["tests"][t][kind]) for t in models.TESTS)] for r in quality["rows"]]
        parts.append(f"Test sets of the alloys, {NAMES[kind]}, {UNITS[kind]}; {quality['frames']} frames fitted:")
        parts.append(table(["model", *models.TESTS], lines))
    checked = [r for r in quality["rows"] if r["check"]]
    if checked:
        keys = list(dict.fromkeys(k for r in checked for what in ("mixing", "runs") for k in r["check"][what]))
        lines = [[k, *(figure((r["check"]["mixing"] | r["check"]["runs"]).get(k)) for r in checked)] for k in keys]
        lines.append(["rows that pass", *(r["check"]["verdicts"].get("pass", 0) for r in checked)])
        lines.append(["rows that fail", *(r["check"]["verdicts"].get("fail", 0) for r in checked)])
        parts.append("Whether they can be used (largest of all element sets; eV/atom from linear mixing, limit 0.15):")
        parts.append(table(["check", *(r["name"] for r in checked)], lines))
        parts.append("Lattices of lowest energy:\n")
        parts[-1] += "\n".join(f"- {r['name']}: {'; '.join(r['check']['lattices'])}" for r in checked)
    return parts


def _costs_text(costs: Mapping[str, Any]) -> list[str]:
    lines = [
        [f"{r['how']}, {' '.join(map(str, r['orders']))}", r["fits"], r["rows"], r["columns"],
         figure(r["cpu_seconds"]), figure(r["peak_bytes"] / MB), figure(r["before_bytes"] / MB),
         *(figure(mean_of([r["tests"][t][kind] for t in sets]))
           for kind in ("force", "energy") for sets in (models.ALLOY, models.BINARIES))]
        for r in costs["rows"]
    ]  # fmt: skip
    head = ["fit", "fits", "most rows", "most columns", "CPU s", "peak MB", "MB before", "unary, eV/Å", "binary, eV/Å",
            "unary, meV/atom", "binary, meV/atom"]  # fmt: skip
    return [f"Costs, one frame in {costs['step']} (test errors: geometric means):", table(head, lines)]


def _eight_text(eight: Mapping[str, Any]) -> list[str]:
    lines = [[r["elements"], r["blocks"], r["columns"], r["all"]] for r in eight["table"]]
    solved = [
        [r["block"], r["columns"], r["frames"], r["rows"], figure(r["cpu_seconds"]), figure(r["peak_bytes"] / MB)]
        for r in eight["solved"]
    ]
    return [
        f"Eight elements, orders {' '.join(map(str, eight['orders']))}:",
        table(["elements of a block", "blocks", "columns of each", "all columns"], lines),
        "Such blocks solved, on frames of 54 atoms that are made:",
        table(["block", "columns", "frames", "rows", "CPU s", "peak MB"], solved),
    ]


def markdown(record: Mapping[str, Any]) -> str:
    """Tables of all parts."""
    parts = _curves_text(record) + _compositions_text(record["compositions"])
    if "quality" in record:
        parts += _quality_text(record["quality"]) + _costs_text(record["costs"])
    return "\n\n".join(parts + _eight_text(record["eight"]))


# ---- the figure
def plot(record: Mapping[str, Any], path: Path) -> None:
    """Force errors on unseen mixtures against the number of frames of the mixture, a panel for each data set."""
    import matplotlib
    from matplotlib.ticker import LogLocator

    names = list(record["curves"])
    drawing = new_figure(3.2 * len(names), 3.0)
    axes = drawing.subplots(1, len(names), squeeze=False)[0]
    handles: dict[str, Any] = {}
    for axis, name in zip(axes, names, strict=True):
        rows = record["curves"][name]
        counts = sorted({r["frames"] for r in rows})
        for way, colour, mark in zip(SHOWN, COLOURS, MARKERS, strict=False):
            errors = [by_way(rows, c, "force", ALPHA)[way] for c in counts]
            means = np.array([mean_of(e) for e in errors])
            bars = means * np.nan_to_num([paired_spread(rows, e, "force", ALPHA) for e in errors])
            handles[f"prior {way}"] = axis.errorbar(
                counts, means, yerr=bars, color=colour, marker=mark, markersize=4, linewidth=1.2, capsize=2
            )
        axis.set_xscale("symlog", linthresh=1)
        axis.set(yscale="log", xlabel="frames of the mixture", title=TITLES[name], xlim=(-0.2, 1.3 * max(counts)))
        axis.set_xticks(counts, list(map(str, counts)))
        axis.minorticks_off()
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.tick_params(labelsize="small")
    axes[0].set_ylabel("force error (MAE), eV/Å")
    add_legend(drawing, handles)
    # letters stay letters, and the same figure is the same file
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "transfer"}):
        drawing.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


BENCHMARK: Final = Benchmark(
    "transfer", "Mixtures with few frames of their own, or none: priors, usability, costs.", run, markdown
)

if __name__ == "__main__":
    sys.exit(bench.main(BENCHMARK, plot=plot, suffix=".svg"))
