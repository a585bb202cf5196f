"""What lower blocks say of a mixed cluster type: the mean of a prior, and the coefficients of types without data.

A cluster of the type is evaluated as if all its atoms were of one of its elements, by the block of that element, and
the mean over its atoms is taken: AB is ½ (AA + BB), AAB is ⅔ AAA + ⅓ BBB. A type of three elements or more adds the
mean *deviation* from that of the types that it becomes where one element is replaced by another of its own (six for
ABC).
The formulas are in section 4 of docs/theory.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..errors import InputError
from ..frames.element_set import ElementSet
from ..frames.type_names import cluster_name, split_symbols
from ..text.display import listed
from .basis import edges_of
from .blocks import Column, blocks_of, n_type_columns, orbits, pattern_of, type_powers
from .cluster_functions import type_values
from .mixing_terms import Term, merged_terms, terms_of
from .parameters import Parameters, Penalty
from .priors import MIXED, ZERO
from .walls import nearest_kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from .basis import Basis, ClusterType, Elements
    from .priors import Prior

SAMPLES: Final = 8
"""Clusters on which a function of lower blocks is projected, for each column."""

LEAST_SAMPLES: Final = 400
"""Of them there are at least so many."""

NEAR: Final = 1.5
NEAR_WEIGHT: Final = 0.1
"""As many clusters are closer than lower blocks have met, with edges up to so many Å longer than their closest
contacts, and count so much. Without them triplets of the model that ``init`` suggests for Mo, Nb, Ta, W fall by up to
166 eV between the closest contacts and where the wall stops atoms; with a weight of 0.03 by up to 52 eV; from 0.1 on by
7 to 9 eV, as far as pairs alone do. What is lost elsewhere is 1.5 % without, 1.8 % with 0.1 and 2.4 % with 1."""

NAMED: Final = 6
"""Types that a note names."""

LOST: Final = 0.1
"""Part of a projected function (RMS) that the basis can't describe, from which on that is warned of."""

DEPENDENT: Final = 1e-7
"""Singular values of the projection below this part of the largest count as zero: its columns are nearly dependent."""


@dataclass(frozen=True, eq=False)
class Mean:
    """Values (columns,) of a prior's mean, kcal/mol, what is to be said of them, and what projections lost by type."""

    values: NDArray[np.float64]
    notes: tuple[str, ...] = ()
    lost: Mapping[str, float] = field(default_factory=dict)


def prior_mean(prior: Prior, basis: Basis, columns: Sequence[Column], lower: Sequence[Parameters]) -> Mean:
    """The mean of a prior for some columns.

    Parameters
    ----------
    prior : Prior
        Whose mean is wanted.
    basis : Basis
        That has the columns' types.
    columns : sequence of Column
        Labels of the coefficients.
    lower : sequence of Parameters
        Models of lower blocks; those of the single elements count, and for types of three elements or more those of
        fewer.

    Returns
    -------
    Mean
        Values (columns,), kcal/mol, zero for one-body columns and those of single elements.
    """
    values = np.zeros(len(columns))
    if prior.mean == ZERO:
        return Mean(values)
    if isinstance(prior.mean, Parameters):
        return _own_mean(prior.mean, columns)
    place = {tuple(c): i for i, c in enumerate(columns)}
    notes: dict[str, None] = {}
    lost: dict[str, float] = {}
    for kind in basis.types:
        powers = type_powers(kind)
        labels = [(kind.block, kind.elements, p) for p in powers]
        if len(set(kind.elements)) == 1 or labels[0] not in place:
            continue
        mean = mixed_type(basis, kind, lower, prior)
        notes |= dict.fromkeys(mean.notes)
        lost |= mean.lost
        for label, value in zip(labels, mean.values, strict=True):
            values[place[label]] = value
    return with_factors(Mean(values, (*notes, *_projection_notes(lost))), prior.gamma, columns)


def with_factors(mean: Mean, gamma: Sequence[float], columns: Sequence[Column]) -> Mean:
    """A mixed mean, γ being 1, times a factor for the terms of two, three and four bodies."""
    factors = np.array([gamma[len(c.elements) - 2] if c.powers else 1.0 for c in columns])
    return replace(mean, values=factors * mean.values)


