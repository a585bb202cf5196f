"""Slow, obvious references: direct sums over clusters, chimes_lsq's columns and rows, and small samples.

The energy formula, the orbits and the periodic images are written out here a second time; nothing of the
package's kernels, recipes or orbit maps is used.
"""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
from numpy.polynomial import chebyshev

from hiertl_dist.frames.frame import Frame
from hiertl_dist.model.basis import Basis
from hiertl_dist.model.blocks import columns_of

VOIGT = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
EDGES = {body: list(itertools.combinations(range(body), 2)) for body in (1, 2, 3, 4)}
DAMPING = 0.01


# ---------------------------------------------------------------- the formula of docs/theory.md, section 1


def transformed(pair, r):
    """x(r) and dx/dr of a pair's transform."""
    if pair.transform == "MORSE":
        x = np.exp(-r / pair.morse_lambda)
        return x, -x / pair.morse_lambda
    return (1 / r, -1 / r**2) if pair.transform == "INVRSE_R" else (r, np.ones_like(r))


def cutoff_factor(cutoff, r, rmax):
    """f_c(r) and its derivative."""
    if cutoff.kind == "CUBIC":
        f, df = (1 - r / rmax) ** 3, -3 / rmax * (1 - r / rmax) ** 2
    else:
        start = rmax * (1 - cutoff.fraction)
        phase = np.pi * (r - start) / (rmax - start) + np.pi / 2
        f = np.where(r < start, 1.0, 0.5 + 0.5 * np.sin(phase))
        df = np.where(r < start, 0.0, 0.5 * np.pi / (rmax - start) * np.cos(phase))
    return np.where(r < rmax, f, 0.0), np.where(r < rmax, df, 0.0)


def edge_functions(basis, edge, r, n):
    """g_a(r) = f_c T_a(s(r)) and g_a'(r), a = 0…n−1 on the last axis; damped below the inner cutoff."""
    pair = basis.pair(*edge.elements)
    ends, _ = transformed(pair, np.array([edge.rmin, edge.rmax]))
    x, dx = transformed(pair, np.maximum(r, edge.rmin))
    scale = abs(ends[1] - ends[0]) / 2
    s = (x - ends.mean()) / scale
    t = np.stack([chebyshev.Chebyshev.basis(a)(s) for a in range(n)], axis=-1)
    dt = np.stack([chebyshev.Chebyshev.basis(a).deriv()(s) * dx / scale for a in range(n)], axis=-1)
    decay = np.exp(np.minimum(r - edge.rmin, 0.0) / DAMPING)[..., None]
    t, dt = t + DAMPING * (decay - 1) * dt, decay * dt
    f, df = (v[..., None] for v in cutoff_factor(basis.cutoff, r, edge.rmax))
    return f * t, df * t + f * dt


def permuted_powers(elements, powers):
    """Every distinct set of powers that permutations of like atoms make of one."""
    edges = EDGES[len(elements)]
    found = set()
    for order in itertools.permutations(range(len(elements))):
        if all(elements[order[a]] == elements[a] for a in range(len(elements))):
            moved = [tuple(sorted((order[a], order[b]))) for a, b in edges]
            found.add(tuple(powers[edges.index(e)] for e in moved))
    return found


def raw_powers(elements, order):
    """Allowed sets of powers of a cluster type, the last slot fastest."""
    body = len(elements)
    if body == 1:
        return [()]
    if body == 2:
        return [(a,) for a in range(1, order + 1)]
    touching = [[e for e, ab in enumerate(EDGES[body]) if atom in ab] for atom in range(body)]
    sets = itertools.product(range(order), repeat=len(EDGES[body]))
    return [p for p in sets if all(any(p[e] for e in edges) for edges in touching)]


def orbit_labels(elements, order):
    """The allowed sets of powers of a cluster type, and for each the smallest of its orbit: its label."""
    labels = {}
    for powers in raw_powers(elements, order):
        if powers not in labels:
            labels.update(dict.fromkeys(permuted_powers(elements, powers), powers))
    raw = raw_powers(elements, order)
    return raw, [labels[p] for p in raw]


# ------------------------------------------------------------------------- direct sums


def sites(frame, reach):
    """Species and positions of the atoms, then of every periodic image that may be within reach of one."""
    if frame.cell is None:
        return list(frame.species), frame.positions
    repeats = np.array([v for v, p in zip(frame.cell, frame.pbc, strict=True) if p])
    inverse = np.linalg.pinv(repeats)
    fractional = frame.positions @ inverse
    count = np.ceil(reach * np.linalg.norm(inverse, axis=0) + np.ptp(fractional, axis=0)).astype(int)
    shifts = sorted(itertools.product(*(range(-c, c + 1) for c in count)), key=lambda s: any(s))
    positions = np.concatenate([frame.positions + np.array(s) @ repeats for s in shifts])
    return list(frame.species) * len(shifts), positions


