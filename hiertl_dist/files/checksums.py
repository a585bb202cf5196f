"""Checksums of the files of a folder, in one file that ``sha256sum -c`` reads: which files a run has written there.

What was put in their place later, whole as it may be, is then known for what it is: of another run, or edited.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from typing import TYPE_CHECKING, Final

from ..errors import HiertlWarning
from .paths import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RESULTS_SUMS: Final = "results.sha256"
"""The file's name."""

_LINE: Final = re.compile(r"([0-9a-f]{64})  (.+)")


def note_checksums(folder: Path, files: Iterable[Path]) -> None:
    """Enter files that were just written, as far as they are in the folder itself; what is entered already stays.

    Parameters
    ----------
    folder : Path
        Of the results.
    files : iterable of Path
        What was written.

    Raises
    ------
    DiskFullError, WriteError
        The file cannot be written.
    """
    sums = {name: digest for digest, name in _entries(folder)}
    for path in files:
        if path.absolute().parent == folder.absolute() and path.is_file():
            sums[path.name] = _digest(path)
    if sums:
        with replacing(folder / RESULTS_SUMS) as stream:
            stream.write("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode())


def warn_if_other(path: Path) -> None:
    """Warn of a file that is not the one that the run that filled its folder wrote.

    Parameters
    ----------
    path : Path
        A file of results, or any: nothing is said where the checksum is the same, or nothing is known of the file.

    Warns
    -----
    HiertlWarning
        Naming the file, and both checksums.
    """
    expected = [digest for digest, name in _entries(path.parent) if name == path.name]
    if not expected or not path.is_file() or (digest := _digest(path)) in expected:
        return
    warnings.warn(
        f"{path}: it is not the file that the run wrote whose results are in this folder (expected SHA-256 "
        f"{expected[0][:16]}…, as {path.parent / RESULTS_SUMS} has it, found {digest[:16]}…): it was edited, or is "
        "of another run; what is read is the file as it is",
        HiertlWarning, stacklevel=3,
    )  # fmt: skip


def _entries(folder: Path) -> list[tuple[str, str]]:
    try:
        text = (folder / RESULTS_SUMS).read_text(encoding="utf-8", errors="replace")
    except OSError:  # most files are in no such folder
        return []
    return [(line[1], line[2]) for line in map(_LINE.fullmatch, text.splitlines()) if line]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
