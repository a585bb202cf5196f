"""What folds keep together: groups, or systems, which are compositions, element sets or groups that patterns name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError
from ..frames.element_set import ElementSet
from ..frames.type_names import elements_of_composition
from ..text.display import listed
from ..text.problems import Problems
from ..text.words import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


Patterns = tuple[tuple[str, tuple[str, ...]], ...]
"""Systems by name, each with its patterns of groups; sorted."""

COMPOSITION: Final = "composition"
ELEMENTS: Final = "elements"
REST: Final = "*"
"""The pattern of groups that no other one matches."""

RANGE: Final = re.compile(r"\{(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?)\}")
EXPECTED: Final = (
    f'"{COMPOSITION}", "{ELEMENTS}", or patterns of groups by the name of the system, such as '
    '{ cold = "*_{0..500}K", hot = ["*_1000K", "*_2000K"] }'
)


@dataclass(frozen=True, eq=False)
class Labels:
    """What n frames are kept together by: the group of each, or its system.

    Attributes
    ----------
    codes : ndarray of int32, shape (n,)
        Of each frame, an index into ``names``.
    names : tuple of str
        Those that occur, and perhaps others.
    """

    codes: NDArray[np.int32]
    names: tuple[str, ...]

    @property
    def present(self) -> frozenset[str]:
        """The names that occur."""
        return frozenset(self.names[c] for c in np.unique(self.codes).tolist())


def checked_systems(value: Any) -> str | Patterns:
    """What a system is, as :class:`~hiertl_dist.Folds` keeps it.

    Parameters
    ----------
    value : object
        ``"composition"``, ``"elements"``, a mapping from names of systems to a pattern or patterns of groups, a list of
        patterns, each a system of that name, or what this function made.

    Returns
    -------
    str or tuple
        The word, or names and patterns, sorted.

    Raises
    ------
    InputError
        It is none of these, a pattern stands twice, or a range in one ends before it begins.
    """
    if isinstance(value, str) and value in (COMPOSITION, ELEMENTS):
        return value
    given = value
    if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        given = {v: v for v in value}
    elif isinstance(value, tuple) and all(isinstance(v, tuple) and len(v) == 2 for v in value):
        given = dict(value)
    if not isinstance(given, Mapping) or not given:
        raise InputError(f"folds.system: expected {EXPECTED}; found {shown(value)}")
    problems, patterns, owner = Problems(), {}, dict[str, str]()
    for name, own in given.items():
        listed_patterns = (own,) if isinstance(own, str) else own
        if not (
            isinstance(name, str) and name and isinstance(listed_patterns, list | tuple) and listed_patterns
            and all(isinstance(p, str) and p for p in listed_patterns)
        ):  # fmt: skip
            problems.add(
                f"folds.system.{name}: expected a pattern of groups, or a list of them, for the system of that name, "
                f"found {shown(own)}"
            )
            continue
        for pattern in dict.fromkeys(listed_patterns):
            if owner.setdefault(pattern, name) != name:
                problems.add(f"folds.system: pattern {pattern!r} is one of system {owner[pattern]!r} and of {name!r}")
            numbers = RANGE.search(pattern)
            if numbers and float(numbers[1]) > float(numbers[2]):
                problems.add(f"folds.system.{name}: expected a range that rises, such as {{300..800}}, in {pattern!r}")
        patterns[name] = tuple(sorted(set(listed_patterns)))
    problems.settle()
    return tuple(sorted(patterns.items()))


def naming(split: str, system: Any) -> Callable[[str, str], str] | None:
    """A function that names what a frame of a group and a composition is kept together with.

    ``None`` where frames are divided one by one. The function raises InputError for a group that no pattern of a system
    matches, or those of two.
    """
    if split == "frame":
        return None
    if split == "group":
        return lambda group, _: group
    if system == ELEMENTS:
        return lambda _, composition: element_set_of(composition)
    if system == COMPOSITION:
        return _composition_or_group
    return partial(_by_pattern, system)


@cache
def element_set_of(composition: str) -> str:
    """The element set of a composition; empty where that is."""
    elements = elements_of_composition(composition)
    return ElementSet.of(elements) if elements else ""


def _composition_or_group(group: str, composition: str) -> str:
    """A single element has a single composition, which can't be left out of its own block: its groups are systems."""
    return composition if len(elements_of_composition(composition)) > 1 else f"{composition} ({group})"


