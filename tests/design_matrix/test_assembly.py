"""Assembly: tiles are design rows; an interrupted, damaged or extended store computes what it lacks, no more."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace

import numpy as np
import pytest
import zarr
from assembly_script import data_set, tile_bytes
from synthetic import (
    assemble,
    environment,
    files_below,
    n_columns,
    random_frames,
    random_parameters,
    script,
    small_basis,
)

from hiertl_dist import Model, design_rows
from hiertl_dist.design_matrix import assembly, assembly_items, planning
from hiertl_dist.design_matrix.assembly import row_parts
from hiertl_dist.design_matrix.assembly_items import block_array, offset_array
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.design_matrix.store import DesignStore
from hiertl_dist.design_matrix.store_frames import read_digests
from hiertl_dist.design_matrix.store_layout import LABEL_ARRAYS
from hiertl_dist.errors import HiertlWarning, InnerCutoffError, StoreError
from hiertl_dist.evaluation.compiled_basis import compile_recipe
from hiertl_dist.evaluation.frame_rows import rows_of
from hiertl_dist.executors import SerialExecutor, TaskFailed
from hiertl_dist.executors.base import pack
from hiertl_dist.frames.rows import SUMMARY_KINDS, n_rows, row_labels
from hiertl_dist.model.one_body import without_one_body

BASIS = small_basis()
FRAMES = random_frames({"C": 3, "N": 3, "CN": 7}, groups=("liquid", "solid"))
ROWS = n_rows(FRAMES[0])
ARRAYS = ("blocks", "labels", "offsets")


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Two frames a tile of the widest block: four segments of CN, the last of one frame; a frame a part of it."""
    monkeypatch.setattr(planning, "TILE_BYTES", 8 * n_columns(BASIS, ["CN"]) * (3 * ROWS - 1))
    monkeypatch.setattr(assembly, "PART_BYTES", 1)


@pytest.fixture
def frozen():
    return random_parameters(BASIS).restricted({"C"})


@pytest.fixture
def done(tmp_path, frozen):
    return assemble(FRAMES, BASIS, tmp_path / "store", frozen=[frozen])


def ledger(store):
    """Time of writing of every ledger entry."""
    return {p.relative_to(store.path): p.stat().st_mtime_ns for p in (store.path / "ledger").rglob("*.json")}


def test_every_tile_is_the_design_rows_of_its_frames(done):
    assert done.computed == len(done.plan.tiles) + 2 * len(done.plan.segments)
    assert done.present == 0
    for tile in done.plan.tiles:
        rows = design_rows(tile.segment.frames, BASIS, [tile.block]).matrix
        np.testing.assert_array_equal(done.store.read(block_array(tile.block), tile.segment.key), rows)


def test_labels_of_every_row(done):
    layout, digests = done.store.layout(), read_digests(done.store.path)
    for segment in done.plan.segments:
        read = {a: done.store.read(f"labels/{a}", segment.key)[:, 0] for a in LABEL_ARRAYS}
        rows = [r for i, f in zip(segment.indices, segment.frames, strict=True) for r in row_labels(f, i)]
        np.testing.assert_array_equal(read["target"], design_rows(segment.frames, BASIS, ["C"]).target)
        assert [FRAMES[r.frame].digest for r in rows] == [bytes(digests[i]).hex() for i in read["frame"]]
        assert [FRAMES[r.frame].group for r in rows] == [layout["groups"][i] for i in read["group"]]
        assert [r.atom for r in rows] == read["atom"].tolist()
        kinds = [SUMMARY_KINDS[k] for k in read["kind"]]
        assert [r.kind for r in rows] == [k.split("_")[0] for k in kinds]
        assert kinds[-7:] == ["stress_diagonal"] * 3 + ["stress_off_diagonal"] * 3 + ["energy"]


