"""Bayesian ridge by evidence (type-II maximum likelihood), on the triangular factor.

The model: b = A c + e with e ~ N(0, noise² I) over N rows and c ~ N(0, noise²/alpha I). With H = AᵀA + alpha I,
E = ‖A c − b‖² + alpha ‖c‖² at its minimum and γ = n − alpha tr H⁻¹ effective parameters,

    −2 log p(b) = N log(2π noise²) + log |H| − n log alpha + E / noise²

Rows P of a prior, which are no data, make its precision (alpha I + PᵀP)/noise². They are in H and in E, and log |alpha
I + PᵀP|, the sum of log(alpha + p²) over the singular values p of P, takes the place of n log alpha. N is without them.
Where these rows hold all columns the evidence has a limit for alpha → 0, and may be flat to rounding below some alpha:
of those that it can't tell from the best, and from none, the largest is taken.

Scikit-learn's BayesianRidge and ARDRegression are not used: given R they would take its n rows for N and miss the
residual outside its range, and so find another noise and another alpha. Here N is what the caller counts, and
the residual is that of all rows. Rows that are weighted count as they are: noise is that of a row of weight 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hiertl_dist.algebra.direct import ridge
from hiertl_dist.algebra.errors import ConvergenceError
from hiertl_dist.algebra.factor import Answer, Factor
from hiertl_dist.algebra.lapack import Vector, svd
from hiertl_dist.algebra.problem import Problem
from hiertl_dist.algebra.regularisers import BayesianRidge

if TYPE_CHECKING:
    from collections.abc import Callable

EPS = float(np.finfo(np.float64).eps)

#: Alphas per power of ten at which the evidence is looked at first. As a function of log alpha it changes over
#: a factor of ten or so, never over less than a factor of e: each term is a function of alpha / s² alone.
_PER_DECADE = 16
#: Above this times the largest s² only the leading term in s²/alpha is left, whose sign decides.
_LARGEST = 1e8
#: Log evidence that rows of a prior may lose for the largest alpha, where none at all would lose no more: nothing that
#: data tell (a factor of 1.1 in probability), and far more than the rounding of a sum of many thousand logarithms.
INDIFFERENT = 0.1
#: Singular values are known to n EPS of the largest: this many times that, alpha hides the error of a difference of
#: two determinants, of all rows and of those of a prior alone.
_SEEN = 100.0


@dataclass(frozen=True, eq=False)
class Evidence:
    """What evidence chose, in the units of the live columns of a ``Problem``.

    Attributes
    ----------
    answer : Answer
        The solution with these penalties.
    penalties : ndarray of shape (n,)
        What is added to the diagonal of AᵀA, inf where a column is taken out.
    alpha : float or None
        The one penalty, for columns of length 1 if the regulariser says so; ``None`` where each has its own.
    noise : float
        Standard deviation of a row, in the units of the target.
    effective_parameters : float
        tr H⁻¹AᵀA: what the data, without the rows of a prior, say of the coefficients.
    log_evidence : float
        log p(b), b being the (weighted) rows of the target.
    """

    answer: Answer
    penalties: Vector
    alpha: float | None
    noise: float
    effective_parameters: float
    log_evidence: float

    def hyperparameters(self) -> dict[str, float]:
        """The numbers by name."""
        alpha = {} if self.alpha is None else {"alpha": self.alpha}
        return alpha | {
            "noise": self.noise,
            "effective_parameters": self.effective_parameters,
            "log_evidence": self.log_evidence,
        }


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The evidence as a function of alpha alone, noise being its best: noise² = E / N.

    Attributes
    ----------
    s2 : ndarray of shape (p,)
        Squared singular values.
    z2 : ndarray of shape (p,)
        Squares of Uᵀz.
    outside : float
        Squared residual that no c reduces.
    counted : float
        N, the rows that the caller counts.
    held2 : ndarray of shape (n,) or None
        Squared singular values of the rows of a prior, which are among those that ``s2`` are of; None without any.
    along : ndarray of shape (p,) or None
        ‖P v‖² of these rows for each right singular vector v.
    """

    s2: Vector
    z2: Vector
    outside: float
    counted: float
    held2: Vector | None = None
    along: Vector | None = None

    def energy(self, alpha: Vector) -> Vector:
        """The energy E, shape (k,), for ``alpha`` (k,)."""
        a = alpha[:, np.newaxis]
        return np.asarray(self.outside + np.sum(self.z2 * (a / (self.s2 + a)), axis=1))

    def effective(self, alpha: Vector) -> Vector:
        """γ (k,): tr H⁻¹AᵀA, without the rows of a prior."""
        a = alpha[:, np.newaxis]
        own = self.s2 if self.along is None else self.s2 - self.along
        return np.asarray(np.sum(own / (self.s2 + a), axis=1))

    def log_evidence(self, alpha: Vector) -> Vector:
        """The logarithm of p(b), shape (k,), for ``alpha`` (k,)."""
        a = alpha[:, np.newaxis]
        volume = np.sum(np.log1p(self.s2 / a), axis=1)
        if self.held2 is not None:
            volume = volume - np.sum(np.log1p(self.held2 / a), axis=1)
        return log_evidence(self.counted, self.energy(alpha), volume)

    def rise(self, alpha: Vector) -> Vector:
        """2 d log p(b) / d log alpha (k,).

        That is the sum of s²/(s² + alpha) over all rows, less that over the rows of a prior, − N alpha ‖c‖² / E.
        """
        a = alpha[:, np.newaxis]
        shrunk = np.sum(self.z2 * (a / (self.s2 + a)) * (self.s2 / (self.s2 + a)), axis=1)
        return np.asarray(self.unheld(alpha) - self.counted * shrunk / self.energy(alpha))

    def unheld(self, alpha: Vector) -> Vector:
        """The sum of s²/(s² + alpha) over all rows less that over rows of a prior (k,): directions these don't hold."""
        a = alpha[:, np.newaxis]
        told = np.sum(self.s2 / (self.s2 + a), axis=1)
        if self.held2 is not None:
            told = told - np.sum(self.held2 / (self.held2 + a), axis=1)
        return np.asarray(told)

    @property
    def nowhere(self) -> int:
        """How many directions of the coefficients have neither data nor rows of a prior."""
        return int(np.count_nonzero(self.s2 == 0.0))


