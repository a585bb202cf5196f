"""Priors of views: the numbers that a prior means for the columns of a view, from models of lower blocks and probes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ..algebra.deviation import Deviation
from ..errors import InputError
from ..evaluation.energies import Model
from ..frames.element_set import ElementSet
from ..model.blocks import columns_of
from ..model.mixing import Mean, prior_mean, with_factors
from ..model.parameters import Parameters, check_same_cutoffs, check_same_pairs
from ..model.priors import AUTO, MIXED, ZERO, prior_scale, unknown_spread
from ..probes.lattice_volumes import known_of_models
from ..probes.reassigning import reassigned_frames
from ..text.display import listed
from ..units import EV
from .asked_prior import AskedPrior
from .mean_choice import chosen_prior, estimated_weight
from .probe_rows import ProbeRows, force_size, reduce_probes

CALM: Final = 0.2
"""Groups of frames of an element whose forces are smaller than this part of those of its liveliest group are near a
lattice, and make no probes."""

MOST_OF_GROUP: Final = 20
"""Frames, at most, that tell the size of the forces of a group."""

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..frames.frame_sequence import FrameSequence
    from ..frames.rows import Group
    from ..model.basis import Basis
    from ..model.priors import Prior
    from .views import View


def with_prior(given: View, prior: Prior, lower: Sequence[Parameters], probes: ProbeRows | None = None) -> View:
    """The view with a prior.

    Parameters
    ----------
    given : View
        Without one.
    prior : Prior
        What is believed of its coefficients.
    lower : sequence of Parameters
        Models of lower blocks, from which a mixed mean is made.
    probes : ProbeRows, optional
        Rows of probe structures, unweighted, on which predictions are held to those of the mean.

    Returns
    -------
    View
        With the same columns, groups and weights.

    Raises
    ------
    InputError
        A mixed mean of a block that leans on a block that is free itself, or the spread names no type.
    """
    prior = prior.of_blocks([b.elements for b in given.blocks])
    if prior.is_flat:
        return replace(given, prior=prior, deviation=None)
    if unknown := unknown_spread(prior, given.summaries.basis):
        raise InputError(f"prior.spread: {unknown} name no cluster type or body (such as 3B) of the basis")
    if note := _fitted_together(given, prior):
        return with_prior(replace(given, notes=(*given.notes, note)), replace(prior, mean=ZERO, probes=0), lower)
    if prior.probes and probes is None:
        raise InputError(
            f"prior: it has {prior.probes} probes, whose rows are to be given: probes = reduce_probes(…), or probes = 0"
        )
    if probes is not None and not probes.frames:  # none could be made, which its notes say
        given, prior = replace(given, notes=(*given.notes, *probes.notes)), replace(prior, probes=0)
    if isinstance(prior.mean, Parameters):
        check_mean(given.basis, prior.mean)
    unscaled = replace(prior, gamma=(1.0, 1.0, 1.0)) if prior.mean == AUTO else prior
    return _settled(
        given, AskedPrior(prior, prior_mean(unscaled, given.basis, given.columns, lower), probes, given.factors)
    )


def without_fold(given: View, fold: int) -> View:
    """The view as it is for a fit to all folds but one: what rows choose of its prior, the rows of these choose.

    Parameters
    ----------
    given : View
        With the rows of all folds.
    fold : int
        The one that is left out.

    Returns
    -------
    View
        With the groups of the other folds alone, where its prior has something to choose; as it is otherwise.
    """
    if given.asked is None:
        return given
    # with the weights that rows had when all of them chose: automatic ones come later
    before = {g: w for g, w in given.asked.factors.items() if g.fold != fold}
    chosen = _settled(replace(given, factors=before, deviation=None), given.asked)
    return replace(chosen, factors={g: w for g, w in given.factors.items() if g.fold != fold})


def redrawn(given: View, times: Mapping[Group, int]) -> View:
    """The view as it is for rows that are there several times, or not at all: what rows choose, these rows choose.

    Parameters
    ----------
    given : View
        With the rows of all groups once.
    times : Mapping from Group to int
        How often the rows of each group are there.

    Returns
    -------
    View
        Without the groups that are not there; the factors of others times the root of their number.
    """

    def repeated(factors: Mapping[Group, float]) -> dict[Group, float]:
        # rows that are there m times are rows of weight √m
        return {g: w * float(np.sqrt(times[g])) for g, w in factors.items() if times.get(g)}

    if given.asked is None:
        return replace(given, factors=repeated(given.factors))
    # rows choose as they are, whatever their weights, and as often as they are there
    asking = {g: w for g, w in given.asked.factors.items() if times.get(g)}
    own = replace(given, factors=asking, deviation=None)
    return replace(_settled(own, given.asked, times), factors=repeated(given.factors))


def _settled(given: View, asked: AskedPrior, times: Mapping[Group, int] | None = None) -> View:
    """The view with what its rows choose of a prior: the mean where it is "auto", the weight of probes if none is.

    ``times``: how often the rows of each group are there, if not once.
    """
    prior, mean, probes = asked.prior, asked.mean, asked.probes
    notes = given.notes
    chooses = prior.mean == AUTO
    if prior.mean == AUTO:
        chosen, note = chosen_prior(given, prior, with_factors(mean, prior.gamma, given.columns), times)
        notes = (*notes, note)
        if chosen.mean == MIXED:
            mean = with_factors(mean, chosen.gamma, given.columns)
        else:
            mean, probes = Mean(np.zeros(len(given.columns))), None
        prior = chosen
    notes, rows, weight = (*notes, *mean.notes), None, 1.0
    if probes is not None and prior.probes and (prior.probe_weight != 0.0 or prior.probe_energy is not None):
        chooses = chooses or prior.probe_weight is None or prior.probe_energy is not None
        prior, rows, weight, said = _held(given, prior, mean.values, probes, times)
        notes = (*notes, *said, *probes.notes)
    deviation = None if prior.is_flat else Deviation(mean.values, prior_scale(prior, given.columns), rows, weight)
    return replace(given, prior=prior, deviation=deviation, notes=notes, asked=asked if chooses else None)


def _held(
    given: View, prior: Prior, mean: NDArray[np.float64], probes: ProbeRows, times: Mapping[Group, int] | None
) -> tuple[Prior, NDArray[np.float64], float, list[str]]:
    """The prior with the weight of its probes, their rows and what multiplies these, and what is said of strengths."""
    forces = probes.in_order(given.columns)
    if prior.probe_weight is not None and prior.probe_energy is None:
        return prior, forces, prior.probe_weight, []
    estimate, said = estimated_weight(given, mean, probes, times), []
    known = np.isfinite(estimate.noise) and estimate.noise > 0.0
    if not known and (prior.probe_force is not None or prior.probe_energy is not None):
        raise InputError(
            "prior.probe_force, prior.probe_energy: a strength is beside the error of forces, of which there are none; "
            "say probe_weight"
        )
    if prior.probe_force is not None:
        weight = estimate.noise / (prior.probe_force * EV)
        said.append(f"probes have the weight {weight:.2g}: forces are held to about {prior.probe_force:g} eV/Å")
    elif prior.probe_weight is not None:
        weight = prior.probe_weight
    else:
        weight = estimate.weight
        about = f"; forces are held to about {estimate.noise / weight / EV:.2g} eV/Å" if known else ""
        said.append(f"{estimate.note}{about}")
        prior = replace(prior, probe_weight=weight)
    if prior.probe_energy is not None:
        if not len(probes.energies):
            raise InputError("prior.probe_energy: the rows of probes that are given have no energies")
        own = estimate.noise / (prior.probe_energy * EV / 1000.0)
        said.append(f"energies of probes are held to about {prior.probe_energy:g} meV/atom, with the weight {own:.2g}")
        energies = probes.in_order(given.columns, "energy")
        if weight == 0.0:
            return prior, np.concatenate([np.zeros_like(forces), own * energies]), 1.0, said
        return prior, np.concatenate([forces, own / weight * energies]), weight, said
    return prior, forces, weight, said


def notes_of_evidence(given: View, hyperparameters: Mapping[str, float]) -> tuple[str, ...]:
    """What evidence has to do with the probes of a view: how hard its noise makes them, and which weights lack them.

    Parameters
    ----------
    given : View
        That was solved.
    hyperparameters : Mapping from str to float
        Those of the answer; ``noise``, of a row of weight 1, where evidence chose it.

    Returns
    -------
    tuple of str
        Nothing without probes.
    """
    own, noise, said = given.deviation, hyperparameters.get("noise", 0.0), []
    if own is None or own.rows is None:
        return ()
    by_evidence = given.automatic is not None and given.automatic.regulariser is not None
    if noise > 0.0 and given.prior.probe_weight != 0.0:
        held = noise / own.weight / EV
        said.append(f"with the noise that the evidence finds, forces on probes are held to about {held:.2g} eV/Å")
    if by_evidence:
        more = "; alpha and noise of the fit, whose prior has them, are others" if noise > 0.0 else ""
        said.append(f"weights by evidence are estimated without the probes{more}")
    return tuple(said)


def _fitted_together(given: View, prior: Prior) -> str:
    """Why there is no mixed mean where "auto" looks for one: blocks that others lean on are fitted with these.

    Nothing where there is one. Raises InputError where it was asked for.
    """
    free = {b for b in given.blocks if len(b.elements) == 1}
    leaning = [b for b in given.blocks if any(f.is_proper_subset(b) for f in free)]
    if not leaning or prior.mean not in (MIXED, AUTO):
        return ""
    if prior.mean == AUTO:
        return f"prior auto: zero, for block {leaning[0]} is fitted together with blocks of single elements"
    together = ", ".join(sorted(f for f in free if f.is_proper_subset(leaning[0])))
    raise InputError(
        f"prior: block {leaning[0]} leans on blocks of single elements, and {together} is fitted together with it; "
        'freeze it, or say prior = "zero"'
    )


def check_mean(basis: Basis, mean: Parameters) -> None:
    """Raise MismatchError where parameters that are to be a mean are of other functions than those of a basis."""
    check_same_pairs(basis, mean.basis, "the basis", f"the mean of the prior, {mean.source}")
    for kind in mean.basis.types:
        if (own := basis.type_named(kind.elements)) is not None:
            check_same_cutoffs(own, kind, "the basis", f"the mean of the prior, {mean.source}")


def probe_rows_of(
    prior: Prior, frames: FrameSequence, basis: Basis, blocks: Sequence[ElementSet], *,
    lower: Sequence[Parameters], probes: Sequence[Frame] | None, executor: Executor, memory: int | None,
) -> ProbeRows | None:  # fmt: skip
    """Rows of the probe structures that a prior wants for some blocks.

    Parameters
    ----------
    prior : Prior
        Says whether, and how many.
    frames : FrameSequence
        All that there are: those of single elements are made into probes, and those of the blocks' elements tell the
        size of forces.
    basis : Basis
        Whose columns are made.
    blocks : sequence of ElementSet
        The blocks that are free.
    lower : sequence of Parameters
        Models of lower blocks.
    probes : sequence of Frame or None
        Structures that are taken as they are, as far as they have all elements of the blocks.
    executor : Executor
        Who does the work.
    memory : int or None
        Bytes that all workers may take together; ``None``: what is available.

    Returns
    -------
    ProbeRows or None
        None where the prior wants none, or the blocks are of single elements, which have nothing to lean on.

    Raises
    ------
    InputError
        No structure has the elements, or none can be made.
    """
    if not has_probes(prior, blocks):
        return None
    whole = ElementSet.union(blocks)
    notes: tuple[str, ...] = ()
    if probes is None:
        try:
            chosen, said = _made(prior, frames, basis, whole, lower)
        except InputError as error:
            if prior.mean == AUTO:  # it goes without
                note = f"probes of {whole} could not be made: {error}"
                columns = columns_of(basis, blocks)
                return ProbeRows(columns, np.zeros((0, len(columns))), 0, 0, (note,))
            raise InputError(f"probes of {whole}: {error}; give structures (probes), or a prior without") from error
        notes = tuple(f"probes: {note}" for note in said)
    else:
        chosen = [f for f in probes if f.element_set == whole]
        if not chosen:
            raise InputError(f"probes: none of the {len(probes)} structures given has exactly the elements of {whole}")
    # of the single elements too: the block's own frames may all be near a lattice, where forces are small
    inside = [s for s in frames.facts.element_sets() if s.elements <= whole.elements]
    own = frames.take(np.flatnonzero(frames.facts.of_sets(inside)))
    return reduce_probes(
        chosen, basis, blocks, executor=executor, lower=lower, reference=force_size(own), memory=memory, notes=notes
    )


def has_probes(prior: Prior, blocks: Sequence[ElementSet]) -> bool:
    """Whether a prior holds blocks on probes: not where they lean on nothing, or on what is fitted with them."""
    single = [b for b in blocks if len(b.elements) == 1]
    together = any(s.is_proper_subset(b) for s in single for b in blocks)
    return prior.mean != ZERO and bool(prior.probes) and not together and len(single) < len(blocks)


def _made(
    prior: Prior, frames: FrameSequence, basis: Basis, whole: ElementSet, lower: Sequence[Parameters]
) -> tuple[list[Frame], list[str]]:
    """Probe structures of a set of elements, and what is said of them."""
    lively, said = _lively(frames, whole)
    alone = {e for s in lively.facts.element_sets() for e in s.elements}
    models = [Model(p) for p in lower] if whole.elements - alone else []
    volumes, shortest, known = known_of_models(models, whole.elements - alone)
    made = reassigned_frames(
        lively, whole.elements, prior.probes, seed=prior.seed, basis=basis, volumes=volumes, shortest=shortest
    )
    return list(made.frames), [*said, *known, *made.notes]


def _lively(frames: FrameSequence, whole: ElementSet) -> tuple[FrameSequence, list[str]]:
    """Frames of the single elements of a set, without groups that are :data:`CALM`, and what is said of these."""
    facts = frames.facts
    kept, calm = np.zeros(len(frames), np.bool_), []
    for element in sorted(whole.elements):
        own = facts.of_sets([ElementSet.of([element])])
        groups = {int(g): np.flatnonzero(own & (facts.group == g)) for g in np.unique(facts.group[own])}
        sizes = {g: force_size(frames.take(places), MOST_OF_GROUP) for g, places in groups.items()}
        least = CALM * max((s for s in sizes.values() if s is not None), default=0.0)
        for group, size in sizes.items():
            if size is not None and size < least:
                calm.append(facts.group_names[group])
            else:
                kept[groups[group]] = True
    said = [f"groups {listed(sorted(set(calm)), 5)} passed over: their forces are small beside others"] if calm else []
    return frames.take(np.flatnonzero(kept)), said
