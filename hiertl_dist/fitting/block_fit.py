"""``fit_block``: plan, assemble, reduce and solve one block with other models frozen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..algebra import ARD, BayesianRidge, UnsafeGram, penalises_all, regulariser_from_dict, solve
from ..design_matrix.assembly import Assembly, assemble
from ..design_matrix.planning import Need, Plan, make_plan
from ..errors import InputError
from ..executors import borrowed
from ..model.basis import cluster_name, split_symbols
from ..model.blocks import blocks_of, columns_of, sets_used
from ..model.energy_notes import energy_labels, fitted_notes, undetermined_notes
from ..model.frozen import absent_pairs_notes, check_frozen, fitted_parameters, wall_of
from ..model.one_body import (
    EnergyTerms,
    OpenEnergies,
    energy_terms,
    one_body_columns,
    undetermined_energies,
    without_one_body,
)
from ..model.solution import Solution
from ..model.untold import directions_of
from ..text.display import Shown
from ..text.result_cards import block_fit_card
from ..text.words import count_text
from .built_solution import built_solution
from .reduction import Summaries, reduce_rows
from .settings import FitSettings
from .unlearnt import fits_of_frames, unlearnt_notes
from .weights import (
    AUTO,
    AutoWeights,
    auto_weights,
    by_kind,
    check_fit_weights,
    explicit,
    group_weights,
    row_weights,
    shares_note,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ..algebra import LinearSolution, Regulariser, Summary
    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..frames.rows import Group
    from ..model.basis import Basis
    from ..model.parameters import Parameters, Penalty


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
    """

    solution: Solution
    plan: Plan
    summaries: Summaries
    assembly: Assembly | None
    left_open: OpenEnergies = field(default_factory=OpenEnergies)


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
    store: str | Path | None = None,
    memory: int | None = None,
    frame_sets: Sequence[str] | None = None,
    left_open: OpenEnergies | None = None,
    left_out: Collection[str] | None = None,
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
    store : str or Path, optional
        Folder of the design store; ``None`` streams, and never writes rows.
    memory : int, optional
        Bytes that all workers may take together; default: what is available.
    frame_sets : Sequence of str, optional
        Element sets whose frames are used instead; then exactly the blocks in ``free`` are fitted.
    left_open : OpenEnergies, optional
        One-body energies that fits of lower blocks left open (:attr:`BlockFit.left_open`), to be fitted here.
    left_out : Collection of str, optional
        Elements that may lack a one-body term on purpose; default: those of whose own block the basis has terms.

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
    block, free = cluster_name(split_symbols(block)), [cluster_name(split_symbols(b)) for b in free]
    names = tuple(b.name for b in blocks_of(basis, free if block in free or frame_sets is not None else [*free, block]))
    check_frozen(basis, names, frozen)
    penalty = wall_of(settings.penalty, frozen)
    chosen, needs = _choose_frames(frames, basis, block, names, settings, frame_sets)
    energies = energy_terms(
        chosen, basis, names, frozen, left_open=left_open, left_out=left_out, missing=settings.missing_energies,
        where=f"block {block}", centred=not penalises_all(regulariser_from_dict(dict(settings.regulariser))),
    )  # fmt: skip
    shapes = without_one_body(frozen)
    with borrowed(executor) as runner:
        plan = make_plan(chosen, basis, blocks=names, needs=needs, frozen=shapes, policy=settings.policy,
                         executor=runner, memory=memory)  # fmt: skip
        check_fit_weights({g for s in plan.segments for g, _ in s.groups}, settings.weights, f"block {block}")
        assembly = None if store is None else assemble(
            chosen, basis, store, frozen=shapes, policy=settings.policy, executor=runner, memory=memory, plan=plan
        )  # fmt: skip
        summaries, solved, notes = _solve(
            plan, names, settings, frozen=shapes, executor=runner, memory=memory, energies=energies,
            store=None if assembly is None else assembly.store,
        )  # fmt: skip
    notes = (*absent_pairs_notes(basis, frozen, chosen), *_refitted(block, free, settings), *notes)
    solution, still_open = _solution(block, summaries, solved, settings, plan, frozen, penalty, notes)
    return BlockFit(solution, plan, summaries, assembly, still_open)


