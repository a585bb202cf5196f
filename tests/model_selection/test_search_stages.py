"""``search``: scores are those of fits from the rows, the choice follows its rule, and nothing is computed twice."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from job_files import write_job
from mpi_commands import command, mpiexec
from synthetic import HAS_MPI, environment, labelled, random_frames, random_parameters, small_basis
from view_oracle import least_squares

from hiertl_dist import Model, design_rows, fit_block
from hiertl_dist.algebra import ConvergenceError, Lasso
from hiertl_dist.cli import commands as cli
from hiertl_dist.dataset.folds import Folds, assign_folds
from hiertl_dist.errors import InputError, StoreError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting import known_frames, summary_pass
from hiertl_dist.fitting.hierarchy import fit_hierarchy
from hiertl_dist.fitting.settings import FitSettings, HierarchyOptions
from hiertl_dist.frames.rows import OBJECTIVES, SUMMARY_KINDS, kind_codes
from hiertl_dist.jobs.search_report import pm, search_text
from hiertl_dist.model.parameters import merge_parameters
from hiertl_dist.model.solution import Solution
from hiertl_dist.model.truncation import lower_basis
from hiertl_dist.model_selection import candidates as search_items
from hiertl_dist.model_selection import search_stages as stages
from hiertl_dist.model_selection.candidates import Item, Setup, Source, items_of
from hiertl_dist.model_selection.choice import Candidate, Chosen, choose, ratio_error, scored
from hiertl_dist.model_selection.held_out_errors import Cell, HeldOut
from hiertl_dist.model_selection.search_parts import Columns
from hiertl_dist.model_selection.search_settings import Choice, Grid, SearchSettings
from hiertl_dist.model_selection.search_stages import search
from hiertl_dist.units import KCAL_PER_A3_IN_GPA

BASIS = small_basis((3, 2, 2))
TABLE = {
    "folds": {"count": 3, "split": "group"},
    "grid": {
        "regulariser": [{"kind": "ridge", "alpha": [1e-3, 10.0]},
                        {"kind": "lasso", "lam": 1e-3, "normalize": True}],
        "weights": {"energy": [0.3, 1.0], "stress": 20.0, "a": 2.0}, "orders": [[3, 2, 2], [2, 2, 2]],
        "exclude": [[], ["4B"]],
    },
}  # fmt: skip
SETTINGS = SearchSettings.from_dict(TABLE)


@cache
def noisy_frames(seed=0):
    """Labelled by a model of higher orders, with noise."""
    truth = random_parameters(small_basis((4, 3, 2)), 1)
    rng = np.random.default_rng(seed)
    frames = labelled(random_frames({"C": 5, "N": 5, "CN": 8}, groups=("a", "b", "c", "d")), truth)
    return tuple(replace(f, forces=f.forces + 0.3 * rng.normal(size=f.forces.shape)) for f in frames)


def run(settings=SETTINGS, frames=None, **more):
    with SerialExecutor() as executor:
        return search(frames or noisy_frames(), BASIS, settings, executor=executor, **more)


@pytest.fixture(scope="module")
def hierarchy():
    return run()


@pytest.fixture(scope="module")
def together():
    return run(all_at_once=True)


# ---- the reference: rows, a dense least-squares problem a fold, errors row by row


def weight_of(frame, kind, choice):
    person = kind.split("_")[0]
    names = dict.fromkeys([person, frame.group, frame.composition])
    names |= dict.fromkeys([f"{frame.group}/{person}", f"{frame.composition}/{person}"])
    return math.prod(choice.weights.get(n, 1.0) for n in names) * math.sqrt(OBJECTIVES[choice.objective].count(kind))


def folds_of(frames):
    """Fold of each frame, by digest."""
    return dict(zip((f.digest for f in frames), assign_folds(frames, SETTINGS.folds), strict=True))


def reference(frames, blocks, choice, frozen, shares=None):
    """Held-out squared errors: (kind, composition, fold) → list, in GPa and per atom."""
    shares = folds_of(noisy_frames()) if shares is None else shares
    made = design_rows(frames, lower_basis(BASIS, blocks, choice.orders, choice.exclude))
    target = made.target.copy()
    for model in frozen:
        target -= design_rows(frames, BASIS.with_types(model.basis.types)).matrix @ model.coefficients
    facts = [(f, SUMMARY_KINDS[code]) for f in frames for code in kind_codes(f)]
    weights = np.array([weight_of(f, kind, choice) for f, kind in facts])
    folds = np.array([shares[f.digest] for f, _ in facts])
    found = {}
    for fold in range(SETTINGS.folds.count):
        a, b = ((weights[:, None] * made.matrix)[folds != fold], (weights * target)[folds != fold])
        c = least_squares(a, b, choice.regulariser["alpha"], made.columns)
        for i in np.flatnonzero(folds == fold):
            frame, kind = facts[i]
            person = kind.split("_")[0]
            unit = {"force": 1.0, "stress": KCAL_PER_A3_IN_GPA, "energy": 1.0 / len(frame)}[person]
            error = unit * (target[i] - made.matrix[i] @ c)
            found.setdefault((person, frame.composition, fold), []).append(error**2)
    return found


def score_of(squares, **where):
    """Geometric mean over kinds of the RMSE of the rows chosen."""
    roots = []
    for kind in ("force", "stress", "energy"):
        own = [v for (k, c, f), values in squares.items() for v in values
               if k == kind and c == where.get("composition", c) and f == where.get("fold", f)]  # fmt: skip
        if own:
            roots.append(math.log(math.sqrt(np.mean(own))))
    return math.exp(np.mean(roots))


def error_of(squares, **where):
    """Standard error of a score."""
    folds = sorted({f for _, c, f in squares if c == where.get("composition", c)})
    logs = [math.log(score_of(squares, fold=f, **where)) for f in folds]
    return score_of(squares, **where) * np.std(logs, ddof=1) / math.sqrt(len(logs)) if len(logs) > 1 else math.nan


def check(candidate, squares):
    np.testing.assert_allclose(candidate.score, score_of(squares), rtol=1e-7)
    np.testing.assert_allclose(candidate.standard_error, error_of(squares), rtol=1e-6)
    for kind, (value, _) in candidate.kinds.items():
        own = [v for (k, _, _), values in squares.items() if k == kind for v in values]
        np.testing.assert_allclose(value, math.sqrt(np.mean(own)), rtol=1e-7)
    assert set(candidate.compositions) == {c for _, c, _ in squares}
    for name, (score, error) in candidate.compositions.items():
        np.testing.assert_allclose(score, score_of(squares, composition=name), rtol=1e-7)
        np.testing.assert_allclose(error, error_of(squares, composition=name), rtol=1e-6)


# ---- scores


def test_scores_block_by_block_are_those_of_fits_from_the_rows(hierarchy):
    assert [s.name for s in hierarchy.stages] == ["C", "N", "CN"]
    lower = [s.solution.parameters for s in hierarchy.stages[:2]]
    for stage, frozen in zip(hierarchy.stages, ([], [], lower), strict=True):
        assert [p.digest for p in stage.frozen] == [p.digest for p in frozen]
        assert len(stage.selection.candidates) == 3 * 2 * 2 * 2
        frames = [f for f in noisy_frames() if f.elements == set(stage.name)]
        for place in (0, 5, 10, 15):
            candidate = stage.selection.candidates[place]
            assert candidate.choice.regulariser["kind"] == "ridge"
            check(candidate, reference(frames, {stage.name}, candidate.choice, frozen))


def test_scores_all_at_once_are_those_of_fits_from_the_rows(together):
    (stage,) = together.stages
    assert stage.blocks == ("C", "N", "CN")
    for place in (0, 7, 14):
        candidate = stage.selection.candidates[place]
        check(candidate, reference(noisy_frames(), {"C", "N", "CN"}, candidate.choice, []))


def test_the_solution_is_that_of_a_fit_with_the_same_settings(hierarchy):
    frozen = []
    for stage in hierarchy.stages:
        choice = stage.chosen.choice
        with SerialExecutor() as executor:
            fit = fit_block(
                noisy_frames(), lowered(stage, choice), stage.name,
                frozen=frozen if stage.name == "CN" else [], executor=executor,
                settings=FitSettings(choice.regulariser, choice.weights, choice.objective),
            )  # fmt: skip
        ours, theirs = stage.solution.parameters, fit.solution.parameters
        assert ours.basis == theirs.basis
        np.testing.assert_allclose(ours.coefficients, theirs.coefficients, rtol=0, atol=1e-6)
        assert ours.coverage == theirs.coverage
        assert sum(stage.rows.values()) == fit.solution.rows
        frozen.append(ours)
    model = hierarchy.model.parameters
    values = {c: v for s in hierarchy.stages for c, v in s.solution.parameters.as_dict().items()}
    assert model.as_dict() == values


def lowered(stage, choice):
    """The basis of a chosen model with the lower blocks as they are."""
    own = lower_basis(BASIS, {stage.name}, choice.orders, choice.exclude)
    return BASIS.with_types([*own.types, *(t for t in BASIS.types if t.block != stage.name)])


def test_costs_rise_with_orders_and_types(hierarchy):
    costs = {}
    for c in hierarchy.stages[2].selection.candidates:
        costs.setdefault((c.choice.orders[0], bool(c.choice.exclude)), set()).add(c.cost)
    assert all(len(own) == 1 for own in costs.values()), "weights and regulariser cost nothing"
    (full,), (lean,) = costs[3, False], costs[3, True]
    assert 0 < lean < full < 1e-2


def test_rows_that_do_not_count_give_no_score():
    cells = {("force", "C", 0): 4.0, ("force", "C", 1): 9.0, ("force", "N", 0): 1.0, ("energy", "C", 0): 16.0}
    errors = HeldOut(
        tuple(Cell(k, "source", c, f) for k, c, f in cells), np.ones(4, np.int64), np.array(list(cells.values()))
    )
    found = scored(Choice({"kind": "none"}), 5, 1.0, errors, {"energy": 1.0}, (5, 5), (1.0, 1.0))
    assert found.score == found.compositions["C"][0] == 4.0
    assert math.isnan(found.standard_error), "one fold has energies"
    assert set(found.compositions) == {"C"}
    assert found.kinds["force"][0] == pytest.approx(math.sqrt(14 / 3))
    assert math.isfinite(found.kinds["force"][1])
    assert found.table["N"]["force"] == 1.0


# ---- the choice


def made(score, error, cost, compositions, nonzeros=10, failed=""):
    """A candidate of a score; compositions with their standard errors."""
    return Candidate(
        Choice({"kind": "none"}), 20, cost, score, error, {"force": (score, error)}, compositions, nonzeros=(nonzeros,),
        failed=failed,
    )  # fmt: skip


def both(c, n, error=0.1):
    return {"C": (c, error), "N": (n, error)}


BEST = made(1.0, 0.2, 9.0, both(1.0, 1.0))


def test_the_best_is_the_lowest_score_and_the_first_of_several():
    found = choose([made(2.0, 0.1, 1.0, {}), BEST, BEST], "best")
    assert (found.best, found.chosen) == (1, 1)


def test_one_standard_error_takes_the_cheapest_near_the_best():
    found = choose([BEST, made(1.19, 0.0, 2.0, both(1.05, 1.05)), made(1.21, 9.0, 1.0, both(1.0, 1.0))], "one_se")
    assert (found.best, found.chosen) == (0, 1), "the standard error is that of the best"


@pytest.mark.parametrize(
    ("score", "rule", "told"), [(1.6, "one_se", True), (1.4, "one_se", False), (1.6, "best", False)]
)
def test_a_choice_far_above_the_lowest_score_is_told(score, rule, told):
    wide = made(1.0, 2.0, 9.0, both(1.0, 1.0, 2.0))
    found = choose([wide, made(score, 2.0, 1.0, both(1.0, 1.0, 2.0))], rule)
    assert found.chosen == (rule == "one_se")
    assert any("hardly tell models apart" in note and f"1 ± 2, with {score}" in note for note in found.notes) == told


@pytest.mark.parametrize(
    ("others", "chosen"),
    [
        ([made(1.1, 0.1, 2.0, both(1, 1), 10), made(1.15, 0.1, 2.0, both(1, 1), 9)], 2),
        ([made(1.1, 0.1, 2.0, both(1, 1)), made(1.05, 0.1, 2.0, both(1, 1))], 2),
        ([made(1.1, 0.1, 2.0, both(1, 1)), made(1.1, 0.1, 2.0, both(1, 1))], 1),
    ],
    ids=["fewer nonzeros", "lower score", "first"],
)
def test_ties_in_cost(others, chosen):
    assert choose([BEST, *others], "one_se").chosen == chosen


def ridge(alpha, score, cost=2.0, kind="ridge", nonzeros=10, **more):
    """A model within one standard error of the best where its score is at most 1.2."""
    table = {"kind": kind, ("alpha" if kind == "ridge" else "lam"): alpha, **more}
    return replace(made(score, 0.1, cost, both(1, 1), nonzeros), choice=Choice(table))


@pytest.mark.parametrize(
    ("others", "chosen"),
    [
        ([ridge(1.0, 1.0), ridge(10.0, 1.1), ridge(100.0, 1.2), ridge(1e3, 1.3)], 3),
        ([ridge(1.0, 1.0), ridge(10.0, 1.1), ridge(100.0, 1.1, 3.0)], 2),
        ([ridge(10.0, 1.1), ridge(1.0, 1.0), ridge(10.0, 1.05)], 3),
        ([ridge(1.0, 1.1), ridge(0.1, 1.05, kind="lasso", nonzeros=7), ridge(0.2, 1.15, kind="lasso", nonzeros=8)], 3),
        ([ridge(1.0, 1.05), ridge(1e-2, 1.1, kind="lasso")], 1),
        ([ridge(1e-3, 1.0, kind="lasso"), ridge(1e-2, 1.1, kind="lasso", normalize=True)], 1),
    ],
    ids=["the strongest within the error", "cost comes first", "the lower score of two as strong",
         "kinds by nonzeros, then the strongest", "kinds by score", "other scales do not compare"],
)  # fmt: skip
def test_of_models_that_cost_alike_the_most_regularised_is_taken(others, chosen):
    """The table of each begins with the best, which costs most."""
    assert choose([BEST, *others], "one_se").chosen == chosen
    assert choose([BEST, *others], "best").chosen == 0


def test_a_composition_that_is_left_out_whole_has_the_error_of_one_fold():
    """Folds by system leave out whole compositions: their scores deviate as those of single folds do."""
    values = {("C", 0): 1.0, ("N", 1): 4.0, ("CN", 2): 9.0, ("CN", 0): 2.0}
    errors = HeldOut(
        tuple(Cell("force", "source", c, f) for c, f in values), np.ones(4, np.int64), np.array(list(values.values()))
    )
    plain, whole = (scored(Choice({"kind": "none"}), 5, 1.0, errors, None, (5,), (1.0,), by_system=b) for b in (0, 1))
    spread = np.std(np.log([math.sqrt(1.5), 2.0, 3.0]), ddof=1)
    assert math.isnan(plain.compositions["C"][1])
    assert whole.compositions["C"] == (1.0, pytest.approx(spread))
    assert whole.compositions["N"] == (2.0, pytest.approx(2.0 * spread))
    assert whole.compositions["CN"] == plain.compositions["CN"]
    assert (whole.score, whole.standard_error) == (plain.score, plain.standard_error)
    assert (plain.fold_scores, whole.fold_scores) == ((), pytest.approx((math.sqrt(1.5), 2.0, 3.0)))


def test_models_are_compared_system_by_system():
    """Scores of systems that differ by orders of magnitude have a standard error that any model is within."""
    folds = {1.0: (9.0, 5.0, 0.02), 10.0: (9.9, 5.0, 0.024), 100.0: (13.0, 7.0, 0.03)}
    of_folds = [replace(ridge(a, s), standard_error=9.0, fold_scores=folds[a])
                for a, s in ((1.0, 5.0), (10.0, 5.2), (100.0, 7.0))]  # fmt: skip
    ratios = np.log([[b / a for a, b in zip(folds[1.0], folds[x], strict=True)] for x in (10.0, 100.0)])
    expected = np.std(ratios, axis=1, ddof=1) / math.sqrt(3)
    np.testing.assert_allclose([ratio_error(c, of_folds[0]) for c in of_folds[1:]], expected)
    assert math.log(5.2 / 5.0) < expected[0]
    assert expected[1] < math.log(7.0 / 5.0)
    assert choose([replace(c, fold_scores=()) for c in of_folds], "one_se").chosen == 2
    assert choose(of_folds, "one_se").chosen == 1


def test_the_guard_keeps_out_what_makes_a_composition_worse():
    found = choose([BEST, made(1.05, 0.1, 1.0, both(0.9, 1.11)), made(1.1, 0.1, 5.0, both(1.1, 1.1))], "one_se")
    assert found.chosen == 2
    assert found.candidates[1].rejected == "N: 1.11, the best model 1 (± 0.1)"
    assert not found.candidates[0].rejected
    assert not found.candidates[2].rejected


def test_a_composition_without_a_standard_error_must_not_be_worse():
    best = replace(BEST, compositions={"C": (1.0, 0.1), "N": (1.0, math.nan)})
    found = choose([best, made(1.0, 0.1, 1.0, both(1.0, 1.001)), made(1.0, 0.1, 2.0, both(1.0, 1.0))], "one_se")
    assert found.chosen == 2
    assert "no standard error: rows in one fold only" in found.candidates[1].rejected


def test_a_score_without_a_standard_error_leaves_the_best():
    best = replace(BEST, standard_error=math.nan)
    assert choose([best, made(1.01, 0.1, 1.0, both(1.0, 1.0))], "one_se").chosen == 0


def test_what_failed_is_never_chosen_and_all_of_it_is_an_error():
    lost = made(math.nan, math.nan, 1.0, {}, failed="fold 0: it diverged")
    found = choose([lost, BEST], "one_se")
    assert (found.best, found.chosen) == (1, 1)
    with pytest.raises(InputError, match="here: none of 2 models could be fitted: fold 0: it diverged"):
        choose([lost, lost], "one_se", "here")


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(1.2345, 0.0123, "1.234 ± 0.012"), (123.4, 5.0, "123.4 ± 5.0"), (1.5, math.nan, "1.500"), (math.nan, 1.0, "–"),
     (1.23456e-8, 4.5e-10, "1.235e-08 ± 4.5e-10"), (1234567.891, 98765.4, "1.235e+06 ± 9.9e+04")],
)  # fmt: skip
def test_the_error_decides_on_the_digits(value, error, text):
    assert pm(value, error) == text


# ---- failures


def test_a_model_that_cannot_be_fitted_is_a_row_with_its_reason(monkeypatch):
    from hiertl_dist.model_selection import cross_validation as validation

    def failing(given, factor, regularisers, counted, real=validation.solved):
        if any(getattr(r, "alpha", None) == 10.0 for r in regularisers):
            raise ConvergenceError("it diverged", 1.0)
        return real(given, factor, regularisers, counted)

    monkeypatch.setattr(validation, "solved", failing)
    lines = []
    (stage,) = run(all_at_once=True, tell=lines.append).stages
    lost = [c for c in stage.selection.candidates if c.failed]
    assert len(stage.selection.candidates) == 24
    assert len(lost) == 8
    assert all(c.choice.regulariser == {"kind": "ridge", "alpha": 10.0} for c in lost)
    assert lost[0].failed.startswith("fold 0: ConvergenceError: it diverged; fold 1: ")
    assert stage.chosen not in lost
    assert any("8 of 24 models could not be fitted, such as: fold 0" in line for line in lines)


def test_a_solver_that_refuses_its_problem_does_not_take_others_with_it(monkeypatch):
    from hiertl_dist.model_selection import cross_validation as validation

    def failing(given, factor, regularisers, counted, real=validation.solved):
        if any(isinstance(r, Lasso) for r in regularisers):
            raise ValueError("n_counted: expected more rows")
        return real(given, factor, regularisers, counted)

    monkeypatch.setattr(validation, "solved", failing)
    (stage,) = run(all_at_once=True).stages
    lost = [c for c in stage.selection.candidates if c.failed]
    assert {c.choice.regulariser["kind"] for c in lost} == {"lasso"}
    assert len(lost) == 8
    assert lost[0].failed == "ValueError: n_counted: expected more rows"


def test_a_chosen_model_that_fails_on_all_folds_gives_way_to_the_next(monkeypatch, together):
    import hiertl_dist.model_selection.search_stages as module

    first = together.stages[0].selection.chosen
    lost = []

    def solve(given, regulariser, real=module.solve, **more):
        if not lost:
            lost.append(regulariser)
            raise ConvergenceError("not this one", 1.0)
        return real(given, regulariser, **more)

    monkeypatch.setattr(module, "solve", solve)
    (stage,) = run(all_at_once=True).stages
    assert stage.selection.candidates[first].failed == "on all folds: ConvergenceError: not this one"
    assert stage.selection.chosen != first
    assert stage.solution.regulariser == stage.chosen.choice.regulariser


# ---- ladder


def test_a_ladder_takes_one_axis_after_the_other():
    ladder = replace(SETTINGS, strategy="ladder", rule="best")
    (stage,) = run(ladder, all_at_once=True).stages
    (whole,) = run(replace(SETTINGS, rule="best"), all_at_once=True).stages
    score = {c.choice.key: c.score for c in whole.selection.candidates}
    part = SETTINGS.grid
    current = part.start(FitSettings())
    tried = []
    for axis in ("regulariser", "weights.energy", "orders", "exclude"):
        rung = [current.changed(axis, v) for v in part.axes[axis]]
        tried += [c.key for c in rung]
        current = min(rung, key=lambda c: score[c.key])
    assert stage.chosen.choice.key == current.key
    assert [c.choice.key for c in stage.selection.candidates] == list(dict.fromkeys(tried))
    np.testing.assert_allclose(
        [c.score for c in stage.selection.candidates],
        [score[c.choice.key] for c in stage.selection.candidates],
        rtol=1e-9,
    )
    assert stage.best.score == min(c.score for c in stage.selection.candidates)


# ---- kept results, interruption


def digest(result):
    return [c.as_dict() for s in result.stages for c in s.selection.candidates], result.model.parameters.digest


def test_what_is_there_is_not_computed_again(tmp_path, monkeypatch, hierarchy):
    assert digest(run(output=tmp_path)) == digest(hierarchy)
    files = sorted((tmp_path / "search").iterdir())
    assert len(files) == 3 * 4
    files[5].write_text("{")
    files[1].write_bytes(files[0].read_bytes())
    calls = []

    def cross_validate(views, regularisers, real=search_items.cross_validate, **more):
        calls.append(views)
        return real(views, regularisers, **more)

    monkeypatch.setattr(search_items, "cross_validate", cross_validate)
    lines = []
    assert digest(run(output=tmp_path, tell=lines.append)) == digest(hierarchy)
    assert len(calls) == 2, "but what cannot be read is, and what is another's"
    there = [int(n) for line in lines for n in re.findall("in 4 parts, (.) of which are there already", line)]
    assert sum(there) == 10
    others = replace(SETTINGS, rule="best", importance={"force": 1.0})
    found = run(others, output=tmp_path)
    assert found.stages[0].chosen.score == min(c.kinds["force"][0] for c in found.stages[0].selection.candidates)
    assert len(calls) == 2 + 4, "a rule needs no fit, but of blocks upon others"
    run(replace(SETTINGS, folds=replace(SETTINGS.folds, seed=1)), output=tmp_path)
    assert len(calls) == 2 + 4 + 12, "other folds are other results"


def test_each_thing_that_determines_a_result_is_in_its_key(hierarchy):
    parameters = hierarchy.stages[0].solution.parameters
    setup = Setup(("CN",), ("CN",), (), SETTINGS.folds, None)
    columns, plain = Columns(BASIS, 10), Choice({"kind": "none"}, {"force": 1.0})
    item = Item(columns, (plain,), ({"kind": "ridge", "alpha": 1.0},), (0,))
    source = Source(hierarchy.summaries, {"path": "a", "batches": {"x": "CN", "y": "C"}}, 0, 0)
    found = {
        item.digest(setup, source),
        *(replace(item, **change).digest(setup, source) for change in (
            {"columns": Columns(BASIS.restricted("C"), 10)}, {"weightings": (replace(plain, weights={"force": 2.0}),)},
            {"weightings": (replace(plain, objective="plain"),)}, {"regularisers": ({"kind": "ridge", "alpha": 2.0},)},
        )),
        *(item.digest(replace(setup, **change), source) for change in (
            {"blocks": ("C", "CN")}, {"sets": ("C", "CN")}, {"frozen": (parameters,)}, {"folds": Folds(3)},
        )),
        item.digest(setup, replace(source, identity={"path": "a", "batches": {"z": "CN"}})),
        item.digest(setup, replace(source, summaries=replace(hierarchy.summaries, frozen=(parameters,)))),
    }  # fmt: skip
    assert len(found) == 11
    elsewhere = replace(source, identity={"path": "b", "batches": {"x": "CN", "z": "C"}})
    assert item.digest(setup, elsewhere) in found, "neither the folder nor other element sets matter"


def test_what_an_item_holds_follows_from_the_grid_alone():
    columns = [Columns(lower_basis(BASIS, {"CN"}, None, e), 30) for e in ((), ("4B",))]
    ridges = [{"kind": "ridge", "alpha": a} for a in (1.0, 2.0)]
    models = [
        (Choice(r, {"energy": float(w)}), c) for r in ridges for w in range(1, 12) for c in columns
    ]  # fmt: skip
    items = items_of([*models, (Choice({"kind": "none"}, {"energy": 99.0}), columns[0])], 5)
    assert [len(i.weightings) for i in items] == [3, 4, 4, 1, 3, 4, 4]
    assert sorted(p for i in items for p in i.places) == list(range(45))
    for i in items[:3]:
        expected = [(w.weights["energy"], r) for w in i.weightings for r in i.regularisers]
        own = [models[p][0] for p in i.places]
        assert [(c.weights["energy"], c.regulariser) for c in own] == expected
    wide = [(choice, replace(c, count=20_000)) for choice, c in models]
    assert {len(i.weightings) for i in items_of(wide, 5)} == {1}, "their factors have to fit into memory"


def test_an_interrupted_search_goes_on_where_it_was(tmp_path, monkeypatch, together):
    def cross_validate(views, regularisers, real=search_items.cross_validate, **more):
        if len(list((tmp_path / "search").glob("*.json"))) == 2:
            raise KeyboardInterrupt
        return real(views, regularisers, **more)

    with monkeypatch.context() as patch:
        patch.setattr(search_items, "cross_validate", cross_validate)
        (tmp_path / "search").mkdir()
        with pytest.raises(KeyboardInterrupt):
            run(all_at_once=True, output=tmp_path)
    lines = []
    assert digest(run(all_at_once=True, output=tmp_path, tell=lines.append)) == digest(together)
    assert any("in 4 parts, 2 of which are there already" in line for line in lines)


def test_more_frames_of_another_element_set_leave_results_as_they_are(tmp_path):
    some = [f for f in noisy_frames() if f.elements != {"C", "N"}]
    run(frames=some, output=tmp_path, summaries=tmp_path / "summaries")
    lines = []
    run(output=tmp_path, summaries=tmp_path / "summaries", tell=lines.append)
    assert [line for line in lines if "parts" in line] == [
        *["  24 models, 3 folds each, in 4 parts, 4 of which are there already"] * 2,
        "  24 models, 3 folds each, in 4 parts",
    ]


# ---- executors and stores


def test_the_answer_is_that_of_one_process_to_the_bit(tmp_path, two_processes):
    found = []
    for i, executor in enumerate((SerialExecutor(), two_processes)):
        folders = {"summaries": tmp_path / f"summaries{i}", "store": tmp_path / f"design{i}.zarr"}
        found.append(search(noisy_frames(), BASIS, SETTINGS, executor=executor, **folders))
    first, second = found
    assert digest(first) == digest(second)
    assert first.identity["batches"] == second.identity["batches"]
    assert len(first.identity["batches"]) == 3
    assert set(first.identity) == {"path", "batches"}


def test_with_and_without_a_store_it_is_the_same_but_for_rounding(tmp_path, hierarchy):
    found = run(summaries=tmp_path / "s")
    for ours, theirs in zip(found.stages, hierarchy.stages, strict=True):
        np.testing.assert_allclose(
            [c.score for c in ours.selection.candidates], [c.score for c in theirs.selection.candidates], rtol=1e-6
        )


def test_a_store_with_frames_that_are_held_out_since_is_refused(tmp_path):
    run(summaries=tmp_path / "s", all_at_once=True)
    fewer = [f for f in noisy_frames() if f.group != "d"]
    with pytest.raises(StoreError, match="frames that are not among those to be fitted") as error:
        run(frames=fewer, summaries=tmp_path / "s", all_at_once=True)
    assert "search.summaries" in str(error.value)


def test_frozen_files_are_subtracted(hierarchy):
    lower = [s.solution.parameters for s in hierarchy.stages[:2]]
    found = run(frozen=lower)
    assert [s.name for s in found.stages] == ["CN"]
    ours, theirs = found.stages[0], hierarchy.stages[2]
    frames = [f for f in noisy_frames() if f.elements == {"C", "N"}]
    for candidate in ours.selection.candidates[:16:5]:
        check(candidate, reference(frames, {"CN"}, candidate.choice, lower, folds_of(frames)))
    assert [p.digest for p in ours.frozen] == [p.digest for p in lower]
    assert [c.cost for c in ours.selection.candidates] == [c.cost for c in theirs.selection.candidates]
    assert set(found.model.elements) == {"C", "N"}
    parts = [*lower, ours.solution.parameters]
    assert len(found.model.parameters.columns) == sum(len(p.columns) for p in parts)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (HierarchyOptions(block_settings={"CN": FitSettings(policy="lsq")}), "fit.blocks.CN.policy is 'lsq'"),
        (HierarchyOptions(only=["CO"]), "only: ['CO'] are not blocks"),
    ],
)
def test_what_a_search_does_not_do_is_refused(options, said):
    with pytest.raises(InputError) as error:
        run(options=options)
    assert said in str(error.value)


RIDGE = {"kind": "ridge", "alpha": 1e-3}
FEWER = {"CN": FitSettings(RIDGE, include_fewer=True)}


@pytest.mark.parametrize(
    ("options", "bare"),
    [
        ({"partial": {"CN": ("C",)}}, ()), ({"partial": {"CN": ("C",)}, "block_settings": FEWER}, ()),
        ({"partial": {"CN": ("C",)}, "block_settings": FEWER, "only": ("N", "CN")}, ()),
        ({"partial": {"CN": ("C", "N")}, "block_settings": FEWER, "only": ("CN",)}, ()),
        ({"partial": {"CN": ("C",)}, "block_settings": FEWER}, ("C",)),
        ({"partial": {"CN": ("C", "N")}}, ("C", "N")),
        ({"block_settings": FEWER}, ("C",)),
    ],
)  # fmt: skip
def test_blocks_are_fitted_together_as_a_fit_does(options, bare):
    frames = [replace(f, energy=None) if "".join(sorted(f.elements)) in bare else f for f in noisy_frames()]
    how = HierarchyOptions(FitSettings(RIDGE), **options)
    grid = {"regulariser": RIDGE | {"alpha": [1e-3, 1e9]}}
    found = run(SearchSettings.from_dict({"folds": 3, "rule": "best", "grid": grid}), frames, options=how)
    assert all(s.chosen.choice.regulariser["alpha"] == 1e-3 for s in found.stages)
    with SerialExecutor() as executor:
        fit = fit_hierarchy(frames, BASIS, options=how, executor=executor)
    assert {s.name: (s.blocks, sum(s.rows.values())) for s in found.stages} == {
        n: (f.solution.blocks, f.solution.rows) for n, f in fit.fits.items()
    }
    ours, theirs = found.model.parameters.as_dict(), fit.model.parameters.as_dict()
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose([ours[c] for c in theirs], list(theirs.values()), rtol=0, atol=1e-7)
    last = found.stages[-1]
    assert {t.block for p in last.frozen for t in p.basis.types} == {"C", "N"} - set(last.blocks)


def test_scores_of_blocks_together_are_those_of_fits_from_the_rows():
    how = HierarchyOptions(partial={"CN": ("C",)}, block_settings=FEWER, only=("N", "CN"))
    found = run(options=how)
    frames = [f for f in noisy_frames() if "C" in f.elements]
    for candidate in found.stages[1].selection.candidates[:16:5]:
        check(candidate, reference(frames, {"C", "CN"}, candidate.choice, [found.stages[0].solution.parameters]))
    assert found.stages[1].frames == len(frames)


def test_a_frozen_file_of_which_a_part_is_fitted_anew(hierarchy):
    both = replace(merge_parameters([s.solution.parameters for s in hierarchy.stages[:2]]), source="both")
    told = []
    found = run(frozen=[both], options=HierarchyOptions(partial={"CN": ("C",)}), tell=told.append)
    assert "note: partial fits C anew, in place of what both has of it" in told
    (stage,) = found.stages
    assert {t.block for p in stage.frozen for t in p.basis.types} == {"N"}
    frames = [f for f in noisy_frames() if f.elements == {"C", "N"}]
    lower = [hierarchy.stages[1].solution.parameters]
    first = stage.selection.candidates[0]
    check(first, reference(frames, {"C", "CN"}, first.choice, lower, folds_of(frames)))
    values = stage.solution.parameters.as_dict()
    assert all(values[c] == v for c, v in found.model.parameters.as_dict().items() if c.block != "N")


def test_weights_that_the_grid_does_not_name_are_told():
    told = []
    run(replace(SETTINGS, grid=Grid.from_dict({"weights": {"energy": [0.3, 1.0], "force": 1.0}})), tell=told.append)
    notes = [line for line in told if "and not automatic" in line]
    assert [n.split(":")[1].strip() for n in notes] == ["C", "N", "CN"]
    assert all("has weights of energy, force; those of stress are 1" in n for n in notes)
    told.clear()
    run(replace(SETTINGS, grid=Grid.from_dict({"weights": ["auto"]})), tell=told.append)
    assert not [line for line in told if "and not automatic" in line]


def test_blocks_can_be_named(tmp_path):
    whole = run(summaries=tmp_path)
    found = run(options=HierarchyOptions(only=("N",)), summaries=tmp_path)
    assert [s.name for s in found.stages] == ["N"]
    assert found.stages[0].chosen.as_dict() == whole.stages[1].chosen.as_dict()


def test_importance_counts_in_the_score(hierarchy):
    found = run(replace(SETTINGS, importance={"force": 1.0}))
    for ours, theirs in zip(
        found.stages[0].selection.candidates, hierarchy.stages[0].selection.candidates, strict=True
    ):
        assert ours.score == pytest.approx(theirs.kinds["force"][0])
        assert ours.kinds == theirs.kinds


def test_the_table_marks_what_was_chosen(hierarchy):
    text = search_text(hierarchy, "eV", most=3)
    blocks = text.split("\n\n")
    assert len(blocks) == 4
    for stage, block in zip(hierarchy.stages, blocks, strict=False):
        (line,) = [row for row in block.splitlines() if row.startswith("→ ")]
        assert f"{1e6 * stage.chosen.cost:.3g}" in line
        assert pm(stage.chosen.score, stage.chosen.standard_error) in line
        assert block.startswith(f"{stage.name}: 24 models on {stage.frames} frames (")
    assert "fit of C, fit of N frozen" in blocks[2]


# ---- folds by system


def test_a_search_leaves_out_systems_and_says_which():
    told = []
    folds = Folds(4, "system")
    found = run(replace(SETTINGS, folds=folds, grid=Grid()), tell=told.append)
    assert [dict(own) for own in found.systems] == found.as_dict()["systems_in_folds"]
    of_compositions = {name: fold for fold, own in enumerate(found.systems) for name in own}
    assert len(of_compositions) == sum(map(len, found.systems)), "each system is in one fold"
    assert {n for n in of_compositions if "(" in n} == {f"{e} ({g})" for e in "CN" for g in "abcd"}
    (_, _, cn) = found.stages
    assert set(cn.chosen.compositions) == {n for n in of_compositions if "(" not in n}
    assert all(math.isfinite(error) for _, error in cn.chosen.compositions.values())
    assert told[0] == "note: folds by system (composition, of a single element by group):"
    assert told[1].startswith("note:   fold 0: ")
    assert "left out together: folds by system" in search_text(found)


def test_what_no_fold_can_leave_out_is_refused_before_any_row_is_made(monkeypatch):
    """Block by block an element set; a block of which all frames are of one system, and of one fold."""
    monkeypatch.setattr(summary_pass, "make_plan", None)
    plain = replace(SETTINGS, grid=Grid())
    with pytest.raises(InputError, match=r"C has a single system, C, (?s:.*) CN has a single system, CN, .* at once"):
        run(replace(plain, folds=Folds(3, "system", system="elements")))
    frames = [replace(f, group="all") if f.elements == {"C"} else f for f in noisy_frames()]
    with pytest.raises(InputError, match=r"search.folds: C has a single system, C \(all\), .* fit the block by itself"):
        run(replace(plain, folds=Folds(3, "system")), frames=frames)
    shared_out = [int(f.elements != {"C"}) for f in noisy_frames()]
    monkeypatch.setattr(known_frames, "assign_folds", lambda *_: np.array(shared_out))
    with pytest.raises(InputError, match=r"search.folds: all frames of C are in fold 0 \(systems C \(a\), C \(b\), "):
        run(replace(plain, folds=Folds(2, "system")))


# ---- the command, killed and under mpirun


def job(folder, **more):
    search_table = {**TABLE, "grid": {**TABLE["grid"], **more}}
    return write_job(folder, list(noisy_frames()), search=search_table, store={"keep_rows": False})


WAITING = """
import sys
from pathlib import Path
from synthetic import wait_at
from hiertl_dist.cli import commands
from hiertl_dist.model_selection import kept_results
wait_at(kept_results, "write_json", Path(sys.argv[2]), 2)
sys.exit(commands.main(["search", sys.argv[1], "--no-plot"]))
"""


def test_a_search_that_is_killed_gives_the_same_answer_when_it_is_started_again(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    assert cli.main(["search", str(job(tmp_path / "whole")), "--no-plot", "--json"]) == 0
    folder = tmp_path / "cut" / "hiertl_results" / "search"
    words = [sys.executable, "-c", WAITING, job(tmp_path / "cut"), folder]
    process = subprocess.Popen(list(map(str, words)), env=environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(folder.glob("*.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "it was to be killed in the middle"
    assert not (folder.parent / "search.json").exists()
    times = {p: p.stat().st_mtime_ns for p in folder.glob("*.json")}
    assert times
    assert cli.main(["search", str(tmp_path / "cut" / "input.toml"), "--no-plot", "--json"]) == 0
    assert {p: p.stat().st_mtime_ns for p in times} == times
    first, second = (tmp_path / n / "hiertl_results" for n in ("whole", "cut"))
    assert (first / "model.params.txt").read_bytes() == (second / "model.params.txt").read_bytes()
    candidates = [
        [s["candidates"] for s in json.loads((f / "search.json").read_text())["stages"]] for f in (first, second)
    ]
    assert candidates[0] == candidates[1]


@pytest.mark.mpi
@pytest.mark.skipif(not HAS_MPI, reason="mpi4py and an mpiexec are not both here")
def test_under_mpirun_it_is_the_same_to_the_bit(tmp_path, hierarchy):
    done = mpiexec(*command("search", job(tmp_path), "--executor", "mpi", "--no-plot", "--json"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, "one object on one line, from one of the ranks"
    found = json.loads(done.stdout)
    assert [s["name"] for s in found["stages"]] == ["C", "N", "CN"]
    assert [s["chosen"]["index"] for s in found["stages"]] == [s.selection.chosen for s in hierarchy.stages]
    kept = Solution.load(tmp_path / "hiertl_results" / "CN.solution.npz").parameters
    assert Model(kept).parameters.digest == kept.digest
    ours = Solution.load(tmp_path / "hiertl_results" / "C.solution.npz").parameters.coefficients
    np.testing.assert_allclose(ours, hierarchy.stages[0].solution.parameters.coefficients, rtol=1e-7)


def test_a_ladder_does_not_add_up_standard_errors(monkeypatch, together):
    """Each list goes on with its lowest score, and the rule looks at all models met, as with a grid."""
    ladder = replace(SETTINGS, strategy="ladder")
    (stage,) = run(ladder, all_at_once=True).stages
    limit = stage.best.score + stage.best.standard_error
    assert stage.chosen.score <= limit
    again = choose([replace(c, rejected="") for c in stage.selection.candidates], SETTINGS.rule)
    assert again.chosen == stage.selection.chosen


def test_each_list_of_a_ladder_goes_on_with_the_lowest_score():
    """Three simplifications of 0.09 each, with a standard error of 0.1: one of them may be taken, and not all."""
    part = SimpleNamespace(grid=Grid({f"weights.{k}": (1.0, 2.0) for k in "abc"}), fit=FitSettings())
    known = {}

    def evaluated(choices):
        for choice in choices:
            steps = sum(w == 2.0 for w in choice.weights.values())
            known[choice.key] = Candidate(choice, 9, 3.0 - steps, 1.0 + 0.09 * steps, 0.1)
        return [c.key for c in choices]

    settings = replace(SETTINGS, strategy="ladder", rule="one_se")
    found = stages._climb(part, settings, known, evaluated, "search", lambda _: None)
    assert found.candidates[found.best].score == 1.0
    assert found.candidates[found.chosen].score == 1.09


def tried(choices, chosen, best=None):
    """What was selected of models of some choices."""
    candidates = tuple(Candidate(choice, 9, 1.0, 1.0, 0.1) for choice in choices)
    return Chosen(candidates, chosen if best is None else best, chosen)


def ridges(*alphas):
    return [Choice({"kind": "ridge", "alpha": alpha}) for alpha in alphas]


def test_a_choice_at_the_edge_of_the_grid_is_told():
    (edge,) = tried(ridges(1e-3, 1e-2, 1e-1), 0).edges
    assert str(edge) == (
        "at the edge of the grid (chosen and lowest score): alpha = 0.001 is the smallest of 3 that were tried: add "
        "smaller ones to the grid"
    )
    assert edge.as_dict() == {
        "axis": "regulariser.alpha", "value": 1e-3, "side": "smallest", "tried": 3, "models": ["chosen", "lowest"]
    }  # fmt: skip
    chosen, lowest = tried(ridges(1e-3, 1e-1, 1e-2), 1, 0).edges
    assert (chosen.side, chosen.models, lowest.side, lowest.models) == ("largest", ("chosen",), "smallest", ("lowest",))
    assert not tried(ridges(1e-3, 1e-2, 1e-1), 1).edges
    assert not tried(ridges(1e-3, 1e-2), 0).edges, "two are no grid"
    nets = [Choice({"kind": "elastic_net", "lam": 0.1, "l1_ratio": x}) for x in (0.2, 0.5, 1.0)]
    assert not tried(nets, 2).edges, "there is nothing beyond 1"
    # of another kind of regulariser its own numbers count
    assert not tried([*ridges(1e-2, 1e-1), Choice({"kind": "adaptive_lasso", "lam": 1.0, "alpha": 1e-3})], 0).edges


def test_every_number_of_a_choice_is_an_axis():
    made = [replace(c, weights={"energy": w, "stress": 2.0}, orders=[3 + i, 2, 0], exclude=("4B",) * (i == 1))
            for i, (c, w) in enumerate(zip(ridges(0.1, 0.1, 0.1), (0.0, 1.0, 3.0), strict=True))]  # fmt: skip
    assert [(e.axis, e.side) for e in tried(made, 2).edges] == [("weights.energy", "largest"), ("orders.2B", "largest")]
    assert [(e.axis, e.side) for e in tried(made, 0).edges] == [("orders.2B", "smallest")], "no weight is below 0"
    assert "and to the orders of [basis]" in str(tried(made, 2).edges[1])
    by_type = [replace(c, orders={"CN": [2, 2, 0], "CCN": n}) for c, n in zip(ridges(1, 1, 1), (1, 2, 3), strict=True)]
    assert [e.axis for e in tried(by_type, 2).edges] == ["orders.CCN"]


def test_the_edge_is_in_the_report(hierarchy):
    told = []
    grid = Grid.from_dict({"regulariser": {"kind": "ridge", "alpha": [1e5, 1e6, 1e7]}})
    found = run(replace(SETTINGS, grid=grid, rule="best"), options=HierarchyOptions(only=("C",)), tell=told.append)
    (edge,) = found.stages[0].selection.edges
    assert (edge.axis, edge.side, edge.models) == ("regulariser.alpha", "smallest", ("chosen", "lowest"))
    assert f"note: C, {edge}" in told
    assert str(edge) in search_text(found)
    assert found.as_dict()["stages"][0]["edges"] == [edge.as_dict()]
