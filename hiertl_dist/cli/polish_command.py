"""The command ``polish``: chosen blocks of a fitted model again, together, the rest frozen or held."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .check_command import add_no_covariance
from .store_options import add_store_options, chosen_store_use
from .telling import teller

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ..executors.base import Executor


def polish_parser(verbs: Any, running: argparse.ArgumentParser) -> None:
    """The grammar of the command."""
    one = verbs.add_parser(
        "polish", parents=[running],
        help="fit chosen blocks of a model again, together",
    )  # fmt: skip
    one.add_argument("input", type=Path, help="input file (TOML), of which the model was fitted")
    one.add_argument("--model", type=Path, help="its parameter or solution file (default: that of the results)")
    one.add_argument("--blocks", nargs="+", required=True, metavar="BLOCK", help="that are fitted")
    one.add_argument(
        "--hold", nargs="+", metavar="STRENGTH", help="draw all other blocks to their values so many times as hard as "
        "the regulariser does, or some: C=100 N=1e4 (default: they are frozen)",
    )  # fmt: skip
    one.add_argument(
        "--prior", choices=("values", "zero", "mixed"), default="values",
        help="what the regulariser draws chosen blocks to: what the model has of them (default), zero, or the mean of "
        "their lower blocks",
    )  # fmt: skip
    one.add_argument("-o", "--output", type=Path, help="folder of the results (default: polished in that of the input)")
    one.add_argument("--fresh", action="store_true", help="make a new summary store")
    one.add_argument("--no-keep-rows", action="store_true", help="stream: never write rows")
    add_no_covariance(one)
    add_store_options(one)


def polish(arguments: argparse.Namespace, executor_of: Callable[..., Executor]) -> int:
    """Run the command; returns its exit code."""
    from dataclasses import replace

    from ..files.json_files import json_text
    from ..jobs.input_file import Input
    from ..jobs.outputs import MODEL
    from ..jobs.polish_job import polish_job

    job = Input.from_toml(arguments.input, look_for_files=True)
    job = replace(
        job, keep_rows=job.keep_rows and not arguments.no_keep_rows,
        store_use=chosen_store_use(arguments, job.store_use),
        covariance=job.covariance and not arguments.no_covariance,
    )  # fmt: skip
    hold = _strengths(arguments.hold)
    with executor_of(arguments, job) as runner:
        tell, lines = teller(arguments, job, runner)
        report = polish_job(
            job, arguments.model or job.output / MODEL, arguments.blocks, runner, hold=hold, prior=arguments.prior,
            output=arguments.output, fresh=arguments.fresh, tell=tell,
        )  # fmt: skip
        written = "\n".join(f"  {f}" for f in report.files)
        text = f"\n{report.text(job.units)}\n\nwritten:\n{written}"
        content = report.as_dict() | {"notes": lines}
        print(json_text(content) if arguments.json else text, file=runner.out(), flush=True)
    return 0


def _strengths(words: list[str] | None) -> float | dict[str, float] | None:
    """One number for all other blocks, or one by block. Raises InputError for what is neither."""
    from ..errors import InputError
    from ..text.words import finite_number

    if words is None:
        return None
    if len(words) == 1 and (alone := finite_number(words[0])) is not None:
        return alone
    strengths = {}
    for word in words:
        block, _, number = word.partition("=")
        strength = finite_number(number)
        if not block or strength is None or block in strengths:
            raise InputError(f"--hold: expected one number, or BLOCK=NUMBER such as C=100, each once, found {word!r}")
        strengths[block] = strength
    return strengths
