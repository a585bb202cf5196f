"""The command ``predict``: what a model says of frames, and how surely."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .check_command import asked_posterior, covariance_options
from .evaluate_command import add_calibration, add_output, calibrated, model_options, read_asked, sources_of, working
from .look_commands import add_overwrite, reading_parser

if TYPE_CHECKING:
    import argparse


def predict_parser(verbs: Any, running: argparse.ArgumentParser) -> None:
    """The grammar of the command."""
    one = verbs.add_parser(
        "predict", parents=[running, reading_parser()], help="energies, forces, stresses of frames with error bars"
    )
    model_options(one, "asked", adding=False)
    covariance_options(one, "where the covariance of the model is: these files, folders, libraries")
    add_calibration(one)
    add_output(one, "write the frames with what is predicted and its σ, of each atom too (extended XYZ)")
    one.add_argument("--csv", type=Path, metavar="FOLDER", help="write predictions.csv into a folder")
    one.add_argument("--units", choices=("kcal", "eV"), help="of the tables (default: eV, but kcal for .xyzf alone)")
    add_overwrite(one)


def predict_frames(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..files.json_files import json_text
    from ..files.paths import refuse_overwriting
    from ..jobs.predict_job import PREDICTIONS, predict_job

    sources = sources_of(arguments)
    if arguments.output is not None:
        refuse_overwriting([arguments.output], arguments.overwrite, "-o", sources)
    if arguments.csv is not None:
        refuse_overwriting([arguments.csv / PREDICTIONS], arguments.overwrite, "--csv", sources)
    models, read = read_asked(arguments)
    posterior = calibrated(asked_posterior(models, arguments), arguments.calibration)
    units = arguments.units or read.units
    with working(arguments) as runner:
        report = predict_job(
            models, read.frames, posterior, runner, missing=arguments.missing, output=arguments.output,
            tables=arguments.csv, units=units,
        )  # fmt: skip
        text = f"{read.text()}\n\n{report.text(units)}"
        content = report.as_dict() | read.as_dict()
        print(json_text(content) if arguments.json else text, file=runner.out(), flush=True)
    return 0
