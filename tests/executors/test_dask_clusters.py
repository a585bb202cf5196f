"""Clusters that fail, that are elsewhere, or that want to be spoken to in another way: what is said, and how soon."""

from __future__ import annotations

import argparse
import os
import platform
import queue
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import distributed
import pytest
from distributed import Client, LocalCluster
from distributed.security import Security
from executors import executor_tasks as tasks
from job_files import write_job

from hiertl_dist.cli.command_line import parser
from hiertl_dist.cli.executor_options import dask_options as options_of
from hiertl_dist.cli.executor_options import executor_of
from hiertl_dist.errors import HiertlWarning, InputError, LaunchError, MissingFileError
from hiertl_dist.executors import (
    ClusterFailed,
    DaskOptions,
    TaskFailed,
    cluster_watch,
    dask_options,
    executor,
    shared_folders,
)
from hiertl_dist.executors.cluster_watch import Watch
from hiertl_dist.executors.dask_crew import DaskCrew
from hiertl_dist.executors.pool import Job, Stopped
from hiertl_dist.executors.shared_folders import leave_token, refusal, unseen
from hiertl_dist.executors.trees import Node
from hiertl_dist.jobs.input_file import Input

ROOT = Path(cluster_watch.__file__).parents[2]
TLS = ("tls_ca_file", "tls_cert", "tls_key")


# ---- when there is no use in waiting


def worker(status: str = "running", *, memory: int = 0, limit: int = 200 * 2**20, **counts: int) -> dict[str, Any]:
    metrics = {"memory": memory, "task_counts": counts}
    return {"status": status, "nthreads": 1, "memory_limit": limit, "host": "node7", "metrics": metrics}


class Scheduled:
    """A client as far as a watch asks it: the workers that its scheduler has, one answer after the other."""

    def __init__(self, *answers: dict[str, Any] | None) -> None:
        self.status = "running"
        self.scheduler = SimpleNamespace(address="tcp://head:8786", identity=None)
        self._answers = list(answers)

    def sync(self, identity: None, n_workers: int) -> dict[str, Any]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is None:
            raise OSError("no answer")
        return {"workers": answer}


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("BETWEEN_LOOKS", 0.01), ("OF_SILENCE", 0.3), ("OF_PAUSE", 0.1), ("OF_IDLENESS", 0.2)):
        monkeypatch.setattr(cluster_watch, f"SECONDS_{name}", seconds)


def stopped(client: Any, worker_wait: float = 0.05) -> str:
    """What a watch of a client says soon, or nothing."""
    watch = Watch(client, worker_wait)
    deadline = time.monotonic() + 0.6
    try:
        while time.monotonic() < deadline:
            watch.check()
            time.sleep(0.01)
    except Stopped as stop:
        return str(stop)
    finally:
        watch.close()
    return ""


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([{}], "there has been no worker at the dask scheduler tcp://head:8786; start some, or .*worker_wait"),
        ([{"tcp://a": worker("paused", memory=170 * 2**20)}],
         "worker tcp://a on node7 is paused, for it has 170 MiB of the 200 MiB that it may take"),
        ([{"tcp://a": worker("paused", executing=1), "tcp://b": worker()}], ""),
        ([{"tcp://a": worker(ready=2)}], r"though 1 worker is there \(1 running\): if resources are asked for"),
        ([{"tcp://a": worker(flight=1)}], ""),
        ([{f"tcp://{i}": worker()} for i in range(9)], r"[5-8] workers left meanwhile, the last tcp://[4-7] \(it may"),
        ([{"tcp://a": worker(executing=1)}, None], "has not answered for"),
    ],
)  # fmt: skip
def test_waiting_ends_with_a_reason(answers: list[dict[str, Any] | None], expected: str) -> None:
    said = stopped(Scheduled(*answers))
    if expected:
        assert re.search(expected, said), said
        assert said.endswith("goes on from there" + " once a scheduler answers" * ("not answered" in expected))
    else:
        assert said == ""


def test_a_lost_scheduler_is_told_at_once() -> None:
    client = Scheduled({})
    client.status = "connecting"
    begun = time.monotonic()
    assert "the connection to the dask scheduler tcp://head:8786 broke" in stopped(client)
    assert time.monotonic() - begun < 0.5


