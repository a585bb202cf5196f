"""What the commands do, as functions: plan, assemble, fit. Each returns what ``--json`` prints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dataset.holding_out import equal_frames_notes
from ..design_matrix.assembly import assemble
from ..design_matrix.fit_costs import fit_seconds
from ..design_matrix.planning import Need, Plan, all_needs, make_plan
from ..design_matrix.resources import calls_at_once
from ..design_matrix.store_claims import move_store_aside
from ..design_matrix.store_places import store_folder
from ..errors import InputError
from ..evaluation.compiling import compile_kernels
from ..evaluation.contacts import TITLES, Contact, check_contacts
from ..evaluation.energies import Model, read_parts
from ..executors.ask import ask
from ..fitting.block_lattice import BlockLattice
from ..fitting.block_order import blocks_in, check_climb_contacts, choose_blocks, walls_of_plan
from ..fitting.checkpoints import checkpoints_in, discard
from ..fitting.hierarchy import HierarchyFit, fit_all_at_once, fit_hierarchy
from ..fitting.lattice_rows import block_lattice, uninformed_notes
from ..fitting.settings import HierarchyOptions
from ..fitting.wall_choice import with_wall
from ..fitting.weighed_rows import notes_of_row_weights
from ..frames.frame_sequence import FrameSequence, joined_frames, sequence_of
from ..frames.label_summary import LabelSummary, labels_text, summarise_labels
from ..io.trajectories import read_frames
from ..library.growing import TakenBlocks, fit_upon, take_blocks
from ..model.blocks import blocks_of
from ..model.missing_types import missing_notes
from ..model.parameters import Parameters
from ..model.solution import Solution
from ..text.cards import NOT_IN_IT, cpu_text, kept_text
from ..text.display import number_text, table_text
from ..text.words import count_text
from .block_files import covariance_bytes, covariances_text, write_block
from .data_tables import tell_labels
from .evaluating import evaluate_frames
from .figures import need_matplotlib
from .fit_needs import needs_of_fits, probes_of
from .fit_report import FitResult, plans_of, report_writers
from .job_stores import with_its_stores
from .outputs import MODEL, TOGETHER, Results, file_writer, write_model
from .planned_folds import planned_folds, planned_folds_text
from .run_record import RunRecorder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ..executors.base import Executor
    from ..files.object_path import Place
    from ..fitting.block_fit import BlockFit
    from ..frames.element_set import ElementSet
    from ..frames.frame import Frame
    from .input_file import Input


def options_of(job: Input) -> HierarchyOptions:
    """The options of an input file in the terms of the hierarchy."""
    store = job.design_store() if job.keep_rows else None
    for block, own in job.block_fits.items():
        if store is not None and own.policy != job.fit.policy:
            raise InputError(
                f"fit.blocks.{block}.policy is {own.policy!r}, fit.policy is {job.fit.policy!r}: a store keeps rows "
                "of one policy; set store.keep_rows = false, or one policy for all"
            )
    probes = [frame for path in job.probes for frame in read_frames(path)] or None
    return HierarchyOptions(
        job.fit, job.block_fits, job.partial, job.only, store, job.memory, job.missing, probes, job.checkpoint_folder()
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Work:
    """What a fit will want: frames, frozen models, and by blocks fitted together in a solve, the rows needed."""

    job: Input
    frames: FrameSequence
    held_out: FrameSequence
    frozen: list[Parameters]
    fits: dict[tuple[ElementSet, ...], set[Need]]
    notes: list[str]
    labels: LabelSummary

    @property
    def needs(self) -> set[Need]:
        return set().union(*self.fits.values())


def _work(job: Input, executor: Executor, all_at_once: bool) -> _Work:
    """Read a job and choose its blocks as a fit does; block by block with the same refusals."""
    job, frames, held_out = job.read_weighed(executor.watch)
    executor.require_alike(lambda: [*frames.identities, *held_out.identities], "frames")
    notes = [*job.notes]
    frozen, _ = read_frozen(job, frames, executor, lambda line: notes.append(line.removeprefix("note: ")))
    labels = summarise_labels(joined_frames([frames, held_out]))
    notes += equal_frames_notes(frames, held_out)
    notes += notes_of_row_weights(frames, job.fit.row_weights, executor, job.fit.weights)
    if all_at_once:
        frozen_blocks = {b for f in frozen for b in blocks_in(f)}
        names = tuple(b.name for b in blocks_of(job.basis) if b.name not in frozen_blocks)
        return _Work(job, frames, held_out, frozen, {names: all_needs(frames, names, job.basis)}, notes, labels)
    options = options_of(job).normal()
    wanted = choose_blocks(frames, job.basis, frozen, options, notes.append)
    fits: dict[tuple[ElementSet, ...], set[Need]] = {}
    for block in wanted:
        sets, blocks = options.sets_of(block, frames), options.together(block)
        fits[blocks] = {(s, b) for s in sets for b in blocks if b.is_subset(s)}
    return _Work(job, frames, held_out, frozen, fits, notes, labels)


def plan_job(job: Input, executor: Executor, *, all_at_once: bool = False) -> tuple[Plan, dict[str, Any]]:
    """Plan a job: nothing is computed but neighbour counts, nothing is written.

    Raises ResourceError, with both numbers, if it cannot fit, and what a climb would refuse before its first block.
    """
    work = _work(job, executor, all_at_once)
    job = work.job
    policy, wall = job.fit.policy, list[str]()
    wanted = [b for f in work.fits for b in (f if all_at_once else f[:1])]
    options = options_of(job).normal()
    options = with_wall(options, work.frames, job.basis, wanted, work.frozen, executor, wall.append)
    if not all_at_once:
        check_climb_contacts(work.frames, job.basis, [f[0] for f in work.fits], work.frozen, options, executor)
        # by the policy of each block; what it is for others is not to be refused here
        policy = policy if all(options.of(f[0]).policy == policy for f in work.fits) else "damp"
    memory = executor.memory() if job.memory is None else job.memory
    blocks = {b for fit in work.fits for b in fit}
    plan = make_plan(
        work.frames, job.basis, blocks=sorted(blocks), needs=work.needs,
        frozen=work.frozen, policy=policy, executor=executor, memory=memory,
        store=job.design_store() if job.keep_rows else None,
    )  # fmt: skip
    way = "refuse" if all_at_once else options.way_of_missing
    uninformed = uninformed_notes(job.basis, blocks, work.frozen, way=way)
    walls = walls_of_plan(plan, work.fits, work.frozen, options, all_at_once=all_at_once)
    needs = needs_of_fits(plan, work.fits, work.frames, len(work.frozen), options, executor, all_at_once=all_at_once)
    idle = needs.notes_of_memory(plan, executor, job.memory)
    calls_at_once(needs.solve, "solve", executor=executor, memory=job.memory, items=1)
    fits = [(b, [s for s in plan.segments if s.elements in {n for n, _ in own}]) for b, own in work.fits.items()]
    lattice = block_lattice(job.basis, work.frames, frozen=work.frozen, options=options, all_at_once=all_at_once)
    widths = [sum(plan.columns[b] for b in fit) for fit in work.fits]
    covariances = sum(map(covariance_bytes, widths)) if job.covariance else 0
    facts = plan.as_dict() | {
        "lattice": lattice.as_dict(), "held_out_frames": len(work.held_out), "workers": executor.workers,
        "executor": executor.name, "assemble_bytes_per_worker": plan.worker_bytes + executor.overhead,
        "reduce_bytes_per_worker": needs.reduction, "solve_bytes": needs.solve, "caller_bytes": needs.caller,
        "summaries": needs.kept.as_dict(),
        "covariance_bytes": covariances,
        "fit_cpu_seconds": fit_seconds(plan, fits, partial(probes_of, options, all_at_once)).as_dict(),
        "fit_wall_seconds": needs.wall, "labels": work.labels.as_dict(),
        "notes": [*wall, *walls, *idle, *needs.notes, *uninformed, *work.notes],
    }  # fmt: skip
    if folds := planned_folds(job.search, work.frames, {s for s, _ in work.needs}):
        facts["search_folds"] = folds
    return plan, facts


def plan_text(facts: dict[str, Any]) -> str:
    """A plan for people."""

    def mib(size: int) -> str:
        return number_text(size / 2**20)

    rows = [
        [name, b["frames"], b["tiles"], b["rows"], b["columns"], b["nonzeros"], b["bytes"] / 2**20, b["cpu_seconds"]]
        for name, b in facts["blocks"].items()
    ]
    lines = [
        BlockLattice.from_dict(facts["lattice"]).text(),
        "",
        table_text(["block", "frames", "tiles", "rows", "columns", "nonzeros", "MiB", "CPU s (estimate)"], rows),
        f"disk {mib(facts['disk_bytes'])} MiB; peak memory per worker "
        f"{mib(facts['assemble_bytes_per_worker'])} MiB to assemble, "
        f"{mib(facts['reduce_bytes_per_worker'])} MiB to reduce, {mib(facts['solve_bytes'])} MiB once to "
        f"solve; calling process {mib(facts['caller_bytes'])} MiB; "
        f"{count_text(facts['workers'], 'worker')} ({facts['executor']})",
        kept_text(facts["summaries"]) + covariances_text(facts["covariance_bytes"]),
        f"CPU time of rows, priors and solve, by a ridge (estimate): {cpu_text(facts['fit_cpu_seconds'])}; rows and "
        f"solve by {count_text(facts['workers'], 'worker')} with a core each at least "
        f"{number_text(facts['fit_wall_seconds'])} s; {NOT_IN_IT}",
    ]
    held_out = facts["held_out_frames"]
    if held_out:
        lines.append(f"{count_text(held_out, 'frame')} held out: counted neither above nor among the distances below")
    lines.append(labels_text(facts["labels"]))
    for key, what in (
        ("inside_inner_cutoff", "inside an inner cutoff"), ("skipped_frames", "frames left out"),
        ("unlabelled_frames", "frames without labels"), ("notes", "notes"),
    ):  # fmt: skip
        if found := facts[key]:
            shown = found if key == "notes" else found[:8]
            more = [f"… and {len(found) - len(shown)} more"] if len(found) > len(shown) else []
            lines.append("\n  ".join([f"{what} ({len(found)}):", *shown, *more]))
    if folds := planned_folds_text(facts.get("search_folds", {})):
        lines.append(folds)
    if facts["inactive_types"]:
        lines.append(f"never active (rmin = rmax), columns of zeros: {', '.join(facts['inactive_types'])}")
    if facts["inner_cutoffs"]:
        lines += ["", f"shortest distances in the {facts['frames']} frames to be fitted"]
        lines += [table_text(TITLES, [Contact.from_dict(c).cells() for c in facts["inner_cutoffs"]])]
    return "\n".join(lines)


@with_its_stores
def assemble_job(
    job: Input, executor: Executor, *, all_at_once: bool = False, verify: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Write the design store of a job. Frozen contributions that depend on blocks not fitted yet come with the fit."""
    work = _work(job, executor, all_at_once)
    compile_kernels(job.basis, executor, tell, models=bool(work.frozen))
    store = job.design_store()
    done = assemble(
        work.frames, job.basis, store, blocks=sorted({b for fit in work.fits for b in fit}), needs=work.needs,
        frozen=work.frozen, policy=job.fit.policy, executor=executor, verify=verify, memory=job.memory,
    )  # fmt: skip
    return {
        "store": str(store), "computed": done.computed, "present": done.present, "by_others": done.by_others,
        "rows": sum(s.rows for s in done.plan.segments), "blocks": done.plan.as_dict()["blocks"],
        "labels": work.labels.as_dict(), "notes": work.notes, "repaired": list(done.repaired),
    }  # fmt: skip


