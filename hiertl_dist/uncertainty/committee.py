"""``committee``: several fits of one view, each to other rows, whose spread says how much the data settled.

Members come from the factors of groups that are kept apart: a fold left out, or sources drawn anew. No row is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

import numpy as np

from ..algebra import ARD, BayesianRidge
from ..errors import InputError
from ..evaluation.compiled_basis import compile_recipe
from ..evaluation.energies import Evaluation, Model
from ..evaluation.frame_rows import answerable, rows_of
from ..evaluation.missing_in_frames import MissingClusters, check_missing
from ..evaluation.sums import sum_evaluations
from ..executors import InlineExecutor
from ..fitting.view_priors import redrawn, without_fold
from ..fitting.view_solutions import as_regulariser, parameters_of_fit, rows_for, solved
from ..fitting.views import View, combine
from ..frames.element_set import ElementSet
from ..frames.frame import Frame
from ..frames.rows import OBJECTIVES, Group
from ..model.parameters import Parameters, Penalty
from ..model_selection.cross_validation import training_factors
from ..text.display import Shown
from ..text.result_cards import committee_card
from .predictive import Spread, each, spread_of, with_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..algebra import Regulariser, RFactor
    from ..evaluation.frame_rows import InnerPolicy
    from ..executors.base import Executor

CommitteeKind = Literal["folds", "bootstrap"]
"""How the members' rows differ: a fold is left out of each, or sources are drawn with replacement."""

KINDS: Final[tuple[str, ...]] = get_args(CommitteeKind)
MEMBERS: Final = 20


class Drawn(NamedTuple):
    """What is drawn as a whole: all rows of a source's frames of one composition in one fold."""

    elements: ElementSet
    source: str
    composition: str
    fold: int


@dataclass(frozen=True, eq=False, repr=False)
class Opinion(Shown):
    """What a committee says of one frame.

    Attributes
    ----------
    origin : str
        Where the frame is from.
    mean : Evaluation
        Of the members, frozen models included.
    deviation : Spread
        Their spread, scaled to a standard error of the fit to all rows, see :class:`Committee`.
    """

    origin: str
    mean: Evaluation
    deviation: Spread


@dataclass(frozen=True, eq=False, repr=False)
class Committee(Shown, card=committee_card):
    """Fits of one view to other rows: see :func:`committee`.

    With the members' predictions x_i and their mean x̄ the deviation is

    - ``"folds"``: √((k − 1)/k Σ (x_i − x̄)²), the jackknife of k groups (Efron & Stein, Ann. Statist. 9, 586 (1981);
      Shao & Tu, The Jackknife and Bootstrap, 1995, 2.3): members share most of their rows and differ by too little
    - ``"bootstrap"``: √(Σ (x_i − x̄)² / (members − 1)) (Efron, Ann. Statist. 7, 1 (1979))

    Either is the standard error of the prediction that comes from the choice of data (docs/theory.md, section 10). What
    no coefficients describe is not in it, see :func:`~hiertl_dist.predict`; nor is what frozen models don't know.

    Attributes
    ----------
    kind : {"folds", "bootstrap"}
        How the members' rows differ.
    members : tuple of Parameters
        Parameters of the free blocks, one fit each.
    frozen : tuple of Parameters
        Models whose sum with a member is the prediction.
    notes : tuple of str
        What the reader of a report should know: frames that every member has.
    """

    kind: CommitteeKind
    members: tuple[Parameters, ...]
    frozen: tuple[Parameters, ...]
    notes: tuple[str, ...] = ()

    @property
    def mean(self) -> Parameters:
        """The model with the members' mean coefficients: models are linear, so its predictions are their mean."""
        first = self.members[0]
        values = np.mean([m.coefficients for m in self.members], axis=0)
        return replace(first, coefficients=values, source=f"{self.kind} committee of {len(self.members)}")

    @property
    def elements(self) -> frozenset[str]:
        """The elements that a frame may have."""
        return frozenset(e for p in (self.members[0], *self.frozen) for e in p.basis.elements)

    def evaluate(
        self, frames: Sequence[Frame] | Frame, *, policy: InnerPolicy = "damp", executor: Executor | None = None,
        missing: str = "refuse",
    ) -> list[Opinion]:  # fmt: skip
        """Mean and deviation of energy, each force and each stress component, of frames that need no labels.

        The rows of a frame are made, once for all members: (3 n + 7) × columns × 8 bytes.

        Parameters
        ----------
        frames : Frame or sequence of Frame
            Frames of the committee's elements.
        policy : {"damp", "lsq", "refuse"}, optional
            For pairs inside an inner cutoff, as in :meth:`~hiertl_dist.Model.evaluate`.
        executor : Executor, optional
            Who does it; default: this process.
        missing : {"refuse", "zero"}, optional
            For clusters of types without coefficients, as in :meth:`~hiertl_dist.Model.evaluate`.

        Returns
        -------
        list of Opinion
            One for each frame: energies in kcal/mol, forces (n, 3) in kcal/mol/Å, stresses (6,) in kcal/mol/Å³.

        Raises
        ------
        FrameError, InnerCutoffError
            Naming the frame; with an executor TaskFailed, which has it as its cause.
        ValueError
            A policy that is none, or ``skip_frame``, which would leave a frame without an answer.
        MissingTypesError
            Naming the types without coefficients and frames that contain them.
        """
        check_missing(missing)
        listed = answerable(frames, policy, "evaluate", self.elements)
        if missing == "refuse":
            MissingClusters.of([self.mean, *self.frozen]).refuse(listed)
        values = np.array([m.coefficients for m in self.members])
        weight = (len(values) - 1) / len(values) if self.kind == "folds" else 1.0 / (len(values) - 1)
        apart = np.sqrt(weight) * (values - values.mean(axis=0)).T
        models = (Model(self.mean), *map(Model, self.frozen))
        return each(partial(_opinion, models=models, apart=apart, policy=policy), listed, executor, "evaluate")