def test_a_scheduler_that_is_cut_off_while_it_is_asked(threads: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    made = executor("dask", client=threads)

    def broken(*_: Any, **__: Any) -> Any:
        raise OSError("in <TCP (closed)>: stream is closed")

    for name, asked in (("nthreads", lambda: made.workers), ("scheduler_info", made.memory)):
        with monkeypatch.context() as patch:
            patch.setattr(threads, name, broken)
            with pytest.raises(ClusterFailed, match=r"can't be asked\. With a scheduler.*goes on from there \(OSError"):
                asked()


class Future:
    """A future whose worker was lost with the value, once dask had said that it was there."""

    key = "a-0-1"
    lost = True

    @property
    def status(self) -> str:
        return "lost" if self.lost else "finished"

    def add_done_callback(self, call: Any) -> None:
        self.lost = False
        call(self)


def test_a_value_that_is_lost_before_it_is_looked_at_is_waited_for() -> None:
    """It was taken for a failure: "failed with NoneType: None"."""
    crew = DaskCrew.__new__(DaskCrew)
    job, future = Job(Node(0, 1), 0, (), "a"), Future()
    vars(crew).update(
        _flying={future.key: (job, future)}, _ended=queue.SimpleQueue(), _watch=SimpleNamespace(progress=lambda: None)
    )
    crew._ended.put(future.key)
    (done,) = crew.wait()
    assert done.fault is None
    assert done.handle is future


# ---- folders


def test_a_folder_is_known_by_what_is_left_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "new" / "store"
    token = leave_token(store)
    assert (token.wanted, token.place) == (store, tmp_path)
    assert unseen(token) == ""
    assert unseen(replace(token, place=tmp_path / "x"), seconds=0.0) == f"there is no folder {tmp_path / 'x'}"
    (tmp_path / "other").mkdir()
    assert unseen(replace(token, place=tmp_path / "other"), seconds=0.0) == "that folder is another one"
    left = tmp_path / token.name.replace(platform.node(), "elsewhere")
    left.touch()  # by a process that was killed, so that it is not locked any more
    second = leave_token(store)
    assert not left.exists()
    left.touch()
    store.mkdir(parents=True)  # as another run does
    executor("serial").shared_folder(store)
    assert not left.exists()
    assert token.is_there()
    assert unseen(token) == ""
    token.remove()
    second.remove()
    assert not list(tmp_path.glob(".lock*"))

    def refuse(*args: Any, **options: Any) -> None:
        raise PermissionError("read-only")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        unwritten = leave_token(tmp_path)
    assert (unwritten.name, unseen(unwritten)) == ("", "")
    (tmp_path / "more").touch()
    assert unseen(unwritten, seconds=0.0) == "that folder has other contents"
    said = refusal(token, {"worker a": "none", "worker b": "none", "worker c": "another"})
    assert "but worker a, worker b: none; worker c: another. Name a folder" in said


@pytest.fixture(scope="module")
def threads() -> Iterator[Client]:
    """A cluster of two workers in this process."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        yield client


def test_a_local_cluster_that_does_not_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**how: Any) -> None:
        raise RuntimeError("Nanny failed to start.") from RuntimeError("Nanny failed to start worker process")

    monkeypatch.setattr(distributed, "LocalCluster", refuse)
    with pytest.raises(ClusterFailed, match=r"of 2 workers did not start: .*start worker process; nothing has been"):
        executor("dask", workers=2)


def test_workers_that_see_another_folder_are_named(
    threads: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with executor("dask", client=threads) as made:
        assert made.shared_folder("store") == tmp_path / "store"
        assert made.run(tasks.double, [1, 2]) == [2, 4]
        assert len(list(tmp_path.glob(".lock.seen-*"))) == 1
        monkeypatch.setattr(shared_folders, "SECONDS_TO_APPEAR", 0.0)
        monkeypatch.setattr(shared_folders, "_unseen", lambda token: "that folder is another one")
        # as a worker that came later would
        with pytest.raises(
            TaskFailed, match=r"store: expected a folder that all workers see, but this worker on .* is"
        ):
            made.run(tasks.double, [1, 2])
        (tmp_path / "other").mkdir()
        with pytest.raises(
            LaunchError, match=r"but worker 0 at .*, worker 1 at .*: that folder is another one.* nothing"
        ):
            made.shared_folder(tmp_path / "other")
    assert not list(tmp_path.rglob(".lock*"))


def dask_process(folder: Path, *argv: str) -> subprocess.Popen[str]:
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [
        sys.executable,
        "-m",
        f"distributed.cli.dask_{argv[0]}",
        "--no-dashboard",
        "--host",
        "127.0.0.1",
        *argv[1:],
    ]
    return subprocess.Popen(
        command, cwd=folder, env=environ, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def test_remote_workers_and_a_scheduler_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is the caller's, though workers were started elsewhere; a killed scheduler is told soon."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with dask_process(tmp_path, "scheduler", "--port", "0") as scheduler:
        assert scheduler.stderr is not None
        lines = iter(scheduler.stderr.readline, "")
        address = next(line.split()[-1] for line in lines if "Scheduler at:" in line)
        with dask_process(
            tmp_path / "there", "worker", address, "--nthreads", "1", "--no-nanny", "--death-timeout", "30"
        ) as worker:
            try:
                with executor("dask", options=DaskOptions(scheduler=address, worker_wait=60.0)) as made:
                    assert made.client.scheduler_comm.recent_message_log.maxlen == 16
                    made.run(partial(tasks.write, made.shared_folder(Path())), range(3), what="write")
                    assert {p.name for p in Path().iterdir() if p.suffix == ""} >= {f"written-{i}" for i in range(3)}
                    assert not list((tmp_path / "there").glob("written*"))
                    scheduler.kill()
                    begun = time.monotonic()
                    with pytest.raises(
                        ClusterFailed, match=r"(wait \(in flight: |)the connection to the dask scheduler"
                    ):
                        made.run(time.sleep, [20] * 3, what="wait")
                    with pytest.raises(
                        ClusterFailed, match=rf"connection to the dask scheduler {address} broke.* is kept"
                    ):
                        made.run(str, range(3))
                    assert time.monotonic() - begun < 10
            finally:
                scheduler.kill()
                worker.kill()
                worker.communicate()
                scheduler.communicate()


# ---- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheduler": "head"}, "scheduler: expected an address such as tcp://host:8786, found 'head'"),
        ({"scheduler": "tls://head:8786"}, "scheduler: tls://head:8786: give tls_ca_file, tls_cert, tls_key"),
        ({"scheduler": "tls://head:8786", "tls_cert": Path("a")}, "found no tls_ca_file, tls_key"),
        (
            {"scheduler": "tcp://head:8786"} | dict.fromkeys(TLS, Path("a")),
            "expected tls://…, for tls_ca_file is given",
        ),
        (dict.fromkeys(TLS, Path("a")), "tls_ca_file: of use with scheduler"),
        ({"scheduler": "tcp://head:8786", "dashboard": True}, "dashboard: of a local cluster; that of scheduler tcp"),
        ({"worker_wait": 0.0}, "worker_wait: expected a number of seconds above 0, found 0.0"),
        ({"worker_wait": float("inf")}, "worker_wait: expected"),
        ({"resources": {"merge": 3}}, r"resources\.merge: expected a table"),
        ({"resources": {"merge": {"GPU": True}}}, r"resources\.merge\.GPU: expected a number above 0, found True"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DaskOptions(**options)


def test_options_are_of_dask(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="worker_wait: of a dask cluster, and of no use to the executor 'serial'"):
        executor("serial", options=DaskOptions(worker_wait=5.0))
    with pytest.raises(InputError, match="workers is for a local cluster"):
        executor("dask", workers=2, options=DaskOptions(scheduler="tcp://head:8786"))
    absent = dict(zip(TLS, (tmp_path / name for name in TLS), strict=True))
    with pytest.raises(MissingFileError, match="tls_ca_file: there is no file"):
        executor("dask", options=DaskOptions(scheduler="tls://head:8786", **absent))


def test_nobody_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_options, "SECONDS_TO_CONNECT", 0.2)
    with pytest.raises(LaunchError, match=r"no dask scheduler could be spoken to at tcp://127\.0\.0\.1:9 "):
        executor("dask", options=DaskOptions(scheduler="tcp://127.0.0.1:9"))


def test_placement(threads: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    options = DaskOptions(resources={"merge": {"MEMORY": 2}, "merge-reduce-CN": {"GPU": 1}, "assemble": {"GPU": 1}})
    assert options.of_task("merge-reduce-C") == ("merge", {"MEMORY": 2})
    assert options.of_task("merge-reduce-CN") == ("merge-reduce-CN", {"GPU": 1})
    assert options.of_task("merged") is None
    monkeypatch.setattr(cluster_watch, "SECONDS_OF_IDLENESS", 0.5)
    made = executor("dask", client=threads, options=options)
    with pytest.raises(ClusterFailed, match=r"assemble \(in flight: 0, 1\): nothing has been done for .*2 workers are"):
        made.run(tasks.double, [0, 1], what="assemble")
    with pytest.warns(HiertlWarning, match="resources: no task was called merge, merge-reduce-CN; there were assemble"):
        made.close()


def certificates(folder: Path) -> dict[str, Path]:
    """A key, and a certificate that is its own authority."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command, "-days", "2", "-subj", "/CN=test"], cwd=folder, check=True, capture_output=True)
    return {"tls_ca_file": folder / "cert.pem", "tls_cert": folder / "cert.pem", "tls_key": folder / "key.pem"}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes certificates, is not here")
def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = certificates(tmp_path)
    names = {f"tls_{role}_{what}": str(files[f"tls_{what}"])
             for role in ("scheduler", "worker", "client") for what in ("cert", "key")}  # fmt: skip
    security = Security(tls_ca_file=str(files["tls_ca_file"]), require_encryption=True, **names)
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tls", host="127.0.0.1", security=security,
        dashboard_address=None, scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
    ) as cluster:  # fmt: skip
        address = cluster.scheduler_address
        with executor("dask", options=DaskOptions(scheduler=address, **files)) as made:
            assert made.run(tasks.double, range(3)) == [0, 2, 4]
        monkeypatch.setattr(dask_options, "SECONDS_TO_CONNECT", 3.0)  # a scheduler with TLS lets others wait
        with pytest.raises(LaunchError, match="wants TLS: give its address as tls://…, with tls_ca_file"):
            executor("dask", options=DaskOptions(scheduler=address.replace("tls:", "tcp:")))


