"""Errors of a model for people: by composition and group, frames that are out of range, distances used."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..evaluation.cluster_counts import MOST_COUNTED
from ..evaluation.coverage import LONG_TOLERANCE
from ..evaluation.missing_in_frames import missing_text
from ..fitting.mean_model import MARK, NAN, QUANTITIES, Kind, KindErrors, judgement_text, marked
from ..text.display import listed, number_text, table_text
from ..text.words import count_text
from ..units import EV

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ..evaluation.coverage import Coverage
    from ..evaluation.type_coverage import TypeCoverage
    from .error_tables import Errors
    from .evaluated import EvaluatedFrames

FORCE_UNITS: Final = {"kcal": ("kcal/mol/Å", 1.0), "eV": ("eV/Å", 1.0 / EV)}
ENERGY_UNITS: Final = {"kcal": ("kcal/mol/atom", 1.0), "eV": ("eV/atom", 1.0 / EV)}
STRESS_UNIT: Final = ("GPa", 1.0)

MOST_GROUPS: Final = 20
"""Of a table of errors: of more, those with the largest errors."""


def unit_of(kind: Kind, units: str) -> tuple[str, float]:
    """The unit of a kind of error in tables in ``"kcal"`` or ``"eV"``, and the factor to it from :class:`Errors`."""
    return {"force": FORCE_UNITS[units], "energy": ENERGY_UNITS[units], "stress": STRESS_UNIT}[kind]


def units_in_words(units: str) -> str:
    """The units of forces, energies and stresses in tables, in words."""
    return ", ".join(unit_of(kind, units)[0] for kind in QUANTITIES)


def errors_text(tables: Mapping[str, Mapping[str, Errors]], units: str = "kcal") -> str:
    """RMSE per composition at a glance, those of several models beside one another."""
    (force_unit, force), energy_unit = FORCE_UNITS[units], ENERGY_UNITS[units][0]
    header = ["composition", "frames", "reference\nforce"]
    for quantity in QUANTITIES:
        header += [f"{quantity}\n{name}" if name else quantity for name in tables]
    rows = []
    for key in dict.fromkeys(k for t in tables.values() for k in t):
        errors = [t[key] for t in tables.values() if key in t]
        row: list[Any] = [key, errors[0].frames, errors[0].force_rms * force]
        for kind in QUANTITIES:
            row += [_rmse_cell(e.of(kind), unit_of(kind, units)[1]) for e in errors]
        rows.append(row)
    units_text = f"forces in {force_unit}, energies in {energy_unit}, stresses in GPa"
    some = any(isinstance(cell, str) for row in rows for cell in row[1:])
    mark = f"; {MARK} above the spread of the labels, see below" if some else ""
    return f"{table_text(header, rows)}\nRMSE (reference: RMS of the labels{mark}); {units_text}"


def no_offsets_text(elements: Sequence[str]) -> str:
    """What to say beside errors of energies where models lack the energies of free atoms of some elements."""
    named = ", ".join(elements)
    return (
        f"WARNING: no file has an energy offset of {named} (ENERGY OFFSET in a parameter file): the model's energies "
        f"are off by a constant for each atom of {named}, and so are the energy errors; forces and stresses are not"
    )


def undetermined_frames_text(elements: Sequence[str], count: int) -> str:
    """What to say beside errors of energies that are off for some frames.

    That is where models know combinations of energies of free atoms alone, and ``count`` frames are of other
    compositions.
    """
    return (
        f"WARNING: of the energies of free atoms of {', '.join(elements)} the files know combinations alone, those of "
        f"the compositions that were fitted: energies of {count_text(count, 'frame')} of other compositions are off "
        "by a constant for each such atom, and so are their errors; forces and stresses are not"
    )


def details_text(
    compositions: Mapping[str, Mapping[str, Errors]], groups: Mapping[str, Mapping[str, Errors]], units: str = "kcal"
) -> str:
    """Of each kind of labels a table: their number, RMSE, mean and largest absolute error.

    By composition and group; below them what is worse than a model that predicts the mean, and which groups are far
    worse than others.

    Parameters
    ----------
    compositions, groups : mapping from str to mapping from str to Errors
        By model, :func:`errors_by_composition` and :func:`errors_by_group` of the same frames.
    units : {"kcal", "eV"}, default "kcal"
        Units of energies.

    Returns
    -------
    str
        The tables and what is below them.
    """
    texts = [_details_of(kind, compositions, groups, units) for kind in QUANTITIES]
    return "\n\n".join(text for text in (*texts, judgement_text(compositions, groups)) if text)


def _details_of(
    kind: Kind, compositions: Mapping[str, Mapping[str, Errors]], groups: Mapping[str, Mapping[str, Errors]], units: str
) -> str | None:
    unit, factor = unit_of(kind, units)
    rows = _detail_rows("", kind, compositions, factor)
    if not rows:
        return None
    by_group = _detail_rows("group ", kind, groups, factor)
    # one group alone is all frames
    more = len(by_group) - MOST_GROUPS
    if more > 0:
        by_group = sorted(by_group, key=lambda row: -row[3].rmse)[:MOST_GROUPS]
    rows += by_group if len(by_group) > 1 else []
    rows = [[x for cell in row for x in (_error_cells(cell, factor) if isinstance(cell, KindErrors) else [cell])]
            for row in rows]  # fmt: skip
    header = [f"{kind}, {unit}", "labels", "spread of\nlabels"]
    for name in compositions:
        header += [f"{name}\nRMSE" if name else "RMSE", "MAE", "max"]
    text = table_text(header, rows)
    return text if more <= 0 else f"{text}\n… and {more} groups with smaller errors; the JSON report has all"


def _detail_rows(prefix: str, kind: Kind, tables: Mapping[str, Mapping[str, Errors]], factor: float) -> list[list[Any]]:
    """Name, number and spread of the labels, errors of each model."""
    rows = []
    for key in dict.fromkeys(k for t in tables.values() for k in t):
        errors = [t[key].of(kind) for t in tables.values() if key in t]
        if errors[0].labels:
            rows.append([prefix + key, errors[0].labels, errors[0].spread * factor, *errors])
    return rows


def _rmse_cell(errors: KindErrors, factor: float) -> float | str:
    return marked(errors.rmse * factor, worse=errors.worse)


def _error_cells(errors: KindErrors, factor: float) -> list[Any]:
    return [_rmse_cell(errors, factor), errors.mae * factor, errors.max * factor]


def warnings_text(
    evaluated: EvaluatedFrames, units: str = "kcal", most: int = 10, known: Collection[str] | None = None,
    beside: Sequence[Coverage] = (),
) -> str:  # fmt: skip
    """Types without coefficients; and the frames that are out of range, worst force error first.

    Beside these is the median of those that are not.

    ``known`` holds the ``"block:pair"`` whose fitted range is known, ``beside`` the rows of a table that is shown too.
    """
    text = _ranges_text(evaluated, units, most, known, beside)
    if not evaluated.missing:
        return text
    return (
        f"WARNING: no coefficients for clusters that these frames contain, {missing_text(evaluated.missing)}: they "
        f"counted for nothing, and zero is not neutral\n{text}"
    )


def _ranges_text(
    evaluated: EvaluatedFrames, units: str, most: int, known: Collection[str] | None, beside: Sequence[Coverage]
) -> str:
    unit, factor = FORCE_UNITS[units]
    flagged = evaluated.is_flagged
    count = int(np.count_nonzero(flagged))
    if not count:
        if not known:
            return "the files do not say which distances they were fitted on: nothing is known of what is out of range"
        rows = (*beside, *(c for own in evaluated.coverage for c in own))
        if any(c.outside for c in rows):
            return f"no distance of these frames is one that no block was fitted on{_beyond_text(rows)}"
        return f"every distance lies inside the ranges that are known, those of {', '.join(sorted(known))}"
    inside = evaluated.force[~flagged & np.isfinite(evaluated.force)]
    median = number_text(float(np.median(inside)) * factor if len(inside) else NAN)
    lines = [
        f"{count} of {len(evaluated)} frames have distances that the model was not fitted on "
        f"(median force error of the others {median} {unit}):"
    ]
    for f in evaluated.residuals(evaluated.worst_flagged(most).tolist()):
        lines.append(f"  {number_text(f.force * factor):>9} {unit}  {f.group}, {f.origin}: {'; '.join(f.out_of_range)}")
    if count > most:
        lines.append(f"  … and {count - most} more")
    return "\n".join(lines)


def _beyond_text(rows: Sequence[Coverage]) -> str:
    """What of rows of coverage lies beyond what their blocks were fitted on."""
    beyond = {f"{c.block}:{c.pair}": bool(c.beyond) for c in sorted(rows, key=lambda c: c.beyond) if c.outside}
    clearly, hardly = ([key for key, marked_ in beyond.items() if marked_ is wanted] for wanted in (True, False))
    text = f"; single blocks are used beyond theirs: {listed(sorted(clearly))}" if clearly else ""
    if hardly:
        text += f"; the longest of {listed(sorted(hardly))} exceed theirs by at most {LONG_TOLERANCE} Å"
    return text


MOST_TYPES: Final = 30
"""Types of clusters that were fitted on and that a table lists; those of which something is to be said all are."""


def types_table(listed: Sequence[TypeCoverage]) -> str:
    """Per type of cluster, how often it was fitted on and is met; what was not is marked, and comes first."""
    odd, others = [c for c in listed if c.remark], [c for c in listed if not c.remark]
    rows = [
        [c.name, c.block, *(("not known", "") if c.fitted is None else c.fitted), *c.met,
         f"<< {c.remark}" if c.remark else ""]
        for c in (*odd, *others[:MOST_TYPES])
    ]  # fmt: skip
    text = table_text(["type", "block", "fitted on:\nframes", "clusters", "met here:\nframes", "clusters", ""], rows)
    text = f"types without a mark are counted in about {MOST_COUNTED} frames where there are more, and scaled\n{text}"
    left = len(others) - MOST_TYPES
    return text if left <= 0 else f"{text}\n… and {left} more types, none of which is marked; the JSON report has all"


def coverage_text(listed: Sequence[Coverage], units: str = "kcal") -> str:
    """Per block and pair of elements, the distances fitted on and used on; pairs used beyond are marked.

    Beside those is the force that the block's two-body term exerts there.
    """
    unit, factor = FORCE_UNITS[units]
    rows = [
        [f"{c.block}: {c.pair}", f"{c.fitted[0]:.3f}–{c.fitted[1]:.3f}", f"{c.used[0]:.3f}–{c.used[1]:.3f}", c.frames,
         c.beyond, NAN if math.isnan(c.force) else c.force * factor,
         "<< shorter" if c.used[0] < c.fitted[0] else ("<< longer" if c.beyond else "")]
        for c in listed
    ]  # fmt: skip
    return table_text(
        ["block: pair", "fitted on, Å", "used on, Å", "frames", "beyond", f"2-body force, {unit}", ""], rows
    )
