"""What ``hiertl-dist search`` and ``summarise`` do with an input file; each returns what ``--json`` prints."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dataset.folds import Folds
from ..dataset.holding_out import each_once
from ..dataset.systems import systems_in_folds
from ..evaluation.cluster_counts import joined_counts
from ..evaluation.compiling import compile_kernels
from ..evaluation.coverage import joined_coverage
from ..evaluation.missing_in_frames import joined_missing
from ..evaluation.type_coverage import type_coverage
from ..executors.ask import ask
from ..fitting.lattice_rows import block_lattice
from ..fitting.stored_frames import while_reading
from ..fitting.summary_store import SummaryStore
from ..frames.element_set import ElementSet
from ..frames.frame_sequence import FrameSequence, sequence_of
from ..frames.rows import person_kind
from ..model.missing_types import missing_notes, zero_notes
from ..model_selection.search_pass import summarise_for, summary_place
from ..model_selection.search_plan import SearchPlan, plan_search
from ..model_selection.search_settings import SearchSettings
from ..model_selection.search_stages import SearchResult, search
from ..text.display import table_text
from ..text.problems import Problems
from ..text.words import count_text
from ..uncertainty.whole_model import view_posterior
from .block_files import write_covariance
from .data_tables import tell_labels
from .evaluating import evaluate_frames
from .figure_facts import figure_facts
from .figures import need_matplotlib
from .fit_job import known_frames, options_of, read_frozen, renew, tell_solution
from .job_stores import with_its_stores
from .outputs import (
    MODEL,
    RUN,
    SEARCH,
    SEARCH_FIGURE,
    TOGETHER,
    Results,
    figure_writer,
    file_writer,
    solution_files,
    solution_writers,
    write_json_file,
    write_model,
)
from .report import details_text, errors_text, warnings_text
from .run_record import RunRecorder
from .search_report import plot_search, search_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ..executors.base import Executor
    from ..files.object_path import Place
    from ..fitting.settings import HierarchyOptions
    from ..frames.frame import Frame
    from ..model.parameters import Parameters
    from ..model_selection.search_stages import Stage
    from ..uncertainty.block_posterior import BlockPosterior
    from .error_tables import Errors
    from .evaluated import EvaluatedFrames
    from .input_file import Input


@dataclass(frozen=True, eq=False)
class SearchReport:
    """What a search of an input file made.

    Attributes
    ----------
    result : SearchResult
        What the search found.
    files : tuple of Path
        What was written.
    sets : dict from str to list of Frame
        The frames that the chosen model was evaluated on, ``fitted`` and ``held out``.
    evaluated : dict from str to EvaluatedFrames
        What it says of the frames, by set.
    """

    result: SearchResult
    files: tuple[Path, ...]
    sets: Mapping[str, Sequence[Frame]]
    evaluated: dict[str, EvaluatedFrames]

    @property
    def errors(self) -> dict[str, dict[str, Errors]]:
        """Errors of the chosen model, by set and composition."""
        return {s: e.errors for s, e in self.evaluated.items()}

    @property
    def group_errors(self) -> dict[str, dict[str, Errors]]:
        """As ``errors``, by group."""
        return {s: e.group_errors for s, e in self.evaluated.items()}

    def as_dict(self) -> dict[str, Any]:
        """For JSON; ``out_of_range_left_out`` is there if not all such frames are listed."""
        notes = {s: e.out_of_range_left_out for s, e in self.evaluated.items()}
        left_out = {s: note for s, note in notes.items() if note}
        own, coverage = list(self.evaluated.values()), self.result.model.coverage
        return {
            **self.result.as_dict(),
            "errors": {s: {c: e.as_dict() for c, e in table.items()} for s, table in self.errors.items()},
            "group_errors": {s: {g: e.as_dict() for g, e in table.items()} for s, table in self.group_errors.items()},
            "out_of_range": {s: e.out_of_range() for s, e in self.evaluated.items()},
            "missing_types": {s: [vars(m) for m in e.missing] for s, e in self.evaluated.items()},
            "coverage": [vars(c) for c in joined_coverage(coverage, [c for e in own for c in e.coverage])],
            "types": [
                t.as_dict() for t in type_coverage(
                    [self.result.model.parameters], joined_counts(e.met for e in own),
                    joined_missing(e.missing for e in own),
                )
            ],
            "files": [str(f) for f in self.files],
        } | ({"out_of_range_left_out": left_out} if left_out else {})  # fmt: skip

    def text(self, units: str) -> str:
        """For people."""
        parts = [search_text(self.result, units)]
        groups = self.group_errors
        for s, table in self.errors.items():
            parts.append(f"the chosen model, {s} frames\n" + errors_text({"": table}, units))
            parts.append(details_text({"": table}, {"": groups[s]}, units))
            parts.append(f"{s}: " + warnings_text(self.evaluated[s], units, 5, self.result.model.coverage))
        return "\n\n".join(parts)


# long: its parameters are documented
@with_its_stores
def search_job(
    job: Input,
    executor: Executor,
    *,
    all_at_once: bool = False,
    plot: bool | None = None,
    fresh: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> SearchReport:
    """Search a job and write what was chosen.

    That is block files with what each leaves open, merged model, solutions, ``search.json``, ``search.png`` and
    ``search.pdf``.

    Parameters
    ----------
    job : Input
        An input with a ``[search]`` table.
    executor : Executor
        Who does the work.
    all_at_once : bool, default False
        Search the fit of all blocks at once, not the climb.
    plot : bool, optional
        Draw a figure; default: if matplotlib is there.
    fresh : bool, default False
        Make a new summary store; the one that is there gets another name.
    tell : callable, optional
        Takes lines for a person.

    Returns
    -------
    SearchReport
        What was found and what was written.

    Raises
    ------
    InputError
        The input has no ``[search]`` table; and what :func:`~hiertl_dist.search` raises. All of it is told at once.
    ModuleNotFoundError
        A plot is asked for and matplotlib is not there; before anything is computed.
    """
    recorder = RunRecorder("search", job, executor, tell)
    tell = recorder.tell
    drawn = _drawn(plot, tell)
    job, frames, held_out = job.read_weighed(executor.watch)
    executor.require_alike(lambda: [*frames.identities, *held_out.identities], "frames")
    frames = reported_once(frames, held_out, tell)
    frozen, taken = read_frozen(job, frames, executor, tell)
    if taken is not None:
        tell("note: what a search chooses is not added to the library; hiertl-dist library add takes its solutions")
    compile_kernels(job.basis, executor, tell)
    results = Results.of(job, frozen, executor, tell, climb=not all_at_once, all_at_once=all_at_once, model=True)
    files: list[Path] = []

    def done(stage: Stage) -> None:
        name = TOGETHER if all_at_once else stage.name
        files.extend(results.write(solution_writers(name, stage.solution, job.output)))
        tell_solution(stage.solution, tell)
        if job.covariance:
            make, path = partial(_left_open, stage), solution_files(name, job.output)[2]
            files.extend(write_covariance(results, path, make, stage.solution, tell))

    options = search_options(job)
    settings, plan = _planned(job, frames, frozen, options, all_at_once)
    if fresh:
        renew_summaries(job, plan, settings, executor, tell)
    result = search(
        frames, job.basis, settings, frozen=frozen, options=options, summaries=job.summaries,
        store=job.design_store() if job.keep_rows else None, output=job.output, executor=executor,
        all_at_once=all_at_once, tell=tell, done=done,
    )  # fmt: skip
    own = [result.model.parameters]
    for note in (*missing_notes(own, "the model"), *zero_notes(own, "the model")):
        tell(note)
    files += results.write([file_writer(job.output / MODEL, write_model, result.model, ())])
    sets = known_frames([result.model], {"fitted": frames, "held out": held_out}, tell)
    one = [result.model]
    evaluated = {s: evaluate_frames(one, own, executor, points=True, missing="zero") for s, own in sets.items()}
    if drawn:
        files += results.write([figure_writer(job.output / SEARCH_FIGURE, _plot, result)])
    report = SearchReport(result, (*files, job.output / SEARCH, job.output / RUN), sets, evaluated)
    lattice = block_lattice(job.basis, frames, frozen=frozen, options=options, all_at_once=all_at_once)
    figures = {s: figure_facts(e) for s, e in evaluated.items()}
    results.write([
        file_writer(job.output / SEARCH, write_json_file, report.as_dict() | {"figures": figures}),
        file_writer(job.output / RUN, write_json_file, recorder.as_dict(frames, held_out, lattice, {})),
    ])  # fmt: skip
    return report


def _left_open(stage: Stage) -> BlockPosterior:
    assert stage.view is not None  # the search is at it
    return view_posterior(stage.view(), stage.solution)


def reported_once(
    frames: Sequence[Frame], held_out: Sequence[Frame], tell: Callable[[str], None]
) -> FrameSequence:  # fmt: skip
    """The frames to be fitted, each once; which labels they have, and what is there again, is told."""
    distinct, again = each_once(sequence_of(frames))
    tell_labels(distinct, tell, held_out)
    for note in again:
        tell(f"note: {note}")
    return distinct


def _planned(
    job: Input, frames: Sequence[Frame], frozen: Sequence[Parameters], options: HierarchyOptions, all_at_once: bool
) -> tuple[SearchSettings, SearchPlan]:
    """What a job wants searched, and the plan of it. Raises for all that is wrong with both."""
    problems = Problems()
    if job.search is None:
        problems.add(
            'search: expected a [search] table, found none; [search.grid] regulariser = { kind = "ridge", alpha = '
            "[1e-4, 1e-3, 1e-2] } compares three strengths"
        )
    settings = job.search or SearchSettings()
    with problems.noting():
        plan = plan_search(frames, job.basis, settings, frozen=frozen, options=options, all_at_once=all_at_once)
    problems.settle()
    return settings, plan


def _drawn(plot: bool | None, tell: Callable[[str], None]) -> bool:
    """Whether a figure will be drawn; that one can't is an error where it is asked for, and else told."""
    if plot:
        need_matplotlib()
    if plot is not None:
        return plot
    if not (drawn := find_spec("matplotlib") is not None):
        tell('note: no search.png, for matplotlib is not there (pip install "hiertl-dist[plot]")')
    return drawn


