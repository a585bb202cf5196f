"""What each executor promises. One class, run by pytest for most executors and by a script under mpiexec for
MPI.

Each test takes the executor and an empty folder that all processes see. Under MPI every rank runs the test.
"""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from executors import executor_tasks as tasks

from hiertl_dist.errors import StoppedBySignal
from hiertl_dist.executors import Executor, SerialExecutor, TaskFailed
from hiertl_dist.executors.batches import Batch
from hiertl_dist.executors.stopping import stopping_on_signals

TREES = {
    1: "0",
    2: "(0+1)",
    3: "((0+1)+2)",
    4: "((0+1)+(2+3))",
    5: "(((0+1)+(2+3))+4)",
    6: "(((0+1)+(2+3))+(4+5))",
    7: "(((0+1)+(2+3))+((4+5)+6))",
    8: "(((0+1)+(2+3))+((4+5)+(6+7)))",
    9: "((((0+1)+(2+3))+((4+5)+(6+7)))+8)",
}


def named(i: int) -> str:
    return f"tile<{i}>"


class Contract:
    def same_everywhere(self, value: Any) -> Any:
        """The value, once it is known that every calling process has it."""
        return value

    def failure(self, verb: Any, *args: Any) -> TaskFailed:
        with pytest.raises(TaskFailed) as caught:
            verb(*args, label=named, what="testing")
        self.same_everywhere(str(caught.value))
        return caught.value

    def test_order(self, executor: Executor, folder: Path) -> None:
        assert self.same_everywhere(executor.run(tasks.double, range(23))) == list(range(0, 46, 2))

    def test_one_item(self, executor: Executor, folder: Path) -> None:
        assert self.same_everywhere(executor.run(tasks.double, [4])) == [8]

    def test_once(self, executor: Executor, folder: Path) -> None:
        counted = folder / "counted"
        assert self.same_everywhere(executor.once(partial(tasks.append_a_line, counted), what="counting")) == "done"
        assert counted.read_text() == "once\n"
        with pytest.raises(TaskFailed, match="counting: it failed with ZeroDivisionError") as caught:
            executor.once(lambda: 1 // 0, what="counting")
        assert isinstance(self.same_everywhere(type(caught.value.__cause__)), type)
        assert self.same_everywhere(executor.once(lambda: 3, what="counting")) == 3

    def test_uneven(self, executor: Executor, folder: Path) -> None:
        assert executor.run(tasks.double_unevenly, range(30)) == list(range(0, 60, 2))

    def test_costs_change_no_result(self, executor: Executor, folder: Path) -> None:
        for cost in (float, lambda i: 100.0 - i, lambda i: 1000.0 * (i == 0), lambda i: 1000.0 * (i == 6)):
            found = executor.run(tasks.double, range(7), cost=cost)
            assert self.same_everywhere(found) == list(range(0, 14, 2))
            assert self.same_everywhere(executor.reduce(str, tasks.join, range(7), cost=cost)) == TREES[7]

    def test_generator_and_lambda(self, executor: Executor, folder: Path) -> None:
        assert executor.run(lambda item: item[1] + 1, ((i, i) for i in range(5))) == [1, 2, 3, 4, 5]

    def test_items_arrive_unchanged(self, executor: Executor, folder: Path) -> None:
        items = [{"a": [1, (2, "b")]}, (str, 3), [("c",)], None, np.int64(3)]
        assert executor.run(repr, items) == [repr(item) for item in items]

    def test_values_come_back_unchanged(self, executor: Executor, folder: Path) -> None:
        (found,) = executor.run(tasks.named_tuples, [3])
        assert found == {tasks.Named("a", 3): [tasks.Named("b", 4)]}
        assert all(type(key) is tasks.Named for key in found)
        merged = executor.reduce(tasks.named_tuples, tasks.join_named, [1, 2, 3])
        assert [type(key) for key in merged] == [tasks.Named] * 3

    def test_empty(self, executor: Executor, folder: Path) -> None:
        assert executor.run(tasks.double, []) == []
        with pytest.raises(ValueError, match="summing: there are no items"):
            executor.reduce(str, tasks.join, [], what="summing")

    def test_failing_item(self, executor: Executor, folder: Path) -> None:
        failed = self.failure(executor.run, partial(tasks.fail_at, 5), range(8))
        assert str(failed) == "testing: tile<5> failed with ValueError: no good: 5"
        assert isinstance(failed.__cause__, ValueError)
        assert failed.__cause__.__traceback__ is not None or "in fail_at" in failed.__notes__[0]
        assert executor.run(tasks.double, range(3)) == [0, 2, 4]

    def test_failure_that_cannot_travel(self, executor: Executor, folder: Path) -> None:
        failed = self.failure(executor.run, tasks.fail_oddly, [3])
        assert str(failed) == "testing: tile<3> failed with CustomError: 3 against 7"

    def test_leaving_is_failing(self, executor: Executor, folder: Path) -> None:
        assert "tile<1> failed with SystemExit: 3" in str(self.failure(executor.run, tasks.leave, [1]))
        assert executor.run(tasks.double, range(3)) == [0, 2, 4]

    def test_bad_label(self, executor: Executor, folder: Path) -> None:
        with pytest.raises(TaskFailed, match="tasks: 1 failed with ValueError"):
            executor.run(partial(tasks.fail_at, 1), range(2), label=lambda item: item.no_such_name)

    def test_failure_starts_nothing_more(self, executor: Executor, folder: Path) -> None:
        self.failure(executor.run, partial(tasks.fail_first, folder), range(60))
        begun = {path.name.split("-")[1] for path in folder.glob("begun-*")}
        ended = {path.name.split("-")[1] for path in folder.glob("ended-*")}
        self.same_everywhere(begun)
        assert begun - ended == {"0"}, "what ran was left to finish"
        assert len(begun) < 30, "a failure stops what has not begun"

    def test_a_signal_stops_where_a_call_has_ended(self, executor: Executor, folder: Path) -> None:
        """Under MPI one rank hears it, and all stop."""
        before = signal.getsignal(signal.SIGTERM)
        with (
            pytest.raises(
                StoppedBySignal, match=r"^stopped by SIGTERM; what is complete is kept.* \(tasks: \d+ of 60 done\)$"
            ),
            stopping_on_signals(),
        ):
            executor.run(partial(tasks.ask_to_stop, os.getpid(), folder), range(60))
        begun, ended = ({p.name.split("-")[1] for p in folder.glob(f"{what}-*")} for what in ("begun", "ended"))
        assert "2" in begun == ended, "what ran was left to finish"
        assert len(begun) < 30
        assert signal.getsignal(signal.SIGTERM) == before
        self.same_everywhere(None)
        assert executor.reduce(str, tasks.join, range(5)) == TREES[5], "what was asked for is forgotten"
        with pytest.raises(StoppedBySignal), stopping_on_signals():
            executor.reduce(partial(tasks.ask_to_stop, os.getpid(), folder), tasks.keep_left, range(60))

    def test_failing_leaf(self, executor: Executor, folder: Path) -> None:
        for bad in (0, 3, 6):
            failed = self.failure(executor.reduce, partial(tasks.fail_at, bad), tasks.join, range(7))
            assert str(failed) == f"testing: tile<{bad}> failed with ValueError: no good: {bad}"
            assert isinstance(failed.__cause__, ValueError)
        assert executor.reduce(str, tasks.join, range(7)) == TREES[7]

    def test_failing_merge(self, executor: Executor, folder: Path) -> None:
        for bad, name in (("2", "tile<2> to tile<3>"), (TREES[4], "tile<0> to tile<6>")):
            failed = self.failure(executor.reduce, str, partial(tasks.join_but, bad), range(7))
            assert f"merge of {name} failed with ArithmeticError: can't add to {bad}" in str(failed)
        assert executor.reduce(str, tasks.join, range(7)) == TREES[7]

    def test_tree(self, executor: Executor, folder: Path) -> None:
        for n, expected in TREES.items():
            assert self.same_everywhere(executor.reduce(str, tasks.join, range(n))) == expected

    def test_large_tree(self, executor: Executor, folder: Path) -> None:
        expected = SerialExecutor().reduce(str, tasks.join, range(50))
        assert executor.reduce(str, tasks.join, range(50)) == expected

    def test_several_at_once(self, executor: Executor, folder: Path) -> None:
        sizes = (3, 1, 0, 8, 2)
        values: dict[int, Any] = {}
        runs = [Batch(partial(tasks.big, 1) if n == 2 else tasks.double, range(n), cost=float) for n in sizes]
        executor.run_each(runs, values.__setitem__)
        assert self.same_everywhere(values.pop(3)) == list(range(0, 16, 2))
        assert [values[0], values[1], values[2], [v.shape for v in values[4]]] == [[0, 2, 4], [0], [], [(125_000,)] * 2]
        trees = [Batch(str, range(n), cost=float, merge=tasks.join) for n in sizes if n]
        executor.reduce_each(trees, values.__setitem__)
        assert [self.same_everywhere(values[i]) for i in range(4)] == [TREES[n] for n in sizes if n]

    def test_what_is_whole_is_handed_over_where_another_fails(self, executor: Executor, folder: Path) -> None:
        values: dict[int, Any] = {}
        trees = [
            Batch(str, range(2), "first", merge=tasks.join),
            Batch(partial(tasks.fail_at, 5), range(6), "second", named, merge=tasks.join),
        ]
        with pytest.raises(TaskFailed, match=r"^second: tile<5> failed with ValueError: no good: 5"):
            executor.reduce_each(trees, values.__setitem__)
        assert self.same_everywhere(values) in ({0: TREES[2]}, {})
        assert values or executor.workers > 1
        with pytest.raises(TaskFailed, match=r"^second: tile<5> failed"):
            executor.run_each([replace(t, merge=None) for t in trees], values.__setitem__)
        assert set(self.same_everywhere(values)) <= {0}
        assert executor.reduce(str, tasks.join, range(7)) == TREES[7]

    def test_same_bits(self, executor: Executor, folder: Path) -> None:
        serial = SerialExecutor()
        add = lambda left, right: left + right  # noqa: E731
        for leaf, merge in ((tasks.sum_of_reals, add), (tasks.triangle, tasks.merge_triangles)):
            mine, reference = (np.asarray(e.reduce(leaf, merge, range(11))) for e in (executor, serial))
            assert self.same_everywhere(mine.tobytes()) == reference.tobytes()
        assert executor.run(tasks.product, range(3)) == serial.run(tasks.product, range(3))

    def test_one_blas_thread(self, executor: Executor, folder: Path) -> None:
        assert set().union(*executor.run(tasks.blas_threads, range(6))) == {1}
        merge = lambda left, right: left | right | tasks.blas_threads(0)  # noqa: E731
        assert executor.reduce(tasks.blas_threads, merge, range(4)) == {1}

    def test_static_argument_is_sent_once(self, executor: Executor, folder: Path) -> None:
        table = tasks.Table(np.arange(2_500_000.0), folder)
        assert executor.run(partial(tasks.look_up, table), range(40)) == [float(i) for i in range(40)]
        assert len(list(folder.glob("unpickled-*"))) <= executor.workers

    def test_big_values(self, executor: Executor, folder: Path) -> None:
        results = executor.run(partial(tasks.big, 50), range(2))
        assert [(r.shape, r[0], r[-1]) for r in results] == [((6_250_000,), i, i) for i in range(2)]
        assert executor.run(len, [bytes(11 * 10**6)]) == [11 * 10**6], "a large item, of which dask would warn"
        total = executor.reduce(partial(tasks.big, 8), np.add, range(6))
        assert total.shape == (1_000_000,)
        assert (total == 15.0).all()

    def test_written_files_are_visible(self, executor: Executor, folder: Path) -> None:
        executor.run(partial(tasks.write, folder), range(9))
        assert [(folder / f"written-{i}").read_text() for i in range(9)] == [f"item {i}" for i in range(9)]

    def test_out(self, executor: Executor, folder: Path) -> None:
        assert executor.out().write("") == 0
        assert executor.out().writable()
