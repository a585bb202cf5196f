"""The two verbs that run work, ``run`` and ``reduce``, and everything the executors share.

An executor decides where calls are made, never what they give. What makes the answers the same everywhere
lives here and in ``trees.py``: the shape of the reduction tree, the single BLAS thread under which each call runs
(``attempt``), how a failure is named and raised (``Fault``, ``task_failed``), and when calls are started where a
pool of workers takes them (``drive``).
"""

from __future__ import annotations

import os
import pickle
import re
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, ClassVar, Self, TextIO

import cloudpickle  # type: ignore[import-untyped, unused-ignore]

from hiertl_dist.errors import HiertlError, InputError
from hiertl_dist.executors.batches import Batch, Batches, Call, Cost, Label, Ready, equal_cost, item_name
from hiertl_dist.executors.blas_threads import one_thread
from hiertl_dist.executors.memory import KnowsMemory
from hiertl_dist.executors.progress import Progress, progress
from hiertl_dist.executors.shared_folders import SharesFolders
from hiertl_dist.executors.stopping import at_work, stop_requested, stopped_by
from hiertl_dist.executors.submitting import end_calls_with
from hiertl_dist.executors.trees import NOWHERE, Node


class TaskFailed(HiertlError, RuntimeError):  # noqa: N818  it is what happened that it names, as TimeoutExpired does
    """An item failed, or the worker that had it was lost. The message names the item and says why.

    Raised by ``Executor.run`` and ``Executor.reduce``, on every calling process alike. ``__cause__`` is the
    original exception where there is one that can be had; where it comes from another process, its traceback
    is a note.

    Attributes
    ----------
    lost : bool
        Whether a worker was lost, and the item may be good.
    batches : frozenset of int
        Of several that were worked through together, the numbers of those whose items failed.
    """

    lost: bool = False
    batches: frozenset[int] = frozenset()


class ClusterFailed(TaskFailed):
    """The cluster is at fault, and no item: its scheduler is gone, no worker comes, or none can do anything.

    The message names the items that were in flight, says why, and how to go on.
    """


def pack(things: Any) -> bytes:
    """Functions with all that they carry, lambdas and partials too; ``pickle.loads`` unpacks them."""
    packed: bytes = cloudpickle.dumps(things, protocol=5)
    return packed


@dataclass(frozen=True)
class Fault:
    """Why a call failed, in a form that crosses processes: ``live`` stays behind, ``pickled`` travels if it can.

    ``frame`` is the one at fault of those that the call handled, where it is known.
    """

    text: str
    trace: str
    pickled: bytes | None = None
    live: BaseException | None = None
    lost: bool = False
    name: str = ""
    node: Node = NOWHERE
    frame: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return Fault, (self.text, self.trace, self.pickled, None, self.lost, self.name, self.node, self.frame)

    @property
    def subject(self) -> str:
        """What failed, for a message: of all frames that an item has, the one at fault, unless the text names it."""
        if self.frame:
            return "" if self.frame in self.text else f"{self.frame} "
        return f"{self.name} "

    @classmethod
    def of(cls, error: BaseException, *, lost: bool = False, text: str = "") -> Fault:
        """The fault of an exception; ``text`` instead of what it says."""
        try:
            pickled = pickle.dumps(error)
        except Exception:
            pickled = None
        message = str(error)
        text = text or (f"{type(error).__name__}: {message}" if message else type(error).__name__)
        frame = getattr(error, "frame_at_fault", "")
        return cls(text, "".join(traceback.format_exception(error)), pickled, error, lost, frame=frame)

    def named(self, node: Node, name: str) -> Fault:
        """The same fault, with the item or the merge that it befell."""
        return replace(self, name=name, node=node)

    def error(self) -> BaseException | None:
        """The original exception, or None where it could not travel."""
        if self.live is not None or self.pickled is None:
            return self.live
        try:
            error = pickle.loads(self.pickled)
        except Exception:  # its class may be unknown here, or want arguments that pickle does not give
            return None
        return error if isinstance(error, BaseException) else None


