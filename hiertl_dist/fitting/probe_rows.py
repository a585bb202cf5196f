"""Rows of probe structures: frames without labels on which a block's predictions are held to those of its prior's mean.

Their forces and energies have the target "no deviation", whatever the mean is, so the rows are made once and mean and
weights are chosen afterwards. They are no data: neither residuals nor folds nor the number of rows know of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ..algebra import RFactor
from ..design_matrix.planning import all_needs, make_plan
from ..errors import InputError
from ..evaluation.energies import Model
from ..evaluation.kernels.scratch import return_memory
from ..frames.frame_sequence import sequence_of
from ..model.blocks import Columns, columns_of
from ..model.mixing import mixed_parameters
from ..model.one_body import EnergyTerms
from ..model.priors import MIXED, Prior
from ..text.display import Shown
from .reduction import reduce_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..executors.base import Executor
    from ..frames.element_set import ElementSet
    from ..frames.frame import Frame
    from ..frames.frame_sequence import FrameSequence
    from ..model.basis import Basis
    from ..model.parameters import Parameters

MOST_LOOKED: Final = 200
"""Frames, at most, whose forces tell the size of all of them."""


@dataclass(frozen=True, eq=False, repr=False)
class ProbeRows(Shown):
    """Rows of the forces and energies of probe structures, reduced.

    Attributes
    ----------
    columns : Columns
        What they are rows of.
    factor : ndarray of shape (rows, columns)
        A factor of the unweighted rows of forces, RᵀR = A_pᵀA_p.
    frames : int
        How many structures they are of.
    rows : int
        How many rows the factor is of.
    energies : ndarray of shape (structures, columns)
        The rows of energies per atom, unweighted; none where the structures are not known.
    notes : tuple of str
        What was made of them, and passed over.
    identity : str
        SHA-256 of the structures, and of how their rows are multiplied.
    """

    columns: Columns
    factor: NDArray[np.float64]
    frames: int
    rows: int
    notes: tuple[str, ...] = ()
    identity: str = ""
    energies: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))

    def in_order(
        self, columns: Sequence[tuple[str, tuple[str, ...], tuple[int, ...]]], kind: str = "force"
    ) -> NDArray[np.float64]:
        """The factor of forces, or the rows of energies, in another order of columns.

        Parameters
        ----------
        columns : sequence of Column
            Labels of the columns that are wanted.
        kind : {"force", "energy"}
            Of which rows.

        Returns
        -------
        ndarray of shape (rows, columns)
            Zero in columns that the probes don't have; where it has the same columns, the rows themselves.
        """
        own = self.factor if kind == "force" else self.energies
        if tuple(columns) == tuple(self.columns):
            return own
        place = {c: i for i, c in enumerate(self.columns)}
        rows = np.zeros((len(own), len(columns)))
        known = [(i, place[c]) for i, c in enumerate(columns) if c in place]
        if known:
            to, of = np.array(known).T
            rows[:, to] = own[:, of]
        return rows


# long: its parameters are documented
def reduce_probes(
    frames: Sequence[Frame], basis: Basis, blocks: Sequence[ElementSet], *, executor: Executor,
    lower: Sequence[Parameters] = (), reference: float | None = None, memory: int | None = None,
    notes: Sequence[str] = (),
) -> ProbeRows:  # fmt: skip
    """Make the rows of probe structures and reduce them.

    Deviations count by their size beside that of the forces, so that a probe whose forces are ten times those of the
    data does not count a hundred times as much: its rows are multiplied by r/f where f, the root mean square of the
    forces that the mean of the prior says of it, is larger than r, that of the forces of the data.

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
    lower : sequence of Parameters
        Models of lower blocks, from which the mean is made; not needed without ``reference``.
    reference : float, optional
        r, kcal/mol/Å, see :func:`force_size`; default: rows are not multiplied.
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
    probes = sequence_of([
        replace(f, energy=0.0, forces=np.zeros((len(f), 3)), stress=None, group=f"probe {i}", labels=None)
        for i, f in enumerate(frames)
    ])  # fmt: skip
    needs = all_needs(probes, blocks, basis)
    if not needs:
        raise InputError(f"probes: no structure has the elements of {', '.join(blocks)}")
    plan = make_plan(
        probes, basis, blocks=blocks, needs=needs, policy="skip_frame", executor=executor, memory=memory
    )  # fmt: skip
    if not plan.segments:
        raise InputError(f"probes: all {len(probes)} structures have pairs of atoms inside an inner cutoff")
    summaries = reduce_rows(plan, blocks, store=None, executor=executor, memory=memory, energies=EnergyTerms())
    factors = dict.fromkeys(summaries.groups, 1.0)
    atoms = {f.group: float(len(f)) for f in probes}
    if reference is not None:
        sizes = _mean_forces([probes[i] for i in range(len(probes))], basis, blocks, lower)
        factors = {g: min(1.0, reference / max(sizes[g.source], 1e-30)) for g in factors}
    whole, energies = (
        summaries.combined({g: x / (1.0 if kind == "force" else atoms[g.source]) for g, x in factors.items()
                            if g.kind == kind})
        for kind in ("force", "energy")
    )  # fmt: skip
    assert isinstance(whole, RFactor)
    assert isinstance(energies, RFactor)
    n = whole.n_columns
    left_out = (f"{len(plan.skipped)} of {len(probes)} probe structures are left out: pairs inside an inner cutoff",)
    said = (*notes, *(left_out if plan.skipped else ()))
    content = "".join(f.configuration for f in frames) + f"{reference}" + "".join(m.digest for m in lower)
    identity = hashlib.sha256(content.encode()).hexdigest()
    # copies, lest a target that is zero, and what rows were merged in, be kept
    forces, own = (np.array(kind.r[:, :n], order="F") for kind in (whole, energies))
    made = ProbeRows(
        columns_of(plan.basis, blocks), forces[:n], len(factors) // 2, whole.rows, said, identity, own
    )  # fmt: skip
    del summaries, whole, energies
    return_memory()
    return made


def _mean_forces(
    probes: Sequence[Frame], basis: Basis, blocks: Sequence[ElementSet], lower: Sequence[Parameters]
) -> dict[str, float]:
    """By group, the root mean square of the forces that lower blocks and the mixed mean say, kcal/mol/Å."""
    kinds = [t for t in basis.types if t.block in blocks and t.body > 1 and len(set(t.elements)) > 1]
    mean = mixed_parameters(basis, kinds, lower, Prior(mean=MIXED))
    parts = [Model(p) for p in (*lower, mean)]
    sizes = {}
    for frame in probes:
        inside = [m for m in parts if set(m.elements) & set(frame.elements)]
        forces = sum(m.evaluate([frame], ignore_other_elements=True, missing="zero")[0].forces for m in inside)
        sizes[frame.group] = float(np.sqrt(np.mean(np.square(forces))))
    return sizes


def force_size(frames: FrameSequence, most: int = MOST_LOOKED) -> float | None:
    """Root mean square of the forces of some frames, kcal/mol/Å, of at most so many of them; None without any."""
    labelled = np.flatnonzero(frames.facts.has_forces)
    if not len(labelled):
        return None
    chosen = labelled[np.linspace(0, len(labelled) - 1, min(len(labelled), most)).astype(int)]
    forces = [f.forces for f in frames.take(chosen) if f.forces is not None]
    return float(np.sqrt(np.mean(np.square(np.concatenate(forces)))))
