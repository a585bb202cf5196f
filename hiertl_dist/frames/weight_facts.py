"""What expressions of weights may say: facts of frames, the label of a row, and the functions of al_driver."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import InputError
from ..units import EV, KCAL_PER_A3_IN_GPA
from .expressions import Facts, Function, Names
from .rows import SUMMARY_KINDS, person_kind, row_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from .frame import Frame
    from .frame_sequence import FrameSequence

CYCLE: Final = re.compile(r"(?:ALC-|\bcycle_)(\d+)")
"""The cycle of a group whose name says it: ``ALC-2`` of al_driver, ``cycle_2`` of ``hiertl-dist cycle``."""

GAS: Final = ("G_*",)
"""Groups of frames of the gas phase: al_driver's prefix of their labels."""

NUMBERS: Final[Mapping[str, str]] = {
    "n_atoms": "number of atoms of the frame",
    "energy": "energy of the frame, kcal/mol",
    "energy_per_atom": "energy divided by the number of atoms, kcal/mol",
    "max_force": "length of the longest force on an atom, kcal/mol/Å",
    "rms_force": "root mean square of the components of all forces, kcal/mol/Å",
    "volume": "volume of the cell, Å³",
    "volume_per_atom": "volume divided by the number of atoms, Å³",
    "pressure": "mean of the diagonal of the stress, GPa, positive under compression",
    "periodic": "1 for a frame that repeats in three directions, else 0",
    "cycle": "number of the cycle of active learning of the frame's group",
    "gas": "1 for a frame of the gas phase, else 0",
    "value": "the label that the row is about: kcal/mol/Å of a force, GPa of a stress, kcal/mol of an energy",
}
"""Facts that are numbers. All but ``value`` are the same for all rows of a frame."""


def _style_b(cycle: Any, a0: Any, a1: Any) -> Any:
    return a0 * np.maximum(cycle, 1.0) ** a1


FUNCTIONS: Final[Mapping[str, Function]] = {
    "exp": Function(1, 1, np.exp), "log": Function(1, 1, np.log), "sqrt": Function(1, 1, np.sqrt),
    "abs": Function(1, 1, np.abs),
    "min": Function(2, None, lambda *x: reduce(np.minimum, x)),
    "max": Function(2, None, lambda *x: reduce(np.maximum, x)),
    # al_driver, src/gen_ff.py, gen_weights_one
    "A": Function(1, 1, lambda a0: a0),
    "B": Function(2, 2, _style_b, ("cycle",)),
    "C": Function(3, 3, lambda x, a0, a1, a2: a0 * np.exp(a1 * np.abs(x) / a2), ("value",)),
    "D": Function(4, 4, lambda x, a0, a1, a2, a3: a0 * np.exp(a1 * (x - a2) / a3), ("value",)),
    "E": Function(1, 1, lambda n, a0: n**a0, ("n_atoms",)),
    "F": Function(4, 4, lambda x, n, a0, a1, a2, a3: a0 * np.exp(a1 * (x / n - a2) / a3), ("value", "n_atoms")),
    "G": Function(4, 4, lambda x, a0, a1, a2, a3: a0 * np.exp(a1 * (np.abs(x) - a2) / a3), ("value",)),
}  # fmt: skip
"""Functions of numbers; those of one capital letter are al_driver's styles of weights, by the formulas of its sources:
the one of the cycle, B, is a₀ cycle^a₁, and cycle 0 counts as 1."""

KNOWN: Final = Names(NUMBERS, {"eV": EV}, FUNCTIONS)
"""What an expression of a weight may say."""

OF_LABELS: Final = {"C", "D", "F", "G", "value"}
"""Names by which a weight depends on the label of its row."""


