"""Whether two atoms of a frame may be in one place, many frames in one call.

Atoms are dropped into bins about ``WIDTH`` wide, which a table of hashes holds: each atom is held against those in the
bins that a box of the distance asked for about it reaches, mostly its own. That is linear in the number of atoms for
any arrangement that is less dense than atoms are.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from .atom_lines import helper, jit

WIDTH: Final = 0.5
"""Å: few atoms share so small a bin, and few are near its edge."""


@helper
def slot_of(x, y, z, mask):
    """The place of a bin in the table."""
    hashed = x * np.int64(73856093) ^ y * np.int64(19349663) ^ z * np.int64(83492791)
    return (hashed ^ (hashed >> np.int64(15))) & mask


@helper
def wrapped(k, bins):
    """The number of a bin among so many that repeat; 0: they don't."""
    return k if bins == 0 else k % bins


# long: one loop over atoms, without calls in it
@jit
def mark_near(rows, counts, cell_of, cells, inverses, spacings, repeats, closer, faults):
    """Mark the frames in which two atoms are closer than a distance, images included.

    Parameters
    ----------
    rows : ndarray of shape (atoms, 3 or more)
        Positions of the atoms of all frames, Å, in the first three columns.
    counts, cell_of : ndarray of int64, shape (n,)
        Of each frame, how many atoms there are, and the number of its cell.
    cells, inverses : ndarray of shape (cells, 3, 3)
        Lattice vectors as rows, Å, and their inverse; for what repeats in no direction, the unit matrix.
    spacings : ndarray of shape (cells, 3)
        Distances between opposite faces, Å.
    repeats : ndarray of bool, shape (cells, 3)
        Along which vectors there are images.
    closer : float
        The distance, Å.
    faults : ndarray of uint8, shape (n,)
        Frames marked are passed over; gets a mark for each frame with two such atoms.
    """
    most = 0
    for frame in range(len(counts)):
        most = max(most, counts[frame])
    size = 4
    while size < 2 * most:
        size *= 2
    table = np.empty(size, np.int64)
    behind = np.empty(most, np.int64)
    at = np.empty((most, 3), np.float64)
    bins = np.empty(3, np.int64)
    scale = np.empty(3, np.float64)
    reach = np.empty(3, np.float64)
    home = np.empty(3, np.int64)
    low = np.empty(3, np.int64)
    high = np.empty(3, np.int64)
    d = np.empty(3, np.float64)
    row = 0
    for frame in range(len(counts)):
        first = row
        n = counts[frame]
        row += n
        if faults[frame]:
            continue
        c = cell_of[frame]
        inverse = inverses[c]
        cell = cells[c]
        for k in range(3):
            bins[k] = max(np.int64(spacings[c, k] / WIDTH), 1) if repeats[c, k] else 0
            scale[k] = bins[k] if repeats[c, k] else spacings[c, k] / WIDTH
            reach[k] = scale[k] * closer / spacings[c, k]
        size = 4
        while size < 2 * n:
            size *= 2
        mask = size - 1
        table[:size] = -1
        for i in range(n):
            for k in range(3):
                x = 0.0
                for j in range(3):
                    x += rows[first + i, j] * inverse[j, k]
                if repeats[c, k]:
                    x -= np.floor(x)
                at[i, k] = x * scale[k]
                home[k] = np.int64(np.floor(at[i, k]))
                low[k] = np.int64(np.floor(at[i, k] - reach[k]))
                high[k] = np.int64(np.floor(at[i, k] + reach[k]))
            for x in range(low[0], high[0] + 1):
                for y in range(low[1], high[1] + 1):
                    for z in range(low[2], high[2] + 1):
                        slot = slot_of(wrapped(x, bins[0]), wrapped(y, bins[1]), wrapped(z, bins[2]), mask)
                        other = table[slot]
                        while other >= 0:
                            for k in range(3):
                                d[k] = (at[i, k] - at[other, k]) / scale[k]
                                if repeats[c, k]:
                                    d[k] -= np.rint(d[k])
                            square = 0.0
                            for k in range(3):
                                part = d[0] * cell[0, k] + d[1] * cell[1, k] + d[2] * cell[2, k]
                                square += part * part
                            if square < closer * closer:
                                faults[frame] = 1
                            other = behind[other]
                        if faults[frame]:
                            break
            if faults[frame]:
                break
            slot = slot_of(wrapped(home[0], bins[0]), wrapped(home[1], bins[1]), wrapped(home[2], bins[2]), mask)
            behind[i] = table[slot]
            table[slot] = i
