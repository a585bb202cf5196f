"""What a repr and a notebook show of fits, searches, predictions and their errors, as ``cards`` do of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..units import EV, KCAL_PER_A3_IN_GPA
from .cards import free_atoms, notes_of, parameters_card, rms_of, row_weights_text, sources_text, weights_text
from .display import Card, brief, listed, number_text, regulariser_text
from .words import count_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def conditions_text(solution: Any, units: str = "kcal") -> str:
    """What a fit was conditioned on, in one line: regulariser, weights, objective, energies of free atoms."""
    penalty = regulariser_text(solution.regulariser) if solution.regulariser["kind"] != "none" else "no regulariser"
    own = f", and of single rows: {row_weights_text(solution.row_weights)}" if solution.row_weights else ""
    parts = [penalty, f"weights {weights_text(solution.weights)}{own}", f"objective {solution.objective}"]
    factor, unit = (1.0 / EV, "eV") if units == "eV" else (1.0, "kcal/mol")
    if atoms := free_atoms(solution.parameters, factor):
        parts.append(f"energies of free atoms in it, {unit}: {', '.join(atoms)}")
    return "; ".join(parts)


def solution_card(solution: Any) -> Card:
    """A solution: what it was conditioned on, and what it leaves of each group of rows."""
    chosen = [f"{k} {number_text(float(v))}" for k, v in solution.hyperparameters.items()]
    facts = [
        ("columns", f"{solution.n_columns}, rank {solution.rank}, {solution.nonzeros} not zero"),
        ("rows", f"{solution.rows}, of which the objective counts {solution.n_counted}"),
        ("RMSE of counted rows (kcal/mol, Å; all kinds)", number_text(solution.rmse)),
        ("condition (estimate)", f"{number_text(float(solution.condition))}, solved by {solution.method}"),
        ("frozen", listed(list(solution.frozen)) if solution.frozen else "nothing"),
        ("conditioned on", conditions_text(solution)), *([("chosen", listed(chosen))] if chosen else []),
        *notes_of(solution.notes),
    ]  # fmt: skip
    rows = tuple((name, r.rows, float(r.target_rms), float(r.rmse)) for name, r in solution.residuals.items())
    title = f"Solution of {solution.block}: {', '.join(solution.blocks)} fitted"
    return Card(title, tuple(facts), ("group of rows", "rows", "RMS of labels", "RMSE"), rows)


def block_fit_card(fit: Any) -> Card:
    """A fit of a block: its solution."""
    card = solution_card(fit.solution)
    return Card(card.title.replace("Solution", "BlockFit", 1), card.facts, card.header, card.rows)


def hierarchy_card(fit: Any) -> Card:
    """A climb: a row for each block."""
    rows = tuple(
        (
            name,
            s.n_columns,
            s.rows,
            s.rank,
            s.nonzeros,
            float(s.rmse),
            float(s.condition),
            listed(list(s.frozen), 3) if s.frozen else "nothing",
        )
        for name, s in ((name, fitted.solution) for name, fitted in fit.fits.items())
    )
    model = parameters_card(fit.model.parameters).title
    facts = [("frozen from the start", sources_text(fit.frozen)), ("model", model)]
    if fit.left_open.elements:
        facts.append(("energies of free atoms that no frame determines", listed(fit.left_open.elements)))
    header = ("block", "columns", "rows", "rank", "nonzero", "RMSE", "condition", "frozen")
    return Card(f"HierarchyFit of {listed(list(fit.fits))}", tuple(facts), header, rows)


def evaluation_card(evaluation: Any) -> Card:
    """What a model says of a frame."""
    most = float(np.abs(evaluation.forces).max())
    facts = [
        ("forces", f"RMS {number_text(rms_of(evaluation.forces))}, largest {number_text(most)} kcal/mol/Å"),
        ("stress, GPa", ", ".join(number_text(float(x) * KCAL_PER_A3_IN_GPA) for x in evaluation.stress)),
        ("out of range", listed(evaluation.out_of_range, 3)),
    ]  # fmt: skip
    return Card(f"Evaluation: {evaluation.energy:.8g} kcal/mol, {len(evaluation.forces)} atoms", tuple(facts))


def prediction_card(prediction: Any) -> Card:
    """A prediction with its standard deviations."""
    mean, total = prediction.mean, prediction.total
    facts = [
        ("energy", f"{mean.energy:.8g} ± {number_text(float(total.energy))} kcal/mol"),
        ("forces", f"RMS {number_text(rms_of(mean.forces))} ± {number_text(rms_of(total.forces))} kcal/mol/Å"),
        ("stress", f"RMS {number_text(rms_of(mean.stress) * KCAL_PER_A3_IN_GPA)} ± "
                   f"{number_text(rms_of(total.stress) * KCAL_PER_A3_IN_GPA)} GPa"),
        ("leverage", f"sum {number_text(prediction.leverage_sum)}, largest {number_text(prediction.leverage_max)}"),
        ("out of range", listed(mean.out_of_range, 3)),
    ]  # fmt: skip
    return Card(f"Prediction of {prediction.origin}, ± one standard deviation", tuple(facts))


def posterior_card(posterior: Any) -> Card:
    """A posterior: the solution, and the noise of each kind in a table."""
    card = solution_card(posterior.solution)
    title = card.title.replace("Solution", "ModelPosterior", 1)
    return _noise_card(title, card.facts, posterior.noise)


def block_posterior_card(given: Any) -> Card:
    """What a fit leaves open: its size, and the noise of each kind in a table."""
    facts = (
        ("coefficients that may move", str(len(given.columns))),
        ("deviation at leverage 1", f"{given.deviation:.4g} kcal/mol/Å"),
        ("held on probe structures", "yes" if given.probed else "no"),
        *([("file", given.source)] if given.source else []),
    )
    return _noise_card(f"BlockPosterior of {', '.join(given.blocks)}", facts, given.noise)


def _noise_card(title: str, facts: tuple[tuple[str, Any], ...], noise: Mapping[str, Any]) -> Card:
    """The noise of each kind in a table."""
    units = {"force": "kcal/mol/Å", "stress": "kcal/mol/Å³", "energy": "kcal/mol/atom"}
    rows = tuple(
        (kind, float(n.noise), units[kind], float(n.scale), n.rows, "held out" if n.held_out else "the fit's own")
        for kind, n in noise.items()
    )
    said = notes_of([note for n in noise.values() if (note := n.shared_note())])
    return Card(title, (*facts, *said), ("kind", "noise", "", "scale", "rows", "told by rows"), rows)


def committee_card(committee: Any) -> Card:
    """A committee: its members, and how far apart they are."""
    values = np.array([m.coefficients for m in committee.members])
    apart = float(np.linalg.norm(values - values.mean(axis=0))) / max(float(np.linalg.norm(values)), 1e-300)
    facts = [
        ("members", listed([m.source for m in committee.members], 3)), ("frozen", sources_text(committee.frozen)),
        ("spread of coefficients", f"{number_text(100.0 * apart)} % of their length"), *notes_of(committee.notes),
    ]  # fmt: skip
    return Card(f"Committee of {len(committee.members)}, by {committee.kind}", tuple(facts))


def held_out_card(held_out: Any) -> Card:
    """Held-out errors by composition."""
    kinds = held_out.values("kind")
    rows = tuple((name, *(table[k] for k in kinds)) for name, table in held_out.table().items())
    units = {"force": "kcal/mol/Å", "stress": "GPa", "energy": "kcal/mol/atom"}
    folds = len([f for f in held_out.values("fold") if f >= 0])
    title = f"HeldOut: RMSE of {int(held_out.rows.sum())} rows" + (f" in {folds} folds" if folds else "")
    return Card(title, (), ("composition", *(f"{k}\n{units[k]}" for k in kinds)), rows)


def validation_card(validation: Any) -> Card:
    """A cross-validated fit: held-out errors."""
    facts = [("columns", str(len(validation.view.kept))), ("nonzero, by fold", listed(validation.nonzeros))]
    title = f"CrossValidation of {brief(validation.regulariser)}"
    if validation.errors is None:
        return Card(title, (*facts, ("failed", validation.failed)))
    card = held_out_card(validation.errors)
    return Card(title, (*facts, ("errors", card.title)), card.header, card.rows)


STAGE_HEADER: Final = (
    "stage", "frames", "models", "not\nfitted", "lowest\nscore", "chosen\nscore", "nonzero", "µs/atom", "chosen"
)  # fmt: skip


def _stage_row(stage: Any) -> tuple[Any, ...]:
    chosen = stage.chosen
    lost = sum(1 for c in stage.selection.candidates if c.failed)
    return (
        stage.name, stage.frames, len(stage.selection.candidates), lost, float(stage.best.score), float(chosen.score),
        float(chosen.mean_nonzeros), 1e6 * float(chosen.cost), regulariser_text(chosen.choice.regulariser),
    )  # fmt: skip


def search_card(result: Any) -> Card:
    """A search: a row for each stage."""
    settings = result.settings
    facts = [
        ("strategy", f"{settings.strategy}, rule {settings.rule}"), ("folds", brief(settings.folds)),
        ("model", parameters_card(result.model.parameters).title),
        ("scores", "geometric mean of held-out RMSE in kcal/mol, Å and GPa"),
    ]  # fmt: skip
    title = f"SearchResult: {count_text(len(result.stages), 'stage')}{', all at once' if result.all_at_once else ''}"
    return Card(title, tuple(facts), STAGE_HEADER, tuple(map(_stage_row, result.stages)))


def stage_card(stage: Any) -> Card:
    """A stage of a search: the models with the lowest scores."""
    fine = sorted((c for c in stage.selection.candidates if not c.failed), key=lambda c: c.score)
    rows = tuple(
        ("chosen" if c is stage.chosen else "lowest" if c is stage.best else "", float(c.score),
         float(c.standard_error), float(c.mean_nonzeros), 1e6 * float(c.cost), regulariser_text(c.choice.regulariser))
        for c in fine
    )  # fmt: skip
    facts = (
        ("blocks", listed(stage.blocks)), ("frozen", sources_text(stage.frozen)), ("frames", str(stage.frames)),
        *(("grid", note) for note in stage.selection.notes),
    )  # fmt: skip
    header = ("", "score", "±", "nonzero", "µs/atom", "regulariser")
    return Card(f"Stage {stage.name}: {count_text(len(stage.selection.candidates), 'model')}", facts, header, rows)


SOME: Final = 10
"""Points of a path or grid that are shown."""


def lasso_path_card(path: Any) -> Card:
    """A LASSO path: some of its knots, those with the lowest criteria among them."""
    least = {name: path.best(name) for name in ("aic", "bic")}
    columns = ("lams", "nonzeros", "degrees_of_freedom", "residual_norm2", "aic", "bic")
    facts = (
        ("λ", f"{number_text(float(path.lams[0]))} to {number_text(path.exact_to)}, exact in between"),
        ("rows", str(path.rows)), ("columns", str(path.coefficients.shape[1])),
    )  # fmt: skip
    header = ("knot", "λ", "nonzero", "degrees of\nfreedom", "‖A c − b‖²", "AIC", "BIC", "lowest")
    title = f"LassoPath: {count_text(len(path.lams), 'knot')}"
    return Card(title, facts, header, _points(path, columns, least))


def ridge_grid_card(grid: Any) -> Card:
    """A ridge grid: some of its alphas, the one with the lowest GCV among them."""
    least = {"gcv": grid.best} if np.isfinite(grid.gcv).any() else {}
    columns = ("alphas", "degrees_of_freedom", "residual_norm2", "gcv", "condition")
    facts = (("rows counted", f"{grid.n_counted:g}"), ("columns", str(grid.coefficients.shape[1])))
    header = ("point", "alpha", "degrees of\nfreedom", "‖A c − b‖²", "GCV", "condition", "lowest")
    return Card(f"RidgeGrid: {count_text(len(grid.alphas), 'alpha')}", facts, header, _points(grid, columns, least))


def _points(curve: Any, columns: Sequence[str], least: Mapping[str, int]) -> tuple[tuple[Any, ...], ...]:
    """Rows of a table: evenly spaced points and those where a criterion is lowest, which the last cell names."""
    count = len(getattr(curve, columns[0]))
    spaced = np.linspace(0, count - 1, min(count, SOME)).round().astype(int).tolist()
    return tuple(
        (i, *(getattr(curve, c)[i] for c in columns), ", ".join(name.upper() for name, at in least.items() if at == i))
        for i in sorted({*spaced, *least.values()})
    )


def check_card(check: Any) -> Card:
    """What a person wants to know of a check of a model: what failed first."""
    rows = sorted(check.rows, key=lambda r: ("fail", "warn", "not checked", "pass").index(r.verdict))
    shown = tuple((r.what, r.elements, r.value, r.unit, r.limit, r.verdict) for r in rows)
    return Card(
        f"ModelCheck of {check.source}: {check.summary}",
        header=("check", "elements", "value", "unit", "limit", "verdict"),
        rows=shown,
    )
