"""The ``[weights]`` table: what it takes, its files, and what fits, searches and plans of it say."""

from __future__ import annotations

import pytest
from job_files import job_frames, write_fm_setup, write_job, write_toml
from synthetic import small_basis

from hiertl_dist.algebra import Ridge
from hiertl_dist.errors import InputError
from hiertl_dist.executors import executor
from hiertl_dist.files.json_files import read_object
from hiertl_dist.fitting.block_fit import fit_block
from hiertl_dist.fitting.settings import FitSettings
from hiertl_dist.fitting.view_solutions import solve
from hiertl_dist.frames.frame_sequence import FrameList
from hiertl_dist.jobs.fit_job import fit_job, plan_job
from hiertl_dist.jobs.input_file import Input
from hiertl_dist.jobs.input_views import view_of_input
from hiertl_dist.jobs.path_job import path_job
from hiertl_dist.jobs.search_job import search_job, summarise_job

SERIAL = executor("serial")
RIDGE = {"kind": "ridge", "alpha": 1e-3}
FRAMES = job_frames({"C": 4})[0]
BASIS = small_basis((3, 2, 0), elements=("C",))


def job_of(folder, frames=FRAMES, **tables):
    fit = {"regulariser": RIDGE, **tables.pop("fit", {})}
    return Input.from_toml(write_job(folder, frames, **{"basis": BASIS.to_dict(), "fit": fit, **tables}))


def coefficients(settings, frames):
    return fit_block(frames, BASIS, "C", settings=settings, executor=SERIAL).solution.parameters.coefficients


def test_expressions_reach_the_fit_and_groups_weigh_one_beside_them(tmp_path):
    job = job_of(tmp_path, weights={"force": "1 / (1 + max_force)", "energy": 3, "cycles": {"all": 2}})
    assert job.fit.weights == {}
    assert job.fit.row_weights.as_dict() == {
        "force": "1 / (1 + max_force)", "energy": 3, "stress": 1.0, "cycles": {"all": 2}, "gas": ["G_*"],
    }  # fmt: skip
    said = []
    result = fit_job(job, SERIAL, tell=said.append)
    expected = coefficients(FitSettings(RIDGE, weights={}, row_weights=job.fit.row_weights), job.read_frames()[0])
    assert result.hierarchy.fits["C"].solution.parameters.coefficients.tolist() == expected.tolist()
    assert any("weights of rows: force 0." in line for line in said)
    report = read_object(job.output / "report.json")
    assert "weights of rows: " in str(report)
    assert "1 / (1 + max_force)" in str(read_object(job.output / "run.json")["input"]["fit"]["row_weights"])


def test_weights_of_groups_stay_where_they_are_said(tmp_path):
    job = job_of(tmp_path, fit={"weights": "auto"}, weights={"force": 2.0})
    assert job.fit.weights == "auto"
    assert job_of(tmp_path, fit={"weights": {"energy": 0.5}}, weights={"force": 2.0}).fit.weights == {"energy": 0.5}


def test_every_fault_is_told_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        job_of(tmp_path, weights={
            "force": "enregy", "energy": -1.0, "stress": ["a"], "cycles": {"a": 0.5}, "gas": 3, "forces": 1,
            "rows": "w", "frames": "v",
        }, fit={"objective": "plain"})  # fmt: skip
    for said in (
        "weights.force: 'enregy': 'enregy' is not known; did you mean 'energy'?", "weights.energy: expected",
        "weights.stress: expected a number or an expression", "weights.cycles: expected a table of whole numbers",
        "weights.gas: expected a string or a list of strings", "unknown keys ['forces']",
        "two files of weights for the same rows", "fit.objective is 'plain': the rows of weights.rows are those",
    ):  # fmt: skip
        assert said in str(caught.value), said
    with pytest.raises(InputError, match="the table is empty"):
        job_of(tmp_path, weights={})


def test_styles_as_al_driver_writes_them_are_translated(tmp_path):
    with pytest.raises(InputError) as caught:
        job_of(tmp_path, weights={
            "force": [["A", "B"], [[100.0], [1.0, -1.0]]], "energy": [["A"], [0.3]], "stress": [["A"], [[1.0], [2.0]]],
        })  # fmt: skip
    told = str(caught.value)
    assert 'weights.force: styles of al_driver are functions here: "A(100.0) * B(1.0, -1.0)"' in told
    assert told.count("styles of al_driver") == 1
    styled = job_of(tmp_path, weights={"force": "A(100.0) * B(1.0, -1.0)", "cycles": {"*": 0}})
    assert "force 100 (" in " ".join(plan_job(styled, SERIAL)[1]["notes"])


def test_names_that_no_frame_has_are_refused_when_frames_are_read(tmp_path):
    for weights, said in (
        ({"force": "2 if like(group, 'liquid*') else 1"}, "weights.force: 'liquid\\*' is no group of any frame"),
        ({"cycles": {"x*": 2}, "force": "cycle"}, "weights.cycles.x\\*"),
    ):
        with pytest.raises(InputError, match=said):
            plan_job(job_of(tmp_path, weights=weights), SERIAL)


