"""Frames from ASE's Atoms equal those that the extended XYZ reader makes of the same images."""

from __future__ import annotations

import numpy as np
import pytest

from hiertl_dist import read_frames
from hiertl_dist.io import frames_from_ase

ase = pytest.importorskip("ase")


def image(pbc: object = True, labels: bool = True):
    from ase.calculators.singlepoint import SinglePointCalculator

    rng = np.random.default_rng(5)
    cell = [[6.0, 0.2, 0.1], [0.0, 7.0, 0.3], [0.0, 0.0, 8.0]]
    atoms = ase.Atoms("C2N", positions=[[0, 0, 0], [2, 1, 0], [1, 3, 4]], cell=cell, pbc=pbc)
    if labels:
        stress = rng.normal(size=6) if np.all(pbc) else None
        atoms.calc = SinglePointCalculator(atoms, energy=-3.5, forces=rng.normal(size=(3, 3)), stress=stress)
    return atoms


@pytest.mark.parametrize("pbc", [True, False])
def test_same_as_reading_what_ase_writes(tmp_path, pbc):
    from ase.io import write

    path = tmp_path / "a.extxyz"
    write(path, image(pbc), format="extxyz")
    (read,), (made,) = read_frames(path), frames_from_ase([image(pbc)])
    assert made.species == read.species
    assert made.energy == pytest.approx(read.energy)
    np.testing.assert_allclose(made.positions, read.positions, atol=1e-7)
    np.testing.assert_allclose(made.forces, read.forces, rtol=1e-6, atol=1e-6)
    if pbc:
        np.testing.assert_allclose(made.stress, read.stress, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(made.cell, read.cell)
    else:
        assert made.cell is None
        assert made.stress is None


def test_without_a_calculator_there_are_no_labels():
    (frame,) = frames_from_ase([image(labels=False)])
    assert frame.energy is frame.forces is frame.stress is None


def test_a_slab_keeps_its_directions_and_has_no_stress():
    (frame,) = frames_from_ase([image((True, True, False))])
    assert frame.pbc == (True, True, False)
    assert frame.forces is not None
    assert frame.stress is None
