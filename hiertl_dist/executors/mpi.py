"""The executor under mpirun: every process runs the whole program, and each makes its share of the calls.

mpi4py is imported when an executor is made, not before: to import it starts MPI.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, ClassVar, TextIO

from hiertl_dist.errors import InputError, LaunchError
from hiertl_dist.executors.base import Executor, Reporting
from hiertl_dist.executors.batches import Batches, Call, Ready
from hiertl_dist.executors.launch import (
    MPIFacts,
    check_launcher,
    without_mpi,
)
from hiertl_dist.executors.memory import process_limit
from hiertl_dist.executors.mpi_verbs import Faults, Walk, sendable, wait_until
from hiertl_dist.executors.shares import fair_runs, fair_shares
from hiertl_dist.executors.submitting import refuse_submitted
from hiertl_dist.executors.trees import Node, tree
from hiertl_dist.executors.uncaught import check_startable, end_job_if_uncaught


class MPIExecutor(Executor):
    """Calls shared out over the ranks of a communicator by their costs. All ranks must call each verb alike.

    A rank's items of a reduction are consecutive. A node is made by the rank that has its first item; the rank
    of the right child sends its value there and goes on with its own items. A rank with a fault tells the
    others, who start nothing more; so does one that a signal asks to stop. While ranks wait for others they hear
    signals, and leave their cores to them.

    An exception that nobody catches, on any one rank, is printed and ends the job instead of leaving the others to wait
    for ever (:mod:`~hiertl_dist.executors.uncaught`).

    Raises
    ------
    ImportError
        When mpi4py is not there.
    LaunchError
        When the launcher started several processes, but the MPI library says that this one is alone, or there is none.
    """

    name: ClassVar[str] = "mpi"
    caller_works: ClassVar[bool] = True
    overhead: ClassVar[int] = 20 * 2**20  # of the MPI library

    def __init__(self, comm: Any = None) -> None:
        try:
            check_startable()
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
        if MPI.COMM_WORLD.Get_size() > 1:
            end_job_if_uncaught(speaks=MPI.COMM_WORLD.Get_rank() == 0)

    def memory(self) -> int:
        """The smallest share of a rank, of what its host has to spare, times their number; alike on all ranks."""
        return self._least_of_hosts(shared=True) * self.workers

    def _least_of_hosts(self, *, shared: bool) -> int:
        """The least bytes that a host has to spare, for each of its ranks or for one of them; alike on all ranks."""
        from mpi4py import MPI

        host = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        ranks = int(host.Get_size()) if shared else 1
        host.Free()
        return int(min(self._comm.allgather(super().memory() // ranks)))

    def room_for(self, needed: int, base: int, wanted: int, memory: int | None = None) -> int:
        """As ``Executor.room_for``; all ranks work or none, and all come to the same. One works on one host."""
        # asked for first: all ranks have to take part, and limits of processes may differ
        if memory is None:
            memory = self._least_of_hosts(shared=False) if wanted == 1 else self.memory()
        room = super().room_for(needed, base, wanted, memory)
        return wanted if min(self._comm.allgather(room)) >= wanted else 0

    def most_of(self, size: int) -> int:
        """As ``Executor.most_of``; all ranks come to the same."""
        return int(max(self._comm.allgather(size)))

    def _least_limit(self) -> int | None:
        limits = self._comm.allgather(process_limit())
        return min((own for own in limits if own is not None), default=None)

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

    def _agree(self, n: int | list[int]) -> None:
        refuse_submitted("the executor 'mpi', whose ranks must call each verb alike and in the same order,")
        wait_until(self._comm.Ibarrier().Test)
        counts = self._comm.allgather(n)
        if any(count != counts[0] for count in counts):
            raise InputError(f"the ranks were given different numbers of items: {counts}")

    def _run(self, batches: Batches, ready: Ready) -> None:
        # one rank's costs: elsewhere the same estimate may differ in its last digit
        shares = fair_shares(self._comm.bcast(batches.costs), self.workers)
        faults = Faults(self._comm, batches)
        mine = {}
        with Reporting(batches.what, str).bar(len(shares[self._rank]), shown=self._rank == 0) as bar:
            for i in shares[self._rank]:
                node = Node(i, i + 1)
                ok, value = faults.catch(sendable, (batches.batch_of(node).call, batches.items[i]), node)
                if not ok:
                    break
                mine[i] = value
                bar.update()
        failure = faults.settled()
        if failure is None or len(batches.each) > 1:
            values = {i: value for theirs in self._comm.allgather(mine) for i, value in theirs.items()}
            for number, root in enumerate(batches.roots):
                if all(i in values for i in range(root.lo, root.hi)):
                    ready(number, [values.pop(i) for i in range(root.lo, root.hi)])
        if failure is not None:
            raise failure

    def _reduce(self, batches: Batches, ready: Ready) -> None:
        faults = Faults(self._comm, batches)
        owners = fair_runs(self._comm.bcast(batches.costs), self.workers)
        walk = Walk(self._comm, faults, batches, owners)
        with Reporting(batches.what, str).bar(owners.count(self._rank), shown=self._rank == 0) as bar:
            for root in batches.roots:
                for node in tree(root.hi - root.lo, root.lo):
                    if walk.visit(node) and node.is_leaf:
                        bar.update()
        mine = walk.finish()
        failure = faults.settled()
        if failure is None or len(batches.each) > 1:
            for number, root in enumerate(batches.roots):
                ok, value = self._comm.bcast(mine.pop(root, None), root=owners[root.lo])
                if ok:
                    ready(number, value)
        if failure is not None:
            raise failure


def _named(what: str, numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8])) + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")
    return f"{what}{'s' * (len(numbers) > 1)} {shown}"


def _has(ranks: Sequence[int]) -> str:
    return "has" if len(ranks) == 1 else "have"


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
