"""The benchmark of ill-conditioned rows, at toy size: every solver within its bound, and no silent failure of Gram."""

from __future__ import annotations

import importlib
import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mpmath")

SHARED = ("bench", "ill_conditioned", "measure")


@pytest.fixture(scope="module")
def ill_conditioned():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        yield importlib.import_module("ill_conditioned")
    for name in SHARED:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def record(ill_conditioned, tmp_path_factory):
    options = sys.modules["bench"].Options(tmp_path_factory.mktemp("scratch"), toy=True, apart=False)
    return json.loads(json.dumps(ill_conditioned.run(options)))


@pytest.mark.parametrize("name", ["random", "Chebyshev", "Vandermonde"])
@pytest.mark.parametrize("condition", [1e4, 1e8, 1e13])
def test_matrices_have_the_condition_asked_for(ill_conditioned, name, condition):
    found = ill_conditioned.condition_of(ill_conditioned.MATRICES[name](48, 12, condition))
    assert 0.1 < found / condition < 10.0


def test_truth_is_exact(ill_conditioned):
    """Beside rational numbers."""
    a = ill_conditioned.random_rows(6, 2, 1e13)
    b = np.linspace(1.0, 2.0, 6)
    alpha = 2.0**-70
    c, length = ill_conditioned.exact(a, b, (alpha,))[alpha]
    rows, target = [[Fraction(x) for x in row] for row in a.tolist()], [Fraction(x) for x in b.tolist()]
    g = [[sum(r[i] * r[j] for r in rows) + (Fraction(alpha) if i == j else 0) for j in (0, 1)] for i in (0, 1)]
    v = [sum(r[i] * t for r, t in zip(rows, target, strict=True)) for i in (0, 1)]
    determinant = g[0][0] * g[1][1] - g[0][1] * g[1][0]
    x = [(v[0] * g[1][1] - v[1] * g[0][1]) / determinant, (g[0][0] * v[1] - g[1][0] * v[0]) / determinant]
    np.testing.assert_array_equal(c, [float(y) for y in x])
    left = sum((t - r[0] * x[0] - r[1] * x[1]) ** 2 for r, t in zip(rows, target, strict=True))
    assert length == pytest.approx(float(left + Fraction(alpha) * (x[0] ** 2 + x[1] ** 2)) ** 0.5, rel=1e-15)


def test_every_solver_is_within_its_bound(record):
    assert len(record["cases"]) == 18
    for case in record["cases"]:
        for solver in ("qr", "svd"):
            assert case["ols"][solver] <= 2.0 * case["ols"]["bound"], (case["matrix"], case["condition"], solver)
        for ridge in case["ridges"]:
            for solver in ("ridge", "ridge_grid"):
                assert ridge[solver] <= 2.0 * ridge["bound"], (case["matrix"], case["condition"], solver)
    # the bounds say something: without noise they are C cond ε
    for case in record["cases"]:
        if not case["noisy"]:
            assert case["ols"]["bound"] < 2.0 * case["condition"] * np.finfo(float).eps
            assert case["ols"]["qr"] < case["condition"] * np.finfo(float).eps


def test_gram_refuses_where_it_would_have_failed_silently(ill_conditioned, record):
    problems = [p for case in record["cases"] for p in (case["ols"], *case["ridges"])]
    wrong = [p for p in problems if not p["unguarded"] <= ill_conditioned.WRONG]
    assert len(wrong) >= 12
    assert all(p["gram"] is None for p in wrong)
    accepted = [p for p in problems if p["gram"] is not None]
    assert len(accepted) >= 12
    assert max(p["gram"] for p in accepted) < 1e-4
    # and not where there is nothing to refuse
    assert all(p["gram"] is not None for p in problems if p["unguarded"] < 1e-8)
    said = record["verdicts"]
    assert said["problems"] == len(problems) == 72
    assert (said["unguarded_wrong"], said["unguarded_wrong_and_ours_refused"]) == (len(wrong), len(wrong))
    assert said["gram_largest_error"] == max(p["gram"] for p in accepted)


def test_text(ill_conditioned, record):
    text = ill_conditioned.markdown(record)
    assert text.count("| random, 48 × 12, noisy |") == 3 * 4
    assert "refuses" in text
    assert "Of 72 problems unguarded normal equations got" in text


def test_without_mpmath_it_says_so(ill_conditioned, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mpmath", None)
    found = ill_conditioned.run(sys.modules["bench"].Options(tmp_path, toy=True, apart=False))
    assert found["absent"] == {"ill_conditioned": "mpmath is not installed"}
    assert ill_conditioned.markdown(found) == ""
