"""The executor under mpirun: every process runs the whole program, and each makes its share of the calls.

mpi4py is imported when an executor is made, not before: to import it starts MPI.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, TextIO

from hiertl_dist.errors import InputError, LaunchError
from hiertl_dist.executors.base import (
    Call,
    Executor,
    Fault,
    Node,
    Reporting,
    TaskFailed,
    attempt,
    fault_of,
    task_failed,
    tree,
)
from hiertl_dist.executors.launch import (
    MPIFacts,
    check_launcher,
    fatal_mismatch,
    launched_first,
    under_mpirun,
    without_mpi,
)
from hiertl_dist.executors.shares import fair_runs, fair_shares

_VALUE, _STOP = 1, 2  # tags of messages
_SECONDS_FOR_SPEAKER = 5.0
_SECONDS_FOR_LAUNCHER = 1.0


class MPIExecutor(Executor):
    """Calls shared out over the ranks of a communicator by their costs. All ranks must call each verb alike.

    A rank's items of a reduction are consecutive. A node is made by the rank that has its first item; the rank
    of the right child sends its value there and goes on with its own items. A rank with a fault tells the
    others, who start nothing more.

    With more than one rank, ``sys.excepthook`` is set so that an exception that nobody catches, on any one
    rank, is printed and ends the job (``COMM_WORLD.Abort(1)``) instead of leaving the others to wait for ever.
    SystemExit is not such an exception, and exit codes are as ever. A TaskFailed, which all ranks raise, is
    printed by one.

    Raises
    ------
    ImportError
        When mpi4py is not there.
    LaunchError
        When the launcher started several processes, but the MPI library says that this one is alone, or there is none.
    """

    name: ClassVar[str] = "mpi"

    def __init__(self, comm: Any = None) -> None:
        try:
            _check_startable()
            from mpi4py import MPI
            from mpi4py.util import pkl5
        except (ImportError, RuntimeError) as error:
            raise without_mpi(error) from error

        check_launcher(MPI.COMM_WORLD.Get_size(), MPI.Get_library_version())
        # a communicator of its own: no message of the verbs meets one of the program's
        self._comm: Any = pkl5.Intracomm((MPI.COMM_WORLD if comm is None else comm).Dup())
        self._rank: int = self._comm.Get_rank()
        super().__init__(self._comm.Get_size())
        self._nowhere: TextIO | None = None
        if MPI.COMM_WORLD.Get_size() > 1 and not isinstance(sys.excepthook, _AbortHook):
            sys.excepthook = _AbortHook(sys.excepthook, self._rank == 0, MPI.COMM_WORLD.Abort)

    def memory(self) -> int:
        """The smallest share of a rank, of what its host has to spare, times their number; alike on all ranks."""
        from mpi4py import MPI

        host = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        share = super().memory() // int(host.Get_size())
        host.Free()
        return int(min(self._comm.allgather(share))) * self.workers

    def __repr__(self) -> str:
        closed = ", closed" if self._comm is None else ""
        return f"MPIExecutor: rank {self._rank} of {self._workers}{closed}"

    def out(self) -> TextIO:
        """As ``Executor.out``: stdout on the first rank."""
        if self._rank == 0:
            return sys.stdout
        if self._nowhere is None:
            self._nowhere = open(os.devnull, "w")  # noqa: SIM115, PTH123  open until `close`
        return self._nowhere

    def close(self) -> None:
        """Free the communicator; all ranks call it."""
        self._close_nowhere()
        if self._comm is not None:
            self._comm.Free()
            self._comm = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:  # to free a communicator takes all ranks, and the others may never come here
            self._close_nowhere()

    def _close_nowhere(self) -> None:
        if self._nowhere is not None:
            self._nowhere.close()
            self._nowhere = None

    def once(self, call: Call, *, what: str) -> Any:
        """As ``Executor.once``: one rank calls, all get the value."""
        return self.run(lambda _: call(), ["it"], what=what)[0]

    def require_alike(self, digests: Callable[[], Sequence[str]], what: str) -> None:
        """As ``Executor.require_alike``: all ranks compare their digests."""
        own = digests()
        whole = hashlib.sha256("\0".join(own).encode()).hexdigest()
        reports = self._comm.allgather((len(own), whole))
        if len(set(reports)) == 1:
            return
        first = self._comm.bcast(list(own))
        pairs = enumerate(zip(first, own, strict=False))
        differs = self._comm.allgather(next((i for i, (a, b) in pairs if a != b), min(len(first), len(own))))
        ranks: dict[tuple[int, str], list[int]] = {}
        for rank, report in enumerate(reports):
            ranks.setdefault(report, []).append(rank)
        (_, like_0), *others = ranks.items()
        text = "; ".join(
            f"{_named('rank', alike)} {_has(alike)} {n}, which differ from number {differs[alike[0]] + 1} on"
            for (n, _), alike in others
        )
        raise InputError(
            f"the ranks were given different {what}: {_named('rank', like_0)} {_has(like_0)} {reports[0][0]}, {text}; "
            "each rank has to read the same files, whole and in the same order: the work is shared out afterwards"
        )

    def _agree(self, n: int) -> None:
        counts = self._comm.allgather(n)
        if len(set(counts)) > 1:
            raise InputError(f"the ranks were given different numbers of items: {counts}")

    def _run(self, task: Call, items: list[Any], reporting: Reporting, costs: list[float]) -> list[Any]:
        # one rank's costs: elsewhere the same estimate may differ in its last digit
        shares = fair_shares(self._comm.bcast(costs), self.workers)
        faults = _Faults(self._comm, items, reporting)
        mine = []
        with reporting.bar(len(shares[self._rank]), shown=self._rank == 0) as bar:
            for i in shares[self._rank]:
                ok, value = faults.catch(_sendable, (task, items[i]), Node(i, i + 1))
                if not ok:
                    break
                mine.append(value)
                bar.update()
        faults.settle()
        values: list[Any] = [None] * len(items)
        for share, theirs in zip(shares, self._comm.allgather(mine), strict=True):
            for i, value in zip(share, theirs, strict=True):
                values[i] = value
        return values

    def _reduce(self, leaf: Call, merge: Call, items: list[Any], reporting: Reporting, costs: list[float]) -> Any:
        faults = _Faults(self._comm, items, reporting)
        owners = fair_runs(self._comm.bcast(costs), self.workers)
        walk = _Walk(self._comm, faults, leaf, merge, items, owners)
        with reporting.bar(owners.count(self._rank), shown=self._rank == 0) as bar:
            for node in tree(len(items)):
                if walk.visit(node) and node.is_leaf:
                    bar.update()
        root = walk.finish()
        faults.settle()
        return self._comm.bcast(root)


def _named(what: str, numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8])) + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")
    return f"{what}{'s' * (len(numbers) > 1)} {shown}"


def _has(ranks: Sequence[int]) -> str:
    return "has" if len(ranks) == 1 else "have"


def abandon(code: int) -> None:
    """End the whole job with an exit code if this process is one of several under mpirun; else do nothing.

    For a failure outside the verbs, which other ranks may not have met: they would wait for this one for ever.
    """
    if not under_mpirun():
        return
    from mpi4py import MPI

    if MPI.COMM_WORLD.Get_size() > 1:
        _let_output_out()
        MPI.COMM_WORLD.Abort(code)


def let_first_speak() -> None:
    """On other ranks than the first under mpirun, give the first time to tell of an error and end the job.

    Most errors outside the verbs, as of an input file, are met by all ranks. A rank still there afterwards met it
    alone.
    """
    if not under_mpirun() or launched_first():
        return
    with suppress(ImportError, RuntimeError):
        from mpi4py import MPI  # noqa: F401  the first can't end a job whose ranks have not all started MPI
    time.sleep(_SECONDS_FOR_SPEAKER)


def _let_output_out() -> None:
    """Flush, and wait for the launcher to pass it on: what it has not read when a rank aborts may be lost."""
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(_SECONDS_FOR_LAUNCHER)


def _check_startable() -> None:
    """Raise LaunchError where starting MPI would end the process without a word of why."""
    import mpi4py

    if "mpi4py.MPI" in sys.modules or "OMPI_COMM_WORLD_SIZE" not in os.environ:
        return
    # the version can be asked for before MPI is started; what is started by hand is not ended by itself
    mpi4py.rc.initialize, mpi4py.rc.finalize = False, True
    from mpi4py import MPI

    mismatch = fatal_mismatch(MPI.Get_library_version())
    if mismatch is not None:
        raise LaunchError(str(mismatch.mismatch), mismatch.speaks)
    if not MPI.Is_initialized():
        MPI.Init_thread()


def _sendable(call: Call, *args: Any) -> Any:
    """Do call(*args), refused where its value can't be pickled.

    To find that out during a collective would hang the other ranks.
    """
    value = call(*args)
    pickle.dumps(value, protocol=5, buffer_callback=lambda buffer: None)
    return value


class _Faults:
    """The faults of one verb: kept here, told to the other ranks at once, and raised by all together."""

    def __init__(self, comm: Any, items: list[Any], reporting: Reporting) -> None:
        self._comm, self._items, self._reporting = comm, items, reporting
        self._rank, self._size = comm.Get_rank(), comm.Get_size()
        self._mine: list[Fault] = []
        self._stop_requests: list[Any] = []

    def catch(self, call: Call, args: tuple[Any, ...], node: Node) -> tuple[bool, Any]:
        """(True, value), or (False, None) where the call failed or nothing is to be started any more."""
        if self._mine or self._comm.Iprobe(tag=_STOP):
            return False, None
        try:
            return True, attempt(call, *args)
        except Exception as error:
            self.add(error, node)
            return False, None

    def add(self, error: Exception, node: Node) -> None:
        if not self._mine:
            others = [rank for rank in range(self._size) if rank != self._rank]
            self._stop_requests = [self._comm.Isend(b"", rank, tag=_STOP) for rank in others]
        self._mine.append(fault_of(error).named(node, self._items, self._reporting.label))

    def settle(self) -> None:
        """Collective: return on every rank, or raise the same TaskFailed on every rank."""
        from mpi4py import MPI

        by_rank: list[list[Fault]] = self._comm.allgather(self._mine)
        for rank, faults in enumerate(by_rank):
            if faults and rank != self._rank:
                self._comm.Recv(bytearray(), rank, tag=_STOP)  # left unread, it would stop the next verb
        MPI.Request.Waitall(self._stop_requests)
        if any(by_rank):
            raise task_failed(self._reporting.what, [fault for faults in by_rank for fault in faults])


class _Walk:
    """One rank's way through the tree.

    All ranks see the nodes in the same order, so messages meet without a deadlock. A rank that waits for a right child
    has no items of its own behind that node, for its items are contiguous; and one that sends does not wait. Each value
    goes with whether it is one: after a fault the messages still match.
    """

    def __init__(
        self, comm: Any, faults: _Faults, leaf: Call, merge: Call, items: list[Any], owners: list[int]
    ) -> None:
        self._comm, self._faults = comm, faults
        self._leaf, self._merge, self._items, self._owners = leaf, merge, items, owners
        self._rank = comm.Get_rank()
        self._values: dict[Node, tuple[bool, Any]] = {}
        self._sent: list[Any] = []

    def visit(self, node: Node) -> bool:
        """Do what is this rank's to do at a node; whether a value of the node was made here."""
        if self._owners[node.lo] == self._rank:
            if node.is_leaf:
                self._values[node] = self._faults.catch(self._leaf, (self._items[node.lo],), node)
            else:
                self._values[node] = self._merged(node)
            return self._values[node][0]
        if not node.is_leaf and self._owners[node.children[1].lo] == self._rank:
            self._send(node.children[1], self._owners[node.lo])
        return False

    def _merged(self, node: Node) -> tuple[bool, Any]:
        left, right = node.children
        owner = self._owners[right.lo]
        theirs = self._values.pop(right) if owner == self._rank else self._comm.recv(source=owner, tag=_VALUE)
        ours = self._values.pop(left)
        if not (ours[0] and theirs[0]):
            return False, None
        return self._faults.catch(self._merge, (ours[1], theirs[1]), node)

    def _send(self, node: Node, to: int) -> None:
        self._sent = [request for request in self._sent if not request.test()[0]]
        self._sent.append(self._comm.isend(self._checked(node), to, tag=_VALUE))

    def _checked(self, node: Node) -> tuple[bool, Any]:
        ok, value = self._values.pop(node)
        try:
            return ok, _sendable(lambda: value)
        except Exception as error:
            self._faults.add(error, node)
            return False, None

    def finish(self) -> Any:
        """Wait until what was sent is received; the value of the root, on rank 0."""
        for request in self._sent:
            request.wait()
        return self._checked(Node(0, len(self._items)))[1] if self._rank == 0 else None


