"""``select``: which frames of a pool to label next, and ``leverage``: how far frames lie outside of a fit.

What rows a frame would add to a fit does not depend on its labels, so neither does what they would settle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import numpy as np
import psutil

from ..algebra.byte_cache import Kept
from ..algebra.d_optimal import d_optimal
from ..algebra.posterior import Posterior
from ..errors import InputError
from ..evaluation.compiled_basis import compile_recipe
from ..evaluation.frame_rows import answerable, check_elements, check_policy, has_pair_inside
from ..executors import InlineExecutor
from ..fitting.weights import check_weights
from ..frames.frame import Frame
from ..frames.rows import KINDS, SUMMARY_KINDS, Group, kind_codes, person_kind
from ..model.basis import Basis
from ..model.blocks import blocks_of, columns_of
from ..text.display import Shown
from .predictive import ModelPosterior, RowMaker, each, with_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..evaluation.frame_rows import InnerPolicy
    from ..executors.base import Executor

SHARE: Final = 4
"""Rows of a pool are kept in a quarter of the memory that is there."""


@dataclass(frozen=True, repr=False)
class Pick(Shown):
    """A selected frame.

    Attributes
    ----------
    index : int
        Its place in the pool.
    origin : str
        Where the frame is from.
    gain : float
        By how much its rows increase the logarithm of the determinant of the fit's precision, given those that were
        selected before: twice the information in nats.
    leverage : float
        Sum of its rows' leverages ‖T⁻ᵀa‖², given the same: how many coefficients' worth of them was unknown.
    """

    index: int
    origin: str
    gain: float
    leverage: float


@dataclass(frozen=True, repr=False)
class Leverage(Shown):
    """Leverages ‖T⁻ᵀa‖² of a frame's rows, weighted as in the fit.

    A row of the fit has less than 1, and all rows of the fit together have as many as it has degrees of freedom.
    Well above 1 a frame is extrapolated.

    Attributes
    ----------
    origin : str
        Where the frame is from.
    highest : float
        Of the row that is farthest outside.
    mean : float
        Over the rows.
    kind : {"force", "stress", "energy"}
        Of the highest row.
    """

    origin: str
    highest: float
    mean: float
    kind: str


def _weighted(frame: Frame, maker: RowMaker) -> NDArray[np.float64]:
    """(rows with a weight, columns) of a frame, weighted, as if it had all labels; its own are not looked at."""
    full = with_labels(frame)
    weights = maker.weights(full)
    used = weights > 0.0
    return weights[used, np.newaxis] * maker.rows(full)[used]


# long: its parameters are documented
def select(
    pool: Sequence[Frame],
    count: int,
    given: ModelPosterior | Basis,
    *,
    alpha: float | None = None,
    blocks: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
    objective: str = "lsq",
    source: str = "",
    policy: InnerPolicy = "refuse",
    executor: Executor | None = None,
    memory: int | None = None,
) -> list[Pick]:
    """Choose the frames whose labels would settle most of a model's coefficients.

    Greedy D-optimal selection: the frame that increases log det(TᵀT + Σ AᵀA) most, again and again, where A are the
    weighted rows of forces, stresses and energy of a frame and TᵀT is the precision of the fit so far
    (docs/theory.md, section 10; :func:`~hiertl_dist.algebra.d_optimal.d_optimal`). It prefers frames with many atoms,
    which bring many rows.

    Parameters
    ----------
    pool : sequence of Frame
        Frames, which need no labels. Those that are in the fit already should not be among them.
    count : int
        How many to select, at most as many as the pool has; 0 selects none.
    given : ModelPosterior or Basis
        The posterior of a fit, whose weights and objective are used; or a basis where nothing is fitted yet. Columns
        that a posterior holds fixed (of a LASSO, or without data and penalty) count for nothing: use ridge.
    alpha : float, optional
        Ridge penalty of the fit to come, above 0; needed with a basis, and only with one.
    blocks : sequence of str, optional
        Free blocks of the fit to come; default: all. Only with a basis.
    weights : Mapping from str to float, optional
        Of the pool's rows, by kind, composition or source; default: as in the posterior's fit, with a basis 1. A row
        of weight w counts as one whose error is 1 / w of that of a row of weight 1, and weights by which a fit is tuned
        may say otherwise: where stresses weigh so much that they decide, frames of thermal disorder are passed over,
        and the errors of forces grow. ``{"stress": 0.0, "energy": 0.0}`` selects by forces alone.
    objective : {"lsq", "plain"}, optional
        How the fit to come counts rows; another than the default only with a basis.
    source : str, optional
        Whose weights the rows of the pool have; default: those by kind and composition.
    policy : {"refuse", "skip_frame", "lsq", "damp"}, optional
        For pairs inside an inner cutoff; ``skip_frame`` never selects such a frame. Frames far inside it are what
        ``damp`` and ``lsq`` select first.
    executor : Executor, optional
        Who makes the first look at each frame; default: this process. What follows is done in one process.
    memory : int, optional
        Bytes of rows to keep for later looks; default: a quarter of what is available.

    Returns
    -------
    list of Pick
        In the order in which they were taken.

    Raises
    ------
    InputError
        Fewer frames than ``count``; options that don't go with ``given``; a weight that names no rows or is no finite
        number ≥ 0; no kind of rows has a weight.
    FrameError, InnerCutoffError
        Naming the frame; with an executor TaskFailed, which has it as its cause.
    ValueError
        An unknown policy or objective.
    """
    check_policy(policy)
    compositions = dict.fromkeys(f.composition for f in pool)
    check_weights([Group(source, k, c) for k in SUMMARY_KINDS for c in compositions], weights or {})
    maker, linear = _start(given, alpha, blocks, weights, objective, source, policy)
    check_elements(pool, maker.basis.elements if isinstance(given, Basis) else sorted(given.elements))
    candidates = _candidates(pool, maker, executor)
    if not 0 <= count <= len(candidates):
        raise InputError(f"select: expected a count of 0 … {len(candidates)}, the frames of the pool, found {count}")
    gains = each(partial(_gain, maker=maker, linear=linear), [pool[i] for i in candidates], executor, "gains")
    most = psutil.virtual_memory().available // SHARE if memory is None else memory
    runner = InlineExecutor() if executor is None else executor
    greedy = partial(_greedy, pool, candidates, count, maker, linear, gains, most)
    picks: list[Pick] = runner.once(greedy, what="select frames")
    return picks


def _start(
    given: ModelPosterior | Basis, alpha: float | None, blocks: Sequence[str] | None,
    weights: Mapping[str, float] | None, objective: str, source: str, policy: InnerPolicy,
) -> tuple[RowMaker, Posterior]:  # fmt: skip
    if isinstance(given, ModelPosterior):
        if alpha is not None or blocks is not None or objective != "lsq":
            raise InputError("select: alpha, blocks and objective are those of the posterior")
        maker = given.maker(policy, source)
        maker = maker if weights is None else maker._replace(given=weights)
        linear = given.linear
    else:
        if alpha is None or not 0.0 < alpha < np.inf:
            raise InputError(f"select: with a basis, expected the alpha > 0 of the ridge to come, found {alpha}")
        names = tuple(b.name for b in blocks_of(given, blocks))
        kept = given.with_types(t for t in given.types if t.block in names)
        maker = RowMaker(kept, names, weights or {}, objective, policy, source)
        n = len(columns_of(kept, names))
        linear = Posterior(np.sqrt(alpha) * np.eye(n), np.arange(n), n, 1.0, 0.0)
    if all(maker.given.get(k, 1.0) == 0.0 for k in KINDS):
        raise InputError("select: no kind of rows has a weight above zero")
    return maker, linear


def _candidates(pool: Sequence[Frame], maker: RowMaker, executor: Executor | None) -> list[int]:
    """Indices of the frames that may be selected."""
    if maker.policy != "skip_frame":
        return list(range(len(pool)))
    inside = each(partial(_inside, maker=maker), pool, executor, "inner cutoffs")
    return [i for i, skipped in enumerate(inside) if not skipped]


def _inside(frame: Frame, *, maker: RowMaker) -> bool:
    recipe = compile_recipe(maker.basis, maker.blocks)
    return has_pair_inside(frame, recipe)


def _gain(frame: Frame, *, maker: RowMaker, linear: Posterior) -> float:
    return linear.gain(_weighted(frame, maker))


def _greedy(
    pool: Sequence[Frame], candidates: Sequence[int], count: int, maker: RowMaker, linear: Posterior,
    gains: Sequence[float], memory: int,
) -> list[Pick]:  # fmt: skip
    kept: Kept[int, NDArray[np.float64]] = Kept(memory, attrgetter("nbytes"))

    def made(index: int) -> NDArray[np.float64]:
        return _weighted(pool[index], maker)

    picks = d_optimal(linear, candidates, count, lambda index: kept.of(index, made), initial_gains=gains)
    return [Pick(p.index, pool[p.index].origin, p.gain, p.leverage_sum) for p in picks]


def leverage(
    frames: Sequence[Frame] | Frame,
    given: ModelPosterior,
    *,
    source: str = "",
    policy: InnerPolicy = "damp",
    executor: Executor | None = None,
) -> list[Leverage]:
    """How far frames lie outside of what a fit has seen; the formula is in docs/theory.md, section 10.

    Parameters
    ----------
    frames : Frame or sequence of Frame
        Frames, which need no labels.
    given : ModelPosterior
        The fit.
    source : str, optional
        Whose weights the rows have; default: those by kind and composition.
    policy : {"damp", "lsq", "refuse"}, optional
        For pairs inside an inner cutoff, as in :meth:`~hiertl_dist.Model.evaluate`.
    executor : Executor, optional
        Who does it; default: this process.

    Returns
    -------
    list of Leverage
        One for each frame.

    Raises
    ------
    FrameError, InnerCutoffError
        Naming the frame; with an executor TaskFailed, which has it as its cause.
    ValueError
        A policy that is none, or ``skip_frame``, which would leave a frame without an answer.
    """
    listed = answerable(frames, policy, "leverage", given.elements)
    task = partial(_leverage, maker=given.maker(policy, source), linear=given.linear)
    return each(task, listed, executor, "leverage")


def _leverage(frame: Frame, *, maker: RowMaker, linear: Posterior) -> Leverage:
    full = with_labels(frame)
    leverages = maker.weights(full) ** 2 * linear.leverage(maker.rows(full))
    top = int(leverages.argmax())
    kind = person_kind(SUMMARY_KINDS[kind_codes(full)[top]])
    return Leverage(frame.origin, float(leverages[top]), float(leverages.mean()), kind)
