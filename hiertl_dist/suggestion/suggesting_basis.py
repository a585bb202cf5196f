"""Cutoffs, λ and orders for a data set: the rules behind :func:`~hiertl_dist.suggest_input`."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..design_matrix.fit_costs import FitSeconds
from ..errors import InputError
from ..frames.element_set import ElementSet
from ..model.basis import Basis
from ..model.blocks import blocks_of, sets_used
from ..model.walls import closest_known, inner_below, propose_wall
from .distances import REACH, PairDistances, sample_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..frames.frame_sequence import FrameSequence
    from ..model.parameters import Penalty
    from .fit_estimates import FitEstimates
    from .known_blocks import KnownBlocks

Orders = tuple[int, int, int]
"""Two-, three- and four-body orders, counted as in PAIRTYP."""

LEVELS: Final[tuple[Orders, ...]] = (
    (4, 0, 0), (6, 0, 0), (8, 3, 0), (10, 4, 0), (12, 5, 0), (12, 5, 2), (12, 6, 0), (12, 6, 2), (12, 6, 3), (12, 7, 3),
    (16, 10, 3),
)  # fmt: skip
"""Orders to choose from: each is better on held-out frames than the one before it, on the mean of all data sets, but
for the last, which is better by a third for Mo and worse by 3 % for C/N and H, by 70 % for Si/C."""

THREE_BODY: Final = (8, 3, 0)
"""What a block's own frames have to determine for it to be fitted by itself."""

LABELS_A_COLUMN: Final = 4
LABELS_A_COLUMN_OF_THE_LAST: Final = 100
LABELS_A_COLUMN_ALONE: Final = 5
"""Labels other than zero that a fit needs for each of its columns, for each of those of the last level, and that a
block's own frames need for each column of :data:`THREE_BODY` if it is to be fitted by itself. Of 10, 5, 4, 3, 2 and 1
for each column, 5 is best on a dozen frames of a liquid, 2 on the crystals of SiC. C/N, H and Mo have 19, 66 and 127
for each column of the last level."""

SECONDS: Final = 300.0
"""CPU seconds that a fit may take by the estimate: some minutes on two cores."""

NOTHING: Final = FitSeconds(0.0, 0.0, 0.0, 0.0, 0.0)

MOST_ELEMENTS: Final = 4
"""Elements of the largest block: a ChIMES cluster has at most four atoms."""


@dataclass(frozen=True)
class PairChoice:
    """Inner cutoff and Morse λ of a pair of elements, beside the closest contact and the first peak seen.

    Attributes
    ----------
    name : str
        Of the pair, such as ``"CN"``.
    rmin : float
        Å, the inner cutoff.
    morse_lambda : float
        Å, the length of the Morse transform.
    shortest : float or None
        Å, the closest contact in all frames; ``None``: never met.
    peak : float or None
        Å, the first maximum of g(r); ``None`` without pairs.
    known : bool
        Whether cutoffs and λ are those of a library.
    """

    name: str
    rmin: float
    morse_lambda: float
    shortest: float | None
    peak: float | None
    known: bool = False


class Cutoffs(NamedTuple):
    """Outer cutoffs (Å) of two-, three- and four-body terms, of all pairs alike, and the distance they follow from."""

    two_body: float
    three_body: float
    four_body: float
    shell: float
    longest: float


@dataclass(frozen=True)
class BlockChoice:
    """The orders of a block, and what is fitted with it.

    Attributes
    ----------
    name : ElementSet
        The block, or the elements of all blocks that are fitted at once.
    free : tuple of ElementSet
        Lower blocks that are fitted together with it.
    level : tuple of (int, int, int)
        Of the orders of all of these, see :func:`orders_of`.
    columns : int
        How many they have together.
    labels : int
        Numbers other than zero in their frames.
    cpu : FitSeconds
        Estimated CPU seconds after the plan.
    include_fewer : bool
        Whether frames of some of its elements are used too.
    needs_only : bool
        Whether a block must be kept from being fitted by itself.
    at_once : tuple of ElementSet
        All blocks, where they are fitted at once; otherwise empty.
    """

    name: ElementSet
    free: tuple[ElementSet, ...]
    level: Orders
    columns: int = 0
    labels: int = 0
    cpu: FitSeconds = NOTHING
    include_fewer: bool = False
    needs_only: bool = False
    at_once: tuple[ElementSet, ...] = ()

    @property
    def seconds(self) -> float:
        """Estimated CPU seconds of the fit, all of them."""
        return self.cpu.total

    @property
    def names(self) -> tuple[ElementSet, ...]:
        """All blocks that are fitted together."""
        return self.at_once or (self.name, *self.free)

    @property
    def orders(self) -> dict[str, Orders]:
        """Orders of each of them."""
        return {n: self.level if self.at_once else orders_of(n, self.level) for n in self.names}


