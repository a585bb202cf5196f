"""Extended XYZ as people write it: words, odd values, slabs, molecules with stresses, columns of other kinds."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from hiertl_dist.errors import FrameError, HiertlWarning
from hiertl_dist.frames.label_summary import summarise_labels
from hiertl_dist.io.extxyz import SYMBOL_OF
from hiertl_dist.io.geometry_checks import coinciding_atoms
from hiertl_dist.io.trajectories import read_frames
from hiertl_dist.units import EV

LATTICE = 'Lattice="8 0 0 1 9 0 2 3 10"'
PROPERTIES = "Properties=species:S:1:pos:R:3:forces:R:3"
ATOMS = "C 0 0 0 0.1 0.2 0.3\nN 1.5 0 0 -0.1 -0.2 -0.3\n"
BARE = "C 0 0 0\nN 1.5 0 0\n"
NINE = "1 4 5 4 2 6 5 6 3"


def one(folder: Path, comment: str, atoms: str = ATOMS, **options):
    """The frame, what was warned of, and the notes in the summary."""
    path = folder / "traj.extxyz"
    path.write_text(f"2\n{comment}\n{atoms}")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        (frame,) = read_frames(path, **options)
    assert len(told) <= 1
    assert all(w.category is HiertlWarning and w.filename == __file__ for w in told)
    return frame, "".join(str(w.message) for w in told), "\n".join(summarise_labels([frame]).as_dict()[0]["notes"])


# ---- words and values


@pytest.mark.parametrize(
    "comment",
    [
        "best of the runs of May", "Coordinates from run E -93.1, E -93.1", "E = -93.1, E = -93.1", "it's it's it's",
        "dipole 0.1 0.1 0.1 Debye", "dipole=0.1 0.1 0.1", "a=1 a=2 a=3", "step 5 of 5 === T T T F F", "",
        'Lattices of "5" atoms', "pbc T T T", "low energy structure",
    ],
)  # fmt: skip
def test_ordinary_comments_are_molecules(tmp_path, comment):
    frame, warned, _ = one(tmp_path, comment, BARE)
    assert frame.cell is None
    assert frame.energy is None
    assert not warned


@pytest.mark.parametrize(
    ("text", "energy"),
    [
        ("energy=-5", -5), ("energy = -5", -5), ("energy= -5", -5), ('energy="-5"', -5), ("energy={-5}", -5),
        ("energy=[-5]", -5), ("energy='-5'", -5), ("energy=-5.0D0", -5), ("energy=-5, forces_max=1", -5),
        ("energy=-5 eV", -5), ("energy=-5 0.3", -5), ("energy=-5 energy=-5.0", -5), ("energy energy=-5", -5),
        ("energy=-5 max_force=0.1 stress_max=3 virial_ok=T energy_converged=T", -5),
        ("config_type= energy=-5", -5), ('config_type="" energy=-5', -5), ("x={} y=[] z='' energy=-5", -5),
        ('energy="_JSON -5"', -5), ("free energy = -5", -5), ("energy=-5 Harvard", -5), ("Energy=-4 energy=-5", -5),
    ],
)  # fmt: skip
def test_forms_of_an_energy(tmp_path, text, energy):
    frame, warned, _ = one(tmp_path, text, BARE)
    assert frame.energy == energy * EV
    assert not warned


def test_an_empty_value_keeps_the_energy_and_the_group(tmp_path):
    comment = f"{LATTICE} {PROPERTIES} config_type= energy=0.25"
    frame, _, notes = one(tmp_path, comment, group_key="config_type")
    assert (frame.energy, frame.group) == (0.25 * EV, "traj")
    assert "the group key has an empty value" in notes
    assert one(tmp_path, comment)[2] == ""
    with pytest.raises(FrameError, match="expected the group key 'config_type'"):
        one(tmp_path, "config_type", BARE, group_key="config_type")


@pytest.mark.parametrize(
    ("text", "pbc"),
    [
        ('pbc="T T F"', "TTF"), ("pbc=T T F", "TTF"), ("pbc=TTF", "TTF"), ("pbc=[1,1,0]", "TTF"),
        ("pbc=[1, 1, 0]", "TTF"), ("PBC={T T F}", "TTF"), ('pbc="true TRUE False"', "TTF"), ("pbc=[T,F,F]", "TFF"),
        ('pbc="F F T"', "FFT"),
        ("pbc=F, T, T", "FTT"), ('pbc="T T F" pbc=TTF', "TTF"), ('pbc="_JSON [true, true, false]"', "TTF"),
    ],
)  # fmt: skip
def test_partial_periodicity(tmp_path, text, pbc):
    frame, warned, notes = one(tmp_path, f"{LATTICE} {PROPERTIES} energy=-1 {text}")
    assert frame.pbc == tuple(p == "T" for p in pbc)
    assert frame.cell.tolist() == [[8, 0, 0], [1, 9, 0], [2, 3, 10]]
    assert frame.energy == -EV
    assert not warned
    assert not notes


@pytest.mark.parametrize(
    ("lattice", "pbc", "completed"),
    [
        ("4 0 0 0 4 0 0 0 0", "T T F", [[4, 0, 0], [0, 4, 0], [0, 0, 1]]),
        ("4 0 0 1 4 0 3 3 0", "T T F", [[4, 0, 0], [1, 4, 0], [0, 0, 1]]),
        ("4 0 0 0 0 0 0 0 0", "T F F", [[4, 0, 0], [0, 0, 1], [0, -1, 0]]),
        ("0 0 0 0 5 0 0 0 6", "F T T", [[1, 0, 0], [0, 5, 0], [0, 0, 6]]),
        ("4 0 0 0 9 0 0 0 0", "T F F", [[4, 0, 0], [0, 9, 0], [0, 0, 1]]),
        ("4 0 0 8 0 0 0 0 9", "T F F", [[4, 0, 0], [0, 1, 0], [0, 0, 9]]),
    ],
)
def test_a_cell_whose_idle_vectors_are_useless_is_completed(tmp_path, lattice, pbc, completed):
    frame, warned, notes = one(tmp_path, f'Lattice="{lattice}" pbc="{pbc}"', BARE)
    assert np.allclose(np.abs(frame.cell), np.abs(completed))
    assert abs(np.linalg.det(frame.cell)) > 0.1
    assert "a unit vector normal to them stands for it" in notes
    assert not warned


@pytest.mark.parametrize("label", ["stress", "virial"])
@pytest.mark.parametrize(
    "value", [f'"{NINE}"', '"0 0 0 0 0 0 0 0 0"', "[[1,4,5],[4,2,6],[5,6,3]]", "1 2 3 4 5 6", '""']
)
@pytest.mark.parametrize(
    "geometry",
    ["", 'Lattice="0 0 0 0 0 0 0 0 0"', 'Lattice="0 0 0 0 0 0 0 0 0" pbc="F F F"', 'pbc="F F F"',
     f'{LATTICE} pbc="F F F"', f"{LATTICE} pbc=T T F", f'{LATTICE} pbc="F F T"', 'Lattice="4 0 0 4 0 0 0 0 4" pbc=F'],
)  # fmt: skip
def test_what_does_not_repeat_in_three_directions_loses_its_stress_with_a_word(tmp_path, geometry, label, value):
    frame, warned, _ = one(tmp_path, f"{PROPERTIES} energy=-1 {label}={value} {geometry}")
    assert frame.stress is None
    assert frame.energy == -EV
    assert frame.forces is not None
    assert "the stress was dropped: only what repeats in three directions has one" in warned
    assert "1 frame, the first: traj.extxyz, frame 1" in warned
    assert f"{label}_key" not in warned, "a look-alike that was passed over it is not"


def test_a_named_key_of_a_stress_that_is_dropped_was_found(tmp_path):
    frame, warned, _ = one(tmp_path, f'{PROPERTIES} my_virial="{NINE}"', virial_key="my_virial")
    assert frame.stress is None
    assert "the stress was dropped" in warned
    assert "only" not in warned.replace("only what repeats", "")


def test_a_lattice_that_is_dropped(tmp_path):
    frame, warned, _ = one(tmp_path, f'{LATTICE} {PROPERTIES} pbc="F F F"')
    assert frame.cell is None
    assert "the lattice was dropped" in warned
    assert not one(tmp_path, f'Lattice="4 0 0 8 0 0 0 0 0" {PROPERTIES} pbc="F F F"')[1]


@pytest.mark.parametrize("key", ["cell", "Cell", "unit_cell", "lattice_vectors", "box", "supercell", "my_lattice"])
def test_a_lattice_of_another_name(tmp_path, key):
    frame, warned, _ = one(tmp_path, f'{key}="8 0 0 0 9 0 0 0 10"', BARE)
    assert frame.cell is None
    assert f"passed over, in how many of them: {key} (1). Extended XYZ keeps the lattice vectors" in warned
    assert not one(tmp_path, f'{LATTICE} {key}="8 0 0 0 9 0 0 0 10"', BARE)[1]
    assert not one(tmp_path, f"{key}_id=5 box_office=high", BARE)[1]


@pytest.mark.parametrize("unit", ["Hartree", "kcal/mol", "Ry", "kJ/mol"])
def test_other_units(tmp_path, unit):
    for key in ("units", "energy_unit", "unit"):
        assert f"{key}='{unit}', but energies are taken in eV" in one(tmp_path, f"{key}={unit} energy=-1", BARE)[1]
    with pytest.raises(FrameError, match="expected an energy in eV"):
        one(tmp_path, f"energy=-1 {unit}", BARE)
    for fine in ("units=eV", "energy_unit=eV", "length_unit=Angstrom", "units=metal", "force-units=eV/Å", "unity=b"):
        assert not one(tmp_path, f"{fine} energy=-1", BARE)[1]


# ---- columns


def test_symbols_by_atomic_number_are_those_of_ase():
    data = pytest.importorskip("ase.data")
    assert list(SYMBOL_OF) == data.chemical_symbols[:119]


@pytest.mark.parametrize(
    ("properties", "atoms", "species"),
    [
        ("Z:I:1:pos:R:3", "6 0 0 0\n7 1 1 1\n", ("C", "N")),
        ("species:I:1:pos:R:3", "6 0 0 0\n7 1 1 1\n", ("C", "N")),
        ("numbers:I:1:positions:R:3", "6 0 0 0\n118 1 1 1\n", ("C", "Og")),
        ("pos:R:3:Z:I:1", "0 0 0 6\n1 1 1 0\n", ("C", "X")),
        ("species:S:1:Z:I:1:pos:R:3", "C1 6 0 0 0\nN 7 1 1 1\n", ("C1", "N")),
        ("symbols:S:1:positions:R:3", "C 0 0 0\nN 1 1 1\n", ("C", "N")),
        ("species:S:1:pos:I:3", "1 0 0 0\nX 1 1 1\n", ("1", "X")),
        (None, "C1 0 0 0\nCH3 1 1 1\n", ("C1", "CH3")),
    ],
)
def test_species(tmp_path, properties, atoms, species):
    comment = "words" if properties is None else f"Properties={properties}"
    frame, warned, _ = one(tmp_path, comment, atoms)
    assert frame.species == species
    assert not warned


def test_nameless_columns(tmp_path):
    frame, warned, notes = one(tmp_path, "words", "C 0 0 0 0.3\nN 1 1 1 -0.3\n")
    assert frame.forces is None
    assert not warned
    assert "columns after the fourth were passed over" in notes
    assert "columns after the fourth were passed over" in one(tmp_path, "words", ATOMS)[1]
    assert "columns after the fourth" in one(tmp_path, "words", "C 0 0 0\nN 1 1 1 # the last of all\n")[1]


# ---- coinciding atoms


@pytest.mark.parametrize("seed", range(60))
def test_coinciding_atoms_of_slabs_and_wires_against_all_pairs(seed):
    rng = np.random.default_rng(seed)
    pbc = [(True, True, False), (False, True, False), (True, False, True), (False, False, True)][seed % 4]
    cell = rng.uniform(-1, 1, (3, 3)) + np.diag(rng.uniform(3, 6, 3))
    positions = rng.uniform(-20, 20, (30, 3))
    if seed % 3:
        # along what does not repeat a step of the lattice is far away
        steps = rng.integers(-3, 4, 3) if seed % 5 == 0 else np.where(pbc, rng.integers(-3, 4, 3), 0)
        step = rng.normal(size=3)
        length = rng.choice([0.0, 0.0099, 0.0101])
        positions[17] = positions[4] + steps @ cell + step / np.linalg.norm(step) * length
    reach = [range(-14, 15) if p else range(1) for p in pbc]
    images = np.array([(i, j, k) for i in reach[0] for j in reach[1] for k in reach[2]]) @ cell
    distance = np.full((30, 30), np.inf)
    for i in range(30):
        for j in range(i + 1, 30):
            distance[i, j] = np.linalg.norm(positions[j] - positions[i] + images, axis=1).min()
    i, j = divmod(int(distance.argmin()), 30)
    found = coinciding_atoms(positions, cell, pbc)
    if distance[i, j] < 0.01:
        assert found is not None
        assert found[:2] == (i, j)
        assert found[2] == pytest.approx(distance[i, j], abs=1e-9)
    else:
        assert found is None


def test_atoms_on_both_faces_of_a_slab_do_not_coincide(tmp_path):
    atoms = "C 0 0 0\nC 0 0 10\n"
    lattice = 'Lattice="8 0 0 0 9 0 0 0 10"'
    assert one(tmp_path, f'{lattice} pbc="T T F"', atoms)[0].pbc == (True, True, False)
    with pytest.raises(FrameError, match="coincide: 0 Å apart, periodic images included"):
        one(tmp_path, f'{lattice} pbc="T T T"', atoms)
    with pytest.raises(FrameError, match="coincide: 0 Å apart, periodic images included"):
        one(tmp_path, f'{lattice} pbc="T T F"', "C 0 0 0\nC 8 9 0\n")
    with pytest.raises(FrameError, match=r"it is 0\.001 Å thick"):
        one(tmp_path, 'Lattice="8 0 0 0 0.001 0 0 0 10" pbc="T T F"', "C 0 0 0\nC 1 0 1\n")
    assert one(tmp_path, 'Lattice="8 0 0 0 9 0 0 0 0.001" pbc="T T F"', "C 0 0 0\nC 1 0 1\n")[0].cell is not None


# ---- atomic numbers


def test_a_species_and_another_atomic_number_are_refused(tmp_path):
    comment = f"{LATTICE} Properties=species:S:1:pos:R:3:Z:I:1:forces:R:3"
    atoms = "C 0 0 0 {} 0.1 0.2 0.3\nN 1.5 0 0 7 -0.1 -0.2 -0.3\n"
    with pytest.raises(FrameError, match=r"line 3: atom 1 is C by species and N by Z = 7: expected the same element"):
        one(tmp_path, comment, atoms.format(7))
    frame, told, _ = one(tmp_path, comment, atoms.format(6))
    assert frame.species == ("C", "N")
    assert not told
    assert frame.forces == pytest.approx(np.array([[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]]) * EV)
    labelled, _, _ = one(tmp_path, comment, atoms.format(6).replace("C 0", "C1 0").replace("N 1", "bead 1"))
    assert labelled.species == ("C1", "bead"), "a type of another name may be of any element"


@pytest.mark.parametrize("comment", ["", f"{LATTICE} {PROPERTIES.partition(':forces')[0]}"])
def test_types_that_may_be_atomic_numbers_are_told(tmp_path, comment):
    frame, warned, told = one(tmp_path, comment, "6 0 0 0\n7 1.5 0 0\n")
    assert frame.species == ("6", "7")
    assert not warned, "beads may be named so"
    assert "if they are atomic numbers, say so: Properties=Z:I:1:pos:R:3" in told
    assert "atomic numbers" not in one(tmp_path, comment, "C 0 0 0\n7 1.5 0 0\n")[2]
    frame, _, told = one(tmp_path, "Properties=Z:I:1:pos:R:3", "6 0 0 0\n7 1.5 0 0\n")
    assert frame.species == ("C", "N")
    assert "atomic numbers" not in told


@pytest.mark.parametrize("word", ["energy:-1", "energy -1", "energy: -1", "Energy:-1.5e2,", "dft_energy:3"])
def test_an_energy_without_an_equals_sign_is_passed_over_aloud(tmp_path, word):
    frame, told, _ = one(tmp_path, f"{LATTICE} {PROPERTIES} {word} step=3")
    assert frame.energy is None
    assert f"{word.partition(':')[0].partition(' ')[0]} (a word without =)" in told
    assert "without =" not in one(tmp_path, f"{LATTICE} {PROPERTIES} energy:high converged:1")[1]
