"""Pairs, cluster types and cutoff functions: what a basis is made of."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from ..errors import BasisError
from ..frames.element_set import ElementSet
from ..frames.type_names import Elements, cluster_name, name_fault, split_symbols
from ..text.display import Shown
from ..text.words import finite_number, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "MOST_ORDERS", "TRANSFORMS", "ClusterType", "Cutoff", "Edge", "Elements", "Pair", "check_cutoffs", "check_lambda",
    "check_number", "check_order", "check_transform", "cluster_name", "edges_of", "split_symbols", "type_rank",
]  # fmt: skip

TRANSFORMS: Final = ("MORSE", "INVRSE_R", "DEFAULT")

MOST_ORDERS: Final = {1: 1, 2: 10_000, 3: 100, 4: 10}
"""The largest order of a body: a million sets of powers in a type. A damaged number must not take all the memory."""


def edges_of(body: int) -> list[tuple[int, int]]:
    """Edges of a cluster in ChIMES order: 01 02 12 and 01 02 03 12 13 23."""
    return list(itertools.combinations(range(body), 2))


FARTHEST: Final = 1000.0
"""Å: an outer cutoff beyond it is a number gone wrong; its neighbours would take all the memory."""

MOST_TYPES: Final = 200_000
"""Cluster types of one body: those of 45 elements with four bodies."""


@dataclass(frozen=True)
class Cutoff:
    """The smooth cutoff factor f_c of an edge of length r, 1 … 0 (docs/theory.md, section 1).

    ``CUBIC`` is (1 − r/rmax)³. ``TERSOFF`` is 1 below d = rmax (1 − fraction) and from there to rmax
    ½ + ½ sin(π (r − d)/(rmax − d) + π/2). Both are 0 from rmax on.

    Attributes
    ----------
    kind : {"CUBIC", "TERSOFF"}
        Which function.
    fraction : float
        Of ``TERSOFF``, the part of rmax over which the factor falls, above 0 and up to 1; ``CUBIC`` has none.

    Raises
    ------
    BasisError
        Another kind, or a fraction of ``TERSOFF`` outside (0, 1].
    """

    kind: str = "CUBIC"
    fraction: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("CUBIC", "TERSOFF"):
            raise BasisError(f"cutoff function: expected CUBIC or TERSOFF, found {self.kind!r}")
        if self.kind == "TERSOFF" and not 0.0 < self.fraction <= 1.0:
            raise BasisError(f"TERSOFF: expected a fraction in (0, 1], found {self.fraction}")

    @classmethod
    def parse(cls, text: str) -> Cutoff:
        """Read a cutoff factor as input files write it.

        Parameters
        ----------
        text : str
            ``"CUBIC"``, or ``"TERSOFF"`` and its fraction, as in ``"TERSOFF 0.75"``.

        Returns
        -------
        Cutoff
            ``str`` of it gives the text back.

        Raises
        ------
        BasisError
            Any other text, or a fraction outside (0, 1].
        """
        words = text.split()
        if len(words) == 1 and words[0] == "CUBIC":
            return cls()
        fraction = finite_number(words[1]) if len(words) == 2 and words[0] == "TERSOFF" else None
        if fraction is None:
            raise BasisError(f"cutoff function: expected 'CUBIC' or 'TERSOFF fraction', found {shown(text)}")
        return cls("TERSOFF", fraction)

    def __str__(self) -> str:
        return self.kind if self.kind == "CUBIC" else f"TERSOFF {self.fraction!r}"


@dataclass(frozen=True)
class Pair:
    """A pair of elements: cutoffs of its two-body term, and the transform of its distance (docs/theory.md, section 1).

    Equal cutoffs make an inactive pair, as chimes_lsq's users write one: its terms are zero at every distance.

    Attributes
    ----------
    elements : tuple of 2 str
        The two elements, sorted.
    rmin, rmax : float
        Inner and outer cutoff of the two-body term, Å; 0 ≤ rmin ≤ rmax ≤ 1000.
    transform : {"MORSE", "INVRSE_R", "DEFAULT"}
        What the Chebyshev polynomials take of the distance r: exp(−r/λ), 1/r, or r; for the edges of larger clusters
        too.
    morse_lambda : float or None
        λ of ``MORSE``, Å, above 0; ``None`` for the other transforms, which drop it.

    Raises
    ------
    BasisError
        Cutoffs out of order or range, an unknown transform, or ``MORSE`` without a λ above 0.
    """

    elements: Elements
    rmin: float
    rmax: float
    transform: str = "MORSE"
    morse_lambda: float | None = None

    def __post_init__(self) -> None:
        check_cutoffs(self.name, self.rmin, self.rmax)
        check_transform(f"pair {self.name}", self.transform)
        if self.transform == "MORSE":
            check_lambda(f"pair {self.name}", self.morse_lambda)
        if self.transform != "MORSE" and self.morse_lambda is not None:
            object.__setattr__(self, "morse_lambda", None)

    @property
    def name(self) -> str:
        """Name of the pair: its elements, such as ``CN`` or ``C1-N``."""
        return cluster_name(self.elements)


def check_cutoffs(name: str, rmin: float, rmax: float) -> None:
    """Raise BasisError unless 0 ≤ rmin ≤ rmax ≤ 1000 Å. Equal ones are those of a pair or edge that is never active."""
    if not (0.0 <= rmin <= rmax < float("inf")):
        raise BasisError(f"{name}: expected 0 ≤ rmin ≤ rmax, found rmin {shown(rmin)}, rmax {shown(rmax)}")
    if rmax > FARTHEST:
        raise BasisError(f"{name}: expected an outer cutoff up to {FARTHEST:.0f} Å, found {shown(rmax)}")


def check_transform(name: str, transform: object) -> None:
    """Raise BasisError for a transform that there is not."""
    if transform not in TRANSFORMS:
        raise BasisError(f"{name}: expected a transform of {TRANSFORMS}, found {shown(transform)}")


def check_lambda(name: str, value: float | None) -> None:
    """Raise BasisError unless λ of a MORSE transform is a finite length."""
    if value is None or not 0.0 < value < float("inf"):
        raise BasisError(f"{name}: MORSE needs a finite lambda > 0, found {value}")


def check_order(name: str, body: int, order: int) -> None:
    """Raise BasisError for an order that no cluster type of that many bodies has."""
    least, most = 1 if body <= 2 else 2, MOST_ORDERS[body]
    if not least <= order <= most:
        bound = f"at least {least}" if order < least else f"at most {most}"
        bound = f"exactly {least}" if body == 1 else bound
        raise BasisError(f"{name}: expected an order of {bound}, found {shown(order)}")


def check_number(elements: int, body: int) -> None:
    """Raise BasisError where so many elements make more cluster types of a body than anybody can fit."""
    if (count := math.comb(elements + body - 1, body)) > MOST_TYPES:
        raise BasisError(f"{elements} elements make {count} types of {body} bodies, more than {MOST_TYPES}")


@dataclass(frozen=True)
class Edge:
    """Cutoffs that a cluster type uses for its edges between two elements.

    Attributes
    ----------
    elements : tuple of 2 str
        The two elements, sorted.
    rmin, rmax : float
        Inner and outer cutoff, Å. Equal ones make a type that is never active.
    """

    elements: Elements
    rmin: float
    rmax: float

    @property
    def name(self) -> str:
        """Name of the pair: its elements, such as ``CN`` or ``C1-N``."""
        return cluster_name(self.elements)


Joint = TypeVar("Joint", "Pair", Edge)


@dataclass(frozen=True, repr=False)
class ClusterType(Shown):
    """A multiset of 1 to 4 elements, its number of Chebyshev orders, and its own cutoffs per pair of elements.

    Attributes
    ----------
    elements : tuple of str
        One to four elements, sorted, each as often as it occurs: ``("C", "C", "N")``.
    order : int
        Counts as in PAIRTYP: two-body powers run 1…order, many-body ones 0…order−1; 1 for a one-body type.
    edges : tuple of Edge
        The cutoffs for each pair of elements that the cluster has, each once, sorted by elements; none for a one-body
        type.

    Raises
    ------
    BasisError
        Elements that are not 1 to 4 or not sorted, an order that no such type has, or edges that are missing, too many
        or of wrong cutoffs.
    """

    elements: Elements
    order: int
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        if self.elements != tuple(sorted(self.elements)) or not 1 <= len(self.elements) <= 4:
            raise BasisError(f"cluster type: expected 1 to 4 sorted elements, found {self.elements}")
        check_order(self.name, self.body, self.order)
        wanted = sorted({tuple(sorted(p)) for p in itertools.combinations(self.elements, 2)})
        if [e.elements for e in self.edges] != wanted:
            raise BasisError(f"{self.name}: expected cutoffs for {wanted}, found {[e.elements for e in self.edges]}")
        for edge in self.edges:
            check_cutoffs(f"{self.name}, edge {edge.name}", edge.rmin, edge.rmax)

    @property
    def body(self) -> int:
        """How many atoms a cluster has, 1 to 4."""
        return len(self.elements)

    @property
    def name(self) -> str:
        """Name of the type: its elements, such as ``CCN`` or ``C1-C1-N``."""
        return cluster_name(self.elements)

    @property
    def block(self) -> ElementSet:
        """Name of the block that the type belongs to: its set of elements."""
        return ElementSet.of(self.elements)

    def edge(self, a: str, b: str) -> Edge:
        """The cutoffs between two of its elements.

        Parameters
        ----------
        a, b : str
            The elements, in any order.

        Returns
        -------
        Edge
            Its cutoffs in Å.

        Raises
        ------
        BasisError
            No edge of the cluster joins these elements: they and the edges that there are are named.
        """
        return joining(f"cluster type {self.name}", self.edges, a, b)


def joining(name: str, among: Sequence[Joint], a: str, b: str) -> Joint:
    """The pair or edge of two elements, in any order; BasisError, which says of what (``name``), if there is none."""
    key = tuple(sorted((a, b)))
    for one in among:
        if one.elements == key:
            return one
    given = ", ".join("-".join(one.elements) for one in among) or "none"
    raise BasisError(f"{name}: expected two elements that are a pair of it ({given}), found {shown(a)} and {shown(b)}")


def type_faults(kind: ClusterType, pairs: Mapping[Elements, Pair]) -> Iterator[tuple[Edge, str]]:
    """What is wrong with a cluster type beside its pairs: the edge and what to say of it."""
    for edge in kind.edges:
        pair = pairs[edge.elements]
        if kind.body == 2 and (edge.rmin, edge.rmax) != (pair.rmin, pair.rmax):
            expected = f"{pair.rmin} and {pair.rmax} Å"
            yield edge, f"two-body terms have the cutoffs of their pair, {expected}, found {edge.rmin} and {edge.rmax}"
        if pair.transform == "INVRSE_R" and edge.rmin <= 0.0:
            yield edge, f"INVRSE_R needs rmin above 0, found {edge.rmin}"


def element_faults(elements: Elements) -> Iterator[str]:
    """What is wrong with a list of elements."""
    if len(set(elements)) != len(elements) or not elements:
        yield f"elements: expected distinct symbols, found {shown(elements)}"
    for element in elements:
        if fault := name_fault(element):
            yield f"elements: {shown(element)} is neither a chemical symbol nor the name of a type: {fault}"


def mass_faults(masses: Mapping[str, float], elements: Elements) -> Iterator[str]:
    """What is wrong with a table of masses."""
    for element, mass in masses.items():
        if element not in elements:
            yield f"masses: {shown(element)} not among the elements {elements}"
        if not 0.0 < mass < float("inf"):
            yield f"masses: expected a mass above 0 for {element}, found {shown(mass)}"


def energy_faults(names: Iterable[str], ones: Iterable[str]) -> Iterator[str]:
    """What is wrong with the elements that energies are given for; ``ones`` are those with a one-body term."""
    known = sorted(ones)
    for name in names:
        if name not in known:
            yield f"energies.{name}: expected an element with a one-body term, of which there are {known}"


def type_rank(elements: Elements, order: Sequence[str]) -> tuple[int, ...]:
    """Sort key of a cluster type in chimes_lsq's order: 2, 3, 4, then 1 body.

    Like pairs come before unlike ones, many-body types as loops over the elements in input order meet them first.
    """
    index = sorted(order.index(e) for e in elements)
    body = {2: 0, 3: 1, 4: 2, 1: 3}[len(elements)]
    unlike = (int(index[0] != index[1]),) if len(elements) == 2 else ()
    return (body, *unlike, *index)
