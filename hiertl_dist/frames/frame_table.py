"""``FrameTable``: consecutive frames as ragged arrays, for what looks at many frames and needs no ``Frame`` of each.

Readers of text fill one, a data set on disk is made of them, and kernels that look at many frames in one call take
their arrays. A table has frames that were checked: those of :class:`~hiertl_dist.frames.frame.Frame`, or what a reader
has checked as it does.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import numpy as np

from .frame import checked_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from .frame import Frame
    from .labels import LabelOrigin

NUMBERED: Final = re.compile(r"([1-9][0-9]{0,8})(?:, line ([1-9][0-9]{0,17}))?\Z")
"""What an origin ends in that has a number, perhaps with a line: ``3, line 57`` of ``a.xyz, frame 3, line 57``."""

OF_ATOMS: Final = ("types", "positions", "forces")
OF_FRAMES: Final = (
    "n_atoms", "cells", "pbc", "energies", "has_forces", "stresses", "groups", "origins", "lines", "labels",
)  # fmt: skip

T = TypeVar("T", bound=Hashable)


class Numbered(NamedTuple):
    """The text of an origin before its number, the number, −1 where there is none, and that of the line, 0 if none."""

    text: str
    number: int
    line: int = 0

    @classmethod
    def of(cls, origin: str) -> Numbered:
        """An origin taken apart."""
        match = NUMBERED.search(origin)
        return cls(origin, -1) if match is None else cls(origin[: match.start()], int(match[1]), int(match[2] or 0))

    def __str__(self) -> str:
        if self.number < 0:
            return self.text
        return f"{self.text}{self.number}, line {self.line}" if self.line else f"{self.text}{self.number}"


def numbered_origins(origins: Iterable[str]) -> list[Numbered]:
    """Many origins taken apart: those that begin as the one before are not searched again."""
    numbered, text = [], ""
    for origin in origins:
        if text and origin.startswith(text) and (match := NUMBERED.fullmatch(origin, len(text))):
            numbered.append(Numbered(text, int(match[1]), int(match[2] or 0)))
            continue
        one = Numbered.of(origin)
        # behind a digit a number might begin earlier
        text = one.text if one.number >= 0 and not one.text[-1:].isdigit() else ""
        numbered.append(one)
    return numbered


@dataclass(frozen=True, eq=False)
class FrameTable:
    """n consecutive frames with N atoms in all, as arrays in the package's units.

    Attributes
    ----------
    n_atoms : ndarray of int32, shape (n,)
        Atoms of each frame; the first of a frame follows the last of the frame before.
    names : tuple of str
        Names of the types of atoms that occur.
    types : ndarray of int16, shape (N,)
        Type of each atom, an index into ``names``.
    positions : ndarray of shape (N, 3)
        Cartesian coordinates, Å.
    cells : ndarray of shape (n, 3, 3)
        Lattice vectors as rows, Å; zeros of a frame that repeats along none.
    pbc : ndarray of bool, shape (n, 3)
        Along which lattice vectors a frame repeats.
    energies : ndarray of shape (n,)
        kcal/mol, NaN of a frame without.
    has_forces : ndarray of bool, shape (n,)
        Which frames have forces.
    forces : ndarray of shape (N, 3)
        kcal/mol/Å, NaN for atoms of frames without.
    stresses : ndarray of shape (n, 6)
        kcal/mol/Å³, xx yy zz xy xz yz, positive under compression; NaN where there is none.
    group_names : tuple of str
        Names of the groups.
    groups : ndarray of int32, shape (n,)
        Group of each frame, an index into ``group_names``.
    origin_texts : tuple of str
        What origins begin with, ``"a.xyz, frame "``.
    origins : ndarray of int32, shape (n, 2)
        Of each frame, the index of that and the number that follows, −1 for none.
    lines : ndarray of int64, shape (n,)
        Line, from 1, of its text file that each frame begins on; 0 where it is of none.
    label_origins : tuple of LabelOrigin or None
        Where labels came from.
    labels : ndarray of int32, shape (n,)
        Of each frame, the index of that.
    """

    n_atoms: NDArray[np.int32]
    names: tuple[str, ...]
    types: NDArray[np.int16]
    positions: NDArray[np.float64]
    cells: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    energies: NDArray[np.float64]
    has_forces: NDArray[np.bool_]
    forces: NDArray[np.float64]
    stresses: NDArray[np.float64]
    group_names: tuple[str, ...]
    groups: NDArray[np.int32]
    origin_texts: tuple[str, ...]
    origins: NDArray[np.int32]
    lines: NDArray[np.int64]
    label_origins: tuple[LabelOrigin | None, ...]
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.n_atoms)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """(n + 1,) number of the first atom of each frame, and after the last of all atoms."""
        return np.concatenate([[0], np.cumsum(self.n_atoms, dtype=np.int64)])

    @cached_property
    def element_sets(self) -> NDArray[np.uint64]:
        """(n, words) the types of each frame's atoms: bit ``k % 64`` of word ``k // 64`` is set for ``names[k]``."""
        words = np.zeros((len(self), -(-len(self.names) // 64)), np.uint64)
        bits = np.uint64(1) << (self.types % 64).astype(np.uint64)
        for word in range(words.shape[1]):
            own = np.where(self.types // 64 == word, bits, np.uint64(0))
            words[:, word] = np.bitwise_or.reduceat(own, self.starts[:-1])
        return words

    @cached_property
    def type_counts(self) -> NDArray[np.int64]:
        """(n, names) atoms of each type in each frame."""
        width = len(self.names)
        first = np.repeat(np.arange(0, width * len(self), width), self.n_atoms)
        return np.bincount(first + self.types, minlength=width * len(self)).reshape(-1, width)

    def origin(self, index: int) -> str:
        """Where a frame came from, for messages."""
        text, number = self.origins[index].tolist()
        return str(Numbered(self.origin_texts[text], number, int(self.lines[index])))

    def frame(self, index: int) -> Frame:
        """One of the frames; its arrays are parts of the table's."""
        atoms = slice(self.starts[index], self.starts[index + 1])
        flags = self.pbc[index].tolist()
        energy = self.energies[index].item()
        stress = self.stresses[index]
        return checked_frame(
            species=tuple([self.names[t] for t in self.types[atoms].tolist()]), positions=self.positions[atoms],
            cell=self.cells[index] if any(flags) else None, energy=None if energy != energy else energy,
            forces=self.forces[atoms] if self.has_forces[index] else None,
            stress=None if np.isnan(stress).all() else stress, group=self.group_names[self.groups[index]],
            origin=self.origin(index), pbc=(flags[0], flags[1], flags[2]),
            labels=self.label_origins[self.labels[index]],
        )  # fmt: skip

    def __iter__(self) -> Iterator[Frame]:
        return self._frames(lambda part: part)

    def separate_frames(self) -> Iterator[Frame]:
        """All frames, each with arrays of its own, so that one that is kept keeps no more than itself."""
        return self._frames(np.copy)

    def _frames(self, own: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Iterator[Frame]:
        """All frames, with what ``own`` makes of their parts of the table's arrays."""
        pieces = zip(
            self.starts[:-1].tolist(), self.starts[1:].tolist(), self.pbc.tolist(), self.energies.tolist(),
            self.has_forces.tolist(), np.isnan(self.stresses).sum(axis=1).tolist(), self.groups.tolist(),
            self.labels.tolist(), strict=True,
        )  # fmt: skip
        known: dict[bytes, tuple[str, ...]] = {}
        for k, (first, last, pbc, energy, forces, lacking, group, label) in enumerate(pieces):
            types = self.types[first:last]
            # frames of a trajectory have the same atoms in the same order
            species = known.get(key := types.tobytes())
            if species is None:
                species = known[key] = tuple([self.names[t] for t in types.tolist()])
            yield checked_frame(
                species=species, positions=own(self.positions[first:last]),
                cell=own(self.cells[k]) if any(pbc) else None, energy=None if energy != energy else energy,
                forces=own(self.forces[first:last]) if forces else None,
                stress=own(self.stresses[k]) if lacking < 6 else None, group=self.group_names[group],
                origin=self.origin(k), pbc=tuple(pbc), labels=self.label_origins[label],
            )  # fmt: skip

    def take(self, indices: NDArray[np.integer]) -> FrameTable:
        """Some of the frames, in any order; names that only others have stay."""
        counts, first = self.n_atoms[indices].astype(np.int64), self.starts[indices]
        before = np.cumsum(counts) - counts
        atoms = np.arange(int(counts.sum())) + np.repeat(first - before, counts)
        of_atoms = {name: getattr(self, name)[atoms] for name in OF_ATOMS}
        return replace(self, **of_atoms, **{name: getattr(self, name)[indices] for name in OF_FRAMES})

    def part(self, first: int, last: int) -> FrameTable:
        """The frames ``first`` to ``last - 1``; names that only others have stay."""
        atoms = slice(self.starts[first], self.starts[last])
        own = slice(first, last)
        of_atoms = {name: getattr(self, name)[atoms] for name in OF_ATOMS}
        return replace(self, **of_atoms, **{name: getattr(self, name)[own] for name in OF_FRAMES})


class Codes(dict[T, int]):
    """Numbers of things, in order of first appearance."""

    def __missing__(self, key: T) -> int:
        self[key] = len(self)
        return self[key]


def table_of(frames: Iterable[Frame]) -> FrameTable:
    """A table of some frames, in their order.

    Parameters
    ----------
    frames : iterable of Frame
        At least one.

    Returns
    -------
    FrameTable
        Whose frames are equal to these, digests and origins included.

    Raises
    ------
    ValueError
        There is none.
    """
    listed = list(frames)
    if not listed:
        raise ValueError("expected at least one frame for a table, found none")
    names, groups = Codes[str](), Codes[str]()
    texts, labels = Codes[str](), Codes["LabelOrigin | None"]()
    origin_text, number, line = zip(*numbered_origins(f.origin for f in listed), strict=True)
    nothing = np.full(6, np.nan)
    types: list[NDArray[np.int16]] = []
    species: tuple[str, ...] = ()
    for frame in listed:
        # frames that follow one another mostly have the same atoms in the same order
        alike = frame.species is species or frame.species == species
        types.append(types[-1] if alike else np.array([names[s] for s in frame.species], np.int16))
        species = frame.species
    return FrameTable(
        np.array([len(f) for f in listed], np.int32),
        types=np.concatenate(types),
        positions=np.concatenate([f.positions for f in listed]),
        cells=np.array([np.zeros((3, 3)) if f.cell is None else f.cell for f in listed]),
        pbc=np.array([f.pbc for f in listed], np.bool_),
        energies=np.array([np.nan if f.energy is None else f.energy for f in listed]),
        has_forces=np.array([f.forces is not None for f in listed]),
        forces=np.concatenate([np.full((len(f), 3), np.nan) if f.forces is None else f.forces for f in listed]),
        stresses=np.array([nothing if f.stress is None else f.stress for f in listed]),
        groups=np.array([groups[f.group] for f in listed], np.int32),
        origins=np.array([[texts[t] for t in origin_text], number], np.int32).T.copy(),
        lines=np.array(line, np.int64),
        labels=np.array([labels[f.labels] for f in listed], np.int32),
        names=tuple(names), group_names=tuple(groups), origin_texts=tuple(texts), label_origins=tuple(labels),
    )  # fmt: skip


def joined_tables(tables: Sequence[FrameTable]) -> FrameTable:
    """The frames of some tables, at least one, as one table."""
    if len(tables) == 1:
        return tables[0]
    if not tables:
        raise ValueError("expected at least one frame for a table, found none")
    names, groups = Codes[str](), Codes[str]()
    texts, labels = Codes[str](), Codes["LabelOrigin | None"]()

    def codes(known: Codes[T], own: Sequence[T], dtype: type[np.generic]) -> NDArray[np.generic]:
        return np.array([known[x] for x in own], dtype)

    parts = [
        (
            codes(names, t.names, np.int16)[t.types], codes(groups, t.group_names, np.int32)[t.groups],
            np.stack([codes(texts, t.origin_texts, np.int32)[t.origins[:, 0]], t.origins[:, 1]], axis=1),
            codes(labels, t.label_origins, np.int32)[t.labels],
        )
        for t in tables
    ]  # fmt: skip
    types, group, origins, label = (np.concatenate([part[k] for part in parts]) for k in range(4))
    others = ("n_atoms", "positions", "cells", "pbc", "energies", "has_forces", "forces", "stresses", "lines")
    return FrameTable(
        **{name: np.concatenate([getattr(t, name) for t in tables]) for name in others},
        names=tuple(names), types=types, group_names=tuple(groups), groups=group, origin_texts=tuple(texts),
        origins=origins, label_origins=tuple(labels), labels=label,
    )  # fmt: skip
