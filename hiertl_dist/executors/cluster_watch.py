"""A look at a dask cluster now and then while a verb waits for it: every wait has an end, and the end a reason."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

from hiertl_dist.executors.memory import memory_text
from hiertl_dist.executors.pool import Stopped
from hiertl_dist.executors.stopping import stop_requested
from hiertl_dist.text.words import count_text

SECONDS_BETWEEN_LOOKS: Final = 1.0
"""Of a scheduler with few workers; with many the answer is large, and it is asked less often."""

WORKERS_PER_SECOND: Final = 200
"""Each so many workers of a cluster make the time between two looks a second longer."""

SECONDS_OF_SILENCE: Final = 120.0
"""How long a scheduler may be without an answer: it may be busy, or a network slow."""

SECONDS_OF_PAUSE: Final = 60.0
"""How long nothing may be done where workers are paused for want of memory, or die before they do anything."""

SECONDS_OF_IDLENESS: Final = 300.0
"""How long nothing may be done though workers are there."""

DEATHS: Final = 5
"""So many workers that leave while nothing is done die of something."""

SECONDS_FOR_GOODBYE: Final = 10.0
"""What a verb may take to tidy up on a cluster."""

_AT_WORK: Final = ("executing", "long-running", "flight", "fetch", "resumed", "cancelled")
"""States of a worker's tasks in which it does something for them."""

KEPT: Final = "what complete calls have written is kept, and the same command or call goes on from there"

Answer = TypeVar("Answer")


