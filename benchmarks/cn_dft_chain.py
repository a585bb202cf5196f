"""The CN block fitted on 20 DFT frames with the published C and N models frozen, beside what chimes_lsq needs.

Orders 25/10/4: 3 747 columns, 13 100 rows; ridge α = 1e-4 on chimes_lsq's counting of rows, unit weights. Each
step is measured in a process of its own on one core, and the answer is held against the reference solution.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import pickle
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from measure import MB, ROOT, Measured, compiling, figure, machine, machine_lines, measure, table

from hiertl_dist import Frame, Model, Parameters, assemble, executor, lsq_order, plan, read_fm_setup, reduce_rows
from hiertl_dist.algebra import LinearSolution, Ridge
from hiertl_dist.design_matrix.assembly import frozen_rows
from hiertl_dist.design_matrix.store import DesignStore
from hiertl_dist.evaluation.compiled_basis import compile_recipe
from hiertl_dist.evaluation.frame_rows import fill_rows, rows_of
from hiertl_dist.fitting.block_fit import solve_summaries
from hiertl_dist.fitting.settings import FitSettings
from hiertl_dist.frames.rows import OBJECTIVES, kind_codes, n_rows, row_targets
from hiertl_dist.model.blocks import columns_of
from hiertl_dist.units import KCAL_PER_A3_IN_GPA

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hiertl_dist import Basis

DATA: Final = ROOT.parent / "shared" / "data" / "cn_dft"
BLOCK: Final = "CN"
ALPHA: Final = 1e-4
SETTINGS: Final = FitSettings({"kind": "ridge", "alpha": ALPHA}, weights={})
FILES: Final = {"C": "C.params.txt.reduced", "N": "N.params.txt.reduced", "ALC-3": "ALC-3.params.txt"}
FROZEN: Final = ("C", "N")

TOLERANCE: Final = 1e-4
"""kcal/mol/Å rms: how far predictions may be from those of the reference's coefficients."""

LABELS: Final = {
    "compile": "compiling the kernels, once a machine", "read": "reading frames, fm_setup.in, C and N",
    "plan": "plan", "rows": "design rows into the store", "subtract": "predictions of C and N into the store",
    "reduce": "reading the store, TSQR", "stream": "design rows, predictions of C and N, TSQR", "solve": "ridge",
    "chain": "**the chain**", "rows a frame": "design rows in memory, a frame", "evaluate C": "evaluating C, a frame",
    "evaluate N": "evaluating N, a frame", "evaluate ALC-3": "evaluating ALC-3 (3 799 columns), a frame",
}  # fmt: skip
CHAIN: Final = ("read", "plan", "rows", "subtract", "reduce", "stream", "solve")
PER_FRAME: Final = ("rows a frame", "evaluate C", "evaluate N", "evaluate ALC-3")

