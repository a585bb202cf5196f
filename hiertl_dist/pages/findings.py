"""What a report is made of: everything that a folder of results has, in one form, whatever command wrote it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ..errors import HiertlError, StoreError
from ..evaluation.missing_in_frames import missing_text
from ..fitting.mean_model import QUANTITIES
from ..jobs.error_tables import Errors
from ..jobs.figure_facts import figure_facts
from ..jobs.report import no_offsets_text, undetermined_frames_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ..evaluation.coverage import Coverage
    from ..evaluation.type_coverage import TypeCoverage
    from ..fitting.mean_model import Kind, KindErrors
    from ..jobs.evaluate_job import EvaluationReport
    from ..model.parameters import Parameters
    from ..model.solution import Solution


@dataclass(frozen=True, eq=False)
class ErrorsOf:
    """Errors of a model on the frames of a composition or a group.

    Attributes
    ----------
    model, frames_of : str
        Name of the model, and of the set of frames.
    by : {"composition", "group", "all"}
        What ``name`` is.
    name : str
        Of the composition or group.
    frames, atoms, out_of_range : int
        How many; frames with a distance that the model was not fitted on.
    kinds : Mapping from str to KindErrors
        By kind of label, in kcal/mol, Å and GPa.
    """

    model: str
    frames_of: str
    by: str
    name: str
    frames: int
    atoms: int
    out_of_range: int
    kinds: Mapping[Kind, KindErrors]

    def of(self, kind: Kind) -> KindErrors:
        """Those of one kind of labels."""
        return self.kinds[kind]


def errors_of(model: str, frames_of: str, by: str, name: str, errors: Errors) -> ErrorsOf:
    """Errors with the name of what they are of."""
    by = "all" if by == "composition" and name == "all" else by
    kinds = {kind: errors.of(kind) for kind in QUANTITIES}
    return ErrorsOf(model, frames_of, by, name, errors.frames, errors.atoms, errors.out_of_range, kinds)


@dataclass(frozen=True, eq=False)
class Findings:
    """What is known of a model and of the run that made it; empty where it is not known.

    Attributes
    ----------
    source : str
        The folder or file that it was read from.
    units : {"kcal", "eV"}
        Of tables and figures.
    run : Mapping from str to Any
        What ``run.json`` has.
    labels : tuple of Mapping
        Labels of the data, by source.
    solutions : Mapping from str to Solution
        By name, from their files.
    fits : Mapping from str to Mapping
        By name, what the report says of solutions.
    model : Parameters or None
        The whole model.
    errors : tuple of ErrorsOf
        By model, set of frames, composition and group.
    coverage : Mapping from str to tuple of Coverage
        By model.
    types : Mapping from str to tuple of TypeCoverage
        By model.
    figures : Mapping from (str, str) to Mapping
        By model and set of frames, see :func:`~hiertl_dist.jobs.figure_facts.figure_facts`.
    out_of_range : Mapping from (str, str) to tuple of Mapping
        By model and set of frames, the frames that are.
    search : Mapping from str to Any
        What ``search.json`` has.
    warnings, notes : tuple of (str, str)
        Where each comes from, and what it says.
    theory : str
        Level of theory of the data.
    """

    source: str
    units: str
    run: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[Mapping[str, Any], ...] = ()
    solutions: Mapping[str, Solution] = field(default_factory=dict)
    fits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    model: Parameters | None = None
    errors: tuple[ErrorsOf, ...] = ()
    coverage: Mapping[str, tuple[Coverage, ...]] = field(default_factory=dict)
    types: Mapping[str, tuple[TypeCoverage, ...]] = field(default_factory=dict)
    figures: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    out_of_range: Mapping[tuple[str, str], tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    search: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[tuple[str, str], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    theory: str = ""

    @property
    def sets(self) -> list[tuple[str, str]]:
        """Models with the sets of frames that they were evaluated on."""
        return list(dict.fromkeys([*((e.model, e.frames_of) for e in self.errors), *self.figures]))

    def errors_by(self, model: str, frames_of: str, *by: str) -> dict[str, ErrorsOf]:
        """Errors of a model and set of frames by name."""
        return {e.name: e for e in self.errors if (e.model, e.frames_of) == (model, frames_of) and e.by in by}


OTHER_FORM: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What comes of a number, list or object of a file that is not where it is expected."""


@contextmanager
def as_written(place: str | Path) -> Iterator[None]:
    """Read what the package wrote; where that has another form, it was damaged or edited.

    Parameters
    ----------
    place : str or Path
        The file, or folder, for the message.

    Raises
    ------
    StoreError
        Naming it, and what was not as expected.
    """
    try:
        yield
    except HiertlError:
        raise
    except OTHER_FORM as error:
        raise StoreError(
            f"{place}: expected what hiertl-dist writes there, found something of another form "
            f"({type(error).__name__}: {error}): it was damaged or edited; copy it back, or make the results again"
        ) from error


GIVEN = ("the model", "given")
"""Names of model and set of frames that a report evaluates itself."""


def with_evaluation(findings: Findings, report: EvaluationReport) -> Findings:
    """Findings beside which stands what a model says of frames that are given.

    Parameters
    ----------
    findings : Findings
        What is known.
    report : EvaluationReport
        Of frames that were evaluated with points.

    Returns
    -------
    Findings
        With the names :data:`GIVEN` for model and frames.
    """
    own = report.evaluated
    tables = (("composition", own.errors), ("group", own.group_errors))
    said = []
    if report.no_offsets:
        said.append(no_offsets_text(report.no_offsets))
    if report.undetermined_frames:
        said.append(undetermined_frames_text(report.undetermined, report.undetermined_frames))
    if own.missing:
        said.append(
            f"these frames have clusters without coefficients, {missing_text(own.missing)}: counted for nothing"
        )
    if own.out_of_range_left_out:
        said.append(own.out_of_range_left_out)
    errors = (errors_of(*GIVEN, by, name, e) for by, table in tables for name, e in table.items())
    return replace(
        findings, errors=(*findings.errors, *errors),
        coverage={**findings.coverage, GIVEN[0]: tuple(report.coverage)},
        types={**findings.types, GIVEN[0]: tuple(report.types)},
        figures={**findings.figures, GIVEN: figure_facts(own)},
        out_of_range={**findings.out_of_range, GIVEN: tuple(own.out_of_range())},
        warnings=(*findings.warnings, *((", ".join(GIVEN), text.removeprefix("WARNING: ")) for text in said)),
    )  # fmt: skip
