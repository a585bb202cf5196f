"""Pairs and edges with rmin = rmax, by which chimes_lsq's users switch an interaction off, contribute nothing."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import basis_of, direct_rows, molecule, random_coefficients, scattered, worst

from hiertl_dist import Basis, Frame, Model, design_rows
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.evaluation.compiled_basis import compile_recipe, never_active
from hiertl_dist.evaluation.costs import model_cost
from hiertl_dist.model.basis import cluster_name
from hiertl_dist.model.parameters import Parameters

CELL = np.array([[4.1, 0.0, 0.0], [0.4, 4.3, 0.0], [-0.3, 0.5, 4.5]])
few = settings(derandomize=True, deadline=None, max_examples=8, database=None)


def with_inactive(pair="CC", cutoff=0.3, bodies=(2,)):
    """C and N with one pair of elements inactive in the terms of some bodies."""
    off, on = {"rmin": cutoff, "rmax": cutoff}, {"rmin": 0.6, "rmax": 3.2}
    pairs = {name: (off if name == pair and 2 in bodies else on) | {"lambda": 1.2} for name in ("CC", "CN", "NN")}
    many = {
        key: {side: {pair: (off if body in bodies else on)[side]} for side in ("rmin", "rmax")}
        for key, body in (("three_body", 3), ("four_body", 4))
    }
    return basis_of("CN", (4, 3, 2), pairs=pairs, cutoff="TERSOFF 0.7", **many)


def without(basis):
    """The same basis, types that are never active left out."""
    return basis.with_types(t for t in basis.types if not never_active(t))


def model_of(basis, seed=0):
    return Model(Parameters(basis, random_coefficients(basis, seed)))


@pytest.fixture
def crystal():
    return scattered("CNCNC", CELL, seed=2, apart=1.0)


@pytest.mark.parametrize("bodies", [(2,), (3,), (4,), (2, 3, 4)])
@pytest.mark.parametrize("pair", ["CC", "CN"])
# below, among and above the distances of the atoms
@pytest.mark.parametrize("cutoff", [0.3, 1.4, 3.0])
class TestContributions:
    """Columns of such types are zero, and the others are what they are without them."""

    def test_rows(self, bodies, pair, cutoff, crystal):
        basis = with_inactive(pair, cutoff, bodies)
        idle = {t.elements for t in basis.types if never_active(t)}
        assert idle
        assert all(tuple(pair) in {(a, b) for a in e for b in e} for e in idle)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = design_rows(crystal, basis)
        assert np.isfinite(found.matrix).all()
        asleep = np.array([c.elements in idle for c in found.columns])
        assert not found.matrix[:, asleep].any()
        np.testing.assert_array_equal(found.matrix[:, ~asleep], design_rows(crystal, without(basis)).matrix)

    def test_evaluation(self, bodies, pair, cutoff, crystal):
        basis = with_inactive(pair, cutoff, bodies)
        model = model_of(basis)
        values = model.parameters.as_dict()
        rest = without(basis)
        columns = design_rows([], rest).columns
        alone = Model(Parameters(rest, np.array([values[c] for c in columns])))
        (found,), (expected,) = model.evaluate(crystal), alone.evaluate(crystal, missing="zero")
        assert found.energy == expected.energy
        np.testing.assert_array_equal(found.forces, expected.forces)
        np.testing.assert_array_equal(found.stress, expected.stress)
        assert np.isfinite([found.energy, *found.forces.ravel(), *found.stress]).all()


def test_active_columns_equal_direct_sums(crystal):
    basis = with_inactive("CC", 1.4)
    found = design_rows(crystal, basis)
    active = [k for k, c in enumerate(found.columns) if c.elements in {t.elements for t in without(basis).types}]
    expected = direct_rows(crystal, without(basis), [found.columns[k] for k in active])
    assert worst(found.matrix[:, active], expected) < 1e-10


@few
@given(seed=st.integers(0, 999), pair=st.sampled_from(["CC", "CN", "NN"]), cutoff=st.floats(0.0, 5.0),
       bodies=st.sets(st.integers(2, 4), min_size=1))  # fmt: skip
def test_nothing_is_left_unwritten_or_infinite(seed, pair, cutoff, bodies):
    basis = with_inactive(pair, cutoff, bodies)
    frame = molecule("CNCN", seed=seed, size=2.0, apart=0.7)
    found = design_rows(frame, basis)
    assert np.isfinite(found.matrix).all()
    coefficients = random_coefficients(basis, seed)
    (said,) = Model(Parameters(basis, coefficients)).evaluate(frame)
    rows = found.matrix @ coefficients
    # the wall is not fitted, and no distance of these frames is that short
    np.testing.assert_allclose([*said.forces.ravel(), said.energy], rows, rtol=0, atol=1e-9 * np.abs(rows).max())


def test_no_atom_is_inside_the_inner_cutoff_of_a_pair_that_is_never_active(crystal):
    basis = with_inactive("CC", 3.0, (2, 3, 4))
    recipe = compile_recipe(basis)
    c, n = basis.elements.index("C"), basis.elements.index("N")
    assert recipe.inner[c, c] == recipe.outer[c, c] == 0.0
    assert recipe.inner[c, n] == 0.6
    plan = make_plan([crystal], basis)
    assert plan.inside == ()
    assert model_cost(basis, [crystal]) == pytest.approx(model_cost(without(basis), [crystal]), rel=1e-12)


def test_a_basis_without_any_active_pair_sees_atoms_alone():
    pairs = {"CC": {"rmin": 0.5, "rmax": 0.5, "lambda": 1.0}}
    basis = Basis.from_dict({"elements": ["C"], "orders": [3, 2, 0], "pairs": pairs})
    frame = molecule("CCC", seed=1, size=2.0, apart=0.8)
    rows = design_rows(frame, basis).matrix
    assert rows[-1, -1] == 3.0
    assert np.count_nonzero(rows) == 1
    (said,) = model_of(basis).evaluate(frame)
    assert not said.forces.any()


def test_energies_of_an_oxide_whose_oxygen_pair_is_switched_off():
    """chimes_calculator's numbers, of its own test suite's kind of file: Ti and O, the O–O pair with rmin = rmax."""
    table = {
        "elements": ["O", "Ti"], "orders": [1, 0, 0], "cutoff": "TERSOFF 0.5", "one_body": False,
        "pairs": {
            cluster_name(("O", "O")): {"rmin": 0.3, "rmax": 0.3, "lambda": 0.35},
            cluster_name(("Ti", "Ti")): {"rmin": 2.5, "rmax": 4.3, "lambda": 3.0},
            cluster_name(("O", "Ti")): {"rmin": 1.5, "rmax": 2.8, "lambda": 3.0},
        },
    }  # fmt: skip
    basis = Basis.from_dict(table)
    values = {("O", "O"): 0.0, ("Ti", "Ti"): 10.0, ("O", "Ti"): 20.0}
    columns = design_rows([], basis).columns
    model = Model(Parameters(basis, np.array([values[c.elements] for c in columns])))
    frame = Frame(("O", "Ti", "O"), np.array([[1, 1, 1], [2.9, 1, 1], [4.7, 1.2, 1]], float), 20 * np.eye(3))
    (found,) = model.evaluate(frame)
    assert found.energy == pytest.approx(11.213090132060, rel=1e-12)
    assert found.forces[0, 0] == pytest.approx(-29.6546624, rel=1e-8)
    assert found.forces.sum(axis=0) == pytest.approx(0.0, abs=1e-12)
