"""The benchmark of a library that grows, in this process and on toy frames."""

from __future__ import annotations

import gzip
import importlib
import json
import sys
from pathlib import Path

import pytest
from job_files import write_extxyz
from synthetic import labelled, random_frame, random_parameters, small_basis


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("library_growth")
    for name in ("bench", "library_growth", "measure"):
        sys.modules.pop(name, None)


def test_four_blocks_by_one_command_and_nothing_else_changes(benchmark, tmp_path, monkeypatch):
    data, scratch = tmp_path / "monbtaw", tmp_path / "scratch"
    data.mkdir()
    scratch.mkdir()
    four = (*benchmark.FIRST, benchmark.NEW)
    truth = random_parameters(small_basis((3, 2, 0), four, rmin=0.9), 1)
    for number, name in enumerate(benchmark.files_of(four)):
        elements = tuple(e for e in four if e in name)
        frames = [random_frame(elements, (number, i), group=name) for i in range(8)]
        write_extxyz(tmp_path / "frames.extxyz", labelled(frames, truth))
        (data / name).write_bytes(
            gzip.compress((tmp_path / "frames.extxyz").read_bytes().replace(b"config=", b"config_type="))
        )
    monkeypatch.setattr(benchmark, "RMIN", 0.9)
    options = importlib.import_module("bench").Options(scratch, data=tmp_path, toy=True, apart=False)
    record = benchmark.BENCHMARK.record(options)
    json.dumps(record)
    three, added, anew = (r["blocks"] for r in record["rows"])
    assert len(three) == 6
    assert added == ["W", "MoW", "NbW", "TaW"]
    assert sorted(anew) == sorted([*three, *added])
    assert (record["changed"], record["files_before"], record["new_files"]) == ([], 30, 20)
    assert record["same_coefficients"]
    assert "4: W, MoW, NbW, TaW" in benchmark.BENCHMARK.text(record)
    absent = benchmark.run(importlib.import_module("bench").Options(scratch, data=scratch, toy=True, apart=False))
    assert "not measured" in benchmark.markdown(absent)
