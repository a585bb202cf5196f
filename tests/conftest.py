"""Fixtures for every test, and what they inherit."""

from __future__ import annotations

import compileall
import gc
import os
import sys
from pathlib import Path

import hypothesis
import pytest
import scipy.linalg  # noqa: F401 - its BLAS is another one than numpy's, and is limited too
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parent.parent

threadpool_limits(1, user_api="blas")
"""In the process of the tests: problems are small, and threads that wait for others are CPU seconds."""

for name in [n for n in os.environ if n.startswith(("PMI", "OMPI_", "SLURM_", "MV2_", "MPI_LOCAL"))]:
    del os.environ[name]  # as of an allocation in which the tests are run: those that are about launchers set their own

hypothesis.settings.register_profile("here", max_examples=int(os.environ.get("HIERTL_EXAMPLES", "50")))
hypothesis.settings.load_profile("here")
"""Of properties that do not say how many; HIERTL_EXAMPLES is for a night."""

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
"""Where it was set, hundreds of processes that the tests start compiled every module again: a second each."""


def pytest_configure(config: pytest.Config) -> None:
    """Compiles the modules of the package and of the benchmarks once, before any process is started."""
    if not hasattr(config, "workerinput"):
        for folder in ("hiertl_dist", "benchmarks"):
            compileall.compile_dir(ROOT / folder, quiet=1)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Tests and modules stay to the end: the collector of garbage does not look at them again and again."""
    gc.disable()
    found = yield
    gc.enable()
    gc.freeze()
    if "hiertl_dist.evaluation.compiling" in sys.modules:
        compile_lacking_kernels()
    return found


def compile_lacking_kernels() -> None:
    """Before the first test, which would be told of the wait; each second process of xdist begins with the last."""
    from hiertl_dist.evaluation.compiling import KERNELS, _compile

    number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    for kernel in KERNELS[:: -1 if int(number) % 2 else 1]:
        _compile(kernel)


@pytest.fixture(scope="session")
def two_processes():
    """An executor of two worker processes for all tests that only need one: starting it takes longer than they do."""
    from hiertl_dist.executors import ProcessesExecutor

    with ProcessesExecutor(2) as runner:
        yield runner


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data: ``$HIERTL_SHARED``, else ``../shared/data``. Skips where it is absent."""
    folder = Path(os.environ.get("HIERTL_SHARED", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}; HIERTL_SHARED names another folder")
    return folder
