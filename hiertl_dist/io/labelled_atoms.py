"""One ``Atoms`` of ASE as a frame: its cell, its labels and its group. Needs no import of ASE itself."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import FrameError
from ..frames.frame import Frame
from ..frames.labels import LabelOrigin, look_alikes
from ..text.words import shown
from ..units import EV
from .cells import STRESS_DROPPED, settled_cell
from .extxyz import APART, ENERGIES_DIFFER, NO_GROUP
from .geometry_checks import FARTHEST, geometry_fault
from .lines import LARGEST
from .stresses import six_of, stress_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .label_keys import LabelKeys

VOIGT = [0, 1, 2, 5, 4, 3]
"""Indices that take a stress from the package's order, xx yy zz xy xz yz, to ASE's, xx yy zz yz xz xy, and back."""

HEAVIEST: Final = 118
"""The largest atomic number that ASE has a symbol of."""

CONSTRAINED: Final = (
    "atoms are held fixed (constraints of ASE); their forces are those that were calculated, and not set to zero"
)


def frame_from_ase(atoms: Any, group: str = "ase", origin: str = "atoms") -> Frame:
    """The configuration of one ``Atoms`` without its labels; ``origin`` names it in messages."""
    cell = np.array(atoms.cell, float)
    positions = np.array(atoms.get_positions(), float)
    # ASE counts a negative number from the end of its list, and so finds an element
    odd = [int(z) for z in atoms.numbers if not 0 <= z <= HEAVIEST]
    if odd:
        raise FrameError(f"{origin}: expected atomic numbers up to {HEAVIEST}, found {odd[0]}")
    if np.isfinite(cell).all() and np.abs(cell).max() > FARTHEST:
        raise FrameError(f"{origin}: expected lattice vectors within {FARTHEST:.0e} Å, found {cell.tolist()}")
    x, y, z = (bool(p) for p in atoms.pbc)
    cell_there, pbc, notes, doubts = settled_cell(cell, (x, y, z), lambda text: FrameError(f"{origin}: {text}"))
    labels = LabelOrigin("ASE Atoms", notes=notes, doubts=doubts)
    return Frame(
        tuple(atoms.get_chemical_symbols()), positions, cell_there, group=group, origin=origin, pbc=pbc, labels=labels
    )


# long: its parameters are documented
def labelled_frame(
    atoms: Any, origin: str, keys: LabelKeys, group: str, group_key: str | None, source: str,
    notes: tuple[str, ...] = (), doubts: tuple[str, ...] = (),
) -> Frame:  # fmt: skip
    """The configuration of one ``Atoms`` with its labels.

    Parameters
    ----------
    atoms : ase.Atoms
        With its labels in the results of its calculator, in ``info`` and in ``arrays``.
    origin : str
        Names it, in the frame and in messages.
    keys : LabelKeys
        Under which names the labels are; gets those that are met.
    group, group_key : str, optional
        The group, and the key of ``info`` that has another.
    source : str
        What was asked for.
    notes, doubts : tuple of str
        What is known of it beforehand.

    Returns
    -------
    Frame
        In the package's units.

    Raises
    ------
    FrameError
        Beginning with the origin.
    """
    bare = frame_from_ase(atoms, group, origin)
    fault = geometry_fault(bare)
    if fault is not None:
        where = " and ".join(map(str, fault.atoms))
        raise FrameError(f"{origin}: {f'atoms {where} (from 0) ' if where else ''}{fault.text}")
    group, no_group = _group(atoms, origin, group, group_key)
    places = places_of(atoms)
    wanted = ("energy", "forces", *keys.stresses())
    used = [label for label in wanted if any(keys.key(label) in place for place in places.values())]
    if any(keys.key(label) in places["the calculator"] for label in used):
        _check_unchanged(atoms, origin)
    values = {label: _label(label, keys.key(label), places, len(bare), origin) for label in used}
    keys.seen.update(used)
    if bare.labels:
        notes, doubts = (*notes, *bare.labels.notes), (*doubts, *bare.labels.doubts)
    if "forces" in values and len(getattr(atoms, "constraints", ())):
        notes += (CONSTRAINED,)
    if keys.key("energy") == "energy" and "energy" in values:
        free = [p["free_energy"] for p in places.values() if "free_energy" in p]
        energy = float(values["energy"][0])
        difference = max((abs(_one_number(value, "free_energy", origin) - energy) for value in free), default=0.0)
        notes += (ENERGIES_DIFFER,) * (0.0 < difference <= APART * len(bare))
        doubts += (ENERGIES_DIFFER,) * (difference > APART * len(bare))
    tensors = {label: values[label] for label in keys.stresses() if label in values}
    stress = None
    if tensors and bare.periodic and bare.cell is not None:
        stress = stress_of(tensors, bare.cell, lambda text: FrameError(f"{origin}: {text}"))
    elif tensors:
        doubts = (*doubts, STRESS_DROPPED)
    read = tuple(("stress" if label in tensors else label, keys.key(label)) for label in used)
    names = dict.fromkeys(name for place in places.values() for name in place)
    keys.offered.update(names)
    passed = look_alikes(names, [key for _, key in read], lambda label, name: _fits(label, name, places, len(bare)))
    return Frame(
        bare.species, bare.positions, bare.cell, float(values["energy"][0]) * EV if "energy" in values else None,
        values["forces"] * EV if "forces" in values else None, stress, group, origin, bare.pbc,
        _shared(LabelOrigin(source, read, tuple(keys.named().items()), passed, (*notes, *no_group), doubts)),
    )  # fmt: skip


@lru_cache(maxsize=256)
def _shared(origin: LabelOrigin) -> LabelOrigin:
    """The same object for all that are equal."""
    return origin


def _group(atoms: Any, origin: str, group: str, key: str | None) -> tuple[str, tuple[str, ...]]:
    if key is None:
        return group, ()
    if key not in atoms.info:
        present = sorted(map(str, atoms.info))[:20]
        raise FrameError(f"{origin}: expected the group key {key!r}, found in atoms.info {present}")
    name = str(atoms.info[key]).strip()
    return (name, ()) if name else (group, (NO_GROUP,))


def places_of(atoms: Any) -> dict[str, dict[str, Any]]:
    """Where a label may be, in the order of looking; what is None is not there."""
    results = getattr(atoms.calc, "results", None) or {}
    places = {"the calculator": results, "atoms.info": atoms.info, "atoms.arrays": atoms.arrays}
    return {name: {str(k): v for k, v in place.items() if v is not None} for name, place in places.items()}


def _check_unchanged(atoms: Any, origin: str) -> None:
    """Raise FrameError if the calculator's results are of other atoms, by ASE's own check."""
    calculator = atoms.calc
    if getattr(calculator, "atoms", atoms) is None:
        raise FrameError(
            f"{origin}: its calculator does not say which atoms its results are of (calc.atoms is None), and ASE takes "
            "none of them; SinglePointCalculator(atoms, energy=…) does"
        )
    changed: list[str] = []
    if hasattr(calculator, "check_state"):
        changed = list(calculator.check_state(atoms))
    elif hasattr(calculator, "calculation_required") and calculator.calculation_required(atoms, ["energy"]):
        changed = ["something"]
    if changed:
        raise FrameError(
            f"{origin}: its labels are of other atoms: {', '.join(changed)} changed since they were calculated; "
            "calculate them again, or drop them with atoms.calc = None"
        )


def _label(
    label: str, key: str, places: Mapping[str, Mapping[str, Any]], n_atoms: int, origin: str
) -> NDArray[np.float64]:
    """A label as an array in ASE's units: (1,) energy, (n, 3) forces, (6,) xx yy zz xy xz yz of stress or virial."""
    values = {
        place: _shaped(label, key, entries[key], n_atoms, origin) for place, entries in places.items() if key in entries
    }
    (first, value), *others = values.items()
    for place, other in others:
        if not np.allclose(value, other, rtol=1e-9, atol=1e-12):
            k = int(np.abs(value - other).argmax())
            raise FrameError(
                f"{origin}: two values of {key!r}: {value.ravel()[k]:.10g} in {first}, {other.ravel()[k]:.10g} in "
                f"{place}; delete the one that is not meant"
            )
    return value


