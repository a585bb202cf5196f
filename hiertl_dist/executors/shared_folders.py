"""Whether all workers see the same folder: a small file that one process leaves there is looked for by the others.

A path means nothing by itself: another machine, or a container, may have another folder under the same name. Where
nothing can be written, such as a mount for reading, the names and sizes of what is in the folder are compared. On an
object store the same tells whether each worker has the package, the credentials and the server's address.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hiertl_dist.errors import HiertlError, LaunchError, ObjectStoreError
from hiertl_dist.files.claims import is_open_there, remove_partials, try_lock
from hiertl_dist.files.locks import LOCK
from hiertl_dist.files.object_path import ObjectPath, Place, in_order
from hiertl_dist.files.paths import local_path, named_place
from hiertl_dist.files.write_errors import RESUMES
from hiertl_dist.text.display import listed

SEEN: Final = f"{LOCK}.seen-"
"""What names of such files begin with: as locks do, which whoever looks into a folder passes over."""

ABOVE: Final = 3
"""So many folders of a path may not have been there when a token of it was left."""

_locked: dict[str, int] = {}
"""By name, descriptors of this process's tokens: who looks for those of the dead asks for their locks."""

SECONDS_TO_APPEAR: Final = 5.0
"""What a network file system may take to show a new file elsewhere."""


@dataclass(frozen=True)
class Token:
    """What a folder is known by.

    Attributes
    ----------
    wanted : Place
        The folder that is to be shared, absolute; it need not be there yet.
    place : Place
        The nearest folder that is there.
    name : str
        Of a file in it, which says the same; empty where none could be written.
    listing : str
        Digest of what the folder contains, where none could be written.
    """

    wanted: Place
    place: Place
    name: str = ""
    listing: str = ""

    @property
    def file(self) -> Place:
        """The file that was left there."""
        return self.place / self.name

    def remove(self) -> None:
        """Take the file away."""
        if self.name:
            with suppress(OSError, ObjectStoreError):
                self.file.unlink()
            if (descriptor := _locked.pop(self.name, None)) is not None:
                os.close(descriptor)

    def is_there(self) -> bool:
        """Whether the folder can still be known by it."""
        return self.file.is_file() if self.name else self.place.is_dir()


def leave_token(folder: Place) -> Token:
    """Leave a token in a folder, or in the nearest one above that is there; it is locked as long as it is of use."""
    if isinstance(folder, ObjectPath):
        return _token_object(folder)
    wanted = folder.absolute()
    remove_dead_tokens(wanted)
    place = next(p for p in (wanted, *wanted.parents) if p.is_dir())
    while True:
        name = f"{SEEN}{platform.node()}-{os.getpid()}-{uuid.uuid4().hex}"
        try:
            descriptor = os.open(place / name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError:  # read-only, no permission, a full disk: who has to write there will say so
            return Token(wanted, place, listing=_listing(place))
        try:
            with suppress(OSError):  # a file system without locks: then nobody removes it
                try_lock(descriptor)
            os.write(descriptor, name.encode())
            is_there = is_open_there(place / name, descriptor)
        except OSError:
            os.close(descriptor)
            (place / name).unlink(missing_ok=True)
            return Token(wanted, place, listing=_listing(place))
        if is_there:
            _locked[name] = descriptor
            return Token(wanted, place, name)
        os.close(descriptor)  # another process took it for one of the dead before it was locked


def _token_object(folder: ObjectPath) -> Token:
    # a name that gc knows as one of what killed writers leave
    name = f"{SEEN}{platform.node()}-{os.getpid()}-{uuid.uuid4().hex}.partial"
    try:
        (folder / name).write_bytes(name.encode())
    except ObjectStoreError:
        if not folder.is_dir():  # it may neither be read nor made
            raise
        return Token(folder, folder, listing=_listing(folder))
    return Token(folder, folder, name)


def remove_dead_tokens(wanted: Place) -> None:
    """Remove what clients that were killed have left in a folder that is to be shared, or above where it was not."""
    if isinstance(wanted, ObjectPath):  # nobody can tell whose they are; they are gc's
        return
    for place in (wanted, *list(wanted.parents)[:ABOVE]):
        with suppress(OSError):
            remove_partials(place, f"{SEEN}*")


def _listing(place: Place) -> str:
    """Digest of names and sizes of the files of a folder, of which other processes write no new ones."""
    lines = []
    for entry in in_order(place.iterdir()):
        if not entry.name.startswith(LOCK):
            lines.append(f"{entry.name} {entry.stat().st_size if entry.is_file() else '-'}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def unseen(token: Token, *, seconds: float | None = None) -> str:
    """Why this process does not see the folder of a token; nothing if it does."""
    deadline = time.monotonic() + (SECONDS_TO_APPEAR if seconds is None else seconds)
    while True:
        why = _unseen(token)
        if not why or time.monotonic() > deadline:
            return why
        time.sleep(0.2)


def _unseen(token: Token) -> str:
    try:
        if not token.place.is_dir():
            return f"there is no folder {token.place}"
        if not token.name:
            return "" if _listing(token.place) == token.listing else "that folder has other contents"
        same = token.file.read_text(encoding="utf-8") == token.name
        return "" if same else "that folder is another one"
    except FileNotFoundError:
        return "that folder is another one"
    except (OSError, HiertlError) as error:
        return f"it can't be read: {str(error).removesuffix(f'. {RESUMES}')}"


def require_seen(tokens: Iterable[Token]) -> None:
    """Raise LaunchError where this process does not see the folder of a token."""
    for token in tokens:
        if why := unseen(token):
            raise LaunchError(refusal(token, {f"this worker on {platform.node()} (process {os.getpid()})": why}))


def refusal(token: Token, blind: Mapping[str, str]) -> str:
    """What to say where some workers do not see a folder: who, and why."""
    by_reason: dict[str, list[str]] = {}
    for who, why in blind.items():
        by_reason.setdefault(why, []).append(who)
    reasons = "; ".join(f"{listed(who)}: {why}" for why, who in by_reason.items())
    if isinstance(token.wanted, ObjectPath):
        return (
            f"{token.wanted}: expected an object store that all workers reach, but {reasons}. Start each of them where "
            "obstore is installed and with the same AWS_… variables as here"
        )
    return (
        f"{token.wanted}: expected a folder that all workers see, but {reasons}. Name a folder of a file system that "
        "all hosts share, by the same absolute path, or mount it there"
    )


class SharesFolders:
    """What every executor knows of the folders that its workers see."""

    def shared_folder(self, path: str | Path, what: str = "path") -> Path:
        """The folder by its absolute path, once it is known that all workers see the same one; it need not exist yet.

        For what workers write, or read by its path alone: they may have other current folders and other disks. ``what``
        it is, is for messages.

        Raises
        ------
        LaunchError
            Some workers see another folder or none: which, and where they run. Nothing was written then.
        """
        folder = local_path(path, what).absolute()
        self._require_shared(folder)
        return folder

    def shared_place(self, path: str | Place, what: str = "path") -> Place:
        """The same of what may also be on an object store, ``s3://…``, which all workers must be able to reach."""
        place = named_place(path, what).absolute()
        self._require_shared(place)
        return place

    def _require_shared(self, place: Place) -> None:
        """Raise LaunchError where some workers do not see a place."""
        remove_dead_tokens(place)  # of a dask client before, whatever works now
