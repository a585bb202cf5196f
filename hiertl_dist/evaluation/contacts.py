"""How close atoms of each two elements come in the frames to be fitted, against the inner cutoffs of all blocks.

Every such frame's neighbours are looked at once before anything is computed (``scan_frames``); what a plan prints of
contacts, and what a refusal says, is made of that.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InnerCutoffError
from ..frames.frame_sequence import sequence_of
from ..model.basis import cluster_name
from ..model.blocks import blocks_of
from ..model.walls import propose_wall
from ..text.words import count_text
from .chunk_scan import FrameScans, ScanOptions, any_inside, scan_chunk
from .compiled_basis import never_active
from .frame_rows import InnerPair, check_elements

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ..executors.base import Executor
    from ..frames.element_set import ElementSet
    from ..frames.frame import Frame
    from ..frames.frame_sequence import FrameSequence
    from ..model.basis import Basis
    from ..model.parameters import Parameters

SHOWN = 5
"""Pairs of atoms that a refusal names."""

MARGIN = 0.001
"""Å by which the shortest distance must exceed an inner cutoff that is proposed: more than digits lost in a file."""

CHUNK_ATOMS = 16384
"""Atoms of the frames that are looked at together; and at most ``MOST_FRAMES`` of these."""

QUICK = 4
"""So many times as many atoms where no lists of neighbours are wanted: 10 to 20 ms' work."""

MOST_FRAMES = 1024


@dataclass(frozen=True)
class Contact:
    """The shortest distance of a pair of elements, against one of the inner cutoffs that the pair has.

    Attributes
    ----------
    pair : str
        The two elements, ``"CN"``.
    rmin : float
        The inner cutoff of the pair's edges in ``types``, Å.
    types : tuple of str
        Cluster types with that cutoff.
    source : str
        The frozen model that has them, else ``""``.
    distance : float
        The shortest distance, Å, in the frames that have all elements of one of the types; NaN where the pair is in
        reach in none.
    frame : str
        Where it is shortest.
    atoms : tuple (int, int)
        The two atoms there, numbered from 0.
    by_rule : float
        Å, the inner cutoff that the rule of ``init`` takes for these frames, with room below the contact
        (:func:`~hiertl_dist.model.walls.propose_wall`); NaN where no contact is known.
    """

    pair: str
    rmin: float
    types: tuple[str, ...]
    source: str = ""
    distance: float = math.nan
    frame: str = ""
    atoms: tuple[int, int] = (-1, -1)
    by_rule: float = math.nan

    @property
    def inside(self) -> bool:
        """Whether the shortest distance is below rmin."""
        return self.distance < self.rmin

    @property
    def largest_rmin(self) -> float:
        """Å: an inner cutoff that would do, the shortest distance less ``MARGIN`` rounded down to two decimals."""
        if math.isnan(self.distance):
            return math.nan
        return max(math.floor(100.0 * (self.distance - MARGIN)), 0) / 100.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "pair": self.pair, "shortest": self.distance, "frame": self.frame, "atoms": list(self.atoms),
            "rmin": self.rmin, "rmin_that_would_do": self.largest_rmin, "rmin_by_rule": self.by_rule,
            "inside": self.inside,
            "types": list(self.types), "source": self.source,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Contact:
        """What :meth:`as_dict` made."""
        distance = math.nan if table["shortest"] is None else table["shortest"]
        return cls(
            table["pair"], table["rmin"], tuple(table["types"]), table["source"], distance, table["frame"],
            (table["atoms"][0], table["atoms"][1]),
            math.nan if table.get("rmin_by_rule") is None else table["rmin_by_rule"],
        )  # fmt: skip

    def cells(self) -> list[Any]:
        """A row of a table, see :data:`TITLES`."""
        where = f"{self.frame} ({self.atoms[0]}, {self.atoms[1]})" if self.frame else "none within reach"
        return [self.pair, self.distance, where, self.rmin, self.largest_rmin, self.by_rule, self.owner]

    @property
    def owner(self) -> str:
        """What has this rmin."""
        some = ", ".join(self.types[:4]) + " …" * (len(self.types) > 4)
        return f"{some} of {self.source}" if self.source else some

    def __str__(self) -> str:
        if not self.frame:
            return f"{self.pair}: no two atoms within reach; rmin {self.rmin:g} Å ({self.owner})"
        too = "TOO LARGE, " if self.inside else ""
        return (
            f"{self.pair}: {self.distance:.4f} Å in {self.frame} (atoms {self.atoms[0]} and {self.atoms[1]}); rmin "
            f"{self.rmin:g} Å ({self.owner}): {too}up to {self.largest_rmin:.2f} Å would do"
            + ("" if math.isnan(self.by_rule) else f", the rule of init takes {self.by_rule:.2f} Å")
        )


