"""Parts of a data set on disk: runs of frames as arrays, each written by one worker and complete once its ledger is.

Layout of the folder::

    zarr.json             attributes: what this is, and its format
    dataset.json          the parts that belong to it, in order; texts and formulas that frames have numbers of
    dataset.json.copy     the same, for ``hiertl-dist store repair`` to go back to
    frames/numbers/       int32 (frames, 8): atoms, formula, group, labels, periodicity, text and number of the origin,
                          where labels came from
    frames/values/        float64 (frames, 16): energy, stress xx yy zz xy xz yz, three lattice vectors
    frames/lines/         int64 (frames, 1): line, from 1, of its text file that a frame begins on; 0 of one of none
    frames/digests/       uint64 (frames, 8): 32 bytes of Frame.digest, 32 of Frame.configuration
    atoms/types/          int16 (atoms, 1); atoms/positions/, atoms/forces/: float64 (atoms, 3)
    ledger/<part>.json    written last: what the part's numbers stand for, and the CRC32C of each block of its rows

Units are the package's: Å, kcal/mol, kcal/mol/Å, kcal/mol/Å³. NaN is a label that is not there. A part owns whole
chunks, so that writers need no lock, and rows that pad its last chunk mean nothing. Numbers of a part count its own
texts; ``dataset.json`` says which of all those are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import StoreError
from ..files.chunks import ChunkedRows, crc32c, read_rows, writing
from ..files.json_files import write_json
from ..frames.frame_facts import Formula, label_bits
from ..frames.labels import LabelOrigin

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from ..files.object_path import Place
    from ..frames.frame_table import FrameTable

FORMAT: Final = 1

MOST_FRAMES: Final = 2048
MOST_ATOMS: Final = 65536
"""A part is closed before it has more; a frame that has more atoms stands alone."""

CHUNK: Final = {"frames": 2048, "atoms": 16384}
"""Rows of a chunk."""

BLOCK: Final = {"frames": 256, "atoms": 4096}
"""Rows that have a checksum of their own: who reads a few frames of a part reads the blocks that they are in."""

ARRAYS: Final[Mapping[str, tuple[str, int, float]]] = {
    "frames/numbers": ("int32", 8, -1), "frames/values": ("float64", 16, np.nan), "frames/digests": ("uint64", 8, 0),
    "frames/lines": ("int64", 1, 0),
    "atoms/types": ("int16", 1, -1), "atoms/positions": ("float64", 3, np.nan), "atoms/forces": ("float64", 3, np.nan),
}  # fmt: skip
"""Type of numbers, columns, and what rows hold that nobody wrote."""

ZERO_ENERGY: Final = 8
"""The bit beside those of the periodicity that says that the energy is exactly 0 although there are forces."""

AGAIN: Final = (
    "'hiertl-dist store repair' of this folder mends what can be mended, and says how; else import the data into "
    "another folder"
)


@dataclass(frozen=True)
class Part:
    """A run of frames of a data set, and which chunks are its.

    Attributes
    ----------
    number : int
        By which its ledger is named.
    frames, atoms : int
        How many.
    first_frames, first_atoms : int
        The first of its chunks in the arrays of frames, and in those of atoms.
    """

    number: int
    frames: int
    atoms: int
    first_frames: int
    first_atoms: int

    def rows(self, array: str) -> int:
        """How many rows of an array it has."""
        return self.frames if array.startswith("frames") else self.atoms

    def first(self, array: str) -> int:
        """The first of its chunks in an array."""
        return self.first_frames if array.startswith("frames") else self.first_atoms

    @property
    def next_frames(self) -> int:
        """The first chunk after its own in the arrays of frames."""
        return self.first_frames + -(-self.frames // CHUNK["frames"])

    @property
    def next_atoms(self) -> int:
        """The first chunk after its own in the arrays of atoms."""
        return self.first_atoms + -(-self.atoms // CHUNK["atoms"])


def following(before: Part | None, frames: int, atoms: int) -> Part:
    """The part of so many frames and atoms that comes after another, or is the first."""
    if before is None:
        return Part(0, frames, atoms, 0, 0)
    return Part(before.number + 1, frames, atoms, before.next_frames, before.next_atoms)


def chunks_of(folder: Place, array: str) -> ChunkedRows:
    """The chunks of an array of a data set."""
    dtype, columns, fill = ARRAYS[array]
    return ChunkedRows(
        folder / array, CHUNK[array.partition("/")[0]], columns, np.dtype(dtype).newbyteorder("<"), fill
    )  # fmt: skip


def ledger_path(folder: Place, number: int) -> Place:
    """The file that says that a part is complete."""
    return folder / "ledger" / f"{number:08d}.json"


# ---- writing


def write_part(
    folder: Place, part: Part, table: FrameTable, source: Mapping[str, Any], met: Mapping[str, Any] | None = None
) -> None:
    """Write the frames of a part, and then its ledger.

    Parameters
    ----------
    folder : Path or ObjectPath
        The data set.
    part : Part
        Which chunks are its.
    table : FrameTable
        Its frames.
    source : mapping from str to object
        Where they came from, for JSON: an import that goes on where another stopped compares it.
    met : mapping from str to object, optional
        What else was learned when they were read, for JSON.

    Raises
    ------
    ValueError
        The table has other frames or atoms than the part.
    """
    if (len(table), int(table.starts[-1])) != (part.frames, part.atoms):
        raise ValueError(f"part {part.number}: expected {part.frames} frames and {part.atoms} atoms, got {len(table)} "
                         f"and {int(table.starts[-1])}")  # fmt: skip
    arrays, texts = _arrays_of(table)
    ledger_path(folder, part.number).unlink(missing_ok=True)  # of an import that stopped, whose chunks are written over
    crcs = {}
    for name, data in arrays.items():
        chunks = chunks_of(folder, name)
        with writing(chunks, part.first(name), len(data), f"{folder}/{name}, part {part.number}", finite=False) as tile:
            tile.append(data)
        step = BLOCK[name.partition("/")[0]]
        crcs[name] = [crc32c(data[i : i + step]) for i in range(0, len(data), step)]
    content = {**asdict(part), **texts, "crc32c": crcs, "source": dict(source), "met": dict(met or {})}
    write_json(ledger_path(folder, part.number), content)


def _arrays_of(table: FrameTable) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The rows of a part, and what its numbers stand for. Arrays of nothing but their fill are left out."""
    formulas: dict[Hashable, int] = {}
    n = len(table)
    numbers = np.empty((n, 8), np.int32)
    digests = np.empty((n, 64), np.uint8)
    for i, frame in enumerate(table):
        bits = sum(1 << k for k, periodic in enumerate(frame.pbc or ()) if periodic)
        bits += ZERO_ENERGY * (frame.energy == 0.0 and frame.forces is not None and bool(frame.forces.any()))
        formula = formulas.setdefault(Formula.of(frame.species), len(formulas))
        numbers[i, :5] = len(frame), formula, table.groups[i], label_bits(frame), bits
        digests[i] = np.frombuffer(bytes.fromhex(frame.digest + frame.configuration), np.uint8)
    numbers[:, 5:7], numbers[:, 7] = table.origins, table.labels
    values = np.concatenate([table.energies[:, None], table.stresses, table.cells.reshape(n, 9)], axis=1)
    arrays = {
        "frames/numbers": numbers, "frames/values": values, "frames/digests": digests.view(np.uint64),
        "atoms/types": table.types[:, None], "atoms/positions": table.positions,
    }  # fmt: skip
    if table.has_forces.any():
        arrays["atoms/forces"] = table.forces
    if table.lines.any():
        arrays["frames/lines"] = table.lines[:, None]
    texts = {
        "names": list(table.names), "formulas": [[list(pair) for pair in f.counts] for f in formulas],  # type: ignore[attr-defined]
        "groups": list(table.group_names), "origins": list(table.origin_texts),
        "labels": [None if o is None else asdict(o) for o in table.label_origins],
    }  # fmt: skip
    return arrays, texts


