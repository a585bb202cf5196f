"""The executor that hands calls to a dask cluster: one that is there already, or a local one of its own.

``distributed`` is imported when an executor is made, not before: it takes half a second.
"""

from __future__ import annotations

import logging
import pickle
import sys
import time
import uuid
from contextlib import suppress
from types import TracebackType
from typing import Any, ClassVar, Final

from hiertl_dist.errors import InputError, LaunchError
from hiertl_dist.executors.base import Call, Fault, attempt, cores, fault_of, pack
from hiertl_dist.executors.guard import message, require_main_guard, unguarded
from hiertl_dist.executors.pool import Crew, Done, Job, PoolExecutor
from hiertl_dist.executors.stopping import deaf_to_signals
from hiertl_dist.text.display import cut

JOBS_PER_THREAD = 2  # one that runs and one that waits beside it
_SECONDS_FOR_PLUGIN = 60.0
_TRIES_TO_SEND = 3


class DaskExecutor(PoolExecutor):
    """Calls on the workers of a dask cluster, which may come and go.

    The cluster is that of ``client``; else that of the current client; else a local one of ``workers`` processes
    with a thread each, bound to 127.0.0.1, which ``close`` ends. A cluster that was there before stays as it
    was.

    No more than two calls a thread are in flight. The functions are sent to each worker once, also to
    workers that come later. The values of a reduction stay on the workers. Where a worker is lost, dask
    makes its calls again elsewhere, and gives up on a call that was on more than
    ``distributed.scheduler.allowed-failures`` (3) lost workers; it can't tell a call that killed its worker
    from one that waited there, so all such are named. Exceptions are not retried.

    Raises
    ------
    LaunchError
        When a cluster is to be started and the script that is run has no ``if __name__ == "__main__":``.
    ValueError
        When ``workers`` is given beside ``client``, is less than 1, or when the client is asynchronous.
    """

    name: ClassVar[str] = "dask"

    def __init__(self, client: Any = None, workers: int | None = None) -> None:
        if client is not None and workers is not None:
            raise InputError("workers is for a local cluster: that of a client has the workers that it has")
        super().__init__(cores() if workers is None else workers)
        self._cluster: Any = None
        self._client = client if client is not None else current_client()
        if self._client is None:
            self._cluster, self._client = _own_cluster(self._workers)
        elif self._client.asynchronous:
            raise InputError("the dask client is asynchronous: make one with asynchronous=False")

    @property
    def workers(self) -> int:
        """Threads of all of dask's workers together, at least 1."""
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    def memory(self) -> int:
        """The smallest share of a thread, of what dask allows each worker, times their number."""
        info = self._client.scheduler_info(n_workers=-1)["workers"].values()
        limits = [w["memory_limit"] // max(1, w["nthreads"]) for w in info if w.get("memory_limit")]
        return min(limits) * self.workers if limits else super().memory()

    def __repr__(self) -> str:
        whose = "a cluster that was there" if self._cluster is None else "a local cluster of its own"
        if self._client.status != "running":
            return f"DaskExecutor: {self._client.status}"
        return cut(f"DaskExecutor: {whose}, {self._client!r}")  # a client's repr asks nobody, so it can't hang

    @property
    def client(self) -> Any:
        """The distributed.Client in use."""
        return self._client

    def close(self) -> None:
        """Close the cluster and its client, if they were started here."""
        if self._cluster is not None:
            self._client.close()
            self._cluster.close()
            self._cluster = None

    def _crew(self, calls: tuple[Call, ...], *, keep: bool) -> Crew:
        return _DaskCrew(self, calls)  # a future is a handle already


def current_client() -> Any:
    """The distributed.Client that is current in this process, or None."""
    if "distributed" not in sys.modules:
        return None
    from distributed import Client

    try:
        return Client.current()
    except ValueError:
        return None


QUIET: Final = {
    # these take a tenth of a core together; without a dashboard nobody sees what they find
    "distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s", "distributed.worker.memory.monitor-interval": "1s",
    # dask has every 64 KiB that are let go given back to the system, which clears them again for the next array
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": str(2**26),
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": str(2**26),
}  # fmt: skip
"""Settings of a cluster of our own."""


def _own_cluster(workers: int) -> tuple[Any, Any]:
    import dask
    from distributed import Client, LocalCluster, WorkerPlugin
    from distributed.system import MEMORY_LIMIT

    require_main_guard()
    try:
        with dask.config.set(QUIET):
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                # dask's own choice is the share of the worker's cores, and to kill a worker that has more than that
                memory_limit=MEMORY_LIMIT // workers,
                # without it a second cluster warns that port 8787 is taken, dashboard or none
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                silence_logs=logging.CRITICAL,
            )
            client = Client(cluster, set_as_default=False)
            plugin = WorkerPlugin()
            plugin.setup = _deafen  # also of workers that start later in the place of others
            client.register_plugin(plugin, name="hiertl-deaf-to-signals")
            return cluster, client
    except Exception:
        if unguarded():
            raise LaunchError(message()) from None
        raise


