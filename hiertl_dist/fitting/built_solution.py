"""A ``Solution`` from what the solve of a view found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..algebra import regulariser_to_dict
from ..frames.rows import OBJECTIVES
from ..model.frozen import wall_notes
from ..model.missing_types import notes_on_lower_blocks
from ..model.solution import GroupResidual, Solution
from .wall_strength import weak_wall_notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..algebra import LinearSolution, Regulariser
    from ..frames.rows import Group
    from ..model.parameters import Parameters

Sums = tuple[int, float, float]
"""Rows of a group, and the sums of squares of their labels (frozen models subtracted) and of what the fit leaves."""


def built_solution(
    parameters: Parameters, linear: LinearSolution, sums: Mapping[Group, Sums], *, name: str, blocks: Sequence[str],
    frozen: Iterable[Parameters], regulariser: Regulariser, weights: Mapping[str, Any], objective: str,
    notes: Iterable[str],
) -> Solution:  # fmt: skip
    """What is stored of a fit.

    Parameters
    ----------
    parameters : Parameters
        Of the fitted blocks, kcal/mol.
    linear : LinearSolution
        The answer of the linear problem.
    sums : mapping from Group to Sums
        By group of rows, unweighted.
    name : str
        Of the solution.
    blocks : sequence of str
        Names of those that were free.
    frozen : iterable of Parameters
        Models that were subtracted.
    regulariser : Regulariser
        That the answer was found with.
    weights : mapping from str to float
        Of groups by name.
    objective : {"lsq", "plain"}
        How often kinds of rows count.
    notes : iterable of str
        What the reader of a report should know; what is to be said of the wall and of lower blocks is put before them.

    Returns
    -------
    Solution
        With root mean squares of each name of a group, whatever its compositions and folds.
    """
    counts, frozen = OBJECTIVES[objective], tuple(frozen)
    rows, squares = 0, 0.0
    by_name: dict[str, list[float]] = {}
    for group, group_sums in sums.items():
        rows += counts.count(group.kind) * group_sums[0]
        squares += counts.count(group.kind) * group_sums[2]
        total = by_name.setdefault(group.name, [0.0, 0.0, 0.0])
        for i, value in enumerate(group_sums):
            total[i] += value
    residuals = {
        n: GroupResidual(int(count), float(np.sqrt(before / max(count, 1))), float(np.sqrt(after / max(count, 1))))
        for n, (count, before, after) in by_name.items()
    }
    before = (*wall_notes(parameters), *weak_wall_notes(parameters, frozen), *notes_on_lower_blocks(parameters, frozen))
    return Solution(
        parameters, name, tuple(blocks), {f.source: f.digest for f in frozen}, regulariser_to_dict(regulariser),
        dict(weights), objective, linear.method, linear.rank, linear.condition, linear.nonzeros, rows,
        float(np.sqrt(squares / max(rows, 1))), residuals, (*before, *notes),
        linear.hyperparameters,
    )  # fmt: skip
