"""Reduction: summaries of groups from a store or on the fly, their weights, and how leaves are cut."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from synthetic import assemble, labelled, n_columns, random_frames, random_parameters, small_basis

from hiertl_dist import design_rows
from hiertl_dist.algebra import NoRegularisation, regularisers
from hiertl_dist.algebra.gram import BLOCK_ROWS
from hiertl_dist.algebra.solve import solve
from hiertl_dist.design_matrix import planning
from hiertl_dist.design_matrix.assembly import frozen_rows
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.errors import IncompleteStoreError, ResourceError
from hiertl_dist.executors import TaskFailed, executor
from hiertl_dist.fitting import leaves, reduction, row_pass
from hiertl_dist.fitting.leaves import cut_leaves, cut_of, grouped_rows, leaf_bytes, peak_bytes
from hiertl_dist.fitting.reduction import reduce_rows, solve_bytes
from hiertl_dist.fitting.views import whole_view
from hiertl_dist.fitting.weights import row_weights
from hiertl_dist.frames.rows import SUMMARY_KINDS, Group, kind_codes, n_rows, summary_group_counts

BASIS = small_basis()
FRAMES = random_frames({"C": 4, "N": 4, "CN": 12}, groups=("liquid", "solid"))
ROWS = n_rows(FRAMES[0])
FROZEN = (random_parameters(BASIS).restricted({"C"}), random_parameters(BASIS).restricted({"N"}))


LEAF_ROWS = leaves.LEAF_ROWS


@pytest.fixture(autouse=True)
def small_leaves(monkeypatch):
    """Two frames a segment, one of each source, and leaves of hardly more rows than the columns of CN."""
    monkeypatch.setattr(planning, "SEGMENT_ROWS", 2 * ROWS)
    monkeypatch.setattr(leaves, "LEAF_ROWS", 1)


@pytest.fixture
def serial():
    return executor("serial")


@pytest.fixture
def plan():
    return make_plan(FRAMES, BASIS)


def dense(plan, blocks, frozen=()):
    """[A | b − Σ offsets] of every frame of a plan in the order of its segments, and the group of each row."""
    frames = [f for s in plan.segments for f in s.frames]
    rows = design_rows(frames, BASIS, blocks)
    target = rows.target - sum((frozen_rows(frames, f, "refuse") for f in frozen), np.zeros(len(rows.target)))
    groups = [Group(f.group, SUMMARY_KINDS[k]) for f in frames for k in kind_codes(f)]
    return rows.matrix, target, groups


def arrays_of(summaries):
    return {g: {k: v.tobytes() for k, v in s.to_arrays().items()} for g, s in summaries.groups.items()}


@pytest.mark.parametrize("method", ["rfactor", "gram"])
def test_kept_rows_and_streaming_give_the_same_bits(plan, serial, tmp_path, method):
    store = assemble(FRAMES, BASIS, tmp_path / "store", frozen=FROZEN, plan=plan).store
    kept, streamed = (
        reduce_rows(plan, ["CN", "C"], store=s, frozen=FROZEN, method=method, executor=serial) for s in (store, None)
    )
    assert kept.blocks == ("C", "CN")
    assert arrays_of(kept) == arrays_of(streamed)


def test_streaming_writes_nothing(plan, serial, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reduce_rows(plan, ["CN"], store=None, executor=serial)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["rfactor", "gram"])
def test_summaries_hold_the_normal_equations_of_each_group(plan, serial, method):
    found = reduce_rows(plan, ["C", "CN"], store=None, frozen=FROZEN, method=method, executor=serial)
    A, b, groups = dense(plan, ["C", "CN"], FROZEN)
    assert found.columns == design_rows([], BASIS, ["C", "CN"]).columns
    assert set(found.groups) == set(groups) == set(summary_group_counts(FRAMES))
    c = np.random.default_rng(0).normal(size=A.shape[1])
    for group in found.groups:
        rows = np.array([g == group for g in groups])
        summary = found.offset(group)
        assert summary.rows == rows.sum()
        np.testing.assert_allclose(summary.column_norms(), np.linalg.norm(A[rows], axis=0), rtol=1e-12, atol=1e-14)
        residual = b[rows] - A[rows] @ c
        assert summary.residual_norm2(c) == pytest.approx(residual @ residual, rel=1e-11)
        slope = A[rows].T @ residual
        np.testing.assert_allclose(summary.gradient(c), slope, rtol=0, atol=1e-12 * abs(slope).max())


def test_rows_of_a_segment_are_sorted_into_every_group_once(plan):
    for segment in plan.segments:
        chosen = grouped_rows(segment)
        assert {g.source for g in chosen} == {"liquid", "solid"}
        assert sorted(np.concatenate(list(chosen.values()))) == list(range(segment.rows))
        assert {g: len(rows) for g, rows in chosen.items()} == dict(segment.groups)


def test_blocks_that_a_frame_lacks_are_zero_there(serial):
    plan = make_plan(FRAMES, BASIS, needs={("C", "C"), ("CN", "CN")})
    found = reduce_rows(plan, ["C", "CN"], store=None, executor=serial)
    width = n_columns(BASIS, ["C"])
    A, b, groups = dense(plan, ["C", "CN"])
    lacks = np.array(["C" if f.elements == {"C"} else "CN" for s in plan.segments for f in s.frames])
    A[np.repeat(lacks == "CN", ROWS), :width] = 0.0
    assert not A[np.repeat(lacks == "C", ROWS), width:].any()
    assert len(groups) == len(b)
    weights = dict.fromkeys(found.groups, 1.0)
    np.testing.assert_allclose(
        found.combined(weights).column_norms(), np.linalg.norm(A, axis=0), rtol=1e-12, atol=1e-14
    )


COUNTS = {"force": 1, "stress_diagonal": 1, "stress_off_diagonal": 2, "energy": 3}

WEIGHTS = {
    "none": ({}, lambda g: 1.0),
    "kind": ({"energy": 0.3, "stress": 40.0}, lambda g: {"energy": 0.3, "force": 1.0}.get(g.kind, 40.0)),
    "source": ({"solid": 2.5}, lambda g: 2.5 if g.source == "solid" else 1.0),
    "both": ({"liquid/energy": 7.0}, lambda g: 7.0 if g[:2] == ("liquid", "energy") else 1.0),
    "product": (
        {"force": 0.5, "solid": 3.0, "solid/force": 0.7},
        lambda g: (
            (0.5 if g.kind == "force" else 1.0)
            * (3.0 if g.source == "solid" else 1.0)
            * (0.7 if g[:2] == ("solid", "force") else 1.0)
        ),
    ),
    "zero": ({"liquid/energy": 0.0}, lambda g: 0.0 if g[:2] == ("liquid", "energy") else 1.0),
}


@pytest.mark.parametrize("objective", ["lsq", "plain"])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_weighted_fits_equal_least_squares_of_weighted_rows(plan, serial, weights, objective):
    given, weight_of = WEIGHTS[weights]
    found = reduce_rows(plan, ["C", "N", "CN"], store=None, executor=serial)
    whole = whole_view(found, given, objective)
    A, b, groups = dense(plan, ["C", "N", "CN"])
    counts = np.array([COUNTS[g.kind] if objective == "lsq" else 1 for g in groups])
    own = np.array([weight_of(g) for g in groups])
    # the rows as chimes_lsq writes them: repeated, each times its weight
    repeat = np.repeat(np.arange(len(b)), counts)
    x = np.linalg.lstsq(A[repeat] * own[repeat, None], b[repeat] * own[repeat], rcond=1e-14)[0]
    solution = solve(found.combined(whole.factors), NoRegularisation(), whole.counted)
    # chimes_lsq's N has rows of zero weight too
    assert whole.counted == counts.sum()
    np.testing.assert_allclose(solution.coefficients, x, rtol=0, atol=1e-9 * abs(x).max())


def test_weights_change_the_fit(plan, serial):
    found = reduce_rows(plan, ["C", "N", "CN"], store=None, executor=serial)
    fits = [
        solve(found.combined(whole_view(found, given, objective).factors), NoRegularisation()).coefficients
        for given, objective in [({}, "lsq"), ({}, "plain"), ({"energy": 5.0}, "lsq"), ({"solid": 5.0}, "lsq")]
    ]
    for i, a in enumerate(fits):
        assert all(np.abs(a - b).max() > 1e-3 for b in fits[:i])


@pytest.mark.parametrize("name", ["forces", "gas", "gas/energy", "liquid/pressure", ""])
def test_a_weight_that_names_nothing_is_refused(plan, serial, name):
    found = reduce_rows(plan, ["C"], store=None, executor=serial)
    with pytest.raises(ValueError, match=rf"weights: '{name}' names no kind or source .*'liquid/energy'"):
        whole_view(found, {name: 1.0})


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_a_weight_that_is_no_weight_is_refused(plan, serial, value):
    found = reduce_rows(plan, ["C"], store=None, executor=serial)
    with pytest.raises(ValueError, match=rf"weights\.energy: expected a finite number ≥ 0, found {value}"):
        whole_view(found, {"energy": value})


def test_weights_that_leave_nothing_are_refused(plan, serial):
    found = reduce_rows(plan, ["C"], store=None, executor=serial)
    factors = row_weights(found.groups, {"liquid": 0.0, "solid": 0.0}, "lsq")
    with pytest.raises(ValueError, match="no group of rows has a weight above zero"):
        found.combined(factors)


def test_an_unknown_objective_is_refused():
    with pytest.raises(ValueError, match=r"objective: expected one of \['lsq', 'plain'\], found 'square'"):
        row_weights({}, {}, "square")


def test_a_kind_that_no_frame_has_may_have_a_weight(serial):
    frames = [f.without_labels(stress=True) for f in FRAMES]
    found = reduce_rows(make_plan(frames, BASIS), ["C"], store=None, executor=serial)
    assert {g.kind for g in found.groups} == {"force", "energy"}
    assert whole_view(found, {"stress": 5.0}).factors == whole_view(found, {}).factors


# ------------------------------------------------------------------------- leaves


@pytest.mark.parametrize("leaves_wanted", [1, 4, 10**6])
@pytest.mark.parametrize("width", [1, 30, 75, 400, 10**6])
def test_leaves_are_runs_with_enough_rows(plan, monkeypatch, width, leaves_wanted):
    monkeypatch.setattr(leaves, "LEAF_ROWS", LEAF_ROWS)
    monkeypatch.setattr(leaves, "LEAVES", leaves_wanted)
    assert LEAF_ROWS == 6
    found = cut_leaves(plan.segments, width)
    assert [s for leaf in found for s in leaf] == list(plan.segments)
    total = sum(s.rows for s in plan.segments)
    enough = max(width, min(6 * width, total // leaves_wanted))
    for leaf in found[:-1]:
        rows = [s.rows for s in leaf]
        assert sum(rows) >= enough
        # and is closed as soon as it has them
        assert sum(rows[:-1]) < enough
    # what is left over at the end is a leaf only where it has as many rows as columns
    assert len(found) == 1 or sum(s.rows for s in found[-1]) >= width


def test_memory_closes_a_leaf_but_never_below_as_many_rows_as_columns(plan, monkeypatch):
    (rows,) = {s.rows for s in plan.segments}
    width = 2 * rows + 1
    monkeypatch.setattr(leaves, "LEAF_ROWS", 6)
    monkeypatch.setattr(leaves, "LEAVES", 1)
    monkeypatch.setattr(leaves, "LEAF_BYTES", 8 * width * 4 * rows)
    assert {len(leaf) for leaf in cut_leaves(plan.segments, width)[:-1]} == {4}
    monkeypatch.setattr(leaves, "LEAF_BYTES", 1)
    assert {len(leaf) for leaf in cut_leaves(plan.segments, width)[:-1]} == {3}


def test_leaves_are_the_same_for_any_number_of_workers(plan, monkeypatch, two_processes):
    cuts = []
    original = leaves.cut_leaves

    def noted(segments, width, parts):
        cuts.append([[s.key for s in leaf] for leaf in original(segments, width, parts)])
        return original(segments, width, parts)

    monkeypatch.setattr(leaves, "cut_leaves", noted)
    with executor("serial") as one:
        found = [reduce_rows(plan, ["CN"], store=None, executor=e) for e in (one, two_processes)]
    assert cuts[0] == cuts[1]
    assert len(cuts[0]) >= 5
    assert arrays_of(found[0]) == arrays_of(found[1])


def sizes_of(plan):
    return cut_of(plan.segments, 1).sizes


def test_a_leaf_that_does_not_fit_is_refused_with_both_numbers(plan, serial, monkeypatch):
    width = n_columns(BASIS, ["CN"]) + 1
    needed = peak_bytes([cut_of(plan.segments, width)], serial)
    with monkeypatch.context() as patch:
        patch.setattr(reduction, "solve_bytes", lambda *_: 0)
        with pytest.raises(ResourceError, match=rf"reduction of {width} columns: .*{needed / 2**20:.0f} MiB .* 1 MiB"):
            reduce_rows(plan, ["CN"], store=None, executor=serial, memory=2**20)
    enough = max(needed, solve_bytes(width, sizes_of(plan), serial))
    reduce_rows(plan, ["CN"], store=None, executor=serial, memory=enough)


def test_a_gram_needs_a_square_for_each_group_and_no_buffers(plan):
    found = cut_leaves(plan.segments, 30)
    tile = max(s.rows for s in plan.segments)
    groups = len(summary_group_counts(FRAMES))
    assert leaf_bytes(found, 30, "gram") == 8 * 30 * (tile + BLOCK_ROWS + 30 * groups)
    assert leaf_bytes([found[0] * 5], 30, "gram") == leaf_bytes([found[0]], 30, "gram")


def test_the_memory_of_a_solve_depends_on_the_regulariser(plan, serial, monkeypatch):
    monkeypatch.setattr(reduction, "process_bytes", lambda: 0)
    monkeypatch.setattr(leaves, "process_bytes", lambda: 0)
    monkeypatch.setattr(row_pass, "peak_bytes", lambda *_: 0)
    width = n_columns(BASIS, ["CN"]) + 1
    sizes = sizes_of(plan)
    needed = partial(solve_bytes, width, sizes, serial)
    memory = needed("ridge")
    assert memory < needed("lasso") < needed("svd") < needed()
    assert needed() == needed("ard") < needed("ridge", True)
    assert memory < solve_bytes(width, [*sizes, 10**6], serial, "ridge")
    assert set(reduction.SOLVE_SQUARES) == set(regularisers._KINDS)
    reduce_rows(plan, ["CN"], store=None, executor=serial, memory=2 * memory, regulariser="ridge")
    with pytest.raises(ResourceError, match=f"solve of {width} columns"):
        reduce_rows(plan, ["CN"], store=None, executor=serial, memory=memory // 2, regulariser="ridge")


def test_no_rows_are_refused_by_block(serial):
    with pytest.raises(ValueError, match="no rows to fit blocks C, CN on"):
        reduce_rows(make_plan([], BASIS), ["CN", "C"], store=None, executor=serial)


def test_a_store_that_lacks_a_tile_is_refused_by_leaf_and_tile(plan, serial, tmp_path):
    store = assemble(FRAMES, BASIS, tmp_path / "store", plan=plan).store
    key = plan.segments[-1].key
    store.ledger_path("blocks/CN", key).unlink()
    with pytest.raises(TaskFailed, match=rf"leaf of .* failed with IncompleteStoreError.*tile {key[:12]}") as failed:
        reduce_rows(plan, ["CN"], store=store, executor=serial)
    assert isinstance(failed.value.__cause__, IncompleteStoreError)


def test_rows_that_fit_exactly_leave_no_residual(serial):
    truth = random_parameters(BASIS, 4)
    frames = labelled(FRAMES, truth)
    found = reduce_rows(make_plan(frames, BASIS), ["C", "N", "CN"], store=None, executor=serial)
    for group in found.groups:
        summary = found.offset(group)
        assert summary.residual_norm2(truth.coefficients) < 1e-24 * max(summary.target_norm2(), 1.0)


def test_a_solve_that_does_not_fit_is_refused_with_both_numbers(plan, serial, monkeypatch):
    monkeypatch.setattr(reduction, "process_bytes", lambda: 0)
    monkeypatch.setattr(leaves, "process_bytes", lambda: 0)
    width = n_columns(BASIS, ["CN"]) + 1
    leaf = peak_bytes([cut_of(plan.segments, width)], serial)
    monkeypatch.setattr(reduction, "solve_bytes", lambda *_: 2 * leaf + 2**20)
    with pytest.raises(ResourceError, match=rf"solve of {width} columns: .*available"):
        reduce_rows(plan, ["CN"], store=None, executor=serial, memory=2 * leaf)
