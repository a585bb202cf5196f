"""Cross-validation: held-out errors are those of explicit fits on the other folds, evaluated on the frames left out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from synthetic import random_parameters, small_basis
from view_oracle import dense, frames_of, least_squares
from view_oracle import plain_view as view

from hiertl_dist import Model, Parameters, columns_of
from hiertl_dist.algebra import BayesianRidge, ConvergenceError, Lasso, NoRegularisation, RFactor, Ridge
from hiertl_dist.dataset.folds import Folds
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.errors import InputError
from hiertl_dist.executors import SerialExecutor, TaskFailed
from hiertl_dist.fitting.reduction import reduce_rows
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.fitting.view_solutions import path, residual_squares, solve
from hiertl_dist.fitting.views import combine
from hiertl_dist.frames.rows import KINDS
from hiertl_dist.jobs.evaluating import errors_of, evaluated_of
from hiertl_dist.model.parameters import merge_parameters
from hiertl_dist.model_selection import cross_validation as validation
from hiertl_dist.model_selection.cross_validation import Pools, cross_validate, training_factors
from hiertl_dist.model_selection.held_out_errors import HeldOut

SERIAL = SerialExecutor()
ORDERS = (4, 3, 2)
BASIS = small_basis(ORDERS)
FRAMES = [
    *frames_of({"C": 9, "N": 6, "CN": 18}),
    *frames_of({"C": 3, "CN": 5}, atoms=12, group="solid", seed=1),
]
FRAMES[3] = FRAMES[3].without_labels(stress=True)
FRAMES[4] = FRAMES[4].without_labels(energy=True)
FRAMES[-1] = FRAMES[-1].without_labels(forces=True)
FOLDS = 3
ALPHA = 1e-2
TRUTH = {b: random_parameters(BASIS, 5).restricted({b}) for b in ("C", "N")}
LOWER = {b: random_parameters(small_basis((3, 2, 0)), 6).restricted({b}) for b in ("C", "N")}
ALL = dense(FRAMES, BASIS, folds=FOLDS)
SUMMARIES = summarise(FRAMES, BASIS, folds=FOLDS, executor=SERIAL)
OFFSET = summarise(FRAMES, BASIS, folds=Folds(FOLDS), frozen=[TRUTH["C"]], executor=SERIAL)


def held_out(found, frozen, alpha=ALPHA, rows=ALL):
    """Fold → (frames left out, what the fit of all others says of them): dense algebra, then `Model.evaluate`."""
    own = {c: i for i, c in enumerate(rows.columns)}
    kept = np.array([own[c] for c in found.columns])
    used = np.zeros(len(rows.labels), bool)
    for group in found.factors:
        used |= (
            rows.used(source=[group.source], composition=[group.composition], kind=[group.kind], fold=[group.fold])
        )  # fmt: skip
    factors = rows.factors(found.weights, found.objective) * used
    target = rows.target - rows.matrix @ rows.values(frozen)
    answers = {}
    for fold in sorted({g.fold for g in found.factors}):
        train = factors * ~rows.used(fold=[fold])
        c = least_squares(train[:, None] * rows.matrix[:, kept], train * target, alpha, found.columns)
        values = dict(zip(found.columns, c, strict=True))
        fitted = Parameters(found.basis, np.array([values[k] for k in columns_of(found.basis)]), source="fit")
        out = rows.by_field["frame"][used & rows.used(fold=[fold])]
        frames = [rows.frames[i] for i in dict.fromkeys(out.tolist())]
        model = Model(merge_parameters([fitted, *frozen]))
        answers[fold] = frames, model.evaluate(frames, ignore_other_elements=True, missing="zero")
    return answers


def check(errors, answers, rel=1e-7):
    """Every RMSE, pooled and apart, is that of the frames' own errors."""
    frames = [f for own, _ in answers.values() for f in own]
    found = [e for _, own in answers.values() for e in own]
    whole = evaluated_of(frames, found).errors
    table = errors.table()
    assert set(table) - {"all"} == {f.composition for f in frames}
    for name, row in table.items():
        expected = whole[name] if name in whole else errors_of(frames, found)
        for kind, value in row.items():
            assert value == pytest.approx(getattr(expected, kind), rel=rel, nan_ok=True), (name, kind)
    for source in {f.group for f in frames}:
        chosen = [i for i, f in enumerate(frames) if f.group == source]
        expected = errors_of([frames[i] for i in chosen], [found[i] for i in chosen])
        for kind in KINDS:
            assert errors.rmse(kind, source=source) == pytest.approx(getattr(expected, kind), rel=rel, nan_ok=True)
    for fold, (own, evaluated) in answers.items():
        expected = errors_of(own, evaluated)
        for kind in KINDS:
            assert errors.rmse(kind, fold=fold) == pytest.approx(getattr(expected, kind), rel=rel, nan_ok=True)
    assert errors.values("fold") == sorted(answers)