def test_offsets_are_what_a_frozen_model_predicts(done, frozen):
    for segment in done.plan.segments:
        # energies of free atoms are for fits to count
        (shape,) = without_one_body([frozen])
        predicted = [
            np.concatenate([e.forces.ravel(), e.stress, [e.energy]])
            for e in Model(shape).evaluate(segment.frames, ignore_other_elements=True, missing="zero")
        ]
        stored = done.store.read(offset_array(shape), segment.key)[:, 0]
        np.testing.assert_array_equal(stored, np.concatenate(predicted))
        rows = design_rows(segment.frames, BASIS, ["C"])
        values = frozen.coefficients * [bool(c.powers) for c in rows.columns]
        np.testing.assert_allclose(stored, rows.matrix @ values, rtol=0, atol=1e-12)


def test_the_store_says_what_it_was_made_from(done):
    attributes = done.store.attributes
    assert attributes["basis"] == BASIS.to_dict()
    assert attributes["basis_digest"] == BASIS.digest
    (record,) = attributes["provenance"]
    assert record["versions"]["numpy"] == np.__version__
    assert record["units"]["force"] == "kcal/mol/Å"


def test_zarr_alone_reads_the_store(done):
    key = done.plan.segments[0].key
    first = done.store.layout()["arrays"]["blocks/C"]["tiles"][key][0]
    array = zarr.open_array(done.store.path / "blocks" / "C", mode="r")
    rows = design_rows(done.plan.segments[0].frames, BASIS, ["C"]).matrix
    np.testing.assert_array_equal(array[first * array.chunks[0] :][: len(rows)], rows)


def test_a_relative_store_is_the_callers(tmp_path, monkeypatch):
    """Its path is settled before a worker, which may have another current folder, hears of it."""
    monkeypatch.chdir(tmp_path)
    store = assemble(FRAMES[:2], BASIS, "store").store
    assert store.path == tmp_path / "store"


def test_a_complete_store_computes_nothing(done, frozen):
    before = ledger(done.store), files_below(done.store.path, *ARRAYS)
    again = assemble(FRAMES, BASIS, done.store.path, frozen=[frozen])
    assert (again.computed, again.present) == (0, done.computed)
    assert (ledger(again.store), files_below(again.store.path, *ARRAYS)) == before


def test_only_what_the_ledger_lacks_is_computed(done, frozen):
    files, times = files_below(done.store.path, *ARRAYS), ledger(done.store)
    first, last = done.plan.segments[0].key, done.plan.segments[-1].key
    lost = {
        done.store.ledger_path(*place).relative_to(done.store.path)
        for place in [("blocks/CN", last), ("labels/atom", first), (offset_array(without_one_body([frozen])[0]), last)]
    }
    for path in lost:
        (done.store.path / path).unlink()
    again = assemble(FRAMES, BASIS, done.store.path, frozen=[frozen])
    assert (again.computed, again.present) == (3, done.computed - 3)
    assert files_below(again.store.path, *ARRAYS) == files
    # the five label arrays of a segment are one item, so its other four are written again
    written = {p for p, t in ledger(again.store).items() if times[p] != t}
    assert lost <= written
    assert {p.parent.name for p in written - lost} == {f"labels.{a}" for a in LABEL_ARRAYS if a != "atom"}
    assert {p.stem for p in written - lost} == {first}


def test_damage_is_computed_again_only_with_verify(done, frozen):
    files = files_below(done.store.path, *ARRAYS)
    chunks = sorted(p for p in (done.store.path / "blocks" / "CN" / "c").rglob("*") if p.is_file())
    for damaged in (chunks[0], chunks[-1]):
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    assert assemble(FRAMES, BASIS, done.store.path, frozen=[frozen]).computed == 0
    assert files_below(done.store.path, *ARRAYS) != files
    with pytest.warns(HiertlWarning, match=r"blocks/CN/c/0/0: expected CRC32C .*(\n.*)*computed again"):
        assert assemble(FRAMES, BASIS, done.store.path, frozen=[frozen], verify=True).computed == 2
    assert files_below(done.store.path, *ARRAYS) == files


