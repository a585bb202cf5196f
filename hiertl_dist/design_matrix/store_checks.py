"""Whether every file of a design store is as it was written; what mends it, and what nobody needs of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import LockError, StoreError
from ..files.chunks import joined, read_tile
from ..files.claims import is_claimed, living
from ..files.faults import Fault, kept_twice, mended, quarantined, unfinished
from ..files.locks import locked
from ..files.object_path import in_order
from ..files.sealed import SEAL, copy_of
from ..files.signatures import signed_by
from ..files.zarr_files import META, array_fault, group_fault, write_array, write_group
from .attributes_file import checked_attributes, write_store_attributes
from .layout_file import LAYOUT, checked_layout, knows_ledger, require_layout_of, write_layout
from .ledger import LEDGER, chunks_of, complete_keys, place_of
from .store import DesignStore
from .store_claims import CLAIMS, LABELS, RUN, claim_path
from .store_frames import FRAMES, read_digests
from .store_layout import FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..files.object_path import Place
    from .ledger import TilePlace

AGAIN: Final = "'hiertl-dist assemble --fresh' makes a new store and renames this one"


def store_faults(folder: Place) -> Iterator[Fault]:
    """Read everything of a design store.

    Parameters
    ----------
    folder : Place
        The store.

    Yields
    ------
    Fault
        Of one file; where those fail that say what is where, of no other.
    """
    main = [*_description_faults(folder)]
    yield from main
    if any(fault.file in (folder / META, folder / LAYOUT) for fault in main):
        return
    layout = DesignStore(folder).layout()
    try:
        read_digests(folder)
    except StoreError as error:
        remedy = "the labels of rows, which have numbers of these, are computed again by the next assembly"
        yield Fault(folder / FRAMES, _plain(error), remedy, partial(_forget_labels, folder))
    yield from _array_faults(folder, layout)
    for array, entry in layout["arrays"].items():
        for key in entry["tiles"]:
            yield from _tile_faults(place_of(folder, layout, array, key))


def _plain(error: Exception) -> str:
    return str(error).split("; 'hiertl-dist")[0].split("; hiertl-dist")[0]


def _description_faults(folder: Place) -> Iterator[Fault]:
    """What is wrong with the files that say what the store is and where its tiles are."""
    if _is_of_format_1(folder):
        yield from _faults_of_format_1(folder)
        return
    faults = [*kept_twice(folder / META, checked_attributes, AGAIN, _goes_with_layout)]
    if (folder / LAYOUT).exists() or copy_of(folder / LAYOUT).exists() or any((folder / LEDGER).glob("*/*.json")):
        faults += kept_twice(folder / LAYOUT, checked_layout, AGAIN, _goes_with_description)
    yield from faults
    if not any(fault.file in (folder / META, folder / LAYOUT) for fault in faults) and (folder / LAYOUT).exists():
        try:
            require_layout_of(folder / LAYOUT, checked_layout(folder / LAYOUT), checked_attributes(folder / META))
        except StoreError as error:
            yield Fault(folder / LAYOUT, _plain(error), AGAIN)


def _goes_with_layout(path: Place) -> bool:
    """Whether a description is of the store that the layout beside it is of."""
    return _agree(path, next((p for p in _both(path.with_name(LAYOUT)) if _is_whole(p, checked_layout)), None))


def _goes_with_description(path: Place) -> bool:
    """Whether a layout is of the store that the description beside it is of, and has the tiles of the ledger."""
    attributes = next((p for p in _both(path.with_name(META)) if _is_whole(p, checked_attributes)), None)
    return knows_ledger(path) and (attributes is None or _agree(attributes, path))


def _both(path: Place) -> tuple[Place, Place]:
    return path, copy_of(path)


def _is_whole(path: Place, read: Callable[[Place], object]) -> bool:
    try:
        read(path)
    except (StoreError, OSError):
        return False
    return True


def _agree(attributes: Place, layout: Place | None) -> bool:
    if layout is None:
        return True
    return _is_whole(layout, lambda path: require_layout_of(path, checked_layout(path), checked_attributes(attributes)))


def _is_of_format_1(folder: Place) -> bool:
    """Whether an earlier version wrote the store, and none has written to it since: no file of it has a copy."""
    return not any(copy_of(folder / name).exists() for name in (META, LAYOUT)) and not any(
        f'"{SEAL}"'.encode() in (folder / name).read_bytes() for name in (META, LAYOUT) if (folder / name).exists()
    )


def _faults_of_format_1(folder: Place) -> Iterator[Fault]:
    for path, read in ((folder / META, checked_attributes), (folder / LAYOUT, checked_layout)):
        try:
            read(path)
        except FileNotFoundError:
            yield Fault(path, "expected a file, found none", AGAIN)
        except (StoreError, OSError) as error:
            yield Fault(path, _plain(error), AGAIN)


def _array_faults(folder: Place, layout: dict[str, Any]) -> Iterator[Fault]:
    remedy = "it is written again, as the layout has it; nothing is computed again"
    for path in sorted({(folder / array).parent / META for array in layout["arrays"]}):
        if fault := group_fault(path):
            yield Fault(path, fault, remedy, partial(write_group, path))
    for array, entry in layout["arrays"].items():
        chunks, slots = chunks_of(folder, array, entry), entry["slots"]
        if fault := array_fault(chunks, slots):
            yield Fault(chunks.folder / META, fault, remedy, partial(write_array, chunks, slots))


def _tile_faults(place: TilePlace) -> Iterator[Fault]:
    """What is wrong with a tile that is complete."""
    try:
        expected = place.crc()
    except FileNotFoundError:
        return
    except (StoreError, OSError) as error:
        yield Fault(place.ledger, _plain(error), _remedy(place), place.ledger.unlink)
        return
    crc, step = 0, place.chunks.rows
    for number, start in enumerate(range(0, place.rows, step), place.first):
        rows = np.empty((min(step, place.rows - start), place.chunks.columns), place.chunks.dtype)
        chunk, problem = place.chunks.path(number), ""
        try:
            crc = joined(crc, read_tile(place.chunks, number, rows), rows.nbytes)
        except FileNotFoundError:
            problem = "expected a chunk, found no file"
        except (ValueError, OSError) as error:
            problem = str(error)
        if problem:
            yield Fault(chunk, problem, _remedy(place), place.ledger.unlink)
            return
    if crc != expected:
        problem = f"{place.name}: expected CRC32C {expected:08x}, as its ledger entry has it, found {crc:08x}"
        yield Fault(place.chunks.path(place.first), problem, _remedy(place), place.ledger.unlink)


def _remedy(place: TilePlace) -> str:
    kind, _, name = place.array.partition("/")
    what = f"the {place.rows} rows of block {name}" if kind == "blocks" else f"{place.array} of {place.rows} rows"
    by = "by the next fit that freezes this model" if kind == "offsets" else "by the next assembly of these frames"
    return f"its ledger entry is removed, and {what} are computed again {by}"


def _forget_labels(folder: Place) -> None:
    """Let the labels of rows be computed again, and frames be numbered anew: not under a run that knows their numbers.

    Raises LockError where there is one.
    """
    if others := [signed_by(p) for p in living(folder / CLAIMS, f"{RUN}*")]:
        raise LockError(
            f"{folder / FRAMES}: it is damaged, and is not mended while another run works on the store: "
            f"{'; '.join(others[:3])}; repair it once that has ended"
        )
    for path in (folder / LEDGER).glob("labels.*/*.json"):
        path.unlink()
    if (folder / FRAMES).exists():
        quarantined(folder / FRAMES)
    layout = {key: value for key, value in DesignStore(folder).layout().items() if key != "frames_in_file"}
    attributes = checked_attributes(folder / META)
    if attributes["hiertl_dist"] != FORMAT:
        write_store_attributes(folder, {**attributes, "hiertl_dist": FORMAT})
    write_layout(folder / LAYOUT, layout, attributes)


def repair_store(folder: Place) -> tuple[list[Fault], list[Fault]]:
    """Mend what can be mended of a design store; what that was, and what is left. Takes the store's lock."""
    with locked(folder):
        return mended(partial(store_faults, folder))


