"""The LASSO's start: next to the optimum wherever Cholesky's digits last, harmless where they don't."""

from __future__ import annotations

import numpy as np
import pytest

from hiertl_dist.algebra import Lasso, RFactor, proximal
from hiertl_dist.algebra.proximal import NEAR, kkt_gap, near_optimum
from hiertl_dist.algebra.solve import solve


def problem(p: int, n: int, condition: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, p, n])
    R = rng.normal(size=(p, n)) @ (rng.normal(size=(n, n)) * np.geomspace(1.0, 1.0 / condition, n)[:, np.newaxis])
    return np.asfortranarray(R), R @ (rng.normal(size=n) * (rng.random(n) < 0.5)) + 0.1 * rng.normal(size=p)


@pytest.mark.parametrize("shape", [(60, 60), (60, 20), (20, 60), (1, 1), (1, 7)])
@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8])
@pytest.mark.parametrize("fraction", [0.5, 1e-2, 1e-4])
def test_is_near_the_optimum(shape: tuple[int, int], condition: float, fraction: float) -> None:
    R, z = problem(*shape, condition)
    mu = fraction * float(np.abs(R.T @ z).max())
    assert kkt_gap(R, z, mu, near_optimum(R, z, mu)) <= NEAR


def test_columns_of_any_length_and_none() -> None:
    R, z = problem(50, 30, 1e3)
    mu = 1e-3 * float(np.abs(R.T @ z).max())
    R[:, :10] *= np.logspace(-6, 6, 10)
    R[:, 20] = 0.0
    c = near_optimum(R, z, mu)
    assert c[20] == 0.0
    assert kkt_gap(R, z, mu, c) <= NEAR


def test_repeated_columns() -> None:
    R, z = problem(40, 12, 10.0)
    R = np.asfortranarray(np.hstack([R, R[:, :5], R]))
    mu = 1e-3 * float(np.abs(R.T @ z).max())
    assert kkt_gap(R, z, mu, near_optimum(R, z, mu)) <= NEAR


@pytest.mark.parametrize("works", [0, 3, 10])
def test_where_cholesky_breaks_down_the_answer_is_still_exact(monkeypatch: pytest.MonkeyPatch, works: int) -> None:
    """As if rounding had made the normal matrix indefinite, at once or after some steps."""
    original, calls = proximal.solve_definite, []

    def broken(g: np.ndarray, b: np.ndarray) -> np.ndarray | None:
        calls.append(len(b))
        return original(g, b) if len(calls) <= works else None

    monkeypatch.setattr(proximal, "solve_definite", broken)
    A, b = problem(80, 20, 1e4)
    solution = solve(RFactor.of(A, b), Lasso(1e-5))
    assert len(calls) > works
    assert solution.kkt_gap is not None
    assert solution.kkt_gap <= 1e-8
    assert kkt_gap(A, b, 1e-5 * 80, solution.coefficients) <= 1e-7
