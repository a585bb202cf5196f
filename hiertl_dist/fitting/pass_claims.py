"""Who makes a pass over rows for a summary store: of two runs that would make the same, the second waits for the first.

All batches of a pass are written at once, so that a pass can't be shared; its rows can, if they are kept in a design
store (:mod:`hiertl_dist.design_matrix.store_claims`). Passes over other frames do not wait for one another.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ..errors import LockError
from ..files.claims import Claim, living, take_claim
from ..files.locks import Waiting
from ..files.signatures import signed_by
from ..files.store_use import store_use

if TYPE_CHECKING:
    from ..files.leases import Lease
    from ..files.object_path import Place

CLAIMS: Final = ".claims"
POLL: Final = 0.5
"""Seconds between two looks at the pass of another."""

_claims: dict[Place, list[Claim | Lease]] = {}
"""Of this process, by store."""


def begin_pass(store: Place, digest: str) -> bool:
    """Claim a pass until :func:`end_pass`; whether another process was waited for, which may have made it.

    Raises
    ------
    LockError
        Another process makes it, and is not to be waited for, or takes too long.
    WriteError, ObjectStoreError
        The store cannot be written.
    """
    path, waiting = store / CLAIMS / f"pass~{digest[:32]}", None
    list(living(store / CLAIMS, "*"))  # those of the dead go
    while (claim := take_claim(path)) is None:
        if store_use().in_use == "refuse":
            raise LockError(
                f"{store}: the same pass over the same frames is made by {signed_by(path)}. Wait for its end, or let "
                'this run wait for it: store.in_use = "join" (--in-use join)'
            )
        waiting = waiting or Waiting(f"the pass that is claimed by {path}", path)
        waiting.look()
        time.sleep(min(POLL, waiting.step()))
    _claims.setdefault(store, []).append(claim)
    return waiting is not None


def end_pass(store: Place) -> None:
    """Let the pass go, where this process has claimed it."""
    with suppress(KeyError, IndexError):  # of another process
        _claims[store].pop().let_go()
        with suppress(OSError):  # others are there
            (store / CLAIMS).rmdir()
