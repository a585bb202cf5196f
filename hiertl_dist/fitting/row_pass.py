"""``reduce_segments``: a pass over the rows of a plan, each tile counted once, from checkpoints where there are any."""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ..design_matrix.kept_summaries import bytes_of_summaries, group_sizes
from ..design_matrix.resources import calls_at_once
from ..errors import LaunchError, StoreError
from ..evaluation.kernels.scratch import return_memory
from ..executors import InlineExecutor
from ..executors.ask import ask
from ..executors.launch import launched_first
from ..files.claims import take_claim
from ..files.json_files import digest_of
from ..files.paths import free_disk
from .checkpoints import FORMAT, opened_pass, whole_of
from .leaves import Reduced, cut_of, leaf_cost, leaf_label, merge_groups, peak_bytes, reduce_leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..design_matrix.planning import Plan
    from ..design_matrix.segments import Segment
    from ..executors.base import Executor
    from ..frames.rows import Group
    from .checkpoints import Checkpoints, PassFolder
    from .leaves import Cut, RowSource

WORTH_SECONDS: Final = 60.0
"""CPU seconds, as estimated, of a pass that is worth checkpoints: a shorter one is begun anew."""

RANGE_SECONDS: Final = 10.0
"""Of a range of leaves: what a lost worker costs, and what a signal that asks for an end waits for."""

RANGES_OF_A_WORKER: Final = 4
"""Ranges are smaller than that where workers would otherwise have fewer."""

TASK_SECONDS: Final = 0.002
"""What a call costs the scheduler of a cluster (``benchmarks/at_scale.py``)."""

DISK_SHARE: Final = 0.25
"""Of what is free, what checkpoints may take."""

_log = logging.getLogger("hiertl_dist")


@dataclass(frozen=True, eq=False)
class LeafRange:
    """Leaves lo up to but not including hi of a pass: an item of it, a whole subtree of their reduction."""

    lo: int
    leaves: tuple[tuple[Segment, ...], ...]
    seconds: float

    @property
    def hi(self) -> int:
        """The leaf after the last."""
        return self.lo + len(self.leaves)

    @property
    def tiles(self) -> tuple[str, ...]:
        """The keys of its segments, in their order."""
        return tuple(s.key for leaf in self.leaves for s in leaf)

    @property
    def label(self) -> str:
        """For messages."""
        first = leaf_label(self.leaves[0])
        return first if len(self.leaves) == 1 else f"leaves {self.lo + 1} to {self.hi}, from {first}"


@dataclass(frozen=True, eq=False)
class PartOfPass:
    """What some tiles came to.

    Attributes
    ----------
    groups : dict from Group to Reduced
        Their rows, reduced.
    tiles : tuple of str
        Their keys, in the order of the plan.
    notes : tuple of str
        What went wrong with checkpoints.
    """

    groups: dict[Group, Reduced]
    tiles: tuple[str, ...]
    notes: tuple[str, ...] = ()


def is_shared(checkpoint: Checkpoints, executor: Executor, what: str) -> bool:
    """Whether all workers see the folder of checkpoints; where some don't, that is told, and the pass goes without."""
    try:
        executor.shared_place(checkpoint.folder, "checkpoint")
    except LaunchError as error:
        if launched_first():
            _log.warning("%s: without checkpoints, so that what is cut begins anew: %s", what, error)
        return False
    return True


@dataclass(frozen=True, eq=False)
class PlannedPass:
    """What a pass over the rows of a plan consists of."""

    source: RowSource
    cuts: tuple[Cut, ...]
    leaves: tuple[tuple[Segment, ...], ...]
    seconds: tuple[float, ...]
    kept: int
    """Bytes of the summaries of all groups."""
    method: str

    def workers(self, executor: Executor, memory: int | None, depth: int, what: str) -> tuple[int, int]:
        """How many work at a time, and the bytes that each needs. Raises ResourceError where none has them."""
        needed = peak_bytes(self.cuts, executor, depth)
        items = len(self.leaves)
        return calls_at_once(needed, what, executor=executor, memory=memory, items=items, tell=True), needed

    @property
    def digest(self) -> str:
        """Of all that it depends on."""
        return pass_digest(self.leaves, self.source, self.method)


def planned_pass(plan: Plan, source: RowSource, executor: Executor, method: str) -> PlannedPass:
    """The leaves of a pass, and what is known of them. Raises LaunchError where workers do not see its design store."""
    if source.store is not None:
        source = replace(source, store=replace(source.store, path=executor.shared_place(source.store.path)))
    names = dict.fromkeys(s.elements for s in plan.segments)
    alike = [[s for s in plan.segments if s.elements == e] for e in names] if source.compact else [plan.segments]
    cuts = tuple(cut_of(segments, source.width_of(segments[0].elements), method) for segments in alike)
    leaves = tuple(leaf for cut in cuts for leaf in cut.leaves)
    kept = sum(bytes_of_summaries(group_sizes(s).values(), source.width_of(s[0].elements), method) for s in alike)
    cost = leaf_cost(plan, source)
    return PlannedPass(source, cuts, leaves, tuple(cost(leaf) for leaf in leaves), kept, method)


