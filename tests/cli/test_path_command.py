"""``hiertl-dist path``: tables against the function and against fits one by one, and what is refused."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from fitted_folder import noisy
from job_files import ORDERS, write_job
from synthetic import random_frames, small_basis

from hiertl_dist import Model, open_summaries, path, solve, view
from hiertl_dist.cli import commands as cli
from hiertl_dist.evaluation.energies import read_parts

WEIGHTS = {"force": 1.0, "energy": 1.0, "stress": 50.0}
FRAMES = [replace(f, group=f"run{i % 4}") for i, f in enumerate(noisy(random_frames({"C": 5, "N": 5, "CN": 6}), 1))]
TABLES = {
    "basis": small_basis(ORDERS).to_dict(), "fit": {"regulariser": {"kind": "ridge", "alpha": 0.1}, "weights": WEIGHTS},
    "search": {"summaries": "summaries", "folds": {"count": 2, "split": "frame"}},
}  # fmt: skip


@pytest.fixture
def run(capsys):
    def command(*words, code=0):
        found = cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        assert found == code, err
        return out, err

    return command


def rows_of(file):
    return list(csv.DictReader(file.read_text().splitlines()))


def test_paths_are_those_of_the_function(run, tmp_path):
    job = write_job(tmp_path, FRAMES, **TABLES)
    drawn = ["--plot"] * (find_spec("matplotlib") is not None)
    words = ("path", job, "--json", "--strengths", "1e-3", "10", "--points", 3)
    found = json.loads(run(*words, *drawn)[0])
    folder = tmp_path / "hiertl_results" / "path"
    summaries = open_summaries(next((tmp_path / "summaries").glob("*")))
    given = view(summaries, weights=WEIGHTS)
    alphas = [10.0, 0.1, 1e-3]
    expected = path(given, "ridge", alphas=alphas)
    assert [p["alpha"] for p in found["points"]] == pytest.approx(alphas)
    assert [p["gcv"] for p in found["points"]] == pytest.approx(expected.gcv.tolist())
    assert found["best"] == {"gcv": expected.best}
    # errors and coefficients are those of a fit of each by itself
    table = rows_of(folder / "path_coefficients.csv")
    for i, alpha in enumerate(alphas):
        alone = solve(given, {"kind": "ridge", "alpha": alpha}).parameters
        values = alone.as_dict()
        mine = [float(row[f"alpha_{alpha:.10g}"]) for row in table]
        np.testing.assert_allclose(mine, [values[c] for c in given.columns], rtol=1e-6, atol=1e-9)
        told = Model(alone).evaluate(FRAMES)
        off = np.concatenate([(e.forces - f.forces).ravel() for e, f in zip(told, FRAMES, strict=True)])
        assert found["points"][i]["force_rmse"] == pytest.approx(np.sqrt(np.mean(off**2)), rel=1e-6)
        energies = [(e.energy - f.energy) / len(f) for e, f in zip(told, FRAMES, strict=True)]
        assert found["points"][i]["energy_rmse"] == pytest.approx(np.sqrt(np.mean(np.square(energies))), rel=1e-6)
        assert found["points"][i]["terms"] == np.count_nonzero([values[c] for c in given.columns])
    assert [float(r["force_rmse_kcal/mol/Å"]) for r in rows_of(folder / "path.csv")] == pytest.approx(
        [p["force_rmse"] for p in found["points"]]
    )
    if drawn:
        assert (folder / "path.png").stat().st_size > 10_000

    # a LASSO of one block, the others as a model has them
    model = tmp_path / "model.txt"
    Model(solve(given, {"kind": "ridge", "alpha": 0.1}).parameters).write(model)
    words = ("path", job, "--kind", "lasso", "--strengths", "0.01", "1", "--blocks", "CN", "--model", model)
    found = json.loads(run(*words, "--json")[0])
    own = read_parts(model)
    part = view(summaries, blocks=["CN"], frozen=[own.restricted({"C"}), own.restricted({"N"})], weights=WEIGHTS)
    expected = path(part, "lasso", lam_min=0.01)
    assert [p["lam"] for p in found["points"]] == pytest.approx(expected.lams.tolist(), rel=1e-6)
    assert [p["terms"] for p in found["points"]] == expected.nonzeros.tolist()
    assert found["best"] == {name: expected.best(name) for name in ("aic", "bic")}
    assert (folder / "earlier_1" / "path.csv").is_file()
    text = run(*words)[0]
    assert "least bic" in text


def test_what_is_refused(run, tmp_path):
    job = write_job(tmp_path, FRAMES, **TABLES)
    assert "needs the λ at which its path ends" in run("path", job, "--kind", "lasso", code=2)[1]
    assert "expected 0 < LOW < HIGH" in run("path", job, "--strengths", 1, 1, code=2)[1]
    assert "at least 2 points" in run("path", job, "--points", 1, code=2)[1]
    assert "name a model that has them" in run("path", job, "--blocks", "CN", code=2)[1]
