"""Digests of frames in arrays: which are equal, and where they are among others, at some 16 bytes a frame.

Digests are compared whole; their first eight bytes, which hardly ever are those of another one, say which to compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

DIGEST: Final = 32
"""Bytes of a digest."""

CHUNK: Final = 2**13
"""Digests that are looked up at once."""


def bytes_of(digests: Iterable[str]) -> NDArray[np.uint8]:
    """(n, 32) digests that are texts, as bytes."""
    return np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(-1, DIGEST)


def hex_of(digests: NDArray[np.uint8]) -> list[str]:
    """Digests, (n, 32), as texts."""
    return [bytes(digest).hex() for digest in digests]


def heads_of(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n,) the first eight bytes of each of some digests, (n, 32), as a number."""
    return digests[:, :8].copy(order="C").view(np.uint64).reshape(-1)


def repeated(heads: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Those of some numbers that occur more than once, each once, rising; the array given is sorted in place."""
    heads.sort()
    return np.unique(heads[1:][heads[1:] == heads[:-1]])


def is_among(heads: NDArray[np.uint64], rising: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """(n,) which numbers are among others, each of which stands once, rising."""
    if not len(rising):
        return np.zeros(len(heads), np.bool_)
    among = np.empty(len(heads), np.bool_)
    for own in _chunks(len(heads)):
        at = np.minimum(np.searchsorted(rising, heads[own]), len(rising) - 1)
        among[own] = rising[at] == heads[own]
    return among


def first_equal(digests: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Of each of some digests, (n, 32), the number of the first that is equal."""
    first = np.arange(len(digests))
    for places in _alike(digests):
        whole = np.ascontiguousarray(digests[places]).view(f"V{DIGEST}").reshape(-1)
        _, at, which = np.unique(whole, return_index=True, return_inverse=True)
        first[places] = places[at[which.reshape(-1)]]
    return first


def _alike(digests: NDArray[np.uint8]) -> Iterator[NDArray[np.int64]]:
    """Numbers of digests whose heads occur more than once, some thousand at a time; equal heads come together."""
    again = repeated(heads_of(digests))
    if not len(again):
        return
    heads = heads_of(digests)
    places = np.flatnonzero(is_among(heads, again))
    heads = heads[places]
    order = np.argsort(heads, kind="stable")
    places, heads = places[order], heads[order]
    start = 0
    while start < len(places):
        stop = int(np.searchsorted(heads, heads[min(start + CHUNK, len(heads)) - 1], side="right"))
        yield places[start:stop]
        start = stop


@dataclass(frozen=True, eq=False)
class DigestIndex:
    """Digests in an order in which others are looked up; made by :meth:`of`.

    Attributes
    ----------
    digests : ndarray of uint8, shape (n, 32)
        As they were given.
    heads : ndarray of uint64, shape (n,)
        Their heads, rising.
    order : ndarray of int, shape (n,)
        Which of the digests each head belongs to; of equal ones the first comes first.
    """

    digests: NDArray[np.uint8]
    heads: NDArray[np.uint64]
    order: NDArray[np.int64]

    @classmethod
    def of(cls, digests: NDArray[np.uint8]) -> Self:
        """An index of digests, (n, 32)."""
        heads = heads_of(digests)
        order = np.argsort(heads, kind="stable")
        heads.sort()
        return cls(digests, heads, order)

    def places(self, wanted: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Where digests are.

        Parameters
        ----------
        wanted : ndarray of uint8, shape (m, 32)
            The digests that are looked up.

        Returns
        -------
        ndarray of int, shape (m,)
            Of each, the number of the first that is equal; −1 where none is.
        """
        places = np.full(len(wanted), -1)
        if not len(self.heads):
            return places
        for own in _chunks(len(wanted)):
            heads = heads_of(wanted[own])
            at = np.minimum(np.searchsorted(self.heads, heads), len(self.heads) - 1)
            same_head = self.heads[at] == heads
            equal = same_head & (self.digests[self.order[at]] == wanted[own]).all(axis=1)
            places[own] = np.where(equal, self.order[at], -1)
            for i in np.flatnonzero(same_head & ~equal).tolist():
                places[own.start + i] = self._of_same_head(int(at[i]), wanted[own.start + i])
        return places

    def _of_same_head(self, at: int, digest: NDArray[np.uint8]) -> int:
        """The number of the first equal one from a place in the order on where heads are the same; −1 for none."""
        stop = int(np.searchsorted(self.heads, self.heads[at], side="right"))
        return next((i for i in self.order[at:stop].tolist() if np.array_equal(self.digests[i], digest)), -1)


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))
