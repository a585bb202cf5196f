"""The pass over the rows that a search begins with, and the summary store that it goes to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from ..executors.ask import ask
from ..files.json_files import digest_of
from ..files.paths import named_place
from ..fitting.known_frames import absent_frames
from ..fitting.pass_notes import named
from ..fitting.stored_summaries import store_settings, summary_folder
from ..fitting.summary_pass import reduced_once
from ..fitting.summary_store import SummaryStore
from ..fitting.weights import explicit
from ..model.blocks import blocks_of
from .candidates import Source
from .fold_checks import look_at_folds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..executors.base import Executor
    from ..files.object_path import Place
    from ..fitting.reduction import Summaries
    from ..frames.element_set import ElementSet
    from ..frames.frame_sequence import FrameSequence
    from .fold_checks import Contents
    from .search_parts import Tell
    from .search_plan import SearchPlan
    from .search_settings import SearchSettings


def summarise_for(
    plan: SearchPlan,
    settings: SearchSettings,
    *,
    summaries: str | Place | None,
    store: str | Place | None,
    executor: Executor,
    tell: Tell,
) -> tuple[Summaries, Source]:
    """The pass over the rows that a search needs, and what names its outcome.

    Groups that are pooled are told, and what folds leave out. Raises InputError, before any row is made, for a stage
    that the folds can't cross-validate.
    """
    contents: list[Contents] = []

    def look(frames: FrameSequence, of_frames: NDArray[np.int32]) -> None:
        contents.append(look_at_folds(plan.parts, settings.folds, frames, of_frames, tell))

    folder = None if summaries is None else named_place(summaries, "summaries")
    if folder is not None:
        ask(executor, partial(_refuse_strangers, folder, plan.given), what=f"look at {folder}")
    memory = plan.options.memory
    reduced = reduced_once(
        plan.frames, plan.basis, blocks=plan.blocks, folds=settings.folds, summaries=summaries, store=store,
        frozen=plan.frozen, policy=plan.options.settings.policy, executor=executor, memory=memory,
        given=plan.given, apart=_patterns(plan), weights=weights_named(plan, settings),
        tell=lambda note: tell(f"note: {note}"), look=look, row_weights=plan.options.settings.row_weights,
        checkpoint=plan.options.checkpoint,
    )  # fmt: skip
    identity: dict[str, Any]
    if folder is None:
        identity = {
            "frames": plan.frames.key, "basis": plan.basis.digest, "blocks": list(plan.blocks),
            "folds": settings.folds.as_dict(), "frozen": [f.digest for f in plan.frozen],
            "policy": plan.options.settings.policy,
            **({} if plan.options.settings.row_weights is None
               else {"row_weights": plan.options.settings.row_weights.digest}),
        }  # fmt: skip
        if reduced.pooled:  # errors are told by what is apart
            identity["pooled"] = digest_of(list(reduced.pooled))
    else:
        wanted = {s for p in plan.parts for s in p.sets}
        batches = ask(executor, partial(_batches, folder), what=f"look at {summaries}")
        identity = {"path": str(summaries), "batches": {i: s for i, s in batches.items() if s in wanted}}
    if plan.basis.energies:  # of these nothing that is reduced depends, and every model does
        identity["energies"] = dict(plan.basis.energies)
    available = executor.memory() if memory is None else memory
    return reduced, Source(reduced, identity, available // (4 * executor.workers), available, contents[-1])


def _patterns(plan: SearchPlan) -> tuple[str, ...]:
    """Patterns of groups that the settings of any stage keep apart."""
    return tuple(dict.fromkeys(p for part in plan.parts for p in part.fit.apart))


def weights_named(plan: SearchPlan, settings: SearchSettings) -> frozenset[str]:
    """The names of all weights of a search, by settings of fits and by axes of grids: such sources are kept apart."""
    names = {name for part in plan.parts for name in explicit(part.fit.weights)}
    for grid in (settings.grid, *settings.blocks.values()):
        for axis, values in grid.axes.items():
            if axis == "weights":
                names |= {name for value in values for name in explicit(value)}
            elif axis.startswith("weights."):
                names.add(axis.removeprefix("weights."))
    return frozenset(names)


def summary_place(
    plan: SearchPlan, settings: SearchSettings, path: Place, executor: Executor, *, check: bool = True
) -> Place:
    """Where below ``path`` the summary store of a search is, see :func:`summary_folder`. Raises StoreError."""
    names = tuple(b.name for b in blocks_of(plan.basis, plan.blocks))
    own = plan.options.settings
    wanted = store_settings(plan.basis, names, settings.folds, plan.frozen, own.policy, own.row_weights)
    place: Place = ask(executor, partial(summary_folder, path, wanted, check=check), what=f"look at {path}")
    return place


def _batches(store: Place) -> dict[str, ElementSet]:
    """The element set of each batch of a store, by id."""
    return {batch.id: batch.elements for batch in SummaryStore.open(store).batches()}


def _refuse_strangers(store: Place, frames: FrameSequence) -> None:
    """Frames that a store has and that were not given, such as held-out ones, would be fitted all the same."""
    if not (store / "index.json").exists():
        return
    summaries = SummaryStore.open(store)
    count, origins = absent_frames(summaries, summaries.batches(), frames)
    if count:
        raise StoreError(
            f"{store}: the store has {count} frames that are not among those to be fitted (held out since?) and "
            f"would be fitted all the same: {named(origins)}; go on with --fresh, which makes a new "
            "store and renames this one, or name another folder as search.summaries"
        )
