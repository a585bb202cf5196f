"""The command under ``mpiexec``, as tests of several folders run it."""

from __future__ import annotations

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


def command(*words):
    """The command as ``mpiexec`` is given it."""
    return Path(sys.executable).parent / "hiertl-dist", *words