@dataclass(frozen=True)
class _AbortHook:
    """Prints an exception that nobody caught and ends the job, under more than one rank."""

    former: Callable[..., Any]
    speaks: bool
    abort: Callable[[int], Any]

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        try:
            if issubclass(kind, TaskFailed) and not self.speaks:
                time.sleep(_SECONDS_FOR_SPEAKER)  # rank 0 says the same, and then ends the job
            self.former(kind, error, trace)
        except Exception:  # a hook that fails must not keep the job from ending
            traceback.print_exc()
        _let_output_out()
        self.abort(1)


# ---- for `doctor`, which looks at MPI where nothing is run


def mpi_facts(comm: Any = None) -> MPIFacts:
    """Start MPI, if it is not started, and ask it. Raises ImportError or RuntimeError where there is none."""
    from mpi4py import MPI

    # Open MPI's version ends in a null character
    library, size = MPI.Get_library_version().replace("\0", ""), MPI.COMM_WORLD.Get_size()
    try:
        check_launcher(size, library)
    except LaunchError as error:
        return MPIFacts(library, size, str(error), error.speaks)
    return MPIFacts(library, size, None, (MPI.COMM_WORLD if comm is None else comm).Get_rank() == 0)


def all_ranks(value: Any, comm: Any = None) -> list[Any]:
    """The values of all ranks, in their order. Collective."""
    from mpi4py import MPI

    values: list[Any] = (MPI.COMM_WORLD if comm is None else comm).allgather(value)
    return values
