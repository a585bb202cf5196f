"""Warnings of one thread, heard instead of shown, while other threads warn as they would.

``warnings.catch_warnings`` changes what all threads do, and puts back what it found: two at once, such as two imports
that were submitted, leave for good what the other had set for a while.
"""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class HeardWarning(NamedTuple):
    """What was warned of, and as which kind of warning."""

    text: str
    category: type[Warning]


class _Ears(NamedTuple):
    """What a thread listens to, and what it has heard."""

    categories: tuple[type[Warning], ...]
    heard: list[HeardWarning]


_ears: ContextVar[_Ears | None] = ContextVar("hiertl_dist_ears", default=None)


class _AsListenedTo(type):
    """Takes for its subclass what the thread that asks listens to."""

    def __subclasscheck__(cls, category: type) -> bool:
        ears = _ears.get()
        return ears is not None and issubclass(category, ears.categories)


class _Listened(Warning, metaclass=_AsListenedTo):  # never reaches a user: it is the category of a filter
    """The category of a filter that is there for a thread that listens, and for no other."""


_FILTER: Final[Any] = ("always", None, _Listened, None, 0)

_lock = threading.Lock()
_listening = 0
_shown_before: Any = None


@contextmanager
def hearing_warnings(*categories: type[Warning]) -> Iterator[list[HeardWarning]]:
    """Hear what this thread warns of meanwhile, instead of its being shown.

    Parameters
    ----------
    *categories : type of Warning
        What is heard; default: all.

    Yields
    ------
    list of HeardWarning
        Grows by each warning, also by those that are shown once alone.
    """
    global _listening, _shown_before
    ears = _Ears(categories or (Warning,), [])
    with _lock:
        # where the filter is the first already this only lets Python forget which warnings it has shown once
        warnings.simplefilter("always", _Listened, append=warnings.filters[:1] == [_FILTER])
        if warnings.showwarning is not _show:
            _shown_before, warnings.showwarning = warnings.showwarning, _show
        _listening += 1
    token = _ears.set(ears)
    try:
        yield ears.heard
    finally:
        _ears.reset(token)
        with _lock:
            _listening -= 1
            if _listening == 0 and warnings.showwarning is _show:
                warnings.showwarning = _shown_before


def _show(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    ears = _ears.get()
    if ears is not None and issubclass(category, ears.categories):
        ears.heard.append(HeardWarning(str(message), category))
    else:
        _shown_before(message, category, filename, lineno, file, line)