def choose_pairs(
    pairs: Iterable[PairDistances], library: KnownBlocks | None = None
) -> tuple[tuple[PairChoice, ...], Penalty]:
    """Inner cutoffs and λ, and the wall above the inner cutoffs.

    λ is the position of the first peak of g(r), the usual choice of ChIMES: Lindsey, Fried, Goldman, J. Chem. Theory
    Comput. 13, 6222 (2017); the authors' own files have 1.40 Å for C, 1.09 Å for N, 0.73 Å for H. 0.8 to 1.5 times that
    changes held-out scores by 2 % at most, but worsens them by a third for Si/C. rmin and wall:
    :func:`~hiertl_dist.model.walls.propose_wall`. What no frame tells is the mean of the like pairs, or of all. Pairs
    that a library has are as they are there, and others have rmin by its wall.

    Raises InputError where no pair was met at all.
    """
    listed = list(pairs)
    met = {p.elements: p for p in listed if p.shortest is not None}
    known = {} if library is None else {e: p for e, p in library.pairs.items() if e in {x.elements for x in listed}}
    if not met:
        raise InputError(
            f"no two atoms come within {REACH} Å of one another in any frame: there is nothing but energies of single "
            "atoms to fit; is the unit of the positions Å?"
        )
    contacts = {e: p.shortest or 0.0 for e, p in met.items()}
    if library is None:
        inner, wall = propose_wall(contacts)
    else:
        wall = library.wall
        inner = {e: inner_below(c, wall) for e, c in closest_known(contacts).items()}
    lam = {e: round(p.peak if p.peak is not None else p.shortest or 1.0, 2) for e, p in met.items()}
    inner |= {e: p.rmin for e, p in known.items()}
    lam |= {e: p.morse_lambda for e, p in known.items() if p.morse_lambda is not None}
    choices = []
    for p in listed:
        kin = [k for k in inner if k[0] == k[1] and k[0] in p.elements and k in lam] or list(met)
        rmin = inner.get(p.elements, math.floor(100 * float(np.mean([inner[k] for k in kin])) + 1e-9) / 100)
        length = lam.get(p.elements, round(float(np.mean([lam[k] for k in kin])), 2))
        there = p.elements in known
        choices.append(PairChoice(p.name, rmin if there else max(rmin, 0.01), length, p.shortest, p.peak, there))
    return tuple(choices), wall


def choose_cutoffs(pairs: Iterable[PairDistances], library: KnownBlocks | None = None) -> Cutoffs:
    """Outer cutoffs, from the first shell of the pairs that were met.

    In units of the first peak (the mean of the pairs, by their numbers) they reach 2.6, 2.2 and 2.0, but not less than
    6, 5 and 4 Å and not more than 8, 6 and 5.5 Å: short cutoffs cost much for Mo and Si/C, long ones a little for C/N.
    Where no atoms are farther apart (molecules), half an ångström beyond the longest distance is enough. All pairs have
    the same; so pairs beside a library whose pairs have one have that.
    """
    met = [p for p in pairs if p.peak is not None]
    weights = np.array([p.pairs for p in met], float)
    shell = float(np.average([p.peak or 0.0 for p in met], weights=weights))
    longest = max(p.longest or 0.0 for p in met)
    most = longest + 0.5 if longest < REACH - 0.5 else REACH
    two, three, four = (
        round(min(max(factor * shell, least), largest, most), 1)
        for factor, least, largest in ((2.6, 6.0, 8.0), (2.2, 5.0, 6.0), (2.0, 4.0, 5.5))
    )
    if library is not None:
        two, three, four = library.outer(2) or two, library.outer(3) or three, library.outer(4) or four
    return Cutoffs(two, three, four, shell, longest)


