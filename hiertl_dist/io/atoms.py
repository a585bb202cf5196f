"""Frames from ASE's ``Atoms``, for users whose data is already in Python. Needs no import of ASE itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..frames import Frame
from ..units import EV

if TYPE_CHECKING:
    from collections.abc import Iterable

VOIGT = [0, 1, 2, 5, 4, 3]
"""Indices that take a stress from the package's order, xx yy zz xy xz yz, to ASE's, xx yy zz yz xz xy, and back."""


def frames_from_ase(images: Iterable[Any], *, group: str = "ase") -> list[Frame]:
    """Frames of ASE ``Atoms`` (Å, eV, eV/Å, eV/Å³), labels from the results of their calculators.

    Only results that are there already are taken; nothing is calculated. ASE's stress has the opposite sign and
    the order xx yy zz yz xz xy.

    Raises
    ------
    FrameError
        Naming the image: what :class:`~hiertl_dist.frames.Frame` refuses.
    """
    return [frame_from_ase(atoms, group, f"image {i}") for i, atoms in enumerate(images, 1)]


def frame_from_ase(atoms: Any, group: str = "ase", origin: str = "atoms") -> Frame:
    """One frame as :func:`frames_from_ase` makes it; ``origin`` names it in messages."""
    periodic = [bool(p) for p in atoms.pbc]
    results = {} if atoms.calc is None else atoms.calc.results
    stress = results.get("stress")
    if stress is not None:
        stress = -np.asarray(stress, float) * EV
        stress = stress[VOIGT] if stress.shape == (6,) else stress.ravel()[[0, 4, 8, 1, 2, 5]]
    energy = results.get("energy")
    return Frame(
        tuple(atoms.get_chemical_symbols()), atoms.get_positions(), np.array(atoms.cell) if any(periodic) else None,
        None if energy is None else float(energy) * EV,
        None if results.get("forces") is None else np.asarray(results["forces"], float) * EV,
        stress if all(periodic) else None, group, origin, (periodic[0], periodic[1], periodic[2]),
    )  # fmt: skip
