"""Files: what paths and patterns stand for, what to say of those that are not there, and text in any packing."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

from ..errors import FrameError, InputError, MissingFileError
from ..files.object_path import ObjectPath
from ..files.paths import beside, local_path, require_file
from ..text.words import count_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..files.object_path import Place

SUFFIXES: Final = (".xyzf", ".extxyz", ".exyz", ".xyz", ".traj", ".db", ".aselmdb", ".xml")
OF_PROGRAMS: Final = ("OUTCAR", "vasprun")
"""Names, without extensions, that tell nothing of what is in a file."""

MOST_LOOKED_AT: Final = 10_000
MOST_PATTERNS: Final = 3
"""Entries of a folder that are looked at for patterns, and patterns that are named."""

PACKED: Final = (".gz", ".bz2", ".xz", ".lzma", ".zst")
DAMAGES: Final = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)
"""What the readers of packed files raise of a damaged one; bz2 raises a bare OSError."""

MAGIC: Final = {
    b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x5d\x00\x00": "lzma",
    b"\x28\xb5\x2f\xfd": "zstandard", b"PK\x03\x04": "zip",
}  # fmt: skip
UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
BYTE_ORDER_MARK: Final = "\ufeff"


def unpacked_name(name: str) -> str:
    """A file's name without the ending of its packing, in either case."""
    return next((name[: -len(s)] for s in PACKED if name.lower().endswith(s) and len(name) > len(s)), name)


def stem(path: Path) -> str:
    """A file's name without the ending of its packing and without the extension of a trajectory."""
    name = unpacked_name(path.name)
    return next((name[: -len(s)] for s in SUFFIXES if name.lower().endswith(s) and len(name) > len(s)), name)


def names_apart(files: Iterable[Path]) -> list[str]:
    """What each of some files is called: its name, or the least of the end of its path that no other of that name has.

    ``a/run1/OUTCAR`` and ``a/run2/OUTCAR`` are ``run1/OUTCAR`` and ``run2/OUTCAR``.
    """
    paths = [Path(os.path.normpath(file.absolute())).parts for file in files]
    ends: Counter[tuple[str, ...]] = Counter()
    for parts in set(paths):
        ends.update(parts[-n:] for n in range(1, len(parts) + 1))
    shortest = (next((p[-n:] for n in range(1, len(p)) if ends[p[-n:]] == 1), p) for p in paths)
    return [Path(*parts).as_posix() for parts in shortest]


def default_groups(files: Iterable[Path]) -> list[str]:
    """The group of each of some files where nobody says: what it is called (:func:`names_apart`), without extensions.

    Where files of several folders are called OUTCAR or vasprun.xml, as the program calls all of them, it is the folder:
    ``run1``. Frames of one file are in one group, and those of two in two, unless only their extensions differ.
    """
    listed = list(files)
    groups = []
    for file, name in zip(listed, names_apart(listed), strict=True):
        folder, slash, _ = name.rpartition("/")
        own = stem(file)
        groups.append(folder if slash and own in OF_PROGRAMS else f"{folder}{slash}{own}")
    return groups


def open_text(path: Path) -> tuple[IO[str], str]:
    """The text of a file that may be packed with gzip, bzip2, xz or zstandard, known by its content, and its packing.

    Bytes that are not UTF-8 become surrogates, which :class:`~hiertl_dist.io.lines.LineSource` reads as Latin-1.

    Raises
    ------
    MissingFileError
        There is no such file: its absolute path and similar names.
    InputError
        A folder.
    FrameError
        A zip archive, or zstandard where Python cannot read it.
    OSError
        The file cannot be opened.
    """
    stream, packing, head = open_bytes(path)
    utf_16 = not packing and head.startswith(UTF_16)
    encoding = "utf-16" if utf_16 else "utf-8-sig"
    return io.TextIOWrapper(stream, encoding=encoding, errors="replace" if utf_16 else "surrogateescape"), packing


def open_bytes(path: Path) -> tuple[IO[bytes], str, bytes]:
    """The same as bytes, its packing, and what the file begins with."""
    head = _head(path)
    packing = _packing(head)
    return _unpacked(path, packing), packing, head


def packing_of(path: Path) -> str:
    """What a file is packed with, by its content; empty for a plain one."""
    return _packing(_head(path))


MOST_PACKED: Final = 10_000
"""Bytes of text that a byte of a packed file stands for at most: far more than frames come to."""


def room_for_lines(path: Path, least: int) -> int:
    """How many lines of so many bytes or more a file can have at most: who is told of more is told wrong."""
    return path.stat().st_size * (MOST_PACKED if packing_of(path) else 1) // least + 1


def _head(path: Path) -> bytes:
    with require_file(path, "trajectory").open("rb") as raw:
        return raw.read(6)


def _packing(head: bytes) -> str:
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")


