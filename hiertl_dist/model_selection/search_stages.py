"""``search``: choose weights, regulariser, orders and exclusions by cross-validation, block by block or all at once.

The rows are reduced once (:func:`~hiertl_dist.summarise`); every model is then made of factors. A stage is
a fit with others frozen: a block on the frames of exactly its elements, upon the blocks that were chosen before; or
all blocks on all frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..algebra.errors import SOLVER_ERRORS
from ..errors import HiertlError
from ..evaluation.energies import Model
from ..executors import borrowed
from ..files.paths import named_place
from ..fitting.block_order import below_of
from ..fitting.hierarchy import merged_model, stating_zeros, with_fit
from ..fitting.settings import HierarchyOptions
from ..fitting.store_names import named_stores
from ..fitting.view_choice import view
from ..fitting.view_solutions import solve
from ..fitting.wall_choice import chosen_wall, settled_wall
from ..fitting.weights import explicit
from ..frames.element_set import ElementSet
from ..frames.rows import KINDS, person_kind
from ..model.one_body import one_body_values
from ..model.solution import Solution
from ..model.walls import explicit_wall
from ..text.display import Shown
from ..text.result_cards import search_card, stage_card
from .candidates import Setup, Source, cross_validated, package_version
from .choice import Candidate, Chosen, choose
from .search_parts import Part
from .search_pass import summarise_for, summary_place
from .search_plan import SearchPlan, plan_search
from .stage_priors import made_models, probes_of, to_make

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..executors.base import Executor
    from ..files.object_path import Place
    from ..fitting.reduction import Summaries
    from ..fitting.views import View
    from ..frames.frame import Frame
    from ..model.basis import Basis
    from ..model.parameters import Parameters
    from .fold_checks import Contents
    from .search_settings import Choice, SearchSettings

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False, repr=False)
class Stage(Shown, card=stage_card):
    """One fit of a search: what was tried, what was chosen, and what it was conditioned on.

    ``name`` is the block, or the elements of all blocks together, and ``blocks`` are those that are free. ``frozen``
    are the models whose predictions are subtracted, those of files included. ``selection`` has the candidates, and
    which of them is best and which is chosen; ``solution`` is the chosen one, fitted on all folds of ``frames`` frames
    with so many ``rows`` of each kind. ``view`` makes what was solved, while a search says that the stage is done;
    later it is None, for it has the summaries.
    """

    name: ElementSet
    blocks: tuple[ElementSet, ...]
    frozen: tuple[Parameters, ...]
    selection: Chosen
    solution: Solution
    rows: Mapping[str, int]
    frames: int
    view: Callable[[], View] | None = None

    @property
    def chosen(self) -> Candidate:
        """The one that the rule chose."""
        return self.selection.candidates[self.selection.chosen]

    @property
    def best(self) -> Candidate:
        """The lowest score."""
        return self.selection.candidates[self.selection.best]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        basis = self.solution.parameters.basis
        return {
            "name": self.name, "blocks": list(self.blocks), "frames": self.frames, "rows": dict(self.rows),
            "frozen": [{"source": p.source, "digest": p.digest} for p in self.frozen],
            "candidates": [c.as_dict() for c in self.selection.candidates],
            "best": self.selection.best, "edges": [e.as_dict() for e in self.selection.edges],
            "notes": list(self.selection.notes),
            "chosen": {
                "index": self.selection.chosen, **self.chosen.as_dict(), "solution": self.solution.as_dict(),
                "basis": basis.to_dict(), "basis_digest": basis.digest,
            },
        }  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class SearchResult(Shown, card=search_card):
    """What :func:`search` found.

    Attributes
    ----------
    settings : SearchSettings
        What was varied, and how it was chosen.
    stages : tuple of Stage
        The fits in the order in which they were made, each with its candidates and the one that was chosen.
    model : Model
        The sum of the chosen solutions and the frozen files.
    summaries : Summaries
        What all of it was made from.
    identity : Mapping from str to object
        The store's path and the ids of its batches, or a digest of what was reduced in memory.
    all_at_once : bool
        Whether all blocks were fitted together.
    systems : tuple of Mapping from str to int
        Of each fold, how many frames of each system it leaves out; empty where systems are not kept together.
    """

    settings: SearchSettings
    stages: tuple[Stage, ...]
    model: Model
    summaries: Summaries
    identity: Mapping[str, Any]
    all_at_once: bool
    systems: Contents = ()

    def as_dict(self) -> dict[str, Any]:
        """The outcome as JSON can hold it.

        Returns
        -------
        dict
            Every candidate, and all that the chosen ones were conditioned on.
        """
        return {
            "versions": {p: package_version(p) for p in ("hiertl-dist", "numpy", "scipy")},
            "settings": self.settings.as_dict(), "all_at_once": self.all_at_once,
            "summaries": {
                **self.identity, "frozen": [{"source": f.source, "digest": f.digest} for f in self.summaries.frozen],
                "notes": list(self.summaries.notes),
            },
            **({"systems_in_folds": [dict(own) for own in self.systems]} if self.systems else {}),
            "stages": [s.as_dict() for s in self.stages],
            "model": {"digest": self.model.parameters.digest, "columns": len(self.model.parameters.coefficients)},
        }  # fmt: skip


# long: its parameters are documented
def search(
    frames: Sequence[Frame],
    basis: Basis,
    settings: SearchSettings,
    *,
    frozen: Sequence[Parameters] = (),
    options: HierarchyOptions | None = None,
    summaries: str | Place | None = None,
    store: str | Place | None = None,
    output: str | Path | None = None,
    executor: Executor | None = None,
    all_at_once: bool = False,
    tell: Tell = lambda _: None,
    done: Callable[[Stage], None] = lambda _: None,
    rows: str | Path | None = None,
) -> SearchResult:
    """Cross-validate the models of a grid and choose one; block by block, each upon those that were chosen before.

    Parameters
    ----------
    frames : sequence of Frame
        Labelled ones, none of them held out; block by block each is used by the block of exactly its elements, with
        ``include_fewer`` also by larger ones.
    basis : Basis
        With the highest orders and all types of the search.
    settings : SearchSettings
        The grid, the folds, and how a model is chosen.
    frozen : sequence of Parameters, optional
        Models of blocks that are not searched.
    options : HierarchyOptions, optional
        Settings of what the grid does not name, blocks to search (``only``), those that are fitted together
        (``partial``, with ``include_fewer`` also on frames of fewer elements), memory.
    summaries : str, Path or ObjectPath, optional
        Folder of summary stores, each named by its settings, or a summary store itself if it has these settings.
    store : str, Path or ObjectPath, optional
        Folder of the design store, see :func:`~hiertl_dist.summarise`.
    output : str or Path, optional
        Folder; what is computed is kept in ``search/`` below it, and not computed again by the same search.
    executor : Executor, optional
        Who works; default: mpirun's ranks, the current dask client, else a local dask cluster.
    all_at_once : bool, optional
        Fit all blocks together on all frames instead of block by block.
    tell : callable taking str, optional
        Called with a line about each step.
    done : callable taking Stage, optional
        Called with each stage as soon as it has a solution.
    rows : str or Path, optional
        What ``store`` was called before; ``store`` beside it is taken for ``summaries``, and a warning says so.

    Returns
    -------
    SearchResult
        The stages with all that was tried, and the chosen model.

    Raises
    ------
    InputError
        Before anything is computed: the grid names what is not there, or what a climb would refuse
        (:func:`~hiertl_dist.fitting.block_order.choose_blocks`), or folds leave out all frames of a stage, or of an
        element. Later: in a stage no model can be fitted.
    StoreError, MismatchError, ResourceError, TaskFailed
        As of :func:`~hiertl_dist.summarise`; StoreError also where the store has frames that were not given.

    Warns
    -----
    HiertlWarning
        Of names that ``summaries`` and ``store`` had before.
    """
    summaries, store = named_stores("search", summaries, store, rows)
    plan = plan_search(frames, basis, settings, frozen=frozen, options=options, all_at_once=all_at_once, tell=tell)
    with borrowed(executor) as runner:
        plan = _with_wall(plan, runner, tell)
        if summaries is not None:
            summaries = summary_place(plan, settings, named_place(summaries, "summaries"), runner)
            runner.shared_place(summaries, "summary store")  # workers read them
        reduced, source = summarise_for(plan, settings, summaries=summaries, store=store, executor=runner, tell=tell)
        folder = None if output is None else runner.shared_folder(Path(output) / "search")
        stages: list[Stage] = []
        made: list[ElementSet] = []
        waiting = to_make(plan)
        for part in plan.parts:
            lower = [b for b in waiting if b.is_proper_subset(part.name)]
            waiting = [b for b in waiting if b not in lower]
            made += lower
            setup = _setup(part, stages, made, settings, plan, runner, source.memory)
            sources = [p.source for p in frozen_of(part, setup, plan)]
            what = f"{', '.join(part.blocks)} together" if len(part.blocks) > 1 else part.name
            tell(f"{what}: {', '.join(sources) or 'nothing'} frozen")
            stage = _stage(part, setup, plan, settings, source, folder, runner, tell)
            done(stage)
            stages.append(replace(stage, view=None))
    current = made_models(plan, [*made, *waiting], current_models(stages), tell)
    model = merged_model([*plan.frozen, *current], basis, plan.wall)
    model = stating_zeros(model, [*made, *waiting], basis, plan.options)
    return SearchResult(settings, tuple(stages), model, reduced, source.identity, all_at_once, source.systems)


def _with_wall(plan: SearchPlan, runner: Executor, tell: Tell) -> SearchPlan:
    """The plan whose stages all say the wall of the model, where that can be known."""
    wall = settled_wall(
        [p.fit for p in plan.parts], plan.frozen, lambda p: chosen_wall(plan.given, plan.basis, p, runner), tell
    )
    if wall is None:
        return plan
    parts = [p if explicit_wall(p.fit.penalty) else replace(p, fit=replace(p.fit, penalty=wall)) for p in plan.parts]
    return replace(plan, parts=tuple(parts))


def current_models(stages: Sequence[Stage]) -> list[Parameters]:
    """What was chosen so far, less what a later stage has fitted anew."""
    models: list[Parameters] = []
    for stage in stages:
        models = with_fit(models, stage.solution)
    return models


def frozen_of(part: Part, setup: Setup, plan: SearchPlan) -> tuple[Parameters, ...]:
    """The models that are subtracted in a stage, those of files first."""
    given = plan.frozen if part.all_at_once else below_of(part.name, plan.frozen, ())
    return (*given, *setup.frozen)


def _setup(
    part: Part, stages: Sequence[Stage], made: Sequence[ElementSet], settings: SearchSettings, plan: SearchPlan,
    runner: Executor, memory: int,
) -> Setup:  # fmt: skip
    """What the models of a stage have in common; ``made`` are lower blocks that no frame informs."""
    current = made_models(plan, made, current_models(stages), lambda _: None)  # the last time tells it
    below = below_of(part.name, current, part.blocks)
    setup = Setup(
        part.blocks, part.sets, tuple(below), settings.folds, settings.importance, part.fit.missing_energies,
        left_open_by(stages),
    )  # fmt: skip
    return replace(setup, probes=probes_of(part, frozen_of(part, setup, plan), plan, runner, memory))


def left_open_by(stages: Sequence[Stage]) -> tuple[str, ...]:
    """Elements whose block was fitted, and whose energy no stage has."""
    fitted = {ElementSet.parse(b) for s in stages for b in s.solution.blocks}
    known = one_body_values([s.solution.parameters for s in stages])
    singles = {e for b in fitted if len(b.elements) == 1 for e in b.elements}
    return tuple(sorted(singles - set(known)))


# ---- one stage


def _stage(
    part: Part, setup: Setup, plan: SearchPlan, settings: SearchSettings, source: Source, folder: Path | None,
    runner: Executor, tell: Tell,
) -> Stage:  # fmt: skip
    known: dict[str, Candidate] = {}

    def evaluated(choices: Sequence[Choice]) -> list[str]:
        """Keys of the choices' candidates, those that are new computed."""
        listed = part.columns(choices)
        new = {columns.key(c): (c, columns) for c, columns in listed}
        missing = {k: v for k, v in new.items() if k not in known}
        if missing:
            candidates = cross_validated(list(missing.values()), part, setup, plan.frozen, source, folder, runner, tell)
            known.update(zip(missing, candidates, strict=True))
        return [columns.key(c) for c, columns in listed]

    where = f"search, {part.name}"
    if settings.strategy == "grid":
        keys = list(dict.fromkeys(evaluated(part.grid.choices(part.fit))))
        selection = choose([known[k] for k in keys], settings.rule, where)
    else:
        selection = _climb(part, settings, known, evaluated, where, tell)
    failures = [c for c in selection.candidates if c.failed]
    if failures:
        tell(
            f"  {len(failures)} of {len(selection.candidates)} models could not be fitted, such as: "
            f"{failures[0].failed}"
        )
    while True:
        picked = selection.candidates[selection.chosen]
        task = partial(_solved, picked.choice, part, setup, source.summaries)
        solution = runner.once(task, what=f"solve {part.name}")
        if isinstance(solution, Solution):
            break
        tell(f"  the model that was chosen cannot be fitted on all folds ({solution}); the next one is taken")
        lost = replace(picked, failed=f"on all folds: {solution}", rejected="")
        selection = choose(
            [lost if c is picked else replace(c, rejected="") for c in selection.candidates], settings.rule, where
        )
    for note in selection.notes:
        tell(f"note: {part.name}, {note}")
    rows = _rows(picked.choice, part, setup, source.summaries)
    given = partial(view, source.summaries, **setup.view_options(picked.choice))
    frozen = frozen_of(part, setup, plan)
    return Stage(part.name, part.blocks, frozen, selection, solution, rows, len(part.frames), given)


