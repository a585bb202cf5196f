"""Extended XYZ (``.extxyz``, ``.xyz``): Å, eV, eV/Å, stress in eV/Å³ with ASE's sign or virial in eV.

The comment line holds ``key=value`` pairs among ordinary words; ``Properties`` names the columns, in any order,
``Lattice`` the lattice vectors, ``pbc`` the periodicity. Files without ``Properties`` have element, x, y, z, and what
follows is passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import numpy as np

from ..frames.labels import LATTICE_ALIKE, SIZES, LabelOrigin, look_alikes, takes
from ..text.words import shown
from ..units import EV
from .cells import BOOLEANS, STRESS_DROPPED, Periodicity, settled_cell
from .comments import LISTS, NUMBER, Comment, parse_comment
from .layouts import Layout, layout_of
from .lines import frames_in, make_frame, number, plain_numbers, read_atoms
from .masses import MASSES
from .stresses import six_of, stress_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from .label_keys import LabelKeys
    from .lines import AtomTable, LineSource

SYMBOL_OF: Final = ("X", *MASSES)
"""Chemical symbols by atomic number; ``X`` is ASE's name of what has none."""
NUMBER_OF: Final = {name: number for number, name in enumerate(SYMBOL_OF) if number}

UNIT_KEY: Final = re.compile(r"(.*[_-])?units?", re.IGNORECASE)
OUR_UNITS: Final = re.compile(
    r"ev([/ ](atom|cell|(å|a|ang|angstrom)(\^?3)?))?|å|a|ang|angstroms?|metal|ase", re.IGNORECASE
)
OTHER_UNITS: Final = re.compile(r"(ha|hartrees?|eh|a\.u\.?|ry|rydbergs?|kcal|kj|mev|kev)\b.*", re.IGNORECASE)
NAMELESS: Final = "columns after the fourth were passed over: without Properties they have no name"
NO_GROUP: Final = "the group key has an empty value; the group is the name of the file"
ENERGIES_DIFFER: Final = (
    "energy and free_energy differ; energy was taken, and the forces of electronic-structure codes belong to the free "
    f"energy: {takes('energy', 'free_energy', 'takes that')}"
)
NUMBERED: Final = (
    "types of atoms are named by whole numbers, and taken for names; if they are atomic numbers, say so: "
    "Properties=Z:I:1:pos:R:3 and so on in the comment line"
)
APART: Final = 1e-3
"""eV an atom: a difference of energy and free_energy beyond this is a warning."""


class Header(NamedTuple):
    """What the comment line of a frame says.

    ``differ`` is what there is to say of its energies, ``no_group`` of its group; ``notes`` and ``doubts`` what comes
    before that, ``units`` what comes after.
    """

    comment: Comment
    cell: NDArray[np.float64] | None
    pbc: Periodicity
    energy: float | None
    stress: NDArray[np.float64] | None
    group: str
    layout: Layout
    read: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    differ: tuple[str, ...]
    no_group: tuple[str, ...]
    doubts: tuple[str, ...]
    units: tuple[str, ...]


