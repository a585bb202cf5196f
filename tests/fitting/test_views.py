"""Views: each equals the direct fit from its rows, written out in `view_oracle`, whatever is left out or frozen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from synthetic import random_frames, random_parameters, small_basis
from view_oracle import COUNTS, dense, frames_of, least_squares, moderate_alpha
from view_oracle import plain_view as view

from hiertl_dist import algebra, columns_of, fit_block
from hiertl_dist.algebra import ARD, BayesianRidge, RFactor, Ridge
from hiertl_dist.algebra.lasso_path import LassoPath
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.errors import InputError, MismatchError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting.reduction import reduce_rows
from hiertl_dist.fitting.settings import FitSettings
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.fitting.view_solutions import path, residual_squares, solve
from hiertl_dist.fitting.views import combine
from hiertl_dist.model.one_body import EnergyTerms
from hiertl_dist.model.parameters import Penalty
from hiertl_dist.model.solution import Solution
from hiertl_dist.model.truncation import lower_basis

SERIAL = SerialExecutor()
ORDERS = {2: 4, 3: 3, 4: 2}
BASIS = small_basis(tuple(ORDERS.values()))
FRAMES = [
    *frames_of({"C": 9, "N": 6, "CN": 18}),
    *frames_of({"C": 2, "CN": 5}, atoms=12, group="solid", seed=1),
]
FRAMES[3] = FRAMES[3].without_labels(stress=True)
FRAMES[-1] = FRAMES[-1].without_labels(forces=True)
FOLDS = 3
TRUTH = {b: random_parameters(BASIS, 5).restricted({b}) for b in ("C", "N", "CN")}
LOWER = {b: random_parameters(small_basis((3, 2, 0)), 6).restricted({b}) for b in ("C", "N", "CN")}
"""Models of lower orders, without four-body terms."""

ALL = dense(FRAMES, BASIS, folds=FOLDS)
OFFSET = dense(FRAMES, BASIS, ["N", "CN"], folds=FOLDS, frozen=[TRUTH["C"]])


@pytest.fixture(scope="module")
def summaries():
    return summarise(FRAMES, BASIS, folds=FOLDS, executor=SERIAL)


@pytest.fixture(scope="module")
def offset():
    """C frozen when the rows were summarised."""
    return summarise(FRAMES, BASIS, folds=FOLDS, frozen=[TRUTH["C"]], executor=SERIAL)


def kept_columns(rows, free, orders=None, exclude=()):
    """Mask of the columns that are free, from their labels alone: Chebyshev orders nest."""

    def is_kept(column):
        body, name = len(column.elements), "".join(column.elements)
        order = (orders or {}).get(name, {1: 1, **ORDERS}[body])
        highest = max(column.powers, default=0) if body == 2 else max(column.powers, default=-1) + 1
        if body == 1:
            highest = 1
        return column.block in free and name not in exclude and f"{body}B" not in exclude and highest <= order

    return np.array([is_kept(c) for c in rows.columns])


def used_rows(rows, *, sets, folds=None, without=()):
    chosen = rows.used(elements=sets)
    if folds is not None:
        chosen &= rows.used(fold=folds)
    return chosen & ~rows.used(source=without) & ~rows.used(composition=without)


def check(found, rows, kept, used, *, frozen=(), weights=None, objective="lsq", rtol=1e-9):
    """A view's ridge predicts what the ridge of the rows does; and says how well each group is fitted."""
    factors = rows.factors(weights, objective) * used
    told = (rows.matrix[used & rows.used(kind=["energy"])] != 0.0).any(axis=0)
    kept = kept & np.array([bool(c.powers) or t for c, t in zip(rows.columns, told, strict=True)])
    weighted = factors[:, np.newaxis] * rows.matrix[:, kept]
    target = rows.target - rows.matrix @ rows.values(frozen)
    alpha = moderate_alpha(weighted)
    free = [c for c, k in zip(rows.columns, kept, strict=True) if k]
    everything = rows.matrix[:, kept]
    above_zero = target - everything @ found.zeros
    expected = least_squares(weighted, factors * above_zero, alpha, free) + found.zeros
    solution = solve(found, Ridge(alpha))
    labels = [c for c, k in zip(rows.columns, kept, strict=True) if k]
    assert list(found.columns) == labels
    values = solution.parameters.as_dict()
    # energies that no weighted row tells are not said
    silent = {c for c, own in zip(labels, weighted.T, strict=True) if not c.powers and not own.any()}
    assert set(values) == set(labels) - silent
    c = np.array([values.get(label, zero) for label, zero in zip(labels, found.zeros, strict=True)])
    assert np.linalg.norm(everything @ (c - expected)) <= rtol * np.linalg.norm(everything @ expected)
    # what is said of the fit
    counts = np.array([COUNTS[objective][row.kind] for row in rows.labels])
    assert solution.n_counted == found.counted == counts[used].sum()
    left = everything @ expected - target
    assert solution.rmse == pytest.approx(np.sqrt((counts * left**2)[used].sum() / counts[used].sum()), rel=1e-6)
    names = np.array([f"{row.source}/{row.kind}" for row in rows.labels])
    assert set(solution.residuals) == set(names[used])
    for name, own in solution.residuals.items():
        mine = used & (names == name)
        assert own.rows == mine.sum()
        assert own.target_rms == pytest.approx(np.sqrt(np.mean(above_zero[mine] ** 2)), rel=1e-9)
        assert own.rmse == pytest.approx(np.sqrt(np.mean(left[mine] ** 2)), rel=1e-6)
    return solution


