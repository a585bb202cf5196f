"""Distances of a data set: closest contacts against a slow search over images, shells against known lattices."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import random_frame, random_frames

from hiertl_dist import Frame, survey
from hiertl_dist.frames.frame_facts import facts_of
from hiertl_dist.frames.frame_table import table_of
from hiertl_dist.suggestion import frame_look
from hiertl_dist.suggestion.distances import REACH, bin_counts, heights, sample_numbers, shells, thinnest_cells

LATTICES = {
    "sc": ([[0, 0, 0]], 1.0), "fcc": ([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], 0.5**0.5),
    "bcc": ([[0, 0, 0], [0.5, 0.5, 0.5]], 0.75**0.5),
    "diamond": ([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0],
                 [0.25, 0.25, 0.25], [0.25, 0.75, 0.75], [0.75, 0.25, 0.75], [0.75, 0.75, 0.25]], 3**0.5 / 4),
}  # fmt: skip


def pair_distances(frames):
    return survey(frames).pairs


def slow_distances(frame):
    """By pair of elements, every distance below REACH, each pair of atoms (or of an atom and its image) once."""
    found = {}
    shifts = [np.zeros(3)]
    if frame.cell is not None:
        repeats = np.flatnonzero(frame.pbc)
        most = np.zeros(3, int)
        most[repeats] = [int(np.ceil(REACH / h)) + 1 for h in heights(frame)]
        shifts = [np.array(s) @ frame.cell for s in itertools.product(*(range(-m, m + 1) for m in most))]
    for i, j in itertools.combinations_with_replacement(range(len(frame)), 2):
        for shift in shifts:
            if i == j and tuple(shift) <= (0.0, 0.0, 0.0):
                continue
            d = float(np.linalg.norm(frame.positions[j] + shift - frame.positions[i]))
            if d < REACH:
                found.setdefault(tuple(sorted((frame.species[i], frame.species[j]))), []).append(d)
    return found


def crystal(name, nearest, cells=2, jitter=0.0, element="Si", seed=0):
    sites, shortest = LATTICES[name]
    a = nearest / shortest
    corners = np.array(list(itertools.product(range(cells), repeat=3)))
    positions = a * np.concatenate([corners + s for s in np.array(sites)])
    positions = positions + jitter * np.random.default_rng(seed).standard_normal(positions.shape)
    return Frame((element,) * len(positions), positions, cells * a * np.eye(3))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), pbc=st.tuples(*[st.booleans()] * 3))
def test_pairs_and_contacts_are_those_of_a_slow_search(seed, pbc):
    frame = random_frame(("C", "N"), seed, atoms=9)
    frame = Frame(frame.species, frame.positions, frame.cell if any(pbc) else None, pbc=pbc)
    slow = slow_distances(frame)
    found = pair_distances([frame])
    assert [p.name for p in found] == ["CC", "CN", "NN"]
    for p in found:
        own = slow[p.elements]
        assert p.shortest == pytest.approx(min(own), rel=1e-12)
        assert p.longest == pytest.approx(max(own), rel=1e-12)
        assert p.pairs == len(own)
        assert p.origin == frame.origin


@pytest.mark.parametrize("name", LATTICES)
@pytest.mark.parametrize("nearest", [1.5, 2.7])
@pytest.mark.parametrize("jitter", [0.0, 0.06])
def test_the_first_peak_is_the_nearest_neighbour(name, nearest, jitter):
    frames = [crystal(name, nearest, 3, jitter, seed=k) for k in range(3)]
    (found,) = pair_distances(frames)
    assert found.peak == pytest.approx(nearest, abs=0.06)


@pytest.mark.parametrize(("name", "second"), [("fcc", 2.0**0.5), ("diamond", (8 / 3) ** 0.5)])
def test_the_minimum_parts_the_first_shell_from_the_second(name, second):
    (found,) = pair_distances([crystal(name, 2.4, 3, 0.08, seed=k) for k in range(3)])
    assert 1.1 * 2.4 < found.valley < 0.95 * second * 2.4


def test_two_near_shells_of_bcc_are_one():
    (found,) = pair_distances([crystal("bcc", 2.73, 3, 0.12, seed=k) for k in range(3)])
    assert found.peak == pytest.approx(2.73, abs=0.1)
    assert found.valley > 2.73 * 2 / 3**0.5, "behind the second shell"


def test_rare_short_pairs_are_no_shell():
    many = np.concatenate([np.full(3000, 3.0), np.linspace(4.2, 8.0, 60000), [0.9, 1.4]])
    assert shells(bin_counts(many))[0] == pytest.approx(3.0, abs=0.03)


def test_no_pair_no_shell():
    assert shells(bin_counts(np.empty(0))) == (None, None)
    assert shells(bin_counts(np.array([REACH + 1.0]))) == (None, None)


def test_a_pair_that_is_never_near_is_said_to_be_none():
    frame = Frame(("O", "O", "H"), np.array([[0.0, 0, 0], [30.0, 0, 0], [1.0, 0, 0]]))
    found = {p.name: p for p in pair_distances([frame])}
    assert found["OO"].shortest is None
    assert found["OO"].peak is None
    assert found["HH"].shortest is None
    assert found["HO"].shortest == pytest.approx(1.0)


def test_contacts_are_looked_for_in_all_frames(monkeypatch):
    frames = random_frames({"C": 7, "CN": 6}, seed=3)
    slow = {}
    for frame in frames:
        for pair, own in slow_distances(frame).items():
            slow[pair] = min(slow.get(pair, np.inf), min(own))
    monkeypatch.setattr(frame_look, "SAMPLE", 1)
    for p in pair_distances(frames):
        assert p.shortest == pytest.approx(slow[p.elements], rel=1e-12)


def test_a_pair_that_only_a_frame_outside_the_sample_has(monkeypatch):
    far = Frame(("C", "N"), np.array([[0.0, 0, 0], [20.0, 0, 0]]), origin="far")
    near = Frame(("C", "N"), np.array([[0.0, 0, 0], [1.7, 0, 0]]), origin="near")
    monkeypatch.setattr(frame_look, "SAMPLE", 1)
    found = {p.name: p for p in pair_distances([far, near])}
    assert (found["CN"].shortest, found["CN"].origin) == (pytest.approx(1.7), "near")
    assert found["CN"].peak == pytest.approx(1.7)


def test_the_sample_is_spread_and_has_every_element_set():
    frames = random_frames({"C": 9, "N": 2, "CN": 4})
    assert sample_numbers(facts_of(frames), 3).tolist() == [0, 3, 6, 9, 10, 11, 13]


def test_heights_of_a_sheared_cell():
    cell = np.array([[4.0, 0, 0], [3.0, 2.0, 0], [0, 0, 5.0]])
    volume = 40.0
    expected = [volume / np.linalg.norm(np.cross(cell[(k + 1) % 3], cell[(k + 2) % 3])) for k in range(3)]
    assert heights(Frame(("C",), np.zeros((1, 3)), cell)) == pytest.approx(expected)


def test_the_vector_that_a_slab_does_not_repeat_along_means_nothing():
    cell = np.array([[4.0, 0, 0], [0, 3.0, 0], [3.9, 2.9, 1.0]])
    slab = Frame(("C",), np.zeros((1, 3)), cell, pbc=(True, True, False))
    assert heights(slab) == pytest.approx([4.0, 3.0])
    assert len(heights(Frame(("C",), np.zeros((1, 3))))) == 0


def test_thinnest_cells_of_many_frames():
    crystal, slab, molecule = (random_frame(("C",), k).without_labels(stress=True) for k in range(3))
    slab = replace(slab, pbc=(True, False, True))
    molecule = replace(molecule, cell=None, pbc=(False,) * 3)
    found = thinnest_cells(table_of([slab, molecule, crystal, slab]))
    assert found[[0, 2, 3]].tolist() == [heights(f).min() for f in (slab, crystal, slab)]
    assert np.isnan(found[1])
