"""Kinds of labels that a fit describes no better than their mean: what is said of them.

A kind that the model cannot describe, because a unit, a sign or a zero of energy is another, gets next to no weight
from :func:`~hiertl_dist.fitting.weights.auto_weights`, and the fit goes well as far as the other kinds are concerned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..frames.frame_sequence import FrameSequence, sequence_of
from ..frames.rows import POOLED, person_kind
from ..model.one_body import with_energies
from ..text.display import number_text
from ..units import EV, KCAL_PER_A3_IN_GPA
from .mean_model import FEW, QUANTITIES, Kind, spread_of_labels, worse_than_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from ..frames.rows import Group

FRAMES: Final = 16384
"""Frames of which stresses are read at once."""

CLEARLY: Final = 0.9
"""Part of the spread below which a residual has to be: a fit to mere noise is below the whole, by the numbers that it
takes."""

LITTLE: Final = 3.0
"""Times the spread from which on the weight that a residual gives counts for next to nothing."""

LOOK: Final[Mapping[Kind, str]] = {
    "energy": "[basis] energies and their unit (left out, they are fitted), one_body = false, energies in frozen "
    "files, the unit of the labels",
    "stress": "the sign and unit of the stress labels (inspect tells what was taken for stress)",
    "force": "the unit of the force labels, and whether they belong to the positions",
}

UNIT: Final[Mapping[Kind, tuple[str, float]]] = {
    "energy": ("eV/atom", 1.0 / EV), "stress": ("GPa", KCAL_PER_A3_IN_GPA), "force": ("eV/Å", 1.0 / EV),
}  # fmt: skip

KCAL: Final[Mapping[Kind, float]] = {"force": 1.0, "energy": 1.0, "stress": KCAL_PER_A3_IN_GPA}
"""To the units in which errors are judged."""


@dataclass(frozen=True)
class KindFit:
    """What a fit leaves of a kind of labels, and their spread about their means.

    In kcal/mol/Å, kcal/mol an atom, kcal/mol/Å³; ``freedom`` counts labels less the means.
    """

    rmse: float
    spread: float
    freedom: int


def unfitted_notes(
    fits: Mapping[Kind, KindFit], automatic: Mapping[str, float] | None, where: str
) -> tuple[str, ...]:  # fmt: skip
    """A warning for each kind of labels that a fit describes no better than their mean.

    ``automatic`` are the weights by kind, if nobody named them.
    """
    return tuple(
        _note(kind, fit.rmse, fit.spread, None if automatic is None else automatic.get(kind), where)
        for kind, fit in fits.items()
        if worse_than_mean(kind, fit.rmse * KCAL[kind] / CLEARLY, fit.spread * KCAL[kind], fit.freedom)
    )


def fits_of_frames(
    frames: Sequence[Frame], squares: Mapping[Group, float], rows: Mapping[Group, int],
    labels: Mapping[Group, float], pooled: Sequence[str] = (),
) -> dict[Kind, KindFit]:  # fmt: skip
    """What a fit leaves of each kind, from the frames that were fitted and groups of their rows.

    ``squares`` are what is left of each group, ``labels`` the sums of the squares of its labels. Groups that the fit
    left out, by a weight of 0, are not among them. The sources ``pooled`` share a group.
    """
    fits: dict[Kind, KindFit] = {}
    sequence = sequence_of(frames)
    facts = sequence.facts
    for kind in QUANTITIES:
        groups = [g for g in squares if person_kind(g.kind) == kind]
        count, sources = sum(rows[g] for g in groups), {g.source for g in groups}
        sources |= set(pooled) if POOLED in sources else set()
        chosen = np.array([name in sources for name in facts.group_names], np.bool_)[facts.group]
        if kind == "force":  # about zero, and no frame is read for it
            spread, freedom, size = np.sqrt(sum(labels[g] for g in groups) / max(count, 1)), count, 1.0
        else:
            spread, freedom, size = label_spread(kind, sequence.take(np.flatnonzero(chosen)))
        if count and freedom:
            fits[kind] = KindFit(float(np.sqrt(sum(squares[g] for g in groups) / count)) / size, spread, freedom)
    return fits


def fits_of_factors(
    factors: Mapping[Group, tuple[NDArray[np.float64], int]], squares: Mapping[Group, float], rows: Mapping[Group, int]
) -> dict[Kind, KindFit]:
    """As :func:`fits_of_frames`, from groups that keep compositions apart.

    Spreads of stresses are about zero, for the components are not apart; those of energies are told where there is a
    one-body column.

    Parameters
    ----------
    factors : mapping from Group to tuple (ndarray, int)
        Triangular factor of each group, its labels in the last column, and the index of a one-body column, which is the
        same number in all its rows; −1 where there is none.
    squares : mapping from Group to float
        Squared residual that the fit leaves of each group.
    rows : mapping from Group to int
        Number of rows of each group.

    Returns
    -------
    dict from Kind to KindFit
        By kind of labels.
    """
    fits: dict[Kind, KindFit] = {}
    for kind in QUANTITIES:
        groups = [g for g in squares if person_kind(g.kind) == kind and rows[g]]
        count = sum(rows[g] for g in groups)
        left, freedom, size = sum(float(np.sum(factors[g][0][:, -1] ** 2)) for g in groups), count, 1.0
        if kind == "energy":
            if any(factors[g][1] < 0 or not g.atoms for g in groups):  # or compositions are not kept apart
                continue
            pools: dict[tuple[str, int], list[NDArray[np.float64]]] = {}
            for g in groups:
                r, i = factors[g]
                pools.setdefault((g.composition, g.atoms), []).append(r[:, [i, -1]])
            left, freedom = sum(_about_mean(np.vstack(parts)) for parts in pools.values()), count - len(pools)
            size = float(np.sqrt(sum(rows[g] * g.atoms**2 for g in groups) / count)) if count else 1.0
        if freedom > 0:
            rmse = float(np.sqrt(sum(squares[g] for g in groups) / count)) / size
            fits[kind] = KindFit(rmse, float(np.sqrt(left / freedom)) / size, freedom)
    return fits


def _about_mean(columns: NDArray[np.float64]) -> float:
    """‖b‖² of (rows, 2) a constant and b, less what the constant explains."""
    constant, b = columns.T
    rest = b - constant * (constant @ b) / (constant @ constant)
    return float(rest @ rest)


def _note(kind: Kind, rmse: float, spread: float, weight: float | None, where: str) -> str:
    unit, factor = UNIT[kind]
    effect, first = "", "their weight among the kinds (whose shares are told), "
    if weight is not None:
        first = ""
        if rmse > LITTLE * spread:
            effect = f"; the automatic weight {number_text(weight)} follows: these labels count for next to nothing"
    return (
        f"WARNING: {kind}: the fit of {where} leaves {number_text(rmse * factor)} {unit}, the labels' own "
        f"spread is {number_text(spread * factor)}: it has not learned them{effect}; look at {first}{LOOK[kind]}, or "
        "give the basis more terms"
    )


def _stress_spread(frames: FrameSequence) -> tuple[float, int]:
    """The spread of stress components about the mean of each, and its degrees of freedom.

    Some frames at a time, each with a mean of its own: sums of squares about means add up as in Chan, Golub and LeVeque
    (1983), The American Statistician 37, 242.
    """
    number, mean, squares = np.zeros(6), np.zeros(6), np.zeros(6)
    for start in range(0, len(frames), FRAMES):
        stresses = frames.take(np.arange(start, min(start + FRAMES, len(frames)))).stresses
        known = np.isfinite(stresses)
        own = known.sum(axis=0)
        filled = np.where(known, stresses, 0.0)
        own_mean = filled.sum(axis=0) / np.maximum(own, 1)
        both = np.maximum(number + own, 1)
        squares += (np.where(known, stresses - own_mean, 0.0) ** 2).sum(axis=0)
        squares += (own_mean - mean) ** 2 * number * own / both
        mean = (mean * number + own_mean * own) / both
        number += own
    freedom = int(number.sum()) - int(np.count_nonzero(number))
    return (float(np.sqrt(squares.sum() / freedom)) if freedom else float("nan")), freedom


def label_spread(kind: Kind, frames: FrameSequence) -> tuple[float, int, float]:
    """The spread of the labels of a kind about their means, in the terms of rows.

    Energies of frames of several sizes are weighted with the number of atoms, as the rows of a fit are. Where nearly
    every frame has a composition of its own, it is what the numbers of atoms leave by least squares.

    Parameters
    ----------
    kind : {"energy", "stress"}
        The kind of labels.
    frames : FrameSequence
        The frames.

    Returns
    -------
    spread : float
        kcal/mol an atom or kcal/mol/Å³.
    freedom : int
        How many labels there are less the means.
    size : float
        The number by which root mean squares of rows are divided to compare with the spread.
    """
    if kind == "stress":
        return *_stress_spread(frames), 1.0
    labelled = with_energies(frames).facts
    if not len(labelled):
        return float("nan"), 0, 1.0
    sizes, energies = labelled.n_atoms.astype(np.float64), labelled.energies
    size = float(np.sqrt(np.mean(sizes**2)))
    number: dict[str, int] = {}
    codes = np.array([number.setdefault(c, len(number)) for c in labelled.compositions], np.int32)
    spread, freedom = spread_of_labels(energies / sizes, codes[labelled.formula], sizes)
    if freedom >= FEW:
        return spread, freedom, size
    counts = labelled.counts(labelled.elements())
    per_atom, _, rank, _ = np.linalg.lstsq(counts, energies, rcond=1e-8)
    left = len(energies) - int(rank)
    rest = energies - counts @ per_atom
    return (float(np.sqrt(rest @ rest / left)) / size if left else float("nan")), left, size
