"""How many clusters of each elements there are in a frame, no two atoms of one farther apart than their edge is long.

Clusters are told by the elements of their atoms alone. No list of them is kept.
"""

from __future__ import annotations

from .edges import helper, jit


@helper
def _joined(vec, a, b, square):
    """Whether two neighbours of one atom are nearer to one another than the root of ``square``."""
    x, y, z = vec[a, 0] - vec[b, 0], vec[a, 1] - vec[b, 1], vec[a, 2] - vec[b, 2]
    return x * x + y * y + z * z < square


@jit
def count_clusters(codes, start, atom, vec, squares, body, counts):
    """Add the clusters of 2, 3 or 4 atoms to ``counts`` (elements ** body,), each once for each atom of least code.

    ``squares`` (elements, elements) are those of the longest edges, 0 where none joins. The code of the least element
    comes first in the place of a cluster, those of the others in the order of the neighbours.
    """
    size = len(squares)
    for i in range(len(codes)):
        a = codes[i]
        if a < 0:
            continue
        for j in range(start[i], start[i + 1]):
            b = codes[atom[j]]
            if b < a or not vec[j, 0] ** 2 + vec[j, 1] ** 2 + vec[j, 2] ** 2 < squares[a, b]:
                continue
            if body == 2:
                counts[a * size + b] += 1
                continue
            for k in range(j + 1, start[i + 1]):
                c = codes[atom[k]]
                if c < a or not vec[k, 0] ** 2 + vec[k, 1] ** 2 + vec[k, 2] ** 2 < squares[a, c]:
                    continue
                if not _joined(vec, j, k, squares[b, c]):
                    continue
                if body == 3:
                    counts[(a * size + b) * size + c] += 1
                    continue
                for m in range(k + 1, start[i + 1]):
                    d = codes[atom[m]]
                    if d < a or not vec[m, 0] ** 2 + vec[m, 1] ** 2 + vec[m, 2] ** 2 < squares[a, d]:
                        continue
                    if _joined(vec, j, m, squares[b, d]) and _joined(vec, k, m, squares[c, d]):
                        counts[((a * size + b) * size + c) * size + d] += 1
