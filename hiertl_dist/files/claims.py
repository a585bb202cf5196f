"""Claims: files that a process keeps locked while it is at work on something, so that others see who is, and who died.

The lock is the system's (flock), which is gone when the process is, however it ends: no clock is compared, neither of
this host nor of another, and nothing has to be renewed. On a network's file system the lock of a host that is gone ends
when its server says so (NFS 4: with the lease, some 90 s). Where there are no such locks (Windows) every claim is
granted: two runs may then compute the same, which gives the same bits. On an object store a claim is a lease:
:mod:`hiertl_dist.files.leases`.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, overload

from .leases import Lease, is_leased, leased_in, take_lease
from .object_path import ObjectPath, in_order
from .signatures import signature
from .write_errors import write_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .object_path import P, Place

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOOKS: Final = 5
SECONDS_BETWEEN_LOOKS: Final = 0.02


@dataclass(frozen=True)
class Claim:
    """A file that this process has locked.

    Attributes
    ----------
    path : Path
        The file.
    descriptor : int
        By which it is open.
    after_death : bool
        Whether it was there already, of a process that died.
    """

    path: Path
    descriptor: int
    after_death: bool

    def let_go(self) -> None:
        """Remove the file and its lock, in this order: who waits for the old file sees that it is no longer there."""
        try:
            with suppress(OSError):
                self.path.unlink()
        finally:
            os.close(self.descriptor)


@overload
def take_claim(path: Path) -> Claim | None: ...
@overload
def take_claim(path: ObjectPath) -> Lease | None: ...
def take_claim(path: Place) -> Claim | Lease | None:
    """Claim what a file stands for, and sign the file; ``None`` where a living process has it.

    Raises
    ------
    DiskFullError, WriteError
        The file cannot be written.
    ObjectStoreError
        The object cannot.
    """
    if isinstance(path, ObjectPath):
        return take_lease(path)
    with write_errors(path):
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # no folder yet, or another run has just removed it
                path.parent.mkdir(parents=True, exist_ok=True)
                continue
            try:
                if not try_lock(descriptor):
                    os.close(descriptor)
                    return None
                if is_open_there(path, descriptor):
                    after_death = os.fstat(descriptor).st_size > 0
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, json.dumps(signature()).encode())
                    return Claim(path, descriptor, after_death)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # whoever had it has removed it since it was opened


def is_claimed(path: Place) -> bool:
    """Whether a living process has claimed what a file stands for."""
    if isinstance(path, ObjectPath):
        return is_leased(path)
    try:
        descriptor = _opened(path)
    except OSError:
        return False
    try:
        # shared, so that two that look at a dead process's file do not take one another for a living one
        return not try_lock(descriptor, shared=True) and is_open_there(path, descriptor)
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR)  # as a network's file system wants a file that is to be locked
    except PermissionError:  # of another user
        return os.open(path, os.O_RDONLY)


def claimed_among(paths: Sequence[Place]) -> set[Place]:
    """Those files, of one folder, for which :func:`is_claimed` holds; of an object store by one request."""
    remote = {path for path in paths if isinstance(path, ObjectPath)}
    if remote:
        return {*(leased_in(next(iter(remote)).parent) & remote)}
    return {path for path in paths if is_claimed(path)}


def living(folder: P, pattern: str) -> Iterator[P]:
    """The files of a folder that living processes have claimed; those of dead ones are removed."""
    for path in in_order(folder.glob(pattern)):
        if _stays_claimed(path):
            yield path
        elif (claim := take_claim(path)) is not None:
            claim.let_go()


def _stays_claimed(path: Place) -> bool:
    """Whether a file is claimed at each of some looks: another process that removes it has it for a moment, too."""
    for _ in range(LOOKS):
        if not is_claimed(path):
            return False
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return True


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file until it is closed; ``False`` where another has it. Raises OSError where there are no locks.

    ``shared``: others may lock it so at the same time, but nobody alone.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_open_there(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        named, opened = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def remove_partials(folder: Place, pattern: str = "*.partial") -> int:
    """Delete files that writers have left half written, unless these may be alive; how many there were.

    A writer has its file locked (``replacing`` of :mod:`hiertl_dist.files.paths`), so that no clock is asked.
    """
    if isinstance(folder, ObjectPath):  # objects are written whole
        return 0
    removed = 0
    for path in folder.glob(pattern):
        with suppress(OSError):  # it is another's, or there are no locks: then it stays
            descriptor = _opened(path)
            try:
                if try_lock(descriptor) and is_open_there(path, descriptor):
                    path.unlink()
                    removed += 1
            finally:
                os.close(descriptor)
    return removed
