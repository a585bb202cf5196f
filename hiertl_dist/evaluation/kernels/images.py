"""Neighbours of small frames: each atom beside every atom and image that it could meet, in one compiled call.

Atoms are moved into one cell, and their images ``shift`` cells away, as far as an atom may see, are listed by atom and
shift. What an atom meets of that list is therefore in the order of :class:`~.neighbours.Neighbours`, and nothing is
sorted. Half of the pairs are looked for, those of an atom with later ones. Vectors and distances are what vesin and
``neighbours.py`` make of the positions as they were given, bit by bit.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from .boxes import close_cell
from .edges import bare, carve, carve_indices, jit

INSIDE: Final = 1
"""A mark of a frame: a pair is inside its inner cutoff."""

COINCIDE: Final = 2
"""A mark of a frame: two atoms are at the same place."""

ELSEWHERE: Final = -1
"""In place of marks: the frame is none for this search."""

MOST_CHECKS: Final = 2**22
"""Atoms × images: beyond, bins save more than they cost."""

MOST_BINS: Final = 3e4
"""Cubes as wide as the cutoff that the frame fills; those that vesin would refuse fill more."""

FARTHEST: Final = 1e4
"""Cells, or Å where there are none, that an atom may be away, so that its place has digits to spare for ``SLACK``."""

THINNEST: Final = 100.0
"""Images of a cell that an atom may see along one direction."""

SLACK: Final = 1e-6
"""Å beyond the cutoff that images are looked at; what counts is the distance of the positions as they were given."""


class _Images(NamedTuple):
    """Atoms in one cell and their images, by atom and shift.

    home (n, 3) the cell of each atom; own[i] the atom itself among its images; x, y, z, atom, shift (images, 3) of each
    image.
    """

    home: np.ndarray
    own: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    atom: np.ndarray
    shift: np.ndarray


class _Half(NamedTuple):
    """Each pair once: those of atom i are first[i]:first[i + 1]; the image that it meets, vector and distance."""

    first: np.ndarray
    image: np.ndarray
    vec: np.ndarray
    dist: np.ndarray


# long: its parameters are documented
@jit
def image_pairs(positions, cell, repeats, kinds, reach, inner, cutoff, scratch):
    """Neighbours of a small frame.

    Parameters
    ----------
    positions : ndarray of shape (n, 3)
        Å.
    cell : ndarray of shape (3, 3)
        Cell vectors, Å; of what does not repeat, anything.
    repeats : ndarray of bool, shape (3,)
        Along which of them the frame repeats.
    kinds : ndarray of int, shape (n,)
        Of each atom; atoms of a negative kind have no neighbours and are none.
    reach, inner : ndarray of shape (kinds, kinds)
        Å within which two kinds are neighbours, and within which a pair is inside.
    cutoff : float
        Å within which any are.
    scratch : ndarray
        Scratch memory, see ``carve``.

    Returns
    -------
    marks : int
        ``INSIDE`` and ``COINCIDE``; ``ELSEWHERE`` for frames that are not small, or that vesin might refuse.
    start, atom, vec, dist, half, reverse, code, cells
        As in :class:`~.neighbours.Neighbours`.
    """
    n, cells, marks, total = len(positions), 1, ELSEWHERE, 0
    start, places = np.zeros(n + 1, np.int64), carve_indices(scratch, 2 * n)
    box, inverse, spans = np.empty((3, 3)), np.empty((3, 3)), carve_indices(scratch, 6 * n)
    home, inside = carve_indices(scratch, 3 * n), carve(scratch, 3 * n, False)
    volume = close_cell(cell, repeats, box, inverse)
    number, room = _measure(positions, inverse, volume, repeats, kinds, cutoff, home, inside, spans)
    size = max(number, 0)
    images = _Images(
        home, places[:n], carve(scratch, size, False), carve(scratch, size, False), carve(scratch, size, False),
        carve_indices(scratch, size), carve_indices(scratch, 3 * size),
    )  # fmt: skip
    first, squares, hits = carve_indices(scratch, n + 1), carve(scratch, size, False), carve_indices(scratch, size)
    if number >= 0:
        _list_images(kinds, inside, box, spans, images)
    while number >= 0:
        half = _Half(
            first, carve_indices(scratch, room), carve(scratch, 3 * room, False),
            carve(scratch, room, False),
        )  # fmt: skip
        found, marks = _meet(positions, box, kinds, reach, inner, cutoff, images, squares, hits, half)
        if found <= room:
            total = 2 * found
            break
        room = found
    atom, vec, dist = np.empty(total, np.int64), np.empty((total, 3)), np.empty(total)
    one_way, reverse, code = np.empty(total, np.bool_), np.empty(total, np.int64), np.empty(total, np.int64)
    if total > 0:
        cells = _both_ways(images, half, start, places[n:], atom, vec, dist, one_way, reverse, code)
    return marks, start, atom, vec, dist, one_way, reverse, code, cells


@bare
def _measure(positions, inverse, volume, repeats, kinds, cutoff, home, inside, spans):
    """How many images there are and about how many pairs at most; −1 images where the frame is none for this search.

    Fills in the cell of each atom, the place in it by cell vectors, and from which to which shift along each there are
    images that an atom could meet.
    """
    n, chosen, bins, number = len(positions), 0, 1.0, 0
    for i in range(n):
        chosen += kinds[i] >= 0
    if chosen == 0 or cutoff <= 0.0:
        return 0, 0
    if not 0.1 <= cutoff <= FARTHEST:
        return -1, 0
    for x in range(3):
        width = 1.0 / np.sqrt(inverse[x, 0] ** 2 + inverse[x, 1] ** 2 + inverse[x, 2] ** 2)
        low, high, least, most = np.inf, -np.inf, np.inf, -np.inf
        for i in range(n):
            along = positions[i, 0] * inverse[x, 0] + positions[i, 1] * inverse[x, 1] + positions[i, 2] * inverse[x, 2]
            if not abs(along) <= FARTHEST:
                return -1, 0
            home[3 * i + x] = int(np.floor(along)) if repeats[x] else 0
            inside[3 * i + x] = along - home[3 * i + x]
            least, most = min(least, inside[3 * i + x]), max(most, inside[3 * i + x])
            if kinds[i] >= 0:
                low, high = min(low, inside[3 * i + x]), max(high, inside[3 * i + x])
        bins *= max(width / cutoff, 1.0) if repeats[x] else 1.01 * (most - least) / cutoff + 4.0
        margin = (cutoff + SLACK) / width + 1e-9
        if not margin <= THINNEST:
            return -1, 0
        for i in range(n):
            spans[6 * i + 2 * x] = int(np.ceil(low - margin - inside[3 * i + x])) if repeats[x] else 0
            spans[6 * i + 2 * x + 1] = int(np.floor(high + margin - inside[3 * i + x])) if repeats[x] else 0
    if not bins <= MOST_BINS:
        return -1, 0
    for i in range(n):
        if kinds[i] >= 0:
            number += (
                (spans[6 * i + 1] - spans[6 * i] + 1)
                * (spans[6 * i + 3] - spans[6 * i + 2] + 1)
                * (spans[6 * i + 5] - spans[6 * i + 4] + 1)
            )
    if chosen * number > MOST_CHECKS:
        return -1, 0
    # in a crystal twice as dense around an atom as elsewhere; where it is denser, the search is done again
    each = 128.0
    if repeats[0] and repeats[1] and repeats[2]:
        each = 4.2 * chosen * cutoff**3 / volume + 16.0
    room = min(chosen * number // 2 + 1, int(chosen * each))
    return number, room


@bare
def _list_images(kinds, inside, box, spans, images):
    """Fill in the images of every atom."""
    k, x, y, z, shift = 0, images.x, images.y, images.z, images.shift
    for i in range(len(kinds)):
        if kinds[i] >= 0:
            for a in range(spans[6 * i], spans[6 * i + 1] + 1):
                for b in range(spans[6 * i + 2], spans[6 * i + 3] + 1):
                    for c in range(spans[6 * i + 4], spans[6 * i + 5] + 1):
                        if a == 0 and b == 0 and c == 0:
                            images.own[i] = k
                        u, v, w = inside[3 * i] + a, inside[3 * i + 1] + b, inside[3 * i + 2] + c
                        x[k] = u * box[0, 0] + v * box[1, 0] + w * box[2, 0]
                        y[k] = u * box[0, 1] + v * box[1, 1] + w * box[2, 1]
                        z[k] = u * box[0, 2] + v * box[1, 2] + w * box[2, 2]
                        shift[3 * k], shift[3 * k + 1], shift[3 * k + 2], images.atom[k] = a, b, c, i
                        k += 1


@bare
def _meet(positions, box, kinds, reach, inner, cutoff, images, squares, hits, half):
    """Find each pair once. Returns their number, those for which there was no room included, and the frame's marks."""
    found, marks, room, shift, home = 0, 0, len(half.dist), images.shift, images.home
    for i in range(len(positions)):
        half.first[i] = found
        if kinds[i] < 0:
            continue
        # of the images of the atom itself, those behind it are one of each pair of opposites
        begin = images.own[i] + 1
        for h in range(_look(begin, images, (cutoff + SLACK) ** 2, squares, hits)):
            k = hits[h]
            j = images.atom[k]
            a = float(shift[3 * k] - home[3 * j] + home[3 * i])
            b = float(shift[3 * k + 1] - home[3 * j + 1] + home[3 * i + 1])
            c = float(shift[3 * k + 2] - home[3 * j + 2] + home[3 * i + 2])
            x = positions[j, 0] - positions[i, 0] + (a * box[0, 0] + b * box[1, 0] + c * box[2, 0])
            y = positions[j, 1] - positions[i, 1] + (a * box[0, 1] + b * box[1, 1] + c * box[2, 1])
            z = positions[j, 2] - positions[i, 2] + (a * box[0, 2] + b * box[1, 2] + c * box[2, 2])
            dist = np.sqrt(x * x + z * z + y * y)
            if x * x + y * y + z * z >= cutoff * cutoff or dist >= reach[kinds[i], kinds[j]]:
                continue
            if dist < inner[kinds[i], kinds[j]]:
                marks |= INSIDE
            if dist <= 0.0:
                marks |= COINCIDE
            if found < room:
                half.image[found], half.dist[found] = k, dist
                half.vec[3 * found], half.vec[3 * found + 1], half.vec[3 * found + 2] = x, y, z
            found += 1
    half.first[len(positions)] = found
    return found, marks


