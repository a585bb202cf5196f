"""What a model says of frames as extended XYZ: labels and predictions under names of their own, in eV and Å.

No value is called ``energy``, ``forces`` or ``stress``: nobody takes a prediction for a label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..io.extxyz_write import frame_lines, stress_values
from ..text.words import count_text
from ..units import EV

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..evaluation.energies import Evaluation
    from ..frames.frame import Frame
    from ..uncertainty.committee import Opinion
    from ..uncertainty.predictive import Prediction, Spread

UNITS: Final = {"energy_unit": "eV", "length_unit": "Angstrom"}
"""In the comment line of each frame, so that a reader need not guess; forces are in eV/Å, stresses in eV/Å³."""

IN_WORDS: Final = (
    "reference_… are the frame's labels, predicted_… the model's, sigma_… predicted errors, spread_… that of a "
    "committee: energies of the whole frame in eV, forces in eV/Å, stresses in eV/Å³ with ASE's sign"
)


class FrameText(NamedTuple):
    """A frame as it is written, and what it could not have.

    Attributes
    ----------
    text : bytes
        Its lines.
    without_volume : bool
        It has no stress.
    partial_stress : bool
        Its label of the stress lacks components, and was left out.
    without_sigma : tuple of str
        Kinds of labels of which no σ is known.
    """

    text: bytes
    without_volume: bool = False
    partial_stress: bool = False
    without_sigma: tuple[str, ...] = ()


def predicted_text(frame: Frame, evaluation: Evaluation, prediction: Prediction | None = None) -> FrameText:
    """A frame with its labels, what a model says of it, and how surely.

    Parameters
    ----------
    frame : Frame
        With the labels that it has.
    evaluation : Evaluation
        The prediction.
    prediction : Prediction, optional
        The same with σ.

    Returns
    -------
    FrameText
        Its lines.
    """
    if prediction is None:
        return _text(frame, evaluation, None, "", {})
    return _text(frame, evaluation, prediction.total, "sigma", {"leverage_max": prediction.leverage_max})


def spread_text(frame: Frame, opinion: Opinion) -> FrameText:
    """A frame with its labels, what a committee says of it on average, and how far its members are apart.

    Parameters
    ----------
    frame : Frame
        With the labels that it has.
    opinion : Opinion
        Of it.

    Returns
    -------
    FrameText
        Its lines, with ``spread_…`` in the place of ``sigma_…``.
    """
    return _text(frame, opinion.mean, opinion.deviation, "spread", {})


def _text(
    frame: Frame, evaluation: Evaluation, spread: Spread | None, name: str, more: dict[str, Any]
) -> FrameText:  # fmt: skip
    values: dict[str, Any] = {}
    columns: dict[str, NDArray[np.float64]] = {}
    if frame.energy is not None:
        values["reference_energy"] = frame.energy / EV
    values["predicted_energy"] = evaluation.energy / EV
    partial = frame.stress is not None and not np.isfinite(frame.stress).all()
    if frame.stress is not None and not partial:
        values["reference_stress"] = stress_values(frame.stress)
    if frame.periodic:
        values["predicted_stress"] = stress_values(evaluation.stress)
    if frame.forces is not None:
        columns["reference_forces"] = frame.forces / EV
    columns["predicted_forces"] = evaluation.forces / EV
    lacking = () if spread is None else _add_spread(frame, spread, name, values, columns)
    values |= more
    values["out_of_range"] = bool(evaluation.out_of_range)
    text = "".join(frame_lines(frame, values | UNITS, columns)).encode()
    return FrameText(text, not frame.periodic, partial, lacking)


def _add_spread(
    frame: Frame, total: Spread, name: str, values: dict[str, Any], columns: dict[str, NDArray[np.float64]]
) -> tuple[str, ...]:
    """Add what is known, and say of which kinds nothing is, or not of all atoms."""
    known = {
        "energy": np.isfinite(total.energy), "force": np.isfinite(total.forces).all(),
        "stress": not frame.periodic or np.isfinite(total.stress).all(),
    }  # fmt: skip
    if known["energy"]:
        values[f"{name}_energy"] = total.energy / EV
    if known["stress"] and frame.periodic:
        values[f"{name}_stress"] = stress_values(total.stress, sigma=True)
    if np.isfinite(total.forces).any():  # of atoms without one it is nan
        columns[f"{name}_forces"] = total.forces / EV
    return tuple(kind for kind, is_known in known.items() if not is_known)


class LeftOut(NamedTuple):
    """How many frames of a file could not have what others have."""

    frames: int = 0
    without_volume: int = 0
    partial_stress: int = 0
    energy: int = 0
    force: int = 0
    stress: int = 0

    def with_(self, texts: Sequence[FrameText]) -> LeftOut:
        """With more frames."""
        more = (
            len(texts), sum(t.without_volume for t in texts), sum(t.partial_stress for t in texts),
            *(sum(kind in t.without_sigma for t in texts) for kind in ("energy", "force", "stress")),
        )  # fmt: skip
        return LeftOut(*(a + b for a, b in zip(self, more, strict=True)))

    def notes(self) -> tuple[str, ...]:
        """What a person should know."""
        of = f"of {count_text(self.frames, 'frame')}"
        notes = []
        if self.without_volume:
            notes.append(f"{self.without_volume} {of} repeat in less than three directions and have no stress")
        if self.partial_stress:
            notes.append(f"{self.partial_stress} {of} have labels of some components of the stress: not written")
        notes += [
            f"{count} {of} have no σ of {kind}, for no row of that kind told a fit of their elements its noise"
            for kind, count in (("energy", self.energy), ("force", self.force), ("stress", self.stress)) if count
        ]  # fmt: skip
        return tuple(notes)
