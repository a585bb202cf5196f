"""The command ``evaluate``: errors of models on frames; and what ``predict`` shares with it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .check_command import asked_posterior, covariance_options
from .executor_options import executor_of, given_of_dask
from .look_commands import add_overwrite, reading_options, reading_parser
from .telling import tell_notes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..evaluation.energies import Model
    from ..executors.base import Executor
    from ..suggestion.guessing import GuessedFrames
    from ..uncertainty.whole_model import HierarchyPosterior


def evaluate_parser(verbs: Any, running: argparse.ArgumentParser) -> None:
    """The grammar of the command."""
    one = verbs.add_parser(
        "evaluate", parents=[running, reading_parser()], help="errors on frames, and where a model extrapolates"
    )
    model_options(one, "evaluated")
    one.add_argument("--ignore-other-elements", action="store_true", help="leave out atoms that a model does not know")
    one.add_argument("--units", choices=("kcal", "eV"), help="of the tables (default: eV, but kcal for .xyzf alone)")
    covariance_options(one, "report predicted errors (σ), from these files, folders, libraries")
    add_calibration(one)
    add_output(one, "write the frames with their labels and what is predicted (extended XYZ)")
    one.add_argument("--plot", type=Path, metavar="PNG", help="write parity plots and what was fitted on; PDFs too")
    one.add_argument("--csv", type=Path, metavar="FOLDER", help="write the tables as CSV files into a folder")
    add_overwrite(one)


def model_options(one: argparse.ArgumentParser, verb: str, *, adding: bool = True) -> None:
    """Models and frames: :func:`read_asked` and :func:`working` take them from there."""
    one.add_argument("models", nargs="+", type=Path, help=f"parameter or solution files; their sum is {verb}")
    one.add_argument(
        "--frames", nargs="+", required=True,
        help="trajectories (extended XYZ, .xyzf, by ASE; patterns), or the folder of a data set",
    )  # fmt: skip
    if adding:
        one.add_argument("--add", action="store_true", help="sum the terms of types that two models have")
    one.add_argument(
        "--missing", choices=("refuse", "zero"), default="refuse",
        help="for clusters of types without coefficients: refuse the frames (default), or count them for nothing",
    )  # fmt: skip


def add_calibration(one: argparse.ArgumentParser) -> None:
    """The option that names what ``calibrate`` wrote; :func:`calibrated` takes it."""
    one.add_argument(
        "--calibration", type=Path, metavar="FILE", help="scale σ by the factors that calibrate found for this model"
    )


def calibrated(posterior: HierarchyPosterior, path: Path | None) -> HierarchyPosterior:
    """The posterior with the factors of a file, if one is named."""
    from ..uncertainty.sigma_factors import SigmaFactors

    return posterior if path is None else SigmaFactors.load(path).applied(posterior)


def add_output(one: argparse.ArgumentParser, purpose: str) -> None:
    """The option that names a file of frames."""
    one.add_argument("-o", "--output", type=Path, metavar="FILE", help=purpose)


def sources_of(arguments: argparse.Namespace) -> list[Path]:
    """The files that are read, which nothing is written over."""
    from ..jobs.data_tables import places_of

    return [*arguments.models, *places_of({"path": arguments.frames})]


def read_asked(arguments: argparse.Namespace) -> tuple[list[Model], GuessedFrames]:
    """The models and the frames; what their readers passed over is told."""
    from ..evaluation.energies import Model, read_parts
    from ..suggestion.guessing import read_guessed

    models = [Model(read_parts(p)) for p in arguments.models]
    read = read_guessed(arguments.frames, reading_options(arguments))
    tell_notes(models)
    return models, read


@contextmanager
def working(arguments: argparse.Namespace) -> Iterator[Executor]:
    """The executor of a command without an input file: this process where none is named."""
    from ..executors import under_mpirun

    chosen = (arguments.executor, arguments.workers) != (None, None) or given_of_dask(arguments)
    if not chosen and not under_mpirun():
        arguments.executor = "serial"  # a cluster takes longer to start than most files take to evaluate
    with executor_of(arguments) as runner:
        yield runner


def evaluate(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..files.json_files import json_text
    from ..jobs.evaluate_job import evaluate_job
    from ..jobs.report import units_in_words

    _refuse(arguments)
    models, read = read_asked(arguments)
    units = arguments.units or read.units
    posterior = _posterior(models, arguments)
    with working(arguments) as runner:
        report = evaluate_job(
            models, read.frames, runner, ignore_other_elements=arguments.ignore_other_elements, add=arguments.add,
            missing=arguments.missing, units=units, plot=arguments.plot, tables=arguments.csv,
            posterior=posterior, output=arguments.output,
        )  # fmt: skip
        other = {"eV": "kcal", "kcal": "eV"}[units]
        in_units = f"tables: in {units_in_words(units)}; --units {other} has them in {units_in_words(other)}"
        text = f"{read.text()}\n{in_units}\n\n{report.text(units)}"
        content = report.as_dict() | read.as_dict()
        print(json_text(content) if arguments.json else text, file=runner.out(), flush=True)
    return 0


def _refuse(arguments: argparse.Namespace) -> None:
    """Raise InputError for files that are there or have no such endings, before anything is read."""
    from ..files.paths import refuse_overwriting
    from ..jobs.csv_tables import SIGMA
    from ..jobs.evaluate_job import EVALUATION_TABLES
    from ..jobs.figures import need_matplotlib

    if arguments.plot is not None:
        need_matplotlib()
    sources = sources_of(arguments)
    if arguments.plot is not None:
        from ..jobs.coverage_figure import evaluation_figures
        from ..jobs.figures import refuse_format

        refuse_format(arguments.plot, "--plot")
        refuse_overwriting(evaluation_figures(arguments.plot), arguments.overwrite, "--plot", sources)
    if arguments.csv is not None:
        tables = [
            arguments.csv / name for name in EVALUATION_TABLES if arguments.covariance is not None or name != SIGMA
        ]
        refuse_overwriting(tables, arguments.overwrite, "--csv", sources)
    if arguments.output is not None:
        refuse_overwriting([arguments.output], arguments.overwrite, "-o", sources)


def _posterior(models: list[Model], arguments: argparse.Namespace) -> HierarchyPosterior | None:
    from ..errors import InputError

    if arguments.known and arguments.covariance is None:
        raise InputError("--known says which blocks count as known where --covariance is asked for")
    if arguments.calibration is not None and arguments.covariance is None:
        raise InputError("--calibration scales the σ that --covariance asks for")
    if arguments.covariance is None:
        return None
    return calibrated(asked_posterior(models, arguments), arguments.calibration)
