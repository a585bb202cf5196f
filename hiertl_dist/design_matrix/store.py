"""``DesignStore``: tiles of design matrices in one zarr group, with a ledger of what is complete.

What is where on disk: :mod:`hiertl_dist.design_matrix.store_layout`. Chunks are written and read by
:mod:`hiertl_dist.files.chunks`, what zarr needs to read them by :mod:`hiertl_dist.files.zarr_files`.
"""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import IncompleteStoreError, StoreError
from ..files.chunks import expect, read_tile, writing
from ..files.locks import locked
from ..files.paths import make_folder, named_place
from ..files.write_errors import write_errors
from ..files.zarr_files import fit_array
from ..text.display import Shown
from .attributes_file import make_store, read_store_attributes, write_store_attributes
from .layout_file import LAYOUT, read_layout, require_layout_of, require_own_layout, write_layout
from .ledger import chunks_of, complete_keys, entries_read, ledger_file, place_of
from .store_claims import remove_leftovers
from .store_frames import number_frames
from .store_layout import FORMAT, REPAIR, WAYS_ON, TileSpec, differences, is_store_folder, plan_tile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from ..files.object_path import Place


@dataclass(frozen=True, repr=False)
class DesignStore(Shown):
    """A design store on disk; see the module's text for its layout.

    Attributes
    ----------
    path : Path or ObjectPath
        Folder of the zarr group, on disk or on an object store.
    """

    path: Place

    @classmethod
    def open(cls, path: str | Place) -> DesignStore:
        """Open an existing store.

        Parameters
        ----------
        path : str, Path or ObjectPath
            Folder of the zarr group; on an object store ``s3://bucket/name``.

        Returns
        -------
        DesignStore
            That store.

        Raises
        ------
        StoreError
            There is none, or of another format; a file of it is damaged, which is named.
        """
        store = cls(named_place(path, "design store"))
        require_layout_of(store.path / LAYOUT, store.layout(), store.attributes)
        return store

    @classmethod
    def create(cls, path: str | Place, basis: dict[str, Any], basis_digest: str, policy: str) -> DesignStore:
        """Create a store, or open the one that is there if it was made with the same basis and policy.

        Parameters
        ----------
        path : str, Path or ObjectPath
            Folder of the zarr group; on an object store ``s3://bucket/name``, which is made if there is none.
        basis : dict
            Table of the basis, as of ``Basis.to_dict``.
        basis_digest, policy : str
            Its digest; what was done about pairs inside an inner cutoff.

        Returns
        -------
        DesignStore
            The new store, or the one that was there.

        Raises
        ------
        StoreError
            Something else is there; with another basis, every key that differs is named with both values.
        """
        folder = named_place(path, "design store")
        if not is_store_folder(folder):  # else it may be where nothing can be written
            make_folder(folder)
            with locked(folder), write_errors(folder):
                if not is_store_folder(folder):  # another process has made it meanwhile
                    make_store(folder, basis, basis_digest, policy)
        store = cls.open(folder)
        store.require_made_with(basis, basis_digest, policy)
        return store

    def require_made_with(self, basis: dict[str, Any], basis_digest: str, policy: str) -> None:
        """Refuse another basis or policy than the rows were made with.

        Parameters
        ----------
        basis : dict
            Table of the basis, as of ``Basis.to_dict``.
        basis_digest, policy : str
            Its digest; what was done about pairs inside an inner cutoff.

        Raises
        ------
        StoreError
            One differs; every key that does is named.
        """
        if lines := self.differs_from(basis, basis_digest, policy):
            raise StoreError(f"{self.path}: the store was made with another basis or policy{lines}\n{WAYS_ON}")

    def differs_from(self, basis: dict[str, Any], basis_digest: str, policy: str) -> str:
        """In what the rows' basis and policy differ from these.

        Parameters
        ----------
        basis : dict
            Table of the basis, as of ``Basis.to_dict``.
        basis_digest, policy : str
            Its digest; what was done about pairs inside an inner cutoff.

        Returns
        -------
        str
            A line for each key; nothing if they differ in nothing.
        """
        return differences(self.attributes, {"basis": basis, "basis_digest": basis_digest, "policy": policy})

    @property
    def attributes(self) -> dict[str, Any]:
        """What the store says of itself: format, basis and its digest, policy, provenance of each assembly."""
        return read_store_attributes(self.path)

    def layout(self) -> dict[str, Any]:
        """Which chunks each tile owns.

        Returns
        -------
        dict
            ``{"groups": [...], "arrays": {name: {"chunk_rows", "slots", "tiles", …}}}``; not to be
            changed, for all readers share it.
        """
        return read_layout(self.path / LAYOUT)

    def prepare(
        self,
        specs: Sequence[TileSpec],
        chunk_rows: dict[str, int],
        *,
        frames: NDArray[np.uint8] | None = None,
        groups: Sequence[str] = (),
        provenance: dict[str, Any] | None = None,
    ) -> NDArray[np.int32]:
        """Give every tile its chunks, creating and growing arrays. To be called by one process at a time.

        Parameters
        ----------
        specs : sequence of TileSpec
            The tiles that will be written; those that have chunks keep them.
        chunk_rows : dict from str to int
            Rows of a chunk, for arrays that do not exist yet.
        frames : ndarray of uint8, shape (n, 32), optional
            Digests of frames to be numbered; what is there keeps its number.
        groups : sequence of str, optional
            Names to be numbered, alike.
        provenance : dict, optional
            Appended to the store's history.

        Returns
        -------
        ndarray of int32, shape (n,)
            The number of each of ``frames``.

        Raises
        ------
        StoreError
            An array has another number of columns, or a tile another number of rows.
        LockError, WriteError
            Another process has the store for too long; it cannot be written.
        """
        with locked(self.path), write_errors(self.path):
            require_own_layout(self.path / LAYOUT)
            attributes, layout = self.attributes, deepcopy(self.layout())
            remove_leftovers(self.path, layout)
            layout["groups"] = list(dict.fromkeys([*layout["groups"], *groups]))
            numbers = number_frames(self.path, layout, frames)
            for spec in specs:
                plan_tile(layout, spec, chunk_rows, self.path)
            for name, entry in layout["arrays"].items():
                fit_array(self.path, chunks_of(self.path, name, entry), entry["slots"])
            if provenance is not None:
                attributes["provenance"] = [*attributes["provenance"], provenance]
            if provenance is not None or attributes["hiertl_dist"] != FORMAT:
                write_store_attributes(self.path, {**attributes, "hiertl_dist": FORMAT})
            write_layout(self.path / LAYOUT, layout, attributes)
        return numbers

    def ledger_path(self, array: str, key: str) -> Place:
        """Where it is noted that a tile is complete.

        Parameters
        ----------
        array, key : str
            Name of the array and key of the tile.

        Returns
        -------
        Path or ObjectPath
            The file, which is there once the tile is complete.
        """
        return ledger_file(self.path, array, key)

    def missing(self, specs: Iterable[TileSpec], *, verify: bool = False) -> list[TileSpec]:
        """The tiles that are not complete, or whose ledger is damaged.

        Parameters
        ----------
        specs : iterable of TileSpec
            The tiles to look for.
        verify : bool, default False
            Read those that are complete, and count what is damaged as missing.

        Returns
        -------
        list of TileSpec
            Those that are missing, in their order.
        """
        wanted = list(specs)
        whole = entries_read(self.path, self.layout(), [(s.array, s.key) for s in wanted])
        return [
            s for s, is_there in zip(wanted, whole, strict=True) if not is_there or (verify and self._is_damaged(s))
        ]

    def _is_damaged(self, spec: TileSpec) -> bool:
        try:
            self.read(spec.array, spec.key)
        except (FileNotFoundError, IncompleteStoreError, StoreError):
            return True
        return False

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
        array, key : str
            Name of the array and key of the tile.
        data : ndarray of shape (rows, columns), or iterable of ndarray
            The rows; or parts of them in order, (some rows, columns) each, of which one is checked and written in a
            thread while the next is being made, in another place than the last.
        layout : dict, optional
            What :meth:`layout` gave; default: it is read.

        Raises
        ------
        IncompleteStoreError
            The tile was never planned.
        StoreError
            The data's shape is not the planned one, some of it is not finite, or of a type that would be cut.
        """
        place = place_of(self.path, layout or self.layout(), array, key)
        with writing(place.chunks, place.first, place.rows, place.name) as tile:
            if isinstance(data, np.ndarray):
                tile.append(data)
            else:
                tile.append_all(data)
        place.complete(tile.crc)

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
            The rows: ``out`` if it was given.

        Raises
        ------
        IncompleteStoreError, StoreError, ValueError
            The tile was never written; what is on disk is not what was written; ``out`` has another shape or type.
        """
        place = place_of(self.path, layout or self.layout(), array, key)
        name, chunks = place.name, place.chunks
        if out is None:
            out = np.empty((place.rows, chunks.columns), chunks.dtype)
        elif out.shape != (place.rows, chunks.columns) or out.dtype != chunks.dtype:
            raise ValueError(
                f"{name}: expected an array of {(place.rows, chunks.columns)}, {chunks.dtype}, to read into, "
                f"got {out.shape}, {out.dtype}"
            )
        try:
            expected = f"{place.crc():08x}"
        except FileNotFoundError as error:
            raise IncompleteStoreError(
                f"{self.path}/{array}: tile {key[:12]} is not complete; run assemble again"
            ) from error
        try:
            found = f"{read_tile(chunks, place.first, out):08x}"
        except FileNotFoundError as error:
            found = f"no file {error.filename}"
        except (ValueError, OSError) as error:
            raise StoreError(f"{name}: cannot be read: {error}; {REPAIR}") from error
        if found != expected:
            raise StoreError(f"{name}: expected CRC32C {expected}, found {found}; {REPAIR}")
        return out

    def read_ahead(self, places: Iterable[tuple[str, str]]) -> Iterator[NDArray[Any]]:
        """Complete tiles, one by one; meanwhile the system fetches the next from disk.

        Parameters
        ----------
        places : iterable of (str, str)
            Name of the array and key of each tile.

        Yields
        ------
        ndarray of shape (rows, columns)
            A tile, in their order; errors of :meth:`read` are raised in the turn of the tile that has them.
        """
        # no thread: scipy's BLAS and LAPACK, which the tiles are read for, hold the interpreter's lock
        before: tuple[str, str] | None = None
        for place in places:
            with suppress(IncompleteStoreError, StoreError):
                tile = place_of(self.path, self.layout(), *place)
                expect(tile.chunks, tile.first, tile.rows)
            if before is not None:
                yield self.read(*before)
            before = place
        if before is not None:
            yield self.read(*before)

    def keys(self, array: str) -> list[str]:
        """Keys of the complete tiles of an array.

        Parameters
        ----------
        array : str
            Its name.

        Returns
        -------
        list of str
            In the order in which they got their chunks.
        """
        tiles = self.layout()["arrays"].get(array, {}).get("tiles", {})
        return list(filter(complete_keys(self.path, array).__contains__, tiles))

    def nbytes(self) -> int:
        """How large the store is.

        Returns
        -------
        int
            Bytes on disk.
        """
        return sum(p.stat().st_size for p in self.path.rglob("*") if p.is_file())
