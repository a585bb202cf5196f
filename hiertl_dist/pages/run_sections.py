"""Sections on the run: the model's card, plan and cost, warnings and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..fitting.block_lattice import BlockLattice
from ..fitting.mean_model import NAN
from ..frames.rows import KINDS
from ..text.display import listed, number_text, regulariser_text
from ..text.words import count_text
from .model_sections import models_of
from .pieces import Section, Table, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .findings import Findings
    from .pieces import Piece

NO_RUN: Final = (
    "run.json, which has input, data, versions and cost; fit and search write it, polish and evaluate do not"
)
MIB: Final = 2.0**20


def card_section(findings: Findings) -> Section:
    """What the model is, what it was made from, and how."""
    run, rows = findings.run, list[tuple[str, str]]()
    pieces: list[Piece] = []
    sources = models_of(findings)
    if sources:
        elements = list(dict.fromkeys(e for _, m in sources for e in m.basis.elements))
        rows.append(("elements", ", ".join(elements)))
        whole = sources[0][1]
        rows.append(("model" if findings.model else "solutions", _size(findings)))
        rows.append(("transform and cutoff", _basis_text(whole)))
        rows.append(("wall below the inner cutoffs", f"{whole.penalty} (kcal/mol/Å³, Å)"))
        if findings.model is not None:
            rows.append(("digest of the model (SHA-256)", findings.model.digest))
    else:
        pieces.append(Text("the model: there is no model.params.txt and no solution", "absent"))
    not_stated = "not stated; theory in [library] of the input, or --theory, says it"
    rows.append(("level of theory", findings.theory or not_stated))
    if run:
        rows += _run_rows(run)
    else:
        pieces.append(Text(NO_RUN, "absent"))
    pieces.insert(0, Table("card", "The model.", ("what", "value"), rows, sorts=False))
    if findings.labels:
        kinds = ("energy", "forces", "stress")
        own = [
            (s["source"], s["frames"], *(label_counts(s["found"].get(k, {})) for k in kinds)) for s in findings.labels
        ]
        pieces.append(Table("data", "Labels of the data, by source.", ("source", "frames", *kinds), own))
    elif not run.get("frames"):
        pieces.append(Text("which data were fitted; neither report.json nor run.json says it", "absent"))
    if findings.fits:
        pieces.append(_fits(findings.fits))
    return Section("card", "Model card", tuple(pieces))


def _size(findings: Findings) -> str:
    types = [t for _, m in models_of(findings) for t in m.basis.types]
    bodies = {b: sum(t.body == b for t in types) for b in (1, 2, 3, 4)}
    orders = {b: max(t.order for t in types if t.body == b) for b in (2, 3, 4) if bodies[b]}
    counts = ", ".join(f"{n} of {b} {'body' if b == 1 else 'bodies'}" for b, n in bodies.items() if n)
    columns = sum(len(m.coefficients) for _, m in models_of(findings))
    said = ", ".join(f"{b}-body {order}" for b, order in orders.items())
    return f"{columns} coefficients; types: {counts}; highest orders: {said or 'none'}"


def _basis_text(model: Any) -> str:
    transforms = list(dict.fromkeys(p.transform for p in model.basis.pairs))
    reach = max((p.rmax for p in model.basis.pairs), default=0.0)
    return f"{', '.join(transforms)}; {model.basis.cutoff}; pairs reach up to {reach:g} Å"


def _run_rows(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    given, machine, seconds = run["input"], run["machine"], run["seconds"]
    fit = given["fit"]
    data = [str(given["fm_setup"])] if given.get("fm_setup") else []
    data += [_table_text(d) for d in given["data"]]
    held_out = [f"groups {listed(given['hold_out'], 1000)}"] if given["hold_out"] else []
    held_out += [f"{given['hold_out_fraction']:g} of the others"] if given["hold_out_fraction"] is not None else []
    held_out += [f"every {given['hold_out_every']}. of the others"] if given["hold_out_every"] is not None else []
    sizes = [f"{name}: {_table_text(own)}" for name, own in run["frames"].items()]
    workers = count_text(run["executor"]["workers"], "worker")
    weights = (
        fit["weights"]
        if isinstance(fit["weights"], str)
        else _table_text(fit["weights"]) or "1 for every group of rows"
    )
    rows = [
        ("made by", f"hiertl-dist {run['command']}, {run['started']} to {run['finished']}"),
        ("versions", _table_text(run["versions"])),
        ("machine", f"{machine['platform']}, {run['executor']['kind']}, {workers}"),
        ("time", f"{number_text(seconds['clock'])} s; CPU of the calling process, without workers, "
                 f"{number_text(seconds['caller_cpu'])} s"),
        ("data", "; ".join(data)), ("frames", "; ".join(sizes)), ("held out", "; ".join(held_out) or "nothing"),
        ("regulariser", regulariser_text(fit["regulariser"])), ("weights", weights), ("objective", fit["objective"]),
        ("method", fit["method"]), ("pairs inside inner cutoffs", fit["policy"]), ("prior", _table_text(fit["prior"])),
    ]  # fmt: skip
    if rows_of_fit := fit.get("row_weights"):
        file = given.get("weights") or {}
        named = {k: v for k, v in rows_of_fit.items() if k in KINDS and v != 1.0} | (
            {"file": file["path"]} if file else {}
        )
        rows.append(("weights of single rows", _table_text(named)))
    rows += [(f"fit of {block}", _table_text(own)) for block, own in given["block_fits"].items()]
    rows += [
        (name, _table_text(given[name]) if isinstance(given[name], dict) else listed(given[name], 1000))
        for name in ("frozen", "partial", "only", "probes") if given[name]
    ]  # fmt: skip
    if given.get("library"):
        rows.append(("library", _table_text(given["library"])))
    if given.get("missing"):
        rows.append(("types without data", str(given["missing"])))
    return rows


def _table_text(table: Mapping[str, Any]) -> str:
    def value(v: Any) -> str:
        if isinstance(v, dict):
            return f"({_table_text(v)})"
        return ", ".join(map(value, v)) if isinstance(v, list) else f"{v:g}" if isinstance(v, float) else str(v)

    return ", ".join(f"{key} {value(v)}" for key, v in table.items() if v not in (None, {}, []))


def label_counts(counts: Mapping[str, int]) -> str:
    """How many frames have a label under which key of their files; ChIMES' own format has no keys."""
    return ", ".join(f"{n} ({key})" if key else str(n) for key, n in counts.items()) or "none"


