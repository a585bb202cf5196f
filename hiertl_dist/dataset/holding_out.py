"""``hold_out``: which frames are kept out of a fit, to be evaluated afterwards."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import InputError
from ..frames.digests import first_equal, hex_of
from ..frames.frame_sequence import FrameSequence, joined_frames, sequence_of, taken
from ..text.words import count_text, shown
from .draws import draw_order, drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..frames.frame import Frame

MOST_NAMED: Final = 3
"""Pairs of equal frames that a note names."""

MOST_READ: Final = 500
"""Equal frames of which the labels are compared, evenly spread over all."""

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
) -> tuple[Sequence[Frame], Sequence[Frame]]:
    """Share out frames into those that are fitted and those that are held out; both in the order given.

    Equal configurations are held out together. What is chosen follows from the contents of the frames, and with
    ``every`` from their order; not from the machine or the time.

    Parameters
    ----------
    frames : sequence of Frame
        Labelled or not; a list or a :class:`~hiertl_dist.Dataset`.
    groups : sequence of str, or str, default ()
        Patterns of ``Frame.group`` (``t03*``), or one; all frames of a group that one of them matches are held out.
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
    fitted : sequence of Frame
        The frames to be fitted: a list, or of a data set a part of it.
    held_out : sequence of Frame
        The frames that are held out.

    Raises
    ------
    InputError
        A pattern matches no group, nothing or everything would be held out, or options contradict each other.
    """
    check_hold_out(fraction, every)
    groups = [groups] if isinstance(groups, str) else groups  # else a pattern for each of its letters
    sequence = sequence_of(frames)
    facts = sequence.facts
    group_names = sorted(facts.groups())
    matched = {p: [n for n in group_names if fnmatchcase(n, p)] for p in groups}
    for pattern, names in matched.items():
        if not names:
            raise InputError(f"hold_out: {pattern!r} matches no group; there are {group_names[:20]}")
    whole_groups = {name for names in matched.values() for name in names}
    held_out = np.array([name in whole_groups for name in facts.group_names], np.bool_)[facts.group]
    if fraction is not None or every is not None:
        others = np.flatnonzero(~held_out)
        rest = sequence.take(others) if len(others) < len(sequence) else sequence
        single = _drawn(rest, fraction, seed) if fraction is not None else _counted(rest, every or 0)
        if not single.any():
            raise InputError(
                f"hold_out: none of {len(others)} frames would be held out by "
                f"{f'fraction = {fraction}' if fraction is not None else f'every = {every}'}"
            )
        held_out |= _equal_to(sequence.configurations, others[single])
    if len(frames) and held_out.all():
        options = [f"groups = {list(groups)}"] * bool(groups) + [f"fraction = {fraction}"] * (fraction is not None)
        options += [f"every = {every}"] * (every is not None)
        raise InputError(
            f"hold_out: {' and '.join(options)} would hold out all {len(frames)} frames, and leave none to fit; the "
            f"groups are {group_names[:20]}"
        )
    return taken(frames, np.flatnonzero(~held_out)), taken(frames, np.flatnonzero(held_out))


def equal_frames_notes(fitted: Sequence[Frame], held_out: Sequence[Frame] = ()) -> tuple[str, ...]:
    """Notes of frames that are there more than once, by species, positions and cell alone.

    They say how many, and whether some that are held out are fitted as well.
    """
    fit, held = sequence_of(fitted), sequence_of(held_out)
    first = first_equal(joined_frames([fit, held]).configurations)
    places = np.flatnonzero(first[: len(fit)] != np.arange(len(fit)))
    again = [(fit.origin(i), fit.origin(int(first[i]))) for i in places[:MOST_NAMED].tolist()]
    leaks = np.flatnonzero(first[len(fit) :] < len(fit))
    notes = []
    if len(places):
        # each is read for it, so of very many some are asked
        alike = {_same_labels(fit[i], fit[int(first[i])]) for i in places[:: max(1, len(places) // MOST_READ)].tolist()}
        labels = " or ".join(
            text for same, text in ((False, "other labels"), (True, "the same labels")) if same in alike
        )
        notes.append(
            f"{count_text(len(places), 'frame')} of {len(fit)} to be fitted "
            f"{'has' if len(places) == 1 else 'have'} the atoms, positions and cell of an earlier one, with "
            f"{labels}, and {'counts' if len(places) == 1 else 'count'} once more: {_same(again, len(places))}"
        )
    if len(leaks):
        pairs = [(held.origin(i), fit.origin(int(first[len(fit) + i]))) for i in leaks[:MOST_NAMED].tolist()]
        notes.append(
            f"WARNING: {len(leaks)} of {len(held)} frames that are held out {'is' if len(leaks) == 1 else 'are'} "
            f"fitted as well, in another group or file: {_same(pairs, len(leaks))}; errors of held-out frames are too "
            "low"
        )
    return tuple(notes)


def each_once(frames: FrameSequence) -> tuple[FrameSequence, tuple[str, ...]]:
    """The frames without repetitions, and what is said of these.

    A repetition is an earlier frame in all that rows depend on, labels and group included.
    """
    first = first_equal(frames.digests)
    places = np.flatnonzero(first != np.arange(len(frames)))
    if not len(places):
        return frames, ()
    again = [(frames.origin(i), frames.origin(int(first[i]))) for i in places[:MOST_NAMED].tolist()]
    one = len(places) == 1
    return frames.take(np.flatnonzero(first == np.arange(len(frames)))), (
        f"{count_text(len(places), 'frame')} of {len(frames)} {'is an earlier one' if one else 'are earlier ones'}, "
        "with the same labels and group, and each counts once here, as it is known by its content (a fit counts it "
        f"each time): {_same(again, len(places))}",
    )


def _equal_to(digests: NDArray[np.uint8], chosen: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) which of some digests are equal to one of those whose numbers are given."""
    first = first_equal(digests)
    equal = np.zeros(len(digests), np.bool_)
    equal[first[chosen]] = True
    return equal[first]


