"""What is installed here, what it runs on, and what is wrong with it: the command ``hiertl-dist doctor``.

Each process looks at itself (``look``); under mpirun all ranks are asked, with a current dask client all of its
workers. What is wrong is judged afterwards (``health``), from what they said, so that a fault of one node among
many is named.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import dask
import numpy as np
import psutil
import threadpoolctl

from ..errors import InputError
from ..executors import KINDS, under_mpirun
from ..executors.dask import current_client
from ..executors.launch import MPIFacts, fatal_mismatch
from ..executors.mpi import all_ranks, mpi_facts
from ..files.locks import lock_trouble
from .health import (
    Blas,
    Cache,
    Check,
    Dask,
    Mpi,
    Process,
    Report,
    gathered,
    mpi_problems,
    notes_of,
    notes_on,
    shared_problems,
)

PACKAGES: Final = ("hiertl-dist", "numpy", "scipy", "numba", "llvmlite", "zarr", "dask", "distributed", "vesin",
                   "mpi4py", "obstore")  # fmt: skip
VARIABLES: Final = ("OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS",
                    "NUMBA_CACHE_DIR", "NUMBA_CPU_NAME")  # fmt: skip
LAUNCHER: Final = ("PMI_SIZE", "PMI_RANK", "PMI_FD", "PMIX_RANK", "PMIX_NAMESPACE", "OMPI_COMM_WORLD_SIZE",
                   "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK")  # fmt: skip
_SLURM = ("SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_JOB_ID")
_OF_LAUNCHERS = ("PMI", "OMPI_", "PRTE_", "MV2_", "HYD", "MPI_LOCAL", "SLURM_", "PALS_")

TOLERANCE: Final = 1e-6
"""Of the self-check: largest difference over largest entry. Central differences of 1e-4 Å are good to 1e-8."""

_SECONDS_FOR_PROBE = 20.0
_SECONDS_FOR_WORKERS = 120.0
_PROBE = "import json; from mpi4py import MPI; print(json.dumps(MPI.Get_library_version()))"


def diagnose(kind: str = "auto", *, comm: Any = None) -> Report:
    """Look at this machine for an executor's kind, and say what is wrong.

    With kind "mpi", with a communicator, and with "auto" under a launcher, MPI is started here and all ranks
    must call alike; otherwise a process apart asks the MPI library, so that MPI is not started in this one.
    With "dask" and "auto", the workers of the current dask client are asked too.

    Raises
    ------
    InputError
        For an unknown kind, and for ``comm`` with a kind that has no use for it.
    """
    if kind not in KINDS:
        raise InputError(f"there is no executor {kind!r}: choose from {', '.join(KINDS)}")
    if comm is not None and kind not in ("auto", "mpi"):
        raise InputError(f"an MPI communicator is of no use to the executor {kind!r}")
    started = any(name in os.environ for name in LAUNCHER)
    under_mpi = kind == "mpi" or comm is not None or (kind == "auto" and started)
    # MPI goes first: where it can't start, it ends the process, and should do so before kernels are compiled
    mpi = _ask_mpi(comm) if under_mpi else _library_apart()
    here = look()
    others: dict[str, Process] = {}
    if mpi.size is not None and not mpi.mismatch:
        ranks: list[Process] = all_ranks(here, comm)
        others = {f"rank {i} on {p.host}": p for i, p in enumerate(ranks)} if len(ranks) > 1 else {}
        mpi = replace(mpi, ranks=dict(Counter(p.host for p in ranks)))
    client = current_client() if kind in ("auto", "dask") and not others else None
    dask_seen, workers = _ask_dask(client)
    others |= workers
    asked = {"here": here} | others if workers else others or {"here": here}
    problems = (
        *mpi_problems(mpi, wanted=kind == "mpi" or comm is not None or under_mpirun()),
        *([f"The dask workers can't answer: {dask_seen.error}"] if dask_seen.error else []),
        *gathered(asked),
        *shared_problems(here, list(others.values()), 1 if kind == "serial" else len(here.cpus)),
    )
    notes = (*gathered(asked, notes_of), *notes_on(kind, here, mpi, dask_seen))
    return Report(kind, here, others, mpi, dask_seen, problems, notes, mpi.speaks)


def look() -> Process:
    """What this process is, as it finds itself; compiles the kernels where they are not cached."""
    from distributed.system import MEMORY_LIMIT  # half a second, and it sets dask's configuration of workers

    folder = Path.cwd()
    scratch = Path(dask.config.get("temporary-directory", None) or tempfile.gettempdir())
    cache = _look_at_cache()  # before the check fills it
    return Process(
        host=platform.node(),
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=_cpu_model(),
        cpus=_cpus(),
        memory=int(MEMORY_LIMIT),
        memory_available=int(psutil.virtual_memory().available),
        folder=str(folder),
        folder_free=_free(folder),
        scratch=str(scratch),
        scratch_free=_free(scratch),
        versions={name: _version(name) for name in PACKAGES},
        variables={name: os.environ.get(name) for name in VARIABLES},
        blas=_look_at_blas(),
        cache=cache,
        check=self_check(),
        locks=lock_trouble(folder),
    )


def self_check() -> Check:
    """Compile or load the kernels, and hold force rows of a few atoms against −dE/dx and a model's forces."""
    began = time.perf_counter()
    try:
        deviation = _force_deviation()
    except Exception as error:  # whatever is wrong with an installation is what is to be reported
        return Check(False, time.perf_counter() - began, error=f"{type(error).__name__}: {error}")
    seconds = time.perf_counter() - began
    if not np.isfinite(deviation):
        return Check(False, seconds, error="the design rows are not finite")
    return Check(deviation <= TOLERANCE, seconds, deviation)


