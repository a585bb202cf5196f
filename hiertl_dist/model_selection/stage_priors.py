"""What a stage of a search leans on: blocks that no frame informs, made of lower ones, and rows of probe structures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..fitting.block_order import blocks_to_make
from ..fitting.hierarchy import with_made
from ..fitting.view_priors import probe_rows_of
from ..model.priors import ZERO, Prior

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..executors.base import Executor
    from ..fitting.probe_rows import ProbeRows
    from ..frames.element_set import ElementSet
    from ..model.parameters import Parameters
    from .search_parts import Part
    from .search_plan import SearchPlan


def to_make(plan: SearchPlan) -> list[ElementSet]:
    """Blocks of a search block by block that no frame informs and the options want made or zero, small sets first."""
    if any(part.all_at_once for part in plan.parts):
        return []
    return blocks_to_make([part.name for part in plan.parts], plan.basis, plan.frozen, plan.options)


def made_models(
    plan: SearchPlan, blocks: Sequence[ElementSet], current: Sequence[Parameters], tell: Callable[[str], None]
) -> list[Parameters]:
    """Models so far, and some blocks that are made of them, where they are to be mixed."""
    models = list(current)
    for block in blocks:
        models = with_made(models, block, plan.basis, plan.frozen, plan.options, tell)
    return models


def probes_of(
    part: Part, lower: Sequence[Parameters], plan: SearchPlan, executor: Executor, memory: int | None
) -> dict[tuple[int, int], ProbeRows]:
    """Rows of the probe structures that priors of a stage's grid want, by their number and seed."""
    rows: dict[tuple[int, int], ProbeRows] = {}
    for choice in part.grid.choices(part.fit):
        prior = Prior.of(choice.prior)
        key = (prior.probes, prior.seed)
        if prior.mean == ZERO or not prior.probes or key in rows:
            continue
        made = probe_rows_of(
            prior, plan.given, plan.basis, part.blocks, lower=lower, probes=plan.options.probes, executor=executor,
            memory=memory,
        )  # fmt: skip
        if made is not None:
            rows[key] = made
    return rows
