"""``calibration``: errors of predictions against the standard deviations that they promised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..algebra.calibration import Reliability, coverage, reliability
from ..errors import InputError
from ..frames.rows import SUMMARY_KINDS, kind_codes, person_kind, row_targets, select_rows
from ..model_selection.held_out_errors import UNITS
from ..text.display import Shown
from ..units import KCAL_PER_A3_IN_GPA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from .predictive import Prediction

LEVELS: Final = (0.6827, 0.9545)
"""Probabilities of a Gaussian's intervals of one and of two standard deviations."""


@dataclass(frozen=True, eq=False, repr=False)
class Calibration(Shown):
    """Errors of a kind against the standard deviations that were promised, in kcal/mol/Å, GPa and kcal/mol/atom.

    Attributes
    ----------
    kind : {"force", "stress", "energy"}
        Of the labels.
    errors : ndarray of shape (labels,)
        Prediction less label.
    sigmas : ndarray of shape (labels,)
        The total standard deviations.
    reliability : Reliability
        Both, in bins of rising sigma.
    coverage : Mapping from float to float
        By level, the share of errors in a Gaussian's interval of that level.
    """

    kind: str
    errors: NDArray[np.float64]
    sigmas: NDArray[np.float64]
    reliability: Reliability
    coverage: Mapping[float, float]

    @property
    def rmse(self) -> float:
        """Root mean square of the errors."""
        return float(np.sqrt(np.mean(np.square(self.errors))))

    @property
    def standardised(self) -> float:
        """Root mean square of error / sigma: 1 where sigmas are right, above where they promise too much."""
        return float(np.sqrt(np.mean(np.square(self.errors / self.sigmas))))


def calibration(
    predictions: Sequence[Prediction],
    frames: Sequence[Frame],
    *,
    bins: int = 10,
    levels: Sequence[float] = LEVELS,
) -> dict[str, Calibration]:
    """How predictions of labelled frames compare with their labels, by kind, where there are labels.

    Parameters
    ----------
    predictions : sequence of Prediction
        Of the same frames, in their order.
    frames : sequence of Frame
        The frames, with their labels.
    bins : int, optional
        Of the reliability table, with as many labels each; fewer where there are fewer labels.
    levels : sequence of float, optional
        Probabilities whose coverage is counted; default: those of one and of two standard deviations.

    Returns
    -------
    dict from str to Calibration
        By kind, ``"force"``, ``"stress"``, ``"energy"``, of those that have labels.

    Raises
    ------
    ValueError
        Frames and predictions are not as many, or not of one another; a total standard deviation is NaN.
    """
    if len(predictions) != len(frames):
        raise InputError(f"calibration: expected a prediction of each frame, found {len(predictions)} of {len(frames)}")
    for frame, prediction in zip(frames, predictions, strict=True):
        if (prediction.origin, prediction.mean.forces.shape) != (frame.origin, (len(frame), 3)):
            raise InputError(f"calibration: expected a prediction of {frame.origin}, found one of {prediction.origin}")
    parts = [errors_beside(frame, prediction) for frame, prediction in zip(frames, predictions, strict=True)]
    return compared(parts, bins=bins, levels=levels)


def errors_beside(frame: Frame, prediction: Prediction) -> dict[str, NDArray[np.float64]]:
    """Errors of a prediction and the standard deviations that were promised, by kind of label.

    Parameters
    ----------
    frame : Frame
        With its labels.
    prediction : Prediction
        Of it.

    Returns
    -------
    dict from str to ndarray of shape (2, labels)
        Errors and deviations in kcal/mol/Å, GPa and kcal/mol/atom; NaN where no deviation is known.
    """
    mean, total = prediction.mean, prediction.total
    left = select_rows(frame, mean.forces, mean.stress, mean.energy) - row_targets(frame)
    wide = select_rows(frame, total.forces, total.stress, total.energy)
    names = np.array([person_kind(SUMMARY_KINDS[code]) for code in kind_codes(frame)])
    units = {"force": 1.0, "stress": KCAL_PER_A3_IN_GPA, "energy": 1.0 / len(frame)}
    return {kind: units[kind] * np.array([left[names == kind], wide[names == kind]]) for kind in UNITS if kind in names}


def compared(
    parts: Sequence[Mapping[str, NDArray[np.float64]]], *, bins: int = 10, levels: Sequence[float] = LEVELS
) -> dict[str, Calibration]:
    """What :func:`calibration` gives, of what :func:`errors_beside` gives of each frame.

    Parameters
    ----------
    parts : sequence of Mapping
        Of each frame.
    bins : int, optional
        As of :func:`calibration`.
    levels : sequence of float, optional
        As of :func:`calibration`.

    Returns
    -------
    dict from str to Calibration
        By kind, of those that have labels.
    """
    found = {}
    for kind in UNITS:
        own = [part[kind] for part in parts if kind in part]
        if own:
            errors, sigmas = np.concatenate(own, axis=1)
            found[kind] = Calibration(
                kind, errors, sigmas, reliability(errors, sigmas, min(bins, len(errors))),
                dict(zip(levels, coverage(errors, sigmas, levels).tolist(), strict=True)),
            )  # fmt: skip
    return found
