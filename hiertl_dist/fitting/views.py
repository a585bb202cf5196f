"""``View``: which columns, weights and groups of summaries make a fit, and the rows of all of them as one summary.

A fit is a pass over the rows into summaries, a view of these, and a solve of the view (:mod:`.view_solutions`). What
``fit_block`` reduces for one fit is seen whole (:func:`whole_view`); of what ``summarise`` keeps apart any part may be
chosen (:func:`~hiertl_dist.fitting.view_choice.view`). Nothing here reads a row: a view is made of the groups'
summaries alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..algebra import RFactor, Summary
from ..algebra.deviation import Deviation
from ..algebra.stacking import Layer, residuals, stack
from ..errors import InputError
from ..frames.element_set import ElementSet
from ..frames.rows import KINDS, OBJECTIVES, Group, person_kind
from ..model.basis import Basis
from ..model.blocks import Columns
from ..model.one_body import one_body_columns
from ..model.parameters import Parameters
from ..model.priors import Prior
from ..text.cards import view_card
from ..text.display import Shown
from .evidence_weights import evidence_weights
from .reduction import Summaries
from .weights import (
    AUTO,
    EVIDENCE,
    AutoWeights,
    KindRows,
    auto_weights,
    by_kind,
    check_fit_weights,
    explicit,
    row_weights,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from ..algebra import Regulariser
    from .asked_prior import AskedPrior

Kind = TypeVar("Kind", bound=Summary)


@dataclass(frozen=True, eq=False, repr=False)
class View(Shown, card=view_card):
    """A fit that can be made of summaries: see :func:`~hiertl_dist.view`.

    Attributes
    ----------
    summaries : Summaries
        What it is made of.
    basis : Basis
        Types and orders of the free columns of blocks.
    blocks : tuple of ElementSet
        Their blocks.
    kept : ndarray of shape (columns,)
        Indices of the free columns among those of the summaries.
    frozen : tuple of Parameters
        Models whose columns are taken from the target.
    weights : Mapping from str to float
        Of groups' rows by name; automatic ones or those by evidence, if nobody named any.
    objective : {"lsq", "plain"}
        How often rows count.
    factors : Mapping from Group to float
        By group, what its rows are multiplied by. Groups that the view leaves out are not in it.
    energies : Mapping from str to float
        Of free atoms that the basis gives, kcal/mol by element, of the elements that the fit speaks of.
    automatic : AutoWeights or None
        Where the weights come from, if nobody named them.
    notes : tuple of str
        What the reader of a report should know.
    prior : Prior
        What is believed of the coefficients beforehand.
    deviation : Deviation or None
        The same in numbers, in the order of the free columns; ``None``: mean zero, and all alike.
    asked : AskedPrior or None
        What of the prior the rows chose, and from what, so that rows of some folds can choose for themselves.
    """

    summaries: Summaries
    basis: Basis
    blocks: tuple[ElementSet, ...]
    kept: NDArray[np.intp]
    frozen: tuple[Parameters, ...]
    weights: Mapping[str, float]
    objective: str
    factors: Mapping[Group, float]
    energies: Mapping[str, float] = field(default_factory=dict)
    automatic: AutoWeights | None = None
    notes: tuple[str, ...] = ()
    prior: Prior = field(default_factory=Prior)
    deviation: Deviation | None = None
    asked: AskedPrior | None = None

    @property
    def columns(self) -> Columns:
        """Labels of the free columns."""
        every = self.summaries.columns
        return Columns((every[i] for i in self.kept.tolist()), every.elements)

    @cached_property
    def own(self) -> int:
        """How many free columns are of the blocks: those of one-body energies that lower blocks left open follow."""
        return int(np.count_nonzero(self.kept < self.summaries.n_of_blocks))

    @cached_property
    def unpenalised(self) -> list[int]:
        """Places of the one-body columns among the free ones."""
        return one_body_columns(self.columns)

    @cached_property
    def zeros(self) -> NDArray[np.float64]:
        """(columns,) kcal/mol: what the summaries took off the labels for each one-body column, 0 for the others.

        Coefficients of one-body columns that the view's rows give are those above these. What lower blocks left open
        moves beside their values, and has none.
        """
        taken = self.summaries.energies.zeros
        columns = self.columns[: self.own]
        values = [0.0 if c.powers else taken.get(c.elements[0], 0.0) for c in columns]
        return np.array([*values, *[0.0] * (len(self.kept) - self.own)])

    @cached_property
    def counted(self) -> int:
        """N: the rows that the objective counts, whatever their weights."""
        counts = OBJECTIVES[self.objective]
        return sum(counts.count(g.kind) * self.summaries.rows(g) for g in self.factors)

    @cached_property
    def whole(self) -> bool:
        """Whether all groups have the same columns, and nothing but the models that were summarised is taken off."""
        return not any(g.elements for g in self.factors) and not self._frozen_values.any()

    def layer(self, group: Group, factor: Kind, weight: float = 1.0) -> Layer[Kind]:
        """How a summary with a group's columns becomes a part of the view.

        Parameters
        ----------
        group : Group
            Whose columns the factor has.
        factor : Summary
            Of [A | b, offsets], such as ``summaries.groups[group]``.
        weight : float
            Multiplies its rows.

        Returns
        -------
        Layer
            Which columns go where, and the target less what frozen models say.
        """
        kept, places, frozen = self._places(self.summaries.blocks_in(group))
        target = np.zeros(factor.width)
        target[: len(frozen)] = -frozen
        target[len(frozen)] = 1.0
        target[len(frozen) + 1 :] = -1.0
        return Layer(factor, kept, places, target, weight)

    @cached_property
    def _frozen_values(self) -> NDArray[np.float64]:
        """(all columns,) what is known of each column of the summaries; of energies what is above their zeros."""
        values = np.zeros(len(self.summaries.columns))
        free = set(self.kept.tolist())
        known: dict[Any, float] = {c: v for model in self.frozen for c, v in model.as_dict().items()}
        for i, column in enumerate(self.summaries.columns):
            if column.powers:
                values[i] = known.get(column, 0.0)
            elif i not in free:
                element = column.elements[0]
                given = known.get(column, self.energies.get(element, 0.0))
                values[i] = given - self.summaries.energies.zeros.get(element, 0.0)
        return values

    @cached_property
    def _known_places(self) -> dict[tuple[str, ...], tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]]:
        return {}

    def _places(self, blocks: tuple[str, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """Of a summary with the columns of some blocks: indices of free ones, their places here, frozen values."""
        if blocks not in self._known_places:
            every = np.arange(len(self.summaries.columns))
            last = every[self.summaries.n_of_blocks :]
            columns = np.concatenate([*(every[self.summaries.starts[b]] for b in blocks), last])
            place = np.full(len(self.summaries.columns), -1, np.intp)
            place[self.kept] = np.arange(len(self.kept))
            free = np.flatnonzero(place[columns] >= 0)
            self._known_places[blocks] = free, place[columns][free], self._frozen_values[columns]
        return self._known_places[blocks]


def whole_view(summaries: Summaries, weights: Mapping[str, float] | str = AUTO, objective: str = "lsq") -> View:
    """The view of summaries that were reduced for one fit: every group, and every column but energies that are given.

    Parameters
    ----------
    summaries : Summaries
        Of :func:`~hiertl_dist.reduce_rows`.
    weights : Mapping from str to float, "auto" or "evidence"
        As of :func:`~hiertl_dist.view`.
    objective : {"lsq", "plain"}
        How often rows count.

    Returns
    -------
    View
        Automatic weights are ones still, see :func:`weighted`.
    """
    given = summaries.energies
    # energies that are given are taken off the labels: what is left of them is zero, and not fitted
    kept = [i for i, c in enumerate(summaries.columns) if c.powers or c.elements[0] not in given.fixed]
    return View(
        summaries, summaries.basis, summaries.blocks, np.array(kept, np.intp), (), dict(explicit(weights)), objective,
        group_factors(summaries.groups, weights, objective, "fit"), {**given.fixed, **given.stated}, notes=given.notes,
    )  # fmt: skip


def group_factors(
    groups: Collection[Group], weights: Mapping[str, float] | str, objective: str, where: str
) -> dict[Group, float]:
    """What rows of each group are multiplied by, automatic weights being ones still; InputError names ``where``."""
    check_fit_weights(groups, weights, where)
    return row_weights(groups, explicit(weights), objective)


def weighted(given: View, weights: Mapping[str, float] | str, regulariser: Regulariser) -> View:
    """The view with the weights that a word stands for, by evidence those with a regulariser; or as it is."""
    if weights == AUTO:
        return with_automatic(given, auto_weights(_rows_by_kind(given), given.unpenalised))
    if weights == EVIDENCE:
        rows = _rows_by_kind(given)
        if given.deviation is not None:  # as the prior sees them; probes are no data, and tell no noise
            own = replace(given.deviation, rows=None)
            rows = [replace(kind, summary=own.scaled(kind.summary)) for kind in rows]
        return with_automatic(given, evidence_weights(rows, given.unpenalised, regulariser, given.objective))
    return given


def with_automatic(given: View, automatic: AutoWeights) -> View:
    """The view with automatic weights, or those by evidence, that were estimated for it."""
    factors = row_weights(given.factors, automatic.weights, given.objective)
    return replace(given, weights=dict(automatic.weights), factors=factors, automatic=automatic)


def _rows_by_kind(given: View) -> Sequence[KindRows]:
    """All rows of each kind together, each as often as the objective counts it."""
    fitted = given.summaries.fitted
    if given.whole:
        offsets = {g: given.summaries.offset(g).columns(given.kept) for g in given.factors if g in fitted}
        return by_kind(offsets, given.objective)
    counts = OBJECTIVES[given.objective]
    layers: dict[str, list[Layer[RFactor]]] = {}
    counted: dict[str, int] = {}
    for group in (g for g in given.factors if g in fitted):
        kind, times = person_kind(group.kind), counts.count(group.kind)
        factor = factor_of(given, group)
        layers.setdefault(kind, []).append(given.layer(group, factor, float(np.sqrt(times))))
        counted[kind] = counted.get(kind, 0) + times * factor.rows
    return [KindRows(k, stack(layers[k], len(given.kept)), counted[k]) for k in KINDS if k in layers]


def combine(given: View) -> Summary:
    """All weighted rows of a view as one summary: its free columns, and as target what frozen models leave of it.

    Groups that have the same columns are merged as they are, which is the cheaper and does for normal equations too.
    """
    if given.whole:
        return given.summaries.combined(given.factors).columns(given.kept)
    used = [(g, w) for g, w in given.factors.items() if w > 0.0 and g in given.summaries.fitted]
    if not used:
        raise InputError("no group of rows has a weight above zero")
    return stack((given.layer(g, factor_of(given, g), w) for g, w in used), len(given.kept))


def fitted_squares(given: View, targets: Mapping[Group, float]) -> Mapping[Group, float]:
    """By group, the sum of squares of its labels as they are fitted, frozen models subtracted; ``targets`` as they are.

    These are the same where rows have no weights of their own.
    """
    fitted = given.summaries.fitted
    if given.summaries.weighed is None:
        return targets
    zero = np.zeros((len(given.kept), 1))
    return {g: residuals(given.layer(g, fitted[g]), zero)[1] if g in fitted else 0.0 for g in given.factors}


def combined_factor(given: View) -> RFactor:
    """As :func:`combine`, for what needs a triangular factor. Raises InputError where there are normal equations."""
    rows = combine(given)
    if not isinstance(rows, RFactor):
        raise InputError(f"views need triangular factors (method rfactor), found {rows.kind}")
    return rows


def factor_of(given: View, group: Group) -> RFactor:
    """The triangular factor of what is fitted of a group. Raises InputError where there are normal equations."""
    summary = given.summaries.fitted[group]
    if not isinstance(summary, RFactor):
        raise InputError(f"group {group.name}: views need triangular factors (method rfactor), found {summary.kind}")
    return summary