class Watch:
    """Looks at a cluster in a thread of its own, from the beginning of a verb to its end.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    worker_wait : float
        Seconds to wait for a worker where there is none.
    """

    def __init__(self, client: Any, worker_wait: float) -> None:
        self._client, self._worker_wait = client, worker_wait
        self._address = address_of(client)
        self._over = threading.Event()
        self._looked = threading.Event()
        self._workers: Mapping[str, Mapping[str, Any]] = {}
        self._seen: Mapping[str, Mapping[str, Any]] = {}  # those, and the last that left
        self._answered = self._progressed = self._occupied = time.monotonic()
        self._departed: list[str] = []
        threading.Thread(target=self._look, name="dask watch", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._over.set()

    @property
    def threads(self) -> int:
        """Of all workers together, at least 1."""
        while not self._looked.wait(SECONDS_BETWEEN_LOOKS):
            self.check()
        return max(1, sum(int(w["nthreads"]) for w in self._workers.values()))

    def limit(self, address: str) -> int:
        """Bytes that a worker may take, as it was seen last; 0 where there is no limit or no such worker."""
        return int(self._seen.get(address, {}).get("memory_limit") or 0)

    def progress(self) -> None:
        """Know that something has been done."""
        self._progressed = time.monotonic()
        self._departed = []

    def patiently(self, call: Callable[[], Answer], *, seconds: float | None = None) -> Answer:
        """``call()``, which asks the cluster and may wait, as long as there is use in waiting, or for some seconds."""
        answers: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put((True, call()))
            except BaseException as error:
                answers.put((False, error))

        threading.Thread(target=ask, name="dask call", daemon=True).start()
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            try:
                done, answer = answers.get(timeout=SECONDS_BETWEEN_LOOKS)
            except queue.Empty:
                if end is None:
                    self.check()
                elif time.monotonic() > end:
                    raise TimeoutError from None
                continue
            if not done:
                raise answer
            return answer  # type: ignore[no-any-return]

    def check(self) -> None:
        """Go on waiting, or raise Stopped and say why there is no use in it."""
        now = time.monotonic()
        if self._client.status != "running":
            raise Stopped(scheduler_gone(self._client, self._address))
        if now - self._answered > SECONDS_OF_SILENCE:
            raise Stopped(
                f"the dask scheduler {self._address} has not answered for {now - self._answered:.0f} s: it hangs, or "
                f"the network to it is cut; {KEPT} once a scheduler answers",
                reachable=False,
            )
        idle = self._answered - max(self._progressed, self._occupied)  # of what is known
        if reason := self._idle_for(idle):
            raise Stopped(f"{reason}; {KEPT}")

    def _idle_for(self, seconds: float) -> str:
        """Why there is no use in waiting after nothing was done for some seconds; nothing if there is."""
        workers = self._workers
        if not workers and stop_requested():
            return f"there is no worker any more, and {stop_requested()} asks for an end"
        if not workers:
            return "" if seconds <= self._worker_wait else (
                f"for {seconds:.0f} s there has been no worker at the dask scheduler {self._address}"
                f"{self._deaths()}; start some, or have it wait longer for them (worker_wait, in seconds)"
            )  # fmt: skip
        paused = {a: w for a, w in workers.items() if w["status"] == "paused"}
        if seconds > SECONDS_OF_PAUSE and paused:
            return (
                f"nothing has been done for {seconds:.0f} s: {'; '.join(map(_paused, list(paused.items())[:3]))}"
                f"{f'; {len(paused) - 3} more' * (len(paused) > 3)}; dask starts nothing on a paused worker. Give "
                "workers more memory (memory_limit, --memory-limit), or start fewer on a host"
            )
        if seconds > SECONDS_OF_PAUSE and len(self._departed) >= DEATHS:
            return (
                f"nothing has been done for {seconds:.0f} s{self._deaths()}: give workers more memory (memory_limit, "
                "--memory-limit), or look into their logs"
            )
        if seconds > SECONDS_OF_IDLENESS:
            return (
                f"nothing has been done for {seconds:.0f} s though {count_text(len(workers), 'worker')} "
                f"{'is' if len(workers) == 1 else 'are'} there ({_statuses(workers)}): if resources are asked for, "
                "does a worker offer them? Logs of workers and scheduler may say more"
            )
        return ""

    def _deaths(self) -> str:
        """Of workers that have left meanwhile, as a part of a sentence."""
        if not self._departed:
            return ""
        limit = self.limit(self._departed[-1])
        most = f" (it may take {memory_text(limit)})" if limit else ""
        return f", and {count_text(len(self._departed), 'worker')} left meanwhile, the last {self._departed[-1]}{most}"

    # ---- in the thread that looks

    def _look(self) -> None:
        while not self._over.is_set():
            # anything may be raised while a client or a scheduler closes; who waits sees to what follows
            with suppress(Exception):
                self._note(self._client.sync(self._client.scheduler.identity, n_workers=-1)["workers"])
            self._over.wait(SECONDS_BETWEEN_LOOKS + len(self._workers) / WORKERS_PER_SECOND)

    def _note(self, workers: Mapping[str, Mapping[str, Any]]) -> None:
        self._departed = [*self._departed, *(a for a in self._workers if a not in workers)]
        kept = {a: w for a, w in self._seen.items() if a in self._departed[-1:]}
        self._workers, self._seen = workers, kept | dict(workers)
        self._answered = time.monotonic()
        if any(at_work(worker) for worker in workers.values()):
            self._occupied = self._answered
        self._looked.set()


def at_work(worker: Mapping[str, Any]) -> bool:
    """Whether a worker, as a scheduler knows it, makes a call or fetches what one needs."""
    counts: Mapping[str, int] = worker.get("metrics", {}).get("task_counts", {})
    return any(counts.get(state, 0) for state in _AT_WORK)


def address_of(client: Any) -> str:
    """The address of a client's scheduler, as far as it is known."""
    return str(getattr(client.scheduler, "address", None) or "of this client")


def scheduler_gone(client: Any, address: str) -> str:
    """What to say where a client has lost its scheduler, or was closed."""
    if client.status == "connecting":
        what = f"the connection to the dask scheduler {address} broke: it was ended, or the network to it was cut"
    elif client.status == "running":  # which the client has not noticed yet
        what = f"the dask scheduler {address} can't be asked"
    else:
        what = f"the client of the dask scheduler {address} is {client.status}, so the scheduler is gone or was left"
    return f"{what}. With a scheduler, workers and a client that are started anew, {KEPT}"


def _paused(known: tuple[str, Mapping[str, Any]]) -> str:
    address, worker = known
    used = int(worker.get("metrics", {}).get("memory", 0))
    return (
        f"worker {address} on {worker.get('host', 'an unknown host')} is paused, for it has {memory_text(used)} of the "
        f"{memory_text(int(worker.get('memory_limit') or 0))} that it may take"
    )


def _statuses(workers: Mapping[str, Mapping[str, Any]]) -> str:
    by_status: dict[str, int] = {}
    for worker in workers.values():
        by_status[worker["status"]] = by_status.get(worker["status"], 0) + 1
    return ", ".join(f"{n} {status}" for status, n in by_status.items())
