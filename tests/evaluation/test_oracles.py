"""Design rows and model evaluation against direct sums, finite differences and symmetry."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import (
    VOIGT,
    basis_of,
    direct_rows,
    labelled,
    molecule,
    own_cutoffs,
    random_coefficients,
    scattered,
    worst,
)

from hiertl_dist import Frame, Model, blocks_of, design_rows
from hiertl_dist.errors import FrameError
from hiertl_dist.evaluation.compiled_basis import compile_recipe
from hiertl_dist.evaluation.frame_rows import fill_rows
from hiertl_dist.frames.rows import Row, n_rows
from hiertl_dist.model.parameters import Parameters, Penalty

ELEMENTS = ("O", "C", "N", "H")
SKEWED = np.array([[3.3, 0.0, 0.0], [1.65, 2.86, 0.0], [1.6, 0.9, 2.7]])
SMALL = np.array([[2.2, 0.0, 0.0], [0.4, 2.3, 0.0], [-0.3, 0.5, 2.5]])
NO_WALL = Penalty(0.0, 0.01)

few = settings(derandomize=True, deadline=None, max_examples=8, database=None)


@pytest.fixture(scope="module")
def own_basis():
    """Four elements; every many-body type has cutoffs of its own, different for each edge; Tersoff."""
    types = own_cutoffs(ELEMENTS, 3, 0.5, 3.33) | own_cutoffs(ELEMENTS, 4, 0.4, 3.32)
    return basis_of(ELEMENTS, (4, 3, 2), types=types, cutoff="TERSOFF 0.6")


@pytest.fixture(scope="module")
def shared_basis():
    """Four elements; types share cutoffs, so that families have many members; orders differ; cubic."""
    types = {"CHNO": {"order": 3, "rmax": {"CN": 2.9, "HO": 3.1}}, "CCN": {"order": 4}}
    return basis_of(ELEMENTS, (3, 3, 2), (3.3, 3.2, 3.0), types=types)


@pytest.fixture(scope="module")
def crystal():
    """Eight atoms of four elements in a skewed cell that is smaller than the cutoffs."""
    return scattered(ELEMENTS * 2, SKEWED, seed=3, apart=1.05)


@pytest.fixture(scope="module")
def isolated():
    """A molecule of twelve atoms of four elements."""
    return molecule(ELEMENTS * 3, seed=5, size=3.0, apart=0.8)


@pytest.fixture(scope="module")
def case():
    """A basis of two elements and four atoms in a cell smaller than its cutoffs."""
    types = {"CN": {"order": 5}, **own_cutoffs("CN", 4, 0.4, 3.0)}
    basis = basis_of("CN", (4, 4, 3), (3.2, 3.1, 3.0), types=types, cutoff="TERSOFF 0.8")
    return basis, scattered("CNCN", SMALL, seed=4, apart=1.05)


@pytest.fixture(scope="module")
def rows(shared_basis, crystal):
    """The crystal's rows: forces (8, 3, columns), stress (3, 3, columns), energy (columns)."""
    return split(design_rows(crystal, shared_basis).matrix)


def split(matrix):
    """Rows of eight atoms as forces (8, 3, columns), stress (3, 3, columns), energy (columns)."""
    stress = np.empty((3, 3, matrix.shape[1]))
    for row, (a, b) in zip(matrix[24:30], VOIGT, strict=True):
        stress[a, b] = stress[b, a] = row
    return matrix[:24].reshape(8, 3, -1), stress, matrix[30]


def model_of(basis, seed=0):
    return Model(Parameters(basis, random_coefficients(basis, seed), NO_WALL))


def types_seen(design):
    """The cluster types with a nonzero entry."""
    return {c.elements for c, used in zip(design.columns, design.matrix.any(axis=0), strict=True) if used}


