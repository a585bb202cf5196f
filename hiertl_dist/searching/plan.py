"""What a search will do: its stages, and the models of each, looked at before anything is computed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ..basis import cluster_name, split_symbols
from ..blocks import blocks_of, columns_of
from ..errors import BasisError, InputError
from ..lattice import HierarchyOptions, blocks_in, check_held, choose_blocks, less
from ..one_body import OpenEnergies, counts_of, one_body_values, settled_energies, undetermined_energies
from ..rows import KINDS, SUMMARY_KINDS, Group, kind_codes, n_rows, person_kind
from ..sub_basis import lower_basis
from ..summarising import with_missing
from ..weights import weight_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..basis import Basis
    from ..cluster_types import ClusterType
    from ..frames import Frame
    from ..parameters import Parameters, Penalty
    from ..settings import FitSettings
    from .settings import Choice, Grid, SearchSettings

Tell = Callable[[str], None]

RANK: Final = 1e-9
"""Singular values of numbers of atoms, relative to the largest, that are zero."""


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
    name : of the block, or the elements of all blocks together; blocks : that are free.
    sets : element sets of its frames; frames : those with labels.
    fit : settings of what the grid does not name; own : the axes that the block has a table of its own for.
    names : what weights may name: kinds, sources and compositions of all frames.
    """

    name: str
    blocks: tuple[str, ...]
    sets: tuple[str, ...]
    frames: tuple[Frame, ...]
    fit: FitSettings
    grid: Grid
    own: frozenset[str]
    basis: Basis
    names: frozenset[str]

    def columns(self, choices: Sequence[Choice]) -> list[tuple[Choice, Columns]]:
        """The choices as they are for this stage's blocks, with their columns. Raises InputError naming the key."""
        return columns_of_choices(self, choices)


@dataclass(frozen=True, eq=False)
class SearchPlan:
    """What a search will do: its stages, the blocks and frames to summarise, what is frozen from the start.

    Among the blocks are those of elements whose energy of a free atom a stage fits, though the rest of them is frozen.
    """

    parts: tuple[Part, ...]
    basis: Basis
    blocks: tuple[str, ...]
    frames: tuple[Frame, ...]
    given: tuple[Frame, ...]
    frozen: tuple[Parameters, ...]
    options: HierarchyOptions

    @property
    def wall(self) -> Penalty | None:
        """The wall that the settings name."""
        return next((p.fit.penalty for p in self.parts if p.fit.penalty is not None), None)


def plan_search(
    frames: Sequence[Frame], basis: Basis, settings: SearchSettings, *, frozen: Sequence[Parameters] = (),
    options: HierarchyOptions | None = None, all_at_once: bool = False, tell: Tell = lambda _: None,
) -> SearchPlan:  # fmt: skip
    """Choose the stages of a search and look at each model of theirs. Raises InputError as ``search`` does at first."""
    options = (options or HierarchyOptions()).normal()
    if options.partial:
        raise InputError("partial: a search fits each block alone; leave it out, and fit with it what search chose")
    names = [b.name for b in blocks_of(basis)]
    if unknown := sorted(set(settings.blocks) - set(names)):
        raise InputError(f"search.blocks: {unknown} are not blocks of the basis, which has {names}")
    if all_at_once:
        wanted, used = _together(frames, basis, settings, frozen, options)
        stages = [(cluster_name({e for b in wanted for e in split_symbols(b)}), tuple(wanted))]
    else:
        wanted = choose_blocks(frames, basis, frozen, options, tell)
        used = [f for f in frames if cluster_name(f.elements) in wanted and n_rows(f)]
        stages = [(block, (block,)) for block in wanted]
    known = _weighable(frames)
    parts = []
    for name, blocks in stages:
        own = tuple(used) if all_at_once else tuple(f for f in used if cluster_name(f.elements) == name)
        if not own:
            raise InputError(f"block {name}: no frame of exactly its elements has an energy, forces or a stress")
        _check_scores(own, name, settings)
        fit = options.settings if all_at_once else options.of(name)
        _check_fit(fit, name, options, tell)
        grid = settings.grid if all_at_once else settings.of(name)
        _tell_weights(grid, fit, own, name, tell)
        sets = tuple(sorted({cluster_name(f.elements) for f in own}))
        parts.append(Part(name, blocks, sets, own, fit, grid, settings.own_axes(name), basis, known))
        parts[-1].columns(grid.choices(fit) if settings.strategy == "grid" else _ladder_choices(grid, fit))
    left = tuple(less(frozen, set(wanted)))
    _check_energies(parts, basis, left)
    asking = [f for p in parts if p.fit.missing_energies == "fit" for f in p.frames]
    whole, named = with_missing(basis, wanted, left, asking, "fit")
    return SearchPlan(tuple(parts), whole, named, tuple(used), tuple(frames), left, options)


