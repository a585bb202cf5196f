"""Three- and four-body design rows and energies from moments.

family   see ``moments.py``; a :class:`Family` of arrays is made by ``recipe.py``.
role     (cluster type; elements of i and j): which elements the other atoms have, and how its columns are made of
         moments: ``terms``, for which see ``orbit_sums``.
rows     see ``pairs.py``; a cluster's energy is shared evenly by its edges (1, 3 or 6).

Each centre makes the rows of its own forces only, from all its neighbours. That doubles the moments, and saves adding
to the rows of the neighbours, which are out of reach of the fast caches; it writes each force row once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .edges import bare, carve, edge_table, inlined, jit, padded, voigt
from .moments import add_moments, look_around, look_at_pair, make_centre, moment_layout, rarer
from .pairs import add_evaluated
from .simd import LANES, TILE, add_rows, add_tile16, dots, orbit_forces, orbit_sums, transpose8

CHUNK = 64
"""Columns between orbit map and row update that stay in the first-level cache."""

WIDE = 2 * LANES
"""Columns of a tile."""


class Family(NamedTuple):
    """Cluster types of one body order that share their edge functions.

    Attributes
    ----------
    body, n : int
        Atoms of a cluster, and order.
    fn : ndarray of int, shape (elements, elements)
        Row of the edge table of each pair of elements, or −1.
    role : ndarray of int, shape (types, elements, elements)
        Role of a pair, or −1.
    others : ndarray of int, shape (roles, 2)
        Elements of k and l (k twice for three bodies).
    terms : ndarray of int
        Orbit maps of all roles' variants one after the other, (columns, length, 2) each.
    begin : ndarray of int, shape (roles, 2)
        Where the map of each variant begins.
    length : ndarray of int, shape (roles,)
        Terms of a column.
    twins : ndarray of int
        Pairs of moments that are added where k and l are alike.
    first, columns : ndarray of int, shape (types,)
        Where the columns of a type begin, and how many there are.
    """

    body: int
    n: int
    fn: np.ndarray
    role: np.ndarray
    others: np.ndarray
    terms: np.ndarray
    begin: np.ndarray
    length: np.ndarray
    twins: np.ndarray
    first: np.ndarray
    columns: np.ndarray


class _Batch(NamedTuple):
    """Up to 8 pairs of one centre.

    Their moments by type, as rows and then as lanes; powers (n, g' and g, 8); unit vectors and stress weights (8, 4),
    (8, 8); derivatives of a chunk of columns, by column and by pair.
    """

    m: np.ndarray
    alive: np.ndarray
    lanes: np.ndarray
    powers: np.ndarray
    u: np.ndarray
    w: np.ndarray
    d: np.ndarray
    turned: np.ndarray


class _Sums(NamedTuple):
    """The sums of a centre and of a frame; the columns of type t begin at place[t].

    Force rows of a centre (4, width), stress rows (8, width), energy row by lane (width, 8) of a frame.
    """

    place: np.ndarray
    width: int
    force: np.ndarray
    stress: np.ndarray
    energy: np.ndarray


# long: its parameters are documented
@jit
def cluster_rows(element, near, family, edges, volume, frow, srow, erow, out, scratch):
    """Write the rows of one family in its columns: every force row, also where it is zero, stress and energy rows.

    Parameters
    ----------
    element : ndarray of int, shape (atoms,)
        Code of each atom's element, −1 for others.
    near : Neighbours
        Those of the frame's atoms.
    family : Family
        The cluster types.
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
    body, n, types = family.body, family.n, len(family.role)
    table = edge_table(element, near, family.fn, edges, n, scratch)
    s = make_centre(body, n, len(family.fn), near, table, scratch)
    sets = moment_layout(body, n)[4]
    batch = _Batch(
        # rows of a power of two apart would share their places in the cache
        carve(scratch, types * LANES * (sets + LANES)), np.zeros(types, np.bool_), carve(scratch, (sets + 1) * LANES),
        carve(scratch, 2 * n * LANES), carve(scratch, LANES * TILE), carve(scratch, LANES * 2 * TILE),
        carve(scratch, CHUNK * LANES), carve(scratch, LANES * CHUNK),
    )  # fmt: skip
    place = np.zeros(types + 1, np.int64)
    for t in range(types):
        place[t + 1] = place[t] + padded(family.columns[t], WIDE)
    width = place[types]
    sums = _Sums(
        place, width, carve(scratch, TILE * width), carve(scratch, 2 * TILE * width), carve(scratch, width * LANES)
    )
    variants, js, targets = rarer(family.others, element), np.empty(s.most, np.int64), np.empty(3, np.int64)
    once = erow >= 0 or srow.max() >= 0
    for i in range(len(near.start) - 1):
        around = look_around(i, element, near, table, s) if table.first[i + 1] > table.first[i] else 0
        for ej in range(len(family.fn) if around > 0 else 0):
            # first the pairs that count for stress and energy, so that the other batches can do without
            count = 0
            for side in range(2):
                for j in range(s.bounds[ej], s.bounds[ej + 1]):
                    if near.half[s.near[j]] == (side == 0) and ((side == 0 and once) or frow >= 0):
                        js[count] = j
                        count += 1
            for b in range(0, count, LANES):
                paired = _fill_batch(
                    js[b : min(b + LANES, count)], i, ej, element, near, family, variants, table, s, once, volume, batch
                )
                for t in range(types):
                    if batch.alive[t]:
                        _add_batch(t, family.role[t, element[i], ej], variants, family, batch, s.identity, frow >= 0,
                                   paired, paired and erow >= 0, sums)  # fmt: skip
        if frow >= 0:
            for x in range(3):
                targets[x] = frow + 3 * i + x
            _write_sums(family, sums, sums.force, targets, out)
            if around:
                sums.force.fill(0.0)
    _write_sums(family, sums, sums.stress, srow, out)
    total, targets[0], targets[1], targets[2] = np.zeros(width), erow, -1, -1
    for c in range(width):
        for lane in range(LANES):
            total[c] += sums.energy[c * LANES + lane]
    _write_sums(family, sums, total, targets, out)


@inlined
def _fill_batch(js, i, ej, element, near, family, variants, table, s, once, volume, batch):
    """Moments, powers and weights of the pairs of centre i and some of its neighbours, all of element ej.

    True if one of the pairs counts for stress and energy: of two directions, one does.
    """
    body, n, ld = family.body, family.n, table.ld
    sets = moment_layout(body, n)[4]
    paired = False
    batch.alive.fill(False)
    batch.powers.fill(0.0)
    batch.u.fill(0.0)
    batch.w.fill(0.0)
    for lane in range(len(js)):
        j = js[lane]
        a = s.near[j]
        r = near.dist[a]
        for p in range(n):
            batch.powers[2 * LANES * p + lane] = table.dg[a * ld + p]
        for c in range(3):
            batch.u[TILE * lane + c] = near.vec[a, c] / r
        if near.half[a] and once:
            paired = True
            for p in range(n):
                batch.powers[2 * LANES * p + LANES + lane] = table.g[a * ld + p] / (3.0 if body == 3 else 6.0)
            for c in range(6):
                p, q = voigt(c)
                batch.w[2 * TILE * lane + c] = -near.vec[a, p] * near.vec[a, q] / (r * volume)
        look_at_pair(body, n, j, table, s)
        for t in range(len(family.role)):
            role = family.role[t, element[i], ej]
            if role >= 0:
                m0 = (t * LANES + lane) * (sets + LANES)
                if add_moments(body, n, j, family.others[role], variants[role], table, s, batch.m, m0):
                    batch.alive[t] = True
                else:
                    for q in range(m0, m0 + sets):
                        batch.m[q] = 0.0
    return paired


@inlined
def _add_batch(t, role, variants, family, batch, identity, forces, stresses, energies, sums):
    """Apply the orbit map of a type to a batch, and add what comes out to the rows."""
    sets, count, length = moment_layout(family.body, family.n)[4], family.columns[t], family.length[role]
    stride, begin = sets + LANES, family.begin[role, variants[role]]
    for block in range(0, sets, LANES):
        transpose8(batch.lanes, block * LANES, LANES, batch.m, t * LANES * stride + block, stride)
    if family.body == 4 and family.others[role, 0] == family.others[role, 1]:
        add_rows(batch.lanes, 0, family.twins, 0, len(family.twins) // 2)
    for c in range(0, count, CHUNK):
        some, place, at = min(CHUNK, count - c), sums.place[t] + c, begin + 2 * c * length
        if energies:
            orbit_sums(batch.d, 0, sums.energy, place * LANES, family.terms, at, length, some, batch.lanes, 0,
                       batch.powers, 0)  # fmt: skip
        else:
            orbit_forces(batch.d, 0, family.terms, at, length, some, batch.lanes, 0, batch.powers, 0)
        for block in range(0, some, LANES):
            transpose8(batch.turned, block, CHUNK, batch.d, block * LANES, LANES)
        for block in range(0, some, WIDE):
            if forces:
                add_tile16(sums.force, place + block, sums.width, batch.u, 0, TILE, identity, 0, batch.turned, block,
                           CHUNK, identity, 0, LANES)  # fmt: skip
            for row in range(0, 2 * TILE if stresses else 0, TILE):
                add_tile16(sums.stress, row * sums.width + place + block, sums.width, batch.w, row, 2 * TILE, identity,
                           0, batch.turned, block, CHUNK, identity, 0, LANES)  # fmt: skip


@bare
def _write_sums(family, sums, rows, targets, out):
    """Copy rows of sums to those of the design matrix that are there (≥ 0)."""
    for x in range(len(targets)):
        if targets[x] >= 0:
            for t in range(len(family.columns)):
                first, count, place = family.first[t], family.columns[t], x * sums.width + sums.place[t]
                for c in range(count):
                    out[targets[x], first + c] = rows[place + c]


@jit
def cluster_energy(element, near, family, edges, values, low, high, forces, virial, scratch):
    """Three- or four-body energy of a model, of some centres; adds to forces and virial.

    Parameters
    ----------
    element : ndarray of int, shape (atoms,)
        Code of each atom's element, −1 for others.
    near : Neighbours
        Those of the frame's atoms.
    family : Family
        The cluster types.
    edges : ndarray of shape (edges, 8)
        The edge table.
    values : ndarray of shape (roles, 2, 4 × ⌈n/4⌉, moments)
        The coefficient of each power of the pair with each moment, by variant, kcal/mol.
    low, high : int
        The centres low:high.
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
    body, n = family.body, family.n
    table = edge_table(element, near, family.fn, edges, n, scratch)
    s = make_centre(body, n, len(family.fn), near, table, scratch)
    sets, powers = moment_layout(body, n)[4], padded(n, TILE)
    variants, flat = rarer(family.others, element), values.ravel()
    m, inner = carve(scratch, sets), np.zeros(powers)
    share, energy = 1.0 / (3.0 if body == 3 else 6.0), 0.0
    for i in range(low, high):
        around = look_around(i, element, near, table, s) if table.first[i + 1] > table.first[i] else 0
        for j in range(around):
            a = s.near[j]
            if not near.half[a]:
                continue
            look_at_pair(body, n, j, table, s)
            derivative = 0.0
            for t in range(len(family.role)):
                role = family.role[t, element[i], element[near.atom[a]]]
                if role < 0:
                    continue
                if not add_moments(body, n, j, family.others[role], variants[role], table, s, m, 0):
                    continue
                for p in range(0, powers, TILE):
                    dots(inner, p, flat, ((2 * role + variants[role]) * powers + p) * sets, sets, m, 0, sets // LANES)
                for p in range(n):
                    energy += share * table.g[a * table.ld + p] * inner[p]
                    derivative += table.dg[a * table.ld + p] * inner[p]
            add_evaluated(i, near.atom[a], near.vec[a] / near.dist[a], near.dist[a], derivative, forces, virial)
    return energy
