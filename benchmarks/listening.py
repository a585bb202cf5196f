"""Who listens, and where, in each mode; and a TLS cluster with temporary credentials, which refuses who has none.

    python benchmarks/listening.py [--modes NAME ...] [--out FILE]

A fit runs in each mode (serial, processes, dask, dask with TLS of its own, dask with a dashboard, two ranks of MPI)
while the listening sockets of all its processes are noted, as /proc has them. Then a scheduler and a worker are
started with credentials that a temporary authority has signed, a fit by them is compared with that of the executor
"serial", byte for byte, and two clients are refused: one without credentials, and one whose credentials another
authority signed. It ends with 1 where parameters differ, a client was not refused, or somebody but MPI listened
elsewhere than on 127.0.0.1. It wants openssl; modes whose packages (bokeh, cryptography) are not there are left out,
and named.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import hosts
import psutil

LOOPBACK: Final = ("127.0.0.1", "::1")
FRAMES: Final = 9
SECONDS_TO_START: Final = 180.0
LONGEST: Final = 900.0
HIERTL: Final = (sys.executable, "-m", "hiertl_dist.cli", "fit", "input.toml")
NEEDS: Final = {"dask, encrypted": "cryptography", "dask, dashboard": "bokeh"}


def modes() -> dict[str, list[str]]:
    """The command of each mode."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    launcher = str(mpiexec) if mpiexec.is_file() else str(shutil.which("mpiexec"))
    dask = [*HIERTL, "--executor", "dask", "--workers", "2"]
    return {
        "serial": [*HIERTL, "--executor", "serial"],
        "processes": [*HIERTL, "--executor", "processes", "--workers", "2"],
        "dask": dask, "dask, encrypted": [*dask, "--encrypted"], "dask, dashboard": [*dask, "--dashboard"],
        "mpi": [launcher, "-n", "2", *HIERTL, "--executor", "mpi"],
    }  # fmt: skip


def listeners(top: psutil.Process) -> set[tuple[str, str]]:
    """Program and address of each listening socket of a process and those below it."""
    found = set()
    with suppress(psutil.Error):
        for process in (top, *top.children(recursive=True)):
            with suppress(psutil.Error):
                for own in process.net_connections("inet"):
                    if own.status == psutil.CONN_LISTEN:
                        found.add((process.name(), own.laddr.ip))
    return found


def watched(command: Sequence[str], folder: Path) -> tuple[int, str, set[tuple[str, str]]]:
    """Run a command; its exit code, what it printed, and who listened meanwhile."""
    with (folder / "printed.txt").open("w+") as printed:
        child = subprocess.Popen(command, cwd=folder, stdout=printed, stderr=subprocess.STDOUT)
        top, found = psutil.Process(child.pid), set()
        deadline = time.monotonic() + LONGEST
        while child.poll() is None:
            found |= listeners(top)
            if time.monotonic() > deadline:
                child.kill()
            time.sleep(0.1)
        printed.seek(0)
        return child.returncode, printed.read(), found


def folder_with_input(top: Path, name: str, frames: Path) -> Path:
    """A folder of its own for a fit."""
    folder = top / name
    folder.mkdir()
    text = hosts.INPUT.format(frames=frames, store=folder / "store", output=folder / "out")
    (folder / "input.toml").write_text(text.replace("[9, 5, 3]", "[4, 2, 0]"), encoding="utf-8")
    return folder


def parameters(folder: Path) -> bytes:
    """Of the fitted model; nothing where there is none."""
    file = folder / "out" / "model.params.txt"
    return file.read_bytes() if file.is_file() else b""


# ---- TLS


