"""What a summary store holds: batches, the numbers of each group, the check of their rows, and settings that agree.

The files are the business of :mod:`hiertl_dist.fitting.summary_store`; here is what is in them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..algebra import RFactor
from ..algebra.lapack import Vector, column_norms
from ..algebra.packed import pack_upper, unpack_upper
from ..design_matrix.store_layout import what_rows_depend_on
from ..errors import StoreError
from ..files.chunks import crc32c
from ..files.json_files import digest_of
from ..files.paths import difference_lines
from ..frames.element_set import ElementSet
from ..frames.frame_records import FrameRecords
from ..frames.rows import Group
from .frame_checks import require_distinct
from .stored_frames import NOBODY, FramesEntry, StoredFrames

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..files.object_path import Place

NORM_TOLERANCE: Final = 1e-9
"""By how much a column's norm in the factor may differ from that of its rows, as a part of it.

The error of Householder QR is a part of each column's own norm, whatever the sizes of the others: at most a multiple
of rows · width · ε (Higham, Accuracy and Stability of Numerical Algorithms, theorem 19.4), in practice a few ε. That of
a running sum of squares is at most rows · ε: 1e-10 for half a million rows, in practice its root.
"""


@dataclass(frozen=True)
class GroupEntry:
    """Where the factor of one group is: ``count`` numbers from number ``offset`` of the batch's file, and their CRC32C.

    ``rows`` were reduced; [A | T] has ``width`` columns, T has ``n_targets``.
    """

    group: Group
    rows: int
    width: int
    n_targets: int
    offset: int
    count: int
    crc32c: int


@dataclass(frozen=True)
class Batch:
    """The frames of one element set from one pass, reduced.

    ``elements`` is the set (``CN``), ``info`` what else is known of the frames, as JSON has it. The records of the
    frames are on disk (:meth:`~hiertl_dist.fitting.summary_store.SummaryStore.records`).
    """

    id: str
    elements: ElementSet
    blocks: tuple[ElementSet, ...]
    frames: FramesEntry
    tiles: tuple[str, ...]
    groups: tuple[GroupEntry, ...]
    info: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @cached_property
    def entries(self) -> dict[Group, GroupEntry]:
        """Where each group is."""
        return {entry.group: entry for entry in self.groups}

    @property
    def n_numbers(self) -> int:
        """Numbers in the batch's file."""
        return sum(entry.count for entry in self.groups)


@dataclass(frozen=True, eq=False)
class NewBatch:
    """A batch to be written.

    Attributes
    ----------
    elements : ElementSet
        The element set (``CN``).
    blocks : sequence of str
        Blocks of the columns, in their order.
    frames : iterable of FrameRecords
        The frames that the factors have seen, each in one live batch only; gone through several times.
    tiles : sequence of str
        The tiles that they have seen, each in one live batch only.
    factors : mapping from Group to RFactor
        Those of the rows [A | T] of each group, all with the same columns and targets.
    squares : mapping from Group to ndarray of shape (width,)
        The sum of squares of each column of [A | T], accumulated from the rows.
    replaces : sequence of str
        Ids of batches that this one supersedes: it has their frames, in the same folds, and their blocks. Their files
        are deleted when the index no longer names them.
    rows : mapping from Group to int, or None
        Number of rows of each group, counted from the frames; compared with what the factors have seen.
    info : mapping from str to object, or None
        What else is to be known of the frames, as JSON has it.
    """

    elements: ElementSet
    blocks: Sequence[ElementSet]
    frames: Iterable[FrameRecords]
    tiles: Sequence[str]
    factors: Mapping[Group, RFactor]
    squares: Mapping[Group, Vector]
    replaces: Sequence[str] = ()
    rows: Mapping[Group, int] | None = None
    info: Mapping[str, Any] | None = None


def label(group: Group) -> str:
    """A group for people: all that tells it from others."""
    composition = f"/{group.composition}" if group.composition else ""
    atoms = f", {group.atoms} atoms" if group.atoms else ""
    fold = f", fold {group.fold}" if group.fold >= 0 else ""
    return f"{group.name}{composition}{atoms}{fold}{', times weights of rows' * group.weighed}"


# ---- batches


