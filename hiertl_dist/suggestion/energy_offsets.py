"""Energies of single atoms that describe the total energies of some frames best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..frames.frame_facts import FrameFacts

AT_ONCE: Final = 4096
"""Formulas whose numbers of atoms are a table at a time."""


def energy_offsets(facts: FrameFacts) -> tuple[dict[str, float], tuple[str, ...], NDArray[np.float64]]:
    """Energies of single atoms that describe the total energies of some frames best: least squares, per atom.

    Frames of one formula have the same predictor, so each formula is one equation, of their mean, times the root of
    their number; more of them than :data:`AT_ONCE` are triangulated, run by run.

    Parameters
    ----------
    facts : FrameFacts
        Of the frames; those without an energy are passed over.

    Returns
    -------
    offsets : dict from str to float
        Energy of an atom of each element, kcal/mol.
    undetermined : tuple of str
        Elements whose energies the compositions do not tell apart; theirs are the smallest that do.
    left : ndarray of shape (frames with an energy,)
        What is left of each frame's energy, kcal/mol an atom.
    """
    known = np.flatnonzero(facts.has_energy)
    if not len(known):
        return {}, (), np.empty(0)
    formula = facts.formula[known]
    energies = facts.energies[known] / facts.formulas.n_atoms[formula]
    numbers = np.bincount(formula, minlength=len(facts.formulas))
    # in an order that follows from the formulas, and not from how they came together
    present = np.array(sorted(np.flatnonzero(numbers).tolist(), key=lambda k: facts.formulas[k]), np.int64)
    means = np.bincount(formula, weights=energies, minlength=len(facts.formulas))[present] / numbers[present]
    roots = np.sqrt(numbers[present])
    elements = facts.elements(facts.has_energy)
    runs = [slice(i, i + AT_ONCE) for i in range(0, len(present), AT_ONCE)]
    system = np.empty((0, len(elements) + 1))
    for run in runs:
        equations = np.column_stack([_shares(facts, present[run], elements), means[run]]) * roots[run, np.newaxis]
        system = np.concatenate([system, equations])
        if len(runs) > 1:
            _, system = np.linalg.qr(system)
    shares, targets = system[:, :-1], system[:, -1]
    offsets, _, rank, _ = np.linalg.lstsq(shares, targets, rcond=1e-9)
    loose: tuple[str, ...] = ()
    if rank < len(elements):
        _, _, directions = np.linalg.svd(np.linalg.qr(shares, mode="r"))
        free = np.abs(directions[rank:]).max(axis=0)
        loose = tuple(e for e, f in zip(elements, free, strict=True) if f > 1e-6)
    predicted = np.empty(len(facts.formulas))
    for run in runs:
        predicted[present[run]] = _shares(facts, present[run], elements) @ offsets
    return dict(zip(elements, offsets.tolist(), strict=True)), loose, energies - predicted[formula]


def _shares(facts: FrameFacts, chosen: NDArray[np.int64], elements: Sequence[str]) -> NDArray[np.float64]:
    """(formulas, elements) share of each element among the atoms of some formulas."""
    column = {e: k for k, e in enumerate(elements)}
    shares = np.zeros((len(chosen), len(elements)))
    for row, number in enumerate(chosen.tolist()):
        own = facts.formulas[number]
        for element, count in own.counts:
            shares[row, column[element]] = count / own.n_atoms
    return shares
