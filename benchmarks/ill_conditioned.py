"""Coefficients from ill-conditioned rows beside the truth in 80 digits, solver by solver, and where Gram must refuse.

Rows come as summaries do: four leaves, each reduced on its own, merged in a tree. Truth is the exact answer to the very
floats that the solvers get: the normal equations in 80 digits, of which a condition of 1e13 takes 26. Errors are
relative and in columns of length 1. No solver in double precision can promise less than rounding of the rows may change
(Wedin's bound, e.g. Björck, Numerical Methods for Least Squares Problems, SIAM 1996, section 1.4):
ε κ (1 + κ ‖r‖ / (‖A‖ ‖c‖)), κ and r being condition number and residual, for ridge those of A on top of the penalty's
rows.
"""

from __future__ import annotations

import math
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from bench import Benchmark, Options, main, tell
from measure import table

from hiertl_dist.algebra import GRAM_CONDITION_LIMIT, Gram, NoRegularisation, RFactor, Ridge, TruncatedSVD, UnsafeGram
from hiertl_dist.algebra.ridge_grid import ridge_grid
from hiertl_dist.algebra.solve import solve

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hiertl_dist.algebra import Summary

    Matrix = NDArray[np.float64]

EPS: Final = float(np.finfo(np.float64).eps)
DIGITS: Final = 80
LEAVES: Final = 4
SIZE: Final = (160, 30)
TOY_SIZE: Final = (48, 12)
CONDITIONS: Final = (1e4, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13)
TOY_CONDITIONS: Final = (1e4, 1e8, 1e13)
ALPHAS: Final = (1e-20, 1e-12, 1e-6)
"""Ridge penalties over the square of the largest singular value."""

NOISE: Final = 1e-2
WRONG: Final = 1e-2
"""Relative error of the coefficients that a fit must not have without saying so."""


# ------------------------------------------------------------------ matrices


def random_rows(m: int, n: int, condition: float) -> Matrix:
    """Random orthogonal factors, singular values evenly spread in their logarithm: no scaling of columns helps."""
    random = np.random.default_rng([m, n, int(math.log10(condition))])
    u, v = (np.linalg.qr(random.normal(size=(k, n)))[0] for k in (m, n))
    return np.asarray((u * np.geomspace(1.0, 1.0 / condition, n)) @ v.T)


def chebyshev_rows(m: int, n: int, condition: float) -> Matrix:
    """Rows as of pairs seen over a part of the range: Chebyshev polynomials of a Morse variable, times a cutoff.

    Distances lie in a part of 1 to 5 Å that is narrowed until the matrix (columns of length 1) has the condition.
    """
    random = np.random.default_rng([m, n])
    places = np.sort(random.random(m))

    def rows(width: float) -> Matrix:
        r = 3.0 + (places - 0.5) * width
        ends = np.exp(-np.array([1.0, 5.0]) / 1.4)
        s = (np.exp(-r / 1.4) - ends.mean()) / (0.5 * (ends[0] - ends[1]))
        return np.asarray((np.polynomial.chebyshev.chebvander(s, n)[:, 1:].T * (1.0 - r / 5.0) ** 3).T)

    low, high = 0.05, 3.9
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if condition_of(rows(middle)) < condition else (middle, high)
    return rows(high)


def vandermonde_rows(m: int, n: int, condition: float) -> Matrix:
    """Monomials on 0 to 1: as few columns as reach the condition; that decides, not `n`."""
    x = np.linspace(0.0, 1.0, m)
    k = next(k for k in range(2, m) if condition_of(np.vander(x, k, increasing=True)) >= condition)
    return np.vander(x, k, increasing=True)


MATRICES: Final = {"random": random_rows, "Chebyshev": chebyshev_rows, "Vandermonde": vandermonde_rows}


def condition_of(a: Matrix) -> float:
    """cond_2 with columns of length 1."""
    return float(np.linalg.cond(a / np.linalg.norm(a, axis=0)))


# ------------------------------------------------------------------ truth


def exact(a: Matrix, b: Matrix, alphas: tuple[float, ...]) -> dict[float, tuple[Matrix, float]]:
    """Of each alpha: coefficients, and the length of the residual with the penalty's rows, from 80 digits."""
    from mpmath import mp, mpf

    with mp.workdps(DIGITS):
        rows, target = mp.matrix(a.tolist()), mp.matrix(b.tolist())
        gram, moment = rows.T * rows, rows.T * target
        found = {}
        for alpha in alphas:
            penalised = gram.copy()
            for j in range(a.shape[1]):
                penalised[j, j] += mpf(alpha)
            c = mp.cholesky_solve(penalised, moment)
            residual = target - rows * c
            length = mp.sqrt(mp.fdot(residual, residual) + mpf(alpha) * mp.fdot(c, c))
            found[alpha] = np.array([float(x) for x in c]), float(length)
    return found