def clusters(frame, basis, body):
    """Positions (clusters, body, 3) of every cluster by its sorted elements, and which slot and atom own it.

    A cluster is listed once for each of its atoms, with that atom at home.
    """
    kinds = [t for t in basis.types if t.body == body]
    species, positions = sites(frame, max((e.rmax for t in kinds for e in t.edges), default=0.0))
    reach = defaultdict(float)
    for edge in (e for t in kinds for e in t.edges):
        for key in (edge.elements, edge.elements[::-1]):
            reach[key] = max(reach[key], edge.rmax)
    found = {t.elements: ([], [], []) for t in kinds}
    for atom in range(len(frame)):
        far = np.linalg.norm(positions - positions[atom], axis=1)
        near = [s for s in range(len(species)) if s != atom and far[s] < reach[species[atom], species[s]]]
        for others in itertools.combinations(near, body - 1):
            members = sorted((atom, *others), key=lambda s: species[s])
            entry = found.get(tuple(species[s] for s in members))
            if entry:
                for values, value in zip(entry, (positions[members], members.index(atom), atom), strict=True):
                    values.append(value)
    return found


def type_rows(frame, basis, kind, found, skip_inside):
    """(labels, forces (n, 3, columns), virial (6, columns), energy (columns)) of one cluster type."""
    points, slot, owner = (np.array(v) for v in found)
    raw, label_of = orbit_labels(kind.elements, kind.order)
    labels = sorted(set(label_of))
    fold = np.array([[label == name for name in labels] for label in label_of], float)
    forces, virial = np.zeros((len(frame), 3, len(labels))), np.zeros((6, len(labels)))
    if len(points) == 0:
        return labels, forces, virial, np.zeros(len(labels))
    edges = EDGES[kind.body]
    vectors = [points[:, b] - points[:, a] for a, b in edges]
    limits = [kind.edge(kind.elements[a], kind.elements[b]) for a, b in edges]
    keep = np.ones(len(points), bool)
    for v, limit in zip(vectors, limits, strict=True):
        r = np.linalg.norm(v, axis=1)
        keep &= (r < limit.rmax) & ~((r <= limit.rmin) & skip_inside)
    slot, owner, vectors = slot[keep], owner[keep], [v[keep] for v in vectors]
    distances = [np.linalg.norm(v, axis=1) for v in vectors]
    tables = [edge_functions(basis, x, r, kind.order + 1) for x, r in zip(limits, distances, strict=True)]

    def product(differentiated):
        terms = np.ones((len(owner), len(raw)))
        for e, table in enumerate(tables):
            terms *= table[int(e == differentiated)][:, [p[e] for p in raw]]
        return terms @ fold

    for e, (a, b) in enumerate(edges):
        slope = product(e)
        unit = vectors[e] / distances[e][:, None]
        sign = np.where(slot == b, 1.0, 0.0) - np.where(slot == a, 1.0, 0.0)
        np.add.at(forces, owner, -(sign[:, None] * unit)[:, :, None] * slope[:, None, :])
        for c, (x, y) in enumerate(VOIGT):
            virial[c] -= (vectors[e][:, x] * unit[:, y]) @ slope / kind.body
    return labels, forces, virial, product(None).sum(axis=0) / kind.body


def direct_rows(frame, basis, columns, policy="damp"):
    """Design rows (forces, stress where there is a volume, energy) in the given columns by direct sums."""
    n = len(frame)
    found = {}
    for body in (1, 2, 3, 4):
        by_type = clusters(frame, basis, body)
        for kind in (t for t in basis.types if t.body == body):
            skip = policy == "lsq" and body == 2
            labels, forces, virial, energy = type_rows(frame, basis, kind, by_type[kind.elements], skip)
            stress = virial / frame.volume if frame.periodic else virial[:0]
            rows = np.concatenate([forces.reshape(3 * n, -1), stress, energy[None]])
            found.update({(kind.elements, p): rows[:, k] for k, p in enumerate(labels)})
    return np.stack([found[c.elements, c.powers] for c in columns], axis=1)


# ------------------------------------------------------------------------- chimes_lsq's layout


