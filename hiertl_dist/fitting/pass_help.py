"""``help_segments``: ranges of a pass that another run makes, computed here into checkpoints that both use.

The other run makes the pass as if it were alone: it takes what is there, whoever wrote it, and writes all batches. So
nothing is counted twice, and who helps may end at any time.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from ..evaluation.kernels.scratch import return_memory
from ..executors import InlineExecutor
from ..executors.ask import ask
from ..executors.launch import launched_first
from .checkpoints import begun_pass
from .leaves import merge_groups, reduce_leaf
from .row_pass import claimed_range, is_shared, planned_pass, range_label, ranges_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..design_matrix.planning import Plan
    from ..design_matrix.segments import Segment
    from ..executors.base import Executor
    from ..frames.rows import Group
    from .checkpoints import Checkpoints, PassFolder
    from .leaves import Reduced, RowSource
    from .row_pass import LeafRange

_log = logging.getLogger("hiertl_dist")


def help_segments(
    plan: Plan, source: RowSource, *, executor: Executor, memory: int | None, what: str, checkpoint: Checkpoints,
    wait: Callable[[Callable[[], PassFolder | None]], PassFolder | None],
) -> None:  # fmt: skip
    """Compute ranges of a pass that another run makes, those that nobody has claimed, into its checkpoints.

    Parameters
    ----------
    plan : Plan
        Whose segments are reduced.
    source : RowSource
        Where rows come from.
    executor : Executor
        Who works.
    memory : int or None
        Bytes that all workers may take together; ``None``: what is available.
    what : str
        For messages and progress.
    checkpoint : Checkpoints
        The folder that the other run uses, too.
    wait : callable
        Waits until what it is given answers, or the other run has ended: then it is None.
    """
    if not is_shared(checkpoint, executor, what):
        return
    own = planned_pass(plan, source, executor, "rfactor")
    looking = partial(wait, partial(begun_pass, checkpoint, own.digest, len(own.leaves)))
    place: PassFolder | None = ask(executor, looking, what=f"look at checkpoints in {checkpoint.folder}")
    if place is None:  # it has ended, or none that are worth it
        return
    workers, _ = own.workers(executor, memory, place.depth, f"reduction of {source.width} columns")
    ranges = ranges_of(own.leaves, own.seconds, place)
    # from the end, for the other begins at the beginning
    wanted = [item for item in reversed(ranges) if item.lo not in place.complete]
    leaf = partial(_helped, leaf=partial(reduce_leaf, source=own.source, method=own.method), place=place)
    with executor.at_most(workers):
        done = executor.run(leaf, wanted, label=range_label, what=f"help {what}", cost=lambda r: r.seconds)
    return_memory()
    executor.once(place.leave, what=f"leave {place.folder}")
    if launched_first():
        _log.warning(
            "%s: another run makes the same pass; %d of its %d ranges of tiles were computed here, and it writes them "
            "all", what, sum(done), len(ranges),
        )  # fmt: skip


def _helped(
    item: LeafRange, *, leaf: Callable[[Sequence[Segment]], dict[Group, Reduced]], place: PassFolder
) -> bool:  # fmt: skip
    """Compute a range for the run that makes the pass, unless it is there or claimed; whether it was."""
    if not place.is_wanted(item.lo, item.hi):
        return False
    with claimed_range(item, place) as is_ours:
        if not is_ours or not place.is_wanted(item.lo, item.hi):
            return False
        groups = InlineExecutor().reduce(leaf, merge_groups, item.leaves)
        if not place.is_wanted(item.lo, item.hi):
            return False
        try:
            place.write(item.lo, item.hi, item.tiles, groups)
        except OSError:  # the other computes it, and tells of its own
            return False
    return True
