"""Run under mpiexec: the contract on an MPIExecutor, a report of each test from each rank to a file of the
rank."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from executors import executor_tasks as tasks
from executors.executor_contract import Contract
from mpi4py import MPI

from hiertl_dist.executors import executor

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
