"""What a search and a polish leave open, as files: against normal equations, and in the errors of a whole model."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from job_files import ORDERS, job_frames, write_job
from synthetic import small_basis

from hiertl_dist import BlockPosterior, Solution, design_rows
from hiertl_dist.cli import commands as cli

ALPHA = 0.01
WEIGHTS = {"force": 1.0, "energy": 2.0, "stress": 3.0}
BASIS = small_basis(ORDERS)


def done(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(w) for w in words])
    assert code == 0, err.getvalue()
    return out.getvalue()


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched")
    fit = {"regulariser": {"kind": "ridge", "alpha": ALPHA}, "weights": WEIGHTS, "objective": "plain"}
    frames, rng = job_frames()[0], np.random.default_rng(2)  # labels that no model has, so that there is noise
    frames = [replace(f, forces=f.forces + rng.normal(scale=0.5, size=f.forces.shape)) for f in frames]
    path = write_job(folder, frames, fit=fit, search={"folds": {"count": 2}})
    return path, done("search", path, "--no-plot")


def by_hand(block, frames, columns):
    """(rows, precision) of the normal equations of a block, columns in some order."""
    rows = design_rows(frames, BASIS, [block])
    place = {c: i for i, c in enumerate(rows.columns)}
    matrix = rows.matrix[:, [place[c] for c in columns]]
    weights = np.array([WEIGHTS[r.kind.partition("_")[0]] for r in rows.rows])
    penalties = np.array([ALPHA if c.powers else 0.0 for c in columns])
    weighted = weights[:, np.newaxis] * matrix
    return matrix, weighted.T @ weighted + np.diag(penalties)


def test_the_file_of_a_search_is_of_the_normal_equations(searched):
    path, out = searched
    folder = path.parent / "hiertl_results"
    assert out.count("covariance.npz, about") == 3
    part = BlockPosterior.load(folder / "C.covariance.npz")
    frames = [f for f in job_frames()[0] if str(f.element_set) == "C"]
    rows, precision = by_hand("C", frames, part.columns)
    expected = np.einsum("ij,ij->i", rows @ np.linalg.inv(precision), rows)
    np.testing.assert_allclose(part.linear.leverage(rows), expected, rtol=1e-6)
    part.require_part_of(Solution.load(folder / "C.solution.npz").parameters)


def test_a_whole_model_of_a_search_and_of_a_polish_has_predicted_errors(searched):
    path, _ = searched
    folder = path.parent / "hiertl_results"
    words = ["evaluate", folder / "model.params.txt", "--frames", path.parent / "data.extxyz", "--covariance", "--json"]
    kinds = {k["kind"]: k for k in json.loads(done(*words))["sigma"]["kinds"]}
    assert 0.5 < kinds["force"]["standardised"] < 1.5
    out = done("polish", path, "--blocks", "CN", "--hold", "100")
    assert "polished.covariance.npz, about" in out
    polished = folder / "polished"
    assert str(polished / "polished.covariance.npz") in out
    words[1] = polished / "model.params.txt"
    kinds = {k["kind"]: k for k in json.loads(done(*words))["sigma"]["kinds"]}
    assert 0.5 < kinds["force"]["standardised"] < 1.5
    done("polish", path, "--blocks", "CN", "--no-covariance")
    assert not (polished / "polished.covariance.npz").exists(), "that of the earlier run went with it"


def test_none_is_written_where_that_is_said(searched):
    path, _ = searched
    out = done("search", path, "--no-plot", "--no-covariance", "--output", path.parent / "bare")
    assert "covariance" not in out
    assert (path.parent / "bare" / "C.solution.npz").is_file()
    assert not list((path.parent / "bare").glob("*.covariance.npz"))
