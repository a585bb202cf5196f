"""``Frame``: one configuration of atoms with the labels that it has, in the package's units."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FrameError
from ..text.cards import frame_card
from ..text.display import Shown, cut
from ..text.words import shown
from ..units import SYMBOLS
from .element_set import ElementSet
from .type_names import composition_name, formula_name, name_fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from .labels import LabelOrigin

SINGULAR = 1e-6
"""A cell is singular when its volume is below this fraction of the product of its edges."""


@dataclass(frozen=True, eq=False, repr=False)
class Frame(Shown, card=frame_card):
    """One configuration of n atoms with its labels, in the package's units; arrays are copied and read-only.

    Attributes
    ----------
    species : tuple of str, n long
        Chemical symbols, or other names of types of atoms, one for each atom.
    positions : ndarray of shape (n, 3)
        Cartesian coordinates, Å.
    cell : ndarray of shape (3, 3) or None, default None
        Lattice vectors as rows, Å; ``None`` for an isolated molecule. A vector along which the frame does not repeat
        has no meaning, and may have any length.
    energy : float or None, default None
        Energy of the whole frame, not per atom, kcal/mol; ``None`` without.
    forces : ndarray of shape (n, 3) or None, default None
        Force on each atom, kcal/mol/Å; ``None`` without.
    stress : ndarray of shape (6,) or None, default None
        Stress in the order xx yy zz xy xz yz, kcal/mol/Å³, positive under compression (the sign of ChIMES; ASE's is the
        opposite). NaN where the source has no such component; ``None`` without.
    group : str, default "all"
        Name of the data source that the frame belongs to.
    origin : str, default "frame"
        Where it came from, for messages (``file.xyz, frame 3``).
    pbc : tuple of 3 bool or None, default None
        Whether the frame repeats along each lattice vector; ``None``: along all where it has a cell. A slab repeats
        along two, a wire along one; neither has a volume, so neither has a stress. A frame that repeats along none has
        no cell.
    labels : LabelOrigin or None, default None
        Under which keys a reader found the labels, and what it passed over; for people, not part of ``digest``.

    Raises
    ------
    FrameError
        No atoms, a name that no type of atoms can have, wrong shapes, non-finite numbers, a singular cell, ``pbc``
        that contradicts the cell, or a stress of a frame that does not repeat in three directions.

    Examples
    --------
    >>> frame = Frame(("C", "N"), [[0.0, 0.0, 0.0], [0.0, 0.0, 1.2]], energy=-150.0)
    >>> frame
    Frame(C1N1, energy, group='all', frame)
    """

    species: tuple[str, ...]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64] | None = None
    energy: float | None = None
    forces: NDArray[np.float64] | None = None
    stress: NDArray[np.float64] | None = None
    group: str = "all"
    origin: str = "frame"
    pbc: tuple[bool, bool, bool] | None = None
    labels: LabelOrigin | None = None

    def __post_init__(self) -> None:
        n = len(self.species)
        if n == 0:
            raise FrameError(f"{self.origin}: expected at least one atom, found none")
        object.__setattr__(self, "species", tuple(str(s) for s in self.species))
        for name in sorted(self.elements - SYMBOLS):
            if fault := name_fault(name):
                raise FrameError(
                    f"{self.origin}: expected a chemical symbol or the name of a type of atoms, found {shown(name)}: "
                    f"{fault}"
                )
        self._array("positions", (n, 3))
        if self.forces is not None:
            self._array("forces", (n, 3))
        if self.cell is not None:
            self._array("cell", (3, 3))
        self._periodicity()
        if self.cell is not None:
            self._check_cell()
        if self.stress is not None:
            if not self.periodic:
                raise FrameError(
                    f"{self.origin}: it has a stress but no cell that repeats in three directions; molecules, slabs "
                    "and wires have none"
                )
            stress = self._array("stress", (6,), allow_nan=True)
            if not np.isfinite(stress).any():
                object.__setattr__(self, "stress", None)
        if self.energy is not None:
            energy = float(self.energy)
            if not np.isfinite(energy):
                raise FrameError(f"{self.origin}: expected a finite energy, found {energy}")
            object.__setattr__(self, "energy", energy)

    def _periodicity(self) -> None:
        given = (self.cell is not None,) * 3 if self.pbc is None else tuple(bool(p) for p in self.pbc)
        if len(given) != 3:
            raise FrameError(f"{self.origin}: expected pbc of three directions, found {self.pbc!r}")
        if any(given) != (self.cell is not None):
            cell_text = "a cell" if self.cell is not None else "no cell"
            raise FrameError(
                f"{self.origin}: expected a cell where and only where pbc is true, found {cell_text}, {given}"
            )
        object.__setattr__(self, "pbc", given)

    def _check_cell(self) -> None:
        repeats = self.repeats
        edges = float(np.prod(np.linalg.norm(repeats, axis=1)))
        if len(repeats) == 3:
            spanned, what, unit = abs(float(np.linalg.det(repeats))), "volume", "Å³"
        else:
            spanned = float(np.prod(np.linalg.svd(repeats, compute_uv=False)))
            what, unit = ("area", "Å²") if len(repeats) == 2 else ("length", "Å")
        if not spanned > SINGULAR * edges:
            raise FrameError(
                f"{self.origin}: singular cell, {what} {spanned:.3g} {unit} of edges whose product is {edges:.3g} "
                f"{unit}"
            )

    def _array(self, name: str, shape: tuple[int, ...], allow_nan: bool = False) -> NDArray[np.float64]:
        value = np.array(getattr(self, name), dtype=np.float64)
        if value.shape != shape:
            raise FrameError(f"{self.origin}: expected {name} of shape {shape}, found {value.shape}")
        bad = np.isinf(value) if allow_nan else ~np.isfinite(value)
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise FrameError(f"{self.origin}: expected finite {name}, found {value[where]} at index {where}")
        value.setflags(write=False)
        object.__setattr__(self, name, value)
        return value

    def __len__(self) -> int:
        return len(self.species)

    def __repr__(self) -> str:
        labels = [k for k in ("energy", "forces", "stress") if getattr(self, k) is not None]
        text = f"Frame({self.formula}, {', '.join(labels) or 'no labels'}, group={self.group!r}, {self.origin})"
        return cut(text)  # a line, for lists of frames

    @property
    def elements(self) -> frozenset[str]:
        """The set of elements (names of types of atoms) that occur."""
        return frozenset(self.species)

    @cached_property
    def element_set(self) -> ElementSet:
        """The set of elements with its name, by which blocks and sets of frames are called."""
        return ElementSet.of(self.elements)

    @property
    def formula(self) -> str:
        """Composition such as ``C24N8``, elements sorted."""
        return formula_name({e: self.species.count(e) for e in self.elements})

    @property
    def composition(self) -> str:
        """Atomic percentages such as ``C75N25``; one element alone is just its symbol.

        Types that are no symbols: ``C1_75-N_25``, see :func:`~hiertl_dist.frames.type_names.composition_name`.
        """
        return composition_name({e: round(100 * self.species.count(e) / len(self)) for e in self.elements})

    @property
    def repeats(self) -> NDArray[np.float64]:
        """Lattice vectors along which the frame repeats, of shape (0 to 3, 3), Å."""
        return np.empty((0, 3)) if self.cell is None else self.cell[list(self.pbc or ())]

    @property
    def periodic(self) -> bool:
        """Whether the frame repeats in all three directions, so that it has a volume and may have a stress."""
        return self.pbc == (True, True, True)

    @property
    def volume(self) -> float:
        """Volume of the cell in Å³; NaN for what does not repeat in three directions."""
        return abs(float(np.linalg.det(self.cell))) if self.periodic and self.cell is not None else float("nan")

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that rows and targets depend on, the group included."""
        parts: list[bytes | memoryview] = ["\0".join((*self.species, "", self.group)).encode()]
        for value in (self.positions, self.cell, self.energy, self.forces, self.stress):
            parts += [b"-"] if value is None else [b"+", np.ascontiguousarray(value, np.float64).data]
        parts.append(self._partial_pbc())
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def _partial_pbc(self) -> bytes:
        """What tells a slab from the crystal with its cell; nothing for others.

        Digests of those are as before there were slabs.
        """
        return b"" if self.periodic or self.cell is None else repr(self.pbc).encode()

    @cached_property
    def configuration(self) -> str:
        """SHA-256 over species, positions and cell only: the same for equal arrays, whatever the labels and the group.

        Coordinates are compared as they are: atoms in another order, moved by a lattice vector or rounded are another
        configuration.
        """
        h = hashlib.sha256("\0".join((*self.species, "")).encode())
        for value in (self.positions, self.cell):
            # -0.0 equals 0.0, and adding zero makes it that
            h.update(b"-" if value is None else b"+" + np.ascontiguousarray(value + 0.0).tobytes())
        h.update(self._partial_pbc())
        return h.hexdigest()

    def without_labels(self, *, energy: bool = False, forces: bool = False, stress: bool = False) -> Frame:
        """A copy that lacks the labels named.

        Parameters
        ----------
        energy : bool, default False
            Leave out the energy.
        forces : bool, default False
            Leave out the forces.
        stress : bool, default False
            Leave out the stress.

        Returns
        -------
        Frame
            The same atoms, cell and group with the other labels.
        """
        return replace(
            self,
            energy=None if energy else self.energy,
            forces=None if forces else self.forces,
            stress=None if stress else self.stress,
        )


