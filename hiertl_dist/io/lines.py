"""What the trajectory readers share: numbered lines of a plain or gzipped file, numbers that know the
line they stand on, atom tables, and the checks that every frame passes.

Every error names the file, the frame (counted from 1) and the line.
"""

from __future__ import annotations

import gzip
import io
import itertools
import re
import zlib
from operator import itemgetter
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..errors import FrameError
from ..frames import Frame
from ..type_names import name_fault
from ..units import SYMBOLS
from ..words import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

COINCIDING: Final = 0.01
"""Å: two atoms closer than this are one atom written twice."""

FARTHEST: Final = 1e6
"""Å: a coordinate beyond this is not a position (columns run together, a lost decimal point)."""

NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?", re.ASCII)
GZIP_MAGIC: Final = b"\x1f\x8b"
SUFFIXES: Final = (".xyzf", ".extxyz", ".exyz", ".xyz")


class LineSource:
    """Numbered lines of a text file, gzipped or not, and the number of the frame being read.

    Raises FrameError naming the file when it is damaged or not text, and OSError when it cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.number = 0
        self.frame = 0
        self.first_line = 0
        self._raw = self.path.open("rb")
        magic = self._raw.read(2)
        self._raw.seek(0)
        stream = gzip.GzipFile(fileobj=self._raw) if magic == GZIP_MAGIC else self._raw
        self._text: IO[str] = io.TextIOWrapper(stream, encoding="utf-8-sig")

    def __enter__(self) -> LineSource:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()
        self._raw.close()

    @property
    def origin(self) -> str:
        """What a frame says about where it came from."""
        return f"{self.path.name}, frame {self.frame}"

    def error(self, text: str, line: int | None = None) -> FrameError:
        """The exception to raise about a line (default: the last one read)."""
        return FrameError(f"{self.path}, frame {self.frame}, line {line or self.number}: {text}")

    def read(self) -> str | None:
        """The next line, or None at the end of the file."""
        try:
            line = self._text.readline()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FrameError(f"{self.path}: damaged gzip file after line {self.number}: {error}") from error
        except UnicodeDecodeError as error:
            raise FrameError(f"{self.path}: not a text file, after line {self.number}: {error}") from error
        if not line:
            return None
        self.number += 1
        return line

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

    def has_more(self) -> bool:
        """Whether anything but blank lines is left; what is found is consumed."""
        return self.read_filled() is not None


class AtomTable(NamedTuple):
    """Symbols, (n, k) numbers, and the line of the first atom."""

    species: tuple[str, ...]
    numbers: NDArray[np.float64]
    first_line: int


def frames_in(source: LineSource, parse: Callable[[int], Frame]) -> Iterator[Frame]:
    """Frames of a file: the number of atoms is read here, the rest of a frame by ``parse(n)``."""
    while (line := source.read_filled()) is not None:
        source.frame += 1
        words = line.split()
        if len(words) != 1 or not words[0].isascii() or not words[0].isdigit() or int(words[0]) == 0:
            raise source.error(f"expected the number of atoms, a positive integer, found {line.strip()!r}")
        yield parse(int(words[0]))
    if source.frame == 0:
        raise FrameError(f"{source.path}: expected at least one frame, found an empty file")


def number(source: LineSource, word: str, what: str, line: int | None = None) -> float:
    """A finite number; Fortran's D exponents are accepted. Raises FrameError naming ``what``."""
    if not NUMBER.fullmatch(word):
        raise source.error(f"expected a finite number for {what}, found {word!r}", line)
    value = float(word.replace("D", "E").replace("d", "e"))
    if not np.isfinite(value):
        raise source.error(f"expected a finite number for {what}, found {word!r}", line)
    return value


def read_atoms(
    source: LineSource,
    n: int,
    width: Callable[[list[str]], int],
    species_column: int,
    columns: Callable[[int], Sequence[int]],
) -> AtomTable:
    """Read n atom lines.

    Parameters
    ----------
    width : number of columns that every line must have, from the words of the first.
    columns : which columns are numbers to return, given that width.
    """
    rows = source.read_rows(n)
    first_line = source.first_line
    expected = width(rows[0])
    if set(map(len, rows)) != {expected}:
        k = next(k for k, row in enumerate(rows) if len(row) != expected)
        raise source.error(f"expected {expected} columns, found {len(rows[k])}", first_line + k)
    species = tuple(row[species_column] for row in rows)
    for name in sorted(set(species) - SYMBOLS):
        if fault := name_fault(name):
            raise source.error(
                f"expected a chemical symbol or the name of a type of atoms, found {shown(name)}: {fault}",
                first_line + species.index(name),
            )
    return AtomTable(species, _numbers(source, rows, columns(expected), first_line), first_line)


