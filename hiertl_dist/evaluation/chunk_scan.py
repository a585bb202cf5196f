"""What one look at many frames tells: contacts, and what their rows cost. Columns, and no object for a frame.

Frames are looked at by a kernel, ``kernels/scan.py``. Two kinds of frames go the other way, by a list of neighbours:
those that the kernel finds odd, which are refused there if that is due, and those with a pair that may be inside an
inner cutoff, of which each pair is named. So do a few more, for the share of neighbours that two atoms have in common.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import FrameError
from ..frames.element_set import ElementSet
from ..frames.frame import working_on
from ..frames.frame_table import table_of
from .frame_rows import frame_neighbours, inner_pairs, pairs_inside, widest_ranges
from .kernels.scan import ODD
from .row_costs import row_seconds, structural_nonzeros
from .set_scan import look_at, wanted_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from ..frames.frame_table import FrameTable
    from ..model.basis import Basis
    from .frame_rows import InnerPair
    from .kernels.neighbours import Neighbours
    from .set_scan import Closest, SetScan, Wanted

SEARCHED: Final = 2.0
"""Å: within less, a search for neighbours spends its time on empty bins."""


@dataclass(frozen=True)
class ScanOptions:
    """What is looked for in frames.

    Attributes
    ----------
    basis : Basis
        Whose edges count.
    blocks : tuple of ElementSet
        Names of its blocks that do, each in frames with all of its elements.
    frozen : tuple of tuple (str, Basis)
        Sources of frozen models and their bases, whose inner cutoffs count too.
    needs : frozenset of tuple (ElementSet, ElementSet)
        (element set of frames, block): of which rows the cost is wanted.
    skip : bool
        Whether distances in frames with a pair inside an inner cutoff are left out of the ranges.
    """

    basis: Basis
    blocks: tuple[ElementSet, ...]
    frozen: tuple[tuple[str, Basis], ...] = ()
    needs: frozenset[tuple[ElementSet, ElementSet]] = frozenset()
    skip: bool = False


@dataclass(frozen=True, eq=False)
class FrameScans:
    """What one look at n frames tells.

    Attributes
    ----------
    inside : ndarray of bool, shape (n,)
        Which frames have a pair inside an inner cutoff.
    pairs : tuple of InnerPair
        These pairs, in the order of frames.
    frame_of : ndarray of int, shape (pairs,)
        The frame of each of them.
    ranges : dict from str to dict from str to tuple (float, float)
        By element set of frames, per ``"block:pair"``, shortest and longest distance (Å) that the block's edges join.
    closest : dict from ElementSet to dict from str to tuple (float, str, tuple (int, int))
        By element set of frames, per pair of elements, the shortest distance (Å) within reach, where, and of which
        atoms; of equal ones that of the first frame.
    seconds : dict from ElementSet to ndarray of float32, shape (n,)
        By block, estimated CPU seconds of each frame's rows; 0 of a frame of which they were not asked for.
    nonzeros : dict from ElementSet to ndarray of int, shape (n,)
        By block, structural nonzeros of these rows.
    """

    inside: NDArray[np.bool_]
    pairs: tuple[InnerPair, ...]
    frame_of: NDArray[np.int64]
    ranges: dict[str, dict[str, tuple[float, float]]]
    closest: dict[ElementSet, dict[str, Closest]]
    seconds: dict[ElementSet, NDArray[np.float32]]
    nonzeros: dict[ElementSet, NDArray[np.integer]]

    @classmethod
    def joined(cls, parts: Sequence[FrameScans], blocks: Sequence[ElementSet]) -> FrameScans:
        """Those of consecutive parts of some frames, with columns of these blocks."""
        ranges: dict[str, list[dict[str, tuple[float, float]]]] = defaultdict(list)
        closest: dict[ElementSet, dict[str, Closest]] = defaultdict(dict)
        for part in parts:
            for elements, spans in part.ranges.items():
                ranges[elements].append(spans)
            for elements, found in part.closest.items():
                known = closest[elements]
                for pair, contact in found.items():
                    if pair not in known or contact[0] < known[pair][0]:
                        known[pair] = contact

        def column(name: str, block: ElementSet, dtype: type[np.generic]) -> NDArray[Any]:
            none = [np.empty(0, dtype)]
            return np.concatenate(
                none + [getattr(p, name).get(block, np.zeros(len(p.inside), dtype)) for p in parts]
            )  # fmt: skip

        starts = np.cumsum([0, *(len(p.inside) for p in parts)])
        return cls(
            np.concatenate([np.empty(0, np.bool_), *(p.inside for p in parts)]),
            tuple(pair for p in parts for pair in p.pairs),
            np.concatenate([np.empty(0, np.int64), *(p.frame_of + s for p, s in zip(parts, starts, strict=False))]),
            {elements: widest_ranges(spans) for elements, spans in ranges.items()}, dict(closest),
            {b: column("seconds", b, np.float32) for b in blocks}, {b: column("nonzeros", b, np.uint8) for b in blocks},
        )  # fmt: skip


def scan_chunk(frames: Sequence[Frame], options: ScanOptions) -> FrameScans:
    """Look at some frames: what a worker does.

    Parameters
    ----------
    frames : sequence of Frame
        At least one; where they have a method ``table``, that gives them as a :class:`FrameTable`.
    options : ScanOptions
        What is looked for.

    Returns
    -------
    FrameScans
        Of these frames.

    Raises
    ------
    FrameError
        Atoms are on top of one another or too far apart, or a cell is too long and thin: names the frame.
    """
    table = _table(frames)
    looks = [
        look_at(table, members, wanted_in(elements, options.basis, options.blocks, options.frozen))
        for elements, members in by_elements(table)
    ]
    pairs, frame_of = _by_neighbours(table, looks)
    n = len(table)
    inside = np.zeros(n, np.bool_)
    inside[frame_of] = True
    blocks = dict.fromkeys(block for _, block in sorted(options.needs))
    seconds = {b: np.zeros(n, np.float32) for b in blocks}
    nonzeros: dict[ElementSet, NDArray[np.integer]] = {b: np.zeros(n, np.int64) for b in blocks}
    ranges: dict[str, dict[str, tuple[float, float]]] = {}
    closest: dict[ElementSet, dict[str, Closest]] = {}
    for look in looks:
        kept = ~inside[look.members] | (not options.skip)
        if kept.any():
            ranges[look.wanted.elements] = look.ranges(kept)
        closest[look.wanted.elements] = look.closest(table)
        needed = [b for b in look.wanted.blocks if (look.wanted.elements, b) in options.needs]
        if needed:
            counts = look.counts(table, needed)
            for block in needed:
                recipe = look.wanted.blocks[block]
                seconds[block][look.members] = row_seconds(counts, recipe)
                nonzeros[block][look.members] = structural_nonzeros(counts, recipe)
    shorter = {b: own.astype(np.min_scalar_type(int(own.max()))) for b, own in nonzeros.items()}
    return FrameScans(inside, pairs, frame_of, ranges, closest, seconds, shorter)


def any_inside(frames: Sequence[Frame], options: ScanOptions) -> bool:
    """Whether two atoms are inside an inner cutoff of the basis or of a frozen model, in one of some frames.

    It goes no farther than the inner cutoffs. Raises as :func:`scan_chunk`.
    """
    table = _table(frames)
    looks = []
    for elements, members in by_elements(table):
        wanted = wanted_in(elements, options.basis, options.blocks, options.frozen)
        if (farthest := float(wanted.inner.max(initial=0.0))) > 0.0:
            looks.append(look_at(table, members, wanted.without_cutoffs(max(farthest, SEARCHED))))
    for look, row in _doubtful(looks):
        frame, wanted = table.frame(int(look.members[row])), look.wanted
        with working_on(frame):
            near = frame_neighbours(frame, wanted.recipe, within=wanted.reach)
            if any(pairs_inside(frame, r, near) for r in (wanted.recipe, *wanted.frozen.values())):
                return True
    return False


def _by_neighbours(table: FrameTable, looks: Sequence[SetScan]) -> tuple[tuple[InnerPair, ...], NDArray[np.int64]]:
    """Pairs inside inner cutoffs, and the frame of each; what the kernel left out is entered in the looks.

    Frames go in their order, so that the first that can't be looked at is the one that is refused.
    """
    pairs: list[InnerPair] = []
    frame_of: list[int] = []
    for look, row in _doubtful(looks):
        place, wanted = int(look.members[row]), look.wanted
        frame = table.frame(place)
        with working_on(frame):
            if look.seen.flag[row] == ODD:
                near = frame_neighbours(frame, wanted.recipe, wanted.reach)
                look.enter(row, frame, near)
            else:
                near = _near(frame, wanted)
            found = inner_pairs(frame, wanted.recipe, wanted.frozen, near)
        pairs += found
        frame_of += [place] * len(found)
    return tuple(pairs), np.array(frame_of, np.int64)


def _near(frame: Frame, wanted: Wanted) -> Neighbours:
    """Neighbours of a frame that is known to be none to refuse, as far as inner cutoffs go."""
    with suppress(FrameError):  # a cell may be too long and thin for a short reach alone
        return frame_neighbours(frame, wanted.recipe, within=max(float(wanted.inner.max()), SEARCHED))
    return frame_neighbours(frame, wanted.recipe, wanted.reach)


def _doubtful(looks: Sequence[SetScan]) -> list[tuple[SetScan, int]]:
    """The frames that are for a list of neighbours, in their order."""
    found = [(int(look.members[row]), k, row) for k, look in enumerate(looks) for row in look.doubtful]
    return [(looks[k], row) for _, k, row in sorted(found)]


def _table(frames: Sequence[Frame]) -> FrameTable:
    own = getattr(frames, "table", None)
    return table_of(frames) if own is None else own()


def by_elements(table: FrameTable) -> Iterator[tuple[ElementSet, NDArray[np.intp]]]:
    """Each element set of a table, in order of first appearance, and its frames."""
    _, first, number = np.unique(table.element_sets, axis=0, return_index=True, return_inverse=True)
    for k in np.argsort(first).tolist():
        atoms = slice(table.starts[first[k]], table.starts[first[k] + 1])
        names = {table.names[t] for t in np.unique(table.types[atoms]).tolist()}
        yield ElementSet.of(names), np.flatnonzero(number.ravel() == k)
