"""``hiertl-dist select``: against determinants of dense matrices and the functions, files that are read, refusals."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from fitted_folder import BASIS, noisy, write_fitted
from job_files import write_extxyz
from synthetic import random_frames

from hiertl_dist import Model, predict, read_frames, read_posterior, select, select_for_coverage
from hiertl_dist.cli import commands as cli
from hiertl_dist.executors import InlineExecutor
from hiertl_dist.jobs.select_job import select_job
from hiertl_dist.uncertainty.pool_selection import select_from_pool
from hiertl_dist.uncertainty.predictive import weights_of, with_labels
from hiertl_dist.uncertainty.whole_model import block_posterior, rows_by_part

MIXED = random_frames({"CN": 6, "C": 3}, seed=11)
POOL = [f.without_labels(energy=True, forces=True, stress=True) for f in MIXED]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    place = tmp_path_factory.mktemp("fitted")
    return place, write_fitted(place)


@pytest.fixture(scope="module")
def folder(fitted):
    return fitted[0]


@pytest.fixture
def run(capsys):
    def command(*words, code=0):
        found = cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        assert found == code, err
        return out, err

    return command


@pytest.fixture
def data(tmp_path):
    return write_extxyz(tmp_path / "pool.extxyz", POOL)


def test_frames_of_one_block_are_chosen_as_by_the_function(run, fitted, tmp_path):
    place, fit = fitted
    own = [f for f in POOL if f.elements == {"C", "N"}]
    data = write_extxyz(tmp_path / "cn.extxyz", own)
    words = ("select", place / "model.params.txt", "--frames", data, "--json")
    found = json.loads(run(*words, "--count", 4)[0])["picks"]
    expected = select(read_frames(data), 4, block_posterior(fit.fits["CN"]))
    assert [p["index"] for p in found] == [p.index for p in expected]
    assert [2.0 * p["information_nats"] for p in found] == pytest.approx([p.gain for p in expected], rel=1e-6)
    assert [p["leverage_sum"] for p in found] == pytest.approx([p.leverage for p in expected], rel=1e-6)
    # what is pending is told already
    write_extxyz(tmp_path / "two.extxyz", [own[p.index] for p in expected[:2]])
    then = json.loads(run(*words, "--count", 2, "--pending", tmp_path / "two.extxyz")[0])
    assert [p["index"] for p in then["picks"]] == [p.index for p in expected[2:]]
    assert then["picks"][0]["information_nats"] == pytest.approx(found[2]["information_nats"], rel=1e-6)
    assert (then["known"], then["candidates"]) == (2, len(own) - 2)
    # what was fitted is not chosen, and tells no more
    others = json.loads(run(*words, "--count", 1, "--fitted", tmp_path / "two.extxyz")[0])
    left = [p for i, p in enumerate(own) if i not in {e.index for e in expected[:2]}]
    (first,) = select(left, 1, block_posterior(fit.fits["CN"]))
    assert others["picks"][0]["information_nats"] == pytest.approx(0.5 * first.gain, rel=1e-6)


def dense(given, frames):
    """Precision of all coefficients in dense algebra, and the weighted rows of each frame, by the formulas."""
    names = list(given.blocks)
    sizes = [len(given.blocks[n].columns) for n in names]
    starts = np.cumsum([0, *sizes])
    precision = np.zeros((starts[-1], starts[-1]))
    for name, a, b in zip(names, starts, starts[1:], strict=False):
        part = given.blocks[name]
        precision[a:b, a:b] = part.linear.triangle.T @ part.linear.triangle
    rows = []
    for frame in frames:
        full = with_labels(frame)
        out = np.zeros((3 * len(frame) + 7, starts[-1]))
        for part, mine in rows_by_part(full, given, "damp"):
            k = next(i for i, n in enumerate(names) if given.blocks[n] is part)
            weights = weights_of(full, part.weights, part.objective, "")
            out[:, starts[k] : starts[k + 1]] = weights[:, None] * mine
        rows.append(out)
    return precision, rows


@pytest.mark.parametrize("without", [(), ("CN",)])
def test_pools_of_several_blocks_and_of_none(folder, without):
    """Where no block has the elements of a frame, all blocks count."""
    whole = read_posterior(Model.read(folder / "model.params.txt"), folder)
    given = replace(whole, blocks={n: p for n, p in whole.blocks.items() if n not in without})
    precision, rows = dense(given, POOL)
    total = np.linalg.slogdet(precision + sum(a.T @ a for a in rows))[1] - np.linalg.slogdet(precision)[1]
    expected, left, P = [], list(range(len(POOL))), precision
    while sum(g for _, g in expected) < 0.6 * total:
        gains = {i: np.linalg.slogdet(P + rows[i].T @ rows[i])[1] - np.linalg.slogdet(P)[1] for i in left}
        best = max(left, key=lambda i: gains[i])
        expected.append((best, gains[best]))
        left.remove(best)
        P = P + rows[best].T @ rows[best]
    found = select_from_pool(POOL, given, share=0.6, policy="damp")
    assert [p.index for p in found.picks] == [i for i, _ in expected]
    np.testing.assert_allclose([p.value for p in found.picks], [g for _, g in expected], rtol=1e-6)
    assert found.total == pytest.approx(total, rel=1e-6)
    everything = select_from_pool(POOL, given, share=1.0, policy="damp", memory=1)
    assert sum(p.value for p in everything.picks) == pytest.approx(total, rel=1e-6)


def test_leverages_are_those_of_predictions(run, folder, data, tmp_path):
    model = folder / "model.params.txt"
    given = predict(read_frames(data), read_posterior(Model.read(model), folder))
    order = sorted(range(len(POOL)), key=lambda i: -given[i].leverage_max)
    words = ("select", model, "--frames", data, "--by", "leverage", "--json", "--policy", "damp")
    found = json.loads(run(*words, "--count", 3)[0])["picks"]
    assert [p["index"] for p in found] == order[:3]
    assert [p["leverage"] for p in found] == pytest.approx([given[i].leverage_max for i in order[:3]])
    half = json.loads(run(*words, "--share", 0.5)[0])
    sums = np.array([given[i].leverage_sum for i in order])
    assert len(half["picks"]) == int(np.argmax(np.cumsum(sums) >= 0.5 * sums.sum())) + 1
    assert half["picks"][-1]["share_so_far"] >= 0.5


def test_gaps_are_those_of_the_function(run, folder, data, tmp_path):
    model = folder / "model.params.txt"
    expected = select_for_coverage(read_frames(data), 9, Model.read(model))
    assert len(expected) > 1
    words = ("select", model, "--frames", data, "--by", "coverage")
    found = json.loads(run(*words, "--count", 9, "--json")[0])
    assert [(p["index"], tuple(p["types"]), p["distances"]) for p in found["picks"]] == [
        (p.index, p.types, dict(p.distances)) for p in expected
    ]
    write_extxyz(tmp_path / "one.extxyz", [POOL[expected[0].index]])
    then = json.loads(run(*words, "--count", 9, "--json", "--pending", tmp_path / "one.extxyz")[0])["picks"]
    assert [p["index"] for p in then] == [p.index for p in expected[1:]]
    few = json.loads(run(*words, "--share", 0.01, "--json")[0])["picks"]
    assert [p["index"] for p in few] == [expected[0].index]
    text = run(*words, "--count", 1, "-o", tmp_path / "c.extxyz")[0]
    assert " Å" in text
    assert "selection_distances=" in (tmp_path / "c.extxyz").read_text()


def test_files_of_chosen_frames(run, folder, tmp_path):
    labelled = noisy(random_frames({"CN": 3}, seed=5), 4)
    data, out = write_extxyz(tmp_path / "l.extxyz", labelled), tmp_path / "chosen.extxyz"
    words = ("select", folder / "model.params.txt", "--frames", data, "--count", 2, "-o", out)
    text = run(*words, "--csv", tmp_path / "tables", "--policy", "damp")[0]
    assert "labels of 2 frames are not in" in text
    rows = list(csv.DictReader((tmp_path / "tables" / "selection.csv").read_text().splitlines()))
    chosen = [labelled[int(r["index"])] for r in rows]
    back = read_frames(out)
    assert [f.configuration for f in back] == [f.configuration for f in chosen]
    assert all(f.forces is None for f in back)
    run(*words, "--keep-labels", "--overwrite", "--policy", "damp")
    for mine, given in zip(read_frames(out), chosen, strict=True):
        np.testing.assert_allclose(mine.forces, given.forces, rtol=1e-12)
        np.testing.assert_allclose(mine.stress, given.stress, rtol=1e-12)
        assert mine.energy == pytest.approx(given.energy)
    atoms = pytest.importorskip("ase.io").read(out, ":")
    assert [a.info["selection_rank"] for a in atoms] == [1, 2]
    assert [a.info["pool_index"] for a in atoms] == [int(r["index"]) for r in rows]
    assert [a.info["selection_information_nats"] for a in atoms] == pytest.approx(
        [float(r["information_nats"]) for r in rows]
    )


def test_labels_of_some_components_of_a_stress_are_not_written(folder, tmp_path):
    labelled = noisy(random_frames({"CN": 2}, seed=5), 4)
    labelled[0] = replace(labelled[0], stress=[*labelled[0].stress[:3], *[np.nan] * 3])
    out = tmp_path / "chosen.extxyz"
    model = Model.read(folder / "model.params.txt")
    report = select_job(
        labelled, read_posterior(model, folder), InlineExecutor(), count=2, policy="damp", output=out, keep_labels=True
    )
    assert any("stresses of 1 frame are not in" in note for note in report.notes)
    back = {f.configuration: f for f in read_frames(out)}
    assert back[labelled[0].configuration].stress is None
    np.testing.assert_allclose(back[labelled[1].configuration].stress, labelled[1].stress, rtol=1e-12)


def test_what_can_not_be_chosen(run, folder, data, tmp_path):
    model = folder / "model.params.txt"
    words = ("select", model, "--frames", data)
    assert "a share above 0 and at most 1, found 2.0" in run(*words, "--share", 2, code=2)[1]
    assert "a count of at least 1, found 0" in run(*words, "--count", 0, code=2)[1]
    assert "no frame is left to choose: of 9 9 are known" in run(*words, "--count", 1, "--fitted", data, code=2)[1]
    twice = write_extxyz(tmp_path / "twice.extxyz", [POOL[0], POOL[1], POOL[0]])
    found = json.loads(run("select", model, "--frames", twice, "--count", 5, "--json", "--policy", "damp")[0])
    assert (found["again"], len(found["picks"])) == (1, 2)
    near = replace(POOL[0], positions=POOL[0].positions.copy())
    moved = near.positions.copy()
    moved[1] = moved[0] + [0.5, 0.0, 0.0]
    short = write_extxyz(tmp_path / "short.extxyz", [replace(near, positions=moved), POOL[1]])
    other = ("select", model, "--frames", short, "--count", 2, "--json")
    assert "InnerCutoffError" in run(*other, code=2)[1]
    found = json.loads(run(*other, "--policy", "skip_frame")[0])
    assert ([p["index"] for p in found["picks"]], found["inside_inner_cutoff"]) == ([1], 1)
    assert "asks for no covariance" in run(*words, "--count", 1, "--by", "coverage", "--known", "C", code=2)[1]
    strange = write_extxyz(tmp_path / "o.extxyz", [replace(POOL[0], species=("O", *POOL[0].species[1:]))])
    assert "O not among the elements" in run("select", model, "--frames", strange, "--count", 1, code=2)[1]
    part = Model(Model.read(model).parameters.with_types(t for t in BASIS.types if t.name != "CCN"))
    part.write(tmp_path / "part.txt")
    lacking = ("select", tmp_path / "part.txt", "--frames", data, "--count", 1)
    assert "MissingTypesError" in run(*lacking, "--known", "C", "N", "CN", code=2)[1]
    (first,) = json.loads(run(*lacking, "--by", "coverage", "--json")[0])["picks"]
    assert "CCN" in first["types"]