class TestDirectSums:
    """The factorised rows equal sums over every cluster."""

    def test_every_type_of_four_elements_in_a_small_skewed_cell(self, own_basis, crystal):
        found = design_rows(crystal, own_basis)
        assert len(own_basis.types) == 4 + 10 + 20 + 35
        assert types_seen(found) == {t.elements for t in own_basis.types}
        expected = direct_rows(crystal, own_basis, found.columns)
        forces, stress, energy = slice(0, 24), slice(24, 30), slice(30, 31)
        for rows in (forces, stress, energy):
            assert worst(found.matrix[rows], expected[rows]) < 1e-10

    def test_an_isolated_molecule(self, shared_basis, isolated):
        found = design_rows(isolated, shared_basis)
        alike = {(e,) * 4 for e in ELEMENTS}
        assert types_seen(found) == {t.elements for t in shared_basis.types} - alike
        assert found.matrix.shape[0] == 3 * 12 + 1
        assert worst(found.matrix, direct_rows(isolated, shared_basis, found.columns)) < 1e-10

    # every way in which moments are padded and tiled; either element the rarer one
    @pytest.mark.parametrize(
        ("orders", "species"),
        [((1, 2, 2), "CCCCN"), ((1, 2, 2), "CNNNN"), ((3, 5, 0), "CNNNN"), ((2, 8, 3), "CCCCN"), ((2, 9, 0), "CNNNN"),
         ((2, 0, 4), "CCCCN"), ((2, 0, 4), "CNNNN"), ((2, 17, 0), "CCCCN")],
    )  # fmt: skip
    def test_each_order(self, orders, species):
        basis = basis_of("CN", orders, (3.0, 3.0, 3.0))
        frame = molecule(species, seed=6, size=1.9, apart=0.8)
        found = design_rows(frame, basis)
        expected = direct_rows(frame, basis, found.columns)
        assert expected.any(axis=1).all()
        assert worst(found.matrix, expected) < 1e-10
        model = model_of(basis)
        rows = found.matrix @ model.parameters.coefficients
        (evaluated,) = model.evaluate(frame)
        assert evaluated.forces.ravel() == pytest.approx(rows[:-1], rel=0, abs=1e-10 * np.abs(rows[:-1]).max())

    @pytest.mark.parametrize("order", [5, 6])
    def test_large_orders_of_four_bodies(self, order):
        """Too slow for direct sums: columns nest, and all forces are derivatives of the energy."""
        basis, lower = (basis_of("CN", (1, 0, n), (3.0, 3.0, 3.0)) for n in (order, 4))
        frame = molecule("CCCCN", seed=6, size=1.9, apart=0.8)
        found, nested = design_rows(frame, basis), design_rows(frame, lower)
        place = {(c.block, c.elements, c.powers): k for k, c in enumerate(found.columns)}
        shared = [place[c.block, c.elements, c.powers] for c in nested.columns]
        assert worst(found.matrix[:, shared], nested.matrix) < 1e-12
        step = 1e-5 * np.eye(15)[4].reshape(5, 3)
        ahead, behind = (
            design_rows(labelled(frame.species, frame.positions + x), basis).matrix[-1] for x in (step, -step)
        )
        assert worst((behind - ahead) / 2e-5, found.matrix[4]) < 1e-5

    @pytest.mark.parametrize("transform", ["MORSE", "INVRSE_R", "DEFAULT"])
    @pytest.mark.parametrize("cutoff", ["CUBIC", "TERSOFF 0.75", "TERSOFF 1.0"])
    def test_each_transform_and_cutoff_function(self, transform, cutoff):
        pair = {"rmin": 0.7, "rmax": 3.0, "lambda": 1.3, "transform": transform}
        basis = basis_of(["C"], (6, 4, 3), (3.0, 2.8, 2.6), pairs={"CC": pair}, cutoff=cutoff)
        frame = scattered("CCC", SMALL, seed=2, apart=1.1)
        found = design_rows(frame, basis)
        assert found.matrix.any(axis=0).all()
        assert worst(found.matrix, direct_rows(frame, basis, found.columns)) < 1e-10

    def test_one_atom_that_only_meets_its_own_images(self):
        basis = basis_of(["C"], (4, 4, 3), (3.8, 3.8, 3.8))
        frame = labelled("C", [[0.3, 9.0, -4.0]], SMALL)
        found = design_rows(frame, basis)
        assert found.matrix[-1].all()
        assert found.matrix[3:9].any(axis=0)[:-1].all()
        assert np.abs(found.matrix[:3]).max() < 1e-12
        assert worst(found.matrix[3:], direct_rows(frame, basis, found.columns)[3:]) < 1e-10

    @pytest.mark.parametrize("labels", ["forces", "energy", "stress", "forces energy stress"])
    @pytest.mark.parametrize("species", ["CNOHCNOH", "CCCCCCCC", "XXXXXXXX", "CNXXXXXX"])
    def test_every_entry_is_written(self, shared_basis, crystal, species, labels):
        """Rows are made in memory that was used before: what is not written would be another frame's."""
        kept = {x: getattr(crystal, x) if x in labels else None for x in ("forces", "energy", "stress")}
        for positions in (crystal.positions, 40.0 * crystal.positions):  # the second has atoms without neighbours
            cell = SKEWED * (40.0 if positions is not crystal.positions else 1.0)
            frame = Frame(tuple(species), positions, cell, **kept)
            recipe = compile_recipe(shared_basis)
            used, fresh = (np.full((n_rows(frame), recipe.n_columns), fill) for fill in (np.nan, 0.0))
            fill_rows(frame, recipe, used)
            fill_rows(frame, recipe, fresh)
            np.testing.assert_array_equal(used, fresh)

    def test_atoms_of_other_elements_do_not_count(self, crystal):
        basis = basis_of(("C", "N"), (3, 3, 2), (3.4, 3.4, 3.4))
        known = [i for i, s in enumerate(crystal.species) if s in "CN"]
        alone = labelled("CNCN", crystal.positions[known], crystal.cell)
        rows = [3 * a + x for a in known for x in range(3)] + list(range(24, 31))
        ignoring = design_rows(crystal, basis, ignore_other_elements=True)
        found, expected = ignoring.matrix, design_rows(alone, basis).matrix
        with pytest.raises(FrameError, match="H, O not among the elements"):
            design_rows(crystal, basis)
        assert types_seen(ignoring) == {t.elements for t in basis.types}
        assert worst(found[rows], expected) < 1e-12
        assert not np.delete(found, rows, axis=0).any()


