"""Errors of a model on labelled frames: by kind of label, composition and group, worst frames, tables for people."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..fitting.mean_model import (
    MARK,
    QUANTITIES,
    Kind,
    KindErrors,
    judgement_text,
    marked,
    spread_of_labels,
    worse_than_mean,
)
from ..frames.rows import STRESS_COMPONENTS
from ..text.display import number_text, table_text
from ..text.words import count_text
from ..units import EV, KCAL_PER_A3_IN_GPA

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ..evaluation.coverage import Coverage
    from ..evaluation.energies import Evaluation
    from ..frames.frame import Frame

FORCE_UNITS: Final = {"kcal": ("kcal/mol/Å", 1.0), "eV": ("eV/Å", 1.0 / EV)}
ENERGY_UNITS: Final = {"kcal": ("kcal/mol/atom", 1.0), "eV": ("eV/atom", 1.0 / EV)}
STRESS_UNIT: Final = ("GPa", 1.0)

MOST_GROUPS: Final = 20
"""Of a table of errors: of more, those with the largest errors."""

NAN: Final = float("nan")


def unit_of(kind: Kind, units: str) -> tuple[str, float]:
    """The unit of a kind of error in tables in ``"kcal"`` or ``"eV"``, and the factor to it from :class:`Errors`."""
    return {"force": FORCE_UNITS[units], "energy": ENERGY_UNITS[units], "stress": STRESS_UNIT}[kind]


def units_in_words(units: str) -> str:
    """The units of forces, energies and stresses in tables, in words."""
    return ", ".join(unit_of(kind, units)[0] for kind in QUANTITIES)


@dataclass(frozen=True)
class Errors:
    """Errors over some frames; NaN where no frame has the label.

    Attributes
    ----------
    frames, atoms : int
        How many.
    force, energy, stress : float
        RMSE of force components, kcal/mol/Å, of energies, kcal/mol/atom, and of the stress components that are there,
        GPa.
    force_mae, energy_mae, stress_mae : float
        Mean absolute error of these.
    force_max, energy_max, stress_max : float
        Largest absolute error of these.
    force_labels, energy_labels, stress_labels : int
        How many of them there are.
    force_rms, stress_rms : float
        Root mean square of the labels.
    energy_spread : float
        Standard deviation of energies per atom, if there are two.
    force_of_mean, energy_of_mean, stress_of_mean : float
        RMSE of a model that predicts the mean of the labels: forces zero, energies per atom the mean of each
        composition, stresses that of each component.
    force_freedom, energy_freedom, stress_freedom : int
        Number of labels less these means.
    out_of_range : int
        Frames with a distance that the model was not fitted on.
    """

    frames: int
    atoms: int
    force: float
    force_rms: float
    energy: float
    stress: float
    out_of_range: int
    force_labels: int = 0
    force_mae: float = NAN
    force_max: float = NAN
    energy_labels: int = 0
    energy_mae: float = NAN
    energy_max: float = NAN
    energy_spread: float = NAN
    stress_labels: int = 0
    stress_mae: float = NAN
    stress_max: float = NAN
    stress_rms: float = NAN
    force_of_mean: float = NAN
    force_freedom: int = 0
    energy_of_mean: float = NAN
    energy_freedom: int = 0
    stress_of_mean: float = NAN
    stress_freedom: int = 0

    def of(self, kind: Kind) -> KindErrors:
        """Those of one kind of labels."""
        size = getattr(self, "energy_spread" if kind == "energy" else f"{kind}_rms")
        mean, largest = getattr(self, f"{kind}_mae"), getattr(self, f"{kind}_max")
        rmse, spread = getattr(self, kind), getattr(self, f"{kind}_of_mean")
        worse = worse_than_mean(kind, rmse, spread, getattr(self, f"{kind}_freedom"))
        return KindErrors(getattr(self, f"{kind}_labels"), rmse, mean, largest, size, spread, worse)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; ``worse_than_mean`` lists the kinds of labels whose RMSE is above that of the mean."""
        return vars(self) | {"worse_than_mean": [k for k in QUANTITIES if self.of(k).worse]}


@dataclass(frozen=True)
class FrameResidual:
    """One frame's errors, in the units of :class:`Errors`, and what is out of range in it."""

    index: int
    origin: str
    group: str
    composition: str
    force: float
    energy: float
    stress: float
    out_of_range: tuple[str, ...]


