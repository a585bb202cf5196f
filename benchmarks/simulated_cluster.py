"""A model of a reduction on a cluster: tasks, a scheduler, transfers, the tree of merges, and nodes that fail.

Two machines are modelled. *dask*: one client and scheduler, which spend CPU time on each task one after the other;
workers with two jobs each; merges run where one of their two values is, the other comes through the network cards of
two nodes. Its events (job ready, job ended, node failed) are taken from a heap in the order of time. *MPI*: ranks with
a run of consecutive leaves each, which walk the tree as ``executors/mpi.py`` does; each rank has a clock, and since all
walk in the same order, one pass over the tree moves all clocks."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hiertl_dist.executors.dask_crew import JOBS_PER_THREAD
from hiertl_dist.executors.shares import fair_runs
from hiertl_dist.executors.trees import Node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from simulated_work import Level, Work

STRIPS: Final = 64
"""Strips of rows that a merge is made of where merges of several levels overlap."""


APART: Final = 3
"""Ranks beside the first that a merge spans where its groups are merged by ranks of their own."""


@dataclass(frozen=True)
class Cluster:
    """Workers with a core each, nodes of so many, what joins them, and how often a node fails.

    ``network`` are bytes per second of a node's card, ``store`` those of the file system for all together, ``latency``
    the seconds of a message, ``failures`` those of a node in an hour.
    """

    workers: int
    per_node: int = 64
    network: float = 12.5e9
    store: float = 50e9
    latency: float = 1e-3
    failures: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """Of a simulated reduction: wall seconds until the root's value is there and until the last leaf is; seconds that
    client and scheduler were busy; tasks; CPU seconds lost to failures and how many nodes failed; the answer's rows
    (each must be counted once)."""

    wall: float
    leaves_end: float
    scheduler: float
    tasks: int
    lost: float = 0.0
    failed: int = 0
    rows: int = 0


@dataclass(eq=False)
class _Job:
    node: Node
    seconds: float
    merge: bool
    worker: int
    ready: float = 0.0
    begun: float = -1.0


class Pool:
    """One reduction on a dask cluster, driven as ``executors/pool.py`` drives it.

    ``together``: leaves of a task, a power of two, so that a task is a subtree of the reduction and moves no bit.
    ``apart``: merges above what a worker has for its share are a task for each group, which run at the same time.
    """

    def __init__(self, work: Work | Level, cluster: Cluster, together: int = 1, *, apart: bool = False) -> None:
        self.work, self.cluster, self.costs = work, cluster, work.costs
        self._together = together
        # groups of narrow columns are merged sooner than they are handed out
        worth = apart and work.costs.merging(work.columns) > 10 * work.costs.task
        self._apart = 4 * len(work.rows) / cluster.workers if worth else math.inf
        self._next = 0
        self._again: list[tuple[Node, bool]] = []
        self._values: dict[Node, int] = {}
        self._rows: dict[Node, int] = {}
        self._queues: list[list[_Job]] = [[] for _ in range(cluster.workers)]
        self._running: dict[int, _Job] = {}
        self._counts = [(0, w) for w in range(cluster.workers)]
        self._manager = self.costs.join * cluster.workers
        self._busy, self._tasks, self._lost, self._failed, self._leaves_end = self._manager, 0, 0.0, 0, 0.0
        self._cards = [0.0] * -(-cluster.workers // cluster.per_node)
        self._events: list[tuple[float, int, str, Any]] = []
        self._order = count()
        self._rng = np.random.default_rng(cluster.seed)
        self._tasks_of: set[Node] = set()

    def _post(self, at: float, what: str, about: Any) -> None:
        heapq.heappush(self._events, (at, next(self._order), what, about))

    def run(self) -> Outcome:
        """Until the root's value is there."""
        missing = set(self.work.roots)
        if self.cluster.failures > 0.0:
            self._post(self._until_failure(), "fail", None)
        for _ in range(JOBS_PER_THREAD * self.cluster.workers):
            if not self._start_next(0.0):
                break
        now = 0.0
        while missing:
            now, _, what, about = heapq.heappop(self._events)
            if what == "fail":
                self._fail(now)
            elif what == "ready":
                self._begin(now, about)
            elif self._running.get(about.worker) is about:
                self._end(now, about)
                missing.discard(about.node)
        rows = sum(self._rows[root] for root in self.work.roots)
        return Outcome(now, self._leaves_end, self._busy, self._tasks, self._lost, self._failed, rows)

    def _until_failure(self) -> float:
        return float(self._rng.exponential(3600.0 / (self.cluster.failures * len(self._cards))))

    def _start_next(self, now: float) -> bool:
        """Hand out what is ready: merges first, then what was lost, then the next leaves."""
        if self._again:
            node, merge = self._again.pop()
        elif self._next < len(self.work.rows):
            node, merge = Node(self._next, min(self._next + self._together, len(self.work.rows))), False
            self._next = node.hi
            self._tasks_of.add(node)
        else:
            return False
        shared = merge and node.hi - node.lo > self._apart
        tasks = len(self.work.shares) if shared else 1
        self._manager = max(self._manager, now) + tasks * self.costs.task
        self._busy += tasks * self.costs.task
        self._tasks += tasks
        seconds = max(self.work.groups(node)) if shared else self.work.merge[node] if merge else self.work.spent[node]
        homes = [self._values.get(child, 0) for child in node.children] if merge else []
        worker = min(homes, key=lambda w: len(self._queues[w])) if merge else self._idlest()
        job = _Job(node, seconds + self.costs.around, merge, worker)
        job.ready = self._manager + self.cluster.latency
        if merge:
            for child, home in zip(node.children, homes, strict=True):
                if home != worker:
                    job.ready = max(job.ready, self._transfer(job.ready, home, worker, self.work.nbytes(child)))
        self._queues[worker].append(job)
        self._count(worker)
        self._post(job.ready, "ready", worker)
        return True

    def _idlest(self) -> int:
        """The worker with the fewest jobs; outdated counts are passed over."""
        while self._counts[0][0] != len(self._queues[self._counts[0][1]]):
            heapq.heappop(self._counts)
        return self._counts[0][1]

    def _count(self, worker: int) -> None:
        heapq.heappush(self._counts, (len(self._queues[worker]), worker))

    def _transfer(self, now: float, source: int, target: int, nbytes: float) -> float:
        """When bytes have arrived: cards carry one transfer after the other, within a node they are not needed."""
        a, b = source // self.cluster.per_node, target // self.cluster.per_node
        own = now + nbytes / self.costs.dask
        if a == b:
            return own
        begun = max(now, self._cards[a], self._cards[b])
        self._cards[a] = self._cards[b] = begun + nbytes / self.cluster.network
        return max(own, self._cards[a]) + self.cluster.latency

    def _begin(self, now: float, worker: int) -> None:
        if worker in self._running:
            return
        ready = [job for job in self._queues[worker] if job.ready <= now]
        if ready:
            job = max(ready, key=lambda j: (j.merge, -j.ready))
            self._running[worker], job.begun = job, now
            self._post(now + job.seconds, "end", job)

    def _end(self, now: float, job: _Job) -> None:
        del self._running[job.worker]
        self._queues[job.worker].remove(job)
        self._count(job.worker)
        self._values[job.node] = job.worker
        if job.merge:
            left, right = job.node.children
            del self._values[left], self._values[right]
            self._rows[job.node] = self._rows.pop(left) + self._rows.pop(right)
        else:
            self._rows[job.node] = int(self.work.before[job.node.hi] - self.work.before[job.node.lo])
            self._leaves_end = now
        parent = self.work.parents.get(job.node)
        if parent is not None and all(child in self._values for child in parent.children):
            self._again.append((parent, True))
        self._start_next(now + self.cluster.latency)
        self._begin(now, job.worker)

    def _fail(self, now: float) -> None:
        """A node dies and comes back at once: what it had is made again, from the leaves on."""
        self._failed += 1
        self._post(now + self._until_failure(), "fail", None)
        first = int(self._rng.integers(len(self._cards))) * self.cluster.per_node
        dead = range(first, min(first + self.cluster.per_node, self.cluster.workers))
        jobs = []
        for worker in dead:
            job = self._running.pop(worker, None)
            self._lost += 0.0 if job is None else now - job.begun
            jobs += self._queues[worker]
            self._queues[worker] = []
            self._count(worker)
        # merges that run elsewhere have fetched their values
        for job in self._running.values():
            self._values.update(dict.fromkeys(job.node.children if job.merge else (), job.worker))
        # jobs elsewhere that wait for a value from here can't begin
        gone = {node for node, worker in self._values.items() if worker in dead}
        for queue in self._queues:
            for job in [j for j in queue if j.merge and j.begun < 0.0 and gone & set(j.node.children)]:
                queue.remove(job)
                self._count(job.worker)
        self._again = [(n, merge) for n, merge in self._again if not (merge and gone & set(n.children))]
        again = [(job.node, job.merge) for job in jobs if not (job.merge and gone & set(job.node.children))]
        for node in gone:
            del self._values[node], self._rows[node]
            self._lost += self.work.spent[node]
            again += [(task, False) for task in self._tasks_of if node.lo <= task.lo and task.hi <= node.hi]
        self._again = again + self._again
        while self._start_next(now) and self._flying() < JOBS_PER_THREAD * self.cluster.workers:
            pass

    def _flying(self) -> int:
        return sum(map(len, self._queues))


