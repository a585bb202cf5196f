"""One look at many frames: how many pairs of atoms there are within cutoffs, how close they come. No list is kept.

Distances are what ``neighbours.py`` gives, by the same additions in the same order, so that what is inside a cutoff
here is so there. Each two atoms are compared once, in vectors, by squares that are right but for last digits; where
these may matter, at cutoffs, of the shortest and of the longest distance, it is done again exactly.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .bins import FramePlaces, bin_of, fill_fractions, fill_grid, lay_out, number_of_images, product_of_edges, room_for
from .boxes import close_cell
from .edges import bare, jit
from .near_squares import count_below, next_between, squares_around
from .simd import LANES

ODD = 1
"""Flag of a frame that ``neighbours.py`` has to judge, or refuse."""

MOST_BINS = 5e4
"""Bins as wide as the reach: with more, ``neighbours.py`` may refuse a frame."""

MOST_IMAGES = 1e6
"""Atoms and images that are looked at of a frame, beyond which it is odd; each takes a hundred bytes here."""

SINGULAR = 1e-6
"""Volume of a cell by the product of its edges that is too little."""

FEW = 2000
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


@bare
def _slack(at, frame, reach):
    """Å²: more than by how much a square of a distance of about the reach or less may be off that is in ``Images``."""
    farthest, home, away, edges = 0.0, 0.0, 0.0, 0.0
    for i in range(len(at)):
        for k in range(3):
            farthest = max(farthest, abs(at[i, k]))
            home = max(home, abs(frame.away[i, k]))
    for k in range(3):
        away = max(away, frame.span[k] + 2.0 + 2.0 * home)
        for x in range(3):
            edges = max(edges, abs(frame.box[k, x]))
    # some sixty roundings of coordinates as large as that
    off = 1.5e-14 * (farthest + 3.0 * away * edges)
    return 4.0 * off * (reach + off) + 1e-14 * reach * reach


@bare
def _square(images, g, i, at, away, box, reach):
    """The square of the distance of an atom from an image, infinite beyond reach."""
    j = images.atom[g]
    u, v, w = images.u[g] + away[i, 0], images.v[g] + away[i, 1], images.w[g] + away[i, 2]
    x = (at[j, 0] - at[i, 0]) + (u * box[0, 0] + v * box[1, 0] + w * box[2, 0])
    y = (at[j, 1] - at[i, 1]) + (u * box[0, 1] + v * box[1, 1] + w * box[2, 1])
    z = (at[j, 2] - at[i, 2]) + (u * box[0, 2] + v * box[1, 2] + w * box[2, 2])
    # neighbours.py adds in the first order, and vesin, which tells what is in reach, in the second
    return (x * x + z * z) + y * y if (x * x + y * y) + z * z < reach * reach else np.inf


@bare
def _settle_far(near, n, bounds, begin, images, i, at, frame, reach, floor, c, above, limit, count, far):
    """Look exactly at those of a run that are not below a floor: their squares may be the largest below a limit.

    Those that were counted and are not below it are not.
    """
    bounds[0], bounds[1] = floor, above[c]
    g = next_between(near, 0, n, bounds, 0)
    while g < n:
        square = _square(images, begin + g, i, at, frame.away, frame.box, reach)
        if square < limit[c]:
            far[c] = max(far[c], square)
        else:
            count[c] -= 1
        g = next_between(near, g + 1, n, bounds, 0)


@bare
def _settle_near(near, n, bounds, begin, images, i, at, frame, reach, ceiling, p, best, shortest, atoms):
    """Look exactly at those of a run that are not above a ceiling: one may be the nearest two atoms of two elements.

    Of equal ones the first, and each from the lower atom.
    """
    bounds[0], bounds[1] = 0.0, ceiling
    g = next_between(near, 0, n, bounds, 0)
    while g < n:
        square = _square(images, begin + g, i, at, frame.away, frame.box, reach)
        if square < np.inf:
            best[p] = min(best[p], square)
            r, j = math.sqrt(square), images.atom[begin + g]
            a, b = min(i, j), max(i, j)
            earlier = a < atoms[p, 0] or (a == atoms[p, 0] and b < atoms[p, 1])
            if r < shortest[p] or (r == shortest[p] and earlier):
                shortest[p], atoms[p, 0], atoms[p, 1] = r, a, b
        g = next_between(near, g + 1, n, bounds, 0)


@bare
def _look(
    at, code, frame, where, images, near, room, reach, pair, first, limit, count, far, shortest, atoms,
):  # fmt: skip
    """Compare each atom of a frame with those around it: each two atoms once.

    By squares that are right but for last digits; of those for which these digits may matter, exactly.
    """
    fraction, span, number, slack = frame.fraction, frame.span, frame.number, _slack(at, frame, reach)
    own, bounds, end, above, least_far, lanes, best, most_near = room
    for c in range(len(limit)):
        end[c], far[c] = min(limit[c], reach * reach), 0.0
        above[c], least_far[c] = end[c] + slack, 0.0
        for lane in range(LANES):
            lanes[LANES * c + lane] = 0.0
    for p in range(len(shortest)):
        best[p], most_near[p] = reach * reach, reach * reach + slack
    for i in range(len(code)):
        f = fraction[i]
        for x in range(3):
            own[x] = at[i, x]
            for k in range(3):
                own[x] -= frame.away[i, k] * frame.box[k, x]
        own[3] = i
        x_first, x_last = bin_of(0, f[0] - span[0], frame), bin_of(0, f[0] + span[0], frame)
        y_first, y_last = bin_of(1, f[1] - span[1], frame), bin_of(1, f[1] + span[1], frame)
        z_first, z_last = bin_of(2, f[2] - span[2], frame), bin_of(2, f[2] + span[2], frame)
        for other in range(len(pair)):
            p = pair[code[i], other]
            for x in range(x_first, x_last + 1):
                for y in range(y_first, y_last + 1):
                    b = ((other * number[0] + x) * number[1] + y) * number[2]
                    s, n = where[b + z_first], where[b + z_last + 1] - where[b + z_first]
                    if n == 0:
                        continue
                    least = squares_around(near, images.x, images.y, images.z, images.rank, s, n, own, most_near, p)
                    if least < np.inf:
                        ceiling = least + 2.0 * slack
                        _settle_near(near, n, bounds, s, images, i, at, frame, reach, ceiling, p, best, shortest, atoms)
                        # roots of squares that differ in their last bits may be equal
                        most_near[p] = best[p] + slack
                    for c in range(first[p], first[p + 1]):
                        largest = count_below(near, n, above, least_far, c, lanes)
                        if largest > 0.0:
                            floor = (largest if largest < end[c] - slack else far[c]) - 2.0 * slack
                            _settle_far(
                                near, n, bounds, s, images, i, at, frame, reach, floor, c, above, limit, count, far
                            )
                            least_far[c] = far[c] - slack
    for c in range(len(limit)):
        far[c] = math.sqrt(far[c])
        for lane in range(LANES):
            count[c] += int(lanes[LANES * c + lane])


# long: its parameters are documented
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
    frame = FramePlaces(
        np.empty((3, 3)), np.empty((3, 3)), np.empty(3), np.empty(3), np.empty(3), np.empty(3, np.int64),
        np.empty((most, 3)), np.empty((most, 3)),
    )  # fmt: skip
    room = (
        np.empty(4), np.empty(2), np.empty(len(limit)), np.empty(len(limit)), np.empty(len(limit)),
        np.empty(LANES * len(limit)), np.empty(len(first) - 1), np.empty(len(first) - 1),
    )  # fmt: skip
    images, near, where = room_for(0), np.empty(0), np.empty(0, np.int64)
    for m in range(len(chosen)):
        begin, end = start[chosen[m]], start[chosen[m] + 1]
        at, own_code, periodic, extent = position[begin:end], code[begin:end], pbc[chosen[m]], seen.extent[m]
        seen.measure[m] = close_cell(cell[chosen[m]], periodic, frame.box, frame.dual)
        bins = np.inf
        if seen.measure[m] > SINGULAR * product_of_edges(cell[chosen[m]], periodic):
            bins = fill_fractions(at, periodic, reach, frame, extent)
        total = number_of_images(len(at), frame.fraction, periodic, frame.span) if bins < MOST_BINS else np.inf
        if not total < MOST_IMAGES:
            seen.flag[m] = ODD
            continue
        fill_grid(total, few, kinds, periodic, frame, extent)
        places, n = kinds * frame.number[0] * frame.number[1] * frame.number[2] + 1, int(total)
        if n > len(images.atom):
            images, near = room_for(n + n // 4), np.empty(n + n // 4 + LANES)
        if places > len(where):
            where = np.empty(places + places // 4, np.int64)
        own_where = where[:places]
        own_where[:] = 0
        lay_out(at, own_code, periodic, frame, own_where, images)
        _look(
            at, own_code, frame, own_where, images, near, room, reach, pair, first, limit,
            seen.within[m], seen.longest[m], seen.shortest[m], seen.atoms[m],
        )  # fmt: skip
        for p in range(len(first) - 1):
            if seen.shortest[m, p] <= 0.0:
                seen.flag[m] = ODD
