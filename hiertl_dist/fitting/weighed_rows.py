"""Weights of rows in a pass: which segments have them, and what is told of them before any row is made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import InputError
from ..frames.frame_sequence import FrameList
from ..frames.rows import KINDS, SUMMARY_KINDS, person_kind
from ..text.words import count_text
from .weights import CHOSEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..design_matrix.segments import Segment
    from ..executors.base import Executor
    from ..frames.frame_sequence import FrameSequence
    from ..frames.row_weights import RowWeights
    from ..model.parameters import Parameters

CHUNK: Final = 256
"""Frames of which weights are looked at in one call."""


@dataclass(frozen=True)
class WeightRange:
    """The weights of the rows of a kind.

    Attributes
    ----------
    rows, zeros : int
        How many rows there are, and how many of them have weight 0.
    lowest, highest : float
        The smallest and the largest weight.
    squares : float
        Sum of their squares.
    """

    rows: int
    zeros: int
    lowest: float
    highest: float
    squares: float

    def __add__(self, other: WeightRange) -> WeightRange:
        """Of the rows of both."""
        return WeightRange(
            self.rows + other.rows, self.zeros + other.zeros, min(self.lowest, other.lowest),
            max(self.highest, other.highest), self.squares + other.squares,
        )  # fmt: skip

    def text(self) -> str:
        """For people."""
        zeros = f", {self.zeros} of them 0" if self.zeros else ""
        if self.lowest == self.highest:
            return f"{self.lowest:.6g} ({count_text(self.rows, 'row')}{zeros})"
        typical = np.sqrt(self.squares / self.rows)
        return f"{self.lowest:.6g} to {self.highest:.6g}, rms {typical:.6g} ({count_text(self.rows, 'row')}{zeros})"


def notes_of_row_weights(
    frames: FrameSequence, weights: RowWeights | None, executor: Executor, of_groups: Mapping[str, float] | str
) -> tuple[str, ...]:
    """What is said of the weights of rows of all frames of a job, before any row is made; nothing without any.

    Raises InputError or TaskFailed for what is wrong with one, naming the frame.
    """
    if weights is None:
        return ()
    return row_weights_notes(weight_ranges(frames, weights, executor), weights, of_groups, ())


def weighed_with_notes(
    segments: Sequence[Segment], frames: FrameSequence, weights: RowWeights | None,
    of_groups: Mapping[str, float] | str | tuple[()], frozen: Sequence[Parameters], executor: Executor,
) -> tuple[tuple[Segment, ...], tuple[str, ...]]:  # fmt: skip
    """Segments of some frames with weights of their rows, and what is said of these; as they are without any.

    Raises
    ------
    InputError, TaskFailed
        What is wrong with a weight, naming the frame; before any row is made.
    """
    if weights is None or not segments:
        return tuple(segments), ()
    used = frames.take(np.concatenate([s.indices for s in segments]))
    ranges = weight_ranges(used, weights, executor)
    if not any(own.squares > 0.0 for own in ranges.values()):
        rows = sum(own.rows for own in ranges.values())
        raise InputError(f"weights of all {rows} rows are 0, which leaves nothing to fit; give some a weight above 0")
    return weighed_segments(segments, weights), row_weights_notes(ranges, weights, of_groups, frozen)


def weighed_segments(segments: Sequence[Segment], weights: RowWeights | None) -> tuple[Segment, ...]:
    """Some segments with weights of their rows; as they are without any."""
    if weights is None:
        return tuple(segments)
    return tuple(replace(s, row_weights=weights.restricted(s.frames)) for s in segments)


def weight_ranges(frames: FrameSequence, weights: RowWeights, executor: Executor) -> dict[str, WeightRange]:
    """The weights of all rows of some frames by kind; all that is wrong with them is an error now.

    Raises
    ------
    TaskFailed
        Naming the frame.
    """
    chunks = [frames[i : i + CHUNK] for i in range(0, len(frames), CHUNK)]
    items = [(chunk, weights.restricted(chunk)) for chunk in chunks]
    found = executor.run(_ranges_of, items, label=_label, what="weights of rows")
    ranges: dict[str, WeightRange] = {}
    for part in found:
        for kind, own in part.items():
            ranges[kind] = ranges[kind] + own if kind in ranges else own
    return {k: ranges[k] for k in KINDS if k in ranges}


def _label(item: tuple[FrameSequence, RowWeights]) -> str:
    return f"weights of {count_text(len(item[0]), 'frame')} (from {item[0].origin(0)} on)"


def _ranges_of(item: tuple[FrameSequence, RowWeights]) -> dict[str, WeightRange]:
    given, weights = item
    frames = FrameList(given)
    values = weights.of(frames)
    kinds = np.array([KINDS.index(person_kind(k)) for k in SUMMARY_KINDS])
    kind = np.repeat(np.tile(kinds, len(frames)), frames.facts.rows_of_kinds.ravel())
    return {
        name: WeightRange(
            len(own), int(np.count_nonzero(own == 0.0)), float(own.min()), float(own.max()), float(np.sum(own**2))
        )
        for k, name in enumerate(KINDS) if len(own := values[kind == k])
    }  # fmt: skip


def row_weights_notes(
    ranges: Mapping[str, WeightRange], weights: RowWeights, groups: object, frozen: Sequence[Parameters]
) -> tuple[str, ...]:
    """What people should know of weights of rows.

    Parameters
    ----------
    ranges : mapping from str to WeightRange
        Of the rows that are fitted.
    weights : RowWeights
        In force.
    groups : object
        Weights of groups beside them, or the word that stands for them.
    frozen : sequence of Parameters
        Models whose predictions are subtracted.
    """
    said = [f"{kind} {own.text()}{_by(weights, kind)}" for kind, own in ranges.items()]
    listed = "" if weights.listed is None else f", with those of {weights.listed}"
    notes = [f"weights of rows: {'; '.join(said)}{listed}; errors are told of rows without weights"]
    if isinstance(groups, str) and groups in CHOSEN:
        notes.append(
            f'weights "{groups}" of kinds multiply those of rows: a factor that all rows of a kind share cancels'
        )
    if frozen and weights.of_labels:
        notes.append(
            f"weights of rows ({', '.join(weights.of_labels)}) depend on labels: on the whole labels, of which frozen "
            "models are not taken off (al_driver weighs by what these leave)"
        )
    return tuple(notes)


def _by(weights: RowWeights, kind: str) -> str:
    given = getattr(weights, kind)
    return f" by {given}" if isinstance(given, str) else ""