def bound(a: Matrix, alpha: float, truth: Matrix, residual: float) -> float:
    """What rounding of the rows may change, relative, in columns of length 1."""
    lengths = np.linalg.norm(a, axis=0)
    both = np.vstack([a, math.sqrt(alpha) * np.eye(len(truth))]) / lengths
    s = np.linalg.svd(both, compute_uv=False)
    kappa = s[0] / s[-1]
    return float(EPS * kappa * (1.0 + kappa * residual / (s[0] * np.linalg.norm(lengths * truth))))


# ------------------------------------------------------------------ solvers


def merged(kind: type[Gram | RFactor], a: Matrix, b: Matrix) -> Summary:
    """Leaves of consecutive rows, merged in a binary tree."""
    leaves = zip(np.array_split(a, LEAVES), np.array_split(b, LEAVES), strict=True)
    parts: list[Any] = [kind.of(*leaf) for leaf in leaves]
    while len(parts) > 1:
        parts = [parts[i].merge(parts[i + 1]) if i + 1 < len(parts) else parts[i] for i in range(0, len(parts), 2)]
    whole: Summary = parts[0]
    return whole


def attempt(work: Callable[[], Matrix]) -> Matrix | None:
    """The coefficients; None where it refuses."""
    try:
        return work()
    except UnsafeGram:
        return None


def unguarded(a: Matrix, b: Matrix, alpha: float = 0.0) -> Matrix:
    """The normal equations as they are often solved; NaN where numpy finds a zero pivot, and says so."""
    try:
        return np.asarray(np.linalg.solve(a.T @ a + alpha * np.eye(a.shape[1]), a.T @ b))
    except np.linalg.LinAlgError:
        return np.full(a.shape[1], np.nan)


def one_case(name: str, m: int, n: int, asked: float, noisy: bool) -> dict[str, Any]:
    """Errors of every solver on one matrix and one target."""
    a = MATRICES[name](m, n, asked)
    n = a.shape[1]
    random = np.random.default_rng(n)
    lengths = np.linalg.norm(a, axis=0)
    b = a @ (random.normal(size=n) / lengths)
    if noisy:
        b = b + NOISE * np.linalg.norm(b) / math.sqrt(m) * random.normal(size=m)
    largest = float(np.linalg.norm(a, 2)) ** 2
    alphas = tuple(alpha * largest for alpha in ALPHAS)
    truth = exact(a, b, (0.0, *alphas))
    factor, gram = merged(RFactor, a, b), merged(Gram, a, b)
    grid = ridge_grid(factor, alphas)

    def error(c: Matrix | None, alpha: float = 0.0) -> float | None:
        exactly = truth[alpha][0]
        return None if c is None else float(np.linalg.norm((c - exactly) * lengths) / np.linalg.norm(exactly * lengths))

    def solved(summary: Summary, kind: Any) -> Matrix | None:
        return attempt(lambda: solve(summary, kind).coefficients)

    ols = {
        "bound": bound(a, 0.0, *truth[0.0]),
        "qr": error(solved(factor, NoRegularisation(0.0))),
        "svd": error(solved(factor, TruncatedSVD(0.0))),
        "gram": error(solved(gram, NoRegularisation())),
        "unguarded": error(unguarded(a, b)),
    }  # fmt: skip
    ridges = [
        {
            "alpha": relative, "bound": bound(a, alpha, *truth[alpha]),
            "ridge": error(solved(factor, Ridge(alpha)), alpha), "ridge_grid": error(grid.coefficients[i], alpha),
            "gram": error(solved(gram, Ridge(alpha)), alpha), "unguarded": error(unguarded(a, b, alpha), alpha),
        }
        for i, (relative, alpha) in enumerate(zip(ALPHAS, alphas, strict=True))
    ]  # fmt: skip
    rank = solve(factor, NoRegularisation()).rank
    return {
        "matrix": name, "rows": m, "columns": n, "condition": condition_of(a), "noisy": noisy, "rank": rank, "ols": ols,
        "ridges": ridges,
    }  # fmt: skip


