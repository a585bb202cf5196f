"""The folder of a library: one folder for each version of a block, written once, and which version is in use.

``library.json`` marks it; ``blocks/CN-<version>/`` has the files of a version; ``in_use.json`` says by block which
version counts, and which did before; ``rows`` is where fits keep their design stores. What there is, the folders say:
there is no list beside them that could say something else.
"""

from __future__ import annotations

import platform
import shutil
import time
import uuid
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import InputError, MissingFileError, StoreError, UnknownBlockError
from ..files.json_files import read_object, write_json
from ..files.locks import locked
from ..files.paths import beside, local_path
from ..frames.element_set import ElementSet
from ..io.params_write import write_parameters
from ..text.display import Card, Shown, listed
from ..text.words import count_text, shown
from .entry import COVARIANCE, ENTRY, IN_FOLDER, PARAMETERS, SHORT, SOLUTION, SUMS, LibraryBlock, sha256_of
from .labels import label_text
from .settings import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ..model.parameters import Parameters
    from ..model.solution import Solution

FORMAT: Final = 1
MARK: Final = "library.json"
BLOCKS: Final = "blocks"
IN_USE: Final = "in_use.json"
UNFINISHED: Final = ".partial"
HEADER: Final = ("block", "version", "in use", "theory", "energy reference", "columns", "frames", "stands on")


def _card(library: BlockLibrary) -> Card:
    return Card(f"BlockLibrary {library.path}: {count_text(len(library.entries), 'version')} of blocks", (), HEADER,
                tuple(tuple(row) for row in table_rows(library)))  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class BlockLibrary(Shown, card=_card):
    """What there is in a library.

    Attributes
    ----------
    path : Path
        Its folder.
    entries : tuple of LibraryBlock
        Every version of every block, small element sets first.
    in_use : Mapping from ElementSet to str
        By block, the version that counts.
    """

    path: Path
    entries: tuple[LibraryBlock, ...]
    in_use: Mapping[ElementSet, str]

    @property
    def names(self) -> tuple[ElementSet, ...]:
        """The blocks that there are."""
        return tuple(dict.fromkeys(e.block for e in self.entries))

    def versions(self, block: str) -> tuple[LibraryBlock, ...]:
        """All versions of a block.

        Parameters
        ----------
        block : str
            Its name, elements in any order.

        Returns
        -------
        tuple of LibraryBlock
            None where the library has no such block.
        """
        name = ElementSet.parse(block)
        return tuple(e for e in self.entries if e.block == name)

    def find(self, block: str, version: str | None = None) -> LibraryBlock:
        """One version of a block.

        Parameters
        ----------
        block : str
            Its name, elements in any order.
        version : str, optional
            How the version begins; default: the one in use.

        Returns
        -------
        LibraryBlock
            The only one that it can be.

        Raises
        ------
        UnknownBlockError
            The library has no such block.
        InputError
            No version begins like that, or several do.
        """
        own = self.versions(block)
        if not own:
            raise UnknownBlockError(f"{self.path}: no block {block!r}; the library has {listed(self.names) or 'none'}")
        start = self.in_use.get(own[0].block) if version is None else version
        there = ", ".join(e.version[:SHORT] for e in own)
        if start is None:
            raise InputError(f"{self.path}: no version of {own[0].block} is in use; there are {there}")
        matching = [e for e in own if e.version.startswith(start)]
        if len(matching) != 1:
            what = "several versions" if matching else "no version"
            raise InputError(f"{self.path}: {what} of {own[0].block} begin with {start!r}; there are {there}")
        return matching[0]


def table_rows(library: BlockLibrary) -> list[list[object]]:
    """Cells of a table: a row for each version, under ``HEADER``."""
    return [
        [
            e.block, e.version[:SHORT], "yes" if library.in_use.get(e.block) == e.version else "no",
            label_text(e.theory), label_text(e.energy_reference), e.fit.get("columns", "–"),
            e.data.get("frames", "–"), ", ".join(f"{b} {v[:SHORT]}" for b, v in e.lower.items()) or "nothing",
        ]
        for e in library.entries
    ]  # fmt: skip


def is_library(path: Path) -> bool:
    """Whether a folder is a library."""
    return (path / MARK).is_file()


