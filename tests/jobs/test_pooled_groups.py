"""An input whose frames have a group each: what plan, fit, summarise and search say of groups that are pooled."""

from __future__ import annotations

from dataclasses import replace

import pytest
from job_files import job_frames, write_job

from hiertl_dist.executors import SerialExecutor
from hiertl_dist.frames import pooling
from hiertl_dist.frames.rows import POOLED
from hiertl_dist.jobs.fit_job import fit_job, plan_job, plan_text
from hiertl_dist.jobs.input_file import Input
from hiertl_dist.jobs.search_job import search_job, summarise_job, summarise_text

SERIAL = SerialExecutor()
RIDGE = {"kind": "ridge", "alpha": 1e-3}


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A function that makes an input with other tables."""
    monkeypatch.setattr(pooling, "MOST_SOURCES", 3)
    frames = [replace(f, group=f"t{i:02d}") for i, f in enumerate(job_frames()[0])]

    def made(**tables):
        return Input.from_toml(write_job(tmp_path, frames, output={"folder": "results"}, **tables))

    return made


@pytest.mark.parametrize("all_at_once", [False, True])
@pytest.mark.parametrize(
    ("fit", "count", "pooled"),
    [({}, (12, 4), 18), ({"weights": {"t00": 2.0, "t12/energy": 0.5}}, (20, 12), 16), ({"apart": ["*"]}, (72, 72), 0)],
)
def test_a_plan_counts_the_summaries_that_its_fits_keep(job, fit, count, pooled, all_at_once):
    job = job(fit={"regulariser": RIDGE, **fit}, store={"keep_rows": False})
    _, facts = plan_job(job, SERIAL, all_at_once=all_at_once)
    result = fit_job(job, SERIAL, hierarchical=not all_at_once, all_at_once=all_at_once)
    fits = [result.together] if all_at_once else list(result.hierarchy.fits.values())
    groups = [s for one in fits for s in one.summaries.groups.values()]
    assert facts["summaries"]["count"] == len(groups) == count[all_at_once]
    # frozen models are columns of a climb too, which are not read before a plan
    exact = sum(s.r.nbytes for s in groups)
    assert facts["summaries"]["bytes"] == exact if all_at_once else 0.9 * exact < facts["summaries"]["bytes"] <= exact
    assert facts["summaries"]["pooled_groups"] == pooled
    text = plan_text(facts)
    assert f"\n{len(groups)} summaries of rows, " in text
    assert (f"; {pooled} groups of frames pooled" in text) == bool(pooled)
    said = "fit of all blocks at once: " if all_at_once else "fit of C: "
    assert any(said in line and "are pooled as '(pooled)'" in line for line in text.split("\n")) == bool(pooled)
    assert "summarise and search pool the groups of all frames together, which are 18" in text


def test_reports_by_group_are_of_every_group(job):
    result = fit_job(job(fit={"regulariser": RIDGE}, store={"keep_rows": False}), SERIAL)
    assert {n.partition("/")[0] for n in result.hierarchy.fits["CN"].solution.residuals} == {POOLED}
    (errors,) = (by_set["fitted"] for by_set in result.group_errors.values())
    assert set(errors) == {f"t{i:02d}" for i in range(18)}


def test_the_pass_of_a_search_keeps_apart_what_its_grid_weighs(job):
    grid = {"regulariser": RIDGE, "weights": [{"force": 1.0}, {"force": 1.0, "t12": 2.0}]}
    made = job(search={"folds": 2, "grid": grid}, store={"keep_rows": False})
    said: list[str] = []
    facts = summarise_job(made, SERIAL, tell=said.append)
    assert sum("note: 17 sources of rows" in line for line in said) == 1
    said.clear()
    report = search_job(made, SERIAL, plot=False, tell=said.append)
    (place,) = (i for i, line in enumerate(said) if line.startswith("note: 17 sources of rows"))
    assert place < said.index("C: nothing frozen")
    assert {g.source for g in report.result.summaries.groups} == {"t12", POOLED}
    assert facts["groups"] == len(report.result.summaries.groups)
    assert {frozenset(g) for g in report.group_errors.values()} == {frozenset(f"t{i:02d}" for i in range(18))}


def test_systems_of_groups_that_are_pooled(job):
    """The plan, the pass, the store and the search name the same systems in the same folds."""
    patterns = {"early": ["t{0..2}", "t{5..6}", "t{10..13}"], "late": "*"}
    grid = {"regulariser": {"kind": "ridge", "alpha": [1e-3, 1e-2, 1e-1]}}
    search = {"folds": {"count": 2, "split": "system", "system": patterns}, "grid": grid}
    made = job(search=search, store={"keep_rows": False})
    _, facts = plan_job(made, SERIAL)
    systems = facts["search_folds"]["systems"]
    assert sorted(tuple(own.items()) for own in systems) == [(("early", 9),), (("late", 9),)]
    text = plan_text(facts)
    assert (
        "search, unless its summary store has folds already: folds by system (patterns of groups):\n  fold 0: " in text
    )
    pass_of_rows = summarise_job(made, SERIAL)
    assert pass_of_rows["folds"]["systems"] == systems
    assert "2 folds by system, seed 0, stratified by element set: 9, 9 frames" in summarise_text(pass_of_rows)
    report = search_job(made, SERIAL, plot=False).as_dict()
    assert report["systems_in_folds"] == systems
    _, facts = plan_job(job(search={**search, "folds": {**search["folds"], "count": 3}}), SERIAL)
    said = "search would be refused: search.folds.count: expected at least 3 systems to divide, found 2 (early, late)"
    assert said in plan_text(facts)
