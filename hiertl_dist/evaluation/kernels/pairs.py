"""Two-body design rows and energies.

rows         ``frow`` first force row or −1, ``srow`` (6) stress rows or −1, ``erow`` energy row or −1.

D_ij of a column is the derivative of its basis function by r_ij; forces F_i += D û_ij over all neighbours j; stress
−(1/V) D r_a r_b / r, once a pair.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .edges import bare, carve, edge_functions, inlined, jit, lane_scratch, longest, map_edge, multiply, padded, voigt
from .simd import LANES, TILE, edge_rows


class _Beside(NamedTuple):
    """The neighbours that an atom has of one element.

    js: which of all; once: which of these count for stress and energy; identity: 0, 1, 2 …; g, dg: edge functions, a
    row each; u, w: unit vectors and stress weights (4 and 8 numbers each); work: for ``edge_rows``; kept: that of all
    neighbours of all atoms.
    """

    js: np.ndarray
    once: np.ndarray
    identity: np.ndarray
    g: np.ndarray
    dg: np.ndarray
    u: np.ndarray
    w: np.ndarray
    work: np.ndarray
    kept: np.ndarray


class _Sums(NamedTuple):
    """A product of weights and edge functions; sums of stress and energy by pair of elements."""

    product: np.ndarray
    stress: np.ndarray
    energy: np.ndarray


@bare
def _joined(i, ej, element, near, edge, inside, once, js):
    """Fill js with the neighbours of a centre that have element ej and are joined to it; their number.

    ``once``: of two directions, one.
    """
    count = 0
    for a in range(near.start[i], near.start[i + 1]):
        r = near.dist[a]
        if element[near.atom[a]] == ej and r < edge[3] and (inside or r > edge[2]) and (near.half[a] or not once):
            js[count] = a
            count += 1
    return count


# long: its parameters are documented
@jit
def pair_rows(element, near, fn, order, first, inside, edges, volume, frow, srow, erow, out, scratch):
    """Write two-body rows: of forces, zero where the atom has no element of the column's, of stress and energy.

    Parameters
    ----------
    element : ndarray of int, shape (atoms,)
        Code of each atom's element, −1 for others.
    near : Neighbours
        Those of the frame's atoms.
    fn : ndarray of int, shape (elements, elements)
        Row of the edge table of each pair of elements, or −1.
    order, first : ndarray of int, shape (elements, elements)
        Number of columns of each pair of elements, and where they begin.
    inside : bool
        Whether pairs at or below the inner cutoff count.
    edges : ndarray of shape (edges, 8)
        The edge table.
    volume : float
        Volume of the cell, Å³.
    frow, erow : int
        First force row and energy row, or −1.
    srow : ndarray of int, shape (6,)
        Stress rows, or −1.
    out : ndarray of shape (rows, columns)
        The design rows of the frame, into which is written.
    scratch : ndarray
        Scratch memory, see ``carve``.
    """
    n, kinds, most = order.max() + 1, len(fn), longest(near)
    ld = padded(n, LANES)
    sums = _Sums(carve(scratch, TILE * ld), np.zeros((kinds, kinds, 2 * TILE * ld)), np.zeros((kinds, kinds, ld)))
    room = most + LANES
    beside = _Beside(
        np.empty(most, np.int64), np.empty(most, np.int64), np.arange(room), carve(scratch, room * ld),
        carve(scratch, room * ld), np.zeros(TILE * most), np.zeros(2 * TILE * most), lane_scratch(scratch),
        carve(scratch, 6 * len(near.atom), False),
    )  # fmt: skip
    for i in range(len(near.start) - 1):
        _write_atom(i, element, near, fn, order, first, inside, edges, volume, frow, srow, out, beside, sums)
    for a in range(kinds):
        for b in range(a, kinds):
            if fn[a, b] >= 0:
                for c in range(order[a, b]):
                    for x in range(6):
                        if srow[x] >= 0:
                            out[srow[x], first[a, b] + c] = sums.stress[a, b, x * ld + 1 + c]
                    if erow >= 0:
                        out[erow, first[a, b] + c] = sums.energy[a, b, 1 + c]


@bare
def _write_atom(i, element, near, fn, order, first, inside, edges, volume, frow, srow, out, beside, sums):
    """Write the force rows of an atom, and add to the sums for stress and energy."""
    n, kinds, ld = order.max() + 1, len(fn), len(sums.product) // TILE
    js, once, u, w, g, dg = beside.js, beside.once, beside.u, beside.w, beside.g, beside.dg
    stresses = srow.max() >= 0
    for low in range(kinds if frow >= 0 else 0):
        for high in range(low, kinds):
            if fn[low, high] >= 0 and element[i] != low and element[i] != high:
                for x in range(3):
                    for c in range(order[low, high]):
                        out[frow + 3 * i + x, first[low, high] + c] = 0.0
    for ej in range(kinds if element[i] >= 0 else 0):
        if fn[element[i], ej] < 0:
            continue
        low, high, edge = min(element[i], ej), max(element[i], ej), edges[fn[element[i], ej]]
        count, halves = _joined(i, ej, element, near, edge, inside, False, js), 0
        for b in range(0, count, LANES):
            for lane in range(min(LANES, count - b)):
                _map_once(edge, js[b + lane], near, beside, lane)
            edge_rows(beside.work, beside.identity[b:], min(LANES, count - b), n, ld, g, dg)
        for t in range(count):
            a = js[t]
            r = near.dist[a]
            for x in range(3):
                u[TILE * t + x] = near.vec[a, x] / r
            if near.half[a]:
                for x in range(6):
                    p, q = voigt(x)
                    w[2 * TILE * t + x] = -near.vec[a, p] * near.vec[a, q] / (r * volume)
                for c in range(ld):
                    sums.energy[low, high, c] += g[t * ld + c]
                once[halves] = t
                halves += 1
        if frow >= 0:
            multiply(sums.product, 0, ld, u, 0, TILE, beside.identity, dg, ld, beside.identity, count, ld)
            for x in range(3):
                for c in range(order[low, high]):
                    out[frow + 3 * i + x, first[low, high] + c] = sums.product[x * ld + c + 1]
        for row in range(0, 2 * TILE if stresses else 0, TILE):
            multiply(sums.product, 0, ld, w, row, 2 * TILE, once, dg, ld, once, halves, ld)
            for c in range(TILE * ld):
                sums.stress[low, high, row * ld + c] += sums.product[c]


@inlined
def _map_once(edge, a, near, beside, lane):
    """As ``map_edge``; the other direction of a pair takes what was kept of the first."""
    work, kept, back = beside.work, beside.kept, near.reverse[a]
    if back < a:
        for part in range(6):
            work[LANES * part + lane] = kept[6 * back + part]
    else:
        map_edge(edge, near.dist[a], work, lane)
        for part in range(6):
            kept[6 * a + part] = work[LANES * part + lane]


@bare
def add_evaluated(i, j, u, r, d, forces, virial):
    """Add the derivative d of a pair's energy by its distance to ``forces`` (n, 3) and ``virial`` (6,) = V × stress."""
    for x in range(3):
        forces[i, x] += u[x] * d
        forces[j, x] -= u[x] * d
    for s in range(6):
        p, q = voigt(s)
        virial[s] -= d * r * u[p] * u[q]


