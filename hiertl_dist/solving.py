"""``fit_block``: plan, assemble, reduce and solve one block with other models frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .algebra import ARD, BayesianRidge, UnsafeGram, regulariser_from_dict, regulariser_to_dict, solve
from .assembly import Assembly, assemble
from .basis import cluster_name, split_symbols
from .blocks import blocks_of, columns_of
from .errors import InputError, MismatchError
from .executors import borrowed
from .parameters import Parameters, Penalty, check_same_cutoffs, check_same_pairs
from .planning import Need, Plan, make_plan
from .reduction import Summaries, check_weights, group_weights, reduce_rows
from .rows import OBJECTIVES
from .solution import GroupResidual, Solution

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .algebra import LinearSolution, Regulariser, Summary
    from .basis import Basis
    from .blocks import Column
    from .executors.base import Executor
    from .frames import Frame
    from .rows import Group
    from .tiles import InnerPolicy

METHODS: Final = ("rfactor", "gram", "auto")


@dataclass(frozen=True)
class FitSettings:
    """How a block is fitted.

    Attributes
    ----------
    regulariser : ``{"kind": "none" | "svd" | "ridge" | "lasso", …}``, see
        :func:`~hiertl_dist.algebra.regulariser_from_dict`.
    weights : by kind of row, by source, or ``source/kind``; they multiply rows, so the objective holds their squares.
    objective : ``lsq`` (chimes_lsq's counting) or ``plain``.
    method : ``rfactor`` (TSQR), ``gram`` (normal equations, refused where unsafe) or ``auto``: Gram, and where that
        is unsafe RFactor, which reads the rows (or, when streaming, makes them) once more.
    policy : for pairs inside an inner cutoff.
    include_fewer : also use frames that have only some of the block's elements.
    penalty : the wall of the fitted block; default: that of the frozen models, else ChIMES's default.
    """

    regulariser: Mapping[str, Any] = field(default_factory=lambda: {"kind": "none"})
    weights: Mapping[str, float] = field(default_factory=dict)
    objective: str = "lsq"
    method: str = "rfactor"
    policy: InnerPolicy = "refuse"
    include_fewer: bool = False
    penalty: Penalty | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"method: expected one of {METHODS}, found {self.method!r}")
        if self.objective not in OBJECTIVES:
            raise InputError(f"objective: expected one of {sorted(OBJECTIVES)}, found {self.objective!r}")
        try:
            regulariser_from_dict(dict(self.regulariser))
        except ValueError as error:
            raise InputError(f"regulariser: {error}") from error


@dataclass(frozen=True, eq=False)
class BlockFit:
    """A solution with what it was made from: the plan, the summaries, and the store if rows were kept."""

    solution: Solution
    plan: Plan
    summaries: Summaries
    assembly: Assembly | None


def check_frozen(basis: Basis, free: Sequence[str], frozen: Sequence[Parameters]) -> None:
    """Raise MismatchError unless frozen models fit the basis; both values are named.

    Pairs and the cutoff function must agree; where the basis keeps a type that is frozen, so must its cutoffs, and the
    frozen order may be lower (missing coefficients are zero) but not higher. Types that the basis excludes take all
    from the frozen model. A frozen model must not hold terms of a block that is being fitted.
    """
    for i, model in enumerate(frozen):
        check_same_pairs(basis, model.basis, "the basis", model.source)
        for kind in model.basis.types:
            if kind.block in free:
                raise MismatchError(
                    f"{model.source} has {kind.name} terms of block {kind.block}, which is being fitted; freeze a "
                    "model of other blocks, or leave these terms out of it"
                )
            for other in frozen[:i]:
                if other.basis.type_named(kind.elements) is not None:
                    raise MismatchError(f"both {other.source} and {model.source} have {kind.name} terms")
            kept = basis.type_named(kind.elements)
            if kept is not None:
                check_same_cutoffs(kept, kind, "the basis", model.source)
                if kind.order > kept.order:
                    raise MismatchError(
                        f"type {kind.name}, order: the basis has {kept.order}, {model.source} has {kind.order}"
                    )


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
) -> BlockFit:
    """Fit one block on the frames that contain exactly its elements, other models frozen.

    Parameters
    ----------
    block : name of the element set, such as ``"CN"``.
    free : lower blocks that are fitted together with it.
    frozen : models whose contribution is subtracted: evaluated on the clusters of their own elements.
    executor : who does the work; default: mpirun's ranks, the current dask client, else a local dask cluster.
    store : folder of the design store; ``None`` streams, and never writes rows.
    frame_sets : element sets whose frames are used instead; then exactly the blocks in ``free`` are fitted.

    Raises
    ------
    InputError
        No frames, no columns.
    MismatchError
        A frozen model does not fit the basis.
    """
    settings = settings or FitSettings()
    block, free = cluster_name(split_symbols(block)), [cluster_name(split_symbols(b)) for b in free]
    wanted = list(free) if block in free or frame_sets is not None else [*free, block]
    names = tuple(b.name for b in blocks_of(basis, wanted))
    check_frozen(basis, names, frozen)
    penalty = wall_of(settings.penalty, frozen)
    chosen, needs = _choose_frames(frames, basis, block, names, settings, frame_sets)
    with borrowed(executor) as runner:
        plan = make_plan(chosen, basis, blocks=names, needs=needs, frozen=frozen, policy=settings.policy,
                         executor=runner, memory=memory)  # fmt: skip
        check_weights({g for s in plan.segments for g, _ in s.groups}, settings.weights)
        assembly = None
        if store is not None:
            assembly = assemble(
                chosen, basis, store, frozen=frozen, policy=settings.policy, executor=runner, memory=memory, plan=plan
            )
        summaries, linear, notes = _solve(
            plan, names, settings, frozen=frozen, executor=runner, memory=memory,
            store=None if assembly is None else assembly.store,
        )  # fmt: skip
    if free and block not in free and not settings.include_fewer:
        alone = f"{', '.join(free)} refitted on frames of {block} alone; include_fewer adds those of fewer elements"
        notes = (*notes, alone)
    solution = _solution(block, summaries, linear, settings, plan, frozen, penalty, notes)
    return BlockFit(solution, plan, summaries, assembly)


def _choose_frames(
    frames: Sequence[Frame], basis: Basis, block: str, names: Sequence[str], settings: FitSettings,
    frame_sets: Sequence[str] | None,
) -> tuple[list[Frame], set[Need]]:  # fmt: skip
    """The frames that a fit uses, and the blocks that are wanted in each set of them."""
    members = {b.name: set(b.elements) for b in blocks_of(basis, names)}
    elements = set().union(*members.values())
    if frame_sets is None:
        subsets = {cluster_name(f.elements) for f in frames if f.elements < elements}
        frame_sets = [cluster_name(elements), *(sorted(subsets) if settings.include_fewer else ())]
    chosen = [f for f in frames if cluster_name(f.elements) in frame_sets]
    if not any(f.elements == elements for f in chosen) and (not chosen or len(frame_sets) == 1):
        raise InputError(
            f"block {block}: no frame contains exactly {', '.join(sorted(elements))}; give such frames or freeze a file"
        )
    return chosen, {(cluster_name(f.elements), b) for f in chosen for b, e in members.items() if e <= f.elements}


def wall_of(penalty: Penalty | None, frozen: Sequence[Parameters]) -> Penalty:
    """The wall of a fitted block: the one given, else that of the frozen models, which must agree."""
    found = {f.penalty for f in frozen}
    if penalty is None and len(found) > 1:
        raise MismatchError(f"penalty: frozen models have {sorted(map(str, found))}; say which to use")
    return penalty or next(iter(found), Penalty())


def _solve(
    plan: Plan, names: Sequence[str], settings: FitSettings, *, frozen: Sequence[Parameters], executor: Executor,
    memory: int | None, store: Any,
) -> tuple[Summaries, LinearSolution, tuple[str, ...]]:  # fmt: skip
    regulariser = regulariser_from_dict(dict(settings.regulariser))
    kinds = ("gram", "rfactor") if settings.method == "auto" else (settings.method,)
    notes: tuple[str, ...] = ()
    for kind in kinds:
        summaries = reduce_rows(
            plan, names, store=store, frozen=frozen, method=kind, executor=executor, memory=memory,
            regulariser=settings.regulariser["kind"],
        )  # fmt: skip
        try:
            return summaries, solve_summaries(summaries, regulariser, settings, executor), notes
        except UnsafeGram as error:
            if kind == kinds[-1]:
                raise
            notes = (f"method auto: fell back from gram to rfactor: {error}",)
    raise AssertionError("unreachable: the last method returns or raises")


def solve_summaries(
    summaries: Summaries, regulariser: Regulariser, settings: FitSettings, executor: Executor
) -> LinearSolution:
    """Weighted solve of the combined groups; one item, so that every process gets the same bits."""
    weights, counted = group_weights(summaries.groups, settings.weights, settings.objective)
    task = partial(_solve_combined, summaries=summaries, weights=weights, counted=counted)
    found = executor.run(task, [regulariser], label=str, what=f"solve {'+'.join(summaries.blocks)}")[0]
    if isinstance(found, UnsafeGram):
        raise found
    solved: LinearSolution = found
    return solved


def _solve_combined(
    regulariser: Regulariser, *, summaries: Summaries, weights: Mapping[Group, float], counted: int
) -> LinearSolution | UnsafeGram:
    try:
        combined = summaries.combined(weights)
        return solve(combined, regulariser, rows_for(regulariser, combined, counted))
    except UnsafeGram as error:  # an answer, not a failure of the task: method "auto" goes on from it
        return error


def rows_for(regulariser: Regulariser, summary: Summary, counted: float) -> float:
    """N of a regulariser: the rows that the objective counts; evidence counts each row of weight above 0 once."""
    return float(summary.rows) if isinstance(regulariser, BayesianRidge | ARD) else counted


def _residual(summary: Summary, c: Any) -> GroupResidual:
    rows = max(summary.rows, 1)
    return GroupResidual(
        summary.rows, float(np.sqrt(summary.target_norm2() / rows)), float(np.sqrt(summary.residual_norm2(c) / rows))
    )


def _solution(
    block: str, summaries: Summaries, linear: LinearSolution, settings: FitSettings, plan: Plan,
    frozen: Sequence[Parameters], penalty: Penalty, notes: tuple[str, ...],
) -> Solution:  # fmt: skip
    offsets: dict[Group, Summary] = {g: summaries.offset(g) for g in summaries.groups}
    residuals = {g.name: _residual(s, linear.coefficients) for g, s in offsets.items()}
    counts = OBJECTIVES[settings.objective]
    total = sum(counts.count(g.kind) * s.rows for g, s in offsets.items())
    squares = sum(counts.count(g.kind) * s.residual_norm2(linear.coefficients) for g, s in offsets.items())
    if plan.inside:
        shown = "; ".join(str(p) for p in plan.inside[:5]) + " …" * (len(plan.inside) > 5)
        notes = (*notes, f"{len(plan.inside)} pairs inside an inner cutoff, policy {plan.policy}: {shown}")
    for what, origins in (("left out by the policy", plan.skipped), ("without a label", plan.unlabelled)):
        if origins:
            shown = "; ".join(origins[:5]) + " …" * (len(origins) > 5)
            notes = (*notes, f"{len(origins)} frames {what}: {shown}")
    basis = plan.basis.with_types(t for t in plan.basis.types if t.block in summaries.blocks)
    parameters = fitted_parameters(
        basis, summaries.columns, linear.coefficients, penalty, plan.coverage(summaries.blocks), f"fit of {block}"
    )
    return Solution(
        parameters, block, summaries.blocks, {f.source: f.digest for f in frozen},
        regulariser_to_dict(regulariser_from_dict(dict(settings.regulariser))), dict(settings.weights),
        settings.objective, linear.method, linear.rank, linear.condition, linear.nonzeros, total,
        float(np.sqrt(squares / max(total, 1))), residuals, (*notes, *linear.notes),
        linear.hyperparameters,
    )  # fmt: skip


def fitted_parameters(
    basis: Basis, columns: Sequence[Column], values: Any, penalty: Penalty,
    coverage: Mapping[str, tuple[float, float]], source: str,
) -> Parameters:  # fmt: skip
    """Parameters of a basis that has the types of these columns and no others, from the columns' coefficients."""
    # a block is written and frozen by itself, so it keeps only the elements it has
    basis = basis.restricted(set().union(*(t.elements for t in basis.types)))
    order = {c: i for i, c in enumerate(columns)}
    return Parameters(basis, values[[order[c] for c in columns_of(basis)]], penalty, coverage, source)
