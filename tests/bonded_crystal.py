"""A crystal of which much is known by hand: bonds of nearest neighbours and no others."""

from __future__ import annotations

import numpy as np
from ase.build import bulk
from ase.calculators.lj import LennardJones

from hiertl_dist.properties.crystals import relaxed_crystal

SIGMA, DEPTH = 2.3, 0.4
NEAREST = 2.0 ** (1.0 / 6.0) * SIGMA


def bonded(**more):
    """An fcc crystal whose atoms are bound to twelve neighbours by Lennard-Jones bonds and to no others."""
    cutoff = 1.2 * NEAREST
    x = (SIGMA / cutoff) ** 6
    depth = DEPTH + 4.0 * DEPTH * (x**2 - x)  # ASE shifts energies to zero at the cutoff
    atoms = bulk("Ar", "fcc", a=np.sqrt(2.0) * NEAREST * 1.01, cubic=True, **more)
    atoms.calc = LennardJones(sigma=SIGMA, epsilon=DEPTH, rc=cutoff)
    return relaxed_crystal(atoms), depth
