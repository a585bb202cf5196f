"""Distances between atoms of a data set: closest contacts, first peak and minimum of g(r), for each pair of elements.

g(r) is normalised by the pair's own number within :data:`REACH`: 1 is what as many pairs spread evenly over that
sphere would have. That needs no volume, so it is the same for crystals, slabs and molecules, and its peaks are where
those of the usual g(r) are.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..errors import FrameError
from ..evaluation.kernels import scan as kernel
from ..evaluation.kernels.neighbours import closed_cell, find_neighbours
from ..evaluation.kernels.scan import ODD, Seen, scan_contacts
from ..model.basis import Elements, cluster_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ..frames.element_set import ElementSet
    from ..frames.frame import Frame
    from ..frames.frame_facts import FrameFacts
    from ..frames.frame_table import FrameTable

REACH: Final = 8.0
"""Å: how far pairs are counted; ChIMES models seldom reach farther."""

BIN: Final = 0.02
SMOOTHING: Final = 0.1
"""Å: width of the bins of g(r), and the standard deviation of the Gaussian that smooths it. A narrower one splits the
first shell of a cold crystal, or of bcc, into its parts."""

LEAST_PEAK: Final = 0.5
"""A maximum of g(r) below this is no shell: single dimers among crystals reach 0.3 (the C–C pairs of SiC)."""

EDGES: Final = np.arange(0.0, REACH + BIN / 2, BIN)
"""Å, of the bins of g(r)."""

VALLEY: Final = 0.65
"""A minimum parts two shells when it is below this fraction of the lower of the maxima beside it; that between the two
shells of hot bcc molybdenum is 0.9, those of liquid C and N are 0.4–0.6."""

SAMPLE: Final = 100
"""Frames of each element set whose g(r) is counted, evenly spread. Closest contacts are looked for in all frames."""


@dataclass(frozen=True)
class PairDistances:
    """How far from one another the atoms of two elements are.

    Attributes
    ----------
    elements : tuple of str
        The two, sorted.
    pairs : int
        Pairs within :data:`REACH` in the frames that were counted.
    frames : int
        How many of these frames have one.
    shortest : float or None
        Å, the closest contact in all frames; ``None``: none within :data:`REACH`.
    origin : str
        The frame that has it.
    longest : float or None
        Å, the longest distance counted, at most :data:`REACH`.
    peak : float or None
        Å, the first maximum of g(r); ``None`` without pairs.
    valley : float or None
        Å, the minimum behind it, where the first shell ends; ``None`` where the shells are not parted.
    """

    elements: Elements
    pairs: int = 0
    frames: int = 0
    shortest: float | None = None
    origin: str = ""
    longest: float | None = None
    peak: float | None = None
    valley: float | None = None

    @property
    def name(self) -> str:
        """The pair, ``CN``."""
        return cluster_name(self.elements)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; distances in Å."""
        return {
            "pair": self.name, "shortest": self.shortest, "origin": self.origin, "first_peak": self.peak,
            "first_minimum": self.valley, "longest": self.longest, "pairs": self.pairs, "frames": self.frames,
        }  # fmt: skip


class Contact(NamedTuple):
    """The closest contact of two elements: the distance in Å, and the frame; of equal ones the first by its name."""

    distance: float
    origin: str


