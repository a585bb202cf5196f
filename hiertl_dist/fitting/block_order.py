"""The lattice of element sets: which blocks a climb fits, and whether it can, before anything is computed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import InputError, MismatchError
from ..evaluation.contacts import check_contacts
from ..evaluation.frame_rows import check_elements
from ..frames.element_set import ElementSet
from ..frames.frame_sequence import sequence_of
from ..frames.pooling import require_matches
from ..frames.rows import KINDS
from ..model.basis import Basis
from ..model.blocks import blocks_of
from ..model.frozen import check_frozen, reaching_wall, wall_of
from ..model.one_body import settled_energies
from ..model.parameters import IN_FIT, Penalty, different_walls
from ..text.problems import Problems
from ..text.words import count_text
from .settings import FitSettings, HierarchyOptions
from .weights import check_fit_weights, explicit, unknown_weight

BY_COLUMN: Final = ("ard",)
"""Regularisers whose prior is a variance for each column, which rows of probes are not."""

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ..design_matrix.planning import Need, Plan
    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..model.one_body import OpenEnergies
    from ..model.parameters import Parameters


def blocks_in(parameters: Parameters) -> set[ElementSet]:
    """Names of the blocks that a model has terms of."""
    return {t.block for t in parameters.basis.types}


def choose_blocks(
    frames: Sequence[Frame],
    basis: Basis,
    frozen: Sequence[Parameters],
    options: HierarchyOptions,
    tell: Callable[[str], None] = lambda _: None,
) -> list[ElementSet]:
    """The :func:`wanted_blocks`, if :func:`check_climb` finds nothing; several problems are told as one InputError."""
    wanted = wanted_blocks(frames, basis, frozen, options, tell)
    check_climb(wanted, frames, basis, frozen, options, tell)
    return wanted


def wanted_blocks(
    frames: Sequence[Frame], basis: Basis, frozen: Sequence[Parameters], options: HierarchyOptions,
    tell: Callable[[str], None],
) -> list[ElementSet]:  # fmt: skip
    """The blocks that a climb would fit.

    Blocks that a frozen model holds are not fitted. A block that no frame has exactly the elements of is left out of
    the model, and ``tell`` is told so, unless a larger block that is fitted stands on it. Raises InputError where
    nothing is left to fit, an option names a block that is not there, or a block lacks its frames; FrameError where a
    frame has an element that the basis lacks.
    """
    names = [b.name for b in blocks_of(basis)]
    _check_names(names, options, frozen)
    frozen_blocks = {b for f in frozen for b in blocks_in(f)}
    candidates = [b for b in names if (b not in frozen_blocks if options.only is None else b in options.only)]
    if not candidates:
        raise InputError(f"nothing to fit: frozen files hold every block of the basis, {', '.join(names)}")
    check_elements(frames, basis.elements)
    present = sequence_of(frames).facts.element_sets()
    wanted = [b for b in candidates if b in present]
    free = {lower for b in wanted for lower in options.together(b)[1:]}
    problems = Problems()
    for block in (b for b in candidates if b not in wanted and b not in free):
        larger = [w for w in wanted if block.is_proper_subset(w)]
        if (way := options.way_of_missing) != "refuse" and len(block.elements) > 1:
            made = "made of lower blocks" if way == "mixed" else "zero in the model"
            tell(f"block {block}: no frame contains exactly its elements: its terms are {made}")
        elif larger or options.only is not None:
            needed = f", and {larger[0]} stands on it" if larger else ""
            problems.add(
                f"block {block}: no frame contains exactly {', '.join(sorted(block.elements))}{needed}; give such "
                "frames or freeze a file"
            )
        else:
            tell(f"block {block} is left out of the model: no frame contains exactly its elements")
    problems.settle()
    if not wanted:
        raise InputError(f"nothing to fit: no frame contains exactly the elements of any of {', '.join(candidates)}")
    return wanted


def check_climb(
    wanted: Sequence[ElementSet], frames: Sequence[Frame], basis: Basis, frozen: Sequence[Parameters],
    options: HierarchyOptions, tell: Callable[[str], None],
) -> None:  # fmt: skip
    """Look at all that a climb of some blocks would stumble over; frames that it does not use are told.

    Raises InputError where an option names a source of rows that is not there, or contradicts another, or a block lacks
    its lower blocks or energies of free atoms; MismatchError where a frozen model does not fit the basis, or penalties
    differ.
    """
    names = [b.name for b in blocks_of(basis)]
    problems = Problems()
    with problems.noting():
        check_frozen_complete(basis, frozen)
    with problems.noting():
        _check_partial(wanted, options, frozen, tell)
    with problems.noting():
        _check_lower(wanted, names, options, basis, frozen)
    with problems.noting():
        _check_energies(wanted, frames, options, basis, frozen)
    with problems.noting():
        _check_weights(wanted, frames, options)
    with problems.noting():
        _check_priors(wanted, options)
    problems.settle()
    _tell_unused(frames, wanted, options, tell)


def _check_names(names: Sequence[ElementSet], options: HierarchyOptions, frozen: Sequence[Parameters]) -> None:
    frozen_blocks = {b for f in frozen for b in blocks_in(f)}
    for what, given in (("only", options.only or ()), ("settings of blocks", options.block_settings)):
        if unknown := [b for b in given if b not in names]:
            raise InputError(f"{what}: {unknown} are not blocks of the basis, which has {names}")
    for block in map(ElementSet.parse, options.partial):
        for lower in options.together(block)[1:]:
            if not lower.is_proper_subset(block):
                raise InputError(f"partial: {lower} is not a lower block of {block}")
            if lower not in names:
                raise InputError(
                    f"partial: block {lower} is "
                    f"{'only in a frozen file' if lower in frozen_blocks else 'not in the basis'}; to be left free it "
                    f"must be in the basis, which has {names}"
                )


def check_frozen_complete(basis: Basis, frozen: Sequence[Parameters]) -> None:
    """Raise InputError where frozen models have only the energy of a free atom of a block: its rest would be lost."""
    whole = {t.block for f in frozen for t in f.basis.types if t.body > 1}
    for kind in basis.types:
        source = next((f.source for f in frozen if kind.block in blocks_in(f)), None)
        if kind.body > 1 and source is not None and kind.block not in whole:
            raise InputError(
                f"block {kind.block}: of it {source} has the energy of a free atom alone, the basis also {kind.name} "
                f"terms; freeze a file of block {kind.block} too, or take the energy out of this one and give it as "
                "[basis] energies"
            )


def _check_partial(
    wanted: Sequence[ElementSet], options: HierarchyOptions, frozen: Sequence[Parameters], tell: Callable[[str], None]
) -> None:
    """A block may change with one other only, and not after a third was fitted on what it was before.

    A frozen file is of use, and what is fitted in place of a part of it is told.
    """
    free = {lower for block in wanted for lower in options.together(block)[1:]}
    for model in frozen:
        own = blocks_in(model)
        if own <= free:
            raise InputError(
                f"partial: {', '.join(sorted(own))} is left free, and so nothing of the frozen {model.source} would be "
                "used; take the block out of partial, or the file out of what is frozen"
            )
        if own & free:
            tell(f"note: partial fits {', '.join(sorted(own & free))} anew, in place of what {model.source} has of it")
    owner: dict[ElementSet, ElementSet] = {}
    for block in wanted:
        for lower in options.together(block)[1:]:
            if lower in owner:
                raise InputError(f"partial: {lower} would be changed by {owner[lower]} and by {block}; leave one out")
            owner[lower] = block
            for earlier in wanted[: wanted.index(block)]:
                if lower.is_proper_subset(earlier):
                    raise InputError(f"partial: {block} would change {lower} after {earlier} was fitted on it")


def _check_lower(
    wanted: Sequence[ElementSet], names: Sequence[ElementSet], options: HierarchyOptions, basis: Basis,
    frozen: Sequence[Parameters],
) -> None:  # fmt: skip
    """Each block's lower blocks are to be had, the frozen ones fit the basis, and there is one wall."""
    frozen_blocks = {b for f in frozen for b in blocks_in(f)}
    walls = {p for b in wanted if isinstance(p := options.of(b).penalty, Penalty)}
    if len(walls) > 1:
        named = " and ".join(sorted(map(str, walls)))
        raise MismatchError(f"penalty: the settings of blocks name {named}; a model has one")
    if not walls and len({f.penalty for f in frozen}) > 1:
        first, other = next((a, b) for a in frozen for b in frozen if a.penalty != b.penalty)
        raise MismatchError(different_walls(first, other, IN_FIT))
    for block in wanted:
        free = options.together(block)[1:]
        check_frozen(basis, options.together(block), below_of(block, less(frozen, set(wanted)), free))
        lower = [n for n in names if n.is_proper_subset(block)]
        refitted = {b for w in wanted[: wanted.index(block)] for b in options.together(w)[1:]}
        made = {n for n in lower if options.way_of_missing != "refuse" and len(n.elements) > 1}
        if missing := [n for n in lower if n not in {*wanted, *frozen_blocks, *free, *refitted, *made}]:
            raise InputError(
                f"block {block}: its lower blocks {', '.join(missing)} are in the basis, but neither fitted here nor "
                "frozen; freeze their files, or leave their types out of the basis"
            )


