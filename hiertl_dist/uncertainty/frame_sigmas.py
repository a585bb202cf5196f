"""Predicted errors of many frames: a few numbers of each, and errors beside them by kind; no forces are kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..executors import InlineExecutor
from ..frames.frame import working_on
from ..frames.rows import SUMMARY_KINDS, kind_codes, person_kind, row_targets, select_rows
from ..text.display import Shown, number_text, table_text
from ..text.words import count_text
from ..units import KCAL_PER_A3_IN_GPA

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ..evaluation.energies import Evaluation
    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..frames.frame_sequence import FrameSequence
    from .predictive import Prediction
    from .whole_model import HierarchyPosterior

KINDS: Final = ("force", "energy", "stress")
COUNTED: Final = ("labels", "error²", "σ²", "(error/σ)²", "within σ", "within 2 σ", "no σ")
"""What is added up of each kind; an error within σ counts as one. Labels without σ count in the last one alone."""


AT_ONCE: Final = 16
"""Frames of a task."""

CHUNKS_AT_ONCE: Final = 256
"""Tasks of which what is made of their frames is in memory together."""


class FrameSigma(NamedTuple):
    """What is predicted of a frame's errors: kcal/mol/Å (rms), kcal/mol/atom, GPa (rms); and what its labels say.

    ``parts`` are the deviations that the coefficients account for, in the same units. ``leverage`` is the largest of a
    row. ``sums`` are (kinds, counted) of the frame's labels.
    """

    origin: str
    force: float
    energy: float
    stress: float
    parts: tuple[float, float, float]
    leverage: float
    sums: NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class SigmaReport(Shown):
    """Predicted standard deviations of frames, and how their errors compare with them.

    Attributes
    ----------
    frames : sequence of FrameSigma
        In their order.
    notes : tuple of str
        What does not count in the deviations.
    """

    frames: Sequence[FrameSigma]
    notes: tuple[str, ...] = ()

    @property
    def sums(self) -> NDArray[np.float64]:
        """(kinds, counted) over all frames."""
        return np.sum([f.sums for f in self.frames], axis=0) if self.frames else np.zeros((len(KINDS), len(COUNTED)))

    def rows(self) -> list[dict[str, float | str]]:
        """By kind that has labels: how many, RMSE, rms σ, error / σ (rms), and shares within σ and 2 σ.

        Returns
        -------
        list of dict
            In kcal/mol/Å, kcal/mol/atom and GPa.
        """
        return [
            {
                "kind": kind, "labels": int(n), "rmse": float(np.sqrt(e / n)), "sigma": float(np.sqrt(s / n)),
                "standardised": float(np.sqrt(z / n)), "within_1": float(one / n), "within_2": float(two / n),
            }
            for kind, (n, e, s, z, one, two, _) in zip(KINDS, self.sums, strict=True) if n
        ]  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """For JSON.

        Returns
        -------
        dict
            The rows by kind, the numbers of each frame, and notes.
        """
        return {
            "kinds": self.rows(), "notes": list(self.notes),
            "frames": [
                {"frame": f.origin, "force": f.force, "energy_per_atom": f.energy, "stress": f.stress,
                 "coefficients": dict(zip(KINDS, f.parts, strict=True)), "leverage_max": f.leverage}
                for f in self.frames
            ],
        }  # fmt: skip

    def text(self, units: Callable[[str], tuple[str, float]], most: int = 5) -> str:
        """For people: the table by kind, the frames of the largest σ, and the notes.

        Parameters
        ----------
        units : callable
            From a kind to its unit and the factor to it from the numbers here.
        most : int, optional
            Frames that are listed.

        Returns
        -------
        str
            Several lines.
        """
        lines = [
            "errors beside the predicted σ of the whole model (a right σ: error/σ 1, 68 % within σ, 95 % within 2 σ)"
        ]
        cells = []
        for row in self.rows():
            unit, scale = units(str(row["kind"]))
            cells.append([
                row["kind"], unit, row["labels"], number_text(float(row["rmse"]) * scale),
                number_text(float(row["sigma"]) * scale), number_text(float(row["standardised"])),
                f"{100 * float(row['within_1']):.0f} %", f"{100 * float(row['within_2']):.0f} %",
            ])  # fmt: skip
        head = ["kind", "unit", "labels", "RMSE", "σ (rms)", "error/σ", "within σ", "within 2 σ"]
        lines += [table_text(head, cells)] if cells else ["no frame has a label to compare with"]
        lines += [
            f"{count_text(int(n), 'label')} of {kind} have no σ, for no row of that kind told the fit its noise"
            for kind, n in zip(KINDS, self.sums[:, -1], strict=True) if n
        ]  # fmt: skip
        widest = sorted(self.frames, key=lambda f: -f.force)[:most]
        (force, f_scale), (energy, e_scale) = units("force"), units("energy")
        lines += ["", f"largest σ of forces ({min(most, len(self.frames))} of {len(self.frames)} frames)"]
        rows = [[f.origin, number_text(f.force * f_scale), number_text(f.energy * e_scale), number_text(f.leverage)]
                for f in widest]  # fmt: skip
        lines.append(table_text(["frame", f"σ of forces, {force}", f"σ of the energy, {energy}", "leverage"], rows))
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def sigma_report(
    frames: FrameSequence, given: HierarchyPosterior, executor: Executor | None = None, *,
    text_of: Callable[[Frame, Evaluation, Prediction], Any] | None = None,
    take: Callable[[list[Any]], None] | None = None,
) -> SigmaReport:  # fmt: skip
    """Predicted errors of frames, which may be on disk.

    Parameters
    ----------
    frames : FrameSequence
        Whose types of clusters all have coefficients, or count for nothing.
    given : HierarchyPosterior
        Of the whole model.
    executor : Executor, optional
        Who makes the rows; default: this process.
    text_of : callable, optional
        Makes something of a frame, what is said of it, and its prediction, where that is: no list of all is kept.
    take : callable, optional
        Gets what ``text_of`` makes, of some frames at a time, in their order.

    Returns
    -------
    SigmaReport
        The numbers of each frame.

    Raises
    ------
    FrameError, InnerCutoffError
        Naming the frame; with an executor TaskFailed, which has it as its cause.
    """
    runner = InlineExecutor() if executor is None else executor
    chunks = [frames[i : i + AT_ONCE] for i in range(0, len(frames), AT_ONCE)]
    task = partial(_sigmas, predicted=given.task("damp"), text_of=text_of)
    told: list[FrameSigma] = []
    size = len(chunks) if take is None else CHUNKS_AT_ONCE
    for some in [chunks[i : i + size] for i in range(0, len(chunks), max(size, 1))]:
        parts = runner.run(task, some, label=lambda chunk: chunk.origin(0), what="predicted errors", cost=_atoms)
        told += [f for own, _ in parts for f in own]
        if take is not None:
            take([text for _, texts in parts for text in texts])
    return SigmaReport(told, given.notes)


def _sigmas(
    chunk: FrameSequence, *, predicted: Callable[[Frame], Prediction], text_of: Callable[..., Any] | None
) -> tuple[list[FrameSigma], list[Any]]:
    told, texts = [], []
    for frame in chunk:
        with working_on(frame):
            prediction = predicted(frame)
            told.append(sigma_of(frame, prediction))
            if text_of is not None:
                texts.append(text_of(frame, prediction.mean, prediction))
    return told, texts


def _atoms(chunk: FrameSequence) -> float:
    return float(chunk.facts.n_atoms.sum())


def sigma_of(frame: Frame, prediction: Prediction) -> FrameSigma:
    """The numbers of a frame.

    Parameters
    ----------
    frame : Frame
        With the labels that it has.
    prediction : Prediction
        Of it.

    Returns
    -------
    FrameSigma
        Its predicted errors, and sums over its labels.
    """
    mean, total = prediction.mean, prediction.total
    sums = np.zeros((len(KINDS), len(COUNTED)))
    codes = kind_codes(frame)
    if len(codes):
        errors = select_rows(frame, mean.forces, mean.stress, mean.energy) - row_targets(frame)
        sigmas = select_rows(frame, total.forces, total.stress, total.energy)
        names = np.array([KINDS.index(person_kind(k)) for k in SUMMARY_KINDS])[codes]
        unit = np.array([1.0, 1.0 / len(frame), KCAL_PER_A3_IN_GPA])
        for k in range(len(KINDS)):
            mine = names == k
            own = mine & np.isfinite(sigmas)
            e, s = errors[own] * unit[k], sigmas[own] * unit[k]
            with np.errstate(divide="ignore", invalid="ignore"):
                z = np.where(s > 0.0, np.abs(e) / s, np.where(e == 0.0, 0.0, np.inf))
            sums[k] = (
                len(e),
                np.sum(e**2),
                np.sum(s**2),
                np.sum(z**2),
                np.sum(z <= 1.0),
                np.sum(z <= 2.0),
                len(codes[mine]) - len(e),
            )
    force, energy, stress = _sizes(len(frame), total)
    return FrameSigma(
        prediction.origin, force, energy, stress, _sizes(len(frame), prediction.coefficients), prediction.leverage_max,
        sums,
    )  # fmt: skip


def _sizes(atoms: int, spread: Any) -> tuple[float, float, float]:
    """Rms of forces, per atom of the energy, rms of the stress in GPa."""
    force = float(np.sqrt(np.mean(np.square(spread.forces))))
    stress = float(np.sqrt(np.mean(np.square(spread.stress)))) * KCAL_PER_A3_IN_GPA
    return force, spread.energy / atoms, stress
