"""Locks of folders: one process at a time; who has one says who it is, and that it lives; who waits says so.

The lock is flock's on ``.lock``, which the system gives back when a process ends, however it ends. ``.lock.holder``
beside it tells people who has it, and is touched while it is: that it is no longer touched is what a waiting process
can see of a host that is gone. What a killed process leaves there means nothing once nobody holds the lock.
In a folder of an object store the lock is a lease (:mod:`hiertl_dist.files.leases`), and what is written below it is
behind a fence (:mod:`hiertl_dist.files.fences`).
"""

from __future__ import annotations

import errno
import json
import logging
import os
import platform
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock, Timeout

from ..errors import LockError
from .claims import is_open_there
from .fences import Fence, put_up, take_down
from .leases import Lease, is_lease_of, take_lease
from .object_path import ObjectPath
from .signatures import NOBODY, signature, signed_by
from .store_use import store_use
from .write_errors import write_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .object_path import Place

LOCK: Final = ".lock"
HOLDER: Final = ".lock.holder"
LACKING: Final = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
"""What a file system answers that has no locks."""

BEAT: Final = 10.0
"""Seconds between two signs of life of who holds a lock."""

BEATS_MISSED: Final = 3
"""After so many that did not come it is said."""

SAY_AFTER: Final = (2.0, 60.0, 600.0)
"""Seconds of waiting after which it is said, then every hour."""

_log = logging.getLogger("hiertl_dist")


@contextmanager
def locked(folder: Place) -> Iterator[None]:
    """Hold the lock of a folder; whoever has it is waited for as long as :class:`~.store_use.StoreUse` says.

    Raises
    ------
    LockError
        The file system has no locks; or another process has it and does not give it back in time: who, and since when.
    WriteError
        The folder cannot be written.
    ObjectStoreError
        The same of an object store.
    """
    if isinstance(folder, ObjectPath):
        with _leased(folder):
            yield
        return
    lock = FileLock(folder / LOCK)
    try:
        with write_errors(folder / LOCK):
            _acquire(lock, folder)
    except NotImplementedError as error:
        raise LockError(no_locks(folder, str(error))) from error
    except OSError as error:
        if error.errno in LACKING:
            raise LockError(no_locks(folder, str(error))) from error
        raise
    end = threading.Event()
    try:
        _sign(folder)
        threading.Thread(target=_live, args=(folder / HOLDER, end), name="sign of life", daemon=True).start()
        yield
    finally:
        end.set()
        try:
            with suppress(OSError):
                (folder / HOLDER).unlink(missing_ok=True)
        finally:
            lock.release()


_leases: dict[ObjectPath, Lease] = {}
"""Of the locks of folders that this process has."""


@contextmanager
def _leased(folder: ObjectPath) -> Iterator[None]:
    path = folder / LOCK
    lease = _acquired_lease(path)
    try:
        # what is there now, before anybody can take the lock over
        tags = {own.name: own.stat().e_tag for own in folder.iterdir() if own.is_listed}
        fence = Fence(folder, lease.is_held, partial(signed_by, path), tags)
        _leases[folder] = lease
        put_up(fence)
        try:
            yield
        finally:
            take_down(fence)
            if _leases.get(folder) is lease:  # another thread may have it since, where this was stopped for long
                del _leases[folder]
    finally:
        lease.set_free()


def is_still_held(folder: Place) -> bool:
    """Whether this process, which has locked a folder, has it still, and for a while.

    A lease may have ended while the process was stopped; a lock of a file system ends with the process alone. To be
    asked where files are deleted that another process may want by then.
    """
    return not isinstance(folder, ObjectPath) or _leases[folder].renew()


@dataclass(frozen=True)
class Held:
    """The lock of a folder that a process has, as it is told to others that write for it.

    Attributes
    ----------
    folder : Path or ObjectPath
        The folder.
    token : str
        Of the lease; nothing for a folder of a file system.
    """

    folder: Place
    token: str = ""


def held(folder: Place) -> Held:
    """The lock of a folder, which this process has."""
    return Held(folder, _leases[folder].token) if isinstance(folder, ObjectPath) else Held(folder)


@contextmanager
def written_for(lock: Held) -> Iterator[None]:
    """Write below a folder for the process that has its lock, from whatever process this is.

    Raises LockError where something is written or deleted after another has taken the lock over.
    """
    folder = lock.folder
    if not isinstance(folder, ObjectPath) or (folder in _leases and _leases[folder].token == lock.token):
        yield  # a lock of a file system lasts as long as its process; a fence of this process's stands
        return
    path = folder / LOCK
    fence = Fence(folder, partial(is_lease_of, path, lock.token), partial(signed_by, path))
    put_up(fence)
    try:
        yield
    finally:
        take_down(fence)


