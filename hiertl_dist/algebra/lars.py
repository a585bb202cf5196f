"""Knots of a LASSO path: scikit-learn's LARS as far as it is right, a homotopy on QR factors from there on.

All of it works on X (p, n) and z (p,): min ½‖X y − z‖² + μ‖y‖₁ for falling μ. y is linear in μ between knots, at which
a column enters or leaves. Efron, Hastie, Johnstone, Tibshirani, Ann. Stat. 32, 407 (2004); Osborne, Presnell, Turlach,
IMA J. Numer. Anal. 20, 389 (2000).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr_delete

from hiertl_dist.algebra.factor import refine
from hiertl_dist.algebra.lapack import Matrix, Vector, column_norms, qr_triangle, solve_triangular
from hiertl_dist.text.heard_warnings import hearing_warnings

#: Knots are looked at in portions of this many: what is beside the coefficients then stays small.
PORTION = 256
#: Most steps of a path for each column of X.
STEPS_PER_COLUMN = 20
#: alpha at the end of scikit-learn's path, which it meets within 1.2e-7.
ALPHA_MIN = 1e6
#: Columns that came and went before the triangle of the walk is made anew.
CHANGES = 64

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Knots:
    """Where the path of a LASSO bends.

    Attributes
    ----------
    mus : ndarray of shape (k,)
        Penalties, falling.
    y : ndarray of shape (k, n)
        The coefficients at each.
    """

    mus: Vector
    y: Matrix

    def then(self, other: Knots) -> Knots:
        """These and those that follow; what does not fall is left out."""
        mus, y = np.concatenate([self.mus, other.mus]), np.concatenate([self.y, other.y])
        kept = np.flatnonzero(np.r_[True, mus[1:] < np.minimum.accumulate(mus)[:-1]])
        return Knots(mus[kept], y[kept])


def segment_gaps(X: Matrix, z: Vector, knots: Knots) -> tuple[Vector, Vector]:
    """(gaps, segments): the largest violation of optimality relative to μ, at each knot (k,) and between (k − 1,).

    Between two knots all is linear, so the violation is at most what it is at the ends, where columns that are nonzero
    at either end are held to s_j = μ sign(y_j). A sign that changes, or a knot that was left out, counts as one.
    """
    k = len(knots.mus)
    gaps, segments = np.empty(k), np.empty(max(k - 1, 0))
    for start in range(0, max(k - 1, 1), PORTION):
        y = knots.y[start : start + PORTION + 1].T
        mu = knots.mus[start : start + y.shape[1]]
        s = (X.T @ (z[:, np.newaxis] - X @ y)) / mu
        signs = np.sign(y)
        inside = np.maximum(np.abs(s) - 1.0, 0.0)
        gaps[start : start + len(mu)] = np.where(y != 0.0, np.abs(s - signs), inside).max(axis=0)
        either = np.where(signs[:, :-1] != 0.0, signs[:, :-1], signs[:, 1:])
        ends = [np.where(either != 0.0, np.abs(s[:, e] - either), inside[:, e]) for e in (slice(-1), slice(1, None))]
        segments[start : start + len(mu) - 1] = np.maximum(*ends).max(axis=0)
    return gaps, segments


def library_knots(X: Matrix, z: Vector, mu_min: float) -> Knots:
    """Those of scikit-learn's ``lars_path``; wrong from where it went astray, which it may not say.

    It drops a column whose pivot is below 1e-7, whatever the length of columns, and then takes one column for another;
    it stops at 500 steps unless told, and within 1.2e-7 of alpha_min. So X and z come scaled.

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
    Knots
        Those that were found.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import lars_path

    p, n = X.shape
    enlarged = 1.0 / column_norms(X).min()
    # alpha, which is μ / p there, is ALPHA_MIN at mu_min
    target = ALPHA_MIN * p / (mu_min * enlarged)
    # whether they matter is found out from the knots
    with hearing_warnings(ConvergenceWarning, RuntimeWarning):
        alphas, _, y = lars_path(
            X * enlarged, z * target, Gram=None, alpha_min=ALPHA_MIN, method="lasso", copy_X=False,
            max_iter=STEPS_PER_COLUMN * n + 100,
        )  # fmt: skip
    # (n, k) there
    y = np.ascontiguousarray(y.T)
    y *= enlarged / target
    return ended(Knots(mu_min * (alphas / ALPHA_MIN), without_remains(y)), mu_min)


