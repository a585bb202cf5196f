"""What a file system refuses is told with path, reason and what to do; and how stores are used goes with each call."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import stat
import sys

import pytest

from hiertl_dist.errors import DiskFullError, HiertlError, InputError, ResourceError, WriteError
from hiertl_dist.executors.base import pack
from hiertl_dist.files.json_files import write_json
from hiertl_dist.files.paths import replacing
from hiertl_dist.files.store_use import StoreUse, carried, store_use, use_stores
from hiertl_dist.files.write_errors import write_errors


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, DiskFullError, "No space left on device; without this file its disk has .* MiB free: make room"),
        (errno.EDQUOT, DiskFullError, r"Disk quota exceeded: the quota of user \d+ is used up .*quota -s"),
        (errno.EFBIG, DiskFullError, r"File too large: .*\(`ulimit -f`"),
        (errno.EROFS, WriteError, "Read-only file system: it is mounted for reading alone. Complete stores"),
        (errno.EACCES, WriteError, r"Permission denied: this process is of user \d+, .* of user \d+, with rights d"),
        (errno.EIO, WriteError, "Input/output error: its disk or file server fails"),
    ],
)
def test_every_trouble_is_told_and_the_old_file_stays(tmp_path, number, kind, words):
    path = tmp_path / "file"
    path.write_text("old")
    text = rf"^{path}: cannot be written: {words}.*the same command goes on"
    with pytest.raises(kind, match=text) as caught, replacing(path) as stream:  # noqa: PT012  it is half written
        stream.write(b"half")
        raise OSError(number, os.strerror(number))
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]
    assert isinstance(caught.value, HiertlError | OSError)
    assert isinstance(caught.value, ResourceError) == (kind is DiskFullError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), again.errno) == (kind, str(caught.value), number)


def test_troubles_of_other_files_and_other_errors_are_let_through(tmp_path):
    for error in (OSError(errno.EACCES, "no", "/elsewhere/data.xyz"), FileNotFoundError(2, "none"), ValueError("x")):
        with pytest.raises(type(error)) as caught, write_errors(tmp_path / "file"):
            raise error
        assert caught.value is error


def test_a_real_limit_on_the_size_of_files(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        with pytest.raises(DiskFullError, match="File too large"), replacing(tmp_path / "file") as stream:
            stream.write(bytes(2**20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_files_and_their_folders_are_flushed_only_where_that_is_wanted(tmp_path, monkeypatch):
    flushed, flush = [], os.fsync

    def recording(descriptor):
        mode = os.fstat(descriptor).st_mode
        name = "folder" if stat.S_ISDIR(mode) else "file"
        flushed.append((name, os.path.realpath(f"/proc/self/fd/{descriptor}") if sys.platform == "linux" else ""))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", recording)
    write_json(tmp_path / "a" / "one.json", 1)
    assert flushed == []
    with use_stores(fsync=True):
        write_json(tmp_path / "b" / "c" / "one.json", 1)
    # the new folders' names in those above them, the file before it has its name, and then that name
    assert [kind for kind, _ in flushed] == ["folder", "folder", "file", "folder"]
    if sys.platform == "linux":
        assert [path for _, path in flushed[:2]] == [str(tmp_path / "b"), str(tmp_path)]
        assert flushed[2][1].endswith(".partial")
        assert flushed[3][1] == str(tmp_path / "b" / "c")


def test_the_way_holds_inside_and_goes_with_a_call():
    with use_stores(in_use="refuse", wait=5) as outer:
        with use_stores(fsync=True):
            packed = pack(carried(store_use))
        assert store_use() == outer == StoreUse("refuse", 5, fsync=False)
    assert store_use() == StoreUse()
    assert pickle.loads(packed)() == StoreUse("refuse", 5, fsync=True)
    assert carried(store_use) is store_use


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"in_use": "share"}, r"in_use: expected one of \('join', 'refuse'\), found 'share'"),
        ({"wait": -1}, "wait: expected seconds, 0 or more, found -1"), ({"wait": float("nan")}, "wait: expected"),
        ({"wait": True}, "wait: expected"), ({"fsync": 1}, "fsync: expected True or False, found 1"),
        ({"waits": 1}, "use_stores: expected in_use, wait, fsync, found waits"),
    ],
)  # fmt: skip
def test_other_ways_are_refused(given, words):
    with pytest.raises(InputError, match=words), use_stores(**given):
        pass
