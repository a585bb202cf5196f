"""Whether predicted deviations are as large as the errors made on trajectories that were not fitted: ``cn_pbe``.

The demonstration's basis, weights and ridge, block by block, from one pass over the shipped data. Whole trajectories
share a fold. Each of five folds is predicted in turn by fits to the other four, whose noise is estimated by leaving out
these one by one: no label of the fold that is predicted has a part in its deviations. Committees of the same fits stand
beside them, of folds and of trajectories drawn anew.

Labels are free energies of electrons at the temperature T of each trajectory, which no positions tell: the errors of
energies are nearly the same within a trajectory and rise with T², and no deviation can know that. So the table of
energies says how much of their errors the frames of a trajectory share, how much T² explains, and what error / sigma
would be in hold-outs of a few trajectories drawn at random. The same fits then are made to labels without that part:
``ELECTRONS`` T² is added to each, in the factors, for which no row is needed.

With ``--out`` the reliability diagrams are drawn there too, ``calibration.png``.
"""

from __future__ import annotations

import sys
import time
import tomllib
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bench
import numpy as np
from bench import Benchmark, Options, tell
from measure import figure, table
from scipy.stats import spearmanr

from hiertl_dist import Basis, Frame, read_frames
from hiertl_dist.dataset.folds import Folds
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.fitting.view_choice import view
from hiertl_dist.model.basis import cluster_name
from hiertl_dist.model.one_body import one_body_columns
from hiertl_dist.model_selection.held_out_errors import UNITS
from hiertl_dist.uncertainty.calibration import LEVELS, Calibration, calibration
from hiertl_dist.uncertainty.committee import Opinion, committee
from hiertl_dist.uncertainty.predictive import Prediction, Spread, posterior, predict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hiertl_dist.fitting.reduction import Summaries
    from hiertl_dist.model.parameters import Parameters

FOLDS: Final = 5
BINS: Final = 10
AMONG: Final = {"label": "labels", "frame": "frames", "inside": "frames of one fit"}
MEMBERS: Final = 20
ELECTRONS: Final = 6.2
"""kcal/mol/atom at 10 000 K: by how much electrons lower the free energy, which goes as T² (Sommerfeld). From the
errors of this set; fits by block to T² give 5.9 (C), 6.7 (N) and 6.3 (CN)."""
HELD_TOGETHER: Final = 9
"""Trajectories of a hold-out that is drawn: as many as the demonstration holds out."""
WAYS: Final = ("held out", "in sample")
"""How the noise of each kind was estimated."""


def problem(options: Options) -> tuple[list[Frame], Basis, dict[str, Any]]:
    """Frames, basis and the table ``[fit]`` of the demonstration; as a toy fewer frames and lower orders."""
    shipped = files("hiertl_dist") / "data"
    settings = tomllib.loads((shipped / "demo.toml").read_text(encoding="utf-8"))
    with as_file(shipped / settings["data"][0]["path"]) as path:
        frames = read_frames(path, group_key=settings["data"][0]["group_key"])
    table = dict(settings["basis"])
    if options.toy:
        frames = frames[::3]
        table |= {"orders": [5, 3, 0], "blocks": {}}
        del table["four_body"]
    return frames, Basis.from_dict(table), settings["fit"]


class Found:
    """What is gathered of the frames that were predicted, in the order in which they came."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.predictions: dict[str, list[Prediction]] = {way: [] for way in WAYS}
        self.opinions: dict[str, list[Opinion]] = {"folds": [], "bootstrap": []}
        self.noise: list[dict[str, Any]] = []
        self.fits: list[tuple[int, str]] = []
        """Fold and block of each frame's fit."""


def kelvin(source: str) -> float:
    """The temperature of a trajectory, in 10 000 K, from its name."""
    return float(source.rpartition("_T")[2]) / 1e4