TITLES = [
    "pair",
    "shortest Å",
    "in frame (atoms)",
    "rmin Å",
    "largest that\nwould do Å",
    "rule of\ninit Å",
    "types with this rmin",
]
"""Of the columns of :meth:`Contact.cells`."""


def contacts_of(
    scans: FrameScans, basis: Basis, blocks: Sequence[str], frozen: Sequence[Parameters] = ()
) -> tuple[Contact, ...]:
    """The contacts of every pair of elements of some blocks and of frozen models, pairs in the basis' order.

    A pair has a contact for each inner cutoff that its edges have; types that are never active have none. What ``init``
    would take follows from the shortest distances of all pairs.
    """
    contacts: list[Contact] = []
    for source, part, names in (("", basis, blocks), *((f.source, f.basis, None) for f in frozen)):
        for (pair, rmin), types in _inner_cutoffs(part, names).items():
            near = [
                there[pair] for elements, there in scans.closest.items()
                if pair in there and any(set(t) <= elements.elements for t in types)
            ]  # fmt: skip
            kinds = tuple(map(cluster_name, types))
            contacts.append(Contact(pair, rmin, kinds, source, *min(near, default=())))
    elements = {p.name: p.elements for part in (basis, *(f.basis for f in frozen)) for p in part.pairs}
    known: dict[tuple[str, ...], float] = {}
    for one in (c for c in contacts if c.distance > 0.0):  # NaN where there is none
        known[elements[one.pair]] = min(one.distance, known.get(elements[one.pair], math.inf))
    inner = propose_wall(known).inner if known else {}
    return tuple(replace(c, by_rule=inner.get(elements[c.pair], math.nan)) for c in contacts)


def _inner_cutoffs(basis: Basis, blocks: Sequence[str] | None) -> dict[tuple[str, float], list[tuple[str, ...]]]:
    """The types whose edges between a pair of elements have an inner cutoff, by both."""
    order = {p.name: i for i, p in enumerate(basis.pairs)}
    wanted = {b.name for b in blocks_of(basis, blocks)}
    by_cutoff: dict[tuple[str, float], list[tuple[str, ...]]] = defaultdict(list)
    for kind in basis.types:
        for edge in kind.edges if kind.block in wanted and not never_active(kind) else ():
            by_cutoff[edge.name, edge.rmin].append(kind.elements)
    return {key: by_cutoff[key] for key in sorted(by_cutoff, key=lambda k: (order[k[0]], k[1]))}


def refusal(pairs: Sequence[InnerPair], contacts: Sequence[Contact]) -> InnerCutoffError:
    """What is raised where pairs of atoms lie inside an inner cutoff and the policy is to refuse them."""
    shown = "\n  ".join(str(p) for p in pairs[:SHOWN])
    table = "\n  ".join(str(c) for c in contacts)
    frames = len({p.frame for p in pairs})
    text = (
        f"{count_text(len(pairs), 'pair of atoms')} in {count_text(frames, 'frame')} inside an inner cutoff:\n  {shown}"
        f"{' …' * (len(pairs) > SHOWN)}\nshortest distance of each pair of elements in the frames to be fitted:\n  "
        f"{table}\nlower rmin in the basis (what a frozen model has can't be changed), or say with policy in [fit] how "
        "to go on: skip_frame, lsq or damp"
    )
    error = InnerCutoffError(text)
    error.contacts = tuple(contacts)
    return error


# ---- looking at frames


def frames_label(frames: Sequence[Frame]) -> str:
    """Names frames that are handled together: what befalls one of them names it, and this is for the rest."""
    first, last = frames[0].origin, frames[-1].origin
    return first if len(frames) == 1 else f"{first} … {last}"


