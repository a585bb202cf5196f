"""Screened repulsion of nuclei (Ziegler, Biersack, Littmark), switched off before the distances of the fit.

For the ASE calculator: the format of ChIMES parameter files has no place for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..errors import FrameError
from ..frames.type_names import cluster_name
from ..model.walls import GAP, known_contacts
from ..units import EV
from .kernels.neighbours import find_neighbours

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ..frames.frame import Frame
    from ..model.parameters import Parameters
    from .energies import Model

COULOMB: Final = 14.3996454779
"""eV Å, e²/(4π ε₀) (CODATA 2018)."""

SHARES: Final = np.array([0.18175, 0.50986, 0.28022, 0.02817])
DECAYS: Final = np.array([3.1998, 0.94229, 0.4029, 0.20162])
"""The universal screening function: φ(x) = Σ share e^(−decay x)."""

LENGTH: Final = 0.46850
POWER: Final = 0.23
"""Its length is 0.4685 Å / (Z₁^0.23 + Z₂^0.23)."""

WHOLE: Final = 0.7
"""Of the distance where it ends, the distance below which the repulsion is whole."""


class Repulsion(NamedTuple):
    """Energy (kcal/mol), forces (n, 3), kcal/mol/Å, and stress (6,), kcal/mol/Å³; NaN without a volume."""

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]


def zbl_ends(parameters: Parameters) -> dict[str, float]:
    """Å by pair, where the repulsion ends: 0.02 Å below the closest known contact, else where the wall begins."""
    begin = {p.name: p.rmin + parameters.penalty.distance for p in parameters.basis.pairs}
    return begin | {name: contact - GAP for name, contact in known_contacts(parameters).items()}


def zbl_repulsion(model: Model, frame: Frame, numbers: NDArray[np.int64], ends: Mapping[str, float]) -> Repulsion:
    """The repulsion of the atoms that a model knows.

    V(r) = S(r) Z₁ Z₂ e²/(4π ε₀ r) φ(r/a), where S is 1 below :data:`WHOLE` of the distance where it ends, and falls
    from there to 0 as 1 − 10 t³ + 15 t⁴ − 6 t⁵.

    Parameters
    ----------
    model : Model
        Atoms of other types have none.
    frame : Frame
        The atoms, by the model's types.
    numbers : ndarray of int, shape (n,)
        Their atomic numbers.
    ends : mapping from str to float
        See :func:`zbl_ends`.

    Returns
    -------
    Repulsion
        To be added to what the model says.

    Raises
    ------
    FrameError
        The model has no distances for a pair of the frame's types.
    """
    recipe = model.recipe
    kinds, codes = recipe.elements, recipe.codes(frame)
    reach = np.zeros((len(kinds), len(kinds)))
    present = sorted(set(codes[codes >= 0].tolist()))
    for a in present:
        for b in present:
            name = cluster_name(tuple(sorted((kinds[a], kinds[b]))))
            if name not in ends:
                raise FrameError(
                    f"{frame.origin}: zbl: expected the pairs of all elements in the model, found none for {name}, so "
                    "that it is not known where the repulsion has to end"
                )
            reach[a, b] = ends[name]
    pbc = frame.pbc if frame.pbc is not None else (True, True, True)
    near = find_neighbours(frame.positions, frame.cell, float(reach.max()), codes, reach, pbc=pbc)
    i, j, r = near.centre, near.atom, near.dist
    energies, slopes = _screened(r, numbers[i].astype(float), numbers[j].astype(float), reach[codes[i], codes[j]])
    along = slopes[:, np.newaxis] * near.vec / r[:, np.newaxis]
    forces = np.zeros((len(frame), 3))
    np.add.at(forces, i, along)
    virial = -0.5 * np.einsum("na,nb->ab", along, near.vec)
    stress = virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]] / frame.volume
    return Repulsion(0.5 * float(energies.sum()), forces, stress)


def _screened(
    r: NDArray[np.float64], z: NDArray[np.float64], other: NDArray[np.float64], end: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energy of pairs, kcal/mol, and its derivative, kcal/mol/Å, (pairs,)."""
    length = LENGTH / (z**POWER + other**POWER)
    parts = SHARES * np.exp(-DECAYS * (r / length)[:, np.newaxis])
    screening, falling = parts.sum(axis=1), -(parts * DECAYS).sum(axis=1) / length
    bare = EV * COULOMB * z * other / r
    value, slope = bare * screening, bare * (falling - screening / r)
    width = (1.0 - WHOLE) * end
    t = np.clip((r - WHOLE * end) / width, 0.0, 1.0)
    switch = 1.0 - t**3 * (10.0 - 15.0 * t + 6.0 * t**2)
    switching = -30.0 * t**2 * (1.0 - t) ** 2 / width
    return switch * value, switch * slope + switching * value
