"""``hiertl-dist predict`` and ``evaluate -o``: against the functions, files that are read again, refusals."""

from __future__ import annotations

import csv
import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from fitted_folder import BASIS, noisy, write_fitted
from job_files import write_extxyz
from synthetic import labelled, random_frame, random_frames

from hiertl_dist import Frame, HiertlWarning, Model, predict, read_frames, read_posterior
from hiertl_dist.cli import commands as cli
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.jobs.evaluate_job import evaluate_job
from hiertl_dist.units import EV, KCAL_PER_A3_IN_GPA

CRYSTAL = random_frames({"CN": 2}, seed=8)
SLAB = replace(CRYSTAL[1], pbc=(True, True, False), stress=None, group="slab")
MOLECULE = Frame(("C", "N"), np.array([[0.0, 0.0, 0.0], [1.3, 0.2, 0.1]]), energy=1.0, forces=np.zeros((2, 3)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("fitted")
    write_fitted(place)
    return place


@pytest.fixture(scope="module")
def frames(folder):
    return [*noisy(CRYSTAL, 2), *noisy([SLAB, MOLECULE], 3)]


@pytest.fixture
def run(capsys):
    def command(*words, code=0):
        found = cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        assert found == code, err
        return out, err

    return command


def back(path, label):
    """The frames of a file whose labels are those of some names."""
    keys = {f"{k}_key": f"{label}_{k}" for k in ("energy", "forces", "stress")}
    with warnings.catch_warnings():  # of frames that have no stress
        warnings.simplefilter("ignore", HiertlWarning)
        return read_frames(path, group_key="config_type", **keys)


def write_data(path, frames):
    """Labelled frames, of which the slab says that it is one."""
    lines = write_extxyz(path, frames).read_text().splitlines(keepends=True)
    path.write_text("".join(f'pbc="T T F" {x}' if x.startswith("config=slab") else x for x in lines))
    return path


def test_predictions_are_those_of_the_function(run, folder, frames, tmp_path):
    data, out = write_data(tmp_path / "a.extxyz", frames), tmp_path / "p.extxyz"
    words = ("predict", folder / "model.params.txt", "--frames", data, "-o", out, "--csv", tmp_path / "tables")
    found = json.loads(run(*words, "--json")[0])
    model = Model.read(folder / "model.params.txt")
    expected = predict(read_frames(data), read_posterior(model, folder))
    for row, one, n in zip(found["frames"], expected, map(len, frames), strict=True):
        assert row["energy"] == pytest.approx(one.mean.energy)
        assert row["sigma"]["energy_per_atom"] == pytest.approx(one.total.energy / n)
        assert row["sigma"]["force"] == pytest.approx(np.sqrt(np.mean(one.total.forces**2)))
        assert row["leverage_max"] == pytest.approx(one.leverage_max)
        rms = float(np.sqrt(np.mean(one.total.stress**2)) * KCAL_PER_A3_IN_GPA)
        assert row["sigma"]["stress"] == (None if np.isnan(rms) else pytest.approx(rms))
    said, predicted, sigma = (back(out, name) for name in ("reference", "predicted", "sigma"))
    for given, label, mean, width, one in zip(frames, said, predicted, sigma, expected, strict=True):
        assert label.configuration == given.configuration
        assert (label.pbc, label.energy) == (given.pbc, pytest.approx(given.energy))
        np.testing.assert_allclose(label.forces, given.forces, rtol=1e-12)
        np.testing.assert_allclose(mean.forces, one.mean.forces, rtol=1e-12)
        np.testing.assert_allclose(width.forces, one.total.forces, rtol=1e-12)
        assert (mean.energy, width.energy) == (pytest.approx(one.mean.energy), pytest.approx(one.total.energy))
    np.testing.assert_allclose(predicted[0].stress, expected[0].mean.stress, rtol=1e-12)
    np.testing.assert_allclose(-sigma[0].stress, expected[0].total.stress, rtol=1e-12)
    assert [f.stress is None for f in predicted] == [False, False, True, True]
    assert "2 of 4 frames repeat in less than three directions and have no stress" in found["file_notes"]
    # nothing is taken for a label, not even where labels are guessed
    with pytest.warns(HiertlWarning, match="4 of 4 frames are without energy; passed over"):
        assert all(f.energy is None and f.forces is None and f.stress is None for f in read_frames(out))
    looked = json.loads(run("inspect", out, "--json")[0])
    assert looked["sources"][0]["energy_key"] == "reference_energy"
    bare = tmp_path / "bare.extxyz"
    bare.write_text(out.read_text().replace("reference_", "predicted_other_"))
    assert "energy_key" not in json.loads(run("inspect", bare, "--json")[0])["sources"][0]
    rows = list(csv.DictReader((tmp_path / "tables" / "predictions.csv").read_text().splitlines()))
    assert [float(r["energy_eV"]) for r in rows] == pytest.approx([p.mean.energy / EV for p in expected])
    assert [float(r["force_sigma_eV/Å"]) for r in rows] == pytest.approx(
        [np.sqrt(np.mean(p.total.forces**2)) / EV for p in expected]
    )
    text = run(*words[:4])[0]
    assert "largest σ of forces first (4 of 4 frames)" in text
    # what is there stays, unless it may go
    assert "is there already" in run(*words[:6], code=2)[1]
    assert run(*words[:6], "--overwrite")
    assert "this file is read" in run("predict", words[1], "--frames", data, "-o", data, "--overwrite", code=2)[1]


def test_ase_reads_what_is_written(run, folder, frames, tmp_path):
    read = pytest.importorskip("ase.io").read
    data, out = write_data(tmp_path / "a.extxyz", frames), tmp_path / "p.extxyz"
    run("predict", folder / "model.params.txt", "--frames", data, "-o", out)
    expected = predict(frames, read_posterior(Model.read(folder / "model.params.txt"), folder))
    for given, atoms, one in zip(frames, read(out, ":"), expected, strict=True):
        assert atoms.info["predicted_energy"] == pytest.approx(one.mean.energy / EV)
        assert atoms.info["reference_energy"] == pytest.approx(given.energy / EV)
        assert atoms.info["sigma_energy"] == pytest.approx(one.total.energy / EV)
        assert (atoms.info["energy_unit"], atoms.info["length_unit"]) == ("eV", "Angstrom")
        assert atoms.calc is None
        np.testing.assert_allclose(atoms.arrays["predicted_forces"], one.mean.forces / EV)
        np.testing.assert_allclose(atoms.arrays["sigma_forces"], one.total.forces / EV)
        np.testing.assert_array_equal(atoms.positions, given.positions)
        if given.periodic:
            xx, yy, zz, xy, xz, yz = one.mean.stress / EV
            np.testing.assert_allclose(
                atoms.info["predicted_stress"].ravel(), [-x for x in (xx, xy, xz, xy, yy, yz, xz, yz, zz)]
            )
            assert (atoms.info["sigma_stress"] > 0.0).all()
        else:
            assert "predicted_stress" not in atoms.info


def test_evaluate_writes_labels_and_predictions(run, folder, frames, tmp_path):
    data, out = write_data(tmp_path / "a.extxyz", frames), tmp_path / "e.extxyz"
    model = Model.read(folder / "model.params.txt")
    words = ("evaluate", folder / "model.params.txt", "--frames", data, "-o", out)
    text = run(*words)[0]
    assert f"written:\n  {out}\nnote: reference_… are the frame's labels" in text
    assert "sigma_" not in out.read_text()
    expected = model.evaluate(read_frames(data))
    for label, mean, given, one in zip(back(out, "reference"), back(out, "predicted"), frames, expected, strict=True):
        np.testing.assert_allclose(label.forces, given.forces, rtol=1e-12)
        np.testing.assert_allclose(mean.forces, one.forces, rtol=1e-12)
        assert mean.energy == pytest.approx(one.energy)
    # with σ it is what predict writes
    run(*words, "--covariance", folder, "--overwrite")
    beside = tmp_path / "p.extxyz"
    run("predict", words[1], "--frames", data, "-o", beside)
    assert out.read_bytes() == beside.read_bytes()


def test_labels_of_some_components_are_left_out_and_counted(folder, frames, tmp_path):
    partial = replace(frames[0], stress=np.array([1.0, 2.0, 3.0, np.nan, np.nan, np.nan]))
    model = Model.read(folder / "model.params.txt")
    out = tmp_path / "e.extxyz"
    report = evaluate_job([model], [partial, frames[1]], SerialExecutor(), output=out)
    assert "1 of 2 frames have labels of some components of the stress: not written" in report.file_notes
    assert out.read_text().count("reference_stress") == 1


def test_what_has_no_sigma_is_not_written_as_zero(folder, frames, tmp_path):
    model = Model.read(folder / "model.params.txt")
    given = read_posterior(model, folder)
    unknown = {
        n: replace(p, noise={k: v for k, v in p.noise.items() if k == "stress"}) for n, p in given.blocks.items()
    }
    out = tmp_path / "e.extxyz"
    report = evaluate_job([model], frames[:1], SerialExecutor(), posterior=replace(given, blocks=unknown), output=out)
    text = out.read_text()
    assert "sigma_stress" in text
    assert "sigma_energy" not in text
    assert "sigma_forces" not in text
    assert {n.split(" for ")[0] for n in report.file_notes[1:]} == {
        "1 of 1 frame have no σ of energy,", "1 of 1 frame have no σ of force,"
    }  # fmt: skip


def test_many_frames_are_written_in_their_order_some_at_a_time(run, folder, tmp_path, monkeypatch):
    frames = [random_frame(("C", "N"), (7, i), 8 + i % 3) for i in range(9)]
    data = write_data(tmp_path / "a.extxyz", frames)
    words = (folder / "model.params.txt", "--frames", data, "-o")
    covariance = ("--covariance", folder)
    whole = {}
    for name, verb in (("p", ("predict",)), ("e", ("evaluate",)), ("c", ("evaluate",))):
        run(*verb, *words, tmp_path / f"{name}.extxyz", *(covariance if name == "c" else ()))
        whole[name] = (tmp_path / f"{name}.extxyz").read_bytes()
    monkeypatch.setattr("hiertl_dist.jobs.frame_file.TASKS_AT_ONCE", 2)
    monkeypatch.setattr("hiertl_dist.jobs.evaluating.CHUNK_ATOMS", 10)
    monkeypatch.setattr("hiertl_dist.uncertainty.frame_sigmas.AT_ONCE", 2)
    monkeypatch.setattr("hiertl_dist.uncertainty.frame_sigmas.CHUNKS_AT_ONCE", 2)
    for name, verb in (("p", ("predict",)), ("e", ("evaluate",))):
        run(*verb, *words, tmp_path / f"{name}.extxyz", "--overwrite")
        assert (tmp_path / f"{name}.extxyz").read_bytes() == whole[name]
    assert [f.configuration for f in back(tmp_path / "e.extxyz", "predicted")] == [f.configuration for f in frames]
    assert whole["c"] == whole["p"]
    assert len(list(tmp_path.iterdir())) == 4


def test_refusals(run, folder, tmp_path):
    model = folder / "model.params.txt"
    other = write_extxyz(tmp_path / "o.extxyz", [replace(CRYSTAL[0], species=("O", *CRYSTAL[0].species[1:]))])
    out = ("-o", tmp_path / "p.extxyz")
    assert "o.extxyz, frame 1, line 1: " in run("predict", model, "--frames", other, *out, code=2)[1]
    words = ("evaluate", model, "--frames", other, "--ignore-other-elements")
    assert "nothing is predicted of atoms that --ignore-other-elements leaves out" in run(*words, *out, code=2)[1]
    assert run(*words)
    lonely = tmp_path / "alone"
    lonely.mkdir()
    (lonely / "model.params.txt").write_bytes(model.read_bytes())
    data = write_extxyz(tmp_path / "a.extxyz", CRYSTAL)
    assert "no covariance of blocks " in run("predict", lonely / model.name, "--frames", data, code=2)[1]
    assert run("predict", lonely / model.name, "--frames", data, "--covariance", folder)
    # types without coefficients are refused before anything is written, or said
    part = Model(Model.read(model).parameters.with_types(t for t in BASIS.types if t.name != "CCN"))
    part.write(lonely / "part.txt")
    err = run("predict", lonely / "part.txt", "--frames", data, "--known", "C", "N", "CN", *out, code=2)[1]
    assert "MissingTypesError" in err
    assert "CCN" in err
    assert not out[1].exists()
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".partial"]


def test_energies_without_offsets_are_said_of_frames_without_labels(run, folder, tmp_path):
    own = Model.read(folder / "model.params.txt").parameters
    bare = Model(own.with_types(t for t in own.basis.types if t.elements != ("N",)))
    bare.write(tmp_path / "bare.txt")
    frames = [f.without_labels(energy=True, forces=True, stress=True) for f in CRYSTAL]
    data = write_data(tmp_path / "a.extxyz", frames)
    out = run("evaluate", tmp_path / "bare.txt", "--frames", data, "-o", tmp_path / "e.extxyz")[0]
    assert "no file has an energy offset of N" in out
    assert "no file has an energy offset" not in run("evaluate", tmp_path / "bare.txt", "--frames", data)[0]


def test_labels_that_the_model_made_are_told_of(run, folder, frames, tmp_path):
    model = folder / "model.params.txt"
    own = labelled(random_frames({"CN": 2}, seed=9), Model.read(model).parameters)
    data = write_extxyz(tmp_path / "own.extxyz", own)
    assert "what the model itself says" in run("predict", model, "--frames", data)[0]
    others = write_extxyz(tmp_path / "others.extxyz", frames[:2])
    assert "what the model itself says" not in run("predict", model, "--frames", others)[0]
