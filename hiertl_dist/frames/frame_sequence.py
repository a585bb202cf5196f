"""``FrameSequence``: frames in an order, in memory or on disk, for whoever fits, plans and shares them out.

What a sequence knows of its frames (``facts``, digests) costs some bytes each; a part of it (``take``, a slice) is a
sequence too, and sending one to a worker sends the frames (:class:`FrameList`) or only where they are.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np

from ..text.cards import frames_card
from ..text.display import listed
from .choosing import checked_numbers, frames_where, numbers_meant
from .digests import DIGEST, bytes_of
from .frame import Frame
from .frame_facts import facts_of, joined_facts
from .frame_table import joined_tables, table_of
from .labels import AlikeLabels, joined_alike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from .frame_facts import FrameFacts
    from .frame_table import FrameTable
    from .labels import LabelOrigin

MOST_RUNS: Final = 1024
"""Runs of frames of one sequence after the other, as which frames of several are kept; of more the order is kept."""


class FrameSequence(Sequence["Frame"]):
    """Frames in an order, of which much is known without looking at their atoms."""

    @property
    @abstractmethod
    def facts(self) -> FrameFacts:
        """Formula, group, labels and energy of each."""

    @abstractmethod
    def take(self, indices: NDArray[np.integer]) -> FrameSequence:
        """Some of the frames.

        Parameters
        ----------
        indices : ndarray of int
            Their numbers, in any order.

        Returns
        -------
        FrameSequence
            The frames in that order.
        """

    @property
    @abstractmethod
    def digests(self) -> NDArray[np.uint8]:
        """(n, 32) ``Frame.digest`` of each, as bytes."""

    @property
    @abstractmethod
    def configurations(self) -> NDArray[np.uint8]:
        """(n, 32) ``Frame.configuration`` of each, as bytes."""

    @property
    @abstractmethod
    def stresses(self) -> NDArray[np.float64]:
        """(n, 6) stress of each in kcal/mol/Å³, xx yy zz xy xz yz; NaN where there is none."""

    @property
    @abstractmethod
    def identities(self) -> list[str]:
        """What tells these frames from others: the digest of each, or less where a word stands for many."""

    @abstractmethod
    def origin(self, index: int) -> str:
        """Where a frame came from, for messages.

        Parameters
        ----------
        index : int
            Its number, from 0.

        Returns
        -------
        str
            As ``Frame.origin``.
        """

    def origins(self) -> list[str]:
        """Where each of the frames came from; to be asked for of few.

        Returns
        -------
        list of str
            As ``Frame.origin`` of each.
        """
        return [self.origin(index) for index in range(len(self))]

    @abstractmethod
    def table(self) -> FrameTable:
        """All of the frames as ragged arrays; to be asked for of few.

        Returns
        -------
        FrameTable
            In their order.
        """

    @abstractmethod
    def _frame(self, index: int) -> Frame:
        """One frame, 0 ≤ index < len(self)."""

    def __len__(self) -> int:
        return len(self.facts)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> FrameSequence: ...
    def __getitem__(self, index: Any) -> Frame | FrameSequence:
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self))))
        if not isinstance(index, int | np.integer) or isinstance(index, bool):
            return self.take(numbers_meant(index, len(self)))
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"expected the number of one of {len(self)} frames, found {index}")
        return self._frame(int(number))

    def __add__(self, other: Sequence[Frame]) -> FrameSequence:
        return joined_frames([self, sequence_of(other)]) if _are_frames(other) else NotImplemented

    def __radd__(self, other: Sequence[Frame]) -> FrameSequence:
        return joined_frames([sequence_of(other), self]) if _are_frames(other) else NotImplemented

    def _repr_html_(self) -> str:
        return frames_card(self).html()

    def where(
        self, *, elements: str | Iterable[str] | None = None, group: str | Iterable[str] | None = None
    ) -> FrameSequence:
        """The frames of some sets of elements, of some groups, or both.

        Parameters
        ----------
        elements : str or iterable of str, optional
            Names of sets, ``"CN"``: frames that have exactly the elements of one of them.
        group : str or iterable of str, optional
            Patterns of names of groups, ``"t03*"``: frames of a group that one of them matches.

        Returns
        -------
        FrameSequence
            Those frames, in their order; perhaps none. Of a :class:`~hiertl_dist.Dataset` it is one.

        Raises
        ------
        BasisError
            No elements have such a name.
        InputError
            No group matches a pattern; names of groups are said.
        """
        return self.take(frames_where(self.facts, elements, group))

    def alike_labels(self) -> list[AlikeLabels]:
        """Which labels frames have, and where these came from.

        Returns
        -------
        list of AlikeLabels
            Frames that were read alike together, in order of first appearance.
        """
        known: dict[tuple[LabelOrigin | None, bool, bool, bool], AlikeLabels] = {}
        for frame in self:
            has = (frame.labels, frame.energy is not None, frame.forces is not None, frame.stress is not None)
            zero = frame.energy == 0.0 and frame.forces is not None and bool(frame.forces.any())
            before = known.get(has) or AlikeLabels(*has, 0, frame.origin, 0)
            known[has] = before._replace(frames=before.frames + 1, zero_energies=before.zero_energies + zero)
        return list(known.values())

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
        part = FrameList(self._frames[i] for i in checked_numbers(indices, len(self)).tolist())
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
        return bytes_of(f.digest for f in self._frames)

    @property
    def configurations(self) -> NDArray[np.uint8]:
        """As of :class:`FrameSequence`."""
        return bytes_of(f.configuration for f in self._frames)

    @property
    def stresses(self) -> NDArray[np.float64]:
        """As of :class:`FrameSequence`."""
        nothing = np.full(6, np.nan)
        return np.array([nothing if f.stress is None else f.stress for f in self._frames]).reshape(-1, 6)

    @property
    def identities(self) -> list[str]:
        """As of :class:`FrameSequence`."""
        return [f.digest for f in self._frames]

    def origin(self, index: int) -> str:
        """As of :class:`FrameSequence`."""
        return self._frames[index].origin

    def table(self) -> FrameTable:
        """As of :class:`FrameSequence`."""
        return table_of(self._frames)


class JoinedFrames(FrameSequence):
    """Sequences one after the other, as one.

    Parameters
    ----------
    parts : iterable of FrameSequence
        The sequences.
    order : ndarray of int, optional
        Numbers of all frames of the parts in another order than they follow one another.
    """

    def __init__(self, parts: Iterable[FrameSequence], order: NDArray[np.int64] | None = None) -> None:
        self._parts: tuple[FrameSequence, ...] = tuple(
            own for part in parts
            for own in (part._parts if isinstance(part, JoinedFrames) and part._order is None else (part,))
        )  # fmt: skip
        self._starts = np.cumsum([0, *map(len, self._parts)])
        self._order: NDArray[np.int64] | None = order

    def __reduce__(self) -> tuple[object, ...]:
        return JoinedFrames, (self._parts, self._order)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __iter__(self) -> Iterator[Frame]:
        if self._order is None:
            return (frame for part in self._parts for frame in part)
        return (frame for run in self._runs() for frame in run.table())

    def __repr__(self) -> str:
        return f"JoinedFrames: {len(self)} frames of {listed(self._parts, 3)}"

    def _place(self, index: int) -> tuple[FrameSequence, int]:
        number = index if self._order is None else int(self._order[index])
        k = int(np.searchsorted(self._starts, number, side="right")) - 1
        return self._parts[k], number - int(self._starts[k])

    def _frame(self, index: int) -> Frame:
        part, own = self._place(index)
        return part[own]

    def _runs(self) -> Iterator[FrameSequence]:
        return (self[i : i + MOST_RUNS] for i in range(0, len(self), MOST_RUNS))

    def take(self, indices: NDArray[np.integer]) -> FrameSequence:
        """As of :class:`FrameSequence`."""
        numbers = checked_numbers(indices, len(self))
        numbers = numbers if self._order is None else self._order[numbers]
        of_part = np.searchsorted(self._starts, numbers, side="right") - 1
        runs = np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(of_part)) + 1) if len(numbers) else []
        if mixed := len(runs) > MOST_RUNS:
            runs = [np.flatnonzero(of_part == k) for k in np.unique(of_part).tolist()]
        parts = [self._parts[of_part[run[0]]].take(numbers[run] - self._starts[of_part[run[0]]]) for run in runs]
        if mixed:
            return JoinedFrames(parts, np.argsort(np.concatenate(runs)))
        return parts[0] if len(parts) == 1 else JoinedFrames(parts)

    @cached_property
    def facts(self) -> FrameFacts:
        """As of :class:`FrameSequence`."""
        facts = joined_facts([part.facts for part in self._parts])
        return facts if self._order is None else facts.take(self._order)

    @property
    def digests(self) -> NDArray[np.uint8]:
        """As of :class:`FrameSequence`."""
        return self._bytes(lambda part: part.digests)

    @property
    def configurations(self) -> NDArray[np.uint8]:
        """As of :class:`FrameSequence`."""
        return self._bytes(lambda part: part.configurations)

    def _bytes(self, of: Callable[[FrameSequence], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Digests of all parts, asked for one part after the other."""
        out = np.empty((len(self), DIGEST), np.uint8)
        place = None if self._order is None else np.argsort(self._order)
        for part, start, stop in zip(self._parts, self._starts[:-1], self._starts[1:], strict=True):
            out[slice(start, stop) if place is None else place[start:stop]] = of(part)
        return out

    @property
    def stresses(self) -> NDArray[np.float64]:
        """As of :class:`FrameSequence`."""
        joined = np.concatenate([np.empty((0, 6)), *(p.stresses for p in self._parts)])
        return joined[... if self._order is None else self._order]

    @property
    def identities(self) -> list[str]:
        """As of :class:`FrameSequence`."""
        order = [] if self._order is None else [hashlib.sha256(self._order.tobytes()).hexdigest()]
        return [own for part in self._parts for own in part.identities] + order

    def alike_labels(self) -> list[AlikeLabels]:
        """As of :class:`FrameSequence`, in the order of the parts."""
        return joined_alike(part.alike_labels() for part in self._parts)

    def origin(self, index: int) -> str:
        """As of :class:`FrameSequence`."""
        part, own = self._place(index)
        return part.origin(own)

    def table(self) -> FrameTable:
        """As of :class:`FrameSequence`."""
        return joined_tables([part.table() for part in (self._parts if self._order is None else self._runs())])


def joined_frames(parts: Sequence[FrameSequence]) -> FrameSequence:
    """Sequences as one: lists as a list, and those without a frame left out."""
    parts = [part for part in parts if len(part)] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, FrameList) for part in parts):
        return FrameList(frame for part in parts for frame in part)
    return JoinedFrames(parts)


def _are_frames(other: object) -> bool:
    """Whether something is a sequence of frames; of one that is none of ours all are looked at."""
    return isinstance(other, FrameSequence | list | tuple) and (
        isinstance(other, FrameSequence) or all(isinstance(frame, Frame) for frame in other)
    )


def sequence_of(frames: Iterable[Frame]) -> FrameSequence:
    """The frames as a sequence that knows facts: itself if it is one, else a list's frames."""
    return frames if isinstance(frames, FrameSequence) else FrameList(frames)


def taken(frames: Sequence[Frame], indices: NDArray[np.integer]) -> Sequence[Frame]:
    """Some of the frames: a sequence that knows facts if that is what they are, else a list."""
    return frames.take(indices) if isinstance(frames, FrameSequence) else [frames[i] for i in indices.tolist()]