def _own_mean(mean: Parameters, columns: Sequence[Column]) -> Mean:
    """Coefficients of parameters that are a mean, and what they lack or have besides. InputError where none is used."""
    known = {c: v for c, v in mean.as_dict().items() if c[2]}
    wanted = [c for c in columns if c.powers]
    blocks = {c.block for c in wanted}
    lacking = sum(c not in known for c in wanted)
    if lacking == len(wanted) and wanted:
        raise InputError(
            f"prior: the mean, {mean.source}, has no coefficient of blocks {', '.join(sorted(blocks))}: it has those "
            f"of {', '.join(sorted({c[0] for c in known}))}"
        )
    notes = [f"prior: the mean, {mean.source}, lacks {lacking} of {len(wanted)} coefficients: zero"] if lacking else []
    if dropped := sum(c[0] in blocks and c not in set(wanted) for c in known):
        notes.append(f"prior: {dropped} coefficients of the mean, {mean.source}, are of no column, and are not used")
    return Mean(np.array([known.get(c, 0.0) if c.powers else 0.0 for c in columns]), tuple(notes))


def mixed_parameters(
    basis: Basis, kinds: Sequence[ClusterType], lower: Sequence[Parameters], prior: Prior
) -> Parameters:
    """Coefficients of cluster types that no frame informs, made of what other blocks say.

    Parameters
    ----------
    basis : Basis
        That has the types.
    kinds : sequence of ClusterType
        Of two elements or more.
    lower : sequence of Parameters
        All that was fitted or is frozen.
    prior : Prior
        Which says what of lower blocks is taken; its mean and factors do not count.

    Returns
    -------
    mixed : Parameters
        Of these types alone; types of few elements are made first, and then count for those of more.
    """
    models, wall = list(lower), lower[0].penalty if lower else Penalty()
    parts: dict[Elements, NDArray[np.float64]] = {}
    notes: dict[str, None] = {}
    lost: dict[str, float] = {}
    by_number = sorted(kinds, key=lambda k: len(set(k.elements)))
    for _, level in groupby(by_number, key=lambda k: len(set(k.elements))):
        made = list(level)
        for kind in made:
            mean = mixed_type(basis, kind, models, prior)
            parts[kind.elements] = mean.values
            notes |= dict.fromkeys(mean.notes)
            lost |= mean.lost
        own = basis.with_types(made).with_energies({})
        values = np.concatenate([parts[t.elements] for b in blocks_of(own) for t in b.types])
        models.append(Parameters(own, values, wall, source="mixed"))
    own = basis.with_types(kinds).with_energies({})
    values = np.concatenate([parts[t.elements] for b in blocks_of(own) for t in b.types])
    names = ", ".join(t.name for t in own.types)
    return Parameters(
        own, values, wall, source=f"mixed {names}", notes=(*notes, *_projection_notes(lost)),
        without_data=dict.fromkeys((t.name for t in own.types), MIXED),
    )  # fmt: skip


def mixed_type(basis: Basis, kind: ClusterType, lower: Sequence[Parameters], prior: Prior) -> Mean:
    """Coefficients (columns of the type,) of a mixed type from lower blocks, γ being 1, and what they lack."""
    known: dict[Elements, Parameters] = {}
    for model in lower:
        known |= {t.elements: model for t in model.basis.types if t.elements not in known}
    every, notes = terms_of(kind.elements, known)
    terms = merged_terms(every)
    if all(_alike(basis, kind, known[t.elements], t) for t in terms) or prior.lower == "coefficients":
        return Mean(_summed(kind, terms, known), tuple(notes))
    projected, left = _projected(basis, kind, terms, known)
    return Mean(projected, tuple(notes), {kind.name: left})


def _projection_notes(lost: Mapping[str, float]) -> list[str]:
    """What to say of types whose mean was projected, by the part that was lost."""
    why = "cutoffs, orders or λ of lower blocks differ, their functions are projected on the basis"
    notes = []
    if much := {name: left for name, left in lost.items() if left > LOST}:
        named = ", ".join(f"{name} {100.0 * left:.0f} %" for name, left in much.items())
        bodies = {len(split_symbols(name)) for name in much}
        notes.append(
            f"WARNING: prior of {', '.join(much)}: {why}, which leaves {named} of them: the mean is a poor guide. "
            f"{projection_advice(bodies)}"
        )
    if fine := {name: left for name, left in lost.items() if left <= LOST}:
        notes.append(f"prior of {listed(list(fine), NAMED)}: {why} (to {100.0 * max(fine.values()):.2g} %)")
    return notes


