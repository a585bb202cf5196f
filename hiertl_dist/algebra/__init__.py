"""Mergeable summaries of least-squares rows, regularisers, and solving from summaries alone.

Needs numpy and scipy, and of this package errors and words alone. What is handed on here hides no module: ``solve`` is
in ``algebra/solve.py``.
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
from hiertl_dist.algebra.ridge_grid import RidgeGrid
from hiertl_dist.algebra.solve import LinearSolution, solve_all
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
    "solve_all",
]