def _force_deviation() -> float:
    # here and not above: the doctor speaks where numba can't be imported, too
    from ..evaluation.design_rows import design_rows
    from ..evaluation.energies import Model
    from ..frames.frame import Frame
    from ..io.reading import load_compiled
    from ..model.basis import Basis
    from ..model.parameters import Parameters

    pairs = {name: {"rmin": 0.9, "rmax": 4.0, "lambda": 1.4} for name in ("CC", "CN", "NN")}
    basis = Basis.from_dict({"elements": ["C", "N"], "orders": [3, 3, 2], "pairs": pairs})
    species, cell = ("C", "C", "N", "N"), 12.0 * np.eye(3)
    at = np.array([[0.0, 0.0, 0.0], [1.5, 0.1, 0.2], [0.3, 1.6, 0.1], [0.2, 0.4, 1.7]])
    forces = design_rows(Frame(species, at, cell, forces=np.zeros((4, 3))), basis).matrix
    step = 1e-4
    moved = [at + sign * step * np.eye(12)[x].reshape(4, 3) for x in range(12) for sign in (1, -1)]
    energies = design_rows([Frame(species, positions, cell, energy=0.0) for positions in moved], basis).matrix
    expected = -(energies[0::2] - energies[1::2]) / (2 * step)
    # a model's evaluation has kernels of its own, which are to be compiled now as well; so has reading
    load_compiled()
    coefficients = np.linspace(1.0, 2.0, forces.shape[1])
    evaluated = Model(Parameters(basis, coefficients)).evaluate([Frame(species, at, cell)])[0].forces.ravel()
    wanted = forces @ coefficients
    by_rows = np.abs(forces - expected).max() / np.abs(forces).max()
    return float(max(by_rows, np.abs(evaluated - wanted).max() / np.abs(wanted).max()))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        # this package runs without having been installed
        return f"from {Path(__file__).parents[1]}" if name == "hiertl-dist" else None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _cpus() -> tuple[int, ...]:
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return tuple(sorted(usable))


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def _look_at_blas() -> tuple[Blas, ...]:
    # sorted, for they come in an order that differs between processes
    libraries = sorted(threadpoolctl.threadpool_info(), key=lambda f: str(f["filepath"]))
    return tuple(
        Blas(f["internal_api"], f["version"], f["num_threads"], f.get("architecture"), f["filepath"])
        for f in libraries
        if f["user_api"] == "blas"
    )


