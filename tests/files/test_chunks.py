"""Chunk files: the bytes that zarr writes, read by zarr and by us; checksums; nothing half-written."""

from __future__ import annotations

import os

import google_crc32c
import numpy as np
import pytest
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec

from hiertl_dist.errors import StoreError
from hiertl_dist.files.chunks import ChunkedRows, crc32c, joined, read_tile, replacing, writing

COLUMNS = 5
SHAPES = {"one chunk": (8, 8), "padded": (7, 8), "three chunks": (24, 8), "three chunks, padded": (17, 8)}
"""Rows of a tile, and rows of a chunk."""

shapes = pytest.mark.parametrize(("rows", "chunk_rows"), SHAPES.values(), ids=SHAPES)
types = pytest.mark.parametrize(("dtype", "fill"), [("float64", np.nan), ("int32", -1)])


def create(folder, chunk_rows, dtype="float64", fill=np.nan, **more):
    """An array of six chunks, made as the store makes it."""
    settings = {"chunks": (chunk_rows, COLUMNS), "compressors": [Crc32cCodec()], "dtype": dtype, "fill_value": fill}
    return zarr.create_array(
        folder, shape=(6 * chunk_rows, COLUMNS), **(settings | more), config={"write_empty_chunks": True}
    )


def numbers(rows, dtype="float64"):
    return (1e3 * np.random.default_rng(rows).normal(size=(rows, COLUMNS))).astype(dtype)


def write(chunks, first, rows, parts):
    with writing(chunks, first, rows, "the tile") as tile:
        for part in parts:
            tile.append(part)
    return tile.crc


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in (folder / "c").rglob("*") if p.is_file()}


@types
@shapes
def test_the_files_are_those_that_zarr_writes(tmp_path, rows, chunk_rows, dtype, fill):
    ours, theirs = (create(tmp_path / name, chunk_rows, dtype, fill) for name in ("ours", "theirs"))
    data = numbers(rows, dtype)
    assert write(ChunkedRows.open(tmp_path / "ours"), 2, rows, [data]) == crc32c(data)
    padded = np.full((-(-rows // chunk_rows) * chunk_rows, COLUMNS), fill, dtype)
    padded[:rows] = data
    theirs[2 * chunk_rows : 2 * chunk_rows + len(padded)] = padded
    assert files(tmp_path / "ours") == files(tmp_path / "theirs")
    np.testing.assert_array_equal(ours[2 * chunk_rows :][: len(padded)], padded)


@types
@shapes
def test_what_zarr_wrote_is_read(tmp_path, rows, chunk_rows, dtype, fill):
    array = create(tmp_path, chunk_rows, dtype, fill)
    data = numbers(6 * chunk_rows, dtype)
    array[:] = data
    out = np.empty((rows, COLUMNS), dtype)
    assert read_tile(ChunkedRows.open(tmp_path), 1, out) == crc32c(out)
    np.testing.assert_array_equal(out, data[chunk_rows:][:rows])


@pytest.mark.parametrize("cuts", [[], [1], [8], [3, 9, 9, 16]])
def test_parts_of_any_length_are_the_same_as_the_whole(tmp_path, cuts):
    for name in ("whole", "parts"):
        create(tmp_path / name, 8)
    data = numbers(17)
    whole = write(ChunkedRows.open(tmp_path / "whole"), 0, 17, [data])
    assert write(ChunkedRows.open(tmp_path / "parts"), 0, 17, np.split(data, cuts)) == whole
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


@pytest.mark.parametrize("block", [1, 100, 2**19])
def test_blocks_of_any_size_are_the_same(tmp_path, monkeypatch, block):
    monkeypatch.setattr("hiertl_dist.files.chunks.BLOCK", block)
    create(tmp_path, 8)
    chunks, data = ChunkedRows.open(tmp_path), numbers(17)
    assert write(chunks, 0, 17, [np.asfortranarray(data)]) == crc32c(data)
    for out in (np.empty((17, COLUMNS)), np.empty((17, COLUMNS), order="F"), np.empty((17, 9))[:, 2:7]):
        assert read_tile(chunks, 0, out) == crc32c(data)
        np.testing.assert_array_equal(out, data)


@pytest.mark.parametrize("first", [0, 1, 37])
@pytest.mark.parametrize("second", [0, 1, 300, 2**20 + 3])
def test_joined_is_the_checksum_of_both(first, second):
    text = np.random.default_rng(first).bytes(first + second)
    found = joined(google_crc32c.value(text[:first]), google_crc32c.value(text[first:]), second)
    assert found == google_crc32c.value(text)
    assert crc32c(np.frombuffer(text[first:], np.uint8), google_crc32c.value(text[:first])) == found


OTHERS = {
    "compressed": {"compressors": [ZstdCodec(), Crc32cCodec()]},
    "without a checksum": {"compressors": None},
    "big-endian": {"serializer": BytesCodec(endian="big")},
    "chunks of some columns": {"chunks": (8, 2)},
    "other keys": {"chunk_key_encoding": {"name": "default", "separator": "."}},
    "keys of zarr 2": {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
}


@pytest.mark.parametrize("more", OTHERS.values(), ids=OTHERS)
def test_other_chunks_are_refused(tmp_path, more):
    create(tmp_path, 8, **more)
    with pytest.raises(StoreError, match=r"zarr.json: expected chunks of 5 columns, codecs .* keys .*; found"):
        ChunkedRows.open(tmp_path)


@pytest.mark.parametrize("content", [None, "", "{}", '{"chunk_grid": 3}'])
def test_what_describes_no_array_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "zarr.json").write_text(content)
    with pytest.raises(StoreError, match=r"zarr.json: expected an array of rows, found \w+Error"):
        ChunkedRows.open(tmp_path)


def test_an_error_leaves_what_was_there_and_no_unfinished_file(tmp_path):
    create(tmp_path, 8)
    chunks = ChunkedRows.open(tmp_path)
    write(chunks, 0, 17, [numbers(17)])
    before = files(tmp_path)

    def parts():
        yield numbers(10)
        assert len(files(tmp_path)) > len(before)
        raise RuntimeError("no rows")

    with pytest.raises(RuntimeError, match="no rows"):
        write(chunks, 0, 17, parts())
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([numbers(9), numbers(7)], r"expected shape \(17, 5\), got \(16, 5\)"),
        ([numbers(9), numbers(9)], r"expected shape \(17, 5\), got \(18, 5\)"),
        ([numbers(9), numbers(8)[:, :4]], r"expected shape \(17, 5\), got \(17, 4\)"),
        ([numbers(17).ravel()], r"expected shape \(17, 5\), got \(85,\)"),
        ([numbers(17).astype("complex128")], "expected numbers of type float64, got complex128"),
        ([numbers(9), np.full((8, COLUMNS), np.nan)], "row 9, column 0 is nan"),
    ],
)
def test_wrong_parts_are_refused_and_nothing_appears(tmp_path, parts, text):
    create(tmp_path, 8)
    with pytest.raises(StoreError, match=f"the tile: {text}"):
        write(ChunkedRows.open(tmp_path), 0, 17, parts)
    assert files(tmp_path) == {}


def replace_with(path, content, divisor=1):
    with replacing(path) as stream:
        stream.write(content)
        assert divisor / divisor
    return path


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    before = os.umask(0o027)
    try:
        path = replace_with(tmp_path / "new" / "file", b"first")
    finally:
        os.umask(before)
    with pytest.raises(ZeroDivisionError):
        replace_with(path, b"second", 0)
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == {"file": b"first"}
    assert path.stat().st_mode & 0o777 == 0o640
