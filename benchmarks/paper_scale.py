"""The authors' problem sizes on this machine: C, N, and CN with C and N frozen, at their orders, rows, weights and λ.

One ``fit_hierarchy`` as a user calls it: each block assembled, reduced by TSQR and solved (LASSO, exact at the authors'
λ on normalised columns), and CN fitted on the C and N that were just found; once with the rows kept in a store, once
streamed, each in processes of its own. Frames and labels are made beforehand and not counted (``paper_frames.py``), nor
is compilation. CPU seconds and peak memory are those of every process that takes part, step by step.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bench import Benchmark, Options, add_options, options_of, tell, write
from clocked import Clocked, largest_peak, reset_peaks, tree_cpu
from evaluation import published
from launched import launch
from measure import MB, figure, table, warm_kernels
from paper_frames import (
    AUTHORS_ROWS,
    COUNTS,
    DISPLACEMENT,
    LAMBDA,
    NOISE,
    WEIGHTS,
    BlockData,
    lsq_rows,
    paper_frames,
)

from hiertl_dist import FitSettings, HierarchyOptions, Model, executor, fit_hierarchy
from hiertl_dist.fitting.views import whole_view
from hiertl_dist.units import KCAL_PER_A3_IN_GPA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hiertl_dist import BlockFit, Frame, Parameters

MODES: Final = ("kept", "streamed")
MINUTES: Final = 12.0
GIGABYTES: Final = 1.5
EXECUTORS: Final = ("serial", "processes", "dask", "mpi")
STEPS: Final = {
    "look at frames": "plan: look at frames", "prepare the store": "prepare the store",
    "assemble": "rows, labels, offsets into the store", "reduce": "TSQR", "solve": "LASSO",
    "count clusters": "clusters by type", "rest": "the rest",
}  # fmt: skip


@dataclass(frozen=True)
class Where:
    """On what the fits run: kind of executor, its workers, and the modes."""

    kind: str = "serial"
    workers: int = 1
    modes: tuple[str, ...] = MODES


def cache_folder(options: Options) -> Path:
    """Where frames are kept: as asked, else a folder below the machine's temporary one."""
    return options.cache or Path(tempfile.gettempdir()) / "hiertl-paper-frames"


def load(options: Options, blocks: Sequence[str] = tuple(COUNTS)) -> dict[str, BlockData]:
    """The frames of some blocks; they are made by both cores where they are not there yet."""
    with executor("serial" if options.toy else "processes") as runner:
        return paper_frames(options.data, options.scale, cache_folder(options), runner, tell, blocks)


def settings_of(block: str) -> FitSettings:
    """The authors' weights, and their λ on normalised columns."""
    return FitSettings({"kind": "lasso", "lam": LAMBDA[block], "normalize": True}, weights=WEIGHTS)


def warm(_: int) -> None:
    """A task that loads the kernels where it runs."""
    warm_kernels()


def fit_all(options: Options, mode: str, kind: str, workers: int) -> dict[str, Any]:
    """Fit the three blocks in this process, or rank, and its workers; what it took, and the models."""
    truth, data = published(options.data / "cn_dft"), load(options)
    frames = [f for block in COUNTS for f in data[block].fitted]
    store = options.scratch / f"paper-{mode}.zarr" if mode == "kept" else None
    chosen = HierarchyOptions(block_settings={b: settings_of(b) for b in COUNTS}, store=store)
    with executor(kind, workers=workers) as inner:
        inner.run(warm, range(4 * workers))
        runner = Clocked(inner)
        blocks: dict[str, Any] = {}
        norms: dict[str, Any] = {}
        reset_peaks()
        begun = [tree_cpu()]

        def done(fit: BlockFit) -> None:
            block = fit.solution.block
            blocks[block] = describe(fit, runner, tree_cpu() - begun[0])
            norms[block] = column_norms(fit)
            tell(f"{mode}, {block}: {blocks[block]['cpu']:.1f} CPU s")
            begun[0] = tree_cpu()

        models: list[Parameters] = []
        for block in COUNTS:  # by themselves, for each is to be measured; a climb fits C and N side by side
            own = replace(chosen, only=[block])
            fit = fit_hierarchy(frames, truth.basis, frozen=models, options=own, executor=runner, done=done)  # type: ignore[arg-type]
            models.append(fit.fits[block].solution.parameters)
    return {"blocks": blocks, "model": fit.model.parameters, "norms": norms}


def column_norms(fit: BlockFit) -> dict[Any, float]:
    """Euclidean norm of each column over the weighted rows, as the LASSO scales it."""
    weights = whole_view(fit.summaries, WEIGHTS).factors
    squares = sum((weights[g] * s.column_norms()) ** 2 for g, s in fit.summaries.groups.items())
    return dict(zip(fit.summaries.columns, np.sqrt(squares).tolist(), strict=True))


