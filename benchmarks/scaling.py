"""Workers against independent processes: how much of two cores an executor puts to use on ``paper_scale`` C.

What is timed (wall seconds, in processes of their own, workers started and kernels loaded before): assembly of the
rows into a store and the TSQR that reads them; and the TSQR that makes the rows itself. The measure is T₁ of serial
processes that run at once, one for each worker, each doing the whole problem alone:

    efficiency = mean wall seconds of n serial processes at once / (n × wall seconds of the executor with n workers)

so that what the cores take from one another (memory, clock rate) is in both. The executors take turns with the serial
processes, five times for 2 workers (streaming in the first turn only), once and on a fifth of the frames for 1 worker;
the median of the ratios counts. dask's overhead per tile is the wall time that an item of the assembly takes where its
task does nothing (one worker), as a share of the mean wall seconds of an item in a serial process.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import Benchmark, Options, main, median_ratio, tell
from evaluation import published
from launched import launch, launch_at_once
from measure import figure, table
from paper_scale import load, warm

from hiertl_dist import assemble, executor, plan, reduce_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCK: Final = "C"
KINDS: Final = ("processes", "dask", "mpi")
REPEATS: Final = 5
PARTS: Final = ("kept", "streamed")
ALONE: Final = 0.2
"""Share of the frames that one worker is timed on."""

TIMEOUT: Final = 600.0
"""Seconds that a process waits for the others to be ready."""

TARGET: Final = {"efficiency": 0.93, "overhead": 0.05}


def nothing(_: Any) -> None:
    """A task that does nothing."""


def meet(gate: Path | None, name: str, many: int) -> None:
    """Wait until so many processes have come to the gate, a folder."""
    if gate is None:
        return
    (gate / name).touch()
    end = time.monotonic() + TIMEOUT
    while len(list(gate.iterdir())) < many:
        if time.monotonic() > end:
            raise TimeoutError(f"{gate}: expected {many} processes after {TIMEOUT:.0f} s, found {list(gate.iterdir())}")
        time.sleep(0.001)


def job(
    options: Options, kind: str, workers: int, store: Path, stream: bool, gate: Path | None = None, many: int = 1
) -> dict[str, float]:
    """The problem on one executor, or by one of several serial processes that meet at a gate first; ``stream``: also
    without a store."""
    frames = load(options, [BLOCK])[BLOCK].fitted
    basis = published(options.data / "cn_dft").basis
    with executor(kind, workers=workers) as runner:
        # more than there are workers, so that each gets one before the first is free again
        runner.run(warm, range(8 * workers))
        planned = plan(frames, basis, blocks=[BLOCK], executor=runner)
        meet(gate, store.name, many)
        began = time.perf_counter()
        made = assemble(frames, basis, store, executor=runner, plan=planned)
        assembled = time.perf_counter()
        reduce_rows(planned, [BLOCK], store=made.store, executor=runner)
        reduced = time.perf_counter()
        items = list(planned.tiles)  # labels go with them
        idle = time.perf_counter()
        runner.run(nothing, items, what="nothing")
        found = {
            "kept": reduced - began, "assembly": assembled - began, "items": len(items),
            "nothing": time.perf_counter() - idle,
        }  # fmt: skip
        if stream:
            meet(gate, f"{store.name}-again", 2 * many)
            streaming = time.perf_counter()
            reduce_rows(planned, [BLOCK], store=None, executor=runner)
            found["streamed"] = time.perf_counter() - streaming
    return found


def on_executor(options: Options, kind: str, workers: int, stream: bool) -> dict[str, Any]:
    """The answer of one executor; of several ranks the slowest counts."""
    store = options.scratch / f"scaling-{kind}"
    args = (options, kind, workers, store, stream)
    if options.apart or kind == "mpi":
        answers = launch("scaling:job", args, options.scratch, ranks=workers if kind == "mpi" else 0)
    else:
        answers = [job(*args)]
    shutil.rmtree(store)
    return {key: max(a[key] for a in answers) for key in answers[0]}


def at_once(options: Options, many: int, stream: bool) -> dict[str, Any]:
    """The mean of serial processes that run at the same time."""
    gate = options.scratch / "gate"
    gate.mkdir()
    stores = [options.scratch / f"scaling-serial-{i}" for i in range(many)]
    each = [(options, "serial", 1, store, stream, gate, many) for store in stores]
    together = options.apart or many > 1
    answers = launch_at_once("scaling:job", each, options.scratch) if together else [job(*each[0])]
    for folder in (gate, *stores):
        shutil.rmtree(folder)
    return {key: statistics.mean(a[key] for a in answers) for key in answers[0]}


def turns(options: Options, workers: int, repeats: int) -> dict[str, list[dict[str, Any]]]:
    """Serial processes and the executors in turn."""
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in ("serial", *KINDS)}
    for repeat in range(repeats):
        found["serial"].append(at_once(options, workers, repeat == 0))
        for kind in KINDS:
            found[kind].append(on_executor(options, kind, workers, repeat == 0))
            ratio = found["serial"][-1]["kept"] / workers / found[kind][-1]["kept"]
            tell(f"scaling, turn {repeat + 1}: {workers} workers, {kind}: efficiency {ratio:.3f}")
    return found


def efficiency(found: dict[str, list[dict[str, Any]]], kind: str, part: str, workers: int) -> float:
    """Median over the turns that have the part."""
    alone = [f[part] / workers for f in found["serial"] if part in f]
    return median_ratio(alone, [f[part] for f in found[kind] if part in f])


def run(options: Options) -> dict[str, Any]:
    """Both numbers of workers on every executor."""
    if (why := options.missing("cn_dft", "cn_dft/ALC-3.params.txt")) is not None:
        return {"absent": {"scaling": why}}
    fewer = replace(options, scale=ALONE * options.scale)
    for own in (options, fewer):
        load(own, [BLOCK])
    one = turns(fewer, 1, 1)
    two = turns(options, 2, options.sized(REPEATS, 1))
    overheads = {kind: found[0]["nothing"] / found[0]["items"] for kind, found in one.items()}
    tile = one["serial"][0]["assembly"] / one["serial"][0]["items"]
    return {
        "workers": {
            str(n): {k: {p: efficiency(found, k, p, n) for p in PARTS} for k in KINDS}
            for n, found in ((1, one), (2, two))
        },
        "seconds_an_item": tile, "overhead_seconds": overheads, "scale": options.scale,
        "turns": {"1": one, "2": two}, "targets": TARGET, "absent": {},
    }  # fmt: skip


def _medians(turn: Sequence[dict[str, Any]]) -> list[Any]:
    return [figure(statistics.median(t[part] for t in turn if part in t)) for part in PARTS]


def markdown(record: dict[str, Any]) -> str:
    """Efficiencies with the wall seconds behind them, and the overhead of an item."""
    if "workers" not in record:
        return ""
    rows = []
    for n, kinds in record["workers"].items():
        own = record["turns"][n]
        rows.append([f"{n} serial at once, mean", *_medians(own["serial"]), None, None])
        for kind, parts in kinds.items():
            rows.append([f"{kind}, {n} workers", *_medians(own[kind]), *(figure(parts[p]) for p in PARTS)])
    tile = record["seconds_an_item"]
    overhead = [
        [kind, figure(1e3 * seconds), f"{figure(100 * seconds / tile)} %"]
        for kind, seconds in record["overhead_seconds"].items()
    ]  # fmt: skip
    return "\n\n".join([
        f"`paper_scale` C at {record['scale']:g} of its frames (1 worker: {ALONE:g} of those); 2 workers: medians of "
        f"{len(record['turns']['2']['serial'])} turns, streaming of one; target {TARGET['efficiency']}.",
        table(["who", "assembly + TSQR, wall s", "streamed, wall s", "efficiency", "streamed"], rows),
        f"An item of the assembly takes {figure(1e3 * tile)} ms in a serial process; one that does nothing:",
        table(["executor, one worker", "ms an item", f"overhead (limit {100 * TARGET['overhead']:.0f} % for dask)"],
              overhead),
    ])  # fmt: skip


BENCHMARK: Final = Benchmark("scaling", "Parallel efficiency and overhead, against serial processes.", run, markdown)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
