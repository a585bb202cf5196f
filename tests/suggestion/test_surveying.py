"""What there is in a data set: counts, spreads of labels, energies of single atoms."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from synthetic import random_frames

from hiertl_dist import Frame, survey
from hiertl_dist.errors import FrameError
from hiertl_dist.suggestion.surveying import energy_offsets
from hiertl_dist.units import EV, KCAL_PER_A3_IN_GPA

FRAMES = random_frames({"C": 3, "N": 2, "CN": 4}, seed=5, groups=("hot", "cold"))


def with_energies(frames, offsets, spread=0.0, seed=0):
    noise = np.random.default_rng(seed).normal(size=len(frames))
    return [
        replace(f, energy=sum(offsets[s] for s in f.species) + spread * len(f) * e)
        for f, e in zip(frames, noise, strict=True)
    ]


def test_counts():
    found = survey([*FRAMES, FRAMES[0]])
    assert (found.frames, found.atoms) == (10, 120)
    assert found.elements == ("C", "N")
    assert found.element_sets == {"C": 4, "N": 2, "CN": 4}
    assert sum(found.compositions.values()) == 10
    assert found.groups["hot"] + found.groups["cold"] == 10
    assert found.copies == 1
    assert (found.crystals, found.slabs, found.molecules) == (10, 0, 0)
    assert found.thinner(100.0) == 10
    assert found.thinner(1.0) == 0


def test_spreads_are_those_of_the_labels():
    found = survey(FRAMES)
    forces = np.concatenate([f.forces.ravel() for f in FRAMES])
    assert found.label("force").rms == pytest.approx(np.sqrt(np.mean(forces**2)))
    assert found.label("force").largest == np.abs(forces).max()
    assert found.label("force").rows == forces.size
    stresses = np.concatenate([f.stress for f in FRAMES]) * KCAL_PER_A3_IN_GPA
    assert found.label("stress").rms == pytest.approx(np.sqrt(np.mean(stresses**2)))


@pytest.mark.parametrize("zero", [0.0, -1e5 * EV])
def test_energies_of_single_atoms_are_found(zero):
    offsets = {"C": -3500.0 + zero, "N": -6300.0 + zero}
    found = survey(with_energies(FRAMES, offsets))
    assert found.offsets == pytest.approx(offsets, rel=1e-9)
    assert found.undetermined == ()
    assert found.label("energy").rms < 1e-9 * abs(offsets["N"])


def test_what_is_left_of_energies_is_their_spread():
    frames = with_energies(random_frames({"C": 200}, atoms=4), {"C": -50.0}, spread=2.0)
    assert survey(frames).label("energy").rms == pytest.approx(2.0, rel=0.15)


def test_compositions_that_do_not_tell_elements_apart_are_said():
    water = [
        Frame(("O", "H", "H"), np.array([[0, 0, 0], [0.96, 0, 0], [0, 0.96, 0.1 * k]]), energy=-100.0) for k in range(4)
    ]
    offsets, loose, left = energy_offsets(water)
    assert loose == ("H", "O")
    assert 2 * offsets["H"] + offsets["O"] == pytest.approx(-100.0)
    assert np.abs(left).max() < 1e-9
    assert "do not tell the energies of H, O apart" in survey(water).text()


def test_only_the_elements_that_are_loose_are_named():
    frames = with_energies(FRAMES, {"C": -1.0, "N": -2.0})
    salt = Frame(("Na", "Cl"), np.array([[0, 0, 0], [2.4, 0, 0]]), energy=-3.0)
    assert energy_offsets([*frames, salt])[1] == ("Cl", "Na")


def test_frames_without_some_labels_or_any():
    bare = [f.without_labels(energy=True, stress=True) for f in FRAMES[:2]]
    found = survey([*bare, FRAMES[3].without_labels(energy=True, forces=True, stress=True)])
    assert found.unlabelled == 1
    assert found.offsets == {}
    text = found.text()
    assert "no frame has: energy, stress" in text
    assert "1 frame without any label" in text


def test_stress_components_that_are_missing_do_not_count():
    stress = np.array([1.0, 2.0, 3.0, np.nan, np.nan, np.nan])
    found = survey([replace(FRAMES[0], stress=stress)]).label("stress")
    assert found.rows == 3
    assert found.rms == pytest.approx(KCAL_PER_A3_IN_GPA * np.sqrt(14 / 3))


def test_molecules_have_no_cells():
    found = survey([Frame(f.species, f.positions, energy=1.0) for f in FRAMES])
    assert found.molecules == 9
    assert found.thinnest == ()
    assert "9 molecules" in found.text()


def test_units_of_the_text():
    text = {units: survey(FRAMES).text(units) for units in ("eV", "kcal")}
    rms = survey(FRAMES).label("force").rms
    assert f"{rms / EV:.4g}" in text["eV"]
    assert "eV/Å" in text["eV"]
    assert f"{rms:.4g}" in text["kcal"]
    assert "kcal/mol/Å" in text["kcal"]


def test_json():
    found = survey(FRAMES)
    back = json.loads(json.dumps(found.as_dict()))
    assert back["frames"] == 9
    assert [p["pair"] for p in back["pairs"]] == ["CC", "CN", "NN"]
    assert back["labels"]["force"]["rms"] == found.label("force").rms


def test_no_frame_is_an_error():
    with pytest.raises(FrameError, match="at least one frame"):
        survey([])