def default_sets(free):
    """Element sets that a fit of some blocks uses."""
    if len(free) == 1:
        return list(free)
    elements = set("".join(free))
    return [s for s in ("C", "N", "CN") if set(s) <= elements and any(set(b) <= set(s) for b in free)]


# ------------------------------------------------------------------------------------- single choices


WEIGHTS = [
    {"energy": 0.3}, {"stress": 20.0, "force": 0.5}, {"solid": 3.0}, {"liquid": 0.0}, {"C50N50": 2.0},
    {"C50N50/energy": 4.0, "energy": 0.5}, {"solid/force": 0.1, "force": 2.0}, {"liquid": 2.0, "C50N50": 3.0},
]  # fmt: skip


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
@pytest.mark.parametrize("objective", ["lsq", "plain"])
def test_weights(summaries, weights, objective):
    found = view(summaries, blocks=["CN"], weights=weights, objective=objective)
    kept, used = kept_columns(ALL, ["CN"]), ALL.used(elements=["CN"])
    check(found, ALL, kept, used, weights=weights, objective=objective)


@pytest.mark.parametrize("free", [["C"], ["N"], ["CN"], ["C", "N"], ["N", "CN"], ["C", "N", "CN"]], ids="+".join)
def test_blocks_that_are_free_others_absent(summaries, free):
    found = view(summaries, blocks=free)
    assert found.blocks == tuple(free)
    check(found, ALL, kept_columns(ALL, free), ALL.used(elements=default_sets(free)))


@pytest.mark.parametrize("models", [TRUTH, LOWER], ids=["same orders", "lower orders"])
@pytest.mark.parametrize(
    ("free", "held"), [(["CN"], ["C", "N"]), (["N", "CN"], ["C"]), (["CN"], ["N"]), (["C"], ["CN"])]
)
def test_frozen_blocks(summaries, models, free, held):
    frozen = [models[b] for b in held]
    found = view(summaries, blocks=free, frozen=frozen)
    solution = check(found, ALL, kept_columns(ALL, free), ALL.used(elements=default_sets(free)), frozen=frozen)
    assert solution.frozen == {f.source: f.digest for f in frozen}


def test_by_default_all_is_free_that_is_not_frozen(summaries):
    assert view(summaries).blocks == ("C", "N", "CN")
    assert view(summaries, frozen=[TRUTH["N"]]).blocks == ("C", "CN")


def test_a_solution_is_frozen_into_the_next(summaries):
    """The hierarchy from one pass: C, then N, then CN with both frozen."""
    lower = [solve(view(summaries, blocks=[b], orders=[3, 2, 2]), Ridge(1e-3)).parameters for b in "CN"]
    found = view(summaries, frozen=lower)
    assert found.blocks == ("CN",)
    check(found, ALL, kept_columns(ALL, ["CN"]), ALL.used(elements=["CN"]), frozen=lower)


@pytest.mark.parametrize("where", ["pass", "view"])
def test_freezing_at_the_pass_or_in_the_view_is_the_same(summaries, offset, where):
    if where == "pass":
        found = view(offset, blocks=["CN"], frozen=[TRUTH["N"]])
    else:
        found = view(summaries, blocks=["CN"], frozen=[TRUTH["C"], TRUTH["N"]])
    frozen = [TRUTH["C"], TRUTH["N"]]
    solution = check(found, ALL, kept_columns(ALL, ["CN"]), ALL.used(elements=["CN"]), frozen=frozen)
    assert solution.frozen == {f.source: f.digest for f in frozen}


