"""Files and folders of this machine.

What is no path is refused, what is missing is looked for, what is written appears whole.
"""

from __future__ import annotations

import difflib
import io
import itertools
import json
import os
import re
import shutil
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError, MissingFileError
from ..text.words import shown
from .claims import is_open_there, try_lock
from .object_client import obstore
from .object_path import ObjectPath
from .store_use import store_use
from .write_errors import write_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import BinaryIO

    from .object_path import Place

URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How a URL begins, also after ``pathlib`` has made one slash of two; a drive has one letter."""


def local_path(path: str | Path, what: str = "path") -> Path:
    """The path, if it is one of a file system.

    Raises InputError, naming what it is of, for the URL of an object store (``s3://…``) or of anything else:
    ``pathlib`` would make a folder ``s3:`` of it.
    """
    text = str(path)
    if (url := URL.search(text)) and (url.start() == 0 or text[url.start() - 1] in "/\\"):
        raise InputError(
            f"{what}: expected a path on this machine, found the URL {shown(text[url.start() :])}: design stores, data "
            "sets, summary stores and checkpoints may be on object stores (s3://bucket/name), all else is on file "
            "systems, and nothing is downloaded; name a path, and copy from or to it"
        )
    if "\0" in text:
        raise InputError(f"{what}: expected a path, found one with a null character, {shown(text)}")
    return Path(path)


def named_place(path: str | Place, what: str) -> Place:
    """A path of this machine, or a place of an object store, for what may be on either.

    Raises InputError, naming what it is of, for the URL of anything else, and where obstore is not installed.
    """
    if isinstance(path, ObjectPath):
        return path
    if str(path).startswith("s3:/"):
        place = ObjectPath.parse(str(path), what)
        obstore()
        return place
    return local_path(path, what)


def refuse_urls(named: Mapping[str, Any]) -> None:
    """Raise InputError, naming the option, where a path or one of a list of paths is a URL."""
    for name, value in named.items():
        for path in value if isinstance(value, list) else [value]:
            if isinstance(path, Path):
                local_path(path, name)


def require_file(path: str | Path, what: str) -> Path:
    """The path of a file that is there.

    Raises
    ------
    MissingFileError
        There is none: its absolute path, and what has a similar name there.
    InputError
        It is a folder, or a URL.
    """
    file = local_path(path, what)
    if file.is_dir():
        of_frames = any((file / name).is_dir() for name in ("ledger", "atoms"))
        kept = ", a data set (for [[data]] path and Dataset) or what a stopped import has left (start the import again)"
        data = kept if of_frames else ""
        raise InputError(f"{what}: expected a file, found the folder {file.absolute()}{data}")
    if not file.exists():
        raise MissingFileError(f"{what}: there is no file {file.absolute()}{beside(file)}")
    return file


def beside(path: Place) -> str:
    """What is there in place of a path that is missing, as the end of a sentence about it."""
    if isinstance(path, ObjectPath):
        there = ", ".join(p.name for p in itertools.islice(path.parent.iterdir(), 5))
        return f"; {path.parent} has {there} …" if there else f"; there is nothing in {path.parent}"
    place = path.absolute()
    if path.is_symlink():
        return f": it is a link to {path.readlink()}, which is not there"
    existing = next(p for p in place.parents if p.exists())
    wanted, missing = (place.name, "") if existing == place.parent else (
        place.relative_to(existing).parts[0], f"; there is no folder {place.parent}"
    )  # fmt: skip
    names: list[str] = []
    with suppress(OSError):
        names = sorted(p.name for p in existing.iterdir())
    lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(wanted.lower(), lower, 3)
    if close:
        return f"{missing}; similar names in {existing}: {', '.join(lower[c] for c in close)}"
    if missing:
        return missing
    visible = [n for n in names if not n.startswith(".")]
    if not visible:
        return f"; the folder {existing} is empty"
    return f"; {existing} has {', '.join(visible[:5])}{' …' * (len(visible) > 5)}"


MOST_LINES: Final = 12
"""Differences that are listed."""

ASIDE: Final = ".old"
"""What the names of folders that were moved aside end with, before a number."""

ABSENT: Final = object()
"""Stands for a value that is not there."""


@contextmanager
def replacing(path: Place) -> Iterator[BinaryIO]:
    """A file to be written that takes its place at the end: a reader sees the old one or the new one, never a part.

    A process that is killed leaves a ``.partial`` file, as zarr does; where an exception is raised there is none. While
    it is written it is locked, so that whoever removes such files knows those of the living. The file has the rights
    that the user's umask gives.

    Raises
    ------
    DiskFullError, WriteError
        It cannot be written: why, and what to do.
    ObjectStoreError, LockError
        An object cannot; another process has taken over the lock of its folder meanwhile.
    """
    if isinstance(path, ObjectPath):
        buffer = io.BytesIO()
        yield buffer
        path.write_bytes(buffer.getbuffer())
        return
    local_path(path)
    with write_errors(path):
        make_folder(path.parent)
        partial, stream, guard = _partial_of(path)
        try:
            with stream:
                yield stream
                if store_use().fsync:
                    stream.flush()
                    os.fsync(stream.fileno())
            partial.replace(path)
            flush_folder(path.parent)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        finally:
            os.close(guard)


def _partial_of(path: Path) -> tuple[Path, BinaryIO, int]:
    """A new file beside a path, open to be written, and what keeps it locked."""
    while True:
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        stream = partial.open("xb")
        try:
            # by itself: it stays locked when the stream is closed, which may fail, until the file is renamed
            guard = os.open(partial, os.O_RDWR)
        except FileNotFoundError:  # taken for one of a dead writer
            stream.close()
            continue
        ours = True
        with suppress(OSError):  # there are no locks: then nobody removes it
            ours = try_lock(guard)
        if ours and is_open_there(partial, guard):
            return partial, stream, guard
        os.close(guard)  # whoever has it is about to remove it
        stream.close()
        partial.unlink(missing_ok=True)


def make_folder(folder: Place) -> None:
    """Make a folder and those above it that are missing; an object store needs none."""
    if isinstance(folder, ObjectPath):
        return
    with write_errors(folder):
        new = [p for p in (folder, *folder.parents) if not p.exists()] if store_use().fsync else []
        folder.mkdir(parents=True, exist_ok=True)
        for made in new:
            flush_folder(made.parent)


@contextmanager
def opened(path: Place) -> Iterator[tuple[Any, int]]:
    """A file or object that is open to be read, and its size. Raises FileNotFoundError."""
    if isinstance(path, ObjectPath):
        with path.open("rb") as reader:
            yield reader, reader.size
        return
    with path.open("rb") as stream:
        yield stream, os.fstat(stream.fileno()).st_size


def stamp_of(path: Place) -> tuple[int | str, ...]:
    """What is another once a file has been written again. Raises FileNotFoundError."""
    if isinstance(path, ObjectPath):
        return (path.stat().e_tag,)
    # opened, for only then does a network's file system ask whether the file is still the one it knows
    with path.open("rb") as stream:
        status = os.fstat(stream.fileno())
    return status.st_mtime_ns, status.st_size, status.st_ino


def flush_folder(folder: Path) -> None:
    """Have the names of a folder's files written to the disk, where :class:`~.store_use.StoreUse` wants that."""
    if not store_use().fsync or os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_overwriting(paths: Iterable[Path], overwrite: bool, option: str, read: Iterable[Place] = ()) -> None:
    """Raise InputError where a file that is to be written is there already.

    Parameters
    ----------
    paths : iterable of Path
        The files that are to be written.
    overwrite : bool
        Write over such files, but neither over one that is read nor over a folder.
    option : str
        What names another place, for the message.
    read : iterable of Path or ObjectPath, optional
        The files that are read, which may have another name there, by a link.

    Raises
    ------
    InputError
        A file is there already, is one that is read, or would lie in a file.
    """
    named, sources = list(paths), list(read)
    for path in named:
        if same := next((s for s in sources if _is_same(path, s)), None):
            link = "" if same == path else f", which is {path}"
            raise InputError(
                f"{option}: {same}{link}: this file is read, and the results would be written over it; name another "
                f"place with {option}"
            )
        folder = next(p for p in path.absolute().parents if p.exists())
        if not folder.is_dir():
            raise InputError(f"{option}: expected a folder {folder} for {path.name}, found a file; name another place")
        if path.is_dir():
            raise InputError(f"{option}: expected a file, found the folder {path}; name a file")
    existing = [str(path) for path in named if path.exists()]
    if existing and not overwrite:
        raise InputError(
            f"{', '.join(existing)} {'is' if len(existing) == 1 else 'are'} there already; --overwrite writes over "
            f"{'it' if len(existing) == 1 else 'them'}, {option} names another place"
        )


def _is_same(one: Path, other: Place) -> bool:
    """Whether two names are of one file, be it by a symbolic or a hard link."""
    try:
        return isinstance(other, Path) and one.samefile(other)
    except OSError:  # one of them is not there
        return False


def move_aside(path: str | Path) -> Path | None:
    """Give a folder that is there another name, ``….old``, ``….old-2`` and so on, and so make room for a new one.

    Nothing is deleted: who no longer needs what was there deletes it. Returns the new name; ``None`` where there was
    no folder.
    """
    folder = local_path(path)
    if not folder.exists():
        return None
    for name in itertools.chain([f"{folder.name}{ASIDE}"], (f"{folder.name}{ASIDE}-{n}" for n in itertools.count(2))):
        aside = folder.with_name(name)
        if not aside.exists():
            return folder.rename(aside)
    raise AssertionError


EARLIER: Final = "earlier_"
"""What the names of folders begin with that files of earlier runs are moved to, before a number."""


def move_to_earlier(files: Iterable[Path]) -> dict[Path, tuple[str, ...]]:
    """Move those files that are there to a new folder beside them, ``earlier_1``, ``earlier_2`` and so on.

    Nothing is deleted or overwritten; a process that is killed meanwhile leaves each file here or there. Returns, for
    each folder that was made, the names of the files in it.
    """
    by_folder: dict[Path, list[Path]] = {}
    for path in dict.fromkeys(files):
        if path.is_file() or path.is_symlink():
            by_folder.setdefault(path.parent, []).append(path)
    moved = {}
    for folder, members in by_folder.items():
        aside = _next_earlier(folder)
        for path in members:
            path.rename(aside / path.name)
        moved[aside] = tuple(path.name for path in members)
    return moved


def _next_earlier(folder: Path) -> Path:
    """A new folder with a number above all that are there, also where another process makes one at this moment."""
    numbers = (p.name.removeprefix(EARLIER) for p in folder.glob(f"{EARLIER}*"))
    for n in itertools.count(1 + max((int(x) for x in numbers if x.isdecimal()), default=0)):
        with suppress(FileExistsError):
            (aside := folder / f"{EARLIER}{n}").mkdir()
            return aside
    raise AssertionError


def differences(stored: Any, asked: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every value in which two nested tables, as JSON has them, differ.

    Yields its dotted name, the stored value and the one asked for, each :data:`ABSENT` where there is none.
    """
    if isinstance(stored, dict) and isinstance(asked, dict):
        for key in dict.fromkeys((*stored, *asked)):
            full_name = f"{name}.{key}" if name else str(key)
            if (key in stored) != (key in asked):
                yield full_name, stored.get(key, ABSENT), asked.get(key, ABSENT)
            else:
                yield from differences(stored[key], asked[key], full_name)
    elif isinstance(stored, list) and isinstance(asked, list) and _tables(stored) and len(stored) == len(asked):
        for i, (one, other) in enumerate(zip(stored, asked, strict=True)):
            yield from differences(one, other, f"{name}[{i}]")
    elif json.dumps(stored) != json.dumps(asked):  # as text, for JSON tells true from 1
        yield name, stored, asked


def _tables(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(v, dict) for v in values)


def difference_lines(stored: Any, asked: Any) -> str:
    """A line for each difference of what is stored in JSON and what is asked for now; nothing if there is none."""
    differing = list(differences(stored, json.loads(json.dumps(asked))))
    lines = [
        f"\n  {key}: {_value_text(has)} in the store, {_value_text(wanted)} now"
        for key, has, wanted in differing[:MOST_LINES]
    ]
    return "".join(lines) + (f"\n  and {len(differing) - MOST_LINES} more" if len(differing) > MOST_LINES else "")


LONGEST: Final = 60
"""Characters of a value in a line."""


def _value_text(value: Any) -> str:
    if value is ABSENT:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def free_disk(path: str | Path) -> int:
    """Free bytes on the disk that would hold ``path``."""
    folder = local_path(path).absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
