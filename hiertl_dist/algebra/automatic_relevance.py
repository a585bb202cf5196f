"""Automatic relevance determination (ARD) by evidence: a penalty of its own for each coefficient.

The model of ``evidence``, with c_j ~ N(0, noise²/d_j): Tipping, J. Mach. Learn. Res. 1, 211 (2001). In terms of
the penalties d_j and of H = AᵀA + diag(d) the best noise is known, noise² = E / N, and needs no iteration:

    −2 log p(b) = N log E + log |H| − Σ log d_j + const

Three moves raise this until none does. All columns start with the penalty of Bayesian ridge (none do where that has
nearly as many effective parameters as there are rows). Penalties that are finite go to their joint maximum by
Newton's method in log d, damped so that no step lowers the evidence. A column whose best penalty, others given, is
infinite is taken out, and one taken out whose best is finite comes back, by the closed form for a single penalty of
Tipping and Faul (AISTATS 2003), here with the noise at its best.
The triangle of H comes from a QR of R on √d, so AᵀA is not formed for it. There are many maxima: this is one of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hiertl_dist.algebra.errors import ConvergenceError
from hiertl_dist.algebra.evidence import EPS, Evidence, bayesian_ridge, log_evidence, normalised, nothing_found
from hiertl_dist.algebra.factor import Answer, Factor, equilibrated_condition
from hiertl_dist.algebra.lapack import (
    Matrix,
    Vector,
    cholesky,
    inverse_triangle,
    qr_triangle,
    solve_triangular,
    solve_triangular_many,
    stack_below,
    symmetric_product,
)
from hiertl_dist.algebra.problem import Problem
from hiertl_dist.algebra.regularisers import ARD, BayesianRidge
from hiertl_dist.errors import InputError

Index = npt.NDArray[np.intp]

#: Updates of MacKay's before anything is taken out: from one penalty for all they separate columns gently.
_GENTLE = 5
#: Largest change of log d in a step, and how often a step may be damped before it is given up.
_LONGEST, _DAMPINGS = 4.0, 12
#: What a column must add to the log evidence to come back, or to be moved alone.
_LEAST_GAIN = 1e-6
#: How far in log d a penalty is from the best that it could have before it is moved there alone: Newton's method
#: crawls where the evidence is flat.
_FAR = 1.0
#: Effective parameters per row from which on Bayesian ridge is no start: it explains the noise as well.
_SATURATED = 0.9


@dataclass(frozen=True, eq=False)
class _Rows:
    """Columns of length 1, the residual outside their range, N, and the range of penalties."""

    factor: Factor
    outside: float
    counted: float
    smallest: float
    largest: float

    def reduced(self, active: Index) -> Matrix:
        """The triangle (a + 1, a + 1) of the ``active`` columns and the target, padded with zero rows."""
        a = len(active)
        both = np.empty((len(self.factor.R), a + 1), order="F")
        both[:, :a], both[:, a] = self.factor.R[:, active], self.factor.z
        r = qr_triangle(both, overwrite=True)
        if len(r) == a + 1:
            return r
        square = np.zeros((a + 1, a + 1), order="F")
        square[: len(r)] = r
        return square


@dataclass(frozen=True, eq=False)
class _Point:
    """``active`` columns (a,), rising, with log penalties ``x`` (a,): triangle, solution and evidence there."""

    rows: _Rows
    active: Index
    x: Vector
    reduced: Matrix
    triangle: Matrix
    c: Vector
    energy: float
    log_evidence: float

    @cached_property
    def penalties(self) -> Vector:
        """The penalties d, shape (a,)."""
        return np.asarray(np.exp(self.x))

    @cached_property
    def inverse(self) -> Matrix:
        """U⁻¹ (a, a), UᵀU = H."""
        return inverse_triangle(self.triangle)

    @cached_property
    def loose(self) -> Vector:
        """d_j H⁻¹_jj = 1 − γ_j (a,), in (0, 1]."""
        return np.asarray(np.minimum(1.0, self.penalties * np.vecdot(self.inverse, self.inverse)))

    @cached_property
    def pull(self) -> Vector:
        """N d_j c_j² / E (a,): equal to γ_j where the evidence is stationary."""
        return np.asarray(self.rows.counted * self.penalties * self.c**2 / self.energy)

    @property
    def rise(self) -> Vector:
        """2 d log p(b) / d log d_j (a,)."""
        return np.asarray(1.0 - self.loose - self.pull)

    @property
    def slack(self) -> float:
        """What rounding may do to the log evidence."""
        return 100 * EPS * (self.rows.counted + abs(self.log_evidence))

    @property
    def free(self) -> npt.NDArray[np.bool_]:
        """Penalties that are not held at the smallest there is."""
        return ~((self.x <= math.log(self.rows.smallest)) & (self.rise < 0.0))

    def alone(self) -> tuple[Vector, Vector]:
        """(the log penalty (a,) that is best for each column, the others given, and what it adds to the evidence).

        Without column j: s_j = d_j γ_j/(1 − γ_j), q_j = d_j c_j/(1 − γ_j), E_j = E + d_j c_j²/(1 − γ_j). The best d_j
        is s (s E_j − q²)/(N q² − s E_j), or inf where that denominator is not positive.
        """
        n, loose, tight = self.rows.counted, self.loose, 1.0 - self.loose
        more = self.pull / (n * loose)
        above = np.maximum(tight - self.pull / n, 0.0)
        below = n * more - tight * (1.0 + more)
        with np.errstate(divide="ignore", invalid="ignore"):
            # s/d*, and E at d* relative to E now
            ratio = np.where(below > 0.0, below / above, 0.0)
            energy = 1.0 + more - np.where(below > 0.0, more / loose / (tight / loose * (1.0 + 1.0 / ratio)), 0.0)
            best = np.where(ratio > 0.0, self.x + np.log(tight / loose) - np.log(ratio), math.inf)
            gain = -0.5 * (np.log(loose) + np.log1p(ratio) + n * np.log(energy))
        lowest = math.log(self.rows.smallest)
        return np.maximum(np.where(np.isnan(best), self.x, best), lowest), np.nan_to_num(gain, nan=0.0)

    def entrants(self) -> tuple[Index, Vector]:
        """Columns that are out and whose best penalty is finite, by falling gain, and those log penalties."""
        R = self.rows.factor.R
        out = np.setdiff1d(np.arange(R.shape[1]), self.active)
        inside, outer = R[:, self.active], R[:, out]
        w = solve_triangular_many(self.triangle, np.asfortranarray(inside.T @ outer), transposed=True)
        s = np.vecdot(outer.T, outer.T) - np.vecdot(w.T, w.T)
        q2 = (outer.T @ (self.rows.factor.z - inside @ self.c)) ** 2
        n, energy = self.rows.counted, self.energy
        # q² ≤ s E whatever is left of a column; where rounding says otherwise it depends on the others
        possible = (s > math.sqrt(EPS)) & (n * q2 > s * energy) & (q2 < s * energy)
        s, q2, out = s[possible], q2[possible], out[possible]
        best = s * (s * energy - q2) / (n * q2 - s * energy)
        gain = -0.5 * (np.log1p(s / best) + n * np.log1p(-q2 / (energy * (best + s))))
        wanted = (gain > _LEAST_GAIN) & (best < self.rows.largest)
        order = np.argsort(-gain[wanted], kind="stable")
        return out[wanted][order], np.log(np.maximum(best[wanted][order], self.rows.smallest))


def _point(rows: _Rows, active: Index, x: Vector, reduced: Matrix | None = None) -> _Point:
    a = len(active)
    x = np.maximum(x, math.log(rows.smallest))
    above = rows.reduced(active) if reduced is None else reduced
    penalty = np.zeros((a, a + 1), order="F")
    penalty[np.diag_indices(a)] = np.exp(0.5 * x)
    below = np.zeros((a + 1, a + 1), order="F")
    below[:a] = penalty
    u = stack_below(above, below, trapezoid=a + 1)
    triangle = np.asfortranarray(u[:a, :a])
    energy = float(u[a, a] ** 2) + rows.outside
    volume = 2.0 * float(np.sum(np.log(np.abs(np.diagonal(triangle))))) - float(np.sum(x))
    value = float(log_evidence(rows.counted, np.array([energy]), np.array([volume]))[0])
    return _Point(rows, active, x, above, triangle, solve_triangular(triangle, u[:a, a]), energy, value)


def automatic_relevance(problem: Problem, settings: ARD) -> Evidence:
    """Penalties at a maximum of the evidence that no single column can raise, and their solution.

    A step is one Newton step, or one exchange of columns.

    Parameters
    ----------
    problem : Problem
        What is to be solved.
    settings : ARD
        Accuracy, most steps, and when a column is taken out.

    Returns
    -------
    Evidence
        With one penalty for each column.

    Raises
    ------
    ConvergenceError
        ``max_iter`` steps don't end with one below ``tolerance``; the message names the change of log d that was left.
    ValueError
        As ``bayesian_ridge``.
    UnsafeGram
        As ``bayesian_ridge``.
    InputError
        The problem has rows of a prior.
    """
    _refuse_held(problem)
    start = bayesian_ridge(problem, BayesianRidge(normalize=True))
    n = problem.live.n_columns
    assert start.alpha is not None
    if n == 0 or problem.live.target_norm2() == 0.0:
        return replace(start, alpha=None)
    rows = _Rows(
        normalised(problem), problem.outside, problem.counted(), smallest=(n * EPS) ** 2, largest=settings.prune
    )
    usable = start.alpha < settings.prune and start.effective_parameters < _SATURATED * rows.counted
    first = np.arange(n) if usable else np.zeros(0, dtype=np.intp)
    point = _point(rows, first, np.full(len(first), math.log(min(start.alpha, settings.prune))))
    refused: set[int] = set()
    damping, change = 0.0, math.inf
    for step in range(settings.max_iter):
        if step < _GENTLE and len(point.active):
            point, change = _gentle(point)
            continue
        if (exchanged := _exchanged(point)) is not None:
            point = exchanged
            continue
        point, change, damping = _newton(point, damping)
        if change > settings.tolerance:
            continue
        if (more := _with_another(point, refused)) is None:
            return _evidence(problem, point)
        point = more
    raise ConvergenceError(
        f"ARD: expected a change of log penalty of at most {settings.tolerance:g} within {settings.max_iter} steps, "
        f"found {change:.2e} with {len(point.active)} of {n} columns kept",
        change,
    )


def _refuse_held(problem: Problem) -> None:
    """Raise InputError where a prior has rows of its own."""
    if problem.held is not None:
        raise InputError(
            "ard: a prior with rows of its own, as those of probe structures, is more than a variance for each column, "
            "and the steps of ARD know no other: take bayesian_ridge, whose evidence has these rows in it, or no "
            "probes (probes = 0)"
        )


def _gentle(point: _Point) -> tuple[_Point, float]:
    """MacKay's update d_j = noise² γ_j / c_j², no more than ``_LONGEST`` in log d."""
    with np.errstate(divide="ignore"):
        move = np.log(1.0 - point.loose) - np.log(point.pull)
    move = np.clip(np.nan_to_num(move, nan=0.0), -_LONGEST, _LONGEST)
    moved = _point(point.rows, point.active, point.x + move, point.reduced)
    return moved, float(np.abs(move).max())


