"""One more element: W added to a library of Mo, Nb and Ta, beside refitting everything.

The commands are run as a user types them, each in a process of its own on one core: the library of three elements, then
W by one command with a larger basis, then all four elements from nothing. Counted are the blocks that each computes and
its CPU seconds; the checksums of every file of the first three elements are compared before and after, as are the
coefficients of the grown library and of the fit from nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import time
from contextlib import redirect_stdout
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any, Final

from bench import Benchmark, Options, absent_lines, main, tell
from measure import ROOT, table

from hiertl_dist import ElementSet, open_library
from hiertl_dist.cli.commands import main as hiertl_main

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FIRST: Final = ("Mo", "Nb", "Ta")
NEW: Final = "W"
BINARIES: Final = ("NbMo", "MoTa", "NbTa", "MoW", "NbW", "TaW")
FRAMES: Final = {"AIMD": 200, "SS": 658}
TOY_FRAMES: Final = {"AIMD": 8, "SS": 8}
ORDERS: Final = [12, 6, 0]
TOY_ORDERS: Final = [4, 2, 0]
RMIN: Final = 1.8
STATED: Final = {"theory": "PBE, VASP, of the monbtaw data set", "energy_reference": "VASP, as in the data set"}


def toml(value: Any) -> str:
    """A value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(k))} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def files_of(elements: Sequence[str], new: str | None = None) -> list[str]:
    """Names of the data of unary and binary blocks, of those with ``new`` alone if it is named."""
    binaries = [b for b in BINARIES if ElementSet.parse(b).elements <= set(elements)]
    names = [f"{e}_AIMD" for e in elements] + [f"{b}_SS" for b in binaries]
    return [f"{n}.extxyz.gz" for n in names if new is None or new in n]


def write_input(path: Path, options: Options, library: Path, elements: Sequence[str], new: str | None = None) -> Path:
    """An input file of some elements, of whose data those of one are read alone if it is named."""
    numbers = options.sized(FRAMES, TOY_FRAMES)
    pairs = {"".join(sorted(p)): {"rmin": RMIN, "rmax": 6.0, "lambda": 2.8} for p in
             combinations_with_replacement(elements, 2)}  # fmt: skip
    tables = {
        "basis": {"elements": list(elements), "orders": options.sized(ORDERS, TOY_ORDERS), "pairs": pairs,
                  "three_body": {"rmax": 5.0}},
        "data": [{"path": str(options.data / "monbtaw" / f), "group_key": "config_type",
                  "stop": numbers["AIMD" if "AIMD" in f else "SS"]} for f in files_of(elements, new)],
        "fit": {"regulariser": {"kind": "ridge", "alpha": 0.1}, "weights": {"energy": 1.0, "stress": 100.0}},
        "library": {"path": str(library), **STATED}, "output": {"folder": f"{path.stem}_results"},
        "executor": {"kind": "serial"},
    }  # fmt: skip
    path.write_text("".join(f"{k} = {toml(v)}\n" for k, v in tables.items()))
    return path


def command(options: Options, *words: str) -> dict[str, Any]:
    """A command in a process of its own: its CPU and wall seconds, peak memory, and what it printed as JSON."""
    began = time.perf_counter()
    words = (*words, "--json")
    if options.apart:
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-m", "hiertl_dist.cli", *words], stdout=subprocess.PIPE, env=environment
        )
        assert process.stdout is not None
        printed = process.stdout.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        seconds = used.ru_utime + used.ru_stime
    else:
        started, stream = time.process_time(), io.StringIO()
        with redirect_stdout(stream):
            status = hiertl_main(words)
        printed, seconds, used = stream.getvalue(), time.process_time() - started, resource.getrusage(0)
    if status:
        raise RuntimeError(f"{' '.join(words)}: status {status}")
    return {
        "command": " ".join(["hiertl-dist", words[0], *(w.rpartition("/")[2] for w in words[1:-1])]),
        "cpu_seconds": seconds, "wall_seconds": time.perf_counter() - began, "peak_MB": used.ru_maxrss / 1000,
        "answer": json.loads(printed),
    }  # fmt: skip


def sums_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of the blocks in a library."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted((folder / "blocks").rglob("*")) if p.is_file()
    }  # fmt: skip


def run(options: Options) -> dict[str, Any]:
    """Three elements, one more, and all four from nothing."""
    if (why := options.missing("monbtaw")) is not None:
        return {"absent": {"monbtaw": why}, "rows": []}
    grown, anew = options.scratch / "grown", options.scratch / "anew"
    four = (*FIRST, NEW)
    jobs = {
        "Mo, Nb, Ta": write_input(options.scratch / "three.toml", options, grown, FIRST),
        "W added": write_input(options.scratch / "four.toml", options, grown, four, NEW),
        "all four from nothing": write_input(options.scratch / "anew.toml", options, anew, four),
    }
    rows, before = [], {}
    for name, job in jobs.items():
        tell(f"  {name}")
        if name == "W added":
            before = sums_of(grown)
        done = command(options, "fit", str(job))
        blocks = sorted(done.pop("answer")["solutions"], key=lambda b: (len(b), b))
        rows.append({"name": name, "commands": 1, "blocks": blocks, **done})
    after = sums_of(grown)
    libraries = [open_library(p) for p in (grown, anew)]
    digests = [{str(b): lib.find(b).parameters_digest for b in lib.names} for lib in libraries]
    return {
        "rows": rows, "files_before": len(before), "changed": [k for k, s in before.items() if after.get(k) != s],
        "new_files": len(after) - len(before), "same_coefficients": digests[0] == digests[1],
        "bytes": sum(p.stat().st_size for p in (grown / "blocks").rglob("*") if p.is_file())
    }  # fmt: skip


def markdown(record: dict[str, Any]) -> str:
    """One table, and what was compared."""
    if not record["rows"]:
        return absent_lines(record["absent"])
    lines = [
        [r["name"], str(r["commands"]), f"{len(r['blocks'])}: {', '.join(r['blocks'])}", f"{r['cpu_seconds']:.1f}",
         f"{r['peak_MB']:.0f}"]
        for r in record["rows"]
    ]  # fmt: skip
    head = ["", "commands typed", "blocks computed", "CPU s", "peak MB"]
    changed = f"{len(record['changed'])} of {record['files_before']} files of earlier blocks changed"
    same = "the same, bit for bit," if record["same_coefficients"] else "**not the same**"
    return (
        f"{table(head, lines)}\n\n{changed}; {record['new_files']} new ones; coefficients of the grown library and of "
        f"the fit from nothing are {same} and the library's blocks take {record['bytes'] / 1e6:.1f} MB."
    )


BENCHMARK: Final = Benchmark(
    "library_growth", "W added to a library of Mo, Nb and Ta, beside refitting everything.", run, markdown
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
