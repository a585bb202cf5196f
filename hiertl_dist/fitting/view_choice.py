"""``view``: choose which columns, frozen models, groups and weights of kept-apart summaries make a fit.

Columns that are left out and frozen are taken from each group's factor when the view is solved.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from ..algebra import BayesianRidge
from ..errors import InputError
from ..frames.element_set import ElementSet
from ..frames.pooling import named_sources
from ..frames.rows import Group
from ..model.basis import Basis
from ..model.blocks import blocks_of, columns_of
from ..model.energy_notes import energy_labels, fitted_notes, undetermined_notes
from ..model.frozen import check_frozen, require_parameters
from ..model.one_body import MissingEnergies, OpenEnergies, one_body_values, settled_energies, zero_notes
from ..model.parameters import Parameters
from ..model.priors import AUTO as AUTO_PRIOR
from ..model.priors import Prior
from ..model.solution import Solution
from ..model.truncation import lower_basis
from .reduction import Summaries
from .stored_pooling import refuse_pooled
from .view_priors import with_prior
from .view_solutions import as_regulariser
from .views import View, group_factors, weighted
from .weights import AUTO, EVIDENCE, checked_choice, explicit

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ..algebra import Regulariser
    from ..model.blocks import Block
    from .probe_rows import ProbeRows


# long: its parameters are documented
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
    weights: Mapping[str, float] | str = AUTO,
    regulariser: Regulariser | Mapping[str, Any] | None = None,
    objective: str = "lsq",
    missing_energies: MissingEnergies = "refuse",
    left_open: Collection[str] = (),
    prior: Prior | Mapping[str, Any] | str = "zero",
    probes: ProbeRows | None = None,
) -> View:
    """Choose what to fit.

    Parameters
    ----------
    summaries : Summaries
        Of :func:`~hiertl_dist.summarise` or :func:`~hiertl_dist.open_summaries`.
    blocks : Sequence of str, optional
        That are free; default: all that are not frozen. A block that is neither is absent.
    orders : Sequence of int or Mapping, optional
        Lower orders, ``[n2, n3, n4]`` as PAIRTYP has them for every block, or a table by block (``{"CN": [12, 5, 3]}``)
        or by cluster type (``{"CCN": 4}``); what is not named keeps its order.
    exclude : Sequence of str
        Cluster types (``"CCCN"``) or all of some number of atoms (``"4B"``) that are left out.
    frozen : Sequence of Parameters or Solution
        Models whose contribution is subtracted; of the summaries' blocks, of any lower order.
    sets : Sequence of str, optional
        Element sets whose frames are used. Default: for one block frames of exactly its elements, for several frames
        that have all elements of one of them, and no others than theirs.
    without : Sequence of str
        Patterns of sources or compositions that are left out.
    folds : Collection of int, optional
        Numbers of the folds that are used; default: all.
    weights : Mapping from str to float, "auto" or "evidence"
        ``"auto"``, see :func:`~hiertl_dist.fitting.weights.auto_weights`; ``"evidence"``, see
        :func:`~hiertl_dist.fitting.evidence_weights.evidence_weights`; or by kind, source, composition, ``source/kind``
        or ``composition/kind``; they multiply rows, so the objective holds their squares.
    regulariser : Regulariser or Mapping, optional
        With weights by evidence, the one that the view will be fitted with, ridge or Bayesian ridge, whose prior the
        evidence takes; default: Bayesian ridge.
    objective : {"lsq", "plain"}
        How often rows count: as in chimes_lsq, or once each.
    missing_energies : {"refuse", "fit", "zero"}
        Where energies are fitted, and neither free blocks nor frozen models nor the basis say anything of the energy of
        a free atom: ``"refuse"``, ``"fit"`` it, or ``"zero"`` is meant.
    left_open : Collection of str
        Elements whose energies fits of lower blocks left open: they are fitted here.
    prior : Prior, str or Mapping
        ``"zero"``, ``"mixed"``, ``"auto"`` or a table, see :meth:`~hiertl_dist.model.priors.Prior.of`: what the
        regulariser draws the coefficients to; a mixed mean is made of the frozen models.
    probes : ProbeRows, optional
        Rows of :func:`~hiertl_dist.fitting.probe_rows.reduce_probes`, on which predictions are held to those of the
        mean, as hard as ``probe_weight`` of the prior says.

    Returns
    -------
    View
        To be given to :func:`~hiertl_dist.solve` and :func:`~hiertl_dist.path`.

    Raises
    ------
    InputError
        Something that is named is not there, or was pooled with other sources; an order above that of the summaries,
        nothing is left, or energies of free atoms are missing.
    MismatchError
        A frozen model does not fit the basis.
    """
    frozen_models = [f.parameters if isinstance(f, Solution) else f for f in frozen]
    require_parameters(frozen_models)
    sets, exclude, without = _listed(sets), _listed(exclude) or (), _listed(without) or ()
    free = _free_blocks(summaries, blocks, frozen_models)
    basis = lower_basis(summaries.basis, tuple(b.name for b in free), orders, exclude)
    names = tuple(b.name for b in free if any(t.block == b.name for t in basis.types))
    used = free_sets(summaries, [b.elements for b in free if b.name in names], sets)
    checked_choice(weights)
    if regulariser is not None and weights != EVIDENCE:
        raise InputError(f'view: regulariser: counts with weights = "{EVIDENCE}" alone, found weights {weights!r}')
    _refuse_pooled(summaries, without, explicit(weights))
    factors = group_factors(_choose_groups(summaries, used, without, folds), weights, objective, "view")
    basis, notes = _energies(summaries, basis, free, frozen_models, factors, missing_energies, left_open)
    index_of = {c: i for i, c in enumerate(summaries.columns)}
    kept = np.array([index_of[c] for c in columns_of(basis)], np.intp)
    energies = _given_energies(summaries, factors, names, frozen_models)
    chosen = View(
        summaries, basis, names, kept, tuple(frozen_models), dict(explicit(weights)), objective, factors, energies,
        notes=notes,
    )  # fmt: skip
    wanted = Prior.of(prior)
    if prior == AUTO_PRIOR and probes is None:
        wanted = Prior(mean=AUTO_PRIOR)
    chosen = with_prior(chosen, wanted, (*summaries.frozen, *frozen_models), probes)
    return weighted(chosen, weights, BayesianRidge() if regulariser is None else as_regulariser(regulariser))


def _refuse_pooled(summaries: Summaries, without: Sequence[str], weights: Mapping[str, float]) -> None:
    """Raise InputError where patterns or weights mean a source whose rows were pooled with those of others."""
    if not summaries.pooled:
        return
    matched = {p: [s for s in summaries.pooled if fnmatchcase(s, p)] for p in without}
    refuse_pooled(summaries.pooled, matched, "without")
    refuse_pooled(summaries.pooled, {w: named_sources(summaries.pooled, [w]) for w in weights}, "weights")


def _given_energies(
    summaries: Summaries, groups: Collection[Group], blocks: Sequence[ElementSet], frozen: Sequence[Parameters]
) -> dict[str, float]:
    """Energies that the basis gives, of the elements of these groups and blocks; frozen models say their own."""
    frozen_energies = one_body_values((*summaries.frozen, *frozen))
    elements = {e for g in groups for e in g.elements} | {e for b in blocks for e in b.elements}
    return {e: x for e, x in summaries.basis.energies if e in elements and e not in frozen_energies}


def _free_blocks(summaries: Summaries, blocks: Sequence[str] | None, frozen: Sequence[Parameters]) -> tuple[Block, ...]:
    """The blocks that are free, if the frozen models go with them."""
    frozen_blocks = {t.block for f in frozen for t in f.basis.types}
    free = blocks_of(
        summaries.basis, [b for b in summaries.blocks if b not in frozen_blocks] if blocks is None else blocks
    )
    names = tuple(b.name for b in free)
    if lacking := sorted(set(names) - set(summaries.blocks)):
        raise InputError(f"blocks: the summaries have {', '.join(summaries.blocks)}, not {', '.join(lacking)}")
    check_frozen(summaries.basis, names, frozen)
    _check_frozen_columns(summaries, frozen)
    return free


def _energies(
    summaries: Summaries, basis: Basis, blocks: Sequence[Block], frozen: Sequence[Parameters],
    factors: Mapping[Group, float], missing: MissingEnergies, left_open: Collection[str],
) -> tuple[Basis, tuple[str, ...]]:  # fmt: skip
    """The types of a view with the one-body terms that it fits, and what is said of them."""
    free = [b.name for b in blocks]
    ones = {t.elements[0] for t in summaries.basis.types if t.body == 1}
    columns = {c.elements[0] for c in summaries.columns if not c.powers}
    energetic = [g for g in factors if g.kind == "energy"]
    weightless = missing == "refuse" and not any(factors[g] for g in energetic)
    if weightless:
        missing = "zero"
    # whatever the weights, lest views that differ in them have other columns; summaries that don't keep compositions
    # apart may have any of the elements
    labelled = {e for g in energetic for e in (g.elements or ones)}
    all_frozen = (*summaries.frozen, *frozen)
    settled = settled_energies(
        summaries.basis, free, all_frozen, labelled, missing, left_open, "view", summaries.blocks
    )
    if absent := [e for e in settled.opened if e not in columns]:
        raise InputError(
            f"view: the energies of free atoms of {', '.join(absent)} can't be fitted: the summaries have the blocks "
            f'{", ".join(summaries.blocks)} alone; say missing_energies="fit" to summarise, which keeps a column each'
        )
    one_body = [t for t in basis.types if t.body == 1]
    fitted = {t.elements[0] for t in one_body if t.elements[0] in labelled and t.elements[0] not in settled.given}
    unseen = [t.elements[0] for t in one_body if t.elements[0] not in labelled and t.elements[0] not in settled.given]
    kept = [t for t in basis.types if t.body > 1 or t.elements[0] in fitted]
    kept += [t for t in summaries.basis.types if t.body == 1 and t.elements[0] in settled.opened]
    if not kept:
        raise InputError("nothing is left to fit but one-body terms, and no frame has an energy that tells them")
    of_zero: tuple[str, ...] = () if weightless else zero_notes(settled.zero)
    if weightless and settled.zero:
        of_zero = (f"energies have weight 0, and the model has none of free atoms of {', '.join(settled.zero)}",)
    of_fitted = fitted_notes(settled.opened) if energy_labels(factors) == "some" else ()
    notes = (*of_zero, *of_fitted, *undetermined_notes(OpenEnergies.of(unseen), ElementSet.union(free)))
    return summaries.basis.with_types(kept).with_energies({}), notes


def _listed(given: Sequence[str] | None) -> Sequence[str] | None:
    """One name given as a text is a list of one, and not of its letters."""
    return [given] if isinstance(given, str) else given


def _check_frozen_columns(summaries: Summaries, frozen: Sequence[Parameters]) -> None:
    """Raise InputError where the summaries lack columns that a frozen model has."""
    for model in frozen:
        # an energy that the basis gives is off the labels, and an earlier fit may have stated it
        given = {t for t in model.basis.types if t.body == 1 and t.elements[0] in dict(summaries.basis.energies)}
        if beyond := sorted({t.block for t in set(model.basis.types) - given} - set(summaries.blocks)):
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
        wanted = {ElementSet.parse(s).elements for s in sets}
        if gone := sorted(ElementSet.of(s) for s in wanted - known):
            have = sorted(ElementSet.of(s) for s in known)
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
    all_folds = {g.fold for g in summaries.groups}
    if folds is not None and not set(folds) <= all_folds:
        raise InputError(f"folds: expected some of {sorted(all_folds)}, found {sorted(folds)}")
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
