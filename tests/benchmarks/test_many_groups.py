"""The benchmark of many groups, at toy size."""

from __future__ import annotations

import importlib
import json

import pytest
from benchmark_toys import BENCHMARKS, forget_benchmarks


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("many_groups")
    forget_benchmarks()


def test_what_is_pooled_and_apart_is_counted(benchmark, tmp_path):
    options = importlib.import_module("bench").Options(tmp_path, data=tmp_path, toy=True, apart=False)
    record = benchmark.BENCHMARK.record(options)
    json.dumps(record)
    made = record["import"]
    assert (made["groups"], made["frames"]) == (60, 240)
    for ways in record["orders"].values():
        assert ways["pooled"]["fit"]["summaries"] == ways["pooled"]["plan"]["summaries"] == 4
        assert ways["pooled"]["fit"]["bytes"] == ways["pooled"]["plan"]["bytes"]
        assert ways["apart"]["fit"]["summaries"] == 4 * 60
        assert ways["apart"]["summarise"]["summaries"] > ways["pooled"]["summarise"]["summaries"] > 4
        assert ways["pooled"]["rows"] == ways["apart"]["rows"]
    foreseen = record["foreseen"]
    assert foreseen["487 pooled"]["count"] == 4
    assert foreseen["3747 apart"]["bytes"] > foreseen["3747 pooled"]["bytes"]
    assert "| two-body | pooled | fit |" in benchmark.BENCHMARK.text(record)
