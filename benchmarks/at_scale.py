"""A pass over 10⁹ rows on 10² to 10⁴ workers, simulated from what was measured here: wall time, efficiency, bottleneck.

Measured, in CPU seconds where other work could disturb (``scale_costs.py``): a row of the C and the CN block, the QR of
a leaf and the merge of two triangles by columns, a task of dask's client and scheduler (one process here) and of its
worker, what each worker adds as a verb begins, transfers of dask and of MPI, tiles written and read, planning.
``simulated_cluster.py`` says how a cluster is modelled. Assumed: cores like this one, 64 workers a node, cards of
12.5 GB/s, 50 GB/s of file system, a millisecond for dask's messages and 5 µs for MPI's; groups of forces, stresses and
energies in the shares of 216 atoms; leaves' seconds scatter by 5 %; the scheduler's seconds a task do not grow with the
number of workers; no worker swaps, starts late or meets a full disk. Seconds of rows of other widths follow a power law
through C and CN, and above CN are in proportion to the columns; merges above 3 747 columns take time as n³.

The model is held against passes of ``paper_scale`` C by 1 and 2 workers here: efficiency is that of ``scaling``, wall
seconds of serial processes at once ÷ (workers × wall seconds of the executor), so that other work is in both.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bench import Benchmark, Options, main, tell
from evaluation import published
from launched import launch, launch_at_once
from measure import figure, table, warm_kernels
from paper_scale import load, warm
from scale_costs import calibrated
from scaling import meet
from simulated_cluster import Cluster, Outcome, Pool, Ranks, expected_wall
from simulated_work import Costs, Work, leaves_of

from hiertl_dist import executor, plan, reduce_rows
from hiertl_dist.design_matrix.fit_costs import solve_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS: Final = 10**9
ROWS_A_FRAME: Final = 655
SHARES: Final = (648 / 655, 6 / 655, 1 / 655)
COLUMNS: Final = (487, 1000, 3747, 10_000)
WORKERS: Final = (100, 1000, 10_000)
LATENCY: Final = {"dask": 1e-3, "mpi": 5e-6}
SPREAD: Final = 0.05
KINDS: Final = ("dask", "mpi")
NAMES: Final = {"dask": "dask", "mpi": "MPI"}
CHECKED: Final = 0.05
"""Share of the frames of ``paper_scale`` C that the check is made on."""

TURNS: Final = 2
FAILURES: Final = 1e-2
"""Of a node in an hour: a hundred times what is usual."""

RESTART: Final = 120.0
"""Seconds until a job that a lost rank has ended runs again."""

RANGE: Final = 10.0
"""Seconds between checkpoints."""


# ------------------------------------------------------------------ the model beside the clock


def pass_of(options: Options, kind: str, workers: int, gate: Path | None = None, many: int = 1, name: str = "") -> Any:
    """Wall seconds of a streaming pass over C, its rows and columns; several serial processes meet at a gate first."""
    frames = load(options, ["C"])["C"].fitted
    basis = published(options.data / "cn_dft").basis
    with executor(kind, workers=workers) as runner:
        runner.run(warm, range(8 * workers))
        planned = plan(frames, basis, blocks=["C"], executor=runner)
        meet(gate, name, many)
        began, cpu = time.perf_counter(), time.process_time()
        reduce_rows(planned, ["C"], store=None, executor=runner)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "wall": took, "cpu": cpu, "rows": sum(s.rows for s in planned.segments), "columns": planned.columns["C"],
    }  # fmt: skip


def checked(options: Options, costs: Costs) -> dict[str, Any]:
    """Passes by 1 and 2 workers beside what the model says of them."""
    fewer = replace(options, scale=CHECKED * options.scale)
    load(fewer, ["C"])
    turns: dict[str, list[tuple[float, float]]] = {}
    alone: list[dict[str, Any]] = []
    for turn in range(options.sized(TURNS, 1) if KINDS else 0):
        for workers in (1, 2):
            gate = options.scratch / f"gate-{turn}-{workers}"
            gate.mkdir()
            jobs = [(fewer, "serial", 1, gate, workers, str(i)) for i in range(workers)]
            serial = launch_at_once("at_scale:pass_of", jobs, options.scratch)
            alone += serial
            wall = statistics.mean(one["wall"] for one in serial)
            for kind in KINDS:
                ranks = workers if kind == "mpi" else 0
                answers = launch("at_scale:pass_of", (fewer, kind, workers), options.scratch, ranks=ranks)
                took = max(a["wall"] for a in answers)
                turns.setdefault(f"{kind}, {workers}", []).append((took, wall / workers / took))
                tell(f"at_scale: {kind}, {workers} workers: {took:.2f} s, efficiency {wall / workers / took:.3f}")
    if not alone:
        return {}
    rows, columns = alone[0]["rows"], alone[0]["columns"] + 1
    work = Work(leaves_of(rows, columns, ROWS_A_FRAME), columns, SHARES, costs)
    model = {}
    for name in turns:
        kind, workers = name.split(", ")
        outcome = simulated(kind, work, int(workers))
        model[name] = {"wall": outcome.wall, "efficiency": work.total / int(workers) / outcome.wall}
    return {
        "rows": rows, "columns": columns - 1, "leaves": len(work.rows), "model_cpu": work.total,
        "cpu": statistics.median(one["cpu"] for one in alone), "serial": [one["wall"] for one in alone],
        "turns": turns, "model": model,
    }  # fmt: skip


# ------------------------------------------------------------------ what is simulated


def together(work: Work, workers: int) -> int:
    """Leaves of a task, a power of two, so that the scheduler is busy for a quarter of the time; where that can't be,
    so many that it takes as long as the last tasks."""
    mean, task = work.total / len(work.rows), work.costs.task
    wanted = min(8 * task * workers / mean, (4 * len(work.rows) * task / mean) ** 0.5)
    return 1 << max(0, int(np.log2(max(wanted, 1.0))))


def simulated(kind: str, work: Work, workers: int, *, better: bool = False, failures: float = 0.0) -> Outcome:
    """A pass, as the package makes it now or as it could be made."""
    cluster = Cluster(workers, latency=LATENCY[kind], failures=failures)
    if kind == "dask":
        return Pool(work, cluster, together(work, workers) if better else 1, apart=better).run()
    return Ranks(work, cluster, overlap=better, apart=better).run()


def bottleneck(work: Work, workers: int, outcome: Outcome) -> str:
    """What a pass waits for most, beside the work itself."""
    share = work.total / workers
    if share >= 0.9 * outcome.wall:
        return "the work"
    tail = outcome.wall - outcome.leaves_end
    waits = {
        "scheduler": outcome.scheduler if outcome.scheduler > 0.5 * outcome.leaves_end else 0.0,
        "merges at the end": tail, "uneven shares": outcome.leaves_end - share,
    }  # fmt: skip
    return max(waits, key=lambda name: waits[name])


def case(kind: str, work: Work, workers: int, better: bool) -> dict[str, Any]:
    """One line of the table."""
    outcome = simulated(kind, work, workers, better=better)
    ideal = work.total / workers
    found = {
        "kind": kind, "workers": workers, "columns": work.columns - 1, "better": better, **asdict(outcome),
        "efficiency": ideal / outcome.wall, "bottleneck": bottleneck(work, workers, outcome),
        "together": together(work, workers) if better and kind == "dask" else 1,
    }  # fmt: skip
    if kind == "dask":
        found["failing"] = simulated(kind, work, workers, better=better, failures=FAILURES).wall
    else:
        kept = np.arange(RANGE, outcome.leaves_end, RANGE).tolist() if better else []
        found["failing"] = expected_wall(outcome.wall, Cluster(workers, failures=FAILURES), RESTART, kept)
    return found


def around(work: Work, workers: int, frames: int) -> dict[str, float]:
    """Wall seconds before and after a pass: planning, writing the rows where they are kept, and the solve."""
    costs, n = work.costs, work.columns
    nbytes = 8.0 * float(work.rows.sum()) * n
    made = float(work.rows.sum()) * costs.rows(n) + nbytes / costs.write
    return {
        "plan": frames * (costs.look / workers + costs.plan),
        "assembly": max(made / workers, nbytes / Cluster(workers).store), "solve": solve_seconds(n),
        "combine": (len(work.shares) - 1) * costs.merging(n),
    }  # fmt: skip


def run(options: Options) -> dict[str, Any]:
    """Calibrate, check, simulate."""
    if (why := options.missing("cn_dft", "cn_dft/ALC-3.params.txt")) is not None:
        return {"absent": {"at_scale": why}}
    warm_kernels()
    costs, measured = calibrated(options)
    check = checked(options, costs)
    cases, beside = [], []
    for n in options.sized(COLUMNS, COLUMNS[2:3]):
        rows = options.sized(ROWS, ROWS // 500)
        work = Work(leaves_of(rows, n + 1, ROWS_A_FRAME), n + 1, SHARES, costs, spread=SPREAD)
        for workers in options.sized(WORKERS, (10, 100)):
            beside.append({"columns": n, "workers": workers, **around(work, workers, rows // ROWS_A_FRAME)})
            for kind in ("dask", "mpi"):
                for better in (False, True):
                    cases.append(case(kind, work, workers, better))
                    tell("at_scale: " + ", ".join(f"{k} {v}" for k, v in cases[-1].items()))
    return {"measured": measured, "check": check, "cases": cases, "around": beside, "absent": {}}


# ------------------------------------------------------------------ tables


def _check_rows(check: dict[str, Any]) -> list[list[Any]]:
    lines = []
    for name, turns in check["turns"].items():
        model = check["model"][name]
        wall, efficiency = (statistics.median(column) for column in zip(*turns, strict=True))
        lines.append([name, figure(wall), figure(model["wall"]), figure(efficiency), figure(model["efficiency"])])
    return lines


def _case_rows(cases: Sequence[dict[str, Any]]) -> list[list[Any]]:
    return [
        [c["columns"], c["workers"], NAMES[c["kind"]] + (", redesigned" if c["better"] else ""), figure(c["wall"]),
         figure(c["efficiency"]), c["bottleneck"], figure(c["leaves_end"]), figure(c["scheduler"]), c["tasks"],
         c["together"], figure(c["failing"])]
        for c in cases
    ]  # fmt: skip


def markdown(record: dict[str, Any]) -> str:
    """What was measured, the check, and the table."""
    if "cases" not in record:
        return ""
    m, check = record["measured"], record["check"]
    numbers = [
        *([f"row of {n} columns, µs (the plan says {figure(1e6 * m['estimated'][n])})", figure(1e6 * v)]
          for n, v in m["row"].items()),
        *([f"QR of a leaf, {n} columns, GF/s", figure(1e-9 * v)] for n, v in m["qr"].items()),
        *([f"merge, {n} columns, ms", figure(1e3 * v)] for n, v in m["merge"].items()),
        ["dask: client and scheduler, ms a task", figure(1e3 * m["task"])],
        ["dask: worker, ms a task", figure(1e3 * m["around"])],
        ["dask: a worker that joins, ms", figure(1e3 * m["join"])],
        ["dask: transfer, MB/s", figure(1e-6 * m["dask"])], ["MPI: transfer, MB/s", figure(1e-6 * m["mpi"])],
        ["store: written, MB/s", figure(1e-6 * m["write"])], ["store: read, MB/s", figure(1e-6 * m["read"])],
        ["a frame that is planned, ms, shared out", figure(1e3 * m["look"])],
        ["a frame that is planned, µs, in one process", figure(1e6 * m["plan"])],
    ]  # fmt: skip
    parts = [table(["measured, CPU seconds but for transfers", "value"], numbers)]
    if check:
        parts.append(
            f"A streaming pass over {check['rows']} rows of {check['columns']} columns here: {figure(check['cpu'])} "
            f"CPU s in one process, by the model {figure(check['model_cpu'])}. Wall seconds are those of a machine "
            "with other work; efficiencies are held against serial processes at once."
        )
        head = ["executor, workers", "wall s", "model, wall s", "efficiency", "model, efficiency"]
        parts.append(table(head, _check_rows(check)))
    parts += [
        f"{ROWS:.0e} rows, streamed, forces, stresses and energies apart (toy: fewer). *Redesigned*: see the README. "
        f"Failing: {FAILURES:g} failures of a node in an hour; dask computes again "
        f"what was on the node, an MPI job is begun again {RESTART:.0f} s later, redesigned from checkpoints every "
        f"{RANGE:.0f} s.",
        table(["columns", "workers", "who", "wall s", "efficiency", "bottleneck", "last leaf, s", "scheduler, s",
               "tasks", "leaves a task", "failing, wall s"], _case_rows(record["cases"])),
        "Beside the pass, wall s:",
        table(["columns", "workers", "plan", "assembly, where rows are kept", "groups combined", "ridge"],
              [[b["columns"], b["workers"], *(figure(b[k]) for k in ("plan", "assembly", "combine", "solve"))]
               for b in record["around"]]),
    ]  # fmt: skip
    return "\n\n".join(parts)


BENCHMARK: Final = Benchmark(
    "at_scale", "Passes on 10² to 10⁴ workers, simulated from measurements here.", run, markdown
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
