"""The chunk files of a zarr array whose rows are chunked and whose columns are not, written and read without zarr.

zarr's own path copies each chunk on its way to disk and on its way back: alone, without looking for numbers that are
not finite and without the ledger's checksum of the rows, it wrote a tile of 24 MiB at 0.64 of the speed of ``tofile``
and one CRC32C, and read one at 0.5 of that of ``fromfile`` and one. Here each block is looked at, checksummed and
handed on while it is in the cache, once for chunk and ledger: 0.84 and 0.9 to 1.1, all in (``benchmarks/store_io.py``).
What is on disk is what zarr puts there and reads: the rows, little-endian, padded with the fill value, and their
CRC32C, in ``c/<chunk>/0``.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Self

import google_crc32c
import numpy as np

from ..errors import StoreError
from .object_path import ObjectPath
from .paths import opened, replacing
from .places import read_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

    from .object_path import Place

BLOCK: Final = 2**19
"""Bytes that are read, checked and written at a time: what any processor's second cache holds."""

TRAILER: Final = 4
"""Bytes of the CRC32C at the end of a chunk."""

CODECS: Final = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]

KEYS: Final = {"name": "default", "configuration": {"separator": "/"}}

POLYNOMIAL: Final = 0x82F63B78
"""CRC32C's, its highest power in the lowest bit."""


def crc32c(data: NDArray[Any], before: int = 0) -> int:
    """CRC32C of an array's bytes in C order, or of them after bytes whose CRC32C is ``before``."""
    return int(google_crc32c.extend(before, np.ascontiguousarray(data).reshape(-1).view(np.uint8)))


def joined(first: int, second: int, length: int) -> int:
    """CRC32C of two runs of bytes one after the other, from that of each and the length of the second."""
    return _product(_power(8 * length), first) ^ second


def _product(a: int, b: int) -> int:
    """The product of two polynomials over GF(2), modulo CRC32C's; bit 31 is x⁰."""
    product = 0
    for bit in range(31, -1, -1):
        product ^= b if a >> bit & 1 else 0
        b = b >> 1 ^ (POLYNOMIAL if b & 1 else 0)
    return product


@lru_cache(maxsize=64)
def _power(n: int) -> int:
    """xⁿ modulo CRC32C's polynomial."""
    power, square = 1 << 31, 1 << 30
    while n:
        power = _product(power, square) if n & 1 else power
        square, n = _product(square, square), n >> 1
    return power


