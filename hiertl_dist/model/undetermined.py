"""Energies of free atoms of which a fit knows combinations alone: of CN in one composition the sum, not each.

A direction gives an amount by element. Energies of free atoms may move along it by any amount and fit as well, so a
model's energies are right where the numbers of atoms are orthogonal to every direction, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

Direction = Mapping[str, float]

SMALL: Final = 1e-3
"""Part of a direction, of unit length, that counts as none of it."""

MOST: Final = 100
"""Changes by whole numbers are told as such up to this amount of the first element."""

SAME: Final = 1e-6
"""Cosine between numbers of atoms and a direction, up to which they are orthogonal."""


def directions_of(elements: Iterable[str], columns: NDArray[np.float64]) -> tuple[Direction, ...]:
    """Directions from the columns of a matrix (elements, k); amounts of zero are left out."""
    named = list(elements)
    return tuple({e: float(x) for e, x in zip(named, column, strict=True) if abs(x) > SAME} for column in columns.T)


def combined(directions: Iterable[Direction], elements: Collection[str] | None = None) -> tuple[Direction, ...]:
    """Independent directions of unit length that span the given ones, of some elements alone if these are named."""
    given = list(dict.fromkeys(tuple(sorted(d.items())) for d in directions))
    moved = sorted({e for d in given for e, _ in d if elements is None or e in elements})
    if not moved:
        return ()
    matrix = np.array([[dict(d).get(e, 0.0) for d in given] for e in moved])
    if elements is None and np.allclose(matrix.T @ matrix, np.eye(len(given)), atol=1e-9):
        return directions_of(moved, matrix)  # as they are, to the bit
    u, s, _ = np.linalg.svd(matrix, full_matrices=False)
    return directions_of(moved, u[:, s > SMALL])


def elements_of(directions: Iterable[Direction]) -> tuple[str, ...]:
    """The elements that directions move."""
    return tuple(sorted({e for d in directions for e in d}))


def is_determined(directions: Iterable[Direction], counts: Mapping[str, int]) -> bool:
    """Whether energies of so many atoms of each element are known."""
    size = float(np.sqrt(sum(n**2 for n in counts.values())))
    return all(abs(sum(x * counts.get(e, 0) for e, x in d.items())) <= SAME * size for d in directions)


def trades_text(directions: Iterable[Direction]) -> str:
    """By how much energies of free atoms may change together, in words: ``5 more for each C with 4 less for each N``.

    There is one such change for each independent direction, of as few elements as can be, in whole numbers where small
    ones do.
    """
    texts = []
    for amounts in _fewest_elements(directions):
        count = next((k for k in range(1, MOST) if np.allclose(k * amounts, np.round(k * amounts), atol=1e-4)), 1)
        parts = {e: float(f"{count * x:.4g}") for e, x in zip(elements_of(directions), amounts, strict=True)}
        words = [f"{abs(x):g} {'more' if x > 0 else 'less'} for each {e}" for e, x in parts.items() if x]
        texts.append(" with ".join([words[0], " and ".join(words[1:])]) if len(words) > 1 else words[0])
    return "; ".join(texts)


def _fewest_elements(directions: Iterable[Direction]) -> NDArray[np.float64]:
    """The reduced echelon form of directions (independent ones, elements in order)."""
    given = list(directions)
    matrix = np.array([[d.get(e, 0.0) for e in elements_of(given)] for d in given])
    row = 0
    for column in range(matrix.shape[1] if len(given) else 0):
        if row == len(matrix):
            break
        largest = row + int(np.argmax(np.abs(matrix[row:, column])))
        if abs(matrix[largest, column]) <= SMALL:
            continue
        matrix[[row, largest]] = matrix[[largest, row]]
        matrix[row] /= matrix[row, column]
        others = np.arange(len(matrix)) != row
        matrix[others] -= np.outer(matrix[others, column], matrix[row])
        row += 1
    reduced = matrix[:row]
    return np.where(np.abs(reduced) > SAME, reduced, 0.0)


def undetermined_text(directions: Iterable[Direction]) -> str:
    """What to say of a model beside which these are."""
    given = list(directions)
    named = ", ".join(elements_of(given))
    return (
        f"of the energies of free atoms of {named} only combinations are known, those of the compositions that were "
        f"fitted, where it makes no difference to take {trades_text(given)}: energies of others are off by a constant "
        "for each such atom; forces and stresses are not"
    )
