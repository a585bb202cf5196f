"""The factorised cluster sums (design.md §3): design rows and model evaluation, in numba.

All kernels stand in this one file because numba's cache does not notice a change in a helper of another
file. They take arrays and fill arrays. Vocabulary, for one frame:

neighbours   `start` (n+1), and per directed neighbour: `atom` (its index), `vec` (3) Å from the centre, `half`
             (true for one of the two directions of each pair; the pair's terms are added there).
edge table   rows [transform, λ, rmin, rmax, cutoff, fraction, s offset, s scale]; g_a(r) = f_c(r) T_a(s(r)).
family       cluster types that can share their edge functions; `fn[e, f]` is the edge-table row of two elements,
             or −1 where the family has no such edge.
role         (cluster type; elements of i and j): which elements the other atoms have, and the orbit map `cols`
             from a set of powers to a column of the type (the last, spare column takes what is not allowed).
rows         `frow` first force row or −1, `srow` (6) stress rows or −1, `erow` energy row or −1.

D_ij of a column is the derivative of its basis function by r_ij; forces F_i += D û_ij, F_j −= D û_ij; stress
−(1/V) D r_a r_b / r; a cluster's energy is shared evenly by its edges (1, 3 or 6).
"""

from __future__ import annotations

import numpy as np
from numba import njit

LANES = 8
"""Pairs whose orbit maps are applied together, one per SIMD lane."""

DAMPING = 0.01
"""Å; chimes_lsq's length of the smooth continuation below an inner cutoff."""

MORSE, INVERSE, IDENTITY = 0, 1, 2
CUBIC, TERSOFF = 0, 1

_jit = njit(cache=True, nogil=True, error_model="numpy")


@_jit
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


@_jit
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


@_jit
def _environment(i, element, start, atom, vec, dist, fn, edges, n, near, g1, dg1, g2):
    """Edge functions around one centre: to its neighbours (g1, dg1) and among them (g2). Returns their number.

    `near` lists the neighbours inside the family's cutoffs; g2 is zero where two of them are not joined.
    """
    m = 0
    scratch = np.empty(n)
    for a in range(start[i], start[i + 1]):
        f = fn[element[i], element[atom[a]]] if element[atom[a]] >= 0 else -1
        if f >= 0 and dist[a] < edges[f, 3]:
            edge_functions(edges[f], dist[a], n, g1[m], dg1[m])
            near[m] = a
            m += 1
    for p in range(m):
        a = near[p]
        for q in range(p + 1):
            b = near[q]
            f = fn[element[atom[a]], element[atom[b]]]
            r = 0.0
            if f >= 0 and p != q:
                x = vec[b, 0] - vec[a, 0]
                y = vec[b, 1] - vec[a, 1]
                z = vec[b, 2] - vec[a, 2]
                r = np.sqrt(x * x + y * y + z * z)
            if f >= 0 and p != q and r < edges[f, 3]:
                edge_functions(edges[f], r, n, g2[p, q], scratch)
                g2[q, p] = g2[p, q]
            else:
                g2[p, q] = 0.0
                g2[q, p] = 0.0
    return m


@_jit
def _common(j, e, m, element, atom, near, g2, found):
    """Neighbours of the centre, of element e, that are joined to its neighbour j. Returns their number."""
    n = 0
    for k in range(m):
        # g_0 is the cutoff factor: positive exactly where the edge exists
        if element[atom[near[k]]] == e and g2[j, k, 0] != 0.0:
            found[n] = k
            n += 1
    return n


@_jit
def _moments3(j, nk, ks, n, g1, g2, moment):
    """M[b, c] = Σ_k g_b(r_ik) g_c(r_jk)."""
    moment[:] = 0.0
    for p in range(nk):
        k = ks[p]
        for b in range(n):
            x = g1[k, b]
            for c in range(n):
                moment[b * n + c] += x * g2[j, k, c]


