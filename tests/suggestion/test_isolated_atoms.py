"""Isolated atoms of a data set: by geometry, not by name; those that differ are not averaged."""

from __future__ import annotations

import numpy as np
import pytest

from hiertl_dist import Frame, survey
from hiertl_dist.suggestion.isolated_atoms import SAME, agreed_energies, disagreements


def atom(element="C", energy=-3.0, size=20.0, group="", origin="here", species=None, **more):
    cell = None if size is None else np.diag([size, 20.0, 20.0])
    chosen = species or (element,)
    positions = np.arange(3.0 * len(chosen)).reshape(-1, 3)
    return Frame(chosen, positions, cell=cell, energy=energy, group=group, origin=origin, **more)


def isolated_atoms(frames):
    known = survey(frames)
    return known.isolated, known.isolated_notes


@pytest.mark.parametrize(
    ("frame", "isolated"),
    [
        (atom(), True), (atom(size=None), True), (atom(size=8.1), True), (atom(size=7.9), False),
        (atom(size=2.5), False), (atom(species=("C", "C")), False), (atom(size=2.5, pbc=(False, True, True)), True),
        (atom(size=2.5, pbc=(True, False, False)), False),
    ],
)  # fmt: skip
def test_one_atom_that_meets_none_not_even_its_image(frame, isolated):
    found, _ = isolated_atoms([frame])
    assert bool(found) == isolated


def test_a_skewed_cell_that_is_thin_but_has_no_near_image():
    cell = np.array([[9.0, 0, 0], [4.5, 7.8, 0], [4.5, 2.6, 7.35]])  # fcc: 9 Å to the next image, 7.3 Å across
    assert isolated_atoms([Frame(("Si",), np.zeros((1, 3)), cell=cell, energy=1.0)])[0]


def test_what_is_called_so_and_is_not_is_said():
    found, notes = isolated_atoms([
        atom(size=3.0, group="isolated_atom", origin="a"), atom(species=("C", "C"), group="IsolatedAtom", origin="b"),
        atom(size=3.0, group="bulk"), atom(energy=None, origin="c"),
    ])  # fmt: skip
    assert found == ()
    assert notes[0] == "1 frames are isolated atoms without an energy: c"
    assert notes[1].startswith("2 frames are called isolated atoms, but have neighbours or images within 8 Å")
    assert "a (group isolated_atom, 1 atoms); b (group IsolatedAtom, 2 atoms)" in notes[1]


def test_energies_that_agree_and_that_differ():
    near, far = SAME / 2, 2 * SAME
    found, _ = isolated_atoms([
        atom("Si", -9.0), atom("C", -3.0), atom("C", -3.0 + near), atom("N", 1.0, origin="x"),
        atom("N", 1.0 + far, origin="y"),
    ])  # fmt: skip
    assert [a.element for a in found] == ["C", "C", "N", "N", "Si"]
    assert agreed_energies(found) == {"C": -3.0, "Si": -9.0}
    (said,) = disagreements(found, "kcal/mol", 1.0)
    assert said.startswith("2 isolated atoms of N have different energies: 1 kcal/mol (x); 1.046")


def test_a_survey_tells():
    found = survey([atom("C", -3.0), atom(species=("C", "C"))])
    assert "isolated atoms (none other within 8 Å), kcal/mol/atom: C -3.0000 (here)" in found.text("kcal")
    assert found.as_dict()["isolated_atoms"] == [{"element": "C", "energy": -3.0, "origin": "here"}]
    assert "isolated" not in survey([atom(species=("C", "C"))]).text()
