"""The command under ``mpiexec``, as tests of several folders run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from synthetic import MPIEXEC, environment

SECONDS = 120
"""A hang ends here, and fails the test."""


def mpiexec(*words, ranks=2):
    """The finished job; no launcher's variables are passed on."""
    variables = {k: v for k, v in environment().items() if not k.startswith(("PMI", "OMPI_", "SLURM_"))}
    return subprocess.run(
        [str(MPIEXEC), "-n", str(ranks), *map(str, words)], env=variables, capture_output=True, text=True,
        timeout=SECONDS, check=False,
    )  # fmt: skip


MAINS = """
import contextlib, io, json, sys
from pathlib import Path
from mpi4py import MPI
from hiertl_dist.cli import main

told = []
for words in json.loads(sys.argv[2]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    told.append([code, out.getvalue(), err.getvalue()])
(Path(sys.argv[1]) / f"told-{MPI.COMM_WORLD.rank}").write_text(json.dumps(told))
"""


def commands_told(folder, *each, ranks=2):
    """Commands one after the other by the same ranks: of each (code, stdout, stderr) by rank.

    Most of the CPU seconds of a job are the starts of its interpreters.
    """
    done = mpiexec(sys.executable, "-c", MAINS, folder, json.dumps([list(map(str, w)) for w in each]), ranks=ranks)
    assert done.returncode == 0, done.stderr
    by_rank = [json.loads((folder / f"told-{rank}").read_text()) for rank in range(ranks)]
    return list(zip(*by_rank, strict=True))


def command(*words):
    """The command as ``mpiexec`` is given it."""
    return Path(sys.executable).parent / "hiertl-dist", *words