CASES = {
    "all blocks": {},
    "weights": {"weights": {"energy": 0.3, "stress": 20.0, "solid": 2.0, "C50N50/force": 0.5}},
    "a kind that is not fitted": {"weights": {"energy": 0.0}},
    "plain counting": {"objective": "plain", "blocks": ["CN"]},
    "lower orders": {"orders": [3, 2, 0], "exclude": ["CNN"]},
    "frozen": {"frozen": list(TRUTH.values())},
    "frozen, of lower orders": {"frozen": list(LOWER.values()), "orders": {"CN": [2, 3, 2]}},
    "two of three folds": {"folds": [0, 2], "blocks": ["C"]},
    "without a source": {"without": ["solid"]},
}


@pytest.mark.parametrize("case", CASES)
def test_errors_are_those_of_explicit_fits(case):
    options = CASES[case]
    found = view(SUMMARIES, **options)
    (checked,) = cross_validate(found, Ridge(ALPHA))
    check(checked.errors, held_out(found, options.get("frozen", [])))
    assert checked.view is found
    assert checked.regulariser == Ridge(ALPHA)
    assert len(checked.nonzeros) == len(checked.conditions) == len({g.fold for g in found.factors})
    # without energies nothing is known of a free atom's
    dead = sum(len(c.elements) == 1 for c in found.columns) * (options.get("weights", {}).get("energy") == 0.0)
    assert set(checked.nonzeros) == {len(found.kept) - dead}
    assert all(c >= 1.0 for c in checked.conditions)
    assert checked.failed == ""


def test_models_frozen_at_the_pass_are_frozen_in_every_fold():
    found = view(OFFSET, blocks=["CN"], frozen=[TRUTH["N"]])
    (checked,) = cross_validate(found, {"kind": "ridge", "alpha": ALPHA})
    direct = view(SUMMARIES, frozen=list(TRUTH.values()))
    # folds follow from the frames that are summarised, which here are those with nitrogen
    rows = dense([f for f in FRAMES if "N" in f.elements], BASIS, folds=FOLDS)
    assert found.columns == direct.columns
    check(checked.errors, held_out(found, list(TRUTH.values()), rows=rows))


def test_the_energy_error_is_per_atom_of_each_frame():
    """Frames of 8 and 12 atoms and of one composition: errors are divided before they are squared and summed."""
    frames = [
        *frames_of({"C": 6}), *frames_of({"C": 6}, atoms=12, group="liquid", seed=2),
    ]  # fmt: skip
    summaries = summarise(frames, BASIS, blocks=["C"], folds=2, executor=SERIAL)
    assert {g.atoms for g in summaries.groups if g.kind == "energy"} == {8, 12}
    found = view(summaries)
    (checked,) = cross_validate(found, Ridge(ALPHA))
    answers = held_out(found, [], rows=dense(frames, BASIS, ["C"], folds=2))
    pairs = [pair for own, said in answers.values() for pair in zip(own, said, strict=True)]
    squares = [((e.energy - f.energy) / len(f)) ** 2 for f, e in pairs]
    assert checked.errors.rmse("energy") == pytest.approx(math.sqrt(np.mean(squares)), rel=1e-8)


def test_many_models_at_once_are_each_one_alone():
    weights = [{"energy": w, "stress": 10.0, "solid": s} for w, s in ((0.0, 2.0), (3.0, 0.0), (1.0, 1.0))]
    views = [view(SUMMARIES, weights=w, objective=o) for w in weights for o in ("lsq", "plain")]
    regularisers = [Ridge(1e-2), Ridge(1.0), Lasso(0.1)]
    together = cross_validate(views, regularisers)
    assert [(c.view, c.regulariser) for c in together] == [(v, r) for v in views for r in regularisers]
    pools = Pools(SUMMARIES)
    for i, one in enumerate(views):
        alone = cross_validate(one, regularisers, pools=pools)
        for a, b in zip(alone, together[i * 3 : i * 3 + 3], strict=True):
            # the order of groups differs, for those of like weights are put together
            np.testing.assert_allclose(
                a.errors.pooled(["kind", "fold"]).squares, b.errors.pooled(["kind", "fold"]).squares, rtol=1e-6
            )
            assert a.nonzeros == b.nonzeros


