"""The benchmark of calibration runs, at toy size, and draws its diagrams."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

SHARED = ("bench", "calibration", "measure")


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        yield importlib.import_module("calibration")
    for name in SHARED:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def record(benchmark, tmp_path_factory):
    options = importlib.import_module("bench").Options(tmp_path_factory.mktemp("scratch"), toy=True, apart=False)
    return benchmark.BENCHMARK.record(options)


def test_every_frame_is_predicted_by_fits_that_did_not_see_it(record):
    json.dumps(record)
    labels = record["calibration"]["held out"]
    assert record["frames"] == labels["energy"]["labels"] == 90
    assert labels["force"]["labels"] == 90 * 96
    assert labels["stress"]["labels"] == 90 * 6
    assert sum(own["energy"]["labels"] for own in record["by_set"].values()) == 90
    # folds × blocks × ways × kinds
    assert len(record["noise"]) == 3 * 3 * 2 * 3
    assert {n["scale"] for n in record["noise"] if n["way"] == "in sample"} == {1.0}
    for own in labels.values():
        assert 0.5 < own["standardised"] < 2.0
        bins = own["bins"]
        mean = np.average(np.square(bins["error"]), weights=bins["count"])
        assert mean == pytest.approx(own["rmse"] ** 2, rel=1e-9)
        assert bins["sigma"] == sorted(bins["sigma"])


def test_the_report_and_the_plot(benchmark, record, tmp_path):
    text = benchmark.BENCHMARK.text(record)
    assert "Toy size" in text
    assert "bootstrap of 4" in text
    assert "energy of CN frames" in text
    benchmark.plot(record, tmp_path / "found.png")
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")
