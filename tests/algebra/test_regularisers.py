"""Regularisers from settings, and what they refuse."""

from __future__ import annotations

import pytest

from hiertl_dist.algebra import (
    ARD,
    AdaptiveLasso,
    BayesianRidge,
    ElasticNet,
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
        ({"kind": "elastic_net", "lam": 1e-5, "l1_ratio": 0.5}, ElasticNet(1e-5, 0.5)),
        ({"kind": "elastic_net", "lam": 1, "l1_ratio": 1, "normalize": True}, ElasticNet(1, 1, normalize=True)),
        ({"kind": "adaptive_lasso", "lam": 1e-5, "alpha": 0.1}, AdaptiveLasso(1e-5, 0.1)),
        ({"kind": "adaptive_lasso", "lam": 1e-5, "alpha": 0.1, "gamma": 2.0}, AdaptiveLasso(1e-5, 0.1, 2.0)),
        ({"kind": "bayesian_ridge"}, BayesianRidge()),
        ({"kind": "bayesian_ridge", "tolerance": 1e-3, "normalize": True}, BayesianRidge(1e-3, normalize=True)),
        ({"kind": "ard"}, ARD()),
        ({"kind": "ard", "max_iter": 50, "prune": 1e4}, ARD(max_iter=50, prune=1e4)),
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
        (
            {"kind": "ridge", "alpha": 1.0, "lam": 2.0},
            r"unknown keys \['lam'\]; known are \['alpha', 'penalise_one_body'\]$",
        ),
        ({"kind": "ridge", "alpha": -1.0}, "alpha: expected a finite number > 0, found -1.0"),
        ({"kind": "ridge", "alpha": 0.0}, 'for no penalty use kind "none"'),
        ({"kind": "ridge", "alpha": "1"}, "alpha: expected a number, found '1'"),
        ({"kind": "ridge", "alpha": True}, "alpha: expected a number, found True"),
        ({"kind": "lasso", "lam": 0}, 'use kind "none" or "ridge"'),
        ({"kind": "lasso", "lam": float("nan")}, "lam: expected a finite number > 0, found nan"),
        ({"kind": "lasso", "lam": 1.0, "normalize": 1}, "normalize: expected true or false"),
        ({"kind": "svd", "tolerance": 1.5}, "tolerance: expected a finite number ≥ 0 and < 1"),
        ({"kind": "none", "tolerance": float("inf")}, "tolerance"),
        ({"kind": "elastic_net", "lam": 1.0}, "missing: l1_ratio"),
        ({"kind": "elastic_net", "lam": 1.0, "l1_ratio": 0.0}, 'with 0 it is kind "ridge", alpha = N lam'),
        ({"kind": "elastic_net", "lam": 1.0, "l1_ratio": 1.1}, "l1_ratio: expected .* > 0 and ≤ 1, found 1.1"),
        ({"kind": "elastic_net", "lam": 0.0, "l1_ratio": 0.5}, "lam: expected a finite number > 0"),
        ({"kind": "elastic_net", "lam": 1.0, "l1_ratio": 0.5, "normalize": None}, "normalize: expected true or false"),
        ({"kind": "adaptive_lasso", "lam": 1.0}, "missing: alpha"),
        ({"kind": "adaptive_lasso", "lam": 1.0, "alpha": 1.0, "gamma": 0}, 'gamma: .* with 0 it is kind "lasso"'),
        ({"kind": "adaptive_lasso", "lam": 1.0, "alpha": 1.0, "normalize": 1}, "normalize: expected true or false"),
        ({"kind": "bayesian_ridge", "tolerance": 0.0}, "tolerance: expected a finite number > 0 and < 1"),
        ({"kind": "bayesian_ridge", "max_iter": 0}, "max_iter: expected a whole number ≥ 1, found 0"),
        ({"kind": "bayesian_ridge", "max_iter": True}, "max_iter: expected a whole number ≥ 1, found True"),
        ({"kind": "bayesian_ridge", "normalize": "yes"}, "normalize: expected true or false, found 'yes'"),
        ({"kind": "ard", "prune": 0.0}, "prune: expected a finite number > 0"),
        ({"kind": "ard", "normalize": True}, "unknown keys \\['normalize'\\]"),
    ],
)
def test_refuses(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        regulariser_from_dict(settings)
