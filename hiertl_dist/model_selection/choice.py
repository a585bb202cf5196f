"""``choose``: which of several cross-validated models to take, by score, standard error and cost of evaluation."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError
from ..text.display import Shown
from .held_out_errors import HeldOut
from .strength import GridEdge, family_of, grid_edges, prior_strengths, strength_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from .search_settings import Choice, Rule

FAR: Final = 1.5
"""Times the lowest score above which a model that is within one standard error of it is a doubtful choice."""

Scores = dict[str, tuple[float, float]]
"""By kind or composition, a score and its standard error (NaN with fewer than two folds)."""


@dataclass(frozen=True, eq=False, repr=False)
class Candidate(Shown):
    """One model of a search, cross-validated.

    Attributes
    ----------
    choice : Choice
        What it is: regulariser, weights, objective, orders, exclusions.
    columns : int
        Their number.
    cost : float
        CPU seconds per atom of evaluating it with the frozen blocks.
    score : float
        See :meth:`~hiertl_dist.HeldOut.score`; NaN where the fit failed.
    standard_error : float
        See :meth:`~hiertl_dist.HeldOut.standard_error`; NaN where the fit failed, or with fewer than two folds.
    kinds : dict from str to tuple of (float, float)
        RMSE of each kind of rows and its standard error, in kcal/mol/Å, GPa and kcal/mol/atom.
    compositions : dict from str to tuple of (float, float)
        Score of each composition and its standard error.
    table : Mapping from str to Mapping from str to float
        RMSE by composition and kind, in the same units.
    fold_scores : tuple of float
        Score of each fold, where folds leave out whole systems; what sets these apart is common to all models, which
        are therefore compared fold by fold.
    nonzeros : tuple of int
        Number of coefficients of each fold's fit that are not zero.
    conditions : tuple of float
        Condition number of each fold's problem.
    failed : str
        Why there is no score.
    rejected : str
        Why the guard does not let it be chosen.
    """

    choice: Choice
    columns: int
    cost: float
    score: float = math.nan
    standard_error: float = math.nan
    kinds: Scores = field(default_factory=dict)
    compositions: Scores = field(default_factory=dict)
    table: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    nonzeros: tuple[int, ...] = ()
    conditions: tuple[float, ...] = ()
    failed: str = ""
    rejected: str = ""
    fold_scores: tuple[float, ...] = ()

    @property
    def mean_nonzeros(self) -> float:
        """Of the folds' fits."""
        return sum(self.nonzeros) / len(self.nonzeros) if self.nonzeros else math.nan

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.choice.as_dict(), "columns": self.columns, "cost_seconds_per_atom": self.cost, "score": self.score,
            "standard_error": self.standard_error,
            "errors": {k: {"rmse": v, "standard_error": s} for k, (v, s) in self.kinds.items()},
            "compositions": {
                c: {"score": v, "standard_error": s, "errors": dict(self.table.get(c, {}))}
                for c, (v, s) in self.compositions.items()
            },
            "nonzeros": list(self.nonzeros), "conditions": list(self.conditions), "failed": self.failed,
            "rejected": self.rejected,
            **({"fold_scores": list(self.fold_scores)} if self.fold_scores else {}),
        }  # fmt: skip


def scored(
    choice: Choice, columns: int, cost: float, errors: HeldOut, importance: Mapping[str, float] | None,
    nonzeros: Sequence[int], conditions: Sequence[float], *, by_system: bool = False,
) -> Candidate:  # fmt: skip
    """A candidate from the held-out errors of its folds' fits.

    ``by_system``: folds leave out whole systems, and so as a rule each composition is in one fold only. Its standard
    error is then that of the score of a single fold, the spread of all of them.
    """
    pooled = errors.pooled()
    kinds = {k: _value(_only(pooled, {k}), {k: 1.0}, {}) for k in pooled.values("kind")}
    # a composition, or a fold, without rows of a kind that counts has no score
    counted = _only(pooled, {k for k in kinds if importance is None or importance.get(k, 0.0) > 0.0})
    compositions = {c: _value(counted, importance, {"composition": c}) for c in counted.values("composition")}
    score, error = _value(counted, importance, {})
    of_folds: tuple[float, ...] = ()
    if by_system and math.isfinite(error):
        of_folds = tuple(counted.fold_scores(importance).tolist())
        spread = error / score * math.sqrt(len(of_folds))
        compositions = {c: (v, v * spread if math.isnan(e) else e) for c, (v, e) in compositions.items()}
    if not math.isfinite(score):
        return failed(choice, columns, cost, f"held-out errors are not finite: {score}")
    return Candidate(
        choice, columns, cost, score, error, kinds, compositions, pooled.table("composition"), tuple(nonzeros),
        tuple(conditions), fold_scores=of_folds,
    )  # fmt: skip


def _only(errors: HeldOut, kinds: Collection[str]) -> HeldOut:
    """The errors of some kinds of rows."""
    chosen = [i for i, cell in enumerate(errors.cells) if cell.kind in kinds]
    return HeldOut(tuple(errors.cells[i] for i in chosen), errors.rows[chosen], errors.squares[chosen])


def _value(errors: HeldOut, importance: Mapping[str, float] | None, where: dict[str, Any]) -> tuple[float, float]:
    return errors.score(importance, **where), errors.standard_error(importance, **where)


def failed(choice: Choice, columns: int, cost: float, why: str) -> Candidate:
    """A candidate that could not be fitted."""
    return Candidate(choice, columns, cost, failed=why)


