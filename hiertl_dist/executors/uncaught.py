"""An exception that nobody catches on one rank under MPI ends the whole job: the others would wait for it for ever.

``import hiertl_dist`` sees to it where a launcher started several processes, and MPIExecutor where it finds several
ranks, by ``sys.excepthook``. SystemExit is no such exception, and exit codes are as ever: a rank that leaves by
``sys.exit`` while others go on to use MPI lets these wait.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from types import TracebackType
from typing import Any, Final

from hiertl_dist.errors import LaunchError, StoppedBySignal
from hiertl_dist.executors.base import TaskFailed
from hiertl_dist.executors.launch import fatal_mismatch, launched_first, under_mpirun

SECONDS_FOR_SPEAKER: Final = 5.0
SECONDS_FOR_LAUNCHER: Final = 1.0

SECONDS_FOR_OTHERS: Final = 600.0
"""MPI can end a job once all of its processes have started MPI; one that never does must not keep this one for ever."""

MISLAUNCHED: Final = 2
"""Exit code where processes were started in a way in which they can't work together."""


def end_job_if_uncaught(*, speaks: bool | None = None) -> None:
    """Set ``sys.excepthook``, once; ``speaks``: whether this process tells of what all ranks raise alike."""
    if isinstance(sys.excepthook, _AbortHook) or parent_process() is not None:  # one that a rank spawned is no rank
        return
    sys.excepthook = _AbortHook(sys.excepthook, launched_first() if speaks is None else speaks)


@dataclass(frozen=True)
class _AbortHook:
    """Prints an exception that nobody caught and ends the job, under more than one rank."""

    former: Callable[..., Any]
    speaks: bool

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, LaunchError):
            mislaunched(error)
        try:
            if isinstance(error, TaskFailed | StoppedBySignal) and not self.speaks:
                time.sleep(SECONDS_FOR_SPEAKER)  # the first rank says the same, and then ends the job
            self.former(kind, error, trace)
        except Exception:  # a hook that fails must not keep the job from ending
            traceback.print_exc()
        end_job(error.EXIT_CODE if isinstance(error, StoppedBySignal) else 1)


def mislaunched(error: LaunchError) -> None:
    """Tell of it in one line, by one process of all that meet it, and leave; no MPI could end the others."""
    if error.speaks:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    let_output_out()
    os._exit(MISLAUNCHED)


def end_job(code: int) -> None:
    """End all processes of the job with an exit code; it does not return."""
    let_output_out()
    # in a thread, for starting MPI waits for all other processes to start it
    aborting = threading.Thread(target=_abort, args=(code,), daemon=True)
    aborting.start()
    aborting.join(SECONDS_FOR_OTHERS)
    os._exit(code)


def _abort(code: int) -> None:
    if _ranks() > 1:
        from mpi4py import MPI

        MPI.COMM_WORLD.Abort(code)


def abandon(code: int) -> None:
    """End the whole job with an exit code if this process is one of several under mpirun; else do nothing.

    For a failure outside the verbs, which other ranks may not have met: they would wait for this one for ever.
    """
    if under_mpirun() and _ranks() > 1:
        end_job(code)


def let_first_speak() -> None:
    """On other ranks than the first under mpirun, give the first time to tell of an error and end the job.

    Most errors outside the verbs, as of an input file, are met by all ranks. A rank still there afterwards met it
    alone.
    """
    if not under_mpirun() or launched_first():
        return
    _ranks()  # the first can't end a job whose ranks have not all started MPI
    time.sleep(SECONDS_FOR_SPEAKER)


def _ranks() -> int:
    """How many ranks MPI knows of, once it is started; 1 where there is no MPI, or none that can be started here."""
    with suppress(ImportError, RuntimeError):
        check_startable()
        from mpi4py import MPI

        return int(MPI.COMM_WORLD.Get_size())
    return 1


def let_output_out() -> None:
    """Flush, and wait for the launcher to pass it on: what it has not read when a rank aborts may be lost."""
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(SECONDS_FOR_LAUNCHER)


def check_startable() -> None:
    """Raise LaunchError where starting MPI would end the process without a word of why."""
    import mpi4py

    if "mpi4py.MPI" in sys.modules or "OMPI_COMM_WORLD_SIZE" not in os.environ:
        return
    # the version can be asked for before MPI is started; what is started by hand is not ended by itself
    mpi4py.rc.initialize, mpi4py.rc.finalize = False, True
    from mpi4py import MPI

    mismatch = fatal_mismatch(MPI.Get_library_version())
    if mismatch is not None:
        raise LaunchError(str(mismatch.mismatch), mismatch.speaks)
    if not MPI.Is_initialized():
        MPI.Init_thread()