@dataclass
class ExtxyzFile:
    """What is known of a file while it is read. Frames that are alike share what is said about their labels.

    A frame without a lattice, with one of zeros, or that ``pbc`` says repeats in no direction is an isolated molecule;
    one that repeats in one or two directions a wire or a slab. Neither has a stress: theirs is dropped, and noted in
    ``Frame.labels`` like all else that the file does not say.

    Attributes
    ----------
    path : Path
        The file.
    keys : LabelKeys
        Under which keys it has its labels; gets those that are met.
    group : str
        The group of frames.
    group_key : str or None
        The key of the comment line that names the group of a frame, in place of that.
    asked : str
        The pattern or path that stands for the file.
    """

    force: ClassVar[float] = EV
    path: Path
    keys: LabelKeys
    group: str
    group_key: str | None
    asked: str

    def __post_init__(self) -> None:
        self._layouts: dict[str | None, Layout] = {}
        self._alike: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {}
        self._origins: dict[tuple[object, ...], LabelOrigin] = {}
        self.lists = {*LISTS, *(self.keys.key(label) for label in ("stress", "virial"))}
        self.used = {self.keys.key(label) for label in ("energy", "forces", *self.keys.stresses())}
        self.used |= {"Lattice", "pbc", "Properties", *([self.group_key] if self.group_key else [])}

    def used_keys(self) -> tuple[str, ...]:
        """The keys that are read, but that of the group."""
        labels = ("energy", *self.keys.stresses())
        return ("Lattice", "pbc", "Properties", *(self.keys.key(label) for label in labels))

    def frames(self, source: LineSource) -> Iterator[Frame]:
        """Frames of some lines, read one by one, in the package's units.

        Raises
        ------
        FrameError
            Naming file, frame and line: whatever cannot be read, an asymmetric stress, a key that is used and given
            twice with different values, an energy in another unit, a frame without ``group_key``.
        """
        yield from frames_in(source, lambda n: self._frame(source, n))

    def _frame(self, source: LineSource, n: int) -> Frame:
        line = source.read()
        if line is None:
            raise source.error("expected a comment line, found the end of the file")
        header_line = source.number
        header = self.header(source, line, n)
        layout = header.layout
        atoms = read_atoms(
            source, n, lambda _: layout.width, layout.species, lambda _: layout.numbers, more=layout.nameless,
            named=not layout.atomic,
        )  # fmt: skip
        numbered = False
        if layout.atomic:
            atoms = atoms._replace(species=_symbols(source, atoms.species, atoms.first_line))
        else:
            numbered = all(map(str.isdigit, atoms.species))
        if layout.has_numbers:
            _check_numbers(source, atoms)
            atoms = atoms._replace(numbers=atoms.numbers[:, :-1])
        return make_frame(
            source, atoms, header_line, positions=atoms.numbers[:, :3], cell=header.cell, pbc=header.pbc,
            energy=header.energy, forces=atoms.numbers[:, 3:] * EV if layout.has_forces else None,
            stress=header.stress, group=header.group,
            labels=self.origin(header, latin=source.latin > 0, numbered=numbered, more=atoms.more),
        )  # fmt: skip

    def header(self, source: LineSource, line: str, n: int) -> Header:
        """What the comment line of a frame of n atoms says; raises FrameError as :meth:`frames` does."""
        keys = self.keys
        comment = parse_comment(line, self.lists, source.error)
        for key in comment.differing.keys() & self.used:
            texts = comment.differing[key]
            if len({pbc_in(source, {key: t}) if key == "pbc" else tuple(map(_plain, _values(t))) for t in texts}) > 1:
                raise source.error(f"the key {key!r} is given twice, as {' and as '.join(map(shown, texts))}")
        info = comment.values
        cell, pbc, notes, doubts = settled_cell(lattice_in(source, info), pbc_in(source, info), source.error)
        group, no_group = self._group(source, info)
        energy = _energy(source, comment, keys)
        stress, stress_keys = _stress(source, info, keys, cell if all(pbc) else None)
        layout = self.layout(source, info.get("Properties"))
        difference = _energy_difference(info, keys)
        return Header(
            comment, cell, pbc, energy, stress, group, layout,
            read=self.read(energy is not None, layout, stress_keys),
            notes=notes,
            differ=(ENERGIES_DIFFER,) * (0 < difference <= APART * n),
            no_group=no_group,
            doubts=(
                *doubts, *(STRESS_DROPPED,) * bool(stress_keys and stress is None),
                *(ENERGIES_DIFFER,) * (difference > APART * n),
            ),
            units=_units(line, info),
        )  # fmt: skip

    def layout(self, source: LineSource, properties: str | None) -> Layout:
        """The columns that ``Properties`` names; raises FrameError where it does not name what there must be."""
        layout = self._layouts.get(properties)
        if layout is None:
            layout = self._layouts[properties] = layout_of(source, properties, self.keys)
        return layout

    def read(self, energy: bool, layout: Layout, stress_keys: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """The labels that a frame has, with their keys."""
        return (
            *[("energy", self.keys.key("energy"))] * energy, *[("forces", self.keys.key("forces"))] * layout.has_forces,
            *(("stress", key) for key in stress_keys),
        )  # fmt: skip

    def _group(self, source: LineSource, info: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
        if self.group_key is None:
            return self.group, ()
        if self.group_key not in info:
            raise source.error(f"expected the group key {self.group_key!r}, found the keys {sorted(info)[:20]}")
        name = info[self.group_key].strip()
        return (name, ()) if name else (self.group, (NO_GROUP,))

    def origin(self, header: Header, *, latin: bool, numbered: bool = False, more: int = 0) -> LabelOrigin:
        """Where the labels of a frame came from.

        Parameters
        ----------
        header : Header
            What its comment line says.
        latin : bool
            Some line so far is not UTF-8.
        numbered : bool, default False
            All types of atoms are named by whole numbers.
        more : int, default 0
            Columns without a name that were passed over.

        Returns
        -------
        LabelOrigin
            The same one for frames that are alike.
        """
        comment, layout, info = header.comment, header.layout, header.comment.values
        # one more column may be a charge; three look like forces
        notes = (
            *header.notes, *(NUMBERED,) * numbered, *header.differ, *(NAMELESS,) * (0 < more < 3), *header.no_group,
        )  # fmt: skip
        doubts = (*header.doubts, *(NAMELESS,) * (more >= 3), *header.units)
        passed = tuple(
            (label, name)
            for label, name in self.look_alikes((*info, *layout.names, *comment.words))
            if fits(label, name, comment, layout)
        )
        if header.cell is None and "Lattice" not in info:
            passed += tuple(
                ("lattice", k) for k in info if LATTICE_ALIKE.fullmatch(k) and len(_values(info[k])) in (3, 6, 9)
            )
        return self.labels(header.read, passed, notes, doubts, latin)

    def look_alikes(self, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """``(label, name)`` of the names of keys and columns that look like a label, whatever their values."""
        found = self._alike.get(names)
        if found is None:
            self.keys.offered.update(names)
            found = self._alike[names] = look_alikes(names, self.used, lambda *_: True)
        return found

    def labels(
        self, read: tuple[tuple[str, str], ...], passed: tuple[tuple[str, str], ...], notes: tuple[str, ...],
        doubts: tuple[str, ...], latin: bool,
    ) -> LabelOrigin:  # fmt: skip
        """What is said about the labels of a frame, one object for frames that are alike."""
        if latin:
            notes = (*notes, "some lines are not UTF-8; they were read as Latin-1")
        alike = (read, passed, notes, doubts)
        origin = self._origins.get(alike)
        if origin is None:
            named = tuple(self.keys.named().items())
            origin = self._origins[alike] = LabelOrigin(self.asked, read, named, passed, notes, doubts)
        return origin


def _units(line: str, info: Mapping[str, str]) -> tuple[str, ...]:
    if "unit" not in line.lower():
        return ()
    return tuple(
        f"{key}={shown(value)}, but energies are taken in eV and lengths in Å"
        for key, value in info.items()
        if UNIT_KEY.fullmatch(key) and not OUR_UNITS.fullmatch(value)
    )


def fits(label: str, name: str, comment: Comment, layout: Layout) -> bool:
    """Whether a key or column could be a label by its form: three numbers an atom, one number, six or nine."""
    if label == "forces":
        return name in layout.vectors
    words = _values(comment.values.get(name, ""))
    return name in comment.words or (len(words) in SIZES[label] and all(map(NUMBER.fullmatch, words)))


def _values(text: str) -> list[str]:
    """The words of a list, whatever its brackets; ASE marks what is not a plain list with ``_JSON``."""
    return re.sub(r"[\[\]{},]", " ", text.removeprefix("_JSON ")).split()


def _plain(word: str) -> str | float:
    """A word for comparison: 1.0 is 1.00, and a comma or semicolon after it is no part of it."""
    word = word.strip(";")
    return float(re.sub("[dD]", "e", word)) if NUMBER.fullmatch(word) else word


def lattice_in(source: LineSource, info: Mapping[str, str]) -> NDArray[np.float64] | None:
    """Lattice vectors as rows."""
    if "Lattice" not in info:
        return None
    words = _values(info["Lattice"])
    if len(words) != 9:
        raise source.error(f"expected nine numbers in Lattice, found {len(words)}: {shown(info['Lattice'])}")
    return np.array(_numbers(source, info, "Lattice")).reshape(3, 3)


def pbc_in(source: LineSource, info: Mapping[str, str]) -> Periodicity | None:
    """The periodicity that the comment line states: three booleans, or one for all."""
    if "pbc" not in info:
        return None
    words = [word.lower() for word in _values(info["pbc"])]
    if len(words) == 1 and len(words[0]) == 3:
        words = list(words[0])  # TTF
    if len(words) not in (1, 3) or not set(words) <= set(BOOLEANS):
        raise source.error(f"expected three of T and F in pbc, found {shown(info['pbc'])}")
    flags = [BOOLEANS[word] for word in words] * (3 if len(words) == 1 else 1)
    return flags[0], flags[1], flags[2]


def _energy(source: LineSource, comment: Comment, keys: LabelKeys) -> float | None:
    """kcal/mol."""
    key = keys.key("energy")
    if key not in comment.values:
        return None
    keys.seen.add("energy")
    unit = comment.after.get(key, "")
    if OTHER_UNITS.fullmatch(unit):
        raise source.error(f"expected an energy in eV, found {key}={shown(f'{comment.values[key]} {unit}')}")
    text = comment.values[key]
    words = _values(text)
    return number(source, words[0] if len(words) == 1 else text, f"the energy {key}") * EV


def _energy_difference(info: Mapping[str, str], keys: LabelKeys) -> float:
    """By how much (eV) the free energy that is passed over differs from the energy, as far as it is a number."""
    energy, free = info.get("energy", ""), info.get("free_energy", "")
    if energy == free or keys.key("energy") != "energy" or not NUMBER.fullmatch(energy) or not NUMBER.fullmatch(free):
        return 0.0
    return abs(float(re.sub("[dD]", "e", energy)) - float(re.sub("[dD]", "e", free)))


def _stress(
    source: LineSource, info: Mapping[str, str], keys: LabelKeys, cell: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64] | None, list[str]]:
    """(6,) kcal/mol/Å³ in ChIMES' order and sign, and the keys that hold it; dropped where there is no cell for it."""
    present = [label for label in keys.stresses() if keys.key(label) in info]
    keys.seen.update(present)
    names = [keys.key(label) for label in present]
    if cell is None or not present:
        return None, names
    tensors = {
        label: six_of(np.array(_numbers(source, info, key)), key, source.error)
        for label, key in zip(present, names, strict=True)
    }
    return stress_of(tensors, cell, source.error), names


def _numbers(source: LineSource, info: Mapping[str, str], key: str) -> list[float]:
    return plain_numbers(info[key]) or [number(source, word, key) for word in _values(info[key])]


def _symbols(source: LineSource, words: tuple[str, ...], first_line: int) -> tuple[str, ...]:
    """Chemical symbols of atomic numbers."""
    known: dict[str, str] = {}
    for k, word in enumerate(words):
        if word not in known:
            value = number(source, word, "the atomic number", first_line + k) if NUMBER.fullmatch(word) else -1.0
            if value != int(value) or not 0 <= value < len(SYMBOL_OF):
                raise source.error(
                    f"expected an atomic number up to {len(SYMBOL_OF) - 1}, found {shown(word)}", first_line + k
                )
            known[word] = SYMBOL_OF[int(value)]
    return tuple(known[word] for word in words)


def _check_numbers(source: LineSource, atoms: AtomTable) -> None:
    """Raise FrameError where an atomic number beside a chemical symbol is that of another element."""
    for k, (name, z) in enumerate(zip(atoms.species, atoms.numbers[:, -1].tolist(), strict=True)):
        if name in MASSES and 0 < z < len(SYMBOL_OF) and SYMBOL_OF[int(z)] != name:
            raise source.error(
                f"atom {k + 1} is {name} by species and {SYMBOL_OF[int(z)]} by Z = {z:g}: expected the same element in "
                "both columns; mend the file, or leave one of them out",
                atoms.first_line + k,
            )
