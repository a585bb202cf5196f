"""``submit``: a verb in a thread of the calling process, which drives the executor; a handle tells how far it is.

The thread is the client of the cluster that a waiting caller would be: nothing of the verb goes into the graph that
would not be there otherwise. It hears of a request to stop where it would hear of a signal.
"""

from __future__ import annotations

import atexit
import inspect
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, TypeVar

from tqdm import tqdm

from hiertl_dist.errors import InputError, LaunchError, NotDoneError, StoppedBySignal
from hiertl_dist.executors.guard import leave_if_spawned
from hiertl_dist.executors.launch import launched_first, under_mpirun
from hiertl_dist.executors.progress import Progress, heard_by
from hiertl_dist.executors.stopping import at_work, stopping_when
from hiertl_dist.text.display import Card, Shown, cut
from hiertl_dist.text.words import count_text

Given = ParamSpec("Given")
Result = TypeVar("Result")

MOST_LINES_KEPT: Final = 1000
"""Of what a verb tells, the last so many."""

_SECONDS_BETWEEN_LOOKS: Final = 0.5  # Windows lets nobody interrupt a wait without an end


@dataclass(frozen=True)
class Reached:
    """How far a submitted call has come.

    Attributes
    ----------
    what : str
        What is being done, such as ``assemble``; empty before the first and where nothing is counted.
    done, total : int
        Items of it that are done, and all of them; 0 where nobody knows.
    seconds : float
        Since the call was submitted, until now or its end.
    said : str
        The last line that the verb told, such as which block it is at.
    """

    what: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    said: str = ""

    def __str__(self) -> str:
        share = f" of {self.total} ({self.done / self.total:.0%})" if self.total else ""
        parts = [f"{self.what}: {self.done}{share}" if self.what else "", self.said.strip()]
        return "; ".join([*filter(None, parts), f"{tqdm.format_interval(self.seconds)} since it was submitted"])


