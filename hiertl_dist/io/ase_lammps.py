"""Text dumps of LAMMPS through ASE, which takes two things for granted that a dump may not say, and makes up a third.

Units and elements are read where the dump states them, and refused otherwise. The energy is none of a dump: ASE gives
0.0 beside forces, which is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..errors import FrameError
from ..text.words import shown
from .ase_images import Image
from .text_files import room_for_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT_DUMP: Final = "lammps-dump-text"
DUMPS: Final = (TEXT_DUMP, "lammps-dump-binary")
"""What ASE calls dumps of LAMMPS."""

UNITS: Final = ("real", "metal", "si", "cgs", "electron", "micro", "nano")
"""Styles of units in which a force is one."""

HOW: Final = "dump d all custom 100 run.dump id element x y z fx fy fz, dump_modify d element C N units yes"
"""How LAMMPS is asked for a dump that can be read."""

NO_ENERGY: Final = "dumps of LAMMPS have no energy of the configuration: 0.0, which ASE gives, was left out"


def dump_images(path: Path, kind: str) -> Iterator[Image]:
    """The frames of a dump, with forces if it has them, and without an energy.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        One of DUMPS.

    Yields
    ------
    Image
        In ASE's units.

    Raises
    ------
    FrameError
        The dump does not say its units or the elements of its atoms; a binary dump, which can't.
    """
    if kind != TEXT_DUMP:
        raise FrameError(f"{path}: a binary dump of LAMMPS says neither units nor elements; write one of text: {HOW}")
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import iread

    units = _units(path)
    _require_possible_counts(path)
    full = str(path.absolute())
    for atoms in iread(full, ":", format=kind, parallel=False, do_not_split_by_at_sign=True, units=units):
        forces = (getattr(atoms.calc, "results", None) or {}).get("forces")
        if forces is None:
            yield Image(atoms)
            continue
        atoms.calc = SinglePointCalculator(atoms, forces=forces)
        yield Image(atoms, notes=(NO_ENERGY, f"units of the dump: {units}"))


LEAST_LINE: Final = 8
"""Characters of the shortest line of an atom: number, element and three coordinates, less a blank."""


def _require_possible_counts(path: Path) -> None:
    """Raise FrameError where a dump tells of more atoms than it has room for; ASE would read on at its end for each."""
    from ase.io.formats import open_with_compression

    room = room_for_lines(path, LEAST_LINE)
    with open_with_compression(str(path)) as stream:
        lines = enumerate(stream, 1)
        for at, line in lines:
            if "ITEM: NUMBER OF ATOMS" not in line:
                continue
            number, text = next(lines, (at + 1, ""))
            # Python reads no number of thousands of digits
            if len(count := text.strip()) > 18 or not count.isdecimal() or int(count) > room:
                found = shown(count)
                raise FrameError(f"{path}, line {number}: expected a number of atoms, at most {room}, found {found}")


def _units(path: Path) -> str:
    """The style of units that a dump states. Raises FrameError where it does not, or lacks elements."""
    from ase.io.formats import open_with_compression

    found = ""
    with open_with_compression(str(path)) as stream:
        for line in stream:
            if line.startswith("ITEM: UNITS"):
                found = next(stream, "").strip()
            elif line.startswith("ITEM: ATOMS"):
                columns = line.split()[2:]
                if "element" not in columns:
                    raise FrameError(
                        f"{path}: the dump has the columns {' '.join(columns)}: numbers of types are no elements, and "
                        f"ASE would take 1 for H; expected a column element: {HOW}"
                    )
                break
    if not found:
        raise FrameError(
            f"{path}: the dump does not say its units, which decide what its forces are; expected 'ITEM: UNITS': "
            f"{HOW}, or put the two lines 'ITEM: UNITS' and 'metal' (or real) above its first line"
        )
    if found not in UNITS:
        raise FrameError(f"{path}: expected units of one of the styles {', '.join(UNITS)}, found {found!r}")
    return found
