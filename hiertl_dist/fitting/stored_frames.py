"""Records of the frames of a batch on disk: a binary file beside the batch's JSON, which has its checksums and texts.

A batch of a million frames has 92 MB of records, and in its JSON as many texts as there are groups, compositions and
files, and a SHA-256 for each block of some thousand frames: so the id of a batch, the SHA-256 of its JSON, is of the
records too. Who needs them goes through them block by block.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import LockError, StoreError
from ..files.json_files import digest_of
from ..files.paths import opened
from ..files.places import new_file
from ..files.sealed import read_checked, repair_command
from ..frames.frame_records import PART, RECORD, FrameRecords, RecordTexts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..files.object_path import Place

SUFFIX: Final = ".frames"


@dataclass(frozen=True)
class FramesEntry:
    """What the JSON of a batch has of the frames that the batch has seen.

    Attributes
    ----------
    count : int
        How many there are.
    groups, compositions, origins : tuple of str
        The texts that the records have the numbers of: data sources, what frames consist of, beginnings of origins.
    block : int
        Frames of a block of the file.
    sha256 : tuple of str
        That of each block. None where the records are in the JSON itself, as stores of format 1 have them.
    """

    count: int
    groups: tuple[str, ...]
    compositions: tuple[str, ...]
    origins: tuple[str, ...]
    block: int
    sha256: tuple[str, ...]

    @property
    def in_json(self) -> bool:
        """Whether the records are in the batch's JSON."""
        return self.count > 0 and not self.sha256

    @classmethod
    def parse(cls, content: Any) -> FramesEntry:
        """What JSON has; a list of records is counted, and its texts are kept.

        Raises KeyError, TypeError or ValueError where it is something else.
        """
        if isinstance(content, list):
            texts = RecordTexts()
            texts.told(content)
            return cls(len(content), *texts.names(), PART, ())
        return cls(
            int(content["count"]), tuple(content["groups"]), tuple(content["compositions"]), tuple(content["origins"]),
            int(content["block"]), tuple(content["sha256"]),
        )  # fmt: skip


NOBODY: Final = FramesEntry(0, (), (), (), PART, ())


@dataclass(frozen=True)
class StoredFrames:
    """The records of a batch, some thousand at a time, read and checked whenever they are gone through.

    Attributes
    ----------
    path : Path or ObjectPath
        The file of the batch's records.
    entry : FramesEntry
        What the batch's JSON has of them.
    """

    path: Place
    entry: FramesEntry

    def __iter__(self) -> Iterator[FrameRecords]:
        """Raise FileNotFoundError, and StoreError where the file is not what was written."""
        entry, way_on = self.entry, repair_command(self.path.parent)
        if entry.in_json:
            listed = _listed(self.path.with_name(f"{self.path.stem}.json"))
            yield from (listed.take(slice(first, first + PART)) for first in range(0, entry.count, PART))
            return
        with opened(self.path) as (stream, size):
            expected = entry.count * RECORD.itemsize
            if size != expected:
                raise StoreError(f"{self.path}: expected {expected} bytes, found {size}; {way_on}")
            for k, digest in enumerate(entry.sha256):
                first = k * entry.block
                rows = np.empty(min(entry.block, entry.count - first), RECORD)
                stream.readinto(_bytes_of(rows).data)
                if (read := _sha256(rows)) != digest:
                    raise StoreError(
                        f"{self.path}, frames {first} to {first + len(rows) - 1}: expected SHA-256 {digest}, found "
                        f"{read}; {way_on}"
                    )
                yield FrameRecords(rows, entry.groups, entry.compositions, entry.origins)


def read_content(path: Place) -> dict[str, Any]:
    """What the JSON of a batch has. Raises FileNotFoundError, and StoreError where it is not what its name tells."""
    way_on = repair_command(path.parent)
    content = read_checked(path, way_on)
    try:
        digest = digest_of(content)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read: {error}; {way_on}") from error
    if digest != path.stem:
        raise StoreError(f"{path}: expected SHA-256 {path.stem}, found {digest}; {way_on}")
    return content


@contextmanager
def while_reading(store: Place) -> Iterator[None]:
    """Raise StoreError for a file that is no longer there."""
    try:
        yield
    except FileNotFoundError as error:
        raise StoreError(
            f"{store}: expected {error.filename}, found no such file. Where another pass wrote meanwhile, run this one "
            "again"
        ) from error


@contextmanager
def staged(store: Place, sources: Sequence[Iterable[FrameRecords]]) -> Iterator[list[StoredFrames]]:
    """Write the records of batches into files that are renamed when the batches have ids. Needs the store's lock.

    So records are made once, and who asks for them again reads them from disk. What is not renamed is deleted.
    """
    paths = [store / f"new{SUFFIX}.{uuid.uuid4().hex}.partial" for _ in sources]
    try:
        yield [StoredFrames(path, _written(path, records)) for path, records in zip(paths, sources, strict=True)]
    finally:
        with suppress(LockError):  # who has taken over the lock deletes them
            for path in paths:
                path.unlink(missing_ok=True)


def _written(path: Place, records: Iterable[FrameRecords]) -> FramesEntry:
    """Write a file of records; what tells of it."""
    texts, count = RecordTexts(), 0
    digests: list[str] = []
    with new_file(path) as stream:
        for rows in _blocks(records, texts):
            stream.write(_bytes_of(rows).data)
            digests.append(_sha256(rows))
            count += len(rows)
    return FramesEntry(count, *texts.names(), PART, tuple(digests))


def _blocks(records: Iterable[FrameRecords], texts: RecordTexts) -> Iterator[NDArray[np.void]]:
    """Rows in blocks of PART frames, the last one perhaps of fewer, with numbers of joined texts."""
    waiting: list[NDArray[np.void]] = []
    for part in records:
        rows = texts.rows(part)
        while len(rows):
            missing = PART - sum(map(len, waiting))
            waiting.append(rows[:missing])
            rows = rows[missing:]
            if sum(map(len, waiting)) == PART:
                yield np.concatenate(waiting)
                waiting = []
    if waiting:
        yield np.concatenate(waiting)


@lru_cache(maxsize=16)
def _listed(path: Place) -> FrameRecords:
    """The records that stores of format 1 have in the JSON of a batch; kept, for it takes long to read."""
    texts = RecordTexts()
    rows = texts.told(read_content(path)["frames"])
    return texts.records(rows)


def _bytes_of(rows: NDArray[np.void]) -> NDArray[np.uint8]:
    return rows.view(np.uint8)


def _sha256(rows: NDArray[np.void]) -> str:
    return hashlib.sha256(_bytes_of(rows).data).hexdigest()
