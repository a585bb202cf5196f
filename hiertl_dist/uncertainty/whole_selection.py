"""D-optimal selection for a model of many blocks: the frames whose labels would settle most of all its coefficients.

The blocks' fits are independent of one another, so together they are one Gaussian whose triangle has theirs along its
diagonal. A frame with the elements of a block that was fitted brings rows of that block's columns; any other frame, as
in :func:`~hiertl_dist.predict`, rows of the columns of all blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import psutil

from ..algebra.byte_cache import Kept
from ..algebra.d_optimal import d_optimal
from ..algebra.posterior import Posterior
from ..executors import InlineExecutor
from ..frames.rows import kind_codes
from .active_selection import SHARE, Pick
from .predictive import RowMaker, weights_of, with_labels
from .whole_model import rows_by_part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..evaluation.frame_rows import InnerPolicy
    from ..executors.base import Executor
    from ..frames.frame import Frame
    from .whole_model import HierarchyPosterior


def _nbytes(rows: NDArray[np.float64]) -> int:
    return rows.nbytes


@dataclass(frozen=True, eq=False)
class WholeRows:
    """How frames become weighted rows of the columns of all blocks of a model.

    Attributes
    ----------
    given : HierarchyPosterior
        The fits.
    policy : {"damp", "lsq", "refuse"}
        For pairs inside an inner cutoff.
    """

    given: HierarchyPosterior
    policy: InnerPolicy = "damp"

    @cached_property
    def linear(self) -> Posterior:
        """The Gaussian of all coefficients, by blocks in their order; its noise is that of no block."""
        parts = list(self.given.blocks.values())
        size = sum(len(p.columns) for p in parts)
        triangle, at = np.zeros((size, size), order="F"), 0
        for part in parts:
            end = at + len(part.columns)
            triangle[at:end, at:end] = part.linear.triangle
            at = end
        freedom = sum(p.linear.degrees_of_freedom for p in parts)
        return Posterior(triangle, np.arange(size), size, 1.0, freedom)

    def rows(self, frame: Frame) -> NDArray[np.float64]:
        """(rows, columns) of a frame as if it had all labels, with the fits' weights of groups, not of rows."""
        full = with_labels(frame)
        found = {id(part): (part, mine) for part, mine in rows_by_part(full, self.given, self.policy)}
        blocks = []
        for one in self.given.blocks.values():
            if id(one) not in found:
                blocks.append(np.zeros((len(kind_codes(full)), len(one.columns))))
                continue
            part, mine = found[id(one)]
            blocks.append(weights_of(full, part.weights, part.objective, "")[:, np.newaxis] * mine)
        return np.hstack(blocks)

    def sums(self, frame: Frame) -> NDArray[np.float64]:
        """(columns of the basis,) sums of the basis functions over a frame, per atom: its row of the energy."""
        basis = self.given.model.parameters.basis
        names = tuple(dict.fromkeys(t.block for t in basis.types))
        rows = RowMaker(basis, names, {}, "lsq", self.policy).rows(replace(frame, energy=0.0, forces=None, stress=None))
        return np.array(rows[-1]) / len(frame)


def select_of_whole(
    pool: Sequence[Frame], count: int, given: HierarchyPosterior, *, taken: Sequence[Frame] = (),
    least: float = 0.0, enough: float = np.inf, policy: InnerPolicy = "damp",
    gains: Mapping[int, float] | None = None, memory: int | None = None, executor: Executor | None = None,
) -> list[Pick]:  # fmt: skip
    """Choose the frames whose labels would settle most of a whole model's coefficients, as :func:`~hiertl_dist.select`.

    Parameters
    ----------
    pool : sequence of Frame
        Frames of the elements of the model, which need no labels.
    count : int
        How many at most.
    given : HierarchyPosterior
        The fits of all blocks.
    taken : sequence of Frame
        Frames that are labelled in any case: what they settle counts as known.
    least : float
        Selection ends before a frame whose sum of leverages, given those before it, is below.
    enough : float
        Selection ends where the gains add up to so much.
    policy : {"damp", "lsq", "refuse"}
        For pairs inside an inner cutoff.
    gains : Mapping from int to float, optional
        Of frames of the pool, by place, their gain given nothing else, where workers have computed it.
    memory : int, optional
        Bytes of rows to keep for later looks; default: a quarter of what is available.
    executor : Executor, optional
        Lets one process select; default: this process.

    Returns
    -------
    list of Pick
        In the order in which they were taken.
    """
    rows = WholeRows(given, policy)
    runner = InlineExecutor() if executor is None else executor
    work = partial(_selected, pool, min(count, len(pool)), rows, taken, least, enough, gains, memory)
    picks: list[Pick] = runner.once(work, what="select frames")
    return picks


def _selected(
    pool: Sequence[Frame], count: int, maker: WholeRows, taken: Sequence[Frame], least: float,
    enough: float, gains: Mapping[int, float] | None, memory: int | None,
) -> list[Pick]:  # fmt: skip
    linear = maker.linear
    for frame in taken:
        linear = linear.updated(maker.rows(frame))
    most = psutil.virtual_memory().available // SHARE if memory is None else memory
    kept: Kept[int, NDArray[np.float64]] = Kept(most, _nbytes)

    def made(index: int) -> NDArray[np.float64]:
        return maker.rows(pool[index])

    initial = None
    if gains is not None and not taken:
        initial = [gains[i] for i in range(len(pool))]
    found = d_optimal(linear, range(len(pool)), count, lambda i: kept.of(i, made), initial_gains=initial, enough=enough)
    picks: list[Pick] = []
    for pick in found:
        if pick.leverage_sum < least:
            break
        picks.append(Pick(pick.index, pool[pick.index].origin, pick.gain, pick.leverage_sum))
    return picks
