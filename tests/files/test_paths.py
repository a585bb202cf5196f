"""Paths: URLs are refused in every place, what is missing is looked for, files have the rights of the umask."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_files import ORDERS, job_frames, write_extxyz, write_job
from synthetic import random_frames, small_basis

from hiertl_dist import Basis, DesignStore, Model, assemble, executor, open_summaries, read_frames, summarise
from hiertl_dist.cli import commands as cli
from hiertl_dist.compiled.cache import DIGEST, forget_other_sources
from hiertl_dist.dataset.dataset import Dataset
from hiertl_dist.design_matrix.planning import make_plan
from hiertl_dist.errors import HiertlError, InputError, MissingFileError
from hiertl_dist.evaluation.energies import read_parts
from hiertl_dist.files.paths import ABSENT, beside, difference_lines, differences, local_path, move_aside, require_file
from hiertl_dist.fitting.hierarchy import fit_hierarchy
from hiertl_dist.fitting.settings import HierarchyOptions
from hiertl_dist.fitting.summary_store import SummaryStore
from hiertl_dist.io.fm_setup import read_fm_setup
from hiertl_dist.jobs.input_file import Input
from hiertl_dist.model.solution import Solution
from hiertl_dist.text.words import shown

BASIS = small_basis(ORDERS)
few = settings(derandomize=True, deadline=None, max_examples=30, database=None)

URLS = ["s3://bucket/design.zarr", "gs://b/x", "http://host/x", "https://host/x.zarr", "file:///tmp/x", "memory://x"]


# ---- URLs


@pytest.mark.parametrize("url", URLS)
def test_urls_are_known_also_after_pathlib(url):
    for path in (url, Path(url), Path("/home/me") / url, Path("folder") / url):
        with pytest.raises(InputError, match=f"store: expected a path on this machine, found the URL '{url[:4]}"):
            local_path(path, "store")


@pytest.mark.parametrize("path", ["a/b", "/tmp/x", "C:/x", "..", "x:y", "data 1:2/x", "12:/x", "a/b:c"])
def test_paths_are_no_urls(path):
    assert local_path(path) == Path(path)


PLACES = {
    "data": {"data": [{"path": "gs://b/x.extxyz"}]},
    "data in a list": {"data": [{"path": ["a.extxyz", "gs://b/*.extxyz"]}]},
    "store": {"store": {"path": "gs://b/design.zarr"}},
    "output": {"output": {"folder": "s3://b/out"}},
    "frozen": {"frozen": {"files": ["s3://b/C.params.txt"]}},
    "summaries": {"search": {"summaries": "gs://b/summaries"}},
    "fm_setup": {"fm_setup": "s3://b/fm_setup.in", "basis": None, "data": None},
}


@pytest.mark.parametrize("place", PLACES)
def test_urls_of_an_input_file_are_refused(tmp_path, place):
    path = write_job(tmp_path, random_frames({"C": 1}), **PLACES[place])
    with pytest.raises(InputError, match=r"found the URL '(s3|gs):/"):
        Input.from_toml(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.extxyz", "input.toml"]


URL = "s3://bucket/x"
NEVER = "gs://bucket/x"
"""No place of stores and data sets, either, as s3:// is."""
FRAMES = job_frames({"C": 2})[0]
CALLS = {
    "store": lambda w: assemble(FRAMES, BASIS, NEVER, executor=w),
    "plan": lambda w: make_plan(FRAMES, BASIS, store=NEVER),
    "open": lambda w: DesignStore.open(NEVER), "open path": lambda w: DesignStore.open(Path(NEVER)),
    "fit": lambda w: fit_hierarchy(FRAMES, BASIS, options=HierarchyOptions(store=NEVER), executor=w),
    "summarise": lambda w: summarise(FRAMES, BASIS, folds=2, summaries=NEVER, executor=w),
    "summarise, rows": lambda w: summarise(FRAMES, BASIS, folds=2, store=Path(NEVER), executor=w),
    "summaries": lambda w: open_summaries(NEVER), "create": lambda w: SummaryStore.create(NEVER, {}),
    "data set": lambda w: Dataset(NEVER), "import": lambda w: Dataset.create(NEVER, FRAMES, executor=w),
    "checkpoint": lambda w: fit_hierarchy(FRAMES, BASIS, options=HierarchyOptions(checkpoint=NEVER), executor=w),
    "frames": lambda w: read_frames(URL + ".extxyz"), "setup": lambda w: read_fm_setup(URL),
    "basis": lambda w: Basis.from_toml(URL), "input": lambda w: Input.from_toml(URL),
    "model": lambda w: Model.read(URL), "parts": lambda w: read_parts(URL), "solution": lambda w: Solution.load(URL),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_urls_are_refused_in_python(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    with executor("serial") as runner, pytest.raises(InputError, match=r"found the URL '(s3|gs):/"):
        CALLS[call](runner)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [("fit", "{input}", "--output", URL), ("plan", "{input}", "--frozen", URL), ("merge", URL, "-o", "x"),
              ("evaluate", "x", "--frames", "y", "--plot", URL), ("demo", "--folder", URL), ("plan", URL)],
)  # fmt: skip
def test_urls_of_options_are_refused(tmp_path, monkeypatch, capsys, words):
    path = write_job(tmp_path, FRAMES)
    monkeypatch.chdir(tmp_path)
    assert cli.main([str(path) if w == "{input}" else w for w in words]) == 2
    assert "expected a path on this machine, found the URL 's3:/" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.extxyz", "input.toml"]


# ---- missing files


def test_a_missing_file_says_where_it_was_looked_for_and_what_is_similar(tmp_path, monkeypatch):
    (tmp_path / "Training.extxyz").touch()
    (tmp_path / "other.txt").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFileError) as caught:
        require_file("trainig.extxyz", "data.path")
    text = f"data.path: there is no file {tmp_path / 'trainig.extxyz'}; similar names in {tmp_path}: Training.extxyz"
    assert str(caught.value) == text
    assert isinstance(caught.value, FileNotFoundError)
    assert isinstance(caught.value, HiertlError)