def ended(knots: Knots, mu_min: float) -> Knots:
    """The same without what lies below ``mu_min``, which becomes the last knot if it was passed."""
    below = np.flatnonzero(knots.mus < mu_min)
    if len(below) == 0 or below[0] == 0:
        return knots
    last = int(below[0])
    above, beyond = knots.mus[last - 1], knots.mus[last]
    part = (above - mu_min) / (above - beyond)
    y = knots.y[: last + 1].copy()
    y[last] = (1.0 - part) * y[last - 1] + part * y[last]
    return Knots(np.append(knots.mus[:last], mu_min), y)


def without_remains(y: Matrix) -> Matrix:
    """``y`` (k, n), in place, with 0 for what rounding left of a coefficient where its column leaves."""
    for before, here, after in zip(y[:-2], y[1:-1], y[2:], strict=True):
        # the last point is interpolated, so that some of the remains is in it too
        gone = (np.abs(after) <= np.abs(here)) & (np.abs(here) <= 1e-8 * np.abs(before))
        here[gone] = after[gone] = 0.0
    return y


def walked_knots(X: Matrix, z: Vector, mu: float, y: Vector, mu_min: float) -> Knots:
    """Knots below one that is known; fewer where the walk can't go on.

    Parameters
    ----------
    X : ndarray of shape (p, n)
        The columns.
    z : ndarray of shape (p,)
        The target.
    mu : float
        The penalty of the known knot.
    y : ndarray of shape (n,)
        The coefficients there.
    mu_min : float
        The penalty down to which knots are wanted.

    Returns
    -------
    Knots
        Without the known one.
    """
    mus: list[float] = []
    ys: list[Vector] = []
    # dependent columns that are all active: there is no one way on
    with suppress(np.linalg.LinAlgError):
        _walk_down(_Walk(X, z, mu, y.copy()), mu_min, mus, ys)
    return Knots(np.array(mus), np.array(ys).reshape(len(ys), X.shape[1]))


def _walk_down(walk: _Walk, mu_min: float, mus: list[float], ys: list[Vector]) -> None:
    """Append the knots that the walk passes."""
    n, still = len(walk.y), 0
    for _ in range(STEPS_PER_COLUMN * n + 100):
        before = walk.mu
        walk.step(mu_min)
        # columns that enter or leave together, or a start that is a knot within rounding
        still = still + 1 if walk.mu >= before * (1.0 - 8 * _EPS) else 0
        if still > 2 * n:
            return
        if still and walk.mu > mu_min:
            continue
        mus.append(walk.mu)
        ys.append(walk.y.copy())
        if walk.mu <= mu_min:
            return


