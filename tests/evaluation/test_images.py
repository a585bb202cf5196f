"""The compiled search for neighbours of small frames gives what vesin's list does, in the same order, bit by bit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hiertl_dist.evaluation.kernels import neighbours
from hiertl_dist.evaluation.kernels.images import ELSEWHERE
from hiertl_dist.evaluation.kernels.neighbours import find_neighbours, list_neighbours, mark_neighbours

many = settings(derandomize=True, deadline=None, database=None)

SHAPES = list(itertools.product([True, False], repeat=3))[:-1]
CELL = np.array([[6.0, 0.0, 0.0], [1.0, 7.0, 0.0], [-0.5, 0.7, 5.0]])
FIELDS = ("start", "atom", "vec", "dist", "half", "reverse", "code")


@pytest.fixture
def roads(monkeypatch):
    """What the compiled search answered, in turn: marks, or that the frame is for vesin."""
    answers = []
    search = neighbours.image_pairs

    def noted(*given):
        answers.append(search(*given))
        return answers[-1]

    monkeypatch.setattr(neighbours, "image_pairs", noted)
    return answers


def same(*given, pbc=(True, True, True), fields=FIELDS, **more):
    """Both roads agree; the neighbours."""
    found, listed = find_neighbours(*given, pbc=pbc, **more), list_neighbours(*given, pbc=pbc, **more)
    for name in fields:
        one, other = getattr(found, name), getattr(listed, name)
        np.testing.assert_array_equal(one, other, err_msg=name)
        assert one.dtype == other.dtype
    assert found.cells == listed.cells or "code" not in fields
    return found


@many
@given(
    seed=st.integers(0, 2**32 - 1), shape=st.sampled_from([None, *SHAPES]), cutoff=st.floats(0.3, 6.0),
    kinds=st.integers(0, 3), atoms=st.sampled_from([1, 2, 3, 7, 30, 120, 400]),
)  # fmt: skip
def test_both_roads_give_the_same_bits(seed, shape, cutoff, kinds, atoms):
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(1.0, 8.0, 3)) + rng.normal(size=(3, 3)) * rng.choice([0.0, 0.5, 2.0])
    pbc = shape or (True, True, True)
    repeats = cell[np.flatnonzero(pbc)]
    assume(np.sqrt(np.linalg.det(repeats @ repeats.T)) > 0.5 ** len(repeats))
    positions = rng.normal(size=(atoms, 3)) * rng.choice([1.0, 5.0, 25.0]) + rng.choice([0.0, 80.0])
    codes = reach = None
    if kinds:
        codes, reach = rng.integers(-1, kinds, atoms), rng.uniform(0.0, 1.1 * cutoff, (kinds, kinds))
        reach = np.maximum(reach, reach.T)
    found = same(positions, None if shape is None else cell, cutoff, codes, reach, pbc=pbc)
    assert (found.dist[found.reverse] == found.dist).all()


@many
@given(seed=st.integers(0, 2**32 - 1), cells=st.integers(1, 3), cutoff=st.sampled_from([1.0, 1.5, 2.0, 2.3, 3.0]))
def test_atoms_on_faces_of_the_cell_have_the_same_order(seed, cells, cutoff):
    """What cell such an atom is in is a matter of rounding, and codes follow it; all else does not."""
    rng = np.random.default_rng(seed)
    grid = np.array(list(itertools.product(range(cells), repeat=3)), float)
    moved = grid + cells * rng.integers(-2, 3, grid.shape)
    same(moved, cells * np.eye(3), cutoff, fields=FIELDS[:-1])
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    near = find_neighbours(moved @ turned, cells * turned, cutoff + 1e-3)
    assert len(near.atom) == len(find_neighbours(grid, cells * np.eye(3), cutoff + 1e-3).atom)


@pytest.mark.parametrize("pbc", SHAPES)
def test_codes_of_shifts_add_up(pbc):
    """Of three atoms that are neighbours of one another, the code of the third side is the sum of the two others'."""
    positions = np.random.default_rng(4).uniform(-20.0, 20.0, (12, 3))
    near = find_neighbours(positions, CELL, 4.5, pbc=pbc)
    for a in range(len(near.atom)):
        i, j = near.centre[a], near.atom[a]
        for b in range(near.start[j], near.start[j + 1]):
            gap = near.vec[near.start[i] : near.start[i + 1]] - near.vec[a] - near.vec[b]
            for c in near.start[i] + np.flatnonzero(np.abs(gap).max(axis=1) < 1e-8):
                assert near.code[c] == near.code[a] + near.code[b]


