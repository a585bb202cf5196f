"""``select_from_pool``: which frames of a pool to label next, for a whole model of which blocks' covariances are kept.

By information that is :func:`~hiertl_dist.uncertainty.whole_selection.select_of_whole`: all candidates are compared by
how much their labels would tell of all coefficients together (docs/theory.md, section 10).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..errors import InputError
from ..evaluation.frame_rows import check_elements, check_policy, has_pair_inside
from ..executors import InlineExecutor
from ..frames.frame_sequence import sequence_of
from ..text.display import Shown
from .coverage_selection import select_for_coverage
from .predictive import each, weights_of, with_labels
from .whole_model import rows_by_part
from .whole_selection import WholeRows, select_of_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..evaluation.energies import Model
    from ..evaluation.frame_rows import InnerPolicy
    from ..executors.base import Executor
    from ..frames.frame import Frame
    from ..frames.frame_sequence import FrameSequence
    from .whole_model import HierarchyPosterior

METHODS: Final = ("d_optimal", "leverage", "coverage")


@dataclass(frozen=True, repr=False)
class PoolPick(Shown):
    """A chosen frame, and why.

    Attributes
    ----------
    index : int
        Its place in the pool.
    value : float
        What is added up: twice the information in nats that its labels add to those before (``d_optimal``), the sum of
        the leverages of its rows (``leverage``), or the gaps that it closes (``coverage``).
    leverage : float
        Of ``d_optimal``: sum of its rows' leverages, given the frames before; of ``leverage``: that of the row that is
        farthest outside of the fit. NaN of ``coverage``.
    types : tuple of str
        Of ``coverage``: types of clusters without data that it contains and no frame before it.
    distances : Mapping from str to float
        Of ``coverage``: by ``"block:pair"`` the distance, Å, beyond the fitted ones.
    """

    index: int
    value: float
    leverage: float
    types: tuple[str, ...]
    distances: Mapping[str, float]


@dataclass(frozen=True, eq=False, repr=False)
class PoolSelection(Shown):
    """Frames chosen from a pool.

    Attributes
    ----------
    method : {"d_optimal", "leverage", "coverage"}
        How.
    picks : tuple of PoolPick
        In the order in which they were taken.
    total : float
        The values of all candidates together; NaN where nobody asked for a share of it.
    candidates : int
        Frames of the pool that could be chosen.
    known, again, inside : int
        Frames that could not: they are among those known, are there twice, or have a pair inside an inner cutoff.
    """

    method: str
    picks: tuple[PoolPick, ...]
    total: float
    candidates: int
    known: int
    again: int
    inside: int


class _Candidates(NamedTuple):
    numbers: list[int]
    known: int
    again: int
    inside: int


# long: its parameters are documented
def select_from_pool(
    pool: Sequence[Frame],
    given: HierarchyPosterior | Model,
    *,
    method: str = "d_optimal",
    count: int | None = None,
    share: float | None = None,
    fitted: Sequence[Frame] = (),
    pending: Sequence[Frame] = (),
    policy: InnerPolicy = "refuse",
    step: float = 0.1,
    executor: Executor | None = None,
    memory: int | None = None,
) -> PoolSelection:
    """Choose the frames of a pool to label next.

    Parameters
    ----------
    pool : sequence of Frame
        Frames, which need no labels.
    given : HierarchyPosterior or Model
        What a model leaves open; for ``"coverage"`` the model.
    method : {"d_optimal", "leverage", "coverage"}, optional
        What would tell most of the coefficients, each frame given those before; what lies farthest outside of the fits,
        each frame by itself; or what closes most gaps of the data, as of :func:`~hiertl_dist.select_for_coverage`.
    count : int, optional
        How many at most.
    share : float, optional
        As many as have this share of what all candidates have together, above 0 and at most 1: of the information, of
        the sum of all leverages, or of the gaps.
    fitted : sequence of Frame, optional
        Frames that the model was fitted on: they are not chosen.
    pending : sequence of Frame, optional
        Frames that were chosen before and are not fitted yet: they are not chosen, and what they will tell counts as
        told (not by ``"leverage"``, which looks at each frame alone).
    policy : {"refuse", "skip_frame", "damp", "lsq"}, optional
        For pairs inside an inner cutoff; ``skip_frame`` never chooses such a frame.
    step : float, optional
        Å, of ``"coverage"``.
    executor : Executor, optional
        Who looks at each frame; default: this process. What follows is done in one process.
    memory : int, optional
        Bytes of rows to keep for later looks; default: a quarter of what is available.

    Returns
    -------
    PoolSelection
        The frames in the order in which they were taken.

    Raises
    ------
    InputError
        Neither or both of ``count`` and ``share``, or numbers that are none; no frame is left to choose.
    FrameError, InnerCutoffError
        Naming the frame; with an executor TaskFailed, which has it as its cause.
    """
    model: Model = getattr(given, "model", given)  # type: ignore[arg-type]
    _check(method, count, share, policy)
    frames = sequence_of(pool)
    check_elements(frames, sorted(model.elements))
    check_elements(sequence_of(pending), sorted(model.elements))
    left = _candidates(frames, sequence_of([*fitted, *pending]), model, policy, executor)
    most = len(left.numbers) if count is None else min(count, len(left.numbers))
    candidates = frames.take(np.array(left.numbers, np.int64))
    if method == "coverage":
        found, total = _by_coverage(candidates, model, most, share, step, pending, executor)
    elif method == "leverage":
        found, total = _by_leverage(candidates, given, most, share, policy, executor)  # type: ignore[arg-type]
    else:
        found, total = _by_information(candidates, given, most, share, pending, policy, executor, memory)  # type: ignore[arg-type]
    picks = tuple(PoolPick(left.numbers[p.index], *_rest(p)) for p in found)
    return PoolSelection(method, picks, total, len(left.numbers), left.known, left.again, left.inside)


def _rest(pick: PoolPick) -> tuple[float, float, tuple[str, ...], Mapping[str, float]]:
    return pick.value, pick.leverage, pick.types, pick.distances


def _check(method: str, count: int | None, share: float | None, policy: InnerPolicy) -> None:
    if method not in METHODS:
        raise InputError(f"select: expected one of the methods {', '.join(METHODS)}, found {method!r}")
    if (count is None) == (share is None):
        raise InputError("select: expected a count or a share, and not both (--count, --share)")
    if count is not None and count < 1:
        raise InputError(f"select: expected a count of at least 1, found {count}")
    if share is not None and not 0.0 < share <= 1.0:
        raise InputError(f"select: expected a share above 0 and at most 1, found {share}")
    check_policy(policy)


def _candidates(
    frames: FrameSequence, known: FrameSequence, model: Model, policy: InnerPolicy, executor: Executor | None
) -> _Candidates:
    """Frames that may be chosen: not known, each once, none inside an inner cutoff where these are skipped."""
    seen = {bytes(row) for row in known.configurations} if len(known) else set()
    numbers, met, again, taken = [], 0, 0, set()
    for i, row in enumerate(map(bytes, frames.configurations)):
        met, again = met + (row in seen), again + (row not in seen and row in taken)
        if row not in seen and row not in taken:
            numbers.append(i)
        taken.add(row)
    before = len(numbers)
    if policy == "skip_frame":
        inside = each(partial(_inside, model=model), frames.take(np.array(numbers, np.int64)), executor, "contacts")
        numbers = [i for i, skipped in zip(numbers, inside, strict=True) if not skipped]
    if not numbers:
        raise InputError(
            f"select: no frame is left to choose: of {len(frames)} {met} are known, {again} are there again, "
            f"{before} have a pair inside an inner cutoff"
        )
    return _Candidates(numbers, met, again, before - len(numbers))


def _inside(frame: Frame, *, model: Model) -> bool:
    return has_pair_inside(frame, model.recipe)


def _by_coverage(
    pool: FrameSequence, model: Model, most: int, share: float | None, step: float, pending: Sequence[Frame],
    executor: Executor | None,
) -> tuple[list[PoolPick], float]:  # fmt: skip
    count = len(pool) if share is not None else most
    found = select_for_coverage(pool, count, model, step=step, known=pending, executor=executor)
    picks = [
        PoolPick(p.index, float(len(p.types) + len(p.distances)), float("nan"), p.types, p.distances) for p in found
    ]
    return _enough(picks, share, sum(p.value for p in picks))


def _by_leverage(
    pool: FrameSequence, given: HierarchyPosterior, most: int, share: float | None, policy: InnerPolicy,
    executor: Executor | None,
) -> tuple[list[PoolPick], float]:  # fmt: skip
    task = partial(_leverages, given=given, policy="damp" if policy == "skip_frame" else policy)
    values = np.array(each(task, pool, executor, "leverages"))
    order = np.argsort(-values[:, 1], kind="stable").tolist()
    picks = [PoolPick(i, float(values[i, 0]), float(values[i, 1]), (), {}) for i in order]
    return _enough(picks[: len(picks) if share is not None else most], share, float(values[:, 0].sum()))


def _enough(picks: list[PoolPick], share: float | None, total: float) -> tuple[list[PoolPick], float]:
    """The first of them that have the share of the total, and the total where it counts."""
    if share is None:
        return picks, float("nan")
    reached = np.cumsum([p.value for p in picks]) if picks else np.zeros(0)
    needed = int(np.searchsorted(reached, share * total * (1.0 - 1e-12))) + 1
    return picks[:needed], total


def _leverages(frame: Frame, *, given: HierarchyPosterior, policy: InnerPolicy) -> tuple[float, float]:
    full, total, largest = with_labels(frame), 0.0, 0.0
    for part, mine in rows_by_part(full, given, policy):
        own = weights_of(full, part.weights, part.objective, "") ** 2 * part.linear.leverage(mine)
        total, largest = total + float(own.sum()), max(largest, float(own.max()))
    return total, largest


def _by_information(
    pool: FrameSequence, given: HierarchyPosterior, most: int, share: float | None, pending: Sequence[Frame],
    policy: InnerPolicy, executor: Executor | None, memory: int | None,
) -> tuple[list[PoolPick], float]:  # fmt: skip
    own: InnerPolicy = "damp" if policy == "skip_frame" else policy
    rows = WholeRows(given, own)
    runner = InlineExecutor() if executor is None else executor
    gains = None if pending else dict(enumerate(each(partial(_gain, rows=rows), pool, executor, "gains")))
    total = float("nan")
    if share is not None:
        total = runner.once(partial(_whole_gain, pool, rows, pending), what="what the pool would tell")
    enough = np.inf if share is None else share * total
    found = select_of_whole(
        pool, most, given, taken=pending, enough=enough, policy=own, gains=gains, memory=memory, executor=executor
    )
    return [PoolPick(p.index, p.gain, p.leverage, (), {}) for p in found], total


def _gain(frame: Frame, *, rows: WholeRows) -> float:
    return rows.linear.gain(rows.rows(frame))


def _whole_gain(pool: FrameSequence, rows: WholeRows, pending: Sequence[Frame]) -> float:
    """Of all frames together: of each given all before it, whose sum is the same whatever the order."""
    linear, total = rows.linear, 0.0
    for frame in pending:
        linear = linear.updated(rows.rows(frame))
    for frame in pool:
        own = rows.rows(frame)
        total += linear.gain(own)
        linear = linear.updated(own)
    return total
