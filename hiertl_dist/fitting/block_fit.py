"""``fit_block``: one block with other models frozen: a plan, a pass over its rows into summaries, a view, a solve."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..algebra import UnsafeGram, penalises_all
from ..design_matrix.assembly import Assembly
from ..design_matrix.fit_costs import solve_seconds
from ..design_matrix.kept_summaries import pooled_segments
from ..design_matrix.planning import Need, Plan, make_plan
from ..errors import InputError
from ..evaluation.kernels.scratch import return_memory
from ..executors import borrowed
from ..frames.element_set import ElementSet
from ..frames.frame_sequence import FrameSequence, sequence_of
from ..frames.pooling import require_matches
from ..frames.type_names import split_symbols
from ..model.blocks import blocks_of, sets_used
from ..model.frozen import absent_pairs_notes, check_frozen, wall_of
from ..model.one_body import EnergyTerms, OpenEnergies, energy_terms, without_one_body
from ..model.priors import MIXED
from ..model.solution import Solution
from ..model.walls import AUTO as AUTO_WALL
from ..text.display import Shown
from ..text.result_cards import block_fit_card
from .checkpoints import checkpoints
from .reduction import Summaries, reduce_rows, solve_bytes
from .rows_in_store import rows_in_store
from .settings import FitSettings
from .type_counts import counts_of_fit
from .view_priors import probe_rows_of, with_prior
from .view_solutions import as_regulariser, energies_of, solution_of, solved_whole
from .views import weighted, whole_view, with_automatic
from .wall_choice import chosen_wall
from .weighed_rows import weighed_with_notes
from .weights import EVIDENCE, check_fit_weights, explicit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ..algebra import LinearSolution, Regulariser
    from ..design_matrix.store import DesignStore
    from ..executors.base import Executor
    from ..files.object_path import Place
    from ..frames.frame import Frame
    from ..frames.pooling import Pooling
    from ..model.basis import Basis
    from ..model.parameters import Parameters, Penalty
    from .checkpoints import Checkpoints
    from .probe_rows import ProbeRows
    from .views import View
    from .weights import AutoWeights


@dataclass(frozen=True, eq=False, repr=False)
class BlockFit(Shown, card=block_fit_card):
    """A solution with what it was made from.

    Attributes
    ----------
    solution : Solution
        Coefficients, residuals and notes.
    plan : Plan
        Which frames, segments and tiles.
    summaries : Summaries
        What the rows were reduced to.
    assembly : Assembly or None
        The store, if rows were kept.
    left_open : OpenEnergies
        One-body energies that its frames did not determine, for a larger block that can.
    view : View or None
        What was solved, with its prior.
    energy_atoms : float
        Root mean square of the numbers of atoms of frames with an energy; NaN without any.
    """

    solution: Solution
    plan: Plan
    summaries: Summaries
    assembly: Assembly | None
    left_open: OpenEnergies = field(default_factory=OpenEnergies)
    view: View | None = None
    energy_atoms: float = math.nan


# long: its parameters are documented
def fit_block(
    frames: Sequence[Frame],
    basis: Basis,
    block: str,
    *,
    free: Sequence[str] = (),
    frozen: Sequence[Parameters] = (),
    settings: FitSettings | None = None,
    executor: Executor | None = None,
    store: str | Place | None = None,
    memory: int | None = None,
    frame_sets: Sequence[str] | None = None,
    left_open: OpenEnergies | None = None,
    left_out: Collection[str] | None = None,
    probes: Sequence[Frame] | None = None,
    checkpoint: Checkpoints | str | Place | None = None,
) -> BlockFit:
    """Fit one block on the frames that contain exactly its elements, other models frozen.

    The problem that is solved is in section 4 of docs/theory.md.

    Parameters
    ----------
    frames : Sequence of Frame
        With labels; those that the block does not use are passed over.
    basis : Basis
        That has the block's cluster types.
    block : str
        Name of the element set, such as ``"CN"``.
    free : Sequence of str
        Lower blocks that are fitted together with it.
    frozen : Sequence of Parameters
        Models whose contribution is subtracted: evaluated on the clusters of their own elements.
    settings : FitSettings, optional
        How it is fitted; default: ``FitSettings()``.
    executor : Executor, optional
        Who does the work; default: mpirun's ranks, the current dask client, else a local dask cluster.
    store : str, Path or ObjectPath, optional
        Folder of the design store; ``None`` streams, and never writes rows.
    memory : int, optional
        Bytes that all workers may take together; default: what is available.
    frame_sets : Sequence of str, optional
        Element sets whose frames are used instead; then exactly the blocks in ``free`` are fitted.
    left_open : OpenEnergies, optional
        One-body energies that fits of lower blocks left open (:attr:`BlockFit.left_open`), to be fitted here.
    left_out : Collection of str, optional
        Elements that may lack a one-body term on purpose; default: those of whose own block the basis has terms.
    probes : Sequence of Frame, optional
        Structures on which a prior holds predictions; default: as many as it says, made of the frames of single
        elements.
    checkpoint : str or Path, optional
        Folder of checkpoints, by which a long pass that is cut goes on (:func:`~hiertl_dist.reduce_rows`); what is
        there of it is deleted when all is done. ``None``: none.

    Returns
    -------
    BlockFit
        The solution, and what it was made from.

    Raises
    ------
    InputError
        No frames, no columns; frozen models lack the energy of a free atom.
    MismatchError
        A frozen model does not fit the basis.
    InnerCutoffError, ResourceError, TaskFailed
        As of :func:`~hiertl_dist.plan` and :func:`~hiertl_dist.reduce_rows`.
    """
    settings = settings or FitSettings()
    block, free = ElementSet.parse(block), list(map(ElementSet.parse, free))
    names = tuple(b.name for b in blocks_of(basis, free if block in free or frame_sets is not None else [*free, block]))
    check_frozen(basis, names, frozen)
    frames = sequence_of(frames)
    if settings.apart:
        require_matches(settings.apart, frames.facts.groups(), f"block {block}: apart")
    chosen, needs = _choose_frames(frames, block, names, settings, frame_sets)
    energies = energy_terms(
        chosen, basis, names, frozen, left_open=left_open, left_out=left_out, missing=settings.missing_energies,
        where=f"block {block}", centred=not penalises_all(as_regulariser(settings.regulariser)),
    )  # fmt: skip
    shapes = without_one_body(frozen)
    with borrowed(executor) as runner, checkpoints(checkpoint, runner) as kept:
        penalty, said = _wall(settings, frames, basis, frozen, runner)
        plan = make_plan(chosen, basis, blocks=names, needs=needs, frozen=shapes, policy=settings.policy,
                         executor=runner, memory=memory)  # fmt: skip
        check_fit_weights({g for s in plan.segments for g, _ in s.groups}, settings.weights, f"block {block}")
        assembly, offsets_lack = rows_in_store(plan, store, frozen=shapes, executor=runner, memory=memory)
        segments, pooling = pooled_segments(plan.segments, explicit(settings.weights), settings.apart)
        segments, weighed = weighed_with_notes(
            segments, chosen, settings.row_weights, settings.weights, shapes, runner
        )  # fmt: skip
        rows = probe_rows_of(
            settings.prior, frames, basis, names, lower=shapes, probes=probes, executor=runner, memory=memory
        )  # fmt: skip
        given, linear, fallback = _reduce_and_solve(
            replace(plan, segments=segments), pooling, names, settings, frozen=shapes, executor=runner, memory=memory,
            energies=energies, store=None if assembly is None else assembly.store, probes=rows, checkpoint=kept,
            make_offsets=offsets_lack,
        )  # fmt: skip
        fitted = chosen.take(np.concatenate([s.indices for s in plan.segments]))
        counts = counts_of_fit(fitted, basis, names, runner)
    notes = (*said, *weighed, *absent_pairs_notes(basis, frozen, chosen), *_refitted(block, free, settings), *fallback)
    solution = solution_of(
        replace(given, notes=(*notes, *given.notes)), linear, as_regulariser(settings.regulariser), penalty=penalty,
        name=block, frames=fitted, frozen=frozen,
    )  # fmt: skip
    return BlockFit(
        _with_counts(solution, counts, given.prior.mean == MIXED), plan, given.summaries, assembly,
        energies_of(given, linear)[1], given, _energy_atoms(fitted),
    )  # fmt: skip


def _with_counts(solution: Solution, counts: Mapping[str, tuple[int, int]], mixed: bool) -> Solution:
    """A solution that says what it was fitted on; with a mixed mean, types that no frame has stay at it."""
    ways = dict(solution.parameters.without_data)
    if mixed:
        ways |= {n: MIXED for n, (_, met) in counts.items() if not met and len(set(split_symbols(n))) > 1}
    return replace(solution, parameters=replace(solution.parameters, fitted_on=counts, without_data=ways))


def _wall(
    settings: FitSettings, frames: FrameSequence, basis: Basis, frozen: Sequence[Parameters], executor: Executor
) -> tuple[Penalty, tuple[str, ...]]:
    """The wall of the block, and what is to be said of one that contacts chose."""
    if settings.penalty != AUTO_WALL or frozen:
        return wall_of(settings.penalty, frozen), ()
    wall, note = chosen_wall(frames, basis, [settings.policy], executor)
    return wall, (note,)


def _energy_atoms(frames: FrameSequence) -> float:
    atoms = frames.facts.n_atoms[frames.facts.has_energy].astype(float)
    return float(np.sqrt(np.mean(atoms**2))) if len(atoms) else math.nan


def _refitted(block: str, free: Sequence[str], settings: FitSettings) -> tuple[str, ...]:
    if not free or block in free or settings.include_fewer:
        return ()
    refitted = f"{', '.join(free)} refitted on frames of {block} alone"
    return (f"{refitted}; include_fewer = true (--include-fewer) adds those of fewer elements",)


def _choose_frames(
    frames: FrameSequence, block: str, names: Sequence[ElementSet], settings: FitSettings,
    frame_sets: Sequence[str] | None,
) -> tuple[FrameSequence, set[Need]]:  # fmt: skip
    """The frames that a fit uses, and the blocks that are wanted in each set of them."""
    elements = ElementSet.union(names)
    if frame_sets is None:
        frame_sets = sorted(sets_used(frames.facts.element_sets(), names, settings.include_fewer) | {elements})
    frame_sets = [ElementSet.parse(s) for s in frame_sets]
    chosen = frames.take(np.flatnonzero(frames.facts.of_sets(frame_sets)))
    present = chosen.facts.element_sets()
    if elements not in present and (not present or len(frame_sets) == 1):
        raise InputError(
            f"block {block}: no frame contains exactly {', '.join(sorted(elements.elements))}; give such frames or "
            "freeze a file"
        )
    return chosen, {(s, b) for s in present for b in names if b.is_subset(s)}


def _reduce_and_solve(
    plan: Plan, pooling: Pooling, names: Sequence[str], settings: FitSettings, *, frozen: Sequence[Parameters],
    executor: Executor, memory: int | None, store: DesignStore | None, energies: EnergyTerms, probes: ProbeRows | None,
    checkpoint: Checkpoints | None, make_offsets: bool,
) -> tuple[View, LinearSolution, tuple[str, ...]]:  # fmt: skip
    """What was solved, the answer, and a note where method ``auto`` had to reduce the rows again."""
    kinds = ("gram", "rfactor") if settings.method == "auto" else (settings.method,)
    notes: tuple[str, ...] = ()
    for kind in kinds:
        summaries = reduce_rows(
            plan, names, store=store, frozen=frozen, method=kind, executor=executor, memory=memory,
            regulariser=settings.regulariser["kind"], by_evidence=settings.weights == EVIDENCE, energies=energies,
            checkpoint=checkpoint, make_offsets=make_offsets,
        )  # fmt: skip
        rows = {} if settings.row_weights is None else settings.row_weights.record()
        summaries = replace(
            summaries, pooled=pooling.pooled, notes=(*summaries.notes, *pooling.notes), row_weights=rows
        )  # fmt: skip
        try:
            given, linear = solve_summaries(summaries, as_regulariser(settings.regulariser), settings, executor, probes)
        except UnsafeGram as error:
            if kind == kinds[-1]:
                raise
            notes = (f"method auto: fell back from gram to rfactor: {error}",)
        else:
            return given, linear, notes
    raise AssertionError("unreachable: the last method returns or raises")


def solve_summaries(
    summaries: Summaries, regulariser: Regulariser, settings: FitSettings, executor: Executor,
    probes: ProbeRows | None = None,
) -> tuple[View, LinearSolution]:  # fmt: skip
    """The whole view of summaries, weighted, and its answer; one item, so that every process gets the same bits."""
    given = whole_view(summaries, settings.weights, settings.objective)
    given = with_prior(given, settings.prior, summaries.frozen, probes)
    return_memory()  # of the choices of a prior, of large squares
    task = partial(_weigh_and_solve, weights=settings.weights)
    width = len(summaries.columns) + 1 + len(summaries.frozen)
    sizes = [summaries.rows(g) for g in summaries.groups]
    answer = executor.run(
        task, [(replace(given, asked=None), regulariser)],  # what chose the prior is not asked again
        label=_regulariser_of, what=f"solve {'+'.join(summaries.blocks)}",
        cost=lambda _: solve_seconds(width),
        nbytes=solve_bytes(
            width, sizes, executor, settings.regulariser["kind"], settings.weights == EVIDENCE,
            probed=given.deviation is not None and given.deviation.rows is not None,
        ),
    )[0]  # fmt: skip
    if isinstance(answer, UnsafeGram):
        raise answer
    linear, weights = answer
    return (given if weights is None else with_automatic(given, weights)), linear


def _regulariser_of(item: tuple[View, Regulariser]) -> str:
    return str(item[1])


def _weigh_and_solve(
    item: tuple[View, Regulariser], *, weights: Mapping[str, float] | str
) -> tuple[LinearSolution, AutoWeights | None] | UnsafeGram:
    given, regulariser = item
    return_memory()
    try:
        given = weighted(given, weights, regulariser)
        return solved_whole(given, regulariser), given.automatic
    except UnsafeGram as error:  # an answer, not a failure of the task: method "auto" goes on from it
        return error