def _refitted(block: str, free: Sequence[str], settings: FitSettings) -> tuple[str, ...]:
    if not free or block in free or settings.include_fewer:
        return ()
    said = f"{', '.join(free)} refitted on frames of {block} alone"
    return (f"{said}; include_fewer = true (--include-fewer) adds those of fewer elements",)


def _choose_frames(
    frames: Sequence[Frame], basis: Basis, block: str, names: Sequence[str], settings: FitSettings,
    frame_sets: Sequence[str] | None,
) -> tuple[list[Frame], set[Need]]:  # fmt: skip
    """The frames that a fit uses, and the blocks that are wanted in each set of them."""
    members = {b.name: set(b.elements) for b in blocks_of(basis, names)}
    elements = set().union(*members.values())
    if frame_sets is None:
        used = sets_used({f.elements for f in frames}, names, settings.include_fewer)
        frame_sets = sorted(cluster_name(s) for s in used | {frozenset(elements)})
    chosen = [f for f in frames if cluster_name(f.elements) in frame_sets]
    if not any(f.elements == elements for f in chosen) and (not chosen or len(frame_sets) == 1):
        raise InputError(
            f"block {block}: no frame contains exactly {', '.join(sorted(elements))}; give such frames or freeze a file"
        )
    return chosen, {(cluster_name(f.elements), b) for f in chosen for b, e in members.items() if e <= f.elements}


def _solve(
    plan: Plan, names: Sequence[str], settings: FitSettings, *, frozen: Sequence[Parameters], executor: Executor,
    memory: int | None, store: Any, energies: EnergyTerms,
) -> tuple[Summaries, Solved, tuple[str, ...]]:  # fmt: skip
    regulariser = regulariser_from_dict(dict(settings.regulariser))
    kinds = ("gram", "rfactor") if settings.method == "auto" else (settings.method,)
    notes: tuple[str, ...] = ()
    for kind in kinds:
        summaries = reduce_rows(
            plan, names, store=store, frozen=frozen, method=kind, executor=executor, memory=memory,
            regulariser=settings.regulariser["kind"], energies=energies,
        )  # fmt: skip
        try:
            return summaries, solve_summaries(summaries, regulariser, settings, executor), notes
        except UnsafeGram as error:
            if kind == kinds[-1]:
                raise
            notes = (f"method auto: fell back from gram to rfactor: {error}",)
    raise AssertionError("unreachable: the last method returns or raises")


@dataclass(frozen=True, eq=False)
class Solved:
    """A weighted solve of summaries.

    Attributes
    ----------
    linear : in the order of ``summaries.columns``; one-body coefficients are those above the zeros of the energies.
    weights : of groups of rows by name; automatic : where they come from, if nobody named them.
    """

    linear: LinearSolution
    weights: Mapping[str, float]
    automatic: AutoWeights | None


def solve_summaries(
    summaries: Summaries, regulariser: Regulariser, settings: FitSettings, executor: Executor
) -> Solved:
    """Weighted solve of the combined groups; one item, so that every process gets the same bits."""
    task = partial(_solve_combined, summaries=summaries, settings=settings)
    found = executor.run(task, [regulariser], label=str, what=f"solve {'+'.join(summaries.blocks)}")[0]
    if isinstance(found, UnsafeGram):
        raise found
    solved: Solved = found
    return solved


def _solve_combined(regulariser: Regulariser, *, summaries: Summaries, settings: FitSettings) -> Solved | UnsafeGram:
    fixed = summaries.energies.fixed
    columns = summaries.columns
    # energies that are given are taken off the labels: what is left of them is zero, and not fitted
    kept = np.array([i for i, c in enumerate(columns) if c.powers or c.elements[0] not in fixed], np.intp)
    unpenalised = one_body_columns([columns[i] for i in kept])
    try:
        automatic = None
        weights = explicit(settings.weights)
        if settings.weights == AUTO:
            groups = {g: summaries.offset(g).columns(kept) for g in summaries.groups}
            automatic = auto_weights(by_kind(groups, settings.objective), unpenalised)
            weights = automatic.weights
        factors, counted = group_weights(summaries.groups, weights, settings.objective)
        combined = summaries.combined(factors).columns(kept)
        linear = solve(combined, regulariser, rows_for(regulariser, combined, counted), unpenalised)
    except UnsafeGram as error:  # an answer, not a failure of the task: method "auto" goes on from it
        return error
    coefficients = np.zeros(len(columns))
    coefficients[kept] = linear.coefficients
    return Solved(replace(linear, coefficients=coefficients), weights, automatic)


