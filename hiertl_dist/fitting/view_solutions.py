"""``solve`` and ``path``: fits of a view, and what they leave of each group of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import algebra
from ..algebra import RFactor, penalises_all, regulariser_from_dict
from ..algebra.lasso_path import LassoPath as KnotsOfPath
from ..algebra.lasso_path import lasso_path
from ..algebra.ridge_grid import RidgeGrid as PointsOfGrid
from ..algebra.ridge_grid import ridge_grid
from ..evaluation.frame_rows import widest_ranges
from ..frames.rows import Group
from ..model.basis import cluster_name, split_symbols
from ..model.energy_notes import energy_labels, undetermined_notes
from ..model.frozen import fitted_parameters, wall_of
from ..model.one_body import (
    OpenEnergies,
    energies_against_labels,
    one_body_columns,
    one_body_values,
    undetermined_energies,
)
from ..model.parameters import Parameters, Penalty
from ..model.solution import Solution
from ..model.untold import directions_of
from ..text.display import Shown
from ..text.result_cards import lasso_path_card, ridge_grid_card
from .block_fit import rows_for
from .built_solution import built_solution
from .unlearnt import fits_of_factors, fits_of_frames, unlearnt_notes
from .views import View, combine, factor_of
from .weights import shares_note

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ..algebra import LinearSolution, Regulariser
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
        The summaries have no triangular factors.

    Examples
    --------
    >>> summaries = hiertl_dist.summarise(frames, basis)
    >>> carbon = hiertl_dist.solve(hiertl_dist.view(summaries, blocks=["C"]), {"kind": "ridge", "alpha": 1e-3})
    """
    wanted = as_regulariser(regulariser)
    factor = combine(given)
    (linear,) = solved(given, factor, [wanted], rows_for(wanted, factor, given.counted))
    return solution_of(given, linear, wanted, penalty=penalty, name=name, frames=frames)


def solved(given: View, factor: RFactor, regularisers: Sequence[Regulariser], counted: float) -> list[LinearSolution]:
    """The answers of :func:`~hiertl_dist.algebra.solve_all` to a factor of a view's rows, or of some of them.

    One-body coefficients are those above ``given.zeros``, whether they are penalised, which acts on the whole, or not.
    """
    found: dict[int, LinearSolution] = {}
    for whole in (False, True):
        own = [i for i, r in enumerate(regularisers) if penalises_all(r) == whole]
        if not own:
            continue
        rows = _with_zeros(given, factor) if whole else factor
        answers = algebra.solve_all(rows, [regularisers[i] for i in own], counted, given.unpenalised)
        if whole:
            answers = [replace(a, coefficients=a.coefficients - given.zeros) for a in answers]
        found |= zip(own, answers, strict=True)
    return [found[i] for i in range(len(regularisers))]


def _with_zeros(given: View, factor: RFactor) -> RFactor:
    """A factor of a view's rows whose target is the labels' energies and not those above the zeros."""
    r = np.array(factor.r, order="F")
    r[:, -1] += r[:, :-1] @ given.zeros
    return replace(factor, r=r)


def as_regulariser(given: Regulariser | Mapping[str, Any]) -> Regulariser:
    """A regulariser, from its table if need be."""
    return regulariser_from_dict(dict(given)) if isinstance(given, Mapping) else given


def solution_of(
    given: View, linear: LinearSolution, regulariser: Regulariser, *, penalty: Penalty | None = None, name: str = "",
    frames: Sequence[Frame] = (),
) -> Solution:  # fmt: skip
    """What :func:`solve` makes of the linear problem's answer."""
    squares, targets = residual_squares(given, linear.coefficients[:, np.newaxis])
    sums = {g: (given.summaries.rows(g), targets[g], float(squares[g][0])) for g in given.factors}
    elements = [given.columns[i].elements[0] for i in given.unpenalised]
    apart = undetermined_energies(elements, OpenEnergies(), linear.undetermined, {})
    parameters = parameters_of_fit(given, linear.coefficients, penalty=penalty, name=name, unknown=apart.alone())
    partly = apart.without(apart.alone())
    parameters = replace(parameters, untold=directions_of(partly.elements, partly.directions))
    frozen = (*given.summaries.frozen, *given.frozen)
    said = shares_note(targets, given.factors)
    automatic = said if given.automatic is None else (given.automatic.text(), *given.automatic.notes)
    notes = (*given.notes, *undetermined_notes(apart, block_name(given), energy_labels(given.factors)), *automatic)
    if frames:
        notes = (*energies_against_labels(frames, given.energies, frozen, elements, block_name(given)), *notes)
    notes = (*_unlearnt(given, {g: float(s[0]) for g, s in squares.items()}, frames), *notes)
    return built_solution(
        parameters, linear, sums, name=name or block_name(given), blocks=given.blocks, frozen=frozen,
        regulariser=regulariser, weights=given.weights, objective=given.objective,
        notes=(*given.summaries.notes, *notes, *linear.notes),
    )  # fmt: skip