def test_what_is_there_instead(tmp_path):
    (tmp_path / "empty").mkdir()
    assert beside(tmp_path / "empty" / "x") == f"; the folder {tmp_path / 'empty'} is empty"
    assert beside(tmp_path / "none" / "x") == f"; there is no folder {tmp_path / 'none'}"
    found = beside(tmp_path / "emtpy" / "x")
    assert found == f"; there is no folder {tmp_path / 'emtpy'}; similar names in {tmp_path}: empty"
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert "is a link to" in beside(tmp_path / "link")
    for i in range(8):
        (tmp_path / "empty" / f"{i}{i}{i}").touch()
    assert beside(tmp_path / "empty" / "zz") == f"; {tmp_path / 'empty'} has 000, 111, 222, 333, 444 …"


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match=f"model: expected a file, found the folder {tmp_path}"):
        require_file(tmp_path, "model")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fit", "inptu.toml"), "there is no file {folder}/inptu.toml; similar names in {folder}: input.toml"),
        (("merge", "C.parms.txt", "-o", "x"), "{folder}/C.parms.txt; similar names in {folder}: C.params.txt"),
        (("evaluate", "C.parms.txt", "--frames", "data.extxyz"), "parms.txt; similar names in {folder}: C.params.txt"),
        (("fit", "input.toml", "--frozen", "C.parms.txt"), "C.parms.txt; similar names in {folder}: C.params.txt"),
    ],
)
def test_missing_files_of_commands(tmp_path, monkeypatch, capsys, words, said):
    write_job(tmp_path, FRAMES)
    (tmp_path / "C.params.txt").touch()
    monkeypatch.chdir(tmp_path)
    assert cli.main(list(words)) == 2
    assert said.format(folder=tmp_path) in capsys.readouterr().err


