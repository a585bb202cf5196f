"""The executor that hands calls to a dask cluster: one that is there already, or a local one of its own.

``distributed`` is imported when an executor is made, not before: it takes half a second.
"""

from __future__ import annotations

import logging
import sys
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from hiertl_dist.errors import HiertlWarning, InputError, LaunchError
from hiertl_dist.executors.base import ClusterFailed, cores
from hiertl_dist.executors.batches import Call
from hiertl_dist.executors.cluster_watch import address_of, scheduler_gone
from hiertl_dist.executors.dask_crew import JOBS_PER_THREAD, DaskCrew
from hiertl_dist.executors.dask_options import (
    FEW_MESSAGES,
    NEEDS_BOKEH,
    DaskOptions,
    PerformanceReport,
    connect,
    has_bokeh,
    own_security,
    require_bokeh,
)
from hiertl_dist.executors.guard import message, require_main_guard, unguarded
from hiertl_dist.executors.memory import fitting
from hiertl_dist.executors.pool import Crew, PoolExecutor
from hiertl_dist.executors.scratch import scratch_place
from hiertl_dist.executors.shared_folders import Token, leave_token, refusal, unseen
from hiertl_dist.executors.stopping import deaf_to_signals, starting_deaf
from hiertl_dist.files.object_path import Place
from hiertl_dist.text.display import cut, listed
from hiertl_dist.text.words import count_text

Answer = TypeVar("Answer")


