"""What commands say while they work: lines for a person, kept for the one JSON object where that is wanted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ..errors import StoppedBySignal
    from ..executors.base import Executor
    from ..jobs.input_file import Input


def teller(
    arguments: argparse.Namespace, job: Input, runner: Executor
) -> tuple[Callable[[str], None], list[str]]:  # fmt: skip
    """What prints a line, unless there is to be one JSON object, and the list that keeps all lines."""
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line.strip())
        if not arguments.json:
            print(line, file=runner.out(), flush=True)

    for note in job.notes:
        tell(f"note: {note}")
    return tell, lines


def stopped(stop: StoppedBySignal) -> int:
    """Say how to go on, once; a rank that stopped alone ends the job, for the others would wait for it."""
    from ..executors import abandon
    from ..executors.launch import launched_first

    if stop.at_once or launched_first():
        print(f"hiertl-dist: {stop}", file=sys.stderr, flush=True)
    if stop.at_once:
        abandon(stop.EXIT_CODE)
    return stop.EXIT_CODE
