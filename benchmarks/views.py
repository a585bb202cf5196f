"""Views of a summary store beside direct fits from the rows, the store's size, and what 10 % more frames cost.

The CN block of ``cn_dft``, C and N frozen: from one pass over its rows come fits with other orders, types, weights and
frames, with frames that came later and columns that were added; each is held against ``fit_block``, which makes its own
rows. Ridge is compared by predictions, the LASSO (columns of length 1) by support too. Sizes and seconds of the store
are those of ``cn_dft``, of ``cn_pbe`` with the basis of the demonstration, all blocks, and of ``hydrogen``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cn_dft_chain as chain
import numpy as np
from bench import Benchmark, Options, main, tell
from measure import MB, figure, table

from hiertl_dist import FitSettings, Model, columns_of, executor, fit_block, read_fm_setup
from hiertl_dist.algebra import Lasso
from hiertl_dist.cli.demo import demo_input
from hiertl_dist.dataset.folds import Folds, assign_folds
from hiertl_dist.design_matrix.store import DesignStore
from hiertl_dist.fitting.block_fit import solve_summaries
from hiertl_dist.fitting.stored_summaries import open_summaries
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.fitting.summary_store import SummaryStore
from hiertl_dist.fitting.view_choice import view
from hiertl_dist.fitting.view_solutions import solve
from hiertl_dist.frames.rows import n_rows
from hiertl_dist.units import KCAL_PER_A3_IN_GPA

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hiertl_dist import Basis, Frame, Parameters, Solution
    from hiertl_dist.algebra import Regulariser

RIDGE: Final = {"kind": "ridge", "alpha": chain.ALPHA}
LAMS: Final = (1e-4, 1e-5, 1e-6)
LIMIT: Final = 1e-6
"""kcal/mol/Å rms: how far forces of a view may be from those of the direct fit."""

LOWER: Final = (15, 7, 3)
TOY_ORDERS: Final = (6, 4, 2)
TOY_LOWER: Final = (4, 3, 2)
LATER: Final = 11
"""Every so many-th frame is appended: one for ten that are there."""

SETS: Final = {"cn_dft": "cn_dft", "cn_pbe": "cn_pbe", "hydrogen": "hydrogen"}
"""Data set → its folder."""


@dataclass(frozen=True)
class Case:
    """A view, and the direct fit that it has to equal.

    Attributes
    ----------
    store : ``whole``, one pass over all frames; ``appended``, three quarters of them, then all; ``added``, CN with C
        frozen, then N too.
    view : options of :func:`~hiertl_dist.view`; ``frozen`` there names files of :mod:`cn_dft_chain`.
    orders, without_type, weights, without_fold, free, frozen : of the direct fit.
    """

    store: str = "whole"
    view: Mapping[str, Any] = field(default_factory=dict)
    orders: bool = False
    without_type: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    without_fold: bool = False
    free: tuple[str, ...] = ()
    frozen: tuple[str, ...] = chain.FROZEN


STRESS: Final = {"stress": 5.0}
CASES: Final = {
    "the whole block": Case(),
    "lower orders": Case(orders=True),
    "CCNN left out": Case(view={"exclude": ["CCNN"]}, without_type="CCNN"),
    "stress × 5": Case(view={"weights": STRESS}, weights=STRESS),
    "a fold left out": Case(without_fold=True),
    "frames appended": Case("appended"),
    "block N added, frozen": Case("added", {"frozen": ["N"]}),
    "block N added, free": Case("added", free=("N",), frozen=("C",)),
}


def folds_of(options: Options) -> Folds:
    """The folds of ``cn_dft``."""
    return Folds(options.sized(5, 2))


def problem_of(options: Options, case: Case) -> chain.Problem:
    """Frames, basis and frozen models of a direct fit; the basis has N's types where they are asked for."""
    most: tuple[int, ...] | None = options.sized(None, TOY_ORDERS)
    if case.orders:
        most = options.sized(LOWER, TOY_LOWER)
    found = chain.read_problem(options.data / "cn_dft", options.sized(20, 4), most)
    models = dict(zip(chain.FROZEN, found.frozen, strict=True))
    types = list(found.basis.types)
    if case.store == "added":
        types += models["N"].basis.types
    if case.without_type:
        types = [t for t in types if t.name != case.without_type]
    frames = found.frames
    if case.without_fold:
        folds = folds_of(options)
        shares = assign_folds(frames, folds)
        frames = tuple(f for f, fold in zip(frames, shares, strict=True) if fold != folds.count - 1)
    return chain.Problem(frames, found.basis.with_types(types), tuple(models[name] for name in case.frozen))


