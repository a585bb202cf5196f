"""The summary store: damage is found, settings agree, a kill leaves the old store or the new one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from summary_store_script import (
    BATCHES_A_WRITER,
    ENERGY,
    FORCE,
    KILLS,
    SETTINGS,
    Doom,
    KilledError,
    batch,
    changed,
    files,
    flip,
    in_format_1,
    recorded,
    told_in,
    told_of,
)

from hiertl_dist.errors import StoreError
from hiertl_dist.fitting import stored_frames, summary_store
from hiertl_dist.fitting.batch_files import batches_of
from hiertl_dist.fitting.summary_store import FORMAT, NewBatch, SummaryStore
from hiertl_dist.frames.frame_records import RECORD

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path):
    return SummaryStore.create(tmp_path / "summaries", SETTINGS)


# ---- damage


def test_a_flipped_byte_anywhere_in_the_numbers_is_found(store):
    made = store.add(*batch(1))
    path = store.path / f"{made.id}.f64"
    for where in range(0, path.stat().st_size, 3):
        flip(path, where)
        damaged, intact = (FORCE, ENERGY) if where >= 8 * made.entries[FORCE].offset else (ENERGY, FORCE)
        assert made.entries[ENERGY].offset == 0
        text = rf"{made.id}\.f64, group {damaged.name}.*: expected CRC32C [0-9a-f]{{8}}, found [0-9a-f]{{8}}"
        with pytest.raises(StoreError, match=text):
            store.read(made.id, damaged)
        with pytest.raises(StoreError, match=text):
            store.verify()
        store.read(made.id, intact)
        flip(path, where)
    store.verify()


@pytest.mark.parametrize("name", ["index", "batch"])
def test_a_flipped_byte_in_a_table_is_found(store, name):
    made = store.add(*batch(1))
    path = store.path / f"{made.id if name == 'batch' else name}.json"
    for where in range(0, path.stat().st_size, 3):
        flip(path, where)
        batches_of.cache_clear()
        with pytest.raises(StoreError, match=r"cannot be read|expected"):
            store.verify()
        with pytest.raises(StoreError, match=r"cannot be read|expected"):
            store.batches()
        flip(path, where)
    assert store.batches() == (made,)


def test_a_damaged_table_that_was_read_before_is_found_by_verify(store):
    made = store.add(*batch(1))
    assert store.batches() == (made,)
    flip(store.path / f"{made.id}.json", 12)
    with pytest.raises(StoreError, match=r"\.json"):
        store.verify()


@pytest.mark.parametrize("suffix", ["json", "f64", "frames"])
def test_a_lost_file_is_named(store, suffix):
    made = store.add(*batch(1))
    (store.path / f"{made.id}.{suffix}").unlink()
    batches_of.cache_clear()
    others = {"frames": [store.frames]}.get(suffix, [lambda: store.read(made.id, FORCE)])
    for question in (store.verify, *others):
        with pytest.raises(StoreError, match=rf"{made.id}\.{suffix}"):
            question()


def test_a_file_that_was_cut_or_grew_is_found(store):
    made = store.add(*batch(1))
    path = store.path / f"{made.id}.f64"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(StoreError, match=r"group dft/force/C, fold 0: expected 160 bytes, found 159"):
        store.read(made.id, FORCE)
    for content in (whole[:-8], whole + b"12345678"):
        path.write_bytes(content)
        with pytest.raises(StoreError, match=rf"expected {len(whole)} bytes, found {len(content)}"):
            store.verify()


def test_a_flipped_byte_in_the_records_of_frames_is_found(store, monkeypatch):
    """The block is named, and nothing of it is used."""
    monkeypatch.setattr(stored_frames, "PART", 3)
    made = store.add(*batch(1, frames=8))
    path = store.path / f"{made.id}.frames"
    assert len(made.frames.sha256) == 3
    for where in range(0, path.stat().st_size, 41):
        flip(path, where)
        first = where // RECORD.itemsize // 3 * 3
        text = rf"{made.id}\.frames, frames {first} to {min(first + 2, 7)}: expected SHA-256 .*store repair"
        for question in (store.verify, store.frames, lambda: store.add(*batch(2))):
            with pytest.raises(StoreError, match=text):
                question()
        flip(path, where)
    whole = path.read_bytes()
    for content in (whole[:-1], whole + b"1"):
        path.write_bytes(content)
        with pytest.raises(
            StoreError, match=rf"\.frames: expected {len(whole)} bytes, found {len(content)}; .*store repair"
        ):
            store.verify()
    path.write_bytes(whole)
    store.verify()


# ---- stores of before


def test_a_store_of_format_1_is_read_and_grows(store):
    """Its batches stay as they are; what is new is of the new format, and so is the store."""
    told = [*told_in(1), *told_in(2, frames=5)]
    for number, frames in ((1, 2), (2, 5)):
        store.add(*batch(number, frames=frames))
    in_format_1(store.path)
    before = files(store.path)
    assert not any(name.endswith(".frames") for name in before)
    assert sorted(told_of(store.frames())) == sorted(told)
    store.verify()
    SummaryStore.create(store.path, SETTINGS)
    assert files(store.path) == before, "who looks changes nothing"
    with pytest.raises(StoreError, match=r"frame run1\.xyz:0 .* is in batch"):
        store.add(*batch(1, columns=6))
    old = {b.tiles[0]: b for b in store.batches()}
    store.add(*batch(3))
    after = files(store.path)
    assert json.loads(after["index.json"])["hiertl_dist_summaries"] == FORMAT
    assert {name for name in before if before[name] != after[name]} == {"index.json"}
    with pytest.raises(StoreError, match=r"its frame run2\.xyz:2 .* is not in the new batch"):
        store.add(*batch(2, 8), replaces=[old["tile-2-5"].id])
    store.add(*batch(2, 8, frames=5), replaces=[old["tile-2-5"].id])
    assert sorted(told_of(store.frames())) == sorted([*told, *told_in(3)])
    store.verify()
    flip(store.path / f"{old['tile-1-5'].id}.json", 40)
    with pytest.raises(StoreError, match=r"\.json"):
        store.verify()


def test_records_are_the_same_in_whatever_parts_they_come(store, tmp_path, monkeypatch):
    told = [one._replace(group=f"g{i % 3}", origin=f"{'ab'[i // 5]}.xyz, {i}") for i, one in enumerate(told_in(1, 9))]
    whole = store.add(**changed(batch(1), frames=recorded(*told)))
    other = SummaryStore.create(tmp_path / "other", SETTINGS)
    parts = [*recorded(*told[:1]), *recorded(*told[1:8]), *recorded(*told[8:])]
    assert other.add(**changed(batch(1), frames=parts)) == whole
    assert files(other.path) == files(store.path)
    assert (whole.frames.groups, whole.frames.origins) == (("g0", "g1", "g2"), ("a.xyz, 0", "a.xyz, ", "b.xyz, "))
    monkeypatch.setattr(stored_frames, "PART", 4)
    made = SummaryStore.create(tmp_path / "blocks", SETTINGS).add(**changed(batch(1), frames=parts))
    assert len(made.frames.sha256) == 3
    monkeypatch.undo()
    assert told_of(SummaryStore.open(tmp_path / "blocks").frames()) == told


# ---- settings


def test_settings_are_kept(store):
    assert store.settings == SETTINGS
    assert SummaryStore.open(store.path) == store == SummaryStore.create(store.path, SETTINGS)


@pytest.mark.parametrize(
    ("new", "text"),
    [
        ({"policy": "lsq"}, 'policy: "refuse" in the store, "lsq" now'),
        ({"policy": None}, 'policy: "refuse" in the store, null now'),
        ({"seed": 1}, "seed: nothing in the store, 1 now"),
        ({"cut": {"a": 1, "b": [1, 2]}}, "cut.b: [1] in the store, [1, 2] now"),
        ({"cut": {"a": True, "b": [1]}}, "cut.a: 1 in the store, true now"),
        ({"policy": "lsq", "cut": {"a": 2, "b": [1]}}, 'policy: "refuse" in the store, "lsq" now\n  cut.a: 1 in'),
    ],
)
def test_a_setting_that_differs_is_named_with_both_values(tmp_path, new, text):
    had = {**SETTINGS, "cut": {"a": 1, "b": [1]}}
    store = SummaryStore.create(tmp_path, had)
    with pytest.raises(StoreError, match=re.escape(text)):
        SummaryStore.create(tmp_path, {**had, **new})
    assert store.settings == had


@pytest.mark.parametrize(
    ("had", "wanted", "shown"),
    [
        ({"k": 5, "seed": 1}, {"k": 5, "seed": 2}, "folds.seed: 1 in the store, 2 now"),
        (5, 10, "folds: 5 in the store, 10 now"),
        (None, {"k": 5}, 'folds: null in the store, {"k": 5} now'),
    ],
)
def test_other_folds_need_the_rows_again(tmp_path, had, wanted, shown):
    SummaryStore.create(tmp_path, {"folds": had})
    with pytest.raises(StoreError, match=re.escape(shown)) as caught:
        SummaryStore.create(tmp_path, {"folds": wanted})
    for told in ("settled with the pass, and to change them the rows are needed again", "--fresh", "another folder"):
        assert told in str(caught.value)


def test_blocks_are_added_with_the_wider_basis(tmp_path):
    narrow = {"policy": "refuse", "blocks": {"C": "c1"}, "basis": {"elements": ["C"]}}
    wide = {"policy": "refuse", "blocks": {"C": "c1", "CN": "x"}, "basis": {"elements": ["C", "N"]}}
    store = SummaryStore.create(tmp_path, narrow)
    made = store.add(*batch(1))
    with pytest.raises(StoreError, match=r"block CN: expected one of \['C'\]"):
        store.add(**changed(batch(2), blocks=["CN"]))
    assert SummaryStore.create(tmp_path, wide).settings == wide
    assert store.settings == wide
    assert store.batches() == (made,)
    # a narrower one has nothing to add
    assert SummaryStore.create(tmp_path, narrow).settings == wide
    store.add(**changed(batch(2), blocks=["CN"]))


def test_a_basis_without_the_blocks_of_the_store_does_not_take_its_place(tmp_path):
    had = {"blocks": {"C": "c1", "N": "n1"}, "basis": {"elements": ["C", "N"]}}
    store = SummaryStore.create(tmp_path, had)
    with pytest.raises(StoreError, match=re.escape("has blocks ['O'], which the store has not; expected a basis with")):
        SummaryStore.create(tmp_path, {"blocks": {"C": "c1", "O": "o1"}, "basis": {"elements": ["C", "O"]}})
    with pytest.raises(StoreError, match=r"found no basis"):
        SummaryStore.create(tmp_path, {"blocks": {**had["blocks"], "O": "o1"}})
    assert store.settings == had


def test_a_block_of_another_definition_is_refused(store):
    with pytest.raises(StoreError, match=r"blocks\.N: the definition n1 in the store, n2 now"):
        SummaryStore.create(store.path, {**SETTINGS, "blocks": {"O": "o1", "N": "n2"}})
    assert store.settings == SETTINGS


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.ones(2), {"a": {1, 2}}, [float("-inf")]])
def test_settings_that_json_lacks_are_refused(tmp_path, value):
    with pytest.raises(ValueError, match=r"settings: tolerance: expected what JSON can hold"):
        SummaryStore.create(tmp_path / "new", {"tolerance": value})
    assert not (tmp_path / "new").exists()


def test_settings_are_compared_as_json_has_them(tmp_path):
    SummaryStore.create(tmp_path, {"orders": (12, 7), "by": {1: 0.1}})
    assert SummaryStore.create(tmp_path, {"by": {"1": 0.1}, "orders": [12, 7]}).settings["orders"] == [12, 7]


# ---- what is no store


def test_opening_what_is_no_store_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StoreError, match="expected a summary store, found none"):
            SummaryStore.open(folder)
    (tmp_path / "index.json").write_text('{"mine": 1}')
    for question in (SummaryStore.open, lambda path: SummaryStore.create(path, {})):
        with pytest.raises(StoreError, match=r"expected a summary store, found another index\.json"):
            question(tmp_path)
    assert json.loads((tmp_path / "index.json").read_text()) == {"mine": 1}


def test_another_format_is_refused(store):
    path = store.path / "index.json"
    path.write_text(path.read_text().replace(f'"hiertl_dist_summaries": {FORMAT}', '"hiertl_dist_summaries": 99'))
    with pytest.raises(StoreError, match=f"store format {FORMAT} or one before, found 99: a newer version"):
        SummaryStore.open(store.path)


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match=r"expected an empty folder or a summary store, found thesis\.tex there"):
        SummaryStore.create(tmp_path, SETTINGS)
    assert set(files(tmp_path)) == {"thesis.tex"}


def test_batches_whose_index_is_lost_are_not_taken_for_leftovers(store):
    store.add(*batch(1))
    (store.path / "index.json").unlink()
    before = files(store.path)
    with pytest.raises(StoreError, match=r"index\.json: expected what says which batches there are, .*store repair"):
        SummaryStore.create(store.path, SETTINGS)
    assert files(store.path) == before
    (store.path / "index.json.copy").unlink()
    with pytest.raises(StoreError, match=r"expected an empty folder or a summary store, found [0-9a-f]{64}"):
        SummaryStore.create(store.path, SETTINGS)


@pytest.mark.parametrize("batches", [0, 1])
def test_an_index_that_lacks_batches_deletes_none(store, batches):
    """An older index, as of a backup, or of a writer that was killed between the copy and the index."""
    for number in range(batches):
        store.add(*batch(number + 1))
    stale = (store.path / "index.json").read_bytes()
    for number in range(batches, 3):
        store.add(*batch(number + 1))
    before, ids = files(store.path), [b.id for b in store.batches()]
    (store.path / "index.json").write_bytes(stale)
    assert [b.id for b in SummaryStore.open(store.path).batches()] == ids
    SummaryStore.create(store.path, SETTINGS)
    assert files(store.path) == before
    (store.path / "index.json").write_bytes(stale)
    store.add(*batch(9))
    assert {b.id for b in store.batches()} > set(ids)
    # a copy that is behind counts for nothing
    (store.path / "index.json.copy").write_bytes(stale)
    assert {b.id for b in store.batches()} > set(ids)


# ---- killed writers and several of them


@pytest.mark.parametrize("doing", ["add", "supersede", "widen", "create", "pass"])
def test_a_kill_at_any_step_leaves_the_old_store_or_the_new_one(tmp_path, doing):
    wide = {**SETTINGS, "blocks": {**SETTINGS["blocks"], "O": "o1"}}

    def do(folder):
        if doing == "pass":
            # three batches, one of which supersedes, and a block that is new
            new = [NewBatch(*batch(2)), NewBatch(*batch(1, 8, blocks=("C", "O")), [old.id]), NewBatch(*batch(3))]
            SummaryStore.open(folder).add_all(new, wide)
            return
        store = SummaryStore.create(folder, wide)
        if doing in ("add", "supersede"):
            args = changed(batch(2)) if doing == "add" else changed(batch(1, columns=8))
            store.add(**args, replaces=[old.id] if doing == "supersede" else [])

    start, whole = tmp_path / "start", tmp_path / "whole"
    if doing != "create":
        old = SummaryStore.create(start, SETTINGS).add(*batch(1))
        shutil.copytree(start, whole)
    do(whole)
    expected, outcomes, last = files(whole), [], 0
    while True:
        folder = tmp_path / f"killed-{last}"
        if doing != "create":
            shutil.copytree(start, folder)
        with pytest.MonkeyPatch.context() as patch:
            Doom(patch, last)
            try:
                do(folder)
                finished = True
            except KilledError:
                finished = False
        if (folder / "index.json").exists():
            store = SummaryStore.open(folder)
            store.verify()
            blocks = [sorted(store.settings["blocks"])] if doing == "pass" else []
            outcomes.append(([b.id for b in store.batches()], *blocks))
        # who comes next finishes, and nothing is left of what was begun
        do(folder)
        assert files(folder) == expected
        SummaryStore.open(folder).verify()
        if finished:
            break
        last += 1
    assert outcomes == sorted(outcomes, key=lambda ids: ids == outcomes[-1])
    assert len(set(map(str, outcomes))) == {"add": 2, "supersede": 2, "widen": 1, "create": 1, "pass": 2}[doing]
    assert last >= {"add": 8, "supersede": 10, "widen": 3, "create": 3, "pass": 22}[doing]


def test_an_error_while_writing_leaves_nothing(store, monkeypatch):
    before = files(store.path)

    def full(path, value):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(summary_store, "write_json", full)
        with pytest.raises(OSError, match="no space left"):
            store.add(*batch(1))
    assert files(store.path) == before
    store.add(*batch(1))
    store.verify()


def test_leftovers_are_removed_and_other_files_are_not(store):
    made = store.add(*batch(1))
    before = files(store.path)
    left = [
        f"{'a' * 64}.f64",
        f"{'b' * 64}.json",
        f"index.json.{'c' * 32}.partial",
        f"{'a' * 64}.f64.{'d' * 32}.partial",
        f"{'b' * 64}.frames",
        f"{'a' * 64}.frames.{'e' * 32}.partial",
    ]
    kept = ["README", "notes.json", "plot.f64", "x.partial"]
    for name in (*left, *kept):
        (store.path / name).write_bytes(b"?")
    assert SummaryStore.open(store.path).batches() == (made,)  # a reader deletes nothing
    assert set(left) < set(files(store.path))
    SummaryStore.create(store.path, SETTINGS)  # what agrees is only read
    assert set(left) < set(files(store.path))
    store.add_all([])
    assert files(store.path) == {**before, **dict.fromkeys(kept, b"?")}
    store.verify()


def script(what, folder):
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "summary_store_script.py"), what, str(folder)],
        cwd=ROOT, env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system can't fork")


@needs_fork
def test_three_processes_add_at_the_same_time(tmp_path):
    script("concurrent", tmp_path / "store")
    store = SummaryStore.open(tmp_path / "store")
    store.verify()
    assert len(store.batches()) == 3 * BATCHES_A_WRITER
    assert len(store.frames()) == 3 * BATCHES_A_WRITER * 2
    one = SummaryStore.create(tmp_path / "one", SETTINGS)
    for number in [100 * writer + i for writer in range(3) for i in range(BATCHES_A_WRITER)]:
        one.add(*batch(number))
    assert files(one.path) == files(store.path)


@needs_fork
def test_a_reader_sees_one_batch_while_it_is_superseded(tmp_path):
    assert int(script("reader", tmp_path / "store")) > 2


@needs_fork
def test_writers_that_are_killed_leave_the_old_store_or_the_new_one(tmp_path):
    different, with_leftovers = map(int, script("kills", tmp_path / "store").split())
    assert different > 1
    assert with_leftovers > KILLS // 10