def _unlearnt(given: View, squares: Mapping[Group, float], frames: Sequence[Frame]) -> tuple[str, ...]:
    """Warnings of kinds of labels that a fit has not learned."""
    used = {g: s for g, s in squares.items() if given.factors[g] > 0.0}
    rows = {g: given.summaries.rows(g) for g in used}
    weights = None if given.automatic is None else given.automatic.weights
    if frames:
        return unlearnt_notes(fits_of_frames(frames, used, rows), weights, block_name(given))
    factors = {}
    for group in used:
        factor = factor_of(given, group)
        n = factor.n_columns
        starts, blocks = given.summaries.starts, given.summaries.blocks_in(group)
        columns = [given.summaries.columns[i] for b in blocks for i in starts[b]]
        counting = [i for i in one_body_columns(columns) if factor.r[:, i].any()]
        factors[group] = factor.r[:, : n + 1], counting[0] if counting else -1
    return unlearnt_notes(fits_of_factors(factors, used, rows), weights, block_name(given))


def block_name(given: View) -> str:
    """The elements of a view's blocks together."""
    return cluster_name(frozenset().union(*(split_symbols(b) for b in given.blocks)))


def parameters_of_fit(
    given: View, coefficients: NDArray[np.float64], *, penalty: Penalty | None = None, name: str = "",
    unknown: Sequence[str] = (),
) -> Parameters:  # fmt: skip
    """Coefficients (columns,) of a view, of energies those above its zeros, as parameters, with the distances that they
    were fitted on; without the energies of ``unknown`` elements."""
    used = {cluster_name(g.elements) if g.elements else "" for g in given.factors}
    everywhere = widest_ranges(r for s, r in given.summaries.ranges.items() if s in used)
    coverage = {key: span for key, span in everywhere.items() if key.partition(":")[0] in given.blocks}
    wall = wall_of(penalty, (*given.summaries.frozen, *given.frozen))
    source = f"fit of {name or block_name(given)}"
    ones = [t for t in given.summaries.basis.types if t.body == 1]
    held = one_body_values((*given.summaries.frozen, *given.frozen))
    here = {e for g in given.factors for e in g.elements} | {e for b in given.blocks for e in split_symbols(b)}
    energies = {e: x for e, x in given.energies.items() if e in here and e not in held}
    whole = coefficients + given.zeros
    energies |= {given.columns[i].elements[0]: float(whole[i]) for i in given.unpenalised}
    energies = {e: x for e, x in energies.items() if e not in unknown}
    more = [t for t in ones if t.elements[0] in energies and t not in given.basis.types]
    basis = given.basis.with_types((*given.basis.types, *more))
    return fitted_parameters(basis, given.columns, whole, energies, wall, coverage, source)


def residual_squares(
    given: View, coefficients: NDArray[np.float64], groups: Iterable[Group] | None = None
) -> tuple[dict[Group, NDArray[np.float64]], dict[Group, float]]:
    """By group, ‖A c − b‖² of its unweighted rows for each of some models, and ‖b‖², frozen models subtracted.

    Parameters
    ----------
    coefficients : (columns, models) of the free columns.
    groups : default: all of the view; others of the same summaries may be asked for too.
    """
    squares, targets = {}, {}
    for group in given.factors if groups is None else groups:
        factor = factor_of(given, group)
        layer = given.layer(group, factor)
        target = factor.r @ layer.target
        left = target[:, np.newaxis] - factor.r[:, layer.kept] @ coefficients[layer.places]
        squares[group] = np.einsum("ij,ij->j", left, left)
        targets[group] = float(target @ target)
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
    >>> found = hiertl_dist.path(given, lam_min=1e-3)
    >>> coefficients = found.coefficients[found.best("bic")]
    """
    whole = bool(options.pop("penalise_one_body", False))
    free = [] if whole else given.unpenalised
    factor = combine(given)
    rows = _with_zeros(given, factor) if whole else factor
    found: LassoPath | RidgeGrid
    if kind == "lasso":
        found = LassoPath(**vars(lasso_path(rows, given.counted, unpenalised=free, **options)))
    elif kind == "ridge":
        found = RidgeGrid(**vars(ridge_grid(rows, unpenalised=free, **options)))
    else:
        raise ValueError(f"path: expected 'lasso' or 'ridge', found {kind!r}")
    return found if whole else replace(found, coefficients=found.coefficients + given.zeros)
