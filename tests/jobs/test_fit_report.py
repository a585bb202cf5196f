"""What a fit says of itself: what it was conditioned on, errors by group, CSV files, in text, JSON and on disk."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from job_files import job_frames, write_extxyz, write_job

from hiertl_dist import Model
from hiertl_dist.cli import commands as cli
from hiertl_dist.jobs.fit_report import conditions_text
from hiertl_dist.model.solution import Solution
from hiertl_dist.units import EV

RESULTS = "hiertl_results"
TABLES = {"blocks.csv", "errors.csv", "frames.csv", "coverage.csv"}
GROUPS = ("liquid", "slab", "solid")


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder in which a job of three groups, one held out, was fitted, its frames, and what was printed."""
    folder = tmp_path_factory.mktemp("fitted")
    rng = np.random.default_rng(1)
    frames = [
        replace(f, group=GROUPS[i % 3], forces=f.forces + 0.1 * rng.normal(size=f.forces.shape))
        for i, f in enumerate(job_frames()[0])
    ]
    fit = {"regulariser": {"kind": "ridge", "alpha": 0.25}, "weights": {"energy": 0.5, "stress": 20.0}}
    path = write_job(folder, frames, hold_out={"groups": ["slab"]}, fit=fit, output={"units": "eV"})
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "hiertl_dist.cli.commands._print", lambda arguments, runner, found, text: lines.extend([text, found])
        )
        assert cli.main(["fit", str(path), "--csv", "--all-at-once", "--also-hierarchical"]) == 0
    text, found = lines
    return folder, frames, text, found


def test_a_fit_says_what_it_was_conditioned_on(fitted):
    folder, _, text, _ = fitted
    lines = text.splitlines()
    at = lines.index("conditioned on")
    assert [line.split(":")[0].strip() for line in lines[at + 1 : at + 5]] == ["C", "N", "CN", "all at once"]
    solution = Solution.load(folder / RESULTS / "C.solution.npz")
    assert lines[at + 1] == f"  C: {conditions_text(solution, 'eV')}"
    atom = next(v for c, v in solution.parameters.as_dict().items() if not c[2])
    for said in ("ridge alpha 0.25", "weights energy 0.5000, stress 20.00", "objective lsq",
                 f"energies of free atoms in it, eV: C {atom / EV:.8g}"):  # fmt: skip
        assert said in lines[at + 1]


def test_weights_that_nobody_named_are_told_with_their_numbers(fitted):
    solution = Solution.load(fitted[0] / RESULTS / "C.solution.npz")
    told = conditions_text(replace(solution, weights={"force": 1.0, "stress": 123.456}, regulariser={"kind": "none"}))
    assert told.startswith("no regulariser; weights force 1.000, stress 123.5; ")
    assert "weights 1 for every group of rows" in conditions_text(replace(solution, weights={}))


def test_errors_by_group_are_in_text_and_report(fitted):
    folder, frames, text, found = fitted
    report = json.loads((folder / RESULTS / "report.json").read_text())
    assert list(report["group_errors"]) == ["hierarchical", "all at once"]
    for sets in report["group_errors"].values():
        assert {s: list(t) for s, t in sets.items()} == {"fitted": ["liquid", "solid"], "held out": ["slab"]}
    own = report["group_errors"]["hierarchical"]["fitted"]["liquid"]
    assert own["force_labels"] == sum(3 * len(f) for f in frames if f.group == "liquid")
    assert 0.0 < own["force_mae"] < own["force"] < own["force_max"]
    assert report["group_errors"] == found["group_errors"]
    assert {"frames", "atoms", "force", "force_rms", "energy", "stress", "out_of_range"} <= set(own), "as before"
    rows = [line for line in text.splitlines() if line.startswith("group liquid")]
    assert len(rows) == 3, "one of each kind of label, of the fitted frames"
    assert not [line for line in text.splitlines() if line.startswith("group slab")], "one group alone is all frames"
    assert "force, eV/Å" in text


