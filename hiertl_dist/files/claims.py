"""Claims: files that a process keeps locked while it is at work on something, so that others see who is, and who died.

The lock is the system's (flock), which is gone when the process is, however it ends: no clock is compared, neither of
this host nor of another, and nothing has to be renewed. On a network's file system the lock of a host that is gone ends
when its server says so (NFS 4: with the lease, some 90 s). Where there are no such locks (Windows) every claim is
granted: two runs may then compute the same, which gives the same bits.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import psutil

from .write_errors import write_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def signature() -> dict[str, Any]:
    """What a process says of itself, for JSON: host, id, start and command, and the time now (s since 1970)."""
    return {
        "host": platform.node(), "pid": os.getpid(), "started": _started(os.getpid()), "since": time.time(),
        "command": " ".join(sys.argv)[:200],
    }  # fmt: skip


@lru_cache(maxsize=1)
def _started(pid: int) -> float:
    return float(psutil.Process(pid).create_time())


LOOKS: Final = 5
SECONDS_BETWEEN_LOOKS: Final = 0.02

NOBODY: Final = "another process, which has not said who it is"


def signed_by(path: Path) -> str:
    """Which process has signed a file, for people; where it is one of this host that has ended, that too."""
    try:
        process = json.loads(path.read_text(encoding="utf-8"))
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(process["since"]))
        text = f"process {process['pid']} on {process['host']} since {since} ({process['command']})"
        return text + (f", {ENDED}" if _has_ended(process) else "")
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return NOBODY


ENDED: Final = "which has ended: a process that it started still has the lock (`fuser` on the file says which)"


def _has_ended(process: dict[str, Any]) -> bool:
    """Whether a process was one of this host and is none any more."""
    if process["host"] != platform.node() or "started" not in process:
        return False
    try:
        # the same number may be of another process by now
        started: float = psutil.Process(int(process["pid"])).create_time()
        return abs(started - float(process["started"])) > 2.0
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


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


def take_claim(path: Path) -> Claim | None:
    """Claim what a file stands for, and sign the file; ``None`` where a living process has it.

    Raises
    ------
    DiskFullError, WriteError
        The file cannot be written.
    """
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


def is_claimed(path: Path) -> bool:
    """Whether a living process has claimed what a file stands for."""
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


def living(folder: Path, pattern: str) -> Iterator[Path]:
    """The files of a folder that living processes have claimed; those of dead ones are removed."""
    for path in sorted(folder.glob(pattern)):
        if _stays_claimed(path):
            yield path
        elif (claim := take_claim(path)) is not None:
            claim.let_go()


def _stays_claimed(path: Path) -> bool:
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


def remove_partials(folder: Path, pattern: str = "*.partial") -> int:
    """Delete files that writers have left half written, unless these may be alive; how many there were.

    A writer has its file locked (``replacing`` of :mod:`hiertl_dist.files.paths`), so that no clock is asked.
    """
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