def test_more_frames_compute_new_tiles_only(done, frozen):
    old_ledger, old_layout = ledger(done.store), done.store.layout()
    more = [*FRAMES, *random_frames({"CN": 4}, seed=9, groups=("gas",))]
    again = assemble(more, BASIS, done.store.path, frozen=[frozen])
    # the last segment of CN had room for one frame more, so it is another segment now
    new = {s.key for s in again.plan.segments} - {s.key for s in done.plan.segments}
    assert len(new) == 3
    assert again.computed == len(new) * (3 + 2)
    assert {p: t for p, t in ledger(again.store).items() if p.stem not in new} == old_ledger
    layout = again.store.layout()
    for name, entry in old_layout["arrays"].items():
        assert layout["arrays"][name]["tiles"].items() >= entry["tiles"].items()
    assert layout["groups"] == ["liquid", "solid", "gas"]
    for tile in again.plan.tiles:
        rows = design_rows(tile.segment.frames, BASIS, [tile.block]).matrix
        np.testing.assert_array_equal(again.store.read(block_array(tile.block), tile.segment.key), rows)


def test_another_frozen_model_adds_its_offsets_only(done):
    other = random_parameters(BASIS, 5).restricted({"N"})
    again = assemble(FRAMES, BASIS, done.store.path, frozen=[other])
    assert again.computed == len(again.plan.segments)
    assert set(again.store.keys(offset_array(without_one_body([other])[0]))) == {s.key for s in again.plan.segments}


def test_one_block_after_another_is_the_same_as_all_at_once(tmp_path, done, frozen):
    for block in ("CN", "C", "N"):
        store = assemble(FRAMES, BASIS, tmp_path / "parts", blocks=[block], frozen=[frozen]).store
    for tile in done.plan.tiles:
        place = block_array(tile.block), tile.segment.key
        keys = {key for s in make_plan(FRAMES, BASIS, blocks=[tile.block]).segments for key in [s.key]}
        if tile.segment.key in keys:
            np.testing.assert_array_equal(store.read(*place), done.store.read(*place))
    assert set(store.keys("blocks/CN")) == set(done.store.keys("blocks/CN"))


def test_processes_write_the_same_store(done, frozen, tmp_path, two_processes):
    """As other executors do, in test_bits.py."""
    other = assemble(FRAMES, BASIS, tmp_path / "two", frozen=[frozen], executor=two_processes)
    assert files_below(other.store.path, *ARRAYS) == files_below(done.store.path, *ARRAYS)
    assert other.store.layout() == done.store.layout()


def test_another_basis_and_another_policy_are_refused(done):
    other = small_basis((4, 3, 0))
    with pytest.raises(StoreError, match=r"store: the store w"):
        assemble(FRAMES, other, done.store.path)
    with pytest.raises(StoreError, match=r"policy: \"?refuse.*lsq"):
        assemble(FRAMES, BASIS, done.store.path, policy="lsq")


def test_a_failing_tile_is_named_and_the_others_are_kept(tmp_path):
    close = FRAMES[-1].positions.copy()
    close[1] = close[0] + [0.3, 0.0, 0.0]
    frames = [*FRAMES[:-1], replace(FRAMES[-1], positions=close, origin="bad frame")]
    # planned to be damped and computed to be refused: the plan of one policy run under another
    plan = make_plan(frames, BASIS, policy="damp")
    lenient = replace(plan, policy="refuse")
    with pytest.raises(TaskFailed, match=r"^assemble failed with InnerCutoffError: bad frame: atoms 0") as failed:
        assemble(frames, BASIS, tmp_path / "store", plan=lenient)
    assert isinstance(failed.value.__cause__, InnerCutoffError)
    store = DesignStore.open(tmp_path / "store")
    bad = plan.segments[-1].key
    kept = assemble(frames[:-1], BASIS, store.path)
    assert kept.present > 0
    assert bad not in store.keys("blocks/CN")


def test_parts_of_a_tile_are_whole_frames(monkeypatch):
    recipe = compile_recipe(BASIS, ("C",))
    monkeypatch.setattr(assembly, "PART_BYTES", 8 * recipe.n_columns * (ROWS + 1))
    parts, before = [], None
    for part in row_parts(FRAMES[:5], recipe, "refuse"):
        # the one before is being written meanwhile
        assert before is None or (np.array_equal(before, parts[-1]) and not np.shares_memory(before, part))
        parts.append(part.copy())
        before = part
    assert [len(p) for p in parts] == [2 * ROWS, 2 * ROWS, ROWS]
    np.testing.assert_array_equal(np.concatenate(parts), rows_of(FRAMES[:5], recipe))


