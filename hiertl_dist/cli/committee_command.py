"""The command ``committee``: several fits to other rows, from the summaries of an input file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .look_commands import reading_options, reading_parser
from .store_options import add_store_options, chosen_store_use
from .telling import teller

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ..executors.base import Executor


def committee_parser(verbs: Any, running: argparse.ArgumentParser) -> None:
    """The grammar of the command."""
    one = verbs.add_parser(
        "committee", parents=[running, reading_parser()], help="several fits to other rows: how far they are apart"
    )
    one.add_argument("input", type=Path, help="input file (TOML)")
    one.add_argument(
        "--kind", choices=("folds", "bootstrap"), default="folds",
        help="each member without a fold (default), or of sources drawn anew",
    )  # fmt: skip
    one.add_argument("--members", type=int, metavar="N", help="of a bootstrap (default 20)")
    one.add_argument("--seed", type=int, default=0, help="of what is drawn (default 0)")
    one.add_argument("--blocks", nargs="+", metavar="BLOCK", help="that are fitted, together (default: all)")
    one.add_argument("--model", type=Path, help="file of the model that has the other blocks, which are frozen")
    one.add_argument("--frames", nargs="+", metavar="FILE", help="frames on which the spread is told and written")
    one.add_argument(
        "--missing", choices=("refuse", "zero"), default="refuse",
        help="for clusters of types without coefficients: refuse the frames (default), or count them for nothing",
    )  # fmt: skip
    one.add_argument("-o", "--output", type=Path, help="folder of the results (default: committee in the input's)")
    one.add_argument("--fresh", action="store_true", help="make a new summary store")
    one.add_argument("--no-keep-rows", action="store_true", help="stream: never write rows")
    add_store_options(one)


def run_committee(arguments: argparse.Namespace, executor_of: Callable[..., Executor]) -> int:
    """Run the command; returns its exit code."""
    from dataclasses import replace

    from ..files.json_files import json_text
    from ..jobs.committee_job import committee_job
    from ..jobs.input_file import Input
    from ..suggestion.guessing import read_guessed

    job = Input.from_toml(arguments.input, look_for_files=True)
    job = replace(
        job, keep_rows=job.keep_rows and not arguments.no_keep_rows,
        store_use=chosen_store_use(arguments, job.store_use),
    )  # fmt: skip
    read = None if arguments.frames is None else read_guessed(arguments.frames, reading_options(arguments))
    with executor_of(arguments, job) as runner:
        tell, lines = teller(arguments, job, runner)
        report = committee_job(
            job, runner, kind=arguments.kind, members=arguments.members, seed=arguments.seed, blocks=arguments.blocks,
            model=arguments.model, frames=() if read is None else read.frames, output=arguments.output,
            missing=arguments.missing, fresh=arguments.fresh, tell=tell,
        )  # fmt: skip
        text = "\n".join([*([] if read is None else [read.text()]), "", report.text(job.units)])
        content = report.as_dict() | {"notes": lines}
        print(json_text(content) if arguments.json else text, file=runner.out(), flush=True)
    return 0
