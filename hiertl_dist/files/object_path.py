"""``ObjectPath``: a file or folder of an object store, with those methods of ``pathlib.Path`` that stores need.

An object is written whole by one request, so a reader sees the old one or the new one, never a part, and there are no
uploads in parts that could be left half done. There are no folders: one is there if an object's name begins with it.
Conditional writes (only if there is none, only if it is still the one that was read) take the place of locks:
:mod:`hiertl_dist.files.leases`.
"""

from __future__ import annotations

import io
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from ..errors import InputError, ObjectStoreError
from ..text.words import shown
from .fences import fence_of
from .object_client import client, is_beyond_end, is_cut_off, object_errors, obstore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

URL: Final = re.compile(r"(s3|memory):/{1,2}([^/]+)(?:/(.*))?", re.DOTALL)
"""Also with the one slash that ``pathlib`` leaves of two."""

BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

RANGE: Final = 16 * 2**20
"""Bytes that one request reads: what a reader has in memory besides the place that it reads into."""

LEAST: Final = 2**20
"""Bytes that a request reads at least: they take no longer than its answer."""

TRIES: Final = 6
"""Of a conditional write whose answer was lost: obstore leaves those to whoever knows what was to be written."""


class Stat(NamedTuple):
    """What is known of an object; times of its server, s since 1970."""

    st_size: int
    st_mtime: float
    e_tag: str


