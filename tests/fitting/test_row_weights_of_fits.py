"""Fits with weights of single rows, beside dense matrices whose rows are multiplied one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import assemble, labelled, random_frames, random_parameters, small_basis

from hiertl_dist import design_rows, open_summaries, summarise
from hiertl_dist.design_matrix import planning
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.errors import InputError, StoreError
from hiertl_dist.executors import TaskFailed, executor
from hiertl_dist.fitting import leaves
from hiertl_dist.fitting.block_fit import fit_block
from hiertl_dist.fitting.reduction import reduce_rows
from hiertl_dist.fitting.row_pass import pass_digest
from hiertl_dist.fitting.settings import FitSettings
from hiertl_dist.fitting.view_choice import view
from hiertl_dist.fitting.view_solutions import solve
from hiertl_dist.fitting.weighed_rows import weighed_segments, weight_ranges
from hiertl_dist.fitting.weights import row_weights
from hiertl_dist.frames.frame_sequence import FrameList
from hiertl_dist.frames.row_weights import ListedWeights, RowWeights
from hiertl_dist.frames.rows import SUMMARY_KINDS, Group, kind_codes, n_rows
from hiertl_dist.model_selection.cross_validation import cross_validate
from hiertl_dist.uncertainty.committee import committee
from hiertl_dist.uncertainty.predictive import posterior

BASIS = small_basis((3, 2, 0))
RNG = np.random.default_rng(5)
FRAMES = FrameList(
    replace(f, forces=f.forces + RNG.normal(0, 1.0, f.forces.shape), energy=f.energy + RNG.normal())
    for f in labelled(random_frames({"C": 3, "N": 3, "CN": 9}, groups=("liquid", "solid")), random_parameters(BASIS))
)
ROWS = n_rows(FRAMES[0])
WEIGHTS = RowWeights(
    force="0.2 if abs(value) > 1 else 1.5", energy="0 if group == 'solid' else n_atoms ** -0.5",
    stress="exp(-abs(value) / 3)",
)  # fmt: skip
SERIAL = executor("serial")
RIDGE = {"kind": "ridge", "alpha": 1e-2}
OF_GROUPS = {"stress": 30.0, "liquid/force": 2.0}


@pytest.fixture(autouse=True)
def small_leaves(monkeypatch):
    monkeypatch.setattr(planning, "SEGMENT_ROWS", 2 * ROWS)
    monkeypatch.setattr(leaves, "LEAF_ROWS", 1)


def settings(row=WEIGHTS, **more):
    return FitSettings(
        **({"regulariser": RIDGE, "weights": OF_GROUPS, "row_weights": row, "include_fewer": True} | more)
    )


def fit(given, runner=SERIAL, frames=FRAMES, **options):
    return fit_block(frames, BASIS, "CN", free=["C", "N"], settings=given, executor=runner, **options)


def dense(frames=FRAMES):
    """[A | b] of all rows, their groups, and the weight of each."""
    rows = design_rows(frames, BASIS, ["C", "N", "CN"])
    groups = [Group(f.group, SUMMARY_KINDS[k]) for f in frames for k in kind_codes(f)]
    return rows, groups, WEIGHTS.of(FrameList(frames))


def dense_answer(frames=FRAMES, of_groups=OF_GROUPS):
    """What a ridge makes of all rows, each multiplied by all of its weights; energies of atoms are not penalised."""
    rows, groups, own = dense(frames)
    factors = row_weights(set(groups), of_groups, "lsq")
    w = own * np.array([factors[g] for g in groups])
    penalty = np.diag([0.1 * bool(c.powers) for c in rows.columns])
    matrix = np.vstack([rows.matrix * w[:, None], penalty])
    target = np.concatenate([rows.target * w, np.zeros(len(penalty))])
    return rows, np.linalg.lstsq(matrix, target, rcond=None)[0]


def predicted(solution, rows):
    known = solution.parameters.as_dict()
    return rows.matrix @ np.array([known[c] for c in rows.columns])


def test_a_fit_is_that_of_multiplied_rows(tmp_path):
    rows, expected = dense_answer()
    own = rows.matrix @ expected
    for options, method in (({}, "rfactor"), ({"store": tmp_path / "design"}, "rfactor"), ({}, "gram")):
        found = fit(settings(method=method), **options).solution
        assert np.linalg.norm(predicted(found, rows) - own) <= 1e-8 * np.linalg.norm(own)
    without = predicted(fit(settings(None)).solution, rows)
    assert np.linalg.norm(without - own) > 1e-4 * np.linalg.norm(own)


def test_errors_are_those_of_rows_as_they_are():
    rows, expected = dense_answer()
    found = fit(settings()).solution
    left = rows.matrix @ expected - rows.target
    kinds = np.array([k for f in FRAMES for k in kind_codes(f)])
    groups = np.array([f.group for f in FRAMES for _ in range(n_rows(f))])
    for name, residual in found.residuals.items():
        source, kind = name.split("/")
        mine = (kinds == SUMMARY_KINDS.index(kind)) & (groups == source)
        assert residual.rows == mine.sum()
        assert residual.rmse == pytest.approx(float(np.sqrt(np.mean(left[mine] ** 2))), rel=1e-6)
    assert len(found.residuals) == 8


def bits(fitted):
    return [(g.as_list(), s.to_arrays()["r"].tobytes()) for part in (fitted.summaries.groups, fitted.summaries.weighed)
            for g, s in sorted(part.items())], fitted.solution.parameters.coefficients.tobytes()  # fmt: skip


def test_the_same_bits_whoever_makes_the_rows_and_wherever_they_come_from(two_processes, tmp_path):
    listed = ListedWeights.of_frames(FRAMES, WEIGHTS.of(FRAMES), "w.dat")
    one = bits(fit(settings()))
    assert bits(fit(settings(), store=tmp_path / "design")) == one
    assert bits(fit(settings(), store=tmp_path / "design")) == one  # read
    assert bits(fit(settings(None, row_weights=RowWeights(listed=listed)), two_processes)) == one


@pytest.mark.parametrize("regulariser", [RIDGE, {"kind": "bayesian_ridge"}])
def test_a_weight_that_groups_share_is_one_of_groups(regulariser):
    """Also what it says of its own errors, rows without weight and the noise."""
    row = RowWeights(force="2 if group == 'liquid' else 1", stress=30.0, energy="0 if group == 'solid' else 0.5")
    of_groups = {"liquid/force": 2.0, "stress": 30.0, "solid/energy": 0.0, "liquid/energy": 0.5}
    found = [
        posterior(view(summarise(FRAMES, BASIS, row_weights=r, executor=SERIAL, folds=3), weights=w), regulariser)
        for r, w in ((row, {}), (None, of_groups))
    ]
    a, b = (f.solution.parameters.coefficients for f in found)
    assert a == pytest.approx(b, rel=1e-8, abs=1e-8 * np.abs(b).max())
    assert found[0].linear.noise == pytest.approx(found[1].linear.noise, rel=1e-8)
    for kind, noise in found[1].noise.items():
        assert found[0].noise[kind].noise == pytest.approx(noise.noise, rel=1e-6), kind


def test_members_of_a_committee_count_fitted_rows_alone():
    """Evidence asks how many rows there are, and those of weight 0 are none."""
    row = RowWeights(energy="0 if group == 'solid' else 1", force="0 if group == 'solid' else 1")
    of_groups = {"solid/energy": 0.0, "solid/force": 0.0}
    one, other = (
        committee(
            view(summarise(FRAMES, BASIS, row_weights=r, executor=SERIAL, folds=3), weights=w),
            {"kind": "bayesian_ridge"}, kind="bootstrap", members=3,
        ).members
        for r, w in ((row, {}), (None, of_groups))
    )  # fmt: skip
    for a, b in zip(one, other, strict=True):
        assert a.coefficients == pytest.approx(b.coefficients, rel=1e-6, abs=1e-7 * np.abs(b.coefficients).max())


def test_automatic_weights_multiply_and_what_a_kind_shares_cancels():
    plain = fit(settings(None, weights="auto"))
    shared = fit(settings(RowWeights(energy=7.0, stress=0.01), weights="auto"))
    a, b = (f.solution.parameters.coefficients for f in (plain, shared))
    assert a == pytest.approx(b, rel=1e-6, abs=1e-7 * np.abs(b).max())
    assert any("a factor that all rows of a kind share cancels" in n for n in shared.solution.notes)
    ratio = plain.view.weights["energy"] / shared.view.weights["energy"]
    assert ratio == pytest.approx(7.0, rel=1e-6)


def test_evidence_leaves_rows_of_weight_zero_out():
    own = {"weights": "evidence", "regulariser": {"kind": "bayesian_ridge"}}
    bare = FrameList(f.without_labels(energy=True) if f.group == "solid" else f for f in FRAMES)
    a = fit(settings(RowWeights(energy="0 if group == 'solid' else 1"), **own)).solution
    b = fit(settings(None, **own), frames=bare).solution
    assert a.hyperparameters["noise_energy"] == pytest.approx(b.hyperparameters["noise_energy"], rel=1e-3)
    assert a.hyperparameters["noise_force"] == pytest.approx(b.hyperparameters["noise_force"], rel=1e-3)


def test_cross_validation_fits_weighed_rows_and_tells_errors_of_rows_as_they_are(tmp_path):
    kept = summarise(FRAMES, BASIS, folds=3, row_weights=WEIGHTS, summaries=tmp_path / "s", executor=SERIAL)
    (found,) = cross_validate(view(kept, weights=OF_GROUPS), RIDGE)
    shares = {f.digest: fold for f, fold in zip(FRAMES, folds_of(kept, tmp_path / "s"), strict=True)}
    for fold in range(3):
        training = [f for f in FRAMES if shares[f.digest] != fold]
        left_out = [f for f in FRAMES if shares[f.digest] == fold]
        _, answer = dense_answer(training)
        rows = design_rows(left_out, BASIS, ["C", "N", "CN"])
        left = rows.matrix @ answer - rows.target
        forces = np.concatenate([kind_codes(f) for f in left_out]) == 0
        held = found.errors
        cells = [
            (n, x) for c, n, x in zip(held.cells, held.rows, held.squares, strict=True)
            if c.kind == "force" and c.fold == fold
        ]  # fmt: skip
        assert sum(n for n, _ in cells) == forces.sum()
        assert sum(s for _, s in cells) == pytest.approx(float(left[forces] @ left[forces]), rel=1e-5)


def folds_of(kept, path):
    from hiertl_dist.dataset.folds import assign_folds

    return assign_folds(FRAMES, kept.folds, ()).tolist()


def test_a_summary_store_knows_its_weights(tmp_path):
    place = tmp_path / "s"
    first = summarise(FRAMES[:10], BASIS, folds=3, row_weights=WEIGHTS, summaries=place, executor=SERIAL)
    assert set(first.groups) >= set(first.weighed)
    assert not any(g.weighed for g in first.groups)
    assert len(first.weighed) < len(first.groups)  # energies of one source have none
    for other in (None, RowWeights(force="1.5")):
        with pytest.raises(StoreError, match="weights_of_rows"):
            summarise(FRAMES[:10], BASIS, folds=3, row_weights=other, summaries=place, executor=SERIAL)
    plain = tmp_path / "plain"
    summarise(FRAMES[:10], BASIS, folds=3, summaries=plain, executor=SERIAL)
    with pytest.raises(StoreError, match="weights_of_rows"):
        summarise(FRAMES[:10], BASIS, folds=3, row_weights=WEIGHTS, summaries=plain, executor=SERIAL)
    more = summarise(FRAMES, BASIS, folds=3, row_weights=WEIGHTS, summaries=place, executor=SERIAL)
    again = open_summaries(place)
    rows, expected = dense_answer()
    own = rows.matrix @ expected
    for kept in (more, again):
        assert sum(kept.rows(g) for g in kept.groups) == FRAMES.facts.n_rows.sum()
        found = solve(view(kept, weights=OF_GROUPS), RIDGE)
        assert np.linalg.norm(predicted(found, rows) - own) <= 1e-8 * np.linalg.norm(own)


def test_checkpoints_know_the_weights(tmp_path):
    plan = make_plan(FRAMES, BASIS)
    sources, method = [], "rfactor"
    reduce = leaves.RowSource(BASIS, "refuse", plan.blocks, (), None, frozenset())
    for row in (None, WEIGHTS, RowWeights(force="1.5"), RowWeights(listed=ListedWeights.of_frames(
        FRAMES, np.ones(int(FRAMES.facts.n_rows.sum())), "w"))):  # fmt: skip
        cut = leaves.cut_of(weighed_segments(plan.segments, row), 40)
        sources.append(pass_digest(cut.leaves, reduce, method))
    assert len(set(sources)) == 4


def test_ranges_are_told_and_what_is_wrong_before_a_row_is_made(monkeypatch, two_processes):
    ranges = weight_ranges(FRAMES, WEIGHTS, two_processes)
    own = WEIGHTS.of(FRAMES)
    kinds = np.array([k for f in FRAMES for k in kind_codes(f)])
    for kind, codes in (("force", [0]), ("stress", [1, 2]), ("energy", [3])):
        mine = own[np.isin(kinds, codes)]
        found = ranges[kind]
        assert (found.rows, found.zeros, found.lowest, found.highest) == (
            len(mine), (mine == 0).sum(), mine.min(), mine.max()
        )  # fmt: skip
        assert found.squares == pytest.approx(float(mine @ mine))
    notes = fit(settings()).solution.notes
    assert any(n.startswith("weights of rows: force 0.2 to 1.5, rms ") and "6 of them 0" in n for n in notes)
    monkeypatch.setattr("hiertl_dist.fitting.block_fit._reduce_and_solve", None)
    with pytest.raises(TaskFailed, match=r"weights\.force: \S.*: expected a finite number ≥ 0, found -"):
        fit(settings(RowWeights(force="value")))


def test_weights_that_leave_nothing_are_refused():
    with pytest.raises(InputError, match="weights of all 645 rows are 0"):
        fit(settings(RowWeights(force=0.0, energy=0.0, stress=0.0)))


def test_frozen_models_are_not_taken_off_the_label_which_is_told():
    frozen = [random_parameters(BASIS).restricted({s}) for s in ("C", "N")]
    given = settings(RowWeights(force="C(1, -1, 50)"), include_fewer=False)
    found = fit_block(FRAMES, BASIS, "CN", frozen=frozen, settings=given, executor=SERIAL)
    assert any("on the whole labels, of which frozen models are not taken off" in n for n in found.solution.notes)


def test_streamed_and_kept_rows_reduce_to_the_same_bits(tmp_path):
    plan = make_plan(FRAMES, BASIS)
    plan = replace(plan, segments=weighed_segments(plan.segments, WEIGHTS))
    store = assemble(FRAMES, BASIS, tmp_path / "store", plan=make_plan(FRAMES, BASIS)).store
    a, b = (reduce_rows(plan, ["C", "N", "CN"], store=s, executor=SERIAL) for s in (store, None))
    for one, other in ((a.weighed, b.weighed), (a.groups, b.groups)):
        assert {g: s.r.tobytes() for g, s in one.items()} == {g: s.r.tobytes() for g, s in other.items()}
