#!/usr/bin/env python
"""Run a command of hiertl-dist on dask workers that are started as Slurm jobs, through dask-jobqueue.

    sbatch dask_jobs.sh --workers 128 --cores 32 --memory 128GiB --walltime 04:00:00 -- fit input.toml
    python dask_jobs.py --workers 128 --cores 32 --memory 128GiB --walltime 04:00:00 -- fit input.toml
    python dask_jobs.py --workers 128 --cores 32 --memory 128GiB --dry-run

What stands behind ``--`` is a command line of ``hiertl-dist``. The script needs one core: of a job of its own
(dask_jobs.sh) or where it is started. Workers' jobs that reach their time limit are replaced until the command ends. As
a library:

    from dask_jobs import Jobs, slurm_client
    with slurm_client(Jobs(workers=128, cores=32, memory="128GiB")) as client:
        ...   # hiertl_dist takes the client, for it is the current one

dask-jobqueue is imported when a cluster is made, not before.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
SECONDS_FOR_FIRST_WORKER = 3600
STOPPED = 75  # hiertl-dist's exit code where a signal stopped it and the same command goes on
NEEDS_JOBQUEUE = (
    "dask_jobs.py needs dask-jobqueue, which hiertl_dist does not: install it with `pip install dask-jobqueue` "
    "into the environment that runs this script ({})."
)


@dataclass(frozen=True)
class Jobs:
    """What is asked of Slurm.

    Attributes
    ----------
    workers : worker processes in all, each with one thread; a whole number of jobs is started for them.
    cores : cores, and worker processes, of one job.
    memory : of one job; a worker has its share, and dask ends one that has more.
    walltime, queue, account : as sbatch has them (-t, -p, -A). Workers leave before it is over: ``lifetime``.
    interface : network interface of the workers and the scheduler, such as ib0.
    local_directory : where workers put what does not fit into memory; best on a disk of the node. Default: TMPDIR.
    numba_cache : folder of compiled kernels, which all nodes can write; default: numba's choice.
    setup : lines of shell before everything else in a job (modules, a virtual environment).
    directives : more options of sbatch, such as "--exclusive".
    """

    workers: int = 2
    cores: int = 2
    memory: str = "8GiB"
    walltime: str = "01:00:00"
    queue: str | None = None
    account: str | None = None
    interface: str | None = None
    local_directory: str | None = None
    numba_cache: str | None = None
    setup: tuple[str, ...] = ()
    directives: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.workers < 1 or self.cores < 1:
            raise ValueError(f"expected workers and cores of at least 1, found {self.workers} and {self.cores}")
        if seconds_of(self.walltime) < 120:
            raise ValueError(f"expected a walltime of at least 2 minutes, found {self.walltime!r}")

    @property
    def count(self) -> int:
        """Number of Slurm jobs."""
        return -(-self.workers // self.cores)

    @property
    def lifetime(self) -> tuple[int, int]:
        """Seconds after which a worker leaves by itself, and by how much this differs at random.

        The margin to the walltime is a tenth of it, 2 to 15 minutes (half of a short one). Half of the margin is for
        the lines that a job runs before its workers start.
        """
        whole = seconds_of(self.walltime)
        margin = min(max(whole // 10, 120), 900, whole // 2)
        return whole - margin, margin // 2

    def prologue(self) -> list[str]:
        """Lines of shell that each job runs before its workers start."""
        # dask's nannies set one thread as well, but leave what is set already, on the login node say
        lines = [*self.setup, *(f"export {name}=1" for name in THREADS)]
        if self.numba_cache is not None:
            folder = shlex.quote(self.numba_cache)
            lines += [f"export NUMBA_CACHE_DIR={folder}", f"mkdir -p {folder}"]
        # one process compiles the kernels, so that the workers of the job find them
        warm_up = "from hiertl_dist.cli.doctor import diagnose; print(diagnose('serial').text())"
        return [*lines, f"{shlex.quote(sys.executable)} -c {shlex.quote(warm_up)} || true"]


def seconds_of(walltime: str) -> int:
    """Of a walltime as sbatch has it: minutes, minutes:seconds, hours:minutes:seconds, days-hours and so on."""
    days, dash, rest = walltime.rpartition("-")
    try:
        parts = [int(part) for part in rest.split(":")]
        if len(parts) > 3 or any(part < 0 for part in parts):
            raise ValueError
        if not dash and len(parts) < 3:
            parts = [0, *parts]
        hours, minutes, seconds = [*parts, 0, 0][:3]
        return (int(days) if dash else 0) * 86400 + hours * 3600 + minutes * 60 + seconds
    except ValueError:
        raise ValueError(f"expected a walltime such as 04:00:00 or 1-12:00:00, found {walltime!r}") from None


def slurm_cluster(jobs: Jobs) -> Any:
    """A SLURMCluster without jobs yet: ``.job_script()`` shows one, ``.scale(jobs=n)`` submits n.

    Raises
    ------
    ModuleNotFoundError
        Without dask-jobqueue, saying how to get it.
    """
    try:
        from dask_jobqueue import SLURMCluster
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(NEEDS_JOBQUEUE.format(sys.executable), name=error.name) from error
    lifetime, stagger = jobs.lifetime
    return SLURMCluster(
        cores=jobs.cores,
        processes=jobs.cores,  # as many processes as cores: nthreads is 1 in each
        memory=jobs.memory,
        walltime=jobs.walltime,
        queue=jobs.queue,
        account=jobs.account,
        interface=jobs.interface,
        local_directory=jobs.local_directory or "${TMPDIR:-/tmp}",  # of the node, as its job finds it
        # workers hand on what they have and leave before Slurm kills them, not all at one time
        worker_extra_args=["--lifetime", f"{lifetime}s", "--lifetime-stagger", f"{stagger}s"],
        job_script_prologue=jobs.prologue(),
        job_extra_directives=list(jobs.directives),
        python=shlex.quote(sys.executable),
        # a port of its own: two such scripts on a login node must not meet
        scheduler_options={"dashboard_address": ":0"},
    )


@contextmanager
def slurm_client(jobs: Jobs, *, wait: float = SECONDS_FOR_FIRST_WORKER) -> Iterator[Any]:
    """A client, made the current one, of workers in Slurm jobs; the jobs end with the block.

    It waits for the first worker, no longer than ``wait`` seconds; the others may come while work goes on.
    """
    from dask.distributed import Client

    with slurm_cluster(jobs) as cluster, Client(cluster) as client:
        # as many as that, and others in the place of those whose time is over
        cluster.adapt(minimum_jobs=jobs.count, maximum_jobs=jobs.count)
        print(
            f"scheduler at {client.scheduler.address}, {jobs.count} jobs submitted; waiting for a worker",
            file=sys.stderr,
        )
        client.wait_for_workers(1, timeout=wait)
        yield client


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    grammar = argparse.ArgumentParser(
        description="Run a command of hiertl-dist on dask workers that are started as Slurm jobs.",
        epilog="What stands behind -- is a command line of hiertl-dist, such as: fit input.toml",
    )
    d = Jobs()
    grammar.add_argument("--workers", type=int, default=d.workers, help="worker processes in all (default %(default)s)")
    grammar.add_argument("--cores", type=int, default=d.cores, help="cores and workers of one job (%(default)s)")
    grammar.add_argument("--memory", default=d.memory, help="memory of one job (%(default)s)")
    grammar.add_argument("--walltime", default=d.walltime, help="of one job (%(default)s)")
    grammar.add_argument("--queue", help="partition")
    grammar.add_argument("--account")
    grammar.add_argument("--interface", help="network interface, such as ib0")
    grammar.add_argument("--local-directory", help="where workers spill to; best on a disk of the node")
    grammar.add_argument("--numba-cache", help="folder of compiled kernels that all nodes can write")
    grammar.add_argument(
        "--setup", action="append", default=[], metavar="LINE", help="line of shell that jobs run first"
    )
    grammar.add_argument("--directive", action="append", default=[], dest="directives", metavar="OPTION",
                         help="one more option of sbatch, as in --directive=--exclusive")  # fmt: skip
    grammar.add_argument("--wait", type=float, default=SECONDS_FOR_FIRST_WORKER, help="seconds for the first worker")
    grammar.add_argument("--dry-run", action="store_true", help="print the job script and submit nothing")
    grammar.add_argument("command", nargs="*", metavar="COMMAND", help="of hiertl-dist, behind --")
    return grammar


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    grammar = parser()
    arguments = grammar.parse_args(argv)
    if not arguments.command and not arguments.dry_run:
        grammar.error("no command of hiertl-dist: put one behind --, as in: -- fit input.toml")
    try:
        given: dict[str, Any] = {f.name: getattr(arguments, f.name) for f in fields(Jobs)}
        jobs = Jobs(**given | {name: tuple(given[name]) for name in ("setup", "directives")})
        if arguments.dry_run:
            with slurm_cluster(jobs) as cluster:
                print(f"# {jobs.count} jobs with this script, each through sbatch\n{cluster.job_script()}")
            return 0
        return _run(jobs, arguments.command, arguments.wait)
    except (ModuleNotFoundError, TimeoutError, ValueError) as error:
        print(f"dask_jobs.py: {error}", file=sys.stderr)
        return 2


def _run(jobs: Jobs, command: list[str], wait: float) -> int:
    from hiertl_dist.cli.commands import main as hiertl_dist

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _leave)
    with slurm_client(jobs, wait=wait):
        # the executor "dask" uses the current client; an input file may ask for another
        chosen = command if command[0] in ("merge",) else [*command, "--executor", "dask"]
        return hiertl_dist(chosen)


def _leave(number: int, frame: Any) -> None:
    """The handler of signals while the command is not at work, as in waiting for workers; jobs are cancelled."""
    raise SystemExit(STOPPED)


if __name__ == "__main__":
    sys.exit(main())