@pytest.mark.parametrize("most", [0, 20_000, 10**9])
def test_pools_change_nothing_but_the_time(most):
    pools, sizes = Pools(SUMMARIES, most), []
    for options in ({}, {"exclude": ["4B"]}, {"weights": {"energy": 0.1}}, {"frozen": [TRUTH["C"]]}):
        found = view(SUMMARIES, **options)
        (pooled,), (alone,) = (cross_validate(found, Ridge(ALPHA), pools=p) for p in (pools, None))
        np.testing.assert_array_equal(pooled.errors.squares, alone.errors.squares)
        sizes.append(sum(f.r.nbytes for f in pools._kept.values()))
        largest = max(f.r.nbytes for f in pools._kept.values())
        assert sizes[-1] <= max(most, largest)
    assert all(sizes)


def test_a_pool_is_made_once(monkeypatch):
    made = []
    original = Pools._make
    monkeypatch.setattr(Pools, "_make", lambda self, groups: made.append(groups) or original(self, groups))
    pools = Pools(SUMMARIES)
    for alpha in (1e-2, 1.0):
        cross_validate(view(SUMMARIES, exclude=["4B"]), Ridge(alpha), pools=pools)
        cross_validate(view(SUMMARIES), Ridge(alpha), pools=pools)
    assert len(made) == len(set(made))


def test_pools_need_triangular_factors():
    plan = make_plan([f for f in FRAMES if f.elements == {"C"}], BASIS, blocks=["C"])
    found = reduce_rows(plan, ["C"], store=None, method="gram", executor=SERIAL)
    with pytest.raises(InputError, match=r"expected a triangular factor \(rfactor\), found gram"):
        Pools(found).of((next(iter(found.groups)),))


def test_pools_of_other_summaries_are_refused():
    """Their groups have the same labels and other columns."""
    with pytest.raises(InputError, match="expected pools of the summaries that the views are of"):
        cross_validate(view(OFFSET), Ridge(1.0), pools=Pools(SUMMARIES))


def test_regularisers_of_one_call_do_not_meet():
    """LASSO counts the rows as the objective does, evidence each row of some weight once."""
    found = view(SUMMARIES, blocks=["C"], weights={"stress": 0.0})
    regularisers = [Ridge(ALPHA), BayesianRidge(), Lasso(1e-2), BayesianRidge(normalize=True), Ridge(1.0)]
    together = cross_validate(found, regularisers)
    for fold, (_, (factor,)) in enumerate(training_factors([found], SERIAL)):
        used = ALL.used(elements=["C"]) & ~ALL.used(fold=[fold]) & ~ALL.used(kind=["stress_diagonal"])
        assert factor.rows == (used & ~ALL.used(kind=["stress_off_diagonal"])).sum()
    for one, regulariser in zip(together, regularisers, strict=True):
        (alone,) = cross_validate(found, regulariser)
        np.testing.assert_allclose(one.errors.squares, alone.errors.squares, rtol=1e-9)
        assert one.nonzeros == alone.nonzeros
        for fold in range(FOLDS):
            others = [f for f in range(FOLDS) if f != fold]
            part = view(SUMMARIES, blocks=["C"], weights={"stress": 0.0}, folds=others)
            groups = [g for g in found.factors if g.fold == fold]
            left, _ = residual_squares(found, solved(part, regulariser)[:, None], groups)
            squares = HeldOut.of({g: (SUMMARIES.rows(g), float(s[0])) for g, s in left.items()})
            for kind in KINDS:
                assert one.errors.rmse(kind, fold=fold) == pytest.approx(squares.rmse(kind), rel=1e-5)


def solved(found, regulariser):
    """Coefficients of a view's columns."""
    values = solve(found, regulariser).parameters.as_dict()
    return np.array([values[c] for c in found.columns])


def test_supports_are_those_of_the_folds():
    found = view(SUMMARIES, blocks=["CN"])
    lam = 0.03 * path(found, lam_min=1e6).lams[0]
    (checked,) = cross_validate(found, Lasso(lam))
    for fold, nonzeros in enumerate(checked.nonzeros):
        others = [f for f in range(FOLDS) if f != fold]
        solution = solve(view(SUMMARIES, blocks=["CN"], folds=others), Lasso(lam))
        assert solution.nonzeros == nonzeros
        assert 0 < nonzeros < len(found.kept)


def test_a_training_set_is_the_view_of_the_other_folds():
    views = [view(SUMMARIES, weights=w) for w in ({}, {"energy": 0.1, "solid": 3.0})]
    for fold, training in training_factors(views, SERIAL):
        for given, factor in zip(views, training, strict=True):
            others = [f for f in range(FOLDS) if f != fold]
            whole = combine(view(SUMMARIES, weights=given.weights, folds=others))
            assert factor.rows == whole.rows
            expected = whole.r.T @ whole.r
            scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
            assert (np.abs(factor.r.T @ factor.r - expected) <= 1e-12 * scale).all()


