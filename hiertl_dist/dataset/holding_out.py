"""``hold_out``: which frames are kept out of a fit, to be evaluated afterwards."""

from __future__ import annotations

import math
from collections import defaultdict
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import InputError
from ..text.words import count_text, shown
from .folds import drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..frames.frame import Frame

NEIGHBOURS: Final = (
    "frames held out one by one have neighbours of the same trajectory in the fit, which are nearly the same frame: "
    "their errors are lower than those of frames that the model never saw anything like; hold_out.groups keeps whole "
    "trajectories out"
)
"""What is to be known where single frames are held out."""


def check_hold_out(fraction: object, every: object) -> None:
    """Raise InputError where single frames are held out in two ways, or in one that means nothing."""
    if fraction is not None and every is not None:
        raise InputError("hold_out: fraction and every both choose single frames; give one of them")
    if fraction is not None and (
        isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0.0 < fraction < 1.0
    ):
        raise InputError(f"hold_out.fraction: expected a number above 0 and below 1, found {shown(fraction)}")
    if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 2):
        raise InputError(f"hold_out.every: expected an integer of at least 2, found {shown(every)}")


# long: its parameters are documented
def hold_out(
    frames: Sequence[Frame],
    *,
    groups: Sequence[str] = (),
    fraction: float | None = None,
    every: int | None = None,
    seed: int = 0,
) -> tuple[list[Frame], list[Frame]]:
    """Share out frames into those that are fitted and those that are held out; both in the order given.

    Equal configurations are held out together. What is chosen follows from the contents of the frames, and with
    ``every`` from their order; not from the machine or the time.

    Parameters
    ----------
    frames : sequence of Frame
        Labelled or not.
    groups : sequence of str, default ()
        Patterns of ``Frame.group`` (``t03*``); all frames of a group that one of them matches are held out.
    fraction : float, optional
        This part (above 0 and below 1) of the other frames, of each group and each of its element sets alike (the parts
        rounded so that their sum is right); which ones is drawn by a hash of ``seed`` and the frame.
    every : int, optional
        Of each group, counted from its first frame, each frame whose number is a multiple of this, at least 2. It
        cannot stand beside ``fraction``.
    seed : int, default 0
        What the draw of ``fraction`` follows from, with the frames; without effect on ``groups`` and ``every``.

    Returns
    -------
    fitted : list of Frame
        The frames to be fitted.
    held_out : list of Frame
        The frames that are held out.

    Raises
    ------
    InputError
        A pattern matches no group, nothing or everything would be held out, or options contradict each other.
    """
    check_hold_out(fraction, every)
    for pattern in groups:
        if not any(fnmatchcase(f.group, pattern) for f in frames):
            group_names = sorted({f.group for f in frames})
            raise InputError(f"hold_out: {pattern!r} matches no group; there are {group_names[:20]}")
    whole = [any(fnmatchcase(f.group, p) for p in groups) for f in frames]
    others = [f for f, out in zip(frames, whole, strict=True) if not out]
    single: set[str] = set()
    if fraction is not None:
        single = _drawn(others, fraction, seed)
    elif every is not None:
        single = _counted(others, every)
    if (fraction is not None or every is not None) and not single:
        raise InputError(
            f"hold_out: none of {len(others)} frames would be held out by "
            f"{f'fraction = {fraction}' if fraction is not None else f'every = {every}'}"
        )
    held_out = [out or f.configuration in single for f, out in zip(frames, whole, strict=True)]
    if frames and all(held_out):
        options = [f"groups = {list(groups)}"] * bool(groups) + [f"fraction = {fraction}"] * (fraction is not None)
        options += [f"every = {every}"] * (every is not None)
        group_names = sorted({f.group for f in frames})
        raise InputError(
            f"hold_out: {' and '.join(options)} would hold out all {len(frames)} frames, and leave none to fit; the "
            f"groups are {group_names[:20]}"
        )
    fitted = [f for f, out in zip(frames, held_out, strict=True) if not out]
    return fitted, [f for f, out in zip(frames, held_out, strict=True) if out]


