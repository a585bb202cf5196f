"""How stores are used beside other runs: joined or refused, how long one waits, and whether disks are flushed.

It is of the calling process, by :func:`use_stores`, and goes with each call to whoever makes it: :func:`carried`.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from ..errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

InUse = Literal["join", "refuse"]
"""What a run does where another works on its store: compute what nobody has claimed, or raise an error."""

IN_USE: Final = get_args(InUse)


@dataclass(frozen=True)
class StoreUse:
    """How a run uses stores that others may use, too.

    Attributes
    ----------
    in_use : {"join", "refuse"}
        Where another run works on a store: ``"join"`` computes what nobody has claimed and waits for the rest (of a
        data set, and where a file is rewritten, waits for its lock); ``"refuse"`` raises a LockError.
    wait : float
        Seconds after which waiting for another run is a LockError; 0: not at all.
    fsync : bool
        Whether each file, and the folder that it is in, is on the disk itself before the next step is taken: what is
        complete then outlives a loss of power. Slow; without it, what outlives any end of a process may be lost or cut
        where the machine stops, and is noticed by its checksum.
    """

    in_use: InUse = "join"
    wait: float = math.inf
    fsync: bool = False

    def __post_init__(self) -> None:
        if self.in_use not in IN_USE:
            raise InputError(f"in_use: expected one of {IN_USE}, found {self.in_use!r}")
        if not isinstance(self.wait, int | float) or isinstance(self.wait, bool) or not self.wait >= 0:
            raise InputError(f"wait: expected seconds, 0 or more, found {self.wait!r}")
        if not isinstance(self.fsync, bool):
            raise InputError(f"fsync: expected True or False, found {self.fsync!r}")


DEFAULT: Final = StoreUse()

_present: ContextVar[StoreUse] = ContextVar("store use", default=DEFAULT)


def store_use() -> StoreUse:
    """How stores are used here and now."""
    return _present.get()


@contextmanager
def use_stores(use: StoreUse | None = None, **changes: Any) -> Iterator[StoreUse]:
    """Use stores in this way inside of a ``with``, in this process and in workers that are called from it.

    Parameters
    ----------
    use : StoreUse, optional
        The way; default: as it is by now.
    **changes : object
        Attributes of :class:`StoreUse` that are to be others.

    Yields
    ------
    StoreUse
        What holds.

    Raises
    ------
    InputError
        A value is none of those that are known.

    Examples
    --------
    >>> with use_stores(in_use="refuse", wait=60.0):
    ...     assemble(frames, basis, "design.zarr")
    """
    if unknown := sorted(set(changes) - set(StoreUse.__dataclass_fields__)):
        raise InputError(f"use_stores: expected {', '.join(StoreUse.__dataclass_fields__)}, found {', '.join(unknown)}")
    token = _present.set(replace(store_use() if use is None else use, **changes))
    try:
        yield store_use()
    finally:
        _present.reset(token)


def carried(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call for another process, which will use stores as this one does."""
    return call if store_use() == DEFAULT else partial(_under, store_use(), call)


def _under(use: StoreUse, call: Callable[..., Any], *args: Any) -> Any:
    with use_stores(use):
        return call(*args)
