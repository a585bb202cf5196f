"""The command ``hiertl-dist`` as ``kills.py`` runs it: with many small pieces, which are noted and take their time.

    KILLS_PIECES=FILE [KILLS_PAUSE=SECONDS] python benchmarks/kills_command.py WORDS…

A piece is a tile of an assembly, a leaf of a pass over rows, or a part of an import. Each writes a line when it begins,
and takes a moment longer than it has to; so does each file before it gets its name. Worker processes import this module
too (dask's by ``--preload``), and are changed like the process that started them.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PIECES = "KILLS_PIECES"
PAUSE = "KILLS_PAUSE"


def _noting(path: str, pause: float, function: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
    """A function that first notes which piece it is called for, and waits; labels of tiles are not counted."""

    @functools.wraps(function)
    def noting(*args: Any, **options: Any) -> Any:
        if " labels/" not in (piece := name(*args, **options)):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            os.write(file, f"{piece}\n".encode())
            os.close(file)
            time.sleep(pause)
        return function(*args, **options)

    return noting


def _leaf(segments: Any, *, source: Any, method: str) -> str:
    frozen = [model.digest for model in source.frozen]
    text = repr(([s.key for s in segments], source.blocks, source.basis.digest, source.compact, frozen, method))
    return f"leaf {hashlib.sha256(text.encode()).hexdigest()}"


def change(path: str, pause: float) -> None:
    """Change what this process does."""
    from hiertl_dist.dataset import importing, parts, streaming
    from hiertl_dist.design_matrix import planning
    from hiertl_dist.design_matrix.store import DesignStore
    from hiertl_dist.fitting import leaves, row_pass

    if hasattr(DesignStore.write, "__wrapped__"):  # dask may preload twice
        return
    planning.TILE_BYTES = 80_000  # type: ignore[misc]
    importing.RUN, streaming.MOST_FRAMES = 20_000, 6  # type: ignore[misc]
    leaves.LEAF_ROWS, leaves.LEAVES = 6, 10  # type: ignore[misc]
    row_pass.WORTH_SECONDS, row_pass.RANGES_OF_A_WORKER = 0.0, 3  # type: ignore[misc]

    note = functools.partial(_noting, path, pause)
    DesignStore.write = note(  # type: ignore[method-assign]
        DesignStore.write, lambda self, array, key, *_, **__: f"tile {array} {key}"
    )
    # in both places, lest pickle refuse it
    leaves.reduce_leaf = row_pass.reduce_leaf = note(leaves.reduce_leaf, _leaf)
    parts.write_part = importing.write_part = note(parts.write_part, lambda _, part, *__: f"part {part.number}")

    replace = Path.replace

    @functools.wraps(replace)
    def replace_later(self: Path, target: Any) -> Path:
        if self.suffix == ".partial":
            time.sleep(0.1 * pause)
        return replace(self, target)

    Path.replace = replace_later  # type: ignore[method-assign, assignment]


if PIECES in os.environ:
    change(os.environ[PIECES], float(os.environ.get(PAUSE, "0.04")))

if __name__ == "__main__":
    from hiertl_dist.cli import main

    sys.exit(main())
