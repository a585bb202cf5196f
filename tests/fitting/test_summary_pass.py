"""`summarise`: groups hold the normal equations of their rows; stores are resumed, extended, and refused by name."""

from __future__ import annotations

import pickle
import re
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from summary_store_script import Doom, KilledError, by_digest, files
from synthetic import HAS_MPI, assemble, random_frame, random_frames, random_parameters, run_script, small_basis
from view_oracle import dense, frames_of
from view_oracle import plain_view as view
from views_script import write_report

from hiertl_dist import columns_of
from hiertl_dist.algebra import RFactor, Ridge
from hiertl_dist.dataset.folds import Folds, assign_folds
from hiertl_dist.design_matrix import planning
from hiertl_dist.errors import (
    FrameError,
    HiertlWarning,
    InnerCutoffError,
    InputError,
    LockError,
    MismatchError,
    ResourceError,
    StoreError,
)
from hiertl_dist.executors import SerialExecutor, TaskFailed
from hiertl_dist.files.store_use import use_stores
from hiertl_dist.fitting import fresh_batches, known_frames, pass_claims, summary_store
from hiertl_dist.fitting import leaves as leaf_module
from hiertl_dist.fitting.stored_summaries import StoredGroups, open_summaries, store_settings
from hiertl_dist.fitting.summary_pass import summarise
from hiertl_dist.fitting.summary_store import SummaryStore
from hiertl_dist.fitting.view_solutions import solve
from hiertl_dist.frames.element_set import ElementSet
from hiertl_dist.frames.frame_records import records_of
from hiertl_dist.frames.frame_sequence import FrameList
from hiertl_dist.frames.rows import SUMMARY_KINDS, Group, n_rows
from hiertl_dist.model.one_body import without_one_body

SERIAL = SerialExecutor()
BASIS = small_basis((4, 3, 2))
FRAMES = [
    *frames_of({"C": 6, "N": 5, "CN": 9}),
    *frames_of({"C": 2, "CN": 3}, atoms=12, group="solid", seed=1),
]
FRAMES[1] = FRAMES[1].without_labels(energy=True)
FRAMES[2] = FRAMES[2].without_labels(stress=True)
FRAMES[-1] = replace(FRAMES[-1], stress=np.where(np.arange(6) < 3, FRAMES[-1].stress, np.nan))
FOLDS = 2
C = random_parameters(BASIS, 1).restricted({"C"})
N = random_parameters(BASIS, 2).restricted({"N"})
RIDGE = Ridge(1e-2)


def group_of(row):
    """The group that a row belongs to."""
    return Group(row.source, row.kind, row.composition, row.fold, row.atoms if row.kind == "energy" else 0)


def check_groups(found, rows, offsets=()):
    """Every group has the normal equations of its rows [A | b, offsets], in the columns of its own elements.

    Offsets (rows,) are what each frozen model predicts.
    """
    groups = {}
    for i, row in enumerate(rows.labels):
        groups.setdefault(group_of(row), []).append(i)
    assert set(found.groups) == set(groups)
    for group, index in groups.items():
        elements = rows.labels[index[0]].elements
        own = [j for j, c in enumerate(rows.columns) if set(c.block) <= set(elements)]
        factor = found.groups[group]
        assert isinstance(factor, RFactor)
        assert (factor.rows, factor.n_targets) == (len(index), 1 + len(offsets))
        assert found.rows(group) == len(index)
        assert found.blocks_in(group) == tuple(b for b in found.blocks if set(b) <= set(elements))
        target = rows.above(found.energies.zeros)
        written = np.column_stack([rows.matrix[index][:, own], target[index], *(o[index] for o in offsets)])
        assert factor.r.shape == (min(written.shape), written.shape[1])
        expected = written.T @ written
        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        assert (np.abs(factor.r.T @ factor.r - expected) <= 1e-11 * scale + 1e-300).all(), group


def arrays_of(found):
    return {g: {k: np.asarray(v).tobytes() for k, v in found.groups[g].to_arrays().items()} for g in found.groups}


def predictions(found, frames=FRAMES, **options):
    """What a ridge of a view says of frames."""
    solution = solve(view(found, **options), RIDGE).parameters
    rows = dense(frames, BASIS)
    return rows.matrix @ np.array([solution.as_dict().get(c, 0.0) for c in rows.columns])


def same_fit(one, other, **options):
    a, b = predictions(one, **options), predictions(other, **options)
    assert np.linalg.norm(a - b) <= 1e-9 * np.linalg.norm(b)


class Spy:
    """Frames whose rows were made, block by block, and a failure after some of them."""

    def __init__(self, monkeypatch):
        self.rows, self.offsets, self.fail_after = [], [], None
        made, evaluated = leaf_module.rows_of, leaf_module.frozen_rows

        def rows_of(frames, recipe, *args, **more):
            if self.fail_after is not None and len(self.rows) >= self.fail_after:
                raise RuntimeError("out of power")
            self.rows += [f.origin for f in frames]
            return made(frames, recipe, *args, **more)

        def frozen_rows(frames, *args):
            self.offsets += [f.origin for f in frames]
            return evaluated(frames, *args)

        monkeypatch.setattr(leaf_module, "rows_of", rows_of)
        monkeypatch.setattr(leaf_module, "frozen_rows", frozen_rows)

    def forget(self):
        self.rows, self.offsets = [], []


