"""``FrameRecords``: what a summary store keeps of frames whose rows it has, 92 bytes each, and some texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .digests import DIGEST
from .frame_table import Codes, Numbered, numbered_origins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .frame_sequence import FrameSequence

RECORD: Final = np.dtype([
    ("digest", "u1", (DIGEST,)), ("configuration", "u1", (DIGEST,)), ("fold", "<i4"), ("group", "<i4"),
    ("composition", "<i4"), ("origin", "<i4"), ("number", "<i4"), ("line", "<i8"),
])  # fmt: skip
"""What is kept of a frame: digests as bytes; fold; group, composition and origin as numbers of texts; and the number
that follows the text of the origin, −1 for none, and the line, 0 for none. Little-endian, as it is on disk."""

PART: Final = 2**14
"""Frames whose records are made or read at once."""


@dataclass(frozen=True, eq=False)
class FrameRecords:
    """Records of n frames.

    Attributes
    ----------
    rows : ndarray of RECORD, shape (n,)
        One a frame.
    group_names : tuple of str
        Data sources, which rows have the numbers of.
    composition_names : tuple of str
        What frames consist of, such as ``C75N25``, which rows have the numbers of.
    origin_texts : tuple of str
        What origins begin with, ``"a.xyz, frame "``, which rows have the numbers of.
    """

    rows: NDArray[np.void]
    group_names: tuple[str, ...]
    composition_names: tuple[str, ...]
    origin_texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def digests(self) -> NDArray[np.uint8]:
        """(n, 32) ``Frame.digest`` of each."""
        return self._column("digest")

    @property
    def configurations(self) -> NDArray[np.uint8]:
        """(n, 32) ``Frame.configuration`` of each, zeros where nobody said."""
        return self._column("configuration")

    @property
    def folds(self) -> NDArray[np.int32]:
        """(n,) part of the data for cross-validation that each belongs to, −1 for none."""
        return self._column("fold")

    @property
    def groups(self) -> NDArray[np.int32]:
        """(n,) of each, an index into ``group_names``."""
        return self._column("group")

    @property
    def compositions(self) -> NDArray[np.int32]:
        """(n,) of each, an index into ``composition_names``."""
        return self._column("composition")

    def _column(self, name: str) -> NDArray[Any]:
        column: NDArray[Any] = self.rows[name]
        return column

    def take(self, indices: NDArray[np.integer] | NDArray[np.bool_] | slice) -> FrameRecords:
        """Those of some of the frames."""
        return replace(self, rows=self.rows[indices])

    def digest(self, index: int) -> str:
        """``Frame.digest`` of one frame."""
        return bytes(self.digests[index]).hex()

    def configuration(self, index: int) -> str:
        """``Frame.configuration`` of one frame; empty where nobody said."""
        own = self.configurations[index]
        return bytes(own).hex() if own.any() else ""

    def group(self, index: int) -> str:
        """The data source of one frame."""
        return self.group_names[int(self.groups[index])]

    def origin(self, index: int) -> str:
        """File and number of one frame, for people."""
        row = self.rows[index]
        return str(Numbered(self.origin_texts[int(row["origin"])], int(row["number"]), int(row["line"])))


@dataclass(frozen=True, eq=False)
class RecordTexts:
    """Texts of records that become one: each stands once, in the order in which frames name them."""

    groups: Codes[str] = field(default_factory=Codes)
    compositions: Codes[str] = field(default_factory=Codes)
    origins: Codes[str] = field(default_factory=Codes)

    def rows(self, records: FrameRecords) -> NDArray[np.void]:
        """The rows of some records with the numbers that their texts have here; those that are new get the next."""
        rows = records.rows.copy()
        for name, texts, known in (
            ("group", records.group_names, self.groups), ("composition", records.composition_names, self.compositions),
            ("origin", records.origin_texts, self.origins),
        ):  # fmt: skip
            present, first, which = np.unique(rows[name], return_index=True, return_inverse=True)
            numbers = np.empty(len(present), np.int32)
            for k in np.argsort(first).tolist():
                numbers[k] = known[texts[present[k]]]
            rows[name] = numbers[which.reshape(-1)]
        return rows

    def told(self, frames: Sequence[Mapping[str, Any]]) -> NDArray[np.void]:
        """Rows of frames in words: digests in hexadecimal, an empty configuration where nobody said."""
        rows = np.zeros(len(frames), RECORD)
        origins = numbered_origins(f["origin"] for f in frames)
        nobody = DIGEST * "00"
        for name, texts in (
            ("digest", [f["digest"] for f in frames]),
            ("configuration", [f.get("configuration", "") or nobody for f in frames]),
        ):  # fmt: skip
            rows[name] = np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(len(frames), DIGEST)
        rows["fold"], rows["group"] = [f["fold"] for f in frames], [self.groups[f["group"]] for f in frames]
        rows["composition"] = [self.compositions[f.get("composition", "")] for f in frames]
        rows["origin"], rows["number"] = [self.origins[o.text] for o in origins], [o.number for o in origins]
        rows["line"] = [o.line for o in origins]
        return rows

    def records(self, rows: NDArray[np.void]) -> FrameRecords:
        """Records of rows whose texts these are."""
        return FrameRecords(rows, *self.names())

    def names(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """All groups, compositions and beginnings of origins, in the order of their numbers."""
        return tuple(self.groups), tuple(self.compositions), tuple(self.origins)


def records_of(frames: FrameSequence, folds: NDArray[np.integer]) -> FrameRecords:
    """The records of some frames, of some thousand at most, and their folds, (n,)."""
    facts = frames.facts
    rows = np.empty(len(frames), RECORD)
    rows["digest"], rows["configuration"] = frames.digests, frames.configurations
    rows["fold"], rows["group"], rows["composition"] = folds, facts.group, facts.formula
    origins = numbered_origins(frames.origins())
    texts = Codes[str]()
    rows["origin"], rows["number"] = [texts[o.text] for o in origins], [o.number for o in origins]
    rows["line"] = [o.line for o in origins]
    return FrameRecords(rows, facts.group_names, facts.compositions, tuple(texts))


@dataclass(frozen=True, eq=False)
class RecordsOfFrames:
    """The records of any number of frames, some thousand at a time, made whenever they are gone through.

    Attributes
    ----------
    frames : FrameSequence
        The frames.
    folds : ndarray of int, shape (frames,)
        Fold of each.
    """

    frames: FrameSequence
    folds: NDArray[np.integer]

    def __iter__(self) -> Iterator[FrameRecords]:
        for start in range(0, len(self.frames), PART):
            own = slice(start, start + PART)
            yield records_of(self.frames.take(np.arange(*own.indices(len(self.frames)))), self.folds[own])

    def take(self, indices: NDArray[np.integer]) -> RecordsOfFrames:
        """Those of some of the frames, in that order."""
        return RecordsOfFrames(self.frames.take(indices), self.folds[indices])


@dataclass(frozen=True, eq=False)
class JoinedRecords:
    """Records one after the other, whenever they are gone through."""

    parts: Sequence[Iterable[FrameRecords]]

    def __iter__(self) -> Iterator[FrameRecords]:
        return (records for part in self.parts for records in part)


def joined_records(parts: Iterable[FrameRecords], count: int) -> FrameRecords:
    """The records of so many frames as one."""
    texts, rows, done = RecordTexts(), np.empty(count, RECORD), 0
    for part in parts:
        rows[done : done + len(part)] = texts.rows(part)
        done += len(part)
    return texts.records(rows[:done])
