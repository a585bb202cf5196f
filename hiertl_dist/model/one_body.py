"""Energies of free atoms in a fit: which are given, frozen, fitted or left open, and what is taken off the labels.

The one-body coefficient of an element counts its atoms in the energy of a frame, so frames that lack energies, or whose
compositions don't tell elements apart, don't determine it. Such coefficients are left open for a larger block whose
frames can, and are never zero without a word.

Labels are total energies, whose zero is a choice of the program that made them and may be 1e5 times what a model
describes. Before anything is reduced, each frame's energy loses ``zeros[e]`` for each of its atoms: the energy that is
given or frozen, else an estimate from the labels. What is fitted is the rest, so that no digit is lost to the zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from ..errors import InputError, MismatchError
from ..frames.frame_facts import counts_in
from ..frames.frame_sequence import FrameSequence, sequence_of
from ..frames.rows import SUMMARY_KINDS, kind_codes, row_targets
from .blocks import Column
from .reference_energies import reference_notes, undetermined_frame_notes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from .basis import Basis
    from .parameters import Parameters

MissingEnergies = Literal["refuse", "fit", "zero"]
"""What happens where energies are fitted upon frozen models that say nothing of an element's one-body energy."""

MISSING_ENERGIES: Final = ("refuse", "fit", "zero")

SAME: Final = 1e-9
"""Relative difference up to which an energy that is given and one that is frozen are the same."""

SEEN: Final = 1e-6
"""Part of an element in the undetermined directions, squared, above which it counts as undetermined."""


@dataclass(frozen=True, eq=False)
class OpenEnergies:
    """One-body energies that frames so far did not determine.

    Attributes
    ----------
    elements : tuple of str
        Whose energies are open.
    directions : ndarray of shape (elements, k)
        Orthonormal; energies may still move along them by any amount. A unit vector where an element's energy is open
        on its own; fewer directions than elements where a combination of them is known.
    base : mapping from str to float
        kcal/mol by element, the values that the known combinations were fitted with; elements without any are absent.
    """

    elements: tuple[str, ...] = ()
    directions: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    base: Mapping[str, float] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """k, the number of directions."""
        return int(self.directions.shape[1])

    @classmethod
    def of(cls, elements: Iterable[str]) -> OpenEnergies:
        """Elements each of whose energies is open on its own."""
        listed = tuple(elements)
        return cls(listed, np.eye(len(listed)))

    def within(self, elements: Iterable[str]) -> OpenEnergies:
        """The part that frames of some elements can tell: directions that move these, and what moves with them."""
        inside = [e in set(elements) for e in self.elements]
        if all(inside):
            return self
        _, s, vt = np.linalg.svd(self.directions[inside])
        kept = self.directions @ vt[: int(np.count_nonzero(s > SEEN))].T
        return replace(self, directions=kept)._trimmed()

    def without(self, elements: Collection[str]) -> OpenEnergies:
        """What is open where the energies of some elements are fitted on their own: it moves the others alone."""
        others = [e not in elements for e in self.elements]
        if all(others):
            return self
        u, s, _ = np.linalg.svd(self.directions[others], full_matrices=False)
        kept = tuple(e for e, other in zip(self.elements, others, strict=True) if other)
        base = {e: x for e, x in self.base.items() if e in kept}
        return OpenEnergies(kept, u[:, s > SEEN], base)._trimmed()

    def _trimmed(self) -> OpenEnergies:
        """Without elements that no direction moves."""
        moved = np.vecdot(self.directions, self.directions) > SEEN
        chosen = tuple(e for e, is_moved in zip(self.elements, moved, strict=True) if is_moved)
        return OpenEnergies(chosen, self.directions[moved], {e: x for e, x in self.base.items() if e in chosen})

    def replaced(self, part: OpenEnergies, after: OpenEnergies) -> OpenEnergies:
        """What is open where a fit has moved a ``part`` of this (:meth:`within`) and has left ``after`` open."""
        elements = tuple(dict.fromkeys((*self.elements, *part.elements, *after.elements)))
        before, moved, left = (_placed(one, elements) for one in (self, part, after))
        rest = before - moved @ (moved.T @ before)
        u, s, _ = np.linalg.svd(rest, full_matrices=False)
        base = {e: x for e, x in self.base.items() if e not in part.elements} | dict(after.base)
        return OpenEnergies(elements, np.hstack([u[:, s > 0.5], left]), base)._trimmed()

    def together(self, other: OpenEnergies) -> OpenEnergies:
        """Both, of different elements."""
        k, m = len(self.elements), len(other.elements)
        both = np.zeros((k + m, self.count + other.count))
        both[:k, : self.count], both[k:, self.count :] = self.directions, other.directions
        return OpenEnergies((*self.elements, *other.elements), both, {**self.base, **other.base})

    def alone(self) -> tuple[str, ...]:
        """The elements of which nothing at all is known."""
        shares = np.vecdot(self.directions, self.directions)
        return tuple(e for e, part in zip(self.elements, shares, strict=True) if part > 1.0 - SEEN)

    def rows(self, frames: Sequence[Frame]) -> NDArray[np.float64]:
        """(frames, k): what each direction adds to the energy of a frame."""
        return counts_of(frames, self.elements) @ self.directions

    @property
    def columns(self) -> tuple[Column, ...]:
        """Labels of the directions: the element's, or the elements joined by ``+`` where several move together."""
        labels = []
        for direction in self.directions.T:
            moved = [e for e, x in zip(self.elements, direction, strict=True) if x**2 > SEEN]
            labels.append(Column("+".join(moved), tuple(moved), ()))
        return tuple(labels)


