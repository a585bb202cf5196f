"""``cross_validate``: held-out errors of many fits from the factors of folds, each fitted on all folds but one.

The factor of a training set is merged from the factors before and after the fold that is left out; a fold is never
taken away from a whole, which would lose digits. Held-out errors are those of the groups' own factors, and exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from ..algebra import ConvergenceError, RFactor
from ..algebra.byte_cache import Kept
from ..algebra.stacking import Layer, stack
from ..errors import InputError
from ..executors import InlineExecutor
from ..fitting.stored_summaries import require_shared
from ..fitting.view_priors import without_fold
from ..fitting.view_solutions import as_regulariser, rows_for, solved
from ..fitting.views import View
from ..frames.rows import OBJECTIVES, Group
from ..text.display import Shown
from ..text.result_cards import validation_card
from .held_out_errors import HeldOut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..algebra import LinearSolution, Regulariser
    from ..executors.base import Executor
    from ..fitting.reduction import Summaries


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation(Shown, card=validation_card):
    """A fit, cross-validated.

    Attributes
    ----------
    view : View
        What was fitted.
    regulariser : Regulariser
        How it was regularised.
    errors : HeldOut or None
        Held-out errors by kind, source, composition and fold; ``None`` where a fold's fit failed.
    nonzeros : tuple of int
        Number of coefficients of each fold's fit that are not zero.
    conditions : tuple of float
        Condition number of each fold's problem.
    failed : str
        Why there are no errors.
    """

    view: View
    regulariser: Regulariser
    errors: HeldOut | None
    nonzeros: tuple[int, ...] = ()
    conditions: tuple[float, ...] = ()
    failed: str = ""


class Pools:
    """Factors of some groups together, kept for the next view of the same summaries as long as there is room.

    Parameters
    ----------
    summaries : Summaries
        The groups' factors.
    most : int, optional
        Bytes to keep; default: a quarter of what is available.
    """

    def __init__(self, summaries: Summaries, most: int | None = None) -> None:
        self.summaries = summaries
        most = psutil.virtual_memory().available // 4 if most is None else most
        self._kept: Kept[tuple[Group, ...], RFactor] = Kept(most, attrgetter("r.nbytes"))

    def of(self, groups: tuple[Group, ...]) -> RFactor:
        """The factor of all rows of some groups of one element set, with b less all offsets as its only target."""
        return self._kept.of(groups, self._make)

    def fitted(self, groups: tuple[Group, ...]) -> RFactor:
        """The same of what is fitted of them: rows times their own weights, where they have any."""
        return self.of(groups if self.summaries.weighed is None else tuple(g._replace(weighed=True) for g in groups))

    def _make(self, groups: tuple[Group, ...]) -> RFactor:
        layers = []
        n = 0
        for group in groups:
            own = self.summaries.fitted if group.weighed else self.summaries.groups
            factor = self.of((group,)) if len(groups) > 1 else own[group.plain]
            if not isinstance(factor, RFactor):
                raise InputError(f"group {group.name}: expected a triangular factor (rfactor), found {factor.kind}")
            if len(groups) == 1 and factor.n_targets == 1:
                return factor
            n = factor.n_columns
            target = np.zeros(factor.width)
            target[n], target[n + 1 :] = 1.0, -1.0
            layers.append(Layer(factor, np.arange(n), np.arange(n), target))
        return stack(layers, n)


def cross_validate(
    given: View | Sequence[View],
    regularisers: Sequence[Regulariser | Mapping[str, Any]] | Regulariser | Mapping[str, Any],
    *,
    executor: Executor | None = None,
    pools: Pools | None = None,
) -> list[CrossValidation]:
    """Cross-validate fits over the folds that were chosen when the rows were summarised.

    Each fold is left out in turn. The fit to the other folds and its errors on that fold are made of factors alone; no
    row is read (docs/theory.md, section 9).

    Parameters
    ----------
    given : View or sequence of View
        A view, or several that differ in weights and objective alone, which share most of the work.
    regularisers : Regulariser, Mapping, or sequence of them
        Those that each view is fitted with, such as ``{"kind": "ridge", "alpha": 1e-3}``.
    executor : Executor, optional
        Who makes the folds' factors and fits; default: this process. It pays where factors are large.
    pools : Pools, optional
        What was kept of other views of the same summaries; of use with one worker only, and ignored with more.

    Returns
    -------
    list of CrossValidation
        One for each view and regulariser, regularisers fastest. A fit that fails does not raise: it says why in
        ``failed``.

    Raises
    ------
    InputError
        There are not at least two folds, views differ in more than weights and objective, pools are of other summaries,
        or there is no view or no regulariser.

    Examples
    --------
    >>> ridges = [{"kind": "ridge", "alpha": a} for a in (1e-4, 1e-3, 1e-2)]
    >>> results = cross_validate(view(summaries), ridges)
    >>> min(results, key=lambda one: one.errors.score()).regulariser
    """
    views = [given] if isinstance(given, View) else list(given)
    listed = list(regularisers) if isinstance(regularisers, Sequence) else [regularisers]
    wanted = [as_regulariser(r) for r in listed]
    if not wanted:
        raise InputError("cross-validation: expected at least one regulariser, found none")
    runner = InlineExecutor() if executor is None else executor
    shelf = pools if pools is not None and runner.workers == 1 else None
    items = training_factors(views, runner, shelf)
    task = partial(_validate_fold, views=views, regularisers=wanted, pools=shelf)
    by_fold = runner.run(task, items, label=lambda item: _fold(item[0]), what="cross-validate")
    return [
        _collected(view, regulariser, v * len(wanted) + r, by_fold)
        for v, view in enumerate(views) for r, regulariser in enumerate(wanted)
    ]  # fmt: skip


def training_factors(
    views: Sequence[View], runner: Executor, pools: Pools | None = None
) -> list[tuple[int, list[RFactor]]]:
    """Each fold, and for each view the factor of all weighted rows outside of it; see :func:`cross_validate`."""
    _check_alike(views)
    if pools is not None and pools.summaries is not views[0].summaries:
        raise InputError("cross-validation: expected pools of the summaries that the views are of, found others")
    require_shared(views[0].summaries, runner)
    folds = sorted({g.fold for g in views[0].factors})
    factors = runner.run(partial(_fold_factors, views=views, pools=pools), folds, label=_fold, what="factors of folds")
    training = [_all_but_one([of_views[v] for of_views in factors]) for v in range(len(views))]
    return [(fold, [of_folds[i] for of_folds in training]) for i, fold in enumerate(folds)]


def _fold(fold: int) -> str:
    return f"fold {fold}"


def _check_alike(views: Sequence[View]) -> None:
    if not views:
        raise InputError("cross-validation: expected at least one view, found none")
    first = views[0]
    folds = {g.fold for g in first.factors}
    if len(folds) < 2 or -1 in folds:
        raise InputError(
            f"cross-validation: expected at least two folds, found {sorted(folds - {-1}) or 'none'}; folds are chosen "
            "before the rows are reduced: summarise(frames, basis, folds=5)"
        )
    for other in views[1:]:
        if (
            other.summaries is not first.summaries or not np.array_equal(other.kept, first.kept)
            or [f.digest for f in other.frozen] != [f.digest for f in first.frozen]
            or set(other.factors) != set(first.factors)
        ):  # fmt: skip
            raise InputError("cross-validation: views given together may differ in weights and objective alone")


def _classes(views: Sequence[View], fold: int) -> dict[tuple[Any, ...], tuple[Group, ...]]:
    """Groups of a fold that have the same columns and, in each view, the same weight."""
    classes: dict[tuple[Any, ...], list[Group]] = {}
    for group in views[0].factors:
        factors = tuple(v.factors[group] for v in views)
        if group.fold == fold and any(factors) and group in views[0].summaries.fitted:
            classes.setdefault((views[0].summaries.blocks_in(group), factors), []).append(group)
    return {key: tuple(groups) for key, groups in classes.items()}


def _fold_factors(fold: int, *, views: Sequence[View], pools: Pools | None) -> list[RFactor]:
    """The factor of one fold's weighted rows, for each view."""
    first, n = views[0], len(views[0].kept)
    pools = Pools(first.summaries, 0) if pools is None else pools
    by_weight: dict[tuple[float, ...], list[Layer[RFactor]]] = {}
    for (_, factors), groups in _classes(views, fold).items():
        by_weight.setdefault(factors, []).append(first.layer(groups[0], pools.fitted(groups)))
    # what has the same weights in every view is made triangular once
    parts = [(factors, stack(layers, n)) for factors, layers in by_weight.items()]
    whole = np.arange(n)
    target = np.zeros(n + 1)
    target[n] = 1.0
    return [
        stack((Layer(part, whole, whole, target, factors[v]) for factors, part in parts), n) for v in range(len(views))
    ]


