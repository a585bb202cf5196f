"""The checked calls on triangles: solving with many right-hand sides, and inverses."""

from __future__ import annotations

import numpy as np
import pytest

from hiertl_dist.algebra.lapack import inverse_product, inverse_triangle, solve_triangular_many


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
