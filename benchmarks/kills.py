"""Commands that are killed at random moments and started again: the same bits, and nothing left behind?

Assemblies, imports, summaries, streamed fits with checkpoints and searches of frames of ``cn_pbe`` (shipped), as
commands with small, slowed pieces (``kills_command.py``). In each case processes are killed once or twice: the command
itself, all of its processes, its workers, the workers or nannies of a dask cluster that was there before, ranks or the
launcher of MPI; with SIGKILL, SIGTERM or SIGUSR1; when a random number of pieces have begun, before the first, or after
the last. In some cases two commands run on one folder at once, one of them is killed, and the other has to complete the
work. A command that does not end with 0 is started again with another executor and another number of workers.
What is there in the end, all files of it, is compared with what the executor "serial" makes undisturbed.

``python benchmarks/kills.py [--toy] [--out FOLDER] [--number 200] [--minutes 30] [--seed 0] [--first 0]``: it ends with
1 where something went wrong. A case is repeated by its seed and number: ``--seed SEED --first NUMBER --number 1``.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import psutil
from bench import Benchmark, Options, add_options, options_of, tell, write
from kills_processes import CLUSTER, Slot, alive
from measure import table

from hiertl_dist.jobs.stores import stores_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kills_processes import Running

NUMBER: Final = 200
MINUTES: Final = 30.0
AT_ONCE: Final = 3
"""Cases that run at the same time."""

LIMIT: Final = 100.0
"""Seconds after which a command is said to hang."""

STARTING: Final = 1.5
"""Seconds within which a command dies that is killed before its first piece."""

PAUSE: Final = 0.08
"""Seconds that a piece takes longer than it has to."""

COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "assemble": ("assemble", "input.toml"),
    "import": ("import", "data.frames", "../frames.extxyz", "--group-key", "config_type"),
    "summarise": ("summarise", "input.toml", "--no-keep-rows"),
    "fit, streamed": ("fit", "input.toml", "--no-keep-rows"),
    "search": ("search", "input.toml", "--no-plot"),
}
OF_WORKERS: Final = ("worker KILL", "all workers KILL")
VICTIMS: Final[dict[str, tuple[str, ...]]] = {
    "serial": ("main KILL", "main TERM", "main USR1"),
    "processes": (
        "main KILL",
        "group KILL",
        "main TERM",
        "group USR1",
        "group TERM",
        "worker KILL",
        "all workers KILL",
    ),
    "dask": ("main KILL", "group KILL", "main USR1", "group USR1", "group TERM", *OF_WORKERS),
    CLUSTER: ("main KILL", "main TERM", "everyone TERM", "worker KILL", "nanny KILL", "nanny TERM", "all nannies KILL"),
    "mpi": ("rank KILL", "launcher KILL", "group KILL", "launcher TERM", "launcher USR1", "rank USR1", "rank TERM"),
}
"""By executor, what is killed with which signal."""

OF_ITS_OWN: Final = ("--output", "results-of-another")
"""Where two commands run at once, the one that is killed shares stores with the other, but not this."""

WORKERS: Final = {"serial": (1,), "processes": (2, 3), "dask": (1, 2), CLUSTER: (2,), "mpi": (2, 3)}

INPUT: Final = """
[basis]
elements = ["C", "N"]
orders = [6, 3, 0]
transform = "MORSE"
cutoff = "TERSOFF 0.75"
[basis.pairs]
CC = { rmin = 0.60, rmax = 5.0, lambda = 1.80 }
NN = { rmin = 0.60, rmax = 5.0, lambda = 1.50 }
CN = { rmin = 0.60, rmax = 5.0, lambda = 1.60 }
[basis.three_body]
rmax = 4.0
[[data]]
path = "../frames.extxyz"
group_key = "config_type"
[fit]
regulariser = { kind = "ridge", alpha = 0.1 }
weights = { force = 1.0, energy = 0.5, stress = 50.0 }
[store]
path = "design.zarr"
wait = 60
[search]
folds = 3
[search.grid]
regulariser = { kind = "ridge", alpha = [0.01, 0.1] }
[output]
folder = "results"
"""

EVERY: Final = 3
"""Each which of the frames that are shipped is taken."""


class Kill(NamedTuple):
    """A command and its end: ``moment``: a share of the pieces that are left, below 0 before the first of them."""

    executor: str
    workers: int
    victim: str
    moment: float
    delay: float
    pick: int


@dataclass(frozen=True)
class Case:
    """Which command, how it is killed, and who completes it; ``at_once``: the latter runs beside it."""

    number: int
    command: str
    kills: tuple[Kill, ...]
    last: tuple[str, int]
    at_once: bool


@dataclass
class Outcome:
    """What came of a case: what went wrong, how each of its runs ended, pieces, seconds."""

    case: Case
    wrong: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    kills: int = 0
    again: int = 0
    pieces: int = 0
    longest: float = 0.0
    outlived: float = 0.0
    scratch: list[str] = field(default_factory=list)
    said: str = ""


@dataclass(frozen=True)
class Truth:
    """What a command makes undisturbed: pieces, and the digest of each file."""

    pieces: int
    files: dict[str, str]

    @property
    def folders(self) -> set[str]:
        """In which its files are."""
        return {name.partition("/")[0] for name in self.files}


def case_of(seed: int, number: int, executors: Sequence[str]) -> Case:
    """A case, from its seed and number; every victim has its turn with every command."""
    rng = np.random.default_rng((seed, number))
    pairs = [(e, v) for e in executors for v in VICTIMS[e]]
    own, victim = pairs[number % len(pairs)]
    command = list(COMMANDS)[(number + number // math.lcm(len(pairs), len(COMMANDS))) % len(COMMANDS)]
    at_once = bool(rng.random() < 0.15)
    kills: list[Kill] = []
    for turn in range(1 if at_once or rng.random() < 0.6 else 2):
        if turn:
            own, victim = pairs[rng.integers(len(pairs))]
        workers = int(rng.choice(WORKERS[own]))
        numbers = float(rng.uniform(-0.1, 1.1)), float(rng.uniform(0.0, PAUSE)), int(rng.integers(2**16))
        kills.append(Kill(own, workers, victim, *numbers))
    others = [e for e in executors if e not in (own, CLUSTER if at_once else own)]
    last = str(rng.choice(others or [own]))
    return Case(number, command, tuple(kills), (last, int(rng.choice(WORKERS[last]))), at_once)


# ---- what is there


def digests(place: Path) -> dict[str, str]:
    """By name, a digest of each file of a case's folder, but for locks, records of runs, and results of runs before."""
    made: dict[str, str] = {}
    for path in sorted(p for p in place.rglob("*") if not p.is_dir()):
        name = str(path.relative_to(place))
        if path.name in (".lock", "run.json") or "/earlier_" in name or name.startswith(("input.toml", OF_ITS_OWN[1])):
            continue
        content = _without_own(path.name.removesuffix(".copy"), path.read_bytes())
        made[name] = hashlib.sha256(content).hexdigest()
    return made