class _Walk:
    """The homotopy at one μ: coefficients, the active columns with their signs, and their triangle."""

    def __init__(self, X: Matrix, z: Vector, mu: float, y: Vector) -> None:
        self.X, self.z, self.mu, self.y = X, z, mu, y
        self.norms = column_norms(X)
        self.active: list[int] = [int(j) for j in np.flatnonzero(y)]
        self.signs = np.sign(y)
        self.barred = np.zeros(len(y), dtype=bool)
        self._renew()
        self._settle()

    def _renew(self) -> None:
        if len(self.active) > len(self.z):
            raise np.linalg.LinAlgError(f"{len(self.active)} active columns of {len(self.z)} rows are dependent")
        u = qr_triangle(np.array(self.X[:, self.active], order="F"), overwrite=True)
        self.u, self.changes = u, 0

    def _solve(self, right: Vector) -> Vector:
        """The b with X_Aᵀ X_A b = right: semi-normal equations, corrected on X."""
        X_A = self.X[:, self.active]
        start = solve_triangular(self.u, solve_triangular(self.u, right, transposed=True))
        return refine(lambda b: np.asarray(right - X_A.T @ (X_A @ b)), self.u, start)

    def step(self, mu_min: float) -> None:
        """To the next knot, or to ``mu_min``."""
        if self.changes > CHANGES:
            self._renew()
        active = np.array(self.active, dtype=np.intp)
        signs = self.signs[active]
        b = self._solve(signs)
        along = self.X.T @ (self.X[:, active] @ b)
        s = self.s
        length = self.mu - mu_min
        entering, leaving = -1, -1
        for sign in (1.0, -1.0):
            slack, closing = self.mu - sign * s, 1.0 - sign * along
            free = (self.signs == 0.0) & ~self.barred & (closing > 1e-12)
            times = np.full(len(s), np.inf)
            times[free] = np.maximum(slack[free], 0.0) / closing[free]
            if times.min() < length:
                entering = int(np.argmin(times))
                length, entering_sign = float(times[entering]), sign
        shrinking = np.flatnonzero(b * signs < 0.0)
        if len(shrinking):
            times = np.maximum(-self.y[active[shrinking]] * signs[shrinking], -np.inf) / (b * signs)[shrinking]
            first = int(np.argmin(times))
            if times[first] <= length:
                length, leaving = max(float(times[first]), 0.0), int(shrinking[first])
        self.y[active] += length * b
        self.mu = mu_min if entering < 0 and leaving < 0 else self.mu - length
        if leaving >= 0:
            self._leave(leaving)
        # before a column enters, while its coefficient is 0
        self._settle()
        if leaving < 0 <= entering:
            self._enter(entering, entering_sign)

    def _settle(self) -> None:
        """Take what rounding left of s_A − μ signs from y, and make s = Xᵀ(z − X y) anew."""
        X_A, signs = self.X[:, self.active], self.signs[self.active]

        def slope(y: Vector) -> Vector:
            return np.asarray(X_A.T @ (self.z - X_A @ y) - self.mu * signs)

        if self.active:
            y = refine(slope, self.u, self.y[self.active])
            self.y[self.active] = np.where(y * signs > 0.0, y, 0.0)
        self.s = np.asarray(self.X.T @ (self.z - X_A @ self.y[self.active]))

    def _leave(self, place: int) -> None:
        j = self.active.pop(place)
        self.y[j] = self.signs[j] = 0.0
        self.barred[:] = False
        a = len(self.active)
        if a == 0:
            self._renew()
            return
        _, u = qr_delete(np.eye(a + 1), self.u, place, 1, "col", check_finite=False)
        self.u, self.changes = np.asfortranarray(u[:a]), self.changes + 1

    def _enter(self, j: int, sign: float) -> None:
        a, column = len(self.active), self.X[:, j]
        X_A = self.X[:, self.active]
        w, rest = np.zeros(a), column
        for _ in range(2):
            # twice is enough: Gram-Schmidt with the orthogonal factor X_A u⁻¹
            more = solve_triangular(self.u, X_A.T @ rest, transposed=True)
            w, rest = w + more, rest - X_A @ solve_triangular(self.u, more)
        left = float(np.linalg.norm(rest))
        if left <= 10 * max(a, 1) * _EPS * self.norms[j] or a == len(self.z):
            self.barred[j] = True
            return
        u = np.zeros((a + 1, a + 1), order="F")
        u[:a, :a], u[:a, a], u[a, a] = self.u, w, left
        self.active.append(j)
        self.signs[j] = sign
        self.u, self.changes = u, self.changes + 1
