"""What is where in a design store, and what it is told apart by, for ``DesignStore`` and the modules around it.

Layout on disk::

    zarr.json            attributes: format, basis and its digest, policy, provenance of each assembly
    layout.json          which chunks each tile owns; names of the groups
    frames.sha256        32 bytes for each frame: the digest of what has that number in labels/frame
    blocks/CN/           float64 (rows, columns of the block), unweighted design rows
    labels/target/       float64 (rows, 1); labels/{kind,frame,atom,group}: int32 (rows, 1)
    offsets/<digest>/    float64 (rows, 1): what a frozen model predicts for each row
    ledger/<array>/<tile>.json   written last, atomically: rows and CRC32C of a complete tile

A tile owns whole chunks, so no two writers share one and there are no locks; rows that pad its last chunk stay
NaN (−1 in integer arrays). A missing chunk reads as NaN, so the ledger, not the array, says what is complete.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import zarr
from zarr.codecs import Crc32cCodec

from ..errors import StoreError
from ..files.paths import difference_lines, flush_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FORMAT: Final = 1
LABEL_ARRAYS: Final = ("target", "kind", "frame", "atom", "group")


@dataclass(frozen=True)
class TileSpec:
    """One tile of one array: its key (digest of its frames) and shape."""

    array: str
    key: str
    rows: int
    columns: int


@lru_cache(maxsize=8)
def _layout(path: Path, stamp: tuple[int, ...]) -> dict[str, Any]:
    """What is in ``layout.json``, which readers ask for with every tile, parsed once for each ``stamp`` of the file."""
    layout: dict[str, Any] = json.loads(path.read_text())
    return layout


def read_layout(path: Path) -> dict[str, Any]:
    """What is in a store's ``layout.json``, shared by all who ask; an empty layout where there is no file."""
    try:
        # opened, for only then does a network's file system ask whether the file is still the one it knows
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
    except FileNotFoundError:
        return {"groups": [], "arrays": {}}
    return _layout(path, (status.st_mtime_ns, status.st_size, status.st_ino))


def make_group(folder: Path, basis: dict[str, Any], basis_digest: str, policy: str) -> None:
    """Make a store of a folder that has nothing but what killed processes left. Needs the lock.

    Raises
    ------
    StoreError
        Something else is there.
    """
    ours = (".lock", ".claims")
    if other := [p for p in folder.iterdir() if not p.name.startswith(ours) and p.suffix != ".partial"]:
        raise StoreError(
            f"{folder}: expected an empty folder or a design store, found other files, such as {other[0].name}"
        )
    # in one write, so that a process that is killed leaves a store or none (or a .partial file of zarr's)
    attributes = {"hiertl_dist": FORMAT, "basis": basis, "basis_digest": basis_digest, "policy": policy}
    zarr.create_group(folder, attributes={**attributes, "provenance": []})
    flush_file(folder / "zarr.json")


def dtype_of(array: str) -> tuple[str, float]:
    """Type of an array's numbers, and what rows that nobody wrote hold."""
    integer = array.startswith("labels/") and array != "labels/target"
    return ("int32", -1) if integer else ("float64", float("nan"))


def plan_tile(layout: dict[str, Any], spec: TileSpec, chunk_rows: dict[str, int], path: Path) -> None:
    """Give a tile its chunks in the layout of the store at ``path``, unless it has some.

    Raises
    ------
    StoreError
        The array has another number of columns.
    """
    entry = layout["arrays"].setdefault(
        spec.array, {"chunk_rows": chunk_rows[spec.array], "columns": spec.columns, "slots": 0, "tiles": {}}
    )
    if entry["columns"] != spec.columns:
        raise StoreError(f"{path}/{spec.array}: it has {entry['columns']} columns, this assembly {spec.columns}")
    if spec.key not in entry["tiles"]:
        slots = -(-spec.rows // entry["chunk_rows"])
        entry["tiles"][spec.key] = [entry["slots"], slots, spec.rows]
        entry["slots"] += slots


def fit_array(group: zarr.Group, name: str, entry: dict[str, Any]) -> None:
    """Make or grow an array so that all chunks that its tiles own are in it."""
    dtype, fill = dtype_of(name)
    shape = (entry["slots"] * entry["chunk_rows"], entry["columns"])
    if name not in group:
        # dense random digits do not compress; the checksum is what a codec is wanted for
        group.create_array(
            name, shape=shape, chunks=(entry["chunk_rows"], entry["columns"]), dtype=dtype, fill_value=fill,
            compressors=[Crc32cCodec()], config={"write_empty_chunks": True},
        )  # fmt: skip
    else:
        array = group[name]
        assert isinstance(array, zarr.Array)
        if array.shape != shape:
            array.resize(shape)


def fit_arrays(
    group: zarr.Group, layout: dict[str, Any], specs: Iterable[TileSpec], chunk_rows: dict[str, int], path: Path
) -> None:
    """Give tiles their chunks in the layout of the store at ``path``, and make or grow the arrays that have them."""
    for spec in specs:
        plan_tile(layout, spec, chunk_rows, path)
    for name, entry in layout["arrays"].items():
        fit_array(group, name, entry)
        flush_file(path / name / "zarr.json")


def what_rows_depend_on(basis: dict[str, Any]) -> dict[str, Any]:
    """The table of a basis without what no row depends on: energies of free atoms that are given, and masses."""
    return {key: value for key, value in basis.items() if key not in ("energies", "masses")}


def differences(made_with: dict[str, Any], now: dict[str, Any]) -> str:
    """Where what rows were made with, ``{"basis", "basis_digest", "policy"}``, is another now: a line for each key."""
    if (made_with["basis_digest"], made_with["policy"]) == (now["basis_digest"], now["policy"]):
        return ""
    before, after = ({"basis": what_rows_depend_on(d["basis"]), "policy": d["policy"]} for d in (made_with, now))
    digests = ({"basis_digest": d["basis_digest"]} for d in (made_with, now))
    return difference_lines(before, after) or difference_lines(*digests)


def stores_in(path: Path) -> list[Path]:
    """The design stores right below a folder."""
    with suppress(OSError):
        return sorted(p.parent for p in path.glob("*/zarr.json") if not (path / "zarr.json").exists())
    return []


WAYS_ON: Final = (
    "go on with --fresh, which makes a new store and renames this one (move_aside of hiertl_dist.files.paths), or "
    "with another folder: below [store] path each basis has one that is named by its digest"
)

REPAIR: Final = "hiertl-dist assemble --verify (in Python assemble with verify=True) computes damaged tiles again"
