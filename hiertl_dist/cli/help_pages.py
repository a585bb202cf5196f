"""What ``-h`` and ``--help`` print: commands in groups, an example of each, its own options first.

``-h`` fits a screen: it leaves out options that many commands share, and names them. ``--help`` has all.
"""

from __future__ import annotations

import argparse
import copy
import sys
import textwrap
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GROUPS: Final = {
    "prepare": ("inspect", "init", "config", "import", "probes"),
    "fit": ("plan", "assemble", "fit", "summarise", "search", "path", "polish", "cycle"),
    "judge": ("evaluate", "predict", "calibrate", "select", "committee", "report", "check", "properties"),
    "use": ("merge", "tabulate"),
    "keep": ("library", "store", "doctor", "completion", "demo"),
}
"""What commands are for."""

EXAMPLES: Final = {
    "inspect": "data.extxyz",
    "init": "data.extxyz",
    "config check": "input.toml",
    "config expand": "input.toml -o expanded.toml",
    "config schema": "-o input.schema.json",
    "import": "frames data.extxyz",
    "probes": "input.toml --elements C N --count 4",
    "plan": "input.toml",
    "assemble": "input.toml --verify",
    "fit": "input.toml --csv",
    "predict": "results/model.params.txt --frames data.extxyz -o predicted.extxyz",
    "path": "input.toml --strengths 1e-3 10 --points 5",
    "committee": "input.toml --frames data.extxyz",
    "calibrate": "results/model.params.txt --frames data.extxyz -o calibration.json",
    "select": "results/model.params.txt --frames data.extxyz --count 2 -o chosen.extxyz",
    "summarise": "input.toml",
    "search": "input.toml --rule one_se --no-plot",
    "polish": "input.toml --blocks CN --hold 100",
    "cycle": "input.toml --cycles 1",
    "evaluate": "results/model.params.txt --frames data.extxyz",
    "report": "results",
    "check": "results/model.params.txt --picoseconds 0.1",
    "properties": "results/model.params.txt --structure diamond:C:3.57",
    "merge": "results/C.params.txt results/N.params.txt results/CN.params.txt -o merged.txt",
    "tabulate": "results/model.params.txt -o lammps_tables",
    "library add": 'blocks results/C.solution.npz results/N.solution.npz --theory PBE --energy-reference "free atoms"',
    "library list": "blocks",
    "library show": "blocks C",
    "library check": "blocks",
    "library use": "blocks C VERSION",
    "library export": "blocks --blocks C -o carbon.params.txt",
    "store check": "design.zarr",
    "store repair": "design.zarr",
    "store gc": "design.zarr --dry-run",
    "store info": "design.zarr",
    "doctor": "",
    "completion": "bash",
    "demo": "--folder hiertl_demo",
}
"""An example of each command, what comes after its name; in an order in which each finds what it needs."""

SHARED: Final = {
    "who does the work": (
        "executor", "workers", "scratch", "scheduler", "tls_ca_file", "tls_cert", "tls_key", "encrypted", "worker_wait",
        "dashboard", "performance_report",
    ),
    "stores and what a run leaves": ("in_use", "wait", "no_wait", "fsync", "fresh", "checkpoint", "no_checkpoint"),
    "how trajectories are read": (
        "format", "group_key", "energy_key", "forces_key", "stress_key", "virial_key",
    ),
}  # fmt: skip
"""Options that many commands have, by what argparse calls them."""

ALWAYS: Final = frozenset({"executor", "workers"})
"""Those of them that ``-h`` explains, too."""

WIDTH: Final = 28
"""Columns of names of options and commands."""


class CommandParser(argparse.ArgumentParser):
    """A command's grammar, with short help and whole help."""

    def __init__(self, *, add_help: bool = True, **options: Any) -> None:
        super().__init__(**options, add_help=False)
        if add_help:
            self.add_argument("-h", action=_ShortHelp, help="a screen of help")
            self.add_argument("--help", action="help", help="help on every option")

    def format_help(self) -> str:
        """All of it."""
        return self.help_text(short=False)

    def help_text(self, *, short: bool) -> str:
        """The page of a command, or that of all commands."""
        formatter = argparse.HelpFormatter(self.prog, max_help_position=WIDTH)
        usage = f"%(prog)s {self._short_usage()}" if short else None
        formatter.add_usage(usage, self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        commands = next((a for a in self._actions if isinstance(a, argparse._SubParsersAction)), None)
        if commands is not None:
            _add_commands(formatter, commands, is_top=" " not in self.prog)
        left_out = []
        for title, actions in self._sections():
            shown = [a for a in actions if not short or title not in SHARED or a.dest in ALWAYS]
            left_out += [a.option_strings[-1] for a in actions if a not in shown]
            formatter.start_section(title)
            formatter.add_arguments(shown)
            formatter.end_section()
        text = formatter.format_help()
        if left_out:
            lines = textwrap.wrap(" ".join(left_out), width=77, break_on_hyphens=False)
            text += "\n".join(["\nmore, explained by --help:", *(f"  {line}" for line in lines), ""])
        return text + self._example()

    def _sections(self) -> Iterator[tuple[str, list[argparse.Action]]]:
        given = [a for a in self._actions if not isinstance(a, argparse._SubParsersAction)]
        of = {dest: title for title, names in SHARED.items() for dest in names}
        yield "arguments", [a for a in given if not a.option_strings]
        own = [a for a in given if a.option_strings and a.dest not in of]
        last = [a for a in own if isinstance(a, argparse._HelpAction) or a.dest in ("json", "version")]
        yield "options", [a for a in own if a not in last] + last
        for title in SHARED:
            yield title, [a for a in given if a.option_strings and of.get(a.dest) == title]

    def _short_usage(self) -> str:
        required = [a for a in self._actions if a.option_strings and a.required]
        words = [f"{a.option_strings[-1]} {_value(a)}" for a in required]
        words += ["[options]", *(_value(a) for a in self._actions if not a.option_strings)]
        return " ".join(words).replace("%", "%%")

    def _example(self) -> str:
        name = self.prog.partition(" ")[2]
        return f"\nexample:\n  {self.prog} {EXAMPLES[name]}".rstrip() + "\n" if name in EXAMPLES else ""


class _ShortHelp(argparse._HelpAction):
    """``-h``: a screen of help."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
        values: str | Sequence[Any] | None, option_string: str | None = None,
    ) -> None:  # fmt: skip
        text = parser.help_text(short=True) if isinstance(parser, CommandParser) else parser.format_help()
        parser._print_message(text, sys.stdout)
        parser.exit()


def _value(action: argparse.Action) -> str:
    """What stands for an argument's value in a line of usage."""
    names = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    text = " ".join(names) if isinstance(names, tuple) else names
    many = {"+": f"{text} …", "*": f"[{text} …]", "?": f"[{text}]"}
    return many.get(str(action.nargs), text)


def _add_commands(formatter: argparse.HelpFormatter, commands: Any, *, is_top: bool) -> None:
    """A line for each command, those of the whole program in their groups."""
    choices = {choice.dest: choice for choice in commands._choices_actions}
    sections = GROUPS if is_top else {"commands": tuple(choices)}
    for title, verbs in sections.items():
        formatter.start_section(title)
        formatter.add_arguments([_line(choices[verb]) for verb in verbs])
        formatter.end_section()


def _line(command: argparse.Action) -> argparse.Action:
    """What is said of a command, without its other spellings."""
    one = copy.copy(command)
    one.metavar = command.dest
    return one
