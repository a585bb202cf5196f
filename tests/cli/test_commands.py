"""The command line: what each command prints and writes, one JSON object for scripts, exit codes, the demo."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from job_files import ORDERS, job_frames, unnamed, write_extxyz, write_fm_setup, write_job, write_toml
from synthetic import environment, labelled, random_frames, random_parameters, small_basis

from hiertl_dist import ConvergenceError, InputError, Model, UnknownBlockError, UnsafeGram
from hiertl_dist.cli import commands as cli
from hiertl_dist.cli import demo, doctor
from hiertl_dist.executors import SerialExecutor, base, progress
from hiertl_dist.files.checksums import RESULTS_SUMS
from hiertl_dist.fitting import row_pass
from hiertl_dist.jobs import fit_job as jobs
from hiertl_dist.jobs import outputs
from hiertl_dist.jobs.input_file import Input
from hiertl_dist.model.solution import Solution

SCRIPT = Path(sys.executable).parent / "hiertl-dist"
RESULTS = "hiertl_results"
TOGETHER = {f"all_at_once.{what}" for what in ("covariance.npz", "params.txt", "solution.npz")}
FITTED = {f"{b}.{what}" for b in ("C", "N", "CN") for what in ("covariance.npz", "params.txt", "solution.npz")} | {
    "model.params.txt", "report.json", "report.txt", "run.json"
}  # fmt: skip


@pytest.fixture
def run(capsys):
    """Runs a command: exit code, stdout, stderr."""

    def command(*words):
        code = cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        return code, out, err

    return command


@pytest.fixture
def run_json(run):
    """Runs a command with ``--json`` that must succeed, and gives back the one object that it printed."""

    def command(*words):
        code, out, err = run(*words, "--json")
        assert code == 0, err
        assert err == ""
        assert out.count("\n") == 1, "one object on one line, and nothing else"
        return json.loads(out)

    return command


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder in which a job was fitted, and the frames of it."""
    folder = tmp_path_factory.mktemp("fitted")
    frames, _ = job_frames()
    with contextlib.redirect_stdout(io.StringIO()):
        assert cli.main(["fit", str(write_job(folder, frames))]) == 0
    return folder, frames


def names(folder):
    """Of what is there, but for the checksums of it."""
    return {p.name for p in folder.iterdir()} - {RESULTS_SUMS}


def coefficients(path):
    return Solution.load(path).parameters.coefficients


# ---- plan


def test_plan_says_what_a_fit_needs(run_json, tmp_path):
    found = run_json("plan", write_job(tmp_path))
    blocks = {b: (p["frames"], p["rows"], p["columns"]) for b, p in found["blocks"].items()}
    assert blocks == {"C": (5, 215, 13), "N": (5, 215, 13), "CN": (8, 344, 51)}
    lattice = {b: (r["way"], r["frames"], r["columns"]) for b, r in found["lattice"]["blocks"].items()}
    assert lattice == {"C": ("fitted", 5, 13), "N": ("fitted", 5, 13), "CN": ("fitted", 8, 51)}
    assert found["blocks"]["CN"]["bytes"] == 8 * 344 * 51
    assert 0 < found["blocks"]["CN"]["nonzeros"] <= 344 * 51
    assert (found["workers"], found["executor"]) == (1, "serial")
    assert names(tmp_path) == {"input.toml", "data.extxyz"}, "a plan writes nothing"


def test_plan_for_people(run, tmp_path):
    path = write_job(tmp_path, hold_out={"groups": ["all"]}, data=[
        {"path": "data.extxyz"}, {"path": "copy.extxyz", "group_key": "config"}])  # fmt: skip
    (tmp_path / "copy.extxyz").write_text((tmp_path / "data.extxyz").read_text())
    code, out, err = run("plan", path)
    assert (code, err) == (0, "")
    lattice, costs = out.split("block  frames", 1)
    assert lattice.splitlines()[-2] == "3 blocks of 2 elements: 3 fitted; 77 columns, 51 in the largest fit"
    header, _, *rows = f"block  frames{costs}".splitlines()
    assert header.split()[:4] == ["block", "frames", "tiles", "rows"]
    assert [r.split()[0] for r in rows[:3]] == ["C", "N", "CN"]
    assert "peak memory per worker" in rows[3]
    assert rows[4].startswith("12 summaries of rows, ")
    assert rows[5].startswith("CPU time of rows, priors and solve, by a ridge (estimate): ")
    assert rows[6].startswith("18 frames held out: counted neither above")
    for line in rows[7:9]:
        assert line.endswith("18 frames; energy 18 (key energy), forces 18 (key forces), stress 18 (key stress)")
    assert "WARNING: 18 of 18 frames that are held out are fitted as well" in out


def test_plan_of_all_at_once(run_json, tmp_path):
    found = run_json("plan", write_job(tmp_path), "--all-at-once")
    assert {b: p["frames"] for b, p in found["blocks"].items()} == {"C": 13, "N": 13, "CN": 8}