def summarising(options: Options) -> Callable[[], dict[str, float]]:
    """CPU seconds of each pass into the three stores."""
    whole, added = problem_of(options, CASES["the whole block"]), problem_of(options, CASES["block N added, free"])
    kept = partial(summarise, folds=folds_of(options), executor=executor("serial"))
    frames = whole.frames
    stores = {name: options.scratch / f"{name}.summaries" for name in ("whole", "appended", "added")}

    def work() -> dict[str, float]:
        passes: dict[str, Callable[[], Any]] = {
            "whole": lambda: kept(frames, whole.basis, frozen=whole.frozen, summaries=stores["whole"]),
            "three quarters": lambda: kept(
                frames[: 3 * len(frames) // 4], whole.basis, frozen=whole.frozen, summaries=stores["appended"]
            ),
            "one quarter more": lambda: kept(frames, whole.basis, frozen=whole.frozen, summaries=stores["appended"]),
            "CN, C frozen": lambda: kept(
                frames, whole.basis, blocks=["CN"], frozen=added.frozen, summaries=stores["added"]
            ),
            "N added": lambda: kept(frames, added.basis, blocks=["N"], frozen=added.frozen, summaries=stores["added"]),
        }
        return {name: timed(one)[1] for name, one in passes.items()}

    return work


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What something returns, and its CPU seconds."""
    began = time.process_time()
    found = work()
    return found, time.process_time() - began


def of_view(options: Options, case: Case, regulariser: Mapping[str, Any] | Regulariser) -> Solution:
    """The fit of a view, its factors read from the store."""
    asked: dict[str, Any] = {"weights": {}, **case.view}
    if "frozen" in asked:
        asked["frozen"] = [Model.read(options.data / "cn_dft" / chain.FILES[n]).parameters for n in asked["frozen"]]
    if case.orders:
        asked["orders"] = list(options.sized(LOWER, TOY_LOWER))
    if case.without_fold:
        asked["folds"] = range(folds_of(options).count - 1)
    return solve(view(open_summaries(options.scratch / f"{case.store}.summaries"), **asked), regulariser)


def comparing(options: Options, name: str) -> Callable[[], dict[str, Any]]:
    """Ridge of a case by a view and directly, and how far their predictions are apart on all frames."""
    case = CASES[name]
    problem = problem_of(options, case)
    settings = FitSettings(RIDGE, case.weights)

    def work() -> dict[str, Any]:
        ours, seconds = timed(lambda: of_view(options, case, RIDGE))
        direct, longer = timed(
            lambda: fit_block(
                problem.frames, problem.basis, chain.BLOCK, free=case.free, frozen=problem.frozen, settings=settings,
                executor=executor("serial"),
            )
        )  # fmt: skip
        return {
            "frames": len(problem.frames), "rows": direct.solution.rows, "columns": direct.solution.n_columns,
            "condition": direct.solution.condition, "view_seconds": seconds, "direct_seconds": longer,
            "apart": apart(ours.parameters, direct.solution.parameters, problem.frames),
        }  # fmt: skip

    return work


def apart(ours: Parameters, theirs: Parameters, frames: Sequence[Frame]) -> dict[str, float]:
    """RMS differences of predictions, and the RMS of forces themselves, per kind of row in the field's units."""
    assert columns_of(ours.basis) == columns_of(theirs.basis)
    said = [Model(p).evaluate(frames, missing="zero") for p in (ours, theirs)]
    pairs = [(a, b, f) for f, a, b in zip(frames, *said, strict=True)]
    found = {
        "forces": [(a.forces - b.forces).ravel() for a, b, _ in pairs],
        "energies": [np.array([(a.energy - b.energy) / len(f)]) for a, b, f in pairs],
        "stresses": [(a.stress - b.stress) * KCAL_PER_A3_IN_GPA for a, b, _ in pairs],
        "size of forces": [b.forces.ravel() for _, b, _ in pairs],
    }
    return {name: float(np.sqrt(np.mean(np.concatenate(parts) ** 2))) for name, parts in found.items()}


def selecting(options: Options) -> Callable[[], list[dict[str, Any]]]:
    """The LASSO of the whole block at each λ by a view and from the groups that ``fit_block`` reduced."""
    case = CASES["the whole block"]
    problem = problem_of(options, case)
    runner = executor("serial")

    def work() -> list[dict[str, Any]]:
        direct = fit_block(
            problem.frames, problem.basis, chain.BLOCK, frozen=problem.frozen, settings=FitSettings(RIDGE, weights={}),
            executor=runner,
        )  # fmt: skip
        found = []
        for lam in LAMS:
            lasso = Lasso(lam, normalize=True)
            ours, seconds = timed(partial(of_view, options, case, lasso))
            plain = FitSettings(weights={})
            (_, linear), longer = timed(partial(solve_summaries, direct.summaries, lasso, plain, runner))
            # both are in the order of the columns: one block and all its types
            mine, theirs = ours.parameters.coefficients, linear.coefficients
            fitted = replace(ours.parameters, coefficients=theirs)
            found.append({
                "lam": lam, "nonzeros": ours.nonzeros, "kkt_gap": linear.kkt_gap,
                "supports_differ_in": int(np.count_nonzero((mine != 0.0) != (theirs != 0.0))),
                "view_seconds": seconds, "direct_seconds": longer,
                "apart": apart(ours.parameters, fitted, problem.frames),
            })  # fmt: skip
        return found

    return work


# ------------------------------------------------------------------------------------------------ the store


def data_of(options: Options, name: str) -> tuple[Sequence[Frame], Basis, tuple[Parameters, ...]]:
    """Frames, basis and frozen models of a data set."""
    if name == "cn_dft":
        found = problem_of(options, CASES["the whole block"])
        return found.frames, found.basis, found.frozen
    if name == "hydrogen":
        setup = read_fm_setup(options.data / "hydrogen" / "fm_setup.in")
        return setup.frames[: options.sized(len(setup.frames), 12)], setup.basis, ()
    with tempfile.TemporaryDirectory() as folder:
        job = demo_input(Path(folder))
        fitted, held = job.read_frames()
    frames, basis = [*fitted, *held], job.basis
    if options.toy:
        frames = frames[::20]
        basis = basis.with_types(t for t in basis.types if t.body < 4)
    return frames, basis, ()


def _folder(options: Options, name: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=options.scratch))