class Submitted(Shown, Generic[Result], card=lambda call: call._card()):
    """A verb that works in a thread of its own: :func:`submit` makes it.

    Parameters
    ----------
    name : str
        Of the verb, for messages.
    call : callable
        The verb with its arguments.
    arguments : tuple
        They alone: an executor among them waits for this call before it is closed.
    """

    def __init__(self, name: str, call: Callable[[], Result], arguments: tuple[Any, ...]) -> None:
        self._name, self._call, self._arguments = name, call, arguments
        self._future: Future[Result] = Future()
        self._trace: TracebackType | None = None
        self._cancelled = False
        self._token = object()
        self._begun, self._ended = time.monotonic(), 0.0
        self._heard = _Heard()
        self._lines: deque[str] = deque(maxlen=MOST_LINES_KEPT)
        self._thread = threading.Thread(target=copy_context().run, args=(self._work,), name=name, daemon=True)

    @property
    def done(self) -> bool:
        """Whether it has ended: with a result, an exception, or because it was cancelled."""
        return self._future.done()

    @property
    def progress(self) -> Reached:
        """How far it has come."""
        counts, said = self._heard.counts, self._lines[-1] if self._lines else ""
        seconds = (self._ended or time.monotonic()) - self._begun
        if counts is None:
            return Reached(seconds=seconds, said=said)
        return Reached(counts.what, counts.done, counts.total, seconds, said)

    @property
    def lines(self) -> tuple[str, ...]:
        """What the verb told by its option ``tell``, where it has one; the last thousand."""
        return tuple(self._lines)

    def result(self, timeout: float | None = None) -> Result:
        """What the verb gives, once it has ended. Ctrl-C ends the waiting, and not the verb.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most; default: without end.

        Returns
        -------
        object
            The same each time.

        Raises
        ------
        NotDoneError
            It has not ended in that time, and goes on.
        StoppedBySignal
            It was cancelled, or stopped by a signal; what is complete is kept, and the same call goes on from there.
        Exception
            What the verb raised, with its traceback.
        """
        error = self.exception(timeout)
        if error is None:
            return self._future.result()
        try:
            raise error.with_traceback(self._trace)  # without what an earlier call added to it
        finally:
            del error

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the verb raised, once it has ended. Waits as ``result`` does.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most; default: without end.

        Returns
        -------
        BaseException or None
            ``None`` where it gave a result.

        Raises
        ------
        NotDoneError
            It has not ended in that time, and goes on.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with at_work():  # a signal is heard by the verb, and not by who waits for it
            while not self.done:
                left = _SECONDS_BETWEEN_LOOKS if end is None else end - time.monotonic()
                if left <= 0.0:
                    raise NotDoneError(f"{self._name} has not ended after {timeout:g} s, and goes on: {self.progress}")
                with suppress(TimeoutError):
                    self._future.exception(min(left, _SECONDS_BETWEEN_LOOKS))
        _failures.pop(self._token, None)
        return self._future.exception()

    def cancel(self) -> bool:
        """Have it stop where a call, such as that of a tile, has ended, as SIGTERM would. Does not wait for that.

        What is complete is kept, and the same call goes on from there. Where nothing was left to do it ends with its
        result. A wait for another run's tiles or lock ends at once.

        Returns
        -------
        bool
            Whether there was something to stop; not where it has ended.
        """
        if self.done:
            return False
        self._cancelled = True
        return True

    def _hear(self, then: Callable[[str], Any] | None, line: str) -> None:
        self._lines.append(str(line))
        if then is not None:
            then(line)

    def _work(self) -> None:
        try:
            with stopping_when(lambda: "cancel()" if self._cancelled else ""), heard_by(self._heard):
                result = self._call()
        except BaseException as error:
            self._trace = error.__traceback__
            if not (self._cancelled and isinstance(error, StoppedBySignal)):
                _failures[self._token] = "".join(traceback.format_exception(error)).rstrip()
            self._end(partial(self._future.set_exception, error))
        else:
            self._end(partial(self._future.set_result, result))

    def _end(self, tell: Callable[[], None]) -> None:
        self._ended = time.monotonic()
        self._call, self._arguments = _gone, ()  # frames, stores and executors are let go
        _running.discard(self)
        tell()

    def _card(self) -> Card:
        facts = [("progress", str(self.progress))]
        if self.done and (error := self._future.exception()) is not None:
            state = "stopped" if isinstance(error, StoppedBySignal) else "failed"
            facts.append((type(error).__name__, cut(str(error), 300)))
        elif self.done:
            state = "done"
            facts.append(("result", f"{type(self._future.result()).__name__}, by result()"))
        else:
            state = "is to stop, and finishes what is at hand" if self._cancelled else "at work"
        return Card(f"Submitted {self._name}: {state}", tuple(facts))


