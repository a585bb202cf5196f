"""Properties of crystals against what follows by hand of nearest-neighbour bonds, and relations between them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ase", reason="ASE is not installed")
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from bonded_crystal import DEPTH, NEAREST, SIGMA, bonded

from hiertl_dist import InputError
from hiertl_dist.properties.crystals import (
    elastic_constants,
    equation_of_state,
    relaxed_crystal,
    surface_energies,
    vacancy_energies,
)
from hiertl_dist.stability.lattices import GPA


def test_bonds_of_nearest_neighbours():
    crystal, depth = bonded()
    a = np.sqrt(2.0) * NEAREST
    state = equation_of_state(crystal)
    assert crystal.cell.volume == pytest.approx(a**3, rel=1e-5)
    assert state.volume == pytest.approx(a**3 / 4.0, rel=1e-3)
    assert state.energy == pytest.approx(-6.0 * depth, rel=1e-4)
    stiffness = 57.1464 * DEPTH / SIGMA**2  # V'' at the minimum: 72 ε / (2^(1/3) σ²)
    # fcc, bonds of stiffness k to nearest neighbours alone: C11 = √2 k / r, C12 = C44 = C11 / 2
    one = np.sqrt(2.0) * stiffness / NEAREST * GPA
    assert stiffness == pytest.approx(72.0 * DEPTH / (2.0 ** (1.0 / 3.0) * SIGMA**2), rel=1e-4)
    expected = np.diag([one] * 3 + [one / 2.0] * 3)
    expected[:3, :3] += one / 2.0 * (1.0 - np.eye(3))
    np.testing.assert_allclose(elastic_constants(crystal), expected, atol=2e-3 * one)
    assert state.bulk_modulus == pytest.approx(2.0 / 3.0 * one, rel=2e-2)
    assert vacancy_energies(crystal, 6.0)["Ar"] == pytest.approx(6.0 * depth, rel=1e-3)
    surfaces = surface_energies(crystal, [(1, 0, 0), (1, 1, 1)], thickness=7.0)
    assert surfaces[1, 0, 0] == pytest.approx(4.0 * depth / a**2, rel=1e-3)
    assert surfaces[1, 1, 1] == pytest.approx(2.0 * np.sqrt(3.0) * depth / a**2, rel=1e-3)


def test_moduli_of_copper_agree():
    copper = bulk("Cu", "fcc", a=3.6)
    copper.calc = EMT()
    crystal = relaxed_crystal(copper)
    constants = elastic_constants(crystal)
    modulus = (constants[0, 0] + 2.0 * constants[0, 1]) / 3.0
    assert equation_of_state(crystal).bulk_modulus == pytest.approx(modulus, rel=2e-2)
    assert (constants == constants.T).all()
    assert 100.0 < modulus < 170.0  # EMT's copper: 134 GPa, near the measured 137


def test_what_is_no_crystal_is_refused():
    with pytest.raises(InputError, match="expected a crystal"):
        relaxed_crystal(Atoms("Cu", calculator=EMT()))
    alloy = bulk("NiAl", "cesiumchloride", a=2.9)
    with pytest.raises(InputError, match="several elements"):
        vacancy_energies(alloy)
    copper = bulk("Cu", "fcc", a=3.6)
    copper.calc = EMT()
    with pytest.raises(InputError, match="Miller"):
        surface_energies(copper, [(0, 0, 0)])