class _DaskCrew(Crew):
    def __init__(self, executor: DaskExecutor, calls: tuple[Call, ...]) -> None:
        from distributed import as_completed

        self._executor = executor
        self._client = executor.client
        self._mark = f"0{uuid.uuid4().hex[:15]}"
        self._name = f"hiertl-{self._mark}"
        self._flying: dict[str, tuple[Job, Any]] = {}
        self._endings = as_completed(loop=self._client.loop)
        self._capacity, self._capacity_until = 0, 0.0
        self._send(pack(calls))

    def _send(self, blob: bytes) -> None:
        # a plugin, not scattered data: dask gives it to workers that come later, can't lose it with a worker,
        # and is not drawn by it to make every call where the data is
        from distributed import WorkerPlugin

        plugin = WorkerPlugin()
        plugin.name = self._name
        plugin.shipped = _Shipped(blob)
        for trial in range(_TRIES_TO_SEND):
            try:
                self._client.register_plugin(plugin, name=self._name)
                return
            except OSError:  # a worker left in this very moment; the next list of workers is without it
                if trial == _TRIES_TO_SEND - 1:
                    raise
                time.sleep(1)

    def capacity(self) -> int:
        now = time.monotonic()
        if now > self._capacity_until:  # it asks the scheduler
            self._capacity, self._capacity_until = JOBS_PER_THREAD * self._executor.workers, now + 1
        return self._capacity

    def start(self, job: Job) -> None:
        future = self._client.submit(
            _answer,
            self._name,
            job.call,
            # packed, for dask would look for futures in an item, and rebuild what it is made of
            pack(job.args) if job.node.is_leaf else None,
            *(() if job.node.is_leaf else job.args),
            # dask counts tasks by the words before the first that has digits
            key=f"{job.name}-{self._mark}-{job.node.lo}-{job.node.hi}",
            priority=0 if job.node.is_leaf else 1,
            pure=False,
        )
        self._flying[future.key] = job, future
        self._endings.add(future)

    def wait(self) -> list[Done]:
        return [self._done(next(self._endings))]

    def _done(self, future: Any) -> Done:
        job, _ = self._flying.pop(future.key)
        if future.status == "finished":
            return Done(job, future)
        return Done(job, fault=_fault(future))

    def fetch(self, handle: Any) -> Any:
        return handle.result().value

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # only where the verb was interrupted is anything in flight; and then the scheduler may be gone too, or a worker
        # that leaves know nothing of the plugin (KeyError), which must not stand in the place of the interrupt
        with suppress(OSError, TimeoutError, KeyError):
            if self._flying:
                self._client.cancel([future for _, future in self._flying.values()])
            self._client.unregister_worker_plugin(self._name)


def _fault(future: Any) -> Fault:
    from distributed import CancelledError, KilledWorker

    try:
        error = future.exception()
    except CancelledError as cancelled:
        error = cancelled
    if isinstance(error, KilledWorker):
        return Fault.of(error, lost=True, text="it died again and again (killed, out of memory, a crash)")
    if isinstance(error, CancelledError):
        return Fault.of(error, lost=True, text="the scheduler is gone, or was told to drop the call")
    return fault_of(error)


# ---- on the worker


def _deafen(worker: Any) -> None:
    """Of a cluster of our own, whose client stops it: a worker that a signal ends would leave a part of a file."""
    deaf_to_signals()


class _Shipped:
    """The functions of a verb, pickled until a call wants them.

    What fails to load then fails that call, not the worker.
    """

    def __init__(self, blob: bytes) -> None:
        self._blob = blob
        self._calls: tuple[Call, ...] | None = None

    def calls(self) -> tuple[Call, ...]:
        calls = self._calls
        if calls is None:  # two threads may both load; either's is good
            calls = self._calls = pickle.loads(self._blob)
        return calls


def _answer(name: str, which: int, packed: bytes | None, *values: Any) -> Any:
    from distributed import get_worker

    plugins = get_worker().plugins
    deadline = time.monotonic() + _SECONDS_FOR_PLUGIN
    while name not in plugins and time.monotonic() < deadline:  # a call may overtake it
        time.sleep(0.01)
    args = [sealed.value for sealed in values] if packed is None else pickle.loads(packed)
    return _Sealed(attempt(plugins[name].shipped.calls()[which], *args))


class _Sealed:
    """A value that dask carries and does not look into: it would turn named tuples into plain ones."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __sizeof__(self) -> int:
        # what dask bounds a worker's memory by
        from dask.sizeof import sizeof

        return int(sizeof(self.value))
