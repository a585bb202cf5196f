"""Files that ASE reads give its labels, in the package's units, frame by frame; what is wrong names file and frame."""

from __future__ import annotations

import gzip
import re
import sqlite3
import sys
import warnings

import ase_file_texts as texts
import numpy as np
import pytest

from hiertl_dist import HiertlWarning, frames_from_ase, iter_frames, read_frames
from hiertl_dist.errors import FrameError, InputError
from hiertl_dist.io import ase_databases
from hiertl_dist.io.ase_vasp import CUT, CUT_LATE, MAY_BE_UNCONVERGED, UNCONVERGED
from hiertl_dist.io.labelled_atoms import CONSTRAINED, frame_from_ase
from hiertl_dist.io.trajectories import format_of
from hiertl_dist.units import EV, KCAL_PER_A3_IN_GPA


def images(number: int = 5):
    """Crystals, slabs and molecules with every label; of the second an atom is fixed."""
    ase = pytest.importorskip("ase")
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.constraints import FixAtoms

    rng = np.random.default_rng(3)
    made = []
    for i in range(number):
        pbc = [(True, True, True), (True, True, True), (False, False, False), (True, True, False)][i % 4]
        atoms = ase.Atoms(["CN", "C2N"][i % 2], positions=1.5 * np.eye(3)[: 2 + i % 2], pbc=pbc)
        if any(pbc):
            atoms.cell = np.diag([6.0, 7.0, 8.0]) + 0.1 * np.tri(3, k=-1)
        if i == 1:
            atoms.set_constraint(FixAtoms([0]))
        stress = rng.normal(size=6) if all(pbc) else None
        atoms.calc = SinglePointCalculator(
            atoms, energy=-3.0 - i, forces=rng.normal(size=(len(atoms), 3)), stress=stress, magmom=0.5
        )
        atoms.info["kind"] = f"k{i % 2}"
        made.append(atoms)
    return made


def alike(frames, made, tolerance=1e-9):
    assert len(frames) == len(made)
    for frame, atoms in zip(frames, made, strict=True):
        results = atoms.calc.results
        assert list(frame.species) == atoms.get_chemical_symbols()
        assert frame.pbc == tuple(atoms.pbc)
        np.testing.assert_allclose(frame.positions, atoms.positions, atol=tolerance)
        assert frame.energy == pytest.approx(results["energy"] * EV, rel=tolerance)
        np.testing.assert_allclose(frame.forces, results["forces"] * EV, atol=100 * tolerance)
        if frame.periodic:
            np.testing.assert_allclose(frame.cell, atoms.cell, atol=tolerance)
            xx, yy, zz, yz, xz, xy = -results["stress"] * EV
            np.testing.assert_allclose(frame.stress, [xx, yy, zz, xy, xz, yz], atol=100 * tolerance)
        else:
            assert frame.stress is None


def write_images(path, made):
    """A trajectory, or a database whose rows have the group beside other data."""
    if path.suffix == ".traj":
        from ase.io import write

        write(path, made)
        return path
    if path.suffix == ".aselmdb":
        from ase_db_backends.aselmdb import LMDBDatabase

        database = LMDBDatabase(path)  # ase.db.connect of older ASE does not know it
    else:
        from ase.db import connect

        database = connect(path)
    for k, atoms in enumerate(made):
        database.write(atoms, {"kind": atoms.info["kind"]}, data={"source": f"s{k}", "much": [1.0, 2.0]})
    if hasattr(database, "close"):
        database.close()
    return path


