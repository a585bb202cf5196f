"""The same model with other names of its types of atoms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..frames.element_set import ElementSet
from ..frames.type_names import cluster_name, split_symbols
from .basis import Basis
from .blocks import columns_of, orbits, pattern_of
from .cluster_types import ClusterType, edges_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .blocks import Column
    from .parameters import Parameters


def relabelled(parameters: Parameters, names: Mapping[str, str]) -> Parameters:
    """A model whose types of atoms have other names, such as C1 for C; its energies and forces are the same.

    Parameters
    ----------
    parameters : Parameters
        The model.
    names : Mapping from str to str
        New names by old ones; others stay.

    Returns
    -------
    renamed : Parameters
        With every coefficient under its new column. Masses that the model does not state are those of the new names.

    Raises
    ------
    InputError
        A name that is no type of the model, or two types that would have one name.
    BasisError
        A new name that no type can have.
    """
    basis = parameters.basis
    if unknown := sorted(set(names) - set(basis.elements)):
        raise InputError(f"rename: {unknown} are no types of {parameters.source}, which has {list(basis.elements)}")
    new = {e: names.get(e, e) for e in basis.elements}
    if len(set(new.values())) < len(new):
        twice = next(n for n in new.values() if list(new.values()).count(n) > 1)
        both = [e for e, n in new.items() if n == twice]
        raise InputError(f"rename: {both} of {parameters.source} would both be {twice!r}; types have a name each")
    pairs = tuple(replace(p, elements=_sorted(p.elements, new)) for p in basis.pairs)
    new_basis = Basis(
        tuple(new.values()), pairs, tuple(_renamed(t, new) for t in basis.types), basis.cutoff,
        tuple((new[e], x) for e, x in basis.energies), {new[e]: m for e, m in basis.masses.items()},
    )  # fmt: skip
    orders = {t.elements: t.order for t in basis.types}
    values = {
        _moved(c, new, orders): float(x) for c, x in zip(parameters.columns, parameters.coefficients, strict=True)
    }
    coefficients = np.array([values[c.elements, c.powers] for c in columns_of(new_basis)])
    coverage = {_key(key, new): r for key, r in parameters.coverage.items()}
    undetermined = tuple({new[e]: x for e, x in d.items()} for d in parameters.undetermined)
    ways = {_cluster(name, new): way for name, way in parameters.without_data.items()}
    counts = {_cluster(name, new): count for name, count in parameters.fitted_on.items()}
    return replace(
        parameters, basis=new_basis, coefficients=coefficients, coverage=coverage, undetermined=undetermined,
        without_data=ways, fitted_on=counts,
    )  # fmt: skip


def _cluster(name: str, new: Mapping[str, str]) -> str:
    return cluster_name(new[e] for e in split_symbols(name))


def _sorted(elements: tuple[str, ...], new: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(new[e] for e in elements))


def _renamed(kind: ClusterType, new: Mapping[str, str]) -> ClusterType:
    edges = sorted((replace(e, elements=_sorted(e.elements, new)) for e in kind.edges), key=lambda e: e.elements)
    return ClusterType(_sorted(kind.elements, new), kind.order, tuple(edges))


def _key(key: str, new: Mapping[str, str]) -> str:
    """``CN:CC`` under new names."""
    block, _, pair = key.partition(":")
    return f"{ElementSet.of(new[e] for e in split_symbols(block))}:{cluster_name(new[e] for e in split_symbols(pair))}"


def _moved(
    column: Column, new: Mapping[str, str], orders: Mapping[tuple[str, ...], int]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Elements and powers of a column under new names: its atoms are sorted anew, and the powers go with the edges."""
    names = [new[e] for e in column.elements]
    atoms = sorted(range(len(names)), key=names.__getitem__)  # of the new cluster, by their places in the old one
    elements = tuple(names[a] for a in atoms)
    if len(elements) <= 2:
        return elements, column.powers
    edges = edges_of(len(elements))
    raw = tuple(column.powers[edges.index((min(atoms[a], atoms[b]), max(atoms[a], atoms[b])))] for a, b in edges)
    orbit = orbits(pattern_of(elements), orders[column.elements])
    return elements, tuple(orbit.powers[orbit.column[raw]].tolist())
