"""Who does a command's work: the options that say so, and the executor that follows from them and the input file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..executors import KINDS

if TYPE_CHECKING:
    import argparse

    from ..executors import DaskOptions
    from ..executors.base import Executor
    from ..jobs.input_file import Input

OF_DASK: Final = (
    "scheduler", "tls_ca_file", "tls_cert", "tls_key", "encrypted", "worker_wait", "dashboard", "performance_report",
)  # fmt: skip
"""Options that are of a dask cluster, by what ``DaskOptions`` calls them."""


def add_executor_options(parser: argparse.ArgumentParser) -> None:
    """Options of commands that work."""
    parser.add_argument("--executor", choices=KINDS, help="who runs the work (default: the input file's, else auto)")
    parser.add_argument("--workers", type=int, help="number of workers (default: one per core)")
    parser.add_argument(
        "--scratch", type=Path, metavar="FOLDER",
        help="where workers of this machine (processes, local dask) have temporary files (default: TMPDIR)",
    )  # fmt: skip
    add_scheduler_options(parser, "address of a running dask scheduler, such as tcp://host:8786")
    parser.add_argument(
        "--encrypted", action="store_true", default=None, help="local dask cluster: TLS with temporary certificates"
    )
    parser.add_argument(
        "--worker-wait", type=float, metavar="SECONDS", help="dask: how long to wait for a worker where there is none"
    )
    parser.add_argument(
        "--dashboard", action="store_true", default=None, help="local dask cluster: a dashboard on 127.0.0.1"
    )
    parser.add_argument("--performance-report", type=Path, metavar="HTML", help="dask: write its performance report")


def add_scheduler_options(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Options that say where a scheduler is and how it is spoken to."""
    parser.add_argument("--scheduler", help=meaning)
    for name, what in (("ca-file", "the authority's certificate"), ("cert", "certificate"), ("key", "key")):
        parser.add_argument(f"--tls-{name}", type=Path, metavar="PEM", help=f"dask scheduler with TLS: {what}")


def given_of_dask(arguments: argparse.Namespace) -> dict[str, Any]:
    """What of the command line is of a dask cluster."""
    values = {name: getattr(arguments, name, None) for name in OF_DASK}
    return {name: value for name, value in values.items() if value is not None}


def dask_options(arguments: argparse.Namespace, job: Input | None = None) -> DaskOptions:
    """The options of the input file, if there is one, and of the command line, which go before.

    Raises InputError, MissingFileError.
    """
    from dataclasses import replace

    from ..executors import DaskOptions

    return replace(DaskOptions() if job is None else job.dask, **given_of_dask(arguments))


def executor_of(arguments: argparse.Namespace, job: Input | None = None) -> Executor:
    """The executor that a command asks for, else its input file. Raises what ``executor`` does."""
    from ..errors import InputError
    from ..executors import DaskOptions, executor, refuse_many

    kind = arguments.executor or (job.executor if job else "auto")
    other = arguments.executor not in (None, "auto", "dask")
    if arguments.scheduler is not None or kind not in ("auto", "mpi"):
        refuse_many(f"--executor {kind}" if arguments.scheduler is None else "--scheduler")
    if other and (given := given_of_dask(arguments)):
        option = f"--{next(iter(given)).replace('_', '-')}"
        raise InputError(f"{option} is of no use to --executor {arguments.executor}")
    if other:
        if job is not None and job.dask.given:
            _note(f"--executor {kind}: [executor] {', '.join(job.dask.given)} of the input file have no effect")
        options = DaskOptions()
    else:
        options = dask_options(arguments, job)
    if options.scheduler is not None:
        if arguments.workers is not None:
            raise InputError(
                f"--workers {arguments.workers} is of no use beside --scheduler: a cluster has the workers that it has"
            )
        kind = "dask" if arguments.scheduler is not None or kind == "auto" else kind
    workers = arguments.workers if arguments.workers is not None else (job.workers if job else None)
    if arguments.scheduler is not None:
        workers = None  # those of the input file are of the executor that it names
    scratch = getattr(arguments, "scratch", None)
    if scratch is None and job is not None and options.scheduler is None:
        scratch = job.scratch
    made = executor(kind, workers=workers, options=options, scratch=scratch)
    for note in made.notes:
        _note(note)
    return made


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr, flush=True)
