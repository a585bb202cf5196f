"""``hiertl-dist store``: design stores, summary stores and data sets, whichever the folder is."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from job_files import job_frames, write_job

from hiertl_dist import Dataset, open_summaries
from hiertl_dist.cli import commands as cli
from hiertl_dist.executors import executor
from hiertl_dist.files.claims import take_claim

KINDS = {"rows": "design store", "summaries": "summary store", "data": "data set"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An input with a design store, a summary store and a data set beside it."""
    folder = tmp_path_factory.mktemp("stores")
    frames = job_frames({"C": 3, "N": 3, "CN": 3})[0]
    path = write_job(folder, frames, store={"path": "rows"}, search={"summaries": "summaries", "folds": 2})
    for words in (["fit", path, "--output", folder / "out"], ["summarise", path]):
        assert cli.main(list(map(str, words))) == 0
    Dataset.create(folder / "data", folder / "data.extxyz", group_key="config", executor=executor("serial"))
    return folder


@pytest.fixture
def folder(made, tmp_path):
    copied = tmp_path / "stores"
    shutil.copytree(made, copied)
    return copied


@pytest.fixture
def store(capsys):
    """Runs ``hiertl-dist store … --json``: exit code and the one store of the answer."""

    def command(*words):
        code = cli.main(["store", *map(str, words), "--json"])
        (own,) = json.loads(capsys.readouterr().out)["stores"]
        return code, own

    return command


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def summarised(folder):
    (place,) = (p.parent for p in (folder / "summaries").glob("*/index.json"))
    groups = open_summaries(place).groups
    return {group: groups[group].r.tobytes() for group in groups}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_whole_is_told_and_left_alone(made, store, name, capsys):
    before = {p: p.stat().st_mtime_ns for p in (made / name).rglob("*") if ".lock" not in p.name}
    code, own = store("check", made / name)
    assert (code, own["kind"], own["faults"]) == (0, KINDS[name], [])
    code, own = store("gc", made / name, "--dry-run", "--min-age", 0)
    assert (code, own["files"]) == (0, [])
    code, own = store("info", made / name)
    assert (code, own["kind"]) == (0, KINDS[name])
    assert own["bytes"] > 1000
    assert cli.main(["store", "info", str(made / name)]) == 0
    assert KINDS[name] in capsys.readouterr().out
    assert before == {p: p.stat().st_mtime_ns for p in (made / name).rglob("*") if ".lock" not in p.name}


def test_a_damaged_batch_is_taken_out_and_reduced_again(folder, store, capsys):
    expected = summarised(folder)
    for suffix in ("f64", "frames", "json"):
        path = sorted((folder / "summaries").glob(f"*/{'?' * 64}.{suffix}"))[0]
        flip(path)
        code, own = store("check", folder / "summaries")
        assert (code, [f["file"] for f in own["faults"]]) == (1, [str(path)])
        assert "reduced again by the next summarise" in own["faults"][0]["remedy"]
        assert store("repair", folder / "summaries")[0] == 0
        assert store("check", folder / "summaries") == (0, own | {"faults": []})
        assert cli.main(["summarise", str(folder / "input.toml")]) == 0
        capsys.readouterr()
        assert summarised(folder) == expected


def test_a_damaged_part_is_read_again_by_the_same_import(folder, store):
    def create():
        return Dataset.create(folder / "data", folder / "data.extxyz", group_key="config", executor=executor("serial"))

    # imported from where it is now, which is what an import compares
    shutil.rmtree(folder / "data")
    expected = [f.digest for f in create()]
    path = folder / "data" / "atoms" / "positions" / "c" / "0" / "0"
    content = path.read_bytes()
    path.write_bytes(content[:3] + b"?" + content[4:])
    code, own = store("repair", folder / "data")
    assert code == 0
    assert "the same import of" in own["mended"][0]["remedy"]
    assert [f.digest for f in create()] == expected
    assert store("check", folder / "data")[0] == 0
    # where its source is another file now, the frames that are whole stay readable
    os.utime(folder / "data.extxyz", ns=(1, 1))
    path.write_bytes(content[:3] + b"?" + content[4:])
    code, own = store("repair", folder / "data")
    assert (code, own["mended"]) == (1, [])
    assert "has changed since" in own["left"][0]["remedy"]
    np.testing.assert_equal(len(Dataset(folder / "data")), len(expected))


def test_the_padding_of_a_chunk_is_mended_from_its_frames(folder, store):
    path = folder / "data" / "frames" / "values" / "c" / "0" / "0"
    content = path.read_bytes()
    path.write_bytes(content[:-20] + b"12345678901234567890")
    code, own = store("check", folder / "data")
    assert (code, own["faults"][0]["file"]) == (1, str(path))
    assert store("repair", folder / "data")[0] == 0
    assert path.read_bytes() == content


def test_leftovers_go_and_young_ones_stay(folder, store):
    place = next((folder / "summaries").glob("*/index.json")).with_name("index.json.0123.partial")
    place.write_bytes(b"12")
    assert store("gc", folder / "summaries")[1]["files"] == []
    claim = take_claim(place)  # a living writer has it locked
    assert claim is not None
    assert store("gc", folder / "summaries", "--min-age", 0)[1]["files"] == []
    os.close(claim.descriptor)
    place.write_bytes(b"12")
    code, own = store("gc", folder / "summaries", "--min-age", 0, "--dry-run")
    assert (own["bytes"], place.exists()) == (2, True)
    code, own = store("gc", folder / "summaries", "--min-age", 0)
    assert (code, own["bytes"], place.exists()) == (0, 2, False)


def test_a_folder_without_a_store_is_refused(tmp_path, capsys):
    assert cli.main(["store", "check", str(tmp_path)]) == 2
    assert "expected a design store" in capsys.readouterr().err
    assert cli.main(["store", "check", str(tmp_path / "no")]) == 2
    assert "there is no folder" in capsys.readouterr().err
