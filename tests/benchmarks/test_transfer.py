"""The benchmark of transfer, at toy size: every prior has its curve, auto is compared with the better of the others."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

SHARED = ("bench", "measure", "transfer", "transfer_curves", "transfer_fits", "transfer_models")


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("transfer")
    for name in SHARED:
        sys.modules.pop(name, None)


def test_shipped_data(benchmark, tmp_path):
    options = importlib.import_module("bench").Options(tmp_path, data=tmp_path, toy=True, apart=False)
    record = json.loads(json.dumps(benchmark.run(options)))
    assert set(record["curves"]) == {"cn"}
    assert set(record["absent"]) == {"alloys", "wbe", "whole models", "costs"}
    rows = record["curves"]["cn"]
    assert {(r["frames"], r["way"]) for r in rows if r["frames"] == 0} == {(0, "zero"), (0, "mixed")}
    few = {r["way"]: r["force"] for r in rows if r["frames"] == 1}
    assert set(few) == {"zero", "mixed", "mixed, probes", "auto"}
    # one frame says next to nothing, and probes hold the block to what its elements say
    assert few["mixed, probes"] < few["zero"]
    models = {r["model"] for r in record["compositions"]}
    assert {"C + N alone", "hierarchical, auto", "all at once, α 1"} <= models
    columns = {r["elements"]: r["columns"] for r in record["eight"]["table"]}
    assert [r["columns"] for r in record["eight"]["solved"]] == [columns[3], columns[4]]
    assert "auto / better" in benchmark.markdown(record)
    benchmark.plot(record, tmp_path / "curves.svg")
    assert "prior mixed" in (tmp_path / "curves.svg").read_text()


def test_beside_the_better(benchmark):
    errors = {"zero": [2.0, 4.0], "mixed": [1.0, 4.0], "auto": [2.0, 4.0]}
    better, ratio, spread = benchmark.against_better(errors)
    assert better == "mixed"
    assert ratio == pytest.approx(2.0**0.5)
    assert spread == pytest.approx(0.5 * benchmark.np.log(2.0))
