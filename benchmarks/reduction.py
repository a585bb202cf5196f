"""What a leaf's reduction costs beside one dgeqrt and one dsyrk, its cheaper alternatives, and solves of the factor.

Rows are real: C rows of all-carbon ``cn_dft`` frames, CN rows of ``cn_dft``, whole and with 1 000 of their columns.
Seconds are CPU seconds of calls in turn in one process; copies that only keep the input for the next call are not
counted. Rates count 2 m n² − 2 n³/3 operations for any way to R, however many it needs.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bench import Benchmark, Options, main, median_ratio, tell
from cn_dft_chain import ALPHA, FILES, read_problem
from made import relabelled
from measure import figure, table
from scipy.linalg import blas, lapack

from hiertl_dist import Model, design_rows
from hiertl_dist.algebra import Gram, Lasso, NoRegularisation, RFactor, Ridge
from hiertl_dist.algebra.lapack import qr_panel, qr_triangle, stack_below
from hiertl_dist.algebra.solve import solve

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Part = tuple[Callable[[], Any], Callable[[Any], Any]]

CASES: Final = {487: "C", 1000: "CN", 3747: "CN"}
TOY: Final = {30: "C", 40: "CN"}
LEAF: Final = 8
"""Rows of a leaf per column, where the frames have so many (20 ``cn_dft`` frames have 3.5 for 3 747 columns)."""

REPEATS: Final = 3
NOISE: Final = 3.0
"""kcal/mol/Å: scatter of the C target about the published model."""

LAMBDA: Final = 1e-5
FIRST: Final = 2
"""Rows per column of the QR before Cholesky updates, of each later portion, and of a sample."""

GUARD: Final = 1e4
"""‖B‖²_F / n up to which I + BᵀB is trusted: each power of ten costs a digit."""

TRUTH: Final = 500
"""Up to so many columns the truth is a Householder QR in extended precision; above, R is compared with TSQR's."""


@dataclass(frozen=True, eq=False)
class Leaf:
    """[A | b] of a leaf (rows, n + 1), row-major, and the rows of a frame: all, and those that are forces."""

    rows: Matrix
    frame: int
    forces: int

    @property
    def n(self) -> int:
        return self.rows.shape[1] - 1

    def column_major(self) -> Matrix:
        return np.array(self.rows, order="F")


