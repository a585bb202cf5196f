"""Reports of many frames: the same of a list and of a data set, whoever works, and against explicit evaluations."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from job_files import job_frames, write_extxyz, write_job
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import Dataset, Frame, Model
from hiertl_dist.cli import commands as cli
from hiertl_dist.evaluation.coverage import OutOfRange, coverage_report, joined_coverage
from hiertl_dist.evaluation.energies import Evaluation
from hiertl_dist.evaluation.pair_forces import with_force
from hiertl_dist.evaluation.sums import sum_evaluations
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.frames.frame_sequence import FrameList, JoinedFrames
from hiertl_dist.jobs import evaluated as evaluated_module
from hiertl_dist.jobs import evaluating, samples
from hiertl_dist.jobs.csv_tables import frames_csv
from hiertl_dist.jobs.error_tables import names_and_codes
from hiertl_dist.jobs.evaluate_job import evaluate_job
from hiertl_dist.jobs.evaluating import evaluate_frames, evaluated_of
from hiertl_dist.jobs.figures import parity_figure
from hiertl_dist.jobs.flagged import FlaggedPairs
from hiertl_dist.jobs.input_file import Input
from hiertl_dist.jobs.label_sums import LabelSums, joined_sums
from hiertl_dist.jobs.report import warnings_text
from hiertl_dist.jobs.samples import spread_evenly

SERIAL = SerialExecutor()
BASIS = small_basis((3, 2, 0))
MODEL = Model(replace(random_parameters(BASIS, 1), coverage={"C:CC": (1.8, 4.0), "CN:CC": (2.0, 3.9)}))
RESULTS = "hiertl_results"


def few_labels(frames):
    """The frames, some of which lack labels or components of the stress."""
    out = []
    for i, frame in enumerate(frames):
        own = frame.without_labels(forces=i % 7 == 0, energy=i % 5 == 0, stress=i % 3 == 0)
        if i % 4 == 0 and own.stress is not None:
            own = replace(own, stress=np.where(np.arange(6) == 2, np.nan, own.stress))
        out.append(own)
    return out


FRAMES = few_labels(labelled(random_frames({"C": 17, "N": 5, "CN": 18}, groups=("a", "b", "all")),
                             random_parameters(BASIS, 2)))  # fmt: skip
FOUND = MODEL.evaluate(FRAMES)


def everything(evaluated):
    """All that reports and tables are made of."""
    return {
        "errors": {k: vars(e) for k, e in evaluated.errors.items()},
        "groups": {k: vars(e) for k, e in evaluated.group_errors.items()},
        "frames": evaluated.predictions(), "out of range": evaluated.out_of_range(),
        "coverage": [[vars(c) for c in own] for own in evaluated.coverage],
        "points": {k: [np.asarray(x).tolist() for x in p] for k, p in evaluated.points.items()},
    }  # fmt: skip


def assert_alike(one, other, rel=1e-12):
    """Equal, numbers but for the order in which they were added up."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_alike(one[key], other[key], rel)
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_alike(a, b, rel)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=rel, abs=1e-12, nan_ok=True)
    else:
        assert one == other


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    return Dataset.create(tmp_path_factory.mktemp("data") / "all.frames", FRAMES, executor=SERIAL)


def test_runs_of_frames_say_what_all_of_them_say(monkeypatch):
    whole = everything(evaluated_of(FRAMES, FOUND, points=True))
    whole["coverage"] = [
        [vars(with_force(MODEL, c)) for c in coverage_report(MODEL.coverage, [e.ranges for e in FOUND])]
    ]
    for atoms in (1, 50, 4096):
        monkeypatch.setattr(evaluating, "CHUNK_ATOMS", atoms)
        monkeypatch.setattr(evaluating, "CHUNKS", 1)
        assert len(evaluating._chunks(FrameList(FRAMES))) == {1: 40, 50: 10, 4096: 1}[atoms]
        assert_alike(everything(evaluate_frames([MODEL], FRAMES, points=True)), whole)


