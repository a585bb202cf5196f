"""The contract on every executor, and what only some of them promise."""

from __future__ import annotations

import gc
import io
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
from distributed import Client, LocalCluster
from distributed.scheduler import TaskGroup
from threadpoolctl import threadpool_limits

from hiertl_dist.errors import HiertlWarning, NotDoneError, StoppedBySignal
from hiertl_dist.executors import (
    DaskExecutor,
    Executor,
    InlineExecutor,
    TaskFailed,
    base,
    executor,
    progress,
    under_mpirun,
)
from hiertl_dist.executors.submitting import submit

pytest.register_assert_rewrite("executors.executor_contract")

from executors import executor_tasks as tasks  # noqa: E402
from executors.executor_contract import TREES, Contract, named  # noqa: E402

HERE = Path(__file__).parent
ROOT = Path(base.__file__).parents[2]
BESIDE = Path(sys.executable).parent / "mpiexec"
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or find_spec("mpi4py") is None, reason="mpi4py and an mpiexec are not both here"
)
TESTS_OF_MPI = [
    "test_different_counts_are_refused",
    "test_messages_are_split_at_what_a_count_can_say",
    "test_only_rank_0_speaks",
    "test_sub_communicator",
    "test_the_traceback_says_of_which_rank_it_is",
    "test_unsendable_values_fail_everywhere",
]
TESTS_OF_CONTRACT = [name for name in dir(Contract) if name.startswith("test_")]


def test_an_executor_says_what_it_is() -> None:
    """Closed too, when there is nobody left to be asked; a line, as of other objects of the package."""
    with DaskExecutor(workers=1) as dask_one, DaskExecutor(dask_one.client) as guest:
        assert re.fullmatch(
            r"DaskExecutor: a local cluster of its own, <Client: 'tcp://127.0.0.1:\d+' processes=1 threads=1, .*",
            repr(dask_one),
        )
        assert repr(guest).startswith("DaskExecutor: a cluster that was there, <Client: ")
        here = psutil.Process()
        sockets = [c for p in (here, *here.children(recursive=True)) for c in p.net_connections("inet")]
        assert {c.laddr.ip for c in sockets if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}, "nobody else's affair"
    assert repr(dask_one) == repr(guest) == "DaskExecutor: closed"
    with executor("processes", workers=2) as pool:
        assert repr(pool) == "ProcessesExecutor: 2 processes of this machine, 0 of them started"
        pool.run(str, [1])
        assert repr(pool) == "ProcessesExecutor: 2 processes of this machine, 1 of them started"
    assert repr(executor("serial")) == "SerialExecutor: every call in this process"
    assert repr(InlineExecutor()) == "InlineExecutor: every call in this process"


def test_a_local_scheduler_keeps_nothing_of_verbs_that_are_done() -> None:
    """Dask's record of spans would keep all groups of tasks; else it remembers some computations, here one."""
    with dask.config.set({"distributed.diagnostics.computations.max-history": 1}), DaskExecutor(workers=1) as one:
        for i in range(12):
            assert one.run(str, [i]) == [str(i)]
        gc.collect()
        groups = [thing for thing in gc.get_objects() if isinstance(thing, TaskGroup)]
        own = [group for group in groups if group.prefix in one.client.cluster.scheduler.task_prefixes.values()]
        assert len(own) <= 4, "of the last verb, and what is being let go"


@needs_mpi
def test_an_executor_of_ranks_says_which_one_it_is() -> None:
    program = "from hiertl_dist.executors import executor\nwith executor('mpi') as e: print(f'{e}\\n', end='')"
    done = python("-c", program, ranks=2)
    assert sorted(done.stdout.splitlines()) == [f"MPIExecutor: rank {i} of 2" for i in range(2)], done.stderr


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, **more}


