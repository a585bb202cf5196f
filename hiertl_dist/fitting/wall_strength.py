"""Whether the wall of a fitted model holds: two atoms by themselves, pushed together (docs/theory.md, section 1)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ..model.pair_curves import pair_curve
from ..model.parameters import Penalty
from ..model.walls import BARRIER, HOTTEST, Pushed, barrier_of, holding_wall, known_contacts
from ..units import EV

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..model.parameters import Parameters

POINTS: Final = 40
"""Distances of two atoms, from their closest fitted contact to half of where the wall begins."""


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
            where = f"a hole below {pair.distances[hole, 0]:.2f} Å" if hole is not None else "nothing behind that"
            weak.append(f"{pair.name} {risen / EV:.1f} eV ({where})")
    if not weak:
        return ()
    inner = {p.name: p.rmin for p in fitted.basis.pairs}
    better = holding_wall(pushed, [(p.distances[0, 0], inner[p.name]) for p in pushed], wall)
    remedy = (
        f"in [fit], penalty: a scale of {better.scale:g} and a distance of {better.distance:g} Å would, of two atoms; "
        "hiertl-dist check looks at them among neighbours: where it names a wall for all pairs, take that one"
        if better is not None
        else "no wall does that begins below the closest contacts: frames with nearer atoms, or a stronger "
        "regulariser, might"
    )
    return (
        f"WARNING: the wall of the model (penalty: {wall.scale:g} kcal/mol/Å³, {wall.distance:g} Å above rmin) does "
        f"not keep atoms apart at {HOTTEST:g} K, which takes {BARRIER / EV:.1f} eV: two atoms by themselves, coming "
        f"nearer than they are known to, get up to {', '.join(weak)}; {remedy}",
    )


def _pushed_pairs(fitted: Parameters, contacts: Mapping[str, float]) -> list[Pushed]:
    without, pushed = replace(fitted, penalty=Penalty(0.0, 0.0)), []
    for kind in (t for t in fitted.basis.types if t.body == 2):
        pair = fitted.basis.pair(*kind.elements)
        if pair.name in contacts:
            contact, begin = contacts[pair.name], pair.rmin + fitted.penalty.distance
            distances = np.linspace(contact, 0.5 * min(begin, contact), POINTS)
            energies, _ = pair_curve(without, kind, distances)
            pushed.append(Pushed(pair.name, np.array([pair.rmin]), distances[:, np.newaxis], energies))
    return pushed
