"""The summary of labels: counts, keys, look-alikes, notes and warnings by source; in Python and on the command line."""

from __future__ import annotations

import json
import pickle
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from job_files import job_frames, write_job

from hiertl_dist import Frame, read_frames
from hiertl_dist.cli import commands as cli
from hiertl_dist.errors import FrameError, HiertlWarning
from hiertl_dist.frames.label_summary import labels_text, summarise_labels
from hiertl_dist.frames.labels import LabelOrigin
from hiertl_dist.io.trajectories import iter_frames

LATTICE = 'Lattice="8 0 0 0 9 0 0 0 10"'
NINE = "1 0 0 0 1 0 0 0 1"


def write(folder: Path, comments: list[str], name: str = "data.extxyz", column: str = "forces") -> Path:
    path = folder / name
    path.write_text(
        "".join(
            f"1\n{LATTICE} Properties=species:S:1:pos:R:3:{column}:R:3 {c}\nC 0 0 0 0.1 0.2 {k}\n"
            for k, c in enumerate(comments)
        )
    )
    return path


def summary(path, **options):
    """What the summary says of the one source."""
    (source,) = summarise_labels(iter_frames(path, **options)).as_dict()
    return source


def test_everything_found(tmp_path, recwarn):
    path = write(tmp_path, [f'energy=-1 stress="{NINE}"'] * 3)
    source = summary(path)
    assert source["found"] == {"energy": {"energy": 3}, "forces": {"forces": 3}, "stress": {"stress": 3}}
    assert source["warnings"] == source["notes"] == []
    assert source["passed_over"] == source["left_out"] == {}
    assert source["line"] == f"{path}: 3 frames; energy 3 (key energy), forces 3 (key forces), stress 3 (key stress)"
    read_frames(path)
    assert not recwarn


@pytest.mark.parametrize(
    ("label", "name", "option"),
    [
        ("energy", "Energy", "energy"), ("energy", "REF_energy", "energy"), ("energy", "free_energy", "energy"),
        ("energy", "Etot", "energy"), ("energy", "TOTEN", "energy"), ("stress", "virial_stress", "stress"),
        ("energy", "dft-ENERGY", "energy"), ("energy", "energies", "energy"), ("energy", "TotEnergy", "energy"),
        ("forces", "force", "forces"), ("forces", "Forces", "forces"), ("forces", "dft_forces", "forces"),
        ("forces", "FORCES", "forces"), ("forces", "force_DFT", "forces"),
        ("stress", "virials", "virial"), ("stress", "Virial", "virial"), ("stress", "stresses", "stress"),
        ("stress", "REF_stress", "stress"), ("stress", "dft_virial", "virial"), ("stress", "STRESS", "stress"),
    ],
)  # fmt: skip
def test_look_alikes(tmp_path, label, name, option):
    """Said with the option that reads it, and the option does."""
    keys = {"energy": "energy=-1", "stress": f'stress="{NINE}"'}
    if label == "forces":
        path = write(tmp_path, [" ".join(keys.values())] * 2, column=name)
    else:
        own = {"energy": f"{name}=-1", "stress": f'{name}="{NINE}"'}[label]
        path = write(tmp_path, [" ".join({**keys, label: own}.values())] * 2)
    source = summary(path)
    assert source["found"][label] == {}
    assert source["passed_over"] == {label: {name: {"frames": 2, "without_the_label": 2}}}
    assert source["line"].endswith(f"; passed over: {name}")
    (said,) = source["warnings"]
    assert f"2 of 2 frames are without {label}; passed over, in how many of them: {name} (2)" in said
    assert f"{option}_key = '{name}' reads it" in said
    with pytest.warns(HiertlWarning, match=f"{option}_key = '{name}' reads it") as told:
        read_frames(path)
    assert len(told) == 1
    source = summary(path, **{f"{option}_key": name})
    assert source["found"][label] == {name: 2}
    assert source["warnings"] == []
    assert sum(map(len, source["found"].values())) == 3, "naming one key leaves the others on"


def test_look_alikes_beside_the_label_are_told_but_not_warned_of(tmp_path, recwarn):
    path = write(tmp_path, [f'energy=-1 free_energy=-1 REF_energy=-2 stress="{NINE}" virials="{NINE}"'])
    source = summary(path)
    assert source["warnings"] == []
    assert {label: list(own) for label, own in source["passed_over"].items()} == {
        "energy": ["free_energy", "REF_energy"], "stress": ["virials"]
    }  # fmt: skip
    read_frames(path)
    assert not recwarn


