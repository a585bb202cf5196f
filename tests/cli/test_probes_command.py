"""``hiertl-dist probes``: a file of structures, and what is said of them."""

from __future__ import annotations

import json

from job_files import write_job
from synthetic import random_frame

from hiertl_dist import read_frames
from hiertl_dist.cli import commands as cli


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
