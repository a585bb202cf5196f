"""Frames without labels as extended XYZ, for a person to look at, and to be labelled by another program."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..frames.frame import Frame


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
        words = [f"config_type={_quoted(frame.group)}", f"origin={_quoted(frame.origin)}"]
        pbc = frame.pbc or (False, False, False)
        if frame.cell is not None:
            words.insert(0, f'Lattice="{" ".join(map(repr, frame.cell.ravel().tolist()))}"')
        words.insert(-2, "Properties=species:S:1:pos:R:3")
        words.append(f'pbc="{" ".join("FT"[p] for p in pbc)}"')
        yield f"{len(frame)}\n"
        yield " ".join(words) + "\n"
        for name, row in zip(frame.species, frame.positions.tolist(), strict=True):
            yield f"{name} {' '.join(map(repr, row))}\n"


def _quoted(text: str) -> str:
    """A value of a comment line; what would end it there is written otherwise."""
    return '"' + re.sub(r"[\r\n]", " ", text.replace("\\", "/").replace('"', "'")) + '"'
