"""The ``[search]`` table of a suggested input: strengths of the regulariser by cross-validation, where that can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..dataset.fold_units import units_of
from ..dataset.folds import Folds, Split, require_enough
from ..errors import HiertlError
from ..frames.digests import first_equal
from ..jobs.input_file import Input
from ..jobs.search_job import search_options
from ..model_selection.search_plan import plan_search
from .suggesting_basis import LEVELS, orders_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..frames.frame_sequence import FrameSequence
    from ..model.parameters import Parameters
    from .suggesting_basis import BlockChoice

ALPHAS: Final = (1e-3, 1e-2, 1e-1, 1.0)
"""Strengths of the ridge around the suggested one, see :data:`~hiertl_dist.suggestion.suggesting.ALPHA`."""

FOLDS: Final = 5

LEVELS_SHOWN: Final = 3


class SearchChoice(NamedTuple):
    """The ``[search]`` table, empty where ``why`` says that nothing can be searched.

    ``orders`` are those that could be an axis too.
    """

    table: dict[str, Any]
    orders: tuple[tuple[int, int, int], ...]
    why: str = ""


def choose_search(
    table: Mapping[str, Any], frames: FrameSequence, blocks: Sequence[BlockChoice], together: bool,
    frozen: Sequence[Parameters] = (),
) -> SearchChoice:  # fmt: skip
    """What ``hiertl-dist search`` is to compare: strengths of the ridge, in folds by group where groups are held out.

    It is tried out on the frames as far as that costs nothing; what a search would refuse is no suggestion.

    Parameters
    ----------
    table : mapping from str to object
        The rest of the input.
    frames : FrameSequence
        All frames but those held out.
    blocks : sequence of BlockChoice
        The fits, with their orders.
    together : bool
        Whether all are fitted at once.
    frozen : sequence of Parameters
        Blocks of a library, which are not fitted.

    Returns
    -------
    SearchChoice
        The table, or why there is none.
    """
    split: Split = "group" if "groups" in table.get("hold_out", {}) else "frame"
    search = {
        "folds": {"count": max(2, min(FOLDS, _most_folds(frames, split))), "split": split},
        "grid": {"regulariser": {"kind": "ridge", "alpha": list(ALPHAS)}},
    }  # fmt: skip
    try:
        job = Input.from_dict({**table, "data": [{"path": "data"}], "search": search})
        settings = job.search
        assert settings is not None
        planned = partial(
            plan_search, frames, job.basis, frozen=frozen, options=search_options(job), all_at_once=together
        )
        used = planned(settings).frames
        require_enough(settings.folds, number_of_units(used, split))
        del used
        orders = lower_orders(blocks)
        grid = replace(settings.grid, axes={**settings.grid.axes, "orders": tuple(map(list, orders))})
        planned(replace(settings, grid=grid))
    except HiertlError as error:
        return SearchChoice({}, (), str(error))
    return SearchChoice(search, orders)


def _most_folds(frames: FrameSequence, split: Split) -> int:
    labelled = frames.facts.n_rows > 0
    if split == "group":
        return len(frames.facts.groups(labelled))
    return number_of_units(frames if labelled.all() else frames.take(np.flatnonzero(labelled)), split)


def number_of_units(frames: FrameSequence, split: Split) -> int:
    """How many units of some frames folds divide: configurations, or groups, of which those that share one are one."""
    same = first_equal(frames.configurations).astype(np.int32)
    folds = Folds(split=split, stratify=False)
    return len(units_of(frames, same, folds.labels(frames.facts), folds.stratum))


def lower_orders(blocks: Sequence[BlockChoice]) -> tuple[tuple[int, int, int], ...]:
    """The highest orders of the blocks and the next lower ones, such that the largest block has columns at each."""
    largest = max((n for b in blocks for n in b.names), key=lambda n: len(n.elements))
    top = LEVELS.index(max((b.level for b in blocks), key=LEVELS.index))
    orders = dict.fromkeys(orders_of(largest, level) for level in reversed(LEVELS[: top + 1]))
    return tuple(orders)[:LEVELS_SHOWN]