def _together(
    frames: Sequence[Frame], basis: Basis, settings: SearchSettings, frozen: Sequence[Parameters],
    options: HierarchyOptions,
) -> tuple[list[str], list[Frame]]:  # fmt: skip
    """Blocks and frames of a search all at once, if it can be done."""
    check_held(basis, frozen)
    names = [b.name for b in blocks_of(basis)]
    if ignored := [k for k in ("block_settings", "only") if getattr(options, k)]:
        raise InputError(f"all at once: every block is free and has the same settings, so {ignored} would be ignored")
    if settings.blocks:
        raise InputError("search.blocks: all at once every block has the same grid; leave it out")
    held = {b for f in frozen for b in blocks_in(f)}
    wanted = [n for n in names if n not in held]
    if not wanted:
        raise InputError("nothing to search: frozen files hold every block of the basis")
    members = [frozenset(split_symbols(b)) for b in wanted]
    elements = frozenset().union(*members)
    used = [f for f in frames if n_rows(f) and f.elements <= elements and any(m <= f.elements for m in members)]
    if not used:
        raise InputError(
            f"nothing to search: no frame with labels has all elements of one of the blocks {', '.join(wanted)}"
        )
    there = {e for f in used if f.energy is not None for e in f.elements}
    settled_energies(
        basis, wanted, less(frozen, set(wanted)), there, options.settings.missing_energies, (), "search all at once",
        wanted,
    )  # fmt: skip
    return wanted, used


def _check_fit(fit: FitSettings, name: str, options: HierarchyOptions, tell: Tell) -> None:
    if fit.include_fewer:
        raise InputError("include_fewer: a search fits each block on frames of exactly its elements; leave it out")
    if fit.policy != options.settings.policy:
        raise InputError(
            f"fit.blocks.{name}.policy is {fit.policy!r}, fit.policy is {options.settings.policy!r}: summaries are of "
            "one policy"
        )
    if fit.method != "rfactor":
        tell(f"note: {name}: method {fit.method!r} is of no use here; a search solves triangular factors")


def _tell_weights(grid: Grid, fit: FitSettings, frames: Sequence[Frame], name: str, tell: Tell) -> None:
    """Weights that the grid does not name beside those that it names are ones, which may be next to nothing."""
    weights = grid.start(fit).weights
    kinds = sorted({k for f in frames for k in _kinds_of(f)})
    if isinstance(weights, Mapping) and weights and (silent := [k for k in kinds if k not in weights]):
        tell(
            f"note: {name}: the grid has weights of {', '.join(weights)}; those of {', '.join(silent)} are 1 (in "
            'kcal/mol and Å) and not automatic: name them too, or say weights = ["auto"]'
        )


def _check_energies(parts: Sequence[Part], basis: Basis, frozen: Sequence[Parameters]) -> None:
    """Raise InputError where a fit would settle what a search can't: energies of free atoms that a stage knows only a
    combination of, which frames of a later one tell apart."""
    given = dict(basis.energies)
    told = {*given, *one_body_values(frozen), *(b for part in parts for b in part.blocks)}
    ones = {t.elements[0] for t in basis.types if t.body == 1}
    left = OpenEnergies()
    for part in parts:
        labelled = [f for f in part.frames if f.energy is not None]
        there = {e for f in labelled for e in f.elements}
        movable = left.within(there)
        missing = there - told if part.fit.missing_energies == "fit" else set()
        told |= missing
        own = sorted(((set(part.blocks) & ones) - set(given)) | missing)
        counts = np.hstack([counts_of(labelled, own), movable.rows(labelled)])
        refitted = counts_of(labelled, (*own, *movable.alone()))
        together = [e for e in movable.elements if e not in movable.alone()]
        if together and _rank(counts) > _rank(refitted):
            raise InputError(
                f"search: compositions of smaller element sets don't tell the energies of free atoms of "
                f"{', '.join(together)} apart, and a search can't fit them anew with {part.name}: search all at once "
                "(--all-at-once), use fit, give one of them as [basis] energies, or add frames of other compositions"
            )
        # R alone: U of all frames is as large as the square of their number
        _, _, vt = np.linalg.svd(np.linalg.qr(counts, mode="r"))
        left = left.replaced(movable, undetermined_energies(own, movable, vt[_rank(counts) :].T, {}))


