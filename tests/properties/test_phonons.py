"""Phonons against the dynamical matrix of an fcc crystal with bonds to nearest neighbours; without phonopy."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest

pytest.importorskip("ase", reason="ASE is not installed")
from ase import units
from bonded_crystal import DEPTH, NEAREST, SIGMA, bonded

from hiertl_dist import PropertySettings, crystal_properties, phonons


def fcc_bonds():
    """The twelve vectors to nearest neighbours, Å."""
    corners = [np.array(v) for v in product((-1, 0, 1), repeat=3) if np.abs(v).sum() == 2]
    return np.array(corners) * NEAREST / np.sqrt(2.0)


def test_bands_are_those_of_springs_between_nearest_neighbours():
    pytest.importorskip("phonopy", reason="phonopy is not installed")
    from hiertl_dist.properties.phonons import _primitive

    crystal, _ = bonded()
    found = phonons(crystal, 8.0, displacement=0.003, mesh=15.0)
    stiffness = 72.0 * DEPTH / (2.0 ** (1.0 / 3.0) * SIGMA**2)
    waves = 2.0 * np.pi * found.q_points @ _primitive(crystal).cell.reciprocal()[:]
    bonds = fcc_bonds()
    directions = bonds / NEAREST
    springs = np.einsum("qr,ra,rb->qab", 1.0 - np.cos(waves @ bonds.T), directions, directions) * stiffness
    squares = np.linalg.eigvalsh(springs / crystal.get_masses()[0])
    unit = np.sqrt(units._e / units._amu) * 1e10 / (2.0 * np.pi) / 1e12  # √(eV/Å²/u) in THz
    np.testing.assert_allclose(found.bands, unit * np.sqrt(np.maximum(squares, 0.0)), atol=5e-3)
    assert found.atoms == found.cells == 1
    assert abs(found.lowest) < 1e-3
    assert not found.imaginary
    assert np.trapezoid(found.dos, found.dos_frequencies) == pytest.approx(3.0, rel=0.05)
    assert found.path.startswith("GXWK")
    assert np.linalg.norm(waves, axis=1)[found.q_points.tolist().index([0.5, 0.0, 0.5])] == pytest.approx(
        2.0 * np.pi / (np.sqrt(2.0) * NEAREST), rel=1e-4
    )


def test_a_lattice_that_is_no_minimum_has_imaginary_modes():
    pytest.importorskip("phonopy", reason="phonopy is not installed")
    crystal, _ = bonded()
    crystal.set_cell(crystal.cell * 1.15, scale_atoms=True)  # beyond the inflection of the bonds
    found = phonons(crystal, 8.0, mesh=15.0)
    assert found.imaginary
    assert found.lowest < -1.0


def test_without_phonopy_the_extra_is_named():
    if find_spec("phonopy") is not None:
        pytest.skip("phonopy is installed")
    crystal, _ = bonded()
    with pytest.raises(ModuleNotFoundError, match=r'pip install "hiertl-dist\[phonons\]"'):
        crystal_properties(crystal, PropertySettings(properties=("phonons",)))
    with pytest.raises(ModuleNotFoundError, match=r'pip install "hiertl-dist\[phonons\]"'):
        phonons(crystal)
    found = crystal_properties(crystal, PropertySettings(surfaces=((1, 0, 0),), vacancy_length=6.0, thickness=6.0))
    assert any("no phonons" in note for note in found.notes)
    assert not found.failed