Contacts = dict[Elements, Contact]
"""By pair of elements, sorted."""


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Pairs of two elements within the reach in some frames.

    Attributes
    ----------
    counts : ndarray of int, shape (bins,)
        How many there are by distance, in bins of :data:`BIN`.
    pairs : int
        How many in all.
    frames : int
        How many frames have one.
    closest : Contact
        The closest of them.
    longest : float
        Å, the longest.
    """

    counts: NDArray[np.int64]
    pairs: int
    frames: int
    closest: Contact
    longest: float

    def __add__(self, other: PairCounts) -> PairCounts:
        return PairCounts(
            self.counts + other.counts, self.pairs + other.pairs, self.frames + other.frames,
            min(self.closest, other.closest), max(self.longest, other.longest),
        )  # fmt: skip


def count_pairs(frames: Iterable[Frame]) -> dict[Elements, PairCounts]:
    """The pairs within :data:`REACH` in some frames, by their elements."""
    by_pair: dict[Elements, PairCounts] = {}
    for frame in frames:
        own = {
            pair: PairCounts(bin_counts(d), len(d), 1, Contact(float(d.min()), frame.origin), float(d.max()))
            for pair, d in near_distances(frame, REACH).items()
        }
        by_pair = added_counts(by_pair, own)
    return by_pair


def added_counts(
    one: Mapping[Elements, PairCounts], other: Mapping[Elements, PairCounts]
) -> dict[Elements, PairCounts]:  # fmt: skip
    """The pairs of both."""
    return {**one, **{pair: one[pair] + own if pair in one else own for pair, own in other.items()}}


def closest_of(one: Mapping[Elements, Contact], other: Mapping[Elements, Contact]) -> Contacts:
    """The closest contacts of both."""
    return {**one, **{pair: min(one[pair], own) if pair in one else own for pair, own in other.items()}}


def described_pairs(
    elements: Sequence[str], counted: Mapping[Elements, PairCounts], closest: Mapping[Elements, Contact]
) -> tuple[PairDistances, ...]:
    """Closest contacts and shells of each pair of some elements.

    Parameters
    ----------
    elements : sequence of str
        Sorted.
    counted : mapping from tuple of str to PairCounts
        Of the frames whose pairs were counted.
    closest : mapping from tuple of str to Contact
        In all frames.

    Returns
    -------
    tuple of PairDistances
        One for each pair, whether or not two such atoms are near.
    """
    return tuple(
        _described(pair, counted.get(pair), closest.get(pair))
        for pair in itertools.combinations_with_replacement(elements, 2)
    )


def sample_numbers(facts: FrameFacts, most: int) -> NDArray[np.int64]:
    """Numbers of at most ``most`` frames of each element set, evenly spread over those in their order."""
    sets = facts.sets
    present, first = np.unique(sets, return_index=True)
    members = (np.flatnonzero(sets == code) for code in present[np.argsort(first)])
    return np.concatenate([np.empty(0, np.int64), *(own[:: -(-len(own) // most)] for own in members)])


def bin_counts(distances: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of some distances (Å) are in each bin up to :data:`REACH`."""
    return np.histogram(distances, EDGES)[0]