@pytest.mark.parametrize("words", [[], ["--all-at-once"], ["--partial", "CN:C", "--include-fewer"]])
@pytest.mark.parametrize("distance", [0.01, 0.6])
def test_a_plan_says_of_the_wall_what_the_fit_will_say(run_json, tmp_path, words, distance):
    """Word for word, by block; nothing where the wall stays clear of the frames, and nothing of frames held out."""
    frames = [replace(f, group="held" if i % 3 == 0 else "fitted") for i, f in enumerate(job_frames()[0])]
    path = write_job(
        tmp_path, frames, hold_out={"groups": ["held"]}, fit={"penalty": {"scale": 1e3, "distance": distance}}
    )
    planned = [n for n in run_json("plan", path, *words)["notes"] if "WARNING" in n]
    found = run_json("fit", path, *words)
    # whether the polynomials outweigh the wall is known after the fit
    fitted = {b: [n for n in s["notes"] if "acts on atoms" in n] for b, s in found["solutions"].items()}
    where = {b: "" if "--all-at-once" in words else f"block {b}: " for b in fitted}
    assert planned == [where[b] + n for b, notes in fitted.items() for n in notes]
    assert bool(planned) == (distance > 0.1)


def test_a_plan_counts_the_frames_of_the_fit_and_says_which_it_leaves_out(run, run_json, tmp_path):
    frames = [replace(f, group="held" if i % 3 == 0 else "fitted") for i, f in enumerate(job_frames()[0])]
    path = write_job(tmp_path, frames, hold_out={"groups": ["held"]})
    plan, fit = run_json("plan", path), run_json("fit", path)
    for block, own in plan["blocks"].items():
        rows = sum(r["rows"] for r in fit["solutions"][block]["residuals"].values())
        assert (own["rows"], own["columns"]) == (rows, fit["solutions"][block]["columns"])
    held = sum(f.group == "held" for f in frames)
    out = run("plan", path)[1]
    assert f"{held} frames held out: counted neither above nor among the distances below" in out
    assert f"shortest distances in the {len(frames) - held} frames to be fitted" in out


@pytest.mark.parametrize("verb", ["plan", "assemble", "fit"])
def test_what_cannot_fit_is_refused_with_both_numbers(run, tmp_path, verb):
    path = write_job(tmp_path, store={"memory": "1 MiB"})
    code, out, err = run(verb, path, "--json")
    assert (code, out) == (3, "")
    assert err.startswith("hiertl-dist: ResourceError: ")
    assert "of memory needed by each of 1 worker, 1 MiB available" in err
    assert names(tmp_path) == {"input.toml", "data.extxyz"}


def test_too_little_disk_is_refused_with_both_numbers(run, tmp_path, monkeypatch):
    monkeypatch.setattr("hiertl_dist.design_matrix.planning.free_disk", lambda path: 1000)
    code, _, err = run("plan", write_job(tmp_path))
    assert code == 3
    assert "0 MiB of disk needed" in err
    assert "keep_rows = false needs none" in err
    assert run("plan", write_job(tmp_path, store={"keep_rows": False}))[0] == 0


# ---- assemble


def test_assemble_computes_once(run, run_json, tmp_path):
    path = write_job(tmp_path)
    first, second = (run_json("assemble", path) for _ in range(2))
    assert first["computed"] > 0
    assert first["present"] == 0
    assert (second["computed"], second["present"]) == (0, first["computed"])
    assert first["rows"] == second["rows"] == 774
    assert first["store"] == str(tmp_path / "design.zarr" / small_basis(ORDERS).digest[:12])
    assert "0 tiles, labels and offsets computed" in run("assemble", path)[1]


def test_a_fit_uses_what_was_assembled(run, tmp_path):
    path = write_job(tmp_path)
    assert run("assemble", path)[0] == 0
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "design.zarr").glob("*/blocks/*/c/*/*")}
    assert len(times) == 3
    assert run("fit", path)[0] == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "design.zarr").glob("*/blocks/*/c/*/*")} == times


