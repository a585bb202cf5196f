"""Files of weights: a number for each row as chimes_lsq writes rows, or for each frame one for each kind."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import InputError
from ..files.paths import require_file
from ..frames.row_weights import MOST, ListedWeights
from ..frames.rows import KINDS, SUMMARY_KINDS, person_kind
from ..text.words import count_text, shown

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..frames.frame_sequence import FrameSequence

NINE: Final = ((0,), (4,), (8,), (1, 3), (2, 6), (5, 7))
"""Of the nine stress rows xx xy xz yx yy yz zx zy zz of chimes_lsq, those of each of xx yy zz xy xz yz."""


# long: its parameters are documented
def read_row_weights(path: str | Path, frames: FrameSequence) -> ListedWeights:
    """A weight for each row of chimes_lsq's A, as al_driver's ``weights.dat`` and ``chimes_lsq.py --weights`` have it.

    The rows are those of the frames in their order: of each its forces, atom by atom; then three rows of a stress of
    which the diagonal is fitted, nine (xx xy xz yx yy yz zx zy zz) of a full one; then three of an energy. Of rows that
    are the same twice or three times here is one, which the objective ``"lsq"`` counts as often; its weight is the
    root of the mean of their squares, which gives the same sum.

    Parameters
    ----------
    path : str or Path
        One number a line.
    frames : FrameSequence
        All frames that chimes_lsq was given, in its order.

    Returns
    -------
    ListedWeights
        For the rows of the frames.

    Raises
    ------
    InputError
        A line that is no finite number ≥ 0, with its number; another number of them than of rows; a frame whose stress
        has neither three nor six components.
    MissingFileError
        There is no such file.

    Examples
    --------
    >>> frames = hiertl_dist.read_frames("OUTCAR.xyzf")
    >>> weights = RowWeights(listed=read_row_weights("weights.dat", frames))
    """
    numbers = _numbers(require_file(path, "weights.rows"))
    facts = frames.facts
    counts = facts.rows_of_kinds
    stress = counts[:, 1] + counts[:, 2]
    for i in np.flatnonzero((stress > 0) & (stress != 6) & ~((counts[:, 1] == 3) & (counts[:, 2] == 0)))[:1].tolist():
        raise InputError(
            f"{path}: {frames.origin(i)} has {stress[i]} components of its stress; chimes_lsq has rows of the diagonal "
            "or of all six"
        )
    theirs = counts[:, 0] + np.where(stress == 6, 9, stress) + 3 * counts[:, 3]
    if len(numbers) != theirs.sum():
        ours = int(facts.n_rows.sum())
        hint = f"; it has as many as there are labels, {ours}" if len(numbers) == ours else ""
        raise InputError(
            f"{path}: expected {theirs.sum()} weights, one for each row of chimes_lsq's A: {counts[:, 0].sum()} of "
            f"forces, {np.where(stress == 6, 9, stress).sum()} of stresses (nine of a full one), "
            f"{3 * counts[:, 3].sum()} of energies (three of each); found {len(numbers)}{hint}"
        )
    parts: list[NDArray[np.float64]] = []
    start = 0
    for n_forces, n_stress, n_energy in zip(counts[:, 0].tolist(), stress.tolist(), counts[:, 3].tolist(), strict=True):
        parts.append(numbers[start : start + n_forces])
        start += n_forces
        if n_stress == 6:
            nine = numbers[start : start + 9]
            parts.append(np.array([_together(nine[list(same)]) for same in NINE]))
            start += 9
        elif n_stress:
            parts.append(numbers[start : start + 3])
            start += 3
        if n_energy:
            parts.append(np.array([_together(numbers[start : start + 3])]))
            start += 3
    return ListedWeights.of_frames(frames, np.concatenate([np.empty(0), *parts]), str(path))


def _together(weights: NDArray[np.float64]) -> float:
    """The weight of equal rows that are one row: equal ones are kept to the last bit."""
    first = float(weights[0])
    return first if (weights == first).all() else float(np.sqrt(np.mean(np.square(weights))))


def _numbers(path: Path) -> NDArray[np.float64]:
    text = _text_of(path)
    lines = text.split("\n")
    lines = lines[:-1] if not lines[-1].strip() else lines
    try:
        if "_" in text or not text.isascii():
            raise ValueError
        found = np.array(lines, np.float64)
    except ValueError:
        found = np.array([_number(line, f"{path}, line {i}") for i, line in enumerate(lines, 1)])
    for i in np.flatnonzero(~((found >= 0.0) & (found < MOST)))[:1].tolist():
        raise InputError(f"{path}, line {i + 1}: expected a finite number ≥ 0, found {shown(lines[i].strip())}")
    return found


def _text_of(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}, line {line}: expected text in UTF-8, found {shown(content[error.start :][:20])}"
        ) from None


def _number(text: str, where: str) -> float:
    try:
        # Python would take 1_000 and digits of other scripts, too
        value = float("" if "_" in text or not text.isascii() else text)
    except ValueError:
        raise InputError(f"{where}: expected one number, found {shown(text.strip())}") from None
    if not 0.0 <= value < MOST:
        raise InputError(f"{where}: expected a finite number ≥ 0, found {shown(text.strip())}")
    return value


# long: its parameters are documented
def read_frame_weights(path: str | Path, frames: FrameSequence) -> ListedWeights:
    """A weight for each kind of row of each frame, from a CSV file with the columns ``frame`` and those kinds.

    ::

        frame,force,energy
        1,1.0,0.3
        2,0.5,0.3

    Parameters
    ----------
    path : str or Path
        The file. ``frame`` counts all frames from 1 in their order; each must be there, once, in any order. A kind that
        has no column has weight 1. Lines that begin with ``#`` are passed over.
    frames : FrameSequence
        All frames, in their order.

    Returns
    -------
    ListedWeights
        For the rows of the frames.

    Raises
    ------
    InputError
        Columns that are not known, a line that does not fit, a frame that is missing or there twice; all with their
        number.
    MissingFileError
        There is no such file.
    """
    place = require_file(path, "weights.frames")
    numbered = enumerate(_text_of(place).split("\n"), 1)
    lines = [(i, line) for i, line in numbered if line.strip() and not line.lstrip().startswith("#")]
    rows = [(i, _cells(line, f"{path}, line {i}")) for i, line in lines]
    if not rows:
        raise InputError(f"{path}: expected a line 'frame,force,energy' and one for each frame, found nothing")
    number, head = rows[0]
    if "frame" not in head or set(head) - {"frame", *KINDS} or len(set(head)) != len(head) or len(head) < 2:
        raise InputError(
            f"{path}, line {number}: expected names of columns, frame and some of {', '.join(KINDS)}, found {head}"
        )
    kinds = [k for k in KINDS if k in head]
    table = np.full((len(frames), len(KINDS)), np.nan)
    lines_of: dict[int, int] = {}
    for number, cells in rows[1:]:
        where = f"{path}, line {number}"
        if len(cells) != len(head):
            raise InputError(f"{where}: expected {len(head)} values, {', '.join(head)}, found {len(cells)}")
        own = dict(zip(head, cells, strict=True))
        frame = _frame_number(own["frame"], len(frames), where)
        if frame in lines_of:
            raise InputError(f"{where}: frame {frame} is there twice, first in line {lines_of[frame]}")
        lines_of[frame] = number
        table[frame - 1] = [_number(own[k], f"{where}, {k}") if k in kinds else 1.0 for k in KINDS]
    if absent := [i for i in range(1, len(frames) + 1) if i not in lines_of]:
        raise InputError(
            f"{path}: no line for frame {absent[0]} ({frames.origin(absent[0] - 1)}); expected one for each of "
            f"{count_text(len(frames), 'frame')}, {len(absent)} are missing"
        )
    of_kind = table[:, [KINDS.index(person_kind(k)) for k in SUMMARY_KINDS]]
    values = np.repeat(of_kind.ravel(), frames.facts.rows_of_kinds.ravel())
    return ListedWeights.of_frames(frames, values, str(path))


def _cells(line: str, where: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line]))]
    except csv.Error as error:
        raise InputError(f"{where}: expected values with commas between them, found {shown(line)}: {error}") from None


def _frame_number(text: str, count: int, where: str) -> int:
    # more digits than that are no number of a frame, and none that Python reads
    if not (text.isascii() and text.isdigit() and len(text) < 20) or not 1 <= int(text) <= count:
        raise InputError(f"{where}: expected the number of a frame, 1 to {count}, found {shown(text)}")
    return int(text)
