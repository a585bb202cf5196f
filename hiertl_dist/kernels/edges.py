"""Edge functions g_a(r) = f_c(r) T_a(s(r)), and the two-body rows and energies, which need nothing else.

Kernels are numba functions that take arrays and fill arrays. numba's cache of a function does not notice that a helper
in another file has changed: after editing a file of this folder touch the others (``tests/conftest.py`` does).

edge table   rows [transform, λ, rmin, rmax, cutoff, fraction, s offset, s scale].
neighbours   see ``neighbours.py``; the terms of a pair of atoms are added where `half` is true.
rows         `frow` first force row or −1, `srow` (6) stress rows or −1, `erow` energy row or −1.

D_ij of a column is the derivative of its basis function by r_ij; forces F_i += D û_ij, F_j −= D û_ij; stress
−(1/V) D r_a r_b / r.
"""

from __future__ import annotations

import numpy as np
from numba import njit

DAMPING = 0.01
"""Å; chimes_lsq's length of the smooth continuation below an inner cutoff."""

MORSE, INVERSE, IDENTITY = 0, 1, 2
CUBIC, TERSOFF = 0, 1

jit = njit(cache=True, nogil=True, error_model="numpy")

inlined = njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
"""For helpers that are called for every pair of atoms: an array is seven arguments, and a tuple of them a hundred."""


@jit
def chebyshev(edge, r, n, t, dt):
    """T_0…T_{n−1} of s(r) and their derivatives by r, inside and below the inner cutoff."""
    rmin = edge[2]
    at = max(r, rmin)
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
    s = (x - edge[6]) / edge[7]
    ds = dx / edge[7]
    t[0] = 1.0
    dt[0] = 0.0
    u_before, u = 0.0, 1.0
    for k in range(1, n):
        t[k] = s if k == 1 else 2.0 * s * t[k - 1] - t[k - 2]
        dt[k] = k * u * ds
        u_before, u = u, 2.0 * s * u - u_before
    if r < rmin:
        decay = np.exp((r - rmin) / DAMPING)
        for k in range(n):
            t[k] += DAMPING * (decay - 1.0) * dt[k]
            dt[k] *= decay


@jit
def edge_functions(edge, r, n, g, dg):
    """g_a(r) = f_c(r) T_a and its derivative, a = 0…n−1. ``r`` must be below the outer cutoff."""
    chebyshev(edge, r, n, g, dg)
    rmax = edge[3]
    if int(edge[4]) == CUBIC:
        y = 1.0 - r / rmax
        f = y * y * y
        df = -3.0 * y * y / rmax
    else:
        d = rmax * (1.0 - edge[5])
        if r < d:
            f, df = 1.0, 0.0
        else:
            w = np.pi / (rmax - d)
            f = 0.5 + 0.5 * np.sin(w * (r - d) + 0.5 * np.pi)
            df = 0.5 * w * np.cos(w * (r - d) + 0.5 * np.pi)
    for k in range(n):
        dg[k] = df * g[k] + f * dg[k]
        g[k] *= f


@jit
def _add_pair(i, j, u, r, volume, d, e, first, count, frow, srow, erow, out):
    """Add one pair's derivatives d and energies e (count) to the rows of its two atoms."""
    if frow >= 0:
        for x in range(3):
            a = out[frow + 3 * i + x]
            b = out[frow + 3 * j + x]
            w = u[x]
            for c in range(count):
                a[first + c] += w * d[c]
            for c in range(count):
                b[first + c] -= w * d[c]
    for s in range(6):
        if srow[s] >= 0:
            p = s if s < 3 else (0 if s < 5 else 1)
            q = s if s < 3 else (1 if s == 3 else 2)
            w = -u[p] * u[q] * r / volume
            a = out[srow[s]]
            for c in range(count):
                a[first + c] += w * d[c]
    if erow >= 0:
        a = out[erow]
        for c in range(count):
            a[first + c] += e[c]


@jit
def pair_rows(element, near, fn, order, first, inside, edges, volume, frow, srow, erow, out):
    """Two-body rows. ``order``, ``first`` (elements, elements): columns of a pair and where they begin;
    ``inside``: whether pairs at or below the inner cutoff count."""
    start, atom, vec, dist, half = near.start, near.atom, near.vec, near.dist, near.half
    most = order.max() + 1
    g = np.empty(most)
    dg = np.empty(most)
    for i in range(len(start) - 1):
        for a in range(start[i], start[i + 1]):
            j = atom[a]
            if not half[a] or element[i] < 0 or element[j] < 0:
                continue
            f = fn[element[i], element[j]]
            if f < 0 or dist[a] >= edges[f, 3] or (not inside and dist[a] <= edges[f, 2]):
                continue
            n = order[element[i], element[j]]
            edge_functions(edges[f], dist[a], n + 1, g, dg)
            _add_pair(i, j, vec[a] / dist[a], dist[a], volume, dg[1:], g[1:], first[element[i], element[j]], n,
                      frow, srow, erow, out)  # fmt: skip


@jit
def add_evaluated(i, j, u, r, d, forces, virial):
    for x in range(3):
        forces[i, x] += u[x] * d
        forces[j, x] -= u[x] * d
    for s in range(6):
        p = s if s < 3 else (0 if s < 5 else 1)
        q = s if s < 3 else (1 if s == 3 else 2)
        virial[s] -= d * r * u[p] * u[q]


@jit
def pair_energy(element, near, fn, values, edges, inside, wall, forces, virial):
    """Two-body energy of a model; adds to ``forces`` (n, 3) and ``virial`` (6,) = V × stress.

    values (elements, elements, n): coefficients of T_1…T_n; wall: [A, d] of the penalty A (rmin + d − r)³.
    """
    start, atom, vec, dist, half = near.start, near.atom, near.vec, near.dist, near.half
    n = values.shape[2]
    g = np.empty(n + 1)
    dg = np.empty(n + 1)
    energy = 0.0
    for i in range(len(start) - 1):
        for a in range(start[i], start[i + 1]):
            j = atom[a]
            if not half[a] or element[i] < 0 or element[j] < 0:
                continue
            f = fn[element[i], element[j]]
            if f < 0 or dist[a] >= edges[f, 3]:
                continue
            derivative = 0.0
            if inside or dist[a] > edges[f, 2]:
                edge_functions(edges[f], dist[a], n + 1, g, dg)
                for k in range(n):
                    energy += values[element[i], element[j], k] * g[k + 1]
                    derivative += values[element[i], element[j], k] * dg[k + 1]
            depth = edges[f, 2] + wall[1] - dist[a]
            if depth > 0.0:
                energy += wall[0] * depth**3
                derivative -= 3.0 * wall[0] * depth**2
            add_evaluated(i, j, vec[a] / dist[a], dist[a], derivative, forces, virial)
    return energy
