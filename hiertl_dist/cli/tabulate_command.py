"""The command ``tabulate``: a model of pairs and triplets as tables for a LAMMPS without ChIMES."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .look_commands import add_overwrite

if TYPE_CHECKING:
    import argparse


def tabulate_parser(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The grammar of the command."""
    one = verbs.add_parser(
        "tabulate", parents=[common],
        help="a model's pairs and triplets as tables for a stock LAMMPS",
    )  # fmt: skip
    one.add_argument("models", nargs="+", type=Path, help="parameter or solution files, whose sum is tabulated")
    one.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="of the tables")
    one.add_argument("--units", choices=("metal", "real"), default="metal", help="LAMMPS's units (default metal)")
    one.add_argument(
        "--tolerance", type=float, default=1e-4,
        help="RMS error of derivatives of triplets' energies over their RMS size (default 1e-4)",
    )  # fmt: skip
    one.add_argument(
        "--missing", choices=("refuse", "zero"), default="refuse",
        help="for types without coefficients: refuse the model (default), or count them for nothing",
    )  # fmt: skip
    one.add_argument("--add", action="store_true", help="sum the terms of types that two models have")
    add_overwrite(one)


def tabulate_model(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..evaluation.energies import Model
    from ..executors import refuse_many
    from ..files.json_files import json_text
    from ..lammps_tables.tabulating import tabulate
    from ..model.missing_types import zero_notes
    from .merging import models_of

    refuse_many("tabulate", executors=False)
    parts = models_of(arguments.models, None)
    for note in dict.fromkeys(note for part in parts for note in part.parameters.notes):
        print(f"note: {note}", file=sys.stderr, flush=True)
    model = parts[0] if len(parts) == 1 else Model.merge(parts, overlap="add" if arguments.add else "refuse")
    for note in zero_notes([model.parameters], "the model"):
        print(f"note: {note}", file=sys.stderr, flush=True)
    tables = tabulate(model, units=arguments.units, tolerance=arguments.tolerance, missing=arguments.missing)
    files = tables.write(arguments.output, overwrite=arguments.overwrite)
    content = tables.as_dict() | {"files": list(map(str, files))}
    text = tables.text() + "\nwritten:\n" + "\n".join(f"  {f}" for f in files)
    print(json_text(content) if arguments.json else text, flush=True)
    return 0
