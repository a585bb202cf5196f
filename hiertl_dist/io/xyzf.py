"""ChIMES trajectories (``.xyzf``): Å, forces in Hartree/Bohr, stress in GPa, energy in kcal/mol.

Per frame: the number of atoms; ``Lx Ly Lz`` or ``NON_ORTHO`` and nine components of the lattice, followed
by nothing, the energy, the diagonal or the full stress (xx yy zz xy xz yz), or a stress and the energy; then
``El x y z fx fy fz``, forces being left out for every atom or none.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from ..frames.labels import LABELS, LabelOrigin
from ..units import HARTREE_PER_BOHR, KCAL_PER_A3_IN_GPA
from .lines import LineSource, frames_in, make_frame, number, read_atoms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ..frames.frame import Frame

TAILS: Final = {0: (0, False), 1: (0, True), 3: (3, False), 4: (3, True), 6: (6, False), 7: (6, True)}
"""Numbers after the lattice → how many of them are stress, and whether an energy follows."""

NON_ORTHO: Final = ("NON_ORTHO", "NON-ORTHO")


def iter_xyzf(source: LineSource, group: str, asked: str | None = None) -> Iterator[Frame]:
    """Frames of a ChIMES trajectory, in the package's units.

    A stress of which the file gives the diagonal only has NaN off-diagonals.

    Parameters
    ----------
    source : LineSource
        The lines of the file.
    group : str
        The group of the frames.
    asked : str, optional
        The pattern or path that stands for the file; default: its path.

    Yields
    ------
    Frame
        One after the other, as they are read.

    Raises
    ------
    FrameError
        Naming file, frame and line: whatever cannot be read as described above.
    """
    name = str(source.path) if asked is None else asked
    yield from frames_in(source, lambda n: _frame(source, n, group, name))


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
    values = [number(source, word, "the lattice, stress or energy") for word in words[general:]]
    n_lattice = 9 if general else 3
    tail = values[n_lattice:]
    if len(values) < n_lattice or len(tail) not in TAILS:
        lattice = "nine lattice components" if general else "three box lengths"
        raise source.error(f"expected {lattice} followed by 0, 1, 3, 4, 6 or 7 numbers, found {len(values)} numbers")
    if general:
        cell = np.array(values[:9]).reshape(3, 3)
    else:
        cell = np.diag(values[:3])
        if min(values[:3]) <= 0:
            raise source.error(f"expected positive box lengths, found {values[:3]}")
    n_stress, has_energy = TAILS[len(tail)]
    stress = None
    if n_stress:
        stress = np.full(6, np.nan)
        stress[:n_stress] = np.array(tail[:n_stress]) / KCAL_PER_A3_IN_GPA
    return cell, stress, tail[-1] if has_energy else None
