"""The LASSO at λ = 1e-5 on the 3 747 columns of the CN block of ``cn_dft``, C and N subtracted, and its whole path.

Columns have length 1, and rows count as chimes_lsq counts them (N = 13 200: per frame 648 forces, 9 stresses, the
energy three times). The factor of the rows is made by streaming, in a process of its own; then the exact LASSO at λ,
and scikit-learn's ``lars_path`` on the same triangle with every one of its knots checked, each in a process of its
own. As a toy, the rows are 300 random ones of 40 columns.
"""

from __future__ import annotations

import pickle
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import cn_dft_chain as chain
import numpy as np
from bench import Benchmark, Options, main, tell
from measure import MB, figure, measure, table

from hiertl_dist import executor, plan, reduce_rows
from hiertl_dist.algebra import Lasso, RFactor
from hiertl_dist.algebra.factor import factor_of_rows
from hiertl_dist.algebra.lars import library_knots, segment_gaps
from hiertl_dist.algebra.proximal import kkt_gap
from hiertl_dist.algebra.solve import solve
from hiertl_dist.fitting.views import combine, whole_view

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

LAM: Final = 1e-5
GAP_LIMIT: Final = 1e-6
SECONDS: Final = 60.0
"""CPU seconds that the LASSO may take."""

COUNTED: Final = 13_200
TOY: Final = (300, 40, 1e3)
"""Rows, columns, condition."""

THEIRS: Final = {"columns": 1129, "steps": 2180, "seconds": 500.0}
"""The reference's solver (dlars) on fewer columns, where it did not converge; from ../shared/data/README.md."""


def toy_rows() -> tuple[RFactor, float]:
    """Ill-conditioned random rows, a target that half of the columns explain."""
    m, n, condition = TOY
    rng = np.random.default_rng(0)
    A = rng.normal(size=(m, n)) @ (rng.normal(size=(n, n)) * np.geomspace(1.0, 1.0 / condition, n)[:, np.newaxis])
    target = A @ (rng.normal(size=n) * (rng.random(n) < 0.5)) + 0.1 * rng.normal(size=m)
    return RFactor.of(A, target), float(m)


def streaming(options: Options) -> Callable[[], tuple[RFactor, float]]:
    """The triangle of the weighted rows with C and N subtracted, and N."""
    if options.toy:
        return toy_rows
    problem = chain.read_problem(options.data / "cn_dft", chain.THEIR_FRAMES)
    planned = plan(problem.frames, problem.basis, blocks=[chain.BLOCK])

    def work() -> tuple[RFactor, float]:
        with executor("serial") as runner:
            found = reduce_rows(planned, [chain.BLOCK], store=None, frozen=problem.frozen, executor=runner)
        whole = whole_view(found, {})
        summary = combine(whole)
        assert isinstance(summary, RFactor)
        return summary, float(whole.counted)

    return work


def load(kept: Path) -> tuple[RFactor, float]:
    """What ``streaming`` made."""
    with kept.open("rb") as stream:
        found: tuple[RFactor, float] = pickle.load(stream)
    return found


