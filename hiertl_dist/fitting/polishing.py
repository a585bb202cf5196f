"""``polish``: chosen blocks of a model fitted again, together, from kept summaries; the rest stays or is held.

A climb fits each block with the lower ones as they are. What frames of several elements could still say of these is
lost to it, and a fit of all blocks at once forgets what was known of them. Between the two lies this: a view whose free
blocks are those chosen and those held, and whose prior has the model's own coefficients as its mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ..algebra import ARD, AdaptiveLasso, NoRegularisation, TruncatedSVD, regulariser_to_dict
from ..errors import InputError, MismatchError
from ..evaluation.energies import Model
from ..frames.element_set import ElementSet
from ..model.frozen import check_frozen
from ..model.mixing import mixed_parameters
from ..model.one_body import SAME, one_body_values
from ..model.parameters import Parameters, merge_parameters
from ..model.priors import AUTO as AUTO_MEAN
from ..model.priors import MIXED, ZERO, Prior
from ..model.solution import Solution
from ..text.display import listed
from ..text.problems import Problems
from ..text.words import shown
from .block_order import below_of, blocks_in
from .hierarchy import with_fit
from .view_choice import view
from .view_solutions import as_regulariser, solve
from .weights import AUTO

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from collections.abc import Set as AbstractSet

    from ..algebra import Regulariser
    from ..model.one_body import MissingEnergies
    from .reduction import Summaries
    from .views import View

VALUES: Final = "values"
"""The prior that draws chosen blocks to what the model has of them."""

STIFFEST: Final = 1e16
"""Of ``hold``: beyond it a deviation is rounding."""


# long: its parameters are documented
def polish(
    summaries: Summaries,
    model: Model | Parameters,
    blocks: Sequence[str],
    *,
    regulariser: Regulariser | Mapping[str, Any],
    hold: float | Mapping[str, float] | None = None,
    prior: Prior | Mapping[str, Any] | str = VALUES,
    weights: Mapping[str, float] | str = AUTO,
    objective: str = "lsq",
    sets: Sequence[str] | None = None,
    without: Sequence[str] = (),
    folds: Collection[int] | None = None,
    missing_energies: MissingEnergies = "refuse",
    left_open: Collection[str] = (),
) -> Solution:
    """Fit chosen blocks of a model again, together, and leave the others as they are or near it.

    The problem that is solved is in section 4 of docs/theory.md.

    Parameters
    ----------
    summaries : Summaries
        Of :func:`~hiertl_dist.summarise` or :func:`~hiertl_dist.open_summaries`; they need columns of every block that
        may change.
    model : Model or Parameters
        As a climb made it. Orders and types that it lacks of its blocks stay out.
    blocks : Sequence of str
        That are fitted; also such as the model lacks, which are fitted anew.
    regulariser : Regulariser or Mapping
        What penalises the deviation from the mean of the prior.
    hold : float or Mapping from str to float, optional
        How hard other blocks are drawn to their values: how many times as hard as the regulariser draws the chosen ones
        to theirs, ``100`` for all others, or by block ``{"C": 100, "N": 1e4}``. Those that are not named are frozen;
        default: all others are. Energies of free atoms of blocks that are not chosen stay.
    prior : Prior, Mapping or str
        What chosen blocks are drawn to: ``"values"``, what the model has of them; ``"zero"``, as in a fit without a
        prior; ``"mixed"``, what the model's lower blocks make of theirs; or a table or Prior, whose shape (``decay``,
        ``spread``) holds for blocks that are held, too.
    weights : Mapping from str to float, "auto" or "evidence"
        As of :func:`~hiertl_dist.view`.
    objective : {"lsq", "plain"}
        As of :func:`~hiertl_dist.view`.
    sets : Sequence of str, optional
        As of :func:`~hiertl_dist.view`: default: for one free block its own frames, for several those that have all
        elements of one of them, and no others than theirs.
    without : Sequence of str
        Patterns of sources or compositions that are left out.
    folds : Collection of int, optional
        Numbers of the folds that are used; default: all.
    missing_energies : {"refuse", "fit", "zero"}
        As of :func:`~hiertl_dist.view`.
    left_open : Collection of str
        As of :func:`~hiertl_dist.view`.

    Returns
    -------
    Solution
        Of the blocks that were free, chosen or held; :func:`polished_model` puts it into the model.

    Raises
    ------
    InputError
        A block that is not there, or chosen and held; a strength that is none; a regulariser without a strength beside
        ``hold``; a prior with probes, or that would choose by itself.
    MismatchError
        The model is not the one that was frozen when the rows were summarised, or does not fit their basis.

    Examples
    --------
    >>> fit = hiertl_dist.fit_hierarchy(frames, basis)
    >>> summaries = hiertl_dist.summarise(frames, basis)
    >>> solution = hiertl_dist.polish(summaries, fit.model, ["CN"], hold=100, regulariser={"kind": "ridge", "alpha": 1})
    >>> hiertl_dist.polished_model(fit.model, solution).write("polished.params.txt")
    """
    given, wanted = polish_view(
        summaries, model, blocks, regulariser=regulariser, hold=hold, prior=prior, weights=weights, objective=objective,
        sets=sets, without=without, folds=folds, missing_energies=missing_energies, left_open=left_open,
    )  # fmt: skip
    own = model.parameters if isinstance(model, Model) else model
    return solve(given, wanted, penalty=own.penalty)


def polish_view(
    summaries: Summaries,
    model: Model | Parameters,
    blocks: Sequence[str],
    *,
    regulariser: Regulariser | Mapping[str, Any],
    hold: float | Mapping[str, float] | None = None,
    prior: Prior | Mapping[str, Any] | str = VALUES,
    weights: Mapping[str, float] | str = AUTO,
    objective: str = "lsq",
    sets: Sequence[str] | None = None,
    without: Sequence[str] = (),
    folds: Collection[int] | None = None,
    missing_energies: MissingEnergies = "refuse",
    left_open: Collection[str] = (),
) -> tuple[View, Regulariser]:
    """What a polish solves, and how; parameters and errors are those of :func:`polish`."""
    own = model.parameters if isinstance(model, Model) else model
    whole = {t.block for t in own.basis.types if t.body > 1}
    chosen = [ElementSet.parse(b) for b in ([blocks] if isinstance(blocks, str) else blocks)]
    held = _held(hold, chosen, whole, summaries)
    wanted = as_regulariser(regulariser)
    believed = _prior(prior)
    if not chosen and not held:
        raise InputError("polish: no block is chosen, and none is held: nothing would change")
    if held:
        _require_strength(wanted)
    _check_same(own, summaries)
    for known in (own, *([believed.mean] if isinstance(believed.mean, Parameters) else [])):
        check_frozen(summaries.basis, (), [known.restricted(set(summaries.blocks))])  # of the same functions
    free = [*chosen, *held]
    summaries = _giving(summaries, own, chosen, held)
    inside = {b for b in blocks_in(own) if b.elements <= set(summaries.basis.elements)}
    others = inside - set(free) - {b for f in summaries.frozen for b in blocks_in(f)}
    mean, notes = _mean(prior, believed, own, summaries, chosen, held, whole)
    spread = {t.name: held[t.block] ** -0.5 for t in own.basis.types if t.block in held and t.body > 1}
    given = view(
        summaries, blocks=free, frozen=[own.restricted(others)] if others else (), objective=objective, sets=sets,
        orders={t.name: t.order for t in own.basis.types if t.block in free and t.body > 1}, without=without,
        exclude=[t.name for t in summaries.basis.types if t.body > 1 and t.block in whole & set(free)
                 and own.basis.type_named(t.elements) is None],
        folds=folds, weights=weights, regulariser=wanted if weights == "evidence" else None,
        missing_energies=missing_energies, left_open=left_open,
        prior=replace(believed, mean=mean, spread={**believed.spread, **spread}, probes=0),
    )  # fmt: skip
    given = replace(given, notes=(*given.notes, *notes, *_left_notes(own, summaries, free, whole)))
    return given, wanted


def polished_model(model: Model | Parameters, solution: Solution) -> Model:
    """A model with the blocks of a polish in the place of its own.

    Parameters
    ----------
    model : Model or Parameters
        That was polished.
    solution : Solution
        Of :func:`polish`.

    Returns
    -------
    Model
        All blocks; what the solution does not have is as before, bit for bit.
    """
    own = model.parameters if isinstance(model, Model) else model
    merged = merge_parameters(with_fit([own], solution), overlap="add", penalty=solution.parameters.penalty)
    types = {t.name for t in merged.basis.types}
    # summaries don't tell counts of clusters: those of the climb's frames, which are among the polish's, still hold
    counts = {n: count for n, count in own.fitted_on.items() if n in types} | dict(merged.fitted_on)
    # a held block that no row informs is what it was
    told = {n for n, count in merged.fitted_on.items() if count[1]}
    ways = {n: way for n, way in own.without_data.items() if n in types and n not in told} | dict(merged.without_data)
    return Model(replace(merged, fitted_on=counts, without_data=ways))


def _held(
    hold: float | Mapping[str, float] | None, chosen: Collection[ElementSet], whole: Collection[ElementSet],
    summaries: Summaries,
) -> dict[ElementSet, float]:  # fmt: skip
    """Strengths by block."""
    if hold is None:
        return {}
    if not isinstance(hold, Mapping):
        hold = {b: hold for b in summaries.blocks if b in whole and b not in chosen}
    problems = Problems()
    held = {}
    for name, strength in hold.items():
        block = ElementSet.parse(name)
        if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0.0 < strength <= STIFFEST:
            problems.add(f"hold: block {block}: expected a number above 0, up to {STIFFEST:g}, found {shown(strength)}")
        elif block in chosen:
            problems.add(f"hold: block {block} is chosen to be fitted, and held: take it out of one of them")
        elif block not in whole:
            problems.add(f"hold: the model has no terms of block {block} to be held to, but of {listed(sorted(whole))}")
        elif block not in summaries.blocks:
            problems.add(f"hold: the summaries have columns of {', '.join(summaries.blocks)}, not of {block}")
        else:
            held[block] = float(strength)
    problems.settle()
    return held


def _prior(given: Prior | Mapping[str, Any] | str) -> Prior:
    prior = Prior() if given == VALUES else Prior.of(given)
    if prior.mean == AUTO_MEAN:
        raise InputError('polish: prior: "auto" chooses by the rows of one block; say "values", "mixed" or "zero"')
    if prior.probes:
        raise InputError(
            f"polish: prior: it has {prior.probes} probes, and a polish has none: its mean may be the model's values "
            '("values"), which were fitted with them'
        )
    return prior


def _require_strength(regulariser: Regulariser) -> None:
    if isinstance(regulariser, NoRegularisation | TruncatedSVD | ARD | AdaptiveLasso):
        kind = regulariser_to_dict(regulariser)["kind"]
        raise InputError(
            f"hold: it multiplies the strength of a regulariser, and {kind} has none that is the same for all "
            "coefficients; use ridge, bayesian_ridge, lasso or elastic_net"
        )


def _check_same(own: Parameters, summaries: Summaries) -> None:
    """Raise MismatchError where what was frozen when rows were summarised is not what the model has."""
    values = own.as_dict()
    for frozen in summaries.frozen:
        for column, value in frozen.as_dict().items():
            now = values.get(column)
            if now is None or abs(now - value) > SAME * max(1.0, abs(value)):
                raise MismatchError(
                    f"polish: the rows were summarised with {frozen.source} frozen, whose coefficient of {column} is "
                    f"{value!r}; in the model it is {'not there' if now is None else repr(now)}: summarise with what "
                    "the model has"
                )


def _giving(
    summaries: Summaries, own: Parameters, chosen: Collection[ElementSet], held: Collection[ElementSet]
) -> Summaries:
    """The summaries, with the model's energies of free atoms given where only the rest of their block may move."""
    energies, given = one_body_values([own]), dict(summaries.basis.energies)
    columns = {t.elements[0] for t in summaries.basis.types if t.body == 1}
    for element, energy in given.items():
        if element in energies and abs(energies[element] - energy) > SAME * max(1.0, abs(energy)):
            raise MismatchError(
                f"polish: the basis of the summaries gives the energy {energy!r} kcal/mol of a free atom of {element}, "
                f"the model has {energies[element]!r}"
            )
    stay = {e: x for e, x in energies.items() if ElementSet.of([e]) in held and ElementSet.of([e]) not in chosen}
    if lacking := sorted(set(stay) - columns):
        raise InputError(
            f"polish: the summaries have no column of the energy of a free atom of {', '.join(lacking)}, and the model "
            "has one; summarise with a basis that has one_body terms of it"
        )
    return (
        replace(summaries, basis=summaries.basis.with_energies({**given, **stay}, unit="kcal")) if stay else summaries
    )


