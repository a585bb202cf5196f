"""``solve`` and ``path``: fits of a view, and what they leave of each group of rows.

There is no other road from rows to coefficients: ``fit_block`` solves a view of what it has reduced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import algebra
from ..algebra import ARD, BayesianRidge, RFactor, penalises_all, regulariser_from_dict, regulariser_to_dict
from ..algebra.lasso_path import LassoPath as KnotsOfPath
from ..algebra.lasso_path import lasso_path
from ..algebra.ridge_grid import RidgeGrid as PointsOfGrid
from ..algebra.ridge_grid import ridge_grid
from ..algebra.stacking import residuals
from ..errors import InputError
from ..evaluation.frame_rows import widest_ranges
from ..frames.element_set import ElementSet
from ..frames.rows import Group
from ..model.energy_notes import energy_labels, fitted_notes, undetermined_notes
from ..model.frozen import fitted_parameters, wall_of
from ..model.missing_types import counted_clusters, left_out_types
from ..model.one_body import (
    OpenEnergies,
    energies_against_labels,
    one_body_columns,
    undetermined_energies,
)
from ..model.parameters import Parameters, Penalty
from ..model.solution import Solution
from ..model.undetermined import directions_of
from ..text.display import Shown
from ..text.result_cards import lasso_path_card, ridge_grid_card
from .built_solution import built_solution
from .settings import A_TABLE
from .unfitted_labels import fits_of_factors, fits_of_frames, unfitted_notes
from .view_priors import notes_of_evidence
from .views import View, combine, combined_factor, fitted_squares
from .weights import shares_note

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ..algebra import LinearSolution, Regulariser, Summary
    from ..algebra.lapack import Matrix
    from ..frames.frame import Frame


def solve(
    given: View, regulariser: Regulariser | Mapping[str, Any], *, penalty: Penalty | None = None, name: str = "",
    frames: Sequence[Frame] = (),
) -> Solution:  # fmt: skip
    """Fit a view; what is minimised for each regulariser is in section 7 of docs/theory.md.

    Parameters
    ----------
    given : View
        What to fit.
    regulariser : Mapping from str to object, or a regulariser
        Such as ``{"kind": "ridge", "alpha": 1e-3}``, see :func:`~hiertl_dist.algebra.regulariser_from_dict`.
    penalty : Penalty, optional
        The wall of the fitted blocks; default: that of the frozen models, else ChIMES's default.
    name : str
        Of the solution; default: the elements of its blocks.
    frames : Sequence of Frame
        Of the view, where they are at hand: its notes then warn as those of a fit, which a view can't of all, for it
        doesn't know their labels.

    Returns
    -------
    Solution
        Coefficients of the free blocks, and residuals of each group of rows.

    Raises
    ------
    ConvergenceError, ValueError
        As of :func:`hiertl_dist.algebra.solve`.
    MismatchError
        Frozen models have different walls.
    InputError
        The summaries have normal equations, and models are frozen or one-body columns penalised.

    Examples
    --------
    >>> summaries = hiertl_dist.summarise(frames, basis)
    >>> carbon = hiertl_dist.solve(hiertl_dist.view(summaries, blocks=["C"]), {"kind": "ridge", "alpha": 1e-3})
    """
    wanted = as_regulariser(regulariser)
    return solution_of(given, solved_whole(given, wanted), wanted, penalty=penalty, name=name, frames=frames)


def solved_whole(given: View, regulariser: Regulariser) -> LinearSolution:
    """The answer to all weighted rows of a view; see :func:`solved`."""
    rows = combine(given)
    (answer,) = solved(given, rows, [regulariser], rows_for(regulariser, rows, given.counted))
    return answer


def rows_for(regulariser: Regulariser, summary: Summary, counted: float) -> float:
    """N of a regulariser: the rows that the objective counts; evidence counts each row of weight above 0 once."""
    return float(summary.rows) if isinstance(regulariser, BayesianRidge | ARD) else counted


def solved(
    given: View, rows: Summary, regularisers: Sequence[Regulariser], counted: float, held: Matrix | None = None
) -> list[LinearSolution]:
    """The answers of :func:`~hiertl_dist.algebra.solve_all` to the summary of a view's rows, or of some of them.

    One-body coefficients are those above ``given.zeros``, whether they are penalised, which acts on the whole, or not.
    Penalties act on the deviation from the mean of the view's prior, in units of its standard deviations. ``held`` are
    rows of probes, a part of the prior, among ``rows``.
    """
    if given.deviation is not None:
        plain, own = replace(given, deviation=None), given.deviation
        answers = solved(plain, own.scaled(rows), regularisers, counted, own.held())
        return [given.deviation.solution(a) for a in answers]
    by_place: dict[int, LinearSolution] = {}
    for whole in (False, True):
        places = [i for i, r in enumerate(regularisers) if penalises_all(r) == whole]
        if not places:
            continue
        chosen = [regularisers[i] for i in places]
        if whole and given.zeros.any():
            if not isinstance(rows, RFactor):
                raise InputError(f"penalise_one_body: expected triangular factors (method rfactor), found {rows.kind}")
            answers = algebra.solve_all(_with_zeros(given, rows), chosen, counted, given.unpenalised, held=held)
            answers = [replace(a, coefficients=a.coefficients - given.zeros) for a in answers]
        else:
            answers = algebra.solve_all(rows, chosen, counted, given.unpenalised, held=held)
        by_place |= zip(places, answers, strict=True)
    return [by_place[i] for i in range(len(regularisers))]


def _with_zeros(given: View, rows: RFactor) -> RFactor:
    """The factor of a view's rows whose target is the labels' energies and not those above the zeros."""
    r = np.array(rows.r, order="F")
    r[:, -1] += r[:, :-1] @ given.zeros
    return replace(rows, r=r)


def as_regulariser(given: Regulariser | Mapping[str, Any]) -> Regulariser:
    """A regulariser, from its table if need be. Raises InputError for a text, which says no strength."""
    if isinstance(given, str):
        raise InputError(f"regulariser: {A_TABLE}, found {given!r}")
    return regulariser_from_dict(dict(given)) if isinstance(given, Mapping) else given


def solution_of(
    given: View, linear: LinearSolution, regulariser: Regulariser, *, penalty: Penalty | None = None, name: str = "",
    frames: Sequence[Frame] = (), frozen: Sequence[Parameters] | None = None,
) -> Solution:  # fmt: skip
    """What :func:`solve` makes of the linear problem's answer.

    Parameters
    ----------
    given : View
        What was fitted.
    linear : LinearSolution
        The answer, of energies what is above ``given.zeros``.
    regulariser : Regulariser
        That it was found with.
    penalty : Penalty, optional
        As of :func:`solve`.
    name : str
        As of :func:`solve`.
    frames : Sequence of Frame
        As of :func:`solve`.
    frozen : Sequence of Parameters, optional
        The models that are frozen, as they were given; default: those of the view and its summaries.

    Returns
    -------
    Solution
        As of :func:`solve`.
    """
    frozen = (*given.summaries.frozen, *given.frozen) if frozen is None else frozen
    squares, targets = residual_squares(given, linear.coefficients[:, np.newaxis])
    sums = {g: (given.summaries.rows(g), targets[g], float(squares[g][0])) for g in given.factors}
    energies, still = energies_of(given, linear)
    alone, where = still.alone(), name or block_name(given)
    parameters = _parameters(given, linear.coefficients, energies, wall_of(penalty, frozen), name)
    partly = still.without(alone)
    parameters = replace(parameters, undetermined=directions_of(partly.elements, partly.directions))
    stated = dict(given.summaries.basis.energies)
    fitted = {e for i in given.unpenalised for e in given.columns[i].elements}
    notes = (
        *_unfitted(given, {g: float(s[0]) for g, s in squares.items()}, frames, where),
        *given.summaries.notes,
        *energies_against_labels(frames, stated, frozen, fitted, f"block {where}"),
        *given.notes,
        *fitted_notes([e for e in given.summaries.energies.open.elements if e not in alone]),
        *undetermined_notes(still, where, energy_labels(given.factors)),
        *_weights_notes(given, targets, regulariser),
        *notes_of_evidence(given, linear.hyperparameters),
        *linear.notes,
    )
    if given.automatic is not None:
        linear = replace(linear, hyperparameters={**linear.hyperparameters, **given.automatic.hyperparameters()})
    built = built_solution(
        parameters, linear, sums, name=where, blocks=given.blocks, frozen=frozen, regulariser=regulariser,
        weights=given.weights, objective=given.objective, notes=notes,
    )  # fmt: skip
    prior = {} if given.prior.is_flat else given.prior.as_dict()
    return replace(built, prior=prior, row_weights=given.summaries.row_weights)


def _weights_notes(given: View, targets: Mapping[Group, float], regulariser: Regulariser) -> tuple[str, ...]:
    automatic = given.automatic
    if automatic is None:
        return shares_note(fitted_squares(given, targets), given.factors)
    own = regulariser_to_dict(regulariser)
    if automatic.regulariser in (None, own):
        return (automatic.text(), *automatic.notes)
    other = f"the weights by evidence are those of the regulariser {automatic.regulariser}, the fit is with {own}"
    return (automatic.text(), *automatic.notes, other)


def energies_of(given: View, linear: LinearSolution) -> tuple[dict[str, float], OpenEnergies]:
    """One-body energies, kcal/mol by element, that a solve of a view says, and those that it leaves open."""
    before = given.summaries.energies.open
    energies = _energies(given, linear.coefficients)
    fitted = [given.columns[i].elements[0] for i in given.unpenalised if i < given.own]
    still = undetermined_energies(fitted, before, linear.undetermined, energies)
    unknown = set(still.alone())
    return {e: x for e, x in energies.items() if e not in unknown}, still


def _energies(given: View, coefficients: NDArray[np.float64]) -> dict[str, float]:
    """One-body energies, kcal/mol by element: those fitted, those that lower blocks left open, and those given."""
    before, zeros = given.summaries.energies.open, given.summaries.energies.zeros
    whole = coefficients + given.zeros
    energies = {given.columns[i].elements[0]: float(whole[i]) for i in given.unpenalised if i < given.own}
    moved = before.directions @ coefficients[given.own :]
    energies |= {e: zeros.get(e, 0.0) + float(x) for e, x in zip(before.elements, moved, strict=True)}
    return {**energies, **given.energies}


def _squares_of_labels(summary: Summary) -> float:
    """The sum of the squares of the labels of a group, what frozen models say of them included."""
    return summary.offset([1.0] + [0.0] * (summary.n_targets - 1)).target_norm2()


def _unfitted(given: View, squares: Mapping[Group, float], frames: Sequence[Frame], where: str) -> tuple[str, ...]:
    """Warnings of kinds of labels that a fit has not learned."""
    used = {g: s for g, s in squares.items() if given.factors[g] > 0.0}
    rows = {g: given.summaries.rows(g) for g in used}
    weights = None if given.automatic is None else given.automatic.weights
    if frames:
        labels = {g: _squares_of_labels(given.summaries.groups[g]) for g in used if g.kind == "force"}
        fits = fits_of_frames(frames, used, rows, labels, given.summaries.pooled)
        return unfitted_notes(fits, weights, where)
    factors = {}
    for group in used:
        factor = given.summaries.groups[group]
        n = factor.n_columns
        if not isinstance(factor, RFactor):  # the labels' squares are all that is asked of it
            length = np.sqrt(factor.target_norm2())
            factors[group] = np.array([[length]]), -1
            continue
        starts, blocks = given.summaries.starts, given.summaries.blocks_in(group)
        columns = [given.summaries.columns[i] for b in blocks for i in starts[b]]
        counting = [i for i in one_body_columns(columns) if factor.r[:, i].any()]
        factors[group] = factor.r[:, : n + 1], counting[0] if counting else -1
    return unfitted_notes(fits_of_factors(factors, used, rows), weights, where)


def block_name(given: View) -> str:
    """The elements of a view's blocks together."""
    return ElementSet.union(given.blocks)


