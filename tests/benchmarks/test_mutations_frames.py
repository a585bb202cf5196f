"""Damaged trajectories and odd labels of Atoms are read or refused by name; 3 000 each run by hand."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

NUMBER = 300


@pytest.fixture
def mutations(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("mutations_frames")
    for name in ("mutations_frames", "mutations_models"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["usual.extxyz", "groups.extxyz", "odd.xyz", "keys.xyz", "ortho.xyzf"])
def test_damage_is_read_or_refused(mutations, name, tmp_path):
    (kind,) = (k for k in mutations.KINDS if k.name == name)
    assert kind.read(mutations.good(kind, tmp_path))
    found = mutations.run(kind, NUMBER, 9, tmp_path)
    assert found.foreign == {}
    assert found.outcomes["read"] > 0, "damage that a reader does not see, such as one in a word"
    assert found.outcomes["refused"] > NUMBER // 2
    assert found.slowest[0] < 20.0


def test_odd_labels_of_atoms_are_taken_or_refused(mutations):
    pytest.importorskip("ase")
    found = mutations.run_atoms(NUMBER, 9)
    assert found.foreign == {}
    assert min(found.outcomes["read"], found.outcomes["refused"]) > NUMBER // 10
