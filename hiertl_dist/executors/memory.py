"""How much memory there is for work: what this machine has to spare, as far as cgroups and limits of a process go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Final

import psutil

CGROUPS: Final = Path("/sys/fs/cgroup")
MEMBERSHIP: Final = Path("/proc/self/cgroup")


def available_memory() -> int:
    """Bytes that this machine has to spare, or the least that a cgroup of this process, such as a job's, has left."""
    return max(0, min([int(psutil.virtual_memory().available), *_left_in_cgroups()]))


def _left_in_cgroups() -> list[int]:
    """What is left in each memory cgroup that this process is in, where one has a limit (Linux, versions 1 and 2)."""
    try:
        lines = MEMBERSHIP.read_text().splitlines()
    except OSError:
        return []
    left = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = CGROUPS, ("memory.max", "memory.current", "inactive_file ")
        elif "memory" in controllers.split(","):
            root, names = CGROUPS / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")
        else:
            continue
        own = root / path.strip("/")
        # in a container the path may be the host's, and what is mounted the container's own
        for folder in (own, *own.parents) if own.is_dir() else (root,):
            left += _left_in(folder, *names)
            if folder == root:
                break
    return left


def _left_in(folder: Path, most: str, used: str, cached: str) -> list[int]:
    """What a cgroup has left: what its files in memory take can be had again. Nothing where there is no limit."""
    with suppress(OSError, ValueError):  # "max" is no number, and of the root there is no file
        limit, usage = int((folder / most).read_text()), int((folder / used).read_text())
        lines = (folder / "memory.stat").read_text().splitlines()
        files = sum(int(line.removeprefix(cached)) for line in lines if line.startswith(cached))
        return [limit - max(0, usage - files)]
    return []


def process_limit() -> int | None:
    """Bytes that one process may take, by RLIMIT_AS and RLIMIT_DATA, which the processes that it starts inherit.

    Address space that was asked for and is never touched, such as that of libraries, counts for these limits, too: so
    much less is left.
    """
    with suppress(ImportError, OSError, AttributeError, psutil.Error):
        import resource

        own = psutil.Process(os.getpid()).memory_info()
        limits = []
        for number, taken in ((resource.RLIMIT_AS, own.vms), (resource.RLIMIT_DATA, own.data)):
            if (most := resource.getrlimit(number)[0]) != resource.RLIM_INFINITY:
                limits.append(max(0, most - max(0, taken - own.rss)))
        return min(limits, default=None)
    return None


def fitting(needed: int, base: int, wanted: int, memory: int) -> int:
    """How many of some workers can take ``needed`` bytes at a time, where the others take ``base``; 0: not one."""
    if needed * wanted <= memory:
        return wanted
    if needed > memory:
        return 0
    return max(1, min(wanted, (memory - wanted * base) // max(1, needed - base)))


def memory_text(size: int) -> str:
    """A number of bytes: ``200 MiB``, ``3.5 GiB``."""
    return f"{size / 2**20:.0f} MiB" if size < 2**30 else f"{size / 2**30:.3g} GiB"


class KnowsMemory:
    """What every executor knows of the memory that its workers may take."""

    overhead: ClassVar[int] = 0
    """Bytes that a worker takes besides what the same work takes in any process."""

    caller_works: ClassVar[bool] = False
    """Whether calls are made by the calling process itself."""

    copies_sent: ClassVar[float] = 0.0
    """How many times what is sent to a worker is in the memory of the calling process meanwhile, besides itself."""

    _most: int | None = None

    def memory(self) -> int:
        """Bytes that all workers may take together: what this machine has to spare, unless they are elsewhere."""
        return available_memory()

    def room_for(self, needed: int, base: int, wanted: int, memory: int | None = None) -> int:
        """How many workers can make a call at a time that takes so much memory.

        Parameters
        ----------
        needed : int
            Peak bytes of a worker that makes such a call.
        base : int
            Bytes of one that has nothing to do.
        wanted : int
            How many are wanted.
        memory : int, optional
            Bytes that all may take together; default: :meth:`memory`.

        Returns
        -------
        int
            At most ``wanted``; 0 where there is not enough for one.
        """
        if (most := process_limit()) is not None and needed > most:
            return 0
        return fitting(needed, base, wanted, self.memory() if memory is None else memory)

    def most_of(self, size: int) -> int:
        """The most of what each calling process says."""
        return size

    def limits_text(self, memory: int | None = None) -> str:
        """For the message of what does not fit: how much there is."""
        available = self.memory() if memory is None else memory
        own = self._least_limit()
        text = "" if own is None else f"; the limits of a process (ulimit) leave it {own / 2**20:.0f} MiB"
        return f"{available / 2**20:.0f} MiB available{text}"

    def _least_limit(self) -> int | None:
        return process_limit()

    def waiting(self, n: int) -> int:
        """How many values of a reduction of n items a worker may have, at most, besides that which it makes.

        Those of the left subtrees of the tree, which wait for the right ones.
        """
        return max(1, n).bit_length() - 1

    @contextmanager
    def at_most(self, calls: int) -> Iterator[None]:
        """Make no more than so many calls at a time meanwhile, as :meth:`room_for` allows."""
        before, self._most = self._most, calls
        try:
            yield
        finally:
            self._most = before