def open_library(path: str | Path, *, missing_ok: bool = False) -> BlockLibrary:
    """Read what there is in a library.

    Parameters
    ----------
    path : str or Path
        Its folder.
    missing_ok : bool, default False
        A folder that is not there, or is empty, counts as a library without blocks.

    Returns
    -------
    BlockLibrary
        Every version of every block; of the files only the entries are read.

    Raises
    ------
    MissingFileError
        There is no such folder.
    StoreError
        It is no library, or an entry can't be read or was changed: the file is named.
    """
    path = local_path(path, "library")
    if not path.exists():
        if missing_ok:
            return BlockLibrary(path, (), {})
        raise MissingFileError(f"library: there is no folder {path.absolute()}{beside(path)}")
    if not is_library(path):
        if missing_ok and path.is_dir() and not _content(path):
            return BlockLibrary(path, (), {})
        raise StoreError(f"{path}: expected a library, a folder with {MARK}, found none; name another folder")
    if (number := read_object(path / MARK).get("hiertl_dist_library")) != FORMAT:
        raise StoreError(f"{path / MARK}: expected a library of format {FORMAT}, found {number}")
    entries = [LibraryBlock.read(folder) for folder in block_folders(path)]
    chosen = _chosen(path, entries)
    entries.sort(key=lambda e: (len(e.block.elements), e.block, e.added, e.version))
    numbers = Counter(e.block for e in entries)
    # where a run was stopped between the two files, the only version is in use all the same
    chosen |= {e.block: e.version for e in entries if numbers[e.block] == 1 and e.block not in chosen}
    return BlockLibrary(path, tuple(entries), chosen)


def _chosen(path: Path, entries: Sequence[LibraryBlock]) -> dict[ElementSet, str]:
    """The version in use of each block, which must be there unless none is."""
    there: dict[ElementSet, list[str]] = {}
    for entry in entries:
        there.setdefault(entry.block, []).append(entry.version)
    chosen: dict[ElementSet, str] = {}
    for name, own in versions_in_use(path).items():
        try:
            block = ElementSet.parse(name)
        except ValueError as error:
            raise StoreError(f"{path / IN_USE}: expected names of blocks, found {shown(name)}") from error
        version = str(own["version"])
        versions = there.get(block, [version])  # of a block whose folders somebody removed nothing can be used
        if version not in versions or block in chosen:
            raise StoreError(
                f"{path / IN_USE}: version {version[:IN_FOLDER]} of block {block} is said to be in use, expected one "
                f"that the library has, once: {listed([v[:IN_FOLDER] for v in versions])}; "
                "the file is damaged: take it from a copy of the library, or delete it and choose with "
                "`hiertl-dist library use`"
            )
        chosen[block] = version
    return chosen


def block_folders(path: Path) -> list[Path]:
    """The folders of versions, but for those that nobody finished."""
    found = sorted((path / BLOCKS).iterdir()) if (path / BLOCKS).is_dir() else []
    return [p for p in found if p.is_dir() and not p.name.endswith(UNFINISHED)]


def _content(path: Path) -> list[str]:
    return [p.name for p in path.iterdir() if not p.name.startswith(".") and p.name != ROWS]


def versions_in_use(path: Path) -> dict[str, dict[str, object]]:
    """What a library's file says of each block: its version in use, since when, and those before."""
    try:
        content = read_object(path / IN_USE)
    except FileNotFoundError:
        return {}
    for block, own in content.items():
        if not isinstance(own, dict) or not isinstance(own.get("version"), str) or "since" not in own:
            raise StoreError(f"{path / IN_USE}: expected version and since of block {block}, found {shown(own)}")
    return content


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """The lock of a library, whose folder is made if need be."""
    path.mkdir(parents=True, exist_ok=True)
    with locked(path):
        if not is_library(path):
            if content := _content(path):
                raise StoreError(
                    f"{path}: expected a library or an empty folder, found {listed(sorted(content), 4)}; name another"
                )
            write_json(path / MARK, {"hiertl_dist_library": FORMAT})
        (path / BLOCKS).mkdir(exist_ok=True)
        yield


@dataclass(frozen=True, repr=False)
class Added(Shown):
    """What became of a block that was added.

    Attributes
    ----------
    entry : LibraryBlock
        The version.
    is_new : bool
        Whether it was not there before.
    in_use : str
        The version of the block that is in use now.
    """

    entry: LibraryBlock
    is_new: bool
    in_use: str

    def text(self) -> str:
        """What happened, in one line."""
        name = f"{self.entry.block} {self.entry.version[:SHORT]}"
        what = f"added {name}" if self.is_new else f"{name} is there already, and stays as it is"
        if self.in_use == self.entry.version:
            return f"library: {what}; in use"
        return (
            f"library: {what}; in use is {self.in_use[:SHORT]} as before: hiertl-dist library use {self.entry.library} "
            f"{self.entry.block} {self.entry.version[:SHORT]} changes that"
        )