def _kept(options: Options) -> Callable[..., Any]:
    return partial(summarise, folds=folds_of(options), executor=executor("serial"))


def sizing(options: Options, name: str) -> Callable[[], dict[str, Any]]:
    """Bytes of the summary store and of the design store that one pass fills."""
    frames, basis, frozen = data_of(options, name)
    folder = _folder(options, name)

    def work() -> dict[str, Any]:
        found = _kept(options)(frames, basis, frozen=frozen, summaries=folder / "summaries", store=folder / "rows")
        record = {
            "frames": len(frames), "rows": sum(n_rows(f) for f in frames), "columns": len(found.columns),
            "blocks": list(found.blocks), "groups": len(found.groups), "folds": folds_of(options).count,
            "summary_bytes": SummaryStore.open(folder / "summaries").nbytes(),
            "design_bytes": DesignStore.open(folder / "rows").nbytes(),
        }  # fmt: skip
        shutil.rmtree(folder)
        return record

    return work


def anew(options: Options, name: str) -> Callable[[], float]:
    """All frames into a new summary store."""
    frames, basis, frozen = data_of(options, name)
    folder = _folder(options, name)
    return lambda: timed(lambda: _kept(options)(frames, basis, frozen=frozen, summaries=folder / "summaries"))[1]


def appending(options: Options, name: str) -> Callable[[], dict[str, float]]:
    """A tenth more frames into a summary store that has the others."""
    frames, basis, frozen = data_of(options, name)
    folder = _folder(options, name) / "summaries"
    later = {f.digest for f in frames[:: options.sized(LATER, 4)]}
    earlier = [f for f in frames if f.digest not in later]
    _kept(options)(earlier, basis, frozen=frozen, summaries=folder)
    before = SummaryStore.open(folder).nbytes()

    def work() -> dict[str, float]:
        seconds = timed(lambda: _kept(options)(frames, basis, frozen=frozen, summaries=folder))[1]
        bytes_more = SummaryStore.open(folder).nbytes() - before
        return {"frames": len(later), "seconds": seconds, "bytes_more": bytes_more}

    return work


