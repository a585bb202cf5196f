"""Callers that share an executor: their verbs are joined, and what becomes of one becomes of no other."""

from __future__ import annotations

import threading
import weakref
from functools import partial

import pytest
from executors import executor_tasks as tasks
from executors.executor_contract import TREES

from hiertl_dist.errors import InputError
from hiertl_dist.executors import SerialExecutor, TaskFailed
from hiertl_dist.executors.side_by_side import side_by_side


class Counting(SerialExecutor):
    """Notes the items of the batches of each verb."""

    def __init__(self):
        super().__init__()
        self.verbs = []

    def run_each(self, batches, ready):
        self.verbs.append(("run", [len(b.items) for b in batches]))
        super().run_each(batches, ready)

    def reduce_each(self, batches, ready):
        self.verbs.append(("reduce", [len(b.items) for b in batches]))
        super().reduce_each(batches, ready)

    def memory(self):
        return 1000


def way(runner, n=3):
    """Some steps, as those of a fit."""
    assert runner.workers == 1
    looked = runner.run(tasks.double, range(n))
    tree = runner.reduce(str, tasks.join, range(n), nbytes=100, kept=10)
    runner.once(lambda: None, what="write")
    return looked, tree, runner.run(tasks.double, [n])


def beyond(runner):
    """More steps before."""
    return runner.reduce(str, tasks.join, range(2)), runner.run(tasks.double, range(2)), way(runner)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [t for t in threading.enumerate() if t.name == "side by side"]


def test_verbs_are_joined_and_values_are_each_ones_own():
    runner, ready = Counting(), []
    values = side_by_side([partial(way, n=n) for n in (1, 2, 7)], runner, ready=lambda n, _: ready.append(n))
    assert values == [(list(range(0, 2 * n, 2)), TREES[n], [2 * n]) for n in (1, 2, 7)]
    assert runner.verbs == [("run", [1, 2, 7]), ("reduce", [1, 2, 7]), ("run", [1, 1, 1])]
    assert ready == [0, 1, 2]


def test_places_are_made_sure_of_by_the_executor(tmp_path):
    class Sharing(SerialExecutor):
        def _require_shared(self, place):
            asked.append((str(place), threading.current_thread() is threading.main_thread()))

    asked, bucket = [], "s3://bucket/rows"
    values = side_by_side([lambda own: (own.shared_folder(tmp_path), str(own.shared_place(bucket)))] * 2, Sharing())
    assert values == [(tmp_path, bucket)] * 2
    assert sorted(asked) == sorted([(str(tmp_path), True), (bucket, True)] * 2)


def test_callers_out_of_step():
    runner, ready = Counting(), []
    values = side_by_side([way, beyond, way], runner, ready=lambda n, _: ready.append(n))
    assert values == [way(SerialExecutor()), beyond(SerialExecutor()), way(SerialExecutor())]
    assert runner.verbs[:3] == [("run", [3, 3]), ("reduce", [3, 2, 3]), ("run", [1, 2, 1])]
    assert ready == [0, 2, 1]


def test_one_caller_has_the_executor_itself():
    runner = Counting()
    assert side_by_side([lambda own: own], runner) == [runner]
    assert runner.callers == 1
    assert side_by_side([lambda own: own.callers] * 2, runner) == [2, 2]
    assert side_by_side([], runner) == []


def test_a_failing_item_ends_its_caller_alone():
    def failing(runner):
        return runner.run(partial(tasks.fail_at, 1), range(3), what="look", label=str)

    runner, ready = Counting(), []
    with pytest.raises(TaskFailed, match=r"^look: 1 failed with ValueError: no good: 1"):
        side_by_side([way, failing, beyond], runner, ready=lambda n, _: ready.append(n))
    assert ready == [0, 2], "beyond wanted nothing of the verb that failed"


