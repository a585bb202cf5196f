"""Single faults in files on disk, a few of them: none is silent, none foreign."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("store_faults")
    for name in ("bench", "measure", "store_faults"):
        sys.modules.pop(name, None)


def test_no_fault_is_silent_or_foreign(benchmark, tmp_path):
    options = importlib.import_module("bench").Options(tmp_path, toy=True, apart=False)
    record = benchmark.run(options)
    json.dumps(record)
    assert record["wrong"] == []
    counts = {own["kind"] for own in record["counts"]}
    assert counts == set(benchmark.KINDS), "each kind of file"
    assert sum(own["number"] for own in record["counts"]) == record["faults"] == len(benchmark.KINDS)
    assert "| all |" in benchmark.markdown(record)
