"""Extended XYZ (``.extxyz``, ``.xyz``): Å, eV, eV/Å, stress in eV/Å³ with ASE's sign or virial in eV.

The comment line holds ``key=value`` pairs; ``Properties`` names the columns, in any order, ``Lattice`` the
lattice vectors, ``pbc`` the periodicity. Files without ``Properties`` have element, x, y, z.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import FrameError
from ..units import EV
from .lines import LineSource, frames_in, make_frame, number, read_atoms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from ..frames import Frame

DEFAULT_PROPERTIES: Final = "species:S:1:pos:R:3"
ASYMMETRY: Final = 1e-4
"""Entries of a stress across the diagonal may differ by this fraction of its largest entry."""
DISAGREEMENT: Final = 1e-3
"""A stress and a virial of one frame may differ by this fraction of the largest entry."""

BOOLEANS: Final = {"T": True, "True": True, "true": True, "1": True,
                   "F": False, "False": False, "false": False, "0": False}  # fmt: skip
VOIGT: Final = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""ASE's order of six stress numbers; the package's is xx yy zz xy xz yz."""

PAIR: Final = re.compile(
    r"""\s*(?P<key>"[^"]*"|[^\s="']+)
        (?:\s*=\s*(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>[^']*)'|(?P<braces>\{[^}]*\})
                  |(?P<brackets>\[(?:[^\[\]]|\[[^\[\]]*\])*\])|(?P<bare>[^\s"'{}\[\]]\S*)))?(?=\s|$)""",
    re.VERBOSE,
)


@dataclass
class LabelKeys:
    """Under which keys a file keeps its labels; ``None`` is the usual name, and then it may be absent.

    A key that was named and that no frame had is an error, which :meth:`check_seen` raises.
    """

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    virial: str | None = None
    seen: set[str] = field(default_factory=set)

    def key(self, label: str) -> str:
        """The key of a label; meeting it in a file is to be noted in ``seen``."""
        return getattr(self, label) or label

    def named(self) -> dict[str, str]:
        """The labels whose key was given, with that key."""
        labels = ("energy", "forces", "stress", "virial")
        return {label: key for label in labels if (key := getattr(self, label)) is not None}

    def check_seen(self, files: str) -> None:
        """Raise FrameError if a key that was named is in no frame."""
        for label, key in self.named().items():
            if label not in self.seen:
                raise FrameError(f"{files}: no frame has the {label} key {key!r}")


@dataclass(frozen=True)
class Layout:
    """The columns of an atom line: how many, where the symbol is, where positions and forces are."""

    width: int
    species: int
    numbers: tuple[int, ...]
    has_forces: bool


def iter_extxyz(
    source: LineSource, keys: LabelKeys, group: str, group_key: str | None = None
) -> Iterator[Frame]:
    """Frames of an extended XYZ file, in the package's units.

    A cell that is not periodic (``pbc="F F F"``) is dropped together with its stress: the frame is an
    isolated molecule, as is one without ``Lattice``.

    Parameters
    ----------
    group : group of the frames, unless ``group_key`` names the key of the comment line that holds it.

    Raises
    ------
    FrameError
        Naming file, frame and line: whatever cannot be read, mixed periodicity, an asymmetric stress, a
        stress without a lattice, a frame without ``group_key``.
    """
    yield from frames_in(source, lambda n: _frame(source, n, keys, group, group_key))


def _frame(source: LineSource, n: int, keys: LabelKeys, group: str, group_key: str | None) -> Frame:
    line = source.read()
    if line is None:
        raise source.error("expected a comment line, found the end of the file")
    header_line = source.number
    info = parse_comment(source, line)
    lattice, periodic = _lattice(source, info)
    if group_key is not None:
        if not info.get(group_key, ""):
            raise source.error(f"expected the group key {group_key!r}, found the keys {sorted(info)}")
        group = info[group_key]
    energy = None
    if keys.key("energy") in info:
        keys.seen.add("energy")
        energy = number(source, info[keys.key("energy")], f"the energy {keys.key('energy')}") * EV
    stress = _stress(source, info, keys, lattice)
    layout = _layout(source, info.get("Properties", DEFAULT_PROPERTIES), keys)
    atoms = read_atoms(source, n, lambda _: layout.width, layout.species, lambda _: layout.numbers)
    return make_frame(
        source, atoms, header_line, positions=atoms.numbers[:, :3], cell=lattice if periodic else None,
        energy=energy, forces=atoms.numbers[:, 3:] * EV if layout.has_forces else None,
        stress=stress if periodic else None, group=group,
    )  # fmt: skip


def parse_comment(source: LineSource, line: str) -> dict[str, str]:
    """Keys and values (as text) of a comment line; a key alone stands for true.

    ``Lattice``, ``Properties`` and ``pbc`` are found in any case. Raises FrameError on an unclosed quote or
    a key given twice.
    """
    info: dict[str, str] = {}
    line, at = line.strip(), 0
    while at < len(line):
        match = PAIR.match(line, at)
        if match is None:
            raise source.error(f"expected key=value pairs, found {line[at : at + 40]!r}")
        at = match.end()
        key = match["key"].strip('"')
        key = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}.get(key.lower(), key)
        if key in info:
            raise source.error(f"the key {key!r} is given twice")
        value = next((v for k, v in match.groupdict().items() if k != "key" and v is not None), None)
        info[key] = "T" if value is None else value
    return info


