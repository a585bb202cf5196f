"""The benchmark of the store's tiles runs, at toy size, and what it reports is consistent."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

SHARED = ("bench", "measure", "store_io")


@pytest.fixture
def store_io():
    """The script, as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        import store_io

        yield store_io
    for name in SHARED:
        sys.modules.pop(name, None)


def test_every_step_of_every_shape_is_reported(store_io, tmp_path, capsys):
    assert store_io.main(store_io.BENCHMARK, ["--toy", "--in-process", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "store_io.json").read_text())
    assert record["toy"]
    assert set(record["shapes"]) == set(store_io.TOY)
    for name, found in record["shapes"].items():
        shape = store_io.TOY[name]
        assert found["nbytes"] == 8 * shape.rows * shape.columns
        assert set(found["steps"]) == set(store_io.STEPS)
        for step in found["steps"].values():
            store, other = (step["ways"][way] for way in ("store", step["against"]))
            assert len(store["turns"]) == 1
            if store["seconds"]:
                assert store["mb_per_second"] == pytest.approx(found["nbytes"] / 1e6 / store["seconds"])
                assert step["ratio"] == pytest.approx(other["seconds"] / store["seconds"])
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "store_io.md").read_text()
    assert "| wide (8 × 37, 0 MiB) | write, cpu |" in printed
    assert "the figures mean nothing" in printed


def test_what_is_dropped_from_the_cache_is_still_there(store_io, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    store_io.drop(path)
    assert path.read_bytes() == b"bytes"
