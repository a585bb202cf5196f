"""Files that ASE reads become the data set that their frames are, whoever works."""

from __future__ import annotations

import ase_file_texts as texts
import numpy as np
import pytest

from hiertl_dist import executor, read_frames
from hiertl_dist.dataset import importing, streaming
from hiertl_dist.dataset.dataset import Dataset
from hiertl_dist.errors import FrameError

ase = pytest.importorskip("ase")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An OUTCAR, a vasprun.xml, a trajectory and a database, in parts of few frames."""
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.db import connect
    from ase.io import write

    monkeypatch.setattr(streaming, "MOST_FRAMES", 3)
    (tmp_path / "OUTCAR").write_text(texts.outcar())
    (tmp_path / "vasprun.xml").write_text(texts.vasprun(electronic=texts.NELM))
    rng = np.random.default_rng(0)
    made = []
    for k in range(8):
        atoms = ase.Atoms("CN", rng.normal(size=(2, 3)), cell=[5, 6, 7], pbc=True, info={"kind": f"k{k % 2}"})
        atoms.calc = SinglePointCalculator(atoms, energy=-k - 1.0, forces=rng.normal(size=(2, 3)))
        made.append(atoms)
    write(tmp_path / "a.traj", made)
    with connect(tmp_path / "b.db") as database:
        for atoms in made:
            atoms.positions[1] += 0.1
            atoms.calc.atoms = atoms.copy()
            database.write(atoms, kind=atoms.info["kind"])
    write(tmp_path / "c.extxyz", made[:2], format="extxyz")
    return tmp_path


def same(data, frames):
    assert [f.digest for f in data] == [f.digest for f in frames]
    assert [(f.origin, f.labels, f.group) for f in data] == [(f.origin, f.labels, f.group) for f in frames]


NAMES = ("OUTCAR", "a.traj", "c.extxyz", "b.db", "vasprun.xml")


@pytest.mark.parametrize("kind", ["serial", "processes"])
@pytest.mark.filterwarnings("ignore:Dataset.create.*the electrons may not have converged")
@pytest.mark.filterwarnings("ignore:read_frames.*the electrons may not have converged")
def test_frames_are_those_that_are_read(folder, kind, two_processes):
    paths = [folder / name for name in NAMES]
    runner = two_processes if kind == "processes" else executor("serial")
    same(Dataset.create(folder / "d", paths, executor=runner), read_frames(paths))


@pytest.mark.filterwarnings("ignore:Dataset.create.*the electrons may not have converged")
@pytest.mark.filterwarnings("ignore:read_frames.*the electrons may not have converged")
def test_outcars_of_many_folders_are_told_apart(folder):
    for run in ("run1", "run2"):
        (folder / run).mkdir()
        (folder / run / "OUTCAR").write_text(texts.outcar())
    frames = read_frames(f"{folder}/run*/OUTCAR")
    assert [f.origin for f in frames] == [f"run{r}/OUTCAR, frame {k}" for r in (1, 2) for k in (1, 2)]
    assert [f.group for f in frames] == ["run1", "run1", "run2", "run2"]
    with executor("serial") as workers:
        same(Dataset.create(folder / "d", f"{folder}/run*/OUTCAR", executor=workers), frames)


def test_tables_of_an_input_file(folder):
    tables = [
        {"path": str(folder / "a.traj"), "group_key": "kind", "start": 1, "stop": 6},
        {"path": str(folder / "*.db"), "group_key": "kind", "format": "ase"},
    ]
    with executor("serial") as workers:
        data = Dataset.create(folder / "d", tables, executor=workers)
    same(data, [f for table in tables for f in read_frames(**table)])
    assert set(data.facts.groups()) == {"k0", "k1"}


def test_more_is_added_and_what_is_there_stays(folder):
    with executor("serial") as workers:
        Dataset.create(folder / "d", folder / "a.traj", executor=workers)
        data = Dataset.create(folder / "d", folder / "b.db", executor=workers, append=True)
        assert len(Dataset.create(folder / "d", folder / "b.db", executor=workers, append=True)) == 16
    same(data, read_frames([folder / "a.traj", folder / "b.db"]))


def test_an_import_that_was_stopped_is_gone_on_with(folder, monkeypatch):
    written = importing.write_part
    count = []

    def stopping(*arguments):
        count.append(1)
        if len(count) == 2:
            raise KeyboardInterrupt
        written(*arguments)

    monkeypatch.setattr(importing, "write_part", stopping)
    with executor("serial") as workers:
        with pytest.raises(KeyboardInterrupt):
            Dataset.create(folder / "d", folder / "a.traj", executor=workers)
        data = Dataset.create(folder / "d", folder / "a.traj", executor=workers)
    assert len(count) == 4  # of three parts the first stays
    same(data, read_frames(folder / "a.traj"))


def test_a_file_that_is_still_written(folder, monkeypatch):
    """As an OUTCAR of a run that goes on."""
    written = importing.write_part

    def growing(*arguments):
        with (folder / "OUTCAR").open("a") as stream:
            stream.write("more\n")
        written(*arguments)

    monkeypatch.setattr(importing, "write_part", growing)
    with executor("serial") as workers, pytest.raises(FrameError, match=r"OUTCAR: the file changed while it was read"):
        Dataset.create(folder / "d", folder / "OUTCAR", executor=workers)


def test_errors_name_file_and_frame(folder):
    text = (folder / "OUTCAR").read_text()
    begin, position, end = text.rpartition(f"{texts.POSITIONS[1][1, 2]:13.6f}")
    (folder / "OUTCAR").write_text(begin + "*" * len(position) + end)
    with executor("serial") as workers:
        with pytest.raises(FrameError, match=r"OUTCAR, frame 2: ASE can't read it"):
            Dataset.create(folder / "d", folder / "OUTCAR", executor=workers)
        with pytest.raises(FrameError, match=r"a\.traj: no frame has the energy key 'e'"):
            Dataset.create(folder / "e", folder / "a.traj", executor=workers, energy_key="e")
