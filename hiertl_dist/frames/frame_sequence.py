"""``FrameSequence``: frames in an order, in memory or on disk, for whoever fits, plans and shares them out.

What a sequence knows of its frames (``facts``, digests) costs some bytes each; a part of it (``take``, a slice) is a
sequence too, and sending one to a worker sends the frames (:class:`FrameList`) or only where they are.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, overload

import numpy as np

from .frame_facts import facts_of
from .frame_table import table_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from .frame import Frame
    from .frame_facts import FrameFacts
    from .frame_table import FrameTable

DIGEST: Final = 32
"""Bytes of a digest."""


class FrameSequence(Sequence["Frame"]):
    """Frames in an order, of which much is known without looking at their atoms."""

    @property
    @abstractmethod
    def facts(self) -> FrameFacts:
        """Formula, group, labels and energy of each."""

    @abstractmethod
    def take(self, indices: NDArray[np.integer]) -> FrameSequence:
        """Some of the frames, in the order of their numbers given, which may be in any."""

    @property
    @abstractmethod
    def digests(self) -> NDArray[np.uint8]:
        """(n, 32) ``Frame.digest`` of each, as bytes."""

    @property
    @abstractmethod
    def configurations(self) -> NDArray[np.uint8]:
        """(n, 32) ``Frame.configuration`` of each, as bytes."""

    @abstractmethod
    def origin(self, index: int) -> str:
        """Where a frame came from, for messages."""

    @abstractmethod
    def table(self) -> FrameTable:
        """All of the frames as ragged arrays; to be asked for of few."""

    @abstractmethod
    def _frame(self, index: int) -> Frame:
        """One frame, 0 ≤ index < len(self)."""

    def __len__(self) -> int:
        return len(self.facts)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> FrameSequence: ...
    def __getitem__(self, index: int | slice) -> Frame | FrameSequence:
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self))))
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"expected the number of one of {len(self)} frames, found {index}")
        return self._frame(number)

    @property
    def key(self) -> str:
        """SHA-256 of the frames, order included; the same for equal frames wherever they are."""
        return hashlib.sha256(np.ascontiguousarray(self.digests).tobytes()).hexdigest()


class FrameList(FrameSequence):
    """Frames in memory.

    Parameters
    ----------
    frames : iterable of Frame
        They are kept, not copied.
    """

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._frames = tuple(frames)

    def __reduce__(self) -> tuple[object, ...]:
        return FrameList, (self._frames,)

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)

    def __repr__(self) -> str:
        return f"FrameList of {len(self)} frames"

    def _frame(self, index: int) -> Frame:
        return self._frames[index]

    def take(self, indices: NDArray[np.integer]) -> FrameList:
        """As of :class:`FrameSequence`."""
        part = FrameList(self._frames[i] for i in indices.tolist())
        if "facts" in self.__dict__:
            part.__dict__["facts"] = self.facts.take(indices)
        return part

    @cached_property
    def facts(self) -> FrameFacts:
        """As of :class:`FrameSequence`."""
        return facts_of(self._frames)

    @property
    def digests(self) -> NDArray[np.uint8]:
        """As of :class:`FrameSequence`."""
        return _bytes_of(f.digest for f in self._frames)

    @property
    def configurations(self) -> NDArray[np.uint8]:
        """As of :class:`FrameSequence`."""
        return _bytes_of(f.configuration for f in self._frames)

    def origin(self, index: int) -> str:
        """As of :class:`FrameSequence`."""
        return self._frames[index].origin

    def table(self) -> FrameTable:
        """As of :class:`FrameSequence`."""
        return table_of(self._frames)


def _bytes_of(digests: Iterable[str]) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(-1, DIGEST)


def sequence_of(frames: Iterable[Frame]) -> FrameSequence:
    """The frames as a sequence that knows facts: itself if it is one, else a list's frames."""
    return frames if isinstance(frames, FrameSequence) else FrameList(frames)