def _without_own(name: str, content: bytes) -> bytes:
    """Content without the little that each run has of its own, and the checksum over that."""
    if name == "zarr.json" and b'"provenance"' in content:  # the commands that were called
        described = json.loads(content)
        own = described["attributes"]
        described["attributes"] = {k: v for k, v in own.items() if k not in ("provenance", "sha256")}
        content = json.dumps(described, sort_keys=True).encode()
    if name == "dataset.json":
        described = {k: v for k, v in json.loads(content).items() if k not in ("id", "sha256")}
        content = json.dumps(described).encode()
    return content


def compared(made: dict[str, str], truth: dict[str, str]) -> Iterator[str]:
    """What is missing, different, or left behind."""
    if missing := sorted(set(truth) - set(made)):
        yield f"missing: {missing[:3]}"
    if differing := sorted(n for n in set(truth) & set(made) if truth[n] != made[n]):
        yield f"differs: {differing[:3]}"
    if left := sorted(set(made) - set(truth)):
        yield f"left behind: {left[:3]}"


def damage(place: Path) -> Iterator[str]:
    """What ``store check`` says of the stores of a case."""
    for folder in (place / name for name in ("design.zarr", "summaries", "data.frames")):
        for store in stores_at(folder) if folder.exists() else ():
            yield from (f"damaged: {fault.text()}" for fault in store.check())


