"""Files that ASE reads, in an input file and on the command line."""

from __future__ import annotations

import json
import tomllib

import ase_file_texts as texts
import numpy as np
import pytest
from job_files import job_frames, write_job

from hiertl_dist.cli import commands as cli
from hiertl_dist.jobs.input_file import Input
from hiertl_dist.model.solution import Solution
from hiertl_dist.units import EV

ase = pytest.importorskip("ase")


@pytest.fixture
def command(capsys):
    """Runs a command that must end with an exit code: stdout, stderr."""

    def run(*words, code=0):
        found = cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        assert found == code, err
        return out, err

    return run


def write_traj(path, frames):
    """Frames in an ASE trajectory; ``config`` is the group."""
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    images = []
    for frame in frames:
        atoms = ase.Atoms(list(frame.species), frame.positions, cell=frame.cell, pbc=True, info={"config": frame.group})
        xx, yy, zz, xy, xz, yz = -frame.stress / EV
        labels = {"energy": frame.energy / EV, "forces": frame.forces / EV, "stress": [xx, yy, zz, yz, xz, xy]}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        images.append(atoms)
    write(path, images, format="traj")
    return path


def test_an_input_file(command, tmp_path):
    frames, truth = job_frames()
    write_traj(tmp_path / "data.traj", frames)
    path = write_job(tmp_path, frames, data=[{"path": "data.traj", "group_key": "config"}])
    (tmp_path / "data.extxyz").unlink()
    read, _ = Input.from_toml(path).read_frames()
    assert [f.group for f in read] == [f.group for f in frames]
    out, err = command("fit", path)
    assert err == ""
    assert "data.traj: 18 frames; energy 18 (key energy), forces 18 (key forces), stress 18 (key stress)" in out
    found = Solution.load(tmp_path / "hiertl_results" / "CN.solution.npz").parameters.coefficients
    np.testing.assert_allclose(found, truth.restricted({"CN"}).coefficients, rtol=0, atol=1e-5)
    model = tmp_path / "hiertl_results" / "model.params.txt"
    assert "units of what ASE reads: eV" in command("evaluate", model, "--frames", tmp_path / "data.traj")[0]
    told = json.loads(command("evaluate", model, "--frames", tmp_path / "data.traj", "--json")[0])
    assert told["errors"]["all"]["frames"] == 18
    assert told["errors"]["all"]["force"] < 1e-6


def test_inspect_and_init(command, tmp_path):
    frames, _ = job_frames()
    path = write_traj(tmp_path / "whatever", frames)
    assert "--format" in command("inspect", path, code=2)[1]
    out, _ = command("inspect", path, "--format", "ase", "--group-key", "config")
    assert "18 frames" in out
    command("init", path, "--format", "ase", "-o", tmp_path / "input.toml")
    table = tomllib.loads((tmp_path / "input.toml").read_text())
    assert table["data"][0]["format"] == "ase"
    assert sum(map(len, Input.from_toml(tmp_path / "input.toml").read_frames())) == 18


def test_import(command, tmp_path):
    frames, _ = job_frames()
    path = write_traj(tmp_path / "whatever", frames)
    words = ("--format", "ase", "--group-key", "config", "--executor", "serial")
    out, err = command("import", tmp_path / "data", path, *words)
    assert err == ""
    assert f"{path}: 18 frames; energy 18 (key energy), forces 18 (key forces), stress 18 (key stress)" in out
    job = write_job(tmp_path, frames, data=[{"path": "data"}])
    read, _ = Input.from_toml(job).read_frames()
    assert [f.group for f in read] == [f.group for f in frames]
    np.testing.assert_allclose([f.energy for f in read], [f.energy for f in frames])


def test_files_of_vasp(command, tmp_path):
    (tmp_path / "OUTCAR").write_text(texts.outcar(ending="aborting loop EDIFF was not reached (unconverged)"))
    (tmp_path / "vasprun.xml").write_text(texts.vasprun())
    out, _ = command("inspect", tmp_path / "OUTCAR", tmp_path / "vasprun.xml")
    assert "4 frames" in out
    assert "the electrons were not converged" in out
    (tmp_path / "OUTCAR").write_text("nothing of the kind\n")
    assert "OUTCAR, frame 1: ASE can't read it: ParseError: Incomplete OUTCAR" in command(
        "inspect", tmp_path / "OUTCAR", code=2
    )[1]  # fmt: skip
