"""The commands ``inspect`` and ``init``, which look at data before there is an input file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

LABELS = ("energy", "forces", "stress", "virial")


def reading_parser(default: str = "a guess") -> argparse.ArgumentParser:
    """The options that say how trajectories are read; :func:`reading_options` takes them from there."""
    one = argparse.ArgumentParser(add_help=False)
    one.add_argument("--format", choices=("extxyz", "xyzf", "ase"), help="of all files (default: by name)")
    group = default if default == "a guess" else "none, groups are the names of the files"
    groups = one.add_mutually_exclusive_group()
    groups.add_argument("--group-key", help=f"key that names a frame's group (default: {group})")
    groups.add_argument(
        "--group-by-file", action="store_const", const="", dest="group_key", help="groups are the names of the files"
    )
    for label in LABELS:
        one.add_argument(f"--{label}-key", help=f"where extended XYZ, or ASE, keeps the {label} (default: {default})")
    return one


def reading_options(arguments: argparse.Namespace) -> dict[str, str | None]:
    """For :func:`~hiertl_dist.suggestion.guessing.read_guessed`."""
    return {"format": arguments.format} | {f"{k}_key": getattr(arguments, f"{k}_key") for k in (*LABELS, "group")}


def add_overwrite(one: argparse.ArgumentParser) -> None:
    """The option without which no command writes over a file that is there and that it was told to write."""
    one.add_argument("--overwrite", "--force", action="store_true", help="write over files that are there")


def look_parsers(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The commands that look at data before there is an input file."""
    for verb, purpose in (("inspect", "say what there is in some trajectories"),
                       ("init", "the same, and write an input file that runs as it is")):  # fmt: skip
        one = verbs.add_parser(verb, parents=[common, reading_parser()], help=purpose)
        one.add_argument("data", nargs="+", help="trajectories (extended XYZ, .xyzf, by ASE; patterns), or a data set")
        one.add_argument("--units", choices=("kcal", "eV"), default="eV", help="of what is printed (default eV)")
    one.add_argument("-o", "--output", type=Path, default=Path("input.toml"), help="default: input.toml")
    one.add_argument(
        "--library", type=Path, metavar="FOLDER",
        help="for blocks beside those of this library: its cutoffs, orders, wall; and the [library] table",
    )  # fmt: skip
    one.add_argument("--theory", help="with --library: level of theory of these data (default: as the library's)")
    one.add_argument(
        "--energy-reference", help="with --library: what the zero of their energies is (default: the same)"
    )
    add_overwrite(one)


def look(arguments: argparse.Namespace) -> int:
    """Run one of the two; returns its exit code."""
    from ..executors import SerialExecutor, refuse_many
    from ..files.json_files import json_text
    from .look_job import look_job

    output = getattr(arguments, "output", None)
    refuse_many("inspect" if output is None else "init", executors=False)
    with SerialExecutor() as runner:
        result = look_job(
            arguments.data, reading_options(arguments), output,
            executor=runner, overwrite=getattr(arguments, "overwrite", False),
            library=getattr(arguments, "library", None), statements=_statements(arguments),
            tell=lambda line: print(line, file=sys.stderr, flush=True),
        )  # fmt: skip
        text = json_text(result.as_dict()) if arguments.json else result.text(arguments.units)
        print(text, file=runner.out(), flush=True)
    return 0


def _statements(arguments: argparse.Namespace) -> dict[str, Any]:
    """What is stated of the data, as :func:`~hiertl_dist.suggest_input` takes it."""
    from .merging import label_of

    given = {name: getattr(arguments, name, None) for name in ("theory", "energy_reference")}
    return {n: None if v is None else label_of(v, f"--{n.replace('_', '-')}") for n, v in given.items()}
