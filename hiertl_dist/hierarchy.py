"""Climb the lattice of element sets: fit each block with its lower blocks frozen, then put the model together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .basis import cluster_name, split_symbols
from .blocks import blocks_of
from .errors import InputError
from .evaluation import Model
from .executors import borrowed
from .parameters import Parameters, merge_parameters
from .planning import check_elements
from .rows import KINDS
from .solving import BlockFit, FitSettings, check_frozen, fit_block

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from .basis import Basis
    from .executors.base import Executor
    from .frames import Frame


@dataclass(frozen=True, eq=False)
class HierarchyFit:
    """A model fitted block by block.

    Attributes
    ----------
    fits : per block, in the order in which they were fitted.
    frozen : models that were read, not fitted.
    model : the sum of all blocks.
    """

    fits: Mapping[str, BlockFit]
    frozen: tuple[Parameters, ...]
    model: Model


@dataclass(frozen=True, eq=False)
class HierarchyOptions:
    """What applies to a whole climb.

    Attributes
    ----------
    settings : of every block; block_settings : of single ones.
    partial : per block, lower blocks that are left free when it is fitted.
    only : blocks to fit; default: all that are not frozen.
    store : folder of the design store; ``None`` streams.
    """

    settings: FitSettings = field(default_factory=FitSettings)
    block_settings: Mapping[str, FitSettings] = field(default_factory=dict)
    partial: Mapping[str, Sequence[str]] = field(default_factory=dict)
    only: Sequence[str] | None = None
    store: str | Path | None = None
    memory: int | None = None

    def of(self, block: str) -> FitSettings:
        return self.block_settings.get(block, self.settings)


def _blocks_in(parameters: Parameters) -> set[str]:
    return {t.block for t in parameters.basis.types}


def fit_hierarchy(
    frames: Sequence[Frame],
    basis: Basis,
    *,
    frozen: Sequence[Parameters] = (),
    options: HierarchyOptions | None = None,
    executor: Executor | None = None,
    tell: Callable[[str], None] = lambda _: None,
    done: Callable[[BlockFit], None] = lambda _: None,
) -> HierarchyFit:
    """Fit the blocks of a basis from small element sets to large ones.

    Parameters
    ----------
    frames : labelled frames; each block uses those that contain exactly its elements.
    frozen : models of blocks that are not fitted; a block that one of them holds is skipped.
    executor : who does the work; default: mpirun's ranks, the current dask client, else a local dask cluster.
    tell : called with a line about each step; done : called with each block as soon as it is fitted, so that what
        is computed is kept if a later one fails.

    Raises
    ------
    InputError
        A block has no frames, or an option names a block that is not there.
    MismatchError
        A frozen model does not fit the basis, naming both values.
    """
    options = options or HierarchyOptions()
    names = [b.name for b in blocks_of(basis)]
    _check_names(names, options, frozen)
    held = set().union(*(_blocks_in(f) for f in frozen)) if frozen else set()
    wanted = [b for b in names if (b not in held if options.only is None else b in options.only)]
    if not wanted:
        raise InputError(f"nothing to fit: frozen files hold every block of the basis, {', '.join(names)}")
    check_elements(frames, basis)
    _check_lower(wanted, names, options, basis, frozen)
    _tell_unused(frames, wanted, options, tell)
    fits: dict[str, BlockFit] = {}
    current: dict[str, Parameters] = {}
    with borrowed(executor) as runner:
        for block in wanted:
            free = tuple(options.partial.get(block, ()))
            below = _below(block, (*_less(frozen, set(current)), *current.values()), free)
            left = f", {', '.join(free)} left free" if free else ""
            tell(f"block {block}: {', '.join(p.source for p in below) or 'nothing'} frozen{left}")
            fit = fit_block(
                frames, basis, block, free=free, frozen=below, settings=_own_weights(options.of(block), block, frames),
                executor=runner, store=options.store, memory=options.memory,
            )  # fmt: skip
            fits[block] = fit
            done(fit)
            for name in fit.solution.blocks:
                current[name] = fit.solution.parameters.restricted({name})
    parts = [*_less(frozen, set(current)), *current.values()]
    merged = merge_parameters(parts, overlap="add", penalty=options.settings.penalty)
    # a parameter file states every pair of its elements, also one that no block of this model joins
    joined = {p.elements for p in merged.basis.pairs}
    more = [p for p in basis.restricted(merged.basis.elements).pairs if p.elements not in joined]
    merged = replace(merged, basis=replace(merged.basis, pairs=(*merged.basis.pairs, *more)))
    return HierarchyFit(fits, tuple(frozen), Model(merged))


def _own_weights(settings: FitSettings, block: str, frames: Sequence[Frame]) -> FitSettings:
    """The settings without weights of sources that only other blocks' frames come from; those of none are refused."""
    elements = set(split_symbols(block))
    own = {f.group for f in frames if f.elements == elements or (settings.include_fewer and f.elements < elements)}
    others = {f.group for f in frames} - own
    foreign = {name for s in others for name in (s, *(f"{s}/{kind}" for kind in KINDS))} - set(KINDS)
    return replace(settings, weights={k: w for k, w in settings.weights.items() if k not in foreign})