def _values(text: str) -> list[str]:
    return re.sub(r"[\[\]{},]", " ", text).split()


def _lattice(source: LineSource, info: Mapping[str, str]) -> tuple[NDArray[np.float64] | None, bool]:
    """Lattice vectors as rows, and whether the frame is periodic."""
    lattice = None
    if "Lattice" in info:
        words = _values(info["Lattice"])
        if len(words) != 9:
            raise source.error(f"expected nine numbers in Lattice, found {len(words)}")
        lattice = np.array([number(source, word, "Lattice") for word in words]).reshape(3, 3)
    if "pbc" not in info:
        return lattice, lattice is not None
    words = _values(info["pbc"])
    if len(words) not in (1, 3) or not set(words) <= set(BOOLEANS):
        raise source.error(f"expected three of T and F in pbc, found {info['pbc']!r}")
    flags = {BOOLEANS[word] for word in words}
    if len(flags) > 1:
        raise source.error(
            f"mixed periodicity: pbc is {info['pbc']!r}; only all or no directions can be periodic"
        )
    if flags == {True} and lattice is None:
        raise source.error("pbc says periodic, but there is no Lattice")
    return lattice, flags == {True}


def _stress(
    source: LineSource, info: Mapping[str, str], keys: LabelKeys, lattice: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """(6,) kcal/mol/Å³ in ChIMES' order and sign, from a stress or a virial."""
    found: dict[str, NDArray[np.float64]] = {}
    # Someone who names one of the two keys means that one, whatever else a file has.
    labels = [label for label in ("stress", "virial") if label in keys.named()] or ["stress", "virial"]
    for label in labels:
        if (key := keys.key(label)) not in info:
            continue
        keys.seen.add(label)
        if lattice is None:
            raise source.error(f"it has the {label} {key!r} but no Lattice; an isolated molecule has none")
        tensor = _tensor(source, key, info[key])
        volume = abs(float(np.linalg.det(lattice)))
        if label == "virial" and volume == 0.0:
            raise source.error("singular cell: its volume is zero")
        found[label] = EV * (-tensor if label == "stress" else tensor / volume)
    if len(found) == 2:
        difference = np.abs(found["stress"] - found["virial"])
        k = int(np.argmax(difference))
        if difference[k] > DISAGREEMENT * np.abs(found["stress"]).max():
            raise source.error(
                f"stress and virial disagree: component {k} of xx yy zz xy xz yz is {found['stress'][k]:.8g} "
                f"kcal/mol/Å³ by the stress, {found['virial'][k]:.8g} by the virial; name the key to use"
            )
    return next(iter(found.values()), None)


def _tensor(source: LineSource, key: str, text: str) -> NDArray[np.float64]:
    """Nine numbers, or six in ASE's order, → xx yy zz xy xz yz."""
    values = [number(source, word, key) for word in _values(text)]
    matrix = np.zeros((3, 3))
    if len(values) == 6:
        for (a, b), value in zip(VOIGT, values, strict=True):
            matrix[a, b] = matrix[b, a] = value
    elif len(values) == 9:
        matrix = np.array(values).reshape(3, 3)
    else:
        raise source.error(f"expected nine numbers, or six, in {key}, found {len(values)}")
    for a, b in ((0, 1), (0, 2), (1, 2)):
        if abs(matrix[a, b] - matrix[b, a]) > ASYMMETRY * np.abs(matrix).max():
            name = "xyz"[a] + "xyz"[b]
            raise source.error(
                f"{key} is not symmetric: {name} is {matrix[a, b]:.10g}, {name[::-1]} is {matrix[b, a]:.10g}"
            )
    matrix = 0.5 * (matrix + matrix.T)
    return np.array([matrix[0, 0], matrix[1, 1], matrix[2, 2], matrix[0, 1], matrix[0, 2], matrix[1, 2]])


def _layout(source: LineSource, properties: str, keys: LabelKeys) -> Layout:
    """Columns from ``name:type:count:…``."""
    words = properties.split(":")
    columns: dict[str, tuple[str, range]] = {}
    width = 0
    for name, kind, count in zip(words[::3], words[1::3], words[2::3], strict=False):
        if kind not in "SRIL" or not count.isdigit() or int(count) == 0 or name in columns:
            raise source.error(
                f"expected Properties as name:type:count, each name once, found {properties!r}"
            )
        columns[name] = (kind, range(width, width + int(count)))
        width += int(count)
    if len(words) % 3 or not width:
        raise source.error(f"expected Properties as name:type:count, found {properties!r}")
    forces = keys.key("forces")
    for name, kinds, size in (("species", "S", 1), ("pos", "R", 3), (forces, "R", 3)):
        if name not in columns:
            if name == forces:
                continue
            raise source.error(f"expected a column {name!r} in Properties, found {list(columns)}")
        kind, where = columns[name]
        if kind not in kinds or len(where) != size:
            raise source.error(
                f"expected {name}:{kinds}:{size} in Properties, found {name}:{kind}:{len(where)}"
            )
    numbers = [*columns["pos"][1]]
    has_forces = forces in columns
    if has_forces:
        keys.seen.add("forces")
        numbers += columns[forces][1]
    return Layout(width, columns["species"][1][0], tuple(numbers), has_forces)