class TestDerivatives:
    """Force and stress rows are derivatives of the energy rows."""

    @staticmethod
    def energy_row(basis, frame, positions, cell):
        return design_rows(Frame(frame.species, positions, cell, energy=0.0), basis).matrix[0]

    def slope(self, basis, frame, move):
        """dE/dh of ``positions, cell = move(h)`` by central differences of fourth order."""
        h = 1e-3
        at = {k: self.energy_row(basis, frame, *move(k * h)) for k in (-2, -1, 1, 2)}
        return (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * h)

    def test_force_rows_are_minus_the_gradient(self, case):
        basis, frame = case
        design = design_rows(frame, basis)
        rows = design.matrix[:12]
        expected = np.empty_like(rows)
        for row, (atom, axis) in enumerate(itertools.product(range(4), range(3))):
            step = np.zeros((4, 3))
            step[atom, axis] = 1.0
            expected[row] = -self.slope(basis, frame, lambda h, d=step: (frame.positions + h * d, frame.cell))
        assert types_seen(design) == {t.elements for t in basis.types}
        assert worst(rows, expected) < 1e-6

    def test_stress_rows_are_minus_the_strain_derivative_per_volume(self, case):
        basis, frame = case
        design = design_rows(frame, basis)
        rows = design.matrix[12:18]
        expected = np.empty_like(rows)
        for row, (a, b) in enumerate(VOIGT):
            strain = np.zeros((3, 3))
            strain[a, b] += 0.5
            strain[b, a] += 0.5

            def move(h, strain=strain):
                stretch = np.eye(3) + h * strain
                return frame.positions @ stretch, frame.cell @ stretch

            expected[row] = -self.slope(basis, frame, move) / frame.volume
        assert types_seen(design) == {t.elements for t in basis.types}
        assert worst(rows, expected) < 1e-6

    def test_a_repulsive_pair_under_compression_has_positive_stress(self):
        pair = {"rmin": 0.5, "rmax": 3.0, "transform": "INVRSE_R"}
        basis = basis_of("C", (1, 0, 0), pairs={"CC": pair}, one_body=False)
        frame = labelled("CC", [[0, 0, 0], [0.8, 0, 0]], np.eye(3) * 10)
        found = design_rows(frame, basis).matrix[:, 0]
        assert found[6] > 0
        assert found[0] < 0 < found[3]


