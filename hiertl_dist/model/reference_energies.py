"""Energies of free atoms that a fit takes as fixed, compared with what the labels say of them.

What labels have above the energies of free atoms is binding: 0 to 9 eV an atom in solids and molecules (tungsten 8.9,
diamond 7.4 eV; C. Kittel, Introduction to Solid State Physics, chapter 3), a few eV more where the atoms were not spin
polarised. A difference far beyond that is another unit or another zero of energy.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..frames.frame_sequence import sequence_of
from ..text.display import number_text
from ..text.words import count_text
from ..units import EV
from .undetermined import combined, elements_of, is_determined, undetermined_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from ..frames.frame_sequence import FrameSequence
    from .parameters import Parameters

BINDING: Final = 12.0
"""eV an atom that binding, or what a wrong spin state does, can explain."""

FAR: Final = 30.0
"""eV an atom beyond which nothing does that frames of atoms have, compressed ones included."""

HARTREE, RYDBERG, KJ = 27.211386, 13.605693, 96.485332
RATIOS: Final = (
    (EV, "one eV is 23.0605 kcal/mol"), (HARTREE, "one Hartree is 27.2114 eV"),
    (RYDBERG, "one Rydberg is 13.6057 eV"), (KJ, "one eV is 96.485 kJ/mol"),
)  # fmt: skip
UNITS: Final = (
    *RATIOS, *((1.0 / factor, text) for factor, text in RATIOS),
    (1.0 / (HARTREE * EV), "one Hartree is 627.51 kcal/mol"), (1.0 / (RYDBERG * EV), "one Rydberg is 313.75 kcal/mol"),
)  # fmt: skip
"""How many times too large numbers are, beside others, where the unit of one of the two is not what it was taken for.

Which of the two it is, the numbers don't tell. A kcal is 4.184 kJ, which is so small a ratio that it fits by chance.
"""

KNOWN: Final = 0.05
"""Singular values of the mole fractions, relative to the largest, up to which compositions don't tell elements
apart."""


def undetermined_frame_notes(frames: FrameSequence, frozen: Sequence[Parameters], where: str) -> tuple[str, ...]:
    """A warning where frames with energies have compositions whose energies frozen models don't know."""
    notes = []
    for model in frozen:
        known = [is_determined(model.undetermined, Counter(dict(f.counts))) for f in frames.facts.formulas]
        off = np.flatnonzero(~np.array(known, np.bool_)[frames.facts.formula] & frames.facts.has_energy)
        if len(off):
            notes.append(
                f"WARNING: {model.source}: {undetermined_text(model.undetermined)}; so are "
                f"{count_text(len(off), 'frame')} of {where or 'the fit'}, such as {frames.origin(int(off[0]))}: "
                "fit its blocks again together with these"
            )
    return tuple(notes)


def uncovered_frames(
    models: Iterable[Parameters], frames: Iterable[Frame], *, labelled: bool = True
) -> tuple[tuple[str, ...], int]:
    """Elements of whose energies the sum of models knows combinations alone, and how many frames that leaves out.

    Those are the frames with energies, or all, whose compositions are not among these combinations.
    """
    undetermined = combined(d for m in models for d in m.undetermined)
    facts = sequence_of(frames).facts
    known = np.array([is_determined(undetermined, Counter(dict(f.counts))) for f in facts.formulas], np.bool_)
    wanted = facts.has_energy | (not labelled)
    return elements_of(undetermined), int(np.count_nonzero(wanted & ~known[facts.formula]))


def without_offsets(
    models: Iterable[Parameters], frames: Iterable[Frame], *, labelled: bool = True
) -> tuple[str, ...]:  # fmt: skip
    """Elements of frames with energies, or of all, that models have terms of, but none the energy of a free atom."""
    bases = [m.basis for m in models]
    facts = sequence_of(frames).facts
    asked = set(facts.elements(facts.has_energy | (not labelled)))
    stated = {t.elements[0] for b in bases for t in b.types if t.body == 1}
    return tuple(sorted((asked & {e for b in bases for e in b.elements}) - stated))


