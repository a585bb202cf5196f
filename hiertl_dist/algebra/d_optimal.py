"""Which rows to observe next: greedy D-optimal selection among candidates that are blocks of rows.

A candidate (a frame) brings a block A of weighted rows. The best set makes det(TᵀT + Σ AᵀA) largest, which shrinks
the volume that the coefficients are known to lie in (Fedorov, Theory of Optimal Experiments, 1972). To find it is
NP-hard; to take the largest gain again and again reaches at least 1 − 1/e of the best set's gain, for the gain is
monotone and submodular (Nemhauser, Wolsey, Fisher, Math. Program. 14, 265 (1978); Krause, Singh, Guestrin, JMLR 9,
235 (2008)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hiertl_dist.algebra.lapack import Vector
from hiertl_dist.algebra.posterior import Posterior
from hiertl_dist.errors import InputError

#: Gains that differ by less than this, relative to the largest (absolute below 1), count as equal: what rounding
#: does to them must not decide, as it is another on every kind of processor.
TIE = 1e-9


@dataclass(frozen=True)
class Pick:
    """One selected candidate, and what its rows added when it was taken.

    Attributes
    ----------
    index : int
        Which candidate.
    gain : float
        logdet(I + A (TᵀT)⁻¹ Aᵀ) given the rows of the fit and of the earlier picks, in nats (twice the information).
    leverage_sum : float
        Trace of A (TᵀT)⁻¹ Aᵀ given the same: the sum of its rows' leverages.
    """

    index: int
    gain: float
    leverage_sum: float


# long: its parameters are documented
def d_optimal(
    posterior: Posterior,
    candidates: Sequence[int],
    count: int,
    rows_of: Callable[[int], npt.NDArray[np.float64]],
    *,
    initial_gains: npt.ArrayLike | None = None,
    enough: float = np.inf,
) -> list[Pick]:
    """The candidates that greedy selection takes, in the order in which it takes them.

    The gain of a candidate never grows when others are taken, so an old gain is a bound, and only candidates whose
    bound reaches the largest new gain are evaluated again (Minoux, in: Optimization Techniques, Springer, 1978, p.
    234). The result is that of evaluating all of them at each step, as long as rounding of a gain (2e-16 times the
    condition number of T) stays below TIE.

    Columns that the posterior holds fixed count for nothing: where candidates are to be taken because they have what
    the fit has never seen, the fit needs a penalty on those columns (ridge).

    Parameters
    ----------
    posterior : Posterior
        Of the fit, with n coefficients.
    candidates : sequence of int
        Different integers, each known to ``rows_of``. Of candidates with equal gains (within TIE) the one that comes
        first here is taken.
    count : int
        How many to take.
    rows_of : callable
        ``rows_of(candidate)`` gives its rows, shape (m, n), with the weights that the fit gives such rows. It is called
        whenever they are needed and only one block is held, so it should compute them or keep them itself.
    initial_gains : array_like of shape (candidates,), optional
        ``posterior.gain(rows_of(i))`` of every candidate, in their order, where workers elsewhere have computed them.
        Otherwise the first sweep is made here.
    enough : float, optional
        Stop where the gains add up to so much, less what rounding does to them.

    Returns
    -------
    list of Pick
        ``count`` of them, or fewer that are enough.

    Raises
    ------
    ValueError
        Fewer candidates than ``count``, or arguments that don't fit.
    """
    names = _checked_candidates(candidates, count)
    if count == 0:
        return []
    gains = _first_sweep(posterior, names, rows_of, initial_gains)
    free = np.ones(len(names), dtype=np.bool_)
    fresh = free.copy()
    picks: list[Pick] = []
    for step in range(count):
        if step:
            fresh[:] = False
        chosen = _largest(posterior, names, rows_of, gains, fresh, free)
        rows = rows_of(names[chosen])
        picks.append(Pick(names[chosen], float(gains[chosen]), float(posterior.leverage(rows).sum())))
        free[chosen] = False
        whole = sum(p.gain for p in picks)
        if whole >= enough - _tie(enough):
            break
        if step + 1 < count:
            posterior = posterior.updated(rows)
    return picks


def _largest(
    posterior: Posterior,
    names: list[int],
    rows_of: Callable[[int], npt.NDArray[np.float64]],
    gains: Vector,
    fresh: npt.NDArray[np.bool_],
    free: npt.NDArray[np.bool_],
) -> int:
    """Position of the free candidate with the largest gain.

    ``gains`` and ``fresh`` are brought up to date for those whose old gain leaves it open.
    """
    best = gains[fresh & free].max(initial=-np.inf)
    while True:
        bound = np.where(free & ~fresh, gains, -np.inf)
        i = int(np.argmax(bound))
        # a candidate that ties with the best must be seen too, and its bound may be too low by rounding
        if bound[i] == -np.inf or bound[i] < best - 2.0 * _tie(best):
            break
        gains[i] = posterior.gain(rows_of(names[i]))
        fresh[i] = True
        best = max(best, gains[i])
    return int(np.flatnonzero(free & fresh & (gains >= best - _tie(best)))[0])


def _tie(gain: float) -> float:
    return TIE * max(1.0, abs(gain))


def _checked_candidates(candidates: Sequence[int], count: int) -> list[int]:
    names = [int(candidate) for candidate in candidates]
    if count < 0:
        raise InputError(f"count: expected ≥ 0, found {count}")
    if len(names) < count:
        raise InputError(f"can't select {count} of {len(names)} candidates")
    seen: set[int] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"candidates: expected each once, found {name} again")
        seen.add(name)
    return names


def _first_sweep(
    posterior: Posterior,
    names: list[int],
    rows_of: Callable[[int], npt.NDArray[np.float64]],
    initial_gains: npt.ArrayLike | None,
) -> Vector:
    if initial_gains is None:
        return np.array([posterior.gain(rows_of(name)) for name in names])
    gains = np.array(initial_gains, dtype=np.float64)
    if gains.shape != (len(names),):
        raise ValueError(f"initial_gains: expected one per candidate ({len(names)}), found shape {gains.shape}")
    bad = np.flatnonzero(~(np.isfinite(gains) & (gains >= 0.0)))
    if len(bad):
        raise ValueError(
            f"initial_gains: expected finite numbers ≥ 0, found {gains[bad[0]]} for candidate {names[bad[0]]}"
        )
    return gains
