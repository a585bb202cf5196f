"""Whether the wall of a fitted model holds: two atoms by themselves, pushed together (docs/theory.md, section 1)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..evaluation.energies import Model
from ..frames.frame import Frame
from ..model.parameters import Penalty
from ..model.walls import BARRIER, GAP, HOTTEST, barrier_of, known_contacts, wall_scale
from ..units import EV

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from ..model.parameters import Parameters

POINTS: Final = 40
"""Distances of two atoms, from their closest fitted contact to half of where the wall begins."""

STRONGEST: Final = 1e8
"""kcal/mol/Å³: no stronger wall is proposed."""


class PushedPair(NamedTuple):
    """Two atoms by themselves: distances (Å), from far to near, and their energy without a wall (kcal/mol)."""

    name: str
    inner: float
    contact: float
    distances: NDArray[np.float64]
    energies: NDArray[np.float64]

    def with_wall(self, wall: Penalty) -> NDArray[np.float64]:
        """kcal/mol, (distances,) the energies above that at the contact, the wall's included."""
        deep = np.maximum(self.inner + wall.distance - self.distances, 0.0)
        risen: NDArray[np.float64] = self.energies - self.energies[0] + wall.scale * deep**3
        return risen


def weak_wall_notes(fitted: Parameters, frozen: Iterable[Parameters] = ()) -> tuple[str, ...]:
    """A sentence where a fit's two-body terms outweigh its wall, and which wall would hold.

    Of pairs whose closest contact is known, from the fit or from frozen models, by what
    :func:`~hiertl_dist.model.walls.barrier_of` says of two atoms alone; what their neighbours do is left to
    :func:`~hiertl_dist.check_model`.
    """
    pushed = _pushed_pairs(fitted, known_contacts(fitted, *frozen))
    wall = fitted.penalty
    weak: list[str] = []
    for pair in pushed:
        risen, hole = barrier_of(pair.with_wall(wall))
        if risen < BARRIER:
            where = f"a hole below {pair.distances[hole]:.2f} Å" if hole is not None else "nothing behind that"
            weak.append(f"{pair.name} {risen / EV:.1f} eV ({where})")
    if not weak:
        return ()
    better = _holding(pushed, wall)
    remedy = (
        f"in [fit], penalty: a scale of {better.scale:g} and a distance of {better.distance:g} Å would"
        if better is not None
        else "no wall does that begins below the closest contacts: frames with nearer atoms, or a stronger "
        "regulariser, might"
    )
    return (
        f"WARNING: the wall of the model (penalty: {wall.scale:g} kcal/mol/Å³, {wall.distance:g} Å above rmin) does "
        f"not keep atoms apart at {HOTTEST:g} K, which takes {BARRIER / EV:.1f} eV: two atoms by themselves, coming "
        f"nearer than they are known to, get up to {', '.join(weak)}; {remedy}",
    )


def _pushed_pairs(fitted: Parameters, contacts: Mapping[str, float]) -> list[PushedPair]:
    kinds = [t for t in fitted.basis.types if t.body == 2]
    pairs = {p.elements: p for p in fitted.basis.pairs}
    near = [pairs[t.elements] for t in kinds if pairs[t.elements].name in contacts]
    if not near:
        return []
    model = Model(replace(fitted.with_types(kinds), penalty=Penalty(0.0, 0.0)))
    pushed = []
    for pair in near:
        contact, begin = contacts[pair.name], pair.rmin + fitted.penalty.distance
        distances = np.linspace(contact, 0.5 * min(begin, contact), POINTS)
        dimers = [Frame(pair.elements, np.array([[0.0, 0.0, 0.0], [0.0, 0.0, d]]), None) for d in distances]
        energies = np.array([e.energy for e in model.evaluate(dimers)])
        pushed.append(PushedPair(pair.name, pair.rmin, contact, distances, energies))
    return pushed


def _holding(pairs: list[PushedPair], wall: Penalty) -> Penalty | None:
    """The weakest wall, by powers of two, that holds all pairs and acts on no contact.

    First of those that begin where the present one does, for other blocks have the same; then of those that begin just
    below the contacts.
    """
    room = math.floor(100.0 * min(p.contact - GAP - p.inner for p in pairs) + 1e-9) / 100.0
    for distance, least in ((wall.distance, wall.scale), (room, wall_scale(max(room, GAP)))):
        scale = least or Penalty().scale
        while 0.0 < distance <= room and scale <= STRONGEST:
            if all(barrier_of(p.with_wall(Penalty(scale, distance)))[0] >= BARRIER for p in pairs):
                return Penalty(scale, distance)
            scale *= 2.0
    return None
