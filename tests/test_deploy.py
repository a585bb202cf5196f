"""The launchers of ``deploy``: their shell is sound, and they say what they would do, without a queue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from synthetic import environment

DEPLOY = Path(__file__).parent.parent / "deploy"
SLURM = DEPLOY / "slurm"
MPIRUN, ARRAY, DASK = SLURM / "mpirun.sh", SLURM / "array.sh", SLURM / "dask_jobs.py"
HAS_JOBQUEUE = find_spec("dask_jobqueue") is not None


LOCAL, MANIFESTS = DEPLOY / "local" / "dask_here.sh", DEPLOY / "kubernetes" / "check.py"


def loaded(file):
    """A program as a module; it is no part of the package."""
    spec = spec_from_file_location(file.stem, file)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def dask_jobs():
    """The launcher of workers' jobs."""
    yield loaded(DASK)
    del sys.modules["dask_jobs"]


WITHOUT_SLURM = loaded(SLURM / "one_node.py").why_not()


def of_nobody(**variables):
    """An environment without what Slurm or a site may have set."""
    ours = {"SITE", "VENV", "HIERTL", "LAUNCHER", "BIND", "NODE_SCRATCH", "NUMBA_CACHE_DIR"}
    return {k: v for k, v in environment().items() if not k.startswith("SLURM_") and k not in ours} | variables


