"""Folds for cross-validation: which part of the data each frame belongs to, chosen before the rows are reduced.

Factors of rows are kept apart by fold, so folds can't be changed afterwards without the rows; frames that come later
join the folds that are there. An assignment follows from the contents of the frames, the seed and what is known, never
from the order of the frames.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from numbers import Integral
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from .errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .frames import Frame

Split = Literal["frame", "group"]
"""What is assigned as a whole: one frame, or all frames of one ``Frame.group`` (a trajectory)."""

SPLITS: Final[tuple[str, ...]] = get_args(Split)
NONE: Final[Mapping[str, Any]] = {}
UNKNOWN: Final = "?"
"""Stands for the composition of a known frame that is not at hand."""


@dataclass(frozen=True)
class Folds:
    """How frames are divided for k-fold cross-validation.

    Attributes
    ----------
    count : number of folds, at least 2.
    split : ``frame`` divides by frame; ``group`` keeps the frames of one group together, as the frames of a trajectory
        have to be: neighbours in time are nearly the same frame, and one of them in a fit foretells the other.
    seed : decides between folds that are equally full.
    stratify : each composition is spread over the folds as evenly as can be; otherwise all frames are, whatever their
        composition.

    Raises
    ------
    InputError
        Naming the key, what was expected and what was found.
    """

    count: int = 5
    split: Split = "frame"
    seed: int = 0
    stratify: bool = True

    def __post_init__(self) -> None:
        for key, least in (("count", 2), ("seed", 0)):
            value = getattr(self, key)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(f"folds.{key}: expected an integer of at least {least}, found {value!r}")
        if self.split not in SPLITS:
            raise InputError(f"folds.split: expected {' or '.join(map(repr, SPLITS))}, found {self.split!r}")
        if not isinstance(self.stratify, bool):
            raise InputError(f"folds.stratify: expected true or false, found {self.stratify!r}")

    def as_dict(self) -> dict[str, Any]:
        """All keys, as JSON and TOML can hold them; :meth:`from_dict` reads it back to an equal one."""
        return asdict(self)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Folds:
        """The content of a ``folds`` table; keys that are not given have their defaults. Raises InputError."""
        if not isinstance(table, dict):
            raise InputError(f"folds: expected a table, found {table!r}")
        known = [f.name for f in fields(cls)]
        if unknown := sorted(set(table) - set(known), key=str):
            raise InputError(f"folds: unknown keys {unknown}; known are {known}")
        return cls(**table)


def assign_folds(
    frames: Sequence[Frame],
    folds: Folds,
    known: Mapping[str, int] = NONE,
    known_groups: Mapping[str, int] = NONE,
    known_compositions: Mapping[str, str] = NONE,
) -> list[int]:
    """The fold of each frame, 0 … count − 1.

    Frames that are known keep their fold. Others go, one after the other, into the fold that has fewest frames of their
    composition, of such folds into the one that has fewest frames, and of such into one that a hash of seed and content
    chooses. Identical frames share a fold. A group goes, the largest first, where the shares that a fold has of all
    frames of its compositions, each times its own number of such frames, add up to least.

    Parameters
    ----------
    known : digest of a frame → its fold, of frames that have one; they need not be among ``frames``.
    known_groups : ``Frame.group`` → its fold. New frames of such a group follow it where groups stay together.
    known_compositions : digest → ``Frame.composition`` of known frames that are not among ``frames``; without it they
        count among all frames of a fold, and not among those of their composition.

    Raises
    ------
    InputError
        Fewer distinct frames (or groups), the known ones included, than folds; a known fold that is none of them; a
        group whose known frames are in several; a fold that would be empty.
    """
    together = folds.split == "group"
    _check_known(folds, known, "frame")
    _check_known(folds, known_groups if together else NONE, "group")
    units: dict[str, list[Frame]] = {}
    for frame in frames:
        units.setdefault(frame.group if together else frame.digest, []).append(frame)
    placed = _settled(units, known, known_groups) if together else {u: known[u] for u in units if u in known}
    total = len(set(units) | set(known_groups if together else known))
    if total < folds.count:
        raise InputError(f"folds.count: expected at least {folds.count} {folds.split}s to divide, found {total}")
    sizes = {unit: Counter(f.composition if folds.stratify else "" for f in own) for unit, own in units.items()}
    here = {frame.digest for frame in frames}
    full = _Fullness(folds, sizes)
    for digest in sorted(set(known) - here):
        full.add(known[digest], Counter([known_compositions.get(digest, UNKNOWN) if folds.stratify else ""]))
    for unit, fold in placed.items():
        full.add(fold, sizes[unit])
    # one composition after the other keeps the folds as even in all frames as in those of a composition
    for unit in sorted(
        set(units) - set(placed), key=lambda u: (-sizes[u].total(), sorted(sizes[u]), _drawn(folds.seed, u))
    ):
        placed[unit] = full.emptiest(unit)
        full.add(placed[unit], sizes[unit])
    filled = set(placed.values()) | set(known.values()) | (set(known_groups.values()) if together else set())
    if empty := sorted(set(range(folds.count)) - filled):
        raise InputError(
            f"folds.count: expected frames in each of {folds.count} folds, found none in {', '.join(map(str, empty))}: "
            f"those that are known leave too few new {folds.split}s"
        )
    return [int(placed[frame.group if together else frame.digest]) for frame in frames]


class _Fullness:
    """How many frames of each composition, and in all, the folds have so far."""

    def __init__(self, folds: Folds, sizes: Mapping[str, Counter[str]]) -> None:
        self.folds, self.sizes = folds, sizes
        self.own = [Counter[str]() for _ in range(folds.count)]
        self.totals = [0] * folds.count
        self.every: Counter[str] = Counter()

    def add(self, fold: int, compositions: Counter[str]) -> None:
        self.own[fold].update(compositions)
        self.totals[fold] += compositions.total()
        self.every.update(compositions)

    def emptiest(self, unit: str) -> int:
        """The fold that a unit of frames goes into."""

        def rank(fold: int) -> tuple[Fraction, int, bytes]:
            # exact, so that equal shares are equal
            share = sum(
                (Fraction(n * self.own[fold][c], self.every[c]) for c, n in self.sizes[unit].items() if self.every[c]),
                Fraction(0),
            )
            return share, self.totals[fold], _drawn(self.folds.seed, unit, fold)

        return min(range(self.folds.count), key=rank)


def _drawn(seed: int, *names: object) -> bytes:
    """A pseudo-random number that is the same on every machine."""
    return hashlib.sha256("\0".join(map(str, (seed, *names))).encode()).digest()


def _check_known(folds: Folds, known: Mapping[str, int], what: str) -> None:
    for name, fold in known.items():
        if not isinstance(fold, Integral) or not 0 <= fold < folds.count:
            raise InputError(f"folds.count: {what} {name!r} is known to be in fold {fold!r}, of 0 … {folds.count - 1}")


def _settled(
    groups: Mapping[str, Sequence[Frame]], known: Mapping[str, int], known_groups: Mapping[str, int]
) -> dict[str, int]:
    """The groups that have a fold, by their own name or by frames of theirs. Raises InputError where these differ."""
    found = {}
    for group, frames in groups.items():
        own = {known[f.digest] for f in frames if f.digest in known}
        own |= {known_groups[group]} if group in known_groups else set()
        if len(own) > 1:
            raise InputError(
                f"folds.split: expected all frames of group {group!r} in one fold, found some known in "
                f"{', '.join(map(str, sorted(own)))}"
            )
        if own:
            found[group] = own.pop()
    return found