def _check_priors(wanted: Sequence[ElementSet], options: HierarchyOptions) -> None:
    """Raise InputError where a block's prior has probes, and its method or regulariser can't take them."""
    for block in (b for b in wanted if len(b.elements) > 1):
        settings = options.of(block)
        kind = settings.regulariser["kind"]
        if not settings.prior.probes or any(len(b.elements) == 1 for b in options.together(block)):
            continue
        if kind in BY_COLUMN:
            raise InputError(
                f"block {block}: prior: {kind} has a variance for each column, and probe structures tie columns "
                f'together; use bayesian_ridge or ridge, or probes = 0 (prior = {{ mean = "{settings.prior.mean}" }})'
            )
        if settings.method != "rfactor":
            raise InputError(
                f"block {block}: prior: probe structures need triangular factors (method rfactor), found method "
                f"{settings.method}"
            )


def blocks_to_make(
    wanted: Sequence[ElementSet], basis: Basis, frozen: Sequence[Parameters], options: HierarchyOptions
) -> list[ElementSet]:
    """Blocks of several elements that no frame informs and the options want made or zero, small sets first.

    Those of whose elements one has no block itself are left out with it.
    """
    if options.way_of_missing == "refuse":
        return []
    present = {*fitted_blocks(wanted, options), *(b for f in frozen for b in blocks_in(f))}
    single = {e for b in present if len(b.elements) == 1 for e in b.elements}
    names = [b.name for b in blocks_of(basis)]
    return [b for b in names if len(b.elements) > 1 and b not in present and b.elements <= single]