def _check_names(names: Sequence[str], options: HierarchyOptions, frozen: Sequence[Parameters]) -> None:
    held = {b for f in frozen for b in _blocks_in(f)}
    for what, given in (("only", options.only or ()), ("settings of blocks", options.block_settings)):
        if unknown := [b for b in given if b not in names]:
            raise InputError(f"{what}: {unknown} are not blocks of the basis, which has {names}")
    for block, free in options.partial.items():
        for lower in free:
            if not set(split_symbols(lower)) < set(split_symbols(block)):
                raise InputError(f"partial: {lower} is not a lower block of {block}")
            if lower not in names:
                raise InputError(
                    f"partial: block {lower} is {'only in a frozen file' if lower in held else 'not in the basis'}; "
                    f"to be left free it must be in the basis, which has {names}"
                )


def _check_lower(
    wanted: Sequence[str], names: Sequence[str], options: HierarchyOptions, basis: Basis, frozen: Sequence[Parameters]
) -> None:
    """Before anything is computed: each block's lower blocks are to be had, and the frozen ones fit the basis."""
    held = {b for f in frozen for b in _blocks_in(f)}
    for block in wanted:
        free = tuple(options.partial.get(block, ()))
        check_frozen(basis, (block, *free), _below(block, frozen, free))
        lower = [n for n in names if set(split_symbols(n)) < set(split_symbols(block))]
        if missing := [n for n in lower if n not in wanted and n not in held and n not in free]:
            raise InputError(
                f"block {block}: its lower blocks {', '.join(missing)} are in the basis, but neither fitted here nor "
                "frozen; freeze their files, or leave their types out of the basis"
            )


def _tell_unused(
    frames: Sequence[Frame], wanted: Sequence[str], options: HierarchyOptions, tell: Callable[[str], None]
) -> None:
    """Frames that no block is fitted on are not passed over in silence."""
    unused = Counter(
        cluster_name(f.elements) for f in frames
        if not any(
            f.elements == set(split_symbols(b)) or (options.of(b).include_fewer and f.elements < set(split_symbols(b)))
            for b in wanted
        )
    )  # fmt: skip
    for elements, count in sorted(unused.items()):
        tell(f"{count} frames of {elements} are not used: no block that is fitted has exactly their elements")


def _less(models: Sequence[Parameters], blocks: set[str]) -> list[Parameters]:
    """Frozen models without the blocks that were fitted since; those of which nothing is left are dropped."""
    kept = [(m, _blocks_in(m) - blocks) for m in models]
    return [m if own == _blocks_in(m) else m.restricted(own) for m, own in kept if own]


def _below(block: str, models: Sequence[Parameters], free: Sequence[str]) -> list[Parameters]:
    """The parts of models that stand on proper subsets of a block's elements, less the blocks left free."""
    elements = set(split_symbols(block))
    found = []
    for model in models:
        inside = {b for b in _blocks_in(model) if set(split_symbols(b)) <= elements and b != block and b not in free}
        if inside == _blocks_in(model):
            found.append(model)
        elif inside:
            found.append(model.restricted(inside))
    return found


def fit_all_at_once(
    frames: Sequence[Frame],
    basis: Basis,
    *,
    frozen: Sequence[Parameters] = (),
    options: HierarchyOptions | None = None,
    executor: Executor | None = None,
) -> BlockFit:
    """Fit every block of the basis that is not frozen together on all frames, for comparison with the hierarchy."""
    options = options or HierarchyOptions()
    held = {b for f in frozen for b in _blocks_in(f)}
    names = [b.name for b in blocks_of(basis) if b.name not in held]
    sets = sorted({cluster_name(f.elements) for f in frames})
    with borrowed(executor) as runner:
        return fit_block(
            frames, basis, cluster_name(set().union(*(f.elements for f in frames))), free=names, frozen=frozen,
            settings=options.settings, executor=runner, store=options.store, memory=options.memory, frame_sets=sets,
        )  # fmt: skip
