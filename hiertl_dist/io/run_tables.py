"""A run of frames made a table: what is plain in compiled code over the whole run, and the rest by the careful reader.

A frame is plain where its comment line, its words and its geometry are beyond doubt. Any other is read again line by
line, by the reader of its format, which finds a fault or none; so there is one judge, and one place that words what is
wrong. Values are the same on both ways, bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..errors import FrameError
from ..frames.frame import SINGULAR
from ..frames.frame_table import Codes, FrameTable, Numbered
from ..frames.type_names import name_fault
from ..units import SYMBOLS
from .cells import with_normals
from .extxyz import NUMBER_OF, SYMBOL_OF
from .geometry_checks import COINCIDING, FARTHEST
from .heads import Cell, Lines
from .kernels.atom_lines import read_lines
from .kernels.columns import PLACES, POSITIONS
from .kernels.near_atoms import mark_near
from .lines import LARGEST, LineSource
from .runs import first_latin, spans_of
from .text_files import BYTE_ORDER_MARK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from ..frames.labels import LabelOrigin
    from .heads import Format, Head
    from .runs import Run

CLOSE: Final = 1.01
"""What is within this factor of a limit is left to the careful reader, whose sums are rounded otherwise."""

MOST_NAMES: Final = 1000
"""Types of atoms in a run."""

NO_CELL: Final = Cell(None, (False, False, False))


class Tabled(NamedTuple):
    """The frames of a run up to the first that can't be read, and what is wrong with that one."""

    table: FrameTable | None
    error: FrameError | None


def table_of_run(run: Run, text: bytes, file: Format, most: int | None = None) -> Tabled:
    """Read the frames of a run.

    Parameters
    ----------
    run : Run
        What of a file it is; not an odd one.
    text : bytes
        Its text.
    file : Format
        What reads its format, and keeps what is met.
    most : int, optional
        How many frames are read at most; default: all.

    Returns
    -------
    Tabled
        The frames before the first fault, None if there are none, and the fault, None if there is none.
    """
    if not text.endswith(b"\n"):
        text += b"\n"
    return _Reader(run, text, file, most).tabled()


