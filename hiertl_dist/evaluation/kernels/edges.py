"""Edge functions g_a(r) = f_c(r) T_a(s(r)) of every pair of atoms of a frame, as a table.

Kernels are numba functions that take arrays and fill arrays.

edge table   rows [transform, λ, rmin, rmax, cutoff, fraction, s offset, s scale].
fn           (elements, elements) the edge-table row of a pair of elements, or −1.
neighbours   see ``neighbours.py``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from ...compiled.cache import kernel
from .simd import LANES, copy_lanes, edge_rows, tile8, tile16

DAMPING = 0.01
"""Å; chimes_lsq's length of the smooth continuation below an inner cutoff."""

MORSE, INVERSE, IDENTITY = 0, 1, 2
CUBIC, TERSOFF = 0, 1

jit = kernel(nogil=True, error_model="numpy")

helper = kernel(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""For what kernels alone call: without what Python and C would call it by, a sixth of the compilation is saved."""

_BARE: Final = {
    "nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False
}  # fmt: skip

bare = kernel(**_BARE)
"""For helpers that neither make nor return an array: they count no references to those that they are given. Each count
is an atomic operation, and they took a fifth of the time of carbon's rows."""

inlined = kernel(forceinline=True, **_BARE)
"""As ``bare``, for what every pair of atoms calls: an array is seven arguments, and a tuple of them a hundred."""


class Table(NamedTuple):
    """Edge functions of a family for every directed neighbour of a frame, and who is joined by them.

    g, dg (neighbours × ld): rows of n numbers and zeros; the joined neighbours of atom i are
    first[i]:first[i + 1] of ``directed`` (in the full list) and ``cell`` (atom × cells + code).
    """

    ld: int
    g: np.ndarray
    dg: np.ndarray
    first: np.ndarray
    directed: np.ndarray
    cell: np.ndarray


@jit
def padded(n, multiple):
    """The next multiple."""
    return -(-n // multiple) * multiple


@jit
def carve(scratch, n, clear=True):
    """An array of n doubles that begins at a cache line: a vector across two lines takes twice the time.

    It is cut out of ``scratch``, whose first number is the index of what is free, or made where that is not enough.
    """
    at = int(scratch[0])
    scratch[0] = at + padded(n, LANES)
    if at + n <= len(scratch):
        part = scratch[at : at + n]
        if clear:
            part.fill(0.0)
        return part
    whole = np.zeros(n + LANES)
    first = -(whole.ctypes.data // 8) % LANES
    return whole[first : first + n]


@helper
def carve_indices(scratch, n):
    """As ``carve``, n integers of any value."""
    return carve(scratch, n, False).view(np.int64)


@inlined
def voigt(c):
    """The two axes of component c of xx yy zz xy xz yz."""
    return (c, c) if c < 3 else ((0, 1) if c == 3 else (c - 4, 2))


@bare
def longest(near):
    """The largest number of neighbours that an atom has."""
    most = 0
    for i in range(len(near.start) - 1):
        most = max(most, near.start[i + 1] - near.start[i])
    return most


@inlined
def multiply(c, i, ldc, a, ia, lda, left, b, ldb, right, count, width):
    """Four rows of C, ``width`` wide, from rows of A (from column ia) and of B; see ``tile16``."""
    column = 0
    while width - column > LANES:
        tile16(c, i + column, ldc, a, ia, lda, left, 0, b, column, ldb, right, 0, count)
        column += 2 * LANES
    if column < width:
        tile8(c, i + column, ldc, a, ia, lda, left, 0, b, column, ldb, right, 0, count)


@helper
def edge_table(element, near, fn, edges, n, scratch):
    """The :class:`Table` of the edges of ``fn`` to order n."""
    ld, number = padded(n, LANES), len(near.atom)
    table = Table(
        ld, carve(scratch, number * ld, False), carve(scratch, number * ld, False), np.zeros(len(near.start), np.int64),
        carve_indices(scratch, number), carve_indices(scratch, number),
    )  # fmt: skip
    waiting, rows = np.zeros(len(edges), np.int64), np.empty((len(edges), LANES), np.int64)
    _fill_table(element, near, fn, edges, n, table, waiting, rows, lane_scratch(scratch))
    return table


@bare
def _fill_table(element, near, fn, edges, n, table, waiting, rows, work):
    """Fill in a table. Pairs wait for seven others of their kind, and are computed together."""
    atom, dist, reverse, ld, g, dg, count = near.atom, near.dist, near.reverse, table.ld, table.g, table.dg, 0
    for i in range(len(near.start) - 1):
        for a in range(near.start[i], near.start[i + 1]):
            f = fn[element[i], element[atom[a]]] if element[i] >= 0 and element[atom[a]] >= 0 else -1
            if f < 0 or dist[a] >= edges[f, 3]:
                continue
            table.directed[count] = a
            table.cell[count] = atom[a] * near.cells + near.code[a]
            count += 1
            if a < reverse[a]:
                rows[f, waiting[f]] = a
                waiting[f] += 1
                if waiting[f] == LANES:
                    edge_functions(edges[f], dist, rows[f], rows[f], n, ld, work, g, dg)
                    waiting[f] = 0
        table.first[i + 1] = count
    for f in range(len(edges)):
        edge_functions(edges[f], dist, rows[f, : waiting[f]], rows[f], n, ld, work, g, dg)
    for c in range(count):
        a = table.directed[c]
        if reverse[a] < a:
            copy_lanes(g, a * ld, g, reverse[a] * ld, ld // LANES)
            copy_lanes(dg, a * ld, dg, reverse[a] * ld, ld // LANES)


@helper
def lane_scratch(scratch):
    """Scratch memory for ``edge_functions``."""
    return carve(scratch, 6 * LANES)


@bare
def edge_functions(edge, dist, pairs, rows, n, ld, work, g, dg):
    """Fill in g_a(r) and g'_a(r), a = 0…n−1, of up to 8 pairs within one edge's outer cutoff.

    They go into those ``rows``, of which there are 8, of ld numbers, a multiple of 8; the last of them are zero.
    """
    for lane in range(len(pairs)):
        map_edge(edge, dist[pairs[lane]], work, lane)
    if len(pairs) > 0:
        edge_rows(work, rows, len(pairs), n, ld, g, dg)


@bare
def map_edge(edge, r, work, lane):
    """Fill in a lane of what ``edge_rows`` takes."""
    s, ds, rise, decay = _mapped(edge, r)
    f, df = _cutoff(edge, r)
    work[lane], work[LANES + lane], work[2 * LANES + lane] = s, ds, f
    work[3 * LANES + lane], work[4 * LANES + lane], work[5 * LANES + lane] = df, rise, decay


@bare
def _mapped(edge, r):
    """The mapped distance s(r) in [−1, 1] and its derivative, both at rmin where r is below it.

    And then what continues a function y smoothly: y + rise y', decay y'.
    """
    at = max(r, edge[2])
    kind = int(edge[0])
    if kind == MORSE:
        x = np.exp(-at / edge[1])
        dx = -x / edge[1]
    elif kind == INVERSE:
        x = 1.0 / at
        dx = -x * x
    else:
        x = at
        dx = 1.0
    s, ds = (x - edge[6]) / edge[7], dx / edge[7]
    if r >= edge[2]:
        return s, ds, 0.0, 1.0
    decay = np.exp((r - edge[2]) / DAMPING)
    return s, ds, DAMPING * (decay - 1.0), decay


@bare
def _cutoff(edge, r):
    """f_c(r) and its derivative, below the outer cutoff."""
    rmax = edge[3]
    if int(edge[4]) == CUBIC:
        y = 1.0 - r / rmax
        return y * y * y, -3.0 * y * y / rmax
    d = rmax * (1.0 - edge[5])
    if r < d:
        return 1.0, 0.0
    w = np.pi / (rmax - d)
    return 0.5 + 0.5 * np.sin(w * (r - d) + 0.5 * np.pi), 0.5 * w * np.cos(w * (r - d) + 0.5 * np.pi)
