"""Who works on a design store: runs, each tile that is being computed, and what writers that died have left.

``.claims/`` in the store has a file for each run that assembles, and one for each tile that a process computes now; the
process has it locked (:mod:`hiertl_dist.files.claims`). A file that nobody has locked is of a process that died: its
tile is free, and its ``.partial`` files are removed.
"""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError, LockError
from ..files.claims import Claim, claimed_among, is_claimed, living, remove_partials, take_claim
from ..files.locks import Waiting, locked
from ..files.object_path import ObjectPath
from ..files.paths import move_aside
from ..files.signatures import signed_by
from ..files.store_use import store_use
from ..text.words import count_text
from .ledger import are_complete, ledger_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ..files.leases import Lease
    from ..files.object_path import Place

CLAIMS: Final = ".claims"
RUN: Final = "run."
LABELS: Final = "labels"
POLL: Final = 0.5
"""Seconds between two looks at tiles of others."""

PLACES: Final = ("blocks", LABELS, "offsets")
"""Folders of arrays."""


def claim_path(store: Place, name: str, key: str) -> Place:
    """The file by which a process claims a tile: of an array, or of all label arrays (``"labels"``)."""
    return store / CLAIMS / f"{name.replace('/', '.')}~{key}"


@contextmanager
def claimed(store: Place, name: str, key: str) -> Iterator[Claim | Lease | None]:
    """Claim a tile; ``None`` where a living process, of this run or another, computes it."""
    claim = take_claim(claim_path(store, name, key))
    try:
        yield claim
    finally:
        if claim is not None:
            claim.let_go()


# ---- runs

_runs: dict[Place, list[Claim | Lease]] = {}
"""By which this process says that it assembles, by the folder of the store."""


def begin_run(store: Place) -> None:
    """Say that a run assembles here, until :func:`end_run`; only where the folder can be seen from this process.

    Raises
    ------
    LockError
        Another run does, and this one is not to join: which ones.
    """
    if not store.is_dir():  # the workers of a cluster see it
        return
    folder = store / CLAIMS
    with locked(store):
        if store_use().in_use == "refuse" and (others := [signed_by(p) for p in living(folder, f"{RUN}*")]):
            raise LockError(
                f"{store}: {count_text(len(others), 'other run')} at work on this store: {'; '.join(others[:3])}. "
                'Wait for its end, or let this run compute what that one has not claimed: store.in_use = "join" '
                "(--in-use join)"
            )
        while (claim := take_claim(folder / f"{RUN}{uuid.uuid4().hex}")) is None:
            continue  # somebody was just looking whether the new file is locked
    _runs.setdefault(store, []).append(claim)


def end_run(store: Place) -> None:
    """Say that it does no longer."""
    with suppress(KeyError, IndexError):  # of another process
        _runs[store].pop().let_go()
    with suppress(OSError):  # others are there, or it is not to be seen from here
        (store / CLAIMS).rmdir()


def move_store_aside(place: Place) -> Place | None:
    """Give a store another name, as ``move_aside`` does.

    With its lock, without which nobody begins; it goes with the folder, and who waits for it sees that.

    Raises LockError where somebody is at work on it, InputError where it is on an object store and can't be renamed.
    """
    if not place.is_dir():
        return None
    if isinstance(place, ObjectPath):
        raise InputError(
            f"{place}: it can't be renamed (--fresh), for object stores only copy, object by object; name another "
            "place ([store] path), or delete this one with the tools of its server when nobody needs it"
        )
    with locked(place):
        return _moved_aside(place)


def _moved_aside(place: Path) -> Path | None:
    if others := [signed_by(p) for p in living(place / CLAIMS, "*")]:
        listed = "; ".join(others[:3])
        raise LockError(f"{place}: it can't be renamed (--fresh) while others are at work on it: {listed}")
    return move_aside(place)


# ---- tiles of others


def wait_for_others(store: Place, parts: Sequence[Sequence[tuple[str, str]]]) -> list[bool]:
    """Wait until one of some parts that others have claimed is complete, or is claimed no more.

    Parameters
    ----------
    store : Place
        The store.
    parts : sequence of sequence of (str, str)
        Array and key of each tile of each part.

    Returns
    -------
    list of bool
        Whether each is still missing: to be claimed again.

    Raises
    ------
    LockError
        It has taken longer than the option ``wait`` allows.
    """
    claims = [claim_path(store, LABELS if own[0][0].startswith(f"{LABELS}/") else own[0][0], own[0][1])
              for own in parts]  # fmt: skip
    waiting: Waiting | None = None
    while True:
        tiles = [place for own in parts for place in own]
        complete = dict(zip(tiles, are_complete(store, tiles), strict=True))
        missing = [not all(complete[place] for place in own) for own in parts]
        wanted = [c for c, is_missing in zip(claims, missing, strict=True) if is_missing]
        taken = claimed_among(wanted)
        busy = [c for c in wanted if c in taken]
        if len(busy) < sum(missing) or not busy:
            return missing
        if waiting is None or waiting.signed not in busy:
            more = f" and {count_text(len(busy) - 1, 'more tile')}" if len(busy) > 1 else ""
            waiting = Waiting(f"the tile that is claimed by {busy[0]}{more}", busy[0])
        waiting.look()
        time.sleep(min(POLL, waiting.step()))


# ---- what the dead have left


def remove_leftovers(store: Place, layout: dict[str, Any]) -> int:
    """Delete what writers that died left: claims, and files that were half written. How many of these; needs the lock.

    What the living write is locked by them, and stays.
    """
    places = [store, *(store / p for p in PLACES)]
    folders = {f for place in places for f in (place, *(p for p in _listed(place) if p.is_dir()))}
    ledgers = set()
    for path in _listed(store / CLAIMS):
        if is_claimed(path) or (claim := take_claim(path)) is None:
            continue
        name, _, key = path.name.partition("~")
        for array, entry in layout["arrays"].items():
            if array.replace("/", ".") == name or array.startswith(f"{name}/"):
                folders |= chunk_folders(store, array, entry, key)
                ledgers.add(ledger_file(store, array, key).parent)
        claim.let_go()
    return sum(map(remove_partials, sorted(folders | ledgers)))


def chunk_folders(store: Place, array: str, entry: dict[str, Any], key: str) -> set[Place]:
    """The folders of a tile's chunks, by what the layout says of its array."""
    first, count, _ = entry["tiles"].get(key, (0, 0, 0))
    return {store / array / "c" / str(number) for number in range(first, first + count)}


def remove_partials_of(store: Place, arrays: Iterable[str], key: str, layout: dict[str, Any]) -> None:
    """Delete what a writer that died has left of a tile. Needs the claim."""
    for array in arrays:
        for folder in chunk_folders(store, array, layout["arrays"][array], key):
            remove_partials(folder)
        remove_partials(ledger_file(store, array, key).parent, f"{key}.json.*.partial")


def _listed(folder: Place) -> list[Place]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
