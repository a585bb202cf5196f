"""The LASSO exactly at λ: proximal points to get near, an active-set method to arrive, a check of optimality.

All of it works on a factor: min ½‖R c − z‖² + μ‖c‖₁, with μ = N λ. Optimal means, with s = Rᵀ(z − R c),
s_j = μ sign(c_j) where c_j ≠ 0 and |s_j| ≤ μ elsewhere. Coordinate descent doesn't converge on these
matrices; a LARS path arrives, but takes thousands of steps where thousands of columns are active.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hiertl_dist.algebra.errors import ConvergenceError
from hiertl_dist.algebra.factor import Answer, Factor, equilibrated_condition, refine
from hiertl_dist.algebra.lapack import Matrix, Vector, column_norms, qr_triangle, solve_triangular
from hiertl_dist.algebra.proximal import kkt_gap, near_optimum

#: Largest violation of the optimality conditions, relative to μ, that counts as solved.
GAP_LIMIT = 1e-8
#: What is still let through, with a note, where λ is so small that rounding alone exceeds GAP_LIMIT.
ROUNDING_GAP_LIMIT = 1e-4

_EPS = float(np.finfo(np.float64).eps)


def lasso(factor: Factor, mu: float) -> Answer:
    """The minimum of ½‖R c − z‖² + mu ‖c‖₁, with violation of optimality ≤ GAP_LIMIT.

    Parameters
    ----------
    factor : Factor
        R (p, n) and z (p,).
    mu : float
        The penalty, N λ.

    Returns
    -------
    Answer
        Its rank is the number of nonzeros, its condition cond_1 of their (equilibrated) columns.

    Raises
    ------
    ConvergenceError
        The violation can't be made small enough; the error carries it.
    """
    R, z = factor.R, factor.z
    start = near_optimum(R, z, mu) if np.abs(R.T @ z).max() > mu else np.zeros(R.shape[1])
    search = _ActiveSet(R, z, mu, start)
    search.run()
    gap = kkt_gap(R, z, mu, search.c)
    notes = require_optimal(gap, float(rounding_gap(column_norms(R), z, mu, search.c)))
    active = np.flatnonzero(search.c)
    condition = equilibrated_condition(search.factor(active)[0]) if len(active) else 1.0
    return Answer(search.c, len(active), condition, gap, notes)


def require_optimal(gap: float, rounding: float) -> tuple[str, ...]:
    """Notes on a violation of optimality that is let through; raises ConvergenceError where it is too large."""
    if not gap <= max(GAP_LIMIT, min(rounding, ROUNDING_GAP_LIMIT)):
        raise ConvergenceError(
            f"LASSO: expected a violation of optimality of at most {GAP_LIMIT:.0e} of the penalty, "
            f"found {gap:.2e} (rounding alone may cause {rounding:.0e}); a larger lam is easier",
            gap,
        )
    limited = f"lam is so small that rounding limits the violation of optimality to {gap:.1e}"
    return (limited,) if gap > GAP_LIMIT else ()


def rounding_gap(norms: Vector, z: Vector, mu: npt.ArrayLike, c: npt.NDArray[np.float64]) -> Vector:
    """What rounding of c and of the residual alone may contribute to the gap.

    Parameters
    ----------
    norms : ndarray of shape (n,)
        Lengths of the columns of R.
    z : ndarray of shape (p,)
        The target.
    mu : array_like of shape (…)
        Penalties.
    c : ndarray of shape (…, n)
        The coefficients at each.

    Returns
    -------
    ndarray of shape (…)
        The gap relative to the penalty.
    """
    lengths = np.linalg.norm(z) + np.linalg.norm(norms * c, axis=-1)
    return np.asarray(8 * _EPS * norms.max(initial=0.0) * lengths / mu)


class _ActiveSet:
    """Feature-sign search (Lee, Battle, Raina, Ng, NIPS 2006): each step lowers the objective."""

    def __init__(self, R: Matrix, z: Vector, mu: float, start: Vector) -> None:
        self.R, self.z, self.mu = R, z, mu
        self.c = start.copy()
        self.signs = np.sign(start)
        self._factored: tuple[npt.NDArray[np.intp], Matrix, Vector] | None = None

    def factor(self, active: npt.NDArray[np.intp]) -> tuple[Matrix, Vector]:
        """(U, y) of the active columns and z, U (min(p, a), a); the last one is kept."""
        if self._factored is None or not np.array_equal(self._factored[0], active):
            a = len(active)
            both = np.empty((len(self.R), a + 1), order="F")
            both[:, :a], both[:, a] = self.R[:, active], self.z
            r = qr_triangle(both, overwrite=True)
            self._factored = active, np.asfortranarray(r[:a, :a]), r[:a, a]
        return self._factored[1:]

    def run(self) -> None:
        """Alternate between the optimum for the present signs and taking in columns with |s_j| > μ."""
        n = self.R.shape[1]
        batch, tolerance, entered = n, 0.1 * GAP_LIMIT, 0.0
        for _ in range(2 * n + 100):
            if self._settle():
                # A column taken in with others may point the wrong way. One taken in alone does only where
                # its violation is rounding, and would come back for ever.
                tolerance = max(tolerance, entered) if batch == 1 else tolerance
                batch = 1
            s = self.R.T @ (self.z - self.R @ self.c)
            excess = np.where(self.signs == 0.0, np.abs(s) / self.mu - 1.0, 0.0)
            worst = np.argsort(-excess, kind="stable")[:batch]
            entering = worst[excess[worst] > tolerance]
            if len(entering) == 0:
                return
            entered = float(excess[entering].max())
            self.signs[entering] = np.sign(s[entering])

    def _settle(self) -> bool:
        """Go to the optimum of the active columns at fixed signs, dropping those that reach zero on the way.

        True where a column at zero was dropped at once.
        """
        stalled = False
        while True:
            active = np.flatnonzero(self.signs)
            if len(active) == 0:
                return stalled
            direction, end = self._direction(active)
            rate = direction * self.signs[active]
            length = np.abs(self.c[active])
            times = np.full(len(active), np.inf)
            shrinking = rate < 0.0
            times[shrinking] = length[shrinking] / -rate[shrinking]
            first = int(np.argmin(times))
            if end is not None and times[first] > 1.0:
                self.c[active] = end
                return stalled
            stalled |= bool(times[first] == 0.0)
            self.c[active] += times[first] * direction
            self.c[active[first]] = 0.0
            self.signs[active[first]] = 0.0

    def _direction(self, active: npt.NDArray[np.intp]) -> tuple[Vector, Vector | None]:
        """Where to go from c, and the end; None where columns are dependent: as far as signs allow."""
        u, y = self.factor(active)
        a, signs = len(active), self.signs[active]
        pivots = np.abs(np.diagonal(u))
        lengths = column_norms(u)[: len(pivots)]
        small = np.flatnonzero(pivots <= 10 * a * _EPS * lengths)
        j = int(small[0]) if len(small) else len(pivots)
        if j < a:
            null = np.zeros(a)
            null[:j] = -solve_triangular(u[:j, :j], u[:j, j])
            null[j] = 1.0
            return (-null if signs @ null > 0.0 else null), None
        pull = self.mu * signs

        def slope(c: Vector) -> Vector:
            spread = np.zeros(len(self.signs))
            spread[active] = c
            return np.asarray((self.R.T @ (self.z - self.R @ spread))[active] - pull)

        end = refine(slope, u, solve_triangular(u, y - solve_triangular(u, pull, transposed=True)))
        return end - self.c[active], end
