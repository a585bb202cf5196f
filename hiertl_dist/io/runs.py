"""Files of frames cut into runs of whole frames, by bytes and without reading what is in them.

A cut looks for the lines that hold numbers of atoms, and counts line ends between them. Whoever has a run can read its
frames knowing nothing of the rest of the file: their numbers, and those of their lines, stand in the run. Where the
structure is odd (a line that is no number of atoms, a file that ends early, a damaged one, line ends or letters of
another kind), the rest of the file is one run that says so, and it is read line by line, which finds out what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from ..errors import FrameError
from .text_files import BYTE_ORDER_MARK, DAMAGES, UTF_16, open_bytes

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

RUN: Final = 4 * 2**20
"""Bytes of text in a run, roughly; a frame that is larger is a run of its own."""

MOST_DIGITS: Final = 18
"""Digits of a number of atoms; with more than that it is none."""

LEAST: Final = 8
"""Bytes of the shortest line of an atom, ``H 0 0 0``."""


class Seen(Protocol):
    """A file, or a part of one, as it was when it was looked at."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def size(self) -> int:
        """Its bytes then."""

    @property
    def mtime_ns(self) -> int:
        """When it had been written last, then."""

    @property
    def place(self) -> str:
        """What messages call it."""


@dataclass(frozen=True)
class Run:
    """Consecutive frames of a file.

    Attributes
    ----------
    path : Path
        The file.
    size, mtime_ns : int
        The file's, packed as it is, when it was cut.
    packing : str
        What the file is packed with; empty for a plain one.
    first, last : int
        Where the run begins, at the number of atoms of its first frame, and where it ends: bytes of the text, unpacked.
    frame, line : int
        Numbers, from 1, of the first frame and of its first line.
    frames, atoms : int
        How many there are; 0 of an odd run.
    latin : bool
        Some line before is not UTF-8.
    odd : bool
        What follows in the file has no plain structure.
    """

    path: Path
    size: int
    mtime_ns: int
    packing: str
    first: int
    last: int
    frame: int
    line: int
    frames: int
    atoms: int
    latin: bool = False
    odd: bool = False

    @property
    def place(self) -> str:
        """Its beginning, for messages."""
        return f"{self.path}, frame {self.frame}, line {self.line}"


class Spans(NamedTuple):
    """Where the frames of a text are, and where the scan ended.

    ``starts``, ``comments``, ``atoms`` and ``ends`` are where the number of atoms, the line after it and the first atom
    stand, and the byte after the frame; ``counts`` the numbers of atoms, ``lines`` those of the first line of each
    frame, from 0. ``at`` is the first byte of what is no whole frame, ``line`` its line; ``odd``: it can't be one.
    """

    starts: list[int]
    comments: list[int]
    atoms: list[int]
    ends: list[int]
    counts: list[int]
    lines: list[int]
    at: int
    line: int
    odd: bool

    def first(self, most: int | None) -> Spans:
        """So many frames of these, the first; None: all."""
        return Spans(
            self.starts[:most], self.comments[:most], self.atoms[:most], self.ends[:most], self.counts[:most],
            self.lines[:most], self.at, self.line, self.odd,
        )  # fmt: skip


def spans_of(text: bytes, most: int | None = None) -> Spans:
    """The whole frames at the beginning of a text.

    Parameters
    ----------
    text : bytes
        What begins with a line, and of which only the last line may lack its end; that one is not looked at.
    most : int, optional
        How many bytes there are, with those that are to be read; a frame that can't be in so many is odd.

    Returns
    -------
    Spans
        Where they are.
    """
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == 10)
    found = Spans([], [], [], [], [], [], 0, 0, False)
    at = line = 0
    odd = False
    while line < len(ends):
        end = int(ends[line])
        n = _number_of_atoms(text[at:end])
        if n == 0:
            line, at = line + 1, end + 1
            continue
        if n < 0 or (most is not None and n * LEAST > most - at + 1):
            odd = True
            break
        last = line + 1 + n
        if last >= len(ends):
            break
        found.starts.append(at)
        found.comments.append(end + 1)
        found.atoms.append(int(ends[line + 1]) + 1)
        found.counts.append(n)
        found.lines.append(line)
        line, at = last + 1, int(ends[last]) + 1
        found.ends.append(at)
    return found._replace(at=at, line=line, odd=odd)


def _number_of_atoms(line: bytes) -> int:
    """What a line between frames holds; 0: nothing, −1: no number of atoms."""
    word = line.strip()
    if not (word.isdigit() and len(word) <= MOST_DIGITS):
        text = line.decode("utf-8" if is_utf_8(line) else "latin-1").removeprefix(BYTE_ORDER_MARK).strip()
        if not text:
            return 0
        if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
            return -1
        return int(text) or -1
    return int(word) or -1


