"""Whether every file of a data set is as it was written; what mends it, and what nobody needs of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import StoreError
from ..files.chunks import chunk_fault, writing
from ..files.faults import Fault, kept_twice, mended, quarantined, unfinished
from ..files.locks import locked
from ..files.object_path import in_order
from ..files.sealed import copy_of
from ..files.zarr_files import META, array_fault, group_fault, write_array, write_group
from ..text.words import count_text
from .dataset_index import INDEX, checked_index, has_ledgers, is_dataset, ledgers_of
from .folder import n_chunks, require_ours, write_description
from .parts import AGAIN, ARRAYS, BLOCK, FORMAT, chunks_of, ledger_path, part_of, read_blocks, read_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..files.object_path import Place
    from .dataset_index import DatasetIndex
    from .parts import Part


def dataset_faults(folder: Place) -> Iterator[Fault]:
    """Read everything of a data set.

    Parameters
    ----------
    folder : Path or ObjectPath
        The data set, or what an import that was not finished has left, of which only what says what it is is looked at:
        the import looks at the rest.

    Yields
    ------
    Fault
        Of one file.
    """
    try:
        require_ours(folder)
    except (StoreError, OSError) as error:
        yield Fault(folder / META, _plain(error), "it is written again", partial(write_description, folder))
    if not is_dataset(folder):
        return
    main = [
        *kept_twice(
            folder / INDEX,
            checked_index,
            "import the data into another folder",
            has_ledgers,
            always=False,
            parts=ledgers_of,
        )
    ]
    yield from main
    if any(fault.file == folder / INDEX for fault in main):
        return
    index = checked_index(folder / INDEX)
    remedy = "it is written again, as the index has it"
    for path in sorted({(folder / array).parent / META for array in ARRAYS}):
        if fault := group_fault(path):
            yield Fault(path, fault, remedy, partial(write_group, path))
    for array in ARRAYS:
        chunks = chunks_of(folder, array)
        if fault := array_fault(chunks, n_chunks(index, array)):
            yield Fault(chunks.folder / META, fault, remedy, partial(write_array, chunks, n_chunks(index, array)))
    for number, part in enumerate(index.parts):
        yield from _part_faults(folder, index, number, part)


def _part_faults(folder: Place, index: DatasetIndex, place: int, part: Part) -> Iterator[Fault]:
    remedy, mend = _ways_on(folder, index, part)
    try:
        ledger = read_ledger(folder, part.number, index.ledgers[place])
    except StoreError as error:
        yield Fault(ledger_path(folder, part.number), _plain(error), remedy, mend)
        return
    for array, crcs in ledger["crc32c"].items():
        chunks, step = chunks_of(folder, array), BLOCK[array.partition("/")[0]]
        for block in range(len(crcs)):
            try:
                read_blocks(folder, part, array, np.array([block]), ledger["crc32c"])
            except StoreError as error:
                file = chunks.path(part.first(array) + block * step // chunks.rows)
                yield Fault(file, _plain(error), remedy, mend)
                break
        else:
            again = partial(_write_again, folder, part, array, ledger["crc32c"])
            for number in range(part.first(array), part.first(array) - (-part.rows(array) // chunks.rows)):
                if fault := chunk_fault(chunks, number):
                    way = "its frames are whole; what pads them is written again"
                    yield Fault(chunks.path(number), fault, way, again)


def _plain(error: Exception) -> str:
    return str(error).split(f"; {AGAIN}")[0].split("; 'hiertl-dist")[0]


def _write_again(folder: Place, part: Part, array: str, crcs: Mapping[str, list[int]]) -> None:
    """Write the chunks of a part whose rows are whole."""
    rows = read_blocks(folder, part, array, np.arange(len(crcs[array])), crcs)
    name = f"{folder}/{array}, part {part.number}"
    with writing(chunks_of(folder, array), part.first(array), len(rows), name, finite=False) as tile:
        tile.append(rows)


def _ways_on(folder: Place, index: DatasetIndex, part: Part) -> tuple[str, Any]:
    """What can be done about a damaged part, and what does it: nothing unless all that was imported is there still."""
    changed = [reason for done in index.imports for source in done["sources"] for reason in _changed(source)]
    frames = f"its {count_text(part.frames, 'frame')}"
    if changed:
        return f"{frames} can't be read again: {changed[0]}; copy the file back, or import into another folder", None
    files = ", ".join(dict.fromkeys(index.files))
    times = "the same import" if len(index.imports) == 1 else f"the same {len(index.imports)} imports, in their order,"
    return (
        f"{frames} have to be read again: the data set becomes an import that was not finished, and {times} of {files} "
        "makes it whole, reading only what is not there",
        partial(_take_out, folder, part),
    )


def _changed(source: Mapping[str, Any]) -> Iterator[str]:
    """Why a source can't be imported again as it was."""
    if "files" not in source:
        yield "frames were made in Python"
    for file in source.get("files", ()):
        try:
            status = Path(file["file"]).stat()
        except OSError:
            yield f"{file['file']} is not there any more"
        else:
            if (status.st_size, status.st_mtime_ns) != (file["size"], file["mtime_ns"]):
                yield f"{file['file']} has changed since"


def _take_out(folder: Place, part: Part) -> None:
    for path in (folder / INDEX, copy_of(folder / INDEX), ledger_path(folder, part.number)):
        if path.exists():
            quarantined(path, folder)


def repair_dataset(folder: Place) -> tuple[list[Fault], list[Fault]]:
    """Mend what can be mended of a data set; what that was, and what is left. Takes its lock."""
    with locked(folder):
        return mended(partial(dataset_faults, folder))


def dataset_leftovers(folder: Place) -> Iterator[tuple[Place, str]]:
    """Files of a data set that nobody needs, with the reason. Raises StoreError where its index is damaged."""
    parts = {part.number: part for part in checked_index(folder / INDEX).parts} if is_dataset(folder) else {}
    yield from unfinished(folder)
    for path in in_order((folder / "ledger").glob("*.json")):
        if path.stem.isdecimal() and int(path.stem) not in parts:  # of an import that may be gone on with
            parts[int(path.stem)] = part_of(read_ledger(folder, int(path.stem)))
    needed = {
        chunks_of(folder, array).path(number)
        for array in ARRAYS for part in parts.values()
        for number in range(part.first(array), part.first(array) - (-part.rows(array) // chunks_of(folder, array).rows))
    }  # fmt: skip
    for array in ARRAYS:
        for path in in_order((folder / array).glob("c/*/0")):
            if path not in needed:
                yield path, "a chunk of no complete part"


def dataset_facts(folder: Place) -> dict[str, Any]:
    """What a data set has, for JSON. Raises StoreError where it is damaged."""
    require_ours(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if not is_dataset(folder):
        ledgers = len(list((folder / "ledger").glob("*.json")))
        return {"kind": "data set that was not finished", "format": FORMAT, "parts": ledgers, "bytes": size}
    index = checked_index(folder / INDEX)
    return {
        "kind": "data set", "format": FORMAT, "id": index.id, "frames": index.frames, "atoms": index.atoms,
        "parts": len(index.parts), "groups": list(index.groups), "imports": len(index.imports), "files": index.files,
        "bytes": size,
    }  # fmt: skip
