"""Walls that are proposed: no contact of the data feels them, and hot atoms don't get over them."""

from __future__ import annotations

from itertools import combinations_with_replacement

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import random_parameters, small_basis

from hiertl_dist.model.parameters import Penalty
from hiertl_dist.model.walls import BARRIER, closest_known, contact_wall, known_contacts, propose_wall, wall_scale

PAIRS = list(combinations_with_replacement("CNO", 2))
CONTACTS = st.lists(st.floats(0.3, 3.0), min_size=6, max_size=6).map(lambda c: dict(zip(PAIRS, c, strict=True)))


@given(CONTACTS)
def test_no_contact_feels_the_wall_and_no_hot_atom_gets_over_it(contacts):
    inner, wall = propose_wall(contacts)
    for pair, contact in contacts.items():
        onset = inner[pair] + wall.distance
        assert onset < contact
        assert inner[pair] > 0.0
        # the energy half-way to rmin, far from half the distance where the wall begins
        assert wall.scale * (0.5 * wall.distance) ** 3 >= BARRIER
        assert wall.scale * (0.5 * onset) ** 3 >= BARRIER
        known = closest_known(contacts)[pair]
        assert 0.5 * known - 0.011 < inner[pair] < 0.7 * known + 1e-9
    assert pytest.approx(40 * 3000 * 8.314462618 / 4184, rel=1e-6) == BARRIER


@given(CONTACTS, st.floats(0.0, 0.95))
def test_a_wall_above_settled_inner_cutoffs_keeps_its_distance(contacts, part):
    inner = {pair: part * contact for pair, contact in closest_known(contacts).items()}
    wall = contact_wall(contacts, inner)
    if wall is None:
        assert min(c - inner[p] for p, c in closest_known(contacts).items()) < 0.0301
        return
    assert all(inner[pair] + wall.distance < contact - 0.0099 for pair, contact in contacts.items())
    assert wall.scale * max(0.5 * wall.distance, 0.15) ** 3 >= BARRIER


def test_pairs_that_no_frame_has_count_as_their_elements_do():
    own = {("C", "C"): 1.2, ("N", "N"): 1.0}
    assert contact_wall(own, {("C", "C"): 0.8, ("N", "N"): 0.6}).distance == 0.38
    assert contact_wall(own, {("C", "C"): 0.8, ("N", "N"): 0.6, ("C", "N"): 0.9}).distance == 0.18
    assert contact_wall({("C", "C"): 1.2}, {("C", "C"): 0.8, ("C", "N"): 1.19}).distance == 0.38
    assert contact_wall({}, {("C", "C"): 0.8}) is None


def test_like_pairs_alone_have_what_they_had():
    inner, wall = propose_wall({("C", "C"): 1.0})
    assert (inner["C", "C"], wall.distance) == (0.6, 0.38)
    assert propose_wall({("W", "W"): 2.25}).penalty == Penalty(1e4, 0.88)


def test_walls_of_like_pairs_begin_alike():
    inner, wall = propose_wall({("Mo", "Mo"): 2.2, ("W", "W"): 2.4, ("Mo", "W"): 2.74})
    onsets = {pair: inner[pair] + wall.distance for pair in inner}
    assert onsets == pytest.approx({("Mo", "Mo"): 2.18, ("W", "W"): 2.38, ("Mo", "W"): 2.28}, abs=0.011)


def test_unlike_atoms_come_as_near_as_like_ones():
    assert closest_known({("C", "C"): 1.2, ("N", "N"): 1.0, ("C", "N"): 2.0})["C", "N"] == pytest.approx(1.1)
    assert closest_known({("C", "C"): 1.2, ("N", "N"): 2.0, ("C", "N"): 1.0})["C", "N"] == 1.0
    assert closest_known({("C", "C"): 1.2, ("C", "N"): 2.0})["C", "N"] == 2.0
    coverage = {"C:CC": (1.2, 5.0), "CN:CC": (1.1, 5.0), "N:NN": (1.0, 5.0), "CN:CN": (1.5, 5.0)}
    parameters = random_parameters(small_basis((3, 0, 0)))
    object.__setattr__(parameters, "coverage", coverage)
    assert known_contacts(parameters) == pytest.approx({"CC": 1.1, "NN": 1.0, "CN": 1.05})


def test_scales_are_round_and_strong_enough():
    assert wall_scale(0.38) == 35000.0
    assert wall_scale(0.9) == 1e4, "no less than ChIMES' own"
    assert wall_scale(0.38, deepest=BARRIER) == 70000.0
