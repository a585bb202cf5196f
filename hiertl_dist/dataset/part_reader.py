"""Frames out of the parts of a data set: what was asked for lately is kept, some megabytes in each process."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..algebra.byte_cache import Kept
from ..frames.frame_facts import FrameFacts
from ..frames.frame_table import FrameTable, Numbered
from .parts import BLOCK, read_blocks, read_ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..files.object_path import Place
    from .dataset_index import DatasetIndex

KEPT: Final = 48 * 2**20
"""Bytes of arrays that a process keeps."""

Key = tuple[str, str, int, str]


_arrays: Kept[Key, NDArray[Any]] = Kept(KEPT, lambda array: int(array.nbytes))
_lock = threading.RLock()
"""Of what is kept: a worker may have threads."""

_ledgers: Kept[Key, dict[str, Any]] = Kept(256, lambda _: 1)

Value = TypeVar("Value")


def _remembered(kept: Kept[Key, Value], key: Key, read: Callable[[], Value]) -> Value:
    """What is kept of a key, read now where it is not, without the lock: of an object store several are at a time."""
    with _lock:
        if (known := kept.get(key)) is not None:
            return known
    value = read()
    with _lock:
        return kept.of(key, lambda _: value)


@dataclass(frozen=True, eq=False)
class PartReader:
    """One part of a data set.

    Attributes
    ----------
    folder : Path or ObjectPath
        The data set.
    index : DatasetIndex
        What it has.
    place : int
        Which of its parts, from 0.
    """

    folder: Place
    index: DatasetIndex
    place: int

    @property
    def _number(self) -> int:
        return self.index.parts[self.place].number

    @property
    def ledger(self) -> Mapping[str, Any]:
        """What was written when the part was complete."""
        key = (str(self.folder), self.index.id, self._number, "")
        return _remembered(
            _ledgers, key, lambda: read_ledger(self.folder, self._number, self.index.ledgers[self.place])
        )

    def _whole(self, array: str) -> NDArray[Any]:
        part = self.index.parts[self.place]
        blocks = np.arange(-(-part.rows(array) // BLOCK[array.partition("/")[0]]))
        return read_blocks(self.folder, part, array, blocks, self.ledger["crc32c"])

    def _kept(self, array: str) -> NDArray[Any]:
        key = (str(self.folder), self.index.id, self._number, array)
        return _remembered(_arrays, key, lambda: self._whole(array))

    @property
    def numbers(self) -> NDArray[np.int32]:
        """(frames, 8) with numbers of the data set's texts instead of the part's."""
        own = self._kept("frames/numbers").copy()
        for column, name in ((1, "formulas"), (2, "groups"), (5, "origins"), (7, "labels")):
            own[:, column] = self.index.codes[name][self.place][own[:, column]]
        return own

    def facts(self, frames: NDArray[np.integer]) -> FrameFacts:
        """The facts of some frames. Who asks for most of a part asks for all parts, and what is read is not kept."""
        read = self._whole if 2 * len(frames) > self.index.parts[self.place].frames else self._kept
        own = read("frames/numbers")[frames]
        formula, group = (self.index.codes[name][self.place][own[:, k]] for k, name in ((1, "formulas"), (2, "groups")))
        energies = read("frames/values")[frames, 0]
        return FrameFacts(self.index.formulas, formula, self.index.groups, group, own[:, 3].astype(np.uint8), energies)

    def stresses(self, frames: NDArray[np.integer]) -> NDArray[np.float64]:
        """(n, 6) stresses of some frames, NaN where there is none."""
        return self._rows("frames/values", frames)[:, 1:7]

    def digests(self, frames: NDArray[np.integer]) -> NDArray[np.uint8]:
        """(n, 64) digests and configurations of some frames."""
        return self._rows("frames/digests", frames).view(np.uint8)

    def origins(self, frames: NDArray[np.integer]) -> list[str]:
        """Where some frames came from."""
        numbers, lines = self.numbers[frames, 5:7].tolist(), self._kept("frames/lines")[frames, 0].tolist()
        return [str(Numbered(self.index.origins[k], n, line)) for (k, n), line in zip(numbers, lines, strict=True)]

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self._kept("frames/numbers")[:, 0], dtype=np.int64)]).astype(np.int64)

    def _rows(self, array: str, rows: NDArray[np.integer]) -> NDArray[Any]:
        """Rows of an array by their numbers within the part."""
        step = BLOCK[array.partition("/")[0]]
        if len(rows) and (np.diff(rows) == 1).all():
            first, last = int(rows[0]), int(rows[-1])
            blocks = np.arange(first // step, last // step + 1)
            data = read_blocks(self.folder, self.index.parts[self.place], array, blocks, self.ledger["crc32c"])
            return data[first % step : first % step + len(rows)]
        blocks, of_rows = np.unique(rows // step, return_inverse=True)
        data = read_blocks(self.folder, self.index.parts[self.place], array, blocks, self.ledger["crc32c"])
        picked: NDArray[Any] = data[of_rows * step + rows % step]
        return picked

    def table(self, frames: NDArray[np.integer]) -> FrameTable:
        """Some frames of the part, at least one, by their numbers within it, in that order."""
        numbers, values, ledger = self._kept("frames/numbers")[frames], self._kept("frames/values")[frames], self.ledger
        counts, first = numbers[:, 0], self._starts[frames]
        ends = np.cumsum(counts, dtype=np.int64)
        atoms = np.arange(ends[-1]) + np.repeat(first - (ends - counts), counts)
        return FrameTable(
            n_atoms=counts, names=tuple(ledger["names"]), types=self._rows("atoms/types", atoms)[:, 0],
            positions=self._rows("atoms/positions", atoms), cells=values[:, 7:].reshape(-1, 3, 3),
            pbc=(numbers[:, 4:5] >> np.arange(3) & 1).astype(np.bool_), energies=values[:, 0].copy(),
            has_forces=(numbers[:, 3] & 2) != 0, forces=self._rows("atoms/forces", atoms), stresses=values[:, 1:7],
            group_names=self.index.groups, groups=self.index.codes["groups"][self.place][numbers[:, 2]],
            origin_texts=self.index.origins,
            origins=np.stack([self.index.codes["origins"][self.place][numbers[:, 5]], numbers[:, 6]], axis=1),
            lines=self._kept("frames/lines")[frames, 0],
            label_origins=self.index.labels, labels=self.index.codes["labels"][self.place][numbers[:, 7]],
        )  # fmt: skip