@dataclass(frozen=True, eq=False)
class EnergyTerms:
    """How a fit treats one-body energies, kcal/mol by element.

    Attributes
    ----------
    zeros : mapping from str to float
        Taken off each frame's energy for each atom before rows are reduced.
    fixed, stated : mapping from str to float
        Energies that the basis gives: of elements whose one-body column is among the fitted blocks', and of other
        elements of the frames, which no frozen model states.
    open : OpenEnergies
        Those of lower blocks, fitted together with this one.
    notes : tuple of str
        What the reader of a report should know.
    """

    zeros: Mapping[str, float] = field(default_factory=dict)
    fixed: Mapping[str, float] = field(default_factory=dict)
    stated: Mapping[str, float] = field(default_factory=dict)
    open: OpenEnergies = field(default_factory=OpenEnergies)
    notes: tuple[str, ...] = ()


def _placed(given: OpenEnergies, elements: Sequence[str]) -> NDArray[np.float64]:
    """(elements, k) directions among more elements."""
    placed = np.zeros((len(elements), given.count))
    placed[[elements.index(e) for e in given.elements]] = given.directions
    return placed


def counts_of(frames: Sequence[Frame], elements: Sequence[str]) -> NDArray[np.float64]:
    """(frames, elements) number of atoms."""
    return sequence_of(frames).facts.counts(elements)


def with_energies(frames: Iterable[Frame]) -> FrameSequence:
    """The frames that have an energy."""
    sequence = sequence_of(frames)
    return sequence.take(np.flatnonzero(sequence.facts.has_energy))


def energy_zeros(frames: Iterable[Frame], known: Mapping[str, float], elements: Iterable[str]) -> dict[str, float]:
    """Per-atom energies, kcal/mol by element, that leave little of the frames' energies.

    The ``known`` ones as they are, and whole numbers of kcal/mol by least squares for the other ``elements``.
    """
    others = sorted(set(elements) - set(known))
    zeros = {**dict.fromkeys(others, 0.0), **known}
    formulas, number, means = sequence_of(frames).facts.mean_energies()
    if not formulas or not others:
        return zeros
    fixed = sorted(known)
    left = means - counts_in(formulas, fixed) @ np.array([known[e] for e in fixed])
    # as many rows as there are formulas have the answer of as many as there are frames
    weights = np.sqrt(number)
    estimates = np.linalg.lstsq(weights[:, np.newaxis] * counts_in(formulas, others), weights * left, rcond=1e-8)[0]
    # whole numbers times numbers of atoms are exact, and so is what is taken off, on any machine
    return zeros | {e: float(np.round(x)) + 0.0 for e, x in zip(others, estimates, strict=True)}


def labels_above_zero(frames: Sequence[Frame], terms: EnergyTerms) -> NDArray[np.float64]:
    """(rows, directions + 1) of some frames: what open energies add to each row, and its label above the zeros."""
    energies = np.concatenate([kind_codes(f) for f in frames]) == SUMMARY_KINDS.index("energy")
    labelled = with_energies(frames)
    rows = np.zeros((len(energies), terms.open.count + 1))
    rows[:, -1] = np.concatenate([row_targets(f) for f in frames])
    rows[energies, :-1] = terms.open.rows(labelled)
    elements = sorted(terms.zeros)
    rows[energies, -1] -= counts_of(labelled, elements) @ np.array([terms.zeros[e] for e in elements])
    return rows


