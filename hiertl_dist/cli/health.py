"""What ``doctor`` found, what is wrong with it, and how it reads. Nothing here looks at anything.

Processes are judged apart (``problems_of``) and together (``shared_problems``), from what they said of themselves.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..text.words import count_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

GIB: Final = 1024**3
MEMORY_PER_CORE: Final = 2 * GIB
SCRATCH: Final = GIB
"""Bytes of temporary space below which a process is told."""


@dataclass(frozen=True)
class Blas:
    """A BLAS library that is loaded; ``architecture``: the core type whose kernels it chose, where it says."""

    name: str
    version: str | None
    threads: int
    architecture: str | None
    file: str


@dataclass(frozen=True)
class Cache:
    """Numba's cache of this package's kernels.

    How many it had before they were used, and for which CPU. Without a folder none can be written. error: why numba
    can't be used.
    """

    folder: str
    writable: bool
    kernels: int
    cpu: str
    error: str | None = None


@dataclass(frozen=True)
class Check:
    """Whether force rows are −dE/dx and a model's forces: seconds (compiling too), largest difference, error."""

    passed: bool
    seconds: float
    deviation: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Process:
    """What a process finds when it looks at itself. Bytes; ``memory`` is no more than its cgroup allows."""

    host: str
    python: str
    platform: str
    cpu: str
    cpus: tuple[int, ...]
    memory: int
    memory_available: int
    folder: str
    folder_free: int
    scratch: str
    scratch_free: int
    versions: dict[str, str | None]
    variables: dict[str, str | None]
    blas: tuple[Blas, ...]
    cache: Cache
    check: Check
    locks: str | None = None
    """Why files in the folder can't be locked; None if they can."""


@dataclass(frozen=True)
class Mpi:
    """What MPI says; ``size`` is None where only its library was asked, apart from this process."""

    library: str | None = None
    size: int | None = None
    ranks: dict[str, int] = field(default_factory=dict)
    launcher: dict[str, str] = field(default_factory=dict)
    mismatch: str | None = None
    error: str | None = None
    speaks: bool = True


@dataclass(frozen=True)
class Dask:
    """The current client if there is one, and what dask is configured to do."""

    client: str | None
    threads: dict[str, int]
    temporary_directory: str | None
    worker_memory: dict[str, Any]
    nanny_variables: dict[str, Any]
    error: str | None = None


@dataclass(frozen=True)
class Report:
    """What ``diagnose`` found. Each of ``problems`` is a sentence with a remedy; ``notes`` are good to know.

    ``speaks`` is true of one process alone, also under mpirun: print there. All ranks have the same problems.
    """

    kind: str
    here: Process
    others: dict[str, Process]
    mpi: Mpi
    dask: Dask
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    speaks: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON can have it."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content

    def text(self) -> str:
        """The report for people."""
        here = self.here
        versions = [f"{name} {version or '(none)'}" for name, version in here.versions.items()]
        lines = [
            ("machine", f"{here.host}: {here.cpu}, {len(here.cpus)} cores usable; {here.platform}"),
            ("memory", f"{_gib(here.memory)}, {_gib(here.memory_available)} available"),
            ("disk", f"{_gib(here.folder_free)} free in {here.folder}"),
            ("versions", f"Python {here.python}, {', '.join(versions)}"),
            *(("BLAS", _blas_text(blas)) for blas in here.blas),
            ("set", _variables_text(here.variables)),
            ("kernels", _cache_text(here.cache)),
            ("self-check", _check_text(here.check)),
            ("MPI", _mpi_text(self.mpi)),
            ("dask", _dask_text(self.dask)),
            ("scratch", f"{_gib(here.scratch_free)} free in {here.scratch}"),
            ("asked", ", ".join([*list(self.others)[:4]]) + more(len(self.others) - 4) or "this process"),
            *(("note", note) for note in self.notes),
            *(("PROBLEM", problem) for problem in self.problems),
        ]
        lines += [] if self.problems else [("no problems", "")]
        return "\n".join(f"{head:<12}{text}".rstrip() for head, text in lines)


