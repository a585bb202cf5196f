"""Every benchmark with one command: JSON for each, and one Markdown report.

    python benchmarks/run.py [--toy] [--only NAME ...] [--peers-python PYTHON] [--out FOLDER]

One that fails does not stop the others; the report says what happened, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import Benchmark, add_options, options_of, tell, write
from measure import machine, machine_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES: Final = (
    "row_kernels", "evaluation", "cost_model", "reduction", "store_io", "store_faults", "reading", "planning",
    "many_groups", "end_to_end", "peers", "scaling", "large_data", "memory", "paper_scale", "ill_conditioned", "lasso",
    "views", "search", "calibration", "selection", "active_learning", "init_rules", "energy_zero", "transfer",
    "prior_evidence", "prior_choice", "library_growth", "at_scale", "levels", "kills", "soak",
)  # fmt: skip
"""Modules with a ``BENCHMARK``, the cheap ones first."""

OUT: Final = Path(tempfile.gettempdir()) / "hiertl-benchmarks"
"""Where results go unless ``--out`` says otherwise: not into the checkout."""


def one(name: str, given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Record and text of a benchmark; of one that fails, the traceback."""
    try:
        benchmark: Benchmark = importlib.import_module(name).BENCHMARK
        with tempfile.TemporaryDirectory(prefix="hiertl-bench-") as scratch:
            record = benchmark.record(options_of(given, Path(scratch)))
        return record, benchmark.text(record, with_machine=False)
    except Exception:
        trace = traceback.format_exc()
        return {"benchmark": name, "failed": trace}, f"## {name}\n\n**It failed:**\n\n```\n{trace}```"


def main(argv: Sequence[str] | None = None) -> int:
    """Run them, write ``NAME.json``, ``NAME.md`` and ``report.md``; 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    given = parser.parse_args(argv)
    folder = given.out or OUT
    texts, failed = [f"# Benchmarks\n\n{machine_lines(machine(apart=not given.in_process))}"], []
    for name in given.only:
        tell(f"== {name}")
        record, text = one(name, given)
        write(folder, name, record, text)
        texts.append(text)
        if isinstance(record.get("failed"), str):  # the traceback; a benchmark may count failures of its own
            failed.append(name)
            tell(record["failed"])
    report = "\n\n".join(texts)
    (folder / "report.md").write_text(report + "\n")
    print(report)
    tell(f"written to {folder}")
    if failed:
        tell(f"failed: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
