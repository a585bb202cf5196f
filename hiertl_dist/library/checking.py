"""Whether all files of a library are as they were written, and go with one another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, StoreError
from ..files.paths import local_path
from ..text.display import Shown
from .entry import COVARIANCE, SHORT, SOLUTION, SUMS, LibraryBlock, sha256_of
from .folder import BLOCKS, IN_USE, MARK, UNFINISHED, block_folders, open_library, versions_in_use
from .labels import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True, repr=False)
class Checked(Shown):
    """What :func:`check_library` looked at, and what is wrong.

    Attributes
    ----------
    versions, files : int
        How many it looked at.
    problems : tuple of str
        What is wrong, one sentence each.
    notes : tuple of str
        What is no fault.
    """

    versions: int
    files: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check_library(path: str | Path) -> Checked:
    """Read every file of a library, and see whether it is as it was written and goes with the others.

    Parameters
    ----------
    path : str or Path
        Folder of the library.

    Returns
    -------
    Checked
        All that is wrong.

    Raises
    ------
    MissingFileError, StoreError
        There is no library.
    """
    path = local_path(path, "library")
    if not (path / MARK).is_file():
        open_library(path)  # which says what is there instead
    problems: list[str] = []
    entries: list[LibraryBlock] = []
    files = 0
    for folder in block_folders(path):
        problems += _sums_wrong(folder)
        files += sum(1 for p in folder.iterdir() if p.is_file())
        _noting(lambda f=folder: entries.append(LibraryBlock.read(f)), problems)  # type: ignore[misc]
    for entry in entries:
        _noting(entry.parameters, problems)
        if SOLUTION in entry.files:
            _noting(entry.solution, problems)
        if COVARIANCE in entry.files:
            _noting(entry.covariance, problems)
    problems += _absent_versions(path, entries)
    unfinished = sorted((path / BLOCKS).glob(f"*{UNFINISHED}"))
    notes = [f"{p}: a version that was not written to its end; it may be deleted" for p in unfinished]
    return Checked(len(entries), files, tuple(dict.fromkeys(problems)), tuple(notes))


def _noting(call: Callable[[], object], problems: list[str]) -> None:
    try:
        call()
    except (StoreError, InputError, OSError, ValueError) as error:
        problems.append(str(error))


def _sums_wrong(folder: Path) -> Iterable[str]:
    """What a folder's list of checksums says against its files."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        expected = {name: line_sum for line_sum, _, name in (line.partition("  ") for line in lines)}
    except (OSError, ValueError) as error:
        return [f"{folder / SUMS}: cannot be read: {error}"]
    there = {p.name: sha256_of(p) for p in folder.iterdir() if p.is_file() and p.name != SUMS}
    missing = [f"{folder / n}: expected a file, found none" for n in expected if n not in there]
    others = [f"{folder / n}: a file that does not belong to this version" for n in there if n not in expected]
    changed = [
        f"{folder / n}: SHA-256 expected {s}, found {there[n]}: it was changed or damaged"
        for n, s in expected.items()
        if n in there and there[n] != s
    ]
    return [*missing, *others, *changed]


def _absent_versions(path: Path, entries: Iterable[LibraryBlock]) -> Iterable[str]:
    """Versions that others stand on, or that are in use, and are not there."""
    there = {(str(e.block), e.version) for e in entries}
    for e in entries:
        for block, version in e.lower.items():
            if version != UNKNOWN and (block, version) not in there:
                yield f"{e.source}: it stands on version {version[:SHORT]} of {block}, which is not in the library"
    for block, own in versions_in_use(path).items():
        if (block, own["version"]) not in there:
            yield f"{path / IN_USE}: in use is version {str(own['version'])[:SHORT]} of {block}, which is not there"