# ---- one case


def allowed(kill: Kill, hit: bool, early: bool = False) -> tuple[int, ...]:
    """Exit codes that a command may have that was killed so, perhaps before its first piece, or while it leaves.

    The launcher of MPI passes on how ranks died.
    """
    name, _, number = kill.victim.rpartition(" ")
    if not hit:
        return (0,)
    if name in ("worker", "all workers", "nanny", "all nannies"):
        return (0, 1)
    if number == "KILL":
        return tuple(range(1, 256)) if kill.executor == "mpi" and name == "rank" else (-9, 137)
    code = {"TERM": 15, "USR1": 10}[number]
    # before the handlers are there, the signal ends it
    return (75, 0, *((-code, 128 + code, code) if early or kill.executor == "mpi" else ()))


def wait_for_moment(running: Running, kill: Kill, slot: Slot, total: int) -> bool:
    """Wait until it is time to kill; False where the command has ended before."""
    before = slot.begun()
    left = total - len(set(before))
    at = time.monotonic() - kill.moment * 10 * STARTING if kill.moment < 0 else math.inf
    while running.process.poll() is None and running.seconds < LIMIT:
        begun = len(slot.begun()) - len(before)
        if time.monotonic() >= at:
            return True
        if math.isinf(at) and kill.moment >= 0 and begun >= min(kill.moment, 1.0) * left:
            # after the last piece: whenever results are made of them
            at = time.monotonic() + kill.delay * (10 if kill.moment > 1 else 1)
        time.sleep(0.003)
    return False


def end_of(running: Running, codes: Sequence[int], what: str, outcome: Outcome) -> int:
    """Wait for the end of a command, and judge it; its exit code."""
    try:
        code = running.process.wait(max(0.1, LIMIT - running.seconds))
    except TimeoutExpired:
        outcome.wrong.append(f"hangs: {what}")
        running.send("group KILL", 0)
        code = running.process.wait()
    outcome.longest = max(outcome.longest, running.seconds)
    outcome.ends.append(f"{what}: {code}")
    said = running.said()
    running.log.close()
    outcome.said += f"-- {what}: exit code {code} after {running.seconds:.1f} s\n{said}\n"
    if code not in codes:
        outcome.wrong.append(f"exit code {code}: {what}")
    if "Traceback (most recent call last)" in said:
        outcome.wrong.append(f"traceback: {what}")
    return code


def run_case(case: Case, slot: Slot, truth: Truth) -> Outcome:
    """Do one case."""
    outcome, marker = Outcome(case), f"{slot.folder}/{case.number}"
    place = slot.folder.parent / f"case{case.number}"
    make_place(place)
    slot.pieces.unlink(missing_ok=True)
    words = COMMANDS[case.command]
    code, other = 1, None
    for kill in case.kills:
        own = (*words, *OF_ITS_OWN) if case.at_once and "results" in truth.folders else words
        running = slot.start(own, place, kill.executor, kill.workers, marker)
        if case.at_once:
            other = slot.start(words, place, *case.last, marker)
        # or after its last, when its results are written and it leaves
        early = not 0 <= kill.moment <= 1 or len(set(slot.begun())) == truth.pieces
        hit = wait_for_moment(running, kill, slot, truth.pieces) and running.send(kill.victim, kill.pick)
        outcome.kills += hit
        if running.cluster is not None and kill.pick % 2:  # else a command finds fewer workers, or none
            running.cluster.restore()
        code = end_of(running, allowed(kill, hit, early), f"{kill.executor} × {kill.workers}, {kill.victim}", outcome)
        if code == 0:
            break
    what = f"{case.last[0]} × {case.last[1]}, last"
    if other is not None:
        end_of(other, (0,), f"{what}, at once", outcome)
    elif code != 0:
        end_of(slot.start(words, place, *case.last, marker), (0,), what, outcome)
    began = time.monotonic()
    while (own := alive(marker)) and time.monotonic() - began < LIMIT / 3:
        time.sleep(0.1)
    outcome.outlived = time.monotonic() - began
    if own:
        outcome.wrong.append(f"still there: {[' '.join(p.cmdline())[-80:] for p in own]}")
        for process in own:
            with suppress(psutil.Error):
                process.kill()
    outcome.wrong += [*compared(digests(place), truth.files), *damage(place)]
    begun = slot.begun()
    outcome.pieces, outcome.again = len(set(begun)), len(begun) - len(set(begun))
    if other is None and outcome.pieces != truth.pieces:
        outcome.wrong.append(f"other pieces: {outcome.pieces}, expected {truth.pieces}")
    _clean(slot, outcome)
    if outcome.wrong:
        tell(f"{case}:\n  " + "\n  ".join(outcome.wrong))
    else:
        shutil.rmtree(place)
    return outcome