def _opinion(frame: Frame, *, models: Sequence[Model], apart: NDArray[np.float64], policy: InnerPolicy) -> Opinion:
    parts = [m.evaluate(frame, ignore_other_elements=True, missing="zero", policy=policy) for m in models]
    mean = sum_evaluations(parts, [m.coverage for m in models])[0]
    full = with_labels(frame)
    rows = rows_of([full], compile_recipe(models[0].parameters.basis), policy, kept="uncertainty")
    return Opinion(frame.origin, mean, spread_of(full, np.linalg.norm(rows @ apart, axis=1)))


# long: its parameters are documented
def committee(
    given: View,
    regulariser: Regulariser | Mapping[str, Any],
    *,
    kind: CommitteeKind = "folds",
    members: int | None = None,
    seed: int = 0,
    penalty: Penalty | None = None,
    executor: Executor | None = None,
) -> Committee:
    """Fit a view several times, each time to other rows.

    ``"folds"``: each member is the fit without one fold; there are as many as folds. ``"bootstrap"``: what is drawn,
    with replacement and as often as there are of it, is all rows of a source's frames of one composition in one fold,
    for rows of a frame or a trajectory have to do with one another; it is drawn among those of the same elements, so
    that no block is left without data. Rows that are drawn m times count m times. Where all frames are of one source
    that is no more than a draw of folds: give sources their own names, or more folds. Sources that were pooled are one
    here: ``summarise(apart=["*"])`` keeps them apart.

    What the rows of the view chose of its prior (the mean, where it is ``"auto"``, and the weight of probes), those of
    each member choose anew; automatic weights of the view stay.

    Parameters
    ----------
    given : View
        What is fitted.
    regulariser : Regulariser or Mapping
        Of every member, such as ``{"kind": "ridge", "alpha": 1e-3}``.
    kind : {"folds", "bootstrap"}, optional
        How the members' rows differ.
    members : int, optional
        How many a bootstrap has; default: 20. Folds have as many as there are folds.
    seed : int, optional
        Of what is drawn; the same seed draws the same.
    penalty : Penalty, optional
        The wall of the fitted blocks, as for :func:`~hiertl_dist.solve`.
    executor : Executor, optional
        Who makes the fits; default: this process.

    Returns
    -------
    Committee
        The members, and notes of frames that every one of them has.

    Raises
    ------
    InputError
        An unknown kind; fewer than two folds; nothing to draw among; fewer than two members, or a number for folds.
    ConvergenceError, ValueError
        As of :func:`~hiertl_dist.solve`; with an executor as the cause of TaskFailed, which names the member.

    Examples
    --------
    >>> bootstrap = committee(view(summaries), {"kind": "ridge", "alpha": 1e-3}, kind="bootstrap")
    >>> bootstrap.evaluate(frame)[0].deviation.forces
    """
    wanted = as_regulariser(regulariser)
    if kind not in KINDS:
        raise InputError(f"committee: expected one of the kinds {', '.join(KINDS)}, found {kind!r}")
    runner = InlineExecutor() if executor is None else executor
    frozen = (*given.summaries.frozen, *given.frozen)
    if kind == "folds":
        if members is not None:
            raise InputError("committee: folds have one member each; members is for a bootstrap")
        task = partial(_without_fold, given=given, regulariser=wanted, penalty=penalty)
        items = [(fold, factor) for fold, (factor,) in training_factors([given], runner)]
        models = runner.run(task, items, label=lambda item: f"member without fold {item[0]}", what="committee")
        return Committee(kind, tuple(models), frozen)
    count = MEMBERS if members is None else members
    if count < 2:
        raise InputError(f"committee: expected at least two members, found {count}")
    draws = multiplicities(given, count, seed)
    redraw = partial(_redrawn, given=given, regulariser=wanted, penalty=penalty)
    models = runner.run(redraw, list(enumerate(draws)), label=lambda item: f"member {item[0]}", what="committee")
    alone = [e for e, cells in _strata(given).items() if len(cells) == 1]
    notes = [f"all rows of {e} frames are of one source, composition and fold: they are in every member" for e in alone]
    return Committee(kind, tuple(models), frozen, tuple(notes))