def _newton(point: _Point, damping: float) -> tuple[_Point, float, float]:
    """(a point that is no worse, the largest change of log d that Newton asked for, the damping that it took)."""
    free = np.flatnonzero(point.free)
    if len(free) == 0:
        return point, 0.0, damping
    curvature, scale = _curvature(point, free)
    change = math.inf
    for _ in range(_DAMPINGS):
        damped = curvature.copy(order="F")
        damped[np.diag_indices(len(free))] += damping * scale
        u = cholesky(damped)
        if u is not None:
            move = solve_triangular(u, solve_triangular(u, point.rise[free], transposed=True))
            change = float(np.abs(move).max())
            x = point.x.copy()
            x[free] += move * min(1.0, _LONGEST / max(change, _LONGEST))
            moved = _point(point.rows, point.active, x, point.reduced)
            if moved.log_evidence >= point.log_evidence - point.slack:
                return moved, change, damping / 10 if damping > 1e-3 else 0.0
        damping = max(10 * damping, 1e-2)
    return point, change, damping


def _curvature(point: _Point, free: Index) -> tuple[Matrix, Vector]:
    """(−2 × the Hessian of the log evidence in log d, a scale for damping its diagonal) of ``free`` penalties.

    With h = H⁻¹: d(d_j h_jj) = δ d_j h_jj − d_i d_j h_ij², d(d_j c_j²) = δ d_j c_j² − 2 d_i d_j c_i c_j h_ij and
    dE = d_i c_i², each per change of log d_i.
    """
    h = symmetric_product(np.asfortranarray(point.inverse[free].T))
    d, c = point.penalties[free], point.c[free]
    diagonal = point.loose[free] + point.pull[free]
    h *= np.sqrt(d)
    h *= np.sqrt(d)[:, np.newaxis]
    pull = np.sqrt(point.pull[free]) * np.sign(c)
    curvature = -(h**2) - 2.0 * h * pull * pull[:, np.newaxis]
    curvature -= np.outer(point.pull[free], point.pull[free] / point.rows.counted)
    curvature[np.diag_indices(len(free))] += diagonal
    # both vanish where a column hardly counts, as the curvature does
    return curvature, point.loose[free] * (1.0 - point.loose[free]) + point.pull[free]


