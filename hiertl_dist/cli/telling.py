"""What commands say while they work: lines for a person, kept for the one JSON object where that is wanted."""

from __future__ import annotations

import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator

    from ..errors import StoppedBySignal
    from ..evaluation.energies import Model
    from ..executors.base import Executor
    from ..jobs.input_file import Input
    from ..jobs.short_text import Screen


WHERE_RAISED: Final = "where it was raised:"
"""How the note of a failed task begins that has the traceback of the process where it failed."""


def teller(
    arguments: argparse.Namespace, job: Input, runner: Executor, screen: Screen | None = None
) -> tuple[Callable[[str], None], list[str]]:  # fmt: skip
    """What prints a line, unless there is to be one JSON object or ``screen`` holds it, and what keeps all lines."""
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line.strip())
        if not arguments.json and (screen is None or screen.shows(line)):
            print(line, file=runner.out(), flush=True)

    for note in job.notes:
        tell(f"note: {note}")
    return tell, lines


def tell_notes(models: Iterable[Model], more: Iterable[str] = ()) -> None:
    """What the reader of the models' files passed over or guessed; not on standard output, which may be JSON."""
    for note in dict.fromkeys((*(note for model in models for note in model.parameters.notes), *more)):
        print(f"note: {note}", file=sys.stderr, flush=True)


@contextmanager
def showing_all(screen: Screen, arguments: argparse.Namespace, runner: Executor) -> Iterator[None]:
    """Print what a screen holds where a run ends before its report: there is no file that has it."""
    try:
        yield
    except BaseException:
        if screen.held and not arguments.json:
            print("\n".join(["said until then of single blocks:", *screen.held]), file=runner.out(), flush=True)
        raise


def trace_of(failed: BaseException) -> str:
    """Where in the program a task met what nobody foresaw, and on which rank; nothing for what is no fault of it."""
    from ..errors import HiertlError
    from ..executors import TaskFailed

    cause = failed.__cause__
    if not isinstance(failed, TaskFailed) or failed.lost or isinstance(cause, HiertlError | OSError | MemoryError):
        return ""
    told = [note for note in getattr(failed, "__notes__", ()) if note.startswith(WHERE_RAISED)]
    if told or cause is None:
        return "".join(told[:1])
    return f"{WHERE_RAISED}\n{''.join(traceback.format_exception(cause))}"


def stopped(stop: StoppedBySignal) -> int:
    """Say how to go on, once; a rank that stopped alone ends the job, for the others would wait for it."""
    from ..executors import abandon
    from ..executors.launch import launched_first

    if stop.at_once or launched_first():
        print(f"hiertl-dist: {stop}", file=sys.stderr, flush=True)
    if stop.at_once:
        abandon(stop.EXIT_CODE)
    return stop.EXIT_CODE
