"""Basis functions of one cluster type at given distances, without kernels: for projections and curves, not for rows.

The formulas are in section 1 of docs/theory.md.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from .basis import Basis, ClusterType, edges_of
from .blocks import n_type_columns, orbits, pattern_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from .cluster_types import Cutoff, Edge, Pair

ROWS_AT_ONCE = 4096
"""Clusters whose products of powers are held at once."""


def transformed(pair: Pair, r: NDArray[np.float64]) -> NDArray[np.float64]:
    """x(r) of a pair's transform, of the shape of ``r`` (Å)."""
    if pair.transform == "MORSE":
        assert pair.morse_lambda is not None
        return np.exp(-r / pair.morse_lambda)
    return 1.0 / r if pair.transform == "INVRSE_R" else np.asarray(r, np.float64)


def cutoff_values(cutoff: Cutoff, r: NDArray[np.float64], rmax: float) -> NDArray[np.float64]:
    """f_c(r), of the shape of ``r`` (Å)."""
    if cutoff.kind == "CUBIC":
        values = (1.0 - r / rmax) ** 3
    else:
        start = rmax * (1.0 - cutoff.fraction)
        falling = 0.5 + 0.5 * np.sin(np.pi * (r - start) / (rmax - start) + np.pi / 2)
        values = np.where(r < start, 1.0, falling)
    return np.where(r < rmax, values, 0.0)


def edge_values(basis: Basis, edge: Edge, r: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """f_c T_a(s(r)) for a = 0 … order.

    Parameters
    ----------
    basis : Basis
        Whose transform and cutoff function count.
    edge : Edge
        The cutoffs, Å.
    r : ndarray of shape (m,)
        Distances, Å; below the inner cutoff the values are those at it.
    order : int
        The highest power.

    Returns
    -------
    ndarray of shape (m, order + 1)
        Zero where the edge has no width.
    """
    if not edge.rmax > edge.rmin:
        return np.zeros((len(r), order + 1))
    pair = basis.pair(*edge.elements)
    low, high = transformed(pair, np.array([edge.rmin, edge.rmax]))
    s = (transformed(pair, np.maximum(r, edge.rmin)) - 0.5 * (low + high)) / (0.5 * abs(low - high))
    return cutoff_values(basis.cutoff, r, edge.rmax)[:, np.newaxis] * chebvander(np.clip(s, -1.0, 1.0), order)


def type_values(basis: Basis, kind: ClusterType, distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each column of a cluster type says of single clusters.

    Parameters
    ----------
    basis : Basis
        That has the type.
    kind : ClusterType
        Of two to four bodies.
    distances : ndarray of shape (m, edges)
        Lengths of the edges of each cluster, Å, in the order of ``edges_of(body)`` of its sorted atoms.

    Returns
    -------
    ndarray of shape (m, columns)
        Energies for coefficients of 1.
    """
    ends = edges_of(kind.body)
    edges = [kind.edge(kind.elements[a], kind.elements[b]) for a, b in ends]
    if kind.body == 2:
        return edge_values(basis, edges[0], distances[:, 0], kind.order)[:, 1:]
    fold = _fold(pattern_of(kind.elements), kind.order)
    values = np.zeros((len(distances), n_type_columns(kind)))
    for start in range(0, len(distances), ROWS_AT_ONCE):
        part = distances[start : start + ROWS_AT_ONCE]
        product = np.ones((len(part), 1))
        for k, edge in enumerate(edges):  # the last edge fastest, as in the table of orbits
            own = edge_values(basis, edge, part[:, k], kind.order - 1)
            product = (product[:, :, np.newaxis] * own[:, np.newaxis, :]).reshape(len(part), -1)
        values[start : start + len(part)] = product @ fold
    return values


@lru_cache(maxsize=16)
def _fold(pattern: tuple[int, ...], order: int) -> csr_array:
    """(raw sets of powers, columns): which column each raw set of powers counts in; none where it is not allowed."""
    from scipy.sparse import csr_array  # it takes long to load, and is seldom needed

    columns = orbits(pattern, order).column.ravel()
    allowed = np.flatnonzero(columns >= 0)
    ones = np.ones(len(allowed))
    return csr_array((ones, (allowed, columns[allowed])), shape=(len(columns), int(columns.max()) + 1))
