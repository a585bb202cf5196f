"""``mpiexec -n 2 hiertl-dist …`` and ``mpiexec -n 2 python script.py``: printed once, the bits of one process."""

from __future__ import annotations

import hashlib
import json
import sys

import pytest
from job_files import write_job
from mpi_commands import command, commands_told, mpiexec
from synthetic import HAS_MPI

from hiertl_dist.cli import commands as cli
from hiertl_dist.model.solution import Solution

pytestmark = [pytest.mark.mpi, pytest.mark.skipif(not HAS_MPI, reason="mpi4py and an mpiexec are not both here")]

BLOCKS = ("C", "N", "CN")

FIT_IN_PYTHON = """
import hashlib, json, sys
from hiertl_dist.executors import executor
from hiertl_dist.fitting.hierarchy import fit_hierarchy
from hiertl_dist.jobs.input_file import Input

job = Input.from_toml(sys.argv[1])
with executor(sys.argv[2]) as runner:
    fit = fit_hierarchy(job.read_frames()[0], job.basis, executor=runner)
    bits = {b: hashlib.sha256(f.solution.parameters.coefficients.tobytes()).hexdigest() for b, f in fit.fits.items()}
    # each rank has the whole model
    print(json.dumps({"workers": runner.workers, "bits": bits}) + chr(10), end="", flush=True)
"""


def bits(folder):
    """A hash of each block's coefficients in its solution file."""
    found = {b: Solution.load(folder / "hiertl_results" / f"{b}.solution.npz").parameters for b in BLOCKS}
    return {b: hashlib.sha256(p.coefficients.tobytes()).hexdigest() for b, p in found.items()}


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """A folder with an input, fitted by one process."""
    folder = tmp_path_factory.mktemp("serial")
    assert cli.main(["fit", str(write_job(folder)), "--executor", "serial"]) == 0
    return folder


def test_commands_print_once_and_give_the_same_bits(tmp_path, serial):
    """A fit by itself, streaming; then by name, which moves the results of before, once; then others."""
    path = write_job(tmp_path, executor=None)
    done = mpiexec(*command("fit", path, "--no-keep-rows", "--json"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, "one object on one line, from one of the ranks"
    found = json.loads(done.stdout)
    assert list(found["solutions"]) == list(BLOCKS)
    assert bits(tmp_path) == bits(serial)
    assert not (tmp_path / "design.zarr").exists()
    model = serial / "hiertl_results" / "model.params.txt"
    each = commands_told(
        tmp_path, ["fit", path, "--executor", "mpi"], ["plan", serial / "input.toml", "--executor", "mpi", "--json"],
        ["evaluate", model, "--frames", serial / "data.extxyz", "--executor", "mpi"],
    )  # fmt: skip
    for (code, out, err), (other_code, other_out, other_err) in each:
        assert (code, other_code) == (0, 0), err + other_err
        assert out
        assert other_out == other_err == ""
    fitted, planned, evaluated = (out for (_, out, _), _ in each)
    assert bits(tmp_path) == bits(serial)
    assert (tmp_path / "design.zarr").exists()
    assert fitted.count("of before are in") == 1
    assert json.loads(planned)["workers"] == 2
    assert sum(line.startswith("composition") for line in evaluated.splitlines()) == 1
    results = tmp_path / "hiertl_results"
    assert [p.name for p in results.iterdir() if p.is_dir()] == ["earlier_1"]
    own = {p.name for p in results.iterdir() if p.is_file()}
    assert {p.name for p in (results / "earlier_1").iterdir()} == own >= {"report.json", "CN.solution.npz"}


def test_a_script_gives_the_same_bits_on_every_rank(tmp_path, serial):
    script = tmp_path / "script.py"
    script.write_text(FIT_IN_PYTHON)
    done = mpiexec(sys.executable, script, serial / "input.toml", "mpi")
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert said == [{"workers": 2, "bits": bits(serial)}] * 2


def test_an_error_ends_all_ranks(tmp_path):
    path = write_job(tmp_path, store={"memory": "1 MiB"})
    done = mpiexec(*command("fit", path, "--executor", "mpi", "--json"))
    assert done.returncode != 0
    assert done.stdout == ""
    assert "1 MiB available" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_halfway_ends_all_ranks_and_keeps_what_is_there(tmp_path, serial):
    fit = {"blocks": {"N": {"method": "gram", "weights": {"force": 0.0, "stress": 0.0}}}}
    done = mpiexec(*command("fit", write_job(tmp_path, fit=fit), "--executor", "mpi", "--json"))
    assert done.returncode != 0
    assert done.stdout == ""
    assert "UnsafeGram" in done.stderr
    kept = {p.name for p in (tmp_path / "hiertl_results").iterdir()}
    assert kept == {"C.covariance.npz", "C.params.txt", "C.solution.npz", "results.sha256"}
