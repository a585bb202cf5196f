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
    ClusterFailed,
    Executor,
    Fault,
    Reporting,
    fault_of,
    task_failed,
)
from hiertl_dist.executors.batches import Batches, Call, Ready
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

    def _run(self, batches: Batches, ready: Ready) -> None:
        with _saying_why(batches):
            self._run_all(batches, ready)

    def _reduce(self, batches: Batches, ready: Ready) -> None:
        with _saying_why(batches):
            self._reduce_all(batches, ready)

    def _run_all(self, batches: Batches, ready: Ready) -> None:
        values: list[list[Any]] = [[None] * len(batch.items) for batch in batches.each]
        left = [len(batch.items) for batch in batches.each]
        names = [Reporting(batch.what, batch.label, batch.kind) for batch in batches.each]
        jobs = (
            Job(Node(i, i + 1), owner, (item,), names[owner].task_name(item))
            for i in longest_first(batches.costs)
            for owner, item in [(batches.owners[i], batches.items[i])]
        )
        calls = tuple(batch.call for batch in batches.each)
        with self._crew(calls, keep=False) as crew, Reporting(batches.what, str).bar(len(batches.items)) as bar:

            def ended(job: Job, handle: Any) -> None:
                values[job.call][job.node.lo - batches.roots[job.call].lo] = crew.fetch(handle)
                bar.update()
                left[job.call] -= 1
                if not left[job.call]:
                    ready(job.call, values[job.call])

            faults = drive(crew, jobs, ended, batches.most, lambda: batches.how_far(bar.done))
        _raise_any(faults, batches)

    def _reduce_all(self, batches: Batches, ready: Ready) -> None:
        trees = [node for root in batches.roots for node in tree(root.hi - root.lo, root.lo)]
        parents = {child: node for node in trees if not node.is_leaf for child in node.children}
        numbers = {root: number for number, root in enumerate(batches.roots)}
        handles: dict[Node, Any] = {}
        names = [Reporting(batch.what, batch.label, batch.kind) for batch in batches.each]
        merging = [Reporting(f"merge {batch.what}", batch.label).task_name(None) for batch in batches.each]
        jobs = (
            Job(Node(i, i + 1), 2 * owner, (item,), names[owner].task_name(item))
            for i in batches.in_turn()
            for owner, item in [(batches.owners[i], batches.items[i])]
        )
        calls = tuple(call for batch in batches.each for call in (batch.call, batch.merge) if call is not None)
        total = 2 * len(batches.items) - len(batches.each)
        with self._crew(calls, keep=True) as crew, Reporting(batches.what, str).bar(total) as bar:

            def ended(job: Job, handle: Any) -> Job | None:
                bar.update()
                if job.node in numbers:
                    ready(numbers[job.node], crew.fetch(handle))
                    return None
                handles[job.node] = handle
                parent = parents[job.node]
                if not all(child in handles for child in parent.children):
                    return None
                owner = batches.owners[parent.lo]
                return Job(parent, 2 * owner + 1, tuple(map(handles.pop, parent.children)), merging[owner])

            _raise_any(drive(crew, jobs, ended, batches.most, lambda: batches.how_far(bar.done)), batches)


def drive(
    crew: Crew,
    jobs: Iterator[Job],
    ended: Callable[[Job, Any], Job | None],
    most: int | None = None,
    how_far: Callable[[], str] = str,
) -> list[tuple[Node, Fault]]:
    """Have the crew do the jobs and those that follow from them, at most so many at a time.

    After a fault no more are started, and the rest is seen to its end, as far as there is one; so it is where a signal
    asks for an end, and then StoppedBySignal is raised if there was more to do: also where workers are lost, for a
    signal to all of a job's processes ends those of a cluster that was there before. ``how_far`` says
    then what is done.
    """
    faults: list[tuple[Node, Fault]] = []
    try:
        stopped_while_asked = _drive(crew, jobs, ended, faults, most)
    except Stopped as stopped:
        if not faults:
            if name := stop_requested():
                raise stopped_by(name, how_far=how_far()) from None
            stopped.nodes = tuple(sorted(crew.flying()))
            raise
    if not faults and stopped_while_asked:
        raise stopped_by(stopped_while_asked, how_far=how_far())
    if faults and all(fault.lost for _, fault in faults) and (name := stop_requested()):
        raise stopped_by(name, how_far=how_far())
    return faults


def _drive(
    crew: Crew, jobs: Iterator[Job], ended: Callable[[Job, Any], Job | None], faults: list[tuple[Node, Fault]],
    most: int | None,
) -> str:  # fmt: skip
    """Returns the name of what asked for an end while there was more to do."""
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
            return stopped
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
def _saying_why(batches: Batches) -> Iterator[None]:
    """Raise ClusterFailed, naming what was in flight, where there is no use in waiting for the workers."""
    try:
        yield
    except Stopped as stopped:
        names = [batches.name(node) for node in stopped.nodes]
        flying = f" (in flight: {listed(names, MOST_NAMED)})" if names else ""
        raise ClusterFailed(f"{batches.what}{flying}: {stopped}") from None


def _raise_any(faults: list[tuple[Node, Fault]], batches: Batches) -> None:
    if faults:
        raise task_failed(batches, [fault.named(node, batches.name(node)) for node, fault in faults])
