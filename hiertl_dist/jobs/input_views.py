"""A view of an input file's summaries: chosen blocks free, the others as a model of the same input has them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..algebra import regulariser_from_dict
from ..errors import InputError
from ..evaluation.compiling import compile_kernels
from ..evaluation.energies import read_parts
from ..fitting.block_order import blocks_in
from ..fitting.view_choice import view
from ..fitting.weights import EVIDENCE
from ..frames.element_set import ElementSet
from ..model_selection.search_pass import summarise_for, summary_place
from ..model_selection.search_plan import plan_search
from ..model_selection.search_settings import SearchSettings
from ..text.display import listed
from .fit_job import read_frozen
from .outputs import MODEL
from .search_job import renew_summaries, reported_once, search_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ..executors.base import Executor
    from ..fitting.reduction import Summaries
    from ..fitting.settings import FitSettings
    from ..fitting.views import View
    from ..model.parameters import Parameters, Penalty
    from .input_file import Input


@dataclass(frozen=True, eq=False)
class InputView:
    """What :func:`view_of_input` made.

    Attributes
    ----------
    view : View
        Of the free blocks.
    settings : FitSettings
        With which they are fitted.
    wall : Penalty or None
        That the settings name.
    """

    view: View
    settings: FitSettings
    wall: Penalty | None


# long: its parameters are documented
def view_of_input(
    job: Input, blocks: Sequence[str] | None, path: Path | None, executor: Executor, *, fresh: bool,
    tell: Callable[[str], None],
) -> InputView:  # fmt: skip
    """Summarise the rows of an input, or open what is there, and choose blocks of them to fit.

    Parameters
    ----------
    job : Input
        Its data, basis and settings.
    blocks : Sequence of str or None
        That are free, together; ``None``: all that are not frozen in the input.
    path : Path or None
        Parameter or solution file of a model that has the others; needed where there are others.
    executor : Executor
        Who makes the pass over the rows.
    fresh : bool
        Make a new summary store.
    tell : callable
        Takes lines for a person.

    Returns
    -------
    InputView
        The view, with orders and types as the model has them of free blocks.

    Raises
    ------
    InputError
        A block that is not there, others without a model, a prior with probes, and what views refuse.
    MismatchError
        The model does not fit the basis.
    """
    job, frames, held_out = job.read_weighed(executor.watch)
    executor.require_alike(lambda: [*frames.identities, *held_out.identities], "frames")
    frames = reported_once(frames, held_out, tell)
    frozen, _ = read_frozen(job, frames, executor, tell)
    search = SearchSettings(folds=(job.search or SearchSettings()).folds)
    plan = plan_search(frames, job.basis, search, frozen=frozen, options=search_options(job), tell=tell)
    every = [b for b in plan.blocks if b not in {own for f in plan.frozen for own in blocks_in(f)}]
    free = every if blocks is None else [ElementSet.parse(b) for b in blocks]
    if unknown := [b for b in free if b not in every]:
        raise InputError(f"blocks: expected some of {listed(every)}, found {listed(unknown)}")
    others = [b for b in every if b not in free]
    if others and path is None:
        raise InputError(
            f"blocks {listed(others)} are not fitted here: name a model that has them (--model FILE), such as "
            f"{job.output / MODEL}"
        )
    own = None if path is None else read_parts(path)
    compile_kernels(job.basis, executor, tell)
    if fresh:
        renew_summaries(job, plan, search, executor, tell)
    place = summary_place(plan, search, job.summaries, executor)
    store = job.design_store() if job.keep_rows else None
    summaries, _ = summarise_for(plan, search, summaries=place, store=store, executor=executor, tell=tell)
    settings = job.block_fits.get(free[0], job.fit) if len(free) == 1 else job.fit
    if len(free) > 1 and job.block_fits:
        tell(f"note: one fit has one kind of settings: those of blocks {', '.join(job.block_fits)} do not count")
    if settings.prior.probes and all(len(ElementSet.parse(b).elements) == 1 for b in free):
        settings = replace(settings, prior=replace(settings.prior, probes=0))  # no lower blocks, so no probes either
    elif settings.prior.probes:
        raise InputError(
            "prior: probe structures are not among the summaries, so these fits would be others than those of the "
            'input; write probes = 0 in the table of [fit] prior (prior = "auto" has some by itself: '
            'prior = { mean = "auto", probes = 0 })'
        )
    there = set() if own is None else blocks_in(own)
    if lacking := [b for b in others if b not in there]:
        tell(f"note: blocks {listed(lacking)} are neither fitted here nor in {path}: they are absent")
    kept = () if own is None else tuple(own.restricted({b}) for b in others if b in there)
    return InputView(_view(summaries, free, kept, own, settings), settings, plan.wall)


def _view(
    summaries: Summaries, free: Sequence[str], kept: Sequence[Parameters], own: Parameters | None,
    settings: FitSettings,
) -> View:  # fmt: skip
    """The view of free blocks, with the orders and types that a model has of them."""
    there = set() if own is None else blocks_in(own) & set(free)
    has = {} if own is None else {t.name: t.order for t in own.basis.types if t.block in there and t.body > 1}
    out = [t.name for t in summaries.basis.types if t.body > 1 and t.block in there and t.name not in has]
    by_evidence = settings.weights == EVIDENCE
    return view(
        summaries, blocks=free, frozen=kept, orders=has or None, exclude=out, weights=settings.weights,
        regulariser=regulariser_from_dict(dict(settings.regulariser)) if by_evidence else None,
        objective=settings.objective, missing_energies=settings.missing_energies, prior=settings.prior,
    )  # fmt: skip
