"""The force of a model's two-body term at a distance: what a block exerts where it was not fitted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..frames.frame import Frame
from ..frames.type_names import split_symbols
from .energies import Model

if TYPE_CHECKING:
    from .coverage import Coverage


def pair_force(model: Model, elements: tuple[str, str], distance: float) -> float:
    """Size of the force of two atoms on one another by the two-body term of their elements, the wall included.

    Parameters
    ----------
    model : Model
        Whose term.
    elements : tuple of str
        The two elements.
    distance : float
        Of the atoms, Å.

    Returns
    -------
    float
        kcal/mol/Å; NaN where the model has no such term.
    """
    kind = model.parameters.basis.type_named(elements)
    if kind is None:
        return float("nan")
    alone = Model(replace(model.parameters.with_types([kind]), coverage={}))
    atoms = Frame(elements, np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]]), None, origin="a pair of atoms")
    (said,) = alone.evaluate(atoms, missing="zero")
    return float(abs(said.forces[0, 0]))


def with_force(model: Model, row: Coverage) -> Coverage:
    """A row of coverage with the force that its block's two-body term exerts at distances beyond the fitted ones."""
    first, second = split_symbols(row.pair)
    if not row.outside or set(split_symbols(row.block)) != {first, second}:
        return row
    return replace(row, force=max(pair_force(model, (first, second), r) for r in row.outside))
