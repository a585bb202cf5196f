"""The job scripts of deploy/slurm, run by a real Slurm of one node; one job is cut by its time limit and goes on.

    python benchmarks/slurm_one_node.py [--frames 300] [--cases NAME ...] [--venv FOLDER] [--keep FOLDER] [--out FILE]

It must be root and have Debian's slurm-wlm and munge; "dask" also needs dask-jobqueue in the environment of --venv
(default: the one that runs this). Cases: "mpirun" (a fit by two ranks whose time limit is too short: it is warned,
requeued, and goes on), "array" (two tasks assemble one store, a job that depends on them fits), "dask" (dask_jobs.sh,
workers in a job of their own), "resubmitted" (an assembly that Slurm kills at its time limit without a warning,
submitted again), "killed" (one whose processes all get SIGKILL by scancel in its midst, submitted again), "node" (one
whose node is lost in its midst: the daemon of the node and all processes of the job get SIGKILL; the node is said to be
down, as Slurm finds by itself after five minutes, by which the job is requeued, and a new daemon is started). Each must
end well, and the parameters must be those of the executor "serial", byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import hosts
import psutil

SLURM: Final = hosts.REPOSITORY / "deploy" / "slurm"
LONGEST: Final = 1500.0
ENDED: Final = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY")
TILES_BEFORE: Final = 3
"""Complete when a job is stopped in its midst."""

LIMITED: Final = ("--time=2", "--signal=B:USR1@60")
"""Slurm counts in minutes: a warning after one, and an end a minute later."""


@dataclass(frozen=True)
class Outcome:
    """Of one case: states of its jobs in their order, how often they were requeued, and a command said it stopped."""

    case: str
    states: list[str]
    restarts: int
    seconds: float
    stopped: int
    same_parameters: bool | None
    tiles: list[str]
    """What assemblies said of what they computed and of what was there."""


@dataclass(frozen=True)
class Trial:
    """A folder with an input, and the variables with which Slurm's commands and jobs are run."""

    folder: Path
    variables: Mapping[str, str]

    def call(self, *command: str) -> str:
        """Standard output of one of Slurm's commands."""
        environment = {**os.environ, **self.variables}
        return subprocess.run(
            command, env=environment, cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()  # fmt: skip

    def submit(self, *words: str) -> str:
        """Submit a job; its number."""
        memory = "--mem=4G" if str(SLURM / "dask_jobs.sh") in words else "--mem-per-cpu=2G"
        return self.call("sbatch", "--parsable", memory, *words)

    def wait(self, *jobs: str) -> tuple[list[str], int]:
        """The states in which jobs, and tasks of arrays, ended, and how often they were requeued."""
        deadline = time.monotonic() + LONGEST
        while True:
            lines = self.call(
                "squeue", "--noheader", "--states=all", "--array", "--format=%A %T", f"--jobs={','.join(jobs)}"
            )
            states = [line.split()[1] for line in lines.splitlines()]
            if all(state in ENDED for state in states) or time.monotonic() > deadline:
                break
            time.sleep(1)
        details = "".join(self.call("scontrol", "show", "job", job) for job in jobs)
        return states, sum(map(int, re.findall(r"Restarts=(\d+)", details)))


def mpirun(trial: Trial) -> tuple[list[str], int]:
    """A fit by two ranks that is warned of its time limit."""
    ranks = ("--nodes=1", "--ntasks=2", "--ntasks-per-node=2")
    return trial.wait(trial.submit(*ranks, *LIMITED, str(SLURM / "mpirun.sh"), "fit", "input.toml"))


def array(trial: Trial) -> tuple[list[str], int]:
    """Two tasks assemble one store; a job that waits for them fits."""
    options = ("--cpus-per-task=1", "--time=20")
    both = trial.submit(*options, "--array=0-1", str(SLURM / "array.sh"), "assemble", "input.toml")
    after = trial.submit(
        *options, "--array=0-0", f"--dependency=afterok:{both}", str(SLURM / "array.sh"), "fit", "input.toml"
    )
    return trial.wait(both, after)


def dask(trial: Trial) -> tuple[list[str], int]:
    """A fit on workers of dask-jobqueue: one core for the script, one for the job of one worker."""
    workers = ("--workers=1", "--cores=1", "--memory=4GiB", "--walltime=00:20:00")
    return trial.wait(trial.submit("--time=20", str(SLURM / "dask_jobs.sh"), *workers, "--", "fit", "input.toml"))


def resubmitted(trial: Trial) -> tuple[list[str], int]:
    """An assembly that Slurm kills at its time limit without a warning, and the same job again until it is done."""
    words = ("--nodes=1", "--ntasks=2", "--ntasks-per-node=2", "--time=1", "--signal=B:CONT@1")
    states = []
    while not states or (states[-1] == "TIMEOUT" and len(states) < 10):
        states += trial.wait(trial.submit(*words, str(SLURM / "mpirun.sh"), "assemble", "input.toml"))[0]
    last = trial.submit("--cpus-per-task=1", "--time=20", "--array=0-0", str(SLURM / "array.sh"), "fit", "input.toml")
    return states + trial.wait(last)[0], 0


def in_its_midst(trial: Trial, job: str) -> None:
    """Wait until the job has completed a few tiles."""
    deadline = time.monotonic() + LONGEST
    while len(hosts.ledgers(trial.folder / "store")) < TILES_BEFORE:
        state = trial.call("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}")
        if state in ENDED or time.monotonic() > deadline:
            raise RuntimeError(f"job {job} is {state}, and could not be stopped in its midst")
        time.sleep(0.1)


def assembly(trial: Trial) -> str:
    """Submit an assembly by two ranks; its number."""
    words = ("--nodes=1", "--ntasks=2", "--ntasks-per-node=2", "--time=20")
    return trial.submit(*words, str(SLURM / "mpirun.sh"), "assemble", "input.toml")


def killed(trial: Trial) -> tuple[list[str], int]:
    """An assembly whose processes all get SIGKILL, and the same job again."""
    first = assembly(trial)
    in_its_midst(trial, first)
    trial.call("scancel", "--signal=KILL", "--full", first)
    states, _ = trial.wait(first)
    second = assembly(trial)
    more, restarts = trial.wait(second, fit_of_after(trial, second))
    return states + more, restarts


def fit_of_after(trial: Trial, job: str) -> str:
    """Submit a fit that begins once another job has ended well; its number."""
    options = ("--cpus-per-task=1", "--time=20", "--array=0-0", f"--dependency=afterok:{job}")
    return trial.submit(*options, str(SLURM / "array.sh"), "fit", "input.toml")


def node(trial: Trial) -> tuple[list[str], int]:
    """An assembly whose node is lost, and comes back without it: Slurm requeues the job."""
    job = assembly(trial)
    in_its_midst(trial, job)
    conf = Path(trial.variables["SLURM_CONF"])
    own = [p for p in psutil.process_iter() if variables_of(p) >= {("SLURM_CONF", str(conf)), ("SLURM_JOB_ID", job)}]
    steps = {step for p in own if (step := p.parent()) is not None and step.name() == "slurmstepd"}
    daemon = psutil.Process(int((conf.parent / "slurmd.pid").read_text()))
    for process in (daemon, *steps, *own):
        process.kill()
    daemon.wait(10)
    name = socket.gethostname().split(".")[0]
    # as Slurm itself does when SlurmdTimeout (300 s) is over
    trial.call("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=lost")
    started.append(subprocess.Popen(
        [which("slurmd"), "-D"], env={**os.environ, **trial.variables}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    ))  # fmt: skip
    return trial.wait(job, fit_of_after(trial, job))


def variables_of(process: psutil.Process) -> set[tuple[str, str]]:
    """A process's environment; empty where it has ended or is another's."""
    try:
        return set(process.environ().items())
    except psutil.Error:
        return set()


def which(name: str) -> str:
    """A program of Slurm's."""
    return shutil.which(name) or str(shutil.which(name, path="/usr/sbin:/usr/local/sbin"))


started: list[subprocess.Popen[bytes]] = []
"""Daemons that a case has started."""

CASES: Final[dict[str, Callable[[Trial], tuple[list[str], int]]]] = {
    "mpirun": mpirun, "array": array, "dask": dask, "resubmitted": resubmitted,
    "killed": killed, "node": node,
}  # fmt: skip


def run_case(case: str, folder: Path, frames: Path, variables: Mapping[str, str], expected: bytes) -> Outcome:
    """The jobs of one case, in a folder and a store of its own."""
    folder.mkdir()
    write_input(folder, frames)
    began = time.monotonic()
    states, restarts = CASES[case](Trial(folder, variables))
    seconds = time.monotonic() - began
    printed = "".join(file.read_text(errors="replace") for file in sorted(folder.glob("*.out")))
    written = folder / "out" / "model.params.txt"
    same = written.read_bytes() == expected if written.is_file() else None
    return Outcome(case, states, restarts, round(seconds, 1), printed.count("hiertl-dist: stopped by SIGUSR1"), same,
                   re.findall(r".*labels and offsets computed.*", printed))  # fmt: skip


def write_input(folder: Path, frames: Path) -> None:
    """An input whose rows take long, and whose reduction does not: many neighbours, few columns."""
    text = hosts.INPUT.format(frames=frames, store=folder / "store", output=folder / "out")
    text = (
        text.replace("rmax = 4.5", "rmax = 6.0").replace("rmax = 4.0", "rmax = 5.5").replace("[9, 5, 3]", "[8, 4, 3]")
    )
    (folder / "input.toml").write_text(text, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the cases; returns 1 where one has not ended well."""
    parser = argparse.ArgumentParser(description="The job scripts of deploy/slurm by a real Slurm of one node.")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--venv", type=Path, default=Path(sys.prefix), help="environment of the jobs")
    parser.add_argument("--keep", type=Path, help="new folder for outputs of jobs, stores and results")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # daemons end on the way
    sys.path.insert(0, str(SLURM))
    from one_node import one_node, why_not

    if reason := why_not():
        print(f"slurm_one_node.py: {reason}", file=sys.stderr)
        return 2
    os.environ["PYTHONPATH"] = os.pathsep.join([p for p in (os.environ.get("PYTHONPATH"), str(hosts.REPOSITORY)) if p])
    os.environ |= {"VENV": str(arguments.venv), "HIERTL": "python -m hiertl_dist.cli"}
    outcomes: list[Any] = []
    with hosts.scratch(arguments.keep) as folder, one_node() as variables:
        frames = folder / "frames.xyz"
        hosts.write_frames(frames, arguments.frames)
        write_input(folder, frames)
        command = [sys.executable, "-m", "hiertl_dist.cli", "fit", str(folder / "input.toml"), "--executor", "serial"]
        kernels = {"NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", str(folder / "kernels"))}
        began = time.monotonic()
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **kernels})
        print(f"serial: {time.monotonic() - began:.1f} s", flush=True)
        expected = (folder / "out" / "model.params.txt").read_bytes()
        for case in arguments.cases:
            outcomes.append(run_case(case, folder / case, frames, variables | kernels, expected))
            print(outcomes[-1], flush=True)
        for daemon in started:
            daemon.terminate()
            daemon.wait(10)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2) + "\n")
    return int(any(o.states[-1] != "COMPLETED" or not o.same_parameters for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