class FactsOfRows(Facts):
    """Facts of the rows of one kind of some frames, in their order.

    Parameters
    ----------
    frames : FrameSequence
        In memory.
    kind : {"force", "stress", "energy"}
        Whose rows are meant.
    cycles : Mapping from str to int
        By pattern of groups, the cycle; of others the group's name may say it.
    gas : Sequence of str
        Patterns of groups of the gas phase.
    """

    def __init__(self, frames: FrameSequence, kind: str, cycles: Mapping[str, int], gas: Sequence[str]) -> None:
        self.frames, self.kind, self.cycles, self.gas = frames, kind, cycles, gas
        counts = frames.facts.rows_of_kinds
        frame = np.repeat(np.arange(len(frames)), counts.sum(axis=1))
        code = np.repeat(np.tile(np.arange(len(SUMMARY_KINDS)), len(frames)), counts.ravel())
        own = np.array([person_kind(k) == kind for k in SUMMARY_KINDS])
        self.rows: NDArray[np.intp] = np.flatnonzero(own[code])
        """Places of these rows among all rows of the frames."""
        self.frame: NDArray[np.intp] = frame[self.rows]
        """(rows,) number of each row's frame."""
        self._kept: dict[str, NDArray[np.float64]] = {}

    def origin(self, row: int) -> str:
        """As of :class:`~hiertl_dist.frames.expressions.Facts`."""
        return self.frames.origin(int(self.frame[row]))

    def number(self, name: str, at: NDArray[np.intp]) -> NDArray[np.float64]:
        """As of :class:`~hiertl_dist.frames.expressions.Facts`."""
        if name == "value":
            return self._values[at]
        if name not in self._kept:
            self._kept[name] = self._of_frames(name)
        found: NDArray[np.float64] = self._kept[name][self.frame[at]]
        lacking = np.flatnonzero(np.isnan(found))
        if len(lacking):
            row = int(at[lacking[0]])
            raise InputError(f"weights.{self.kind}: {self.origin(row)}: {self._lacking(name, row)}")
        return found

    def names(self, at: NDArray[np.intp]) -> tuple[tuple[str, ...], NDArray[np.intp]]:
        """As of :class:`~hiertl_dist.frames.expressions.Facts`."""
        facts = self.frames.facts
        return facts.group_names, facts.group[self.frame[at]].astype(np.intp)

    def share(self, function: str, symbol: str, at: NDArray[np.intp]) -> NDArray[np.float64]:
        """As of :class:`~hiertl_dist.frames.expressions.Facts`."""
        number = self.frames.facts.counts([symbol])[:, 0]
        number = number / self.frames.facts.n_atoms if function == "fraction" else number
        return number[self.frame[at]]

    @cached_property
    def _values(self) -> NDArray[np.float64]:
        every = np.concatenate([np.empty(0), *map(row_targets, self.frames)])[self.rows]
        return every * KCAL_PER_A3_IN_GPA if self.kind == "stress" else every

    def _lacking(self, name: str, row: int) -> str:
        if name == "cycle":
            group = self.frames.facts.group_names[self.frames.facts.group[self.frame[row]]]
            return (
                f"expected the cycle of group {group!r}, which its name does not say (ALC-2, cycle_2); say it: "
                f'cycles = {{ "{group}" = 0 }}, or "*" for all groups'
            )
        return f"the frame has no {name}: {NUMBERS[name]}; 'a if periodic else b' and the like ask for it elsewhere"

    def _of_frames(self, name: str) -> NDArray[np.float64]:
        """(frames,) a fact; NaN of a frame that has none."""
        facts = self.frames.facts
        n = facts.n_atoms
        if name == "n_atoms":
            return n.astype(np.float64)
        if name in ("energy", "energy_per_atom"):
            return facts.energies / (n if name == "energy_per_atom" else 1)
        if name in ("cycle", "gas"):
            of_group = {"cycle": self._cycle, "gas": self._gas}[name]
            return np.array([of_group(g) for g in facts.group_names] or [np.nan])[facts.group]
        if name == "pressure":
            return np.asarray(self.frames.stresses[:, :3].mean(axis=1) * KCAL_PER_A3_IN_GPA)
        return np.array([_OF_FRAME[name](frame) for frame in self.frames], np.float64)

    def _cycle(self, group: str) -> float:
        said = {value for pattern, value in self.cycles.items() if fnmatchcase(group, pattern)}
        if len(said) > 1:
            raise InputError(f"weights.cycles: group {group!r} is of cycles {sorted(said)} by several patterns")
        found = CYCLE.search(group)
        return float(said.pop()) if said else float(found[1]) if found else np.nan

    def _gas(self, group: str) -> float:
        return float(any(fnmatchcase(group, pattern) for pattern in self.gas))


def _max_force(frame: Frame) -> float:
    return np.nan if frame.forces is None else float(np.sqrt((frame.forces**2).sum(axis=1).max()))


def _rms_force(frame: Frame) -> float:
    return np.nan if frame.forces is None else float(np.sqrt(np.mean(frame.forces**2)))


_OF_FRAME: Final[Mapping[str, Callable[[Frame], float]]] = {
    "max_force": _max_force, "rms_force": _rms_force, "volume": lambda f: f.volume,
    "volume_per_atom": lambda f: f.volume / len(f), "periodic": lambda f: float(f.periodic),
}  # fmt: skip
