"""Frames of an import that are in the data set already, or twice in the import: files that were copied or renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..files.places import each_read
from ..frames.digests import DIGEST, first_equal
from ..text.words import count_text
from .part_reader import PartReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..files.object_path import Place
    from .dataset_index import DatasetIndex


def repeats_notes(folder: Place, index: DatasetIndex, added: int) -> tuple[list[str], list[str]]:
    """What is said of frames, the last of a data set, that have the atoms, positions and cell of an earlier one.

    Parameters
    ----------
    folder : Path or ObjectPath
        The data set.
    index : DatasetIndex
        What it has.
    added : int
        How many frames are new.

    Returns
    -------
    earlier : list of str
        A sentence of those that are in earlier imports, or nothing.
    own : list of str
        The same of those of this import that are in it twice.
    """
    configurations = np.empty((index.frames, DIGEST), np.uint8)
    for places, own in each_read(
        folder, lambda one: (one[2], PartReader(folder, index, one[0]).digests(one[1])), index.by_part()
    ):
        configurations[places] = own[:, DIGEST:]
    first = first_equal(configurations)
    before = index.frames - added
    again = np.flatnonzero(first[before:] != np.arange(before, index.frames)) + before
    is_old = first[again] < before

    def note(frames: NDArray[np.int64], where: str) -> list[str]:
        if not len(frames):
            return []
        one, other = (_origin(folder, index, int(i)) for i in (frames[0], first[frames[0]]))
        have = "has" if len(frames) == 1 else "have"
        return [
            f"{len(frames)} of {count_text(added, 'frame')} added now {have} the atoms, positions and cell of an "
            f"earlier one {where}, such as {one} of {other}: each counts in a fit. If a file was copied, or renamed "
            "since it was imported, import into another folder without it"
        ]

    return note(again[is_old], "that was in the data set"), note(again[~is_old], "of this import")


def _origin(folder: Place, index: DatasetIndex, frame: int) -> str:
    k = int(np.searchsorted(index.starts, frame, side="right")) - 1
    return PartReader(folder, index, k).origins(np.array([frame - index.starts[k]]))[0]
