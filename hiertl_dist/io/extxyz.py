"""Extended XYZ (``.extxyz``, ``.xyz``): Å, eV, eV/Å, stress in eV/Å³ with ASE's sign or virial in eV.

The comment line holds ``key=value`` pairs among ordinary words; ``Properties`` names the columns, in any order,
``Lattice`` the lattice vectors, ``pbc`` the periodicity. Files without ``Properties`` have element, x, y, z, and what
follows is passed over.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..errors import FrameError
from ..frames.labels import LATTICE_ALIKE, SIZES, LabelOrigin, look_alikes, takes
from ..text.words import shown
from ..units import EV
from .cells import BOOLEANS, STRESS_DROPPED, Periodicity, settled_cell
from .comments import LISTS, NUMBER, Comment, parse_comment
from .lines import AtomTable, LineSource, frames_in, make_frame, number, read_atoms
from .masses import MASSES
from .stresses import six_of, stress_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from ..frames.frame import Frame

DEFAULT_PROPERTIES: Final = "species:S:1:pos:R:3"
COLUMNS: Final = {"symbols": "species", "numbers": "Z", "positions": "pos"}
"""Names that ASE takes for a column besides the usual one."""
COUNT: Final = re.compile(r"[1-9][0-9]{0,5}")
SYMBOL_OF: Final = ("X", *MASSES)
"""Chemical symbols by atomic number; ``X`` is ASE's name of what has none."""

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


@dataclass
class LabelKeys:
    """Under which keys a file keeps its labels; ``None`` is the usual name, and then it may be absent.

    A key that was named and that no frame had is an error, which :meth:`check_seen` raises. Naming one key leaves the
    others under their usual names; but who names the key of a stress or of a virial means that one.
    """

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    virial: str | None = None
    seen: set[str] = field(default_factory=set)
    offered: set[str] = field(default_factory=set)

    def key(self, label: str) -> str:
        """The key of a label; meeting it in a file is to be noted in ``seen``."""
        return getattr(self, label) or label

    def named(self) -> dict[str, str]:
        """The labels whose key was given, with that key."""
        labels = ("energy", "forces", "stress", "virial")
        return {label: key for label in labels if (key := getattr(self, label)) is not None}

    def stresses(self) -> tuple[str, ...]:
        """Which of stress and virial are looked for: those that were named, else both."""
        return tuple(label for label in ("stress", "virial") if label in self.named()) or ("stress", "virial")

    def check_seen(self, files: str) -> None:
        """Raise FrameError if a key that was named is in no frame, saying which ones there are."""
        for label, key in self.named().items():
            if label not in self.seen:
                offered = sorted(self.offered)
                more = f" and {len(offered) - 20} more" if len(offered) > 20 else ""
                lower = {name.lower(): name for name in offered}
                close = difflib.get_close_matches(key.lower(), lower, 1)
                meant = f"; did you mean {lower[close[0]][:40]!r}?" if close else ""
                raise FrameError(
                    f"{files}: no frame has the {label} key {key!r}; there are {[n[:40] for n in offered[:20]]}{more}"
                    f"{meant}"
                )


class Layout(NamedTuple):
    """The columns of an atom line: how many, where the name of the type is, where positions and forces are.

    ``atomic`` says that the type is an atomic number, ``has_numbers`` that there are such beside the types, then the
    last of ``numbers``; ``vectors`` are the names of columns of three numbers, which
    forces could be; ``nameless`` says that there may be more columns than those with names.
    """

    width: int
    species: int
    numbers: tuple[int, ...]
    has_forces: bool
    atomic: bool
    has_numbers: bool
    names: tuple[str, ...]
    vectors: tuple[str, ...]
    nameless: bool


@dataclass
class _File:
    """What is known of a file while it is read. Frames that are alike share what is said about their labels."""

    source: LineSource
    keys: LabelKeys
    group: str
    group_key: str | None
    asked: str
    layouts: dict[str | None, Layout] = field(default_factory=dict)
    origins: dict[tuple[object, ...], LabelOrigin] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lists = {*LISTS, *(self.keys.key(label) for label in ("stress", "virial"))}
        self.used = {self.keys.key(label) for label in ("energy", "forces", *self.keys.stresses())}
        self.used |= {"Lattice", "pbc", "Properties", *([self.group_key] if self.group_key else [])}


