"""The rows of a pass for summaries: what they are reduced to, by element set, here or in aid of another run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..model.blocks import blocks_of
from ..model.one_body import EnergyTerms, without_one_body
from .leaves import Reduced, RowSource
from .pass_help import help_segments
from .pass_notes import inside_notes
from .row_pass import reduce_segments
from .rows_in_store import rows_in_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..design_matrix.planning import Plan
    from ..design_matrix.segments import Segment
    from ..executors.base import Executor
    from ..files.object_path import Place
    from ..frames.element_set import ElementSet
    from ..frames.rows import Group
    from ..model.parameters import Parameters
    from .checkpoints import Checkpoints, PassFolder


@dataclass(frozen=True, eq=False)
class FreshBatch:
    """What the pass found of one element set: a batch to be."""

    elements: ElementSet
    blocks: tuple[ElementSet, ...]
    segments: tuple[Segment, ...]
    tiles: tuple[str, ...]
    groups: dict[Group, Reduced]
    ranges: dict[str, tuple[float, float]]
    notes: tuple[str, ...]
    zeros: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class RowsOfPass:
    """The rows of a plan.

    Attributes
    ----------
    plan : Plan
        The plan, with the folds of its segments and their weights.
    frozen : sequence of Parameters
        Models whose predictions are taken from the labels.
    store : str, Path or ObjectPath, optional
        The design store that keeps the rows.
    energies : EnergyTerms
        What energies of free atoms are.
    """

    plan: Plan
    frozen: Sequence[Parameters]
    store: str | Place | None
    energies: EnergyTerms

    def _source(self, runner: Executor, memory: int | None) -> RowSource:
        names = tuple(b.name for b in blocks_of(self.plan.basis, self.plan.blocks))
        done, offsets_lack = rows_in_store(self.plan, self.store, frozen=self.frozen, executor=runner, memory=memory)
        return RowSource(
            self.plan.basis, self.plan.policy, names, tuple(without_one_body(self.frozen)),
            None if done is None else done.store,
            frozenset((t.segment.elements, t.block) for t in self.plan.tiles), compact=True,
            energies=self.energies, make_offsets=offsets_lack,
        )  # fmt: skip

    def reduced(
        self, runner: Executor, memory: int | None, notes: tuple[str, ...], checkpoint: Checkpoints | None
    ) -> list[FreshBatch]:  # fmt: skip
        """Reduce them, by element set; the first takes the notes on all frames."""
        if not self.plan.segments:
            return []
        source = self._source(runner, memory)
        groups = reduce_segments(
            self.plan, source, executor=runner, memory=memory, what="summarise", checkpoint=checkpoint
        )
        names = dict.fromkeys(s.elements for s in self.plan.segments)
        fresh = [_fresh(self.plan, elements, source, groups) for elements in names]
        return [replace(fresh[0], notes=(*notes, *fresh[0].notes)), *fresh[1:]]

    def help(
        self, runner: Executor, memory: int | None, checkpoint: Checkpoints,
        wait: Callable[[Callable[[], PassFolder | None]], PassFolder | None],
    ) -> None:  # fmt: skip
        """Reduce some of them for the run that makes the pass."""
        if self.plan.segments:
            help_segments(
                self.plan, self._source(runner, memory), executor=runner, memory=memory, what="summarise",
                checkpoint=checkpoint, wait=wait,
            )  # fmt: skip


def _fresh(plan: Plan, elements: ElementSet, source: RowSource, groups: Mapping[Group, Reduced]) -> FreshBatch:
    segments = tuple(s for s in plan.segments if s.elements == elements)
    tiles = tuple(f"{t.segment.key}:{t.block}" for t in plan.tiles if t.segment.elements == elements)
    blocks = tuple(b for b in source.blocks if (elements, b) in source.present)
    inside = {pair.frame for pair in plan.inside}
    origins = {origin for s in segments for origin in s.frames.origins() if origin in inside} if inside else set()
    notes = inside_notes([pair for pair in plan.inside if pair.frame in origins], plan.policy)
    own_groups = {g: r for g, r in groups.items() if g.elements == elements.elements}
    zeros = {e: x for e, x in source.energies.zeros.items() if e in elements.elements}
    return FreshBatch(elements, blocks, segments, tiles, own_groups, plan.ranges[elements], notes, zeros)