def without_electrons(frames: Sequence[Frame], summaries: Summaries) -> tuple[list[Frame], Summaries]:
    """Frames, and the summaries of their rows, with energies to which ELECTRONS T² is added for each atom."""
    lifted = [replace(f, energy=f.energy + len(f) * ELECTRONS * kelvin(f.group) ** 2) for f in frames]
    groups = dict(summaries.groups)
    for group, factor in groups.items():
        if group.kind == "energy":
            columns = [summaries.columns[i] for b in summaries.blocks_in(group) for i in summaries.starts[b]]
            r = np.array(factor.r)
            # the one-body columns add up to the number of atoms of each row
            r[:, factor.n_columns] += (
                ELECTRONS * kelvin(group.source) ** 2 * r[:, one_body_columns(columns)].sum(axis=1)
            )
            groups[group] = replace(factor, r=r)
    return lifted, replace(summaries, groups=groups)


def climb(
    found: Found, summaries: Summaries, fit: Mapping[str, Any], test: Sequence[Frame], fold: int, members: int = 0,
    ways: Sequence[str] = WAYS,
) -> None:  # fmt: skip
    """Fit C, N and CN to all folds but one, and predict its frames by the block of their elements."""
    others = sorted({g.fold for g in summaries.groups} - {fold})
    frozen: list[Parameters] = []
    for block in summaries.blocks:
        chosen = view(summaries, blocks=[block], frozen=frozen, folds=others, weights=fit["weights"])
        frames = [f for f in test if cluster_name(f.elements) == block]
        for way in ways:
            own = posterior(chosen, fit["regulariser"], held_out=way == "held out")
            found.predictions[way] += predict(frames, own)
            found.noise += [
                {"fold": fold, "block": block, "way": way, "kind": k, "noise": n.noise, "scale": n.scale}
                for k, n in own.noise.items()
            ]
        if members:
            found.opinions["folds"] += committee(chosen, fit["regulariser"]).evaluate(frames)
            redrawn = committee(chosen, fit["regulariser"], kind="bootstrap", members=members)
            found.opinions["bootstrap"] += redrawn.evaluate(frames)
        found.frames += frames
        found.fits += [(fold, block)] * len(frames)
        if len(block) == 1:
            frozen.append(own.solution.parameters)


def of_kind(spread: Spread, kind: str, atoms: int) -> np.ndarray[Any, Any]:
    """Deviations of a kind, in units that only order them."""
    if kind == "energy":
        return np.array([spread.energy / atoms])
    return spread.forces.ravel() if kind == "force" else spread.stress


