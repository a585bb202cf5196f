"""Which frames of a sequence are meant: by numbers, by a mask, by their elements and groups."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..text.display import listed
from ..text.words import shown
from .element_set import ElementSet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from .frame_facts import FrameFacts


def checked_numbers(indices: NDArray[np.integer], frames: int) -> NDArray[np.integer]:
    """Numbers of frames.

    Raises IndexError where one is none of so many frames, TypeError for what are no whole numbers, such as a mask.
    """
    if len(indices) and np.asarray(indices).dtype.kind not in "iu":
        raise TypeError(
            f"expected numbers of {frames} frames, found an array of {np.asarray(indices).dtype}; a mask stands "
            "between brackets: data[mask]"
        )
    wrong = np.flatnonzero((indices < 0) | (indices >= frames))
    if len(wrong):
        raise IndexError(f"expected numbers of {frames} frames, found {int(indices[wrong[0]])}")
    return indices


def numbers_meant(index: Any, frames: int) -> NDArray[np.int64]:
    """The numbers of frames that a list or an array means between brackets, as of a NumPy array of so many.

    Raises IndexError where a number is none of theirs, where a mask has another length, and TypeError for what is
    neither numbers nor a mask.
    """
    meant = np.asarray(index) if isinstance(index, np.ndarray | list | range) else np.asarray(None)
    if meant.ndim == 1 and not len(meant) and not isinstance(index, np.ndarray):
        return np.empty(0, np.int64)
    if meant.ndim != 1 or meant.dtype.kind not in "biu":
        raise TypeError(
            "expected the number of a frame, a slice, or a list or array of numbers or of one bool for each of "
            f"{frames} frames, found {shown(index)}"
        )
    if meant.dtype.kind == "b":
        if len(meant) != frames:
            raise IndexError(f"expected a mask of {frames} frames, found one of {len(meant)}")
        return np.flatnonzero(meant)
    numbers = meant.astype(np.int64)
    wrong = np.flatnonzero((numbers < -frames) | (numbers >= frames))
    if len(wrong):
        raise IndexError(f"expected numbers of {frames} frames, found {meant[wrong[0]]}")
    return np.where(numbers < 0, numbers + frames, numbers)


def frames_where(
    facts: FrameFacts, elements: str | Iterable[str] | None, group: str | Iterable[str] | None
) -> NDArray[np.int64]:  # fmt: skip
    """The numbers of frames that have exactly the elements of a set named, and a group that one of patterns matches."""
    chosen = np.ones(len(facts), np.bool_)
    if elements is not None:
        names = [elements] if isinstance(elements, str) else list(elements)
        chosen &= facts.of_sets({ElementSet.parse(name) for name in names})
    if group is not None:
        present = sorted(facts.groups())
        matching: set[str] = set()
        for pattern in [group] if isinstance(group, str) else group:
            matches = [name for name in present if fnmatchcase(name, pattern)]
            if not matches:
                raise InputError(f"group: {pattern!r} matches no group; there are {listed(present, 20)}")
            matching.update(matches)
        chosen &= np.array([name in matching for name in facts.group_names], np.bool_)[facts.group]
    return np.flatnonzero(chosen)