def parameters_of_fit(
    given: View, coefficients: NDArray[np.float64], *, penalty: Penalty | None = None, name: str = ""
) -> Parameters:
    """Coefficients (columns,) of a view, of energies those above its zeros, as parameters.

    They have the distances that they were fitted on.
    """
    wall = wall_of(penalty, (*given.summaries.frozen, *given.frozen))
    return _parameters(given, coefficients, _energies(given, coefficients), wall, name)


def _parameters(
    given: View, coefficients: NDArray[np.float64], energies: Mapping[str, float], wall: Penalty, name: str
) -> Parameters:
    used = {ElementSet.of(g.elements) for g in given.factors if g.elements}
    ranges = given.summaries.ranges
    everywhere = widest_ranges(r for s, r in ranges.items() if s in used or not used)
    coverage = {key: span for key, span in everywhere.items() if key.partition(":")[0] in given.blocks}
    ones = [t for t in given.summaries.basis.types if t.body == 1]
    more = [t for t in ones if t.elements[0] in energies and t not in given.basis.types]
    basis = given.basis.with_types((*given.basis.types, *more))
    source = f"fit of {name or block_name(given)}"
    values = coefficients + given.zeros
    own = {c.elements for c, value in zip(given.columns, values, strict=True) if value and len(c.elements) > 1}
    lower = own | counted_clusters((*given.summaries.frozen, *given.frozen))
    among = ElementSet.union(given.blocks).elements
    out = left_out_types(given.summaries.basis, given.basis, given.blocks, among, lower)
    return fitted_parameters(basis, given.columns, values, energies, wall, coverage, source, out)


