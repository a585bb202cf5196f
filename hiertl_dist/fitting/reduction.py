"""``reduce_rows``: the design rows of a fit become one summary per group; and ``Summaries``, what fits need to know.

Rows come from a store, or are made on the fly.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any, Final

from ..algebra import Summary
from ..design_matrix.kept_summaries import bytes_of_summaries, group_sizes
from ..design_matrix.resources import calls_at_once, process_bytes
from ..errors import InputError
from ..frames.element_set import ElementSet
from ..frames.rows import Group
from ..model.blocks import Columns, blocks_of, columns_of
from ..model.one_body import EnergyTerms, one_body_values, without_one_body
from ..text.cards import summaries_card
from ..text.display import Shown
from .checkpoints import checkpoints
from .leaves import SUMMARIES, RowSource
from .pass_notes import inside_notes, left_out_notes
from .row_pass import reduce_segments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..dataset.folds import Folds
    from ..design_matrix.planning import Plan
    from ..design_matrix.store import DesignStore
    from ..executors.base import Executor
    from ..files.object_path import Place
    from ..model.basis import Basis
    from ..model.parameters import Parameters
    from .checkpoints import Checkpoints

SOLVE_SQUARES: Final = {
    "none": 8.0, "ridge": 5.6, "lasso": 6.2, "elastic_net": 7.0, "adaptive_lasso": 7.0, "svd": 9.2,
    "bayesian_ridge": 9.2, "ard": 10.2,
}  # fmt: skip
"""Squares of the width that combining and solving need beside the summaries of groups. Measured, with one-body columns
set apart: 7.8 where columns depend on others, 5.1 to 5.6, 5.6, 5.9 and 5.1
(6.9 with nearly all columns active), 9.0, 9.0 and 10.0."""

PROBED_SQUARES: Final = 4.0
"""Squares more where rows of probes are put below the others: 4.0 were measured with a ridge."""

EVIDENCE_SQUARES: Final = 12.0
"""The same where weights are by evidence: 10.5 with ridge and 10.2 to 12 with Bayesian ridge were measured."""


@dataclass(frozen=True, eq=False, repr=False)
class Summaries(Shown, card=summaries_card):
    """One summary per group of rows, with what their columns mean: all that fits need to know of the data.

    Attributes
    ----------
    groups : Mapping from Group to Summary
        Summary of [A | b, offsets] of each group, unweighted; those of a group with a composition have the columns of
        the blocks of its elements only, see :meth:`blocks_in`.
    basis : Basis
        What the columns are.
    blocks : tuple of ElementSet
        The blocks that the columns are of.
    frozen : tuple of Parameters
        The models whose predictions are the further targets.
    folds : Folds or None
        How frames were shared out for cross-validation, if they were.
    ranges : Mapping from str to Mapping
        By element set, shortest and longest distance (Å) of each ``"block:pair"``.
    notes : tuple of str
        What a user of the frames must know, such as pairs inside an inner cutoff.
    energies : EnergyTerms
        What was taken off the labels (``zeros``), and the one-body energies whose columns come after those of the
        blocks (``open``).
    pooled : tuple of str
        Sources whose rows share the groups of the source ``"(pooled)"``.
    weighed : Mapping from Group to Summary, or None
        Where rows have weights of their own (:class:`~hiertl_dist.frames.row_weights.RowWeights`): by group, the
        summary of its rows multiplied by them, which is what is fitted; groups without a weight above 0 are not in it.
    row_weights : Mapping from str to object
        What these weights are, for who reads of a fit; empty where there are none.
    """

    groups: Mapping[Group, Summary]
    basis: Basis
    blocks: tuple[ElementSet, ...]
    frozen: tuple[Parameters, ...] = ()
    folds: Folds | None = None
    ranges: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    energies: EnergyTerms = field(default_factory=EnergyTerms)
    pooled: tuple[str, ...] = ()
    weighed: Mapping[Group, Summary] | None = None
    row_weights: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fitted(self) -> Mapping[Group, Summary]:
        """What is fitted of each group: its rows times their own weights, where they have any."""
        return self.groups if self.weighed is None else self.weighed

    @cached_property
    def columns(self) -> Columns:
        """Labels of all columns: those of the blocks, then those of one-body energies that lower blocks left open."""
        return Columns((*columns_of(self.basis, self.blocks), *self.energies.open.columns), self.basis.elements)

    def blocks_in(self, group: Group) -> tuple[ElementSet, ...]:
        """The blocks whose columns a group's summary has.

        Parameters
        ----------
        group : Group
            One of ``groups``.

        Returns
        -------
        tuple of ElementSet
            In the order of the columns.
        """
        elements = group.elements
        return tuple(b for b in self.blocks if not elements or b.elements <= elements)

    def rows(self, group: Group) -> int:
        """Number of rows of a group; a store knows it without reading the group.

        Parameters
        ----------
        group : Group
            One of ``groups``.

        Returns
        -------
        int
            How many the group has.
        """
        known = getattr(self.groups, "rows", None)
        return int(self.groups[group].rows if known is None else known(group))

    def fitted_rows(self, group: Group) -> int:
        """As :meth:`rows`, without rows whose own weight is 0.

        Parameters
        ----------
        group : Group
            One of ``groups``.

        Returns
        -------
        int
            How many rows of the group are fitted.
        """
        known = getattr(self.fitted, "rows", None)
        if group not in self.fitted:
            return 0
        return int(self.fitted[group].rows if known is None else known(group))

    @cached_property
    def n_of_blocks(self) -> int:
        """Columns of the blocks: those of one-body energies that lower blocks left open follow."""
        return len(self.columns) - self.energies.open.count

    @cached_property
    def starts(self) -> Mapping[str, range]:
        """By block, the indices of its columns in :attr:`columns`."""
        by_block: dict[str, range] = {}
        start = 0
        for block in blocks_of(self.basis, self.blocks):
            by_block[block.name] = range(start, start + block.n_columns)
            start += block.n_columns
        return by_block

    def offset(self, group: Group) -> Summary:
        """What is fitted of a group, with b − Σ offsets as its only target.

        Parameters
        ----------
        group : Group
            One of ``fitted``.

        Returns
        -------
        Summary
            Of labels less what the frozen models predict, without weights of groups.
        """
        summary = self.fitted[group]
        return summary.offset([1.0] + [-1.0] * (summary.n_targets - 1))

    def combined(self, weights: Mapping[Group, float]) -> Summary:
        """All groups as one summary, weighted.

        Parameters
        ----------
        weights : Mapping from Group to float
            They multiply rows, so the objective holds their squares; groups that are not named, or with 0, are left
            out.

        Returns
        -------
        Summary
            With b − Σ offsets as its only target.

        Raises
        ------
        InputError
            No group has a weight above zero.
        """
        used = [g for g, w in weights.items() if w > 0.0 and g in self.fitted]
        if not used:
            raise InputError("no group of rows has a weight above zero")
        # small groups first: rows are put below rows for nothing, and below a triangle all at once
        used.sort(key=lambda g: self.fitted[g].rows)
        return reduce(lambda total, other: total.merge(other), (self.offset(g).scale(weights[g]) for g in used))


def with_weighed(made: Summaries) -> Summaries:
    """Summaries whose groups are of rows as they are and times their own weights, with the two apart."""
    plain = {g: own for g, own in made.groups.items() if not g.weighed}
    return replace(made, groups=plain, weighed={g.plain: own for g, own in made.groups.items() if g.weighed})


def solve_bytes(
    width: int, sizes: Sequence[int], executor: Executor, regulariser: str | None = None, by_evidence: bool = False,
    method: str = "rfactor", probed: bool = False,
) -> int:  # fmt: skip
    """Peak bytes of the worker that combines and solves, by kind of regulariser; where it is not said, the most.

    ``sizes`` are the numbers of rows of its groups, ``executor`` is who works, ``by_evidence`` says whether weights
    are, ``method`` how rows were reduced, ``probed`` whether there are probes.
    """
    squares = max(SOLVE_SQUARES.values()) if regulariser is None else SOLVE_SQUARES[regulariser]
    squares = EVIDENCE_SQUARES if by_evidence else squares
    own = process_bytes() + executor.overhead
    squares += (PROBED_SQUARES + 1.0) * probed  # and a factor of their rows
    return own + int(8 * squares * width**2) + bytes_of_summaries(sizes, width, method)


# long: its parameters are documented
def reduce_rows(
    plan: Plan,
    blocks: Sequence[str],
    *,
    store: DesignStore | None,
    frozen: Sequence[Parameters] = (),
    method: str = "rfactor",
    executor: Executor,
    memory: int | None = None,
    regulariser: str | None = None,
    by_evidence: bool = False,
    energies: EnergyTerms | None = None,
    checkpoint: Checkpoints | str | Place | None = None,
    make_offsets: bool = False,
) -> Summaries:
    """Reduce the rows of a plan, in the columns of some blocks, to one summary per group.

    See section 6 of docs/theory.md.

    Parameters
    ----------
    plan : Plan
        Whose rows are reduced.
    blocks : Sequence of str
        Names of the blocks whose columns are wanted.
    store : DesignStore or None
        Where :func:`~hiertl_dist.assemble` put the rows; ``None`` makes them on the fly.
    frozen : Sequence of Parameters
        Models whose predictions become further targets.
    method : {"rfactor", "gram"}
        TSQR, or normal equations.
    executor : Executor
        Who does the work.
    memory : int, optional
        Bytes that all workers may take together; default: what is available.
    regulariser : str, optional
        Kind of the solve that follows, whose memory is checked beforehand; ``None``: any.
    by_evidence : bool, default False
        Whether weights will be by evidence, which takes more memory.
    energies : EnergyTerms, optional
        How one-body energies are treated; default: labels lose those of the frozen models.
    checkpoint : str or Path, optional
        Folder of checkpoints: a pass of more than a minute that is cut goes on from what finished ranges of tiles came
        to, on any executor, with the same bits. They are deleted when it is complete.
    make_offsets : bool, default False
        Whether what frozen models predict is made on the fly also where there is a store, which lacks it.

    Returns
    -------
    Summaries
        One summary for each source and kind of row.

    Raises
    ------
    TaskFailed
        Naming the leaf.
    ResourceError
        A leaf, or the solve that follows, does not fit in memory.
    InputError
        The plan has no rows; another method or kind of regulariser.
    """
    if method not in SUMMARIES:
        raise InputError(f"method: expected one of {tuple(SUMMARIES)}, found {method!r}")
    if regulariser is not None and regulariser not in SOLVE_SQUARES:
        raise InputError(f"regulariser: expected one of {tuple(SOLVE_SQUARES)}, found {regulariser!r}")
    names = tuple(b.name for b in blocks_of(plan.basis, blocks))
    energies = EnergyTerms(one_body_values(frozen)) if energies is None else energies
    frozen = without_one_body(frozen)
    source = RowSource(
        plan.basis, plan.policy, names, tuple(frozen), store,
        frozenset((t.segment.elements, t.block) for t in plan.tiles), energies=energies,
        make_offsets=make_offsets,
    )  # fmt: skip
    if not plan.segments:
        raise InputError(f"no rows to fit blocks {', '.join(names)} on")
    sizes = list(group_sizes(plan.segments).values())
    solving = solve_bytes(source.width, sizes, executor, regulariser, by_evidence, method)
    calls_at_once(solving, f"solve of {source.width} columns", executor=executor, memory=memory, items=1)
    with checkpoints(checkpoint, executor) as kept:
        reduced = reduce_segments(
            plan, source, executor=executor, memory=memory, what=f"reduce {'+'.join(names)}", method=method,
            checkpoint=kept,
        )  # fmt: skip
    groups = {group: r.summary for group, r in reduced.items()}
    notes = (*inside_notes(plan.inside, plan.policy), *left_out_notes(plan.skipped, plan.unlabelled))
    made = Summaries(
        groups, plan.basis, names, tuple(frozen), ranges=plan.ranges, notes=notes, energies=source.energies
    )
    return with_weighed(made) if any(s.row_weights is not None for s in plan.segments) else made
