"""What the executors that hand calls to a pool of workers share.

When a call is started, and what follows from its end.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from hiertl_dist.executors.base import (
    Call,
    ClusterFailed,
    Executor,
    Fault,
    Reporting,
    fault_of,
    node_name,
    task_failed,
)
from hiertl_dist.executors.shares import longest_first
from hiertl_dist.executors.stopping import stop_requested, stopped_by
from hiertl_dist.executors.trees import Node, tree
from hiertl_dist.text.display import listed

MOST_NAMED: Final = 4
"""Items in flight that a message names."""


@dataclass(frozen=True)
class Job:
    """One call for a pool: which of the verb's functions, with what, for which node, and what it is called."""

    node: Node
    call: int
    args: tuple[Any, ...]
    name: str


@dataclass(frozen=True)
class Done:
    """How a job ended: with a handle of its value, or with a fault."""

    job: Job
    handle: Any = None
    fault: Fault | None = None


class Stopped(Exception):  # noqa: N818  it is what happened, and never reaches a user
    """There is no use in waiting for the workers: says why, and whether they can be spoken to."""

    def __init__(self, text: str, *, reachable: bool = True) -> None:
        super().__init__(text)
        self.reachable, self.nodes = reachable, ()

    nodes: tuple[Node, ...]
    """Of the jobs that were in flight."""


class Crew(AbstractContextManager["Crew"]):
    """The workers of a pool during one verb, with the verb's functions sent to each of them once."""

    def flying(self) -> list[Node]:
        """Nodes of the jobs in flight."""
        return []

    @abstractmethod
    def capacity(self) -> int:
        """How many jobs may be in flight at a time, now."""

    @abstractmethod
    def start(self, job: Job) -> None:
        """Hand a job to a worker; among its arguments may be handles."""

    @abstractmethod
    def wait(self) -> list[Done]:
        """The jobs that have ended since, once at least one has."""

    @abstractmethod
    def fetch(self, handle: Any) -> Any:
        """The value behind a handle."""


class PoolExecutor(Executor):
    """An executor whose calls are made by a pool of workers, a bounded number of them in flight at a time.

    Merges are made by the workers as soon as both children are there, and go before leaves that have not
    begun, so that no more values are held than calls in flight times log2 of the items.
    """

    @abstractmethod
    def _crew(self, calls: tuple[Call, ...], *, keep: bool) -> Crew:
        """Workers for one verb; ``keep``: values stay with the workers, and handles stand for them."""

    def _run(self, task: Call, items: list[Any], reporting: Reporting, costs: list[float]) -> list[Any]:
        with _saying_why(items, reporting):
            return self._run_all(task, items, reporting, costs)

    def _reduce(self, leaf: Call, merge: Call, items: list[Any], reporting: Reporting, costs: list[float]) -> Any:
        with _saying_why(items, reporting):
            return self._reduce_all(leaf, merge, items, reporting)

    def _run_all(self, task: Call, items: list[Any], reporting: Reporting, costs: list[float]) -> list[Any]:
        results: list[Any] = [None] * len(items)
        jobs = (Job(Node(i, i + 1), 0, (items[i],), reporting.task_name(items[i])) for i in longest_first(costs))
        with self._crew((task,), keep=False) as crew, reporting.bar(len(items)) as bar:

            def ended(job: Job, handle: Any) -> None:
                results[job.node.lo] = crew.fetch(handle)
                bar.update()

            faults = drive(crew, jobs, ended, self._most)
        _raise_any(faults, items, reporting)
        return results

    def _reduce_all(self, leaf: Call, merge: Call, items: list[Any], reporting: Reporting) -> Any:
        parents = {child: node for node in tree(len(items)) if not node.is_leaf for child in node.children}
        handles: dict[Node, Any] = {}
        merging = replace(reporting, what=f"merge {reporting.what}", kind=None).task_name(None)
        jobs = (Job(Node(i, i + 1), 0, (item,), reporting.task_name(item)) for i, item in enumerate(items))
        with self._crew((leaf, merge), keep=True) as crew, reporting.bar(2 * len(items) - 1) as bar:

            def ended(job: Job, handle: Any) -> Job | None:
                handles[job.node] = handle
                bar.update()
                parent = parents.get(job.node)
                if parent is None or not all(child in handles for child in parent.children):
                    return None
                return Job(parent, 1, tuple(handles.pop(child) for child in parent.children), merging)

            faults = drive(crew, jobs, ended, self._most)
            _raise_any(faults, items, reporting)
            return crew.fetch(handles[Node(0, len(items))])


def drive(
    crew: Crew, jobs: Iterator[Job], ended: Callable[[Job, Any], Job | None], most: int | None = None
) -> list[tuple[Node, Fault]]:
    """Have the crew do the jobs and those that follow from them, at most so many at a time.

    After a fault no more are started, and the rest is seen to its end, as far as there is one; so it is where a signal
    asks for an end, and then StoppedBySignal is raised if there was more to do: also where workers are lost, for a
    signal to all of a job's processes ends those of a cluster that was there before.
    """
    faults: list[tuple[Node, Fault]] = []
    try:
        _drive(crew, jobs, ended, faults, most)
    except Stopped as stopped:
        if not faults:
            if name := stop_requested():
                raise stopped_by(name) from None
            stopped.nodes = tuple(sorted(crew.flying()))
            raise
    if faults and all(fault.lost for _, fault in faults) and (name := stop_requested()):
        raise stopped_by(name)
    return faults


def _drive(
    crew: Crew, jobs: Iterator[Job], ended: Callable[[Job, Any], Job | None], faults: list[tuple[Node, Fault]],
    most: int | None,
) -> None:  # fmt: skip
    ready: list[Job] = []
    flying = 0
    stopped = ""
    while True:
        while not faults and not stopped and flying < min(crew.capacity(), most or flying + 1):
            job = ready.pop() if ready else next(jobs, None)
            if job is None:
                break
            if stopped := stop_requested():
                break
            try:
                crew.start(job)
                flying += 1
            except Stopped:
                raise
            except Exception as error:  # an item that can't be sent
                faults.append((job.node, fault_of(error)))
        if not flying:
            if stopped and not faults:
                raise stopped_by(stopped)
            return
        for done in crew.wait():
            flying -= 1
            try:
                follows = ended(done.job, done.handle) if done.fault is None else None
                ready += [follows] if follows else []
            except Stopped:
                raise
            except Exception as error:  # a value that can't be fetched
                done = replace(done, fault=fault_of(error))
            if done.fault is not None:
                faults.append((done.job.node, done.fault))


@contextmanager
def _saying_why(items: list[Any], reporting: Reporting) -> Iterator[None]:
    """Raise ClusterFailed, naming what was in flight, where there is no use in waiting for the workers."""
    try:
        yield
    except Stopped as stopped:
        names = [node_name(node, items, reporting.label) for node in stopped.nodes]
        flying = f" (in flight: {listed(names, MOST_NAMED)})" if names else ""
        raise ClusterFailed(f"{reporting.what}{flying}: {stopped}") from None


def _raise_any(faults: list[tuple[Node, Fault]], items: list[Any], reporting: Reporting) -> None:
    if faults:
        raise task_failed(reporting.what, [fault.named(node, items, reporting.label) for node, fault in faults])
