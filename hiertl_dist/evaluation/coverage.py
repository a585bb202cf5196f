"""Distances that a model is used on against those that it was fitted on: where it extrapolates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .frame_rows import block_ranges, joined_pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..frames.element_set import ElementSet
    from ..frames.frame import Frame
    from .compiled_basis import Recipe
    from .kernels.neighbours import Neighbours


@dataclass(frozen=True)
class OutOfRange:
    """A pair of atoms at a distance (Å) that the model's blocks were not fitted on."""

    pair: str
    atoms: tuple[int, int]
    distance: float
    fitted: tuple[float, float]

    @property
    def side(self) -> str:
        """``"shorter"`` or ``"longer"`` than fitted ones."""
        return "shorter" if self.distance < self.fitted[0] else "longer"

    @property
    def beyond(self) -> float:
        """Å, how far from what was fitted."""
        low, high = self.fitted
        return max(low - self.distance, self.distance - high)

    def __str__(self) -> str:
        low, high = self.fitted
        return (
            f"{self.pair} {self.distance:.3f} Å (atoms {self.atoms[0]}, {self.atoms[1]}), {self.side} than any it was "
            f"fitted on ({low:.3f}–{high:.3f} Å)"
        )


LONG_TOLERANCE = 0.1
"""Å by which a distance may exceed the longest fitted one unremarked: near the outer cutoff every term vanishes
smoothly, and the longest distance of a frame is mere chance. Short contacts have no tolerance."""


def out_of_range(
    frame: Frame, coverage: Mapping[str, tuple[float, float]], recipes: Mapping[ElementSet, Recipe], near: Neighbours
) -> tuple[dict[str, tuple[float, float]], tuple[OutOfRange, ...]]:
    """Ranges of distances by block and pair, and the atoms at a distance that no block was fitted on.

    A distance counts as known if any block of the frame's elements was fitted on it. Blocks whose range is not known
    have no say, and what is beyond the reach of all others is left to them.

    Parameters
    ----------
    frame : Frame
        The frame.
    coverage : Mapping from str to tuple of float
        Shortest and longest distance, Å, that each ``"block:pair"`` was fitted on.
    recipes : Mapping from ElementSet to Recipe
        Of the blocks whose ranges are known, by name.
    near : Neighbours
        Those of the frame's atoms.

    Returns
    -------
    ranges : dict from str to tuple (float, float)
        Shortest and longest distance, Å, in the frame, by ``"block:pair"``.
    outside : tuple of OutOfRange
        The worst pairs of atoms outside.
    """
    blocks: dict[str, Recipe] = {b: r for b, r in recipes.items() if b.is_subset(frame.element_set)}
    ranges = block_ranges(frame, blocks, near)
    known: dict[str, list[tuple[str, tuple[float, float]]]] = {}
    for key, fitted in coverage.items():
        block, _, pair = key.partition(":")
        if key in ranges:
            known.setdefault(pair, []).append((block, fitted))
    flagged = []
    for pair, fits in known.items():
        low, high = min(f[0] for _, f in fits), max(f[1] for _, f in fits)
        # the block that reaches farthest joins every pair of atoms that the others do
        widest = max(fits, key=lambda fit: ranges[f"{fit[0]}:{pair}"][1])[0]
        indices = joined_pairs(frame, blocks[widest], near)[pair]
        distances = near.dist[indices]
        # the shortest alone can be too short; in a dimer it is the longest, too
        outside = ((distances.argmin(), distances.min() < low), (distances.argmax(), is_long(distances.max(), high)))
        for worst in (int(k) for k, is_out in outside if is_out):
            a, r = int(indices[worst]), float(distances[worst])
            flagged.append(OutOfRange(pair, (int(near.centre[a]), int(near.atom[a])), r, (low, high)))
    return ranges, tuple(flagged)


def is_long(distance: float, high: float) -> bool:
    """Whether a distance is beyond the longest fitted one by more than :data:`LONG_TOLERANCE`."""
    return bool(distance > high + LONG_TOLERANCE)


@dataclass(frozen=True)
class Coverage:
    """The range of distances of a pair that a block was fitted on, against what it is now used on.

    Attributes
    ----------
    block : str
        Name of the block.
    pair : str
        Name of the pair of elements.
    fitted, used : tuple of float
        Shortest and longest distance, Å.
    frames : int
        Number of frames that have the block's elements.
    beyond : int
        Of these, frames with a shorter distance, or one longer by more than :data:`LONG_TOLERANCE`.
    force : float
        kcal/mol/Å: where distances lie beyond, and the block has the pair's two-body term, the largest force of this
        term at them, its wall included; else NaN.
    """

    block: str
    pair: str
    fitted: tuple[float, float]
    used: tuple[float, float]
    frames: int
    beyond: int
    force: float = math.nan

    @property
    def outside(self) -> tuple[float, ...]:
        """Those of the used distances, Å, that lie beyond the fitted ones, by however little."""
        (low, high), (shortest, longest) = self.fitted, self.used
        return (*((shortest,) if shortest < low else ()), *((longest,) if longest > high else ()))


def coverage_report(
    coverage: Mapping[str, tuple[float, float]], ranges: Sequence[Mapping[str, tuple[float, float]]]
) -> list[Coverage]:
    """For each block and pair of elements: distances it was fitted on, and those it is used on in some frames.

    Parameters
    ----------
    coverage : Mapping from str to tuple of float
        Of a model: shortest and longest distance, Å, of each ``"block:pair"``.
    ranges : list of Mapping
        The same of the blocks in each frame, see ``Evaluation.ranges``.

    Returns
    -------
    list of Coverage
        Without pairs that no frame has.
    """
    report = []
    for key, (low, high) in coverage.items():
        block, _, pair = key.partition(":")
        used = [of_frame[key] for of_frame in ranges if key in of_frame]
        if used:
            beyond = sum(a < low or b > high + LONG_TOLERANCE for a, b in used)
            span = (min(a for a, _ in used), max(b for _, b in used))
            report.append(Coverage(block, pair, (low, high), span, len(used), beyond))
    return report


def joined_coverage(coverage: Mapping[str, tuple[float, float]], parts: Iterable[Sequence[Coverage]]) -> list[Coverage]:
    """What :func:`coverage_report` would say of the frames of all parts."""
    known: dict[str, Coverage] = {}
    for own in (c for part in parts for c in part):
        before = known.get(key := f"{own.block}:{own.pair}")
        if before is not None:
            span = (min(before.used[0], own.used[0]), max(before.used[1], own.used[1]))
            force = max((f for f in (before.force, own.force) if not math.isnan(f)), default=math.nan)
            frames, beyond = before.frames + own.frames, before.beyond + own.beyond
            own = replace(own, used=span, frames=frames, beyond=beyond, force=force)
        known[key] = own
    return [known[key] for key in coverage if key in known]