def test_models_frozen_at_the_pass_count_in_frames_of_their_elements_alone(offset):
    """Frames of N alone have nothing of a model of C."""
    check(view(offset, blocks=["N"]), OFFSET, kept_columns(OFFSET, ["N"]), OFFSET.used(elements=["N"]))
    found = view(offset, blocks=["N", "CN"])
    check(found, OFFSET, kept_columns(OFFSET, ["N", "CN"]), OFFSET.used(elements=["N", "CN"]))


ORDER_CASES = {
    "by body": ([3, 2, 2], {**dict.fromkeys(("CN", "CC", "NN"), 3), **dict.fromkeys(("CCC", "CCN", "CNN", "NNN"), 2)}),
    "three bodies only": ([4, 3, 0], dict.fromkeys(("CCCC", "CCCN", "CCNN", "CNNN", "NNNN"), 0)),
    "by block": ({"CN": [2, 3, 2]}, {"CN": 2}),
    "of two blocks": ({"CN": [4, 0, 0], "C": [1, 2, 2]},
                      {"CCN": 0, "CNN": 0, "CCCN": 0, "CCNN": 0, "CNNN": 0, "CC": 1, "CCC": 2}),
    "by type": ({"NCC": 2, "CN": 1, "CNNN": 0, "C": 0}, {"CCN": 2, "CN": 1, "CNNN": 0, "C": 0}),
    "a type before its block": ({"CCN": 3, "CN": [3, 2, 2]}, {"CN": 3, "CNN": 2}),
}  # fmt: skip


@pytest.mark.parametrize("case", ORDER_CASES)
def test_lower_orders(summaries, case):
    asked, orders = ORDER_CASES[case]
    found = view(summaries, orders=asked)
    check(found, ALL, kept_columns(ALL, ["C", "N", "CN"], orders), ALL.used(elements=["C", "N", "CN"]))


@pytest.mark.parametrize(
    "exclude", [["4B"], ["CCN"], ["NCC", "N", "CNNN"], ["1B", "3B"], ["C-C"], ["2B", "CCCC"]], ids=str
)
def test_types_that_are_left_out(summaries, exclude):
    found = view(summaries, exclude=exclude)
    names = ["".join(sorted(e.replace("-", ""))) if "B" not in e else e for e in exclude]
    check(found, ALL, kept_columns(ALL, ["C", "N", "CN"], exclude=names), ALL.used(elements=["C", "N", "CN"]))


def test_a_block_of_which_nothing_is_left_is_absent(summaries):
    found = view(summaries, blocks=["N", "CN"], orders={"N": [0, 0, 0]}, exclude=["N"])
    assert found.blocks == ("CN",)
    check(found, ALL, kept_columns(ALL, ["CN"]), ALL.used(elements=["CN"]))


@pytest.mark.parametrize(
    "choice",
    [{"sets": ["CN"]}, {"sets": ["C", "N"]}, {"without": ["solid"]}, {"without": ["liq*"]},
     {"without": ["C5?N*", "N"]}, {"folds": [0, 2]}, {"folds": [1]}, {"folds": range(3)},
     {"sets": ["NC", "C"], "folds": {0, 1}, "without": ["solid"]}],
    ids=str,
)  # fmt: skip
def test_frames_that_are_used(summaries, choice):
    found = view(summaries, **choice)
    patterns = {"liq*": "liquid", "C5?N*": "C50N50"}
    compositions = {row.composition for row in ALL.labels}
    without = [patterns.get(p, p) for p in choice.get("without", ())]
    without += [c for c in compositions if "C5?N*" in choice.get("without", ()) and c[:2] == "C5" and c[3:4] == "N"]
    sets = ["".join(sorted(s)) for s in choice.get("sets", ["C", "N", "CN"])]
    used = used_rows(ALL, sets=sets, folds=choice.get("folds"), without=without)
    check(found, ALL, kept_columns(ALL, ["C", "N", "CN"]), used)


# ------------------------------------------------------------------------------------------ any choice


TYPES = {b: sorted({"".join(c.elements) for c in ALL.columns if c.block == b}) for b in ("C", "N", "CN")}


