"""What a fit or an evaluation says: text for people, one object for JSON, tables as CSV, a figure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..evaluation.coverage import coverage_report
from ..fitting.mean_model import QUANTITIES
from ..text.display import Shown, table_text
from ..text.result_cards import conditions_text
from .csv_tables import CsvTable, blocks_csv, coverage_csv, errors_csv, frames_csv
from .report import (
    coverage_text,
    details_text,
    errors_by_composition,
    errors_by_group,
    errors_text,
    frame_errors,
    no_offsets_text,
    predictions,
    undetermined_frames_text,
    unit_of,
    warnings_text,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ..evaluation.coverage import Coverage
    from ..evaluation.energies import Evaluation, Model
    from ..fitting.block_fit import BlockFit
    from ..fitting.hierarchy import HierarchyFit
    from ..frames.frame import Frame
    from ..model.solution import Solution
    from .input_file import Input
    from .report import Errors


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
    evaluations : dict from str to dict from str to list of Evaluation
        By model and set, one for each frame.
    """

    hierarchy: HierarchyFit | None
    together: BlockFit | None
    files: tuple[Path, ...]
    sets: Mapping[str, Sequence[Frame]]
    models: dict[str, Model]
    evaluations: dict[str, dict[str, list[Evaluation]]]

    @cached_property
    def errors(self) -> dict[str, dict[str, dict[str, Errors]]]:
        """``{"hierarchical": {"fitted": {composition: Errors}, "held out": …}, "all at once": …}``."""
        return {
            name: {s: errors_by_composition(self.sets[s], e) for s, e in by_set.items()}
            for name, by_set in self.evaluations.items()
        }

    @cached_property
    def group_errors(self) -> dict[str, dict[str, dict[str, Errors]]]:
        """As ``errors``, by group."""
        return {
            name: {s: errors_by_group(self.sets[s], e) for s, e in by_set.items()}
            for name, by_set in self.evaluations.items()
        }


def solutions_of(result: FitResult) -> dict[str, Solution]:
    """Every solution of a fit by name."""
    solutions = {} if result.hierarchy is None else {b: f.solution for b, f in result.hierarchy.fits.items()}
    return solutions | ({} if result.together is None else {"all at once": result.together.solution})


def _coverage(result: FitResult) -> dict[str, list[Coverage]]:
    """By model, distances that its blocks were fitted on and are used on in all frames."""
    return {
        name: coverage_report(
            result.models[name].coverage, [e.ranges for evaluations in by_set.values() for e in evaluations]
        )
        for name, by_set in result.evaluations.items()
    }


def fit_dict(result: FitResult) -> dict[str, Any]:
    """A fit for JSON."""
    return {
        "solutions": {name: s.as_dict() for name, s in solutions_of(result).items()},
        "units": {kind: unit_of(kind, "kcal")[0] for kind in QUANTITIES},
        "errors": errors_dict(result.errors),
        "group_errors": errors_dict(result.group_errors),
        "out_of_range": {
            name: {s: [vars(f) for f in frame_errors(result.sets[s], e) if f.out_of_range] for s, e in by_set.items()}
            for name, by_set in result.evaluations.items()
        },
        "files": [str(f) for f in result.files],
    }


def errors_dict(errors: Mapping[str, Mapping[str, Mapping[str, Errors]]]) -> dict[str, Any]:
    """Errors by model, set of frames and name for JSON."""
    return {
        name: {s: {c: e.as_dict() for c, e in table.items()} for s, table in by_set.items()}
        for name, by_set in errors.items()
    }


def fit_text(result: FitResult, job: Input) -> str:
    """A fit for people: blocks, what they were conditioned on, errors, frames that a user must look at."""
    sets = result.sets
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
        parts.append(f"\n{s} frames\n{errors_text(beside, job.units)}\n\n{details_text(beside, groups, job.units)}")
    for name, by_set in result.evaluations.items():
        for s, e in by_set.items():
            known = result.models[name].coverage
            parts.append(f"\n{name}, {s}: " + warnings_text(frame_errors(sets[s], e), job.units, 5, known))
    if result.hierarchy is not None:
        report = coverage_text(_coverage(result)["hierarchical"])
        parts.append("\ndistances that each block was fitted on, and is used on in all frames\n" + report)
    warned = [f"  {name}: {note}" for name, s in solutions.items() for note in s.notes if note.startswith("WARNING")]
    if warned:
        parts.append("\nwhat was warned of\n" + "\n".join(warned))
    return "\n".join(parts)


