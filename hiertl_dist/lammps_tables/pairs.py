"""Two-body terms and the wall as the tables of LAMMPS's ``pair_style table``."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..model.pair_curves import pair_curve

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from numpy.typing import NDArray

    from ..model.parameters import Parameters

POINTS: Final = 10001
"""Distances of a table; LAMMPS puts cubic splines through them."""

NEAREST: Final = 0.5
"""Part of the inner cutoff where a table begins: nearer atoms stop LAMMPS with an error."""

NO_TERM: Final = 0.5
"""Distance, Å, where tables of pairs without a two-body term begin and end, twice that: all zeros."""


@dataclass(frozen=True, eq=False)
class PairTable:
    """A two-body term, the wall included, on distances.

    Attributes
    ----------
    elements : tuple of str
        The two elements.
    distances, energies, forces : ndarray of shape (n,)
        Å, kcal/mol, kcal/mol/Å (positive where atoms repel one another).
    """

    elements: tuple[str, str]
    distances: NDArray[np.float64]
    energies: NDArray[np.float64]
    forces: NDArray[np.float64]

    @property
    def name(self) -> str:
        """The section of the file."""
        return "_".join(self.elements)


def pair_tables(parameters: Parameters, elements: Sequence[str]) -> tuple[PairTable, ...]:
    """The two-body terms of all pairs of some elements; zeros for pairs without one, or switched off."""
    tables = []
    for first, second in itertools.combinations_with_replacement(elements, 2):
        kind = parameters.basis.type_named((first, second))
        if kind is None or kind.body != 2 or not kind.edges[0].rmax > kind.edges[0].rmin:
            r = np.linspace(NO_TERM, 2 * NO_TERM, 3)
            tables.append(PairTable((first, second), r, np.zeros(3), np.zeros(3)))
            continue
        edge = kind.edges[0]
        r = np.linspace(NEAREST * edge.rmin if edge.rmin > 0 else 0.05, edge.rmax, POINTS)
        energies, forces = pair_curve(parameters, kind, r)
        energies[-1] = forces[-1] = 0.0  # at the outer cutoff
        tables.append(PairTable((first, second), r, energies, forces))
    return tuple(tables)


def write_pairs(stream: TextIO, tables: Sequence[PairTable], units: str, unit: float) -> None:
    """Write the file that ``pair_coeff I J table FILE NAME CUTOFF`` reads."""
    stream.write(f"# two-body terms and wall of a ChIMES model, by hiertl_dist UNITS: {units}\n")
    for table in tables:
        r = table.distances
        stream.write(f"\n{table.name}\nN {len(r)} R {float(r[0])!r} {float(r[-1])!r}\n\n")
        numbers = np.arange(1, len(r) + 1)
        rows = np.column_stack([numbers, r, table.energies / unit, table.forces / unit])
        np.savetxt(stream, rows, fmt=["%d", "%.17g", "%.17g", "%.17g"])
