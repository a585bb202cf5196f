"""What ``kills.py`` starts and kills: commands, their workers and ranks, and a dask cluster of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import psutil
from launched import mpi_words
from measure import variables

HERE: Final = Path(__file__).resolve().parent
COMMAND: Final = "kills_command.py"
CASE: Final = "KILLS_CASE"
"""The variable by which the processes of a case are known."""

WORKER_WAIT: Final = 60
"""Seconds that a command waits for a worker of the cluster where there is none."""

CLUSTER: Final = "dask cluster"
"""Stands for a dask cluster that was there before, beside the names of executors."""


class Cluster:
    """A dask scheduler and two workers, each below a nanny."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._folder, self._env = folder, env
        self._log = (folder / "cluster.log").open("wb")
        file = folder / "scheduler.json"
        self._scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                                      "--scheduler-file", str(file))  # fmt: skip
        while not file.exists():
            time.sleep(0.05)
        self.address: str = json.loads(file.read_text())["address"]
        self._nannies: list[subprocess.Popen[bytes]] = []

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        dask = [sys.executable, "-m", "dask", *words]
        return subprocess.Popen(dask, env=self._env, stdout=self._log, stderr=self._log, cwd=self._folder)

    def restore(self) -> None:
        """Have two nannies: those that have ended are started anew."""
        self._nannies = [n for n in self._nannies if n.poll() is None]
        while len(self._nannies) < 2:
            words = ["--host", "127.0.0.1", "--no-dashboard", "--nthreads", "1", "--death-timeout", "60"]
            self._nannies.append(self._start("worker", self.address, *words, "--preload", str(HERE / COMMAND)))

    def nannies(self) -> list[psutil.Process]:
        """Those that run."""
        return [psutil.Process(n.pid) for n in self._nannies if n.poll() is None]

    def close(self) -> None:
        """End all of it."""
        for process in [*self._nannies, self._scheduler]:
            with suppress(psutil.NoSuchProcess):
                main = psutil.Process(process.pid)
                for one in [*main.children(recursive=True), main]:
                    with suppress(psutil.NoSuchProcess):
                        one.kill()
            process.wait()
        self._log.close()


class Slot:
    """A place where one case after the other runs: its folder, its cluster, the file of its pieces."""

    def __init__(self, folder: Path, pause: float) -> None:
        self.folder, self.pieces, self.temporary = folder, folder / "pieces", folder / "tmp"
        self.temporary.mkdir(parents=True)
        self.env = {
            **variables(), "KILLS_PIECES": str(self.pieces), "KILLS_PAUSE": str(pause), "TMPDIR": str(self.temporary),
        }  # fmt: skip
        self.env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), self.env.get("PYTHONPATH", "")]))
        self._cluster: Cluster | None = None

    def cluster(self) -> Cluster:
        """The cluster, started where it is not there."""
        if self._cluster is None:
            self._cluster = Cluster(self.folder, self.env)
        return self._cluster

    def close(self) -> None:
        """End the cluster, if there is one."""
        if self._cluster is not None:
            self._cluster.close()

    def begun(self) -> list[str]:
        """Pieces that have begun, some of them more than once."""
        return self.pieces.read_text().splitlines() if self.pieces.exists() else []

    def start(self, words: tuple[str, ...], place: Path, executor: str, workers: int, marker: str) -> Running:
        """Start a command in a folder."""
        started = [sys.executable, str(HERE / COMMAND), *words]
        cluster = None
        if executor == CLUSTER:
            cluster = self.cluster()
            cluster.restore()
            started += ["--executor", "dask", "--scheduler", cluster.address, "--worker-wait", str(WORKER_WAIT)]
        else:
            started += ["--executor", executor, "--workers", str(workers)]
        if executor == "mpi":
            started = [*mpi_words(workers), *started]
        log = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115  the command's, as long as it is asked
        process = subprocess.Popen(
            started, cwd=place, env=self.env | {CASE: marker}, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        return Running(process, executor, cluster, log, time.monotonic())


@dataclass
class Running:
    """A command that runs, and the cluster that it uses, if any."""

    process: subprocess.Popen[bytes]
    executor: str
    cluster: Cluster | None
    log: IO[bytes]
    began: float

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self.began

    def said(self) -> str:
        """What it has written."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def send(self, victim: str, pick: int) -> bool:
        """Send a signal, as in ``"worker KILL"``; False where there is no such process."""
        name, _, number = victim.rpartition(" ")
        own = self._targets(name)
        if own and not name.startswith(("all", "group", "everyone")):
            own = [own[pick % len(own)]]
        for process in own:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(getattr(signal, f"SIG{number}"))
        return bool(own)

    def _targets(self, name: str) -> list[psutil.Process]:
        try:
            main = psutil.Process(self.process.pid)
            below = main.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        if name in ("main", "launcher"):
            return [main]
        if name == "group":  # a launcher's ranks have groups of their own
            return [main, *below]
        if name == "rank":
            return [p for p in below if COMMAND in (words := _words(p)) and "hydra" not in words]
        if self.cluster is None:
            return [p for p in below if _is_worker(p)]
        nannies = self.cluster.nannies()
        if name == "everyone":  # as a queue does at its time limit
            return [main, *below, *nannies, *(p for n in nannies for p in n.children())]
        return nannies if name.endswith(("nanny", "nannies")) else [
            p for n in nannies for p in n.children() if _is_worker(p)
        ]  # fmt: skip


def _words(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _is_worker(process: psutil.Process) -> bool:
    return "spawn_main" in _words(process)


def alive(marker: str) -> list[psutil.Process]:
    """Processes of a case that still run."""
    own = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(CASE) == marker and process.status() != psutil.STATUS_ZOMBIE:
                own.append(process)
    return own
