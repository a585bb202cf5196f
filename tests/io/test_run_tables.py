"""Frames read in runs by compiled code are those that the careful reader reads, and so is what is wrong with them."""

from __future__ import annotations

import gzip
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import environment

from hiertl_dist.compiled.cache import DIGEST, sources_digest
from hiertl_dist.errors import FrameError, HiertlWarning
from hiertl_dist.frames.frame_table import joined_tables
from hiertl_dist.io import kernels, reading, run_tables, trajectories
from hiertl_dist.io.kernels.atom_lines import read_lines
from hiertl_dist.io.kernels.columns import PLACES, TYPE
from hiertl_dist.io.reading import Reading, frames_of_file, parse_run
from hiertl_dist.io.runs import iter_runs

LATTICE = 'Lattice="9 0 0 1 8.5 0 0 -0.5 10"'
FORCES = "Properties=species:S:1:pos:R:3:forces:R:3"
STRESS = 'stress="0.01 0.001 0 0.001 0.02 0.003 0 0.003 0.03"'
ATOMS = "C 0.0 0.25 -0.125 0.1 0.2 0.3\nN 1.5 1e-2 .5 -1.E-1 -0.2 -0.3\n"
SHORT = "C 0.0 0.25 -0.125\nN 1.5 1e-2 .5\n"
WITH_Z = ATOMS.replace("0.3\n", "0.3 7\n").replace("0.3 7", "0.3 6", 1)

FRAMES = [
    f"2\n{LATTICE} {FORCES} energy=-1.5 {STRESS} pbc=\"T T T\" config_type=bulk\n{ATOMS}",
    f"2\n{LATTICE} {FORCES} energy=-1.5 free_energy=-1.5 pbc=\"T T T\" config_type=bulk\n{ATOMS}",
    f"2\n{LATTICE} {FORCES} energy=-1.5 free_energy=-1.6 config_type=a\n{ATOMS}",
    f"2\n{LATTICE} {FORCES} energy=-1.5 virial=\"1 2 3 4 5 6\" config_type=\"two words\"\n{ATOMS}",
    f"2\n{LATTICE} {FORCES} energy=-1.5 virial=\"1 2 3 2 5 6 3 6 1\" {STRESS} config_type=a\n{ATOMS}",
    f"2\n{LATTICE} {FORCES} energy=-1.5 pbc=T T F {STRESS} config_type=a\n{ATOMS}",
    f"2\n{LATTICE} {FORCES} energy=-1.5 pbc=\"T T F\" config_type=a\n{ATOMS}",
    f"2\n{LATTICE} {FORCES} energy=-1.5 pbc=\"F F T\" config_type=a\n{ATOMS}",
    f"2\nLattice=\"9 0 0 0 9 0 0 0 0\" {FORCES} energy=-1.5 pbc=\"T T F\" config_type=a\n{ATOMS}",
    f"2\n{FORCES} energy=-1.5 pbc=\"F F F\" config_type=a REF_energy=high\n{ATOMS}",
    f"2\n{FORCES} energy=-1.5 pbc=\"F F F\" config_type=a REF_energy=-3\n{ATOMS}",
    f"2\n{FORCES} config_type=a cell=\"9 9 9\" unit=eV\n{ATOMS}",
    f"2\nenergy = -1.5 units=Ha config_type=\n{SHORT}",
    f"2\nconfig_type=a step 5\n{ATOMS}",
    "2\nconfig_type=a\n1 0 0 0\n2 0 0 1.5\n",
    f"2\n{LATTICE} Properties=species:S:1:pos:R:3:forces:R:3:Z:I:1 energy=-1.5D0 config_type=a\n{WITH_Z}",
    "1\nProperties=Z:I:1:pos:R:3 config_type=a\n6 0 0 0\n",
    f"1\n{LATTICE} Properties=id:I:1:pos:R:3:species:S:1 config_type=a energy=-2.12345678901234567890\n7 0 0 0 C1\n",
    f"2\n{LATTICE} {FORCES} energy=-1.5 config_type=Müller\n{ATOMS}",
]  # fmt: skip
XYZF = [
    "2\n9.0 9.5 10 1.0 2.0 3.0 -12.5\n" + ATOMS,
    "2\n9.0 9.5 10\n" + SHORT,
    "2\nNON_ORTHO 9 0 0 1 8.5 0 0 -0.5 10 1 2 3 4 5 6\n" + ATOMS,
    "2\nNON_ORTHO 9 0 0 1 8.5 0 0 -0.5 10 1 2 3 4 5 6 -3\n" + ATOMS,
    "1\n9 9 9 -5.25\nC 1 2 3\n",
]
BITS = [
    "\t", "  ", "\n", "\n\n", "\r\n", "\r", "nan", "inf", "-", "+", "_", "1_0", ".", "e", "E5", "D-3", "1e400", "1e99",
    "1e101", "-0.0", "0", "123456789012345678901234567890", "0.12345678901234567", "9007199254740993", "4.9e-324",
    "2.2250738585072011e-308", "1e22", "1e23", "1e-23", "8.41e21", "C", "Xx9", "C:", "é", "\ufeff", "\x0b", "\x1c",
    "\x00", '"', "'", "[", "{", "=", ",", " 7", "energy=3", "energy=4.0 Ha", "F", "1000001", "x" * 50,
]  # fmt: skip


