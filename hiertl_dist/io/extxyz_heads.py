"""Comment lines of extended XYZ that are as nearly all are, read with little work for each.

Frames of one program have the same keys in the same order, so what follows from those is worked out once; what is left
is a handful of values. What is anything else goes to :meth:`~hiertl_dist.io.extxyz.ExtxyzFile.header`, which reads any
comment line, and where that raises, the frame is one for the careful reader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..errors import FrameError
from ..frames.labels import LATTICE_ALIKE
from ..units import EV
from .cells import settled_cell
from .comments import NAMES, Comment
from .extxyz import UNIT_KEY, ExtxyzFile, fits, lattice_in, pbc_in
from .heads import Cell, Head, Lines
from .lines import LineSource, plain_numbers
from .stresses import ASYMMETRY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..frames.labels import LabelOrigin
    from .cells import Periodicity
    from .layouts import Layout

PAIRS: Final = re.compile(
    r"""([^\s="'{}\[\],]+)=(?:"([^"\\]*)"|([^\s"'{}\[\]=][^\s=]*))(?=\s|$)|\S+""",
)
"""As ``USUAL`` of ``comments.py``, or a word that is something else, which has no key."""

EVERYWHERE: Final = (True, True, True)
ABSENT: Final = -1
"""No value stands there."""

MOST_COLUMNS: Final = 64
"""Columns of a line that is read so."""


class Known(NamedTuple):
    """What follows from the keys of a comment line and its ``Properties``."""

    layout: Layout
    lines: Lines
    read: tuple[tuple[str, str], ...]
    alike: tuple[tuple[str, str], ...]
    labels: dict[tuple[object, ...], LabelOrigin]


@dataclass(frozen=True)
class Keys:
    """Where values stand among those of a comment line; ABSENT: nowhere."""

    names: tuple[str, ...]
    lattice: int
    pbc: int
    properties: int
    energy: int
    free_energy: int
    stress: int
    is_virial: bool
    group: int
    known: dict[str | None, Known | None] = field(default_factory=dict)


class ExtxyzRuns(ExtxyzFile):
    """An extended XYZ file that is read in runs."""

    def heads(self, *, latin: bool) -> ExtxyzHeads:
        """What reads the heads of the frames of a run; ``latin``: some line before it is not UTF-8."""
        return ExtxyzHeads(self, latin)


class ExtxyzHeads:
    """The heads of the frames of a run, which share what frames have in common."""

    def __init__(self, file: ExtxyzFile, latin: bool) -> None:
        self._file = file
        self._latin = latin
        self._nowhere = LineSource.at(file.path, 0, 1, 1, latin=latin, text=b"")
        self._keys: dict[tuple[str, ...], Keys | None] = {}
        self._cells: dict[tuple[str | None, str | None], Cell | None] = {}
        self._flags: dict[str | None, Periodicity | None] = {}
        self._lines: dict[Layout, Lines | None] = {}

    def head(self, line: str, atom: str, n: int) -> Head | None:
        """What a comment line says; None where a frame is one for the careful reader."""
        return self._usual(line) or self._any(line, n)

    def _usual(self, line: str) -> Head | None:
        found = PAIRS.findall(line)
        names = tuple([pair[0] for pair in found])
        try:
            keys = self._keys[names]
        except KeyError:
            keys = self._keys[names] = self._keys_of(names)
        if keys is None:
            return None
        values = [pair[1] or pair[2] for pair in found]
        properties = values[keys.properties] if keys.properties >= 0 else None
        try:
            known = keys.known[properties]
        except KeyError:
            known = keys.known[properties] = self._known(keys, properties)
        if known is None:
            return None
        cell = self._cell(
            values[keys.lattice] if keys.lattice >= 0 else None, values[keys.pbc] if keys.pbc >= 0 else None
        )
        if cell is None:
            return None
        energy: float | None = None
        if keys.energy >= 0:
            text = values[keys.energy]
            if keys.free_energy >= 0 and values[keys.free_energy] != text:
                return None
            numbers = plain_numbers(text)
            if len(numbers) != 1:
                return None
            energy = numbers[0] * EV
        stress = None
        if keys.stress >= 0 and (stress := six_of_text(values[keys.stress], keys.is_virial, cell)) is None:
            return None
        group = self._file.group
        if keys.group >= 0 and not (group := values[keys.group].strip()):
            return None
        passed = known.alike
        if passed:
            comment = Comment(dict(zip(keys.names, values, strict=True)))
            passed = tuple([pair for pair in passed if fits(*pair, comment, known.layout)])
        alike = (passed, cell.notes, cell.doubts)
        labels = known.labels.get(alike)
        if labels is None:
            labels = known.labels[alike] = self._file.labels(known.read, passed, cell.notes, cell.doubts, self._latin)
        return Head(cell, energy, stress, group, labels, known.lines)

    def _keys_of(self, given: tuple[str, ...]) -> Keys | None:
        """Where the values of some keys stand; None: there is something about them."""
        file = self._file
        names = tuple(NAMES.get(name.lower(), name) for name in given)
        if "" in given or len(set(names)) < len(names) or any(map(UNIT_KEY.fullmatch, names)):
            return None
        if "Lattice" not in names and any(map(LATTICE_ALIKE.fullmatch, names)):
            return None
        at = {name: k for k, name in enumerate(names)}
        stresses = [label for label in file.keys.stresses() if file.keys.key(label) in at]
        # one key for two things, or a group that is not there
        special = [*file.used_keys(), *([file.group_key] if file.group_key else [])]
        if len(stresses) > 1 or len(set(special)) < len(special) or (file.group_key and file.group_key not in at):
            return None
        energy = file.keys.key("energy")
        return Keys(
            names, at.get("Lattice", ABSENT), at.get("pbc", ABSENT), at.get("Properties", ABSENT),
            at.get(energy, ABSENT), at.get("free_energy", ABSENT) if energy == "energy" else ABSENT,
            at[file.keys.key(stresses[0])] if stresses else ABSENT, stresses == ["virial"],
            at[file.group_key] if file.group_key else ABSENT,
        )  # fmt: skip

    def _known(self, keys: Keys, properties: str | None) -> Known | None:
        file = self._file
        try:
            layout = file.layout(self._nowhere, properties)
        except FrameError:
            return None
        lines = self._lines_of(layout)
        if lines is None:
            return None
        if keys.energy >= 0:
            file.keys.seen.add("energy")
        stress: tuple[str, ...] = ()
        if keys.stress >= 0:
            stress = (keys.names[keys.stress],)
            file.keys.seen.add("virial" if keys.is_virial else "stress")
        alike = file.look_alikes((*keys.names, *layout.names))
        return Known(layout, lines, file.read(keys.energy >= 0, layout, stress), alike, {})

    def _lines_of(self, layout: Layout) -> Lines | None:
        try:
            return self._lines[layout]
        except KeyError:
            lines = self._lines[layout] = Lines.of(
                layout.width, layout.species, layout.numbers, has_forces=layout.has_forces, atomic=layout.atomic,
                checked=layout.has_numbers,
            ) if layout.width <= MOST_COLUMNS else None  # fmt: skip
            return lines

    def _cell(self, lattice: str | None, pbc: str | None) -> Cell | None:
        try:
            return self._cells[lattice, pbc]
        except KeyError:
            pass
        cell = self._cells[lattice, pbc] = self._settled(lattice, pbc)
        return cell

    def _settled(self, lattice: str | None, pbc: str | None) -> Cell | None:
        numbers = plain_numbers(lattice) if lattice else []
        try:
            if pbc not in self._flags:
                self._flags[pbc] = pbc_in(self._nowhere, {} if pbc is None else {"pbc": pbc})
            flags = self._flags[pbc]
            if len(numbers) == 9 and any(numbers) and flags in (None, EVERYWHERE):
                return Cell(np.array(numbers).reshape(3, 3), EVERYWHERE)
            found = lattice_in(self._nowhere, {} if lattice is None else {"Lattice": lattice})
            return Cell(*settled_cell(found, flags, self._nowhere.error))
        except FrameError:
            return None

    def _any(self, line: str, n: int) -> Head | None:
        try:
            header = self._file.header(self._nowhere, line, n)
        except FrameError:
            return None
        lines = self._lines_of(header.layout)
        if lines is None:
            return None
        labels = self._file.origin(header, latin=self._latin)
        return Head(Cell(header.cell, header.pbc), header.energy, header.stress, header.group, labels, lines)


def six_of_text(text: str, is_virial: bool, cell: Cell) -> Sequence[float] | None:
    """What :func:`~hiertl_dist.io.stresses.stress_of` makes of six or nine plain numbers; None: it may say something.

    Parameters
    ----------
    text : str
        The numbers.
    is_virial : bool
        They are a virial, not a stress.
    cell : Cell
        The frame's.

    Returns
    -------
    sequence of float or None
        xx yy zz xy xz yz, kcal/mol/Å³.
    """
    v = plain_numbers(text)
    if cell.cell is None or not all(cell.pbc):
        return None
    if len(v) == 9:
        limit = ASYMMETRY * max(max(v), -min(v))
        if abs(v[1] - v[3]) > limit or abs(v[2] - v[6]) > limit or abs(v[5] - v[7]) > limit:
            return None
        six = (v[0], v[4], v[8], 0.5 * (v[1] + v[3]), 0.5 * (v[2] + v[6]), 0.5 * (v[5] + v[7]))
    elif len(v) == 6:
        six = (v[0], v[1], v[2], v[5], v[4], v[3])
    else:
        return None
    if is_virial:
        volume = abs(float(np.linalg.det(cell.cell)))
        return [EV * (x / volume) for x in six] if volume else None
    return [EV * -x for x in six]
