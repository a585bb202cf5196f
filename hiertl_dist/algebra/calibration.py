"""Whether predicted standard deviations are as large as the errors that were made.

A predicted deviation is that of the whole error: √(variance of the prediction + noise² / w²) for an observation of
weight w. How well deviations order errors is ``scipy.stats.spearmanr``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from hiertl_dist.algebra.lapack import Vector
from hiertl_dist.errors import InputError


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability diagram: bins of predictions by rising predicted deviation, equally full up to one.

    Attributes
    ----------
    sigma : ndarray of shape (bins,)
        Mean predicted deviation of a bin, in the units of the errors.
    rms_sigma : ndarray of shape (bins,)
        Its root mean square, which equals ``rms_error`` where the prediction is right: it is squares that add up, so
        the mean alone would look overconfident in wide bins.
    rms_error : ndarray of shape (bins,)
        Root mean square of the errors that were made.
    count : ndarray of int, shape (bins,)
        Predictions in a bin.
    """

    sigma: Vector
    rms_sigma: Vector
    rms_error: Vector
    count: npt.NDArray[np.intp]

    def calibration_error(self) -> float:
        """Mean over the bins of |rms_sigma − rms_error| / rms_sigma: 0 is perfect, inf where a bin promised none.

        Levi, Gispan, Giladi, Fetaya, Sensors 22, 5540 (2022), eq. for ENCE.
        """
        apart = np.abs(self.rms_sigma - self.rms_error)
        relative = np.where(apart == 0.0, 0.0, np.inf)
        np.divide(apart, self.rms_sigma, out=relative, where=self.rms_sigma > 0.0)
        return float(relative.mean())


def reliability(errors: npt.ArrayLike, sigmas: npt.ArrayLike, bins: int) -> Reliability:
    """The reliability diagram of errors whose standard deviations were predicted.

    Parameters
    ----------
    errors : array_like of shape (m,)
        Errors that were made, in any units.
    sigmas : array_like of shape (m,)
        Their predicted standard deviations, in the same units.
    bins : int
        Number of bins. Predictions are ordered by sigma (equal ones as they come) and cut into bins of m / bins, the
        first ones one larger where that is not whole.

    Returns
    -------
    Reliability
        The bins, in the order of rising sigma.

    Raises
    ------
    ValueError
        Fewer predictions than bins, errors that are not finite, or sigmas that are not finite and ≥ 0.
    """
    e, s = _checked(errors, sigmas)
    if not 1 <= bins <= len(e):
        raise InputError(f"bins: expected 1 … {len(e)}, the number of predictions, found {bins}")
    parts = np.array_split(np.argsort(s, kind="stable"), bins)
    return Reliability(
        sigma=np.array([s[part].mean() for part in parts]),
        rms_sigma=np.array([np.sqrt(np.square(s[part]).mean()) for part in parts]),
        rms_error=np.array([np.sqrt(np.square(e[part]).mean()) for part in parts]),
        count=np.array([len(part) for part in parts], dtype=np.intp),
    )


def coverage(errors: npt.ArrayLike, sigmas: npt.ArrayLike, levels: npt.ArrayLike) -> Vector:
    """The fraction of errors inside central intervals of the predicted Gaussians.

    Where deviations are right and errors Gaussian it equals the level.

    Parameters
    ----------
    errors : array_like of shape (m,)
        Errors that were made, in any units.
    sigmas : array_like of shape (m,)
        Their predicted standard deviations, in the same units.
    levels : array_like of shape (p,)
        Probabilities of the central intervals, 0 < level < 1.

    Returns
    -------
    ndarray of shape (p,)
        The fraction for each level, 0 … 1.

    Raises
    ------
    ValueError
        As ``reliability``, and for levels that are out of range.
    """
    e, s = _checked(errors, sigmas)
    p = np.asarray(levels, dtype=np.float64)
    if p.ndim != 1 or not bool(((p > 0.0) & (p < 1.0)).all()):
        raise InputError(f"levels: expected a list of numbers between 0 and 1, found {levels!r}")
    if len(e) == 0:
        raise ValueError("errors: expected at least one, found none")
    return np.array([np.mean(np.abs(e) <= width * s) for width in ndtri(0.5 + 0.5 * p)])


def _checked(errors: npt.ArrayLike, sigmas: npt.ArrayLike) -> tuple[Vector, Vector]:
    e, s = np.asarray(errors, dtype=np.float64), np.asarray(sigmas, dtype=np.float64)
    if e.ndim != 1 or e.shape != s.shape:
        raise ValueError(f"errors and sigmas: expected the same shape (m,), found {e.shape} and {s.shape}")
    for name, values, good in (("errors", e, np.isfinite(e)), ("sigmas", s, np.isfinite(s) & (s >= 0.0))):
        if not good.all():
            i = int(np.flatnonzero(~good)[0])
            kind = "finite numbers" + (" ≥ 0" if name == "sigmas" else "")
            raise ValueError(f"{name}: expected {kind}, found {values[i]} at {i}")
    return e, s
