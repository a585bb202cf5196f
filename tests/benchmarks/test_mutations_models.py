"""Damaged parameter files, fm_setup.in and TOML inputs are read or refused by name; 3 000 each run by hand."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from random import Random

import pytest

NUMBER = 300


@pytest.fixture
def mutations(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("mutations_models")
    sys.modules.pop("mutations_models", None)


@pytest.mark.parametrize("name", ["params.txt", "fm_setup.in", "input.toml", "basis.toml"])
def test_damage_is_read_or_refused(mutations, name, tmp_path):
    (kind,) = (k for k in mutations.KINDS if k.name == name)
    found = mutations.run(kind, NUMBER, 9, tmp_path)
    assert found.foreign == {}
    assert found.outcomes["read"] > 0, "damage that a reader does not see, such as one in a comment"
    assert found.outcomes["refused"] > NUMBER // 2
    assert found.slowest[0] < 20.0


def test_the_undamaged_files_are_read(mutations, tmp_path):
    for kind in mutations.KINDS:
        folder = tmp_path / kind.name
        folder.mkdir()
        assert kind.read(mutations.good(kind, folder)) is not None


def test_damage_is_made_again_by_its_seed(mutations):
    text = mutations.SETUP.encode()
    assert mutations.mutate(text, Random("3:1")) == mutations.mutate(text, Random("3:1"))
    assert len({mutations.mutate(text, Random(str(i))) for i in range(50)}) > 45


def test_a_foreign_exception_is_found(mutations, tmp_path):
    def reader(path):
        raise ZeroDivisionError(str(path.name))

    kind = mutations.Kind("x", mutations.SETUP, reader)
    found = mutations.run(kind, 2, 0, tmp_path)
    assert found.foreign == {"0:0": "ZeroDivisionError: x", "0:1": "ZeroDivisionError: x"}
