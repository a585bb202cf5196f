"""Walls that hold: where the repulsive wall of a model begins and how strong it is, from the contacts of the data.

The formulas, and why, are in docs/theory.md, section 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..units import KELVIN
from .parameters import Penalty

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .cluster_types import Elements
    from .parameters import Parameters

HOTTEST: Final = 3000.0
"""K, at which atoms may not pass through one another."""

BARRIER: Final = 40.0 * HOTTEST * KELVIN
"""kcal/mol (10.3 eV), 40 kT at that temperature, which two atoms may not get over: one collision in 10^17 has more
energy."""

DIP: Final = HOTTEST * KELVIN
"""kcal/mol, kT at that temperature: by so much an energy may fall on the way inward before it counts as a hole."""

GAP: Final = 0.02
"""Å, how far below the closest contact a wall begins."""

AUTO: Final = "auto"
"""As the wall of settings: the one that :func:`contact_wall` makes of the fitted frames' contacts."""

DEPTH: Final = 0.15
"""Å, no sooner below where it begins a wall that is chosen has risen to :data:`BARRIER`: a steeper one would take
shorter time steps, and holds no better: with it, and with four times the scale, 2 of 15 runs of Mo, Nb, Ta, W at
3000 K (2 fs) drift, with ChIMES's default 4."""

STRONGEST: Final = 1e8
"""kcal/mol/Å³: no stronger wall is proposed."""

LEAST_INNER: Final = 0.5
INNER: Final = 0.6
MOST_INNER: Final = 0.7
"""rmin as a fraction of the closest contact, where it can be chosen, and between which bounds it may be. Just below the
contact (0.98), where chimes_lsq's users set it, a contact that is shorter than any fitted one lies at the edge of the
polynomials: held-out scores are then worse by 7 % (C/N), 48 % (H) and 250 % (Si/C with dimers), and better by 6 % for
crystals (Mo). Between 0.5 and 0.7 they differ by 4 to 14 %."""


class ProposedWall(NamedTuple):
    """Inner cutoffs (Å) by pair of elements, and the wall above them."""

    inner: dict[Elements, float]
    penalty: Penalty


class Pushed(NamedTuple):
    """Atoms that are pushed together, from far to near.

    ``inner``: (pairs,) Å, inner cutoffs of their pairs; ``distances``: (places, pairs) Å; ``energies``: (places,)
    kcal/mol without a wall.
    """

    name: str
    inner: NDArray[np.float64]
    distances: NDArray[np.float64]
    energies: NDArray[np.float64]

    def with_wall(self, wall: Penalty) -> NDArray[np.float64]:
        """kcal/mol, (places,) the energies above that at the first place, the wall's included."""
        deep = np.maximum(self.inner + wall.distance - self.distances, 0.0)
        whole = self.energies + wall.scale * (deep**3).sum(axis=1)
        risen: NDArray[np.float64] = whole - whole[0]
        return risen


def closest_known(contacts: Mapping[Elements, float]) -> dict[Elements, float]:
    """How near atoms come (Å) by pair of elements, where data of unlike pairs may not show it.

    Mixed crystals near their lattice sites never bring unlike atoms as near as hot pure ones do like atoms. A wall just
    below such contacts would act on every hot mixture; so unlike atoms count as no farther apart than the mean of their
    elements' own contacts, where both are known.
    """
    closest: dict[Elements, float] = {}
    for pair, contact in contacts.items():
        own = [contacts[e, e] for e in pair if (e, e) in contacts]
        closest[pair] = min(contact, sum(own) / 2) if len(own) == 2 else contact
    return closest


def known_contacts(*models: Parameters) -> dict[str, float]:
    """By pair, such as ``"CN"``: :func:`closest_known` of the distances that models were fitted on, if they say so."""
    shortest: dict[str, float] = {}
    for key, (low, _) in (item for m in models for item in m.coverage.items()):
        pair = key.partition(":")[2]
        shortest[pair] = min(low, shortest.get(pair, low))
    names = {p.elements: p.name for m in models for p in m.basis.pairs if p.name in shortest}
    closest = closest_known({elements: shortest[name] for elements, name in names.items()})
    return {names[elements]: contact for elements, contact in closest.items()}


def propose_wall(contacts: Mapping[Elements, float]) -> ProposedWall:
    """Inner cutoffs and the wall of a model, from how near the atoms of its data come.

    A ChIMES file has one scale A and one distance d for all pairs, and the wall of a pair begins at rmin + d. So rmin
    takes up what pairs differ by: rmin = c − 0.02 Å − d, between 0.5 and 0.7 of the closest contact c, as
    :func:`closest_known` has it. d is 0.4 of the mean of c, less these 0.02 Å, but not more than half of the smallest c
    leaves. So a wall begins 0.02 Å below c or, where a pair's c is much larger than others', deeper, and no contact of
    the data feels it. A is such that the wall has risen to :data:`BARRIER` half-way to rmin, A = 8 E / d³, at
    least ChIMES' own 1e4 kcal/mol/Å³; at rmin it has eight times that, more than fitted polynomials fall by out there.

    Parameters
    ----------
    contacts : mapping from tuple of str to float
        Å, the closest contact of each pair of elements that was met, at least one.

    Returns
    -------
    ProposedWall
        Inner cutoffs in hundredths of an ångström, rounded down, and the wall.
    """
    closest = closest_known(contacts)
    usual = (1.0 - INNER) * sum(closest.values()) / len(closest)
    room = min(usual, (1.0 - LEAST_INNER) * min(closest.values())) - GAP
    distance = max(0.01, _hundredths(room))
    inner = {
        pair: max(0.01, _hundredths(min(max(c - GAP - distance, LEAST_INNER * c), MOST_INNER * c)))
        for pair, c in closest.items()
    }
    return ProposedWall(inner, Penalty(wall_scale(distance), distance))


