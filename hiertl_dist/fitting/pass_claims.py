"""Who makes a pass over rows for a summary store: of two runs that would make the same, the second helps the first.

All batches of a pass are written at once, by the run that has claimed it. Where both have the same folder of
checkpoints, and the pass is long enough for any, the second computes ranges of leaves that nobody has claimed
(:mod:`hiertl_dist.fitting.pass_help`); then, or else, it waits. Rows that are kept in a design
store are shared tile by tile (:mod:`hiertl_dist.design_matrix.store_claims`). Passes over other frames do not wait for
one another.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from ..errors import LockError
from ..files.claims import Claim, is_claimed, living, take_claim
from ..files.locks import Waiting
from ..files.signatures import signed_by
from ..files.store_use import store_use

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..files.leases import Lease
    from ..files.object_path import Place

Found = TypeVar("Found")

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
    path, waiting = _claim_path(store, digest), None
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


def is_made(store: Place, digest: str) -> bool:
    """Whether another process makes a pass."""
    return is_claimed(_claim_path(store, digest))


def while_made(store: Place, digest: str, look: Callable[[], Found | None]) -> Found | None:
    """What a look answers while another makes a pass; None where that has ended before. Raises LockError as above."""
    path, waiting = _claim_path(store, digest), None
    while is_claimed(path):
        if (found := look()) is not None:
            return found
        waiting = waiting or Waiting(f"the pass that is claimed by {path}", path)
        waiting.look()
        time.sleep(min(POLL, waiting.step()))
    return None


def _claim_path(store: Place, digest: str) -> Place:
    return store / CLAIMS / f"pass~{digest[:32]}"


def end_pass(store: Place) -> None:
    """Let the pass go, where this process has claimed it."""
    with suppress(KeyError, IndexError):  # of another process
        _claims[store].pop().let_go()
        with suppress(OSError):  # others are there
            (store / CLAIMS).rmdir()