def read(path, *, small, size=400, group_key=None, kind="extxyz", **more):
    """What comes of a file: everything about its frames, then what is raised; and which keys were met."""
    reading = Reading(kind, "group", "asked", group_key, **more)
    keys = reading.keys()
    found = []
    try:
        for f in frames_of_file(path, reading, keys, small=small, size=size):
            found.append((f.digest, f.origin, f.group, f.pbc, f.labels, f.species, f.energy))
    except FrameError as error:
        found.append(str(error))
    return found, keys.seen, keys.offered


def assert_alike(path, data, **how):
    path.write_bytes(data)
    careful = read(path, small=True, **how)
    found = read(path, small=False, **how)
    assert found[0] == careful[0]
    if found[0] and isinstance(found[0][-1], str):  # then keys are of no use
        return
    assert found[1:] == careful[1:]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("runs") / "a.xyz"


@pytest.mark.parametrize("group_key", [None, "config_type"])
@pytest.mark.parametrize("text", FRAMES)
def test_each_kind_of_frame(path, text, group_key):
    assert_alike(path, text.encode(), group_key=group_key)
    assert_alike(path, (FRAMES[0] + text + FRAMES[0]).encode(), group_key=group_key)


@pytest.mark.parametrize("text", XYZF)
def test_each_kind_of_xyzf_frame(path, text):
    assert_alike(path, (XYZF[0] + text + XYZF[1]).encode(), kind="xyzf")


@pytest.mark.parametrize("size", [1, 500, 1000, 10**6])
@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("line", [b"\xa0\n", b"\x85 \n", "\xa0\n".encode(), b"\xef\xbb\xbf\n"])
def test_blank_lines_of_latin_letters(path, line, at, size):
    parts = [FRAMES[k].encode() for k in (0, 1, 5)]
    parts.insert(at, line)
    assert_alike(path, b"".join(parts), size=size)


@pytest.mark.parametrize("which", range(len(FRAMES)))
def test_most_kinds_of_frames_are_plain(path, which, monkeypatch):
    careful = []
    original = run_tables._Reader._frame
    monkeypatch.setattr(run_tables._Reader, "_frame", lambda self, k: careful.append(k) or original(self, k))
    path.write_text(FRAMES[which])
    found, *_ = read(path, small=False)
    assert len(found) == 1
    # two stresses that disagree, nameless columns, and beads that are called by numbers
    assert careful == ([0] if which in (4, 13, 14) else [])


CHANGES = st.lists(
    st.tuples(st.sampled_from(["insert", "replace", "delete", "flip"]), st.floats(0, 1), st.sampled_from(BITS),
              st.integers(1, 255)), max_size=3,
)  # fmt: skip


def changed(data, changes):
    """Bytes with something inserted, replaced, deleted or flipped, at fractions of their length."""
    data = bytearray(data)
    for verb, where, bit, mask in changes:
        at = int(where * max(len(data) - 1, 0))
        if verb == "insert":
            data[at:at] = bit.encode()
        elif verb == "replace":
            data[at : at + 3] = bit.encode()
        elif verb == "delete":
            del data[at : at + 1 + mask % 5]
        elif data:
            data[at] ^= mask
    return bytes(data)


@settings(deadline=None)
@given(
    frames=st.lists(st.sampled_from(FRAMES), min_size=1, max_size=6), changes=CHANGES, returns=st.booleans(),
    size=st.sampled_from([1, 150, 400, 10**6]), key=st.sampled_from([None, "config_type"]),
    named=st.sampled_from([{}, {"energy_key": "REF_energy"}, {"forces_key": "pos"}, {"stress_key": "virial"}]),
    packed=st.booleans(),
)  # fmt: skip
def test_changed_files_are_read_alike(path, frames, changes, returns, size, key, named, packed):
    data = "".join(frames).encode()
    data = changed(data.replace(b"\n", b"\r\n") if returns else data, changes)
    assert_alike(path, gzip.compress(data) if packed else data, size=size, group_key=key, **named)


