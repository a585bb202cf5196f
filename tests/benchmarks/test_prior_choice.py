"""The benchmark of what is chosen on all frames of the alloys, on a few that are made: every way has a model."""

from __future__ import annotations

import gzip
import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from job_files import write_extxyz
from synthetic import random_frame

SHARED = ("bench", "library_growth", "measure", "prior_choice", "prior_evidence", "transfer", "transfer_curves",
          "transfer_fits", "transfer_models")  # fmt: skip


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("prior_choice")
    for name in SHARED:
        sys.modules.pop(name, None)


def test_each_way_has_a_whole_model_of_its_own(benchmark, tmp_path, monkeypatch):
    data, scratch, two = tmp_path / "monbtaw", tmp_path / "scratch", ("Mo", "Nb")
    data.mkdir()
    scratch.mkdir()
    models = importlib.import_module("transfer_models")
    for module in (benchmark, models, importlib.import_module("transfer_curves")):
        monkeypatch.setattr(module, "ALLOY", two)
        monkeypatch.setattr(module, "BINARIES", ("NbMo",))
        monkeypatch.setattr(module, "UNARY_KINDS", ("AIMD", "Elastic"))
    monkeypatch.setattr(models, "TESTS", (*two, "NbMo"))
    monkeypatch.setattr(benchmark.prior_evidence, "DECAYS", (0.0,))
    monkeypatch.delitem(benchmark.prior_evidence.MEANS, "half")
    kinds = {"Mo": ("AIMD", "Elastic", "Test"), "Nb": ("AIMD", "Elastic", "Test"), "NbMo": ("SS", "Test")}
    for number, name in enumerate(f"{block}_{kind}" for block, own in kinds.items() for kind in own):
        elements = tuple(e for e in two if e in name)
        made = [random_frame(elements, (number, i), atoms=9 + i, group=name) for i in range(2)]  # two compositions
        frames = [replace(f, positions=2.0 * f.positions, cell=2.0 * f.cell) for f in made]  # no contact below 1.8 Å
        write_extxyz(tmp_path / "frames.extxyz", frames)
        (data / f"{name}.extxyz.gz").write_bytes(gzip.compress((tmp_path / "frames.extxyz").read_bytes()))
    options = importlib.import_module("bench").Options(scratch, data=tmp_path, toy=True, apart=False)
    record = json.loads(json.dumps(benchmark.run(options)))
    rows = {r["by"]: r for r in record["rows"]}
    assert list(rows) == ["zero", "mixed", "auto", "evidence", "evidence, weights too", "systems", "frames, systems",
                          "frames, priors"]  # fmt: skip
    assert record["frames"] == 10
    assert rows["auto"]["chosen"]["MoNb"]["mean"] == "zero", "labels are random: nothing speaks for the elements"
    assert rows["auto"]["hot"] == rows["zero"]["hot"] != rows["mixed"]["hot"]
    for way in ("evidence", "evidence, weights too"):
        choice = rows[way]["chosen"]["MoNb"]
        assert (choice["nats"] > 0.0) is (choice["mean"] != "zero")
    for way, models in (("systems", 4), ("frames, systems", 4), ("frames, priors", 5)):
        assert set(rows[way]["chosen"]) == {"Mo", "Nb", "MoNb"}
        assert rows[way]["models"] == models
        scores = rows[way]["scores"]["MoNb"]
        assert rows[way]["chosen"]["MoNb"]["mean"] in scores
        assert rows[way]["hot"]["MoNb"] > 0.0
    whole, element = (benchmark.Model.read(scratch / f).parameters.as_dict()
                      for f in ("binaries/model.params.txt", "elements/Mo.params.txt"))  # fmt: skip
    assert {k: whole[k] for k in element} == element, "the elements are frozen"
    assert {"zero", "mixed", "mixed, γ 0.5"} <= set(rows["frames, priors"]["scores"]["MoNb"])
    assert "| systems | 1 × " in benchmark.markdown(record)
    absent = benchmark.run(importlib.import_module("bench").Options(scratch, data=scratch, toy=True, apart=False))
    assert (set(absent["absent"]), benchmark.markdown(absent)) == ({"monbtaw"}, "")


def test_what_becomes_of_runs_and_lattices(benchmark):
    runs = {"drift, 300 K (meV/atom/ps)": 0.1, "contact, 300 K (Å)": 2.0, "drift, 3000 K (meV/atom/ps)": 0.2}
    assert benchmark._nve({"runs": runs}) == "stable, 0.200"
    assert benchmark._nve({"runs": runs | {"drift, 300 K (meV/atom/ps)": 17.0}}) == "drifts, 17.0"
    assert benchmark._nve({"runs": runs | {"drift, 3000 K (meV/atom/ps)": None}}) == "diverges"
    far = {"mixing, 3 elements": 0.1, "mixing, 4 elements": 0.2}
    far |= {"mixing, ordered, 3 elements": 0.4, "mixing, ordered, 4 elements": 0.3, "mixing, 2 elements": 9.0}
    assert benchmark._mixing({"mixing": far}) == "0.20, 0.40"