def _all_but_one(factors: Sequence[RFactor]) -> list[RFactor]:
    """For each of some factors, the merge of all others, by prefixes and suffixes: 3k − 6 merges for k of them."""
    before: list[RFactor | None] = [None]
    for factor in factors[:-1]:
        last = before[-1]
        before.append(factor if last is None else last.merge(factor))
    merged: list[RFactor] = []
    after: RFactor | None = None
    for i in range(len(factors) - 1, -1, -1):
        front = before.pop()
        both = [f for f in (front, after) if f is not None]
        merged.append(both[0] if len(both) == 1 else both[0].merge(both[1]))
        after = factors[i] if after is None else factors[i].merge(after)
    return merged[::-1]


Fitted = list["LinearSolution | str"]


def _validate_fold(
    item: tuple[int, list[RFactor]], *, views: Sequence[View], regularisers: Sequence[Regulariser], pools: Pools | None
) -> tuple[list[tuple[int, float, str]], dict[Group, tuple[int, NDArray[np.float64]]]]:
    """Of each model (nonzeros, condition, failure), and by held-out group its rows and sums of squared residuals."""
    fold, training = item
    fits: Fitted = []
    for given, factor in zip(views, training, strict=True):
        counts = OBJECTIVES[given.objective]
        counted = sum(counts.count(g.kind) * given.summaries.rows(g) for g in given.factors if g.fold != fold)
        fits += _solved(without_fold(given, fold), factor, regularisers, counted)
    first = views[0]
    coefficients = np.zeros((len(first.kept), len(fits)))
    for i, fit in enumerate(fits):
        coefficients[:, i] = np.nan if isinstance(fit, str) else fit.coefficients
    pools = Pools(first.summaries, 0) if pools is None else pools
    squares = {}
    for group in first.factors:
        if group.fold == fold:
            factor = pools.of((group,))
            layer = first.layer(group, factor)
            left = (factor.r @ layer.target)[:, np.newaxis] - factor.r[:, layer.kept] @ coefficients[layer.places]
            squares[group] = factor.rows, np.einsum("ij,ij->j", left, left)
    facts = [(0, np.nan, f) if isinstance(f, str) else (f.nonzeros, f.condition, "") for f in fits]
    return facts, squares


