"""What is assigned to a fold as a whole, and what earlier folds say of it: arrays of numbers, no text a frame."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import InputError
from ..frames.digests import DigestIndex, first_equal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from ..frames.frame_records import FrameRecords
    from ..frames.frame_sequence import FrameSequence
    from .systems import Labels

NOWHERE: Final = -1
"""Stands for the fold of what has none."""


@dataclass(frozen=True, eq=False)
class KnownFolds:
    """What folds of known frames say of n frames that are to be assigned.

    Attributes
    ----------
    of_frames : ndarray of int32, shape (n,)
        The fold of each of the frames, −1 where it is not known.
    of_configurations : ndarray of int32, shape (n,)
        The fold of a known frame of the same configuration, −1 where there is none.
    of_labels : dict from str to int
        The fold of each group, or system, of a known frame, where these are kept together.
    absent : Counter of (int, str)
        Known frames that are not among these, by fold and composition.
    folds : frozenset of int
        Those of all known frames.
    """

    of_frames: NDArray[np.int32]
    of_configurations: NDArray[np.int32]
    of_labels: dict[str, int]
    absent: Counter[tuple[int, str]]
    folds: frozenset[int]


def known_folds(
    frames: FrameSequence, same: NDArray[np.integer], known: Iterable[FrameRecords], count: int,
    labels_of: Callable[[FrameRecords], Labels | None],
) -> KnownFolds:  # fmt: skip
    """What known frames say.

    Parameters
    ----------
    frames : FrameSequence
        The frames that are to be assigned.
    same : ndarray of int, shape (n,)
        Of each, the number of the first of its configuration.
    known : iterable of FrameRecords
        Records of known frames.
    count : int
        Number of folds.
    labels_of : callable
        What frames of records are kept together by, their groups or systems; ``None`` where they are not.

    Returns
    -------
    KnownFolds
        As far as it has to do with the frames.

    Raises
    ------
    InputError
        A known fold is none of so many.
    """
    nothing = np.broadcast_to(np.int32(NOWHERE), len(frames))
    if not any(len(records) for records in known):
        return KnownFolds(nothing, nothing, {}, Counter(), frozenset())
    of_configurations = np.full(len(frames), NOWHERE, np.int32)
    index = DigestIndex.of(frames.configurations)
    for records in known:
        _check_known(records, count)
        _enter(of_configurations, index.places(records.configurations), records.folds)
    del index  # before there is another
    index = DigestIndex.of(frames.digests)
    of_frames = np.full(len(frames), NOWHERE, np.int32)
    of_labels: dict[str, int] = {}
    absent: Counter[tuple[int, str]] = Counter()
    present: frozenset[int] = frozenset()
    for records in known:
        places = index.places(records.digests)
        _enter(of_frames, places, records.folds)
        absent.update(_by_fold_and_composition(records.take(places < 0)))
        present |= _present(records.folds)
        if labels := labels_of(records):
            codes, at = np.unique(labels.codes, return_index=True)
            own = zip(codes.tolist(), records.folds[at].tolist(), strict=True)
            of_labels = {labels.names[code]: fold for code, fold in own} | of_labels
    digests = index.digests
    del index
    # a frame that is given twice is known twice
    return KnownFolds(of_frames[first_equal(digests)], of_configurations[same], of_labels, absent, present)


def _enter(folds: NDArray[np.int32], places: NDArray[np.int64], known: NDArray[np.int32]) -> None:
    folds[places[places >= 0]] = known[places >= 0]


def _present(folds: NDArray[np.int32]) -> frozenset[int]:
    return frozenset(np.unique(folds).tolist()) - {NOWHERE}


def _by_fold_and_composition(records: FrameRecords) -> Counter[tuple[int, str]]:
    """Number of frames of each fold and composition."""
    names = records.composition_names
    pairs, numbers = np.unique(records.folds.astype(np.int64) * len(names) + records.compositions, return_counts=True)
    counts: Counter[tuple[int, str]] = Counter()
    for pair, number in zip(pairs.tolist(), numbers.tolist(), strict=True):  # names may be those of several formulas
        counts[pair // len(names), names[pair % len(names)]] += number
    return counts


def _check_known(records: FrameRecords, count: int) -> None:
    wrong = np.flatnonzero((records.folds < 0) | (records.folds >= count))
    if len(wrong):
        i = int(wrong[0])
        raise InputError(
            f"folds.count: frame {records.digest(i)!r} is known to be in fold {records.folds[i]}, of 0 … {count - 1}"
        )


@dataclass(frozen=True, eq=False)
class Units:
    """What n frames are assigned as: units, each of which goes to one fold; compositions within them.

    Attributes
    ----------
    of_frames : ndarray of int32, shape (n,)
        The unit of each frame; units are numbered in order of first appearance.
    labels : tuple of str
        Of each unit of groups or systems that stay together, the least of their names; empty where units are
        configurations.
    strata : tuple of str
        What is to be spread over the folds: compositions, or element sets where systems stay together, sorted; a single
        empty one where they are of no matter.
    starts : ndarray of int32, shape (units + 1,)
        Where the strata of a unit begin in the arrays that follow, and those of the next.
    numbers : ndarray of int
        Numbers of strata of the units, one unit after the other, rising in each.
    sizes : ndarray of int
        How many frames of the unit have it.
    """

    of_frames: NDArray[np.int32]
    labels: tuple[str, ...]
    strata: tuple[str, ...]
    starts: NDArray[np.int32]
    numbers: NDArray[np.integer]
    sizes: NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def by_size(self) -> NDArray[np.integer]:
        """(units,) a number of each, the smaller the more frames it has."""
        totals = np.bincount(self.of_frames, minlength=len(self))
        return small(totals.max(initial=0) - totals)

    def ranks(self) -> NDArray[np.integer]:
        """(units,) places of units by the sorted names of their strata; those that have the same share one."""
        several = np.flatnonzero(np.diff(self.starts) > 1)
        lists = {u: tuple(self.numbers[self.starts[u] : self.starts[u + 1]].tolist()) for u in several.tolist()}
        rank = {own: k for k, own in enumerate(sorted({*lists.values(), *((c,) for c in self._strata())}))}
        ranks = small(np.array([rank[c,] for c in self._strata()], np.int32), len(rank))
        of_units: NDArray[np.integer] = ranks[self.numbers[self.starts[:-1]]]
        for unit, own in lists.items():
            of_units[unit] = rank[own]
        return of_units

    def _strata(self) -> range:
        return range(len(self.strata))


def small(numbers: NDArray[np.integer], most: int | None = None) -> NDArray[np.integer]:
    """Numbers from 0 to a largest one in the type that takes fewest bytes; by default the largest that is there."""
    largest = int(numbers.max(initial=0)) if most is None else most
    smaller: NDArray[np.integer] = numbers.astype(np.min_scalar_type(largest))
    return smaller


def units_of(
    frames: FrameSequence, same: NDArray[np.integer], labels: Labels | None, stratum: Callable[[str], str]
) -> Units:
    """The units of some frames.

    Parameters
    ----------
    frames : FrameSequence
        The frames.
    same : ndarray of int, shape (n,)
        Of each, the number of the first of its configuration.
    labels : Labels or None
        Frames of a label stay together, and not only those of a configuration.
    stratum : callable
        What frames of a composition are counted with.

    Returns
    -------
    Units
        Labels that share a configuration, be it by way of others, are one.
    """
    facts = frames.facts
    least: tuple[str, ...] = ()
    if labels is not None:
        of_frames, least = _joined_labels(labels, same)
    else:
        of_frames = (np.cumsum(same == np.arange(len(same)), dtype=np.int32) - np.int32(1))[same]
    own = [stratum(c) for c in facts.compositions]
    strata = tuple(sorted(set(own))) or ("",)
    number = {name: k for k, name in enumerate(strata)}
    codes = np.array([number[name] for name in own], np.int32)
    pairs = of_frames * np.int64(len(strata))
    pairs += codes[facts.formula]
    pairs, sizes = np.unique(pairs, return_counts=True)
    n_units = int(of_frames.max(initial=-1)) + 1
    starts = np.searchsorted(pairs, np.arange(n_units + 1) * len(strata)).astype(np.int32)
    pairs %= len(strata)
    return Units(of_frames, least, strata, starts, small(pairs, len(strata)), small(sizes))


def _joined_labels(labels: Labels, same: NDArray[np.integer]) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """The unit of each frame, where labels that share a configuration are one; the least name of each unit."""
    from scipy.cluster.hierarchy import DisjointSet  # it takes long to load, and is seldom needed

    codes, names = labels.codes, labels.names
    sets: DisjointSet[int] = DisjointSet(np.unique(codes).tolist())
    differ = np.flatnonzero(codes != codes[same])
    for one, other in np.unique(np.stack([codes[differ], codes[same[differ]]]), axis=1).T.tolist():
        sets.merge(one, other)
    present, first = np.unique(codes, return_index=True)
    unit_of_root: dict[int, int] = {}
    unit_of_code = np.zeros(len(names), np.int32)
    least: dict[int, str] = {}
    for code in present[np.argsort(first)].tolist():
        unit = unit_of_code[code] = unit_of_root.setdefault(sets[code], len(unit_of_root))
        least[unit] = min(names[code], least.get(unit, names[code]))
    return unit_of_code[codes], tuple(least.values())


def least_digests(units: Units, digests: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(units,) of each unit, the number of a frame that has the least digest."""
    n_units = len(units)
    several = np.bincount(units.of_frames, minlength=n_units) > 1
    least = np.empty(n_units, np.int32)
    least[units.of_frames[::-1]] = np.arange(len(units.of_frames) - 1, -1, -1, dtype=np.int32)
    places = np.flatnonzero(several[units.of_frames])
    of_places = units.of_frames[places]
    heads = np.ascontiguousarray(digests[places, :8]).view(">u8").reshape(-1).astype(np.uint64)
    order = np.lexsort((heads, of_places))
    places, of_places, heads = places[order], of_places[order], heads[order]
    least[of_places[::-1]] = places[::-1]
    # heads that are the same decide only where the digests are, as those of a frame that is given twice
    alike = np.flatnonzero((of_places[1:] == of_places[:-1]) & (heads[1:] == heads[:-1]))
    unlike = (digests[places[alike]] != digests[places[alike + 1]]).any(axis=1)
    for unit in np.unique(of_places[alike[unlike]]).tolist():
        own = places[of_places == unit].tolist()
        least[unit] = min(own, key=lambda i: bytes(digests[i]))
    return least


