"""The folder of a data set while it is written: who may, what an import left there, and when parts belong to it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from ..errors import StoreError
from ..files.chunks import ChunkedRows
from ..files.claims import remove_partials
from ..files.locks import locked
from ..files.paths import flush_file, make_folder
from ..files.store_use import store_use, use_stores
from ..files.write_errors import write_errors
from .dataset_index import DatasetIndex, grown, is_dataset, new_index, read_index, write_index
from .parts import ARRAYS, CHUNK, FORMAT, Part, ledger_path, part_of, read_blocks, read_ledger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KIND: Final = "frames"
"""What the attributes of the zarr group say that it is."""

_holding: dict[Path, ExitStack] = {}
"""Locks that this process holds, by folder."""


def hold(folder: Path) -> None:
    """Make the folder and hold its lock until :func:`let_go`; who has it meanwhile is waited for."""
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: expected a folder for the data set, found a file; name another")
    make_folder(folder)
    # an import has the lock as long as it takes: who does not join does not wait
    use = store_use()
    with ExitStack() as stack, use_stores(replace(use, wait=0.0) if use.in_use == "refuse" else use):
        stack.enter_context(locked(folder))
        _holding[folder] = stack.pop_all()


def let_go(folder: Path) -> None:
    """Give the lock back, where this process holds it."""
    if stack := _holding.pop(folder, None):
        stack.close()


def begin(folder: Path) -> DatasetIndex:
    """Make arrays for parts, or look at the data set that is there.

    Parameters
    ----------
    folder : Path
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
        remove_leftovers(folder, index)
    return index


def _begin(folder: Path) -> DatasetIndex:
    if (folder / "zarr.json").exists():
        group = zarr.open_group(folder, mode="r")
        if (found := group.attrs.get("hiertl_dist_kind")) != KIND or group.attrs.get("format") != FORMAT:
            what = f"{found} of format {group.attrs.get('format')}" if found else "another zarr group"
            raise StoreError(f"{folder}: expected a data set of format {FORMAT} or an empty folder, found {what}")
    else:
        others = [p for p in folder.iterdir() if not p.name.startswith(".lock") and p.suffix != ".partial"]
        if others:
            raise StoreError(
                f"{folder}: expected an empty folder or a data set, found other files, such as {others[0].name}"
            )
        zarr.create_group(folder, attributes={"hiertl_dist_kind": KIND, "format": FORMAT})
        flush_file(folder / "zarr.json")
    group = zarr.open_group(folder, mode="a")
    for name, (dtype, columns, fill) in ARRAYS.items():
        if name not in group:
            group.create_array(
                name, shape=(0, columns), chunks=(CHUNK[name.partition("/")[0]], columns), dtype=dtype,
                fill_value=fill, compressors=[Crc32cCodec()], config={"write_empty_chunks": True},
            )  # fmt: skip
            flush_file(folder / name / "zarr.json")
        ChunkedRows.open(folder / name)
    return read_index(folder) if is_dataset(folder) else new_index()


def remove_leftovers(folder: Path, index: DatasetIndex) -> int:
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
            places += [p for p in sorted(chunks.iterdir()) if p.name.isdecimal() and int(p.name) >= first]
    return sum(map(remove_partials, places))


def is_complete(folder: Path, part: Part, source: Mapping[str, Any]) -> bool:
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
    folder: Path, index: DatasetIndex, parts: Sequence[tuple[Part, Mapping[str, Any]]], added: Mapping[str, Any]
) -> DatasetIndex:
    """Let parts that are complete belong to the data set.

    Parameters
    ----------
    folder : Path
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
    before, index = index, grown(index, (_own_ledger(folder, part, source) for part, source in parts), added)
    group = zarr.open_group(folder, mode="a")
    last = index.parts[-1]
    for name, (_, columns, _) in ARRAYS.items():
        rows = {"frames": last.next_frames, "atoms": last.next_atoms}[name.partition("/")[0]]
        array = group[name]
        assert isinstance(array, zarr.Array)
        with write_errors(folder):
            array.resize((rows * CHUNK[name.partition("/")[0]], columns))
            flush_file(folder / name / "zarr.json")
    write_index(folder, index)
    remove_leftovers(folder, before)  # of workers that died and whose parts others have written since
    number = last.number + 1
    while (left := ledger_path(folder, number)).exists():  # of a longer import that was not finished
        left.unlink()
        number += 1
    return index


def _own_ledger(folder: Path, part: Part, source: Mapping[str, Any]) -> dict[str, Any]:
    ledger = read_ledger(folder, part.number)
    if part_of(ledger) != part or ledger["source"] != dict(source):
        raise StoreError(
            f"{ledger_path(folder, part.number)}: expected a part of this import, found one of another, which a worker "
            "that outlived its import wrote meanwhile: import again"
        )
    return ledger