def _exchanged(point: _Point) -> _Point | None:
    """The point with columns taken out, or moved, whose best penalty is infinite, or far from what it is now.

    As many as together don't lower the evidence; one alone never does. Penalties beyond the largest go as well.
    """
    best, gain = point.alone()
    beyond = point.x > math.log(point.rows.largest)
    far = np.isinf(best) | ((np.abs(best - point.x) > _FAR) & (gain > _LEAST_GAIN))
    order = np.flatnonzero(far)[np.argsort(-gain[far], kind="stable")]
    for count in _halves(len(order)):
        changed = _changed(point, order[:count], best, beyond)
        if changed.log_evidence >= point.log_evidence - point.slack:
            return changed
        if count == 1 and np.isinf(best[order[0]]):
            return changed  # what is lost is rounding
    return _changed(point, order[:0], best, beyond) if beyond.any() else None


def _halves(count: int) -> Iterator[int]:
    while count:
        yield count
        count //= 2


def _changed(point: _Point, chosen: Index, best: Vector, beyond: npt.NDArray[np.bool_]) -> _Point:
    x = point.x.copy()
    x[chosen] = best[chosen]
    keep = ~beyond & (x < math.inf)
    return _point(point.rows, point.active[keep], x[keep], point.reduced if keep.all() else None)


