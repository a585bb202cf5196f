"""Atoms and images of a frame in bins, so that what is around an atom lies side by side.

Of each image and the opposite one, which is as far from the same two atoms, only one is there.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .edges import bare, helper
from .simd import LANES

ALMOST = 9e4
"""Å that what does not repeat may measure here, less than what ``neighbours.py`` refuses."""

FAR = 1e5
"""Cells that an atom may be away: beyond, fractions of a cell lose digits."""


class Images(NamedTuple):
    """Atoms in one cell and images of them in the cells that come after it, by element and bin.

    x, y, z: where they are, but for last digits; u, v, w: how many cells from where the atom was given; ``atom``: its
    number. ``rank`` is that too, but of images the number of atoms, so that an atom looks at those of higher rank only.
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    rank: np.ndarray
    u: np.ndarray
    v: np.ndarray
    w: np.ndarray
    atom: np.ndarray


class FramePlaces(NamedTuple):
    """A frame by its bins; there is room for the largest frame.

    box, dual: the cell with unit vectors in place of what does not repeat, and its inverse; low, span: where bins begin
    along each direction, and how far is looked, in fractions; scale, number: bins of a fraction, and how many there
    are; fraction, away (atoms, 3): the place of each atom in one cell, and the cell that it was given in.
    """

    box: np.ndarray
    dual: np.ndarray
    low: np.ndarray
    span: np.ndarray
    scale: np.ndarray
    number: np.ndarray
    fraction: np.ndarray
    away: np.ndarray


@bare
def product_of_edges(cell, pbc):
    """The product of the lengths of what repeats."""
    product = 1.0
    for k in range(3):
        if pbc[k]:
            product *= math.sqrt(cell[k, 0] ** 2 + cell[k, 1] ** 2 + cell[k, 2] ** 2)
    return product


@bare
def fill_fractions(at, pbc, reach, frame, extent):
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
def number_of_images(n, fraction, pbc, span):
    """Atoms, and images in cells that come after their own: of each and its opposite one."""
    total = 0.0
    for i in range(n):
        f = fraction[i]
        x, y, z = float(_last(0, f, pbc, span)), float(_last(1, f, pbc, span)), float(_last(2, f, pbc, span))
        row = x - _first(0, f, pbc, span) + 1.0
        total += (z * (y - _first(1, f, pbc, span) + 1.0) + y) * row + x + 1.0
    return total


@bare
def fill_grid(total, few, kinds, pbc, frame, extent):
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
def bin_of(k, place, frame):
    """The bin of a place along one direction; of what is outside the nearest."""
    return min(max(int((place - frame.low[k]) * frame.scale[k]), 0), frame.number[k] - 1)


@bare
def lay_out(at, code, pbc, frame, start, images):
    """Sort atoms and images by element and bin; ``start`` (bins + 1,) is filled with where each begins.

    Twice the same loops: the first counts, the second fills.
    """
    fraction, away, box, span, number = frame.fraction, frame.away, frame.box, frame.span, frame.number
    ax, ay, az, bx, by, bz = box[0, 0], box[0, 1], box[0, 2], box[1, 0], box[1, 1], box[1, 2]
    cx, cy, cz, plane = box[2, 0], box[2, 1], box[2, 2], number[1] * number[2]
    for second in range(2):
        for i in range(len(code)):
            f, element = fraction[i], code[i] * number[0] * plane
            x_first, x_last = _first(0, f, pbc, span), _last(0, f, pbc, span)
            y_first, y_last = _first(1, f, pbc, span), _last(1, f, pbc, span)
            z_last, row = _last(2, f, pbc, span), x_last + 1 - x_first
            layer = row * (y_last + 1 - y_first)
            if second == 0 and number[0] * number[1] == 1:
                start[element + bin_of(2, f[2], frame) + 1] += y_last * row + x_last + 1
                for c in range(1, z_last + 1):
                    start[element + bin_of(2, f[2] + c, frame) + 1] += layer
                continue
            a, b, c = 0, 0, 0
            # one loop over all cells: the ends of short ones are what takes long
            for _ in range(z_last * layer + y_last * row + x_last + 1):
                place = element + bin_of(0, f[0] + a, frame) * plane
                place += bin_of(1, f[1] + b, frame) * number[2] + bin_of(2, f[2] + c, frame)
                if second == 0:
                    start[place + 1] += 1
                else:
                    to, u, v, w = start[place], a - away[i, 0], b - away[i, 1], c - away[i, 2]
                    start[place] = to + 1
                    images.x[to] = at[i, 0] + (u * ax + v * bx + w * cx)
                    images.y[to] = at[i, 1] + (u * ay + v * by + w * cy)
                    images.z[to] = at[i, 2] + (u * az + v * bz + w * cz)
                    images.u[to], images.v[to], images.w[to], images.atom[to] = u, v, w, i
                    images.rank[to] = i if abs(a) + abs(b) + abs(c) == 0 else len(code)
                full = a == x_last
                a, b = x_first if full else a + 1, b + full
                full = b > y_last
                b, c = y_first if full else b, c + full
        if second == 0:
            for b in range(len(start) - 1):
                start[b + 1] += start[b]
    # filled, each begins where the one before ended
    for b in range(len(start) - 1, 0, -1):
        start[b] = start[b - 1]
    start[0] = 0


@helper
def room_for(n):
    """Room for so many atoms and images."""
    # vectors read on behind the last
    return Images(
        np.empty(n + LANES), np.empty(n + LANES), np.empty(n + LANES), np.empty(n + LANES), np.empty(n), np.empty(n),
        np.empty(n), np.empty(n, np.int64),
    )  # fmt: skip
