"""Memory that plans announce beside what workers take: assembly, streamed and kept reduction, solve; by executor.

And climbs with probes: three binaries side by side that lean on their elements, by what the calling process takes.

Frames are small crystals of C and N, and all columns are fitted at once. Each executor of each width works in a process
of its own; what is measured is the largest resident set (VmHWM) of any of its workers during a step: a child of the
calling process, that process itself where it works, any rank of MPI. Projections are what the library compares with the
memory there is. A store larger than memory is made and fitted from by two workers of dask that may take 1 GB each, and
are ended where they take more. ``--frames-scale`` multiplies the rows.
"""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import replace
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psutil
from bench import Benchmark, Options, main, tell
from clocked import reset_peaks
from launched import launch, mpi_words
from made import crystal
from measure import figure, peak_memory, peak_of, table, warm_kernels

from hiertl_dist import (
    Basis,
    FitSettings,
    HierarchyOptions,
    Prior,
    assemble,
    blocks_of,
    executor,
    fit_block,
    fit_hierarchy,
    plan,
)
from hiertl_dist.algebra.regularisers import Ridge
from hiertl_dist.fitting.block_fit import solve_summaries
from hiertl_dist.fitting.leaves import cut_of, peak_bytes
from hiertl_dist.fitting.reduction import reduce_rows, solve_bytes
from hiertl_dist.frames.element_set import ElementSet
from hiertl_dist.frames.frame_sequence import sequence_of
from hiertl_dist.jobs.fit_needs import needs_of_fits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hiertl_dist.executors import Executor

ORDERS: Final = {
    "78": (12, 3, 0), "558": (12, 7, 0), "1 126": (12, 9, 0), "4 016": (12, 14, 0), "10 001": (77, 19, 0),
}  # fmt: skip
"""Of the bases, by their number of columns."""

ROWS: Final = {"78": 60_000, "558": 40_000, "1 126": 24_000, "4 016": 36_000, "10 001": 21_500}
TOY: Final = {"78": 400}
ONE_PROCESS: Final = ("10 001",)
"""Widths that are run by the calling process alone."""

STORE_COLUMNS: Final = "1 126"
STORE_BYTES: Final = 20e9
TOY_BYTES: Final = 2e6
LIMIT: Final = 10**9
"""Bytes that each worker may take which fits from a store of that size."""

PROBED: Final = {"242": (12, 6, 0), "732": (12, 6, 3)}
"""Orders of climbs with probes, by the columns of a binary block."""

PROBED_FRAMES: Final = 40
"""Of each element, and of each of the binaries."""

ROWS_OF_FRAME: Final = 55
KINDS: Final = ("serial", "processes", "dask", "mpi")
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
    workers = WORKERS if kind in ("processes", "dask") else None
    with executor(kind, workers=workers) as runner:
        planned = plan(frames, basis, executor=runner)
        runner.run(_warm, range(4 * runner.workers), what="load kernels")
        found: dict[str, Any] = {
            "columns": sum(planned.columns.values()), "rows": sum(s.rows for s in planned.segments),
            "tile": max(t.nbytes for t in planned.tiles), "before": _peaks(runner, lambda: None)[0],
        }  # fmt: skip

        def step(name: str, projected: int, call: Callable[[], Any]) -> Any:
            peak, caller, value = _peaks(runner, call)
            found[name] = {"projected": projected, "measured": peak, "caller": caller}
            return value

        assembling = planned.worker_bytes + runner.overhead
        kept = step("assembly", assembling, lambda: assemble([], basis, folder, plan=planned, executor=runner))
        width = found["columns"] + 1
        cut = cut_of(planned.segments, width)
        for name, source in (("streamed", None), ("kept", kept.store)):
            reduced = None  # that of the pass before
            reduced = step(
                name, peak_bytes([cut], runner),
                lambda source=source: reduce_rows(planned, names, store=source, executor=runner))  # fmt: skip
        step("solve", solve_bytes(width, cut.sizes, runner, "ridge"),
             lambda: solve_summaries(reduced, Ridge(1.0), FitSettings(), runner))  # fmt: skip
    return found


