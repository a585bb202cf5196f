"""Assemblies, fits and summaries again and again with the same executors: do memory, files and threads stay flat?

One process with an executor of worker processes and a dask cluster of its own. In each round one of them, in turn,
assembles a design store, fits all blocks from it and from streamed rows, and summarises into a summary store, in a new
folder that is deleted afterwards. After each round: resident memory, open files and threads of the calling process and
of the workers.

``python benchmarks/soak.py [--toy] [--out FOLDER] [--minutes 30]``
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psutil
from bench import Benchmark, Options, add_options, options_of, tell, write
from measure import MB, figure, table

from hiertl_dist import Basis, FitSettings, HierarchyOptions, assemble, executor, fit_hierarchy, read_frames, summarise

if TYPE_CHECKING:
    from hiertl_dist import Frame
    from hiertl_dist.executors.base import Executor
    from hiertl_dist.fitting.hierarchy import HierarchyFit

MINUTES: Final = 30.0
WARM: Final = 3
"""Rounds of each executor that are not judged: libraries are loaded, caches are filled."""

EVERY: Final = 3
"""Each which of the frames that are shipped is taken."""

KINDS: Final = ("processes", "dask")


def basis_of() -> Basis:
    """A basis of some hundred columns."""
    pairs = {p: {"rmin": 0.6, "rmax": 5.0, "lambda": 1.5} for p in ("CC", "CN", "NN")}
    return Basis.from_dict({"elements": ["C", "N"], "orders": [8, 4, 0], "pairs": pairs})


def one_round(frames: list[Frame], basis: Basis, runner: Executor, folder: Path) -> bytes:
    """Do everything once, in a folder that is then deleted; the coefficients."""
    settings = FitSettings(regulariser={"kind": "ridge", "alpha": 0.1}, weights={"force": 1.0, "energy": 0.5})
    assemble(frames, basis, folder / "design", executor=runner)
    kept = fit_hierarchy(frames, basis, options=HierarchyOptions(settings, store=folder / "design"), executor=runner)
    streamed = fit_hierarchy(frames, basis, options=HierarchyOptions(settings), executor=runner)
    summarise(frames, basis, folds=3, summaries=folder / "summaries", executor=runner)
    shutil.rmtree(folder)
    made, other = (_coefficients(fit) for fit in (kept, streamed))
    if made != other:
        raise RuntimeError("kept and streamed rows gave other coefficients")
    return made


def _coefficients(fit: HierarchyFit) -> bytes:
    return b"".join(own.solution.parameters.coefficients.tobytes() for own in fit.fits.values())


def state(process: psutil.Process) -> dict[str, int]:
    """Memory (bytes), open files and threads of a process."""
    with process.oneshot():
        return {"memory": process.memory_info().rss, "files": process.num_fds(), "threads": process.num_threads()}


def states(which: str) -> dict[str, dict[str, int]]:
    """Of the calling process, and of the workers, those of all together."""
    main = psutil.Process()
    workers: list[dict[str, int]] = []
    for process in main.children(recursive=True):
        with suppress(psutil.Error):
            workers.append(state(process))
    total = {key: sum(w[key] for w in workers) for key in ("memory", "files", "threads")}
    return {"caller": state(main), "workers": total | {"processes": len(workers)}, "which": {which: 1}}


def run(options: Options, *, minutes: float = MINUTES) -> dict[str, Any]:
    """Rounds until the time is over; as a toy two rounds in this process."""
    with as_file(files("hiertl_dist").joinpath("data", "cn_pbe.extxyz.gz")) as path:
        frames = read_frames(path, group_key="config_type")[:: EVERY if not options.toy else 30]
    basis, kinds = basis_of(), KINDS if not options.toy else ("serial",)
    rounds: list[dict[str, Any]] = []
    first, began = b"", time.monotonic()
    with ExitStack() as stack:
        runners = {k: stack.enter_context(executor(k, workers=1 if options.toy else 2)) for k in kinds}
        while len(rounds) < 2 or (not options.toy and time.monotonic() - began < 60.0 * minutes):
            kind = kinds[len(rounds) % len(kinds)]
            made = one_round(frames, basis, runners[kind], options.scratch / f"round{len(rounds)}")
            if made != (first := first or made):
                raise RuntimeError(f"round {len(rounds)} ({kind}) gave other coefficients")
            gc.collect()
            rounds.append({"seconds": time.monotonic() - began, "kind": kind, **states(kind)})
            if len(rounds) % 10 == 0:
                tell(f"{len(rounds)} rounds: {rounds[-1]}")
    return {"rounds": rounds, "frames": len(frames), "pid": os.getpid()}


def trend(record: dict[str, Any], who: str, key: str) -> dict[str, float]:
    """Medians of the first and the last quarter of the rounds that count, the most, and what it grows by in an hour."""
    rounds = record["rounds"]
    counted = rounds[len(KINDS) * WARM :] if len(rounds) > 2 * len(KINDS) * WARM else rounds
    values, hours = np.array([r[who][key] for r in counted], float), np.array([r["seconds"] for r in counted]) / 3600.0
    quarter = max(1, len(values) // 4)
    return {
        "first": median(values[:quarter]), "last": median(values[-quarter:]), "most": values.max(),
        "hourly": float(np.polyfit(hours, values, 1)[0]) if len(values) > 2 else 0.0,
    }  # fmt: skip


def markdown(record: dict[str, Any]) -> str:
    """A row for each of memory, files and threads."""
    rows = []
    for who in ("caller", "workers"):
        for key in ("memory", "files", "threads"):
            own, unit = trend(record, who, key), MB if key == "memory" else 1.0
            name = f"{who}: {key}{', MB' * (key == 'memory')}"
            rows.append([name, *(figure(own[k] / unit, 4) for k in ("first", "last", "most", "hourly"))])
    rounds = record["rounds"]
    long = f"{rounds[-1]['seconds'] / 60.0:.1f} minutes"
    text = f"{len(rounds)} rounds in {long}, {record['frames']} frames"
    return f"{text}; all of them gave the same coefficients.\n\n" + table(
        ["", "first quarter", "last quarter", "most", "an hour"], rows
    )


BENCHMARK = Benchmark("soak", "Memory, open files and threads over many rounds with the same executors.", run, markdown)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=BENCHMARK.title)
    add_options(parser)
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"(default: {MINUTES})")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hiertl-bench-") as scratch:
        own = Benchmark("soak", BENCHMARK.title, partial(run, minutes=given.minutes), markdown)
        record = own.record(options_of(given, Path(scratch)))
    text = BENCHMARK.text(record)
    print(text)
    write(given.out, "soak", record, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
