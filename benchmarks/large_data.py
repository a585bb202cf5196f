"""A data set larger than memory: imported, planned and fitted block by block by two workers; CPU seconds and memory.

Frames of 32 atoms are made of the shipped ones: positions rattled by 0.01 Å, so that no two are equal. The basis has
orders 8, 4, 0 (pairs to 5 Å, triplets to 4 Å). Each size is run by worker processes, the least also by two MPI ranks,
of which the bytes that they read are told. ``--frames-scale`` multiplies the sizes: 3.4 makes the largest a million.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psutil
from bench import Benchmark, Options, main, tell
from clocked import reset_peaks, tree_cpu
from launched import launch, mpi_words
from measure import MB, figure, peak_memory, peak_of, table, warm_kernels

import hiertl_dist
from hiertl_dist import Basis, Dataset, executor, fit_hierarchy, plan, read_frames
from hiertl_dist.units import EV

if TYPE_CHECKING:
    from collections.abc import Callable

    from hiertl_dist.executors import Executor

SIZES: Final = (30_000, 100_000, 300_000)
TOY: Final = (90,)
WORKERS: Final = 2
STRIDE: Final = 7919
"""Shipped frames are taken in steps of so many: those of one set of elements are nowhere together."""

STEPS: Final = ("import", "plan", "fit")
SHIPPED: Final = Path(hiertl_dist.__file__).parent / "data" / "cn_pbe.extxyz.gz"
TABLE: Final[dict[str, Any]] = {
    "elements": ["C", "N"], "orders": [8, 4, 0], "transform": "MORSE", "cutoff": "TERSOFF 0.75",
    "pairs": {p: {"rmin": 0.6, "rmax": 5.0, "lambda": 1.6} for p in ("CC", "CN", "NN")}, "three_body": {"rmax": 4.0},
}  # fmt: skip


def make_file(path: Path, number: int) -> None:
    """So many frames as text, about 3.5 kB each."""
    frames = [f for f in read_frames(SHIPPED, group_key="config_type") if f.forces is not None and f.stress is not None]
    draw = np.random.default_rng(number)
    line = "%-2s" + " %15.8f" * 6 + "\n"
    with path.open("w", buffering=2**20) as stream:
        for i in range(number):
            frame = frames[STRIDE * i % len(frames)]
            assert frame.forces is not None
            assert frame.stress is not None
            stress = -(frame.stress / EV)[[0, 3, 4, 3, 1, 5, 4, 5, 2]]
            lattice = " ".join(f"{x:.8f}" for x in np.asarray(frame.cell).ravel())
            stream.write(
                f'{len(frame)}\nLattice="{lattice}" Properties=species:S:1:pos:R:3:forces:R:3 '
                f'energy={frame.energy / EV:.8f} stress="{" ".join(f"{x:.8f}" for x in stress)}" pbc="T T T" '
                f"config_type={frame.group}\n"
            )
            positions = frame.positions + 0.01 * draw.normal(size=frame.positions.shape)
            rows = np.hstack([positions, frame.forces / EV]).tolist()
            stream.writelines(line % (name, *row) for name, row in zip(frame.species, rows, strict=True))


def run_steps(text: Path, folder: Path, runner: Executor) -> dict[str, Any]:
    """Import, plan, fit: of each the CPU seconds of all processes, wall seconds, and the peaks of memory."""
    basis = Basis.from_dict(TABLE)
    warm_kernels()
    runner.run(_warm, range(4 * runner.workers), what="load kernels")
    measured: dict[str, Any] = {"before_bytes": peak_memory()}

    def step(name: str, call: Callable[[], Any]) -> Any:
        reset_peaks()
        cpu, wall, read = tree_cpu(), time.perf_counter(), _bytes_read()
        found = call()
        children = [p for c in psutil.Process().children(recursive=True) if (p := peak_of(c.pid))]
        measured[name] = {
            "cpu": tree_cpu() - cpu, "wall": time.perf_counter() - wall, "peak": peak_memory(),
            "worker_peak": max(children, default=0), "read_bytes": _bytes_read() - read,
        }  # fmt: skip
        return found

    data = step("import", lambda: Dataset.create(folder, text, group_key="config_type", executor=runner))
    planned = step("plan", lambda: plan(data, basis, by_block=True, executor=runner))
    measured |= {
        "frames": len(data),
        "segments": len(planned.segments),
        "announced": planned.as_dict()["fit_cpu_seconds"]["total"],
    }
    del planned
    fit = step("fit", lambda: fit_hierarchy(data, basis, executor=runner))
    measured["rmse"] = {name: own.solution.rmse for name, own in fit.fits.items()}
    measured["coefficients"] = {name: own.solution.parameters.digest for name, own in fit.fits.items()}
    return measured


def _warm(_: int) -> None:
    warm_kernels()


def _bytes_read() -> int:
    """Bytes that this process asked the system for; 0 where it does not say."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar"))