def projection_advice(bodies: Iterable[int]) -> str:
    """What to do next where means of types of so many atoms lose much in their projection."""
    wanted = set(bodies)
    gamma = ", ".join("0.0" if body in wanted else "1.0" for body in (2, 3, 4))
    what = " and ".join(f"{body}-body" for body in sorted(wanted))
    return (
        f"What helps: one lambda and the same cutoffs for all pairs in [basis.pairs], or higher {what} orders of the "
        f"mixed blocks in [basis.blocks]; else leave these means out (prior = {{ …, gamma = [{gamma}] }}) or the terms "
        "(orders 0), and compare by cross-validation (hiertl-dist search)"
    )


def _alike(basis: Basis, kind: ClusterType, model: Parameters, term: Term) -> bool:
    """Whether the functions of a lower type are among those of a type: same transform and cutoffs, no higher order."""
    lower = model.basis.type_named(term.elements)
    assert lower is not None
    if lower.order > kind.order or model.basis.cutoff != basis.cutoff:
        return False
    for a, b in edges_of(kind.body):
        mine, own = kind.edge(kind.elements[a], kind.elements[b]), basis.pair(kind.elements[a], kind.elements[b])
        x, y = term.elements[term.atoms.index(a)], term.elements[term.atoms.index(b)]
        theirs, pair = lower.edge(x, y), model.basis.pair(x, y)
        if (mine.rmin, mine.rmax) != (theirs.rmin, theirs.rmax):
            return False
        if (own.transform, own.morse_lambda) != (pair.transform, pair.morse_lambda):
            return False
    return True


def _summed(kind: ClusterType, terms: Sequence[Term], known: dict[Elements, Parameters]) -> NDArray[np.float64]:
    """The coefficients of a type as sums of those that the terms' types have for the same powers."""
    powers = type_powers(kind)
    values = np.zeros(len(powers))
    for term in terms:
        table = known[term.elements].as_dict()
        order = next(t.order for t in known[term.elements].basis.types if t.elements == term.elements)
        for i, own in enumerate(powers):
            label = _label(term, own, kind.body, order)
            values[i] += term.factor * table.get(label, 0.0) if label is not None else 0.0
    return values


def _label(term: Term, powers: tuple[int, ...], body: int, order: int) -> Column | None:
    """The column of a term's type that has some powers of the cluster; None where its order is lower."""
    block = ElementSet.of(term.elements)
    if body == 2:
        return Column(block, term.elements, powers) if powers[0] <= order else None
    if max(powers) >= order:
        return None
    moved = tuple(powers[e] for e in _edge_places(term.atoms))
    table = orbits(pattern_of(term.elements), order)
    return Column(block, term.elements, tuple(int(p) for p in table.powers[table.column[moved]]))


def _edge_places(atoms: tuple[int, ...]) -> list[int]:
    """Which edge of the cluster is each edge of the term's atoms."""
    edges = edges_of(len(atoms))
    return [edges.index(tuple(sorted((atoms[a], atoms[b])))) for a, b in edges]  # type: ignore[arg-type]


class Projection(NamedTuple):
    """Functions of a type at sampled clusters, and those of the terms that it is made of.

    values (clusters, columns): of the type; met: which clusters lower blocks have met; parts: the type of each term and
    (clusters, its columns) what its coefficients multiply; target (clusters,): what all of them say.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    met: NDArray[np.bool_]
    parts: list[tuple[ClusterType, NDArray[np.float64]]]
    target: NDArray[np.float64]

    def solve(self, wanted: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coefficients, (columns, …), with which the type is nearest to something wanted, (clusters, …)."""
        rows = self.weights[:, np.newaxis] * self.values
        lengths = np.maximum(np.linalg.norm(rows, axis=0), np.finfo(float).tiny)
        solved, *_ = np.linalg.lstsq(rows / lengths, (self.weights * wanted.T).T, rcond=DEPENDENT)
        return np.asarray((solved.T / lengths).T)


