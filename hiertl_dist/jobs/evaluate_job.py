"""What ``hiertl-dist evaluate`` does: models on labelled frames, and what is said of it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError
from ..evaluation.type_coverage import TypeCoverage, type_coverage
from ..fitting.mean_model import QUANTITIES
from ..frames.frame_sequence import sequence_of
from ..frames.type_names import cluster_name, split_symbols
from ..model.missing_types import types_text, with_lower
from ..model.parameters import refuse_shared_types
from ..model.reference_energies import uncovered_frames, without_offsets
from ..text.display import Shown
from ..uncertainty.frame_sigmas import SigmaReport, sigma_report
from .coverage_figure import coverage_path, plot_coverage
from .csv_tables import CsvTable, coverage_csv, errors_csv, frames_csv, sigma_csv
from .evaluating import evaluate_frames
from .frame_file import FrameFile
from .outputs import Writer, figure_writer, table_writer, write_outputs, write_plot
from .predicted_lines import predicted_text
from .report import (
    coverage_text,
    details_text,
    errors_text,
    no_offsets_text,
    types_table,
    undetermined_frames_text,
    unit_of,
    warnings_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ..evaluation.coverage import Coverage
    from ..evaluation.energies import Model
    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..frames.frame_sequence import FrameSequence
    from ..uncertainty.whole_model import HierarchyPosterior
    from .evaluated import EvaluatedFrames

EVALUATION_TABLES: Final = ("errors.csv", "frames.csv", "coverage.csv", "sigma.csv")
"""Names of :meth:`EvaluationReport.tables`, the last one only where σ is asked for."""


@dataclass(frozen=True, eq=False, repr=False)
class EvaluationReport(Shown):
    """What ``evaluate`` found: frames, what the sum of the models says of them, and where it extrapolates.

    Attributes
    ----------
    evaluated : EvaluatedFrames
        The frames, errors and a few numbers of each.
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
    types : sequence of TypeCoverage
        Of each type of cluster that the frames contain.
    sigmas : SigmaReport or None
        Predicted errors, if they were asked for.
    file_notes : tuple of str
        How the file of frames is to be read, and what frames in it could not have.
    """

    evaluated: EvaluatedFrames
    coverage: Sequence[Coverage]
    known: Collection[str]
    files: tuple[Path, ...] = ()
    no_offsets: tuple[str, ...] = ()
    undetermined: tuple[str, ...] = ()
    undetermined_frames: int = 0
    types: Sequence[TypeCoverage] = ()
    sigmas: SigmaReport | None = None
    file_notes: tuple[str, ...] = ()

    def text(self, units: str) -> str:
        """For people."""
        table, groups = self.evaluated.errors, self.evaluated.group_errors
        text = errors_text({"": table}, units)
        if not self.evaluated.frames.facts.labels.any():
            text = "no frame has a label to compare with; -o and --json give what the model predicts\n" + text
        if self.no_offsets:
            text += f"\n{no_offsets_text(self.no_offsets)}"
        if self.undetermined_frames:
            text += f"\n{undetermined_frames_text(self.undetermined, self.undetermined_frames)}"
        text += "\n\n" + details_text({"": table}, {"": groups}, units)
        if self.sigmas is not None:
            text += "\n\n" + self.sigmas.text(partial(unit_of, units=units))
        if self.types:
            text += "\n\nclusters that each type was fitted on, and is met in here\n" + types_table(self.types)
        if self.coverage:
            told = coverage_text(self.coverage, units)
            text += f"\n\ndistances that each block was fitted on, and is used on here\n{told}"
        text += "\n\n" + warnings_text(self.evaluated, units, known=self.known)
        if zero := self.zeros_text():
            text += f"\n{zero}"
        return text + self.written()

    def zeros_text(self) -> str:
        """What to say of clusters of these frames that the model says are zero, and its lower blocks have."""
        stated = [split_symbols(t.name) for t in self.types if t.without_data == "zero"]
        lower = [split_symbols(t.name) for t in self.types if t.without_data != "zero"]
        zero = [cluster_name(c) for c in with_lower(stated, lower)]
        if not zero:
            return ""
        return (
            f"WARNING: the model is without terms of {types_text(zero)} on purpose, and these frames have them: they "
            "counted for nothing, zero is not neutral, and no range of distances is known of them"
        )

    def written(self) -> str:
        """The files, and what frames in them could not have."""
        if not self.files:
            return ""
        files = "".join(f"\n  {f}" for f in self.files)
        return "\n\nwritten:" + files + "".join(f"\nnote: {note}" for note in self.file_notes)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; where frames are too many to be listed, ``frames_left_out`` says how to get them."""
        left_out = self.evaluated.predictions_left_out
        return {
            "errors": {c: e.as_dict() for c, e in self.evaluated.errors.items()},
            "group_errors": {g: e.as_dict() for g, e in self.evaluated.group_errors.items()},
            "units": {kind: unit_of(kind, "kcal")[0] for kind in QUANTITIES}, "no_energy_offsets": self.no_offsets,
            "undetermined_energies": {"elements": self.undetermined, "frames": self.undetermined_frames},
            "missing_types": [vars(m) for m in self.evaluated.missing],
            "coverage": [vars(c) for c in self.coverage], "types": [t.as_dict() for t in self.types],
            "frames": self.evaluated.predictions(),
            "files": [str(f) for f in self.files], "file_notes": self.file_notes,
        } | ({} if left_out is None else {"frames_left_out": left_out}) | (
            {} if self.sigmas is None else {"sigma": self.sigmas.as_dict()}
        )  # fmt: skip

    def tables(self, units: str) -> list[CsvTable]:
        """As CSV, of the names :data:`EVALUATION_TABLES`."""
        name, s = "sum of models", "given"
        return [
            errors_csv({name: {s: self.evaluated.errors}}, {name: {s: self.evaluated.group_errors}}, units),
            frames_csv({name: {s: self.evaluated}}, units),
            coverage_csv({name: self.coverage}),
            *([] if self.sigmas is None else [sigma_csv(self.sigmas, units)]),
        ]  # fmt: skip


