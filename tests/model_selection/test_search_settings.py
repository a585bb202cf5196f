"""The ``[search]`` table: which lists are axes, in which order models come, and what is refused with the key's name."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import random_frames, small_basis

from hiertl_dist.dataset.folds import Folds
from hiertl_dist.errors import InputError
from hiertl_dist.fitting.settings import FitSettings, HierarchyOptions
from hiertl_dist.model.truncation import lower_basis
from hiertl_dist.model_selection.search_plan import plan_search
from hiertl_dist.model_selection.search_settings import Choice, Grid, SearchSettings

FIT = FitSettings(regulariser={"kind": "ridge", "alpha": 0.5}, weights={"energy": 0.7}, objective="plain")
BASIS = small_basis((4, 3, 2))
FRAMES = random_frames({"C": 2, "N": 2, "CN": 2}, groups=("a", "b"))


def choices(**grid):
    return Grid.from_dict(grid).choices(FIT)


def stage(name, **table):
    """A stage of a plan of these settings, and its models."""
    given = SearchSettings.from_dict(table)
    part = next(p for p in plan_search(FRAMES, BASIS, given).parts if p.name == name)
    return part, part.columns(part.grid.choices(part.fit))


# ---- axes


def test_what_is_absent_is_as_in_fit():
    (one,) = choices()
    assert one.regulariser == {"kind": "ridge", "alpha": 0.5}
    assert (one.weights, one.objective, one.orders, one.exclude) == ({"energy": 0.7}, "plain", None, ())


def test_the_table_of_the_documentation():
    found = choices(
        regulariser=[{"kind": "ridge", "alpha": [1e-3, 1e-2, 1e-1]},
                     {"kind": "lasso", "lam": [1e-5, 1e-6], "normalize": True}],
        weights={"force": 1.0, "energy": [0.3, 1.0], "stress": [10.0, 50.0]}, objective=["lsq"],
        orders=[[14, 7, 3], [12, 6, 3]], exclude=[[], ["4B"]],
    )  # fmt: skip
    assert len(found) == 5 * 4 * 2 * 2
    assert found[0].regulariser == {"kind": "ridge", "alpha": 1e-3}
    assert found[0].weights == {"force": 1.0, "energy": 0.3, "stress": 10.0}
    assert (found[0].orders, found[0].exclude, found[1].exclude) == ([14, 7, 3], (), ("4B",))
    assert found[-1].regulariser == {"kind": "lasso", "lam": 1e-6, "normalize": True}
    assert found[-1].weights == {"force": 1.0, "energy": 1.0, "stress": 50.0}
    assert len({c.key for c in found}) == len(found)


@given(st.permutations(["regulariser", "weights", "objective", "exclude"]))
@settings(deadline=None, max_examples=10)
def test_the_last_axis_of_the_table_is_the_fastest(names):
    values = {
        "regulariser": [{"kind": "none", "tolerance": None}, {"kind": "ridge", "alpha": 1.0}],
        "weights": [{"force": 2.0}, {"force": 3.0}], "objective": ["lsq", "plain"], "exclude": [("4B",), ()],
    }  # fmt: skip
    found = choices(**{n: [list(v) if n == "exclude" else v for v in values[n]] for n in names})
    expected = list(itertools.product(*(values[n] for n in names)))
    assert [tuple(getattr(c, n) for n in names) for c in found] == expected


@pytest.mark.parametrize(
    ("orders", "expected"),
    [([4, 3, 2], [[4, 3, 2]]), ([[4, 3, 2]], [[4, 3, 2]]), ({"CN": [4, 3, 2], "CCN": 2}, [{"CN": [4, 3, 2], "CCN": 2}]),
     ([[4, 3, 2], {"CCN": 2}], [[4, 3, 2], {"CCN": 2}])],
)  # fmt: skip
def test_orders_are_three_numbers_or_tables_or_lists_of_these(orders, expected):
    assert [c.orders for c in choices(orders=orders)] == expected


@pytest.mark.parametrize(
    ("exclude", "expected"), [([], [()]), (["4B"], [("4B",)]), ([[], ["4B", "CCN"]], [(), ("4B", "CCN")])]
)
def test_exclusions_are_types_or_lists_of_types(exclude, expected):
    assert [c.exclude for c in choices(exclude=exclude)] == expected


def test_weights_as_tables_may_hold_lists_and_replace_those_of_the_fit():
    found = choices(weights=[{"force": 1.0}, {"energy": [2.0, 3.0], "stress": 4.0}, {}])
    assert [c.weights for c in found] == [
        {"force": 1.0}, {"energy": 2.0, "stress": 4.0}, {"energy": 3.0, "stress": 4.0}, {}
    ]  # fmt: skip
    assert [c.weights for c in choices(weights={})] == [{}]


def test_a_source_with_a_dot_is_one_name():
    assert choices(weights={"rho2.0_T3": [1.0, 2.0]})[1].weights == {"rho2.0_T3": 2.0}


def test_a_value_that_is_given_twice_is_one():
    assert len(choices(regulariser={"kind": "ridge", "alpha": [1.0, 2.0, 1.0]}, objective=["lsq", "lsq"])) == 2


def test_the_rungs_of_a_ladder_are_the_axes_with_a_choice_in_the_order_of_the_table():
    grid = Grid.from_dict({
        "weights": {"stress": [1.0, 2.0], "force": 1.0, "energy": [1.0, 2.0]}, "orders": [4, 3, 2],
        "regulariser": {"kind": "ridge", "alpha": [1.0, 2.0]},
    })  # fmt: skip
    assert grid.rungs() == ["weights.stress", "weights.energy", "regulariser"]
    assert grid.start(FIT).weights == {"stress": 1.0, "force": 1.0, "energy": 1.0}


# ---- blocks


def test_a_block_has_a_grid_of_its_own_and_else_the_general_one():
    given = SearchSettings.from_dict({
        "grid": {"objective": ["lsq", "plain"], "weights": {"energy": [1.0, 2.0]}, "orders": [[4, 3, 2]]},
        "blocks": {"NC": {"weights": [{"stress": 3.0}], "exclude": [["4B"]]}},
    })  # fmt: skip
    own = given.of("CN").choices(FIT)
    assert [(c.objective, c.weights, c.orders, c.exclude) for c in own] == [
        (o, {"stress": 3.0}, [4, 3, 2], ("4B",)) for o in ("lsq", "plain")
    ]
    assert [c.weights for c in given.of("C").choices(FIT)] == [{"energy": 1.0}, {"energy": 2.0}] * 2


def test_what_the_general_table_says_of_other_blocks_is_left_out():
    part, models = stage("C", grid={"exclude": [[], ["CCN"], ["4B"]], "orders": [{"CCC": 2, "N": [3, 2, 2]}]})
    assert [c.exclude for c, _ in models] == [(), (), ("4B",)]
    assert all(c.orders == {"CCC": 2} for c, _ in models)
    keys = [columns.key(c) for c, columns in models]
    assert keys[0] == keys[1] != keys[2]
    assert part.sets == ("C",)


def test_weights_of_sources_that_a_block_has_not_are_left_out():
    grid = {"weights": {"C": 2.0, "N/energy": 3.0, "a": 4.0, "C50N50": 1.0, "force": 5.0}}
    frames = random_frames({"C": 2, "N": 2}, groups=("a",)) + random_frames({"CN": 2}, groups=("b",), atoms=8)
    plan = plan_search(frames, BASIS, SearchSettings.from_dict({"grid": grid}))
    found = {p.name: p.columns(p.grid.choices(p.fit))[0][0].weights for p in plan.parts}
    assert found["C"] == {"C": 2.0, "a": 4.0, "force": 5.0}
    assert found["N"] == {"N/energy": 3.0, "a": 4.0, "force": 5.0}
    assert found["CN"] == {"C50N50": 1.0, "force": 5.0}


def test_equal_models_have_equal_keys_however_they_are_written():
    (_, columns), *_ = models = stage("CN", grid={"orders": [[4, 3, 2], {"CN": [4, 3, 2]}, {"CCN": 3}]})[1]
    assert len({c.key(choice) for choice, c in models}) == 1
    assert columns.key(Choice({}, {"force": 1.0})) == columns.key(Choice({})) != columns.key(Choice({}, {"force": 2.0}))


# ---- settings


def test_every_key_arrives():
    found = SearchSettings.from_dict({
        "folds": {"count": 4, "split": "group"}, "strategy": "ladder", "rule": "best",
        "importance": {"force": 1, "energy": 0.5},
    })  # fmt: skip
    assert found.folds == Folds(4, "group")
    assert (found.strategy, found.rule, found.importance) == ("ladder", "best", {"force": 1, "energy": 0.5})
    assert SearchSettings.from_dict({"folds": 3}).folds == Folds(3)
    assert SearchSettings.from_dict({}).as_dict()["folds"]["count"] == 5


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"fold": 5}, "search: unknown keys ['fold']; known are ['blocks', 'folds', "),
        ({"folds": 1}, "search.folds.count: expected an integer of at least 2, found 1"),
        ({"folds": {"seeds": 1}}, "search.folds: unknown keys ['seeds']"),
        ({"strategy": "random"}, "search.strategy: expected 'grid' or 'ladder', found 'random'"),
        ({"rule": "1se"}, "search.rule: expected 'one_se' or 'best', found '1se'"),
        ({"importance": {"forces": 1.0}}, "search.importance: unknown keys ['forces']"),
        ({"importance": {"force": -1.0}}, "search.importance.force: expected a finite number ≥ 0, found -1.0"),
        ({"importance": {"force": 0.0}}, "search.importance: expected a number above 0"),
        ({"grid": []}, "search.grid: expected a table, found []"),
        ({"grid": {"alpha": [1.0]}}, "search.grid: unknown keys ['alpha']"),
        ({"grid": {"regulariser": {"kind": "ridge", "alpha": []}}}, "search.grid.regulariser.alpha: expected at least"),
        ({"grid": {"regulariser": []}}, "search.grid.regulariser: expected at least one value"),
        ({"grid": {"regulariser": [{"kind": "rigde"}]}}, "search.grid.regulariser[0]: regulariser kind: expected one"),
        ({"grid": {"regulariser": {"kind": "ridge", "alpha": [1.0, -1.0]}}}, "search.grid.regulariser: alpha: expec"),
        ({"grid": {"regulariser": "ridge"}}, "search.grid.regulariser: expected a table such as"),
        ({"grid": {"weights": {"force": [1.0, "x"]}}}, "search.grid.weights.force: expected a finite number ≥ 0"),
        ({"grid": {"weights": [1.0]}}, 'grid.weights[0]: expected a table of numbers, "auto" or "evidence", found 1.0'),
        ({"grid": {"weights": 1.0}}, 'grid.weights: expected a table of numbers, "auto" or "evidence", or a list'),
        ({"grid": {"objective": ["lsqq"]}}, "search.grid.objective: expected some of ['lsq', 'plain'], found 'lsqq'"),
        ({"grid": {"orders": [14, 7]}}, "search.grid.orders: expected [n2, n3, n4]"),
        ({"grid": {"orders": [[4, 3, 2], [4, 3]]}}, "search.grid.orders: expected [n2, n3, n4]"),
        ({"grid": {"exclude": "4B"}}, "search.grid.exclude: expected a list of types"),
        ({"grid": {"exclude": [["4b"]]}}, "search.grid.exclude: expected types such as 'CCCN' or '4B', found '4b'"),
        ({"blocks": {"CN": {"order": 1}}}, "search.blocks.CN: unknown keys ['order']"),
        ({"blocks": {"CN": {}, "NC": {}}}, "search.blocks: CN is given twice, the second time as 'NC'"),
        ({"blocks": 3}, "search.blocks: expected a table, found 3"),
    ],
)
def test_an_error_names_the_key(table, said):
    with pytest.raises(InputError) as error:
        SearchSettings.from_dict(table)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"grid": {"orders": [[4, 3, 2], [5, 3, 2]]}}, "search.grid, for C: orders: type CC has order 4 in the"),
        ({"grid": {"exclude": [["CCO"]]}}, "search.grid, for C: exclude: 'CCO' is none of the types"),
        ({"blocks": {"CN": {"exclude": [["CCC"]]}}}, "search.blocks.CN, for CN: exclude: 'CCC' is none of the types"),
        ({"blocks": {"CO": {}}}, "search.blocks: ['CO'] are not blocks of the basis, which has ['C', 'N', 'CN']"),
        ({"grid": {"weights": {"c": 1.0}}}, "search.grid.weights: 'c' names no kind, source or composition that"),
        ({"grid": {"exclude": [["1B", "2B", "3B", "4B"]]}}, "search.grid, for C: nothing is left"),
        ({"strategy": "ladder", "grid": {"orders": [[4, 3, 0]] * 1 + [[4, 0, 2]], "exclude": [[], ["1B", "2B", "4B"]]}},
         "search.grid, for C: nothing is left"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused_before_anything_is_computed(table, said):
    with pytest.raises(InputError) as error:
        plan_search(FRAMES, BASIS, SearchSettings.from_dict(table))
    assert said in str(error.value)


def test_all_that_is_wrong_is_told_at_once():
    options = HierarchyOptions(
        FitSettings(weights={"nothing": 2.0}), {"CN": FitSettings(policy="lsq")}, partial={"CN": ("C",)},
    )  # fmt: skip
    table = {
        "grid": {"orders": [[9, 3, 2]], "exclude": [["CCO"]], "weights": [{"c": 1.0}, {"d": 1.0}]},
        "importance": {"stress": 1.0}, "blocks": {"CO": {}},
    }  # fmt: skip
    bare = [replace(f, stress=None) for f in FRAMES]
    with pytest.raises(InputError) as error:
        plan_search(bare, BASIS, SearchSettings.from_dict(table), options=options)
    for said in (
        "search.blocks: ['CO'] are not blocks", "weights: 'nothing' names no kind or source of rows",
        "search.importance: only stress count, of which C has no rows", "fit.blocks.CN.policy is 'lsq'",
        "search.grid.weights: 'c' names no kind", "search.grid.weights: 'd' names no kind",
    ):  # fmt: skip
        assert sum(said in p for p in error.value.problems) == 1, said


def test_orders_that_only_another_block_has_are_lowered_and_told():
    basis = BASIS.with_types(replace(t, order=3) if t.block != "C" and t.body == 2 else t for t in BASIS.types)
    settings = SearchSettings.from_dict({"grid": {"orders": [[4, 3, 2], [3, 2, 2], [2, 2, 2]]}})
    told = []
    parts = plan_search(FRAMES, basis, settings, tell=told.append).parts
    orders = {}
    for part in parts:
        for choice, columns in part.columns(part.grid.choices(part.fit)):
            orders.setdefault(part.name, []).append([t.order for t in columns.basis.types if t.body == 2])
            assert columns.basis == lower_basis(basis, part.blocks, choice.orders)
    assert orders == {"C": [[4], [3], [2]], "N": [[3], [3], [2]], "CN": [[3], [3], [2]]}
    lowered = [line for line in told if "lower ones" in line]
    assert [line.split(":")[1].strip() for line in lowered] == ["N", "CN"]
    assert all("of the orders [4, 3, 2] the basis has lower ones" in line for line in lowered)
    for table in (
        {"grid": {"orders": [[5, 3, 2]]}}, {"grid": {"orders": {"CN": [4, 3, 2]}}}, {"grid": {"orders": {"NN": 4}}},
        {"blocks": {"N": {"orders": [[4, 3, 2]]}}},
    ):  # fmt: skip
        with pytest.raises(InputError, match="higher orders need the rows again"):
            plan_search(FRAMES, basis, SearchSettings.from_dict(table))


def test_a_block_that_is_fitted_with_another_has_its_grid():
    settings = SearchSettings.from_dict({"blocks": {"C": {"orders": [[2, 2, 2]]}}})
    options = HierarchyOptions(partial={"CN": ("C",)}, only=("N", "CN"))
    with pytest.raises(InputError, match=r"search\.blocks\.C: C is fitted together with CN \(partial\)"):
        plan_search(FRAMES, BASIS, settings, options=options)
    told = []
    plan_search(FRAMES, BASIS, settings, options=HierarchyOptions(only=("N",)), tell=told.append)
    assert "note: search.blocks.C is of no use here: C is not searched" in told


def test_all_at_once_takes_what_it_need_not_ignore():
    fewer = {"CN": FitSettings(include_fewer=True)}
    options = HierarchyOptions(block_settings=fewer, partial={"CN": ("C",)}, only=("N", "CN"))
    (part,) = plan_search(FRAMES, BASIS, SearchSettings(), options=options, all_at_once=True).parts
    assert part.blocks == ("C", "N", "CN")
    for wrong, said in (
        ({"only": ("CN",)}, "so ['only'] would be ignored, which leaves out N"),
        ({"block_settings": {"CN": FitSettings(objective="plain")}}, "['block_settings'] would be ignored"),
    ):
        with pytest.raises(InputError) as error:
            plan_search(FRAMES, BASIS, SearchSettings(), options=replace(options, **wrong), all_at_once=True)
        assert said in str(error.value)


def test_all_at_once_has_one_grid():
    with pytest.raises(InputError, match=r"search\.blocks: all at once"):
        plan_search(FRAMES, BASIS, SearchSettings.from_dict({"blocks": {"CN": {}}}), all_at_once=True)
    (part,) = plan_search(FRAMES, BASIS, SearchSettings(), all_at_once=True).parts
    assert (part.name, part.blocks, part.sets) == ("CN", ("C", "N", "CN"), ("C", "CN", "N"))
