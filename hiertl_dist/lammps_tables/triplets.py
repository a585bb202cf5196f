"""Three-body terms as tensors of cubic B-splines, in the form of LAMMPS's ``pair_style uf3``.

LAMMPS sums V(r_ij, r_ik, r_jk) over all atoms i and their pairs of neighbours j, k. A triplet of one element is met
three times, so its table is a third of the term; of other triplets one atom is chosen as the centre i, and the tables
of the other centres are zero. The form of the file is in LAMMPS's documentation of the style; the spline basis is that
of Xie, Rupp, Hennig, npj Comput. Mater. 9, 162 (2023).

LAMMPS's reader takes lines of 1023 characters, which bounds the knots of a table. Where more are needed, several tables
are summed, each 1/K of the term on knots of its own, which are staggered and fitted so that the mean of the K splines
of each function is a spline on all knots: if each is f + e_k, then Σ e_k / K is as small as on K times as many knots,
the mean of their products differs from the product of f by terms in Σ e_k / K and in the squares of e_k.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..model.basis import edges_of
from ..model.blocks import orbits, pattern_of
from ..model.walls import known_contacts
from .edge_splines import DEGREE, EdgeSpline, edge_functions, edge_splines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from numpy.typing import NDArray

    from ..model.cluster_types import ClusterType
    from ..model.parameters import Parameters
    from .edge_splines import EdgeFunctions

MARGIN: Final = 0.01
"""Å that knots go on beyond the cutoff: a distance that is equal to it is looked up, too."""

LINE: Final = 1020
MOST_DECIMALS: Final = 14
"""Characters of a line: LAMMPS's reader of these files goes to 1023, and does not go on in the next line."""

SAMPLED: Final = 4000
"""Triplets of each type on which derivatives are compared."""

NOWHERE: Final = 0.1
"""Cutoff, Å, of a table that is never looked up."""


@dataclass(frozen=True, eq=False)
class Triplet:
    """The three-body term of one type.

    Attributes
    ----------
    kind : ClusterType
        The type.
    tensor : ndarray of shape (order, order, order)
        Coefficients of the products of powers, kcal/mol, edges in the order of ``edges_of(3)``.
    functions : tuple of EdgeFunctions
        Of the three edges.
    """

    kind: ClusterType
    tensor: NDArray[np.float64]
    functions: tuple[EdgeFunctions, ...]


def triplets_of(parameters: Parameters) -> tuple[Triplet, ...]:
    """The three-body terms of a model whose edges have a width; others are zero everywhere."""
    basis = parameters.basis
    value = {(c.elements, c.powers): v for c, v in zip(parameters.columns, parameters.coefficients, strict=True)}
    contacts = known_contacts(parameters)
    triplets = []
    for kind in (t for t in basis.types if t.body == 3):
        edges = [kind.edge(kind.elements[a], kind.elements[b]) for a, b in edges_of(3)]
        if any(e.rmax <= e.rmin for e in edges):
            continue
        table = orbits(pattern_of(kind.elements), kind.order)
        own = np.array([value[kind.elements, tuple(int(p) for p in row)] for row in table.powers] + [0.0])
        functions = tuple(edge_functions(basis, e, kind.order, contacts.get(e.name, e.rmin)) for e in edges)
        triplets.append(Triplet(kind, own[table.column], functions))  # -1, no column, is the zero at the end
    return tuple(triplets)


