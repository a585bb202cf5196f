"""What a fit leaves open in the coefficients of its block, for ``covariance.npz`` of a library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..uncertainty.whole_model import fit_posterior

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..fitting.block_fit import BlockFit


def covariance_of(fit: BlockFit) -> tuple[dict[str, NDArray[np.generic]] | None, str]:
    """Arrays for ``covariance.npz`` (:meth:`~hiertl_dist.BlockPosterior.arrays`), or none and why."""
    try:
        return fit_posterior(fit).arrays(), ""
    except (InputError, np.linalg.LinAlgError, ValueError) as error:
        return None, str(error)