# long: its parameters are documented
def reduce_segments(
    plan: Plan, source: RowSource, *, executor: Executor, memory: int | None, what: str, method: str = "rfactor",
    checkpoint: Checkpoints | None = None,
) -> dict[Group, Reduced]:  # fmt: skip
    """One pass over the rows of a plan: every leaf is reduced, and groups are merged up the executor's tree.

    Parameters
    ----------
    plan : Plan
        Whose segments are reduced; of a compact source each element set by itself.
    source : RowSource
        Where rows come from.
    executor : Executor
        Who works.
    memory : int or None
        Bytes that all workers may take together; ``None``: what is available.
    what : str
        For messages and progress.
    method : {"rfactor", "gram"}
        What groups are reduced to.
    checkpoint : Checkpoints, optional
        Where ranges of leaves are kept until who made it discards them, if the pass is long enough.

    Returns
    -------
    dict from Group to Reduced
        Whatever the workers, and whatever was kept of it, with the same bits.

    Raises
    ------
    ResourceError
        A leaf, or what is merged of all groups, does not fit in memory.
    StoreError
        Checkpoints are damaged as a whole; or tiles were lost or counted twice, which nothing is known to do.
    """
    own = planned_pass(plan, source, executor, method)
    named = f"reduction of {source.width} columns"
    workers, needed = own.workers(executor, memory, 0, named)
    place = None
    if checkpoint is not None and not is_shared(checkpoint, executor, what):
        checkpoint = None
    if checkpoint is not None:
        room = int((executor.memory() if memory is None else memory) / workers - needed)
        choose = partial(range_size, own.seconds, executor.workers, own.kept, room, checkpoint, executor.callers)
        opening = partial(opened_pass, checkpoint, own.digest, len(own.leaves), choose, what)
        place = ask(executor, opening, what=f"look at checkpoints in {checkpoint.folder}")
        if place is not None:  # a run before, with more memory, may have chosen the ranges
            workers, needed = own.workers(executor, memory, place.depth, f"{named} in the ranges of {place.folder}")
    ranges = ranges_of(own.leaves, own.seconds, place)
    whole = tuple(s.key for leaf in own.leaves for s in leaf)
    if place is not None:
        assert checkpoint is not None
        checkpoint.passes.append(place.folder)
        if place.complete:
            reading = partial(whole_of, place, whole)
            groups: dict[Group, Reduced] | None = executor.once(reading, what=f"read checkpoints in {place.folder}")
            if groups is not None:
                return groups
    leaf = partial(_reduced_range, leaf=partial(reduce_leaf, source=own.source, method=method), place=place)
    with executor.at_most(workers):
        part: PartOfPass = executor.reduce(
            leaf, _joined, ranges, label=range_label, what=what, cost=lambda r: r.seconds,
            kind=_set_of if source.compact else None, nbytes=needed, kept=own.kept,
        )  # fmt: skip
    return_memory()
    _require_each_once(part, whole, plan.segments, what)
    if launched_first():
        for note in part.notes:
            _log.warning("%s: %s", what, note)
    if place is not None:
        executor.once(partial(place.keep_whole, whole, part.groups), what=f"write checkpoints in {place.folder}")
    return part.groups


def pass_digest(leaves: Sequence[Sequence[Segment]], source: RowSource, method: str) -> str:
    """The digest of all that a pass depends on: its tiles, how they are grouped, weighed and cut, its columns."""
    tiles = hashlib.sha256()
    for leaf in leaves:
        for s in leaf:
            folds = b"" if s.folds is None else np.ascontiguousarray(s.folds, "<i8").tobytes()
            apart = "" if s.apart is None else "\0".join(sorted(s.apart))
            weights = "" if s.row_weights is None else s.row_weights.digest
            text = f"{s.key}\0{s.rows}\0{s.apart is None}\0{apart}\0{weights}\0{len(folds)}\0"
            tiles.update(text.encode() + folds)
        tiles.update(b"leaf")
    opened = source.energies.open
    return digest_of({
        "format": FORMAT, "version": _version(), "method": method, "tiles": tiles.hexdigest(),
        "basis": source.basis.digest, "policy": source.policy, "blocks": list(source.blocks), "compact": source.compact,
        "frozen": [model.digest for model in source.frozen], "present": sorted(map(list, source.present)),
        "zeros": dict(source.energies.zeros), "open": [list(opened.elements), opened.directions.tolist(),
                                                       dict(opened.base)],
    })  # fmt: skip


@cache
def _version() -> str:
    try:
        return version("hiertl-dist")
    except PackageNotFoundError:
        return ""


