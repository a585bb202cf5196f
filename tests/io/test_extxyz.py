"""Extended XYZ: columns, keys and units, ASE as an independent writer, and every refusal."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hiertl_dist.errors import FrameError, HiertlWarning
from hiertl_dist.io.trajectories import read_frames
from hiertl_dist.units import EV

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
shared = pytest.mark.skipif(not SHARED.exists(), reason="reference data ../shared is absent")

LATTICE = 'Lattice="8 0 0 1 9 0 2 3 10"'
PROPERTIES = "Properties=species:S:1:pos:R:3:forces:R:3"
ATOMS = "C 0 0 0 0.1 0.2 0.3\nN 1.5 0 0 -0.1 -0.2 -0.3\n"
COMMENT = f"{LATTICE} {PROPERTIES}"
NINE = "1 4 5 4 2 6 5 6 3"
VOLUME = 720.0


def write(folder: Path, text: str, name: str = "traj.extxyz") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def one(folder: Path, comment: str, atoms: str = ATOMS, **options):
    (frame,) = read_frames(write(folder, f"2\n{comment}\n{atoms}"), **options)
    return frame


def test_units_and_labels(tmp_path):
    frame = one(tmp_path, f'{COMMENT} energy=-2.5 stress="{NINE}" pbc="T T T"')
    assert frame.cell.tolist() == [[8, 0, 0], [1, 9, 0], [2, 3, 10]]
    assert frame.energy == -2.5 * EV
    assert np.array_equal(frame.forces, np.array([[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]]) * EV)
    assert np.array_equal(frame.stress, -EV * np.array([1, 2, 3, 4, 5, 6]))
    assert (frame.group, frame.origin) == ("traj", "traj.extxyz, frame 1, line 1")


@pytest.mark.parametrize(
    ("label", "sign"),
    [
        (f'stress="{NINE}"', -1),
        ("stress='1 4 5 4 2 6 5 6 3'", -1),
        ('stress="1 2 3 6 5 4"', -1),
        ("stress=[1,4,5,4,2,6,5,6,3]", -1),
        ("stress=[[1, 4, 5], [4, 2, 6], [5, 6, 3]]", -1),
        (f"stress={{{NINE}}}", -1),
        (f'virial="{NINE}"', 1 / VOLUME),
        ('virial="1 2 3 6 5 4"', 1 / VOLUME),
        ('virial="720 0 0 0 720 0 0 0 720" stress="-1 0 0 0 -1 0 0 0 -1"', None),
    ],
)
def test_forms_of_stress(tmp_path, label, sign):
    frame = one(tmp_path, f"{COMMENT} {label}")
    expected = [1, 1, 1, 0, 0, 0] if sign is None else sign * np.array([1, 2, 3, 4, 5, 6])
    assert frame.stress == pytest.approx(EV * np.array(expected), rel=1e-14)


def test_slightly_asymmetric_stress_is_averaged(tmp_path):
    frame = one(tmp_path, f'{COMMENT} stress="1 4 5 4.0002 2 6 5 6 3"')
    assert frame.stress[3] == pytest.approx(-4.0001 * EV, rel=1e-14)


def test_columns_in_any_order_and_named_keys(tmp_path):
    comment = (
        f"dft_energy=-1 {LATTICE} Properties=mag:R:1:dft_force:R:3:tag:S:2:pos:R:3:species:S:1:fix:L:1 "
        'dft_virial="720 0 0 0 720 0 0 0 720" note="a b=c" flag _x="\\"q\\""'
    )
    atoms = "9 1 2 3 a b 0.5 0.6 0.7 N T\n9 4 5 6 a b 1.5 1.6 1.7 C F\n"
    keys = {"energy_key": "dft_energy", "forces_key": "dft_force", "virial_key": "dft_virial"}
    frame = one(tmp_path, comment, atoms, **keys)
    assert frame.species == ("N", "C")
    assert frame.positions.tolist() == [[0.5, 0.6, 0.7], [1.5, 1.6, 1.7]]
    assert np.array_equal(frame.forces, EV * np.array([[1.0, 2, 3], [4, 5, 6]]))
    assert frame.energy == -EV
    assert frame.stress == pytest.approx(EV * np.array([1, 1, 1, 0, 0, 0]))
    with pytest.warns(HiertlWarning, match="without energy; passed over, in how many of them: dft_energy") as told:
        bare = one(tmp_path, comment, atoms)
    assert len(told) == 1
    assert "forces_key = 'dft_force'" in str(told[0].message)
    assert "virial_key = 'dft_virial'" in str(told[0].message)
    assert (bare.energy, bare.forces, bare.stress) == (None, None, None)


@pytest.mark.parametrize("key", ["energy", "forces", "stress", "virial"])
def test_named_key_that_no_frame_has(tmp_path, key):
    with pytest.raises(FrameError, match=rf"traj\.extxyz: no frame has the {key} key 'my_{key}'"):
        one(tmp_path, f'{COMMENT} energy=1 stress="{NINE}"', **{f"{key}_key": f"my_{key}"})


def test_named_key_that_some_frames_have(tmp_path):
    path = write(tmp_path, f"2\n{COMMENT}\n{ATOMS}2\n{COMMENT} e=1\n{ATOMS}")
    with pytest.warns(HiertlWarning, match="the energy key 'e' was named and is in 1 of 2 frames only"):
        assert [f.energy for f in read_frames(path, energy_key="e")] == [None, EV]
    assert [f.energy for f in read_frames(path, energy_key="e", start=1)] == [EV]
    with pytest.raises(FrameError, match="no frame has the energy key 'e'"):
        read_frames(path, energy_key="e", stop=1)


@pytest.mark.parametrize(
    ("comment", "periodic"),
    [
        (f"{LATTICE} {PROPERTIES}", True),
        (f"{LATTICE} {PROPERTIES} pbc=T T T", True),
        (f"{LATTICE} {PROPERTIES} pbc=1, 1, 1", True),
        (f"{LATTICE} {PROPERTIES} pbc=TTT", True),
        (f"{LATTICE} {PROPERTIES} pbc=true", True),
        (f'{LATTICE} {PROPERTIES} pbc="TRUE .true. t"', True),
        (f"{LATTICE} {PROPERTIES} pbc={{T T T}}", True),
        (f"{LATTICE} {PROPERTIES} pbc", True),
        (f'{PROPERTIES} Lattice="0 0 0 0 0 0 0 0 0"', False),
        (f'{PROPERTIES} Lattice="0 0 0 0 0 0 0 0 0" pbc="F F F"', False),
        (f"{PROPERTIES} Lattice=8 0 0 1 9 0 2 3 10", True),
        (f'{PROPERTIES} Lattice="_JSON [[8, 0, 0], [1, 9, 0], [2, 3, 10]]"', True),
        (f'{LATTICE} {PROPERTIES} pbc="T T T"', True),
        (f'{LATTICE.lower()} {PROPERTIES.replace("P", "p")} PBC="1 1 1"', True),
        (PROPERTIES, False),
        (f'{PROPERTIES} pbc="F F F"', False),
        (f"{LATTICE} {PROPERTIES} pbc=[T,T,T]", True),
    ],
)
def test_periodicity(tmp_path, comment, periodic):
    frame = one(tmp_path, comment)
    assert (frame.cell is not None) == periodic
    assert frame.stress is None


def test_plain_xyz_is_a_molecule(tmp_path):
    frame = one(tmp_path, "water, at rest", "O 0 0 0\nH 1 0 0\n")
    assert frame.cell is None
    assert frame.forces is None


def test_groups(tmp_path):
    text = f'2\n{COMMENT} config="a b"\n{ATOMS}2\n{COMMENT} config=c\n{ATOMS}'
    path = write(tmp_path, text, "some.name.extxyz")
    assert [f.group for f in read_frames(path)] == ["some.name"] * 2
    assert [f.group for f in read_frames(path, group="g")] == ["g"] * 2
    assert [f.group for f in read_frames(path, group_key="config")] == ["a b", "c"]
    with pytest.raises(FrameError, match=r"frame 1, line 2: expected the group key 'kind'"):
        read_frames(path, group_key="kind")


@pytest.mark.parametrize(
    ("comment", "atoms", "line", "what"),
    [
        (f'{PROPERTIES} pbc="T T F"', ATOMS, 6, "pbc says periodic, T T F, but there is no Lattice"),
        (f'{PROPERTIES} pbc="T F F" Lattice="0 0 0 0 0 0 0 0 0"', ATOMS, 6, "the Lattice is zero"),
        (f'{PROPERTIES} pbc="T T T" Lattice="0 0 0 0 0 0 0 0 0"', ATOMS, 6, "the Lattice is zero"),
        (f'{PROPERTIES} pbc="T T F" Lattice="8 0 0 8 0 0 0 0 9"', ATOMS, 6, "singular cell: pbc is T T F"),
        (f'{PROPERTIES} pbc="F F T" Lattice="8 0 0 0 8 0 0 0 0"', ATOMS, 6, "singular cell: pbc is F F T"),
        (f"{COMMENT} pbc=T T", ATOMS, 6, "three of T and F in pbc, found 'T T'"),
        (f"{COMMENT} pbc=T T T F", ATOMS, 6, "three of T and F in pbc, found 'T T T F'"),
        (f"{COMMENT} pbc=periodic", ATOMS, 6, "three of T and F in pbc, found 'periodic'"),
        (f"{COMMENT} pbc=", ATOMS, 6, "three of T and F in pbc, found ''"),
        (f'{COMMENT} pbc="T T"', ATOMS, 6, "three of T and F"),
        (f'{COMMENT} pbc="yes"', ATOMS, 6, "three of T and F"),
        (f'{PROPERTIES} pbc="T T T"', ATOMS, 6, "no Lattice"),
        (f'{COMMENT} stress="1 4 5 4.1 2 6 5 6 3"', ATOMS, 6, "not symmetric: xy is 4, yx is 4.1"),
        (f'{COMMENT} virial="1 4 5 4 2 6 5 7 3"', ATOMS, 6, "virial is not symmetric: yz is 6, zy is 7"),
        (f'{COMMENT} stress="1 2 3"', ATOMS, 6, "nine numbers, or six, in stress, found 3"),
        (f'{COMMENT} stress="1 2 3 4 5 nan"', ATOMS, 6, "finite number for stress, found 'nan'"),
        (f'{COMMENT} stress="{NINE}" virial="{NINE}"', ATOMS, 6, "stress and virial disagree"),
        (f"{COMMENT} energy=low", ATOMS, 6, "the energy energy, found 'low'"),
        (f"{COMMENT} energy=", ATOMS, 6, "the energy energy, found ''"),
        (f'{COMMENT} energy="" x=1', ATOMS, 6, "the energy energy, found ''"),
        (f"{COMMENT} energy={{}}", ATOMS, 6, "the energy energy, found ''"),
        (f"{COMMENT} energy=[]", ATOMS, 6, r"the energy energy, found '\[\]'"),
        (f'{COMMENT} energy="-5 eV"', ATOMS, 6, "the energy energy, found '-5 eV'"),
        (f"{COMMENT} energy=-5 Ha", ATOMS, 6, "expected an energy in eV, found energy='-5 Ha'"),
        (f"{COMMENT} energy=-5 kcal/mol", ATOMS, 6, "expected an energy in eV"),
        (f"{COMMENT} energy=T", ATOMS, 6, "the energy energy, found 'T'"),
        (f"{COMMENT} energy={'9' * 5000}", ATOMS, 6, "the energy energy, found '9{58}…$"),
        (f"{COMMENT} energy=1e308", ATOMS, 6, "the energy energy, found '1e308'"),
        (f"{COMMENT} energy=²", ATOMS, 6, "the energy energy, found '²'"),
        (f'{COMMENT} stress=""', ATOMS, 6, "nine numbers, or six, in stress, found 0"),
        (f"{COMMENT} stress=1 2 3 4", ATOMS, 6, "nine numbers, or six, in stress, found 4"),
        (f'{COMMENT} stress="1 2 3 4 5 1e200"', ATOMS, 6, "stress, found '1e200'"),
        (f'{COMMENT} pbc="T T F" pbc="T T T"', ATOMS, 6, "'pbc' is given twice, as 'T T F' and as 'T T T'"),
        (f'{COMMENT} lattice="9 0 0 0 9 0 0 0 9"', ATOMS, 6, "'Lattice' is given twice"),
        (f"{PROPERTIES} Lattice 8 0 0 0 8 0 0 0 8", ATOMS, 6, "'Lattice' without '=' before a number"),
        (f'{PROPERTIES} Lattice="8 8 8"', ATOMS, 6, "nine numbers in Lattice, found 3: '8 8 8'"),
        (f'{PROPERTIES} Lattice="1e7 0 0 0 9 0 0 0 9"', ATOMS, 6, r"lattice vectors within 1e\+06"),
        (f"{LATTICE}stress={NINE[0]}", ATOMS, 6, "expected key=value pairs"),
        (f"{LATTICE} x=[1 2", ATOMS, 6, "'.1 2', which is not closed"),
        (f"{LATTICE} Properties=species:S:1:pos:R:²", ATOMS, 6, "name:type:count"),
        (f"{LATTICE} Properties=species:S:1:pos:R:{'3' * 5000}", ATOMS, 6, "name:type:count"),
        (f"{LATTICE} Properties=species::1:pos:R:3", ATOMS, 6, "name:type:count"),
        (f"{LATTICE} Properties=", ATOMS, 6, "name:type:count, found ''"),
        (f"{LATTICE} Properties=Z:I:1:pos:R:3", "6.5 0 0 0\nN 1 1 1\n", 7, "atomic number up to 118, found '6.5'"),
        (f"{LATTICE} Properties=Z:I:1:pos:R:3", "6 0 0 0\n119 1 1 1\n", 8, "atomic number up to 118, found '119'"),
        (f"{LATTICE} Properties=Z:I:1:pos:R:3", "6 0 0 0\nN 1 1 1\n", 8, "atomic number up to 118, found 'N'"),
        ("words alone", "C 0 0 0\nN 1 1\n", 8, "expected 4 columns, found 3"),
        (f"{COMMENT} energy=inf", ATOMS, 6, "the energy energy, found 'inf'"),
        (f"{COMMENT} energy=1 energy=2", ATOMS, 6, "'energy' is given twice, as '1' and as '2'"),
        (f'{COMMENT} note="open', ATOMS, 6, "expected key=value pairs"),
        (f'{PROPERTIES} Lattice="8 0 0 0 9 0 0 0"', ATOMS, 6, "nine numbers in Lattice, found 8"),
        (f'{PROPERTIES} Lattice="8 0 0 0 9 0 0 0 z"', ATOMS, 6, "Lattice, found 'z'"),
        (f'{PROPERTIES} Lattice="8 0 0 8 0 0 0 0 10"', ATOMS, 6, "singular cell"),
        (f'{PROPERTIES} Lattice="8 0 0 8 0 0 0 0 10" virial="{NINE}"', ATOMS, 6, "singular cell"),
        (f"{LATTICE} Properties=species:S:1:forces:R:3", ATOMS, 6, "a column 'pos'"),
        (f"{LATTICE} Properties=name:S:1:pos:R:3", ATOMS, 6, "a column 'species'"),
        (f"{LATTICE} Properties=species:S:1:pos:R:2", ATOMS, 6, "pos:R:3.*pos:R:2"),
        (f"{LATTICE} Properties=species:S:1:pos:R:3:forces:S:3", ATOMS, 6, "forces:R:3.*forces:S:3"),
        (f"{LATTICE} Properties=species:S:1:pos:R", ATOMS, 6, "name:type:count"),
        (f"{LATTICE} Properties=species:Q:1:pos:R:3", ATOMS, 6, "name:type:count"),
        (COMMENT, "C 0 0 0 0 0 0\n", 7, "expected 2 atoms, found 1"),
        (COMMENT, "C 0 0 0 0 0 0\nN 1 1 1\n", 8, "expected 7 columns, found 4"),
        (COMMENT, "C 0 0 0 0 0 0 0\nN 1 1 1 0 0 0 0\n", 7, "expected 7 columns, found 8"),
        (COMMENT, "C 0 0 0 0 0 0\nN 1 1 1 0 0 z\n", 8, "column 7, found 'z'"),
        (COMMENT, "C 0 0 0 0 0 0\nQq 1 1 1 0 0 1e308\n", 8, "column 7, found '1e308'"),
        (COMMENT, "C 0 0 0 0 0 0\nQ: 1 1 1 0 0 0\n", 8, "name of a type of atoms, found 'Q:'"),
        (
            COMMENT,
            "C 0 0 0 0 0 0\nN 2 3 10 0 0 0\n",
            8,
            r"atoms 1 \(line 7\) and 2 \(line 8\) coincide.*images",
        ),
        (COMMENT + ' pbc="F F F"', "C 0 0 0 0 0 0\nN 0 0 0 0 0 0\n", 8, "coincide: 0 Å apart$"),
    ],
)
def test_refusals_name_file_frame_and_line(tmp_path, comment, atoms, line, what):
    path = write(tmp_path, f"2\n{COMMENT}\n{ATOMS}2\n{comment}\n{atoms}")
    with pytest.raises(FrameError, match=rf"traj\.extxyz, frame 2, line {line}: .*{what}") as refused:
        read_frames(path)
    assert len(str(refused.value)) < len(str(path)) + 400


@pytest.mark.parametrize("text", [f"2\n{COMMENT}\n{ATOMS}junk\n", f"2\n{COMMENT}\n{ATOMS}2\n"])
def test_what_follows_the_last_frame(tmp_path, text):
    with pytest.raises(FrameError, match=r"traj\.extxyz, frame 2, line 5"):
        read_frames(write(tmp_path, text))


numbers = st.floats(-1e3, 1e3, allow_nan=False)


@st.composite
def configurations(draw):
    n = draw(st.integers(1, 6))
    # Atoms on a coarse grid, displaced by less than half its spacing, never coincide.
    places = draw(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=n, max_size=n, unique=True))
    moved = draw(st.lists(st.tuples(*[st.floats(-0.2, 0.2)] * 3), min_size=n, max_size=n))
    skew = np.array(draw(st.lists(st.floats(-0.5, 0.5), min_size=9, max_size=9))).reshape(3, 3)
    return {
        "symbols": draw(st.lists(st.sampled_from(["C", "N", "H", "Si", "W"]), min_size=n, max_size=n)),
        "positions": np.array(places) + np.array(moved),
        "cell": skew + np.diag([8.0, 9.0, 10.0]),
        "periodic": draw(st.booleans()),
        "energy": draw(st.none() | numbers),
        "forces": draw(st.none() | st.lists(st.tuples(numbers, numbers, numbers), min_size=n, max_size=n)),
        "stress": draw(st.none() | st.lists(numbers, min_size=6, max_size=6)),
    }


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(configurations=st.lists(configurations(), min_size=1, max_size=3))
def test_what_ase_writes(tmp_path, configurations):
    ase = pytest.importorskip("ase")
    extxyz = pytest.importorskip("ase.io.extxyz")
    singlepoint = pytest.importorskip("ase.calculators.singlepoint")
    images = []
    for c in configurations:
        atoms = ase.Atoms(c["symbols"], positions=c["positions"], cell=c["cell"], pbc=c["periodic"])
        labels = {k: c[k] for k in ("energy", "forces", "stress") if c[k] is not None}
        labels = {k: np.array(v) if k != "energy" else v for k, v in labels.items()}
        atoms.calc = singlepoint.SinglePointCalculator(atoms, **labels)
        images.append(atoms)
    buffer = io.StringIO()
    extxyz.write_extxyz(buffer, images)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        frames = read_frames(write(tmp_path, buffer.getvalue()))
    dropped = any(not c["periodic"] for c in configurations)
    assert ("the lattice was dropped" in "".join(str(t.message) for t in told)) == dropped
    assert len(frames) == len(configurations)
    for frame, c in zip(frames, configurations, strict=True):
        assert list(frame.species) == c["symbols"]
        assert np.allclose(frame.positions, c["positions"], rtol=0, atol=1e-8)
        if c["periodic"]:
            assert np.allclose(frame.cell, c["cell"], rtol=0, atol=1e-12)
        else:
            assert frame.cell is None
        if c["energy"] is None:
            assert frame.energy is None
        else:
            assert frame.energy == pytest.approx(c["energy"] * EV, rel=1e-12)
        if c["forces"] is None:
            assert frame.forces is None
        else:
            assert np.allclose(frame.forces, np.array(c["forces"]) * EV, rtol=0, atol=1e-6)
        if c["stress"] is None or not c["periodic"]:
            assert frame.stress is None
        else:
            order = [0, 1, 2, 5, 4, 3]
            assert np.allclose(frame.stress, -EV * np.array(c["stress"])[order], rtol=1e-12, atol=1e-12)


@pytest.mark.shared
@shared
@pytest.mark.parametrize(
    ("pattern", "count"),
    [("cn_pbe/*.gz", 270), ("monbtaw/*_SS.extxyz.gz", None), ("monbtaw/W_*.gz", None), ("wbe/WBe.*", 1000)],
)
def test_shared_files(pattern, count):
    frames = read_frames(SHARED / pattern, group_key="config_type", stop=1000)
    assert len(frames) == (count or len(frames))
    assert all(frame.forces is not None and frame.energy is not None for frame in frames)


@pytest.mark.shared
@shared
@pytest.mark.parametrize("name", ["cn_pbe/cn_pbe.extxyz.gz", "monbtaw/Mo_Elastic.extxyz.gz"])
def test_shared_files_as_ase_reads_them(name):
    ase_io = pytest.importorskip("ase.io")
    frames = read_frames(SHARED / name)
    images = ase_io.read(SHARED / name, ":")
    assert len(frames) == len(images)
    for frame, image in zip(frames, images, strict=True):
        assert list(frame.species) == image.get_chemical_symbols()
        assert np.array_equal(frame.positions, image.positions)
        assert np.array_equal(frame.cell, image.cell.array)
        assert frame.energy == pytest.approx(image.get_potential_energy() * EV, rel=1e-14)
        assert np.allclose(frame.forces, image.get_forces() * EV, rtol=1e-14)
        stress = -EV * image.get_stress(voigt=False)
        assert np.allclose(frame.stress, stress[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]], rtol=1e-12, atol=1e-12)


@pytest.mark.shared
@shared
def test_virials_of_silicon_carbide():
    keys = {"energy_key": "dft_energy", "forces_key": "dft_force", "virial_key": "dft_virial"}
    frames = read_frames(SHARED / "sic" / "*.xyz", **keys)
    assert len(frames) == 101
    labelled = [frame for frame in frames if frame.stress is not None]
    assert labelled
    first = read_frames(SHARED / "sic" / "SiC.np1.xyz", **keys)[0]
    virial = np.array([6.951661575909732, 6.982850379044325, 6.982850379044325, 0, 0, -0.3771335735355384])
    assert first.stress == pytest.approx(virial * EV / 4.274290845193297**3, rel=1e-12)