def iter_runs(path: Path, size: int = RUN) -> Iterator[Run]:
    """The runs of a file, in order; a plain file's can then be read by whoever has its path.

    Parameters
    ----------
    path : Path
        The file, plain or packed.
    size : int, default RUN
        Bytes of text in a run, roughly.

    Yields
    ------
    Run
        At least one.

    Raises
    ------
    MissingFileError, InputError, FrameError, OSError
        The file cannot be opened.
    """
    for run, _ in iter_run_bytes(path, size):
        yield run


def iter_run_bytes(path: Path, size: int = RUN) -> Generator[tuple[Run, bytes], None, None]:
    """The runs of a file as :func:`iter_runs` gives them, each with its text; that of an odd run is empty."""
    stream, packing, head = open_bytes(path)
    with stream:
        status = path.stat()
        held, first, frame, line, latin = b"", 0, 1, 1, False

        def run(begin: int, end: int, spans: Spans | None) -> Run:
            own = (0, 0) if spans is None else (len(spans.counts), sum(spans.counts))
            at = line + (spans.lines[0] if spans else 0)
            return Run(
                path, status.st_size, status.st_mtime_ns, packing, begin, end, frame, at, *own, latin, spans is None
            )

        ended = odd = head.startswith(UTF_16) and not packing
        while not ended:
            try:
                more = stream.read(max(size, len(held)))
            except (*DAMAGES, OSError):
                odd = True
                break
            held, ended = held + more, not more
            if lone_returns(held, ended) and not (ended and held.isspace()):
                odd = True
                break
            complete = held + b"\n" if ended and held and not held.endswith(b"\n") else held
            spans = spans_of(complete, None if packing else status.st_size - first)
            if spans.counts:
                begin, end = spans.starts[0], min(spans.ends[-1], len(held))
                latin = latin or not is_utf_8(held[:begin])
                text = held[begin:end]
                yield run(first + begin, first + end, spans), text
                frame += len(spans.counts)
            latin = latin or not (held.isascii() or is_utf_8(held[: spans.at]))
            held, first, line = held[spans.at :], first + spans.at, line + spans.line
            odd = spans.odd or (ended and bool(held))
            ended = ended or odd
        if odd or frame == 1:
            yield run(first, status.st_size, None), b""


def lone_returns(text: bytes, ended: bool) -> bool:
    """Whether a carriage return in a text ends a line by itself; the last letter may have its line feed to come."""
    if b"\r" not in text:  # which is found much faster than they are counted
        return False
    return text.count(b"\r") - (not ended and text.endswith(b"\r")) != text.count(b"\r\n")


def is_utf_8(text: bytes) -> bool:
    """Whether a text is in UTF-8."""
    return first_latin(text) == len(text)


def first_latin(text: bytes) -> int:
    """Where the first byte of a text is that is not UTF-8; its end, if there is none."""
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError as error:
            return error.start
    return len(text)


def read_run(run: Run) -> bytes:
    """The text of a run of a plain file, as it was when the file was cut.

    Raises
    ------
    FrameError
        The file has changed since.
    OSError
        It cannot be read.
    ValueError
        The run is of a packed file, whose text only :func:`iter_run_bytes` gives, or an odd one.
    """
    if run.packing or run.odd:
        raise ValueError(f"expected a run of a plain file with whole frames, found {run}")
    with run.path.open("rb") as stream:
        refuse_changed(run)
        stream.seek(run.first)
        text = stream.read(run.last - run.first)
    spans = spans_of(text if text.endswith(b"\n") else text + b"\n")
    if (spans.starts[:1], len(spans.counts), sum(spans.counts)) != ([0], run.frames, run.atoms):
        raise changed(run)
    return text


def first_frames(runs: Sequence[Run], frames: int) -> list[Run]:
    """The first frames of a plain file: its runs, of which the last may be shortened, which reads it."""
    kept: list[Run] = []
    for run in runs:
        left = frames - sum(one.frames for one in kept)
        if run.frames > left > 0:
            spans = spans_of(read_run(run)).first(left)
            run = replace(run, last=run.first + spans.ends[-1], frames=left, atoms=sum(spans.counts))
        kept += [run] if left > 0 else []
    return kept


def refuse_changed(seen: Seen) -> None:
    """Raise FrameError where a file is not as it was when it was looked at."""
    status = seen.path.stat()
    if (status.st_size, status.st_mtime_ns) != (seen.size, seen.mtime_ns):
        raise changed(seen)


def changed(seen: Seen) -> FrameError:
    """What is raised where a file is not as it was when it was looked at."""
    return FrameError(f"{seen.place}: the file changed while it was read; read it again once nothing writes to it")