def fitted_blocks(wanted: Iterable[str], options: HierarchyOptions) -> set[ElementSet]:
    """The blocks of a climb and those that they leave free."""
    return {b for block in wanted for b in options.together(block)}


def _check_energies(
    wanted: Sequence[ElementSet], frames: Sequence[Frame], options: HierarchyOptions, basis: Basis,
    frozen: Sequence[Parameters],
) -> None:  # fmt: skip
    """Energies are not fitted upon frozen models that lack the energy of a free atom, unless settings say how."""
    fitted, facts = fitted_blocks(wanted, options), sequence_of(frames).facts
    with_energies = facts.element_sets(facts.has_energy)
    for block in wanted:
        free = options.together(block)[1:]
        labelled = block.elements if block in with_energies else frozenset()
        # those that blocks fitted here leave open are fitted with a larger block
        fitted_later = {t.elements[0] for t in basis.types if t.body == 1 and t.block in fitted}
        settled_energies(
            basis, (block, *free), below_of(block, less(frozen, set(wanted)), free), labelled,
            options.of(block).missing_energies, fitted_later, f"block {block}", fitted,
        )  # fmt: skip


def _check_weights(wanted: Sequence[ElementSet], frames: Sequence[Frame], options: HierarchyOptions) -> None:
    facts = sequence_of(frames).facts
    sources = set(facts.groups())
    known = {*KINDS, *sources, *(f"{s}/{k}" for s in sources for k in KINDS)}
    for block in wanted:
        if unknown := [k for k in explicit(options.of(block).weights) if k not in known]:
            raise InputError(unknown_weight(unknown[0], sources))
        require_matches(options.of(block).apart, sources, f"block {block}: apart")
        sets = options.sets_of(block, frames)
        used = facts.take(np.flatnonzero(facts.of_sets(sets)))
        check_fit_weights(used.group_counts(), own_weights(options, block, frames).weights, f"block {block}")


def independent_blocks(
    todo: Sequence[ElementSet], left_open: OpenEnergies, frames: Sequence[Frame], options: HierarchyOptions
) -> list[ElementSet]:
    """The first of some blocks to be fitted, and those that follow, of as many elements, and don't depend on it.

    Of the elements of a block, one of those before it may fit the energy of a free atom that was left open, or that
    frozen models lack; or leave their own blocks free. Whatever it does then comes after that one.
    """
    facts = sequence_of(frames).facts
    with_energies = facts.element_sets(facts.has_energy)
    first: list[ElementSet] = []
    moved: set[str] = set()
    for block in todo:
        labelled = not with_energies.isdisjoint(options.sets_of(block, frames))
        movable = left_open.within(block.elements).elements if labelled else ()
        if first and (len(block.elements) != len(first[0].elements) or moved & block.elements or movable):
            break
        first.append(block)
        moved |= {*movable, *(e for free in options.together(block)[1:] for e in free.elements)}
        if labelled and len(block.elements) > 1 and options.of(block).missing_energies == "fit":
            moved |= block.elements
    return first


