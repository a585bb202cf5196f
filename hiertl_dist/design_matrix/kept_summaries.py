"""How many summaries a pass over the rows of some segments keeps, and their bytes, before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..frames.pooling import Pooling, pooling_of
from .segments import grouped_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ..frames.rows import Group
    from .segments import Segment


@dataclass(frozen=True)
class KeptSummaries:
    """What a fit keeps of its rows in memory.

    Attributes
    ----------
    count : int
        Number of summaries: one for each kind of rows of each source, or of all that are pooled.
    nbytes : int
        Bytes of their numbers.
    pooled : frozenset of str
        Groups of frames that are pooled.
    """

    count: int = 0
    nbytes: int = 0
    pooled: frozenset[str] = frozenset()

    def __add__(self, other: KeptSummaries) -> KeptSummaries:
        """Those of two fits; a group that both pool is one."""
        return KeptSummaries(self.count + other.count, self.nbytes + other.nbytes, self.pooled | other.pooled)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"count": self.count, "bytes": self.nbytes, "pooled_groups": len(self.pooled)}


def group_sizes(segments: Iterable[Segment]) -> dict[Group, int]:
    """Number of rows of each group of some segments; at most so many are weighed, where rows have weights."""
    sizes: dict[Group, int] = {}
    for segment in segments:
        whole = segment.folds is None
        for group, rows in segment.groups if whole else ((g, len(r)) for g, r in grouped_rows(segment).items()):
            for own in (group, group._replace(weighed=True))[: 1 + (segment.row_weights is not None)]:
                sizes[own] = sizes.get(own, 0) + rows
    return sizes


def bytes_of_summaries(sizes: Iterable[int], width: int, method: str = "rfactor") -> int:
    """Bytes of a summary for each group of so many rows: a triangle, or the rows where they are fewer; or a square."""
    return sum(8 * width * (width if method == "gram" else min(rows, width)) for rows in sizes)


def pooled_segments(
    segments: Sequence[Segment], weights: Collection[str] = (), patterns: Sequence[str] = ()
) -> tuple[tuple[Segment, ...], Pooling]:
    """Some segments with their sources pooled where nothing distinguishes these.

    Parameters
    ----------
    segments : sequence of Segment
        Of a fit.
    weights : collection of str
        Names of weights of its rows.
    patterns : sequence of str
        Of groups of frames that are kept apart.

    Returns
    -------
    segments : tuple of Segment
        The same rows; which sources are apart is said.
    pooling : Pooling
        Which sources are apart, and which are pooled.
    """
    sources = dict.fromkeys(name for s in segments for name in s.frames.facts.groups())
    pooling = pooling_of(sources, weights, patterns)
    if pooling.apart is None:
        return tuple(segments), pooling
    return tuple(replace(s, apart=pooling.apart) for s in segments), pooling


def kept_summaries(
    segments: Sequence[Segment], width: int, pooling: Pooling, *, method: str = "rfactor"
) -> KeptSummaries:
    """What a fit of some :func:`pooled_segments` keeps, with so many columns and targets."""
    sizes = group_sizes(segments)
    return KeptSummaries(len(sizes), bytes_of_summaries(sizes.values(), width, method), frozenset(pooling.pooled))


def kept_by_fits(
    columns: Mapping[str, int], fits: Iterable[tuple[Sequence[str], Sequence[Segment]]]
) -> KeptSummaries:  # fmt: skip
    """What all fits of a plan keep with nothing named, by the columns of each block; one target each."""
    kept = KeptSummaries()
    for blocks, segments in fits:
        own, pooling = pooled_segments(segments)
        kept += kept_summaries(own, sum(columns[b] for b in blocks) + 1, pooling)
    return kept
