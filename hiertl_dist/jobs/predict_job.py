"""What ``hiertl-dist predict`` does, as one function: what a model says of frames, and how surely."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..evaluation.missing_in_frames import missing_text
from ..text.display import Shown, number_text, table_text
from ..text.words import count_text
from .csv_tables import CsvTable
from .evaluate_job import EvaluationReport, evaluate_job
from .outputs import table_writer, write_outputs
from .report import ENERGY_UNITS, no_offsets_text, undetermined_frames_text, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ..evaluation.energies import Model
    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..uncertainty.frame_sigmas import SigmaReport
    from ..uncertainty.whole_model import HierarchyPosterior

MOST: Final = 20
"""Frames of the table for people."""

MOST_FLAGGED: Final = 10

OWN_LABELS: Final = 1e-6
"""kcal/mol/Å: below it forces are the model's own, written with eight digits or more."""

PREDICTIONS: Final = "predictions.csv"


@dataclass(frozen=True, eq=False, repr=False)
class PredictionReport(Shown):
    """What ``predict`` found.

    Attributes
    ----------
    found : EvaluationReport
        Predictions and predicted errors.
    """

    found: EvaluationReport

    @cached_property
    def sigmas(self) -> SigmaReport:
        """Predicted errors of each frame."""
        assert self.found.sigmas is not None
        return self.found.sigmas

    def text(self, units: str) -> str:
        """For people: the frames with the largest σ of forces, what is out of range, notes.

        Parameters
        ----------
        units : {"kcal", "eV"}
            Of the table.

        Returns
        -------
        str
            Several lines.
        """
        evaluated, sigmas = self.found.evaluated, self.sigmas
        force, energy, stress = (unit_of(kind, units) for kind in ("force", "energy", "stress"))
        atoms = evaluated.frames.facts.n_atoms
        widths = np.nan_to_num([f.force for f in sigmas.frames], nan=-1.0)
        order = np.argsort(-widths, kind="stable")[:MOST].tolist()
        flagged = evaluated.is_flagged
        rows = [
            [
                sigmas.frames[i].origin, number_text(float(evaluated.energies[i] / atoms[i]) * energy[1]),
                *(number_text(x * factor) for x, (_, factor) in zip(sigmas.frames[i][1:4], (force, energy, stress),
                                                                    strict=True)),
                number_text(sigmas.frames[i].leverage), "out of range" if flagged[i] else "",
            ]
            for i in order
        ]  # fmt: skip
        heads = ["frame", f"energy\n{energy[0]}", f"σ of forces\n{force[0]}", f"σ of energy\n{energy[0]}",
                 f"σ of stress\n{stress[0]}", "leverage", ""]  # fmt: skip
        lines = [f"predictions, largest σ of forces first ({len(rows)} of {count_text(len(evaluated), 'frame')})"]
        lines += [table_text(heads, rows), "leverage: of a frame's farthest row; well above 1 the model extrapolates"]
        return "\n".join([*lines, *self._warnings(), *(f"note: {n}" for n in sigmas.notes)]) + self.found.written()

    def _warnings(self) -> Iterator[str]:
        found, evaluated = self.found, self.found.evaluated
        if evaluated.missing:
            yield f"WARNING: no coefficients for {missing_text(evaluated.missing)}: they counted for nothing"
        if zero := found.zeros_text():
            yield zero
        if found.no_offsets:
            yield no_offsets_text(found.no_offsets)
        if found.undetermined_frames:
            yield undetermined_frames_text(found.undetermined, found.undetermined_frames)
        if evaluated.whole.force < OWN_LABELS:  # NaN without labels
            yield (
                "WARNING: the forces of these frames are what the model itself says, to the last digits, as those of a "
                "trajectory that was run with it are: what is called reference_… in a file is no reference"
            )
        numbers = evaluated.flagged.numbers().tolist()
        if numbers:
            yield f"{len(numbers)} of {count_text(len(evaluated), 'frame')} have distances that no block was fitted on:"
        for i in numbers[:MOST_FLAGGED]:
            yield f"  {evaluated.frames.origin(i)}: {'; '.join(map(str, evaluated.flagged.of(i)))}"
        if len(numbers) > MOST_FLAGGED:
            yield f"  … and {len(numbers) - MOST_FLAGGED} more; -o marks them all (out_of_range)"

    def as_dict(self) -> dict[str, Any]:
        """For JSON, in kcal/mol, Å and GPa; where frames are too many to be listed, ``frames_left_out`` says so."""
        whole, sigma = self.found.as_dict(), self.sigmas.as_dict()
        names = ("units", "no_energy_offsets", "undetermined_energies", "missing_types", "coverage", "types", "files",
                 "file_notes")  # fmt: skip
        out = {name: whole[name] for name in names} | {"frames": [], "sigma_notes": sigma["notes"]}
        if "frames_left_out" in whole:
            return out | {"frames_left_out": whole["frames_left_out"]}
        kept = ("index", "origin", "group", "energy", "stress", "out_of_range")
        return out | {
            "frames": [
                {k: mean[k] for k in kept}
                | {"sigma": {k: own[k] for k in ("force", "energy_per_atom", "stress")},
                   "coefficients": own["coefficients"], "leverage_max": own["leverage_max"]}
                for mean, own in zip(whole["frames"], sigma["frames"], strict=True)
            ]
        }  # fmt: skip

    def table(self, units: str) -> CsvTable:
        """``predictions.csv``: energy, stress and predicted errors of each frame.

        Parameters
        ----------
        units : {"kcal", "eV"}
            Of energies and forces.

        Returns
        -------
        CsvTable
            A row a frame.
        """
        named = [(kind, *unit_of(kind, units)) for kind in ("force", "energy", "stress")]
        unit, factor = ENERGY_UNITS[units][0].removesuffix("/atom"), ENERGY_UNITS[units][1]
        header = (
            "index", "origin", "group", "composition", "atoms", f"energy_{unit}",
            *(f"{kind}_sigma_{of}" for kind, of, _ in named), "leverage_max", "out_of_range",
        )  # fmt: skip
        evaluated = self.found.evaluated
        facts = evaluated.frames.facts
        rows = (
            (
                r.index, r.origin, r.group, r.composition, int(facts.n_atoms[r.index]),
                float(evaluated.energies[r.index]) * factor,
                *(x * of for x, (_, _, of) in zip(self.sigmas.frames[r.index][1:4], named, strict=True)),
                self.sigmas.frames[r.index].leverage, "; ".join(r.out_of_range),
            )
            for r in evaluated.residuals()
        )  # fmt: skip
        return CsvTable(PREDICTIONS, header, rows)


