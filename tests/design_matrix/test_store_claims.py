"""Several runs on one store: each tile is computed once; who is dead, waits or is alone; what can't be written."""

from __future__ import annotations

import logging
import os
import resource
import threading
import time
from collections import Counter

import pytest
from synthetic import files_below, n_columns, random_frames, small_basis

from hiertl_dist.design_matrix import planning, store_claims
from hiertl_dist.design_matrix import store as store_module
from hiertl_dist.design_matrix.assembly import assemble
from hiertl_dist.design_matrix.store import DesignStore
from hiertl_dist.design_matrix.store_claims import CLAIMS, claim_path
from hiertl_dist.errors import DiskFullError, HiertlWarning, LockError, ResourceError, WriteError
from hiertl_dist.executors.base import TaskFailed
from hiertl_dist.executors.serial import SerialExecutor
from hiertl_dist.files import locks
from hiertl_dist.files.claims import take_claim
from hiertl_dist.files.locks import locked
from hiertl_dist.files.paths import replacing
from hiertl_dist.files.store_use import use_stores
from hiertl_dist.fitting.hierarchy import fit_hierarchy
from hiertl_dist.fitting.settings import FitSettings, HierarchyOptions
from hiertl_dist.frames.rows import n_rows
from hiertl_dist.jobs.fit_job import renew

