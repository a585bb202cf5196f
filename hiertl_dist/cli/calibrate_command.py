"""The command ``calibrate``: predicted errors beside real ones, and factors that make them right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .check_command import asked_posterior, covariance_options
from .evaluate_command import add_output, model_options, read_asked, sources_of, working
from .look_commands import add_overwrite, reading_parser

if TYPE_CHECKING:
    import argparse


def calibrate_parser(verbs: Any, running: argparse.ArgumentParser) -> None:
    """The grammar of the command."""
    one = verbs.add_parser(
        "calibrate", parents=[running, reading_parser()], help="predicted σ against real errors, and factors for it"
    )
    model_options(one, "asked", adding=False)
    covariance_options(one, "where the covariance of the model is: these files, folders, libraries")
    add_output(one, "write the factors (JSON), for --calibration of predict and evaluate")
    one.add_argument("--units", choices=("kcal", "eV"), help="of the tables (default: eV, but kcal for .xyzf alone)")
    add_overwrite(one)


def calibrate(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..files.json_files import json_text
    from ..files.paths import refuse_overwriting
    from ..jobs.calibrate_job import calibrate_job

    if arguments.output is not None:
        refuse_overwriting([arguments.output], arguments.overwrite, "-o", sources_of(arguments))
    models, read = read_asked(arguments)
    posterior = asked_posterior(models, arguments)
    with working(arguments) as runner:
        report = calibrate_job(read.frames, posterior, runner, output=arguments.output, missing=arguments.missing)
        text = f"{read.text()}\n\n{report.text(arguments.units or read.units)}"
        content = report.as_dict() | read.as_dict()
        print(json_text(content) if arguments.json else text, file=runner.out(), flush=True)
    return 0
