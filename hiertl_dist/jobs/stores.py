"""Design stores, summary stores and data sets alike: whether they are whole, what mends them, what can be deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ..dataset.dataset_checks import dataset_facts, dataset_faults, dataset_leftovers, repair_dataset
from ..dataset.dataset_index import is_dataset
from ..design_matrix.store_checks import repair_store, store_facts, store_faults, store_leftovers
from ..design_matrix.store_layout import is_store_folder
from ..errors import MissingFileError, StoreError
from ..files.faults import MIN_AGE, Fault, Leftover, leftovers, removed
from ..files.locks import locked
from ..files.object_path import Place
from ..files.paths import beside, named_place
from ..files.sealed import copy_of
from ..fitting.summary_checks import repair_summaries, summary_facts, summary_faults, summary_leftovers
from ..fitting.summary_index import INDEX


class _Kind(NamedTuple):
    """What is done with folders of a kind."""

    name: str
    faults: Callable[[Any], Iterator[Fault]]
    repair: Callable[[Any], tuple[list[Fault], list[Fault]]]
    leftovers: Callable[[Any], Iterator[tuple[Any, str]]]
    facts: Callable[[Any], dict[str, Any]]


DESIGN: Final = _Kind("design store", store_faults, repair_store, store_leftovers, store_facts)
SUMMARIES: Final = _Kind("summary store", summary_faults, repair_summaries, summary_leftovers, summary_facts)
DATA: Final = _Kind("data set", dataset_faults, repair_dataset, dataset_leftovers, dataset_facts)


@dataclass(frozen=True)
class StoreFolder:
    """A folder with a design store, a summary store or a data set.

    Attributes
    ----------
    path : Path or ObjectPath
        The folder.
    """

    path: Place
    _of: _Kind

    @property
    def kind(self) -> str:
        """Which of them it is, for people."""
        return self._of.name

    def check(self) -> list[Fault]:
        """Read every file of it.

        Returns
        -------
        list of Fault
            Everything that is not as it was written, file by file.
        """
        return list(self._of.faults(self.path))

    def repair(self) -> tuple[list[Fault], list[Fault]]:
        """Mend what can be mended, and let what is damaged be computed again; only damaged files are set apart.

        Returns
        -------
        done : list of Fault
            What was mended.
        left : list of Fault
            What could not be, each with what a person can do.

        Raises
        ------
        LockError
            Another process has the lock of the folder and nobody waits for it.
        """
        return self._of.repair(self.path)

    def leftovers(self, min_age: float = MIN_AGE) -> list[Leftover]:
        """Files that nobody needs: of killed writers, chunks of no complete tile, batches that were superseded.

        Parameters
        ----------
        min_age : float, optional
            Seconds for which a file has to be left alone: a younger one may be of a process that works.

        Returns
        -------
        list of Leftover
            File, size and reason.

        Raises
        ------
        StoreError
            What says which files are needed is damaged.
        """
        return leftovers(self._of.leftovers(self.path), min_age)

    def remove(self, files: list[Leftover]) -> int:
        """Delete such files, those that nobody needs still.

        Parameters
        ----------
        files : list of Leftover
            What :meth:`leftovers` gave.

        Returns
        -------
        int
            Bytes that this frees.
        """
        with locked(self.path):
            needless = {own.file for own in self.leftovers(0.0)}
            return removed([own for own in files if own.file in needless])

    def facts(self) -> dict[str, Any]:
        """What it has, for JSON.

        Returns
        -------
        dict from str to object
            Kind, format, bytes, and what there is of it.

        Raises
        ------
        StoreError
            It is damaged.
        """
        return {"path": str(self.path), **self._of.facts(self.path)}


def stores_at(path: str | Place) -> list[StoreFolder]:
    """The stores of a folder: itself, or those right below it, as ``[store] path`` has one for each basis.

    Parameters
    ----------
    path : str, Path or ObjectPath
        The folder; on an object store ``s3://bucket/name``.

    Returns
    -------
    list of StoreFolder
        At least one.

    Raises
    ------
    MissingFileError
        There is no such folder.
    StoreError
        There is none of the three in it.
    """
    folder = named_place(path, "store")
    if not folder.is_dir():
        raise MissingFileError(f"store: there is no folder {folder.absolute()}{beside(folder)}")
    own = _kind_of(folder)
    stores = [StoreFolder(folder, own)] if own else []
    for below in sorted(p for p in folder.iterdir() if p.is_dir()) if not own else ():
        if kind := _kind_of(below):
            stores.append(StoreFolder(below, kind))
    if not stores:
        raise StoreError(
            f"{folder}: expected a design store (zarr.json, layout.json), a summary store ({INDEX}) or a data set "
            "(dataset.json), or a folder of such, found none"
        )
    return stores


def _kind_of(folder: Place) -> _Kind | None:
    if (folder / INDEX).exists() or copy_of(folder / INDEX).exists():
        return SUMMARIES
    if is_dataset(folder) or (folder / "frames" / "numbers").is_dir():
        return DATA
    if is_store_folder(folder) or any(copy_of(folder / name).exists() for name in ("zarr.json", "layout.json")):
        return DESIGN
    return None