def own_weights(options: HierarchyOptions, block: ElementSet, frames: Sequence[Frame]) -> FitSettings:
    """A block's settings without weights of sources of other blocks' frames alone; those of none are refused."""
    settings, sets = options.of(block), options.sets_of(block, frames)
    facts = sequence_of(frames).facts
    sources = set(facts.groups(facts.of_sets(sets)))
    others = set(facts.groups()) - sources
    foreign = {name for s in others for name in (s, *(f"{s}/{kind}" for kind in KINDS))} - set(KINDS)
    if isinstance(settings.weights, str):
        return settings
    return replace(settings, weights={k: w for k, w in settings.weights.items() if k not in foreign})


def _tell_unused(
    frames: Sequence[Frame], wanted: Sequence[ElementSet], options: HierarchyOptions, tell: Callable[[str], None]
) -> None:
    """Frames that no block is fitted on are not passed over in silence."""
    used = frozenset().union(*(options.sets_of(b, frames) for b in wanted))
    facts = sequence_of(frames).facts
    numbers = np.bincount(facts.sets, minlength=len(facts.set_names)).tolist()
    unused = {s: n for s, n in zip(facts.set_names, numbers, strict=True) if n and s not in used}
    for elements, count in sorted(unused.items()):
        tell(f"{count_text(count, 'frame')} of {elements} not used: no block that is fitted has exactly these elements")


def check_climb_contacts(
    frames: Sequence[Frame], basis: Basis, wanted: Sequence[ElementSet], frozen: Sequence[Parameters],
    options: HierarchyOptions, executor: Executor | None,
) -> None:  # fmt: skip
    """Raise InnerCutoffError, before any fit, for pairs inside inner cutoffs of a block: :func:`check_contacts`."""
    refused: set[ElementSet] = set()
    used: set[ElementSet] = set()
    for block in wanted:
        sets = options.sets_of(block, frames)
        used |= sets
        refused |= sets if options.of(block).policy == "refuse" else frozenset()
    names = fitted_blocks(wanted, options)
    frames = sequence_of(frames)
    check_contacts(
        frames.take(np.flatnonzero(frames.facts.of_sets(used))), basis, names, refused=refused,
        frozen=less(frozen, names), executor=executor,
    )  # fmt: skip


def walls_of_plan(
    plan: Plan, fits: Mapping[tuple[ElementSet, ...], Collection[Need]], frozen: Sequence[Parameters],
    options: HierarchyOptions, *, all_at_once: bool,
) -> list[str]:  # fmt: skip
    """What fits will say of walls that act on their frames, before them: :func:`~hiertl_dist.model.frozen.wall_notes`.

    ``fits``: the rows that are wanted, by the blocks that are fitted together, of which the first has the settings.
    """
    notes = []
    for blocks, needs in fits.items():
        settings = options.settings if all_at_once else options.of(blocks[0])
        wall = wall_of(settings.penalty, frozen if all_at_once else below_of(blocks[0], frozen, blocks[1:]))
        coverage: dict[str, tuple[float, float]] = {}
        for block in blocks:
            coverage |= plan.coverage({block}, {s for s, b in needs if b == block})
        notes += [
            ("" if all_at_once else f"block {blocks[0]}: ") + n for n in reaching_wall(wall, plan.basis, coverage)
        ]
    return notes


def less(models: Sequence[Parameters], blocks: AbstractSet[ElementSet]) -> list[Parameters]:
    """Frozen models without the blocks that were fitted since; those of which nothing is left are dropped."""
    kept = [(m, blocks_in(m) - blocks) for m in models]
    return [m if own == blocks_in(m) else m.restricted(own) for m, own in kept if own]


def below_of(block: ElementSet, models: Sequence[Parameters], free: Collection[str]) -> list[Parameters]:
    """The parts of models that stand on proper subsets of a block's elements, less the blocks left free."""
    below = []
    for model in models:
        inside = {b for b in blocks_in(model) if b.is_proper_subset(block) and b not in free}
        if inside == blocks_in(model):
            below.append(model)
        elif inside:
            below.append(model.restricted(inside))
    return below