class _Counts:
    """How many items of a verb are done."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done = what, total, 0

    def update(self, n: int = 1) -> None:
        self.done += n


class _Heard:
    """What executors tell of what they do in the thread of a call."""

    counts: _Counts | None = None

    def begin(self, what: str, total: int) -> Progress:
        self.counts = counts = _Counts(what, total)
        return counts


def submit(verb: Callable[Given, Result], /, *args: Given.args, **options: Given.kwargs) -> Submitted[Result]:
    """Begin a verb in a thread of its own, and go on at once: for notebooks, and for several on one cluster.

    The verb does what it does otherwise, with the same bits. Verbs that are submitted at once share the workers of the
    executor that they are given; on one store each computes the tiles that the other has not claimed. Each plans
    with all of the memory that there is: give them ``memory`` where that is short. An executor that is left (``with``)
    waits for the calls that were submitted with it. At the end of a script those that are at work are waited for, with
    a word on stderr; at the end of an interactive session, or of a script that failed, they are cancelled.

    Parameters
    ----------
    verb : callable
        Any function of this package, a method such as ``model.evaluate``, or one of your own that calls several.
    *args, **options : object
        Its arguments. Where it has an option ``tell`` the handle hears it, too.

    Returns
    -------
    Submitted
        The handle: ``progress``, ``done``, ``result()``, ``cancel()``.

    Raises
    ------
    LaunchError
        Under mpirun: its ranks must call each verb alike and in the same order, which threads of each of them do not.

    Examples
    --------
    >>> runner = hiertl_dist.executor("dask", client=client)
    >>> call = hiertl_dist.submit(hiertl_dist.fit_hierarchy, frames, basis, executor=runner)
    >>> call.progress
    >>> fit = call.result()
    """
    leave_if_spawned()
    if under_mpirun():
        raise LaunchError(
            "submit: all ranks under mpirun must call each verb alike and in the same order, which threads do not; "
            f"call {_name_of(verb)} itself, and wait for it", launched_first(),
        )  # fmt: skip
    given: dict[str, Any] = dict(options)
    handle: list[Submitted[Result]] = []
    if _takes_tell(verb):
        then = given.get("tell")
        given["tell"] = lambda line: handle[0]._hear(then, line)
    made: Submitted[Result] = Submitted(_name_of(verb), partial(verb, *args, **given), (*args, *given.values()))
    handle.append(made)
    _wait_at_exit()
    _running.add(made)
    made._thread.start()
    return made


def refuse_submitted(what: str) -> None:
    """Raise InputError in the thread of a submitted call, for what must be called by all ranks in one order."""
    if any(call._thread is threading.current_thread() for call in list(_running)):
        raise InputError(f"{what} can't be used by a submitted call: call the verb itself, and wait for it")


def end_calls_with(executor: object, *, cancel: bool) -> None:
    """Wait for calls that were submitted with an executor, which is about to be closed; ``cancel`` them before."""
    own = threading.current_thread()
    calls = [call for call in list(_running) if any(a is executor for a in call._arguments) and call._thread is not own]
    for call in calls:
        if cancel:
            call.cancel()
    for call in calls:
        with at_work():
            call._thread.join()


# ---- at the end of the process

_running: set[Submitted[Any]] = set()
_failures: dict[object, str] = {}
"""What failed and nobody has asked for the result of: its traceback."""


def _gone() -> Any:
    raise RuntimeError("the call was made before")


def _name_of(verb: Callable[..., Any]) -> str:
    verb = verb.func if isinstance(verb, partial) else verb
    return str(getattr(verb, "__qualname__", type(verb).__name__))


def _takes_tell(verb: Callable[..., Any]) -> bool:
    with suppress(ValueError, TypeError):
        return "tell" in inspect.signature(verb).parameters
    return False


_exits: list[bool] = []


def _wait_at_exit() -> None:
    if _exits:
        return
    _exits.append(True)
    import concurrent.futures.process  # its own end, by which nothing more can be started, must come after ours
    import concurrent.futures.thread  # noqa: F401

    # atexit comes only when all threads have been waited for, and concurrent.futures has closed
    getattr(threading, "_register_atexit", atexit.register)(_at_exit)


def _at_exit() -> None:
    """Wait for what was submitted, or have it stop; tell of failures that nobody has asked for."""
    if calls := list(_running):
        stop = hasattr(sys, "ps1") or getattr(sys, "last_value", None) is not None
        names = ", ".join(sorted({call._name for call in calls}))
        end = "stopping them where a tile has ended" if stop else "waiting for them; Ctrl-C stops them"
        _say(f"{count_text(len(calls), 'submitted call')} at work ({names}): {end}")
        try:
            _join(calls, cancel=stop)
        except KeyboardInterrupt:
            _join(calls, cancel=True)
    for text in _failures.values():
        _say(f"a submitted call has failed, and nobody has asked for its result:\n{text}")


def _join(calls: list[Submitted[Any]], *, cancel: bool) -> None:
    for call in calls:
        if cancel:
            call.cancel()
    for call in calls:
        while call._thread.is_alive():
            call._thread.join(_SECONDS_BETWEEN_LOOKS)


def _say(line: str) -> None:
    with suppress(OSError, ValueError, AttributeError):
        print(line, file=sys.stderr, flush=True)
