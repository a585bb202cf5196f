"""A point next to the LASSO's optimum, in some tens of Cholesky factorisations of its active columns.

Proximal points: x ← argmin ½‖R x − z‖² + Σ μ_j |x_j| + ‖x − x_before‖² / 2σ with growing σ; each by semismooth Newton
steps on its dual, whose Hessian needs the active columns only. Li, Sun, Toh, SIAM J. Optim. 28, 433 (2018).
Columns count with length 1. Normal equations appear here, so this ends near the optimum and not at it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hiertl_dist.algebra.lapack import Matrix, Vector, column_norms, solve_definite, symmetric_product

#: First and largest σ: from where every problem is easy to where Cholesky has few digits left. It grows by GROWTH.
SIGMAS = (1e4, 1e10)
GROWTH = 10.0
#: Most proximal points.
STAGES = 20
#: Each point is found more accurately than the one before, relative to how far it is, down to this.
TIGHTEST = 1e-8
#: Violation of optimality, relative to μ, at which the support is mostly right and an active-set method is cheaper.
NEAR = 1e-2

_NEWTON_STEPS = 50
_ARMIJO = 1e-4
_SHORTEST_STEP = 1e-8


def near_optimum(R: Matrix, z: Vector, mu: float) -> Vector:
    """Coefficients near the minimum of ½‖R c − z‖² + mu ‖c‖₁, exactly zero where one is; shape (n,).

    Only its support and signs matter much; where σ ends before the violation falls below NEAR it is less near.
    """
    lengths = column_norms(R)
    lengths[lengths == 0.0] = 1.0
    problem = _Problem(R, z, lengths, mu / lengths, _gram(R, lengths))
    x = np.zeros(R.shape[1])
    sigma, largest = SIGMAS
    for stage in range(1, STAGES + 1):
        following = _proximal_point(problem, x, sigma, max(0.1**stage, TIGHTEST))
        if following is None and sigma <= SIGMAS[0]:
            break
        if following is None:
            largest = sigma = sigma / GROWTH
            continue
        x = following
        if kkt_gap(R, z, mu, x / lengths) <= NEAR:
            break
        sigma = min(sigma * GROWTH, largest)
    return x / lengths


def kkt_gap(R: Matrix, z: Vector, mu: float, c: Vector, l2: float = 0.0) -> float:
    """Largest violation of the optimality conditions of ½‖R c − z‖² + mu ‖c‖₁ + ½ l2 ‖c‖², divided by mu.

    Parameters
    ----------
    R : ndarray of shape (p, n)
        The triangle.
    z : ndarray of shape (p,)
        Its target.
    mu : float
        The penalty on lengths, > 0.
    c : ndarray of shape (n,)
        The coefficients.
    l2 : float, default 0
        The penalty on squares.

    Returns
    -------
    float
        0 at the minimum.
    """
    s = R.T @ (z - R @ c)
    if l2 != 0.0:
        s -= l2 * c
    violation = np.where(c != 0.0, np.abs(s - mu * np.sign(c)), np.maximum(np.abs(s) - mu, 0.0))
    return float(violation.max(initial=0.0) / mu)


@dataclass(frozen=True, eq=False)
class _Problem:
    """R with columns divided by ``lengths``, the target, the penalty of each column, and the normal matrix."""

    R: Matrix
    z: Vector
    lengths: Vector
    mu: Vector
    gram: Matrix

    def times(self, x: Vector) -> Vector:
        return np.asarray(self.R @ (x / self.lengths))

    def back(self, r: Vector) -> Vector:
        return np.asarray((self.R.T @ r) / self.lengths)


def _gram(R: Matrix, lengths: Vector) -> Matrix:
    gram = symmetric_product(np.asfortranarray(R))
    gram /= lengths
    gram /= lengths[:, np.newaxis]
    return gram


def _soft(u: Vector, threshold: Vector) -> Vector:
    return np.asarray(np.sign(u) * np.maximum(np.abs(u) - threshold, 0.0))


def _proximal_point(problem: _Problem, before: Vector, sigma: float, tolerance: float) -> Vector | None:
    """The next point; None where rounding keeps Newton from it. The dual variable r becomes z − R x."""
    z, threshold = problem.z, sigma * problem.mu
    floor = 1e-12 * float(np.linalg.norm(z))

    def primal(pull: Vector) -> Vector:
        return _soft(before + sigma * pull, threshold)

    def dual(r: Vector, x: Vector) -> float:
        return float(0.5 * (r @ r) - z @ r + (x @ x) / (2 * sigma))

    r = z - problem.times(before)
    pull = problem.back(r)
    x = primal(pull)
    for _ in range(_NEWTON_STEPS):
        slope = r - z + problem.times(x)
        moved = float(np.linalg.norm(x - before))
        if float(np.linalg.norm(slope)) <= max(floor, tolerance * moved / math.sqrt(sigma)):
            return x
        step = _newton_step(problem, slope, np.flatnonzero(x), sigma)
        if step is None:
            return None
        step_pull, objective, downhill = problem.back(step), dual(r, x), float(slope @ step)
        for length in _halvings():
            x = primal(pull + length * step_pull)
            if dual(r + length * step, x) <= objective + _ARMIJO * length * downhill + 1e-15 * abs(objective):
                break
        r, pull = r + length * step, pull + length * step_pull
    return None


def _halvings() -> Iterator[float]:
    length = 1.0
    while length >= _SHORTEST_STEP:
        yield length
        length /= 2


def _newton_step(problem: _Problem, slope: Vector, active: np.ndarray, sigma: float) -> Vector | None:
    """−(I + σ R_J R_Jᵀ)⁻¹ slope by way of the active columns J; None where Cholesky breaks down."""
    inner = problem.gram[np.ix_(active, active)].T
    inner[np.diag_indices(len(active))] += 1.0 / sigma
    solved = solve_definite(inner, problem.back(slope)[active])
    if solved is None:
        return None
    spread = np.zeros(len(problem.mu))
    spread[active] = solved
    return problem.times(spread) - slope
