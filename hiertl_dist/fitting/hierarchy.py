"""Climb the lattice of element sets: fit each block with its lower blocks frozen, then put the model together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from ..errors import InputError, StoppedBySignal
from ..evaluation.energies import Model
from ..executors import TaskFailed, borrowed
from ..executors.side_by_side import side_by_side
from ..frames.element_set import ElementSet
from ..frames.frame_sequence import sequence_of
from ..frames.type_names import cluster_name
from ..model.blocks import blocks_of
from ..model.missing_types import counted_clusters, left_out_types, missing_clusters
from ..model.mixing import mixed_parameters
from ..model.one_body import OpenEnergies, one_body_values, without_one_body
from ..model.parameters import Parameters, Penalty, merge_parameters
from ..model.priors import MIXED, Prior
from ..text.display import Shown
from ..text.result_cards import hierarchy_card
from .block_fit import BlockFit, fit_block
from .block_order import (
    below_of,
    blocks_in,
    blocks_to_make,
    check_climb_contacts,
    check_frozen_complete,
    choose_blocks,
    fitted_blocks,
    independent_blocks,
    less,
    own_weights,
)
from .checkpoints import checkpoints
from .lattice_rows import absent_notes
from .settings import HierarchyOptions
from .wall_choice import with_wall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..model.basis import Basis
    from ..model.solution import Solution


@dataclass(frozen=True, eq=False, repr=False)
class HierarchyFit(Shown, card=hierarchy_card):
    """A model fitted block by block.

    Attributes
    ----------
    fits : Mapping from str to BlockFit
        Of each block, in the order in which they were fitted.
    frozen : tuple of Parameters
        Models that were read, not fitted.
    model : Model
        The sum of all blocks.
    left_open : OpenEnergies
        Energies of free atoms that no frame determined, nor a combination of them: in the model they are zero.
    """

    fits: Mapping[str, BlockFit]
    frozen: tuple[Parameters, ...]
    model: Model
    left_open: OpenEnergies = field(default_factory=OpenEnergies)


# long: its parameters are documented
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

    The hierarchy and the problem of a block are in section 4 of docs/theory.md. Blocks of as many elements that do not
    depend on one another run side by side: their frames are looked at, their rows reduced and their equations solved in
    one verb of the executor each, with the same bits as one after the other.

    Parameters
    ----------
    frames : Sequence of Frame
        Labelled frames; each block uses those that contain exactly its elements, unless the options say otherwise.
    basis : Basis
        Whose blocks are fitted.
    frozen : Sequence of Parameters
        Models of blocks that are not fitted; a block that one of them holds is skipped.
    options : HierarchyOptions, optional
        Settings of all blocks and of single ones; default: ``HierarchyOptions()``.
    executor : Executor, optional
        Who does the work; default: mpirun's ranks, the current dask client, else a local dask cluster.
    tell : Callable from str to None
        Called with a line about each step; default: nobody is told.
    done : Callable from BlockFit to None
        Called with each block as soon as it is fitted, so that what is computed is kept if another one fails: also if
        one that runs beside it does.

    Returns
    -------
    HierarchyFit
        The fits by block, and the model that is their sum.

    Raises
    ------
    InputError
        Before anything is computed: an option names a block that is not there, contradicts another, or a block lacks
        frames or lower blocks that it needs; see :func:`~hiertl_dist.fitting.block_order.choose_blocks`.
    MismatchError
        A frozen model does not fit the basis, naming both values.
    InnerCutoffError
        Before anything is computed too: pairs of atoms inside an inner cutoff of any block, see
        :func:`~hiertl_dist.evaluation.contacts.check_contacts`.

    Examples
    --------
    >>> fit = hiertl_dist.fit_hierarchy(frames, basis, tell=print)
    >>> fit.model.write("params.txt")
    """
    options = (options or HierarchyOptions()).normal()
    frames = sequence_of(frames)
    if executor is not None:  # before anything that ranks with other frames would judge differently
        executor.require_alike(lambda: frames.identities, "frames")
    wanted = choose_blocks(frames, basis, frozen, options, tell)
    for note in absent_notes(basis, fitted_blocks(wanted, options), frozen, options.way_of_missing):
        tell(note)
    made = blocks_to_make(wanted, basis, frozen, options)
    fits: dict[str, BlockFit] = {}
    current: list[Parameters] = []
    fitted: set[ElementSet] = set()
    left_open = OpenEnergies()
    with borrowed(executor) as runner, checkpoints(options.checkpoint, runner) as kept:
        options = with_wall(options, frames, basis, wanted, frozen, runner, tell)
        check_climb_contacts(frames, basis, wanted, frozen, options, runner)
        todo = sorted([*wanted, *made], key=lambda b: len(b.elements))
        while todo:
            if todo[0] in made:
                current = with_made(current, todo.pop(0), basis, less(frozen, fitted), options, tell)
                continue
            level = independent_blocks([b for b in todo if b not in made], left_open, frames, options)
            del todo[: len(level)]
            models = [*less(frozen, fitted), *current]
            prepared = [_prepared(block, models, left_open, options, tell) for block in level]
            calls = [
                partial(
                    fit_block, frames, basis, block, free=options.together(block)[1:], frozen=below,
                    settings=own_weights(options, block, frames), store=options.store, memory=options.memory,
                    left_open=movable, left_out=fitted_blocks(wanted, options), probes=options.probes, checkpoint=kept,
                )
                for block, (below, movable) in zip(level, prepared, strict=True)
            ]  # fmt: skip
            own = _fit_level(level, calls, runner, options.memory, tell, done)
            for block, fit in zip(level, own, strict=True):
                fits[block] = fit
                left_open = _less_free(left_open, block, options)
                left_open = left_open.replaced(fit.summaries.energies.open, fit.left_open)
                current = with_fit(current, fit.solution)
                fitted |= set(map(ElementSet.parse, fit.solution.blocks))
    _tell_open(left_open, tell)
    model = merged_model([*less(frozen, fitted), *current], basis, _wall(options, wanted))
    model = stating_zeros(model, made, basis, options)
    return HierarchyFit(fits, tuple(frozen), model, left_open)


