"""Guesses of the keys of groups and labels: what is taken, what is not, and that each is told."""

from __future__ import annotations

import ase_file_texts
import pytest

from hiertl_dist import read_frames
from hiertl_dist.frames.labels import likeness
from hiertl_dist.io.trajectories import iter_frames
from hiertl_dist.suggestion.file_keys import file_keys
from hiertl_dist.suggestion.guessing import UNITS, guess_sources, read_guessed

LATTICE = 'Lattice="4 0 0 0 4 0 0 0 4"'
PLAIN = "Properties=species:S:1:pos:R:3:forces:R:3"


def write(path, comments, columns="0 0 0 0.1 0 0", atoms=1):
    lines = []
    for k, comment in enumerate(comments):
        lines += [str(atoms), f"{LATTICE} {comment}"]
        lines += [f"C {0.5 * k + a} {columns.split(' ', 1)[1]}" for a in range(atoms)]
    path.write_text("\n".join(lines) + "\n")
    return path


def guess(*paths, **given):
    sources, notes = guess_sources([str(p) for p in paths], given)
    return [dict(s.options) for s in sources], list(notes)


def test_usual_names_need_no_guess(tmp_path):
    path = write(tmp_path / "a.extxyz", [f"{PLAIN} energy=-1 stress='1 0 0 0 1 0 0 0 1'"] * 2)
    assert guess(path) == ([{}], [])


@pytest.mark.parametrize("key", ["dft_energy", "REF_energy", "Energy", "total_energy"])
def test_the_only_look_alike_of_an_energy_is_taken_and_told(tmp_path, key):
    path = write(tmp_path / "a.extxyz", [f"{PLAIN} {key}=-1.0", f"{PLAIN} {key}=-2.0"])
    options, notes = guess(path)
    assert options == [{"energy_key": key}]
    assert notes == [f"energy read from {key!r}, found in 2 of 2 frames"]
    assert [f.energy for f in read_frames(path, **options[0])] == pytest.approx([-23.0605, -46.1211], rel=1e-5)


@pytest.mark.parametrize("key", ["free_energy", "kinetic_energy", "energy_per_atom", "energy_error", "rel_dft_energy"])
def test_other_quantities_are_not_taken(tmp_path, key):
    assert guess(write(tmp_path / "a.extxyz", [f"{PLAIN} {key}=-1.0"])) == ([{}], [])


def test_words_are_no_energy(tmp_path):
    assert guess(write(tmp_path / "a.extxyz", [f"{PLAIN} energy_unit=eV"])) == ([{}], [])


def test_of_several_the_reference_is_taken(tmp_path):
    options, _ = guess(write(tmp_path / "a.extxyz", [f"{PLAIN} gap_energy=-1.0 dft_energy=-2.0"]))
    assert options == [{"energy_key": "dft_energy"}]


def test_several_that_are_alike_are_left_to_the_user(tmp_path):
    options, notes = guess(write(tmp_path / "a.extxyz", [f"{PLAIN} gap_energy=-1.0 eam_energy=-2.0"]))
    assert options == [{}]
    assert notes == ["no energy: 'gap_energy', 'eam_energy' look alike; name one with --energy-key"]


def test_a_usual_name_beside_a_look_alike_is_kept(tmp_path):
    assert guess(write(tmp_path / "a.extxyz", [f"{PLAIN} energy=-1.0 dft_energy=-2.0"])) == ([{}], [])


def test_forces_are_a_column_of_three_numbers(tmp_path):
    path = write(tmp_path / "a.extxyz", ["Properties=species:S:1:pos:R:3:dft_force:R:3 energy=1"])
    assert guess(path)[0] == [{"forces_key": "dft_force"}]
    assert read_frames(path, forces_key="dft_force")[0].forces is not None


def test_a_virial_is_taken_where_there_is_no_stress(tmp_path):
    nine = "1 0 0 0 1 0 0 0 1"
    assert guess(write(tmp_path / "a.extxyz", [f"{PLAIN} dft_virial='{nine}'"]))[0] == [{"virial_key": "dft_virial"}]
    assert guess(write(tmp_path / "b.extxyz", [f"{PLAIN} dft_virial='{nine}' stress='{nine}'"]))[0] == [{}]
    both = guess(write(tmp_path / "c.extxyz", [f"{PLAIN} dft_virial='{nine}' dft_stress='{nine}'"]))[0]
    assert both == [{"stress_key": "dft_stress"}]
    assert guess(write(tmp_path / "d.extxyz", [f"{PLAIN} dft_stress='1 2'"]))[0] == [{}]


def test_what_the_user_names_is_used(tmp_path):
    path = write(tmp_path / "a.extxyz", [f"{PLAIN} gap_energy=-1.0 dft_energy=-2.0 config_type=x group=y"])
    options, notes = guess(path, energy_key="gap_energy", group_key="group")
    assert options == [{"group_key": "group", "energy_key": "gap_energy"}]
    assert notes == []
    assert guess(path, group="all")[0] == [{"group": "all", "energy_key": "dft_energy"}]


def test_groups(tmp_path):
    path = write(tmp_path / "a.extxyz", [f"{PLAIN} config_type={t}" for t in ("bulk", "bulk", "slab")])
    options, notes = guess(path)
    assert options == [{"group_key": "config_type"}]
    assert notes == ["groups are told apart by the key 'config_type': 2 groups"]


@pytest.mark.parametrize(
    "values", [("bulk", "", "slab"), ("1", "2", "3")], ids=["not in every frame", "a name of each frame"]
)
def test_what_is_no_group(tmp_path, values):
    path = write(tmp_path / "a.extxyz", [f"{PLAIN} " + (f"config_type={v}" if v else "") for v in values])
    assert guess(path) == ([{}], [])