def one_body_columns(columns: Sequence[Column]) -> list[int]:
    """Indices of the columns that count atoms."""
    return [i for i, c in enumerate(columns) if not c.powers]


def one_body_values(models: Iterable[Parameters]) -> dict[str, float]:
    """One-body coefficients, kcal/mol, of some models by element."""
    return {c.elements[0]: v for m in models for c, v in m.as_dict().items() if len(c.elements) == 1}  # type: ignore[attr-defined]


def without_one_body(models: Iterable[Parameters], elements: Iterable[str] | None = None) -> list[Parameters]:
    """The models without one-body terms (of some elements); those of which nothing is left are dropped."""
    chosen = None if elements is None else set(elements)
    remaining = []
    for model in models:
        types = [t for t in model.basis.types if t.body > 1 or (chosen is not None and t.elements[0] not in chosen)]
        if len(types) == len(model.basis.types):
            remaining.append(model)
        elif types:
            remaining.append(model.with_types(types))
    return remaining


@dataclass(frozen=True, eq=False)
class Settled:
    """Who says the energy of a free atom of each element.

    Attributes
    ----------
    free : tuple of str
        Elements whose one-body column is among the free blocks'.
    given, frozen : mapping from str to float
        Energies of the basis, and those of frozen models, kcal/mol by element.
    opened, zero : tuple of str
        Elements of neither that are fitted all the same, and those that are zero, as was asked for.
    """

    free: tuple[str, ...]
    given: Mapping[str, float]
    frozen: Mapping[str, float]
    opened: tuple[str, ...]
    zero: tuple[str, ...]


def settled_energies(
    basis: Basis, blocks: Sequence[str], frozen: Sequence[Parameters], labelled: Collection[str],
    missing: MissingEnergies, left_open: Collection[str], where: str, left_out: Collection[str],
) -> Settled:  # fmt: skip
    """Settle who says the one-body energies in a fit of some blocks upon frozen models.

    ``labelled`` are elements of the frames whose energies are fitted, ``missing`` says what happens to those of whose
    energy neither the blocks nor frozen models nor the basis say anything. ``left_open`` are elements whose energies
    lower blocks left open, which are fitted; ``left_out`` those whose own block is fitted: where the basis has no
    one-body term of one, that is on purpose. ``where`` is what is fitted, for messages.

    Raises
    ------
    InputError
        Energies are missing and ``missing`` is ``"refuse"``; the elements and frozen models are named.
    MismatchError
        The basis gives an energy and a frozen model has another.
    """
    ones = {t.elements[0]: t.block for t in basis.types if t.body == 1}
    if missing not in MISSING_ENERGIES:
        raise InputError(f"missing_energies: expected one of {MISSING_ENERGIES}, found {missing!r}")
    given, frozen_values = dict(basis.energies), one_body_values(frozen)
    _check_same(given, frozen)
    free = tuple(e for e in ones if ones[e] in blocks)
    # fm_setup.in excludes one-body terms where a frozen file is to have them
    asked = [*ones, *sorted(set(labelled) - set(ones) - set(left_out))]
    others = [e for e in asked if e in labelled and e not in free and e not in frozen_values and e not in given]
    lacking = [e for e in others if e not in left_open]
    if lacking and missing == "refuse":
        raise InputError(_refusal(lacking, frozen, where))
    opened = tuple(e for e in others if e in left_open or missing == "fit")
    return Settled(free, given, frozen_values, opened, tuple(lacking) if missing == "zero" else ())


def zero_notes(elements: Sequence[str]) -> tuple[str, ...]:
    """What is said of energies that are zero."""
    note = f"energies of free atoms of {', '.join(elements)} are taken to be zero, as was asked for"
    return (note,) if elements else ()