def store_leftovers(folder: Place) -> Iterator[tuple[Place, str]]:
    """Files of a design store that nobody needs, with the reason. Raises StoreError where the layout is damaged."""
    store = DesignStore.open(folder)
    layout = store.layout()
    yield from unfinished(folder)
    entries: set[Place] = set()
    needed: set[Place] = set()
    for array, entry in layout["arrays"].items():
        complete = complete_keys(folder, array)
        for key, (first, count, _) in entry["tiles"].items():
            place = place_of(folder, layout, array, key)
            entries.add(place.ledger)
            claim = claim_path(folder, LABELS if array.startswith(f"{LABELS}/") else array, key)
            if key in complete or is_claimed(claim):
                needed.update(place.chunks.path(number) for number in range(first, first + count))
    for path in in_order((folder / LEDGER).glob("*/*.json")):
        if path not in entries:
            yield path, "a ledger entry of a tile that the store does not have"
    for kind in ("blocks", "labels", "offsets"):
        for path in in_order((folder / kind).glob("*/c/*/0")):
            if path not in needed:
                yield path, "a chunk of no complete tile"


def store_facts(folder: Place) -> dict[str, Any]:
    """What a design store has, for JSON. Raises StoreError where it is damaged."""
    store = DesignStore.open(folder)
    attributes, layout = store.attributes, store.layout()
    arrays = {
        name: {
            "columns": entry["columns"], "chunk_rows": entry["chunk_rows"], "tiles": len(entry["tiles"]),
            "complete": len(store.keys(name)), "rows": sum(rows for _, _, rows in entry["tiles"].values()),
        }
        for name, entry in layout["arrays"].items()
    }  # fmt: skip
    return {
        "kind": "design store", "format": attributes["hiertl_dist"], "policy": attributes["policy"],
        "basis_digest": attributes["basis_digest"], "elements": attributes["basis"].get("elements", []),
        "assemblies": len(attributes["provenance"]), "frames": len(read_digests(folder)),
        "groups": layout["groups"], "arrays": arrays, "bytes": store.nbytes(),
    }  # fmt: skip