def residual_squares(
    given: View, coefficients: NDArray[np.float64], groups: Iterable[Group] | None = None
) -> tuple[dict[Group, NDArray[np.float64]], dict[Group, float]]:
    """By group, ‖A c − b‖² of its unweighted rows for each of some models, and ‖b‖², frozen models subtracted.

    Parameters
    ----------
    given : View
        Whose rows are meant.
    coefficients : ndarray of shape (columns, models)
        Of the free columns.
    groups : Iterable of Group, optional
        Default: all of the view; others of the same summaries may be asked for too.
    """
    squares, targets = {}, {}
    for group in given.factors if groups is None else groups:
        squares[group], targets[group] = residuals(given.layer(group, given.summaries.groups[group]), coefficients)
    return squares, targets


@dataclass(frozen=True, eq=False, repr=False)
class LassoPath(Shown, KnotsOfPath, card=lasso_path_card):
    """A :class:`~hiertl_dist.algebra.lasso_path.LassoPath` of a view, as :func:`path` gives it."""


@dataclass(frozen=True, eq=False, repr=False)
class RidgeGrid(Shown, PointsOfGrid, card=ridge_grid_card):
    """A :class:`~hiertl_dist.algebra.ridge_grid.RidgeGrid` of a view, as :func:`path` gives it."""


