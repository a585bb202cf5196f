"""Which atoms get which element: compositions that cover all of them evenly, with every element in each frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def generator(seed: int, *words: object) -> np.random.Generator:
    """Random numbers that depend on a seed and on what they are for."""
    return np.random.default_rng([seed, *"\0".join(map(str, words)).encode()])


def even_compositions(count: int, elements: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Shares of elements, spread evenly over all compositions.

    Each coordinate of a Latin hypercube has one point in each of ``count`` equal parts. Taking from a stick, in turn,
    the part that a coordinate says (of k elements that are left, 1 − (1 − u)^(1/(k − 1))) makes points of it that
    are spread over the compositions with uniform density. Of two elements, one composition lies in each of ``count``
    equal parts.

    Parameters
    ----------
    count : int
        How many compositions.
    elements : int
        Of how many elements, at least 1.
    rng : numpy.random.Generator
        Where in its part each point lies, and which parts go together.

    Returns
    -------
    ndarray of shape (count, elements)
        Shares; those of a composition sum to 1.
    """
    strata = [(rng.permutation(count) + rng.random(count)) / count for _ in range(elements - 1)]
    shares, left = np.empty((count, elements)), np.ones(count)
    for k, u in enumerate(strata):
        shares[:, k] = left * (1.0 - (1.0 - u) ** (1.0 / (elements - 1 - k)))
        left = left - shares[:, k]
    shares[:, -1] = left
    return shares


def atom_counts(shares: NDArray[np.float64], atoms: int) -> NDArray[np.int64]:
    """(elements,) numbers of atoms: one of each element, and the others by shares, largest remainders first."""
    wanted = shares * (atoms - len(shares))
    counts = np.floor(wanted).astype(np.int64)
    missing = atoms - len(shares) - int(counts.sum())
    counts[np.argsort(counts - wanted, kind="stable")[:missing]] += 1
    return counts + 1


def assigned_species(elements: Sequence[str], counts: NDArray[np.int64], rng: np.random.Generator) -> tuple[str, ...]:
    """The elements on sites at random, each as often as said."""
    return tuple(rng.permutation(np.repeat(np.array(elements, object), counts)).tolist())
