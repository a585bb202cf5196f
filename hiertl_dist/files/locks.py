"""Locks of folders: held by one process at a time, who says who it is; waiting is told once.

The lock is flock's on ``.lock``, which the system gives back when a process ends, however it ends. ``.lock.holder``
beside it tells people who has it; what a killed process leaves there means nothing once nobody holds the lock.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import platform
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock, Timeout

from ..errors import LockError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_WAIT: Final = "HIERTL_DIST_NO_WAIT"
"""Environment variable: if set, and not to nothing or 0, a lock that is held is an error at once. Workers that are
started inherit it."""

LOCK: Final = ".lock"
HOLDER: Final = ".lock.holder"
LACKING: Final = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
"""What a file system answers that has no locks."""

_log = logging.getLogger("hiertl_dist")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder.

    Raises
    ------
    LockError
        The file system has no locks; or another process has it, and :data:`NO_WAIT` is set: who, and since when.
    """
    lock = FileLock(folder / LOCK)
    try:
        _acquire(lock, folder)
    except NotImplementedError as error:
        raise LockError(no_locks(folder, str(error))) from error
    except Timeout:
        raise
    except OSError as error:
        if error.errno in LACKING:
            raise LockError(no_locks(folder, str(error))) from error
        raise
    try:
        _sign(folder)
        yield
    finally:
        with suppress(OSError):
            (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _acquire(lock: Any, folder: Path) -> None:
    try:
        lock.acquire(timeout=0)
        return
    except Timeout:
        # some versions of filelock take a file system without locks for one whose lock is held
        if reason := lock_trouble(folder):
            raise LockError(reason) from None
    if os.environ.get(NO_WAIT, "0") not in ("", "0"):
        raise LockError(f"{folder}: it is locked by {holder(folder)}; without --no-wait this run waits for it")
    _log.warning("waiting for %s, which is locked by %s", folder, holder(folder))
    lock.acquire()


def _sign(folder: Path) -> None:
    text = {"host": platform.node(), "pid": os.getpid(), "since": time.time(), "command": " ".join(sys.argv)[:200]}
    with suppress(OSError):  # it is for people, and no lock depends on it
        (folder / HOLDER).write_text(json.dumps(text), encoding="utf-8")


def holder(folder: Path) -> str:
    """Who holds a folder's lock, as far as it has said so."""
    try:
        process = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(process["since"]))
        return f"process {process['pid']} on {process['host']} since {since} ({process['command']})"
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return "another process, which has not said who it is"


def lock_trouble(folder: Path) -> str | None:
    """Why files of a folder can't be locked, with advice; ``None`` if they can, or if nothing can be written there."""
    try:
        import fcntl
    except ImportError:  # Windows, whose file systems all have locks
        return None
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return no_locks(folder, str(error)) if error.errno in LACKING else None
    return None


def no_locks(folder: Path, cause: str) -> str:
    """The advice for a file system without locks."""
    return (
        f"{folder}: its file system has no file locks ({cause}), which keep two runs from writing one store at a time: "
        "put [store] path and [search] summaries on another one, such as a local or scratch disk; Lustre has locks if "
        "it is mounted with flock, NFS if its lock service runs. With store.keep_rows = false there is no store"
    )
