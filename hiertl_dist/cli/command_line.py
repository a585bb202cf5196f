"""The grammar of the command ``hiertl-dist``: its verbs and their options."""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path
from typing import Any

from ..executors import KINDS
from .calibrate_command import calibrate_parser
from .check_command import add_no_covariance, check_parser
from .committee_command import committee_parser
from .completion_command import completion_parser
from .config_command import config_parser
from .cycle_command import cycle_parser
from .evaluate_command import evaluate_parser
from .executor_options import add_executor_options, add_scheduler_options
from .help_pages import CommandParser
from .import_command import import_parser
from .library_command import library_parser
from .look_commands import add_overwrite, look_parsers
from .merging import add_model_options
from .path_command import path_parser
from .polish_command import polish_parser
from .predict_command import predict_parser
from .probes_command import probes_parser
from .properties_command import properties_parser
from .report_command import report_parser
from .select_command import select_parser
from .store_command import store_parser
from .store_options import add_store_options
from .tabulate_command import tabulate_parser


# long: a line for each option
@cache
def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    running = argparse.ArgumentParser(add_help=False, parents=[common])
    add_executor_options(running)
    whole = argparse.ArgumentParser(add_help=False, parents=[running])
    whole.add_argument("input", type=Path, help="input file (TOML)")
    whole.add_argument("--all-at-once", action="store_true", help="all blocks together")
    whole.add_argument("--blocks", nargs="+", metavar="BLOCK", help="fit only these blocks")
    whole.add_argument("--frozen", nargs="+", type=Path, default=[], metavar="FILE", help="more frozen files")
    whole.add_argument("--partial", nargs="+", default=[], metavar="BLOCK:LOWER", help="leave LOWER free with BLOCK")
    whole.add_argument("--include-fewer", action="store_true", help="also use frames that have only some elements")
    whole.add_argument("--no-keep-rows", action="store_true", help="stream: never write rows")
    add_store_options(whole)
    reducing = argparse.ArgumentParser(add_help=False)
    kept = reducing.add_mutually_exclusive_group()
    kept.add_argument(
        "--checkpoint", metavar="FOLDER",
        help="where a long pass over rows leaves what it goes on from when it is cut (default: in the output folder)",
    )  # fmt: skip
    kept.add_argument("--no-checkpoint", action="store_true", help="leave nothing: what is cut begins anew")
    renewing = argparse.ArgumentParser(add_help=False, parents=[whole])
    renewing.add_argument(
        "--fresh", action="store_true", help="make a new store; the one that is there gets another name (….old)"
    )
    top = CommandParser(prog="hiertl-dist", description="Fit ChIMES models block by block.")
    from .. import __version__

    top.add_argument("--version", action="version", version=f"hiertl-dist {__version__}")
    verbs: Any = top.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    look_parsers(verbs, common)
    import_parser(verbs, running)
    config_parser(verbs, common)
    verbs.add_parser("plan", parents=[whole], help="say what a fit will compute, store and need")
    one = verbs.add_parser("assemble", parents=[renewing], help="compute the design rows into the store")
    one.add_argument("--verify", action="store_true", help="check complete tiles and compute damaged ones again")
    one = verbs.add_parser("fit", parents=[renewing, reducing], help="fit block by block, from few elements to many")
    one.add_argument("--also-hierarchical", action="store_true", help="with --all-at-once: fit both, and compare")
    one.add_argument("-o", "--output", type=Path, help="folder of the results")
    one.add_argument("--plot", action="store_true", help="write parity.png and .pdf (needs matplotlib)")
    one.add_argument("--csv", action="store_true", help="write the tables of the report as CSV files, too")
    add_no_covariance(one)
    verbs.add_parser(
        "summarise", aliases=["summarize"], parents=[renewing, reducing],
        help="reduce the rows once, for any number of searches",
    )  # fmt: skip
    one = verbs.add_parser(
        "search", parents=[renewing, reducing], help="choose weights, regulariser, orders by cross-validation"
    )
    one.add_argument("-o", "--output", type=Path, help="folder of the results")
    add_no_covariance(one)
    one.add_argument("--rule", choices=("best", "one_se"), help="how to choose (default: the input file's)")
    one.add_argument(
        "--plot", action=argparse.BooleanOptionalAction, help="write search.png (default: if matplotlib is there)"
    )
    polish_parser(verbs, running)
    cycle_parser(verbs, running)
    evaluate_parser(verbs, running)
    predict_parser(verbs, running)
    calibrate_parser(verbs, running)
    select_parser(verbs, running)
    committee_parser(verbs, running)
    path_parser(verbs, running)
    report_parser(verbs, common)
    check_parser(verbs, common)
    properties_parser(verbs, common)
    one = verbs.add_parser("merge", parents=[common], help="one parameter file from several blocks")
    one.add_argument("files", nargs="+", type=Path)
    one.add_argument("-o", "--output", type=Path, required=True)
    one.add_argument("--add", action="store_true", help="sum coefficients of types that two files have")
    one.add_argument("--blocks", nargs="+", help="only these blocks of the files, also of a single one")
    one.add_argument(
        "--missing", choices=("refuse", "zero"), default="refuse",
        help="zero: types without coefficients count for nothing, says the file (default: their frames are refused)",
    )  # fmt: skip
    add_model_options(one)
    add_overwrite(one)
    tabulate_parser(verbs, common)
    library_parser(verbs, common)
    store_parser(verbs, common)
    probes_parser(verbs, common)
    one = verbs.add_parser("doctor", parents=[common], help="what is installed, and what is wrong with it")
    one.add_argument("--executor", choices=KINDS, default="auto", help="that is looked at (default auto)")
    add_scheduler_options(one, "address of a dask scheduler whose workers are asked too")
    completion_parser(verbs)
    one = verbs.add_parser("demo", parents=[running], help="fit C, then N, then CN on the data that is shipped")
    one.add_argument("--folder", type=Path, default=Path("hiertl_demo"), help="where results go (default hiertl_demo)")
    return top
