"""The workers of a dask cluster during one verb, and what is done there."""

from __future__ import annotations

import pickle
import platform
import queue
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Final

from hiertl_dist.errors import StoreError
from hiertl_dist.executors.base import CallFailed, Fault, attempt, fault_of, pack
from hiertl_dist.executors.batches import Call
from hiertl_dist.executors.cluster_watch import (
    SECONDS_BETWEEN_LOOKS,
    SECONDS_FOR_GOODBYE,
    Watch,
    address_of,
    scheduler_gone,
)
from hiertl_dist.executors.dask_options import DaskOptions
from hiertl_dist.executors.memory import memory_text
from hiertl_dist.executors.pool import Crew, Done, Job, Stopped
from hiertl_dist.executors.shared_folders import Token, require_seen
from hiertl_dist.executors.trees import Node

LARGE: Final = 2**20
"""Bytes of an item, well below those that dask warns of."""

JOBS_PER_THREAD: Final = 2  # one that runs and one that waits beside it
_SECONDS_FOR_PLUGIN: Final = 60.0
_TRIES: Final = 3  # to send the functions or to fetch a value, where a worker leaves meanwhile
_LOOKS: Final = 10


class DaskCrew(Crew):
    """Hands jobs to dask's workers. The functions go to each worker once, by a plugin, and so do tokens of folders.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    options : DaskOptions
        What is asked of workers, and how long they are waited for.
    calls : tuple of callable
        The functions of the verb.
    tokens : Sequence of Token
        Files that each worker must see before it makes a call.
    names : set of str
        Takes the names of tasks that are submitted.
    elsewhere : bool
        Whether workers may be on other machines: then failures to read a file say on which.
    """

    def __init__(
        self, client: Any, options: DaskOptions, calls: tuple[Call, ...], tokens: Sequence[Token], names: set[str],
        elsewhere: bool,
    ) -> None:  # fmt: skip
        self._client, self._options, self._names = client, options, names
        self._mark = f"0{uuid.uuid4().hex[:15]}"
        self._name = f"hiertl-{self._mark}"
        self._flying: dict[str, tuple[Job, Any]] = {}
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        shipped = _Shipped(pack(calls), tuple(tokens), elsewhere)
        self._unsent: BaseException | None = None
        self._watch = Watch(client, options.worker_wait)
        # not waited for: a worker that leaves at this moment has it wait for half a minute
        self._sending = threading.Thread(target=self._send, args=(shipped,), name="dask functions", daemon=True)
        self._sending.start()

    def _send(self, shipped: _Shipped) -> None:
        # a plugin, not scattered data: dask gives it to workers that come later, can't lose it with a worker,
        # and is not drawn by it to make every call where the data is
        from distributed import WorkerPlugin

        plugin = WorkerPlugin()
        plugin.name = self._name
        plugin.shipped = shipped
        for _ in range(_TRIES):
            try:
                self._client.register_plugin(plugin, name=self._name)
                self._unsent = None
                return
            except OSError as error:  # a worker left in this very moment; the next list of workers is without it
                self._unsent = error
                time.sleep(1)
            except BaseException as error:
                self._unsent = error
                return

    def flying(self) -> list[Node]:
        """Nodes of the jobs in flight."""
        return [job.node for job, _ in self._flying.values()]

    def capacity(self) -> int:
        """Two jobs a thread: one runs and one waits beside it."""
        return JOBS_PER_THREAD * self._watch.threads

    def start(self, job: Job) -> None:
        """Submit a job."""
        self._names.add(job.name)
        wanted = self._options.of_task(job.name)
        # packed, for dask would look for futures in an item, and rebuild what it is made of
        packed = pack(job.args) if job.node.is_leaf else None
        with _large_items(packed):
            future = self._client.submit(
                _answer,
                self._name,
                job.call,
                packed,
                *(() if job.node.is_leaf else job.args),
                # dask counts tasks by the words before the first that has digits
                key=f"{job.name}-{self._mark}-{job.node.lo}-{job.node.hi}",
                priority=0 if job.node.is_leaf else 1,
                pure=False,
                resources=None if wanted is None else wanted[1],
            )
        self._flying[future.key] = job, future
        self._await(future)

    def _await(self, future: Any) -> None:
        future.add_done_callback(lambda ended: self._ended.put(str(ended.key)))

    def wait(self) -> list[Done]:
        """The next job that has ended, or Stopped where there is no use in waiting."""
        while True:
            try:
                key = self._ended.get(timeout=SECONDS_BETWEEN_LOOKS)
            except queue.Empty:
                self._watch.check()
                if self._unsent is not None and not self._sending.is_alive():
                    if isinstance(self._unsent, OSError):
                        reason = scheduler_gone(self._client, address_of(self._client))
                        raise Stopped(f"{reason} ({self._unsent})") from None
                    raise self._unsent from None
                continue
            _, future = self._flying[key]
            status = future.status
            if status == "cancelled":
                self._watch.check()  # the scheduler may be gone, and all calls with it
            if status in ("finished", "error", "cancelled"):
                job, _ = self._flying.pop(key)
                self._watch.progress()
                return [Done(job, future) if status == "finished" else Done(job, fault=self._fault(future))]
            # the worker that had the value was lost just now: dask makes the call again
            self._await(future)

    def fetch(self, handle: Any) -> Any:
        """The value of a job, which dask makes again where the worker that had it was lost."""
        for trial in range(_TRIES):
            try:
                value = self._watch.patiently(handle.result).value
                break
            except OSError:  # a connection broke: to the worker that had the value, or to the scheduler
                for _ in range(_LOOKS):  # the client may know a moment later
                    self._watch.check()
                    time.sleep(0.1)
                if trial == _TRIES - 1:
                    raise
        self._watch.progress()
        return value

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.close()
        if (isinstance(error, Stopped) and not error.reachable) or self._client.status != "running":
            return

        # only where the verb was interrupted is anything in flight; and then the scheduler may be gone too, or a worker
        # that leaves know nothing of the plugin (KeyError), which must not stand in the place of the interrupt
        def tidy_up() -> None:
            if self._flying:
                self._client.cancel([future for _, future in self._flying.values()])
            self._sending.join()
            self._client.unregister_worker_plugin(self._name)

        with suppress(OSError, TimeoutError, KeyError):
            self._watch.patiently(tidy_up, seconds=SECONDS_FOR_GOODBYE if self._flying else SECONDS_BETWEEN_LOOKS)

    def _fault(self, future: Any) -> Fault:
        from distributed import CancelledError, KilledWorker

        try:
            error = future.exception()
        except CancelledError as cancelled:
            error = cancelled
        if isinstance(error, KilledWorker):
            last = error.last_worker
            limit = int(getattr(last, "memory_limit", 0) or 0)
            allowed = f", which may take {memory_text(limit)}" if limit else ""
            return Fault.of(
                error, lost=True,
                text=f"it died {error.allowed_failures + 1} times (killed, out of memory, a crash), the last time as "
                f"{last.address}{allowed}",
            )  # fmt: skip
        if isinstance(error, CancelledError):
            return Fault.of(error, lost=True, text="the scheduler was told to drop the call")
        return fault_of(error)