class _Reader:
    """The work on one run."""

    def __init__(self, run: Run, text: bytes, file: Format, most: int | None) -> None:
        self.run, self.text, self.file = run, text, file
        self.spans = spans_of(text).first(most)
        self.counts = np.array(self.spans.counts, np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.counts)])
        self.careful = np.zeros(len(self.counts), np.uint8)
        self.latin_from = first_latin(text)

    def tabled(self) -> Tabled:
        n = len(self.counts)
        heads = self._heads()
        rows, types, names = self._atoms(heads)
        codes = Codes[int]()
        cells = [NO_CELL if head is None else head.cell for head in heads]
        cell_of = np.array([codes[id(cell)] for cell in cells], np.int64)
        by_id = {id(cell): cell for cell in cells}
        self._check_geometry(rows, cell_of, [by_id[key] for key in codes])
        others: dict[int, Frame] = {}
        error = None
        for k in np.flatnonzero(self.careful).tolist():
            try:
                others[k] = self._frame(k)
            except FrameError as found:
                error, n = found, k
                break
        if n == 0:
            return Tabled(None, error)
        return Tabled(self._table(n, heads, others, rows, types, names), error)

    def _heads(self) -> list[Head | None]:
        """What frames say beside their atoms; None of those that are not plain."""
        run, spans, count = self.run, self.spans, len(self.counts)
        if self.latin_from < len(self.text):
            self.careful[:] = 1
            return [None] * count
        text = self.text.decode() if self.text.isascii() else None
        returns = b"\r" in self.text
        read = self.file.heads(latin=run.latin).head
        heads = []
        for comment, atoms, n in zip(spans.comments, spans.atoms, spans.counts, strict=True):
            after = self.text.index(b"\n", atoms)
            if text is not None:
                line, atom = text[comment : atoms - 1], text[atoms:after]
            else:
                line, _, atom = self.text[comment:after].decode().partition("\n")
                line = line.removeprefix(BYTE_ORDER_MARK)
            heads.append(read(line.rstrip("\r") if returns else line, atom, n))
        self.careful[:] = [head is None for head in heads]
        return heads

    def _atoms(self, heads: list[Head | None]) -> tuple[NDArray[np.float64], NDArray[np.int64], list[str]]:
        """Rows of numbers, types of atoms and the names of types."""
        total = int(self.starts[-1])
        layouts = Codes[Lines]()
        layout_of = np.array([0 if head is None else layouts[head.lines] for head in heads], np.int64)
        kinds = list(layouts)
        widths = np.array([len(kind.columns) for kind in kinds] or [1], np.int64)
        columns = np.full((len(widths), widths.max()), -1, np.int64)
        for k, kind in enumerate(kinds):
            columns[k, : widths[k]] = kind.columns
        rows = np.zeros((total, PLACES))
        types = np.zeros(total, np.int64)
        words, slow = np.zeros(MOST_NAMES, np.uint64), np.empty((total * PLACES, 3), np.int64)
        buffer = np.frombuffer(self.text, np.uint8)
        n_words, n_slow = read_lines(
            buffer, np.array(self.spans.atoms, np.int64), self.counts, layout_of, widths, columns, rows, types, words,
            slow, FARTHEST, self.careful,
        )  # fmt: skip
        self._read_slow(rows, slow[:n_slow])
        if not n_words:
            return rows, types, []
        found = [word.to_bytes(8, "big").lstrip(b"\0").decode() for word in words[:n_words].tolist()]
        names = self._name(types, found, np.array([k.atomic for k in kinds] or [False])[layout_of])
        checked = np.array([kind.checked for kind in kinds] or [False])[layout_of]
        if checked.any() and names:
            numbers = np.array([NUMBER_OF.get(name, 0) for name in names])
            z = rows[:, 6]
            # where both are of elements, they must be the same
            wrong = (numbers[types] > 0) & (z > 0) & (z < len(SYMBOL_OF)) & (np.trunc(z) != numbers[types])
            self._mark(wrong & np.repeat(checked, self.counts))
        return rows, types, names

    def _read_slow(self, rows: NDArray[np.float64], slow: NDArray[np.int64]) -> None:
        """Let Python read the words that the kernel can't round."""
        flat = rows.reshape(-1)
        for begin, end, at in slow.tolist():
            value = float(self.text[begin:end].upper().replace(b"D", b"E"))
            if not abs(value) < (FARTHEST if at % PLACES < POSITIONS else LARGEST):
                self.careful[np.searchsorted(self.starts, at // PLACES, "right") - 1] = 1
            flat[at] = value

    def _name(self, types: NDArray[np.int64], words: list[str], atomic: NDArray[np.bool_]) -> list[str]:
        """Number the names that words stand for; what is no name, or numbers as names, is for the careful reader."""
        names = Codes[str]()
        of_names = np.array([-1 if w.isdigit() or (w not in SYMBOLS and name_fault(w)) else names[w] for w in words])
        of_numbers = np.array([
            names[SYMBOL_OF[int(w)]] if w.isdigit() and len(w) < 4 and int(w) < len(SYMBOL_OF) else -1 for w in words
        ])  # fmt: skip
        if atomic.any():
            types[:] = np.where(np.repeat(atomic, self.counts), of_numbers[types], of_names[types])
        else:
            types[:] = of_names[types]
        if (types < 0).any():
            self._mark(types < 0)
        return list(names)

    def _mark(self, atoms: NDArray[np.bool_]) -> None:
        """Leave the frames of some atoms to the careful reader."""
        self.careful[np.searchsorted(self.starts, np.flatnonzero(atoms), "right") - 1] = 1

    def _check_geometry(self, rows: NDArray[np.float64], cell_of: NDArray[np.int64], cells: list[Cell]) -> None:
        used = [_used(cell) for cell in cells]
        vectors, repeats = np.array([v for v, _ in used]), np.array([c.pbc for c in cells], np.bool_)
        firm = np.array([firm for _, firm in used])
        volumes = np.abs(np.linalg.det(vectors))
        edges = np.prod(np.linalg.norm(vectors, axis=2), axis=1)
        firm &= (volumes > CLOSE * SINGULAR * edges) & (np.abs(vectors).max(axis=(1, 2)) <= FARTHEST)
        vectors[~firm] = np.eye(3)
        inverses = np.linalg.inv(vectors)
        with np.errstate(over="ignore", invalid="ignore"):  # of a cell that is thinner than any
            spacings = 1.0 / np.linalg.norm(inverses, axis=1)
        firm &= np.where(repeats, spacings, np.inf).min(axis=1) > CLOSE * 2 * COINCIDING
        self.careful[~firm[cell_of]] = 1
        mark_near(rows, self.counts, cell_of, vectors, inverses, spacings, repeats, CLOSE * COINCIDING, self.careful)

    def _frame(self, k: int) -> Frame:
        """A frame, read by the careful reader."""
        run, spans = self.run, self.spans
        latin = run.latin or spans.starts[k] > self.latin_from
        source = LineSource.at(
            run.path, run.first + spans.starts[k], run.line + spans.lines[k] - spans.lines[0], run.frame + k,
            latin=latin, text=self.text[spans.starts[k] : spans.ends[k]],
        )  # fmt: skip
        return next(self.file.frames(source))

    def _table(
        self, n: int, heads: list[Head | None], others: dict[int, Frame], rows: NDArray[np.float64],
        types: NDArray[np.int64], known: list[str],
    ) -> FrameTable:  # fmt: skip
        """The first n frames."""
        text = f"{self.run.path.name}, frame "
        names, groups = Codes[str](), Codes[str]()
        labels: Codes[LabelOrigin | None] = Codes()
        texts = Codes[str]()
        names.update((name, k) for k, name in enumerate(known))
        total = int(self.starts[n])
        cells, pbc = np.zeros((n, 3, 3)), np.zeros((n, 3), np.bool_)
        energies, stresses = np.full(n, np.nan), np.full((n, 6), np.nan)
        has_forces = np.zeros(n, np.bool_)
        group_of, label_of = np.zeros(n, np.int32), np.zeros(n, np.int32)
        origins = np.zeros((n, 2), np.int32)
        lines = np.zeros(n, np.int64)
        positions = np.ascontiguousarray(rows[:total, :3])
        forces = rows[:total, 3:6] * self.file.force
        types = types[:total].copy()
        numbered = Numbered.of(f"{text}{self.run.frame}").text == text and self.run.frame + n < 10**9
        for k, head in enumerate(heads[:n]):
            atoms = slice(int(self.starts[k]), int(self.starts[k + 1]))
            frame = others.get(k)
            if frame is not None:
                types[atoms] = [names[s] for s in frame.species]
                positions[atoms] = frame.positions
                forces[atoms] = np.nan if frame.forces is None else frame.forces
                has_forces[k] = frame.forces is not None
                cell, flags, energy, stress = frame.cell, frame.pbc, frame.energy, frame.stress
                group, label = frame.group, frame.labels
            else:
                assert head is not None
                (cell, flags, *_), energy = head.cell, head.energy
                stress = None if head.stress is None else np.asarray(head.stress)
                group, label, has_forces[k] = head.group, head.labels, head.lines.has_forces
            if cell is not None:
                cells[k], pbc[k] = cell, flags
            if energy is not None:
                energies[k] = energy
            if stress is not None:
                stresses[k] = stress
            group_of[k], label_of[k] = groups[group], labels[label]
            one = Numbered(text, self.run.frame + k, self.run.line + self.spans.lines[k] - self.spans.lines[0])
            one = one if numbered else Numbered.of(str(one))
            origins[k], lines[k] = (texts[one.text], one.number), one.line
        forces[~np.repeat(has_forces, self.counts[:n])] = np.nan
        return FrameTable(
            self.counts[:n].astype(np.int32), tuple(names), types.astype(np.int16), positions, cells, pbc,
            energies, has_forces, forces, stresses, tuple(groups), group_of, tuple(texts), origins, lines,
            tuple(labels), label_of,
        )  # fmt: skip


def _used(cell: Cell) -> tuple[NDArray[np.float64], bool]:
    """Lattice vectors, normal to the others where nothing repeats, and whether those that repeat are not singular."""
    if cell.cell is None:
        return np.eye(3), True
    keep = np.array(cell.pbc)
    if keep.all():
        return cell.cell, True
    if np.abs(cell.cell).max() > FARTHEST:
        return np.eye(3), False
    repeats = cell.cell[keep]
    edges = float(np.prod(np.linalg.norm(repeats, axis=1)))
    if not float(np.prod(np.linalg.svd(repeats, compute_uv=False))) > CLOSE * SINGULAR * edges:
        return np.eye(3), False
    return with_normals(cell.cell, keep), True
