"""What design rows cost: entries per second, CPU seconds a frame, beside chimes_lsq and beside one dsyrk of the rows.

Rows are made in memory, frame by frame, into a buffer that was there before. The dsyrk of the same rows (A → AᵀA, upper
triangle, single-threaded, stacks of frames of up to 64 MiB) is timed in turn with them in the same process: a rate
that no program which ends in normal equations can be far below.
"""

from __future__ import annotations

import statistics
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bench import Benchmark, Options, interleaved, main, median_ratio, tell
from cn_dft_chain import FILES, read_problem
from made import crystal, relabelled, stacked, up_to
from measure import figure, table
from scipy.linalg import blas

from hiertl_dist import Model, read_fm_setup
from hiertl_dist.evaluation.compiled_basis import compile_recipe
from hiertl_dist.evaluation.frame_rows import fill_rows, rows_of
from hiertl_dist.frames.rows import n_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hiertl_dist import Basis, Frame

    Problem = tuple[Sequence[Frame], Basis, tuple[str, ...]]

STACK: Final = 64 * 2**20
REPEATS: Final = 5
FRAMES: Final = 5
"""Frames of ``cn_dft`` that are timed; the others are like them."""

CELLS: Final = (1, 2, 3, 4, 5, 6, 7, 8)
"""Crystals of 2, 16, 54, … 1 024 atoms."""

ATOMS: Final = 256
"""Small frames are repeated, with other jitter, up to about so many atoms."""

BODIES: Final = {"CN, two-body only": 2, "CN, two- and three-body": 3, "CN": 4}
SETUPS: Final = {"hydrogen": ("H",), "carbon": ("C",)}
CASES: Final = (*BODIES, "C", "N", *SETUPS)
WHAT: Final = {
    "CN": "`cn_dft`", "CN, two-body only": "`cn_dft`", "CN, two- and three-body": "`cn_dft`", "C": "`cn_dft`, all C",
    "N": "`cn_dft`, all N", "hydrogen": "`hydrogen`, whole", "carbon": "`carbon`, whole",
}  # fmt: skip

THEIRS: Final = {"CN": (62.1, 1), "hydrogen": (19.5, 104), "carbon": (0.13, 25)}
"""CPU seconds of chimes_lsq (tuned input) for so many frames; from ../shared/data/README.md."""


def problem(options: Options, name: str) -> Problem:
    """Frames, basis and blocks of a case."""
    if name in SETUPS:
        setup = read_fm_setup(options.data / name / "fm_setup.in")
        return setup.frames[: options.sized(len(setup.frames), 2)], setup.basis, SETUPS[name]
    folder = options.data / "cn_dft"
    shared = read_problem(folder, options.sized(FRAMES, 1))
    if name in BODIES:
        return shared.frames, up_to(shared.basis, BODIES[name]), ("CN",)
    basis = Model.read(folder / FILES[name]).parameters.basis
    return [relabelled(f, name) for f in shared.frames], basis, (name,)


def filling(frames: Sequence[Frame], basis: Basis, blocks: tuple[str, ...]) -> tuple[int, Callable[[], None]]:
    """Number of columns, and what makes the rows of every frame in turn."""
    recipe = compile_recipe(basis, blocks)
    out = np.empty((max(n_rows(f) for f in frames), recipe.n_columns))

    def work() -> None:
        for frame in frames:
            fill_rows(frame, recipe, out[: n_rows(frame)])

    return recipe.n_columns, work


def multiplying(frames: Sequence[Frame], basis: Basis, blocks: tuple[str, ...]) -> Callable[[], float]:
    """What says how long one dsyrk of all rows takes: it makes them again, unmeasured, stack by stack."""
    recipe = compile_recipe(basis, blocks)
    limit = STACK // (8 * recipe.n_columns)
    square = np.zeros((recipe.n_columns, recipe.n_columns), order="F")
    stacks: list[list[Frame]] = [[]]
    for frame in frames:
        if stacks[-1] and sum(map(n_rows, stacks[-1])) + n_rows(frame) > limit:
            stacks.append([])
        stacks[-1].append(frame)

    def seconds() -> float:
        total = 0.0
        for stack in stacks:
            rows = stacked([rows_of([f], recipe) for f in stack])
            # its transpose is column-major, so that BLAS reads it as it lies
            syrk = partial(blas.dsyrk, 1.0, rows.T, beta=1.0, c=square, overwrite_c=1)
            total += interleaved({"dsyrk": syrk}, 1)["dsyrk"][0]
        return total

    return seconds