def fit_tables(result: FitResult, units: str) -> list[CsvTable]:
    """The tables of a fit as CSV: ``blocks.csv``, ``errors.csv``, ``frames.csv``, ``coverage.csv``."""
    listed = {
        name: {s: frame_errors(result.sets[s], e) for s, e in by_set.items()}
        for name, by_set in result.evaluations.items()
    }
    return [
        blocks_csv(solutions_of(result)), errors_csv(result.errors, result.group_errors, units),
        frames_csv(listed, units), coverage_csv(_coverage(result)),
    ]  # fmt: skip


EVALUATION_TABLES: Final = ("errors.csv", "frames.csv", "coverage.csv")
"""Names of :meth:`EvaluationReport.tables`."""


@dataclass(frozen=True, eq=False, repr=False)
class EvaluationReport(Shown):
    """What ``evaluate`` found: frames, what the sum of the models says of them, and where it extrapolates.

    Attributes
    ----------
    frames : sequence of Frame
        What was evaluated.
    evaluations : sequence of Evaluation
        One for each frame.
    coverage : sequence of Coverage
        Of each model's blocks.
    known : collection of str
        The ``"block:pair"`` whose fitted range is known.
    files : tuple of Path
        What was written.
    no_offsets : tuple of str
        Elements of frames with energies for which no model has the energy of a free atom.
    undetermined : tuple of str
        Elements of whose energies models know combinations alone.
    undetermined_frames : int
        How many frames with energies have compositions that these do not cover.
    """

    frames: Sequence[Frame]
    evaluations: Sequence[Evaluation]
    coverage: Sequence[Coverage]
    known: Collection[str]
    files: tuple[Path, ...] = ()
    no_offsets: tuple[str, ...] = ()
    undetermined: tuple[str, ...] = ()
    undetermined_frames: int = 0

    def text(self, units: str) -> str:
        """For people."""
        table, groups = (
            errors_by_composition(self.frames, self.evaluations),
            errors_by_group(self.frames, self.evaluations),
        )
        text = errors_text({"": table}, units)
        if not any(f.energy is not None or f.forces is not None or f.stress is not None for f in self.frames):
            text = "no frame has a label to compare with; --json gives what the model predicts (frames)\n" + text
        if self.no_offsets:
            text += f"\n{no_offsets_text(self.no_offsets)}"
        if self.undetermined_frames:
            text += f"\n{undetermined_frames_text(self.undetermined, self.undetermined_frames)}"
        text += "\n\n" + details_text({"": table}, {"": groups}, units)
        text += "\n\n" + warnings_text(frame_errors(self.frames, self.evaluations), units, known=self.known)
        if self.coverage:
            text += "\n\ndistances that each block was fitted on, and is used on here\n" + coverage_text(self.coverage)
        return text + ("\n\nwritten:" + "".join(f"\n  {f}" for f in self.files) if self.files else "")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "errors": {c: e.as_dict() for c, e in errors_by_composition(self.frames, self.evaluations).items()},
            "group_errors": {g: e.as_dict() for g, e in errors_by_group(self.frames, self.evaluations).items()},
            "units": {kind: unit_of(kind, "kcal")[0] for kind in QUANTITIES}, "no_energy_offsets": self.no_offsets,
            "undetermined_energies": {"elements": self.undetermined, "frames": self.undetermined_frames},
            "coverage": [vars(c) for c in self.coverage], "frames": predictions(self.frames, self.evaluations),
            "files": [str(f) for f in self.files],
        }  # fmt: skip

    def tables(self, units: str) -> list[CsvTable]:
        """As CSV, of the names :data:`EVALUATION_TABLES`."""
        name, s = "sum of models", "given"
        table, groups = (
            errors_by_composition(self.frames, self.evaluations),
            errors_by_group(self.frames, self.evaluations),
        )
        return [
            errors_csv({name: {s: table}}, {name: {s: groups}}, units),
            frames_csv({name: {s: frame_errors(self.frames, self.evaluations)}}, units),
            coverage_csv({name: self.coverage}),
        ]  # fmt: skip
