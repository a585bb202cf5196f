"""The covariance of a block's coefficients, as the triangle that it follows from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..algebra import regulariser_from_dict
from ..algebra.packed import pack_upper
from ..algebra.regularisers import TruncatedSVD
from ..fitting.views import combined_factor, whole_view
from ..uncertainty.noise import distribution

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.block_fit import BlockFit


def covariance_of(fit: BlockFit) -> tuple[dict[str, NDArray[np.generic]] | None, str]:
    """What a fit leaves open in its coefficients: arrays for ``covariance.npz``, or none and why.

    The triangle T, packed, with TᵀT = RᵀR + penalties, the noise of a row of weight 1, and the names of the columns:
    the covariance is noise² (TᵀT)⁻¹ (docs/theory.md, section 10).
    """
    solution = fit.solution
    regulariser = regulariser_from_dict(dict(solution.regulariser))
    if isinstance(regulariser, TruncatedSVD):
        return None, "svd says nothing about what it cuts off"
    if solution.method != "rfactor":
        return None, f"method {solution.method} keeps no triangular factor"
    given = fit.view or whole_view(fit.summaries, solution.weights, solution.objective)  # the former has its prior
    if given.own != len(given.columns):
        return None, "energies of free atoms that lower blocks left open were fitted with it"
    values = solution.parameters.as_dict()
    known = np.array([values.get(c, zero) for c, zero in zip(given.columns, given.zeros, strict=True)]) - given.zeros
    try:
        gaussian, _ = distribution(given, combined_factor(given), regulariser, known=known)
    except (np.linalg.LinAlgError, ValueError) as error:
        return None, str(error)
    names = [given.columns[i] for i in gaussian.columns.tolist()]
    return {
        "triangle": pack_upper(gaussian.triangle), "noise": np.array(gaussian.noise),
        "columns": np.array([[c.block, " ".join(c.elements), " ".join(map(str, c.powers))] for c in names], np.str_),
    }, ""  # fmt: skip
