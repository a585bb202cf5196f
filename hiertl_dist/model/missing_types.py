"""Cluster types that can occur among a model's elements and have no coefficients: missing, and zero is not neutral."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..frames.element_set import ElementSet
from ..frames.type_names import cluster_name, split_symbols
from ..text.display import listed
from ..text.words import count_text
from .basis import Basis
from .parameters import Parameters
from .without_data import ways_of_sum

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..frames.type_names import Elements
    from .cluster_types import ClusterType

NAMED: Final = {2: "pair", 3: "triplet", 4: "quadruplet"}

SHOWN: Final = 6
"""Cluster types of one body that a message names; of eight elements there are hundreds."""

HOW_TO_ANSWER: Final = (
    'fit them (frames that have such clusters, or missing = "mixed" in [fit], which makes them from lower blocks), or '
    "say that they are to count for nothing: --missing zero (in Python missing='zero'), which hiertl-dist merge writes "
    "into a file"
)


def types_without_coefficients(
    given: Parameters | Basis | Sequence[Parameters | Basis], elements: Iterable[str] | None = None
) -> tuple[str, ...]:
    """The cluster types that can occur among some elements and that a model has no terms of.

    Pairs count in every model of more than one-body terms, triplets and quadruplets where it has any of these. Types
    whose cutoffs leave them inactive are there: they were switched off by name.

    Parameters
    ----------
    given : Parameters, Basis, or sequence of these
        The model; several are a sum.
    elements : iterable of str, optional
        Among which; those that the model does not know are passed over. Default: all that it knows.

    Returns
    -------
    tuple of str
        Names such as ``MoNbTa``, pairs first.

    Examples
    --------
    >>> types_without_coefficients(model.parameters, ["Mo", "Nb", "Ta"])
    ('MoNbTa',)
    """
    return tuple(cluster_name(e) for e in missing_clusters(_bases(given), elements))


def missing_clusters(bases: Sequence[Basis], elements: Iterable[str] | None = None) -> list[Elements]:
    """The same of bases, as sorted elements."""
    present = {t.elements for basis in bases for t in basis.types}
    known = {e for basis in bases for e in basis.elements}
    among = sorted(known if elements is None else known & set(elements))
    bodies = {len(e) for e in present} - {1}
    wanted = sorted({2, *bodies}) if bodies else []
    every = (c for body in wanted for c in itertools.combinations_with_replacement(among, body))
    return [c for c in every if c not in present]


def unanswered_clusters(parts: Sequence[Parameters], elements: Iterable[str] | None = None) -> list[Elements]:
    """Clusters that a sum of models has no coefficients for, and of which no model says how that came to be.

    Types count too whose frames had no such cluster when they were fitted.
    """
    answered = ways_of_sum([({t.elements for t in p.basis.types}, p.without_data) for p in parts])
    missing = missing_clusters([p.basis for p in parts], elements)
    among = {e for p in parts for e in p.basis.elements} if elements is None else set(elements)
    # terms that no fitted frame had clusters of say nothing, whatever their coefficients are
    counts: dict[str, int] = {}
    for name, (_, clusters) in (item for p in parts for item in p.fitted_on.items()):
        counts[name] = counts.get(name, 0) + clusters
    missing += [c for name, n in counts.items() if not n and set(c := split_symbols(name)) <= among]
    return [c for c in sorted(missing, key=len) if cluster_name(c) not in answered]


def left_out_types(
    basis: Basis, kept: Basis, blocks: Iterable[str], elements: Iterable[str], lower: Iterable[Elements]
) -> dict[str, str]:
    """Types of some elements that a fit leaves without terms on purpose, as parameters have them.

    That are those that the basis lacks, and of the fitted blocks those that are not among the types that are kept. Of a
    cross block of which neither has a type, and whose lower blocks have terms that count (``lower``, sorted elements),
    nothing is said: nobody has looked at it, and who evaluates it is asked.
    """
    names = {str(b) for b in blocks}
    present = {t.elements for t in basis.types if t.block not in names} | {t.elements for t in kept.types}
    bodies = {2, *(t.body for t in basis.types)} - {1}
    among = sorted(elements)
    every = [c for body in sorted(bodies) for c in itertools.combinations_with_replacement(among, body)]
    unasked = set(clusters_of_absent_blocks((*basis.types, *kept.types), among, lower))
    return {cluster_name(c): "zero" for c in every if c not in present and c not in unasked}


def clusters_of_absent_blocks(
    types: Iterable[ClusterType], elements: Iterable[str], lower: Iterable[Elements]
) -> list[Elements]:
    """Clusters of cross blocks without a single type, of as many atoms as terms of blocks of a part of the elements.

    Parameters
    ----------
    types : iterable of ClusterType
        That have terms or will have.
    elements : iterable of str
        Among which.
    lower : iterable of tuple of str
        Clusters, as sorted elements, whose terms count.

    Returns
    -------
    list of tuple of str
        Sorted elements of each, pairs first.
    """
    there, below = {frozenset(t.elements) for t in types}, set(lower)
    among = sorted(set(elements))
    every = (
        c for body in sorted({len(c) for c in below}) for c in itertools.combinations_with_replacement(among, body)
    )
    absent = [c for c in every if len(set(c)) > 1 and frozenset(c) not in there]
    return with_lower(absent, below)


def with_lower(clusters: Iterable[Elements], lower: Iterable[Elements]) -> list[Elements]:
    """Those clusters for which zero is not neutral: some of a part of their elements, as large, counts."""
    below = list(lower)
    return [c for c in clusters if any(len(b) == len(c) and set(b) < set(c) for b in below)]


def notes_on_absent_blocks(
    types: Iterable[ClusterType], elements: Iterable[str], lower: Iterable[Elements], way: str = "refuse"
) -> tuple[str, ...]:
    """What to say of cross blocks that are absent as a whole, see :func:`clusters_of_absent_blocks`.

    ``way`` is what becomes of types without data: ``"refuse"``, ``"zero"`` or ``"mixed"``.
    """
    lower = set(lower)
    absent = clusters_of_absent_blocks(types, elements, lower)
    if not absent:
        return ()
    blocks = listed(sorted({ElementSet.of(c).name for c in absent}), SHOWN)
    sizes = {len(c) for c in absent}
    known = listed([cluster_name(c) for c in sorted(lower, key=lambda c: (len(c), c)) if len(c) in sizes], SHOWN)
    what = {
        "refuse": "the model will have no coefficients for them, and refuses frames that have such clusters unless it "
        "is said that they count for nothing",
        "zero": 'they are zero in the model, as missing = "zero" says',
        "mixed": 'missing = "mixed" makes only what the basis has: the model will have no coefficients for them',
    }[way]
    advice = "keep these types in the basis (out of exclude)"
    if way != "mixed":
        advice += ', and fit them or, block by block, have them made of lower ones (missing = "mixed" in [fit])'
    return (
        f"WARNING: nothing has terms of {types_text(map(cluster_name, absent))} (blocks {blocks}), and their lower "
        f"blocks have {known}: {what}. Zero is not neutral: {advice}",
    )


def _bases(given: Parameters | Basis | Sequence[Parameters | Basis]) -> list[Basis]:
    parts = [given] if isinstance(given, Parameters | Basis) else given
    return [p.basis if isinstance(p, Parameters) else p for p in parts]


def types_text(names: Iterable[str]) -> str:
    """Cluster types by the number of their atoms, each kind with its number and the first few names."""
    by_body: dict[int, list[str]] = {}
    for name in names:
        by_body.setdefault(len(split_symbols(name)), []).append(name)
    parts = [f"{count_text(len(own), NAMED[body])} ({listed(own, SHOWN)})" for body, own in sorted(by_body.items())]
    return ", ".join(parts)


def missing_notes(parts: Sequence[Parameters], what: str) -> tuple[str, ...]:
    """What to say of a model, a sum of parts, that can meet types without coefficients; nothing if it can't."""
    clusters = unanswered_clusters(parts)
    if not clusters:
        return ()
    return (
        f"WARNING: {what} has no coefficients for {types_text(map(cluster_name, clusters))} of its elements: zero, "
        "which is not neutral; frames that contain such clusters are refused in evaluation unless it is said that they "
        "count for nothing (--missing zero)",
    )


