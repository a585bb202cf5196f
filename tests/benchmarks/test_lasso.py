"""The benchmark of the LASSO runs, at toy size, and says what it found."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

SHARED = ("bench", "cn_dft_chain", "lasso", "measure")


@pytest.fixture
def lasso(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("lasso")
    for name in SHARED:
        sys.modules.pop(name, None)


@pytest.fixture
def options(lasso, tmp_path):
    return importlib.import_module("bench").Options(tmp_path, toy=True, apart=False)


def test_both_answers_are_optimal_and_the_same(lasso, options):
    record = lasso.BENCHMARK.record(options)
    json.dumps(record)
    assert record["LASSO"]["kkt_gap"] < 1e-8
    assert record["path"]["kkt_gap"] < lasso.GAP_LIMIT
    assert record["path"]["path_gap"] < lasso.GAP_LIMIT
    assert record["path"]["ends_at"] == pytest.approx(lasso.LAM)
    assert record["agreement"]["same_support"]
    assert record["agreement"]["predictions_rms_difference"] < 1e-6
    assert 0 < record["LASSO"]["nonzeros"] == record["path"]["nonzeros"] <= 40
    text = lasso.BENCHMARK.text(record)
    assert "Toy size" in text
    assert "not converged after 2180 steps" in text
    assert "the same support" in text


def test_says_what_is_not_there(lasso, options, tmp_path):
    record = lasso.BENCHMARK.record(replace(options, toy=False, data=tmp_path / "nowhere"))
    assert "cn_dft" in record["absent"]["lasso"]
    assert "not measured: lasso" in lasso.BENCHMARK.text(record)
