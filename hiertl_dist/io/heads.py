"""``Head``: what a frame says beside its lines of atoms, as readers of formats hand it to a table of frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from .kernels.columns import SKIPPED, TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from ..frames.labels import LabelOrigin
    from .cells import Periodicity
    from .lines import LineSource


class Cell(NamedTuple):
    """Lattice vectors (rows, Å; ``None``: an isolated molecule), periodicity, and what is said of them."""

    cell: NDArray[np.float64] | None
    pbc: Periodicity
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


class Lines(NamedTuple):
    """What is done with the columns of an atom line, as ``kernels/columns.py`` has it.

    ``atomic``: types are atomic numbers; ``checked``: there are such beside the types.
    """

    columns: tuple[int, ...]
    has_forces: bool
    atomic: bool = False
    checked: bool = False

    @classmethod
    def of(
        cls, width: int, species: int, numbers: Sequence[int], *, has_forces: bool, atomic: bool, checked: bool
    ) -> Lines | None:
        """Those of a line with so many columns, its type in one, its numbers in others; None: no plain ones."""
        columns = [SKIPPED] * width
        columns[species] = TYPE
        places = [0, 1, 2, *([3, 4, 5] if has_forces else []), *([6] if checked else [])]
        if len({species, *numbers}) != len(numbers) + 1:
            return None
        for column, place in zip(numbers, places, strict=True):
            columns[column] = place
        return cls(tuple(columns), has_forces, atomic, checked)


class Head(NamedTuple):
    """A frame but for its atoms, in the package's units."""

    cell: Cell
    energy: float | None
    stress: Sequence[float] | NDArray[np.float64] | None
    group: str
    labels: LabelOrigin
    lines: Lines


class Heads(Protocol):
    """What reads the heads of the frames of a run."""

    def head(self, line: str, atom: str, n: int) -> Head | None:
        """What the line after the number n of atoms says, before that of an atom; None: it is not plain."""


class Format(Protocol):
    """What is known of a file of some format while it is read."""

    force: ClassVar[float]
    """What its unit of force is in kcal/mol/Å."""

    def frames(self, source: LineSource) -> Iterator[Frame]:
        """Frames of some lines, read one by one; raises FrameError naming file, frame and line."""

    def heads(self, *, latin: bool) -> Heads:
        """What reads the heads of a run; ``latin``: some line before it is not UTF-8."""
