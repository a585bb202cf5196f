"""Folds for cross-validation: which part of the data each frame belongs to, chosen before the rows are reduced.

Factors of rows are kept apart by fold, so folds can't be changed afterwards without the rows; frames that come later
join the folds that are there. An assignment follows from the contents of the frames, the seed and what is known, never
from the order of the frames. Equal configurations are never in two folds, whatever their labels and groups: one of them
in a fit would foretell the other.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from numbers import Integral
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from scipy.cluster.hierarchy import DisjointSet

from ..errors import InputError
from ..frames.frame_sequence import FrameSequence, sequence_of
from ..text.problems import Problems, require_known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..frames.frame import Frame

Split = Literal["frame", "group"]
"""What is assigned as a whole: frames of one configuration, or all frames of one ``Frame.group`` (a trajectory)."""

SPLITS: Final[tuple[str, ...]] = get_args(Split)
NONE: Final[Mapping[str, Any]] = {}
UNKNOWN: Final = "?"
"""Stands for the composition of a known frame that is not at hand."""


@dataclass(frozen=True)
class Folds:
    """How frames are divided for k-fold cross-validation.

    Attributes
    ----------
    count : int, default 5
        Number of folds, at least 2.
    split : {"frame", "group"}, default "frame"
        ``frame`` divides by frame, and only those of one ``Frame.configuration`` stay together; ``group`` keeps the
        frames of one group together, as the frames of a trajectory have to be: neighbours in time are nearly the same
        frame, and one of them in a fit foretells the other. Groups that share a configuration are together too.
    seed : int, default 0
        Decides between folds that are equally full; at least 0.
    stratify : bool, default True
        Each composition is spread over the folds as evenly as can be; otherwise all frames are, whatever their
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
        """All keys, as JSON and TOML can hold them.

        Returns
        -------
        dict from str to Any
            The attributes by name; :meth:`from_dict` reads it back to an equal one.
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Folds:
        """Make folds of the content of a ``folds`` table.

        Parameters
        ----------
        table : dict from str to Any
            The attributes by name; those that are not given have their defaults.

        Returns
        -------
        Folds
            As the table says.

        Raises
        ------
        InputError
            Naming every key that is unknown or wrong.
        """
        if not isinstance(table, dict):
            raise InputError(f"folds: expected a table, found {table!r}")
        known, problems = [f.name for f in fields(cls)], Problems()
        with problems.noting():
            require_known(table, known, "folds")
        for key in known:
            with problems.noting():
                if key in table:  # by itself, for the first that is wrong ends it
                    cls(**{key: table[key]})
        problems.settle()
        return cls(**table)


# long: its parameters are documented
def assign_folds(
    frames: Sequence[Frame],
    folds: Folds,
    known: Mapping[str, int] = NONE,
    known_groups: Mapping[str, int] = NONE,
    known_compositions: Mapping[str, str] = NONE,
    known_configurations: Mapping[str, int] = NONE,
) -> list[int]:
    """The fold of each frame, 0 … count − 1.

    Frames that are known keep their fold, and those of the same configuration follow them. Others go, one configuration
    after the other, into the fold that has fewest frames of their composition, of such folds into the one that has
    fewest frames, and of such into one that a hash of seed and content chooses. Where groups stay together, those that
    share a configuration, be it by way of others, are one; the largest first, it goes where the shares that a fold has
    of all frames of its compositions, each times its own number of such frames, add up to least.

    Parameters
    ----------
    frames : sequence of Frame
        The frames that are assigned; their order does not matter.
    folds : Folds
        How they are divided.
    known : Mapping from str to int
        Digest of a frame → its fold, of frames that have one; they need not be among ``frames``.
    known_groups : Mapping from str to int
        ``Frame.group`` → its fold. New frames of such a group follow it where groups stay together.
    known_compositions : Mapping from str to str
        Digest → ``Frame.composition`` of known frames that are not among ``frames``; without it they count among all
        frames of a fold, and not among those of their composition.
    known_configurations : Mapping from str to int
        ``Frame.configuration`` → its fold, of known frames that are not among ``frames``; without it a new frame of the
        same configuration as one of them does not follow it.

    Returns
    -------
    list of int
        The fold of each frame, in the order of ``frames``.

    Raises
    ------
    InputError
        Fewer frames of different configurations (or groups that share none), the known ones included, than folds; a
        known fold that is none of them; two known folds for what has to be in one, both named; a fold that would be
        empty.
    """
    together = folds.split == "group"
    groups = known_groups if together else NONE
    for what, folds_of in (("frame", known), ("group", groups), ("configuration", known_configurations)):
        _check_known(folds, folds_of, what)
    told = _Told.of(sequence_of(frames))
    names = _units(told, together)
    units: dict[str, list[int]] = {}
    for i, unit in enumerate(names):
        units.setdefault(unit, []).append(i)
    placed = _settled(units, told, together, known, groups, known_configurations)
    digests = set(told.digests)
    absent = set(groups) - set(told.groups) if together else set(known) - digests
    require_enough(folds, len(units) + len(absent))
    sizes = {
        unit: Counter(told.compositions[i] if folds.stratify else "" for i in members)
        for unit, members in units.items()
    }
    full = _Fullness(folds, sizes)
    for digest in sorted(set(known) - digests):
        full.add(known[digest], Counter([known_compositions.get(digest, UNKNOWN) if folds.stratify else ""]))
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


def require_enough(folds: Folds, n_units: int) -> None:
    """Raise InputError where there are fewer units of frames than folds."""
    if n_units < folds.count:
        alike = "groups that share a configuration" if folds.split == "group" else "frames of one configuration"
        raise InputError(
            f"folds.count: expected at least {folds.count} {folds.split}s to divide, found {n_units}, where {alike} "
            "count as one"
        )


def _require_filled(folds: Folds, filled: set[int]) -> None:
    if empty := sorted(set(range(folds.count)) - filled):
        raise InputError(
            f"folds.count: expected frames in each of {folds.count} folds, found none in {', '.join(map(str, empty))}: "
            f"those that are known leave too few new {folds.split}s"
        )


class _Told(NamedTuple):
    """What folds follow from, of each frame; no frame is looked at."""

    frames: FrameSequence
    digests: list[str]
    configurations: list[str]
    groups: list[str]
    compositions: list[str]

    @classmethod
    def of(cls, frames: FrameSequence) -> _Told:
        facts = frames.facts
        digests, configurations = (
            [bytes(digest).hex() for digest in array] for array in (frames.digests, frames.configurations)
        )
        return cls(
            frames, digests, configurations, [facts.group_names[code] for code in facts.group.tolist()],
            [facts.compositions[code] for code in facts.formula.tolist()],
        )  # fmt: skip


def _units(told: _Told, together: bool) -> list[str]:
    """What each frame belongs to that is assigned as a whole: the least name of its groups, or of its digests."""
    sets: DisjointSet[str] = DisjointSet()
    first: dict[str, str] = {}
    keys = told.groups if together else told.digests
    for name, configuration in zip(keys, told.configurations, strict=True):
        sets.add(name)
        sets.merge(first.setdefault(configuration, name), name)
    least = {name: min(members) for members in sets.subsets() for name in members}
    return [least[name] for name in keys]


class _Fullness:
    """How many frames of each composition, and in all, the folds have so far."""

    def __init__(self, folds: Folds, sizes: Mapping[str, Counter[str]]) -> None:
        self.folds, self.sizes = folds, sizes
        self.counts = [Counter[str]() for _ in range(folds.count)]
        self.totals = [0] * folds.count
        self.every: Counter[str] = Counter()

    def add(self, fold: int, compositions: Counter[str]) -> None:
        self.counts[fold].update(compositions)
        self.totals[fold] += compositions.total()
        self.every.update(compositions)

    def emptiest(self, unit: str) -> int:
        """The fold that a unit of frames goes into."""

        def rank(fold: int) -> tuple[Fraction, int, bytes]:
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


def drawn(seed: int, *names: object) -> bytes:
    """A pseudo-random number that is the same on every machine."""
    return hashlib.sha256("\0".join(map(str, (seed, *names))).encode()).digest()


def _check_known(folds: Folds, known: Mapping[str, int], what: str) -> None:
    for name, fold in known.items():
        if not isinstance(fold, Integral) or not 0 <= fold < folds.count:
            raise InputError(f"folds.count: {what} {name!r} is known to be in fold {fold!r}, of 0 … {folds.count - 1}")


def _settled(
    units: Mapping[str, Sequence[int]],
    told: _Told,
    together: bool,
    known: Mapping[str, int],
    groups: Mapping[str, int],
    configurations: Mapping[str, int],
) -> dict[str, int]:
    """The units that have a fold, by frames, groups or configurations of theirs.

    Raises InputError where these differ, naming two of them.
    """
    placed = {}
    if not (known or groups or configurations):
        return {}
    for unit, members in units.items():
        reasons: dict[int, set[str]] = {}
        for i in members:
            group = told.groups[i]
            for key, folds, what in (
                (told.digests[i], known, "{origin} of group {group!r}"),
                (group, groups, "group {group!r}"),
                (told.configurations[i], configurations, "the configuration of {origin} of group {group!r}"),
            ):
                if key in folds:
                    origin = told.frames.origin(i) if "{origin}" in what else ""
                    reasons.setdefault(int(folds[key]), set()).add(what.format(origin=origin, group=group))
        if len(reasons) > 1:
            shared = sorted({told.groups[i] for i in members})
            whole = f"all frames of group{'s' * (len(shared) > 1)} {', '.join(map(repr, shared))}"
            if not together:
                whole = "frames of one configuration"
            elif len(shared) > 1:
                whole += ", which share configurations,"
            known_folds = " and ".join(f"{min(reasons[fold])} known in fold {fold}" for fold in sorted(reasons)[:2])
            raise InputError(f"folds.split: expected {whole} in one fold, found {known_folds}")
        if reasons:
            (placed[unit],) = reasons
    return placed
