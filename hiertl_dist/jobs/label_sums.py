"""Errors of forces and stresses added up by key, such as a composition or a group: what tables of errors are made of.

A worker makes the sums of some frames; sums of parts are joined in the order of the parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

ADDED: Final = ("force", "stress")
"""Kinds of labels that are added up; energies are few enough to be kept."""


class Added(NamedTuple):
    """Of one kind of labels: how many, sums of squares and of absolute errors, the largest, sum of squared labels."""

    labels: int
    squares: float
    absolutes: float
    largest: float
    label_squares: float


@dataclass(frozen=True, eq=False)
class LabelSums:
    """Sums of k keys.

    Attributes
    ----------
    keys : ndarray of int, shape (k,)
        Numbers of the keys, each once, ascending.
    sums : ndarray of shape (k, 2, 4)
        By kind as in :data:`ADDED`: number of labels, squares and absolute values of errors, squares of labels.
    largest : ndarray of shape (k, 2)
        Largest absolute error of each kind.
    components : ndarray of shape (k, 3, 6)
        Of the labels of each component of the stress, GPa: number, mean, squares of what differs from the mean.
    """

    keys: NDArray[np.int64]
    sums: NDArray[np.float64]
    largest: NDArray[np.float64]
    components: NDArray[np.float64]

    @classmethod
    def of_frames(
        cls, codes: NDArray[np.integer], sums: NDArray[np.float64], largest: NDArray[np.float64],
        stresses: NDArray[np.float64],
    ) -> LabelSums:  # fmt: skip
        """Those of n frames.

        Parameters
        ----------
        codes : ndarray of int, shape (n,)
            Number of the key of each frame.
        sums : ndarray of shape (n, 2, 4)
            As of the class, of each frame.
        largest : ndarray of shape (n, 2)
            As of the class, of each frame.
        stresses : ndarray of shape (n, 6)
            Labels, GPa; NaN where there is none.

        Returns
        -------
        LabelSums
            Of the keys that occur, added up in the order of the frames.
        """
        keys, of = np.unique(codes, return_inverse=True)
        total = empty_sums(len(keys))
        np.add.at(total.sums, of, sums)
        np.maximum.at(total.largest, of, largest)
        finite = np.isfinite(stresses)
        counts, means, squares = (total.components[:, j] for j in range(3))
        np.add.at(counts, of, finite)
        np.add.at(means, of, np.where(finite, stresses, 0.0))
        means /= np.maximum(counts, 1.0)
        np.add.at(squares, of, np.where(finite, stresses - means[of], 0.0) ** 2)
        return cls(keys.astype(np.int64), total.sums, total.largest, total.components)

    def of(self, place: int, kind: str) -> Added:
        """The sums of the key at a place."""
        k = ADDED.index(kind)
        labels, squares, absolutes, label_squares = self.sums[place, k].tolist()
        return Added(int(labels), squares, absolutes, self.largest[place, k].item(), label_squares)

    def about_means(self, place: int) -> tuple[float, int]:
        """Sum of squares of stress labels about the mean of their component, and how many components there are."""
        return float(self.components[place, 2].sum()), int(np.count_nonzero(self.components[place, 0]))


def empty_sums(size: int) -> LabelSums:
    """Of nothing, for keys 0 to ``size - 1``."""
    return LabelSums(np.arange(size), np.zeros((size, 2, 4)), np.zeros((size, 2)), np.zeros((size, 3, 6)))


def joined_sums(parts: Iterable[LabelSums], size: int) -> LabelSums:
    """The sums of all parts, added up in their order, for all keys from 0 to ``size - 1``.

    Means and squares about them are joined as by T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae and a
    pairwise algorithm for computing sample variances" (1979): no mean is lost in large sums.
    """
    total = empty_sums(size)
    for part in parts:
        keys = part.keys
        total.sums[keys] += part.sums
        total.largest[keys] = np.maximum(total.largest[keys], part.largest)
        n, mean, squares = (total.components[keys, j] for j in range(3))
        more, own_mean, own_squares = (part.components[:, j] for j in range(3))
        count = n + more
        share = more / np.maximum(count, 1.0)
        apart = own_mean - mean
        squares = squares + own_squares + apart**2 * n * share
        total.components[keys] = np.stack([count, mean + apart * share, squares], axis=1)
    return total
