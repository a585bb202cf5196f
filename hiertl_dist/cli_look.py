"""The commands ``inspect`` and ``init``, which look at data before there is an input file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def look_parsers(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The commands that look at data before there is an input file."""
    for verb, said in (("inspect", "say what there is in some trajectories"),
                       ("init", "the same, and write an input file that runs as it is")):  # fmt: skip
        one = verbs.add_parser(verb, parents=[common], help=said)
        one.add_argument("data", nargs="+", help="trajectories (extended XYZ, .xyzf; patterns)")
        one.add_argument("--format", choices=("extxyz", "xyzf"), help="of all files (default: by extension)")
        one.add_argument("--group-key", help="key of the comment line that names a frame's group (default: a guess)")
        for label in ("energy", "forces", "stress", "virial"):
            one.add_argument(f"--{label}-key", help=f"where extended XYZ keeps the {label} (default: a guess)")
        one.add_argument("--units", choices=("kcal", "eV"), default="eV", help="of what is printed (default eV)")
    one.add_argument("-o", "--output", type=Path, default=Path("input.toml"), help="default: input.toml")
    one.add_argument("--force", action="store_true", help="overwrite an input file that is there")


def look(arguments: argparse.Namespace) -> int:
    """Run one of the two; returns its exit code."""
    from .executors import SerialExecutor, refuse_many
    from .look_job import look_job
    from .store import jsonable

    output = getattr(arguments, "output", None)
    refuse_many("inspect" if output is None else "init", executors=False)
    keys = {f"{k}_key": getattr(arguments, f"{k}_key") for k in ("energy", "forces", "stress", "virial", "group")}
    with SerialExecutor() as runner:  # reading takes longest, and is done by one
        found = look_job(
            arguments.data, {"format": arguments.format, **keys}, output, force=getattr(arguments, "force", False),
            watch=runner.watch,
        )  # fmt: skip
        text = json.dumps(jsonable(found.as_dict()), allow_nan=False) if arguments.json else found.text(arguments.units)
        print(text, file=runner.out(), flush=True)
    return 0
