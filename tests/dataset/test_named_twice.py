"""Files that are named twice are refused, and frames that are there more than once are told."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from job_files import write_job
from synthetic import random_frame

from hiertl_dist import read_frames
from hiertl_dist.cli import commands as cli
from hiertl_dist.dataset.holding_out import equal_frames_notes
from hiertl_dist.errors import InputError
from hiertl_dist.executors import SerialExecutor
from hiertl_dist.jobs.fit_job import plan_job
from hiertl_dist.jobs.input_file import Input
from hiertl_dist.suggestion.guessing import read_guessed

FRAME = '1\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3 energy={energy}\nC {x} 0 0\n'


@pytest.fixture
def folder(tmp_path):
    for name, shift in (("a", 0.0), ("b", 4.0)):
        (tmp_path / f"{name}.extxyz").write_text("".join(FRAME.format(energy=-i, x=shift + i) for i in range(4)))
    (tmp_path / "link.extxyz").symlink_to(tmp_path / "a.extxyz")
    os.link(tmp_path / "b.extxyz", tmp_path / "hard.extxyz")
    return tmp_path


@pytest.mark.parametrize(("names", "first"), [
    (["a.extxyz", "a.extxyz"], "a.extxyz"), (["a.extxyz", "sub/../a.extxyz"], "a.extxyz"),
    (["[a]*.extxyz", "a.extxyz"], "a.extxyz"), (["a.extxyz", "link.extxyz"], "a.extxyz"),
    (["b.extxyz", "hard.extxyz"], "b.extxyz"), (["[bh]*.extxyz"], "b.extxyz"),
])  # fmt: skip
def test_a_file_is_named_once(folder, names, first):
    (folder / "sub").mkdir()
    paths = [str(folder / name) for name in names]
    for read in (read_frames, read_guessed):
        with pytest.raises(InputError, match="the file is named twice, by ") as caught:
            read(paths)
        assert first in str(caught.value)
    if len(paths) == 1:
        with pytest.raises(InputError, match="the file is named twice, by "):
            read_frames(paths[0])


def job_of(folder, *tables, **more):
    table = {
        "basis": {"elements": ["C"], "orders": [2, 0, 0], "pairs": {"CC": {"rmin": 0.5, "rmax": 4.0, "lambda": 1.5}}},
        "data": list(tables), **more,
    }  # fmt: skip
    return Input.from_dict(table, folder)


def test_in_two_tables(folder):
    for other in ("a.extxyz", "link.extxyz", "[a]*"):
        job = job_of(folder, {"path": "a.extxyz", "group": "one"}, {"path": other, "group": "two"})
        with pytest.raises(InputError, match=r"by data\[1\] \('a.extxyz'\) and by data\[2\]"):
            job.read_frames()


def test_parts_of_a_file_are_not_the_same_frames(folder):
    parts = ({"path": "a.extxyz", "stop": 1}, {"path": "a.extxyz", "start": 1, "stop": 3}, {"path": "b.extxyz"})
    fitted, _ = job_of(folder, *parts).read_frames()
    assert len(fitted) == 7
    with pytest.raises(InputError, match="named twice"):
        job_of(folder, parts[0], {"path": "a.extxyz", "stop": 3}).read_frames()


def test_it_is_told_with_all_else_that_is_wrong(folder):
    job = {"basis": 3, "data": [{"path": "a.extxyz"}, {"path": "link.extxyz"}, {"path": "none.extxyz"}]}
    with pytest.raises(InputError) as caught:
        Input.from_dict(job, folder, look_for_files=True)
    assert "named twice" in str(caught.value)
    assert "there is no file" in str(caught.value)


def test_equal_frames_of_two_files(folder):
    (folder / "copy.extxyz").write_text((folder / "a.extxyz").read_text())
    job = job_of(folder, {"path": ["a.extxyz", "b.extxyz", "copy.extxyz"]}, hold_out={"groups": ["copy"]})
    _, found = plan_job(job, SerialExecutor())
    assert any(n.startswith("WARNING: 4 of 4 frames that are held out are fitted as well") for n in found["notes"])
    job = job_of(folder, {"path": ["a.extxyz", "b.extxyz", "copy.extxyz"]})
    _, found = plan_job(job, SerialExecutor())
    assert any("4 frames of 12 to be fitted have the atoms, positions and cell of an earlier" in n
               for n in found["notes"])  # fmt: skip


def test_what_is_said_of_equal_frames():
    one, two = (random_frame(("C",), i) for i in range(2))
    assert equal_frames_notes([one, two], []) == ()
    assert equal_frames_notes([one], [two]) == ()
    same, other = replace(one, group="elsewhere"), replace(one, energy=(one.energy or 0.0) + 1.0)
    assert "with the same labels, and counts once more" in equal_frames_notes([one, same])[0]
    assert "with other labels, and counts once more" in equal_frames_notes([one, other])[0]
    (said,) = equal_frames_notes([one, two], [same])
    assert said.startswith("WARNING: 1 of 1 frames that are held out is fitted as well")


def doubled(path):
    """The same job with its data under another name as well."""
    (data,) = path.parent.glob("*.extxyz")
    (path.parent / "again.extxyz").write_text(data.read_text())
    text = path.read_text().replace(f'"{data.name}"', f'["{data.name}", "again.extxyz"]')
    assert text != path.read_text()
    path.write_text(text)


def test_a_search_counts_equal_frames_once_and_says_so(tmp_path, capsys):
    grid = {"folds": {"count": 2, "split": "frame"}, "grid": {"regulariser": {"kind": "ridge", "alpha": [1e-3]}}}
    path = write_job(tmp_path, search=grid)
    found = {}
    for name in ("once", "again"):
        if name == "again":
            doubled(path)
        for verb in ("summarise", "search"):
            own = ["--no-plot", "--output", str(tmp_path / name)] if verb == "search" else []
            assert cli.main([verb, str(path), "--executor", "serial", "--json", "--fresh", *own]) == 0
            out = json.loads(capsys.readouterr().out)
            found[name, verb] = out
            said = [n for n in out["notes"] if "and each counts once here" in n]
            assert len(said) == (name == "again")
            assert not [n for n in out["notes"] if "once more" in n]
    assert found["once", "summarise"]["rows"] == found["again", "summarise"]["rows"]
    assert found["once", "search"]["errors"] == found["again", "search"]["errors"]


def test_a_fit_says_so(tmp_path, capsys):
    path = write_job(tmp_path)
    doubled(path)
    assert cli.main(["fit", str(path), "--executor", "serial"]) == 0
    assert "of an earlier one, with the same labels" in capsys.readouterr().out
