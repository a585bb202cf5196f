"""The reference of the commands, from the grammar of the command line."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING
from unittest import mock

from hiertl_dist.cli.command_line import parser

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "hiertl-dist"


def commands() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Every command with what it is for and its grammar; those with verbs of their own before these."""
    yield from _below(parser(), PROGRAM)


def _below(one: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    for action in one._actions:
        if isinstance(action, argparse._SubParsersAction):
            purposes = {choice.dest: choice.help or "" for choice in action._choices_actions}
            seen = set()
            for verb, own in action.choices.items():
                if id(own) not in seen:  # another spelling of a verb has the same grammar
                    seen.add(id(own))
                    purpose = purposes.get(verb) or next(
                        (text for key, text in purposes.items() if key.split(" ")[0] == verb), "")  # fmt: skip
                    yield f"{name} {verb}", purpose, own
                    yield from _below(own, f"{name} {verb}")


def command_table() -> str:
    """A row for each command."""
    rows = [f"| [`{name}`](#{_anchor(name)}) | {_cell(purpose)} |" for name, purpose, _ in commands()]
    return "\n".join(["| command | what it does |", "|---|---|", *rows]) + "\n"


def command_reference() -> str:
    """A section for each command: how it is called, and a row for each argument and option."""
    lines: list[str] = []
    for name, purpose, own in commands():
        lines += ["", f"## {name}", "", f"{purpose[:1].upper()}{purpose[1:]}." if purpose else "", "", "```text",
                  _usage(own), "```", ""]  # fmt: skip
        rows = [row for action in own._actions if (row := _row(action))]
        lines += ["| argument | meaning |", "|---|---|", *rows] if rows else []
    return "\n".join(lines) + "\n"


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _usage(own: argparse.ArgumentParser) -> str:
    with mock.patch.dict(os.environ, {"COLUMNS": "110", "NO_COLOR": "1"}):
        return own.format_usage().removeprefix("usage: ").rstrip()


def _row(action: argparse.Action) -> str | None:
    if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
        return None
    names = ", ".join(f"`{option}`" for option in action.option_strings) or f"`{action.metavar or action.dest}`"
    value = "" if action.nargs == 0 or not action.option_strings else f" `{_value(action)}`"
    choices = "" if action.choices is None else f" One of {', '.join(f'`{c}`' for c in action.choices)}."
    text = (action.help or "") % {"default": action.default, "prog": PROGRAM}
    # argparse's own, of options that are given no help
    sentence = f"{text[:1].upper()}{text[1:]}." if text else ""
    return f"| {names}{_cell(value)} | {_cell(sentence)}{choices} |"


def _value(action: argparse.Action) -> str:
    metavar = action.metavar or action.dest.upper()
    return " ".join(metavar) if isinstance(metavar, tuple) else f"{metavar}{' …' * (action.nargs in ('+', '*'))}"


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;") if "`" not in text else text.replace("|", r"\|")
