"""The LASSO's relatives, each turned into a LASSO and solved exactly: elastic net, adaptive LASSO."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hiertl_dist.algebra.direct import on_penalty_rows, ridge
from hiertl_dist.algebra.factor import Answer, Factor
from hiertl_dist.algebra.lapack import Vector, column_norms
from hiertl_dist.algebra.lasso import lasso, require_optimal, rounding_gap
from hiertl_dist.algebra.proximal import kkt_gap


def elastic_net(factor: Factor, mu1: float, mu2: float) -> Answer:
    """The minimum of ½‖R c − z‖² + mu1 ‖c‖₁ + ½ mu2 ‖c‖², as the LASSO of R stacked on √mu2 I.

    Zou, Hastie, J. R. Stat. Soc. B 67, 301 (2005), lemma 1, without their rescaling ("naïve" elastic net).

    Parameters
    ----------
    factor : Factor
        R (p, n) and z (p,).
    mu1 : float
        The penalty on lengths, > 0.
    mu2 : float
        The penalty on squares, ≥ 0; 0 is ``lasso``.

    Returns
    -------
    Answer
        Its ``kkt_gap`` is the largest violation, relative to mu1, of: s_j = mu1 sign(c_j) where c_j ≠ 0 and |s_j| ≤ mu1
        elsewhere, s being Rᵀ(z − R c) − mu2 c with the R given. Its rank is the number of nonzeros, its condition that
        of their columns with the penalty's rows.

    Raises
    ------
    ConvergenceError
        As ``lasso``.
    """
    if mu2 == 0.0:
        return lasso(factor, mu1)
    stacked = stacked_on_identity(factor, mu2)
    answer = lasso(stacked, mu1)
    c = answer.coefficients
    # Measured on the rows given: what the stacking rounded away is in it.
    gap = kkt_gap(factor.R, factor.z, mu1, c, mu2)
    rounding = float(rounding_gap(column_norms(stacked.R), stacked.z, mu1, c))
    return replace(answer, kkt_gap=gap, notes=require_optimal(gap, rounding))


def adaptive_lasso(factor: Factor, mu: float, alpha: float, gamma: float) -> Answer:
    """The minimum of ½‖R c − z‖² + mu Σ_j |c_j| / |p_j|^gamma, p minimising ‖R p − z‖² + alpha ‖p‖².

    Zou, J. Am. Stat. Assoc. 101, 1418 (2006): a LASSO in columns multiplied by |p_j|^gamma. c_j = 0 where p_j = 0.

    Parameters
    ----------
    factor : Factor
        R (p, n) and z (p,).
    mu : float
        The penalty, N λ.
    alpha : float
        The penalty of the ridge solution p.
    gamma : float
        The exponent.

    Returns
    -------
    Answer
        Its ``kkt_gap`` is that LASSO's: the violation of each column's condition relative to its own penalty mu /
        |p_j|^gamma. Its rank is the number of nonzeros, its condition that of their columns.

    Raises
    ------
    ConvergenceError
        As ``lasso``.
    ValueError
        |p_j|^gamma exceeds the range of numbers.
    """
    factors = adaptive_factors(factor, alpha, gamma)
    n = factor.R.shape[1]
    # ‖z − R c‖ ≤ ‖z‖ at the optimum, so the others can't reach their penalty and are 0; underflow ends here too.
    able = np.flatnonzero(factors * column_norms(np.asfortranarray(factor.R)) * np.linalg.norm(factor.z) > mu)
    coefficients = np.zeros(n)
    if len(able) == 0:
        return Answer(coefficients, 0, 1.0, 0.0)
    answer = lasso(Factor(np.asfortranarray(factor.R[:, able] * factors[able]), factor.z), mu)
    coefficients[able] = answer.coefficients * factors[able]
    return replace(answer, coefficients=coefficients)


def adaptive_factors(factor: Factor, alpha: float, gamma: float) -> Vector:
    """|p_j|^``gamma`` (n,), p being the ridge solution with ``alpha``: what the adaptive LASSO scales columns by."""
    first = np.abs(ridge(factor, alpha).coefficients)
    with np.errstate(over="ignore", under="ignore"):
        factors = first**gamma
    if not np.isfinite(factors).all():
        j = int(np.flatnonzero(~np.isfinite(factors))[0])
        raise ValueError(f"gamma: |p_j|^gamma of column {j} is not finite (p_j = {first[j]:g}, gamma = {gamma:g})")
    return np.asarray(factors)


def stacked_on_identity(factor: Factor, mu2: float) -> Factor:
    """The triangle (n, n), and target, of R and z stacked on √``mu2`` I and zeros."""
    n = factor.R.shape[1]
    u = on_penalty_rows(factor, mu2)
    return Factor(np.asfortranarray(u[:n, :n]), u[:n, n].copy())