def cases(options: Options) -> Callable[[], list[dict[str, Any]]]:
    """Step: all of them."""
    m, n = options.sized(SIZE, TOY_SIZE)
    asked = options.sized(CONDITIONS, TOY_CONDITIONS)
    return lambda: [one_case(k, m, n, c, noisy) for k in MATRICES for c in asked for noisy in (False, True)]


# ------------------------------------------------------------------ verdicts


def verdicts(found: list[dict[str, Any]]) -> dict[str, Any]:
    """How normal equations did: solves that would have been wrong silently, and what ours did there and elsewhere."""
    problems = [case["ols"] for case in found] + [ridge for case in found for ridge in case["ridges"]]
    wrong = [p for p in problems if not (p["unguarded"] is not None and p["unguarded"] <= WRONG)]
    accepted = [p for p in problems if p["gram"] is not None]
    refused_fine = [p for p in problems if p["gram"] is None and p not in wrong]
    ours = {k: [p for p in problems if k in p] for k in ("qr", "svd", "ridge", "ridge_grid")}
    return {
        "problems": len(problems), "unguarded_wrong": len(wrong),
        "unguarded_wrong_and_ours_refused": sum(p["gram"] is None for p in wrong),
        "gram_accepted": len(accepted), "gram_largest_error": max((p["gram"] for p in accepted), default=None),
        "refused_though_unguarded_was_fine": len(refused_fine),
        "largest_error_to_bound": {k: max(p[k] / max(p["bound"], EPS) for p in own) for k, own in ours.items()},
    }  # fmt: skip


def run(options: Options) -> dict[str, Any]:
    """Every case in one process."""
    try:
        import mpmath  # noqa: F401
    except ImportError:
        return {"cases": [], "verdicts": None, "absent": {"ill_conditioned": "mpmath is not installed"}}
    found = options.value(partial(cases), options, warm=False)
    record = {"cases": found, "verdicts": verdicts(found), "absent": {}}
    tell(f"ill_conditioned: {record['verdicts']}")
    return record


def small(value: float | None) -> str:
    return "refuses" if value is None else f"{value:.0e}"


def markdown(record: dict[str, Any]) -> str:
    """A table of least squares, one of ridge, and what became of the normal equations."""
    if record["verdicts"] is None:
        return ""
    squares, ridges = [], []
    for case in record["cases"]:
        title = f"{case['matrix']}, {case['rows']} × {case['columns']}{', noisy' if case['noisy'] else ''}"
        head = [title, f"{case['condition']:.0e}"]
        ols = case["ols"]
        squares.append([*head, *(small(ols[k]) for k in ("bound", "qr", "svd", "gram", "unguarded")), case["rank"]])
        for ridge in case["ridges"]:
            keys = ("bound", "ridge", "ridge_grid", "gram", "unguarded")
            ridges.append([*head, f"{ridge['alpha']:.0e}", *(small(ridge[k]) for k in keys)])
    found = record["verdicts"]
    ratios = ", ".join(f"{k} {v:.1g}" for k, v in found["largest_error_to_bound"].items())
    return "\n\n".join([
        f"Relative error of the coefficients. Noisy: normal noise of {NOISE:g} of the target. Unguarded: "
        "`numpy.linalg.solve(AᵀA + alpha I, Aᵀb)`. Rank: what OLS decides at its own tolerance.",
        table(["least squares", "condition", "bound", "QR", "SVD", "Gram", "unguarded", "rank"], squares),
        table(["ridge", "condition", "alpha / s₀²", "bound", "ridge", "ridge_grid", "Gram", "unguarded"], ridges),
        f"Of {found['problems']} problems unguarded normal equations got {found['unguarded_wrong']} wrong by more than "
        f"{WRONG:g} or broke down; `Gram` refused {found['unguarded_wrong_and_ours_refused']} of these. It solved "
        f"{found['gram_accepted']}, with errors of at most {small(found['gram_largest_error'])}, and refused "
        f"{found['refused_though_unguarded_was_fine']} that unguarded ones got right to {WRONG:g} (its limit is a "
        f"condition of {GRAM_CONDITION_LIMIT:.0e}). Largest error as a multiple of the bound: {ratios}.",
    ])  # fmt: skip


BENCHMARK: Final = Benchmark(
    "ill_conditioned", "Coefficients from ill-conditioned rows beside the truth in 80 digits.", run, markdown
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
