"""Checkpoints of a pass over rows: files of what ranges of leaves came to, so that a pass that was cut goes on.

A range is a whole subtree of the reduction, so its value is the same bits whoever made it, and any other number of
workers of any executor goes on from it. Each file says of which tiles it is, and of which pass: a pass is named by the
digest of all that its summaries depend on. What is damaged is computed again. The files of a pass are deleted once what
they are for is complete (:func:`checkpoints`).
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..algebra import Gram, RFactor, Summary
from ..algebra.packed import pack_upper, packed_size, unpack_upper
from ..errors import ObjectStoreError, StoreError
from ..files.chunks import crc32c
from ..files.json_files import digest_of, read_object, write_json
from ..files.paths import named_place, opened, replacing
from ..files.places import remove_tree
from ..files.write_errors import RESUMES
from ..frames.rows import Group
from .leaves import Reduced
from .summary_batches import require_all_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ..executors.base import Executor
    from ..files.object_path import Place

FORMAT: Final = 1
HEAD: Final = "pass.json"
NAMED_BY: Final = 24
"""Characters of a pass's digest that its folder is named by."""

_log = logging.getLogger("hiertl_dist")


@dataclass(frozen=True)
class Checkpoints:
    """A folder of checkpoints.

    Attributes
    ----------
    folder : Path or ObjectPath
        Its absolute path; workers on other machines have to see it under the same name.
    passes : list of Path or ObjectPath
        Folders of the passes that have used it.
    """

    folder: Place
    passes: list[Place] = field(default_factory=list)

    def discard(self) -> None:
        """Delete what the passes that have used it left there; what other passes left is told of."""
        with _told(self.folder):
            self._discard_since(0)
            others = sorted(p.parent.name for p in self.folder.glob(f"*/{HEAD}"))
            if others:
                _log.warning(
                    "%s: checkpoints of %d other passes are there (%s …), cut before they were complete and with other "
                    "frames or settings; delete them if nobody goes on with those",
                    self.folder, len(others), others[0],
                )  # fmt: skip

    def discard_since(self, first: int) -> None:
        """Delete what the passes have left there, but for so many at first."""
        with _told(self.folder):
            self._discard_since(first)

    def _discard_since(self, first: int) -> None:
        for one in self.passes[first:]:
            remove_tree(one)
        with suppress(OSError):  # something else is there, or nothing
            self.folder.rmdir()


@contextmanager
def _told(folder: Place) -> Iterator[None]:
    """Tell of a server that can't be reached any more, and go on: what the checkpoints were for is complete."""
    try:
        yield
    except ObjectStoreError as error:
        reason = str(error).removesuffix(f". {RESUMES}")
        _log.warning(
            "what checkpoints in %s were for is complete and written, but not all of them could be deleted: %s. They "
            "are of no use any more: delete them with the tools of the server", folder, reason,
        )  # fmt: skip


def checkpoints_in(given: Checkpoints | str | Place | None) -> Checkpoints | None:
    """The checkpoints of a folder. Raises InputError where it is a URL of anything but an object store."""
    if given is None or isinstance(given, Checkpoints):
        return given
    return Checkpoints(named_place(given, "checkpoint").absolute())


def discard(kept: Checkpoints | None, executor: Executor) -> None:
    """Delete what the passes so far have left in some checkpoints, for all is complete that they are for."""
    if kept is not None and kept.passes:
        executor.once(kept.discard, what=f"delete checkpoints in {kept.folder}")


@contextmanager
def checkpoints(given: Checkpoints | str | Place | None, executor: Executor) -> Iterator[Checkpoints | None]:
    """The checkpoints of a folder, deleted when all is done; what is given as checkpoints is left to who made them."""
    kept = checkpoints_in(given)
    yield kept
    if kept is not given:
        discard(kept, executor)