@dataclass(frozen=True, order=True)
class ObjectPath:
    """A name in a bucket, be there an object of that name, or some below it, or none.

    Attributes
    ----------
    scheme : {"s3", "memory"}
        What kind of store it is; ``memory`` is of this process alone.
    bucket : str
        Name of the bucket.
    key : str
        Name in it, without slashes at its ends.
    """

    scheme: str
    bucket: str
    key: str
    _listed: Stat | None = field(default=None, compare=False, repr=False)

    @classmethod
    def parse(cls, url: str, what: str = "path") -> ObjectPath:
        """The place that a URL names. Raises InputError, which says ``what`` it is of, where it is none."""
        match = URL.fullmatch(url)
        key = (match[3] or "").rstrip("/") if match else ""
        if match is None or not BUCKET.fullmatch(match[2]):
            raise InputError(f"{what}: expected s3://BUCKET/NAME, found {shown(url)}")
        if (key and any(part in ("", ".", "..") for part in key.split("/"))) or re.search(r"[\0-\x1f?#*\\]", key):
            raise InputError(f"{what}: expected plain names after the bucket, found {shown(url)}")
        return cls(match[1], match[2], key)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + f"/{self.key}" * bool(self.key)

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(self.scheme, self.bucket, f"{self.key}/{name}".strip("/"))

    @property
    def name(self) -> str:
        """The last part of its name."""
        return self.key.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """What its name ends with, from the last dot on."""
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        """The last part of its name without the suffix."""
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> ObjectPath:
        """The folder that it is in; the bucket is in itself."""
        return ObjectPath(self.scheme, self.bucket, self.key.rpartition("/")[0])

    @property
    def parents(self) -> tuple[ObjectPath, ...]:
        """The folders that it is in, from the inmost to the bucket."""
        parts = self.key.split("/") if self.key else []
        return tuple(ObjectPath(self.scheme, self.bucket, "/".join(parts[:n])) for n in range(len(parts) - 1, -1, -1))

    def with_name(self, name: str) -> ObjectPath:
        """Another in the same folder."""
        return self.parent / name

    def absolute(self) -> ObjectPath:
        """Itself."""
        return self

    def relative_to(self, folder: ObjectPath) -> PurePosixPath:
        """Its name below a folder. Raises ValueError where it is not there."""
        return PurePosixPath("/", self.key).relative_to(PurePosixPath("/", folder.key))

    # ---- what is there

    @property
    def is_listed(self) -> bool:
        """Whether a list had it as an object."""
        return self._listed is not None

    def stat(self) -> Stat:
        """Size and time of the object; of one that was listed, what the list had. Raises FileNotFoundError."""
        if self._listed is not None:
            return self._listed
        with object_errors(self, "looked at"):
            return _stat(obstore().head(self._client(small=True), self.key))

    def is_file(self) -> bool:
        """Whether there is an object of that name."""
        if not self.key:
            return False
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether there are objects below that name."""
        return next(self._list(chunk=1), None) is not None

    def exists(self) -> bool:
        """Whether either is there."""
        return self.is_file() or self.is_dir()

    def iterdir(self) -> Iterator[ObjectPath]:
        """The objects in this folder, and the folders; none where it is not there."""
        with object_errors(self, "listed"):
            answer = obstore().list_with_delimiter(self._client(), self.key or None)
        yield from (ObjectPath(self.scheme, self.bucket, key) for key in answer["common_prefixes"])
        yield from map(self._of_list, answer["objects"])

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        """What has a name of this pattern below the folder; one of more than two parts, and the objects alone."""
        parts = pattern.split("/")
        if len(parts) > 2:  # a look at every folder would cost more than the list of all that is below
            for path in self._list():
                names = path.relative_to(self).parts
                if len(names) == len(parts) and all(map(fnmatchcase, names, parts)):
                    yield path
            return
        for path in self.iterdir():
            if not fnmatchcase(path.name, parts[0]):
                continue
            if len(parts) == 1:
                yield path
            elif "*" in parts[1]:
                yield from path.glob(parts[1])
            elif (below := path / parts[1]).is_file():
                yield below

    def rglob(self, pattern: str) -> Iterator[ObjectPath]:
        """All objects below the folder whose name has this pattern."""
        return (path for path in self._list() if fnmatchcase(path.name, pattern))

    def _list(self, chunk: int = 1000) -> Iterator[ObjectPath]:
        with object_errors(self, "listed"):
            pages = obstore().list(self._client(), f"{self.key}/" if self.key else None, chunk_size=chunk)
            for page in pages:
                yield from map(self._of_list, page)

    def _of_list(self, meta: Any) -> ObjectPath:
        return ObjectPath(self.scheme, self.bucket, meta["path"], _stat(meta))

    # ---- reading

    def read_bytes(self) -> bytes:
        """All of the object. Raises FileNotFoundError."""
        return self.read_with_tag()[0]

    def read_text(self, encoding: str = "utf-8") -> str:
        """All of the object, as a text."""
        return self.read_bytes().decode(encoding)

    def read_with_tag(self) -> tuple[bytes, str]:
        """All of the object, and the tag of what was read. Raises FileNotFoundError."""
        with object_errors(self, "read"):
            answer = obstore().get(self._client(), self.key)
            return bytes(answer.bytes()), answer.meta["e_tag"] or ""

    def read_range(self, start: int, stop: int) -> bytes:
        """Bytes of the object, by one request; fewer where it is shorter. Raises FileNotFoundError."""
        try:
            with object_errors(self, "read"):
                return bytes(obstore().get(self._client(), self.key, options={"range": (start, stop)}).bytes())
        except ObjectStoreError as error:
            if is_beyond_end(error):
                return b""
            raise

    @contextmanager
    def open(self, mode: str) -> Iterator[ObjectReader]:
        """Read the object by ranges. Raises FileNotFoundError."""
        if mode != "rb":
            raise ValueError(f"{self}: expected mode 'rb', got {mode!r}")
        yield ObjectReader(self, self._client())

    # ---- writing

    def write_bytes(self, data: Any) -> None:
        """Write the object whole; below a folder that this process has locked, only as :mod:`.fences` lets it.

        Raises
        ------
        ObjectStoreError
            The server cannot be reached, or refuses.
        LockError
            The lock was lost to another process.
        """
        if (fence := fence_of(self)) is not None:
            fence.write(self, data)
            return
        with object_errors(self, "written"):
            obstore().put(self._client(), self.key, data, use_multipart=False)

    def write_if(self, data: Any, tag: str | None, before: Callable[[], None] | None = None) -> str | None:
        """Write the object if it still has a tag, or, for ``None``, if there is none; ``before()`` each attempt.

        Returns
        -------
        str or None
            Its new tag; None where it is another's by now, and stays.
        """
        mode: Any = "create" if tag is None else {"e_tag": tag}
        errors, wait = obstore().exceptions, 0.1
        for attempt in range(TRIES):
            if before is not None:
                before()
            try:
                with object_errors(self, "written"):
                    answer = obstore().put(self._client(small=len(data) < RANGE), self.key, data, mode=mode)
                return str(answer["e_tag"])
            except (errors.AlreadyExistsError, errors.PreconditionError):
                return self._tag_if(data)
            except ObjectStoreError as error:
                if not is_cut_off(error) or attempt == TRIES - 1:
                    raise
                time.sleep(wait)
                wait *= 2.0
                if (new := self._tag_if(data)) is not None:  # it was carried out, and the answer was lost
                    return new
        raise AssertionError

    def tag(self) -> str | None:
        """The tag that the object has now; None where there is none."""
        try:
            return anew(self).stat().e_tag
        except FileNotFoundError:
            return None

    def _tag_if(self, data: Any) -> str | None:
        try:
            read, tag = self.read_with_tag()
        except FileNotFoundError:
            return None
        return tag if read == data else None

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object, be it there or not. Raises LockError where its folder's lock was lost."""
        if (fence := fence_of(self)) is not None:
            fence.delete(self)
        else:
            self.delete()

    def delete(self) -> None:
        """The same without a look at locks, for leases themselves."""
        with object_errors(self, "deleted"):
            obstore().delete(self._client(small=True), self.key)

    def rename(self, target: ObjectPath) -> ObjectPath:
        """Copy the object to another name and delete it under its own. Raises LockError where a lock was lost."""
        if (fence := fence_of(target)) is not None:
            fence.require(target)
        with object_errors(self, f"copied to {target}"):
            obstore().copy(self._client(), self.key, target.key)
        self.unlink()
        return target

    def replace(self, target: ObjectPath) -> ObjectPath:
        """The same: what has the other name is written over."""
        return self.rename(target)

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: there are no folders to be made."""

    def rmdir(self) -> None:
        """Nothing: a folder is gone when its objects are."""

    def _client(self, *, small: bool = False) -> Any:
        return client(self.scheme, self.bucket, small=small)


Place = Path | ObjectPath
"""A file or folder of this machine, or of an object store."""

P = TypeVar("P", Path, ObjectPath, Path | ObjectPath)
"""Either of the two."""


def anew(path: P) -> P:
    """The same place without what a list had of it."""
    return ObjectPath(path.scheme, path.bucket, path.key) if isinstance(path, ObjectPath) else path


def in_order(places: Iterable[Any]) -> list[Any]:
    """Some of one kind, by their names."""
    return sorted(places)


def _stat(meta: Any) -> Stat:
    return Stat(meta["size"], meta["last_modified"].timestamp(), meta["e_tag"] or "")


class ObjectReader(io.RawIOBase):
    """An object that is read by ranges of some megabytes, all of them of the same version of it."""

    def __init__(self, path: ObjectPath, store: Any) -> None:
        super().__init__()
        with object_errors(path, "looked at"):
            meta = obstore().head(store, path.key)
        self.size: int = meta["size"]
        self._path, self._store, self._tag = path, store, meta["e_tag"]
        self._place = self._first = 0
        self._data = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a byte, from the beginning."""
        if whence:
            raise io.UnsupportedOperation("whence")
        self._place = offset
        return offset

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the object goes; how many bytes those were."""
        out = memoryview(buffer).cast("B")
        done = 0
        while done < len(out) and self._place < self.size:
            within = self._place - self._first
            if not 0 <= within < len(self._data):
                self._fetch(len(out) - done)
                within = 0
            part = self._data[within : within + len(out) - done]
            out[done : done + len(part)] = part
            done, self._place = done + len(part), self._place + len(part)
        return done

    def _fetch(self, wanted: int) -> None:
        # who goes on where the last range ended wants more, too; who jumps there may not
        goes_on = self._place > 0 and self._place == self._first + len(self._data)
        stop = min(self._place + (RANGE if goes_on else min(RANGE, max(wanted, LEAST))), self.size)
        self._data = memoryview(b"")  # one range at a time
        options = {"range": (self._place, stop), "if_match": self._tag}
        try:
            with object_errors(self._path, "read"):
                data = memoryview(obstore().get(self._store, self._path.key, options=options).bytes())
        except obstore().exceptions.PreconditionError as error:
            raise ValueError(f"{self._path}: it was written again while it was read") from error
        if len(data) != stop - self._place:
            raise ValueError(f"{self._path}: expected {stop - self._place} bytes of a range, found {len(data)}")
        self._first, self._data = self._place, data