def scan_frames(
    frames: Sequence[Frame], basis: Basis, names: Sequence[ElementSet], frozen: Sequence[Parameters] = (),
    executor: Executor | None = None, *, needs: Collection[tuple[ElementSet, ElementSet]] = (), skip: bool = False,
) -> FrameScans:  # fmt: skip
    """Look at every frame once: contacts, inner cutoffs, and what the rows cost that are needed.

    Parameters
    ----------
    frames : sequence of Frame
        Any number of them.
    basis : Basis
        Whose edges count.
    names : sequence of ElementSet
        Of its blocks that do.
    frozen : sequence of Parameters
        Models whose inner cutoffs count too.
    executor : Executor, optional
        Who looks at the frames; default: this process.
    needs : collection of tuple (ElementSet, ElementSet)
        (element set of frames, block) of rows whose cost is wanted.
    skip : bool
        Whether distances in frames with a pair inside an inner cutoff are left out of the ranges.

    Returns
    -------
    FrameScans
        In the order of the frames.
    """
    options = ScanOptions(basis, tuple(names), tuple((f.source, f.basis) for f in frozen), frozenset(needs), skip)
    parts = _look(partial(scan_chunk, options=options), frames, executor)
    return FrameScans.joined(parts, [n for n in names if any(n == block for _, block in options.needs)])


def check_contacts(
    frames: Sequence[Frame],
    basis: Basis,
    blocks: Collection[str],
    *,
    refused: Collection[ElementSet],
    frozen: Sequence[Parameters] = (),
    executor: Executor | None = None,
) -> None:
    """Refuse contacts inside inner cutoffs before the first of several fits, naming those of all of them.

    The first look goes no farther than the inner cutoffs, and costs next to nothing where all is well.

    Parameters
    ----------
    frames : sequence of Frame
        Those of all fits; those without a label are passed over.
    basis : Basis
        All blocks.
    blocks : collection of str
        Names of the blocks that are fitted, whose inner cutoffs count in every frame with their elements.
    refused : collection of str
        Names of the element sets whose frames the policy ``refuse`` applies to.
    frozen : sequence of Parameters, optional
        Models whose inner cutoffs count too.
    executor : Executor, optional
        Who looks at the frames.

    Raises
    ------
    InnerCutoffError
        Naming pairs of atoms, and the shortest distance of each pair of elements in these frames; see ``refusal``.
    FrameError
        A frame has an element that the basis lacks, or cannot be looked at.
    """
    check_elements(frames, basis.elements)
    names = tuple(b.name for b in blocks_of(basis, blocks))
    frames = sequence_of(frames)
    used = frames.take(np.flatnonzero(frames.facts.n_rows > 0))
    judged = used.take(np.flatnonzero(used.facts.of_sets(refused)))
    options = ScanOptions(basis, names, tuple((f.source, f.basis) for f in frozen))
    if any(_look(partial(any_inside, options=options), judged, executor)):
        refuse_all(used, basis, names, refused=refused, frozen=frozen, executor=executor)


def refuse_all(
    frames: Sequence[Frame], basis: Basis, blocks: Sequence[ElementSet], *,
    refused: Collection[ElementSet] | None = None, frozen: Sequence[Parameters] = (), executor: Executor | None = None,
) -> None:  # fmt: skip
    """Raise the refusal of all pairs inside an inner cutoff in some frames, if there are any: ``check_contacts``."""
    scans = scan_frames(frames, basis, blocks, frozen, executor)
    facts = sequence_of(frames).facts
    sets = [facts.set_names[code] for code in facts.sets.tolist()]
    inside = [
        pair for pair, i in zip(scans.pairs, scans.frame_of.tolist(), strict=True)
        if refused is None or sets[i] in refused
    ]  # fmt: skip
    if inside:
        raise refusal(inside, contacts_of(scans, basis, blocks, frozen))


def _look(task: Callable[[Sequence[Frame]], Any], frames: Sequence[Frame], executor: Executor | None) -> list[Any]:
    """task(chunk) of each chunk of frames, which follow from the frames alone."""
    chunks = chunks_of(sequence_of(frames), QUICK)
    if executor is None:
        return [task(c) for c in chunks]
    return executor.run(task, chunks, label=frames_label, what="look at frames")


def chunks_of(frames: FrameSequence, times: int = 1) -> list[FrameSequence]:
    """The frames in runs of so many times ``CHUNK_ATOMS``, which follow from the frames alone."""
    if not len(frames):
        return []
    size = min(max(times * CHUNK_ATOMS * len(frames) // int(frames.facts.n_atoms.sum()), 1), MOST_FRAMES)
    return [frames[i : i + size] for i in range(0, len(frames), size)]
