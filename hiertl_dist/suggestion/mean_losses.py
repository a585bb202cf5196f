"""What means of mixed types will lose when they are projected, estimated before anything is fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import HiertlError
from ..frames.element_set import ElementSet
from ..model.basis import Basis
from ..model.blocks import columns_of
from ..model.mixing import mixed_type, projection_advice
from ..model.parameters import Parameters
from ..model.priors import MIXED, ZERO, Prior
from ..text.display import listed
from ..text.words import percent_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .known_blocks import KnownBlocks
    from .surveying import Survey

TOLD: Final = 0.3
"""Part of the functions of lower blocks that a projection leaves, from which on it is told."""

SEED: Final = 0


def mean_loss_notes(table: Mapping[str, Any], found: Survey, library: KnownBlocks | None = None) -> list[str]:
    """What is said of types of three and four atoms whose means will be no guide.

    A mean of functions with other λ, cutoffs or orders is projected on the functions of the mixed type
    (docs/theory.md, section 4), which loses a part that follows from the functions more than from their coefficients.
    So coefficients of lower blocks are drawn at random here, as the prior believes them; those of a library are its
    own.

    Parameters
    ----------
    table : mapping from str to object
        The input, with ``basis`` and ``fit``.
    found : Survey
        Of the data, for the distances that count.
    library : KnownBlocks, optional
        Whose blocks are not fitted.

    Returns
    -------
    list of str
        Nothing where means are exact, good enough, or not asked for.
    """
    prior = table["fit"]["prior"]
    if prior["mean"] == ZERO:
        return []
    basis = Basis.from_dict(table["basis"])
    lower = [_drawn(basis, e, found, prior["strength"]) for e in basis.elements if not _known(e, library)]
    lower += [] if library is None else [p for b, p in library.blocks.items() if len(b.elements) == 1]
    single = {t.elements for p in lower for t in p.basis.types}
    lost: dict[int, dict[str, float]] = {3: {}, 4: {}}
    for kind in basis.types:
        # those of two elements stand for all: more elements lean on them, and cost as much again
        if kind.body < 3 or len(set(kind.elements)) != 2 or (library is not None and kind.block in library.blocks):
            continue
        if any((e,) * kind.body not in single for e in set(kind.elements)):
            continue
        try:
            lost[kind.body] |= mixed_type(basis, kind, lower, Prior(mean=MIXED)).lost
        except HiertlError:  # a fit says it, with its own coefficients
            continue
    return [note for body, own in lost.items() if (note := _note(body, own))]


def _known(element: str, library: KnownBlocks | None) -> bool:
    return library is not None and ElementSet.of([element]) in library.blocks


def _drawn(basis: Basis, element: str, found: Survey, decay: float) -> Parameters:
    """A block of one element whose coefficients are drawn at random, fitted on the distances of the data."""
    own = basis.restricted([element]).with_energies({})
    rng = np.random.default_rng(SEED)
    values = np.array([rng.normal() * np.exp(-decay * sum(c.powers)) for c in columns_of(own)])
    near = {p.elements: p.shortest for p in found.pairs if p.shortest is not None}
    coverage = {f"{element}:{p.name}": (near[p.elements], p.rmax) for p in own.pairs if p.elements in near}
    return Parameters(own, values, coverage=coverage, source=f"{element}, drawn at random")


def _note(body: int, lost: Mapping[str, float]) -> str:
    """What is said of the types of so many atoms; nothing where they lose little."""
    much = {name: left for name, left in lost.items() if left > TOLD}
    if not much:
        return ""
    low, high = min(much.values()), max(much.values())
    part = " to ".join(dict.fromkeys(percent_text(x) for x in (low, high)))
    return (
        f"means of {body}-body terms, such as {listed(list(much), 3)}, lose about {part} (estimated with coefficients "
        "drawn at random), for orders or λ differ and the functions of lower blocks are projected: such a mean "
        f"is no guide. {projection_advice([body])}; a fit warns with its own numbers"
    )
