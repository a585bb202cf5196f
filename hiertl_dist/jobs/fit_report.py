"""What a fit says: text for people, one object for JSON, tables as CSV."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluation.cluster_counts import joined_counts
from ..evaluation.coverage import joined_coverage
from ..evaluation.missing_in_frames import joined_missing
from ..evaluation.type_coverage import type_coverage
from ..fitting.mean_model import QUANTITIES
from ..model.missing_types import missing_notes, types_text
from ..text.display import Shown, table_text
from ..text.result_cards import conditions_text
from .csv_tables import CsvTable, blocks_csv, coverage_csv, errors_csv, frames_csv
from .figure_facts import figure_facts
from .outputs import (
    PARITY,
    REPORT,
    REPORT_TEXT,
    RUN,
    Writer,
    figure_writer,
    file_writer,
    table_writer,
    write_json_file,
    write_plot,
    write_text,
)
from .report import coverage_text, details_text, errors_text, types_table, unit_of, warnings_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..design_matrix.planning import Plan
    from ..evaluation.coverage import Coverage
    from ..evaluation.energies import Model
    from ..evaluation.type_coverage import TypeCoverage
    from ..fitting.block_fit import BlockFit
    from ..fitting.hierarchy import HierarchyFit
    from ..frames.frame import Frame
    from ..frames.label_summary import LabelSummary
    from ..model.solution import Solution
    from .error_tables import Errors
    from .evaluated import EvaluatedFrames
    from .input_file import Input


@dataclass(frozen=True, eq=False, repr=False)
class FitResult(Shown):
    """What ``fit`` made.

    Attributes
    ----------
    hierarchy : HierarchyFit or None
        The climb; ``None`` for an all-at-once fit alone.
    together : BlockFit or None
        The all-at-once fit, if asked for.
    files : tuple of Path
        What was written.
    sets : dict from str to list of Frame
        The frames that were evaluated, by name: ``fitted`` and, if there are any, ``held out``.
    models : dict from str to Model
        ``hierarchical``, ``all at once`` or both.
    evaluated : dict from str to dict from str to EvaluatedFrames
        By model and set, errors and a few numbers of each frame.
    """

    hierarchy: HierarchyFit | None
    together: BlockFit | None
    files: tuple[Path, ...]
    sets: Mapping[str, Sequence[Frame]]
    models: dict[str, Model]
    evaluated: dict[str, dict[str, EvaluatedFrames]]

    @cached_property
    def errors(self) -> dict[str, dict[str, dict[str, Errors]]]:
        """``{"hierarchical": {"fitted": {composition: Errors}, "held out": …}, "all at once": …}``."""
        return {name: {s: e.errors for s, e in by_set.items()} for name, by_set in self.evaluated.items()}

    @cached_property
    def group_errors(self) -> dict[str, dict[str, dict[str, Errors]]]:
        """As ``errors``, by group."""
        return {name: {s: e.group_errors for s, e in by_set.items()} for name, by_set in self.evaluated.items()}


def solutions_of(result: FitResult) -> dict[str, Solution]:
    """Every solution of a fit by name."""
    solutions = {} if result.hierarchy is None else {b: f.solution for b, f in result.hierarchy.fits.items()}
    return solutions | ({} if result.together is None else {"all at once": result.together.solution})


def plans_of(result: FitResult) -> dict[str, Plan]:
    """What every fit computed, by name."""
    plans = {} if result.hierarchy is None else {b: f.plan for b, f in result.hierarchy.fits.items()}
    return plans | ({} if result.together is None else {"all at once": result.together.plan})


def coverage_of(result: FitResult) -> dict[str, list[Coverage]]:
    """By model, distances that its blocks were fitted on and are used on in all frames."""
    return {
        name: joined_coverage(result.models[name].coverage, [c for e in by_set.values() for c in e.coverage])
        for name, by_set in result.evaluated.items()
    }


def types_of(result: FitResult) -> dict[str, list[TypeCoverage]]:
    """By model, how often types of clusters were fitted on, and are met in all frames."""
    return {
        name: type_coverage(
            [result.models[name].parameters], joined_counts(e.met for e in by_set.values()),
            joined_missing(e.missing for e in by_set.values()),
        )
        for name, by_set in result.evaluated.items()
    }  # fmt: skip


def fit_dict(result: FitResult) -> dict[str, Any]:
    """A fit for JSON."""
    return {
        "solutions": {name: s.as_dict() for name, s in solutions_of(result).items()},
        "units": {kind: unit_of(kind, "kcal")[0] for kind in QUANTITIES},
        "errors": errors_dict(result.errors),
        "group_errors": errors_dict(result.group_errors),
        "out_of_range": {
            name: {s: e.out_of_range() for s, e in by_set.items()} for name, by_set in result.evaluated.items()
        },
        "missing_types": {
            name: {s: [vars(m) for m in e.missing] for s, e in by_set.items()}
            for name, by_set in result.evaluated.items()
        },
        "types": {name: [t.as_dict() for t in own] for name, own in types_of(result).items()},
        "coverage": {name: [vars(c) for c in own] for name, own in coverage_of(result).items()},
        "files": [str(f) for f in result.files],
    } | left_out_dict(result.evaluated)


def left_out_dict(found: Mapping[str, Mapping[str, EvaluatedFrames]]) -> dict[str, Any]:
    """``out_of_range_left_out``: by model and set, what is said where not all is listed; empty where all is."""
    notes = {name: {s: e.out_of_range_left_out for s, e in by_set.items()} for name, by_set in found.items()}
    some = {name: {s: note for s, note in by_set.items() if note} for name, by_set in notes.items()}
    return {"out_of_range_left_out": some} if any(some.values()) else {}


def errors_dict(errors: Mapping[str, Mapping[str, Mapping[str, Errors]]]) -> dict[str, Any]:
    """Errors by model, set of frames and name for JSON."""
    return {
        name: {s: {c: e.as_dict() for c, e in table.items()} for s, table in by_set.items()}
        for name, by_set in errors.items()
    }


def fit_text(result: FitResult, job: Input) -> str:
    """A fit for people: blocks, what they were conditioned on, errors, frames that a user must look at."""
    solutions = solutions_of(result)
    rows = [
        [name, s.n_columns, s.rows, s.rank, s.nonzeros, s.rmse, f"{s.condition:.1e}",
         ", ".join(Path(f).name for f in s.frozen) or "nothing"]
        for name, s in solutions.items()
    ]  # fmt: skip
    parts = [table_text(["block", "columns", "rows", "rank", "nonzero", "RMSE", "condition", "frozen"], rows)]
    conditions = "\n".join(f"  {name}: {conditions_text(s, job.units)}" for name, s in solutions.items())
    parts.append(f"\nconditioned on\n{conditions}")
    by_group = result.group_errors
    for s in next(iter(result.errors.values()), ()):
        beside = {name: by_set[s] for name, by_set in result.errors.items()}
        groups = {name: by_set[s] for name, by_set in by_group.items()}
        tables = f"{errors_text(beside, job.units)}\n\n{details_text(beside, groups, job.units)}"
        parts.append(f"\n{title_of(result, s)}\n{tables}")
    coverage, types = coverage_of(result), types_of(result)
    for name, covered in coverage.items():
        if types[name]:
            table = types_table(types[name])
            parts.append(f"\n{name}: clusters that each type was fitted on, and that all frames have\n{table}")
        if name == "hierarchical":
            report = coverage_text(covered, job.units)
            parts.append("\ndistances that each block was fitted on, and is used on in all frames\n" + report)
    for name, by_set in result.evaluated.items():
        for s, e in by_set.items():
            known = result.models[name].coverage
            parts.append(f"\n{name}, {s}: " + warnings_text(e, job.units, 5, known, coverage[name]))
    return "\n".join([*parts, *warned_text(result)])


def title_of(result: FitResult, frames: str) -> str:
    """The title of the errors of a set of frames: which of their types count for nothing in these."""
    lacking = [m.name for m in joined_missing(by_set[frames].missing for by_set in result.evaluated.values())]
    return f"{frames} frames" + (f" ({types_text(lacking)}, no coefficients: count for nothing)" if lacking else "")


def warned_text(result: FitResult) -> list[str]:
    """What fits warned of, and what their models lack, as a part of a text; none where there is nothing."""
    solutions = solutions_of(result)
    warned = [f"  {name}: {note}" for name, s in solutions.items() for note in s.notes if note.startswith("WARNING")]
    for name, model in result.models.items():
        warned += [f"  {note}" for note in missing_notes([model.parameters], f"the {name} model")]
    return ["\nwhat was warned of\n" + "\n".join(warned)] if warned else []


def fit_tables(result: FitResult, units: str) -> list[CsvTable]:
    """The tables of a fit as CSV: ``blocks.csv``, ``errors.csv``, ``frames.csv``, ``coverage.csv``."""
    return [
        blocks_csv(solutions_of(result)), errors_csv(result.errors, result.group_errors, units),
        frames_csv(result.evaluated, units), coverage_csv(coverage_of(result)),
    ]  # fmt: skip


def report_writers(
    result: FitResult, labels: LabelSummary, record: dict[str, Any], told: Sequence[str], job: Input, *, plot: bool,
    tables: bool,
) -> list[Writer]:  # fmt: skip
    """What writes the report, all that was ``told`` too, and the record of the run; tables and figures if asked for."""
    drawn = {name: {s: figure_facts(e) for s, e in by_set.items()} for name, by_set in result.evaluated.items()}
    report = fit_dict(result) | {"labels": labels.as_dict(), "figures": drawn}
    # first, so that they are there even if a figure fails
    writers: list[Writer] = [
        file_writer(job.output / REPORT, write_json_file, report),
        file_writer(job.output / RUN, write_json_file, record),
        file_writer(job.output / REPORT_TEXT, write_text, "\n".join([*told, "", fit_text(result, job), ""])),
    ]
    if tables:
        writers += [table_writer(job.output, table) for table in fit_tables(result, job.units)]
    if plot:
        panels = {f"{name}, {s}": e for name, by_set in result.evaluated.items() for s, e in by_set.items()}
        writers.append(figure_writer(job.output / PARITY, write_plot, panels, job.units))
    return writers
