"""Cubic splines of the functions f_c T_a(s(r)) that a cluster type has of one of its edges.

Their formula is in section 1 of docs/theory.md. A many-body term is a sum of products of them, so that the spline of a
term needs fits in one dimension only.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.polynomial.chebyshev import Chebyshev

from ..model.cluster_functions import edge_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..model.basis import Basis
    from ..model.cluster_types import Edge

DEGREE: Final = 3
SMOOTH: Final = 80
"""Degree of the polynomials from which derivatives are taken; an edge's functions are analytic between its joints."""

FITTED: Final = 8
"""Distances of an interval between knots on which a spline is fitted."""

DECIMALS: Final = 5
"""Of knots, Å: LAMMPS reads lines of up to 1023 characters."""

NEAR: Final = 0.1
NEAR_WEIGHT: Final = 0.001
"""Below the closest contacts, where atoms seldom are, fourth derivatives and residuals of fits count so much."""

LEAST_DENSITY: Final = 0.05
"""Part of the mean density of knots that every distance gets."""

ALONE: Final = 1e-3
"""Weight of what each of several layers is off by alone, beside what their mean is off by."""


@dataclass(frozen=True, eq=False)
class EdgeFunctions:
    """Functions of an edge's length, exact, with their derivatives.

    Attributes
    ----------
    joints : tuple of float
        Distances, Å, between which the functions are analytic: the inner cutoff, where the cutoff function begins to
        fall, the outer cutoff.
    pieces : tuple of (tuple of Chebyshev)
        Between two joints each, the functions a = 0 … order − 1.
    contact : float
        The shortest distance, Å, at which precision counts.
    """

    joints: tuple[float, ...]
    pieces: tuple[tuple[Chebyshev, ...], ...]
    contact: float

    def __call__(self, r: NDArray[np.float64], derivative: int = 0) -> NDArray[np.float64]:
        """(m, order): values or derivatives; below the inner cutoff values are those at it."""
        values = np.zeros((len(r), len(self.pieces[0])))
        inner = np.maximum(r, self.joints[0])
        for low, high, piece in zip(self.joints[:-1], self.joints[1:], self.pieces, strict=True):
            here = (inner >= low) & (inner < high)
            for a, one in enumerate(piece):
                values[here, a] = (one.deriv(derivative) if derivative else one)(inner[here])
        if derivative:
            values[r < self.joints[0]] = 0.0
        return values


def edge_functions(basis: Basis, edge: Edge, order: int, contact: float) -> EdgeFunctions:
    """The functions of an edge for powers 0 … order − 1; ``contact`` (Å) is the shortest distance that frames had."""
    joints = [edge.rmin, edge.rmax]
    if basis.cutoff.kind != "CUBIC":
        begin = edge.rmax * (1.0 - basis.cutoff.fraction)
        if edge.rmin < begin < edge.rmax:
            joints.insert(1, begin)
    pieces = []
    for low, high in itertools.pairwise(joints):
        inside = np.nextafter(high, low)  # at the outer cutoff all are zero, also from below

        def values(r: NDArray[np.float64], a: int, inside: float = inside) -> NDArray[np.float64]:
            return edge_values(basis, edge, np.minimum(r, inside), order - 1)[:, a]

        pieces.append(tuple(Chebyshev.interpolate(values, SMOOTH, domain=[low, high], args=(a,)) for a in range(order)))
    return EdgeFunctions(tuple(joints), tuple(pieces), max(edge.rmin, contact))


@dataclass(frozen=True, eq=False)
class EdgeSpline:
    """Cubic splines on one vector of knots.

    Attributes
    ----------
    knots : ndarray of shape (n + 4,)
        Å, the first and the last four times.
    coefficients : ndarray of shape (n, order)
        Of the B-splines, for each function.
    """

    knots: NDArray[np.float64]
    coefficients: NDArray[np.float64]

    def __call__(self, r: NDArray[np.float64], derivative: int = 0) -> NDArray[np.float64]:
        """(m, order): values or derivatives of the splines."""
        from scipy.interpolate import BSpline

        return BSpline(self.knots, self.coefficients, DEGREE)(r, nu=derivative)


