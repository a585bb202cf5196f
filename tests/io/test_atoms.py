"""Frames from ASE's Atoms equal those that the extended XYZ reader makes of the same images."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from hiertl_dist import read_frames
from hiertl_dist.errors import FrameError, HiertlWarning
from hiertl_dist.frames.label_summary import summarise_labels
from hiertl_dist.io.atoms import frames_from_ase
from hiertl_dist.units import EV

ase = pytest.importorskip("ase")

CELL = [[6.0, 0.2, 0.1], [0.0, 7.0, 0.3], [0.0, 0.0, 8.0]]
NINE = [[1.0, 4.0, 5.0], [4.0, 2.0, 6.0], [5.0, 6.0, 3.0]]
"""A stress or virial; in the package's order 1 2 3 4 5 6."""


def image(pbc: object = True, labels: bool = True):
    rng = np.random.default_rng(5)
    atoms = ase.Atoms("C2N", positions=[[0, 0, 0], [2, 1, 0], [1, 3, 4]], cell=CELL, pbc=pbc)
    if labels:
        stress = rng.normal(size=6) if np.all(pbc) else None
        label(atoms, energy=-3.5, forces=rng.normal(size=(3, 3)), stress=stress)
    return atoms


def label(atoms, **results):
    """The atoms with results that ASE itself does not check."""
    from ase.calculators.singlepoint import SinglePointCalculator

    atoms.calc = SinglePointCalculator(atoms)
    atoms.calc.results.update({k: v for k, v in results.items() if v is not None})
    return atoms


