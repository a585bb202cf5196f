"""The benchmark of the reduction runs, at toy size, and its ways to R are what they are called."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

SHARED = ("bench", "cn_dft_chain", "made", "measure", "reduction")


@pytest.fixture
def reduction(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("reduction")
    for name in SHARED:
        sys.modules.pop(name, None)


@pytest.fixture
def rows():
    """Condition 1e6 on columns of very different lengths, column-major."""
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(25, 25)) * np.geomspace(1.0, 1e-6, 25)[:, None]
    return np.asfortranarray(rng.normal(size=(300, 25)) @ mixed * np.logspace(0, -8, 25))


def backward(r, rows):
    lengths = np.linalg.norm(rows, axis=0)
    return (np.abs(r.T @ r - rows.T @ rows) / lengths / lengths[:, None]).max()


def test_every_way_is_a_triangle_of_the_same_rows(reduction, rows):
    for name, way in reduction.WAYS.items():
        r = way(rows.copy(order="F"))
        assert r.shape == (25, 25), name
        assert not np.tril(r, -1).any(), name
        assert backward(r, rows) < 1e-12, name


def test_an_update_that_cholesky_would_spoil_is_made_by_qr(reduction, rows, monkeypatch):
    """Rows whose first portion lacks a direction: B is as large as the others are in it."""
    first = rows.copy(order="F")
    first[:, -1] = 1e-13 * np.random.default_rng(1).normal(size=len(rows)) * np.abs(rows[:, -1]).max()
    r = reduction.qr_triangle(first.copy(order="F"))
    stacked = []
    monkeypatch.setattr(
        reduction, "stack_below", lambda *a, **k: stacked.append(1) or np.linalg.qr(np.vstack(a), mode="r")
    )
    assert backward(reduction.updated(r, rows), np.vstack([first, rows])) < 1e-13
    assert stacked


def test_extended_precision_is_the_yardstick(reduction, rows):
    triangle = reduction.extended_triangle(rows)
    exact = np.asarray(rows, np.longdouble)
    lengths = np.sqrt((exact**2).sum(0))
    off = np.abs(triangle.T @ triangle - exact.T @ exact) / lengths / lengths[:, None]
    assert off.max() < 1e-17
    x = np.linspace(1.0, 2.0, 24)
    target = (exact[:, :24] @ x)[:, None]
    found = reduction.true_answers(reduction.extended_triangle(np.hstack([exact[:, :24], target])))
    away = (found["ols"] - x) * lengths[:24]
    # in double precision it would be 1e-10
    assert np.abs(away).max() < 1e-12 * lengths.max()


@pytest.mark.shared
def test_every_table_has_every_case(reduction, shared, tmp_path, capsys):
    arguments = ["--toy", "--in-process", "--data", str(shared), "--out", str(tmp_path)]
    assert reduction.main(reduction.BENCHMARK, arguments) == 0
    record = json.loads((tmp_path / "reduction.json").read_text())
    assert [case["columns"] for case in record["cases"]] == list(reduction.TOY)
    for case in record["cases"]:
        assert set(case["ways"]) == set(reduction.WAYS)
        assert case["ways"][reduction.OURS]["backward"] < 1e-14
        assert case["solves"]["gap"] <= 1e-8
        assert case["solves"]["gradient"] <= 1e-10
    printed = capsys.readouterr().out
    assert printed.count("40 (CN)") == 2
    assert printed.count("40 × 655: ") == len(reduction.WAYS)


def test_without_data_it_says_so(reduction, tmp_path, capsys):
    assert reduction.main(reduction.BENCHMARK, ["--toy", "--in-process", "--data", str(tmp_path)]) == 0
    assert "not measured: reduction: not there" in capsys.readouterr().out