def basis_table(
    elements: Sequence[str], pairs: Iterable[PairChoice], cutoffs: Cutoffs, orders: Orders,
    blocks: Mapping[str, Orders], library: KnownBlocks | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A ``[basis]`` table of some orders, of other ones for some blocks, and of what a library has as it is there."""
    own = {name: {"orders": list(o)} for name, o in blocks.items() if o != orders}
    table = {
        "elements": list(elements), "orders": list(orders), "transform": "MORSE", "cutoff": "TERSOFF 0.75",
        "pairs": {p.name: {"rmin": p.rmin, "rmax": cutoffs.two_body, "lambda": p.morse_lambda} for p in pairs},
        "three_body": {"rmax": cutoffs.three_body}, "four_body": {"rmax": cutoffs.four_body},
    } | ({"blocks": own} if own else {})  # fmt: skip
    return table if library is None else library.over(table)


def orders_of(block: ElementSet, level: Orders) -> Orders:
    """The orders of a block at a level: a block of three or four elements has columns at any."""
    size = len(block.elements)
    two, three, four = level
    return two, max(three, 2 * (size > 2)), max(four, 2 * (size > 3))


def choose_blocks(
    frames: FrameSequence, telling: Mapping[ElementSet, int], elements: Sequence[str], pairs: Sequence[PairChoice],
    cutoffs: Cutoffs, held_out: float, estimates: FitEstimates, library: KnownBlocks | None = None,
) -> tuple[tuple[BlockChoice, ...], FitSeconds, bool]:  # fmt: skip
    """Which blocks are fitted, which lower blocks with them, and their orders.

    A block is fitted by itself where its own frames determine it (:data:`LABELS_A_COLUMN_ALONE` labels for each
    column of :data:`THREE_BODY`); otherwise it is left free with the first block above it that is fitted. Orders are
    the highest of :data:`LEVELS` for which the labels and :data:`SECONDS` suffice. Upon a library each block of which
    there are frames, and which it lacks, is fitted by itself, whatever its labels.

    Parameters
    ----------
    frames : FrameSequence
        All frames that have a label.
    telling : mapping from ElementSet to int
        By element set of frames, labels that can tell something.
    elements : sequence of str
        Those that occur.
    pairs : sequence of PairChoice
        What was chosen for pairs of elements.
    cutoffs : Cutoffs
        What was chosen for all.
    held_out : float
        The share of the frames that is held out.
    estimates : FitEstimates
        Of fits to the others.
    library : KnownBlocks, optional
        Blocks that are not fitted.

    Returns
    -------
    blocks : tuple of BlockChoice
        In the order in which they are fitted.
    cpu : FitSeconds
        What all of it would spend.
    together : bool
        Whether all are fitted at once, because no frames have at most :data:`MOST_ELEMENTS` elements.

    Raises
    ------
    InputError
        Upon a library nothing is to be fitted, or what it lacks can't be fitted by itself.
    """
    ladder = _Ladder(frames, telling, elements, pairs, cutoffs, 1.0 - held_out, estimates, library)
    present = sorted(frames.facts.element_sets(), key=lambda s: (len(s.elements), sorted(s.elements)))
    small = [s for s in present if len(s.elements) <= MOST_ELEMENTS]
    if library is not None:
        own = [BlockChoice(b, (), LEVELS[0]) for b in library.lacking(present, MOST_ELEMENTS)]
        return *_within_budget(own, ladder), False
    if len(small) < len(present):
        names = tuple(b.name for b in blocks_of(ladder.bases[LEVELS[-1]]))
        whole = BlockChoice(ElementSet.of(elements), (), LEVELS[0], at_once=names)
        return *_within_budget([whole], ladder), True
    largest = {b for b in small if not any(b.is_proper_subset(s) for s in small)}
    fitted = [b for b in small if b in largest or ladder.suffice((b,), False, THREE_BODY, LABELS_A_COLUMN_ALONE)]
    lower = {
        ElementSet.of(own) for b in fitted for n in range(1, len(b.elements))
        for own in itertools.combinations(sorted(b.elements), n)
    } - set(fitted)  # fmt: skip
    free: dict[ElementSet, list[ElementSet]] = defaultdict(list)
    for block in sorted(lower, key=lambda b: (len(b.elements), b)):
        free[next(b for b in fitted if block.is_proper_subset(b))].append(block)
    only = any(b in small for own in free.values() for b in own)
    chosen = [
        BlockChoice(b, tuple(free[b]), LEVELS[0], include_fewer=any(own in small for own in free[b]), needs_only=only)
        for b in fitted
    ]
    return *_within_budget(chosen, ladder), False


def _within_budget(
    chosen: Sequence[BlockChoice], ladder: _Ladder
) -> tuple[tuple[BlockChoice, ...], FitSeconds]:  # fmt: skip
    """The same with the highest orders for which labels and time suffice, and what all of it would spend."""
    levels = []
    for block in chosen:
        names, fewer = block.names, block.include_fewer
        least = [LABELS_A_COLUMN] * (len(LEVELS) - 1) + [LABELS_A_COLUMN_OF_THE_LAST]
        enough = [i for i, each in enumerate(least) if ladder.suffice(names, fewer, LEVELS[i], each)]
        levels.append(max(enough, default=0))
    blocks = [ladder.described(b, LEVELS[i]) for b, i in zip(chosen, levels, strict=True)]
    planning = ladder.planning(blocks)
    while sum((b.cpu for b in blocks), planning).total > SECONDS and any(levels):
        worst = max((k for k, i in enumerate(levels) if i), key=lambda k: blocks[k].seconds)
        levels[worst] -= 1
        blocks[worst] = ladder.described(chosen[worst], LEVELS[levels[worst]])
    return tuple(blocks), sum((b.cpu for b in blocks), planning)


class _Ladder:
    """The bases of all levels, the labels of each element set, and what each level would cost."""

    def __init__(
        self, frames: FrameSequence, telling: Mapping[ElementSet, int], elements: Sequence[str],
        pairs: Sequence[PairChoice], cutoffs: Cutoffs, share: float, estimates: FitEstimates,
        library: KnownBlocks | None = None,
    ) -> None:  # fmt: skip
        facts = frames.facts
        names = [facts.set_names[code] for code in facts.sets[sample_numbers(facts, 1)].tolist()]
        small = {
            ElementSet.of(own) for s in names if len(s.elements) <= MOST_ELEMENTS
            for n in range(1, len(s.elements) + 1) for own in itertools.combinations(sorted(s.elements), n)
        }  # fmt: skip
        self.bases = {
            level: Basis.from_dict(
                basis_table(elements, pairs, cutoffs, level, {b: orders_of(b, level) for b in sorted(small)}, library)
            )
            for level in LEVELS
        }
        self.share = share
        self.labels = telling
        numbers = np.bincount(facts.sets, minlength=len(facts.set_names)).tolist()
        by_set = dict(zip(facts.set_names, numbers, strict=True))
        self.counts = {s: by_set[s] for s in names}
        self.estimates = estimates

    def columns(self, names: Sequence[ElementSet], level: Orders) -> int:
        return sum(b.n_columns for b in blocks_of(self.bases[level]) if b.name in names)

    def sets(self, names: Sequence[ElementSet], fewer: bool) -> list[ElementSet]:
        """Element sets whose frames a fit of these blocks uses."""
        used = sets_used(self.counts, names, fewer or len(ElementSet.union(names).elements) > MOST_ELEMENTS)
        return [s for s in self.counts if s in used]

    def information(self, names: Sequence[ElementSet], fewer: bool) -> int:
        """Labels that determine these blocks: those of frames that have all elements of one of them."""
        used = [s for s in self.sets(names, fewer) if any(n.is_subset(s) for n in names)]
        return int(self.share * sum(self.labels.get(s, 0) for s in used))

    def suffice(self, names: Sequence[ElementSet], fewer: bool, level: Orders, each: int) -> bool:
        """Whether there are ``each`` labels for every column of a level."""
        return self.information(names, fewer) >= each * self.columns(names, level)

    def described(self, block: BlockChoice, level: Orders) -> BlockChoice:
        """The choice at a level, its columns, labels and seconds."""
        columns = self.columns(block.names, level)
        return replace(
            block, level=level, columns=columns, labels=self.information(block.names, block.include_fewer),
            cpu=self.estimates.fit(self.bases[level], block.names, self.sets(block.names, block.include_fewer)),
        )  # fmt: skip

    def planning(self, blocks: Iterable[BlockChoice]) -> FitSeconds:
        """What the plan of all fits takes."""
        return self.estimates.planning({s for b in blocks for s in self.sets(b.names, b.include_fewer)})
