"""What a summary store has of the frames of a pass already, and what of the pass is left to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..dataset.folds import assign_folds
from ..errors import StoreError
from ..frames.digests import DigestIndex, first_equal
from ..frames.frame_records import JoinedRecords
from ..text.words import count_text
from .frame_checks import require_one_fold
from .pass_notes import NAMED, named
from .stored_frames import while_reading
from .stored_summaries import lacking_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ..dataset.folds import Folds
    from ..frames.element_set import ElementSet
    from ..frames.frame_records import FrameRecords
    from ..frames.frame_sequence import FrameSequence
    from .summary_batches import Batch
    from .summary_store import SummaryStore


@dataclass(frozen=True, eq=False)
class Todo:
    """What a pass over n frames has to do.

    Attributes
    ----------
    folds : ndarray of int32, shape (n,)
        Fold of each frame, −1 without any.
    wanted : ndarray of int, shape (m,)
        Numbers of the frames whose rows are needed.
    replaced : dict from str to list of str
        By element set, the batches that lack columns and are made anew.
    """

    folds: NDArray[np.int32]
    wanted: NDArray[np.int64]
    replaced: dict[str, list[str]]


def todo_of_pass(
    store: SummaryStore | None, batches: Sequence[Batch], frames: FrameSequence, names: Sequence[ElementSet],
    folds: Folds | None,
) -> Todo:  # fmt: skip
    """What a pass over some frames, each once, has to do with a store of some batches, or without one.

    Raises StoreError where the batches contradict each other, lack columns of frames that are not given, or were
    superseded meanwhile.
    """
    if store is None or not batches:
        return Todo(_shared_out(frames, folds, ()), np.arange(len(frames)), {})
    with while_reading(store.path):
        all_records = JoinedRecords([store.records(batch) for batch in batches])
        if folds is not None:
            require_one_fold("the store", all_records, {"folds": folds.as_dict()})
        shares = _shared_out(frames, folds, all_records)
        index = DigestIndex.of(frames.digests)
        known = np.zeros(len(frames), np.bool_)
        replaced: dict[str, list[str]] = {}
        for batch in batches:
            if new := lacking_blocks(batch, names):
                _require_given(store.records(batch), index, batch, new)
                replaced.setdefault(batch.elements, []).append(batch.id)
                continue
            for records in store.records(batch):
                places = index.places(records.digests)
                known[places[places >= 0]] = True
        return Todo(shares, np.flatnonzero(~known), replaced)


def _shared_out(frames: FrameSequence, folds: Folds | None, known: Iterable[FrameRecords]) -> NDArray[np.int32]:
    return np.full(len(frames), -1, np.int32) if folds is None else assign_folds(frames, folds, known)


def _require_given(
    records: Iterable[FrameRecords], index: DigestIndex, batch: Batch, new: Sequence[ElementSet]
) -> None:
    """Raise StoreError where a frame of a batch that lacks columns is not among those given."""
    absent, origins = _absent(records, index)
    if absent:
        raise StoreError(
            f"blocks {', '.join(new)} are new for frames of {batch.elements}: the rows "
            f"of all {batch.frames.count} such frames are needed again, of which {absent} were not given: "
            f"{named(origins)}"
        )


def _absent(records: Iterable[FrameRecords], index: DigestIndex) -> tuple[int, list[str]]:
    """How many frames are not in an index of digests, and the origins of the first of them, one more than is named."""
    count, origins = 0, list[str]()
    for part in records:
        absent = np.flatnonzero(index.places(part.digests) < 0)
        count += len(absent)
        origins += [part.origin(i) for i in absent[: NAMED + 1 - len(origins)].tolist()]
    return count, origins


def absent_frames(store: SummaryStore, batches: Sequence[Batch], frames: FrameSequence) -> tuple[int, list[str]]:
    """How many frames of some batches are not among those given, and the origins of the first of them.

    Raises StoreError where a batch was superseded meanwhile.
    """
    with while_reading(store.path):
        return _absent(JoinedRecords([store.records(batch) for batch in batches]), DigestIndex.of(frames.digests))


def strange_frames_notes(
    store: SummaryStore | None, batches: Sequence[Batch], frames: FrameSequence
) -> tuple[str, ...]:
    """What is said of frames that a store has and that were not given: they are part of what is returned.

    Raises StoreError where they are given frames with other labels, which would be fitted twice; and where a batch was
    superseded meanwhile.
    """
    if store is None:
        return ()
    absent, origins = absent_frames(store, batches, frames)
    if not absent:
        return ()
    with while_reading(store.path):
        _require_same_labels(store, batches, frames)
    if not len(frames):  # who gives none wants what is there
        return ()
    return (
        f"{store.path}: {count_text(absent, 'frame')} of the summary store were not given (held out since, or from an "
        f"earlier call?) and are fitted with the others: {named(origins)}",
    )


def _require_same_labels(store: SummaryStore, batches: Sequence[Batch], frames: FrameSequence) -> None:
    """Raise StoreError where a frame that was not given has the group and configuration of one that is new."""
    records = JoinedRecords([store.records(batch) for batch in batches])
    strange, new = _strange_and_new(records, frames)
    places = np.flatnonzero(new)
    sources = DigestIndex.of(_source_keys(frames.configurations[places], frames.facts.group[places]))
    code_of = {name: code for code, name in enumerate(frames.facts.group_names)}
    count, origins = 0, list[str]()
    for part, own in zip(records, strange, strict=True):
        codes = np.array([code_of.get(name, -1) for name in part.group_names], np.int32)[part.groups]
        chosen = np.flatnonzero(own & (codes >= 0))
        again = chosen[sources.places(_source_keys(part.configurations[chosen], codes[chosen])) >= 0]
        count += len(again)
        origins += [part.origin(i) for i in again[: NAMED + 1 - len(origins)].tolist()]
    if count:
        raise StoreError(
            f"{store.path}: {count_text(count, 'frame')} would be fitted twice, for the store has them with other "
            f"labels: {named(origins)}; name another folder for the summaries of these labels"
        )


def _strange_and_new(
    records: Iterable[FrameRecords], frames: FrameSequence
) -> tuple[list[NDArray[np.bool_]], NDArray[np.bool_]]:
    """Which records, part by part, are of none of some frames; and which of the frames have no record."""
    index = DigestIndex.of(frames.digests)
    new, strange = np.ones(len(frames), np.bool_), []
    for part in records:
        places = index.places(part.digests)
        strange.append(places < 0)
        new[places[places >= 0]] = False
    return strange, new[first_equal(index.digests)]


def _source_keys(configurations: NDArray[np.uint8], groups: NDArray[np.int32]) -> NDArray[np.uint8]:
    """(n, 40) what is the same for frames of one configuration and group, and for no others."""
    return np.concatenate([configurations, groups.astype(np.int64)[:, np.newaxis].view(np.uint8)], axis=1)