@pytest.mark.parametrize("cell", [None, np.diag([60.0, 60.0, 60.0])], ids=["molecule", "cell"])
def test_a_dense_cluster_finds_room(roads, cell):
    """The room for pairs is guessed from the mean density, or from the number of atoms."""
    positions = np.random.default_rng(0).normal(size=(300, 3))
    near = same(positions, cell, 5.0)
    assert len(near.atom) > 256 * 300
    assert roads[0][0] == 0


@pytest.mark.parametrize(("positions", "cell", "cutoff", "kinds", "pbc"), [
    (np.zeros((0, 3)), CELL, 3.0, None, (True, True, True)),
    (np.zeros((2, 3)), CELL, 0.0, None, (True, True, True)),
    (np.eye(3), None, 3.0, np.full(3, -1), (True, True, True)),
    (np.eye(3), CELL, 3.0, np.array([0, -1, 5]), (True, True, False)),
])  # fmt: skip
def test_frames_with_little_in_them(positions, cell, cutoff, kinds, pbc):
    same(positions, cell, cutoff, kinds, None, pbc=pbc)


@pytest.mark.parametrize(("positions", "cell", "cutoff"), [
    (np.random.default_rng(1).uniform(0, 40, (2200, 3)), 60.0 * np.eye(3), 4.0),
    (np.random.default_rng(1).uniform(0, 9000, (40, 3)), None, 4.0),
    (np.array([[0.0, 0, 0], [0, 0, 7e4]]), CELL, 4.0),
    (np.array([[0.0, 0, 0], [0, 0, 1.0]]), np.diag([0.01, 4.0, 4.0]), 3.0),
    (np.array([[0.0, 0, 0], [0, 0, 0.05]]), CELL, 0.09),
], ids=["many atoms", "gas", "an atom far away", "thin", "a short cutoff"])  # fmt: skip
def test_other_frames_go_to_vesin(roads, positions, cell, cutoff):
    near = find_neighbours(positions, cell, cutoff)
    assert roads[0][0] == ELSEWHERE
    assert len(near.atom) == len(list_neighbours(positions, cell, cutoff).atom)


@pytest.mark.parametrize("checks", ["small", "large"])
@pytest.mark.parametrize(("gap", "inside", "coincide"), [(1.3, False, False), (0.9, True, False), (0.0, True, True)])
def test_marks(roads, checks, gap, inside, coincide):
    positions = np.array([[0.0, 0, 0], [gap, 0, 0], [0, 2.0, 0]])
    codes, square = np.array([0, 1, 1]), np.array([[0.0, 1.0], [1.0, 3.0]])
    if checks == "large":
        positions[2] = [0.0, 2e4, 0]
    cell = 3e4 * np.eye(3) if checks == "large" else 9 * np.eye(3)
    found = mark_neighbours(positions, cell, 4.0, codes, np.full((2, 2), 4.0), square)
    assert (roads[0][0] == ELSEWHERE) == (checks == "large")
    expected = inside or checks == "small"  # atoms 1 and 2 are within 3 Å
    assert (found.inside, found.coincide) == (expected, coincide)


def test_positions_may_be_read_only_and_of_other_kinds():
    positions = np.asfortranarray(np.random.default_rng(2).uniform(0, 5, (6, 3)))
    positions.setflags(write=False)
    same(positions, CELL, 3.0)
    same(positions[::2], CELL, 3.0)
    found = find_neighbours(positions.astype(np.float32), CELL, 3.0)
    assert len(found.atom) == len(find_neighbours(positions, CELL, 3.0).atom)
    assert len(neighbours.image_pairs.signatures) == 1
