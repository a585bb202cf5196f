"""The benchmark of reading runs, at toy size, and what it reports is consistent."""

from __future__ import annotations

import json
import sys

import pytest
from benchmark_toys import BENCHMARKS, forget_benchmarks

from hiertl_dist import read_frames


@pytest.fixture(scope="module")
def reading():
    """The script, as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import reading

        yield reading
    sys.modules.pop("reading", None)
    forget_benchmarks()


def test_every_way_of_every_file_is_reported(reading, tmp_path, capsys):
    words = ["--toy", "--in-process", "--out", str(tmp_path), "--peers-python", str(tmp_path / "python")]
    assert reading.main(reading.BENCHMARK, words) == 0
    record = json.loads((tmp_path / "reading.json").read_text())
    assert set(record["cases"]) == set(reading.TOY)
    assert record["absent"] == {"extxyz": f"there is no interpreter {tmp_path / 'python'}"}
    for case in record["cases"].values():
        assert {"frames", "tables", "cut into runs", "careful reader", "ase.io.read"} == set(case["ms_a_frame"])
        assert all(len(turns) == 1 for turns in case["turns"].values())
        if case["ms_a_frame"]["frames"]:
            assert case["times_slower"]["frames"] == 1.0
    printed = capsys.readouterr().out
    assert "| 32 atoms (" in printed
    assert "not measured: extxyz: there is no interpreter" in printed


def test_the_files_are_whole(reading, tmp_path):
    for name, case in reading.TOY.items():
        reading.make_file(tmp_path / "made.extxyz", case)
        frames = read_frames(tmp_path / "made.extxyz")
        assert {len(f) for f in frames} == {case.atoms}, name
        assert len(frames) == case.frames
        assert (len({f.cell.tobytes() for f in frames}) == case.frames) == case.own_cells
        assert all(f.forces is not None and f.stress is not None and f.energy is not None for f in frames)


def test_a_peer_that_fails_says_why(reading, tmp_path):
    options = reading.Options(tmp_path, toy=True, peers_python=tmp_path / "python")
    (tmp_path / "python").symlink_to(sys.executable)
    assert "No module named 'extxyz'" in reading.peer(options)
