"""The files of a block that was fitted, with what its fit leaves open."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..text.display import number_text
from ..uncertainty.whole_model import fit_posterior
from .outputs import Results, solution_files, solution_writers

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..fitting.block_fit import BlockFit
    from .input_file import Input


def write_block(
    results: Results, name: str, fit: BlockFit, job: Input, tell: Callable[[str], None]
) -> tuple[Path, ...]:  # fmt: skip
    """Write a solution, its parameters, and unless the job says no its covariance; returns the paths."""
    files = results.write(solution_writers(name, fit.solution, job.output))
    if not job.covariance:
        return files
    path = solution_files(name, job.output)[2]
    if why := results.write_unless(path, partial(_save, fit)):
        tell(f"  note: no {path.name}: {why}")
        return files
    size = covariance_bytes(fit.solution.n_columns)
    tell(f"  what the fit leaves open: {path.name}, about {number_text(size / 2**20)} MiB")
    return (*files, path)


def covariance_bytes(columns: int) -> int:
    """About how large the covariance of so many coefficients is as a file."""
    labels = 4 * (4 + 12 + 16)  # of a column: block, elements, powers, as text of four bytes a letter
    return 8 * columns * (columns + 1) // 2 + labels * columns + 4096


def _save(fit: BlockFit, path: Path) -> str:
    """Write it, or say why there is none; the solution is there already."""
    try:
        given = fit_posterior(fit)
    except (InputError, np.linalg.LinAlgError, ValueError) as error:
        return str(error)
    except MemoryError:
        return f"not enough memory for the covariance of {fit.solution.n_columns} coefficients"
    given.save(path)
    return ""


def covariances_text(size: int) -> str:
    """What the files of covariances of a fit take, for the line of a plan; nothing where there are none."""
    return f"; {number_text(size / 2**20)} MiB in files of what the fits leave open" if size else ""