def python(*args: str, ranks: int = 0, timeout: float = 60, **more: str) -> subprocess.CompletedProcess[str]:
    launcher = [str(MPIEXEC), "-n", str(ranks)] if ranks else []
    return subprocess.run(
        [*launcher, sys.executable, *args],
        env=environment(**more), capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(scope="class", params=["serial", "processes-2", "dask-2", "dask-threads"])
def every_executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    kind, _, workers = request.param.partition("-")
    if workers == "threads":
        with (
            LocalCluster(
                n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
            executor("dask", client=client) as made,
        ):  # fmt: skip
            yield made
    else:
        with executor(kind, workers=int(workers) if workers else None) as made:
            yield made


class TestContract(Contract):
    @pytest.fixture
    def executor(self, every_executor: Executor) -> Executor:
        return every_executor

    def test_one_blas_thread(self, executor: Executor, folder: Path) -> None:
        with threadpool_limits(2, user_api="blas"):  # this process has one, as all tests
            before = tasks.blas_threads(0)
            super().test_one_blas_thread(executor, folder)
            assert tasks.blas_threads(0) == before

    def test_two_submitted_at_once_and_one_that_is_cancelled(self, executor: Executor, folder: Path) -> None:
        """They share the workers; the one that is cancelled stops where a call has ended, as by a signal."""
        cancelled = submit(executor.run, partial(tasks.wait_for, folder / "go", folder), range(60), what="waiting")
        other = submit(executor.reduce, tasks.double_unevenly, tasks.larger, range(20), what="largest")
        deadline = time.monotonic() + 20
        while not list(folder.glob("begun-*")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(NotDoneError, match=r"Executor\.run has not ended after 0\.01 s, and goes"):
            cancelled.result(0.01)
        assert cancelled.cancel()
        (folder / "go").touch()
        with pytest.raises(StoppedBySignal, match=r"^stopped by cancel\(\); what is complete is kept"):
            cancelled.result(20)
        begun, ended = ({p.name.split("-")[1] for p in folder.glob(f"{what}-*")} for what in ("begun", "ended"))
        assert begun == ended, "what ran was left to finish"
        assert len(begun) < 30
        assert other.result(20) == 38
        assert (other.progress.what, other.progress.done, other.progress.total) == ("largest", 39, 39)
        assert not cancelled.cancel()
        assert executor.run(tasks.double, range(3)) == [0, 2, 4]

    def test_unsendable_value(self, executor: Executor, folder: Path) -> None:
        if executor.name == "processes":
            assert "tile<1> failed with" in str(self.failure(executor.run, tasks.unsendable, range(3)))

    def test_unsendable_item(self, executor: Executor, folder: Path) -> None:
        if executor.name != "serial":
            items = [0, threading.Lock(), 2]
            with pytest.raises(TaskFailed, match=r"lock object at .* failed with .*pickle"):
                executor.run(repr, items)


@pytest.fixture(scope="module", params=[1, 3])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each rank said of each test, from one mpiexec."""
    folder = tmp_path_factory.mktemp("mpi")
    try:
        script = str(HERE / "executor_mpi_script.py")
        said = python("-W", "error", script, str(folder), ranks=request.param).stderr
    except subprocess.TimeoutExpired as late:
        said = f"timed out: {late.stderr!r}"
    reports: dict[int, dict[str, str]] = {rank: {} for rank in range(request.param)}
    for rank, tests in reports.items():
        path = folder / f"report-{rank}"
        for line in path.read_text().splitlines() if path.exists() else []:
            tests[json.loads(line)["test"]] = json.loads(line)["error"]
    return {"ranks": reports, "stderr": said}


@needs_mpi
@pytest.mark.mpi
class TestMPI:
    @pytest.mark.parametrize("test", [*TESTS_OF_CONTRACT, *TESTS_OF_MPI])
    def test_contract(self, report: dict[str, Any], test: str) -> None:
        for rank, tests in report["ranks"].items():
            assert test in tests, f"rank {rank} did not come through it: {report['stderr']}"
            assert not tests[test], f"on rank {rank}: {tests[test]}"

    def test_uncaught_exception_ends_the_job(self) -> None:
        ended = python("-c", SCRIPT.format(body="if mpi._rank == 1: raise KeyError('boom')"), ranks=3)
        assert ended.returncode != 0
        assert "KeyError: 'boom'" in ended.stderr
        assert "done" not in ended.stdout

    @pytest.mark.parametrize("started", ["", "from mpi4py import MPI"])
    def test_an_exception_before_there_is_an_executor_ends_the_job(self, started: str) -> None:
        """The other rank would wait for this one as MPI starts, or for ever after."""
        script = f"import os, hiertl_dist\n{started}\nif os.environ['PMI_RANK'] == '1': raise KeyError('boom')\n"
        ended = python("-c", script + "hiertl_dist.executor().run(abs, [1])\nprint('done')", ranks=2)
        assert ended.returncode == 1
        assert ended.stderr.count("KeyError: 'boom'") == 1
        assert "done" not in ended.stdout

    def test_uncaught_failure_is_printed_once(self) -> None:
        ended = python("-c", SCRIPT.format(body="mpi.run(lambda i: 1 // i, [0, 1, 2])"), ranks=3)
        assert ended.returncode != 0
        assert ended.stderr.count("TaskFailed: tasks: 0 failed with ZeroDivisionError") == 1

    def test_exit_code(self) -> None:
        ended = python("-c", SCRIPT.format(body="mpi.close(); raise SystemExit(3)"), ranks=2)
        assert (ended.returncode, ended.stderr) == (3, "")

    def test_speech(self) -> None:
        ended = python("-c", SCRIPT.format(body="print('hello', file=mpi.out())"), ranks=2)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "hello\ndone\n", "")

    def test_launcher_of_another_mpi(self) -> None:
        script = "from hiertl_dist.executors import executor; executor()"
        ended = python("-c", script, OMPI_COMM_WORLD_SIZE="4", OMPI_COMM_WORLD_RANK="0")
        assert ended.returncode == 2
        # MPICH's library would end the process before it can be asked of how many it is one
        assert re.match(r"LaunchError: the launcher (started 4 processes|is Open MPI's).*\n$", ended.stderr)

    def test_workers_are_the_ranks(self) -> None:
        with pytest.raises(ValueError, match="'mpi' has 1 worker here, not 3"):
            executor("mpi", workers=3)


SCRIPT = """
from hiertl_dist.executors import executor
mpi = executor("mpi")
{body}
mpi.run(str, range(5))
print("done", file=mpi.out(), flush=True)
mpi.close()
"""


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"PMI_SIZE": "1", "PMI_RANK": "0"}, False),
        ({"PMI_SIZE": "2"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "8"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "1", "PMIX_RANK": "0"}, False),
        ({"SLURM_NTASKS": "16"}, False),  # a plain batch script
        ({"SLURM_NTASKS": "16", "PMI_RANK": "0"}, True),
        ({"SLURM_NTASKS": "16", "SLURM_STEP_NUM_TASKS": "1", "PMIX_RANK": "0"}, False),
        ({"SLURM_STEP_NUM_TASKS": "4", "PMIX_NAMESPACE": "slurm.pmix.1.0"}, True),
        ({"PMIX_RANK": "3"}, True),
        ({"MPI_LOCALNRANKS": "2"}, True),
        ({"PMI_SIZE": "nonsense"}, False),
    ],
)
def test_under_mpirun(environ: dict[str, str], expected: bool) -> None:
    assert under_mpirun(environ) is expected


class TestFactory:
    def test_unknown(self) -> None:
        with pytest.raises(ValueError, match="'threads': choose from auto, serial, processes, dask, mpi"):
            executor("threads")

    @pytest.mark.parametrize("kind", ["serial", "processes"])
    def test_misplaced(self, kind: str) -> None:
        with pytest.raises(ValueError, match="client is of no use"):
            executor(kind, client=object())
        with pytest.raises(ValueError, match="communicator is of no use"):
            executor(kind, comm=object())
        with pytest.raises(ValueError, match="workers"):
            executor(kind, workers=0)

    def test_serial_is_one_and_says_so(self) -> None:
        with pytest.warns(HiertlWarning, match="workers = 2 is of no use to the executor 'serial' and is ignored"):
            assert executor("serial", workers=2).workers == 1
        assert executor("serial", workers=1).workers == 1

    def test_auto(self) -> None:
        with executor(workers=1) as one:
            assert one.name == "serial"
        with executor(workers=2) as two:
            assert (two.name, two.workers) == ("dask", 2)
            assert executor(workers=1).name == "serial", "its own client is not made the current one"

    def test_current_client(self, cluster_of_one: LocalCluster) -> None:
        with Client(cluster_of_one) as client:
            with executor() as made:
                assert made.name == "dask"
                assert made.run(tasks.double, [1, 2]) == [2, 4]
            assert client.submit(tasks.double, 3).result() == 6, "it is left open"
            with pytest.raises(ValueError, match="workers is for a local cluster"):
                executor("dask", client=client, workers=2)

    def test_slow_imports_wait(self) -> None:
        ended = python(
            "-c",
            "import sys, hiertl_dist.executors\nprint(sorted({'mpi4py', 'distributed'} & set(sys.modules)))",
        )
        assert (ended.stdout, ended.stderr) == ("[]\n", "")


@pytest.fixture
def cluster_of_one() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
    ) as cluster:  # fmt: skip
        yield cluster


class TestLostWorkers:
    def test_process(self) -> None:
        with executor("processes", workers=2) as made:
            with pytest.raises(TaskFailed, match=r"testing: the worker that had tile<2> was lost: the proc"):
                made.run(partial(tasks.die_at, 2), range(6), label=named, what="testing")
            assert made.run(tasks.double, range(4)) == [0, 2, 4, 6]
            with pytest.raises(TaskFailed, match=r"the worker that had tile<0> was lost"):
                made.reduce(partial(tasks.die_at, 0), tasks.join, range(2), label=named)
            assert made.reduce(str, tasks.join, range(5)) == TREES[5]

    def test_processes_end_with_who_started_them(self) -> None:
        """However it ended: they would wait for work for ever."""
        script = (
            "import os, signal\nfrom functools import partial\n"
            "from hiertl_dist.executors import executor\nfrom executors import executor_tasks as tasks\n"
            "print(executor('processes', workers=1).run(partial(tasks.pid_after, 0.0), [0])[0], flush=True)\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        ended = python("-c", script)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        late = time.monotonic() + 20
        while Path(f"/proc/{ended.stdout.strip()}").exists() and time.monotonic() < late:
            time.sleep(0.05)
        assert not Path(f"/proc/{ended.stdout.strip()}").exists()

    def test_process_that_died_between_verbs(self) -> None:
        with executor("processes", workers=1) as made:
            os.kill(made.run(partial(tasks.pid_after, 0.0), [0])[0], signal.SIGKILL)
            time.sleep(0.3)
            assert made.run(tasks.double, range(4)) == [0, 2, 4, 6]

    def test_dask_gives_up(self) -> None:
        with (
            dask.config.set({"distributed.scheduler.allowed-failures": 0}),
            executor("dask", workers=2) as made,
        ):
            with pytest.raises(TaskFailed, match=r"testing: the worker that had .*tile<2>.* was lost"):
                made.run(partial(tasks.die_at, 2), range(6), label=named, what="testing")
            assert made.run(tasks.double, range(4)) == [0, 2, 4, 6]

    def test_dask_tries_again(self, tmp_path: Path) -> None:
        with executor("dask", workers=1) as made:
            # the worker takes values of the reduction, and the functions, with it
            assert made.reduce(partial(tasks.die_once, tmp_path / "died"), tasks.join, range(8)) == TREES[8]
            assert (tmp_path / "died").exists()

    def test_dask_workers_that_join(self, cluster_of_one: LocalCluster) -> None:
        with Client(cluster_of_one, set_as_default=False) as client, executor("dask", client=client) as made:
            assert made.workers == 1
            timer = threading.Timer(0.3, cluster_of_one.scale, [2])
            timer.start()
            pids = made.run(partial(tasks.pid_after, 0.1), range(60))
            timer.join()
            assert len(set(pids)) == 2
            assert made.workers == 2


@pytest.mark.parametrize("kind", ["serial", "processes", "dask"])
def test_interrupt(kind: str) -> None:
    """Ctrl-C at a terminal: the whole group of processes is told, and it is over soon, with one traceback.

    The tests may have been started in the background of a shell, which has its jobs ignore SIGINT, and children inherit
    that: here always, so that the script is known to undo it.
    """
    script = (
        "import signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from hiertl_dist.executors import executor\n"
        "if __name__ == '__main__':\n"
        f"    with executor({kind!r}, workers={1 if kind == 'serial' else 2}) as made:\n"
        "        made.run(str, range(3)); print('ready', flush=True)\n"
        "        made.run(time.sleep, [20] * 6)\n"
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", script], env=environment(), text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.5)
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=60)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode not in (0, None)
    assert said.count("KeyboardInterrupt") == 1, said


class Stream(io.StringIO):
    """A stream that is a terminal, or is not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


class TestProgress:
    def seen(
        self, monkeypatch: pytest.MonkeyPatch, *, terminal: bool, shown: bool = True, fails: bool = False,
        total: int = 3,
    ) -> str:  # fmt: skip
        stream = Stream(terminal=terminal)
        monkeypatch.setattr(sys, "stderr", stream)
        with suppress(ZeroDivisionError), base.Reporting("counting", str).bar(total, shown=shown) as bar:
            bar.update()
            time.sleep(0.25)
            if fails:
                raise ZeroDivisionError
            bar.update()
        assert not [t for t in threading.enumerate() if t.name == "progress"], "nothing is left behind"
        return stream.getvalue()

    def test_a_bar_only_where_someone_waits_and_reads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.seen(monkeypatch, terminal=True) == "", "it was over before it was worth a bar"
        monkeypatch.setattr(progress, "SECONDS_BEFORE_BAR", 0.1)
        assert "counting" in self.seen(monkeypatch, terminal=True)
        assert self.seen(monkeypatch, terminal=False) == ""
        assert self.seen(monkeypatch, terminal=True, shown=False) == ""

    def test_a_log_gets_a_line_now_and_then(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also while one item runs, and the last one where any was written: whole lines, no carriage returns."""
        assert self.seen(monkeypatch, terminal=False) == "", "it was over within a minute"
        monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.1)
        *during, last, end = self.seen(monkeypatch, terminal=False).split("\n")
        assert 1 <= len(during) <= 3
        assert all(line == "counting: 1 of 3 (33%) after 00:00, about 00:00 left" for line in during)
        assert (last, end) == ("counting: 2 of 3 (67%) after 00:00", "") or last.startswith("counting: 2 of 3 (67%)")
        assert "\r" not in last
        assert self.seen(monkeypatch, terminal=False, shown=False) == "", "another rank speaks"

    def test_where_nobody_knows_the_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.1)
        assert self.seen(monkeypatch, terminal=False, total=0).startswith("counting: 1 after 00:00\n")

    def test_what_fails_is_not_told_to_be_done(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.1)
        assert "2 of 3" not in self.seen(monkeypatch, terminal=False, fails=True)

    def test_a_log_that_is_closed_does_not_stop_the_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.05)
        stream = Stream(terminal=False)
        stream.close()
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(Stream, "isatty", lambda self: False)
        with base.Reporting("counting", str).bar(1) as bar:
            time.sleep(0.15)
            bar.update()

    def test_what_is_a_part_of_other_work_says_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.05)
        stream = Stream(terminal=False)
        monkeypatch.setattr(sys, "stderr", stream)
        serial = executor("serial")
        for item in serial.watch(["a", "b"], "letters", len):
            serial.run(lambda _: time.sleep(0.12), [item], what="inner")
        assert "letters: 1 after 00:00\n" in stream.getvalue()
        assert stream.getvalue().endswith("letters: 2 after 00:00\n")
        assert "inner" not in stream.getvalue()
        serial.run(lambda _: time.sleep(0.12), ["c"], what="inner")
        assert "inner: 1 of 1" in stream.getvalue()

    def test_no_stream_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stderr", None)
        with base.Reporting("counting", str).bar(1) as bar:
            bar.update()

    def test_a_notebook_has_its_own_bar(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[dict[str, Any]] = []

        class Bar(progress.tqdm):  # type: ignore[misc]
            def __init__(self, **options: Any) -> None:
                made.append(options)
                super().__init__(**options)

        monkeypatch.setattr(progress, "NOTEBOOK", True)
        monkeypatch.setattr(progress, "tqdm", Bar)
        self.seen(monkeypatch, terminal=False)
        assert [o["desc"] for o in made] == ["counting"]


@pytest.mark.parametrize(
    ("what", "kind", "name"),
    [("assemble", "CN", "assemble-CN"), ("reduce C+N+CN", None, "reduce-C-N-CN"), ("tasks", None, "tasks"),
     ("look at frames", "", "look-at-frames"), ("assemble", "C1 C1N", "assemble-C1-C1N"), ("→", None, "task")],
)  # fmt: skip
def test_names_of_tasks(what: str, kind: str | None, name: str) -> None:
    telling = base.Reporting(what, str, None if kind is None else lambda item: kind)
    assert telling.task_name(3) == name


def test_dask_is_told_the_verb_and_the_kind() -> None:
    """What its dashboard and its logs group tasks by: verb and block, no number among them."""
    from dask.utils import key_split

    def keys(dask_scheduler: Any) -> set[str]:
        return {str(k) for k in dask_scheduler.task_prefixes}

    with executor("dask", workers=1) as made:
        assert isinstance(made, DaskExecutor)
        made.run(tasks.double, range(3), what="assemble", kind=lambda i: ("C", "CN")[i % 2])
        made.reduce(str, tasks.join, range(3), what="reduce CN")
        prefixes = made.client.run_on_scheduler(keys)
    assert {"assemble-C", "assemble-CN", "reduce-CN", "merge-reduce-CN"} <= prefixes
    assert key_split("assemble-CN-0f3a9c1b2d4e5f60-3-4") == "assemble-CN"


def test_threads_of_one_process_share_the_limit() -> None:
    """The one that ends first must not give BLAS its threads back while another computes."""
    before = tasks.blas_threads(0)
    began, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        began.set()
        go_on.wait(10)

    first = threading.Thread(target=base.attempt, args=(hold,))
    first.start()
    began.wait(10)
    late: list[set[int]] = []

    def outlive() -> None:
        go_on.set()
        first.join()
        late.append(tasks.blas_threads(0))

    base.attempt(outlive)
    assert late == [{1}]
    assert tasks.blas_threads(0) == before
