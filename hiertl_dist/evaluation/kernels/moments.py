"""Moments of the clusters around a pair of atoms, for three and four bodies (docs/theory.md, section 2).

For a pair (i, j) and one choice of elements for the other atoms

    three-body   M[b; c]          = Σ_k  g_b(r_ik) g_c(r_jk)
    four-body    M[b, d; f, c, e] = Σ_kl X_k[b, d] g_f(r_kl) X_l[c, e],   X_k[b, d] = g_b(r_ik) g_d(r_jk)

as a padded matrix (``moment_layout``); k, l are common neighbours, periodic images in their own right. Where k and l
have the same element the sum runs over k < l, and M has to be added to its transpose [c, e; f, b, d].

family   cluster types that can share their edge functions; ``fn[e, f]`` is the edge-table row of two elements, or −1
         where the family has no such edge.
variant  1 where the roles of k and l are exchanged, which is cheaper where a frame has fewer atoms of l's element.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .edges import bare, carve, helper, inlined, jit, multiply, padded
from .simd import LANES, TILE, meet, products


class Centre(NamedTuple):
    """What is known of one centre and then of one of its neighbours, and scratch arrays.

    near[p]: neighbour p of the centre, those of element e being bounds[e]:bounds[e + 1]; partner[p × most + q]: the
    directed neighbour p → q, or −1; common[t]: the p that are joined to the other atom of the pair, those of element e
    being ends[e]:ends[e + 1]; slot (atoms × cells): which p is there, or most − 1; x, y: X_k and Σ_l g_f(r_kl) X_l of
    each; left, right, used: lists of rows that are multiplied; identity: 0, 1, 2 …
    """

    most: int
    near: np.ndarray
    bounds: np.ndarray
    slot: np.ndarray
    partner: np.ndarray
    common: np.ndarray
    ends: np.ndarray
    x: np.ndarray
    y: np.ndarray
    left: np.ndarray
    right: np.ndarray
    used: np.ndarray
    identity: np.ndarray


@jit
def moment_layout(body, n):
    """How moments are stored, as numbers of doubles.

    Row of X; row and whole of Y_k = Σ_l g_f(r_kl) X_l[c, e], whose rows are f; row and whole of M. The two of Y are 0
    for three bodies.
    """
    if body == 3:
        ld = padded(n, LANES)
        return 0, 0, 0, ld, padded(n, TILE) * ld
    n2 = n * n
    xs = padded(n2, LANES)
    # up to n = 4 one tile fills all rows of Y, and the useless end of each is overwritten by the next
    yl = n2 if n <= TILE else xs
    mw = padded(n * yl, LANES)
    ys = padded(max(mw, (padded(n, TILE) - 1) * yl + xs), LANES)
    return xs, yl, ys, mw, padded(n2, TILE) * mw


@helper
def make_centre(body, n, elements, near, table, scratch):
    """The :class:`Centre` of a frame with so many elements."""
    most = 1
    for i in range(len(near.start) - 1):
        most = max(most, table.first[i + 1] - table.first[i] + 1)
    xs, _, ys, _, _ = moment_layout(body, n)
    return Centre(
        most, np.empty(most, np.int64), np.zeros(elements + 1, np.int64),
        np.full((len(near.start) - 1) * near.cells, most - 1, np.int32), np.empty(most * most, np.int32),
        np.empty(most + 1, np.int64), np.zeros(elements + 1, np.int64), carve(scratch, most * xs + LANES * LANES),
        carve(scratch, most * ys), np.empty(most + 1, np.int64), np.empty(most + 1, np.int64),
        np.empty(most + 1, np.int64), np.arange(max(most, LANES)),
    )  # fmt: skip


@bare
def look_around(i, element, near, table, centre):
    """Fill near, bounds and partner of a centre. Returns the number of its joined neighbours."""
    atom, code, first, directed, cell = near.atom, near.code, table.first, table.directed, table.cell
    around, bounds, slot, partner, most = centre.near, centre.bounds, centre.slot, centre.partner, centre.most
    m, zero = 0, near.cells // 2
    for e in range(len(bounds) - 1):
        bounds[e] = m
        for c in range(first[i], first[i + 1]):
            if element[atom[directed[c]]] == e:
                around[m] = directed[c]
                slot[cell[c] + zero] = m
                m += 1
    bounds[len(bounds) - 1] = m
    for p in range(m):
        other, shift = atom[around[p]], code[around[p]] + zero
        partner[p * most : p * most + m] = -1
        # the last place of a row takes those that are no neighbours of i: a branch could not foresee which
        meet(partner, p * most, slot, shift, cell, directed, first[other], first[other + 1] - first[other])
    for c in range(first[i], first[i + 1]):
        slot[cell[c] + zero] = most - 1
    return m


@inlined
def look_at_pair(body, n, j, table, centre):
    """Fill common, ends and x for the pair of the centre and its neighbour j."""
    bounds, partner, most = centre.bounds, centre.partner, centre.most
    around, common, ends, x, g, ld = centre.near, centre.common, centre.ends, centre.x, table.g, table.ld
    count = 0
    for e in range(len(bounds) - 1):
        ends[e] = count
        for k in range(bounds[e], bounds[e + 1]):
            common[count] = k
            count += partner[j * most + k] >= 0
    ends[len(bounds) - 1] = count
    if body == 4:
        xs, _, _, _, _ = moment_layout(body, n)
        for t in range(count):
            k = common[t]
            products(x, k * xs, g, around[k] * ld, g, partner[j * most + k] * ld, n, ld // LANES)


@helper
def rarer(others, element):
    """Per role, the variant in which k has the rarer element of a frame."""
    atoms = np.zeros(others.max() + 1, np.int64)
    for e in element:
        if 0 <= e < len(atoms):
            atoms[e] += 1
    variant = np.zeros(len(others), np.int64)
    for r in range(len(others)):
        variant[r] = atoms[others[r, 0]] > atoms[others[r, 1]]
    return variant


@inlined
def add_moments(body, n, j, other, variant, table, s, m, m0):
    """Write the moments of the pair of the centre and j at m[m0]; False, and nothing written, where all are zero."""
    k, l = other[variant], other[1 - variant]  # noqa: E741
    if body == 3:
        return _moments3(j, n, table, s, s.ends[k], s.ends[k + 1], m, m0)
    return _moments4(n, table, s, s.ends[k], s.ends[k + 1], s.ends[l], s.ends[l + 1], k == l, m, m0)


@inlined
def _moments3(j, n, table, centre, low, high, m, m0):
    g, ld, around, common, partner = table.g, table.ld, centre.near, centre.common, centre.partner
    left, right, row = centre.left, centre.right, j * centre.most
    for t in range(low, high):
        left[t - low] = around[common[t]]
        right[t - low] = partner[row + common[t]]
    if high > low:
        for b in range(0, n, TILE):
            multiply(m, m0 + b * ld, ld, g, b, ld, left, g, ld, right, high - low, ld)
    return high > low


@inlined
def _moments4(n, table, centre, k_low, k_high, l_low, l_high, alike, m, m0):
    xs, yl, ys, mw, _ = moment_layout(4, n)
    g, ld, most, common, partner = table.g, table.ld, centre.most, centre.common, centre.partner
    x, y, left, right, used, identity = centre.x, centre.y, centre.left, centre.right, centre.used, centre.identity
    count = 0
    for t in range(k_low, k_high):
        row, joined = common[t] * most, 0
        for u in range(t + 1 if alike else l_low, l_high):
            a = partner[row + common[u]]
            left[joined] = a
            right[joined] = common[u]
            joined += a >= 0
        if joined:
            for f in range(0, n, TILE):
                multiply(y, count * ys + f * yl, yl, g, f, ld, left, x, xs, right, joined, xs)
            used[count] = common[t]
            count += 1
    if count:
        for bd in range(0, n * n, TILE):
            multiply(m, m0 + bd * mw, mw, x, bd, xs, used, y, ys, identity, count, mw)
    return count > 0
