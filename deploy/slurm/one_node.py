#!/usr/bin/env python3
"""Run a command beside a Slurm of one node that is started for it, and ended with it: to try job scripts.

    apt-get install slurm-wlm munge                      # Debian, Ubuntu
    python3 one_node.py sbatch --wait mpirun.sh input.toml
    python3 one_node.py bash                             # a shell with sbatch, squeue, scancel

It must be root, as Slurm's daemon on nodes is. Its munged, slurmctld and slurmd have a folder, a key and ports of their
own and listen on 127.0.0.1: a Slurm of the machine itself is neither used nor disturbed. Nothing of it is as on
a cluster but the commands: no accounting, no cgroups, and a requeued job starts again after 5 s instead of 120.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "scancel", "sinfo", "squeue")
SECONDS_TO_START = 30
SECONDS_TO_END = 10

CONF = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=5,batch_sched_delay=0
ReturnToService=2
KillWait=5
MinJobAge=3600
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Why no Slurm can be started here, or None."""
    lacking = [name for name in PROGRAMS if _program(name) is None]
    if lacking:
        return f"no {', '.join(lacking)} here: apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "slurmd must be started by root"


@contextmanager
def one_node(cpus: int | None = None) -> Iterator[dict[str, str]]:
    """Variables for the environment of Slurm's commands, while there is a Slurm.

    Parameters
    ----------
    cpus : int or None
        Cores that Slurm is told of; default: as many as there are.

    Raises
    ------
    RuntimeError
        With the last lines of the daemons' logs, if they do not start.
    """
    if reason := why_not():
        raise RuntimeError(reason)
    with tempfile.TemporaryDirectory(prefix="one_node_") as name, ExitStack() as started:
        folder = Path(name)
        folder.chmod(0o755)  # munged looks at it
        for made in ("state", "spool"):
            (folder / made).mkdir()
        with socket.socket() as first, socket.socket() as second:
            for one in (first, second):
                one.bind(("127.0.0.1", 0))
            controller, daemon = first.getsockname()[1], second.getsockname()[1]
        memory = int(0.9 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20)
        conf = folder / "slurm.conf"
        conf.write_text(
            CONF.format(
                host=socket.gethostname().split(".")[0], controller=controller, daemon=daemon, folder=folder,
                cpus=cpus or os.cpu_count(), memory=memory,
            ),
            encoding="utf-8",
        )  # fmt: skip
        (folder / "cgroup.conf").write_text(_cgroups(folder), encoding="utf-8")
        variables = {"SLURM_CONF": str(conf)}
        key = folder / "munge.key"
        subprocess.run([_program("mungekey"), "-c", "-k", str(key)], check=True)
        daemons = (
            ["munged", "-F", "--force", *(f"--{k}={folder}/munge.{v}" for k, v in MUNGE.items())],
            ["slurmctld", "-D", "-c"],
            ["slurmd", "-D"],
        )
        for command in daemons:
            started.enter_context(_running(command, folder, variables))
        _wait_for_node(folder, variables)
        try:
            yield variables
        finally:
            _end_jobs(variables)


def _end_jobs(variables: dict[str, str]) -> None:
    """Kill what still runs: processes of jobs would outlive the daemons."""
    environ = {**os.environ, **variables}
    listing = [str(_program("squeue")), "--noheader", "--format=%i %T"]
    for _ in range(5 * SECONDS_TO_END):
        left = subprocess.run(listing, env=environ, capture_output=True, text=True, timeout=60, check=False).stdout
        if not left.strip():
            return
        jobs = {line.split()[0] for line in left.splitlines()}
        for options in (["--signal=KILL", "--full"], []):  # the latter also of jobs that wait
            subprocess.run(
                [str(_program("scancel")), *options, *jobs], env=environ, capture_output=True, timeout=60, check=False
            )
        time.sleep(0.2)
    print("one_node.py: jobs are left over, see ps", file=sys.stderr)


def _cgroups(folder: Path) -> str:
    """Settings with which slurmd starts where cgroups can't be written: before 23.02 it wants a plugin, used or not."""
    told = subprocess.run([str(_program("slurmctld")), "-V"], capture_output=True, text=True, check=True).stdout
    year = int(told.split()[-1].split(".")[0])
    return "CgroupPlugin=disabled\n" if year >= 23 else f"CgroupPlugin=cgroup/v1\nCgroupMountpoint={folder}/none\n"


MUNGE = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@contextmanager
def _running(command: list[str], folder: Path, variables: dict[str, str]) -> Iterator[None]:
    """A daemon that stays in the foreground, and ends with the block."""
    program = _program(command[0])
    with (folder / f"{command[0]}.out").open("wb") as out:
        daemon = subprocess.Popen(
            [str(program), *command[1:]], env={**os.environ, **variables}, stdout=out, stderr=out,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    try:
        if command[0] == "munged":
            _until(lambda: (folder / "munge.socket").exists(), folder)
        yield
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _wait_for_node(folder: Path, variables: dict[str, str]) -> None:
    def idle() -> bool:
        command = [str(_program("sinfo")), "--noheader", "--format=%T"]
        told = subprocess.run(
            command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False
        )
        return told.stdout.strip() == "idle"

    _until(idle, folder)


def _until(ready, folder: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not ready():
        if time.monotonic() > deadline:
            logs = [*folder.glob("*.log"), *folder.glob("*.out")]
            last = [f"{log.name}: {line}" for log in logs for line in log.read_text(errors="replace").splitlines()[-5:]]
            raise RuntimeError(f"Slurm has not started within {SECONDS_TO_START} s:\n" + "\n".join(last))
        time.sleep(0.2)


def main(command: list[str]) -> int:
    """Run the command; returns its exit code, or 2 without a Slurm."""
    if not command or command[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if command else 2
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # daemons end on the way
    try:
        with one_node() as variables:
            return subprocess.run(command, env={**os.environ, **variables}, check=False).returncode
    except RuntimeError as error:
        print(f"one_node.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
