"""Results folders: what earlier runs left is moved before a run writes, and nothing is lost or written over."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from job_files import write_job

from hiertl_dist import Model
from hiertl_dist.cli import commands as cli
from hiertl_dist.cli import demo
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.files import paths
from hiertl_dist.jobs import outputs

RESULTS = "hiertl_results"
SEARCH = {
    "folds": {"count": 2}, "grid": {"regulariser": {"kind": "ridge", "alpha": [0.1, 1.0]}}, "summaries": "summaries",
}  # fmt: skip


def run(*words):
    """Exit code, standard output and error of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(w) for w in words])
    return code, out.getvalue(), err.getvalue()


OTHER = "it is not the file that the run wrote whose results are in this folder (expected SHA-256"
TOLD = pytest.mark.filterwarnings("always::hiertl_dist.errors.HiertlWarning")


def done(*words):
    code, out, err = run(*words)
    assert code == 0, err
    return out


def content(folder):
    """The bytes of each file directly in a folder."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder in which a job was fitted with figures and tables."""
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("whole")
    done("fit", write_job(folder, search=SEARCH), "--csv", "--plot")
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of it that a test may change."""
    shutil.copytree(whole, tmp_path / "job")
    return tmp_path / "job"


def test_all_that_a_fit_writes_is_known_beforehand(folder):
    """The one list that writers and mover share; and it has nothing else."""
    found = outputs.files_of_results(folder / RESULTS)
    assert {p.name for p in found} == set(content(folder / RESULTS))
    assert {"parity.png", "parity.pdf", "errors.csv", "C.params.txt", "report.json", "model.params.txt"} <= {
        p.name for p in found
    }


def test_a_second_fit_moves_all_of_the_first_and_nothing_of_others(folder):
    results = folder / RESULTS
    before = content(results)
    foreign = {"notes.txt": b"mine", "old.params.txt": b"a model of mine", "figure.png": b"mine", "mine.csv": b"1,2"}
    for name, text in foreign.items():
        (results / name).write_bytes(text)
    (results / "search").mkdir()
    (results / "search" / "kept.json").write_text("{}")
    out = done("fit", folder / "input.toml", "--blocks", "C")
    assert content(results / "earlier_1") == before
    left = content(results)
    assert set(left) == {
        "C.covariance.npz", "C.params.txt", "C.solution.npz", "model.params.txt", "report.json", "report.txt",
        "results.sha256", "run.json", *foreign,
    }  # fmt: skip
    assert {n: left[n] for n in foreign} == foreign
    assert (results / "search" / "kept.json").exists()
    said = [line for line in out.splitlines() if "earlier_" in line]
    assert len(said) == 1
    assert str(results / "earlier_1") in said[0]
    found = json.loads(done("fit", folder / "input.toml", "--json"))
    assert set(content(results / "earlier_2")) == set(left) - set(foreign)
    assert content(results / "earlier_1") == before
    assert any("earlier_2" in note for note in found["notes"])
    assert all(Path(f).parent == results for f in found["files"])


def test_a_first_fit_says_nothing_of_earlier_ones(tmp_path):
    out = done("fit", write_job(tmp_path))
    assert "earlier" not in out
    assert not list((tmp_path / RESULTS).glob("earlier_*"))


def test_what_a_refused_run_would_have_written_leaves_all_in_place(folder):
    before = content(folder / RESULTS)
    for words in (["--blocks", "X"], ["--frozen", folder / "absent.txt"]):
        assert run("fit", folder / "input.toml", *words)[0] == 2
    assert content(folder / RESULTS) == before
    assert not list((folder / RESULTS).glob("earlier_*"))


def test_a_fit_that_fails_halfway_and_is_run_again_loses_nothing(folder):
    results, before = folder / RESULTS, content(folder / RESULTS)
    fit = {"blocks": {"N": {"method": "gram", "weights": {"force": 0.0, "stress": 0.0}}}}
    assert run("fit", write_job(folder, fit=fit))[0] == 2
    half = content(results)
    assert set(half) == {"C.covariance.npz", "C.params.txt", "C.solution.npz", "results.sha256"}
    assert content(results / "earlier_1") == before
    done("fit", write_job(folder))
    assert content(results / "earlier_2") == half
    assert content(results / "earlier_1") == before


def test_frozen_files_in_the_results_stay_and_are_found_again(folder):
    results = folder / RESULTS
    before = content(results)
    frozen = {"files": [f"{RESULTS}/C.params.txt", f"{RESULTS}/N.solution.npz"]}
    path = write_job(folder, frozen=frozen)
    for n in (1, 2):  # and again, from the same input
        done("fit", path)
        left = content(results)
        assert {k: left[k] for k in ("C.params.txt", "N.solution.npz")} == {
            k: before[k] for k in ("C.params.txt", "N.solution.npz")
        }
        assert {"C.covariance.npz", "N.covariance.npz"} <= set(left), "those of frozen files stay with them"
        assert not {"C.params.txt", "N.solution.npz"} & set(content(results / f"earlier_{n}"))
        assert "CN.solution.npz" in content(results / f"earlier_{n}")
    assert "C.solution.npz" not in left


@TOLD
@pytest.mark.parametrize("verb", ["fit", "search"])
def test_a_run_that_would_write_over_a_file_that_its_input_names_is_refused_before_it_begins(folder, verb):
    results = folder / RESULTS
    Model.read(results / "C.params.txt").write(results / "model.params.txt")
    before = content(results)
    path = write_job(folder, frozen={"files": [f"{RESULTS}/../{RESULTS}/model.params.txt"]}, search=SEARCH)
    code, _, err = run(verb, path)
    assert code == 2
    assert OTHER in err
    assert "model.params.txt: the input names this file, and the run would write its results over it" in err
    assert content(results) == before
    assert not list(results.glob("earlier_*"))


@TOLD
def test_a_fit_all_at_once_may_stand_on_a_merged_model_that_it_does_not_write(folder):
    results = folder / RESULTS
    Model.read(results / "C.params.txt").write(results / "model.params.txt")
    path = write_job(folder, frozen={"files": [f"{RESULTS}/model.params.txt"]})
    before = (results / "model.params.txt").read_bytes()
    code, _, err = run("fit", path, "--all-at-once")
    assert code == 0
    assert OTHER in err
    assert (results / "model.params.txt").read_bytes() == before


@TOLD
def test_a_whole_file_of_another_run_in_the_place_of_one_of_this_is_noticed(folder):
    """Each by itself is good; checksums of the folder tell."""
    results = folder / RESULTS
    listed = {line.split("  ")[1] for line in (results / "results.sha256").read_text().splitlines()}
    assert listed == set(content(results)) - {"results.sha256"}
    assert subprocess.run(["sha256sum", "-c", "--quiet", "results.sha256"], cwd=results, check=True).returncode == 0
    model = results / "model.params.txt"
    parts = [results / name for name in ("C.params.txt", "N.solution.npz", "CN.params.txt")]
    merge = ("merge", *parts, "-o", folder / "merged.txt", "--overwrite")
    evaluate = ("evaluate", model, "--frames", folder / "data.extxyz")
    assert OTHER not in run(*merge)[2] + run(*evaluate)[2]
    (folder / "other").mkdir()
    done("fit", write_job(folder / "other", fit={"weights": {"force": 1.0, "energy": 0.25}}))
    for name in ("C.params.txt", "N.solution.npz"):
        shutil.copy(folder / "other" / RESULTS / name, results / name)
    err = run(*merge)[2]
    assert [f"{name}: {OTHER}" in err for name in ("C.params.txt", "N.solution.npz", "CN.params.txt")] == [1, 1, 0]
    model.write_text(f"# edited\n{model.read_text()}")
    assert OTHER in run(*evaluate)[2]
    (results / "results.sha256").write_bytes(b"\xff\n" * 9)
    assert OTHER not in run(*evaluate)[2]


def test_a_search_moves_the_results_of_a_fit_and_goes_on_from_its_own_work(folder):
    results = folder / RESULTS
    before = content(results)
    done("search", folder / "input.toml")
    assert content(results / "earlier_1") == before
    first = content(results)
    assert not {"report.json", "errors.csv", "parity.png"} & set(first)
    assert {"search.json", "search.png", "search.pdf", "run.json", "CN.solution.npz"} <= set(first)
    work = {p.name: p.stat().st_mtime_ns for p in (results / "search").iterdir()}
    done("search", folder / "input.toml", "--no-plot")
    assert content(results / "earlier_2") == first
    assert "search.png" not in content(results)
    assert {p.name: p.stat().st_mtime_ns for p in (results / "search").iterdir()} == work, "nothing is computed twice"
    done("fit", folder / "input.toml")
    assert "search.json" not in content(results)
    assert (results / "search").is_dir()


def test_a_file_that_another_puts_there_meanwhile_is_moved_too(tmp_path):
    told = []
    results = outputs.Results(tmp_path, [], [], SerialExecutor(), told.append)
    results.write([outputs.file_writer(tmp_path / "report.json", outputs.write_json_file, {"first": 1})])
    (tmp_path / "search.json").write_text("of another")
    (tmp_path / "errors.csv").write_text("of another, and not written now")
    results.write([outputs.file_writer(tmp_path / "search.json", outputs.write_json_file, {"second": 2})])
    assert json.loads((tmp_path / "report.json").read_text()) == {"first": 1}
    assert json.loads((tmp_path / "search.json").read_text()) == {"second": 2}
    assert content(tmp_path / "earlier_1") == {"search.json": b"of another"}
    assert len(told) == 1


def test_an_input_of_the_demonstration_that_was_changed_is_kept(tmp_path):
    told = []
    for _ in range(2):
        demo.write_demo_input(tmp_path, SerialExecutor(), told.append)
    assert told == [], "the same text again is no change"
    (tmp_path / "input.toml").write_text("mine")
    demo.write_demo_input(tmp_path, SerialExecutor(), told.append)
    assert content(tmp_path / "earlier_1") == {"input.toml": b"mine"}
    assert len(told) == 1


def test_folders_are_numbered_after_the_last(tmp_path):
    """So that the order is that of the runs, also where somebody deleted the first."""
    (tmp_path / "earlier_3").mkdir()
    (tmp_path / "earlier_x").mkdir()
    (tmp_path / "earlier_4").write_text("no folder")
    file = tmp_path / "report.json"
    file.write_text("{}")
    assert paths.move_to_earlier([file, file, tmp_path / "absent"]) == {tmp_path / "earlier_5": ("report.json",)}
    assert paths.move_to_earlier([file]) == {}
    assert (tmp_path / "earlier_5" / "report.json").read_text() == "{}"


@pytest.mark.parametrize("verb", ["fit", "assemble", "summarise", "search"])
def test_compiling_is_told_before_it_begins(tmp_path, monkeypatch, verb):
    path = write_job(tmp_path, search=SEARCH)
    said = "compiling kernels for this machine, once: about half a minute"
    monkeypatch.setattr("hiertl_dist.evaluation.compiling.is_compiled", lambda kernel: False)
    lines = done(verb, path).splitlines()
    assert lines.count(said) == 1
    if verb in ("fit", "search"):
        assert lines.index(said) < next(i for i, line in enumerate(lines) if "nothing frozen" in line)
    monkeypatch.setattr("hiertl_dist.evaluation.compiling.is_compiled", lambda kernel: True)
    assert said not in done(verb, path)
