"""Slabs and wires: images along the vectors that repeat and no others, rows without stresses."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference import basis_of, direct_rows, labelled, molecule, random_coefficients, sites, worst
from synthetic import random_frame, random_parameters, small_basis

from hiertl_dist import Frame, Model, design_rows
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.errors import FrameError
from hiertl_dist.evaluation.compiled_basis import compile_recipe
from hiertl_dist.evaluation.costs import model_cost
from hiertl_dist.evaluation.frame_rows import scan_frame
from hiertl_dist.evaluation.kernels.neighbours import closed_cell, find_neighbours
from hiertl_dist.evaluation.row_costs import count_turns
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.fitting.hierarchy import fit_hierarchy
from hiertl_dist.model.parameters import Parameters, Penalty
from hiertl_dist.uncertainty.predictive import with_labels

few = settings(derandomize=True, deadline=None, max_examples=10, database=None)
many = settings(derandomize=True, deadline=None, database=None)

SLABS = [(True, True, False), (True, False, True), (False, True, True)]
WIRES = [(True, False, False), (False, True, False), (False, False, True)]
SHAPES = [*SLABS, *WIRES]
shapes = pytest.mark.parametrize("pbc", SHAPES, ids=lambda pbc: "".join("FT"[p] for p in pbc))

SKEWED = np.array([[2.4, 0.2, -0.3], [0.9, 2.3, 0.1], [0.5, -0.4, 2.5]])
"""Smaller than the cutoffs; not one vector at right angles to another."""

VACUUM = 40.0


@pytest.fixture(scope="module")
def basis():
    """C and N, two-, three- and four-body, cutoffs that differ."""
    return basis_of("CN", (4, 4, 3), (3.4, 3.2, 3.0), cutoff="TERSOFF 0.7")


def atoms_in(pbc, seed=3, species="CNCN", cell=SKEWED, **more):
    """Atoms of a slab or wire, those along the other vectors spread out and outside of the cell too."""
    rng = np.random.default_rng(seed)
    stretch = np.where(pbc, 1.0, 1.2)
    placed = np.empty((0, 3))
    while len(placed) < len(species):
        point = (rng.random(3) * stretch - np.where(pbc, 0.0, 0.8)) @ cell
        frame = labelled("C" * (len(placed) + 1), [*placed, point], cell, pbc=pbc)
        # a crowd of atoms at random is slow to find
        _, images = sites(frame, 2.0)
        apart = np.linalg.norm(images - point, axis=1)
        apart[len(placed)] = np.inf
        if apart.min() > 0.95:
            placed = frame.positions
    return labelled(species, placed, cell, pbc=pbc, **more)


def with_vacuum(frame):
    """The same atoms in a crystal: vectors that do not repeat replaced by long ones at right angles to the others."""
    repeats = frame.cell[np.flatnonzero(frame.pbc)]
    empty = np.linalg.svd(repeats)[2][len(repeats) :]
    cell = np.array(frame.cell)
    cell[np.flatnonzero(np.logical_not(frame.pbc))] = VACUUM * empty
    return labelled(frame.species, frame.positions, cell)


def model_of(basis, seed=0):
    return Model(Parameters(basis, random_coefficients(basis, seed), Penalty(0.0, 0.01)))


class TestRows:
    """Design rows of what repeats in some directions."""

    @shapes
    def test_they_equal_direct_sums_over_images(self, basis, pbc):
        frame = atoms_in(pbc)
        found = design_rows(frame, basis)
        assert found.matrix.shape[0] == 3 * 4 + 1
        assert found.matrix.any(axis=0).mean() > (0.99 if sum(pbc) == 2 else 0.8)
        assert worst(found.matrix, direct_rows(frame, basis, found.columns)) < 1e-10

    @shapes
    def test_they_are_those_of_a_crystal_with_a_large_vacuum_but_for_the_stress(self, basis, pbc):
        frame = atoms_in(pbc)
        crystal = design_rows(with_vacuum(frame), basis).matrix
        expected = crystal[[*range(12), 18]]
        assert worst(design_rows(frame, basis).matrix, expected) < 1e-10

    @shapes
    def test_images_make_a_difference(self, basis, pbc):
        frame = atoms_in(pbc)
        alone = labelled(frame.species, frame.positions)
        full = replace(frame, pbc=(True, True, True))
        energies = [design_rows(f, basis).matrix[-1] for f in (alone, frame)]
        assert not np.allclose(*energies)
        assert len(scan(full, basis).dist) > len(scan(frame, basis).dist) > len(scan(alone, basis).dist)

    @shapes
    @pytest.mark.parametrize("other", [np.zeros(3), [1e-7, 0, 0], [0, 300.0, 1.0], "parallel", "reversed"])
    def test_vectors_that_do_not_repeat_mean_nothing(self, basis, pbc, other):
        frame = atoms_in(pbc)
        cell = np.array(frame.cell)
        for row in np.flatnonzero(np.logical_not(pbc)):
            cell[row] = (
                {"parallel": cell[pbc.index(True)], "reversed": -cell[row]}[other] if isinstance(other, str) else other
            )
        found = design_rows(replace(frame, cell=cell), basis).matrix
        np.testing.assert_array_equal(found, design_rows(frame, basis).matrix)

    @shapes
    def test_force_rows_are_minus_the_gradient(self, basis, pbc):
        frame = atoms_in(pbc)
        h = 1e-4
        found = design_rows(frame, basis).matrix
        for atom, axis in itertools.product(range(2), range(3)):
            step = np.zeros((4, 3))
            step[atom, axis] = h
            ahead, behind = (
                design_rows(replace(frame, positions=frame.positions + s * step), basis).matrix[-1] for s in (1, -1)
            )
            assert worst(-(ahead - behind) / (2 * h), found[3 * atom + axis]) < 1e-6

    @shapes
    def test_atoms_moved_by_what_repeats_are_the_same(self, basis, pbc):
        frame = atoms_in(pbc)
        shifts = np.random.default_rng(0).integers(-3, 4, (4, 3)) * np.array(pbc)
        moved = replace(frame, positions=frame.positions + shifts @ frame.cell)
        assert worst(design_rows(moved, basis).matrix, design_rows(frame, basis).matrix) < 1e-10
        shifted = replace(frame, positions=frame.positions + np.array([70.0, -30.0, 1000.0]))
        assert worst(design_rows(shifted, basis).matrix, design_rows(frame, basis).matrix) < 1e-9

    def test_one_atom_meets_only_its_images_in_the_plane(self):
        pairs = {"CC": {"rmin": 0.5, "rmax": 3.0, "transform": "DEFAULT"}}
        one = basis_of("C", (1, 0, 0), pairs=pairs, one_body=False)
        frame = labelled("C", [[0.0, 0.0, 55.0]], np.diag([2.0, 2.5, 0.1]), pbc=(True, True, False))
        energy = design_rows(frame, one).matrix[-1, 0]
        # within 3 Å, each pair once: 2.0 and 2.5 Å; the diagonal is 3.2 Å
        expected = sum((1 - r / 3) ** 3 * (r - 1.75) / 1.25 for r in (2.0, 2.5))
        assert energy == pytest.approx(expected, rel=1e-12)


def scan(frame, basis):
    recipe = compile_recipe(basis)
    return find_neighbours(frame.positions, frame.cell, recipe.reach, pbc=frame.pbc)


class TestSupercells:
    """What repeats may be repeated: energies double, forces and rows repeat."""

    @shapes
    def test_two_cells_are_twice_one(self, basis, pbc):
        frame = atoms_in(pbc)
        model = model_of(basis)
        for row in np.flatnonzero(pbc):
            cell = np.array(frame.cell)
            both = np.concatenate([frame.positions, frame.positions + cell[row]])
            cell[row] *= 2
            double = labelled(frame.species * 2, both, cell, pbc=pbc)
            one, two = (design_rows(f, basis).matrix for f in (frame, double))
            assert worst(two[-1], 2 * one[-1]) < 1e-10
            assert worst(two[:24], np.concatenate([one[:12], one[:12]])) < 1e-10
            first, second = model.evaluate([frame, double])
            assert second.energy == pytest.approx(2 * first.energy, rel=1e-10)
            np.testing.assert_allclose(second.forces, np.tile(first.forces, (2, 1)), atol=1e-9 * np.ptp(first.forces))


class TestNeighbours:
    """The search itself, against all images by brute force."""

    @many
    @given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from(SHAPES), cutoff=st.floats(0.8, 4.0))
    def test_pairs_are_those_of_all_images(self, seed, shape, cutoff):
        rng = np.random.default_rng(seed)
        cell = rng.normal(size=(3, 3)) * rng.choice([1.0, 2.0, 5.0])
        repeats = cell[np.flatnonzero(shape)]
        assume(np.sqrt(np.linalg.det(repeats @ repeats.T)) > 0.7)
        cell[np.flatnonzero(np.logical_not(shape))] *= rng.choice([0.0, 1e-3, 1.0, 40.0])
        positions = rng.normal(size=(rng.integers(1, 6), 3)) * rng.choice([0.5, 3.0, 9.0]) + rng.choice([0.0, 90.0])
        frame = Frame(("C",) * len(positions), positions, cell, pbc=shape)
        near = find_neighbours(positions, cell, cutoff, pbc=shape)
        _, images = sites(frame, cutoff)
        for i, place in enumerate(positions):
            apart = np.delete(images - place, i, axis=0)
            expected = apart[np.linalg.norm(apart, axis=1) < cutoff]
            found = near.vec[near.start[i] : near.start[i + 1]]
            assert len(found) == len(expected)
            for vector in found:
                gap = np.linalg.norm(expected - vector, axis=1)
                assert gap.min() < 1e-9
                expected = np.delete(expected, int(gap.argmin()), axis=0)
        assert 2 * near.half.sum() == len(near.dist)
        assert (near.reverse[near.reverse] == np.arange(len(near.dist))).all()

    @few
    @given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from(SHAPES))
    def test_rows_are_direct_sums(self, basis, seed, shape):
        rng = np.random.default_rng(seed)
        cell = SKEWED + 0.2 * rng.normal(size=(3, 3))
        repeats = cell[np.flatnonzero(shape)]
        assume(np.sqrt(np.linalg.det(repeats @ repeats.T)) > 2.0 ** len(repeats))
        cell[np.flatnonzero(np.logical_not(shape))] *= rng.choice([0.0, 1e-3, 50.0])
        frame = molecule("CNC", seed=seed % 1000, size=2.5, apart=1.0)
        frame = labelled("CNC", frame.positions, cell, pbc=shape)
        found = design_rows(frame, basis, policy="damp")
        assert worst(found.matrix, direct_rows(frame, basis, found.columns)) < 1e-9

    def test_a_crystal_and_a_molecule_keep_the_cell_that_they_have(self):
        positions = np.zeros((1, 3))
        assert closed_cell(positions, SKEWED, (True, True, True), 3.0) is SKEWED
        assert closed_cell(positions, None, (False, False, False), 3.0) is None

    def test_a_wire_with_a_stray_atom_is_no_work(self):
        positions = np.array([[0, 0, 0], [0, 1e3, 1e3], [0.0, 0, 1.5]])
        near = find_neighbours(positions, np.diag([4.0, 1, 1]), 5.0, pbc=(True, False, False))
        assert near.half.sum() == 6  # each atom and its image, and 0–2 at 1.5, 4.27 Å twice

    @pytest.mark.parametrize(("cell", "pbc", "positions", "message"), [
        (np.diag([4.0, 4.0, 1.0]), (True, True, False), [[0, 0, 0], [0, 0, 1], [0, 0, 2e5]],
         r"run 3: expected a slab or wire of at most 1e5 Å, found one 2e\+05 Å across, from atom 0 to atom 2"),
        (None, None, [[0, 0, 0], [3e5, 0, 0]], r"run 3: expected a molecule of at most 1e5 Å.* 3e\+05 .*atom 1"),
        (None, None, [[0, 0, 0], [5e3, 0, 0], [0, 5e3, 0]], r"run 3: .*similar width.* 5050 × 5050 × 1 Å: too long"),
        (np.diag([4.0, 4.0, 4e6]), None, [[0, 0, 0], [0, 0, 1]], r"run 3: .* 4 × 4 × 4e\+06 Å: too long and thin"),
        (np.diag([4.0, 1.0, 1.0]), (True, False, False), [[0, 0, 0], [0, 2e4, 2e4]], "run 3: .* too long and thin"),
        (np.diag([4.0, 4.0, 4.0]), None, [[0, 0, 0], [0, 0, 1e12]], r"run 3: .*within 1e8 cells.*atom 1 2\.5e\+11"),
    ])  # fmt: skip
    def test_what_would_take_the_process_with_it_is_refused_by_name(self, basis, cell, pbc, positions, message):
        """vesin divides by zero where its bins are shared out among so unequal widths."""
        frame = Frame(("C",) * len(positions), np.array(positions, float), cell, energy=0.0, pbc=pbc, origin="run 3")
        with pytest.raises(FrameError, match=message):
            design_rows(frame, basis)


class TestModels:
    """Evaluation, plans and costs."""

    @shapes
    def test_evaluation_is_rows_times_coefficients_and_has_no_stress(self, basis, pbc):
        frame, model = atoms_in(pbc), model_of(basis)
        (found,) = model.evaluate(frame)
        rows = design_rows(frame, basis).matrix @ model.parameters.coefficients
        np.testing.assert_allclose([*found.forces.ravel(), found.energy], rows, rtol=0, atol=1e-10 * np.abs(rows).max())
        assert np.isnan(found.stress).all()

    @shapes
    def test_evaluation_is_that_of_a_crystal_with_a_large_vacuum(self, basis, pbc):
        frame = atoms_in(pbc)
        slab, crystal = model_of(basis).evaluate([frame, with_vacuum(frame)])
        assert slab.energy == pytest.approx(crystal.energy, rel=1e-10)
        np.testing.assert_allclose(slab.forces, crystal.forces, rtol=0, atol=1e-10 * np.abs(crystal.forces).max())
        assert np.isfinite(crystal.stress).all()

    def test_there_is_no_stress_to_be_fitted_or_predicted(self):
        frame = atoms_in((True, True, False))
        with pytest.raises(FrameError, match="has a stress but no cell that repeats in three directions"):
            replace(frame, stress=np.zeros(6))
        assert with_labels(frame).stress is None
        assert with_labels(replace(frame, pbc=(True, True, True))).stress is not None

    @shapes
    def test_a_plan_counts_rows_and_contacts_of_images_that_are_there(self, basis, pbc):
        frame = atoms_in(pbc, origin="slab.xyz, frame 1")
        plan = make_plan([frame], basis)
        assert plan.segments[0].rows == 13
        full = make_plan([with_vacuum(frame)], basis)
        assert plan.ranges.keys() == full.ranges.keys()
        for name, span in full.ranges["CN"].items():
            assert plan.ranges["CN"][name] == pytest.approx(span, rel=1e-12)

    @shapes
    def test_costs_are_those_of_the_atoms_and_not_of_a_vacuum(self, pbc):
        basis = small_basis()
        frame = replace(random_frame(("C", "N"), 2, atoms=24), pbc=pbc, stress=None)
        recipe = compile_recipe(basis)
        turns = count_turns(frame, scan_frame(frame, recipe), recipe)
        found = find_neighbours(frame.positions, frame.cell, recipe.reach, pbc=pbc)
        # the estimate takes the density of the inside for that of the surface
        assert len(found.dist) / 2 < turns["found"] < 4 * len(found.dist)
        longer = np.array(frame.cell)
        longer[np.flatnonzero(np.logical_not(pbc))] *= 50
        assert model_cost(basis, [replace(frame, cell=longer)]) == model_cost(basis, [frame])

    def test_a_singular_cell_is_one_whose_repeating_vectors_are(self):
        cell = np.array([[4.0, 0, 0], [8.0, 1e-6, 0], [0, 0, 9.0]])
        with pytest.raises(FrameError, match=r"atoms: singular cell, area 4e-06 Å² of edges whose product is 32 Å²"):
            Frame(("C",), np.zeros((1, 3)), cell, pbc=(True, True, False), origin="atoms")
        assert Frame(("C",), np.zeros((1, 3)), cell, pbc=(True, False, True)).periodic is False
        with pytest.raises(FrameError, match="singular cell, length 0 Å"):
            Frame(("C",), np.zeros((1, 3)), np.diag([1.0, 1.0, 0.0]), pbc=(False, False, True))


class TestCalculator:
    """ASE's atoms with mixed periodicity."""

    @shapes
    def test_energy_and_forces_are_the_models_and_stress_is_refused_with_a_reason(self, pbc):
        ase = pytest.importorskip("ase")
        from ase.calculators.calculator import PropertyNotImplementedError

        from hiertl_dist import Calculator
        from hiertl_dist.units import EV

        basis = small_basis()
        truth = random_parameters(basis, 3)
        frame = replace(random_frame(("C", "N"), 5), pbc=pbc, stress=None)
        atoms = ase.Atoms(list(frame.species), frame.positions, cell=frame.cell, pbc=pbc, calculator=Calculator(truth))
        (found,) = Model(truth).evaluate(frame)
        assert atoms.get_potential_energy() == found.energy / EV
        np.testing.assert_array_equal(atoms.get_forces(), found.forces / EV)
        with pytest.raises(PropertyNotImplementedError, match=r"stress: atoms C\d+N\d+ repeat along [12] directions"):
            atoms.get_stress()
        with pytest.raises(PropertyNotImplementedError, match="dipole property not implemented"):
            atoms.get_dipole_moment()
        atoms.pbc = True
        assert np.isfinite(atoms.get_stress()).all()

    def test_a_surface_as_ase_makes_it_has_a_cell_without_height(self):
        build = pytest.importorskip("ase.build")
        from hiertl_dist import Calculator

        slab = build.graphene(size=(2, 2, 1))
        assert not slab.cell[2].any()
        slab.pbc = (True, True, False)
        slab.calc = Calculator(random_parameters(small_basis(), 1))
        flat = slab.get_forces()
        assert np.abs(flat[:, 2]).max() < 1e-12 * max(np.abs(slab.get_potential_energy()), 1)
        slab.center(vacuum=20.0, axis=2)
        slab.calc = Calculator(random_parameters(small_basis(), 1))
        slab.pbc = True
        np.testing.assert_allclose(slab.get_forces(), flat, atol=1e-9)