def projection(
    basis: Basis, kind: ClusterType, terms: Sequence[Term], known: Mapping[Elements, Parameters]
) -> Projection:
    """What a type is made of where its functions are others than those of the terms; ``known``: models by type."""
    (distances, met), parts = _sampled(basis, kind, terms, known), []
    target = np.zeros(len(distances))
    for term in terms:
        model = known[term.elements]
        lower = model.basis.type_named(term.elements)
        assert lower is not None
        table, powers = model.as_dict(), type_powers(lower)
        own = term.factor * type_values(model.basis, lower, distances[:, _edge_places(term.atoms)])
        parts.append((lower, own))
        target += own @ np.array([table[Column(lower.block, lower.elements, p)] for p in powers])
    # what lower blocks say of clusters that they have not met may be of any size: none counts more than its share
    usual = np.linalg.norm(target[met]) / math.sqrt(max(int(met.sum()), 1))
    weights = np.where(met, 1.0, NEAR_WEIGHT * np.minimum(1.0, usual / np.maximum(np.abs(target), 1e-30)))
    return Projection(type_values(basis, kind, distances), weights, met, parts, target)


def _projected(
    basis: Basis, kind: ClusterType, terms: Sequence[Term], known: dict[Elements, Parameters]
) -> tuple[NDArray[np.float64], float]:
    """Coefficients of a type whose functions are nearest to those of the terms, and what they leave (RMS, relative)."""
    made = projection(basis, kind, terms, known)
    coefficients, met = made.solve(made.target), made.met
    if not met.any():  # no cluster is within all cutoffs
        return coefficients, 1.0
    left, size = np.linalg.norm((made.values @ coefficients - made.target)[met]), np.linalg.norm(made.target[met])
    return coefficients, float(left / size) if size else 0.0


def _sampled(
    basis: Basis, kind: ClusterType, terms: Sequence[Term], known: Mapping[Elements, Parameters]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Edges (clusters, edges), Å, of clusters within the cutoffs; which of them are no closer than lower blocks met.

    The others are as close as walls let atoms come: a model in use meets them, and a projection that doesn't know them
    may say anything there.
    """
    edges = edges_of(kind.body)
    bounds = []
    for a, b in edges:
        edge = kind.edge(kind.elements[a], kind.elements[b])
        low = seen = edge.rmin
        for term in terms:
            model = known[term.elements]
            x, y = term.elements[term.atoms.index(a)], term.elements[term.atoms.index(b)]
            lower = model.basis.type_named(term.elements)
            assert lower is not None
            inner = lower.edge(x, y).rmin
            fitted = model.coverage.get(f"{lower.block}:{cluster_name((x, y))}")
            seen = max(seen, inner if fitted is None else fitted[0])
            low = max(low, inner, nearest_kept(model.basis.pair(x, y).rmin, model.penalty))
        bounds.append((min(low, seen, edge.rmax), min(seen, edge.rmax), edge.rmax))
    low, seen, high = np.array(bounds).T
    count = max(LEAST_SAMPLES, SAMPLES * n_type_columns(kind))
    met = _clusters(kind.body, seen, high, count)
    near = _clusters(kind.body, low, np.minimum(high, seen + NEAR), count)
    near = near[(near < seen).any(axis=1)]
    return np.concatenate([met, near]), np.arange(len(met) + len(near)) < len(met)


def _clusters(body: int, low: NDArray[np.float64], high: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Edges (clusters, edges), Å, of at most so many clusters between bounds (edges,), the same ones each time."""
    if body == 2:
        return np.linspace(low, high, count)
    random, edges = np.random.default_rng(0), edges_of(body)
    chosen: list[NDArray[np.float64]] = []
    for _ in range(200):  # few clusters are within all cutoffs where these differ much
        first = random.uniform(low[: body - 1], high[: body - 1], (4 * count, body - 1))
        ways = random.normal(size=(*first.shape, 3))
        places = first[..., np.newaxis] * ways / np.linalg.norm(ways, axis=-1, keepdims=True)
        places = np.concatenate([np.zeros((len(places), 1, 3)), places], axis=1)
        lengths = np.stack([np.linalg.norm(places[:, a] - places[:, b], axis=1) for a, b in edges], axis=1)
        chosen.append(lengths[((lengths >= low) & (lengths <= high)).all(axis=1)])
        if sum(map(len, chosen)) >= count:
            break
    return np.concatenate(chosen)[:count]