def doubts(act):
    """What an act gives back, and the text of its warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = act()
    assert all(w.category is HiertlWarning and w.filename == __file__ for w in caught)
    return found, "".join(str(w.message) for w in caught)


@pytest.fixture
def vasp(tmp_path):
    """Writes an OUTCAR or a vasprun.xml."""
    pytest.importorskip("ase")

    def write(name, **options):
        path = tmp_path / name
        path.write_text((texts.outcar if "OUTCAR" in name else texts.vasprun)(**options))
        return path

    return write


# ---- which files


@pytest.mark.parametrize("name", [
    "OUTCAR", "OUTCAR.gz", "OUTCAR_3", "run.OUTCAR", "vasprun.xml", "vasprun_2.xml.bz2", "a.traj", "a.TRAJ.gz", "a.db",
    "a.aselmdb",
])  # fmt: skip
def test_names_of_files_for_ase(name, tmp_path):
    assert format_of(tmp_path / name) == "ase"


@pytest.mark.parametrize("name", ["OUTCAR.xyz", "a.extxyz", "vasprun.xml.xyz"])
def test_own_formats_stay_with_own_readers(name, tmp_path):
    assert format_of(tmp_path / name) == "extxyz"


@pytest.mark.parametrize("name", ["a.dat", "vasprun.txt", "a.xml", "adb"])
def test_other_names_say_nothing(name, tmp_path):
    (tmp_path / name).write_text("")
    with pytest.raises(InputError, match="unknown extension"):
        format_of(tmp_path / name)


# ---- VASP


@pytest.mark.parametrize("name", ["OUTCAR", "vasprun.xml"])
def test_vasp(vasp, name):
    path = vasp(name)
    frames = read_frames(path)
    assert [f.origin for f in frames] == [f"{name}, frame 1", f"{name}, frame 2"]
    assert {f.group for f in frames} == {name.removesuffix(".xml")}
    assert all(f.labels.source == str(path) and not f.labels.doubts for f in frames)
    for k, frame in enumerate(frames):
        assert frame.species == ("C", "N")
        np.testing.assert_allclose(frame.cell, texts.CELL, atol=1e-6)
        np.testing.assert_allclose(frame.positions, texts.POSITIONS[k], atol=1e-5)
        assert frame.energy == pytest.approx(texts.ENERGIES[k] * EV)
        np.testing.assert_allclose(frame.forces, texts.FORCES[k] * EV)
        stress = texts.KBAR[k][texts.PACKAGE_ORDER] * 0.1 / KCAL_PER_A3_IN_GPA
        np.testing.assert_allclose(frame.stress, stress, rtol=1e-5)
    assert [any("free_energy differ" in note for note in f.labels.notes) for f in frames] == [False, True]
    free = read_frames(path, energy_key="free_energy")
    assert [f.energy for f in free] == pytest.approx([e * EV for e in texts.FREE])


@pytest.mark.parametrize("name", ["OUTCAR", "vasprun.xml"])
def test_vasp_as_ase_has_it(vasp, name):
    from ase.io import read

    path = vasp(name)
    alike(read_frames(path), read(path, ":"), 1e-7)


@pytest.mark.parametrize("name", ["OUTCAR", "vasprun.xml"])
def test_packed_files_of_vasp(vasp, name):
    path = vasp(name)
    packed = path.with_name(f"{name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    frames = read_frames(packed)
    assert [f.digest for f in frames] == [f.digest for f in read_frames(path)]
    packed.write_bytes(packed.read_bytes()[:-40])
    found = []
    with pytest.raises(FrameError, match=rf"{name}.gz, frame \d: ASE can't read it: EOFError"):
        found.extend(iter_frames(packed))
    assert [f.digest for f in found] == [f.digest for f in frames[: len(found)]]


def test_a_file_in_another_folder_is_left_alone(vasp):
    """ASE reads constraints from a CONTCAR that stands beside an OUTCAR; forces do not need them."""
    path = vasp("OUTCAR")
    path.with_name("CONTCAR").write_text("nothing of the kind\n")
    assert len(read_frames(path)) == 2


def test_an_outcar_that_ends_in_a_step(vasp):
    path = vasp("OUTCAR")
    text = path.read_text()
    for end in ("POSITION", "TOTEN", "Iteration      2(   2)"):
        path.write_text(text[: text.rindex(end)])
        frames, said = doubts(lambda: read_frames(path))
        assert len(frames) == 1
        assert CUT in said
        assert "the first: OUTCAR, frame 1" in said
    path.write_text(text[: text.index("General timing")])  # killed between two steps: nothing is lost
    assert len(read_frames(path)) == 2


def test_a_vasprun_that_ends_in_a_step(vasp):
    path = vasp("vasprun.xml")
    text = path.read_text()
    for end in ('<varray name="stress">', "<scstep>", '<energy><i name="e_fr'):
        path.write_text(text[: text.rindex(end)])
        frames, said = doubts(lambda: read_frames(path))
        assert len(frames) == 1
        assert CUT in said
    path.write_text(text[: text.rindex("<eigenvalues>")])
    first, second = read_frames(path)
    assert not first.labels.notes
    assert CUT_LATE in second.labels.notes
    path.write_text(text[: text.index('<structure name="finalpos">')])
    assert not any(f.labels.doubts for f in read_frames(path))


@pytest.mark.parametrize(("name", "end"), [("OUTCAR", "POSITION"), ("vasprun.xml", '<varray name="forces">')])
def test_no_complete_step(vasp, name, end):
    path = vasp(name)
    path.write_text(path.read_text().partition(end)[0])
    with pytest.raises(FrameError, match=rf"{name}.*expected at least one complete ionic step"):
        read_frames(path)


@pytest.mark.parametrize("name", ["OUTCAR", "vasprun.xml"])
def test_something_else_under_that_name(vasp, name):
    path = vasp(name)
    path.write_text("nothing of the kind\n")
    with pytest.raises(FrameError, match=rf"{name}, frame 1: ASE can't read it: ParseError"):
        read_frames(path)


@pytest.mark.parametrize("name", ["OUTCAR", "vasprun.xml"])
def test_a_number_that_is_none(vasp, name):
    path = vasp(name)
    text = path.read_text()
    begin, force, end = text.rpartition(f"{texts.FORCES[1][0, 0]:13.6f}")
    path.write_text(begin + "*" * len(force) + end)
    found = []
    with pytest.raises(FrameError, match=rf"{name}, frame 2: ASE can't read it: ValueError: could not convert"):
        found.extend(iter_frames(path))
    assert [f.origin for f in found] == [f"{name}, frame 1"]


def test_xml_that_is_damaged_is_not_taken_for_a_cut_one(vasp):
    path = vasp("vasprun.xml")
    first, second, third = path.read_text().partition("</calculation>")
    path.write_text(first + second + third.replace("<scstep>", "<scstep", 1))
    found = []
    with pytest.raises(FrameError, match=r"vasprun.xml, frame 2: ASE can't read it: ParseError: not well-formed"):
        found.extend(iter_frames(path))
    assert len(found) == 1


def test_what_ase_warns_of_is_told(vasp):
    path = vasp("OUTCAR")
    text = path.read_text()
    path.write_text(text.replace(f"in kB {texts.row(texts.KBAR[1])}", "in kB **** **** **** **** **** ****"))
    frames, said = doubts(lambda: read_frames(path))
    assert [f.stress is None for f in frames] == [False, True]
    assert "ASE warns: Found badly formatted stress line. Setting stress to None. (1 frame" in said
    assert "OUTCAR, frame 2" in said


@pytest.mark.parametrize(("options", "doubt"), [
    ({}, ""), ({"electronic": texts.NELM}, ""),
    ({"ending": "aborting loop EDIFF was not reached (unconverged)"}, UNCONVERGED),
    ({"ending": "", "electronic": texts.NELM}, MAY_BE_UNCONVERGED), ({"ending": ""}, ""),
])  # fmt: skip
def test_electrons_that_did_not_converge(vasp, options, doubt):
    frames, said = doubts(lambda: read_frames(vasp("OUTCAR", **options)))
    assert [f.labels.doubts for f in frames] == [(doubt,) if doubt else ()] * 2
    assert (doubt in said) if doubt else not said


def test_electrons_that_may_not_have_converged(vasp):
    _, said = doubts(lambda: read_frames(vasp("vasprun.xml", electronic=texts.NELM)))
    assert MAY_BE_UNCONVERGED in said
    assert not any(f.labels.doubts for f in read_frames(vasp("vasprun.xml", electronic=texts.NELM - 1)))


@pytest.mark.parametrize("name", ["OUTCAR", "vasprun.xml"])
def test_steps_come_one_by_one(vasp, name):
    """What is behind a frame that is asked for may be as it likes, but for the step after it."""
    path = vasp(name)
    text = path.read_text()
    if name == "OUTCAR":
        path.write_text(text + text[text.index("---- Iter") :] + text[text.index("---- Iter") :].replace("-10.", "?"))
    else:
        first = text.index("<calculation>")
        path.write_text(text[: text.index("</modeling>")] + text[first : text.index("</modeling>")] + "<< damaged")
    assert [f.origin for f in read_frames(path, start=1, stop=2)] == [f"{name}, frame 2"]
    with pytest.raises(FrameError):
        read_frames(path)


# ---- trajectories and databases


@pytest.mark.parametrize("name", ["a.traj", "a.db", "a.json"])
def test_what_ase_writes(tmp_path, name):
    made = images()
    path = write_images(tmp_path / name, made)
    frames = read_frames(path, format="ase")
    alike(frames, made)
    assert [f.origin for f in frames] == [f"{name}, frame {k + 1}" for k in range(5)]
    assert {f.group for f in frames} == {"a" if name != "a.json" else "a.json"}
    assert [CONSTRAINED in f.labels.notes for f in frames] == [False, True, False, False, False]
    assert np.abs(frames[1].forces[0]).min() > 0.0
    grouped = read_frames(path, format="ase", group_key="kind")
    assert [f.group for f in grouped] == ["k0", "k1", "k0", "k1", "k0"]
    assert all(f.labels.source == str(path) for f in grouped)
    assert [f.digest for f in read_frames(path, format="ase", start=1, stop=3)] == [f.digest for f in frames[1:3]]
    with pytest.raises(FrameError, match=rf"{name}, frame 1: expected the group key 'none'.*'kind'"):
        read_frames(path, format="ase", group_key="none")


def test_data_of_rows_may_be_groups(tmp_path):
    path = write_images(tmp_path / "a.db", images())
    assert [f.group for f in read_frames(path, group_key="source")] == ["s0", "s1", "s2", "s3", "s4"]


def test_data_of_rows_are_no_labels_where_there_are_others(tmp_path):
    (atoms,) = images(1)
    from ase.db import connect

    with connect(tmp_path / "a.db") as database:
        database.write(atoms, data={"energy": -99.0, "dft_energy": -7.0})
        database.write(atoms, data={"energy": -3.0, "dft_energy": -7.0})
    one, other = read_frames(tmp_path / "a.db")
    assert one.energy == other.energy == -3.0 * EV
    assert ase_databases.TWICE in one.labels.notes
    assert not other.labels.notes
    assert [f.energy for f in read_frames(tmp_path / "a.db", energy_key="dft_energy")] == pytest.approx([-7.0 * EV] * 2)


def test_rows_come_a_few_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(ase_databases, "ROWS", 2)
    made = images(7)
    from ase.db import connect

    path = write_images(tmp_path / "a.db", made)
    connect(path).delete([1, 4])
    alike(read_frames(path), [made[k] for k in (1, 2, 4, 5, 6)])


def test_a_database_is_not_written_to(tmp_path):
    path = write_images(tmp_path / "a.db", images(2))
    before = path.read_bytes()
    read_frames(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.db"]
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    before = (tmp_path / "other.db").read_bytes()
    with pytest.raises(FrameError, match="without its table 'systems'"):
        read_frames(tmp_path / "other.db")
    assert (tmp_path / "other.db").read_bytes() == before


@pytest.mark.parametrize(("name", "text", "said"), [
    ("a.db", b"", "expected at least one frame, found an empty file"),
    ("a.db", b"nothing", "expected a database of ASE .SQLite, LMDB or JSON, not packed., found a file that begins"),
    ("a.db", b"SQLite format 3\x00" + 100 * b"x", "frame 1: ASE can't read it: DatabaseError"),
    ("a.json", b"{1", "frame 1: ASE can't read it"), ("a.json", b"{}", "frame 1: ASE can't read it"),
    ("a.traj", b"", "frame 1: ASE can't read it"), ("a.traj", b"nothing", "frame 1: ASE can't read it"),
])  # fmt: skip
def test_damaged_files(tmp_path, name, text, said):
    pytest.importorskip("ase")
    (tmp_path / name).write_bytes(text)
    with pytest.raises(FrameError, match=f"{name}.*{said}"):
        read_frames(tmp_path / name, format="ase")


def test_a_cut_trajectory(tmp_path):
    path = write_images(tmp_path / "a.traj", images())
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(FrameError, match=r"a.traj, frame \d: ASE can't read it"):
        read_frames(path)


def test_an_empty_database(tmp_path):
    db = pytest.importorskip("ase.db")
    database = db.connect(tmp_path / "a.db")
    database.delete([database.write(images(1)[0])])
    with pytest.raises(FrameError, match=r"a.db: expected at least one frame, found none"):
        read_frames(tmp_path / "a.db")


def test_atoms_that_are_no_frame_are_named(tmp_path):
    made = images(2)
    made[1].positions[1] = made[1].positions[0]
    made[1].calc = None
    path = write_images(tmp_path / "a.traj", made)
    with pytest.raises(FrameError, match=rf"^{path}, frame 2: atoms 0 and 1 \(from 0\)"):
        read_frames(path)


@pytest.mark.parametrize("counts", ["1000000000 1", "1 1000000000", "9" * 5000, f"1 {10**18}"])
@pytest.mark.parametrize("name", ["POSCAR", "XDATCAR", "POSCAR.gz"])
def test_more_atoms_than_a_file_of_positions_has_room_for(tmp_path, name, counts):
    """ASE would make them before it looks for their lines, and take all the memory there is."""
    pytest.importorskip("ase")
    head = f"here\n1.0\n8 0 0\n0 8 0\n0 0 8\nC N\n{counts}\n"
    text = (head + "Direct\n0 0 0\n0.5 0 0\n").encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    with pytest.raises(FrameError, match="line 7: expected numbers of atoms, at most "):
        read_frames(tmp_path / name, format="ase")


def test_whatever_ase_reads(tmp_path):
    io = pytest.importorskip("ase.io")
    made = images(1)
    io.write(tmp_path / "POSCAR", made[0], format="vasp")
    (frame,) = read_frames(tmp_path / "POSCAR", format="ase")
    assert frame.species == ("C", "N")
    assert frame.energy is None
    (tmp_path / "a.nothing").write_text("?")
    with pytest.raises(FrameError, match=r"a.nothing, frame 1: ASE can't read it: UnknownFileTypeError"):
        read_frames(tmp_path / "a.nothing", format="ase")
    io.write(tmp_path / "a.xyz", made, format="extxyz")
    own, other = read_frames(tmp_path / "a.xyz"), read_frames(tmp_path / "a.xyz", format="ase")
    alike(own, made, 1e-7)
    alike(other, made, 1e-7)


def test_a_key_that_no_frame_has(tmp_path):
    path = write_images(tmp_path / "a.traj", images(2))
    with pytest.raises(FrameError, match=r"a.traj: no frame has the energy key 'e'; there are \[.*'energy'"):
        read_frames(path, energy_key="e")


# ---- what may not be there


def test_without_ase(tmp_path, monkeypatch):
    (tmp_path / "OUTCAR").write_text("")
    for name in [name for name in sys.modules if name.partition(".")[0] == "ase"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ase", None)
    with pytest.raises(InputError, match=r'OUTCAR: reading this file needs ASE: pip install "hiertl-dist\[ase\]"'):
        iter_frames(tmp_path / "OUTCAR")


def test_without_what_reads_lmdb(tmp_path, monkeypatch):
    pytest.importorskip("ase")
    (tmp_path / "a.aselmdb").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "ase_db_backends", None)
    with pytest.raises(InputError, match=r"a.aselmdb: .*pip install ase-db-backends"):
        iter_frames(tmp_path / "a.aselmdb")


@pytest.fixture
def lmdb(tmp_path):
    """A file of five rows, and what they are of."""
    pytest.importorskip("ase_db_backends.aselmdb", reason="needs ase-db-backends")
    made = images()
    return write_images(tmp_path / "a.aselmdb", made), made


def test_lmdb(lmdb):
    path, made = lmdb
    before = sorted(p.name for p in path.parent.iterdir())
    frames = read_frames(path)
    alike(frames, made)
    assert [f.group for f in read_frames(path, group_key="source")] == ["s0", "s1", "s2", "s3", "s4"]
    assert [f.group for f in read_frames(path, group_key="kind")] == ["k0", "k1", "k0", "k1", "k0"]
    assert [CONSTRAINED in f.labels.notes for f in frames] == [False, True, False, False, False]
    assert next(iter_frames(path)).digest == frames[0].digest
    assert sorted(p.name for p in path.parent.iterdir()) == before


def test_lmdb_as_fairchem_wrote_it_at_first(lmdb):
    """Arrays were lists of JSON, and there was no empty ``data``."""
    import json
    import zlib

    import lmdb as package

    path, made = lmdb
    path = path.with_name("b.aselmdb")
    rows = [
        {
            "numbers": a.numbers.tolist(), "positions": a.positions.tolist(), "cell": a.cell.tolist(),
            "pbc": a.pbc.tolist(), "unique_id": "u", "mtime": 1.0, "ctime": 1.0, "user": None, "calculator": "unknown",
            "calculator_parameters": {}, "energy": a.calc.results["energy"],
            "forces": a.calc.results["forces"].tolist(),
        } | ({"stress": a.calc.results["stress"].tolist()} if a.pbc.all() else {})
        for a in made
    ]  # fmt: skip
    with (
        package.open(str(path), subdir=False, map_size=2**20) as environment,
        environment.begin(write=True) as transaction,
    ):
        for key, value in {**{str(k + 1): row for k, row in enumerate(rows)}, "nextid": len(rows) + 1}.items():
            transaction.put(key.encode(), zlib.compress(json.dumps(value).encode()))
    alike(read_frames(path), made)


def test_damaged_lmdb(lmdb, monkeypatch):
    path, _ = lmdb
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FrameError, match=r"a.aselmdb: expected \d+ bytes, found \d+: the file is cut"):
        read_frames(path)
    # a value that is said to go on for 128 MB beyond the end
    away = bytearray(whole)
    for match in re.finditer(b"nextid", whole):
        away[match.start() - 8 : match.start() - 4] = (2**27).to_bytes(4, "little")
    path.write_bytes(away)
    with pytest.raises(FrameError, match=r"a.aselmdb: expected a whole LMDB file, found pages that can't be fo"):
        read_frames(path)
    with monkeypatch.context() as patch:  # as liblmdb ends it where other bytes are wrong
        patch.setattr(ase_databases, "_READ_THROUGH", "import os, signal; os.kill(os.getpid(), signal.SIGBUS)")
        with pytest.raises(FrameError, match=r"a.aselmdb: .* pages .* \(a process .* was ended by SIGBUS\)"):
            read_frames(path)
    path.write_bytes(whole[:100])
    with pytest.raises(FrameError, match=r"a.aselmdb, frame 1: ASE can't read it"):
        read_frames(path)
    path.write_bytes(b"nothing")
    with pytest.raises(FrameError, match=r"a.aselmdb: expected a database of ASE"):
        read_frames(path)


@pytest.mark.parametrize("number", [-1, 119, 2**31])
def test_atomic_numbers_that_no_element_has_are_refused(number):
    """ASE makes oganesson of -1."""
    ase = pytest.importorskip("ase")
    atoms = ase.Atoms("CN", [[0, 0, 0], [1.2, 0, 0]])
    atoms.arrays["numbers"] = np.array([6, number])
    with pytest.raises(FrameError, match=f"expected atomic numbers up to 118, found {number}"):
        frame_from_ase(atoms)


def test_labels_that_overflow_in_other_units_are_refused():
    """Read from text they are, too."""
    ase = pytest.importorskip("ase")
    atoms = ase.Atoms("CN", [[0, 0, 0], [1.2, 0, 0]], cell=[5, 5, 5], pbc=True)
    atoms.info["stress"] = np.full(6, 1e308)
    with pytest.raises(FrameError, match=r"expected numbers below 1e\+100 for 'stress', found 1e\+308"):
        frames_from_ase([atoms])


def test_a_length_beyond_all_memory_is_damage(tmp_path):
    """In a trajectory of ASE it stands before the description of each frame."""
    pytest.importorskip("ase")
    path = write_images(tmp_path / "a.traj", images())
    content = bytearray(path.read_bytes())
    place = int.from_bytes(content[int.from_bytes(content[40:48], "little") :][:8], "little")
    content[place : place + 8] = (2**62).to_bytes(8, "little")
    path.write_bytes(content)
    with pytest.raises(FrameError, match=r"a.traj, frame 1: ASE finds no memory for what the file says is in it"):
        read_frames(path)
