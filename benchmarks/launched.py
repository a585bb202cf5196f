"""Calls made in new interpreters: ``launch("module:function", …)``, under ``mpiexec`` where ranks are given.

The function is one of a benchmark's modules; arguments and answers travel through pickles in a folder.
"""

from __future__ import annotations

import importlib
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import variables

if TYPE_CHECKING:
    from collections.abc import Sequence


def mpi_words(ranks: int) -> list[str]:
    """The words that start so many ranks: the launcher beside this interpreter, else the one on the path.

    Raises RuntimeError where there is none.
    """
    beside = Path(sys.executable).parent / "mpiexec"
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise RuntimeError(f"expected an mpiexec beside {sys.executable} or on the path, found none")
    return [found, "-n", str(ranks)]


def launch(call: str, args: Sequence[Any], scratch: Path, *, ranks: int = 0) -> list[Any]:
    """What ``module:function`` of a benchmark answers to ``args``, from each of ``ranks`` MPI ranks, or one process.

    Raises RuntimeError where one fails, and where there is no mpiexec; what they write to stderr goes to ours.
    """
    folder = Path(tempfile.mkdtemp(dir=scratch))
    (folder / "asked").write_bytes(pickle.dumps((call, tuple(args))))
    words = mpi_words(ranks) if ranks else []
    done = subprocess.run(
        [*words, sys.executable, str(Path(__file__).resolve()), str(folder)], env=variables(), stdout=subprocess.PIPE,
        check=False,
    )  # fmt: skip
    answers = [pickle.loads(path.read_bytes()) for path in sorted(folder.glob("answer-*"))]
    shutil.rmtree(folder)
    if done.returncode != 0 or len(answers) != max(ranks, 1):
        raise RuntimeError(f"{call}: exit code {done.returncode}, {len(answers)} answers; stderr says why")
    return answers


def launch_at_once(call: str, many: Sequence[Sequence[Any]], scratch: Path) -> list[Any]:
    """The answers of several processes that run at the same time, one for each tuple of arguments."""
    with ThreadPoolExecutor(len(many)) as pool:
        return [found[0] for found in pool.map(lambda args: launch(call, args, scratch), many)]


def main(folder: Path) -> None:
    """In the new process: make the call, leave the answer."""
    call, args = pickle.loads((folder / "asked").read_bytes())
    module, _, name = call.partition(":")
    answer = getattr(importlib.import_module(module), name)(*args)
    (folder / f"answer-{os.getpid()}").write_bytes(pickle.dumps(answer, protocol=5))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