def problems_of(process: Process) -> list[str]:
    """What is wrong with one process by itself."""
    problems = []
    cache, check, chosen = process.cache, process.check, process.variables["NUMBA_CACHE_DIR"]
    if not cache.folder and not cache.error:
        named = f", NUMBA_CACHE_DIR={chosen} neither" if chosen else ""
        problems.append(
            f"There is no folder that kernels can be cached in{named}, and each process compiles them anew (20 s or "
            "more): set NUMBA_CACHE_DIR to one that can be written."
        )
    elif cache.folder and chosen and not Path(cache.folder).resolve().is_relative_to(Path(chosen).resolve()):
        problems.append(
            f"NUMBA_CACHE_DIR is {chosen}, but it can't be written, and numba took {cache.folder}: name a "
            "folder that each process can write."
        )
    if cache.folder and not cache.writable:
        problems.append(
            f"Kernels can't be cached in {cache.folder}, and each process will compile them anew (10 s or "
            "more): set NUMBA_CACHE_DIR to a folder that can be written."
        )
    if not check.passed:
        why = check.error or f"forces and −dE/dx differ by {check.deviation:.1e} of the largest"
        first = f"empty {cache.folder}, and if that does not help, " if cache.folder else ""
        problems.append(f"The self-check failed ({why}): {first}install numba, numpy and this package afresh.")
    if process.locks:
        problems.append(process.locks)
    if process.scratch_free < SCRATCH:
        problems.append(
            f"{_gib(process.scratch_free)} are free for temporary files in {process.scratch}: set TMPDIR, or "
            "dask's temporary-directory, to a larger folder."
        )
    return problems


def notes_of(process: Process) -> list[str]:
    """What is good to know of one process by itself, and no fault."""
    if (core := process.variables["OPENBLAS_CORETYPE"]) is None:
        return []
    return [
        f"OPENBLAS_CORETYPE is {core!r}, so BLAS does not choose its kernels for this CPU, which can be slow: unset "
        "it, unless it is to give the same bits on CPUs of different kinds."
    ]


def gathered(processes: Mapping[str, Process], judge: Callable[[Process], list[str]] = problems_of) -> list[str]:
    """What there is to say of each of some processes, once each, with whom it is of unless it is of all."""
    who: dict[str, list[str]] = {}
    for name, process in processes.items():
        for note in judge(process):
            who.setdefault(note, []).append(name)
    return [
        text if len(names) == len(processes) else f"{', '.join(names[:3])}{more(len(names) - 3)}: {text}"
        for text, names in who.items()
    ]


def shared_problems(here: Process, others: Sequence[Process], workers: int) -> list[str]:
    """What is wrong between processes: cores and memory that they share, and where they are not alike.

    Where there are no others yet, ``workers`` are assumed to share the memory of this host.
    """
    problems = []
    for host in dict.fromkeys(p.host for p in others or [here]):
        on = [p for p in others if p.host == host]
        cores = {core for p in on for core in p.cpus}
        if on and len(cores) < len(on):
            problems.append(
                f"{len(on)} processes on {host} share {count_text(len(cores), 'core')}: start fewer, ask the queue "
                "for a core each, or correct how they are bound (srun --cpu-bind=cores, mpiexec --bind-to core)."
            )
        memory, sharers = (on[0].memory, len(on)) if on else (here.memory, workers)
        if memory / sharers < MEMORY_PER_CORE:
            problems.append(
                f"{host} has {_gib(memory)} of memory for {count_text(sharers, 'worker')}, less than "
                f"{_gib(MEMORY_PER_CORE)} each: run fewer (--workers, mpiexec -n), or ask the queue for more."
            )
    kinds = {tuple(b.architecture for b in p.blas) for p in others}
    if len(kinds) > 1:
        named = sorted({str(b.architecture) for p in others for b in p.blas})
        problems.append(
            f"BLAS chose different core types ({', '.join(named)}), so last digits depend on which process "
            "does what: set OPENBLAS_CORETYPE to one that all have, or ask the queue for nodes of one kind."
        )
    unlike = [name for name in here.versions if len({p.versions[name] for p in others}) > 1]
    if unlike:
        problems.append(f"Processes have different versions of {', '.join(unlike)}: give all one environment.")
    return problems


