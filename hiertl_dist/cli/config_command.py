"""The command ``config``: whether an input file is right, and a JSON schema with which editors check one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..text.json_results import RESULTS, result_schema
from .look_commands import add_overwrite

if TYPE_CHECKING:
    import argparse


def config_parser(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The grammar of ``config`` and its own verbs."""
    whole = verbs.add_parser("config", help="check an input file, or write a JSON schema for editors")
    own = whole.add_subparsers(dest="config_verb", required=True, metavar="VERB")
    one = own.add_parser("check", parents=[common], help="say all that is wrong with an input file; computes nothing")
    one.add_argument("input", type=Path, help="input file (TOML)")
    one = own.add_parser("schema", help="the JSON schema of input files, or of what a command prints (draft 7)")
    one.add_argument(
        "--of", choices=tuple(RESULTS), metavar="COMMAND",
        help="of what this command prints with --json, such as fit or 'store check' (default: of input files)",
    )  # fmt: skip
    one.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it there (default: print it)")
    add_overwrite(one)


def run_config(arguments: argparse.Namespace) -> int:
    """Run one of its verbs; returns its exit code."""
    from ..executors import refuse_many

    refuse_many("config", executors=False)
    return _VERBS[arguments.config_verb](arguments)


def _check(arguments: argparse.Namespace) -> int:
    from ..files.json_files import json_text
    from ..jobs.input_file import Input

    job = Input.from_toml(arguments.input, look_for_files=True)
    facts = {
        "input": str(arguments.input), "elements": list(job.basis.elements),
        "types": [t.name for t in job.basis.types], "sources": len(job.data), "notes": list(job.notes),
    }  # fmt: skip
    lines = [
        f"{arguments.input}: nothing is wrong",
        f"elements {', '.join(job.basis.elements)}; {len(job.basis.types)} cluster types",
        *(f"note: {note}" for note in job.notes),
    ]
    print(json_text(facts) if arguments.json else "\n".join(lines), flush=True)
    return 0


def _schema(arguments: argparse.Namespace) -> int:
    from ..files.paths import refuse_overwriting, replacing
    from ..jobs.input_schema import input_schema

    schema = input_schema() if arguments.of is None else result_schema(arguments.of)
    text = json.dumps(schema, indent=1, ensure_ascii=False)
    if arguments.output is None:
        print(text, flush=True)
        return 0
    refuse_overwriting([arguments.output], arguments.overwrite, "-o")
    with replacing(arguments.output) as stream:
        stream.write(f"{text}\n".encode())
    print(f"written: {arguments.output}", flush=True)
    return 0


_VERBS = {"check": _check, "schema": _schema}
