"""``zarr.json`` of groups and arrays: written as zarr writes it, read without zarr, and written again where damaged.

What an array is follows from elsewhere (the layout of a design store, constants of a data set), so its ``zarr.json``
is for those who read with zarr. No chunk is deleted here: zarr's ``resize`` deletes those beyond a new shape.
"""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from ..errors import StoreError
from .chunks import ChunkedRows
from .paths import replacing
from .sealed import read_checked

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer

    from .object_path import Place

META: Final = "zarr.json"

_log = logging.getLogger("hiertl_dist")


@lru_cache(maxsize=256)
def _array_text(shape: tuple[int, int], rows: int, dtype: str, fill: str) -> bytes:
    # it takes long to load, and what only reads stores, or has none, does without
    import zarr
    from zarr.codecs import Crc32cCodec
    from zarr.storage import MemoryStore

    files: dict[str, Buffer] = {}
    # dense random digits do not compress; the checksum is what a codec is wanted for
    zarr.create_array(
        MemoryStore(files), shape=shape, chunks=(rows, shape[1]), dtype=dtype,
        fill_value=float(fill) if dtype.startswith("float") else int(fill),
        compressors=[Crc32cCodec()], config={"write_empty_chunks": True},
    )  # fmt: skip
    return files[META].to_bytes()


def array_text(chunks: ChunkedRows, n_chunks: int) -> bytes:
    """``zarr.json`` of an array of so many chunks, as zarr has it."""
    # the fill value as a text, for a NaN is no key that is met again
    fill = repr(float(chunks.fill)) if chunks.dtype.kind == "f" else str(int(chunks.fill))
    return _array_text((n_chunks * chunks.rows, chunks.columns), chunks.rows, chunks.dtype.name, fill)


def group_text(attributes: dict[str, Any] | None = None) -> bytes:
    """``zarr.json`` of a group."""
    return json.dumps({"attributes": attributes or {}, "zarr_format": 3, "node_type": "group"}).encode()


def read_attributes(path: Place, way_on: str) -> dict[str, Any]:
    """The attributes of a group's ``zarr.json``. Raises FileNotFoundError, and StoreError that ends with what to do."""
    content = read_checked(path, way_on)
    attributes = content.get("attributes", {})
    if content.get("zarr_format") != 3 or content.get("node_type") != "group" or not isinstance(attributes, dict):
        raise StoreError(f"{path}: expected a zarr group of format 3 with attributes, found another object; {way_on}")
    return attributes


def array_fault(chunks: ChunkedRows, n_chunks: int | None = None) -> str:
    """What is wrong with the ``zarr.json`` of an array of so many chunks, or of any number; nothing if it is right."""
    path = chunks.folder / META
    try:
        stored = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        return f"cannot be read: {error}"
    wanted = json.loads(array_text(chunks, n_chunks or 0))
    if stored == wanted:
        return ""
    try:
        own = ChunkedRows.open(chunks.folder)
        shape = tuple(stored["shape"])
        whole = stored["node_type"] == "array" and stored["zarr_format"] == 3 and stored.keys() >= wanted.keys()
    except (StoreError, KeyError, TypeError) as error:
        return f"expected the array of the layout: {error}"
    same = (own.rows, own.columns, own.dtype, repr(own.fill)) == (
        chunks.rows, chunks.columns, chunks.dtype, repr(float(chunks.fill))
    )  # fmt: skip
    if not same or not whole:
        return "expected the array of the layout, found another"
    if n_chunks is None or shape == (n_chunks * chunks.rows, chunks.columns):
        return ""
    return f"expected {n_chunks} chunks of {chunks.rows} rows, found the shape {list(shape)}"


def group_fault(path: Place) -> str:
    """What is wrong with the ``zarr.json`` of a group without attributes; nothing if it is one."""
    try:
        stored = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        return f"cannot be read: {error}"
    same = isinstance(stored, dict) and stored.get("zarr_format") == 3 and stored.get("node_type") == "group"
    return "" if same and stored.get("attributes") == {} else "expected a zarr group, found another object"


def write_array(chunks: ChunkedRows, n_chunks: int) -> None:
    """Write ``zarr.json`` of an array."""
    with replacing(chunks.folder / META) as stream:
        stream.write(array_text(chunks, n_chunks))


def write_group(path: Place) -> None:
    """Write ``zarr.json`` of a group without attributes."""
    with replacing(path) as stream:
        stream.write(group_text())


def fit_array(root: Place, chunks: ChunkedRows, n_chunks: int) -> None:
    """Make ``zarr.json`` of an array, and of the groups above it, say what chunks there are.

    What was of something else was damaged, which is logged.

    Parameters
    ----------
    root : Path or ObjectPath
        The folder of the store.
    chunks : ChunkedRows
        What the array's chunks are.
    n_chunks : int
        How many there are now.
    """
    for path in (folder / META for folder in chunks.folder.parents if root in folder.parents):
        if fault := group_fault(path):
            if path.exists():
                _log.warning("%s: %s; it is written again", path, fault)
            write_group(path)
    path = chunks.folder / META
    if path.exists() and (fault := array_fault(chunks)):
        _log.warning("%s: %s; it is written again", path, fault)
    if array_fault(chunks, n_chunks):
        write_array(chunks, n_chunks)
