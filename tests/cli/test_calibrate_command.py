"""``hiertl-dist calibrate``: factors against the function, what predict and evaluate make of them, refusals."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from fitted_folder import TRUTH, noisy, write_fitted
from job_files import write_extxyz
from synthetic import labelled, random_frames

from hiertl_dist import Model, calibration, predict, read_frames, read_posterior
from hiertl_dist.cli import commands as cli
from hiertl_dist.errors import InputError, MismatchError, ParameterFileError, StoreError
from hiertl_dist.frames.frame_sequence import sequence_of
from hiertl_dist.uncertainty.sigma_factors import SigmaFactors, sigma_factors

FRAMES = noisy(random_frames({"CN": 6, "C": 3}, seed=8), 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("fitted")
    write_fitted(place)
    return place


@pytest.fixture
def run(capsys):
    def command(*words, code=0):
        found = cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        assert found == code, err
        return out, err

    return command


def test_factors_make_predicted_errors_right(run, folder, tmp_path):
    model, out = folder / "model.params.txt", tmp_path / "calibration.json"
    data = write_extxyz(tmp_path / "a.extxyz", FRAMES)
    found = json.loads(run("calibrate", model, "--frames", data, "-o", out, "--json")[0])
    given = read_posterior(Model.read(model), folder)
    read = read_frames(data)
    expected = calibration(predict(read, given), read)
    assert set(found["kinds"]) == {"force", "energy", "stress"}
    for kind, own in expected.items():
        k = found["kinds"][kind]
        assert k["factor"] == pytest.approx(own.standardised)
        assert (k["labels"], k["frames"], k["without_sigma"]) == (len(own.errors), 9, 0)
        assert [share for _, share in k["coverage"]] == pytest.approx(list(own.coverage.values()))
        assert k["rmse"] == pytest.approx(own.rmse)
        inside = np.mean(np.abs(own.errors) <= own.standardised * own.sigmas)
        assert k["calibrated"][0][1] == pytest.approx(inside, abs=0.02)
        # delete-one jackknife over frames, which the formula is for many of them
        assert 0.0 < k["standard_error"] < 2.0 * k["factor"]
    evaluated = ("evaluate", model, "--frames", data, "--covariance", folder, "--json")
    rows = {r["kind"]: r for r in json.loads(run(*evaluated, "--calibration", out)[0])["sigma"]["kinds"]}
    before = {r["kind"]: r for r in json.loads(run(*evaluated)[0])["sigma"]["kinds"]}
    for kind, row in rows.items():
        assert row["standardised"] == pytest.approx(1.0)
        assert row["sigma"] == pytest.approx(before[kind]["sigma"] * found["kinds"][kind]["factor"])
    plain, scaled = (
        json.loads(run("predict", model, "--frames", data, "--json", *more)[0]) for more in ((), ("--calibration", out))
    )
    for one, other in zip(plain["frames"], scaled["frames"], strict=True):
        for kind, key in (("force", "force"), ("energy", "energy_per_atom"), ("stress", "stress")):
            assert other["sigma"][key] == pytest.approx(one["sigma"][key] * found["kinds"][kind]["factor"])
            assert other["coefficients"][kind] == pytest.approx(
                one["coefficients"][kind] * found["kinds"][kind]["factor"]
            )
    assert "σ times the factors of" in scaled["sigma_notes"][-1]
    text = run("calibrate", model, "--frames", data)[0]
    assert "within 68 %" in text
    assert SigmaFactors.load(out).as_dict()["of"] == found["of"]


def test_kinds_without_labels_stay_as_they_are(run, folder, tmp_path):
    model = folder / "model.params.txt"
    data = write_extxyz(tmp_path / "a.extxyz", [f.without_labels(stress=True) for f in FRAMES])
    run("calibrate", model, "--frames", data, "-o", tmp_path / "c.json")
    notes = json.loads(
        run("predict", model, "--frames", data, "--calibration", tmp_path / "c.json", "--json")[0]
    )["sigma_notes"]  # fmt: skip
    assert notes[-1].endswith("; stress as they are, for there were no labels")


def test_what_is_refused(run, folder, tmp_path):
    model = Model.read(folder / "model.params.txt")
    given = read_posterior(model, folder)
    bare = [f.without_labels(energy=True, forces=True, stress=True) for f in FRAMES[:2]]
    with pytest.raises(InputError, match="none of 2 frames has a label whose σ is known"):
        sigma_factors(sequence_of(bare), given)
    with pytest.raises(InputError, match="the labels of force are what the model itself says"):
        sigma_factors(sequence_of(labelled(FRAMES[:2], model.parameters)), given)
    found = sigma_factors(sequence_of(FRAMES), given)
    assert np.isnan(sigma_factors(sequence_of(FRAMES[:1]), given).kinds["force"].standard_error)
    other = replace(given, blocks={n: replace(p, deviation=2.0 * p.deviation) for n, p in given.blocks.items()})
    for wrong in (other, replace(given, model=Model(TRUTH))):
        with pytest.raises(MismatchError, match="calibrate anew"):
            found.applied(wrong)
    path = tmp_path / "c.json"
    for text, message in (
        ('{"hiertl_dist_calibration": 2}', "expected a calibration of format 1, found 2"),
        ('{"hiertl_dist_calibration": 1, "kinds": {}}', "lacks something"),
        (json.dumps(found.as_dict()).replace('"factor": ', '"factor": -'), "expected factors above 0"),
    ):
        path.write_text(text)
        with pytest.raises(ParameterFileError, match=message):
            SigmaFactors.load(path)
    found.save(path)
    path.write_text(path.read_text().replace('"factor": ', '"factor": 1', 1))
    with pytest.raises(StoreError, match="who changed it on purpose deletes its key sha256"):
        SigmaFactors.load(path)
    data = write_extxyz(tmp_path / "o.extxyz", [replace(FRAMES[0], species=("O", *FRAMES[0].species[1:]))])
    words = (folder / "model.params.txt", "--frames", data)
    assert "O not among the elements" in run("calibrate", *words, code=2)[1]
    assert "--calibration scales the σ that --covariance asks for" in run(
        "evaluate", *words, "--calibration", path, code=2
    )[1]  # fmt: skip


def test_labels_without_sigma_are_counted(folder):
    given = read_posterior(Model.read(folder / "model.params.txt"), folder)
    part = given.blocks["C"]
    fewer = replace(given, blocks={**given.blocks, "C": replace(part, noise={"force": part.noise["force"]})})
    kinds = sigma_factors(sequence_of(FRAMES), fewer).kinds
    assert (kinds["energy"].labels, kinds["energy"].without_sigma) == (6, 3)
    assert kinds["force"].without_sigma == 0


def test_labels_that_the_model_made_are_refused(run, folder, tmp_path):
    """A trajectory run with the model has its forces, which say nothing of errors."""
    model = folder / "model.params.txt"
    own = labelled(random_frames({"CN": 3}, seed=9), Model.read(model).parameters)
    data, out = write_extxyz(tmp_path / "own.extxyz", own), tmp_path / "own.json"
    _, err = run("calibrate", model, "--frames", data, "-o", out, code=2)
    assert "what the model itself says" in err
    assert not out.exists()
