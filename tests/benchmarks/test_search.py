"""The benchmark of ``search``, at toy size: both ways give the same scores, and it says what it found."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

SHARED = ("bench", "search", "measure")


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("search")
    for name in SHARED:
        sys.modules.pop(name, None)


@pytest.fixture
def options(benchmark, tmp_path):
    return importlib.import_module("bench").Options(tmp_path, toy=True, apart=False)


def test_one_pass_and_one_by_one_agree(benchmark, options):
    record = benchmark.BENCHMARK.record(options)
    json.dumps(record)
    assert record["models"] == 2 * 2 * 2 * 2
    assert record["failed"] == 0
    assert record["largest_difference"] < 1e-9
    assert record["seconds"] == pytest.approx(record["pass_seconds"] + record["search_seconds"])
    mean = sum(one["seconds"] for one in record["one_by_one"]) / benchmark.APART
    assert record["one_by_one_seconds"] == pytest.approx(16 * mean)
    text = benchmark.BENCHMARK.text(record)
    assert "Toy size" in text
    assert "16 models, 3 folds each" in text
    assert "within the limit" in text.lower()


def test_the_full_grid_has_500_models_of_about_1500_columns(benchmark):
    frames, basis, settings = benchmark.case(toy=False)
    assert len(frames) == 270
    assert len(settings.grid.choices(benchmark.FitSettings())) == 500
    assert 1450 <= len(benchmark.columns_of(basis)) <= 1550