def iter_extxyz(
    source: LineSource, keys: LabelKeys, group: str, group_key: str | None = None, asked: str | None = None
) -> Iterator[Frame]:
    """Frames of an extended XYZ file, in the package's units.

    A frame without a lattice, with one of zeros, or that ``pbc`` says repeats in no direction is an isolated molecule;
    one that repeats in one or two directions a wire or a slab. Neither has a stress: theirs is dropped, and noted in
    ``Frame.labels`` like all else that the file does not say. Frames are of ``group``, or of the group that
    ``group_key`` of their comment line names; ``asked`` is the pattern or path that stands for the file, by default its
    path.

    Raises
    ------
    FrameError
        Naming file, frame and line: whatever cannot be read, an asymmetric stress, a key that is used and given twice
        with different values, an energy in another unit, a frame without ``group_key``.
    """
    file = _File(source, keys, group, group_key, str(source.path) if asked is None else asked)
    yield from frames_in(source, lambda n: _frame(file, n))


def _frame(file: _File, n: int) -> Frame:
    source, keys = file.source, file.keys
    line = source.read()
    if line is None:
        raise source.error("expected a comment line, found the end of the file")
    header_line = source.number
    comment = parse_comment(line, file.lists, source.error)
    for key in comment.differing.keys() & file.used:
        texts = comment.differing[key]
        if len({_pbc(source, {key: t}) if key == "pbc" else tuple(map(_plain, _values(t))) for t in texts}) > 1:
            raise source.error(f"the key {key!r} is given twice, as {' and as '.join(map(shown, texts))}")
    info = comment.values
    cell, pbc, notes, doubts = settled_cell(_lattice(source, info), _pbc(source, info), source.error)
    group, no_group = _group(file, info)
    energy = _energy(source, comment, keys)
    stress, stress_keys = _stress(source, info, keys, cell if all(pbc) else None)
    properties = info.get("Properties")
    layout = file.layouts.get(properties)
    if layout is None:
        layout = file.layouts[properties] = _layout(source, properties, keys)
    atoms = read_atoms(
        source, n, lambda _: layout.width, layout.species, lambda _: layout.numbers, more=layout.nameless,
        named=not layout.atomic,
    )  # fmt: skip
    if layout.atomic:
        atoms = atoms._replace(species=_symbols(source, atoms.species, atoms.first_line))
    elif all(map(str.isdigit, atoms.species)):
        notes += (NUMBERED,)
    if layout.has_numbers:
        _check_numbers(source, atoms)
        atoms = atoms._replace(numbers=atoms.numbers[:, :-1])
    read = [("energy", keys.key("energy"))] * (energy is not None)
    read += [("forces", keys.key("forces"))] * layout.has_forces
    read += [("stress", key) for key in stress_keys]
    doubts += (STRESS_DROPPED,) * bool(stress_keys and stress is None)
    difference = _energy_difference(info, keys)
    notes += (ENERGIES_DIFFER,) * (0 < difference <= APART * n)
    doubts += (ENERGIES_DIFFER,) * (difference > APART * n)
    # one more column may be a charge; three look like forces
    notes += (NAMELESS,) * (0 < atoms.more < 3)
    doubts += (NAMELESS,) * (atoms.more >= 3)
    if "unit" in line.lower():
        doubts += tuple(
            f"{key}={shown(value)}, but energies are taken in eV and lengths in Å"
            for key, value in info.items()
            if UNIT_KEY.fullmatch(key) and not OUR_UNITS.fullmatch(value)
        )
    labels = _origin(file, comment, layout, tuple(read), (*notes, *no_group), doubts, cell is None)
    return make_frame(
        source, atoms, header_line, positions=atoms.numbers[:, :3], cell=cell, pbc=pbc, energy=energy,
        forces=atoms.numbers[:, 3:] * EV if layout.has_forces else None, stress=stress, group=group, labels=labels,
    )  # fmt: skip


