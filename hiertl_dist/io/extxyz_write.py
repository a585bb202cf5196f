"""Frames as extended XYZ, for a person to look at, for other programs, and to be labelled by them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import FrameError
from ..units import EV

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from ..frames.frame import Frame

SQUARE: Final = (0, 3, 4, 3, 1, 5, 4, 5, 2)
"""Where the nine numbers of a symmetric matrix stand among xx yy zz xy xz yz."""


def structure_lines(frames: Iterable[Frame]) -> Iterator[str]:
    """The lines of a file, each with its line end; coordinates are the same bits when they are read again.

    Parameters
    ----------
    frames : iterable of Frame
        Frames without labels. ``config_type`` in the comment line is the group, ``origin`` where a frame came from.

    Yields
    ------
    str
        A line.

    Raises
    ------
    FrameError
        A frame has a label, which would be lost.
    """
    for frame in frames:
        if any(label is not None for label in (frame.energy, frame.forces, frame.stress)):
            raise FrameError(f"{frame.origin}: expected a frame without labels, found one with: {frame!r}")
        yield from frame_lines(frame)


def frame_lines(
    frame: Frame, values: Mapping[str, object] | None = None, columns: Mapping[str, NDArray[np.float64]] | None = None
) -> Iterator[str]:
    """The lines of a frame, each with its line end; its labels are not written.

    Parameters
    ----------
    frame : Frame
        Whose lattice, periodicity, group (``config_type``), origin, types and positions are written.
    values : mapping from str to object, optional
        More of the comment line, by key: numbers, truth values, texts, and arrays of numbers. Numbers have all digits.
    columns : mapping from str to ndarray of shape (n, 3), optional
        More columns of the lines of atoms, by name.

    Yields
    ------
    str
        A line.
    """
    beside = {} if columns is None else columns
    names = "".join(f":{name}:R:3" for name in beside)
    words = [] if frame.cell is None else [f'Lattice="{_numbers(frame.cell)}"']
    words.append(f"Properties=species:S:1:pos:R:3{names}")
    words += [f"{key}={_value(value)}" for key, value in (values or {}).items()]
    words += [f"config_type={_quoted(frame.group)}", f"origin={_quoted(frame.origin)}"]
    words.append(f'pbc="{" ".join("FT"[p] for p in frame.pbc or (False, False, False))}"')
    yield f"{len(frame)}\n"
    yield " ".join(words) + "\n"
    rows = np.hstack([frame.positions, *beside.values()]).tolist()
    for name, row in zip(frame.species, rows, strict=True):
        yield f"{name} {' '.join(map(repr, row))}\n"


def stress_values(stress: NDArray[np.float64], *, sigma: bool = False) -> NDArray[np.float64]:
    """Nine numbers of a stress as extended XYZ has them: eV/Å³, ASE's sign.

    Parameters
    ----------
    stress : ndarray of shape (6,)
        kcal/mol/Å³, xx yy zz xy xz yz, positive under compression.
    sigma : bool, default False
        It is a standard deviation, whose sign stays.

    Returns
    -------
    ndarray of shape (9,)
        xx xy xz yx yy yz zx zy zz.
    """
    return (stress if sigma else -stress)[list(SQUARE)] / EV


def _value(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "FT"[bool(value)]
    if isinstance(value, np.ndarray):
        return f'"{_numbers(value)}"'
    if isinstance(value, int | float | np.number):
        return repr(value.item() if isinstance(value, np.number) else value)
    return _quoted(str(value))


def _numbers(values: NDArray[np.float64]) -> str:
    return " ".join(map(repr, values.ravel().tolist()))


def _quoted(text: str) -> str:
    """A value of a comment line; what would end it there is written otherwise."""
    return '"' + re.sub(r"[\r\n]", " ", text.replace("\\", "/").replace('"', "'")) + '"'
