"""What a fit's own errors add to the uncertainty of its coefficients, estimated from factors without reading a row.

For :mod:`hiertl_dist.uncertainty.predictive`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..algebra import ARD, BayesianRidge, ElasticNet, NoRegularisation, RFactor, Ridge, penalises_all
from ..algebra.posterior import Posterior
from ..algebra.posterior import posterior as linear_posterior
from ..fitting.view_priors import without_fold
from ..fitting.view_solutions import residual_squares, rows_for, solved
from ..fitting.views import View
from ..frames.rows import KINDS, OBJECTIVES, POOLED, Group, person_kind
from ..model.one_body import one_body_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..algebra import LinearSolution, Regulariser

WIDEST: Final = 1e6
"""How many times larger or smaller than the mean variance of the coefficients a noise² is looked for."""

SHARED: Final = 0.4
"""Errors about the means of their sources, over all errors, below which five sixths of their squares are shared."""

PRIOR: Final = 4.0
"""Variance of log scale² before any row is seen: a scale between 0.4 and 2.7 is likely."""


@dataclass(frozen=True)
class KindNoise:
    """What a kind of rows adds to the uncertainty of the coefficients.

    Attributes
    ----------
    noise : float
        Standard deviation of what no coefficients describe: kcal/mol/Å, kcal/mol/Å³, kcal/mol/atom. It is one number
        for a kind, for ChIMES models are limited by the model, not by noise in DFT labels. NaN where a fit has no more
        rows of the kind than these took of its degrees of freedom, and no folds.
    scale : float
        Factor of the standard deviations that the coefficients give: errors of the rows of a frame have to do with one
        another, so that rows say less than as many independent ones would; 1 without folds.
    rows : int
        That it was estimated from.
    held_out : bool
        Whether these were left out of the fits.
    within : float
        Of energies that were left out, the standard deviation of their errors about the mean error of their source and
        composition, kcal/mol/atom; NaN otherwise, or where no source says it. Well below ``noise`` it means that the
        frames of a source are off by the same amount: by something that positions do not tell, such as the temperature
        of electrons, or a setting of the reference method that is not the same for all. See :meth:`shared_note`.
    """

    noise: float
    scale: float
    rows: int
    held_out: bool
    within: float = math.nan

    def shared_note(self) -> str:
        """What people should know of errors that the frames of a source share; nothing where they share no large part.

        Returns
        -------
        str
            A sentence, or an empty one.
        """
        if not self.within < SHARED * self.noise:
            return ""
        return (
            f"errors of energies are ± {self.noise:.3g} kcal/mol/atom, but ± {self.within:.3g} about the mean of their "
            "source: frames of a source are off by about the same amount, because they are alike, or by something that "
            "positions do not tell, such as the temperature of electrons in free energies or a setting of the reference"
            " method. If so, deviations of energies are too wide for most sources and too narrow for a few, and labels "
            "without that part mend it (energies extrapolated to no smearing)"
        )


def kinds_of(given: View) -> list[str]:
    """Kinds of labels that a view has, of ``KINDS``."""
    return [k for k in KINDS if any(person_kind(g.kind) == k for g in given.factors)]


def counted_rows(given: View, *, without: int | None = None) -> float:
    """Rows that the objective counts, but for those of a fold."""
    counts = OBJECTIVES[given.objective]
    used = (g for g in given.factors if without is None or g.fold != without)
    return float(sum(counts.count(g.kind) * given.summaries.rows(g) for g in used))


def distribution(
    given: View, factor: RFactor, regulariser: Regulariser, *, without: int | None = None,
    known: NDArray[np.float64] | None = None,
) -> tuple[Posterior, LinearSolution | None]:  # fmt: skip
    """The Gaussian of a fit to a view, or to all but a fold of it; and the fit unless its coefficients are known."""
    counted = counted_rows(given, without=without)
    answer = None
    if known is None or isinstance(regulariser, BayesianRidge | ARD):
        (answer,) = solved(given, factor, [regulariser], rows_for(regulariser, factor, counted))
    if known is None:
        assert answer is not None
        known = answer.coefficients
    counted_once = float(factor.rows)
    data = factor
    if given.deviation is not None:
        data = replace(given.deviation, rows=None).shifted(factor)
        factor, known = given.deviation.shifted(factor), known - given.deviation.mean
    penalties: Any = 0.0
    active = None
    noise = None
    match regulariser:
        case NoRegularisation():
            pass
        case Ridge(alpha=alpha):
            penalties = np.full(factor.n_columns, alpha)
        case BayesianRidge() | ARD():
            assert answer is not None
            penalties, noise = answer.penalties, answer.hyperparameters["noise"]
        case _:
            active = known != 0.0
            active[given.unpenalised] |= not penalises_all(regulariser)
            if isinstance(regulariser, ElasticNet):
                lengths = factor.column_norms() if regulariser.normalize else 1.0
                if regulariser.normalize and given.deviation is not None:
                    lengths = lengths * given.deviation.scale  # of the columns that were penalised
                penalties = np.broadcast_to(
                    regulariser.lam * counted * (1.0 - regulariser.l1_ratio) * np.square(lengths), known.shape
                )
    if given.deviation is not None and not isinstance(regulariser, BayesianRidge | ARD):
        penalties = penalties / given.deviation.scale**2
    penalties = _with_free_energies(given, factor, regulariser, penalties)
    probed = given.deviation is not None and given.deviation.rows is not None
    gaussian = linear_posterior(
        factor, penalties=penalties, active=active, noise=1.0 if probed else noise, coefficients=known,
        # each row once, however often the objective counts it: that is its weight; rows of no weight have no residual
        n_counted=counted_once,
    )  # fmt: skip
    if probed:
        gaussian = _without_probes(gaussian, data, known, noise)
    return gaussian, answer


def _without_probes(
    gaussian: Posterior, data: RFactor, deviations: NDArray[np.float64], noise: float | None
) -> Posterior:
    """The posterior with the noise, and the degrees of freedom, of the data alone: rows of probes are a prior.

    ``noise``: what evidence says, if it does.
    """
    n = data.n_columns
    freedom = float(gaussian.leverage(data.r[:, :n]).sum())
    if noise is not None:
        return replace(gaussian, noise=noise, degrees_of_freedom=freedom)
    left = float(np.sqrt(data.residual_norm2(deviations) / max(data.rows - freedom, 1e-9 * data.rows)))
    return replace(gaussian, noise=max(left, 1e-300), degrees_of_freedom=freedom)


def _with_free_energies(given: View, factor: RFactor, regulariser: Regulariser, penalties: Any) -> Any:
    """The penalties (columns,) without those of one-body columns, unless these are penalised too.

    What is left, 1e-16 of the column's square, makes the variance of a combination of them that no composition tells
    very large instead of an error, and changes no other.
    """
    if penalises_all(regulariser) or not given.unpenalised:
        return penalties
    adjusted = np.array(np.broadcast_to(penalties, (factor.n_columns,)), float)
    adjusted[given.unpenalised] = (1e-8 * factor.column_norms()[given.unpenalised]) ** 2
    return adjusted


@dataclass
class Cell:
    """Rows of a kind, source, composition and fold: their number, Σ error² and Σ variance; energies per atom.

    ``shared`` is the number times the squared mean of the errors of energies, NaN where that is not known.
    """

    kind: str
    source: str
    composition: str
    fold: int
    rows: int = 0
    squares: float = 0.0
    variances: float = 0.0
    shared: float = math.nan


def _shared_squares(given: View, group: Group, coefficients: NDArray[np.float64]) -> float:
    """Rows times the squared mean error per atom of the energies of a group, from its factor; NaN where it can't tell.

    The one-body columns add up to the number of atoms in every row, so that their product with the residuals is the sum
    of the errors.
    """
    summaries, factor = given.summaries, given.summaries.groups[group]
    assert isinstance(factor, RFactor)
    columns = [summaries.columns[i] for b in summaries.blocks_in(group) for i in summaries.starts[b]]
    atoms = factor.r[:, one_body_columns(columns)].sum(axis=1)
    if not np.isclose(atoms @ atoms, factor.rows * group.atoms**2, rtol=1e-9, atol=0.0) or group.source == POOLED:
        return math.nan
    layer = given.layer(group, factor)
    residual = factor.r[:, layer.kept] @ coefficients[layer.places] - factor.r @ layer.target
    return float(atoms @ residual) ** 2 / (factor.rows * group.atoms**4)


def _leverage_of(given: View, group: Group, linear: Posterior, fitted: bool = False) -> float:
    """Σ ‖T⁻ᵀa‖² over the unweighted rows of a group; ``fitted``: over these times their own weights."""
    if fitted and group not in given.summaries.fitted:
        return 0.0
    factor = (given.summaries.fitted if fitted else given.summaries.groups)[group]
    assert isinstance(factor, RFactor)
    layer = given.layer(group, factor)
    # below the last free column a triangle has nothing but targets
    last = int(layer.kept.max(initial=-1)) + 1 if factor.is_triangle else len(factor.r)
    rows = np.zeros((last, len(given.kept)))
    rows[:, layer.places] = factor.r[:last, layer.kept]
    return float(linear.leverage(rows).sum())


def held_out_cells(item: tuple[int, RFactor], *, given: View, regulariser: Regulariser) -> list[Cell]:
    """Errors on one fold of the fit to all others, and the variances that this fit promised."""
    fold, training = item
    linear, answer = distribution(without_fold(given, fold), training, regulariser, without=fold)
    assert answer is not None
    groups = [g for g in given.factors if g.fold == fold]
    squares, _ = residual_squares(given, answer.coefficients[:, np.newaxis], groups)
    cells: dict[tuple[str, str, str, int], Cell] = {}
    for group in groups:
        key = (person_kind(group.kind), group.source, group.composition, group.fold)
        cell = cells.setdefault(key, Cell(*key))
        per_atom = 1.0 / max(group.atoms, 1) ** 2
        cell.rows += given.summaries.rows(group)
        cell.squares += per_atom * float(squares[group][0])
        cell.variances += per_atom * linear.noise**2 * _leverage_of(given, group, linear)
        if group.kind == "energy":  # the one group of its cell
            cell.shared = _shared_squares(given, group, answer.coefficients)
    return list(cells.values())


def fitted_noise(cells: Sequence[Cell]) -> KindNoise:
    """Scale² and noise² such that e² / (scale² v + noise²) is 1 on average over the rows, and most likely so.

    Along these pairs, ratio = noise² / scale², the log likelihood of Gaussian errors is looked through. Rows of a cell
    have to do with one another, so a cell counts as one observation, of the weight that its share of the rows gives it;
    log scale² has a prior of variance PRIOR around 0, which decides where the variances are all alike.
    """
    rows = np.array([c.rows for c in cells], float)
    errors = np.array([c.squares for c in cells]) / rows
    variances = np.array([c.variances for c in cells]) / rows
    shares = rows / rows.sum()
    typical = float(shares @ variances)
    total = int(rows.sum())
    within = _within(cells)
    if not typical > 0.0:
        return KindNoise(float(np.sqrt(shares @ errors)), 1.0, total, True, within)

    def scale2(ratio: float) -> float:
        return max(float(shares @ (errors / (variances + ratio))), 1e-300)

    def cost(log_ratio: float) -> float:
        ratio = typical * np.exp(log_ratio)
        log_scale2 = np.log(scale2(ratio))
        return float(len(cells) * (shares @ np.log(variances + ratio) + log_scale2) + log_scale2**2 / PRIOR)

    from scipy.optimize import minimize_scalar  # it takes long to load, and is seldom needed

    limit = np.log(WIDEST)
    # the likelihood may have two maxima: the best of a coarse look is followed up
    coarse = np.linspace(-limit, limit, 57)
    best = int(np.argmin([cost(x) for x in coarse]))
    around = coarse[max(best - 1, 0)], coarse[min(best + 1, len(coarse) - 1)]
    ratio = typical * np.exp(float(minimize_scalar(cost, bounds=around, method="bounded").x))
    scale = np.sqrt(scale2(ratio))
    return KindNoise(float(scale * np.sqrt(ratio)), float(scale), total, True, within)


def _within(cells: Sequence[Cell]) -> float:
    """Standard deviation of errors about the means of their cells; NaN where there are not two sources that say it."""
    known = [c for c in cells if c.rows > 1 and not math.isnan(c.shared)]
    if len({c.source for c in known}) < 2:
        return math.nan
    left = sum(c.squares - c.shared for c in known)
    return math.sqrt(max(left, 0.0) / sum(c.rows - 1 for c in known))


def noise_in_sample(given: View, linear: Posterior, values: NDArray[np.float64]) -> dict[str, KindNoise]:
    """noise² = (Σ r² − Σ variance of rows without weight) / (rows − degrees of freedom that these took)."""
    squares, _ = residual_squares(given, values[:, np.newaxis])
    by_kind = {}
    for kind in kinds_of(given):
        left = free = 0.0
        rows = 0
        for group in (g for g in given.factors if person_kind(g.kind) == kind):
            weight = given.factors[group]
            leverage = _leverage_of(given, group, linear)
            per_atom = 1.0 / max(group.atoms, 1) ** 2
            unseen = linear.noise**2 * leverage if weight == 0.0 else 0.0
            left += per_atom * (float(squares[group][0]) - unseen)
            own = leverage if given.summaries.weighed is None else _leverage_of(given, group, linear, fitted=True)
            free -= weight**2 * own
            rows += given.summaries.rows(group)
        free += rows
        # rows that took as many degrees of freedom as there are say nothing about their noise
        noise = np.sqrt(max(left, 0.0) / free) if free > 1e-9 * rows else np.nan
        by_kind[kind] = KindNoise(float(noise), 1.0, rows, False)
    return by_kind
