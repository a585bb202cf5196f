"""The command ``cycle``: the active-learning loop of an input file, from where it was left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .store_options import add_store_options, chosen_store_use
from .telling import teller

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ..executors.base import Executor

WAITS: Final = 5
"""Exit code: labels of another program are waited for."""


def cycle_parser(verbs: Any, running: argparse.ArgumentParser) -> None:
    """The grammar of the command."""
    one = verbs.add_parser(
        "cycle", parents=[running],
        help="active learning: fit, run, pick frames, label them, again",
    )  # fmt: skip
    one.add_argument("input", type=Path, help="input file (TOML) with a [cycle] table")
    one.add_argument("--cycles", type=int, help="how many at most (default: the input file's)")
    one.add_argument("--folder", type=Path, help="where cycles have their folders (default: the input file's)")
    one.add_argument("--no-keep-rows", action="store_true", help="stream: never write rows")
    add_store_options(one)


def run_cycle(arguments: argparse.Namespace, executor_of: Callable[..., Executor]) -> int:
    """Run the command; returns its exit code."""
    from dataclasses import replace

    from ..active_learning.cycling import run_cycles
    from ..files.json_files import json_text
    from ..jobs.input_file import Input

    job = Input.from_toml(arguments.input, look_for_files=True)
    job = replace(
        job, keep_rows=job.keep_rows and not arguments.no_keep_rows,
        store_use=chosen_store_use(arguments, job.store_use),
    )  # fmt: skip
    if job.cycle is not None:
        given = {key: getattr(arguments, key) for key in ("cycles", "folder") if getattr(arguments, key) is not None}
        job = replace(job, cycle=replace(job.cycle, **given))
    with executor_of(arguments, job) as runner:
        tell, _ = teller(arguments, job, runner)
        report = run_cycles(job, runner, tell=tell)
        text = json_text(report.as_dict()) if arguments.json else f"\n{report.text(job.units)}"
        print(text, file=runner.out(), flush=True)
    return WAITS if report.waiting else 0
