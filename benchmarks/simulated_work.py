"""What a simulated reduction consists of: seconds of leaves and merges, bytes of values, by columns and groups of rows.

Leaves, tree and groups are those of the package (``cut_leaves``, ``tree``). Nothing here measures: seconds come from
:class:`Costs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from hiertl_dist.design_matrix.fit_costs import ENTRY_SECONDS
from hiertl_dist.design_matrix.planning import SEGMENT_ROWS, TILE_BYTES
from hiertl_dist.executors.trees import Node, tree
from hiertl_dist.fitting.leaves import cut_leaves

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Costs:
    """What things take, as measured: see ``scale_costs.py``.

    Attributes
    ----------
    row : by columns, CPU seconds of making a row.
    qr : by columns, operations per second of a leaf's QR; merge : by columns, CPU seconds of merging two triangles.
    task : CPU seconds of client and scheduler on a task; around : CPU seconds of the worker beside the call.
    join : CPU seconds of client and scheduler for each worker as a verb begins.
    dask, mpi : bytes per second of one transfer between two processes of a machine.
    write, read : bytes per second of a worker that writes or reads tiles.
    look, plan : CPU seconds of looking at a frame (shared out), of planning it (in one process).
    """

    row: Mapping[int, float]
    qr: Mapping[int, float]
    merge: Mapping[int, float]
    task: float
    around: float
    join: float
    dask: float
    mpi: float
    write: float
    read: float
    look: float
    plan: float

    def rows(self, n: int) -> float:
        """CPU seconds of a row of n columns; in proportion to n where no basis has so many."""
        return power_law(self.row, n, 1.0)

    def rate(self, n: int) -> float:
        """Operations per second of a QR with n columns."""
        return power_law(self.qr, n, 0.0)

    def merging(self, n: int) -> float:
        """CPU seconds of merging two triangles of n columns."""
        return power_law(self.merge, n, 3.0)

    def stacking(self, n: int) -> float:
        """Operations per second of ``dtpqrt``."""
        return 2.0 / 3.0 * n**3 / self.merging(n)


def power_law(points: Mapping[int, float], n: int, power: float) -> float:
    """Between points a power law through both neighbours; beyond them this power of n."""
    known = sorted(points)
    if n <= known[0] or n >= known[-1] or len(known) == 1:
        end = known[0] if n <= known[0] else known[-1]
        return points[end] * (n / end) ** power
    return float(np.exp(np.interp(np.log(n), np.log(known), np.log([points[k] for k in known]))))


@dataclass(frozen=True, eq=False)
class Work:
    """A reduction: (leaves,) rows of each, columns and label together, the share of rows of each group."""

    rows: NDArray[np.int64]
    columns: int
    shares: tuple[float, ...]
    costs: Costs
    kept: bool = False
    spread: float = 0.0

    @cached_property
    def before(self) -> list[int]:
        return [0, *np.cumsum(self.rows).tolist()]

    @cached_property
    def leaf(self) -> list[float]:
        """(leaves,) CPU seconds of each leaf; ``spread`` is their relative scatter, seeded."""
        n, rows = self.columns, self.rows.astype(float)
        numbers = rows * n
        seconds = numbers * ENTRY_SECONDS + (8 * numbers / self.costs.read if self.kept else rows * self.costs.rows(n))
        for share in self.shares:
            m = rows * share
            seconds += np.where(m >= n, (2 * m * n**2 - 2 / 3 * n**3) / self.costs.rate(n), 0.0)
        return list(seconds * np.random.default_rng(0).lognormal(0.0, self.spread, len(rows)))

    def sizes(self, node: Node) -> list[float]:
        """Rows of the value of each group, a triangle's included."""
        rows = self.before[node.hi] - self.before[node.lo]
        return [min(rows * share, float(self.columns)) for share in self.shares]

    def nbytes(self, node: Node) -> float:
        """Of a node's value, as it travels: triangles are whole squares."""
        return 8.0 * self.columns * sum(self.sizes(node))

    def groups(self, node: Node) -> list[float]:
        """CPU seconds of each group's merge."""
        n, left, right = float(self.columns), *map(self.sizes, node.children)
        stacking, qr = self.costs.stacking(self.columns), self.costs.rate(self.columns)
        seconds = []
        for a, b in zip(left, right, strict=True):
            less, more = min(a, b), max(a, b)
            if less >= n:
                seconds.append(self.costs.merging(self.columns))
            elif more >= n:
                seconds.append(2 * less * n**2 / stacking)
            else:
                m = a + b
                seconds.append((2 * m * n**2 - 2 / 3 * n**3) / qr if m >= n else m * n * ENTRY_SECONDS)
        return seconds

    @property
    def roots(self) -> list[Node]:
        """The nodes whose values are wanted."""
        return [Node(0, len(self.rows))]

    @cached_property
    def nodes(self) -> list[Node]:
        return list(tree(len(self.rows)))

    @cached_property
    def merge(self) -> dict[Node, float]:
        """CPU seconds of each merge."""
        return {node: sum(self.groups(node)) for node in self.nodes if not node.is_leaf}

    @cached_property
    def parents(self) -> dict[Node, Node]:
        """The merge that each node's value goes into."""
        return {child: node for node in self.nodes if not node.is_leaf for child in node.children}

    @cached_property
    def spent(self) -> dict[Node, float]:
        """CPU seconds of everything below and at each node."""
        spent: dict[Node, float] = {}
        for node in self.nodes:
            if node.is_leaf:
                spent[node] = self.leaf[node.lo]
            else:
                spent[node] = self.merge[node] + sum(spent[child] for child in node.children)
        return spent

    @cached_property
    def total(self) -> float:
        """CPU seconds of all."""
        return sum(self.leaf) + sum(self.merge.values())