def _drawn(group: Group) -> Drawn:
    return Drawn(ElementSet.of(group.elements), group.source, group.composition, group.fold)


def _strata(given: View) -> dict[ElementSet, list[Drawn]]:
    """What is drawn, by element set, each sorted; only what has weight in the view."""
    strata: dict[ElementSet, list[Drawn]] = {}
    for cell in sorted({_drawn(g) for g, w in given.factors.items() if w > 0.0}):
        strata.setdefault(cell.elements, []).append(cell)
    return strata


def multiplicities(given: View, members: int, seed: int) -> list[dict[Drawn, int]]:
    """How often each member of a bootstrap has the rows of each source, composition and fold.

    Raises InputError where there is nothing to draw among.
    """
    strata = _strata(given)
    if all(len(stratum) == 1 for stratum in strata.values()):
        raise InputError(
            "committee: a bootstrap draws among sources, compositions and folds that are kept apart; expected at least "
            f"two of the same elements, found {', '.join(strata)} with one each"
        )
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(members):
        drawn: dict[Drawn, int] = {}
        for stratum in strata.values():
            counts = rng.multinomial(len(stratum), np.full(len(stratum), 1.0 / len(stratum)))
            drawn |= dict(zip(stratum, counts.tolist(), strict=True))
        draws.append(drawn)
    return draws


def _without_fold(
    item: tuple[int, RFactor], *, given: View, regulariser: Regulariser, penalty: Penalty | None
) -> Parameters:
    fold, training = item
    others = {g: w for g, w in given.factors.items() if g.fold != fold}
    rest = replace(without_fold(given, fold), factors=others)
    (linear,) = solved(rest, training, [regulariser], rows_for(regulariser, training, rest.counted))
    return _named(parameters_of_fit(rest, linear.coefficients, penalty=penalty), f"without fold {fold}")


def _redrawn(
    item: tuple[int, Mapping[Drawn, int]], *, given: View, regulariser: Regulariser, penalty: Penalty | None
) -> Parameters:
    number, drawn = item
    # also of groups that choose a prior and count for nothing
    groups = {*given.factors, *(given.asked.factors if given.asked is not None else ())}
    times = {g: drawn.get(_drawn(g), 0) for g in groups}
    own = redrawn(given, times)
    counts = OBJECTIVES[given.objective]
    # evidence counts rows and not how often the objective does
    once = isinstance(regulariser, BayesianRidge | ARD)
    rows = given.summaries
    counted = sum(
        times[g] * ((w > 0.0) * rows.fitted_rows(g) if once else counts.count(g.kind) * rows.rows(g))
        for g, w in own.factors.items()
    )
    (linear,) = solved(own, combine(own), [regulariser], counted)
    return _named(parameters_of_fit(own, linear.coefficients, penalty=penalty), f"drawn anew, {number}")


def _named(parameters: Parameters, what: str) -> Parameters:
    return replace(parameters, source=f"{parameters.source}, {what}")
