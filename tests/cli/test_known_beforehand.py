"""What commands know beforehand is said at once: blocks that need a model, folders, what only frames can tell."""

from __future__ import annotations

import json
import re

import pytest
from job_files import write_job
from synthetic import random_frames

from hiertl_dist import InputError, MissingFileError, read_frames
from hiertl_dist.cli import commands as cli

FRAMES = random_frames({"C": 2, "N": 2, "CN": 2})
ONE = "1\nProperties=species:S:1:pos:R:3 energy=-1.0\nC 0 0 0\n"


def test_blocks_that_need_a_model_are_refused_before_anything_is_computed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hiertl_dist.jobs.input_views.compile_kernels", lambda *_: pytest.fail("computes"))
    job = write_job(tmp_path, FRAMES)
    assert cli.main(["path", str(job), "--blocks", "C"]) == 2
    said = capsys.readouterr().err
    assert re.search(r"blocks N, CN are not fitted here.*--model FILE.*hiertl_results.model\.params\.txt", said)
    assert cli.main(["path", str(job), "--blocks", "CO"]) == 2
    assert "expected some of C, N, CN, found CO" in capsys.readouterr().err
    assert not (tmp_path / "summaries").exists()


@pytest.mark.parametrize("of_rows", [False, True])
def test_config_check_says_what_only_frames_can_tell(tmp_path, capsys, of_rows):
    (tmp_path / "weights.dat").write_text("1.0\n")  # one weight, of many
    tables = {"hold_out": {"groups": ["nobody*"]}, "fit": {"weights": {"force": 1.0, "liquid": 2.0}, "apart": ["l*"]}}
    weights = {"rows" if of_rows else "frames": "weights.dat"}
    job = write_job(tmp_path, FRAMES, **tables, weights=weights)
    assert cli.main(["config", "check", str(job), "--json"]) == 0
    (which,) = weights
    assert json.loads(capsys.readouterr().out)["not_compared"] == [
        "hold_out.groups", "fit.weights", "fit.apart", f"weights.{which}"
    ]  # fmt: skip
    assert cli.main(["config", "check", str(job)]) == 0
    assert f"no frames were read; hiertl-dist plan {job} compares them" in capsys.readouterr().out
    assert cli.main(["plan", str(job)]) == 2, "which it does"
    assert "nobody*" in capsys.readouterr().err


def test_init_says_at_once_that_files_are_large(tmp_path, capsys, monkeypatch):
    write_job(tmp_path, FRAMES)
    words = ["inspect", str(tmp_path / "data.extxyz"), "--json"]
    assert cli.main(words) == 0
    assert "import" not in capsys.readouterr().err
    monkeypatch.setattr("hiertl_dist.cli.look_job.LARGE", 1)
    monkeypatch.setattr("hiertl_dist.cli.look_job.read_guessed", lambda *_: pytest.fail("reads"))
    with pytest.raises(pytest.fail.Exception):
        cli.main(words)
    assert "'hiertl-dist import FOLDER FILES'" in capsys.readouterr().err


def test_a_folder_named_as_a_file_is_answered_with_patterns(tmp_path):
    folder = tmp_path / "runs"
    for name in ("a.extxyz", "b.extxyz", "c.xyz.gz", "1/OUTCAR", "2/OUTCAR", "1/note.xml", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(ONE)
    with pytest.raises(InputError, match=r"found the folder .*runs;") as caught:
        read_frames(folder)
    named = re.findall(r"'([^']+)' \((\d+) files?\)", str(caught.value))
    assert sorted((n.removeprefix(f"{folder}/"), int(k)) for n, k in named) == [
        ("**/OUTCAR", 2), ("*.extxyz", 2), ("*.xyz.gz", 1)
    ]  # fmt: skip
    assert len(read_frames(next(n for n, _ in named if n.endswith("*.extxyz")))) == 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no file is named as a trajectory"):
        read_frames(tmp_path / "empty")
    with pytest.raises(MissingFileError):
        read_frames(tmp_path / "nothing")