def zero_notes(parts: Sequence[Parameters], what: str) -> tuple[str, ...]:
    """What to say of a model, a sum of parts, that is without types that its lower blocks have, and says so."""
    zeros = stated_zeros(parts)
    if not zeros:
        return ()
    return (
        f"{what} says that it is without terms of {types_text(map(cluster_name, zeros))} on purpose: they count for "
        "nothing in evaluation, and their lower blocks have such terms, so zero is not neutral",
    )


def stated_zeros(parts: Sequence[Parameters]) -> list[Elements]:
    """Clusters, as sorted elements, that a sum of models says it is without on purpose, and that lower blocks have.

    Pairs first. Types that no lower block has of as many atoms lack nothing: for them zero is neutral.
    """
    ways = ways_of_sum([({t.elements for t in p.basis.types}, p.without_data) for p in parts])
    zeros = (split_symbols(name) for name, way in ways.items() if way == "zero")
    return sorted(with_lower(zeros, counted_clusters(parts)), key=len)


def stating_zeros_of(parameters: Parameters) -> Parameters:
    """The same model, which says of all cluster types of its elements that it lacks that they count for nothing."""
    lacking = {cluster_name(c): "zero" for c in missing_clusters([parameters.basis])}
    return replace(parameters, without_data={**lacking, **parameters.without_data})


