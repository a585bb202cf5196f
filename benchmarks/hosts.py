"""Several "hosts" on one machine: network namespaces with addresses and current folders of their own, and one cut off.

    python benchmarks/hosts.py [--frames 240] [--cases NAME ...] [--python PYTHON] [--out hosts.json]

It must be root and have iproute2. A dask scheduler, two workers and the command each run on a host of their own: a
network namespace with an address of 10.203.0.0/24 that nothing outside is on, joined by a bridge in a namespace of its
own. To cut a host off, its end of the bridge is taken down: packets vanish, and nobody is told. All hosts see the same
file system, except where a case hides the store's folder from the workers.

Cases: "whole" (nothing happens), "relative" (the store's path is relative to the folder of the command), "hidden" (the
workers' hosts have another file system at the store's place), "worker" and "scheduler" (that host is cut off as soon as
some tiles are there), "worker for a while" (for 20 s). Each prints exit code, seconds to the end (from the cut, if
there is one), the last line of stderr, and whether the parameters are those of the executor "serial", byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from made import crystal, relabelled

REPOSITORY: Final = Path(__file__).parent.parent
SCHEDULER, COMMAND, WORKERS = 0, 1, (2, 3)
PORT: Final = 8786
LONGEST: Final = 600.0
SECONDS_TO_START: Final = 60.0
CASES: Final = ("whole", "relative", "hidden", "worker for a while", "worker", "scheduler")

INPUT: Final = """
[basis]
elements = ["C", "N"]
orders = [9, 5, 3]
transform = "MORSE"
cutoff = "TERSOFF 0.75"
[basis.pairs]
CC = {{ rmin = 0.60, rmax = 6.0, lambda = 1.80 }}
NN = {{ rmin = 0.60, rmax = 6.0, lambda = 1.50 }}
CN = {{ rmin = 0.60, rmax = 6.0, lambda = 1.60 }}
[basis.three_body]
rmax = 4.5
[basis.four_body]
rmax = 4.0
[[data]]
path = "{frames}"
[store]
path = "{store}"
[fit]
regulariser = {{ kind = "ridge", alpha = 0.1 }}
weights = {{ force = 1.0, energy = 0.5, stress = 50.0 }}
[output]
units = "eV"
folder = "{output}"
"""


def ip(*words: str) -> None:
    """One call of iproute2."""
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@dataclass
class Hosts:
    """Hosts 0 to ``count`` − 1, each with a current folder of its own under ``folder``, and what runs there."""

    folder: Path
    count: int
    python: str
    name: str = f"hd{os.getpid() % 10000}"
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def address(self, host: int) -> str:
        """IPv4."""
        return f"10.203.0.{host + 1}"

    def home(self, host: int) -> Path:
        """The current folder of a host's programs."""
        return self.folder / f"host{host}"

    def __enter__(self) -> Hosts:
        ip("netns", "add", f"{self.name}h")
        ip("-n", f"{self.name}h", "link", "add", "bridge", "type", "bridge")
        ip("-n", f"{self.name}h", "link", "set", "bridge", "up")
        for host in range(self.count):
            space, end = f"{self.name}n{host}", f"p{host}"
            self.home(host).mkdir()
            ip("netns", "add", space)
            ip("-n", f"{self.name}h", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("-n", f"{self.name}h", "link", "set", end, "master", "bridge", "up")
            ip("-n", space, "addr", "add", f"{self.address(host)}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "link", "set", "eth0", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.started):
            if process.poll() is None:
                process.terminate()
        for process in self.started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
        for space in [f"{self.name}h", *(f"{self.name}n{host}" for host in range(self.count))]:
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)

    def join(self, host: int, joined: bool) -> None:
        """Have a host reached by the others, or by nobody."""
        ip("-n", f"{self.name}h", "link", "set", f"p{host}", "up" if joined else "down")

    def start(self, host: int, *words: str, hide: Path | None = None) -> subprocess.Popen[bytes]:
        """A Python program on a host; ``hide``: a folder in whose place it sees an empty one."""
        command = ["ip", "netns", "exec", f"{self.name}n{host}", self.python, *words]
        if hide is not None:
            shell = 'mount -t tmpfs hidden "$0" && exec "$@"'
            command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", shell, str(hide), *command]
        environment = {**os.environ, "TMPDIR": str(self.home(host)), "OPENBLAS_NUM_THREADS": "1"}
        with (self.folder / f"host{host}.out").open("ab") as out, (self.folder / f"host{host}.err").open("ab") as err:
            process = subprocess.Popen(
                command, cwd=self.home(host), env=environment, stdout=out, stderr=err, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        return process

    def told(self, host: int, stream: str = "err") -> str:
        """What the programs of a host have printed."""
        return (self.folder / f"host{host}.{stream}").read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True)
class Outcome:
    """Of one case; ``exit_code`` is None where there was no end within the limit."""

    case: str
    exit_code: int | None
    seconds: float
    last_line: str
    same_parameters: bool | None


def write_frames(path: Path, count: int) -> None:
    """Crystals of 54 atoms, of C, of N and of both in turn, with labels at random."""
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as out:
        for k in range(count):
            frame = crystal(3, k)
            frame = frame if k % 3 == 2 else relabelled(frame, "CN"[k % 3])
            lattice = " ".join(map(repr, np.asarray(frame.cell).ravel().tolist()))
            out.write(f'{len(frame)}\nLattice="{lattice}" Properties=species:S:1:pos:R:3:forces:R:3 ')
            out.write(f'energy={rng.normal()} pbc="T T T"\n')
            for element, place, force in zip(
                frame.species, frame.positions.tolist(), rng.normal(size=(len(frame), 3)).tolist(), strict=True
            ):
                out.write(" ".join([element, *map(repr, place), *map(repr, force)]) + "\n")


def run_case(case: str, folder: Path, frames: Path, python: str, expected: bytes) -> Outcome:
    """One cluster, one fit."""
    folder.mkdir()
    store = folder / "store"
    store.mkdir()
    with Hosts(folder, 2 + len(WORKERS), python) as hosts:
        place = "store" if case == "relative" else str(store)
        file = hosts.home(COMMAND) / "input.toml"
        file.write_text(INPUT.format(frames=frames, store=place, output=folder / "out"), encoding="utf-8")
        start_cluster(hosts, hide=store if case == "hidden" else None)
        began = time.monotonic()
        address = f"tcp://{hosts.address(SCHEDULER)}:{PORT}"
        fit = hosts.start(COMMAND, "-m", "hiertl_dist.cli", "fit", "input.toml", "--scheduler", address)
        if case in ("worker", "worker for a while", "scheduler"):
            wait_until(lambda: fit.poll() is not None or ledgers(store), LONGEST)
            began = time.monotonic()
            cut = SCHEDULER if case == "scheduler" else WORKERS[0]
            hosts.join(cut, False)
            if case == "worker for a while":
                time.sleep(20)
                hosts.join(cut, True)
        try:
            code: int | None = fit.wait(LONGEST)
        except subprocess.TimeoutExpired:
            code = None
        seconds = time.monotonic() - began
        lines = hosts.told(COMMAND).strip().splitlines()
    written = folder / "out" / "model.params.txt"
    same = written.read_bytes() == expected if written.is_file() else None
    strays = [w for w in WORKERS if (hosts.home(w) / "store").exists()]
    last = (lines[-1] if lines else "") + (f" [a store in the folders of workers {strays}]" if strays else "")
    return Outcome(case, code, round(seconds, 1), last, same)


def start_cluster(hosts: Hosts, hide: Path | None) -> None:
    """A scheduler and workers, which listen on their host's own address alone."""
    address = hosts.address(SCHEDULER)
    hosts.start(
        SCHEDULER, "-m", "distributed.cli.dask_scheduler", "--host", address, "--port", str(PORT), "--no-dashboard"
    )
    wait_until(lambda: "Scheduler at" in hosts.told(SCHEDULER), SECONDS_TO_START)
    for worker in WORKERS:
        hosts.start(
            worker, "-m", "distributed.cli.dask_worker", f"tcp://{address}:{PORT}", "--nthreads", "1", "--no-dashboard",
            "--host", hosts.address(worker), "--local-directory", str(hosts.home(worker)), "--memory-limit", "4GiB",
            hide=hide,
        )  # fmt: skip
    wait_until(lambda: all("Registered to" in hosts.told(worker) for worker in WORKERS), SECONDS_TO_START)


def ledgers(store: Path) -> list[Path]:
    """The files that say which tiles are complete."""
    return [path for path in store.rglob("ledger/blocks*/*") if path.is_file()]


def wait_until(ready: Any, seconds: float) -> None:
    """Raise TimeoutError where something is not so in time."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not ready after {seconds:.0f} s")
        time.sleep(0.1)


@contextmanager
def scratch(keep: Path | None = None) -> Iterator[Path]:
    """A new folder that goes at the end, or ``keep``, which stays."""
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="hosts_"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the cases; returns 1 where parameters differ, or a case has no end."""
    parser = argparse.ArgumentParser(description="Hosts with addresses of their own, and one cut off.")
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(argv)
    if os.geteuid() != 0 or shutil.which("ip") is None:
        print("hosts.py: network namespaces need root, and ip of iproute2", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # hosts end on the way
    os.environ["PYTHONPATH"] = os.pathsep.join([p for p in (os.environ.get("PYTHONPATH"), str(REPOSITORY)) if p])
    outcomes = []
    with scratch() as folder:
        frames = folder / "frames.xyz"
        write_frames(frames, arguments.frames)
        own = folder / "serial.toml"
        own.write_text(INPUT.format(frames=frames, store=folder / "store", output=folder / "out"), encoding="utf-8")
        command = [arguments.python, "-m", "hiertl_dist.cli", "fit", str(own), "--executor", "serial"]
        subprocess.run(command, check=True, capture_output=True)
        expected = (folder / "out" / "model.params.txt").read_bytes()
        for case in arguments.cases:
            outcome = run_case(case, folder / case.replace(" ", "_"), frames, arguments.python, expected)
            outcomes.append(outcome)
            same = {None: "no parameters", True: "same parameters", False: "OTHER PARAMETERS"}[outcome.same_parameters]
            print(f"{case}: exit code {outcome.exit_code} after {outcome.seconds} s, {same}\n    {outcome.last_line}",
                  flush=True)  # fmt: skip
    if arguments.out is not None:
        arguments.out.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2) + "\n")
    return int(any(o.exit_code is None or o.same_parameters is False for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