def test_what_is_drawn_needs_bokeh(threads: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = DaskOptions(performance_report=tmp_path / "new" / "report.html")
    if find_spec("bokeh") is not None:
        with executor("dask", client=threads, options=options) as made:
            made.run(tasks.double, range(3), what="assemble")
        assert "assemble" in (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    monkeypatch.setattr(dask_options, "find_spec", lambda name: None)
    with pytest.raises(
        ModuleNotFoundError, match=r'pip install "hiertl-dist\[dashboard\]", where the scheduler inproc'
    ):
        executor("dask", client=threads, options=options)
    with pytest.raises(ModuleNotFoundError, match="bokeh, which is not there"):
        executor("dask", workers=1, options=DaskOptions(dashboard=True))


def test_options_of_input_file_and_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of the command line go before; another executor there leaves those of the file aside, and that is said."""
    table = {"scheduler": "tls://head:8786", "worker_wait": 9, "resources": {"merge": {"GPU": 1}}}
    table |= {name: f"{name}.pem" for name in TLS}
    job = Input.from_toml(write_job(tmp_path, executor=table))
    assert job.dask == DaskOptions(
        scheduler="tls://head:8786", worker_wait=9, resources={"merge": {"GPU": 1}},
        **{name: tmp_path / f"{name}.pem" for name in TLS},
    )  # fmt: skip

    def given(*words: str) -> argparse.Namespace:
        return parser().parse_args(["fit", "input.toml", *words])

    assert options_of(given("--worker-wait", "20"), job) == replace(job.dask, worker_wait=20.0)
    assert options_of(given("--tls-key", "k.pem"), job).tls_key == Path("k.pem")
    with executor_of(given("--executor", "serial"), job) as made:
        assert made.name == "serial"
    said = capsys.readouterr().err
    assert said.startswith("note: --executor serial: [executor] scheduler, tls_ca_file, tls_cert, tls_key, worker_wait")
    with pytest.raises(InputError, match="--performance-report is of no use to --executor mpi"):
        executor_of(given("--executor", "mpi", "--performance-report", "a.html"))
    with pytest.raises(InputError, match="--workers 2 is of no use beside --scheduler"):
        executor_of(given("--workers", "2"), job)
    wrong = {"scheduler": "head", "worker_wait": "long", "dashbord": True}
    with pytest.raises(InputError) as caught:
        Input.from_toml(write_job(tmp_path, executor=wrong))
    for text in ("executor.scheduler: expected an address", "executor.worker_wait: expected a number", "'dashboard'"):
        assert text in str(caught.value)
