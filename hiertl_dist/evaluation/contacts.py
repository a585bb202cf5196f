"""How close atoms of each two elements come in the frames to be fitted, against the inner cutoffs of all blocks.

Every such frame's neighbours are looked at once before anything is computed (``scan_frames``); what a plan prints of
contacts, and what a refusal says, is made of that.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InnerCutoffError
from ..frames.frame import working_on
from ..frames.frame_sequence import sequence_of
from ..model.basis import cluster_name
from ..model.blocks import blocks_of
from ..text.words import count_text
from .compiled_basis import compile_recipe, never_active
from .frame_rows import FrameScan, InnerPair, check_elements, frame_neighbours, pairs_inside, scan_frame

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ..executors.base import Executor
    from ..frames.element_set import ElementSet
    from ..frames.frame import Frame
    from ..model.basis import Basis
    from ..model.parameters import Parameters
    from .compiled_basis import Recipe

SHOWN = 5
"""Pairs of atoms that a refusal names."""

MARGIN = 0.001
"""Å by which the shortest distance must exceed an inner cutoff that is proposed: more than digits lost in a file."""

SEARCHED = 2.0
"""Å: within less, a search for neighbours spends its time on empty bins."""


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
    """

    pair: str
    rmin: float
    types: tuple[str, ...]
    source: str = ""
    distance: float = math.nan
    frame: str = ""
    atoms: tuple[int, int] = (-1, -1)

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
            "rmin": self.rmin, "rmin_that_would_do": self.largest_rmin, "inside": self.inside,
            "types": list(self.types), "source": self.source,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Contact:
        """What :meth:`as_dict` made."""
        distance = math.nan if table["shortest"] is None else table["shortest"]
        return cls(
            table["pair"], table["rmin"], tuple(table["types"]), table["source"], distance, table["frame"],
            (table["atoms"][0], table["atoms"][1]),
        )  # fmt: skip

    def cells(self) -> list[Any]:
        """A row of a table, see :data:`TITLES`."""
        where = f"{self.frame} ({self.atoms[0]}, {self.atoms[1]})" if self.frame else "none within reach"
        return [self.pair, self.distance, where, self.rmin, self.largest_rmin, self.owner]

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
        )


TITLES = ["pair", "shortest Å", "in frame (atoms)", "rmin Å", "rmin that\nwould do Å", "types with this rmin"]
"""Of the columns of :meth:`Contact.cells`."""


def contacts_of(
    scans: Iterable[tuple[Frame, FrameScan]], basis: Basis, blocks: Sequence[str], frozen: Sequence[Parameters] = ()
) -> tuple[Contact, ...]:
    """The contacts of every pair of elements of some blocks and of frozen models, pairs in the basis' order.

    A pair has a contact for each inner cutoff that its edges have; types that are never active have none.
    """
    shortest: dict[frozenset[str], dict[str, tuple[float, str, tuple[int, int]]]] = defaultdict(dict)
    for frame, scan in scans:
        closest = shortest[frame.elements]
        for pair, (distance, atoms) in scan.closest.items():
            if pair not in closest or distance < closest[pair][0]:
                closest[pair] = distance, frame.origin, atoms
    contacts = []
    for source, part, names in (("", basis, blocks), *((f.source, f.basis, None) for f in frozen)):
        for (pair, rmin), types in _inner_cutoffs(part, names).items():
            near = [
                known[pair] for elements, known in shortest.items()
                if pair in known and any(set(t) <= elements for t in types)
            ]  # fmt: skip
            kinds = tuple(map(cluster_name, types))
            contacts.append(Contact(pair, rmin, kinds, source, *min(near, default=())))
    return tuple(contacts)


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
    frames: Sequence[Frame], basis: Basis, names: tuple[str, ...], frozen: Sequence[Parameters],
    executor: Executor | None,
) -> list[FrameScan]:  # fmt: skip
    """Look at every frame's neighbours once: contacts, inner cutoffs, counts for the cost."""
    models = tuple((f.source, f.basis) for f in frozen)
    return _look(partial(_scan, basis=basis, names=names, frozen=models), frames, executor)


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
    models = tuple((f.source, f.basis) for f in frozen)
    if any(_look(partial(_any_inside, basis=basis, names=names, frozen=models), judged, executor)):
        refuse_all(used, basis, names, refused=refused, frozen=frozen, executor=executor)


def refuse_all(
    frames: Sequence[Frame], basis: Basis, blocks: Sequence[str], *, refused: Collection[ElementSet] | None = None,
    frozen: Sequence[Parameters] = (), executor: Executor | None = None,
) -> None:  # fmt: skip
    """Raise the refusal of all pairs inside an inner cutoff in some frames, if there are any: ``check_contacts``."""
    scans = list(zip(frames, scan_frames(frames, basis, tuple(blocks), frozen, executor), strict=True))
    inside = [p for f, s in scans if refused is None or f.element_set in refused for p in s.inside]
    if inside:
        raise refusal(inside, contacts_of(scans, basis, blocks, frozen))


def _look(task: Any, frames: Sequence[Frame], executor: Executor | None) -> list[Any]:
    """task(frame) of each, in chunks."""
    whole = partial(_each, task=task)
    chunks = [frames[i : i + 64] for i in range(0, len(frames), 64)]
    if executor is None:
        answers = [whole(c) for c in chunks]
    else:
        answers = executor.run(whole, chunks, label=frames_label, what="look at frames")
    return list(itertools.chain.from_iterable(answers))


def _each(frames: Sequence[Frame], *, task: Any) -> list[Any]:
    answers = []
    for frame in frames:
        with working_on(frame):
            answers.append(task(frame))
    return answers


def _recipes(
    frame: Frame, basis: Basis, names: tuple[str, ...], frozen: tuple[tuple[str, Basis], ...]
) -> tuple[tuple[str, ...], dict[str, Recipe]]:
    """The blocks that a frame has all elements of, and the recipes of these parts of frozen models, by source."""
    present = tuple(b.name for b in blocks_of(basis, names) if b.name.is_subset(frame.element_set))
    others = {
        source: compile_recipe(other, tuple(b.name for b in blocks_of(other) if b.name.is_subset(frame.element_set)))
        for source, other in frozen
    }
    return present, others


def _scan(frame: Frame, *, basis: Basis, names: tuple[str, ...], frozen: tuple[tuple[str, Basis], ...]) -> FrameScan:
    present, others = _recipes(frame, basis, names, frozen)
    blocks = {b: compile_recipe(basis, (b,)) for b in present}
    return scan_frame(frame, compile_recipe(basis, present), blocks, others)


def _any_inside(frame: Frame, *, basis: Basis, names: tuple[str, ...], frozen: tuple[tuple[str, Basis], ...]) -> bool:
    """Whether two atoms are inside an inner cutoff of the basis or of a frozen model."""
    present, others = _recipes(frame, basis, names, frozen)
    recipes = [compile_recipe(basis, present), *others.values()]
    farthest = max(float(r.inner.max(initial=0.0)) for r in recipes)
    if farthest <= 0.0:
        return False
    near = frame_neighbours(frame, recipes[0], within=max(farthest, SEARCHED))
    return any(pairs_inside(frame, r, near) for r in recipes)
