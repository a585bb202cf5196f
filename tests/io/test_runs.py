"""Files cut into runs: whole frames, their numbers, what is odd, and files that change."""

from __future__ import annotations

import gzip
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiertl_dist.errors import FrameError, MissingFileError
from hiertl_dist.io.reading import Reading, parse_run
from hiertl_dist.io.runs import iter_run_bytes, iter_runs, read_run

FRAME = '2\nLattice="9 0 0 0 9 0 0 0 9" energy=-1\nC 0 0 0\nN 1.5 0 0\n'
READING = Reading("extxyz", "group", "asked")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@settings(max_examples=50, deadline=None)
@given(
    blanks=st.lists(st.sampled_from(["", "\n", " \t\n", "\n\n"]), min_size=1, max_size=12), size=st.integers(1, 400),
    returns=st.booleans(), mark=st.booleans(), last=st.booleans(), packed=st.booleans(),
)  # fmt: skip
def test_runs_are_whole_frames_with_their_numbers(folder, blanks, size, returns, mark, last, packed):
    text = "".join(blank + FRAME for blank in blanks) + "\n"
    text = text.rstrip("\n") if last else text
    data = (text.replace("\n", "\r\n") if returns else text).encode("utf-8-sig" if mark else "utf-8")
    path = folder / "a.xyz"
    path.write_bytes(gzip.compress(data) if packed else data)
    runs = list(iter_run_bytes(path, size))
    assert [run for run, _ in runs] == list(iter_runs(path, size))
    frames = 0
    for run, part in runs:
        assert not run.odd
        assert run.frame == frames + 1
        assert (run.atoms, run.packing) == (2 * run.frames, "gzip" if packed else "")
        assert part == data[run.first : run.last]
        assert run.line == data[: run.first].count(b"\n") + 1
        assert packed or part == read_run(run)
        frames += run.frames
    assert frames == len(blanks)
    assert size < len(FRAME) or len(runs) <= 2 + len(data) // (size - len(FRAME) + 1)


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "two\n", FRAME + "2\nonly\n", FRAME + "0\n\n", FRAME + "²\n", FRAME.replace("\n", "\r"),
     FRAME + "999999999999999999\n\n", FRAME + "9" * 30],
)  # fmt: skip
def test_what_is_odd_is_the_last_run(tmp_path, text):
    path = tmp_path / "a.xyz"
    path.write_bytes(text.encode())
    *before, last = iter_runs(path)
    assert (last.odd, last.frames) == (True, 0)
    assert [run.frames for run in before] == ([1] if text.startswith(FRAME) else [])
    if "\r" not in text:
        with pytest.raises(FrameError):
            parse_run(last, READING)


@pytest.mark.parametrize("rest", ["\r", "\n \r\n", "\xa0\n", "\ufeff\n"])
def test_what_is_blank_is_no_run(tmp_path, rest):
    path = tmp_path / "a.xyz"
    for data in (rest.encode(), rest.encode("latin-1", "replace").replace(b"?", b" ")):
        path.write_bytes(FRAME.encode() + data)
        (run,) = iter_runs(path, len(FRAME))
        assert (run.frames, run.last) == (1, len(FRAME))


def test_an_odd_run_may_be_blank_after_all(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_bytes((FRAME + "\r" * 200).encode())
    run, odd = iter_runs(path, len(FRAME))
    assert odd.odd
    assert [parse_run(r, READING).table is None for r in (run, odd)] == [False, True]


def test_texts_of_packed_files_come_from_the_cut(tmp_path):
    path = tmp_path / "a.xyz.gz"
    path.write_bytes(gzip.compress((FRAME * 3).encode()))
    runs = list(iter_run_bytes(path, 70))
    assert sum(len(parse_run(run, READING, text).table) for run, text in runs) == 3
    with pytest.raises(ValueError, match="expected a run of a plain file"):
        parse_run(runs[0][0], READING)


def test_lines_before_that_are_not_utf_8(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_bytes(FRAME.encode() + FRAME.replace("energy", "by=Müller energy").encode("latin-1") + FRAME.encode())
    runs = list(iter_runs(path, 1))
    assert [run.latin for run in runs] == [False, False, True]
    notes = [bool(parse_run(run, READING).table.frame(0).labels.notes) for run in runs]
    assert notes == [False, True, True]


def test_a_file_that_changes_is_refused(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(FRAME * 3)
    first, second, _ = iter_runs(path, 70)
    status = path.stat()
    assert len(parse_run(second, READING).table) == 1
    with path.open("a") as stream:
        stream.write(FRAME)
    with pytest.raises(FrameError, match=r"a\.xyz, frame 2, line 5: the file changed while it was read"):
        parse_run(second, READING)
    # of the same size and time, which some file systems tell in whole seconds
    path.write_text(FRAME.replace("2\nL", "22 L") * 3)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(FrameError, match="changed while it was read"):
        parse_run(first, READING)
    path.unlink()
    with pytest.raises(OSError, match=r"a\.xyz"):
        parse_run(first, READING)
    with pytest.raises(MissingFileError):
        next(iter_runs(path))


def test_an_odd_rest_of_a_file_that_changes_is_refused(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(FRAME + "2\n")
    *_, odd = iter_runs(path)
    path.write_text(FRAME * 2)
    with pytest.raises(FrameError, match="changed while it was read"):
        parse_run(odd, READING)
