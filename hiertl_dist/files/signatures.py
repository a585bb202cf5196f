"""What a process says of itself in a file by which it claims or locks something, and what others read of it."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import psutil

from .object_path import ObjectPath

if TYPE_CHECKING:
    from .object_path import Place


def signature() -> dict[str, Any]:
    """What a process says of itself, for JSON: host, id, start and command, and the time now (s since 1970)."""
    return {
        "host": platform.node(), "pid": os.getpid(), "started": _started(os.getpid()), "since": time.time(),
        "command": " ".join(sys.argv)[:200],
    }  # fmt: skip


@lru_cache(maxsize=1)
def _started(pid: int) -> float:
    return float(psutil.Process(pid).create_time())


NOBODY: Final = "another process, which has not said who it is"


def signed_by(path: Place) -> str:
    """Which process has signed a file, for people; where it is one of this host that has ended, that too."""
    try:
        process = json.loads(path.read_text(encoding="utf-8"))
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(process["since"]))
        text = f"process {process['pid']} on {process['host']} since {since} ({process['command']})"
        ended = ENDED_LEASE if isinstance(path, ObjectPath) else ENDED
        return text + (f", {ended}" if _has_ended(process) else "")
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return NOBODY


ENDED: Final = "which has ended: a process that it started still has the lock (`fuser` on the file says which)"

ENDED_LEASE: Final = "which has ended: its lease ends in less than a minute, and is taken over then"


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