@st.composite
def choices(draw):
    """Options of a view, and what they mean: blocks, frozen models, orders by type, types left out."""
    fate = {b: draw(st.sampled_from(["free", "free", "frozen", "absent"])) for b in ("C", "N", "CN")}
    free = [b for b, f in fate.items() if f == "free"]
    assume(free)
    kind = draw(st.sampled_from([TRUTH, LOWER]))
    frozen = [kind[b] for b, f in fate.items() if f == "frozen"]
    asked = {"blocks": free, "frozen": frozen, "objective": draw(st.sampled_from(["lsq", "plain"]))}
    names = [t for b in free for t in TYPES[b]]
    orders = {}
    if draw(st.booleans()):
        some = draw(st.lists(st.sampled_from(names), max_size=4, unique=True))
        orders = {t: draw(st.sampled_from({1: [1], 2: [0, 1, 3, 4], 3: [0, 2, 3], 4: [0, 2]}[len(t)])) for t in some}
        asked["orders"] = orders
    exclude = draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
    asked["exclude"] = exclude
    kept = kept_columns(ALL, free, orders, exclude)
    assume(kept.any())
    sets = default_sets([b for b in free if any(c.block == b for c, k in zip(ALL.columns, kept, strict=True) if k)])
    if draw(st.booleans()):
        sets = asked["sets"] = draw(st.lists(st.sampled_from(["C", "N", "CN"]), min_size=1, unique=True))
    folds = None
    if draw(st.booleans()):
        folds = asked["folds"] = draw(st.sets(st.integers(0, FOLDS - 1), min_size=1))
    without = asked["without"] = draw(st.sampled_from([[], [], ["solid"], ["C50N50"]]))
    used = used_rows(ALL, sets=sets, folds=folds, without=without)
    there = sorted({n for row, u in zip(ALL.labels, used, strict=True) if u for n in row.names})
    assume(there)
    some = draw(st.lists(st.sampled_from(there), max_size=4, unique=True))
    weights = asked["weights"] = {n: draw(st.sampled_from([0.0, 0.3, 1.0, 5.0])) for n in some}
    factors = ALL.factors(weights, asked["objective"]) * used
    assume((factors[:, np.newaxis] * ALL.matrix[:, kept]).any())
    return asked, kept, used


@settings(deadline=None, max_examples=40)
@given(choices())
def test_any_view_equals_the_direct_fit(summaries, choice):
    asked, kept, used = choice
    found = view(summaries, **asked)
    check(
        found, ALL, kept, used, frozen=asked["frozen"], weights=asked["weights"], objective=asked["objective"],
    )  # fmt: skip


def test_three_elements():
    """Frames of two elements have columns of their own blocks only; a frame counts where it has a free block."""
    basis = small_basis((3, 2, 0), elements=("C", "N", "H"))
    frames = frames_of({"CN": 5, "HN": 4, "H": 3}) + frames_of({"CHN": 6}, atoms=14)
    summaries = summarise(frames, basis, folds=None, executor=SERIAL)
    rows = dense(frames, basis)
    truth = random_parameters(basis, 3)
    frozen = [truth.restricted({"C", "H", "N"}), truth.restricted({"HN"})]
    for free, sets in ((["CHN"], ["CHN"]), (["CN", "CHN"], ["CN", "CHN"]), (["CH", "CN", "CHN"], ["CN", "CHN"])):
        kept = np.array([c.block in free for c in rows.columns])
        check(view(summaries, blocks=free, frozen=frozen), rows, kept, rows.used(elements=sets), frozen=frozen)
    every = [c.block for c in rows.columns]
    check(view(summaries), rows, np.ones(len(every), bool), rows.used(elements=["CN", "HN", "H", "CHN"]))
    # no frame has exactly C and H
    with pytest.raises(InputError, match="no group of rows is left to fit"):
        view(summaries, blocks=["CH"])
    found = view(summaries, blocks=["CH"], sets=["CHN"], frozen=frozen)
    check(found, rows, np.array([b == "CH" for b in every]), rows.used(elements=["CHN"]), frozen=frozen)


# -------------------------------------------------------------------------- the rest of what a fit says


def test_a_view_equals_fit_block_from_rows_of_lower_orders():
    """Nothing of the summaries is in common with the direct fit: its basis has the lower orders."""
    frames = [f for f in FRAMES if f.group == "liquid"]
    weights = {"energy": 2.0, "stress": 10.0}
    low = small_basis((3, 2, 2), types={"CCCN": {"order": 0}})
    lower = [LOWER["C"], LOWER["N"]]
    direct = fit_block(
        frames, low, "CN", frozen=lower, settings=FitSettings({"kind": "ridge", "alpha": 1e-3}, weights),
        executor=SERIAL,
    ).solution  # fmt: skip
    summaries = summarise(frames, BASIS, folds=None, executor=SERIAL)
    found = solve(
        view(summaries, frozen=lower, orders=[3, 2, 2], exclude=["CCCN"], weights=weights),
        {"kind": "ridge", "alpha": 1e-3},
    )
    assert found.parameters.basis == direct.parameters.basis
    np.testing.assert_allclose(found.parameters.coefficients, direct.parameters.coefficients, rtol=1e-6, atol=1e-9)
    assert found.parameters.coverage == direct.parameters.coverage
    for key in ("block", "blocks", "frozen", "regulariser", "weights", "objective", "method", "rank", "nonzeros",
                "n_counted"):  # fmt: skip
        assert getattr(found, key) == getattr(direct, key), key
    # warnings have their own test: spreads of stresses are about zero in a view
    one, other = ([n for n in s.notes if not n.startswith("WARNING")] for s in (found, direct))
    assert one == other
    assert found.rmse == pytest.approx(direct.rmse)
    for name, own in direct.residuals.items():
        assert vars(found.residuals[name]) == pytest.approx(vars(own)), name
    assert set(found.residuals) == set(direct.residuals)


