"""The noise of several kinds of rows by evidence (type-II maximum likelihood), from a triangular factor of each kind.

The model: rows of kind k are b_k = A_k c + e_k with e_k ~ N(0, I/β_k), N_k of them, and c ~ N(0, I/a). With
H = Σ β_k A_kᵀA_k + a I, and c the minimum of E = Σ β_k ‖A_k c − b_k‖² + a ‖c‖²,

    −2 log p(b) = N log 2π − Σ N_k log β_k − n log a + log |H| + E

Columns that are not penalised have a flat prior. They must be columns of one kind of rows alone, where they are set
apart: then N_k is what is left of the rows and no noise changes them. Where the evidence is largest (MacKay, Neural
Comput. 4, 415 (1992)),

    1/β_k = ‖A_k c − b_k‖² / (N_k − γ_k),   γ_k = β_k tr H⁻¹A_kᵀA_k,   Σ γ_k = n − a tr H⁻¹

Few rows may be fitted exactly, and then the likeliest noise is none at all. So each kind has one row more, whose square
is that of a guess of its noise: a gamma prior of one degree of freedom, which many rows outweigh.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hiertl_dist.algebra.errors import ConvergenceError
from hiertl_dist.algebra.evidence import EPS, bayesian_ridge
from hiertl_dist.algebra.lapack import (
    Matrix,
    Vector,
    cholesky,
    inverse_product,
    solve_triangular,
    solve_triangular_many,
    stack_below,
    symmetric_product,
)
from hiertl_dist.algebra.problem import problem_of
from hiertl_dist.algebra.regularisers import BayesianRidge
from hiertl_dist.algebra.rfactor import RFactor
from hiertl_dist.algebra.summary import Columns, column_index
from hiertl_dist.algebra.unpenalised import set_apart

#: How far log β and log a may move from where rows were last made orthonormal: e^14 is the worst condition number of a
#: normal matrix here.
_BOX = 7.0
#: A move below which they need not be made orthonormal again.
_NEAR = 2.0
#: Most times that they are.
_ROUNDS = 12
#: Slopes of the log evidence, in units of the standard deviations that N_k rows would have of log β_k: where the search
#: ends, and what is accepted. The evidence is then within half its square of the largest.
_AIM, _LIMIT = 1e-4, 1e-2


@dataclass(frozen=True, eq=False)
class KindOfRows:
    """Rows with one noise.

    Attributes
    ----------
    summary : RFactor
        Of [A_k | b_k], target 0.
    guess : float
        What their noise may be, > 0, in the unit of b: where the search begins, and one row of the prior.
    """

    summary: RFactor
    guess: float


@dataclass(frozen=True, eq=False)
class NoiseEvidence:
    """What the evidence says.

    Attributes
    ----------
    noise : ndarray of shape (K,)
        Standard deviation of a row of each kind, β_k^−½, in the unit of its b.
    alpha : float
        Penalty a/β of rows that are weighted so that those of the first kind have weight 1.
    left : ndarray of shape (K,)
        N_k − γ_k: rows of each kind less the degrees of freedom that they took, those of unpenalised columns included.
    log_evidence : float
        log p(b) there, the rows of the prior not counted.
    at_edge : bool
        Whether alpha is the smallest that rounding lets be seen, or as good as infinite.
    """

    noise: Vector
    alpha: float
    left: Vector
    log_evidence: float
    at_edge: bool = False


@dataclass(frozen=True, eq=False)
class _Rows:
    """R (p, n) and z (p,) of a kind, p ≤ n, the squared residual outside, N_k, and the guess."""

    matrix: Matrix
    target: Vector
    outside: float
    counted: int
    guess: float

    def residual_norm2(self, c: Vector) -> float:
        residual = self.matrix @ c - self.target
        return float(residual @ residual) + self.outside


def noise_evidence(kinds: Sequence[KindOfRows], alpha: float | None = None, unpenalised: Columns = ()) -> NoiseEvidence:
    """The noise of each kind of rows, and the penalty unless it is given, that maximise the evidence.

    It is the maximum that is reached from the guesses; with the penalty free, from the one that Bayesian ridge chooses
    with these.

    Parameters
    ----------
    kinds : sequence of KindOfRows
        At least one, all of the same columns (n).
    alpha : float, optional
        The penalty > 0 of ‖A c − b‖² + alpha ‖c‖² with rows weighted so that those of the first kind have weight 1;
        default: that of the largest evidence.
    unpenalised : sequence of int or mask of shape (n,), optional
        Columns that have a flat prior.

    Returns
    -------
    NoiseEvidence
        Noise and penalty.

    Raises
    ------
    ConvergenceError
        No maximum is reached.
    ValueError
        Unpenalised columns are in rows of two kinds; a kind has no more rows than they fit; a guess is not > 0.
    """
    rows = _apart(kinds, unpenalised)
    theta = np.array([-2.0 * math.log(part.guess) for part in rows])
    bounds = (-math.inf, math.inf)
    if alpha is None:
        start, bounds = _penalty(rows)
        theta = np.append(theta, start)
    moves = np.array([math.inf])
    for _ in range(_ROUNDS):
        center = _Center(rows, theta, None if alpha is None else math.log(alpha))
        point, slope = _climb(center, bounds)
        moves, theta = np.abs(point.theta - theta), point.theta
        if moves.max() < _NEAR and slope < _LIMIT:
            return _evidence(point, bounds)
    raise ConvergenceError(
        f"noise by evidence: expected a maximum within {_ROUNDS} rounds, found steps of {moves.max():.2g} in the "
        f"logarithms of the precisions and a slope of {slope:.2g}; name the weights, or take automatic ones",
        slope,
    )


def _apart(kinds: Sequence[KindOfRows], unpenalised: Columns) -> list[_Rows]:
    if not kinds:
        raise ValueError("kinds: expected at least one, found none")
    free = column_index(unpenalised, kinds[0].summary.n_columns)
    others = np.setdiff1d(np.arange(kinds[0].summary.n_columns), free)
    speaking = [i for i, kind in enumerate(kinds) if kind.summary.r[:, free].any()]
    if len(speaking) > 1:
        raise ValueError(f"unpenalised: expected columns of one kind of rows alone, found them in kinds {speaking}")
    rows = []
    for i, kind in enumerate(kinds):
        if not (math.isfinite(kind.guess) and kind.guess > 0.0):
            raise ValueError(f"guess of kind {i}: expected a finite number > 0, found {kind.guess}")
        part = set_apart(kind.summary, free).rest if i in speaking else kind.summary.columns(others)
        if part.rows < 1:
            raise ValueError(f"kind {i}: expected more rows than its unpenalised columns fit, found none")
        n = part.n_columns
        outside = float(part.r[n, n] ** 2) if part.n_targets == 1 and len(part.r) > n else 0.0
        rows.append(_Rows(np.asfortranarray(part.r[:n, :n]), part.r[:n, n], outside, part.rows, kind.guess))
    return rows


def _penalty(rows: Sequence[_Rows]) -> tuple[float, tuple[float, float]]:
    """Log a of Bayesian ridge with the guesses, and what of a can be seen."""
    n = rows[0].matrix.shape[1]
    counted = sum(p.counted for p in rows)
    triangle = np.zeros((n + 1, n + 1), order="F")
    triangle[n, n] = math.sqrt(sum(p.outside / p.guess**2 for p in rows))
    for part in rows:
        below = np.empty((len(part.matrix), n + 1), order="F")
        below[:, :n], below[:, n] = part.matrix / part.guess, part.target / part.guess
        triangle = stack_below(triangle, below, trapezoid=0, overwrite=True)
        del below
    best = bayesian_ridge(problem_of(RFactor(triangle, max(counted, n + 1)), counted), BayesianRidge())
    # of the largest singular value this is within √n
    largest = max(float(np.vecdot(triangle[:, :n].T, triangle[:, :n].T).max(initial=0.0)), 1e-300)
    low, high = math.log(largest * (n * EPS) ** 2), math.log(largest * 1e8)
    assert best.alpha is not None
    precision = best.alpha / best.noise**2 if best.noise > 0.0 else math.inf
    return min(max(math.log(precision) if precision > 0.0 else low, low), high), (low, high)


class _Center:
    """Rows in coordinates in which H is the identity at ``theta``, (log β_1 … log β_K and, where it is free, log a).

    Elsewhere it is well conditioned as long as no ratio to these is large, so that normal equations lose nothing.
    """

    def __init__(self, rows: Sequence[_Rows], theta: Vector, log_alpha: float | None) -> None:
        self.rows, self.log_alpha = rows, log_alpha
        self.n = rows[0].matrix.shape[1]
        self.theta = self.whole(theta)
        self.triangle = self._triangle()
        self.grams: list[Matrix] = []
        self.pulls: list[Vector] = []
        for part, x in zip(rows, self.theta[:-1], strict=True):
            scaled = np.asfortranarray(part.matrix.T) * math.exp(0.5 * x)
            white = solve_triangular_many(self.triangle, scaled, transposed=True, overwrite=True)
            self.pulls.append(white @ part.target * math.exp(0.5 * x))
            self.grams.append(symmetric_product(np.ascontiguousarray(white.T)))

    def whole(self, theta: Vector) -> Vector:
        """(K + 1,): with log a, which a penalty that is given ties to the noise of the first kind."""
        return theta if self.log_alpha is None else np.append(theta, theta[0] + self.log_alpha)

    def _triangle(self) -> Matrix:
        triangle = np.zeros((self.n, self.n), order="F")
        triangle[np.diag_indices(self.n)] = math.exp(0.5 * self.theta[-1])
        for part, x in zip(self.rows, self.theta[:-1], strict=True):
            below = np.asfortranarray(part.matrix * math.exp(0.5 * x))
            # a triangle, or rows as they are
            whole = len(below) == self.n and not np.tril(below, -1).any()
            triangle = stack_below(triangle, below, trapezoid=self.n if whole else 0, overwrite=True)
        return triangle


@dataclass(frozen=True, eq=False)
class _Point:
    """The evidence at ``theta``, beside that at the center."""

    center: _Center
    theta: Vector

    @cached_property
    def ratios(self) -> Vector:
        return np.asarray(np.exp(self.center.whole(self.theta) - self.center.theta))

    @cached_property
    def cholesky(self) -> Matrix:
        r = self.ratios
        matrix = np.zeros((self.center.n, self.center.n), order="F")
        for ratio, gram in zip(r[:-1] - r[-1], self.center.grams, strict=True):
            matrix += ratio * gram
        matrix[np.diag_indices(self.center.n)] += r[-1]
        u = cholesky(matrix)
        if u is None:
            raise np.linalg.LinAlgError(f"noise by evidence: H is not positive definite at ratios {r}")
        return u

    @cached_property
    def coefficients(self) -> Vector:
        right = np.zeros(self.center.n)
        for ratio, pull in zip(self.ratios[:-1], self.center.pulls, strict=True):
            right += ratio * pull
        u = self.cholesky
        white = solve_triangular(u, solve_triangular(u, right, transposed=True))
        return solve_triangular(self.center.triangle, white)

    @cached_property
    def squares(self) -> Vector:
        """(K + 1,) the squared residuals of each kind, and ‖c‖²."""
        c = self.coefficients
        return np.array([*(p.residual_norm2(c) for p in self.center.rows), float(c @ c)])

    @cached_property
    def freedom(self) -> Vector:
        """(K + 1,) γ_k, and a tr H⁻¹."""
        inverse = inverse_product(self.cholesky).ravel(order="K")
        took = [
            ratio * float(inverse @ gram.ravel(order="K"))
            for ratio, gram in zip(self.ratios[:-1], self.center.grams, strict=True)
        ]
        return np.array([*took, self.center.n - sum(took)])

    @property
    def counted(self) -> Vector:
        """(K + 1,) rows of each kind, and columns."""
        return np.array([*(p.counted for p in self.center.rows), self.center.n], float)

    @property
    def _guesses2(self) -> Vector:
        return np.array([*(p.guess**2 for p in self.center.rows), 0.0])

    @property
    def rise(self) -> float:
        """Log evidence, prior included, above what it would be at the center with H and E of zero."""
        x, ones = self.center.whole(self.theta), np.append(np.ones(len(self.center.rows)), 0.0)
        volume = 2.0 * float(np.log(np.diagonal(self.cholesky)).sum())
        energy = float(np.exp(x) @ (self.squares + self._guesses2))
        return 0.5 * (float((self.counted + ones) @ (x - self.center.theta)) - volume - energy)

    @property
    def slopes(self) -> Vector:
        """D rise / d theta."""
        x, ones = self.center.whole(self.theta), np.append(np.ones(len(self.center.rows)), 0.0)
        slopes = 0.5 * (self.counted + ones - self.freedom - np.exp(x) * (self.squares + self._guesses2))
        if self.center.log_alpha is None:
            return np.asarray(slopes)
        slopes[0] += slopes[-1]
        return np.asarray(slopes[:-1])

    @property
    def log_evidence(self) -> float:
        x = self.center.whole(self.theta)
        diagonals = np.log(np.abs(np.diagonal(self.center.triangle))), np.log(np.diagonal(self.cholesky))
        volume = 2.0 * float(sum(d.sum() for d in diagonals))
        constant = float(self.counted[:-1].sum()) * math.log(2 * math.pi)
        return 0.5 * (float(self.counted @ x) - volume - float(np.exp(x) @ self.squares) - constant)


def _climb(center: _Center, bounds: tuple[float, float]) -> tuple[_Point, float]:
    """The highest point near a center, and the steepest slope there in directions in which it may go on."""
    from scipy.optimize import minimize  # it takes long to load, and is seldom needed

    start = center.theta if center.log_alpha is None else center.theta[:-1]
    scale = np.sqrt(0.5 * np.array([*(p.counted for p in center.rows), max(center.n, 1)])[: len(start)])
    low, high = start - _BOX, start + _BOX
    if center.log_alpha is None:
        low[-1], high[-1] = max(low[-1], bounds[0]), min(high[-1], bounds[1])

    def fall(y: Vector) -> tuple[float, Vector]:
        point = _Point(center, np.clip(start + y / scale, low, high))
        return -point.rise, -point.slopes / scale

    result = minimize(
        fall, np.zeros(len(start)), jac=True, method="L-BFGS-B",
        bounds=list(zip((low - start) * scale, (high - start) * scale, strict=True)),
        options={"ftol": 0.0, "gtol": _AIM, "maxiter": 200},
    )  # fmt: skip
    point = _Point(center, np.clip(start + result.x / scale, low, high))
    slopes = point.slopes / scale
    slopes[((point.theta <= low) & (slopes < 0.0)) | ((point.theta >= high) & (slopes > 0.0))] = 0.0
    return point, float(np.abs(slopes).max())


def _evidence(point: _Point, bounds: tuple[float, float]) -> NoiseEvidence:
    x = point.center.whole(point.theta)
    return NoiseEvidence(
        np.exp(-0.5 * x[:-1]), math.exp(x[-1] - x[0]), point.counted[:-1] - point.freedom[:-1], point.log_evidence,
        point.center.log_alpha is None and not bounds[0] < x[-1] < bounds[1],
    )  # fmt: skip
