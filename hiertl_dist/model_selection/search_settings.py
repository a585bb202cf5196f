"""``SearchSettings``: what a search varies, in which order, and by which rule it chooses; the ``[search]`` table.

A grid has axes: every list is one, a value that is no list is fixed, and what is not named is as in ``[fit]`` and
``[basis]``. ``{ kind = "ridge", alpha = [0.1, 1.0] }`` is two ridges; a list of such tables is all of them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from ..algebra import regulariser_faults, regulariser_from_dict, regulariser_to_dict
from ..dataset.folds import Folds
from ..errors import InputError
from ..fitting.weights import CHOSEN
from ..frames.element_set import ElementSet
from ..frames.rows import KINDS, OBJECTIVES
from ..model.priors import ZERO
from ..text.display import Shown
from ..text.problems import Problems, joined, require_known, respelled
from ..text.table_keys import AXES, SEARCH, WEIGHTS
from ..text.words import shown
from .grid_axes import axis_of, exclusions_axis, orders_axis, priors_axis

if TYPE_CHECKING:
    from ..fitting.settings import FitSettings

Strategy = Literal["grid", "ladder"]
Rule = Literal["one_se", "best"]


@dataclass(frozen=True, eq=False, repr=False)
class Choice(Shown):
    """One model of a search: all that is chosen.

    The regulariser is as :func:`~hiertl_dist.algebra.regulariser_to_dict` gives it, the others are as
    :func:`~hiertl_dist.view` takes them; orders ``None`` are those of the basis.
    """

    regulariser: Mapping[str, Any]
    weights: Mapping[str, float] | str = field(default_factory=dict)
    objective: str = "lsq"
    orders: Any = None
    exclude: tuple[str, ...] = ()
    prior: Any = ZERO

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "exclude": list(self.exclude)}

    @cached_property
    def key(self) -> str:
        """The same for equal choices."""
        return json.dumps(self.as_dict(), sort_keys=True)

    @property
    def view(self) -> dict[str, Any]:
        """All that a view is made with beside its columns: what is neither regulariser nor orders nor exclusions."""
        return {k: v for k, v in self.as_dict().items() if k not in ("regulariser", "orders", "exclude")}

    def changed(self, axis: str, value: Any) -> Choice:
        """With another value of an axis, which is a field, or a number of one that is a table: ``"weights.energy"``."""
        name, _, part = axis.partition(".")
        before = getattr(self, name)
        table = before if isinstance(before, Mapping) else {}  # of automatic weights none is named
        changes: dict[str, Any] = {name: {**table, part: value} if part else value}
        return replace(self, **changes)


@dataclass(frozen=True, eq=False, repr=False)
class Grid(Shown):
    """What is varied.

    Attributes
    ----------
    axes : Mapping from str to tuple
        The values of each axis, in the order of the table: those of :data:`~hiertl_dist.text.table_keys.AXES`, or of
        one weight as ``"weights.energy"``; a fixed value is an axis with one.
    """

    axes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, table: Any, where: str = "search.grid") -> Grid:
        """The content of a ``[search.grid]`` table. Raises InputError naming the key."""
        problems = Problems()
        axes: dict[str, tuple[Any, ...]] = {}
        with problems.noting():
            require_known({} if isinstance(table, dict) else table, AXES, where)
            table = respelled(table, AXES, where)
            require_known(table, AXES, where)
        for key in [k for k in table if k in _READERS] if isinstance(table, dict) else ():
            with problems.noting():
                axes |= _READERS[key](table[key], f"{where}.{key}")
        problems.settle()
        return cls(axes)

    def start(self, fit: FitSettings) -> Choice:
        """The first value of every axis; what has none is as in the settings of a fit."""
        if not isinstance(fit.prior.mean, str):
            raise InputError("search: a prior whose mean are parameters is for fits and views")
        first = Choice(
            regulariser_to_dict(regulariser_from_dict(dict(fit.regulariser))),
            {} if any(a.startswith("weights") for a in self.axes) else fit.weights, fit.objective,
            prior=fit.prior.short(),
        )  # fmt: skip
        for axis, values in self.axes.items():
            first = first.changed(axis, values[0])
        return first

    def choices(self, fit: FitSettings) -> list[Choice]:
        """Every combination of the axes' values, the last axis fastest."""
        choices = []
        for values in itertools.product(*self.axes.values()):
            one = self.start(fit)
            for axis, value in zip(self.axes, values, strict=True):
                one = one.changed(axis, value)
            choices.append(one)
        return choices

    def rungs(self) -> list[str]:
        """The axes that have something to choose from."""
        return [axis for axis, values in self.axes.items() if len(values) > 1]


