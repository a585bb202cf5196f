"""The command ``select``: which frames of a pool to label next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .check_command import asked_posterior, covariance_options
from .evaluate_command import add_output, model_options, read_asked, sources_of, working
from .look_commands import add_overwrite, reading_options, reading_parser

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ..evaluation.energies import Model
    from ..frames.frame import Frame
    from ..uncertainty.whole_model import HierarchyPosterior


def select_parser(verbs: Any, running: argparse.ArgumentParser) -> None:
    """The grammar of the command."""
    one = verbs.add_parser(
        "select", parents=[running, reading_parser()], help="choose the frames of a pool to label next"
    )
    model_options(one, "asked", adding=False)
    size = one.add_mutually_exclusive_group(required=True)
    size.add_argument("--count", type=int, metavar="N", help="how many frames at most")
    size.add_argument(
        "--share", type=float, metavar="SHARE",
        help="or as many as tell this share (0.9) of the pool's",
    )  # fmt: skip
    one.add_argument(
        "--by", choices=("d_optimal", "leverage", "coverage"), default="d_optimal",
        help="tells most (default), farthest out, closes gaps",
    )  # fmt: skip
    one.add_argument("--fitted", nargs="+", metavar="FILE", help="frames of the fit, never chosen")
    one.add_argument(
        "--pending", nargs="+", metavar="FILE",
        help="frames chosen before: what they tell is told",
    )  # fmt: skip
    one.add_argument(
        "--policy", choices=("refuse", "skip_frame", "damp"), default="refuse",
        help="for pairs inside an inner cutoff (default refuse)",
    )  # fmt: skip
    one.add_argument("--step", type=float, default=0.1, metavar="Å", help="by coverage: nearer ones are one gap")
    covariance_options(one, "of the model, in these files, folders, libraries")
    add_output(one, "write the chosen frames (extended XYZ)")
    one.add_argument("--keep-labels", action="store_true", help="write their labels, too")
    one.add_argument("--csv", type=Path, metavar="FOLDER", help="write selection.csv into a folder")
    add_overwrite(one)


def select(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..files.json_files import json_text
    from ..files.paths import refuse_overwriting
    from ..jobs.data_tables import places_of
    from ..jobs.select_job import SELECTION, select_job

    more = [p for name in ("fitted", "pending") for p in getattr(arguments, name) or ()]
    sources = [*sources_of(arguments), *(places_of({"path": more}) if more else [])]
    if arguments.output is not None:
        refuse_overwriting([arguments.output], arguments.overwrite, "-o", sources)
    if arguments.csv is not None:
        refuse_overwriting([arguments.csv / SELECTION], arguments.overwrite, "--csv", sources)
    models, read = read_asked(arguments)
    given = _given(models, arguments)
    with working(arguments) as runner:
        report = select_job(
            read.frames, given, runner, method=arguments.by, count=arguments.count, share=arguments.share,
            fitted=_read(arguments.fitted, arguments), pending=_read(arguments.pending, arguments),
            policy=arguments.policy, step=arguments.step, missing=arguments.missing, output=arguments.output,
            keep_labels=arguments.keep_labels, tables=arguments.csv,
        )  # fmt: skip
        text = f"{read.text()}\n\n{report.text()}"
        content = report.as_dict() | read.as_dict()
        print(json_text(content) if arguments.json else text, file=runner.out(), flush=True)
    return 0


def _given(models: list[Model], arguments: argparse.Namespace) -> HierarchyPosterior | Model:
    from ..errors import InputError
    from ..evaluation.energies import Model

    if arguments.by != "coverage":
        return asked_posterior(models, arguments)
    if arguments.covariance is not None or arguments.known:
        raise InputError("select --by coverage asks for no covariance: leave out --covariance and --known")
    return models[0] if len(models) == 1 else Model.merge(models)


def _read(paths: list[str] | None, arguments: argparse.Namespace) -> Sequence[Frame]:
    """Frames of an option, whose labels don't count."""
    from ..suggestion.guessing import read_guessed

    return read_guessed(paths, {"format": reading_options(arguments)["format"]}).frames if paths else ()
