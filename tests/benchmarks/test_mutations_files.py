"""Damaged files of other programs and of this package are read or refused by name; 10 000 each run by hand."""

from __future__ import annotations

import importlib
from random import Random

import pytest
from benchmark_toys import BENCHMARKS, forget_benchmarks

NUMBER = 40


@pytest.fixture
def mutations(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("mutations_files")
    forget_benchmarks()


@pytest.mark.parametrize("name", [
    "frames.extxyz.gz", "frames.extxyz.xz", "frames.extxyz.bz2", "OUTCAR", "vasprun.xml", "run.traj", "run.db",
    "rows.json", "solutions", "tables", "checkpoints", "weights.dat", "weights.csv", "expressions.txt", "POSCAR",
    "run.dump", "template.inp", "calibration", "cycle", "run of a cycle", "kept results",
])  # fmt: skip
def test_damage_is_read_or_refused(mutations, name, tmp_path):
    (kind,) = (k for k in mutations.KINDS if k.name == name)
    if kind.name in ("OUTCAR", "vasprun.xml", "run.traj", "run.db", "rows.json", "POSCAR", "run.dump", "template.inp"):
        pytest.importorskip("ase")
    folder = tmp_path / "files"
    folder.mkdir()
    kind.write(folder)
    files = mutations.files_of(kind, folder)
    before = {path: path.read_bytes() for path in files}
    good = kind.read(folder)
    outcomes = [mutations.read_damaged(kind, f"9:{i}", folder, files, good) for i in range(NUMBER)]
    assert [text for outcome, text in outcomes if outcome in ("foreign", "silent")] == []
    assert sum(outcome == "refused" for outcome, _ in outcomes) > NUMBER // 20
    assert {path: path.read_bytes() for path in files} == before


def test_a_reader_that_dies_or_hangs_is_a_fault(mutations, tmp_path, monkeypatch):
    script = tmp_path / "reader.py"
    script.write_text(
        "import json, os, sys, time\n"
        "first, stop = int(sys.argv[4]), int(sys.argv[5])\n"
        "for i in range(first, stop):\n"
        "    if i == 1: os._exit(7)\n"
        "    if i == 2: time.sleep(60)\n"
        "    print(json.dumps([i, 'read', '', 0.0]), flush=True)\n"
    )
    monkeypatch.setattr(mutations, "__file__", str(script))
    kind = mutations.Kind("x", lambda folder: (folder / "x").write_text("whole"), lambda folder: None, "x")
    found = mutations.run(kind, 5, 0, tmp_path, seconds=0.5)
    assert found.outcomes == {"read": 3, "foreign": 2}
    assert found.foreign == {"0:1": "the process died with exit code 7", "0:2": "no answer for 2 s"}


def test_binary_damage_is_made_again_by_its_seed(mutations):
    content, damage = bytes(range(256)) * 4, mutations.KINDS[0].inside
    assert damage(content, Random("3:1")) == damage(content, Random("3:1"))
    assert len({damage(content, Random(str(i))) for i in range(50)}) > 45