@pytest.mark.filterwarnings("default::hiertl_dist.errors.HiertlWarning")
def test_verify_repairs_a_damaged_tile(run, tmp_path):
    path = write_job(tmp_path)
    run("assemble", path)
    chunk = next((tmp_path / "design.zarr").glob("*/blocks/CN/c/*/*"))
    good = chunk.read_bytes()
    chunk.write_bytes(good[: len(good) // 2])
    code, _, err = run("fit", path)
    assert code == 2
    assert "StoreError" in err
    assert "blocks/CN" in err
    code, out, err = run("assemble", path, "--verify", "--json")
    found = json.loads(out)
    assert (code, found["computed"], len(found["repaired"])) == (0, 1, 1)
    assert str(chunk) in found["repaired"][0]
    assert "it was damaged" in err
    assert chunk.read_bytes() == good
    assert run("fit", path)[0] == 0


# ---- fit


def test_fit_writes_what_it_names(run_json, tmp_path):
    found = run_json("fit", write_job(tmp_path))
    assert {Path(f).name for f in found["files"]} == FITTED == names(tmp_path / RESULTS)
    assert all(Path(f).is_file() for f in found["files"])
    assert list(found["solutions"]) == ["C", "N", "CN"]
    assert found["solutions"]["CN"]["columns"] == 51
    errors = found["errors"]["hierarchical"]["fitted"]["all"]
    assert errors["frames"] == 18
    assert errors["force"] < 1e-8 < errors["force_rms"]
    report = json.loads((tmp_path / RESULTS / "report.json").read_text())
    assert report["solutions"] == found["solutions"]
    assert report["errors"] == found["errors"]


def test_fit_finds_the_truth(fitted):
    folder, _ = fitted
    _, truth = job_frames()
    model = Model.read(folder / RESULTS / "model.params.txt").parameters
    assert model.basis == truth.basis
    np.testing.assert_allclose(model.coefficients, truth.coefficients, rtol=0, atol=1e-5)
    for block in ("C", "N", "CN"):
        own = truth.restricted({block}).coefficients
        np.testing.assert_allclose(coefficients(folder / RESULTS / f"{block}.solution.npz"), own, rtol=0, atol=1e-5)


def test_fit_for_people(run, tmp_path):
    frames = [replace(f, group="held" if i % 6 == 0 else "all") for i, f in enumerate(job_frames()[0])]
    code, out, err = run("fit", write_job(tmp_path, frames, hold_out={"groups": ["held"]}, output={"units": "eV"}))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith("18 frames; energy 18 (key energy), forces 18 (key forces), stress 18 (key stress)")
    assert lines[1] == "block C: nothing frozen"
    assert "block CN: fit of C, fit of N frozen" in lines
    assert "fitted frames" in lines
    assert "held out frames" in lines
    assert sum(line.endswith("forces in eV/Å, energies in eV/atom, stresses in GPa") for line in lines) == 2
    assert sum(line.startswith("  ") and "model.params.txt" in line for line in lines) == 1


@pytest.mark.parametrize("how", ["option", "input"])
def test_streaming_writes_no_store(run, tmp_path, fitted, how):
    path = write_job(tmp_path, store={"keep_rows": False} if how == "input" else None)
    assert run("fit", path, *(["--no-keep-rows"] if how == "option" else []))[0] == 0
    assert names(tmp_path) == {"input.toml", "data.extxyz", RESULTS}
    kept, streamed = (coefficients(f / RESULTS / "CN.solution.npz") for f in (fitted[0], tmp_path))
    np.testing.assert_array_equal(kept, streamed)


@pytest.mark.parametrize("words", [[], ["--checkpoint", "elsewhere"], ["--no-checkpoint"]], ids=" ".join)
def test_a_fit_that_a_signal_stopped_goes_on(run, tmp_path, monkeypatch, fitted, words):
    """Two blocks are reduced, then it is told to stop; the same command then reduces the third."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(row_pass, "WORTH_SECONDS", 0.0)
    path = write_job(tmp_path, store={"keep_rows": False})
    reduced, reduce_leaf = [], row_pass.reduce_leaf

    def counting(segments, **how):
        reduced.append(segments)
        if len(reduced) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return reduce_leaf(segments, **how)

    monkeypatch.setattr(row_pass, "reduce_leaf", counting)
    code, _, err = run("fit", path, *words)
    assert code == 75
    assert "hiertl-dist: stopped by SIGTERM; what is complete is kept, and the same command" in err
    folder = tmp_path / (words[1] if words[1:] else f"{RESULTS}/checkpoint")
    assert len(list(folder.glob("*/*.range"))) == (0 if "--no-checkpoint" in words else 2)
    assert not list(tmp_path.rglob("*.partial"))
    assert run("fit", path, *words)[0] == 0
    assert len(reduced) == (5 if "--no-checkpoint" in words else 3)
    assert not folder.exists()
    kept, streamed = (coefficients(f / RESULTS / "CN.solution.npz") for f in (fitted[0], tmp_path))
    np.testing.assert_array_equal(kept, streamed)


def test_some_blocks_only(run_json, tmp_path):
    found = run_json("fit", write_job(tmp_path), "--blocks", "C", "--output", tmp_path / "C_only")
    assert list(found["solutions"]) == ["C"]
    assert names(tmp_path / "C_only") == {
        "C.covariance.npz", "C.params.txt", "C.solution.npz", "model.params.txt", "report.json", "report.txt",
        "run.json",
    }  # fmt: skip
    # frames with N say nothing of a model of C
    assert {c: e["frames"] for c, e in found["errors"]["hierarchical"]["fitted"].items()} == {"C": 5}


def test_frozen_files_instead_of_fits(run_json, tmp_path, fitted):
    results = fitted[0] / RESULTS
    path = write_job(tmp_path, frozen={"files": [str(results / "C.params.txt")]})
    found = run_json("fit", path, "--frozen", results / "N.solution.npz")
    assert list(found["solutions"]) == ["CN"]
    assert set(found["solutions"]["CN"]["frozen"]) == {str(results / "C.params.txt"), str(results / "N.solution.npz")}
    assert found["errors"]["hierarchical"]["fitted"]["all"]["force"] < 1e-8


@pytest.mark.parametrize("how", ["option", "input"])
def test_lower_blocks_left_free(run_json, tmp_path, how):
    path = write_job(tmp_path, fit={"partial": ["C"]} if how == "input" else None)
    found = run_json("fit", path, *(["--partial", "N-C:C"] if how == "option" else []))
    assert found["solutions"]["CN"]["blocks"] == ["C", "CN"]
    assert set(found["solutions"]["CN"]["frozen"]) == {"fit of N"}


def test_all_at_once_beside_the_hierarchy(run_json, tmp_path):
    path = write_job(tmp_path)
    found = run_json("fit", path, "--all-at-once")
    assert list(found["solutions"]) == ["all at once"]
    assert names(tmp_path / RESULTS) == TOGETHER | {"report.json", "report.txt", "run.json"}
    found = run_json("fit", path, "--all-at-once", "--also-hierarchical")
    assert list(found["errors"]) == ["hierarchical", "all at once"]
    own = TOGETHER
    assert names(tmp_path / RESULTS) == FITTED | own | {"earlier_1"}
    assert names(tmp_path / RESULTS / "earlier_1") == own | {"report.json", "report.txt", "run.json"}


def test_what_is_computed_is_kept_when_a_later_block_fails(run, tmp_path):
    # normal equations that the one block refuses: none of its rows is wrong, so nothing can be refused beforehand
    fit = {"blocks": {"N": {"method": "gram", "weights": {"force": 0.0, "stress": 0.0}}}}
    code, _, err = run("fit", write_job(tmp_path, fit=fit))
    assert code == 2
    assert "UnsafeGram" in err
    assert names(tmp_path / RESULTS) == {"C.covariance.npz", "C.params.txt", "C.solution.npz"}
    assert coefficients(tmp_path / RESULTS / "C.solution.npz").shape == (13,)


def test_settings_of_blocks_reach_the_fit(run_json, tmp_path):
    fit = {"regulariser": {"kind": "ridge", "alpha": 1e-4}, "blocks": {"N": {"regulariser": {"kind": "ridge",
                                                                                         "alpha": 10.0}}}}  # fmt: skip
    found = run_json("fit", write_job(tmp_path, fit=fit))["solutions"]
    assert {b: s["regulariser"]["alpha"] for b, s in found.items()} == {"C": 1e-4, "N": 10.0, "CN": 1e-4}


def test_policies_of_blocks_need_no_store(run, tmp_path):
    path = write_job(tmp_path, fit={"blocks": {"CN": {"policy": "damp"}}})
    code, _, err = run("fit", path)
    assert code == 2
    assert "fit.blocks.CN.policy is 'damp', fit.policy is 'refuse'" in err
    assert run("fit", path, "--no-keep-rows")[0] == 0


def test_fit_from_an_fm_setup(run, run_json, tmp_path):
    setup = write_fm_setup(tmp_path, random_frames({"C": 5, "N": 5, "CN": 8}))
    basis = Input.from_dict({"fm_setup": str(setup)}).basis
    truth = random_parameters(basis, 4)
    write_fm_setup(tmp_path, labelled(random_frames({"C": 5, "N": 5, "CN": 8}), truth))
    path = write_toml(tmp_path / "input.toml", fm_setup="fm_setup.in", executor={"kind": "serial"})
    assert list(run_json("fit", path)["solutions"]) == ["C", "N", "CN"]
    found = Model.read(tmp_path / RESULTS / "model.params.txt").parameters
    np.testing.assert_allclose(found.coefficients, truth.coefficients, rtol=0, atol=1e-5)
    assert "note: ATMMASS: masses have no effect on a fit" in run("fit", path)[1]


# ---- evaluate


def test_evaluate_is_the_report_of_the_fit(run_json, fitted):
    folder, frames = fitted
    report = json.loads((folder / RESULTS / "report.json").read_text())["errors"]["hierarchical"]["fitted"]
    found = run_json("evaluate", folder / RESULTS / "model.params.txt", "--frames", folder / "data.extxyz",
                     "--executor", "serial")  # fmt: skip
    assert found["errors"] == report
    assert [p["index"] for p in found["frames"]] == list(range(18))
    energies = [p["energy"] for p in found["frames"]]
    np.testing.assert_allclose(energies, [f.energy for f in frames], rtol=1e-7)


def test_the_sum_of_block_files(run_json, fitted):
    folder, _ = fitted
    parts = [folder / RESULTS / n for n in ("C.params.txt", "N.solution.npz", "CN.params.txt")]
    options = ("--frames", folder / "data.extxyz", "--executor", "serial")
    whole = run_json("evaluate", folder / RESULTS / "model.params.txt", *options)
    total = run_json("evaluate", *parts, *options)
    assert [p["energy"] for p in total["frames"]] == pytest.approx([p["energy"] for p in whole["frames"]], rel=1e-9)


def test_frames_out_of_range_come_first_and_worst_first(run, run_json, fitted, tmp_path):
    folder, frames = fitted
    model = Model.read(folder / RESULTS / "model.params.txt")
    squeezed = [
        replace(f, positions=0.8 * f.positions, cell=0.8 * f.cell, group=g)
        for f, g in zip(frames[-2:], ("mild", "bad"), strict=True)
    ]
    squeezed = labelled([*frames[:3], *squeezed], model.parameters)
    forces = [0.0, 0.1, 0.1, 2.0, 5.0]
    mixed = [replace(f, forces=f.forces + d) for f, d in zip(squeezed, forces, strict=True)]
    path = write_extxyz(tmp_path / "new.extxyz", mixed)
    words = ("evaluate", folder / RESULTS / "model.params.txt", "--frames", path, "--group-key", "config",
             "--units", "kcal", "--executor", "serial")  # fmt: skip
    code, out, _ = run(*words)
    assert code == 0
    lines = out.splitlines()
    (at,) = [i for i, line in enumerate(lines) if "2 of 5 frames have distances" in line]
    assert "(median force error of the others 0.1000 kcal/mol/Å)" in lines[at]
    assert [line.split()[:3] for line in lines[at + 1 : at + 3]] == [
        ["5.000", "kcal/mol/Å", "bad,"], ["2.000", "kcal/mol/Å", "mild,"],
    ]  # fmt: skip
    assert "shorter than any it was fitted on" in lines[at + 1]
    found = run_json(*words)
    assert [bool(p["out_of_range"]) for p in found["frames"]] == [False, False, False, True, True]
    assert found["errors"]["all"]["out_of_range"] == 2


def test_units_of_evaluate(run, fitted):
    folder, _ = fitted
    words = ("evaluate", folder / RESULTS / "CN.params.txt", folder / RESULTS / "C.params.txt", "--frames",
             folder / "data.extxyz", "--executor", "serial", "--missing", "zero", "--units")  # fmt: skip
    assert "forces in eV/Å" in run(*words, "eV")[1]
    assert "forces in kcal/mol/Å" in run(*words, "kcal")[1]


def test_a_model_and_its_own_block_are_not_counted_twice(run, fitted):
    folder, _ = fitted
    words = ("evaluate", folder / RESULTS / "model.params.txt", folder / RESULTS / "C.params.txt", "--frames",
             folder / "data.extxyz", "--executor", "serial")  # fmt: skip
    code, _, err = run(*words)
    assert code == 2
    assert "its terms would count twice" in err
    assert "model.params.txt" in err
    assert "C.params.txt" in err
    assert run(*words, "--add")[0] == 0


def test_elements_that_a_model_lacks(run, run_json, fitted):
    folder, _ = fitted
    words = ("evaluate", folder / RESULTS / "C.params.txt", "--frames", folder / "data.extxyz", "--executor", "serial")
    code, _, err = run(*words)
    assert code == 2
    assert "data.extxyz, frame 6" in err
    assert "the model has elements C, the frame also N" in err
    assert run_json(*words, "--ignore-other-elements")["errors"]["all"]["frames"] == 18


def test_missing_labels_are_null(run_json, fitted, tmp_path):
    folder, frames = fitted
    bare = [f.without_labels(forces=True, stress=True) for f in frames[:2]]
    path = write_extxyz(tmp_path / "bare.extxyz", bare)
    found = run_json("evaluate", folder / RESULTS / "C.params.txt", "--frames", path, "--executor", "serial")
    assert found["errors"]["C"]["force"] is None
    assert found["errors"]["C"]["energy"] < 1e-8
    assert found["frames"][0]["stress_rmse_gpa"] is None


# ---- doctor, demo


def test_doctor(run_json, run):
    code, out, err = run("doctor", "--executor", "serial", "--json")
    found = json.loads(out)
    assert code == (4 if found["problems"] else 0)
    assert err == ""
    assert isinstance(found["problems"], list)


def test_demo_is_a_job_that_can_be_changed(tmp_path):
    job = demo.demo_input(tmp_path / "demo")
    demo.write_demo_input(tmp_path / "demo", SerialExecutor(), print)
    assert job.output == tmp_path / "demo"
    assert job.store == tmp_path / "demo" / "design.zarr"
    fitted, held = job.read_frames()
    assert {"".join(sorted(f.elements)) for f in fitted} == {"".join(sorted(f.elements)) for f in held}
    assert {"C", "N", "CN"} <= {"".join(sorted(f.elements)) for f in fitted}
    assert not {f.group for f in fitted} & {f.group for f in held}, "whole trajectories are held out"
    again = Input.from_toml(tmp_path / "demo" / "input.toml")
    assert again.basis == job.basis
    assert again.fit == job.fit
    assert len(again.read_frames()[0]) == len(fitted)


@pytest.fixture
def small_demo(monkeypatch):
    """The demo with a tenth of its columns and every twelfth frame."""
    whole, read = demo.demo_input, Input.read_frames

    def small(folder):
        job = whole(folder)
        types = [replace(t, order=2) if t.body > 2 else t for t in job.basis.types if t.body < 4]
        return replace(job, basis=job.basis.with_types(types))

    monkeypatch.setattr(demo, "demo_input", small)
    monkeypatch.setattr(Input, "read_frames", lambda job, *watch: tuple(part[::12] for part in read(job, *watch)))


def test_demo_without_matplotlib(run, tmp_path, small_demo, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    code, out, err = run("demo", "--folder", tmp_path / "demo", "--executor", "serial")
    assert (code, err) == (0, "")
    assert 'note: no parity.png without matplotlib: pip install "hiertl-dist[plot]"' in out
    assert not list((tmp_path / "demo").glob("parity*"))
    for text in ("fitted frames", "held out frames", "hierarchical, held out: ", "all at once, held out: "):
        assert text in out


def test_demo_runs_to_its_end(run_json, tmp_path, small_demo):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "demo"
    found = run_json("demo", "--folder", folder, "--executor", "serial")
    plots = {"parity.png", "parity.pdf"}
    expected = FITTED | plots | TOGETHER
    assert {Path(f).name for f in found["files"]} == expected
    assert names(folder) == expected | {"input.toml", "design.zarr"}
    assert (folder / "parity.png").read_bytes().startswith(b"\x89PNG")
    assert list(found["solutions"]) == ["C", "N", "CN", "all at once"]
    for errors in found["errors"].values():
        assert list(errors) == ["fitted", "held out"]
        for table in errors.values():
            assert table["all"]["force"] < 0.8 * table["all"]["force_rms"], "it learned something"


# ---- summarise, search


SEARCH = {
    "folds": {"count": 3, "split": "group"},
    "grid": {"regulariser": {"kind": "ridge", "alpha": [1e-4, 1.0]}, "exclude": [[], ["4B"]]},
}  # fmt: skip
SEARCHED = FITTED - {"report.json", "report.txt"} | {"search.json", "search"}


@pytest.fixture
def search_job(tmp_path):
    """An input with a small grid; every sixth frame is held out."""
    frames = [replace(f, group=("held" if i % 6 == 0 else "abc"[i // 2 % 3])) for i, f in enumerate(job_frames()[0])]
    return write_job(tmp_path, frames, search=SEARCH, hold_out={"groups": ["held"]})


def test_summarise_says_what_is_there(run, run_json, search_job):
    found = run_json("summarise", search_job)
    (folder,) = (search_job.parent / "summaries").iterdir()
    assert found["store"] == str(folder)
    assert found["bytes"] == sum(p.stat().st_size for p in folder.iterdir())
    counts = {s: (own["force"], own["stress"], own["energy"]) for s, own in found["element_sets"].items()}
    assert counts == {s: (36 * n, 6 * n, n) for s, n in {"C": 4, "N": 4, "CN": 7}.items()}
    assert found["rows"] == sum(map(sum, counts.values())) == 43 * 15
    assert found["groups"] == sum(own["groups"] for own in found["element_sets"].values())
    sizes = found["folds"].pop("frames")
    assert (len(sizes), sum(sizes), min(sizes) > 0) == (3, 15, True)
    assert found["folds"] == {"count": 3, "split": "group", "seed": 0, "stratify": True}
    assert len(found["batches"]) == len(found["new_batches"]) == 3
    again = run_json("summarise", search_job)
    assert again["folds"].pop("frames") == sizes
    assert again == found | {"new_batches": []}
    code, out, err = run("summarise", search_job)
    assert (code, err) == (0, "")
    assert f"{folder}: {found['groups']} groups of 645 rows" in out
    assert "0 of 3 batches new" in out
    assert f"3 folds by group, seed 0, stratified by composition: {', '.join(map(str, sizes))} frames" in out
    assert names(search_job.parent) == {"input.toml", "data.extxyz", "summaries", "design.zarr"}


def test_search_writes_what_it_names(run_json, search_job):
    found = run_json("search", search_job, "--no-plot")
    results = search_job.parent / RESULTS
    assert {Path(f).name for f in found["files"]} | {"search"} == SEARCHED == names(results)
    written = json.loads((results / "search.json").read_text())
    assert list(written.pop("figures")) == ["fitted", "held out"]
    assert written == {k: v for k, v in found.items() if k != "notes"}
    assert [s["name"] for s in found["stages"]] == ["C", "N", "CN"]
    for stage in found["stages"]:
        chosen, solution = stage["chosen"], Solution.load(results / f"{stage['name']}.solution.npz")
        assert len(stage["candidates"]) == 4
        own = {k: v for k, v in chosen.items() if k not in ("index", "solution", "basis", "basis_digest")}
        assert stage["candidates"][chosen["index"]] == own
        assert solution.regulariser == chosen["regulariser"]
        assert solution.parameters.basis.digest == chosen["basis_digest"]
        assert chosen["solution"]["frozen"] == {f["source"]: f["digest"] for f in stage["frozen"]}
        assert chosen["columns"] == solution.n_columns
    assert {f["source"] for f in found["stages"][2]["frozen"]} == {"fit of C", "fit of N"}
    model = Model.read(results / "model.params.txt").parameters
    assert len(model.coefficients) == found["model"]["columns"]
    assert found["errors"]["fitted"]["all"]["frames"] == 15
    assert found["errors"]["held out"]["all"]["frames"] == 3, "held out of the folds, too"
    assert sum(s["frames"] for s in found["stages"]) == 15
    assert sorted(found["summaries"]["batches"].values()) == ["C", "CN", "N"]
    assert [found["summaries"]["path"]] == list(map(str, (search_job.parent / "summaries").iterdir()))
    assert found["settings"]["folds"]["split"] == "group"
    assert found["versions"]["hiertl-dist"]


def test_search_finds_what_the_labels_are_made_of(run_json, search_job):
    found = run_json("search", search_job, "--no-plot", "--rule", "best")
    assert found["settings"]["rule"] == "best"
    for stage in found["stages"]:
        scores = [c["score"] for c in stage["candidates"]]
        assert stage["chosen"]["index"] == stage["best"] == scores.index(min(scores))
        assert stage["chosen"]["regulariser"]["alpha"] == 1e-4
    assert found["errors"]["held out"]["all"]["force"] < 0.1 * found["errors"]["held out"]["all"]["force_rms"]


def test_search_for_people(run, search_job):
    code, out, err = run("search", search_job, "--no-plot", "--output", search_job.parent / "elsewhere")
    assert (code, err) == (0, "")
    assert sum(line.startswith("→ ") for line in out.splitlines()) == 4, "three stages, and what it means"
    for text in (
        "CN: fit of C, fit of N frozen", "  4 models, 3 folds each, in 2 parts", "the chosen model, held out frames",
        "all types, ridge alpha 0.0001", "without 4B, ridge alpha 1", "elsewhere/search.json",
    ):  # fmt: skip
        assert text in out
    again = run("search", search_job, "--no-plot", "--output", search_job.parent / "elsewhere")[1]
    assert again.count("in 2 parts, 2 of which are there already") == 3
    assert again.partition("\n\n")[2] == out.partition("\n\n")[2]


def test_search_all_at_once_and_the_plot(run_json, search_job):
    pytest.importorskip("matplotlib")
    found = run_json("search", search_job, "--all-at-once")
    results = search_job.parent / RESULTS
    assert names(results) == {
        *TOGETHER, "model.params.txt", "search.json", "search.png", "search.pdf", "search", "run.json",
    }  # fmt: skip
    assert (results / "search.png").read_bytes().startswith(b"\x89PNG")
    (stage,) = found["stages"]
    assert (stage["blocks"], stage["frames"]) == (["C", "N", "CN"], 15)
    assert found["notes"][0].endswith("forces 18 (key forces), stress 18 (key stress)")
    assert found["notes"][1] == "C, N, CN together: nothing frozen"


@pytest.mark.parametrize(("asked", "code"), [([], 0), (["--plot"], 2)], ids=["not asked for", "asked for"])
def test_a_plot_without_matplotlib(run, search_job, monkeypatch, asked, code):
    monkeypatch.setattr("hiertl_dist.jobs.search_job.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    found, out, err = run("search", search_job, *asked)
    assert found == code
    assert ("note: no search.png, for matplotlib is not there" in out) == (not asked)
    assert ("ModuleNotFoundError" in err) == bool(asked)
    assert (search_job.parent / "summaries").exists() == (not asked), "known before anything is computed"


def test_a_frame_that_is_held_out_since_is_not_fitted_in_silence(run, search_job):
    assert run("summarise", search_job)[0] == 0
    text = search_job.read_text().replace('["held"]', '["held", "a"]')
    search_job.write_text(text)
    code, out, err = run("search", search_job, "--no-plot", "--json")
    assert (code, out) == (2, "")
    assert err.startswith("hiertl-dist: StoreError: ")
    assert "frames that are not among those to be fitted (held out since?)" in err


def test_other_folds_go_to_another_store(run_json, search_job):
    first = run_json("summarise", search_job)
    search_job.write_text(search_job.read_text().replace('"count" = 3', '"count" = 2'))
    second = run_json("summarise", search_job)
    assert first["store"] != second["store"]
    assert len(second["folds"]["frames"]) == 2
    assert len(list((search_job.parent / "summaries").iterdir())) == 2
    assert {Path(s).parent for s in (first["store"], second["store"])} == {search_job.parent / "summaries"}


def test_other_folds_than_those_of_a_store_that_is_named_itself(run, run_json, search_job):
    unnamed(Path(run_json("summarise", search_job)["store"]))
    assert run_json("summarise", search_job)["new_batches"] == []
    search_job.write_text(search_job.read_text().replace('"count" = 3', '"count" = 2'))
    code, _, err = run("summarise", search_job)
    assert code == 2
    assert "folds.count: 3 in the store, 2 now" in err
    assert "--fresh" in err
    code, out, err = run("summarise", search_job, "--fresh")
    assert (code, err) == (0, "")
    assert f"{search_job.parent / 'summaries'}: a new store is made; the one that was there is" in out
    assert names(search_job.parent) >= {"summaries", "summaries.old"}


# ---- exit codes, and what scripts see


def test_wrong_words_are_refused_by_the_grammar(capsys, tmp_path):
    for words in ([], ["fly"], ["plan"], ["plan", "x.toml", "--executor", "threads"], ["merge", "a"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(words)
        assert caught.value.code == 2
        assert "usage: hiertl-dist" in capsys.readouterr().err


def failing(error):
    def fail(*args, **kwargs):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code"),
    [(ValueError("no"), 2), (KeyError("no"), 2), (ZeroDivisionError("no"), 2), (FileNotFoundError("no"), 2),
     (ModuleNotFoundError("no"), 2), (base.TaskFailed("no"), 1), (UnknownBlockError("no"), 2),
     (ConvergenceError("no", 1.0), 1), (UnsafeGram("no", 1e9), 2)],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_an_error_is_one_line_and_a_code(run, tmp_path, monkeypatch, error, code):
    monkeypatch.setattr(jobs, "plan_job", failing(error))
    found, out, err = run("plan", write_job(tmp_path))
    assert (found, out) == (code, "")
    assert err == f"hiertl-dist: {type(error).__name__}: no\n"


@pytest.mark.parametrize(
    ("cause", "code"), [(InputError("no"), 2), (ConvergenceError("no", 1.0), 1), (UnsafeGram("no", 1e9), 1)],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_a_task_that_fails_for_wrong_input_has_its_code(run, tmp_path, monkeypatch, cause, code):
    error = base.TaskFailed("no")
    error.__cause__ = cause
    monkeypatch.setattr(jobs, "plan_job", failing(error))
    assert run("plan", write_job(tmp_path))[0] == code


def test_interrupted(run, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "fit_job", failing(KeyboardInterrupt))
    code, _, err = run("fit", write_job(tmp_path))
    assert code == 130
    assert "what is complete of stores and data sets is kept, and the same command goes on from there" in err


def test_a_failed_task_is_no_fault_of_the_input(run, tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "plot_parity", failing(RuntimeError("no ink")))
    code, _, err = run("fit", write_job(tmp_path), "--plot")
    assert code == 1
    assert "parity.png: it failed with RuntimeError: no ink" in err
    assert err.startswith("where it was raised:\nTraceback"), "what nobody foresaw"


def test_doctor_with_problems(run, monkeypatch):
    class Ill:
        speaks, problems = True, ("numba has no cache",)

        def as_dict(self):
            return {"problems": self.problems}

        def text(self):
            return "problems: " + " ".join(self.problems)

    monkeypatch.setattr(doctor, "diagnose", lambda kind: Ill())
    assert run("doctor")[:2] == (4, "problems: numba has no cache\n")
    code, out, _ = run("doctor", "--json")
    assert (code, json.loads(out)) == (4, {"problems": ["numba has no cache"]})


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_bars_on_terminals_alone(run, tmp_path, monkeypatch, terminal):
    monkeypatch.setattr(progress, "SECONDS_BEFORE_BAR", 0.0)
    screen = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    code, out, _ = run("fit", write_job(tmp_path), "--json")
    assert code == 0
    assert ("assemble: " in screen.getvalue()) == terminal
    assert terminal or screen.getvalue() == ""
    json.loads(out)


def hiertl_dist(*words, timeout=120):
    return subprocess.run(
        [str(w) for w in (SCRIPT, *words)], env=environment(), capture_output=True, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip


def test_the_installed_command():
    assert SCRIPT.exists(), "hiertl-dist is not beside python: the package is not installed here"
    done = hiertl_dist("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("hiertl-dist ")


@pytest.mark.parametrize(("executor", "workers"), [("processes", 2), ("dask", 1)])
def test_a_real_process_prints_one_object(tmp_path, executor, workers, fitted):
    done = hiertl_dist("fit", write_job(tmp_path), "--executor", executor, "--workers", workers, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["errors"]["hierarchical"]["fitted"]["all"]["frames"] == 18
    for block in ("C", "N", "CN"):
        np.testing.assert_array_equal(
            *(coefficients(f / RESULTS / f"{block}.solution.npz") for f in (tmp_path, fitted[0]))
        )


def test_a_real_process_fails_without_a_traceback(tmp_path):
    done = hiertl_dist("plan", tmp_path / "none.toml", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    text = f"input file: there is no file {tmp_path / 'none.toml'}; the folder {tmp_path} is empty"
    assert done.stderr == f"hiertl-dist: MissingFileError: {text}\n"
