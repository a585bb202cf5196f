"""Fences: below a folder whose lock is a lease, objects are written and deleted only by whoever has the lease still.

A process that is stopped for longer than its lease (a suspended laptop, SIGSTOP, a cut connection) and goes on does not
know that another has taken over. So it is asked before each write and each deletion whether the lease is its own, and
an object that is there already is written only if it is still the one that was seen before that was asked: what the
other wrote since has another tag. Workers in other processes, and on other hosts, ask for the process that has the
lease (:func:`written_for` of :mod:`hiertl_dist.files.locks`).

What no condition can keep apart is a process that is stopped in the moment between an answer and the request that
follows it, for as long as a lease lasts: what it writes then is noticed by its checksum when it is read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..errors import LockError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

TURNS: Final = 4
"""How often an object is looked at again that others of this run write at the same time."""


class Fenced(Protocol):
    """What a fence needs of an object's path, :class:`~hiertl_dist.files.object_path.ObjectPath`."""

    @property
    def name(self) -> str:
        """The last part of its name."""

    @property
    def parent(self) -> Hashable:
        """The folder that it is in."""

    @property
    def parents(self) -> tuple[Hashable, ...]:
        """The folders that it is in, from the inmost."""

    def write_if(self, data: Any, tag: str | None, before: Callable[[], None] | None = None) -> str | None:
        """Write it if it has a tag still."""

    def tag(self) -> str | None:
        """The tag that it has."""

    def delete(self) -> None:
        """Delete it."""


@dataclass(eq=False)
class Fence:
    """What is asked before anything below a folder is written or deleted.

    Attributes
    ----------
    folder : hashable
        The folder.
    is_held : callable
        Whether its lock is still that of this process, or of the one that it works for.
    holder : callable
        Who has the lock now, for people.
    tags : dict from str to str, optional
        Of the objects right in the folder, as they were when the lock was taken or as they were written since; they are
        written only if they have these still. Default: nothing is known of them.
    """

    folder: Hashable
    is_held: Callable[[], bool]
    holder: Callable[[], str]
    tags: dict[str, str] | None = None
    _process: int = field(default_factory=os.getpid)

    @property
    def is_of_here(self) -> bool:
        """Whether this process put it up, and not one that this was forked from."""
        return self._process == os.getpid()

    def require(self, path: Fenced) -> None:
        """Raise LockError where another process has the lock by now, ObjectStoreError where it can't be asked."""
        if not self.is_held():
            raise self._lost(path)

    def write(self, path: Fenced, data: Any) -> None:
        """Write an object that nobody has written since it was seen. Raises LockError, ObjectStoreError."""
        known = self.tags if path.parent == self.folder else None
        tag = None if known is None else known.get(path.name)
        for _ in range(TURNS):
            new = path.write_if(data, tag, before=lambda: self.require(path))
            if new is not None:
                if known is not None:
                    known[path.name] = new
                return
            if known is not None:
                break
            tag = path.tag()  # before it is asked again who has the lock
        raise self._lost(path)

    def delete(self, path: Fenced) -> None:
        """Delete an object. Raises LockError, ObjectStoreError."""
        self.require(path)
        path.delete()
        if self.tags is not None and path.parent == self.folder:
            self.tags.pop(path.name, None)

    def _lost(self, path: Fenced) -> LockError:
        return LockError(
            f"{path}: it is left as it is, for the lock of {self.folder} is no longer that of this run: its lease "
            "ended while this process was stopped or cut off, and another process has taken it over: "
            f"{self.holder()}. This run stops here, and has written nothing over what the other wrote; what is "
            "complete is kept, and the same command goes on from there once the other has ended"
        )


_fences: dict[Hashable, list[Fence]] = {}
"""Those of this process by their folder, the latest last."""


def put_up(fence: Fence) -> None:
    """Let a fence stand until :func:`take_down`."""
    _fences[fence.folder] = [*_fences.get(fence.folder, ()), fence]


def take_down(fence: Fence) -> None:
    """Let it stand no more, be it gone or not."""
    left = [own for own in _fences.get(fence.folder, ()) if own is not fence]
    if left:
        _fences[fence.folder] = left
    else:
        _fences.pop(fence.folder, None)


def fence_of(path: Fenced) -> Fence | None:
    """The fence that a place is behind: of the folder itself, or of the nearest above it."""
    if not _fences:
        return None
    for folder in (path, *path.parents):
        if own := [fence for fence in _fences.get(folder, ()) if fence.is_of_here]:
            return own[-1]
    return None
