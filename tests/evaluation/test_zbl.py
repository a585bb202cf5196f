"""The screened repulsion of nuclei: published numbers, derivatives, where it ends, and what holds it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import random_frame, random_parameters, small_basis

from hiertl_dist import Frame, Model
from hiertl_dist.errors import FrameError
from hiertl_dist.evaluation.zbl import zbl_ends, zbl_repulsion
from hiertl_dist.model.parameters import Penalty
from hiertl_dist.units import EV

BASIS = small_basis((3, 0, 0))
COVERAGE = {"C:CC": (1.22, 5.0), "N:NN": (1.02, 5.0)}
PARAMETERS = replace(random_parameters(BASIS, 1), coverage=COVERAGE, penalty=Penalty(1e4, 0.1))
MODEL = Model(PARAMETERS)
NUMBERS = {"C": 6, "N": 7, "O": 8}


def repulsion(frame, ends):
    return zbl_repulsion(MODEL, frame, np.array([NUMBERS[s] for s in frame.species]), ends)


def by_definition(r, z, other):
    """eV, of two nuclei by the formula, unswitched."""
    x = r * (z**0.23 + other**0.23) / 0.4685
    phi = 0.18175 * np.exp(-3.1998 * x) + 0.50986 * np.exp(-0.94229 * x)
    phi += 0.28022 * np.exp(-0.4029 * x) + 0.02817 * np.exp(-0.20162 * x)
    return 14.39964548 * z * other / r * phi


def dimer(r, species=("C", "N")):
    return Frame(species, np.array([[0.0, 0.0, 0.0], [0.0, r, 0.0]]))


def test_it_is_the_universal_potential_until_it_is_switched_off():
    ends = {"CC": 1.2, "CN": 1.1, "NN": 1.0}
    for r in (0.1, 0.5, 0.77):
        assert repulsion(dimer(r), ends).energy / EV == pytest.approx(by_definition(r, 6, 7), rel=1e-6)
    middle = 0.85 * 1.1
    assert repulsion(dimer(middle), ends).energy / EV == pytest.approx(0.5 * by_definition(middle, 6, 7), rel=1e-6)
    assert repulsion(dimer(1.1), ends).energy == 0.0
    assert repulsion(dimer(1.15, ("C", "C")), ends).energy > 0.0
    assert np.isnan(repulsion(dimer(0.5), ends).stress).all(), "no volume"


def test_forces_and_stress_are_its_derivatives():
    frame = random_frame(("C", "N"), 2)
    ends, h = {"CC": 2.4, "CN": 2.2, "NN": 2.0}, 1e-5
    own = repulsion(frame, ends)

    def moved(step):
        return repulsion(replace(frame, positions=frame.positions + step), ends).energy

    for atom, axis in ((0, 0), (5, 2)):
        step = np.zeros_like(frame.positions)
        step[atom, axis] = h
        assert own.forces[atom, axis] == pytest.approx((moved(-step) - moved(step)) / (2 * h), rel=1e-6, abs=1e-4)
    np.testing.assert_allclose(own.forces.sum(axis=0), 0.0, atol=1e-9 * np.abs(own.forces).max())
    for k, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]):

        def strained(sign, a=a, b=b):
            strain = np.eye(3)
            strain[a, b] += 0.5 * sign * h
            strain[b, a] += 0.5 * sign * h
            part = replace(frame, positions=frame.positions @ strain, cell=frame.cell @ strain)
            return repulsion(part, ends).energy

        numerical = -(strained(1) - strained(-1)) / (2 * h) / frame.volume
        assert own.stress[k] == pytest.approx(numerical, rel=1e-5, abs=1e-6 * np.abs(own.stress).max())


def test_no_fitted_contact_feels_it():
    assert zbl_ends(PARAMETERS) == pytest.approx({"CC": 1.2, "CN": 1.0, "NN": 1.0}), "CN: where its wall begins"
    both = replace(PARAMETERS, coverage=COVERAGE | {"CN:CN": (2.0, 5.0)})
    assert zbl_ends(both)["CN"] == pytest.approx(1.10)
    assert repulsion(dimer(1.22, ("C", "C")), zbl_ends(PARAMETERS)).energy == 0.0


def test_pairs_that_the_model_does_not_know():
    with pytest.raises(FrameError, match="expected the pairs of all elements in the model, found none for CN"):
        repulsion(dimer(0.5), {"CC": 1.2, "NN": 1.0})
    apart = replace(dimer(0.5), species=("C", "O"))
    assert repulsion(apart, zbl_ends(PARAMETERS)).energy == 0.0, "atoms that the model ignores have none"
