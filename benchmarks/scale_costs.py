"""What a pass costs here, in parts, for ``at_scale``: rows, QR, merges, tasks, transfers, tiles, planning.

CPU seconds where other work on the machine could disturb; transfers are the fastest of a few, by the clock.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psutil
import store_io
from bench import Options, tell
from clocked import Clocked
from evaluation import published
from launched import launch
from paper_scale import load
from scaling import nothing
from simulated_work import Costs

from hiertl_dist import design_rows, executor, plan
from hiertl_dist.algebra import RFactor

if TYPE_CHECKING:
    from collections.abc import Callable

MEASURED: Final = {487: 6, 1000: 6, 3747: 3}
"""Columns of a leaf, and rows per column."""

TOY_MEASURED: Final = {40: 6, 80: 6}
MANY_BYTES: Final = 2**26
PLANNED: Final = 1800


def arithmetic(options: Options) -> Callable[[], dict[str, dict[int, float]]]:
    """Operations per second of leaves, CPU seconds of merges."""

    def work() -> dict[str, dict[int, float]]:
        rng, qr, merge = np.random.default_rng(0), {}, {}
        for n, times in options.sized(MEASURED, TOY_MEASURED).items():
            m, factors = times * n, []
            for _ in range(2):
                rows = np.asfortranarray(rng.normal(size=(m, n)))
                began = time.process_time()
                factors.append(RFactor.of_buffer(rows, overwrite=True))
                qr[n] = (2 * m * n**2 - 2 / 3 * n**3) / max(time.process_time() - began, 1e-6)
            took = []
            for _ in range(1 + 2 * (n < 2000)):
                began = time.process_time()
                factors[0].merge(factors[1])
                took.append(time.process_time() - began)
            merge[n] = max(min(took), 1e-6)
        return {"qr": qr, "merge": merge}

    return work


def rows_and_plan(options: Options) -> Callable[[], dict[str, Any]]:
    """CPU seconds of a row by columns, and of a frame that is planned: shared out, and in the calling process."""
    data = load(options, ["C", "CN"])
    basis = published(options.data / "cn_dft").basis

    def work() -> dict[str, Any]:
        row, estimated, verbs, looked, planning = {}, {}, [], [], []
        for block, few in data.items():
            frames = few.fitted[:6]
            with executor("serial") as inner:
                runner = Clocked(inner)
                # few frames are looked at, and many planned: what is known of a frame is looked at once
                for those in (frames, PLANNED // 6 * frames):
                    began = time.process_time()
                    planned = plan(those, basis, blocks=[block], executor=runner)  # type: ignore[arg-type]
                    took = time.process_time() - began
                    verbs.append(sum(step["cpu"] for step in runner.taken()))
            looked.append(verbs[-2] / len(frames))
            planning.append((took - verbs[-1]) / len(those))
            began = time.process_time()
            made = design_rows(frames, basis, [block])
            took = time.process_time() - began
            columns = made.matrix.shape[1]
            row[columns], estimated[columns] = (
                took / len(made.target),
                planned.seconds / sum(x.rows for x in planned.segments),
            )
        return {"row": row, "estimated": estimated, "look": max(looked), "plan": max(planning)}

    return work


def _children_cpu() -> float:
    return sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children(recursive=True))


def _first(a: Any, b: Any) -> Any:
    return a


def dask_costs(options: Options) -> dict[str, float]:
    """CPU seconds of a task, for client with scheduler and for the worker, of a worker that joins; bytes per second."""
    from distributed import Client, LocalCluster

    tasks = options.sized(400, 8)
    with executor("dask", workers=2) as runner:
        runner.run(nothing, range(16))
        own, theirs = time.process_time(), _children_cpu()
        runner.reduce(nothing, _first, range(tasks))
        own, theirs = time.process_time() - own, _children_cpu() - theirs
        client = runner.client  # type: ignore[attr-defined]
        a, b = client.scheduler_info(n_workers=-1)["workers"]
        took = []
        for size in (1, MANY_BYTES // 8) * 3:
            value = client.submit(np.zeros, size, workers=[a], pure=False)
            value.exception()
            began = time.perf_counter()
            client.submit(len, value, workers=[b], pure=False).result()
            took.append(time.perf_counter() - began)
    seconds = max(min(took[1::2]) - min(took[::2]), 1e-6)
    joined = {}
    for workers in (1, options.sized(33, 3)):
        with (
            LocalCluster(n_workers=workers, threads_per_worker=1, processes=False, dashboard_address=None,
                         scheduler_kwargs={"dashboard_address": "127.0.0.1:0"}) as cluster,
            Client(cluster, set_as_default=False) as guest, executor("dask", client=guest) as runner,
        ):  # fmt: skip
            runner.run(nothing, [0])
            began = time.process_time()
            for _ in range(3):
                runner.run(nothing, [0])
            joined[workers] = (time.process_time() - began) / 3
    (few, least), (many, most) = joined.items()
    number = 2 * tasks - 1
    return {
        "task": own / number, "around": theirs / number, "join": max(most - least, 0.0) / (many - few),
        "dask": MANY_BYTES / seconds,
    }  # fmt: skip


def mpi_costs() -> float:
    """Bytes per second of a triangle on its way to another rank and back, as the executor sends it."""
    from mpi4py import MPI
    from mpi4py.util import pkl5

    comm: Any = pkl5.Intracomm(MPI.COMM_WORLD)
    value, took = np.zeros(MANY_BYTES // 8), []
    for _ in range(5):
        comm.Barrier()
        began = time.perf_counter()
        if comm.Get_rank() == 0:
            comm.isend((True, value), 1).wait()
            comm.recv(source=1)
        else:
            comm.isend(comm.recv(source=0), 0).wait()
        took.append((time.perf_counter() - began) / 2)
    return MANY_BYTES / min(took)


def store_costs(options: Options) -> dict[str, float]:
    """Bytes per CPU second of writing and reading tiles."""
    shape = options.sized(store_io.SHAPES, store_io.TOY)["wide"]
    # toy: its turns are one each
    found = store_io.derived(shape, options.value(store_io.timing, options, shape, warm=False))
    speed = {step: found["steps"][step]["ways"]["store"]["mb_per_second"] for step in ("write", "read warm")}
    return {"write": 1e6 * (speed["write"] or 1e3), "read": 1e6 * (speed["read warm"] or 1e3)}


def calibrated(options: Options) -> tuple[Costs, dict[str, Any]]:
    """What everything takes here, and the record of it."""
    found = options.value(arithmetic, options, warm=False) | options.value(rows_and_plan, options)
    found |= launch("scale_costs:dask_costs", [options], options.scratch)[0]
    found["mpi"] = min(launch("scale_costs:mpi_costs", [], options.scratch, ranks=2))
    found |= store_costs(options)
    tell("at_scale: " + ", ".join(f"{k} {v}" for k, v in found.items()))
    return Costs(**{k: v for k, v in found.items() if k != "estimated"}), found