@bare
def _look(begin, images, limit, squares, hits):
    """Fill in the images from one on that are near the one before it, by squares of distances; their number."""
    x, y, z, near = images.x[begin:], images.y[begin:], images.z[begin:], 0
    own_x, own_y, own_z = images.x[begin - 1], images.y[begin - 1], images.z[begin - 1]
    # two loops: the first goes by eights
    for k in range(len(x)):
        squares[k] = (x[k] - own_x) ** 2 + (y[k] - own_y) ** 2 + (z[k] - own_z) ** 2
    for k in range(len(x)):
        hits[near] = begin + k
        near += squares[k] < limit
    return near


@bare
def _both_ways(images, half, start, place, atom, vec, dist, one_way, reverse, code):
    """Fill in the neighbours of every atom, both directions of each pair. Returns the number of codes."""
    shift, most_a, most_b, most_c, n = images.shift, 0, 0, 0, len(start) - 1
    for i in range(n):
        for h in range(half.first[i], half.first[i + 1]):
            k = half.image[h]
            most_a, most_b = max(most_a, abs(shift[3 * k])), max(most_b, abs(shift[3 * k + 1]))
            most_c = max(most_c, abs(shift[3 * k + 2]))
            start[i + 1] += 1
            start[images.atom[k] + 1] += 1
    for i in range(n):
        start[i + 1] += start[i]
        place[i] = start[i]
    # a shift, and the sum of two, is a number whose three digits have these bases
    base_b, base_c = 4 * most_b + 1, 4 * most_c + 1
    for i in range(n):
        # by now those with earlier atoms are in their places
        h, end, up = half.first[i], half.first[i + 1], place[i]
        while h < end:
            j, number = images.atom[half.image[h]], 1
            while h + number < end and images.atom[half.image[h + number]] == j:
                number += 1
            if j == i:
                up += number
            # images of one atom are in the opposite order seen from there
            for q in range(number):
                k = half.image[h + q]
                there, back = up + q, place[j] + number - 1 - q
                atom[there], atom[back], reverse[there], reverse[back] = j, i, back, there
                one_way[there], one_way[back], dist[there], dist[back] = True, False, half.dist[h + q], half.dist[h + q]
                code[there] = (shift[3 * k] * base_b + shift[3 * k + 1]) * base_c + shift[3 * k + 2]
                code[back] = -code[there]
                for x in range(3):
                    vec[there, x], vec[back, x] = half.vec[3 * (h + q) + x], -half.vec[3 * (h + q) + x]
            place[j] += number
            up += number
            h += number
    return (4 * most_a + 1) * base_b * base_c