def range_size(
    seconds: Sequence[float], workers: int, kept: int, room: int, checkpoint: Checkpoints, passes: int = 1
) -> int:
    """How many leaves a range has, a power of two; 0 where a pass is not worth checkpoints, which is told for disk.

    Parameters
    ----------
    seconds : sequence of float
        CPU seconds of each leaf, as estimated.
    workers : int
        How many share the ranges.
    kept : int
        Bytes of the summaries of all groups, which no range has more of.
    room : int
        Bytes of a worker's memory that nothing else needs.
    checkpoint : Checkpoints
        Where they are kept.
    passes : int, default 1
        How many are made at a time, so that together no more than one that is not worth checkpoints is begun anew.

    Returns
    -------
    int
        At most as many as its worker has room for: it holds the values of a branch of the tree.
    """
    n, total = len(seconds), sum(seconds)
    if total * passes < WORTH_SECONDS:
        return 0
    wanted = min(RANGE_SECONDS * n / total, n / (RANGES_OF_A_WORKER * workers))
    # of thousands of workers one scheduler can't keep up with: then calls as long as it takes for all, or, of few
    # leaves, as many as cost the scheduler what the longest calls cost the workers
    mean = total / n
    wanted = max(wanted, min(8.0 * TASK_SECONDS * workers / mean, math.sqrt(4.0 * n * TASK_SECONDS / mean)))
    size = 1 << max(0, min(int(math.log2(max(1.0, wanted))), room // max(1, kept)))
    # nobody knows how much room a bucket has
    limit = DISK_SHARE * free_disk(checkpoint.folder) if isinstance(checkpoint.folder, Path) else math.inf
    if -(-n // size) * kept > limit:
        _log.warning(
            "%s: no checkpoints of this pass are kept: %d MiB at most are needed, a quarter of what is free is %d MiB; "
            "if it is cut it begins anew",
            checkpoint.folder, -(-n // size) * kept >> 20, int(limit) >> 20,
        )  # fmt: skip
        return 0
    return size


def ranges_of(
    leaves: Sequence[tuple[Segment, ...]], seconds: Sequence[float], place: PassFolder | None
) -> list[LeafRange]:
    """The items of a pass; those that are complete cost next to nothing."""
    size = 1 if place is None else place.size
    complete = frozenset() if place is None else place.complete
    return [
        LeafRange(lo, tuple(leaves[lo : lo + size]), sum(seconds[lo : lo + size]) * (0.01 if lo in complete else 1.0))
        for lo in range(0, len(leaves), size)
    ]


def _reduced_range(
    item: LeafRange, *, leaf: Callable[[Sequence[Segment]], dict[Group, Reduced]], place: PassFolder | None
) -> PartOfPass:
    notes: tuple[str, ...] = ()
    if place is not None and place.path(item.lo, item.hi).exists():
        try:
            return PartOfPass(place.read(item.lo, item.hi, item.tiles), item.tiles)
        except (StoreError, OSError) as error:
            notes = (f"{error}; it was computed again",)
    with claimed_range(item, place):  # so that who helps leaves it; of two that compute it both have the same bits
        groups: dict[Group, Reduced] = InlineExecutor().reduce(leaf, merge_groups, item.leaves)
        if place is not None:
            try:
                place.write(item.lo, item.hi, item.tiles, groups)
            except OSError as error:  # no reason to stop a pass
                notes += (f"{place.path(item.lo, item.hi)}: a checkpoint could not be written: {error}",)
    return PartOfPass(groups, item.tiles, notes)


@contextmanager
def claimed_range(item: LeafRange, place: PassFolder | None) -> Iterator[bool]:
    """Claim a range of leaves, where that can be done; whether it could."""
    claim = None
    if place is not None:
        with suppress(OSError):  # where a checkpoint can't be written either, which is told then
            claim = take_claim(place.claim_path(item.lo, item.hi))
    try:
        yield claim is not None
    finally:
        if claim is not None:
            claim.let_go()


def _joined(a: PartOfPass, b: PartOfPass) -> PartOfPass:
    return PartOfPass(merge_groups(a.groups, b.groups), a.tiles + b.tiles, a.notes + b.notes)


def range_label(item: LeafRange) -> str:
    """Of a range, for messages."""
    return item.label


def _set_of(item: LeafRange) -> str:
    return item.leaves[0][0].elements


def _require_each_once(part: PartOfPass, tiles: tuple[str, ...], segments: Sequence[Segment], what: str) -> None:
    """Make sure that each tile is in what a pass came to once, by its key, and all rows, by their number."""
    if part.tiles != tiles:
        differing = Counter(part.tiles)
        differing.subtract(tiles)
        faults = [f"tile {key[:12]} {times:+d} times" for key, times in differing.items() if times]
        raise StoreError(f"{what}: tiles were lost or counted twice: {', '.join(faults[:3]) or 'in another order'}")
    expected = sum(s.rows for s in segments)
    counted = sum(r.summary.rows for g, r in part.groups.items() if not g.weighed)
    if expected != counted:
        raise StoreError(f"{what}: expected {expected} rows, found {counted}: rows were lost or counted twice")
