"""Upper triangles as LAPACK packs them: column by column without what lies below the diagonal, half the numbers."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import lapack

from hiertl_dist.algebra.lapack import Matrix, Vector

#: The widest triangle whose n² fits the integers of LAPACK; its packed numbers would fill 8.6 GB.
WIDEST = 46340


def packed_size(n: int) -> int:
    """How many numbers a triangle of n columns has, n (n + 1) / 2."""
    return n * (n + 1) // 2


def pack_upper(a: Matrix) -> Vector:
    """The upper triangle of a matrix, column by column, every bit kept (dtrttp).

    Parameters
    ----------
    a : ndarray of shape (n, n)
        Zero below its diagonal.

    Returns
    -------
    ndarray of shape (n (n + 1) / 2,)
        The triangle alone.

    Raises
    ------
    ValueError
        A matrix that is not square, is wider than ``WIDEST``, or has a number other than zero below its diagonal, with
        its row and column.
    """
    n = a.shape[-1]
    if a.shape != (n, n) or n > WIDEST:
        raise ValueError(f"expected a triangle of shape (n, n), n ≤ {WIDEST}, found {a.shape}")
    for column in range(n):
        below = a[column + 1 :, column]
        if below.any():
            row = column + 1 + int(np.flatnonzero(below)[0])
            raise ValueError(f"expected an upper triangle, found {a[row, column]} in row {row}, column {column}")
    if n == 0:
        return np.zeros(0)
    packed, info = lapack.dtrttp(a, uplo="U")
    if info:
        raise ValueError(f"LAPACK dtrttp: argument {-info} is illegal")
    return np.asarray(packed)


def unpack_upper(packed: Vector) -> Matrix:
    """The column-major triangle that ``pack_upper`` packed (dtpttr).

    Parameters
    ----------
    packed : ndarray of shape (n (n + 1) / 2,)
        The triangle alone.

    Returns
    -------
    ndarray of shape (n, n)
        Zero below its diagonal.

    Raises
    ------
    ValueError
        No triangle has so many numbers.
    """
    n = (math.isqrt(8 * packed.size + 1) - 1) // 2
    if packed.shape != (packed_size(n),) or n > WIDEST:
        raise ValueError(f"expected n (n + 1) / 2 numbers, n ≤ {WIDEST}, found an array of shape {packed.shape}")
    if n == 0:
        return np.zeros((0, 0), order="F")
    # f2py makes what comes out of zeros; LAPACK does not touch what is below the diagonal
    a, info = lapack.dtpttr(n, packed, uplo="U")
    if info:
        raise ValueError(f"LAPACK dtpttr: argument {-info} is illegal")
    return np.asarray(a)
