"""The two verbs that run work, ``run`` and ``reduce``, and everything the executors share.

An executor decides where calls are made, never what they give. What makes the answers the same everywhere
lives here and in ``trees.py``: the shape of the reduction tree, the single BLAS thread under which each call runs
(``attempt``), how a failure is named and raised (``Fault``, ``task_failed``), and when calls are started where a
pool of workers takes them (``drive``).
"""

from __future__ import annotations

import math
import os
import pickle
import re
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self, TextIO

import cloudpickle  # type: ignore[import-untyped, unused-ignore]
import psutil

from hiertl_dist.errors import HiertlError, InputError
from hiertl_dist.executors.blas_threads import one_thread
from hiertl_dist.executors.progress import Progress, progress
from hiertl_dist.executors.shared_folders import remove_dead_tokens
from hiertl_dist.executors.stopping import at_work, stop_requested, stopped_by
from hiertl_dist.executors.trees import NOWHERE, Node
from hiertl_dist.files.object_path import Place
from hiertl_dist.files.paths import local_path, named_place
from hiertl_dist.files.store_use import carried

Call = Callable[..., Any]
Label = Callable[[Any], str]
Cost = Callable[[Any], float]


def _equal_cost(item: Any) -> float:
    return 0.0


def _costs(items: Sequence[Any], cost: Cost, label: Label) -> list[float]:
    costs = [float(cost(item)) for item in items]
    for item, value in zip(items, costs, strict=True):
        if not 0.0 <= value < math.inf:
            raise ValueError(f"cost of {_name(item, label)}: expected a finite number ≥ 0, found {value}")
    return costs


class TaskFailed(HiertlError, RuntimeError):  # noqa: N818  it is what happened that it names, as TimeoutExpired does
    """An item failed, or the worker that had it was lost. The message names the item and says why.

    Raised by ``Executor.run`` and ``Executor.reduce``, on every calling process alike. ``__cause__`` is the
    original exception where there is one that can be had; where it comes from another process, its traceback
    is a note.

    Attributes
    ----------
    lost : bool
        Whether a worker was lost, and the item may be good.
    """

    lost: bool = False


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

    def named(self, node: Node, items: Sequence[Any], label: Label) -> Fault:
        """The same fault, with the item or the merge that it befell."""
        return replace(self, name=node_name(node, items, label), node=node)

    def error(self) -> BaseException | None:
        """The original exception, or None where it could not travel."""
        if self.live is not None or self.pickled is None:
            return self.live
        try:
            error = pickle.loads(self.pickled)
        except Exception:  # its class may be unknown here, or want arguments that pickle does not give
            return None
        return error if isinstance(error, BaseException) else None


def _name(item: Any, label: Label) -> str:
    try:
        return label(item)
    except Exception:  # a bad label must not hide the failure that it was to name
        return repr(item)[:200]


def node_name(node: Node, items: Sequence[Any], label: Label) -> str:
    """The name of an item, or of a merge of several."""
    first = _name(items[node.lo], label)
    return first if node.is_leaf else f"merge of {first} to {_name(items[node.hi - 1], label)}"


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


def task_failed(what: str, faults: Iterable[Fault]) -> TaskFailed:
    """The exception for (named) faults: the first in the order of the items speaks, the others are notes."""
    first, *others = sorted(faults, key=lambda fault: (fault.lost, fault.node))
    if first.lost:
        names = " or ".join(fault.name for fault in (first, *others))
        message, others = f"{what}: the worker that had {names} was lost: {first.text}", []
    else:
        message = f"{what}{': ' if first.subject else ' '}{first.subject}failed with {first.text}"
    failed = TaskFailed(message)
    if first.frame and not first.lost and first.name not in message:
        failed.add_note(f"in {first.name}")
    failed.lost = first.lost
    failed.__cause__ = first.error()
    if first.live is None or first.live.__traceback__ is None:
        failed.add_note(f"where it was raised:\n{first.trace}")
    for fault in others:
        failed.add_note(f"also failed: {fault.frame or fault.name} with {fault.text}")
    return failed


@dataclass(frozen=True)
class Reporting:
    """How a verb speaks of itself: what is being done, the name of an item, and its kind where they differ."""

    what: str
    label: Label
    kind: Label | None = None

    def bar(self, total: int, *, shown: bool = True) -> AbstractContextManager[Progress]:
        """What tells how far it has come, if somebody reads it."""
        return progress(self.what, total, shown=shown)

    def task_name(self, item: Any) -> str:
        """For a dashboard, which counts tasks by the words of their names: what is done, and the item's kind."""
        words = f"{self.what} {'' if self.kind is None else _name(item, self.kind)}"
        return re.sub(r"[^0-9A-Za-z]+", "-", words).strip("-")[:80] or "task"