def _unpacked(path: Path, packing: str) -> IO[bytes]:
    if packing == "gzip":
        return cast("IO[bytes]", gzip.GzipFile(path))
    if packing == "bzip2":
        return bz2.BZ2File(path)
    if packing in ("xz", "lzma"):
        return lzma.LZMAFile(path)
    if packing == "zstandard":
        try:
            from importlib import import_module

            return cast("IO[bytes]", import_module("compression.zstd").ZstdFile(path))
        except ImportError as error:
            raise FrameError(
                f"{path}: packed with zstandard, which Python reads from 3.14 on; unpack it (zstd -d), or pack it with "
                "gzip, bzip2 or xz"
            ) from error
    if packing == "zip":
        raise FrameError(f"{path}: a zip archive; expected text, plain or packed with gzip, bzip2 or xz: unpack it")
    return path.open("rb")


def find_files(path: str | Path | Iterable[str | Path]) -> list[tuple[Path, str]]:
    """The files that paths and patterns stand for, those of a pattern sorted, each with the path or pattern.

    Raises
    ------
    MissingFileError
        There is no such file (:func:`~hiertl_dist.files.paths.require_file`), or a pattern matches none.
    FrameError
        There is no path at all.
    InputError
        A folder, or a URL; a file that is named twice.
    """
    if isinstance(path, str | Path):
        paths = [local_path(path, "trajectory")]
        # A file whose name has brackets in it is that file.
        if not paths[0].exists() and any(c in str(path) for c in "*?["):
            pattern = Path(path)
            anchor = Path(pattern.anchor)
            relative = pattern.relative_to(anchor) if pattern.anchor else pattern
            paths = sorted(file for file in anchor.glob(str(relative)) if file.is_file())
            if not paths:
                raise MissingFileError(f"{path}: no file matches this pattern{beside(pattern)}")
            refuse_twice([(file, repr(str(path))) for file in paths])
        elif paths[0].is_dir():
            raise InputError(_folder_text(paths[0]))
        else:
            require_file(paths[0], "trajectory")
        return [(file, str(path)) for file in paths]
    files = [pair for one in path for pair in find_files(one)]
    if not files:
        raise FrameError("expected at least one file, found an empty sequence")
    refuse_twice([(file, repr(asked)) for file, asked in files])
    return files


def _folder_text(folder: Path) -> str:
    """What to say of a folder that was named as a file: what a stopped import left there, or patterns of its files."""
    expected = f"trajectory: expected a file, found the folder {folder.absolute()}"
    if any((folder / name).is_dir() for name in ("ledger", "atoms")):
        return (
            f"{expected}, a data set (for [[data]] path and Dataset) or what a stopped import has left (start the "
            "import again)"
        )
    found: Counter[str] = Counter()
    for file in islice(folder.rglob("*"), MOST_LOOKED_AT):
        if (pattern := _pattern_of(file)) and file.is_file():
            found[str(folder / "**" / pattern) if file.parent != folder else str(folder / pattern)] += 1
    if not found:
        return f"{expected}, in which no file is named as a trajectory ({', '.join(SUFFIXES)}, OUTCAR): name the files"
    named = ", ".join(f"'{pattern}' ({count_text(n, 'file')})" for pattern, n in found.most_common(MOST_PATTERNS))
    return f"{expected}; a pattern in quotes names what is in it: {named}"


def _pattern_of(file: Path) -> str:
    """Which files are read as this one is, by its name; nothing where the name tells nothing."""
    name = unpacked_name(file.name)
    packing = file.name[len(name) :]
    if stem(file) in OF_PROGRAMS:
        return file.name
    if "OUTCAR" in name:
        return f"*OUTCAR*{packing}"
    suffix = next((s for s in SUFFIXES if name.lower().endswith(s)), "")
    if suffix == ".xml" and "vasp" not in name.lower():
        return ""
    return f"*{name[len(name) - len(suffix) :]}{packing}" if suffix else ""


def refuse_twice(files: Iterable[tuple[Place, str]]) -> None:
    """Raise InputError where a file is named twice, be it by a pattern or a link: its frames would count twice.

    Parameters
    ----------
    files : iterable of tuple (Path or ObjectPath, str)
        Each file with what named it, for the message.
    """
    known: dict[Place | tuple[int, int], tuple[Place, str]] = {}
    for file, asked in files:
        first, named = known.setdefault(_identity(file), (file, asked))
        if first is not file:
            other = "" if first == file else f", which is {first}"
            by = f"{named} and by {asked}" if named != asked else f"{named} alone" if other else named
            raise InputError(
                f"{file}{other}: the file is named twice, by {by}; its frames would count twice, and "
                "could be fitted and held out at once: name it once"
            )


def _identity(file: Place) -> Place | tuple[int, int]:
    """What two names of one file have in common."""
    if isinstance(file, ObjectPath):
        return file
    status = file.stat()
    return status.st_dev, status.st_ino
