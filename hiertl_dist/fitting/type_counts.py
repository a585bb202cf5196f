"""How many clusters of each type there are in the frames of a fit: what it was fitted on, beside distances."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from ..evaluation.cluster_counts import count_types, edge_reaches, joined_counts
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
    clusters = [t.elements for t in types]
    task = partial(_count, clusters=clusters, reaches=edge_reaches([basis], clusters))
    ends = np.cumsum(frames.facts.n_atoms, dtype=np.int64)
    cuts = [0, *(np.flatnonzero(np.diff((ends - 1) // CHUNK_ATOMS)) + 1).tolist(), len(ends)]
    chunks = [frames[first:last] for first, last in pairwise(cuts)]
    parts = executor.run(task, chunks, label=_label, what="count clusters", cost=_atoms) if len(frames) else []
    counts = joined_counts(parts)
    return {t.name: counts.get(t.name, (0, 0)) for t in types}


def _count(
    frames: FrameSequence, *, clusters: list[Elements], reaches: dict[tuple[int, Elements], float]
) -> TypeCounts:  # fmt: skip
    return count_types(frames, clusters, reaches)


def _label(frames: FrameSequence) -> str:
    return f"{count_text(len(frames), 'frame')} from {frames.origin(0)}"


def _atoms(frames: FrameSequence) -> float:
    return float(frames.facts.n_atoms.sum())
