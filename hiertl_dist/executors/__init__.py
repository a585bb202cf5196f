"""Who runs the work: one verb pair, ``run`` and ``reduce``, on four executors that give the same bits."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, get_args

from hiertl_dist.errors import HiertlWarning, InputError
from hiertl_dist.executors.base import ClusterFailed, Executor, TaskFailed
from hiertl_dist.executors.dask import DaskExecutor, current_client
from hiertl_dist.executors.dask_options import DaskOptions
from hiertl_dist.executors.launch import launched_first, launched_size, refuse_many, under_mpirun
from hiertl_dist.executors.mpi import MPIExecutor
from hiertl_dist.executors.processes import ProcessesExecutor
from hiertl_dist.executors.serial import InlineExecutor, SerialExecutor
from hiertl_dist.executors.trees import Node, tree
from hiertl_dist.executors.uncaught import abandon, end_job_if_uncaught, let_first_speak
from hiertl_dist.text.words import count_text

__all__ = [
    "KINDS",
    "ClusterFailed",
    "DaskExecutor",
    "DaskOptions",
    "Executor",
    "InlineExecutor",
    "MPIExecutor",
    "Node",
    "ProcessesExecutor",
    "SerialExecutor",
    "TaskFailed",
    "abandon",
    "borrowed",
    "executor",
    "let_first_speak",
    "refuse_many",
    "tree",
    "under_mpirun",
]

if under_mpirun():
    end_job_if_uncaught()

Kind = Literal["auto", "serial", "processes", "dask", "mpi"]

KINDS: Final[tuple[str, ...]] = get_args(Kind)
"""What ``executor`` takes, and so do input files and commands."""


# long: its parameters are documented
def executor(
    kind: Kind | str = "auto", *, workers: int | None = None, client: Any = None, comm: Any = None,
    options: DaskOptions | None = None, scratch: str | Path | None = None,
) -> Executor:  # fmt: skip
    """The executor of a kind; close it, or use it as a context manager.

    Parameters
    ----------
    kind : {"auto", "serial", "processes", "dask", "mpi"}
        "auto" is "mpi" with a communicator or under mpirun, else "dask" with a client or a scheduler or where a client
        is current, else "serial" for one worker, else "dask" on a local cluster of its own.
    workers : int, optional
        Sizes what is started here, by default one worker for each core; a current dask client is used as it is.
        "serial" has one, and says so; "mpi" refuses another number than it has ranks.
    client : distributed.Client, optional
        Of the cluster that does the work, for "dask".
    comm : mpi4py.MPI.Comm, optional
        Whose ranks do the work, for "mpi"; default: all of them.
    options : DaskOptions, optional
        For "dask": a scheduler's address, TLS, how long workers are waited for, dashboard and report, placement.
    scratch : str or Path, optional
        Folder on a disk of each machine for temporary files: values that workers of "processes" hand on, and what
        workers of a local dask cluster spill; default: TMPDIR. "serial" and "mpi" write none, and say so. What others
        must read or what is to last, such as checkpoints, is never there.

    Returns
    -------
    Executor
        Who does the work; all kinds give the same bits.

    Raises
    ------
    InputError
        For an unknown kind, for ``client``, ``comm`` or ``options`` with a kind that has no use for it, and for a
        number of workers that the kind can't have.
    ImportError, LaunchError
        As of ``MPIExecutor``, ``DaskExecutor`` and ``ProcessesExecutor``.

    Warns
    -----
    RuntimeWarning
        By the first of several processes that a launcher started, where each of them would do all the work.
    HiertlWarning
        Of a number of workers that "serial" has not.

    Examples
    --------
    >>> with hiertl_dist.executor("processes", workers=4) as runner:
    ...     fit = hiertl_dist.fit_hierarchy(frames, basis, executor=runner)
    """
    options = DaskOptions() if options is None else options
    if kind == "auto":
        kind = _chosen(workers, client, comm, options)
    elif kind in ("serial", "processes", "dask") and client is None and under_mpirun() and launched_first():
        warnings.warn(
            f"executor({kind!r}) under mpirun: each of the {launched_size(os.environ)} processes that the launcher "
            'started does all of the work that it is given; executor("mpi") shares it out',
            RuntimeWarning, stacklevel=2,
        )  # fmt: skip
    if client is not None and kind != "dask":
        raise InputError(f"a dask client is of no use to the executor {kind!r}")
    if comm is not None and kind != "mpi":
        raise InputError(f"an MPI communicator is of no use to the executor {kind!r}")
    if options.given and kind != "dask":
        raise InputError(f"{options.given[0]}: of a dask cluster, and of no use to the executor {kind!r}")
    if scratch is not None and kind in ("serial", "mpi") and launched_first():
        writes = "messages, not files, go from rank to rank" if kind == "mpi" else "nothing is handed on"
        warnings.warn(
            f"scratch = {str(scratch)!r} is of no use to the executor {kind!r} and is ignored: {writes}", HiertlWarning,
            stacklevel=2,
        )  # fmt: skip
    if kind == "serial":
        return _alone(workers)
    if kind == "processes":
        return ProcessesExecutor(workers, scratch)
    if kind == "dask":
        return DaskExecutor(client, workers, options, scratch)
    if kind == "mpi":
        return _sized(MPIExecutor(comm), workers)
    raise InputError(f"there is no executor {kind!r}: choose from {', '.join(KINDS)}")


@contextmanager
def borrowed(given: Executor | None) -> Iterator[Executor]:
    """The executor given, left open afterwards; or one of the kind "auto", closed afterwards."""
    if given is not None:
        yield given
        return
    with executor() as own:
        yield own


def _chosen(workers: int | None, client: Any, comm: Any, options: DaskOptions) -> str:
    if comm is not None or under_mpirun():
        return "mpi"
    if client is not None or options.given or current_client() is not None:
        return "dask"
    return "serial" if workers == 1 else "dask"


def _alone(workers: int | None) -> Executor:
    if workers is not None and workers < 1:
        raise InputError(f"workers: expected at least 1, found {workers}")
    if workers not in (None, 1) and launched_first():
        warnings.warn(
            f"workers = {workers} is of no use to the executor 'serial' and is ignored: every call is made in this "
            "process; 'processes' and 'dask' share the work out",
            HiertlWarning, stacklevel=3,
        )  # fmt: skip
    return SerialExecutor()


def _sized(made: Executor, workers: int | None) -> Executor:
    if workers not in (None, made.workers):
        has = made.workers
        made.close()
        raise InputError(f"workers: the executor {made.name!r} has {count_text(has, 'worker')} here, not {workers}")
    return made
