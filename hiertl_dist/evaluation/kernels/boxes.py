"""Cells with three vectors, whatever repeats: what tells places by fractions, and how far apart faces are."""

from __future__ import annotations

import numpy as np

from .edges import bare


@bare
def close_cell(cell, repeats, box, inverse):
    """Fill in the cell, with unit vectors at right angles in place of what does not repeat, and its inverse.

    Returns the volume, or area, or length, of what repeats.
    """
    number, last = 0, -1
    for row in range(3):
        for x in range(3):
            box[row, x] = cell[row, x] if repeats[row] else 0.0
        if repeats[row]:
            number, last = number + 1, row
    if number == 0:
        for row in range(3):
            box[row, row] = 1.0
    elif number == 1:
        # beside the vector, the axis that is least along it
        least = 0
        for x in range(1, 3):
            if abs(box[last, x]) < abs(box[last, least]):
                least = x
        box[(last + 1) % 3, least] = 1.0
        _cross(box, last, (last + 1) % 3, box, (last + 2) % 3, True)
        _cross(box, (last + 2) % 3, last, box, (last + 1) % 3, True)
    elif number == 2:
        for row in range(3):
            if not repeats[row]:
                _cross(box, (row + 1) % 3, (row + 2) % 3, box, row, True)
    for row in range(3):
        _cross(box, (row + 1) % 3, (row + 2) % 3, inverse, row, False)
    volume = box[0, 0] * inverse[0, 0] + box[0, 1] * inverse[0, 1] + box[0, 2] * inverse[0, 2]
    for row in range(3):
        for x in range(3):
            inverse[row, x] /= volume
    return abs(volume)


@bare
def _cross(vectors, a, b, target, row, unit):
    """The cross product of two vectors, or its direction."""
    x = vectors[a, 1] * vectors[b, 2] - vectors[a, 2] * vectors[b, 1]
    y = vectors[a, 2] * vectors[b, 0] - vectors[a, 0] * vectors[b, 2]
    z = vectors[a, 0] * vectors[b, 1] - vectors[a, 1] * vectors[b, 0]
    length = np.sqrt(x * x + y * y + z * z) if unit else 1.0
    target[row, 0], target[row, 1], target[row, 2] = x / length, y / length, z / length
