"""`solve`: coefficients from a summary and a regulariser, with what is needed to trust them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from hiertl_dist.algebra.direct import least_squares, ridge, ridge_of_gram, truncated_svd
from hiertl_dist.algebra.factor import Answer, Factor, factor_of_gram, factor_of_rows
from hiertl_dist.algebra.gram import Gram
from hiertl_dist.algebra.lapack import Vector
from hiertl_dist.algebra.lasso import lasso
from hiertl_dist.algebra.regularisers import Lasso, NoRegularisation, Regulariser, Ridge, TruncatedSVD
from hiertl_dist.algebra.rfactor import RFactor
from hiertl_dist.algebra.summary import Summary, locked

#: Relative gradient that ridge promises; a solution above it says so in its notes.
GRADIENT_LIMIT = 1e-10


@dataclass(frozen=True, eq=False)
class LinearSolution:
    """The answer to one linear problem.

    - `coefficients` (n,), read-only; columns that are zero, or less than the rounding of the largest, get 0
    - `rank`: independent columns (none), singular values kept (svd), n without zero columns (ridge),
      nonzeros (lasso)
    - `condition` of what was inverted: an estimate of cond_1 of the column-equilibrated triangle (none,
      ridge: with the penalty's rows; lasso: the nonzero columns); √cond_1 of the equilibrated normal matrix
      for ridge on a `Gram`; the exact ratio of the singular values kept, not equilibrated, for svd
    - `residual_norm2`: ‖A c − b‖² over the weighted rows, without the penalty
    - `gradient_norm` (none, ridge): ‖Aᵀ(b − A c) − alpha c‖ / ‖Aᵀb‖
    - `kkt_gap` (lasso): largest violation of the optimality conditions relative to N lam
    - `method`: "rfactor" or "gram"; `notes`: what the reader of a report should know
    """

    coefficients: Vector
    rank: int
    condition: float
    residual_norm2: float
    nonzeros: int
    gradient_norm: float | None
    kkt_gap: float | None
    method: str
    notes: tuple[str, ...] = ()


def solve(summary: Summary, regulariser: Regulariser, n_counted: float | None = None) -> LinearSolution:
    """Minimise ‖A c − b‖² under `regulariser`, b being target 0 of `summary`.

    `n_counted` is the N of the LASSO objective, by default the rows of the summary; the others ignore it.

    Raises UnsafeGram where a `Gram` is too ill-conditioned to be solved, ConvergenceError where the LASSO
    misses its optimality conditions, ValueError for an `n_counted` that is not a finite number > 0.
    """
    counted = float(summary.rows if n_counted is None else n_counted)
    norms = summary.column_norms()
    # what is lost in the rounding of the largest column is zero too: scaled to length 1 it would count as much as any
    alive = norms > float(np.finfo(np.float64).eps) * norms.max(initial=0.0)
    zero = np.flatnonzero(~alive)
    live = summary if len(zero) == 0 else summary.columns(alive)
    if live.n_columns == 0:
        gap = 0.0 if isinstance(regulariser, Lasso) else None
        answer = Answer(np.zeros(0), 0, 1.0, gap)
    else:
        answer = _answer(live, regulariser, counted)
    coefficients = np.zeros(summary.n_columns)
    coefficients[alive] = answer.coefficients
    solution = LinearSolution(
        coefficients=locked(coefficients),
        rank=answer.rank,
        condition=answer.condition,
        residual_norm2=summary.residual_norm2(coefficients),
        nonzeros=int(np.count_nonzero(coefficients)),
        gradient_norm=_gradient_norm(summary, regulariser, coefficients),
        kkt_gap=answer.kkt_gap,
        method=summary.kind,
        notes=answer.notes,
    )
    return replace(solution, notes=solution.notes + _notes(solution, regulariser, len(zero)))


def _answer(summary: Summary, regulariser: Regulariser, n_counted: float) -> Answer:
    if isinstance(regulariser, Ridge) and isinstance(summary, Gram):
        return ridge_of_gram(summary, regulariser.alpha)
    factor = _factor(summary)
    match regulariser:
        case NoRegularisation(tolerance=tolerance):
            smallest = max(summary.rows, summary.n_columns) * float(np.finfo(np.float64).eps)
            return least_squares(factor, smallest if tolerance is None else tolerance)
        case TruncatedSVD(tolerance=tolerance):
            return truncated_svd(factor, tolerance)
        case Ridge(alpha=alpha):
            return ridge(factor, alpha)
        case Lasso():
            return _lasso(factor, regulariser, summary.column_norms(), n_counted)
    raise TypeError(f"expected a regulariser, found {type(regulariser).__name__}")


def _factor(summary: Summary) -> Factor:
    if isinstance(summary, RFactor):
        return factor_of_rows(summary)
    if isinstance(summary, Gram):
        return factor_of_gram(summary)
    raise TypeError(f"expected an RFactor or a Gram, found {type(summary).__name__}")


def _lasso(factor: Factor, regulariser: Lasso, norms: Vector, n_counted: float) -> Answer:
    if not (math.isfinite(n_counted) and n_counted > 0):
        raise ValueError(f"n_counted: expected a finite number > 0, found {n_counted}")
    mu = regulariser.lam * n_counted
    if not regulariser.normalize:
        return lasso(factor, mu)
    answer = lasso(Factor(np.asfortranarray(factor.R / norms), factor.z), mu)
    return replace(answer, coefficients=answer.coefficients / norms)


def _gradient_norm(summary: Summary, regulariser: Regulariser, c: Vector) -> float | None:
    if not isinstance(regulariser, NoRegularisation | Ridge):
        return None
    alpha = regulariser.alpha if isinstance(regulariser, Ridge) else 0.0
    slope = float(np.linalg.norm(summary.gradient(c) - alpha * c))
    at_zero = float(np.linalg.norm(summary.gradient(np.zeros_like(c))))
    return slope / at_zero if at_zero > 0.0 else slope


def _notes(solution: LinearSolution, regulariser: Regulariser, zeros: int) -> tuple[str, ...]:
    notes = []
    n = len(solution.coefficients)
    if zeros:
        notes.append(
            f"{zeros} of {n} columns are zero in every row, or less than the rounding of the largest: their "
            "coefficients are 0"
        )
    if isinstance(regulariser, NoRegularisation) and solution.rank < n - zeros:
        dependent = n - zeros - solution.rank
        notes.append(f"{dependent} of {n} columns depend on others: the shortest solution was taken")
    if isinstance(regulariser, Ridge) and (solution.gradient_norm or 0.0) > GRADIENT_LIMIT:
        notes.append(f"relative gradient {solution.gradient_norm:.1e} exceeds {GRADIENT_LIMIT:.0e}")
    return tuple(notes)
