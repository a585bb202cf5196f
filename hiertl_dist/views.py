"""``view``: which columns, weights and groups of kept-apart summaries make a fit; ``solve`` and ``path`` fit it.

Nothing here reads a row: a view is made of the groups' factors alone. Columns that are left out and frozen are taken
from each factor, which are then made triangular together anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from . import algebra
from .algebra import RFactor, regulariser_from_dict, regulariser_to_dict
from .algebra.lasso_path import LassoPath, lasso_path
from .algebra.ridge_grid import RidgeGrid, ridge_grid
from .algebra.stacking import Layer, stack
from .basis import Basis, cluster_name, split_symbols
from .blocks import blocks_of, columns_of
from .errors import InputError
from .parameters import Parameters, Penalty
from .reduction import Summaries, check_weights, row_weights
from .rows import OBJECTIVES, Group
from .solution import GroupResidual, Solution
from .solving import check_frozen, fitted_parameters, rows_for, wall_of
from .sub_basis import lower_basis
from .tiles import widest_ranges

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from .algebra import LinearSolution, Regulariser
    from .blocks import Columns


@dataclass(frozen=True, eq=False)
class View:
    """A fit that can be made of summaries: see :func:`view`.

    Attributes
    ----------
    basis : types and orders of the free columns; blocks : their blocks.
    kept : (columns,) indices of the free columns among those of the summaries.
    frozen : models whose columns are taken from the target.
    weights : of groups' rows as given; factors : by group, what its rows are multiplied by. Groups that the view leaves
        out are in neither.
    """

    summaries: Summaries
    basis: Basis
    blocks: tuple[str, ...]
    kept: NDArray[np.intp]
    frozen: tuple[Parameters, ...]
    weights: Mapping[str, float]
    objective: str
    factors: Mapping[Group, float]

    @property
    def columns(self) -> Columns:
        """Labels of the free columns."""
        return columns_of(self.basis, self.blocks)

    @cached_property
    def counted(self) -> int:
        """N: the rows that the objective counts, whatever their weights."""
        counts = OBJECTIVES[self.objective]
        return sum(counts.count(g.kind) * self.summaries.rows(g) for g in self.factors)

    def layer(self, group: Group, factor: RFactor, weight: float = 1.0) -> Layer:
        """How a factor with a group's columns becomes a part of the view."""
        kept, places, frozen = self._places(self.summaries.blocks_in(group))
        target = np.zeros(factor.width)
        target[: len(frozen)] = -frozen
        target[len(frozen)] = 1.0
        target[len(frozen) + 1 :] = -1.0
        return Layer(factor, kept, places, target, weight)

    @cached_property
    def _frozen_values(self) -> NDArray[np.float64]:
        """(all columns,) what frozen models say of each column of the summaries."""
        values = np.zeros(len(self.summaries.columns))
        own = {c: i for i, c in enumerate(self.summaries.columns)}
        for model in self.frozen:
            for column, value in model.as_dict().items():
                values[own[column]] = value  # type: ignore[index]  # a Column is such a tuple
        return values

    @cached_property
    def _known_places(self) -> dict[tuple[str, ...], tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]]:
        return {}

    def _places(
        self, blocks: tuple[str, ...]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """Of a factor with the columns of some blocks: indices of free ones, their places here, frozen values."""
        if blocks not in self._known_places:
            own = np.concatenate([np.empty(0, np.intp), *(np.array(self.summaries.starts[b], np.intp) for b in blocks)])
            place = np.full(len(self.summaries.columns), -1, np.intp)
            place[self.kept] = np.arange(len(self.kept))
            here = np.flatnonzero(place[own] >= 0)
            self._known_places[blocks] = here, place[own][here], self._frozen_values[own]
        return self._known_places[blocks]


def view(
    summaries: Summaries,
    *,
    blocks: Sequence[str] | None = None,
    orders: Any = None,
    exclude: Sequence[str] = (),
    frozen: Sequence[Parameters | Solution] = (),
    sets: Sequence[str] | None = None,
    without: Sequence[str] = (),
    folds: Collection[int] | None = None,
    weights: Mapping[str, float] | None = None,
    objective: str = "lsq",
) -> View:
    """Choose what to fit.

    Parameters
    ----------
    blocks : that are free; default: all that are not frozen. A block that is neither is absent.
    orders : lower orders, ``[n2, n3, n4]`` as PAIRTYP has them for every block, or a table by block
        (``{"CN": [12, 5, 3]}``) or by cluster type (``{"CCN": 4}``); what is not named keeps its order.
    exclude : cluster types (``"CCCN"``) or all of some number of atoms (``"4B"``) that are left out.
    frozen : models whose contribution is subtracted; of the summaries' blocks, of any lower order.
    sets : element sets whose frames are used. Default: for one block frames of exactly its elements, for several frames
        that have all elements of one of them, and no others than theirs.
    without : patterns of sources or compositions that are left out.
    folds : numbers of the folds that are used; default: all.
    weights : by kind, source, composition, ``source/kind`` or ``composition/kind``; they multiply rows, so the
        objective holds their squares.
    objective : ``lsq`` (chimes_lsq's counting) or ``plain``.

    Raises
    ------
    InputError
        Something that is named is not there, an order above that of the summaries, or nothing is left.
    MismatchError
        A frozen model does not fit the basis.
    """
    held_fast = [f.parameters if isinstance(f, Solution) else f for f in frozen]
    sets, exclude, without = _listed(sets), _listed(exclude) or (), _listed(without) or ()
    held = {t.block for f in held_fast for t in f.basis.types}
    free = blocks_of(summaries.basis, [b for b in summaries.blocks if b not in held] if blocks is None else blocks)
    names = tuple(b.name for b in free)
    if lacking := sorted(set(names) - set(summaries.blocks)):
        raise InputError(f"blocks: the summaries have {', '.join(summaries.blocks)}, not {', '.join(lacking)}")
    check_frozen(summaries.basis, names, held_fast)
    _check_held(summaries, held_fast)
    basis = lower_basis(summaries.basis, names, orders, exclude)
    own = {c: i for i, c in enumerate(summaries.columns)}
    names = tuple(b for b in names if any(t.block == b for t in basis.types))
    kept = np.array([own[c] for c in columns_of(basis, names)], np.intp)
    used = free_sets(summaries, [b.elements for b in free if b.name in names], sets)
    groups = _choose_groups(summaries, used, without, folds)
    check_weights(groups, weights or {})
    factors = row_weights(groups, weights or {}, objective)
    if not any(factors.values()):
        raise InputError("weights: no group of rows has a weight above zero")
    return View(summaries, basis, names, kept, tuple(held_fast), dict(weights or {}), objective, factors)


def _listed(given: Sequence[str] | None) -> Sequence[str] | None:
    """One name given as a text is a list of one, and not of its letters."""
    return [given] if isinstance(given, str) else given


def _check_held(summaries: Summaries, frozen: Sequence[Parameters]) -> None:
    """Raise InputError where the summaries lack columns that a frozen model has."""
    for model in frozen:
        if beyond := sorted({t.block for t in model.basis.types} - set(summaries.blocks)):
            raise InputError(
                f"frozen: the summaries have {', '.join(summaries.blocks)}, not {', '.join(beyond)}; models of other "
                "blocks are frozen when rows are summarised"
            )
        if gone := [t.name for t in model.basis.types if summaries.basis.type_named(t.elements) is None]:
            raise InputError(
                f"frozen: {model.source} has {', '.join(gone)} terms, which the summaries leave out; freeze it when "
                "rows are summarised"
            )


def free_sets(
    summaries: Summaries, free: Sequence[tuple[str, ...]], sets: Sequence[str] | None
) -> frozenset[frozenset[str]]:
    """The element sets whose frames a fit of some blocks uses; see :func:`view`."""
    known = {g.elements for g in summaries.groups}
    if sets is not None:
        wanted = {frozenset(split_symbols(s)) for s in sets}
        if gone := sorted(cluster_name(s) for s in wanted - known):
            have = sorted(cluster_name(s) for s in known)
            raise InputError(f"sets: no frames of exactly {', '.join(gone)}; there are {', '.join(have)}")
        return frozenset(wanted)
    elements = frozenset().union(*free)
    if len(free) == 1 and elements in known:
        return frozenset({elements})
    # what has no free column would only be counted
    return frozenset(s for s in known if s <= elements and (not s or any(s >= set(own) for own in free)))


def _choose_groups(
    summaries: Summaries, sets: Collection[frozenset[str]], without: Sequence[str], folds: Collection[int] | None
) -> list[Group]:
    there = {g.fold for g in summaries.groups}
    if folds is not None and not set(folds) <= there:
        raise InputError(f"folds: expected some of {sorted(there)}, found {sorted(folds)}")
    for pattern in without:
        if not any(fnmatchcase(n, pattern) for g in summaries.groups for n in (g.source, g.composition)):
            raise InputError(f"without: {pattern!r} matches no source or composition")
    chosen = [
        # sorted, so that summaries in memory and in a store give the same bits
        g for g in sorted(summaries.groups)
        if g.elements in sets and (folds is None or g.fold in folds)
        and not any(fnmatchcase(n, p) for p in without for n in (g.source, g.composition))
    ]  # fmt: skip
    if not chosen:
        raise InputError("no group of rows is left to fit")
    return chosen


def combine(given: View) -> RFactor:
    """The factor of all weighted rows of a view: its free columns, and as target what frozen models leave of it."""
    used = [(g, w) for g, w in given.factors.items() if w > 0.0]
    return stack((given.layer(g, _factor(given, g), w) for g, w in used), len(given.kept))


def _factor(given: View, group: Group) -> RFactor:
    found = given.summaries.groups[group]
    if not isinstance(found, RFactor):
        raise InputError(f"group {group.name}: views need triangular factors (method rfactor), found {found.kind}")
    return found


def solve(
    given: View, regulariser: Regulariser | Mapping[str, Any], *, penalty: Penalty | None = None, name: str = ""
) -> Solution:
    """Fit a view.

    Parameters
    ----------
    regulariser : such as ``{"kind": "ridge", "alpha": 1e-3}``.
    penalty : the wall of the fitted blocks; default: that of the frozen models, else ChIMES's default.
    name : of the solution; default: the elements of its blocks.

    Raises
    ------
    ConvergenceError, ValueError, MismatchError
        As of :func:`~hiertl_dist.algebra.solve`, and where frozen models have different walls.
    """
    wanted = as_regulariser(regulariser)
    factor = combine(given)
    linear = algebra.solve(factor, wanted, rows_for(wanted, factor, given.counted))
    return solution_of(given, linear, wanted, penalty=penalty, name=name)


def as_regulariser(given: Regulariser | Mapping[str, Any]) -> Regulariser:
    """A regulariser, from its table if need be."""
    return regulariser_from_dict(dict(given)) if isinstance(given, Mapping) else given


def solution_of(
    given: View, linear: LinearSolution, regulariser: Regulariser, *, penalty: Penalty | None = None, name: str = ""
) -> Solution:
    """What :func:`solve` makes of the linear problem's answer."""
    squares, targets = residual_squares(given, linear.coefficients[:, np.newaxis])
    counts = OBJECTIVES[given.objective]
    residuals: dict[str, list[float]] = {}
    total = 0.0
    for group in given.factors:
        sums = residuals.setdefault(group.name, [0.0, 0.0, 0.0])
        for i, value in enumerate((given.summaries.rows(group), targets[group], float(squares[group][0]))):
            sums[i] += value
        total += counts.count(group.kind) * float(squares[group][0])
    by_name = {
        n: GroupResidual(int(rows), float(np.sqrt(before / max(rows, 1))), float(np.sqrt(after / max(rows, 1))))
        for n, (rows, before, after) in residuals.items()
    }
    parameters = parameters_of_fit(given, linear.coefficients, penalty=penalty, name=name)
    frozen = (*given.summaries.frozen, *given.frozen)
    return Solution(
        parameters, name or block_name(given), given.blocks, {f.source: f.digest for f in frozen},
        regulariser_to_dict(regulariser), dict(given.weights),
        given.objective, linear.method, linear.rank, linear.condition, linear.nonzeros,
        given.counted, float(np.sqrt(total / max(given.counted, 1))), by_name,
        (*given.summaries.notes, *linear.notes), linear.hyperparameters,
    )  # fmt: skip


def block_name(given: View) -> str:
    """The elements of a view's blocks."""
    return cluster_name(frozenset().union(*(split_symbols(b) for b in given.blocks)))


def parameters_of_fit(
    given: View, coefficients: NDArray[np.float64], *, penalty: Penalty | None = None, name: str = ""
) -> Parameters:
    """Coefficients (columns,) of a view as parameters, with the distances that they were fitted on."""
    used = {cluster_name(g.elements) if g.elements else "" for g in given.factors}
    everywhere = widest_ranges(r for s, r in given.summaries.ranges.items() if s in used)
    coverage = {key: span for key, span in everywhere.items() if key.partition(":")[0] in given.blocks}
    wall = wall_of(penalty, (*given.summaries.frozen, *given.frozen))
    source = f"fit of {name or block_name(given)}"
    return fitted_parameters(given.basis, given.columns, coefficients, wall, coverage, source)



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
        factor = _factor(given, group)
        layer = given.layer(group, factor)
        target = factor.r @ layer.target
        left = target[:, np.newaxis] - factor.r[:, layer.kept] @ coefficients[layer.places]
        squares[group] = np.einsum("ij,ij->j", left, left)
        targets[group] = float(target @ target)
    return squares, targets


def path(given: View, kind: str = "lasso", **options: Any) -> LassoPath | RidgeGrid:
    """All solutions of a family at once.

    Parameters
    ----------
    kind : ``"lasso"``: the whole path down to ``lam_min``, see :func:`~hiertl_dist.algebra.lasso_path.lasso_path`;
        ``"ridge"``: a grid of ``alphas``, see :func:`~hiertl_dist.algebra.ridge_grid.ridge_grid`.

    Returns
    -------
    Coefficients (points, columns) in the order of ``given.columns``, residuals, and what chooses among the points: AIC
    and BIC with ``best("bic")`` and exact solutions in between with ``at(lam)``; or GCV with ``best``.

    Raises
    ------
    ValueError
        Another kind, or options that are out of range. ConvergenceError: the path is exact down to a λ that it names.
    """
    if kind == "lasso":
        return lasso_path(combine(given), given.counted, **options)
    if kind == "ridge":
        return ridge_grid(combine(given), **options)
    raise ValueError(f"path: expected 'lasso' or 'ridge', found {kind!r}")
