"""Arrays that are used again and again, a set for each thread.

The memory of a large array that is let go goes back to the system (at once where dask's ``MALLOC_TRIM_THRESHOLD_`` says
so), and each page of the next one has to be fetched and cleared anew: 5 % of the time of carbon's rows, 7 % under dask.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MOST: Final = 2**23
"""Doubles (64 MiB) of an array that is kept; what is larger is made anew."""

LINE: Final = 8
"""Doubles of a cache line."""


class _Kept(threading.local):
    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[np.float64]] = {}


_kept = _Kept()


def kept_array(name: str, size: int) -> NDArray[np.float64]:
    """(size,) doubles of any value, beginning at a cache line; the same memory at each call of a thread with a name."""
    array = _kept.arrays.get(name)
    if array is None or len(array) < size:
        whole = np.empty(size + LINE)
        first = -(whole.ctypes.data // 8) % LINE
        array = whole[first : first + size]
        if size <= MOST:
            _kept.arrays[name] = array
    return array[:size]


def forget_arrays() -> None:
    """Let go of the arrays of this thread: after a pass over rows, before what needs the memory otherwise."""
    _kept.arrays.clear()


def return_memory() -> None:
    """:func:`forget_arrays`, and what this process let go of goes back to the system: before a solve, of large squares.

    The C library keeps freed arrays of up to 32 MiB for the next ones of their size.
    """
    forget_arrays()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # other C libraries than glibc have no such function
            ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def scratch_buffer() -> Iterator[NDArray[np.float64]]:
    """Memory that kernels carve their scratch arrays from (``carve`` in ``kernels/edges.py``).

    Its first number is the index of what is free; kernels that need more than there is count it there all the same,
    make arrays of their own, and find enough the next time.
    """
    scratch = kept_array("work", max(LINE, len(_kept.arrays.get("work", ()))))
    scratch[0] = LINE
    yield scratch
    if scratch[0] > len(scratch):
        kept_array("work", min(int(scratch[0]), MOST))
