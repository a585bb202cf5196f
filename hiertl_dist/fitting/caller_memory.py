"""What the calling process of a climb has in memory: summaries, rows of probes, and what choosing a prior takes.

Blocks of a level are fitted side by side, so what each waits with is there at the same time. What was measured is in
benchmarks/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..design_matrix.resources import process_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..executors.base import Executor

IDLE_BYTES: Final = 160 * 2**20
"""What a calling process takes that loads no kernel and solves nothing, once it has planned: 142 to 165 MiB."""

CHOICE_BYTES: Final = 17 * 2**20
"""Modules of scipy that the choices of a prior load."""

CHOICE_SQUARES: Final = 6.0
"""Squares of the width that the choice of the weight of probes takes: 5 were measured, besides rows of probes."""

COMBINE_SQUARES: Final = 4.0
"""Squares of the width in which rows of probes are put together."""

HEAP_SQUARES: Final = 3.3
"""Squares of the width that the C library keeps for each thread of several callers that have made rows of probes."""

MOST_HEAP: Final = 64 * 2**20
"""What it keeps at most."""


@dataclass(frozen=True)
class FitMemory:
    """What one fit of a climb needs, without what a process takes by itself.

    Attributes
    ----------
    width : int
        Columns and targets.
    summaries : int
        Bytes of the summaries that it keeps.
    probe_rows : int
        Rows of its probe structures; 0: none.
    reduction, solve : int
        Bytes of a reduction of its rows, of its solve with the summaries.
    """

    width: int
    summaries: int
    probe_rows: int
    reduction: int
    solve: int

    @property
    def square(self) -> int:
        """Bytes of a square of the width."""
        return 8 * self.width**2

    @property
    def rows_of_probes(self) -> int:
        """Bytes of the rows of all probe structures, which are kept apart until their weights are known."""
        return 8 * self.width * self.probe_rows

    @property
    def kept(self) -> int:
        """Bytes that stay with the fit: summaries, and a factor of the rows of probes."""
        return self.summaries + min(self.square, self.rows_of_probes)

    @property
    def heap(self) -> int:
        """Bytes that the C library keeps."""
        return min(MOST_HEAP, int(HEAP_SQUARES * self.square), self.rows_of_probes)


def probe_leaf_bytes(fit: FitMemory) -> int:
    """Peak bytes of the worker that reduces rows of probes, beside those of its process: the rows, and them reduced."""
    return 2 * fit.rows_of_probes


def caller_bytes(levels: Sequence[Sequence[FitMemory]], executor: Executor) -> int:
    """Peak bytes of the calling process of a climb.

    Parameters
    ----------
    levels : sequence of sequence of FitMemory
        The fits, those together that are made side by side.
    executor : Executor
        Who works; of some the calling process makes the calls itself.

    Returns
    -------
    int
        All in.
    """
    works = executor.caller_works
    peak = before = 0
    base = process_bytes() + executor.overhead if works else IDLE_BYTES
    if any(fit.probe_rows for level in levels for fit in level):  # it evaluates lower blocks on them
        base = max(base, process_bytes())
    for level in levels:
        probed = [fit for fit in level if fit.probe_rows]
        made = sum(fit.rows_of_probes for fit in probed)
        kept = sum(fit.kept for fit in level)
        heap = sum(fit.heap for fit in probed) if len(level) > 1 else 0
        own = max((max(probe_leaf_bytes(f) - f.rows_of_probes if works else f.rows_of_probes,
                       int(COMBINE_SQUARES * f.square)) for f in probed), default=0)  # fmt: skip
        sent = int(executor.copies_sent * max((fit.kept for fit in level), default=0))
        solving = max((fit.solve - fit.summaries for fit in level), default=0) if works else sent
        choosing = max((int(CHOICE_SQUARES * fit.square) for fit in probed), default=0)
        more = CHOICE_BYTES if probed else 0
        reducing = max((fit.reduction for fit in level), default=0) if works else 0
        peak = max(
            peak, before + made + own, before + kept + reducing, before + kept + heap + more + max(choosing, solving)
        )
        before += kept + heap + more
    return base + peak
