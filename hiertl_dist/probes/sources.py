"""Which frames of single elements probes are made of: evenly over elements and groups, configurations that differ."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ..frames.element_set import ElementSet
from ..frames.type_names import cluster_name
from .volumes import FrameSize, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from ..frames.frame_sequence import FrameSequence

MOST_LOOKED: Final = 256
"""Frames of an element and group that are looked at."""


@dataclass(frozen=True, eq=False)
class Source:
    """Frames of one element and one group that probes may be made of.

    Attributes
    ----------
    element, group : str
        Whose they are.
    frames : tuple of Frame
        Each configuration once, by size and then by digest.
    sizes : tuple of FrameSize
        Of the frames.
    there : int
        How many configurations the group has; more than ``MOST_LOOKED`` are not looked at.
    """

    element: str
    group: str
    frames: tuple[Frame, ...]
    sizes: tuple[FrameSize, ...]
    there: int

    def near(self, share: float) -> Iterator[tuple[Frame, FrameSize]]:
        """The frame at a share, 0 to 1, of their order, and then the others by their distance from it."""
        first = share * len(self.frames) - 0.5
        for i in sorted(range(len(self.frames)), key=lambda i: (abs(i - first), i)):
            yield self.frames[i], self.sizes[i]

    def part(self, kept: Sequence[int]) -> Source:
        """Some of the frames, by their numbers."""
        return replace(self, frames=tuple(self.frames[i] for i in kept), sizes=tuple(self.sizes[i] for i in kept))


def shortest_of(sources: Sequence[Source]) -> dict[str, float]:
    """The shortest distance of two atoms of each element, by name of the pair, in the frames of some sources, Å."""
    shortest: dict[str, float] = {}
    for source in sources:
        pair = cluster_name((source.element, source.element))
        shortest[pair] = min([shortest.get(pair, np.inf), *(size.shortest for size in source.sizes)])
    return shortest


def sources_in(frames: FrameSequence, elements: Sequence[str]) -> list[Source]:
    """The frames that have one of the elements alone, by element and group; the order of frames has no influence.

    Parameters
    ----------
    frames : FrameSequence
        Any frames.
    elements : sequence of str
        The elements.

    Returns
    -------
    list of Source
        Sorted by element and group, numbers in names of groups as numbers.
    """
    facts = frames.facts
    names = {ElementSet.of([e]): e for e in elements}
    chosen = np.flatnonzero(facts.of_sets(set(names)))
    members: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, s, g in zip(chosen.tolist(), facts.sets[chosen].tolist(), facts.group[chosen].tolist(), strict=True):
        members[names[facts.set_names[s]], facts.group_names[g]].append(i)
    sources = []
    for element, group in sorted(members, key=lambda key: (key[0], *natural(key[1]))):
        numbers = np.array(members[element, group])
        distinct = _distinct(frames.take(numbers).configurations)
        some = distinct[_evenly(len(distinct), MOST_LOOKED)]
        looked = [(size_of(frame), frame) for frame in frames.take(numbers[some])]
        looked.sort(key=lambda one: (_size_key(one[0]), one[1].configuration))
        sources.append(
            Source(element, group, tuple(f for _, f in looked), tuple(s for s, _ in looked), len(distinct))
        )  # fmt: skip
    return sources


def natural(name: str) -> tuple[tuple[tuple[str, int], ...], str]:
    """By what names are sorted so that ``T300`` comes before ``T3000``, and both before ``U``."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((w, int(d[:18])) for w, d in zip(parts[::2], [*parts[1::2], "0"], strict=True)), name


def _distinct(configurations: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Numbers of frames, one of each configuration, in the order of these digests."""
    _, first = np.unique(np.ascontiguousarray(configurations).view("V32").ravel(), return_index=True)
    return first


def _evenly(there: int, most: int) -> NDArray[np.intp]:
    """At most so many numbers of 0 … there − 1, evenly spread."""
    return np.arange(there) if there <= most else (np.arange(most) * there) // most


def _size_key(size: FrameSize) -> tuple[bool, float]:
    """Frames that fill space first, by volume; then others by distances, isolated atoms last."""
    return not size.dense, size.volume if size.dense else float(np.nan_to_num(size.nearest, nan=np.inf))


def shared_out(count: int, among: int, shift: float) -> list[int]:
    """Whose turn it is, ``count`` times: of so many, each equally often but for one, evenly spread where they are more.

    ``shift``, 0 to 1, says which of them are taken.
    """
    return [min(int((i + shift) * among / count), among - 1) for i in range(count)]
