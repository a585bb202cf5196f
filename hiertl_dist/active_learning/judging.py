"""What the model knows of each frame of its runs: σ of forces, leverages, and a fingerprint to compare frames by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..evaluation.coverage import OutOfRange
from ..evaluation.missing_in_frames import MissingClusters, missing_text
from ..frames.frame import working_on
from ..uncertainty.whole_selection import WholeRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..uncertainty.whole_model import HierarchyPosterior


@dataclass(frozen=True, eq=False)
class Judged:
    """What is known of a frame.

    Attributes
    ----------
    sigma : float
        kcal/mol/Å: σ of forces that the coefficients leave, rms over atoms and components.
    total : float
        The same with the noise of labels; NaN where that is not known.
    leverage : float
        Sum over its rows: how many coefficients' worth it would settle.
    highest : float
        Of its rows the largest leverage.
    gain : float
        By how much its rows would increase log det of the precision of the fits.
    outside : str
        The distance farthest outside of the fitted range, in words; empty where all are inside.
    missing : str
        Types of clusters that the model has no coefficients of; where there are some, nothing else is known.
    fingerprint : ndarray of shape (columns,)
        Sums of the basis functions over the frame, per atom.
    """

    sigma: float = np.nan
    total: float = np.nan
    leverage: float = np.nan
    highest: float = np.nan
    gain: float = np.nan
    outside: str = ""
    missing: str = ""
    fingerprint: NDArray[np.float64] | None = None


def judge(frames: Sequence[Frame], given: HierarchyPosterior, executor: Executor) -> list[Judged]:
    """What a model knows of frames, in their order.

    Parameters
    ----------
    frames : sequence of Frame
        Of the elements of the model.
    given : HierarchyPosterior
        The model with what its fits leave open.
    executor : Executor
        Whose workers do it.

    Returns
    -------
    list of Judged
        One for each frame.

    Raises
    ------
    TaskFailed
        Naming the frame.
    """
    missing = MissingClusters.of([given.model.parameters])
    task = partial(_judge, rows=WholeRows(given), missing=missing)
    return executor.run(task, frames, label=lambda f: f.origin, what="judge frames", cost=len)


def _judge(frame: Frame, *, rows: WholeRows, missing: MissingClusters) -> Judged:
    with working_on(frame):
        if met := missing.met_in([frame]):
            return Judged(missing=missing_text(met))
        said = rows.given.task(rows.policy)(frame)
        return Judged(
            _rms(said.coefficients.forces), _rms(said.total.forces), said.leverage_sum, said.leverage_max,
            rows.linear.gain(rows.rows(frame)), _farthest(said.mean.out_of_range), "",
            rows.sums(frame),
        )  # fmt: skip


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _farthest(outside: Sequence[OutOfRange]) -> str:
    return str(max(outside, key=lambda pair: pair.beyond)) if outside else ""
