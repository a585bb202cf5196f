"""Claims of files: of one living process at a time, free when it is dead, whatever clocks say."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from synthetic import environment

from hiertl_dist.files import claims, paths, signatures
from hiertl_dist.files.claims import is_claimed, living, remove_partials, take_claim
from hiertl_dist.files.paths import replacing
from hiertl_dist.files.signatures import signed_by

DIE = """
import os, signal, sys
from pathlib import Path
from hiertl_dist.files.claims import take_claim
from hiertl_dist.files.paths import replacing
folder = Path(sys.argv[1])
assert take_claim(folder / "claim")
with replacing(folder / "file") as stream:
    stream.write(b"half")
    print("at work", flush=True)
    sys.stdin.readline()
"""


def test_a_claim_is_of_one_at_a_time(tmp_path):
    path = tmp_path / "folder" / "claim"
    claim = take_claim(path)
    assert (claim.after_death, is_claimed(path), take_claim(path)) == (False, True, None)
    assert f"process {os.getpid()} on " in signed_by(path)
    claim.let_go()
    assert (path.exists(), is_claimed(path)) == (False, False)
    again = take_claim(path)
    assert not again.after_death
    again.let_go()


def test_what_the_dead_have_left_is_free_and_what_the_living_have_is_not(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", DIE, str(tmp_path)], env=environment(), text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "at work\n"
        (half,) = tmp_path.glob("file.*.partial")
        for when in (1e9, 4e9):  # clocks of other hosts that go wrong by decades
            os.utime(half, (when, when))
            os.utime(tmp_path / "claim", (when, when))
            assert (take_claim(tmp_path / "claim"), remove_partials(tmp_path)) == (None, 0)
            assert list(living(tmp_path, "claim")) == [tmp_path / "claim"]
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert half.exists()
    assert not is_claimed(tmp_path / "claim")
    assert signed_by(tmp_path / "claim").endswith(signatures.ENDED)
    claim = take_claim(tmp_path / "claim")
    assert claim.after_death
    claim.let_go()
    with replacing(tmp_path / "file"):
        assert remove_partials(tmp_path) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_file_that_is_removed_while_it_is_claimed_is_claimed_anew(tmp_path, monkeypatch):
    """As by a process that ends at this moment."""
    lock, path = claims.try_lock, tmp_path / "claim"
    trials = []

    def late(descriptor, **how):
        trials.append(descriptor)
        if len(trials) == 1:
            path.unlink()
        return lock(descriptor, **how)

    monkeypatch.setattr(claims, "try_lock", late)
    claim = take_claim(path)
    assert (len(trials), is_claimed(path)) == (2, True)
    claim.let_go()


def test_a_partial_that_is_removed_before_it_is_locked_is_made_anew(tmp_path, monkeypatch):
    lock, removed = paths.try_lock, []

    def late(descriptor):
        if not removed:
            removed.append(remove_partials(tmp_path))
        return lock(descriptor)

    monkeypatch.setattr(paths, "try_lock", late)
    with replacing(tmp_path / "file") as stream:
        stream.write(b"whole")
    assert (removed, (tmp_path / "file").read_bytes(), len(list(tmp_path.iterdir()))) == ([1], b"whole", 1)


def test_a_partial_that_somebody_is_about_to_remove_is_made_anew(tmp_path, monkeypatch):
    lock, asked = paths.try_lock, []
    monkeypatch.setattr(
        paths, "try_lock", lambda descriptor: bool(asked.append(0)) or (len(asked) > 1 and lock(descriptor))
    )
    with replacing(tmp_path / "file") as stream:
        stream.write(b"whole")
    assert (len(asked), [p.name for p in tmp_path.iterdir()]) == (2, ["file"])


def test_another_process_of_the_same_number_is_another(tmp_path, monkeypatch):
    claim = take_claim(tmp_path / "claim")
    assert "ended" not in signed_by(tmp_path / "claim")
    text = (tmp_path / "claim").read_text()
    started = signatures.signature()["started"]
    (tmp_path / "claim").write_text(text.replace(str(started), str(started - 100.0)))
    assert signed_by(tmp_path / "claim").endswith(signatures.ENDED)
    claim.let_go()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")
def test_without_locks_nothing_of_others_is_removed(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(37, "No locks available")

    (tmp_path / "a.partial").touch()
    monkeypatch.setattr(claims.fcntl, "flock", none)
    begin = time.monotonic()
    with replacing(tmp_path / "file") as stream:
        stream.write(b"x")
    assert (remove_partials(tmp_path), (tmp_path / "file").read_bytes()) == (0, b"x")
    assert time.monotonic() - begin < 1


def test_who_looks_or_removes_what_the_dead_have_left_is_not_taken_for_one_that_is_at_work(tmp_path):
    path = tmp_path / "claim"
    path.write_text("of a process that died")
    descriptor = os.open(path, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_SH)  # another process looks at this moment
    assert not is_claimed(path)
    os.close(descriptor)
    removing = take_claim(path)
    threading.Timer(claims.SECONDS_BETWEEN_LOOKS, removing.let_go).start()
    assert list(living(tmp_path, "claim")) == []
