"""Sources that are pooled in summaries: what is pooled stays so when a store grows, and can't be asked for alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputError, StoreError
from ..frames.pooling import KEEP_APART, NAMED, named_sources, pooling_of, require_matches
from ..frames.rows import POOLED
from ..text.display import listed
from ..text.words import count_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ..frames.frame_sequence import FrameSequence
    from ..frames.pooling import Pooling
    from .summary_batches import Batch


def pooling_of_pass(
    frames: FrameSequence, usable: FrameSequence, batches: Sequence[Batch], weights: Collection[str],
    patterns: Sequence[str],
) -> Pooling:  # fmt: skip
    """Which sources are pooled in a pass over usable frames that adds to some batches.

    See :func:`~hiertl_dist.frames.pooling.pooling_of`. Raises InputError for a pattern that matches no group of any
    frame, StoreError where a source that is pooled in the batches is to be apart.
    """
    held_apart, held_pooled = sources_of(batches)
    if patterns:
        require_matches(patterns, {*frames.facts.groups(), *held_apart, *held_pooled}, "apart")
    if gone := sorted(named_sources(held_pooled, weights, patterns)):
        raise StoreError(
            f"{count_text(len(gone), 'group')} to be kept apart ({listed(gone, NAMED)}): in the summary store their "
            "rows are pooled with those of others, and can't be told from them; go on with --fresh, which makes a new "
            "store and renames this one, or name another folder for the summaries"
        )
    sources = usable.facts.groups()
    return pooling_of(sources, weights, patterns, held_apart=held_apart, held_pooled=held_pooled)


def sources_of(batches: Iterable[Batch]) -> tuple[frozenset[str], frozenset[str]]:
    """The sources that have groups of their own in some batches, and those that are pooled there."""
    apart: set[str] = set()
    pooled: set[str] = set()
    for batch in batches:
        own = {entry.group.source for entry in batch.groups}
        if POOLED in own:
            pooled |= set(batch.frames.groups) - own
        apart |= own - {POOLED}
    return frozenset(apart), frozenset(pooled)


def require_pooled_alike(where: str, batches: Iterable[Batch]) -> None:
    """Raise StoreError where a source is pooled in one batch and apart in another: its weight would be a part's."""
    apart, pooled = sources_of(batches)
    if both := sorted(apart & pooled):
        raise StoreError(
            f"{where}: group {both[0]!r} is pooled with others in one batch and apart in another. Where another pass "
            "wrote meanwhile, run this one again"
        )


def refuse_pooled(pooled: Collection[str], wanted: Mapping[str, Collection[str]], where: str) -> None:
    """Raise InputError where what is asked for are sources that were pooled.

    Parameters
    ----------
    pooled : collection of str
        The sources whose rows share a summary.
    wanted : mapping from str to collection of str
        Of what was asked for, the sources that are meant.
    where : str
        The option, for the message.
    """
    for asked, sources in wanted.items():
        if gone := sorted(frozenset(pooled).intersection(sources)):
            raise InputError(
                f"{where}: {asked!r} means {count_text(len(gone), 'group')} ({listed(gone, NAMED)}) whose rows were "
                f"pooled with those of {len(pooled) - len(gone)} others when they were summarised, and can't be told "
                f"from them; summarise the frames anew, and {KEEP_APART}"
            )
