"""``summarise``: one pass over the rows, after which weights, orders, exclusions, folds and fits need them no more.

Rows are kept apart by source, kind, composition and fold. A group has the columns of its own elements only, and one
triangular factor, or its rows where they are fewer than columns. With a summary store, more frames are one more batch,
and more blocks make anew only what has the elements of one of them. A pass is in the store wholly or not at all.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..algebra import RFactor
from ..dataset.folds import Folds
from ..dataset.holding_out import each_once
from ..design_matrix.planning import make_plan
from ..design_matrix.segments import grouped_rows
from ..errors import HiertlWarning, InputError
from ..evaluation.frame_rows import check_elements
from ..executors import borrowed
from ..executors.ask import ask
from ..executors.launch import launched_first
from ..files.json_files import digest_of
from ..files.paths import named_place
from ..files.store_use import store_use
from ..frames.element_set import ElementSet
from ..frames.frame_records import RecordsOfFrames
from ..frames.frame_sequence import FrameSequence, sequence_of
from ..frames.pooling import check_apart
from ..frames.rows import Group
from ..model.basis import Basis
from ..model.blocks import blocks_of
from ..model.frozen import check_frozen
from ..model.one_body import EnergyTerms, MissingEnergies, energy_terms, settled_energies
from ..model.parameters import Parameters
from ..model.truncation import with_energy_columns
from .checkpoints import checkpoints
from .fresh_batches import FreshBatch, RowsOfPass
from .known_frames import strange_frames_notes, todo_of_pass
from .leaves import factor_in
from .pass_claims import begin_pass, end_pass, is_made, while_made
from .pass_notes import left_out_notes
from .reduction import Summaries, with_weighed
from .store_names import named_stores
from .stored_pooling import pooling_of_pass
from .stored_summaries import names_with, open_summaries, store_settings, zeros_as_stored
from .summary_batches import as_json
from .summary_store import NewBatch, SummaryStore
from .weighed_rows import weighed_with_notes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from ..design_matrix.planning import Plan
    from ..evaluation.frame_rows import InnerPolicy
    from ..executors.base import Executor
    from ..files.object_path import Place
    from ..frames.frame import Frame
    from ..frames.pooling import Pooling
    from ..frames.row_weights import RowWeights
    from .checkpoints import Checkpoints, PassFolder
    from .known_frames import Todo
    from .summary_store import Batch


# long: its parameters are documented
def summarise(
    frames: Sequence[Frame],
    basis: Basis,
    *,
    blocks: Sequence[str] | None = None,
    folds: Folds | int | None = 5,
    summaries: str | Place | None = None,
    store: str | Place | None = None,
    frozen: Sequence[Parameters] = (),
    policy: InnerPolicy = "refuse",
    missing_energies: MissingEnergies = "zero",
    apart: Sequence[str] = (),
    row_weights: RowWeights | None = None,
    executor: Executor | None = None,
    memory: int | None = None,
    rows: str | Place | None = None,
    checkpoint: Checkpoints | str | Place | None = None,
) -> Summaries:
    """Reduce all rows of some frames once, each block in every frame that has its elements.

    See section 6 of docs/theory.md. Views, cross-validation and uncertainty need no row again.

    Parameters
    ----------
    frames : Sequence of Frame
        Those that have a label and all elements of a block are used.
    basis : Basis
        Whose columns are wanted, in the highest orders that any fit will have.
    blocks : Sequence of str, optional
        Names; default: every block of the basis that no frozen model holds.
    folds : Folds, int or None
        How, or into how many parts, frames are shared out for cross-validation; other folds need the rows again.
    summaries : str or Path, optional
        Folder of the summary store, all of which is returned; what is there is not computed again. ``None``: none.
    store : str, Path or ObjectPath, optional
        Folder of the design store: tiles that are complete are read, others written; ``None``: rows are not kept.
    frozen : Sequence of Parameters
        Models of other blocks, whose predictions are subtracted from the targets of every fit.
    policy : {"refuse", "skip_frame", "lsq", "damp"}
        For pairs inside an inner cutoff.
    missing_energies : {"zero", "fit", "refuse"}
        Of free atoms of which neither blocks nor frozen models nor the basis say any: ``"fit"`` keeps columns of their
        own, so that views may fit them; ``"zero"``: none; ``"refuse"``: an error that names them.
    apart : Sequence of str
        Patterns of groups of frames that are kept apart. Others are pooled where there are more than a few
        (:mod:`~hiertl_dist.frames.pooling`): views can't weigh or leave out one of them, and errors are of all.
    row_weights : RowWeights, optional
        Weights of single rows, which are part of the pass: others need the rows again. Those of groups multiply them.
    executor : Executor, optional
        Who works; default: mpirun's ranks, the current dask client, else a local dask cluster.
    memory : int, optional
        Bytes that all workers may take together; default: what is available.
    rows : str, Path or ObjectPath, optional
        What ``store`` was called before; ``store`` beside it is taken for ``summaries``, and a warning says so.
    checkpoint : str or Path, optional
        Folder of checkpoints, by which a long pass that is cut goes on (:func:`~hiertl_dist.reduce_rows`); what is
        there of it is deleted when all is done. ``None``: none.

    Returns
    -------
    Summaries
        A factor for each source (pooled ones are one), kind, composition and fold of rows; with a store they are read
        when asked for.

    Raises
    ------
    StoreError
        The store has other folds, basis, policy or frozen models, both named, what another pass wrote meanwhile, or
        pooled what is to be apart; a folder has a store of the other kind.
    InputError, MismatchError, ResourceError, TaskFailed
        As of :func:`~hiertl_dist.fit_block`.

    Warns
    -----
    HiertlWarning
        Of names that ``summaries`` and ``store`` had before; of groups that are pooled; of frames that the summary
        store has and that were not given, which are part of what is returned (so they are with frames that are added
        call by call).
    """
    summaries, store = named_stores("summarise", summaries, store, rows)
    return reduced_once(
        frames, basis, blocks=blocks, folds=folds, summaries=summaries, store=store, frozen=frozen, policy=policy,
        missing_energies=missing_energies, apart=apart, row_weights=row_weights, executor=executor, memory=memory,
        tell=_warn, checkpoint=checkpoint,
    )  # fmt: skip


# long: one step after the other, each asked of one process
def reduced_once(
    frames: Sequence[Frame], basis: Basis, *, blocks: Sequence[str] | None, folds: Folds | int | None,
    summaries: str | Place | None, store: str | Place | None, frozen: Sequence[Parameters], policy: InnerPolicy,
    missing_energies: MissingEnergies = "zero", apart: Sequence[str] = (), weights: Collection[str] = (),
    executor: Executor | None, memory: int | None, given: Sequence[Frame] | None = None, tell: Callable[[str], None],
    look: Callable[[FrameSequence, NDArray[np.int32]], None] = lambda *_: None, row_weights: RowWeights | None = None,
    checkpoint: Checkpoints | str | Place | None = None,
) -> Summaries:  # fmt: skip
    """What :func:`summarise` does, with the folders as they are called now; ``given`` were frames and others.

    Sources that ``weights`` name are apart too. ``tell`` takes what is said of those that are pooled, beforehand, and
    ``look`` the frames that are used and their folds, before any row is made.
    """
    check_apart(apart)
    how = Folds(folds) if isinstance(folds, int) else folds
    frames = sequence_of(frames)
    basis, names = with_missing(basis, _names(basis, blocks, frozen), frozen, frames, missing_energies)
    with borrowed(executor) as runner, ExitStack() as ending, checkpoints(checkpoint, runner) as kept:
        batches: tuple[Batch, ...] = ()
        folder = None if summaries is None else named_place(summaries, "summaries")
        place = None if folder is None else SummaryStore(folder)
        if folder is not None:
            opening = partial(_open, folder, store_settings(basis, names, how, frozen, policy, row_weights))
            names, batches = ask(runner, opening, what=f"open {summaries}")
        check_frozen(basis, names, frozen)
        all_given = frames if given is None else sequence_of(given)
        looking = partial(strange_frames_notes, place, batches, all_given)
        strangers: tuple[str, ...] = ask(runner, looking, what=f"look at {summaries}") if batches else ()
        usable, more = _usable(frames, basis, names)
        pooling = pooling_of_pass(all_given, usable, batches, weights, apart)
        for note in pooling.notes:
            tell(note)
        sharing = partial(todo_of_pass, place, batches, usable, names, how)
        left: Todo = ask(runner, sharing, what=f"look at {summaries}") if batches else sharing()
        look(usable, left.folds)
        todo, shares = usable.take(left.wanted), left.folds[left.wanted]
        planning = partial(_rows_of, usable, basis, frozen, policy, memory, store, row_weights, pooling, runner)
        if len(todo) and place is not None:
            settings = store_settings(basis, names, how, frozen, policy, row_weights)
            passed = digest_of(as_json({**settings, "frames": todo.key}))
            helping = None if kept is None else lambda wait: planning(todo, shares, names, batches)[0].help(
                runner, memory, kept, wait
            )  # fmt: skip
            if _has_waited(runner, place.path, passed, ending, helping):
                names, batches = ask(runner, opening, what=f"open {summaries}")
                settings = store_settings(basis, names, how, frozen, policy, row_weights)
                left = ask(runner, partial(todo_of_pass, place, batches, usable, names, how), what="look again")
                todo, shares = usable.take(left.wanted), left.folds[left.wanted]
        fresh: list[FreshBatch] = []
        before = 0 if kept is None else len(kept.passes)
        if len(todo):
            pass_rows, weighed = planning(todo, shares, names, batches)
            more += (*_left_out(pass_rows.plan, frames, names), *pooling.notes, *weighed)
            fresh = pass_rows.reduced(runner, memory, more, kept)
        if folder is not None:
            if fresh:
                records = RecordsOfFrames(todo, shares)
                writing = partial(_write, settings, fresh, records, left.replaced, folder)
                ask(runner, partial(_settle, writing, kept, before), what=f"write {summaries}")
            made = _with_strangers(open_summaries(folder, basis), strangers)
            return made if row_weights is None else replace(made, row_weights=row_weights.record())
    energies = _energies(usable, basis, names, frozen, batches)
    made = _in_memory(fresh, basis, names, frozen, how, energies, pooling)
    return made if row_weights is None else replace(with_weighed(made), row_weights=row_weights.record())


def _energies(
    usable: FrameSequence, basis: Basis, names: Sequence[ElementSet], frozen: Sequence[Parameters],
    batches: Sequence[Batch],
) -> EnergyTerms:  # fmt: skip
    """Of all frames, whichever batches are there; what energies lack is for views to say."""
    terms = energy_terms(usable, basis, names, frozen, missing="zero")
    return EnergyTerms(zeros_as_stored(terms.zeros, batches))


def _rows_of(
    usable: FrameSequence, basis: Basis, frozen: Sequence[Parameters], policy: InnerPolicy, memory: int | None,
    store: str | Place | None, row_weights: RowWeights | None, pooling: Pooling, runner: Executor, todo: FrameSequence,
    shares: NDArray[np.int32], names: Sequence[ElementSet], batches: Sequence[Batch],
) -> tuple[RowsOfPass, tuple[str, ...]]:  # fmt: skip
    """The rows of the frames that are to be reduced, with their folds and weights, and what is said of these."""
    plan = make_plan(todo, basis, blocks=names, frozen=frozen, policy=policy, executor=runner, memory=memory,
                     store=store)  # fmt: skip
    own = (replace(s, folds=shares[s.indices], apart=pooling.apart) for s in plan.segments)
    segments, weighed = weighed_with_notes(tuple(own), todo, row_weights, (), frozen, runner)
    energies = _energies(usable, basis, names, frozen, batches)
    return RowsOfPass(replace(plan, segments=segments), frozen, store, energies), tuple(weighed)


def _has_waited(
    runner: Executor, summaries: Place, digest: str, ending: ExitStack,
    helping: Callable[[Callable[..., PassFolder | None]], None] | None,
) -> bool:  # fmt: skip
    """Claim a pass until an end; whether another run was helped or waited for, which may have made it."""
    other = helping is not None and store_use().in_use == "join"
    other = other and ask(runner, partial(is_made, summaries, digest), what=f"look at {summaries}")
    if other and helping is not None:
        helping(partial(while_made, summaries, digest))
    waited: bool = ask(runner, partial(begin_pass, summaries, digest), what=f"begin {summaries}")
    ending.callback(end_pass, summaries)
    return waited or other


def _warn(note: str, level: int = 4) -> None:
    """Warn the caller of :func:`summarise`, of several processes in one."""
    if launched_first():
        warnings.warn(note, HiertlWarning, stacklevel=level)


def _with_strangers(stored: Summaries, notes: tuple[str, ...]) -> Summaries:
    """The summaries of a store with notes on frames that were not given, of which the caller is warned too."""
    for note in notes:
        _warn(note, 5)
    return replace(stored, notes=(*stored.notes, *notes))


def _names(basis: Basis, blocks: Sequence[str] | None, frozen: Sequence[Parameters]) -> tuple[ElementSet, ...]:
    frozen_blocks = {t.block for f in frozen for t in f.basis.types}
    free = [b.name for b in blocks_of(basis) if b.name not in frozen_blocks]
    return tuple(b.name for b in blocks_of(basis, free if blocks is None else blocks))


def with_missing(
    basis: Basis, names: Sequence[ElementSet], frozen: Sequence[Parameters], frames: Sequence[Frame],
    missing: MissingEnergies,
) -> tuple[Basis, tuple[ElementSet, ...]]:  # fmt: skip
    """The basis and names of blocks with a column for each energy of a free atom that is missing and to be fitted.

    See :func:`summarise`. Raises InputError where it is missing and refused.
    """
    facts = sequence_of(frames).facts
    labelled = facts.element_sets(facts.has_energy)
    elements = {e for own in labelled if any(b.is_subset(own) for b in names) for e in own.elements}
    wanted = settled_energies(basis, names, frozen, elements, missing, (), "summarise", names).opened
    if not wanted:
        return basis, tuple(names)
    basis = with_energy_columns(basis, wanted)
    return basis, tuple(b.name for b in blocks_of(basis, {*names, *(ElementSet.of([e]) for e in wanted)}))


def _in_memory(
    fresh: Sequence[FreshBatch], basis: Basis, names: tuple[ElementSet, ...], frozen: Sequence[Parameters],
    folds: Folds | None, energies: EnergyTerms, pooling: Pooling,
) -> Summaries:  # fmt: skip
    if not fresh:
        raise InputError(f"no frame with labels has all elements of one of the blocks {', '.join(names)}")
    groups: dict[Group, RFactor] = {g: factor_in(r) for f in fresh for g, r in f.groups.items()}
    return Summaries(
        groups, basis, names, tuple(frozen), folds, {f.elements: f.ranges for f in fresh},
        tuple(n for f in fresh for n in f.notes), energies, pooling.pooled,
    )  # fmt: skip


def _open(path: Place, settings: dict[str, Any]) -> tuple[tuple[ElementSet, ...], tuple[Batch, ...]]:
    """Create a store or look into the one that is there: all blocks that it will have, and its batches.

    New blocks become the store's when their columns are written, lest a pass that fails leaves it without them.
    """
    if not (path / "index.json").exists():
        SummaryStore.create(path, settings)
    store = SummaryStore.open(path)
    names = names_with(path, store.settings, settings)
    return names, store.batches()


def _usable(frames: FrameSequence, basis: Basis, names: Sequence[ElementSet]) -> tuple[FrameSequence, tuple[str, ...]]:
    """The frames that have a label, and all elements of a block, each once.

    And what is said of those that are there again, which a store of what frames contain can't tell from the first.
    """
    check_elements(frames, basis.elements)
    return each_once(frames.take(np.flatnonzero(_with_block(frames, names) & (frames.facts.n_rows > 0))))


def _with_block(frames: FrameSequence, names: Sequence[ElementSet]) -> NDArray[np.bool_]:
    """(n,) which frames have all elements of a block."""
    return frames.facts.of_sets({s for s in frames.facts.set_names if any(b.is_subset(s) for b in names)})


def _left_out(plan: Plan, frames: FrameSequence, names: Sequence[ElementSet]) -> tuple[str, ...]:
    """What is said of frames that have all elements of a block and are not used."""
    bare = np.flatnonzero(_with_block(frames, names) & (frames.facts.n_rows == 0))
    return left_out_notes(plan.skipped, [frames.origin(i) for i in bare.tolist()])


def _settle(writing: Callable[[], None], kept: Checkpoints | None, before: int) -> None:
    """Write a pass, and delete its checkpoints in the same breath: no later run would, which has nothing to reduce."""
    writing()
    if kept is not None:
        kept.discard_since(before)


def _write(
    settings: dict[str, Any], fresh: Sequence[FreshBatch], records: RecordsOfFrames, replaced: Mapping[str, list[str]],
    path: Place,
) -> None:  # fmt: skip
    """Write all batches of a pass at once: a part of them would change the folds of the others when it is repeated."""
    new = []
    for batch in fresh:
        own = records.take(np.concatenate([s.indices for s in batch.segments]))
        counts: dict[Group, int] = {}
        for segment in batch.segments:
            for group, chosen in grouped_rows(segment).items():
                counts[group] = counts.get(group, 0) + len(chosen)
        counts |= {g: r.summary.rows for g, r in batch.groups.items() if g.weighed}
        new.append(NewBatch(
            batch.elements, batch.blocks, own, batch.tiles,
            {g: factor_in(r) for g, r in batch.groups.items()}, {g: r.squares for g, r in batch.groups.items()},
            replaces=replaced.get(batch.elements, ()), rows=counts,
            info={"ranges": batch.ranges, "notes": batch.notes, "zeros": batch.zeros},
        ))  # fmt: skip
    SummaryStore.open(path).add_all(new, settings)