def scaled(summary: RFactor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The triangle with columns of length 1, and its target."""
    factor = factor_of_rows(summary)
    return np.asfortranarray(factor.R / summary.column_norms()), factor.z


def solving(kept: Path, lam: float) -> Callable[[], dict[str, Any]]:
    """The exact LASSO at one λ."""
    summary, counted = load(kept)

    def work() -> dict[str, Any]:
        found = solve(summary, Lasso(lam, normalize=True), counted)
        return {
            "columns": summary.n_columns, "rows": summary.rows, "counted": counted, "nonzeros": found.nonzeros,
            "kkt_gap": found.kkt_gap, "condition": found.condition, "notes": list(found.notes),
            "rmse": float(np.sqrt(found.residual_norm2 / counted)), "coefficients": found.coefficients,
        }  # fmt: skip

    return work


def walking(kept: Path, lam: float) -> Callable[[], dict[str, Any]]:
    """scikit-learn's path from where all is zero down to λ, and the check of all of it that ours adds."""
    summary, counted = load(kept)
    X, z = scaled(summary)

    def work() -> dict[str, Any]:
        began = time.process_time()
        knots = library_knots(X, z, lam * counted)
        after = time.process_time()
        gaps, segments = segment_gaps(X, z, knots)
        return {
            "knots": len(knots.mus), "lars_seconds": after - began, "check_seconds": time.process_time() - after,
            "ends_at": float(knots.mus[-1] / counted), "kkt_gap": kkt_gap(X, z, lam * counted, knots.y[-1]),
            "path_gap": float(max(gaps.max(), segments.max(initial=0.0))),
            "nonzeros": int(np.count_nonzero(knots.y[-1])),
            "coefficients": knots.y[-1] / summary.column_norms(),
        }  # fmt: skip

    return work


def run(options: Options) -> dict[str, Any]:
    """The triangle, the LASSO, the path; then whether both have the same answer."""
    files = ("cn_dft", *(f"cn_dft/{chain.FILES[name]}" for name in chain.FROZEN))
    if not options.toy and (why := options.missing(*files)) is not None:
        return {"absent": {"lasso": why}, "steps": {}}
    kept = options.scratch / "factor.pkl"
    steps: dict[str, Any] = {}
    found: dict[str, dict[str, Any]] = {}
    made = measure(streaming, options, keep=kept, repeats=1, apart=options.apart)
    steps["rows and TSQR"] = made.as_dict()
    tell(f"rows and TSQR: {made.seconds:.1f} CPU s")
    for name, make, repeats in (("LASSO", solving, options.sized(3, 1)), ("path", walking, 1)):
        measured = measure(make, kept, LAM, warm=False, repeats=repeats, apart=options.apart)
        steps[name], found[name] = measured.as_dict(), measured.value
        tell(f"{name}: {measured.seconds:.1f} CPU s, {measured.peak / MB:.0f} MB")
    summary, counted = load(kept)
    if not options.toy and counted != COUNTED:
        raise ValueError(f"N: expected {COUNTED}, found {counted:g}")
    ours, theirs = (found[name].pop("coefficients") for name in ("LASSO", "path"))
    difference = summary.r[:, :-1] @ (ours - theirs)
    agreement = {
        "same_support": bool(np.array_equal(ours != 0, theirs != 0)),
        "supports_differ_in": int(np.count_nonzero((ours != 0) != (theirs != 0))),
        "predictions_rms_difference": float(np.linalg.norm(difference) / np.sqrt(counted)),
    }
    return {"lam": LAM, "steps": steps, **found, "agreement": agreement, "reference": THEIRS, "absent": {}}


def markdown(record: dict[str, Any]) -> str:
    """Seconds, memory and optimality of both, and the reference's."""
    if not record["steps"]:
        return ""
    steps, exact, path = record["steps"], record["LASSO"], record["path"]
    peak = {name: figure(step["peak_bytes"] / MB) for name, step in steps.items()}
    lines = [
        ["rows, C and N subtracted, TSQR", figure(steps["rows and TSQR"]["cpu_seconds"]), peak["rows and TSQR"],
         None, None],
        [f"LASSO (limit {SECONDS:.0f} s, gap {GAP_LIMIT:.0e})", figure(steps["LASSO"]["cpu_seconds"]), peak["LASSO"],
         f"{exact['kkt_gap']:.1e}", exact["nonzeros"]],
        [f"whole path, `lars_path`: {path['knots']} knots", figure(path["lars_seconds"]), peak["path"],
         f"{path['kkt_gap']:.1e}", path["nonzeros"]],
        [f"check of all its knots: {path['path_gap']:.1e} at worst", figure(path["check_seconds"]), None, None, None],
        [f"dlars, {THEIRS['columns']} columns: not converged after {THEIRS['steps']} steps", figure(THEIRS["seconds"]),
         None, None, None],
    ]  # fmt: skip
    same = record["agreement"]
    differ = f"supports that differ in {same['supports_differ_in']} columns"
    said = "the same support" if same["same_support"] else differ
    return "\n\n".join([
        f"{exact['rows']} rows × {exact['columns']} columns, N = {exact['counted']:.0f}, λ = {record['lam']:g}, "
        f"columns of length 1; rms over the rows counted {figure(exact['rmse'], 5)}.",
        table(["step", "CPU s", "peak MB", "KKT gap / N λ", "nonzeros"], lines),
        f"LASSO and path have {said}; their predictions differ by {same['predictions_rms_difference']:.1e} rms.",
    ])  # fmt: skip


BENCHMARK: Final = Benchmark("lasso", "LASSO and its path on 3 747 columns, one core.", run, markdown)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
