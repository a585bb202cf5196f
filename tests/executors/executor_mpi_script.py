"""Run under mpiexec: the contract on an MPIExecutor, a report of each test from each rank to a file of the
rank."""

from __future__ import annotations

import json
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from executors import executor_tasks as tasks
from executors.executor_contract import Contract
from mpi4py import MPI

from hiertl_dist.design_matrix.resources import calls_at_once
from hiertl_dist.errors import ResourceError
from hiertl_dist.executors import executor, memory, mpi

WORLD = MPI.COMM_WORLD


class MPIContract(Contract):
    def same_everywhere(self, value: Any) -> Any:
        assert all(other == value for other in WORLD.allgather(value))
        return value

    def test_only_rank_0_speaks(self, executor: Any, folder: Path) -> None:
        assert (executor.out() is sys.stdout) == (WORLD.rank == 0)

    def test_different_counts_are_refused(self, executor: Any, folder: Path) -> None:
        if WORLD.size > 1:
            with pytest.raises(ValueError, match="different numbers of items"):
                executor.run(tasks.double, range(WORLD.rank))

    def test_unsendable_values_fail_everywhere(self, executor: Any, folder: Path) -> None:
        assert "tile<1> failed with TypeError" in str(self.failure(executor.run, tasks.unsendable, range(9)))
        assert "pickle" in str(self.failure(executor.reduce, str, tasks.join_unsendable, range(9)))
        assert executor.run(tasks.double, range(9)) == list(range(0, 18, 2))

    def test_costs_that_differ_between_ranks(self, executor: Any, folder: Path) -> None:
        def cost(item: int) -> float:
            return 1.0 + (item * (WORLD.rank + 1)) % 5

        assert executor.run(tasks.double, range(9), cost=cost) == list(range(0, 18, 2))
        assert executor.reduce(str, tasks.join, range(5), cost=cost) == "(((0+1)+(2+3))+4)"

    def test_one_rank_that_is_short_of_memory_has_all_refused_alike(self, executor: Any, folder: Path) -> None:
        last = WORLD.rank == WORLD.size - 1
        most, needed = 2**31, 2**33 if last else 2**20  # as where it compiles kernels, and the others load them
        for items in (None, 1):  # each rank works, or one
            with pytest.raises(ResourceError) as refused:
                calls_at_once(needed, "reduction", executor=executor, memory=most, items=items)
            assert "8192 MiB of memory needed" in self.same_everywhere(str(refused.value))
            assert calls_at_once(2**20, "reduction", executor=executor, memory=most, items=items) >= 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mpi, "process_limit", lambda: 2**19 if last else None)
            patch.setattr(memory, "process_limit", mpi.process_limit)
            with pytest.raises(ResourceError) as refused:
                calls_at_once(2**20, "reduction", executor=executor, memory=most)
        assert "(ulimit) leave it 0 MiB" in self.same_everywhere(str(refused.value))

    def test_messages_are_split_at_what_a_count_can_say(self, executor: Any, folder: Path) -> None:
        """Of 2 GiB and more; here from 1 kB on."""
        from mpi4py.util import pkl5

        before, pkl5._bigmpi.blocksize = pkl5._bigmpi.blocksize, 1000
        try:
            arrays = executor.reduce(lambda i: [np.full(997 * (i + 1), i), bytes(5001)], lambda a, b: a + b, range(5))
            assert executor.run(lambda i: bytes([i]) * 4321, range(3)) == [bytes([i]) * 4321 for i in range(3)]
        finally:
            pkl5._bigmpi.blocksize = before
        assert [a.tolist() for a in arrays[::2]] == [[i] * (997 * (i + 1)) for i in range(5)]
        assert arrays[1::2] == [bytes(5001)] * 5

    def test_the_traceback_says_of_which_rank_it_is(self, executor: Any, folder: Path) -> None:
        failed = self.failure(executor.run, partial(tasks.fail_at, WORLD.size - 1), range(WORLD.size))
        if WORLD.rank < WORLD.size - 1:
            assert f"where it was raised:\non rank {WORLD.size - 1} of {WORLD.size}:\nTraceback" in failed.__notes__[0]
            assert "in fail_at" in failed.__notes__[0]

    def test_sub_communicator(self, executor: Any, folder: Path) -> None:
        half = WORLD.Split(WORLD.rank % 2)
        with type(executor)(half) as own:
            assert own.workers == half.size
            assert own.reduce(str, tasks.join, range(5)) == "(((0+1)+(2+3))+4)"
        half.Free()


def main(folder: Path) -> None:
    contract = MPIContract()
    path = folder / f"report-{WORLD.rank}"
    with executor("auto" if WORLD.size > 1 else "mpi") as mpi, path.open("w", buffering=1) as report:
        assert mpi.name == "mpi"
        for name in [name for name in dir(contract) if name.startswith("test_")]:
            if WORLD.rank == 0:
                (folder / name).mkdir()
            WORLD.Barrier()
            try:
                getattr(contract, name)(mpi, folder / name)
                error = ""
            except BaseException:
                error = traceback.format_exc()
            report.write(json.dumps({"test": name, "error": error}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
