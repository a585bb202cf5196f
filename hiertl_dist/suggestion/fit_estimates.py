"""What fits that might be suggested would spend: the estimate of a plan, from some of the frames."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from ..design_matrix.fit_costs import FitSeconds, planning_seconds, prior_seconds, probe_atoms_of, seconds_of_one_fit
from ..evaluation.contacts import scan_frames
from ..frames.element_set import ElementSet
from ..frames.frame_sequence import FrameList
from ..model.blocks import blocks_of
from .distances import sample_numbers

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ..frames.frame_sequence import FrameSequence
    from ..model.basis import Basis

LOOKED_AT: Final = 200
"""Frames whose rows are estimated one by one, of all element sets together; a plan does so with all frames."""

LEAST: Final = 5
"""But at least so many of each element set."""


class FitEstimates:
    """What fits to some frames would spend.

    Where an element set has no more frames than are looked at, its rows cost what a plan says; else those of a sample,
    evenly spread, times the ratio of the numbers of atoms.

    Parameters
    ----------
    frames : FrameSequence
        The frames to be fitted, all with a label.
    probes : int
        Of the priors of blocks that lean on lower ones.
    """

    def __init__(self, frames: FrameSequence, probes: int) -> None:
        self.frames, self.probes = frames, probes
        facts = frames.facts
        sets = np.unique(facts.sets)
        size = len(facts.set_names)
        self._frames = np.bincount(facts.sets, minlength=size)
        self._atoms = np.bincount(facts.sets, weights=facts.n_atoms, minlength=size)
        self._rows = np.bincount(facts.sets, weights=facts.n_rows, minlength=size)
        self._code = {s: code for code, s in enumerate(facts.set_names)}
        self._numbers = np.sort(sample_numbers(facts, max(LEAST, LOOKED_AT // max(len(sets), 1))))

    @property
    def looked_at(self) -> int:
        """How many frames are looked at."""
        return len(self._numbers)

    @cached_property
    def _sample(self) -> FrameList:
        return FrameList(self.frames.take(self._numbers))

    def planning(self, sets: Collection[ElementSet]) -> FitSeconds:
        """Of the plan of fits to the frames of some element sets."""
        codes = self._codes(sets)
        seconds = planning_seconds(int(self._frames[codes].sum()), int(self._atoms[codes].sum()))
        return FitSeconds(seconds, 0.0, 0.0, 0.0, 0.0)

    def fit(self, basis: Basis, names: Sequence[ElementSet], sets: Collection[ElementSet]) -> FitSeconds:
        """Of one fit of some blocks of a basis to the frames of some element sets, after its plan."""
        blocks = [b for b in blocks_of(basis) if b.name in names]
        needs = {(s, b.name) for s in sets for b in blocks if b.name.is_subset(s)}
        facts = self._sample.facts
        used = self._sample.take(np.flatnonzero(facts.of_sets(set(sets))))
        scans = scan_frames(used, basis, [b.name for b in blocks], needs=needs)
        making = 0.0
        for name in {s for s, _ in needs}:
            own = np.flatnonzero(used.facts.of_sets({name}))
            if len(own):
                each = sum(float(seconds[own].sum(dtype=np.float64)) for seconds in scans.seconds.values())
                making += each * float(self._atoms[self._code[name]]) / float(used.facts.n_atoms[own].sum())
        rows = int(self._rows[self._codes(sets)].sum())
        width = sum(b.n_columns for b in blocks) + 1
        own_names = [b.name for b in blocks]
        sizes = {s: (int(self._atoms[c]), int(self._frames[c])) for s, c in self._code.items()}
        made = probe_atoms_of(ElementSet.union([b.name for b in blocks]), sizes, self.probes)
        atoms = float(self._atoms[self._codes(sets)].sum())
        return replace(
            seconds_of_one_fit(own_names, basis, making, rows, width),
            priors=prior_seconds(own_names, basis, making, width, atoms, made),
        )

    def _codes(self, sets: Collection[ElementSet]) -> list[int]:
        return [self._code[s] for s in sets if s in self._code]
