"""``Segment``: frames of one element set, whose rows the tiles of all blocks share; they follow from frames alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, overload

import numpy as np

from ..evaluation.contacts import frames_label
from ..frames.digests import DIGEST
from ..frames.frame_sequence import FrameList, FrameSequence
from ..frames.rows import POOLED, SUMMARY_KINDS, Group
from ..text.display import Shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ..frames.element_set import ElementSet
    from ..frames.frame_facts import FrameFacts
    from ..frames.row_weights import RowWeights

DIGESTS: Final = 8192
"""Frames of which digests are read at once."""


@dataclass(frozen=True, eq=False, repr=False)
class Segment(Shown):
    """Frames of one element set, in the order of the data set; most follow one another there.

    Attributes
    ----------
    keys : sequence of str
        Where its key is, at ``number``; see :class:`SegmentKeys`.
    number : int
        Which of these is its own.
    elements : ElementSet
        Those of each of its frames.
    indices : ndarray of int, shape (frames,)
        Places of its frames in the data set.
    frames : FrameSequence
        The frames, or where they are.
    rows : int
        Number of their rows.
    folds : ndarray of int, shape (frames,), or None
        Fold of each frame, where compositions, folds and numbers of atoms are kept apart too; −1 for none.
    apart : frozenset of str or None
        Sources that keep rows of their own; those of all others are together. ``None``: every source is apart.
    row_weights : RowWeights or None
        By which rows are multiplied before they are reduced; ``None``: all are 1.
    """

    keys: Sequence[str]
    number: int
    elements: ElementSet
    indices: NDArray[np.int64]
    frames: FrameSequence
    rows: int
    folds: NDArray[np.integer] | None = None
    apart: frozenset[str] | None = None
    row_weights: RowWeights | None = None

    def __getstate__(self) -> dict[str, object]:
        # a worker needs this one key, and none of the frames that keys are made of
        return {**self.__dict__, "keys": (self.key,), "number": 0}

    @property
    def key(self) -> str:
        """Digest of its frames."""
        return self.keys[self.number]

    @property
    def first(self) -> int:
        """Place of its first frame in the data set, which no other segment of a plan has."""
        return int(self.indices[0])

    @property
    def groups(self) -> tuple[tuple[Group, int], ...]:
        """Rows of each group of sources and kinds, groups in order of first appearance."""
        return _groups(self.frames.facts, self.apart)

    @property
    def label(self) -> str:
        """Its frames, for messages."""
        return frames_label(self.frames)

    def loaded(self) -> Segment:
        """The same with its frames in memory: who looks at them more than once reads them once."""
        return self if isinstance(self.frames, FrameList) else replace(self, frames=FrameList(self.frames))


def grouped_rows(segment: Segment) -> dict[Group, NDArray[np.intp]]:
    """Indices of the rows of each group within a segment.

    Parameters
    ----------
    segment : Segment
        The frames. With folds, compositions, folds and numbers of atoms are kept apart too, and not only sources and
        kinds.

    Returns
    -------
    dict from Group to ndarray of int
        Rows of the segment, rising; groups in order of first appearance.
    """
    facts = segment.frames.facts
    counts = facts.rows_of_kinds
    n_kinds = len(SUMMARY_KINDS)
    # of each row, its frame and its kind, which a frame has one after the other
    frame = np.repeat(np.arange(len(facts)), counts.sum(axis=1))
    kind = np.repeat(np.tile(np.arange(n_kinds), len(facts)), counts.ravel())
    source = _source_codes(facts, segment.apart)
    if segment.folds is None:
        of_frame = source[:, None]
    else:
        of_frame = np.stack([source, _composition_codes(facts), segment.folds, facts.n_atoms], axis=1)
    which, number = np.unique(of_frame, axis=0, return_inverse=True)
    number = number.reshape(-1)
    code = number[frame] * n_kinds + kind
    energy = n_kinds - 1
    if segment.folds is not None:
        # but for energies, frames of all sizes are together
        same = np.unique(which[:, :3], axis=0, return_inverse=True)[1].reshape(-1)
        code = np.where(kind == energy, code, -1 - (same[number[frame]] * n_kinds + kind))
    codes, at, of_row = np.unique(code, return_index=True, return_inverse=True)
    rows = np.split(np.argsort(of_row, kind="stable"), np.cumsum(np.bincount(of_row, minlength=len(codes)))[:-1])
    grouped = {}
    for k in np.argsort(at, kind="stable").tolist():
        row = int(at[k])
        grouped[_group_of(segment, facts, int(frame[row]), SUMMARY_KINDS[int(kind[row])])] = rows[k]
    return grouped


def _source_codes(facts: FrameFacts, apart: frozenset[str] | None) -> NDArray[np.int64]:
    """(n,) numbers of the sources of frames; those that are not apart are one, the number of all names."""
    codes = facts.group.astype(np.int64)
    if apart is None:
        return codes
    present, number = np.unique(codes, return_inverse=True)
    own = np.array([facts.group_names[c] in apart for c in present.tolist()], np.bool_)
    return np.where(own, present, len(facts.group_names))[number.reshape(-1)]


def _source_name(facts: FrameFacts, code: int) -> str:
    return POOLED if code == len(facts.group_names) else facts.group_names[code]


def _composition_codes(facts: FrameFacts) -> NDArray[np.int64]:
    """(n,) numbers of the compositions of frames: those of formulas that differ in size alone are the same."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(c, len(known)) for c in facts.compositions], np.int64)[facts.formula]


