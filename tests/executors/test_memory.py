"""What executors know of memory: what there is, for how many workers it suffices, and how many values wait."""

from __future__ import annotations

import resource

import psutil
import pytest

from hiertl_dist.design_matrix import resources
from hiertl_dist.errors import ResourceError
from hiertl_dist.executors import ProcessesExecutor, SerialExecutor, executor, memory, tree
from hiertl_dist.executors.memory import available_memory, fitting, process_limit
from hiertl_dist.executors.pool import Crew, Done, Job, drive

MIB = 2**20


@pytest.mark.parametrize(
    ("needed", "base", "available", "expected"),
    [(100, 20, 400, 4), (100, 20, 399, 3), (100, 20, 239, 1), (100, 20, 100, 1), (100, 20, 99, 0), (20, 20, 79, 1)],
)
def test_fewer_workers_where_memory_is_short_and_none_where_one_does_not_fit(needed, base, available, expected):
    assert fitting(needed, base, 4, available) == expected


class Counting(Crew):
    """Ends the oldest of its jobs at each wait, and notes how many there were."""

    def __init__(self):
        self.jobs, self.most = [], 0

    def capacity(self):
        return 8

    def start(self, job):
        self.jobs.append(job)
        self.most = max(self.most, len(self.jobs))

    def wait(self):
        return [Done(self.jobs.pop(0))]

    def fetch(self, handle):
        return handle

    def __exit__(self, *_):
        pass


@pytest.mark.parametrize("most", [None, 1, 3])
def test_no_more_calls_are_in_flight_than_memory_allows(most):
    crew = Counting()
    assert not drive(crew, iter([Job(node, 0, (), "job") for node in tree(20) if node.is_leaf]), lambda *_: None, most)
    assert crew.most == (most or 8)


def test_at_most_holds_for_its_block_alone():
    with SerialExecutor() as one:
        with one.at_most(2):
            assert one._most == 2
        assert one._most is None


@pytest.mark.parametrize("n", range(1, 70))
def test_so_many_values_wait_as_are_said(n):
    stack = waiting = 0
    for node in tree(n):
        waiting = max(waiting, stack) if node.is_leaf else waiting
        stack += 1 if node.is_leaf else -1
    with SerialExecutor() as one:
        assert one.waiting(n) == waiting


def test_what_does_not_fit_names_both_numbers_and_what_is_short_is_told(monkeypatch, caplog):
    monkeypatch.setattr(resources, "process_bytes", lambda: 10 * MIB)
    with executor("processes", workers=4) as four:
        assert isinstance(four, ProcessesExecutor)
        at_once = resources.calls_at_once(100 * MIB, "assembly", executor=four, memory=250 * MIB, tell=True)
        assert at_once == 2
        assert "assembly: 2 of 4 workers work at a time, for each takes 100 MiB, and there are 250 MiB" in caplog.text
        with pytest.raises(ResourceError, match="assembly: 100 MiB of memory needed by each of 4 workers, 99"):
            resources.calls_at_once(100 * MIB, "assembly", executor=four, memory=99 * MIB)


def test_kernels_that_are_to_be_compiled_cost_the_memory_of_their_compiler(monkeypatch):
    monkeypatch.setattr(resources, "compiles_here", lambda _: False)
    monkeypatch.setattr(resources, "is_compiled", lambda _: True)
    assert resources.process_bytes() == resources.PROCESS_BYTES
    monkeypatch.setattr(resources, "is_compiled", lambda _: False)
    assert resources.process_bytes() == resources.COMPILING_BYTES


VERSIONS = {
    1: ("4:memory:/job/step\n0::/\n", "memory/job", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inact")),
    2: ("0::/job/step\n", "job", ("memory.max", "memory.current", "inact")),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_cgroup_above_this_process_bounds_what_there_is(version, tmp_path, monkeypatch):
    membership, folder, (most, used, cached) = VERSIONS[version]
    (tmp_path / "membership").write_text(membership)
    job = tmp_path / folder
    (job / "step").mkdir(parents=True)
    (job / most).write_text("1000\n")
    (job / used).write_text("700\n")
    (job / "memory.stat").write_text(f"anon 5\n{cached}ive_file 100\n")
    (job / "step" / most).write_text("max\n")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "membership")
    assert available_memory() == 400
    (job / most).write_text("max\n")
    assert available_memory() == pytest.approx(psutil.virtual_memory().available, rel=0.2)


@pytest.mark.parametrize("name", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_limits_of_the_process_are_heeded(name):
    number = getattr(resource, name)
    before = resource.getrlimit(number)
    with SerialExecutor() as one:
        try:
            resource.setrlimit(number, (2**36, before[1]))
            room = process_limit()
            assert psutil.Process().memory_info().rss < room <= 2**36
            assert one.room_for(room - 2**28, MIB, 1, 2**40) == 1
            assert one.room_for(room + 2**28, MIB, 1, 2**40) == 0
            assert "(ulimit)" in one.limits_text(MIB)
        finally:
            resource.setrlimit(number, before)


def test_no_worker_of_dask_may_take_more_than_its_limit():
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, memory_limit=1000 * MIB, dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
        executor("dask", client=client) as two,
    ):  # fmt: skip
        # dask pauses a worker at 80 %
        assert two.memory() == 800 * MIB
        assert two.room_for(400 * MIB, MIB, 2) == 2
        assert two.room_for(401 * MIB, MIB, 2, memory=2**40) == 0
        # one call may have all that its worker has, and no more, however much all workers have
        assert two.room_for(800 * MIB, MIB, 1, memory=2**40) == 1
        assert two.room_for(801 * MIB, MIB, 1, memory=2**40) == 0
        assert "take 400 MiB (of its memory_limit)" in two.limits_text(2**40)
