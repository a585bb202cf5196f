"""What the rows of a view say of the mean of its prior: whether to take it, by which factors, and how hard probes hold.

Formulas are in section 4 of docs/theory.md. No row is read: all of it is asked of the groups' factors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..algebra.stacking import stack
from ..frames.rows import person_kind
from ..model.priors import MIXED, ZERO
from ..text.words import percent_text
from .views import factor_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..frames.rows import Group
    from ..model.mixing import Mean
    from ..model.priors import Prior
    from .probe_rows import ProbeRows
    from .views import View

LEAST_EXPLAINED: Final = 0.5
"""Part of the squares of forces, or of stresses, that the mean of lower blocks explains from which on "auto" takes it.
Measured: 0.78 to 0.99 of the forces for six alloys of Mo, Nb, Ta, W and, by the orders, 0.73 to 0.80 for C/N, where it
helps; below 0.05 for W/Be, where it harms."""

MEAN_RIDGE: Final = 1.0
"""Ridge, beside forces in kcal/mol/Å, of the fit about the mean by which the weight of probes is chosen."""

MOST_FREEDOM: Final = 0.9
"""Part of the rows of forces that this fit takes as degrees of freedom from which on its residual says nothing."""

WEIGHT_OF_FEW: Final = 0.5
"""Weight of the probes where no forces, or few, tell another. With one frame of liquid C/N errors are 0.33 times those
without probes, with the weight of their share 0.5 times."""

PROBE_SHARE: Final = 0.005
"""What probes count at least, w² times their rows of forces, of the rows of forces of the data. Measured for six alloys
of Mo, Nb, Ta, W with 1, 5, 20, 100 frames of each: near the lattice errors are 0.88, 0.95, 1.00, 1.02 times the smaller
one of those with the mean zero and mixed without probes; on hot frames of four elements they are no larger than those
with a weight of 0.1, which costs 1.13, 1.13, 1.05 times near the lattice with 5, 20, 100 frames."""

MOST_COST: Final = 0.05
"""By how much, relative, probes of a larger weight may raise the error that generalised cross-validation expects of the
forces. Liquids of C/N take the weight 1 by this, with errors of 0.32 to 0.99 times those without; alloys, next to none.
"""

LEAST_WEIGHT: Final = 0.003
WEIGHTS_TRIED: Final = 26
"""The smallest weight of probes, and how many up to 1 are tried."""


def chosen_prior(
    given: View, prior: Prior, mean: Mean, times: Mapping[Group, int] | None = None
) -> tuple[Prior, str]:  # fmt: skip
    """The prior with the mean that the rows speak for.

    Factors of the bodies' means are those, from 0 to the prior's own, with which their sum is nearest to the forces
    that lower blocks leave. Where these are too small to speak, as near a lattice, the stresses may; without either all
    labels are asked. Where rows are fewer than columns the prior's own factors are kept: in one near-lattice frame two-
    and three-body means look alike, and with factors from its forces energies were off by up to 0.6 eV/atom.

    Parameters
    ----------
    given : View
        Without a prior.
    prior : Prior
        Whose mean is ``"auto"``.
    mean : Mean
        The mixed mean of its columns.
    times : Mapping from Group to int, optional
        How often the rows of each group are there; default: once.

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
        rows, target = _spoken(given, parts, kind, times)
        gamma = _nearest(rows, target)
        total = float(target @ target)
        share = max(0.0, 1.0 - float(np.sum((rows @ gamma - target) ** 2)) / total) if total > 0.0 else 0.0
        what = {"force": "forces", "stress": "stresses"}.get(kind, kind)
        said.append(f"{percent_text(share)} of the squares of the {what}")
        if share >= LEAST_EXPLAINED:
            asked = [g for g in _of_kind(given, kind) if times is None or times[g]]
            count, columns = sum(map(given.summaries.fitted_rows, asked)), len(given.columns)
            few = count < columns
            taken = np.ones(3) if few else gamma
            own = [float(np.round(g * most, 3)) for g, most in zip(taken, prior.gamma, strict=True)]
            bodies = ", ".join(f"{own[k]:.2f} of {k + 2}-body" for k in range(3) if rows[:, k].any())
            shown = f"at best {said[-1]}" if few else said[-1]
            note = f"prior auto: the mean of lower blocks explains {shown} that they leave: mixed, {bodies} terms"
            if few:
                note += f"; {count} rows are too few beside {columns} columns to choose factors"
            return replace(prior, mean=MIXED, gamma=(own[0], own[1], own[2])), note
    note = (
        f"prior auto: the mean of lower blocks explains {' and '.join(said)} that they leave, less than "
        f"{percent_text(LEAST_EXPLAINED)}: zero"
    )
    return replace(prior, mean=ZERO, probes=0), note


