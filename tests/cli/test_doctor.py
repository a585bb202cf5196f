"""What the doctor finds here, what it calls a problem, and that it asks every rank and worker without harm."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from distributed import Client, LocalCluster
from synthetic import HAS_MPI, MPIEXEC, environment

from hiertl_dist.cli import doctor, health
from hiertl_dist.cli.doctor import diagnose, look, self_check
from hiertl_dist.executors.launch import fatal_mismatch

SAYS = (
    "import json\n"
    "from hiertl_dist.cli.doctor import diagnose\n"
    "report = diagnose()\n"
    "print(json.dumps({'speaks': report.speaks} | report.as_dict()) + chr(10), end='', flush=True)\n"
)
NOT_UNDER_A_LAUNCHER = {k: v for k, v in environment().items() if not k.startswith(("PMI", "OMPI_", "SLURM_"))}
needs_mpi = pytest.mark.skipif(not HAS_MPI, reason="mpi4py and an mpiexec are not both here")


@pytest.fixture(scope="module")
def here():
    """This process, as it finds itself, and without a fault whatever the machine."""
    found = look()
    cache = replace(found.cache, folder="/cache/kernels", writable=True)
    variables = dict.fromkeys(found.variables)
    return replace(
        found, host="here", cpus=(0, 1), memory=8 * health.GIB, scratch_free=8 * health.GIB, cache=cache,
        variables=variables,
    )  # fmt: skip


def with_variable(process, name, value):
    """A process that has an environment variable."""
    return replace(process, variables=process.variables | {name: value})


def reports(*launcher, **variables):
    """What each process says that starts with a launcher and more variables."""
    done = subprocess.run(
        [*launcher, sys.executable, "-W", "ignore", "-c", SAYS], env=NOT_UNDER_A_LAUNCHER | variables,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


class TestReport:
    def test_what_is_found(self):
        report = diagnose("serial")
        assert report.here.check.passed
        assert report.here.check.deviation < 1e-7
        assert report.here.versions["numpy"] == np.__version__
        assert {"openblas", "mkl", "blis", "flexiblas"} & {b.name for b in report.here.blas} or not report.here.blas
        assert len(report.here.cpus) == len(os.sched_getaffinity(0))
        assert report.here.memory > 0
        assert report.dask.worker_memory.keys() == {"target", "spill", "pause", "terminate"}
        assert not report.others
        assert report.speaks

    def test_json_and_text(self):
        report = diagnose("processes")
        assert json.loads(json.dumps(report.as_dict(), allow_nan=False)) == report.as_dict()
        text = report.text()
        for head in ("machine", "memory", "versions", "BLAS", "kernels", "self-check  passed", "MPI", "dask"):
            assert f"\n{head}" in f"\n{text}"
        assert all(problem in text for problem in report.problems)
        assert text.endswith("no problems") or report.problems

    def test_mpi_is_not_started_here(self):
        started = "mpi4py.MPI" in sys.modules
        assert diagnose("dask").mpi.size is None
        assert ("mpi4py.MPI" in sys.modules) == started

    def test_kernels_are_counted(self):
        assert look().cache.kernels >= 5  # after those above

    def test_refused(self):
        with pytest.raises(ValueError, match="no executor 'slurm'"):
            diagnose("slurm")
        with pytest.raises(ValueError, match="of no use to the executor 'dask'"):
            diagnose("dask", comm=object())


class TestSelfCheck:
    @pytest.mark.parametrize(("deviation", "said"), [(1e-3, "differ by 1.0e-03"), (float("nan"), "not finite")])
    def test_wrong_rows(self, monkeypatch, here, deviation, said):
        monkeypatch.setattr(doctor, "_force_deviation", lambda: deviation)
        check = self_check()
        assert not check.passed
        [problem] = health.problems_of(replace(here, check=check))
        assert said in problem

    def test_error(self, monkeypatch, here):
        def broken():
            raise OSError("no LLVM")

        monkeypatch.setattr(doctor, "_force_deviation", broken)
        [problem] = health.problems_of(replace(here, check=self_check()))
        assert "OSError: no LLVM" in problem


class TestProblems:
    def test_none(self, here):
        assert health.problems_of(here) == []
        assert health.shared_problems(here, [], 2) == []
        assert health.shared_problems(here, [here, replace(here, cpus=(1,))], 2) == []

    def test_a_core_type_that_is_set_is_noted_and_no_problem(self, here):
        assert health.notes_of(here) == []
        chosen = with_variable(here, "OPENBLAS_CORETYPE", "Haswell")
        assert health.problems_of(chosen) == []
        [note] = health.notes_of(chosen)
        assert "unset it" in note

    def test_cache(self, here):
        [problem] = health.problems_of(replace(here, cache=replace(here.cache, writable=False)))
        assert "set NUMBA_CACHE_DIR" in problem
        [problem] = health.problems_of(with_variable(here, "NUMBA_CACHE_DIR", "/elsewhere"))
        assert problem.startswith("NUMBA_CACHE_DIR is /elsewhere, but it can't be written")
        assert not health.problems_of(with_variable(here, "NUMBA_CACHE_DIR", "/cache"))

    def test_no_cache_at_all(self, here):
        nowhere = replace(here, cache=replace(here.cache, folder="", writable=False, kernels=0))
        [problem] = health.problems_of(nowhere)
        assert problem.startswith("There is no folder that kernels can be cached in, and each process compiles them")
        [problem] = health.problems_of(with_variable(nowhere, "NUMBA_CACHE_DIR", "/x"))
        assert "NUMBA_CACHE_DIR=/x neither" in problem
        notes = health.notes_on("serial", nowhere, health.Mpi(), health.Dask(None, {}, None, {}, {}))
        assert not [n for n in notes if "this once" in n]

    def test_locks(self, here):
        assert health.problems_of(replace(here, locks="/nfs: its file system has no file locks")) == [
            "/nfs: its file system has no file locks"
        ]

    def test_scratch(self, here):
        [problem] = health.problems_of(replace(here, scratch_free=0))
        assert "set TMPDIR" in problem

    def test_memory(self, here):
        [problem] = health.shared_problems(here, [], 5)
        assert problem.startswith("here has 8.0 GiB of memory for 5 workers")
        small = replace(here, host="small", memory=3 * health.GIB)
        [problem] = health.shared_problems(here, [here, small, small], 1)
        assert problem.startswith("small has 3.0 GiB of memory for 2 workers")

    def test_cores(self, here):
        bound = [replace(here, cpus=(0,)), replace(here, cpus=(0,))]
        [problem] = health.shared_problems(here, bound, 1)
        assert problem.startswith("2 processes on here share 1 core:")

    def test_unlike(self, here):
        other = replace(here, blas=tuple(replace(b, architecture="Zen") for b in here.blas) or (OTHER_BLAS,))
        [problem] = health.shared_problems(here, [here, other], 1)
        assert "Zen" in problem
        other = replace(here, versions=here.versions | {"numpy": "1.0"})
        [problem] = health.shared_problems(here, [here, other], 1)
        assert "different versions of numpy" in problem

    def test_who_has_them(self, here):
        bad = replace(here, scratch_free=0)
        [problem] = health.gathered({"rank 0 on a": bad, "rank 1 on b": bad})
        assert problem.startswith("0.0 GiB are free")
        [problem] = health.gathered({"rank 0 on a": here} | {f"rank {i} on b": bad for i in range(1, 6)})
        assert problem.startswith("rank 1 on b, rank 2 on b, rank 3 on b and 2 more: 0.0 GiB are free")

    def test_no_mpi(self):
        none = health.Mpi(error="ImportError: no mpi4py")
        assert health.mpi_problems(none, wanted=False) == []
        assert "install mpi4py" in health.mpi_problems(none, wanted=True)[0]


OTHER_BLAS = health.Blas("openblas", None, 1, "Zen", "/lib")


def test_notes(here):
    threaded = replace(here, blas=(replace(OTHER_BLAS, threads=8),), cache=replace(here.cache, kernels=0))
    alone = health.Mpi("MPICH", 1)
    notes = health.notes_on("mpi", threaded, alone, health.Dask("tcp://x", {}, None, {}, {}))
    starts = ["BLAS has 8 threads", "The kernels were not", "MPI has one rank", "The dask scheduler has no"]
    assert all(note.startswith(start) for note, start in zip(notes, starts, strict=True))


class TestLaunchers:
    def test_fatal_mismatch(self):
        assert fatal_mismatch("MPICH Version: 5.0", {}) is None
        assert fatal_mismatch("Open MPI v5.0", {"OMPI_COMM_WORLD_SIZE": "2"}) is None
        for rank, speaks in (("0", True), ("1", False)):
            facts = fatal_mismatch("MPICH", {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": rank})
            assert "Open MPI's" in facts.mismatch
            assert facts.speaks == speaks

    @needs_mpi
    def test_a_launcher_of_another_mpi(self):
        [report] = reports(MV2_COMM_WORLD_SIZE="2", MV2_COMM_WORLD_RANK="1", NUMBA_CACHE_DIR="/dev/null/x")
        assert not report["speaks"]
        problems = "\n".join(report["problems"])
        assert "MPI mismatch: the launcher started 2 processes" in problems
        assert "NUMBA_CACHE_DIR is /dev/null/x, but" in problems

    @needs_mpi
    @pytest.mark.mpi
    def test_ranks(self):
        both = reports(str(MPIEXEC), "-n", "2", OPENBLAS_CORETYPE="Haswell")
        assert sorted(r["speaks"] for r in both) == [False, True]
        for report in both:
            assert report["mpi"]["size"] == 2
            assert list(report["mpi"]["ranks"].values()) == [2]
            assert len(report["others"]) == 2
            assert [n for n in report["notes"] if n.startswith("OPENBLAS_CORETYPE")]  # once, for both have it


def test_dask_workers():
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs=logging.CRITICAL,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster),
    ):  # fmt: skip
        report = diagnose("dask")
        assert list(report.dask.threads.values()) == [1]
        [(name, worker)] = report.others.items()
        assert name.startswith("worker ")
        assert worker.check.passed
        assert "1 worker, 1 thread" in report.text()
        assert not diagnose("serial").others


def test_dask_workers_that_fail(monkeypatch):
    class Sick:
        asynchronous = False
        scheduler = type("Scheduler", (), {"address": "tcp://sick"})

        def nthreads(self):
            raise ModuleNotFoundError("No module named 'hiertl_dist'")

    monkeypatch.setattr(doctor, "current_client", Sick)
    [problem] = [p for p in diagnose("dask").problems if p.startswith("The dask workers can't answer")]
    assert "No module named 'hiertl_dist'" in problem