def _climb(
    part: Part, settings: SearchSettings, known: dict[str, Candidate],
    evaluated: Callable[[Sequence[Choice]], list[str]], where: str, tell: Tell,
) -> Chosen:  # fmt: skip
    """One axis after the other, each with the lowest score so far; the rule then chooses among all models met."""
    current, rungs = part.grid.start(part.fit), part.grid.rungs()
    if not rungs:
        evaluated([current])
    for axis in rungs:
        rung = [current.changed(axis, value) for value in part.grid.axes[axis]]
        keys = evaluated(rung)
        # by the rule at each rung, standard errors would add up
        best = choose([known[k] for k in keys], "best", f"{where}, {axis}").best
        current = rung[best]
        tell(f"  {axis}: {part.grid.axes[axis][best]}")
    return choose(list(known.values()), settings.rule, where)


def _solved(choice: Choice, part: Part, setup: Setup, summaries: Summaries) -> Solution | str:
    """The fit on all folds, or why there is none."""
    options = setup.view_options(choice)
    try:
        chosen = view(summaries, **options)
        return solve(
            chosen, choice.regulariser, penalty=explicit_wall(part.fit.penalty), name=part.name, frames=part.frames
        )
    except (*SOLVER_ERRORS, ArithmeticError, np.linalg.LinAlgError, ValueError) as error:
        if isinstance(error, HiertlError) and not isinstance(error, SOLVER_ERRORS):
            raise
        return f"{type(error).__name__}: {error}"


def _rows(choice: Choice, part: Part, setup: Setup, summaries: Summaries) -> dict[str, int]:
    # whatever the weights are, the rows are the same
    chosen = view(summaries, **setup.view_options(replace(choice, weights=explicit(choice.weights))))
    rows: dict[str, int] = {}
    for group in chosen.factors:
        kind = person_kind(group.kind)
        rows[kind] = rows.get(kind, 0) + summaries.rows(group)
    return {k: rows[k] for k in KINDS if k in rows}
