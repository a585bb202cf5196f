"""``one_thread``: the limit of one BLAS and OpenMP thread under which each call runs: so all give the same bits."""

from __future__ import annotations

import sys
import threading
from typing import Any

import scipy.linalg  # noqa: F401  loaded now, so that the limit reaches its BLAS too
import threadpoolctl


class _OneThread:
    """The process-wide limit of one thread for BLAS and OpenMP.

    It is counted, for calls may run in threads of one process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._first: Any = None
        self._controller: Any = None
        self._modules = 0

    def __enter__(self) -> None:
        with self._lock:
            # set anew on each entry: OpenMP has a number for each thread, and libraries may have been loaded
            self._take_control()
            limits = self._libraries().limit(limits=1)
            self._first = limits if self._inside == 0 else self._first
            self._inside += 1

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                # only the first knows what was set before, and calls in other threads needed it until now
                self._take_control()
                self._first.restore_original_limits()
                self._take_control()
                self._first = None

    def _libraries(self) -> Any:
        """The libraries that are loaded: looking for them takes over a millisecond, and only imports load more."""
        if self._modules != len(sys.modules):
            self._modules, self._controller = len(sys.modules), threadpoolctl.ThreadpoolController()
        return self._controller

    @staticmethod
    def _take_control() -> None:
        """Forget which thread may set the limit: threadpoolctl (from 3.8) ignores all but one, in silence."""
        forget = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", None)
        if forget is not None:
            forget(force=True)


one_thread = _OneThread()