def test_without_a_penalty_the_fit_is_that_of_the_rows(summaries):
    """Ordinary least squares of a few columns, which the rows determine well."""
    found = view(summaries, blocks=["C"], orders=[4, 2, 0])
    kept, used = kept_columns(ALL, ["C"], {"CCC": 2, "CCCC": 0}), ALL.used(elements=["C"])
    factors = ALL.factors()[used]
    expected = np.linalg.lstsq(factors[:, None] * ALL.matrix[used][:, kept], factors * ALL.target[used])[0]
    solution = solve(found, {"kind": "none"})
    np.testing.assert_allclose(solution.parameters.coefficients, expected, rtol=1e-7)
    assert solution.rank == kept.sum()


def test_a_solution_of_a_view_is_saved_and_read_back(summaries, tmp_path):
    solution = solve(view(summaries, frozen=[TRUTH["C"]], orders={"CN": [3, 2, 0]}), Ridge(1e-2))
    solution.save(tmp_path / "CN.npz")
    found = Solution.load(tmp_path / "CN.npz")
    np.testing.assert_array_equal(found.parameters.coefficients, solution.parameters.coefficients)
    assert found.as_dict() == solution.as_dict()


def test_combine_has_no_row_of_weight_zero(summaries):
    found = combine(view(summaries, blocks=["CN"], weights={"force": 0.0}))
    assert found.rows == (ALL.used(elements=["CN"]) & ~ALL.used(kind=["force"])).sum()


def test_residual_squares_of_any_group(summaries):
    """Also of groups that the view leaves out, and of many models at once."""
    found = view(summaries, blocks=["CN"], frozen=[TRUTH["C"]], folds=[0])
    kept = kept_columns(ALL, ["CN"])
    models = np.random.default_rng(0).normal(size=(kept.sum(), 3))
    others = [g for g in summaries.groups if g.fold == 1]
    target = ALL.target - ALL.matrix @ ALL.values([TRUTH["C"]])
    squares, targets = residual_squares(found, models, others)
    assert set(squares) == set(targets) == set(others)
    for group in others:
        mine = ALL.used(kind=[group.kind], source=[group.source], composition=[group.composition], fold=[1])
        if group.kind == "energy":
            mine &= ALL.used(atoms=[group.atoms])
        left = target[mine, np.newaxis] - ALL.matrix[mine][:, kept] @ models
        np.testing.assert_allclose(squares[group], np.sum(left**2, axis=0), rtol=1e-9)
        assert targets[group] == pytest.approx(np.sum(target[mine] ** 2), rel=1e-9)
    assert set(residual_squares(found, models)[0]) == set(found.factors)


@pytest.mark.parametrize("regulariser", [BayesianRidge(), ARD()], ids=["ridge", "ard"])
def test_evidence_counts_each_row_of_some_weight_once(summaries, regulariser):
    weights = {"stress": 0.0, "energy": 2.0}
    kept, used = kept_columns(ALL, ["C"]), ALL.used(elements=["C"])
    factors = ALL.factors(weights) * used
    some = factors > 0.0
    rows = RFactor.of(factors[some, None] * ALL.matrix[some][:, kept], (factors * ALL.target)[some])
    free = [c for c, k in zip(ALL.columns, kept, strict=True) if k]
    expected = algebra.solve.solve(rows, regulariser, unpenalised=[not c.powers for c in free])
    solution = solve(view(summaries, blocks=["C"], weights=weights), regulariser)
    np.testing.assert_allclose(solution.parameters.coefficients, expected.coefficients, rtol=1e-4, atol=1e-7)
    assert solution.hyperparameters["noise"] == pytest.approx(expected.hyperparameters["noise"], rel=1e-5)
    assert solution.hyperparameters["log_evidence"] == pytest.approx(expected.hyperparameters["log_evidence"], rel=1e-6)