@pytest.mark.parametrize("memory", [None, 100])
@pytest.mark.parametrize("verb", ["run", "reduce"])
@pytest.mark.parametrize("first", [True, False])
def test_others_go_on_whichever_fails(verb, first, memory):
    """In one portion or several; what failed is not tried again."""
    tried = []

    def broken(item):
        tried.append(item)
        raise ValueError("no good")

    def ask(runner, call):
        if verb == "run":
            return runner.run(call, range(3), nbytes=100)
        return runner.reduce(call, tasks.join, range(3), nbytes=100, kept=10)

    good, bad = partial(ask, call=str), partial(ask, call=broken)
    calls, ready = [bad, good, bad, good] if first else [good, bad, good, bad], []
    with pytest.raises(TaskFailed, match="no good"):
        side_by_side(calls, SerialExecutor(), memory=memory, ready=lambda n, value: ready.append((n, value)))
    whole = ["0", "1", "2"] if verb == "run" else TREES[3]
    assert ready == [(n, whole) for n in ((1, 3) if first else (0, 2))]
    assert tried == [0, 0]


def test_what_a_caller_or_ready_raises_comes_when_others_have_ended():
    def refusing(runner):
        runner.run(tasks.double, [1])
        raise InputError("no")

    def taking(number, value):
        ready.append(number)
        if number == 0:
            raise KeyError("disk")

    ready = []
    with pytest.raises(InputError, match=r"^no$"):
        side_by_side([refusing, way], Counting(), ready=lambda n, _: ready.append(n))
    assert ready == [1]
    with pytest.raises(KeyError, match="disk"):
        side_by_side([way, way], Counting(), ready=taking)
    assert ready == [1, 0, 1]


def test_ctrl_c_ends_all(monkeypatch):
    left = []

    def tidy(runner):
        try:
            runner.run(tasks.double, [1])
            return runner.reduce(str, tasks.join, range(3))
        finally:
            left.append(threading.current_thread())

    class Interrupted(Counting):
        def reduce_each(self, batches, ready):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        side_by_side([tidy, tidy], Interrupted())
    assert len(left) == 2


def test_memory_says_how_many_at_a_time():
    def solve(runner, nbytes):
        return runner.run(tasks.double, [nbytes], what=f"solve {nbytes}", nbytes=nbytes)

    class Two(Counting):
        @property
        def workers(self):
            return 2

    for many, limit, portions in ((5, None, [2, 2, 1]), (5, 10**6, [5]), (2, 100, [1, 1])):
        runner, told = Two(), []
        calls = [partial(solve, nbytes=450)] * many
        assert side_by_side(calls, runner, memory=limit, tell=told.append) == [[900]] * many
        # of five, two are made at a time, whatever waits
        assert [len(own) for _, own in runner.verbs] == ([5] if portions == [2, 2, 1] else portions)
        assert len(told) == (len(portions) > 1 and portions != [2, 2, 1])

    def reduce(runner):
        return runner.reduce(str, tasks.join, range(3), what="reduce X", nbytes=300, kept=90)

    runner, told = Two(), []
    side_by_side([reduce] * 7, runner, tell=told.append)
    assert [len(own) for _, own in runner.verbs] == [3, 3, 1], "two workers, each 300 and twice 90 of others"
    assert told == ["reduce X: 3 portions, one after the other, for memory has no room for all at a time"]


ALIVE = weakref.WeakSet()


class Large:
    """A value that takes memory; while it is there, ``ALIVE`` has it."""

    def __init__(self, number):
        self.number = number
        ALIVE.add(self)


def test_nobody_keeps_a_value_that_its_caller_let_go_of():
    seen = []

    def shrinking(runner):
        values = runner.run(Large, range(4))
        sizes = [v.number for v in values]
        del values
        seen.append(len(ALIVE))
        (last,) = runner.run(Large, [9])
        return sizes, last.number

    assert side_by_side([shrinking] * 3, SerialExecutor()) == [([0, 1, 2, 3], 9)] * 3
    assert seen == [8, 4, 0], "of the callers that wait, all; of those that went on, none"
    assert len(ALIVE) == 0
