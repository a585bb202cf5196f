"""What there is in a data set: counts, spreads of labels, energies of single atoms."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from synthetic import random_frames

from hiertl_dist import Dataset, Frame, suggest_input, survey
from hiertl_dist.errors import FrameError
from hiertl_dist.evaluation import contacts
from hiertl_dist.executors import SerialExecutor, TaskFailed
from hiertl_dist.frames.frame_facts import facts_of
from hiertl_dist.frames.frame_sequence import FrameList
from hiertl_dist.suggestion import energy_offsets as offsets_module
from hiertl_dist.suggestion.energy_offsets import energy_offsets
from hiertl_dist.suggestion.suggesting_search import number_of_units
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
    offsets, loose, left = energy_offsets(facts_of(water))
    assert loose == ("H", "O")
    assert 2 * offsets["H"] + offsets["O"] == pytest.approx(-100.0)
    assert np.abs(left).max() < 1e-9
    assert "do not tell the energies of H, O apart" in survey(water).text()


def test_only_the_elements_that_are_loose_are_named():
    frames = with_energies(FRAMES, {"C": -1.0, "N": -2.0})
    salt = Frame(("Na", "Cl"), np.array([[0, 0, 0], [2.4, 0, 0]]), energy=-3.0)
    assert energy_offsets(facts_of([*frames, salt]))[1] == ("Cl", "Na")


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
    assert len(found.thinnest) == 0
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


def test_a_data_set_is_surveyed_in_parts_as_a_list_is_at_once(tmp_path, monkeypatch):
    molecule = Frame(("C", "N", "O"), np.array([[0, 0, 0], [1.3, 0, 0], [0, 1.4, 0]]), energy=-9.0, group="cold")
    lone = Frame(("O",), np.zeros((1, 3)), energy=-1.0, group="isolated_atom", origin="alone")
    frames = [*with_energies(FRAMES, {"C": -1.0, "N": -2.0}, 0.1), molecule, lone, FRAMES[0], replace(FRAMES[1])]
    whole = survey(frames)
    data = Dataset.create(tmp_path / "data", frames, executor=SerialExecutor())
    monkeypatch.setattr(contacts, "CHUNK_ATOMS", 30)
    monkeypatch.setattr(offsets_module, "AT_ONCE", 2)
    monkeypatch.setattr(Dataset, "__iter__", lambda _: pytest.fail("all frames are walked through"))
    for parts in (survey(data), survey(data, executor=SerialExecutor())):
        assert parts.text() == whole.text()
        assert (parts.thinnest == whole.thinnest).all()
        assert (parts.telling, parts.isolated_frames.tolist()) == (whole.telling, [10])
        assert parts.offsets == pytest.approx(whole.offsets, rel=1e-10)


def test_an_input_for_a_data_set_is_that_for_a_list(tmp_path):
    frames = with_energies(random_frames({"C": 20, "CN": 20}, 2, groups=("a", "b")), {"C": -1.0, "N": -2.0}, 0.1)
    data = Dataset.create(tmp_path / "data", frames, executor=SerialExecutor())
    assert suggest_input(data).toml() == suggest_input(frames).toml()


def test_a_frame_that_cannot_be_looked_at_is_named():
    far = Frame(("C", "C"), np.array([[0.0, 0, 0], [3e6, 0, 0]]), origin="the far one")
    with pytest.raises(FrameError, match="the far one"):
        survey([FRAMES[0], far])
    with pytest.raises(TaskFailed, match="the far one"):
        survey([FRAMES[0], far], executor=SerialExecutor())


def test_units_that_folds_divide():
    a, b, c, d = FRAMES[:4]
    frames = FrameList([replace(a, group="x"), replace(b, group="y"), replace(a, group="y"), replace(c, group="z"), d])
    assert number_of_units(frames, "frame") == 4
    assert number_of_units(frames, "group") == len({d.group, "xy", "z"})
