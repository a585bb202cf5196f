"""What a fit spends besides its rows: on the plan, on the reduction of rows, on a solve; CPU seconds, before any of it.

Figures are those of ``benchmarks/README.md``: they are right within a third, and on another machine differ by a factor.
"""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..frames.element_set import ElementSet
from ..model.blocks import blocks_of, n_type_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from ..frames.frame_sequence import FrameSequence
    from ..model.basis import Basis

QR_RATE: Final = 5e10
"""Floating-point operations per second of a QR on one core, roughly; the solve of a ridge has about the same."""

ENTRY_SECONDS: Final = 6e-9
"""Of each number of the rows besides: they are weighted and moved about."""

FRAME_SECONDS: Final = 4e-5
ATOM_SECONDS: Final = 5e-7
"""Of planning."""


FROZEN_SHARE: Final = 0.5
"""Of the seconds of a block's rows, what evaluating all of its lower blocks takes: 0.35 for the whole CN block of
``cn_dft``, 0.65 for pairs and triplets of 32 atoms."""


VALUE_SECONDS: Final = 1.1e-6
"""Times the square of the columns of a mixed type: its functions, and those of lower blocks, at sampled clusters."""

PROJECTION_FLOPS: Final = 60.0
"""Times the cube of the columns of a mixed type: projecting what lower blocks say of it on its functions, once."""

WEIGHT_FLOPS: Final = 13.0
"""Times the cube of the columns of a block: choosing the weight of its probes."""


class HasRows(Protocol):
    """A segment of a plan, as far as costs go."""

    @property
    def first(self) -> int:
        """Place of its first frame."""

    @property
    def rows(self) -> int:
        """Number of rows."""

    @property
    def frames(self) -> FrameSequence:
        """Its frames."""


@dataclass(frozen=True)
class FitSeconds:
    """Estimated CPU seconds of what a fit consists of.

    Attributes
    ----------
    planning : float
        Looking at the frames.
    rows : float
        Making them once.
    frozen : float
        Evaluating lower blocks, where they are frozen.
    reduction : float
        Reducing them once.
    solve : float
        Solving once for every block, a ridge; a LASSO, or a search over many weights, takes longer.
    priors : float
        Making mixed means, and the rows of probe structures, and choosing between them.
    """

    planning: float
    rows: float
    frozen: float
    reduction: float
    solve: float
    priors: float = 0.0

    def __add__(self, other: FitSeconds) -> FitSeconds:
        """Those of two fits."""
        return FitSeconds(*(one + more for one, more in zip(astuple(self), astuple(other), strict=True)))

    @property
    def total(self) -> float:
        """All of it."""
        return self.planning + self.rows + self.frozen + self.reduction + self.solve + self.priors

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self) | {"total": self.total}


def reduction_seconds(rows: int, width: int) -> float:
    """CPU seconds of the reduction of so many rows, with as many columns and labels."""
    return rows * width * (2.0 * width / QR_RATE + ENTRY_SECONDS)


def solve_seconds(width: int) -> float:
    """CPU seconds of the solve of a ridge with as many columns."""
    return float(width) ** 3 / QR_RATE


def planning_seconds(frames: int, atoms: int) -> float:
    """CPU seconds of a plan of so many frames."""
    return FRAME_SECONDS * frames + ATOM_SECONDS * atoms


def prior_seconds(
    blocks: Collection[str], basis: Basis, making: float, width: int, atoms: float, probe_atoms: float
) -> float:  # fmt: skip
    """CPU seconds of the prior of a fit that leans on lower blocks: at most, for means of like functions are cheap.

    A projection is made for the mean, and again for the forces that it says of the probes, which are evaluated.

    Parameters
    ----------
    blocks : collection of str
        Names of the blocks that are fitted together.
    basis : Basis
        That has them.
    making : float
        CPU seconds of making their rows.
    width : int
        Columns of all blocks, and one for the labels.
    atoms, probe_atoms : float
        Of the frames that are fitted, and of the probe structures that are made, all together.

    Returns
    -------
    float
        Nothing where no block has two elements, or one of a single element is fitted together with them.
    """
    sets = [ElementSet.parse(b) for b in blocks]
    if any(len(s.elements) == 1 for s in sets) or not atoms:
        return 0.0
    columns = [float(n_type_columns(t)) for t in basis.types if t.block in sets and t.body > 1]
    projecting = sum(VALUE_SECONDS * n**2 + PROJECTION_FLOPS * n**3 / QR_RATE for n in columns)
    if not probe_atoms:
        return projecting
    rows = 2.0 * making * probe_atoms / atoms + reduction_seconds(round(3 * probe_atoms), width)
    return 2.0 * projecting + WEIGHT_FLOPS * float(width) ** 3 / QR_RATE + rows