def _same_labels(one: Frame, other: Frame) -> bool:
    pairs = ((one.energy, other.energy), (one.forces, other.forces), (one.stress, other.stress))
    return all(a is b if a is None or b is None else np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def _same(pairs: Sequence[tuple[str, str]], number: int) -> str:
    text = "; ".join(f"{one} is {other}" for one, other in pairs)
    return f"{text} and {number - len(pairs)} more" if number > len(pairs) else text


def _drawn(frames: FrameSequence, fraction: float, seed: int) -> NDArray[np.bool_]:
    """(n,) whether a frame's configuration is drawn from its stratum; parts are rounded by the largest remainder."""
    facts, digests = frames.facts, frames.configurations
    first = first_equal(digests).astype(np.int32)
    distinct = np.flatnonzero(first == np.arange(len(frames))).astype(np.int32)
    pairs = facts.group[distinct] * np.int64(len(facts.set_names)) + facts.sets[distinct]
    codes, sizes = np.unique(pairs, return_counts=True)
    stratum = np.searchsorted(codes, pairs).astype(np.int32)
    del pairs
    strata = [
        (facts.group_names[group], tuple(sorted(facts.set_names[of_set].elements)))
        for group, of_set in (divmod(code, len(facts.set_names)) for code in codes.tolist())
    ]
    total = max(1, round(fraction * len(distinct))) if len(distinct) > 1 else 0
    shares = [fraction * size for size in sizes.tolist()]
    counts = [math.floor(share) for share in shares]
    # the longest remainders are rounded up; equal ones in an order that a hash gives
    order = sorted(range(len(strata)), key=lambda k: (counts[k] - shares[k], drawn(seed, *strata[k])))
    for k in order[: max(0, total - sum(counts))]:
        counts[k] += 1
    by_draw = draw_order(seed, lambda own: hex_of(digests[distinct[own]]), [stratum])
    chosen = np.zeros(len(frames), np.bool_)
    for start, count in zip((np.cumsum(sizes) - sizes).tolist(), counts, strict=True):
        chosen[distinct[by_draw[start : start + count]]] = True
    return chosen[first]


def _counted(frames: FrameSequence, every: int) -> NDArray[np.bool_]:
    """(n,) whether a frame's configuration is one of every so many in its group."""
    first = first_equal(frames.configurations)
    distinct = np.flatnonzero(first == np.arange(len(frames)))
    group = frames.facts.group[distinct]
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    # the number of each within its group, counted from 0
    number = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    chosen = np.zeros(len(frames), np.bool_)
    chosen[distinct[order[number % every == every - 1]]] = True
    return chosen[first]
