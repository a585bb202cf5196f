"""Leases: what stands in for locked files on object stores, which know no locks.

A lease is an object that its owner writes again every ten seconds, each time only if it is still the one that it wrote
before. One that nobody has written for LEASE seconds, by the clock of the server alone, is of a process that is dead,
stopped or cut off: another takes it over, by a write that succeeds only if it is still the old one. Whoever lost its
lease so notices at its next write (:mod:`hiertl_dist.files.fences`), and stops. Hosts' clocks are not compared: each
process measures by how much its own clock of elapsed time, which goes on while the machine sleeps, differs from the
server's.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ..errors import LockError, ObjectStoreError
from .object_path import ObjectPath, anew
from .signatures import signature

if TYPE_CHECKING:
    from collections.abc import Callable

BEAT: Final = 10.0
"""Seconds between two writes of a lease."""

LEASE: Final = 45.0
"""Seconds without one after which it is another's to take: three that failed, each with its retries' time."""

MEASURED_FOR: Final = 600.0
"""Seconds after which the server's clock is looked at again."""

FREE: Final = "free"
"""The key by which a lease says that nobody has it."""

_clocks: dict[tuple[str, str], tuple[float, float]] = {}
"""By scheme and bucket: by how much the server's clock is ahead of :func:`elapsed` here, and when that was measured."""


def elapsed() -> float:
    """Seconds since some moment, those included for which the machine was asleep, as ``time.monotonic`` leaves out."""
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):  # Linux; macOS, where it is of all time; else Windows
        if hasattr(time, name):
            return time.clock_gettime(getattr(time, name))
    return time.monotonic()


class Lease:
    """A lease that this process has; made by :func:`take_lease`.

    Attributes
    ----------
    path : ObjectPath
        The object.
    after_death : bool
        Whether another had it before whose lease ended.
    """

    def __init__(self, path: ObjectPath, content: dict[str, Any], tag: str, after_death: bool, sent: float) -> None:
        self.path, self.after_death = path, after_death
        self._content, self._tag, self._sent = content, tag, sent
        self._changing, self._end = threading.Lock(), threading.Event()
        threading.Thread(target=self._live, name="lease", daemon=True).start()

    def _live(self) -> None:
        while not self._end.wait(BEAT):
            try:
                if not self.renew():
                    return
            except ObjectStoreError:
                continue  # the next one may come through; whoever depends on it looks at its own writes

    def renew(self) -> bool:
        """Write it again; whether it is still this process's."""
        return self._write({**self._content, "beat": self._content["beat"] + 1})

    def _write(self, content: dict[str, Any]) -> bool:
        with self._changing:
            sent = elapsed()
            tag = self.path.write_if(_bytes_of(content), self._tag)
            if tag is None:
                return False
            self._content, self._tag, self._sent = content, tag, sent
            return True

    def is_held(self) -> bool:
        """Whether it is this process's, and will be for half of its time. Raises ObjectStoreError where none can tell.

        Within half of its time nobody can have taken it over; later it is asked, by a write that begins a new one.
        """
        return elapsed() - self._sent < LEASE / 2 or self.renew()

    @property
    def token(self) -> str:
        """What no other lease has, be it of the same process."""
        return str(self._content["token"])

    def let_go(self) -> None:
        """Delete it, if it is still this process's."""
        self._end.set()
        with suppress(ObjectStoreError):  # then it ends by itself
            if self.is_held():
                self.path.delete()

    def set_free(self) -> None:
        """Say that nobody has it, if it is still this process's; the object stays, so that no other's is deleted."""
        self._end.set()
        with suppress(ObjectStoreError):
            self._write({**self._content, FREE: True})


def take_lease(path: ObjectPath) -> Lease | None:
    """Take a lease; ``None`` where a living process has it.

    Raises
    ------
    ObjectStoreError
        The server cannot be reached, or refuses.
    LockError
        It does not keep to conditions of writes.
    """
    clock = _clock(path)
    token = uuid.uuid4().hex
    content = {**signature(), "token": token, "beat": 0}
    sent, tag, after_death = elapsed(), None, False
    try:
        before, tag = path.read_with_tag()
        after_death = FREE not in _object_of(before)
        if after_death and _is_alive(path, clock):
            return None
    except FileNotFoundError:
        pass
    new = path.write_if(_bytes_of(content), tag)
    return None if new is None else Lease(path, content, new, after_death, sent)


def is_lease_of(path: ObjectPath, token: str) -> bool:
    """Whether nobody has taken a lease over from the process that took it with a token, nor has that set it free."""
    try:
        content = _object_of(path.read_bytes())
    except FileNotFoundError:
        return False
    return FREE not in content and content.get("token") == token


def is_leased(path: ObjectPath) -> bool:
    """Whether a living process has a lease."""
    try:
        return FREE not in _object_of(path.read_bytes()) and _is_alive(path, _clock(path))
    except FileNotFoundError:
        return False


def leased_in(folder: ObjectPath) -> set[ObjectPath]:
    """The leases of a folder that living processes have, by one list; none of them is one that is set free."""
    clock = _clock(folder / "any")
    listed = {path: path.stat().st_mtime for path in folder.iterdir() if path.is_file()}
    return {path for path, written in listed.items() if elapsed() + clock - written <= LEASE}


def _is_alive(path: ObjectPath, clock: float) -> bool:
    try:
        written = anew(path).stat().st_mtime
    except FileNotFoundError:
        return False
    return elapsed() + clock - written <= LEASE


def _object_of(data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _bytes_of(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _clock(path: ObjectPath) -> float:
    """The server's time less that of :func:`elapsed`, once it is known that conditions of writes hold there.

    What is wrong of it, by its whole seconds and the way of the answer, makes leases last longer, not shorter.
    """
    known = _clocks.get((path.scheme, path.bucket))
    if known is not None and elapsed() - known[1] < MEASURED_FOR:
        return known[0]
    # a name that gc knows as one of what killed writers leave
    probe = path.with_name(f".lock.clock.{uuid.uuid4().hex}.partial")
    try:
        first = probe.write_if(b"0", None)
        after = elapsed()
        offset = probe.stat().st_mtime - after
        if known is None:
            _require_conditions(probe, first)
    finally:
        probe.delete()
    _clocks[path.scheme, path.bucket] = offset, after
    return offset


def _require_conditions(probe: ObjectPath, tag: str | None) -> None:
    """Raise LockError where a server writes although it was told not to."""
    refused: list[Callable[[], str | None]] = [
        lambda: probe.write_if(b"1", None),
        lambda: probe.write_if(b"2", '"00000000000000000000000000000000"'),
    ]
    if not tag or any(write() is not None for write in refused) or probe.write_if(b"3", tag) is None:
        raise LockError(
            f"{probe.parent}: its server does not keep to conditions of writes (If-None-Match, If-Match), which keep "
            "two runs from writing one store at a time: Amazon S3 and MinIO do; put [store] path on another server, or "
            "on a disk. With store.keep_rows = false there is no store"
        )
