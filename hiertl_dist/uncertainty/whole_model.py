"""``hierarchy_posterior``: how far a model that was fitted block by block can be trusted, also where no frame was.

Formulas are in section 10 of docs/theory.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..algebra import TruncatedSVD, regulariser_from_dict
from ..errors import InputError
from ..evaluation.energies import Model
from ..fitting.hierarchy import HierarchyFit
from ..fitting.views import combined_factor
from ..frames.element_set import ElementSet
from ..frames.rows import SUMMARY_KINDS, kind_codes, person_kind
from ..frames.type_names import cluster_name, split_symbols
from ..model.blocks import columns_of
from ..model.missing_types import stated_zeros, types_text
from ..model.mixing_matrix import MadeType, made_types
from ..text.display import Shown
from ..text.display import listed as listed_names
from .block_posterior import BlockPosterior
from .noise import distribution, noise_in_sample
from .predictive import (
    ModelPosterior,
    Prediction,
    Predictor,
    RowMaker,
    free_coefficients,
    posterior,
    spread_of,
    weights_of,
    with_labels,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from numpy.typing import NDArray

    from ..evaluation.frame_rows import InnerPolicy
    from ..fitting.block_fit import BlockFit
    from ..fitting.views import View
    from ..frames.frame import Frame
    from ..model.basis import ClusterType, Elements
    from ..model.solution import Solution
    from .noise import KindNoise

NAMED = 6
"""Types that a note names."""


@dataclass(frozen=True, eq=False, repr=False)
class HierarchyPosterior(Shown, Predictor):
    """A model of several blocks with what each of them leaves open: see :func:`hierarchy_posterior`.

    Attributes
    ----------
    model : Model
        The sum of all blocks.
    blocks : Mapping from str to BlockPosterior
        By name, those that were fitted; others, frozen models, count as known.
    made : tuple of MadeType
        Types that were made by mixing.
    notes : tuple of str
        What does not count in the deviations.
    factors : Mapping from str to float
        By kind of labels, what standard deviations are multiplied with: see
        :class:`~hiertl_dist.uncertainty.sigma_factors.SigmaFactors`.
    """

    model: Model
    blocks: Mapping[str, BlockPosterior]
    made: tuple[MadeType, ...] = ()
    notes: tuple[str, ...] = ()
    factors: Mapping[str, float] = field(default_factory=dict)

    @property
    def models(self) -> tuple[Model, ...]:
        """The model, for what is asked of a posterior."""
        return (self.model,)

    @property
    def elements(self) -> frozenset[str]:
        """The elements that a frame may have."""
        return frozenset(self.model.elements)

    def of_set(self, elements: ElementSet) -> BlockPosterior | None:
        """The fit of the frames of an element set.

        Parameters
        ----------
        elements : ElementSet
            Of the frames.

        Returns
        -------
        BlockPosterior or None
            The one in whose solve the block of these elements was free, if there is one.
        """
        return next((part for part in self.blocks.values() if elements in part.blocks), None)

    def _task(self, policy: InnerPolicy, source: str) -> Callable[[Frame], Prediction]:
        return partial(_predict_whole, given=self, policy=policy, source=source)


def hierarchy_posterior(
    fits: HierarchyFit | Sequence[ModelPosterior | BlockPosterior], model: Model | None = None
) -> HierarchyPosterior:  # fmt: skip
    """The uncertainty of a model that was fitted block by block, for :func:`~hiertl_dist.predict`.

    A frame with the elements of a block that was fitted has that block's deviations and noise, lower blocks counting as
    known, for its fit has seen what they leave. Any other frame has the deviations of all blocks, and the noise of the
    blocks of its elements. Types that were made by mixing are functions of the blocks that they were made of.

    Where no frame of a block was, its predictions are off by what its prior may be off. A block that is held on probe
    structures is thought to be off there by the part of the forces that its mean leaves of its own frames, times the
    forces that the mean says of the probes; elsewhere in proportion to the root of the leverage.

    Parameters
    ----------
    fits : HierarchyFit or sequence of ModelPosterior or BlockPosterior
        The fit, or the posteriors of all blocks, :func:`~hiertl_dist.posterior` of each.
    model : Model, optional
        The sum of the blocks, needed with a sequence.

    Returns
    -------
    HierarchyPosterior
        For frames of any elements of the model.

    Raises
    ------
    InputError
        A sequence without a model; a fit whose rows were kept as normal equations; two posteriors of one block.
    MismatchError
        A posterior whose coefficients are not those of the model.
    """
    if isinstance(fits, HierarchyFit):
        known = [fit_posterior(f) for f in fits.fits.values()]
        model = fits.model
    elif model is None:
        raise InputError("hierarchy_posterior: with posteriors of blocks the model that is their sum is needed")
    else:
        known = [f if isinstance(f, BlockPosterior) else BlockPosterior.of(f) for f in fits]
    blocks: dict[str, BlockPosterior] = {}
    for given in known:
        given.require_part_of(model.parameters)
        if given.name in blocks:
            raise InputError(f"hierarchy_posterior: two posteriors are of block {given.name}")
        blocks[given.name] = given
    fitted = {t for given in known for t in given.types}
    made, _ = made_types(model.parameters, fitted)
    return HierarchyPosterior(
        model, blocks, tuple(made), _notes(blocks, model, unfitted_types(model, fitted, made), made)
    )


def unfitted_types(
    model: Model, fitted: Collection[Elements], made: Iterable[MadeType]
) -> list[ClusterType]:  # fmt: skip
    """Types of a model, but single atoms, that are neither among those fitted nor were made of others."""
    names = {m.name for m in made}
    return [
        t for t in model.parameters.basis.types if t.body > 1 and t.elements not in fitted and t.name not in names
    ]  # fmt: skip


def fit_posterior(fit: BlockFit) -> BlockPosterior:
    """What the fit of a block leaves open, for a file; raises as :func:`block_posterior` does."""
    return BlockPosterior.of(block_posterior(fit))


def view_posterior(given: View, solution: Solution) -> BlockPosterior:
    """What a solution of a view of summaries leaves open, for a file, its noise from its own rows.

    Raises as :func:`~hiertl_dist.posterior` does.
    """
    return BlockPosterior.of(posterior(given, solution, held_out=False))


def block_posterior(fit: BlockFit) -> ModelPosterior:
    """The posterior of a block as it was fitted, its noise from its own rows.

    Parameters
    ----------
    fit : BlockFit
        Of :func:`~hiertl_dist.fit_block`. Its summaries do not keep sizes apart: the noise of energies is
        √(Σ e² / Σ n²).

    Returns
    -------
    ModelPosterior
        As of :func:`~hiertl_dist.posterior`.

    Raises
    ------
    InputError
        Truncated SVD; rows kept as normal equations.
    """
    regulariser = regulariser_from_dict(fit.solution.regulariser)
    if isinstance(regulariser, TruncatedSVD):
        raise InputError("posterior: svd says nothing about the directions that it cuts off; use ridge")
    given = fit.view
    if given is None:
        raise InputError(f"posterior: the fit of {', '.join(fit.solution.blocks)} does not keep what was solved")
    values = free_coefficients(given, fit.solution)
    linear, _ = distribution(given, combined_factor(given), regulariser, known=values)
    noise = noise_in_sample(given, linear, values)
    if "energy" in noise:
        noise["energy"] = replace(noise["energy"], noise=noise["energy"].noise / fit.energy_atoms)
    return ModelPosterior(given, fit.solution, linear, noise)


def _notes(
    blocks: Mapping[str, BlockPosterior], model: Model, other: Sequence[ClusterType], made: Sequence[MadeType]
) -> tuple[str, ...]:  # fmt: skip
    """What counts as known, what is not in σ, and which blocks say nothing of what is far from their frames."""
    alone = [n for n, part in blocks.items() if len(part.name.elements) > 1 and not part.probed]
    names = [t.name for t in other]
    notes = [f"{listed_names(names, NAMED)} were not fitted here and count as known"] if other else []
    if alone:
        notes.append(
            f"blocks {listed_names(alone, NAMED)} are held on no probes: nothing tells how far they are off where none "
            "of their frames is"
        )
    if unseen := [m.name for m in made if not _is_of_fitted_mixtures(m, blocks)]:
        notes.append(
            f"WARNING: {listed_names(unseen, NAMED)} were made by mixing of single elements alone: σ holds what these "
            "leave open, not how far mixing is off: errors may be many times σ, and leverages say nothing of it"
        )
    if zeros := stated_zeros([model.parameters]):
        notes.append(
            f"WARNING: the model is without terms of {types_text(map(cluster_name, zeros))} on purpose: σ holds "
            "nothing of what they would add, so errors of frames that have them may be many times σ"
        )
    return tuple(notes)


def _is_of_fitted_mixtures(made: MadeType, blocks: Mapping[str, BlockPosterior]) -> bool:
    """Whether a fitted block of several of a made type's elements tells how far mixing is off."""
    own = set(split_symbols(made.name))
    return any(len(part.name.elements) > 1 and set(part.name.elements) <= own for part in blocks.values())