def write_coverage(coverage: Sequence[Coverage], types: Sequence[TypeCoverage], path: Path) -> None:
    """Draw what was fitted on and is used into a file."""
    plot_coverage(path, coverage, types)


# long: what it raises is documented
def evaluate_job(
    models: Sequence[Model], frames: Sequence[Frame], executor: Executor, *, ignore_other_elements: bool = False,
    add: bool = False, missing: str = "refuse", units: str = "kcal", plot: Path | None = None,
    tables: Path | None = None, points: bool = False, posterior: HierarchyPosterior | None = None,
    output: Path | None = None, predicting: bool = False,
) -> EvaluationReport:  # fmt: skip
    """Evaluate the sum of models on labelled frames; with the posterior of the sum, also its predicted errors.

    If asked for, write figures (parity, and beside it what was fitted on and is used), CSV files into the folder
    ``tables``, and labels and predictions as extended XYZ (``output``), over those that are there. ``points``: keep
    labels, or a sample of them, for figures. ``predicting``: energies of frames without labels count, too, where models
    lack energies of free atoms.

    Raises
    ------
    InputError
        Predicted errors, or a file of predictions, are asked for while atoms are to be left out.
    MismatchError
        Two models have a cluster type, and it is not said with ``add`` that both count.
    FrameError
        A frame has an element that no model knows, unless such atoms are to be left out.
    MissingTypesError
        Frames contain clusters of types without coefficients, and it is not said with ``missing="zero"`` that these
        count for nothing.
    """
    # parts of a sum know only their own elements; what none of them knows is refused unless asked for
    if posterior is not None and ignore_other_elements:
        raise InputError("σ of what is left out of a frame is not known: --covariance and --ignore-other-elements")
    if not add:
        refuse_shared_types([m.parameters for m in models])
    known = set().union(*(m.elements for m in models))
    sequence = sequence_of(frames)
    inside = all(s.elements <= known for s in sequence.facts.element_sets())
    ignore = ignore_other_elements or inside
    if output is not None and ignore and not inside:
        raise InputError(
            "-o: nothing is predicted of atoms that --ignore-other-elements leaves out; leave such frames out"
        )
    found = partial(
        evaluate_frames, models, sequence, executor, ignore_other_elements=ignore,
        points=points or plot is not None, missing=missing,
    )  # fmt: skip
    evaluated, sigmas, notes = _found(found, sequence, posterior, executor, output)
    covered = [c for own in evaluated.coverage for c in own]
    whole = [m.parameters for m in models]
    labelled = output is None and not predicting
    undetermined, uncovered = uncovered_frames(whole, sequence, labelled=labelled)
    report = EvaluationReport(
        evaluated, covered, set().union(*(m.coverage for m in models)),
        no_offsets=without_offsets(whole, sequence, labelled=labelled),
        undetermined=undetermined, undetermined_frames=uncovered,
        types=type_coverage(whole, evaluated.met, evaluated.missing),
        sigmas=sigmas, file_notes=notes,
    )  # fmt: skip
    writers: list[Writer] = []
    if plot is not None:
        writers.append(figure_writer(plot, write_plot, {"": evaluated}, units))
        if report.coverage or report.types:
            writers.append(figure_writer(coverage_path(plot), write_coverage, report.coverage, report.types))
    if tables is not None:
        writers += [table_writer(tables, table) for table in report.tables(units)]
    write_outputs(executor, writers)
    files = (*(() if output is None else (output,)), *(f for w in writers for f in w.files))
    return replace(report, files=files)


def _found(
    found: Callable[..., EvaluatedFrames], frames: FrameSequence, posterior: HierarchyPosterior | None,
    executor: Executor, output: Path | None,
) -> tuple[EvaluatedFrames, SigmaReport | None, tuple[str, ...]]:  # fmt: skip
    """What is evaluated, with predicted errors, and into a file; and what there is to say of that."""
    if output is None:
        return found(), None if posterior is None else sigma_report(frames, posterior, executor), ()
    with ExitStack() as stack:
        if posterior is None:
            file = stack.enter_context(FrameFile(output, executor))
            return found(file=file), None, file.notes()
        evaluated = found()  # which refuses what can't be predicted
        file = stack.enter_context(FrameFile(output, executor))
        sigmas = sigma_report(frames, posterior, executor, text_of=predicted_text, take=file.add)
        return evaluated, sigmas, file.notes()
