"""Folds for cross-validation: which part of the data each frame belongs to, chosen before the rows are reduced.

Factors of rows are kept apart by fold, so folds can't be changed afterwards without the rows; frames that come later
join the folds that are there. An assignment follows from the contents of the frames, the seed and what is known, never
from the order of the frames. Equal configurations are never in two folds, whatever their labels and groups: one of them
in a fit would foretell the other.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from ..errors import InputError
from ..frames.digests import first_equal, hex_of
from ..frames.frame_sequence import sequence_of
from ..text.display import listed
from ..text.problems import Problems, require_known
from .draws import CHUNK, draw_order, drawn
from .fold_units import known_folds, least_digests, settled, units_of
from .systems import COMPOSITION, Labels, checked_systems, element_set_of, labels_of, naming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from ..frames.frame_facts import FrameFacts
    from ..frames.frame_records import FrameRecords
    from ..frames.frame_sequence import FrameSequence
    from .fold_units import Units

Split = Literal["frame", "group", "system"]
"""What is assigned as a whole: frames of one configuration, all frames of one ``Frame.group`` (a trajectory), or all of
one system."""

SPLITS: Final[tuple[str, ...]] = get_args(Split)


@dataclass(frozen=True)
class Folds:
    """How frames are divided for k-fold cross-validation.

    Attributes
    ----------
    count : int, default 5
        Number of folds, at least 2.
    split : {"frame", "group", "system"}, default "frame"
        ``frame`` divides by frame, and only those of one ``Frame.configuration`` stay together; ``group`` keeps the
        frames of one group together, as the frames of a trajectory have to be: neighbours in time are nearly the same
        frame, and one of them in a fit foretells the other. ``system`` keeps whole systems together: what a model says
        of one that it has not seen is what it is worth elsewhere. Groups or systems that share a configuration are
        together too.
    seed : int, default 0
        Decides between folds that are equally full; at least 0.
    stratify : bool, default True
        Each composition is spread over the folds as evenly as can be, and the systems of each element set where systems
        are kept together; otherwise all frames are, whatever their composition.
    system : str, mapping or list, optional
        What a system is, where these are kept together. ``"composition"``, the default: atomic percentages, whatever
        the number of atoms, and of a single element, which has but one composition, each group. ``"elements"``: an
        element set. Or patterns of groups by the name of the system, ``{"cold": "*_{0..500}K", "hot": ["*_1000K"]}``,
        where a range in braces stands for a number; ``"*"`` are the groups that no other pattern matches; a list of
        patterns names each system after its pattern. It is kept as a word, or as names and patterns, sorted.

    Raises
    ------
    InputError
        Naming the key, what was expected and what was found.
    """

    count: int = 5
    split: Split = "frame"
    seed: int = 0
    stratify: bool = True
    system: Any = None

    def __post_init__(self) -> None:
        for key, least in (("count", 2), ("seed", 0)):
            value = getattr(self, key)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(f"folds.{key}: expected an integer of at least {least}, found {value!r}")
        if self.split not in SPLITS:
            *most, last = map(repr, SPLITS)
            raise InputError(f"folds.split: expected {', '.join(most)} or {last}, found {self.split!r}")
        if not isinstance(self.stratify, bool):
            raise InputError(f"folds.stratify: expected true or false, found {self.stratify!r}")
        if self.split == "system":
            systems = checked_systems(COMPOSITION if self.system is None else self.system)
            object.__setattr__(self, "system", systems)
        elif self.system is not None:
            raise InputError(
                f"folds.system: expected folds.split = 'system' beside it, found {self.split!r}, which has no systems"
            )

    def stratum(self, composition: str) -> str:
        """What frames of a composition are counted with.

        Parameters
        ----------
        composition : str
            Such as ``"C75N25"``.

        Returns
        -------
        str
            The composition, or its element set where systems are kept together; empty without strata.
        """
        if not self.stratify:
            return ""
        return element_set_of(composition) if self.split == "system" else composition

    def labels(self, facts: FrameFacts) -> Labels | None:
        """What frames are kept together by.

        Parameters
        ----------
        facts : FrameFacts
            Of the frames.

        Returns
        -------
        Labels or None
            Their groups or systems; ``None`` where frames are divided one by one.

        Raises
        ------
        InputError
            Naming all groups that no pattern of a system matches, or those of two.
        """
        if self.split == "group":
            return Labels(facts.group, facts.group_names)
        name = naming(self.split, self.system)
        return name and labels_of(name, facts.group, facts.group_names, facts.formula, facts.compositions)

    def labels_of_records(self, records: FrameRecords) -> Labels | None:
        """As :meth:`labels`, of frames that a store has records of.

        Parameters
        ----------
        records : FrameRecords
            Of the frames.

        Returns
        -------
        Labels or None
            Their groups or systems; ``None`` where frames are divided one by one.

        Raises
        ------
        InputError
            As of :meth:`labels`.
        """
        if self.split == "group":
            return Labels(records.groups, records.group_names)
        name = naming(self.split, self.system)
        return name and labels_of(
            name, records.groups, records.group_names, records.compositions, records.composition_names
        )

    def as_dict(self) -> dict[str, Any]:
        """All keys, as JSON and TOML can hold them.

        Returns
        -------
        dict from str to Any
            The attributes by name, ``system`` only where systems are kept together; :meth:`from_dict` reads it back to
            an equal one.
        """
        table = asdict(self)
        if self.split != "system":
            del table["system"]  # digests of settings name the folders of stores, also of those from before
        elif not isinstance(self.system, str):
            table["system"] = {name: list(patterns) for name, patterns in self.system}
        return table

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
                    beside: dict[str, Any] = {"split": "system"} if key == "system" else {}
                    cls(**beside, **{key: table[key]})
        problems.settle()
        return cls(**table)


# long: its parameters are documented
def assign_folds(frames: Sequence[Frame], folds: Folds, known: Iterable[FrameRecords] = ()) -> NDArray[np.int32]:
    """The fold of each frame, 0 … count − 1.

    Frames that are known keep their fold, and those of the same configuration follow them; where groups stay together,
    so do those of the same group. Others go, one configuration after the other, into the fold that has fewest frames of
    their composition, of such folds into the one that has fewest frames, and of such into one that a hash of seed and
    content chooses. Where groups stay together, those that share a configuration, be it by way of others, are one; the
    largest first, it goes where the shares that a fold has of all frames of its compositions, each times its own number
    of such frames, add up to least. Systems do likewise, with element sets for compositions: those of one element set,
    which are cross-validated together, go to different folds as far as these suffice.

    Parameters
    ----------
    frames : sequence of Frame
        The frames that are assigned; their order does not matter.
    folds : Folds
        How they are divided.
    known : iterable of FrameRecords
        Records of frames that have a fold, which need not be among ``frames``, each frame once; gone through several
        times.

    Returns
    -------
    ndarray of int32, shape (n,)
        The fold of each frame, in the order of ``frames``.

    Raises
    ------
    InputError
        Fewer frames of different configurations (or groups or systems that share none), the known ones included, than
        folds; a known fold that is none of them; two known folds for what has to be in one, both named; a fold that
        would be empty; a group that no pattern of a system matches, or those of two.
    """
    given = sequence_of(frames)
    same = first_equal(given.configurations).astype(np.int32)
    labels = folds.labels(given.facts)
    before = known_folds(given, same, known, folds.count, folds.labels_of_records)
    units = units_of(given, same, labels, folds.stratum)
    del same
    placed = settled(units, before, given, labels, folds.split)
    absent = before.absent.total() if labels is None else len(set(before.of_labels) - labels.present)
    require_enough(folds, len(units) + absent, units.labels)
    numbers = {name: k for k, name in enumerate(units.strata)}
    for _, name in before.absent:
        numbers.setdefault(folds.stratum(name), len(numbers))
    full = _Fullness(folds, len(numbers))
    for (fold, name), n in before.absent.items():
        full.add(fold, [(numbers[folds.stratum(name)], n)])
    full.add_all(units, placed)
    _fill(full, units, placed, _names(units, given))
    _require_filled(folds, {*np.unique(placed).tolist(), *before.folds})
    return placed[units.of_frames]


def _names(units: Units, frames: FrameSequence) -> Callable[[NDArray[np.integer]], list[str]]:
    """What names units, of which numbers are given, in draws: the least of their labels, or of their digests."""
    if units.labels:
        return lambda own: [units.labels[u] for u in own.tolist()]
    digests = frames.digests
    least = least_digests(units, digests)
    return lambda own: hex_of(digests[least[own]])


def _fill(
    full: _Fullness, units: Units, placed: NDArray[np.int32], names: Callable[[NDArray[np.integer]], list[str]]
) -> None:
    """Give a fold to each unit that has none."""
    todo = np.flatnonzero(placed < 0).astype(np.int32)
    # one stratum after the other keeps the folds as even in all frames as in those of a stratum
    keys = (units.ranks()[todo], units.by_size()[todo])
    todo = todo[draw_order(full.folds.seed, lambda own: names(todo[own]), keys)]
    for start in range(0, len(todo), CHUNK):
        own = todo[start : start + CHUNK]
        spans = zip(units.starts[own].tolist(), units.starts[own + 1].tolist(), strict=True)
        chosen = []
        for name, (first, last) in zip(names(own), spans, strict=True):
            contents = list(zip(units.numbers[first:last].tolist(), units.sizes[first:last].tolist(), strict=True))
            chosen.append(full.emptiest(contents, name))
            full.add(chosen[-1], contents)
        placed[own] = chosen


ALIKE: Final = {
    "frame": "frames of one configuration", "group": "groups that share a configuration",
    "system": "systems that share a configuration",
}  # fmt: skip
"""What counts as one, by what is kept together."""


def require_enough(folds: Folds, n_units: int, names: Sequence[str] = ()) -> None:
    """Raise InputError where there are fewer units of frames than folds; ``names`` are those of systems."""
    if n_units < folds.count:
        which = f" ({listed(sorted(names))})" if folds.split == "system" and names else ""
        raise InputError(
            f"folds.count: expected at least {folds.count} {folds.split}s to divide, found {n_units}{which}, where "
            f"{ALIKE[folds.split]} count as one"
        )


def _require_filled(folds: Folds, filled: set[int]) -> None:
    if empty := sorted(set(range(folds.count)) - filled):
        raise InputError(
            f"folds.count: expected frames in each of {folds.count} folds, found none in {', '.join(map(str, empty))}: "
            f"those that are known leave too few new {folds.split}s"
        )


class _Fullness:
    """How many frames of each stratum, and in all, the folds have so far."""

    def __init__(self, folds: Folds, strata: int) -> None:
        self.folds = folds
        self.counts = [[0] * folds.count for _ in range(strata)]
        self.totals = [0] * folds.count

    def add(self, fold: int, contents: Iterable[tuple[int, int]]) -> None:
        """Count frames of a unit, given as numbers of strata, and how many there are."""
        for stratum, n in contents:
            self.counts[stratum][fold] += n
            self.totals[fold] += n

    def add_all(self, units: Units, placed: NDArray[np.int32]) -> None:
        """Count frames of the units that have a fold."""
        of_pairs = np.repeat(placed, np.diff(units.starts))
        for fold in np.unique(placed[placed >= 0]).tolist():
            own = of_pairs == fold
            sizes = np.bincount(units.numbers[own], weights=units.sizes[own])
            self.add(fold, enumerate(sizes.astype(np.int64).tolist()))

    def emptiest(self, contents: Sequence[tuple[int, int]], name: str) -> int:
        """The fold that a unit of frames goes into."""
        every = range(self.folds.count)
        # shares of one stratum compare as its numbers of frames do
        shares = self.counts[contents[0][0]] if len(contents) == 1 else self._shares(contents)
        least = min(zip(shares, self.totals, strict=True))
        alike = [fold for fold in every if (shares[fold], self.totals[fold]) == least]
        return alike[0] if len(alike) == 1 else min(alike, key=lambda fold: drawn(self.folds.seed, name, fold))

    def _shares(self, contents: Sequence[tuple[int, int]]) -> Sequence[Fraction | int]:
        """Of each fold, its shares of all frames of the unit's strata; exact, so that equal ones are equal."""
        known = [(n, self.counts[c], total) for c, n in contents if (total := sum(self.counts[c]))]
        return [
            sum((Fraction(n * counts[fold], total) for n, counts, total in known), Fraction(0))
            for fold in range(self.folds.count)
        ]