def _acquired_lease(path: ObjectPath) -> Lease:
    waiting: Waiting | None = None
    while (lease := take_lease(path)) is None:
        waiting = waiting or Waiting(f"the lock {path}", path)
        waiting.look()
        time.sleep(waiting.step())
    return lease


def _acquire(lock: Any, folder: Path) -> None:
    """Lock the file that has the name: what was waited for may be that of a folder that has another name by now."""
    _acquire_one(lock, folder)
    while not is_open_there(folder / LOCK, lock._context.lock_file_fd):
        lock.release()
        _acquire_one(lock, folder)


def _acquire_one(lock: Any, folder: Path) -> None:
    try:
        lock.acquire(timeout=0)
        return
    except Timeout:
        # some versions of filelock take a file system without locks for one whose lock is held
        if reason := lock_trouble(folder):
            raise LockError(reason) from None
    waiting = Waiting(f"the lock {folder / LOCK}", folder / HOLDER, beats=True)
    while True:
        try:
            lock.acquire(timeout=waiting.step())
            return
        except Timeout:
            waiting.look()


_asked_while_waiting: list[Callable[[], None]] = []


def ask_while_waiting(call: Callable[[], None]) -> None:
    """Have something called about once a second by whoever waits here for another process; it may raise an end."""
    _asked_while_waiting.append(call)


class Waiting:
    """Waiting for another process: says for what and whom, and ends where the option ``wait`` says so.

    Parameters
    ----------
    what : str
        What is waited for, for messages.
    signed : Path
        The file that the other process has signed.
    beats : bool
        Whether that process touches the file as a sign of life.
    """

    def __init__(self, what: str, signed: Place, *, beats: bool = False) -> None:
        self._what, self.signed, self._beats, self._limit = what, signed, beats, store_use().wait
        self._begin = self._changed = time.monotonic()
        self._stamp = self._touched()
        self._said = 0
        self.look()

    def step(self) -> float:
        """Seconds to wait before the next :meth:`look`."""
        waited = time.monotonic() - self._begin
        return max(0.0, min(1.0, self._say_after() - waited, self._limit - waited))

    def look(self) -> None:
        """Say what there is to say. Raises LockError where it has taken too long, and what others ask an end by."""
        for call in _asked_while_waiting:
            call()
        now = time.monotonic()
        if (stamp := self._touched()) != self._stamp:
            self._stamp, self._changed = stamp, now
        waited = now - self._begin
        if waited >= self._limit:
            after = f", after {waited:.0f} s," if self._limit else ""
            raise LockError(
                f"{self._what} is with {self.other()}{after} and this run waits no longer{self._advice()}. What is "
                "complete is kept; without --no-wait, --wait and store.wait it waits until that one has ended"
            )
        if waited >= self._say_after():
            self._said += 1
            who = f"{self.other()}{self._advice()}"
            _log.warning("waiting for %s (%.0f s), which is with %s", self._what, waited, who)

    def other(self) -> str:
        """Who is waited for."""
        return signed_by(self.signed)

    def _say_after(self) -> float:
        past = self._said - len(SAY_AFTER)
        return SAY_AFTER[self._said] if past < 0 else SAY_AFTER[-1] + 3600.0 * (past + 1)

    def _touched(self) -> tuple[int, int]:
        if isinstance(self.signed, ObjectPath):  # whose lease ends by itself
            return 0, 0
        try:
            status = self.signed.stat()
        except OSError:
            return 0, 0
        return status.st_mtime_ns, status.st_ino

    def _advice(self) -> str:
        """What is seen of a process that may be gone; by this host's own clock alone, for others may go wrong."""
        silent = time.monotonic() - self._changed
        if not self._beats or silent < BEATS_MISSED * BEAT or self.other() == NOBODY:
            return ""
        return (
            f"; it has shown no sign of life for {silent:.0f} s: it is stopped, or its host {self._host()} is gone. A "
            "file server gives back what a host had that is gone when its lease ends (NFS 4, some 90 s) or when that "
            "host has started again (NFS 3); end the process there, or copy the folder and name the copy"
        )

    def _host(self) -> str:
        with suppress(OSError, ValueError, KeyError, TypeError):
            host = json.loads(self.signed.read_text(encoding="utf-8"))["host"]
            return "(this one)" if host == platform.node() else str(host)
        return ""


def _sign(folder: Path) -> None:
    with suppress(OSError):  # it is for people, and no lock depends on it
        (folder / HOLDER).write_text(json.dumps(signature()), encoding="utf-8")


def _live(path: Path, end: threading.Event) -> None:
    while not end.wait(BEAT):
        with suppress(OSError):
            os.utime(path)


def holder(folder: Path) -> str:
    """Who holds a folder's lock, as far as it has said so."""
    return signed_by(folder / HOLDER)


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