def test_the_lasso_path_of_a_view_ends_in_its_lasso(summaries):
    found = view(summaries, blocks=["CN"], weights={"energy": 0.2})
    top = path(found, lam_min=1e6)
    lam = 1e-2 * top.lams[0]
    whole = path(found, "lasso", lam_min=lam)
    assert isinstance(whole, LassoPath)
    solution = solve(found, {"kind": "lasso", "lam": lam})
    np.testing.assert_allclose(whole.coefficients[-1] != 0, solution.parameters.coefficients != 0)
    np.testing.assert_allclose(whole.coefficients[-1], solution.parameters.coefficients, rtol=1e-5, atol=1e-9)
    # chimes_lsq's N
    used = ALL.used(elements=["CN"])
    A = ALL.factors({"energy": 0.2})[:, None] * ALL.matrix * used[:, None]
    b = ALL.factors({"energy": 0.2}) * ALL.target * used
    gradient = np.abs(A[:, kept_columns(ALL, ["CN"])].T @ b).max()
    assert whole.lams[0] == pytest.approx(gradient / found.counted, rel=1e-9)


def test_the_ridge_grid_of_a_view_is_its_ridges(summaries):
    found = view(summaries, frozen=[TRUTH["C"]])
    alphas = [1e-2, 1.0, 100.0]
    grid = path(found, "ridge", alphas=alphas)
    for alpha, c in zip(alphas, grid.coefficients, strict=True):
        one = solve(found, Ridge(alpha)).parameters.as_dict()
        np.testing.assert_allclose(c, [one[label] for label in found.columns], rtol=1e-6, atol=1e-10)


def test_the_wall_and_the_name_of_a_fit(summaries):
    found = view(summaries, blocks=["C", "N"])
    assert solve(found, Ridge(1.0)).block == "CN"
    named = solve(found, Ridge(1.0), penalty=Penalty(1e3, 0.1), name="elements")
    assert (named.block, named.parameters.penalty) == ("elements", Penalty(1e3, 0.1))
    walls = [replace(TRUTH["C"], penalty=Penalty(5.0)), TRUTH["N"]]
    with pytest.raises(MismatchError, match=r"penalty: .* in \[fit\] .* says which holds"):
        solve(view(summaries, frozen=walls), Ridge(1.0))


def test_coverage_is_that_of_the_frames_used(summaries):
    whole, part = (solve(view(summaries, blocks=["C"], sets=s), Ridge(1.0)).parameters for s in (["C", "CN"], ["C"]))
    assert set(whole.coverage) == set(part.coverage) == {"C:CC"}
    assert whole.coverage["C:CC"][0] <= part.coverage["C:CC"][0]
    assert part.coverage["C:CC"] == summaries.ranges["C"]["C:CC"]


# ---------------------------------------------------------------------------------------------- errors