def mpi_problems(mpi: Mpi, *, wanted: bool) -> list[str]:
    """What is wrong with MPI. That there is none is a problem only where it is wanted."""
    if mpi.mismatch:
        return [f"MPI mismatch: {mpi.mismatch}"]
    if mpi.error and wanted:
        return [f"MPI can't be had ({mpi.error}): install mpi4py for the MPI whose mpiexec starts the job."]
    return []


def notes_on(kind: str, here: Process, mpi: Mpi, dask: Dask) -> tuple[str, ...]:
    """What is good to know for an executor's kind, and no fault."""
    notes = []
    threads = max((b.threads for b in here.blas), default=1)
    if threads > 1:
        notes.append(
            f"BLAS has {threads} threads outside of tasks; each task has one. Where many workers share a "
            "node, set OPENBLAS_NUM_THREADS=1, OMP_NUM_THREADS=1 and MKL_NUM_THREADS=1 (dask's nannies do)."
        )
    if here.cache.kernels == 0 and here.cache.folder:
        notes.append(f"The kernels were not cached; compiling took {here.check.seconds:.0f} s, this once.")
    if kind == "mpi" and mpi.size == 1 and not mpi.mismatch:
        notes.append("MPI has one rank: start more with mpiexec -n N hiertl-dist ….")
    if dask.client is not None and not dask.threads:
        notes.append("The dask scheduler has no workers yet.")
    return tuple(notes)


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB"


def more(n: int) -> str:
    """What ends a list that was cut short."""
    return f" and {n} more" if n > 0 else ""


def _blas_text(blas: Blas) -> str:
    threads = count_text(blas.threads, "thread")
    return f"{blas.name} {blas.version}, {threads}, core type {blas.architecture}: {blas.file}"


def _variables_text(variables: Mapping[str, str | None]) -> str:
    chosen = ", ".join(f"{name}={value}" for name, value in variables.items() if value is not None)
    return chosen or f"none of {', '.join(variables)}"


def _cache_text(cache: Cache) -> str:
    if cache.error:
        return f"numba can't be used: {cache.error}"
    if not cache.folder:
        return f"for {cache.cpu}; not cached, for there is no folder that can be written"
    state = "" if cache.writable else ", can't be written"
    return f"for {cache.cpu}; {cache.kernels} were cached in {cache.folder}{state}"


def _check_text(check: Check) -> str:
    outcome = check.error or f"forces and −dE/dx differ by {check.deviation:.0e} of the largest"
    return f"{'passed' if check.passed else 'FAILED'} in {check.seconds:.1f} s: {outcome}"


def _mpi_text(mpi: Mpi) -> str:
    parts = [mpi.library or f"not to be had: {mpi.error}"]
    if mpi.mismatch:
        parts.append("not that of the launcher")
    elif mpi.size is not None:
        hosts = ", ".join(f"{n} on {host}" for host, n in list(mpi.ranks.items())[:4])
        parts.append(f"{count_text(mpi.size, 'rank')} ({hosts}{more(len(mpi.ranks) - 4)})")
    set_by = " ".join(f"{k}={v}" for k, v in mpi.launcher.items())
    return "; ".join([*parts, f"launcher: {set_by or 'none'}"])


def _dask_text(dask: Dask) -> str:
    client = "no current client"
    if dask.client is not None:
        workers, threads = len(dask.threads), sum(dask.threads.values())
        client = f"client of {dask.client}, {count_text(workers, 'worker')}, {count_text(threads, 'thread')}"
    memory = " ".join(f"{k} {v}" for k, v in dask.worker_memory.items())
    nanny = " ".join(f"{k}={v}" for k, v in dask.nanny_variables.items())
    return f"{client}; worker memory: {memory}; nannies set {nanny or 'nothing'}"
