"""What is wrong with files on disk, and what mends it; files that nobody needs any more."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..errors import StoreError
from .claims import is_claimed
from .object_path import anew, in_order
from .paths import replacing
from .sealed import copy_of, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from .object_path import P, Place

PASSES: Final = 4
"""How often a store is looked at while it is mended: tiles can be checked once the layout is whole."""

QUARANTINE: Final = "quarantine"
"""The folder of a store into which its damaged files are moved."""

PARTIAL: Final = ".partial"
"""What the names of files end with that are being written."""

MIN_AGE: Final = 3600.0
"""Seconds for which a file has to be left alone before it counts as left by a process that is gone."""


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a file.

    Attributes
    ----------
    file : Path or ObjectPath
        The file.
    problem : str
        What was expected, and what is there.
    remedy : str
        What :attr:`mend` does, and what is computed again then; where nothing mends it, what a person can do.
    mend : callable or None
        Mends it; None where nothing can.
    """

    file: Place
    problem: str
    remedy: str
    mend: Callable[[], object] | None = None

    def text(self) -> str:
        """File, problem and remedy, in a line."""
        problem = self.problem if str(self.file) in self.problem else f"{self.file}: {self.problem}"
        return f"{problem}\n    {self.remedy}"

    def as_dict(self) -> dict[str, str | bool]:
        """For JSON."""
        return {"file": str(self.file), "problem": self.problem, "remedy": self.remedy, "mends": self.mend is not None}


def mended(check: Callable[[], Iterable[Fault]]) -> tuple[list[Fault], list[Fault]]:
    """Mend what can be mended.

    Parameters
    ----------
    check : callable
        Looks for what is wrong; called again once something was mended.

    Returns
    -------
    done : list of Fault
        What was mended, in that order.
    left : list of Fault
        What could not be.
    """
    done: list[Fault] = []
    left = list(check())
    for _ in range(PASSES):
        able = [fault for fault in left if fault.mend is not None]
        if not able:
            break
        for fault in able:
            if fault.mend is not None:
                fault.mend()
        done += able
        left = list(check())
    return done, left


def kept_twice(
    path: P, read: Callable[[P], object], lost: str, fits: Callable[[P], bool], *, always: bool = True,
    parts: Callable[[P], Collection[str]] | None = None,
) -> Iterator[Fault]:  # fmt: skip
    """What is wrong with a file that has a copy beside it, each of which mends the other.

    Parameters
    ----------
    path : Path
        The file.
    read : callable
        Reads one of the two; raises StoreError or OSError where it is not as it was written.
    lost : str
        What can be done where both are damaged.
    fits : callable
        Whether one of the two goes with the other files of the store; asked where both are whole and they differ, as
        they do if one was swapped, and if a process was killed between writing the one and the other.
    always : bool, default True
        Whether there is a copy in any case: versions before kept none.
    parts : callable, optional
        What one of the two has, see :func:`~.sealed.standing`; by itself the file counts if it fits.
    """
    problems: dict[P, str] = {}
    for place in (path, copy_of(path)):
        try:
            read(place)
        except FileNotFoundError:
            problems[place] = "expected a file, found none"
        except (StoreError, OSError) as error:
            problems[place] = str(error).split("; 'hiertl-dist store repair")[0]
    if path in problems and copy_of(path) in problems:
        yield Fault(path, problems[path], lost)
        return
    if not always and not copy_of(path).exists():
        return
    if not problems and path.read_bytes() != copy_of(path).read_bytes():
        counts = path if parts is None and fits(path) else standing(path, fits, parts or (lambda _: ()))
        if not fits(counts):
            yield Fault(path, "neither it nor its copy, which differs, goes with the other files of the store", lost)
        elif counts == path:
            problems[copy_of(path)] = "it differs from the file that it is to be a copy of"
        else:
            problems[path] = "it does not have all that is in the store, as its copy does"
    for place, problem in problems.items():
        source = path if place == copy_of(path) else copy_of(path)
        remedy = "it is written again from the file" if source == path else "its copy takes its place"
        yield Fault(place, problem, f"{remedy}; nothing is computed again", _Copying(source, place))


@dataclass(frozen=True)
class _Copying:
    source: Place
    place: Place

    def __call__(self) -> None:
        with suppress(OSError):
            quarantined(self.place)
        with replacing(self.place) as stream:
            stream.write(self.source.read_bytes())


def quarantined(path: P, root: P | None = None) -> P:
    """Move a damaged file into the quarantine of its store (by default that of its folder). Returns its new place."""
    folder = (root or path.parent) / QUARANTINE
    folder.mkdir(exist_ok=True)
    name = str(path)[len(str(root)) + 1 :].replace("/", ".") if root else path.name
    place = folder / name
    number = 2
    while place.exists():
        place, number = folder / f"{name}-{number}", number + 1
    target: Any = place  # of the same kind
    return path.rename(target)


@dataclass(frozen=True)
class Leftover:
    """A file that nobody needs.

    Attributes
    ----------
    file : Path or ObjectPath
        The file.
    nbytes : int
        Its size.
    reason : str
        Why nobody needs it.
    written : float
        When it was written, s since 1970.
    """

    file: Place
    nbytes: int
    reason: str
    written: float


def leftovers(files: Iterable[tuple[Place, str]], min_age: float) -> list[Leftover]:
    """Files with the reason why nobody needs them, those left out that somebody wrote less than so many seconds ago."""
    now = time.time()
    old = []
    for path, reason in files:
        with suppress(FileNotFoundError):
            status = path.stat()
            if now - status.st_mtime >= min_age:
                old.append(Leftover(path, status.st_size, reason, status.st_mtime))
    return old


def unfinished(folder: P) -> Iterator[tuple[P, str]]:
    """Files below a folder that a writer was killed over, and damaged ones that were set apart."""
    for path in in_order(folder.rglob("*")):
        if path.suffix == PARTIAL and path.is_file() and not is_claimed(path):  # who writes has it locked
            yield path, "its writer was killed"
        elif path.parent.name == QUARANTINE and path.is_file():
            yield path, "damaged, and set apart by 'store repair'"


def removed(files: Sequence[Leftover]) -> int:
    """Delete files, but for those that were written again since they were looked at; returns the bytes that this frees.

    Raises LockError where another process has taken over the lock of their store.
    """
    freed = 0
    for leftover in files:
        with suppress(FileNotFoundError):
            status = anew(leftover.file).stat()
            if (status.st_size, status.st_mtime) == (leftover.nbytes, leftover.written):
                leftover.file.unlink()
                freed += leftover.nbytes
    return freed