def test_a_plan_tells_weights_and_their_faults(tmp_path):
    facts = plan_job(job_of(tmp_path, weights={"energy": "n_atoms ** 0.5"}), SERIAL)[1]
    assert any(n.startswith("weights of rows: force 1 (") and "by n_atoms ** 0.5" in n for n in facts["notes"])
    with pytest.raises(
        Exception, match=r"weights\.energy: data\.extxyz, frame 1, line 1: expected the cycle of group 'all'"
    ):
        plan_job(job_of(tmp_path, weights={"energy": "B(1, -1)"}), SERIAL)


def test_a_chimes_lsq_input_with_its_weights_file(tmp_path):
    """As al_driver runs it: an ``fm_setup.in`` and a number for each row of A."""
    frames = job_frames({"C": 2, "CN": 3})[0]
    write_fm_setup(tmp_path, frames)
    path = write_toml(
        tmp_path / "input.toml", fm_setup="fm_setup.in", weights={"rows": "weights.dat"},
        fit={"regulariser": RIDGE},
    )  # fmt: skip
    lines, mine = [], []
    for i, frame in enumerate(frames):
        force, stress, energy = 1.0 / (1 + i), 100.0 + i, 0.3
        lines += [force] * (3 * len(frame)) + [stress] * 9 + [energy] * 3
        mine += [force] * (3 * len(frame)) + [stress] * 6 + [energy]
    (tmp_path / "weights.dat").write_text("\n".join(map(repr, lines)) + "\n")
    job = Input.from_toml(path)
    bound, fitted, _ = job.read_weighed()
    assert bound.fit.row_weights.of(FrameList(fitted)).tolist() == mine
    assert bound.fit.weights == {}
    said = []
    fit_job(job, SERIAL, hierarchical=False, all_at_once=True, tell=said.append)
    notes = [line for line in said if "with those of" in line]
    assert notes
    assert f"{len(mine)} weights, SHA-256" in notes[0]
    assert "stress 100 to 104" in notes[0]
    (tmp_path / "weights.dat").write_text("\n".join(map(repr, lines[1:])) + "\n")
    with pytest.raises(InputError, match=f"expected {len(lines)} weights"):
        job.read_frames()


def test_a_line_for_each_frame_counts_frames_that_are_held_out(tmp_path):
    (tmp_path / "w.csv").write_text("frame,force\n1,0\n2,1\n3,2\n4,3\n")
    job = job_of(tmp_path, weights={"frames": "w.csv"}, hold_out={"every": 2})
    bound, fitted, held_out = job.read_weighed()
    for frames in (fitted, held_out):
        found = bound.fit.row_weights.of(FrameList(frames))[:: int(frames.facts.n_rows[0])]
        numbers = [int(frames.origin(i).split(", ")[1].removeprefix("frame ")) for i in range(len(frames))]
        assert found.tolist() == [n - 1.0 for n in numbers]


def test_views_of_an_input_have_the_weights_of_its_file(tmp_path):
    """Of which ``path``, ``select`` and ``committee`` are made."""
    (tmp_path / "w.csv").write_text("frame,force,energy\n1,0,1\n2,1,0\n3,2,1\n4,3,2\n")
    job = job_of(tmp_path, weights={"frames": "w.csv"}, search={"folds": 2})
    seen = view_of_input(job, None, None, SERIAL, fresh=False, tell=lambda _: None)
    found = solve(seen.view, Ridge(RIDGE["alpha"])).parameters.coefficients
    bound, frames, _ = job.read_weighed()
    assert found == pytest.approx(coefficients(bound.fit, frames), rel=1e-8, abs=1e-8)
    unweighed = coefficients(FitSettings(RIDGE, weights={}), frames)
    assert found != pytest.approx(unweighed, rel=1e-3)


def test_a_search_has_a_store_for_each_weighting_and_fits_what_a_fit_does(tmp_path):
    tables = {"search": {"folds": 2, "grid": {"regulariser": RIDGE}}, "output": {"covariance": False}}
    job = job_of(tmp_path, weights={"force": "1 / n_atoms", "energy": 2.0}, **tables)
    found = search_job(job, SERIAL, plot=False).result.model.parameters
    expected = coefficients(job.fit, job.read_frames()[0])
    assert found.coefficients == pytest.approx(expected, rel=1e-8, abs=1e-8)
    other = job_of(tmp_path, weights={"force": 0.1}, **tables)
    facts = summarise_job(other, SERIAL)
    assert facts["rows"] == job.read_frames()[0].facts.n_rows.sum()
    assert len(list((tmp_path / "summaries").iterdir())) == 2


def test_paths_and_committees_see_the_file_of_weights(tmp_path):
    """They have a pass of their own over the input."""
    (tmp_path / "w.csv").write_text("frame,force,energy\n1,0.2,1\n2,1,0\n3,3,1\n4,0.5,2\n")
    tables = {"search": {"folds": 2}, "output": {"covariance": False}}
    job = job_of(tmp_path, weights={"frames": "w.csv"}, **tables)
    found = path_job(job, SERIAL, strengths=(1e-3, 1.0), points=2).coefficients[-1]
    (fitted,) = fit_job(job, SERIAL).hierarchy.fits.values()
    expected = fitted.solution.parameters.coefficients
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6 * abs(expected).max())
    with pytest.raises(InputError, match=r"weights\.force: 'liquid' is no group of any frame"):
        path_job(job_of(tmp_path, weights={"force": "2 if group == 'liquid' else 1"}, **tables), SERIAL)
