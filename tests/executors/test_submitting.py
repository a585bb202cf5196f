"""Verbs in threads of their own: what the handle says, what is raised, who is waited for."""

from __future__ import annotations

import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest
from synthetic import environment, files_below, random_frames, small_basis

import hiertl_dist
from hiertl_dist.design_matrix.assembly import assemble
from hiertl_dist.errors import InputError, LaunchError, NotDoneError, StoppedBySignal
from hiertl_dist.executors import SerialExecutor, mpi, submitting
from hiertl_dist.executors.stopping import stop_requested
from hiertl_dist.executors.submitting import Reached, Submitted, submit
from hiertl_dist.files.store_use import store_use, use_stores
from hiertl_dist.fitting.hierarchy import fit_hierarchy


@pytest.fixture(autouse=True)
def nothing_is_left() -> object:
    yield
    assert not submitting._running
    assert not submitting._failures
    assert stop_requested() == ""


class Gate:
    """A task that waits until it is let through."""

    def __init__(self) -> None:
        self.open, self.begun = threading.Event(), threading.Event()

    def __call__(self, i: int) -> int:
        self.begun.set()
        assert self.open.wait(20)
        return i


def test_it_says_how_far_it_has_come() -> None:
    gate = Gate()

    def verb(executor: SerialExecutor, tell: Any = None) -> str:
        tell("block CN: nothing frozen")
        executor.run(gate, range(4), what="assemble")
        return f"{store_use().wait}"

    heard: list[str] = []
    with use_stores(wait=7.0):
        call = submit(verb, SerialExecutor(), tell=heard.append)
    assert gate.begun.wait(20)
    reached = call.progress
    assert (reached.what, reached.done, reached.total, reached.said) == ("assemble", 0, 4, "block CN: nothing frozen")
    assert not call.done
    assert "verb: at work" in repr(call)
    assert "assemble: 0 of 4 (0%); block CN: nothing frozen; 00:0" in repr(call)
    with pytest.raises(NotDoneError, match=r"verb has not ended after 0\.01 s, and goes on: assemble: 0 of 4"):
        call.result(0.01)
    gate.open.set()
    assert call.result() == call.result(0.0) == "7.0", "what holds for the caller holds in the thread"
    assert call.lines == tuple(heard) == ("block CN: nothing frozen",)
    assert "<b>Submitted " in call._repr_html_()
    assert "verb: done" in repr(call)
    assert call.progress == call.progress, "time stands still once it has ended"
    assert str(Reached()) == "00:00 since it was submitted"


def test_what_is_raised_is_raised_again_with_its_traceback() -> None:
    def fails() -> None:
        raise KeyError("no such block")

    call = submit(fails)
    for _ in range(2):
        with pytest.raises(KeyError, match="no such block") as caught:
            call.result()
        assert [f.name for f in traceback.extract_tb(caught.value.__traceback__)][-2:] == ["_work", "fails"]
        assert len(traceback.extract_tb(caught.value.__traceback__)) == 4
    assert isinstance(call.exception(), KeyError)
    assert "fails: failed" in repr(call)
    assert "no such block" in repr(call)


def test_cancelled_while_it_waits_for_another_run(tmp_path: Path) -> None:
    from hiertl_dist.files.locks import locked

    def wait() -> None:
        with locked(tmp_path):
            raise AssertionError

    with locked(tmp_path):
        call = submit(wait)
        with pytest.raises(NotDoneError):
            call.result(0.05)
        assert call.cancel()
        assert "wait: is to stop" in repr(call)
        with pytest.raises(StoppedBySignal, match=r"cancel\(\)"):
            call.result(20)
    assert "wait: stopped" in repr(call)


def test_an_executor_that_is_left_waits_for_its_calls_or_stops_them() -> None:
    for error in (None, ZeroDivisionError):
        gate = Gate()
        threading.Timer(0.05, gate.open.set).start()
        try:
            with SerialExecutor() as runner:
                call = submit(lambda executor, gate=gate: executor.run(gate, range(3)), runner)
                assert gate.begun.wait(20)
                if error is not None:
                    raise error
        except ZeroDivisionError:
            with pytest.raises(StoppedBySignal):
                call.result(0)
        else:
            assert call.result(0) == [0, 1, 2]


def test_fits_that_are_submitted_have_the_same_bits_and_join_on_a_store(tmp_path: Path) -> None:
    basis, frames = small_basis((4, 3, 0)), random_frames({"C": 4, "N": 4, "CN": 6})
    alone = assemble(frames, basis, tmp_path / "alone", executor=SerialExecutor())
    calls = [submit(assemble, frames, basis, tmp_path / "shared", executor=SerialExecutor()) for _ in range(3)]
    fit: Submitted[hiertl_dist.HierarchyFit] = submit(fit_hierarchy, frames, basis, executor=SerialExecutor())
    done = [call.result(60) for call in calls]
    assert sum(one.computed for one in done) == alone.computed
    assert files_below(tmp_path / "shared", "blocks", "labels") == files_below(tmp_path / "alone", "blocks", "labels")
    expected = fit_hierarchy(frames, basis, executor=SerialExecutor())
    for name, own in expected.fits.items():
        theirs = fit.result(60).fits[name].solution.parameters.coefficients
        assert theirs.tobytes() == own.solution.parameters.coefficients.tobytes()
    assert fit.lines[0].startswith("block ")


def test_ranks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "under_mpirun", lambda: True)
    with pytest.raises(LaunchError, match=r"submit: all ranks under mpirun .*; call fit_hierarchy itself"):
        submit(fit_hierarchy, [], small_basis((4, 3, 0)))
    monkeypatch.undo()
    ranks = object.__new__(mpi.MPIExecutor)
    with pytest.raises(InputError, match=r"the executor 'mpi', whose ranks must .* can't be used by a submitted call"):
        submit(ranks.run, str, [1]).result()


SCRIPT = """
import sys, time, hiertl_dist
from hiertl_dist.executors import SerialExecutor
def task(i):
    print("begun", i, flush=True)
    time.sleep(0.2)
    print("ended", i, flush=True)
def fails():
    1 / 0
call = hiertl_dist.submit(SerialExecutor().run, task, range(3))
hiertl_dist.submit(fails)
time.sleep(0.1)
"""


@pytest.mark.parametrize("prompt", [False, True])
def test_at_the_end_of_a_script_calls_are_waited_for_and_of_a_session_stopped(prompt: bool) -> None:
    text = SCRIPT + "sys.ps1 = '>>> '\n" * prompt
    ended = subprocess.run(
        [sys.executable, "-c", text], env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    expected = ["begun 0", "ended 0"] if prompt else [f"{what} {i}" for i in range(3) for what in ("begun", "ended")]
    assert ended.stdout.splitlines() == expected
    how = "stopping them where a tile has ended" if prompt else "waiting for them; Ctrl-C stops them"
    assert f"1 submitted call at work (Executor.run): {how}" in ended.stderr
    assert "a submitted call has failed, and nobody has asked for its result" in ended.stderr
    assert "ZeroDivisionError" in ended.stderr
    assert ended.returncode == 0
