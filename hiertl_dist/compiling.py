"""Saying beforehand that kernels will be compiled, which takes a while in which nothing else is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .kernels.cache import is_compiled, keeps_kernels
from .kernels.clusters import cluster_rows
from .kernels.pairs import pair_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from .basis import Basis
    from .executors.base import Executor

ROWS: Final = {2: pair_rows, 3: cluster_rows}
"""The kernels that take longest to compile, by the smallest number of atoms that they are for."""


def tell_compiling(basis: Basis, executor: Executor, tell: Callable[[str], None]) -> None:
    """Say in one line that kernels for the rows of a basis will be compiled, where whoever does the work lacks them."""
    widest = max((t.body for t in basis.types), default=0)
    (said,) = executor.run(_compiling, [widest], label=lambda _: "kernels", what="look for compiled kernels")
    if said:
        tell(said)


def _compiling(widest: int) -> str:
    if all(is_compiled(kernel) for body, kernel in ROWS.items() if body <= widest):
        return ""
    how_long = "about half a minute" if widest > 2 else "some seconds"
    if keeps_kernels(pair_rows):
        return f"compiling kernels for this machine, once: {how_long}"
    return f"compiling kernels, in each process anew, for there is no folder to keep them in: {how_long}"
