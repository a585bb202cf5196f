"""An input of an ``fm_setup.in``, written out as one of ``[basis]`` and ``[[data]]``."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
from fm_text import add, frames_text, setup
from job_files import write_fm_setup
from synthetic import random_frames

from hiertl_dist.cli.commands import main
from hiertl_dist.errors import InputError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.jobs.expanding import expanded_text
from hiertl_dist.jobs.fit_job import plan_job, plan_text
from hiertl_dist.jobs.input_file import Input
from hiertl_dist.jobs.run_record import plain


def written(folder, text):
    (folder / "input.toml").write_text(text)
    return folder / "input.toml"


def expanded(path, **options):
    text = expanded_text(path, **options)
    (path.parent / "expanded.toml").write_text(text)
    return text, Input.from_toml(path.parent / "expanded.toml")


def same_frames(first, second):
    assert [f.group for f in first] == [f.group for f in second]
    for one, other in zip(first, second, strict=True):
        assert (one.energy, one.origin) == (other.energy, other.origin)
        np.testing.assert_array_equal(one.forces, other.forces)
        np.testing.assert_array_equal(one.stress, other.stress)


HEADS = [
    ("", "[fit]\nweights = {}"),
    ("[fit]   # ours\nregulariser = { kind = 'ridge', alpha = 1e-3 }\n", "[fit]   # ours\nweights = {}"),
    ("[fit]\nweights = { force = 1.0, energy = 0.3 }\n", "[fit]\nweights = { force = 1.0, energy = 0.3 }"),
    ("[fit.blocks.C]\npolicy = 'lsq'\n", "[fit]\nweights = {}"),
    ("[weights]\nenergy = 0.3\n[fit.blocks.C]\npolicy = 'lsq'\n", "[weights]\nenergy = 0.3\n[fit.blocks.C]"),
]


@pytest.mark.parametrize(("rest", "kept"), HEADS)
def test_the_same_basis_frames_and_weights(tmp_path, rest, kept):
    write_fm_setup(tmp_path, random_frames({"C": 2, "N": 2, "CN": 2}))
    path = written(tmp_path, f'# chimes\n fm_setup = "fm_setup.in"\n{rest}')
    job = Input.from_toml(path)
    text, own = expanded(path)
    assert own.basis == job.basis
    assert (plain(own.fit), plain(own.block_fits)) == (plain(job.fit), plain(job.block_fits))
    assert text.startswith("# chimes\n")
    assert kept in text
    same_frames(job.read_frames()[0], own.read_frames()[0])


def test_special_cutoffs_exclusions_and_groups(tmp_path):
    more = "SPECIAL 3B S_MAXIM: SPECIFIC 1\nOCOCCC CC CO OC 3.5 3.0 3.0\nEXCLUDE 4B INTERACTION: 1\nC C C C"
    fm = setup(tmp_path, ("\ttraj.xyzf", "MULTI list.dat"), ("# NFRAMES #\n    3", "# NFRAMES #\n    5"), add(more))
    (tmp_path / "list.dat").write_text("2\n2 a.xyzf 300\n3 b.xyzf G_ G_ G_\n")
    for name, n in (("a.xyzf", 2), ("b.xyzf", 3)):
        (tmp_path / name).write_text(frames_text(n))
    path = written(tmp_path, f'fm_setup = "{fm.name}"\n')
    job = Input.from_toml(path)
    own = expanded(path)[1]
    assert own.basis == job.basis
    assert own.basis.type_named("CCO").edge("C", "O").rmax == 3.0
    assert "CCCC" not in [t.name for t in own.basis.types]
    assert [d["group"] for d in own.data] == ["a", "G_b"]
    same_frames(job.read_frames()[0], own.read_frames()[0])


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (("    ALL", "true"), "off-diagonal stresses"),
        (("    ALL", "false"), "stresses"),
        (("    ALL", "FIRSTALL 2"), "stresses of all but the first 2 frames"),
        (("    true   of every frame", "false"), "energies"),
        (("    true   of every frame", "FIRST 1"), "energies of all but the first 1 frames"),
    ],
)
def test_labels_that_are_left_out_come_from_a_data_set(tmp_path, change, left):
    fm = setup(tmp_path, change)
    path = written(tmp_path, f'fm_setup = "{fm.name}"\n')
    with pytest.raises(InputError, match=f"leaves out {left}, which .*hiertl-dist import data.frames .*--data"):
        expanded_text(path)
    assert main(["import", str(tmp_path / "data.frames"), str(fm), "--executor", "serial"]) == 0
    job, own = Input.from_toml(path), expanded(path, data="data.frames")[1]
    same_frames(job.read_frames()[0], own.read_frames()[0])


def test_refusals(tmp_path):
    write_fm_setup(tmp_path, random_frames({"C": 1}))
    for text in (
        'fm_setup = "fm_setup.in"\nfit.policy = "lsq"\n',
        'fm_setup = "fm_setup.in"\nfit = { policy = "lsq" }\n',
        "note = 1\n",
    ):
        path = written(tmp_path, text)
        with pytest.raises(InputError, match=r"line by line|note"):
            expanded_text(path)
    path = written(tmp_path, 'fm_setup = "fm_setup.in"\n')
    path.write_text(expanded_text(path))
    with pytest.raises(InputError, match="expected an fm_setup, found"):
        expanded_text(path)


def test_the_command(tmp_path, capsys):
    write_fm_setup(tmp_path, random_frames({"C": 2}))
    path = written(
        tmp_path, 'fm_setup = "fm_setup.in"\n[cycle]\nlabel = "emt"\n[[cycle.states]]\ntemperatures = [300]\n'
    )
    assert main(["config", "check", str(path)]) == 0
    assert f"note: [cycle]: a loop needs [basis] and [[data]], which hiertl-dist config expand {path} writes" in (
        capsys.readouterr().out
    )
    assert main(["config", "expand", str(path)]) == 0
    printed = capsys.readouterr().out
    assert main(["config", "expand", str(path), "-o", str(tmp_path / "new.toml")]) == 0
    assert (tmp_path / "new.toml").read_text() == printed
    assert set(tomllib.loads(printed)) == {"cycle", "fit", "basis", "data"}
    capsys.readouterr()
    for output, why in ((path, "is read"), (tmp_path / "new.toml", "overwrite"), (tmp_path.parent / "x", "folder")):
        assert main(["config", "expand", str(path), "-o", str(output)]) == 2
        assert why in capsys.readouterr().err


def test_what_reading_the_trajectories_notes_is_told(tmp_path):
    write_fm_setup(tmp_path, random_frames({"C": 3, "N": 3, "CN": 4}), count=9)
    job = Input.from_toml(written(tmp_path, 'fm_setup = "fm_setup.in"\n'))
    surplus = "train.xyzf: only the first 9 frames are read (NFRAMES); it has more"
    assert surplus not in job.notes
    assert job.read_weighed()[0].frame_notes == (surplus,)
    with SerialExecutor() as runner:
        facts = plan_job(job, runner)[1]
        assert surplus in facts["notes"]
        text = plan_text(facts | {"notes": [f"note {k}" for k in range(20)], "skipped_frames": list("abcdefghij")})
    assert "  note 19\n" in text
    assert "frames left out (10):\n  a\n" in text
    assert "  h\n  … and 2 more\n" in text