def test_a_label_missing_in_some_frames(tmp_path):
    path = write(tmp_path, ["energy=-1 Energy=-2", "Energy=-2", "other=3"])
    source = summary(path)
    assert source["found"]["energy"] == {"energy": 1}
    assert source["passed_over"]["energy"]["Energy"] == {"frames": 2, "without_the_label": 1}
    assert "2 of 3 frames are without energy; passed over, in how many of them: Energy (1)" in source["warnings"][0]


def test_a_named_key_in_some_frames_of_some_sources(tmp_path):
    write(tmp_path, ["e=-1", "energy=-1", "e=-1"], "a.extxyz")
    write(tmp_path, ["energy=-1"], "b.extxyz")
    with pytest.warns(HiertlWarning) as told:
        frames = read_frames([tmp_path / "a.extxyz", tmp_path / "b.extxyz"], energy_key="e")
    assert [f.energy is not None for f in frames] == [True, False, True, False]
    said = str(told[0].message)
    assert "a.extxyz: the energy key 'e' was named and is in 2 of 3 frames only" in said
    assert "b.extxyz: the energy key 'e' was named and is in 0 of 1 frames only" in said
    assert "passed over, in how many of them: energy (1)" in said


def test_stress_and_virial(tmp_path):
    both = f'stress="-1 0 0 0 -1 0 0 0 -1" virial="{" ".join(str(720 * float(x)) for x in NINE.split())}"'
    path = write(tmp_path, [both, f'stress="{NINE}"'])
    assert summary(path)["found"]["stress"] == {"stress and virial": 1, "stress": 1}
    source = summary(path, virial_key="virial")
    assert source["found"]["stress"] == {"virial": 1}
    assert source["named"] == [{"label": "virial", "key": "virial", "frames": 1}]
    assert any("1 of 2 frames are without stress; passed over, in how many of them: stress (1)" in w
               for w in source["warnings"])  # fmt: skip


def test_keys_that_do_not_belong_together(tmp_path):
    path = tmp_path / "data.extxyz"
    path.write_text(
        f"1\n{LATTICE} Properties=species:S:1:pos:R:3:forces:R:3:REF_forces:R:3 energy=1 REF_energy=2 "
        f'stress="{NINE}" REF_virial="{NINE}"\nC 0 0 0 1 1 1 2 2 2\n'
    )
    said = summary(path, energy_key="REF_energy")["warnings"]
    assert len(said) == 2
    assert "energy is read from REF_energy, but forces from forces, although there is REF_forces" in said[1]
    keys = {"energy_key": "REF_energy", "forces_key": "REF_forces", "virial_key": "REF_virial"}
    assert summary(path, **keys)["warnings"] == []
    assert summary(path)["warnings"] == []


def test_one_source_of_many_files_and_several_sources(tmp_path):
    for name in ("a1", "a2"):
        write(tmp_path, ["energy=-1"] * 2, f"{name}.extxyz")
    (tmp_path / "b.xyzf").write_text("1\n9 9 9 1 2 3 -1\nC 0 0 0 1 1 1\n1\n9 9 9\nC 0 0 0\n")
    frames = read_frames([f"{tmp_path}/a*.extxyz", tmp_path / "b.xyzf"])
    frames += [Frame(("C",), np.zeros((1, 3)), energy=1.0)] * 3
    found = summarise_labels(frames)
    assert [(s.source.removeprefix(str(tmp_path)), s.frames) for s in found.sources] == [
        ("/a*.extxyz", 4), ("/b.xyzf", 2), ("frames made in Python", 3)
    ]  # fmt: skip
    assert [{k: s.count(k) for k in ("energy", "forces", "stress")} for s in found.sources] == [
        {"energy": 4, "forces": 4, "stress": 0}, {"energy": 1, "forces": 1, "stress": 1},
        {"energy": 3, "forces": 0, "stress": 0},
    ]  # fmt: skip
    assert found.warnings() == ()
    assert found.text() == labels_text(json.loads(json.dumps(found.as_dict())))


def test_labels_that_were_read_and_taken_away(tmp_path):
    frames = [f.without_labels(energy=True) for f in read_frames(write(tmp_path, ["energy=-1 Energy=2"] * 2))]
    found = summarise_labels(frames)
    assert found.warnings() == ()
    assert "energy 0, read and left out 2, forces 2" in found.text()