def test_a_data_set_and_a_list_give_the_same_bits(on_disk):
    of_list = everything(evaluate_frames([MODEL], FRAMES, points=True))
    assert repr(everything(evaluate_frames([MODEL], on_disk, points=True))) == repr(of_list)
    joined = JoinedFrames([on_disk[:13], FrameList(FRAMES[13:])])
    assert repr(everything(evaluate_frames([MODEL], joined, points=True))) == repr(of_list)
    shuffled = np.random.default_rng(0).permutation(len(FRAMES))
    some = everything(evaluate_frames([MODEL], on_disk.take(shuffled)))
    assert repr(some) == repr(everything(evaluate_frames([MODEL], [FRAMES[i] for i in shuffled])))


def test_bits_do_not_depend_on_who_works(on_disk, two_processes):
    expected = repr(everything(evaluate_frames([MODEL], on_disk, SERIAL, points=True)))
    assert repr(everything(evaluate_frames([MODEL], on_disk, two_processes, points=True))) == expected


def test_a_sum_of_models_is_that_of_its_evaluations():
    other = Model(replace(random_parameters(small_basis((2, 0, 0)), 4), coverage={"CN:CC": (1.0, 9.0)}))
    parts = [m.evaluate(FRAMES) for m in (MODEL, other)]
    total = sum_evaluations(parts, [MODEL.coverage, other.coverage])
    expected = everything(evaluated_of(FRAMES, total))
    expected["coverage"] = [
        [vars(with_force(m, c)) for c in coverage_report(m.coverage, [e.ranges for e in own])]
        for m, own in zip((MODEL, other), parts, strict=True)
    ]
    assert_alike(everything(evaluate_frames([MODEL, other], FRAMES)), expected)


def test_errors_of_stress_labels_about_a_large_mean():
    """Of the spread of labels nothing is lost in their sum."""
    rng = np.random.default_rng(0)
    stresses = 1e6 + 1e-3 * rng.normal(size=(4000, 6))
    stresses[rng.random(stresses.shape) < 0.1] = np.nan
    codes = rng.integers(0, 3, len(stresses))
    nothing = np.zeros((len(stresses), 2, 4)), np.zeros((len(stresses), 2))
    parts = [
        LabelSums.of_frames(codes[i : i + 7], nothing[0][i : i + 7], nothing[1][i : i + 7], stresses[i : i + 7])
        for i in range(0, len(stresses), 7)
    ]
    total = joined_sums(parts, 3)
    for k in range(3):
        own = stresses[codes == k]
        assert total.about_means(k) == (pytest.approx((np.nanvar(own, axis=0) * np.isfinite(own).sum(axis=0)).sum(),
                                                      rel=1e-6), 6)  # fmt: skip


def test_flags_as_columns_are_the_same_flags():
    listed = [(), (OutOfRange("CN", (3, 7), 0.95, (1.1, 4.9)), OutOfRange("CC", (0, 1), 5.5, (1.0, 4.9))), (),
              (OutOfRange("NN", (1, 2), 0.5, (1.2, 4.0)),)]  # fmt: skip
    whole = FlaggedPairs.of_frames(listed)
    parts = [FlaggedPairs.of_frames(listed[i : i + 1]) for i in range(4)]
    for flags in (whole, FlaggedPairs.joined(parts, range(4))):
        assert [flags.of(i) for i in range(4)] == listed
        assert flags.numbers().tolist() == [1, 3]
    assert FlaggedPairs.joined([], []).numbers().tolist() == []


def test_coverage_of_parts():
    ranges = [e.ranges for e in FOUND]
    parts = [coverage_report(MODEL.coverage, ranges[i : i + 3]) for i in range(0, len(ranges), 3)]
    assert joined_coverage(MODEL.coverage, parts) == coverage_report(MODEL.coverage, ranges)


def test_of_no_frames():
    for nothing in (evaluated_of([], []), evaluate_frames([MODEL], []), evaluate_frames([MODEL], [], SERIAL)):
        assert (nothing.errors, nothing.group_errors, nothing.predictions()) == ({}, {}, [])
        assert nothing.whole.frames == 0


