"""How far work has come, told to whoever waits: a bar at a terminal or in a notebook, a line a minute in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Protocol, TextIO

from tqdm.auto import tqdm

SECONDS_BEFORE_BAR = 2.0
"""What is over sooner needs no bar."""

SECONDS_BETWEEN_LINES = 60.0
"""Of a log, such as that of a batch job, where a bar would be thousands of lines."""

_telling = threading.local()
"""``inside``: this thread tells of something already, of which what it does meanwhile is a part."""

NOTEBOOK: Final = any(c.__name__ == "tqdm_notebook" for c in tqdm.__mro__)
"""Whether a bar is drawn by a notebook, which has no terminal."""


class Progress(Protocol):
    """What work calls when an item is done."""

    def update(self, n: int = 1) -> Any:
        """Tell that n more items are done."""


class Listener(Protocol):
    """Who hears how far work has come in the place of a terminal or a log."""

    def begin(self, what: str, total: int) -> Progress:
        """Hear that something begins, of so many items (0 where nobody knows); what comes hears of those done."""


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Have progress of what this thread does told to a listener alone."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class _Silent:
    def update(self, n: int = 1) -> None:
        pass


class _Lines:
    """A line to a stream now and then, also while one long item runs; the last one once a line has been written."""

    def __init__(self, what: str, total: int, stream: TextIO) -> None:
        self._what, self._total, self._stream = what, total, stream
        self._done = 0
        self._written = False
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="progress", daemon=True)
        self._thread.start()

    def update(self, n: int = 1) -> None:
        self._done += n

    def close(self, *, whole: bool) -> None:
        self._over.set()
        self._thread.join()
        if self._written and whole:
            self._write()

    def _tell(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_LINES):
            self._written = True
            self._write()

    def _write(self) -> None:
        passed = time.monotonic() - self._begun
        share = f" of {self._total} ({self._done / self._total:.0%})" if self._total else ""
        left = ""
        if self._total and 0 < self._done < self._total:
            left = f", about {tqdm.format_interval(passed / self._done * (self._total - self._done))} left"
        try:
            print(
                f"{self._what}: {self._done}{share} after {tqdm.format_interval(passed)}{left}", file=self._stream,
                flush=True,
            )  # fmt: skip
        except (OSError, ValueError):  # the log is full or closed: no reason to stop the work
            self._over.set()


@contextmanager
def progress(what: str, total: int, *, shown: bool = True) -> Iterator[Progress]:
    """Tell on stderr, or a listener, how far work has come; what is a part of other work that is told of says nothing.

    Parameters
    ----------
    what : str
        What is done.
    total : int
        Items, 0 where nobody knows.
    shown : bool, default True
        Not by processes that speak for nobody.

    Yields
    ------
    Progress
        Its ``update`` is told of items that are done.
    """
    stream, listener = sys.stderr, _listener.get()
    if not shown or (stream is None and listener is None) or getattr(_telling, "inside", False):
        yield _Silent()
        return
    _telling.inside = True
    try:
        if listener is not None:
            yield listener.begin(what, total)
        elif NOTEBOOK or getattr(stream, "isatty", lambda: False)():
            with tqdm(total=total or None, desc=what, delay=SECONDS_BEFORE_BAR, file=stream) as bar:
                yield bar
        else:
            with _lines(what, total, stream) as lines:
                yield lines
    finally:
        _telling.inside = False


@contextmanager
def _lines(what: str, total: int, stream: TextIO) -> Iterator[_Lines]:
    lines = _Lines(what, total, stream)
    try:
        yield lines
    except BaseException:
        lines.close(whole=False)
        raise
    lines.close(whole=True)
