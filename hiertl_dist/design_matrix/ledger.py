"""The ledger of a design store: a file for each complete tile, which says whose it is and the CRC32C of its rows.

Entries of format 1 have rows and CRC32C alone, so that two of them could be swapped; the CRC32C tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import IncompleteStoreError, StoreError
from ..files.chunks import ChunkedRows
from ..files.json_files import read_object, write_json
from ..files.places import each_read
from ..text.words import shown
from .store_layout import REPAIR, dtype_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..files.object_path import Place

LEDGER: Final = "ledger"
LEDGER_FORMAT: Final = 2


@dataclass(frozen=True)
class TilePlace:
    """Where a tile of a store is.

    Attributes
    ----------
    chunks : ChunkedRows
        The chunks of its array.
    first : int
        The number of its first chunk.
    rows : int
        How many it has.
    array, key : str
        Name of the array and key of the tile.
    ledger : Place
        The file that is there once the tile is complete.
    """

    chunks: ChunkedRows
    first: int
    rows: int
    array: str
    key: str
    ledger: Place

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.chunks.folder}, tile {self.key[:12]}"

    @property
    def _identity(self) -> dict[str, Any]:
        return {
            "format": LEDGER_FORMAT, "array": self.array, "key": self.key, "first_chunk": self.first, "rows": self.rows,
        }  # fmt: skip

    def complete(self, crc: int) -> None:
        """Write that the tile is complete, and the CRC32C of its rows."""
        write_json(self.ledger, {**self._identity, "crc32c": crc})

    def crc(self) -> int:
        """The CRC32C of the rows, as it was written. Raises FileNotFoundError, and StoreError where it is damaged."""
        try:
            content = read_object(self.ledger)
        except StoreError as error:
            raise StoreError(f"{self.name}: {error}; {REPAIR}") from error
        crc = content.pop("crc32c", None)
        if content not in (self._identity, {"rows": self.rows}):
            raise StoreError(
                f"{self.name}: {self.ledger}: expected {shown(self._identity, 200)}, found {shown(content, 200)}; "
                f"{REPAIR}"
            )
        if type(crc) is not int:
            raise StoreError(f"{self.name}: {self.ledger}: expected a CRC32C, found {shown(crc)}; {REPAIR}")
        return crc


def ledger_file(store: Place, array: str, key: str) -> Place:
    """Where it is noted that a tile is complete."""
    return store / LEDGER / array.replace("/", ".") / f"{key}.json"


def complete_keys(store: Place, array: str) -> set[str]:
    """Keys of the tiles of an array that are complete, by one list of its ledger."""
    folder = store / LEDGER / array.replace("/", ".")
    try:
        return {path.stem for path in folder.iterdir() if path.suffix == ".json"}
    except FileNotFoundError:
        return set()


def are_complete(store: Place, tiles: Sequence[tuple[str, str]]) -> list[bool]:
    """Whether each of some tiles, by array and key, has a ledger entry."""
    if isinstance(store, Path):
        return [ledger_file(store, *tile).exists() for tile in tiles]
    complete = {array: complete_keys(store, array) for array in dict.fromkeys(array for array, _ in tiles)}
    return [key in complete[array] for array, key in tiles]


def entries_read(store: Place, layout: dict[str, Any], tiles: Sequence[tuple[str, str]]) -> Iterator[bool]:
    """Whether each of some tiles, by array and key, has a ledger entry that is as it was written."""
    if isinstance(store, Path):
        yield from (_is_whole(store, layout, *tile) for tile in tiles)
        return
    complete = are_complete(store, tiles)
    pairs = zip(tiles, complete, strict=True)
    yield from each_read(store, lambda pair: pair[1] and _is_whole(store, layout, *pair[0]), pairs)


def _is_whole(store: Place, layout: dict[str, Any], array: str, key: str) -> bool:
    try:
        place_of(store, layout, array, key).crc()
    except (FileNotFoundError, IncompleteStoreError, StoreError):
        return False
    return True


def chunks_of(store: Place, array: str, entry: dict[str, Any]) -> ChunkedRows:
    """The chunks of an array, by its entry in the layout."""
    dtype, fill = dtype_of(array)
    return ChunkedRows(store / array, entry["chunk_rows"], entry["columns"], np.dtype(dtype).newbyteorder("<"), fill)


def place_of(store: Place, layout: dict[str, Any], array: str, key: str) -> TilePlace:
    """Where a tile is, by the layout. Raises IncompleteStoreError where it was never planned."""
    entry = layout["arrays"].get(array, {})
    if key not in entry.get("tiles", {}):
        raise IncompleteStoreError(f"{store}/{array}: no tile {key[:12]} was ever planned")
    first, _, rows = entry["tiles"][key]
    return TilePlace(chunks_of(store, array, entry), first, rows, array, key, ledger_file(store, array, key))
