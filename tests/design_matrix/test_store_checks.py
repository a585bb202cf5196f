"""A damaged design store: each file is named, mended or computed again, and nothing that is whole is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from synthetic import assemble, random_frames, random_parameters, small_basis

from hiertl_dist.design_matrix.layout_file import LAYOUT, write_layout
from hiertl_dist.design_matrix.store import DesignStore
from hiertl_dist.design_matrix.store_checks import repair_store, store_facts, store_faults, store_leftovers
from hiertl_dist.errors import HiertlWarning, StoreError
from hiertl_dist.files.faults import leftovers, removed

BASIS = small_basis((3, 2, 0))
FRAMES = random_frames({"C": 2, "CN": 2}, atoms=8)
FROZEN = random_parameters(BASIS).restricted({"C"})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store that also has the predictions of a model that later assemblies do not name."""
    path = tmp_path_factory.mktemp("checks") / "store"
    assemble(FRAMES, BASIS, path, frozen=[FROZEN])
    return path


@pytest.fixture
def folder(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "store"))


def rows_of(folder):
    store = DesignStore.open(folder)
    return {(a, k): store.read(a, k).tobytes() for a in store.layout()["arrays"] for k in store.keys(a)}


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


def one_of(folder, pattern):
    return sorted(folder.glob(pattern))[-1]


PATTERNS = ("blocks/CN/c/*/0", "labels/kind/c/*/0", "offsets/*/c/*/0", "ledger/blocks.C/*.json",
            "ledger/offsets.*/*.json", "ledger/labels.frame/*.json", "layout.json", "layout.json.copy", "zarr.json",
            "zarr.json.copy", "blocks/zarr.json", "offsets/*/zarr.json", "frames.sha256")  # fmt: skip


@pytest.mark.parametrize("damage", [flip, Path.unlink, lambda p: p.write_bytes(p.read_bytes()[:7])])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_is_damaged_is_named_and_a_verifying_assembly_mends_it(whole, folder, pattern, damage):
    path, expected = one_of(folder, pattern), rows_of(whole)
    damage(path)
    faults = list(store_faults(folder))
    is_ledger = pattern.startswith("ledger") and not path.exists()  # which is a tile that is not computed yet
    assert is_ledger or [f for f in faults if f.file == path and f.mend]
    if not is_ledger:
        with pytest.warns(HiertlWarning, match="it was damaged") as told:
            done = assemble(FRAMES, BASIS, folder, verify=True)
        assert str(path) in str(told[0].message)
        assert any(str(path) in text for text in done.repaired)
    assemble(FRAMES, BASIS, folder, frozen=[FROZEN])
    assert list(store_faults(folder)) == []
    assert rows_of(folder) == expected


def changed_layout(folder, change, **how):
    """A layout with a change, sealed as if a program had written it, or as those of before are."""
    store = DesignStore(folder)
    layout = json.loads((folder / LAYOUT).read_text())
    change(layout["arrays"])
    if how.get("is_sealed"):
        write_layout(folder / LAYOUT, layout, store.attributes)
    else:
        (folder / LAYOUT).write_text(json.dumps({k: layout[k] for k in ("groups", "arrays")}))


def no_slots(arrays):
    for entry in arrays.values():
        entry["slots"] = 0


def many_slots(arrays):
    arrays["blocks/C"]["slots"] = 10**9


def outside(arrays):
    arrays["/etc/blocks"] = arrays.pop("blocks/C")


def above(arrays):
    arrays["blocks/.."] = arrays.pop("blocks/C")


def shared_chunks(arrays):
    for place in arrays["labels/kind"]["tiles"].values():
        place[0] = 0


@pytest.mark.parametrize("is_sealed", [True, False])
@pytest.mark.parametrize("change", [no_slots, many_slots, outside, above, shared_chunks])
def test_a_layout_that_can_not_be_is_refused_and_nothing_is_deleted(folder, change, is_sealed):
    before = {p for p in folder.rglob("*") if p.is_file()}
    changed_layout(folder, change, is_sealed=is_sealed)
    with pytest.raises((StoreError, RuntimeError), match=r"layout\.json: arrays: "):
        assemble(FRAMES, BASIS, folder)
    assert before <= {p for p in folder.rglob("*") if p.is_file()}


def test_tiles_of_other_rows_than_are_planned_are_refused(folder):
    def fewer(arrays):
        for place in arrays["blocks/C"]["tiles"].values():
            place[2] -= 1

    changed_layout(folder, fewer, is_sealed=True)
    with pytest.raises((StoreError, RuntimeError), match=r"blocks/C: tile .* rows, this assembly"):
        assemble(FRAMES, BASIS, folder)


def test_files_of_another_store_are_told_from_ones_own(folder, tmp_path):
    expected = rows_of(folder)
    assemble(FRAMES, small_basis((4, 2, 0)), tmp_path / "other")
    assemble(FRAMES[:1], BASIS, tmp_path / "fewer")
    for name, other in ((LAYOUT, "other"), ("zarr.json", "other"), (LAYOUT, "fewer")):
        shutil.copy(tmp_path / other / name, folder / name)
        with pytest.raises((StoreError, RuntimeError), match=r"layout\.json"):
            assemble(FRAMES, BASIS, folder)
        (fault,) = store_faults(folder)
        assert fault.file == folder / name
        assert repair_store(folder)[1] == []
        assert rows_of(folder) == expected


def test_what_nobody_needs_is_deleted_and_nothing_else(folder):
    expected = rows_of(folder)
    partial = folder / "blocks" / "C" / "c" / "0" / "0.0123.partial"
    partial.write_bytes(b"123")
    lone = one_of(folder, "labels/kind/c/*/0")
    flip(lone)
    assert repair_store(folder)[1] == []  # the tile has no ledger entry now
    assert leftovers(store_leftovers(folder), 60.0) == []
    files = leftovers(store_leftovers(folder), 0.0)
    assert {f.file for f in files} >= {partial, lone}
    assert removed(files) == sum(f.nbytes for f in files)
    assemble(FRAMES, BASIS, folder)
    assert rows_of(folder) == expected


def test_what_a_store_has(folder):
    facts = store_facts(folder)
    assert (facts["kind"], facts["format"], facts["frames"]) == ("design store", 2, 4)
    assert facts["arrays"]["labels/kind"]["complete"] == facts["arrays"]["labels/kind"]["tiles"] == 2
    np.testing.assert_equal(facts["arrays"]["blocks/CN"]["tiles"], 1)