def rows_for(regulariser: Regulariser, summary: Summary, counted: float) -> float:
    """N of a regulariser: the rows that the objective counts; evidence counts each row of weight above 0 once."""
    return float(summary.rows) if isinstance(regulariser, BayesianRidge | ARD) else counted


def _solution(
    block: str, summaries: Summaries, solved: Solved, settings: FitSettings, plan: Plan,
    frozen: Sequence[Parameters], penalty: Penalty, notes: tuple[str, ...],
) -> tuple[Solution, OpenEnergies]:  # fmt: skip
    linear = solved.linear
    offsets: dict[Group, Summary] = {g: summaries.offset(g) for g in summaries.groups}
    sums = {g: (s.rows, s.target_norm2(), s.residual_norm2(linear.coefficients)) for g, s in offsets.items()}
    if plan.inside:
        shown = "; ".join(str(p) for p in plan.inside[:5]) + " …" * (len(plan.inside) > 5)
        inside = count_text(len(plan.inside), "pair")
        notes = (*notes, f"{inside} inside an inner cutoff, policy {plan.policy}: {shown}")
    for what, origins in (("left out by the policy", plan.skipped), ("without a label", plan.unlabelled)):
        if origins:
            shown = "; ".join(origins[:5]) + " …" * (len(origins) > 5)
            notes = (*notes, f"{count_text(len(origins), 'frame')} {what}: {shown}")
    energies, still_open = _energies(summaries, linear)
    factors = row_weights(offsets, solved.weights, settings.objective)
    alone = still_open.alone()
    told = fitted_notes([e for e in summaries.energies.open.elements if e not in alone])
    left = undetermined_notes(still_open, block, energy_labels(factors))
    notes = (*notes, *summaries.energies.notes, *told, *left, *linear.notes)
    if solved.automatic is not None:
        notes = (*notes, solved.automatic.text(), *solved.automatic.notes)
    else:
        notes = (*notes, *shares_note({g: before for g, (_, before, _) in sums.items()}, factors))
    used = {g: after for g, (_, _, after) in sums.items() if factors[g] > 0.0}
    fits = fits_of_frames([f for s in plan.segments for f in s.frames], used, {g: sums[g][0] for g in used})
    weights = None if solved.automatic is None else solved.automatic.weights
    notes = (*unlearnt_notes(fits, weights, block), *notes)
    parameters = fitted_parameters(
        plan.basis, summaries.columns, linear.coefficients, energies, penalty, plan.coverage(summaries.blocks),
        f"fit of {block}",
    )  # fmt: skip
    partly = still_open.without(alone)
    parameters = replace(parameters, untold=directions_of(partly.elements, partly.directions))
    solution = built_solution(
        parameters, linear, sums, name=block, blocks=summaries.blocks, frozen=frozen,
        regulariser=regulariser_from_dict(dict(settings.regulariser)), weights=solved.weights,
        objective=settings.objective, notes=notes,
    )  # fmt: skip
    return solution, still_open


def _energies(summaries: Summaries, linear: LinearSolution) -> tuple[dict[str, float], OpenEnergies]:
    """One-body energies, kcal/mol by element, that a fit says, and those that it leaves open."""
    terms, columns = summaries.energies, summaries.columns
    values = dict(zip(columns, linear.coefficients.tolist(), strict=True))
    own = [c.elements[0] for c in columns_of(summaries.basis, summaries.blocks) if not c.powers]
    found = {e: terms.zeros.get(e, 0.0) + values[c] for c in columns for e in c.elements if not c.powers and e in own}
    moved: NDArray[np.float64] = terms.open.directions @ np.array([values[c] for c in terms.open.columns])
    found |= {e: terms.zeros.get(e, 0.0) + float(x) for e, x in zip(terms.open.elements, moved, strict=True)}
    found |= terms.fixed  # whether frames have energies or not
    free = [e for e in own if e not in terms.fixed]
    still_open = undetermined_energies(free, terms.open, linear.undetermined, found)
    unknown = set(still_open.alone())
    return {e: x for e, x in {**found, **terms.stated}.items() if e not in unknown}, still_open
