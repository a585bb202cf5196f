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
    from ..model.solution import Solution
    from ..uncertainty.block_posterior import BlockPosterior
    from .input_file import Input


def write_block(
    results: Results, name: str, fit: BlockFit, job: Input, tell: Callable[[str], None]
) -> tuple[Path, ...]:  # fmt: skip
    """Write a solution, its parameters, and unless the job says no its covariance; returns the paths."""
    files = results.write(solution_writers(name, fit.solution, job.output))
    if not job.covariance:
        return files
    path = solution_files(name, job.output)[2]
    return (*files, *write_covariance(results, path, partial(fit_posterior, fit), fit.solution, tell))


def write_covariance(
    results: Results, path: Path, make: Callable[[], BlockPosterior], solution: Solution, tell: Callable[[str], None]
) -> tuple[Path, ...]:  # fmt: skip
    """Write what a fit leaves open, or say why there is no such file; returns the path of one that is there.

    Parameters
    ----------
    results : Results
        The folder of the run.
    path : Path
        Of the file.
    make : callable
        Makes what is written, where it is written.
    solution : Solution
        That it is of.
    tell : callable
        Takes lines for a person.

    Returns
    -------
    tuple of Path
        The path, if it was written.
    """
    if why := results.write_unless(path, partial(_save, make, solution.n_columns)):
        tell(f"  note: no {path.name}: {why}")
        return ()
    size = covariance_bytes(solution.n_columns)
    tell(f"  what the fit leaves open: {path.name}, about {number_text(size / 2**20)} MiB")
    return (path,)


def covariance_bytes(columns: int) -> int:
    """About how large the covariance of so many coefficients is as a file."""
    labels = 4 * (4 + 12 + 16)  # of a column: block, elements, powers, as text of four bytes a letter
    return 8 * columns * (columns + 1) // 2 + labels * columns + 4096


def _save(make: Callable[[], BlockPosterior], columns: int, path: Path) -> str:
    """Write it, or say why there is none; the solution is there already."""
    try:
        given = make()
    except (InputError, np.linalg.LinAlgError, ValueError) as error:
        return str(error)
    except MemoryError:
        return f"not enough memory for the covariance of {columns} coefficients"
    given.save(path)
    return ""


def covariances_text(size: int) -> str:
    """What the files of covariances of a fit take, for the line of a plan; nothing where there are none."""
    return f"; {number_text(size / 2**20)} MiB in files of what the fits leave open" if size else ""
