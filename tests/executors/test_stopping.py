"""Signals that ask for an end, outside of verbs and a second time; what all executors do is in the contract."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import hiertl_dist.cli.commands
from hiertl_dist.errors import HiertlError, StoppedBySignal
from hiertl_dist.executors import InlineExecutor, Node, SerialExecutor, stopping
from hiertl_dist.executors.base import Fault
from hiertl_dist.executors.cluster_watch import Watch
from hiertl_dist.executors.pool import Crew, Done, Job, Stopped, drive
from hiertl_dist.executors.stopping import at_work, starting_deaf, stopping_on_signals
from hiertl_dist.files.locks import Waiting

reached: list[int] = []


def kill_self(name: str = "SIGUSR1") -> None:
    os.kill(os.getpid(), getattr(signal, name))


@pytest.fixture(autouse=True)
def nothing_is_left() -> object:
    before = [signal.getsignal(s) for s in stopping.STOPPING]
    reached.clear()
    yield
    assert [signal.getsignal(s) for s in stopping.STOPPING] == before
    assert stopping.stop_requested() == ""


def test_outside_of_verbs_it_stops_at_once_and_no_handler_of_exceptions_is_in_the_way() -> None:
    def careless() -> None:
        try:
            kill_self()
        except Exception:  # as where problems of an input are collected
            reached.append(1)
        reached.append(2)

    with pytest.raises(StoppedBySignal, match="SIGUSR1") as caught, stopping_on_signals():
        careless()
    assert caught.value.at_once
    assert reached == []


def test_a_second_signal_stops_at_once_but_not_one_that_came_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(i: int) -> None:
        kill_self()
        kill_self("SIGTERM")
        reached.append(i)

    for executor, at_once in ((SerialExecutor(), False), (SerialExecutor(), True), (InlineExecutor(), True)):
        reached.clear()
        monkeypatch.setattr(stopping, "SECONDS_OF_ONE_SIGNAL", 0.0 if at_once else 60.0)
        with pytest.raises(StoppedBySignal) as caught, stopping_on_signals():
            executor.run(twice, range(9))
        assert (caught.value.at_once, reached) == (at_once, [] if at_once else [0])


def test_work_that_is_complete_is_given_back_and_the_next_verb_stops() -> None:
    executor = SerialExecutor()

    def work() -> None:
        reached.append(executor.once(lambda: kill_self() or 3, what="it"))
        executor.once(lambda: reached.append(4), what="it")

    with pytest.raises(StoppedBySignal), stopping_on_signals():
        work()
    assert reached == [3]


def test_waiting_for_another_run_is_stopped(tmp_path: Path) -> None:
    with stopping_on_signals(), at_work():
        kill_self()
        with pytest.raises(StoppedBySignal):
            Waiting("a lock", tmp_path / "nobody")


def test_ignored_signals_stay_ignored_and_other_threads_are_left_alone() -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with stopping_on_signals():
            kill_self()
            assert stopping.stop_requested() == ""
    finally:
        signal.signal(signal.SIGUSR1, before)

    def other() -> None:
        with stopping_on_signals():
            reached.append(signal.getsignal(signal.SIGTERM) == before)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert reached == [True]


MASK = "import signal; print(sorted(s.name for s in signal.pthread_sigmask(signal.SIG_BLOCK, ())))"


def test_processes_that_start_do_not_hear_what_is_sent_to_all_and_this_one_hears_it_afterwards() -> None:
    def start() -> str:
        return subprocess.run([sys.executable, "-c", MASK], capture_output=True, text=True, check=True).stdout.strip()

    def start_deaf() -> None:
        with starting_deaf():
            kill_self()
            assert stopping.stop_requested() == ""
            assert start() == "['SIGTERM', 'SIGUSR1']"
        reached.append(1)

    with pytest.raises(StoppedBySignal), stopping_on_signals():
        start_deaf()
    assert reached == []
    assert start() == "[]"


class LostCrew(Crew):
    """A signal reaches all processes of a job: the worker is lost, or the whole cluster."""

    def __init__(self, name: str, cluster: bool) -> None:
        self.name, self.cluster, self.job = name, cluster, None

    def capacity(self) -> int:
        return 1

    def start(self, job: Job) -> None:
        self.job = job

    def wait(self) -> list[Done]:
        if self.name:
            stopping._request.hear(getattr(signal, self.name), None)
        if self.cluster:
            raise Stopped("no worker")
        return [Done(self.job, fault=Fault("died", "", lost=True))]

    def fetch(self, handle: object) -> object:
        return handle

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("cluster", [False, True])
def test_workers_that_the_signal_ended_are_no_fault(cluster: bool) -> None:
    jobs = [Job(Node(0, 1), 0, (), "it")]
    with pytest.raises(StoppedBySignal, match="SIGUSR1"), stopping_on_signals(), stopping.at_work():
        drive(LostCrew("SIGUSR1", cluster), iter(jobs), lambda *_: None)
    if cluster:
        with pytest.raises(Stopped):
            drive(LostCrew("", cluster), iter(jobs), lambda *_: None)
    else:
        ((_, fault),) = drive(LostCrew("", cluster), iter(jobs), lambda *_: None)
        assert fault.lost


def test_a_cluster_without_workers_is_not_waited_for_where_an_end_is_asked_for() -> None:
    watch = object.__new__(Watch)
    watch._workers, watch._worker_wait, watch._departed, watch._address = {}, 600.0, [], "tcp://there"
    assert watch._idle_for(5.0) == ""
    with stopping_on_signals(), stopping.at_work():
        kill_self()
        assert "SIGUSR1 asks for an end" in watch._idle_for(5.0)


def test_it_travels() -> None:
    error = pickle.loads(pickle.dumps(StoppedBySignal("text", True)))
    assert (str(error), error.at_once, error.EXIT_CODE) == ("text", True, os.EX_TEMPFAIL)
    assert isinstance(error, HiertlError)
    assert isinstance(error, RuntimeError)


def test_the_command_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    commands = hiertl_dist.cli.commands
    monkeypatch.setitem(commands._VERBS, "doctor", lambda _: SerialExecutor().run(lambda _: kill_self(), range(3)))
    assert commands.main(["doctor"]) == 75
    assert capsys.readouterr().err == (
        "hiertl-dist: stopped by SIGUSR1; what is complete is kept, and the same command (or call) goes on from there "
        "(tasks: 1 of 3 done)\n"
    )
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setenv("PMI_RANK", "1")
    assert commands.main(["doctor"]) == 75
    assert capsys.readouterr().err == "", "the first of all ranks tells"