def predict_job(
    models: Sequence[Model], frames: Sequence[Frame], posterior: HierarchyPosterior, executor: Executor, *,
    missing: str = "refuse", output: Path | None = None, tables: Path | None = None, units: str = "eV",
) -> PredictionReport:  # fmt: skip
    """What the sum of models says of frames, and how surely; if asked for, as extended XYZ and as a table.

    Parameters
    ----------
    models : sequence of Model
        Parts of the model.
    frames : sequence of Frame
        That need no labels.
    posterior : HierarchyPosterior
        What the sum leaves open.
    executor : Executor
        Who does the work.
    missing : {"refuse", "zero"}
        For clusters of types without coefficients.
    output : Path, optional
        The file of frames to write, over one that is there.
    tables : Path, optional
        Folder of ``predictions.csv``.
    units : {"kcal", "eV"}
        Of the table.

    Returns
    -------
    PredictionReport
        What was predicted and written.

    Raises
    ------
    FrameError, InnerCutoffError, MissingTypesError, MismatchError
        As of :func:`~hiertl_dist.jobs.evaluate_job.evaluate_job`.
    """
    found = evaluate_job(models, frames, executor, missing=missing, posterior=posterior, output=output, predicting=True)
    report = PredictionReport(found)
    if tables is not None:
        writer = table_writer(tables, report.table(units))
        write_outputs(executor, [writer])
        report = replace(report, found=replace(found, files=(*found.files, *writer.files)))
    return report