def _group_of(segment: Segment, facts: FrameFacts, frame: int, kind: str) -> Group:
    name = facts.group_names[facts.group[frame]]
    name = name if segment.apart is None or name in segment.apart else POOLED
    if segment.folds is None:
        return Group(name, kind)
    composition = facts.compositions[facts.formula[frame]]
    return Group(name, kind, composition, int(segment.folds[frame]), int(facts.n_atoms[frame]) * (kind == "energy"))


def cut_segments(
    frames: FrameSequence, chosen: NDArray[np.int64], most_rows: Callable[[ElementSet], int]
) -> list[Segment]:
    """Cut some frames of a data set into segments.

    Parameters
    ----------
    frames : FrameSequence
        The data set.
    chosen : ndarray of int
        Numbers of frames that are wanted, rising; each has rows.
    most_rows : callable
        Rows that a segment of an element set has at most; a frame that has more stands alone.

    Returns
    -------
    list of Segment
        Element sets one after the other, small ones first.
    """
    facts = frames.facts
    rows, sets = facts.n_rows[chosen], facts.sets[chosen]
    present = [(facts.set_names[code], code) for code in np.unique(sets).tolist()]
    segments = []
    for elements, code in sorted(present, key=lambda of_set: (len(of_set[0].elements), of_set[0])):
        own = np.flatnonzero(sets == code)
        places = chosen[own]
        runs = list(_runs(rows[own], most_rows(elements)))
        keys = SegmentKeys(frames, places, runs)
        for number, run in enumerate(runs):
            rows_of_run = int(rows[own[run]].sum())
            segments.append(Segment(keys, number, elements, places[run], frames.take(places[run]), rows_of_run))
    return segments


class SegmentKeys(Sequence[str]):
    """The digest of the frames of each run of some: all are made when the first is asked for, which a plan does not.

    Parameters
    ----------
    frames : FrameSequence
        The data set.
    places : ndarray of int
        Numbers of its frames that runs are of.
    runs : sequence of slice
        Of these places.
    """

    def __init__(self, frames: FrameSequence, places: NDArray[np.int64], runs: Sequence[slice]) -> None:
        self._source: tuple[FrameSequence, NDArray[np.int64]] = frames, places
        self._runs = runs

    def __len__(self) -> int:
        return len(self._runs)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._all[index]

    @cached_property
    def _all(self) -> tuple[str, ...]:
        return tuple(_keys(*self._source, self._runs))


def _keys(frames: FrameSequence, places: NDArray[np.int64], runs: Sequence[slice]) -> Iterator[str]:
    """The digest of the frames of each run, of which so many together are read that none is read often."""
    start, stop, digests = 0, 0, np.empty((0, DIGEST), np.uint8)
    for run in runs:
        if run.stop > stop:
            start, stop = run.start, min(max(run.start + DIGESTS, run.stop), len(places))
            digests = frames.take(places[start:stop]).digests
        yield hashlib.sha256(digests[run.start - start : run.stop - start].tobytes()).hexdigest()


def _runs(rows: NDArray[np.int64], limit: int) -> Iterator[slice]:
    """Consecutive frames of at most ``limit`` rows together."""
    total = np.cumsum(rows)
    start = before = 0
    while start < len(rows):
        stop = max(int(np.searchsorted(total, before + limit, side="right")), start + 1)
        yield slice(start, stop)
        start, before = stop, int(total[stop - 1])


def _groups(facts: FrameFacts, apart: frozenset[str] | None) -> tuple[tuple[Group, int], ...]:
    codes, number = np.unique(_source_codes(facts, apart), return_inverse=True)
    counts = facts.rows_of_kinds
    totals = np.zeros((len(codes), len(SUMMARY_KINDS)), np.int64)
    np.add.at(totals, number, counts)
    first = np.full(totals.shape, len(facts))
    np.minimum.at(first, number, np.where(counts > 0, np.arange(len(facts))[:, None], len(facts)))
    order = sorted(zip(*np.nonzero(totals), strict=True), key=lambda at: (first[at], at[1]))
    return tuple((Group(_source_name(facts, int(codes[g])), SUMMARY_KINDS[k]), int(totals[g, k])) for g, k in order)
