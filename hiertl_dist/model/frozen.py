"""Models that stay as they are while others are fitted.

Whether they fit the basis, their wall, and a fit as a model.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, MismatchError
from ..frames.frame_sequence import sequence_of
from ..frames.type_names import split_symbols
from .basis import cluster_name
from .blocks import columns_of
from .cluster_types import ClusterType
from .parameters import IN_FIT, Parameters, Penalty, check_same_cutoffs, check_same_pairs, different_walls

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ..frames.frame import Frame
    from .basis import Basis
    from .blocks import Column


def check_frozen(basis: Basis, free: Collection[str], frozen: Sequence[Parameters]) -> None:
    """Raise MismatchError unless frozen models fit the basis; both values are named.

    Pairs and the cutoff function must agree; where the basis keeps a type that is frozen, so must its cutoffs, and the
    frozen order may be lower (missing coefficients are zero) but not higher. Types that the basis excludes take all
    from the frozen model. A frozen model must not hold terms of a block that is being fitted; where this block is the
    energy of a free atom alone, it must not hold that energy.
    """
    require_parameters(frozen)
    free = set(free)
    counted = {b for b in free if all(t.body == 1 for t in basis.types if t.block == b)}
    for i, model in enumerate(frozen):
        check_same_pairs(basis, model.basis, "the basis", model.source)
        for kind in model.basis.types:
            if kind.block in free and (kind.block not in counted or kind.body == 1):
                raise MismatchError(
                    f"{model.source} has {kind.name} terms of block {kind.block}, which is being fitted; freeze a "
                    "model of other blocks, or leave these terms out of it"
                )
            for other in frozen[:i]:
                if other.basis.type_named(kind.elements) is not None:
                    raise MismatchError(f"both {other.source} and {model.source} have {kind.name} terms")
            kept = basis.type_named(kind.elements)
            if kept is not None:
                check_same_cutoffs(kept, kind, "the basis", model.source)
                if kind.order > kept.order:
                    raise MismatchError(
                        f"type {kind.name}, order: the basis has {kept.order}, {model.source} has {kind.order}"
                    )


def require_parameters(frozen: Sequence[object]) -> None:
    """Raise TypeError unless frozen models are Parameters."""
    for model in frozen:
        if not isinstance(model, Parameters):
            raise TypeError(f"frozen: expected Parameters, found {type(model).__name__}: a fit has solution.parameters")


def absent_pairs_notes(basis: Basis, frozen: Sequence[Parameters], frames: Sequence[Frame]) -> tuple[str, ...]:
    """A sentence where pairs of elements of some frames have no two-body terms.

    Neither in the basis nor in a frozen model.
    """
    elements = sequence_of(frames).facts.elements()
    pairs = list(combinations_with_replacement(elements, 2))
    bases = (basis, *(f.basis for f in frozen))
    absent = [pair for pair in pairs if all(b.type_named(pair) is None for b in bases)]
    if not absent or len(absent) == len(pairs):
        return ()
    named = ", ".join(cluster_name(p) for p in absent)
    return (
        f"WARNING: neither the basis nor a frozen model has two-body terms of {named}: they count as zero, and the "
        "other terms are fitted to the whole of the labels; name the files that have them as frozen (an fm_setup.in "
        "with EXCLUDE and HIERARC means that), or put the types into the basis",
    )


def wall_of(penalty: Penalty | str | None, frozen: Sequence[Parameters]) -> Penalty:
    """The wall of a fitted block: the one given, else that of the frozen models, which must agree."""
    walls = {f.penalty for f in frozen}
    if isinstance(penalty, Penalty):
        return penalty
    if len(walls) > 1:
        first, other = next((a, b) for a in frozen for b in frozen if a.penalty != b.penalty)
        raise MismatchError(different_walls(first, other, IN_FIT))
    return next(iter(walls), Penalty())


def wall_notes(fitted: Parameters) -> tuple[str, ...]:
    """A sentence where the wall acts on pairs of atoms that a model was fitted on, which no coefficient counts with."""
    return reaching_wall(fitted.penalty, fitted.basis, fitted.coverage)


def reaching_wall(wall: Penalty, basis: Basis, coverage: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """As :func:`wall_notes`, also of what is not fitted yet: ``coverage`` is of the frames that will be."""
    margin = float("inf")
    reached: dict[str, float] = {}
    inner = {p.name: p.rmin for p in basis.pairs}
    for key, (shortest, _) in coverage.items():
        pair = key.partition(":")[2]
        deep = inner[pair] + wall.distance - shortest
        if wall.scale and deep > 0.0:
            reached[pair] = max(deep, reached.get(pair, 0.0))
            margin = min(margin, shortest - inner[pair])
    if not reached:
        return ()
    shown = ", ".join(
        f"{pair} at {inner[pair] + wall.distance - deep:.3f} Å (wall below {inner[pair] + wall.distance:.3f} Å, force "
        f"{3.0 * wall.scale * deep**2:.3g} kcal/mol/Å)"
        for pair, deep in reached.items()
    )
    would_do = max(int(100.0 * margin), 0) / 100.0
    remedy = f"a distance of at most {would_do:g} Å, or smaller rmin" if would_do else "smaller rmin"
    return (
        f"WARNING: the wall of the model (penalty: {wall.scale:g} kcal/mol/Å³, {wall.distance:g} Å above rmin) acts on "
        f"atoms of the fitted frames and adds to what was fitted: {shown}; in [fit], penalty: {remedy} keeps it off",
    )


def fitted_parameters(
    basis: Basis, columns: Sequence[Column], values: Any, energies: Mapping[str, float], penalty: Penalty,
    coverage: Mapping[str, tuple[float, float]], source: str, without_data: Mapping[str, str] | None = None,
) -> Parameters:  # fmt: skip
    """What a fit says, as parameters.

    Parameters
    ----------
    basis : Basis
        Whose types with columns the result has, and no others of more than one atom.
    columns : sequence of Column
        Labels of the coefficients; one-body columns are passed over.
    values : sequence of float
        Coefficients, kcal/mol.
    energies : mapping from str to float
        Energies of free atoms, kcal/mol by element; the result has these one-body terms and no others.
    penalty : Penalty
        The wall.
    coverage : mapping from str to tuple (float, float)
        By ``"block:pair"``, shortest and longest distance (Å) that was fitted.
    source : str
        What the result is, for messages.
    without_data : mapping from str to {"zero", "mixed"}, optional
        Types that no frame of the fit informed, and how the fit made them; of elements that the result lacks left out.

    Returns
    -------
    fitted : Parameters
        The fit alone, without what it was made upon.

    Raises
    ------
    InputError
        Nothing is left: one-body terms alone, and no energy to fit them to.
    """
    by_column = {c: v for c, v in zip(columns, values, strict=True) if c.powers}
    types = {c.elements for c in by_column}
    ones = {t.elements[0] for t in basis.types if t.body == 1}
    basis = basis.with_types((*(ClusterType((e,), 1, ()) for e in energies if e not in ones), *basis.types))
    kept = [t for t in basis.types if t.elements in types or (t.body == 1 and t.elements[0] in energies)]
    if not kept:
        raise InputError(f"{source}: it has one-body terms alone, and no frame has an energy that tells them")
    # a block is written and frozen by itself, so it keeps only the elements it has
    basis = basis.with_types(kept).with_energies({})
    basis = basis.restricted(set().union(*(t.elements for t in kept)))
    numbers = [by_column[c] if c.powers else energies[c.elements[0]] for c in columns_of(basis)]
    ways = {n: way for n, way in (without_data or {}).items() if set(split_symbols(n)) <= set(basis.elements)}
    return Parameters(basis, np.array(numbers), penalty, coverage, source, without_data=ways)
