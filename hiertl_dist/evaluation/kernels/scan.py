"""One look at many frames: how many pairs of atoms there are within cutoffs, how close they come. No list is kept.

Distances are what ``neighbours.py`` gives, by the same additions in the same order, so that what is inside a cutoff
here is so there. Each atom is compared with all atoms and images around it, which lie side by side, in vectors.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .boxes import close_cell
from .edges import helper, jit

ODD = 1
"""Flag of a frame that ``neighbours.py`` has to judge, or refuse."""

ALMOST = 9e4
"""Å that what does not repeat may measure here, less than what ``neighbours.py`` refuses."""

MOST_BINS = 5e4
"""Bins as wide as the reach: with more, ``neighbours.py`` may refuse a frame."""

MOST_IMAGES = 1e6
"""Atoms and images of a frame, beyond which it is odd; each takes a hundred bytes here."""

FAR = 1e5
"""Cells that an atom may be away: beyond, fractions of a cell lose digits."""

SINGULAR = 1e-6
"""Volume of a cell by the product of its edges that is too little."""

BEYOND = int(np.array(np.inf).view(np.int64))
"""Bits of infinity. Numbers that are not negative are in the order of their bits, and these are compared in vectors."""

FEW = 8000
"""Atoms and images that are worth no more than bins along one direction."""


class Seen(NamedTuple):
    """What was seen in each of m frames.

    Attributes
    ----------
    flag : ndarray of int, shape (m,)
        ``ODD``, or 0; of an odd frame nothing else means anything.
    within : ndarray of int, shape (m, cutoffs)
        Pairs of atoms within each cutoff, of two directions one.
    longest : ndarray of shape (m, cutoffs)
        Å, the longest of these; 0 where there is none.
    shortest : ndarray of shape (m, pairs)
        Å, the shortest distance within reach of each pair of elements; infinite where there is none.
    atoms : ndarray of int, shape (m, pairs, 2)
        The first two atoms that are as near.
    measure : ndarray of shape (m,)
        Volume of a cell; area of a slab's, length of a wire's, 1 of a molecule.
    extent : ndarray of shape (m, 3)
        Å: width along each direction in which a frame does not repeat, in place of the vector that means nothing.
    """

    flag: np.ndarray
    within: np.ndarray
    longest: np.ndarray
    shortest: np.ndarray
    atoms: np.ndarray
    measure: np.ndarray
    extent: np.ndarray

    @classmethod
    def nothing(cls, frames: int, pairs: int, cutoffs: int) -> Seen:
        """Before a look at so many frames."""
        return cls(
            np.zeros(frames, np.int64), np.zeros((frames, cutoffs), np.int64), np.zeros((frames, cutoffs)),
            np.full((frames, pairs), np.inf), np.full((frames, pairs, 2), -1, np.int64), np.ones(frames),
            np.zeros((frames, 3)),
        )  # fmt: skip


@helper
def _edges(cell, pbc):
    """The product of the lengths of what repeats."""
    product = 1.0
    for k in range(3):
        if pbc[k]:
            product *= math.sqrt(cell[k, 0] ** 2 + cell[k, 1] ** 2 + cell[k, 2] ** 2)
    return product


@helper
def _fractions(at, dual, pbc, reach, fraction, away, low, span, extent):
    """Fill fractions of the box, Å where it does not repeat; and whole cells, which are taken off.

    ``low`` and ``span`` are where what is within reach of the atoms begins, and how far from each that is, in
    fractions. The value is the number of bins as wide as the reach, infinite for a frame that is odd.
    """
    bins = 1.0
    for k in range(3):
        width = 1.0 / math.sqrt(dual[k, 0] ** 2 + dual[k, 1] ** 2 + dual[k, 2] ** 2)
        span[k] = reach / width * (1.0 + 1e-9) + 1e-9
        lowest, highest = np.inf, -np.inf
        for i in range(len(at)):
            f = at[i, 0] * dual[k, 0] + at[i, 1] * dual[k, 1] + at[i, 2] * dual[k, 2]
            lowest, highest = min(lowest, f), max(highest, f)
            away[i, k] = math.floor(f) if pbc[k] else 0.0
            fraction[i, k] = f - away[i, k]
        if not (highest < FAR and lowest > -FAR if pbc[k] else highest - lowest < ALMOST):
            return np.inf
        low[k] = -span[k] if pbc[k] else lowest
        extent[k] = 0.0 if pbc[k] else highest - lowest
        bins *= max(width / reach, 1.0) if pbc[k] else extent[k] / reach + 3.0
    return bins


@helper
def _range(k, fraction, pbc, span):
    """The images of an atom along one direction that are within reach of the box: the first, and how many."""
    if not pbc[k]:
        return 0, 1
    first = math.ceil(-span[k] - fraction[k])
    return first, math.floor(1.0 + span[k] - fraction[k]) - first + 1


@helper
def _number_of_images(fraction, pbc, span):
    total = 0.0
    for i in range(len(fraction)):
        product = 1.0
        for k in range(3):
            product *= _range(k, fraction[i], pbc, span)[1]
        total += product
    return total


@helper
def _grid(total, few, kinds, pbc, span, extent, number, scale):
    """Fill the number of bins along each direction, and how many a fraction is: a quarter of the reach along the last.

    Along the others they are half as wide as the reach, where there are many atoms and images, else there is one.
    """
    wanted = 0.7 if total > few else 0.0
    while True:
        bins = float(kinds)
        for k in range(3):
            length = 1.0 + 2.0 * span[k] if pbc[k] else extent[k] * (1.0 + 1e-9) + 1e-9
            number[k] = max(1, int(length / span[k] * (4.0 if k == 2 else wanted)))
            scale[k] = number[k] / length
            bins *= number[k]
        if bins <= 4.0 * total + 64.0 * kinds or wanted == 0.0:
            return
        wanted = 0.8 * wanted if wanted > 0.1 else 0.0


@helper
def _lay_out(at, code, fraction, away, pbc, low, span, number, scale, start, images, atom, own):
    """Sort atoms and images by element and bin.

    ``start`` (bins + 1,) is filled with where each begins, ``images`` with positions of their atoms, x y z, and the
    cells that they are in; ``atom`` with these atoms, and ``own`` with where each atom itself is.
    """
    px, py, pz, cu, cv, cw = images
    total = len(atom)
    bins, shift, source = np.empty(total, np.int64), np.empty((total, 3)), np.empty(total, np.int64)
    g = 0
    for i in range(len(code)):
        f, d = _range(0, fraction[i], pbc, span), _range(1, fraction[i], pbc, span)
        e = _range(2, fraction[i], pbc, span)
        for s in range(f[1] * d[1] * e[1]):
            cell = (f[0] + s // (d[1] * e[1]), d[0] + s // e[1] % d[1], e[0] + s % e[1])
            b = code[i]
            for k in range(3):
                place = int((fraction[i, k] + cell[k] - low[k]) * scale[k])
                b = b * number[k] + min(max(place, 0), number[k] - 1)
                shift[g, k] = cell[k]
            bins[g], source[g] = b, i
            start[b + 1] += 1
            g += 1
    for b in range(len(start) - 1):
        start[b + 1] += start[b]
    filled = start.copy()
    for g in range(total):
        i, to = source[g], filled[bins[g]]
        filled[bins[g]] += 1
        atom[to] = i
        px[to], py[to], pz[to] = at[i, 0], at[i, 1], at[i, 2]
        cu[to], cv[to], cw[to] = shift[g, 0] - away[i, 0], shift[g, 1] - away[i, 1], shift[g, 2] - away[i, 2]
        if shift[g, 0] == 0.0 and shift[g, 1] == 0.0 and shift[g, 2] == 0.0:
            own[i] = to


@helper
def _squares(px, py, pz, cu, cv, cw, at, away, box, reach, out):
    """Squares of distances of one atom from some others, infinite beyond reach."""
    x0, y0, z0, u0, v0, w0 = at[0], at[1], at[2], away[0], away[1], away[2]
    ax, ay, az, bx, by, bz = box[0, 0], box[0, 1], box[0, 2], box[1, 0], box[1, 1], box[1, 2]
    cx, cy, cz, most = box[2, 0], box[2, 1], box[2, 2], reach * reach
    for g in range(len(px)):
        u, v, w = cu[g] + u0, cv[g] + v0, cw[g] + w0
        x = (px[g] - x0) + (u * ax + v * bx + w * cx)
        y = (py[g] - y0) + (u * ay + v * by + w * cy)
        z = (pz[g] - z0) + (u * az + v * bz + w * cz)
        # neighbours.py adds in the first order, and vesin, which tells what is in reach, in the second
        out[g] = (x * x + z * z) + y * y if (x * x + y * y) + z * z < most else np.inf


@helper
def _least(bits):
    least = BEYOND
    for g in range(len(bits)):
        least = bits[g] if bits[g] < least else least
    return least


@helper
def _below(bits, limit):
    """How many are less than a limit, and the largest of these."""
    number, largest = 0, 0
    for g in range(len(bits)):
        number += 1 if bits[g] < limit else 0
        own = bits[g] if bits[g] < limit else 0
        largest = own if own > largest else largest
    return number, largest


@helper
def _nearest(i, square, atom, p, r, shortest, atoms):
    """Enter the shortest distance of a pair of elements; of equal ones the first, and each from the lower atom."""
    for g in range(len(square)):
        if square[g] <= r * r * (1.0 + 1e-15) and math.sqrt(square[g]) <= r:
            a, b = min(i, atom[g]), max(i, atom[g])
            if r < shortest[p] or a < atoms[p, 0] or (a == atoms[p, 0] and b < atoms[p, 1]):
                shortest[p], atoms[p, 0], atoms[p, 1] = r, a, b


@helper
def _look(
    at, code, fraction, away, box, low, span, number, scale, where, images, atom, place, square, reach, pair, first,
    limit, count, longest, shortest, atoms,
):  # fmt: skip
    """Compare each atom of a frame with all around it."""
    px, py, pz, cu, cv, cw = images
    lowest, highest, bits = np.empty(3, np.int64), np.empty(3, np.int64), square.view(np.int64)
    best, far = shortest.copy(), np.zeros(len(limit), np.int64)
    nearest, limits = best.view(np.int64), limit.view(np.int64)
    for i in range(len(code)):
        for k in range(3):
            lowest[k] = min(max(math.floor((fraction[i, k] - span[k] - low[k]) * scale[k]), 0), number[k] - 1)
            highest[k] = min(max(math.floor((fraction[i, k] + span[k] - low[k]) * scale[k]), 0), number[k] - 1)
        # each two elements once; two atoms of one element from both sides
        for other in range(code[i], len(pair)):
            p = pair[code[i], other]
            for x in range(lowest[0], highest[0] + 1):
                for y in range(lowest[1], highest[1] + 1):
                    b = ((other * number[0] + x) * number[1] + y) * number[2]
                    s, e = where[b + lowest[2]], where[b + highest[2] + 1]
                    if s == e:
                        continue
                    _squares(px[s:e], py[s:e], pz[s:e], cu[s:e], cv[s:e], cw[s:e], at[i], away[i], box, reach, square)
                    if s <= place[i] < e:
                        square[place[i] - s] = np.inf
                    run = bits[: e - s]
                    least = _least(run)
                    # roots of squares that differ in their last bits may be equal
                    if least < BEYOND and least <= nearest[p] + 4:
                        nearest[p] = min(least, nearest[p])
                        _nearest(i, square[: e - s], atom[s:e], p, math.sqrt(best[p]), shortest, atoms)
                    for c in range(first[p], first[p + 1]):
                        n, r = _below(run, limits[c])
                        count[c] += n
                        far[c] = max(far[c], r)
    distances = far.view(np.float64)
    for c in range(len(limit)):
        longest[c] = math.sqrt(distances[c])
    for a in range(len(pair)):
        for c in range(first[pair[a, a]], first[pair[a, a] + 1]):
            count[c] //= 2


@jit
def scan_contacts(start, code, position, cell, pbc, chosen, reach, pair, first, limit, few, seen):
    """Look at some frames.

    Parameters
    ----------
    start : ndarray of int, shape (frames + 1,)
        The first atom of each frame.
    code : ndarray of int, shape (atoms,)
        Element of each atom.
    position : ndarray of shape (atoms, 3)
        Å.
    cell : ndarray of shape (frames, 3, 3)
        Lattice vectors as rows, Å; those of molecules mean nothing.
    pbc : ndarray of bool, shape (frames, 3)
        Along which of them a frame repeats.
    chosen : ndarray of int, shape (m,)
        The frames to be looked at.
    reach : float
        How far, Å.
    pair : ndarray of int, shape (elements, elements)
        Number of each pair of elements.
    first : ndarray of int, shape (pairs + 1,)
        Where the cutoffs of each pair begin.
    limit : ndarray of shape (cutoffs,)
        Of each cutoff the least square, Å², whose root is not less.
    few : float
        Of a frame with no more atoms and images all are compared, but for those too far along one direction; see
        ``FEW``.
    seen : Seen
        Of these frames; ``Seen.nothing`` before, and filled.
    """
    box, dual, low, span, scale = np.empty((3, 3)), np.empty((3, 3)), np.empty(3), np.empty(3), np.empty(3)
    number, kinds = np.empty(3, np.int64), len(pair)
    for m in range(len(chosen)):
        begin, end = start[chosen[m]], start[chosen[m] + 1]
        at, own_code, periodic = position[begin:end], code[begin:end], pbc[chosen[m]]
        fraction, away, place = np.empty((end - begin, 3)), np.empty((end - begin, 3)), np.empty(end - begin, np.int64)
        seen.measure[m] = close_cell(cell[chosen[m]], periodic, box, dual)
        bins = np.inf
        if seen.measure[m] > SINGULAR * _edges(cell[chosen[m]], periodic):
            bins = _fractions(at, dual, periodic, reach, fraction, away, low, span, seen.extent[m])
        total = _number_of_images(fraction, periodic, span) if bins < MOST_BINS else np.inf
        if not total < MOST_IMAGES:
            seen.flag[m] = ODD
            continue
        _grid(total, few, kinds, periodic, span, seen.extent[m], number, scale)
        where = np.zeros(kinds * number[0] * number[1] * number[2] + 1, np.int64)
        n = int(total)
        images = (np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n))
        atom, square = np.empty(n, np.int64), np.empty(n)
        _lay_out(at, own_code, fraction, away, periodic, low, span, number, scale, where, images, atom, place)
        _look(
            at, own_code, fraction, away, box, low, span, number, scale, where, images, atom, place, square, reach,
            pair, first, limit, seen.within[m], seen.longest[m], seen.shortest[m], seen.atoms[m],
        )  # fmt: skip
        for p in range(len(first) - 1):
            if seen.shortest[m, p] <= 0.0:
                seen.flag[m] = ODD
