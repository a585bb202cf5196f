"""``Part``: a stage of a search to be, and the models of a grid as they are for its blocks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BasisError, InputError
from ..fitting.weights import weight_names
from ..frames.rows import KINDS, SUMMARY_KINDS, Group, person_kind
from ..model.basis import cluster_name, split_symbols
from ..model.blocks import columns_of
from ..model.priors import Prior
from ..model.truncation import lower_basis

if TYPE_CHECKING:
    from ..fitting.settings import FitSettings
    from ..frames.element_set import ElementSet
    from ..frames.frame_facts import FrameFacts
    from ..frames.frame_sequence import FrameSequence
    from ..model.basis import Basis
    from ..model.cluster_types import ClusterType
    from .search_settings import Choice, Grid

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Columns:
    """The free columns of a model: their basis, and how many there are."""

    basis: Basis
    count: int

    def key(self, choice: Choice) -> str:
        """The same for choices that are the same model."""
        weights = (
            choice.weights if isinstance(choice.weights, str) else {k: w for k, w in choice.weights.items() if w != 1.0}
        )
        return self.basis.digest + replace(choice, weights=weights, orders=None, exclude=()).key


@dataclass(frozen=True, eq=False)
class Part:
    """A stage to be.

    Attributes
    ----------
    name : ElementSet
        The block, or the elements of all blocks together.
    blocks : tuple of ElementSet
        Those that are free.
    sets : tuple of ElementSet
        Element sets of its frames.
    frames : FrameSequence
        Those with labels.
    fit : FitSettings
        Settings of what the grid does not name.
    grid : Grid
        What is varied.
    own : frozenset of str
        The axes that the block has a table of its own for.
    basis : Basis
        All blocks.
    names : frozenset of str
        What weights may name: kinds, sources and compositions of all frames.
    searched : tuple of ElementSet
        The blocks of all stages.
    all_at_once : bool
        Whether this is the only one, of all blocks.
    """

    name: ElementSet
    blocks: tuple[ElementSet, ...]
    sets: tuple[ElementSet, ...]
    frames: FrameSequence
    fit: FitSettings
    grid: Grid
    own: frozenset[str]
    basis: Basis
    names: frozenset[str]
    searched: tuple[ElementSet, ...]
    all_at_once: bool

    @cached_property
    def near(self) -> frozenset[str]:
        """What weights may name that the stage's own frames have."""
        return weighable(self.frames)

    def columns(self, choices: Sequence[Choice]) -> list[tuple[Choice, Columns]]:
        """The choices as they are for this stage's blocks, with their columns. Raises InputError naming the key."""
        return columns_of_choices(self, choices)


def columns_of_choices(part: Part, choices: Sequence[Choice]) -> list[tuple[Choice, Columns]]:
    """The choices as they are for the blocks of a stage, with their columns.

    What the general table says of types, orders or sources that only other blocks have is left out.

    Raises
    ------
    InputError
        A choice names what is not there, has an order above that of the basis, or leaves nothing.
    """
    known: dict[str, Columns] = {}
    pairs = []
    for choice in choices:
        own = _own_choice(part, choice)
        key = json.dumps([own.orders, own.exclude])
        if key not in known:
            try:
                basis = lower_basis(part.basis, part.blocks, own.orders, own.exclude)
            except (InputError, BasisError) as error:
                where = f"search.blocks.{part.name}" if part.own else "search.grid"
                raise InputError(f"{where}, for {part.name}: {error}") from error
            known[key] = Columns(basis, len(columns_of(basis)))
        pairs.append((own, known[key]))
    return pairs


def _own_choice(part: Part, choice: Choice) -> Choice:
    """A choice without what concerns other blocks alone. Raises InputError for weights that name nothing."""
    types = [t for t in part.basis.types if t.block in part.blocks]
    others = [t for t in part.basis.types if t.block not in part.blocks]
    own_names, other_names = _names(types), _names(others)
    exclude, orders = choice.exclude, choice.orders
    if "exclude" not in part.own:
        exclude = tuple(n for n in exclude if _plain(n) in own_names or _plain(n) not in other_names)
    if "orders" not in part.own and isinstance(orders, list):
        orders = _within(part, orders)
    elif "orders" not in part.own and isinstance(orders, dict):
        own_names |= {t.block for t in types}
        other_names |= {t.block for t in others}
        orders = {n: v for n, v in orders.items() if _plain(n) in own_names or _plain(n) not in other_names}
    prior = Prior.of(choice.prior).of_blocks([b.elements for b in part.blocks]).short()
    weights = {}
    if isinstance(choice.weights, str):
        return replace(choice, exclude=exclude, orders=orders, prior=prior)
    for name, value in choice.weights.items():
        if name not in part.names:
            sources = sorted(n for n in part.names if "/" not in n)
            raise InputError(
                f"search.grid.weights: {name!r} names no kind, source or composition that has such rows; there are "
                f"{', '.join(sources[:20])}{' …' * (len(sources) > 20)}"
            )
        if name in part.near:
            weights[name] = value
    return replace(choice, exclude=exclude, orders=orders, weights=weights, prior=prior)


def _within(part: Part, orders: Sequence[int]) -> Any:
    """Orders of the general table as the stage's blocks can have them: where the basis has lower ones of a type, these.

    An order that no block that is searched has stays, to be refused.
    """
    most: dict[int, int] = {}
    for kind in part.basis.types:
        if kind.block in part.searched:
            most[kind.body] = max(kind.order, most.get(kind.body, 0))
    lower = {
        t.name: t.order for t in part.basis.types
        if t.block in part.blocks and t.body > 1 and t.order < orders[t.body - 2] <= most[t.body]
    }  # fmt: skip
    return {**{b: list(orders) for b in part.blocks}, **lower} if lower else orders


def tell_orders(part: Part, tell: Tell) -> None:
    """Orders that only other blocks have are lowered."""
    listed = () if "orders" in part.own else part.grid.axes.get("orders", ())
    lowered = [o for o in listed if isinstance(o, list) and _within(part, o) != o]
    if lowered:
        tell(
            f"note: {part.name}: of the orders {', '.join(map(str, lowered))} the basis has lower ones for types of "
            f"{', '.join(part.blocks)}, which are taken"
        )


def kinds_of(facts: FrameFacts) -> set[str]:
    """The kinds of rows that some frames have."""
    return {person_kind(SUMMARY_KINDS[code]) for code in np.flatnonzero(facts.rows_of_kinds.any(axis=0)).tolist()}


def weighable(frames: FrameSequence) -> frozenset[str]:
    """What weights may name: every kind, and the sources and compositions, with the kinds that they have rows of."""
    facts = frames.facts
    alike, which = np.unique(np.stack([facts.group, facts.formula], axis=1), axis=0, return_inverse=True)
    has_rows = np.zeros((len(alike), len(SUMMARY_KINDS)), np.bool_)
    np.logical_or.at(has_rows, which.reshape(-1), facts.rows_of_kinds > 0)
    names = set(KINDS)
    for (group, formula), kinds in zip(alike.tolist(), has_rows, strict=True):
        for code in np.flatnonzero(kinds).tolist():
            kind = person_kind(SUMMARY_KINDS[code])
            names.update(weight_names(Group(facts.group_names[group], kind, facts.compositions[formula])))
    return frozenset(names)


def _names(types: Sequence[ClusterType]) -> set[str]:
    return {t.name for t in types} | {f"{t.body}B" for t in types}


def _plain(name: str) -> str:
    return name if name in ("1B", "2B", "3B", "4B") else cluster_name(split_symbols(name))
