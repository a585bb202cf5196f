"""The benchmark of priors by evidence, at toy size: what is chosen has the largest evidence, and is compared."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

SHARED = ("bench", "measure", "prior_evidence", "transfer", "transfer_curves", "transfer_fits", "transfer_models")


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("prior_evidence")
    for name in SHARED:
        sys.modules.pop(name, None)


def test_shipped_data(benchmark, tmp_path):
    options = importlib.import_module("bench").Options(tmp_path, data=tmp_path, toy=True, apart=False)
    record = json.loads(json.dumps(benchmark.run(options)))
    assert set(record["absent"]) == {"alloys"}
    (row,) = record["rows"]
    assert (row["data"], row["frames"]) == ("C/N", 5)
    for way in ("given weights", "weights by evidence"):
        assert (row[way]["nats"] > 0.0) is (row[way]["mean"] != "zero")
        assert row[way]["hot"] > 0.0
    assert row["auto"]["hot"] < row["zero"]["hot"], "probes hold"
    assert "mixed likelier" in benchmark.markdown(record)
