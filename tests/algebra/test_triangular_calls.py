"""The checked calls on triangles: solving with many right-hand sides, and inverses."""

from __future__ import annotations

import numpy as np
import pytest

from hiertl_dist.algebra.lapack import (
    cholesky,
    definite_condition,
    inverse_product,
    inverse_triangle,
    solve_triangular_many,
    triangular_condition,
)


def test_checked_lapack_calls() -> None:
    rng = np.random.default_rng(0)
    u = np.asfortranarray(np.triu(rng.normal(size=(5, 5))) + 4.0 * np.eye(5))
    b = rng.normal(size=(5, 3))
    np.testing.assert_allclose(u @ solve_triangular_many(u, b), b, atol=1e-14)
    np.testing.assert_allclose(u.T @ solve_triangular_many(u, b, transposed=True), b, atol=1e-14)
    np.testing.assert_allclose(inverse_triangle(u) @ u, np.eye(5), atol=1e-14)
    assert not np.tril(inverse_triangle(u), -1).any()
    np.testing.assert_allclose(inverse_product(u) @ u.T @ u, np.eye(5), atol=1e-12)
    kept = np.asfortranarray(b)
    solve_triangular_many(u, kept)
    np.testing.assert_array_equal(kept, b)
    u[2, 2] = 0.0
    for call in (lambda: solve_triangular_many(u, b), lambda: inverse_triangle(u), lambda: inverse_product(u)):
        with pytest.raises(np.linalg.LinAlgError, match="diagonal entry 2 is zero"):
            call()


def test_condition_estimates_do_not_depend_on_where_things_lie_in_memory() -> None:
    rng = np.random.default_rng(0)
    u = np.asfortranarray(np.triu(rng.normal(size=(300, 300))) + 3.0 * np.eye(300))
    gram = np.asfortranarray(u.T @ u + 1e3 * np.eye(300))
    factor = cholesky(gram)
    assert factor is not None
    found, kept = set(), []
    for _ in range(60):
        kept.append(np.empty(rng.integers(1, 4000)))  # what comes next lies elsewhere
        found.add((triangular_condition(u), definite_condition(gram, factor)))
    assert len(found) == 1


@pytest.mark.parametrize("n", [1, 2, 5, 40, 300])
@pytest.mark.parametrize("spread", [0.0, 3.0, 9.0])
def test_condition_estimates_are_near_the_true_ones(n: int, spread: float) -> None:
    rng = np.random.default_rng(n)
    lengths = 10.0 ** rng.uniform(-spread, 0.0, (n, 1))
    u = np.asfortranarray(lengths * (np.triu(rng.normal(size=(n, n)), 1) / n + np.eye(n)))
    exact = np.linalg.norm(u, 1) * np.linalg.norm(np.linalg.inv(u), 1)
    assert exact / 10.0 <= triangular_condition(u) <= exact * (1 + 1e-6)
    gram = u.T @ u + np.eye(n)
    factor = cholesky(gram)
    assert factor is not None
    exact = np.linalg.norm(gram, 1) * np.linalg.norm(np.linalg.inv(gram), 1)
    assert exact / 10.0 <= definite_condition(gram, factor) <= exact * (1 + 1e-6)
    assert triangular_condition(np.zeros((n, n), order="F")) == np.inf


def test_a_condition_beyond_all_numbers_is_infinite() -> None:
    u = np.asfortranarray(np.triu(np.ones((60, 60))))
    u[np.diag_indices(60)] = 1e-8
    assert triangular_condition(u) == np.inf