def lsq_columns(elements, orders):
    """chimes_lsq's columns as (sorted elements, powers): its loops, taken literally."""
    types = [(e, e) for e in elements]
    types += [tuple(sorted(p)) for p in itertools.combinations(elements, 2)]
    for body in (3, 4):
        types += [tuple(sorted(c)) for c in itertools.combinations_with_replacement(elements, body)]
    columns = []
    for kind in types:
        _, labels = orbit_labels(kind, orders[len(kind) - 2])
        columns += [(kind, label) for label in dict.fromkeys(labels)]
    return columns + [((e,), ()) for e in elements]


def lsq_layout(rows):
    """Indices that repeat rows as chimes_lsq does: nine stresses (or three, the diagonal), three energies.

    ``rows`` are the labels ``(frame, kind, atom, component)`` of a design matrix.
    """
    nine = (0, 3, 4, 3, 1, 5, 4, 5, 2)
    indices = []
    for _, group in itertools.groupby(range(len(rows)), key=lambda i: (rows[i][0], rows[i][1])):
        members = list(group)
        kind = rows[members[0]][1]
        if kind == "stress" and len(members) == 6:
            indices += [members[c] for c in nine]
        else:
            indices += members * (3 if kind == "energy" else 1)
    return np.array(indices)


# ------------------------------------------------------------------------- samples


def labelled(species, positions, cell=None, **more):
    """A frame with zero energy, forces and, where there is a volume, stress: it has every kind of row."""
    stress = None if cell is None or not all(more.get("pbc") or (True,)) else np.zeros(6)
    labels = {"energy": 0.0, "forces": np.zeros((len(species), 3)), "stress": stress}
    return Frame(tuple(species), np.array(positions, float), cell, **(labels | more))


def scattered(species, cell, seed, apart, **more):
    """Atoms at random in a cell, images included no closer than ``apart`` Å to one another."""
    rng = np.random.default_rng(seed)
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3))) @ cell
    placed = np.empty((0, 3))
    while len(placed) < len(species):
        point = rng.random(3) @ cell
        if len(placed) == 0 or np.linalg.norm(placed[:, None] + shifts - point, axis=-1).min() > apart:
            placed = np.vstack([placed, point])
    return labelled(species, placed, cell, **more)


def molecule(species, seed, size, apart):
    """An isolated molecule: atoms at random in a box of ``size`` Å, no closer than ``apart`` Å."""
    frame = scattered(species, np.eye(3) * size, seed, apart)
    return labelled(frame.species, frame.positions)


def pair_tables(elements, rmin, rmax, transforms=("MORSE", "INVRSE_R", "DEFAULT")):
    """A ``pairs`` table in which no two pairs agree: transforms in turn, each cutoff larger."""
    tables = {}
    for k, names in enumerate(itertools.combinations_with_replacement(elements, 2)):
        transform = transforms[k % len(transforms)]
        tables["".join(names)] = {"rmin": rmin + 0.01 * k, "rmax": rmax + 0.03 * k, "transform": transform}
        if transform == "MORSE":
            tables["".join(names)]["lambda"] = 1.1 + 0.07 * k
    return tables


def own_cutoffs(elements, body, rmin, rmax):
    """A ``types`` table that gives each cluster type its own cutoffs, different for each of its edges."""
    tables = {}
    for k, names in enumerate(itertools.combinations_with_replacement(elements, body)):
        pairs = sorted({"".join(sorted(p)) for p in itertools.combinations(names, 2)})
        tables["".join(sorted(names))] = {
            "rmin": {p: rmin + 0.003 * k + 0.02 * i for i, p in enumerate(pairs)},
            "rmax": {p: rmax + 0.005 * k + 0.04 * i for i, p in enumerate(pairs)},
        }
    return tables


def basis_of(elements, orders, rmax=(3.6, 3.2, 3.0), cutoff="CUBIC", **more):
    """A basis whose pairs all differ; ``rmax`` (Å) of the first pair, all three- and all four-body edges."""
    table = {
        "elements": list(elements),
        "orders": list(orders),
        "cutoff": cutoff,
        "pairs": pair_tables(elements, 0.6, rmax[0]),
        "three_body": {"rmax": rmax[1]},
        "four_body": {"rmax": rmax[2]},
    }
    return Basis.from_dict(table | more)


def random_coefficients(basis, seed=0):
    """Coefficients of every column of a basis, of order one."""
    return np.random.default_rng(seed).standard_normal(len(columns_of(basis)))


def worst(found, expected):
    """The largest difference of two row matrices, each column relative to its largest expected entry.

    A column that should vanish counts as it is.
    """
    scale = np.abs(expected).max(axis=0)
    return float((np.abs(found - expected) / np.where(scale > 0, scale, 1.0)).max())
