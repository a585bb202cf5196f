"""How many clusters of each type there are in the frames of a fit: what it was fitted on, beside distances."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from ..evaluation.cluster_counts import MOST_COUNTED, count_types, edge_reaches, joined_counts
from ..text.words import count_text

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..evaluation.cluster_counts import TypeCounts
    from ..executors.base import Executor
    from ..frames.frame_sequence import FrameSequence
    from ..frames.type_names import Elements
    from ..model.basis import Basis

CHUNK_ATOMS: Final = 16384
"""Atoms of the frames that a task counts in, a tenth of a second's work."""


def counts_of_fit(frames: FrameSequence, basis: Basis, names: Collection[str], executor: Executor) -> TypeCounts:
    """By each type of some blocks, in how many of the frames it occurs and how often; of none too.

    Of more than :data:`~hiertl_dist.evaluation.cluster_counts.MOST_COUNTED` frames the numbers are those of so many,
    evenly spaced, scaled to all; whether there is any is exact.

    Parameters
    ----------
    frames : FrameSequence
        Those that were fitted.
    basis : Basis
        Whose types and cutoffs count.
    names : collection of str
        The blocks.
    executor : Executor
        Who counts.

    Returns
    -------
    dict from str to tuple of int
        By name of the type, frames and clusters.
    """
    types = [t for t in basis.types if t.block in names and t.body > 1]
    total = len(frames)
    some = np.linspace(0, total - 1, min(total, MOST_COUNTED)).astype(np.intp)
    counts = _counted(frames.take(some), basis, [t.elements for t in types], executor)
    if len(some) < total:
        share = total / len(some)
        counts = {name: (round(share * n), round(share * m)) for name, (n, m) in counts.items()}
        others = np.setdiff1d(np.arange(total), some)
        absent = [t.elements for t in types if not counts.get(t.name, (0, 0))[1]]
        counts |= _counted(frames.take(others), basis, absent, executor) if absent else {}
    return {t.name: counts.get(t.name, (0, 0)) for t in types}


def _counted(frames: FrameSequence, basis: Basis, clusters: list[Elements], executor: Executor) -> TypeCounts:
    """Frames and clusters of some types, exactly."""
    if not len(frames) or not clusters:
        return {}
    task = partial(_count, clusters=clusters, reaches=edge_reaches([basis], clusters))
    ends = np.cumsum(frames.facts.n_atoms, dtype=np.int64)
    cuts = [0, *(np.flatnonzero(np.diff((ends - 1) // CHUNK_ATOMS)) + 1).tolist(), len(ends)]
    chunks = [frames[first:last] for first, last in pairwise(cuts)]
    return joined_counts(executor.run(task, chunks, label=_label, what="count clusters", cost=_atoms))


def _count(
    frames: FrameSequence, *, clusters: list[Elements], reaches: dict[tuple[int, Elements], float]
) -> TypeCounts:  # fmt: skip
    return count_types(frames, clusters, reaches)


def _label(frames: FrameSequence) -> str:
    return f"{count_text(len(frames), 'frame')} from {frames.origin(0)}"


def _atoms(frames: FrameSequence) -> float:
    return float(frames.facts.n_atoms.sum())