def test_one_group_in_several_files_tells_less_than_their_names(tmp_path):
    paths = [write(tmp_path / f"{n}.extxyz", [f"{PLAIN} config_type=md"] * 2) for n in "ab"]
    assert guess(*paths) == ([{}], [])


def test_files_that_are_read_alike_are_one_source(tmp_path):
    for name in "ab":
        write(tmp_path / f"{name}.extxyz", [f"{PLAIN} energy=1"])
    write(tmp_path / "other.xyz", [f"{PLAIN} dft_energy=1"])
    pattern = str(tmp_path / "*.extxyz")
    sources, notes = guess_sources([pattern, str(tmp_path / "other.xyz")])
    assert [s.as_dict() for s in sources] == [
        {"path": [pattern]}, {"path": [str(tmp_path / "other.xyz")], "energy_key": "dft_energy"}
    ]  # fmt: skip
    assert notes == ("energy read from 'dft_energy', found in 1 of 1 frames (other.xyz)",)


def test_a_pattern_whose_files_differ_is_taken_apart(tmp_path):
    write(tmp_path / "a.extxyz", [f"{PLAIN} energy=1"])
    write(tmp_path / "b.extxyz", [f"{PLAIN} dft_energy=1"])
    sources, _ = guess_sources([str(tmp_path / "*.extxyz")])
    assert [(s.paths, dict(s.options)) for s in sources] == [
        ((str(tmp_path / "a.extxyz"),), {}), ((str(tmp_path / "b.extxyz"),), {"energy_key": "dft_energy"})
    ]  # fmt: skip


def test_a_chimes_file_has_no_keys(tmp_path):
    path = tmp_path / "t.xyzf"
    path.write_text("1\n4 4 4 -1.0\nC 0 0 0 0 0 0\n")
    other = write(tmp_path / "a.extxyz", [f"{PLAIN} config_type={t}" for t in ("a", "a", "b")])
    sources, _ = guess_sources([str(path), str(other)])
    assert [dict(s.options) for s in sources] == [{}, {"group_key": "config_type"}]
    for source in sources:
        assert read_frames(**source.as_dict())


def test_keys_of_a_file(tmp_path):
    found = file_keys(write(tmp_path / "a.extxyz", [f"{PLAIN} e=1 s='1 2 3'", f"{PLAIN} e=x s='1 2 3'"], atoms=2))
    assert found.frames == 2
    assert found.sizes["e"] is None
    assert found.sizes["s"] == 3
    assert found.columns["forces"] == found.columns["pos"] == 2


@pytest.mark.parametrize("name", ["dft_energy", "E_tot", "etot", "TOTEN", "Energies", "REF_ENERG", "charge_total"])
@pytest.mark.parametrize("columns", [1, 6])
def test_what_is_taken_is_what_readers_say_they_pass_over(tmp_path, name, columns):
    """One rule: whatever init takes for a label, a reader without it names as passed over."""
    numbers = " ".join(["-3.5"] * columns)
    path = tmp_path / "a.extxyz"
    path.write_text(f'1\nProperties=species:S:1:pos:R:3 {name}="{numbers}"\nC 0 0 0\n')
    (source,), _ = guess_sources([str(path)])
    (frame,) = list(iter_frames(path))
    passed = {own for _, own in frame.labels.passed_over}
    taken = {v for k, v in source.options.items() if k.endswith("_key")}
    assert taken == passed
    assert bool(taken) == (likeness(name) is not None and columns == 1)


@pytest.mark.parametrize(("name", "label"), [("virial_stress", "stress"), ("dft_virial", "virial")])
def test_a_name_that_looks_like_two_labels_is_one(tmp_path, name, label):
    path = tmp_path / "a.extxyz"
    nine = " ".join(["0.1"] * 9)
    header = 'Lattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3 energy=1'
    path.write_text(f'1\n{header} {name}="{nine}"\nC 0 0 0\n')
    (source,), _ = guess_sources([str(path)])
    assert source.options[f"{label}_key"] == name
    (frame,) = list(iter_frames(path))
    assert frame.labels.passed_over == (("stress", name),)


def test_keys_of_what_ase_reads(tmp_path):
    ase = pytest.importorskip("ase")
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write as write_images

    images = []
    for k in range(4):
        atoms = ase.Atoms("CN", [[0, 0, 0], [1.5, 0, k]], info={"config_type": f"t{k % 2}", "dft_energy": -1.0 * k})
        atoms.calc = SinglePointCalculator(atoms, forces=[[1.0, 0, 0], [-1.0, 0, 0]])
        images.append(atoms)
    write_images(tmp_path / "a.traj", images)
    options, notes = guess(tmp_path / "a.traj")
    assert options == [{"group_key": "config_type", "energy_key": "dft_energy"}]
    assert "energy read from 'dft_energy', found in 4 of 4 frames" in notes
    (tmp_path / "OUTCAR").write_text(ase_file_texts.outcar())
    found = read_guessed([str(tmp_path / name) for name in ("a.traj", "OUTCAR")])
    assert len(found.frames) == 6
    assert found.units == "eV"
    assert "units of what ASE reads" in found.text()
    assert "units of extended XYZ" not in found.text()
    assert {f.group for f in found.frames} == {"a", "OUTCAR"}  # an OUTCAR has no key of groups
    write(tmp_path / "b.extxyz", [f"{PLAIN} energy=-1"])
    both = read_guessed([str(tmp_path / name) for name in ("b.extxyz", "OUTCAR")])
    assert both.as_dict()["notes"][-2:] == [UNITS["extxyz"], UNITS["ase"]]
