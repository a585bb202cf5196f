"""The benchmark of large data sets, at toy size, and what it reports is consistent."""

from __future__ import annotations

import json
import sys

import pytest
from benchmark_toys import BENCHMARKS, forget_benchmarks
from synthetic import HAS_MPI


@pytest.fixture(scope="module")
def large_data():
    """The script, as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import large_data

        yield large_data
    sys.modules.pop("large_data", None)
    forget_benchmarks()


def test_every_step_of_every_size_is_reported(large_data, tmp_path, capsys):
    assert large_data.main(large_data.BENCHMARK, ["--toy", "--in-process", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "large_data.json").read_text())
    assert [own["frames"] for own in record["sizes"].values()] == list(large_data.TOY)
    for own in record["sizes"].values():
        for step in large_data.STEPS:
            assert own[step]["cpu"] > 0.0
            assert own[step]["peak"] > 2**20
            assert own[step]["worker_peak"] > 2**20
        assert own["disk_bytes"] > 0
        assert own["announced"] > 0.0
        assert set(own["rmse"]) == {"C", "N", "CN"}
    assert len(record["ranks"]) == 2 * HAS_MPI
    printed = capsys.readouterr().out
    assert "CPU ms a frame" in printed
    if HAS_MPI:
        assert "coefficients are the same, bit for bit" in printed
        first = next(iter(record["sizes"].values()))
        assert all(own["coefficients"] == first["coefficients"] for own in record["ranks"])