def timing(options: Options, name: str) -> Callable[[], dict[str, Any]]:
    """Rows and dsyrk of one case, in turn."""
    frames, basis, blocks = problem(options, name)
    columns, rows = filling(frames, basis, blocks)
    dsyrk = multiplying(frames, basis, blocks)
    repeats = options.sized(REPEATS, 1)

    def work() -> dict[str, Any]:
        rows()
        dsyrk()
        seconds, products = [], []
        for _ in range(repeats):
            seconds += interleaved({"rows": rows}, 1)["rows"]
            products.append(dsyrk())
        return {
            "frames": len(frames), "atoms": len(frames[0]), "rows": sum(map(n_rows, frames)), "columns": columns,
            "cpu": seconds, "dsyrk_cpu": products, "ratio_to_dsyrk": median_ratio(seconds, products),
        }  # fmt: skip

    return work


def timing_sizes(options: Options) -> Callable[[], list[dict[str, Any]]]:
    """CN rows of crystals of different sizes, in turn."""
    basis = read_problem(options.data / "cn_dft", 1).basis
    sizes: dict[str, tuple[list[Frame], Callable[[], None]]] = {}
    columns = 0
    for cells in options.sized(CELLS, CELLS[:2]):
        atoms = 2 * cells**3
        frames = [crystal(cells, seed) for seed in range(options.sized(max(1, ATOMS // atoms), 1))]
        columns, fill = filling(frames, basis, ("CN",))
        sizes[str(atoms)] = frames, fill
    repeats = options.sized(REPEATS, 1)

    def work() -> list[dict[str, Any]]:
        for _, fill in sizes.values():
            fill()
        found = interleaved({name: fill for name, (_, fill) in sizes.items()}, repeats)
        return [
            {"atoms": int(name), "frames": len(sizes[name][0]), "columns": columns,
             "rows": sum(map(n_rows, sizes[name][0])), "cpu": cpu}
            for name, cpu in found.items()
        ]  # fmt: skip

    return work


def derived(record: dict[str, Any]) -> dict[str, Any]:
    """Median seconds, seconds a frame and an atom, entries per second."""
    seconds = statistics.median(record["cpu"])
    entries = record["rows"] * record["columns"]
    return record | {
        "cpu_seconds": seconds, "seconds_a_frame": seconds / record["frames"],
        "seconds_an_atom": seconds / record["frames"] / record["atoms"], "entries": entries,
        "entries_per_second": entries / seconds,
    }  # fmt: skip


def run(options: Options) -> dict[str, Any]:
    """Every case in a process of its own."""
    cases, absent = {}, {}
    for name in CASES:
        if (why := options.missing(name if name in SETUPS else "cn_dft")) is not None:
            absent[name] = why
            continue
        cases[name] = derived(options.value(timing, options, name))
        tell(f"rows of {name}: {cases[name]['seconds_a_frame']:.4f} CPU s a frame")
    sizes = []
    if (why := options.missing("cn_dft")) is None:
        sizes = [derived(found) for found in options.value(timing_sizes, options)]
    else:
        absent["sizes"] = why
    return {"cases": cases, "sizes": sizes, "absent": absent}


def case_row(name: str, case: dict[str, Any]) -> list[Any]:
    """One line of the table."""
    seconds, frames = THEIRS.get(name, (None, 1))
    faster = None if seconds is None else seconds / frames / case["seconds_a_frame"]
    rate, ratio = case["entries_per_second"], case["ratio_to_dsyrk"]
    return [
        f"{name} ({WHAT[name]})", case["columns"], case["frames"], figure(case["cpu_seconds"]),
        figure(1e3 * case["seconds_a_frame"]), figure(rate / 1e6), figure(ratio),
        None if seconds is None else f"{seconds} for {frames}", figure(faster),
    ]  # fmt: skip


def markdown(record: dict[str, Any]) -> str:
    """Tables of cases and of sizes."""
    head = ["rows", "columns", "frames", "CPU s", "CPU ms a frame", "10⁶ entries per CPU s", "× a dsyrk of them",
            "chimes_lsq (tuned), CPU s for frames", "times faster"]  # fmt: skip
    scaled = (("seconds_a_frame", 1e3), ("seconds_an_atom", 1e6), ("entries_per_second", 1e-6))
    sizes = [[s["atoms"], *(figure(s[key] * unit) for key, unit in scaled)] for s in record["sizes"]]
    return "\n\n".join([
        table(head, [case_row(name, case) for name, case in record["cases"].items()]),
        "CN rows of crystals at the density of `cn_dft`, by size:",
        table(["atoms", "CPU ms a frame", "CPU µs an atom", "10⁶ entries per CPU s"], sizes),
    ])  # fmt: skip


BENCHMARK: Final = Benchmark("row_kernels", "Design rows in memory, one core.", run, markdown)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