def content_of(batch: Batch) -> dict[str, Any]:
    """The batch as JSON has it, without its id, which is the digest of this."""
    return {
        "elements": batch.elements,
        "blocks": list(batch.blocks),
        "frames": {**vars(batch.frames)},
        "tiles": list(batch.tiles),
        "groups": [{**vars(entry), "group": entry.group.as_list()} for entry in batch.groups],
        "info": dict(batch.info),
    }


def batch_from(content: Mapping[str, Any]) -> Batch:
    """The batch that :func:`content_of` wrote, or what stores of format 1 have of one.

    Raises KeyError or TypeError where something else did.
    """
    return Batch(
        id=digest_of(content),
        elements=ElementSet.parse(content["elements"]),
        blocks=tuple(map(ElementSet.parse, content["blocks"])),
        frames=FramesEntry.parse(content["frames"]),
        tiles=tuple(content["tiles"]),
        groups=tuple(GroupEntry(**{**entry, "group": Group(*entry["group"])}) for entry in content["groups"]),
        info=content["info"],
    )


def reduced_batch(new: NewBatch) -> Batch:
    """The batch of these factors, checked; its frames and its id are for :func:`identified`.

    Raises
    ------
    StoreError
        A tile is named twice, the groups of the mappings or the shapes of the factors differ, or a group's factor has
        not seen the rows that ``squares`` and ``rows`` tell of.
    """
    where, factors, squares, rows = f"batch of {new.elements}", new.factors, new.squares, new.rows
    for what, names in (("tile", new.tiles), ("block", new.blocks)):
        if twice := sorted(name for name, times in Counter(names).items() if times > 1):
            raise StoreError(f"{where}: {what} {twice[0]} is named twice")
    for name, others in (("squares", squares), ("rows", rows)):
        if others is not None and (unmatched := sorted(factors.keys() ^ others.keys())):
            has, lacks = ("factors", name) if unmatched[0] in factors else (name, "factors")
            raise StoreError(f"{where}: group {label(unmatched[0])} is in {has} and not in {lacks}")
    entries: list[GroupEntry] = []
    for group in sorted(factors):
        factor, in_group = factors[group], f"{where}, group {label(group)}"
        shape, first = (factor.width, factor.n_targets), entries[0] if entries else None
        if first and shape != (first.width, first.n_targets):
            raise StoreError(
                f"{in_group}: expected (width, targets) {(first.width, first.n_targets)}, as group "
                f"{label(first.group)} has them, found {shape}"
            )
        if rows is not None and rows[group] != factor.rows:
            raise StoreError(f"{in_group}: expected {rows[group]} rows, found {factor.rows} in its factor")
        require_all_rows(factor, squares[group], in_group)
        try:
            parts = numbers_of(factor, squares[group])
        except ValueError as error:
            raise StoreError(f"{in_group}: {error}") from error
        crc, count = 0, 0
        for part in parts:
            crc, count = crc32c(part, crc), count + part.size
        offset = entries[-1].offset + entries[-1].count if entries else 0
        plain = group._replace(fold=int(group.fold), atoms=int(group.atoms))
        entries.append(
            GroupEntry(plain, int(factor.rows), int(factor.width), int(factor.n_targets), offset, count, crc)
        )
    # as it is read back, so that a batch is equal to itself
    known = json.loads(json.dumps(new.info or {}, allow_nan=False))
    return Batch("", new.elements, tuple(new.blocks), NOBODY, tuple(new.tiles), tuple(entries), known)


def identified(batch: Batch, frames: StoredFrames) -> Batch:
    """The batch with its frames and its id. Raises StoreError where there is no frame, or one twice."""
    require_distinct(f"batch of {batch.elements}", frames)
    whole = replace(batch, frames=frames.entry)
    return replace(whole, id=digest_of(content_of(whole)))


def require_known_blocks(path: Place, batch: Batch, settings: dict[str, Any]) -> None:
    """Raise StoreError where a batch of a store has a block that the settings lack."""
    for block in batch.blocks:
        if "blocks" in settings and block not in settings["blocks"]:
            raise StoreError(f"{path}: block {block}: expected one of {sorted(settings['blocks'])}")


# ---- numbers