def settled(
    units: Units, known: KnownFolds, frames: FrameSequence, labels: Labels | None, what: str
) -> NDArray[np.int32]:
    """The fold of each unit that has one, by frames, groups, systems or configurations of its own; −1 of the others.

    ``what`` labels are, in words. Raises InputError where these differ, naming two of them.
    """
    lowest, highest = np.full(len(units), np.iinfo(np.int32).max, np.int32), np.full(len(units), NOWHERE, np.int32)
    sources = [known.of_frames, known.of_configurations]
    if labels is not None:
        sources.append(np.array([known.of_labels.get(n, NOWHERE) for n in labels.names], np.int32)[labels.codes])
    for of_frames in sources:
        has = np.flatnonzero(of_frames >= 0)
        np.minimum.at(lowest, units.of_frames[has], of_frames[has])
        np.maximum.at(highest, units.of_frames[has], of_frames[has])
    wrong = np.flatnonzero(lowest < highest)
    if len(wrong):
        members = np.flatnonzero(units.of_frames == wrong[0])
        raise InputError(_contradiction(members.tolist(), known, frames, labels, what))
    return highest


def _contradiction(
    members: list[int], known: KnownFolds, frames: FrameSequence, labels: Labels | None, what: str
) -> str:
    """What is said of frames that have to be in one fold and are known in two; ``what`` is kept together."""
    facts = frames.facts
    names = {} if labels is None else {i: labels.names[labels.codes[i]] for i in members}
    reasons: dict[int, set[str]] = {}
    for i in members:
        origin = f"{frames.origin(i)} of group {facts.group_names[facts.group[i]]!r}"
        of_label = known.of_labels.get(names[i], NOWHERE) if names else NOWHERE
        for fold, reason in (
            (int(known.of_frames[i]), origin), (of_label, f"{what} {names.get(i)!r}"),
            (int(known.of_configurations[i]), f"the configuration of {origin}"),
        ):  # fmt: skip
            if fold != NOWHERE:
                reasons.setdefault(fold, set()).add(reason)
    shared = sorted(set(names.values()))
    whole = f"all frames of {what}{'s' * (len(shared) > 1)} {', '.join(map(repr, shared))}"
    if not names:
        whole = "frames of one configuration"
    elif len(shared) > 1:
        whole += ", which share configurations,"
    known_in = " and ".join(f"{min(reasons[fold])} known in fold {fold}" for fold in sorted(reasons)[:2])
    return f"folds.split: expected {whole} in one fold, found {known_in}"