def _mean(
    given: Prior | Mapping[str, Any] | str, prior: Prior, own: Parameters, summaries: Summaries,
    chosen: Collection[ElementSet], held: Collection[ElementSet], whole: AbstractSet[ElementSet],
) -> tuple[Parameters | str, tuple[str, ...]]:  # fmt: skip
    """What free blocks are drawn to, and what is said of it."""
    notes: tuple[str, ...] = ()
    kept = set(held)
    if given == VALUES:
        kept |= whole & set(chosen)
        if anew := [b for b in chosen if b not in kept]:
            notes = (f"the model has nothing of {', '.join(anew)}, which is drawn to zero",)
    parts = [own.restricted(kept)] if kept else []
    if isinstance(prior.mean, Parameters):
        there = blocks_in(prior.mean) & set(chosen)
        parts += [prior.mean.restricted(there)] if there else []
    elif prior.mean == MIXED:
        for block in (b for b in chosen if len(b.elements) > 1):
            kinds = [t for t in summaries.basis.types if t.block == block and t.body > 1]
            part = mixed_parameters(summaries.basis, kinds, below_of(block, [own], ()), prior)
            parts.append(part)
            notes = (*notes, *part.notes)
    if not parts:
        return ZERO, notes
    return merge_parameters(parts, overlap="add", penalty=own.penalty), notes


def _left_notes(
    own: Parameters, summaries: Summaries, free: Collection[ElementSet], whole: AbstractSet[ElementSet]
) -> tuple[str, ...]:
    """What is said of blocks that a polish leaves where they are, and should not be thought to follow."""
    notes = []
    lower = set(free)
    made = {ElementSet.of(t.elements) for t in own.basis.types if own.without_data.get(t.name) == MIXED} - lower
    if follow := sorted(b for b in made if any(f.is_proper_subset(b) for f in lower)):
        notes.append(
            f"blocks {listed(follow)} were made of lower blocks that are fitted anew: they keep the coefficients that "
            "they have"
        )
    counted = {t.block for t in summaries.basis.types if t.body > 1}
    if absent := [b for b in summaries.blocks if b in counted and b not in whole and b not in lower]:
        notes.append(f"blocks {listed(absent)} of the summaries are not in the model, and so count for nothing")
    return tuple(notes)
