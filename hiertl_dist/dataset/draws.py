"""Draws by a hash of a seed and a name: the same on every machine, whatever the order in which things are given."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

CHUNK: Final = 2**13
"""Names that are made at once."""

HEAD: Final = 8
"""First bytes of a draw that decide, at most 8; where they are equal, all of it does."""


def drawn(seed: int, *names: object) -> bytes:
    """A pseudo-random number that is the same on every machine."""
    return hashlib.sha256("\0".join(map(str, (seed, *names))).encode()).digest()


def draw_order(
    seed: int, names: Callable[[NDArray[np.int64]], Sequence[str]], keys: Sequence[NDArray[np.integer]]
) -> NDArray[np.int64]:
    """An order of n things by some keys, and of those alike in all of them by what is drawn for their names.

    Parameters
    ----------
    seed : int
        Of the draw.
    names : callable
        The names of things, given their numbers.
    keys : sequence of ndarray of int, shape (n,)
        Rising, at least one; the last counts first.

    Returns
    -------
    ndarray of int, shape (n,)
        The numbers of things in that order.
    """
    count = len(keys[0])
    heads = np.empty(count, np.uint64)
    for start in range(0, count, CHUNK):
        own = np.arange(start, min(start + CHUNK, count))
        listed = b"".join(drawn(seed, name)[:HEAD].ljust(8, b"\0") for name in names(own))
        heads[own] = np.frombuffer(listed, ">u8")
    order = np.lexsort((heads, *keys))
    for start, stop in _undecided(order, (heads, *keys)):
        run = order[start:stop]
        draws = [drawn(seed, name) for name in names(run)]
        order[start:stop] = run[sorted(range(len(run)), key=draws.__getitem__)]
    return order


def _undecided(order: NDArray[np.int64], keys: Sequence[NDArray[np.generic]]) -> list[tuple[int, int]]:
    """Runs of places in an order that are alike in all keys: first place, and the one after the last."""
    runs: list[tuple[int, int]] = []
    for start in range(0, len(order) - 1, CHUNK):
        own = order[start : start + CHUNK + 1]
        alike = np.ones(len(own) - 1, np.bool_)
        for key in keys:
            alike &= key[own[1:]] == key[own[:-1]]
        for place in (start + np.flatnonzero(alike)).tolist():
            if runs and runs[-1][1] == place + 1:
                runs[-1] = (runs[-1][0], place + 2)
            else:
                runs.append((place, place + 2))
    return runs