BASIS = small_basis((4, 3, 0))
FRAMES = random_frames({"C": 4, "CN": 6})
ARRAYS = ("blocks", "labels")
SERIAL = SerialExecutor()


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Two frames to a segment; others are looked for often."""
    rows = n_rows(FRAMES[0])
    monkeypatch.setattr(planning, "TILE_BYTES", 2 * rows * 8 * n_columns(BASIS, ["CN"]))
    monkeypatch.setattr(store_claims, "POLL", 0.01)


@pytest.fixture
def alone(tmp_path):
    """What one run makes."""
    return assemble(FRAMES, BASIS, tmp_path / "alone", executor=SERIAL)


def state(folder):
    """Each file and folder with the time of its last change."""
    return {p: p.lstat().st_mtime_ns for p in [folder, *folder.rglob("*")]}


def test_runs_at_once_compute_each_tile_once(tmp_path, alone, monkeypatch):
    """Each of three begins where the one before has claimed a tile and is about to write it."""
    write, written, runs = DesignStore.write, Counter(), []

    def begin_another(store, array, key, *more):
        if len(runs) < 2 and written.total() >= 2 * len(runs) and not array.startswith("labels"):
            number = len(runs)
            runs.append(None)
            thread = threading.Thread(
                target=lambda: runs.__setitem__(number, assemble(FRAMES, BASIS, store.path, executor=SerialExecutor()))
            )
            thread.start()
            time.sleep(0.05)
            threads.append(thread)
        written[array, key] += 1
        write(store, array, key, *more)

    threads = []
    monkeypatch.setattr(DesignStore, "write", begin_another)
    first = assemble(FRAMES, BASIS, tmp_path / "shared", executor=SERIAL)
    for thread in threads:
        thread.join(30)
    assert len(runs) == 2
    assert set(written.values()) == {1}, "no tile is computed twice"
    assert sum(done.computed for done in (first, *runs)) == alone.computed
    for done in (first, *runs):
        assert done.computed + done.present + done.by_others == alone.computed
    assert files_below(tmp_path / "shared", *ARRAYS) == files_below(tmp_path / "alone", *ARRAYS)
    assert not (tmp_path / "shared" / CLAIMS).exists()


@pytest.mark.parametrize("completes", [True, False])
def test_a_tile_of_another_is_waited_for_and_computed_here_if_it_gives_up(
    tmp_path, alone, monkeypatch, caplog, completes
):
    monkeypatch.setattr(locks, "SAY_AFTER", (0.05, 60.0))
    folder = tmp_path / "shared"
    store = assemble(FRAMES, BASIS, folder, executor=SERIAL).store
    key = store.keys("blocks/CN")[0]
    ledger = store.ledger_path("blocks/CN", key)
    entry = ledger.read_bytes()
    ledger.unlink()
    claim = take_claim(claim_path(folder, "blocks/CN", key))

    def end():
        if completes:
            ledger.write_bytes(entry)
        claim.let_go()

    threading.Timer(0.3, end).start()
    with caplog.at_level(logging.WARNING, "hiertl_dist"):
        done = assemble(FRAMES, BASIS, folder, executor=SERIAL)
    assert (done.computed, done.by_others) == ((0, 1) if completes else (1, 0))
    (said,) = caplog.messages
    assert f"{folder}/{CLAIMS}/blocks.CN~{key} (0 s), which is with process {os.getpid()} on " in said
    assert files_below(folder, *ARRAYS) == files_below(tmp_path / "alone", *ARRAYS)


def test_waiting_for_a_tile_has_a_limit_and_the_rest_is_kept(tmp_path):
    done = assemble(FRAMES[:4], BASIS, tmp_path / "s", executor=SERIAL)
    key = assemble(FRAMES, BASIS, tmp_path / "other", executor=SERIAL).store.keys("blocks/CN")[0]
    claim = take_claim(claim_path(tmp_path / "s", "blocks/CN", key))
    with use_stores(wait=0.1), pytest.raises(LockError, match=r"the tile that is claimed by .*~.* is with process"):
        assemble(FRAMES, BASIS, tmp_path / "s", executor=SERIAL)
    claim.let_go()
    again = assemble(FRAMES, BASIS, tmp_path / "s", executor=SERIAL)
    assert again.computed == 1
    assert again.present > done.computed


def test_a_run_that_joins_none_is_refused(tmp_path, alone):
    folder = tmp_path / "s"
    assemble(FRAMES[:4], BASIS, folder, executor=SERIAL)
    store_claims.begin_run(folder)
    with use_stores(in_use="refuse"):
        with pytest.raises(LockError, match=rf"1 other run at work on this store: process {os.getpid()} on .*--in-use"):
            assemble(FRAMES, BASIS, folder, executor=SERIAL)
        assert assemble(FRAMES[:4], BASIS, folder, executor=SERIAL).computed == 0, "it is complete, and only read"
        store_claims.end_run(folder)
        assert assemble(FRAMES, BASIS, folder, executor=SERIAL).computed > 0
    assert not (folder / CLAIMS).exists()


def test_a_store_that_others_work_on_is_not_renamed(tmp_path):
    folder = assemble(FRAMES[:4], BASIS, tmp_path / "s", executor=SERIAL).store.path
    store_claims.begin_run(folder)
    with pytest.raises(LockError, match=r"can't be renamed \(--fresh\) while others .*: process"):
        renew(folder, SERIAL, print)
    store_claims.end_run(folder)
    renew(folder, SERIAL, print)
    assert [p.name for p in tmp_path.iterdir()] == ["s.old"]


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    folder = tmp_path / "s"
    store = assemble(FRAMES, BASIS, folder, executor=SERIAL).store
    first, second = store.keys("blocks/CN")[:2]
    dead, alive = (claim_path(folder, "blocks/CN", key) for key in (first, second))
    (chunk,) = (folder / f"blocks/CN/c/{store.layout()['arrays']['blocks/CN']['tiles'][first][0]}").iterdir()
    left = [
        chunk.with_name(f"0.{'a' * 32}.partial"), folder / f"ledger/blocks.CN/{first}.json.{'b' * 32}.partial",
        folder / f"blocks/CN/zarr.{'c' * 32}.partial", folder / f"layout.json.{'d' * 32}.partial",
    ]  # fmt: skip
    for path in left:
        path.write_bytes(b"half")
    dead.parent.mkdir()
    dead.write_text("{}")
    claim = take_claim(alive)
    store.ledger_path("blocks/C", store.keys("blocks/C")[0]).unlink()
    with replacing(folder / "frames.sha256") as stream:  # what another writes at this moment
        stream.write((folder / "frames.sha256").read_bytes())
        assert assemble(FRAMES, BASIS, folder, executor=SERIAL).computed == 1
        assert len(list(folder.glob("frames.sha256.*.partial"))) == 1
    assert [path for path in left if path.exists()] == []
    assert (dead.exists(), alive.exists()) == (False, True)
    claim.let_go()


def test_a_complete_store_is_only_read(tmp_path, alone, monkeypatch):
    """So that it may be on a file system that can't be written; nor does another's lock matter."""
    folder, before = tmp_path / "alone", state(tmp_path / "alone")
    for verify in (False, True):
        assert assemble(FRAMES, BASIS, folder, executor=SERIAL, verify=verify).computed == 0
    assert state(folder) == before
    monkeypatch.setattr(planning, "free_disk", lambda _: 0)
    with locked(folder), use_stores(wait=0):
        assert assemble(FRAMES, BASIS, folder, executor=SERIAL).computed == 0
    with pytest.raises(ResourceError, match="of disk needed at"):
        assemble([*FRAMES, *random_frames({"CN": 2}, seed=5)], BASIS, folder, executor=SERIAL)


def test_a_file_that_is_too_large_leaves_a_store_that_goes_on(tmp_path, alone):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(TaskFailed, match=r"^assemble: tile \w+ of .* failed with DiskFullError: .*/c/\d+/0: ") as e:
            assemble(FRAMES, BASIS, tmp_path / "s", executor=SERIAL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(e.value.__cause__, DiskFullError)
    assert list((tmp_path / "s").rglob("*.partial")) == []
    assert not (tmp_path / "s" / CLAIMS).exists()
    assemble(FRAMES, BASIS, tmp_path / "s", executor=SERIAL)
    assert files_below(tmp_path / "s", *ARRAYS) == files_below(tmp_path / "alone", *ARRAYS)


def test_a_fit_from_a_complete_store_that_cannot_be_written_makes_what_frozen_models_predict(tmp_path, monkeypatch):
    """An assembly knows no models; a fit would add what they predict, bit for bit what the kernels give."""
    frames = random_frames({"C": 4, "N": 4, "CN": 6})
    assemble(frames, BASIS, tmp_path / "s", executor=SERIAL)
    expected = fit_hierarchy(frames, BASIS, executor=SERIAL)

    def refuse(folder):
        raise WriteError(f"{folder}: Read-only file system")

    monkeypatch.setattr(store_module, "locked", refuse)
    before = state(tmp_path / "s")
    options = HierarchyOptions(FitSettings(), store=tmp_path / "s")
    with pytest.warns(HiertlWarning, match=r"complete but for what .* predicts, which can't be kept there and is comp"):
        fit = fit_hierarchy(frames, BASIS, options=options, executor=SERIAL)
    assert state(tmp_path / "s") == before
    for name, own in expected.fits.items():
        theirs = fit.fits[name].solution.parameters.coefficients
        assert theirs.tobytes() == own.solution.parameters.coefficients.tobytes()
    with pytest.raises(WriteError, match="Read-only"):  # rows of frames that the store lacks
        fit_hierarchy([*frames, *random_frames({"CN": 2}, seed=5)], BASIS, options=options, executor=SERIAL)
