"""What the trajectory readers share.

Numbered lines of a file in any packing, numbers that know the line they stand on, atom tables, and the checks that
every frame passes. Every error names the file, the frame (counted from 1) and the line.
"""

from __future__ import annotations

import io
import itertools
from operator import itemgetter
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..errors import FrameError
from ..frames.frame import Frame
from ..frames.type_names import name_fault
from ..text.words import shown
from ..units import SYMBOLS
from .comments import NUMBER
from .geometry_checks import FARTHEST, geometry_fault
from .text_files import BYTE_ORDER_MARK, DAMAGES, open_text, packing_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

LARGEST: Final = 1e100
"""Numbers of this size or more are none that anybody means; products of smaller ones do not overflow."""


_OF_NUMBERS: Final = dict.fromkeys(map(ord, "0123456789+-.eE \t"))
"""Letters of plain numbers and of the blanks between them, to be taken out of a text."""


class LineSource:
    """Numbered lines of a text file, packed or not; number and first line, ``begun``, of the frame being read.

    A line that is not UTF-8 is read as Latin-1; ``latin`` is the number of the first such line, 0 without one.

    Raises FrameError naming the file when it is damaged, MissingFileError when it is not there, and OSError when it
    cannot be opened.
    """

    def __init__(self, path: str | Path, text: IO[str] | None = None) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.number = 0
        self.frame = 0
        self.begun = 0
        self.first_line = 0
        self.latin = 0
        self._text, self._packing = open_text(self.path) if text is None else (text, "")

    @classmethod
    def at(cls, path: Path, first: int, line: int, frame: int, *, latin: bool, text: bytes | None = None) -> LineSource:
        """The lines from a certain one on, in which a frame begins.

        Parameters
        ----------
        path : Path
            The file.
        first : int
            The byte at which the line begins.
        line, frame : int
            Numbers of the line and of the frame, from 1.
        latin : bool
            Some line before is not UTF-8.
        text : bytes, optional
            The text from there on; default: that of the file, of which a packed one is read from its beginning.

        Returns
        -------
        LineSource
            Before that line.
        """
        if first == 0 and text is None:
            source = cls(path)
        elif text is None and packing_of(path):
            source = cls(path)
            while source.number < line - 1 and source.read() is not None:
                pass
        else:
            stream: IO[bytes] = io.BytesIO(text or b"") if text is not None else path.open("rb")
            stream.seek(first if text is None else 0)
            encoding = "utf-8" if first else "utf-8-sig"
            source = cls(path, io.TextIOWrapper(stream, encoding=encoding, errors="surrogateescape"))
        source.number, source.frame = line - 1, frame - 1
        source.latin = source.latin or int(latin)
        return source

    def __enter__(self) -> LineSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()

    @property
    def origin(self) -> str:
        """What a frame says about where it came from."""
        return f"{self.name}, frame {self.frame}, line {self.begun}"

    def error(self, text: str, line: int | None = None) -> FrameError:
        """The exception to raise about a line (default: the last one read)."""
        return FrameError(f"{self.path}, frame {self.frame}, line {line or self.number}: {text}")

    def read(self) -> str | None:
        """The next line, or None at the end of the file."""
        try:
            line = self._text.readline()
        except DAMAGES as error:
            raise self._damaged(error) from error
        except OSError as error:
            if self._packing != "bzip2":
                raise
            raise self._damaged(error) from error
        if not line:
            return None
        self.number += 1
        return line if line.isascii() else self._decoded(line)

    def _damaged(self, error: Exception) -> FrameError:
        return FrameError(f"{self.path}: damaged {self._packing} file after line {self.number}: {error}")

    def _decoded(self, line: str) -> str:
        """A line with letters beyond ASCII: without the marks that joined files leave, Latin-1 where not UTF-8."""
        try:
            line.encode()
        except UnicodeEncodeError:
            line = line.encode("utf-8", "surrogateescape").decode("latin-1")
            self.latin = self.latin or self.number
        return line.removeprefix(BYTE_ORDER_MARK)

    def read_filled(self) -> str | None:
        """The next line that is not blank, or None at the end of the file."""
        while (line := self.read()) is not None and not line.strip():
            pass
        return line

    def read_rows(self, n: int) -> list[list[str]]:
        """The words of the next n lines; ``first_line`` is the number of the first of them."""
        self.first_line = self.number + 1
        rows = []
        for k in range(n):
            line = self.read()
            if line is None:
                raise self.error(f"expected {n} atoms, found {k} before the file ends")
            rows.append(line.split())
        return rows


class AtomTable(NamedTuple):
    """Names of types, (n, k) numbers, the line of the first atom, and how many columns were passed over."""

    species: tuple[str, ...]
    numbers: NDArray[np.float64]
    first_line: int
    more: int = 0