def alloy_basis(orders: tuple[int, int, int]) -> Basis:
    """Three elements; pairs to 4.5 Å, triplets to 4, quadruplets to 3."""
    pairs = {
        a + b: {"rmin": 0.5, "rmax": 4.5, "lambda": 1.4} for a, b in combinations_with_replacement(("C", "N", "O"), 2)
    }
    more = {"three_body": {"rmax": 4.0}, "four_body": {"rmax": 3.0}}
    return Basis.from_dict({"elements": ["C", "N", "O"], "orders": list(orders), "pairs": pairs, **more})


def alloy_frames(number: int) -> list[Any]:
    """So many crystals of 54 atoms of each element and of each two, with labels that say nothing."""
    made = []
    for elements in ("C", "N", "O", "CN", "CO", "NO"):
        for i in range(number):
            cell = crystal(3, i)
            rng = np.random.default_rng([i, 1])
            order = tuple(elements[k % len(elements)] for k in rng.permutation(len(cell)))
            forces = rng.normal(0.0, 20.0, (len(cell), 3))  # of zeros probes would have no size
            made.append(replace(cell, species=order, forces=forces, group=elements))
    return made


def climb_with_probes(kind: str, orders: tuple[int, int, int], number: int) -> dict[str, Any]:
    """Projected and measured bytes of a climb with probes, in a process that does nothing else."""
    basis, frames = alloy_basis(orders), sequence_of(alloy_frames(number))
    blocks = [ElementSet.parse(b) for b in ("C", "N", "O", "CN", "CO", "NO")]
    settings = FitSettings({"kind": "ridge", "alpha": 1.0}, prior=Prior(mean="mixed", probes=24))
    options = HierarchyOptions(settings, missing="zero")
    with executor(kind, workers=WORKERS if kind in ("processes", "dask") else None) as runner:
        planned = plan(frames, basis, blocks=blocks, by_block=True, executor=runner)
        fits = {(b,): {(b, b)} for b in blocks}
        needs = needs_of_fits(planned, fits, frames, 0, options, runner, all_at_once=False)
        runner.run(_warm, range(4 * runner.workers), what="load kernels")
        worker, caller, _ = _peaks(
            runner, lambda: fit_hierarchy(frames, basis, options=options, executor=runner))  # fmt: skip
    own = {"projected": max(needs.reduction, needs.solve), "measured": worker}
    return {
        "columns": planned.columns[blocks[-1]], "caller": {"projected": needs.caller, "measured": caller},
        "worker": {"projected": needs.caller, "measured": caller} if runner.caller_works else own,
    }  # fmt: skip


def from_large_store(orders: tuple[int, int, int], size: float, folder: Path) -> dict[str, Any]:
    """Projected and measured bytes of each step with a store of some size, each worker limited."""
    from distributed import Client, LocalCluster

    basis = basis_of(orders)
    names = [b.name for b in blocks_of(basis)]
    width = sum(b.n_columns for b in blocks_of(basis)) + 1
    cells = 4 if size > TOY_BYTES else 2
    frames = [crystal(cells, 0)]
    rows = 3 * len(frames[0]) + 7
    frames += [crystal(cells, seed) for seed in range(1, max(2, int(size / (8 * width * rows))))]
    settings = FitSettings({"kind": "ridge", "alpha": 1.0})
    with (
        LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, memory_limit=LIMIT, host="127.0.0.1", dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
        executor("dask", client=client) as runner,
    ):  # fmt: skip
        planned = plan(frames, basis, executor=runner)
        cut = cut_of(planned.segments, width)
        began = time.perf_counter()
        assembling, _, made = _peaks(
            runner, lambda: assemble([], basis, folder, plan=planned, executor=runner))  # fmt: skip
        between = time.perf_counter()
        fitting, caller, fit = _peaks(
            runner, lambda: fit_block(frames, basis, "CN", free=("C", "N"), store=folder, settings=settings,
                                      executor=runner))  # fmt: skip
        return {
            "columns": width - 1, "rows": sum(s.rows for s in planned.segments), "bytes": made.store.nbytes(),
            "assembly": {"projected": planned.worker_bytes + runner.overhead, "measured": assembling},
            "fit": {"projected": max(peak_bytes([cut], runner), solve_bytes(width, cut.sizes, runner, "ridge")),
                    "measured": fitting},
            "caller": caller, "assembly_seconds": between - began, "fit_seconds": time.perf_counter() - between,
            "recomputed": fit.assembly.computed, "blocks": names,
        }  # fmt: skip


