"""What a worker takes of memory without data, for how many it suffices, and the refusal of what does not fit."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ..compiled.cache import compiles_here, is_compiled
from ..errors import ResourceError
from ..evaluation.compiling import DISPATCHERS, OF_MODELS
from ..executors.launch import launched_first
from ..executors.memory import available_memory
from ..text.words import count_text

if TYPE_CHECKING:
    from ..executors.base import Executor

PROCESS_BYTES: Final = 205 * 2**20
"""What a worker takes without data: 150 MiB bare, 197 MiB with all kernels loaded, about 205 MiB once it has worked
(``benchmarks/memory.py``)."""

COMPILING_BYTES: Final = 360 * 2**20
"""The same where it compiles kernels itself, whose compiler keeps what it took: 340 to 360 MiB."""

_log = logging.getLogger("hiertl_dist")


def process_bytes() -> int:
    """What a worker takes without data: more where it compiles kernels, or has, than where it loads compiled ones."""
    rows = (kernel for name, kernel in DISPATCHERS.items() if name not in OF_MODELS)
    ready = all(map(is_compiled, rows)) and not any(map(compiles_here, DISPATCHERS.values()))
    return PROCESS_BYTES if ready else COMPILING_BYTES


def calls_at_once(
    needed: int, what: str, *, executor: Executor | None, memory: int | None = None, items: int | None = None,
    tell: bool = False,
) -> int:  # fmt: skip
    """How many calls that take so much memory may be made at a time: fewer than there are workers where it is short.

    Parameters
    ----------
    needed : int
        Peak bytes of a worker that makes such a call, all in.
    what : str
        For messages.
    executor : Executor or None
        Who works; ``None``: this process alone.
    memory : int, optional
        Bytes that all workers may take together; default: what is available.
    items : int, optional
        How many calls there are, if they are fewer than workers.
    tell : bool, default False
        Say it, where some workers will have nothing to do.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ResourceError
        Not one such call fits, with both numbers.
    """
    if executor is None:
        check_resources(needed, what, workers=1, memory=memory)
        return 1
    needed = executor.most_of(needed)  # ranks of MPI, of which some may compile kernels, are refused with one number
    wanted = executor.workers if items is None else max(1, min(executor.workers, items))
    fitting = executor.room_for(needed, process_bytes() + executor.overhead, wanted, memory)
    if fitting == 0:
        raise ResourceError(
            f"{what}: {needed / 2**20:.0f} MiB of memory needed by each of {count_text(wanted, 'worker')}, "
            f"{executor.limits_text(memory)}"
        )
    if fitting < wanted and tell and launched_first():
        _log.warning(
            "%s: %d of %d workers work at a time, for each takes %d MiB, and there are %d MiB of memory for all",
            what, fitting, wanted, needed >> 20, (executor.memory() if memory is None else memory) >> 20,
        )  # fmt: skip
    return fitting


def check_resources(needed: int, what: str, *, workers: int, memory: int | None = None) -> None:
    """Raise ResourceError, naming both numbers, for what cannot fit.

    ``needed`` are peak bytes of each of some ``workers`` that share this machine's memory, of which they may take
    ``memory`` together (default: what is available now).
    """
    available = available_memory() if memory is None else memory
    if needed * workers > available:
        raise ResourceError(
            f"{what}: {count_text(workers, 'worker')} × {needed / 2**20:.0f} MiB = {needed * workers / 2**20:.0f} MiB "
            f"of memory needed, {available / 2**20:.0f} MiB available"
        )
