"""``stack``: one factor out of many, each with columns of its own, a weight, and a target of its own making.

Everything that is asked of kept-apart factors (subsets of columns, frozen columns, weights, groups left out) is one
multiplication of each from the right, [A | T] E, and one QR of all of them on top of each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from hiertl_dist.algebra.gram import Gram
from hiertl_dist.algebra.lapack import Matrix, Vector, qr_triangle, stack_below
from hiertl_dist.algebra.rfactor import RFactor
from hiertl_dist.algebra.summary import Summary, checked_weight

#: Rows that are put together for one QR, in multiples of the width: more would not be cheaper, only larger.
ROWS_AT_ONCE = 6

Kind = TypeVar("Kind", bound=Summary, covariant=True)


@dataclass(frozen=True, eq=False)
class Layer(Generic[Kind]):
    """A summary of [A | T], and which of its columns go where in a stack.

    Attributes
    ----------
    factor : Summary
        What the rows are reduced to.
    kept : ndarray of int, shape (k,)
        Columns of A that are kept.
    places : ndarray of int, shape (k,)
        Columns of the stack that they go to, without repetition.
    target : ndarray of shape (n + t,)
        What the layer's target is: [A | T] @ ``target``. (0, …, 0, 1, −1) is b less one offset; entries −c_j at the
        columns j take frozen ones away.
    weight : float
        A factor ≥ 0 of all rows.
    """

    factor: Kind
    kept: npt.NDArray[np.intp]
    places: npt.NDArray[np.intp]
    target: Vector
    weight: float = 1.0


def stack(layers: Iterable[Layer[RFactor]], n: int) -> RFactor:
    """The factor of [A | b] of all layers on top of each other.

    Never a down-date: columns are left out of factors and what is left is made triangular anew. The result depends on
    the order of the layers in its last digits only.

    Parameters
    ----------
    layers : iterable of Layer
        What to stack; columns that a layer lacks are zero in it.
    n : int
        Columns of the stack.

    Returns
    -------
    RFactor
        Of n columns and one target; its rows are the sum over all layers with a weight above zero.
    """
    width = n + 1
    rows, total, loose = 0, np.zeros((0, width), order="F"), _Loose(width)
    for layer in layers:
        if checked_weight(layer.weight) == 0.0:
            continue
        rows += layer.factor.rows
        if _is_whole(layer, n):
            total = _onto(total, _whole(layer, n), trapezoid=True)
            continue
        for piece in loose.add(_pieces(layer)):
            total = _onto(total, piece, trapezoid=False)
    for piece in loose.rest():
        total = _onto(total, piece, trapezoid=False)
    return RFactor(_padded(total, min(rows, width)), rows)


def residuals(layer: Layer[Summary], coefficients: Matrix) -> tuple[Vector, float]:
    """‖A c − b‖² of a layer's unweighted rows for each of some models, and ‖b‖².

    Parameters
    ----------
    layer : Layer
        Whose rows are meant; its weight does not count.
    coefficients : ndarray of shape (columns of the stack, models)
        One model a column.

    Returns
    -------
    ndarray of shape (models,), float
        Both of a ``Gram`` good to about 1e-15 ‖b‖².
    """
    factor = layer.factor
    selected = coefficients[layer.places]
    if isinstance(factor, RFactor):
        target = factor.r @ layer.target
        left = target[:, np.newaxis] - factor.r[:, layer.kept] @ selected
        return np.einsum("ij,ij->j", left, left), float(target @ target)
    assert isinstance(factor, Gram)
    signed = np.repeat(layer.target[:, np.newaxis], selected.shape[1] + 1, axis=1)
    signed[layer.kept, 1:] -= selected
    # differences of large numbers, good to about 1e-15 ‖b‖²
    squares = np.maximum(np.einsum("ij,ij->j", signed, factor.g @ signed), 0.0)
    return squares[1:], float(squares[0])


def _is_whole(layer: Layer[RFactor], n: int) -> bool:
    """Whether a layer is a triangle that stays one: columns in place, and merged by a structured QR."""
    return layer.factor.is_triangle and len(layer.kept) == n and np.array_equal(layer.kept, layer.places)


def _whole(layer: Layer[RFactor], n: int) -> Matrix:
    """The triangle (n + 1, n + 1) of such a layer."""
    r = layer.factor.r
    triangle = np.zeros((n + 1, n + 1), order="F")
    triangle[:n, :n] = r[:n, :n]
    column = r @ layer.target
    # more columns and more targets leave several rows below the columns: their length is what matters
    triangle[:n, n] = column[:n]
    triangle[n, n] = np.linalg.norm(column[n:])
    return np.asarray(triangle * layer.weight) if layer.weight != 1.0 else triangle


def _pieces(layer: Layer[RFactor]) -> Iterator[tuple[Matrix, npt.NDArray[np.intp], Vector]]:
    """Rows (m, k) of a layer's columns, where they go, and the target (m,), weighted; rows without columns as one."""
    r = layer.factor.r
    column = r @ layer.target
    last = len(r)
    if layer.factor.is_triangle:
        # below the last kept column a triangle has nothing but targets
        last = min(last, int(layer.kept.max(initial=-1)) + 1)
    yield layer.weight * r[:last, layer.kept], layer.places, layer.weight * column[:last]
    if last < len(r):
        tail = np.array([np.linalg.norm(column[last:])])
        yield np.zeros((1, 0)), np.zeros(0, np.intp), layer.weight * tail


class _Loose:
    """Rows that are not part of a triangle yet, in one buffer that is given away when it is full."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._limit = ROWS_AT_ONCE * width
        self._waiting: list[tuple[Matrix, npt.NDArray[np.intp], Vector]] = []
        self._rows = 0

    def add(self, pieces: Iterable[tuple[Matrix, npt.NDArray[np.intp], Vector]]) -> Iterator[Matrix]:
        for piece in pieces:
            if self._rows and self._rows + len(piece[0]) > self._limit:
                yield from self.rest()
            self._waiting.append(piece)
            self._rows += len(piece[0])

    def rest(self) -> Iterator[Matrix]:
        if not self._rows:
            return
        buffer = np.zeros((self._rows, self.width), order="F")
        start = 0
        for matrix, places, target in self._waiting:
            stop = start + len(matrix)
            buffer[start:stop, places] = matrix
            buffer[start:stop, -1] = target
            start = stop
        self._waiting, self._rows = [], 0
        yield buffer


def _onto(total: Matrix, below: Matrix, *, trapezoid: bool) -> Matrix:
    """The triangle of ``total``, a triangle or fewer rows, and of ``below``; neither is of use afterwards."""
    width = total.shape[1]
    if len(total) == width:
        if not trapezoid and len(below) >= width:
            below, trapezoid = qr_triangle(below, overwrite=True), True
        return stack_below(total, below, trapezoid=len(below) if trapezoid else 0, overwrite=True)
    if trapezoid:
        return stack_below(below, total, trapezoid=0, overwrite=True)
    both = below if len(total) == 0 else np.asfortranarray(np.vstack([total, below]))
    return qr_triangle(both, overwrite=True) if len(both) >= width else both


def _padded(r: Matrix, rows: int) -> Matrix:
    """``r`` with rows of zeros below, so that there are ``rows``; a trapezoid where that makes it a triangle."""
    width = r.shape[1]
    if len(r) == rows:
        return r
    if rows == width:
        r = qr_triangle(r, overwrite=True)
    padded = np.zeros((rows, width), order="F")
    padded[: len(r)] = r
    return padded