def _peaks(runner: Executor, call: Callable[[], Any]) -> tuple[int, int, Any]:
    """The largest resident sets of a worker and of the calling process during a call, and what it returned."""
    reset_peaks()
    value = call()
    own = peak_memory()
    if runner.name in ("serial", "mpi"):
        return own, own, value
    return max(p for c in psutil.Process().children(recursive=True) if (p := peak_of(c.pid)) is not None), own, value


def _warm(_: int) -> None:
    warm_kernels()


def run(options: Options) -> dict[str, Any]:
    """Every width with every executor."""
    found: dict[str, Any] = {}
    absent: dict[str, str] = {}
    for label, rows in options.sized(ROWS, TOY).items():
        for kind in KINDS[:1] if label in ONE_PROCESS else options.sized(KINDS, KINDS[:1]):
            tell(f"  {label} columns, {kind}")
            folder = options.scratch / f"{label.replace(' ', '')}-{kind}"
            args = (kind, ORDERS[label], int(rows * options.scale), folder)
            try:
                ranks = len(mpi_words(WORKERS)) and WORKERS if kind == "mpi" else 0
            except RuntimeError as error:
                absent["mpirun"] = str(error)
                continue
            answers = launch("memory:measured", args, options.scratch, ranks=ranks) if options.apart else (
                [measured(*args)])  # fmt: skip
            found[f"{kind}, {label} columns"] = _largest(answers)
    probed = {}
    for label in options.sized(tuple(PROBED), ()) or ("toy",):
        for kind in options.sized(("serial", "processes", "dask"), KINDS[:1]):
            tell(f"  a climb with probes, {label} columns, {kind}")
            args = (kind, PROBED.get(label, (4, 2, 0)), options.sized(PROBED_FRAMES, 2))
            probed[f"{kind}, {label} columns"] = (
                launch("memory:climb_with_probes", args, options.scratch)[0] if options.apart
                else climb_with_probes(*args))  # fmt: skip
    size = options.sized(STORE_BYTES * options.scale, TOY_BYTES)
    tell(f"  a store of {size / 1e9:.3g} GB, dask")
    store = options.scratch / "large-store"
    orders = ORDERS[options.sized(STORE_COLUMNS, "78")]
    try:
        args = (orders, size, store)
        large = launch("memory:from_large_store", args, options.scratch)[0] if options.apart else (
            from_large_store(*args))  # fmt: skip
    finally:
        shutil.rmtree(store, ignore_errors=True)
    return {"cases": found, "probes": probed, "store": large, "absent": absent}


def _largest(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of each step what the rank says that took most."""
    steps = {step: max((a[step] for a in answers), key=lambda own: own["measured"]) for step in STEPS}
    return answers[0] | steps


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
    climbs = []
    for name, own in record["probes"].items():
        pairs = [(own[who]["projected"], own[who]["measured"]) for who in ("caller", "worker")]
        cells = [f"{figure(a / MIB)} / {figure(b / MIB)}{'' if abs(a / b - 1.0) <= NEAR else ' !'}" for a, b in pairs]
        climbs.append([name, own["columns"], *cells])
    with_probes = table(["climb with probes", "columns of a binary", "calling process", "a worker"], climbs)
    head = ["case", "columns", "rows", "largest tile", "before", *(f"{s}: projected / measured" for s in STEPS)]
    own = record["store"]
    assembly, fit = (
        f"{figure(own[s]['projected'] / MIB)} / {figure(own[s]['measured'] / MIB)} MiB" for s in ("assembly", "fit")
    )
    return (
        f"MiB of a worker; ! where the projection is not within {100 * NEAR:.0f} % of what was measured.\n\n"
        f"{table(head, lines)}\n\n{with_probes}\n\n"
        f"Store of {own['bytes'] / 1e9:.3g} GB ({own['rows']} rows, {own['columns']} columns), {WORKERS} workers of "
        f"dask that may take {LIMIT / MIB:.0f} MiB each: projected / measured {assembly} to assemble, {fit} to fit; "
        f"the calling process took {figure(own['caller'] / MIB)} MiB.\n\n"
        f"{record['absent'] or ''}"
    ).rstrip()


BENCHMARK: Final = Benchmark("memory", "What plans announce of memory beside what workers take.", run, markdown)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