def checked_frame(**values: Any) -> Frame:
    """A frame of values that were checked before, which must be all of them and of the types that a frame has.

    Arrays are kept as they are, not copied, and made read-only.
    """
    frame = object.__new__(Frame)
    for value in values.values():
        if isinstance(value, np.ndarray):
            value.setflags(write=False)
    frame.__dict__.update(values)  # the class is frozen
    return frame


@contextmanager
def working_on(frame: Frame) -> Iterator[None]:
    """What is raised inside says which frame it befell.

    The frame's origin becomes the exception's ``frame_at_fault``, by which executors name what failed, instead of the
    chunk or segment that the frame was handled with, and a note where the message does not name it.
    """
    try:
        yield
    except Exception as error:
        if not hasattr(error, "frame_at_fault"):
            error.frame_at_fault = frame.origin  # type: ignore[attr-defined]
            if frame.origin not in str(error):
                error.add_note(f"while working on {frame.origin}")
        raise


def frames_digest(frames: Iterable[Frame]) -> str:
    """SHA-256 of a sequence of frames, order included."""
    h = hashlib.sha256()
    for frame in frames:
        h.update(bytes.fromhex(frame.digest))
    return h.hexdigest()


def elements_of(frames: Iterable[Frame]) -> tuple[str, ...]:
    """Every element that occurs in the frames, sorted."""
    return tuple(sorted(set().union(*(f.elements for f in frames))))