def log_evidence(counted: float, energy: Vector, volume: Vector) -> Vector:
    """The logarithm of p(b) with noise² = E / N.

    Parameters
    ----------
    counted : float
        N, the rows that the caller counts.
    energy : ndarray of shape (k,)
        E.
    volume : ndarray of shape (k,)
        log |H| − Σ log penalty.

    Returns
    -------
    ndarray of shape (k,)
        log p(b) of each.
    """
    return np.asarray(-0.5 * (counted * (np.log(2 * math.pi * energy / counted) + 1.0) + volume))


def spectrum_of(problem: Problem, factor: Factor, lengths: Vector) -> Spectrum:
    """The spectrum of a factor.

    Singular values that are rounding of the largest are zero: what they would fit is residual.

    Parameters
    ----------
    problem : Problem
        What is to be solved.
    factor : Factor
        That of the problem, with its columns scaled.
    lengths : ndarray of shape (n,)
        By which they are divided.

    Returns
    -------
    Spectrum
        The evidence as a function of alpha.

    Raises
    ------
    ValueError
        N is smaller than the number of independent rows; not looked at where there are rows of a prior, which may be
        these.
    """
    u, s, vt = problem.svd if factor is problem.factor else svd(factor.R)
    s = np.where(s > len(s) * EPS * s[0], s, 0.0)
    counted, rank = problem.counted(), int(np.count_nonzero(s))
    z2 = (u.T @ factor.z) ** 2
    if problem.held is not None:
        held = np.asfortranarray(problem.held / lengths)
        held2 = svd(held)[1] ** 2
        # what is rounding beside all rows is rounding here too, and nothing is left of it in the difference
        held2 = np.where(held2 > (len(s) * EPS) ** 2 * s[0] ** 2, held2, 0.0)
        along = np.minimum(np.square(held @ vt.T).sum(axis=0), s**2)
        # rows that are fewer than columns leave directions that nothing holds
        s2, z2, along = (np.pad(x, (0, len(problem.lengths) - len(s))) for x in (s**2, z2, along))
        return Spectrum(s2, z2, problem.outside, counted, held2, along)
    if counted < rank:
        raise ValueError(f"n_counted: expected at least the {rank} independent rows there are, found {counted:g}")
    return Spectrum(s**2, z2, problem.outside, counted)


