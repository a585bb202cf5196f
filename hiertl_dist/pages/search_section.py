"""The section on a search: every model of each stage, as a table that sorts, and error against cost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..fitting.mean_model import QUANTITIES
from ..jobs.report import unit_of
from ..jobs.search_report import search_figure
from ..model_selection.choice import Candidate
from ..text.display import brief, number_text, regulariser_text
from ..text.words import count_text
from . import drawings
from .model_sections import file_name
from .pieces import Figure, Section, Table, Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .findings import Findings
    from .pieces import Piece

AXES: Final = ("regulariser", "orders", "exclude", "weights", "objective", "prior")
RULES: Final = {
    "best": "the lowest score",
    "one_se": "the cheapest to evaluate within one standard error of the lowest score",
}  # fmt: skip


def search_section(findings: Findings, *, draw: bool) -> Section:
    """Candidates of every stage, with the one that was chosen."""
    search = findings.search
    if not search:
        text = "a search; the results are of a fit or an evaluation, and hiertl-dist search compares models"
        return Section("search", "Search", (Text(text, "absent"),))
    settings = search["settings"]
    folds = settings["folds"]
    units = [unit_of(kind, findings.units) for kind in QUANTITIES]
    pieces: list[Piece] = [Text(
        f"Chosen: {RULES.get(settings['rule'], settings['rule'])}. Held-out errors over {folds['count']} folds by "
        f"{folds['split']}; the score is their geometric mean in kcal/mol, Å and GPa. The chosen model of a stage "
        "stands out in its table; titles of columns sort it."
    )]  # fmt: skip
    if draw:
        stages: Any = SimpleNamespace(stages=[_stage(s) for s in search["stages"]])
        picture = drawings.svg_bytes(search_figure(stages))
        said = "; ".join(
            f"{s['name']}: lowest score {number_text(s['candidates'][s['best']]['score'])}, chosen "
            f"{number_text(s['chosen']['score'])}"
            for s in search["stages"]
        )
        caption = "Held-out score against cost of evaluation, a panel for each stage, with the Pareto front."
        pieces.append(Figure(caption, f"{caption} {said}.", picture))
    titles = [x for k, (u, _) in zip(QUANTITIES, units, strict=True) for x in (f"{k}, {u}", f"± {k}")]
    header = ("model", "remark", "score", "±", *titles, "columns", "nonzero", "µs/atom")
    for stage in search["stages"]:
        candidates = stage["candidates"]
        rows = [_row(c, i, stage, name, units) for i, (c, name) in
                enumerate(zip(candidates, described(candidates), strict=True))]  # fmt: skip
        table = file_name(f"search_{stage['name']}")
        caption = (
            f"{stage['name']}: {count_text(len(candidates), 'model')} on {count_text(stage['frames'], 'frame')}, "
            f"blocks {', '.join(stage['blocks'])}; held-out RMSE and their standard errors."
        )
        pieces.append(Table(table, caption, header, rows, frozenset({stage["chosen"]["index"]})))
    return Section("search", "Search", tuple(pieces))


def _row(
    c: Mapping[str, Any], i: int, stage: Mapping[str, Any], name: str, units: Sequence[tuple[str, float]]
) -> tuple[Any, ...]:
    errors: list[float] = []
    for kind, (_, factor) in zip(QUANTITIES, units, strict=True):
        own = c["errors"].get(kind, {})
        errors += [_float(own.get("rmse")) * factor, _float(own.get("standard_error")) * factor]
    remarks = [word for word, at in (("chosen", stage["chosen"]["index"]), ("lowest score", stage["best"])) if i == at]
    remarks += [f"{what}: {c[key]}" for key, what in (("failed", "not fitted"), ("rejected", "kept out")) if c[key]]
    nonzeros = float(np.mean(c["nonzeros"])) if c["nonzeros"] else float("nan")
    score = (_float(c["score"]), _float(c["standard_error"]))
    return (name, ", ".join(remarks), *score, *errors, c["columns"], nonzeros, 1e6 * c["cost_seconds_per_atom"])


def _float(value: Any) -> float:
    return float("nan") if value is None else float(value)


def described(candidates: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each model has otherwise than some others, in words."""
    vary = [axis for axis in AXES if len({repr(c.get(axis)) for c in candidates}) > 1] or ["regulariser"]
    return [", ".join(_said(axis, c.get(axis)) for axis in vary) for c in candidates]


def _said(axis: str, value: Any) -> str:
    if axis == "regulariser":
        return regulariser_text(value)
    if axis == "exclude":
        return f"without {'+'.join(value)}" if value else "all types"
    if axis == "orders":
        return "all orders" if value is None else f"orders {brief(value)}"
    return f"{axis} {value if isinstance(value, str) else brief(value)}"


def _stage(stage: Mapping[str, Any]) -> Any:
    """What the figure asks of a stage."""
    listed = [
        Candidate(
            None, c["columns"], c["cost_seconds_per_atom"], _float(c["score"]), _float(c["standard_error"]),  # type: ignore[arg-type]
            failed=c["failed"], rejected=c["rejected"],
        )
        for c in stage["candidates"]
    ]  # fmt: skip
    chosen, best = listed[stage["chosen"]["index"]], listed[stage["best"]]
    return SimpleNamespace(name=stage["name"], selection=SimpleNamespace(candidates=listed), chosen=chosen, best=best)
