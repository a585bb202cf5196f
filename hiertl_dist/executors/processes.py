"""The executor that makes calls in processes of this machine, with nothing but the standard library between.

Scripts that use it need ``if __name__ == "__main__":``, as with anything that spawns processes.
"""

from __future__ import annotations

import functools
import os
import pickle
import signal
import threading
import uuid
from concurrent import futures
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from hiertl_dist.executors.base import Fault, attempt, cores, fault_of, pack
from hiertl_dist.executors.batches import Call
from hiertl_dist.executors.guard import message, require_main_guard, unguarded
from hiertl_dist.executors.pool import Crew, Done, Job, PoolExecutor
from hiertl_dist.executors.scratch import ScratchFolder, scratch_place
from hiertl_dist.executors.stopping import deaf_to_signals, starting_deaf

_DIED = "the process died (killed from outside, out of memory, a crash in compiled code)"


class ProcessesExecutor(PoolExecutor):
    """Calls in spawned processes that are started when first needed and kept until ``close``.

    As many calls are in flight as there are workers. The functions are pickled once, to a file that each
    worker reads once and remembers until the next verb; values of a reduction go from worker to worker
    through files too. The files are in ``scratch``, by default the directory for temporary files (TMPDIR), and go when
    the verb ends; those of a process that was killed, with the next verb of another that has the same directory.
    A worker that dies fails the item that it had, no other; it is replaced by the next call that needs it.
    Ctrl-C at a terminal reaches the workers too, which then stop at once. Raises LaunchError where the script that is
    run has no such guard.
    """

    name: ClassVar[str] = "processes"
    copies_sent: ClassVar[float] = 2.0

    def __init__(self, workers: int | None = None, scratch: str | Path | None = None) -> None:
        super().__init__(cores() if workers is None else workers)
        self._scratch = scratch_place(scratch)
        require_main_guard()
        # pools of one, not one pool of many: a pool with a dead worker kills its other workers, and can't say
        # whose item it was
        self._idle: list[futures.ProcessPoolExecutor] = []
        self._crews: list[_ProcessCrew] = []

    def waiting(self, n: int) -> int:
        """As ``Executor.waiting``: values wait in files."""
        return 0

    def __repr__(self) -> str:
        return f"ProcessesExecutor: {self.workers} processes of this machine, {len(self._idle)} of them started"

    def close(self) -> None:
        """End the processes that wait for work."""
        while self._idle:
            self._idle.pop().shutdown()

    def _crew(self, calls: tuple[Call, ...], *, keep: bool) -> Crew:
        return _ProcessCrew(self._idle, self._crews, self.workers, calls, keep, self._scratch)


class _ProcessCrew(Crew):
    def __init__(
        self, idle: list[futures.ProcessPoolExecutor], crews: list[_ProcessCrew], workers: int,
        calls: tuple[Call, ...], keep: bool, scratch: Path,
    ) -> None:  # fmt: skip
        self._idle, self._crews, self._workers, self._keep = idle, crews, workers, keep
        self._flying: dict[futures.Future[Any], tuple[Job, futures.ProcessPoolExecutor]] = {}
        packed = pack(calls)  # before there is anything to clean up, should it fail
        self._folder = ScratchFolder(scratch)
        self._calls = self._folder.path / f"calls-{uuid.uuid4().hex}"
        self._calls.write_bytes(packed)
        crews.append(self)

    def capacity(self) -> int:
        """What is fair beside verbs that other threads call; one at least, for each must come to its end."""
        crews = list(self._crews)
        each, left = divmod(self._workers, len(crews))
        return max(1, each + (crews.index(self) < left))

    def start(self, job: Job) -> None:
        keep_in = str(self._folder.path) if self._keep else None
        work = functools.partial(_answer, str(self._calls), job.call, job.args, keep_in)
        with starting_deaf():
            try:
                pool = self._idle.pop()
            except IndexError:
                pool = _pool_of_one()
            try:
                future = pool.submit(work)
            except futures.BrokenExecutor:  # died while it had nothing to do, between verbs
                pool.shutdown()
                pool = _pool_of_one()
                future = pool.submit(work)
        self._flying[future] = job, pool

    def wait(self) -> list[Done]:
        ended, _ = futures.wait(self._flying, return_when=futures.FIRST_COMPLETED)
        return [self._done(future) for future in ended]

    def _done(self, future: futures.Future[Any]) -> Done:
        job, pool = self._flying.pop(future)
        error = future.exception()
        if isinstance(error, futures.BrokenExecutor):
            pool.shutdown()
            text = message() if unguarded() else _DIED
            return Done(job, fault=Fault.of(error, lost=True, text=text))
        self._idle.append(pool)
        if error is not None:
            return Done(job, fault=fault_of(error))
        for arg in job.args:
            if isinstance(arg, _Kept):
                arg.path.unlink()
        return Done(job, future.result())

    def fetch(self, handle: Any) -> Any:
        return handle.load() if isinstance(handle, _Kept) else handle

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, pool in self._flying.values():  # only where the verb was interrupted
            pool.shutdown(cancel_futures=True)
        self._flying.clear()
        self._crews.remove(self)
        self._folder.remove()


def _pool_of_one() -> futures.ProcessPoolExecutor:
    return futures.ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_go_quietly)


# ---- in the worker's process


@dataclass(frozen=True)
class _Kept:
    """A value that stayed where the next worker can read it."""

    path: Path

    def load(self) -> Any:
        with self.path.open("rb") as file:
            return pickle.load(file)


_busy = threading.Lock()
"""Whoever has it is making a call."""


def _go_quietly() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # else each worker would print a traceback at Ctrl-C
    deaf_to_signals()
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()


def _end_with_parent() -> None:
    """End when the process that this one works for has died: it would wait for work for ever."""
    if (parent := parent_process()) is not None:
        parent.join()
        with _busy:  # what is at hand becomes whole
            os._exit(1)


@functools.lru_cache(maxsize=1)
def _load_calls(path: str) -> tuple[Call, ...]:
    calls: tuple[Call, ...] = pickle.loads(Path(path).read_bytes())
    return calls


def _answer(calls: str, which: int, args: tuple[Any, ...], keep_in: str | None) -> Any:
    with _busy:
        call = _load_calls(calls)[which]
        value = attempt(call, *(arg.load() if isinstance(arg, _Kept) else arg for arg in args))
    if keep_in is None:
        return value
    kept = _Kept(Path(keep_in) / uuid.uuid4().hex)
    with kept.path.open("wb") as file:
        pickle.dump(value, file, protocol=5)
    return kept