def _joined(values: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate([np.empty(0), *(np.ravel(v) for v in values)])


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else NAN


def _differences(frame: Frame, evaluation: Evaluation) -> dict[Kind, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """By kind of label that a frame has, errors and labels in the units of :class:`Errors`."""
    parts: dict[Kind, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    if frame.forces is not None:
        parts["force"] = evaluation.forces - frame.forces, frame.forces
    if frame.energy is not None:
        n = len(frame)
        parts["energy"] = np.array([(evaluation.energy - frame.energy) / n]), np.array([frame.energy / n])
    if frame.stress is not None:
        # components that the label lacks are NaN; a model that gives NaN is not to hide among them
        finite = np.isfinite(frame.stress)
        labels = frame.stress[finite] * KCAL_PER_A3_IN_GPA
        parts["stress"] = evaluation.stress[finite] * KCAL_PER_A3_IN_GPA - labels, labels
    return parts


def errors_of(frames: Sequence[Frame], evaluations: Sequence[Evaluation]) -> Errors:
    """Errors pooled over some frames."""
    parts = [_differences(f, e) for f, e in zip(frames, evaluations, strict=True)]
    table: dict[str, Any] = {}
    keys: dict[Kind, list[Any] | None] = {
        "force": None, "energy": [f.composition for f in frames if f.energy is not None],
        "stress": [c for f in frames if f.stress is not None for c in np.flatnonzero(np.isfinite(f.stress)).tolist()],
    }  # fmt: skip
    for kind in QUANTITIES:
        errors, labels = (_joined(p[kind][i] for p in parts if kind in p) for i in (0, 1))
        some = len(errors) > 0
        table |= {
            kind: _rms(errors), f"{kind}_labels": len(errors),
            f"{kind}_mae": float(np.mean(np.abs(errors))) if some else NAN,
            f"{kind}_max": float(np.max(np.abs(errors))) if some else NAN,
        }  # fmt: skip
        table[f"{kind}_of_mean"], table[f"{kind}_freedom"] = spread_of_labels(labels, keys[kind])
        if kind == "energy":
            table["energy_spread"] = float(np.std(labels)) if len(labels) > 1 else NAN
        else:
            table[f"{kind}_rms"] = _rms(labels)
    flagged = sum(1 for e in evaluations if e.out_of_range)
    return Errors(frames=len(frames), atoms=sum(len(f) for f in frames), out_of_range=flagged, **table)


def _errors_by(
    frames: Sequence[Frame], evaluations: Sequence[Evaluation], name: Callable[[Frame], str]
) -> dict[str, Errors]:
    parts: dict[str, list[int]] = defaultdict(list)
    for i, frame in enumerate(frames):
        parts[name(frame)].append(i)
    return {
        key: errors_of([frames[i] for i in places], [evaluations[i] for i in places]) for key, places in parts.items()
    }


def errors_by_composition(frames: Sequence[Frame], evaluations: Sequence[Evaluation]) -> dict[str, Errors]:
    """Errors per composition, and of all frames under ``"all"``."""
    table = _errors_by(frames, evaluations, lambda f: f.composition)
    table = {c: table[c] for c in sorted(table, key=lambda c: (len(c), c))}
    return table | ({"all": errors_of(frames, evaluations)} if len(table) > 1 else {})


def errors_by_group(frames: Sequence[Frame], evaluations: Sequence[Evaluation]) -> dict[str, Errors]:
    """Errors per ``Frame.group``, sorted by name; no total, for a group may be called ``"all"``."""
    table = _errors_by(frames, evaluations, lambda f: f.group)
    return {g: table[g] for g in sorted(table)}


def frame_errors(frames: Sequence[Frame], evaluations: Sequence[Evaluation]) -> list[FrameResidual]:
    """Errors of each frame."""
    listed = []
    for i, (frame, evaluation) in enumerate(zip(frames, evaluations, strict=True)):
        parts = _differences(frame, evaluation)
        force, energy, stress = (_rms(_joined([parts[k][0]] if k in parts else [])) for k in QUANTITIES)
        flags = tuple(str(p) for p in evaluation.out_of_range)
        listed.append(FrameResidual(i, frame.origin, frame.group, frame.composition, force, energy, stress, flags))
    return listed


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
    listed: Sequence[FrameResidual], units: str = "kcal", most: int = 10, known: Collection[str] | None = None
) -> str:
    """The frames that are out of range, worst force error first, beside the median of those that are not.

    ``known`` holds the ``"block:pair"`` whose fitted range is known.
    """
    unit, factor = FORCE_UNITS[units]
    flagged = sorted((f for f in listed if f.out_of_range), key=lambda f: -np.nan_to_num(f.force))
    if not flagged:
        if not known:
            return "the files do not say which distances they were fitted on: nothing is known of what is out of range"
        return f"every distance lies inside the ranges that are known, those of {', '.join(sorted(known))}"
    inside = [f.force for f in listed if not f.out_of_range and np.isfinite(f.force)]
    median = number_text(float(np.median(inside)) * factor if inside else NAN)
    lines = [
        f"{len(flagged)} of {len(listed)} frames have distances that the model was not fitted on "
        f"(median force error of the others {median} {unit}):"
    ]
    for f in flagged[:most]:
        lines.append(f"  {number_text(f.force * factor):>9} {unit}  {f.group}, {f.origin}: {'; '.join(f.out_of_range)}")
    if len(flagged) > most:
        lines.append(f"  … and {len(flagged) - most} more")
    return "\n".join(lines)


def coverage_text(listed: Sequence[Coverage]) -> str:
    """Per block and pair of elements, the distances fitted on and used on; pairs used beyond are marked."""
    rows = [
        [f"{c.block}: {c.pair}", f"{c.fitted[0]:.3f}–{c.fitted[1]:.3f}", f"{c.used[0]:.3f}–{c.used[1]:.3f}", c.frames,
         c.beyond, "<< shorter" if c.used[0] < c.fitted[0] else ("<< longer" if c.beyond else "")]
        for c in listed
    ]  # fmt: skip
    return table_text(["block: pair", "fitted on, Å", "used on, Å", "frames", "beyond", ""], rows)


def predictions(frames: Sequence[Frame], evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Per frame what the model says, for JSON: energy (kcal/mol), stress (kcal/mol/Å³), errors, flags."""
    return [
        {
            "index": f.index, "origin": f.origin, "group": f.group, "energy": e.energy,
            "stress": dict(zip(STRESS_COMPONENTS, e.stress.tolist(), strict=True)), "force_rmse": f.force,
            "energy_error_per_atom": f.energy, "stress_rmse_gpa": f.stress, "out_of_range": list(f.out_of_range),
        }
        for f, e in zip(frame_errors(frames, evaluations), evaluations, strict=True)
    ]  # fmt: skip