def _with_another(point: _Point, refused: set[int]) -> _Point | None:
    """The point with columns that raise the evidence; a column that did not, once tried, is ``refused`` for good."""
    columns, x = point.entrants()
    keep = np.array([int(j) not in refused for j in columns], dtype=np.bool_)
    columns, x = columns[keep], x[keep]
    for count in _halves(len(columns)):
        active = np.concatenate([point.active, columns[:count]])
        order = np.argsort(active, kind="stable")
        more = _point(point.rows, active[order], np.concatenate([point.x, x[:count]])[order])
        if more.log_evidence > point.log_evidence + max(point.slack, 0.1 * _LEAST_GAIN):
            return more
        if count == 1:
            refused.add(int(columns[0]))
    return None


def _evidence(problem: Problem, point: _Point) -> Evidence:
    if len(point.active) == 0:
        return nothing_found(problem, alpha=None)
    n, lengths = problem.live.n_columns, problem.lengths[point.active]
    coefficients, penalties = np.zeros(n), np.full(n, math.inf)
    coefficients[point.active] = point.c / lengths
    penalties[point.active] = point.penalties * lengths**2
    n_held = int(np.count_nonzero(~point.free))
    notes = [f"{n - len(point.active)} of {n} columns were taken out by evidence"] if len(point.active) < n else []
    if np.sum(1.0 - point.loose) > _SATURATED * point.rows.counted:
        notes.append("nearly as many effective parameters as rows: these rows don't tell the noise")
    if n_held:
        notes.append(f"{n_held} penalties are held at the smallest seen: the noise is at the rounding of the rows")
    return Evidence(
        Answer(coefficients, len(point.active), equilibrated_condition(point.triangle), notes=tuple(notes)),
        penalties,
        None,
        math.sqrt(point.energy / point.rows.counted),
        float(np.sum(1.0 - point.loose)),
        point.log_evidence,
    )
