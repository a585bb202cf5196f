"""The benchmark of the rules of ``init``, at toy size: every choice has its errors, and it says what it found."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

SHARED = ("bench", "init_rules", "measure")


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("init_rules")
    for name in SHARED:
        sys.modules.pop(name, None)


def test_shipped_data(benchmark, tmp_path):
    options = importlib.import_module("bench").Options(tmp_path, data=tmp_path, toy=True, apart=False)
    record = benchmark.BENCHMARK.record(options)
    json.dumps(record)
    assert set(record["cases"]) == {"cn_pbe"}
    assert set(record["absent"]) == {"SiC", "Mo", "H"}
    rows = {r["choice"]: r for r in record["cases"]["cn_pbe"]["rows"]}
    assert {"automatic weights from the labels alone", "automatic weights with the exponent 0.5"} < set(rows)
    assert {"as suggested", "weights of 1", "best of a search over weights and α"} < set(rows)
    assert all(r["score"] > 0 for r in rows.values())
    text = benchmark.BENCHMARK.text(record)
    assert "Toy size" in text
    assert "rmin 0.98 of the closest contact" in text


def test_a_variant_changes_one_choice(benchmark):
    pairs = {"CC": {"rmin": 0.6, "rmax": 6.0, "lambda": 1.4}}
    basis = {"pairs": pairs, "three_body": {"rmax": 5.0}, "four_body": {"rmax": 4.0}, "orders": [12, 7, 3]}
    found = benchmark.variants(basis, toy=False, closest={"CC": 1.0})
    assert found["rmin 0.9 of the closest contact"]["pairs"]["CC"] == {"rmin": 0.9, "rmax": 6.0, "lambda": 1.4}
    for other in found.values():
        assert sum(other.get(key) != value for key, value in basis.items()) == 1
