"""What a search says: tables for people, one object for JSON, and a plot of error against cost of evaluation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from ..model_selection.fold_checks import folds_text
from ..text.display import brief, number_text, regulariser_text, table_text
from ..text.words import count_text
from .figures import COLOURS, GREY, add_legend, new_figure, save_figure
from .report import ENERGY_UNITS, FORCE_UNITS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..model_selection.choice import Candidate
    from ..model_selection.search_settings import Choice
    from ..model_selection.search_stages import SearchResult, Stage

MOST: Final = 10
"""Models of a table."""

MOST_ACROSS: Final = 4
"""Panels of a row of the figure."""

WIDE: Final = 20.0

_DESCRIBED: Final = ("orders", "exclude", "weights", "objective", "regulariser")
"""Axes that have words of their own in the name of a model."""

MARKS: Final = {"chosen": "→ ", "best": "* "}


def search_text(result: SearchResult, units: str = "kcal", most: int = MOST) -> str:
    """The models of each stage with the lowest scores, the chosen one marked, and what the guard kept out."""
    parts = [_stage_text(stage, units, most) for stage in result.stages]
    settings = result.settings
    rule = {
        "best": "the lowest score",
        "one_se": "the cheapest to evaluate within one standard error of the lowest score, no composition worse by "
        "more than its own; of several that cost alike the most regularised one (fewest nonzero coefficients, then the "
        "strongest of its kind)",
    }[settings.rule]
    if settings.rule == "one_se" and settings.folds.split == "system":
        rule += "; by systems, within one standard error of the ratio of scores fold by fold, too"
    force, energy = FORCE_UNITS[units][0], ENERGY_UNITS[units][0]
    parts.append(
        f"{MARKS['chosen']}chosen: {rule}; {MARKS['best']}lowest score. Held-out RMSE ± standard error over "
        f"{settings.folds.count} folds by {settings.folds.split}: forces in {force}, energies in {energy}, stresses in "
        "GPa; score: their geometric mean in kcal/mol, Å and GPa; nonzero: coefficients, mean of the folds"
    )
    if result.systems:
        parts.append("left out together: " + folds_text(settings.folds, result.systems))
    return "\n\n".join(parts)


def _stage_text(stage: Stage, units: str, most: int) -> str:
    selection = stage.selection
    describe = describer([c.choice for c in selection.candidates])
    fine = sorted(
        (i for i, c in enumerate(selection.candidates) if not c.failed),
        key=lambda i: (selection.candidates[i].score, i),
    )
    shown = fine[:most] + [selection.chosen] * (selection.chosen not in fine[:most])
    factors = {"force": FORCE_UNITS[units][1], "energy": ENERGY_UNITS[units][1], "stress": 1.0}
    kinds = list(selection.candidates[selection.best].kinds)
    rows = []
    for i in shown:
        c = selection.candidates[i]
        mark = MARKS["chosen"] if i == selection.chosen else MARKS["best"] if i == selection.best else "  "
        errors = [pm(c.kinds[k][0] * factors[k], c.kinds[k][1] * factors[k]) for k in kinds]
        nonzeros = f"{c.mean_nonzeros:.0f} of {c.columns}"
        rows.append(
            [mark + describe(c.choice), pm(c.score, c.standard_error), *errors, nonzeros, f"{1e6 * c.cost:.3g}"]
        )
    counts = ", ".join(f"{n:,} {k}".replace(",", " ") for k, n in stage.rows.items())
    frozen = ", ".join(p.source for p in stage.frozen) or "nothing"
    name = stage.name if len(stage.blocks) == 1 else f"{stage.name} ({', '.join(stage.blocks)} together)"
    text = [
        f"{name}: {count_text(len(selection.candidates), 'model')} on {count_text(stage.frames, 'frame')} "
        f"({counts} rows), {frozen} frozen",
        table_text(["model", "score", *kinds, "nonzero", "µs/atom"], rows),
    ]
    text += selection.notes
    if len(fine) > len(shown):
        text.append(f"… and {len(fine) - len(shown)} more with higher scores")
    kept_out = [(c, c.rejected) for c in selection.candidates if c.rejected]
    lost = [(c, c.failed) for c in selection.candidates if c.failed]
    for what, some in (("kept out, for a composition gets worse", kept_out), ("could not be fitted", lost)):
        text += [f"{what}: {describe(c.choice)}: {why}" for c, why in some[:5]]
        if len(some) > 5:
            text.append(f"{what}: {len(some) - 5} more")
    return "\n".join(text)


def pm(value: float, error: float) -> str:
    """A value and its standard error, which decides on the digits; a dash where there is none."""
    if math.isnan(value):
        return "–"
    if not (math.isfinite(error) and error > 0.0):
        return number_text(value)
    if not (error >= 1e-5 and abs(value) < 1e6):
        return f"{number_text(value)} ± {error:.2g}"
    places = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{places}f} ± {error:.{places}f}"


def describer(choices: Sequence[Choice]) -> Any:
    """A function that says of a choice what some others have otherwise."""
    plain = [c.as_dict() for c in choices]
    vary = {axis: len({repr(p[axis]) for p in plain}) > 1 for axis in plain[0]} if plain else {}
    tables = [p["weights"] for p in plain if not isinstance(p["weights"], str)]
    names = {n for t in tables for n in t}
    moving = {n for n in names if len(tables) < len(plain) or len({t.get(n, 1.0) for t in tables}) > 1}

    def describe(choice: Choice) -> str:
        parts = []
        if vary["orders"]:
            parts.append(_orders(choice.orders))
        if vary["exclude"]:
            parts.append("without " + "+".join(choice.exclude) if choice.exclude else "all types")
        if isinstance(choice.weights, str):
            parts += [f"{choice.weights} weights"] * vary["weights"]
        else:
            parts += [f"{n} × {choice.weights.get(n, 1.0):g}" for n in sorted(moving)]
        if vary["objective"]:
            parts.append(choice.objective)
        others = [axis for axis in vary if vary[axis] and axis not in _DESCRIBED]
        parts += [f"{axis} {brief(getattr(choice, axis))}" for axis in others]
        if vary["regulariser"] or not parts:
            parts.append(regulariser_text(choice.regulariser))
        return ", ".join(parts)

    return describe


def _orders(value: Any) -> str:
    if value is None:
        return "all orders"
    if isinstance(value, dict):
        return " ".join(f"{k}:{_orders(v) if isinstance(v, list) else v}" for k, v in value.items()) or "all orders"
    return "/".join(map(str, value))


def plot_search(path: Path, result: SearchResult) -> tuple[Path, ...]:
    """Write :func:`search_figure` as a PNG and a PDF; returns their paths. Needs matplotlib."""
    return save_figure(search_figure(result), path)


def search_figure(result: SearchResult) -> Any:
    """Error ± standard error against cost of evaluation, one panel a stage, with the front of Pareto.

    A model is on the front if none that may be chosen is both cheaper and better. Axes are logarithmic where what they
    show differs by more than a factor of 20.
    """
    stages = result.stages
    across = min(len(stages), MOST_ACROSS)
    down = -(-len(stages) // across)
    figure = new_figure(max(4.8 * across, 6.0), 4.0 * down + 0.6)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for ax in axes[len(stages) :]:
        ax.remove()
    handles: dict[str, Any] = {}
    for ax, stage in zip(axes, stages, strict=False):
        handles |= _draw_stage(ax, stage)
    add_legend(figure, handles)
    return figure


def _draw_stage(ax: Any, stage: Stage) -> dict[str, Any]:
    """What a panel has to say for the legend."""
    selection = stage.selection
    fine = [c for c in selection.candidates if not c.failed]
    handles: dict[str, Any] = {}
    looks = ((False, COLOURS[5], "models ± standard error"), (True, GREY, "kept out by the guard"))
    for kept_out, colour, label in looks:
        shown = [c for c in fine if bool(c.rejected) == kept_out]
        if shown:
            handles[label] = ax.errorbar(*_points(shown), fmt=".", ms=5, lw=0.7, alpha=0.7, color=colour, zorder=2)
    front = pareto([c for c in fine if not c.rejected])
    # what costs more need not be worse than the last of them
    costs, scores = [c.cost for c in front] + [max(c.cost for c in fine)], [c.score for c in front] + [front[-1].score]
    (handles["Pareto front"],) = ax.plot(
        [1e6 * c for c in costs], scores, "-", drawstyle="steps-post", lw=1.2, color=COLOURS[0], zorder=3
    )
    best, chosen = stage.best, stage.chosen
    if math.isfinite(best.standard_error):
        handles["lowest + its standard error"] = ax.axhline(
            best.score + best.standard_error, lw=0.8, ls="--", color="k", zorder=1
        )
    for label, model, look in (
        ("lowest", best, {"marker": "o", "ms": 9, "mec": COLOURS[4]}),
        ("chosen", chosen, {"marker": "s", "ms": 12, "mec": COLOURS[1]}),
    ):
        (handles[label],) = ax.plot([1e6 * model.cost], [model.score], ls="", mfc="none", mew=1.6, zorder=4, **look)
    lost = len(selection.candidates) - len(fine)
    title = f"{stage.name}: {count_text(len(selection.candidates), 'model')}" + (f", {lost} not fitted" if lost else "")
    title += f"\nlowest {pm(best.score, best.standard_error)}, chosen {pm(chosen.score, chosen.standard_error)}"
    score = "held-out score (kcal/mol, Å, GPa)"
    ax.set_title(title, fontsize="medium")
    ax.set(xlabel="cost of evaluation, µs/atom (estimate)", ylabel=score)
    for axis, values in (("x", [c.cost for c in fine]), ("y", [c.score for c in fine])):
        if min(values) > 0.0 and max(values) > WIDE * min(values):
            ax.set(**{f"{axis}scale": "log"})
    return handles


def pareto(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The models that no other is both cheaper and better than: the cheapest first, each better than those before."""
    front: list[Candidate] = []
    for c in sorted(candidates, key=lambda c: (c.cost, c.score)):
        if not front or c.score < front[-1].score:
            front.append(c)
    return front


def _points(candidates: Sequence[Candidate]) -> tuple[list[float], list[float], list[float]]:
    costs, scores = [1e6 * c.cost for c in candidates], [c.score for c in candidates]
    return costs, scores, [0.0 if math.isnan(c.standard_error) else c.standard_error for c in candidates]