def edge_splines(
    functions: EdgeFunctions, weights: NDArray[np.float64], intervals: int, layers: int, end: float
) -> tuple[EdgeSpline, ...]:
    """Splines of an edge's functions from 0 to ``end``, constant below the inner cutoff, zero beyond the outer one.

    Parameters
    ----------
    functions : EdgeFunctions
        What is fitted.
    weights : ndarray of shape (order,)
        How much each function counts where knots are placed.
    intervals : int
        Between the inner and the outer cutoff, in each layer.
    layers : int
        How many vectors of knots there are, staggered; the mean of their splines is fitted, a spline on all knots.
    end : float
        The last knot, Å, beyond the outer cutoff.

    Returns
    -------
    tuple of EdgeSpline
        Least-squares fits, by layer. Knots are dense where the fourth derivatives are large: the error of a derivative
        is that times the cube of their distance (de Boor, A Practical Guide to Splines, chapter XII).
    """
    from scipy.interpolate import BSpline

    joints = np.round(functions.joints, DECIMALS)
    every = np.unique([*np.round(_spread(functions, weights, intervals * layers), DECIMALS), *joints])
    every = every[(every >= joints[0]) & (every <= joints[-1])]
    own = [_knots(np.unique([*every[layer::layers], *joints]), joints) for layer in range(layers)]
    nodes = 0.5 - 0.5 * np.cos(np.pi * (np.arange(FITTED) + 0.5) / FITTED)
    r = np.unique(np.concatenate([joints[:1], *(a + (b - a) * nodes for a, b in itertools.pairwise(every))]))
    counts = np.where(r < functions.contact, NEAR_WEIGHT, 1.0)[:, np.newaxis]
    wanted = counts * functions(r)
    # the last B-spline is the one that is not zero at the outer cutoff
    designs = [counts * BSpline.design_matrix(r, knots, DEGREE).toarray()[:, :-1] for knots in own]
    ends = np.cumsum([0, *(d.shape[1] for d in designs)])
    rows, targets = [np.hstack(designs) / layers], [wanted]
    for first, design in zip(ends[:-1], designs, strict=True) if layers > 1 else ():
        rows.append(np.zeros((len(r), ends[-1])))
        rows[-1][:, first : first + design.shape[1]] = ALONE * design
        targets.append(ALONE * wanted)
    fitted = np.linalg.lstsq(np.vstack(rows), np.vstack(targets), rcond=None)[0]
    splines = []
    for knots, first, last in zip(own, ends[:-1], ends[1:], strict=True):
        part = fitted[first:last]
        flat = np.repeat(part[:1], DEGREE, axis=0)
        whole = np.concatenate([[0.0] * (DEGREE + 1), knots[1:-1], [end] * (DEGREE + 1)])
        splines.append(EdgeSpline(whole, np.concatenate([flat, part, np.zeros((DEGREE + 1, part.shape[1]))])))
    return tuple(splines)


def _knots(between: NDArray[np.float64], joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """The knots of splines between the cutoffs, at these distances: four times at the ends."""
    twice = [j for j in joints[1:-1] for _ in range(DEGREE - 2)]  # there the first derivative is continuous
    inner = np.sort([*between[1:-1], *twice])
    return np.concatenate([[joints[0]] * (DEGREE + 1), inner, [joints[-1]] * (DEGREE + 1)])


def _spread(functions: EdgeFunctions, weights: NDArray[np.float64], intervals: int) -> NDArray[np.float64]:
    low, high = functions.joints[0], functions.joints[-1]
    r = np.linspace(low, high, 2001)[:-1]
    fourth = np.abs(functions(r, DEGREE + 1)) @ np.abs(weights)
    density: NDArray[np.float64] = np.where(r < functions.contact, NEAR * fourth, fourth) ** (1.0 / DEGREE)
    density += LEAST_DENSITY * (density.mean() or 1.0)
    so_far = np.concatenate([[0.0], np.cumsum(density)])
    spread: NDArray[np.float64] = np.interp(np.linspace(0.0, so_far[-1], intervals + 1), so_far, np.append(r, high))
    return spread