def test_a_model_is_fitted_on_slabs_wires_molecules_and_crystals_together():
    """Labels of a known model on frames of every periodicity give it back, and rows of stresses where they exist."""
    basis = small_basis((4, 3, 0))
    truth = random_parameters(basis, 7)
    shapes_of = itertools.cycle([*SHAPES, (True, True, True)])
    frames = [
        replace(f, pbc=next(shapes_of), stress=None)
        for f in (random_frame(e, (9, i), atoms=16) for e in (("C",), ("N",), ("C", "N")) for i in range(8))
    ]
    frames += [replace(f, cell=None, pbc=None, origin="molecule") for f in frames[::8]]
    known = [replace(f, energy=e.energy, forces=e.forces, stress=e.stress if f.periodic else None)
             for f, e in zip(frames, Model(truth).evaluate(frames), strict=True)]  # fmt: skip
    fit = fit_hierarchy(known, basis, executor=SerialExecutor())
    found = fit.model.parameters.as_dict()
    scale = np.abs(truth.coefficients).max()
    assert max(abs(found[c] - v) for c, v in truth.as_dict().items()) < 1e-6 * scale
    groups = {g: r.rows for g, r in fit.fits["CN"].solution.residuals.items()}
    assert groups["all/stress_diagonal"] == 3 * sum(f.periodic for f in frames if len(f.elements) == 2)
