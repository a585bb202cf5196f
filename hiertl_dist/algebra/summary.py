"""What every mergeable reduction of rows can do, whatever it keeps of them.

A summary stands for rows [A | T]: m rows, n columns of A, and t ≥ 1 targets. Target 0 is b; the others are
offsets, for example what frozen blocks contribute to each row, evaluated elsewhere. It answers every
question about least squares in A and any combination of the targets without the rows. Units are those of the
rows.

All verbs that change columns or targets are one multiplication from the right: [A | T] E = [A E' | T'], so
they are written once here, and a kind of summary only says how it recombines.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from hiertl_dist.algebra.collect import Collector
from hiertl_dist.algebra.lapack import Matrix, Vector

Columns = Sequence[int] | npt.NDArray[np.integer] | npt.NDArray[np.bool_]


def require_finite(a: npt.NDArray[np.float64], what: str) -> None:
    """Raise ValueError naming the first row and column of ``a`` (m, n) that is NaN or infinite."""
    # One pass without a second matrix: no sum of squares with such a number in it is finite.
    flat = a.ravel(order="K")
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.dot(flat, flat)
    if np.isfinite(squares) or np.isfinite(a).all():
        return
    row, column = np.argwhere(~np.isfinite(a))[0]
    raise ValueError(f"{what}: expected finite numbers, found {a[row, column]} in row {row}, column {column}")


def column_index(columns: Columns, n: int) -> npt.NDArray[np.intp]:
    """Columns as indices.

    Parameters
    ----------
    columns : sequence of int or mask of shape (n,)
        Which ones.
    n : int
        How many there are.

    Returns
    -------
    ndarray of int
        In the order given; those of a mask rise.

    Raises
    ------
    ValueError
        Indices that repeat or don't exist, or something else than integers.
    """
    index = np.asarray(columns)
    if index.dtype == np.bool_:
        if index.shape != (n,):
            raise ValueError(f"column mask: expected shape ({n},), found {index.shape}")
        return np.flatnonzero(index)
    if index.size == 0:
        return np.zeros(0, dtype=np.intp)
    if index.ndim != 1 or not np.issubdtype(index.dtype, np.integer):
        raise ValueError(f"columns: expected a list of integers, found {index.dtype} of shape {index.shape}")
    if index.min() < 0 or index.max() >= n:
        raise ValueError(f"columns: expected indices in 0 … {n - 1}, found {index.min()} … {index.max()}")
    repeated = len(index) - len(np.unique(index))
    if repeated:
        raise ValueError(f"columns: expected each index once, found {repeated} repeated")
    return index.astype(np.intp)


def _vector(values: npt.ArrayLike, length: int, what: str) -> Vector:
    vector = np.asarray(values, dtype=np.float64)
    if vector.shape != (length,):
        raise ValueError(f"{what}: expected shape ({length},), found {vector.shape}")
    require_finite(vector[:, np.newaxis], what)
    return vector


class Summary(ABC):
    """A mergeable reduction of the rows [A | T]: m rows, n columns and t targets (see the text of this module).

    Attributes
    ----------
    kind : str
        "rfactor" (``RFactor``) or "gram" (``Gram``).
    rows : int
        Rows that it stands for, m.
    n_targets : int
        Targets, t.
    """

    kind: ClassVar[str]
    rows: int
    n_targets: int

    @property
    @abstractmethod
    def width(self) -> int:
        """Columns and targets together, n + t."""

    @property
    def n_columns(self) -> int:
        """Columns of A, n."""
        return self.width - self.n_targets

    @classmethod
    def of(cls, A: npt.ArrayLike, b: npt.ArrayLike) -> Self:
        """The summary of a matrix and its targets; the rows are copied once.

        Parameters
        ----------
        A : array_like of shape (m, n)
            Any m ≥ 0.
        b : array_like of shape (m,) or (m, t)
            The target, or several.

        Returns
        -------
        Summary
            Of the class that was asked.

        Raises
        ------
        ValueError
            Shapes that don't fit or, with its row and column, the first number that is not finite (columns n … n+t−1
            are the targets).
        """
        rows = np.asarray(A, dtype=np.float64)
        targets = np.asarray(b, dtype=np.float64)
        if targets.ndim == 1:
            targets = targets[:, np.newaxis]
        if rows.ndim != 2 or targets.ndim != 2 or len(rows) != len(targets) or targets.shape[1] < 1:
            raise ValueError(
                f"expected A of shape (m, n) and b of shape (m,) or (m, t), t ≥ 1; found {rows.shape} and {np.shape(b)}"
            )
        n = rows.shape[1]
        buffer = np.empty((len(rows), n + targets.shape[1]), order="F")
        buffer[:, :n] = rows
        buffer[:, n:] = targets
        return cls.of_buffer(buffer, targets.shape[1], overwrite=True)

    @classmethod
    @abstractmethod
    def of_buffer(cls, buffer: Matrix, n_targets: int = 1, *, overwrite: bool = False) -> Self:
        """The summary of a buffer that the caller filled with [A | T].

        Parameters
        ----------
        buffer : ndarray of shape (m, n + t)
            The rows; what is not column-major float64 is copied.
        n_targets : int, default 1
            How many of its columns are targets, t.
        overwrite : bool, default False
            Let the buffer be destroyed instead of copied.

        Returns
        -------
        Summary
            Of the class that was asked.

        Raises
        ------
        ValueError
            As ``of``.
        """

    @classmethod
    @abstractmethod
    def collector(cls, rows: int, width: int, n_targets: int = 1) -> Collector[Any]:
        """What takes rows [A | T] piece by piece, for their summary.

        Parameters
        ----------
        rows : int
            Rows that will come.
        width : int
            Numbers of a row, n + t.
        n_targets : int, default 1
            How many of them are targets, t.

        Returns
        -------
        Collector
            Its ``finish`` gives the summary.
        """

    @abstractmethod
    def merge(self, other: Summary) -> Self:
        """The summary of both sets of rows; associative up to rounding.

        Parameters
        ----------
        other : Summary
            Of the same kind, columns and targets.

        Returns
        -------
        Summary
            Of all rows.

        Raises
        ------
        ValueError
            Numbers of columns or targets that differ; the message has both.
        TypeError
            Kinds that differ.
        """

    @abstractmethod
    def scale(self, weight: float) -> Self:
        """The summary of all rows times a weight ≥ 0 (the objective holds weight²); ``rows`` stays."""

    @abstractmethod
    def _recombine(self, keep: npt.NDArray[np.intp], targets: Matrix) -> Self:
        """The summary of [A[:, keep] | [A | T] @ targets], ``targets`` being (n + t, t')."""

    @abstractmethod
    def column_norms(self) -> Vector:
        """Euclidean norms of the columns of A over all (weighted) rows, shape (n,)."""

    @abstractmethod
    def gradient(self, c: npt.ArrayLike) -> Vector:
        """Aᵀ(b − A c), shape (n,), for coefficients (n,)."""

    @abstractmethod
    def residual_norm2(self, c: npt.ArrayLike) -> float:
        """‖A c − b‖², for coefficients (n,)."""

    @abstractmethod
    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Plain arrays that ``from_arrays`` makes the same summary of, bit for bit."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, npt.ArrayLike]) -> Self:
        """The summary that ``to_arrays`` wrote; ValueError where an array is missing or doesn't fit."""

    def target_norm2(self) -> float:
        """‖b‖² over all (weighted) rows."""
        return self.residual_norm2(np.zeros(self.n_columns))

    def columns(self, subset: Columns) -> Self:
        """The summary of A[:, subset] with the same targets: indices in any order, or a mask (n,)."""
        return self._recombine(column_index(subset, self.n_columns), self._targets_unchanged())

    def freeze(self, columns: Columns, values: npt.ArrayLike) -> Self:
        """The summary without some columns, whose contribution is taken off target 0.

        Parameters
        ----------
        columns : sequence of int or mask of shape (n,)
            Which ones.
        values : array_like of shape (columns,)
            Their coefficients.

        Returns
        -------
        Summary
            Its target 0 is b − A[:, columns] @ values.
        """
        frozen = column_index(columns, self.n_columns)
        targets = self._targets_unchanged()
        targets[frozen, 0] = -_vector(values, len(frozen), "frozen values")
        return self._recombine(np.setdiff1d(np.arange(self.n_columns), frozen), targets)

    def offset(self, weights: npt.ArrayLike) -> Self:
        """The summary with the one target T @ weights, weights (t,): (1, −1, 0) is b less one offset."""
        targets = np.zeros((self.width, 1))
        targets[self.n_columns :, 0] = _vector(weights, self.n_targets, "offset weights")
        return self._recombine(np.arange(self.n_columns), targets)

    def _targets_unchanged(self) -> Matrix:
        targets = np.zeros((self.width, self.n_targets))
        targets[self.n_columns :] = np.eye(self.n_targets)
        return targets

    def _coefficients(self, c: npt.ArrayLike) -> Vector:
        return _vector(c, self.n_columns, "coefficients")

    def _require_mergeable(self, other: Summary) -> None:
        if type(other) is not type(self):
            raise TypeError(f"can't merge {type(self).__name__} with {type(other).__name__}")
        mine, theirs = (self.n_columns, self.n_targets), (other.n_columns, other.n_targets)
        if mine != theirs:
            raise ValueError(f"can't merge (columns, targets) = {mine} with {theirs}")

    def _require_sizes(self) -> None:
        if self.rows < 0:
            raise ValueError(f"rows: expected ≥ 0, found {self.rows}")
        if not 1 <= self.n_targets <= self.width:
            raise ValueError(f"n_targets: expected 1 … {self.width} (the width), found {self.n_targets}")


def buffer_of(buffer: npt.NDArray[np.float64], n_targets: int) -> Matrix:
    """``buffer`` checked for what every ``of_buffer`` needs: two dimensions, room for the targets, finite."""
    matrix = np.asarray(buffer, dtype=np.float64)
    if matrix.ndim != 2 or not 1 <= n_targets <= matrix.shape[1]:
        raise ValueError(f"expected a buffer (m, n + t) with 1 ≤ t = {n_targets} ≤ n + t, found shape {matrix.shape}")
    require_finite(matrix, "rows [A | T]")
    return matrix


def checked_weight(weight: float) -> float:
    """``weight`` if it is finite and not negative, else ValueError."""
    if not (math.isfinite(weight) and weight >= 0.0):
        raise ValueError(f"weight: expected a finite number ≥ 0, found {weight}")
    return float(weight)


def locked(a: Matrix) -> Matrix:
    """A read-only view: a frozen dataclass whose array changes would not be frozen."""
    view = a.view()
    view.flags.writeable = False
    return view


def saved(arrays: Mapping[str, npt.ArrayLike], matrix: str) -> tuple[Matrix, int, int]:
    """(matrix, rows, n_targets) out of saved arrays; ValueError naming what is missing."""
    missing = [key for key in (matrix, "rows", "n_targets") if key not in arrays]
    if missing:
        raise ValueError(f"saved summary: expected arrays {matrix}, rows, n_targets; missing {', '.join(missing)}")
    a = np.asfortranarray(arrays[matrix], dtype=np.float64)
    return a, int(np.asarray(arrays["rows"]).item()), int(np.asarray(arrays["n_targets"]).item())
