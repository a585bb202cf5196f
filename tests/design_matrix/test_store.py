"""The store: chunks of their own for every tile, a ledger that is written last, checksums, refusals."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest
import zarr

from hiertl_dist.design_matrix.attributes_file import write_store_attributes
from hiertl_dist.design_matrix.store import DesignStore
from hiertl_dist.design_matrix.store_frames import read_digests
from hiertl_dist.design_matrix.store_layout import LABEL_ARRAYS, TileSpec
from hiertl_dist.errors import IncompleteStoreError, StoreError
from hiertl_dist.files import sealed
from hiertl_dist.files.chunks import TileWriter, crc32c
from hiertl_dist.files.paths import free_disk
from hiertl_dist.files.zarr_files import group_text

ARRAY = "blocks/CN"
CHUNK = 4
ROWS = {"a" * 64: 4, "b" * 64: 3, "c" * 64: 9}
"""Tiles by key: one that fills its chunk, one that does not, one of three chunks."""
A, B, C = ROWS
BASIS = {"elements": ["C", "N"]}


@pytest.fixture
def store(tmp_path):
    made = DesignStore.create(tmp_path / "store", BASIS, "digest-1", "refuse")
    made.prepare([TileSpec(ARRAY, key, rows, 5) for key, rows in ROWS.items()], {ARRAY: CHUNK})
    return made


def data(key, columns=5):
    return np.random.default_rng(ord(key[0])).normal(size=(ROWS[key], columns))


def specs(*keys):
    return [TileSpec(ARRAY, key, ROWS[key], 5) for key in keys]


def chunk_file(store, number, array=ARRAY):
    return store.path / array / "c" / str(number) / "0"


def contents(store, array=ARRAY):
    return {p: p.read_bytes() for p in (store.path / array / "c").rglob("*") if p.is_file()}


def test_what_is_written_is_read_back_to_the_bit(store):
    for key in ROWS:
        store.write(ARRAY, key, data(key))
    again = DesignStore.open(store.path)
    for key in ROWS:
        np.testing.assert_array_equal(again.read(ARRAY, key), data(key))
    assert again.keys(ARRAY) == list(ROWS)


def test_the_order_of_writing_does_not_matter(store, tmp_path):
    other = DesignStore.create(tmp_path / "other", BASIS, "digest-1", "refuse")
    other.prepare(specs(*ROWS), {ARRAY: CHUNK})
    for key in ROWS:
        store.write(ARRAY, key, data(key))
    for key in reversed(ROWS):
        other.write(ARRAY, key, data(key))
    names = {p.relative_to(store.path): b for p, b in contents(store).items()}
    assert names == {p.relative_to(other.path): b for p, b in contents(other).items()}


def test_no_two_tiles_share_a_chunk(store):
    owners: dict[Path, str] = {}
    before = contents(store)
    for key in ROWS:
        store.write(ARRAY, key, data(key))
        after = contents(store)
        written = [p for p in after if after[p] != before.get(p)]
        assert len(written) == -(-ROWS[key] // CHUNK)
        assert not owners.keys() & set(written)
        owners.update(dict.fromkeys(written, key))
        before = after
    assert len(owners) == 1 + 1 + 3


@pytest.mark.parametrize(("array", "fill"), [(ARRAY, np.nan), ("labels/target", np.nan), ("labels/kind", -1)])
def test_rows_that_pad_a_chunk_keep_the_fill_value(store, array, fill):
    width = 5 if array == ARRAY else 1
    store.prepare([TileSpec(array, C, ROWS[C], width)], {array: CHUNK})
    store.write(array, C, np.ones((ROWS[C], width), np.int32))
    first = store.layout()["arrays"][array]["tiles"][C][0] * CHUNK
    stored = zarr.open_array(store.path / array, mode="r")[first : first + 3 * CHUNK]
    np.testing.assert_array_equal(stored[: ROWS[C]], 1)
    np.testing.assert_array_equal(stored[ROWS[C] :], np.full((3, width), fill))


def test_a_tile_is_missing_until_its_ledger_entry_is_there(store):
    assert store.missing(specs(A, B)) == specs(A, B)
    store.write(ARRAY, A, data(A))
    assert store.missing(specs(A, B)) == specs(B)
    # the rows are there, but nothing says so: the process died between the two writes
    store.ledger_path(ARRAY, A).unlink()
    assert store.missing(specs(A, B)) == specs(A, B)
    assert store.keys(ARRAY) == []
    with pytest.raises(IncompleteStoreError, match=r"blocks/CN: tile aaaaaaaaaaaa is not complete"):
        store.read(ARRAY, A)


def test_the_ledger_is_written_after_the_rows(store, monkeypatch):
    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr("hiertl_dist.design_matrix.ledger.write_json", fail)
    with pytest.raises(OSError, match="no space left"):
        store.write(ARRAY, A, data(A))
    assert len(contents(store)) == 1
    assert not store.ledger_path(ARRAY, A).exists()


def test_the_ledger_holds_the_checksum_of_the_rows(store):
    store.write(ARRAY, C, data(C))
    entry = json.loads(store.ledger_path(ARRAY, C).read_text())
    whose = {"format": 2, "array": ARRAY, "key": C, "first_chunk": 2}
    assert entry == {**whose, "rows": ROWS[C], "crc32c": crc32c(data(C))}
    # the check value of CRC-32C in every catalogue of checksums
    assert crc32c(np.frombuffer(b"123456789", np.uint8)) == 0xE3069283


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[17] ^= 0x10
    path.write_bytes(content)


def swap_a_valid_chunk(path):
    # zarr's own checksum is right, but the rows are those of another tile
    path.write_bytes((path.parents[1] / "0" / "0").read_bytes())


DAMAGE = {
    "byte flipped": flip_a_byte,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "emptied": lambda path: path.write_bytes(b""),
    "deleted": Path.unlink,
    "another tile's": swap_a_valid_chunk,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_named_and_repaired(store, damage):
    for key in ROWS:
        store.write(ARRAY, key, data(key))
    DAMAGE[damage](chunk_file(store, 1))
    with pytest.raises(StoreError, match=r"blocks/CN, tile bbbbbbbbbbbb: .*verify=True"):
        store.read(ARRAY, B)
    np.testing.assert_array_equal(store.read(ARRAY, A), data(A))
    assert store.missing(specs(*ROWS)) == []
    assert store.missing(specs(*ROWS), verify=True) == specs(B)
    store.write(ARRAY, B, data(B))
    assert store.missing(specs(*ROWS), verify=True) == []
    np.testing.assert_array_equal(store.read(ARRAY, B), data(B))


def test_damage_in_a_later_chunk_of_a_large_tile_is_found(store):
    store.write(ARRAY, C, data(C))
    chunk_file(store, 4).unlink()
    with pytest.raises(StoreError, match=r"tile cccccccccccc: expected CRC32C [0-9a-f]{8}, found"):
        store.read(ARRAY, C)


@pytest.mark.parametrize("content", ["", "{", "{}"])
def test_a_damaged_ledger_entry_is_found_and_repaired(store, content):
    store.write(ARRAY, A, data(A))
    store.ledger_path(ARRAY, A).write_text(content)
    with pytest.raises(StoreError, match=r"blocks/CN, tile aaaaaaaaaaaa"):
        store.read(ARRAY, A)
    assert store.missing(specs(A), verify=True) == specs(A)


@pytest.mark.parametrize(("digest", "policy"), [("digest-2", "refuse"), ("digest-1", "lsq")])
def test_another_basis_or_policy_is_refused_with_both(store, digest, policy):
    text = 'basis_digest: "digest-1" in the store, "digest-2" now' if digest != "digest-1" else (
        'policy: "refuse" in the store, "lsq" now'
    )  # fmt: skip
    with pytest.raises(StoreError, match=text):
        DesignStore.create(store.path, BASIS, digest, policy)
    assert DesignStore.create(store.path, BASIS, "digest-1", "refuse") == store


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match="expected an empty folder or a design store, found other files"):
        DesignStore.create(tmp_path, BASIS, "digest-1", "refuse")
    assert not (tmp_path / "zarr.json").exists()


def test_another_zarr_group_is_refused(tmp_path):
    zarr.open_group(tmp_path, mode="w").attrs["mine"] = 1
    with pytest.raises(StoreError, match="expected a design store, found none"):
        DesignStore.create(tmp_path, BASIS, "digest-1", "refuse")
    assert dict(zarr.open_group(tmp_path, mode="r").attrs) == {"mine": 1}


def test_opening_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="expected a design store, found none"):
        DesignStore.open(tmp_path)
    with pytest.raises(StoreError, match="expected a design store, found none"):
        DesignStore.open(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_another_format_is_refused(store):
    write_store_attributes(store.path, {**store.attributes, "hiertl_dist": 99})
    with pytest.raises(StoreError, match="expected store format 2 or one before, found 99: a newer version"):
        DesignStore.open(store.path)


def as_format_1(store):
    """The store as versions before wrote it: no checksums but those of rows, no copies."""
    layout = json.loads((store.path / "layout.json").read_text())
    (store.path / "layout.json").write_text(json.dumps({key: layout[key] for key in ("groups", "arrays")}))
    attributes = {**store.attributes, "hiertl_dist": 1}
    (store.path / "zarr.json").write_bytes(group_text(attributes))
    for path in (store.path / "ledger").glob("*/*.json"):
        entry = json.loads(path.read_text())
        path.write_text(json.dumps({key: entry[key] for key in ("rows", "crc32c")}))
    for path in store.path.glob("*.copy"):
        path.unlink()


def test_a_store_of_format_1_is_read_and_becomes_one_of_format_2(store):
    store.write(ARRAY, A, data(A))
    as_format_1(store)
    again = DesignStore.open(store.path)
    np.testing.assert_array_equal(again.read(ARRAY, A), data(A))
    again.prepare(specs(*ROWS), {ARRAY: CHUNK})
    assert again.attributes["hiertl_dist"] == json.loads((store.path / "layout.json").read_text())["format"] == 2
    assert again.missing(specs(*ROWS), verify=True) == specs(B, C)


@pytest.mark.parametrize("left", ["zarr.json.0123456789abcdef.partial", "zarr.0123456789abcdef.partial"])
def test_a_store_whose_creation_was_killed_is_created_again(tmp_path, left):
    # what zarr leaves of a file that it was writing
    (tmp_path / left).write_bytes(b"{")
    made = DesignStore.create(tmp_path, BASIS, "digest-1", "refuse")
    assert made.attributes["basis_digest"] == "digest-1"


def test_a_store_is_created_in_one_write(tmp_path, monkeypatch):
    """A process that is killed after the first file has left a store, or nothing that is in the way of one."""
    written = []
    original = sealed.replacing

    def killed(path):
        if written:
            raise RuntimeError("killed")
        written.append(path.name)
        return original(path)

    with monkeypatch.context() as patch, contextlib.suppress(RuntimeError):
        patch.setattr(sealed, "replacing", killed)
        DesignStore.create(tmp_path, BASIS, "digest-1", "refuse")
    assert written == ["zarr.json"]
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".lock")] == ["zarr.json"]
    assert DesignStore.create(tmp_path, BASIS, "digest-1", "refuse").attributes["policy"] == "refuse"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_data_that_are_not_finite_are_refused_by_row_and_column(store, bad):
    values = data(C)
    values[8, 0] = -bad
    values[7, 3] = bad
    with pytest.raises(StoreError, match=rf"blocks/CN, tile cccccccccccc: row 7, column 3 is {bad}"):
        store.write(ARRAY, C, values)
    assert store.missing(specs(C)) == specs(C)


def test_finite_data_whose_sum_overflows_are_accepted(store):
    values = np.full((ROWS[A], 5), 1e308)
    store.write(ARRAY, A, values)
    np.testing.assert_array_equal(store.read(ARRAY, A), values)


def test_data_of_another_shape_are_refused(store):
    with pytest.raises(StoreError, match=re.escape("expected shape (4, 5), got (3, 5)")):
        store.write(ARRAY, A, data(A)[:3])


def test_a_tile_that_was_never_planned_is_refused(store):
    with pytest.raises(IncompleteStoreError, match=r"blocks/CN: no tile dddddddddddd was ever planned"):
        store.write(ARRAY, "d" * 64, np.zeros((1, 5)))
    with pytest.raises(IncompleteStoreError, match=r"blocks/N: no tile aaaaaaaaaaaa was ever planned"):
        store.read("blocks/N", A)


def test_another_number_of_columns_is_refused(store):
    with pytest.raises(StoreError, match=r"blocks/CN: it has 5 columns, this assembly 6"):
        store.prepare([TileSpec(ARRAY, "d" * 64, 4, 6)], {ARRAY: CHUNK})


def test_a_store_that_grows_keeps_every_byte_it_had(store):
    for key in ROWS:
        store.write(ARRAY, key, data(key))
    before = contents(store)
    new = "d" * 64
    # another chunk size is what a larger data set would have chosen; that of the array stands
    store.prepare([*specs(*ROWS), TileSpec(ARRAY, new, 6, 5)], {ARRAY: 3 * CHUNK}, groups=["late"])
    values = np.random.default_rng(0).normal(size=(6, 5))
    store.write(ARRAY, new, values)
    after = contents(store)
    assert {p: after[p] for p in before} == before
    assert len(after) == len(before) + 2
    assert zarr.open_array(store.path / ARRAY, mode="r").shape == (7 * CHUNK, 5)
    np.testing.assert_array_equal(store.read(ARRAY, new), values)
    np.testing.assert_array_equal(store.read(ARRAY, C), data(C))


def test_frames_and_groups_keep_their_numbers(store):
    digests = np.arange(96, dtype=np.uint8).reshape(3, 32)
    assert store.prepare([], {}, frames=digests[:2], groups=["liquid"]).tolist() == [0, 1]
    again = store.prepare([], {}, frames=digests[[2, 1]], groups=["solid", "liquid"], provenance={"run": 2})
    assert again.tolist() == [2, 1]
    layout = store.layout()
    np.testing.assert_array_equal(read_digests(store.path), digests)
    assert layout["groups"] == ["liquid", "solid"]
    assert store.attributes["provenance"] == [{"run": 2}]


def test_zarr_alone_reads_the_rows_and_notices_a_flipped_byte(store):
    for key in ROWS:
        store.write(ARRAY, key, data(key))
    array = zarr.open_array(store.path / ARRAY, mode="r")
    assert array.dtype == np.float64
    assert array.chunks == (CHUNK, 5)
    np.testing.assert_array_equal(array[:4], data(A))
    np.testing.assert_array_equal(array[8:17], data(C))
    assert np.isnan(array[7]).all()
    flip_a_byte(chunk_file(store, 0))
    with pytest.raises(ValueError, match=r"(?i)checksum"):
        zarr.open_array(store.path / ARRAY, mode="r")[:4]


def test_a_store_whose_chunks_zarr_wrote_is_read(store):
    """As this package itself wrote them before it had ``chunks``."""
    array = zarr.open_array(store.path / ARRAY, mode="r+")
    for key, (slot, slots, rows) in store.layout()["arrays"][ARRAY]["tiles"].items():
        padded = np.full((slots * CHUNK, 5), np.nan)
        padded[:rows] = data(key)
        array[slot * CHUNK : (slot + slots) * CHUNK] = padded
        store.ledger_path(ARRAY, key).parent.mkdir(parents=True, exist_ok=True)
        store.ledger_path(ARRAY, key).write_text(json.dumps({"rows": rows, "crc32c": crc32c(data(key))}))
    again = DesignStore.open(store.path)
    assert again.missing(specs(*ROWS), verify=True) == []
    for key in ROWS:
        np.testing.assert_array_equal(again.read(ARRAY, key), data(key))


def flip_padding(content):
    content[-10] ^= 1


def flip_checksum(content):
    content[-1] ^= 1


@pytest.mark.parametrize("flip", [flip_padding, flip_checksum])
def test_damage_outside_the_rows_is_found_too(store, flip):
    store.write(ARRAY, C, data(C))
    path = chunk_file(store, 4)
    content = bytearray(path.read_bytes())
    flip(content)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"tile cccccccccccc: cannot be read: .*/4/0: expected CRC32C .*, found"):
        store.read(ARRAY, C)


def test_parts_are_the_same_as_the_whole(store, tmp_path):
    other = DesignStore.create(tmp_path / "other", BASIS, "digest-1", "refuse")
    other.prepare(specs(*ROWS), {ARRAY: CHUNK})
    store.write(ARRAY, C, data(C))
    other.write(ARRAY, C, iter(np.split(data(C), [1, 6])))
    assert [b for _, b in sorted(contents(other).items())] == [b for _, b in sorted(contents(store).items())]
    assert other.ledger_path(ARRAY, C).read_bytes() == store.ledger_path(ARRAY, C).read_bytes()


def test_a_part_is_written_while_the_next_is_made(store, monkeypatch):
    writing, asked = threading.Event(), threading.Event()
    original = TileWriter.append

    def append(self, part):
        if part[0, 0] == data(C)[0, 0]:
            writing.set()
            assert asked.wait(10)
        original(self, part)

    def parts():
        yield data(C)[:4]
        assert writing.wait(10)
        asked.set()
        yield data(C)[4:]

    monkeypatch.setattr(TileWriter, "append", append)
    store.write(ARRAY, C, parts())
    np.testing.assert_array_equal(store.read(ARRAY, C), data(C))


def failing_parts():
    yield data(C)[:5]
    raise RuntimeError("the kernel failed")


def parts_with_nan():
    yield data(C)[:5]
    yield np.where(np.eye(4, 5, 2) > 0, np.nan, data(C)[5:])


@pytest.mark.parametrize(
    ("parts", "error", "text"),
    [
        (failing_parts, RuntimeError, "the kernel failed"),
        (parts_with_nan, StoreError, "blocks/CN, tile cccccccccccc: row 5, column 2 is nan"),
        (lambda: iter([data(C)[:5]]), StoreError, r"tile cccccccccccc: expected shape \(9, 5\), got \(5, 5\)"),
        (lambda: iter([]), StoreError, r"tile cccccccccccc: expected shape \(9, 5\), got \(0, 5\)"),
    ],
)
def test_parts_that_fail_leave_the_tile_missing_and_no_file(store, parts, error, text):
    with pytest.raises(error, match=text):
        store.write(ARRAY, C, parts())
    assert store.missing(specs(C)) == specs(C)
    assert [p for p in (store.path / ARRAY).rglob("*") if p.is_file()] == [store.path / ARRAY / "zarr.json"]


def test_data_of_another_type_are_refused(store):
    store.prepare([TileSpec("labels/kind", A, 4, 1)], {"labels/kind": CHUNK})
    with pytest.raises(StoreError, match=r"labels/kind, tile a{12}: expected numbers of type int32, got float64"):
        store.write("labels/kind", A, np.full((4, 1), 0.5))


@pytest.mark.parametrize("order", ["C", "F", "part"])
def test_a_tile_is_read_into_an_array(store, order):
    store.write(ARRAY, C, data(C))
    out = np.zeros((9, 7))[:, 1:6] if order == "part" else np.zeros((9, 5), order=order)
    assert store.read(ARRAY, C, out=out) is out
    np.testing.assert_array_equal(out, data(C))


@pytest.mark.parametrize("out", [np.zeros((9, 4)), np.zeros((8, 5)), np.zeros((9, 5), np.float32)])
def test_an_array_that_does_not_fit_is_refused(store, out):
    store.write(ARRAY, C, data(C))
    with pytest.raises(ValueError, match=r"tile c{12}: expected an array of \(9, 5\), float64, to read into, got"):
        store.read(ARRAY, C, out=out)


def test_tiles_are_read_ahead_in_order(store):
    for key in ROWS:
        store.write(ARRAY, key, data(key))
    asked = []

    def places():
        for key in (B, C, A, C):
            asked.append(key)
            yield ARRAY, key

    for number, (key, found) in enumerate(zip((B, C, A, C), store.read_ahead(places()), strict=True)):
        assert asked == [B, C, A, C][: number + 2]
        np.testing.assert_array_equal(found, data(key))
    assert list(store.read_ahead([])) == []


def test_an_error_of_reading_ahead_is_raised_in_its_turn(store):
    for key in (A, B):
        store.write(ARRAY, key, data(key))
    tiles = store.read_ahead([(ARRAY, A), (ARRAY, C), (ARRAY, B)])
    np.testing.assert_array_equal(next(tiles), data(A))
    with pytest.raises(IncompleteStoreError, match=r"blocks/CN: tile cccccccccccc is not complete"):
        next(tiles)
    assert list(tiles) == []


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system takes no advice")
def test_the_next_tile_is_asked_for_while_one_is_used(store, monkeypatch):
    monkeypatch.setattr("hiertl_dist.files.chunks.BLOCK", 50)
    advice = []
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, *rest: advice.append((os.fstat(fd).st_ino, *rest)))
    for key in ROWS:
        store.write(ARRAY, key, data(key))
    tiles = store.read_ahead([(ARRAY, key) for key in (A, C)])
    np.testing.assert_array_equal(next(tiles), data(A))
    # the chunks of A and then those of C, in blocks, all 160 bytes of each
    chunks = [chunk_file(store, number).stat().st_ino for number in (0, 2, 3, 4)]
    assert advice == [(c, start, 50, os.POSIX_FADV_WILLNEED) for c in chunks for start in (0, 50, 100, 150)]
    np.testing.assert_array_equal(next(tiles), data(C))
    assert len(advice) == 16


def test_tiles_are_read_ahead_where_the_system_takes_no_advice(store, monkeypatch):
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    store.write(ARRAY, C, data(C))
    (found,) = store.read_ahead([(ARRAY, C)])
    np.testing.assert_array_equal(found, data(C))


def test_the_layout_is_parsed_once_until_it_changes(store):
    first = store.layout()
    assert DesignStore.open(store.path).layout() is first
    store.prepare([TileSpec(ARRAY, "d" * 64, 2, 5)], {ARRAY: CHUNK})
    assert set(store.layout()["arrays"][ARRAY]["tiles"]) == {*ROWS, "d" * 64}
    assert set(first["arrays"][ARRAY]["tiles"]) == set(ROWS)


def test_bytes_on_disk_are_counted(store):
    before = store.nbytes()
    store.write(ARRAY, A, data(A))
    chunk = chunk_file(store, 0).stat().st_size
    assert chunk == CHUNK * 5 * 8 + 4
    assert store.nbytes() - before == chunk + store.ledger_path(ARRAY, A).stat().st_size


def test_free_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    assert free_disk(tmp_path / "not" / "there") > 0


def test_the_five_label_arrays_are_those_of_the_layout():
    assert LABEL_ARRAYS == ("target", "kind", "frame", "atom", "group")


def test_digests_that_stood_in_the_layout_go_on(store):
    digests = np.arange(64, dtype=np.uint8).reshape(2, 32)
    as_format_1(store)
    path = store.path / "layout.json"
    before = json.loads(path.read_text())
    path.write_text(json.dumps({**before, "frames": [bytes(d).hex() for d in digests]}))
    new = np.full((1, 32), 7, np.uint8)
    assert store.prepare([], {}, frames=np.concatenate([new, digests])).tolist() == [2, 0, 1]
    assert "frames" not in json.loads(path.read_text())
    np.testing.assert_array_equal(read_digests(store.path), np.concatenate([digests, new]))
    (store.path / "frames.sha256").write_bytes(b"12345")
    with pytest.raises(StoreError, match=r"frames\.sha256: expected 32 bytes for each frame, found 5"):
        store.prepare([], {}, frames=new)
    (store.path / "frames.sha256").write_bytes(bytes(96))
    with pytest.raises(StoreError, match=r"frames\.sha256: expected 3 frames of SHA-256"):
        store.prepare([], {}, frames=new)