def _group(file: _File, info: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    if file.group_key is None:
        return file.group, ()
    if file.group_key not in info:
        raise file.source.error(f"expected the group key {file.group_key!r}, found the keys {sorted(info)[:20]}")
    name = info[file.group_key].strip()
    return (name, ()) if name else (file.group, (NO_GROUP,))


def _origin(
    file: _File, comment: Comment, layout: Layout, read: tuple[tuple[str, str], ...], notes: tuple[str, ...],
    doubts: tuple[str, ...], molecule: bool,
) -> LabelOrigin:  # fmt: skip
    """Where the labels of a frame came from."""
    info = comment.values
    if file.source.latin:
        notes = (*notes, "some lines are not UTF-8; they were read as Latin-1")
    cells: tuple[str, ...] = ()
    if molecule and "Lattice" not in info:
        cells = tuple(k for k in info if LATTICE_ALIKE.fullmatch(k) and len(_values(info[k])) in (3, 6, 9))
    seen = (*info, *layout.names, *comment.words)
    alike = (seen, read, notes, doubts, cells)
    origin = file.origins.get(alike)
    if origin is None:
        file.keys.offered.update(seen)
        passed = look_alikes(seen, file.used, lambda label, name: _fits(label, name, comment, layout))
        passed += tuple(("lattice", key) for key in cells)
        named = tuple(file.keys.named().items())
        origin = file.origins[alike] = LabelOrigin(file.asked, read, named, passed, notes, doubts)
    return origin


def _fits(label: str, name: str, comment: Comment, layout: Layout) -> bool:
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


def _lattice(source: LineSource, info: Mapping[str, str]) -> NDArray[np.float64] | None:
    """Lattice vectors as rows."""
    if "Lattice" not in info:
        return None
    words = _values(info["Lattice"])
    if len(words) != 9:
        raise source.error(f"expected nine numbers in Lattice, found {len(words)}: {shown(info['Lattice'])}")
    return np.array([number(source, word, "Lattice") for word in words]).reshape(3, 3)


def _pbc(source: LineSource, info: Mapping[str, str]) -> Periodicity | None:
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
        label: six_of(np.array([number(source, w, key) for w in _values(info[key])]), key, source.error)
        for label, key in zip(present, names, strict=True)
    }
    return stress_of(tensors, cell, source.error), names


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


def _layout(source: LineSource, properties: str | None, keys: LabelKeys) -> Layout:
    """Columns from ``name:type:count:…``; without such, element and position, and what follows is nameless."""
    text = DEFAULT_PROPERTIES if properties is None else properties
    words = text.split(":")
    columns: dict[str, tuple[str, range]] = {}
    width = 0
    for given, kind, count in zip(words[::3], words[1::3], words[2::3], strict=False):
        name = COLUMNS.get(given, given)
        if kind not in ("S", "R", "I", "L") or not COUNT.fullmatch(count) or name in columns:
            raise source.error(f"expected Properties as name:type:count, each name once, found {shown(text)}")
        columns[name] = (kind, range(width, width + int(count)))
        width += int(count)
    if len(words) % 3 or not width:
        raise source.error(f"expected Properties as name:type:count, found {shown(text)}")
    forces = keys.key("forces")
    types = "species" if "species" in columns or "Z" not in columns else "Z"
    kinds = {types: "SI" if types == "species" else "I", "pos": "RI", forces: "RI"}
    for name, size in ((types, 1), ("pos", 3), (forces, 3)):
        if name not in columns:
            if name == forces:
                continue
            raise source.error(f"expected a column {name!r} in Properties, found {[n[:40] for n in columns][:20]}")
        kind, where = columns[name]
        if kind not in kinds[name] or len(where) != size:
            raise source.error(
                f"expected {name}:{kinds[name][0]}:{size} in Properties, found {name}:{kind}:{len(where)}"
            )
    numbers = [*columns["pos"][1]]
    has_forces = forces in columns
    if has_forces:
        keys.seen.add("forces")
        numbers += columns[forces][1]
    kind, where = columns[types]
    beside = columns.get("Z", ("", range(0))) if types == "species" and kind == "S" else ("", range(0))
    has_numbers = beside[0] == "I" and len(beside[1]) == 1
    numbers += beside[1] if has_numbers else ()
    vectors = tuple(name for name, (kinds_of, span) in columns.items() if kinds_of in "RI" and len(span) == 3)
    return Layout(
        width, where[0], tuple(numbers), has_forces, kind == "I", has_numbers, tuple(columns), vectors,
        properties is None,
    )  # fmt: skip