@_jit
def _moments4(j, nk, ks, nl, ls, n, g1, g2, xk, xl, y, moment):
    """M[b, d; f; c, e] = Σ_kl X_k[b, d] g_f(r_kl) X_l[c, e], X_k[b, d] = g_b(r_ik) g_d(r_jk)."""
    n2 = n * n
    n3 = n2 * n
    for p in range(nk):
        for b in range(n):
            for d in range(n):
                xk[p, b * n + d] = g1[ks[p], b] * g2[j, ks[p], d]
    for p in range(nl):
        for b in range(n):
            for d in range(n):
                xl[p, b * n + d] = g1[ls[p], b] * g2[j, ls[p], d]
    moment[:] = 0.0
    for p in range(nk):
        k = ks[p]
        y[:] = 0.0
        for q in range(nl):
            if g2[k, ls[q], 0] != 0.0:
                for f in range(n):
                    w = g2[k, ls[q], f]
                    for c in range(n2):
                        y[f * n2 + c] += w * xl[q, c]
        for b in range(n2):
            w = xk[p, b]
            for c in range(n3):
                moment[b * n3 + c] += w * y[c]


@_jit
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


@_jit
def pair_rows(element, start, atom, vec, dist, half, fn, order, first, inside, edges, volume, frow, srow, erow, out):
    """Two-body rows. ``order``, ``first`` (elements, elements): columns of a pair and where they begin;
    ``inside``: whether pairs at or below the inner cutoff count."""
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


# long: one loop nest whose scratch arrays live through it; parts of it would pass twenty arrays to each other
@_jit
def cluster_rows(body, element, start, atom, vec, dist, half, fn, edges, n, role, others, weight, cols,
                 first, count, volume, frow, srow, erow, out):  # fmt: skip
    """Three- or four-body rows of one family.

    role (types, elements, elements): role of a pair, or −1; others (roles, 2): elements of k and l; weight
    (roles,): ½ where k and l are alike (the double sum meets each cluster twice); cols (roles, sets, n): orbit map;
    first, count (types,): where the columns of a type begin, and how many there are.
    """
    most = np.max(start[1:] - start[:-1])
    sets = n * n if body == 3 else n**5
    share = 1.0 / 3.0 if body == 3 else 1.0 / 6.0
    near, ks, ls = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    g1, dg1, g2 = np.empty((most, n)), np.empty((most, n)), np.empty((most, most, n))
    xk, xl = np.empty((most, n * n)), np.empty((most, n * n))
    y, moment, lanes = np.empty(n**3), np.empty(sets), np.zeros((sets, LANES))
    widest = count.max() + 1
    g, dg = np.zeros((n, LANES)), np.zeros((n, LANES))
    e, d = np.empty((widest, LANES)), np.empty((widest, LANES))
    e_pair, d_pair = np.empty(widest), np.empty(widest)
    batch = np.empty(LANES, np.int64)
    for i in range(len(start) - 1):
        if element[i] < 0 or not (fn[element[i]] >= 0).any():
            continue
        m = _environment(i, element, start, atom, vec, dist, fn, edges, n, near, g1, dg1, g2)
        for t in range(role.shape[0]):
            for ej in range(fn.shape[0]):
                rho = role[t, element[i], ej]
                if rho < 0:
                    continue
                ek, el = others[rho]
                filled = 0
                for j in range(m + 1):
                    if j < m:
                        a = near[j]
                        if not half[a] or element[atom[a]] != ej:
                            continue
                        nk = _common(j, ek, m, element, atom, near, g2, ks)
                        if nk == 0:
                            continue
                        if body == 3:
                            _moments3(j, nk, ks, n, g1, g2, moment)
                        else:
                            nl = _common(j, el, m, element, atom, near, g2, ls)
                            if nl == 0 or (ek == el and nl == 1):
                                continue
                            _moments4(j, nk, ks, nl, ls, n, g1, g2, xk, xl, y, moment)
                        batch[filled] = j
                        for q in range(sets):
                            lanes[q, filled] = moment[q]
                        for q in range(n):
                            dg[q, filled] = weight[rho] * dg1[j, q]
                            g[q, filled] = weight[rho] * share * g1[j, q]
                        filled += 1
                    if filled == LANES or (j == m and filled > 0):
                        _orbit_map(cols[rho], lanes, g, dg, count[t] + 1, e, d)
                        for s in range(filled):
                            a = near[batch[s]]
                            for c in range(count[t]):
                                d_pair[c] = d[c, s]
                                e_pair[c] = e[c, s]
                            _add_pair(i, atom[a], vec[a] / dist[a], dist[a], volume, d_pair, e_pair, first[t],
                                      count[t], frow, srow, erow, out)  # fmt: skip
                        filled = 0


