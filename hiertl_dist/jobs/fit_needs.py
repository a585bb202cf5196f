"""What the fits of a job need in memory, and what they keep, from a plan of their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..design_matrix.fit_costs import FitSeconds, fit_seconds, probe_atoms_of, seconds_of_one_fit
from ..design_matrix.kept_summaries import KeptSummaries, kept_summaries, pooled_segments
from ..design_matrix.resources import calls_at_once, process_bytes
from ..executors.memory import available_memory, memory_text
from ..fitting.block_order import independent_blocks, own_weights
from ..fitting.caller_memory import FitMemory, caller_bytes, probe_leaf_bytes
from ..fitting.leaves import cut_of, peak_bytes
from ..fitting.reduction import solve_bytes
from ..fitting.view_priors import has_probes
from ..fitting.weighed_rows import weighed_segments
from ..fitting.weights import EVIDENCE, explicit
from ..frames import pooling as pool
from ..frames.element_set import ElementSet
from ..model.one_body import OpenEnergies
from ..model.priors import AUTO, MIXED
from ..text.display import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ..design_matrix.planning import Need, Plan
    from ..executors.base import Executor
    from ..fitting.settings import HierarchyOptions
    from ..frames.frame_sequence import FrameSequence


@dataclass(frozen=True)
class FitNeeds:
    """Memory of all fits of a job.

    Attributes
    ----------
    reduction, solve : int
        Peak bytes of a worker that reduces; of the one that solves.
    kept : KeptSummaries
        What all fits together keep of their rows.
    notes : tuple of str
        What is said of groups of frames that are pooled, and by which fits.
    wall : float
        Seconds until all is done, as estimated, if so many workers have a core each: blocks of a level share them.
    caller : int
        Peak bytes of the calling process, which has what all fits keep, and rows of probes; of executors where it works
        itself, all in.
    """

    reduction: int
    solve: int
    kept: KeptSummaries
    notes: tuple[str, ...] = ()
    wall: float = 0.0
    caller: int = 0

    def notes_of_memory(self, plan: Plan, executor: Executor, memory: int | None) -> list[str]:
        """What is said where memory makes some workers wait. Raises ResourceError where it is not enough for one."""
        needed = {"assembly": plan.worker_bytes + executor.overhead, "reduction": self.reduction}
        busy = {verb: calls_at_once(n, verb, executor=executor, memory=memory) for verb, n in needed.items()}
        return [
            f"{verb}: memory is enough for {n} of {executor.workers} workers at a time"
            for verb, n in busy.items()
            if n < executor.workers
        ] + self._notes_of_caller(executor)

    def _notes_of_caller(self, executor: Executor) -> list[str]:
        if executor.caller_works or self.caller <= (there := available_memory()):
            return []
        return [
            "WARNING: the calling process, which keeps summaries and rows of probes, will take "
            f"{memory_text(self.caller)}, and {memory_text(there)} are available to it"
        ]


def needs_of_fits(
    plan: Plan, fits: Mapping[tuple[ElementSet, ...], Collection[Need]], frames: FrameSequence, n_frozen: int,
    options: HierarchyOptions, executor: Executor, *, all_at_once: bool,
) -> FitNeeds:  # fmt: skip
    """What fits of a plan need; ``fits`` are the rows that are wanted, by the blocks that are fitted together."""
    reduction = solve = 0
    memory: dict[ElementSet, FitMemory] = {}
    atoms = _atoms_of(plan)
    leaves: dict[ElementSet, list[FitSeconds]] = {}
    seconds = {(t.segment.first, t.block): t.seconds for t in plan.tiles}
    kept = KeptSummaries()
    pooled: dict[str, list[str]] = {}
    for blocks, needs in fits.items():
        settings = options.settings if all_at_once else own_weights(options, blocks[0], frames)
        width = sum(plan.columns[b] for b in blocks) + 1 + n_frozen
        sets = {elements for elements, _ in needs}
        used = [s for s in plan.segments if s.elements in sets]
        segments, pooling = pooled_segments(used, explicit(settings.weights), settings.apart)
        segments = weighed_segments(segments, settings.row_weights)
        methods = ("gram", "rfactor") if settings.method == "auto" else (settings.method,)
        cuts = [cut_of(segments, width, method) for method in methods] if segments else []
        peaks = [peak_bytes([cut], executor) for cut in cuts]
        probe_rows = 0 if all_at_once else probe_rows_of_fit(blocks, options, atoms)
        leaves[blocks[0]] = [
            seconds_of_one_fit(blocks, plan.basis, sum(seconds.get((s.first, b), 0.0) for s in leaf for b in blocks),
                               sum(s.rows for s in leaf), width)
            for leaf in (cuts[-1].leaves if cuts else ())
        ]  # fmt: skip
        own = kept_summaries(segments, width, pooling, method=methods[-1])
        kept += own
        for note in pooling.notes:
            pooled.setdefault(note, []).append(" with ".join(blocks) if not all_at_once else "all blocks at once")
        sizes = cuts[-1].sizes if cuts else ()
        kind, by_evidence = settings.regulariser["kind"], settings.weights == EVIDENCE
        solving = solve_bytes(width, sizes, executor, kind, by_evidence, methods[-1], probed=probe_rows > 0)
        bare = process_bytes() + executor.overhead
        fit = FitMemory(width - n_frozen, own.nbytes, probe_rows, max(*peaks, bare, 0) - bare, solving - bare)
        memory[blocks[0]] = fit
        reduction = max(reduction, *peaks, bare + probe_leaf_bytes(fit) if probe_rows else 0)
        solve = max(solve, solving)
    notes = [f"fit of {listed(fits_of)}: {note}" for note, fits_of in pooled.items()]
    labelled = frames.facts.groups(frames.facts.n_rows > 0)
    if len(labelled) > pool.MOST_SOURCES:
        notes.append(
            f"summarise and search pool the groups of all frames together, which are {len(labelled)}, but for those "
            "that weights or apart name"
        )
    names = sorted(leaves, key=lambda b: len(b.elements))
    levels = [names] if all_at_once else levels_of(names, frames, options)
    workers = executor.workers
    wall = fit_seconds(plan, ()).planning / workers + sum(
        shared_seconds([one.total - one.solve for b in level for one in leaves[b]], workers)
        + shared_seconds([one.solve for b in level for one in leaves[b][:1]], workers)
        for level in levels
    )
    caller = caller_bytes([[memory[b] for b in level] for level in levels], executor)
    return FitNeeds(reduction, solve, kept, tuple(notes), wall, caller)


def _atoms_of(plan: Plan) -> dict[ElementSet, tuple[int, int]]:
    """Atoms and frames by element set."""
    atoms: dict[ElementSet, tuple[int, int]] = {}
    for s in plan.segments:
        had, before = atoms.get(s.elements, (0, 0))
        atoms[s.elements] = had + int(s.frames.facts.n_atoms.sum()), before + len(s.frames)
    return atoms


def probe_rows_of_fit(
    blocks: Sequence[ElementSet], options: HierarchyOptions, atoms: Mapping[ElementSet, tuple[int, int]]
) -> int:
    """Rows of the probe structures of a fit: forces, and an energy each; 0 where its prior has none."""
    prior = options.of(blocks[0]).prior
    if not has_probes(prior, blocks):
        return 0
    whole = ElementSet.union(blocks)
    if options.probes is not None:
        given = [len(f) for f in options.probes if f.element_set == whole]
        return 3 * sum(given) + len(given)
    return prior.probes + round(3 * probe_atoms_of(whole, atoms, prior.probes))


def levels_of(blocks: Sequence[ElementSet], frames: FrameSequence, options: HierarchyOptions) -> list[list[ElementSet]]:
    """Which blocks, small ones first, a climb fits side by side, if none leaves the energy of a free atom open."""
    todo, levels = list(blocks), []
    while todo:
        levels.append(independent_blocks(todo, OpenEnergies(), frames, options))
        del todo[: len(levels[-1])]
    return levels


def shared_seconds(seconds: Sequence[float], workers: int) -> float:
    """Seconds until calls that take so long are done by some workers, at least."""
    return max(sum(seconds) / workers, *seconds, 0.0)


def probes_of(options: HierarchyOptions, all_at_once: bool, blocks: Sequence[str]) -> int | None:
    """How many probe structures the prior of a fit has; None where it has no mixed mean."""
    prior = (options.settings if all_at_once else options.of(blocks[0])).prior
    return prior.probes if prior.mean in (MIXED, AUTO) else None