class DaskExecutor(PoolExecutor):
    """Calls on the workers of a dask cluster, which may come and go.

    The cluster is that of ``client``; else that of the scheduler in ``options``; else that of the current client; else
    a local one of ``workers`` processes with a thread each, bound to 127.0.0.1, which ``close`` ends. A cluster
    that was there before stays as it was.

    No more than two calls a thread are in flight. The functions are sent to each worker once, also to
    workers that come later. The values of a reduction stay on the workers. Where a worker is lost, dask
    makes its calls again elsewhere, and gives up on a call that was on more than
    ``distributed.scheduler.allowed-failures`` (3) lost workers; it can't tell a call that killed its worker
    from one that waited there, so all such are named. Exceptions are not retried. A verb ends with ClusterFailed where
    the scheduler is gone, no worker comes, or those that are there can do nothing (``cluster_watch.py``).

    Raises
    ------
    LaunchError
        When a cluster is to be started and the script that is run has no ``if __name__ == "__main__":``; when nobody
        answers at the address of ``options``.
    ClusterFailed
        When the local cluster does not start.
    ModuleNotFoundError
        When ``options`` want what bokeh draws, or temporary certificates, and bokeh or cryptography is not there.
    ValueError
        When ``workers`` is given beside ``client``, is less than 1, or when the client is asynchronous.
    """

    name: ClassVar[str] = "dask"
    copies_sent: ClassVar[float] = 5.0
    overhead: ClassVar[int] = 40 * 2**20  # 22 MiB are dask's; memory that is let go stays where it is for a while

    def __init__(
        self, client: Any = None, workers: int | None = None, options: DaskOptions | None = None,
        scratch: str | Path | None = None,
    ) -> None:  # fmt: skip
        self._scratch = None if scratch is None else scratch_place(scratch)
        self._options = DaskOptions() if options is None else options
        if workers is not None and (client is not None or self._options.scheduler is not None):
            raise InputError("workers is for a local cluster: that of a client has the workers that it has")
        if client is not None and self._options.scheduler is not None:
            raise InputError(f"a dask client beside a scheduler, {self._options.scheduler}: give one of them")
        super().__init__(cores() if workers is None else workers)
        self._cluster: Any = None
        self._own_client = False
        self._client = client
        self._tokens: dict[Place, Token] = {}
        self._names: set[str] = set()
        if client is None:
            self._find_client()
        if scratch is not None and self._cluster is None:
            self.close()
            raise InputError(
                "scratch: of a local cluster; the workers of one that is there have the folder that they were started "
                "with (dask worker --local-directory)"
            )
        if self._client.asynchronous:
            raise InputError("the dask client is asynchronous: make one with asynchronous=False")
        self._report: Any = None
        if self._options.performance_report is not None:
            require_bokeh(self._client)
            self._report = PerformanceReport(self._client, self._options.performance_report)
        weakref.finalize(self, _remove, self._tokens)

    def _find_client(self) -> None:
        own_wanted = [name for name in ("encrypted", "dashboard") if getattr(self._options, name)]
        if self._options.scheduler is not None:
            self._client, self._own_client = connect(self._options), True
        elif (current := current_client()) is not None:
            if own_wanted:
                raise InputError(f"{own_wanted[0]}: of a local cluster, but a dask client is current, {current!r}")
            self._client = current
        else:
            self._cluster, self._client = _own_cluster(self._workers, self._options, self._scratch)
            self._own_client = True

    @property
    def workers(self) -> int:
        """Threads of all of dask's workers together, at least 1."""
        threads: dict[str, int] = self._asked(self._client.nthreads)
        return max(1, sum(threads.values()))

    def memory(self) -> int:
        """The smallest share of a thread, of what dask lets each worker take, times their number.

        Of a local cluster of its own no more than this machine has to spare.
        """
        share = self._share()
        if share is None:
            return super().memory()
        together = share * self.workers
        return together if self._cluster is None else min(together, super().memory())

    def _share(self, *, alone: bool = False) -> int | None:
        """Bytes that a thread of the smallest worker may take before dask pauses its worker, or kills it.

        ``alone``: where the others of that worker have nothing to do.
        """
        import dask

        info = self._asked(lambda: self._client.scheduler_info(n_workers=-1))["workers"].values()
        limits = [w["memory_limit"] // (1 if alone else max(1, w["nthreads"])) for w in info if w.get("memory_limit")]
        shares = (dask.config.get(f"distributed.worker.memory.{name}", False) for name in ("pause", "terminate"))
        return int(min(limits) * next((s for s in shares if s), 1.0)) if limits else None

    def room_for(self, needed: int, base: int, wanted: int, memory: int | None = None) -> int:
        """As ``Executor.room_for``; no worker may take more than dask lets it, whatever there is for all together."""
        share = self._share(alone=wanted == 1)
        if share is not None and needed > share:
            return 0
        own = self.memory() if memory is None else memory
        return fitting(needed, base, wanted, own)

    def limits_text(self, memory: int | None = None) -> str:
        """As ``Executor.limits_text``, and how much a thread of the smallest worker may take."""
        text, share = super().limits_text(memory), self._share()
        if share is None:
            return text
        return f"{text}; dask lets a thread of the smallest worker take {share / 2**20:.0f} MiB (of its memory_limit)"

    def waiting(self, n: int) -> int:
        """As ``Executor.waiting``; values of calls that have ended stay on their workers for a while, too.

        Of few items a worker has its share: values are where they were made.
        """
        return min(-(-n // self.workers), super().waiting(n) + JOBS_PER_THREAD)

    def __repr__(self) -> str:
        whose = "a cluster that was there" if self._cluster is None else "a local cluster of its own"
        if self._client.status != "running":
            return f"DaskExecutor: {self._client.status}"
        return cut(f"DaskExecutor: {whose}, {self._client!r}")  # a client's repr asks nobody, so it can't hang

    @property
    def client(self) -> Any:
        """The distributed.Client in use."""
        return self._client

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the dashboard is, if one was asked for."""
        return (f"dask's dashboard: {self._client.dashboard_link}",) if self._options.dashboard else ()

    def _require_shared(self, folder: Place) -> None:
        """As ``Executor._require_shared``; workers of a local cluster of its own are on this machine, and not asked."""
        super()._require_shared(folder)
        if self._cluster is not None or (folder in self._tokens and self._tokens[folder].is_there()):
            return
        self._require_scheduler()
        if (before := self._tokens.pop(folder, None)) is not None:  # its file is gone
            before.remove()
        token = leave_token(folder)
        try:
            answers: dict[str, Any] = self._asked(lambda: self._client.run(unseen, token, on_error="return"))
        except BaseException:
            token.remove()
            raise
        if blind := {self._named(who): _reason(answer) for who, answer in answers.items() if answer}:
            token.remove()
            raise LaunchError(f"{refusal(token, blind)}; nothing has been written")
        self._tokens[folder] = token  # for workers that come later, who look before their first call

    def _named(self, address: str) -> str:
        worker = self._client.scheduler_info(n_workers=-1)["workers"].get(address, {})
        name, host = str(worker.get("name", address)), str(worker.get("host", ""))
        return f"worker {name}" + f" at {address}" * (name != address) + f" on {host}" * (host not in address)

    def close(self) -> None:
        """Close the client and the cluster, as far as they were made here, and write the report if one is wanted."""
        _remove(self._tokens)
        if self._report is not None:
            self._report.write()
            self._report = None
        if unused := [k for k in self._options.resources if self._names and k not in self._names_that_hold()]:
            warnings.warn(
                f"resources: no task was called {listed(unused)}; there were {listed(sorted(self._names))}",
                HiertlWarning, stacklevel=2,
            )  # fmt: skip
        self._names.clear()
        if self._own_client:
            if self._client.status != "running":  # its attempts to find the scheduler again end with a traceback
                logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
            self._client.close()
            self._own_client = False
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None

    def _names_that_hold(self) -> set[str]:
        return {chosen[0] for name in self._names if (chosen := self._options.of_task(name)) is not None}

    def _crew(self, calls: tuple[Call, ...], *, keep: bool) -> Crew:
        # a future is a handle already, so nothing is to be kept
        self._require_scheduler()
        # a store may have been renamed since
        tokens = [token for token in list(self._tokens.values()) if token.is_there()]
        return DaskCrew(self._client, self._options, calls, tokens, self._names, self._cluster is None)

    def _asked(self, question: Callable[[], Answer]) -> Answer:
        """What the scheduler answers. Raises ClusterFailed where it is gone, or is cut off while it is asked."""
        self._require_scheduler()
        try:
            return question()
        except (OSError, TimeoutError) as error:
            reason = f"{scheduler_gone(self._client, address_of(self._client))} ({type(error).__name__}: {error})"
            raise ClusterFailed(reason) from error

    def _require_scheduler(self) -> None:
        """Raise ClusterFailed where the client has lost its scheduler: who asks it would wait for half a minute."""
        if self._client.status not in ("running", "newly-created"):
            raise ClusterFailed(scheduler_gone(self._client, address_of(self._client)))


def _remove(tokens: dict[Place, Token]) -> None:
    for token in tokens.values():
        token.remove()
    tokens.clear()


def _reason(answer: Any) -> str:
    return answer if isinstance(answer, str) else f"it can't say: {type(answer).__name__}: {answer}"


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
    "distributed.admin.log-length": 500,  # messages that scheduler and nannies keep in this process: else 10 000
    **FEW_MESSAGES,  # of the scheduler's too, which is in this process
}  # fmt: skip
"""Settings of a cluster of our own."""


class ForgottenSpans:
    """What takes the place of dask's record of spans in a scheduler of our own that nobody watches.

    Dask's keeps a span, and the groups of its tasks, for each piece of work, as long as the scheduler lives. That is in
    the calling process.

    Parameters
    ----------
    scheduler : distributed.Scheduler
        Whose extension it is.
    """

    def __init__(self, scheduler: Any) -> None:
        self.spans: dict[str, Any] = {}

    def observe_tasks(self, *_: Any, **__: Any) -> dict[Any, dict[str, Any]]:
        """Whose span tasks belong to: nobody's."""
        return {}

    def heartbeat(self, *_: Any) -> None:
        """What workers say of their spans."""


def _own_cluster(workers: int, options: DaskOptions, scratch: Path | None) -> tuple[Any, Any]:
    import dask
    from distributed import Client, LocalCluster, WorkerPlugin
    from distributed.scheduler import DEFAULT_EXTENSIONS
    from distributed.system import MEMORY_LIMIT

    require_main_guard()
    if options.dashboard and not has_bokeh():
        raise ModuleNotFoundError(NEEDS_BOKEH, name="bokeh")
    dashboard = "127.0.0.1:0" if options.dashboard else None
    watched = options.dashboard or options.performance_report is not None
    quiet = {k: v for k, v in QUIET.items() if k.startswith("distributed.nanny") or not watched}
    security = own_security() if options.encrypted else None
    # without an address a second cluster warns that port 8787 is taken, dashboard or none
    of_scheduler: dict[str, Any] = {"dashboard_address": "127.0.0.1:0"}
    if not watched:
        of_scheduler["extensions"] = {**DEFAULT_EXTENSIONS, "spans": ForgottenSpans}
    try:
        with dask.config.set(quiet), starting_deaf():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=dashboard,
                security=security,
                # what it spills; dask removes what killed workers left there
                local_directory=None if scratch is None else str(scratch),
                # dask's own choice is the share of the worker's cores, and to kill a worker that has more than that
                memory_limit=MEMORY_LIMIT // workers,
                scheduler_kwargs=of_scheduler,
                silence_logs=logging.CRITICAL,
            )
            client = Client(cluster, set_as_default=False)
            plugin = WorkerPlugin()
            plugin.setup = _deafen  # also of workers that start later in the place of others
            client.register_plugin(plugin, name="hiertl-deaf-to-signals")
            return cluster, client
    except Exception as error:
        if unguarded():
            raise LaunchError(message()) from None
        if isinstance(error, RuntimeError | OSError):  # a worker was killed or had no memory, a port was refused
            reason = f"{type(error).__name__}: {error.__cause__ or error}"
            raise ClusterFailed(
                f"a local dask cluster of {count_text(workers, 'worker')} did not start: {reason}; nothing has been "
                "computed: try again, with fewer workers where memory is short"
            ) from error
        raise


def _deafen(worker: Any) -> None:
    """Of a cluster of our own, whose client stops it: a worker that a signal ends would leave a part of a file."""
    deaf_to_signals()