def _numbers(
    source: LineSource, rows: list[list[str]], columns: Sequence[int], first_line: int
) -> NDArray[np.float64]:
    words = list(itertools.chain.from_iterable(map(itemgetter(*columns), rows)))
    # float() takes "nan", "1_0" and digits of other scripts: anything odd goes the slow way,
    # which knows the line.
    text = "".join(words)
    try:
        values = np.array(list(map(float, words))).reshape(len(rows), len(columns))
        if text.isascii() and "_" not in text and np.isfinite(values).all():
            return values
    except ValueError:
        pass
    return np.array(
        [
            [number(source, row[c], f"column {c + 1}", first_line + k) for c in columns]
            for k, row in enumerate(rows)
        ]
    )


def make_frame(source: LineSource, atoms: AtomTable, header_line: int, **labels: Any) -> Frame:
    """The frame, checked: its own errors get the line, and no two atoms may coincide."""
    far = np.abs(labels["positions"]).max(axis=1) > FARTHEST
    if far.any():
        k = int(np.argmax(far))
        raise source.error(
            f"expected positions within {FARTHEST:.0e} Å, found {labels['positions'][k].tolist()}",
            atoms.first_line + k,
        )
    try:
        frame = Frame(atoms.species, origin=source.origin, **labels)
    except FrameError as error:
        raise source.error(str(error).removeprefix(f"{source.origin}: "), header_line) from error
    if frame.cell is not None and (thickness := float(_spacings(frame.cell).min())) < 2 * COINCIDING:
        raise source.error(
            f"singular cell: it is {thickness:.3g} Å thick, so atoms coincide with their own images",
            header_line,
        )
    pair = coinciding_atoms(frame.positions, frame.cell)
    if pair is not None:
        i, j, distance = pair
        raise source.error(
            f"atoms {i + 1} (line {atoms.first_line + i}) and {j + 1} (line {atoms.first_line + j}) "
            f"coincide: {distance:.3g} Å apart{'' if frame.cell is None else ', periodic images included'}",
            atoms.first_line + j,
        )
    return frame


def _spacings(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances between opposite faces of a cell, (3,) Å."""
    distances: NDArray[np.float64] = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    return distances


def coinciding_atoms(
    positions: NDArray[np.float64], cell: NDArray[np.float64] | None, closer: float = COINCIDING
) -> tuple[int, int, float] | None:
    """The first pair of atoms closer than ``closer`` Å, as (i, j, distance); None where there is none.

    Atoms are dropped into bins at least 2 × ``closer`` wide, on grids shifted by half a bin along each
    axis: of two atoms that close, at least one grid of the eight has both in one bin. That is linear in
    the number of atoms; a neighbour list with so short a cutoff spends its time on empty cells.
    """
    if len(positions) < 2:
        return None
    if cell is None:
        scaled, bins = (positions - positions.min(axis=0)) / (2 * closer), None
    else:
        fractions = positions @ np.linalg.inv(cell)
        bins = np.floor(_spacings(cell) / (2 * closer))
        scaled = (fractions - np.floor(fractions)) * bins
    grids = [np.floor(scaled), np.floor(scaled + 0.5)]
    if bins is not None:
        grids = [grid % bins for grid in grids]
    hashed = np.array(grids).astype(np.int64) * np.array([1, 1_000_003, 998_244_353_111])
    keys = np.array(
        [
            hashed[a, :, 0] + hashed[b, :, 1] + hashed[c, :, 2]
            for a, b, c in itertools.product((0, 1), repeat=3)
        ]
    )
    if not (np.diff(np.sort(keys, axis=1), axis=1) == 0).any():
        return None
    return _closest_in_bins(positions, cell, keys, closer)


def _closest_in_bins(
    positions: NDArray[np.float64], cell: NDArray[np.float64] | None, keys: NDArray[np.int64], closer: float
) -> tuple[int, int, float] | None:
    found: list[tuple[int, int, float]] = []
    for key in keys:
        order = np.argsort(key, kind="stable")
        edges = np.flatnonzero(np.diff(key[order])) + 1
        for members in np.split(order, edges):
            for i, j in itertools.combinations(members.tolist(), 2):
                delta = positions[j] - positions[i]
                if cell is not None:
                    fraction = delta @ np.linalg.inv(cell)
                    delta = (fraction - np.round(fraction)) @ cell
                distance = float(np.linalg.norm(delta))
                if distance < closer:
                    found.append((i, j, distance))
                    break
    return min(found, default=None)


def stem(path: Path) -> str:
    """A file's name without ``.gz`` and without the extension of a trajectory."""
    name = path.name.removesuffix(".gz")
    return next((name.removesuffix(s) for s in SUFFIXES if name.endswith(s) and name != s), name)