@dataclass(frozen=True, eq=False, repr=False)
class SearchSettings(Shown):
    """How a search goes about it.

    Attributes
    ----------
    grid : Grid
        What is varied.
    blocks : Mapping from str to Grid
        Other grids for single blocks of a search block by block.
    folds : Folds
        How frames are shared out for cross-validation, settled with the pass over the rows.
    strategy : {"grid", "ladder"}
        ``grid``: every combination; ``ladder``: one axis after the other in the order of the table, each with the
        lowest score on those before; the rule then chooses among all that were met.
    rule : {"one_se", "best"}
        ``best``: the lowest score; ``one_se``: the cheapest to evaluate of those within one standard error of it; see
        :func:`~hiertl_dist.model_selection.choice.choose`.
    importance : Mapping from str to float, or None
        Exponent of each kind of rows in the score, see :meth:`~hiertl_dist.HeldOut.score`; ``None``: all alike.
    """

    grid: Grid = field(default_factory=Grid)
    blocks: Mapping[str, Grid] = field(default_factory=dict)
    folds: Folds = field(default_factory=Folds)
    strategy: Strategy = "grid"
    rule: Rule = "one_se"
    importance: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        for key, known in (("strategy", get_args(Strategy)), ("rule", get_args(Rule))):
            if getattr(self, key) not in known:
                expected = " or ".join(map(repr, known))
                raise InputError(f"search.{key}: expected {expected}, found {getattr(self, key)!r}")
        if self.importance is not None:
            shares = _numbers(self.importance, "search.importance")
            require_known(shares, KINDS, "search.importance")
            if not any(shares.values()):
                raise InputError(f"search.importance: expected a number above 0, found {dict(self.importance)}")
        if not isinstance(self.folds, Folds):
            raise InputError(f"search.folds: expected Folds, found {self.folds!r}")

    @classmethod
    def from_dict(cls, table: Any) -> SearchSettings:
        """Settings from the content of a ``[search]`` table but for ``summaries``.

        Parameters
        ----------
        table : Mapping from str to object
            Keys as the attributes, each of which may be missing; in a grid each list is an axis.

        Returns
        -------
        SearchSettings
            What the table says; what it does not name has its default.

        Raises
        ------
        InputError
            Naming each key at fault.
        """
        problems = Problems()
        with problems.noting():
            require_known(table, SEARCH, "search")
        table = table if isinstance(table, dict) else {}
        values: dict[str, Any] = {}
        for key in ("strategy", "rule", "importance"):
            with problems.noting():
                if key in table:  # looked at by itself, for the first that is wrong ends it
                    cls(**{key: table[key]})
                    values[key] = table[key]
        with problems.noting():
            if "folds" in table:
                values["folds"] = _folds(table["folds"])
        blocks: dict[str, Grid] = {}
        given = table.get("blocks", {})
        if not isinstance(given, dict):
            problems.add(f"search.blocks: expected a table, found {shown(given)}")
            given = {}
        for key, own in given.items():
            with problems.noting():
                if (name := ElementSet.parse(key)) in blocks:
                    raise InputError(f"search.blocks: {name} is given twice, the second time as {key!r}")
                blocks[name] = Grid.from_dict(own, f"search.blocks.{key}")
        grid = Grid()
        with problems.noting():
            grid = Grid.from_dict(table.get("grid", {}))
        problems.settle()
        return cls(grid, blocks, **values)

    def of(self, block: str) -> Grid:
        """The grid of a block: an axis of its own table takes the place of the general one, others are added.

        Parameters
        ----------
        block : str
            Its name, such as ``"CN"``.

        Returns
        -------
        Grid
            The general one where the block has no table of its own.
        """
        own, names = (self.blocks[block].axes if block in self.blocks else {}), self.own_axes(block)
        axes: dict[str, tuple[Any, ...]] = {}
        for axis, values in self.grid.axes.items():
            name = axis.partition(".")[0]
            axes |= {a: v for a, v in own.items() if a.partition(".")[0] == name} if name in names else {axis: values}
        return Grid(axes | dict(own))

    def own_axes(self, block: str) -> frozenset[str]:
        """The axes that a block's own table names.

        Parameters
        ----------
        block : str
            Its name, such as ``"CN"``.

        Returns
        -------
        frozenset of str
            Such as ``"weights"``, also where only one of the weights is named.
        """
        return frozenset(a.partition(".")[0] for a in self.blocks[block].axes) if block in self.blocks else frozenset()

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON can hold them.

        Returns
        -------
        dict
            All settings; grids by axis.
        """
        return {
            "strategy": self.strategy, "rule": self.rule, "folds": self.folds.as_dict(),
            "importance": None if self.importance is None else dict(self.importance),
            "grid": {a: list(v) for a, v in self.grid.axes.items()},
            "blocks": {b: {a: list(v) for a, v in g.axes.items()} for b, g in self.blocks.items()},
        }  # fmt: skip


def _folds(value: Any) -> Folds:
    try:
        return Folds.from_dict(value) if isinstance(value, dict) else Folds(value)
    except InputError as error:
        if error.problems:
            raise joined([f"search.{text}" for text in error.problems], InputError) from error
        raise InputError(f"search.{error}") from error


def _numbers(table: Any, where: str) -> dict[str, float]:
    """A table of finite numbers ≥ 0."""
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: expected a table of numbers, found {table!r}")
    problems, numbers = Problems(), {}
    for key, value in table.items():
        with problems.noting():
            numbers[str(key)] = _number(value, f"{where}.{key}")
    problems.settle()
    return numbers


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < 1e300:
        raise InputError(f"{where}: expected a finite number ≥ 0, found {shown(value)}")
    return float(value)


def _regularisers(value: Any, where: str) -> dict[str, tuple[Any, ...]]:
    tables: list[dict[str, object]] = []
    problems = Problems()
    for i, table in enumerate(value if isinstance(value, list) else [value]):
        place = f"{where}[{i}]" if isinstance(value, list) else where
        if not isinstance(table, dict):
            problems.add(f"{place}: expected a table such as {{kind = 'ridge', alpha = [0.1, 1]}}, found {table!r}")
            continue
        parts = [axis_of(v, f"{place}.{k}") if isinstance(v, list) else (v,) for k, v in table.items()]
        for values in itertools.product(*parts):
            one = dict(zip(table, values, strict=True))
            for fault in (faults := regulariser_faults(one)):
                problems.add(f"{place}: {fault}")
            if not faults:
                tables.append(regulariser_to_dict(regulariser_from_dict(one)))
    problems.settle()
    return {"regulariser": axis_of(tables, where)}


def _weights(value: Any, where: str) -> dict[str, tuple[Any, ...]]:
    if isinstance(value, str) and value in CHOSEN:
        return {"weights": (value,)}
    if isinstance(value, list):
        tables: list[dict[str, float] | str] = []
        for i, table in enumerate(value):
            if isinstance(table, str) and table in CHOSEN:
                tables.append(table)
                continue
            if not isinstance(table, dict):
                raise InputError(f"{where}[{i}]: expected {WEIGHTS}, found {table!r}")
            axes = _weights(table, f"{where}[{i}]") if table else {}
            names = [a.partition(".")[2] for a in axes]
            tables += [dict(zip(names, v, strict=True)) for v in itertools.product(*axes.values())]
        return {"weights": axis_of(tables, where)}
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected {WEIGHTS}, or a list of such, found {value!r}")
    if not value:
        return {"weights": ({},)}
    listed = {k: v if isinstance(v, list) else [v] for k, v in value.items()}
    return {
        f"weights.{k}": axis_of([_number(x, f"{where}.{k}") for x in own], f"{where}.{k}") for k, own in listed.items()
    }


def _objectives(value: Any, where: str) -> dict[str, tuple[Any, ...]]:
    listed = value if isinstance(value, list) else [value]
    for one in listed:
        if not isinstance(one, str) or one not in OBJECTIVES:
            raise InputError(f"{where}: expected some of {sorted(OBJECTIVES)}, found {one!r}")
    return {"objective": axis_of(listed, where)}


_READERS: Final[Mapping[str, Callable[[Any, str], dict[str, tuple[Any, ...]]]]] = {
    "regulariser": _regularisers, "weights": _weights, "objective": _objectives, "orders": orders_axis,
    "exclude": exclusions_axis, "prior": priors_axis,
}  # fmt: skip
