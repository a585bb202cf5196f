"""``Parameters``: a basis with a value for each of its columns — what a ChIMES parameter file holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .blocks import Columns, columns_of
from .errors import MismatchError, ParameterFileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .basis import Basis, ClusterType


@dataclass(frozen=True)
class Penalty:
    """Two-body wall A (rmin + d − r)³ for r < rmin + d, on pairs that have a two-body type.

    Attributes
    ----------
    scale : A in kcal/mol/Å³; chimes_calculator's default where a file is silent is 1e4.
    distance : d in Å; default 0.01.
    """

    scale: float = 1.0e4
    distance: float = 0.01


@dataclass(frozen=True, eq=False)
class Parameters:
    """Coefficients of every column of a basis.

    Attributes
    ----------
    basis : its types are those that have parameters; excluded ones are absent.
    coefficients : (columns,) kcal/mol, in the order of :func:`hiertl_dist.blocks.columns_of`.
    penalty : the wall below the inner cutoffs.
    coverage : per pair name (``"CN"``), the range of distances in Å that its block was fitted on;
        empty where unknown.
    source : where it came from, for messages.
    """

    basis: Basis
    coefficients: NDArray[np.float64]
    penalty: Penalty = Penalty()
    coverage: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    source: str = "parameters"

    def __post_init__(self) -> None:
        values = np.array(self.coefficients, np.float64)
        expected = len(self.columns)
        if values.shape != (expected,):
            raise ParameterFileError(
                f"{self.source}: expected {expected} coefficients for this basis, found shape {values.shape}"
            )
        if not np.isfinite(values).all():
            column = self.columns[int(np.flatnonzero(~np.isfinite(values))[0])]
            raise ParameterFileError(f"{self.source}: the coefficient of {column} is not finite")
        values.setflags(write=False)
        object.__setattr__(self, "coefficients", values)

    @property
    def columns(self) -> Columns:
        return columns_of(self.basis)

    def as_dict(self) -> dict[tuple[str, tuple[str, ...], tuple[int, ...]], float]:
        """Coefficient by column."""
        return dict(zip(self.columns, (float(c) for c in self.coefficients), strict=True))

    def restricted(self, blocks: set[str]) -> Parameters:
        """The part of some blocks only (by name)."""
        basis = self.basis.with_types(t for t in self.basis.types if t.block in blocks)
        values = self.as_dict()
        return Parameters(
            basis, np.array([values[c] for c in columns_of(basis)]), self.penalty, self.coverage, self.source
        )


def check_same_pairs(a: Basis, b: Basis, a_name: str, b_name: str) -> None:
    """Raise MismatchError unless pairs that both bases have, and the cutoff function, agree.

    Both values are named. Numbers are compared as numbers.
    """
    if a.cutoff != b.cutoff:
        raise MismatchError(f"cutoff function: {a_name} has {a.cutoff}, {b_name} has {b.cutoff}")
    other = {p.elements: p for p in b.pairs}
    for pair in a.pairs:
        if pair.elements in other:
            for key, what in (
                ("rmin", "rmin (Å)"), ("rmax", "rmax (Å)"), ("transform", "transform"), ("morse_lambda", "λ (Å)")
            ):  # fmt: skip
                mine, theirs = getattr(pair, key), getattr(other[pair.elements], key)
                if mine != theirs:
                    raise MismatchError(f"pair {pair.name}, {what}: {a_name} has {mine}, {b_name} has {theirs}")


def check_same_cutoffs(a: ClusterType, b: ClusterType, a_name: str, b_name: str) -> None:
    """Raise MismatchError unless two types of the same elements have the same cutoffs."""
    for mine, theirs in zip(a.edges, b.edges, strict=True):
        for side in ("rmin", "rmax"):
            x, y = getattr(mine, side), getattr(theirs, side)
            if x != y:
                raise MismatchError(
                    f"type {a.name}, {side} (Å) of its {mine.name} edges: {a_name} has {x}, {b_name} has {y}"
                )
