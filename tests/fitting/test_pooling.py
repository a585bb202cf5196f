"""Groups of frames share summaries where nothing distinguishes them; fits are the same, and it is said."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist import cross_validate, open_summaries, solve, summarise, view
from hiertl_dist.dataset.folds import Folds
from hiertl_dist.design_matrix.kept_summaries import group_sizes, kept_by_fits, pooled_segments
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.design_matrix.segments import grouped_rows
from hiertl_dist.errors import HiertlWarning, InputError, StoreError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting.block_fit import fit_block
from hiertl_dist.fitting.hierarchy import fit_hierarchy
from hiertl_dist.fitting.settings import FitSettings, HierarchyOptions
from hiertl_dist.fitting.summary_store import SummaryStore
from hiertl_dist.frames import pooling
from hiertl_dist.frames.pooling import MOST_SOURCES, Pooling, named_sources, pooling_of
from hiertl_dist.frames.rows import POOLED
from hiertl_dist.model_selection.search_settings import SearchSettings
from hiertl_dist.model_selection.search_stages import search

SERIAL = SerialExecutor()
BASIS = small_basis((4, 2, 0))
NAMES = [f"t{i:02d}" for i in range(8)]
NOISE = np.random.default_rng(3)
RIDGE = {"kind": "ridge", "alpha": 1e-2}
FRAMES = labelled(random_frames({"C": 16, "N": 8, "CN": 16}, groups=NAMES), random_parameters(BASIS, 1))
FRAMES = [
    type(f)(
        f.species, f.positions, f.cell, energy=f.energy + NOISE.normal(), stress=f.stress, group=f.group,
        forces=f.forces + NOISE.normal(scale=0.3, size=f.forces.shape), origin=f.origin,
    )
    for f in FRAMES
]  # fmt: skip
ALL_APART = ("*",)

pytestmark = pytest.mark.filterwarnings("ignore:.* of rows .groups of frames. are pooled as")


@pytest.fixture
def few(monkeypatch):
    """Pooling from more than three sources on."""
    monkeypatch.setattr(pooling, "MOST_SOURCES", 3)


def fitted(**settings):
    return fit_block(FRAMES, BASIS, "CN", free=["C", "N"], executor=SERIAL, settings=FitSettings(
        regulariser=RIDGE, include_fewer=True, **settings))  # fmt: skip


def summarised(frames=FRAMES, **options):
    return summarise(frames, BASIS, folds=2, executor=SERIAL, **options)


def sources(groups):
    return {g.source for g in groups}


def close(found, expected):
    found, expected = (s.parameters.coefficients for s in (found, expected))
    assert np.abs(found - expected).max() <= 1e-10 * np.abs(expected).max()


# ---- the rule


def test_few_sources_stay_apart_and_more_are_pooled():
    some = [f"s{i}" for i in range(MOST_SOURCES + 1)]
    assert pooling_of(some[:-1]) == Pooling()
    assert pooling_of(some) == Pooling(frozenset(), tuple(sorted(some)))
    # what is named does not count
    assert pooling_of(some, ["s7"]) == Pooling()
    assert pooling_of([*some, "x"], {"force": 2.0, "s7/energy": 1.0}).apart == {"s7"}
    assert pooling_of([*some, "x1", "x2"], [], ["x*"]).apart == {"x1", "x2"}
    assert pooling_of(some, [], ALL_APART) == Pooling()


def test_what_is_held_stays_as_it_is(few):
    held = pooling_of(["a", "b", "c", "d"], held_apart=frozenset("ab"))
    assert (held.apart, held.pooled) == ({"a", "b"}, ("c", "d"))
    more = pooling_of(["c", "e"], ["f"], held_apart=held.apart, held_pooled=frozenset(held.pooled))
    assert (more.apart, more.pooled) == ({"a", "b"}, ("c", "d", "e"))
    with pytest.raises(InputError, match="1 group to be kept apart, c: rows are pooled"):
        pooling_of(["e"], ["c/force"], held_apart=held.apart, held_pooled=frozenset(held.pooled))


def test_the_name_of_the_pool_is_refused(few):
    with pytest.raises(InputError, match=r"'\(pooled\)': that is the name of pooled groups"):
        pooling_of([POOLED, "a", "b", "c", "d"], [POOLED])


def test_names_of_weights():
    assert named_sources(["a", "b", "a/b", "force"], ["force", "a/stress", "c"]) == {"a", "force"}
    assert named_sources(["a/b", "a"], ["a/b"]) == {"a/b"}


@pytest.mark.parametrize("apart", ["liquid*", [1], 3])
def test_patterns_are_a_list(apart):
    for call in (lambda: FitSettings(apart=apart), lambda: summarised(apart=apart)):
        with pytest.raises(InputError, match="apart: expected a list of patterns of groups, found"):
            call()


# ---- rows


@pytest.mark.parametrize("folds", [False, True])
def test_every_row_is_in_one_group(folds):
    for segment in make_plan(FRAMES, BASIS).segments:
        shares = np.arange(len(segment.frames)) % 2 if folds else None
        chosen = type(segment)(**{**vars(segment), "folds": shares, "apart": frozenset({"t01", "absent"})})
        rows = grouped_rows(pickle.loads(pickle.dumps(chosen)))
        assert sorted(np.concatenate(list(rows.values()))) == list(range(segment.rows))
        assert sources(rows) <= {"t01", POOLED}
        if not folds:
            assert dict(chosen.groups) == {g: len(r) for g, r in rows.items()}
        apart = grouped_rows(type(segment)(**{**vars(segment), "folds": shares}))
        for group, own in rows.items():
            names = {"t01"} if group.source == "t01" else set(NAMES) - {"t01"}
            parts = [r for g, r in apart.items() if g.source in names and g == group._replace(source=g.source)]
            assert np.array_equal(np.sort(np.concatenate(parts)), own)


# ---- fits


@pytest.mark.parametrize(
    "weights", ["auto", {"energy": 0.3, "stress": 20.0}, {"force": 1.0, "t03": 2.0, "t05/energy": 0.0}]
)
def test_a_fit_is_the_same_with_pooled_groups(few, weights):
    pooled, apart = fitted(weights=weights), fitted(weights=weights, apart=ALL_APART)
    close(pooled.solution, apart.solution)
    named = {n.partition("/")[0] for n in weights} & set(NAMES) if weights != "auto" else set()
    assert sources(pooled.summaries.groups) == {POOLED, *named}
    assert sources(apart.summaries.groups) == set(NAMES)
    assert pooled.solution.rows == apart.solution.rows
    assert pooled.solution.rmse == pytest.approx(apart.solution.rmse, rel=1e-10)
    residuals = pooled.solution.residuals[f"{POOLED}/force"]
    own = [r for n, r in apart.solution.residuals.items() if n.endswith("/force") and n.partition("/")[0] not in named]
    assert residuals.rows == sum(r.rows for r in own)
    assert residuals.rmse**2 * residuals.rows == pytest.approx(sum(r.rmse**2 * r.rows for r in own), rel=1e-9)
    if weights == "auto":
        assert pooled.solution.weights == pytest.approx(apart.solution.weights, rel=1e-9)
    # warnings of what was not learned know the frames that are pooled
    assert [n for n in pooled.solution.notes if "WARNING" in n] == [n for n in apart.solution.notes if "WARNING" in n]


def test_normal_equations_are_pooled_too(few):
    close(fitted(method="gram").solution, fitted(method="gram", apart=ALL_APART).solution)


def test_a_solution_says_what_is_pooled_and_how_to_keep_it_apart(few):
    notes = fitted().solution.notes
    (note,) = (n for n in notes if "pooled" in n)
    assert "8 sources of rows (groups of frames) are pooled as '(pooled)'" in note
    assert "more than 3: t00, t01, t02, t03, t04, … and 3 more" in note
    assert "To keep one apart, name it in apart" in note
    assert not any("pooled" in n for n in fitted(apart=ALL_APART).solution.notes)


def test_each_block_of_a_climb_pools_its_own(few):
    frames = [f for f in FRAMES if f.element_set != "N" or f.group in NAMES[:2]]
    settings = FitSettings(regulariser=RIDGE, apart=("t00",))
    climb = fit_hierarchy(frames, BASIS, options=HierarchyOptions(settings), executor=SERIAL)
    assert {b: sources(f.summaries.groups) for b, f in climb.fits.items()} == {
        "C": {"t00", POOLED}, "N": {"t00", "t01"}, "CN": {"t00", POOLED}
    }  # fmt: skip
    with pytest.raises(InputError, match=r"apart: 'u\*' matches no group; there are \['t00', 't01'"):
        fit_hierarchy(frames, BASIS, options=HierarchyOptions(FitSettings(apart=("u*",))), executor=SERIAL)
    with pytest.raises(InputError, match=r"block CN: apart: 'u\*' matches no group"):
        fit_block(frames, BASIS, "CN", settings=FitSettings(apart=("u*",)), executor=SERIAL)


def test_a_plan_says_how_many_summaries_a_fit_keeps(few):
    plan = make_plan(FRAMES, BASIS)
    said = plan.as_dict()["summaries"]
    fit = fit_block(FRAMES, BASIS, "CN", free=["C", "N", "CN"], executor=SERIAL,
                    frame_sets=["C", "N", "CN"], settings=FitSettings(regulariser=RIDGE))  # fmt: skip
    assert said["count"] == len(fit.summaries.groups) == 4
    assert said["bytes"] == sum(s.r.nbytes for s in fit.summaries.groups.values())
    assert said["pooled_groups"] == len(NAMES)
    assert "4 summaries of rows" in repr(plan)
    assert "8 groups of frames pooled" in repr(plan)
    segments, found = pooled_segments(plan.segments, ["t01"])
    assert found.apart == {"t01"}
    assert sum(group_sizes(segments).values()) == sum(s.rows for s in plan.segments)
    by_block = make_plan(FRAMES, BASIS, by_block=True)
    fits = [((b,), [s for s in by_block.segments if s.elements == b]) for b in ("C", "CN")]
    kept = kept_by_fits(by_block.columns, fits)
    assert (kept.count, kept.pooled) == (8, set(NAMES))


# ---- summaries


def test_views_are_the_same_with_pooled_groups(few, tmp_path):
    apart = summarised(apart=ALL_APART)
    for pooled in (summarised(), summarised(summaries=tmp_path)):
        assert sources(pooled.groups) == {POOLED}
        assert pooled.pooled == tuple(NAMES)
        assert sum(map(pooled.rows, pooled.groups)) == sum(map(apart.rows, apart.groups))
        assert any("8 sources of rows" in n for n in pooled.notes)
        for options in ({}, {"folds": [1]}, {"weights": {"energy": 3.0, "C50N50": 0.5}}, {"without": ["C*N*"]}):
            close(*(solve(view(s, **options), RIDGE) for s in (pooled, apart)))
        (found,), (expected,) = (cross_validate(view(s), RIDGE) for s in (pooled, apart))
        for kind in ("force", "energy", "stress"):
            assert found.errors.rmse(kind) == pytest.approx(expected.errors.rmse(kind), rel=1e-8)
            assert found.errors.rmse(kind, fold=1) == pytest.approx(expected.errors.rmse(kind, fold=1), rel=1e-8)
        with pytest.raises(
            InputError, match=r"source: .*found 't03'; '\(pooled\)' are groups that were not kept apart"
        ):
            found.errors.rmse("force", source="t03")


def test_who_summarises_is_warned(few, tmp_path, recwarn):
    for folder in (None, tmp_path, tmp_path):  # the last time with nothing new to reduce
        with pytest.warns(HiertlWarning, match=r"8 sources of rows .* are pooled .* name it in apart") as caught:
            summarised(summaries=folder)
        assert [w.filename for w in caught] == [__file__]
    recwarn.clear()
    summarised(apart=ALL_APART)
    assert not recwarn


def test_what_was_pooled_cannot_be_asked_for(few, tmp_path):
    summarised(summaries=tmp_path, apart=["t00"])
    for summaries in (summarised(apart=["t00"]), open_summaries(tmp_path)):
        view(summaries, weights={"t00": 2.0})
        view(summaries, without=["t00"])
        for options, text in (
            ({"weights": {"t03/energy": 2.0}}, "weights: 't03/energy' means 1 group (t03)"),
            ({"weights": {"t03": 2.0}}, "weights: 't03' means 1 group (t03)"),
            ({"without": ["t0[0-3]"]}, r"without: 't0[0-3]' means 3 groups (t01, t02, t03)"),
        ):
            with pytest.raises(InputError) as caught:
                view(summaries, **options)
            assert text in str(caught.value)
            assert "summarise the frames anew, and name it in apart" in str(caught.value)
        with pytest.raises(InputError, match="'t99' names no kind or source of rows"):
            view(summaries, weights={"t99": 2.0})


def test_folds_by_group_are_those_of_the_groups(few):
    pooled = summarise(FRAMES, BASIS, folds=Folds(3, split="group"), executor=SERIAL)
    apart = summarise(FRAMES, BASIS, folds=Folds(3, split="group"), executor=SERIAL, apart=ALL_APART)
    rows = [{}, {}]
    for summaries, counts in zip((pooled, apart), rows, strict=True):
        for g in summaries.groups:
            key = g._replace(source="")
            counts[key] = counts.get(key, 0) + summaries.rows(g)
    assert rows[0] == rows[1]


# ---- stores


def test_a_store_that_grows_keeps_what_is_apart_and_what_is_pooled(few, tmp_path):
    first = [f for f in FRAMES if f.group in NAMES[:2]]
    summarised(first[: len(first) // 2], summaries=tmp_path)
    found = summarised(FRAMES, summaries=tmp_path)
    assert sources(found.groups) == {"t00", "t01", POOLED}
    assert found.pooled == tuple(NAMES[2:])
    SummaryStore.open(tmp_path).verify()
    close(solve(view(found), RIDGE), solve(view(summarised(apart=ALL_APART)), RIDGE))
    before = {g: found.rows(g) for g in found.groups}
    again = summarised(FRAMES, summaries=tmp_path)
    assert {g: again.rows(g) for g in again.groups} == before
    more = random_frames({"C": 2, "CN": 1}, seed=9, groups=["t02", "new", "t00"])
    with pytest.warns(match="were not given"):
        grown = summarised(more, summaries=tmp_path)
    assert grown.pooled == tuple(sorted([*NAMES[2:], "new"]))
    assert sum(map(grown.rows, grown.groups)) == sum(before.values()) + 3 * (36 + 6 + 1)
    with pytest.raises(
        StoreError, match=r"1 group to be kept apart \(t05\): in the summary store their rows are pooled"
    ):
        summarised(FRAMES, summaries=tmp_path, apart=["t05"])


def test_new_blocks_pool_as_the_store_does(few, tmp_path):
    summarise(FRAMES, BASIS, blocks=["C"], folds=2, executor=SERIAL, summaries=tmp_path, apart=["t01"])
    found = summarised(FRAMES, summaries=tmp_path)
    assert sources(found.groups) == {"t01", POOLED}
    close(solve(view(found), RIDGE), solve(view(summarised(apart=ALL_APART)), RIDGE))


def test_a_group_pooled_in_one_batch_and_apart_in_another_is_refused(few, tmp_path, monkeypatch):
    summarised([f for f in FRAMES if f.element_set == "C"], summaries=tmp_path)
    # as of a pass that looked at the store before that
    monkeypatch.setattr("hiertl_dist.fitting.stored_pooling.pooling_of", lambda *_, **__: Pooling())
    with pytest.raises(StoreError, match="group 't00' is pooled with others in one batch and apart in another"):
        summarised(FRAMES, summaries=tmp_path)
    SummaryStore.open(tmp_path).verify()
    assert sources(open_summaries(tmp_path).groups) == {POOLED}


# ---- searches


def test_a_search_keeps_apart_what_weights_of_any_model_name(few):
    grid = {"regulariser": RIDGE, "weights": [{"force": 1.0, "t01": 2.0}, "auto", {"t02/energy": [0.5, 1.0]}]}
    settings = SearchSettings.from_dict({"folds": 2, "grid": grid, "blocks": {"C": {"weights": {"t03": [1.0, 2.0]}}}})
    options = HierarchyOptions(FitSettings(apart=["t07"]))
    found = search(FRAMES, BASIS, settings, options=options, executor=SERIAL)
    assert sources(found.summaries.groups) == {"t01", "t02", "t03", "t07", POOLED}
    assert "pooled" in found.identity
    apart = search(
        FRAMES, BASIS, settings, options=HierarchyOptions(FitSettings(apart=ALL_APART)), executor=SERIAL
    )  # fmt: skip
    for one, other in zip(found.stages, apart.stages, strict=True):
        assert one.selection.chosen == other.selection.chosen
        close(one.solution, other.solution)
        assert one.chosen.score == pytest.approx(other.chosen.score, rel=1e-8)