@dataclass(frozen=True, eq=False)
class TripletSplines:
    """Splines of a three-body term.

    Attributes
    ----------
    triplet : Triplet
        The term.
    layers : tuple of (tuple of EdgeSpline)
        Of each of the tables whose mean is the term, the three edges, in the order of ``edges_of(3)``.
    centre : int
        Which atom of the sorted cluster is the centre.
    cutoff : float
        Å, of the edges that meet at the centre.
    """

    triplet: Triplet
    layers: tuple[tuple[EdgeSpline, ...], ...]
    centre: int
    cutoff: float

    @property
    def names(self) -> tuple[str, str, str]:
        """The elements of the centre and of its two neighbours."""
        elements = self.triplet.kind.elements
        first, second = (elements[i] for i in range(3) if i != self.centre)
        return elements[self.centre], first, second

    def axes(self) -> tuple[int, int, int]:
        """The edges ij, ik, jk, as numbers in the order of ``edges_of(3)``."""
        j, k = (i for i in range(3) if i != self.centre)
        ends = [tuple(sorted(e)) for e in edges_of(3)]
        ij, ik, jk = (ends.index((min(a, b), max(a, b))) for a, b in ((self.centre, j), (self.centre, k), (j, k)))
        return ij, ik, jk

    @property
    def splines(self) -> int:
        """How many B-splines the largest axis of a table has."""
        return max(len(e.coefficients) for layer in self.layers for e in layer)

    def table(self, layer: int, unit: float) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Coefficients of the B-splines, of shape (n_ij, n_ik, n_jk), in a unit of energy that has ``unit`` kcal/mol.

        They are rounded to the decimals (n_ij, n_ik) with which a line of LAMMPS's file can hold them.
        """
        ij, ik, jk = self.axes()
        met = 3.0 if len(set(self.triplet.kind.elements)) == 1 else 1.0
        tensor = np.transpose(self.triplet.tensor, (ij, ik, jk)) / (met * unit * len(self.layers))
        one, two, three = (self.layers[layer][e].coefficients for e in (ij, ik, jk))
        return _rounded(np.einsum("abc,ia,jb,kc->ijk", tensor, one, two, three, optimize=True))

    def error(self, unit: float, seed: int = 0) -> float:
        """RMS error of the tables' derivatives by the edges, over random triangles and the RMS size of these."""
        lengths = _triangles(self.triplet, np.random.default_rng(seed))
        met = 3.0 if len(set(self.triplet.kind.elements)) == 1 else 1.0
        axes = self.axes()
        mine = np.zeros((3, len(lengths)))
        for number, layer in enumerate(self.layers):
            table, _ = self.table(number, unit)
            splines = [layer[e] for e in axes]
            places = [_four(s.knots, lengths[:, e]) for s, e in zip(splines, axes, strict=True)]
            around = table[places[0][:, :, None, None], places[1][:, None, :, None], places[2][:, None, None, :]]
            for edge in axes:
                each = zip(splines, axes, places, strict=True)
                basis = [_basis(s.knots, lengths[:, e], p, int(e == edge)) for s, e, p in each]
                mine[edge] += np.einsum("mabc,ma,mb,mc->m", around, *basis, optimize=True) * met * unit
        wrong, size = 0.0, 0.0
        for edge in axes:
            functions = enumerate(zip(self.triplet.functions, lengths.T, strict=True))
            given = [f(r, int(i == edge)) for i, (f, r) in functions]
            exact = np.einsum("abc,ma,mb,mc->m", self.triplet.tensor, *given, optimize=True)
            wrong += float(np.mean((mine[edge] - exact) ** 2))
            size += float(np.mean(exact**2))
        return float(np.sqrt(wrong / size)) if size else 0.0