class CallFailed(Exception):  # noqa: N818  it reports a failure, and never reaches a user
    """Carries a Fault from where a call was made to the executor that will name it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault

    def __str__(self) -> str:
        return self.fault.text[:1000]


def attempt(call: Call, *args: Any) -> Any:
    """call(*args) under one BLAS thread. Every task, leaf and merge of every executor is made through this.

    Raises
    ------
    CallFailed
        Where it raised; SystemExit is a failure too, for a worker or an MPI rank that left would take others
        with it.
    """
    with one_thread:
        try:
            return call(*args)
        except (Exception, SystemExit) as error:
            raise CallFailed(Fault.of(error)) from error


def fault_of(error: BaseException) -> Fault:
    """The fault that an exception carries, or else is."""
    return error.fault if isinstance(error, CallFailed) else Fault.of(error)


def task_failed(what: str | Batches, faults: Iterable[Fault]) -> TaskFailed:
    """The exception for (named) faults: the first in the order of the items speaks, the others are notes."""
    first, *others = sorted(faults, key=lambda fault: (fault.lost, fault.node))
    batches: frozenset[int] = frozenset()
    if isinstance(what, Batches):
        batches = frozenset(what.owners[fault.node.lo] for fault in (first, *others))
        what = what.batch_of(first.node).what
    if first.lost:
        names = " or ".join(fault.name for fault in (first, *others))
        message, others = f"{what}: the worker that had {names} was lost: {first.text}", []
    else:
        message = f"{what}{': ' if first.subject else ' '}{first.subject}failed with {first.text}"
    failed = TaskFailed(message)
    if first.frame and not first.lost and first.name not in message:
        failed.add_note(f"in {first.name}")
    failed.lost, failed.batches = first.lost, batches
    failed.__cause__ = first.error()
    if first.live is None or first.live.__traceback__ is None:
        failed.add_note(f"where it was raised:\n{first.trace}")
    for fault in others:
        failed.add_note(f"also failed: {fault.frame or fault.name} with {fault.text}")
    return failed


@dataclass(eq=False)
class Counted:
    """Progress that knows how far it has come."""

    told: Progress
    done: int = 0

    def update(self, n: int = 1) -> None:
        """Count n more items as done."""
        self.done += n
        self.told.update(n)


@dataclass(frozen=True)
class Reporting:
    """How a verb speaks of itself: what is being done, the name of an item, and its kind where they differ."""

    what: str
    label: Label
    kind: Label | None = None

    @contextmanager
    def bar(self, total: int, *, shown: bool = True) -> Iterator[Counted]:
        """What tells how far it has come, if somebody reads it."""
        with progress(self.what, total, shown=shown) as told:
            yield Counted(told)

    def task_name(self, item: Any) -> str:
        """For a dashboard, which counts tasks by the words of their names: what is done, and the item's kind."""
        words = f"{self.what} {'' if self.kind is None else item_name(item, self.kind)}"
        return re.sub(r"[^0-9A-Za-z]+", "-", words).strip("-")[:80] or "task"