def run(options: Options) -> dict[str, Any]:
    """Every case, every λ, every store, each in a process of its own."""
    record: dict[str, Any] = {"passes": {}, "ridge": {}, "lasso": [], "stores": {}, "absent": {}}
    if (why := options.missing("cn_dft")) is not None:
        record["absent"]["views"] = why
    else:
        record["passes"] = options.value(summarising, options)
        tell(f"passes: {record['passes']}")
        for name in CASES:
            record["ridge"][name] = own = options.value(comparing, options, name)
            tell(f"{name}: forces {own['apart']['forces']:.1e} apart, {own['view_seconds']:.1f} CPU s")
        record["lasso"] = options.value(selecting, options)
        tell(f"LASSO: {[own['supports_differ_in'] for own in record['lasso']]} columns of the supports differ")
    for name, folder in SETS.items():
        if name != "cn_pbe" and (why := options.missing(folder)) is not None:
            record["absent"][f"store of {name}"] = why
            continue
        own = options.value(sizing, options, name)
        own |= {"anew_seconds": options.value(anew, options, name), "append": options.value(appending, options, name)}
        record["stores"][name] = own
        tell(f"{name}: {own['summary_bytes'] / MB:.0f} MB, appending {own['append']['seconds']:.1f} CPU s")
    return record


def markdown(record: dict[str, Any]) -> str:
    """The fits, the LASSOs, the stores."""
    parts = []
    if record["ridge"]:
        passes = ", ".join(f"{name} {figure(s)}" for name, s in record["passes"].items())
        parts.append(f"CPU seconds of the passes over the rows: {passes}.")
        rows = [
            [name, own["columns"], own["rows"], *(f"{own['apart'][k]:.1e}" for k in ("forces", "energies", "stresses")),
             figure(own["view_seconds"]), figure(own["direct_seconds"])]
            for name, own in record["ridge"].items()
        ]  # fmt: skip
        head = ["ridge", "columns", "rows", f"forces apart, kcal/mol/Å rms (limit {LIMIT:.0e})",
                "energies, kcal/mol/atom", "stresses, GPa", "view, CPU s", "direct fit, CPU s"]  # fmt: skip
        parts.append(table(head, rows))
        rows = [
            [f"{own['lam']:g}", own["nonzeros"], own["supports_differ_in"], f"{own['apart']['forces']:.1e}",
             figure(own["view_seconds"]), figure(own["direct_seconds"])]
            for own in record["lasso"]
        ]  # fmt: skip
        head = ["LASSO, λ", "nonzeros", "columns in one support only", "forces apart, kcal/mol/Å rms", "view, CPU s",
                "direct, its rows reduced before, CPU s"]  # fmt: skip
        parts.append(table(head, rows))
    rows = [
        [name, own["rows"], own["columns"], own["groups"], figure(own["summary_bytes"] / MB),
         figure(own["design_bytes"] / MB), f"{own['append']['frames']} of {own['frames']}",
         figure(own["append"]["seconds"]), figure(own["append"]["bytes_more"] / MB), figure(own["anew_seconds"])]
        for name, own in record["stores"].items()
    ]  # fmt: skip
    if rows:
        head = ["store", "rows", "columns", "groups", "MB", "design store, MB", "frames appended", "CPU s", "MB more",
                "anew, CPU s"]  # fmt: skip
        parts.append(table(head, rows))
    return "\n\n".join(parts)


BENCHMARK: Final = Benchmark("views", "Views beside direct fits, and the summary store, one core.", run, markdown)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