def equal_frames_notes(fitted: Sequence[Frame], held_out: Sequence[Frame] = ()) -> tuple[str, ...]:
    """Notes of frames that are there more than once, by species, positions and cell alone.

    They say how many, and whether some that are held out are fitted as well.
    """
    first: dict[str, Frame] = {}
    again: list[tuple[Frame, Frame]] = []
    labels: set[str] = set()
    for frame in fitted:
        if (earlier := first.setdefault(frame.configuration, frame)) is not frame:
            again.append((frame, earlier))
            labels |= {"other labels"} if not _same_labels(frame, earlier) else {"the same labels"}
    leaks = [(f, first[f.configuration]) for f in held_out if f.configuration in first]
    notes = []
    if again:
        notes.append(
            f"{count_text(len(again), 'frame')} of {len(fitted)} to be fitted "
            f"{'has' if len(again) == 1 else 'have'} the atoms, positions and cell of an earlier one, with "
            f"{' or '.join(sorted(labels))}, and {'counts' if len(again) == 1 else 'count'} once more: {_same(again)}"
        )
    if leaks:
        notes.append(
            f"WARNING: {len(leaks)} of {len(held_out)} frames that are held out {'is' if len(leaks) == 1 else 'are'} "
            f"fitted as well, in another group or file: {_same(leaks)}; errors of held-out frames are too low"
        )
    return tuple(notes)


def each_once(frames: Sequence[Frame]) -> tuple[list[Frame], tuple[str, ...]]:
    """The frames without repetitions, and what is said of these.

    A repetition is an earlier frame in all that rows depend on, labels and group included.
    """
    first: dict[str, Frame] = {}
    again = [(f, earlier) for f in frames if (earlier := first.setdefault(f.digest, f)) is not f]
    if not again:
        return list(frames), ()
    one = len(again) == 1
    return list(first.values()), (
        f"{count_text(len(again), 'frame')} of {len(frames)} {'is an earlier one' if one else 'are earlier ones'}, "
        "with the same labels and group, and each counts once here, as it is known by its content (a fit counts it "
        f"each time): {_same(again)}",
    )


def _same_labels(one: Frame, other: Frame) -> bool:
    pairs = ((one.energy, other.energy), (one.forces, other.forces), (one.stress, other.stress))
    return all(a is b if a is None or b is None else np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def _same(pairs: Sequence[tuple[Frame, Frame]]) -> str:
    text = "; ".join(f"{one.origin} is {other.origin}" for one, other in pairs[:3])
    return f"{text} and {len(pairs) - 3} more" if len(pairs) > 3 else text


def _drawn(frames: Sequence[Frame], fraction: float, seed: int) -> set[str]:
    """Configurations drawn from each stratum; parts are rounded by the largest remainder."""
    strata: dict[tuple[str, tuple[str, ...]], dict[str, None]] = defaultdict(dict)
    home: dict[str, tuple[str, tuple[str, ...]]] = {}
    for frame in frames:
        stratum = home.setdefault(frame.configuration, (frame.group, tuple(sorted(frame.elements))))
        strata[stratum][frame.configuration] = None
    total = max(1, round(fraction * len(home))) if len(home) > 1 else 0
    shares = {s: fraction * len(members) for s, members in strata.items()}
    counts = {s: math.floor(share) for s, share in shares.items()}
    # the longest remainders are rounded up; equal ones in an order that a hash gives
    order = sorted(shares, key=lambda s: (counts[s] - shares[s], drawn(seed, *s)))
    for stratum in order[: max(0, total - sum(counts.values()))]:
        counts[stratum] += 1
    return {c for s, members in strata.items() for c in sorted(members, key=lambda c: drawn(seed, c))[: counts[s]]}


def _counted(frames: Sequence[Frame], every: int) -> set[str]:
    by_group: dict[str, dict[str, None]] = defaultdict(dict)
    home: dict[str, str] = {}
    for frame in frames:
        by_group[home.setdefault(frame.configuration, frame.group)][frame.configuration] = None
    return {c for members in by_group.values() for c in list(members)[every - 1 :: every]}