def _clean(slot: Slot, outcome: Outcome) -> None:
    """Count and remove what killed processes have left in the folder for temporary files."""
    for path in slot.temporary.iterdir():
        if path.name != "dask-scratch-space":
            outcome.scratch.append(path.name)
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def make_place(place: Path) -> None:
    """A folder with the input."""
    place.mkdir()
    (place / "input.toml").write_text(INPUT)


def make_frames(path: Path, most: int | None) -> None:
    """Write some of the frames that are shipped."""
    with files("hiertl_dist").joinpath("data", "cn_pbe.extxyz.gz").open("rb") as packed:
        lines = gzip.decompress(packed.read()).decode().splitlines(keepends=True)
    chosen, at, number = [], 0, 0
    while at < len(lines):
        end = at + int(lines[at]) + 2
        if number % EVERY == 0 and (most is None or number < most):
            chosen += lines[at:end]
        at, number = end, number + 1
    path.write_text("".join(chosen))


def truth_of(command: str, slot: Slot, folder: Path) -> Truth:
    """Run a command undisturbed. Raises RuntimeError where it fails."""
    place = folder / f"truth-{command.partition(',')[0]}"
    make_place(place)
    slot.pieces.unlink(missing_ok=True)
    running = slot.start(COMMANDS[command], place, "serial", 1, f"{place}")
    code, said = running.process.wait(), running.said()
    running.log.close()
    if code != 0:
        raise RuntimeError(said)
    return Truth(len(set(slot.begun())), digests(place))


# ---- all of them