def path(given: View, kind: str = "lasso", **options: Any) -> LassoPath | RidgeGrid:
    """All solutions of a family at once.

    Parameters
    ----------
    given : View
        What to fit.
    kind : {"lasso", "ridge"}
        The whole path down to ``lam_min``, see :func:`~hiertl_dist.algebra.lasso_path.lasso_path`; or a grid of
        ``alphas``, see :func:`~hiertl_dist.algebra.ridge_grid.ridge_grid`.
    **options : object
        Of these; ``penalise_one_body``: penalise one-body columns as well, as chimes_lsq does.

    Returns
    -------
    LassoPath or RidgeGrid
        Coefficients (points, columns), kcal/mol, in the order of ``given.columns``, residuals, and what chooses among
        the points: AIC and BIC with ``best("bic")`` and exact solutions in between with ``at(lam)``; or GCV with
        ``best``.

    Raises
    ------
    ValueError
        Another kind, or options that are out of range.
    ConvergenceError
        The path is exact down to a λ that it names.

    Examples
    --------
    >>> lasso = hiertl_dist.path(given, lam_min=1e-3)
    >>> coefficients = lasso.coefficients[lasso.best("bic")]
    """
    whole = bool(options.pop("penalise_one_body", False))
    free = [] if whole else given.unpenalised
    rows, held = combined_factor(given), None
    if given.deviation is not None:
        rows, held = given.deviation.scaled(rows), given.deviation.held()
    rows = _with_zeros(given, rows) if whole else rows
    solutions: LassoPath | RidgeGrid
    if kind == "lasso":
        solutions = LassoPath(**vars(lasso_path(rows, given.counted, unpenalised=free, held=held, **options)))
    elif kind == "ridge":
        solutions = RidgeGrid(**vars(ridge_grid(rows, unpenalised=free, held=held, **options)))
    else:
        raise InputError(f"path: expected 'lasso' or 'ridge', found {kind!r}")
    coefficients = solutions.coefficients
    if given.deviation is not None:
        coefficients = given.deviation.mean + given.deviation.scale * coefficients
    return replace(solutions, coefficients=coefficients if whole else coefficients + given.zeros)
