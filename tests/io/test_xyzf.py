"""ChIMES trajectories: every form of the header, units, and every refusal with its file, frame and line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from hiertl_dist.errors import FrameError, InputError
from hiertl_dist.io.geometry_checks import coinciding_atoms
from hiertl_dist.io.trajectories import iter_frames, read_frames
from hiertl_dist.units import HARTREE_PER_BOHR, KCAL_PER_A3_IN_GPA

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"

ATOMS = "C 0 0 0 0.1 0.2 0.3\nN 1.5 0 0 -0.1 -0.2 -0.3\n"
GOOD = f"2\n8 9 10\n{ATOMS}"


def write(folder: Path, text: str, name: str = "traj.xyzf") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("tail", "stress", "energy"),
    [
        ("", None, None),
        ("-5.5", None, -5.5),
        ("1 2 3", [1, 2, 3, np.nan, np.nan, np.nan], None),
        ("1 2 3 -5.5", [1, 2, 3, np.nan, np.nan, np.nan], -5.5),
        ("1 2 3 4 5 6", [1, 2, 3, 4, 5, 6], None),
        ("1 2 3 4 5 6 -5.5", [1, 2, 3, 4, 5, 6], -5.5),
    ],
)
@pytest.mark.parametrize(
    ("lattice", "cell"),
    [
        ("8 9 10", np.diag([8.0, 9.0, 10.0])),
        ("NON_ORTHO 8 0 0 1 9 0 2 3 10", [[8, 0, 0], [1, 9, 0], [2, 3, 10]]),
        ("NON-ORTHO 8 0 0 1 9 0 2 3 10", [[8, 0, 0], [1, 9, 0], [2, 3, 10]]),
    ],
)
def test_headers(tmp_path, lattice, cell, tail, stress, energy):
    (frame,) = read_frames(write(tmp_path, f"2\n{lattice} {tail}\n{ATOMS}"))
    assert frame.species == ("C", "N")
    assert frame.positions.tolist() == [[0, 0, 0], [1.5, 0, 0]]
    assert np.array_equal(frame.cell, cell)
    assert np.array_equal(frame.forces, np.array([[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]]) * HARTREE_PER_BOHR)
    assert frame.energy == energy
    if stress is None:
        assert frame.stress is None
    else:
        assert np.array_equal(frame.stress, np.array(stress) / KCAL_PER_A3_IN_GPA, equal_nan=True)
    assert (frame.group, frame.origin) == ("traj", "traj.xyzf, frame 1, line 1")


def test_no_forces_fortran_exponents_and_blank_lines(tmp_path):
    text = "1\n 8.0D0 9.d+0 1.0E1  -1.0D-3 \nC 1.0D-1 -.5 2.\n\n1\n8 9 10\nN 3 3 3\n \n\n"
    first, second = read_frames(write(tmp_path, text))
    assert first.forces is None
    assert first.energy == -1e-3
    assert first.positions.tolist() == [[0.1, -0.5, 2.0]]
    assert second.origin == "traj.xyzf, frame 2, line 5"


def test_positions_are_not_wrapped_and_element_order_is_kept(tmp_path):
    (frame,) = read_frames(write(tmp_path, "3\n8 9 10\nN -17 0 0\nC 100 2 3\nN 1 1 1\n"))
    assert frame.species == ("N", "C", "N")
    assert frame.positions[:2].tolist() == [[-17, 0, 0], [100, 2, 3]]


@pytest.mark.parametrize(
    ("bad", "line", "what"),
    [
        ("0\n8 9 10\n", 5, "number of atoms.*'0'"),
        ("-2\n8 9 10\n", 5, "number of atoms.*'-2'"),
        ("2.0\n8 9 10\n", 5, "number of atoms"),
        ("two\n8 9 10\n", 5, "number of atoms"),
        ("2 atoms\n8 9 10\n", 5, "number of atoms"),
        ("2\n", 5, "end of the file"),
        ("2\n\n" + ATOMS, 6, "three box lengths.*found 0"),
        ("2\n8 9\n" + ATOMS, 6, "found 2 numbers"),
        ("2\n8 9 10 1 2\n" + ATOMS, 6, "found 5 numbers"),
        ("2\n8 9 10 1 2 3 4 5 6 7 8\n" + ATOMS, 6, "found 11 numbers"),
        ("2\nNON_ORTHO 8 9 10\n" + ATOMS, 6, "nine lattice components.*found 3"),
        ("2\nORTHO 8 9 10\n" + ATOMS, 6, "'ORTHO'"),
        ("2\n8 nine 10\n" + ATOMS, 6, "'nine'"),
        ("2\n8 9 10 nan\n" + ATOMS, 6, "'nan'"),
        ("2\n8 9 10 1e999\n" + ATOMS, 6, "'1e999'"),
        ("2\n8 0 10\n" + ATOMS, 6, "positive box lengths"),
        ("2\n8 -9 10\n" + ATOMS, 6, "positive box lengths"),
        ("2\nNON_ORTHO 8 0 0 8 0 0 0 0 10\n" + ATOMS, 6, "singular cell"),
        ("2\n8 9 0.001\n" + ATOMS, 6, "singular cell"),
        ("2\n8 9 10\nC 0 0 0 0 0 0\n", 7, "expected 2 atoms, found 1"),
        ("2\n8 9 10\nC 0 0 0 0 0 0\nN 1 1 1 0 0\n", 8, "expected 7 columns, found 6"),
        ("2\n8 9 10\nC 0 0 0 0 0 0\nN 1 1 1 0 0 0 0\n", 8, "expected 7 columns, found 8"),
        ("2\n8 9 10\nC 0 0 0 0 0\nN 1 1 1 0 0\n", 7, "expected 7 columns.*found 6"),
        ("2\n8 9 10\nC 0 0 0 0 0 0\nN 1 1 1\n", 8, "expected 7 columns, found 4"),
        ("2\n8 9 10\nC 0 0 0\nN 1 1 1 0 0 0\n", 8, "expected 4 columns, found 7"),
        ("2\n8 9 10\nC 0 0 0 0 0 0\n\nN 1 1 1 0 0 0\n", 8, "expected 7 columns, found 0"),
        ("2\n8 9 10\nC 0 0 0 0 0 0\nN 1 1 x 0 0 0\n", 8, "column 4, found 'x'"),
        ("2\n8 9 10\nC 0 0 0 0 0 0\nN 1 1 1 0 inf 0\n", 8, "column 6, found 'inf'"),
        ("2\n8 9 10\nC 0 0 0 0 0 0\nN 1 1 1 0 0 NaN\n", 8, "column 7, found 'NaN'"),
        ("2\n8 9 10\nC 0 0 0 0 0 0\nN 1 1_0 1 0 0 0\n", 8, "column 3, found '1_0'"),
        ("2\n8 9 10\nC 0 0 0 0 0 0\nN 1 1 ٣ 0 0 0\n", 8, "column 4"),
        ("2\n8 9 10\nC 0 0 0 0 0 0\nN 1 1 1 0 0 ****\n", 8, "column 7"),
        ("2\n8 9 10\nC 0 0 0 0 0 0\nN 1 1 1e7 0 0 0\n", 8, "positions within"),
        (f"{'9' * 5000}\n8 9 10\n", 5, "number of atoms.*'9{58}…$"),
        ("²\n8 9 10\n", 5, "number of atoms.*'²'"),
        (f"2\n8 9 {'9' * 5000}\n{ATOMS}", 6, "'9{58}…$"),
        (f"2\n8 9 1e7\n{ATOMS}", 6, r"lattice vectors within 1e\+06"),
        ("2\n8 9 10\nC 0 0 0 0 0 0\nN 1 1 1 0 0 1e308\n", 8, "column 7, found '1e308'"),
        ("2\n8 9 10\nC 0 0 0 0 0 0\nX: 1 1 1 0 0 0\n", 8, "name of a type of atoms, found 'X:'"),
        ("2\n8 9 10\nC:1 0 0 0 0 0 0\nN 1 1 1 0 0 0\n", 7, "name of a type of atoms, found 'C:1'"),
        ("2\n8 9 10\nC 0 0 0\nN 0 0 0.005\n", 8, r"atoms 1 \(line 7\) and 2 \(line 8\) coincide"),
        ("2\n8 9 10\nC 0.002 4 5\nN 7.998 4 5\n", 8, r"atoms 1 \(line 7\) and 2 \(line 8\) coincide"),
        ("2\n8 9 10\nC 1 4 5\nN 801 4 -15\n", 8, r"atoms 1 \(line 7\) and 2 \(line 8\) coincide"),
        ("trailing garbage\n", 5, "number of atoms.*'trailing garbage'"),
    ],
)
def test_refusals_name_file_frame_and_line(tmp_path, bad, line, what):
    path = write(tmp_path, GOOD + bad)
    with pytest.raises(FrameError, match=f"traj.xyzf, frame 2, line {line}: .*{what}"):
        read_frames(path)


@pytest.mark.parametrize("text", ["", "\n\n  \n"])
def test_empty_file(tmp_path, text):
    with pytest.raises(FrameError, match=r"traj\.xyzf.*at least one frame"):
        read_frames(write(tmp_path, text))


def test_gzip_is_known_by_its_content(tmp_path):
    for name in ("a.xyzf.gz", "b.xyzf"):
        (tmp_path / name).write_bytes(gzip.compress(GOOD.encode()))
    write(tmp_path, GOOD, "c.xyzf.gz")
    frames = read_frames([tmp_path / name for name in ("a.xyzf.gz", "b.xyzf", "c.xyzf.gz")])
    assert [frame.group for frame in frames] == ["a", "b", "c"]
    assert len({frame.without_labels().positions.tobytes() for frame in frames}) == 1


@pytest.mark.parametrize("damage", ["truncated", "flipped", "header"])
def test_damaged_gzip(tmp_path, damage):
    rng = np.random.default_rng(1)
    text = "".join(f"1\n8 9 10\nC {x} {y} {z}\n" for x, y, z in rng.uniform(0, 8, (500, 3)))
    data = bytearray(gzip.compress(text.encode()))
    if damage == "truncated":
        data = data[: len(data) // 2]
    elif damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    else:
        data[2] = 0xFF
    path = tmp_path / "traj.xyzf.gz"
    path.write_bytes(data)
    with pytest.raises(FrameError, match=r"traj\.xyzf\.gz"):
        read_frames(path)


def test_not_text(tmp_path):
    path = tmp_path / "traj.xyzf"
    path.write_bytes(b"2\n\xff\xfe\n")
    with pytest.raises(FrameError, match=r"traj\.xyzf, frame 1, line 2: expected a finite number .* found 'ÿþ'"):
        read_frames(path)
    path.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(FrameError, match=r"traj\.xyzf, frame 1, line 1: expected the number of atoms"):
        read_frames(path)


def test_paths_patterns_and_slices(tmp_path, monkeypatch):
    for name in ("b.xyzf", "a.xyzf", "[x].xyzf"):
        write(tmp_path, GOOD * 2, name)
    assert [f.group for f in read_frames(tmp_path / "*.xyzf")] == ["[x]", "[x]", "a", "a", "b", "b"]
    assert [f.group for f in read_frames(f"{tmp_path}/[ab].xyzf")] == ["a", "a", "b", "b"]
    assert [f.group for f in read_frames([tmp_path / "b.xyzf", f"{tmp_path}/a*"])] == ["b", "b", "a", "a"]
    assert len(read_frames(tmp_path / "[x].xyzf")) == 2
    monkeypatch.chdir(tmp_path)
    assert {f.group for f in read_frames("?.xyzf", group="all")} == {"all"}
    assert [f.origin for f in read_frames("?.xyzf", start=1, stop=3)] == [
        "a.xyzf, frame 2, line 5",
        "b.xyzf, frame 1, line 1",
    ]
    assert next(iter_frames("a.xyzf")).origin == "a.xyzf, frame 1, line 1"
    with pytest.raises(FileNotFoundError, match=r"z\*\.xyzf: no file matches"):
        read_frames("z*.xyzf")
    with pytest.raises(FrameError, match="at least one file"):
        read_frames([])
    with pytest.raises(FileNotFoundError, match=rf"there is no file {tmp_path}/z\.xyzf; similar names"):
        read_frames("z.xyzf")


def test_options(tmp_path):
    path = write(tmp_path, GOOD, "traj.dat")
    with pytest.raises(InputError, match=r"unknown extension '\.dat'"):
        read_frames(path)
    with pytest.raises(InputError, match="expected a format"):
        read_frames(path, format="cif")
    assert read_frames(path, format="xyzf")[0].group == "traj.dat"
    with pytest.raises(InputError, match=r"traj\.dat: the key 'e' is named"):
        read_frames(path, format="xyzf", energy_key="e")
    with pytest.raises(InputError, match="group 'a' and group_key 'b'"):
        read_frames(path, format="xyzf", group="a", group_key="b")
    with pytest.raises(InputError, match="start 2, stop 1"):
        read_frames(path, format="xyzf", start=2, stop=1)


@pytest.mark.parametrize("seed", range(40))
def test_coinciding_atoms_against_all_pairs(seed):
    rng = np.random.default_rng(seed)
    cell = None if seed % 4 == 0 else rng.uniform(-1, 1, (3, 3)) + np.diag(rng.uniform(3, 6, 3))
    positions = rng.uniform(-20, 20, (30, 3))
    if seed % 3:
        shift = np.zeros(3) if cell is None else rng.integers(-3, 4, 3) @ cell
        step = rng.normal(size=3)
        length = rng.choice([0.0, 0.0099, 0.0101])
        positions[17] = positions[4] + shift + step / np.linalg.norm(step) * length
    delta = positions[:, None] - positions[None]
    images = np.zeros((1, 3)) if cell is None else (np.indices((3, 3, 3)).reshape(3, -1).T - 1) @ cell
    if cell is not None:
        fractions = delta @ np.linalg.inv(cell)
        delta = (fractions - np.round(fractions)) @ cell
    distance = np.linalg.norm(delta[:, :, None] + images, axis=-1).min(axis=-1)
    distance[np.tril_indices(30)] = np.inf
    i, j = divmod(int(distance.argmin()), 30)
    found = coinciding_atoms(positions, cell)
    if distance[i, j] < 0.01:
        assert found is not None
        assert found[:2] == (i, j)
        assert found[2] == pytest.approx(distance[i, j], abs=1e-9)
    else:
        assert found is None


def test_many_atoms_in_one_place_are_found_at_once():
    assert coinciding_atoms(np.zeros((5000, 3)), np.eye(3) * 10) == (0, 1, 0.0)
    assert coinciding_atoms(np.zeros((1, 3)), None) is None


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason="reference data ../shared is absent")
@pytest.mark.parametrize(
    ("pattern", "n_frames", "n_atoms"),
    [("cn_dft/*.xyzf", 20, 216), ("hydrogen/*.xyzf", 104, 64), ("carbon/*.xyzf", 25, 64)],
)
def test_shared_trajectories(pattern, n_frames, n_atoms):
    frames = read_frames(SHARED / pattern)
    assert len(frames) == n_frames
    assert {len(frame) for frame in frames} == {n_atoms}
    for frame in frames:
        assert frame.forces is not None
        assert frame.energy is not None
        assert np.isfinite(frame.stress).all()