def add_entry(
    entry: LibraryBlock, parameters: Parameters, *, solution: Solution | None = None,
    covariance: Mapping[str, NDArray[np.generic]] | None = None, original: Path | None = None, use: bool = False,
) -> Added:  # fmt: skip
    """Write a version of a block; nothing that is there changes.

    Parameters
    ----------
    entry : LibraryBlock
        All that is known of it; version, files, packages and time are filled in.
    parameters : Parameters
        Its coefficients.
    solution : Solution, optional
        The fit.
    covariance : Mapping from str to ndarray, optional
        Arrays of ``covariance.npz``.
    original : Path, optional
        A file that is kept beside, byte by byte.
    use : bool, default False
        Put it in use also where another version of the block is.

    Returns
    -------
    Added
        The version, which may have been there before.

    Raises
    ------
    StoreError
        The folder is no library, or what was written can't be read again as it was.
    """
    entry = entry.named()
    with _writing(entry.library):
        is_new = not entry.folder.exists()
        if is_new:
            _write_version(entry, parameters, solution, covariance, original)
        entry = LibraryBlock.read(entry.folder)
        if is_new:
            entry.parameters()
        chosen = versions_in_use(entry.library)
        current = chosen.get(entry.block)
        if current is None or (use and current["version"] != entry.version):
            current = _put_in_use(entry, chosen)
    return Added(entry, is_new, str(current["version"]))


def _put_in_use(entry: LibraryBlock, chosen: dict[str, dict[str, object]]) -> dict[str, object]:
    before = chosen.get(entry.block, {})
    earlier = before.get("before", [])
    assert isinstance(earlier, list)
    if before:
        earlier = [*earlier, {"version": before["version"], "since": before["since"]}]
    current: dict[str, object] = {"version": entry.version, "since": _now(), "before": earlier}
    write_json(entry.library / IN_USE, chosen | {str(entry.block): current})
    return current


def use_version(path: str | Path, block: str, version: str) -> LibraryBlock:
    """Put a version of a block in use; which were before stays written.

    Parameters
    ----------
    path : str or Path
        Folder of the library.
    block : str
        Its name.
    version : str
        How the version begins.

    Returns
    -------
    LibraryBlock
        The version.

    Raises
    ------
    UnknownBlockError, InputError
        There is none, or there are several.
    """
    library = open_library(path)
    entry = library.find(block, version)
    with _writing(library.path):
        if (chosen := versions_in_use(library.path)).get(entry.block, {}).get("version") != entry.version:
            _put_in_use(entry, chosen)
    return entry


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _write_version(
    entry: LibraryBlock, parameters: Parameters, solution: Solution | None,
    covariance: Mapping[str, NDArray[np.generic]] | None, original: Path | None,
) -> None:  # fmt: skip
    """The files of a version in a folder of another name, which gets its own when all are there."""
    part = entry.folder.with_name(f"{entry.folder.name}.{uuid.uuid4().hex}{UNFINISHED}")
    part.mkdir()
    try:
        write_parameters(parameters, part / PARAMETERS, comments=[f"block {entry.block}, version {entry.version}"])
        if solution is not None:
            solution.save(part / SOLUTION)
        if covariance is not None:
            with (part / COVARIANCE).open("xb") as stream:
                np.savez(stream, **covariance)  # type: ignore[arg-type]
        if original is not None:
            shutil.copyfile(original, part / f"original{''.join(original.suffixes[-2:])}")
        files = {p.name: sha256_of(p) for p in sorted(part.iterdir())}
        packages = {"hiertl_dist": version_of("hiertl_dist"), "numpy": np.__version__,
                    "python": platform.python_version()}  # fmt: skip
        write_json(part / ENTRY, replace(entry, files=files, packages=packages, added=_now()).to_dict())
        sums = files | {ENTRY: sha256_of(part / ENTRY)}
        # as sha256sum writes it, so that sha256sum -c reads it
        (part / SUMS).write_text("".join(f"{s}  {n}\n" for n, s in sorted(sums.items())), encoding="utf-8")
        part.rename(entry.folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
