"""Samples of labels for figures: of many, about so many, spread evenly over all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_POINTS: Final = 200_000
"""Labels of a kind in a panel of a figure, about; of more, a sample."""

GOLDEN: Final = (5.0**0.5 - 1.0) / 2.0
"""Multiples of it, less their whole part, are spread evenly, and fall in step with no number of atoms or components."""


class Points(NamedTuple):
    """Labels of a kind, what the model says of them, and the number of their frame; units of ``Errors``."""

    labels: NDArray[np.float64]
    values: NDArray[np.float64]
    frames: NDArray[np.int32]


NO_POINTS: Final = Points(np.empty(0), np.empty(0), np.empty(0, np.int32))


def joined_points(parts: Sequence[Points], firsts: Sequence[int]) -> Points:
    """Those of runs of frames, whose first frames have the numbers ``firsts``."""
    frames = [p.frames + np.int32(first) for p, first in zip(parts, firsts, strict=True)]
    return Points(
        np.concatenate([NO_POINTS.labels, *(p.labels for p in parts)]),
        np.concatenate([NO_POINTS.values, *(p.values for p in parts)]),
        np.concatenate([NO_POINTS.frames, *frames]),
    )


def share_of(labels: int) -> float:
    """The part of so many labels that is drawn."""
    return min(1.0, MOST_POINTS / max(labels, 1))


def spread_evenly(first: int, count: int, share: float) -> NDArray[np.int64]:
    """Which of ``count`` things, the first of which has the number ``first``, are in a sample of that share of all."""
    if share >= 1.0:
        return np.arange(count)
    return np.flatnonzero(np.modf(GOLDEN * np.arange(first, first + count, dtype=np.float64))[0] < share)