def _predict_whole(frame: Frame, *, given: HierarchyPosterior, policy: InnerPolicy, source: str) -> Prediction:
    mean = given.model.evaluate(frame, policy=policy, missing="zero")[0]  # ``predict`` has asked
    full = with_labels(frame)
    own = given.of_set(frame.element_set)
    squares, leverage_sum, leverage_max = np.zeros(len(kind_codes(full))), 0.0, 0.0
    for part, mine in rows_by_part(full, given, policy):
        leverages = part.linear.leverage(mine)
        squares += part.deviation**2 * leverages
        weighted = weights_of(full, part.weights, part.objective, source) ** 2 * leverages
        leverage_sum, leverage_max = leverage_sum + float(weighted.sum()), max(leverage_max, float(weighted.max()))
    factor = np.array([given.factors.get(person_kind(kind), 1.0) for kind in SUMMARY_KINDS])[kind_codes(full)]
    total = factor * np.sqrt(squares + _noise(full, given, own) ** 2)
    return Prediction(
        frame.origin, mean, spread_of(full, factor * np.sqrt(squares)), spread_of(full, total), leverage_sum,
        leverage_max,
    )  # fmt: skip


def rows_by_part(
    full: Frame, given: HierarchyPosterior, policy: InnerPolicy
) -> list[tuple[BlockPosterior, NDArray[np.float64]]]:
    """The unweighted rows of a frame that has all labels, by the fits whose coefficients its prediction rests on.

    These are the fit of its elements, the blocks below counting as known, or else all.
    """
    basis = given.model.parameters.basis
    names = tuple(dict.fromkeys(t.block for t in basis.types))
    maker = RowMaker(basis, names, {}, "lsq", policy)
    columns = columns_of(basis)
    rows = np.array(maker.rows(full))
    for kind in given.made:  # what was made is of the blocks that it was made of
        rows += (kind.matrix.T @ rows[:, kind.columns].T).T
        rows[:, kind.columns] = 0.0
    place = {c: i for i, c in enumerate(columns)}
    own = given.of_set(full.element_set)
    found = []
    for part in list(given.blocks.values()) if own is None else [own]:
        known = [(i, place[c]) for i, c in enumerate(part.columns) if c in place]
        mine = np.zeros((len(rows), len(part.columns)))
        mine[:, [i for i, _ in known]] = rows[:, [j for _, j in known]]
        found.append((part, mine))
    return found


def _noise(full: Frame, given: HierarchyPosterior, own: BlockPosterior | None) -> NDArray[np.float64]:
    """(rows,) noise of the labels of a frame: of its own block, or root mean squares of those of its elements."""
    codes = kind_codes(full)
    kinds = [person_kind(kind) for kind in SUMMARY_KINDS]

    def of(part: BlockPosterior | None) -> NDArray[np.float64]:
        known: Mapping[str, KindNoise] = {} if part is None else part.noise
        return np.array([known[k].noise if k in known else np.nan for k in kinds])

    if own is not None:
        values = of(own)[codes]
    else:
        by_atom = np.array([of(given.of_set(ElementSet.of([e]))) for e in full.species])
        values = np.sqrt(np.mean(by_atom**2, axis=0))[codes]
        values[: 3 * len(full)] = np.repeat(by_atom[:, 0], 3)
    return np.asarray(values * np.where(codes == len(kinds) - 1, len(full), 1))