def told(act):
    """What an act gives back, and the texts of its warnings; at most one warning a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = act()
    assert len(caught) <= 1
    assert all(w.category is HiertlWarning and w.filename == __file__ for w in caught)
    return found, "".join(str(w.message) for w in caught)


@pytest.mark.parametrize("pbc", [True, False, (True, True, False), (False, True, False)])
def test_same_as_reading_what_ase_writes(tmp_path, pbc):
    from ase.io import write

    path = tmp_path / "a.extxyz"
    write(path, image(pbc), format="extxyz")
    (read,), said = told(lambda: read_frames(path))
    (made,), said_too = told(lambda: frames_from_ase([image(pbc)]))
    assert made.species == read.species
    assert made.energy == pytest.approx(read.energy)
    assert made.pbc == read.pbc
    np.testing.assert_allclose(made.positions, read.positions, atol=1e-7)
    np.testing.assert_allclose(made.forces, read.forces, rtol=1e-6, atol=1e-6)
    if np.any(pbc):
        np.testing.assert_allclose(made.cell, read.cell)
        assert not said
        assert not said_too
    else:
        assert made.cell is read.cell is None
        assert "the lattice was dropped" in said
        assert "the lattice was dropped" in said_too
    if np.all(pbc):
        np.testing.assert_allclose(made.stress, read.stress, rtol=1e-6, atol=1e-6)
    else:
        assert made.stress is None


def test_without_a_calculator_there_are_no_labels():
    (frame,) = frames_from_ase([image(labels=False)])
    assert frame.energy is frame.forces is frame.stress is None


@pytest.mark.parametrize("missing", [[2], [0], [0, 1], [0, 2], [1, 2]])
def test_zero_vectors_are_completed_as_ase_does(missing):
    from ase.geometry.cell import complete_cell

    atoms = image(labels=False)
    cell = np.array(CELL)
    cell[missing] = 0.0
    atoms.set_cell(cell)
    atoms.pbc = [k not in missing for k in range(3)]
    (frame,) = frames_from_ase([atoms])
    assert frame.pbc == tuple(k not in missing for k in range(3))
    kept = [k for k in range(3) if k not in missing]
    assert np.array_equal(frame.cell[kept], cell[kept])
    assert np.allclose(np.linalg.norm(frame.cell[missing], axis=1), 1.0)
    assert np.allclose(frame.cell[missing] @ frame.cell[kept].T, 0.0, atol=1e-12)
    assert abs(np.linalg.det(frame.cell)) == pytest.approx(abs(np.linalg.det(complete_cell(cell))))
    assert any("a unit vector normal" in note for note in summarise_labels([frame]).as_dict()[0]["notes"])


def test_a_slab_has_no_stress_and_says_so():
    atoms = label(image((True, True, False), labels=False), energy=-1.0, stress=np.ones(6))
    (frame,), said = told(lambda: frames_from_ase([atoms]))
    assert frame.stress is None
    assert frame.energy == -EV
    assert "the stress was dropped" in said
    assert "1 frame, the first: image 1" in said


# ---- labels of a calculator


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda a: a.positions.__iadd__(0.3), "positions"),
        (lambda a: a.set_cell(a.cell * 1.1), "cell"),
        (lambda a: a.set_pbc((True, True, False)), "pbc"),
        (lambda a: a.set_atomic_numbers([6, 6, 6]), "numbers"),
    ],
)
def test_labels_of_atoms_that_have_changed_are_refused_as_by_ase(change, what):
    atoms = image()
    change(atoms)
    with pytest.raises(FrameError, match=rf"image 2: its labels are of other atoms: {what} changed since"):
        frames_from_ase([image(), atoms])
    with pytest.raises(Exception, match="not available"):
        atoms.get_potential_energy()
    atoms.calc = None
    assert frames_from_ase([atoms])[0].energy is None


def test_a_calculator_that_does_not_know_its_atoms():
    from ase.calculators.calculator import Calculator

    atoms = image(labels=False)
    atoms.calc = Calculator()
    assert frames_from_ase([atoms])[0].energy is None
    atoms.calc.results = {"energy": -1.0}
    with pytest.raises(FrameError, match=r"image 1: .*which atoms its results are of \(calc\.atoms is None\)"):
        frames_from_ase([atoms])


def test_results_of_a_calculator_at_work():
    from ase.calculators.emt import EMT

    atoms = ase.Atoms("Cu4", scaled_positions=[[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], cell=[3.7] * 3)
    atoms.pbc, atoms.calc = True, EMT()
    assert told(lambda: frames_from_ase([atoms]))[0][0].energy is None
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    (frame,), _ = told(lambda: frames_from_ase([atoms]))
    assert frame.energy == pytest.approx(energy * EV)
    np.testing.assert_array_equal(frame.forces, forces * EV)
    atoms.rattle(0.1)
    with pytest.raises(FrameError, match="positions changed since"):
        frames_from_ase([atoms])


@pytest.mark.parametrize("value", [-1.5, np.float64(-1.5), np.array(-1.5), np.array([-1.5]), [-1.5], "-1.5"])
def test_an_energy_may_be_an_array_of_one(value):
    assert frames_from_ase([label(image(labels=False), energy=value)])[0].energy == -1.5 * EV


@pytest.mark.parametrize(
    ("results", "what"),
    [
        ({"energy": np.ones(2)}, r"expected one number for 'energy', found an array of shape \(2,\)"),
        ({"energy": np.array([])}, r"expected one number for 'energy', found an array of shape \(0,\)"),
        ({"energy": "low"}, "expected numbers for 'energy', found 'low'"),
        ({"energy": {"a": 1}}, "expected numbers for 'energy', found {'a': 1}"),
        ({"energy": float("nan")}, "expected finite numbers for 'energy', found nan"),
        ({"forces": np.ones((3, 2))}, r"expected 'forces' of shape \(3, 3\), found \(3, 2\)"),
        ({"forces": np.ones((2, 3))}, r"expected 'forces' of shape \(3, 3\), found \(2, 3\)"),
        ({"forces": np.ones(9)}, r"expected 'forces' of shape \(3, 3\), found \(9,\)"),
        ({"forces": [[1.0, 2.0], [3.0]]}, "expected numbers for 'forces'"),
        ({"forces": np.full((3, 3), np.inf)}, "expected finite numbers for 'forces', found inf"),
        ({"stress": np.ones(3)}, "expected nine numbers, or six, in stress, found 3"),
        ({"stress": 1.0}, "expected nine numbers, or six, in stress, found 1"),
        ({"stress": np.arange(9.0).reshape(3, 3)}, "stress is not symmetric: xy is 1, yx is 3"),
        ({"stress": np.array([1, 2, 3, 4, 5, np.nan])}, "expected finite numbers for 'stress', found nan"),
    ],
)
def test_labels_of_another_form_name_the_image(results, what):
    with pytest.raises(FrameError, match=rf"^image 2: {what}"):
        frames_from_ase([image(), label(image(labels=False), **results)])


@pytest.mark.parametrize("stress", [[1, 2, 3, 6, 5, 4], NINE, np.array(NINE).ravel()])
def test_forms_of_stress(stress):
    (frame,) = frames_from_ase([label(image(labels=False), stress=np.array(stress, float))])
    np.testing.assert_allclose(frame.stress, -EV * np.arange(1.0, 7.0))


# ---- labels elsewhere, under other names


@pytest.mark.parametrize("prefix", ["", "REF_", "dft-"])
def test_keys_are_looked_for_in_info_and_arrays(prefix):
    atoms = image(labels=False)
    atoms.info |= {f"{prefix}energy": -2.0, f"{prefix}virial": np.array(NINE), "bulk": "a b"}
    atoms.arrays[f"{prefix}forces"] = np.eye(3)
    keys = {f"{name}_key": f"{prefix}{name}" for name in ("energy", "forces", "virial")} if prefix else {}
    (frame,) = frames_from_ase([atoms], group_key="bulk", **keys)
    assert frame.energy == -2.0 * EV
    np.testing.assert_array_equal(frame.forces, np.eye(3) * EV)
    np.testing.assert_allclose(frame.stress, EV * np.arange(1.0, 7.0) / atoms.get_volume())
    assert frame.group == "a b"
    if prefix:
        (bare,), said = told(lambda: frames_from_ase([atoms]))
        assert bare.energy is bare.forces is bare.stress is None
        for option in ("energy", "forces", "virial"):
            assert f"{option}_key = '{prefix}{option}' reads it" in said


def test_naming_one_key_leaves_the_others_on():
    atoms = image()
    atoms.info["REF_energy"] = -7.0
    (frame,) = frames_from_ase([atoms], energy_key="REF_energy")
    assert frame.energy == -7.0 * EV
    np.testing.assert_array_equal(frame.forces, atoms.get_forces() * EV)
    assert frame.stress is not None


def test_two_values_of_one_label():
    atoms = image()
    atoms.info["energy"] = -3.5
    assert frames_from_ase([atoms])[0].energy == -3.5 * EV
    atoms.info["energy"] = -3.0
    with pytest.raises(FrameError, match=r"image 1: two values of 'energy': -3\.5 in the calculator, -3 in"):
        frames_from_ase([atoms])


def test_a_key_that_is_nowhere_or_in_some_images():
    with pytest.raises(FrameError, match=r"frames_from_ase: no frame has the energy key 'E0'; there are \[.*'energy'"):
        frames_from_ase([image()], energy_key="E0")
    labelled = image()
    labelled.info["E0"] = 1.0
    frames, said = told(lambda: frames_from_ase([labelled, image()], energy_key="E0"))
    assert [f.energy for f in frames] == [EV, None]
    assert "the energy key 'E0' was named and is in 1 of 2 frames only" in said


def test_free_energy():
    only = label(image(labels=False), free_energy=-1.1)
    (frame,), said = told(lambda: frames_from_ase([only]))
    assert frame.energy is None
    assert "energy_key = 'free_energy' reads it" in said
    assert frames_from_ase([only], energy_key="free_energy")[0].energy == -1.1 * EV
    for apart, warned in ((0.0, False), (1e-4, False), (0.1, True)):
        both = label(image(labels=False), energy=-1.0, free_energy=-1.0 - apart)
        (frame,), said = told(lambda both=both: frames_from_ase([both]))
        assert frame.energy == -EV
        assert ("energy and free_energy differ" in said) == warned
        notes = summarise_labels([frame]).text()
        assert ("energy and free_energy differ" in notes) == (apart > 0)
        assert frames_from_ase([both], energy_key="free_energy")[0].energy == (-1.0 - apart) * EV


def test_made_up_zero_energies():
    def zero(forces=1.0):
        return label(image(labels=False), energy=0.0, forces=np.full((3, 3), forces))

    _, said = told(lambda: frames_from_ase([zero(), zero()]))
    assert "the energy is exactly 0 in all 2 frames that have one, although there are forces" in said
    frames, said = told(lambda: frames_from_ase([zero(), image()]))
    assert not said
    assert "the energy is exactly 0 in 1 frame with forces" in summarise_labels(frames).text()
    assert not told(lambda: frames_from_ase([zero(0.0)]))[1]


def test_zero_energies_of_a_dump_that_ase_reads(tmp_path):
    path = tmp_path / "dump.lammpstrj"
    path.write_text(
        "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 8\n0 8\n0 8\n"
        "ITEM: ATOMS id type x y z fx fy fz\n1 1 0 0 0 0.1 0.2 0.3\n2 1 2 2 2 -0.1 -0.2 -0.3\n"
    )
    from ase.io import read

    images = read(path, ":", format="lammps-dump-text")
    assert images[0].get_potential_energy() == 0.0
    _, said = told(lambda: frames_from_ase(images))
    assert "made up by the program that wrote it?" in said


# ---- what is no sequence of Atoms


def test_one_atoms_and_other_iterables():
    (one,) = frames_from_ase(image())
    assert one.origin == "image 1"
    assert [f.energy for f in frames_from_ase(image() for _ in range(2))] == [one.energy] * 2
    assert frames_from_ase([]) == []


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("data.extxyz", r"expected ASE Atoms, found the path 'data\.extxyz'; read_frames reads files, and ase"),
        (None, "expected a sequence of ASE Atoms, found NoneType"),
        (3, "expected a sequence of ASE Atoms, found int"),
        ([1], "image 1: expected ASE Atoms, found int 1"),
        (["a.xyz"], "image 1: expected ASE Atoms, found str 'a.xyz'"),
        ([None], "image 1: expected ASE Atoms, found NoneType"),
    ],
)
def test_what_is_no_atoms(given, what):
    with pytest.raises(FrameError, match=what):
        frames_from_ase(given)


def test_a_path_object(tmp_path):
    with pytest.raises(FrameError, match="read_frames reads files"):
        frames_from_ase(tmp_path / "a.xyz")


@pytest.mark.parametrize(
    ("atoms", "what"),
    [
        (ase.Atoms("CC", [[0, 0, 0], [0, 0, 0]], cell=[3] * 3, pbc=True), r"atoms 0 and 1 \(from 0\) coincide: 0 Å"),
        (ase.Atoms("CC", [[0, 0, 0], [0, 0, 3]], cell=[3] * 3, pbc=True), "periodic images included"),
        (ase.Atoms("CC", [[0, 0, 0], [0, 3, 0]], cell=[3, 3, 0], pbc=(1, 1, 0)), "coincide: 0 Å apart"),
        (ase.Atoms("C", [[0, 0, np.nan]]), "expected finite positions"),
        (ase.Atoms("C", [[0, 0, 1e9]]), r"expected positions within 1e\+06 Å"),
        (ase.Atoms("C", [[0, 0, 0]], cell=[1e9] * 3, pbc=True), r"expected lattice vectors within 1e\+06 Å"),
        (ase.Atoms("C", [[0, 0, 0]], pbc=True), "pbc says periodic, T T T, but the Lattice is zero"),
        (ase.Atoms("C", [[0, 0, 0]], cell=[3, 3, 0], pbc=True), "singular cell"),
        (ase.Atoms("C", [[0, 0, 0]], cell=[3, 0, 0], pbc=(1, 1, 0)), "singular cell: pbc is T T F"),
        (ase.Atoms("C", [[0, 0, 0]], cell=[3, 3, 0.001], pbc=True), "it is 0.001 Å thick"),
        (ase.Atoms(), "expected at least one atom"),
    ],
)
def test_geometries_that_cannot_be_meant_name_the_image(atoms, what):
    with pytest.raises(FrameError, match=rf"^image 2: .*{what}"):
        frames_from_ase([image(), atoms])


def test_atoms_a_vacuum_apart_do_not_coincide_in_a_slab():
    atoms = ase.Atoms("CC", [[0, 0, 0], [0, 0, 9]], cell=[3, 3, 9], pbc=(1, 1, 0))
    assert frames_from_ase([atoms])[0].pbc == (True, True, False)


def test_groups():
    atoms = image()
    with pytest.raises(FrameError, match=r"image 1: expected the group key 'kind', found in atoms\.info \[\]"):
        frames_from_ase([atoms], group_key="kind")
    atoms.info["kind"] = ""
    (frame,) = frames_from_ase([atoms], group="other", group_key="kind")
    assert frame.group == "other"
    assert "the group key has an empty value" in summarise_labels([frame]).text()


def test_atoms_that_are_held_fixed_keep_their_forces():
    from ase.constraints import FixAtoms

    atoms = image()
    forces = atoms.calc.results["forces"]
    atoms.set_constraint(FixAtoms([0, 1]))
    assert not atoms.get_forces()[:2].any()
    (frame,) = frames_from_ase(atoms)
    np.testing.assert_allclose(frame.forces, forces * EV)
    assert any("held fixed" in note for note in frame.labels.notes)


@pytest.mark.parametrize("pbc", [(True, True, False), (False, False, False)])
def test_cells_that_are_not_finite_are_refused(pbc):
    ase = pytest.importorskip("ase")
    with pytest.raises(FrameError, match="expected lattice vectors that are finite"):
        frames_from_ase([ase.Atoms("C", [[0, 0, 0]], cell=[[8, 0, 0], [0, 9, 0], [0, np.inf, 10]], pbc=pbc)])