def describe(fit: BlockFit, runner: Clocked, cpu: float) -> dict[str, Any]:
    """Steps and answer of a block; the rest is what is done between the executor's verbs."""
    steps = runner.taken()
    rest = {"what": "rest", "cpu": cpu - sum(s["cpu"] for s in steps), "wall": None, "peak": largest_peak()}
    solved = runner.solved.pop()[0]
    solution = fit.solution
    return {
        "cpu": cpu, "steps": [*steps, rest], "kkt_gap": solved.kkt_gap, "nonzeros": solution.nonzeros,
        "columns": solution.n_columns, "rows": solution.rows, "rows_counted": solution.n_counted,
        "condition": solution.condition, "rmse": solution.rmse, "tiles": len(fit.plan.tiles),
        "notes": list(solution.notes),
        "store_bytes": fit.plan.disk_bytes if fit.assembly is not None else 0,
    }  # fmt: skip


def together(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The ranks' answers as one: seconds are added, of peaks the largest counts."""
    first = answers[0]["blocks"]
    blocks = {}
    for name, block in first.items():
        own = [a["blocks"][name] for a in answers]
        steps = [
            step | {"cpu": sum(o["steps"][i]["cpu"] for o in own), "peak": max(o["steps"][i]["peak"] for o in own)}
            for i, step in enumerate(block["steps"])
        ]  # fmt: skip
        blocks[name] = block | {"cpu": sum(o["cpu"] for o in own), "steps": steps}
    peak = max(step["peak"] for block in blocks.values() for step in block["steps"])
    return {"blocks": blocks, "cpu": sum(b["cpu"] for b in blocks.values()), "peak": peak}


def coefficient_errors(
    found: Parameters, truth: Parameters, block: str, norms: Mapping[Any, float]
) -> dict[str, float]:
    """How far a block's coefficients are from those that made the labels (kcal/mol); ``scaled``: each multiplied by the
    norm of its column, which is what the data can tell."""
    mine, theirs = found.restricted({block}).as_dict(), truth.restricted({block}).as_dict()
    true = np.array(list(theirs.values()))
    error = np.array([mine[c] for c in theirs]) - true
    lengths = np.array([norms[c] for c in theirs])
    return {
        "scaled": float(np.linalg.norm(lengths * error) / np.linalg.norm(lengths * true)),
        "relative": float(np.linalg.norm(error) / np.linalg.norm(true)), "largest": float(np.abs(error).max()),
        "largest_true": float(np.abs(true).max()), "true_nonzeros": int(np.count_nonzero(true)),
    }  # fmt: skip


def prediction_errors(model: Model, frames: Sequence[Frame]) -> dict[str, float]:
    """RMS errors on frames whose labels have no noise, and the rms of these labels: kcal/mol/Å, GPa, kcal/mol."""
    found = model.evaluate(frames, missing="zero")

    def rms(values: Any) -> float:
        return math.sqrt(float(np.mean(np.square(values))))

    forces, stress, energy = (np.array([getattr(f, k) for f in frames]) for k in ("forces", "stress", "energy"))
    return {
        "forces": rms([e.forces for e in found] - forces), "forces_rms": rms(forces),
        "stress": rms([e.stress for e in found] - stress) * KCAL_PER_A3_IN_GPA,
        "stress_rms": rms(stress) * KCAL_PER_A3_IN_GPA, "energy": rms([e.energy for e in found] - energy),
    }  # fmt: skip


def run(options: Options, where: Where | None = None) -> dict[str, Any]:
    """Every mode in processes of its own; the answers are held against the truth afterwards."""
    where = where or Where()
    if (why := options.missing("cn_dft", "cn_dft/ALC-3.params.txt")) is not None:
        return {"absent": {"paper_scale": why}, "modes": {}}
    data, truth = load(options), published(options.data / "cn_dft")
    modes: dict[str, Any] = {}
    for mode in where.modes:
        args = (options, mode, where.kind, where.workers)
        if where.kind == "mpi":
            answers = launch("paper_scale:fit_all", args, options.scratch, ranks=where.workers)
        elif options.apart:
            answers = launch("paper_scale:fit_all", args, options.scratch)
        else:
            answers = [fit_all(*args)]
        shutil.rmtree(options.scratch / f"paper-{mode}.zarr", ignore_errors=True)
        found = together(answers)
        model = Model(answers[0]["model"])
        for name, block in found["blocks"].items():
            block["coefficients"] = coefficient_errors(model.parameters, truth, name, answers[0]["norms"][name])
            block["held_out"] = prediction_errors(model, data[name].held_out)
        modes[mode] = found
        tell(f"paper_scale {mode}: {found['cpu'] / 60:.2f} CPU minutes, {found['peak'] / MB:.0f} MB")
    return {
        "modes": modes, "executor": where.kind, "workers": where.workers, "scale": options.scale, "noise": NOISE,
        "displacement": DISPLACEMENT, "lambda": LAMBDA, "weights": WEIGHTS, "absent": {},
        "frames": {b: len(d.fitted) for b, d in data.items()}, "thrown": {b: d.thrown for b, d in data.items()},
        "rows_as_lsq_counts": {b: lsq_rows(d.fitted) for b, d in data.items()}, "authors_rows": AUTHORS_ROWS,
    }  # fmt: skip


def mode_lines(mode: str, found: dict[str, Any]) -> list[list[Any]]:
    """One line a step and block of a mode."""
    lines: list[list[Any]] = []
    for name, block in found["blocks"].items():
        for step in block["steps"]:
            label = STEPS.get(step["what"]) or STEPS[step["what"].split()[0]]
            if mode == "streamed" and step["what"].startswith("reduce"):
                label = "rows, offsets, TSQR"
            lines.append([f"{mode}, {name}: {label}", figure(step["cpu"]), figure(step["peak"] / MB)])
        lines.append([f"**{mode}, {name}**", figure(block["cpu"]), figure(max(s["peak"] for s in block["steps"]) / MB)])
    minutes = figure(found["cpu"] / 60)
    lines.append([f"**{mode}, all** ({minutes} min; limit {MINUTES:.0f})", figure(found["cpu"]),
                  f"{figure(found['peak'] / MB)} (limit {1e3 * GIGABYTES:.0f})"])  # fmt: skip
    return lines


def markdown(record: dict[str, Any]) -> str:
    """Size of the blocks, steps of each mode, and how good the answers are."""
    if not record["modes"]:
        return ""
    first = next(iter(record["modes"].values()))["blocks"]
    sizes = [
        [b, record["frames"][b], f"{record['rows_as_lsq_counts'][b]} × {first[b]['columns']}",
         record["authors_rows"][b], first[b]["rows"], record["lambda"][b], record["thrown"][b]]
        for b in first
    ]  # fmt: skip
    answers = []
    for mode, found in record["modes"].items():
        for name, block in found["blocks"].items():
            wrong, held = block["coefficients"], block["held_out"]
            answers.append([
                f"{mode}, {name}", f"{block['nonzeros']} of {block['columns']} ({wrong['true_nonzeros']})",
                f"{block['kkt_gap']:.1e}", figure(wrong["relative"]), figure(wrong["scaled"]),
                f"{figure(held['forces'])} of {figure(held['forces_rms'])}",
                f"{figure(held['stress'])} of {figure(held['stress_rms'])}", figure(held["energy"]),
            ])  # fmt: skip
    noise = record["noise"]
    return "\n\n".join([
        f"Executor {record['executor']}, {record['workers']} workers; frames displaced by up to "
        f"{record['displacement']} Å along each axis; noise {noise['force']} kcal/mol/Å, {noise['stress']} GPa, "
        f"{noise['energy']} kcal/mol a frame; weights {record['weights']}.",
        table(["block", "frames", "rows (as chimes_lsq counts) × columns", "the authors' rows", "our rows", "λ",
               "frames thrown away"], sizes),
        table(["step", "CPU s", "peak MB, the largest process"], [
            line for mode, found in record["modes"].items() for line in mode_lines(mode, found)
        ]),
        table(["answer", "nonzeros (of the truth)", "KKT gap", "coefficients, relative error", "scaled by columns",
               "held out, rms error: forces, kcal/mol/Å", "stresses, GPa", "energies, kcal/mol a frame"], answers),
    ])  # fmt: skip


BENCHMARK: Final = Benchmark("paper_scale", "The authors' fits of C, N and CN on displaced frames.", run, markdown)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line: that of every benchmark, with an executor and modes."""
    parser = argparse.ArgumentParser(description=BENCHMARK.title)
    add_options(parser)
    parser.add_argument("--mode", choices=(*MODES, "both"), default="both")
    parser.add_argument("--executor", choices=EXECUTORS, default="serial")
    parser.add_argument("--workers", type=int, help="default: 1 for serial, else 2")
    given = parser.parse_args(argv)
    workers = given.workers or (1 if given.executor == "serial" else 2)
    where = Where(given.executor, workers, MODES if given.mode == "both" else (given.mode,))
    with tempfile.TemporaryDirectory(prefix="hiertl-bench-") as scratch:
        benchmark = replace(BENCHMARK, run=lambda options: run(options, where))
        record = benchmark.record(options_of(given, Path(scratch)))
    text = benchmark.text(record)
    print(text)
    write(given.out, benchmark.name, record, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