def authority(folder: Path) -> dict[str, Path]:
    """Temporary credentials: an authority, and a key with a certificate that it has signed."""
    folder.mkdir()

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "rsa:2048", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca-key.pem", "-out", "ca.pem", "-days", "1", "-subj", "/CN=authority")
    openssl("req", *new, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=member")
    openssl(
        "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-out",
        "cert.pem", "-days", "1",
    )  # fmt: skip
    return {"ca-file": folder / "ca.pem", "cert": folder / "cert.pem", "key": folder / "key.pem"}


def options(credentials: dict[str, Path]) -> list[str]:
    """Of dask's commands and of ours: they have the same names."""
    return [word for name, path in credentials.items() for word in (f"--tls-{name}", str(path))]


def tls(top: Path, frames: Path, expected: bytes) -> dict[str, Any]:
    """A fit by a TLS cluster, and what two clients hear that do not belong to it."""
    own, other = authority(top / "ours"), authority(top / "theirs")
    with ExitStack() as stack:

        def start(*words: str) -> subprocess.Popen[str]:
            child = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli." + words[0], *words[1:], *options(own)], cwd=top,
                stdout=subprocess.DEVNULL, stderr=log, text=True,
            )  # fmt: skip
            stack.callback(child.wait, 30)
            stack.callback(child.terminate)
            return child

        log = stack.enter_context((top / "cluster.log").open("w+"))
        start("dask_scheduler", "--host", "127.0.0.1", "--protocol", "tls", "--port", "0", "--no-dashboard",
              "--dashboard-address", "127.0.0.1:0")  # fmt: skip
        address = address_in(top / "cluster.log")
        start(
            "dask_worker",
            address,
            "--nthreads",
            "1",
            "--host",
            "127.0.0.1",
            "--no-dashboard",
            "--protocol",
            "tls",
            "--dashboard-address",
            "127.0.0.1:0",
        )
        found = {}
        for name, words in (
            ("member", [address, *options(own)]), ("without credentials", [address.replace("tls:", "tcp:")]),
            ("of another authority", [address, *options(other)]),
        ):  # fmt: skip
            folder = folder_with_input(top, f"tls {name}", frames)
            code, printed, _ = watched([*HIERTL, "--executor", "dask", "--scheduler", *words], folder)
            last = printed.strip().splitlines()[-1:] or [""]
            found[name] = {"code": code, "said": last[0][:300], "same": parameters(folder) == expected}
        found["listened"] = sorted(set().union(*(listeners(p) for p in psutil.Process().children())))
    return found


def address_in(log: Path) -> str:
    """Where the scheduler says that it listens."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if found := re.search(r"tls://[\d.]+:\d+", log.read_text()):
            return found[0]
        time.sleep(0.2)
    raise RuntimeError(f"the scheduler did not start: {log.read_text()[-500:]}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the modes; returns 1 where something was not as it has to be."""
    parser = argparse.ArgumentParser(description="Who listens, and a TLS cluster with temporary credentials.")
    parser.add_argument("--modes", nargs="+", choices=[*modes(), "tls"], default=[*modes(), "tls"])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(argv)
    os.environ["PYTHONPATH"] = os.pathsep.join([p for p in (os.environ.get("PYTHONPATH"), str(hosts.REPOSITORY)) if p])
    found: dict[str, Any] = {}
    wrong = []
    with hosts.scratch() as top:
        frames = top / "frames.xyz"
        hosts.write_frames(frames, FRAMES)
        expected = b""
        for mode in ("serial", *(m for m in given.modes if m not in ("serial", "tls"))):
            if mode in NEEDS and find_spec(NEEDS[mode]) is None:
                print(f"{mode}: not run: no {NEEDS[mode]}", flush=True)
                continue
            folder = folder_with_input(top, mode, frames)
            code, printed, listened = watched(modes()[mode], folder)
            expected = expected or parameters(folder)
            same = bool(expected) and parameters(folder) == expected
            found[mode] = {"code": code, "same": same, "listened": sorted(listened)}
            # launcher and ranks of MPI listen as their MPI is set to
            open_to_others = [w for w in listened if w[1] not in LOOPBACK and mode != "mpi"]
            if code or not same or open_to_others:
                wrong.append(f"{mode}: {printed[-500:]}")
            print(f"{mode}: {found[mode]}", flush=True)
        if "tls" in given.modes:
            found["tls"] = tls(top, frames, expected)
            print(f"tls: {json.dumps(found['tls'], indent=1)}", flush=True)
            clients = [found["tls"][name] for name in ("member", "without credentials", "of another authority")]
            refused = all(client["code"] == 2 and not client["same"] for client in clients[1:])
            if not (clients[0]["same"] and refused) or any(a not in LOOPBACK for _, a in found["tls"]["listened"]):
                wrong.append("tls")
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print("\n".join(wrong) or "all as it has to be")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
