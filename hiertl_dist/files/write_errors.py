"""What a file system refuses: told with the path, the reason and what to do; nothing complete is lost by it."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import DiskFullError, HiertlError, WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""There is no room."""

REFUSED: Final = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE)
"""It may not, or can't, be written."""

RESUMES: Final = "What is complete is kept, and the same command goes on from there"


@contextmanager
def write_errors(path: Any) -> Iterator[None]:
    """Raise DiskFullError or WriteError, with the path and advice, where a file can't be written inside of this.

    Parameters
    ----------
    path : Path or ObjectPath
        The file, or a folder whose files are written. Errors that name a file elsewhere are let through, and those of
        object stores, which have words of their own.

    Raises
    ------
    DiskFullError
        The disk is full, a quota is used up, or a limit on the size of files is met.
    WriteError
        The file system is read-only or fails, or permission is lacking.
    """
    try:
        yield
    except HiertlError:
        raise
    except OSError as error:
        if not isinstance(path, Path):
            raise
        place = path if error.filename is None else Path(os.fsdecode(error.filename))
        if error.errno not in (*FULL, *REFUSED) or not _is_beside(place, path):
            raise
        kind = DiskFullError if error.errno in FULL else WriteError
        # a name that ends in .partial tells a user nothing
        where = path if place.suffix == ".partial" and place.parent == path.parent else place
        raise kind(f"{where}: cannot be written: {_reason(error, where)}. {RESUMES}", error.errno) from error


def _is_beside(place: Path, path: Path) -> bool:
    place, path = place.absolute(), path.absolute()
    return place.is_relative_to(path) or place.is_relative_to(path.parent) or path.is_relative_to(place)


def _reason(error: OSError, path: Path) -> str:
    """Why, and what to do."""
    said = os.strerror(error.errno or 0)
    if error.errno == errno.ENOSPC:
        return (
            f"{said}; without this file its disk has {_free(path)}: make room there, or name a folder on another disk "
            "([store] path, [search] summaries, [output] folder); with store.keep_rows = false no rows are written"
        )
    if error.errno == errno.EDQUOT:
        return (
            f"{said}: the quota of {_user()} is used up (`quota -s` or the site's own command says how much there is; "
            f"the disk itself has {_free(path)}): delete files of your own there, or name a folder elsewhere "
            "([store] path, [search] summaries, [output] folder)"
        )
    if error.errno == errno.EFBIG:
        return f"{said}: the limit on the size of files is met (`ulimit -f`, or that of the file system): raise it"
    if error.errno == errno.EROFS:
        return (
            f"{said}: it is mounted for reading alone. Complete stores and data sets are read there as they are; to "
            "compute more, copy them to a disk that can be written, and name that one"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{said}: this process is of {_user()}, {_rights(path)}: change its rights, or name another folder"
    return f"{said}: its disk or file server fails; look at it before going on"


def _free(path: Path) -> str:
    try:
        usage = shutil.disk_usage(_existing(path))
    except OSError:
        return "an unknown number of bytes free"
    return f"{usage.free / 2**20:.1f} of {usage.total / 2**20:.0f} MiB free"


def _existing(path: Path) -> Path:
    return next((p for p in (path, *path.absolute().parents) if p.exists()), Path("/"))


def _user() -> str:
    return f"user {os.geteuid()}" if hasattr(os, "geteuid") else "this user"


def _rights(path: Path) -> str:
    """Whose the nearest folder is that is there, and its rights: files are made and renamed in it."""
    try:
        there = _existing(path if path.is_dir() else path.parent)
        status = there.stat()
    except OSError:
        return "and the folder cannot be looked at"
    return f"{there} of user {status.st_uid}, with rights {stat.filemode(status.st_mode)}"