@cache
def _by_pattern(systems: Patterns, group: str, _: str) -> str:
    matching = [(name, p) for name, own in systems for p in own if p != REST and matches(group, p)]
    if not matching:
        matching = [(name, REST) for name, own in systems if REST in own]
    if not matching:
        raise InputError(
            f"folds.system: group {group!r} matches no pattern of {listed([name for name, _ in systems])}; add one to "
            f"a system, or a system with the pattern {REST!r}, for groups that no other matches"
        )
    (first, pattern), *others = matching
    for name, other in others:
        if name != first:
            raise InputError(
                f"folds.system: group {group!r} matches {pattern!r} of system {first!r} and {other!r} of {name!r}; "
                "expected patterns of one system"
            )
    return first


def matches(group: str, pattern: str) -> bool:
    """Whether the name of a group matches a pattern.

    Parameters
    ----------
    group : str
        The name.
    pattern : str
        As of a shell, ``*``, ``?`` and ``[…]``; one range such as ``{300..800}`` stands for a number in the name, its
        ends included: a whole number, or where an end has a decimal point, one that may have one.

    Returns
    -------
    bool
        It matches as a whole.
    """
    numbers = RANGE.search(pattern)
    if numbers is None:
        return fnmatchcase(group, pattern)
    before, after = pattern[: numbers.start()], pattern[numbers.end() :]
    decimal = "." in numbers[1] or "." in numbers[2]
    return any(
        float(numbers[1]) <= float(n[0]) <= float(numbers[2])
        and fnmatchcase(group[: n.start()], before) and fnmatchcase(group[n.end() :], after)
        for n in re.finditer(r"\d+(?:\.\d+)?" if decimal else r"\d+", group)
    )  # fmt: skip


def labels_of(
    name: Callable[[str, str], str], groups: NDArray[np.int32], group_names: Sequence[str],
    compositions: NDArray[np.int32], composition_names: Sequence[str],
) -> Labels:  # fmt: skip
    """What frames are kept together by, given their groups and compositions as numbers of names.

    Raises InputError naming all groups that no pattern of a system matches, or those of two.
    """
    pairs, first, which = np.unique(
        groups * np.int64(len(composition_names)) + compositions, return_index=True, return_inverse=True
    )
    numbers: dict[str, int] = {}
    problems, codes = Problems(), np.zeros(len(pairs), np.int32)
    for k in np.argsort(first).tolist():
        group, composition = divmod(int(pairs[k]), len(composition_names))
        with problems.noting():
            codes[k] = numbers.setdefault(name(group_names[group], composition_names[composition]), len(numbers))
    problems.settle()
    return Labels(codes[which.reshape(-1)], tuple(numbers))


def systems_in_folds(labels: Labels, folds: NDArray[np.integer], count: int) -> list[dict[str, int]]:
    """How many frames of each system, or group, each fold has.

    Parameters
    ----------
    labels : Labels
        What n frames are kept together by.
    folds : ndarray of int, shape (n,)
        Their folds.
    count : int
        Number of folds.

    Returns
    -------
    list of dict from str to int
        One a fold: frames by name, sorted by name.
    """
    totals = [dict[str, int]() for _ in range(count)]
    pairs, sizes = np.unique(folds.astype(np.int64) * len(labels.names) + labels.codes, return_counts=True)
    for pair, size in zip(pairs.tolist(), sizes.tolist(), strict=True):
        fold, code = divmod(pair, len(labels.names))
        totals[fold][labels.names[code]] = size
    return [dict(sorted(own.items())) for own in totals]
