"""Sections on the model itself: coefficients by type and degree, pair curves, uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..fitting.mean_model import NAN
from ..jobs.report import unit_of
from ..text.display import listed, number_text
from ..text.words import count_text
from . import drawings
from .curves import curves_of
from .pieces import Figure, Section, Table, Text

if TYPE_CHECKING:
    from ..model.parameters import Parameters
    from .curves import Curve
    from .findings import Findings
    from .pieces import Piece

MOST_LINES: Final = 24
"""Types of a body in a figure of coefficients."""

MOST_CURVES: Final = 10
"""Pairs of a figure; of more, tables have all."""


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
            shown = _largest(rows, body)
            drawn = drawings.coefficients([(r[0], body[r[0]], r[2], r[4]) for r in rows if r[0] in shown])
            caption = f"{name}: root mean square of the coefficients of each type by degree."
            if len(shown) < len({r[0] for r in rows}):
                caption += f" Of each body the {MOST_LINES} types with the largest ones; the table has all."
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
        for way, made in (("mixed", "are mixed from lower blocks"), ("zero", "count for nothing")):
            if odd := [kind for kind, own in model.without_data.items() if own == way]:
                count = count_text(len(odd), "type")
                text = f"{name}: no fitted frame informed {count} of clusters, which {made}: {listed(odd, 30)}"
                pieces.append(Text(text, "warning"))
        if model.without_data:
            caption = f"{name}: types of clusters that no fitted frame informed, and how they are made."
            titles = ("type", "made")
            pieces.append(Table(file_name(f"without_data_{name}"), caption, titles, list(model.without_data.items())))
    return pieces


def _largest(rows: list[tuple[Any, ...]], body: dict[str, int]) -> set[str]:
    """The types of each body that a figure has room for: those with the largest coefficients."""
    sizes: dict[str, float] = {}
    for row in rows:
        sizes[row[0]] = max(sizes.get(row[0], 0.0), row[5])
    chosen: set[str] = set()
    for b in set(body.values()):
        own = sorted((n for n in sizes if body[n] == b), key=lambda n: -sizes[n])
        chosen.update(own[:MOST_LINES])
    return chosen


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
    sources = models_of(findings)
    if not sources:
        pieces.append(Text(NO_MODEL, "absent"))
    for name, model in sources:
        if curves := curves_of(model):
            pieces += _curve_pieces(name, curves, findings.units, draw=draw)
        else:
            pieces.append(Text(f"{name}: it has no two-body terms with a width", "absent"))
    return Section("curves", "Pair curves", tuple(pieces))


def _curve_pieces(name: str, curves: list[Curve], units: str, *, draw: bool) -> list[Piece]:
    pieces: list[Piece] = []
    factor, unit = unit_of("force", units)[1], "eV" if units == "eV" else "kcal/mol"
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
    rows = []
    for c in curves:
        at, below = c.lowest
        rows.append((
            c.name, *(c.fitted or (NAN, NAN)), c.rmin, c.rmax, float(c.distances[at]), float(c.energies[at]) * factor,
            below * factor,
        ))  # fmt: skip
        if below < c.energies[at]:
            pieces.append(Text(
                f"{name}: the two-body term of {c.name} is lower at distances shorter than any fitted one "
                f"({number_text(below * factor)} {unit}) than anywhere in the range of the data "
                f"({number_text(float(c.energies[at]) * factor)} {unit}); hiertl-dist check says if atoms get there",
                "warning",
            ))  # fmt: skip
    header = ("pair", "fitted from, Å", "fitted to, Å", "rmin, Å", "rmax, Å", "lowest in the range of the data at, Å",
              f"lowest there, {unit}", f"lowest at shorter distances, {unit}")  # fmt: skip
    caption = f"{name}: two-body terms; of a pair whose range is not known, the lowest energy of all."
    pieces.append(Table(file_name(f"pairs_{name}"), caption, header, rows))
    points = [
        (c.name, float(r), float(e * factor), float(f * factor),
         "" if c.fitted is None else "yes" if c.fitted[0] <= r <= c.fitted[1] else "no")
        for c in curves for r, e, f in zip(c.distances[::8], c.energies[::8], c.forces[::8], strict=True)
    ]  # fmt: skip
    titles = ("pair", "distance, Å", f"energy, {unit}", f"force, {unit}/Å", "in the range of the data")
    pieces.append(
        Table(file_name(f"pair_curves_{name}"), f"{name}: points of the curves.", titles, points, folded=True)
    )
    if unknown := [c.name for c in curves if c.fitted is None]:
        pieces.append(Text(f"{name}: which distances {listed(unknown)} were fitted on", "absent"))
    return pieces


def _in_words(curve: Curve) -> str:
    at, _ = curve.lowest
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
        "predicted errors of frames, which this page does not make of the files of covariances beside the results; "
        "hiertl-dist evaluate --covariance reports them beside errors, and hiertl-dist check of forces",
        "absent",
    ))  # fmt: skip
    return Section("uncertainty", "Uncertainty", tuple(pieces))
