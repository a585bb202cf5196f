"""The command ``config``: whether an input file is right, the same without ``fm_setup``, and a JSON schema of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..text.json_results import RESULTS, result_schema
from .look_commands import add_overwrite

if TYPE_CHECKING:
    import argparse

    from ..jobs.input_file import Input


def config_parser(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The grammar of ``config`` and its own verbs."""
    whole = verbs.add_parser("config", help="check or expand an input file; a JSON schema for editors")
    own = whole.add_subparsers(dest="config_verb", required=True, metavar="VERB")
    one = own.add_parser("check", parents=[common], help="say all that is wrong with an input file; reads no frames")
    one.add_argument("input", type=Path, help="input file (TOML)")
    one = own.add_parser("expand", help="write an input file with [basis] and [[data]] in place of its fm_setup")
    one.add_argument("input", type=Path, help="input file (TOML) with an fm_setup")
    one.add_argument(
        "--data", metavar="FOLDER",
        help="the data set that hiertl-dist import made of the fm_setup.in (default: its trajectories as they are)",
    )  # fmt: skip
    one.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write it there, beside the input (default: print it)"
    )
    add_overwrite(one)
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
    left = _not_compared(job)
    notes = [*job.notes]
    if job.cycle is not None and job.fm_setup is not None:
        notes.append(
            f"[cycle]: a loop needs [basis] and [[data]], which hiertl-dist config expand {arguments.input} writes"
        )
    named = f": {', '.join(left)}" if left else ""
    facts = {
        "input": str(arguments.input), "elements": list(job.basis.elements),
        "types": [t.name for t in job.basis.types], "sources": len(job.data), "notes": notes,
        "not_compared": left,
    }  # fmt: skip
    lines = [
        f"{arguments.input}: nothing is wrong",
        f"elements {', '.join(job.basis.elements)}; {len(job.basis.types)} cluster types",
        *(f"note: {note}" for note in notes),
        f"no frames were read; hiertl-dist plan {arguments.input} compares them with the input{named}",
    ]
    print(json_text(facts) if arguments.json else "\n".join(lines), flush=True)
    return 0


def _not_compared(job: Input) -> list[str]:
    """Keys that name groups of frames, or files with a weight for each: whether there are such only frames tell."""
    from ..fitting.weights import explicit
    from ..frames.rows import KINDS

    fits = {"fit": job.fit, **{f"fit.blocks.{block}": own for block, own in job.block_fits.items()}}
    named = ["hold_out.groups"] * bool(job.hold_out)
    for name, own in fits.items():
        is_first = name == "fit"
        if set(explicit(own.weights)) - set(KINDS) and (is_first or own.weights != job.fit.weights):
            named.append(f"{name}.weights")
        if own.apart and (is_first or own.apart != job.fit.apart):
            named.append(f"{name}.apart")
    if job.weights is not None:
        named.append(f"weights.{'rows' if job.weights.by_row else 'frames'}")
    elif job.fit.row_weights is not None:
        named.append("weights")
    return named


def _expand(arguments: argparse.Namespace) -> int:
    from ..errors import InputError
    from ..jobs.expanding import expanded_text

    output: Path | None = arguments.output
    if output is not None and output.resolve().parent != arguments.input.resolve().parent:
        raise InputError(
            f"-o {output}: expected a file in the folder of {arguments.input}, from which its paths are taken"
        )
    _write(expanded_text(arguments.input, arguments.data), output, [arguments.input], arguments.overwrite)
    return 0


def _schema(arguments: argparse.Namespace) -> int:
    from ..jobs.input_schema import input_schema

    schema = input_schema() if arguments.of is None else result_schema(arguments.of)
    _write(json.dumps(schema, indent=1, ensure_ascii=False) + "\n", arguments.output, [], arguments.overwrite)
    return 0


def _write(text: str, output: Path | None, read: list[Path], overwrite: bool) -> None:
    """Print a text, or write it to a file, which is none of those that were read."""
    from ..files.paths import refuse_overwriting, replacing

    if output is None:
        print(text, end="", flush=True)
        return
    refuse_overwriting([output], overwrite, "-o", read)
    with replacing(output) as stream:
        stream.write(text.encode())
    print(f"written: {output}", flush=True)


_VERBS = {"check": _check, "expand": _expand, "schema": _schema}