def by_processes(text: Path, folder: Path) -> dict[str, Any]:
    """With worker processes."""
    with executor("processes", workers=WORKERS) as runner:
        return run_steps(text, folder, runner)


def by_ranks(text: Path, folder: Path) -> dict[str, Any]:
    """With the ranks of mpirun."""
    with executor("mpi") as runner:
        return run_steps(text, folder, runner)


def run(options: Options) -> dict[str, Any]:
    """All sizes, smallest first."""
    absent: dict[str, str] = {}
    sizes = options.sized(tuple(int(n * options.scale) for n in SIZES), TOY)
    found: dict[str, Any] = {}
    ranks: list[dict[str, Any]] = []
    for number in sizes:
        tell(f"{number} frames")
        text, folder = options.scratch / "made.extxyz", options.scratch / "frames"
        make_file(text, number)
        if options.apart:
            (answer,) = launch("large_data:by_processes", (text, folder), options.scratch)
        else:
            answer = by_processes(text, folder)
        found[str(number)] = answer | {"text_bytes": text.stat().st_size, "disk_bytes": _size(folder)}
        shutil.rmtree(folder)
        if number == sizes[0]:
            try:
                mpi_words(WORKERS)
            except RuntimeError as error:
                absent["mpirun"] = str(error)
            else:
                ranks = launch("large_data:by_ranks", (text, folder), options.scratch, ranks=WORKERS)
                shutil.rmtree(folder)
    return {"sizes": found, "ranks": ranks, "absent": absent, **_lines(found)}


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def _lines(found: dict[str, Any]) -> dict[str, Any]:
    """Straight lines through CPU seconds and the calling process's peak against the number of frames."""
    numbers = np.array([own["frames"] for own in found.values()], np.float64)
    lines: dict[str, Any] = {}
    for step in STEPS:
        seconds = np.array([own[step]["cpu"] for own in found.values()])
        slope = float(numbers @ seconds / (numbers @ numbers))
        lines[step] = {"ms_a_frame": 1e3 * slope, "worst": float(np.abs(seconds / (slope * numbers) - 1.0).max())}
    peaks = np.array([max(own[step]["peak"] for step in STEPS) for own in found.values()], np.float64)
    slope = float(np.polyfit(numbers, peaks, 1)[0]) if len(found) > 1 else None
    return {"lines": lines, "bytes_a_frame": slope}


def markdown(record: dict[str, Any]) -> str:
    """Tables for people."""
    rows = [
        [
            f"{int(name):,}".replace(",", " "), *(figure(own[s]["cpu"]) for s in STEPS),
            f"{100 * (own['import']['cpu'] + own['plan']['cpu']) / sum(own[s]['cpu'] for s in STEPS):.1f} %",
            figure(own["announced"]), figure(max(own[s]["peak"] for s in STEPS) / MB),
            figure(max(own[s]["worker_peak"] for s in STEPS) / MB), figure(own["text_bytes"] / MB),
            figure(own["disk_bytes"] / MB),
        ]
        for name, own in record["sizes"].items()
    ]  # fmt: skip
    titles = ["frames", "import, CPU s", "plan", "fit", "import and plan of all", "announced by the plan, CPU s",
              "peak of the caller, MB", "of a worker", "text, MB", "data set"]  # fmt: skip
    parts = [f"C, N, CN by {WORKERS} worker processes", table(titles, rows)]
    parts += [
        f"{step}: {own['ms_a_frame']:.3f} CPU ms a frame; the sizes are within {100 * own['worst']:.1f} % of the line"
        for step, own in record["lines"].items()
    ]
    if record["bytes_a_frame"] is not None:
        parts.append(f"the calling process: {record['bytes_a_frame']:.0f} bytes a frame")
    if record["ranks"]:
        own_rows = [
            [str(k), *(figure(own[s]["cpu"]) for s in STEPS), figure(own["fit"]["read_bytes"] / MB),
             figure(max(own[s]["peak"] for s in STEPS) / MB)]
            for k, own in enumerate(record["ranks"])
        ]  # fmt: skip
        first = next(iter(record["sizes"].values()))
        alike = all(own["coefficients"] == first["coefficients"] for own in record["ranks"])
        parts += [
            f"{first['frames']} frames by {WORKERS} MPI ranks; coefficients are "
            + ("the same, bit for bit" if alike else "DIFFERENT"),
            table(["rank", "import, CPU s", "plan", "fit", "read by the fit, MB", "peak, MB"], own_rows),
        ]
    return "\n\n".join(parts)


BENCHMARK: Final = Benchmark(
    "large_data", "Frames of 32 atoms imported, planned and fitted (C, N, CN; orders 8, 4, 0), streamed.", run, markdown
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