def _plot(result: SearchResult, path: Path) -> None:
    plot_search(path, result)


def search_options(job: Input) -> HierarchyOptions:
    """The options of a search: those of a fit, but that no store is named there."""
    return replace(options_of(replace(job, keep_rows=False)), store=None)


@with_its_stores
def summarise_job(
    job: Input, executor: Executor, *, all_at_once: bool = False, fresh: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """The pass over the rows that a search begins with, into the summary store; ``fresh``: into a new one."""
    settings = job.search or SearchSettings()
    job, frames, held_out = job.read_weighed(executor.watch)
    executor.require_alike(lambda: frames.identities, "frames")
    frames = reported_once(frames, held_out, tell)
    frozen, _ = read_frozen(job, frames, executor, tell)
    compile_kernels(job.basis, executor, tell, models=bool(frozen))
    # grids are no matter of the pass
    plan = plan_search(
        frames, job.basis, SearchSettings(folds=settings.folds), frozen=frozen, options=search_options(job),
        all_at_once=all_at_once, tell=tell,
    )  # fmt: skip
    if fresh:
        renew_summaries(job, plan, settings, executor, tell)
    place = summary_place(plan, settings, job.summaries, executor)
    before = ask(executor, partial(_ids, place), what=f"look at {place}")
    store = job.design_store() if job.keep_rows else None
    summaries, _ = summarise_for(plan, settings, summaries=place, store=store, executor=executor, tell=tell)
    facts: dict[str, Any] = ask(executor, partial(_contents, place), what=f"look at {place}")
    counts: dict[str, dict[str, int]] = {}
    for group in summaries.groups:
        counts_of_set = counts.setdefault(ElementSet.of(group.elements), {})
        counts_of_set["groups"] = counts_of_set.get("groups", 0) + 1
        kind = person_kind(group.kind)
        counts_of_set[kind] = counts_of_set.get(kind, 0) + summaries.rows(group)
    new = [i for i in facts["batches"] if i not in before]
    return facts | {"store": str(place), "element_sets": counts, "new_batches": new}


def renew_summaries(
    job: Input, plan: SearchPlan, settings: SearchSettings, executor: Executor, tell: Callable[[str], None]
) -> None:
    """Rename the summary store that a pass would go on with."""
    place = summary_place(plan, settings, job.summaries, executor, check=False)
    renew(place, executor, tell)


def _ids(store: Place) -> list[str]:
    return [b.id for b in SummaryStore.open(store).batches()] if (store / "index.json").exists() else []


def _contents(path: Place) -> dict[str, Any]:
    store = SummaryStore.open(path)
    batches = store.batches()
    sizes: Counter[int] = Counter()
    folds = Folds() if store.settings["folds"] is None else Folds.from_dict(store.settings["folds"])
    systems = [Counter[str]() for _ in range(folds.count)]
    with while_reading(path):
        for records in (part for batch in batches for part in store.records(batch)):
            numbers, counts = np.unique(records.folds, return_counts=True)
            sizes.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
            if folds.split == "system" and (labels := folds.labels_of_records(records)):
                for total, own in zip(systems, systems_in_folds(labels, records.folds, folds.count), strict=True):
                    total.update(own)
    contents = {b.id: {"elements": b.elements, "blocks": list(b.blocks), "frames": b.frames.count} for b in batches}
    return {
        "batches": contents,
        "groups": sum(len(b.groups) for b in batches),
        "rows": sum(e.rows for b in batches for e in b.groups if not e.group.weighed),
        "bytes": store.nbytes(), "folds": {
            **store.settings["folds"], "frames": [sizes[k] for k in sorted(sizes)],
            **({"systems": [dict(sorted(s.items())) for s in systems]} if folds.split == "system" else {}),
        },
    }  # fmt: skip


def summarise_text(facts: dict[str, Any]) -> str:
    """A summary store for people."""
    kinds = [k for k in ("force", "stress", "energy") if any(k in counts for counts in facts["element_sets"].values())]
    frames: dict[str, int] = {}
    for batch in facts["batches"].values():
        frames[batch["elements"]] = frames.get(batch["elements"], 0) + batch["frames"]
    rows = [
        [name, frames.get(name, 0), counts["groups"], *(counts.get(k, 0) for k in kinds)]
        for name, counts in facts["element_sets"].items()
    ]
    folds = facts["folds"]
    strata = "element set" if folds["split"] == "system" else "composition"
    return "\n".join([
        f"{facts['store']}: {count_text(facts['groups'], 'group')} of {count_text(facts['rows'], 'row')}, "
        f"{facts['bytes'] / 2**20:.1f} MiB, {len(facts['new_batches'])} of {len(facts['batches'])} batches new",
        table_text(["frames of", "frames", "groups", *(f"{k} rows" for k in kinds)], rows),
        f"{folds['count']} folds by {folds['split']}, seed {folds['seed']}"
        f"{f', stratified by {strata}' if folds['stratify'] else ''}: {', '.join(map(str, folds['frames']))} frames",
    ])  # fmt: skip
