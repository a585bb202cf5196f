"""What every benchmark shares: a step measured in a process of its own, a record of the machine, a Markdown table.

A step is a function ``make(*args)`` that sets up, unmeasured, and returns what is measured: a function without
arguments. In the step's process the kernels are warmed first, so that compilation is not in its seconds; BLAS,
OpenMP and numba have one thread, and OPENBLAS_CORETYPE is unset.
"""

from __future__ import annotations

import os
import pickle
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Make = Callable[..., Callable[[], Any]]

ROOT: Final = Path(__file__).resolve().parent.parent
THREADS: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
CORE_TYPE: Final = "OPENBLAS_CORETYPE"

CHEAP: Final = 10.0
"""A step is repeated, up to REPEATS times, until this many CPU seconds are spent."""

REPEATS: Final = 3
MB: Final = 1e6


@dataclass(frozen=True)
class Measured:
    """One step: CPU and wall seconds of each repeat, and the memory of its process (bytes).

    Attributes
    ----------
    peak : largest resident set during the first repeat, interpreter, libraries and the step's input included.
    before : resident set when the first repeat began.
    value : what the first repeat returned, unless it was kept in a file.
    """

    cpu: tuple[float, ...]
    wall: tuple[float, ...]
    peak: int
    before: int
    value: Any = None

    @property
    def seconds(self) -> float:
        """Median CPU seconds."""
        return statistics.median(self.cpu)

    def as_dict(self) -> dict[str, Any]:
        return {
            "cpu_seconds": self.seconds, "cpu": list(self.cpu), "wall": list(self.wall),
            "peak_bytes": self.peak, "before_bytes": self.before,
        }  # fmt: skip


def measure(
    make: Make, *args: Any, keep: Path | None = None, warm: bool = True, repeats: int = REPEATS,
    numba_cache: Path | None = None, apart: bool = True,
) -> Measured:  # fmt: skip
    """Measure the step ``make(*args)`` in a fresh process.

    Parameters
    ----------
    keep : file for the step's pickled value, which is then not returned (writing it is not measured).
    warm : load or compile all kernels before.
    numba_cache : folder of compiled kernels; default: numba's own.
    apart : False measures in this process: quick, for tests; memory and threads are then not the step's own.
    """
    if not apart:
        return _measured(make, args, keep, warm, repeats)
    with environment(numba_cache), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, make, args, keep, warm, repeats).result()


def variables(numba_cache: Path | None = None) -> dict[str, str]:
    """The environment of measured processes: one thread, OPENBLAS_CORETYPE unset."""
    found = {k: v for k, v in os.environ.items() if k != CORE_TYPE} | dict.fromkeys(THREADS, "1")
    return found if numba_cache is None else found | {"NUMBA_CACHE_DIR": str(numba_cache)}


@contextmanager
def environment(numba_cache: Path | None) -> Iterator[None]:
    """The environment that spawned processes inherit."""
    before, own = dict(os.environ), variables(numba_cache)
    try:
        os.environ.clear()
        os.environ.update(own)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _measured(make: Make, args: Sequence[Any], keep: Path | None, warm: bool, repeats: int) -> Measured:
    if warm:
        warm_kernels()
    cpu, wall, peak, before, value = [], [], 0, 0, None
    for repeat in range(repeats):
        if repeat and sum(cpu) > CHEAP:
            break
        work = make(*args)
        if repeat == 0:
            reset_peak()
            before = peak_memory()
        began, began_wall = time.process_time(), time.perf_counter()
        found = work()
        cpu.append(time.process_time() - began)
        wall.append(time.perf_counter() - began_wall)
        if repeat == 0:
            peak, value = peak_memory(), found
        del work, found
    if keep is not None:
        with keep.open("wb") as stream:
            pickle.dump(value, stream, protocol=5)
        value = None
    return Measured(tuple(cpu), tuple(wall), peak, before, value)


def reset_peak(process: int | str = "self") -> None:
    """Forget the largest resident set of a process so far, where the kernel can (Linux)."""
    with suppress(OSError):
        Path(f"/proc/{process}/clear_refs").write_text("5")


