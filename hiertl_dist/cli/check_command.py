"""The command ``check``: whether a model can be used."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..evaluation.energies import Model
    from ..uncertainty.whole_model import HierarchyPosterior

LATTICES = ("auto", "bcc", "fcc", "hcp", "diamond")


# long: a line for each option
def check_parser(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The options of ``check``; their names are those of :class:`~hiertl_dist.CheckSettings`."""
    one = verbs.add_parser(
        "check",
        parents=[common],
        help="can a model be used? Lattices, mixtures, dynamics (needs ASE)",
    )
    one.add_argument("models", nargs="+", type=Path, help="parameter or solution files; their sum is checked")
    one.add_argument("--elements", nargs="+", metavar="ELEMENT", help="check these (default: all of the model)")
    one.add_argument("--lattice", choices=LATTICES, help="of mixtures and dynamics (default: the lowest in energy)")
    one.add_argument(
        "--mixing",
        type=float,
        metavar="EV",
        help="eV/atom from linear mixing that random mixtures may be (default 0.15)",
    )
    one.add_argument("--ordered", type=float, metavar="EV", help="the same of ordered arrangements (default 0.3)")
    one.add_argument("--arrangements", type=int, metavar="N", help="random ones of each element set (default 4)")
    one.add_argument(
        "--temperatures", nargs="+", type=float, metavar="K", help="of the runs of dynamics (default 300 3000)"
    )
    one.add_argument("--picoseconds", type=float, metavar="PS", help="length of each run (default 1)")
    one.add_argument(
        "--time-step", type=float, metavar="FS", help="fs (default 2, less for elements lighter than 40 u)"
    )
    one.add_argument("--drift", type=float, metavar="MEV", help="meV/atom/ps that the energy may drift (default 1)")
    one.add_argument("--heat", type=float, metavar="EV", help="eV/atom that a run may give off (default 0.1)")
    one.add_argument(
        "--outside", type=float, metavar="SHARE",
        help="share of a run's steps that may have pairs outside the fitted range; more is warned of (default 0.01)",
    )  # fmt: skip
    one.add_argument(
        "--contact", type=float, metavar="Å",
        help="no pair may come closer (default: nine tenths of the closest fitted contact of each pair)",
    )  # fmt: skip
    one.add_argument("--seed", type=int, help="of arrangements and velocities (default 0)")
    one.add_argument("--threads", type=int, help="that share the atoms of a cell (default 1)")
    covariance_options(one, "predicted σ of forces from these files, folders, libraries")


def covariance_options(one: argparse.ArgumentParser, purpose: str) -> None:
    """Where the covariance of a model is; :func:`asked_posterior` takes it from there."""
    one.add_argument(
        "--covariance", nargs="*", type=Path, metavar="PLACE",
        help=f"{purpose} (without any: beside the models); refused where a block of the model has none",
    )  # fmt: skip
    one.add_argument(
        "--known",
        nargs="+",
        default=[],
        metavar="BLOCK",
        help="with --covariance: blocks that may count as known without doubt, such as published ones",
    )


def add_no_covariance(one: argparse.ArgumentParser) -> None:
    """The option of all commands that fit."""
    one.add_argument(
        "--no-covariance", action="store_true", help="write no files of what the fits leave open, for predicted errors"
    )


def asked_posterior(models: Sequence[Model], arguments: argparse.Namespace) -> HierarchyPosterior:
    """What a sum of models leaves open, from the places that were named, or from beside the models."""
    from ..evaluation.energies import Model
    from ..library.posteriors import read_posterior

    model = models[0] if len(models) == 1 else Model.merge(models)
    beside = dict.fromkeys(path.resolve().parent for path in arguments.models)
    return read_posterior(model, *(arguments.covariance or beside), known=arguments.known)


def check(arguments: argparse.Namespace) -> int:
    """Print the table; 4 where something failed."""
    from ..errors import HiertlError
    from ..evaluation.energies import Model, read_parts
    from ..executors import refuse_many
    from ..files.json_files import json_text
    from ..model.missing_types import missing_notes, zero_notes
    from ..model.parameters import merge_parameters
    from ..stability.check_rows import CheckSettings
    from ..stability.checking import check_model

    refuse_many("check", executors=False)
    given = {f.name: getattr(arguments, f.name, None) for f in fields(CheckSettings)}
    given["temperatures"] = None if arguments.temperatures is None else tuple(arguments.temperatures)
    settings = CheckSettings(**{name: value for name, value in given.items() if value is not None})
    parts = [read_parts(path) for path in arguments.models]
    for note in dict.fromkeys(note for part in parts for note in part.notes):
        print(f"note: {note}", file=sys.stderr, flush=True)
    model = Model(parts[0] if len(parts) == 1 else merge_parameters(parts))
    own = [model.parameters]
    for note in (*missing_notes(own, "the model"), *zero_notes(own, "the model")):
        print(f"note: {note}", file=sys.stderr, flush=True)
    posterior, why = None, ""
    try:
        posterior = asked_posterior([model], arguments)
    except HiertlError as error:
        if arguments.covariance is not None or arguments.known:
            raise
        why = str(error)  # nobody asked: the table says what is not there
    done = check_model(model, elements=arguments.elements, settings=settings, posterior=posterior, without=why)
    print(json_text(done.as_dict()) if arguments.json else done.text(), flush=True)
    return 0 if done.passed else 4