@dataclass(eq=False)
class Ranks:
    """One reduction under mpirun, as ``executors/mpi.py`` walks it.

    ``together``: leaves of an item. ``overlap``: a merge passes each strip of rows on as soon as it is final, and the
    rank of the right child makes it, so that levels work at the same time; ``apart``: where four ranks or more take
    part, groups are merged by ranks of their own.
    """

    work: Work | Level
    cluster: Cluster
    together: int = 1
    overlap: bool = False
    apart: bool = False
    _ends: dict[Node, NDArray[np.float64]] = field(default_factory=dict)

    def run(self) -> Outcome:
        """Until the root's value is on every rank."""
        work, cluster = self.work, self.cluster
        owners = self._owners()
        clocks = [0.0] * cluster.workers
        leaves_end = 0.0
        whole: dict[Node, float] = {}
        for node in work.nodes:
            owner = owners[node.lo]
            if node.is_leaf:
                whole[node] = clocks[owner] = clocks[owner] + work.leaf[node.lo]
                leaves_end = max(leaves_end, clocks[owner])
                continue
            left, right = node.children
            other, last = owners[right.lo], owners[node.hi - 1]
            if last == owner or not self.overlap:
                arrived = max(whole.pop(left), whole.pop(right) + (0.0 if other == owner else self._travel(right)))
                clocks[owner] = max(clocks[owner], arrived) + self._seconds(node, last - owner)
                whole[node] = clocks[owner]
            else:
                # one that has no leaves behind the node
                maker = owner if last == other else other
                whole[node] = clocks[maker] = self._strips(node, whole, clocks[maker], last - owner)
        wall = max(whole[root] for root in work.roots)
        wall += sum(self._travel(root) for root in work.roots) * math.log2(cluster.workers)
        return Outcome(wall, leaves_end, 0.0, len(work.nodes), rows=work.before[-1])

    def _owners(self) -> list[int]:
        items = [sum(self.work.leaf[lo : lo + self.together]) for lo in range(0, len(self.work.leaf), self.together)]
        owners = np.repeat(fair_runs(items, self.cluster.workers), self.together)
        return [int(owner) for owner in owners[: len(self.work.leaf)]]

    def _seconds(self, node: Node, ranks: int) -> float:
        return max(self.work.groups(node)) if self.apart and ranks >= APART else self.work.merge[node]

    def _travel(self, node: Node) -> float:
        return self.cluster.latency + self.work.nbytes(node) / min(self.work.costs.mpi, self.cluster.network)

    def _strips(self, node: Node, whole: dict[Node, float], free: float, ranks: int) -> float:
        """When a merge is done: each strip waits for the one before it and for the same strip of both children."""
        j = np.arange(STRIPS) + 0.5
        profile = j * (STRIPS - j)
        seconds = self._seconds(node, ranks) * profile / profile.sum()
        came = []
        for child in node.children:
            ends, done, travel = self._ends.pop(child, None), whole.pop(child), self._travel(child)
            # a value that is whole already goes strip by strip too
            came.append(done + travel * (j + 0.5) / STRIPS if ends is None else ends + travel / STRIPS)
        ends, at = np.empty(STRIPS), free
        for strip, ready in enumerate(np.maximum(*came).tolist()):
            at = max(at, ready) + float(seconds[strip])
            ends[strip] = at
        self._ends[node] = ends
        return at


def expected_wall(seconds: float, cluster: Cluster, restart: float, kept: Sequence[float] = ()) -> float:
    """Mean wall seconds of a job that ends when any node fails and is begun again, by 400 draws.

    ``kept`` are moments of an undisturbed run up to which nothing is done twice: finished stages, checkpoints.
    """
    rate = cluster.failures / 3600.0 * -(-cluster.workers // cluster.per_node)
    if rate == 0.0:
        return seconds
    rng, total = np.random.default_rng(cluster.seed), 0.0
    marks = [0.0, *sorted(kept)]
    for _ in range(400):
        done, wall = 0.0, 0.0
        for _ in range(1000):
            alive = float(rng.exponential(1.0 / rate))
            if done + alive >= seconds:
                wall += seconds - done
                break
            wall += alive + restart
            done = max(mark for mark in marks if mark <= done + alive)
        else:
            return math.inf
        total += wall
    return total / 400
