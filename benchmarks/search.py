"""500 models of ``cn_pbe`` (the data set that is shipped), cross-validated from one pass over its rows.

The maximal basis has about 1 500 columns, all blocks together; the grid is orders × exclusions × weights × λ. Five
folds by trajectory. Counted are rows, reduction, and the whole search with the solve of the model that it chooses, in
one process and one thread; compilation and reading text are not. Beside it what five of the models take that are made
one by one: the rows of the model's own basis, a TSQR and a solve for each fold, held-out errors; times 100. The scores
of the five are compared too. As a toy, every sixth frame and 16 models.
"""

from __future__ import annotations

import sys
import time
import tomllib
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bench import Benchmark, Options, main, tell
from measure import MB, figure, table

from hiertl_dist import Basis, FitSettings, columns_of, design_rows, read_frames
from hiertl_dist.algebra import RFactor, regulariser_from_dict
from hiertl_dist.algebra.solve import solve
from hiertl_dist.dataset.folds import assign_folds
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.fitting.weights import row_weights
from hiertl_dist.frames.rows import SUMMARY_KINDS, Group, kind_codes
from hiertl_dist.model.one_body import one_body_columns
from hiertl_dist.model.truncation import lower_basis
from hiertl_dist.model_selection.held_out_errors import HeldOut
from hiertl_dist.model_selection.search_settings import SearchSettings
from hiertl_dist.model_selection.search_stages import search

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hiertl_dist import Frame
    from hiertl_dist.model_selection.search_settings import Choice

MINUTES: Final = 10.0
"""CPU minutes that all of it may take."""

APART: Final = 5
"""Models that are made one by one, evenly spread over the grid."""

LARGEST: Final = {"C": [16, 9, 3], "N": [16, 9, 3], "CN": [16, 8, 3]}
TOY_LARGEST: Final = {"C": [4, 3, 2], "N": [4, 3, 2], "CN": [4, 3, 2]}
GRID: Final = {
    "orders": [LARGEST, [16, 8, 3], [14, 7, 3], [14, 6, 3], [12, 5, 3]],
    "exclude": [[], ["CCCN", "CNNN"]],
    "weights": [
        {"energy": 0.3, "stress": 10.0}, {"energy": 0.5, "stress": 50.0}, {"energy": 1.0, "stress": 50.0},
        {"energy": 0.3, "stress": 100.0}, {"energy": 2.0, "stress": 200.0},
    ],
    "regulariser": {"kind": "ridge", "alpha": [1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]},
}  # fmt: skip
TOY_GRID: Final = {
    "orders": [TOY_LARGEST, [3, 3, 2]], "exclude": [[], ["CCCN"]],
    "weights": {"energy": [0.3, 1.0], "stress": 50.0}, "regulariser": {"kind": "ridge", "alpha": [0.1, 1.0]},
}  # fmt: skip


def case(toy: bool) -> tuple[list[Frame], Basis, SearchSettings]:
    """Frames, basis and grid."""
    shipped = files("hiertl_dist") / "data"
    with as_file(shipped / "cn_pbe.extxyz.gz") as path:
        frames = read_frames(path, group_key="config_type")
    basis = tomllib.loads((shipped / "demo.toml").read_text(encoding="utf-8"))["basis"]
    largest = TOY_LARGEST if toy else LARGEST
    basis |= {"blocks": {b: {"orders": orders} for b, orders in largest.items()}}
    settings = {
        "folds": {"count": 3 if toy else 5, "split": "group"}, "grid": TOY_GRID if toy else GRID, "rule": "one_se",
    }  # fmt: skip
    return frames[:: 6 if toy else 1], Basis.from_dict(basis), SearchSettings.from_dict(settings)


def searching(folder: str, toy: bool) -> Callable[[], dict[str, Any]]:
    """Step: the pass, then the search."""
    frames, basis, settings = case(toy)
    executor = SerialExecutor()

    def work() -> dict[str, Any]:
        began = time.process_time()
        summarise(frames, basis, folds=settings.folds, summaries=Path(folder) / "summaries", executor=executor)
        passed = time.process_time()
        found = search(
            frames, basis, settings, summaries=Path(folder) / "summaries", output=Path(folder) / "results",
            executor=executor, all_at_once=True,
        )  # fmt: skip
        stage = found.stages[0]
        return {
            "pass_seconds": passed - began, "search_seconds": time.process_time() - passed,
            "models": len(stage.selection.candidates), "columns": len(columns_of(basis)), "rows": dict(stage.rows),
            "widths": sorted({c.columns for c in stage.selection.candidates}, reverse=True),
            "failed": sum(1 for c in stage.selection.candidates if c.failed), "frames": len(frames),
            "folds": settings.folds.count, "scores": [c.score for c in stage.selection.candidates],
            "best": stage.best.as_dict(), "chosen": stage.chosen.as_dict(),
            "store_bytes": sum(p.stat().st_size for p in (Path(folder) / "summaries").iterdir()),
        }  # fmt: skip

    return work


