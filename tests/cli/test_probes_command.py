"""``hiertl-dist probes``: a file of structures, and what is said of them."""

from __future__ import annotations

import json

import numpy as np
from job_files import write_job
from synthetic import random_frame, small_basis

from hiertl_dist import Model, read_frames
from hiertl_dist.cli import commands as cli
from hiertl_dist.model.parameters import Parameters
from hiertl_dist.probes.lattice_volumes import lattice_volumes


def test_probes_are_written_and_told(tmp_path, capsys):
    frames = [random_frame((e,), (k, i), group=g) for k, e in enumerate("CN") for i, g in enumerate(["a", "b", "a"])]
    path, output = write_job(tmp_path, frames), tmp_path / "out" / "probes.extxyz"
    command = ["probes", str(path), "--elements", "C", "N", "--count", "5", "-o", str(output), "--groups", "a"]
    assert cli.main([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    made = read_frames(output)
    assert [f.formula for f in made] == [f["formula"] for f in said["frames"]]
    assert len(made) == 5
    assert {f["made_of"]["group"] for f in said["frames"]} == {"a"}
    assert said["limits"].keys() == {"CC", "CN", "NN"}
    assert cli.main(command) == 2
    assert "is there already; --overwrite writes over it" in capsys.readouterr().err
    assert cli.main([*command, "--overwrite", "--volumes", "C=8.5", "--seed", "1"]) == 0
    out = capsys.readouterr().out
    assert "5 probe structures, without labels" in out
    assert "volumes that are mixed: C 8.500" in out
    assert [f.digest for f in read_frames(output)] != [f.digest for f in made]
    assert cli.main([*command, "--overwrite", "--volumes", "O=8.5"]) == 2
    assert "expected ELEMENT=VOLUME such as Mo=15.9, with one of the elements C, N, found 'O=8.5'" in (
        capsys.readouterr().err
    )


def test_a_frozen_model_gives_the_volume_of_an_element_without_frames(tmp_path, capsys):
    basis = small_basis((2, 0, 0), ("N",), rmin=0.8, rmax=2.5, three_body={"rmax": 2.5}, four_body={"rmax": 2.5})
    model = Model(Parameters(basis, np.array([200.0, 20.0, 0.0]), coverage={"N:NN": (1.1, 2.4)}, source="well"))
    model.write(tmp_path / "N.params.txt")
    frames = [random_frame(("C",), i) for i in range(3)]
    path, output = write_job(tmp_path, frames, frozen={"files": ["N.params.txt"]}), tmp_path / "probes.extxyz"
    command = ["probes", str(path), "--elements", "CN", "--count", "6", "-o", str(output), "--overwrite"]
    assert cli.main(command) == 0
    out = capsys.readouterr().out
    volume = lattice_volumes(model)["N"]
    assert f"N {volume:.3f}" in out
    assert f"N: the volume is that of the lowest lattice of {tmp_path / 'N.params.txt'}" in out
    assert "N: no frame of N alone that can be used" in out
    assert "NN 1.100" in out
    assert {f.element_set for f in read_frames(output)} == {"CN"}
    assert cli.main([*command, "--volumes", "N=3.5", "--json"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert any("N 3.500" in note for note in notes)
    assert not any("lowest lattice" in note for note in notes)
