"""Regularisers from settings, and what they refuse."""

from __future__ import annotations

import pytest

from hiertl_dist.algebra import (
    Lasso,
    NoRegularisation,
    Regulariser,
    Ridge,
    TruncatedSVD,
    regulariser_from_dict,
    regulariser_to_dict,
)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"kind": "none"}, NoRegularisation()),
        ({"kind": "none", "tolerance": 1e-9}, NoRegularisation(1e-9)),
        ({"kind": "svd", "tolerance": 1e-5}, TruncatedSVD(1e-5)),
        ({"kind": "ridge", "alpha": 1e-4}, Ridge(1e-4)),
        ({"kind": "ridge", "alpha": 2}, Ridge(2)),
        ({"kind": "lasso", "lam": 1e-5}, Lasso(1e-5)),
        ({"kind": "lasso", "lam": 1e-5, "normalize": True}, Lasso(1e-5, normalize=True)),
    ],
)
def test_from_and_to_settings(settings: dict[str, object], expected: Regulariser) -> None:
    assert regulariser_from_dict(settings) == expected
    assert regulariser_from_dict(regulariser_to_dict(expected)) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "expected one of none, svd, ridge, lasso, elastic_net, adaptive_lasso, bayesian_ridge, ard; found None"),
        ({"kind": "rigde"}, "found 'rigde'"),
        ({"kind": ["ridge"]}, "found \\['ridge'\\]"),
        ({"kind": "ridge"}, "missing: alpha"),
        ({"kind": "ridge", "alpha": 1.0, "lam": 2.0}, "expected keys alpha; unknown: lam; missing: none"),
        ({"kind": "ridge", "alpha": -1.0}, "alpha: expected a finite number > 0, found -1.0"),
        ({"kind": "ridge", "alpha": 0.0}, 'for no penalty use kind "none"'),
        ({"kind": "ridge", "alpha": "1"}, "alpha: expected a number, found '1'"),
        ({"kind": "ridge", "alpha": True}, "alpha: expected a number, found True"),
        ({"kind": "lasso", "lam": 0}, 'use kind "none" or "ridge"'),
        ({"kind": "lasso", "lam": float("nan")}, "lam: expected a finite number > 0, found nan"),
        ({"kind": "lasso", "lam": 1.0, "normalize": 1}, "normalize: expected true or false"),
        ({"kind": "svd", "tolerance": 1.5}, "tolerance: expected a finite number ≥ 0 and < 1"),
        ({"kind": "none", "tolerance": float("inf")}, "tolerance"),
    ],
)
def test_refuses(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        regulariser_from_dict(settings)
