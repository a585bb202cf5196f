"""The benchmark of selection runs, at toy size, and counts its wins."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

SHARED = ("bench", "selection", "measure")


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("selection")
    for name in SHARED:
        sys.modules.pop(name, None)


@pytest.fixture
def options(benchmark, tmp_path):
    return importlib.import_module("bench").Options(tmp_path, toy=True, apart=False)


@pytest.mark.shared
def test_every_way_of_choosing_is_fitted(benchmark, options, shared):
    record = benchmark.BENCHMARK.record(replace(options, data=shared))
    json.dumps(record)
    assert not record["absent"]
    for name, ways in (("W", 4), ("Nb–Mo", 3)):
        fits = record["cases"][name]["fits"]
        assert len(fits) == 2 * ways
        assert {f["way"] for f in fits} >= {"D-optimal", "random"}
        assert all(0 < f["held out"]["force"] <= f["held out"]["worst force"] for f in fits)
        assert all(sum(f["sources"].values()) == 8 for f in fits)
    for seed in (0, 1):
        own = {f["way"]: f["atoms"] for f in record["cases"]["W"]["fits"] if f["seed"] == seed}
        assert own["random, same sizes"] == own["D-optimal"]
    text = benchmark.BENCHMARK.text(record)
    assert "Toy size" in text
    assert "random, same sizes" in text


def test_wins_are_counted_against_draws_of_the_same_split(benchmark):
    kinds = ("force", "energy", "worst force", "worst energy")

    def fit(way, seed, value):
        return {"way": way, "seed": seed, "held out": dict.fromkeys(kinds, value)}

    fits = [fit("D-optimal", 0, 1.0), fit("D-optimal", 1, 5.0), fit("random", 0, 2.0), fit("random", 0, 0.5)]
    fits += [fit("random", 1, 4.0), fit("random", 1, 6.0), fit("random, same sizes", 1, 9.0)]
    assert benchmark.wins(fits, "D-optimal") == dict.fromkeys(kinds, 0.5)


def test_says_what_is_not_there(benchmark, options, tmp_path):
    record = benchmark.BENCHMARK.record(replace(options, data=tmp_path / "nowhere"))
    assert "monbtaw" in record["absent"]["W"]
    assert "not measured: W" in benchmark.BENCHMARK.text(record)
