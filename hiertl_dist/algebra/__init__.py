"""Mergeable summaries of least-squares rows, regularisers, and solving from summaries alone.

Needs numpy and scipy, and nothing else of this package.
"""

from hiertl_dist.algebra.errors import ConvergenceError, UnsafeGram
from hiertl_dist.algebra.factor import GRAM_CONDITION_LIMIT
from hiertl_dist.algebra.gram import Gram
from hiertl_dist.algebra.regularisers import (
    ARD,
    AdaptiveLasso,
    BayesianRidge,
    ElasticNet,
    Lasso,
    NoRegularisation,
    Regulariser,
    Ridge,
    TruncatedSVD,
    penalises_all,
    regulariser_faults,
    regulariser_from_dict,
    regulariser_to_dict,
)
from hiertl_dist.algebra.rfactor import RFactor
from hiertl_dist.algebra.ridge_grid import RidgeGrid, ridge_grid
from hiertl_dist.algebra.solve import LinearSolution, solve, solve_all
from hiertl_dist.algebra.summary import Summary

__all__ = [
    "ARD",
    "GRAM_CONDITION_LIMIT",
    "AdaptiveLasso",
    "BayesianRidge",
    "ConvergenceError",
    "ElasticNet",
    "Gram",
    "Lasso",
    "LinearSolution",
    "NoRegularisation",
    "RFactor",
    "Regulariser",
    "Ridge",
    "RidgeGrid",
    "Summary",
    "TruncatedSVD",
    "UnsafeGram",
    "penalises_all",
    "regulariser_faults",
    "regulariser_from_dict",
    "regulariser_to_dict",
    "ridge_grid",
    "solve",
    "solve_all",
]