class TestFoldedCells:
    """A cell smaller than the cutoff equals its 2 × 2 × 2 supercell, folded."""

    @pytest.mark.parametrize("species", ["C", "CN", "CNN"])
    def test_small_cell_equals_its_supercell(self, species):
        basis = basis_of(("N", "C"), (4, 3, 3), (3.4, 3.8, 3.8))
        frame = scattered(species, SMALL, seed=6, apart=1.1)
        n = len(species)
        shifts = np.array(list(itertools.product((0, 1), repeat=3))) @ SMALL
        positions = (shifts[:, None] + frame.positions).reshape(-1, 3)
        large = labelled(species * 8, positions, 2 * SMALL)
        one, eight = design_rows(frame, basis), design_rows(large, basis)
        assert {len(t) for t in types_seen(one)} == {1, 2, 3, 4}
        copies = eight.matrix[: 24 * n].reshape(8, 3 * n, -1)
        folded = np.concatenate([copies.mean(axis=0), eight.matrix[-7:-1], eight.matrix[-1:] / 8])
        scale = np.abs(one.matrix).max(axis=0)
        assert (np.abs(copies - one.matrix[: 3 * n]) <= 1e-11 * scale).all()
        assert worst(one.matrix, folded) < 1e-11


def rotations():
    """Proper and improper rotations from random frames of axes."""

    def axes(seed):
        q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
        return q * np.sign(np.diag(r))

    return st.integers(0, 10**6).map(axes)


def lattice_changes():
    """Integer matrices of determinant ±1: products of shears, and a flip."""
    shear = st.tuples(st.permutations(range(3)), st.integers(-1, 1))

    def product(steps):
        change = np.eye(3)
        for (a, b, _), amount in steps:
            change[a] += amount * change[b]
        return change * [[-1.0], [1.0], [1.0]]

    return st.lists(shear, min_size=1, max_size=3).map(product)


class TestSymmetry:
    """Rows follow rotations and relabelling; the choice of origin, images and lattice vectors is free."""

    def check(self, basis, frame, forces, stress, energy):
        for found, expected in zip(split(design_rows(frame, basis).matrix), (forces, stress, energy), strict=True):
            columns = expected.shape[-1]
            assert worst(found.reshape(-1, columns), expected.reshape(-1, columns)) < 1e-9

    @few
    @given(q=rotations())
    def test_rotation(self, shared_basis, crystal, rows, q):
        forces, stress, energy = rows
        turned = labelled(crystal.species, crystal.positions @ q.T, crystal.cell @ q.T)
        forces = np.einsum("xy,nyk->nxk", q, forces)
        stress = np.einsum("ax,by,xyk->abk", q, q, stress)
        self.check(shared_basis, turned, forces, stress, energy)

    @few
    @given(order=st.permutations(range(8)))
    def test_permutation(self, shared_basis, crystal, rows, order):
        forces, stress, energy = rows
        moved = labelled([crystal.species[a] for a in order], crystal.positions[order], crystal.cell)
        self.check(shared_basis, moved, forces[order], stress, energy)

    @few
    @given(
        origin=st.tuples(*[st.floats(-20, 20)] * 3),
        images=st.lists(st.integers(-3, 3), min_size=24, max_size=24),
    )
    def test_translation_and_images(self, shared_basis, crystal, rows, origin, images):
        shifts = np.reshape(images, (8, 3)) @ crystal.cell
        moved = labelled(crystal.species, crystal.positions + shifts + np.array(origin), crystal.cell)
        self.check(shared_basis, moved, *rows)

    @few
    @given(change=lattice_changes())
    def test_choice_of_lattice_vectors(self, shared_basis, crystal, rows, change):
        assert abs(np.linalg.det(change)) == pytest.approx(1)
        self.check(shared_basis, labelled(crystal.species, crystal.positions, change @ crystal.cell), *rows)


