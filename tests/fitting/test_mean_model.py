"""Errors above the spread of their labels are marked, and groups that are far worse than the others are named."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist.evaluation.energies import Evaluation
from hiertl_dist.files.json_files import jsonable
from hiertl_dist.fitting.mean_model import FEW, LEAST, NAN, NOISE, KindErrors, far_groups, spread_of_labels
from hiertl_dist.jobs.csv_tables import errors_csv
from hiertl_dist.jobs.evaluate_job import EvaluationReport
from hiertl_dist.jobs.evaluating import errors_of, evaluated_of
from hiertl_dist.jobs.report import (
    QUANTITIES,
    details_text,
    errors_text,
)
from hiertl_dist.units import KCAL_PER_A3_IN_GPA

BASIS = small_basis((2, 0, 0))
FRAMES = labelled(random_frames({"C": 12, "CN": 12}, groups=("a", "b", "c")), random_parameters(BASIS, 1))


def off(frames, **by):
    """Evaluations that are off by so many standard deviations of noise: ``force`` kcal/mol/Å, ``energy`` kcal/mol an
    atom, ``stress`` GPa; by group where that is a mapping."""
    rng = np.random.default_rng(0)
    found = []
    for frame in frames:
        sizes = {k: v.get(frame.group, 0.0) if isinstance(v, dict) else v for k, v in by.items()}
        force, energy, stress = (sizes.get(k, 0.0) for k in QUANTITIES)
        found.append(Evaluation(
            frame.energy + len(frame) * energy * rng.choice([-1.0, 1.0]),
            frame.forces + force * rng.choice([-1.0, 1.0], frame.forces.shape),
            frame.stress + stress / KCAL_PER_A3_IN_GPA * rng.choice([-1.0, 1.0], 6),
        ))  # fmt: skip
    return found


def texts(frames, found):
    evaluated = evaluated_of(frames, found)
    table, groups = evaluated.errors, evaluated.group_errors
    return errors_text({"": table}), details_text({"": table}, {"": groups})


def test_a_spread_is_the_formula():
    """About the means of labels with one key, as many off the number as there are means: what a fit of them leaves."""
    rng = np.random.default_rng(1)
    labels, keys = rng.normal(3.0, 2.0, 40), ["one", "two", "two", "three"] * 10
    columns = np.array([[k == name for name in ("one", "two", "three")] for k in keys], float)
    left = labels - columns @ np.linalg.lstsq(columns, labels, rcond=None)[0]
    spread, freedom = spread_of_labels(labels, keys)
    assert (spread, freedom) == (pytest.approx(np.sqrt((left**2).sum() / 37), rel=1e-12), 37)
    for numbers in ([0, 5, 5, 2], [7, 1000, 1000, 0]):  # few of many, and beyond the number of labels
        assert spread_of_labels(labels, np.array(numbers * 10)) == pytest.approx((spread, freedom), rel=1e-15)
    spread, freedom = spread_of_labels(labels, None)
    assert (spread, freedom) == (pytest.approx(np.sqrt((labels**2).mean()), rel=1e-12), 40)
    for nothing in ((np.empty(0), None), (np.empty(0), []), (labels[:3], ["a", "b", "c"])):
        spread, freedom = spread_of_labels(*nothing)
        assert np.isnan(spread)
        assert freedom == 0


def test_energies_are_about_the_mean_of_each_composition_and_stresses_of_each_component():
    """What compositions and components differ by does not count: any model has that."""
    shift = {"C": -1e3, "CN": 5e3}
    stresses = np.array([5.0, -5.0, 9.0, 0.0, 1.0, 2.0])
    moved = [
        replace(f, energy=f.energy + len(f) * shift["CN" if len(f.elements) == 2 else "C"], stress=f.stress + stresses)
        for f in FRAMES
    ]
    plain, other = (errors_of(frames, off(frames)) for frames in (FRAMES, moved))
    assert other.energy_of_mean == pytest.approx(plain.energy_of_mean, rel=1e-8)
    assert other.stress_of_mean == pytest.approx(plain.stress_of_mean, rel=1e-8)
    assert plain.energy_freedom == 24 - len({f.composition for f in FRAMES})
    assert plain.stress_freedom == 6 * 24 - 6
    assert plain.force_freedom == plain.force_labels
    assert plain.force_of_mean == pytest.approx(plain.force_rms)


def test_predicting_the_mean_is_just_not_worse_than_it():
    """The error of the mean of each component itself, and a little above it."""
    mean = np.mean([f.stress for f in FRAMES], axis=0)
    for times, worse in ((1.0, False), (1.1, True)):
        found = [Evaluation(f.energy, f.forces, f.stress + times * (mean - f.stress)) for f in FRAMES]
        assert errors_of(FRAMES, found).of("stress").worse == worse


@pytest.mark.parametrize("kind", QUANTITIES)
def test_what_is_worse_than_the_mean_is_marked_in_every_form(kind, tmp_path):
    spread = errors_of(FRAMES, off(FRAMES)).of(kind).spread
    for size, worse in ((0.05 * spread, False), (2.0 * spread, True)):
        found = off(FRAMES, **{kind: size})
        glance, details = texts(FRAMES, found)
        rows = [line for line in glance.splitlines() if line.startswith("all ")]
        assert len(re.findall(r" !\d", rows[0])) == worse
        assert ("! above the spread of the labels" in glance) == (" !" in glance.partition("RMSE (")[0])
        said = [line for line in details.splitlines() if line.startswith("! worse than a model that predicts the mean")]
        assert len(said) == worse
        report = EvaluationReport(evaluated_of(FRAMES, found), [], set())
        listed = json.loads(json.dumps(jsonable(report.as_dict())))["errors"]["all"]
        assert listed["worse_than_mean"] == [kind] * worse
        assert listed[f"{kind}_of_mean"] == pytest.approx(spread)
        table = evaluated_of(FRAMES, found).errors
        path = errors_csv({"m": {"fitted": table}}, {"m": {"fitted": {}}}, "kcal").write(tmp_path)
        with path.open(newline="") as stream:
            cells = {r["quantity"]: r for r in csv.DictReader(stream) if r["name"] == "all"}
        assert cells[kind]["worse_than_mean"] == ("yes" if worse else "no")
        assert float(cells[kind]["rmse_of_mean"]) == pytest.approx(spread)
        if worse:
            assert f"{kind} of " in said[0]
            assert "all frames" in said[0]


def test_the_sentence_names_the_groups_at_fault_and_no_others():
    found = off(FRAMES, force={"a": 10.0 * errors_of(FRAMES, off(FRAMES)).force_rms})
    details = texts(FRAMES, found)[1]
    said = next(line for line in details.splitlines() if line.startswith("! worse"))
    assert "group a" in said
    assert "group b" not in said
    row = next(line for line in details.splitlines() if line.startswith("group a"))
    assert re.search(r" !\d", row)


def test_few_labels_are_judged_where_an_error_is_far_above_their_spread():
    """An energy of each composition, and three or ten more."""
    for more, times, worse in ((LEAST, 1.1, True), (LEAST - 1, 1.1, False), (LEAST - 1, 4.9, False),
                               (LEAST - 1, 5.1, True), (FEW, 5.1, True), (FEW - 1, 1e6, False)):  # fmt: skip
        alike = [replace(FRAMES[0], energy=FRAMES[0].energy + i % 3) for i in range(more + 1)]
        spread = errors_of(alike, off(alike)).energy_of_mean
        found = [replace(e, energy=e.energy + times * spread * len(f)) for e, f in zip(off(alike), alike, strict=True)]
        assert errors_of(alike, found).of("energy").worse == worse, (more, times)
        assert ("worse than" in texts(alike, found)[1]) == worse


def test_digits_of_labels_that_symmetry_makes_zero_are_no_error():
    still = [replace(f, forces=np.zeros_like(f.forces)) for f in FRAMES]
    assert not errors_of(still, off(still, force=0.5 * NOISE["force"])).of("force").worse
    assert errors_of(still, off(still, force=2.0 * NOISE["force"])).of("force").worse


def test_a_group_far_above_the_others_is_named():
    """Although its errors lie below the spread of its labels."""
    rms = errors_of(FRAMES, off(FRAMES)).force_rms
    found = off(FRAMES, force={"a": 0.11 * rms, "b": 0.01 * rms, "c": 0.01 * rms})
    details = texts(FRAMES, found)[1]
    assert details.splitlines()[-1] == ("more than 5 times the median error of the groups: force of a (11.00 times)")
    assert "more than" not in texts(FRAMES, off(FRAMES, force={"a": 0.04 * rms, "b": 0.01 * rms, "c": 0.01 * rms}))[1]
    two = [f for f in FRAMES if f.group != "c"]
    assert "more than" not in texts(two, off(two, force={"a": 0.11 * rms, "b": 0.01 * rms}))[1], "two are no others"


def test_groups_without_any_force_say_nothing_of_what_is_usual():
    def errors(force, size):
        empty = KindErrors(0, NAN, NAN, NAN, NAN)
        own = {"force": KindErrors(30, force, force, force, size), "energy": empty, "stress": empty}
        return SimpleNamespace(of=own.__getitem__)

    perfect = {f"crystal {i}": errors(1e-14, 0.0) for i in range(4)}
    usual = {f"liquid {i}": errors(1.0 + i, 20.0) for i in range(4)}
    assert far_groups(perfect | usual) == []
    assert far_groups(usual | {"far": errors(40.0, 20.0)}) == ["force of far (13.33 times)"]
