"""``make_plan``: what will be computed, stored and needed, known before anything runs.

Frames are sorted by their set of elements and cut into segments; a tile is one segment × one block. Segments, tiles
and leaves follow from frames and basis alone, never from the number of workers: so do the bits of a fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError, ResourceError
from ..evaluation.compiled_basis import never_active
from ..evaluation.contacts import Contact, contacts_of, refusal, scan_frames
from ..evaluation.frame_rows import InnerPair, InnerPolicy, check_elements, check_policy, widest_ranges
from ..files.paths import free_disk, named_place
from ..frames.element_set import ElementSet
from ..frames.frame_sequence import sequence_of
from ..model.blocks import blocks_of
from ..text.cards import plan_card
from ..text.display import Shown
from .fit_costs import fit_seconds, fitted_together
from .kept_summaries import kept_by_fits
from .ledger import ledger_file
from .resources import calls_at_once, process_bytes
from .segments import Segment, cut_segments
from .store_layout import LABEL_ARRAYS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from ..evaluation.chunk_scan import FrameScans
    from ..executors.base import Executor
    from ..files.object_path import Place
    from ..frames.frame import Frame
    from ..frames.frame_sequence import FrameSequence
    from ..model.basis import Basis
    from ..model.parameters import Parameters

TILE_BYTES: Final = 40 * 2**20
"""A segment is closed when its widest tile would exceed this. Two frames of 216 atoms with 3 747 columns fit, which
take a quarter of a second; dask spends some 10 ms on a tile."""

CHUNK_BYTES: Final = 64 * 2**20
"""A tile larger than this is stored as several chunks."""

SEGMENT_ROWS: Final = 8192
"""Nor has a segment more rows than this: narrow blocks still make enough tiles, a second's work with 487 columns."""

PART_BYTES: Final = 4 * 2**20
"""Rows of a tile go to the store in parts of whole frames of about this size, written while the next part is made."""

Need = tuple[ElementSet, ElementSet]
"""(element set of frames, block): rows of these frames are wanted in the columns of this block."""