@dataclass(frozen=True, eq=False, repr=False)
class Chosen(Shown):
    """What :func:`choose` found.

    Attributes
    ----------
    candidates : tuple of Candidate
        All of them, those that the guard rejects marked.
    best : int
        Place of the lowest score among them.
    chosen : int
        Place of the one that the rule takes.
    """

    candidates: tuple[Candidate, ...]
    best: int
    chosen: int

    @property
    def edges(self) -> tuple[GridEdge, ...]:
        """The edges of the grid at which the chosen model, or the one of the lowest score, lies."""
        return grid_edges([c.choice for c in self.candidates], self.chosen, self.best)

    @property
    def notes(self) -> tuple[str, ...]:
        """The edges in words, and whether the folds scatter so much that they hardly tell models apart."""
        best, taken, said = self.candidates[self.best], self.candidates[self.chosen], [str(e) for e in self.edges]
        if taken.score > FAR * best.score:
            said.append(
                "the folds hardly tell models apart: the model that is taken is within one standard error of the "
                f"lowest score, {best.score:.4g} ± {best.standard_error:.2g}, with {taken.score:.4g}. More folds or "
                'more frames that differ tell more; rule = "best" takes the lowest score'
            )
        return tuple(said)


def choose(candidates: Sequence[Candidate], rule: Rule, where: str = "search") -> Chosen:
    """Choose a model.

    ``best`` is the lowest score, the first of several. ``one_se`` looks at those whose score exceeds that by no more
    than its standard error (Hastie, Tibshirani, Friedman, Elements of Statistical Learning, 7.10) and of which no
    composition's score exceeds the best model's score of that composition by more than that one's own standard error;
    where it has none, fewer than two folds having such rows, not at all. Where folds leave out whole systems, whose
    scores may differ by orders of magnitude, a model must also not be worse than the best by more than one standard
    error of the ratio of their scores, fold by fold (:func:`ratio_error`). Of these it takes the cheapest to evaluate;
    of several as cheap the most regularised one: by kind of regulariser and prior, which don't compare in strength,
    that of the model with fewest nonzero coefficients, then lowest score; and of those that differ in strength alone,
    or in weights and objective, the strongest prior (weight of its probes, then decay), then the strongest
    regulariser, then fewest nonzeros, lowest score, the first.

    Raises
    ------
    InputError
        Every candidate failed; the reasons are named.
    """
    fine = [i for i, c in enumerate(candidates) if not c.failed]
    if not fine:
        reasons = list(dict.fromkeys(c.failed for c in candidates))
        raise InputError(
            f"{where}: none of {len(candidates)} models could be fitted: {'; '.join(reasons[:3])}"
            f"{' …' * (len(reasons) > 3)}"
        )
    best = min(fine, key=lambda i: (candidates[i].score, i))
    if rule == "best":
        return Chosen(tuple(candidates), best, best)
    top = candidates[best]
    limit = top.score + _margin(top.standard_error)
    near = [i for i in fine if candidates[i].score <= limit and _as_good_by_fold(candidates[i], top)]
    marked = list(candidates)
    for i in near:
        marked[i] = replace(candidates[i], rejected="; ".join(_worse(candidates[i], top)))
    kept = [i for i in near if not marked[i].rejected]
    return Chosen(tuple(marked), best, _most_regularised(marked, kept))


def _most_regularised(candidates: Sequence[Candidate], places: Sequence[int]) -> int:
    """Of some candidates the cheapest, and of several as cheap the most regularised one, see :func:`choose`."""
    least = min(candidates[i].cost for i in places)
    cheapest = [i for i in places if candidates[i].cost == least]

    def plainness(i: int) -> tuple[float, float, int]:
        return candidates[i].mean_nonzeros, candidates[i].score, i

    def kind(i: int) -> str:
        return family_of(candidates[i].choice.regulariser, candidates[i].choice.prior)

    def strengths(i: int) -> tuple[float, ...]:
        choice = candidates[i].choice
        return *(-s for s in prior_strengths(choice.prior)), -strength_of(choice.regulariser)

    family = kind(min(cheapest, key=plainness))
    return min((i for i in cheapest if kind(i) == family), key=lambda i: (*strengths(i), *plainness(i)))


def ratio_error(candidate: Candidate, best: Candidate) -> float:
    """Standard error of the logarithm of the ratio of two models' scores.

    Parameters
    ----------
    candidate, best : Candidate
        Models that were cross-validated over the same folds, with their ``fold_scores``.

    Returns
    -------
    float
        The spread of the folds' logarithms over the root of their number; what folds have in common falls out of it.
    """
    ratios = [math.log(a / b) for a, b in zip(candidate.fold_scores, best.fold_scores, strict=True)]
    return statistics.stdev(ratios) / math.sqrt(len(ratios))


def _as_good_by_fold(candidate: Candidate, best: Candidate) -> bool:
    """Whether a model is not worse than the best by more than the :func:`ratio_error`; yes without folds' scores."""
    return not best.fold_scores or math.log(candidate.score / best.score) <= ratio_error(candidate, best)


def _margin(standard_error: float) -> float:
    return 0.0 if math.isnan(standard_error) else standard_error


def _worse(candidate: Candidate, best: Candidate) -> list[str]:
    """The compositions of which a model is worse than the best one by more than that one's standard error."""
    worse = []
    for name, (score, error) in best.compositions.items():
        own = candidate.compositions[name][0]
        if own > score + _margin(error):
            bar = "no standard error: rows in one fold only" if math.isnan(error) else f"± {error:.4g}"
            worse.append(f"{name}: {own:.4g}, the best model {score:.4g} ({bar})")
    return worse