def _rounded(exact: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """A table rounded to the most decimals with which each of its lines fits into a file; and how many these are."""
    size = np.abs(exact)
    before = np.where(size < 1.0, 0.0, np.floor(np.log10(np.maximum(size, 1.0))) + 1.0)  # no zero before the point
    decimals = np.zeros(exact.shape[:2], np.intp)
    for digits in range(1, MOST_DECIMALS + 1):
        # one more for a 9.99… that gets a digit by rounding; a zero is written as "0"
        width = np.where(size < 0.5 * 10.0**-digits, 1.0, before + (exact < 0.0) + 1.0 + digits)
        fits = width.sum(axis=2) + exact.shape[2] + 1.0 <= LINE
        decimals[fits] = digits
    scale = 10.0 ** decimals[..., np.newaxis]
    return np.round(exact * scale) / scale, decimals


def _four(knots: NDArray[np.float64], r: NDArray[np.float64]) -> NDArray[np.intp]:
    """(m, 4): which B-splines are not zero at some distances."""
    interval = np.searchsorted(knots, r, side="right") - 1
    return interval[:, np.newaxis] + np.arange(-3, 1)


def _basis(
    knots: NDArray[np.float64], r: NDArray[np.float64], places: NDArray[np.intp], derivative: int
) -> NDArray[np.float64]:
    """(m, 4): their values or derivatives."""
    from scipy.interpolate import BSpline

    every = BSpline(knots, np.eye(len(knots) - DEGREE - 1), DEGREE)(r, nu=derivative)
    return np.take_along_axis(every, places, axis=1)


def _triangles(triplet: Triplet, draw: np.random.Generator) -> NDArray[np.float64]:
    """(m, 3): lengths of edges, Å, from closest contacts to cutoffs, that three atoms can have."""
    lows = np.array([f.contact for f in triplet.functions])
    highs = np.array([f.joints[-1] for f in triplet.functions])
    lengths = lows + (highs - lows) * draw.random((20 * SAMPLED, 3))
    possible = 2.0 * lengths.max(axis=1) <= lengths.sum(axis=1)
    sample: NDArray[np.float64] = lengths[possible][:SAMPLED]
    return sample


def splined(triplet: Triplet, intervals: int, layers: int = 1) -> TripletSplines:
    """Splines of a term with so many intervals between the cutoffs of each edge, in each of some layers."""
    elements = triplet.kind.elements
    outer = {tuple(sorted(e)): f.joints[-1] for e, f in zip(edges_of(3), triplet.functions, strict=True)}

    def reach(centre: int) -> float:
        return max(r for ends, r in outer.items() if centre in ends)

    single = [i for i in range(3) if elements.count(elements[i]) == 1]
    # where two are alike, the neighbours have to be these: another choice would meet a triplet twice
    centre = 0 if not single else single[0] if len(single) == 1 else min(single, key=reach)
    cutoff = reach(centre)
    edges = []
    for number, (ends, functions) in enumerate(zip(edges_of(3), triplet.functions, strict=True)):
        weights = np.abs(triplet.tensor).sum(axis=tuple(a for a in range(3) if a != number))
        end = round((cutoff if centre in ends else 2.0 * cutoff) + MARGIN, 2)
        edges.append(edge_splines(functions, weights, intervals, layers, end))
    return TripletSplines(triplet, tuple(zip(*edges, strict=True)), centre, cutoff)


def write_triplets(
    stream: TextIO, splines: Sequence[TripletSplines], layer: int, elements: Sequence[str], units: str, unit: float
) -> None:
    """Write a layer as ``pair_coeff * * uf3 FILE ELEMENTS`` reads it: tables, and zeros where there is no term."""
    head = f"#UF3 POT UNITS: {units} DATE: unknown AUTHOR: hiertl_dist CITATION: Xie23\n"
    farthest = max((s.cutoff for s in splines), default=NOWHERE)
    for pair in itertools.combinations_with_replacement(elements, 2):
        stream.write(f"{head}2B {pair[0]} {pair[1]} 0 3 nk\n{farthest!r} 8\n")
        stream.write(f"{_line([0.0] * 4 + [round(farthest + MARGIN, 2)] * 4)}\n4\n{_line([0.0] * 4)}\n#\n")
    by_names = {s.names: s for s in splines if layer < len(s.layers)}
    for centre, first, second in _interactions(elements):
        names = next((n for n in ((centre, first, second), (centre, second, first)) if n in by_names), None)
        stream.write(f"{head}3B {' '.join(names or (centre, first, second))} 0 3 nk\n")
        if names is None:
            knots = _line([0.0] * 4 + [1.0] * 4)
            stream.write(f"{2 * NOWHERE!r} {NOWHERE!r} {NOWHERE!r} 8 8 8\n{knots}\n{knots}\n{knots}\n4 4 4\n")
            stream.write(f"{_line([0.0] * 4)}\n" * 16 + "#\n")
            continue
        one = by_names[names]
        ij, ik, jk = (one.layers[layer][e].knots for e in one.axes())
        stream.write(f"{2 * one.cutoff!r} {one.cutoff!r} {one.cutoff!r} {len(jk)} {len(ik)} {len(ij)}\n")
        stream.write(f"{_line(jk)}\n{_line(ik)}\n{_line(ij)}\n")
        table, decimals = one.table(layer, unit)
        stream.write(" ".join(map(str, table.shape)) + "\n")
        for row, digits in zip(table.reshape(-1, table.shape[2]), decimals.ravel(), strict=True):
            text = " ".join([f"%.{digits}f"] * len(row)) % tuple(row)
            stream.write(_short(f" {text} ", int(digits)).strip() + "\n")
        stream.write("#\n")


def _interactions(elements: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for centre in elements:
        for first, second in itertools.combinations_with_replacement(elements, 2):
            yield centre, first, second


def _short(text: str, digits: int) -> str:
    """Numbers between spaces without the zero before the point, and zeros as "0"."""
    for nothing in (f" 0.{'0' * digits} ", f" -0.{'0' * digits} "):
        while nothing in text:  # neighbours share a space
            text = text.replace(nothing, " 0 ")
    return text.replace(" 0.", " .").replace(" -0.", " -.")


def _line(values: Sequence[float] | NDArray[np.float64]) -> str:
    return " ".join(f"{v:.5f}".rstrip("0").rstrip(".") for v in values)