def numbers_of(factor: RFactor, squares: Vector) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a batch's file has of a group: its factor's numbers, one after the other, and the squares; little-endian.

    Raises ValueError where a triangle has other numbers than zero below its diagonal.
    """
    flat = pack_upper(factor.r) if factor.is_triangle else factor.r.ravel(order="F")
    return np.ascontiguousarray(flat, "<f8"), np.ascontiguousarray(squares, "<f8")


def factor_from(numbers: NDArray[np.float64], entry: GroupEntry, where: str) -> tuple[RFactor, Vector]:
    """The factor and the squares that :func:`numbers_of` made ``numbers`` of; StoreError where they do not fit."""
    native = numbers.astype(np.float64, copy=False)
    flat, squares = native[: -entry.width], native[-entry.width :].copy()
    try:
        r = unpack_upper(flat) if entry.rows >= entry.width else flat.reshape((entry.rows, entry.width), order="F")
        factor = RFactor(r, entry.rows, entry.n_targets)
    except ValueError as error:
        raise StoreError(f"{where}: {error}") from error
    require_all_rows(factor, squares, where)
    return factor, squares


def require_all_rows(factor: RFactor, squares: Vector, where: str) -> None:
    """Compare the norm of each column of the factor with that of the rows, told by their sums of squares (width,).

    Squares below the smallest number are lost, at most half of it each; that much is allowed for.

    Raises
    ------
    StoreError
        The column and both norms are named.
    """
    if np.shape(squares) != (factor.width,):
        raise StoreError(f"{where}: expected sums of squares of shape ({factor.width},), found {np.shape(squares)}")
    with np.errstate(over="ignore", invalid="ignore"):
        norms, expected = column_norms(factor.r), np.sqrt(squares)
        lost = (factor.rows + len(factor.r)) * float(np.finfo(np.float64).smallest_subnormal)
        allowed = NORM_TOLERANCE * expected + np.sqrt(lost)
        wrong = np.flatnonzero(~(np.isfinite(expected) & (np.abs(norms - expected) <= allowed)))
    if len(wrong):
        i = int(wrong[0])
        column = f"column {i}" if i < factor.n_columns else f"target {i - factor.n_columns}"
        raise StoreError(
            f"{where}: {column}: expected the norm of its rows, √{squares[i]:.17g} = {expected[i]:.12g}, found "
            f"{norms[i]:.12g} in the factor of {factor.rows} rows: rows were lost or counted twice"
        )


# ---- settings


def as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they are read back. Raises ValueError naming the key where JSON can't hold the value."""
    plain = {}
    for key, value in settings.items():
        try:
            plain[str(key)] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ValueError(f"settings: {key}: expected what JSON can hold: {error}") from error
    if not isinstance(plain.get("blocks", {}), dict):
        raise ValueError(f"settings: blocks: expected a mapping of names to digests, found {plain['blocks']}")
    return plain


def agreed(where: str, stored: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """The store's settings, with the blocks that are new in ``asked`` and the wider basis.

    Raises
    ------
    StoreError
        A value differs, or neither basis contains the other; see ``SummaryStore.create``.
    """
    special = {"blocks", "basis"} if "blocks" in stored or "blocks" in asked else set()
    lines = difference_lines(*({k: v for k, v in s.items() if k not in special} for s in (stored, asked)))
    mine, theirs = stored.get("blocks", {}), asked.get("blocks", {})
    if other := [block for block in sorted(mine.keys() & theirs.keys()) if mine[block] != theirs[block]]:
        lines += f"\n  blocks {', '.join(other)} are defined in another way:"
        bases = ({"basis": what_rows_depend_on(s.get("basis", {}))} for s in (stored, asked))
        lines += difference_lines(*bases) or "".join(
            f"\n  blocks.{b}: the definition {mine[b]} in the store, {theirs[b]} now" for b in other
        )
    if lines:
        raise StoreError(f"{where}: the store was made with other settings{lines}\n{_WAYS_ON}")
    new, lost = sorted(theirs.keys() - mine.keys()), sorted(mine.keys() - theirs.keys())
    if not new:
        return stored
    if "basis" in stored and (lost or "basis" not in asked):
        raise StoreError(
            f"{where}: this pass has blocks {new}, which the store has not; expected a basis with those of the store "
            f"too, found {'no basis' if 'basis' not in asked else f'none of {lost}'}"
        )
    basis = {"basis": asked["basis"]} if "basis" in asked else {}
    return {**stored, "blocks": {**mine, **theirs}, **basis}


_WAYS_ON: Final = (
    "these are settled with the pass, and to change them the rows are needed again: go on with --fresh, which makes a "
    "new store and renames this one (in Python: move_aside of hiertl_dist.files.paths), or with another folder: below "
    "[search] summaries all settings have one that is named by their digest"
)
