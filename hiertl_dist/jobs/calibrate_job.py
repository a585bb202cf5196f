"""What ``hiertl-dist calibrate`` does, as one function: predicted errors beside real ones, and factors in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from ..evaluation.frame_rows import check_elements
from ..evaluation.missing_in_frames import MissingClusters, check_missing
from ..frames.frame_sequence import sequence_of
from ..model.reference_energies import uncovered_frames, without_offsets
from ..text.display import Shown, number_text, table_text
from ..text.words import count_text
from ..uncertainty.sigma_factors import sigma_factors
from .evaluating import missing_in
from .outputs import file_writer, write_outputs
from .report import no_offsets_text, undetermined_frames_text, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ..evaluation.missing_in_frames import MissingType
    from ..executors.base import Executor
    from ..fitting.mean_model import Kind
    from ..frames.frame import Frame
    from ..frames.frame_sequence import FrameSequence
    from ..uncertainty.sigma_factors import SigmaFactors
    from ..uncertainty.whole_model import HierarchyPosterior

FEW: Final = 5
"""Frames below which a factor is told to be of few."""


@dataclass(frozen=True, eq=False, repr=False)
class CalibrationReport(Shown):
    """What ``calibrate`` found.

    Attributes
    ----------
    factors : SigmaFactors
        By kind of labels.
    notes : tuple of str
        What does not count in the deviations.
    missing : tuple of MissingType
        Types of clusters without coefficients that counted for nothing.
    files : tuple of Path
        What was written.
    """

    factors: SigmaFactors
    notes: tuple[str, ...] = ()
    missing: tuple[MissingType, ...] = ()
    files: tuple[Path, ...] = ()

    def text(self, units: str) -> str:
        """For people: factor and coverage by kind.

        Parameters
        ----------
        units : {"kcal", "eV"}
            Of the table.

        Returns
        -------
        str
            Several lines.
        """
        levels = [level for level, _ in next(iter(self.factors.kinds.values())).coverage]
        heads = ["kind", "unit", "labels", "frames", "RMSE", "σ (rms)", "factor"]
        heads += [f"within {100 * level:.0f} %\n{what}" for level in levels for what in ("before", "after")]
        rows = []
        for kind, k in self.factors.kinds.items():
            unit, scale = unit_of(cast("Kind", kind), units)
            shares = [f"{100 * s:.0f} %" for a, b in zip(k.coverage, k.calibrated, strict=True) for s in (a[1], b[1])]
            factor = f"{number_text(k.factor)} ± {k.standard_error:.2g}"
            rows.append([
                kind, unit, k.labels, k.frames, number_text(k.rmse * scale), number_text(k.sigma * scale), factor,
                *shares,
            ])  # fmt: skip
        lines = [
            "errors beside predicted σ: factor is the root mean square of error / σ, by which σ is to be multiplied",
            table_text(heads, rows),
            "of frames that the model was fitted on errors are too small: take others",
        ]
        few = [f"{kind} ({count_text(k.frames, 'frame')})" for kind, k in self.factors.kinds.items() if k.frames < FEW]
        if few:
            lines.append(f"WARNING: factors of few frames: {', '.join(few)}")
        lost = {kind: k.without_sigma for kind, k in self.factors.kinds.items() if k.without_sigma}
        lines += [f"{count_text(n, 'label')} of {kind} have no σ and don't count" for kind, n in lost.items()]
        lines += [f"WARNING: {m.name}: no coefficients, counted for nothing" for m in self.missing]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines) + "".join(f"\n\nwritten:\n  {f}" for f in self.files)

    def as_dict(self) -> dict[str, Any]:
        """For JSON.

        Returns
        -------
        dict from str to object
            What the file has, notes, types without coefficients, files.
        """
        return self.factors.as_dict() | {
            "sigma_notes": self.notes, "missing_types": [vars(m) for m in self.missing],
            "files": [str(f) for f in self.files],
        }  # fmt: skip


def calibrate_job(
    frames: Sequence[Frame], posterior: HierarchyPosterior, executor: Executor, *, output: Path | None = None,
    missing: str = "refuse",
) -> CalibrationReport:  # fmt: skip
    """Compare predicted errors with those that a model makes on labelled frames; write the factors into a file.

    Parameters
    ----------
    frames : sequence of Frame
        Labelled frames that the model was not fitted on.
    posterior : HierarchyPosterior
        Of the model.
    executor : Executor
        Who does the work.
    output : Path, optional
        The file, over one that is there.
    missing : {"refuse", "zero"}
        For clusters of types without coefficients.

    Returns
    -------
    CalibrationReport
        Factors by kind.

    Raises
    ------
    InputError
        No frame has a label, or labels are the model's own predictions.
    FrameError
        A frame has elements that the model does not know.
    MissingTypesError
        Frames contain clusters of types without coefficients.
    """
    check_missing(missing)
    sequence = sequence_of(frames)
    check_elements(sequence, sorted(posterior.elements))
    executor.require_alike(lambda: sequence.identities, "frames")
    known = missing_in(sequence, MissingClusters.of([posterior.model.parameters]), executor, missing)
    found = sigma_factors(sequence, posterior, executor)
    notes = (*posterior.notes, *(_about_energies(posterior, sequence) if "energy" in found.kinds else ()))
    files = () if output is None else (output,)
    write_outputs(executor, [file_writer(f, lambda path: found.save(path)) for f in files])
    return CalibrationReport(found, notes, known, files)


def _about_energies(posterior: HierarchyPosterior, frames: FrameSequence) -> Iterator[str]:
    """Warnings of energies that are off by constants, of which σ knows nothing."""
    whole = [posterior.model.parameters]
    if lacking := without_offsets(whole, frames):
        yield f"{no_offsets_text(lacking)}; the factor of energies is of no use"
    elements, count = uncovered_frames(whole, frames)
    if count:
        yield f"{undetermined_frames_text(elements, count)}; leave these out for a factor of energies"
