"""Distances between atoms of a data set: closest contacts, first peak and minimum of g(r), for each pair of elements.

g(r) is normalised by the pair's own number within :data:`REACH`: 1 is what as many pairs spread evenly over that
sphere would have. That needs no volume, so it is the same for crystals, slabs and molecules, and its peaks are where
those of the usual g(r) are.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import FrameError
from ..evaluation.kernels.neighbours import closed_cell, find_neighbours
from ..model.basis import Elements, cluster_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..frames.frame import Frame

REACH: Final = 8.0
"""Å: how far pairs are counted; ChIMES models seldom reach farther."""

BIN: Final = 0.02
SMOOTHING: Final = 0.1
"""Å: width of the bins of g(r), and the standard deviation of the Gaussian that smooths it. A narrower one splits the
first shell of a cold crystal, or of bcc, into its parts."""

LEAST_PEAK: Final = 0.5
"""A maximum of g(r) below this is no shell: single dimers among crystals reach 0.3 (the C–C pairs of SiC)."""

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


def pair_distances(
    frames: Sequence[Frame], watch: Callable[[Iterable[Frame], str], Iterable[Frame]] = lambda frames, _: frames
) -> tuple[PairDistances, ...]:
    """Closest contacts and shells of each pair of the elements that occur.

    Parameters
    ----------
    frames : sequence of Frame
        The frames.
    watch : callable, optional
        Wraps the frames as they are looked at, with a word for it, to show progress.

    Returns
    -------
    tuple of PairDistances
        One for each pair of elements, like pairs first for each element, whether or not two such atoms are near.
    """
    by_pair: dict[Elements, list[tuple[str, NDArray[np.float64]]]] = defaultdict(list)
    for frame in watch(sample_frames(frames), "count pairs"):
        for pair, dist in near_distances(frame, REACH).items():
            by_pair[pair].append((frame.origin, dist))
    shortest = {p: min((float(d.min()), origin) for origin, d in own) for p, own in by_pair.items()}
    for frame in watch(frames, "closest contacts"):
        mine = list(itertools.combinations_with_replacement(sorted(frame.elements), 2))
        # what is closer than the contacts that are known lies within the longest of them
        for pair, dist in near_distances(frame, max(shortest[p][0] if p in shortest else REACH for p in mine)).items():
            shortest[pair] = min(shortest.get(pair, (np.inf, "")), (float(dist.min()), frame.origin))
    elements = sorted(set().union(*(f.elements for f in frames)))
    return tuple(
        _described(pair, by_pair.get(pair, []), shortest.get(pair))
        for pair in itertools.combinations_with_replacement(elements, 2)
    )


def sample_frames(frames: Iterable[Frame], most: int = SAMPLE) -> list[Frame]:
    """At most ``most`` frames of each element set, evenly spread over those in their order."""
    by_set: dict[frozenset[str], list[Frame]] = defaultdict(list)
    for frame in frames:
        by_set[frame.elements].append(frame)
    return [f for own in by_set.values() for f in own[:: -(-len(own) // most)]]


def shells(distances: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """First maximum of g(r), and the minimum behind it that parts it from the next shell.

    Parameters
    ----------
    distances : ndarray of shape (pairs,)
        Distances, Å, of which those up to :data:`REACH` count, each pair once.

    Returns
    -------
    peak, valley : float or None
        Å; ``None`` where there is none.
    """
    counts, edges = np.histogram(distances, np.arange(0.0, REACH + BIN / 2, BIN))
    r = 0.5 * (edges[1:] + edges[:-1])
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


def _described(
    pair: Elements, counted: Sequence[tuple[str, NDArray[np.float64]]], shortest: tuple[float, str] | None
) -> PairDistances:
    distances = np.concatenate([np.empty(0), *(d for _, d in counted)])
    if shortest is None:
        return PairDistances(pair)
    peak, valley = shells(distances) if len(distances) else (shortest[0], None)
    longest = float(distances.max()) if len(distances) else shortest[0]
    return PairDistances(pair, len(distances), len(counted), *shortest, longest, peak, valley)


def heights(frame: Frame) -> NDArray[np.float64]:
    """Å, distances between opposite faces of a frame's cell along each vector that it repeats along, up to (3,)."""
    if frame.cell is None or frame.pbc is None:
        return np.empty(0)
    cell = closed_cell(frame.positions, frame.cell, frame.pbc, 1.0)
    distances: NDArray[np.float64] = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)  # type: ignore[arg-type]
    return distances[list(frame.pbc)]
