"""The two-body terms of a model as curves, with the distances that they were fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..fitting.mean_model import NAN
from ..model.pair_curves import pair_curve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..model.parameters import Parameters

POINTS: Final = 400
"""Of a curve."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A two-body term.

    Attributes
    ----------
    name : str
        Of the pair.
    rmin, rmax : float
        Its cutoffs, Å.
    fitted : tuple of float, or None
        Shortest and longest distance that its block was fitted on, Å; ``None`` where that is not known.
    distances : ndarray of shape (m,)
        Å.
    energies, forces : ndarray of shape (m,)
        kcal/mol and kcal/mol/Å; a force above zero drives the atoms apart.
    """

    name: str
    rmin: float
    rmax: float
    fitted: tuple[float, float] | None
    distances: NDArray[np.float64]
    energies: NDArray[np.float64]
    forces: NDArray[np.float64]

    @property
    def lowest(self) -> tuple[int, float]:
        """Where the energy is lowest in the range of the data, and its lowest at shorter distances, kcal/mol."""
        if self.fitted is None:
            return int(np.argmin(self.energies)), NAN
        known = (self.distances >= self.fitted[0]) & (self.distances <= self.fitted[1])
        shorter = self.energies[self.distances < self.fitted[0]]
        at = int(np.argmin(np.where(known, self.energies, np.inf)))
        return at, float(shorter.min()) if len(shorter) else NAN


def curves_of(model: Parameters) -> list[Curve]:
    """The two-body terms of a model."""
    curves = []
    for kind in (t for t in model.basis.types if t.body == 2):
        edge = kind.edge(*kind.elements)
        if not edge.rmax > edge.rmin:
            continue
        fitted = model.coverage.get(f"{kind.block}:{kind.name}")
        first = min(edge.rmin, fitted[0]) if fitted else edge.rmin
        distances = np.linspace(max(0.9 * first, 0.05), edge.rmax, POINTS)
        curves.append(Curve(kind.name, edge.rmin, edge.rmax, fitted, distances, *pair_curve(model, kind, distances)))
    return curves
