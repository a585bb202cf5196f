"""``layout.json`` of a design store: read, checked against itself, and written with a SHA-256 and a copy.

What it says is where chunks are and which of them belong to which tile, so nothing is done on the word of one that is
damaged. Layouts of format 1 have no SHA-256; they are checked as far as that goes, and the next assembly writes one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from ..errors import StoreError
from ..files.paths import stamp_of
from ..files.sealed import SEAL, copy_of, read_checked, repair_command, unsealed, write_sealed
from ..text.words import shown
from .store_layout import LABEL_ARRAYS

if TYPE_CHECKING:
    from ..files.object_path import Place

LAYOUT: Final = "layout.json"
LAYOUT_FORMAT: Final = 2

_KEYS: Final = {"format", "basis_digest", "policy", "groups", "frames_in_file", "arrays"}
_KEYS_BEFORE: Final = {"groups", "frames", "arrays"}
_ENTRY: Final = {"chunk_rows", "columns", "slots", "tiles"}
_BLOCK: Final = re.compile(r"[^/\\\0.][^/\\\0]*")
_DIGEST: Final = re.compile(r"[0-9a-f]{8,64}")
_MOST: Final = 2**53
"""Numbers of a layout are below: what JSON of any program keeps exactly."""


def read_layout(path: Place) -> dict[str, Any]:
    """What is in a store's ``layout.json``, shared by all who ask; an empty layout where the store has none yet.

    Raises
    ------
    StoreError
        The file is damaged or lost, or of a newer format.
    """
    try:
        stamp = stamp_of(path)
    except FileNotFoundError as error:
        if copy_of(path).exists() or next((path.parent / "ledger").glob("*/*.json"), None):
            raise StoreError(
                f"{path}: expected what says where the tiles of the store are, found no such file; {_way_on(path)}"
            ) from error
        return {"groups": [], "arrays": {}}
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error
    return _layout(path, stamp)


@lru_cache(maxsize=8)
def _layout(path: Place, stamp: tuple[int | str, ...]) -> dict[str, Any]:
    """What readers ask for with every tile, parsed once for each ``stamp`` of the file."""
    return checked_layout(path)


def checked_layout(path: Place) -> dict[str, Any]:
    """The layout of a file. Raises FileNotFoundError, and StoreError where it is not as it was written."""
    content = read_checked(path, _way_on(path))
    if SEAL in content or not content.keys() <= _KEYS_BEFORE:
        content = unsealed(content, path, _way_on(path))
        if content.get("format") != LAYOUT_FORMAT:
            raise StoreError(
                f"{path}: expected layout format {LAYOUT_FORMAT} or one before, found {shown(content.get('format'))}: "
                "a newer version of this package wrote it; use that one, or name another folder"
            )
    if fault := _fault(content):
        raise StoreError(f"{path}: {fault}; {_way_on(path)}")
    return content


def write_layout(path: Place, layout: dict[str, Any], attributes: dict[str, Any]) -> None:
    """Write a layout for the store of these attributes. The next reader parses it anew."""
    content = {key: value for key, value in layout.items() if key in _KEYS}
    made_with = {key: attributes[key] for key in ("basis_digest", "policy")}
    write_sealed(path, {"format": LAYOUT_FORMAT, **made_with, "frames_in_file": None, **content})


def require_layout_of(path: Place, layout: dict[str, Any], attributes: dict[str, Any]) -> None:
    """Raise StoreError where a layout is that of a store of another basis or policy: files were swapped."""
    for key in ("basis_digest", "policy"):
        if key in layout and layout[key] != attributes[key]:
            raise StoreError(
                f"{path}: expected {key} {shown(attributes[key])}, as zarr.json beside it has it, found "
                f"{shown(layout[key])}: one of the two is of another store; {_way_on(path)}"
            )


def knows_ledger(path: Place) -> bool:
    """Whether a layout has each tile that the ledger of its store says is complete."""
    arrays = {name.replace("/", "."): entry["tiles"] for name, entry in checked_layout(path).get("arrays", {}).items()}
    return all(p.stem in arrays.get(p.parent.name, {}) for p in (path.parent / "ledger").glob("*/*.json"))


def require_own_layout(path: Place) -> None:
    """Raise StoreError where a layout that differs from its copy is of another store: files were swapped."""
    copy = copy_of(path)
    if copy.exists() and path.exists() and copy.read_bytes() != path.read_bytes() and not knows_ledger(path):
        raise StoreError(f"{path}: it lacks tiles that the ledger of the store has; {_way_on(path)}")


def _way_on(path: Place) -> str:
    return repair_command(path.parent)


def _fault(content: dict[str, Any]) -> str:
    """What is wrong with a layout; nothing if it fits to itself."""
    groups, arrays = content.get("groups"), content.get("arrays")
    if not isinstance(groups, list) or not all(isinstance(g, str) for g in groups):
        return f"groups: expected a list of names, found {shown(groups)}"
    if not isinstance(arrays, dict):
        return f"arrays: expected a table, found {shown(arrays)}"
    frames = content.get("frames_in_file")
    if frames is not None and not (
        isinstance(frames, dict) and _is_number(frames.get("count")) and isinstance(frames.get("sha256"), str)
    ):
        return f"frames_in_file: expected count and sha256, found {shown(frames)}"
    listed = content.get("frames") or []
    if not isinstance(listed, list) or not all(isinstance(f, str) and re.fullmatch("[0-9a-f]{64}", f) for f in listed):
        return "frames: expected a list of digests"
    return next(
        (f"arrays: {shown(name)}: {fault}" for name, entry in arrays.items() if (fault := _array_fault(name, entry))),
        "",
    )


def _array_fault(name: str, entry: Any) -> str:
    if not _is_known(name):
        return "expected blocks/NAME, labels/NAME or offsets/DIGEST"
    if not isinstance(entry, dict) or entry.keys() != _ENTRY or not isinstance(entry["tiles"], dict):
        return f"expected {', '.join(sorted(_ENTRY))}, found {shown(entry)}"
    rows, columns, slots = entry["chunk_rows"], entry["columns"], entry["slots"]
    if not (_is_number(rows, 1) and _is_number(columns, 0) and _is_number(slots)):
        return f"expected numbers of rows, columns and chunks, found {shown([rows, columns, slots])}"
    if name.partition("/")[0] != "blocks" and columns != 1:
        return f"expected one column, found {columns}"
    taken = []
    for key, place in entry["tiles"].items():
        if not (isinstance(place, list) and len(place) == 3 and all(map(_is_number, place))):
            return f"tile {shown(key)}: expected first chunk, chunks and rows, found {shown(place)}"
        first, count, own = place
        if "/" in key or "\\" in key or key.startswith(".") or count != -(-own // rows):
            return f"tile {shown(key)}: expected {-(-own // rows)} chunks for {own} rows, found {count}"
        taken.append((first, first + count))
    taken.sort()
    ends = [0, *(end for _, end in taken)]
    if [start for start, _ in taken] != ends[:-1] or ends[-1] != slots:
        return f"expected tiles that share no chunk and have all {slots} of them"
    return ""


def _is_known(name: str) -> bool:
    kind, _, own = name.partition("/")
    if kind == "labels":
        return own in LABEL_ARRAYS
    if kind == "offsets":
        return _DIGEST.fullmatch(own) is not None
    return kind == "blocks" and _BLOCK.fullmatch(own) is not None


def _is_number(value: Any, least: int = 0) -> bool:
    return type(value) is int and least <= value < _MOST
