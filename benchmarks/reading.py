"""Trajectories of extended XYZ read: CPU ms a frame, to frames and to tables, beside ASE and extxyz's reader in C.

The files are made: positions and forces of each atom, energy, stress and a cell in the comment line, as DFT codes have
them; in one the cell is another in each frame and numbers have all their digits. The careful reader is the one that
reads small files, and frames that are not plain. extxyz is run by ``--peers-python``, the interpreter of an environment
that has it (``python -m venv peers && peers/bin/pip install extxyz``).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from bench import Benchmark, Options, interleaved, main, median_ratio, tell
from measure import figure, table, variables

from hiertl_dist.io.reading import Reading, frames_of_file, parse_run
from hiertl_dist.io.runs import iter_run_bytes, iter_runs

if TYPE_CHECKING:
    from collections.abc import Callable

REPEATS: Final = 7
READING: Final = Reading("extxyz", "made", "made.extxyz")
OURS: Final = "frames"
"""What others are held against."""

PEER: Final = """
import json, sys, time
import extxyz
extxyz.read_dicts(sys.argv[1])
found = []
for _ in range(int(sys.argv[2])):
    began = time.process_time()
    extxyz.read_dicts(sys.argv[1])
    found.append(time.process_time() - began)
print(json.dumps([found, extxyz.__version__]))
"""


class Case(NamedTuple):
    """A file: frames × atoms, digits after the point (0: all there are), and whether each frame has its own cell."""

    frames: int
    atoms: int
    digits: int = 8
    own_cells: bool = False


CASES: Final = {
    "32 atoms": Case(4000, 32), "216 atoms": Case(600, 216),
    "32 atoms, all digits, a cell each": Case(4000, 32, 0, True),
}  # fmt: skip
TOY: Final = {"32 atoms": Case(3, 32), "4 atoms, all digits, a cell each": Case(3, 4, 0, True)}


def make_file(path: Path, case: Case) -> None:
    """A trajectory with labels."""
    draw = np.random.default_rng(case.atoms)
    edge = 2.5 * case.atoms ** (1 / 3)

    def text(numbers: Any) -> str:
        return " ".join(f"{x:.{case.digits}f}" if case.digits else repr(float(x)) for x in numbers)

    with path.open("w") as stream:
        for _ in range(case.frames):
            cell = np.diag(edge + case.own_cells * draw.normal(size=3) * 0.1).ravel()
            stress = draw.normal(size=3) * 0.01
            stream.write(
                f'{case.atoms}\nLattice="{text(cell)}" Properties=species:S:1:pos:R:3:forces:R:3 '
                f'energy={text(draw.normal(size=1) - 300)} stress="{text(np.diag(stress).ravel())}" pbc="T T T" '
                "config_type=made\n"
            )
            rows = np.hstack([draw.uniform(0, edge, (case.atoms, 3)), draw.normal(size=(case.atoms, 3))])
            stream.writelines(f"{'CN'[k % 2]}  {text(row)}\n" for k, row in enumerate(rows))


def ways(path: Path) -> dict[str, Callable[[], Any]]:
    """What is done with a file."""

    def frames(small: bool) -> Any:
        return list(frames_of_file(path, READING, READING.keys(), small=small))

    found: dict[str, Callable[[], Any]] = {
        OURS: lambda: frames(False),
        "tables": lambda: [parse_run(run, READING, text).table for run, text in iter_run_bytes(path)],
        "cut into runs": lambda: list(iter_runs(path)),
        "careful reader": lambda: frames(True),
    }
    try:
        import ase.io
    except ImportError:
        return found
    return found | {"ase.io.read": lambda: ase.io.read(path, ":", format="extxyz")}


def timing(options: Options, case: Case) -> Callable[[], dict[str, list[float]]]:
    """CPU seconds of each way, in turn."""
    path = options.scratch / "made.extxyz"
    make_file(path, case)
    parts = ways(path)

    def work() -> dict[str, list[float]]:
        interleaved(parts, 1)  # which loads what is compiled, and puts the file into the page cache
        return interleaved(parts, options.sized(REPEATS, 1))

    return work


def peer(options: Options) -> tuple[list[float], str] | str:
    """What extxyz takes for the file that was read last, and its version; or why it could not be run."""
    python = options.peers_python
    if python is None:
        return "no --peers-python was given"
    if not python.exists():
        return f"there is no interpreter {python}"
    words = [str(python), "-c", PEER, str(options.scratch / "made.extxyz"), str(options.sized(REPEATS, 1))]
    done = subprocess.run(words, env=variables(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        return f"exit code {done.returncode}: {lines[-1][:300]}"
    found, version = json.loads(done.stdout)
    return found, version


def run(options: Options) -> dict[str, Any]:
    """Every file in a process of its own."""
    cases, absent, versions = {}, {}, {}
    for name, case in options.sized(CASES, TOY).items():
        turns = options.value(timing, options, case, warm=False)
        other = peer(options)
        if isinstance(other, str):
            absent["extxyz"] = other
        else:
            turns["extxyz, C"], versions["extxyz"] = other
        if "ase.io.read" not in turns:
            absent["ase.io.read"] = "ASE is not installed"
        size = (options.scratch / "made.extxyz").stat().st_size
        cases[name] = {
            **case._asdict(), "nbytes": size, "turns": turns,
            "ms_a_frame": {way: 1e3 * statistics.median(t) / case.frames for way, t in turns.items()},
            "times_slower": {way: median_ratio(t, turns[OURS]) for way, t in turns.items()},
        }  # fmt: skip
        tell(f"reading, {name}: " + ", ".join(f"{w} {v:.3f} ms" for w, v in cases[name]["ms_a_frame"].items()))
    return {"cases": cases, "absent": absent, "versions": versions}


def markdown(record: dict[str, Any]) -> str:
    """A line for each file: ms a frame of each way, and in brackets how many times as long as ours to frames."""
    columns = [OURS, "tables", "cut into runs", "careful reader", "ase.io.read", "extxyz, C"]
    lines = []
    for name, case in record["cases"].items():
        cells = []
        for way in columns:
            ms, slower = case["ms_a_frame"].get(way), case["times_slower"].get(way)
            cells.append("" if ms is None else figure(ms) if way == OURS else f"{figure(ms)} ({figure(slower)})")
        kib = case["nbytes"] / case["frames"] / 1024
        lines.append([f"{name} ({kib:.1f} KiB)", *cells])
    return table(["frame", *columns], lines)


BENCHMARK: Final = Benchmark(
    "reading", "Extended XYZ read, one process, CPU ms a frame; in brackets, times as long as ours to frames.", run,
    markdown,
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
