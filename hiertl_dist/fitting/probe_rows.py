"""Rows of probe structures: frames without labels on which a block's predictions are held to those of its prior's mean.

Their forces have the target "no deviation", whatever the mean is, so the rows are made once and mean and weight are
chosen afterwards. They are no data: neither residuals nor folds nor the number of rows know of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from ..algebra import RFactor
from ..design_matrix.planning import all_needs, make_plan
from ..errors import InputError
from ..frames.frame_sequence import sequence_of
from ..model.blocks import Columns, columns_of
from ..model.one_body import EnergyTerms
from .reduction import reduce_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..executors.base import Executor
    from ..frames.element_set import ElementSet
    from ..frames.frame import Frame
    from ..model.basis import Basis


@dataclass(frozen=True, eq=False)
class ProbeRows:
    """Rows of the forces of probe structures, reduced.

    Attributes
    ----------
    columns : Columns
        What they are rows of.
    factor : ndarray of shape (rows, columns)
        A factor of the unweighted rows, RᵀR = A_pᵀA_p.
    frames : int
        How many structures they are of.
    notes : tuple of str
        What was made of them, and passed over.
    """

    columns: Columns
    factor: NDArray[np.float64]
    frames: int
    notes: tuple[str, ...] = ()

    def in_order(self, columns: Sequence[tuple[str, tuple[str, ...], tuple[int, ...]]]) -> NDArray[np.float64]:
        """(rows, columns) in another order of columns; those that the probes don't have are zero."""
        place = {c: i for i, c in enumerate(self.columns)}
        rows = np.zeros((len(self.factor), len(columns)))
        known = [(i, place[c]) for i, c in enumerate(columns) if c in place]
        if known:
            to, of = np.array(known).T
            rows[:, to] = self.factor[:, of]
        return rows


def reduce_probes(
    frames: Sequence[Frame], basis: Basis, blocks: Sequence[ElementSet], *, executor: Executor,
    memory: int | None = None, notes: Sequence[str] = (),
) -> ProbeRows:  # fmt: skip
    """Make the rows of probe structures and reduce them.

    Parameters
    ----------
    frames : sequence of Frame
        The structures; labels that they have are not used.
    basis : Basis
        Whose columns are made.
    blocks : sequence of ElementSet
        The blocks that are free.
    executor : Executor
        Who does the work.
    memory : int, optional
        Bytes that all workers may take together; default: what is available.
    notes : sequence of str
        What is to be said of the structures.

    Returns
    -------
    ProbeRows
        Those with pairs inside an inner cutoff are left out, and told.

    Raises
    ------
    InputError
        No structure has the elements of one of the blocks, or all of them have pairs inside an inner cutoff.
    """
    probes = sequence_of([replace(f, energy=None, forces=np.zeros((len(f), 3)), stress=None, group="probe", labels=None)
                          for f in frames])  # fmt: skip
    needs = all_needs(probes, blocks, basis)
    if not needs:
        raise InputError(f"probes: no structure has the elements of {', '.join(blocks)}")
    plan = make_plan(
        probes, basis, blocks=blocks, needs=needs, policy="skip_frame", executor=executor, memory=memory
    )  # fmt: skip
    if not plan.segments:
        raise InputError(f"probes: all {len(probes)} structures have pairs of atoms inside an inner cutoff")
    summaries = reduce_rows(plan, blocks, store=None, executor=executor, memory=memory, energies=EnergyTerms())
    whole = reduce(lambda a, b: a.merge(b), summaries.groups.values())
    assert isinstance(whole, RFactor)
    n = whole.n_columns
    left_out = (f"{len(plan.skipped)} of {len(probes)} probe structures are left out: pairs inside an inner cutoff",)
    return ProbeRows(
        columns_of(plan.basis, blocks), whole.r[:n, :n], len(probes) - len(plan.skipped),
        (*notes, *(left_out if plan.skipped else ())),
    )  # fmt: skip
