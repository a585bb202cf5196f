"""The benchmark of calibration runs, at toy size, and draws its diagrams."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import solve, summarise, view
from hiertl_dist.executors import SerialExecutor

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


def test_energies_without_the_heat_of_electrons(record):
    before, after = record["energies"].values()
    assert before["rmse"] == pytest.approx(record["calibration"]["held out"]["energy"]["rmse"], rel=1e-9)
    assert 0.0 < after["within"] < after["rmse"] != before["rmse"]
    assert 0.0 <= after["by_heat"] < 1.0
    assert before["draws"] == sorted(before["draws"])


def test_labels_are_changed_in_the_factors_as_in_the_frames(benchmark):
    basis = small_basis((3, 2, 0), elements=("C",))
    frames = labelled(random_frames({"C": 12}, atoms=9, groups=("a_T5000", "b_T12000")), random_parameters(basis))
    lifted, changed = benchmark.without_electrons(frames, summarise(frames, basis, executor=SerialExecutor()))
    assert lifted[1].energy - frames[1].energy == pytest.approx(9 * benchmark.ELECTRONS * 1.44)
    fits = [
        solve(view(s), {"kind": "ridge", "alpha": 0.1})
        for s in (changed, summarise(lifted, basis, executor=SerialExecutor()))
    ]
    np.testing.assert_allclose(*(fit.parameters.coefficients for fit in fits), rtol=1e-6, atol=1e-8)


def test_the_report_and_the_plot(benchmark, record, tmp_path):
    text = benchmark.BENCHMARK.text(record)
    assert "Toy size" in text
    assert "bootstrap of 4" in text
    assert "energy of CN frames" in text
    benchmark.plot(record, tmp_path / "found.png")
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")
