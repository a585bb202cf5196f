"""``select_for_coverage``: the frames of a pool that show a model what it has not been fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..evaluation.cluster_counts import count_in, edge_reaches
from ..evaluation.coverage import LONG_TOLERANCE
from ..evaluation.frame_rows import block_ranges, check_elements, frame_neighbours
from ..frames.frame import working_on
from ..frames.type_names import cluster_name, split_symbols
from ..model.missing_types import missing_clusters
from ..text.display import Shown
from .predictive import each

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..evaluation.compiled_basis import Recipe
    from ..evaluation.energies import Model
    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..frames.type_names import Elements
    from ..model.parameters import Parameters

Gap = tuple[str, int]
"""A type of cluster without data, and 0; or a ``"block:pair"`` and by how many steps a distance is too short (below 0)
or too long (above)."""


@dataclass(frozen=True, repr=False)
class CoveragePick(Shown):
    """A frame that closes gaps of a model's data.

    Attributes
    ----------
    index : int
        Its place in the pool.
    origin : str
        Where the frame is from.
    types : tuple of str
        Types of clusters without data that it contains and no frame before it.
    distances : Mapping from str to float
        By ``"block:pair"`` the distance, Å, beyond the fitted ones that it has and no frame before it.
    """

    index: int
    origin: str
    types: tuple[str, ...]
    distances: Mapping[str, float]


def types_without_data(parameters: Parameters) -> list[Elements]:
    """Sorted elements of the types that a model has not been fitted on, as far as it says.

    It has no coefficients for them, or made them, or no fitted frame had such a cluster.
    """
    told = {split_symbols(name) for name in parameters.without_data}
    told |= {split_symbols(name) for name, (_, clusters) in parameters.fitted_on.items() if clusters == 0}
    lacking = {*missing_clusters([parameters.basis]), *told}
    return sorted(lacking, key=lambda e: (len(e), e))


# long: its parameters are documented
def select_for_coverage(
    pool: Sequence[Frame],
    count: int,
    model: Model,
    *,
    step: float = 0.1,
    known: Sequence[Frame] = (),
    executor: Executor | None = None,
) -> list[CoveragePick]:
    """Choose the frames of a pool whose labels would close most gaps between what a model was fitted on and the pool.

    A gap is a type of cluster without data that frames of the pool contain, or a distance beyond those that a block was
    fitted on, in steps. The frame that closes most gaps which no frame before it closes comes next; of equal ones that
    with fewer atoms. :func:`~hiertl_dist.select` weighs what a frame would tell the coefficients that there are.

    Parameters
    ----------
    pool : sequence of Frame
        Frames, which need no labels.
    count : int
        How many to select at most: fewer are where these close all gaps.
    model : Model
        Whose types, and ranges of distances as far as it says them, count.
    step : float, optional
        Å; distances beyond the fitted ones that differ by less are one gap.
    known : sequence of Frame, optional
        Frames that will be fitted anyway: gaps that they close are closed.
    executor : Executor, optional
        Who looks at the frames; default: this process.

    Returns
    -------
    list of CoveragePick
        In the order in which they were taken; none where the model was fitted on all that the pool has.

    Raises
    ------
    InputError
        A count below 0, or a step that is no length.
    FrameError
        Naming the frame: an element that the model does not know, or atoms on top of one another; with an executor
        TaskFailed, which has it as its cause.

    Examples
    --------
    >>> [pick.origin for pick in select_for_coverage(trajectory, 20, model)]
    """
    if count < 0 or not 0.0 < step < np.inf:
        raise InputError(f"select_for_coverage: expected a count ≥ 0 and a step > 0 Å, found {count} and {step}")
    check_elements([*known, *pool] if len(known) else pool, model.elements)
    clusters = types_without_data(model.parameters)
    reaches = edge_reaches([model.parameters.basis], clusters)
    task = partial(_gaps, model=model, clusters=clusters, reaches=reaches, step=step)
    gaps = dict(enumerate(each(task, pool, executor, "gaps")))
    closed: set[Gap] = {gap for own in each(task, known, executor, "gaps that are closed") for gap in own}
    picks: list[CoveragePick] = []
    while gaps and len(picks) < count:
        best = max(gaps, key=lambda i: (len(gaps[i].keys() - closed), -len(pool[i]), -i))
        new = {gap: distance for gap, distance in gaps.pop(best).items() if gap not in closed}
        if not new:
            break
        closed |= new.keys()
        types = tuple(name for name, steps in new if not steps)
        picks.append(CoveragePick(best, pool[best].origin, types, {n: r for (n, steps), r in new.items() if steps}))
    return picks


def _gaps(
    frame: Frame, *, model: Model, clusters: Sequence[Elements], reaches: Mapping[tuple[int, Elements], float],
    step: float,
) -> dict[Gap, float]:  # fmt: skip
    """The gaps that a frame closes, and of those of distances its distance, Å."""
    found = {(cluster_name(c), 0): 0.0 for c in count_in(frame, clusters, reaches)}
    with working_on(frame):
        near = frame_neighbours(frame, model.recipe)
        blocks: dict[str, Recipe] = {b: r for b, r in model.block_recipes.items() if b.is_subset(frame.element_set)}
        ranges = block_ranges(frame, blocks, near)
    for key, (low, high) in model.coverage.items():
        shortest, longest = ranges.get(key, (low, high))
        if shortest < low:
            found[key, -1 - int((low - shortest) / step)] = shortest
        if longest > high + LONG_TOLERANCE:
            found[key, 1 + int((longest - high) / step)] = longest
    return found