@pytest.fixture
def spy(monkeypatch):
    return Spy(monkeypatch)


@pytest.fixture(params=["large", "small"])
def leaves(request, monkeypatch):
    """Leaves as they are, and so small that there is a tree of them."""
    if request.param == "small":
        monkeypatch.setattr(planning, "SEGMENT_ROWS", 1)
        monkeypatch.setattr(leaf_module, "LEAF_ROWS", 1)


# ------------------------------------------------------------------------------------------- in memory


@pytest.mark.parametrize("frozen", [(), (C,), (C, N)], ids=["free", "C frozen", "C and N frozen"])
def test_groups_hold_the_normal_equations_of_their_rows(leaves, frozen):
    found = summarise(FRAMES, BASIS, folds=FOLDS, frozen=frozen, executor=SERIAL)
    held = {m.basis.types[0].block for m in frozen}
    blocks = tuple(b for b in ("C", "N", "CN") if b not in held)
    assert (found.blocks, found.frozen, found.folds) == (blocks, frozen, Folds(FOLDS))
    assert found.columns == columns_of(BASIS, blocks)
    used = [f for f in FRAMES if any(set(b) <= f.elements for b in blocks)]
    rows = dense(used, BASIS, blocks, folds=FOLDS)
    # energies of free atoms are not among what frozen models predict: they are taken off the labels beforehand
    shapes = without_one_body(frozen)
    check_groups(found, rows, [rows.target - dense(used, BASIS, blocks, frozen=[m]).target for m in shapes])


def test_only_the_blocks_that_are_asked_for(leaves):
    found = summarise(FRAMES, BASIS, blocks=["NC", "N"], folds=FOLDS, executor=SERIAL)
    assert found.blocks == ("N", "CN")
    used = [f for f in FRAMES if "N" in f.elements]
    check_groups(found, dense(used, BASIS, ["N", "CN"], folds=FOLDS))


def test_without_folds_all_is_in_one(leaves):
    found = summarise(FRAMES, BASIS, folds=None, executor=SERIAL)
    assert found.folds is None
    assert {g.fold for g in found.groups} == {-1}
    check_groups(found, dense(FRAMES, BASIS))


def test_folds_are_those_of_assign_folds():
    folds = Folds(2, split="group", stratify=False)
    sources = [replace(f, group=f"run {i % 5}") for i, f in enumerate(FRAMES)]
    found = summarise(sources, BASIS, folds=folds, executor=SERIAL)
    shares = dict(zip((f.group for f in sources), assign_folds(sources, folds), strict=True))
    assert {(g.source, g.fold) for g in found.groups} == set(shares.items())


def test_frames_without_labels_are_left_alone():
    bare = [random_frame(tuple("CN"), (7, i)).without_labels(energy=True, forces=True, stress=True) for i in range(2)]
    with_bare = summarise([bare[0], *FRAMES, bare[1]], BASIS, folds=FOLDS, executor=SERIAL)
    assert arrays_of(with_bare) == arrays_of(summarise(FRAMES, BASIS, folds=FOLDS, executor=SERIAL))


def test_rows_from_a_design_store_give_the_same_bits(spy, tmp_path):
    streamed = summarise(FRAMES, BASIS, folds=FOLDS, frozen=[C], executor=SERIAL)
    spy.forget()
    with pytest.warns(HiertlWarning, match="store= is now the design store"):
        kept = summarise(FRAMES, BASIS, folds=FOLDS, frozen=[C], executor=SERIAL, store=tmp_path / "rows")
    assert arrays_of(kept) == arrays_of(streamed)
    assert spy.rows == spy.offsets == []
    assert assemble(FRAMES, BASIS, tmp_path / "rows", blocks=["N", "CN"], frozen=[C]).computed == 0


def test_the_policy_for_pairs_inside_an_inner_cutoff():
    basis = small_basis((4, 3, 2), rmin=1.3)
    frames = [random_frame(tuple("CN"), (3, i), 8) for i in range(8)]
    frames = [f for f in frames if dense([f], basis, policy="skip_frame").frames] + frames[:1]
    frames = list({f.digest: f for f in frames}.values())
    close = [random_frame(tuple("CN"), (4, i), 12) for i in range(6)]
    kept = dense([*frames, *close], basis, policy="skip_frame").frames
    assert 0 < len(kept) < len(frames) + len(close)
    with pytest.raises(InnerCutoffError):
        summarise([*frames, *close], basis, folds=2, executor=SERIAL)
    found = summarise([*frames, *close], basis, folds=None, policy="skip_frame", executor=SERIAL)
    assert sum(found.rows(g) for g in found.groups) == sum(map(n_rows, kept))
    lsq = summarise([*frames, *close], basis, folds=None, policy="lsq", executor=SERIAL)
    assert "inside an inner cutoff, policy lsq" in lsq.notes[0]
    rows = dense([*frames, *close], basis, policy="lsq")
    for group in lsq.groups:
        mine = np.array([group_of(row) == group for row in rows.labels])
        norms = lsq.groups[group].column_norms()
        np.testing.assert_allclose(norms, np.linalg.norm(rows.matrix[mine], axis=0), rtol=1e-10, atol=1e-14)