@dataclass(frozen=True)
class PassFolder:
    """The checkpoints of one pass.

    Attributes
    ----------
    folder : Path or ObjectPath
        Where its files are.
    plan : str
        Digest of all that the pass depends on.
    leaves : int
        How many the pass has.
    size : int
        Leaves of a range, a power of two.
    complete : frozenset of int
        First leaves of ranges that were there when the pass began.
    """

    folder: Place
    plan: str
    leaves: int
    size: int
    complete: frozenset[int] = frozenset()

    @property
    def depth(self) -> int:
        """Merges above a leaf within a range: so many values of the branch wait there for others."""
        return self.size.bit_length() - 1

    def path(self, lo: int, hi: int) -> Place:
        """The file of leaves lo up to but not including hi."""
        return self.folder / f"{lo:08d}-{hi:08d}.range"

    def claim_path(self, lo: int, hi: int) -> Place:
        """The file by which a process claims them, so that no other computes them meanwhile."""
        return self.folder / f"{lo:08d}-{hi:08d}.claim"

    def is_wanted(self, lo: int, hi: int) -> bool:
        """Whether the pass is still made, and nobody has written these leaves."""
        places = (self.path(lo, hi), self.path(0, self.leaves))
        return (self.folder / HEAD).exists() and not any(place.exists() for place in places)

    def leave(self) -> None:
        """Delete the folder if the run whose pass it was has ended, and with it what was written too late."""
        if not (self.folder / HEAD).exists():
            remove_tree(self.folder)
            with suppress(OSError):
                self.folder.parent.rmdir()

    def as_head(self) -> dict[str, Any]:
        """What the head says beside the size of ranges."""
        return {"format": FORMAT, "plan": self.plan, "leaves": self.leaves}

    def write(self, lo: int, hi: int, tiles: Sequence[str], groups: Mapping[Group, Reduced]) -> None:
        """Write what some leaves came to. Raises OSError, ObjectStoreError."""
        entries: list[dict[str, Any]] = []
        numbers: list[NDArray[np.float64]] = []
        for group, reduced in groups.items():
            flat = _numbers_of(reduced.summary), np.ascontiguousarray(reduced.squares, "<f8")
            summary = reduced.summary
            entries.append({
                "group": group.as_list(), "kind": summary.kind, "rows": int(summary.rows), "width": int(summary.width),
                "n_targets": int(summary.n_targets), "counts": [len(part) for part in flat],
                "crc32c": crc32c(flat[1], crc32c(flat[0])),
            })  # fmt: skip
            numbers += flat
        text = json.dumps({
            "format": FORMAT, "plan": self.plan, "leaves": [lo, hi], "tiles": list(tiles), "groups": entries,
        }).encode()  # fmt: skip
        with replacing(self.path(lo, hi)) as stream:
            stream.write(hashlib.sha256(text).hexdigest().encode() + b"\n" + text + b"\n")
            for part in numbers:
                stream.write(part.data)

    def read(self, lo: int, hi: int, tiles: Sequence[str]) -> dict[Group, Reduced]:
        """What :meth:`write` wrote of these tiles.

        Raises
        ------
        StoreError
            The file is damaged, or is of other tiles or another pass.
        OSError
            It can't be read.
        """
        path = self.path(lo, hi)
        with opened(path) as (raw, _):
            stream = io.BufferedReader(raw)
            checksum, text = stream.readline().strip(), stream.readline().rstrip(b"\n")
            if hashlib.sha256(text).hexdigest().encode() != checksum:
                raise StoreError(f"{path}: its header does not match its checksum")
            header = json.loads(text)
            wanted = {"format": FORMAT, "plan": self.plan, "leaves": [lo, hi], "tiles": list(tiles)}
            if differing := [key for key, value in wanted.items() if header.get(key) != value]:
                raise StoreError(f"{path}: it is of another pass: {', '.join(differing)} differ")
            groups = [_read_group(stream.read, entry, path) for entry in header["groups"]]
            if stream.read(1):
                raise StoreError(f"{path}: it is longer than its header says")
        return dict(groups)

    def keep_whole(self, tiles: Sequence[str], groups: Mapping[Group, Reduced]) -> None:
        """Write what the whole pass came to, and delete the ranges. Where that can't be written, ranges stay."""
        whole = self.path(0, self.leaves)
        try:
            self.write(0, self.leaves, tiles, groups)
        except (OSError, ObjectStoreError) as error:
            _log.warning("%s: %s; its ranges stay", whole, error)
            return
        for path in self.folder.glob("*.range"):
            if path != whole:
                path.unlink(missing_ok=True)


def _numbers_of(summary: Summary) -> NDArray[np.float64]:
    if isinstance(summary, RFactor):
        flat = pack_upper(summary.r) if summary.is_triangle else summary.r.ravel(order="F")
    else:
        assert isinstance(summary, Gram)
        flat = summary.g.ravel(order="F")
    return np.ascontiguousarray(flat, "<f8")


