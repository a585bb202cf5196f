"""What the rows of a view say of the mean of its prior: whether to take it, by which factors, and how hard probes hold.

Formulas are in section 4 of docs/theory.md. No row is read: all of it is asked of the groups' factors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ..algebra.stacking import stack
from ..frames.rows import person_kind
from ..model.priors import MIXED, ZERO
from ..text.words import percent_text
from .views import factor_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..model.mixing import Mean
    from ..model.priors import Prior
    from .views import View

LEAST_EXPLAINED: Final = 0.5
"""Part of the squares of forces, or of stresses, that the mean of lower blocks explains from which on "auto" takes it.
Measured: 0.78 to 0.99 of the forces for six alloys of Mo, Nb, Ta, W and, by the orders, 0.73 to 0.80 for C/N, where it
helps; below 0.05 for W/Be, where it harms."""

MEAN_RIDGE: Final = 1.0
"""Ridge, beside forces in kcal/mol/Å, of the fit about the mean whose residual tells the weight of probes."""

MOST_FREEDOM: Final = 0.9
"""Part of the rows of forces that this fit takes as degrees of freedom from which on its residual says nothing."""

WEIGHT_OF_FEW: Final = 0.5
"""Weight of the probes where rows are few."""

LEAST_WEIGHT: Final = 0.1
"""Of the probes. Frames near a lattice are much alike and leave next to nothing: of models of Mo, Nb, Ta, W at orders
16/10/3 with 0.02 atoms fall into holes at 300 K, with 0.1 not. Errors near the lattice of frames left out are 1.05
times those without probes with 0.1, 1.5 times with 0.3."""


def chosen_prior(given: View, prior: Prior, mean: Mean) -> tuple[Prior, str]:
    """The prior with the mean that the rows speak for.

    Factors of the bodies' means are those, from 0 to the prior's own, with which their sum is nearest to the forces
    that lower blocks leave. Where these are too small to speak, as near a lattice, the stresses may; without either all
    labels are asked.

    Parameters
    ----------
    given : View
        Without a prior.
    prior : Prior
        Whose mean is ``"auto"``.
    mean : Mean
        The mixed mean of its columns.

    Returns
    -------
    chosen : Prior
        With the mean ``"mixed"`` and its factors, or ``"zero"`` without probes.
    note : str
        What it was chosen by.
    """
    parts = np.zeros((len(mean.values), 3))
    for i, column in enumerate(given.columns):
        if column.powers:
            parts[i, len(column.elements) - 2] = mean.values[i]
    kinds = [k for k in ("force", "stress") if any(person_kind(g.kind) == k for g in given.factors)]
    said = []
    for kind in kinds or ("labels",):
        rows, target = _spoken(given, parts, kind)
        gamma = _nearest(rows, target)
        total = float(target @ target)
        share = max(0.0, 1.0 - float(np.sum((rows @ gamma - target) ** 2)) / total) if total > 0.0 else 0.0
        what = {"force": "forces", "stress": "stresses"}.get(kind, kind)
        said.append(f"{percent_text(share)} of the squares of the {what}")
        if share >= LEAST_EXPLAINED:
            own = [float(np.round(g * most, 3)) for g, most in zip(gamma, prior.gamma, strict=True)]
            bodies = ", ".join(f"{own[k]:.2f} of {k + 2}-body" for k in range(3) if rows[:, k].any())
            note = f"prior auto: the mean of lower blocks explains {said[-1]} that they leave: mixed, {bodies} terms"
            return replace(prior, mean=MIXED, gamma=(own[0], own[1], own[2])), note
    note = (
        f"prior auto: the mean of lower blocks explains {' and '.join(said)} that they leave, less than "
        f"{percent_text(LEAST_EXPLAINED)}: zero"
    )
    return replace(prior, mean=ZERO, probes=0), note


def _spoken(given: View, parts: NDArray[np.float64], kind: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What three parts of a mean say of rows of a kind (rows, 3), and what lower blocks leave of these (rows,)."""
    groups = [g for g in given.factors if kind in (person_kind(g.kind), "labels")]
    layers = [given.layer(g, factor_of(given, g)) for g in groups]
    rows = np.concatenate([x.factor.r[:, x.kept] @ parts[x.places] for x in layers])
    return rows, np.concatenate([x.factor.r @ x.target for x in layers])


def _nearest(rows: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factors from 0 to 1 of three columns with which their sum is nearest to a target; 1 of a column of zeros."""
    from scipy.optimize import lsq_linear  # it takes long to load, and is seldom needed

    factors = np.ones(3)
    live = np.flatnonzero(rows.any(axis=0))
    if len(live):
        factors[live] = lsq_linear(rows[:, live], target, bounds=(0.0, 1.0), method="bvls").x
    return factors


def estimated_weight(given: View, mean: NDArray[np.float64]) -> tuple[float, str]:
    """The weight of probes with which deviations of the size that the data have cost as much as their residuals.

    That is (residual of the forces in a ridge about the mean) / (what the mean leaves of the forces), each a root mean
    square per degree of freedom, at least :data:`LEAST_WEIGHT` and at most 1.

    Parameters
    ----------
    given : View
        Without a prior.
    mean : ndarray of shape (columns,)
        The mean, kcal/mol.

    Returns
    -------
    weight : float
        Beside rows of forces of weight 1.
    note : str
        Where it comes from.
    """
    groups = [g for g in given.factors if g.kind == "force" and given.factors[g] > 0.0]
    if not groups:
        return WEIGHT_OF_FEW, f"probes have the weight {WEIGHT_OF_FEW}: there are no forces that tell another"
    n = len(mean)
    whole = stack((given.layer(g, factor_of(given, g)) for g in groups), n)
    left = whole.r[:, n] - whole.r[:, :n] @ mean
    deviation = float(np.sqrt(left @ left / whole.rows))
    # how rows of forces are weighted: those of the probes are beside weight 1
    counts = np.array([given.summaries.rows(g) for g in groups], float)
    weight_of_forces = float(np.sqrt(counts @ np.square([given.factors[g] for g in groups]) / counts.sum()))
    residual, freedom = _residual(whole.r[:, :n], left)
    if freedom > MOST_FREEDOM * whole.rows or not deviation > 0.0:
        weight = WEIGHT_OF_FEW
        note = f"probes have the weight {weight}: {whole.rows} rows of forces are few to tell another"
    else:
        residual /= float(np.sqrt(whole.rows - freedom))
        weight = float(np.round(np.clip(residual / deviation, LEAST_WEIGHT, 1.0), 3))
        note = (
            f"probes have the weight {weight:g}: a fit without them leaves {residual:.3g} kcal/mol/Å of the forces, "
            f"the mean {deviation:.3g}"
        )
    return weight * weight_of_forces, note


def _residual(rows: NDArray[np.float64], left: NDArray[np.float64]) -> tuple[float, float]:
    """Length of what a ridge leaves of a target, and its degrees of freedom."""
    u, s, _ = np.linalg.svd(rows, full_matrices=False)
    inside = u.T @ left
    kept = s**2 / (s**2 + MEAN_RIDGE)
    outside = max(float(left @ left - inside @ inside), 0.0)
    return float(np.sqrt(outside + np.sum(((1.0 - kept) * inside) ** 2))), float(kept.sum())