class Executor(ABC):
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

    def run(
        self, task: Call, items: Iterable[Any], *, label: Label = str, what: str = "tasks", cost: Cost = _equal_cost,
        kind: Label | None = None,
    ) -> list[Any]:  # fmt: skip
        """task(item) of each item, in order; the same list on every calling process.

        ``label`` names an item where it fails; ``kind``, such as its block, where a scheduler shows its tasks. ``cost``
        of an item, in any unit, is what it is expected to take: costly items are begun first, or shared out so that all
        workers finish together. ValueError where one is no finite number ≥ 0.

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
        items = list(items)
        with at_work(self._heeds_signals):
            self._agree(len(items))
            if not items:
                return []
            return self._run(carried(task), items, Reporting(what, label, kind), _costs(items, cost, label))

    def reduce(
        self, leaf: Call, merge: Call, items: Iterable[Any], *, label: Label = str, what: str = "reduction",
        cost: Cost = _equal_cost, kind: Label | None = None,
    ) -> Any:  # fmt: skip
        """The value of a binary tree with leaf(item) at its leaves and merge(left, right) at its nodes.

        The tree is that of ``tree``: a node of m > 1 items splits after the largest power of two below m. It
        does not depend on the ``cost`` of the items, which is as in ``run``, and so is ``kind``.

        Raises
        ------
        TaskFailed
            On every calling process, when a leaf or a merge fails.
        ValueError
            When there are no items: a tree without leaves has no value.
        """
        items = list(items)
        with at_work(self._heeds_signals):
            self._agree(len(items))
            if not items:
                raise ValueError(f"{what}: there are no items to reduce")
            reporting = Reporting(what, label, kind)
            return self._reduce(carried(leaf), carried(merge), items, reporting, _costs(items, cost, label))

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
            fault = failed.fault.named(Node(0, 1), ["it"], str)
        raise task_failed(what, [fault])

    def require_alike(self, digests: Callable[[], Sequence[str]], what: str) -> None:  # noqa: B027  one process is like itself
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

    def shared_folder(self, path: str | Path, what: str = "path") -> Path:
        """The folder by its absolute path, once it is known that all workers see the same one; it need not exist yet.

        For what workers write, or read by its path alone: they may have other current folders and other disks. ``what``
        it is, is for messages.

        Raises
        ------
        LaunchError
            Some workers see another folder or none: which, and where they run. Nothing was written then.
        """
        folder = local_path(path, what).absolute()
        self._share(folder)
        return folder

    def shared_place(self, path: str | Place, what: str = "path") -> Place:
        """The same of what may also be on an object store, ``s3://…``, which all workers must be able to reach."""
        place = named_place(path, what).absolute()
        self._share(place)
        return place

    def _share(self, place: Place) -> None:
        """Raise LaunchError where some workers do not see a place."""
        remove_dead_tokens(place)  # of a dask client before, whatever works now

    def memory(self) -> int:
        """Bytes that all workers may take together: what this machine has to spare, unless they are elsewhere."""
        return int(psutil.virtual_memory().available)

    def watch(self, items: Iterable[Any], what: str, number: Call | None = None) -> Generator[Any, None, None]:
        """The items one by one, under a progress bar as the verbs show it; each counts as ``number(item)``, or 1."""
        with Reporting(what, str).bar(0, shown=self.out() is sys.stdout) as bar:
            for item in items:
                yield item
                bar.update(1 if number is None else number(item))

    def out(self) -> TextIO:
        """The stream that a person reads: stdout on the one process that speaks for all, nowhere on the others."""
        return sys.stdout

    def close(self) -> None:  # noqa: B027  most have something to give back, the serial one has not
        """Give back workers and whatever else is held. More than once does no harm."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _agree(self, n: int) -> None:  # noqa: B027  there is nothing to agree on for one calling process
        """Make sure that all calling processes were given as many items."""

    @abstractmethod
    def _run(self, task: Call, items: list[Any], reporting: Reporting, costs: list[float]) -> list[Any]: ...

    @abstractmethod
    def _reduce(self, leaf: Call, merge: Call, items: list[Any], reporting: Reporting, costs: list[float]) -> Any: ...


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