def frames_in(source: LineSource, parse: Callable[[int], Frame]) -> Iterator[Frame]:
    """Frames of a file: the number of atoms is read here, the rest of a frame by ``parse(n)``."""
    while (line := source.read_filled()) is not None:
        source.frame += 1
        source.begun = source.number
        word = line.strip()
        # more digits than that are no number of atoms, and Python refuses to read some thousands of them
        if not word.isascii() or not word.isdigit() or len(word) > 18 or int(word) == 0:
            raise source.error(f"expected the number of atoms, a positive integer, found {shown(word)}")
        yield parse(int(word))
    if source.frame == 0:
        raise FrameError(f"{source.path}: expected at least one frame, found an empty file")


def number(source: LineSource, word: str, what: str, line: int | None = None) -> float:
    """A finite number; Fortran's D exponents are accepted. Raises FrameError naming ``what``."""
    if NUMBER.fullmatch(word):
        value = float(word.replace("D", "E").replace("d", "e"))
        if abs(value) < LARGEST:
            return value
    raise source.error(f"expected a finite number for {what}, found {shown(word)}", line)


def plain_numbers(text: str) -> list[float]:
    """The numbers of a text that has nothing but plain ones in it, as :func:`number` gives them; else none."""
    if text.translate(_OF_NUMBERS):
        return []
    try:
        values = list(map(float, text.split()))
    except ValueError:
        return []
    return values if values and max(values) < LARGEST and min(values) > -LARGEST else []


def read_atoms(
    source: LineSource,
    n: int,
    width: Callable[[list[str]], int],
    species_column: int,
    columns: Callable[[int], Sequence[int]],
    *,
    more: bool = False,
    named: bool = True,
) -> AtomTable:
    """Read n atom lines.

    Parameters
    ----------
    source : LineSource
        Before the first of the lines.
    n : int
        Number of atoms.
    width : callable
        ``width(words)``: number of columns that every line must have, from the words of the first.
    species_column : int
        Which column holds the types of the atoms.
    columns : callable
        ``columns(width)``: which columns are numbers to return.
    more : bool, default False
        Lines may have more columns than that, which are passed over.
    named : bool, default True
        The types of the atoms have names; False leaves it to the caller to look at their words.

    Returns
    -------
    AtomTable
        Types and numbers of the atoms, in the order of the lines.
    """
    rows = source.read_rows(n)
    first_line = source.first_line
    expected = width(rows[0])
    widths = set(map(len, rows))
    if widths != {expected}:
        k = next((k for k, row in enumerate(rows) if len(row) < expected or (len(row) > expected and not more)), None)
        if k is not None:
            raise source.error(f"expected {expected} columns, found {len(rows[k])}", first_line + k)
    species = tuple([row[species_column] for row in rows])
    for name in sorted(set(species) - SYMBOLS) if named else ():
        if fault := name_fault(name):
            raise source.error(
                f"expected a chemical symbol or the name of a type of atoms, found {shown(name)}: {fault}",
                first_line + species.index(name),
            )
    numbers = _numbers(source, rows, columns(expected), first_line)
    return AtomTable(species, numbers, first_line, max(widths) - expected)


def _numbers(source: LineSource, rows: list[list[str]], columns: Sequence[int], first_line: int) -> NDArray[np.float64]:
    words = list(itertools.chain.from_iterable(map(itemgetter(*columns), rows)))
    # float() takes "nan", "1_0" and digits of other scripts: anything odd goes the slow way,
    # which knows the line.
    text = "".join(words)
    try:
        values = np.array(list(map(float, words))).reshape(len(rows), len(columns))
        if text.isascii() and "_" not in text and (np.abs(values) < LARGEST).all():
            return values
    except ValueError:
        pass
    return np.array(
        [[number(source, row[c], f"column {c + 1}", first_line + k) for c in columns] for k, row in enumerate(rows)]
    )


def make_frame(source: LineSource, atoms: AtomTable, header_line: int, **labels: Any) -> Frame:
    """The frame, checked: its own errors get the line, and no two atoms may coincide."""
    cell = labels["cell"]
    if cell is not None and np.abs(cell).max() > FARTHEST:
        raise source.error(f"expected lattice vectors within {FARTHEST:.0e} Å, found {cell.tolist()}", header_line)
    try:
        frame = Frame(atoms.species, origin=source.origin, **labels)
    except FrameError as error:
        raise source.error(str(error).removeprefix(f"{source.origin}: "), header_line) from error
    fault = geometry_fault(frame)
    if fault is not None:
        at = [atoms.first_line + k for k in fault.atoms]
        where = " and ".join(f"{k + 1} (line {line})" for k, line in zip(fault.atoms, at, strict=True))
        named = f"atoms {where} " if len(at) > 1 else ""
        raise source.error(f"{named}{fault.text}", at[-1] if at else header_line)
    return frame