THEIR_FRAMES: Final = 20
THEIRS: Final = {  # from ../shared/data/README.md, as THEIR_FIT and THEIR_TARGET
    "subtract": ("206 (10.3 a frame; chimes_md 24.3)", None),
    "rows": ("1\u202f220 on 2 ranks, tuned input; 2\u202f054 as shipped", "61 MB a rank; 2.19 GB as shipped"),
    "stream": ("1\u202f220 + 206 + 53.6", "7.0 GB"),
    "reduce": ("53.6 (reading A.txt)", "7.0 GB"),
    "solve": ("7.9 (61.5 with reading)", "7.1 GB"),
    "chain": ("1\u202f510 tuned; 2\u202f322 as shipped", "7.1 GB"),
    "rows a frame": ("62.1 tuned; 102.7 as shipped", "50 MB; 2.19 GB"),
    "evaluate C": ("10.3 for C and N", None),
    "evaluate ALC-3": ("35.0", "3.8 GB"),
}
THEIR_FIT: Final = {"forces": 15.24, "stresses_9": 5.54, "stresses_6": 5.88, "energies": 5.35, "all": 15.1095}
THEIR_TARGET: Final = {
    "before": {"forces": 96.44, "stresses_9": 38.16}, "after": {"forces": 71.54, "stresses_9": 23.99},
}  # fmt: skip
UNITS: Final = {
    "forces": "forces, kcal/mol/Å", "stresses_9": "stresses, GPa, lsq's 9 rows", "stresses_6": "stresses, GPa, 6 rows",
    "energies": "energies, kcal/mol a frame", "all": "all rows as lsq counts them",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Problem:
    """Frames, the basis of the block that is fitted, and the frozen models."""

    frames: tuple[Frame, ...]
    basis: Basis
    frozen: tuple[Parameters, ...]


@dataclass(frozen=True)
class Options:
    """What a run of this benchmark is about; ``scratch`` holds its store and summaries."""

    data: Path
    frames: int
    stream: bool
    scratch: Path

    @property
    def store(self) -> Path:
        return self.scratch / "store.zarr"


def read_problem(data: Path, n_frames: int, orders: Sequence[int] | None = None) -> Problem:
    """The first frames of ``fm_setup.in`` in a folder, its basis, C and N; ``orders`` (2, 3, 4 bodies) cap those of
    the basis, below the least a type needs it is left out."""
    setup = read_fm_setup(data / "fm_setup.in")
    frozen = tuple(Model.read(data / FILES[name]).parameters for name in FROZEN)
    basis = setup.basis
    if orders is not None:
        most = {1: 1, **dict(zip((2, 3, 4), orders, strict=True))}
        least = {1: 1, 2: 1, 3: 2, 4: 2}
        lower = [replace(t, order=min(t.order, most[t.body])) for t in basis.types if most[t.body] >= least[t.body]]
        basis = basis.with_types(lower)
    return Problem(setup.frames[:n_frames], basis, frozen)


@lru_cache(maxsize=1)
def _set_up(options: Options) -> tuple[Problem, Any]:
    problem = read_problem(options.data, options.frames)
    return problem, plan(problem.frames, problem.basis, blocks=[BLOCK])


def reading(options: Options) -> Callable[[], int]:
    """Trajectory, fm_setup.in and the two parameter files."""
    return lambda: len(read_problem(options.data, options.frames).frames)


def planning(options: Options) -> Callable[[], dict[str, Any]]:
    """Neighbours of every frame, tiles, cost."""
    problem, _ = _set_up(options)
    return lambda: plan(problem.frames, problem.basis, blocks=[BLOCK]).as_dict()


def _assembling(options: Options, store: Path, frozen: tuple[Parameters, ...]) -> Callable[[], int]:
    problem, planned = _set_up(options)
    runner = executor("serial")
    return lambda: assemble(
        problem.frames, problem.basis, store, frozen=frozen, executor=runner, plan=planned
    ).computed  # fmt: skip


def making_rows(options: Options) -> Callable[[], int]:
    """Design rows and labels into a new store."""
    store = options.scratch / "rows.zarr"
    shutil.rmtree(store, ignore_errors=True)
    return _assembling(options, store, ())


def subtracting(options: Options) -> Callable[[], int]:
    """What C and N predict for every row, into the store that has the rows already."""
    shutil.rmtree(options.store, ignore_errors=True)
    # files are replaced, never written into, so links are as good as copies
    shutil.copytree(options.scratch / "rows.zarr", options.store, copy_function=os.link)
    return _assembling(options, options.store, _set_up(options)[0].frozen)


def reducing(options: Options) -> Callable[[], Any]:
    """Summaries of all rows: read from the store, or made on the fly with the predictions of C and N."""
    problem, planned = _set_up(options)
    store = None if options.stream else DesignStore.open(options.store)
    runner = executor("serial")
    return lambda: reduce_rows(planned, [BLOCK], store=store, frozen=problem.frozen, executor=runner)


def solving(kept: Path) -> Callable[[], LinearSolution]:
    """Ridge from the summaries."""
    with kept.open("rb") as stream:
        summaries = pickle.load(stream)
    runner = executor("serial")
    return lambda: solve_summaries(summaries, Ridge(ALPHA), SETTINGS, runner)[1]


def filling_rows(options: Options) -> Callable[[], None]:
    """Design rows of every frame into one buffer in memory."""
    problem, _ = _set_up(options)
    recipe = compile_recipe(problem.basis, (BLOCK,))
    out = np.empty((max(n_rows(f) for f in problem.frames), recipe.n_columns))

    def work() -> None:
        for frame in problem.frames:
            fill_rows(frame, recipe, out[: n_rows(frame)])

    return work


def evaluating(options: Options, name: str) -> Callable[[], int]:
    """A parameter file on every frame, the file read before."""
    problem, _ = _set_up(options)
    model = Model.read(options.data / FILES[name])
    return lambda: len(model.evaluate(problem.frames, ignore_other_elements=True, missing="zero"))


def lsq_rows(frame: Frame) -> NDArray[np.intp]:
    """For each row that chimes_lsq writes for a frame (9 stresses, the energy three times), which of ours it is."""
    last = n_rows(frame) - 1
    stress = last - 6 + np.array([0, 3, 4, 3, 1, 5, 4, 5, 2])
    return np.concatenate([np.arange(3 * len(frame)), stress, [last] * 3]).astype(np.intp)


def lsq_counts(kinds: NDArray[np.int8]) -> NDArray[np.float64]:
    """How often chimes_lsq counts each row."""
    return np.array(OBJECTIVES["lsq"].counts, np.float64)[kinds]


def rms_by_kind(values: NDArray[np.float64], kinds: NDArray[np.int8]) -> dict[str, float]:
    """RMS per kind of row, in the units of ``UNITS``; ``all`` as chimes_lsq counts them, in kcal/mol and Å."""
    counts, stress = lsq_counts(kinds), (kinds == 1) | (kinds == 2)

    def rms(chosen: NDArray[np.bool_], weights: NDArray[np.float64] | None = None) -> float:
        return math.sqrt(np.average(values[chosen] ** 2, weights=weights))

    return {
        "forces": rms(kinds == 0), "stresses_9": rms(stress, counts[stress]) * KCAL_PER_A3_IN_GPA,
        "stresses_6": rms(stress) * KCAL_PER_A3_IN_GPA, "energies": rms(kinds == 3), "all": rms(counts > 0, counts),
    }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Reference:
    """chimes_lsq's target after subtraction (in its rows), and ridge coefficients in the order of our columns."""

    target: NDArray[np.float64]
    coefficients: NDArray[np.float64]

    @classmethod
    def of(cls, options: Options, basis: Basis) -> Reference | None:
        """That of all 20 frames, or None where there is none for these."""
        path = options.data.parent / "reference" / "cn_dft_ridge.npz"
        if not path.is_file() or options.frames != THEIR_FRAMES:
            return None
        with np.load(path) as saved:
            coefficients = np.empty_like(saved["coefficients"])
            coefficients[lsq_order(columns_of(basis, [BLOCK]))] = saved["coefficients"]
            return cls(saved["target"], coefficients)


def checking(options: Options, found: LinearSolution) -> Callable[[], dict[str, Any]]:
    """What is said of the answer, from rows made anew: errors, gradient, distance from the reference."""
    problem, _ = _set_up(options)
    frames, reference = problem.frames, Reference.of(options, problem.basis)
    recipe = compile_recipe(problem.basis, (BLOCK,))
    vectors = np.stack([found.coefficients] + ([reference.coefficients] if reference else []), axis=1)

    def work() -> dict[str, Any]:
        before = np.concatenate([row_targets(f) for f in frames])
        after = before - sum(frozen_rows(frames, model, "refuse") for model in problem.frozen)
        kinds = np.concatenate([kind_codes(f) for f in frames])
        predicted, gradient, at_zero = np.empty((len(after), vectors.shape[1])), 0.0, 0.0
        start = 0
        for frame in frames:
            own = slice(start, start + n_rows(frame))
            rows, counts = rows_of([frame], recipe), lsq_counts(kinds[own])
            predicted[own] = rows @ vectors
            gradient = gradient + rows.T @ (counts * (after[own] - predicted[own, 0]))
            at_zero = at_zero + rows.T @ (counts * after[own])
            start = own.stop
        slope = np.linalg.norm(gradient - ALPHA * found.coefficients) / np.linalg.norm(at_zero)
        report = {
            "fit": rms_by_kind(after - predicted[:, 0], kinds),
            "target": {"before": rms_by_kind(before, kinds), "after": rms_by_kind(after, kinds)},
            "gradient": float(slope), "gradient_of_summary": found.gradient_norm, "condition": found.condition,
            "rank": found.rank, "rows": len(kinds), "columns": len(vectors), "notes": list(found.notes),
        }  # fmt: skip
        return report | (_beside(reference, frames, after, predicted, kinds) if reference else {})

    return work


def _beside(
    reference: Reference, frames: Sequence[Frame], target: NDArray[np.float64], predicted: NDArray[np.float64],
    kinds: NDArray[np.int8],
) -> dict[str, Any]:  # fmt: skip
    """How far target and predictions are from the reference's."""
    starts = np.cumsum([0, *(n_rows(f) for f in frames)])
    layout = np.concatenate([s + lsq_rows(f) for s, f in zip(starts, frames, strict=False)])
    difference = target[layout] - reference.target
    return {
        "predictions_rms_difference": rms_by_kind(predicted[:, 0] - predicted[:, 1], kinds)["all"],
        "target_rms_difference": float(np.sqrt(np.mean(difference**2))),
        "target_largest_difference": float(np.abs(difference).max()),
        "reference_fit": rms_by_kind(target - predicted[:, 1], kinds),
    }  # fmt: skip


def run(options: Options, *, apart: bool = True) -> dict[str, Any]:
    """Measure every step; one JSON object. ``apart=False`` measures in this process, for tests."""
    cache = options.scratch / "numba" if apart else None
    step = partial(measure, numba_cache=cache, apart=apart)
    steps: dict[str, Measured] = {}

    def do(name: str, make: Callable[..., Any], *args: Any, **more: Any) -> Any:
        steps[name] = step(make, *args, **more)
        print(f"{name}: {steps[name].seconds:.2f} CPU s, {steps[name].peak / MB:.0f} MB", file=sys.stderr, flush=True)
        return steps[name].value

    if apart:
        do("compile", compiling, warm=False, repeats=1)  # fills the cache that the others load from
    do("read", reading, options)
    do("plan", planning, options)
    if not options.stream:
        do("rows", making_rows, options)
        do("subtract", subtracting, options)
    kept = options.scratch / "summaries.pkl"
    do("stream" if options.stream else "reduce", reducing, options, keep=kept)
    found = do("solve", solving, kept)
    do("rows a frame", filling_rows, options)
    for name in FILES:
        if (options.data / FILES[name]).is_file():
            do(f"evaluate {name}", evaluating, options, name)
    checks = step(checking, options, found, repeats=1).value
    return {
        "benchmark": "cn_dft_chain", "data": str(options.data), "frames": options.frames, "stream": options.stream,
        "machine": machine(cache, apart=apart), "steps": {k: v.as_dict() for k, v in steps.items()}, "checks": checks,
        "coefficients_sha256": hashlib.sha256(found.coefficients.tobytes()).hexdigest(),
    }  # fmt: skip


def steps_table(report: dict[str, Any]) -> str:
    """CPU seconds and peak memory of each step beside chimes_lsq's."""
    steps, n = report["steps"], report["frames"]
    chain = [steps[name] for name in CHAIN if name in steps]
    total = {"cpu_seconds": sum(s["cpu_seconds"] for s in chain), "peak_bytes": max(s["peak_bytes"] for s in chain)}
    listed = [name for name in LABELS if name in steps or name == "chain"]
    rows = []
    for name in listed:
        own = total if name == "chain" else steps[name]
        seconds = own["cpu_seconds"] / (n if name in PER_FRAME else 1)
        theirs = THEIRS.get(name, (None, None))
        rows.append([LABELS[name], figure(seconds), figure(own["peak_bytes"] / MB), *theirs])
    return table(["step", "CPU s", "peak MB", "chimes_lsq: CPU s", "peak"], rows)


def answer_table(checks: dict[str, Any]) -> str:
    """Errors and targets by kind beside chimes_lsq's."""
    target = checks["target"]
    rows = [
        [UNITS[k], figure(checks["fit"][k], 6), THEIR_FIT[k], figure(target["before"][k], 6),
         THEIR_TARGET["before"].get(k), figure(target["after"][k], 6), THEIR_TARGET["after"].get(k)]
        for k in UNITS
    ]  # fmt: skip
    return table(["rms", "fit", "chimes_lsq", "target", "chimes_lsq", "less C and N", "chimes_lsq"], rows)


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    checks, base = report["checks"], report["steps"]["read"]["before_bytes"]
    parts = [
        f"{report['frames']} frames, {checks['rows']} rows, {checks['columns']} columns, "
        f"{'streamed' if report['stream'] else 'rows kept in a zarr store'}. {machine_lines(report['machine'])}",
        steps_table(report),
        f"chimes_lsq, chimes_calculator: {THEIR_FRAMES} frames, g++ -O3 -march=native, AMD EPYC Zen 5, measured in "
        "../shared/data/README.md. Ours: one core, one thread, each step in a process of its own; "
        f"{base / MB:.0f} MB of each peak are there before anything is done.",
        answer_table(checks),
        f"Relative gradient of the ridge objective, from the rows: {checks['gradient']:.1e}; condition "
        f"{checks['condition']:.2g}.",
    ]
    if "predictions_rms_difference" in checks:
        parts.append(
            f"From the reference solution: predictions differ by {checks['predictions_rms_difference']:.1e} "
            f"kcal/mol/Å rms (limit {TOLERANCE:.0e}), targets by {checks['target_rms_difference']:.1e} rms, "
            f"{checks['target_largest_difference']:.1e} at most."
        )
    return "\n\n".join(parts)


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print Markdown, write JSON; 1 where predictions are too far from the reference's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder with fm_setup.in and the parameter files")
    parser.add_argument("--frames", type=int, default=THEIR_FRAMES)
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument("--keep-rows", action="store_true", help="through a zarr store (default)")
    rows.add_argument("--stream", action="store_true", help="rows are never stored")
    parser.add_argument("--out", type=Path, help="JSON file; a .md beside it gets the Markdown")
    parser.add_argument("--in-process", action="store_true", help="for tests: all in this process")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="hiertl-bench-") as scratch:
        options = Options(given.data.resolve(), given.frames, given.stream, Path(scratch))
        report = run(options, apart=not given.in_process)
    text = markdown(report)
    print(text)
    if given.out is not None:
        given.out.write_text(json.dumps(report, indent=1))
        given.out.with_suffix(".md").write_text(text + "\n")
    return int(report["checks"].get("predictions_rms_difference", 0.0) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
