"""The command ``library``: what is in a library, what goes into it and out of it, and whether it is whole."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .look_commands import add_overwrite
from .merging import add_model_options, label_of, pairs_of

DOUBTFUL = 4
"""Exit code where something is wrong with a library."""


# long: a line for each option
def library_parser(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The grammar of ``library`` and its own verbs."""
    whole = verbs.add_parser("library", help="a folder of fitted blocks: add, list, show, check, use, export")
    own = whole.add_subparsers(dest="library_verb", required=True, metavar="VERB")
    shared = argparse.ArgumentParser(add_help=False, parents=[common])
    shared.add_argument("library", type=Path, help="folder of the library")
    one = own.add_parser("add", parents=[shared], help="add solution files, or parameter files of any ChIMES program")
    one.add_argument("files", nargs="+", type=Path, metavar="FILE")
    stated = 'a text such as "PBE, 520 eV", a table such as "{ functional = \'PBE\' }", or unknown'
    one.add_argument("--theory", required=True, help=f"level of theory of the data: {stated}")
    one.add_argument("--energy-reference", required=True, help=f"what the zero of their energies is: {stated}")
    one.add_argument(
        "--upon", nargs="+", default=[], metavar="BLOCK[=VERSION]",
        help="lower blocks of the library that were frozen (default: those that a solution file names)",
    )  # fmt: skip
    one.add_argument("--data", default="", metavar="TEXT", help="what is known of the data")
    one.add_argument("--use", action="store_true", help="put them in use also where others of the blocks are")
    own.add_parser("list", parents=[shared], help="every version of every block")
    one = own.add_parser("show", parents=[shared], help="all that is known of a block")
    one.add_argument("block")
    one.add_argument("version", nargs="?", help="how it begins (default: the one in use)")
    own.add_parser("check", parents=[shared], help="whether every file is as it was written")
    one = own.add_parser("use", parents=[shared], help="put a version of a block in use")
    one.add_argument("block")
    one.add_argument("version", help="how it begins")
    one = own.add_parser("export", parents=[shared], help="blocks as one parameter file")
    one.add_argument("-o", "--output", type=Path, required=True)
    which = one.add_mutually_exclusive_group()
    which.add_argument("--elements", nargs="+", help="every block of these (default: of all)")
    which.add_argument("--blocks", nargs="+", help="these blocks alone")
    one.add_argument("--versions", nargs="+", default=[], metavar="BLOCK=VERSION", help="default: those in use")
    one.add_argument(
        "--accept", nargs="+", default=[], metavar="BLOCK:WHAT",
        help="in what a block may differ from the others: theory, energy_reference, lower_blocks",
    )  # fmt: skip
    add_model_options(one)
    add_overwrite(one)


def run_library(arguments: argparse.Namespace) -> int:
    """Run one of its verbs; returns its exit code."""
    from ..executors import refuse_many

    refuse_many("library", executors=False)
    return _VERBS[arguments.library_verb](arguments)


def _print(arguments: argparse.Namespace, content: Any, text: str) -> None:
    from ..files.json_files import json_text

    print(json_text(content) if arguments.json else text, flush=True)


def _add(arguments: argparse.Namespace) -> int:
    from ..library.adding import add_file, mismatch_notes

    added = []
    for file in arguments.files:  # each that can be read is added, whatever comes after it
        done = add_file(
            arguments.library, file, theory=label_of(arguments.theory, "--theory"),
            energy_reference=label_of(arguments.energy_reference, "--energy-reference"),
            upon=dict(pairs_of(arguments.upon, "=", "--upon", bare=True)), data=arguments.data, use=arguments.use,
        )  # fmt: skip
        added += done
        if not arguments.json:
            print("\n".join(one.text() for one in done), flush=True)
    for note in mismatch_notes(arguments.library, added):
        print(f"note: {note}", file=sys.stderr, flush=True)
    if arguments.json:
        content = [one.entry.to_dict() | {"is_new": one.is_new, "in_use": one.in_use} for one in added]
        _print(arguments, {"library": str(arguments.library), "added": content}, "")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from ..library.folder import HEADER, open_library, table_rows
    from ..text.display import table_text

    library = open_library(arguments.library)
    content = {
        "library": str(library.path), "in_use": {str(b): v for b, v in library.in_use.items()},
        "versions": [e.to_dict() for e in library.entries],
    }  # fmt: skip
    table = table_text(HEADER, table_rows(library)) if library.entries else f"{library.path}: no blocks"
    _print(arguments, content, table)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from ..library.folder import open_library

    entry = open_library(arguments.library).find(arguments.block, arguments.version)
    _print(arguments, entry.to_dict(), entry.text())
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from ..library.checking import check_library
    from ..text.words import count_text

    checked = check_library(arguments.library)
    lines = [f"{count_text(checked.versions, 'version')}, {count_text(checked.files, 'file')} looked at"]
    lines += [f"note: {note}" for note in checked.notes]
    lines += [f"wrong: {problem}" for problem in checked.problems] or ["nothing is wrong"]
    _print(arguments, vars(checked), "\n".join(lines))
    return DOUBTFUL if checked.problems else 0


def _use(arguments: argparse.Namespace) -> int:
    from ..library.folder import use_version

    entry = use_version(arguments.library, arguments.block, arguments.version)
    _print(arguments, {"block": str(entry.block), "version": entry.version}, f"in use: {entry.source}")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from ..files.paths import refuse_overwriting
    from ..library.exporting import export_model
    from ..model.missing_types import missing_notes, zero_notes
    from ..model.parameters import Penalty

    refuse_overwriting([arguments.output], arguments.overwrite, "-o")
    accept: dict[str, list[str]] = {}
    for block, what in pairs_of(arguments.accept, ":", "--accept"):
        accept.setdefault(block, []).append(what)
    model, comments = export_model(
        arguments.library, elements=arguments.elements, blocks=arguments.blocks,
        versions=dict(pairs_of(arguments.versions, "=", "--versions")), accept=accept,
        penalty=None if arguments.penalty is None else Penalty(*arguments.penalty),
        names=dict(pairs_of(arguments.rename, "=", "--rename")),
    )  # fmt: skip
    lacking = missing_notes([model.parameters], str(arguments.output))
    if lacking:  # a library keeps what was fitted, not what was made of it
        lacking = (*lacking, 'a fit with missing = "mixed" in [fit] and this library makes them, and writes the model')
    zeros = zero_notes([model.parameters], str(arguments.output))
    for line in (*comments, *model.parameters.notes, *lacking, *zeros):
        print(f"note: {line}", file=sys.stderr, flush=True)
    model.write(arguments.output, reduced=arguments.reduced, comments=comments)
    types = [t.name for t in model.parameters.basis.types]
    facts = {"output": str(arguments.output), "elements": list(model.elements), "types": types,
             "columns": len(model.parameters.coefficients), "comments": list(comments)}  # fmt: skip
    _print(arguments, facts, f"{arguments.output}: {facts['columns']} coefficients of {', '.join(types)}")
    return 0


_VERBS = {"add": _add, "list": _list, "show": _show, "check": _check, "use": _use, "export": _export}
