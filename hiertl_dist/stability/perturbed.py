"""Forces of perturbed cells beside the deviations that a fit predicts for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import HiertlError, MismatchError
from ..io.labelled_atoms import frame_from_ase
from ..uncertainty.predictive import predict
from ..units import EV
from .check_rows import CheckRow, judged, unchecked
from .lattices import SITES, arranged, ideal_cell, mixed_volume

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..evaluation.energies import Model
    from ..uncertainty.predictive import ModelPosterior
    from ..uncertainty.whole_model import HierarchyPosterior
    from .check_rows import CheckSettings
    from .lattices import Lattice

WHAT = "σ of forces"

CELLS = 3
"""How many cells are perturbed."""


def deviation_row(
    model: Model, posterior: ModelPosterior | HierarchyPosterior | None, name: str, elements: Sequence[str],
    lattices: Mapping[str, Lattice], settings: CheckSettings, without: str = "",
) -> CheckRow:  # fmt: skip
    """Predicted σ over forces, both rms over perturbed cells of all elements.

    Raises MismatchError where the fit is not one of this model.
    """
    named = "-".join(elements)
    if posterior is None:
        return unchecked(
            WHAT, named, without or "no covariance was given: check_model(model, posterior=read_posterior(model, "
            "FOLDER)) takes it from the files of a fit or a library, hierarchy_posterior(fit) from a fit at hand"
        )  # fmt: skip
    if others := sorted(set(elements) - posterior.elements):
        return unchecked(WHAT, named, f"the fit with the covariance has no {', '.join(others)}")
    rng = np.random.default_rng([settings.seed, 1])
    frames = []
    for number in range(CELLS):
        species = arranged(elements, SITES[name], number + 1, settings.seed)
        atoms = ideal_cell(name, species, mixed_volume(species, lattices))
        atoms.set_positions(atoms.get_positions() + rng.normal(scale=settings.displacement, size=(len(atoms), 3)))
        frames.append(frame_from_ase(atoms, origin=f"perturbed cell {number + 1}"))
    try:
        own = model.evaluate(frames, threads=settings.threads)
        predictions = predict(frames, posterior)
    except HiertlError as error:
        return unchecked(WHAT, named, str(error))
    for evaluation, prediction in zip(own, predictions, strict=True):
        theirs = prediction.mean.forces
        if not np.allclose(evaluation.forces, theirs, rtol=1e-5, atol=1e-4 * float(np.abs(theirs).max())):
            difference = float(np.abs(evaluation.forces - theirs).max() / EV)
            raise MismatchError(
                f"posterior: expected a fit of {model.parameters.source}; on {prediction.origin} the forces differ by "
                f"up to {difference:.3g} eV/Å, so its covariance is of another model"
            )
    sigma, force = (
        float(np.sqrt(np.mean([np.mean(np.square(a)) for a in arrays]))) / EV
        for arrays in ([p.coefficients.forces for p in predictions], [p.mean.forces for p in predictions])
    )
    known = "; ".join(getattr(posterior, "notes", ("frozen models count as known",)))
    reason = (
        f"{CELLS} cells displaced by {settings.displacement:g} Å: forces {force:.3g} eV/Å, σ {sigma:.3g} eV/Å (rms; of "
        f"the fitted coefficients{known and '; ' + known})"
    )
    return judged(WHAT, named, sigma / force, "of the forces", ("at most", settings.deviation), reason)
