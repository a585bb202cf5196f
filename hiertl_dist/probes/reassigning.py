"""``reassigned_frames``: probe structures from frames of single elements, with the elements of a set assigned anew."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from ..frames.element_set import ElementSet
from ..frames.frame import Frame
from ..frames.frame_sequence import sequence_of
from ..text.display import listed
from ..text.words import count_text
from .checks import check_integers, check_positive, checked_elements, refuse_none
from .compositions import assigned_species, atom_counts, even_compositions, generator
from .contacts import contact_limits, kept_apart, stretch_notes
from .lattices import DEFAULT_LATTICES, lattice_sources
from .probe_set import ProbeSet, ProbeSource
from .sources import MOST_LOOKED, Source, shared_out, shortest_of, sources_in
from .structures import repeated, scaled
from .volumes import Volumes, volumes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ..model.basis import Basis

LEAST_ATOMS: Final = 16
"""Atoms that a probe has at least, if its source repeats: of two atoms few compositions can be made."""

SHOWN: Final = 6
"""Groups of frames that a note names."""

ASSIGNMENTS: Final = 4
FRAMES_TRIED: Final = 5
"""How many assignments of elements, and frames of a group, are tried before a probe is dropped for its contacts."""


@dataclass(frozen=True)
class _Task:
    """What all probes of a set have in common."""

    elements: tuple[str, ...]
    volumes: Volumes
    limits: Mapping[str, float]
    seed: int
    group: str
    least_atoms: int


# long: its parameters are documented
def reassigned_frames(
    frames: Sequence[Frame],
    elements: str | Iterable[str],
    count: int,
    *,
    seed: int = 0,
    basis: Basis | None = None,
    volumes: Mapping[str, float] | None = None,
    shortest: Mapping[str, float] | None = None,
    vacuum: bool = True,
    least_atoms: int = LEAST_ATOMS,
    group: str = "probe",
) -> ProbeSet:
    """Probe structures of a set of elements, made of frames of the single elements.

    Positions and cell of a frame of one element are taken, the elements of the set are assigned to its atoms at random,
    and all lengths are multiplied by (V / V_e)^(1/3), where V = Σ x_e V_e mixes the volumes of the elements by their
    shares (Vegard's rule for volumes). Frames are taken evenly over elements and groups, in these evenly over
    volumes; compositions are spread evenly, and each probe has all the elements. The same frames in another order give
    the same probes.

    Volumes are means over frames that fill space: those of groups whose names differ by the element alone
    (``Mo_AIMD``, ``W_AIMD``) where each element has some, else those of all. The volume of a molecule, of a slab or of
    what has a layer of vacuum says nothing, so such frames count for no mean; they are scaled by the same factor.

    Parameters
    ----------
    frames : sequence of Frame
        Any frames; those of single elements of the set are used, of each element and group at most 256. Labels are not
        looked at.
    elements : str or iterable of str
        The set, two elements or more: ``"MoNb"`` or ``["Mo", "Nb"]``.
    count : int
        How many probes.
    seed : int, default 0
        Of what is random, 0 or more.
    basis : Basis, optional
        Whose inner cutoffs the atoms of a probe keep outside of.
    volumes : Mapping from str to float, optional
        Å³ an atom, by element, in place of those of frames. An element without frames needs one: strained and
        rattled lattices of it stand for its frames.
    shortest : Mapping from str to float, optional
        Å, the shortest distance by pair (``{"MoMo": 2.1}``) that data or a model know; default: those of the frames of
        single elements. Between two elements it is the mean of theirs, unless given.
    vacuum : bool, default True
        Whether probes are made of frames with vacuum, such as surfaces.
    least_atoms : int, default 16
        Frames of fewer atoms are repeated along their lattice vectors.
    group : str, default "probe"
        Group of the probes.

    Returns
    -------
    ProbeSet
        The probes and what they were made of. Where atoms are closer than allowed, other assignments and frames are
        tried, then lengths are stretched by up to 5 %; what needs more is dropped. Notes say so.

    Raises
    ------
    InputError
        Fewer than two elements, a count below 1, a negative seed; nothing is known of the volume of an element; the
        basis lacks one; or no frame has as many atoms as there are elements.
    FrameError
        Neighbours in a frame can't be looked for.
    """
    names = checked_elements(elements, 2)
    integers = {"count": count, "seed": seed, "least_atoms": least_atoms}
    check_integers({"count": 1, "seed": 0, "least_atoms": 1}, integers)
    check_positive("volume", volumes or {}, "Å³ an atom")
    there = sources_in(sequence_of(frames), names)
    usable = [_usable(source, len(names), vacuum, least_atoms) for source in there]
    sources = [source for source, _ in usable if source.frames]
    notes = _remark_notes([remark for _, own in usable for remark in own])
    given = {e: v for e, v in (volumes or {}).items() if e in names}
    own = volumes_of(names, [(s.element, s.group, size) for s in sources for size in s.sizes], given)
    known = shortest_of(sources) | dict(shortest or {})
    for e in names:
        if e not in {s.element for s in sources}:
            sources.append(lattice_sources(e, own.general[e], count, seed, least_atoms))
            notes.append(
                f"{e}: no frame of {e} alone that can be used; {', '.join(DEFAULT_LATTICES)} lattices of "
                f"{own.general[e]:.2f} Å³ an atom, strained and rattled, stand for them"
            )
    task = _Task(names, own, contact_limits(names, known, basis), seed, group, least_atoms)
    return _made(task, sources, count, [*notes, *_volume_notes(own), *_limit_notes(task)])


class _Remark(NamedTuple):
    """What is to be said of some frames of an element and group; remarks of the same words are said together."""

    words: str
    frames: int
    source: Source


def _usable(source: Source, elements: int, vacuum: bool, least_atoms: int) -> tuple[Source, list[_Remark]]:
    """The source without frames that can't be used, and what is to be said of its frames."""
    lone = [not math.isfinite(size.nearest) for size in source.sizes]
    few = [f.cell is None and len(f) < elements and not a for f, a in zip(source.frames, lone, strict=True)]
    empty = [not size.dense and not a for size, a in zip(source.sizes, lone, strict=True)]
    kept = [i for i in range(len(empty)) if not (lone[i] or few[i] or (empty[i] and not vacuum))]
    small = [len(source.frames[i]) < least_atoms and source.frames[i].cell is not None for i in kept]
    remarks = [
        _Remark(
            f"not looked at: of a group {MOST_LOOKED} configurations are enough", source.there - len(empty), source
        ),
        _Remark("whose atoms have no neighbours passed over", sum(lone), source),
        _Remark("with fewer atoms than there are elements passed over", sum(few), source),
        _Remark("with vacuum passed over", 0 if vacuum else sum(empty), source),
        _Remark("with vacuum scaled like others, but no part of mean volumes", sum(empty[i] for i in kept), source),
        _Remark(f"of fewer than {least_atoms} atoms repeated where they are taken", sum(small), source),
    ]
    return source.part(kept), [remark for remark in remarks if remark.frames]


def _remark_notes(remarks: Sequence[_Remark]) -> list[str]:
    notes = []
    for words in dict.fromkeys(r.words for r in remarks):
        own = [r for r in remarks if r.words == words]
        where = listed([f"{r.source.element} {r.source.group} {r.frames}" for r in own], SHOWN)
        notes.append(f"{count_text(sum(r.frames for r in own), 'frame')} {words}: {where}")
    return notes


def _volume_notes(volumes: Volumes) -> list[str]:
    unit = "Å³ an atom" if volumes.unit == "volume" else "Å³, cubes of mean distances of nearest neighbours"
    said = ", ".join(f"{e} {v:.3f}" for e, v in volumes.general.items())
    notes = [f"volumes that are mixed: {said} ({unit})"]
    for pattern, own in volumes.by_pattern.items():
        notes.append(f"of groups {pattern}: {', '.join(f'{e} {v:.3f}' for e, v in own.items())}")
    return notes


def _limit_notes(task: _Task) -> list[str]:
    if not task.limits:
        return ["no shortest distance is known: contacts are not checked"]
    return ["no two atoms closer than " + ", ".join(f"{pair} {r:.3f}" for pair, r in task.limits.items()) + " Å"]


class _Probe(NamedTuple):
    """A probe by its number, what it was made of, and the configuration that was taken."""

    number: int
    frame: Frame
    source: ProbeSource
    configuration: str


def _made(task: _Task, sources: Sequence[Source], count: int, notes: list[str]) -> ProbeSet:
    """So many probes, or fewer where some are dropped."""
    rng = generator(task.seed, *task.elements, "sources")
    shares = even_compositions(count, len(task.elements), rng)
    elements = sorted({s.element for s in sources})
    turns = shared_out(count, len(elements), rng.random())
    made, dropped = [], []
    for e, element in enumerate(elements):
        own = [s for s in sources if s.element == element]
        picked = [i for i, turn in enumerate(turns) if turn == e]
        groups = shared_out(len(picked), len(own), rng.random())
        shift = rng.random()
        for k, (i, g) in enumerate(zip(picked, groups, strict=True)):
            place = (k - groups.index(g) + shift) / groups.count(g)
            probe = _probe(task, own[g], place, shares[i], i)
            if probe is None:
                dropped.append(f"{element} of {own[g].group}")
            else:
                made.append(probe)
    made.sort(key=lambda probe: probe.number)
    notes += [
        f"{count_text(dropped.count(d), 'probe')} from {d} dropped: atoms too close" for d in dict.fromkeys(dropped)
    ]  # fmt: skip
    notes += stretch_notes(p.source.stretch for p in made)
    if again := len(made) - len({p.configuration for p in made}):
        notes.append(f"{count_text(again, 'probe')} made of a frame that another is made of, with other elements")
    done = ProbeSet(tuple(p.frame for p in made), tuple(p.source for p in made), tuple(notes), task.limits)
    return refuse_none(done, f"probes of {ElementSet.of(task.elements)}")


def _probe(
    task: _Task, source: Source, share: float, shares: NDArray[np.float64], number: int
) -> _Probe | None:  # fmt: skip
    """A probe whose atoms are far enough apart, if a frame and an assignment make one."""
    best: _Probe | None = None
    for attempt, (frame, size) in enumerate(islice(source.near(share), FRAMES_TRIED)):
        large = repeated(frame, max(task.least_atoms, len(task.elements)))
        counts = atom_counts(shares, len(large))
        fractions = dict(zip(task.elements, (counts / len(large)).tolist(), strict=True))
        scale = task.volumes.scale(source.element, source.group, fractions)
        origin = f"probe {number + 1} of {ElementSet.of(task.elements)}, from {frame.origin}"
        for assignment in range(ASSIGNMENTS):
            rng = generator(task.seed, *task.elements, "assignment", number, attempt, assignment)
            species = assigned_species(task.elements, counts, rng)
            probe = scaled(large, scale, origin=origin, species=species, group=task.group)
            apart = kept_apart(probe, task.limits)
            if apart is None or (best is not None and apart.stretch >= best.source.stretch):
                continue
            made_of = ProbeSource(
                frame.origin, source.element, source.group, scale, apart.stretch,
                apart.frame.volume / len(large) if size.dense else math.nan, apart.closest,
            )  # fmt: skip
            best = _Probe(number, apart.frame, made_of, frame.configuration)
            if apart.stretch == 1.0:
                return best
    return best
