"""Sections on errors: by composition and group, parity, residuals, distances and types covered, worst frames."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..evaluation.cluster_counts import MOST_COUNTED
from ..evaluation.coverage import LONG_TOLERANCE
from ..fitting.mean_model import NAN, QUANTITIES, judgement_text
from ..jobs.report import FORCE_UNITS, unit_of
from ..text.display import listed, number_text
from ..text.words import count_text
from . import drawings
from .html_page import MOST_ROWS
from .model_sections import file_name
from .pieces import Figure, Section, Table, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..fitting.mean_model import Kind
    from .findings import ErrorsOf, Findings
    from .pieces import Piece

NO_ERRORS: Final = (
    "no errors: the folder has neither report.json, search.json nor errors.csv; --frames FILE evaluates the model on "
    "labelled frames"
)
NO_FIGURES: Final = (
    "the results do not hold this, for they were written by an earlier version or by a command that does not count it; "
    "--frames FILE evaluates the model on labelled frames, and shows it"
)
MOST_OUT: Final = 50
"""Frames out of range that the page lists; of more, those with the largest errors of forces."""

ERRORS_HEADER: Final = ("model", "frames", "by", "name", "number of frames", "out of range", "labels", "RMSE", "MAE",
                        "max", "spread of labels", "above the spread")  # fmt: skip


def error_section(findings: Findings, *, draw: bool) -> Section:
    """Errors by composition and group, by kind of label."""
    pieces: list[Piece] = []
    if not findings.errors:
        return Section("errors", "Errors by composition and group", (Text(NO_ERRORS, "absent"),))
    pieces.append(Text(
        "RMSE is the root mean square of errors, MAE the mean of their sizes. The spread of labels is the RMSE of a "
        "model that predicts their mean; an error above it says that the model has learned nothing of those labels."
    ))  # fmt: skip
    if draw:
        pieces += _bars(findings)
    for kind in QUANTITIES:
        unit, factor = unit_of(kind, findings.units)
        rows = [_error_row(e, kind, factor) for e in findings.errors if e.of(kind).labels]
        if not rows:
            pieces.append(Text(f"no frame that was evaluated has labels of the kind {kind}", "absent"))
            continue
        caption = f"Errors of {kind}, {unit}."
        if len(rows) > MOST_ROWS:
            rows.sort(key=lambda row: -row[7])
            caption += " The largest first."
        marked = frozenset(i for i, row in enumerate(rows) if row[-1] == "yes")
        pieces.append(Table(f"errors_{kind}", caption, ERRORS_HEADER, rows, marked))
    for model, of in findings.sets:
        name, groups = f"{model}, {of}", findings.errors_by(model, of, "group")
        text = judgement_text({name: findings.errors_by(model, of, "composition", "all")}, {name: groups})
        pieces += [Text(line.removeprefix("! "), "warning") for line in text.splitlines()]
    return Section("errors", "Errors by composition and group", tuple(pieces))


def _error_row(e: ErrorsOf, kind: Kind, factor: float) -> tuple[Any, ...]:
    own = e.of(kind)
    numbers = (own.rmse * factor, own.mae * factor, own.max * factor, own.spread * factor)
    worse = "yes" if own.worse else "no"
    return (e.model, e.frames_of, e.by, e.name, e.frames, e.out_of_range, own.labels, *numbers, worse)


def _bars(findings: Findings) -> list[Piece]:
    pieces: list[Piece] = []
    for by, what in (("composition", "composition"), ("group", "group")):
        kinds = (by, "all") if by == "composition" else (by,)
        tables = {f"{m}, {of}": findings.errors_by(m, of, *kinds) for m, of in findings.sets}
        tables = {name: table for name, table in tables.items() if table}
        names = list(dict.fromkeys(name for table in tables.values() for name in table))
        if not names or not any(e.of(k).labels for t in tables.values() for e in t.values() for k in QUANTITIES):
            continue
        worst = sorted(names, key=lambda name: -_largest(tables, name))[: drawings.MOST_BARS]
        shown = [name for name in names if name in worst] if by == "composition" else worst
        caption = f"Errors by {what}"
        if len(names) > len(shown):
            caption += f": the {len(shown)} of {len(names)} with the largest errors of forces"
        said = "; ".join(drawings.alt_errors(tables, kind, findings.units) for kind in QUANTITIES)
        picture = drawings.bars(tables, shown, findings.units)
        pieces.append(Figure(f"{caption}.", f"{caption}, bars of RMSE: {said}.", picture))
    return pieces


def _largest(tables: Mapping[str, Mapping[str, ErrorsOf]], name: str) -> float:
    errors = [t[name].of("force").rmse for t in tables.values() if name in t]
    return max((e for e in errors if not math.isnan(e)), default=-1.0)


# ---- labels one by one


def parity_section(findings: Findings, *, draw: bool) -> Section:
    """Labels against what the model says, and how errors are distributed."""
    pieces: list[Piece] = []
    parity = {f"{m}, {of}": own["parity"] for (m, of), own in findings.figures.items() if own.get("parity")}
    residuals = {f"{m}, {of}": own["residuals"] for (m, of), own in findings.figures.items() if own.get("residuals")}
    if not parity:
        pieces.append(Text(f"parity and residuals: {NO_FIGURES}", "absent"))
        return Section("parity", "Parity and residuals", tuple(pieces))
    kinds = [kind for kind in QUANTITIES if any(kind in own for own in parity.values())]
    for kind in kinds:
        said = [_counted(name, own[kind]) for name, own in parity.items() if kind in own]
        note = " Energies per atom, less the mean of their composition." if kind == "energy" else ""
        caption = f"Parity of {kind}: labels are counted in square cells, not drawn one by one.{note} {' '.join(said)}"
        if draw:
            rmse = drawings.alt_errors(
                {f"{m}, {of}": findings.errors_by(m, of, "composition", "all") for m, of in findings.sets}, kind,
                findings.units,
            )  # fmt: skip
            alt = f"{caption} Points on the diagonal agree; RMSE of compositions: {rmse}."
            pieces.append(Figure(caption, alt, drawings.parity(parity, kind, findings.units)))
        pieces += [
            Text(f"{name}: {own[kind]['not_finite']} of what the model says of {kind} are no finite numbers", "warning")
            for name, own in parity.items() if kind in own and own[kind]["not_finite"]
        ]  # fmt: skip
    if draw:
        caption = "How errors (model less label) are distributed, from −4 to 4 times their RMSE."
        rows = _residual_rows(residuals, findings.units)
        half = "; ".join(f"{r[0]}, {r[1]}: half below {number_text(r[5])} {r[2]}" for r in rows)
        picture = drawings.residuals(residuals, kinds, findings.units)
        pieces.append(Figure(caption, f"{caption} {half}.", picture))
    header = ("model and frames", "kind", "unit", "labels counted", "mean error", "half below", "90 % below",
              "99 % below", "beyond 4 RMSE")  # fmt: skip
    caption = "Sizes of errors: the share of labels that lies below each."
    pieces.append(Table("residuals", caption, header, _residual_rows(residuals, findings.units)))
    return Section("parity", "Parity and residuals", tuple(pieces))


def _counted(name: str, own: Mapping[str, Any]) -> str:
    if own["counted"] + own["not_finite"] < own["labels"]:
        return f"{name}: {own['counted']} of {own['labels']} labels, spread evenly."
    return f"{name}: {own['counted']} labels."


def _residual_rows(tables: Mapping[str, Mapping[str, Any]], units: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for name, table in tables.items():
        for kind in (k for k in QUANTITIES if k in table):
            (unit, factor), own = unit_of(kind, units), table[kind]
            below = (float(x) * factor for x in own["below"].values())
            rows.append((name, kind, unit, own["counted"], own["mean"] * factor, *below, own["beyond"]))
    return rows


# ---- what was covered


def coverage_section(findings: Findings) -> Section:
    """Distances and types of clusters that blocks were fitted on, and are used on."""
    pieces: list[Piece] = []
    unit, factor = FORCE_UNITS[findings.units]
    rows = [
        (model, c.block, c.pair, *map(float, (*c.fitted, *c.used)), c.frames, c.beyond, c.force * factor)
        for model, own in findings.coverage.items() for c in own
    ]  # fmt: skip
    if rows:
        marked = frozenset(i for i, row in enumerate(rows) if row[8])
        header = ("model", "block", "pair", "fitted from, Å", "fitted to, Å", "used from, Å", "used to, Å", "frames",
                  "frames beyond", f"two-body force there, {unit}")  # fmt: skip
        caption = (
            "Distances that each block was fitted on, and is used on in all frames that were evaluated. Rows stand out "
            f"where frames have a shorter distance, or one longer by more than {LONG_TOLERANCE} Å."
        )
        pieces.append(Table("coverage", caption, header, rows, marked))
    elif findings.model is not None and findings.model.coverage:
        columns = ("block", "pair", "fitted from, Å", "fitted to, Å")
        fitted = [(*key.split(":"), *map(float, span)) for key, span in findings.model.coverage.items()]
        pieces.append(Table("coverage", "Distances that each block was fitted on.", columns, fitted))
        pieces.append(Text(f"which distances the model was used on: {NO_FIGURES}", "absent"))
    else:
        pieces.append(Text(f"distances that blocks were fitted on: {NO_FIGURES}", "absent"))
    types = [
        (model, t.name, t.block, *((NAN, NAN) if t.fitted is None else t.fitted), *t.met, t.remark)
        for model, own in findings.types.items() for t in own
    ]  # fmt: skip
    if types:
        marked = frozenset(i for i, row in enumerate(types) if row[-1])
        titles = ("model", "type", "block", "frames fitted", "clusters fitted", "frames met", "clusters met", "remark")
        caption = (
            "Clusters of each type that were fitted on, and that all evaluated frames have; types without a remark are "
            f"counted in about {MOST_COUNTED} frames where there are more, and scaled. A dash: not known."
        )
        pieces.append(Table("types", caption, titles, types, marked))
        for model in findings.types:
            if odd := [f"{r[1]} ({r[-1]})" for r in types if r[-1] and r[0] == model]:
                count = count_text(len(odd), "type")
                pieces.append(
                    Text(f"{model}: frames have clusters of {count} without data: {listed(odd, 30)}", "warning")
                )
    else:
        pieces.append(Text(f"how often each type of cluster was fitted on: {NO_FIGURES}", "absent"))
    return Section("coverage", "Coverage", tuple(pieces))


# ---- frames


def frame_section(findings: Findings) -> Section:
    """Frames with the largest errors, and those that are out of range."""
    pieces: list[Piece] = []
    titles = [f"{'error' if k == 'energy' else 'RMSE'} of {k}, {unit_of(k, findings.units)[0]}" for k in QUANTITIES]
    factors = [unit_of(kind, findings.units)[1] for kind in QUANTITIES]
    header = ("model", "frames", "frame", "group", "composition", *titles, "out of range")

    def row(key: tuple[str, str], f: Mapping[str, Any]) -> tuple[Any, ...]:
        values = (
            float(NAN if f[kind] is None else f[kind]) * factor
            for kind, factor in zip(QUANTITIES, factors, strict=True)
        )
        return (*key, f["origin"], f["group"], f["composition"], *values, "; ".join(f["out_of_range"]))

    for kind in QUANTITIES:
        rows = [row(key, f) for key, own in findings.figures.items() for f in own.get("worst_frames", {}).get(kind, ())]
        if rows:
            caption = f"Frames with the largest errors of {kind}, of each model and set of frames."
            pieces.append(Table(file_name(f"worst_frames_{kind}"), caption, header, rows))
    if not pieces:
        pieces.append(Text(f"frames with the largest errors: {NO_FIGURES}", "absent"))
    for key, frames in findings.out_of_range.items():
        if not frames:
            continue
        order = np.argsort([-(f["force"] or 0.0) for f in frames], kind="stable")[:MOST_OUT].tolist()
        more = f", of which the {MOST_OUT} with the largest errors of forces are here" if len(frames) > MOST_OUT else ""
        name = ", ".join(key)
        has = "has" if len(frames) == 1 else "have"
        caption = f"{name}: {count_text(len(frames), 'frame')} {has} distances that the model was not fitted on{more}."
        rows = [row(key, frames[i]) for i in order]
        pieces.append(Table(file_name(f"out_of_range_{'_'.join(key)}"), caption, header, rows))
    if findings.out_of_range and not any(findings.out_of_range.values()):
        pieces.append(Text("No evaluated frame has a distance that is known not to have been fitted on."))
    return Section("frames", "Worst frames", tuple(pieces))