def _rank(counts: NDArray[np.float64]) -> int:
    """Of numbers of atoms (frames, elements)."""
    s = np.linalg.svd(counts, compute_uv=False)
    return int(np.count_nonzero(s > RANK * s.max(initial=0.0)))


def _ladder_choices(grid: Grid, fit: FitSettings) -> list[Choice]:
    """Each value of each axis once, and all combinations of orders and exclusions, for these may leave nothing."""
    start = grid.start(fit)
    found = [start.changed(axis, v) for axis, values in grid.axes.items() for v in values] or [start]
    for orders in grid.axes.get("orders", (start.orders,)):
        for exclude in grid.axes.get("exclude", (start.exclude,)):
            found.append(replace(start, orders=orders, exclude=exclude))
    return found


def columns_of_choices(part: Part, choices: Sequence[Choice]) -> list[tuple[Choice, Columns]]:
    """The choices as they are for the blocks of a stage, with their columns.

    What the general table says of types, orders or sources that only other blocks have is left out.

    Raises
    ------
    InputError
        A choice names what is not there, has an order above that of the basis, or leaves nothing.
    """
    known: dict[str, Columns] = {}
    found = []
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
        found.append((own, known[key]))
    return found


def _own_choice(part: Part, choice: Choice) -> Choice:
    """A choice without what concerns other blocks alone. Raises InputError for weights that name nothing."""
    types = [t for t in part.basis.types if t.block in part.blocks]
    others = [t for t in part.basis.types if t.block not in part.blocks]
    here, there = _names(types), _names(others)
    exclude, orders = choice.exclude, choice.orders
    if "exclude" not in part.own:
        exclude = tuple(n for n in exclude if _plain(n) in here or _plain(n) not in there)
    if "orders" not in part.own and isinstance(orders, dict):
        here |= {t.block for t in types}
        there |= {t.block for t in others}
        orders = {n: v for n, v in orders.items() if _plain(n) in here or _plain(n) not in there}
    near = _weighable(part.frames)
    weights = {}
    if isinstance(choice.weights, str):
        return replace(choice, exclude=exclude, orders=orders)
    for name, value in choice.weights.items():
        if name not in part.names:
            sources = sorted(n for n in part.names if "/" not in n)
            raise InputError(
                f"search.grid.weights: {name!r} names no kind, source or composition that has such rows; there are "
                f"{', '.join(sources[:20])}{' …' * (len(sources) > 20)}"
            )
        if name in near:
            weights[name] = value
    return replace(choice, exclude=exclude, orders=orders, weights=weights)


def _kinds_of(frame: Frame) -> list[str]:
    """The kinds of rows that a frame has."""
    return sorted({person_kind(SUMMARY_KINDS[code]) for code in set(kind_codes(frame).tolist())})


def _weighable(frames: Sequence[Frame]) -> frozenset[str]:
    """What weights may name: every kind, and the sources and compositions, with the kinds that they have rows of."""
    found = {n for f in frames for k in _kinds_of(f) for n in weight_names(Group(f.group, k, f.composition))}
    return frozenset(found | set(KINDS))


def _check_scores(frames: Sequence[Frame], name: str, settings: SearchSettings) -> None:
    """Raise InputError where the frames of a stage can't be cross-validated, or not be scored."""
    kinds = {k for f in frames for k in _kinds_of(f)}
    wanted = [k for k, share in (settings.importance or dict.fromkeys(KINDS, 1.0)).items() if share > 0.0]
    if not kinds & set(wanted):
        raise InputError(
            f"search.importance: only {', '.join(wanted)} count, of which {name} has no rows; it has "
            f"{', '.join(sorted(kinds))}"
        )
    split = settings.folds.split
    if len({f.group if split == "group" else f.digest for f in frames}) < 2:
        raise InputError(
            f"search.folds: {name} has a single {split}, {frames[0].group if split == 'group' else frames[0].origin}, "
            "which can't be left out and fitted; folds by frame need two frames, folds by group two groups"
        )


def _names(types: Sequence[ClusterType]) -> set[str]:
    return {t.name for t in types} | {f"{t.body}B" for t in types}


def _plain(name: str) -> str:
    return name if name in ("1B", "2B", "3B", "4B") else cluster_name(split_symbols(name))