def test_tables_of_a_fit_as_csv(fitted):
    folder, frames, _, found = fitted
    assert {p.name for p in (folder / RESULTS).glob("*.csv")} == TABLES
    assert {f.rpartition("/")[2] for f in found["files"]} >= TABLES
    blocks = read_csv(folder / RESULTS / "blocks.csv")
    assert [r["block"] for r in blocks] == ["C", "N", "CN", "all at once"]
    assert json.loads(blocks[2]["weights"]) == {"energy": 0.5, "stress": 20.0}
    assert float(blocks[0]["rmse"]) == found["solutions"]["C"]["rmse"]
    rows = read_csv(folder / RESULTS / "errors.csv")
    assert {(r["model"], r["frames_of"]) for r in rows} == {
        (m, s) for m in ("hierarchical", "all at once") for s in ("fitted", "held out")
    }
    (one,) = (
        r for r in rows if (r["model"], r["frames_of"], r["by"], r["name"], r["quantity"])
        == ("hierarchical", "held out", "group", "slab", "stress")
    )  # fmt: skip
    assert float(one["max"]) == found["group_errors"]["hierarchical"]["held out"]["slab"]["stress_max"]
    assert len(read_csv(folder / RESULTS / "frames.csv")) == 2 * len(frames)
    assert {r["model"] for r in read_csv(folder / RESULTS / "coverage.csv")} == {"hierarchical", "all at once"}


def test_evaluate_says_the_same_as_the_fit(fitted, capsys, tmp_path):
    folder, frames, _, _ = fitted
    path = write_extxyz(tmp_path / "fitted.extxyz", [f for f in frames if f.group != "slab"])
    words = ["evaluate", str(folder / RESULTS / "model.params.txt"), "--frames", str(path), "--group-key", "config",
             "--units", "eV", "--csv", str(tmp_path / "csv")]  # fmt: skip
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    assert len([line for line in out.splitlines() if line.startswith("group solid")]) == 3
    assert {p.name for p in (tmp_path / "csv").iterdir()} == TABLES - {"blocks.csv"}
    assert all(str(tmp_path / "csv" / name) in out for name in TABLES - {"blocks.csv"})
    report = json.loads((folder / RESULTS / "report.json").read_text())["group_errors"]["hierarchical"]["fitted"]
    for row in read_csv(tmp_path / "csv" / "errors.csv"):
        if row["by"] == "group" and row["quantity"] == "force":
            assert float(row["rmse"]) * EV == pytest.approx(report[row["name"]]["force"], rel=1e-6)
    assert cli.main([*words, "--json", "--overwrite"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["group_errors"]) == ["liquid", "solid"]
    assert len(found["files"]) == 3


def test_a_figure_of_evaluate_and_its_pdf(fitted, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    folder = fitted[0]
    words = ["evaluate", str(folder / RESULTS / "model.params.txt"), "--frames", str(folder / "data.extxyz")]
    assert cli.main([*words, "--plot", str(tmp_path / "new" / "p.png")]) == 0
    assert {p.name for p in (tmp_path / "new").iterdir()} == {
        f"p{s}.{e}" for s in ("", "_coverage") for e in ("png", "pdf")
    }
    assert str(tmp_path / "new" / "p.pdf") in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["fit", "evaluate"])
def test_a_figure_without_matplotlib_is_refused_at_once(fitted, capsys, monkeypatch, verb, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    words = {
        "fit": ["fit", str(write_job(tmp_path)), "--plot"],
        "evaluate": ["evaluate", str(fitted[0] / RESULTS / "model.params.txt"), "--frames", "none.xyz", "--plot", "p"],
    }[verb]
    assert cli.main(words) == 2
    assert 'pip install "hiertl-dist[plot]"' in capsys.readouterr().err
    assert not (tmp_path / RESULTS).exists()


def test_no_tables_unless_asked_for(capsys, tmp_path):
    assert cli.main(["fit", str(write_job(tmp_path)), "--blocks", "C"]) == 0
    assert not list((tmp_path / RESULTS).glob("*.csv"))
    assert Model.read(tmp_path / RESULTS / "model.params.txt").elements == ("C",)
    capsys.readouterr()
