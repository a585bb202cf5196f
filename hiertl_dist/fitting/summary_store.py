"""``SummaryStore``: one triangular factor per group of rows on disk, so that no later question reads a row again.

The data come in *batches*: the frames of one element set from one pass. More frames are one more batch; more columns
are a batch that supersedes an older one. What is there is never rewritten. All batches of a pass come to life with one
write of the index. Layout on disk::

    index.json           the truth: format, settings, ids of the live batches; replaced atomically, last
    index.json.copy      the same, for ``hiertl-dist store repair`` to go back to
    <batch id>.json      elements, blocks, tiles; texts and checksums of the records of frames; per group its label,
                         rows, width, targets, place and CRC32C
    <batch id>.frames    the records of the frames: RECORD of ``hiertl_dist.frames.frame_records`` for each
    <batch id>.f64       per group, sorted: its numbers, then sums of squares of columns of [A | T]; little-endian

A group's numbers are its triangle, packed column by column, or, with fewer rows than columns, the rows as they are,
column by column. They and the squares lie side by side, so that a group is one read. A batch's id is the SHA-256 of
its ``.json``, which holds the checksums of its records and numbers: a repeated write makes the same files again, a
damaged one is noticed, and the order of batches, which is that of their ids, does not depend on who wrote first.
``index.json`` holds a SHA-256 of itself.

Batches of stores of format 1 have the records in their ``.json``, are read and stay so; the first write of the index
makes such a store one of format 2, which versions before refuse.

The sums of squares are accumulated from the rows and not from the factor: an independent check that no row was lost or
counted twice, made when a batch is written and whenever a group is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..algebra import RFactor
from ..algebra.lapack import Vector
from ..errors import StoreError
from ..files.chunks import crc32c
from ..files.json_files import write_json
from ..files.locks import is_still_held, locked
from ..files.object_path import Place, in_order
from ..files.paths import make_folder, named_place, opened, replacing
from ..files.sealed import copy_of, has_copy, repair_command
from ..frames.element_set import ElementSet
from ..frames.frame_records import FrameRecords, JoinedRecords, joined_records
from ..frames.rows import Group
from .batch_files import read_batch, remembered_batch
from .frame_checks import Counted, require_contained, require_sound
from .stored_frames import SUFFIX, StoredFrames, staged, while_reading
from .stored_pooling import require_pooled_alike
from .summary_batches import (
    Batch,
    GroupEntry,
    NewBatch,
    agreed,
    as_json,
    content_of,
    factor_from,
    identified,
    label,
    numbers_of,
    reduced_batch,
    require_known_blocks,
)
from .summary_index import FORMAT, INDEX, KEY, has_batches, read_index, write_index

__all__ = ["FORMAT", "Batch", "GroupEntry", "NewBatch", "SummaryStore"]

OURS: Final = re.compile(r"([0-9a-f]{64})\.(?:f64|frames|json)")
_PARTIAL: Final = re.compile(r"(?:index|new|[0-9a-f]{64})\.(?:f64|frames|json)(?:\.copy)?\.[0-9a-f]{32}\.partial")


@dataclass(frozen=True)
class SummaryStore:
    """A summary store on disk; see the module's text for its layout.

    Attributes
    ----------
    path : Path or ObjectPath
        The folder of ``index.json``.
    """

    path: Place

    @classmethod
    def open(cls, path: str | Place) -> SummaryStore:
        """Open an existing store. Raises StoreError if there is none, or of another format."""
        store = cls(named_place(path, "summary store"))
        store._index()
        return store

    @classmethod
    def create(cls, path: str | Place, settings: Mapping[str, Any]) -> SummaryStore:
        """Create a store, or open the one that is there if its settings agree.

        Parameters
        ----------
        path : str, Path or ObjectPath
            Its folder; on an object store ``s3://bucket/name``.
        settings : mapping from str to object
            What the rows depend on, as JSON has it. ``blocks`` maps the name of each block to the digest of its
            definition; blocks that are new to the store are added to its own, and ``basis``, the table that defines
            them, then takes the place of the store's, which it has to contain. Where no block is new the store's basis
            stands. ``folds`` says how folds were chosen.

        Returns
        -------
        SummaryStore
            New or as it is.

        Raises
        ------
        StoreError
            A value differs, which is named with both; a block is defined in another way; something else is there.
        ValueError
            JSON lacks a value of the settings (NaN, an array).
        """
        asked = as_json(settings)
        store = cls(named_place(path, "summary store"))
        if (store.path / INDEX).exists():  # perhaps where nothing can be written
            index = store._index()
            whole = index[KEY] != FORMAT or has_copy(store.path / INDEX)
            if whole and agreed(str(path), index["settings"], asked) == index["settings"]:
                return store
        make_folder(store.path)
        with locked(store.path):
            if (store.path / INDEX).exists() or copy_of(store.path / INDEX).exists():
                index = store._index()
                if (merged := agreed(str(path), index["settings"], asked)) != index["settings"] or (
                    index[KEY] == FORMAT and not has_copy(store.path / INDEX)
                ):
                    store._write_index(merged, index["batches"])
            else:
                names = sorted(p.name for p in store.path.iterdir())
                if other := [n for n in names if not n.startswith((".lock", ".claims")) and not _PARTIAL.fullmatch(n)]:
                    raise StoreError(f"{path}: expected an empty folder or a summary store, found {other[0]} there")
                store._write_index(asked, [])
            store._remove_leftovers()
        return store

    @property
    def settings(self) -> dict[str, Any]:
        """What the rows depend on, as :meth:`create` was told."""
        settings: dict[str, Any] = self._index()["settings"]
        return settings

    def batches(self) -> tuple[Batch, ...]:
        """The live batches, in the order of their ids, which does not depend on that of writing."""
        while True:
            index = self._index()
            try:
                return tuple(remembered_batch(self.path, i) for i in index["batches"])
            except FileNotFoundError as error:
                # superseded after the index was read, or lost
                if self._index() == index:
                    raise StoreError(
                        f"{self.path}: expected {error.filename}, found no such file; {repair_command(self.path)}"
                    ) from error

    def records(self, batch: Batch) -> StoredFrames:
        """The records of a batch's frames, read whenever they are gone through."""
        return StoredFrames(self.path / f"{batch.id}{SUFFIX}", batch.frames)

    def frames(self) -> FrameRecords:
        """The records of the frames of all live batches, in their order: 92 bytes each."""
        while True:
            batches = self.batches()
            records = JoinedRecords(list(map(self.records, batches)))
            try:
                return joined_records(records, sum(batch.frames.count for batch in batches))
            except FileNotFoundError:
                if self.batches() == batches:  # else one was superseded meanwhile
                    with while_reading(self.path):
                        raise

    def groups(self) -> dict[Group, list[str]]:
        """The ids of the live batches that have rows of each group."""
        by_group: dict[Group, list[str]] = {}
        for batch in self.batches():
            for entry in batch.groups:
                by_group.setdefault(entry.group, []).append(batch.id)
        return by_group

    def add(
        self,
        elements: str,
        blocks: Sequence[str],
        frames: Iterable[FrameRecords],
        tiles: Sequence[str],
        factors: Mapping[Group, RFactor],
        squares: Mapping[Group, Vector],
        replaces: Sequence[str] = (),
        *,
        rows: Mapping[Group, int] | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> Batch:
        """Write one batch; see :meth:`add_all` and :class:`NewBatch`."""
        columns = list(map(ElementSet.parse, blocks))
        new = NewBatch(ElementSet.parse(elements), columns, frames, tiles, factors, squares, replaces, rows, info)
        (batch,) = self.add_all([new])
        return batch

    def add_all(self, new: Sequence[NewBatch], settings: Mapping[str, Any] | None = None) -> tuple[Batch, ...]:
        """Write batches, which are there when this returns and, whatever happens before, all of them or none.

        Adding the same again is harmless, and repairs the files of the batches if they are damaged.

        Parameters
        ----------
        new : sequence of NewBatch
            What to write.
        settings : mapping from str to object, optional
            As of :meth:`create`; blocks that are new to the store become its own together with the batches.

        Returns
        -------
        tuple of Batch
            One for each, in their order.

        Raises
        ------
        StoreError
            Rows were lost or counted twice (group and column are named), a frame or a tile is in another batch, live or
            new, ``replaces`` names what a batch does not contain, the settings differ, or frames that have to be in one
            fold (of one configuration, or of one group where groups stay together) are in two.
        """
        reduced = tuple(map(reduced_batch, new))
        asked = None if settings is None else as_json(settings)
        with locked(self.path), staged(self.path, [given.frames for given in new]) as frames:
            index = self._index()
            had = index["settings"]
            merged = had if asked is None else agreed(str(self.path), had, asked)
            batches = tuple(map(identified, reduced, frames))
            live = self._joined(batches, new, frames, index["batches"], merged)
            try:
                for batch, given, own in zip(batches, new, frames, strict=True):
                    self._write_numbers(batch, given.factors, given.squares)
                    target: Any = self.records(batch).path  # of the same kind
                    own.path.replace(target)
                    write_json(self.path / f"{batch.id}.json", content_of(batch))
                if (live, merged) != (index["batches"], had) or not has_copy(self.path / INDEX):
                    self._write_index(merged, live)
            finally:
                self._remove_leftovers()
        return batches

    def read(self, batch_id: str, group: Group) -> tuple[RFactor, Vector]:
        """A group's factor and the sums of squares of its columns (width,); errors are those of :meth:`read_all`."""
        ((_, factor, squares),) = self.read_all(batch_id, (group,))
        return factor, squares

    def read_all(self, batch_id: str, groups: Sequence[Group] | None = None) -> Iterator[tuple[Group, RFactor, Vector]]:
        """Group, factor and sums of squares of each group of a batch; the file is opened once.

        Parameters
        ----------
        batch_id : str
            Id of the batch.
        groups : sequence of Group, optional
            Which ones, in this order; default: all of them, sorted.

        Yields
        ------
        group : Group
            The group.
        factor : RFactor
            The factor of its rows [A | T].
        squares : ndarray of shape (width,)
            The sum of squares of each of their columns.

        Raises
        ------
        StoreError
            There is no such batch or group, or what is on disk is not what was written: file, group, what was expected
            and what was found are named.
        """
        path, way_on, stack = self.path / f"{batch_id}.f64", repair_command(self.path), ExitStack()
        try:
            batch = remembered_batch(self.path, batch_id)
            stream, _ = stack.enter_context(opened(path))
        except FileNotFoundError as error:
            raise StoreError(
                f"{self.path}: expected one of the batches {[i[:12] for i in self._index()['batches']]}, found no file "
                f"{error.filename}; where batch {batch_id[:12]} was superseded meanwhile, list them again"
            ) from error
        with stack:
            for group in batch.entries if groups is None else groups:
                if group not in batch.entries:
                    raise StoreError(f"{path}: expected a group of this batch, found {label(group)}")
                entry = batch.entries[group]
                stream.seek(8 * entry.offset)
                numbers = np.empty(entry.count, "<f8")
                size = stream.readinto(numbers.view(np.uint8).data)
                where = f"{path}, group {label(group)}"
                if size != numbers.nbytes:
                    raise StoreError(f"{where}: expected {numbers.nbytes} bytes, found {size}; {way_on}")
                if (crc := crc32c(numbers)) != entry.crc32c:
                    raise StoreError(f"{where}: expected CRC32C {entry.crc32c:08x}, found {crc:08x}; {way_on}")
                yield group, *factor_from(numbers, entry, where)

    def verify(self) -> None:
        """Read everything. Raises StoreError for the first thing that is not what was written."""
        index = self._index()
        batches = self.batches()
        with while_reading(self.path):
            require_sound(str(self.path), list(map(self.counted, batches)), index["settings"])
        for batch in batches:
            try:
                read_batch(self.path, batch.id)  # and not what is remembered of it
                self.require_whole_numbers(batch)
            except FileNotFoundError as error:
                raise StoreError(f"{self.path}: expected {error.filename}, found no such file") from error
            require_known_blocks(self.path, batch, index["settings"])

    def require_whole_numbers(self, batch: Batch) -> None:
        """Read the numbers of a batch. Raises FileNotFoundError, and StoreError where they are not as written."""
        path = self.path / f"{batch.id}.f64"
        if (size := path.stat().st_size) != 8 * batch.n_numbers:
            raise StoreError(f"{path}: expected {8 * batch.n_numbers} bytes, found {size}; {repair_command(self.path)}")
        for _ in self.read_all(batch.id):
            pass

    def drop(self, batch_id: str) -> None:
        """Let a batch no longer belong to the store, whose lock the caller has; its files stay."""
        index = self._index()
        self._write_index(index["settings"], [own for own in index["batches"] if own != batch_id])

    def nbytes(self) -> int:
        """Bytes on disk."""
        total = 0
        for path in self.path.iterdir():
            with suppress(FileNotFoundError):  # another process's
                total += path.stat().st_size
        return total

    def _index(self) -> dict[str, Any]:
        return read_index(self.path)

    def _write_index(self, settings: dict[str, Any], batches: list[str]) -> None:
        write_index(self.path, settings, batches)

    def _write_numbers(self, batch: Batch, factors: Mapping[Group, RFactor], squares: Mapping[Group, Vector]) -> None:
        with replacing(self.path / f"{batch.id}.f64") as stream:
            for part in (part for e in batch.groups for part in numbers_of(factors[e.group], squares[e.group])):
                stream.write(part.data)

    def _remove_leftovers(self) -> None:
        """Delete what killed writers and superseded batches left; files that are not ours stay. Needs the lock."""
        live = set(self._index()["batches"])
        # an index of another store, or one of two that differ, tells nothing of these files
        if not has_batches(self.path / INDEX) or not has_copy(self.path / INDEX):
            return
        if not is_still_held(self.path):  # then these may be what another process is about to bring to life
            return
        for path in in_order(self.path.iterdir()):
            ours = OURS.fullmatch(path.name)
            if (ours and ours[1] not in live) or _PARTIAL.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def _joined(
        self, batches: Sequence[Batch], new: Sequence[NewBatch], frames: Sequence[StoredFrames], ids: Sequence[str],
        settings: dict[str, Any],
    ) -> list[str]:  # fmt: skip
        """The ids of the live batches with some new ones.

        Raises StoreError where two of them overlap, a new one does not contain what it replaces, or folds differ.
        """
        ours = {batch.id for batch in batches}
        gone = {name for given in new for name in given.replaces}
        with while_reading(self.path):
            # not the new ones, whose files may be damaged and are written again
            live = {i: remembered_batch(self.path, i) for i in ids if i not in ours}
            counted = list(map(self.counted, batches, frames))
            for batch, own, given in zip(batches, counted, new, strict=True):
                require_known_blocks(self.path, batch, settings)
                for name in given.replaces:
                    if name in live:
                        require_contained(str(self.path), self.counted(live[name]), own)
                    elif batch.id not in ids:
                        raise StoreError(f"{self.path}: to be replaced: expected a live batch, found {name[:12]}")
            stay = [batch for batch in live.values() if batch.id not in gone]
            require_sound(str(self.path), [*map(self.counted, stay), *counted], settings)
        require_pooled_alike(str(self.path), [*stay, *batches])
        return sorted(batch.id for batch in (*stay, *batches))

    def counted(self, batch: Batch, records: StoredFrames | None = None) -> Counted:
        """A batch and the records of its frames, which may wait to be renamed."""
        return Counted(batch.id, batch.blocks, batch.tiles, batch.frames.count, records or self.records(batch))
