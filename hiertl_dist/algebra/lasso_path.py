"""The whole LASSO path of a factor: every knot with its errors, degrees of freedom, AIC and BIC, and exact in between.

A path costs little more than its last point, so λ is chosen after it and not before. Knots come from ``lars``; here
they are checked, all of them and what lies between, against the conditions of optimality.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from hiertl_dist.algebra.errors import ConvergenceError
from hiertl_dist.algebra.factor import Factor, factor_of_rows
from hiertl_dist.algebra.lapack import Matrix, Vector, column_norms, qr_triangle, solve_triangular_many
from hiertl_dist.algebra.lars import PORTION, Knots, library_knots, segment_gaps, walked_knots
from hiertl_dist.algebra.lasso import ROUNDING_GAP_LIMIT, rounding_gap
from hiertl_dist.algebra.penalised import stacked_on_identity
from hiertl_dist.algebra.problem import data_rows, others_of
from hiertl_dist.algebra.rfactor import RFactor
from hiertl_dist.algebra.summary import Columns, column_index, locked
from hiertl_dist.algebra.unpenalised import Apart, set_apart
from hiertl_dist.errors import InputError

#: Largest violation of optimality relative to μ = N λ that is let through at a knot, and so anywhere on the path.
PATH_GAP_LIMIT = 1e-6


@dataclass(frozen=True, eq=False)
class LassoPath:
    """The minima of (1/2N) ‖A c − b‖² + λ Σ_j w_j |c_j| + ½ l2 ‖c‖² for all λ from where c = 0 down to the last.

    Attributes
    ----------
    lams : ndarray of shape (k,)
        The knots, falling: the first the smallest λ with c = 0, the last the λ asked for.
    coefficients : ndarray of shape (k, n)
        Those of the columns given, also with ``normalize``.
    residual_norm2 : ndarray of shape (k,)
        ‖A c − b‖² over the weighted rows, those of a prior left out.
    nonzeros : ndarray of int, shape (k,)
        How many coefficients are not zero.
    degrees_of_freedom : ndarray of shape (k,)
        Those of the fit: the nonzeros (Zou, Hastie, Tibshirani, Ann. Stat. 35, 2173 (2007)), with l2 the trace of the
        ridge's hat matrix of the nonzero columns (Tibshirani, Taylor, Ann. Stat. 40, 1198 (2012)); likewise with rows
        of a prior, of whose fit to the data alone it is the trace.
    aic : ndarray of shape (k,)
        As ``information_criteria``.
    bic : ndarray of shape (k,)
        As ``information_criteria``.
    gaps : ndarray of shape (k,)
        Largest violation of the optimality conditions at a knot and on the way to the next, relative to N λ. Down to
        ``exact_to`` it is at most PATH_GAP_LIMIT, or what rounding explains.
    rows : int
        The true number of rows, as the criteria take it; without those of a prior.
    """

    lams: Vector
    coefficients: Matrix
    residual_norm2: Vector
    nonzeros: npt.NDArray[np.int64]
    degrees_of_freedom: Vector
    aic: Vector
    bic: Vector
    gaps: Vector
    rows: int

    @property
    def exact_to(self) -> float:
        """The last λ of the path."""
        return float(self.lams[-1])

    def at(self, lam: float) -> Vector:
        """The coefficients at one λ.

        They are linear between knots, which is exact; above the first knot they are those of the first.

        Parameters
        ----------
        lam : float
            The λ, at least ``exact_to``.

        Returns
        -------
        ndarray of shape (n,)
            The coefficients.

        Raises
        ------
        ValueError
            A λ below ``exact_to``.
        """
        if not (math.isfinite(lam) and lam >= self.exact_to):
            raise InputError(f"lam: expected a finite number ≥ {self.exact_to:g}, where the path ends, found {lam}")
        after = int(np.searchsorted(-self.lams, -lam, side="left"))
        if after == 0:
            return np.array(self.coefficients[0])
        high, low = self.lams[after - 1], self.lams[after]
        part = (high - lam) / (high - low)
        return np.asarray((1.0 - part) * self.coefficients[after - 1] + part * self.coefficients[after])

    def best(self, criterion: Literal["aic", "bic"]) -> int:
        """Index of the knot with the smallest criterion, the sparser one where they tie."""
        if criterion not in ("aic", "bic"):
            raise InputError(f"criterion: expected 'aic' or 'bic', found {criterion!r}")
        return int(np.argmin(self.aic if criterion == "aic" else self.bic))


def information_criteria(
    residual_norm2: npt.ArrayLike, degrees_of_freedom: npt.ArrayLike, rows: int
) -> tuple[Vector, Vector]:
    """AIC and BIC = N log(RSS / N) + df × 2 or × log N: normal errors of unknown size, without the constant.

    Both are +inf where df ≥ N, since nothing is then left to tell the errors' size from.

    Parameters
    ----------
    residual_norm2 : array_like
        RSS, the sum of squares over the weighted rows.
    degrees_of_freedom : array_like
        df of each, of a shape that fits.
    rows : int
        N, the number of independent rows: not the rows of a triangular factor, nor a number that counts some twice.

    Returns
    -------
    aic, bic : ndarray
        Of the shape of the arrays given.

    Raises
    ------
    ValueError
        Numbers that are negative, or no rows.
    """
    rss, df = np.broadcast_arrays(np.asarray(residual_norm2, np.float64), np.asarray(degrees_of_freedom, np.float64))
    if rows < 1:
        raise ValueError(f"rows: expected a whole number ≥ 1, found {rows}")
    if not ((rss >= 0.0) & (df >= 0.0)).all():
        raise ValueError("residual_norm2, degrees_of_freedom: expected numbers ≥ 0, found others")
    with np.errstate(divide="ignore"):
        fit = rows * np.log(rss / rows)
    saturated = df >= rows
    return np.where(saturated, np.inf, fit + 2.0 * df), np.where(saturated, np.inf, fit + df * math.log(rows))


# long: its parameters are documented
def lasso_path(
    summary: RFactor, n_counted: float | None = None, *, lam_min: float, normalize: bool = False,
    weights: npt.ArrayLike | None = None, l2: float = 0.0, partial: bool = False, unpenalised: Columns = (),
    held: Matrix | None = None,
) -> LassoPath:  # fmt: skip
    """The LASSO path of target 0 of a summary.

    Parameters
    ----------
    summary : RFactor
        Of the rows [A | T].
    n_counted : float, optional
        The N of the objective, by default the rows of the summary. AIC and BIC always use the summary's rows.
    lam_min : float
        Where the path ends, > 0; where it is above the smallest λ with c = 0, that is the only knot.
    normalize : bool, default False
        As for ``Lasso``; weights and l2 then act on the scaled coefficients too.
    weights : array_like of shape (n,), optional
        Factors > 0 of λ for each column, such as ``1 / |p_j|^γ`` of the adaptive LASSO; inf keeps c_j at 0.
    l2 : float, default 0
        That of the elastic net, ``lam`` (1 − ``l1_ratio``) of ``ElasticNet``, the same all along the path (LARS-EN).
    partial : bool, default False
        Return what is exact where the rest of the path can't be found, instead of raising.
    unpenalised : sequence of int or mask of shape (n,), optional
        Columns that λ does not act on: each takes a degree of freedom.
    held : ndarray of shape (k, n), optional
        Rows of a prior among those of the summary, as in ``solve_all``: they are in the minimum, and neither in N nor
        in what the criteria count.

    Returns
    -------
    LassoPath
        All knots from where c = 0 down to ``lam_min``.

    Raises
    ------
    ValueError
        A number that is out of range.
    TypeError
        A summary that is not an ``RFactor``: normal equations lose the digits that a path needs.
    ConvergenceError
        A part of the path that violates optimality by more than PATH_GAP_LIMIT and can't be repaired; the message names
        the λ down to which it is exact.
    """
    _require_factor(summary)
    counted = float(data_rows(summary, held) if n_counted is None else n_counted)
    penalties = _checked(summary, counted, lam_min, weights, l2)
    free = column_index(unpenalised, summary.n_columns)
    if len(free):
        apart = set_apart(summary, free)
        w = penalties[apart.others]
        own = others_of(held, apart.free, apart.others)
        rest = lasso_path(
            apart.rest, counted, lam_min=lam_min, normalize=normalize, weights=w, l2=l2, partial=partial, held=own
        )  # fmt: skip
        return _joined(summary, apart, rest, held)
    norms = summary.column_norms()
    # as in `solve`: what is lost in the rounding of the largest column is zero too
    alive = np.flatnonzero((norms > np.finfo(np.float64).eps * norms.max(initial=0.0)) & np.isfinite(penalties))
    factor = factor_of_rows(summary.columns(alive))
    lengths = norms[alive] if normalize else np.ones(len(alive))
    factor = Factor(np.asfortranarray(factor.R / lengths), factor.z)
    stacked = factor if l2 == 0.0 else stacked_on_identity(factor, l2 * counted)
    X = np.asfortranarray(stacked.R / penalties[alive])
    knots, gaps, beyond = exact_knots(X, stacked.z, lam_min * counted)
    lams = np.where(knots.mus == lam_min * counted, lam_min, knots.mus / counted)
    if lams[-1] > lam_min and not partial:
        raise _not_exact(lam_min, float(lams[-1]), beyond)
    coefficients = np.zeros((len(lams), summary.n_columns))
    coefficients[:, alive] = knots.y / (penalties[alive] * lengths)
    residuals, rows = _residual_norms2(summary, coefficients, held), data_rows(summary, held)
    nonzeros = np.count_nonzero(coefficients, axis=1)
    if held is None:
        freedom = nonzeros.astype(float) if l2 == 0.0 else _ridge_freedom(factor, knots.y, l2 * counted)
    else:
        freedom = _held_freedom(stacked, np.asfortranarray(held[:, alive] / lengths), knots.y, l2 * counted)
    aic, bic = information_criteria(residuals, freedom, rows)
    return LassoPath(
        locked(lams), locked(coefficients), locked(residuals), nonzeros, locked(freedom), locked(aic), locked(bic),
        locked(gaps), rows,
    )  # fmt: skip


def _not_exact(lam_min: float, reached: float, beyond: float) -> ConvergenceError:
    return ConvergenceError(
        f"LASSO path: expected knots down to lam = {lam_min:g}, found them exact down to {reached:.6g} only "
        f"(violation of optimality beyond: {beyond:.1e}); ask for a larger lam_min, or for this lam alone",
        beyond,
    )


def _require_factor(summary: object) -> None:
    if not isinstance(summary, RFactor):
        raise TypeError(f"summary: expected an RFactor, found {type(summary).__name__}")


def _joined(summary: RFactor, apart: Apart, part: LassoPath, held: Matrix | None) -> LassoPath:
    """The path of all columns from that of the penalised ones."""
    coefficients = apart.joined(part.coefficients)
    residuals, rows = _residual_norms2(summary, coefficients, held), data_rows(summary, held)
    freedom = part.degrees_of_freedom + apart.rank
    aic, bic = information_criteria(residuals, freedom, rows)
    return replace(
        part, coefficients=locked(coefficients), residual_norm2=locked(residuals),
        nonzeros=np.count_nonzero(coefficients, axis=1), degrees_of_freedom=locked(freedom), aic=locked(aic),
        bic=locked(bic), rows=rows,
    )  # fmt: skip


def exact_knots(X: Matrix, z: Vector, mu_min: float) -> tuple[Knots, Vector, float]:
    """Knots of min ½‖X y − z‖² + μ‖y‖₁, as far down as they are exact.

    They are scikit-learn's as long as these are right, then those of a walk of our own.

    Parameters
    ----------
    X : ndarray of shape (p, n)
        The columns.
    z : ndarray of shape (p,)
        The target.
    mu_min : float
        The penalty down to which knots are wanted.

    Returns
    -------
    knots : Knots
        Those that are exact.
    gaps : ndarray of shape (k,)
        The violation of optimality at each, and on the way to the next.
    beyond : float
        The violation that was found after the last, NaN where none was.
    """
    n = X.shape[1]
    # ‖z − X y‖ ≤ ‖z‖, so the others stay 0 down to mu_min
    able = np.flatnonzero(column_norms(X) * np.linalg.norm(z) > mu_min)
    reduced = X if len(able) == n else np.asfortranarray(X[:, able])
    largest = float(np.abs(X.T @ z).max(initial=0.0))
    if largest <= mu_min:
        return Knots(np.array([largest]), np.zeros((1, n))), np.zeros(1), math.nan
    knots, gaps, beyond = _accurate_knots(reduced, z, library_knots(reduced, z, mu_min))
    if knots.mus[-1] > mu_min:
        more = walked_knots(reduced, z, float(knots.mus[-1]), knots.y[-1], mu_min)
        knots, gaps, after = _accurate_knots(reduced, z, knots.then(more))
        beyond = beyond if math.isnan(after) else after
    return _spread(knots, able, n), gaps, beyond


def _accurate_knots(X: Matrix, z: Vector, knots: Knots) -> tuple[Knots, Vector, float]:
    """The knots before the first that is wrong, their gaps, and the gap that ended them (NaN where none did).

    ``gaps`` are largest at a knot and on the way to the next.
    """
    gaps, segments = segment_gaps(X, z, knots)
    rounding = rounding_gap(column_norms(X), z, knots.mus, knots.y)
    allowed = np.maximum(PATH_GAP_LIMIT, np.minimum(rounding, ROUNDING_GAP_LIMIT))
    worst = np.maximum(gaps[1:], segments)
    wrong = np.flatnonzero(~(worst <= allowed[1:]))
    stop = int(wrong[0]) + 1 if len(wrong) else len(gaps)
    beyond = float(worst[wrong[0]]) if len(wrong) else math.nan
    gaps[:-1] = np.maximum(gaps[:-1], segments)
    gaps[stop - 1] = worst[stop - 2] if stop > 1 else 0.0
    return Knots(knots.mus[:stop], knots.y[:stop]), gaps[:stop], beyond


def _spread(knots: Knots, able: npt.NDArray[np.intp], n: int) -> Knots:
    if len(able) == n:
        return knots
    y = np.zeros((len(knots.mus), n))
    y[:, able] = knots.y
    return Knots(knots.mus, y)


def _checked(
    summary: RFactor, counted: float, lam_min: float, weights: npt.ArrayLike | None, l2: float
) -> npt.NDArray[np.float64]:
    """The factor of λ for each column (n,); raises ValueError on a number that is out of range."""
    for name, value in (("n_counted", counted), ("lam_min", lam_min)):
        if not (math.isfinite(value) and value > 0.0):
            raise InputError(f"{name}: expected a finite number > 0, found {value}")
    if not (math.isfinite(l2) and l2 >= 0.0):
        raise InputError(f"l2: expected a finite number ≥ 0, found {l2}")
    n = summary.n_columns
    if weights is None:
        return np.ones(n)
    factors = np.asarray(weights, np.float64)
    if factors.shape != (n,):
        raise InputError(f"weights: expected one for each of the {n} columns, found shape {factors.shape}")
    if not (factors > 0.0).all():
        j = int(np.flatnonzero(~(factors > 0.0))[0])
        raise InputError(f"weights: expected numbers > 0, found {factors[j]} for column {j}")
    return factors


def _residual_norms2(summary: RFactor, coefficients: Matrix, held: Matrix | None) -> Vector:
    """‖A c − b‖² (k,) of every knot, without the rows of a prior."""
    n, norms2 = summary.n_columns, np.empty(len(coefficients))
    for start in range(0, len(norms2), PORTION):
        some = coefficients[start : start + PORTION]
        residual = summary.r[:, n : n + 1] - summary.r[:, :n] @ some.T
        norms2[start : start + PORTION] = np.vecdot(residual.T, residual.T)
        if held is not None:
            said = held @ some.T
            norms2[start : start + PORTION] -= np.vecdot(said.T, said.T)
    return np.maximum(norms2, 0.0)


def _ridge_freedom(factor: Factor, y: Matrix, mu2: float) -> Vector:
    """Trace of R_A (R_AᵀR_A + mu2 I)⁻¹ R_Aᵀ (k,), A being the nonzeros of each row of ``y`` (k, n)."""
    squares = [np.linalg.svd(factor.R[:, row != 0.0], compute_uv=False) ** 2 for row in y]
    return np.array([float(np.sum(s / (s + mu2))) for s in squares])


def _held_freedom(stacked: Factor, held: Matrix, y: Matrix, mu2: float) -> Vector:
    """Trace of A_A (A_AᵀA_A + P_AᵀP_A + mu2 I)⁻¹ A_Aᵀ (k,), A being the nonzeros of each row of ``y`` (k, n).

    ``stacked`` has the rows of A, of P (``held``) and of √mu2 I: with its triangle U the trace is that of the whole,
    |A|, less ‖P_A U⁻¹‖² and mu2 ‖U⁻¹‖².
    """
    traces = []
    for active in (np.flatnonzero(row) for row in y):
        if not len(active):
            traces.append(0.0)
            continue
        u = qr_triangle(np.asfortranarray(stacked.R[:, active]))
        rows = (
            held[:, active] if mu2 == 0.0 else np.concatenate([held[:, active], math.sqrt(mu2) * np.eye(len(active))])
        )
        inside = solve_triangular_many(u, np.asfortranarray(rows.T), transposed=True)
        traces.append(max(0.0, len(active) - float(np.square(inside).sum())))
    return np.array(traces)