def _solved(given: View, factor: RFactor, regularisers: Sequence[Regulariser], counted: float) -> Fitted:
    """Solutions, or why there is none: one model that fails does not take the others with it."""
    by_rows: dict[float, list[int]] = {}
    for i, regulariser in enumerate(regularisers):
        by_rows.setdefault(rows_for(regulariser, factor, counted), []).append(i)
    answers: dict[int, LinearSolution | str] = {}
    for rows, places in by_rows.items():
        try:
            answers |= zip(places, solved(given, factor, [regularisers[i] for i in places], rows), strict=True)
        except (ConvergenceError, ArithmeticError, np.linalg.LinAlgError):
            for i in places:
                try:
                    answers[i] = solved(given, factor, [regularisers[i]], rows)[0]
                except (ConvergenceError, ArithmeticError, np.linalg.LinAlgError) as error:
                    answers[i] = f"{type(error).__name__}: {error}"
    return [answers[i] for i in range(len(regularisers))]


def _collected(view: View, regulariser: Regulariser, place: int, by_fold: Sequence[Any]) -> CrossValidation:
    facts = [of_models[place] for of_models, _ in by_fold]
    failed = "; ".join(f"fold {i}: {text}" for i, (_, _, text) in enumerate(facts) if text)
    if failed:
        return CrossValidation(view, regulariser, None, failed=failed)
    groups = {g: (rows, float(s[place])) for _, squares in by_fold for g, (rows, s) in squares.items()}
    nonzeros, conditions = tuple(n for n, _, _ in facts), tuple(c for _, c, _ in facts)
    return CrossValidation(view, regulariser, HeldOut.of(groups), nonzeros, conditions)
