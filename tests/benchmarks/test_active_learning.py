"""The benchmark of active learning runs, at toy size, and counts its wins."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("ase")


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("active_learning")
    for name in ("bench", "active_learning", "measure"):
        sys.modules.pop(name, None)


def test_every_way_goes_through_its_cycles(benchmark, tmp_path):
    options = importlib.import_module("bench").Options(tmp_path, toy=True, apart=False)
    record = benchmark.BENCHMARK.record(options)
    json.dumps(record)
    loops = record["loops"]
    assert [(own["way"], own["seed"]) for own in loops] == [("picked", 0), ("random", 0)]
    for own in loops:
        assert own["ended"].startswith("1 cycle done")
        assert own["fits"][1]["fitted"] == own["fits"][0]["fitted"] + record["sizes"]["picks"]
        assert all(0 < f["force"] <= f["worst"] for f in own["fits"])
    assert loops[0]["fits"][0] == loops[1]["fits"][0]
    assert loops[0]["fits"][1] != loops[1]["fits"][1]
    text = benchmark.BENCHMARK.text(record)
    assert "picked wins, forces" in text


def test_wins_are_counted_seed_by_seed(benchmark):
    def loop(way, seed, value):
        return {"way": way, "seed": seed, "fits": [{"force": value}]}

    loops = [loop("picked", 0, 1.0), loop("random", 0, 2.0), loop("picked", 1, 3.0), loop("random", 1, 2.0)]
    assert benchmark.wins(loops, 0, "force") == 1