ERRORS = {
    "block": ({"blocks": ["CH"]}, KeyError, "no block 'CH'"),
    "order above": ({"orders": [5, 3, 2]}, InputError, "type CC has order 4 in the basis, 5 was asked for; higher"),
    "order above, by type": ({"orders": {"CCN": 9}}, InputError, "type CCN has order 3 .* 9 was asked for"),
    "orders too short": ({"orders": [5, 3]}, InputError, r"orders: expected \[n2, n3, n4\], found \[5, 3\]"),
    "orders as text": ({"orders": "abc"}, InputError, r"orders: expected \[n2, n3, n4\], found 'abc'"),
    "order no number": ({"orders": [4, 3, 1.5]}, InputError, "orders: expected whole numbers ≥ 0, found 1.5"),
    "order negative": ({"orders": {"CCN": -1}}, InputError, "orders.CCN: expected whole numbers ≥ 0, found -1"),
    "order a switch": ({"orders": {"CCN": True}}, InputError, "orders.CCN: expected whole numbers ≥ 0, found True"),
    "order too low": ({"orders": [4, 1, 2]}, InputError, "type CCC: .* order of at least 2, found 1; 0 leaves"),
    "orders of no block": ({"orders": {"CCN": [1, 2, 2]}}, InputError, "orders.CCN: .* of the blocks C, CN, N"),
    "orders of no type": ({"orders": {"CH": 2}}, InputError, "orders.CH: expected one of the types"),
    "orders of a block that is not free": ({"blocks": ["C"], "orders": {"CN": [2, 2, 2]}}, InputError, "orders.CN: "),
    "type": ({"exclude": ["CH"]}, InputError, "exclude: 'CH' is none of the types"),
    "type of no free block": ({"blocks": ["C"], "exclude": ["NN"]}, InputError, "exclude: 'NN' is none of the types"),
    "body": ({"exclude": ["4B", "5B"]}, ValueError, "5B"),
    "nothing left": ({"blocks": ["C"], "exclude": ["1B", "2B", "3B", "4B"]}, InputError, "nothing is left of blocks C"),
    "set": ({"sets": ["CH"]}, InputError, "sets: no frames of exactly CH; there are C, CN, N"),
    "fold": ({"folds": [0, 3]}, InputError, r"folds: expected some of \[0, 1, 2\], found \[0, 3\]"),
    "pattern": ({"without": ["gas*"]}, InputError, r"without: 'gas\*' matches no source or composition"),
    "no group": ({"without": ["*"]}, InputError, "no group of rows is left to fit"),
    "no fold": ({"folds": []}, InputError, "no group of rows is left to fit"),
    "weight": ({"weights": {"gas": 1.0}}, ValueError, "weights: 'gas' names no kind or source"),
    "weight of rows left out": ({"blocks": ["C"], "weights": {"C50N50": 1.0}}, ValueError, "'C50N50' names no"),
    "weight negative": ({"weights": {"force": -1.0}}, ValueError, "weights.force: expected a finite number ≥ 0"),
    "no weight": ({"weights": dict.fromkeys(("force", "energy", "stress"), 0.0)}, InputError, "are all 0"),
    "objective": ({"objective": "lsqr"}, ValueError, "objective: expected one of .* found 'lsqr'"),
    "frozen is free": ({"blocks": ["C"], "frozen": [TRUTH["C"]]}, MismatchError, "which is being fitted"),
    "frozen twice": ({"blocks": ["CN"], "frozen": [TRUTH["C"], LOWER["C"]]}, MismatchError, "both .* have CC terms"),
    "frozen of another basis": (
        {"frozen": [random_parameters(small_basis(rmax=5.5)).restricted({"C"})]}, MismatchError, "pair CC, rmax"
    ),
    "frozen of a higher order": (
        {"frozen": [random_parameters(small_basis((5, 3, 2))).restricted({"C"})]}, MismatchError, "the basis has 4"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_what_can_not_be_asked_is_named(summaries, case):
    options, kind, message = ERRORS[case]
    with pytest.raises(kind, match=message):
        view(summaries, **options)


def test_blocks_that_were_not_summarised(offset):
    with pytest.raises(InputError, match="blocks: the summaries have N, CN, not C"):
        view(offset, blocks=["C", "CN"])
    with pytest.raises(InputError, match="frozen: the summaries have N, CN, not C; models of other blocks are"):
        view(offset, frozen=[TRUTH["C"]])


def test_a_view_of_normal_equations_is_solved_whole_and_not_in_parts():
    plan = make_plan(random_frames({"C": 9}), BASIS, blocks=["C"])
    gram, factor = (reduce_rows(plan, ["C"], store=None, method=m, executor=SERIAL) for m in ("gram", "rfactor"))
    whole = view(gram, blocks=["C"], weights={"energy": 3.0})
    one = solve(whole, Ridge(1e-2))
    other = solve(view(factor, blocks=["C"], weights={"energy": 3.0}), Ridge(1e-2))
    np.testing.assert_allclose(one.parameters.coefficients, other.parameters.coefficients, rtol=1e-6, atol=1e-9)
    for name, residual in other.residuals.items():
        assert one.residuals[name].rmse == pytest.approx(residual.rmse, rel=1e-6, abs=1e-9)
    with pytest.raises(InputError, match=r"views need triangular factors .* found gram"):
        path(whole)
    frozen = one.parameters.restricted({"C"})
    joined = make_plan(random_frames({"CN": 3}), BASIS)
    grams = reduce_rows(joined, ["C", "N", "CN"], store=None, method="gram", executor=SERIAL)
    with pytest.raises(InputError, match=r"group all/\w+: views need triangular factors .* found gram"):
        combine(view(grams, blocks=["N", "CN"], frozen=[frozen], weights={}))


def test_summaries_of_a_fit_have_views_too(summaries):
    """Groups without compositions have the columns of all blocks."""
    plan = make_plan([f for f in FRAMES if f.elements == {"C", "N"}], BASIS)
    found = reduce_rows(plan, ["C", "N", "CN"], store=None, executor=SERIAL)
    assert all(isinstance(g, RFactor) for g in found.groups.values())
    one = solve(view(found, blocks=["N", "CN"], frozen=[TRUTH["C"]]), Ridge(1e-2))
    other = solve(view(summaries, blocks=["N", "CN"], frozen=[TRUTH["C"]], sets=["CN"]), Ridge(1e-2))
    np.testing.assert_allclose(one.parameters.coefficients, other.parameters.coefficients, rtol=1e-6, atol=1e-9)


def test_an_unknown_path(summaries):
    with pytest.raises(ValueError, match="path: expected 'lasso' or 'ridge', found 'svd'"):
        path(view(summaries), "svd")


def test_lower_basis_keeps_what_is_not_named():
    assert lower_basis(BASIS, ["C", "N", "CN"]) == BASIS
    own = lower_basis(BASIS, ["CN"], {"CCN": 2})
    assert {t.block for t in own.types} == {"CN"}
    assert [t.order for t in own.types if t.name in ("CN", "CCN", "CNN")] == [4, 2, 3]
    assert len(columns_of(own)) < len(columns_of(BASIS, ["CN"]))
    assert lower_basis(BASIS, ["C"], [4, 3, 2], []) == lower_basis(BASIS, ["C"])


def test_one_name_is_no_list_of_letters():
    summaries = summarise(random_frames({"C": 4, "CN": 4}), small_basis((3, 3, 0)), folds=2, executor=SERIAL)
    by_text, by_list = (view(summaries, blocks=["C"], sets=s) for s in ("CN", ["CN"]))
    assert set(by_text.factors) == set(by_list.factors)
    assert all(g.elements == {"C", "N"} for g in by_text.factors)
    by_text, by_list = (view(summaries, blocks=["CN"], exclude=e) for e in ("CCN", ["CCN"]))
    assert by_text.columns == by_list.columns


def test_a_solution_can_be_frozen():
    summaries = summarise(random_frames({"C": 4, "CN": 4}), small_basis((3, 3, 0)), folds=2, executor=SERIAL)
    c = solve(view(summaries, blocks=["C"]), {"kind": "ridge", "alpha": 1.0})
    assert view(summaries, blocks=["CN"], frozen=[c]).frozen == (c.parameters,)


def test_a_view_of_a_fits_summaries_knows_their_distances():
    plan = make_plan([f for f in FRAMES if f.elements == {"C", "N"}], BASIS)
    found = reduce_rows(plan, ["C", "N", "CN"], store=None, executor=SERIAL)
    whole = solve(view(found), Ridge(1e-2)).parameters.coverage
    part = solve(view(found, blocks=["N", "CN"], frozen=[TRUTH["C"]]), Ridge(1e-2)).parameters.coverage
    assert {key.partition(":")[0] for key in whole} == {"C", "N", "CN"}
    assert part == {key: span for key, span in whole.items() if not key.startswith("C:")} != {}


def test_what_is_no_choice_is_refused(summaries):
    with pytest.raises(InputError, match=r"missing_energies: expected one of .*'refuse', 'fit', 'zero'.*found 'Zero'"):
        view(summaries, missing_energies="Zero")
    with pytest.raises(InputError, match="objective: expected one of"):
        view(summaries, objective="x")
    with pytest.raises(InputError, match="path: expected 'lasso' or 'ridge', found 'x'"):
        path(view(summaries), "x")
    with pytest.raises(TypeError, match="frozen: expected Parameters, found str"):
        view(summaries, frozen=["C.params.txt"])
    plan = make_plan(random_frames({"C": 3}), BASIS, blocks=["C"])
    with pytest.raises(InputError, match=r"method: expected one of .*found 'x'"):
        reduce_rows(plan, ["C"], store=None, method="x", executor=SERIAL)
    with pytest.raises(InputError, match=r"regulariser: expected one of .*found 'x'"):
        reduce_rows(plan, ["C"], store=None, regulariser="x", executor=SERIAL)


def test_a_regulariser_is_a_table_and_no_name(summaries):
    for make in (lambda: solve(view(summaries), "ridge"), lambda: FitSettings(regulariser="ridge")):
        with pytest.raises(InputError, match=r"regulariser: expected a table such as .*, found 'ridge'"):
            make()


def test_normal_equations_do_not_penalise_energies_that_lost_their_zero():
    plan = make_plan(random_frames({"C": 9}), BASIS, blocks=["C"])
    gram = reduce_rows(
        plan, ["C"], store=None, method="gram", executor=SERIAL, energies=EnergyTerms({"C": -5.0})
    )  # fmt: skip
    with pytest.raises(InputError, match=r"penalise_one_body: expected triangular factors .*found gram"):
        solve(view(gram, blocks=["C"], weights={}), {"kind": "ridge", "alpha": 0.1, "penalise_one_body": True})
