"""How this process was started: by an MPI launcher as one of several, or by nobody who says so.

Only environment variables are looked at, so that MPI need not be started to know.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from hiertl_dist.errors import LaunchError

_STEP = "SLURM_STEP_NUM_TASKS"


def under_mpirun(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a launcher (mpirun, mpiexec, srun) started this process as one of several, going by the environment."""
    return launched_size(environ) > 1


def launched_size(environ: Mapping[str, str]) -> int:
    """How many processes a launcher started, as far as it says so."""
    names = ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "MPI_LOCALNRANKS"]
    if any(name in environ for name in ("PMI_RANK", "PMI_FD", "PMIX_RANK", "PMIX_NAMESPACE")):
        # Slurm sets its own in a batch script too, where one process runs whatever the number of tasks
        names.append(_STEP if _STEP in environ else "SLURM_NTASKS")
    elif "SLURM_PROCID" in environ and not any(name in environ for name in names):
        names.append(_STEP)  # srun that was told of no MPI; a batch script is in no such step
    sizes = [int(environ[name]) for name in names if environ.get(name, "").isdecimal()]
    if environ.get("PMIX_RANK", "").isdecimal():  # PMIx tells the rank, but not of how many
        sizes.append(int(environ["PMIX_RANK"]) + 1)
    return max(sizes, default=1)


def launched_first(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this is the first of the processes that a launcher started."""
    names = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")
    return next((environ[name] for name in names if name in environ), "0") == "0"


def _alone(environ: Mapping[str, str]) -> str:
    """What to do where Slurm's variables are inherited by a process that is alone, as in an interactive shell."""
    return f"; if this process is alone, start it with env -u {_STEP}" if _STEP in environ else ""


def check_launcher(size: int, library: str, environ: Mapping[str, str] = os.environ) -> None:
    """Raise LaunchError where the launcher started more processes than the library knows of."""
    launched = launched_size(environ)
    if size == 1 and launched > 1:
        raise LaunchError(
            f"the launcher started {launched} processes, but the MPI library that mpi4py uses says that this "
            "one is alone: mpirun and the library are of different MPIs, and each would do all the work. "
            f"The library is {library.strip().splitlines()[0]!r}; use the mpiexec that belongs to it, or srun with the "
            f"--mpi that it knows (srun --mpi=list){_alone(environ)}",
            launched_first(environ),
        )


def without_mpi(error: Exception, environ: Mapping[str, str] = os.environ) -> Exception:
    """What to raise where MPI can't be had: for one of several processes, why they can't work together."""
    launched = launched_size(environ)
    if launched == 1 or isinstance(error, LaunchError):
        return error
    return LaunchError(
        f"the launcher started {launched} processes, but MPI can't be had here ({type(error).__name__}: {error}), and "
        'each would do all the work: pip install "hiertl-dist[mpi]" with the compiler of the MPI whose mpirun this is'
        f"{_alone(environ)}",
        launched_first(environ),
    )


def refuse_many(what: str, environ: Mapping[str, str] = os.environ, *, executors: bool = True) -> None:
    """Raise LaunchError where this is one of several processes, each of which would do all of ``what``.

    ``executors`` says whether the command has that option, and could share the work.
    """
    if (launched := launched_size(environ)) > 1:
        raise LaunchError(
            f"{what}: the launcher started {launched} processes, and each of them would do all the work and write the "
            f"same files; {'under mpirun say --executor mpi, or ' * executors}start one process without mpirun"
            f"{_alone(environ)}",
            launched_first(environ),
        )


# ---- for `doctor`, which looks at MPI where nothing is run


@dataclass(frozen=True)
class MPIFacts:
    """What the MPI library says of this job, and where its launcher disagrees.

    Attributes
    ----------
    library : str
        The library's own version string.
    size : int
        Ranks of COMM_WORLD; 1 with a mismatch.
    mismatch : str or None
        Why the launcher and the library can't belong together.
    speaks : bool
        Whether this process speaks for all; true of one also where each thinks itself alone.
    """

    library: str
    size: int
    mismatch: str | None
    speaks: bool


def fatal_mismatch(library: str, environ: Mapping[str, str] = os.environ) -> MPIFacts | None:
    """The facts where this library would end the process instead of starting under this launcher, else None.

    Libraries of MPICH's kin do so under Open MPI's mpirun; Open MPI's starts alone under any other, and says so.
    """
    if "OMPI_COMM_WORLD_SIZE" not in environ or not any(k in library for k in ("MPICH", "MVAPICH", "Intel(R) MPI")):
        return None
    text = (
        "the launcher is Open MPI's, but mpi4py uses a library of MPICH's kin, which can't start under it. The "
        f"library is {library.strip().splitlines()[0]!r}; use the mpiexec that belongs to it, or set "
        "MPI4PY_MPIABI=openmpi where mpi4py is the wheel of PyPI and Open MPI's libmpi can be found."
    )
    return MPIFacts(library, 1, text, launched_first(environ))
