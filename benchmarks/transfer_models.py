"""Whole models of Mo, Nb, Ta, W from unary and binary frames: their errors, whether they can be used, what they cost.

``quality``: errors on the sets that the authors of the data laid aside, and :func:`~hiertl_dist.check_model` of the
four elements: mixtures of all sets on the ideal lattice, dynamics. ``costs``: hierarchical beside all at once, with and
without four-body terms. ``eight_elements``: columns of every block, and large ones solved.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bench import Options, tell
from measure import measure
from transfer_curves import ALLOY, BINARIES, UNARY_KINDS, alloy_basis
from transfer_fits import ALPHA, PURE_ALPHA, WEIGHTS, Cross, System, basis_of, frame_errors, read_groups

from hiertl_dist import (
    Basis,
    ElementSet,
    FitSettings,
    Frame,
    HierarchyOptions,
    Model,
    blocks_of,
    fit_all_at_once,
    fit_block,
    fit_hierarchy,
    suggest_input,
)
from hiertl_dist.executors import executor
from hiertl_dist.jobs.input_tables import fit_settings
from hiertl_dist.model.parameters import merge_parameters
from hiertl_dist.stability.check_rows import CheckSettings
from hiertl_dist.stability.checking import check_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hiertl_dist import Parameters
    from hiertl_dist.executors.base import Executor

MODELS: Final[Mapping[str, tuple[Any, float]]] = {
    "zero": ("zero", ALPHA), "mixed": ("mixed", 10.0), "auto": ("auto", ALPHA),
}  # fmt: skip
"""Prior and ridge strength of cross blocks, by name; types of three elements and more are zero or mixed as they are."""

CHECKS: Final = CheckSettings(lattice="bcc", time_step=2.0, contact=1.9)
TESTS: Final = (*ALLOY, *BINARIES)
HOWS: Final = ("hierarchical", "all at once")
EIGHT: Final = ("Cr", "Fe", "Hf", "Mo", "Nb", "Ta", "V", "W")
LARGE_ORDERS: Final = (25, 10, 4)
ROWS_A_COLUMN: Final = 1.2
SITES: Final = 54


def training(folder: Path, step: int = 1) -> list[Frame]:
    """Every so manieth frame of each unary and binary file but the tests."""
    names = [*(f"{e}_{k}" for e in ALLOY for k in UNARY_KINDS), *(f"{b}_SS" for b in BINARIES)]
    return [f for frames in read_groups(folder, names).values() for f in frames[::step]]


def test_errors(model: Model, folder: Path) -> dict[str, dict[str, float]]:
    """Errors by test set."""
    sets = read_groups(folder, [f"{n}_Test" for n in TESTS])
    return {name.removesuffix("_Test"): frame_errors(model, frames) for name, frames in sets.items()}


def usable(model: Model) -> dict[str, Any]:
    """What a check of the model says: rows, and the farthest mixture of so many elements."""
    check = check_model(model, settings=CHECKS)
    rows = check.rows
    mixing: dict[str, list[float]] = {}
    for row in rows:
        if row.what.startswith("mixing"):
            mixing.setdefault(f"{row.what}, {row.elements.count('-') + 1} elements", []).append(row.value)
    runs = {f"{r.what} ({r.unit})": r.value for r in rows if r.what.startswith(("drift", "heat", "contact"))}
    lowest = [n.partition(", nearest")[0] for n in check.notes if "is lowest" in n]
    return {
        "mixing": {k: float(max(v)) for k, v in mixing.items()}, "runs": runs, "lattices": lowest,
        "verdicts": dict(Counter(r.verdict for r in rows)),
        "failures": [f"{r.what} {r.elements}: {r.value:.3g} {r.unit}" for r in rows if r.verdict == "fail"],
    }  # fmt: skip


def quality(options: Options, runner: Executor) -> dict[str, Any]:
    """Models of the whole training set with each prior, and of the basis that ``init`` suggests."""
    folder, step = options.data / "monbtaw", options.sized(1, 40)
    frames = training(folder, step)
    unary = [f for f in frames if len(f.elements) == 1]
    system = System(alloy_basis(options.sized((12, 6, 0), (4, 3, 0))), unary, runner)
    blocks: dict[str, list[Parameters]] = {name: list(system.pure.values()) for name in MODELS}
    means: dict[str, Counter[str]] = {name: Counter() for name in MODELS}
    for pair in system.pairs:
        cross = Cross(system, pair)
        summaries = cross.summaries([f for f in frames if f.element_set == ElementSet.parse(pair)])
        for name, (prior, alpha) in MODELS.items():
            block, mean = cross.fitted(summaries, prior, alpha)
            blocks[name].append(block)
            means[name][mean] += 1
    models = {name: whole(system, parts, name) for name, parts in blocks.items()}
    rows = [{"name": f"{name} (α {MODELS[name][1]:g})", "means": dict(means[name]), **judged(model, options, folder)}
            for name, model in models.items()]  # fmt: skip
    tell("  as init suggests")
    rows += [
        {"name": f"init, {name}", **judged(model, options, folder)}
        for name, model in suggested(frames, options, runner).items()
    ]
    return {"frames": len(frames), "rows": rows}


def whole(system: System, parts: Sequence[Parameters], name: str) -> Model:
    """The sum of the blocks, and types of three elements and more: zero, or made of the others."""
    more = [t.name for t in system.basis.types if len(set(t.elements)) > 2]
    if name == "zero":
        return Model(replace(merge_parameters(parts), without_data=dict.fromkeys(more, "zero")))
    return Model(merge_parameters([*parts, *([system.mixed_types(parts, 3)] if more else [])]))


def judged(model: Model, options: Options, folder: Path) -> dict[str, Any]:
    return {"tests": test_errors(model, folder), "check": None if options.toy else usable(model)}


def suggested(frames: Sequence[Frame], options: Options, runner: Executor) -> dict[str, Model]:
    """What ``init`` suggests, unedited (all frames fitted): the wall and the prior with its probes and decay, too.

    Beside it the same with the mean zero, and no types made of others.
    """
    table = suggest_input(frames).table
    basis = {**table["basis"], **({"orders": [4, 3, 0], "blocks": {}} if options.toy else {})}
    own = {k: v for k, v in table["fit"].items() if k not in ("only", "blocks")}
    found = {}
    for prior in options.sized(("zero", "auto"), ("auto",)):
        settings = fit_settings(own)
        if prior == "zero":
            settings = replace(settings, prior=replace(settings.prior, mean="zero", probes=0))
        climb = HierarchyOptions(settings, missing="zero" if prior == "zero" else None)
        fit = fit_hierarchy(frames, Basis.from_dict(basis), options=climb, executor=runner)
        found[prior] = fit.model
    return found


# ---- costs
def climbing(folder: str, orders: Sequence[int], step: int, how: str) -> Callable[[], dict[str, Any]]:
    """Step: a fit of every so manieth training frame; frames are read before."""
    from pathlib import Path

    frames, basis = training(Path(folder), step), alloy_basis(orders)
    settings = FitSettings({"kind": "ridge", "alpha": ALPHA}, weights=WEIGHTS, prior="auto")
    pure = replace(settings, regulariser={"kind": "ridge", "alpha": PURE_ALPHA}, prior="zero")

    def fit() -> dict[str, Any]:
        with executor("serial") as runner:
            if how == "all at once":
                once = fit_all_at_once(frames, without_more(basis), options=HierarchyOptions(pure), executor=runner)
                model, fits = Model(once.solution.parameters), [once]
            else:
                climb = HierarchyOptions(settings, dict.fromkeys(ALLOY, pure))
                climbed = fit_hierarchy(frames, basis, options=climb, executor=runner)
                model, fits = climbed.model, list(climbed.fits.values())
        rows = [sum(f.summaries.rows(g) for g in f.summaries.groups) for f in fits]
        columns = [len(f.summaries.columns) for f in fits]
        return {
            "rows": max(rows), "columns": max(columns), "fits": len(fits), "tests": test_errors(model, Path(folder)),
        }  # fmt: skip

    return fit


def without_more(basis: Basis) -> Basis:
    """The basis without types of more than two elements, which no frame informs."""
    return basis.with_types(t for t in basis.types if len(set(t.elements)) < 3)


def costs(options: Options) -> dict[str, Any]:
    """Hierarchical and all at once, and the former with four-body terms: each in a process of its own."""
    step, rows = options.sized(1, 60), []
    cases = [(how, options.sized((12, 6, 0), (4, 3, 0))) for how in HOWS]
    cases += [] if options.toy else [("hierarchical", (12, 6, 3))]
    for how, orders in cases:
        tell(f"  {how} {orders}")
        done = measure(climbing, str(options.data / "monbtaw"), orders, step, how, repeats=1, apart=options.apart)
        rows.append({"how": how, "orders": list(orders), **done.value, **done.as_dict()})
    return {"step": step, "rows": rows}


# ---- eight elements
def eight_elements(options: Options) -> dict[str, Any]:
    """Columns of the blocks of eight elements; one of three and one of four elements solved on frames that are made."""
    orders = options.sized(LARGE_ORDERS, (4, 3, 2))
    outer = {"two_body": 6.0, "three_body": 5.0, "four_body": 4.0}
    basis = basis_of(EIGHT[: options.sized(8, 5)], orders, {"all": 2.8}, 1.8, outer)
    by_number: dict[int, list[int]] = {}
    for block in blocks_of(basis):
        by_number.setdefault(len(block.elements), []).append(block.n_columns)
    table = [{"elements": n, "blocks": len(c), "columns": max(c), "all": sum(c)} for n, c in sorted(by_number.items())]
    solved = []
    for elements in (3, 4):  # the largest, and that of frames of four elements
        tell(f"  its block of {elements} elements")
        done = measure(solving, orders, elements, repeats=1, apart=options.apart)
        solved.append({**done.value, **done.as_dict()})
    return {"orders": list(orders), "table": table, "solved": solved}


def solving(orders: Sequence[int], elements: int) -> Callable[[], dict[str, Any]]:
    """Step: a block of so many elements fitted on jittered bcc cells with random labels, with rows enough."""
    outer = {"two_body": 6.0, "three_body": 5.0, "four_body": 4.0}
    own = ALLOY[:elements]
    basis = basis_of(own, orders, {"all": 2.8}, 1.8, outer)
    block = next(b for b in blocks_of(basis) if len(b.elements) == elements)
    rng = np.random.default_rng(11)
    cells = -(-int(ROWS_A_COLUMN * block.n_columns) // (3 * SITES + 7))
    frames = [_cell(rng, own, number) for number in range(cells)]
    settings = FitSettings({"kind": "ridge", "alpha": 1e-3}, weights=WEIGHTS, missing_energies="zero")

    def fit() -> dict[str, Any]:
        with executor("serial") as runner:
            done = fit_block(frames, basis, block.name, settings=settings, executor=runner)
        rows = sum(done.summaries.rows(g) for g in done.summaries.groups)
        return {"block": block.name, "frames": len(frames), "rows": rows, "columns": len(done.summaries.columns)}

    return fit


def _cell(rng: np.random.Generator, elements: Sequence[str], number: int) -> Frame:
    """Some elements at random about the sites of a bcc cell."""
    corners = np.argwhere(np.ones((3, 3, 3)))
    sites = 3.22 * np.concatenate([corners, corners + 0.5]) + rng.normal(0.0, 0.1, (SITES, 3))
    species = [*elements, *(str(e) for e in rng.choice(elements, SITES - len(elements)))]
    labels = {"energy": float(rng.normal()), "forces": rng.normal(size=(SITES, 3)), "stress": rng.normal(size=6) / 100}
    return Frame(tuple(species), sites, 3 * 3.22 * np.eye(3), **labels, origin=f"made {number}", group="made")