@jit
def pair_energy(element, near, fn, values, edges, inside, wall, forces, virial, scratch):
    """Two-body energy of a model; adds to forces and virial.

    Parameters
    ----------
    element : ndarray of int, shape (atoms,)
        Code of each atom's element, −1 for others.
    near : Neighbours
        Those of the frame's atoms.
    fn : ndarray of int, shape (elements, elements)
        Row of the edge table of each pair of elements, or −1.
    values : ndarray of shape (elements, elements, n)
        Coefficients of T_1…T_n, kcal/mol.
    edges : ndarray of shape (edges, 8)
        The edge table.
    inside : bool
        Whether pairs at or below the inner cutoff count; the penalty acts on them in any case.
    wall : ndarray of shape (2,)
        A and d of the penalty A (rmin + d − r)³, in kcal/mol/Å³ and Å.
    forces : ndarray of shape (atoms, 3)
        Forces are added to it, kcal/mol/Å.
    virial : ndarray of shape (6,)
        V × stress is added to it, kcal/mol.
    scratch : ndarray
        Scratch memory, see ``carve``.

    Returns
    -------
    float
        The energy, kcal/mol.
    """
    n, kinds, most, energy = values.shape[2] + 1, len(fn), longest(near), 0.0
    ld = padded(n, LANES)
    g, dg, work = carve(scratch, LANES * ld), carve(scratch, LANES * ld), lane_scratch(scratch)
    identity, js = np.arange(LANES), np.empty(most, np.int64)
    for i in range(len(near.start) - 1):
        for ej in range(kinds if element[i] >= 0 else 0):
            if fn[element[i], ej] < 0:
                continue
            edge = edges[fn[element[i], ej]]
            count = _joined(i, ej, element, near, edge, True, True, js)
            for t in range(count):
                a, row = js[t], t % LANES
                if row == 0:
                    edge_functions(edge, near.dist, js[t : min(t + LANES, count)], identity, n, ld, work, g, dg)
                r, derivative = near.dist[a], 0.0
                if inside or r > edge[2]:
                    for k in range(1, n):
                        energy += values[element[i], ej, k - 1] * g[row * ld + k]
                        derivative += values[element[i], ej, k - 1] * dg[row * ld + k]
                depth = edge[2] + wall[1] - r
                if depth > 0.0:
                    energy += wall[0] * depth**3
                    derivative -= 3.0 * wall[0] * depth**2
                add_evaluated(i, near.atom[a], near.vec[a] / r, r, derivative, forces, virial)
    return energy