def _less_free(left_open: OpenEnergies, block: ElementSet, options: HierarchyOptions) -> OpenEnergies:
    """What is open when a block is fitted: not what the blocks that it leaves free have columns for."""
    free = options.together(block)[1:]
    return left_open.without([e for b in free if len(b.elements) == 1 for e in b.elements])


def _prepared(
    block: ElementSet, models: Sequence[Parameters], left_open: OpenEnergies, options: HierarchyOptions,
    tell: Callable[[str], None],
) -> tuple[list[Parameters], OpenEnergies]:  # fmt: skip
    """What a block is fitted upon, and the energies that it may move."""
    free = options.together(block)[1:]
    movable = _less_free(left_open, block, options).within(block.elements)
    # what may still move is this block's to say
    below = without_one_body(below_of(block, models, free), movable.elements)
    left = f", {', '.join(free)} left free" if free else ""
    tell(f"block {block}: {', '.join(p.source for p in below) or 'nothing'} frozen{left}")
    return below, movable


def _fit_level(
    level: Sequence[ElementSet], calls: Sequence[Callable[..., BlockFit]], runner: Executor, memory: int | None,
    tell: Callable[[str], None], done: Callable[[BlockFit], None],
) -> list[BlockFit]:  # fmt: skip
    """Fit some blocks side by side; what runs together, and how each ends, is told."""
    if len(level) == 1:
        fit = calls[0](executor=runner)
        done(fit)
        return [fit]
    tell(f"{', '.join(level)}: fitted side by side")
    failures: list[Exception] = []

    def fitted(executor: Executor, *, block: ElementSet, call: Callable[..., BlockFit]) -> BlockFit:
        try:
            return call(executor=executor)
        except StoppedBySignal:
            raise
        except Exception as error:
            if error not in failures:  # of a verb that several wait for
                what = str(error) if isinstance(error, TaskFailed) else f"block {block}: {error}"
                tell(f"failed: {what}; blocks beside it go on where they can")
                failures.append(error)
            raise

    def ready(number: int, fit: BlockFit) -> None:
        tell(f"block {level[number]} is fitted")
        done(fit)

    each = [partial(fitted, block=block, call=call) for block, call in zip(level, calls, strict=True)]
    return side_by_side(each, runner, memory=memory, ready=ready, tell=tell)


def with_made(
    current: Sequence[Parameters], block: ElementSet, basis: Basis, frozen: Sequence[Parameters],
    options: HierarchyOptions, tell: Callable[[str], None],
) -> list[Parameters]:  # fmt: skip
    """Models so far, and where it is to be mixed, a block without frames that is made of them."""
    if options.way_of_missing != MIXED:
        return list(current)
    below = below_of(block, (*frozen, *current), ())
    kinds = [t for t in basis.types if t.block == block]
    part = mixed_parameters(basis, kinds, below, Prior(mean=MIXED, lower=options.of(block).prior.lower))
    tell(f"block {block}: made of lower blocks")
    for note in part.notes:
        tell(f"  note: {note}")
    return [*current, part]