class Level:
    """Several reductions at once, each with its own tree and columns, as a :class:`Work` is for one."""

    def __init__(self, works: Sequence[Work]) -> None:
        self.works, self.costs = tuple(works), works[0].costs
        firsts = np.cumsum([0, *(len(work.rows) for work in works)]).tolist()
        self.roots = [Node(lo, hi) for lo, hi in pairwise(firsts)]
        self.rows = np.concatenate([work.rows for work in works])
        self.columns, self.shares = max(work.columns for work in works), works[0].shares
        self.before = [0, *np.cumsum(self.rows).tolist()]
        self.leaf = [seconds for work in works for seconds in work.leaf]
        self._of = [n for n, work in enumerate(works) for _ in work.rows]
        self.nodes = [node for root in self.roots for node in tree(root.hi - root.lo, root.lo)]
        self.parents = {child: node for node in self.nodes if not node.is_leaf for child in node.children}
        self.merge = {node: sum(self.groups(node)) for node in self.nodes if not node.is_leaf}
        self.spent = {node: work.spent[own] for node in self.nodes for work, own in [self._own(node)]}
        self.total = sum(work.total for work in works)

    def _own(self, node: Node) -> tuple[Work, Node]:
        number = self._of[node.lo]
        first = self.roots[number].lo
        return self.works[number], Node(node.lo - first, node.hi - first)

    def nbytes(self, node: Node) -> float:
        """Of a node's value."""
        work, own = self._own(node)
        return work.nbytes(own)

    def groups(self, node: Node) -> list[float]:
        """CPU seconds of each group's merge."""
        work, own = self._own(node)
        return work.groups(own)


def leaves_of(rows: int, columns: int, rows_a_frame: int) -> NDArray[np.int64]:
    """(leaves,) rows of the leaves that the package makes of so many rows."""
    frames = max(1, min(SEGMENT_ROWS, TILE_BYTES // (8 * columns)) // rows_a_frame)
    segment = frames * rows_a_frame
    segments = [SimpleNamespace(rows=segment)] * max(1, round(rows / segment))
    return np.array([sum(s.rows for s in leaf) for leaf in cut_leaves(segments, columns)])  # type: ignore[arg-type]