def renew(place: Place, executor: Executor, tell: Callable[[str], None]) -> None:
    """Rename a store that is there, so that a new one takes its place; nothing is deleted."""
    aside = ask(executor, partial(move_store_aside, place), what=f"rename {place}")
    if aside is not None:
        tell(f"{place}: a new store is made; the one that was there is {aside} now, to be deleted when nobody needs it")


def renew_rows(job: Input, executor: Executor, tell: Callable[[str], None]) -> None:
    """Rename the design store that a job would go on with."""
    if job.keep_rows:
        renew(store_folder(job.store, job.basis, job.fit.policy, check=False), executor, tell)


# long: its parameters are documented
@with_its_stores
def fit_job(
    job: Input,
    executor: Executor,
    *,
    hierarchical: bool = True,
    all_at_once: bool = False,
    plot: bool = False,
    tables: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> FitResult:
    """Fit a job and write its results: block files, merged model, solutions, ``report.json``, ``report.txt``.

    If asked for, also parity plots (``parity.png`` and ``.pdf``, models beside one another) and the tables of the
    report as CSV. Files of a block are written as soon as it is fitted, so that a later failure loses nothing.

    Raises
    ------
    InputError
        Nothing is to be fitted; and what a climb refuses (:func:`~hiertl_dist.fit_hierarchy`).
    ModuleNotFoundError
        A plot is asked for and matplotlib is not there; before anything is computed.
    """
    if not hierarchical and not all_at_once:
        raise InputError("nothing to fit: neither hierarchical nor all at once")
    if plot:
        need_matplotlib()
    recorder = RunRecorder("fit", job, executor, tell)
    tell = recorder.tell
    job, frames, held_out = job.read_weighed(executor.watch)
    labels = tell_labels(frames, tell, held_out)
    executor.require_alike(lambda: [*frames.identities, *held_out.identities], "frames")
    frozen, taken = read_frozen(job, frames, executor, tell)
    kept = checkpoints_in(job.checkpoint_folder())
    options = replace(options_of(job), checkpoint=kept)  # until all is written
    results = Results.of(job, frozen, executor, tell, climb=hierarchical, all_at_once=all_at_once)
    for note in notes_of_row_weights(frames, job.fit.row_weights, executor, job.fit.weights):
        tell(f"note: {note}")
    compile_kernels(job.basis, executor, tell)
    files: list[Path] = []
    models: dict[str, Model] = {}
    if hierarchical and all_at_once and job.fit.policy == "refuse":  # not only after the climb
        _check_together(frames, job, frozen, executor)

    def done(fit: BlockFit) -> None:
        tell_solution(fit.solution, tell)
        files.extend(write_block(results, fit.solution.block, fit, job, tell))

    climb = together = None
    if hierarchical:
        climb = _climb(frames, job, frozen, taken, options, executor, tell, done)
        models["hierarchical"] = climb.model
        files += results.write([file_writer(job.output / MODEL, write_model, climb.model, ())])
    if all_at_once:
        options = _general(options, tell) if hierarchical else options
        if taken is not None:
            tell("  note: what is fitted all at once is not added to the library")
        together = _fit_together(frames, job, frozen, options, executor, tell)
        files += write_block(results, TOGETHER, together, job, tell)
        models["all at once"] = Model.merge([*map(Model, frozen), Model(together.solution.parameters)])
    for note in (n for name, m in models.items() for n in missing_notes([m.parameters], f"the {name} model")):
        tell(note)
    sets = known_frames(models.values(), {"fitted": frames, "held out": held_out}, tell)
    evaluated = {n: {s: evaluate_frames([m], own, executor, points=True, missing="zero") for s, own in sets.items()}
                 for n, m in models.items()}  # fmt: skip
    result = FitResult(climb, together, tuple(files), sets, models, evaluated)
    lattice = block_lattice(job.basis, frames, frozen=frozen, options=options, all_at_once=not hierarchical)
    record = recorder.as_dict(frames, held_out, lattice, plans_of(result))
    written = results.write(report_writers(result, labels, record, recorder.lines, job, plot=plot, tables=tables))
    discard(kept, executor)
    return replace(result, files=(*files, *written))


def _general(options: HierarchyOptions, tell: Callable[[str], None]) -> HierarchyOptions:
    """The options that hold for all blocks at once, where others are for a climb beside it."""
    if not (options.block_settings or options.partial or options.only):
        return options
    tell("  note: all at once every block is free, with the general settings")
    return replace(options, block_settings={}, partial={}, only=None)


def _fit_together(
    frames: Sequence[Frame], job: Input, frozen: Sequence[Parameters], options: HierarchyOptions, executor: Executor,
    tell: Callable[[str], None],
) -> BlockFit:  # fmt: skip
    tell("all blocks at once")
    fit = fit_all_at_once(frames, job.basis, frozen=frozen, options=options, executor=executor)
    tell_solution(fit.solution, tell)
    return fit


def read_frozen(
    job: Input, frames: FrameSequence, executor: Executor, tell: Callable[[str], None]
) -> tuple[list[Parameters], TakenBlocks | None]:
    """The frozen models of a job, and what of them is from its library; notes of their readers are told."""
    if job.library is not None and job.frozen:
        raise InputError(
            f"frozen files beside a library, {job.frozen[0]}: hiertl-dist library add puts them into it, with what is "
            "known of their data"
        )
    frozen, taken = [read_parts(p) for p in job.frozen], None
    if job.library is not None:
        options = HierarchyOptions(partial=job.partial, only=job.only).normal()
        call = partial(take_blocks, job.library, job.basis, frames.facts.element_sets(), options)
        taken = ask(executor, call, what=f"look at {job.library.path}")
        frozen = list(taken.frozen)
    for note in (*job.frame_notes, *(taken.notes if taken else ()), *(n for model in frozen for n in model.notes)):
        tell(f"note: {note}")
    return frozen, taken


def _climb(
    frames: FrameSequence, job: Input, frozen: Sequence[Parameters], taken: TakenBlocks | None,
    options: HierarchyOptions, executor: Executor, tell: Callable[[str], None], done: Callable[[BlockFit], None],
) -> HierarchyFit:  # fmt: skip
    """Block by block, upon frozen files or upon a library, to which what is fitted is added."""
    if taken is None:
        return fit_hierarchy(frames, job.basis, frozen=frozen, options=options, executor=executor, tell=tell, done=done)
    sources = job.data if job.fm_setup is None else ({"fm_setup": str(job.fm_setup)},)
    return fit_upon(taken, frames, job.basis, options=options, executor=executor, tell=tell, done=done, sources=sources)


def _check_together(frames: Sequence[Frame], job: Input, frozen: Sequence[Parameters], executor: Executor) -> None:
    frozen_blocks = {b for f in frozen for b in blocks_in(f)}
    names = [b.name for b in blocks_of(job.basis) if b.name not in frozen_blocks]
    sets = sequence_of(frames).facts.element_sets()
    check_contacts(frames, job.basis, names, refused=sets, frozen=frozen, executor=executor)


def tell_solution(solution: Solution, tell: Callable[[str], None]) -> None:
    """Say what a fit came to, in one line: columns, rows, rank, condition, RMSE and notes."""
    tell(
        f"  {solution.block}: {count_text(solution.n_columns, 'column')}, {count_text(solution.rows, 'row')}, "
        f"rank {solution.rank}, condition {solution.condition:.2g}, {solution.nonzeros} nonzero, "
        f"RMSE {number_text(solution.rmse)} over counted rows (kcal/mol, Å; all kinds)"
    )
    for note in solution.notes:
        tell(f"  note: {note}")


def known_frames(
    models: Collection[Model], sets: Mapping[str, FrameSequence], tell: Callable[[str], None]
) -> dict[str, FrameSequence]:
    """The frames, by set, whose elements every model has: with some blocks only, a model lacks elements."""
    known = set.intersection(*(set(m.elements) for m in models))
    names = {s: {e for e in own.facts.set_names if e.elements <= known} for s, own in sets.items()}
    chosen = {s: own.facts.of_sets(names[s]) for s, own in sets.items()}
    kept = {s: own if chosen[s].all() else own.take(np.flatnonzero(chosen[s])) for s, own in sets.items()}
    if left_out := sum(map(len, sets.values())) - sum(map(len, kept.values())):
        tell(f"{count_text(left_out, 'frame')} not evaluated, with elements that the model lacks")
    return {s: own for s, own in kept.items() if len(own)}
