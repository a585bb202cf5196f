"""One look at many frames: how many pairs of atoms there are within cutoffs, how close they come. No list is kept.

Distances are what ``neighbours.py`` gives, by the same additions in the same order, so that what is inside a cutoff
here is so there. Each atom is compared with all atoms and images around it, which lie side by side, in vectors.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .boxes import close_cell
from .edges import bare, helper, jit

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


class _Images(NamedTuple):
    """Atoms and images, by element and bin: positions of the atoms, the cells that the images are in, the atoms.

    ``rank`` is the atom, of what is not in its own cell the number of atoms: each two are looked at by the one of lower
    rank, or from the cell that is behind.
    """

    px: np.ndarray
    py: np.ndarray
    pz: np.ndarray
    cu: np.ndarray
    cv: np.ndarray
    cw: np.ndarray
    rank: np.ndarray
    atom: np.ndarray


class _Frame(NamedTuple):
    """What is worked out of a frame before its atoms are compared: ``scan_contacts`` makes room for the largest."""

    box: np.ndarray
    dual: np.ndarray
    low: np.ndarray
    span: np.ndarray
    scale: np.ndarray
    number: np.ndarray
    fraction: np.ndarray
    away: np.ndarray


@bare
def _edges(cell, pbc):
    """The product of the lengths of what repeats."""
    product = 1.0
    for k in range(3):
        if pbc[k]:
            product *= math.sqrt(cell[k, 0] ** 2 + cell[k, 1] ** 2 + cell[k, 2] ** 2)
    return product


@bare
def _fractions(at, pbc, reach, frame, extent):
    """Fill fractions of the box, Å where it does not repeat; and whole cells, which are taken off.

    ``low`` and ``span`` are where what is looked at begins, and how far from each atom that is, in fractions. The value
    is the number of bins as wide as the reach, infinite for a frame that is odd.
    """
    bins, dual, fraction, away = 1.0, frame.dual, frame.fraction, frame.away
    for k in range(3):
        width = 1.0 / math.sqrt(dual[k, 0] ** 2 + dual[k, 1] ** 2 + dual[k, 2] ** 2)
        frame.span[k] = reach / width * (1.0 + 1e-9) + 1e-9
        lowest, highest, dx, dy, dz = np.inf, -np.inf, dual[k, 0], dual[k, 1], dual[k, 2]
        for i in range(len(at)):
            f = at[i, 0] * dx + at[i, 1] * dy + at[i, 2] * dz
            lowest, highest = min(lowest, f), max(highest, f)
            away[i, k] = math.floor(f) if pbc[k] else 0.0
            fraction[i, k] = f - away[i, k]
        if not (highest < FAR and lowest > -FAR if pbc[k] else highest - lowest < ALMOST):
            return np.inf
        # along the last direction, no image is behind the cell
        frame.low[k] = (-frame.span[k] if k < 2 else 0.0) if pbc[k] else lowest
        extent[k] = 0.0 if pbc[k] else highest - lowest
        bins *= max(width / reach, 1.0) if pbc[k] else extent[k] / reach + 3.0
    return bins


@bare
def _first(k, fraction, pbc, span):
    """The first image of an atom along one direction that is within reach of the box."""
    return math.ceil(-span[k] - fraction[k]) if pbc[k] else 0


@bare
def _last(k, fraction, pbc, span):
    """The last one."""
    return math.floor(1.0 + span[k] - fraction[k]) if pbc[k] else 0


@bare
def _number_of_images(n, fraction, pbc, span):
    """Atoms, and images in cells that come after their own: of each and its opposite one."""
    total = 0.0
    for i in range(n):
        f = fraction[i]
        x, y, z = float(_last(0, f, pbc, span)), float(_last(1, f, pbc, span)), float(_last(2, f, pbc, span))
        row = x - _first(0, f, pbc, span) + 1.0
        total += (z * (y - _first(1, f, pbc, span) + 1.0) + y) * row + x + 1.0
    return total


@bare
def _grid(total, few, kinds, pbc, frame, extent):
    """Fill the number of bins along each direction, and how many a fraction is: a quarter of the reach along the last.

    Along the others they are half as wide as the reach, where there are many atoms and images, else there is one.
    """
    wanted, span, number = 0.7 if total > few else 0.0, frame.span, frame.number
    while True:
        bins = float(kinds)
        for k in range(3):
            length = 1.0 + (2.0 if k < 2 else 1.0) * span[k] if pbc[k] else extent[k] * (1.0 + 1e-9) + 1e-9
            number[k] = max(1, int(length / span[k] * (4.0 if k == 2 else wanted)))
            frame.scale[k] = number[k] / length
            bins *= number[k]
        if bins <= 4.0 * total + 64.0 * kinds or wanted == 0.0:
            return
        wanted = 0.8 * wanted if wanted > 0.1 else 0.0


@bare
def _bin(k, place, frame):
    """The bin of a place along one direction; of what is outside the nearest."""
    return min(max(int((place - frame.low[k]) * frame.scale[k]), 0), frame.number[k] - 1)


@bare
def _lay_out(at, code, pbc, frame, start, bins, images):
    """Sort atoms and images by element and bin; ``start`` (bins + 1,) is filled with where each begins.

    ``bins`` (images,) is scratch memory. Twice the same loops: the first counts, the second fills.
    """
    px, py, pz, cu, cv, cw, rank, atom = images
    fraction, away, span, number = frame.fraction, frame.away, frame.span, frame.number
    for second in range(2):
        g = 0
        for i in range(len(code)):
            f = fraction[i]
            x_first, x_last = _first(0, f, pbc, span), _last(0, f, pbc, span)
            y_first, y_last = _first(1, f, pbc, span), _last(1, f, pbc, span)
            for w in range(_last(2, f, pbc, span) + 1):
                b_z = _bin(2, f[2] + w, frame)
                for v in range(y_first if w > 0 else 0, y_last + 1):
                    b_y = (code[i] * number[0] * number[1] + _bin(1, f[1] + v, frame)) * number[2] + b_z
                    for u in range(x_first if w > 0 or v > 0 else 0, x_last + 1):
                        if second == 0:
                            bins[g] = b_y + _bin(0, f[0] + u, frame) * number[1] * number[2]
                            start[bins[g] + 1] += 1
                        else:
                            to = start[bins[g]]
                            start[bins[g]] += 1
                            atom[to] = i
                            px[to], py[to], pz[to] = at[i, 0], at[i, 1], at[i, 2]
                            cu[to], cv[to], cw[to] = u - away[i, 0], v - away[i, 1], w - away[i, 2]
                            rank[to] = i if w == 0 and v == 0 and u == 0 else len(code)
                        g += 1
        if second == 0:
            for b in range(len(start) - 1):
                start[b + 1] += start[b]
    # filled, each begins where the one before ended
    for b in range(len(start) - 1, 0, -1):
        start[b] = start[b - 1]
    start[0] = 0


@bare
def _squares(images, s, e, i, at, away, box, reach, out):
    """Squares of distances of one atom from those of some others that it looks at, infinite beyond reach."""
    px, py, pz, cu, cv, cw = images.px[s:e], images.py[s:e], images.pz[s:e], images.cu[s:e], images.cv[s:e], images.cw[s:e]
    rank, own = images.rank[s:e], float(i)
    x0, y0, z0, u0, v0, w0 = at[i, 0], at[i, 1], at[i, 2], away[i, 0], away[i, 1], away[i, 2]
    ax, ay, az, bx, by, bz = box[0, 0], box[0, 1], box[0, 2], box[1, 0], box[1, 1], box[1, 2]
    cx, cy, cz, most = box[2, 0], box[2, 1], box[2, 2], reach * reach
    for g in range(len(px)):
        u, v, w = cu[g] + u0, cv[g] + v0, cw[g] + w0
        x = (px[g] - x0) + (u * ax + v * bx + w * cx)
        y = (py[g] - y0) + (u * ay + v * by + w * cy)
        z = (pz[g] - z0) + (u * az + v * bz + w * cz)
        # neighbours.py adds in the first order, and vesin, which tells what is in reach, in the second
        near = (x * x + z * z) + y * y if (x * x + y * y) + z * z < most else np.inf
        out[g] = near if rank[g] > own else np.inf


@bare
def _least(bits):
    least = BEYOND
    for g in range(len(bits)):
        least = bits[g] if bits[g] < least else least
    return least


@bare
def _below(bits, limit):
    """How many are less than a limit, and the largest of these."""
    number, largest = 0, 0
    for g in range(len(bits)):
        number += 1 if bits[g] < limit else 0
        own = bits[g] if bits[g] < limit else 0
        largest = own if own > largest else largest
    return number, largest


@bare
def _nearest(i, square, atom, p, r, shortest, atoms):
    """Enter the shortest distance of a pair of elements; of equal ones the first, and each from the lower atom."""
    for g in range(len(square)):
        if square[g] <= r * r * (1.0 + 1e-15) and math.sqrt(square[g]) <= r:
            a, b = min(i, atom[g]), max(i, atom[g])
            if r < shortest[p] or a < atoms[p, 0] or (a == atoms[p, 0] and b < atoms[p, 1]):
                shortest[p], atoms[p, 0], atoms[p, 1] = r, a, b


@bare
def _look(
    at, code, frame, where, images, square, bits, reach, pair, first, limits, count, longest, far, shortest, best,
    nearest, atoms,
):  # fmt: skip
    """Compare each atom of a frame with those around it: each two atoms once.

    ``square`` and ``bits``, ``longest`` and ``far``, ``best`` and ``nearest`` are the same memory as floats and as
    their bits.
    """
    fraction, span, number = frame.fraction, frame.span, frame.number
    for c in range(len(limits)):
        longest[c] = 0.0
    for p in range(len(shortest)):
        best[p] = shortest[p]
    for i in range(len(code)):
        f = fraction[i]
        x_first, x_last = _bin(0, f[0] - span[0], frame), _bin(0, f[0] + span[0], frame)
        y_first, y_last = _bin(1, f[1] - span[1], frame), _bin(1, f[1] + span[1], frame)
        z_first, z_last = _bin(2, f[2] - span[2], frame), _bin(2, f[2] + span[2], frame)
        for other in range(len(pair)):
            p = pair[code[i], other]
            for x in range(x_first, x_last + 1):
                for y in range(y_first, y_last + 1):
                    b = ((other * number[0] + x) * number[1] + y) * number[2]
                    s, e = where[b + z_first], where[b + z_last + 1]
                    if s == e:
                        continue
                    _squares(images, s, e, i, at, frame.away, frame.box, reach, square)
                    run = bits[: e - s]
                    least = _least(run)
                    if least == BEYOND:
                        continue
                    # roots of squares that differ in their last bits may be equal
                    if least <= nearest[p] + 4:
                        nearest[p] = min(least, nearest[p])
                        _nearest(i, square[: e - s], images.atom[s:e], p, math.sqrt(best[p]), shortest, atoms)
                    for c in range(first[p], first[p + 1]):
                        n, r = _below(run, limits[c])
                        count[c] += n
                        far[c] = max(far[c], r)
    for c in range(len(limits)):
        longest[c] = math.sqrt(longest[c])


@helper
def _room(n):
    """Room for so many atoms and images."""
    return _Images(
        np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n),
        np.empty(n, np.int64),
    )  # fmt: skip


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
    kinds, most = len(pair), 0
    for m in range(len(chosen)):
        most = max(most, start[chosen[m] + 1] - start[chosen[m]])
    frame = _Frame(
        np.empty((3, 3)), np.empty((3, 3)), np.empty(3), np.empty(3), np.empty(3), np.empty(3, np.int64),
        np.empty((most, 3)), np.empty((most, 3)),
    )  # fmt: skip
    best, limits = np.empty(len(first) - 1), limit.view(np.int64)
    images, square, place, where = _room(0), np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64)
    for m in range(len(chosen)):
        begin, end = start[chosen[m]], start[chosen[m] + 1]
        at, own_code, periodic, extent = position[begin:end], code[begin:end], pbc[chosen[m]], seen.extent[m]
        seen.measure[m] = close_cell(cell[chosen[m]], periodic, frame.box, frame.dual)
        bins = np.inf
        if seen.measure[m] > SINGULAR * _edges(cell[chosen[m]], periodic):
            bins = _fractions(at, periodic, reach, frame, extent)
        total = _number_of_images(len(at), frame.fraction, periodic, frame.span) if bins < MOST_BINS else np.inf
        if not total < MOST_IMAGES:
            seen.flag[m] = ODD
            continue
        _grid(total, few, kinds, periodic, frame, extent)
        places, n = kinds * frame.number[0] * frame.number[1] * frame.number[2] + 1, int(total)
        if n > len(square):
            images, square, place = _room(n + n // 4), np.empty(n + n // 4), np.empty(n + n // 4, np.int64)
        if places > len(where):
            where = np.empty(places + places // 4, np.int64)
        own_where = where[:places]
        own_where[:] = 0
        _lay_out(at, own_code, periodic, frame, own_where, place, images)
        longest = seen.longest[m]
        _look(
            at, own_code, frame, own_where, images, square, square.view(np.int64), reach, pair, first, limits,
            seen.within[m], longest, longest.view(np.int64), seen.shortest[m], best, best.view(np.int64),
            seen.atoms[m],
        )  # fmt: skip
        for p in range(len(first) - 1):
            if seen.shortest[m, p] <= 0.0:
                seen.flag[m] = ODD
