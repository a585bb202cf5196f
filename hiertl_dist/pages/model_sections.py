"""Sections on the model itself: coefficients by type and degree, pair curves, uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..jobs.report import unit_of
from ..model.pair_curves import pair_curve
from ..text.display import listed, number_text
from . import drawings
from .pieces import Figure, Section, Table, Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..model.parameters import Parameters
    from .findings import Findings
    from .pieces import Piece

POINTS: Final = 400
"""Of a curve."""

MOST_CURVES: Final = 10
"""Pairs of a figure; of more, tables have all."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A two-body term.

    Attributes
    ----------
    name : str
        Of the pair.
    rmin, rmax : float
        Its cutoffs, Å.
    fitted : tuple of float, or None
        Shortest and longest distance that its block was fitted on, Å; ``None`` where that is not known.
    distances : ndarray of shape (m,)
        Å.
    energies, forces : ndarray of shape (m,)
        kcal/mol and kcal/mol/Å; a force above zero drives the atoms apart.
    """

    name: str
    rmin: float
    rmax: float
    fitted: tuple[float, float] | None
    distances: NDArray[np.float64]
    energies: NDArray[np.float64]
    forces: NDArray[np.float64]


def curves_of(model: Parameters) -> list[Curve]:
    """The two-body terms of a model."""
    curves = []
    for kind in (t for t in model.basis.types if t.body == 2):
        edge = kind.edge(*kind.elements)
        if not edge.rmax > edge.rmin:
            continue
        fitted = model.coverage.get(f"{kind.block}:{kind.name}")
        first = min(edge.rmin, fitted[0]) if fitted else edge.rmin
        distances = np.linspace(max(0.9 * first, 0.05), edge.rmax, POINTS)
        curves.append(Curve(kind.name, edge.rmin, edge.rmax, fitted, distances, *pair_curve(model, kind, distances)))
    return curves


NO_MODEL: Final = "there is no model.params.txt, nor a solution, to take coefficients from"


def coefficient_section(findings: Findings, *, draw: bool) -> Section:
    """How large coefficients are, by type of cluster and degree."""
    return Section("coefficients", "Coefficients by type and degree", tuple(_coefficients(findings, draw=draw)))


def _coefficients(findings: Findings, *, draw: bool) -> list[Piece]:
    sources = models_of(findings)
    if not sources:
        return [Text(NO_MODEL, "absent")]
    pieces: list[Piece] = []
    for name, model in sources:
        rows = _degrees(model)
        body = {t.name: t.body for t in model.basis.types}
        if draw and any(size > 0.0 for *_, size, _ in rows):
            drawn = drawings.coefficients([(r[0], body[r[0]], r[2], r[4]) for r in rows])
            caption = f"{name}: root mean square of the coefficients of each type by degree."
            most = max(rows, key=lambda r: r[5])
            where = f"{most[0]}, degree {most[2]}"
            alt = f"{caption} The largest coefficient, {number_text(most[5])} kcal/mol, is of {where}."
            pieces.append(Figure(caption, alt, drawn))
        header = ("type", "block", "degree", "coefficients", "RMS, kcal/mol", "largest, kcal/mol", "zero")
        caption = f"{name}: coefficients by type and degree."
        pieces.append(Table(file_name(f"coefficients_{name}"), caption, header, rows, folded=True))
        atoms = [
            (elements[0], value * unit_of("energy", "eV")[1], value)
            for (_, elements, powers), value in model.as_dict().items() if not powers
        ]  # fmt: skip
        if atoms:
            caption = f"{name}: energies of free atoms in the model."
            pieces.append(Table(file_name(f"free_atoms_{name}"), caption, ("element", "eV", "kcal/mol"), atoms))
        for kind, way in model.without_data.items():
            made = "mixed from lower blocks" if way == "mixed" else "zero"
            pieces.append(Text(f"{name}: no fitted frame informed the type {kind}; it is {made}.", "warning"))
    return pieces


def _degrees(model: Parameters) -> list[tuple[Any, ...]]:
    values: dict[tuple[str, str, int], list[float]] = {}
    names = {t.elements: t.name for t in model.basis.types}
    for (block, elements, powers), value in model.as_dict().items():
        if powers:
            values.setdefault((names[elements], block, sum(powers)), []).append(value)
    rows = []
    for (name, block, degree), own in values.items():
        size = np.abs(np.array(own))
        zeros = int(np.count_nonzero(size == 0.0))
        rows.append((name, block, degree, len(own), float(np.sqrt(np.mean(size**2))), float(size.max()), zeros))
    order = list(dict.fromkeys(r[0] for r in rows))
    return sorted(rows, key=lambda r: (order.index(r[0]), r[2]))


def models_of(findings: Findings) -> list[tuple[str, Parameters]]:
    """The models that curves and coefficients are shown of, by name: the whole one, or else solutions."""
    if findings.model is not None:
        return [("model", findings.model)]
    return [(name, s.parameters) for name, s in findings.solutions.items()]


def file_name(text: str) -> str:
    """A name of a table that a file can have."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in text)