def rms(values: np.ndarray[Any, Any]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def orders(found: Found, kind: str, spreads: Sequence[Spread]) -> dict[str, float]:
    """Spearman correlation of deviations with |errors|.

    Of single labels; of rms values of frames; and of the latter among the frames that one fit predicts, on average.
    Between folds it is drawn downwards: a fold of large errors is predicted from the others, whose errors are smaller.
    """
    errors = []
    for frame, said in zip(found.frames, found.predictions["held out"], strict=True):
        assert frame.forces is not None
        assert frame.stress is not None
        assert frame.energy is not None
        mean = said.mean
        left = {
            "force": (mean.forces - frame.forces).ravel(), "stress": mean.stress - frame.stress,
            "energy": np.array([mean.energy - frame.energy]) / len(frame),
        }[kind]  # fmt: skip
        errors.append(np.abs(left))
    sigmas = [of_kind(s, kind, len(f)) for f, s in zip(found.frames, spreads, strict=True)]
    whole = [rms(s) for s in sigmas], [rms(e) for e in errors]
    single = spearmanr(np.concatenate(sigmas), np.concatenate(errors)).statistic
    inside, frames = 0.0, 0
    for fit in sorted(set(found.fits)):
        mine = [i for i, own in enumerate(found.fits) if own == fit]
        inside += len(mine) * float(spearmanr(*([part[i] for i in mine] for part in whole)).statistic)
        frames += len(mine)
    return {"label": float(single), "frame": float(spearmanr(*whole).statistic), "inside": inside / frames}


def energies(found: Found) -> dict[str, Any]:
    """What frames of a trajectory share of the errors of energies, what T² explains, and hold-outs of few of them."""
    said = found.predictions["held out"]
    errors = np.array([(p.mean.energy - f.energy) / len(f) for p, f in zip(said, found.frames, strict=True)])
    sigmas = np.array([p.total.energy / len(f) for p, f in zip(said, found.frames, strict=True)])
    names, place = np.unique([f.group for f in found.frames], return_inverse=True)
    heat = np.array([kelvin(f.group) ** 2 for f in found.frames])
    left = 0.0
    for block in {b for _, b in found.fits}:
        mine = np.array([own == block for _, own in found.fits])
        design = np.column_stack([np.ones(mine.sum()), heat[mine]])
        left += float(np.sum((errors[mine] - design @ np.linalg.lstsq(design, errors[mine])[0]) ** 2))
    draws, generator = [], np.random.default_rng(0)
    for _ in range(2000):
        chosen = np.isin(place, generator.choice(len(names), HELD_TOGETHER, replace=False))
        draws.append(rms((errors / sigmas)[chosen]))
    within = [errors[place == i].var(ddof=1) for i in range(len(names))]
    return {
        "rmse": rms(errors), "within": float(np.sqrt(np.mean(within))), "standardised": rms(errors / sigmas),
        "sigma": rms(sigmas), "by_heat": 1.0 - left / float(np.sum(errors**2)),
        "draws": np.quantile(draws, [0.05, 0.5, 0.95]).tolist(),
    }  # fmt: skip


def facts(own: Calibration) -> dict[str, Any]:
    """What a table and a plot need."""
    bins = own.reliability
    return {
        "unit": UNITS[own.kind], "labels": len(own.errors), "rmse": own.rmse, "standardised": own.standardised,
        "coverage": [own.coverage[level] for level in LEVELS], "ence": bins.calibration_error(),
        "bins": {"sigma": bins.rms_sigma.tolist(), "error": bins.rms_error.tolist(), "count": bins.count.tolist()},
    }  # fmt: skip


def run(options: Options) -> dict[str, Any]:
    """Every fold in turn."""
    frames, basis, fit = problem(options)
    count, members = options.sized((FOLDS, MEMBERS), (3, 4))
    began = time.process_time()
    summaries = summarise(frames, basis, folds=Folds(count, split="group"), executor=SerialExecutor())
    rows_seconds = time.process_time() - began
    tell(f"calibration: rows of {len(frames)} frames, {rows_seconds:.0f} CPU s")
    where = {g.source: g.fold for g in summaries.groups}
    found = Found()
    for fold in range(count):
        climb(found, summaries, fit, [f for f in frames if where[f.group] == fold], fold, members)
        tell(f"calibration: fold {fold}, {time.process_time() - began:.0f} CPU s")
    lifted, cold = without_electrons(frames, summaries)
    mended = Found()
    for fold in range(count):
        climb(mended, cold, fit, [f for f in lifted if where[f.group] == fold], fold, ways=WAYS[:1])
    tell(f"calibration: without the heat of electrons, {time.process_time() - began:.0f} CPU s")
    calibrated = {way: calibration(own, found.frames, bins=BINS) for way, own in found.predictions.items()}
    sets = {cluster_name(f.elements) for f in found.frames}
    by_set = {}
    for name in sorted(sets, key=lambda s: (len(s), s)):
        mine = [i for i, f in enumerate(found.frames) if cluster_name(f.elements) == name]
        part = calibration([found.predictions["held out"][i] for i in mine], [found.frames[i] for i in mine], bins=1)
        by_set[name] = {k: facts(c) for k, c in part.items()}
    spreads = {
        "total": [p.total for p in found.predictions["held out"]],
        "coefficients": [p.coefficients for p in found.predictions["held out"]],
        "committee of folds": [o.deviation for o in found.opinions["folds"]],
        f"bootstrap of {members}": [o.deviation for o in found.opinions["bootstrap"]],
    }
    return {
        "frames": len(found.frames), "folds": count, "columns": {b: len(r) for b, r in summaries.starts.items()},
        "calibration": {way: {k: facts(c) for k, c in own.items()} for way, own in calibrated.items()},
        "energies": {"labels as they are": energies(found), "without the heat of electrons": energies(mended)},
        "by_set": by_set, "noise": found.noise, "levels": list(LEVELS),
        "spearman": {name: {k: orders(found, k, own) for k in UNITS} for name, own in spreads.items()},
        "seconds": {"rows": rows_seconds, "all": time.process_time() - began}, "absent": {},
    }  # fmt: skip


def _calibration_line(name: str, own: Mapping[str, Any]) -> list[Any]:
    # the last is said of all frames only, for those of a set have no bins
    return [
        name, own["labels"], f"{figure(own['rmse'])} {own['unit']}", figure(own["standardised"]),
        *(f"{100 * c:.0f} %" for c in own["coverage"]), figure(own["ence"], 2),
    ]  # fmt: skip


def markdown(record: dict[str, Any]) -> str:
    """Calibration by way and kind, the reliability diagram as a table, correlations."""
    head = ["", "labels", "RMSE", "rms error / sigma", "within 1 sigma (68 %)", "within 2 (95 %)", "ENCE"]
    lines = [
        _calibration_line(f"{kind}, noise {way}", own)
        for kind in UNITS for way, kinds in record["calibration"].items() for own in [kinds[kind]]
    ]  # fmt: skip
    lines += [
        _calibration_line(f"{kind} of {name} frames", own)[:-1]
        for name, kinds in record["by_set"].items() for kind, own in kinds.items()
    ]  # fmt: skip
    lines = [[*line, None][: len(head)] for line in lines]
    held_out = record["calibration"]["held out"]
    depth = max(len(own["bins"]["sigma"]) for own in held_out.values())
    bins = []
    for i in range(depth):
        line: list[Any] = [str(i + 1)]
        for own in held_out.values():
            at = own["bins"]
            line += [figure(at["sigma"][i]), figure(at["error"][i])] if i < len(at["sigma"]) else [None, None]
        bins.append(line)
    diagram = ["bin", *(f"{k} {what}, {own['unit']}" for k, own in held_out.items() for what in ("sigma", "error"))]
    corr = [
        [name, *(figure(own[k][level], 2) for k in UNITS for level in AMONG)]
        for name, own in record["spearman"].items()
    ]
    heat_head = [
        "", "RMSE", "about the mean of the trajectory", "explained by T²", "sigma", "error / sigma",
        "of hold-outs: 5 %, median, 95 %",
    ]  # fmt: skip
    heat_lines = [
        [
            name, figure(own["rmse"]), figure(own["within"]), f"{100 * own['by_heat']:.0f} %", figure(own["sigma"]),
            figure(own["standardised"]), ", ".join(figure(q, 2) for q in own["draws"]),
        ]
        for name, own in record["energies"].items()
    ]  # fmt: skip
    kinds = [f"{k}, {what}" for k in UNITS for what in AMONG.values()]
    columns = ", ".join(f"{b} {n}" for b, n in record["columns"].items())
    return "\n\n".join([
        f"{record['frames']} frames in {record['folds']} folds of whole trajectories; columns: {columns}; "
        f"{figure(record['seconds']['all'])} CPU s, rows included.",
        table(head, lines), "Reliability (rms in bins of rising sigma; noise from held-out folds):",
        table(diagram, bins),
        f"Energies, kcal/mol/atom (noise from held-out folds; hold-outs of {HELD_TOGETHER} trajectories drawn):",
        table(heat_head, heat_lines), "Spearman correlation of deviation and |error|:",
        table(["deviation", *kinds], corr),
    ])  # fmt: skip


def plot(record: Mapping[str, Any], path: Path) -> None:
    """Reliability diagrams of the three kinds, noise from held-out folds and in sample."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    drawing, axes = pyplot.subplots(1, 3, figsize=(12.0, 4.0), layout="constrained")
    for axis, kind in zip(axes, UNITS, strict=True):
        every: list[float] = []
        for way, mark in zip(WAYS, "os", strict=True):
            own = record["calibration"][way][kind]
            axis.plot(own["bins"]["sigma"], own["bins"]["error"], mark, label=f"noise {way}")
            every += own["bins"]["sigma"] + own["bins"]["error"]
        ends = [0.8 * min(every), 1.25 * max(every)]
        axis.plot(ends, ends, "k-", linewidth=0.8)
        axis.set(
            xscale="log", yscale="log", xlabel=f"rms predicted sigma ({UNITS[kind]})",
            ylabel=f"rms error ({UNITS[kind]})", title=kind,
        )  # fmt: skip
        axis.legend()
    drawing.savefig(path, dpi=150)
    pyplot.close(drawing)


BENCHMARK: Final = Benchmark(
    "calibration", "Predicted deviations against errors on held-out trajectories (C/N, PBE).", run, markdown
)

if __name__ == "__main__":
    sys.exit(bench.main(BENCHMARK, plot=plot, suffix=".png"))
