"""``lattice_frames``: probe structures of ideal lattices, with elements on their sites at random, strained, rattled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..errors import InputError
from ..frames.element_set import ElementSet
from ..frames.frame import Frame
from ..text.words import count_text, shown
from .checks import check_integers, check_positive, checked_elements, refuse_none
from .compositions import assigned_species, atom_counts, even_compositions, generator
from .contacts import MOST_STRETCH, contact_limits, kept_apart, nearest_distances, stretch_notes
from .probe_set import ProbeSet, ProbeSource
from .sources import Source, shared_out
from .volumes import size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ..model.basis import Basis

STRAIN: Final = 0.05
"""Largest entry of a random strain."""

MOST_STRAIN: Final = 0.3
"""Of a strain that may be asked for; with larger ones a cell may turn inside out."""

RATTLE: Final = 0.1
"""Å, standard deviation of each coordinate of an atom about its site."""


class Lattice(NamedTuple):
    """A crystal: cell vectors as rows for an edge of 1, and the sites as parts of these vectors."""

    cell: NDArray[np.float64]
    sites: NDArray[np.float64]


_FACES: Final = np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])

LATTICES: Final[Mapping[str, Lattice]] = {
    "bcc": Lattice(np.eye(3), np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])),
    "fcc": Lattice(np.eye(3), _FACES),
    # at right angles: a, √3 a and the ideal √(8/3) a
    "hcp": Lattice(
        np.diag([1.0, math.sqrt(3.0), math.sqrt(8.0 / 3.0)]),
        np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 5.0 / 6.0, 0.5], [0.0, 1.0 / 3.0, 0.5]]),
    ),
    "diamond": Lattice(np.eye(3), np.concatenate([_FACES, _FACES + 0.25])),
}
"""The lattices by name, in cells at right angles."""

DEFAULT_LATTICES: Final = ("bcc", "fcc", "hcp")


def ideal_lattice(name: str, volume: float, least_atoms: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A supercell of a lattice.

    Parameters
    ----------
    name : str
        One of :data:`LATTICES`.
    volume : float
        Å³ an atom.
    least_atoms : int
        How many atoms it has at least; the shortest edge is repeated until it has.

    Returns
    -------
    cell : ndarray of shape (3, 3)
        Lattice vectors as rows, Å.
    positions : ndarray of shape (n, 3)
        Å.
    """
    lattice = LATTICES[name]
    times = np.ones(3, np.int64)
    edges = np.linalg.norm(lattice.cell, axis=1)
    while len(lattice.sites) * times.prod() < least_atoms:
        times[np.argmin(edges * times)] += 1
    a = float((volume * len(lattice.sites) / abs(np.linalg.det(lattice.cell))) ** (1.0 / 3.0))
    shifts = np.stack(np.meshgrid(*map(np.arange, times), indexing="ij"), axis=-1).reshape(-1, 1, 3)
    return a * times[:, np.newaxis] * lattice.cell, a * (shifts + lattice.sites).reshape(-1, 3) @ lattice.cell


def neighbour_distance(name: str, volume: float) -> float:
    """Å, how far apart nearest neighbours of a lattice of so many Å³ an atom are."""
    cell, positions = ideal_lattice(name, volume, 1)
    return float(nearest_distances(Frame(("H",) * len(positions), positions, cell))[0])


