"""Memory that plans announce beside what workers take: assembly, streamed and kept reduction, solve; by executor.

Frames are small crystals of C and N, and all columns are fitted at once. Each executor of each width works in a process
of its own; what is measured is the largest resident set (VmHWM) of any of its workers during a step, the calling
process where that works itself, as in a solve. Projections are what the library compares with the memory there is.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import psutil
from bench import Benchmark, Options, main, tell
from clocked import reset_peaks
from launched import launch
from made import crystal
from measure import figure, peak_memory, peak_of, table, warm_kernels

from hiertl_dist import Basis, assemble, blocks_of, executor, plan
from hiertl_dist.fitting.leaves import cut_of, peak_bytes
from hiertl_dist.fitting.reduction import reduce_rows, solve_bytes
from hiertl_dist.fitting.view_solutions import solve
from hiertl_dist.fitting.views import whole_view

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hiertl_dist.executors import Executor

ORDERS: Final = {"100": (12, 3, 0), "1 000": (12, 9, 0), "4 000": (12, 14, 0)}
"""Of the bases, by their number of columns, roughly."""

ROWS: Final = {"100": 60_000, "1 000": 24_000, "4 000": 36_000}
TOY: Final = {"100": 400}
ROWS_OF_FRAME: Final = 55
KINDS: Final = ("serial", "processes", "dask")
WORKERS: Final = 2
STEPS: Final = ("assembly", "streamed", "kept", "solve")
NEAR: Final = 0.2
MIB: Final = 2**20


def basis_of(orders: tuple[int, int, int]) -> Basis:
    """Pairs to 3.2 Å, triplets to 2.6 Å."""
    pairs = {p: {"rmin": 0.5, "rmax": 3.2, "lambda": 1.4} for p in ("CC", "CN", "NN")}
    return Basis.from_dict(
        {"elements": ["C", "N"], "orders": list(orders), "pairs": pairs, "three_body": {"rmax": 2.6}}
    )


def measured(kind: str, orders: tuple[int, int, int], rows: int, folder: Path) -> dict[str, Any]:
    """Projected and measured bytes of each step, in a process that does nothing else."""
    basis = basis_of(orders)
    frames = [crystal(2, seed) for seed in range(-(-rows // ROWS_OF_FRAME))]
    names = [b.name for b in blocks_of(basis)]
    workers = None if kind == "serial" else WORKERS
    with executor(kind, workers=workers) as runner:
        planned = plan(frames, basis, executor=runner)
        runner.run(_warm, range(4 * runner.workers), what="load kernels")
        found: dict[str, Any] = {
            "columns": sum(planned.columns.values()), "rows": sum(s.rows for s in planned.segments),
            "tile": max(t.nbytes for t in planned.tiles), "before": _peak(runner, lambda: None)[0],
        }  # fmt: skip

        def step(name: str, projected: int, call: Callable[[], Any], *, here: bool = False) -> Any:
            peak, value = _peak(runner, call, here=here)
            found[name] = {"projected": projected, "measured": peak}
            return value

        assembling = planned.worker_bytes + runner.overhead
        kept = step("assembly", assembling, lambda: assemble([], basis, folder, plan=planned, executor=runner))
        width = found["columns"] + 1
        cut = cut_of(planned.segments, width)
        for name, source in (("streamed", None), ("kept", kept.store)):
            step(name, peak_bytes([cut], runner),
                 lambda source=source: reduce_rows(planned, names, store=source, executor=runner))  # fmt: skip
        reduced = reduce_rows(planned, names, store=kept.store, executor=runner)

        def solving() -> Any:
            return solve(whole_view(reduced), {"kind": "ridge", "alpha": 1.0})

        step("solve", solve_bytes(width, cut.sizes, "ridge"), solving, here=True)
    return found


def _peak(runner: Executor, call: Callable[[], Any], *, here: bool = False) -> tuple[int, Any]:
    """The largest resident set of a worker during a call, and what it returned."""
    reset_peaks()
    value = call()
    if here or runner.name == "serial":
        return peak_memory(), value
    return max(p for c in psutil.Process().children(recursive=True) if (p := peak_of(c.pid)) is not None), value


def _warm(_: int) -> None:
    warm_kernels()


def run(options: Options) -> dict[str, Any]:
    """Every width with every executor."""
    found: dict[str, Any] = {}
    for label, rows in options.sized(ROWS, TOY).items():
        for kind in options.sized(KINDS, KINDS[:1]):
            tell(f"  {label} columns, {kind}")
            folder = options.scratch / f"{label.replace(' ', '')}-{kind}"
            args = (kind, ORDERS[label], rows, folder)
            found[f"{label} {kind}"] = launch("memory:measured", args, options.scratch)[0] if options.apart else (
                measured(*args))  # fmt: skip
    return {"cases": found}


def markdown(record: dict[str, Any]) -> str:
    """One table, MiB."""
    lines = []
    for name, own in record["cases"].items():
        line = [name, own["columns"], own["rows"], figure(own["tile"] / MIB), figure(own["before"] / MIB)]
        for step in STEPS:
            projected, peak = own[step]["projected"], own[step]["measured"]
            far = "" if abs(projected / peak - 1.0) <= NEAR else " !"
            line.append(f"{figure(projected / MIB)} / {figure(peak / MIB)}{far}")
        lines.append(line)
    head = ["case", "columns", "rows", "largest tile", "before", *(f"{s}: projected / measured" for s in STEPS)]
    return (
        f"MiB of a worker; ! where the projection is not within {100 * NEAR:.0f} % of what was measured.\n\n"
        f"{table(head, lines)}"
    )


BENCHMARK: Final = Benchmark("memory", "What plans announce of memory beside what workers take.", run, markdown)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