def one_by_one(toy: bool, places: Sequence[int]) -> Callable[[], list[dict[str, float]]]:
    """Step: some models of the grid made from rows of their own."""
    frames, basis, settings = case(toy)
    choices = settings.grid.choices(FitSettings())
    shares = assign_folds(frames, settings.folds)

    def work() -> list[dict[str, float]]:
        found = []
        for place in places:
            began = time.process_time()
            errors = direct(frames, basis, choices[place], shares)
            seconds = time.process_time() - began
            found.append({"place": place, "seconds": seconds, "score": errors.score()})
        return found

    return work


def direct(frames: Sequence[Frame], basis: Basis, choice: Choice, shares: NDArray[np.int64]) -> HeldOut:
    """Held-out errors of a model from its own rows: a TSQR and a solve for each fold."""
    blocks = {t.block for t in basis.types}
    made = design_rows(frames, lower_basis(basis, blocks, choice.orders, choice.exclude))
    groups = [
        Group(f.group, SUMMARY_KINDS[code], f.composition, int(fold), len(f) if SUMMARY_KINDS[code] == "energy" else 0)
        for f, fold in zip(frames, shares, strict=True) for code in kind_codes(f)
    ]  # fmt: skip
    factors = row_weights(dict.fromkeys(groups), choice.weights, choice.objective)
    weights = np.array([factors[g] for g in groups])
    folds = np.array([g.fold for g in groups])
    regulariser = regulariser_from_dict(dict(choice.regulariser))
    whole = np.column_stack([made.matrix, made.target])
    sums: dict[Group, tuple[int, float]] = {}
    for fold in sorted(set(shares.tolist())):
        fitted = np.flatnonzero(folds != fold)
        buffer = np.asfortranarray(whole[fitted] * weights[fitted, np.newaxis])
        free = one_body_columns(made.columns)
        solution = solve(RFactor.of_buffer(buffer, overwrite=True), regulariser, unpenalised=free)
        held = np.flatnonzero(folds == fold)
        left = made.target[held] - made.matrix[held] @ solution.coefficients
        for i, residual in zip(held, left, strict=True):
            count, total = sums.get(groups[i], (0, 0.0))
            sums[groups[i]] = count + 1, total + float(residual) ** 2
    return HeldOut.of(sums)


def run(options: Options) -> dict[str, Any]:
    """Both ways; one JSON object."""
    tell("search: one pass, and the grid")
    found = options.value(searching, str(options.scratch), options.toy)
    places = np.linspace(0, found["models"] - 1, APART).round().astype(int).tolist()
    tell(f"search: {APART} models one by one")
    apart = options.value(one_by_one, options.toy, places)
    mean = sum(one["seconds"] for one in apart) / len(apart)
    differences = [abs(one["score"] / found["scores"][one["place"]] - 1.0) for one in apart]
    return found | {
        "seconds": found["pass_seconds"] + found["search_seconds"], "one_by_one": apart,
        "one_by_one_seconds": mean * found["models"], "largest_difference": max(differences),
    }  # fmt: skip


def markdown(record: dict[str, Any]) -> str:
    """Seconds of both ways, the chosen model, and how far the scores differ."""
    total, other, models = record["seconds"], record["one_by_one_seconds"], record["models"]
    widths, chosen, best = record["widths"], record["chosen"], record["best"]
    cost = 100 * chosen["cost_seconds_per_atom"] / best["cost_seconds_per_atom"]
    lines = [
        ["rows and reduction, once", figure(record["pass_seconds"]), None],
        [f"{models} models, {record['folds']} folds each", figure(record["search_seconds"]),
         figure(record["search_seconds"] / models)],
        [f"**together** (limit {60 * MINUTES:.0f} s)", figure(total), figure(total / models)],
        [f"one by one, from {len(record['one_by_one'])}", figure(other), figure(other / models)],
    ]  # fmt: skip
    said = "within" if total <= 60 * MINUTES else "**beyond**"
    return "\n\n".join([
        f"{record['columns']} columns at most ({', '.join(map(str, widths))} in the models), "
        f"{sum(record['rows'].values())} rows of {record['frames']} frames; summary store "
        f"{figure(record['store_bytes'] / MB)} MB; {record['failed']} models could not be fitted.",
        table(["", "CPU s", "CPU s a model"], lines),
        f"{said.capitalize()} the limit; one by one takes {figure(other / total)} times as long. Scores of the "
        f"{len(record['one_by_one'])} differ by {record['largest_difference']:.1e} at most. Lowest score "
        f"{figure(best['score'])} ± {figure(best['standard_error'], 2)} with {best['columns']} columns; chosen "
        f"{figure(chosen['score'])} with {chosen['columns']}, at {figure(cost, 2)} % of its cost of evaluation.",
    ])  # fmt: skip


BENCHMARK: Final = Benchmark("search", "500 models cross-validated from one pass, and one by one.", run, markdown)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
