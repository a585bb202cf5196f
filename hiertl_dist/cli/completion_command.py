"""The command ``completion``: a script with which shells complete commands, options and names of files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHELLS = ("bash", "zsh", "tcsh")


def completion_parser(verbs: Any) -> None:
    """The grammar of the command."""
    one = verbs.add_parser("completion", help="a script with which bash, zsh or tcsh completes commands")
    one.add_argument("shell", choices=SHELLS)


def print_completion(arguments: argparse.Namespace, top: argparse.ArgumentParser) -> int:
    """Print the script for the grammar ``top``; returns the exit code. Raises ImportError without shtab."""
    try:
        import shtab
    except ImportError as error:
        raise ImportError('shtab makes the script, and is not there: pip install "hiertl-dist[completion]"') from error
    for action in _actions(top):
        if action.type is Path or action.dest in ("data", "frames", "path"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(top, shell=arguments.shell), flush=True)
    return 0


def _actions(one: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in one._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
