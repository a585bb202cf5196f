"""Frames of batches: each is counted once, and those that belong together are in one fold.

Records are gone through part by part, in the order of the batches; what is kept of a frame meanwhile are eight bytes of
its digest. Frames of which these are equal are looked at whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..dataset.folds import Folds
from ..errors import StoreError
from ..frames.digests import DIGEST, DigestIndex, first_equal, heads_of, is_among, repeated
from ..frames.frame_records import FrameRecords, JoinedRecords

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Counted(NamedTuple):
    """A batch, as far as its blocks, its tiles and its frames are concerned."""

    id: str
    blocks: Sequence[str]
    tiles: Sequence[str]
    n_frames: int
    records: Iterable[FrameRecords]


class _Alike(NamedTuple):
    """Records that share a digest with others: their numbers, rising; where here the first equal one is; folds."""

    places: NDArray[np.int64]
    first: NDArray[np.int64]
    folds: NDArray[np.int32]


def require_sound(where: str, batches: Sequence[Counted], settings: Mapping[str, Any]) -> None:
    """Raise StoreError where a frame or a tile is in two batches of a store, or frames that belong together apart."""
    require_counted_once(where, batches)
    require_one_fold(where, JoinedRecords([batch.records for batch in batches]), settings)


def require_distinct(where: str, records: Iterable[FrameRecords]) -> None:
    """Raise StoreError where there is no record, or one twice."""
    if next(iter(records), None) is None:
        raise StoreError(f"{where}: expected at least one frame, found none")
    alike = _alike(records, "digest")
    again = np.flatnonzero(alike.first != np.arange(len(alike.first)))
    if len(again):
        place = int(again[0])
        first, second = (_record(records, int(alike.places[p])) for p in (alike.first[place], place))
        raise StoreError(
            f"{where}: frames {first.origin(0)} and {second.origin(0)} are the same ({first.digest(0)[:12]})"
        )


def require_contained(where: str, old: Counted, new: Counted) -> None:
    """Raise StoreError where ``new`` lacks a frame or a block of the batch that it is to replace, or a fold differs."""
    where = f"{where}: batch {old.id[:12]} can't be replaced"
    digests, folds, start = np.empty((new.n_frames, DIGEST), np.uint8), np.empty(new.n_frames, np.int32), 0
    for part in new.records:
        own = slice(start, start := start + len(part))
        digests[own], folds[own] = part.digests, part.folds
    index = DigestIndex.of(digests)
    for part in old.records:
        places = index.places(part.digests)
        wrong = np.flatnonzero((places < 0) | (folds[places] != part.folds))
        if len(wrong):
            i = int(wrong[0])
            frame = f"its frame {part.origin(i)}"
            if places[i] < 0:
                raise StoreError(f"{where}: {frame} ({part.digest(i)[:12]}) is not in the new batch")
            raise StoreError(f"{where}: {frame} is in fold {part.folds[i]}, in the new batch in {folds[places[i]]}")
    if lost := [block for block in old.blocks if block not in new.blocks]:
        raise StoreError(f"{where}: its block {lost[0]} is not in the new batch, which has {list(new.blocks)}")


def require_counted_once(where: str, batches: Sequence[Counted]) -> None:
    """Raise StoreError where a frame or a tile is in two of some batches."""
    records = JoinedRecords([batch.records for batch in batches])
    alike = _alike(records, "digest")
    of_batch = np.searchsorted(np.cumsum([batch.n_frames for batch in batches]), alike.places, side="right")
    twice = np.flatnonzero(of_batch != of_batch[alike.first])
    faults: list[tuple[int, int, str]] = []
    if len(twice):
        place = int(twice[0])
        frame = _record(records, int(alike.places[place]))
        shown = f"frame {frame.origin(0)} ({frame.digest(0)[:12]})"
        faults.append((int(of_batch[place]), int(of_batch[alike.first[place]]), shown))
    tiles: dict[str, int] = {}
    repeated_tiles = (
        (number, first, f"tile {tile[:12]}")
        for number, batch in enumerate(batches) for tile in batch.tiles
        if (first := tiles.setdefault(tile, number)) != number
    )  # fmt: skip
    faults += [fault for fault in (next(repeated_tiles, None),) if fault]
    if faults:
        _, first, shown = min(faults, key=lambda fault: fault[0])
        raise StoreError(
            f"{where}: {shown} is in batch {batches[first].id[:12]} already; its rows would be counted twice"
        )


def require_one_fold(where: str, records: Iterable[FrameRecords], settings: Mapping[str, Any]) -> None:
    """Raise StoreError where frames that have to be in one fold are in two.

    These are frames of one configuration, and, where the ``folds`` of the settings divide by group or by system, frames
    of one of these.
    """
    table = settings.get("folds")
    folds = Folds.from_dict(table) if isinstance(table, dict) and table.get("split") != "frame" else Folds()
    alike = _alike(records, "configuration")
    wrong = np.flatnonzero(alike.folds != alike.folds[alike.first])
    faults = [(int(alike.places[p]), int(alike.places[alike.first[p]]), "configuration") for p in wrong[:1].tolist()]
    faults += [(*fault, folds.split) for fault in (_label_in_two_folds(records, folds),) if fault]
    if faults:
        place, of_first, what = min(faults, key=lambda fault: fault[0])
        first, frame = _record(records, of_first), _record(records, place)
        labels = folds.labels_of_records(frame) if what == folds.split else None
        whole = f"one {what}, {frame.configuration(0)[:12]},"
        if labels is not None:
            whole = f"{what} {labels.names[labels.codes[0]]!r}"
        raise StoreError(
            f"{where}: expected frames of {whole} in one fold, found {first.origin(0)} of group {first.group(0)!r} "
            f"in fold {first.folds[0]} and {frame.origin(0)} of group {frame.group(0)!r} in fold {frame.folds[0]}: one "
            "would foretell the other. Where another pass wrote meanwhile, run this one again"
        )


def _label_in_two_folds(records: Iterable[FrameRecords], folds: Folds) -> tuple[int, int] | None:
    """The number of the first record whose group or system is in another fold before, and that of the first of it."""
    known: dict[str, tuple[int, int]] = {}
    start = 0
    for part in records:
        labels = folds.labels_of_records(part)
        if labels is None:
            return None
        codes, at = np.unique(labels.codes, return_index=True)
        own = zip(codes.tolist(), at.tolist(), strict=True)
        firsts = [known.setdefault(labels.names[code], (start + i, int(part.folds[i]))) for code, i in own]
        fold_of_label = np.zeros(len(labels.names), np.int32)
        fold_of_label[codes] = [fold for _, fold in firsts]
        wrong = np.flatnonzero(part.folds != fold_of_label[labels.codes])
        if len(wrong):
            return start + int(wrong[0]), known[labels.names[labels.codes[wrong[0]]]][0]
        start += len(part)
    return None


def _alike(records: Iterable[FrameRecords], column: str) -> _Alike:
    """The records that share what a column of digests has with others; nobody's, all zeros, is shared with none."""
    again = repeated(np.concatenate([np.empty(0, np.uint64), *(heads_of(_known_of(part, column)) for part in records)]))
    digests, places, folds = [np.empty((0, DIGEST), np.uint8)], [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    start = 0
    for part in records if len(again) else ():
        own = np.flatnonzero(is_among(heads_of(part.rows[column]), again) & part.rows[column].any(axis=1))
        digests.append(part.rows[column][own])
        places.append(start + own)
        folds.append(part.folds[own])
        start += len(part)
    return _Alike(np.concatenate(places), first_equal(np.concatenate(digests)), np.concatenate(folds))


def _known_of(part: FrameRecords, column: str) -> NDArray[np.uint8]:
    """What a column of digests has, but for those that are nobody's."""
    digests: NDArray[np.uint8] = part.rows[column]
    return digests[digests.any(axis=1)]


def _record(records: Iterable[FrameRecords], number: int) -> FrameRecords:
    """One of some records."""
    start = 0
    for part in records:
        if number < start + len(part):
            return part.take(slice(number - start, number - start + 1))
        start += len(part)
    raise IndexError(f"expected the number of one of {start} records, found {number}")