def stating_zeros(model: Model, made: Sequence[ElementSet], basis: Basis, options: HierarchyOptions) -> Model:
    """The model, saying of which types it is without terms because this was asked for."""
    if options.way_of_missing != "zero":
        return model
    parameters = model.parameters
    zero = {t.name: "zero" for t in basis.types if t.block in made}
    there = {frozenset(t.elements) for t in (*basis.types, *parameters.basis.types)}
    lacking = missing_clusters([parameters.basis])
    zero |= {cluster_name(c): "zero" for c in lacking if len(set(c)) > 1 and frozenset(c) not in there}
    return Model(replace(parameters, without_data={**zero, **parameters.without_data}))


def _tell_open(left_open: OpenEnergies, tell: Callable[[str], None]) -> None:
    alone = left_open.alone()
    if alone:
        tell(
            f"note: energies of free atoms of {', '.join(alone)} are not determined by any frame that was fitted with "
            "a weight of its energy: the model's energies lack a constant for each such atom"
        )
    if together := [e for e in left_open.elements if e not in alone]:
        tell(
            f"note: energies of free atoms of {', '.join(together)} are not determined by any frame one by one, but "
            "in combination: the model's energies of other compositions than were fitted lack a constant for each such "
            "atom"
        )


def with_fit(current: Sequence[Parameters], fit: Solution) -> list[Parameters]:
    """Models so far and what a fit says, without what it replaces.

    That is the blocks that it fits anew, and the energies of free atoms that it states. Energies that a block has told
    of atoms of other blocks outlive it. Those of a fit stay together: apart, nobody would know which combinations it
    told.
    """
    kept = without_one_body(current, one_body_values([fit.parameters]))
    return [*less(kept, set(map(ElementSet.parse, fit.blocks))), fit.parameters]


def merged_model(parts: Sequence[Parameters], basis: Basis, wall: Penalty | None) -> Model:
    """The sum of blocks fitted with this basis and of frozen models; their walls must agree if none is given."""
    merged = merge_parameters(parts, overlap="add", penalty=wall)
    # a parameter file states every pair of its elements, also one that no block of this model joins
    joined = {p.elements for p in merged.basis.pairs}
    more = [p for p in basis.restricted(merged.basis.elements).pairs if p.elements not in joined]
    # what the basis leaves out was left out on purpose, what no block brought was not
    out = left_out_types(basis, merged.basis, (), merged.basis.elements, counted_clusters([merged]))
    ways = {**out, **merged.without_data}
    whole = replace(merged.basis, pairs=(*merged.basis.pairs, *more))
    return Model(replace(merged, basis=whole, without_data=ways))


def _wall(options: HierarchyOptions, blocks: Sequence[str]) -> Penalty | None:
    """The penalty that the settings name; the same for all blocks, which was checked."""
    return next((p for b in blocks if isinstance(p := options.of(b).penalty, Penalty)), None)


def fit_all_at_once(
    frames: Sequence[Frame],
    basis: Basis,
    *,
    frozen: Sequence[Parameters] = (),
    options: HierarchyOptions | None = None,
    executor: Executor | None = None,
) -> BlockFit:
    """Fit every block of the basis that is not frozen together on all frames, for comparison with the hierarchy.

    Parameters
    ----------
    frames : Sequence of Frame
        All of them are used.
    basis : Basis
        Whose blocks are fitted.
    frozen : Sequence of Parameters
        Models of blocks that are not fitted.
    options : HierarchyOptions, optional
        Its ``settings``, ``store``, ``memory`` and ``checkpoint`` count; what is for single blocks is refused.
    executor : Executor, optional
        Who does the work; default: mpirun's ranks, the current dask client, else a local dask cluster.

    Returns
    -------
    BlockFit
        Of all blocks, named after the elements of all frames.

    Raises
    ------
    InputError
        Frozen models hold every block, or of a block only the energy of a free atom; options that would be ignored.
    MismatchError
        A frozen model does not fit the basis.
    """
    options = options or HierarchyOptions()
    check_frozen_complete(basis, frozen)
    frozen_blocks = {b for f in frozen for b in blocks_in(f)}
    names = [b.name for b in blocks_of(basis) if b.name not in frozen_blocks]
    if not names:
        raise InputError("nothing to fit: frozen files hold every block of the basis")
    if ignored := [k for k in ("block_settings", "partial", "only", "missing", "probes") if getattr(options, k)]:
        raise InputError(f"all at once: every block is free and has the same settings, so {ignored} would be ignored")
    frames = sequence_of(frames)
    sets = frames.facts.element_sets()
    with borrowed(executor) as runner:
        return fit_block(
            frames, basis, ElementSet.union(sets), free=names, frozen=frozen, settings=options.settings,
            executor=runner, store=options.store, memory=options.memory, frame_sets=sorted(sets), left_out=names,
            checkpoint=options.checkpoint,
        )  # fmt: skip