def peak_of(process: int | str) -> int | None:
    """Largest resident set of a process in bytes (VmHWM); None where it is gone, or the system does not say."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def peak_memory() -> int:
    """Largest resident set of this process in bytes: VmHWM, else ``ru_maxrss``.

    On Linux ``ru_maxrss`` also counts what the parent had when it started this process, and can't be reset.
    """
    own = peak_of("self")
    if own is not None:
        return own
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@cache
def warm_kernels() -> None:
    """Compile, or load from the cache, every kernel: plan, rows and evaluation, one to four bodies."""
    import numpy as np

    from hiertl_dist import Basis, Frame, Model, Parameters, columns_of, design_rows, plan

    pairs = {name: {"rmin": 0.9, "rmax": 4.0, "lambda": 1.4} for name in ("CC", "CN", "NN")}
    basis = Basis.from_dict({"elements": ["C", "N"], "orders": [3, 3, 2], "pairs": pairs})
    at = np.array([[0.0, 0.0, 0.0], [1.5, 0.1, 0.2], [0.3, 1.6, 0.1], [0.2, 0.4, 1.7]])
    labels = {"forces": np.zeros((4, 3)), "energy": 0.0, "stress": np.zeros(6)}
    frame = Frame(("C", "C", "N", "N"), at, 12.0 * np.eye(3), **labels)
    plan([frame], basis)
    design_rows(frame, basis)
    Model(Parameters(basis, np.zeros(len(columns_of(basis))))).evaluate(frame, missing="zero")


def compiling() -> Callable[[], None]:
    """Step: compile every kernel. Import is not counted; the cache must be empty, and ``warm`` false."""
    import hiertl_dist  # noqa: F401

    return warm_kernels


def machine(numba_cache: Path | None = None, *, apart: bool = True) -> dict[str, Any]:
    """Record of this machine, the versions, BLAS and its core type, and the commit; one JSON object.

    ``apart=False``, for tests: of this process, not of one as the measured ones are.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit(),
        "openblas_coretype_preset": os.environ.get(CORE_TYPE), "load": list(os.getloadavg()),
        **_looked(numba_cache, apart),
    }  # fmt: skip


@cache
def _looked(numba_cache: Path | None, apart: bool) -> dict[str, Any]:
    """What does not change while benchmarks run, from a process as the measured ones are."""
    found: dict[str, Any] = measure(_looking, warm=False, repeats=1, numba_cache=numba_cache, apart=apart).value
    return found


def _looking() -> Callable[[], dict[str, Any]]:
    from hiertl_dist.cli.doctor import look

    keys = ("cpu", "cpus", "memory", "platform", "python", "versions", "variables", "blas")

    def found() -> dict[str, Any]:
        seen = asdict(look())
        return {k: seen[k] for k in keys}

    return found


def commit() -> str:
    """The commit of this checkout, with ``+changes`` where files differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + ("+changes" if git("status", "--porcelain") else "")


def machine_lines(record: dict[str, Any]) -> str:
    """The record as one paragraph of Markdown."""
    blas = "; ".join(f"{b['name']} {b['version']}, {b['threads']} thread, {b['architecture']}" for b in record["blas"])
    versions = ", ".join(f"{k} {v}" for k, v in record["versions"].items() if v)
    return (
        f"{record['cpu']}, {len(record['cpus'])} cores, {record['memory'] / 2**30:.0f} GiB, {record['platform']}, "
        f"Python {record['python']}; {versions}; BLAS: {blas} ({CORE_TYPE} unset; it was preset to "
        f"{record['openblas_coretype_preset'] or 'nothing'}); load {record['load'][0]:.1f}; "
        f"commit {record['commit']}, {record['date']}."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right, None is an empty cell."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join("" if c is None else str(c) for c in line) + " |" for line in lines)


def figure(value: float | None, digits: int = 3) -> str | None:
    """A number with so many significant digits, never in exponent form."""
    if value is None:
        return None
    places = max(0, digits - 1 - (0 if value == 0 else int(f"{value:e}".split("e")[1])))
    return f"{value:,.{places}f}".replace(",", "\u202f")