@settings(deadline=None)
@given(
    frames=st.lists(st.sampled_from(XYZF), min_size=1, max_size=6), changes=CHANGES,
    size=st.sampled_from([1, 150, 10**6]),
)  # fmt: skip
def test_changed_xyzf_files_are_read_alike(path, frames, changes, size):
    assert_alike(path, changed("".join(frames).encode(), changes), size=size, kind="xyzf")


@settings(deadline=None)
@given(
    word=st.sampled_from(BITS[6:30])
    | st.floats().map(repr)
    | st.from_regex(r"[+-]?[0-9]{0,20}\.?[0-9]{1,20}([eEdD][+-]?[0-9]{1,3})?", fullmatch=True)
)
def test_words_are_read_alike(path, word):
    assert_alike(path, f"1\n{LATTICE} {FORCES} energy={word}\nC {word} 0 0 {word} 1 0\n".encode())
    assert_alike(path, f"1\nLattice='{word} 0 0 0 9 0 0 0 9'\nC 1 2 3\n".encode())


def rounded(words):
    """What the kernel makes of words, and which it leaves to Python."""
    text = "".join(f"C {w}\n" for w in words).encode()
    rows, slow = np.zeros((len(words), PLACES)), np.empty((len(words), 3), np.int64)
    one = np.array([0])
    _, left = read_lines(
        np.frombuffer(text, np.uint8), one, np.array([len(words)]), one, np.array([2]), np.array([[TYPE, 0]]), rows,
        np.zeros(len(words), np.int64), np.zeros(8, np.uint64), slow, 1e30, (faults := np.zeros(1, np.uint8)),
    )  # fmt: skip
    assert not faults[0]
    return rows[:, 0], set((slow[:left, 2] // PLACES).tolist())


@pytest.mark.parametrize("digits", [8, 15, 16, 17, 18, 19, 20])
def test_numbers_are_rounded_as_python_rounds(digits):
    draw = random.Random(digits)
    words = []
    for _ in range(20000):
        whole = draw.randrange(10 ** (digits - 1), 10**digits)
        words.append(
            f"{whole}e{-draw.randrange(23)}" if digits % 2 else f"{whole / 10 ** draw.randrange(23):.{digits}g}"
        )
    # halfway between two doubles, and a little beside
    for _ in range(5000):
        odd, power = 2 * draw.randrange(2**52, 2**53) + 1, draw.randrange(1, 20)
        halfway = str(odd * 5**power)[: digits + 1]
        words += [f"{int(halfway) + d}e-{draw.randrange(1, 22)}" for d in (-1, 0, 1)]
    words += [f"{2**53 + k}.{d}" for k in range(-4, 5) for d in (0, 4999, 5, 5001)]
    words += [f"{m * 2**53 + k}e-{p}" for m in (1, 2, 4, 512) for k in range(-9, 10) for p in range(23)]
    found, left = rounded(words)
    wrong = [w for k, w in enumerate(words) if k not in left and float(w) != found[k]]
    assert not wrong
    assert len(left) < 0.05 * len(words) or digits > 17


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("xyzf", "1\n9 9 1e-322\nC 0 0 0\n", "line 2: singular cell: it is 0 Å thick"),
        ("extxyz", "1\nLattice='9 0 0 0 9 0 0 0 1e-3'\nC 0 0 0\n", "line 2: singular cell: it is 0.001 Å thick"),
        ("extxyz", "1\nProperties=species:S:1\nC\n", "line 2: expected a column 'pos' in Properties"),
    ],
)
def test_what_is_no_cell_or_has_no_positions(path, kind, text, said):
    more = {"forces_key": "pos"} if kind == "extxyz" else {}
    assert_alike(path, text.encode(), kind=kind, **more)
    assert said in read(path, small=True, kind=kind, **more)[0][0]


def frames_of_tables(path, **how):
    reading = Reading("extxyz", "group", "asked", **how)
    parsed = [parse_run(pickle.loads(pickle.dumps(run)), reading) for run in iter_runs(path, 700)]
    return joined_tables([p.table for p in parsed]), parsed


