"""``block_lattice``: what a fit would make of every block of a basis, before anything is computed.

Nothing is made but counts: of columns by type, of frames by their elements.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from ..frames.element_set import ElementSet
from ..frames.frame_sequence import sequence_of
from ..model.blocks import blocks_of, n_type_columns, sets_used
from ..model.missing_types import (
    counted_clusters,
    notes_on_absent_blocks,
    types_of_lower_blocks_alone,
    types_text,
)
from ..text.display import listed
from .block_lattice import (
    ABSENT,
    FITTED,
    FROZEN,
    LEFT_OUT,
    MIXED,
    NEEDS_FRAMES,
    TOGETHER,
    WITH_TERMS,
    ZERO,
    BlockLattice,
    LatticeRow,
)
from .block_order import blocks_in, blocks_to_make
from .settings import HierarchyOptions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ..frames.frame import Frame
    from ..frames.frame_facts import FrameFacts
    from ..frames.type_names import Elements
    from ..model.basis import Basis
    from ..model.parameters import Parameters


def block_lattice(
    basis: Basis, frames: Sequence[Frame] | None = None, *, frozen: Sequence[Parameters] = (),
    options: HierarchyOptions | None = None, all_at_once: bool = False,
) -> BlockLattice:  # fmt: skip
    """Every block of a basis up to its body order, and what a fit would make of it.

    Parameters
    ----------
    basis : Basis
        Of all blocks.
    frames : Sequence of Frame, optional
        That would be fitted; default: as if there were some of every block.
    frozen : Sequence of Parameters
        Models of blocks that are not fitted.
    options : HierarchyOptions, optional
        As of :func:`~hiertl_dist.fit_hierarchy`.
    all_at_once : bool
        All blocks that are not frozen are fitted together.

    Returns
    -------
    BlockLattice
        Also where a climb would refuse: blocks whose frames are missing say so.

    Raises
    ------
    InputError, BasisError
        An option names what is no set of elements.

    Examples
    --------
    >>> print(hiertl_dist.block_lattice(basis, frames).text())
    """
    options = (options or HierarchyOptions()).normal()
    facts = None if frames is None else sequence_of(frames).facts
    own = {b.name: b for b in blocks_of(basis)}
    sources = {b: f for f in frozen for b in blocks_in(f)}
    names = _names(basis, sources)
    present = set(own) if facts is None else facts.element_sets()
    ways = _ways_together(own, present, sources) if all_at_once else _ways(basis, own, present, frozen, options)
    fits = {b: () if all_at_once else options.together(b)[1:] for b, (way, _) in ways.items() if way == FITTED}
    frames_of, used = _frame_counts(facts, names), _frames_used(facts, fits, options, all_at_once)
    rows = []
    for name in names:
        way, detail = ways.get(name, (ABSENT, ""))
        kinds = [t for t in (sources[name].basis.types if way == FROZEN else basis.types) if t.block == name]
        lower = [] if all_at_once and way == FITTED else _lower(name, names, ways, fits.get(name, ()))
        rows.append(LatticeRow(
            name, tuple(t.name for t in kinds), sum(map(n_type_columns, kinds)), tuple(lower), frames_of[name],
            None if facts is None else used.get(name, 0), way, detail,
        ))  # fmt: skip
    columns = {r.block: r.columns for r in rows}
    problems = [columns[b] + sum(columns.get(f, 0) for f in free) for b, free in fits.items()]
    largest = sum(problems) if all_at_once else max(problems, default=0)
    return BlockLattice(tuple(rows), largest, all_at_once)


def _names(basis: Basis, frozen: Collection[ElementSet]) -> list[ElementSet]:
    """The element sets that a basis could have blocks of, and those of frozen models; small ones first."""
    body = max((t.body for t in basis.types), default=0)
    sizes = range(1, min(body, len(basis.elements)) + 1)
    names = [ElementSet.of(c) for n in sizes for c in itertools.combinations(basis.elements, n)]
    return sorted([*names, *sorted(set(frozen) - set(names))], key=lambda b: len(b.elements))


def _ways(
    basis: Basis, own: Collection[ElementSet], present: Collection[ElementSet], frozen: Sequence[Parameters],
    options: HierarchyOptions,
) -> dict[ElementSet, tuple[str, str]]:  # fmt: skip
    """What a climb makes of each block; see :func:`~hiertl_dist.fitting.block_order.wanted_blocks`."""
    sources = {b: f for f in frozen for b in blocks_in(f)}
    candidates = [b for b in own if (b not in sources if options.only is None else b in options.only)]
    wanted = [b for b in candidates if b in present]
    owner = {lower: b for b in wanted for lower in options.together(b)[1:]}
    made = blocks_to_make(wanted, basis, frozen, options)
    ways: dict[ElementSet, tuple[str, str]] = {}
    for block in dict.fromkeys([*own, *sources]):
        if block in wanted:
            ways[block] = FITTED, f"then anew with {owner[block]}" if block in owner else _prior_text(block, options)
        elif block in owner:
            ways[block] = TOGETHER, owner[block]
        elif block in sources:
            ways[block] = FROZEN, sources[block].source
        elif block in made:
            ways[block] = (MIXED if options.way_of_missing == MIXED else ZERO), "no frame has exactly its elements"
        elif block not in candidates:
            ways[block] = LEFT_OUT, "not chosen"
        else:
            refused = options.way_of_missing == "refuse" or len(block.elements) == 1
            larger = [w for w in wanted if block.is_proper_subset(w)] if refused else []
            needed = larger or (refused and options.only is not None)
            why = f"{larger[0]} stands on it" if larger else "no frame has exactly its elements"
            ways[block] = (NEEDS_FRAMES if needed else LEFT_OUT), why
    return ways


def _ways_together(
    own: Collection[ElementSet], present: Collection[ElementSet], sources: Mapping[ElementSet, Parameters]
) -> dict[ElementSet, tuple[str, str]]:  # fmt: skip
    ways: dict[ElementSet, tuple[str, str]] = {b: (FROZEN, f.source) for b, f in sources.items()}
    for block in own:
        if block not in ways:
            seen = any(block.is_subset(s) for s in present)
            ways[block] = FITTED, "" if seen else "no frame has its elements"
    return ways


def _prior_text(block: ElementSet, options: HierarchyOptions) -> str:
    prior = options.of(block).prior.of_blocks([block.elements])
    if prior.is_flat:
        return ""
    return f"prior {prior.mean if isinstance(prior.mean, str) else prior.mean.source}"


def _lower(
    block: ElementSet, names: Sequence[ElementSet], ways: Mapping[ElementSet, tuple[str, str]],
    free: Collection[ElementSet],
) -> list[ElementSet]:  # fmt: skip
    if ways.get(block, (ABSENT, ""))[0] not in WITH_TERMS:
        return []
    there = [n for n in names if n not in free and ways.get(n, (ABSENT, ""))[0] in (*WITH_TERMS, NEEDS_FRAMES)]
    return [n for n in there if n.is_proper_subset(block)]


def _frame_counts(facts: FrameFacts | None, names: Sequence[ElementSet]) -> dict[ElementSet, int | None]:
    if facts is None:
        return dict.fromkeys(names)
    numbers = dict(zip(facts.set_names, np.bincount(facts.sets, minlength=len(facts.set_names)).tolist(), strict=True))
    return {n: numbers.get(n, 0) for n in names}


def _frames_used(
    facts: FrameFacts | None, fitted: Collection[ElementSet], options: HierarchyOptions, all_at_once: bool
) -> dict[ElementSet, int]:
    """Frames of the fits that a block is free in."""
    if facts is None:
        return {}
    present = facts.element_sets()
    if all_at_once:
        return {b: int(facts.of_sets({s for s in present if b.is_subset(s)}).sum()) for b in fitted}
    sets: dict[ElementSet, frozenset[ElementSet]] = {}
    for block in fitted:
        own = sets_used(present, options.together(block), options.of(block).include_fewer)
        for name in options.together(block):
            sets[name] = sets.get(name, frozenset()) | own
    return {b: int(facts.of_sets(own).sum()) for b, own in sets.items()}


def uninformed_notes(
    basis: Basis, blocks: Collection[ElementSet], frozen: Sequence[Parameters], *, way: str = "refuse"
) -> list[str]:
    """What to say of types that will have no coefficients: no frame informs them, or only lower blocks have terms.

    Parameters
    ----------
    basis : Basis
        Of the fit.
    blocks : Collection of ElementSet
        Those that are fitted.
    frozen : Sequence of Parameters
        Models that are frozen.
    way : {"refuse", "zero", "mixed"}
        What becomes of types without frames: of those that are made of lower blocks, or are zero as was asked for, fits
        say so.

    Returns
    -------
    list of str
        A sentence each, or nothing.
    """
    known = {t.elements for f in frozen for t in f.basis.types}
    types = [*(t for t in basis.types if t.block in blocks), *(t for f in frozen for t in f.basis.types)]
    alone = [
        *types_of_lower_blocks_alone(types, blocks, _acting(basis, blocks, frozen)),
        *absent_notes(basis, blocks, frozen, way),
    ]
    left = [t for t in basis.types if t.body > 1 and t.block not in blocks and t.elements not in known]
    if way != "refuse" or not left:
        return alone
    names = listed(sorted({t.block.name for t in left}))
    return [
        f"WARNING: no frame informs {types_text(t.name for t in left)} (blocks {names}): the model "
        "will have no coefficients for them",
        *alone,
    ]


def absent_notes(
    basis: Basis, blocks: Collection[ElementSet], frozen: Sequence[Parameters], way: str = "refuse"
) -> tuple[str, ...]:  # fmt: skip
    """What to say of cross blocks of which neither the basis nor a frozen model has a type; else nothing.

    Parameters are those of :func:`uninformed_notes`.
    """
    types = [*basis.types, *(t for f in frozen for t in f.basis.types)]
    elements = {e for b in (*blocks, *(b for f in frozen for b in blocks_in(f))) for e in b.elements}
    return notes_on_absent_blocks(types, elements, _acting(basis, blocks, frozen), way)


def _acting(basis: Basis, blocks: Collection[ElementSet], frozen: Sequence[Parameters]) -> set[Elements]:
    """Clusters, as sorted elements, whose terms will count: of fitted blocks those that cutoffs do not switch off."""
    fitted = [t for t in basis.types if t.block in blocks and t.body > 1]
    return {t.elements for t in fitted if all(e.rmin < e.rmax for e in t.edges)} | counted_clusters(frozen)
