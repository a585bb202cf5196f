"""Frames that benchmarks make: relabelled, displaced at random, crystals of any size; all seeded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from hiertl_dist import Frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hiertl_dist import Basis

SPECIES_OF_SIZES: Final = ("C", "N")
DENSITY: Final = 216 / 1273.0558
"""Atoms per Å³ of ``cn_dft``."""

JITTER: Final = 0.2
"""Å: largest displacement of an atom of a crystal along each axis; neighbours stay 1.3 Å apart."""


def relabelled(frame: Frame, element: str) -> Frame:
    """The same frame with all atoms of one element."""
    return replace(frame, species=(element,) * len(frame), origin=f"{frame.origin}, all {element}")


def crystal(cells: int, seed: int = 0) -> Frame:
    """A jittered body-centred crystal of 2 cells³ atoms, a fifth of them N, at the density of ``cn_dft``; any size sees
    the same neighbourhoods. Labels are zero: rows do not depend on them."""
    rng = np.random.default_rng((seed, cells))
    edge = float(np.cbrt(2.0 / DENSITY))
    corners = np.argwhere(np.ones((cells,) * 3))
    sites = edge * np.concatenate([corners, corners + 0.5])
    n = len(sites)
    n_nitrogen = max(1, round(n / 5))
    species = rng.permutation(["N"] * n_nitrogen + ["C"] * (n - n_nitrogen)).tolist()
    positions = sites + rng.uniform(-JITTER, JITTER, (n, 3))
    labels = {"energy": 0.0, "forces": np.zeros((n, 3)), "stress": np.zeros(6)}
    return Frame(tuple(species), positions, cells * edge * np.eye(3), **labels, origin=f"crystal of {n} atoms, {seed}")


def displaced(frame: Frame, size: float, rng: np.random.Generator) -> Frame:
    """The frame with every coordinate moved by at most ``size`` Å, without labels."""
    moved = frame.positions + rng.uniform(-size, size, (len(frame), 3))
    return Frame(frame.species, moved, frame.cell, group=frame.group, origin=f"{frame.origin}, displaced")


def up_to(basis: Basis, body: int) -> Basis:
    """The basis without terms of more bodies."""
    return basis.with_types(t for t in basis.types if t.body <= body)


def stacked(blocks: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Rows under one another, (rows, columns), C order."""
    return np.ascontiguousarray(np.concatenate(blocks))
