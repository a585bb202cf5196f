"""What a search will do: its stages, and the models of each, looked at before anything is computed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ..algebra import regulariser_from_dict
from ..dataset.systems import COMPOSITION, ELEMENTS
from ..errors import InputError
from ..fitting.block_order import (
    blocks_in,
    blocks_to_make,
    check_climb,
    check_frozen_complete,
    fitted_blocks,
    less,
    wanted_blocks,
)
from ..fitting.evidence_weights import require_prior
from ..fitting.settings import HierarchyOptions
from ..fitting.summary_pass import with_missing
from ..fitting.weights import EVIDENCE
from ..frames.digests import first_equal
from ..frames.element_set import ElementSet
from ..frames.frame_sequence import FrameSequence, joined_frames, sequence_of
from ..frames.rows import KINDS
from ..model.blocks import blocks_of
from ..model.one_body import (
    OpenEnergies,
    counts_of,
    one_body_values,
    settled_energies,
    undetermined_energies,
    with_energies,
)
from ..model.walls import explicit_wall
from ..text.problems import Problems
from .search_parts import Part, Tell, kinds_of, tell_orders, weighable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..dataset.folds import Folds
    from ..fitting.settings import FitSettings
    from ..frames.frame import Frame
    from ..model.basis import Basis
    from ..model.parameters import Parameters, Penalty
    from .search_settings import Choice, Grid, SearchSettings

RANK: Final = 1e-9
"""Singular values of numbers of atoms, relative to the largest, that are zero."""


@dataclass(frozen=True, eq=False)
class SearchPlan:
    """What a search will do: its stages, the blocks and frames to summarise, what is frozen from the start.

    Among the blocks are those of elements whose energy of a free atom a stage fits, though the rest of them is frozen.
    """

    parts: tuple[Part, ...]
    basis: Basis
    blocks: tuple[ElementSet, ...]
    frames: FrameSequence
    given: FrameSequence
    frozen: tuple[Parameters, ...]
    options: HierarchyOptions

    @property
    def wall(self) -> Penalty | None:
        """The wall that the settings name."""
        return next((w for p in self.parts if (w := explicit_wall(p.fit.penalty)) is not None), None)


def plan_search(
    frames: Sequence[Frame], basis: Basis, settings: SearchSettings, *, frozen: Sequence[Parameters] = (),
    options: HierarchyOptions | None = None, all_at_once: bool = False, tell: Tell = lambda _: None,
) -> SearchPlan:  # fmt: skip
    """Choose the stages of a search and look at each model of theirs.

    Raises InputError as ``search`` does at first; all that is wrong is told at once.
    """
    options = (options or HierarchyOptions()).normal()
    frames = sequence_of(frames)
    problems = Problems()
    names = [b.name for b in blocks_of(basis)]
    if unknown := sorted(set(settings.blocks) - set(names)):
        problems.add(f"search.blocks: {unknown} are not blocks of the basis, which has {names}")
    wanted: list[ElementSet] = []
    stages: list[tuple[ElementSet, tuple[ElementSet, ...], frozenset[ElementSet]]] = []
    with problems.noting():
        if all_at_once:
            wanted, sets = _together(frames, names, basis, settings, frozen, options)
            stages = [(ElementSet.union(wanted), tuple(wanted), sets)]
        else:
            wanted = wanted_blocks(frames, basis, frozen, options, tell)
            stages = [(b, _in_order(basis, options.together(b)), options.sets_of(b, frames)) for b in wanted]
            with problems.noting():
                check_climb(wanted, frames, basis, frozen, options, tell)
            with problems.noting():
                _check_tables(settings, wanted, options, tell)
    labelled = frames.take(np.flatnonzero(frames.facts.n_rows > 0))
    free = _in_order(basis, {b for _, blocks, _ in stages for b in blocks})
    parts = []
    for name, blocks, sets in stages:
        stage_frames = labelled.take(np.flatnonzero(labelled.facts.of_sets(sets)))
        present = stage_frames.facts.element_sets()
        if name not in present and not all_at_once:
            problems.add(f"block {name}: no frame of exactly its elements has an energy, forces or a stress")
            continue
        fit = options.settings if all_at_once else options.of(name)
        grid = settings.grid if all_at_once else settings.of(name)
        parts.append(Part(name, blocks, tuple(sorted(present)), stage_frames, fit, grid, settings.own_axes(name), basis,
                          weighable(labelled), free, all_at_once))  # fmt: skip
    for part in parts:
        _look_at(part, settings, options, problems, tell)
    left = tuple(less(frozen, set(free)))
    if len(parts) == len(stages):
        with problems.noting():
            _check_energies(parts, basis, left)
    problems.settle()
    asking = joined_frames([p.frames for p in parts if p.fit.missing_energies == "fit"])
    standing: list[ElementSet] = []
    if not all_at_once:  # what is made of lower blocks, and has a larger one upon it, is taken from the factors too
        made = blocks_to_make(wanted, basis, frozen, options)
        standing = [b for b in made if any(b.is_proper_subset(part.name) for part in parts)]
    whole, named = with_missing(basis, _in_order(basis, {*free, *standing}), left, asking, "fit")
    used = {s for _, _, sets in stages for s in sets}
    return SearchPlan(
        tuple(parts), whole, named, labelled.take(np.flatnonzero(labelled.facts.of_sets(used))), frames, left, options
    )


def _in_order(basis: Basis, blocks: Collection[str]) -> tuple[ElementSet, ...]:
    return tuple(b.name for b in blocks_of(basis, blocks))


def _together(
    frames: Sequence[Frame], names: Sequence[ElementSet], basis: Basis, settings: SearchSettings,
    frozen: Sequence[Parameters], options: HierarchyOptions,
) -> tuple[list[ElementSet], frozenset[ElementSet]]:  # fmt: skip
    """Blocks and element sets of a search all at once."""
    problems = Problems()
    with problems.noting():
        check_frozen_complete(basis, frozen)
    if settings.blocks:
        problems.add("search.blocks: all at once every block has the same grid; leave it out")
    frozen_blocks = {b for f in frozen for b in blocks_in(f)}
    wanted = [n for n in names if n not in frozen_blocks]
    # which blocks are free, and of which frames, is as if these were not said; what else they say would be ignored
    if options.only is not None and (absent := sorted(set(wanted) - fitted_blocks(options.only, options))):
        problems.add(
            f"all at once: every block is free, so ['only'] would be ignored, which leaves out {', '.join(absent)}"
        )
    plain = replace(options.settings, include_fewer=False)
    if other := [b for b, own in options.block_settings.items() if replace(own, include_fewer=False) != plain]:
        problems.add(
            "all at once: every block has the same settings, so ['block_settings'] would be ignored: fit.blocks of "
            f"{', '.join(other)}"
        )
    problems.settle()
    if not wanted:
        raise InputError("nothing to search: frozen files hold every block of the basis")
    elements = ElementSet.union(wanted)
    facts = sequence_of(frames).facts
    present = facts.element_sets(facts.n_rows > 0)
    sets = frozenset(s for s in present if s.is_subset(elements) and any(b.is_subset(s) for b in wanted))
    if not sets:
        raise InputError(
            f"nothing to search: no frame with labels has all elements of one of the blocks {', '.join(wanted)}"
        )
    labelled = facts.elements(facts.has_energy & facts.of_sets(sets))
    settled_energies(
        basis, wanted, less(frozen, set(wanted)), labelled, options.settings.missing_energies, (), "search all at once",
        wanted,
    )  # fmt: skip
    return wanted, sets


def _check_tables(
    settings: SearchSettings, wanted: Sequence[ElementSet], options: HierarchyOptions, tell: Tell
) -> None:
    """Raise InputError for a table of a block that is fitted with another; tell of those of blocks not searched."""
    problems = Problems()
    for name in settings.blocks:
        if name in wanted:
            continue
        if owner := next((b for b in wanted if name in options.together(b)), None):
            problems.add(
                f"search.blocks.{name}: {name} is fitted together with {owner} (partial), and so has its grid: say it "
                f"in search.blocks.{owner}, orders and exclude by type or block"
            )
        else:
            tell(f"note: search.blocks.{name} is of no use here: {name} is not searched")
    problems.settle()


def _look_at(part: Part, settings: SearchSettings, options: HierarchyOptions, problems: Problems, tell: Tell) -> None:
    """Note what is wrong with a stage: its frames, its settings, each of its models."""
    fit, grid = part.fit, part.grid
    with problems.noting():
        _check_scores(part.frames, part.name, settings)
    if fit.policy != options.settings.policy:
        problems.add(
            f"fit.blocks.{part.name}.policy is {fit.policy!r}, fit.policy is {options.settings.policy!r}: summaries "
            "are of one policy"
        )
    if fit.method != "rfactor":
        tell(f"note: {part.name}: method {fit.method!r} is of no use here; a search solves triangular factors")
    _tell_weights(grid, fit, part.frames, part.name, tell)
    tell_orders(part, tell)
    choices = grid.choices(fit) if settings.strategy == "grid" else _ladder_choices(grid, fit)
    with problems.noting():
        _check_evidence(grid, fit)
    for choice in choices:
        with problems.noting():
            part.columns([choice])


def _check_evidence(grid: Grid, fit: FitSettings) -> None:
    """Raise InputError where the grid has weights by evidence beside a regulariser that has none."""
    start = grid.start(fit)
    if EVIDENCE in [w for w in grid.axes.get("weights", (start.weights,)) if isinstance(w, str)]:
        for regulariser in grid.axes.get("regulariser", (start.regulariser,)):
            require_prior(regulariser_from_dict(dict(regulariser)), "search.grid.weights")


def _tell_weights(grid: Grid, fit: FitSettings, frames: FrameSequence, name: str, tell: Tell) -> None:
    """Weights that the grid does not name beside those that it names are ones, which may be next to nothing."""
    weights = grid.start(fit).weights
    kinds = sorted(kinds_of(frames.facts))
    if isinstance(weights, Mapping) and weights and (silent := [k for k in kinds if k not in weights]):
        tell(
            f"note: {name}: the grid has weights of {', '.join(weights)}; those of {', '.join(silent)} are 1 (in "
            'kcal/mol and Å) and not automatic: name them too, or say weights = ["auto"]'
        )


def _check_energies(parts: Sequence[Part], basis: Basis, frozen: Sequence[Parameters]) -> None:
    """Raise InputError where a fit would settle what a search can't.

    That is energies of free atoms that a stage knows only a combination of, which frames of a later one tell apart.
    """
    given = dict(basis.energies)
    known = {*given, *one_body_values(frozen), *(b for part in parts for b in part.blocks)}
    ones = {t.elements[0] for t in basis.types if t.body == 1}
    left = OpenEnergies()
    for part in parts:
        labelled = with_energies(part.frames)
        elements = set(labelled.facts.elements())
        missing = elements - known if part.fit.missing_energies == "fit" else set()
        known |= missing
        fitted = sorted(((set(part.blocks) & ones) - set(given)) | missing)
        left = left.without(fitted)
        movable = left.within(elements)
        counts = np.hstack([counts_of(labelled, fitted), movable.rows(labelled)])
        refitted = counts_of(labelled, (*fitted, *movable.alone()))
        together = [e for e in movable.elements if e not in movable.alone()]
        if together and _rank(counts) > _rank(refitted):
            raise InputError(
                f"search: compositions of smaller element sets don't tell the energies of free atoms of "
                f"{', '.join(together)} apart, and a search can't fit them anew with {part.name}: search all at once "
                "(--all-at-once), use fit, give one of them as [basis] energies, or add frames of other compositions"
            )
        # R alone: U of all frames is as large as the square of their number
        _, _, vt = np.linalg.svd(np.linalg.qr(counts, mode="r"))
        left = left.replaced(movable, undetermined_energies(fitted, movable, vt[_rank(counts) :].T, {}))


def _rank(counts: NDArray[np.float64]) -> int:
    """Of numbers of atoms (frames, elements)."""
    s = np.linalg.svd(counts, compute_uv=False)
    return int(np.count_nonzero(s > RANK * s.max(initial=0.0)))


def _ladder_choices(grid: Grid, fit: FitSettings) -> list[Choice]:
    """Each value of each axis once, and all combinations of orders and exclusions, for these may leave nothing."""
    start = grid.start(fit)
    choices = [start.changed(axis, v) for axis, values in grid.axes.items() for v in values] or [start]
    for orders in grid.axes.get("orders", (start.orders,)):
        for exclude in grid.axes.get("exclude", (start.exclude,)):
            choices.append(replace(start, orders=orders, exclude=exclude))
    return choices


def _check_scores(frames: FrameSequence, name: str, settings: SearchSettings) -> None:
    """Raise InputError where the frames of a stage can't be cross-validated, or not be scored."""
    kinds = kinds_of(frames.facts)
    wanted = [k for k, share in (settings.importance or dict.fromkeys(KINDS, 1.0)).items() if share > 0.0]
    if not kinds & set(wanted):
        raise InputError(
            f"search.importance: only {', '.join(wanted)} count, of which {name} has no rows; it has "
            f"{', '.join(sorted(kinds))}"
        )
    folds = settings.folds
    labels = folds.labels(frames.facts)
    if labels is None:
        names = [frames.origin(0)] * len(np.unique(first_equal(frames.digests)))
    else:
        names = sorted(labels.present)
    if len(names) < 2:
        raise InputError(
            f"search.folds: {name} has a single {folds.split}, {names[0]}, which can't be left out and fitted; folds "
            f"by {folds.split} need two {folds.split}s{_other_systems(folds)}"
        )


def _other_systems(folds: Folds) -> str:
    """What else could be a system, for a block whose frames are all of one."""
    if folds.split != "system":
        return ""
    if folds.system == ELEMENTS:
        return (
            "; a block can't be fitted without its element set: search all at once, or say folds.system = "
            '"composition" or patterns of groups'
        )
    if folds.system == COMPOSITION:
        return (
            " (compositions, or groups of a single element): give its frames other groups ([[data]] group or "
            "group_key), name systems by patterns of groups, or fit the block by itself (fit.only) with other folds "
            "and freeze its file here"
        )
    return ": the patterns of folds.system put all of its groups into one"
