"""The command ``probes``, which writes probe structures for a person to look at, or to be labelled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .look_commands import add_overwrite

if TYPE_CHECKING:
    import argparse


def probes_parser(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The grammar of the command."""
    one = verbs.add_parser(
        "probes", parents=[common],
        help="structures of several elements, made of frames of single ones",
    )  # fmt: skip
    one.add_argument("input", type=Path, help="input file (TOML), whose frames are taken")
    one.add_argument("--elements", nargs="+", required=True, metavar="ELEMENT", help="of each structure: Mo Nb")
    one.add_argument("--count", type=int, default=24, help="how many (default 24)")
    one.add_argument("-o", "--output", type=Path, default=Path("probes.extxyz"), help="default: probes.extxyz")
    one.add_argument("--seed", type=int, default=0, help="of what is random (default 0)")
    one.add_argument("--groups", nargs="+", metavar="PATTERN", help="take frames of these groups alone")
    one.add_argument(
        "--volumes", nargs="+", default=[], metavar="ELEMENT=VOLUME", help="Å³ an atom, in place of those of frames"
    )
    one.add_argument(
        "--no-vacuum", action="store_true", help="pass over surfaces, molecules and other frames of vacuum"
    )
    add_overwrite(one)


def probes(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..errors import InputError
    from ..executors import SerialExecutor, refuse_many
    from ..files.json_files import json_text
    from ..frames.element_set import ElementSet
    from ..jobs.input_file import Input
    from ..jobs.probes_job import probes_job
    from ..text.words import finite_number

    refuse_many("probes", executors=False)
    elements = ElementSet.union(ElementSet.parse(name) for name in arguments.elements)
    volumes = {}
    for item in arguments.volumes:
        element, _, value = item.partition("=")
        if (volume := finite_number(value)) is None or element not in elements.elements:
            raise InputError(
                f"--volumes: expected ELEMENT=VOLUME such as Mo=15.9, with one of the elements "
                f"{', '.join(sorted(elements.elements))}, found {item!r}"
            )
        volumes[element] = volume
    with SerialExecutor() as runner:
        job = Input.from_toml(arguments.input, look_for_files=True)
        made = probes_job(
            job, elements, arguments.count, arguments.output, seed=arguments.seed, groups=arguments.groups,
            volumes=volumes, vacuum=not arguments.no_vacuum, overwrite=arguments.overwrite,
        )  # fmt: skip
        content = made.as_dict() | {"output": str(arguments.output)}
        text = json_text(content) if arguments.json else f"{made.text()}\nwritten: {arguments.output}"
        print(text, file=runner.out(), flush=True)
    return 0