def _read_group(read: Callable[[int], bytes], entry: Mapping[str, Any], path: Place) -> tuple[Group, Reduced]:
    group, where = Group(*entry["group"]), f"{path}: group {entry['group']}"
    rows, width, targets = entry["rows"], entry["width"], entry["n_targets"]
    parts = [np.frombuffer(read(8 * count), np.uint8) for count in entry["counts"]]
    if [len(p) for p in parts] != [8 * c for c in entry["counts"]]:
        raise StoreError(f"{where}: expected {sum(entry['counts'])} numbers, found fewer: the file was cut")
    if crc32c(parts[1], crc32c(parts[0])) != entry["crc32c"]:
        raise StoreError(f"{where}: its numbers do not match their checksum")
    flat, squares = (p.view("<f8").astype(np.float64) for p in parts)
    try:
        summary = _summary_from(entry["kind"], flat, rows, width, targets)
    except ValueError as error:
        raise StoreError(f"{where}: {error}") from error
    if len(squares) and isinstance(summary, RFactor):
        require_all_rows(summary, squares, where)
    return group, Reduced(summary, squares)


def _summary_from(kind: str, flat: NDArray[np.float64], rows: int, width: int, targets: int) -> Summary:
    if kind == Gram.kind:
        return Gram(flat.reshape((width, width), order="F"), rows, targets)
    if rows >= width:
        if len(flat) != packed_size(width):
            raise ValueError(f"expected {packed_size(width)} numbers of a triangle, found {len(flat)}")
        return RFactor(unpack_upper(flat), rows, targets)
    return RFactor(flat.reshape((rows, width), order="F"), rows, targets)


def opened_pass(kept: Checkpoints, plan: str, leaves: int, choose: Callable[[], int], what: str) -> PassFolder | None:
    """The checkpoints of a pass, those that are there or new ones; ``choose`` says how many leaves a new range has.

    Returns None where there are none and the pass is not worth any, ``choose`` being 0.

    Raises
    ------
    StoreError
        What is there is damaged or of another pass.
    """
    place = begun_pass(kept, plan, leaves)
    if place is None:
        size = choose()
        if size == 0:
            return None
        place = PassFolder(kept.folder / plan[:NAMED_BY], plan, leaves, size)
        write_json(place.folder / HEAD, _signed({**place.as_head(), "range": size}))
    elif place.complete:
        _log.warning(
            "%s: goes on from %d of %d ranges of tiles that a run before has left in %s",
            what, len(place.complete), -(-leaves // place.size), place.folder,
        )  # fmt: skip
    return place


def begun_pass(kept: Checkpoints, plan: str, leaves: int) -> PassFolder | None:
    """The checkpoints of a pass that are there; None where there are none. Raises StoreError as :func:`opened_pass`."""
    folder = kept.folder / plan[:NAMED_BY]
    head = folder / HEAD
    try:
        found = read_object(head)
    except FileNotFoundError:
        return None
    size = found.get("range", 0)
    whole = type(size) is int and size >= 1 and not size & (size - 1)
    place = PassFolder(folder, plan, leaves, size)
    if not whole or found != _signed({**place.as_head(), "range": size}):
        raise StoreError(
            f"{head}: expected the checkpoints of this pass, found damaged ones or those of another; delete the folder "
            f"{folder} to begin anew, or name another one as checkpoint"
        )
    names = {p.name for p in folder.glob("*.range")}
    is_whole = place.path(0, leaves).name in names
    ranges = [(lo, min(lo + size, leaves)) for lo in range(0, leaves, size)]
    there = frozenset(lo for lo, hi in ranges if is_whole or place.path(lo, hi).name in names)
    return PassFolder(folder, plan, leaves, size, there)


def _signed(content: Mapping[str, Any]) -> dict[str, Any]:
    return {**content, "check": digest_of(dict(content))}


def whole_of(place: PassFolder, tiles: Sequence[str]) -> dict[Group, Reduced] | None:
    """What the whole pass came to, where a run before has come so far."""
    if not place.path(0, place.leaves).exists():
        return None
    try:
        return place.read(0, place.leaves, tiles)
    except (StoreError, OSError) as error:
        _log.warning("%s; it is computed again", error)
        return None
