"""The benchmark of the energies' zero, at toy size: forces and stresses stay, for every regulariser and both fits."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("energy_zero")
    for name in ("bench", "energy_zero", "measure"):
        sys.modules.pop(name, None)


def test_nothing_but_energies_moves(benchmark, tmp_path, monkeypatch):
    kinds = {how["kind"]: (name, how) for name, how in benchmark.REGULARISERS.items()}
    monkeypatch.setattr(benchmark, "REGULARISERS", dict(kinds.values()))  # one of each kind
    options = importlib.import_module("bench").Options(tmp_path, data=tmp_path, toy=True, apart=False)
    record = benchmark.BENCHMARK.record(options)
    json.dumps(record)
    assert len(record["rows"]) == 2 * 2 * len(benchmark.REGULARISERS)
    for row in record["rows"]:
        assert max(row["force"], row["stress"]) < 1e-6, row
        assert row["energy"] < 1e-6
    assert "| far | all at once |" in benchmark.BENCHMARK.text(record)