def chunk_rows(most: int, columns: int) -> int:
    """Rows of a chunk of an array whose tiles have at most so many: a whole tile where it fits."""
    chunks = -(-most * columns * 8 // CHUNK_BYTES)
    return -(-most // chunks)


@dataclass(frozen=True, eq=False, repr=False)
class Tile(Shown):
    """One segment × one block: the unit of work and of storage."""

    segment: Segment
    block: ElementSet
    columns: int
    nonzeros: int
    seconds: float

    @property
    def nbytes(self) -> int:
        """Bytes of its numbers."""
        return 8 * self.segment.rows * self.columns

    @property
    def label(self) -> str:
        """What it is, for messages."""
        return f"tile {self.segment.key[:12]} of block {self.block} ({self.segment.label})"


@dataclass(frozen=True, eq=False, repr=False)
class Plan(Shown, card=plan_card):
    """Segments and tiles of an assembly, and what they cost.

    Attributes
    ----------
    basis : Basis
        Whose columns are made.
    policy : {"refuse", "skip_frame", "lsq", "damp"}
        For pairs inside an inner cutoff.
    blocks : tuple of ElementSet
        Names of the blocks, in order.
    columns : dict from str to int
        Number of columns of each.
    segments : tuple of Segment
        Runs of frames of one element set.
    tiles : tuple of Tile
        A segment × a block each.
    inside : tuple of InnerPair
        Pairs inside an inner cutoff.
    skipped, unlabelled : tuple of str
        Origins of frames that the policy leaves out; of those without a label, which have no rows.
    ranges : dict from str to dict
        By element set, shortest and longest distance (Å) of each ``"block:pair"``.
    contacts : tuple of Contact
        The shortest distance of each pair of elements over the frames of the plan, and its inner cutoffs.
    """

    basis: Basis
    policy: InnerPolicy
    blocks: tuple[ElementSet, ...]
    columns: dict[str, int]
    segments: tuple[Segment, ...]
    tiles: tuple[Tile, ...]
    inside: tuple[InnerPair, ...]
    skipped: tuple[str, ...]
    unlabelled: tuple[str, ...]
    ranges: dict[str, dict[str, tuple[float, float]]]
    contacts: tuple[Contact, ...] = ()

    @property
    def disk_bytes(self) -> int:
        """Bytes of the arrays, padding of last chunks included."""
        return sum(size for _, _, size in self._array_bytes())

    def _array_bytes(self) -> Iterator[tuple[str, Segment, int]]:
        """Array, segment and bytes of each tile."""
        arrays = [
            (f"blocks/{n}", self.columns[n], [t.segment for t in self.tiles if t.block == n]) for n in self.blocks
        ]
        for array, columns, segments in [*arrays, *((f"labels/{a}", 1, list(self.segments)) for a in LABEL_ARRAYS)]:
            chunk = chunk_rows(max((s.rows for s in segments), default=1), columns)
            for s in segments:
                yield array, s, -(-s.rows // chunk) * chunk * columns * 8

    def missing_bytes(self, store: Place) -> int:
        """Of these bytes, those of tiles that a store does not have yet.

        Parameters
        ----------
        store : Path or ObjectPath
            Folder of the store, which need not be there.

        Returns
        -------
        int
            Bytes that are to be written.
        """
        return sum(size for array, s, size in self._array_bytes() if not ledger_file(store, array, s.key).exists())

    @property
    def worker_bytes(self) -> int:
        """Peak memory of a worker that assembles: two parts of a tile, of which one is written while the other is made.

        Dask's workers take some more, see :attr:`~hiertl_dist.executors.base.Executor.overhead`.
        """
        return process_bytes() + 2 * max(map(_part_bytes, self.tiles), default=0)

    @property
    def seconds(self) -> float:
        """Estimated CPU seconds of the assembly."""
        return float(sum(t.seconds for t in self.tiles))

    def coverage(self, blocks: Collection[str], sets: Collection[str] | None = None) -> dict[str, tuple[float, float]]:
        """Ranges of distances in all frames of the plan, or of some element sets, as far as a block's edges reach.

        Parameters
        ----------
        blocks, sets : Collection of str
            Names of blocks; of element sets, by default all.

        Returns
        -------
        dict from str to (float, float)
            By ``"block:pair"``, shortest and longest distance (Å).
        """
        everywhere = widest_ranges([r for s, r in self.ranges.items() if sets is None or s in sets])
        return {key: span for key, span in everywhere.items() if key.partition(":")[0] in blocks}

    def as_dict(self) -> dict[str, Any]:
        """What a person or a script wants to know of it.

        Returns
        -------
        dict from str to object
            For JSON; sizes in bytes, distances in Å, times in CPU seconds.
        """
        blocks = {}
        for name in self.blocks:
            tiles = [t for t in self.tiles if t.block == name]
            blocks[name] = {
                "columns": self.columns[name], "tiles": len(tiles), "rows": sum(t.segment.rows for t in tiles),
                "frames": sum(len(t.segment.frames) for t in tiles), "nonzeros": sum(t.nonzeros for t in tiles),
                "frames_of": list(dict.fromkeys(t.segment.elements for t in tiles)),
                "bytes": sum(t.nbytes for t in tiles), "cpu_seconds": float(sum(t.seconds for t in tiles)),
            }  # fmt: skip
        return {
            "blocks": blocks, "frames": sum(len(s.frames) for s in self.segments), "tiles": len(self.tiles),
            "disk_bytes": self.disk_bytes, "worker_bytes": self.worker_bytes, "cpu_seconds": self.seconds,
            "fit_cpu_seconds": fit_seconds(self).as_dict(),
            "summaries": kept_by_fits(self.columns, fitted_together(self)).as_dict(),
            "inside_inner_cutoff": [str(p) for p in self.inside], "skipped_frames": list(self.skipped),
            "unlabelled_frames": list(self.unlabelled), "inner_cutoffs": [c.as_dict() for c in self.contacts],
            "inactive_types": [t.name for t in self.basis.types if t.block in self.blocks and never_active(t)],
            "closest_contacts": {
                s: {key.partition(":")[2]: low for key, (low, _) in sorted(v.items(), key=lambda i: -i[1][0])}
                for s, v in self.ranges.items()
            },
        }  # fmt: skip


def _part_bytes(tile: Tile) -> int:
    """Bytes of the largest part of a tile, at most: a frame more than a part is to have."""
    frame = int(tile.segment.frames.facts.n_rows.max(initial=0))
    return min(tile.nbytes, PART_BYTES + 8 * tile.columns * frame)


def all_needs(frames: Sequence[Frame], blocks: Collection[str], basis: Basis) -> set[Need]:
    """Every block in every frame that has its elements: what an all-at-once fit wants."""
    sets, names = sequence_of(frames).facts.element_sets(), [b.name for b in blocks_of(basis, blocks)]
    return {(s, b) for s in sets for b in names if b.is_subset(s)}


def _wanted(
    frames: FrameSequence, names: Sequence[ElementSet], basis: Basis, needs: Collection[tuple[str, str]] | None, *,
    by_block: bool,
) -> set[Need]:  # fmt: skip
    """The needs that options of :func:`make_plan` say."""
    if by_block and needs is not None:
        raise InputError("plan: needs and by_block both say in which frames a block is wanted; give one of them")
    if needs is not None:
        return {(ElementSet.parse(s), ElementSet.parse(b)) for s, b in needs if ElementSet.parse(b) in names}
    everywhere = all_needs(frames, names, basis)
    return {(s, b) for s, b in everywhere if s == b} if by_block else everywhere


# long: its parameters are documented
def make_plan(
    frames: Sequence[Frame],
    basis: Basis,
    *,
    blocks: Sequence[str] | None = None,
    needs: Collection[tuple[str, str]] | None = None,
    by_block: bool = False,
    frozen: Sequence[Parameters] = (),
    policy: InnerPolicy = "refuse",
    executor: Executor | None = None,
    memory: int | None = None,
    store: str | Place | None = None,
) -> Plan:
    """Plan the assembly of design rows.

    Parameters
    ----------
    frames : Sequence of Frame
        To be fitted, the first list of ``Input.read_frames()``; frames held out would be counted, too.
    basis : Basis
        Whose columns are made.
    blocks : Sequence of str, optional
        Names of blocks; default: all of the basis.
    needs : Collection of (str, str), optional
        (element set of frames, block) for each block that is wanted in them; default: each block wherever its elements
        occur, as for a fit of all blocks at once.
    by_block : bool
        Each block is wanted in the frames of exactly its elements, as for a fit block by block; not with ``needs``.
    frozen : Sequence of Parameters
        Models that will be evaluated on the frames, whose inner cutoffs count too.
    policy : {"refuse", "skip_frame", "lsq", "damp"}
        For pairs inside an inner cutoff, see :data:`~hiertl_dist.evaluation.frame_rows.InnerPolicy`.
    executor : Executor, optional
        Who looks at the frames, and will do the work; default: this process.
    memory : int, optional
        Bytes that all workers may take together; default: what is available.
    store : str or Path, optional
        Where rows will go, to compare their bytes with the free disk; default: nowhere.

    Returns
    -------
    Plan
        Segments, tiles and what they cost.

    Raises
    ------
    FrameError, InnerCutoffError
        A frame has an element that the basis lacks; pairs inside an inner cutoff, where ``policy`` is ``refuse``.
    UnknownBlockError, BasisError, InputError, ValueError
        A block that the basis lacks, or no set of elements; ``needs`` and ``by_block`` are both given; another policy.
    ResourceError
        It cannot fit in memory or on disk, with both numbers.
    """
    check_policy(policy)
    frames = sequence_of(frames)
    if executor is not None:
        executor.require_alike(lambda: frames.identities, "frames")
    chosen = blocks_of(basis, blocks)
    names = tuple(b.name for b in chosen)
    check_elements(frames, basis.elements)
    wanted = _wanted(frames, names, basis, needs, by_block=by_block)
    facts = frames.facts
    relevant = facts.of_sets({s for s, _ in wanted})
    used = np.flatnonzero(relevant & (facts.n_rows > 0))
    skip = policy == "skip_frame"
    # kernels are loaded, or compiled, for it, and a compiler without memory ends the process
    least = process_bytes() + (0 if executor is None else executor.overhead)
    calls_at_once(least, "look at frames", executor=executor, memory=memory)
    scans = scan_frames(frames.take(used), basis, names, frozen, executor, needs=wanted, skip=skip)
    contacts = contacts_of(scans, basis, names, frozen)
    if scans.pairs and policy == "refuse":
        raise refusal(scans.pairs, contacts)
    columns: dict[str, int] = {b.name: b.n_columns for b in chosen}
    segments, tiles = _cut(frames, used, scans, basis, names, columns, wanted, skip=skip)
    skipped = tuple(map(frames.origin, used[scans.inside & skip].tolist()))
    unlabelled = tuple(map(frames.origin, np.flatnonzero(relevant & (facts.n_rows == 0)).tolist()))
    plan = Plan(
        basis, policy, names, columns, segments, tiles, scans.pairs, skipped, unlabelled, scans.ranges, contacts
    )
    check_plan(plan, executor, memory=memory, store=store)
    return plan


def check_disk(needed: int, what: str, disk: Path) -> None:
    """Raise ResourceError, naming both numbers, where bytes that go to ``disk`` do not fit there."""
    if needed > (free := free_disk(disk)):
        raise ResourceError(
            f"{what}: {needed / 2**20:.0f} MiB of disk needed at {disk}, {free / 2**20:.0f} MiB free; "
            "keep_rows = false needs none"
        )


def check_plan(
    plan: Plan, executor: Executor | None, *, memory: int | None = None, store: str | Place | None = None,
    tell: bool = False,
) -> int:  # fmt: skip
    """How many tiles can be made at a time; raise ResourceError, naming both numbers, where not one fits.

    See :func:`make_plan`; ``tell`` says it where they are fewer than workers.
    """
    place = None if store is None else named_place(store, "design store")
    # nobody knows how much room a bucket has
    disk, needed = (place, plan.disk_bytes) if isinstance(place, Path) else (None, 0)
    if disk is not None and needed > free_disk(disk):
        needed = plan.missing_bytes(disk)  # it may be there already, wholly or in part
    if disk is not None:
        check_disk(needed, "assembly", disk)
    peak = plan.worker_bytes + (0 if executor is None else executor.overhead)
    return calls_at_once(peak, "assembly", executor=executor, memory=memory, items=len(plan.tiles), tell=tell)


def _cut(
    frames: FrameSequence, used: NDArray[np.int64], scans: FrameScans, basis: Basis, names: tuple[ElementSet, ...],
    columns: dict[str, int], wanted: Collection[Need], *, skip: bool,
) -> tuple[tuple[Segment, ...], tuple[Tile, ...]]:  # fmt: skip
    """Cut the frames of each element set into segments, and these into tiles; ``scans`` are of those ``used``."""

    def most_rows(elements: ElementSet) -> int:
        # by the whole basis, so that fits of different blocks cut the same frames alike and share their tiles
        widest = max(b.n_columns for b in blocks_of(basis) if b.name.is_subset(elements))
        return min(SEGMENT_ROWS, TILE_BYTES // (8 * widest))

    kept = used[~scans.inside] if skip and scans.inside.any() else used
    segments = cut_segments(frames, kept, most_rows)
    tiles = []
    for segment in segments:
        own = np.searchsorted(used, segment.indices)
        for block in (b for b in names if (segment.elements, b) in wanted):
            seconds = float(scans.seconds[block][own].sum(dtype=np.float64))
            nonzeros = int(scans.nonzeros[block][own].sum(dtype=np.int64))
            tiles.append(Tile(segment, block, columns[block], nonzeros, seconds))
    return tuple(segments), tuple(tiles)
