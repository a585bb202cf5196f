"""What is where in a design store, and what it is told apart by, for ``DesignStore`` and the modules around it.

Layout on disk::

    zarr.json            attributes: format, basis and its digest, policy, provenance of each assembly, their SHA-256
    layout.json          which chunks each tile owns; names of the groups; number and SHA-256 of the frames; its SHA-256
    frames.sha256        32 bytes for each frame: the digest of what has that number in labels/frame
    *.copy               of zarr.json and layout.json: what ``hiertl-dist store repair`` goes back to
    blocks/CN/           float64 (rows, columns of the block), unweighted design rows
    labels/target/       float64 (rows, 1); labels/{kind,frame,atom,group}: int32 (rows, 1)
    offsets/<digest>/    float64 (rows, 1): what a frozen model predicts for each row
    ledger/<array>/<tile>.json   written last, atomically: whose it is, rows and CRC32C of a complete tile

A tile owns whole chunks, so no two writers share one: who computes it has claimed it (``store_claims.py``), and there
are no other locks. Rows that pad its last chunk stay NaN (−1 in integer arrays). A missing chunk reads as NaN, so the
ledger, not the array, says what is complete.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..errors import StoreError
from ..files.paths import difference_lines

if TYPE_CHECKING:
    from ..files.object_path import Place

FORMAT: Final = 2
"""The newest format, which is written; format 1, whose layout has no SHA-256, is read, and becomes 2 when it grows."""

LABEL_ARRAYS: Final = ("target", "kind", "frame", "atom", "group")


@dataclass(frozen=True)
class TileSpec:
    """One tile of one array: its key (digest of its frames) and shape."""

    array: str
    key: str
    rows: int
    columns: int


def dtype_of(array: str) -> tuple[str, float]:
    """Type of an array's numbers, and what rows that nobody wrote hold."""
    integer = array.startswith("labels/") and array != "labels/target"
    return ("int32", -1) if integer else ("float64", float("nan"))


def plan_tile(layout: dict[str, Any], spec: TileSpec, chunk_rows: dict[str, int], path: Place) -> None:
    """Give a tile its chunks in the layout of the store at ``path``, unless it has some.

    Raises
    ------
    StoreError
        The array has another number of columns, or the tile of rows.
    """
    entry = layout["arrays"].setdefault(
        spec.array, {"chunk_rows": chunk_rows[spec.array], "columns": spec.columns, "slots": 0, "tiles": {}}
    )
    if entry["columns"] != spec.columns:
        raise StoreError(f"{path}/{spec.array}: it has {entry['columns']} columns, this assembly {spec.columns}")
    if spec.key in entry["tiles"] and entry["tiles"][spec.key][2] != spec.rows:
        raise StoreError(
            f"{path}/{spec.array}: tile {spec.key[:12]} has {entry['tiles'][spec.key][2]} rows, this assembly "
            f"{spec.rows}; {WAYS_ON}"
        )
    if spec.key not in entry["tiles"]:
        slots = -(-spec.rows // entry["chunk_rows"])
        entry["tiles"][spec.key] = [entry["slots"], slots, spec.rows]
        entry["slots"] += slots


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


def stores_in(path: Place) -> list[Place]:
    """The design stores right below a folder."""
    with suppress(OSError):
        return sorted({p.parent for p in path.glob("*/zarr.json") if not is_store_folder(path)})
    return []


def is_store_folder(path: Place) -> bool:
    """Whether a folder has a design store, be it one that has lost a file."""
    return any((path / name).exists() for name in ("zarr.json", "layout.json"))


WAYS_ON: Final = (
    "go on with --fresh, which makes a new store and renames this one (move_aside of hiertl_dist.files.paths), or "
    "with another folder: below [store] path each basis has one that is named by its digest"
)

REPAIR: Final = (
    "hiertl-dist assemble --verify (in Python assemble with verify=True) computes damaged tiles again; "
    "'hiertl-dist store check' says what else is damaged"
)