def test_zero_energies(tmp_path):
    with pytest.warns(HiertlWarning, match="the energy is exactly 0 in all 2 frames that have one, although there are"):
        read_frames(write(tmp_path, ["energy=0.0", "energy=0", "other=1"]))
    source = summary(write(tmp_path, ["energy=0.0", "energy=-1"]))
    assert source["warnings"] == []
    assert "the energy is exactly 0 in 1 frame with forces" in source["notes"][0]


def test_where_labels_come_from_is_no_part_of_a_frame(tmp_path):
    frame = read_frames(write(tmp_path, ["energy=-1"]))[0]
    assert frame.labels.keys == (("energy", "energy"), ("forces", "forces"))
    bare = replace(frame, labels=None)
    assert (bare.digest, bare.configuration) == (frame.digest, frame.configuration)
    assert pickle.loads(pickle.dumps(frame)).labels == frame.labels


def test_frames_that_are_alike_share_what_is_said_of_them(tmp_path):
    frames = read_frames(write(tmp_path, ["energy=-1", "energy=-2", "a=1", "energy=-3"]))
    first, second, third, fourth = (f.labels for f in frames)
    assert first is second is fourth
    assert third is not first


def test_a_hundred_thousand_frames_take_no_time():
    frame = Frame(("C",), np.zeros((1, 3)), energy=1.0, labels=LabelOrigin("a", (("energy", "energy"),)))
    began = time.process_time()
    found = summarise_labels([frame] * 100_000)
    assert found.sources[0].count("energy") == 100_000
    assert time.process_time() - began < 2.0


def test_a_long_text_is_cut():
    frames = [
        Frame(("C",), np.zeros((1, 3)), labels=LabelOrigin(f"file{k}", passed_over=(("energy", f"energy{'x' * 500}"),)))
        for k in range(500)
    ]
    found = summarise_labels(frames)
    assert len(found.as_dict()) == 500
    lines = found.text().splitlines()
    assert len(lines) == 42
    assert max(map(len, lines)) < 300
    assert lines[20] == "  … and 480 more sources"


# ---- the command line


@pytest.fixture
def job(tmp_path):
    """A job whose frames have no energies, but something named like them."""
    path = write_job(tmp_path, job_frames()[0])
    data = tmp_path / "data.extxyz"
    text = data.read_text()
    assert "energy=" in text
    data.write_text(text.replace("energy=", "Energy="))
    return path


def run(capsys, *words):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code = cli.main([str(w) for w in words])
    out, err = capsys.readouterr()
    assert (code, err) == (0, ""), err
    return out


def test_plan_and_fit_tell_of_labels(capsys, job):
    said = "are without energy; passed over, in how many of them: Energy (18). If that is meant, energy_key = 'Energy'"
    out = run(capsys, "plan", job)
    assert "18 frames; energy 0, forces 18 (key forces), stress 18 (key stress); passed over: Energy" in out
    assert said in out
    (labels,) = json.loads(run(capsys, "plan", job, "--json"))["labels"]
    assert labels["found"]["energy"] == {}
    assert said in labels["warnings"][0]
    out = run(capsys, "fit", job)
    first, second, *_ = out.splitlines()
    assert first.endswith("; passed over: Energy")
    assert second.startswith("  warning: ")
    assert said in second
    assert json.loads(next(job.parent.rglob("report.json")).read_text())["labels"] == [labels]


def test_a_job_without_any_label_says_what_was_passed_over(capsys, job):
    data = job.parent / "data.extxyz"
    data.write_text(data.read_text().replace("forces:R:3", "force:R:3").replace("stress=", "Stress="))
    assert cli.main(["plan", str(job)]) == 2
    err = capsys.readouterr().err
    assert "none of the 18 frames has an energy, forces or a stress" in err
    assert "passed over: Energy, Stress, force" in err


@pytest.mark.parametrize(
    ("key", "meant"), [("Energy", "energy"), ("enrgy", "energy"), ("Lattices", "Lattice"), ("E0", None)]
)
def test_a_key_that_no_frame_has_is_answered_with_one_like_it(tmp_path, key, meant):
    path = tmp_path / "a.extxyz"
    path.write_text('1\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3 energy=1.0\nC 0 0 0\n')
    with pytest.raises(FrameError, match=f"no frame has the energy key '{key}'") as caught:
        read_frames(path, energy_key=key)
    assert (f"did you mean '{meant}'?" in str(caught.value)) == (meant is not None)
    assert ("did you mean" in str(caught.value)) == (meant is not None)