def inner_below(contact: float, wall: Penalty) -> float:
    """Å, the inner cutoff of a pair that joins a model whose wall is settled, from how near its atoms come (Å).

    Such that the wall begins :data:`GAP` below the contact, but at most :data:`MOST_INNER` of it; in hundredths.
    """
    return max(0.01, _hundredths(min(contact - GAP - wall.distance, MOST_INNER * contact)))


def contact_wall(contacts: Mapping[Elements, float], inner: Mapping[Elements, float]) -> Penalty | None:
    """The wall of a model whose inner cutoffs are settled, from how near the atoms of its data come.

    It begins so far above the inner cutoffs as the closest contacts leave room for, in hundredths of an ångström,
    :data:`GAP` below them, and has risen to :data:`BARRIER` half-way to rmin, but not sooner than within :data:`DEPTH`.

    Parameters
    ----------
    contacts : mapping from tuple of str to float
        Å, the closest contact of each pair of elements that was met.
    inner : mapping from tuple of str to float
        Å, the inner cutoff of each pair of elements; pairs of which no contact is known count as
        :func:`closest_known` has it, where both elements' own are.

    Returns
    -------
    Penalty or None
        None where no contact is known, or one is so near to its inner cutoff, or below it, that there is no room.
    """
    own = {e: c for (e, other), c in contacts.items() if e == other}
    guessed = {p: float("inf") for p in inner if p not in contacts and all(e in own for e in p)}
    closest = closest_known({**contacts, **guessed})
    room = min((_hundredths(c - GAP - inner[p]) for p, c in closest.items()), default=-1.0)
    if room < 0.0:
        return None
    distance = max(room, Penalty().distance)
    return Penalty(wall_scale(max(distance, 2.0 * DEPTH)), distance)


def explicit_wall(penalty: Penalty | str | None) -> Penalty | None:
    """The wall that settings name, if they do."""
    return penalty if isinstance(penalty, Penalty) else None


def wall_scale(distance: float, deepest: float = 0.0) -> float:
    """kcal/mol/Å³, the scale of a wall: its energy is :data:`BARRIER`, and ``deepest`` (kcal/mol), half-way to rmin.

    Two significant digits, rounded up, at least 1e4.
    """
    least = 8.0 * (BARRIER + deepest) / distance**3
    step = 10.0 ** (math.floor(math.log10(least)) - 1)
    return max(Penalty().scale, math.ceil(least / step - 1e-9) * step)


def holding_wall(pushed: Sequence[Pushed], contacts: Sequence[tuple[float, float]], wall: Penalty) -> Penalty | None:
    """The weakest wall, by powers of two, that keeps atoms apart and acts on no known contact; None: none does.

    First of those that begin where the present one does, for other blocks have the same; then of those that begin just
    below the contacts.

    Parameters
    ----------
    pushed : sequence of Pushed
        What it has to hold.
    contacts : sequence of tuple (float, float)
        Å, closest contact and inner cutoff of each pair of elements whose contacts are known.
    wall : Penalty
        The present one.

    Returns
    -------
    Penalty or None
        Of at most :data:`STRONGEST`.
    """
    room = min((_hundredths(contact - GAP - inner) for contact, inner in contacts), default=0.0)
    for distance, least in ((wall.distance, wall.scale), (room, 0.0)):
        scale = least or Penalty().scale
        while 0.0 < distance <= room and scale <= STRONGEST:
            if all(barrier_of(p.with_wall(Penalty(scale, distance)))[0] >= BARRIER for p in pushed):
                return Penalty(scale, distance)
            scale *= 2.0
    return None


def nearest_kept(inner: float, wall: Penalty) -> float:
    """Å, where a wall above an inner cutoff (Å) has risen to :data:`BARRIER`, or that cutoff if it never does."""
    return max(inner, inner + wall.distance - (BARRIER / wall.scale) ** (1 / 3)) if wall.scale > 0.0 else inner


def barrier_of(energies: NDArray[np.float64]) -> tuple[float, int | None]:
    """The highest of some energies before they first fall by more than kT at 3000 K, and where that has happened.

    Parameters
    ----------
    energies : ndarray of shape (distances,)
        kcal/mol, of two atoms that are pushed together, from far to near.

    Returns
    -------
    highest : float
        kcal/mol.
    hole : int or None
        The first distance at which they have fallen so far, if they do.
    """
    highest = np.maximum.accumulate(energies)
    fallen = np.flatnonzero(highest - energies > DIP)
    if not len(fallen):
        return float(highest[-1]), None
    return float(highest[fallen[0]]), int(fallen[0])


def _hundredths(value: float) -> float:
    return math.floor(100.0 * value + 1e-9) / 100.0
