"""What types of clusters were fitted on against what is met, and the force of a two-body term beyond its distances."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from synthetic import random_frame, random_frames, random_parameters, small_basis

from hiertl_dist import Frame, Model, fit_block
from hiertl_dist.evaluation.cluster_counts import MOST_COUNTED, count_types, edge_reaches, joined_counts
from hiertl_dist.evaluation.coverage import Coverage
from hiertl_dist.evaluation.missing_in_frames import MissingType
from hiertl_dist.evaluation.pair_forces import pair_force, with_force
from hiertl_dist.evaluation.type_coverage import type_coverage
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.io.params_read import read_parameters
from hiertl_dist.jobs.coverage_figure import coverage_figure, coverage_path
from hiertl_dist.jobs.evaluate_job import evaluate_job
from hiertl_dist.jobs.report import coverage_text, types_table
from hiertl_dist.model.parameters import merge_parameters
from hiertl_dist.model.solution import Solution

BASIS = small_basis((3, 2, 0))
TRUTH = random_parameters(BASIS, 3)
FRAMES = random_frames({"C": 3, "N": 2, "CN": 3})
SERIAL = SerialExecutor()


@pytest.fixture(scope="module")
def fit():
    return fit_block(FRAMES, BASIS, "CN", frozen=[TRUTH.restricted({"C", "N"})], executor=SERIAL)


def test_a_fit_counts_what_it_was_fitted_on(fit):
    kinds = [("C", "N"), ("C", "C", "N"), ("C", "N", "N")]
    own = [f for f in FRAMES if len(f.elements) == 2]
    expected = count_types(own, kinds, edge_reaches([BASIS], kinds))
    assert fit.solution.parameters.fitted_on == expected
    assert expected["CN"][0] == 3
    assert joined_counts([expected, expected])["CN"] == (6, 2 * expected["CN"][1])


def test_files_and_sums_keep_the_counts(fit, tmp_path):
    own = fit.solution.parameters
    Model(merge_parameters([TRUTH.restricted({"C", "N"}), own])).write(tmp_path / "model.txt")
    read = read_parameters(tmp_path / "model.txt")
    assert read.fitted_on == own.fitted_on
    assert read.restricted({"C"}).fitted_on == {}
    fit.solution.save(tmp_path / "CN.npz")
    assert Solution.load(tmp_path / "CN.npz").parameters.fitted_on == own.fitted_on
    # parts of one type add up: it is as sure as the one that saw least
    least = replace(own, fitted_on={"CN": (1, 2)}, source="other")
    assert merge_parameters([own, least], overlap="add").fitted_on["CN"] == (1, 2)


def test_types_that_were_not_fitted_on_come_first():
    model = replace(TRUTH, fitted_on={"CC": (3, 9), "CCN": (0, 0)}, without_data={"CNN": "mixed"})
    met = {"CC": (2, 4), "CCN": (1, 5), "CNN": (1, 7), "NN": (1, 1)}
    rows = {r.name: r for r in type_coverage([model], met, [MissingType("CCC", 8, 2, ("somewhere",))])}
    assert list(rows) == ["CC", "NN", "CCC", "CCN", "CNN"]
    assert {n: r.remark for n, r in rows.items()} == {
        "CC": "", "NN": "", "CCC": "no coefficients", "CCN": "none fitted", "CNN": "no data: mixed from lower blocks",
    }  # fmt: skip
    assert (rows["NN"].fitted, rows["CC"].fitted, rows["CCC"].met) == (None, (3, 9), (2, 8))
    lines = types_table(list(rows.values())).splitlines()
    assert [line.split()[0] for line in lines[-5:]] == ["CCC", "CCN", "CNN", "CC", "NN"]
    assert ["<<" in line for line in lines[-5:]] == [True, True, True, False, False]
    assert "not known" in lines[-1]
    assert f"counted in about {MOST_COUNTED} frames" in lines[0]
    many = [replace(rows["CC"], name=f"T{k}") for k in range(40)]
    assert types_table(many).splitlines()[-1] == "… and 10 more types, none of which is marked; the JSON report has all"


def test_a_report_has_the_table_before_the_frames():
    model = Model(replace(TRUTH, coverage={"C:CC": (1.5, 5.0)}, fitted_on={"CC": (3, 9)}))
    near = Frame(("C", "C"), np.array([[0.0, 0, 0], [1.2, 0, 0]]), None, energy=0.0)
    report = evaluate_job([model], [near, random_frame(("C",), 3)], SERIAL)
    text = report.text("kcal")
    types, distances, frames = (text.index(w) for w in ("clusters that each", "distances that each", "1 of 2 frames"))
    assert types < distances < frames
    assert "<< shorter" in text[distances:frames]
    (row,) = report.as_dict()["coverage"]
    assert row["force"] == pytest.approx(pair_force(model, ("C", "C"), row["used"][0]))
    assert {t["name"] for t in report.as_dict()["types"]} == {"CC", "CCC"}


def test_the_force_of_a_pair_is_the_slope_of_its_energy():
    model = Model(TRUTH)
    for r in (0.85, 1.3, 4.0):
        energies = [
            Model(TRUTH.with_types([TRUTH.basis.type_named("CN")]))
            .evaluate(Frame(("C", "N"), np.array([[0.0, 0, 0], [x, 0, 0]]), None))[0]
            .energy
            for x in (r - 1e-5, r + 1e-5)
        ]
        assert pair_force(model, ("C", "N"), r) == pytest.approx(abs(energies[1] - energies[0]) / 2e-5, rel=1e-5)
    assert math.isnan(pair_force(Model(TRUTH.restricted({"C"})), ("C", "N"), 1.0))


def test_forces_stand_beside_distances_beyond_and_nowhere_else():
    model = Model(TRUTH)
    beyond, inside = (Coverage("CN", "CN", (1.2, 4.0), (low, 4.0), 2, 1) for low in (1.0, 1.2))
    assert with_force(model, beyond).force == pytest.approx(pair_force(model, ("C", "N"), 1.0))
    assert math.isnan(with_force(model, inside).force)
    # the term of C alone is another block's
    assert math.isnan(with_force(model, replace(beyond, pair="CC")).force)
    shown = coverage_text([with_force(model, beyond), inside]).splitlines()
    assert shown[0].split()[-2:] == ["force,", "kcal/mol/Å"]
    assert ["–" in line.split() for line in shown[-2:]] == [False, True]


def test_a_figure_of_what_was_fitted_on_and_is_used(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [Coverage("C", "CC", (1.2, 4.0), (1.3, 3.9), 2, 0), Coverage("CN", "CC", (1.2, 4.0), (1.0, 4.0), 2, 1)]
    types = type_coverage([replace(TRUTH, fitted_on={"CC": (3, 9), "CN": (0, 0)})], {"CC": (2, 4), "CN": (1, 5)})
    figure = coverage_figure(rows, types)
    distances, clusters = figure.axes
    # what is used beyond comes first
    assert [t.get_text() for t in distances.get_yticklabels()] == ["CN: CC", "C: CC"]
    assert [t.get_text() for t in clusters.get_yticklabels()] == ["CN", "CC"]
    assert [b.get_width() for b in clusters.patches] == [0, 9]
    assert [tuple(line.get_xdata()) for line in distances.lines] == [(1.0, 4.0), (1.3, 3.9)]
    assert len(coverage_figure(rows, []).axes) == 1
    assert coverage_path(tmp_path / "p.png") == tmp_path / "p_coverage.png"