# ---- what is too many to be listed


def test_of_very_many_frames_predictions_are_left_out_and_it_is_said(monkeypatch):
    monkeypatch.setattr(evaluated_module, "MOST_LISTED", 39)
    report = evaluate_job([MODEL], FRAMES, SERIAL).as_dict()
    assert report["frames"] == []
    assert "predictions of 40 frames are not listed, which is done for at most 39" in report["frames_left_out"]
    monkeypatch.setattr(evaluated_module, "MOST_LISTED", 40)
    report = evaluate_job([MODEL], FRAMES, SERIAL).as_dict()
    assert len(report["frames"]) == 40
    assert "frames_left_out" not in report


def test_of_very_many_frames_out_of_range_the_worst_are_listed(monkeypatch):
    flagged = [replace(e, out_of_range=(OutOfRange("CC", (0, 1), 0.5, (1.0, 2.0)),)) for e in FOUND]
    evaluated = evaluated_of(FRAMES, flagged)
    assert evaluated.out_of_range_left_out is None
    everyone = evaluated.out_of_range()
    assert len(everyone) == 40
    monkeypatch.setattr(evaluated_module, "MOST_LISTED", 4)
    some = evaluated.out_of_range()
    worst = sorted(everyone, key=lambda f: -np.nan_to_num(f["force"]))[:4]
    assert [f["index"] for f in some] == sorted(f["index"] for f in worst)
    assert str(some) == str([everyone[f["index"]] for f in some])
    assert "of 40 frames that are out of range those 4 with the largest force errors" in evaluated.out_of_range_left_out
    assert "40 of 40 frames" in warnings_text(evaluated)


def test_a_sample_of_labels_is_bounded_spread_and_in_step_with_nothing(monkeypatch):
    n, share = 300_000, 0.1
    chosen = np.concatenate([first + spread_evenly(first, 1000, share) for first in range(0, n, 1000)])
    assert chosen.tolist() == spread_evenly(0, n, share).tolist(), "whoever draws which part of it"
    assert len(chosen) == pytest.approx(share * n, rel=1e-3)
    assert np.diff(chosen).max() < 30
    for period in (2, 3, 6, 10, 24):
        assert np.bincount(chosen % period) == pytest.approx(len(chosen) / period, rel=0.02)
    monkeypatch.setattr(samples, "MOST_POINTS", 100)
    evaluated = evaluate_frames([MODEL], FRAMES, points=True)
    for kind in ("force", "stress"):
        assert len(evaluated.points[kind].labels) == pytest.approx(100, abs=5)
    found = evaluated.points["force"]
    pairs = {(i, a, b) for i, (f, e) in enumerate(zip(FRAMES, FOUND, strict=True)) if f.forces is not None
             for a, b in zip(f.forces.ravel().tolist(), e.forces.ravel().tolist(), strict=True)}  # fmt: skip
    drawn = set(zip(found.frames.tolist(), found.labels.tolist(), found.values.tolist(), strict=True))
    assert drawn <= pairs
    assert np.bincount(found.frames, minlength=len(FRAMES)).max() < 10, "not of some frames alone"


