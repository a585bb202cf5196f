"""What a tile costs before it is computed: CPU seconds from neighbour counts, and its structural nonzeros.

The counts follow the loops of ``kernels/clusters.py``; the rate is that of one core of the machine on which the
package was measured, so seconds on another differ by one common factor and shares between tiles do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from .rows import frame_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .frames import Frame
    from .kernels.clusters import Family
    from .recipe import Recipe
    from .tiles import FrameScan

RATE: Final = 2.6e9
"""Multiply-adds per second of the kernels on one core (Intel Xeon, AVX-512, 2.3 GHz)."""

OVERLAP: Final = 0.47
"""Share of an atom's neighbours that one of its neighbours has too: the lens of two equal spheres at a distance of
x radii, 1 − 3x/4 + x³/16 of a sphere, averaged over 3x² dx at uniform density, which is 15/32."""


def tile_seconds(frame: Frame, scan: FrameScan, recipe: Recipe) -> float:
    """Estimated CPU seconds of one frame's rows."""
    codes = recipe.codes(frame)
    atoms = np.array([np.count_nonzero(codes == e) for e in range(len(recipe.elements))], np.int64)
    operations = 0.0
    for a, b in np.argwhere(np.triu(recipe.pair_fn >= 0)):
        operations += _neighbours(scan, recipe, a, b, recipe.outer[a, b]) * 40.0 * recipe.pair_order[a, b]
    for family in recipe.families:
        operations += _family_operations(family, scan, recipe, atoms)
    return operations / RATE


def _neighbours(scan: FrameScan, recipe: Recipe, a: int, b: int, cutoff: float) -> float:
    """Pairs of two elements within a cutoff, each once; scaled from the counted reach by volume."""
    name = "".join(sorted((recipe.elements[a], recipe.elements[b])))
    counted, reach = scan.pairs.get(name, (0, 1.0))
    return counted * min(1.0, cutoff / reach) ** 3


def _family_operations(family: Family, scan: FrameScan, recipe: Recipe, atoms: NDArray[np.int64]) -> float:
    n, total = family.n, 0.0
    cutoff = np.where(family.fn >= 0, recipe.edges[family.fn, 3], 0.0)

    def mean(a: int, b: int) -> float:
        pairs = _neighbours(scan, recipe, a, b, float(cutoff[a, b]))
        return (2.0 if a == b else 1.0) * pairs / max(int(atoms[a]), 1)

    for t, a, b in np.argwhere(family.role >= 0):
        k, l = family.others[family.role[t, a, b]]  # noqa: E741
        pairs = _neighbours(scan, recipe, a, b, float(cutoff[a, b])) * (1.0 if a == b else 0.5)
        common_k, common_l = OVERLAP * mean(a, k), OVERLAP * mean(a, l)
        if family.body == 3:
            work = common_k * n**2 + 2.0 * n**3
        else:
            work = common_k * common_l * n**3 + common_k * n**5 + 2.0 * n**6
        total += pairs * (work + 14.0 * family.columns[t])
    around = sum(mean(a, b) for a in range(len(atoms)) for b in range(len(atoms)) if atoms[a] and family.fn[a, b] >= 0)
    return total + float(atoms.sum()) * around**2 / 2.0 * (60.0 + 6.0 * n)


def structural_nonzeros(frame: Frame, recipe: Recipe) -> int:
    """Entries of a frame's rows that its composition does not force to be zero: an upper bound of the nonzeros."""
    codes = recipe.codes(frame)
    present = set(codes.tolist())
    per_element = np.zeros(len(recipe.elements), np.int64)
    clusters = 0
    for a, b in np.argwhere(np.triu(recipe.pair_fn >= 0)):
        if {a, b} <= present:
            per_element[list({a, b})] += recipe.pair_order[a, b]
            clusters += int(recipe.pair_order[a, b])
    for family in recipe.families:
        for t, count in enumerate(family.columns):
            members = {int(e) for e in np.argwhere(family.role[t] >= 0).ravel()}
            if members <= present:
                per_element[list(members)] += count
                clusters += int(count)
    forces, stress, energy = frame_rows(frame)
    ones = sum(1 for e in present if e >= 0 and recipe.one_body[e] >= 0)
    known = codes[codes >= 0]
    return int(3 * per_element[known].sum() * forces + clusters * len(stress) + (clusters + ones) * energy)