def test_frames_that_the_policy_leaves_out_are_said(tmp_path):
    """Nothing is skipped in silence, now or by who opens the store."""
    basis = small_basis((4, 3, 2), rmin=1.3)
    frames = [random_frame(tuple("CN"), (4, i), 12) for i in range(6)]
    kept = [f.origin for f in dense(frames, basis, policy="skip_frame").frames]
    gone = [f.origin for f in frames if f.origin not in kept]
    assert kept
    assert gone
    for summaries in (None, tmp_path / "store"):
        found = summarise(frames, basis, folds=None, policy="skip_frame", summaries=summaries, executor=SERIAL)
        text = " ".join(found.notes)
        assert f"{len(gone)} frames left out by the policy" in text
        assert gone[0] in text
    again = summarise(frames, basis, folds=None, policy="skip_frame", summaries=tmp_path / "store", executor=SERIAL)
    assert again.notes == found.notes
    bare = random_frame(tuple("CN"), 9).without_labels(energy=True, forces=True, stress=True)
    found = summarise([*FRAMES, bare], BASIS, folds=None, executor=SERIAL)
    assert found.notes == (f"1 frame without a label: {bare.origin}",)


ERRORS = {
    "no such block": ({"blocks": ["CH"]}, KeyError, "no block 'CH'"),
    "one fold": ({"folds": 1}, InputError, "folds.count: expected an integer of at least 2, found 1"),
    "more folds than frames": ({"folds": 90}, InputError, "folds.count: expected at least 90 frames .*, found 25"),
    "frozen is free": ({"blocks": ["C", "CN"], "frozen": [C]}, MismatchError, "which is being fitted"),
    "memory": ({"memory": 1000}, ResourceError, "memory"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_what_can_not_be_done_is_named(case):
    options, kind, message = ERRORS[case]
    with pytest.raises(kind, match=message):
        summarise(FRAMES, BASIS, executor=SERIAL, **options)


def test_frames_that_can_not_be_used():
    with pytest.raises(InputError, match="no frame with labels has all elements of one of the blocks N, CN"):
        summarise(frames_of({"C": 3}), BASIS, blocks=["N", "CN"], folds=None, executor=SERIAL)
    bare = [f.without_labels(energy=True, forces=True, stress=True) for f in FRAMES]
    with pytest.raises(InputError, match="no frame with labels"):
        summarise(bare, BASIS, folds=None, executor=SERIAL)
    with pytest.raises(FrameError, match="CH"):
        summarise([*FRAMES, replace(random_frame("CH", 0), origin="CH")], BASIS, executor=SERIAL)


def test_frames_that_are_there_again_count_once_and_are_told():
    twice = [*FRAMES, replace(FRAMES[3], origin="a copy")]
    once, again = (summarise(f, BASIS, folds=FOLDS, executor=SERIAL) for f in (FRAMES, twice))
    assert [n for n in again.notes if n not in once.notes] == [
        f"1 frame of {len(twice)} is an earlier one, with the same labels and group, and each counts once here, as it "
        f"is known by its content (a fit counts it each time): a copy is {FRAMES[3].origin}"
    ]
    assert list(once.groups) == list(again.groups)
    for group, factor in once.groups.items():
        assert again.rows(group) == once.rows(group)
        np.testing.assert_array_equal(again.groups[group].r, factor.r)


# ------------------------------------------------------------------------------------------ in a store


def test_a_store_gives_back_what_was_reduced(tmp_path, spy):
    memory = summarise(FRAMES, BASIS, folds=FOLDS, frozen=[C], executor=SERIAL)
    stored = summarise(FRAMES, BASIS, folds=FOLDS, frozen=[C], executor=SERIAL, summaries=tmp_path / "s")
    opened = open_summaries(tmp_path / "s")
    for found in (stored, opened, pickle.loads(pickle.dumps(opened))):
        assert arrays_of(found) == arrays_of(memory)
        assert (found.basis, found.blocks, found.folds, found.notes) == (BASIS, ("N", "CN"), Folds(FOLDS), memory.notes)
        assert [f.digest for f in found.frozen] == [C.digest]
        assert [f.source for f in found.frozen] == [C.source]
        assert {s: dict(r) for s, r in found.ranges.items()} == {s: dict(r) for s, r in memory.ranges.items()}
        assert isinstance(found.groups, StoredGroups)
        same_fit(found, memory)
    spy.forget()
    summarise(FRAMES, BASIS, folds=FOLDS, frozen=[C], executor=SERIAL, summaries=tmp_path / "s")
    assert spy.rows == spy.offsets == []


def test_fewer_frames_are_no_reason_to_compute(tmp_path, spy):
    """A store is asked for what it lacks; what else it has stays."""
    summarise(FRAMES, BASIS, folds=FOLDS, executor=SERIAL, summaries=tmp_path)
    spy.forget()
    with pytest.warns(HiertlWarning, match=r"20 frames of the summary store were not given .* fitted with the others"):
        found = summarise(FRAMES[:5], BASIS, folds=FOLDS, executor=SERIAL, summaries=tmp_path)
    assert spy.rows == []
    (note,) = [n for n in found.notes if "were not given" in n]
    assert note in solve(view(found, blocks=["C"]), {"kind": "ridge", "alpha": 0.1}).notes
    check_groups(found, dense(FRAMES, BASIS, folds=FOLDS))


@pytest.mark.parametrize("frozen", [(), (C,)], ids=["free", "frozen"])
def test_appended_frames_equal_a_pass_over_all(tmp_path, spy, frozen):
    first = FRAMES[::2]
    summarise(first, BASIS, folds=FOLDS, frozen=frozen, executor=SERIAL, summaries=tmp_path)
    files = {p.name: p.read_bytes() for p in tmp_path.glob("*.f64")}
    spy.forget()
    found = summarise(FRAMES, BASIS, folds=FOLDS, frozen=frozen, executor=SERIAL, summaries=tmp_path)
    used = [f.origin for f in FRAMES[1::2] if not frozen or "N" in f.elements]
    assert set(spy.rows) == set(used)
    assert set(spy.offsets) == (set(used) if frozen else set())
    # nothing that was there is touched
    assert all((tmp_path / name).read_bytes() == content for name, content in files.items())
    # the folds of the first half stay, so that the fold of each frame is that of the store
    records = by_digest(SummaryStore.open(tmp_path))
    held = dict(zip((f.digest for f in first), assign_folds(first, Folds(FOLDS)), strict=True))
    if not frozen:
        assert all(records[d].fold == fold for d, fold in held.items())
    whole = dense(FRAMES, BASIS, folds=None)
    rows = {(r.source, r.kind, r.composition) for r in whole.labels if not frozen or "N" in r.elements}
    assert {(g.source, g.kind, g.composition) for g in found.groups} == rows
    fresh = summarise(FRAMES, BASIS, folds=FOLDS, frozen=frozen, executor=SERIAL)
    same_fit(found, fresh)
    same_fit(found, fresh, blocks=["N"])
    fold = [f for f in FRAMES if f.digest in records and records[f.digest].fold == 0]
    alone = summarise(fold, BASIS, folds=None, frozen=frozen, executor=SERIAL)
    a, b = predictions(found, folds=[0]), predictions(alone)
    assert np.linalg.norm(a - b) <= 1e-9 * np.linalg.norm(b)


@pytest.mark.filterwarnings("ignore:.*of the summary store were not given")
def test_frames_of_a_known_group_follow_it(tmp_path):
    folds = Folds(2, split="group")
    sources = [replace(f, group=f"run {i % 6}") for i, f in enumerate(FRAMES)]
    summarise(sources[:12], BASIS, folds=folds, executor=SERIAL, summaries=tmp_path)
    summarise(sources[12:], BASIS, folds=folds, executor=SERIAL, summaries=tmp_path)
    records = by_digest(SummaryStore.open(tmp_path)).values()
    assert len(records) == len(FRAMES)
    assert len({(r.group, r.fold) for r in records}) == 6


def test_added_columns_equal_a_pass_with_all(tmp_path, spy):
    summarise(FRAMES, BASIS, blocks=["N", "CN"], folds=FOLDS, executor=SERIAL, summaries=tmp_path)
    before = {b.elements: b.id for b in SummaryStore.open(tmp_path).batches()}
    shares = {d: r.fold for d, r in by_digest(SummaryStore.open(tmp_path)).items()}
    spy.forget()
    found = summarise(FRAMES, BASIS, blocks=["C"], folds=FOLDS, executor=SERIAL, summaries=tmp_path)
    assert found.blocks == ("C", "N", "CN")
    # frames of N alone have none of the new columns
    assert set(spy.rows) == {f.origin for f in FRAMES if "C" in f.elements}
    after = {b.elements: b.id for b in SummaryStore.open(tmp_path).batches()}
    assert before["N"] == after["N"]
    assert before["CN"] != after["CN"]
    records = by_digest(SummaryStore.open(tmp_path))
    assert set(records) == {f.digest for f in FRAMES}
    assert all(records[d].fold == fold for d, fold in shares.items())
    fresh = summarise(FRAMES, BASIS, folds=None, executor=SERIAL)
    for options in ({}, {"blocks": ["C", "N"]}, {"frozen": [C]}, {"blocks": ["CN"]}):
        same_fit(found, fresh, **options)


def test_added_columns_need_the_rows_of_frames_that_have_them(tmp_path):
    summarise(FRAMES, BASIS, blocks=["N", "CN"], folds=FOLDS, executor=SERIAL, summaries=tmp_path)
    lacking = [f for f in FRAMES if f.origin != FRAMES[-1].origin]
    with pytest.raises(StoreError, match=r"blocks C are new for frames of CN: .* of which 1 were not given: CN \(1,"):
        summarise(lacking, BASIS, folds=FOLDS, executor=SERIAL, summaries=tmp_path)
    # and the store is what it was
    found = open_summaries(tmp_path)
    assert found.blocks == ("N", "CN")
    same_fit(found, summarise(FRAMES, BASIS, blocks=["N", "CN"], folds=FOLDS, executor=SERIAL))


OTHERS = {
    "folds": ({"folds": 3}, "folds"),
    "no folds": ({"folds": None}, "folds"),
    "split": ({"folds": Folds(FOLDS, split="group")}, "split"),
    "policy": ({"policy": "lsq"}, "policy"),
    "frozen": ({"frozen": [N], "blocks": ["C", "CN"]}, "frozen"),
    "another frozen": ({"frozen": [random_parameters(BASIS, 9).restricted({"C"})]}, "frozen"),
    "not frozen": ({"frozen": []}, "frozen"),
    "orders": ({"basis": small_basis((3, 3, 2))}, "CN"),
    "a cutoff": ({"basis": small_basis((4, 3, 2), four_body={"rmax": 4.3})}, "CN"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_store_of_something_else_is_refused(tmp_path, case):
    options, named = OTHERS[case]
    given = {"basis": BASIS, "folds": FOLDS, "frozen": [C], "executor": SERIAL, "summaries": tmp_path}
    kept = summarise(FRAMES, **given)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(StoreError, match=f"(?s){named}.* in the store, .* now"):
        summarise(FRAMES, **(given | options))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    assert arrays_of(open_summaries(tmp_path)) == arrays_of(kept)


def test_both_values_are_named(tmp_path):
    summarise(FRAMES, BASIS, folds=FOLDS, executor=SERIAL, summaries=tmp_path)
    with pytest.raises(StoreError, match=r"folds\.count: 2 in the store, 3 now"):
        summarise(FRAMES, BASIS, folds=3, executor=SERIAL, summaries=tmp_path)
    with pytest.raises(StoreError, match='policy: "refuse" in the store, "lsq" now'):
        summarise(FRAMES, BASIS, folds=FOLDS, policy="lsq", executor=SERIAL, summaries=tmp_path)


def test_a_basis_that_lacks_a_block_of_the_store(tmp_path):
    summarise(FRAMES, BASIS, folds=FOLDS, executor=SERIAL, summaries=tmp_path)
    lower = BASIS.with_types(t for t in BASIS.types if t.block != "N")
    with pytest.raises(StoreError, match="the store has the blocks N, which this basis lacks"):
        summarise(FRAMES, lower, folds=FOLDS, executor=SERIAL, summaries=tmp_path)


def test_an_interrupted_pass_leaves_nothing_half_done(tmp_path, spy):
    spy.fail_after = 3
    with pytest.raises(TaskFailed, match="out of power"):
        summarise(FRAMES, BASIS, folds=FOLDS, executor=SERIAL, summaries=tmp_path)
    assert SummaryStore.open(tmp_path).batches() == ()
    spy.fail_after = None
    found = summarise(FRAMES, BASIS, folds=FOLDS, executor=SERIAL, summaries=tmp_path)
    check_groups(found, dense(FRAMES, BASIS, folds=FOLDS))


def test_a_store_half_extended_says_so_and_is_mended(tmp_path):
    """The store has blocks that a batch lacks: never are factors without them taken for factors with them."""
    given = {"folds": FOLDS, "executor": SERIAL, "summaries": tmp_path}
    summarise(FRAMES, BASIS, blocks=["CN"], **given)
    SummaryStore.create(
        tmp_path, store_settings(BASIS, list(map(ElementSet.parse, ("C", "N", "CN"))), Folds(FOLDS), (), "refuse")
    )
    with pytest.raises(StoreError, match=r"frames of CN lack the columns of blocks C, N: the pass .* did not end"):
        open_summaries(tmp_path)
    same_fit(summarise(FRAMES, BASIS, **given), summarise(FRAMES, BASIS, folds=FOLDS, executor=SERIAL))


SMALL = small_basis((3, 2, 0))


def test_batches_that_are_reduced_again_have_the_zeros_of_energies_that_they_had(tmp_path):
    """Zeros are of all frames: those reduced now would tell others, for mixtures have an energy of their own."""

    def labelled(frame):
        counts = frame.species.count("C"), frame.species.count("N")
        return replace(frame, energy=-100.0 * counts[0] - 200.0 * counts[1] - 40.0 * len(frame) * (0 not in counts))

    frames = [labelled(f) for f in frames_of({"C": 3, "N": 3, "CN": 4})]
    given = {"folds": Folds(2, seed=3), "executor": SERIAL, "summaries": tmp_path}

    def zeros():
        summarise(frames, SMALL, blocks=["C", "N", "CN"], **given)
        return {b.elements: b.info["zeros"] for b in SummaryStore.open(tmp_path).batches()}

    before = zeros()
    for dropped in (["N", "CN"], ["C", "CN"], ["CN"]):
        store = SummaryStore.open(tmp_path)
        for batch in store.batches():
            if batch.elements in dropped:
                store.drop(batch.id)
        assert zeros() == before


@pytest.mark.parametrize("what", ["first", "frames", "columns"])
def test_a_kill_at_any_step_leaves_nothing_of_a_pass_or_all_of_it(tmp_path, what):
    """A pass over three element sets, done again, has the folds and the bits of one that was never interrupted."""
    given = {"folds": Folds(2, seed=3), "executor": SERIAL}
    some = frames_of({"C": 3, "N": 3, "CN": 4})
    blocks = ["C", "N", "CN"]

    def do(folder):
        summarise(some, SMALL, blocks=blocks, summaries=folder, **given)

    start, whole = tmp_path / "start", tmp_path / "whole"
    if what != "first":
        before = {"frames": (some[::3], blocks), "columns": (some, ["N"])}[what]
        summarise(before[0], SMALL, blocks=before[1], summaries=start, **given)
        shutil.copytree(start, whole)
    do(whole)
    expected = files(whole)
    assert len(SummaryStore.open(whole).batches()) >= {"first": 3, "frames": 6, "columns": 3}[what]
    everything = [b.id for b in SummaryStore.open(whole).batches()]
    nothing = [] if what == "first" else [b.id for b in SummaryStore.open(start).batches()]
    seen, finished, last = [], False, 0
    while not finished:
        folder = tmp_path / f"killed-{last}"
        if what != "first":
            shutil.copytree(start, folder)
        with pytest.MonkeyPatch.context() as patch:
            Doom(patch, last)
            with suppress(KilledError):
                do(folder)
                finished = True
        if (folder / "index.json").exists():
            store = SummaryStore.open(folder)
            store.verify()
            index = (folder / "index.json").read_bytes()
            seen.append(index == expected["index.json"])
            if not seen[-1]:
                # the copy of the index, which is written first, may have all of it already
                assert [b.id for b in store.batches()] in (nothing, everything)
                assert what == "first" or index == (start / "index.json").read_bytes()
        do(folder)
        # superseded files may stay where the kill was after the write of the index; a writer removes them
        SummaryStore.open(folder).add_all([])
        assert files(folder) == expected
        last += 1 if what == "first" else 2  # most of the steps are those of a first pass
    assert seen == sorted(seen)
    assert len(set(seen)) == 2
    assert last >= {"first": 24, "frames": 22, "columns": 18}[what]


@pytest.mark.parametrize("split", ["group", "frame"])
@pytest.mark.filterwarnings("ignore:.*of the summary store were not given")
def test_of_two_passes_at_once_the_later_does_not_contradict(tmp_path, monkeypatch, split):
    """Each chooses a fold before the other has written: for one trajectory, or for one configuration in two."""
    one, two, *others = frames_of({"C": 16}, seed=5)
    others = [replace(f, group=f"run {(i > 5) + (i > 9)}") for i, f in enumerate(others)]
    one = replace(one, group="late")
    two = replace(two, group="late") if split == "group" else replace(one, group="later", energy=1.5)

    def chosen(folds):
        """The folds that the two passes choose."""
        known = [records_of(FrameList(others[:10]), assign_folds(others[:10], folds))]
        return [assign_folds([*others[:10], *new], folds, known)[-1] for new in ([one], [*others[10:], two])]

    folds = next(f for f in (Folds(2, split, seed) for seed in range(30)) if len(set(chosen(f))) == 2)
    given = {"basis": SMALL, "folds": folds, "executor": SERIAL, "summaries": tmp_path}
    summarise(others[:10], **given)
    original, after = fresh_batches.RowsOfPass.reduced, []

    def overtaken(*args):
        if not after:
            after.append(None)
            summarise([*others[10:], two], **given)
            after[0] = files(tmp_path)
        return original(*args)

    monkeypatch.setattr(fresh_batches.RowsOfPass, "reduced", overtaken)
    what = "group 'late'" if split == "group" else f"one configuration, {one.configuration[:12]},"
    with pytest.raises(StoreError, match=re.escape(f"expected frames of {what} in one fold, found ")) as caught:
        summarise([one], **given)
    for said in (f"{one.origin} of group 'late' in fold", f"{two.origin} of group '{two.group}' in fold", "again"):
        assert said in str(caught.value)
    assert files(tmp_path) == after[0]
    summarise([one], **given)
    records = by_digest(SummaryStore.open(tmp_path))
    assert records[one.digest].fold == records[two.digest].fold
    SummaryStore.open(tmp_path).verify()


@pytest.mark.parametrize("split", ["group", "frame", "system"])
@pytest.mark.parametrize("relabelled", [False, True])
@pytest.mark.filterwarnings("ignore:.*of the summary store were not given")
def test_a_configuration_of_two_sources_is_in_one_fold(tmp_path, split, relabelled):
    """In one pass, and when the second source is appended alone."""
    sources = [replace(f, group=f"run {i % 5}") for i, f in enumerate(frames_of({"C": 5, "N": 4, "CN": 7}))]
    copies = [replace(f, group=f"{f.group} again", energy=2.5 if relabelled else f.energy) for f in sources]
    folds = Folds(2, split)
    summarise([*sources, *copies], SMALL, folds=folds, executor=SERIAL, summaries=tmp_path / "one")
    summarise(sources, SMALL, folds=folds, executor=SERIAL, summaries=tmp_path / "two")
    summarise(copies, SMALL, folds=folds, executor=SERIAL, summaries=tmp_path / "two")
    for name in ("one", "two"):
        records = by_digest(SummaryStore.open(tmp_path / name))
        assert {r.fold for r in records.values()} == {0, 1}
        for a, b in zip(sources, copies, strict=True):
            assert records[a.digest].fold == records[b.digest].fold
            assert records[a.digest].configuration == a.configuration == records[b.digest].configuration


# which of them is named first depends on the order of batches: on last digits of rows, which machines differ in
@pytest.mark.parametrize(
    ("split", "named"), [("group", "group 'run .'"), ("system", r"system '([CN] \(run .\)|C50N50)'")]
)
def test_a_store_whose_folds_contradict_is_not_extended(tmp_path, monkeypatch, split, named):
    sources = [replace(f, group=f"run {i % 4}") for i, f in enumerate(FRAMES)]
    given = {"basis": SMALL, "folds": Folds(2, split), "executor": SERIAL, "summaries": tmp_path}
    with monkeypatch.context() as patch:
        patch.setattr(known_frames, "assign_folds", lambda frames, *_: np.arange(len(frames)) // 4 % 2)
        patch.setattr(summary_store, "require_sound", lambda *_: None)
        summarise(sources[:-1], **given)
    with pytest.raises(StoreError, match=f"the store: expected frames of {named} in one fold"):
        summarise(sources, **given)


@pytest.mark.parametrize("what", ["frames", "columns"])
def test_an_interrupted_extension_leaves_a_store_that_works(tmp_path, spy, what):
    """The store is what it was before the pass that failed, and is extended by the next."""
    blocks = ["N", "CN"]
    first = FRAMES[::2] if what == "frames" else FRAMES
    before = summarise(first, BASIS, blocks=blocks, folds=FOLDS, executor=SERIAL, summaries=tmp_path)
    expected, groups = predictions(before, blocks=["CN"]), arrays_of(before)
    more = {"blocks": blocks if what == "frames" else ["C", "N", "CN"], "folds": FOLDS, "executor": SERIAL}
    spy.fail_after = len(spy.rows) + 1
    with pytest.raises(TaskFailed, match="out of power"):
        summarise(FRAMES, BASIS, summaries=tmp_path, **more)
    spy.fail_after = None
    opened = open_summaries(tmp_path)
    assert opened.blocks == ("N", "CN")
    assert arrays_of(opened) == groups
    np.testing.assert_array_equal(predictions(opened, blocks=["CN"]), expected)
    same_fit(summarise(FRAMES, BASIS, summaries=tmp_path, **more), summarise(FRAMES, BASIS, **more))


def test_a_mistake_leaves_no_trace_in_the_store(tmp_path):
    """What is refused before a row is made does not change what the store says of itself."""
    summarise(FRAMES, BASIS, blocks=["N", "CN"], folds=FOLDS, executor=SERIAL, summaries=tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(ResourceError):
        summarise(FRAMES, BASIS, folds=FOLDS, executor=SERIAL, summaries=tmp_path, memory=1000)
    with pytest.raises(FrameError):
        summarise([*FRAMES, random_frame("CH", 0)], BASIS, folds=FOLDS, executor=SERIAL, summaries=tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_frames_that_the_policy_skips_may_be_given_again(tmp_path, spy):
    basis = small_basis((4, 3, 2), rmin=1.3)
    frames = [random_frame(tuple("CN"), (4, i), 12) for i in range(6)]
    given = {"folds": None, "policy": "skip_frame", "executor": SERIAL, "summaries": tmp_path}
    found = arrays_of(summarise(frames, basis, **given))
    spy.forget()
    assert arrays_of(summarise(frames, basis, **given)) == found
    assert spy.rows == []


def test_no_frames_at_all_open_what_is_there(tmp_path):
    kept = summarise(FRAMES, BASIS, folds=FOLDS, executor=SERIAL, summaries=tmp_path)
    assert arrays_of(summarise([], BASIS, folds=FOLDS, executor=SERIAL, summaries=tmp_path)) == arrays_of(kept)
    with pytest.raises(StoreError, match="expected a summary store"):
        open_summaries(tmp_path / "nowhere")


def test_kinds_of_rows_have_groups_of_their_own():
    found = summarise(FRAMES, BASIS, folds=FOLDS, executor=SERIAL)
    assert {g.kind for g in found.groups} == set(SUMMARY_KINDS)
    assert all((g.atoms > 0) == (g.kind == "energy") for g in found.groups)
    assert any(g.kind == "stress_diagonal" and g.source == "solid" for g in found.groups)


# ------------------------------------------------------------------------------------------- executors


def digests(name, folder):
    """What every calling process says of summaries, a view's solution and cross-validation."""
    return [p.read_text() for p in sorted((folder / name).iterdir())]


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    write_report(folder, "serial", SERIAL)
    (found,) = digests("serial", folder)
    leaves, *_ = found.split()
    assert int(leaves) >= 5
    return folder, found


def test_processes_give_the_same_bits(serial, two_processes):
    folder, expected = serial
    write_report(folder, "processes", two_processes)
    assert digests("processes", folder) == [expected]


@pytest.mark.mpi
@pytest.mark.skipif(not HAS_MPI, reason="mpi4py and an mpiexec are not both here")
def test_mpirun_gives_the_same_bits(serial):
    folder, expected = serial
    run_script("views_script.py", folder, "mpi", ranks=2)
    assert digests("mpi", folder) == [expected] * 2


def test_another_order_of_elements_is_refused(tmp_path):
    """Blocks, and so columns, stand in the order of the elements."""
    one, other = (small_basis((3, 2, 0), elements=e) for e in (("C", "N"), ("N", "C")))
    frames = random_frames({"C": 4, "N": 4})
    summarise(frames, one, blocks=["C", "N"], folds=2, summaries=tmp_path / "s", executor=SERIAL)
    more = random_frames({"C": 2, "N": 2}, seed=5)
    with pytest.raises(StoreError, match=r"elements in the order \['C', 'N'\], this basis in the order \['N', 'C'\]"):
        summarise(more, other, blocks=["C", "N"], folds=2, summaries=tmp_path / "s", executor=SERIAL)


def test_frames_with_other_labels_are_not_fitted_beside_the_old_ones(tmp_path):
    given = {"folds": FOLDS, "executor": SERIAL, "summaries": tmp_path}
    labelled = [f for f in FRAMES if f.forces is not None]
    summarise(labelled, BASIS, **given)
    before = files(tmp_path)
    corrected = [replace(f, forces=f.forces + 1.0) for f in labelled]
    with pytest.raises(
        StoreError, match=rf"{len(labelled)} frames would be fitted twice, .* with other labels: .*name an"
    ):
        summarise(corrected, BASIS, **given)
    with pytest.raises(StoreError, match="1 frame would be fitted twice"):
        summarise([*labelled[1:], corrected[0]], BASIS, **given)
    assert files(tmp_path) == before


def test_of_two_runs_with_the_same_pass_the_second_waits(tmp_path, spy, monkeypatch):
    monkeypatch.setattr(pass_claims, "POLL", 0.01)
    reduce, threads, second = fresh_batches.reduce_segments, [], []

    def begin_another(*args, **options):
        if not threads:
            with use_stores(in_use="refuse"), pytest.raises(LockError, match=r"the same pass .* is made by process"):
                summarise(FRAMES, BASIS, folds=FOLDS, summaries=tmp_path / "s", executor=SERIAL)
            run = partial(summarise, FRAMES, BASIS, folds=FOLDS, summaries=tmp_path / "s", executor=SerialExecutor())
            threads.append(threading.Thread(target=lambda: second.append(run())))
            threads[0].start()
            time.sleep(0.1)
        passes.append(None)
        return reduce(*args, **options)

    passes = []
    monkeypatch.setattr(fresh_batches, "reduce_segments", begin_another)
    first = summarise(FRAMES, BASIS, folds=FOLDS, summaries=tmp_path / "s", executor=SERIAL)
    threads[0].join(30)
    assert len(passes) == 1
    assert {g: f.r.tobytes() for g, f in second[0].groups.items()} == {
        g: f.r.tobytes() for g, f in first.groups.items()
    }
    before = {p: p.stat().st_mtime_ns for p in [tmp_path / "s", *(tmp_path / "s").rglob("*")]}
    summarise(FRAMES, BASIS, folds=FOLDS, summaries=tmp_path / "s", executor=SERIAL)
    after = {p: p.stat().st_mtime_ns for p in [tmp_path / "s", *(tmp_path / "s").rglob("*")]}
    assert after == before, "a complete store is only read"