def test_a_panel_says_that_it_shows_a_sample(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(samples, "MOST_POINTS", 20)
    evaluated = evaluate_frames([MODEL], FRAMES, points=True)
    texts = [ax.texts[0].get_text() for ax in parity_figure({"": evaluated}).axes]
    for kind, text in zip(("force", "energy", "stress"), texts, strict=True):
        labels = evaluated.whole.of(kind).labels
        drawn = int(text.partition(f"N = {labels}, ")[2].partition(" drawn")[0])
        assert drawn == pytest.approx(20, abs=5)
        assert drawn < labels


def test_names_and_codes():
    names, codes = names_and_codes(("C", "CN", "C"), np.array([2, 1, 0, 2]))
    assert names == ("C", "CN")
    assert codes.tolist() == [0, 1, 0, 0]


# ---- files


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def test_rows_of_frames_are_written_one_by_one(on_disk, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluated_module, "AT_ONCE", 7)
    rows = [
        read_csv(frames_csv({"m": {"s": evaluate_frames([MODEL], f)}}, "eV").write(tmp_path)) for f in (FRAMES, on_disk)
    ]
    assert rows[0] == rows[1]
    assert [row[3] for row in rows[0][1:]] == [f.origin for f in FRAMES]


def results(folder):
    """Text of what a command wrote there, without names of folders, and without what a run was."""
    return {p.name: p.read_text().replace(str(folder), "") for p in (folder / RESULTS).iterdir()
            if p.suffix in (".json", ".csv") and p.name != "run.json"}  # fmt: skip


def test_a_fit_of_a_data_set_writes_what_that_of_its_files_does(tmp_path, capsys):
    frames = [replace(f, group="held" if i % 5 == 0 else f.group) for i, f in enumerate(job_frames()[0])]
    found = {}
    for name in ("files", "data set"):
        folder = tmp_path / name
        folder.mkdir()
        if name == "data set":
            source = write_extxyz(folder / "data.extxyz", frames)
            words = ["import", folder / "d.frames", source, "--group-key", "config", "--executor", "serial"]
            assert cli.main([str(w) for w in words]) == 0
            job = write_job(folder, frames, hold_out={"groups": ["held"]}, data=[{"path": "d.frames"}])
        else:
            job = write_job(folder, frames, hold_out={"groups": ["held"]})
        capsys.readouterr()
        assert cli.main(["fit", str(job), "--csv", "--all-at-once", "--also-hierarchical"]) == 0
        text = capsys.readouterr().out
        found[name] = results(folder) | {"text": text[text.index("conditioned on") : text.index("written:")]}
    reports = [json.loads(found[name].pop("report.json")) for name in found]
    assert len(reports[0].pop("labels")) == len(reports[1].pop("labels"))  # sources have other names
    assert reports[0] == reports[1]
    assert found["files"] == found["data set"]


def test_the_command_evaluates_a_data_set(on_disk, tmp_path, capsys):
    MODEL.write(tmp_path / "m.txt")
    words = ["evaluate", str(tmp_path / "m.txt"), "--frames", str(on_disk.path)]
    assert cli.main([*words, "--json", "--csv", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [f["origin"] for f in found["frames"]] == [f.origin for f in FRAMES]
    expected = evaluate_job([MODEL], FRAMES, SERIAL)
    assert found["errors"]["all"]["force"] == pytest.approx(expected.evaluated.whole.force, rel=1e-9)
    assert list(found["group_errors"]) == ["a", "all", "b"]
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    assert "force, eV/Å" in out
    assert "group-key" not in out, "groups are those of the data set"
    assert cli.main([*words, "--energy-key", "e"]) == 2
    assert "energy_key say how files are read: give them to hiertl-dist import" in capsys.readouterr().err


def test_inspect_and_init_look_at_a_data_set(on_disk, tmp_path, capsys):
    assert cli.main(["inspect", str(on_disk.path)]) == 0
    assert "40 frames" in capsys.readouterr().out
    assert cli.main(["init", str(on_disk.path), "-o", str(tmp_path / "input.toml")]) == 0
    frames, held_out = Input.from_toml(tmp_path / "input.toml").read_frames()
    assert sorted(f.digest for part in (frames, held_out) for f in part) == sorted(f.digest for f in FRAMES)
    assert isinstance(frames, Dataset)


def test_an_element_that_the_model_lacks_is_named_with_its_frame():
    strange = Frame(("H", "H"), np.array([[0.0, 0, 0], [0, 0, 1.0]]), energy=1.0, forces=np.zeros((2, 3)), origin="odd")
    with pytest.raises(Exception, match="odd: the model has elements C, N, the frame also H"):
        evaluate_frames([MODEL], [*FRAMES, strange], SERIAL)


def test_what_a_model_says_wrong_is_in_the_errors():
    found = [Evaluation(e.energy, e.forces * np.nan, e.stress) for e in FOUND]
    assert np.isnan(evaluated_of(FRAMES, found).whole.force_max)