def shells(counts: NDArray[np.int64]) -> tuple[float | None, float | None]:
    """First maximum of g(r), and the minimum behind it that parts it from the next shell.

    Parameters
    ----------
    counts : ndarray of int, shape (bins,)
        Pairs by distance, see :func:`bin_counts`, each pair once.

    Returns
    -------
    peak, valley : float or None
        Å; ``None`` where there is none.
    """
    r = 0.5 * (EDGES[1:] + EDGES[:-1])
    if not counts.any():
        return None, None
    g = counts / (counts.sum() * 3.0 * r**2 * BIN / REACH**3)
    offsets = np.arange(-5 * SMOOTHING, 5 * SMOOTHING + BIN / 2, BIN)
    kernel = np.exp(-0.5 * (offsets / SMOOTHING) ** 2)
    # beyond the ends there is nothing in front, and behind as much as at the last bin
    padded = np.concatenate([np.zeros(len(kernel) // 2), g, np.full(len(kernel) // 2, g[-10:].mean())])
    smooth = np.convolve(padded, kernel / kernel.sum(), "valid")
    rising = np.diff(smooth) > 0
    maxima = [i for i in range(1, len(smooth) - 1) if rising[i - 1] and not rising[i] and smooth[i] >= LEAST_PEAK]
    if not maxima:
        return float(r[int(smooth.argmax())]), None
    first = maxima[0]
    for other in maxima[1:]:
        lowest = first + int(smooth[first : other + 1].argmin())
        if smooth[lowest] < VALLEY * min(smooth[first], smooth[other]):
            return float(r[first]), float(r[lowest])
        if smooth[other] > smooth[first]:  # two parts of one shell, of which the higher is meant
            first = other
    return float(r[first]), None


def near_distances(frame: Frame, reach: float) -> dict[Elements, NDArray[np.float64]]:
    """Distances (Å) within a reach, (pairs,), each pair of atoms once, by sorted elements."""
    elements = sorted(frame.elements)
    codes = np.searchsorted(elements, frame.species)
    try:
        near = find_neighbours(
            frame.positions, frame.cell, reach * (1.0 + 1e-9), pbc=frame.pbc if frame.pbc is not None else (True,) * 3
        )
    except ValueError as error:
        raise FrameError(f"{frame.origin}: {error}") from error
    i, j, dist = codes[near.centre[near.half]], codes[near.atom[near.half]], near.dist[near.half]
    kind = np.minimum(i, j) * len(elements) + np.maximum(i, j)
    return {
        (elements[k // len(elements)], elements[k % len(elements)]): dist[kind == k] for k in np.unique(kind).tolist()
    }


def closest_contacts(
    table: FrameTable, by_elements: Iterable[tuple[ElementSet, NDArray[np.intp]]], known: Mapping[Elements, Contact]
) -> Contacts:  # fmt: skip
    """The closest contacts in the frames of a table, by pair of elements, as far as they are closer than known ones.

    Parameters
    ----------
    table : FrameTable
        The frames.
    by_elements : iterable of tuple (ElementSet, ndarray of int)
        The element sets of the frames, and which have each.
    known : mapping from tuple of str to Contact
        What need not be looked for.

    Returns
    -------
    dict from tuple of str to Contact
        Of pairs within the reach.
    """
    closest: Contacts = {}
    for elements, members in by_elements:
        own = sorted(elements.elements)
        pairs = list(itertools.combinations_with_replacement(own, 2))
        # what is closer than the contacts that are known lies within the longest of them
        reach = max(known[p].distance if p in known else REACH for p in pairs)
        shortest = _shortest(table, members, own, pairs, reach)
        for p, pair in enumerate(pairs):
            least = float(shortest[:, p].min())
            if np.isfinite(least):
                origins = map(table.origin, members[np.flatnonzero(shortest[:, p] == least)].tolist())
                closest = closest_of(closest, {pair: Contact(least, min(origins))})
    return closest


def _shortest(
    table: FrameTable, members: NDArray[np.intp], elements: Sequence[str], pairs: Sequence[Elements], reach: float
) -> NDArray[np.float64]:
    """(members, pairs) Å, the shortest distance in each frame of each pair; infinite where there is none in reach."""
    code, number = np.zeros(len(table.names), np.int64), np.zeros((len(elements),) * 2, np.int64)
    for k, element in enumerate(elements):
        code[table.names.index(element)] = k
    for p, (x, y) in enumerate(zip(*np.triu_indices(len(elements)), strict=True)):
        number[x, y] = number[y, x] = p
    seen = Seen.nothing(len(members), len(pairs), 0)
    positions, cells, pbc = (np.require(a, requirements=["C", "W"]) for a in (table.positions, table.cells, table.pbc))
    scan_contacts(
        table.starts, code[table.types], positions, cells, pbc, members.astype(np.int64), reach * (1.0 + 1e-9), number,
        np.zeros(len(pairs) + 1, np.int64), np.empty(0), kernel.FEW, seen,
    )  # fmt: skip
    for row in np.flatnonzero(seen.flag == ODD).tolist():
        near = near_distances(table.frame(int(members[row])), reach)
        seen.shortest[row] = [near[pair].min() if pair in near else np.inf for pair in pairs]
    return seen.shortest


def _described(pair: Elements, counted: PairCounts | None, closest: Contact | None) -> PairDistances:
    if closest is None:
        return PairDistances(pair)
    if counted is None:
        return PairDistances(pair, 0, 0, *closest, closest.distance, closest.distance)
    return PairDistances(pair, counted.pairs, counted.frames, *closest, counted.longest, *shells(counted.counts))


def thinnest_cells(table: FrameTable) -> NDArray[np.float64]:
    """(n,) Å, how far apart the nearest two faces of a cell are that a frame repeats across; NaN of molecules."""
    thinnest = np.full(len(table), np.nan)
    crystals = np.flatnonzero(table.pbc.all(axis=1))
    thinnest[crystals] = (1.0 / np.linalg.norm(np.linalg.inv(table.cells[crystals]), axis=1)).min(axis=1)
    for i in np.flatnonzero(table.pbc.any(axis=1) & ~table.pbc.all(axis=1)).tolist():
        thinnest[i] = heights(table.frame(i)).min()
    return thinnest


def heights(frame: Frame) -> NDArray[np.float64]:
    """Å, distances between opposite faces of a frame's cell along each vector that it repeats along, up to (3,)."""
    if frame.cell is None or frame.pbc is None:
        return np.empty(0)
    cell = closed_cell(frame.positions, frame.cell, frame.pbc, 1.0)
    distances: NDArray[np.float64] = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)  # type: ignore[arg-type]
    return distances[list(frame.pbc)]
