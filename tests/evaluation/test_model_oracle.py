"""Models read from published parameter files evaluate as chimes_calculator does."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hiertl_dist import Model, read_frames

FILES = {"C": "C.params.txt.reduced", "N": "N.params.txt.reduced", "ALC-3": "ALC-3.params.txt"}


@pytest.fixture(scope="module")
def frame(shared):
    """The first of the DFT frames of carbon and nitrogen."""
    return read_frames(shared / "cn_dft" / "20.3percN_3.5gcc.xyzf")[0]


@pytest.mark.shared
@pytest.mark.parametrize("name", FILES)
def test_energy_forces_and_stress_equal_those_of_chimes_calculator(shared, frame, name):
    with np.load(shared / "reference" / "oracle" / f"{name}_frame0.npz") as oracle:
        known = {key: oracle[key] for key in oracle.files}
    model = Model.read(shared / "cn_dft" / FILES[name])
    assert set(model.elements) == set(json.loads(str(known["meta"]))["types"])
    (found,) = model.evaluate([frame], ignore_other_elements=True, missing="zero")  # ALC-3 corrects CN alone

    atoms = known["atom_index"]
    assert [frame.species[a] for a in atoms] == list(known["elements"])
    forces = np.zeros((len(frame), 3))
    forces[atoms] = known["forces"]
    stress = known["stress"][[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    assert np.abs(found.forces - forces).max() < 1e-6 * np.abs(forces).max()
    assert np.abs(found.stress - stress).max() < 1e-6 * np.abs(stress).max()
    assert abs(found.energy - known["energy"]) < 1e-6 * abs(known["energy"])


@pytest.mark.shared
def test_other_elements_are_refused_unless_ignored(shared, frame):
    model = Model.read(shared / "cn_dft" / FILES["N"])
    with pytest.raises(ValueError, match="the model has elements N, the frame also C; --ignore-other-elements"):
        model.evaluate(frame)