class Recording(SerialExecutor):
    """Keeps what each verb was given, packed as it would travel."""

    def __init__(self):
        super().__init__()
        self.seen = {}

    def run(self, task, items, *, label=str, what="tasks", **more):
        items = list(items)
        self.seen[what] = [label(i) for i in items], len(pack(task)), [len(pack(i)) for i in items]
        return super().run(task, items, label=label, what=what, **more)


@pytest.mark.parametrize("small", [np.inf, 0.0])
def test_what_takes_little_goes_with_the_longest_part_of_its_segment(tmp_path, frozen, monkeypatch, small):
    monkeypatch.setattr(assembly_items, "SMALL_SECONDS", small)
    recording = Recording()
    done = assemble(FRAMES, BASIS, tmp_path / "store", frozen=[frozen], executor=recording)
    labels, _, _ = recording.seen["assemble"]
    assert done.computed == len(done.plan.tiles) + 2 * len(done.plan.segments)
    if small:
        assert len(labels) == len(done.plan.segments)
        texts = [name.partition(" of ")[2].partition(" (")[0] for name in labels if "(CN" in name]
        everything = ["block C", "block CN", "block N", "frozen contribution 0", "labels"]
        assert [sorted(text.split(", ")) for text in texts] == [everything] * 4
    else:
        assert len(labels) == done.computed


def test_frames_travel_with_the_items_that_need_them_only(tmp_path, frozen):
    recording, more = Recording(), Recording()
    assemble(FRAMES[:8], BASIS, tmp_path / "few", frozen=[frozen], executor=recording)
    assemble(FRAMES, BASIS, tmp_path / "many", frozen=[frozen], executor=more)
    # a frame has 12 × 6 numbers; what grows with their number is digests and places of tiles
    grown = more.seen["assemble"][1] - recording.seen["assemble"][1]
    assert grown < 5 * 12 * 6 * 8


# ------------------------------------------------------------------------- issue check 7


def started(folder, workers, most):
    """A process group that assembles so many tiles at most; returns once it has begun."""
    process = subprocess.Popen(
        script("assembly_script.py", folder, workers, most),
        env=environment(), stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "begin\n"
    return process


def kill(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.stdout.close()
    return process.wait(60)


def check_ledger(folder):
    """Number and bytes of complete tiles; StoreError where the ledger claims one whose checksum is wrong."""
    if not (folder / "layout.json").exists():
        return 0, 0
    store = DesignStore.open(folder)
    layout = store.layout()
    tiles = [store.read(array, key, layout).nbytes for array in layout["arrays"] for key in store.keys(array)]
    return len(tiles), sum(tiles)


def test_kills_and_a_resume_leave_the_uninterrupted_store(tmp_path, monkeypatch):
    frames, basis, frozen = data_set()
    monkeypatch.setattr(planning, "TILE_BYTES", tile_bytes(basis))
    assemble(frames, basis, tmp_path / "whole", frozen=[frozen])
    total = check_ledger(tmp_path / "whole")
    folder, rng, complete = tmp_path / "killed", np.random.default_rng(7), [(0, 0)]
    for number in range(3):
        # parts of what is left, so that each kill finds it at work, however fast or slow the machine is at the moment
        left = total[0] - complete[-1][0]
        wanted = complete[-1][0] + rng.uniform(0.1, 0.5) * left
        process = started(folder, 2 if number % 3 == 1 else 1, int(complete[-1][0] + 0.6 * left))
        while len(list((folder / "ledger").glob("*/*"))) < wanted and process.poll() is None:
            time.sleep(0.002)
        assert kill(process) == -signal.SIGKILL
        complete.append(check_ledger(folder))
    counts = [count for count, _ in complete]
    assert counts == sorted(counts)
    assert len(set(counts)) > 2
    assert 0.2 * total[0] < counts[-1] < total[0]
    again = assemble(frames, basis, folder, frozen=[frozen])
    assert 0 < again.computed < again.computed + again.present
    assert check_ledger(folder) == total
    assert files_below(folder, *ARRAYS) == files_below(tmp_path / "whole", *ARRAYS)
    assert again.store.layout() == DesignStore.open(tmp_path / "whole").layout()
