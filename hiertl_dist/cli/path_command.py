"""The command ``path``: blocks of an input file fitted along a path of strengths of the regulariser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .store_options import add_store_options, chosen_store_use
from .telling import teller

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ..executors.base import Executor


def path_parser(verbs: Any, running: argparse.ArgumentParser) -> None:
    """The grammar of the command."""
    one = verbs.add_parser("path", parents=[running], help="coefficients, errors along a path of regularisers")
    one.add_argument("input", type=Path, help="input file (TOML)")
    one.add_argument("--kind", choices=("ridge", "lasso"), default="ridge", help="of the path (default ridge)")
    one.add_argument(
        "--strengths", nargs=2, type=float, metavar=("LOW", "HIGH"),
        help="ridge: of alpha (default 1e-6 1e4); a lasso begins where all terms are zero and ends at LOW",
    )  # fmt: skip
    one.add_argument("--points", type=int, default=41, metavar="N", help="of a ridge (default 41)")
    one.add_argument("--blocks", nargs="+", metavar="BLOCK", help="that are fitted, together (default: all)")
    one.add_argument("--model", type=Path, help="file of the model that has the other blocks, which are frozen")
    one.add_argument("-o", "--output", type=Path, help="folder of the results (default: path in the input's)")
    one.add_argument("--plot", action="store_true", help="draw path.png and .pdf (needs matplotlib)")
    one.add_argument("--fresh", action="store_true", help="make a new summary store")
    one.add_argument("--no-keep-rows", action="store_true", help="stream: never write rows")
    add_store_options(one)


def run_path(arguments: argparse.Namespace, executor_of: Callable[..., Executor]) -> int:
    """Run the command; returns its exit code."""
    from dataclasses import replace

    from ..files.json_files import json_text
    from ..jobs.figures import need_matplotlib
    from ..jobs.input_file import Input
    from ..jobs.path_job import path_job

    if arguments.plot:
        need_matplotlib()
    job = Input.from_toml(arguments.input, look_for_files=True)
    job = replace(
        job, keep_rows=job.keep_rows and not arguments.no_keep_rows,
        store_use=chosen_store_use(arguments, job.store_use),
    )  # fmt: skip
    strengths = None if arguments.strengths is None else (arguments.strengths[0], arguments.strengths[1])
    with executor_of(arguments, job) as runner:
        tell, lines = teller(arguments, job, runner)
        report = path_job(
            job, runner, kind=arguments.kind, strengths=strengths, points=arguments.points, blocks=arguments.blocks,
            model=arguments.model, output=arguments.output, plot=arguments.plot, fresh=arguments.fresh, tell=tell,
        )  # fmt: skip
        content = report.as_dict() | {"notes": lines}
        text = "\n" + report.text(job.units)
        print(json_text(content) if arguments.json else text, file=runner.out(), flush=True)
    return 0