def run(
    options: Options, *, seed: int = 0, first: int = 0, number: int = NUMBER, minutes: float = MINUTES,
    keep: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Do the cases, two at once; ``keep``: a folder for what was said where something went wrong."""
    executors = tuple(VICTIMS) if not options.toy else ("serial",)
    commands = list(COMMANDS) if not options.toy else ["import"]
    make_frames(options.scratch / "frames.extxyz", 40 if options.toy else None)
    pause = 0.01 if options.toy else PAUSE
    slots = [Slot(options.scratch / f"slot{i}", pause) for i in range(1 if options.toy else AT_ONCE)]
    slots[0].env["KILLS_PAUSE"] = "0"
    truth = {c: truth_of(c, slots[0], options.scratch) for c in commands}
    slots[0].env["KILLS_PAUSE"] = str(pause)
    cases = [case_of(seed, i, executors) for i in range(first, first + number)]
    if options.toy:
        kill = Kill("serial", 1, "main KILL", 0.5, 0.0, 0)
        cases = [Case(0, "import", (kill,), ("serial", 1), at_once=False)]
    waiting, lock, outcomes = iter(cases), threading.Lock(), []
    end = time.monotonic() + 60.0 * minutes

    def work(slot: Slot) -> None:
        while time.monotonic() < end:
            with lock:
                case = next(waiting, None)
            if case is None:
                return
            outcome = run_case(case, slot, truth[case.command])
            with lock:
                outcomes.append(outcome)
                tell(f"{len(outcomes)}: {case.number} {case.command}: {', '.join(outcome.ends)}; {outcome.again} again")
            if keep is not None and outcome.wrong:
                (keep / f"case-{case.number}.txt").write_text(f"{case}\n{outcome.wrong}\n{outcome.said}")

    try:
        with ThreadPoolExecutor(len(slots)) as pool:
            list(pool.map(work, slots))
    finally:
        for slot in slots:
            slot.close()
    return record_of(outcomes, truth, seed)


def record_of(outcomes: Sequence[Outcome], truth: dict[str, Truth], seed: int) -> dict[str, Any]:
    """The record of all cases, for JSON."""
    cases = [
        {
            "number": o.case.number, "command": o.case.command, "at_once": o.case.at_once,
            "kills": [k._asdict() for k in o.case.kills], "last": list(o.case.last), "killed": o.kills, "ends": o.ends,
            "pieces": o.pieces, "again": o.again, "longest": o.longest, "outlived": o.outlived, "scratch": o.scratch,
            "wrong": o.wrong,
        }
        for o in sorted(outcomes, key=lambda o: o.case.number)
    ]  # fmt: skip
    return {"seed": seed, "pieces": {c: t.pieces for c, t in truth.items()}, "cases": cases}


def markdown(record: dict[str, Any]) -> str:
    """A row for each command, and for each kind of kill."""
    cases = record["cases"]
    by: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for case in cases:
        by[f"{case['command']} ({record['pieces'][case['command']]} pieces)"].append(case)
    for case in cases:
        first = case["kills"][0]
        by[f"first kill: {first['executor']}, {first['victim']}"].append(case)
    by["two at once"] = [c for c in cases if c["at_once"]]
    by["all"] = cases
    figures = ["cases", "kills", "came too late", "alike", "pieces again, a kill", "most", "longest run, s"]
    head = ["", *figures, "went wrong"]
    return table(head, [_row(name, own) for name, own in by.items() if own]) + "\n\nExit codes: " + _codes(cases)


def _row(name: str, own: list[dict[str, Any]]) -> list[Any]:
    kills = sum(c["killed"] for c in own)
    alone = [c for c in own if not c["at_once"]]
    alike = sum(not any(w.startswith(("differs", "missing")) for w in c["wrong"]) for c in own)
    return [
        name, len(own), kills, sum(len(c["ends"]) > 0 and c["killed"] == 0 for c in own), alike,
        f"{sum(c['again'] for c in alone) / max(1, sum(c['killed'] for c in alone)):.2f}",
        max((c["again"] for c in alone), default=None),
        f"{max(c['longest'] for c in own):.1f}", sum(bool(c["wrong"]) for c in own),
    ]  # fmt: skip


def _codes(cases: list[dict[str, Any]]) -> str:
    """How commands ended that were killed, by victim."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for case in cases:
        for end in case["ends"]:
            what, _, code = end.rpartition(": ")
            executor, _, rest = what.partition(" × ")
            counts[f"{executor}, {rest.partition(', ')[2]}"][code] += 1
    told = (f"{w}: {', '.join(f'{c} ({n})' for c, n in own.items())}" for w, own in sorted(counts.items()))
    return "; ".join(told) + "."


BENCHMARK = Benchmark("kills", "Processes killed at random moments, and started again otherwise.", run, markdown)


def main() -> int:
    """The command line; 1 where something went wrong."""
    parser = argparse.ArgumentParser(description=BENCHMARK.title)
    add_options(parser)
    parser.add_argument("--number", type=int, default=NUMBER, help=f"of cases (default: {NUMBER})")
    parser.add_argument("--first", type=int, default=0, help="the first case (default: 0)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"after which none begins (default: {MINUTES})")
    given = parser.parse_args()
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
    own = partial(
        run, seed=given.seed, first=given.first, number=given.number, minutes=given.minutes, keep=given.out
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="hiertl-bench-") as scratch:
        record = Benchmark("kills", BENCHMARK.title, own, markdown).record(options_of(given, Path(scratch)))
    text = BENCHMARK.text(record)
    print(text)
    write(given.out, "kills", record, text)
    return int(any(case["wrong"] for case in record["cases"]))


if __name__ == "__main__":
    sys.exit(main())
