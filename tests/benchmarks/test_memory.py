"""The benchmark of memory, at toy size: every step of its case is projected and measured."""

from __future__ import annotations

import importlib
import json
import sys

import pytest
from benchmark_toys import BENCHMARKS, forget_benchmarks


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("memory")
    sys.modules.pop("memory", None)
    forget_benchmarks()


def test_memory_is_projected_beside_what_is_measured(benchmark, tmp_path):
    options = importlib.import_module("bench").Options(tmp_path, toy=True, apart=False)
    record = benchmark.BENCHMARK.record(options)
    json.dumps(record)
    (case,) = record["cases"].values()
    assert record["store"]["recomputed"] == 0
    for step in ("assembly", "fit"):
        assert 2**26 < record["store"][step]["measured"] < benchmark.LIMIT
    for step in benchmark.STEPS:
        assert case[step]["measured"] > 2**26
        assert case[step]["projected"] > 2**26
    (climb,) = record["probes"].values()
    assert climb["caller"] == climb["worker"], "the calling process works itself"
    assert climb["caller"]["measured"] > 2**26
    assert "| serial, toy columns |" in benchmark.BENCHMARK.text(record)
    assert "| serial, 78 columns | 78 | 440 |" in benchmark.BENCHMARK.text(record)
