"""The folder of a data set while it is written: who may, what an import left there, and when parts belong to it."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import ObjectStoreError, StoreError
from ..files.claims import remove_partials
from ..files.locks import Held, held, locked
from ..files.object_path import in_order
from ..files.paths import make_folder, replacing
from ..files.places import each_read
from ..files.sealed import COPY, repair_command
from ..files.store_use import store_use, use_stores
from ..files.write_errors import write_errors
from ..files.zarr_files import META, fit_array, group_text, read_attributes
from ..text.words import shown
from .dataset_index import DatasetIndex, grown, is_dataset, lacks_copy, new_index, read_index, write_index
from .parts import ARRAYS, FORMAT, Part, chunks_of, ledger_path, part_of, read_blocks, read_ledger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..files.object_path import Place

KIND: Final = "frames"
"""What the attributes of the zarr group say that it is."""

_holding: dict[Place, ExitStack] = {}
"""Locks that this process holds, by folder."""


def hold(folder: Place) -> Held:
    """Make the folder and hold its lock until :func:`let_go`; who has it meanwhile is waited for."""
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: expected a folder for the data set, found a file; name another")
    make_folder(folder)
    # an import has the lock as long as it takes: who does not join does not wait
    use = store_use()
    with ExitStack() as stack, use_stores(replace(use, wait=0.0) if use.in_use == "refuse" else use):
        stack.enter_context(locked(folder))
        _holding[folder] = stack.pop_all()
    return held(folder)


def let_go(folder: Place) -> None:
    """Give the lock back, where this process holds it."""
    if stack := _holding.pop(folder, None):
        stack.close()


def begin(folder: Place) -> DatasetIndex:
    """Make arrays for parts, or look at the data set that is there.

    Parameters
    ----------
    folder : Path or ObjectPath
        The folder, locked.

    Returns
    -------
    DatasetIndex
        Of the parts that belong to it by now.

    Raises
    ------
    StoreError
        Something else is there.
    WriteError
        It cannot be written.
    """
    with write_errors(folder):
        index = _begin(folder)
        if lacks_copy(folder):
            write_index(folder, index)
        remove_leftovers(folder, index)
    return index


def _begin(folder: Place) -> DatasetIndex:
    if (folder / META).exists():
        require_ours(folder)
    elif is_dataset(folder):
        raise StoreError(f"{folder / META}: expected what says what this is, found no file; {repair_command(folder)}")
    else:
        others = [p for p in folder.iterdir() if not p.name.startswith(".lock") and p.suffix not in (".partial", COPY)]
        if others:
            raise StoreError(
                f"{folder}: expected an empty folder or a data set, found other files, such as {others[0].name}"
            )
        write_description(folder)
    index = read_index(folder) if is_dataset(folder) else new_index()
    _fit_arrays(folder, index)
    return index


def require_ours(folder: Place) -> None:
    """Raise StoreError where ``zarr.json`` is not that of a data set of a format that is known, or damaged."""
    own = read_attributes(folder / META, repair_command(folder))
    if (kind := own.get("hiertl_dist_kind")) != KIND or own.get("format") != FORMAT:
        what = f"{shown(kind)} of format {shown(own.get('format'))}" if kind else "another zarr group"
        raise StoreError(f"{folder}: expected a data set of format {FORMAT} or an empty folder, found {what}")


def write_description(folder: Place) -> None:
    """Write ``zarr.json`` of a data set."""
    with replacing(folder / META) as stream:
        stream.write(group_text({"hiertl_dist_kind": KIND, "format": FORMAT}))


def n_chunks(index: DatasetIndex, array: str) -> int:
    """How many chunks an array has."""
    if not index.parts:
        return 0
    return index.parts[-1].next_frames if array.startswith("frames") else index.parts[-1].next_atoms


def _fit_arrays(folder: Place, index: DatasetIndex) -> None:
    for name in ARRAYS:
        fit_array(folder, chunks_of(folder, name), n_chunks(index, name))


def remove_leftovers(folder: Place, index: DatasetIndex) -> int:
    """Delete files that writers of imports that were not finished have left half written; how many there were.

    What a worker that outlived its import still writes is locked by it, and stays.
    """
    last = index.parts[-1] if index.parts else None
    places = [folder, folder / "ledger", *(folder / name for name in ("frames", "atoms"))]
    for name in ARRAYS:
        places.append(folder / name)
        first = 0 if last is None else last.next_frames if name.startswith("frames") else last.next_atoms
        chunks = folder / name / "c"
        if chunks.is_dir():
            places += [p for p in in_order(chunks.iterdir()) if p.name.isdecimal() and int(p.name) >= first]
    return sum(map(remove_partials, places))


def is_complete(folder: Place, part: Part, source: Mapping[str, Any]) -> bool:
    """Whether an import that was not finished has written a part of the same frames, and it is as it was written.

    A part of another import, which was stopped too, may have been written over some of its chunks.
    """
    if not ledger_path(folder, part.number).exists():
        return False
    try:
        ledger = read_ledger(folder, part.number)
        if part_of(ledger) != part or ledger["source"] != dict(source):
            return False
        for array, crcs in ledger["crc32c"].items():
            read_blocks(folder, part, array, np.arange(len(crcs)), ledger["crc32c"])
    except StoreError:  # it is written anew
        return False
    return True


def finish(
    folder: Place, index: DatasetIndex, parts: Sequence[tuple[Part, Mapping[str, Any]]], added: Mapping[str, Any]
) -> DatasetIndex:
    """Let parts that are complete belong to the data set.

    Parameters
    ----------
    folder : Path or ObjectPath
        The folder, locked.
    index : DatasetIndex
        What it had.
    parts : sequence of tuple (Part, mapping)
        Those that are new, in the order of their frames, each with the source that its ledger must have.
    added : mapping from str to object
        What is kept of the import, for JSON.

    Returns
    -------
    DatasetIndex
        What it has now.

    Raises
    ------
    StoreError
        A ledger is not that of this import.
    """
    before, index = index, grown(index, each_read(folder, lambda one: _own_ledger(folder, *one), parts), added)
    with write_errors(folder):
        _fit_arrays(folder, index)
    write_index(folder, index)
    with suppress(ObjectStoreError):  # the data set is complete, and what is left is in nobody's way
        remove_leftovers(folder, before)  # of workers that died and whose parts others have written since
        number = index.parts[-1].number + 1
        while (left := ledger_path(folder, number)).exists():  # of a longer import that was not finished
            left.unlink()
            number += 1
    return index


def _own_ledger(folder: Place, part: Part, source: Mapping[str, Any]) -> dict[str, Any]:
    ledger = read_ledger(folder, part.number)
    if part_of(ledger) != part or ledger["source"] != dict(source):
        raise StoreError(
            f"{ledger_path(folder, part.number)}: expected a part of this import, found one of another, which a worker "
            "that outlived its import wrote meanwhile: import again"
        )
    return ledger