def leaf_of(options: Options, n: int, block: str) -> Leaf:
    """Rows of a case."""
    problem = read_problem(options.data / "cn_dft", 20)
    basis = problem.basis
    frames = problem.frames
    if block == "C":
        parameters = Model.read(options.data / "cn_dft" / FILES["C"]).parameters
        basis, frames = parameters.basis, tuple(relabelled(f, "C") for f in frames)
    per_frame = len(design_rows(frames[0], basis, [block]).target)
    made = design_rows(frames[: 1 + LEAF * n // per_frame], basis, [block], policy="damp")
    target = made.target
    if block == "C":
        noise = np.random.default_rng(0).normal(0.0, NOISE, len(target))
        target = made.matrix @ parameters.coefficients + noise
    chosen = np.linspace(0, made.matrix.shape[1] - 1, n).astype(int)
    rows = np.ascontiguousarray(np.column_stack([made.matrix[:, chosen], target]))
    return Leaf(rows, per_frame, 3 * len(frames[0]))


def turns(parts: dict[str, Part], repeats: int) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """CPU seconds of each part's work, in turn, on what its own preparation gives, uncounted; and what it returned."""
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    found: dict[str, Any] = {}
    for _ in range(repeats):
        for name, (prepare, work) in parts.items():
            given = prepare()
            began = time.process_time()
            found[name] = work(given)
            seconds[name].append(time.process_time() - began)
            del given
    return seconds, found


# ------------------------------------------------------------------ ways to R


def cholesky_of(gram: Matrix) -> Matrix | None:
    """U of the upper triangle of a matrix; None where it is not positive definite."""
    u, info = lapack.dpotrf(gram, clean=1, overwrite_a=1)
    return None if info else np.asarray(u)


def tsqr(rows: Matrix) -> Matrix:
    """This package's."""
    return np.array(RFactor.of_buffer(rows, overwrite=True).r)


def dgeqrf(rows: Matrix) -> Matrix:
    """LAPACK's older blocked QR."""
    factored, _, _, _ = lapack.dgeqrf(rows, lwork=64 * rows.shape[1], overwrite_a=1)
    return np.triu(factored[: rows.shape[1]])


def updated(r: Matrix, portion: Matrix) -> Matrix:
    """R of more rows: chol(I + BᵀB) R with B = C R⁻¹ for the portion C, or QR where B is large."""
    n = len(r)
    with np.errstate(all="ignore"):
        b = blas.dtrsm(1.0, r, portion, side=1)
        trusted = float(np.vecdot(b.T, b.T).sum()) <= GUARD * n
    update = blas.dsyrk(1.0, b, beta=1.0, c=np.eye(n, order="F"), trans=1, overwrite_c=1) if trusted else None
    u = None if update is None else cholesky_of(update)
    return stack_below(r, portion, trapezoid=0) if u is None else np.asarray(blas.dtrmm(1.0, r, u, side=1))


def streaming(rows: Matrix) -> Matrix:
    """R of the first rows by QR, updated by each later portion."""
    step = FIRST * rows.shape[1]
    r = qr_triangle(np.array(rows[:step], order="F"), overwrite=True)
    for start in range(step, len(rows), step):
        r = updated(r, np.asfortranarray(rows[start : start + step]))
    return r


def sampled(rows: Matrix) -> Matrix:
    """R₀ of a sample of the rows by QR, then chol(BᵀB) R₀ with B = A R₀⁻¹."""
    n = rows.shape[1]
    some = np.sort(np.random.default_rng(0).permutation(len(rows))[: FIRST * n])
    r = qr_triangle(np.array(rows[some], order="F"), overwrite=True)
    u = cholesky_of(blas.dsyrk(1.0, blas.dtrsm(1.0, r, rows, side=1), trans=1))
    return np.full_like(r, np.nan) if u is None else np.asarray(blas.dtrmm(1.0, r, u, side=1))


def shifted(rows: Matrix) -> Matrix:
    """Shifted Cholesky QR, then twice more, on columns of length 1.

    Fukaya, Kannan, Nakatsukasa, Yamamoto, Yanagisawa, SIAM J. Sci. Comput. 42, A477 (2020).
    """
    m, n = rows.shape
    lengths = np.sqrt(np.vecdot(rows.T, rows.T))
    q, r = rows / lengths, np.diag(lengths)
    for shift in (11 * (m * n + n * (n + 1)) * np.finfo(float).eps / 2 * n, 0.0, 0.0):
        gram = blas.dsyrk(1.0, q, trans=1)
        gram[np.diag_indices(n)] += shift
        u = cholesky_of(gram)
        if u is None:
            return np.full_like(r, np.nan)
        q, r = blas.dtrsm(1.0, u, q, side=1), np.asarray(blas.dtrmm(1.0, np.asfortranarray(r), u, side=1))
    return r


def normal_equations(rows: Matrix) -> Matrix:
    """chol(AᵀA), columns of length 1."""
    lengths = np.sqrt(np.vecdot(rows.T, rows.T))
    u = cholesky_of(blas.dsyrk(1.0, rows / lengths, trans=1))
    return np.full((len(lengths),) * 2, np.nan) if u is None else u * lengths


RATIOS: Final = {
    "leaf_and_merge_to_dgeqrt": "leaf and merge × dgeqrt's rate", "leaf_to_dsyrk": "leaf × dsyrk of its rows",
    "gram_to_dsyrk": "Gram leaf × dsyrk", "update_to_tsqr": "Cholesky update of a known R × TSQR",
}  # fmt: skip
OURS: Final = "TSQR (dgeqrt)"
WAYS: Final = {
    OURS: tsqr, "dgeqrf": dgeqrf,
    "QR, then Cholesky updates": streaming, "sampled rows, then Cholesky QR": sampled,
    "shifted Cholesky QR 3": shifted,
    "Cholesky of the normal equations": normal_equations,
}  # fmt: skip


# ------------------------------------------------------------------ errors


def extended_triangle(rows: NDArray[Any]) -> NDArray[np.longdouble]:
    """R of rows by Householder reflections in extended precision."""
    a = np.array(rows, np.longdouble)
    n = a.shape[1]
    for k in range(n):
        v = a[k:, k].copy()
        v[0] += np.copysign(np.sqrt(v @ v), v[0])
        scale = v @ v
        if scale > 0:
            a[k:, k:] -= np.outer(v, (2 / scale) * (v @ a[k:, k:]))
    return np.triu(a[:n])


def back_substituted(r: NDArray[np.longdouble]) -> Matrix:
    """x of R = [U y; 0 ρ], U x = y; 0 for a column that is exactly a sum of those before it."""
    n = len(r) - 1
    x = np.zeros(n, np.longdouble)
    for i in reversed(range(n)):
        if r[i, i] != 0.0:
            x[i] = (r[i, n] - r[i, i + 1 : n] @ x[i + 1 :]) / r[i, i]
    return x.astype(float)


def answers(r: Matrix, rows: int) -> dict[str, Matrix]:
    """Coefficients without and with a ridge, from R of [A | b]."""
    factor = RFactor(np.asfortranarray(r), rows)
    kinds = {"ols": NoRegularisation(0.0), "ridge": Ridge(ALPHA)}
    return {name: solve(factor, kind).coefficients for name, kind in kinds.items()}


def true_answers(triangle: NDArray[np.longdouble]) -> dict[str, Matrix]:
    """The same in extended precision."""
    n = len(triangle) - 1
    below = np.hstack([np.sqrt(np.longdouble(ALPHA)) * np.eye(n), np.zeros((n, 1))])
    with_ridge = extended_triangle(np.vstack([triangle, below]))
    return {"ols": back_substituted(triangle), "ridge": back_substituted(with_ridge)}


def errors(found: dict[str, Matrix], rows: Matrix) -> dict[str, dict[str, float | None]]:
    """Of each R: the largest |RᵀR − AᵀA| relative to column lengths, and how far coefficients are from the truth (from
    TSQR's where there is none), relative, on columns of length 1."""
    m, width = rows.shape
    truth = extended_triangle(rows) if width - 1 <= TRUTH else None
    gram = blas.dsyrk(1.0, rows.T) if truth is None else np.asarray(truth.T @ truth, float)
    best = answers(found[OURS], m) if truth is None else true_answers(truth)
    lengths = np.sqrt(np.diagonal(gram))
    report: dict[str, dict[str, float | None]] = {}
    for way, r in found.items():
        if not np.isfinite(r).all():
            report[way] = dict.fromkeys(("backward", "ols", "ridge"))
            continue
        off = np.abs(np.triu(blas.dsyrk(1.0, np.asfortranarray(r), trans=1) - gram)) / lengths / lengths[:, np.newaxis]
        report[way] = {"backward": float(off.max())}
        for kind, x in answers(r, m).items():
            away = (x - best[kind]) * lengths[:-1]
            report[way][kind] = float(np.linalg.norm(away) / np.linalg.norm(best[kind] * lengths[:-1]))
    return report


# ------------------------------------------------------------------ one case


def collect(kind: type[Gram | RFactor], leaf: Leaf) -> Gram | RFactor:
    """A leaf's forces as ``reduce_rows`` takes them: tile by tile, A and b apart."""
    frames = len(leaf.rows) // leaf.frame
    collector = kind.collector(frames * leaf.forces, leaf.n + 1)
    for start in range(0, frames * leaf.frame, leaf.frame):
        tile = leaf.rows[start : start + leaf.frame]
        collector.add([(0, tile[:, :-1]), (leaf.n, tile[:, -1:])], np.arange(leaf.forces))
    return collector.finish()


def counted(m: int, n: int) -> float:
    """Operations of a QR."""
    return 2 * m * n**2 - 2 * n**3 / 3


def timing(options: Options, n: int, block: str) -> Callable[[], dict[str, Any]]:
    """The leaf of one case: yardsticks, reduction, alternatives, solves."""
    leaf = leaf_of(options, n, block)
    m, forces = len(leaf.rows), len(leaf.rows) // leaf.frame * leaf.forces
    random = np.random.default_rng(0)
    repeats = options.sized(REPEATS, 1)
    tile = np.ascontiguousarray(leaf.rows[:forces, :-1])

    def dgeqrt(a: Matrix) -> None:
        lapack.dgeqrt(min(qr_panel(n), n), a, overwrite_a=1)

    def work() -> dict[str, Any]:
        parts: dict[str, Part] = {
            "dgeqrt, 8n × n": (lambda: random.normal(size=(n, LEAF * n)).T, dgeqrt),
            "leaf": (lambda: leaf, partial(collect, RFactor)),
            "dsyrk": (lambda: tile, lambda a: blas.dsyrk(1.0, a.T)),
            "Gram leaf": (lambda: leaf, partial(collect, Gram)),
        }  # fmt: skip
        seconds, found = turns(parts, repeats)
        factor = found["leaf"]
        merging, _ = turns({"merge": (lambda: factor, lambda f: f.merge(f))}, repeats)
        ways, triangles = turns({name: (leaf.column_major, way) for name, way in WAYS.items()}, repeats)
        # all rows as one portion under an R that was there before: the best that updates can do
        known = {"update": (leaf.column_major, partial(updated, triangles[OURS])), "ours": (leaf.column_major, tsqr)}
        best, _ = turns(known, repeats)
        rate = {
            k: counted(*shape) / statistics.median(seconds[k])
            for k, shape in {"dgeqrt, 8n × n": (LEAF * n, n), "leaf": (forces, n + 1)}.items()
        }
        scaled = [s * counted(forces, n + 1) / counted(LEAF * n, n) for s in seconds["dgeqrt, 8n × n"]]
        # a merge adds a leaf's n rows of R: 2 n³/3 operations
        both = [s * (1 + 2 * n**3 / 3 / counted(forces, n + 1)) for s in scaled]
        together = [a + b for a, b in zip(seconds["leaf"], merging["merge"], strict=True)]
        return {
            "columns": n, "block": block, "rows": m, "leaf_rows": forces, "cpu": seconds | merging, "rate": rate,
            "leaf_to_dgeqrt": median_ratio(seconds["leaf"], scaled),
            "leaf_and_merge_to_dgeqrt": median_ratio(together, both),
            "leaf_to_dsyrk": median_ratio(seconds["leaf"], seconds["dsyrk"]),
            "gram_to_dsyrk": median_ratio(seconds["Gram leaf"], seconds["dsyrk"]),
            "update_to_tsqr": median_ratio(best["update"], best["ours"]),
            "ways": {k: {"cpu": ways[k]} | e for k, e in errors(triangles, leaf.rows).items()},
            "solves": solves(RFactor(np.asfortranarray(triangles[OURS]), m), repeats),
        }  # fmt: skip

    return work


def solves(factor: RFactor, repeats: int) -> dict[str, Any]:
    """Ridge, and the LASSO with columns of length 1; and scikit-learn's LARS path where it takes seconds."""
    kinds = {"ridge": Ridge(ALPHA), "lasso": Lasso(LAMBDA, normalize=True)}
    parts: dict[str, Part] = {k: (lambda: factor, partial(solve, regulariser=r)) for k, r in kinds.items()}
    if factor.n_columns <= 1000:
        parts["lars_path"] = (lambda: factor, lars_path_of)
    seconds, found = turns(parts, repeats)
    return {
        "cpu": seconds, "gradient": found["ridge"].gradient_norm, "gap": found["lasso"].kkt_gap,
        "nonzeros": found["lasso"].nonzeros, "lars_nonzeros": found.get("lars_path"),
    }  # fmt: skip


def lars_path_of(factor: RFactor) -> int:
    """Nonzeros at the end of scikit-learn's path to the same penalty, from the same factor."""
    from sklearn.linear_model import lars_path

    n = factor.n_columns
    r = np.array(factor.r[:n, :n] / factor.column_norms(), order="F")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        # its alpha counts the rows that it sees, and below 1e-7 it takes nothing seriously
        target = factor.r[:n, n] * n / (LAMBDA * factor.rows)
        _, _, end = lars_path(r, target, alpha_min=1.0, method="lasso", max_iter=100 * n, return_path=False)
    return int(np.count_nonzero(end))


def run(options: Options) -> dict[str, Any]:
    """Every case in a process of its own."""
    if (why := options.missing("cn_dft")) is not None:
        return {"cases": [], "absent": {"reduction": why}}
    cases = []
    for n, block in options.sized(CASES, TOY).items():
        cases.append(options.value(timing, options, n, block))
        tell(f"reduction of {n} columns: {cases[-1]['leaf_to_dgeqrt']:.3f} × dgeqrt")
    return {"cases": cases, "absent": {}}


def small(value: float | None) -> str:
    return "fails" if value is None else "—" if value == 0.0 else f"{value:.0e}"


def markdown(record: dict[str, Any]) -> str:
    """Three tables: leaves, ways to R, solves."""
    leaves, ways, solved = [], [], []
    for case in record["cases"]:
        seconds = {name: statistics.median(s) for name, s in case["cpu"].items()}
        leaves.append([
            f"{case['columns']} ({case['block']})", case["leaf_rows"], figure(case["rate"]["dgeqrt, 8n × n"] / 1e9),
            figure(case["rate"]["leaf"] / 1e9), figure(seconds["leaf"]), figure(case["leaf_to_dgeqrt"]),
            figure(seconds["merge"]), *(figure(case[k]) for k in RATIOS),
        ])  # fmt: skip
        own = statistics.median(case["ways"][OURS]["cpu"])
        for name, way in case["ways"].items():
            spent = statistics.median(way["cpu"])
            ways.append([
                f"{case['columns']} × {case['rows']}: {name}", figure(spent), figure(spent / own if own else None),
                *(small(way[k]) for k in ("backward", "ols", "ridge")),
            ])  # fmt: skip
        found = case["solves"]
        cpu = {name: statistics.median(s) for name, s in found["cpu"].items()}
        solved.append([
            f"{case['columns']} ({case['block']})", figure(cpu["ridge"]), small(found["gradient"]),
            figure(cpu["lasso"]), small(found["gap"]), found["nonzeros"],
            figure(cpu.get("lars_path")), found["lars_nonzeros"],
        ])  # fmt: skip
    return "\n\n".join([
        table(["columns", "rows of the leaf", "dgeqrt 8n × n, GF/s", "leaf, GF/s", "leaf, CPU s", "× dgeqrt's rate",
               "merge, CPU s", *RATIOS.values()], leaves),
        f"Ways to R of the same rows; backward: largest |RᵀR − AᵀA| relative to column lengths; errors of coefficients "
        f"relative to the truth (Householder in extended precision; above {TRUTH} columns relative to TSQR's):",
        table(["columns × rows: way", "CPU s", "× TSQR", "backward", "least squares", "ridge"], ways),
        f"Solves of the factor; ridge alpha = {ALPHA:g}, LASSO λ = {LAMBDA:g} on columns of length 1:",
        table(["columns", "ridge, CPU s", "gradient", "LASSO, CPU s", "gap", "nonzeros", "lars_path, CPU s",
               "its nonzeros"], solved),
    ])  # fmt: skip


BENCHMARK: Final = Benchmark("reduction", "Rows to a triangular factor, one core, and solving from it.", run, markdown)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