def normalised(problem: Problem) -> Factor:
    """The problem's factor with columns of length 1, over all its rows."""
    return Factor(np.asfortranarray(problem.factor.R / problem.lengths), problem.factor.z)


def bayesian_ridge(problem: Problem, settings: BayesianRidge) -> Evidence:
    """The alpha and noise that maximise the evidence, and the ridge solution with that alpha.

    Stationary points are the fixed points of MacKay's updates (Neural Comput. 4, 415 (1992)), alpha = noise² γ / ‖c‖²
    and noise² = ‖A c − b‖² / (N − γ). Together they say γ E = N alpha ‖c‖², one equation in alpha: the evidence is
    looked at over all alphas that matter and the root beside its largest value found by bracketing, so that neither a
    slow iteration nor a lesser maximum can end it.

    Where rows of a prior hold the coefficients by themselves, so that the evidence of alpha → 0 is within
    ``INDIFFERENT`` of the largest, alpha is the largest with which it is, at most the largest p² of these rows.

    Parameters
    ----------
    problem : Problem
        What is to be solved.
    settings : BayesianRidge
        Accuracy, most steps, and whether columns are scaled.

    Returns
    -------
    Evidence
        Alpha, noise and the solution.

    Raises
    ------
    ConvergenceError
        ``max_iter`` steps don't find alpha to ``tolerance``.
    ValueError
        An N below the number of independent rows.
    UnsafeGram
        As ``solve``.
    """
    if problem.live.n_columns == 0:
        return nothing_found(problem, math.inf)
    factor = normalised(problem) if settings.normalize else problem.factor
    lengths = problem.lengths if settings.normalize else np.ones(factor.R.shape[1])
    spectrum = spectrum_of(problem, factor, lengths)
    alpha = _best(spectrum, settings) if spectrum.outside + spectrum.z2.sum() > 0.0 else math.inf
    if math.isinf(alpha):
        return nothing_found(problem, alpha)
    notes: tuple[str, ...] = ()
    if _needless(spectrum, alpha):
        alpha = _largest(spectrum, alpha, settings)
        notes = (
            f"the probes are prior enough: the log evidence is the same within {INDIFFERENT:g} without alpha as with "
            f"{alpha:.2g}, the largest with which it is",
        )
    elif alpha == _smallest(spectrum):
        notes = (_held_at_smallest(spectrum, alpha),)
    answer = ridge(factor, alpha)
    at = np.array([alpha])
    return Evidence(
        replace(answer, coefficients=answer.coefficients / lengths, notes=notes),
        alpha * lengths**2,
        alpha,
        math.sqrt(spectrum.energy(at)[0] / spectrum.counted),
        float(spectrum.effective(at)[0]),
        float(spectrum.log_evidence(at)[0]),
    )


def nothing_found(problem: Problem, alpha: float | None) -> Evidence:
    """All coefficients zero: the target is noise, or zero itself, and then its evidence has no bound."""
    n, counted = problem.live.n_columns, problem.counted()
    norm2 = problem.live.target_norm2()
    least = float(log_evidence(counted, np.array([norm2]), np.zeros(1))[0]) if norm2 > 0.0 else math.inf
    note = "the evidence is largest with all coefficients zero" if norm2 > 0.0 else "the target is zero"
    answer = Answer(np.zeros(n), 0, 1.0, notes=(note,))
    return Evidence(answer, np.full(n, math.inf), alpha, math.sqrt(norm2 / counted), 0.0, least)


def _smallest(spectrum: Spectrum) -> float:
    """The alpha below which a penalty is lost in the rounding of the rows."""
    rounding = len(spectrum.s2) * EPS
    if spectrum.held2 is None:
        return float(rounding**2 * spectrum.s2[0])
    seen = (_SEEN * rounding) ** 2
    # alpha alone holds what is nowhere, and must be seen beside the rounding of the gradient
    return float((max(seen, EPS) if spectrum.nowhere else seen) * spectrum.s2[0])


