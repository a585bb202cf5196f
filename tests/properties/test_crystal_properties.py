"""Properties of a crystal one by one: what is out of range or can't be computed is told, the command ends with 4."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("ase", reason="ASE is not installed")
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write
from bonded_crystal import bonded
from synthetic import small_basis

from hiertl_dist import Calculator, InputError, Model, PropertySettings, crystal_properties
from hiertl_dist.cli import commands as cli
from hiertl_dist.model.parameters import Parameters
from hiertl_dist.properties.crystals import elastic_moduli
from hiertl_dist.properties.report import JOULES
from hiertl_dist.properties.structures import LATTICES, built_crystal, named_crystal, starting_crystal

QUICK = ["--vacancy-length", "4", "--thickness", "4", "--vacuum", "4", "--surfaces", "100"]


def well(**more):
    """Pairs of N in a well whose fcc crystal is a minimum."""
    basis = small_basis((2, 0, 0), ("N",), rmin=0.8, rmax=2.5, three_body={"rmax": 2.5}, four_body={"rmax": 2.5})
    return Model(Parameters(basis, np.array([200.0, 20.0, 0.0]), source="well", **more))


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "N.params.txt"
    well(coverage={"N:NN": (1.1, 2.0)}).write(path)
    return path


def test_the_command_has_numbers_units_and_what_is_out_of_range(model, tmp_path, capsys):
    asked = ["properties", str(model), "--structure", "fcc:N", *QUICK]
    few = ["--properties", "eos", "elastic", "vacancy", "surface"]
    figure = tmp_path / "figure.png"
    assert cli.main([*asked, *few, "--json", "--plot", str(figure)]) == 0
    said = json.loads(capsys.readouterr().out)
    (one,) = said["crystals"]
    assert said["files"] == [str(figure), str(figure.with_suffix(".pdf"))]
    assert figure.stat().st_size > 5000
    constants = np.array(one["elastic_constants_GPa"])
    assert constants[0, 1] == pytest.approx(constants[3, 3], rel=1e-2)  # Cauchy's relation, of pairs
    assert one["eos"]["bulk_modulus_GPa"] == pytest.approx(one["moduli"]["bulk_GPa"], rel=2e-2)
    assert one["eos"]["volume_A3_per_atom"] == pytest.approx(one["volume_A3_per_atom"], rel=1e-3)
    assert one["eos"]["largest_error_eV_per_atom"] < 1e-3
    assert one["not_computed"] == {}
    assert {"eos", "elastic", "vacancy", "surface 100"} <= one["out_of_range"].keys()
    assert all(set(counts) == {"NN longer"} for counts in one["out_of_range"].values())
    assert any("densest minimum" in note for note in said["notes"])
    assert cli.main([*asked, *few, "--plot", str(figure)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main([*asked, "--properties", "surface"]) == 0
    text = capsys.readouterr().out
    (line,) = (line.split() for line in text.splitlines() if line.startswith("surface 100"))
    assert line == ["surface", "100", f"{one['surfaces_J_per_m2']['100']:.3f}", "J/m²"]
    assert "WARNING: surface 100: calculations with distances that no block was fitted on: NN longer in" in text


def test_what_cannot_be_computed_is_no_number_and_ends_with_4(model, tmp_path, capsys):
    path = tmp_path / "crystals.extxyz"
    cell = built_crystal(named_crystal("fcc:N"), 2.16)
    stretched = Atoms("N", cell=3.0 * np.eye(3), pbc=True)  # out of reach of one another: nothing to relax
    write(path, [cell, stretched])
    asked = ["properties", str(model), "--frames", str(path), "--properties", "eos", "--json"]
    assert cli.main(asked) == 4
    good, bad = json.loads(capsys.readouterr().out)["crystals"]
    assert good["eos"]["bulk_modulus_GPa"] > 0.0
    assert bad["eos"] is None
    assert "no minimum" in bad["not_computed"]["eos"]
    assert cli.main(asked[:-1]) == 4
    assert "NOT COMPUTED: eos: N: the equation of state has no minimum" in capsys.readouterr().out


def test_wrong_questions_are_refused(model, tmp_path, capsys):
    for words, why in (
        ([], "expected crystals"),
        (["--structure", "fcc:C"], "the model has N, found C"),
        (["--structure", "xyz:N"], "expected LATTICE:FORMULA"),
        (["--structure", "fcc:N", "--surfaces", "11"], "expected Miller indices"),
        (["--structure", "fcc:N", "--strain", "-1"], "expected a number above 0"),
        (["--structure", "fcc:N", "--plot", str(tmp_path / "a.xyz")], "expected a name with one of the endings"),
    ):
        assert cli.main(["properties", str(model), *words]) == 2
        assert why in capsys.readouterr().err


def test_an_unrelaxed_crystal_has_no_properties(monkeypatch):
    from hiertl_dist.properties import crystals

    monkeypatch.setattr(crystals, "STEPS", 1)
    atoms = bulk("Cu", "fcc", a=3.3)
    atoms.calc = EMT()
    found = crystal_properties(atoms, PropertySettings(properties=("eos", "elastic")))
    assert found.failed.keys() == {"relaxation", "eos", "elastic"}
    assert "not relaxed after 1 steps" in found.failed["relaxation"]
    assert found.crystal is found.eos is found.elastic is None
    assert found.as_dict()["energy_eV_per_atom"] is None


def test_several_elements_and_unknown_distances_are_told():
    alloy = bulk("NiAl", "cesiumchloride", a=2.9)
    alloy.calc = EMT()
    assert crystal_properties(alloy, PropertySettings(properties=("vacancy",))).failed.keys() == {"vacancy"}
    atoms = built_crystal(named_crystal("fcc:N"), 2.16)
    atoms.calc = Calculator(well(), extrapolation="record")
    found = crystal_properties(atoms, PropertySettings(properties=("eos",)))
    assert any("does not say on which distances" in note for note in found.notes)


def test_moduli_are_hills():
    crystal = bonded()[0]
    found = crystal_properties(crystal, PropertySettings(properties=("elastic",)))
    one = found.elastic[0, 0]
    c11, c12, c44 = one, found.elastic[0, 1], found.elastic[3, 3]
    voigt = (c11 - c12 + 3.0 * c44) / 5.0
    reuss = 5.0 * (c11 - c12) * c44 / (4.0 * c44 + 3.0 * (c11 - c12))
    assert found.moduli.shear == pytest.approx(0.5 * (voigt + reuss), rel=1e-4)
    assert found.moduli.bulk == pytest.approx((c11 + 2.0 * c12) / 3.0, rel=1e-6)
    assert found.moduli.softest == pytest.approx(min(c44, c11 - c12), rel=1e-3)
    assert np.isnan(elastic_moduli(-np.eye(6)).bulk)
    assert pytest.approx(1.602176634e-19 / 1e-20, rel=1e-9) == JOULES


@pytest.mark.parametrize("lattice", LATTICES)
def test_crystals_by_name(lattice):
    formula = {"zincblende": "ZnS", "rocksalt": "NaCl", "cesiumchloride": "NiAl", "fluorite": "CaFF",
               "wurtzite": "ZnS"}.get(lattice, "Ti")  # fmt: skip
    atoms = built_crystal(named_crystal(f"{lattice}:{formula}:4.1"), 4.1)
    assert atoms.cell.lengths()[0] == pytest.approx(4.1)
    assert all(atoms.pbc)


def test_a_crystal_begins_in_the_densest_minimum():
    atoms, notes = starting_crystal(named_crystal("fcc:N"), well())
    assert atoms.cell.lengths()[0] == pytest.approx(2.164, abs=0.03)
    assert len(notes) == 1
    with pytest.raises(InputError, match="no minimum"):
        starting_crystal(named_crystal("fcc:N"), well(coverage={"N:NN": (2.0, 2.4)}))


def test_a_crystal_without_a_minimum_is_told_of_and_the_others_are_computed(tmp_path, capsys):
    model, figure = tmp_path / "N.params.txt", tmp_path / "figure.png"
    well(coverage={"N:NN": (1.75, 2.0)}).write(model)  # the minimum lies nearer than that
    words = ["properties", str(model), "--structure", "fcc:N", "fcc:N:2.2", "--properties", "eos", *QUICK]
    assert cli.main([*words, "--json", "--plot", str(figure)]) == 4
    bad, good = json.loads(capsys.readouterr().out)["crystals"]
    assert (bad["name"], bad["formula"], bad["cell_A"], bad["eos"]) == ("fcc:N", "N", None, None)
    assert "the energy has no minimum" in bad["not_computed"]["relaxation"]
    assert bad["not_computed"]["eos"] == "there is no relaxed crystal"
    assert good["not_computed"] == {}
    assert good["eos"]["bulk_modulus_GPa"] > 0.0
    assert figure.stat().st_size > 5000
    assert cli.main([*words[:4], *words[5:]]) == 4
    assert "NOT COMPUTED: relaxation: structure fcc:N: the energy has no minimum" in capsys.readouterr().out