@dataclass(frozen=True, eq=False)
class _Labels:
    """Mole fractions of the elements whose energies are fixed, and energies, eV an atom: means of each composition.

    What energies that are fitted describe is taken off both.
    """

    fractions: NDArray[np.float64]
    energies: NDArray[np.float64]

    def above(self, references: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.energies - self.fractions @ references


def reference_notes(
    counts: NDArray[np.float64], energies: NDArray[np.float64], elements: Sequence[str], *,
    given: Mapping[str, float], frozen: Mapping[str, float], fitted: Collection[str], where: str,
    frames: NDArray[np.integer] | None = None,
) -> tuple[str, ...]:  # fmt: skip
    """A warning where energies of free atoms that are not fitted are far from what the labels tell.

    Parameters
    ----------
    counts : ndarray of shape (frames, elements)
        Numbers of atoms.
    energies : ndarray of shape (frames,)
        Labels, kcal/mol.
    elements : sequence of str
        What the columns of ``counts`` are.
    given, frozen : mapping from str to float
        By element, kcal/mol, of the basis and of frozen models; of elements of neither the energy is zero.
    fitted : collection of str
        Elements whose energies are fitted, which may be anything.
    where : str
        What is fitted, for the warning.
    frames : ndarray of int, shape (frames,), optional
        Where rows are of several frames each, how many, and ``energies`` are their means; default: one.

    Returns
    -------
    tuple of str
        The warning; empty where all is well.
    """
    fixed = [e for e in elements if e not in fitted]
    if not fixed or not len(energies):
        return ()
    number = np.ones(1, np.int64) if frames is None else frames
    labels = _labels(counts, energies, [e in fixed for e in elements], number)
    known = {**frozen, **given}
    references = np.array([known.get(e, 0.0) / EV for e in fixed])
    off = float(np.abs(labels.above(references)).max())
    units = _units(labels, references, np.array([e in given for e in fixed]), off)
    if off <= (BINDING if units else FAR):
        return ()
    implied = references + np.linalg.pinv(labels.fractions, rcond=KNOWN) @ labels.above(references)
    apart = np.linalg.matrix_rank(labels.fractions, tol=KNOWN * np.linalg.norm(labels.fractions, 2)) == len(fixed)
    named = [i for i in range(len(fixed)) if abs(implied[i] - references[i]) > BINDING] or list(range(len(fixed)))
    values = ", ".join(
        f"{fixed[i]} {_origin(fixed[i], given, frozen)} {number_text(references[i])} eV"
        + (f", the labels tell about {number_text(implied[i])} eV" if apart else "")
        for i in named
    )
    if not apart:
        values += ", which the compositions do not tell apart"
    remedy = (
        "look at the unit of [basis] energies (eV unless unit says otherwise) and of the energy labels, at one_body, "
        "and whether both are of the same program and pseudopotentials; or leave these energies out to have them fitted"
    )
    return (
        f"WARNING: energies of free atoms that are not fitted are {number_text(off)} eV an atom from the energies of "
        f"{where}, more than binding explains: {values}" + f"{units}; {remedy}",
    )


def _labels(
    counts: NDArray[np.float64], energies: NDArray[np.float64], fixed: Sequence[bool], frames: NDArray[np.integer]
) -> _Labels:
    size = counts.sum(axis=1)
    kinds, place = np.unique(counts / size[:, np.newaxis], axis=0, return_inverse=True)
    number = np.broadcast_to(frames, size.shape)
    means = np.bincount(place.ravel(), number * (energies / size / EV)) / np.bincount(place.ravel(), number)
    is_fixed = np.array(fixed)
    free = kinds[:, ~is_fixed]
    both = np.column_stack([kinds[:, is_fixed], means])
    both -= free @ (np.linalg.pinv(free, rcond=1e-8) @ both)
    return _Labels(both[:, :-1], both[:, -1])


def _units(labels: _Labels, references: NDArray[np.float64], given: NDArray[np.bool_], off: float) -> str:
    """What is said of units by which the energies of the basis and the labels would go together; nothing if of none.

    That labels are in another unit is only thought of where nothing else explains how far the two are apart.
    """
    if not (references[given] != 0.0).any():
        return ""
    fits: dict[str, list[str]] = {}
    for factor, text in UNITS:
        gaps = [labels.above(np.where(given, references / factor, references))]
        gaps += [factor * labels.energies - labels.fractions @ references] * (off > FAR)
        if min(float(np.abs(gap).max()) for gap in gaps) <= BINDING:
            sizes = ("large", "small") if factor > 1.0 else ("small", "large")
            phrase = f"as if the energies given were too {sizes[0]}, or the labels too {sizes[1]}, by"
            fits.setdefault(phrase, []).append(f"{number_text(max(factor, 1.0 / factor))} ({text})")
    if not fits:
        return ""
    which = " or ".join(f"{phrase} {' or '.join(ratios)}" for phrase, ratios in fits.items())
    return f"; the unit of either may be another than it was read in, {which}"


def _origin(element: str, given: Mapping[str, float], frozen: Mapping[str, float]) -> str:
    if element in given:
        return "is given as"
    return "is frozen at" if element in frozen else "has none, which is"