@_jit
def _orbit_map(cols, lanes, g, dg, count, e, d):
    """e, d (columns, lanes) = Σ over raw sets of powers of g, g' on the pair times the moment of the rest."""
    e[:count] = 0.0
    d[:count] = 0.0
    for q in range(cols.shape[0]):
        for p in range(cols.shape[1]):
            c = cols[q, p]
            for s in range(LANES):
                d[c, s] += dg[p, s] * lanes[q, s]
            for s in range(LANES):
                e[c, s] += g[p, s] * lanes[q, s]


@_jit
def _add_evaluated(i, j, u, r, d, forces, virial):
    for x in range(3):
        forces[i, x] += u[x] * d
        forces[j, x] -= u[x] * d
    for s in range(6):
        p = s if s < 3 else (0 if s < 5 else 1)
        q = s if s < 3 else (1 if s == 3 else 2)
        virial[s] -= d * r * u[p] * u[q]


@_jit
def pair_energy(element, start, atom, vec, dist, half, fn, values, edges, inside, wall, forces, virial):
    """Two-body energy of a model; adds to ``forces`` (n, 3) and ``virial`` (6,) = V × stress.

    values (elements, elements, n): coefficients of T_1…T_n; wall: [A, d] of the penalty A (rmin + d − r)³.
    """
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
            _add_evaluated(i, j, vec[a] / dist[a], dist[a], derivative, forces, virial)
    return energy


@_jit
def cluster_energy(body, element, start, atom, vec, dist, half, fn, edges, n, role, others, weight, values,
                   forces, virial):  # fmt: skip
    """Three- or four-body energy of a model, no rows formed; adds to ``forces`` and ``virial``.

    values (roles, n, sets): the coefficient of each raw set of powers, the pair's own power first.
    """
    most = np.max(start[1:] - start[:-1])
    sets = n * n if body == 3 else n**5
    share = 1.0 / 3.0 if body == 3 else 1.0 / 6.0
    near, ks, ls = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    g1, dg1, g2 = np.empty((most, n)), np.empty((most, n)), np.empty((most, most, n))
    xk, xl = np.empty((most, n * n)), np.empty((most, n * n))
    y, moment = np.empty(n**3), np.empty(sets)
    energy = 0.0
    for i in range(len(start) - 1):
        if element[i] < 0 or not (fn[element[i]] >= 0).any():
            continue
        m = _environment(i, element, start, atom, vec, dist, fn, edges, n, near, g1, dg1, g2)
        for j in range(m):
            a = near[j]
            if not half[a]:
                continue
            derivative = 0.0
            for t in range(role.shape[0]):
                rho = role[t, element[i], element[atom[a]]]
                if rho < 0:
                    continue
                ek, el = others[rho]
                nk = _common(j, ek, m, element, atom, near, g2, ks)
                if nk == 0:
                    continue
                if body == 3:
                    _moments3(j, nk, ks, n, g1, g2, moment)
                else:
                    nl = _common(j, el, m, element, atom, near, g2, ls)
                    if nl == 0 or (ek == el and nl == 1):
                        continue
                    _moments4(j, nk, ks, nl, ls, n, g1, g2, xk, xl, y, moment)
                for p in range(n):
                    inner = 0.0
                    for q in range(sets):
                        inner += values[rho, p, q] * moment[q]
                    energy += weight[rho] * share * g1[j, p] * inner
                    derivative += weight[rho] * dg1[j, p] * inner
            _add_evaluated(i, atom[a], vec[a] / dist[a], dist[a], derivative, forces, virial)
    return energy