@dataclass(frozen=True)
class ChunkedRows:
    """An array's folder, and what its chunks are.

    Attributes
    ----------
    folder : Path or ObjectPath
        The folder of the array.
    rows, columns : int
        Those of a chunk.
    dtype : dtype
        That of its numbers, little-endian.
    fill : float
        What rows that nobody wrote hold.
    """

    folder: Place
    rows: int
    columns: int
    dtype: np.dtype[Any]
    fill: float

    @classmethod
    def open(cls, folder: Place) -> Self:
        """Look at an array's ``zarr.json``. Raises StoreError if it is not there, or describes other chunks."""
        path = folder / "zarr.json"
        try:
            metadata = json.loads(path.read_text())
            rows, columns = metadata["chunk_grid"]["configuration"]["chunk_shape"]
            dtype, fill, across = np.dtype(metadata["data_type"]), float(metadata["fill_value"]), metadata["shape"][1]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path}: expected an array of rows, found {type(error).__name__}: {error}") from error
        codecs = [{k: v for k, v in codec.items() if v} for codec in metadata["codecs"]]
        keys = metadata["chunk_key_encoding"]
        if codecs != CODECS or columns != across or keys != KEYS:
            raise StoreError(
                f"{path}: expected chunks of {across} columns, codecs {CODECS}, keys {KEYS}; "
                f"found {columns}, {codecs}, {keys}"
            )
        return cls(folder, rows, columns, dtype.newbyteorder("<"), fill)

    @property
    def nbytes(self) -> int:
        """Bytes of a chunk without its checksum."""
        return self.rows * self.columns * self.dtype.itemsize

    def path(self, number: int) -> Place:
        """The file of a chunk."""
        return self.folder / "c" / str(number) / "0"

    def blocks(self, rows: int) -> Iterator[slice]:
        """Runs of about BLOCK bytes of so many rows."""
        step = max(1, BLOCK // max(1, self.columns * self.dtype.itemsize))
        return (slice(i, min(i + step, rows)) for i in range(0, rows, step))

    def padding(self, rows: int) -> Iterator[NDArray[Any]]:
        """Blocks of so many rows of the fill value."""
        for block in self.blocks(rows):
            yield np.full((block.stop - block.start, self.columns), self.fill, self.dtype)


class TileWriter:
    """Takes the rows of one tile, part by part, to the files of its chunks; made by :func:`writing`.

    Attributes
    ----------
    rows : int
        How many have been written.
    crc : int
        Their CRC32C.
    """

    def __init__(self, chunks: ChunkedRows, streams: list[BinaryIO], rows: int, name: str, finite: bool) -> None:
        self.rows = 0
        self.crc = 0
        self._chunks, self._streams, self._name, self._finite = chunks, streams, name, finite
        self._expected = (rows, chunks.columns)
        self._chunk_crc = 0

    def append(self, part: NDArray[Any]) -> None:
        """Write the next rows, (some, columns).

        Raises
        ------
        StoreError
            They have other columns, are more than were planned, are not all finite, or of a type that would be cut.
        """
        shape = (self.rows + len(part), *part.shape[1:])
        if shape[1:] != self._expected[1:] or shape[0] > self._expected[0]:
            raise StoreError(f"{self._name}: expected shape {self._expected}, got {shape}")
        if not np.can_cast(part.dtype, self._chunks.dtype):
            raise StoreError(f"{self._name}: expected numbers of type {self._chunks.dtype}, got {part.dtype}")
        part = np.ascontiguousarray(part, self._chunks.dtype)
        while len(part):
            left = self._chunks.rows - self.rows % self._chunks.rows
            self._fill(part[:left])
            part = part[left:]

    def append_all(self, parts: Iterable[NDArray[Any]]) -> None:
        """Write parts in order, each in a thread while the next is being made; errors as of :meth:`append`."""
        with ThreadPoolExecutor(1, "write rows") as thread:
            written = None
            for part in parts:
                if written is not None:
                    written.result()
                written = thread.submit(self.append, part)
            if written is not None:
                written.result()

    def _fill(self, rows: NDArray[Any]) -> None:
        """Rows that go into one chunk."""
        stream = self._streams[self.rows // self._chunks.rows]
        crc = 0
        for block in self._chunks.blocks(len(rows)):
            if self._finite:
                self._check_finite(rows[block], self.rows + block.start)
            crc = crc32c(rows[block], crc)
            stream.write(rows[block].data)
        self.crc = joined(self.crc, crc, rows.nbytes)
        self._chunk_crc = joined(self._chunk_crc, crc, rows.nbytes)
        self.rows += len(rows)
        if self.rows % self._chunks.rows == 0:
            self._end(stream)

    def _check_finite(self, block: NDArray[Any], first: int) -> None:
        # a sum that is finite has finite terms only, and costs no array of booleans
        with np.errstate(over="ignore", invalid="ignore"):
            total = block.sum()
        if not np.isfinite(total) and not np.isfinite(block).all():
            row, column = (int(x) for x in np.argwhere(~np.isfinite(block))[0])
            raise StoreError(f"{self._name}: row {first + row}, column {column} is {block[row, column]}")

    def _end(self, stream: BinaryIO) -> None:
        stream.write(self._chunk_crc.to_bytes(TRAILER, "little"))
        self._chunk_crc = 0

    def finish(self) -> None:
        """Pad the last chunk. Raises StoreError if fewer rows were written than were planned."""
        if self.rows != self._expected[0]:
            raise StoreError(f"{self._name}: expected shape {self._expected}, got {(self.rows, self._chunks.columns)}")
        missing = -self.rows % self._chunks.rows
        for block in self._chunks.padding(missing):
            self._chunk_crc = crc32c(block, self._chunk_crc)
            self._streams[-1].write(block.data)
        if missing:
            self._end(self._streams[-1])


@contextmanager
def writing(chunks: ChunkedRows, first: int, rows: int, name: str, *, finite: bool = True) -> Iterator[TileWriter]:
    """Write a tile of so many rows into chunks ``first`` and those after it, which appear when all is written.

    Parameters
    ----------
    chunks : ChunkedRows
        The array.
    first : int
        The number of the first chunk.
    rows : int
        Rows of the tile.
    name : str
        Name of the tile, for errors.
    finite : bool, default True
        Refuse numbers that are not finite.

    Yields
    ------
    TileWriter
        Takes the rows.
    """
    with ExitStack() as stack:
        numbers = range(first, first + -(-rows // chunks.rows))
        streams = [stack.enter_context(replacing(chunks.path(n))) for n in numbers]
        writer = TileWriter(chunks, streams, rows, name, finite)
        yield writer
        writer.finish()


def read_tile(chunks: ChunkedRows, first: int, out: NDArray[Any]) -> int:
    """Read a tile from chunks ``first`` and those after it; the CRC32C of its rows.

    Parameters
    ----------
    chunks : ChunkedRows
        The array.
    first : int
        The number of the first chunk.
    out : ndarray of shape (rows, columns)
        Of the chunks' type, overwritten; there is no copy where it is C-contiguous.

    Returns
    -------
    int
        The CRC32C.

    Raises
    ------
    ValueError
        A chunk's checksum or size is wrong.
    OSError
        There is no such chunk.
    """
    crc = 0
    for number, start in enumerate(range(0, len(out), chunks.rows), first):
        rows = out[start : start + chunks.rows]
        crc = joined(crc, _read_chunk(chunks, number, rows), rows.nbytes)
    return crc


def read_rows(chunks: ChunkedRows, first: int, start: int, out: NDArray[Any]) -> None:
    """Some rows of a tile, without a look at checksums: whoever reads a part of a chunk has some of his own.

    Parameters
    ----------
    chunks : ChunkedRows
        The array.
    first : int
        The number of the tile's first chunk.
    start : int
        The first row, within the tile.
    out : ndarray of shape (rows, columns)
        Of the chunks' type and C-contiguous, overwritten.

    Raises
    ------
    ValueError
        A chunk is too short.
    OSError
        There is no such chunk.
    """
    done = 0
    while done < len(out):
        number, within = divmod(start + done, chunks.rows)
        part = out[done : done + chunks.rows - within]
        path = chunks.path(first + number)
        if read_at(path, within * chunks.columns * chunks.dtype.itemsize, part.data) != part.nbytes:
            raise ValueError(f"{path}: expected {chunks.nbytes + TRAILER} bytes, found {path.stat().st_size}")
        done += len(part)


def chunk_fault(chunks: ChunkedRows, number: int) -> str:
    """What is wrong with a whole chunk, rows that pad it too; nothing if it is as it was written."""
    try:
        _read_chunk(chunks, number, np.empty((chunks.rows, chunks.columns), chunks.dtype))
    except FileNotFoundError:
        return "expected a chunk, found no file"
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def expect(chunks: ChunkedRows, first: int, rows: int) -> None:
    """Have the system read a tile from disk while other work is done, where it can; what is wrong shows on reading."""
    if not hasattr(os, "posix_fadvise"):  # macOS
        return
    for number in range(first, first + -(-rows // chunks.rows)):
        path = chunks.path(number)
        if isinstance(path, ObjectPath):  # which no system reads
            return
        with suppress(OSError), path.open("rb") as stream:
            # Linux reads ahead no more than a device takes in one request, for each time that it is told to
            for start in range(0, chunks.nbytes, BLOCK):
                os.posix_fadvise(stream.fileno(), start, BLOCK, os.POSIX_FADV_WILLNEED)


def _read_chunk(chunks: ChunkedRows, number: int, out: NDArray[Any]) -> int:
    """The first rows of a chunk; their CRC32C. The whole chunk is checked."""
    path = chunks.path(number)
    direct = out.flags.c_contiguous
    with opened(path) as (stream, size):
        expected = chunks.nbytes + TRAILER
        if size != expected:
            raise ValueError(f"{path}: expected {expected} bytes, found {size}")
        rows_crc = 0
        for block in chunks.blocks(len(out)):
            data = out[block] if direct else np.empty(out[block].shape, chunks.dtype)
            stream.readinto(data.data)
            rows_crc = crc32c(data, rows_crc)
            if not direct:
                out[block] = data
        chunk_crc = rows_crc
        for data in chunks.padding(chunks.rows - len(out)):
            stream.readinto(data.data)
            chunk_crc = crc32c(data, chunk_crc)
        stored = int.from_bytes(stream.read(TRAILER), "little")
    if stored != chunk_crc:
        raise ValueError(f"{path}: expected CRC32C {stored:08x}, found {chunk_crc:08x}")
    return rows_crc
