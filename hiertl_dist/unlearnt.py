"""Kinds of labels that a fit describes no better than their mean: what is said of them.

A kind that the model cannot describe, because a unit, a sign or a zero of energy is another, gets next to no weight
from :func:`~hiertl_dist.weights.auto_weights`, and the fit goes well as far as the other kinds are concerned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from .display import number_text
from .mean_model import FEW, QUANTITIES, Kind, spread_of_labels, worse_than_mean
from .rows import Group, person_kind
from .units import EV, KCAL_PER_A3_IN_GPA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .algebra import Summary
    from .frames import Frame

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


def unlearnt_notes(
    frames: Sequence[Frame], groups: Mapping[Group, Summary], coefficients: NDArray[np.float64],
    factors: Mapping[Group, float], automatic: Mapping[str, float] | None, where: str,
) -> tuple[str, ...]:  # fmt: skip
    """A warning for each kind of labels that a fit describes no better than their mean.

    Parameters
    ----------
    frames : that were fitted.
    groups : their rows, frozen models subtracted; ``coefficients`` are what the fit says of their columns.
    factors : what rows are multiplied by; those of factor 0 are not looked at, for they are left out on purpose.
    automatic : weights by kind, if nobody named them.
    """
    notes = []
    for kind in QUANTITIES:
        own = [g for g in groups if person_kind(g.kind) == kind and factors[g] > 0.0]
        rows = sum(groups[g].rows for g in own)
        sources = {g.source for g in own}
        spread, freedom, size = label_spread(kind, [f for f in frames if f.group in sources])
        if not rows or not freedom:
            continue
        squares = sum(float(groups[g].residual_norm2(coefficients)) for g in own)
        rmse = float(np.sqrt(squares / rows)) / size
        if worse_than_mean(kind, rmse * KCAL[kind] / CLEARLY, spread * KCAL[kind], freedom):
            notes.append(_note(kind, rmse, spread, None if automatic is None else automatic.get(kind), where))
    return tuple(notes)


def _note(kind: Kind, rmse: float, spread: float, weight: float | None, where: str) -> str:
    unit, factor = UNIT[kind]
    said = ""
    if weight is not None:
        much = "next to nothing" if rmse > LITTLE * spread else "little"
        said = f"; the automatic weight {number_text(weight)} follows from that, so these labels count for {much}"
    return (
        f"WARNING: {kind}: the fit of {where} leaves {number_text(rmse * factor)} {unit}, the labels' spread about "
        f"their mean is {number_text(spread * factor)}: it has not learned them{said}; look at {LOOK[kind]}, or give "
        "the basis more terms"
    )


def label_spread(kind: Kind, frames: Sequence[Frame]) -> tuple[float, int, float]:
    """Spread of the labels of a kind about their means (kcal/mol/Å, kcal/mol an atom, kcal/mol/Å³), how many there are
    less the means, and the number by which root mean squares of rows are divided to compare with it.

    Energies of frames of several sizes are weighted with the number of atoms, as the rows of a fit are. Where nearly
    every frame has a composition of its own, it is what the numbers of atoms leave by least squares.
    """
    if kind == "force":
        parts = [f.forces.ravel() for f in frames if f.forces is not None]
        return (*spread_of_labels(np.concatenate([np.empty(0), *parts]), None), 1.0)
    if kind == "stress":
        stresses = [f.stress for f in frames if f.stress is not None]
        there = [np.flatnonzero(np.isfinite(s)) for s in stresses]
        values = np.concatenate([np.empty(0), *(s[i] for s, i in zip(stresses, there, strict=True))])
        return (*spread_of_labels(values, [c for i in there for c in i.tolist()]), 1.0)
    labelled = [f for f in frames if f.energy is not None]
    if not labelled:
        return float("nan"), 0, 1.0
    sizes = np.array([float(len(f)) for f in labelled])
    energies = np.array([f.energy for f in labelled], np.float64)
    size = float(np.sqrt(np.mean(sizes**2)))
    spread, freedom = spread_of_labels(energies / sizes, [f.composition for f in labelled], sizes)
    if freedom >= FEW:
        return spread, freedom, size
    elements = sorted({e for f in labelled for e in f.elements})
    counts = np.array([[f.species.count(e) for e in elements] for f in labelled], np.float64)
    found, _, rank, _ = np.linalg.lstsq(counts, energies, rcond=1e-8)
    left = len(energies) - int(rank)
    rest = energies - counts @ found
    return (float(np.sqrt(rest @ rest / left)) / size if left else float("nan")), left, size
