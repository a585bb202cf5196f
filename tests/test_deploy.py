"""The launchers of ``deploy``: their shell is sound, and they say what they would do, without a queue."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from synthetic import environment

DEPLOY = Path(__file__).parent.parent / "deploy"
SLURM = DEPLOY / "slurm"
MPIRUN, ARRAY, DASK = SLURM / "mpirun.sh", SLURM / "array.sh", SLURM / "dask_jobs.py"
HAS_JOBQUEUE = find_spec("dask_jobqueue") is not None


@pytest.fixture(scope="module")
def dask_jobs():
    """The launcher as a module; it is no part of the package."""
    spec = spec_from_file_location("dask_jobs", DASK)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def done(*command, **variables):
    """A finished process: stdout and stderr as text."""
    without = {k: v for k, v in environment().items() if not k.startswith("SLURM_")}
    return subprocess.run(
        command, env=without | variables, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip


class TestMpirun:
    @pytest.fixture
    def stubs(self, tmp_path):
        """A launcher and a hiertl-dist that write down how they were called; of $SIZE ranks, says the doctor."""
        calls = tmp_path / "calls"
        launcher, command = tmp_path / "launcher", tmp_path / "hiertl"
        launcher.write_text(f'#!/bin/bash\necho "launcher $1 $2 $3 $4" >>{calls}\nshift 4\nexec "$@"\n')
        command.write_text(
            f'#!/bin/bash\necho "$* OMP=$OMP_NUM_THREADS" >>{calls}\n'
            'if [[ $* == *--json ]]; then echo "{\\"size\\": $SIZE, \\"problems\\": [\\"MPI mismatch\\"]}"; fi\n'
            "if [[ $1 == doctor ]]; then exit 4; fi\n"
        )
        for file in (launcher, command):
            file.chmod(0o755)
        variables = {
            "LAUNCHER": str(launcher), "HIERTL": str(command), "SLURM_NTASKS": "3", "VENV": str(tmp_path),
            "NUMBA_CACHE_DIR": str(tmp_path / "kernels"),
        }  # fmt: skip
        return calls, variables

    def test_syntax(self):
        assert done("bash", "-n", str(MPIRUN)).returncode == 0
        assert os.access(MPIRUN, os.X_OK)

    def test_without_input(self):
        ended = done("bash", str(MPIRUN))
        assert ended.returncode != 0
        assert "usage: sbatch mpirun.sh COMMAND" in ended.stderr

    def test_what_is_run(self, stubs):
        calls, variables = stubs
        ended = done("bash", str(MPIRUN), "fit", "in.toml", "--plot", SIZE="3", **variables)
        assert ended.returncode == 0, ended.stderr
        assert calls.read_text().splitlines() == [
            "doctor --executor serial OMP=1",
            "launcher -n 3 --bind-to core",
            "doctor --executor mpi --json OMP=1",
            "launcher -n 3 --bind-to core",
            "fit in.toml --plot --executor mpi OMP=1",
        ]

    def test_wrong_size_is_refused(self, stubs):
        calls, variables = stubs
        ended = done("bash", str(MPIRUN), "fit", "in.toml", SIZE="1", **variables)
        assert ended.returncode == 2
        assert "asked for 3 ranks, MPI says '1'" in ended.stderr
        assert '["MPI mismatch"]' in ended.stderr
        assert "fit" not in calls.read_text()


class TestDask:
    def test_help(self):
        ended = done(sys.executable, str(DASK), "--help")
        assert ended.returncode == 0
        for option in ("--cores", "--memory", "--walltime", "--workers", "--interface", "--dry-run"):
            assert option in ended.stdout

    def test_without_command(self):
        ended = done(sys.executable, str(DASK))
        assert ended.returncode == 2
        assert "-- fit input.toml" in ended.stderr

    @pytest.mark.skipif(HAS_JOBQUEUE, reason="dask-jobqueue is here")
    def test_without_jobqueue(self):
        ended = done(sys.executable, str(DASK), "--dry-run")
        assert ended.returncode == 2
        assert "pip install dask-jobqueue" in ended.stderr
        assert "Traceback" not in ended.stderr

    @pytest.mark.skipif(not HAS_JOBQUEUE, reason="needs dask-jobqueue")
    def test_job_script(self):
        ended = done(sys.executable, str(DASK), "--workers", "3", "--memory", "4GiB", "--dry-run")
        assert ended.returncode == 0, ended.stderr
        for part in ("# 2 jobs", "--cpus-per-task=2", "export OMP_NUM_THREADS=1", "--nthreads 1", "--nworkers 2"):
            assert part in ended.stdout

    def test_jobs(self, dask_jobs):
        jobs = dask_jobs.Jobs(workers=65, cores=32, setup=("module load x",), numba_cache="/a b")
        assert jobs.count == 3
        first, *_, last = jobs.prologue()
        assert first == "module load x"
        assert "export NUMBA_CACHE_DIR='/a b'" in jobs.prologue()
        assert last.endswith("|| true")
        with pytest.raises(ValueError, match="at least 1"):
            dask_jobs.Jobs(workers=0)
