"""What is done alike with files of this machine and with objects of a server, in the ways in which the two differ."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from .object_path import ObjectPath
from .paths import replacing
from .write_errors import write_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from .object_path import Place

REQUESTS: Final = 16
"""To an object store at a time, where many small objects are read: an answer takes some 30 ms, however many wait."""

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


def read_at(path: Place, start: int, out: memoryview) -> int:
    """Fill a buffer of bytes from byte ``start`` of a file on, or of an object by one request.

    Returns how many bytes there were. Raises FileNotFoundError.
    """
    if isinstance(path, ObjectPath):
        data = path.read_range(start, start + out.nbytes)
        out.cast("B")[: len(data)] = data
        return len(data)
    with path.open("rb") as stream:
        stream.seek(start)
        return stream.readinto(out)


def each_read(place: Place, call: Callable[[Asked], Answer], items: Iterable[Asked]) -> Iterator[Answer]:
    """``call(item)`` of each, in order: one after the other on a disk, some at a time of an object store."""
    if isinstance(place, Path):
        yield from map(call, items)
        return
    with ThreadPoolExecutor(REQUESTS, "read objects") as threads:
        yield from threads.map(call, items)


@contextmanager
def new_file(path: Place) -> Iterator[BinaryIO]:
    """A file to be written that is not there yet and takes no other's place. Raises what ``replacing`` raises."""
    if isinstance(path, ObjectPath):
        with replacing(path) as stream:
            yield stream
        return
    with write_errors(path), path.open("xb") as stream:
        yield stream


def remove_tree(folder: Place) -> None:
    """Delete a folder and what is in it, as far as it is there."""
    if isinstance(folder, ObjectPath):
        for path in folder.rglob("*"):
            path.unlink()
        return
    shutil.rmtree(folder, ignore_errors=True)


def may_be_written(folder: Place) -> bool:
    """Whether this process may write in a folder; of an object store only a write tells, and ``True`` stands for it."""
    return isinstance(folder, ObjectPath) or os.access(folder, os.W_OK)