def done(*command, **variables):
    """A finished process: stdout and stderr as text."""
    return subprocess.run(
        command, env=of_nobody(**variables), capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip


def program(file, text):
    """A shell script that can be run; its path as a text."""
    file.write_text(f"#!/bin/bash\n{text}\n")
    file.chmod(0o755)
    return str(file)


@pytest.mark.parametrize("script", sorted(DEPLOY.rglob("*.sh")), ids=lambda file: file.name)
def test_syntax(script):
    assert done("bash", "-n", str(script)).returncode == 0
    assert os.access(script, os.X_OK) or script.name in ("site.sh", "signals.sh")


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


class TestArray:
    @pytest.fixture
    def run(self, tmp_path):
        """Run a task of an array with a hiertl-dist that says how it was called."""
        stub = program(tmp_path / "hiertl", 'echo "called $*"')

        def run(task, tasks, *words, **more):
            numbers = {"ID": task, "COUNT": tasks, "MIN": 0, "MAX": tasks - 1} | more
            return done(
                "bash", str(ARRAY), *words, HIERTL=stub, VENV="", NUMBA_CACHE_DIR=str(tmp_path / "kernels"),
                SLURM_SUBMIT_DIR=str(tmp_path), SLURM_CPUS_PER_TASK="3",
                **{f"SLURM_ARRAY_TASK_{k}": str(v) for k, v in numbers.items()},
            )  # fmt: skip

        return run

    @staticmethod
    def calls(ended):
        return [line.removeprefix("called ") for line in ended.stdout.splitlines() if line.startswith("called ")]

    def test_every_file_is_done_once(self, run):
        files = [f"{k}.toml" for k in range(5)]
        called = [c for task in range(3) for c in self.calls(run(task, 3, "search", *files, "--", "--rule", "best"))]
        assert sorted(called) == [f"search {f} --executor processes --workers 3 --rule best" for f in files]

    def test_tasks_share_an_assembly(self, run):
        called = [self.calls(run(task, 2, "assemble", "in.toml")) for task in range(2)]
        assert called == [["assemble in.toml --executor processes --workers 3"]] * 2

    def test_files_become_data_sets(self, run):
        assert self.calls(run(1, 2, "import", "sets", "a.xyz", "/b/run.2.xyz")) == [
            "import sets/run.2 /b/run.2.xyz --executor processes --workers 3"
        ]

    def test_the_same_twice_is_refused(self, run):
        ended = run(0, 2, "fit", "in.toml")
        assert (ended.returncode, self.calls(ended)) == (2, [])
        assert "2 tasks for 1 files" in ended.stderr

    def test_gaps_are_refused(self, run):
        ended = run(0, 2, "fit", "a.toml", "b.toml", MAX=5)
        assert (ended.returncode, self.calls(ended)) == (2, [])
        assert "--array=0-1" in ended.stderr

    @pytest.mark.parametrize("warned", [True, False])
    def test_back_into_the_queue_after_a_warning_alone(self, tmp_path, warned):
        calls = tmp_path / "calls"
        program(tmp_path / "scontrol", f'echo "$*" >>{calls}\necho "   Command={ARRAY} fit a.toml"')
        program(tmp_path / "sleep", "")
        stub = program(tmp_path / "hiertl", f"trap 'exit 75' USR1\necho up >>{calls}\n"
                       + ("while :; do read -rt 0.05 <>/dev/fd/1; done" if warned else "exit 75"))  # fmt: skip
        numbers = {f"SLURM_ARRAY_TASK_{k}": v for k, v in {"ID": "0", "COUNT": "1", "MIN": "0", "MAX": "0"}.items()}
        given = {"SLURM_JOB_ID": "7", "HIERTL": stub, "VENV": "", "SLURM_SUBMIT_DIR": str(tmp_path)}
        path = f"{tmp_path}:{os.environ['PATH']}"
        # a copy, as Slurm makes one
        copy = program(tmp_path / "slurm_script", ARRAY.read_text())
        job = subprocess.Popen(
            ["bash", copy, "fit", "a.toml"], env=of_nobody(PATH=path, **given, **numbers), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while warned and not (calls.exists() and "up" in calls.read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        if warned:
            job.send_signal(signal.SIGUSR1)
        _, errors = job.communicate(timeout=30)
        assert job.returncode == 75
        assert ("requeue 7" in calls.read_text()) == warned
        assert ("is back in the queue" if warned else "submit the job again as it is") in errors


@pytest.mark.skipif(WITHOUT_SLURM is not None, reason=f"no Slurm can be started: {WITHOUT_SLURM}")
def test_a_real_queue_warns_requeues_and_goes_on(tmp_path):
    # about 20 s, nearly all of which is waiting
    stub = program(tmp_path / "hiertl", "echo run ${SLURM_RESTART_COUNT:-0} $2\n"
                   "[[ $2 == b.toml && -z ${SLURM_RESTART_COUNT:-} ]] || exit 0\n"
                   "trap 'exit 75' USR1\nwhile :; do sleep 0.2; done")  # fmt: skip
    options = ["--array=0-0", "--cpus-per-task=1", "--mem-per-cpu=1", "--time=1", "--signal=B:USR1@55"]
    ended = subprocess.run(
        [sys.executable, str(SLURM / "one_node.py"), "sbatch", "--wait", *options, f"--output={tmp_path}/out",
         str(ARRAY), "fit", "a.toml", "b.toml", "c.toml"],
        env=of_nobody(HIERTL=stub, VENV="", NUMBA_CACHE_DIR=str(tmp_path)), cwd=tmp_path, capture_output=True,
        text=True, timeout=200, check=False,
    )  # fmt: skip
    printed = (tmp_path / "out").read_text()
    assert ended.returncode == 0, ended.stderr + printed
    runs = [line for line in printed.splitlines() if line.startswith("run ")]
    assert runs == ["run 0 a.toml", "run 0 b.toml", "run 1 b.toml", "run 1 c.toml"]
    assert "a.toml was done before the restart" in printed


class TestOthers:
    def test_manifests(self):
        # 3: what checks their schemas is not installed
        ended = done(sys.executable, str(MANIFESTS))
        assert ended.returncode in (0, 3), ended.stdout

    def test_a_wrong_container_is_told(self):
        container = {
            "env": [{"name": "OMP_NUM_THREADS", "value": "8"}], "volumeMounts": [], "args": ["--memory-limit", "4GiB"],
            "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        }  # fmt: skip
        faults = "\n".join(loaded(MANIFESTS).container_rules(container))
        for part in ("OMP_NUM_THREADS of 1, found 8", "NUMBA_CACHE_DIR", "/data", "alike", "--memory-limit below"):
            assert part in faults

    def test_local_without_a_command(self):
        ended = done("bash", str(LOCAL))
        assert ended.returncode == 2
        assert "usage: dask_here.sh COMMAND" in ended.stderr


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

    @pytest.mark.parametrize(
        ("walltime", "lifetime"),
        [("04:00:00", 14400 - 900), ("1-12", 129600 - 900), ("10", 600 - 120), ("2:00", 60), ("00:20:00", 1080)],
    )
    def test_workers_leave_before_their_time_is_over(self, dask_jobs, walltime, lifetime):
        last, stagger = dask_jobs.Jobs(walltime=walltime).lifetime
        assert last == lifetime
        assert last + stagger < dask_jobs.seconds_of(walltime)

    @pytest.mark.parametrize("walltime", ["later", "1:2:3:4", "-5", "00:01:00", ""])
    def test_a_wrong_walltime(self, dask_jobs, walltime):
        with pytest.raises(ValueError, match="walltime"):
            dask_jobs.Jobs(walltime=walltime)
