"""``hiertl-dist committee``: members against the function, files that are read again, what is moved and refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from fitted_folder import noisy
from job_files import ORDERS, write_extxyz, write_job
from synthetic import random_frames, small_basis

from hiertl_dist import Model, committee, open_summaries, read_frames, view
from hiertl_dist.cli import commands as cli
from hiertl_dist.evaluation.energies import read_parts
from hiertl_dist.units import EV

RIDGE = {"kind": "ridge", "alpha": 0.1}
WEIGHTS = {"force": 1.0, "energy": 1.0, "stress": 50.0}
FRAMES = [replace(f, group=f"run{i % 4}") for i, f in enumerate(noisy(random_frames({"C": 6, "N": 6, "CN": 8}), 1))]
FIT = {"regulariser": RIDGE, "weights": WEIGHTS, "apart": ["*"]}
SEARCH = {"summaries": "summaries", "folds": {"count": 3, "split": "frame"}}


@pytest.fixture
def run(capsys):
    def command(*words, code=0):
        found = cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        assert found == code, err
        return out, err

    return command


def test_members_are_those_of_the_function(run, tmp_path):
    job = write_job(tmp_path, FRAMES, basis=small_basis(ORDERS).to_dict(), fit=FIT, search=SEARCH)
    pool = write_extxyz(tmp_path / "pool.extxyz", random_frames({"CN": 2}, seed=9))
    found = json.loads(run("committee", job, "--frames", pool, "--json")[0])
    assert (found["kind"], found["members"], found["blocks"]) == ("folds", 3, ["C", "N", "CN"])
    summaries = open_summaries(next((tmp_path / "summaries").glob("*")))
    chosen = view(summaries, weights=WEIGHTS)
    expected = committee(chosen, RIDGE)
    folder = tmp_path / "hiertl_results" / "committee"
    for i, member in enumerate(expected.members, 1):
        mine, theirs = read_parts(folder / f"member_{i}.params.txt").as_dict(), member.as_dict()
        assert mine.keys() == theirs.keys()
        np.testing.assert_allclose([mine[c] for c in theirs], list(theirs.values()), rtol=1e-9)
    opinions = expected.evaluate(read_frames(pool))
    keys = {f"{k}_key": f"predicted_{k}" for k in ("energy", "forces", "stress")}
    widths = {k: v.replace("predicted", "spread") for k, v in keys.items()}
    mean, spread = read_frames(folder / "spread.extxyz", **keys), read_frames(folder / "spread.extxyz", **widths)
    for one, frame, width, row in zip(opinions, mean, spread, found["frames"], strict=True):
        np.testing.assert_allclose(frame.forces, one.mean.forces, rtol=1e-8)
        np.testing.assert_allclose(width.forces, one.deviation.forces, rtol=1e-6, atol=1e-10)
        assert row["spread"]["force"] == pytest.approx(np.sqrt(np.mean(one.deviation.forces**2)), rel=1e-6)
        assert row["energy"] == pytest.approx(one.mean.energy)
    # the mean of the members is a model of its own
    whole = Model.read(folder / "model.params.txt").evaluate(read_frames(pool))
    np.testing.assert_allclose([w.energy for w in whole], [o.mean.energy for o in opinions])

    # one block, the others as a model has them; members of before are moved
    model = folder / "model.params.txt"
    kept = tmp_path / "kept.params.txt"
    kept.write_bytes(model.read_bytes())
    words = ("committee", job, "--kind", "bootstrap", "--members", 2, "--seed", 3, "--blocks", "CN")
    assert "name a model that has them (--model FILE)" in run(*words, code=2)[1]
    assert "the input names this file" in run(*words, "--model", model, code=2)[1]
    text = run(*words, "--model", kept, "--frames", pool)[0]
    assert "5 files of a committee before are in" in text
    assert sorted(p.name for p in folder.glob("member_*")) == ["member_1.params.txt", "member_2.params.txt"]
    assert len(list((folder / "earlier_1").iterdir())) == 5
    own = read_parts(kept)
    part = view(summaries, blocks=["CN"], frozen=[own.restricted({"C"}), own.restricted({"N"})], weights=WEIGHTS)
    drawn = committee(part, RIDGE, kind="bootstrap", members=2, seed=3)
    for i, member in enumerate(drawn.members, 1):
        mine = read_parts(folder / f"member_{i}.params.txt").as_dict()
        np.testing.assert_allclose([mine[c] for c in member.as_dict()], list(member.as_dict().values()), rtol=1e-6)
        fixed = {c: v for c, v in own.as_dict().items() if c.block != "CN"}
        assert {c: mine[c] for c in fixed} == pytest.approx(fixed, rel=1e-12)
    atoms = pytest.importorskip("ase.io").read(folder / "spread.extxyz", ":")
    told = drawn.evaluate(read_frames(pool))
    np.testing.assert_allclose(
        [a.info["spread_energy"] for a in atoms], [o.deviation.energy / EV for o in told], rtol=1e-5
    )


def test_what_is_refused(run, tmp_path):
    job = write_job(tmp_path, FRAMES, basis=small_basis(ORDERS).to_dict(), fit=FIT, search=SEARCH)
    assert "found H" in run("committee", job, "--blocks", "H", code=2)[1]
    assert "folds have one member each" in run("committee", job, "--members", 4, code=2)[1]
    strange = write_extxyz(tmp_path / "o.extxyz", random_frames({"CO": 1}))
    assert "O not among the elements" in run("committee", job, "--frames", strange, code=2)[1]
    assert not (tmp_path / "hiertl_results" / "committee").exists()
    probed = write_job(tmp_path, FRAMES, fit=FIT | {"prior": {"mean": "mixed", "probes": 4}}, search=SEARCH)
    assert "probe structures are not among the summaries" in run("committee", probed, code=2)[1]