class Executor(KnowsMemory, SharesFolders, ABC):
    """Runs tasks and reduces their values; a context manager that gives back what it holds.

    Each calling process gets the same result, and the same bits from every executor. ``task``, ``leaf`` and
    ``merge`` must depend on their arguments only and leave them as they are; they may be called again if a
    worker is lost, so what they write must bear being written twice. Large static arguments belong in a
    functools.partial, which goes to each worker once. After a failure nothing new is started, what runs is
    left to finish, and the executor can be used again.
    """

    name: ClassVar[str]
    _heeds_signals: ClassVar[bool] = True

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise InputError(f"workers: expected at least 1, found {workers}")
        self._workers = workers

    @property
    def workers(self) -> int:
        """How many calls are made at a time."""
        return self._workers

    @property
    def callers(self) -> int:
        """How many share its workers at a time, of which this is one: :mod:`~hiertl_dist.executors.side_by_side`."""
        return 1

    def run(
        self, task: Call, items: Iterable[Any], *, label: Label = str, what: str = "tasks", cost: Cost = equal_cost,
        kind: Label | None = None, nbytes: int = 0,
    ) -> list[Any]:  # fmt: skip
        """task(item) of each item, in order; the same list on every calling process.

        ``label`` names an item where it fails; ``kind``, such as its block, where a scheduler shows its tasks. ``cost``
        of an item, in any unit, is what it is expected to take: costly items are begun first, or shared out so that all
        workers finish together. ValueError where one is no finite number ≥ 0. ``nbytes`` are what a call takes of a
        worker's memory, by which it is settled what several callers do at a time.

        Raises
        ------
        TaskFailed
            On every calling process, when an item fails. The other items' effects stay; their values are
            dropped.
        StoppedBySignal
            On every calling process, where a signal asks for an end
            (:func:`~hiertl_dist.executors.stopping.stopping_on_signals`) and items were left. What the others have
            done stays; the same of ``reduce`` and ``once``.
        """
        values: list[Any] = []
        batch = Batch(task, list(items), what, label, cost, kind, nbytes=nbytes, most=self._most)
        self.run_each([batch], lambda _, own: values.extend(own))
        return values

    def run_each(self, batches: Sequence[Batch], ready: Ready) -> None:
        """Several runs at once; ``ready`` takes the number of each and its list, which is as that of :meth:`run`.

        It is called as soon as that is known, under MPI in the end; also of those that are whole where another fails.
        Raises what :meth:`run` does.
        """
        self._work(batches, ready, self._run)

    def reduce(
        self, leaf: Call, merge: Call, items: Iterable[Any], *, label: Label = str, what: str = "reduction",
        cost: Cost = equal_cost, kind: Label | None = None, nbytes: int = 0, kept: int = 0,
    ) -> Any:  # fmt: skip
        """The value of a binary tree with leaf(item) at its leaves and merge(left, right) at its nodes.

        The tree is that of ``tree``: a node of m > 1 items splits after the largest power of two below m. It
        does not depend on the ``cost`` of the items, which is as in ``run``, and so are ``kind`` and ``nbytes``;
        ``kept`` are the bytes of its value.

        Raises
        ------
        TaskFailed
            On every calling process, when a leaf or a merge fails.
        ValueError
            When there are no items: a tree without leaves has no value.
        """
        values: list[Any] = []
        batch = Batch(leaf, list(items), what, label, cost, kind, merge, nbytes, kept, self._most)
        self.reduce_each([batch], lambda _, value: values.append(value))
        return values.pop()

    def reduce_each(self, batches: Sequence[Batch], ready: Ready) -> None:
        """Several reductions at once, each with a tree of its own; ``ready`` takes the number of each and its value.

        It is called as :meth:`run_each` calls it. No worker waits for the last items of one tree where another has
        items left. Raises what :meth:`reduce` does.
        """
        self._work(batches, ready, self._reduce)

    def _work(self, batches: Sequence[Batch], ready: Ready, verb: Callable[[Batches, Ready], None]) -> None:
        """Have the batches with items done."""
        with at_work(self._heeds_signals):
            numbers = [number for number, batch in enumerate(batches) if batch.items]
            together = Batches(tuple(batches[number].carried() for number in numbers))
            sizes = [len(batch.items) for batch in batches]
            self._agree(sizes[0] if len(sizes) == 1 else sizes)
            for number, batch in enumerate(batches):
                if number in numbers:
                    continue
                if batch.merge is not None:
                    raise ValueError(f"{batch.what}: there are no items to reduce")
                ready(number, [])
            if numbers and together.costs:  # settled, or refused, before anything is done
                try:
                    verb(together, lambda number, value: ready(numbers[number], value))
                except TaskFailed as failed:
                    failed.batches = frozenset(numbers[n] for n in failed.batches)
                    raise

    def once(self, call: Callable[[], Any], *, what: str) -> Any:
        """call() in one calling process, where what it carries already is; the same result on each of them.

        For what is large here and would only be sent away by ``run``, such as writing the value of ``reduce``.

        Raises
        ------
        TaskFailed
            On every calling process, when it fails.
        """
        if name := stop_requested():
            raise stopped_by(name)
        try:
            with at_work():
                return attempt(call)
        except CallFailed as failed:
            fault = failed.fault.named(Node(0, 1), "it")
        raise task_failed(what, [fault])

    def require_alike(self, digests: Callable[[], Sequence[str]], what: str) -> None:  # one process is like itself
        """Make sure that all calling processes were given the same, such as frames, in the same order.

        Parameters
        ----------
        digests : callable
            Gives what tells them from others, one text each; asked for only where there are several processes.
        what : str
            What they are, for the message.

        Raises
        ------
        InputError
            On every calling process: which ranks have others, how many, and from which one on.
        """

    @property
    def notes(self) -> tuple[str, ...]:
        """What to tell whoever has started it, such as where a dashboard is."""
        return ()

    def watch(self, items: Iterable[Any], what: str, number: Call | None = None) -> Generator[Any, None, None]:
        """The items one by one, under a progress bar as the verbs show it; each counts as ``number(item)``, or 1."""
        with Reporting(what, str).bar(0, shown=self.out() is sys.stdout) as bar:
            for item in items:
                yield item
                bar.update(1 if number is None else number(item))

    def out(self) -> TextIO:
        """The stream that a person reads: stdout on the one process that speaks for all, nowhere on the others."""
        return sys.stdout

    def close(self) -> None:  # most have something to give back, the serial one has not
        """Give back workers and whatever else is held. More than once does no harm."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_calls_with(self, cancel=error is not None)
        self.close()

    def _agree(self, n: int | list[int]) -> None:  # there is nothing to agree on for one calling process
        """Make sure that all calling processes were given as many items."""

    @abstractmethod
    def _run(self, batches: Batches, ready: Ready) -> None: ...

    @abstractmethod
    def _reduce(self, batches: Batches, ready: Ready) -> None: ...


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
