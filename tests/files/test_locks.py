"""Locks: one process at a time, who has one, waiting told once, and file systems that have none."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time

import filelock
import pytest
from job_files import ORDERS, job_frames, write_job
from synthetic import environment, small_basis

from hiertl_dist.cli import commands as cli
from hiertl_dist.cli import health
from hiertl_dist.cli.doctor import look
from hiertl_dist.errors import HiertlError, LockError, StoppedBySignal, StoreError
from hiertl_dist.files import locks
from hiertl_dist.files.locks import HOLDER, holder, lock_trouble, locked
from hiertl_dist.files.store_use import use_stores
from hiertl_dist.fitting.summary_store import SummaryStore

HOLD = """
import sys
from pathlib import Path
from hiertl_dist.files.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def held(tmp_path):
    """A folder whose lock another process holds until it is told to end."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], env=environment(), text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "held\n"
        yield tmp_path, process
        process.kill()


def test_who_waits_for_a_folder_that_gets_another_name_waits_for_the_new_one(tmp_path):
    """The store that is renamed while somebody waits for it is not what that one then works on."""
    folder, fresh, inside = tmp_path / "store", tmp_path / "fresh", []
    for place in (folder, fresh):
        place.mkdir()
    (fresh / "new").touch()

    def work():
        with locked(folder):
            inside.append((folder / "new").exists())

    with locked(folder):
        waiting = threading.Thread(target=work)
        waiting.start()
        time.sleep(0.1)
        folder.rename(tmp_path / "store.old")
        fresh.rename(folder)
    waiting.join(20)
    assert inside == [True]


def test_the_lock_is_of_one_at_a_time(tmp_path):
    inside, most = [], []

    def work():
        for _ in range(5):
            with locked(tmp_path):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.002)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert max(most) == 1
    assert not (tmp_path / HOLDER).exists()


def test_who_has_it_is_told_once(held, caplog, monkeypatch):
    folder, process = held
    monkeypatch.setattr(locks, "SAY_AFTER", (0.1, 60.0))
    threading.Timer(0.5, lambda: (process.stdin.write("\n"), process.stdin.flush())).start()
    with caplog.at_level(logging.WARNING, "hiertl_dist"), locked(folder):
        assert json.loads((folder / HOLDER).read_text())["pid"] == os.getpid()
    (said,) = caplog.messages
    who = rf"process {process.pid} on \S+ since \d{{4}}-\d\d-\d\d \S+ \(-c \S+\)"
    assert re.fullmatch(rf"waiting for the lock {folder}/\.lock \(0 s\), which is with {who}", said)


@pytest.mark.parametrize("wait", [0, 0.3])
def test_a_limit_on_waiting(held, wait):
    folder, process = held
    text = (
        rf"the lock {folder}/\.lock is with process {process.pid} on \S+ since .* waits no longer.* without --no-wait"
    )
    begin = time.monotonic()
    with use_stores(wait=wait), pytest.raises(LockError, match=text), locked(folder):
        pass
    assert wait <= time.monotonic() - begin < wait + 1
    assert json.loads((folder / HOLDER).read_text())["pid"] == process.pid, "the holder's own word is left alone"


def test_waiting_ends_where_somebody_asks_for_an_end(held, monkeypatch):
    def stop():
        raise StoppedBySignal("stopped by SIGUSR1")

    monkeypatch.setattr(locks, "_asked_while_waiting", [stop])
    with pytest.raises(StoppedBySignal), locked(held[0]):
        pass


def test_a_holder_that_died_holds_nothing(held, caplog):
    folder, process = held
    process.kill()
    process.wait()
    assert (folder / HOLDER).exists()
    with caplog.at_level(logging.WARNING), locked(folder):
        pass
    assert caplog.messages == []
    assert not (folder / HOLDER).exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"pid": 1, "host": "h", "since": "x", "command": ""}', '{"since": 1e400}']
)
def test_what_the_holder_says_may_be_anything(tmp_path, text):
    (tmp_path / HOLDER).write_text(text)
    assert holder(tmp_path) == "another process, which has not said who it is"


def flockless(number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    return flock


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_with_advice(tmp_path, monkeypatch, number):
    monkeypatch.setattr(fcntl, "flock", flockless(number))
    assert os.strerror(number) in lock_trouble(tmp_path)
    with pytest.raises(LockError) as caught, locked(tmp_path):
        pass
    for said in (str(tmp_path), "no file locks", os.strerror(number), "[store] path", "scratch", "flock", "keep_rows"):
        assert said in str(caught.value)
    assert isinstance(caught.value, StoreError)
    assert isinstance(caught.value, HiertlError)


@pytest.mark.parametrize(
    "error", [NotImplementedError("FileSystem does not appear to support flock"), OSError(errno.ENOLCK, "No locks")],
    ids=["not implemented", "no locks"],
)  # fmt: skip
def test_every_way_in_which_filelock_says_so(tmp_path, monkeypatch, error):
    def acquire(*_, **__):
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with pytest.raises(LockError, match="no file locks"), locked(tmp_path):
        pass


def test_a_lock_that_only_seems_held(tmp_path, monkeypatch):
    """As some versions of filelock take a file system without locks."""

    def acquire(*_, **__):
        raise filelock.Timeout("x")

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    monkeypatch.setattr(fcntl, "flock", flockless(errno.ENOLCK))
    with pytest.raises(LockError, match="no file locks"), locked(tmp_path):
        pass


def test_other_errors_are_what_they_are(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), locked(tmp_path / "file"):
        pass
    assert lock_trouble(tmp_path / "none") is None


def test_the_doctor_looks_at_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert look().locks is None
    monkeypatch.setattr(locks, "lock_trouble", lambda folder: "no")
    monkeypatch.setattr("hiertl_dist.cli.doctor.lock_trouble", lambda folder: f"{folder}: no file locks")
    assert f"{tmp_path}: no file locks" in health.problems_of(look())


@pytest.mark.parametrize("verb", ["assemble", "summarise"])
def test_no_wait_of_the_command(tmp_path, capsys, verb):
    path = write_job(tmp_path, job_frames()[0], search={"folds": 2})
    store = tmp_path / "design.zarr" / small_basis(ORDERS).digest[:12]
    if verb == "summarise":
        assert cli.main(["summarise", str(path), "--json"]) == 0
        (store,) = (tmp_path / "summaries").iterdir()
        SummaryStore.open(store)
        write_job(tmp_path, job_frames(seed=3)[0] + job_frames()[0], search={"folds": 2}, store={"keep_rows": False})
    store.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store)], env=environment(), text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "held\n"
        capsys.readouterr()
        code = cli.main([verb, str(path), "--no-wait"])
        process.kill()
    assert code == 2
    assert f"is with process {process.pid} on" in capsys.readouterr().err