def _spoken(
    given: View, parts: NDArray[np.float64], kind: str, times: Mapping[Group, int] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What three parts of a mean say of rows of a kind (rows, 3), and what lower blocks leave of these (rows,)."""
    layers = [given.layer(g, factor_of(given, g), _repeated(g, times)) for g in _of_kind(given, kind)]
    rows = np.concatenate([x.weight * (x.factor.r[:, x.kept] @ parts[x.places]) for x in layers])
    return rows, np.concatenate([x.weight * (x.factor.r @ x.target) for x in layers])


def _repeated(group: Group, times: Mapping[Group, int] | None) -> float:
    """What rows are multiplied by that are there several times."""
    return 1.0 if times is None else float(np.sqrt(times[group]))


def _of_kind(given: View, kind: str) -> list[Group]:
    """Groups of the rows of a kind, of all rows for ``"labels"``."""
    fitted = given.summaries.fitted
    return [g for g in given.factors if kind in (person_kind(g.kind), "labels") and g in fitted]


def _nearest(rows: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factors from 0 to 1 of three columns with which their sum is nearest to a target; 1 of a column of zeros."""
    from scipy.optimize import lsq_linear  # it takes long to load, and is seldom needed

    factors = np.ones(3)
    live = np.flatnonzero(rows.any(axis=0))
    if len(live):
        factors[live] = lsq_linear(rows[:, live], target, bounds=(0.0, 1.0), method="bvls").x
    return factors


class Estimate(NamedTuple):
    """A weight of probes, where it comes from, and the error of forces that is expected, times their weight.

    ``noise``: kcal/mol/Å; over the weight it is about how far forces on probes may deviate. NaN without forces.
    """

    weight: float
    note: str
    noise: float


# long: its parameters are documented
def estimated_weight(
    given: View, mean: NDArray[np.float64], probes: ProbeRows, times: Mapping[Group, int] | None = None
) -> Estimate:
    """The weight of probes: what data that are many can bear, or what costs them next to nothing.

    The larger one of two, at most 1. The first gives the probes at least the share :data:`PROBE_SHARE` of the data: the
    more frames there are, the more their likeness to one another is mistaken for knowledge, and the harder the probes
    hold. The second is the largest one with which the error of forces that generalised cross-validation (Golub, Heath,
    Wahba, Technometrics 21, 215 (1979)) expects of a ridge about the mean is at most :data:`MOST_COST` above the
    smallest one.

    Parameters
    ----------
    given : View
        Without a prior.
    mean : ndarray of shape (columns,)
        The mean, kcal/mol.
    probes : ProbeRows
        Rows of the probes, unweighted.
    times : Mapping from Group to int, optional
        How often the rows of each group are there; default: once.

    Returns
    -------
    Estimate
        The weight is beside rows of forces of weight 1.
    """
    fitted = given.summaries.fitted
    groups = [g for g in given.factors if g.kind == "force" and given.factors[g] > 0.0 and g in fitted]
    if not groups:
        note = f"probes have the weight {WEIGHT_OF_FEW}: there are no forces that tell another"
        return Estimate(WEIGHT_OF_FEW, note, float("nan"))
    n = len(mean)
    whole = stack((given.layer(g, factor_of(given, g), _repeated(g, times)) for g in groups), n)
    left = whole.r[:, n] - whole.r[:, :n] @ mean
    # how rows of forces are weighted: those of the probes are beside weight 1
    counts = np.array([given.summaries.fitted_rows(g) for g in groups], float)
    if times is not None:
        counts *= [times[g] for g in groups]
    n_rows = whole.rows if times is None else int(counts.sum())
    weight_of_forces = float(np.sqrt(counts @ np.square([given.factors[g] for g in groups]) / counts.sum()))
    share = min(1.0, float(np.sqrt(PROBE_SHARE * n_rows / probes.rows)))
    tried = np.geomspace(LEAST_WEIGHT, 1.0, WEIGHTS_TRIED)
    errors = _expected_errors(whole.r[:, :n], left, probes.in_order(given.columns), n_rows, tried)
    bearable = np.flatnonzero(errors <= (1.0 + MOST_COST) * np.min(errors, initial=np.inf))
    cheap = float(tried[bearable[-1]]) if len(bearable) else WEIGHT_OF_FEW
    weight = float(f"{max(share, cheap):.2g}")
    if not len(bearable):
        note = f"probes have the weight {weight:g}: {n_rows} rows of forces are few to tell another"
    elif cheap > share:
        note = (
            f"probes have the weight {weight:g}: the error that generalised cross-validation expects of the forces is "
            f"at most {percent_text(MOST_COST)} above that with less"
        )
    else:
        note = (
            f"probes have the weight {weight:g}: {probes.rows} rows of their forces then count "
            f"as {percent_text(PROBE_SHARE)} of the {n_rows} of the data"
        )
    if given.summaries.weighed is not None:
        note += "; rows' own weights ([weights]) are not counted in it: probe_weight in [fit] prior says another"
    # of few rows the ridge says nothing: what the mean leaves of them is an upper bound
    noise = float(errors.min()) if len(bearable) else float(np.linalg.norm(left)) / n_rows**0.5
    noise = float(f"{noise:.2g}")  # as the weight: last digits of rows move neither
    return Estimate(weight * weight_of_forces, note, noise * weight_of_forces)


def _expected_errors(
    rows: NDArray[np.float64], left: NDArray[np.float64], probes: NDArray[np.float64], n_rows: int,
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """√(squares left / rows) / (1 − freedom / rows) of a ridge with probes of each weight; none where rows are few."""
    from scipy.linalg import eigh  # it takes long to load, and is seldom needed

    # in the basis in which ridge and probes are both diagonal a weight costs a sum; both squares are overwritten, which
    # LAPACK does where columns follow one another, as those of their transposes do
    squares = rows.T @ rows
    squares[np.diag_indices(len(squares))] += MEAN_RIDGE
    held, basis = eigh((probes.T @ probes).T, squares.T, overwrite_a=True, overwrite_b=True)
    del squares
    seen = rows @ basis
    del basis
    inside, lengths = seen.T @ left, np.sum(seen**2, axis=0)
    kept = 1.0 / (1.0 + np.square(weights)[:, np.newaxis] * np.maximum(held, 0.0))
    freedom = kept @ lengths
    if freedom.max() > MOST_FREEDOM * n_rows:
        return np.zeros(0)
    squares = np.sum((left - (kept * inside) @ seen.T) ** 2, axis=1)
    return np.asarray(np.sqrt(squares / n_rows) / (1.0 - freedom / n_rows))
