"""ChIMES trajectories (``.xyzf``): Å, forces in Hartree/Bohr, stress in GPa, energy in kcal/mol.

Per frame: the number of atoms; ``Lx Ly Lz`` or ``NON_ORTHO`` and nine components of the lattice, followed
by nothing, the energy, the diagonal or the full stress (xx yy zz xy xz yz), or a stress and the energy; then
``El x y z fx fy fz``, forces being left out for every atom or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from ..frames.labels import LABELS, LabelOrigin
from ..units import HARTREE_PER_BOHR, KCAL_PER_A3_IN_GPA
from .heads import Cell, Head, Lines
from .lines import frames_in, make_frame, number, plain_numbers, read_atoms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from .lines import LineSource

TAILS: Final = {0: (0, False), 1: (0, True), 3: (3, False), 4: (3, True), 6: (6, False), 7: (6, True)}
"""Numbers after the lattice → how many of them are stress, and whether an energy follows."""

NON_ORTHO: Final = ("NON_ORTHO", "NON-ORTHO")
LINES: Final = {
    1 + n: Lines.of(1 + n, 0, range(1, 1 + n), has_forces=n == 6, atomic=False, checked=False) for n in (3, 6)
}
"""What lines of so many words hold."""


@dataclass(frozen=True)
class XyzfFile:
    """A ChIMES trajectory while it is read: the group of its frames, and the pattern or path that stands for it.

    A stress of which the file gives the diagonal only has NaN off-diagonals.
    """

    force: ClassVar[float] = HARTREE_PER_BOHR
    path: Path
    group: str
    asked: str

    def frames(self, source: LineSource) -> Iterator[Frame]:
        """Frames of some lines, read one by one, in the package's units.

        Raises
        ------
        FrameError
            Naming file, frame and line: whatever cannot be read as the module describes it.
        """
        yield from frames_in(source, lambda n: _frame(source, n, self.group, self.asked))

    def heads(self, *, latin: bool) -> XyzfFile:
        """What reads the heads of the frames of a run: this, which has nothing to say of Latin-1."""
        return self

    def head(self, line: str, atom: str, n: int) -> Head | None:
        """What a line of the lattice and so on says; None where a frame is one for the careful reader."""
        words = line.split(None, 1)
        general = len(words) == 2 and words[0] in NON_ORTHO
        values = plain_numbers(words[1] if general else line)
        n_lattice = 9 if general else 3
        tail = TAILS.get(len(values) - n_lattice)
        lines = LINES.get(len(atom.split()))
        if tail is None or lines is None or (not general and min(values[:3]) <= 0):
            return None
        cell, stress, energy = _taken_apart(values, n_lattice)
        labels = _origin(self.asked, energy is not None, lines.has_forces, stress is not None)
        return Head(Cell(cell, (True, True, True)), energy, stress, self.group, labels, lines)


@cache
def _origin(asked: str, energy: bool, forces: bool, stress: bool) -> LabelOrigin:
    """Where labels came from; an xyzf file has one place for each, and no keys."""
    presence = zip(LABELS, (energy, forces, stress), strict=True)
    return LabelOrigin(asked, tuple((label, "") for label, has in presence if has))


def _frame(source: LineSource, n: int, group: str, asked: str) -> Frame:
    line = source.read()
    if line is None:
        raise source.error("expected box lengths or NON_ORTHO and a lattice, found the end of the file")
    header_line = source.number
    cell, stress, energy = _header(source, line.split())
    atoms = read_atoms(source, n, lambda first: _width(source, first), 0, lambda width: range(1, width))
    forces = atoms.numbers[:, 3:] * HARTREE_PER_BOHR if atoms.numbers.shape[1] == 6 else None
    return make_frame(
        source, atoms, header_line, positions=atoms.numbers[:, :3], cell=cell, energy=energy, forces=forces,
        stress=stress, group=group, labels=_origin(asked, energy is not None, forces is not None, stress is not None),
    )  # fmt: skip


def _width(source: LineSource, first: list[str]) -> int:
    if len(first) not in (4, 7):
        raise source.error(
            f"expected 7 columns (element x y z fx fy fz), or 4 without forces, found {len(first)}",
            source.first_line,
        )
    return len(first)


def _header(
    source: LineSource, words: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, float | None]:
    general = bool(words) and words[0] in NON_ORTHO
    plain = plain_numbers(" ".join(words[general:]))
    values = plain or [number(source, word, "the lattice, stress or energy") for word in words[general:]]
    n_lattice = 9 if general else 3
    tail = values[n_lattice:]
    if len(values) < n_lattice or len(tail) not in TAILS:
        lattice = "nine lattice components" if general else "three box lengths"
        raise source.error(f"expected {lattice} followed by 0, 1, 3, 4, 6 or 7 numbers, found {len(values)} numbers")
    if not general and min(values[:3]) <= 0:
        raise source.error(f"expected positive box lengths, found {values[:3]}")
    return _taken_apart(values, n_lattice)


def _taken_apart(
    values: list[float], n_lattice: int
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, float | None]:
    """The lattice, the stress and the energy of a line of numbers."""
    cell = np.array(values[:9]).reshape(3, 3) if n_lattice == 9 else np.diag(values[:3])
    tail = values[n_lattice:]
    n_stress, has_energy = TAILS[len(tail)]
    stress = None
    if n_stress:
        stress = np.full(6, np.nan)
        stress[:n_stress] = np.array(tail[:n_stress]) / KCAL_PER_A3_IN_GPA
    return cell, stress, tail[-1] if has_energy else None
