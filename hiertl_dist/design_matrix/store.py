"""``DesignStore``: tiles of design matrices in one zarr group, with a ledger of what is complete.

Layout on disk::

    zarr.json            attributes: format, basis and its digest, policy, provenance of each assembly
    layout.json          which chunks each tile owns; digests of the frames; names of the groups
    blocks/CN/           float64 (rows, columns of the block), unweighted design rows
    labels/target/       float64 (rows, 1); labels/{kind,frame,atom,group}: int32 (rows, 1)
    offsets/<digest>/    float64 (rows, 1): what a frozen model predicts for each row
    ledger/<array>/<tile>.json   written last, atomically: rows and CRC32C of a complete tile

A tile owns whole chunks, so no two writers share one and there are no locks; rows that pad its last chunk stay
NaN (−1 in integer arrays). A missing chunk reads as NaN, so the ledger, not the array, says what is complete.
zarr makes and grows the arrays; their chunks are written and read by :mod:`hiertl_dist.design_matrix.chunks`.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from ..errors import IncompleteStoreError, StoreError
from ..files.json_files import write_json
from ..files.locks import locked
from ..files.paths import difference_lines, local_path
from ..text.display import Shown
from .chunks import ChunkedRows, expect, read_tile, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

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
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _dtype(array: str) -> tuple[str, float]:
    integer = array.startswith("labels/") and array != "labels/target"
    return ("int32", -1) if integer else ("float64", float("nan"))


@dataclass(frozen=True, repr=False)
class DesignStore(Shown):
    """A design store on disk; see the module's text for its layout.

    Attributes
    ----------
    path : Path
        Folder of the zarr group.
    """

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> DesignStore:
        """Open an existing store.

        Parameters
        ----------
        path : str or Path
            Folder of the zarr group.

        Returns
        -------
        DesignStore

        Raises
        ------
        StoreError
            There is none, or of another format.
        """
        store = cls(local_path(path, "design store"))
        if not (store.path / "zarr.json").exists() or "hiertl_dist" not in (attributes := store.attributes):
            below = ", ".join(p.name for p in stores_in(store.path))
            found = f"a folder of such: {below}" if below else "none"
            raise StoreError(f"{path}: expected a design store, found {found}")
        if attributes["hiertl_dist"] != FORMAT:
            raise StoreError(f"{path}: expected store format {FORMAT}, found {attributes['hiertl_dist']}")
        return store

    @classmethod
    def create(cls, path: str | Path, basis: dict[str, Any], basis_digest: str, policy: str) -> DesignStore:
        """Create a store, or open the one that is there if it was made with the same basis and policy.

        Raises
        ------
        StoreError
            Something else is there; with another basis, every key that differs is named with both values.
        """
        folder = local_path(path, "design store")
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            if (folder / "zarr.json").exists():
                store = cls.open(folder)
            elif other := [p for p in folder.iterdir() if not p.name.startswith(".lock") and p.suffix != ".partial"]:
                raise StoreError(
                    f"{path}: expected an empty folder or a design store, found other files, such as {other[0].name}"
                )
            else:
                # in one write, so that a process that is killed leaves a store or none (or a .partial file of zarr's)
                store = cls(folder)
                zarr.create_group(
                    folder,
                    attributes={"hiertl_dist": FORMAT, "basis": basis, "basis_digest": basis_digest, "policy": policy,
                                "provenance": []},
                )  # fmt: skip
        store.require_made_with(basis, basis_digest, policy)
        return store

    def require_made_with(self, basis: dict[str, Any], basis_digest: str, policy: str) -> None:
        """Raise StoreError unless the rows were made with this basis and policy: every key that differs is named."""
        if lines := self.differs_from(basis, basis_digest, policy):
            raise StoreError(f"{self.path}: the store was made with another basis or policy{lines}\n{_WAYS_ON}")

    def differs_from(self, basis: dict[str, Any], basis_digest: str, policy: str) -> str:
        """In what the rows' basis and policy differ from these, a line for each key; nothing if in nothing."""
        found = self.attributes
        if (found["basis_digest"], found["policy"]) == (basis_digest, policy):
            return ""
        now = {"basis": what_rows_depend_on(basis), "policy": policy}
        found["basis"] = what_rows_depend_on(found["basis"])
        digests = ("basis_digest", found["basis_digest"], basis_digest)
        return difference_lines({k: found[k] for k in now}, now) or difference_lines({digests[0]: digests[1]}, {
            digests[0]: digests[2]})  # fmt: skip

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(zarr.open_group(self.path, mode="r").attrs)

    def layout(self) -> dict[str, Any]:
        """``{"frames": [...], "groups": [...], "arrays": {name: {"chunk_rows", "slots", "tiles", …}}}``, shared."""
        path = self.path / "layout.json"
        try:
            # opened, for only then does a network's file system ask whether the file is still the one it knows
            with path.open("rb") as stream:
                status = os.fstat(stream.fileno())
        except FileNotFoundError:
            return {"frames": [], "groups": [], "arrays": {}}
        return _layout(path, (status.st_mtime_ns, status.st_size, status.st_ino))

    def prepare(
        self,
        specs: Sequence[TileSpec],
        chunk_rows: dict[str, int],
        *,
        frames: Sequence[str] = (),
        groups: Sequence[str] = (),
        provenance: dict[str, Any] | None = None,
    ) -> None:
        """Give every tile its chunks, creating and growing arrays. To be called by one process at a time.

        Parameters
        ----------
        specs : the tiles that will be written; those that have chunks keep them.
        chunk_rows : rows of a chunk, for arrays that do not exist yet.
        frames, groups : digests and names to be numbered; what is there keeps its number.
        provenance : appended to the store's history.
        """
        with locked(self.path):
            layout = deepcopy(self.layout())
            for key, new in (("frames", frames), ("groups", groups)):
                layout[key] = list(dict.fromkeys([*layout[key], *new]))
            group = zarr.open_group(self.path, mode="a")
            for spec in specs:
                entry = layout["arrays"].setdefault(
                    spec.array, {"chunk_rows": chunk_rows[spec.array], "columns": spec.columns, "slots": 0, "tiles": {}}
                )
                if entry["columns"] != spec.columns:
                    raise StoreError(
                        f"{self.path}/{spec.array}: it has {entry['columns']} columns, this assembly {spec.columns}"
                    )
                if spec.key not in entry["tiles"]:
                    slots = -(-spec.rows // entry["chunk_rows"])
                    entry["tiles"][spec.key] = [entry["slots"], slots, spec.rows]
                    entry["slots"] += slots
            for name, entry in layout["arrays"].items():
                self._fit_array(group, name, entry)
            if provenance is not None:
                group.attrs["provenance"] = [*group.attrs["provenance"], provenance]  # type: ignore[misc]
            write_json(self.path / "layout.json", layout)

    @staticmethod
    def _fit_array(group: zarr.Group, name: str, entry: dict[str, Any]) -> None:
        dtype, fill = _dtype(name)
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

    def ledger_path(self, array: str, key: str) -> Path:
        return self.path / "ledger" / array.replace("/", ".") / f"{key}.json"

    def missing(self, specs: Iterable[TileSpec], *, verify: bool = False) -> list[TileSpec]:
        """The tiles that are not complete. With ``verify`` complete ones are read and their checksums compared."""
        absent = []
        for spec in specs:
            path = self.ledger_path(spec.array, spec.key)
            if not path.exists():
                absent.append(spec)
            elif verify:
                try:
                    self.read(spec.array, spec.key)
                except StoreError:
                    absent.append(spec)
        return absent

    def _place(self, array: str, key: str, layout: dict[str, Any] | None) -> tuple[ChunkedRows, int, int]:
        """The array's chunks, the number of the tile's first one, and the tile's rows."""
        entry = (layout or self.layout())["arrays"].get(array, {})
        if key not in entry.get("tiles", {}):
            raise IncompleteStoreError(f"{self.path}/{array}: no tile {key[:12]} was ever planned")
        slot, _, rows = entry["tiles"][key]
        return ChunkedRows.open(self.path / array), slot, rows

    def write(
        self,
        array: str,
        key: str,
        data: NDArray[Any] | Iterable[NDArray[Any]],
        layout: dict[str, Any] | None = None,
    ) -> None:
        """Write a tile and then its ledger entry. Safe from many processes at once.

        Parameters
        ----------
        data : (rows, columns); or parts of it in order, (some rows, columns) each, of which one is checked and written
            in a thread while the next is being made, in another place than the last.

        Raises
        ------
        StoreError
            The data's shape is not the planned one, some of it is not finite, or of a type that would be cut.
        """
        chunks, first, rows = self._place(array, key, layout)
        with writing(chunks, first, rows, f"{self.path}/{array}, tile {key[:12]}") as tile:
            if isinstance(data, np.ndarray):
                tile.append(data)
            else:
                with ThreadPoolExecutor(1, "write rows") as thread:
                    written = None
                    for part in data:
                        if written is not None:
                            written.result()
                        written = thread.submit(tile.append, part)
                    if written is not None:
                        written.result()
        write_json(self.ledger_path(array, key), {"rows": rows, "crc32c": tile.crc})

    def read(
        self, array: str, key: str, layout: dict[str, Any] | None = None, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """A complete tile, its checksum verified.

        Parameters
        ----------
        array, key : str
            Name of the array, such as ``"blocks/CN"``; key of the tile, see :meth:`keys`.
        layout : dict, optional
            What :meth:`layout` gave; default: it is read.
        out : ndarray of shape (rows, columns), optional
            Where to, of the array's type, of any strides; default: a new array.

        Returns
        -------
        ndarray of shape (rows, columns)

        Raises
        ------
        IncompleteStoreError, StoreError, ValueError
            The tile was never written; what is on disk is not what was written; ``out`` has another shape or type.
        """
        chunks, first, rows = self._place(array, key, layout)
        name = f"{self.path}/{array}, tile {key[:12]}"
        path = self.ledger_path(array, key)
        if not path.exists():
            raise IncompleteStoreError(f"{self.path}/{array}: tile {key[:12]} is not complete; run assemble again")
        if out is None:
            out = np.empty((rows, chunks.columns), chunks.dtype)
        elif out.shape != (rows, chunks.columns) or out.dtype != chunks.dtype:
            raise ValueError(
                f"{name}: expected an array of {(rows, chunks.columns)}, {chunks.dtype}, to read into, "
                f"got {out.shape}, {out.dtype}"
            )
        try:
            expected = int(json.loads(path.read_text())["crc32c"])
        except (ValueError, KeyError, OSError) as error:
            raise StoreError(f"{name}: cannot be read: {error}; {_REPAIR}") from error
        try:
            found = f"{read_tile(chunks, first, out):08x}"
        except FileNotFoundError as error:
            found = f"no file {error.filename}"
        except (ValueError, OSError) as error:
            raise StoreError(f"{name}: cannot be read: {error}; {_REPAIR}") from error
        if found != f"{expected:08x}":
            raise StoreError(f"{name}: expected CRC32C {expected:08x}, found {found}; {_REPAIR}")
        return out

    def read_ahead(self, places: Iterable[tuple[str, str]]) -> Iterator[NDArray[Any]]:
        """Complete tiles, one by one in the order of (array, key); meanwhile the system fetches the next from disk.
        Errors of :meth:`read` are raised in the turn of the tile that has them."""
        # no thread: scipy's BLAS and LAPACK, which the tiles are read for, hold the interpreter's lock
        before: tuple[str, str] | None = None
        for place in places:
            with suppress(IncompleteStoreError, StoreError):
                expect(*self._place(*place, None))
            if before is not None:
                yield self.read(*before)
            before = place
        if before is not None:
            yield self.read(*before)

    def keys(self, array: str) -> list[str]:
        """Keys of the complete tiles of an array, in the order in which they got their chunks."""
        tiles = self.layout()["arrays"].get(array, {}).get("tiles", {})
        return [key for key in tiles if self.ledger_path(array, key).exists()]

    def nbytes(self) -> int:
        """Bytes on disk."""
        return sum(p.stat().st_size for p in self.path.rglob("*") if p.is_file())


def what_rows_depend_on(basis: dict[str, Any]) -> dict[str, Any]:
    """The table of a basis without what no row depends on: energies of free atoms that are given, and masses."""
    return {key: value for key, value in basis.items() if key not in ("energies", "masses")}


def stores_in(path: Path) -> list[Path]:
    """The design stores right below a folder."""
    with suppress(OSError):
        return sorted(p.parent for p in path.glob("*/zarr.json") if not (path / "zarr.json").exists())
    return []


_WAYS_ON: Final = (
    "go on with --fresh, which makes a new store and renames this one (move_aside of hiertl_dist.files.paths), or "
    "with another folder: below [store] path each basis has one that is named by its digest"
)

_REPAIR: Final = "hiertl-dist assemble --verify (in Python assemble with verify=True) computes damaged tiles again"
