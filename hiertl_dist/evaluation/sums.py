"""What several models say of the same frames, added up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .coverage import OutOfRange, is_long
from .energies import Evaluation
from .frame_rows import widest_ranges

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def sum_evaluations(
    parts: Sequence[Sequence[Evaluation]], coverages: Sequence[Mapping[str, tuple[float, float]]]
) -> list[Evaluation]:
    """The sum, frame by frame, of what several models say.

    ``parts`` has of each its evaluations of all frames, ``coverages`` what it was fitted on.
    """
    return [
        Evaluation(
            sum(e.energy for e in of_frame), np.sum([e.forces for e in of_frame], axis=0),
            np.sum([e.stress for e in of_frame], axis=0),
            _outside_all(of_frame, coverages), widest_ranges([e.ranges for e in of_frame]),
        )
        for of_frame in zip(*parts, strict=True)
    ]  # fmt: skip


def _outside_all(
    of_frame: Sequence[Evaluation], coverages: Sequence[Mapping[str, tuple[float, float]]]
) -> tuple[OutOfRange, ...]:
    """Of what several models flag in a frame, what none of them was fitted on.

    Each once, with the range of all. As in :func:`out_of_range`, a distance counts as known if any block of the
    frame's elements was fitted on it.
    """
    fitted: dict[str, tuple[float, float]] = {}
    for evaluation, coverage in zip(of_frame, coverages, strict=True):
        for key in coverage.keys() & evaluation.ranges.keys():
            pair, (low, high) = key.partition(":")[2], coverage[key]
            before = fitted.get(pair, (low, high))
            fitted[pair] = min(low, before[0]), max(high, before[1])
    worst: dict[tuple[str, bool], OutOfRange] = {}
    for flag in (flag for e in of_frame for flag in e.out_of_range):
        low, high = fitted[flag.pair]
        short = flag.distance < low
        if short or is_long(flag.distance, high):
            extreme = worst.setdefault((flag.pair, short), flag)
            if flag.distance < extreme.distance if short else flag.distance > extreme.distance:
                worst[flag.pair, short] = flag
    return tuple(replace(flag, fitted=fitted[flag.pair]) for flag in worst.values())