def _disordered(
    name: str, volume: float, least_atoms: int, strain: float, rattle: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Cell and positions of a lattice under a random symmetric strain, each atom away from its site at random."""
    cell, positions = ideal_lattice(name, volume, least_atoms)
    entries = rng.uniform(-strain, strain, (3, 3))
    deformation = np.eye(3) + np.triu(entries) + np.triu(entries, 1).T
    return cell @ deformation, positions @ deformation + rng.normal(0.0, rattle, positions.shape)


# long: its parameters are documented
def lattice_frames(
    elements: str | Iterable[str],
    count: int,
    volumes: Mapping[str, float],
    *,
    lattices: Sequence[str] = DEFAULT_LATTICES,
    strain: float = STRAIN,
    rattle: float = RATTLE,
    least_atoms: int = 16,
    seed: int = 0,
    basis: Basis | None = None,
    shortest: Mapping[str, float] | None = None,
    group: str = "probe",
) -> ProbeSet:
    """Probe structures of ideal lattices: elements on their sites at random, strained and rattled.

    Lattices take turns. Their volume an atom is V = Σ x_e V_e of the elements' volumes and shares, before the strain;
    compositions are spread evenly, and each probe has all the elements.

    Parameters
    ----------
    elements : str or iterable of str
        The set, one element or more: ``"MoNb"`` or ``["Mo", "Nb"]``.
    count : int
        How many probes.
    volumes : Mapping from str to float
        Å³ an atom of each element.
    lattices : sequence of str, default ("bcc", "fcc", "hcp")
        Of these and ``"diamond"``.
    strain : float, default 0.05
        The entries of the symmetric strain are evenly distributed from −strain to strain; below 0.3.
    rattle : float, default 0.1
        Å, standard deviation of each coordinate.
    least_atoms : int, default 16
        Cells are repeated until they have so many atoms, or as many as there are elements.
    seed : int, default 0
        Of what is random, 0 or more.
    basis : Basis, optional
        Whose inner cutoffs the atoms of a probe keep outside of.
    shortest : Mapping from str to float, optional
        Å, the shortest distance by pair, ``{"MoMo": 2.1}``; between two elements it is the mean of theirs, unless
        given. Without it and a basis, contacts are not checked.
    group : str, default "probe"
        Group of the probes.

    Returns
    -------
    ProbeSet
        The probes. Where atoms are closer than allowed, lengths are stretched by up to 5 %; what needs more is dropped,
        and notes say so.

    Raises
    ------
    InputError
        A number that can't be meant, a lattice that there is not, an element without a volume, or a basis that lacks
        one.
    """
    names = checked_elements(elements, 1)
    integers = {"count": count, "seed": seed, "least_atoms": least_atoms}
    check_integers({"count": 1, "seed": 0, "least_atoms": 1}, integers)
    check_positive("volume", {e: volumes.get(e, math.nan) for e in names}, "Å³ an atom")
    _check_disorder(lattices, strain, rattle)
    limits = contact_limits(names, shortest or {}, basis)
    named = ElementSet.of(names)
    rng = generator(seed, *names, "lattices")
    shares = even_compositions(count, len(names), rng)
    kinds = [lattices[t] for t in rng.permutation(shared_out(count, len(lattices), rng.random()))]
    notes = [] if limits else ["no shortest distance is known: contacts are not checked"]
    made, sources, dropped = [], [], []
    for i, lattice in enumerate(kinds):
        own = generator(seed, *names, "lattice", i)
        atoms = len(ideal_lattice(lattice, 1.0, max(least_atoms, len(names)))[1])
        counts = atom_counts(shares[i], atoms)
        volume = float(sum(n * volumes[e] for n, e in zip(counts, names, strict=True))) / atoms
        cell, positions = _disordered(lattice, volume, atoms, strain, rattle, own)
        species = assigned_species(names, counts, own)
        origin = f"probe {i + 1} of {named}, {lattice} of {volume:.2f} Å³ an atom"
        frame = Frame(species, positions, cell, group=group, origin=origin)
        if (apart := kept_apart(frame, limits)) is None:
            dropped.append(lattice)
        else:
            made.append(apart.frame)
            per_atom = apart.frame.volume / atoms
            sources.append(ProbeSource(lattice, str(named), group, 1.0, apart.stretch, per_atom, apart.closest))
    notes += [
        f"{count_text(dropped.count(d), 'probe')} on {d} dropped: atoms would have to be moved apart by more than "
        f"{100 * (MOST_STRETCH - 1):.0f} %" for d in dict.fromkeys(dropped)
    ]  # fmt: skip
    notes += stretch_notes(s.stretch for s in sources)
    return refuse_none(ProbeSet(tuple(made), tuple(sources), tuple(notes), limits), f"lattices of {named}")


def _check_disorder(lattices: Sequence[str], strain: float, rattle: float) -> None:
    unknown = [name for name in lattices if name not in LATTICES]
    if unknown or not lattices:
        raise InputError(f"probes: expected lattices of {', '.join(LATTICES)}, found {shown(unknown or lattices)}")
    if not 0.0 <= strain < MOST_STRAIN:
        raise InputError(f"probes: expected a strain from 0 to below {MOST_STRAIN}, found {shown(strain)}")
    if not 0.0 <= rattle < math.inf:
        raise InputError(f"probes: expected a rattle of 0 Å or more, found {shown(rattle)}")


def lattice_sources(element: str, volume: float, count: int, seed: int, least_atoms: int) -> Source:
    """Lattices of one element, strained and rattled, for one of which there are no frames: ``count`` of them."""
    frames = []
    for i, lattice in enumerate(DEFAULT_LATTICES[k] for k in shared_out(count, len(DEFAULT_LATTICES), 0.5)):
        cell, positions = _disordered(
            lattice, volume, least_atoms, STRAIN, RATTLE, generator(seed, element, "lattice source", i)
        )
        origin = f"{lattice} {i + 1} of {element}"
        frames.append(Frame((element,) * len(positions), positions, cell, group="lattices", origin=origin))
    return Source(element, "lattices", tuple(frames), tuple(map(size_of, frames)), len(frames))
