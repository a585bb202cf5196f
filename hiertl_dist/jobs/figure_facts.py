"""What figures and lists of single frames need of an evaluation, as few numbers as JSON can hold.

Parity is counted in cells and errors in bins, so that they are as small for a million labels as for a hundred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..fitting.mean_model import QUANTITIES
from .error_tables import energy_errors
from .figures import points_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .evaluated import EvaluatedFrames

CELLS: Final = 100
"""Of a side of the square in which parity is counted."""

BINS: Final = (12, 60)
"""Of errors, from minus to plus :data:`WIDTH` times their root mean square: the root of their number within these."""

WIDTH: Final = 4.0
WORST: Final = 10
"""Frames that are listed of each kind of label."""

SHARES: Final = (0.5, 0.9, 0.99)
"""Of absolute errors, below what they lie."""


def figure_facts(evaluated: EvaluatedFrames) -> dict[str, Any]:
    """Parity, errors and worst frames by kind of label, for JSON.

    Parameters
    ----------
    evaluated : EvaluatedFrames
        With points.

    Returns
    -------
    dict from str to Any
        ``parity`` and ``residuals`` by kind, in kcal/mol, Å and GPa, energies per atom (parity: less the mean of their
        composition), and ``worst_frames`` by kind, those with the largest errors first. ``labels`` is how many labels
        there are, ``counted`` how many of them are in cells or bins: of very many a sample that is spread evenly.
    """
    parity: dict[str, Any] = {}
    residuals: dict[str, Any] = {}
    for kind in QUANTITIES:
        total = evaluated.whole.of(kind).labels
        points = points_of(kind, evaluated, "kcal")
        finite = np.isfinite(points.labels) & np.isfinite(points.values)
        if not total or not finite.any():
            continue
        labels, values = points.labels[finite], points.values[finite]
        counts = {"labels": total, "counted": len(labels), "not_finite": int(np.count_nonzero(~finite))}
        parity[kind] = counts | _cells(labels, values)
        residuals[kind] = counts | _bins(values - labels)
    return {"parity": parity, "residuals": residuals, "worst_frames": _worst(evaluated)}


def _cells(labels: NDArray[np.float64], values: NDArray[np.float64]) -> dict[str, Any]:
    low, high = float(min(labels.min(), values.min())), float(max(labels.max(), values.max()))
    margin = 0.02 * (high - low) or 0.5 * abs(high) or 0.5
    low, high = low - margin, high + margin
    edges = np.linspace(low, high, CELLS + 1)
    counts = np.histogram2d(labels, values, (edges, edges))[0].astype(np.int64)
    across, up = np.nonzero(counts)
    cells = np.stack([across, up, counts[across, up]], axis=1).tolist()
    return {"range": [low, high], "cells_a_side": CELLS, "cells": cells}


def _bins(errors: NDArray[np.float64]) -> dict[str, Any]:
    size = np.abs(errors)
    width = WIDTH * float(np.sqrt(np.mean(errors**2))) or 1.0
    bins = int(np.clip(np.sqrt(len(errors)), *BINS))
    counts = np.histogram(errors, np.linspace(-width, width, bins + 1))[0]
    return {
        "range": [-width, width], "counts": counts.tolist(), "beyond": int(len(errors) - counts.sum()),
        "mean": float(np.mean(errors)), "below": {f"{q:g}": float(np.quantile(size, q)) for q in SHARES},
    }  # fmt: skip


def _worst(evaluated: EvaluatedFrames) -> dict[str, Any]:
    energy = np.abs(energy_errors(evaluated.frames.facts, evaluated.energies))
    listed: dict[str, Any] = {}
    for kind, errors in zip(QUANTITIES, (evaluated.force, energy, evaluated.stress), strict=True):
        known = np.flatnonzero(~np.isnan(errors))
        if len(known):
            chosen = known[np.argsort(-errors[known], kind="stable")[:WORST]]
            listed[kind] = [vars(f) for f in evaluated.residuals(chosen.tolist())]
    return listed