def _fits(fits: Mapping[str, Mapping[str, Any]]) -> Table:
    header = ("fit", "blocks fitted", "frozen", "columns", "rows", "rank", "nonzero", "RMSE, kcal/mol, Å", "condition",
              "regulariser", "weights", "prior")  # fmt: skip
    rows = [
        (
            name, ", ".join(f["blocks"]), ", ".join(f["frozen"]) or "nothing", f["columns"], f["rows"], f["rank"],
            f["nonzeros"], _float(f["rmse"]), _float(f["condition"]), regulariser_text(f["regulariser"]),
            _table_text(f["weights"]) or "1", _table_text(f.get("prior", {})) or "zero",
        )
        for name, f in fits.items()
    ]  # fmt: skip
    return Table("fits", "What each fit was conditioned on; RMSE over all counted rows, unweighted.", header, rows)


def _float(value: Any) -> float:
    return float("nan") if value is None else float(value)


# ---- plan and cost


def plan_section(findings: Findings) -> Section:
    """What became of every block, and what its rows cost."""
    run = findings.run
    if not run:
        text = "the plan; run.json has it, and hiertl-dist plan input.toml makes it"
        return Section("plan", "Plan and cost", (Text(text, "absent"),))
    lattice = BlockLattice.from_dict(run["lattice"])
    pieces: list[Piece] = [Text(lattice.summary()[0].upper() + lattice.summary()[1:] + ".")]
    rows = [
        (r.block.name, r.level, r.columns, NAN if r.frames is None else r.frames,
         NAN if r.used_frames is None else r.used_frames, ", ".join(b.name for b in r.stands_on) or "nothing", r.what)
        for r in lattice.rows
    ]  # fmt: skip
    header = ("block", "elements", "columns", "frames", "frames used", "stands on", "what happens")
    pieces.append(Table("plan", "The blocks, small sets of elements first.", header, rows))
    costs = [
        (fit, block, b["frames"], b["tiles"], b["rows"], b["columns"], b["nonzeros"], b["bytes"] / MIB,
         _float(b["cpu_seconds"]))
        for fit, plan in run["plans"].items() for block, b in plan["blocks"].items()
    ]  # fmt: skip
    if costs:
        titles = ("fit", "block", "frames", "tiles", "rows", "columns", "nonzeros", "MiB", "CPU s of rows (estimate)")
        pieces.append(Table("cost", "Rows of each fit, as they were planned.", titles, costs))
    else:
        pieces.append(Text(f"tiles and bytes of the rows; a {run['command']} does not record them", "absent"))
    return Section("plan", "Plan and cost", tuple(pieces))


# ---- what was said


def note_section(findings: Findings, more: tuple[str, ...] = ()) -> Section:
    """Every warning and note of fits, models and the run."""
    pieces: list[Piece] = [Text(f"{source}: {text}", "warning") for source, text in findings.warnings]
    if not pieces:
        pieces.append(Text("No fit, model or run warned of anything, as far as the results hold it."))
    pieces += [Text(text, "note") for text in more]
    if findings.notes:
        caption = "Notes of fits and models, and what the run said, in this order."
        pieces.append(Table("notes", caption, ("where", "note"), findings.notes))
    if not findings.run:
        pieces.append(Text("what the run said while it worked; run.json would have it", "absent"))
    return Section("notes", "Warnings and notes", tuple(pieces))