@pytest.mark.parametrize("k", [2, 3, 4, 7])
def test_prefixes_and_suffixes_leave_each_one_out(k, monkeypatch):
    rng = np.random.default_rng(k)
    rows = [rng.normal(size=(m, 4)) for m in rng.integers(1, 9, k)]
    merges = []
    original = RFactor.merge
    monkeypatch.setattr(RFactor, "merge", lambda a, b: merges.append(1) or original(a, b))
    found = validation._all_but_one([RFactor.of(r[:, :3], r[:, 3]) for r in rows])
    assert len(found) == k
    for i, factor in enumerate(found):
        others = np.vstack([r for j, r in enumerate(rows) if j != i])
        assert factor.rows == len(others)
        np.testing.assert_allclose(factor.r.T @ factor.r, others.T @ others, atol=1e-12)
    assert len(merges) <= max(3 * k - 5, 1)


def test_a_model_that_fails_in_one_fold_says_where(monkeypatch):
    found = view(SUMMARIES, blocks=["CN"])
    second = training_factors([found], SERIAL)[1][1][0]
    original = validation.solved

    def failing(given, factor, regularisers, counted):
        if any(isinstance(r, Lasso) for r in regularisers) and np.array_equal(factor.r, second.r):
            raise ConvergenceError("no luck", 0.1)
        return original(given, factor, regularisers, counted)

    monkeypatch.setattr(validation, "solved", failing)
    first, lasso, last = cross_validate(found, [Ridge(ALPHA), Lasso(1e-2), Ridge(1.0)])
    assert lasso.errors is None
    assert lasso.failed == "fold 1: ConvergenceError: no luck"
    assert (lasso.nonzeros, lasso.conditions) == ((), ())
    for one, alpha in ((first, ALPHA), (last, 1.0)):
        check(one.errors, held_out(found, [], alpha))


def test_a_mistake_is_no_failure_of_a_model(monkeypatch):
    def broken(*_):
        raise TypeError("a mistake of ours")

    monkeypatch.setattr(validation, "solved", broken)
    with pytest.raises(TypeError, match="a mistake of ours"):
        cross_validate(view(SUMMARIES, blocks=["C"]), Ridge(ALPHA))
    with pytest.raises(TaskFailed, match="fold 0 failed with TypeError: a mistake of ours"):
        cross_validate(view(SUMMARIES, blocks=["C"]), Ridge(ALPHA), executor=SERIAL)


def test_without_a_penalty_too():
    found = view(SUMMARIES, blocks=["C"], orders=[3, 2, 0])
    (checked,) = cross_validate(found, NoRegularisation())
    check(checked.errors, held_out(found, [], 0.0), rel=1e-6)


def test_a_fold_of_which_nothing_counts():
    """The folds are the sources: the weight of one is that of all that others are validated with."""
    frames = [f for f in FRAMES if f.elements == {"C"}]
    summaries = summarise(frames, BASIS, blocks=["C"], folds=Folds(2, split="group"), executor=SERIAL)
    for weights in ({"solid": 0.0}, {"liquid": 0.0}):
        found = view(summaries, weights=weights)
        (checked,) = cross_validate(found, Ridge(ALPHA))
        rows = dense(frames, BASIS, ["C"], folds=Folds(2, split="group"))
        check(checked.errors, held_out(found, [], rows=rows))


def test_folds_are_needed():
    none = summarise(FRAMES, BASIS, folds=None, executor=SERIAL)
    message = r"expected at least two folds, found {}; folds are chosen before the rows are reduced: summarise\("
    with pytest.raises(InputError, match=message.format("none")):
        cross_validate(view(none), Ridge(1.0))
    with pytest.raises(InputError, match="expected at least one view, found none"):
        cross_validate([], Ridge(1.0))
    with pytest.raises(InputError, match=message.format(r"\[1\]")):
        cross_validate(view(SUMMARIES, folds=[1]), Ridge(1.0))


@pytest.mark.parametrize(
    "other",
    [{"exclude": ["4B"]}, {"frozen": [TRUTH["C"]]}, {"blocks": ["C"]}, {"without": ["solid"]}, {"folds": [0, 1]}],
    ids=str,
)
def test_views_together_differ_in_weights_alone(other):
    with pytest.raises(InputError, match="views given together may differ in weights and objective alone"):
        cross_validate([view(SUMMARIES), view(SUMMARIES, **other)], Ridge(1.0))
    models = [TRUTH["C"], LOWER["C"]]
    with pytest.raises(InputError, match="differ in weights"):
        cross_validate([view(SUMMARIES, frozen=[m]) for m in models], Ridge(1.0))
    with pytest.raises(InputError, match="differ in weights"):
        cross_validate([view(SUMMARIES, blocks=["CN"]), view(OFFSET, blocks=["CN"])], Ridge(1.0))
