"""Energy and force of two atoms by a two-body term, without kernels: for curves, not for frames.

The formulas are in section 1 of docs/theory.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.polynomial.chebyshev import chebder, chebval

from .cluster_functions import cutoff_values, transformed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .cluster_types import ClusterType, Cutoff, Pair
    from .parameters import Parameters

DAMPING: Final = 0.01
"""Å; the kernels' length of the smooth continuation below an inner cutoff."""


def pair_curve(
    parameters: Parameters, kind: ClusterType, distances: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energy of a pair of atoms by its two-body term, and the force that drives it apart, the wall included.

    Parameters
    ----------
    parameters : Parameters
        Whose term.
    kind : ClusterType
        The pair, a type of two bodies of its basis.
    distances : ndarray of shape (m,)
        Å.

    Returns
    -------
    energies : ndarray of shape (m,)
        kcal/mol.
    forces : ndarray of shape (m,)
        -dE/dr, kcal/mol/Å.
    """
    edge = kind.edge(*kind.elements)
    r = np.asarray(distances, np.float64)
    if not edge.rmax > edge.rmin:  # switched off, wall and all
        return np.zeros_like(r), np.zeros_like(r)
    wall = np.maximum(edge.rmin + parameters.penalty.distance - r, 0.0)
    energies, forces = parameters.penalty.scale * wall**3, 3.0 * parameters.penalty.scale * wall**2
    series = np.zeros(kind.order + 1)
    for (_, elements, powers), value in parameters.as_dict().items():
        if elements == kind.elements:
            series[powers[0]] = value
    pair = parameters.basis.pair(*kind.elements)
    low, high = transformed(pair, np.array([edge.rmin, edge.rmax]))
    half = 0.5 * abs(low - high)
    at = np.maximum(r, edge.rmin)
    s = np.clip((transformed(pair, at) - 0.5 * (low + high)) / half, -1.0, 1.0)
    # below the inner cutoff the polynomials go on with their value and slope at it, and the slope dies out
    decay = np.exp(np.minimum(r - edge.rmin, 0.0) / DAMPING)
    slope = chebval(s, chebder(series)) * _transform_slope(pair, at) / half
    sum_ = chebval(s, series) + DAMPING * (decay - 1.0) * slope
    cut = cutoff_values(parameters.basis.cutoff, r, edge.rmax)
    derivative = _cutoff_slope(parameters.basis.cutoff, r, edge.rmax) * sum_ + cut * decay * slope
    return energies + cut * sum_, forces - derivative


def _transform_slope(pair: Pair, r: NDArray[np.float64]) -> NDArray[np.float64]:
    """dx/dr."""
    if pair.transform == "MORSE":
        assert pair.morse_lambda is not None
        return -np.exp(-r / pair.morse_lambda) / pair.morse_lambda
    return -(r**-2.0) if pair.transform == "INVRSE_R" else np.ones_like(r)


def _cutoff_slope(cutoff: Cutoff, r: NDArray[np.float64], rmax: float) -> NDArray[np.float64]:
    """df_c/dr."""
    if cutoff.kind == "CUBIC":
        slopes = -3.0 / rmax * (1.0 - r / rmax) ** 2
    else:
        start = rmax * (1.0 - cutoff.fraction)
        inner = 0.5 * np.pi / (rmax - start) * np.cos(np.pi * (r - start) / (rmax - start) + np.pi / 2)
        slopes = np.where(r < start, 0.0, inner)
    return np.where(r < rmax, slopes, 0.0)