def types_of_lower_blocks_alone(
    types: Iterable[ClusterType], blocks: Iterable[ElementSet], lower: Iterable[Elements]
) -> tuple[str, ...]:
    """What to say of blocks that lack types of a number of atoms that their lower blocks have.

    Parameters
    ----------
    types : iterable of ClusterType
        That have terms or will have. Those that their cutoffs switch off are there: by name.
    blocks : iterable of ElementSet
        Those that are fitted.
    lower : iterable of tuple of str
        Clusters, as sorted elements, whose terms count.

    Returns
    -------
    tuple of str
        A sentence for each such block and number of atoms.
    """
    there, below = {t.elements for t in types}, set(lower)
    notes = []
    for block in sorted({b for b in blocks if len(b.elements) > 1}):
        own = set(block.elements)
        for body, kind in NAMED.items():
            counted = sorted(c for c in below if len(c) == body and set(c) < own)
            every = itertools.combinations_with_replacement(sorted(own), body)
            absent = [c for c in every if set(c) == own and c not in there]
            if counted and absent:
                known, lacking = (listed(list(map(cluster_name, some)), SHOWN) for some in (counted, absent))
                notes.append(
                    f"WARNING: {block.name} has no {lacking}, and its lower blocks have {known}: these {kind}s count "
                    "among its atoms too, and those that it lacks are zero, which is not neutral. Give it all of them, "
                    "or its lower blocks none"
                )
    return tuple(notes)


def counted_clusters(parts: Iterable[Parameters]) -> set[Elements]:
    """Clusters, as sorted elements, of whose terms some of several models have one that is not zero, and acts."""
    off = {t.elements for p in parts for t in p.basis.types if any(e.rmin >= e.rmax for e in t.edges)}
    return {
        c.elements
        for p in parts
        for c, value in zip(p.columns, p.coefficients, strict=True)
        if value and len(c.elements) > 1 and c.elements not in off
    }


def notes_on_lower_blocks(parameters: Parameters, frozen: Sequence[Parameters]) -> tuple[str, ...]:
    """The same of a fit: its parameters, and the models that were frozen for it."""
    parts = (parameters, *frozen)
    types = [t for p in parts for t in p.basis.types]
    return types_of_lower_blocks_alone(types, {t.block for t in parameters.basis.types}, counted_clusters(parts))