def _shaped(label: str, key: str, value: Any, n_atoms: int, origin: str) -> NDArray[np.float64]:
    if label == "energy":
        return np.array([_one_number(value, key, origin)])
    array = _array(value, key, origin)
    if label == "forces":
        if array.shape != (n_atoms, 3):
            raise FrameError(f"{origin}: expected {key!r} of shape {(n_atoms, 3)}, found {array.shape}")
        return array
    return six_of(array, key, lambda text: FrameError(f"{origin}: {text}"))


def _fits(label: str, name: str, places: Mapping[str, Mapping[str, Any]], n_atoms: int) -> bool:
    """Whether what has a name has the form of a label."""
    shapes = [np.shape(place[name]) for place in places.values() if are_numbers(place.get(name))]
    if label == "forces":
        return (n_atoms, 3) in shapes
    return any(shape in (((), (1,)) if label == "energy" else ((6,), (9,), (3, 3))) for shape in shapes)


def are_numbers(value: Any) -> bool:
    """Whether something is a real number, or an array of them."""
    try:
        return value is not None and np.asanyarray(value).dtype.kind in "fiu"
    except ValueError:  # rows of different lengths
        return False


def _one_number(value: Any, key: str, origin: str) -> float:
    array = _array(value, key, origin)
    if array.size != 1:
        raise FrameError(f"{origin}: expected one number for {key!r}, found an array of shape {array.shape}")
    return float(array.ravel()[0])


def _array(value: Any, key: str, origin: str) -> NDArray[np.float64]:
    """Finite real numbers; truth values, complex numbers and what is masked are none."""
    try:
        given = np.asanyarray(value)
        if given.dtype.kind in "bc" or np.ma.is_masked(given):
            raise TypeError(given.dtype.name)
        array = np.asarray(given, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameError(f"{origin}: expected numbers for {key!r}, found {shown(value)}") from error
    if not np.isfinite(array).all():
        odd = array[~np.isfinite(array)].flat[0]
        raise FrameError(f"{origin}: expected finite numbers for {key!r}, found {odd}")
    if array.size and np.abs(array).max() >= LARGEST:  # as in text: in other units it may be infinite
        raise FrameError(f"{origin}: expected numbers below {LARGEST:.0e} for {key!r}, found {np.abs(array).max()}")
    return array
