"""What a repr and a notebook show of results and of what they are made from.

A card looks at attributes only and imports nothing of what it describes: so it stands below all of it, and a class
names its card where it is defined.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .display import Card, brief, listed, number_text, regulariser_text
from .units import EV, KCAL_PER_A3_IN_GPA

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MIB: Final = 2**20
KINDS: Final = ("force", "stress", "energy")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _span(low: float, high: float) -> str:
    return f"{low:g}–{high:g}"


def _rms(values: Any) -> float:
    numbers = np.asarray(values, np.float64)
    numbers = numbers[np.isfinite(numbers)]
    return float(np.sqrt(np.mean(numbers**2))) if numbers.size else math.nan


def _notes(notes: Sequence[str]) -> list[tuple[str, str]]:
    return [("note", note) for note in notes[:3]] + ([("notes", f"{len(notes) - 3} more")] if len(notes) > 3 else [])


def _sources(models: Iterable[Any]) -> str:
    return listed([m.source for m in models]) if models else "nothing"


# ---- what is given


def frame_card(frame: Any) -> Card:
    """A frame: what it is made of, its cell and its labels."""
    n = len(frame)
    labels: list[tuple[str, str]] = []
    if frame.energy is not None:
        each = f"{frame.energy / n:.6g} kcal/mol = {frame.energy / n / EV:.6g} eV"
        labels.append(("energy", f"{frame.energy:.8g} kcal/mol; of an atom {each}"))
    if frame.forces is not None:
        most = float(np.abs(frame.forces).max())
        labels.append(("forces", f"RMS {number_text(_rms(frame.forces))}, largest {number_text(most)} kcal/mol/Å"))
    if frame.stress is not None:
        names = ("xx", "yy", "zz", "xy", "xz", "yz")
        values = [f"{c} {number_text(float(x) * KCAL_PER_A3_IN_GPA)}" for c, x in zip(names, frame.stress, strict=True)]
        labels.append(("stress, GPa, positive under compression", ", ".join(values)))
    facts = (("atoms", f"{n}, {frame.formula}"), ("cell", _cell(frame)), *labels, ("group", frame.group))
    return Card(f"Frame {frame.origin}", (*facts, *(() if labels else (("labels", "none"),))))


def _cell(frame: Any) -> str:
    if frame.cell is None:
        return "none: an isolated molecule"
    along = [axis for axis, there in zip("abc", frame.pbc, strict=True) if there]
    a, b, c = np.linalg.norm(frame.cell, axis=1)
    cosines = (frame.cell @ frame.cell.T)[[1, 0, 0], [2, 2, 1]] / np.array([b * c, a * c, a * b])
    angles = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
    text = f"{a:.4g} × {b:.4g} × {c:.4g} Å, {', '.join(f'{x:.4g}°' for x in angles)}"
    return text if len(along) == 3 else f"{text}; it repeats along {' and '.join(along)} alone"


def basis_card(basis: Any) -> Card:
    """A basis: pairs in a line, types in a table."""
    bodies = [f"{sum(t.body == n for t in basis.types)} of {n} atoms" for n in sorted({t.body for t in basis.types})]
    pairs = [
        f"{p.name} {_span(p.rmin, p.rmax)} Å" + ("" if p.morse_lambda is None else f" λ {p.morse_lambda:g}")
        for p in basis.pairs
    ]
    transforms = dict.fromkeys(p.transform for p in basis.pairs)
    facts = [("pairs", listed(pairs)), ("transform", listed(list(transforms))), ("cutoff", str(basis.cutoff))]
    if basis.energies:
        given = listed([f"{e} {x:.8g}" for e, x in basis.energies])
        facts.append(("energies of free atoms that are given, kcal/mol", given))
    return Card(
        f"Basis of {', '.join(basis.elements)}: {_count(len(basis.types), 'type')}, {', '.join(bodies) or 'none'}",
        tuple(facts), ("type", "block", "order", "edges, Å"),
        tuple((t.name, t.block, t.order, _edges(t)) for t in basis.types),
    )  # fmt: skip


def _edges(kind: Any) -> str:
    return listed([f"{e.name} {_span(e.rmin, e.rmax)}" for e in kind.edges], 3) if kind.edges else "–"


def block_card(block: Any) -> Card:
    """A block: its types in a table."""
    rows = tuple((kind.name, kind.order, own.stop - own.start, _edges(kind)) for kind, own in block.spans())
    title = f"Block {block.name}: {_count(block.n_columns, 'column')}"
    return Card(title, (), ("type", "order", "columns", "edges, Å"), rows)


def parameters_card(parameters: Any) -> Card:
    """Parameters: what they are of, and how far they were fitted."""
    basis = parameters.basis
    count = int(np.count_nonzero(parameters.coefficients))
    facts = [
        ("from", parameters.source), ("types", listed([t.name for t in basis.types], 12)),
        ("energies of free atoms, kcal/mol", listed(free_atoms(parameters, 1.0))),
        ("wall", f"{parameters.penalty.scale:g} kcal/mol/Å³ within {parameters.penalty.distance:g} Å of rmin"),
        ("fitted on, Å", listed([f"{k} {a:.3f}–{b:.3f}" for k, (a, b) in parameters.coverage.items()], 5)
         if parameters.coverage else "not known"),
        *_notes(parameters.notes),
    ]  # fmt: skip
    title = f"Parameters of {', '.join(basis.elements)}: {len(parameters.coefficients)} coefficients, {count} not zero"
    return Card(title, tuple(facts))


def model_card(model: Any) -> Card:
    """A model: its parameters."""
    own = parameters_card(model.parameters)
    return Card(own.title.replace("Parameters", "Model", 1), own.facts)


def free_atoms(parameters: Any, factor: float) -> list[str]:
    """The energy of each free atom that parameters state, times a factor."""
    pairs = zip(parameters.columns, parameters.coefficients.tolist(), strict=True)
    return [f"{column.elements[0]} {value * factor:.8g}" for column, value in pairs if not column.powers]


def input_card(job: Any) -> Card:
    """An input: where things come from and where they go."""
    data = [str(job.fm_setup)] if job.fm_setup is not None else [brief(dict(d)) for d in job.data]
    held = [repr(g) for g in job.hold_out]
    held += [f"every {job.hold_out_every}. frame"] if job.hold_out_every is not None else []
    held += [f"{job.hold_out_fraction:g} of the frames"] if job.hold_out_fraction is not None else []
    facts = [
        ("basis", basis_card(job.basis).title), ("data", listed(data, 2)), ("held out", listed(held)),
        ("fit", brief(job.fit)), *((f"fit of {b}", brief(s)) for b, s in job.block_fits.items()),
        ("frozen", listed(job.frozen)), ("rows", str(job.store) if job.keep_rows else "not kept"),
        ("results", str(job.output)), ("executor", f"{job.executor}, {job.workers or 'one worker a core'}"),
        ("search", brief(job.search)), *_notes(job.notes),
    ]  # fmt: skip
    return Card("Input", tuple(facts))


# ---- what is planned and made


def plan_card(plan: Any) -> Card:
    """A plan: blocks in a table, what it needs in lines."""
    found = plan.as_dict()
    left = (("inside an inner cutoff", plan.inside), ("frames left out", plan.skipped),
            ("frames without labels", plan.unlabelled))  # fmt: skip
    facts = [
        ("disk", f"{number_text(plan.disk_bytes / MIB)} MiB"),
        ("memory", f"{number_text(plan.worker_bytes / MIB)} MiB a worker"),
        ("CPU time (estimate)", f"{number_text(plan.seconds)} s"),
        *((what, f"{len(some)}, such as {some[0]}") for what, some in left if some),
    ]  # fmt: skip
    rows = tuple(
        (name, b["frames"], b["tiles"], b["rows"], b["columns"], b["nonzeros"], b["bytes"] / MIB, b["cpu_seconds"])
        for name, b in found["blocks"].items()
    )
    segments, tiles = _count(len(plan.segments), "segment"), _count(found["tiles"], "tile")
    title = f"Plan: {found['frames']} frames in {segments}, {tiles}, policy {plan.policy}"
    return Card(title, tuple(facts), ("block", "frames", "tiles", "rows", "columns", "nonzeros", "MiB", "CPU s"), rows)


def assembly_card(assembly: Any) -> Card:
    """An assembly: the plan, and what of it was there."""
    own = plan_card(assembly.plan)
    done = f"{assembly.computed} tiles, labels and offsets computed, {assembly.present} were complete"
    return Card(f"Assembly {assembly.store.path}: {done}", (("plan", own.title), *own.facts), own.header, own.rows)


def rows_card(rows: Any) -> Card:
    """Design rows: shape, and rows by kind."""
    kinds: dict[str, int] = {}
    for row in rows.rows:
        kinds[row.kind] = kinds.get(row.kind, 0) + 1
    m, n = rows.matrix.shape
    facts = [
        ("frames", str(len({row.frame for row in rows.rows}))),
        ("rows", listed([f"{k} {c}" for k, c in kinds.items()])),
        ("blocks", listed(list(dict.fromkeys(c.block for c in rows.columns)))),
    ]  # fmt: skip
    facts += [("frames left out", listed(rows.skipped))] if rows.skipped else []
    return Card(f"DesignRows: {m} rows × {n} columns", tuple(facts))


def summaries_card(summaries: Any) -> Card:
    """Summaries: rows of each source in a table, without reading any."""
    table: dict[str, dict[str, int]] = {}
    for group in summaries.groups:
        own = table.setdefault(group.source, dict.fromkeys(KINDS, 0))
        own["stress" if group.kind.startswith("stress") else group.kind] += summaries.rows(group)
    facts = [
        ("blocks", listed(summaries.blocks)), ("frozen", _sources(summaries.frozen)), ("folds", brief(summaries.folds)),
        *_notes(summaries.notes),
    ]  # fmt: skip
    title = f"Summaries: {_count(len(summaries.groups), 'group')} of rows, {len(summaries.columns)} columns"
    rows = tuple((source, *own.values()) for source, own in table.items())
    return Card(title, tuple(facts), ("source", *(f"{k} rows" for k in KINDS)), rows)


def view_card(view: Any) -> Card:
    """A view: what would be fitted."""
    facts = [
        ("blocks", listed(view.blocks)), ("frozen", _sources((*view.summaries.frozen, *view.frozen))),
        ("weights", weights_text(view.weights)), ("objective", view.objective), ("rows that count", str(view.counted)),
        ("groups", f"{len(view.factors)} of {len(view.summaries.groups)}"), *_notes(view.notes),
    ]  # fmt: skip
    return Card(f"View: {len(view.kept)} of {len(view.summaries.columns)} columns", tuple(facts))


# ---- what is found


def weights_text(weights: Mapping[str, float]) -> str:
    """Weights with their numbers."""
    return ", ".join(f"{k} {number_text(float(v))}" for k, v in weights.items()) or "1 for every row"


def conditions_text(solution: Any, units: str = "kcal") -> str:
    """What a fit was conditioned on, in one line: regulariser, weights, objective, energies of free atoms."""
    penalty = regulariser_text(solution.regulariser) if solution.regulariser["kind"] != "none" else "no regulariser"
    parts = [penalty, f"weights {weights_text(solution.weights)}", f"objective {solution.objective}"]
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
        ("RMSE over rows that count", number_text(solution.rmse)),
        ("condition (estimate)", f"{number_text(float(solution.condition))}, solved by {solution.method}"),
        ("frozen", listed(list(solution.frozen)) if solution.frozen else "nothing"),
        ("conditioned on", conditions_text(solution)), *([("chosen", listed(chosen))] if chosen else []),
        *_notes(solution.notes),
    ]  # fmt: skip
    rows = tuple((name, r.rows, float(r.target_rms), float(r.rmse)) for name, r in solution.residuals.items())
    title = f"Solution of {solution.block}: {', '.join(solution.blocks)} fitted"
    return Card(title, tuple(facts), ("group of rows", "rows", "RMS of labels", "RMSE"), rows)


def block_fit_card(fit: Any) -> Card:
    """A fit of a block: its solution."""
    own = solution_card(fit.solution)
    return Card(own.title.replace("Solution", "BlockFit", 1), own.facts, own.header, own.rows)


def hierarchy_card(fit: Any) -> Card:
    """A climb: a row for each block."""
    rows = tuple(
        (name, s.n_columns, s.rows, s.rank, s.nonzeros, float(s.rmse), float(s.condition), listed(list(s.frozen), 3))
        for name, s in ((name, own.solution) for name, own in fit.fits.items())
    )
    facts = [("frozen from the start", _sources(fit.frozen)), ("model", parameters_card(fit.model.parameters).title)]
    if fit.left_open.elements:
        facts.append(("energies of free atoms that no frame determines", listed(fit.left_open.elements)))
    header = ("block", "columns", "rows", "rank", "nonzero", "RMSE", "condition", "frozen")
    return Card(f"HierarchyFit of {listed(list(fit.fits))}", tuple(facts), header, rows)


def evaluation_card(found: Any) -> Card:
    """What a model says of a frame."""
    most = float(np.abs(found.forces).max())
    facts = [
        ("forces", f"RMS {number_text(_rms(found.forces))}, largest {number_text(most)} kcal/mol/Å"),
        ("stress, GPa", ", ".join(number_text(float(x) * KCAL_PER_A3_IN_GPA) for x in found.stress)),
        ("out of range", listed(found.out_of_range, 3)),
    ]  # fmt: skip
    return Card(f"Evaluation: {found.energy:.8g} kcal/mol, {len(found.forces)} atoms", tuple(facts))


def prediction_card(found: Any) -> Card:
    """A prediction with its standard deviations."""
    mean, total = found.mean, found.total
    facts = [
        ("energy", f"{mean.energy:.8g} ± {number_text(float(total.energy))} kcal/mol"),
        ("forces", f"RMS {number_text(_rms(mean.forces))} ± {number_text(_rms(total.forces))} kcal/mol/Å"),
        ("stress", f"RMS {number_text(_rms(mean.stress) * KCAL_PER_A3_IN_GPA)} ± "
                   f"{number_text(_rms(total.stress) * KCAL_PER_A3_IN_GPA)} GPa"),
        ("leverage", f"sum {number_text(found.leverage_sum)}, largest {number_text(found.leverage_max)}"),
        ("out of range", listed(mean.out_of_range, 3)),
    ]  # fmt: skip
    return Card(f"Prediction of {found.origin}, ± one standard deviation", tuple(facts))


def posterior_card(found: Any) -> Card:
    """A posterior: the solution, and the noise of each kind in a table."""
    own = solution_card(found.solution)
    units = {"force": "kcal/mol/Å", "stress": "kcal/mol/Å³", "energy": "kcal/mol/atom"}
    rows = tuple(
        (kind, float(n.noise), units[kind], float(n.scale), n.rows, "held out" if n.held_out else "the fit's own")
        for kind, n in found.noise.items()
    )
    title = own.title.replace("Solution", "ModelPosterior", 1)
    return Card(title, own.facts, ("kind", "noise", "", "scale", "rows", "told by rows"), rows)


def committee_card(found: Any) -> Card:
    """A committee: its members, and how far apart they are."""
    values = np.array([m.coefficients for m in found.members])
    apart = float(np.linalg.norm(values - values.mean(axis=0))) / max(float(np.linalg.norm(values)), 1e-300)
    facts = [
        ("members", listed([m.source for m in found.members], 3)), ("frozen", _sources(found.frozen)),
        ("spread of coefficients", f"{number_text(100.0 * apart)} % of their length"), *_notes(found.notes),
    ]  # fmt: skip
    return Card(f"Committee of {len(found.members)}, by {found.kind}", tuple(facts))


def held_out_card(found: Any) -> Card:
    """Held-out errors by composition."""
    kinds = found.values("kind")
    rows = tuple((name, *(table[k] for k in kinds)) for name, table in found.table().items())
    units = {"force": "kcal/mol/Å", "stress": "GPa", "energy": "kcal/mol/atom"}
    folds = len([f for f in found.values("fold") if f >= 0])
    title = f"HeldOut: RMSE of {int(found.rows.sum())} rows" + (f" in {folds} folds" if folds else "")
    return Card(title, (), ("composition", *(f"{k}\n{units[k]}" for k in kinds)), rows)


def validation_card(found: Any) -> Card:
    """A cross-validated fit: held-out errors."""
    facts = [("columns", str(len(found.view.kept))), ("nonzero, by fold", listed(found.nonzeros))]
    title = f"CrossValidation of {brief(found.regulariser)}"
    if found.errors is None:
        return Card(title, (*facts, ("failed", found.failed)))
    own = held_out_card(found.errors)
    return Card(title, (*facts, ("errors", own.title)), own.header, own.rows)


STAGE_HEADER: Final = (
    "stage", "frames", "models", "not\nfitted", "lowest\nscore", "chosen\nscore", "nonzero", "µs/atom", "chosen"
)  # fmt: skip


def _stage_row(stage: Any) -> tuple[Any, ...]:
    chosen = stage.chosen
    lost = sum(1 for c in stage.found.candidates if c.failed)
    return (
        stage.name, stage.frames, len(stage.found.candidates), lost, float(stage.best.score), float(chosen.score),
        float(chosen.mean_nonzeros), 1e6 * float(chosen.cost), regulariser_text(chosen.choice.regulariser),
    )  # fmt: skip


def search_card(found: Any) -> Card:
    """A search: a row for each stage."""
    settings = found.settings
    facts = [
        ("strategy", f"{settings.strategy}, rule {settings.rule}"), ("folds", brief(settings.folds)),
        ("model", parameters_card(found.model.parameters).title),
        ("scores", "geometric mean of held-out RMSE in kcal/mol, Å and GPa"),
    ]  # fmt: skip
    title = f"SearchResult: {_count(len(found.stages), 'stage')}{', all at once' if found.all_at_once else ''}"
    return Card(title, tuple(facts), STAGE_HEADER, tuple(map(_stage_row, found.stages)))


def stage_card(stage: Any) -> Card:
    """A stage of a search: the models with the lowest scores."""
    fine = sorted((c for c in stage.found.candidates if not c.failed), key=lambda c: c.score)
    rows = tuple(
        ("chosen" if c is stage.chosen else "lowest" if c is stage.best else "", float(c.score),
         float(c.standard_error), float(c.mean_nonzeros), 1e6 * float(c.cost), regulariser_text(c.choice.regulariser))
        for c in fine
    )  # fmt: skip
    facts = (("blocks", listed(stage.blocks)), ("frozen", _sources(stage.frozen)), ("frames", str(stage.frames)))
    header = ("", "score", "±", "nonzero", "µs/atom", "regulariser")
    return Card(f"Stage {stage.name}: {len(stage.found.candidates)} models", facts, header, rows)