class TestEvaluation:
    """A model's evaluation, which forms no rows, is the rows times its coefficients."""

    @pytest.mark.parametrize("basis_name", ["own_basis", "shared_basis"])
    @pytest.mark.parametrize("frame_name", ["crystal", "isolated"])
    def test_equals_rows_times_coefficients(self, request, basis_name, frame_name):
        basis, frame = request.getfixturevalue(basis_name), request.getfixturevalue(frame_name)
        model = model_of(basis)
        (found,) = model.evaluate(frame)
        expected = design_rows(frame, basis).matrix @ model.parameters.coefficients
        n = 3 * len(frame)
        largest = np.abs(expected[:n]).max()
        assert largest > 1
        assert found.forces.ravel() == pytest.approx(expected[:n], rel=0, abs=1e-10 * largest)
        assert found.energy == pytest.approx(expected[-1], rel=1e-10)
        if frame.cell is None:
            assert np.isnan(found.stress).all()
        else:
            scale = np.abs(expected[n:-1]).max()
            assert found.stress == pytest.approx(expected[n:-1], rel=0, abs=1e-10 * scale)

    @pytest.mark.parametrize("threads", [2, 3, 20])
    def test_threads_share_atoms_or_frames(self, own_basis, crystal, isolated, threads):
        model = model_of(own_basis)
        frames = [crystal, isolated, crystal]
        for found, expected in zip(model.evaluate(frames, threads=threads), model.evaluate(frames), strict=True):
            assert found.energy == pytest.approx(expected.energy, rel=1e-13)
            scale = np.abs(expected.forces).max()
            assert found.forces == pytest.approx(expected.forces, rel=0, abs=1e-13 * scale)
            assert found.stress == pytest.approx(expected.stress, rel=1e-12, nan_ok=True)
        with pytest.raises(ValueError, match="threads: expected a whole number of at least 1, found 0"):
            model.evaluate([], threads=0)

    def test_merged_model_is_the_sum_of_its_blocks(self, own_basis, crystal):
        names = [b.name for b in blocks_of(own_basis)]
        assert len(names) == 4 + 6 + 4 + 1
        parts = []
        for k, block in enumerate(blocks_of(own_basis)):
            part = own_basis.restricted(block.elements).with_types(block.types)
            parts.append(model_of(part, seed=k))
        whole = Model.merge(parts).evaluate(crystal)[0]
        alone = [p.evaluate(crystal, ignore_other_elements=True, missing="zero")[0] for p in parts]
        assert all(abs(a.energy) > 0 for a in alone)
        for label in ("energy", "forces", "stress"):
            expected = sum(getattr(a, label) for a in alone)
            error = np.abs(getattr(whole, label) - expected).max()
            assert error < 1e-9 * np.abs(expected).max()

    def test_the_wall_is_a_cubic_of_the_depth_below_its_foot(self):
        basis = basis_of("C", (2, 0, 0), one_body=False)
        foot = 0.6 + 0.3
        model = Model(Parameters(basis, np.zeros(2), Penalty(50.0, 0.3)))
        (found,) = model.evaluate(labelled("CC", [[0, 0, 0], [0, 0.7, 0]], np.eye(3) * 9))
        depth = foot - 0.7
        assert found.energy == pytest.approx(50 * depth**3)
        assert found.forces[1] == pytest.approx([0, 150 * depth**2, 0])
        assert found.stress == pytest.approx([0, 150 * depth**2 * 0.7 / 9**3, 0, 0, 0, 0])


PARTIAL = np.array([1.0, np.nan, 3.0, np.nan, np.nan, 6.0])
DIAGONAL = np.array([1.0, 2.0, 3.0, np.nan, np.nan, np.nan])
FORCES = [("force", a, x) for a in range(8) for x in range(3)]
STRESS = [("stress", -1, c) for c in range(6)]
ENERGY = [("energy", -1, 0)]


class TestMissingLabels:
    """A label that a frame lacks has no row; the rows that remain are the same bits."""

    @pytest.mark.parametrize(
        ("labels", "present"),
        [
            ({"forces": None, "stress": None}, ENERGY),
            ({"energy": None, "stress": None}, FORCES),
            ({"energy": None, "forces": None}, STRESS),
            ({"stress": PARTIAL}, [*FORCES, STRESS[0], STRESS[2], STRESS[5], *ENERGY]),
            ({"stress": DIAGONAL, "forces": None}, [*STRESS[:3], *ENERGY]),
            ({"stress": np.full(6, np.nan), "energy": None}, FORCES),
            ({"energy": None, "forces": None, "stress": None}, []),
        ],
    )
    def test_rows_of_the_labels_that_are_there(self, shared_basis, crystal, labels, present):
        have = {"energy": 7.0, "forces": np.arange(24.0).reshape(8, 3), "stress": np.arange(6.0) - 3}
        full = labelled(crystal.species, crystal.positions, crystal.cell, **have)
        part = labelled(crystal.species, crystal.positions, crystal.cell, **(have | labels))
        both = design_rows([full, part], shared_basis)
        where = {(r.kind, r.atom, r.component): i for i, r in enumerate(both.rows) if r.frame == 0}
        assert len(where) == 31
        assert both.rows[31:] == tuple(Row(1, *label) for label in present)
        assert np.array_equal(both.matrix[31:], both.matrix[[where[label] for label in present]])
        values = dict(zip(FORCES + ENERGY, [*range(24), 7.0], strict=True))
        if (stress := (have | labels)["stress"]) is not None:
            values |= dict(zip(STRESS, stress, strict=True))
        assert both.target[31:].tolist() == [values[label] for label in present]
