"""What a repr and a notebook show of results and of what they are made from.

A card looks at attributes only and imports nothing of what it describes: so it stands below all of it, and a class
names its card where it is defined.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..units import EV, KCAL_PER_A3_IN_GPA
from .display import Card, brief, listed, number_text
from .words import count_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MIB: Final = 2**20
KINDS: Final = ("force", "stress", "energy")
MOST_IMPORTS: Final = 5


def span_text(low: float, high: float) -> str:
    """A range of distances."""
    return f"{low:g}–{high:g}"


def rms_of(values: Any) -> float:
    """Root mean square of what is finite, NaN of nothing."""
    numbers = np.asarray(values, np.float64)
    numbers = numbers[np.isfinite(numbers)]
    return float(np.sqrt(np.mean(numbers**2))) if numbers.size else math.nan


def notes_of(notes: Sequence[str]) -> list[tuple[str, str]]:
    """The first notes, a line each, and how many more there are."""
    return [("note", note) for note in notes[:3]] + ([("notes", f"{len(notes) - 3} more")] if len(notes) > 3 else [])


def sources_text(models: Iterable[Any]) -> str:
    """Where models came from."""
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
        labels.append(("forces", f"RMS {number_text(rms_of(frame.forces))}, largest {number_text(most)} kcal/mol/Å"))
    if frame.stress is not None:
        names = ("xx", "yy", "zz", "xy", "xz", "yz")
        values = [f"{c} {number_text(float(x) * KCAL_PER_A3_IN_GPA)}" for c, x in zip(names, frame.stress, strict=True)]
        labels.append(("stress, GPa, positive under compression", ", ".join(values)))
    facts = (("atoms", f"{n}, {frame.formula}"), ("cell", _cell(frame)), *labels, ("group", frame.group))
    return Card(f"Frame {frame.origin}", (*facts, *(() if labels else (("labels", "none"),))))


def _cell(frame: Any) -> str:
    if frame.cell is None:
        return "none: an isolated molecule"
    along = [axis for axis, repeats in zip("abc", frame.pbc, strict=True) if repeats]
    a, b, c = np.linalg.norm(frame.cell, axis=1)
    cosines = (frame.cell @ frame.cell.T)[[1, 0, 0], [2, 2, 1]] / np.array([b * c, a * c, a * b])
    angles = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
    text = f"{a:.4g} × {b:.4g} × {c:.4g} Å, {', '.join(f'{x:.4g}°' for x in angles)}"
    return text if len(along) == 3 else f"{text}; it repeats along {' and '.join(along)} alone"


def frames_card(frames: Any) -> Card:
    """Frames in an order, in memory or on disk: their element sets in a table. No frame is looked at."""
    facts = frames.facts
    atoms = facts.n_atoms.astype(np.int64)
    counts = np.bincount(facts.group, minlength=len(facts.group_names)).tolist()
    numbers = dict(zip(facts.group_names, counts, strict=True))
    labels = {"energy": facts.has_energy, "forces": facts.has_forces, "stress": facts.labels >= 4,
              "no label": facts.labels == 0}  # fmt: skip
    imports = getattr(frames, "imports", ())
    own = [
        *((("folder", _folder_text(frames)),) if imports else ()),
        ("groups of frames", listed([f"{name} ({numbers[name]})" for name in facts.groups()])),
        ("frames with", listed([f"{label} ({int(has.sum())})" for label, has in labels.items() if has.any()])),
        *(("imported", _import_text(done)) for done in imports[:MOST_IMPORTS]),
        *((("imports", f"{len(imports) - MOST_IMPORTS} more"),) if len(imports) > MOST_IMPORTS else ()),
    ]  # fmt: skip
    sizes = np.bincount(facts.sets, minlength=len(facts.set_names))
    of_set = np.bincount(facts.sets, weights=atoms, minlength=len(facts.set_names))
    rows = sorted((len(name), name, n, int(m)) for name, n, m in zip(facts.set_names, sizes, of_set, strict=True) if n)
    what = f"{count_text(len(facts), 'frame')}, {count_text(int(atoms.sum()), 'atom')}"
    title = f"{type(frames).__name__}: {what} of {listed(facts.elements())}"
    return Card(title, tuple(own), ("elements", "frames", "atoms"), tuple(row[1:] for row in rows))


def _folder_text(data: Any) -> str:
    whole = sum(done["frames"] for done in data.imports)
    return str(data.path) if len(data) == whole else f"{data.path}, {len(data)} of its {whole} frames"


def _import_text(done: Mapping[str, Any]) -> str:
    files = [file["file"] for source in done["sources"] for file in source.get("files", ())]
    return f"{count_text(done['frames'], 'frame')} of {listed(files, 3) if files else 'an iterable'}"


def basis_card(basis: Any) -> Card:
    """A basis: pairs in a line, types in a table."""
    bodies = [f"{sum(t.body == n for t in basis.types)} of {n} atoms" for n in sorted({t.body for t in basis.types})]
    pairs = [
        f"{p.name} {span_text(p.rmin, p.rmax)} Å" + ("" if p.morse_lambda is None else f" λ {p.morse_lambda:g}")
        for p in basis.pairs
    ]
    transforms = dict.fromkeys(p.transform for p in basis.pairs)
    facts = [("pairs", listed(pairs)), ("transform", listed(list(transforms))), ("cutoff", str(basis.cutoff))]
    if basis.energies:
        given = listed([f"{e} {x:.8g}" for e, x in basis.energies])
        facts.append(("energies of free atoms that are given, kcal/mol", given))
    return Card(
        f"Basis of {', '.join(basis.elements)}: {count_text(len(basis.types), 'type')}, {', '.join(bodies) or 'none'}",
        tuple(facts), ("type", "block", "order", "edges, Å"),
        tuple((t.name, t.block, t.order, _edges(t)) for t in basis.types),
    )  # fmt: skip


def _edges(kind: Any) -> str:
    return listed([f"{e.name} {span_text(e.rmin, e.rmax)}" for e in kind.edges], 3) if kind.edges else "–"


def block_card(block: Any) -> Card:
    """A block: its types in a table."""
    rows = tuple((kind.name, kind.order, columns.stop - columns.start, _edges(kind)) for kind, columns in block.spans())
    title = f"Block {block.name}: {count_text(block.n_columns, 'column')}"
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
        *((f"types without data, {way}", listed(names, 8)) for way, names in _ways(parameters.without_data).items()),
        *notes_of(parameters.notes),
    ]  # fmt: skip
    title = f"Parameters of {', '.join(basis.elements)}: {len(parameters.coefficients)} coefficients, {count} not zero"
    return Card(title, tuple(facts))


def _ways(without_data: Any) -> dict[str, list[str]]:
    """Names of types without data by how the model made them."""
    return {way: [n for n, own in without_data.items() if own == way] for way in dict.fromkeys(without_data.values())}


def model_card(model: Any) -> Card:
    """A model: its parameters."""
    card = parameters_card(model.parameters)
    return Card(card.title.replace("Parameters", "Model", 1), card.facts)


def free_atoms(parameters: Any, factor: float) -> list[str]:
    """The energy of each free atom that parameters state, times a factor."""
    pairs = zip(parameters.columns, parameters.coefficients.tolist(), strict=True)
    return [f"{column.elements[0]} {value * factor:.8g}" for column, value in pairs if not column.powers]


def input_card(job: Any) -> Card:
    """An input: where things come from and where they go."""
    data = [str(job.fm_setup)] if job.fm_setup is not None else [brief(dict(d)) for d in job.data]
    held_out = [repr(g) for g in job.hold_out]
    held_out += [f"every {job.hold_out_every}. frame"] if job.hold_out_every is not None else []
    held_out += [f"{job.hold_out_fraction:g} of the frames"] if job.hold_out_fraction is not None else []
    facts = [
        ("basis", basis_card(job.basis).title), ("data", listed(data, 2)), ("held out", listed(held_out)),
        ("fit", brief(job.fit)), *((f"fit of {b}", brief(s)) for b, s in job.block_fits.items()),
        ("frozen", listed(job.frozen)), ("rows", str(job.store) if job.keep_rows else "not kept"),
        ("results", str(job.output)), ("executor", f"{job.executor}, {job.workers or 'one worker a core'}"),
        *([("library", str(job.library.path))] if job.library is not None else []),
        ("search", brief(job.search)), *notes_of(job.notes),
    ]  # fmt: skip
    return Card("Input", tuple(facts))


def survey_card(survey: Any) -> Card:
    """A survey: what a data set has, and the distances of its pairs."""
    units = {"force": "kcal/mol/Å", "stress": "GPa", "energy": "kcal/mol an atom, after the best offsets of elements"}
    facts = [
        *((f"{what} of frames", listed([f"{k} ({n})" for k, n in counts.items()]))
          for what, counts in (("compositions", survey.compositions), ("groups", survey.groups))),
        *((s.kind, f"{s.rows} numbers of {s.frames} frames, RMS {number_text(s.rms)}, largest "
                   f"{number_text(s.largest)} {units[s.kind]}") for s in survey.labels),
        *((("isolated atoms", listed([f"{a.element} {number_text(a.energy)} kcal/mol" for a in survey.isolated])),)
          if survey.isolated else ()),
        *((what, str(n)) for what, n in (("frames without labels", survey.unlabelled), ("copies", survey.copies)) if n),
    ]  # fmt: skip
    rows = tuple(
        (p.name, *(math.nan if x is None else float(x) for x in (p.shortest, p.peak, p.valley))) for p in survey.pairs
    )
    header = ("pair", "closest, Å", "first peak\nof g(r), Å", "minimum\nbehind, Å")
    frames, atoms = count_text(survey.frames, "frame"), count_text(survey.atoms, "atom")
    title = f"Survey: {frames}, {atoms} of {listed(survey.elements)}"
    return Card(title, tuple(facts), header, rows)


def suggested_card(suggested: Any) -> Card:
    """A suggested input: the fits that it asks for."""
    rows = tuple(
        (" ".join(b.names), " ".join(map(str, b.level)), b.columns, b.labels, float(b.seconds))
        for b in suggested.blocks
    )
    facts = [
        ("data", survey_card(suggested.survey).title),
        ("held out", suggested.hold_out.reason),
        *notes_of(suggested.notes),
    ]
    header = ("blocks fitted together", "orders", "columns", "labels", "CPU s (estimate)")
    return Card(f"SuggestedInput{', all blocks at once' if suggested.all_at_once else ''}", tuple(facts), header, rows)


# ---- what is planned and made


NOT_IN_IT: Final = "not in it: start and compilation (some 10 s), clusters counted, the report of all frames"
"""What estimates of a fit leave out; a small fit spends most of its time on that."""


def cpu_text(seconds: Mapping[str, float]) -> str:
    """Of a fit, all and by what is done."""
    parts = [f"{part} {number_text(spent)}" for part, spent in seconds.items() if part != "total"]
    return f"{number_text(seconds['total'])} s: {', '.join(parts)}"


def kept_text(kept: Mapping[str, int]) -> str:
    """What fits keep of their rows in memory, from the table of a plan."""
    text = f"{kept['count']} {'summary' if kept['count'] == 1 else 'summaries'}"
    pooled = f"; {count_text(kept['pooled_groups'], 'group')} of frames pooled" if kept["pooled_groups"] else ""
    return f"{text} of rows, {number_text(kept['bytes'] / MIB)} MiB{pooled}"


def plan_card(plan: Any) -> Card:
    """A plan: blocks in a table, what it needs in lines."""
    table = plan.as_dict()
    left = (("inside an inner cutoff", plan.inside), ("frames left out", plan.skipped),
            ("frames without labels", plan.unlabelled))  # fmt: skip
    facts = [
        ("disk", f"{number_text(plan.disk_bytes / MIB)} MiB"),
        ("memory", f"{number_text(plan.worker_bytes / MIB)} MiB a worker"),
        ("kept of the rows", kept_text(table["summaries"])),
        ("CPU time (estimate)", cpu_text(table["fit_cpu_seconds"])),
        *((what, f"{len(some)}, such as {some[0]}") for what, some in left if some),
    ]  # fmt: skip
    if any(set(b["frames_of"]) - {name} for name, b in table["blocks"].items()):
        facts.append(("all at once", "a fit block by block has only frames of exactly its elements: by_block=True"))
    rows = tuple(
        (name, listed(b["frames_of"], 4), *(b[k] for k in ("frames", "tiles", "rows", "columns", "nonzeros")),
         b["bytes"] / MIB, b["cpu_seconds"])
        for name, b in table["blocks"].items()
    )  # fmt: skip
    segments, tiles = count_text(len(plan.segments), "segment"), count_text(table["tiles"], "tile")
    title = f"Plan: {count_text(table['frames'], 'frame')} in {segments}, {tiles}, policy {plan.policy}"
    header = ("block", "frames of", "frames", "tiles", "rows", "columns", "nonzeros", "MiB", "CPU s")
    return Card(title, tuple(facts), header, rows)


def assembly_card(assembly: Any) -> Card:
    """An assembly: the plan, and what of it was there."""
    card = plan_card(assembly.plan)
    done = f"{assembly.computed} tiles, labels and offsets computed, {assembly.present} were complete"
    return Card(f"Assembly {assembly.store.path}: {done}", (("plan", card.title), *card.facts), card.header, card.rows)


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
    return Card(f"DesignRows: {count_text(m, 'row')} × {count_text(n, 'column')}", tuple(facts))


def summaries_card(summaries: Any) -> Card:
    """Summaries: rows of each source in a table, without reading any."""
    table: dict[str, dict[str, int]] = {}
    for group in summaries.groups:
        counts = table.setdefault(group.source, dict.fromkeys(KINDS, 0))
        counts["stress" if group.kind.startswith("stress") else group.kind] += summaries.rows(group)
    facts = [
        ("blocks", listed(summaries.blocks)), ("frozen", sources_text(summaries.frozen)),
        ("folds", brief(summaries.folds)),
        *notes_of(summaries.notes),
    ]  # fmt: skip
    groups, columns = count_text(len(summaries.groups), "group of rows"), count_text(len(summaries.columns), "column")
    title = f"Summaries: {groups}, {columns}"
    rows = tuple((source, *counts.values()) for source, counts in table.items())
    return Card(title, tuple(facts), ("source", *(f"{k} rows" for k in KINDS)), rows)


def weights_text(weights: Mapping[str, float]) -> str:
    """Weights with their numbers."""
    return ", ".join(f"{k} {number_text(float(v))}" for k, v in weights.items()) or "1 for every group of rows"


def row_weights_text(record: Mapping[str, Any]) -> str:
    """What single rows are multiplied by, of what a fit records of that."""
    parts = [f"{kind} {record[kind]}" for kind in ("force", "energy", "stress") if record.get(kind, 1.0) != 1.0]
    if digest := record.get("listed"):
        parts.append(f"as listed in {record.get('listed_from', 'a file')} (SHA-256 {digest[:12]})")
    return ", ".join(parts) or "1"


def view_card(view: Any) -> Card:
    """A view: what would be fitted."""
    facts = [
        ("blocks", listed(view.blocks)), ("frozen", sources_text((*view.summaries.frozen, *view.frozen))),
        ("weights", weights_text(view.weights)), ("objective", view.objective), ("rows that count", str(view.counted)),
        ("groups", f"{len(view.factors)} of {len(view.summaries.groups)}"), *notes_of(view.notes),
    ]  # fmt: skip
    return Card(f"View: {len(view.kept)} of {len(view.summaries.columns)} columns", tuple(facts))