def _look_at_cache() -> Cache:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no cache is told as a problem
            from ..evaluation.kernels import pairs
        from numba.core.registry import cpu_target
    except Exception as error:  # whatever is wrong with numba is what is to be reported
        return Cache("", False, 0, "?", f"{type(error).__name__}: {error}")
    place = pairs.pair_rows.stats.cache_path
    if place is None:
        return Cache("", False, 0, _numba_cpu(cpu_target))
    folder = Path(place)
    try:
        with tempfile.TemporaryFile(dir=folder):
            writable = True
    except OSError:
        writable = False
    return Cache(str(folder), writable, sum(1 for _ in folder.glob("*.nbi")), _numba_cpu(cpu_target))


def _numba_cpu(target: Any) -> str:
    """The CPU's name: part of the key under which kernels are cached, so that other CPUs have kernels of their own."""
    _, cpu, _ = target.target_context.codegen().magic_tuple()
    return str(cpu)


def _launcher() -> dict[str, str]:
    return {name: os.environ[name] for name in (*LAUNCHER, *_SLURM) if name in os.environ}


def _ask_mpi(comm: Any) -> Mpi:
    if "mpi4py.MPI" not in sys.modules and "OMPI_COMM_WORLD_SIZE" in os.environ:
        apart = _library_apart()
        facts = fatal_mismatch(apart.library or "")
        if facts is not None:
            return _mpi_of(facts)
    try:
        return _mpi_of(mpi_facts(comm))
    except (ImportError, RuntimeError) as error:
        return Mpi(launcher=_launcher(), error=f"{type(error).__name__}: {error}")


def _mpi_of(facts: MPIFacts) -> Mpi:
    return Mpi(_line(facts.library), facts.size, {}, _launcher(), facts.mismatch, speaks=facts.speaks)


def _library_apart() -> Mpi:
    """What a process that no launcher knows says of the MPI library."""
    # without what a launcher set, or the library would take the process for a rank that it did not start
    environ = {k: v for k, v in os.environ.items() if not k.startswith(_OF_LAUNCHERS)}
    command = [sys.executable, "-c", _PROBE]
    try:
        done = subprocess.run(
            command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_SECONDS_FOR_PROBE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Mpi(launcher=_launcher(), error=f"it did not start within {_SECONDS_FOR_PROBE:.0f} s")
    if done.returncode != 0:
        message = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return Mpi(launcher=_launcher(), error=message)
    return Mpi(_line(json.loads(done.stdout.splitlines()[-1])), launcher=_launcher())


def _line(version: str) -> str:
    """The first line of a library's version string, in single spaces; Open MPI's ends in a null character."""
    return " ".join(version.replace("\0", "").strip().splitlines()[0].split())


def _ask_dask(client: Any) -> tuple[Dask, dict[str, Process]]:
    memory = {k: dask.config.get(f"distributed.worker.memory.{k}", None) for k in ("target", "spill", "pause",
                                                                                   "terminate")}  # fmt: skip
    nanny = dask.config.get("distributed.nanny.pre-spawn-environ", {})
    config = (dask.config.get("temporary-directory", None), memory, dict(nanny))
    if client is None or client.asynchronous:
        return Dask(None, {}, *config), {}
    threads: dict[str, int] = {}
    answers: dict[str, Process] = {}
    error = None
    try:
        threads = dict(client.nthreads())
        asked = {a: client.submit(look, workers=[a], pure=False, retries=0) for a in threads}
        answers = {f"worker {a}": future.result(timeout=_SECONDS_FOR_WORKERS) for a, future in asked.items()}
    except Exception as failed:  # what a worker raised: anything, a package that it lacks above all
        error = f"{type(failed).__name__}: {failed}. Install the same packages for them as here."
    return Dask(client.scheduler.address, threads, *config, error=error), answers
