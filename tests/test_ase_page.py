"""The scripts of the page on ASE, as they stand: dynamics, and dynamics with error bars."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("ase")

from ase import Atoms
from ase.io import read, write
from doc_pages import blocks
from fitted_folder import write_fitted
from test_architecture import ROOT

from hiertl_dist.cli import commands as cli


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A fitted model of C with its covariance, and a crystal to start from."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    fit = write_fitted(tmp_path / "results", ("C",))
    fit.model.write(tmp_path / "model.params.txt")
    grid = 2.6 * np.stack(np.meshgrid(*[range(2)] * 3), -1).reshape(-1, 3)
    write("start.extxyz", Atoms("C8", positions=grid, cell=[5.2] * 3, pbc=True))
    return tmp_path


@pytest.mark.filterwarnings("ignore::hiertl_dist.HiertlWarning")  # a lattice that nothing was fitted on
def test_the_scripts_run(folder, capsys):
    plain, with_errors = (text for _, _, text in blocks(ROOT / "docs" / "howto" / "ase.md", "python"))
    exec(compile(plain.replace("run(1000)", "run(200)"), "ase.md", "exec"), {})
    assert len(read("md.traj", ":")) == 3
    short = with_errors.replace("run.run(100)", "run.run(2)").replace("interval=100", "interval=2")
    exec(compile(short, "ase.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    said = r" *([\d.]+) fs +(\S+) ± (\S+) eV, largest σ of a force (\S+) eV/Å, leverage (\S+)"
    found = [re.fullmatch(said, line) for line in lines]
    assert found
    assert all(float(m[3]) > 0.0 and float(m[4]) > 0.0 for m in found)
    command = ["predict", "results/model.params.txt", "--frames", "md.traj", "-o", "predicted.extxyz"]
    assert cli.main(command) == 0
    said = read("predicted.extxyz", 0)
    assert float(found[0][2]) == pytest.approx(said.info["predicted_energy"], abs=2e-3)
    assert float(found[0][3]) == pytest.approx(said.info["sigma_energy"], abs=2e-3)