def energy_terms(
    frames: Sequence[Frame], basis: Basis, blocks: Sequence[str], frozen: Sequence[Parameters], *,
    left_open: OpenEnergies | None = None, missing: MissingEnergies = "refuse", where: str = "", centred: bool = True,
    left_out: Collection[str] | None = None,
) -> EnergyTerms:  # fmt: skip
    """How a fit of some blocks to some frames treats one-body energies; raises as :func:`settled_energies`.

    ``left_open`` are energies that fits of lower blocks left open; by default ``left_out`` are those of whose own block
    the basis has any terms. With ``centred`` an estimate is taken off for energies that are fitted; not where they are
    penalised, which is their size above zero.
    """
    before = OpenEnergies() if left_open is None else left_open
    frames = sequence_of(frames)
    of_labelled = set(frames.facts.elements(frames.facts.has_energy))
    if left_out is None:
        left_out = {e for t in basis.types for e in t.elements if len(set(t.elements)) == 1}
    settled = settled_energies(basis, blocks, frozen, of_labelled, missing, before.elements, where, left_out)
    before = before.without(settled.free)  # a column of its own and an open one would share what is one energy
    still = before.within(of_labelled) if before.elements else before
    still = still.together(OpenEnergies.of(e for e in settled.opened if e not in before.elements))
    present = set(frames.facts.elements())
    stated = {
        e: x for e, x in settled.given.items() if e in present and e not in settled.free and e not in settled.frozen
    }
    known = {**settled.frozen, **settled.given, **still.base}
    fitted = [*settled.free, *still.elements] if centred else []
    # energies that are given of free blocks are off the labels whether there are any or not: nothing of them is fitted
    off = {*of_labelled, *still.elements, *settled.free}
    zeros = energy_zeros(frames, {e: x for e, x in known.items() if e in off}, fitted)
    fixed = {e: x for e, x in settled.given.items() if e in settled.free}
    return EnergyTerms(zeros, fixed, stated, still, zero_notes(settled.zero))


def energies_against_labels(
    frames: Sequence[Frame], given: Mapping[str, float], frozen: Sequence[Parameters], fitted: Collection[str],
    where: str,
) -> tuple[str, ...]:  # fmt: skip
    """Warnings where energies of free atoms that a fit takes as they are don't go with the labels of its frames.

    ``given`` are those of the basis, kcal/mol by element, ``fitted`` the elements whose energies the fit finds.
    """
    sequence = sequence_of(frames)
    formulas, number, means = sequence.facts.mean_energies()
    elements = tuple(sorted({name for formula in formulas for name, _ in formula.counts}))
    notes = reference_notes(
        counts_in(formulas, elements), means, elements, given=given, frozen=one_body_values(frozen), fitted=fitted,
        where=where, frames=number,
    )  # fmt: skip
    return (*notes, *undetermined_frame_notes(sequence, frozen, where))


def _check_same(given: Mapping[str, float], frozen: Sequence[Parameters]) -> None:
    for model in frozen:
        for element, value in one_body_values([model]).items():
            if element in given and abs(value - given[element]) > SAME * max(abs(value), abs(given[element]), 1.0):
                raise MismatchError(
                    f"energies.{element}: the basis gives {given[element]:.10g} kcal/mol, {model.source} has "
                    f"{value:.10g}; leave one of them out"
                )


def _refusal(lacking: Sequence[str], frozen: Sequence[Parameters], where: str) -> str:
    sources = [m.source for m in frozen if any({e} == set(t.elements) for t in m.basis.types for e in lacking)]
    found = f"{', '.join(sources)} without one" if sources else "no model that has one"
    named = ", ".join(lacking)
    return (
        f"{where or 'fit'}: frames with energies of {named} need the energy of a free atom of {named}, found {found}; "
        'say energies = "fit" in [frozen] (missing_energies in Python) to fit it here, energies = "zero" if zero '
        f"is meant, give it as [basis] energies = {{ {lacking[0]} = … }}, or freeze a file that has it (frozen= in "
        "Python)"
    )


def undetermined_energies(
    elements: Sequence[str], still: OpenEnergies, directions: NDArray[np.float64], values: Mapping[str, float]
) -> OpenEnergies:
    """What a fit left open, of ``elements`` whose columns were fitted on their own and of the directions of ``still``.

    ``directions``, (elements and directions of ``still``, k), are those that its rows say nothing about; ``values`` are
    the energies that were fitted, kcal/mol by element.
    """
    n = len(elements)
    spread = np.zeros((n + len(still.elements), directions.shape[0]))
    spread[:n, :n], spread[n:, n:] = np.eye(n), still.directions
    open_energies = OpenEnergies((*elements, *still.elements), spread @ directions)._trimmed()
    unknown = set(open_energies.alone())
    base = {e: values[e] for e in open_energies.elements if e in values and e not in unknown}
    return OpenEnergies(open_energies.elements, open_energies.directions, base)
