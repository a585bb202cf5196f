"""What the ranks of one verb tell each other under MPI: faults, requests to stop, and values of a reduction."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hiertl_dist.errors import HiertlError
from hiertl_dist.executors.base import Fault, attempt, fault_of, task_failed
from hiertl_dist.executors.batches import Batches, Call
from hiertl_dist.executors.stopping import stop_requested, stopped_by
from hiertl_dist.executors.trees import Node

_VALUE, _STOP = 1, 2  # tags of messages
_LONGEST_PAUSE = 0.002


def wait_until(ready: Callable[[], bool]) -> None:
    """Until something is so.

    Blocked in MPI's own code Python would hear no signal, and MPICH would take all of a core.
    """
    pause = 0.0
    while not ready():
        time.sleep(pause)
        pause = min(pause + 2e-5, _LONGEST_PAUSE)


def sendable(call: Call, *args: Any) -> Any:
    """Do call(*args), refused where its value can't be pickled.

    To find that out during a collective would hang the other ranks.
    """
    value = call(*args)
    pickle.dumps(value, protocol=5, buffer_callback=lambda buffer: None)
    return value


class Faults:
    """The faults of one verb: kept here, told to the other ranks at once, and raised by all together.

    So is the request of a signal to stop.
    """

    def __init__(self, comm: Any, batches: Batches) -> None:
        self._comm, self._batches = comm, batches
        self._rank, self._size = comm.Get_rank(), comm.Get_size()
        self._mine: list[Fault] = []
        self._signal = ""
        self._passed_over = False
        self._done = 0
        self._stop_requests: list[Any] = []

    def catch(self, call: Call, args: tuple[Any, ...], node: Node) -> tuple[bool, Any]:
        """(True, value), or (False, None) where the call failed or nothing is to be started any more."""
        self._listen()
        if self._mine or self._signal or self._comm.Iprobe(tag=_STOP):
            self._passed_over = True
            return False, None
        try:
            value = attempt(call, *args)
            self._done += 1
            return True, value
        except Exception as error:
            self.add(error, node)
            return False, None

    def add(self, error: Exception, node: Node) -> None:
        """Keep the fault of a call, and have the other ranks start nothing more."""
        self._tell_others()
        fault = fault_of(error).named(node, self._batches.name(node))
        self._mine.append(replace(fault, trace=f"on rank {self._rank} of {self._size}:\n{fault.trace}"))

    def wait(self, ready: Callable[[], bool]) -> None:
        """Until something is so; a signal that comes meanwhile is told to the other ranks, who may be busy."""

        def ready_or_told() -> bool:
            self._listen()
            return ready()

        wait_until(ready_or_told)

    def settled(self) -> HiertlError | None:
        """Collective: the same TaskFailed or StoppedBySignal on every rank, to be raised, or None."""
        from mpi4py import MPI

        self.wait(self._comm.Ibarrier().Test)
        by_rank = self._comm.allgather((self._mine, self._signal, self._passed_over, self._done))
        for rank, (faults, name, *_) in enumerate(by_rank):
            if (faults or name) and rank != self._rank:
                self._comm.Recv(bytearray(), rank, tag=_STOP)  # left unread, it would stop the next verb
        MPI.Request.Waitall(self._stop_requests)
        if faults := [fault for theirs, *_ in by_rank for fault in theirs]:
            return task_failed(self._batches, faults)
        if any(passed_over for *_, passed_over, _ in by_rank):
            how_far = self._batches.how_far(sum(done for *_, done in by_rank))
            return stopped_by(next(name for _, name, *_ in by_rank if name), how_far=how_far)
        return None

    def _listen(self) -> None:
        if not self._signal and (name := stop_requested()):
            self._tell_others()
            self._signal = name

    def _tell_others(self) -> None:
        if not (self._mine or self._signal):
            others = [rank for rank in range(self._size) if rank != self._rank]
            self._stop_requests = [self._comm.Isend(b"", rank, tag=_STOP) for rank in others]


class Walk:
    """One rank's way through the tree.

    All ranks see the nodes in the same order, so messages meet without a deadlock. A rank that waits for a right child
    has no items of its own behind that node, for its items are contiguous; and one that sends does not wait. Each value
    goes with whether it is one: after a fault the messages still match.
    """

    def __init__(self, comm: Any, faults: Faults, batches: Batches, owners: list[int]) -> None:
        self._comm, self._faults, self._batches, self._owners = comm, faults, batches, owners
        self._rank = comm.Get_rank()
        self._values: dict[Node, tuple[bool, Any]] = {}
        self._sent: list[Any] = []

    def visit(self, node: Node) -> bool:
        """Do what is this rank's to do at a node; whether a value of the node was made here."""
        if self._owners[node.lo] == self._rank:
            if node.is_leaf:
                leaf, item = self._batches.batch_of(node).call, self._batches.items[node.lo]
                self._values[node] = self._faults.catch(leaf, (item,), node)
            else:
                self._values[node] = self._merged(node)
            return self._values[node][0]
        if not node.is_leaf and self._owners[node.children[1].lo] == self._rank:
            self._send(node.children[1], self._owners[node.lo])
        return False

    def _merged(self, node: Node) -> tuple[bool, Any]:
        left, right = node.children
        owner = self._owners[right.lo]
        theirs = self._values.pop(right) if owner == self._rank else self._received(owner)
        ours = self._values.pop(left)
        if not (ours[0] and theirs[0]):
            return False, None
        merge = self._batches.batch_of(node).merge
        assert merge is not None
        return self._faults.catch(merge, (ours[1], theirs[1]), node)

    def _received(self, owner: int) -> tuple[bool, Any]:
        self._faults.wait(lambda: bool(self._comm.Iprobe(source=owner, tag=_VALUE)))
        value: tuple[bool, Any] = self._comm.recv(source=owner, tag=_VALUE)
        return value

    def _send(self, node: Node, to: int) -> None:
        self._sent = [request for request in self._sent if not request.test()[0]]
        self._sent.append(self._comm.isend(self._checked(node), to, tag=_VALUE))

    def _checked(self, node: Node) -> tuple[bool, Any]:
        ok, value = self._values.pop(node)
        try:
            return ok, sendable(lambda: value)
        except Exception as error:
            self._faults.add(error, node)
            return False, None

    def finish(self) -> dict[Node, tuple[bool, Any]]:
        """Wait until what was sent is received; the values of the roots that are here, and whether they are any."""
        for request in self._sent:
            self._faults.wait(lambda request=request: bool(request.test()[0]))  # type: ignore[misc]
        return {root: self._checked(root) for root in self._batches.roots if self._owners[root.lo] == self._rank}