def test_workers_read_their_runs(path):
    path.write_text("\n".join((FRAMES[:4] + FRAMES[5:]) * 5))
    table, parsed = frames_of_tables(path)
    reading = Reading("extxyz", "group", "asked")
    careful = list(frames_of_file(path, reading, keys := reading.keys(), small=True))
    assert len(parsed) > 5
    assert [f.digest for f in table] == [f.digest for f in careful]
    assert [f.origin for f in table] == [f.origin for f in careful]
    assert [f.labels for f in table] == [f.labels for f in careful]
    assert set().union(*(p.seen for p in parsed)) == keys.seen
    assert set().union(*(p.offered for p in parsed)) == keys.offered


def test_what_stop_leaves_out_is_not_met(path, monkeypatch):
    monkeypatch.setattr(reading, "SMALL", 0)
    path.write_text(FRAMES[0] + FRAMES[10] + FRAMES[0] * 3)
    with pytest.warns(HiertlWarning, match="the energy key 'REF_energy' was named and is in 1 of 2 frames only"):
        assert len(trajectories.read_frames(path, energy_key="REF_energy", stop=2)) == 2
    with pytest.raises(FrameError, match=r"no frame has the energy key 'REF_energy'; there are \['Lattice', [^R]*\]"):
        trajectories.read_frames(path, energy_key="REF_energy", stop=1)
    path.write_text(FRAMES[0] + FRAMES[4])
    assert len(trajectories.read_frames([path], stop=1)) == 1
    with pytest.raises(FrameError, match="frame 2, line 6: stress and virial disagree"):
        trajectories.read_frames([path], stop=2)


SMALL_FILE = """
import sys
from hiertl_dist import read_frames
print(len(read_frames(sys.argv[1])), "numba" in sys.modules)
"""


def test_small_files_need_no_compiled_code(path):
    path.write_text(FRAMES[0])
    done = subprocess.run(
        [sys.executable, "-c", SMALL_FILE, str(path)], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 False\n"


def test_the_folder_of_compiled_code_knows_its_sources():
    folder = Path(read_lines.stats.cache_path)
    assert (folder / DIGEST).read_text() == sources_digest(Path(kernels.__file__).parent)


def test_frames_hold_no_more_than_themselves(path):
    path.write_text(FRAMES[0] * 500)
    reading = Reading("extxyz", "group", "asked")
    frame, other, *_ = frames_of_file(path, reading, reading.keys(), small=False, size=10**6)
    assert all(a.base is None and not a.flags.writeable for a in (frame.positions, frame.forces, frame.cell))
    assert frame.species is other.species
    assert len(pickle.dumps(frame)) < 2000


def test_a_frame_without_its_own_fault_before_one_with(path):
    path.write_text(FRAMES[0] * 3 + FRAMES[0].replace("1.5 1e-2", "1.5 zero") + FRAMES[0])
    for small in (True, False):
        found, *_ = read(path, small=small, size=10**6)
        assert len(found) == 4
        assert "frame 4, line 16: expected a finite number for column 3, found 'zero'" in found[-1]
    with pytest.raises(FrameError, match="frame 4, line 16"):
        frames_of_tables(path)


def atoms(positions):
    return "".join(f"C {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in positions)


@settings(deadline=None)
@given(
    seed=st.integers(0, 10**6), n=st.integers(2, 60), apart=st.sampled_from([0.0, 0.005, 0.0099, 0.01, 0.0101, 0.02]),
    pbc=st.sampled_from(["T T T", "T T F", "F T F", "F F F"]), shift=st.integers(-2, 2),
)  # fmt: skip
def test_atoms_in_one_place_are_found(path, seed, n, apart, pbc, shift):
    draw = np.random.default_rng(seed)
    cell = draw.normal(size=(3, 3)) * 2 + 6 * np.eye(3)
    positions = draw.uniform(-1, 2, (n, 3)) @ cell
    direction = draw.normal(size=3)
    flags = np.array([p == "T" for p in pbc.split()])
    positions[-1] = positions[0] + apart * direction / np.linalg.norm(direction) + shift * flags @ cell
    lattice = " ".join(f"{x:.6f}" for x in cell.ravel())
    assert_alike(path, f'{n}\nLattice="{lattice}" pbc="{pbc}"\n{atoms(positions)}'.encode())


def test_a_lattice_of_atoms_on_the_edges_of_bins(path):
    grid = np.stack(np.meshgrid(*[np.arange(12) * 0.5] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    text = f'{len(grid)}\nLattice="6 0 0 0 6 0 0 0 6"\n{atoms(grid)}'
    assert_alike(path, text.encode())
    assert len(read(path, small=False)[0]) == 1
    assert_alike(path, text.replace("5.500000\n", "6.001000\n").encode())
