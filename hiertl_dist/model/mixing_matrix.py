"""The coefficients of types that were made by mixing, as linear functions of those that they were made of.

What :mod:`.mixing` makes, type by type, in matrices: with them the uncertainty of a block is that of all that was made
of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .blocks import Column, columns_of, type_powers
from .mixing import _alike, _label, projection
from .mixing_terms import merged_terms, terms_of
from .priors import MIXED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from .basis import Basis, ClusterType, Elements
    from .parameters import Parameters

AGREES = 1e-6
"""Difference, relative to the largest coefficient of a type, up to which a matrix makes the type that is there."""


class MadeType(NamedTuple):
    """A type that was made: the places of its columns, and the matrix by which all columns make them."""

    name: str
    columns: NDArray[np.intp]
    matrix: csr_array


def made_types(parameters: Parameters, fitted: Collection[Elements]) -> tuple[list[MadeType], list[str]]:
    """Types of a model that were made by mixing.

    Parameters
    ----------
    parameters : Parameters
        The model.
    fitted : collection of Elements
        Types that have columns of their own in a fit, whose coefficients are no functions of others.

    Returns
    -------
    made : list of MadeType
        Those of most elements first, so that what is made of what was made is taken apart in this order. Columns are in
        the order of ``columns_of(parameters.basis)``.
    others : list of str
        Names of those that mixing makes otherwise than they are, such as with another option.
    """
    basis = parameters.basis
    place: dict[tuple[object, ...], int] = {tuple(c): i for i, c in enumerate(columns_of(basis))}
    table = parameters.as_dict()
    values = np.array([table[c] for c in columns_of(basis)])
    known = {t.elements: parameters for t in basis.types}
    made, others = [], []
    for kind in sorted(basis.types, key=lambda t: -len(set(t.elements))):
        if parameters.without_data.get(kind.name) != MIXED or kind.elements in fitted:
            continue
        matrix = _matrix(basis, kind, known, place)
        columns = np.array([place[kind.block, kind.elements, p] for p in type_powers(kind)], np.intp)
        if np.abs(matrix @ values - values[columns]).max() > AGREES * np.abs(values[columns]).max():
            others.append(kind.name)
        else:
            made.append(MadeType(kind.name, columns, matrix))
    return made, others


def _matrix(
    basis: Basis, kind: ClusterType, known: Mapping[Elements, Parameters], place: Mapping[tuple[object, ...], int]
) -> csr_array:
    """(columns of the type, all columns): as :func:`~.mixing.mixed_type`, with γ = 1."""
    from scipy.sparse import csr_array  # it takes long to load, and is seldom needed

    models = dict(known)
    terms = terms_of(kind.elements, models)[0]
    alike = all(_alike(basis, kind, known[t.elements], t) for t in terms)
    powers = type_powers(kind)
    dense = np.zeros((len(powers), len(place)))
    if alike:
        for term in terms:
            order = next(t.order for t in basis.types if t.elements == term.elements)
            for i, own in enumerate(powers):
                if (label := _label(term, own, kind.body, order)) is not None:
                    dense[i, place[tuple(label)]] += term.factor
        return csr_array(dense)
    made = projection(basis, kind, merged_terms(terms), models)
    for lower, values in made.parts:
        columns = [place[tuple(Column(lower.block, lower.elements, p))] for p in type_powers(lower)]
        np.add.at(dense.T, columns, made.solve(values).T)
    return csr_array(dense)