def _held_at_smallest(spectrum: Spectrum, alpha: float) -> str:
    """Why alpha is the smallest that there is."""
    if spectrum.held2 is not None and spectrum.nowhere:
        return (
            f"alpha is held at {alpha:.2g}, the smallest that holds what is neither in the data nor in the probes "
            f"({spectrum.nowhere} of {len(spectrum.s2)} directions of the coefficients)"
        )
    return "the noise is at the rounding of the rows: alpha is held at the smallest that can be seen"


def _needless(spectrum: Spectrum, alpha: float) -> bool:
    """Whether the evidence can't tell the best alpha from none, as rows of a prior hold all that data know of."""
    if spectrum.held2 is None:
        return False
    least = np.array([_smallest(spectrum)])
    if max(abs(float(spectrum.unheld(least)[0])), abs(float(spectrum.rise(least)[0]))) > INDIFFERENT:
        return False
    lost = spectrum.log_evidence(np.array([alpha])) - spectrum.log_evidence(least)
    return bool(lost[0] <= INDIFFERENT)


def _largest(spectrum: Spectrum, best: float, settings: BayesianRidge) -> float:
    """The largest alpha that loses ``INDIFFERENT`` of the log evidence of the best, at most the largest p²."""
    held2 = np.zeros(1) if spectrum.held2 is None else spectrum.held2
    high = float(held2.max(initial=0.0))
    if high <= best:
        return best
    floor = float(spectrum.log_evidence(np.array([best]))[0]) - INDIFFERENT
    grid = np.geomspace(best, high, max(2, math.ceil(_PER_DECADE * math.log10(high / best))))
    i = int(np.flatnonzero(spectrum.log_evidence(grid) >= floor)[-1])
    if i == len(grid) - 1:
        return high

    def above(log_alpha: float) -> float:
        return float(spectrum.log_evidence(np.exp(np.array([log_alpha])))[0]) - floor

    log_alpha, gap = _root(above, float(grid[i]), float(grid[i + 1]), settings)
    if gap is not None:
        raise ConvergenceError(
            f"Bayesian ridge: expected the largest alpha that loses {INDIFFERENT:g} of the log evidence to within "
            f"{settings.tolerance:g} in {settings.max_iter} steps, found it off by {gap:.2e} at alpha = "
            f"{math.exp(log_alpha):g}",
            gap,
        )
    return math.exp(log_alpha)


def _best(spectrum: Spectrum, settings: BayesianRidge) -> float:
    """The alpha of the largest evidence; inf where it rises to the end."""
    low, high = math.log10(_smallest(spectrum)), math.log10(_LARGEST * spectrum.s2[0])
    grid = np.logspace(low, high, math.ceil(_PER_DECADE * (high - low)))
    grid[0] = _smallest(spectrum)
    values = spectrum.log_evidence(grid)
    i = int(np.argmax(values))
    slope = float(spectrum.rise(grid[i : i + 1])[0])
    if slope == 0.0 or (i == 0 and slope < 0.0):
        return float(grid[i])
    if i == len(grid) - 1 and slope > 0.0:
        return math.inf
    left, right = (i, i + 1) if slope > 0.0 else (i - 1, i)
    ends = spectrum.rise(grid[[left, right]])
    if not ends[0] > 0.0 > ends[1]:
        return float(grid[i])  # flat to rounding
    log_alpha, gap = _root(
        lambda x: float(spectrum.rise(np.exp(np.array([x])))[0]), float(grid[left]), float(grid[right]), settings
    )
    if gap is not None:
        raise ConvergenceError(
            f"Bayesian ridge: expected alpha to within {settings.tolerance:g} in {settings.max_iter} steps, found "
            f"γ − N alpha ‖c‖²/E = {gap:.2e} at alpha = {math.exp(log_alpha):g}",
            gap,
        )
    return math.exp(log_alpha)


def _root(
    function: Callable[[float], float], left: float, right: float, settings: BayesianRidge
) -> tuple[float, float | None]:
    """Where a function of log alpha is zero, between two alphas; the function's size there where steps did not do."""
    from scipy.optimize import brentq  # it takes long to load, and is seldom needed

    log_alpha, result = brentq(
        function,
        math.log(left),
        math.log(right),
        xtol=settings.tolerance,
        maxiter=settings.max_iter,
        full_output=True,
        disp=False,
    )
    return log_alpha, None if result.converged else abs(function(log_alpha))