def curve_section(findings: Findings, *, draw: bool) -> Section:
    """Energy and force of two atoms by each two-body term, with the range of the data."""
    pieces: list[Piece] = []
    units = findings.units
    factor = unit_of("force", units)[1]
    unit = "eV" if units == "eV" else "kcal/mol"
    sources = models_of(findings)
    if not sources:
        pieces.append(Text(NO_MODEL, "absent"))
    for name, model in sources:
        curves = curves_of(model)
        if not curves:
            pieces.append(Text(f"{name} has no two-body terms with a width.", "absent"))
            continue
        unknown = [c.name for c in curves if c.fitted is None]
        shown = curves[:MOST_CURVES]
        if draw:
            caption = (
                f"{name}: energy and force of two atoms by the two-body term alone, many-body terms left out; a force "
                "above zero drives them apart. Outside of the shaded distances no frame was fitted."
            )
            if len(curves) > len(shown):
                caption += f" The first {len(shown)} of {len(curves)} pairs; the table has all."
            alt = f"{caption} {' '.join(map(_in_words, shown))}"
            pieces.append(Figure(caption, alt, drawings.pair_curves(shown, units)))
        rows = [
            (c.name, *(c.fitted or (np.nan, np.nan)), c.rmin, c.rmax, float(r), float(c.energies[i] * factor),
             float(c.forces[0] * factor))
            for c in curves for i in [int(np.argmin(c.energies))] for r in [c.distances[i]]
        ]  # fmt: skip
        header = ("pair", "fitted from, Å", "fitted to, Å", "rmin, Å", "rmax, Å", "lowest energy at, Å",
                  f"lowest energy, {unit}", f"force at the left end, {unit}/Å")  # fmt: skip
        pieces.append(Table(file_name(f"pairs_{name}"), f"{name}: two-body terms.", header, rows))
        points = [
            (c.name, float(r), float(e * factor), float(f * factor),
             "" if c.fitted is None else "yes" if c.fitted[0] <= r <= c.fitted[1] else "no")
            for c in curves for r, e, f in zip(c.distances[::8], c.energies[::8], c.forces[::8], strict=True)
        ]  # fmt: skip
        pieces.append(Table(
            file_name(f"pair_curves_{name}"), f"{name}: points of the curves.",
            ("pair", "distance, Å", f"energy, {unit}", f"force, {unit}/Å", "in the range of the data"), points,
            folded=True,
        ))  # fmt: skip
        if unknown:
            pieces.append(Text(f"{name} does not say which distances {listed(unknown)} were fitted on.", "absent"))
    return Section("curves", "Pair curves", tuple(pieces))


def _in_words(curve: Curve) -> str:
    at = int(np.argmin(curve.energies))
    fitted = "an unknown range" if curve.fitted is None else f"{curve.fitted[0]:.3f} to {curve.fitted[1]:.3f} Å"
    return f"{curve.name}: lowest energy at {curve.distances[at]:.2f} Å, fitted on {fitted}."


NAMES: Final = {
    "alpha": "strength α of the regulariser",
    "noise": "noise of a row of weight 1",
    "effective_parameters": "effective parameters",
    "log_evidence": "log evidence",
    "tolerance": "tolerance",
}


def uncertainty_section(findings: Findings) -> Section:
    """What the results know of uncertainty."""
    rows = [
        (name, NAMES.get(key, key), float(value))
        for name, fit in findings.fits.items() for key, value in fit.get("hyperparameters", {}).items()
    ]  # fmt: skip
    pieces: list[Piece] = []
    if rows:
        caption = "What solvers chose or were held to; predicted errors follow from noise and effective parameters."
        pieces.append(Table("uncertainty", caption, ("fit", "quantity", "value"), rows))
    pieces.append(Text(
        "the covariance of the coefficients, which a folder of results does not have, so that errors of predictions "
        "are not shown; in Python hierarchy_posterior(fit) of a fit in memory gives them for any frame, and a library "
        "of blocks keeps covariances",
        "absent",
    ))  # fmt: skip
    return Section("uncertainty", "Uncertainty", tuple(pieces))
