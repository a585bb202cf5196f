"""Signals that ask for an end, such as a queue's warning before its time limit: work stops where a call has ended.

The handlers are installed by :func:`stopping_on_signals` alone, which commands use. Between two calls of a verb the
executors ask :func:`stop_requested`, and raise :class:`~hiertl_dist.errors.StoppedBySignal`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final

from hiertl_dist.errors import StoppedBySignal
from hiertl_dist.executors.launch import launched_first, under_mpirun
from hiertl_dist.files.locks import ask_while_waiting

STOPPING: Final = tuple(s for name in ("SIGTERM", "SIGUSR1") if (s := getattr(signal, name, None)) is not None)
"""What queues send before they kill, and what ``kill`` and service managers send. Ctrl-C is not among them."""

SECONDS_OF_ONE_SIGNAL: Final = 2.0
"""A launcher and its queue may both pass one signal on: what comes so soon after the first is the same."""


class _Request:
    """What was asked for, and whether a verb is at work that will hear of it."""

    def __init__(self) -> None:
        self.name = ""
        self.since = 0.0
        self.verbs = 0
        self.threads: set[int] = set()  # that heed requests beside the main one
        self.at_once = False

    def hear(self, number: int, _: Any) -> None:
        """The handler: note the first signal; stop at once at the second, or where no verb is at work."""
        name = signal.Signals(number).name
        if self.name and time.monotonic() - self.since < SECONDS_OF_ONE_SIGNAL:
            return
        # under MPI the others would wait for a rank that left on its own
        self.at_once = bool(self.name) or not (self.verbs or self.threads or under_mpirun())
        self.name, self.since = name, time.monotonic()
        if self.at_once:  # it passes through whatever catches exceptions, as Ctrl-C does
            raise KeyboardInterrupt
        if launched_first():
            _say(f"{name}: stopping as soon as the work at hand is whole; a second signal stops at once")


_request = _Request()


_nobody_asks: Callable[[], str] = str
_asks: ContextVar[Callable[[], str]] = ContextVar("who asks to stop", default=_nobody_asks)


def stop_requested() -> str:
    """The name of the signal that asked this process to stop, of what asked this thread to, or nothing."""
    return _request.name or _asks.get()()


@contextmanager
def stopping_when(asks: Callable[[], str]) -> Iterator[None]:
    """Have what this thread does stop as a signal would stop it, once a call gives the name of what asks for that."""
    token = _asks.set(asks)
    _request.threads.add(threading.get_ident())
    try:
        yield
    finally:
        _request.threads.discard(threading.get_ident())
        _asks.reset(token)


def stopped_by(name: str, at_once: bool = False, how_far: str = "") -> StoppedBySignal:
    """What to raise where a signal has stopped the work; ``how_far`` it had come, where that is known."""
    came = f" ({how_far})" if how_far else ""
    return StoppedBySignal(
        f"stopped by {name}; what is complete is kept, and the same command (or call) goes on from there{came}", at_once
    )


def _end_waiting() -> None:
    """Raise StoppedBySignal where an end was asked for: what waits for another run has nothing at hand."""
    if name := stop_requested():
        raise stopped_by(name)


ask_while_waiting(_end_waiting)


@contextmanager
def at_work(heeds: bool = True) -> Iterator[None]:
    """Where a verb is at work; ``heeds``: it looks for requests between its calls, in the main thread."""
    counted = heeds and threading.current_thread() is threading.main_thread()
    _request.verbs += counted
    try:
        yield
    finally:
        _request.verbs -= counted


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Have SIGTERM and SIGUSR1 stop executors where a call has ended, instead of ending the process in its midst.

    What calls have done stays, and no file is left half written. A second signal, and one that comes while no executor
    is at work, stops at once, as Ctrl-C does. The handlers of before are restored afterwards. A signal that is
    ignored, as by ``nohup``, stays ignored. In other threads than the main one nothing is changed, for there Python
    has no handlers.

    Yields
    ------
    None
        Nothing; what is done inside is stopped.

    Raises
    ------
    StoppedBySignal
        The work was stopped; a command's exit code for that is its ``EXIT_CODE``, 75.

    Examples
    --------
    >>> with hiertl_dist.stopping_on_signals(), hiertl_dist.executor("processes") as runner:
    ...     fit = hiertl_dist.fit_hierarchy(frames, basis, executor=runner)
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    outer = _request.name, _request.since
    _request.name, _request.at_once = "", False
    # None is a handler that was not installed from Python, which it can't restore
    before = {s: handler for s in STOPPING if (handler := signal.getsignal(s)) not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, _request.hear)
    try:
        yield
    except KeyboardInterrupt:
        if not _request.at_once:
            raise
        raise stopped_by(_request.name, at_once=True) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        (_request.name, _request.since), _request.at_once = outer, False


@contextmanager
def starting_deaf() -> Iterator[None]:
    """Where processes are started that work for this one: what is sent to the whole group meanwhile waits.

    They, and threads that are started here, have the signals blocked from their first moment, before they can be
    :func:`deaf_to_signals`; Python's own process that keeps track of semaphores, for good: SIGUSR1 would end it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def deaf_to_signals() -> None:
    """For processes that work for another: what is sent to the whole group is for that one to act upon."""
    if threading.current_thread() is threading.main_thread():
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        if hasattr(signal, "pthread_sigmask"):  # what they start in turn is as they would have it
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def _say(line: str) -> None:
    """Write a line without Python's streams, which a handler may have interrupted in their midst."""
    with suppress(OSError, ValueError, AttributeError):
        os.write(sys.stderr.fileno(), f"{line}\n".encode())