def _large_items(packed: bytes | None) -> AbstractContextManager[Any]:
    """Where dask does not advise against large items: one that is to be solved goes to its worker alone, and once."""
    import dask

    if packed is None or len(packed) < LARGE:
        return nullcontext()
    quiet: AbstractContextManager[Any] = dask.config.set(
        {"distributed.admin.large-graph-warning-threshold": 2 * len(packed)}
    )
    return quiet


# ---- on the worker


class _Shipped:
    """The functions of a verb, pickled until a call wants them, and the tokens that its folders are known by.

    What fails to load then fails that call, not the worker.
    """

    def __init__(self, blob: bytes, tokens: tuple[Token, ...], elsewhere: bool) -> None:
        self._blob: bytes | None = blob
        self._tokens, self.elsewhere = tokens, elsewhere
        self._calls: tuple[Call, ...] = ()

    def calls(self) -> tuple[Call, ...]:
        blob = self._blob
        if blob is not None:  # two threads may both load; either's is good
            require_seen(self._tokens)
            self._calls = pickle.loads(blob)
            self._blob = None  # as large as what was loaded; the scheduler has its own, for workers that come later
        return self._calls


def _answer(name: str, which: int, packed: bytes | None, *values: Any) -> Any:
    from distributed import get_worker

    plugins = get_worker().plugins
    deadline = time.monotonic() + _SECONDS_FOR_PLUGIN
    while name not in plugins and time.monotonic() < deadline:  # a call may overtake it
        time.sleep(0.01)
    args = [sealed.value for sealed in values] if packed is None else pickle.loads(packed)
    shipped = plugins[name].shipped
    try:
        return _Sealed(attempt(_call, shipped, which, args))
    except CallFailed as failed:
        error = failed.fault.live
        if shipped.elsewhere and isinstance(error, OSError | StoreError):  # of files, which another host may not have
            fault = failed.fault
            raise CallFailed(replace(fault, text=f"{fault.text}{_where()}")) from error
        raise


def _call(shipped: _Shipped, which: int, args: Sequence[Any]) -> Any:
    return shipped.calls()[which](*args)


def _where() -> str:
    from distributed import get_worker

    return f" (worker {get_worker().address} on {platform.node()})"


class _Sealed:
    """A value that dask carries and does not look into: it would turn named tuples into plain ones."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __sizeof__(self) -> int:
        # what dask bounds a worker's memory by
        from dask.sizeof import sizeof

        return int(sizeof(self.value))