def test_all_missing_files_of_an_input_are_told_together(tmp_path, capsys):
    frozen = {"files": ["C.params.txt", "N.npz"]}
    data = [{"path": "dta.extxyz"}, {"path": "*.xyzf"}, {"path": "data.extxyz"}]
    path = write_job(tmp_path, FRAMES, data=data, frozen=frozen, fit={"methd": "gram"})
    assert cli.main(["plan", str(path)]) == 2
    err = capsys.readouterr().err
    for said in (
        "5 problems:", "similar names in", "dta.extxyz", "*.xyzf: no file matches", "C.params.txt", "N.npz",
        "fit: unknown keys ['methd']",
    ):  # fmt: skip
        assert said in err
    assert Input.from_dict({"basis": BASIS.to_dict(), "data": data, "frozen": frozen}, tmp_path).frozen, "not in Python"


# ---- rights, and what is written


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_files_have_the_rights_that_the_umask_gives(tmp_path, mask):
    before = os.umask(mask)
    try:
        frames = write_extxyz(tmp_path / "data.extxyz", FRAMES)
        path = write_job(tmp_path, FRAMES, basis=small_basis(ORDERS, "C").to_dict())
        assert cli.main(["fit", str(path), "--json"]) == 0
        forget_other_sources(tmp_path / "cache", tmp_path)
    finally:
        os.umask(before)
    expected = {0o022: 0o644, 0o002: 0o664, 0o077: 0o600}[mask]
    written = [p for p in (tmp_path / "hiertl_results").iterdir() if p.is_file()]
    written += [frames, tmp_path / "cache" / DIGEST, *(tmp_path / "design.zarr").rglob("ledger/*/*.json")]
    assert len(written) > 8
    assert {p.name: oct(p.stat().st_mode & 0o777) for p in written} == dict.fromkeys(
        (p.name for p in written), oct(expected)
    )


def test_folders_are_moved_aside_and_never_deleted(tmp_path):
    assert move_aside(tmp_path / "store") is None
    for name in ("store.old", "store.old-2", "store.old-3"):
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "rows").write_text(name)
        assert move_aside(tmp_path / "store") == tmp_path / name
    assert {p.name: (p / "rows").read_text() for p in tmp_path.iterdir()} == {
        p.name: p.name for p in tmp_path.iterdir()
    }


# ---- differences


leaves = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3)
tables = st.recursive(leaves, lambda t: st.dictionaries(st.text("abc", min_size=1, max_size=2), t, max_size=4))


def put(table, name, value):
    """A table with the value of a dotted name replaced, or taken out."""
    if not name:
        return value
    key, _, rest = name.partition(".")
    inner = put(table.get(key, {}), rest, value) if rest else value
    return {k: v for k, v in table.items() if k != key} | ({} if inner is ABSENT else {key: inner})


@few
@given(tables, tables)
def test_differences_are_all_there_are(stored, asked):
    found = stored
    for name, has, wanted in differences(stored, asked):
        assert has is ABSENT or wanted is ABSENT or json.dumps(has) != json.dumps(wanted)
        found = put(found, name, wanted)
    assert json.dumps(found, sort_keys=True) == json.dumps(asked, sort_keys=True)
    assert list(differences(stored, stored)) == []


def test_many_differences_are_cut():
    said = difference_lines({str(i): i for i in range(20)}, {str(i): -1 for i in range(20)})
    assert said.count("\n") == 13
    assert said.endswith("and 8 more")
    assert len(difference_lines({"a": list(range(500))}, {"a": []})) < 120


@pytest.mark.parametrize(
    "value", ["x" * 200, 10**5000, list(range(100)), np.arange(1000), {"a": 10**6000}], ids=lambda v: type(v).__name__
)
def test_values_are_cut_to_60_characters(value):
    assert 0 < len(shown(value)) <= 60
