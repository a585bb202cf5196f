"""The command ``report``: a folder of results as one HTML page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .look_commands import add_overwrite, reading_options, reading_parser

if TYPE_CHECKING:
    from ..pages.findings import Findings


def report_parser(verbs: Any, common: argparse.ArgumentParser) -> None:
    """The options of ``report``."""
    one = verbs.add_parser(
        "report", parents=[common, reading_parser()], help="one HTML page of the results of a fit, search, evaluation"
    )
    what = "folder that fit, search, polish or evaluate --csv wrote to, or a file with what evaluate --json printed"
    one.add_argument("results", type=Path, help=what)
    one.add_argument("-o", "--output", type=Path, metavar="HTML", help="default: report.html in that folder")
    one.add_argument("--tables", type=Path, metavar="FOLDER", help="write every table as CSV and LaTeX into a folder")
    one.add_argument("--frames", nargs="+", help="evaluate the model on these labelled frames, and show them too")
    one.add_argument("--model", nargs="+", type=Path, metavar="FILE", help="whose sum that is (default: the results')")
    one.add_argument("--units", choices=("kcal", "eV"), help="of tables and figures (default: those of the run)")
    one.add_argument("--theory", default="", metavar="TEXT", help="level of theory of the data, for the model card")
    one.add_argument("--title", metavar="TEXT", help="of the page")
    one.add_argument("--no-figures", action="store_true", help="tables alone, without matplotlib")
    add_overwrite(one)


def report(arguments: argparse.Namespace) -> int:
    """Write the page and its tables; returns the exit code."""
    from ..executors import refuse_many
    from ..files.json_files import json_text
    from ..files.paths import refuse_overwriting
    from ..jobs.outputs import PAGE, files_of_results
    from ..pages.report_page import NO_MATPLOTLIB, report_page, write_report
    from ..pages.results_folder import read_results
    from ..pages.table_files import table_paths
    from ..text.words import count_text

    refuse_many("report", executors=False)
    given = arguments.results
    output = arguments.output or (given.with_suffix(".html") if given.is_file() else given / PAGE)
    findings = read_results(given, arguments.units, arguments.theory)
    read = [given] if given.is_file() else [p for p in files_of_results(given) if p.name != PAGE]
    refuse_overwriting([output], arguments.overwrite, "-o", read)
    if arguments.frames:
        findings = _with_frames(findings, arguments)
    page = report_page(findings, title=arguments.title, draw=False if arguments.no_figures else None)
    if arguments.tables is not None:
        refuse_overwriting(table_paths(arguments.tables, page.tables), arguments.overwrite, "--tables", read)
    files = write_report(page, output, arguments.tables)
    absent = page.texts("absent")
    if arguments.json:
        facts = {"files": list(map(str, files)), "warnings": page.texts("warning"), "not_there": absent}
        print(json_text(facts), flush=True)
        return 0
    for text in absent:
        print(f"note: not in the report: {text}", file=sys.stderr, flush=True)
    if NO_MATPLOTLIB in page.texts("note"):
        print(f"note: {NO_MATPLOTLIB}", file=sys.stderr, flush=True)
    size = output.stat().st_size / 2**20
    counts = f"{count_text(len(page.tables), 'table')}, {count_text(len(page.texts('warning')), 'warning')}"
    print(f"{output}: {size:.1f} MiB, {counts}", flush=True)
    for path in files[1:]:
        print(f"  {path}", flush=True)
    return 0


def _with_frames(findings: Findings, arguments: argparse.Namespace) -> Findings:
    """With what the model says of frames that are given, beside what the results have."""
    from dataclasses import replace

    from ..errors import InputError
    from ..evaluation.energies import Model, read_parts
    from ..executors import SerialExecutor
    from ..jobs.evaluate_job import evaluate_job
    from ..pages.findings import with_evaluation
    from ..suggestion.guessing import read_guessed

    if arguments.model:
        models = [Model(read_parts(path)) for path in arguments.model]
    elif findings.model is not None:
        models = [Model(findings.model)]
    else:
        raise InputError(
            f"--frames: {findings.source} has no model.params.txt to evaluate; --model FILE names the parameter or "
            "solution files whose sum it is"
        )
    frames = read_guessed(arguments.frames, reading_options(arguments))
    with SerialExecutor() as runner:
        done = evaluate_job(models, frames.frames, runner, missing="zero", points=True)
    more = with_evaluation(findings, done)
    return replace(more, notes=(*more.notes, *(("--frames", note) for note in frames.text().splitlines())))
