"""Facts of the frames of a data set or of a part of it; those of parts are kept up to so many bytes in each process."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Final

import numpy as np

from ..algebra.byte_cache import Kept
from ..files.places import each_read
from ..frames.frame_facts import FrameFacts
from .part_reader import PartReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from ..files.object_path import Place
    from .dataset_index import DatasetIndex

KEPT: Final = 16 * 2**20
"""Bytes of facts that a process keeps. A plan has as many parts as segments, and each would have its own for good."""

_facts: Kept[int, FrameFacts] = Kept(KEPT, lambda facts: facts.nbytes)
_lock = threading.RLock()
"""Of what is kept: a worker may have threads."""

_numbers = itertools.count()


class KeptFacts:
    """The facts of a part of a data set, made where they are not kept."""

    def __init__(self) -> None:
        self._number = next(_numbers)

    def get(self, make: Callable[[], FrameFacts]) -> FrameFacts:
        """The facts, which ``make`` gives."""
        with _lock:
            return _facts.of(self._number, lambda _: make())


def facts_of_parts(
    folder: Place, index: DatasetIndex, n: int, chosen: Iterable[tuple[int, NDArray[np.integer], NDArray[np.integer]]]
) -> FrameFacts:
    """The facts of some frames of a data set.

    Parameters
    ----------
    folder : Path or ObjectPath
        The data set.
    index : DatasetIndex
        What it has.
    n : int
        How many frames there are in what is given back.
    chosen : iterable of tuple (int, ndarray of int, ndarray of int)
        Of each part that has some of the frames: its place, their numbers in it, their places in what is given back.

    Returns
    -------
    FrameFacts
        In the order of these places.
    """
    formula, group = np.empty(n, np.int32), np.empty(n, np.int32)
    labels, energies = np.empty(n, np.uint8), np.empty(n)
    for there, facts in each_read(
        folder, lambda one: (one[2], PartReader(folder, index, one[0]).facts(one[1])), chosen
    ):
        formula[there], group[there], labels[there] = facts.formula, facts.group, facts.labels
        energies[there] = facts.energies
    return FrameFacts(index.formulas, formula, index.groups, group, labels, energies)
