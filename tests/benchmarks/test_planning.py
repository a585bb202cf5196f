"""The benchmark of planning, at toy size, on the shipped frames."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("planning")
    for name in ("bench", "planning", "measure"):
        sys.modules.pop(name, None)


def test_planning_is_timed_beside_rows(benchmark, tmp_path):
    options = importlib.import_module("bench").Options(tmp_path, data=tmp_path, toy=True, apart=False)
    record = benchmark.BENCHMARK.record(options)
    json.dumps(record)
    assert set(record["absent"]) == {"`carbon`", "`hydrogen`"}
    assert set(record["sets"]) == {"cn_pbe"}
    for case in record["sets"]["cn_pbe"]["orders"].values():
        assert min(case["plan_ms"], case["data_set_ms"], case["rows_ms"]) > 0
    assert "| `cn_pbe` |" in benchmark.BENCHMARK.text(record)
