"""Whether every file of a summary store is as it was written; what mends it, and what nobody needs of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from ..files.faults import Fault, kept_twice, mended, quarantined, unfinished
from ..files.locks import locked
from ..files.object_path import in_order
from .batch_files import read_batch
from .frame_checks import require_sound
from .summary_index import INDEX, KEY, batches_of, checked_index, has_batches, read_index
from .summary_store import OURS, SummaryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..files.object_path import Place
    from .summary_batches import Batch

AGAIN = (
    "'hiertl-dist summarise --fresh' makes a new store and renames this one; its batches are whole, and of no use "
    "without it"
)


def summary_faults(folder: Place) -> Iterator[Fault]:
    """Read everything of a summary store.

    Parameters
    ----------
    folder : Path or ObjectPath
        The store.

    Yields
    ------
    Fault
        Of the index, or else of each batch.
    """
    main = [*kept_twice(folder / INDEX, checked_index, AGAIN, has_batches, always=False, parts=batches_of)]
    yield from main
    if any(fault.file == folder / INDEX for fault in main):
        return
    store, batches = SummaryStore(folder), []
    for batch_id in checked_index(folder / INDEX)["batches"]:
        problems = [*_batch_problems(store, batch_id)]
        for file, problem, n_frames in problems:
            frames = f"the rows of its {n_frames} frames" if n_frames else "the rows of its frames"
            remedy = (
                f"its batch is taken out of the store, and {frames} are reduced again by the next summarise, which may "
                "draw other folds for them"
            )
            yield Fault(file, problem, remedy, partial(_take_out, store, batch_id))
        if not problems:
            batches.append(read_batch(folder, batch_id))
    try:
        require_sound(str(folder), [store.counted(batch) for batch in batches], store.settings)
    except StoreError as error:
        yield Fault(folder / INDEX, str(error), AGAIN)


def _batch_problems(store: SummaryStore, batch_id: str) -> Iterator[tuple[Place, str, int]]:
    """File, problem and number of frames for what is wrong with the files of a batch: the first of each file."""
    try:
        batch = read_batch(store.path, batch_id)
    except (StoreError, OSError) as error:
        yield store.path / f"{batch_id}.json", _plain(error), 0
        return
    numbers = store.path / f"{batch_id}.f64"
    try:
        store.require_whole_numbers(batch)
    except (StoreError, OSError) as error:
        yield numbers, _plain(error), batch.frames.count
    try:
        for _ in store.records(batch):
            pass
    except (StoreError, OSError) as error:
        yield store.records(batch).path, _plain(error), batch.frames.count


def _plain(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{error.filename}: expected a file, found none"
    return str(error).split("; 'hiertl-dist")[0]


def _take_out(store: SummaryStore, batch_id: str) -> None:
    """Let a batch no longer belong to the store, its files set apart."""
    store.drop(batch_id)
    for path in in_order(store.path.glob(f"{batch_id}.*")):
        quarantined(path)


def repair_summaries(folder: Place) -> tuple[list[Fault], list[Fault]]:
    """Mend what can be mended of a summary store; what that was, and what is left. Takes the store's lock."""
    with locked(folder):
        return mended(partial(summary_faults, folder))


def summary_leftovers(folder: Place) -> Iterator[tuple[Place, str]]:
    """Files of a summary store that nobody needs, with the reason. Raises StoreError where the index is damaged."""
    live = set(read_index(folder)["batches"])
    yield from unfinished(folder)
    for path in in_order(folder.iterdir()):
        ours = OURS.fullmatch(path.name)
        if ours and ours[1] not in live:
            yield path, "of a batch that was superseded, or never came to life"


def summary_facts(folder: Place) -> dict[str, Any]:
    """What a summary store has, for JSON. Raises StoreError where it is damaged."""
    store = SummaryStore.open(folder)
    index, batches = read_index(folder), store.batches()
    return {
        "kind": "summary store", "format": index[KEY],
        "blocks": sorted(store.settings.get("blocks", {})), "batches": [_facts_of(batch) for batch in batches],
        "frames": sum(batch.frames.count for batch in batches), "bytes": store.nbytes(),
    }  # fmt: skip


def _facts_of(batch: Batch) -> dict[str, Any]:
    return {
        "id": batch.id, "elements": batch.elements, "blocks": list(batch.blocks), "frames": batch.frames.count,
        "tiles": len(batch.tiles), "groups": len(batch.groups),
        "rows": sum(entry.rows for entry in batch.groups if not entry.group.weighed),
    }  # fmt: skip
