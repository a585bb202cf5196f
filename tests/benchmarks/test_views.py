"""The benchmark of views runs, at toy size; its views are those of its direct fits."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

SHARED = ("bench", "cn_dft_chain", "measure", "views")


@pytest.fixture
def views(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("views")
    for name in SHARED:
        sys.modules.pop(name, None)


@pytest.fixture
def options(views, tmp_path):
    return importlib.import_module("bench").Options(tmp_path, toy=True, apart=False)


@pytest.mark.shared
def test_every_view_is_the_direct_fit(views, options, shared, monkeypatch):
    monkeypatch.setattr(views, "LAMS", views.LAMS[:1])
    monkeypatch.setattr(views.chain, "read_problem", cache(views.chain.read_problem))
    record = views.BENCHMARK.record(replace(options, data=shared))
    json.dumps(record, allow_nan=False)
    assert record["absent"] == {}
    assert set(record["ridge"]) == set(views.CASES)
    for name, own in record["ridge"].items():
        assert own["apart"]["forces"] <= 1e-9 * own["apart"]["size of forces"], name
        assert own["apart"]["size of forces"] > 1.0, name
    columns = {name: own["columns"] for name, own in record["ridge"].items()}
    whole = columns["the whole block"]
    assert columns["lower orders"] < whole
    assert columns["CCNN left out"] < whole < columns["block N added, free"]
    assert record["ridge"]["a fold left out"]["frames"] < record["ridge"]["the whole block"]["frames"]
    assert [own["lam"] for own in record["lasso"]] == list(views.LAMS)
    for own in record["lasso"]:
        assert own["supports_differ_in"] == 0
        assert 0 < own["nonzeros"] <= whole
    assert set(record["stores"]) == set(views.SETS)
    for name, own in record["stores"].items():
        assert 0 < own["summary_bytes"] < own["design_bytes"], name
        assert 0 < own["append"]["frames"] < own["frames"], name
        assert 0 < own["append"]["bytes_more"] < own["summary_bytes"], name
    text = views.BENCHMARK.text(record)
    assert "Toy size" in text
    assert text.count("| hydrogen |") == 1


def test_says_what_is_not_there(views, options, monkeypatch, tmp_path):
    monkeypatch.setattr(views, "SETS", {"hydrogen": "hydrogen"})
    record = views.BENCHMARK.record(replace(options, data=tmp_path / "nowhere"))
    assert set(record["absent"]) == {"views", "store of hydrogen"}
    assert "not measured: views: not there" in views.BENCHMARK.text(record)