def label_origin_of(content: Mapping[str, Any] | None) -> LabelOrigin | None:
    """What ``asdict`` made of a LabelOrigin, after JSON."""
    if content is None:
        return None
    pairs = {key: tuple((a, b) for a, b in content[key]) for key in ("keys", "named", "passed_over")}
    return LabelOrigin(content["source"], **pairs, notes=tuple(content["notes"]), doubts=tuple(content["doubts"]))


# ---- reading


def read_ledger(folder: Place, number: int, sha256: str = "") -> dict[str, Any]:
    """What was written when a part was complete, and its digest as ``sha256``.

    Raises StoreError where it is not there, damaged, or not the one with the digest that is asked for.
    """
    path = ledger_path(folder, number)
    try:
        written = path.read_bytes()
        found = hashlib.sha256(written).hexdigest()
        if sha256 and found != sha256:
            raise StoreError(f"{path}: expected SHA-256 {sha256[:12]}, found {found[:12]}: it was changed; {AGAIN}")
        content: dict[str, Any] = {**json.loads(written), "sha256": found}
        Part(*(content[name] for name in ("number", "frames", "atoms", "first_frames", "first_atoms")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: expected the ledger of a part, found {type(error).__name__}: {error}; {AGAIN}"
        ) from error
    return content


def part_of(ledger: Mapping[str, Any]) -> Part:
    """The part that a ledger is of."""
    return Part(*(ledger[name] for name in ("number", "frames", "atoms", "first_frames", "first_atoms")))


def read_blocks(
    folder: Place, part: Part, array: str, blocks: NDArray[np.integer], crcs: Mapping[str, list[int]]
) -> NDArray[Any]:
    """Some blocks of a part's rows, one after the other, their checksums verified.

    Parameters
    ----------
    folder : Path or ObjectPath
        The data set.
    part : Part
        The part.
    array : str
        Name of the array.
    blocks : ndarray of int
        Numbers of the blocks, rising.
    crcs : mapping from str to list of int
        By array, the CRC32C of each block; an array that is not there has nothing but its fill.

    Returns
    -------
    ndarray of shape (rows, columns)
        Rows of all blocks; only the last block of the part may be shorter than the others.

    Raises
    ------
    StoreError
        What is on disk is not what was written.
    """
    dtype, columns, fill = ARRAYS[array]
    step, rows = BLOCK[array.partition("/")[0]], part.rows(array)
    sizes = np.minimum(step, rows - blocks * step)
    shape = int(sizes.sum()), columns
    if array not in crcs:
        return np.full(shape, fill, dtype)
    out = np.empty(shape, dtype)
    chunks = chunks_of(folder, array)
    start = 0
    for run in _runs(folder, blocks, chunks.rows // step):
        first, last = int(blocks[run[0]]), int(blocks[run[-1]])
        length = min(rows, (last + 1) * step) - first * step
        own = out[start : start + int(sizes[run].sum())]
        data = own if length == len(own) else np.empty((length, columns), dtype)
        try:
            read_rows(chunks, part.first(array), first * step, data)
        except (OSError, ValueError) as error:
            raise StoreError(f"{folder}/{array}, part {part.number}: cannot be read: {error}; {AGAIN}") from error
        for i in run.tolist():
            place, size = (int(blocks[i]) - first) * step, int(sizes[i])
            found = crc32c(data[place : place + size])
            if found != (expected := crcs[array][int(blocks[i])]):
                raise StoreError(
                    f"{folder}/{array}, part {part.number}, block {int(blocks[i])}: expected CRC32C {expected:08x}, "
                    f"found {found:08x}; {AGAIN}"
                )
            if data is not own:
                out[start : start + size] = data[place : place + size]
            start += size
    return out


def _runs(folder: Place, blocks: NDArray[np.integer], of_chunk: int) -> list[NDArray[np.intp]]:
    """Places of blocks that are read at once: on a disk those that follow one another.

    Of an object store those of a chunk, with what is between them: a chunk takes less long than a second request.
    """
    ends = np.diff(blocks) != 1 if isinstance(folder, Path) else np.diff(blocks // of_chunk) != 0
    return np.split(np.arange(len(blocks)), np.flatnonzero(ends) + 1)
