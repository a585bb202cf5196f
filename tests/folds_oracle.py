"""Folds with a text for every frame, obvious and slow: what ``hiertl_dist.dataset.folds`` does with arrays."""

from __future__ import annotations

import re
from collections import Counter
from fnmatch import fnmatchcase
from fractions import Fraction
from numbers import Integral
from typing import NamedTuple

from scipy.cluster.hierarchy import DisjointSet

from hiertl_dist.dataset.draws import drawn
from hiertl_dist.errors import InputError


def label_of(group, composition, folds):
    """What a frame is kept together by: the group, or its system."""
    if folds.split != "system":
        return group
    elements = sorted(set(re.sub("[0-9]", "", composition)))
    if folds.system == "elements":
        return "".join(elements)
    if folds.system == "composition":
        return composition if len(elements) > 1 else f"{composition} ({group})"
    matching = {name for name, own in folds.system for p in own if p != "*" and fnmatchcase(group, p)}
    (name,) = matching or {name for name, own in folds.system if "*" in own}
    return name


def stratum_of(composition, folds):
    """What frames are counted by."""
    if not folds.stratify:
        return ""
    return "".join(sorted(set(re.sub("[0-9]", "", composition)))) if folds.split == "system" else composition


def assign_folds(frames, folds, known=None, known_labels=None, known_compositions=None, known_configurations=None):
    """The fold of each frame.

    What is known: digest → fold, group or system → fold, digest → composition, configuration → fold.
    """
    known, known_labels, known_compositions, known_configurations = (
        given or {} for given in (known, known_labels, known_compositions, known_configurations)
    )
    together = folds.split in ("group", "system")
    groups = known_labels if together else {}
    for what, folds_of in (("frame", known), (folds.split, groups), ("configuration", known_configurations)):
        _check_known(folds, folds_of, what)
    told = _Told.of(frames, folds)
    names = _units(told, together)
    units = {}
    for i, unit in enumerate(names):
        units.setdefault(unit, []).append(i)
    placed = _settled(units, told, folds.split, known, groups, known_configurations)
    digests = set(told.digests)
    absent = set(groups) - set(told.labels) if together else set(known) - digests
    _require_enough(folds, len(units) + len(absent), sorted(units))
    sizes = {unit: Counter(told.strata[i] for i in members) for unit, members in units.items()}
    full = _Fullness(folds, sizes)
    for digest in sorted(set(known) - digests):
        full.add(known[digest], Counter([stratum_of(known_compositions.get(digest, "?"), folds)]))
    for unit, fold in placed.items():
        full.add(fold, sizes[unit])
    # one composition after the other keeps the folds as even in all frames as in those of a composition
    for unit in sorted(
        set(units) - set(placed), key=lambda u: (-sizes[u].total(), sorted(sizes[u]), drawn(folds.seed, u))
    ):
        placed[unit] = full.emptiest(unit)
        full.add(placed[unit], sizes[unit])
    _require_filled(folds, {*placed.values(), *known.values(), *groups.values(), *known_configurations.values()})
    return [int(placed[unit]) for unit in names]


def _require_enough(folds, n_units, names):
    if n_units < folds.count:
        alike = "frames of one" if folds.split == "frame" else f"{folds.split}s that share a"
        listed = ", ".join(names)
        raise InputError(
            f"folds.count: expected at least {folds.count} {folds.split}s to divide, found {n_units}"
            f"{f' ({listed})' if folds.split == 'system' else ''}, where {alike} configuration count as one"
        )


def _require_filled(folds, filled):
    if empty := sorted(set(range(folds.count)) - filled):
        raise InputError(
            f"folds.count: expected frames in each of {folds.count} folds, found none in {', '.join(map(str, empty))}: "
            f"those that are known leave too few new {folds.split}s"
        )


class _Told(NamedTuple):
    """What folds follow from, of each frame."""

    frames: list
    digests: list
    configurations: list
    groups: list
    labels: list
    strata: list

    @classmethod
    def of(cls, frames, folds):
        columns = ([getattr(f, name) for f in frames] for name in ("digest", "configuration", "group"))
        labels = [label_of(f.group, f.composition, folds) for f in frames]
        return cls(list(frames), *columns, labels, [stratum_of(f.composition, folds) for f in frames])


def _units(told, together):
    """What each frame belongs to that is assigned as a whole: the least of its labels, or of its digests."""
    sets = DisjointSet()
    first = {}
    keys = told.labels if together else told.digests
    for name, configuration in zip(keys, told.configurations, strict=True):
        sets.add(name)
        sets.merge(first.setdefault(configuration, name), name)
    least = {name: min(members) for members in sets.subsets() for name in members}
    return [least[name] for name in keys]


class _Fullness:
    """How many frames of each composition, and in all, the folds have so far."""

    def __init__(self, folds, sizes):
        self.folds, self.sizes = folds, sizes
        self.counts = [Counter() for _ in range(folds.count)]
        self.totals = [0] * folds.count
        self.every = Counter()

    def add(self, fold, compositions):
        self.counts[fold].update(compositions)
        self.totals[fold] += compositions.total()
        self.every.update(compositions)

    def emptiest(self, unit):
        """The fold that a unit of frames goes into."""

        def rank(fold):
            # exact, so that equal shares are equal
            share = sum(
                (
                    Fraction(n * self.counts[fold][c], self.every[c])
                    for c, n in self.sizes[unit].items()
                    if self.every[c]
                ),
                Fraction(0),
            )
            return share, self.totals[fold], drawn(self.folds.seed, unit, fold)

        return min(range(self.folds.count), key=rank)


def _check_known(folds, known, what):
    for name, fold in known.items():
        if not isinstance(fold, Integral) or not 0 <= fold < folds.count:
            raise InputError(f"folds.count: {what} {name!r} is known to be in fold {fold!r}, of 0 … {folds.count - 1}")


def _settled(units, told, split, known, labels, configurations):
    """The units that have a fold, by frames, groups, systems or configurations of theirs.

    Raises InputError where these differ, naming two of them.
    """
    placed = {}
    if not (known or labels or configurations):
        return {}
    for unit, members in units.items():
        reasons = {}
        for i in members:
            group, label = told.groups[i], told.labels[i]
            for key, folds, what in (
                (told.digests[i], known, "{origin} of group {group!r}"),
                (label, labels, split + " {label!r}"),
                (told.configurations[i], configurations, "the configuration of {origin} of group {group!r}"),
            ):
                if key in folds:
                    origin = told.frames[i].origin if "{origin}" in what else ""
                    reasons.setdefault(int(folds[key]), set()).add(what.format(origin=origin, group=group, label=label))
        if len(reasons) > 1:
            shared = sorted({told.labels[i] for i in members})
            whole = f"all frames of {split}{'s' * (len(shared) > 1)} {', '.join(map(repr, shared))}"
            if split == "frame":
                whole = "frames of one configuration"
            elif len(shared) > 1:
                whole += ", which share configurations,"
            known_folds = " and ".join(f"{min(reasons[fold])} known in fold {fold}" for fold in sorted(reasons)[:2])
            raise InputError(f"folds.split: expected {whole} in one fold, found {known_folds}")
        if reasons:
            (placed[unit],) = reasons
    return placed
