"""The command ``properties``: what a model says of crystals."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .look_commands import add_overwrite, reading_options, reading_parser

if TYPE_CHECKING:
    import argparse

    from ..evaluation.energies import Model

PROPERTIES = ("eos", "elastic", "vacancy", "surface", "phonons")


# long: a line for each option
def properties_parser(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The options of ``properties``; most names are those of :class:`~hiertl_dist.PropertySettings`."""
    one = verbs.add_parser(
        "properties", parents=[common, reading_parser()],
        help="of crystals: moduli, defects, phonons (needs ASE)",
    )  # fmt: skip
    one.add_argument("models", nargs="+", type=Path, help="parameter or solution files; their sum is used")
    one.add_argument(
        "--structure", nargs="+", default=[], metavar="LATTICE:FORMULA",
        help="such as bcc:W or rocksalt:NaCl; bcc:W:3.17 begins with that lattice constant in Å (default: with that of "
        "the densest minimum of the energy)",
    )  # fmt: skip
    one.add_argument("--frames", nargs="+", default=[], metavar="FILE", help="files of crystals")
    one.add_argument(
        "--properties", nargs="+", choices=PROPERTIES,
        help="compute these (default: all; vacancies of one element only, phonons with phonopy)",
    )  # fmt: skip
    one.add_argument(
        "--surfaces", nargs="+", metavar="HKL",
        help="Miller indices of the cell, 110 or 1,-1,0 (default: 100 110 111 of cubic cells, else 100 010 001)",
    )  # fmt: skip
    one.add_argument("--vacancy-length", type=float, metavar="Å", help="size of the cell of a vacancy (default 10)")
    one.add_argument("--thickness", type=float, metavar="Å", help="of slabs, at least (default 12)")
    one.add_argument("--vacuum", type=float, metavar="Å", help="on either side of slabs (default 10)")
    one.add_argument("--strain", type=float, help="of elastic constants (default 0.002)")
    one.add_argument(
        "--phonon-length", type=float, metavar="Å", help="size of the supercell (default: twice the largest cutoff)"
    )
    one.add_argument("--displacement", type=float, metavar="Å", help="of atoms, for phonons (default 0.01)")
    one.add_argument("--mesh", type=float, metavar="Å", help="of the phonons' density of states (default 40)")
    one.add_argument("--plot", type=Path, metavar="PNG", help="draw equations of state and phonons; a PDF too")
    one.add_argument(
        "--missing", choices=("refuse", "zero"), default="refuse",
        help="for types without coefficients: refuse the crystal (default), or count them for nothing",
    )  # fmt: skip
    one.add_argument("--threads", type=int, default=1, help="that share the atoms of a cell (default 1)")
    add_overwrite(one)


def crystal_properties_of(arguments: argparse.Namespace) -> int:
    """Print a table for each crystal; 4 where something could not be computed."""
    from ..errors import InputError
    from ..evaluation.energies import Model, read_parts
    from ..executors import refuse_many
    from ..files.json_files import json_text
    from ..files.paths import refuse_overwriting
    from ..jobs.figures import figure_files, refuse_format
    from ..model.parameters import merge_parameters
    from ..properties.settings import PropertySettings

    refuse_many("properties", executors=False)
    if not arguments.structure and not arguments.frames:
        raise InputError("properties: expected crystals, as --structure LATTICE:FORMULA or --frames FILE")
    given = {f.name: getattr(arguments, f.name) for f in fields(PropertySettings)}
    given["properties"] = None if arguments.properties is None else tuple(arguments.properties)
    given["surfaces"] = None if arguments.surfaces is None else tuple(map(_miller, arguments.surfaces))
    settings = PropertySettings(**{name: value for name, value in given.items() if value is not None})
    if arguments.plot is not None:
        refuse_format(arguments.plot, "--plot")
        refuse_overwriting(figure_files(arguments.plot), arguments.overwrite, "--plot", arguments.models)
    parts = [read_parts(path) for path in arguments.models]
    for note in dict.fromkeys(note for part in parts for note in part.notes):
        print(f"note: {note}", file=sys.stderr, flush=True)
    model = Model(parts[0] if len(parts) == 1 else merge_parameters(parts))
    return _tell(arguments, model, settings, json_text)


def _tell(arguments: argparse.Namespace, model: Model, settings: Any, json_text: Any) -> int:
    """Compute, print, draw."""
    from ..calculator import Calculator
    from ..properties.computing import crystal_properties, not_begun
    from ..properties.drawing import plot_properties

    crystals, notes = _crystals(arguments, model)
    found = []
    for name, atoms in crystals:
        if isinstance(atoms, str):
            found.append(not_begun(name, atoms, settings))
            if not arguments.json:
                print(found[-1].text(), flush=True, end="\n\n")
            continue
        atoms.calc = Calculator(
            model, extrapolation="record", missing=arguments.missing, threads=arguments.threads
        )  # one for each, for its counts
        found.append(crystal_properties(atoms, settings, name=name))
        if not arguments.json:  # as they come, for one may take minutes
            print(found[-1].text(), flush=True, end="\n\n")
    files = [] if arguments.plot is None else [str(f) for f in plot_properties(arguments.plot, found)]
    if arguments.json:
        content = {
            "model": model.parameters.source, "crystals": [one.as_dict() for one in found], "files": files,
            "notes": notes,
        }  # fmt: skip
        print(json_text(content), flush=True)
    else:
        print("\n".join([*(f"note: {n}" for n in notes), *(f"written: {f}" for f in files)]), flush=True)
    return 4 if any(one.failed for one in found) else 0


def _crystals(arguments: argparse.Namespace, model: Model) -> tuple[list[tuple[str, Any]], list[str]]:
    """Named crystals (ase.Atoms, or why there is none to begin with), and what is to be said of where they are from."""
    from ..errors import InputError
    from ..properties.structures import (
        built_crystal,
        crystal_of_frame,
        named_crystal,
        require_elements,
        starting_crystal,
    )
    from ..suggestion.guessing import read_guessed

    made: list[tuple[str, Any]] = []
    notes: list[str] = []
    named = [named_crystal(text) for text in arguments.structure]
    for asked in named:  # what nobody can compute ends the command before anything is computed
        require_elements(model, [built_crystal(asked, asked.constant or 1.0)], asked.name)
    for asked in named:
        try:
            atoms, said = starting_crystal(asked, model)
        except InputError as error:  # no minimum, which is an answer
            atoms, said = str(error), []
        made.append((asked.name, atoms))
        notes += said
    if arguments.frames:
        read = read_guessed(arguments.frames, reading_options(arguments))
        notes += read.as_dict()["notes"]
        for frame in read.frames:
            atoms = crystal_of_frame(frame)
            require_elements(model, [atoms], frame.origin)
            made.append((frame.origin, atoms))
    return made, notes


def _miller(text: str) -> tuple[int, int, int]:
    """``110`` or ``1,-1,0``."""
    from ..errors import InputError
    from ..text.words import whole_number

    numbers = [whole_number(word) for word in (text.split(",") if "," in text else text)]
    if len(numbers) != 3 or None in numbers:
        raise InputError(f"--surfaces: expected Miller indices such as 110 or 1,-1,0, found {text!r}")
    h, k, l = (n for n in numbers if n is not None)  # noqa: E741
    return h, k, l