def probe_atoms_of(block: ElementSet, atoms: Mapping[ElementSet, tuple[int, int]], probes: int) -> float:
    """Atoms of probe structures of a block: as many each as frames of its single elements have.

    ``atoms`` are numbers of atoms and frames by element set.
    """
    alone = [own for s, own in atoms.items() if len(s.elements) == 1 and s.is_subset(block)]
    used = alone or [own for s, own in atoms.items() if s == block]
    frames = sum(n for _, n in used)
    return probes * sum(a for a, _ in used) / frames if frames else 0.0


def seconds_of_one_fit(blocks: Collection[str], basis: Basis, making: float, rows: int, width: int) -> FitSeconds:
    """What one fit spends after it is planned.

    Parameters
    ----------
    blocks : collection of str
        Names of the blocks that are fitted together.
    basis : Basis
        With all blocks; those below these are frozen.
    making : float
        CPU seconds of making the rows of these blocks.
    rows : int
        How many there are.
    width : int
        Columns of all blocks, and one for the labels.

    Returns
    -------
    FitSeconds
        By what is done; nothing for planning.
    """
    names = [b.name for b in blocks_of(basis)]
    below = any(n.is_proper_subset(ElementSet.parse(b)) and n not in blocks for b in blocks for n in names)
    frozen = FROZEN_SHARE * making if below else 0.0
    return FitSeconds(0.0, making, frozen, reduction_seconds(rows, width), solve_seconds(width))


def fit_seconds(
    plan: Any, fits: Iterable[tuple[Sequence[str], Sequence[HasRows]]] | None = None,
    probes: Callable[[Sequence[str]], int | None] = lambda _: None,
) -> FitSeconds:  # fmt: skip
    """What a fit of a plan spends.

    Parameters
    ----------
    plan : Plan
        Of its rows.
    fits : iterable of tuple (sequence of str, sequence of Segment), optional
        Names of blocks that are fitted together, and what they are fitted to; default: blocks that are wanted in the
        same segment are.
    probes : callable, optional
        From the blocks of a fit to the number of probe structures of its prior; None where it has no mixed mean.

    Returns
    -------
    FitSeconds
        By what is done.
    """
    atoms = sum(int(s.frames.facts.n_atoms.sum()) for s in plan.segments)
    spent = FitSeconds(planning_seconds(sum(len(s.frames) for s in plan.segments), atoms), 0.0, 0.0, 0.0, 0.0)
    seconds: dict[tuple[int, str], float] = {(t.segment.first, t.block): t.seconds for t in plan.tiles}
    sizes: dict[ElementSet, tuple[int, int]] = {}
    for s in plan.segments:
        had, before = sizes.get(s.elements, (0, 0))
        sizes[s.elements] = had + int(s.frames.facts.n_atoms.sum()), before + len(s.frames)
    for blocks, segments in fitted_together(plan) if fits is None else fits:
        making = sum(seconds.get((s.first, b), 0.0) for s in segments for b in blocks)
        width = sum(plan.columns[b] for b in blocks) + 1
        spent += seconds_of_one_fit(blocks, plan.basis, making, sum(s.rows for s in segments), width)
        if (number := probes(blocks)) is not None:
            own = sum(int(s.frames.facts.n_atoms.sum()) for s in segments)
            made = probe_atoms_of(ElementSet.union(map(ElementSet.parse, blocks)), sizes, number)
            priors = prior_seconds(blocks, plan.basis, making, width, own, made)
            spent = replace(spent, priors=spent.priors + priors)
    return replace(spent, rows=plan.seconds)  # once, though several fits have some


def fitted_together(plan: Any) -> list[tuple[list[str], list[Any]]]:
    """Blocks that share a segment, directly or by others, and their segments."""
    tiles: dict[int, tuple[Any, set[str]]] = {}
    for tile in plan.tiles:
        tiles.setdefault(tile.segment.first, (tile.segment, set()))[1].add(tile.block)
    alike: dict[frozenset[str], list[Any]] = {}
    for segment, blocks in tiles.values():
        alike.setdefault(frozenset(blocks), []).append(segment)
    found: list[tuple[set[str], list[Any]]] = []
    for shared, segments in alike.items():
        own = [each for each in found if each[0] & shared]
        merged = set(shared).union(*(b for b, _ in own)), [*segments, *(s for _, some in own for s in some)]
        found = [each for each in found if each not in own] + [merged]
    return [(sorted(blocks), segments) for blocks, segments in found]
